/* Fuzz: the reply of a FastCGI application.
 *
 * Input: a byte of choices, a byte that says how the rest is cut; the rest is STDOUT. However it is cut and taken, the same
 * comes out. A head that is told goes on to a client through the rules and the writer, and the parser reads it as one message
 * with that body; a promised length is kept; nothing of framing or of the connection comes from the application. */
#include "protocol/fcgi_reply.h"
#include "protocol/http1_write.h"
#include "protocol/rules.h"
#include "protocol/token.h"
#include "tests/protocol/http1_log.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_REQUEST = 1, UNFINISHED = 2, TIGHT = 4, OLD_CLIENT = 8 };

static const struct http1_limits usual = { .head_bytes = 4096, .fields = 32 }, tight = { .head_bytes = 64, .fields = 3 };

static bool says(const struct http1_head *head, const char *name)
{
    return headers_find(&head->fields, span_of_text(name)) != NULL;
}

static void check_head(const struct http1_head *head, bool head_request)
{
    assert(head->status >= 200 && head->status <= 599 && head->body != HTTP1_BODY_CHUNKED);
    assert(token_is_field_value(head->reason));
    for (size_t i = 0; i < head->fields.n; i++)
        assert(token_is_token(head->fields.fields[i].name) && token_is_field_value(head->fields.fields[i].value));
    assert(!says(head, "status") && !says(head, "content-length") && !says(head, "transfer-encoding"));
    assert(!says(head, "connection") && !says(head, "upgrade") && !says(head, "keep-alive"));
    assert(head->body == HTTP1_BODY_NONE || says(head, "content-type") || head->content_length == 0);
    assert(rules_check_response(head, head_request) == FAULT_NONE);
}

/* What goes to the client is one message. */
static void check_onward(const struct http1_head *head, uint8_t choices)
{
    static const struct http1_limits wide = { .head_bytes = 1 << 16, .fields = 100, .chunk_extension_bytes = 10 };
    struct rules_reply_facts facts = { .pseudonym = SPAN_LITERAL("upgate"), .client_keep_alive = true,
                                       .client_version_minor = (choices & OLD_CLIENT) != 0 ? 0 : 1,
                                       .head_request = (choices & HEAD_REQUEST) != 0 };
    struct http1_parse *parse = http1_parse_new(HTTP1_RESPONSE, &wide);
    struct headers fields;
    struct http1_result e;
    struct arena a;
    struct span bytes;

    arena_init(&a, 1 << 20);
    assert(rules_response_to_client(&a, head, &facts, &fields) == FAULT_NONE);
    bytes = http1_write_response_head(&a, head->status, head->reason, &fields);
    http1_parse_expect(parse, facts.head_request);
    assert(http1_parse_next(parse, bytes.p, bytes.n, &e) == bytes.n);
    assert(e.event == HTTP1_HEAD && e.head->status == head->status && e.head->body == rules_reply_body(head, &facts));
    assert(e.head->body != HTTP1_BODY_LENGTH || e.head->content_length == head->content_length);
    http1_parse_free(parse);
    arena_free(&a);
}

struct reply_run {
    struct http1_log log;
    uint8_t choices;
    uint64_t body_n;
};

/* How many bytes of body were taken. */
static size_t one_event(struct reply_run *run, struct split_log *log, struct fcgi_reply *r, const struct http1_result *e)
{
    size_t taken = e->data.n;

    http1_log_quote(&run->log, log, e->event == HTTP1_BODY || (run->log.in_body && e->event == HTTP1_MORE));
    if (e->event == HTTP1_HEAD) {
        check_head(e->head, (run->choices & HEAD_REQUEST) != 0);
        check_onward(e->head, run->choices);
        http1_log_head(&run->log, log, e->head);
        http1_log_text(log, fcgi_reply_local(r));
    } else if (e->event == HTTP1_BODY) {
        if (run->log.most_taken > 0 && taken > run->log.most_taken)
            taken = run->log.most_taken;
        http1_log_text(log, span_first(e->data, taken));
        fcgi_reply_took(r, taken);
        run->body_n += taken;
    } else if (e->event == HTTP1_END) {
        assert(e->head->body != HTTP1_BODY_LENGTH || run->body_n == e->head->content_length);
        assert(e->head->body != HTTP1_BODY_NONE || run->body_n == 0);
        split_write(log, ".");
    } else if (e->event == HTTP1_FAULT) {
        split_write(log, "!%s{", fault_word(e->fault));
        http1_log_text(log, fcgi_reply_line(r));
    }
    return taken;
}

static void run_reply(void *ctx, struct span bytes, const struct split_arrival *arrival, struct split_log *log)
{
    struct reply_run *run = ctx;
    struct http1_result e = { .event = HTTP1_MORE };
    size_t seen = split_next(arrival, 0, bytes.n), at = 0;
    bool finished = false;
    struct fcgi_reply r;
    struct arena a;

    arena_init(&a, 1 << 20);
    fcgi_reply_init(&r, &a, (run->choices & TIGHT) != 0 ? &tight : &usual, (run->choices & HEAD_REQUEST) != 0);
    run->log.in_body = false;
    run->body_n = 0;
    while (e.event != HTTP1_FAULT && e.event != HTTP1_END) {
        at += fcgi_reply_next(&r, bytes.p + at, seen - at, &e);
        assert(e.data.n == 0 || e.data.p == bytes.p + at);
        at += one_event(run, log, &r, &e);
        if (e.event != HTTP1_MORE)
            continue;
        assert(at == seen);
        if (seen == bytes.n && (finished || (run->choices & UNFINISHED) != 0))
            break;
        finished = seen == bytes.n;
        if (finished)
            fcgi_reply_finish(&r);
        seen = split_next(arrival, seen, bytes.n);
    }
    http1_log_quote(&run->log, log, false);
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct split_log whole;
    struct reply_run run = { .log = { .kind = HTTP1_RESPONSE, .show_fields = true } };
    struct split_arrival cuts = { .n = 2 };
    struct span bytes;

    if (size < 2 || size > 1500)
        return 0;
    run.choices = data[0];
    bytes = span_of(data + 2, size - 2);
    cuts.stops[0] = bytes.n * data[1] / 256;
    cuts.stops[1] = cuts.stops[0] + (bytes.n - cuts.stops[0]) / 2;
    whole.n = 0;
    whole.text[0] = '\0';
    run_reply(&run, bytes, &(struct split_arrival){ .n = 0 }, &whole);
    run.log.most_taken = 1;
    split_once("two cuts", run_reply, &run, bytes, cuts, &whole);
    run.log.most_taken = 3;
    split_once("one by one", run_reply, &run, bytes, (struct split_arrival){ .step = 1 }, &whole);
    return 0;
}
