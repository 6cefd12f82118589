/* Request ids and traceparent. */
#include "protocol/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static bool is_small_hex(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strchr("0123456789abcdef", p[i]) == NULL || p[i] == '\0')
            return false;
    return true;
}

static void ids_are_hex_and_never_twice(void **state)
{
    struct trace_ids ids = { .key.bytes = { 1, 2, 3 } }, other = { .key.bytes = { 1, 2, 4 } };
    static char seen[2000][TRACE_ID_BYTES];

    (void)state;
    for (size_t i = 0; i < 2000; i++) {
        trace_ids_next(i % 2 == 0 ? &ids : &other, seen[i]);
        assert_true(is_small_hex(seen[i], TRACE_ID_BYTES));
        for (size_t j = 0; j < i; j++)
            assert_true(memcmp(seen[i], seen[j], TRACE_ID_BYTES) != 0);
    }
}

static void a_request_id_is_visible_and_short(void **state)
{
    char longest[TRACE_REQUEST_ID_MAX + 1];

    (void)state;
    memset(longest, 'x', sizeof(longest));
    assert_true(trace_request_id_good(SPAN_LITERAL("7b4c-\"\\~!")));
    assert_true(trace_request_id_good(span_of(longest, TRACE_REQUEST_ID_MAX)));
    assert_false(trace_request_id_good(span_of(longest, TRACE_REQUEST_ID_MAX + 1)));
    assert_false(trace_request_id_good(SPAN_EMPTY));
    assert_false(trace_request_id_good(SPAN_LITERAL("a b")));
    assert_false(trace_request_id_good(SPAN_LITERAL("a\tb")));
    assert_false(trace_request_id_good(SPAN_LITERAL("a\x7f")));
    assert_false(trace_request_id_good(SPAN_LITERAL("\xc3\xa9")));
}

static void traceparents(void **state)
{
    static const struct {
        const char *value;
        bool good;
    } rows[] = {
        { "00-" TRACE "-" PARENT "-01", true },
        { "00-" TRACE "-" PARENT "-00", true },
        { "01-" TRACE "-" PARENT "-01", true },
        { "cc-" TRACE "-" PARENT "-01-what-the-future-will-be-like", true },
        { "cc-" TRACE "-" PARENT "-01.what", false },
        { "00-" TRACE "-" PARENT "-01-more", false },
        { "ff-" TRACE "-" PARENT "-01", false },
        { "00-" TRACE "-" PARENT "-0", false },
        { "00-" TRACE "-" PARENT "-0g", false },
        { "0-" TRACE "-" PARENT "-011", false },
        { "00_" TRACE "-" PARENT "-01", false },
        { "00-" TRACE "_" PARENT "-01", false },
        { "00-" TRACE "-" PARENT "_01", false },
        { "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01", false },
        { "00-00000000000000000000000000000000-" PARENT "-01", false },
        { "00-" TRACE "-0000000000000000-01", false },
        { "", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct span trace = trace_parent_read(span_of_text(rows[i].value));
        if ((trace.p != NULL) != rows[i].good || (rows[i].good && !span_equal(trace, SPAN_LITERAL(TRACE))))
            fail_msg("%s", rows[i].value);
    }
}

/* At every cut, in memory that ends there. */
static void cut_off(void **state)
{
    static const char whole[] = "00-" TRACE "-" PARENT "-01";

    (void)state;
    for (size_t n = 0; n < sizeof(whole); n++) {
        char *cut = malloc(n + 1);
        assert_non_null(cut);
        memcpy(cut + 1, whole, n);
        if ((trace_parent_read(span_of(cut + 1, n)).p != NULL) != (n == sizeof(whole) - 1))
            fail_msg("%zu bytes", n);
        free(cut);
    }
}

static void what_is_begun_can_be_read(void **state)
{
    struct trace_ids ids = { .n = 7 };
    char id[TRACE_ID_BYTES], parent[TRACE_PARENT_BYTES];

    (void)state;
    trace_ids_next(&ids, id);
    trace_parent_begin(&ids, id, parent);
    assert_true(span_equal(trace_parent_read(span_of(parent, sizeof(parent))), span_of(id, sizeof(id))));
    assert_memory_equal(parent + 52, "-01", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_hex_and_never_twice),
        cmocka_unit_test(a_request_id_is_visible_and_short),
        cmocka_unit_test(traceparents),
        cmocka_unit_test(cut_off),
        cmocka_unit_test(what_is_begun_can_be_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
