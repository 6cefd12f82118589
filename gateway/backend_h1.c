/* The life of an attempt:
 *
 *   DIALING    a new connection is being made; nothing of the request has been written
 *   OPEN       the head is written; body out, answer in, each at its own pace
 *   FAILED     failed.why says what happened; the stream is gone, or of no more use
 *
 * A kept connection begins in OPEN. The answer is read whether or not the request could be written to its end: a server may
 * refuse a body it did not read, and says so before it closes. */
#include "gateway/backend_h1.h"
#include "gateway/body_out.h"
#include "gateway/outbound.h"
#include "protocol/http1_write.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stddef.h>

#define SPLICE_BYTES 65536               /* of a body are still to come, or it is copied */
#define BLOCK_BYTES 4080                 /* one piece of memory for an attempt and the usual answer's head */

enum h1_state { H1_DIALING, H1_OPEN, H1_FAILED };

struct backend_h1 {
    struct backend base;
    enum h1_state state;
    struct backend_request request;
    struct http1_parse *parse;
    struct outbound *outbound;           /* the connection is being made */
    struct stream *stream;
    struct body_out out;
    struct ready ready;                  /* a kept connection failed at once: that is told from the loop */
    bool kept;                           /* the connection comes from the pool */
    bool blocked;                        /* some of the body was not taken: it is told when the stream takes more */
    bool answered;                       /* some byte of an answer was seen */
    bool last_is_final;                  /* the head last seen was not a 1xx */
    bool answer_over;                    /* HTTP1_END was told */
    bool keep_alive;                     /* the server said so */
    bool spliced;                        /* some of the body went past us */
    alignas(max_align_t) uint8_t room[];         /* for `parse` and what it reads */
};
static_assert(sizeof(struct backend_h1) + HTTP1_PARSE_ROOM_LEAST <= BLOCK_BYTES, "room for a head");

static struct backend_h1 *of(struct backend *b)
{
    return (struct backend_h1 *)(void *)b;
}

static void h1_enter(struct backend_h1 *b, enum h1_state to)
{
    assert(b->state != H1_FAILED && (to == H1_FAILED || b->state == H1_DIALING));
    b->state = to;
}

static void fail(struct backend_h1 *b, struct backend_failure failure)
{
    if (b->state == H1_FAILED)
        return;
    if (failure.why == END_SERVER_FAULT)
        metrics_fault(b->base.services->metrics, METRICS_SERVER, failure.fault);
    b->base.failed = failure;
    h1_enter(b, H1_FAILED);
}

static void fail_memory(struct backend_h1 *b)
{
    fail(b, (struct backend_failure){ .why = END_NO_MEMORY });
}

/* ---- the connection ---- */

/* Where no body follows that could go with it, the head goes out at once. */
static int put_head(struct backend_h1 *b, struct span head)
{
    ssize_t taken = b->out.framing == HTTP1_BODY_NONE ? stream_send(b->stream, head) : 0;

    if (taken < 0)
        return (int)taken;
    return (size_t)taken < head.n ? stream_put(b->stream, span_from(head, (size_t)taken)) : 0;
}

static void write_head(struct backend_h1 *b)
{
    struct headers fields;
    struct span head = SPAN_EMPTY;

    if (rules_request_to_upstream(b->request.arena, b->request.head, b->request.rules, &b->request.facts, &fields) == FAULT_NONE)
        head = http1_write_request_head(b->request.arena, b->request.head->method, b->request.rules->target.path_and_query, &fields);
    if (head.p == NULL)
        fail_memory(b);
    else if (put_head(b, head) != 0)
        fail(b, (struct backend_failure){ .why = END_SERVER_CLOSED, .unsent = true, .stale = b->kept });
}

static void on_event(void *ctx)
{
    struct backend_h1 *b = ctx;

    b->base.progress(b->base.ctx);
}

/* That the head is out is no news: only who was told to wait, or a failure, is. */
static void on_writable(void *ctx)
{
    struct backend_h1 *b = ctx;

    if (!b->blocked && b->stream->output_error == 0)
        return;
    b->blocked = false;
    b->base.progress(b->base.ctx);
}

static const struct stream_events h1_events = { .readable = on_event, .writable = on_writable };

static void open_stream(struct backend_h1 *b, struct stream *s)
{
    h1_enter(b, H1_OPEN);
    b->base.open = true;
    b->stream = s;
    stream_own(s, &h1_events, b);
    write_head(b);
}

static void on_ready(struct ready *r)
{
    struct backend_h1 *b = LIST_OWNER(r, struct backend_h1, ready);

    b->base.progress(b->base.ctx);
}

static void on_connected(void *ctx, const struct dial_answer *a)
{
    struct backend_h1 *b = ctx;

    b->outbound = NULL;
    if (a->stream != NULL)
        open_stream(b, a->stream);
    else
        fail(b, (struct backend_failure){ .why = a->why, .detail = a->detail, .unsent = true });
    b->base.progress(b->base.ctx);
}

static bool connect_or_reuse(struct backend_h1 *b, bool fresh, uint64_t connect_timeout_ms)
{
    struct services *svc = b->base.services;
    struct outbound_request wanted = {
        .upstream = b->request.upstream,
        .server = b->base.server,
        .inbound = b->request.inbound,
        .client = b->request.client,
        .timeout_ms = connect_timeout_ms,
    };
    struct stream *s = fresh ? NULL : pool_get(&b->base.server->pool);

    if (s != NULL) {
        b->kept = true;
        metrics_add(&svc->metrics->pool_reuses, 1);
        open_stream(b, s);
        if (b->state == H1_FAILED)
            ready_add(svc->ready, &b->ready);
        return true;
    }
    b->outbound = outbound_start(svc, &wanted, on_connected, b);
    return b->outbound != NULL;
}

/* ---- the request's body ---- */

/* An output that failed may still be answered; without memory there is nothing to wait for. */
static void note_output(struct backend_h1 *b, ssize_t result)
{
    if (result == -ENOMEM)
        fail_memory(b);
}

static ssize_t h1_send(struct backend *base, struct span data)
{
    struct backend_h1 *b = of(base);
    ssize_t taken;

    if (b->state == H1_DIALING)
        return 0;
    if (b->state == H1_FAILED)
        return -EPIPE;
    taken = body_out_send(&b->out, b->stream, data);
    b->blocked = taken == 0;
    note_output(b, taken);
    return taken;
}

static int h1_end(struct backend *base, const struct headers *trailers)
{
    struct backend_h1 *b = of(base);
    int error;

    if (b->state != H1_OPEN)
        return -EPIPE;
    error = body_out_end(&b->out, b->stream, b->request.arena, trailers);
    note_output(b, error);
    return error;
}

/* ---- the answer ---- */

static void note_event(struct backend_h1 *b, const struct http1_result *r)
{
    if (r->event == HTTP1_HEAD) {
        b->last_is_final = r->head->status >= 200;
        b->base.server->http10 = r->head->version_minor == 0;
        b->keep_alive = r->head->keep_alive && r->head->status != 101;
    } else if (r->event == HTTP1_END) {
        b->answer_over = b->last_is_final;
    } else if (r->event == HTTP1_FAULT) {
        fail(b, (struct backend_failure){ .why = END_SERVER_FAULT, .fault = r->fault });
    }
}

/* The connection ended. With a close-delimited body that is its end; otherwise it is a failure, and its kind depends on what came before. */
static void pull_eof(struct backend_h1 *b, struct http1_result *out)
{
    struct backend_failure failure = { .why = END_SERVER_CLOSED, .stale = b->kept && !b->answered };

    if (b->stream->input == STREAM_OPEN)
        return;
    if (b->stream->input == STREAM_EOF && !b->stream->cut) {      /* RFC 9112 section 9.8: after a cut nothing counts as complete by its end */
        http1_parse_eof(b->parse, out);
        if (out->event == HTTP1_END) {
            note_event(b, out);
            return;
        }
    }
    if (b->last_is_final)
        failure.why = END_SERVER_TRUNCATED;
    if (stream_input_words(b->stream) != NULL)
        failure.detail = stream_input_words(b->stream);
    else if (b->stream->input == STREAM_FAILED)
        failure.detail = "the connection was reset";
    *out = (struct http1_result){ .event = HTTP1_MORE };
    fail(b, failure);
}

static void h1_pull(struct backend *base, struct http1_result *out)
{
    struct backend_h1 *b = of(base);
    const uint8_t *p;
    size_t n;

    *out = (struct http1_result){ .event = HTTP1_MORE };
    if (b->state != H1_OPEN || b->answer_over)
        return;
    n = stream_peek(b->stream, &p);
    if (n == 0 && !b->answered && b->stream->input == STREAM_OPEN)
        return;                          /* the request has just gone out */
    b->answered |= n > 0;
    stream_consume(b->stream, http1_parse_next(b->parse, p, n, out));
    note_event(b, out);
    if (out->event == HTTP1_MORE)
        pull_eof(b, out);
    if (out->event == HTTP1_FAULT)
        out->event = HTTP1_MORE;
}

static void h1_took(struct backend *base, size_t n)
{
    struct backend_h1 *b = of(base);

    http1_parse_took(b->parse, n);
    stream_consume(b->stream, n);
}

/* A body is spliced to its end once that has begun. What ends too early is found by pulling. */
static ssize_t h1_splice(struct backend *base, struct stream *to)
{
    struct backend_h1 *b = of(base);
    uint64_t due = b->state == H1_OPEN ? http1_parse_due(b->parse) : 0;
    ssize_t taken;

    if (due == 0 || (due < SPLICE_BYTES && !b->spliced))
        return STREAM_NO_SPLICE;
    taken = stream_splice(to, b->stream, due < STREAM_SPLICE_MOST ? (size_t)due : STREAM_SPLICE_MOST);
    if (taken == 0 && b->stream->input != STREAM_OPEN)
        return STREAM_NO_SPLICE;
    if (taken > 0) {
        http1_parse_took(b->parse, (size_t)taken);
        b->spliced = true;
    }
    return taken;
}

static struct stream *h1_take_stream(struct backend *base)
{
    return stream_take(&of(base)->stream);
}

/* ---- the end ---- */

static bool may_be_kept(const struct backend_h1 *b)
{
    return b->state == H1_OPEN && b->answer_over && b->keep_alive && b->stream != NULL && !b->base.services->draining &&
           b->base.server->pool.limit > 0;
}

static void h1_release(struct backend *base, bool reusable)
{
    struct backend_h1 *b = of(base);

    outbound_cancel(&b->outbound);
    ready_cancel(&b->ready);
    if (reusable && may_be_kept(b))
        server_keep(base->server, &b->stream);
    stream_close(&b->stream);
    http1_parse_free(b->parse);
    server_end(base->server, SERVER_EXCHANGE);
    mem_free(b);
}

static const struct backend_ops h1_ops = {
    .send = h1_send,
    .end = h1_end,
    .pull = h1_pull,
    .took = h1_took,
    .splice = h1_splice,
    .take_stream = h1_take_stream,
    .release = h1_release,
};

struct backend *backend_h1_new(struct services *services, struct server *server, const struct backend_request *request, bool fresh,
                               uint64_t connect_timeout_ms, void (*progress)(void *ctx), void *ctx)
{
    struct backend_h1 *b = mem_alloc(BLOCK_BYTES);

    if (b == NULL)
        return NULL;
    *b = (struct backend_h1){
        .base = { .ops = &h1_ops, .services = services, .server = server, .progress = progress, .ctx = ctx },
        .request = *request,
    };
    ready_init(&b->ready, on_ready);
    body_out_init(&b->out, request->head->body, false);
    server_begin(server, SERVER_EXCHANGE);
    b->parse = http1_parse_new_in(b->room, BLOCK_BYTES - offsetof(struct backend_h1, room), HTTP1_RESPONSE, request->limits);
    http1_parse_expect(b->parse, request->rules->is_head);
    if (connect_or_reuse(b, fresh, connect_timeout_ms))
        return &b->base;
    h1_release(&b->base, false);
    return NULL;
}
