/* SHA-1 against the examples of FIPS 180 and RFC 6455, and every cut of a text into two against the whole. */
#include "protocol/sha1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void expect_digest(struct span a, struct span b, const char *hex)
{
    uint8_t digest[SHA1_BYTES];
    char text[2 * SHA1_BYTES + 1];

    sha1_of_two(a, b, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    assert_string_equal(text, hex);
}

static void known_digests(void **state)
{
    static uint8_t million[1000000];

    (void)state;
    memset(million, 'a', sizeof(million));
    expect_digest(SPAN_EMPTY, SPAN_EMPTY, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    expect_digest(SPAN_LITERAL("abc"), SPAN_EMPTY, "a9993e364706816aba3e25717850c26c9cd0d89d");
    expect_digest(SPAN_LITERAL("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), SPAN_EMPTY,
                  "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    expect_digest(span_of(million, sizeof(million)), SPAN_EMPTY, "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    /* RFC 6455 section 1.3 */
    expect_digest(SPAN_LITERAL("dGhlIHNhbXBsZSBub25jZQ=="), SPAN_LITERAL("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"),
                  "b37a4f2cc0624f1690f64606cf385945b2bec4ea");
}

/* Lengths around a block's and a padding's border, cut anywhere. */
static void cuts(void **state)
{
    uint8_t text[200], whole[SHA1_BYTES], parts[SHA1_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)(i * 7 + 1);
    for (size_t n = 0; n <= sizeof(text); n++) {
        sha1_of_two(span_of(text, n), SPAN_EMPTY, whole);
        for (size_t cut = 0; cut <= n; cut++) {
            sha1_of_two(span_of(text, cut), span_of(text + cut, n - cut), parts);
            assert_memory_equal(whole, parts, sizeof(whole));
        }
    }
}

/* FIPS 180-4 says what each length of the last block looks like; digests of 55, 56, 63, 64 and 65 letters a. */
static void padding_borders(void **state)
{
    static const struct { size_t n; const char *hex; } cases[] = {
        { 55, "c1c8bbdc22796e28c0e15163d20899b65621d65a" }, { 56, "c2db330f6083854c99d4b5bfb6e8f29f201be699" },
        { 63, "03f09f5b158a7a8cdad920bddc29b81c18a551f5" }, { 64, "0098ba824b5c16427bd7a1122a5a442a25ec644d" },
        { 65, "11655326c708d70319be2610e8a57d9a5b959d3b" },
    };
    uint8_t text[65];

    (void)state;
    memset(text, 'a', sizeof(text));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_digest(span_of(text, cases[i].n), SPAN_EMPTY, cases[i].hex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_digests),
        cmocka_unit_test(cuts),
        cmocka_unit_test(padding_borders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
