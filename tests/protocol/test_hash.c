/* Hashes that every gateway has to agree on: fixed values, good mixing, and costs that are logarithms. */
#include "protocol/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Who changes these moves every client of every fleet to another server. */
static void the_same_in_every_process_and_version(void **state)
{
    (void)state;
    assert_true(hash_of(SPAN_EMPTY) == UINT64_C(0x2180A92350D49CCE));
    assert_true(hash_of(SPAN_LITERAL("10.0.0.1:9000")) == UINT64_C(0x74A29DE6CD25E757));
    assert_true(hash_pair(1, 2) == UINT64_C(0x7DD9E39F72D8905E));
}

static unsigned bits_of(uint64_t x)
{
    unsigned n = 0;

    for (; x != 0; x &= x - 1)
        n++;
    return n;
}

/* One changed bit of the input changes about half of the output. */
static void each_bit_matters(void **state)
{
    uint8_t text[] = "client 203.0.113.77";
    uint64_t before = hash_of(span_of(text, sizeof(text) - 1));
    unsigned sum = 0, n = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(text) - 1; i++)
        for (int bit = 0; bit < 8; bit++) {
            unsigned changed;
            text[i] ^= (uint8_t)(1 << bit);
            changed = bits_of(before ^ hash_of(span_of(text, sizeof(text) - 1)));
            text[i] ^= (uint8_t)(1 << bit);
            assert_true(changed >= 12 && changed <= 52);
            sum += changed;
            n++;
        }
    assert_true(sum > 31 * n && sum < 33 * n);
    for (uint64_t a = 0; a < 64; a++) {
        unsigned left = bits_of(hash_pair(0, 7) ^ hash_pair(UINT64_C(1) << a, 7));
        unsigned right = bits_of(hash_pair(7, 0) ^ hash_pair(7, UINT64_C(1) << a));
        assert_true(left >= 12 && left <= 52 && right >= 12 && right <= 52);
    }
    assert_true(hash_pair(1, 2) != hash_pair(2, 1));
}

static void buckets_fill_evenly(void **state)
{
    unsigned buckets[64] = { 0 };
    char text[32];

    (void)state;
    for (int i = 0; i < 64000; i++) {
        snprintf(text, sizeof(text), "192.0.%d.%d", i >> 8, i & 255);
        buckets[hash_of(span_of_text(text)) >> 58]++;
    }
    for (int i = 0; i < 64; i++)
        assert_true(buckets[i] > 860 && buckets[i] < 1140);      /* 1000, and over four deviations */
}

static void costs_are_logarithms(void **state)
{
    uint64_t one = UINT64_C(1) << 32;

    (void)state;
    for (unsigned bit = 32; bit < 64; bit++)
        assert_true(hash_cost(UINT64_C(1) << bit) == (64 - bit) * one);
    assert_true(hash_cost(0) == 64 * one);       /* as 1 */
    assert_true(hash_cost(UINT64_MAX) >= 1 && hash_cost(UINT64_MAX) < one / 1000000);
    /* log2(0.75) = -0.4150374992788438 */
    assert_true(hash_cost(UINT64_C(3) << 62) / 16 == (uint64_t)(0.4150374992788438 * 4294967296.0) / 16);
    for (uint64_t h = 3; h < UINT64_MAX / 8; h *= 7)
        assert_true(hash_cost(h) > hash_cost(h * 2 + 1) && hash_cost(h) >= hash_cost(h + h / 1000 + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_in_every_process_and_version),
        cmocka_unit_test(each_bit_matters),
        cmocka_unit_test(buckets_fill_evenly),
        cmocka_unit_test(costs_are_logarithms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
