/* Character classes against the grammar's own lists, for all 256 bytes. */
#include "protocol/token.h"

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

/* Values are looked at in pieces of eight bytes: each byte at each place of each length, beside the last lawful ones. */
static void each_byte_anywhere(void **state)
{
    uint8_t text[27];

    (void)state;
    for (unsigned fill = 0; fill < 3; fill++) {
        for (size_t n = 1; n <= sizeof(text); n++) {
            for (size_t at = 0; at < n; at++) {
                memset(text, "\x20\x7e\xff"[fill], sizeof(text));
                for (unsigned c = 0; c < 256; c++) {
                    text[at] = (uint8_t)c;
                    assert_int_equal(token_value_bytes(span_of(text, n)), value_by_grammar(c) ? n : at);
                    assert_int_equal(token_is_field_value(span_of(text, n)), value_by_grammar(c));
                }
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
        cmocka_unit_test(trimming),
        cmocka_unit_test(quoted_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
