/* utf8_blocks: one vector reader of UTF-8, whatever the width. No guard: utf8_simd.c includes it once for each width, with the
 * macros VECTOR … FUNCTION set to what that width calls them.
 *
 * Every byte is judged from itself and the three before it. A continuation byte is due where the byte before is a lead (C0 or
 * more), the second before leads three or more (E0), or the third before leads four (F0): it has to be there exactly then.
 * What RFC 3629 section 4 forbids beyond that: C0, C1, F5 and up; and a first continuation that makes E0 or F0 overlong, ED a
 * surrogate, F4 too large. Bytes compare as signed: continuation bytes are the smallest numbers, in their order. */

#define INLINED TARGET __attribute__((always_inline)) static inline

/* Not zero in each byte that is wrong. */
INLINED VECTOR FUNCTION(wrong_bytes)(VECTOR in, VECTOR before)
{
    VECTOR back1 = SHIFTED_IN(in, before, 1);
    VECTOR due = OR(OR(MINUS(back1, ALL(0xbf)), MINUS(SHIFTED_IN(in, before, 2), ALL(0xdf))),
                    MINUS(SHIFTED_IN(in, before, 3), ALL(0xef)));
    VECTOR not_due = EQUAL(due, ALL(0));
    VECTOR continuation = GREATER(ALL(0xc0), in);
    VECTOR wrong = EQUAL(not_due, continuation);

    wrong = OR(wrong, MINUS(in, ALL(0xf4)));
    wrong = OR(wrong, EQUAL(AND(in, ALL(0xfe)), ALL(0xc0)));
    wrong = OR(wrong, AND(EQUAL(back1, ALL(0xe0)), GREATER(ALL(0xa0), in)));
    wrong = OR(wrong, AND(EQUAL(back1, ALL(0xed)), GREATER(in, ALL(0x9f))));
    wrong = OR(wrong, AND(EQUAL(back1, ALL(0xf0)), GREATER(ALL(0x90), in)));
    return OR(wrong, AND(EQUAL(back1, ALL(0xf4)), GREATER(in, ALL(0x8f))));
}

INLINED bool FUNCTION(is_wrong)(VECTOR in, VECTOR before)
{
    return HIGH_BITS(EQUAL(FUNCTION(wrong_bytes)(in, before), ALL(0))) != EVERY_HIGH_BIT;
}

/* Bytes of ASCII in front, in steps of four blocks. */
INLINED size_t FUNCTION(ascii_run)(const uint8_t *p, size_t n, VECTOR key)
{
    size_t i = 0;

    while (n - i >= 4 * BLOCK) {
        VECTOR a = XOR(LOAD(p + i), key), b = XOR(LOAD(p + i + BLOCK), key);
        VECTOR c = XOR(LOAD(p + i + 2 * BLOCK), key), d = XOR(LOAD(p + i + 3 * BLOCK), key);
        if (HIGH_BITS(OR(OR(a, b), OR(c, d))) != 0)
            break;
        i += 4 * BLOCK;
    }
    return i;
}

/* The last, incomplete block: judged as the last BLOCK bytes of p, which overlap what was judged before `done`. */
INLINED size_t FUNCTION(end_of_text)(const uint8_t *p, size_t n, size_t done, const uint8_t *key)
{
    VECTOR in;

    if (n < BLOCK || done == n)
        return done;
    in = XOR(LOAD(p + n - BLOCK), KEY_AT(key, n));
    if (HIGH_BITS(in) == 0)
        return n;
    if (n < 2 * BLOCK || FUNCTION(is_wrong)(in, XOR(LOAD(p + n - 2 * BLOCK), KEY_AT(key, n))))
        return done;
    return n;
}

/* How many bytes from p on are good, but for a code point that may be open at their end. (Nothing is called from here but what
 * is inlined: behind a call gcc 12 forgets to clear the upper halves of the registers, and all later SSE code runs slower.) */
TARGET static size_t FUNCTION(good_bytes)(const uint8_t *p, size_t n, const uint8_t *key)
{
    VECTOR block_key = KEY_AT(key, 0), before = ALL(0), in;
    unsigned high_before = 0, high;
    size_t i = 0;

    for (;;) {
        if (high_before == 0)
            i += FUNCTION(ascii_run)(p + i, n - i, block_key);
        if (n - i < BLOCK)
            return FUNCTION(end_of_text)(p, n, i, key);
        in = XOR(LOAD(p + i), block_key);
        high = HIGH_BITS(in);
        if ((high | high_before) != 0 && FUNCTION(is_wrong)(in, before))
            return i;
        before = in;
        high_before = high;
        i += BLOCK;
    }
}

#undef INLINED
