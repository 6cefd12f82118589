/* Cookies by name, over one field or several, however they are spaced; nothing is read past the bytes that are there. */
#include "protocol/cookie.h"
#include "protocol/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void by_name(void **state)
{
    static const struct {
        const char *fields[3];
        const char *name, *value;        /* value NULL: there is none */
    } rows[] = {
        { { "a=1" }, "a", "1" },
        { { "a=1; b=2" }, "b", "2" },
        { { "b=2;a=1" }, "a", "1" },
        { { "b=2 ;  a = 1 ; c=3" }, "a", "1" },
        { { "a=1; a=2" }, "a", "1" },
        { { "a=" }, "a", "" },
        { { "a=x=y=" }, "a", "x=y=" },
        { { "a=\"q\"" }, "a", "\"q\"" },
        { { "b=2", "a=1" }, "a", "1" },
        { { "b=2", "c=3; a=1", "a=2" }, "a", "1" },
        { { "A=1" }, "a", NULL },
        { { "aa=1; ba=2; a" }, "a", NULL },
        { { "b=a=1" }, "a", NULL },
        { { "" }, "a", NULL },
        { { ";;; ; =; " }, "a", NULL },
        { { "=1" }, "a", NULL },
        { { NULL }, "a", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct arena arena;
        struct headers h;
        struct span value;
        char *copies[3] = { NULL };
        arena_init(&arena, 4096);
        headers_init(&h, &arena, 0);
        headers_add(&h, SPAN_LITERAL("X"), SPAN_LITERAL("a=9"));
        for (size_t f = 0; f < 3 && rows[i].fields[f] != NULL; f++) {
            size_t n = strlen(rows[i].fields[f]);
            copies[f] = malloc(n > 0 ? n : 1);           /* exactly as long, for the sanitizer to see */
            memcpy(copies[f], rows[i].fields[f], n);
            headers_add(&h, f == 1 ? SPAN_LITERAL("cookie") : SPAN_LITERAL("Cookie"), span_of(copies[f], n));
        }
        value = cookie_value(&h, span_of_text(rows[i].name));
        if ((value.p == NULL) != (rows[i].value == NULL) || !span_equal(value, span_of_text(rows[i].value)))
            fail_msg("row %zu: `%.*s`", i, SPAN_FORMAT(value));
        arena_free(&arena);
        for (size_t f = 0; f < 3; f++)
            free(copies[f]);
    }
    assert_int_equal(mem_live_blocks(), 0);
}

static void removed(void **state)
{
    static const struct {
        const char *fields[2], *left[2];         /* left NULL: the field is gone */
    } rows[] = {
        { { "a=1" }, { NULL } },
        { { "a=1; a=2;a = 3 " }, { NULL } },
        { { "a=1; b=2" }, { "b=2" } },
        { { "b=2;a=1;c=3" }, { "b=2; c=3" } },
        { { "b=2; a=1" }, { "b=2" } },
        { { "b=2;;  c=\"x y\" ; d; a=1;" }, { "b=2; c=\"x y\"; d" } },
        { { "a=; ;" }, { NULL } },
        { { "b=2;c" , "a=1" }, { "b=2;c", NULL } },      /* what does not have it stays as it is */
        { { "a=1", "aa=1;A=2" }, { NULL, "aa=1;A=2" } },
        { { "b=a=1" }, { "b=a=1" } },
        { { "a;b=2;a=1" }, { "a; b=2" } },
        { { "" }, { "" } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct arena arena;
        struct headers h, out;
        size_t at = 1;
        arena_init(&arena, 65536);
        headers_init(&h, &arena, 0);
        headers_add(&h, SPAN_LITERAL("X"), SPAN_LITERAL("a=9"));
        for (size_t f = 0; f < 2 && rows[i].fields[f] != NULL; f++)
            headers_add(&h, f == 1 ? SPAN_LITERAL("cookie") : SPAN_LITERAL("Cookie"), span_of_text(rows[i].fields[f]));
        headers_add(&h, SPAN_LITERAL("Y"), SPAN_LITERAL("a=8"));
        assert_int_equal(cookie_remove(&arena, &h, SPAN_LITERAL("a"), &out), FAULT_NONE);
        assert_true(span_equal(out.fields[0].value, SPAN_LITERAL("a=9")));
        for (size_t f = 0; f < 2 && rows[i].fields[f] != NULL; f++)
            if (rows[i].left[f] != NULL && !span_equal(out.fields[at++].value, span_of_text(rows[i].left[f])))
                fail_msg("row %zu: `%.*s`", i, SPAN_FORMAT(out.fields[at - 1].value));
        assert_int_equal(out.n, at + 1);
        assert_true(span_equal(out.fields[at].value, SPAN_LITERAL("a=8")));
        arena_free(&arena);
    }
    assert_int_equal(mem_live_blocks(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(removed),
        cmocka_unit_test(by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
