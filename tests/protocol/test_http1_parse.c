/* HTTP/1.x messages: what is accepted, what is refused and as what, however the bytes are cut. */
#include "protocol/http1_parse.h"
#include "protocol/mem.h"
#include "tests/protocol/http1_log.h"
#include "tests/protocol/http1_rows.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const struct http1_limits usual = { .head_bytes = 4096, .fields = 32, .chunk_extension_bytes = 16 };

static struct http1_log log_of(const struct http1_row *row, enum http1_kind kind, const struct http1_limits *limits)
{
    return (struct http1_log){
        .parse = http1_parse_new(kind, limits),
        .kind = kind,
        .show_fields = strncmp(row->name, "fields_", 7) == 0,
        .head_request = strncmp(row->name, "head_", 5) == 0,
    };
}

/* A position is compared where the row gives one. */
static bool is_due(struct split_log *got, const char *due)
{
    char *at = strchr(got->text, '@');

    if (at != NULL && strchr(due, '@') == NULL)
        *at = '\0';
    return strcmp(got->text, due) == 0;
}

static size_t run_row(const struct http1_row *row, enum http1_kind kind, const struct http1_limits *limits)
{
    bool due;
    struct http1_log l = log_of(row, kind, limits);
    static struct split_log got, sips;

    split_all(row->name, http1_log_run, &l, span_of(row->bytes, row->n), &got);
    l.most_taken = 1;
    split_all(row->name, http1_log_run, &l, span_of(row->bytes, row->n < 200 ? row->n : 0), &sips);
    if (row->n < 200)
        assert_string_equal(sips.text, got.text);
    due = is_due(&got, row->due);
    if (!due)
        print_error("%s:\n  due: %s\n  got: %s\n", row->name, row->due, got.text);
    http1_parse_free(l.parse);
    return due ? 0 : 1;
}

/* Every row, so that one run shows all that differ. */
static void run_rows(const struct http1_row *rows, size_t n, enum http1_kind kind, const struct http1_limits *limits)
{
    size_t wrong = 0;

    for (size_t i = 0; i < n; i++)
        wrong += run_row(&rows[i], kind, limits);
    assert_int_equal(wrong, 0);
}

#define ALL(rows) (rows), sizeof(rows) / sizeof((rows)[0])

static void requests(void **state)
{
    (void)state;
    run_rows(ALL(request_rows), HTTP1_REQUEST, &usual);
}

static void responses(void **state)
{
    (void)state;
    run_rows(ALL(response_rows), HTTP1_RESPONSE, &usual);
}

/* A head of exactly the limit passes, one byte more does not, and says which part was too long. */
static void limit_head(void **state)
{
    const struct http1_limits tight = { .head_bytes = 40, .fields = 3, .chunk_extension_bytes = 16 };
    const struct http1_row rows[] = {
        ROW("exact", "GET / HTTP/1.1\r\nABCDEF: 345678901234\r\n\r\n", G_DUE "."),
        ROW("one_more", "GET / HTTP/1.1\r\nABCDEF: 3456789012345\r\n\r\n", "!head_too_large@40"),
        ROW("endless_value", "GET / HTTP/1.1\r\nA: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "!head_too_large@40"),
        ROW("endless_name", "GET / HTTP/1.1\r\nbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "!head_too_large@40"),
        ROW("target", "GET /6789012345678901234567890123456789012345 HTTP/1.1\r\n\r\n", "!target_too_long@40"),
        ROW("target_that_fits", "GET /678901234567890123456 HTTP/1.1\r\n\r\n", "GET /678901234567890123456 1.1 none keep;."),
        ROW("target_and_version", "GET /678901234567890123456789012345 HTTP/1.1\r\n\r\n", "!head_too_large@40"),
        ROW("fields", "GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\n\r\n", G_DUE "."),
        ROW("one_field_more", "GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\nD:\r\n\r\n", "!too_many_fields@32"),
        ROW("fault_before_the_limit", "GET / HTTP/1.1\r\nABCDEF: 34567890123456\n", "!line_ending@38"),
        ROW("fault_behind_the_limit", "GET / HTTP/1.1\r\nABCDEF: 3456789012345678\n", "!head_too_large@40"),
        ROW("blank_line_not_counted", "\r\nGET / HTTP/1.1\r\nABCDEF: 345678901234\r\n\r\n", G_DUE "."),
    };

    (void)state;
    run_rows(ALL(rows), HTTP1_REQUEST, &tight);
}

static void limit_trailers(void **state)
{
    const struct http1_limits tight = { .head_bytes = 60, .fields = 2, .chunk_extension_bytes = 16 };
    const struct http1_row rows[] = {
        ROW("fields", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nC: d\r\n\r\n", PC ".{A: b|C: d}"),
        ROW("one_field_more", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nC: d\r\nE:\r\n\r\n", PC
            "!too_many_fields@66"),
        ROW("bytes", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
            "A: 456789012345678901234567890123456789012345678901234567890", PC "!head_too_large@110"),
        ROW("endless_zeros", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000000000000", PC "!chunk@63"),
    };

    (void)state;
    run_rows(ALL(rows), HTTP1_REQUEST, &tight);
}

/* Announced: refused at the head. Not announced: when it is reached, and not a byte more is shown. */
static void limit_body(void **state)
{
    const struct http1_limits tight = { .head_bytes = 4096, .fields = 32, .chunk_extension_bytes = 16, .body_bytes = 3 };
    const struct http1_row requests_due[] = {
        ROW("length", P "Content-Length: 3\r\n\r\nabc", "POST / 1.1 length=3 keep;'abc'."),
        ROW("length_more", P "Content-Length: 4\r\n\r\n", "!body_too_large"),
        ROW("chunks", CHUNKED "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", PC "'abc'."),
        ROW("chunks_more", CHUNKED "1\r\na\r\n3\r\nbcd\r\n0\r\n\r\n", PC "'a'!body_too_large"),
        ROW("chunk_huge", CHUNKED "ffffffffffffffff\r\n", PC "!body_too_large"),
    };
    const struct http1_row responses_due[] = {
        ROW("close", A "\r\nabc", "200 OK 1.1 close close;'abc'~end"),
        ROW("close_more", A "\r\nabcd", "200 OK 1.1 close close;'abc'!body_too_large"),
    };

    (void)state;
    run_rows(ALL(requests_due), HTTP1_REQUEST, &tight);
    run_rows(ALL(responses_due), HTTP1_RESPONSE, &tight);
}

/* Mission B9: targets of 8000 octets and heads of 64 KiB pass by default, also one byte at a time. */
static void large_heads_pass(void **state)
{
    const struct http1_limits roomy = { .head_bytes = 65536, .fields = 200, .chunk_extension_bytes = 4096 };
    struct http1_parse *h = http1_parse_new(HTTP1_REQUEST, &roomy);
    static uint8_t text[65536];
    struct http1_result r;

    (void)state;
    for (size_t step = 1; step < 70000; step = step * 40 + 1) {
        size_t n = 0, at = 0;

        n += (size_t)snprintf((char *)text, sizeof(text), "GET /");
        memset(text + n, 'a', 8000);
        n += 8000;
        n += (size_t)snprintf((char *)text + n, sizeof(text) - n, " HTTP/1.1\r\nX: ");
        memset(text + n, 'b', sizeof(text) - 4 - n);
        n = sizeof(text) - 4;
        memcpy(text + n, "\r\n\r\n", 4);
        n += 4;
        do
            at += http1_parse_next(h, text + at, step < n - at ? step : n - at, &r);
        while (r.event == HTTP1_MORE);
        assert_int_equal(r.event, HTTP1_HEAD);
        assert_int_equal(at, sizeof(text));
        assert_int_equal(r.head->target.n, 8001);
        assert_int_equal(headers_value(&r.head->fields, SPAN_LITERAL("x")).n, sizeof(text) - 4 - 8019);
        http1_parse_reset(h);
    }
    http1_parse_free(h);
}

/* Of forty fields the tenth is longer than 65,535 bytes; their parts are the same however lines are cut. */
#define MANY 40
static struct span many_fields(void)
{
    static uint8_t text[72000];
    size_t n = (size_t)snprintf((char *)text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n");

    for (unsigned i = 0; i < MANY; i++) {
        n += (size_t)snprintf((char *)text + n, sizeof(text) - n, "Field-%u: \tvalue %u ", i, i);
        memset(text + n, 'x', i == 10 ? 70000 : 0);
        n += i == 10 ? 70000 : 0;
        n += (size_t)snprintf((char *)text + n, sizeof(text) - n, " \r\n");
    }
    n += (size_t)snprintf((char *)text + n, sizeof(text) - n, "\r\n");
    return span_of(text, n);
}

static void check_many(const struct headers *fields)
{
    assert_int_equal(fields->n, MANY + 1);
    for (unsigned i = 0; i < MANY; i++) {
        char name[16], value[16];
        struct field f = fields->fields[i + 1];
        snprintf(name, sizeof(name), "Field-%u", i);
        snprintf(value, sizeof(value), "value %u", i);
        assert_true(span_equal(f.name, span_of_text(name)));
        assert_true(span_starts_with(f.value, span_of_text(value)));
        assert_int_equal(f.value.n, strlen(value) + (i == 10 ? 70001 : 0));
    }
}

static void many_fields_in_any_pieces(void **state)
{
    const struct http1_limits roomy = { .head_bytes = 100000, .fields = 200, .chunk_extension_bytes = 16 };
    struct http1_parse *h = http1_parse_new(HTTP1_REQUEST, &roomy);
    const struct span text = many_fields();
    struct http1_result r;

    (void)state;
    for (size_t step = 1; step < 2 * text.n; step = step < 200 ? step + 1 : step * 3) {
        for (size_t at = 0; at < text.n;) {
            size_t end = at + step < text.n ? at + step : text.n;
            while (at < end)
                at += http1_parse_next(h, text.p + at, end - at, &r);
        }
        assert_int_equal(r.event, HTTP1_HEAD);
        check_many(&r.head->fields);
        http1_parse_reset(h);
    }
    http1_parse_free(h);
}

static enum http1_event feed(struct http1_parse *h, const char *text, struct http1_result *r)
{
    size_t consumed = http1_parse_next(h, (const uint8_t *)text, strlen(text), r);

    assert_int_equal(consumed, strlen(text));
    return r->event;
}

/* What was shown and not taken comes again, as long as the caller likes. */
static void took(void **state)
{
    struct http1_parse *h = http1_parse_new(HTTP1_REQUEST, &usual);
    struct http1_result r;
    const uint8_t *body = (const uint8_t *)"abcdefg";

    (void)state;
    feed(h, CHUNKED, &r);
    assert_int_equal(feed(h, "7\r\n", &r), HTTP1_MORE);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(http1_parse_next(h, body, 4, &r), 0);
        assert_int_equal(r.event, HTTP1_BODY);
        assert_ptr_equal(r.data.p, body);
        assert_int_equal(r.data.n, 4);
        http1_parse_took(h, 0);
    }
    http1_parse_took(h, 3);
    assert_int_equal(http1_parse_next(h, body + 3, 4, &r), 0);
    assert_int_equal(r.data.n, 1);
    http1_parse_took(h, 1);
    assert_int_equal(http1_parse_next(h, body + 4, 3, &r), 0);
    assert_int_equal(r.data.n, 3);
    http1_parse_took(h, 3);
    assert_int_equal(feed(h, "\r\n0\r\n\r\n", &r), HTTP1_END);
    http1_parse_free(h);
}

/* Faults stay until the reset; the head says how far it was read. */
static void faults_are_sticky(void **state)
{
    struct http1_parse *h = http1_parse_new(HTTP1_REQUEST, &usual);
    struct http1_result r;

    (void)state;
    http1_parse_next(h, (const uint8_t *)"GET /x HTTP/3.0\r\n", 17, &r);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(r.event, HTTP1_FAULT);
        assert_int_equal(r.fault, FAULT_VERSION);
        assert_true(span_equal(r.head->method, SPAN_LITERAL("GET")));
        assert_true(span_equal(r.head->target, SPAN_LITERAL("/x")));
        assert_int_equal(http1_parse_next(h, (const uint8_t *)G "\r\n", sizeof(G) + 1, &r), 0);
    }
    http1_parse_eof(h, &r);
    assert_int_equal(r.fault, FAULT_VERSION);
    http1_parse_reset(h);
    assert_int_equal(feed(h, G "\r\n", &r), HTTP1_HEAD);
    http1_parse_free(h);
}

/* The end is said as often as it is asked for; the next message begins after a reset only. */
static void end_is_sticky(void **state)
{
    struct http1_parse *h = http1_parse_new(HTTP1_REQUEST, &usual);
    struct http1_result r;

    (void)state;
    assert_false(http1_parse_started(h));
    assert_int_equal(feed(h, "G", &r), HTTP1_MORE);
    assert_true(http1_parse_started(h));
    feed(h, "ET / HTTP/1.1\r\n\r\n", &r);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(http1_parse_next(h, (const uint8_t *)"GET", 3, &r), 0);
        assert_int_equal(r.event, HTTP1_END);
        assert_int_equal(r.trailers->n, 0);
    }
    http1_parse_eof(h, &r);
    assert_int_equal(r.event, HTTP1_END);
    http1_parse_reset(h);
    assert_false(http1_parse_started(h));
    assert_int_equal(feed(h, "\r\n", &r), HTTP1_MORE);
    assert_false(http1_parse_started(h));
    http1_parse_free(h);
}

/* A 1xx head stands until more bytes come; after a 101 nothing is read. */
static void interim_heads(void **state)
{
    struct http1_parse *h = http1_parse_new(HTTP1_RESPONSE, &usual);
    struct http1_result r;

    (void)state;
    assert_int_equal(feed(h, "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n", &r), HTTP1_HEAD);
    assert_int_equal(http1_parse_next(h, NULL, 0, &r), 0);
    assert_int_equal(r.event, HTTP1_MORE);
    assert_int_equal(r.head->status, 103);
    assert_int_equal(feed(h, "HTTP/1.1 101 Switching Protocols\r\n\r\n", &r), HTTP1_HEAD);
    assert_int_equal(http1_parse_next(h, (const uint8_t *)"\x81\x00", 2, &r), 0);
    assert_int_equal(r.event, HTTP1_END);
    http1_parse_reset(h);
    for (int i = 0; i < 32; i++)
        assert_int_equal(feed(h, "HTTP/1.1 100 Continue\r\n\r\n", &r), HTTP1_HEAD);
    assert_int_equal(feed(h, "HTTP/1.1 100 Continue\r\n\r\n", &r), HTTP1_FAULT);
    assert_int_equal(r.fault, FAULT_INTERIM_FLOOD);
    http1_parse_free(h);
}

/* In a caller's memory an ordinary head takes none of ours, a long one does and gives it back. */
static void lies_in_room_that_is_lent(void **state)
{
    static alignas(max_align_t) uint8_t room[2048];
    static char long_head[4096];
    size_t blocks = mem_live_blocks();
    struct http1_parse *h = http1_parse_new_in(room, sizeof(room), HTTP1_RESPONSE, &usual);
    struct http1_result r;

    (void)state;
    snprintf(long_head, sizeof(long_head), "HTTP/1.1 200 OK\r\nX: %01500d\r\nContent-Length: 0\r\n\r\n", 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(feed(h, "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", &r), HTTP1_HEAD);
        assert_int_equal(mem_live_blocks(), blocks);
        assert_int_equal(r.head->fields.n, 1);
        http1_parse_reset(h);
        assert_int_equal(feed(h, long_head, &r), HTTP1_HEAD);
        assert_true(mem_live_blocks() > blocks);
        assert_int_equal(r.head->fields.n, 2);
        http1_parse_idle(h);
        assert_int_equal(mem_live_blocks(), blocks);
    }
    http1_parse_free(h);
    assert_int_equal(mem_live_blocks(), blocks);
}

/* An idle parser is one small block; a used one gives everything back. */
static void idle_is_small(void **state)
{
    size_t blocks = mem_live_blocks(), bytes = mem_live_bytes();
    struct http1_parse *h = http1_parse_new(HTTP1_REQUEST, &usual);
    struct http1_result r;

    (void)state;
    assert_int_equal(mem_live_blocks(), blocks + 1);
    assert_true(mem_live_bytes() - bytes <= 128);
    feed(h, G "\r\n", &r);
    assert_int_equal(mem_live_blocks(), blocks + 2);
    http1_parse_idle(h);
    assert_int_equal(mem_live_blocks(), blocks + 1);
    assert_int_equal(feed(h, G "\r\n", &r), HTTP1_HEAD);
    http1_parse_free(h);
    assert_int_equal(mem_live_blocks(), blocks);
    assert_int_equal(mem_live_bytes(), bytes);
    http1_parse_free(NULL);
}

/* A message whose head, fields and trailers each need more than the arena's first block. */
static struct span large_message(void)
{
    static char text[30000];
    size_t n = (size_t)snprintf(text, sizeof(text), P "Transfer-Encoding: chunked\r\n");

    for (int i = 0; i < 280; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "Name-%d: some value of a field\r\n", i);
    n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n1\r\nx\r\n0\r\n");
    for (int i = 0; i < 280; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "Name-%d: some value of a trailer\r\n", i);
    n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n");
    return span_of(text, n);
}

/* Its end, or the first fault. */
static struct http1_result run_message(struct http1_parse *h, struct span message, size_t step)
{
    struct http1_result r = { .event = HTTP1_MORE };
    size_t at = 0, seen = 0;

    while (r.event != HTTP1_END && r.event != HTTP1_FAULT) {
        seen = r.event == HTTP1_MORE && seen + step < message.n ? seen + step : r.event == HTTP1_MORE ? message.n : seen;
        at += http1_parse_next(h, message.p + at, seen - at, &r);
        http1_parse_took(h, r.data.n);
        at += r.data.n;
    }
    return r;
}

/* Whichever allocation fails: FAULT_NO_MEMORY, nothing lost, and the next message is read. */
static void every_allocation_fails(void **state)
{
    const struct http1_limits roomy = { .head_bytes = 16384, .fields = 300, .chunk_extension_bytes = 16 };
    const struct span message = large_message();
    size_t blocks = mem_live_blocks();
    bool failed = true;

    (void)state;
    for (size_t nth = 1; failed; nth++) {
        size_t before = mem_calls();
        struct http1_parse *h;
        struct http1_result r;

        mem_fail_nth(nth);
        h = http1_parse_new(HTTP1_REQUEST, &roomy);
        if (h == NULL)
            continue;
        r = run_message(h, message, 100);
        failed = mem_calls() - before >= nth;
        mem_fail_nth(0);
        assert_int_equal(r.event, failed ? HTTP1_FAULT : HTTP1_END);
        assert_int_equal(r.fault, failed ? FAULT_NO_MEMORY : FAULT_NONE);
        http1_parse_reset(h);
        r = run_message(h, message, message.n);
        assert_int_equal(r.event, HTTP1_END);
        assert_int_equal(r.head->fields.n, 282);
        assert_int_equal(r.trailers->n, 280);
        http1_parse_free(h);
        assert_int_equal(mem_live_blocks(), blocks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(responses),
        cmocka_unit_test(limit_head),
        cmocka_unit_test(limit_trailers),
        cmocka_unit_test(limit_body),
        cmocka_unit_test(large_heads_pass),
        cmocka_unit_test(many_fields_in_any_pieces),
        cmocka_unit_test(took),
        cmocka_unit_test(faults_are_sticky),
        cmocka_unit_test(end_is_sticky),
        cmocka_unit_test(interim_heads),
        cmocka_unit_test(lies_in_room_that_is_lent),
        cmocka_unit_test(idle_is_small),
        cmocka_unit_test(every_allocation_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
