/* UTF-8 against a reference made the other way round: by encoding every code point there is.
 *
 * The reference knows which bytes are a code point, and which can begin one. From it comes, for any text, the first byte that is
 * impossible; utf8_feed has to accept everything before it and to refuse it, at once, however the text is cut, masked or not;
 * and each fast reader has to stop at a code point's border in front of it. */
#include "protocol/utf8.h"
#include "protocol/utf8_simd.h"
#include "tests/protocol/chance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SURROGATE(c) ((c) >= 0xd800 && (c) < 0xe000)
#define TEXT_BYTES 400

static uint8_t begins[4][1 << 24 >> 3];  /* begins[k]: bit set of the k bytes that begin a longer code point */

static size_t encode(uint32_t c, uint8_t *out)
{
    static const uint32_t past[] = { 0x80, 0x800, 0x10000, 0x110000 };
    static const uint8_t lead[] = { 0, 0xc0, 0xe0, 0xf0 };
    size_t more = c < past[0] ? 0 : c < past[1] ? 1 : c < past[2] ? 2 : 3;

    for (size_t i = more; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 63));
    out[0] = (uint8_t)(lead[more] | c);
    return more + 1;
}

static uint32_t packed(const uint8_t *p, size_t n)
{
    uint32_t value = 0;

    for (size_t i = 0; i < n; i++)
        value = value << 8 | p[i];
    return value;
}

static int make_reference(void **state)
{
    uint8_t p[4];

    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++)
        for (size_t n = SURROGATE(c) ? 0 : encode(c, p), k = 1; k < n; k++)
            begins[k][packed(p, k) >> 3] |= (uint8_t)(1 << (packed(p, k) & 7));
    return 0;
}

static bool can_begin(const uint8_t *p, size_t n)
{
    return n < 4 && (begins[n][packed(p, n) >> 3] >> (packed(p, n) & 7) & 1) != 0;
}

/* Bytes of the code point at p: by reading it carelessly and comparing with what that encodes to. 0 when it is none. */
static size_t code_point_at(const uint8_t *p, size_t n)
{
    uint8_t again[4];
    size_t bytes = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t c = bytes == 1 ? p[0] : p[0] & (0x7fu >> bytes);

    if (n < bytes)
        return 0;
    for (size_t i = 1; i < bytes; i++)
        c = c << 6 | (p[i] & 63);
    if (c >= 0x110000 || SURROGATE(c) || encode(c, again) != bytes || memcmp(p, again, bytes) != 0)
        return 0;
    return bytes;
}

struct truth {
    size_t whole;                        /* bytes of whole code points in front */
    size_t good;                         /* bytes before the first impossible one */
};

static struct truth truth_of(const uint8_t *p, size_t n)
{
    struct truth t = { 0, 0 };
    size_t step;

    while (t.whole < n && (step = code_point_at(p + t.whole, n - t.whole)) > 0)
        t.whole += step;
    t.good = t.whole;
    while (t.good < n && can_begin(p + t.whole, t.good - t.whole + 1))
        t.good++;
    return t;
}

/* Feeds text in pieces whose ends are the given cuts, masked when there is a mask (p is then the masked text); the answer has to
 * be what the reference says, after each piece. */
static void feed_cut(const uint8_t *text, const uint8_t *p, size_t n, const size_t *cuts, size_t n_cuts, const uint8_t *mask)
{
    size_t good_bytes = truth_of(text, n).good;
    struct utf8 u = { 0 };
    size_t from = 0;

    for (size_t i = 0; i <= n_cuts; i++) {
        size_t to = i < n_cuts ? cuts[i] : n;
        uint8_t rotated[4];
        bool good;
        for (size_t k = 0; k < 4; k++)
            rotated[k] = mask != NULL ? mask[(from + k) % 4] : 0;
        good = mask != NULL ? utf8_feed_masked(&u, p + from, to - from, rotated) : utf8_feed(&u, p + from, to - from);
        assert_int_equal(good, to <= good_bytes);
        if (!good)
            return;
        assert_int_equal(u.open_bytes, to - truth_of(text, to).whole);
        assert_int_equal(utf8_complete(&u), u.open_bytes == 0);
        from = to;
    }
}

static void check_readers(const uint8_t *p, size_t n, const uint8_t *key, const struct truth *truth)
{
    size_t portable = utf8_whole_portable(p, n, key);

    assert_int_equal(portable, truth->whole);
    assert_int_equal(utf8_whole(p, n, key), truth->whole);
#if defined(__x86_64__)
    /* No further than the truth, at a border of code points, and not much less: whole blocks. */
    for (int wide = 0; wide <= (__builtin_cpu_supports("avx2") ? 1 : 0); wide++) {
        size_t done = wide ? utf8_whole_avx2(p, n, key) : utf8_whole_ssse3(p, n, key);
        size_t block = wide ? 32 : 16;
        assert_true(done <= truth->whole && truth->whole - done < 2 * block);
        assert_int_equal(utf8_whole_portable(p, done, key), done);
    }
#endif
}

/* One text, as it is and masked, whole and up to the byte that makes it bad, at one cut and at two. */
static void check(const uint8_t *text, size_t n, struct chance *c)
{
    static const uint8_t zero[UTF8_KEY_BYTES] = { 0 };
    uint8_t masked[TEXT_BYTES], key[UTF8_KEY_BYTES];
    struct truth truth = truth_of(text, n);
    size_t cuts[2];

    for (size_t i = 0; i < 4; i++)
        key[i] = (uint8_t)chance_next(c);
    for (size_t i = 4; i < sizeof(key); i++)
        key[i] = key[i - 4];
    for (size_t i = 0; i < n; i++)
        masked[i] = text[i] ^ key[i % 4];
    check_readers(text, n, zero, &truth);
    check_readers(masked, n, key, &truth);
    cuts[0] = chance_below(c, n + 1);
    cuts[1] = cuts[0] + chance_below(c, n - cuts[0] + 1);
    for (size_t n_cuts = 0; n_cuts <= 2; n_cuts++) {
        feed_cut(text, text, n, cuts, n_cuts, NULL);
        feed_cut(text, masked, n, cuts, n_cuts, key);
    }
    if (truth.good == n)
        return;
    feed_cut(text, text, truth.good, NULL, 0, NULL);
    feed_cut(text, masked, truth.good + 1, NULL, 0, key);
}

static void every_short_sequence(void **state)
{
    struct chance c = { 1 };
    uint8_t p[3];

    (void)state;
    for (uint32_t value = 0; value < 1 << 24; value++) {
        struct utf8 u = { 0 };
        struct truth truth;
        p[0] = (uint8_t)(value >> 16);
        p[1] = (uint8_t)(value >> 8);
        p[2] = (uint8_t)value;
        if ((p[0] < 0x80 || !can_begin(p, 1)) && p[2] != 0)
            continue;                    /* one third byte will do */
        truth = truth_of(p, 3);
        if (utf8_feed(&u, p, 3) != (truth.good == 3) ||
            utf8_whole_portable(p, 3, (const uint8_t[UTF8_KEY_BYTES]){ 0 }) != truth.whole)
            fail_msg("%02x %02x %02x", p[0], p[1], p[2]);
        if (truth.good == 3 && u.open_bytes != 3 - truth.whole)
            fail_msg("%02x %02x %02x: %u open", p[0], p[1], p[2], u.open_bytes);
    }
    check(p, 3, &c);
}

/* Four bytes: all beginnings of two, and the borders of the classes behind them. */
static void four_byte_borders(void **state)
{
    static const uint8_t borders[] = { 0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xe0, 0xf0, 0xff };
    uint8_t p[4];

    (void)state;
    for (uint32_t value = 0xc000; value < 1 << 16; value++)
        for (size_t i = 0; i < sizeof(borders) * sizeof(borders); i++) {
            struct utf8 u = { 0 };
            p[0] = (uint8_t)(value >> 8);
            p[1] = (uint8_t)value;
            p[2] = borders[i / sizeof(borders)];
            p[3] = borders[i % sizeof(borders)];
            if (utf8_feed(&u, p, 4) != (truth_of(p, 4).good == 4))
                fail_msg("%02x %02x %02x %02x", p[0], p[1], p[2], p[3]);
        }
}

static const char *const pieces[] = {
    "\xc0\x80", "\xc1\xbf", "\xc2\x80", "\xdf\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xe0\xa0\x80", "\xec\xbf\xbf",
    "\xed\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x80\x80\x80",
    "\xf0\x8f\xbf\xbf", "\xf0\x90\x80\x80", "\xf3\xbf\xbf\xbf", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80",
    "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xff", "\xfe", "\x80", "\xbf", "\xc2", "\xe2\x82", "\xf0\x9f\x98",
    "\xe2\x28\xa1", "\xf0\x28\x8c\xbc", "\xf0\x9f\x28\x80", "\xf0\x9f\x98\x28", "\xc3\x28", "\xe4\xbd\xa0\x80",
    "\xc3\xa9\xa9", "\xf0\x9f\x98\x80\x80", "\xe2\x82\xe2\x82\xac", "\xf0\x9f\x98\xc3\xa9",
};

/* Every piece at every offset of a text of one, two, three or four-byte code points: over all borders of blocks and words. */
static void pieces_everywhere(void **state)
{
    static const char *const fillings[] = { "a", "\xc3\xa9", "\xe4\xbd\xa0", "\xf0\x9f\x98\x80", "ab\xe4\xbd\xa0" };
    struct chance c = chance_seeded("utf8 pieces");

    (void)state;
    for (size_t f = 0; f < sizeof(fillings) / sizeof(fillings[0]); f++)
        for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
            for (size_t before = 0; before < 100; before++) {
                uint8_t text[TEXT_BYTES];
                size_t n = 0, step = strlen(fillings[f]);
                while (n + step <= before) {
                    memcpy(text + n, fillings[f], step);
                    n += step;
                }
                memcpy(text + n, pieces[i], strlen(pieces[i]));
                n += strlen(pieces[i]);
                for (size_t after = chance_below(&c, chance_one_in(&c, 2) ? 40 / step : 280 / step) * step; after > 0;
                     after -= step, n += step)
                    memcpy(text + n, fillings[f], step);
                check(text, n, &c);
            }
}

static size_t random_text(struct chance *c, uint8_t *text)
{
    static const uint32_t past[] = { 0x80, 0x80, 0x80, 0x800, 0x10000, 0x110000 };
    size_t n = 0, limit = chance_below(c, TEXT_BYTES - 4), kind = chance_below(c, 6);

    while (n < limit) {
        uint32_t code = (uint32_t)chance_below(c, past[chance_one_in(c, 8) ? chance_below(c, 6) : kind]);
        if (!SURROGATE(code))
            n += encode(code, text + n);
    }
    return n;
}

static void mutate(struct chance *c, uint8_t *text, size_t n)
{
    for (size_t times = n > 0 ? chance_below(c, 3) : 0; times > 0; times--) {
        size_t at = chance_below(c, n);
        if (chance_one_in(c, 3))
            text[at] = (uint8_t)chance_next(c);
        else
            text[at] ^= (uint8_t)(1 << chance_below(c, 8));
    }
}

static void random_texts(void **state)
{
    struct chance c = chance_seeded("utf8 random");
    unsigned long long rounds = chance_rounds(60000);

    (void)state;
    for (unsigned long long i = 0; i < rounds; i++) {
        uint8_t text[TEXT_BYTES];
        size_t n = random_text(&c, text);
        mutate(&c, text, n);
        check(text, n, &c);
    }
}

static void whole_texts(void **state)
{
    (void)state;
    assert_true(utf8_valid(NULL, 0));
    assert_true(utf8_valid((const uint8_t *)"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", 11));
    assert_false(utf8_valid((const uint8_t *)"\xce\xba\xe1\xbd", 4));
    assert_false(utf8_valid((const uint8_t *)"abc\xed\xa0\x80", 6));
}

/* Short texts are looked at another way: one byte that is not ASCII, at every place of every length, masked by every kind of mask. */
static void short_texts(void **state)
{
    static const uint8_t masks[][4] = { { 0, 0, 0, 0 }, { 0x80, 0, 0, 0 }, { 0, 0x80, 0x7f, 0xff }, { 0x5a, 0xc3, 0x17, 0x80 } };
    uint8_t text[72], masked[72];

    (void)state;
    for (size_t m = 0; m < sizeof(masks) / sizeof(masks[0]); m++)
        for (size_t n = 1; n <= sizeof(text); n++)
            for (size_t bad = 0; bad <= n; bad++) {         /* n: none */
                memset(text, 'a', n);
                if (bad < n)
                    text[bad] = 0x80;
                for (size_t i = 0; i < n; i++)
                    masked[i] = text[i] ^ masks[m][i % 4];
                assert_int_equal(utf8_valid(text, n), bad == n);
                assert_int_equal(utf8_valid_masked(masked, n, masks[m]), bad == n);
                if (bad + 1 < n) {
                    masked[bad] = 0xc3 ^ masks[m][bad % 4];
                    masked[bad + 1] = 0xa9 ^ masks[m][(bad + 1) % 4];
                    assert_true(utf8_valid_masked(masked, n, masks[m]));
                }
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_sequence),
        cmocka_unit_test(four_byte_borders),
        cmocka_unit_test(pieces_everywhere),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(whole_texts),
        cmocka_unit_test(short_texts),
    };

    return cmocka_run_group_tests(tests, make_reference, NULL);
}
