/* Field lists and the members of list fields. */
#include "protocol/headers.h"
#include "protocol/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S SPAN_LITERAL

static void add(struct headers *h, const char *name, const char *value)
{
    assert_int_equal(headers_add(h, span_of_text(name), span_of_text(value)), FAULT_NONE);
}

static void finds_without_case_in_order(void **state)
{
    struct headers h;
    struct arena a;

    (void)state;
    arena_init(&a, 10000);
    headers_init(&h, &a, 0);
    add(&h, "Host", "a");
    add(&h, "Set-Cookie", "1");
    add(&h, "X", "x");
    add(&h, "set-cookie", "2");
    assert_int_equal(headers_count(&h, S("SET-COOKIE")), 2);
    assert_int_equal(headers_count(&h, S("none")), 0);
    assert_true(span_equal(headers_value(&h, S("set-cookie")), S("1")));
    assert_null(headers_value(&h, S("set_cookie")).p);
    assert_ptr_equal(headers_find(&h, S("x")), &h.fields[2]);
    assert_null(headers_find(&h, S("Hos")));
    headers_remove(&h, S("Set-COOKIE"));
    assert_int_equal(h.n, 2);
    assert_true(span_equal(h.fields[1].name, S("X")));
    arena_free(&a);
}

static void limits(void **state)
{
    struct headers h;
    struct arena a;

    (void)state;
    arena_init(&a, 100000);
    headers_init(&h, &a, 40);
    for (int i = 0; i < 40; i++)
        add(&h, "A", "b");
    assert_int_equal(headers_add(&h, S("A"), S("b")), FAULT_TOO_MANY_FIELDS);
    assert_int_equal(h.n, 40);
    arena_reset(&a);
    a.cap_bytes = 600;
    headers_init(&h, &a, 0);
    assert_int_equal(headers_reserve(&h, 18), FAULT_NONE);
    for (int i = 0; i < 18; i++)
        add(&h, "A", "b");
    assert_int_equal(headers_add(&h, S("A"), S("b")), FAULT_NO_MEMORY);
    assert_int_equal(h.n, 18);
    arena_free(&a);
}

static const struct {
    const char *lines[3];
    const char *members;                 /* with "|" between them */
} lists[] = {
    { { "" }, "" },
    { { "a" }, "a" },
    { { "a,b" }, "a|b" },
    { { " a ,\tb\t" }, "a|b" },
    { { ",,a,,b,," }, "a|b" },
    { { " , ,\t" }, "" },
    { { "a", "b, c" }, "a|b|c" },
    { { "a", "", "c" }, "a|c" },
    { { "\"a,b\", c" }, "\"a,b\"|c" },
    { { "\"a\\\",b\", c" }, "\"a\\\",b\"|c" },
    { { "x=\"a,b\";y, c" }, "x=\"a,b\";y|c" },
    { { "\"open, b" }, "\"open, b" },
    { { "\"open\\" }, "\"open\\" },
    { { "a\\,b" }, "a\\|b" },
};

static void walk_all(struct list_walk walk, char *out, size_t room)
{
    struct span member;
    size_t n = 0;

    out[0] = '\0';
    while (list_walk_next(&walk, &member))
        n += (size_t)snprintf(out + n, room - n, "%s%.*s", n > 0 ? "|" : "", SPAN_FORMAT(member));
    assert_false(list_walk_next(&walk, &member));
}

static void list_members(void **state)
{
    char got[200];

    (void)state;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        struct headers h;
        struct arena a;

        arena_init(&a, 10000);
        headers_init(&h, &a, 0);
        add(&h, "Other", "x, y");
        for (size_t k = 0; k < 3 && lists[i].lines[k] != NULL; k++) {
            add(&h, "List", lists[i].lines[k]);
            add(&h, "Other", "x, y");
        }
        walk_all(list_walk_field(&h, S("list")), got, sizeof(got));
        assert_string_equal(got, lists[i].members);
        if (lists[i].lines[1] == NULL) {
            walk_all(list_walk_value(span_of_text(lists[i].lines[0])), got, sizeof(got));
            assert_string_equal(got, lists[i].members);
        }
        arena_free(&a);
    }
}

static void list_has(void **state)
{
    struct headers h;
    struct arena a;

    (void)state;
    arena_init(&a, 10000);
    headers_init(&h, &a, 0);
    add(&h, "Connection", "keep-alive, X");
    add(&h, "connection", "CLOSE");
    assert_true(headers_list_has(&h, S("connection"), S("close")));
    assert_true(headers_list_has(&h, S("connection"), S("x")));
    assert_false(headers_list_has(&h, S("connection"), S("keep")));
    assert_false(headers_list_has(&h, S("upgrade"), S("close")));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_without_case_in_order),
        cmocka_unit_test(limits),
        cmocka_unit_test(list_members),
        cmocka_unit_test(list_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
