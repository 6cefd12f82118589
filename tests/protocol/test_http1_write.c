/* Heads and chunks: byte for byte, and read back by the parser as what they were. */
#include "protocol/http1_write.h"
#include "protocol/http1_parse.h"
#include "protocol/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S SPAN_LITERAL

static struct arena arena;
static struct headers fields;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 100000);
    headers_init(&fields, &arena, 0);
    headers_add(&fields, S("Host"), S("a"));
    headers_add(&fields, S("X"), SPAN_EMPTY);
    headers_add(&fields, S("Y"), S("\x80 \t b"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void assert_text(struct span got, struct span due)
{
    if (!span_equal(got, due))
        fail_msg("%.*s instead of %.*s", SPAN_FORMAT(got), SPAN_FORMAT(due));
}

static void heads(void **state)
{
    (void)state;
    assert_text(http1_write_request_head(&arena, S("M-X"), S("/a?b"), &fields),
        S("M-X /a?b HTTP/1.1\r\nHost: a\r\nX: \r\nY: \x80 \t b\r\n\r\n"));
    assert_text(http1_write_request_head(&arena, S("GET"), S("*"), NULL), S("GET * HTTP/1.1\r\n\r\n"));
    assert_text(http1_write_response_head(&arena, 299, S("Fine"), &fields),
        S("HTTP/1.1 299 Fine\r\nHost: a\r\nX: \r\nY: \x80 \t b\r\n\r\n"));
    assert_text(http1_write_response_head(&arena, 404, SPAN_EMPTY, NULL), S("HTTP/1.1 404 Not Found\r\n\r\n"));
    assert_text(http1_write_response_head(&arena, 599, SPAN_EMPTY, NULL), S("HTTP/1.1 599 \r\n\r\n"));
    assert_text(http1_write_response_head(&arena, 100, SPAN_EMPTY, NULL), S("HTTP/1.1 100 Continue\r\n\r\n"));
}

static void chunks(void **state)
{
    static const struct { uint64_t size; const char *text; } rows[] = {
        { 1, "1\r\n" }, { 15, "f\r\n" }, { 16, "10\r\n" }, { 0xabc, "abc\r\n" }, { 65536, "10000\r\n" },
        { UINT64_MAX, "ffffffffffffffff\r\n" }, { (uint64_t)1 << 60, "1000000000000000\r\n" },
        { ((uint64_t)1 << 60) - 1, "fffffffffffffff\r\n" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t out[HTTP1_CHUNK_HEAD_BYTES];
        size_t n = http1_write_chunk_head(out, rows[i].size);

        assert_text(span_of(out, n), span_of_text(rows[i].text));
    }
    assert_text(http1_write_last_chunk(&arena, NULL), S("0\r\n\r\n"));
    assert_text(http1_write_last_chunk(&arena, &fields), S("0\r\nHost: a\r\nX: \r\nY: \x80 \t b\r\n\r\n"));
}

static void reasons(void **state)
{
    (void)state;
    assert_string_equal(http1_reason(200), "OK");
    assert_string_equal(http1_reason(511), "Network Authentication Required");
    assert_string_equal(http1_reason(299), "");
}

static void every_allocation_fails(void **state)
{
    struct arena small;

    (void)state;
    for (int which = 0; which < 3; which++) {
        arena_init(&small, 1000);
        mem_fail_nth(1);
        assert_null((which == 0 ? http1_write_request_head(&small, S("GET"), S("/"), &fields)
                     : which == 1 ? http1_write_response_head(&small, 200, SPAN_EMPTY, &fields)
                                  : http1_write_last_chunk(&small, &fields)).p);
        mem_fail_nth(0);
        arena_free(&small);
    }
}

/* What is written is read as the same head, the same fields, the same body. */
static void read_back(void **state)
{
    static const struct http1_limits limits = { .head_bytes = 4096, .fields = 32, .chunk_extension_bytes = 16 };
    struct http1_parse *h = http1_parse_new(HTTP1_REQUEST, &limits);
    uint8_t message[1000];
    struct http1_result r;
    struct span part;
    size_t n = 0, at;

    (void)state;
    headers_add(&fields, S("Transfer-Encoding"), S("chunked"));
    part = http1_write_request_head(&arena, S("PUT"), S("/x"), &fields);
    memcpy(message, part.p, part.n);
    n += part.n;
    n += http1_write_chunk_head(message + n, 3);
    memcpy(message + n, "abc\r\n", 5);
    n += 5;
    headers_remove(&fields, S("Transfer-Encoding"));
    part = http1_write_last_chunk(&arena, &fields);
    memcpy(message + n, part.p, part.n);
    n += part.n;

    at = http1_parse_next(h, message, n, &r);
    assert_int_equal(r.event, HTTP1_HEAD);
    assert_int_equal(r.head->fields.n, 4);
    assert_text(r.head->fields.fields[2].value, S("\x80 \t b"));
    at += http1_parse_next(h, message + at, n - at, &r);
    assert_text(r.data, S("abc"));
    http1_parse_took(h, 3);
    at += 3;
    at += http1_parse_next(h, message + at, n - at, &r);
    assert_int_equal(r.event, HTTP1_END);
    assert_int_equal(r.trailers->n, 3);
    assert_int_equal(at, n);
    http1_parse_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(heads, setup, teardown),
        cmocka_unit_test_setup_teardown(chunks, setup, teardown),
        cmocka_unit_test(reasons),
        cmocka_unit_test_setup_teardown(every_allocation_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(read_back, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
