/* utf8_blocks: one vector reader of UTF-8, whatever the width. No guard: utf8_simd.c includes it once for each width, with the
 * macros VECTOR … FUNCTION set to what that width calls them.
 *
 * Two bytes in a row can be wrong in the eight ways of utf8_simd.c. For each half of the first byte, and for the high half of the second, a
 * table tells which of them it may have a part in: the pair is wrong in those that all three agree on. One of the ways, two
 * continuation bytes in a row, is right where the second before leads three or more bytes (E0), or the third before four (F0), and then it
 * has to be so. (The method is Keiser's and Lemire's, "Validating UTF-8 in less than one instruction per byte", 2021.) */

#define INLINED TARGET __attribute__((always_inline)) static inline

/* A byte of the block is wrong; back1 … back3: the block one, two and three bytes before. */
INLINED bool FUNCTION(is_wrong)(VECTOR in, VECTOR back1, VECTOR back2, VECTOR back3)
{
    VECTOR due = OR(MINUS(back2, ALL(0xe0 - CONTINUATIONS)), MINUS(back3, ALL(0xf0 - CONTINUATIONS)));
    VECTOR wrong = AND(LOOK_UP(first_high, HIGH_HALF(back1)), AND(LOOK_UP(first_low, LOW_HALF(back1)), LOOK_UP(second_high, HIGH_HALF(in))));

    return HIGH_BITS(EQUAL(wrong, AND(due, ALL(CONTINUATIONS)))) != EVERY_HIGH_BIT;
}

/* Of the first block: nothing is before it. */
INLINED bool FUNCTION(begins_wrong)(VECTOR in)
{
    return FUNCTION(is_wrong)(in, SHIFTED_IN(in, 1), SHIFTED_IN(in, 2), SHIFTED_IN(in, 3));
}

/* Of a block at p + at, at least three bytes behind the first. Reading again costs less than shifting does. */
INLINED bool FUNCTION(goes_on_wrong)(const uint8_t *p, size_t at, VECTOR in, const uint8_t *key)
{
    return FUNCTION(is_wrong)(in, XOR(LOAD(p + at - 1), KEY_AT(key, at + 3)), XOR(LOAD(p + at - 2), KEY_AT(key, at + 2)),
                              XOR(LOAD(p + at - 3), KEY_AT(key, at + 1)));
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
    return n >= BLOCK + 3 && !FUNCTION(goes_on_wrong)(p, n - BLOCK, in, key) ? n : done;
}

/* How many bytes from p on are good, but for a code point that may be open at their end. (Nothing is called from here but what
 * is inlined: behind a call gcc 12 forgets to clear the upper halves of the registers, and all later SSE code runs slower.) */
TARGET static size_t FUNCTION(good_bytes)(const uint8_t *p, size_t n, const uint8_t *key)
{
    VECTOR block_key = KEY_AT(key, 0), in;
    unsigned high_before = 0, high;
    size_t i = 0;

    for (;;) {
        if (high_before == 0)
            i += FUNCTION(ascii_run)(p + i, n - i, block_key);
        if (n - i < BLOCK)
            return FUNCTION(end_of_text)(p, n, i, key);
        in = XOR(LOAD(p + i), block_key);
        high = HIGH_BITS(in);
        if ((high | high_before) != 0 && (i == 0 ? FUNCTION(begins_wrong)(in) : FUNCTION(goes_on_wrong)(p, i, in, key)))
            return i;
        high_before = high;
        i += BLOCK;
    }
}

#undef INLINED
