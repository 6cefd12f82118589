/* The gateway's own answers: each is one whole HTTP message that a parser reads without complaint, and says what it must. */
#include "tests/gateway/scripted.h"

#include "gateway/reply.h"
#include "protocol/http1_parse.h"

#include <time.h>

struct answer {
    struct ready_queue ready;
    struct peer peer;
    struct stream *stream;
    struct http1_parse *parse;
    struct http1_result r;
    uint64_t body_bytes;
    struct bytes body;
    size_t blocks_before;
};

static void put(struct answer *a, struct reply r)
{
    *a = (struct answer){ .blocks_before = mem_live_blocks() };
    ready_queue_init(&a->ready);
    peer_init(&a->peer);
    a->stream = scripted_new(&a->ready, &a->peer);
    assert_int_equal(reply_put(a->stream, &r, &a->body_bytes), 0);
    assert_int_equal(stream_finish(a->stream), 0);
}

static void read_it(struct answer *a, bool head_request)
{
    struct http1_limits limits = { .head_bytes = 4096, .fields = 20, .chunk_extension_bytes = 10 };
    size_t at = 0;
    struct http1_result r;

    a->parse = http1_parse_new(HTTP1_RESPONSE, &limits);
    http1_parse_expect(a->parse, head_request);
    at += http1_parse_next(a->parse, a->peer.got.p, a->peer.got.n, &a->r);
    assert_int_equal(a->r.event, HTTP1_HEAD);
    do {
        at += http1_parse_next(a->parse, a->peer.got.p + at, a->peer.got.n - at, &r);
        if (r.event == HTTP1_BODY) {
            bytes_add(&a->body, r.data.p, r.data.n);
            http1_parse_took(a->parse, r.data.n);
            at += r.data.n;
        }
    } while (r.event == HTTP1_BODY);
    assert_int_equal(r.event, HTTP1_END);
    assert_int_equal(at, a->peer.got.n);         /* and nothing follows */
}

static void let_go(struct answer *a)
{
    http1_parse_free(a->parse);
    stream_close(&a->stream);
    peer_free(&a->peer);
    bytes_free(&a->body);
    assert_int_equal(mem_live_blocks(), a->blocks_before);
}

static void expect_field(const struct answer *a, const char *name, const char *value)
{
    const struct headers *fields = &a->r.head->fields;

    if (headers_count(fields, span_of_text(name)) != (value != NULL ? 1 : 0))
        fail_msg("%s is there %zu times", name, headers_count(fields, span_of_text(name)));
    if (value != NULL && !span_equal(headers_value(fields, span_of_text(name)), span_of_text(value)))
        fail_msg("%s: %.*s", name, SPAN_FORMAT(headers_value(fields, span_of_text(name))));
}

static void rows(void **state)
{
    static const struct {
        struct reply reply;
        const char *connection, *body;
    } row[] = {
        { { .status = 404, .sentence = "no route matches the request", .keep_alive = true, .version_minor = 1 }, NULL,
          "404 Not Found: no route matches the request.\n" },
        { { .status = 404, .keep_alive = true, .version_minor = 0 }, "keep-alive", "404 Not Found\n" },
        { { .status = 400, .version_minor = 1 }, "close", "400 Bad Request\n" },
        { { .status = 400, .version_minor = 0 }, "close", "400 Bad Request\n" },
        { { .status = 502, .version_minor = 1 }, "close", "502 Bad Gateway\n" },
        { { .status = 200, .keep_alive = true, .version_minor = 1 }, NULL, "200 OK\n" },
        { { .status = 426, .keep_alive = false, .version_minor = 1 }, "Upgrade, close", "426 Upgrade Required\n" },
        { { .status = 426, .keep_alive = true, .version_minor = 1 }, "Upgrade", "426 Upgrade Required\n" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(row); i++) {
        struct answer a;
        put(&a, row[i].reply);
        read_it(&a, false);
        assert_int_equal(a.r.head->status, row[i].reply.status);
        assert_int_equal(a.r.head->version_minor, 1);            /* mission B0: whatever came in */
        assert_string_equal(bytes_text(&a.body), row[i].body);
        assert_int_equal(a.body_bytes, strlen(row[i].body));
        expect_field(&a, "Connection", row[i].connection);
        expect_field(&a, "Content-Type", "text/plain; charset=utf-8");
        expect_field(&a, "Upgrade", row[i].reply.status == 426 ? "websocket" : NULL);
        expect_field(&a, "Sec-WebSocket-Version", row[i].reply.status == 426 ? "13" : NULL);     /* RFC 6455 section 4.4 */
        assert_int_equal(headers_count(&a.r.head->fields, SPAN_LITERAL("Date")), 1);
        let_go(&a);
    }
}

static void statuses_that_want_a_field(void **state)
{
    struct answer a;

    (void)state;
    put(&a, (struct reply){ .status = 405, .version_minor = 1 });        /* RFC 9110 section 15.5.6 */
    read_it(&a, false);
    assert_int_equal(headers_count(&a.r.head->fields, SPAN_LITERAL("Allow")), 1);
    let_go(&a);
    put(&a, (struct reply){ .status = 503, .version_minor = 1 });
    read_it(&a, false);
    expect_field(&a, "Retry-After", "5");
    let_go(&a);
}

/* RFC 9110 section 9.3.2: the same fields, and no content. */
static void to_a_head_no_body(void **state)
{
    struct answer a;

    (void)state;
    put(&a, (struct reply){ .status = 404, .head_request = true, .keep_alive = true, .version_minor = 1 });
    read_it(&a, true);
    assert_int_equal(a.body_bytes, 0);
    assert_int_equal(a.body.n, 0);
    expect_field(&a, "Content-Length", "14");
    let_go(&a);
}

static void every_fault_and_every_end_has_its_answer(void **state)
{
    (void)state;
    for (int f = 1; f < FAULT_COUNT; f++) {
        struct answer a;
        if (fault_status((enum fault)f) == 0)
            continue;
        put(&a, (struct reply){ .status = fault_status((enum fault)f), .sentence = fault_sentence((enum fault)f),
                                .version_minor = 1 });
        read_it(&a, false);
        assert_int_equal(a.r.head->status, fault_status((enum fault)f));
        assert_true(a.r.head->reason.n > 0);
        assert_non_null(strstr(bytes_text(&a.body), fault_sentence((enum fault)f)));
        assert_string_equal(bytes_text(&a.body) + a.body.n - 2, ".\n");
        let_go(&a);
    }
    for (int why = 0; why < END_REASON_COUNT; why++) {
        struct answer a;
        if (end_reason_status((enum end_reason)why) == 0)
            continue;
        put(&a, (struct reply){ .status = end_reason_status((enum end_reason)why),
                                .sentence = end_reason_sentence((enum end_reason)why), .version_minor = 1 });
        read_it(&a, false);
        assert_true(a.r.head->reason.n > 0);
        assert_non_null(strstr(bytes_text(&a.body), end_reason_sentence((enum end_reason)why)));
        let_go(&a);
    }
}

static void a_sentence_that_is_too_long_is_cut(void **state)
{
    struct answer a;
    char sentence[600];

    (void)state;
    memset(sentence, 'x', sizeof(sentence));
    sentence[sizeof(sentence) - 1] = '\0';
    put(&a, (struct reply){ .status = 400, .sentence = sentence, .version_minor = 1 });
    read_it(&a, false);
    assert_true(a.body.n > 200 && a.body.n < 300);
    let_go(&a);
}

/* RFC 9110 section 5.6.7: IMF-fixdate, and it is now. */
static void the_date_is_a_date(void **state)
{
    struct span date = reply_date();
    char text[32];
    struct tm parts = { 0 };
    time_t then;

    (void)state;
    assert_int_equal(date.n, 29);
    memcpy(text, date.p, 29);
    text[29] = '\0';
    assert_ptr_equal(strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &parts), text + 29);
    then = timegm(&parts);
    assert_true(time(NULL) - then <= 2);
    assert_ptr_equal(reply_date().p, date.p);
}

static void no_memory(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 20; nth++) {
        struct ready_queue ready;
        struct peer peer;
        struct stream *s;
        uint64_t body_bytes;
        size_t before = mem_live_blocks();
        int error;

        ready_queue_init(&ready);
        peer_init(&peer);
        s = scripted_new(&ready, &peer);
        mem_fail_nth(nth);
        error = reply_put(s, &(struct reply){ .status = 404, .version_minor = 1 }, &body_bytes);
        mem_fail_nth(0);
        assert_true(error == 0 || error == -ENOMEM);
        stream_close(&s);
        peer_free(&peer);
        assert_int_equal(mem_live_blocks(), before);
        if (error == 0)
            return;
    }
    fail_msg("it never went well");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),
        cmocka_unit_test(statuses_that_want_a_field),
        cmocka_unit_test(to_a_head_no_body),
        cmocka_unit_test(every_fault_and_every_end_has_its_answer),
        cmocka_unit_test(a_sentence_that_is_too_long_is_cut),
        cmocka_unit_test(the_date_is_a_date),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
