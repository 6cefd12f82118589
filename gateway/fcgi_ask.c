/* The life of a question:
 *
 *   CONNECTING   the connection is being made
 *   ASKED        FCGI_GET_VALUES is sent, its answer awaited
 *
 * Both within one deadline. It stands among the server's lingerers, so that it ends with the gateway. */
#include "gateway/fcgi_ask.h"
#include "gateway/log.h"
#include "gateway/outbound.h"
#include "gateway/snapshot.h"
#include "protocol/fcgi_record.h"
#include "protocol/mem.h"

#define ASK_MS 2000

enum ask_state { ASK_CONNECTING, ASK_ASKED };

struct ask {
    enum ask_state state;
    struct services *services;
    struct snapshot *snapshot;           /* held: the upstream is in it */
    const struct conf_upstream *upstream;
    struct server *server;
    struct lingerer lingerer;
    struct timer timer;
    struct outbound *outbound;
    struct stream *stream;
    struct fcgi_reader reader;
};

static void ask_free(struct ask *a)
{
    timer_clear(a->services->timers, &a->timer);
    list_remove(&a->lingerer.link);
    outbound_cancel(&a->outbound);       /* with the last of its connections the server may go */
    stream_close(&a->stream);
    snapshot_release(&a->snapshot);
    mem_free(a);
}

/* ---- what comes of it ---- */

static void conclude(struct ask *a, unsigned calls_max, const char *why)
{
    a->server->fcgi.asked = FCGI_TOLD;
    a->server->fcgi.calls_max = calls_max < FCGI_REQUESTS_MAX ? calls_max : FCGI_REQUESTS_MAX;
    if (why != NULL)
        log_info("upstream %s server %s takes one request at a time on a connection: %s", a->upstream->name, a->server->state->name, why);
    else
        log_info("upstream %s server %s takes %u requests at a time on a connection", a->upstream->name, a->server->state->name,
                 a->server->fcgi.calls_max);
    ask_free(a);
}

static void take_values(struct ask *a, const struct fcgi_values *v)
{
    if (!v->told || !v->has_multiplexes)
        conclude(a, 1, "it does not say whether it takes more");
    else if (!v->multiplexes)
        conclude(a, 1, "it says so");
    else if (v->max_requests == 1)
        conclude(a, 1, "it takes one request at all");
    else
        conclude(a, v->max_requests > 0 ? v->max_requests : FCGI_REQUESTS_MAX, NULL);
}

static void on_event(void *ctx)
{
    struct ask *a = ctx;
    struct fcgi_result r;
    const uint8_t *p;
    size_t n = stream_peek(a->stream, &p);

    stream_consume(a->stream, fcgi_reader_next(&a->reader, p, n, &r));
    if (r.event == FCGI_EVENT_VALUES)
        take_values(a, &r.values);
    else if (r.event == FCGI_EVENT_FAULT)
        conclude(a, 1, fault_sentence(r.fault));
    else if (a->stream->input != STREAM_OPEN)
        conclude(a, 1, "it ended the connection on which it was asked");
}

static const struct stream_events ask_events = { .readable = on_event, .writable = on_event };

/* ---- asking ---- */

static void ask_enter(struct ask *a, enum ask_state to)
{
    a->state = to;
}

/* Nothing is known of a server that cannot be reached: it is asked again, when it can. */
static void on_connected(void *ctx, const struct dial_answer *answer)
{
    struct ask *a = ctx;
    uint8_t question[FCGI_GET_VALUES_BYTES];

    a->outbound = NULL;
    if (answer->stream == NULL) {
        a->server->fcgi.asked = FCGI_NOT_ASKED;
        ask_free(a);
        return;
    }
    ask_enter(a, ASK_ASKED);
    a->stream = answer->stream;
    stream_own(a->stream, &ask_events, a);
    fcgi_reader_init(&a->reader);
    fcgi_reader_ask_values(&a->reader);
    fcgi_write_get_values(question);
    if (stream_put(a->stream, span_of(question, sizeof(question))) != 0)
        conclude(a, 1, "it could not be asked");
}

static void on_timer(struct timer *t, uint64_t now_ms)
{
    struct ask *a = LIST_OWNER(t, struct ask, timer);

    (void)now_ms;
    conclude(a, 1, a->state == ASK_ASKED ? "it did not answer when it was asked" : "it did not take a connection to be asked on");
}

static void on_idle_ends(struct lingerer *l)
{
    struct ask *a = LIST_OWNER(l, struct ask, lingerer);

    a->server->fcgi.asked = FCGI_NOT_ASKED;
    ask_free(a);
}

void fcgi_ask(struct services *services, struct snapshot *snapshot, const struct conf_upstream *upstream, struct server *server)
{
    struct outbound_request wanted = { .upstream = upstream, .server = server, .timeout_ms = ASK_MS };
    struct ask *a = server->fcgi.asked == FCGI_NOT_ASKED && !services->draining ? mem_zalloc(sizeof(*a)) : NULL;

    if (a == NULL)
        return;
    server->fcgi.asked = FCGI_ASKED;
    a->services = services;
    a->snapshot = snapshot_hold(snapshot);
    a->upstream = upstream;
    a->server = server;
    a->lingerer.close = on_idle_ends;
    list_append(&server->lingerers, &a->lingerer.link);
    timer_init(&a->timer, on_timer);
    timer_start(services->timers, &a->timer, ASK_MS);
    a->outbound = outbound_start(services, &wanted, on_connected, a);
    if (a->outbound == NULL)
        on_idle_ends(&a->lingerer);
}
