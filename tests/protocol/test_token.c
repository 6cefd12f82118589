/* Character classes against the grammar's own lists, for all 256 bytes. */
#include "protocol/token.h"
#include "protocol/token_runs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S SPAN_LITERAL

/* RFC 9110 section 5.6.2, letter by letter. */
static bool tchar_by_grammar(unsigned c)
{
    return c != 0 && c < 128 && strchr("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (int)c) != NULL;
}

/* RFC 9110 section 5.5: field-vchar = VCHAR / obs-text, with SP and HTAB between. */
static bool value_by_grammar(unsigned c)
{
    return c == 9 || c == 32 || (c > 32 && c < 127) || c >= 128;
}

static void all_bytes(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        uint8_t text[3] = { 'a', (uint8_t)c, 'b' };
        bool tchar = tchar_by_grammar(c), value = value_by_grammar(c);

        assert_int_equal(token_is_tchar((uint8_t)c), tchar);
        assert_int_equal(token_is_token(span_of(text, 3)), tchar);
        assert_int_equal(token_tchars(span_of(text, 3)), tchar ? 3 : 1);
        assert_int_equal(token_is_field_value(span_of(text, 3)), value);
        assert_int_equal(token_value_bytes(span_of(text, 3)), value ? 3 : 1);
    }
    assert_false(token_is_token(SPAN_EMPTY));
    assert_true(token_is_field_value(SPAN_EMPTY));
}

static bool plain_by_grammar(unsigned c)
{
    return tchar_by_grammar(c) && strchr("!#$%&'*+.^_`|~", (int)c) == NULL;
}

static void check_runs(const uint8_t *text, size_t n, size_t at)
{
    unsigned c = text[at];
    struct span s = span_of(text, n);
    size_t plain_value = c >= 0x20 && c != 0x7f ? n : at;

    assert_int_equal(token_value_bytes(s), value_by_grammar(c) ? n : at);
    assert_int_equal(token_is_field_value(s), value_by_grammar(c));
    assert_int_equal(token_run8(s, token_odd_values8), plain_value < n / 8 * 8 ? plain_value : n / 8 * 8);
    assert_true(token_run_values(s) <= plain_value);
}

static void check_names(const uint8_t *text, size_t n, size_t at)
{
    unsigned c = text[at];
    struct span s = span_of(text, n);
    size_t plain = plain_by_grammar(c) ? n : at;

    assert_int_equal(token_tchars(s), tchar_by_grammar(c) ? n : at);
    assert_int_equal(token_is_token(s), tchar_by_grammar(c));
    assert_int_equal(token_is_plain((uint8_t)c), plain_by_grammar(c));
    assert_int_equal(token_plain(s), plain);
    assert_int_equal(token_run8(s, token_odd_letters8), plain < n / 8 * 8 ? plain : n / 8 * 8);
    assert_true(token_run_letters(s) <= plain);
}

/* They are looked at in pieces of four, eight or sixteen bytes: each byte at each place of each length, beside the last lawful ones. What
 * is looked at ends where the array ends: no byte behind it is touched. */
static void each_byte_anywhere(void **state)
{
    uint8_t value[35], name[35];

    (void)state;
    for (unsigned fill = 0; fill < 3; fill++) {
        for (size_t n = 1; n <= sizeof(value); n++) {
            for (size_t at = 0; at < n; at++) {
                uint8_t *v = value + sizeof(value) - n, *t = name + sizeof(name) - n;
                memset(value, "\x20\x7e\xff"[fill], sizeof(value));
                memset(name, "aZ-"[fill], sizeof(name));
                for (unsigned c = 0; c < 256; c++) {
                    v[at] = t[at] = (uint8_t)c;
                    check_runs(v, n, at);
                    check_names(t, n, at);
                }
            }
        }
    }
}

/* The first of two counts. */
static void two_odd_bytes(void **state)
{
    uint8_t text[35];

    (void)state;
    for (size_t n = 1; n <= sizeof(text); n++) {
        for (size_t first = 0; first < n; first++) {
            for (size_t second = first; second < n; second++) {
                memset(text, 'a', sizeof(text));
                text[first] = text[second] = '\r';
                assert_int_equal(token_value_bytes(span_of(text, n)), first);
                assert_int_equal(token_tchars(span_of(text, n)), first);
                assert_int_equal(token_plain(span_of(text, n)), first);
            }
        }
    }
}

static void trimming(void **state)
{
    (void)state;
    assert_true(span_equal(token_trim(S(" \t a b\t ")), S("a b")));
    assert_int_equal(token_trim(S(" \t ")).n, 0);
    assert_int_equal(token_trim(SPAN_EMPTY).n, 0);
    assert_true(span_equal(token_trim(S("\x0b""a\r")), S("\x0b""a\r")));
}

static void quoted_strings(void **state)
{
    static const struct { const char *text, *inner; } rows[] = {
        { "token", "token" }, { "\"\"", "" }, { "\"a b\"", "a b" }, { "\"a\\\"b\\\\\"", "a\"b\\" }, { "\"\\a\"", "a" },
        { "\"\t\x80\"", "\t\x80" },
        { "", NULL }, { "a b", NULL }, { "\"", NULL }, { "\"a", NULL }, { "a\"", NULL }, { "\"a\"b\"", NULL },
        { "\"a\\\"", NULL },
        { "\"a\x01\"", NULL }, { "\"\\\x01\"", NULL }, { "\"a\"b", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t out[16];
        size_t n = 0;
        bool good = token_unquote(span_of_text(rows[i].text), out, &n);

        assert_int_equal(good, rows[i].inner != NULL);
        if (good)
            assert_true(span_equal(span_of(out, n), span_of_text(rows[i].inner)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_bytes),
        cmocka_unit_test(each_byte_anywhere),
        cmocka_unit_test(two_odd_bytes),
        cmocka_unit_test(trimming),
        cmocka_unit_test(quoted_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
