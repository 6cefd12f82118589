/* Spans: the readers at their borders. */
#include "protocol/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S SPAN_LITERAL

static void makers(void **state)
{
    (void)state;
    assert_int_equal(span_of_text(NULL).n, 0);
    assert_int_equal(span_of_text("").n, 0);
    assert_int_equal(span_of_text("abc").n, 3);
    assert_int_equal(S("a\0b").n, 3);
    assert_int_equal(SPAN_EMPTY.n, 0);
}

static void parts(void **state)
{
    (void)state;
    assert_true(span_equal(span_from(S("abc"), 1), S("bc")));
    assert_int_equal(span_from(S("abc"), 3).n, 0);
    assert_int_equal(span_from(S("abc"), 4).n, 0);
    assert_true(span_equal(span_first(S("abc"), 2), S("ab")));
    assert_true(span_equal(span_first(S("abc"), 9), S("abc")));
    assert_int_equal(span_find(S("abcb"), 'b'), 1);
    assert_int_equal(span_find(S("abc"), 'x'), 3);
    assert_int_equal(span_find(SPAN_EMPTY, 'x'), 0);
}

static void comparisons(void **state)
{
    (void)state;
    assert_true(span_equal(SPAN_EMPTY, S("")));
    assert_false(span_equal(S("a"), S("A")));
    assert_false(span_equal(S("a"), S("ab")));
    assert_true(span_equal_nocase(S("aZ-9"), S("Az-9")));
    assert_false(span_equal_nocase(S("a"), S("ab")));
    /* only letters have two cases: these pairs differ in that bit alone */
    assert_false(span_equal_nocase(S("@"), S("`")));
    assert_false(span_equal_nocase(S("["), S("{")));
    assert_false(span_equal_nocase(S("\xc0"), S("\xe0")));
    assert_true(span_starts_with(S("abc"), S("ab")));
    assert_true(span_starts_with(S("abc"), SPAN_EMPTY));
    assert_false(span_starts_with(S("ab"), S("abc")));
    assert_true(span_ends_with(S("abc"), S("bc")));
    assert_false(span_ends_with(S("bc"), S("abc")));
}

/* Every pair of bytes at every place of a word, whatever stands around it. */
static void letters_in_words(void **state)
{
    static const uint8_t around[] = { 0, 'a', '@', 0x7f, 0x80, 0xe1, 0xff };
    uint8_t a[9], b[9];

    (void)state;
    for (size_t i = 0; i < sizeof(around) * sizeof(a) * 65536; i++) {
        size_t place = i / 65536 % sizeof(a);
        uint8_t x = (uint8_t)i, y = (uint8_t)(i / 256);
        memset(a, around[i / 65536 / sizeof(a)], sizeof(a));
        memcpy(b, a, sizeof(b));
        a[place] = x;
        b[place] = y;
        if (span_equal_nocase(span_of(a, sizeof(a)), span_of(b, sizeof(b))) != (ascii_lower(x) == ascii_lower(y)))
            fail_msg("%02x and %02x at %zu", (unsigned)x, (unsigned)y, place);
    }
}

/* Short and odd lengths are looked at in words that overlap: one letter's case and one letter at each place. */
static void letters_of_each_length(void **state)
{
    uint8_t a[24], b[24];

    (void)state;
    for (size_t n = 1; n <= sizeof(a); n++) {
        for (size_t place = 0; place < n; place++) {
            memset(a, 'x', sizeof(a));
            memset(b, 'x', sizeof(b));
            b[place] = 'X';
            assert_true(span_equal_nocase(span_of(a, n), span_of(b, n)));
            b[place] = 'y';
            assert_false(span_equal_nocase(span_of(a, n), span_of(b, n)));
        }
    }
}

static void copies_of_each_length(void **state)
{
    static const char text[] = "0123456789abcdefghijklmnopqrstuv";

    (void)state;
    for (size_t n = 0; n < sizeof(text); n++) {
        uint8_t to[sizeof(text) + 1];
        memset(to, '#', sizeof(to));
        assert_ptr_equal(span_put(to, span_of(text, n)), to + n);
        assert_memory_equal(to, text, n);
        assert_int_equal(to[n], '#');
    }
}

static void numbers(void **state)
{
    uint8_t room[SPAN_U64_BYTES];
    static const char *const bad[] = { "", "-1", "+1", " 1", "1 ", "1a", "0x1", "18446744073709551616", "99999999999999999999",
        "\xb3" };
    uint64_t value = 7;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(span_to_u64(span_of_text(bad[i]), &value));
    assert_int_equal(value, 7);
    assert_true(span_to_u64(S("0"), &value) && value == 0);
    assert_true(span_to_u64(S("000000000000000000000000000012"), &value) && value == 12);
    assert_true(span_to_u64(S("18446744073709551615"), &value) && value == UINT64_MAX);
    assert_true(span_equal(span_of_u64(0, room), S("0")));
    assert_true(span_equal(span_of_u64(9, room), S("9")));
    assert_true(span_equal(span_of_u64(10, room), S("10")));
    assert_true(span_equal(span_of_u64(UINT64_MAX, room), S("18446744073709551615")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makers),
        cmocka_unit_test(parts),
        cmocka_unit_test(comparisons),
        cmocka_unit_test(letters_in_words),
        cmocka_unit_test(letters_of_each_length),
        cmocka_unit_test(copies_of_each_length),
        cmocka_unit_test(numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
