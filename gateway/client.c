/* A connection's life:
 *
 *   HEAD       the next request's head is awaited: header_timeout once its first byte (or the connection) is there, keepalive_timeout before
 *   EXCHANGE   an exchange owns the stream and has its own deadlines
 *   LINGER     the last answer is put and finished: what the client still sends is read and thrown away for a while, because closing a
 *              socket with unread bytes makes the kernel send a reset, which can destroy the answer on its way
 *
 * Between two requests a client goes over to the snapshot in force; the exchange goes on under the one it began with. A client whose listener
 * was taken out of the configuration is an orphan: it keeps its last snapshot, and gets no further request.
 *
 * Requests that were sent ahead wait unread in the stream until the exchange before them is over: answers cannot change places. */
#include "gateway/client.h"
#include "gateway/exchange.h"
#include "protocol/mem.h"

#include <assert.h>
#include <string.h>

#define LINGER_MS 3000
#define FRESH_MS 1000                    /* no request is wanted any more, but this one's is probably under way: so long it is given */
#define LINGER_BYTES (1024 * 1024)       /* a client that sends more than this against its answer is cut off */

enum client_state { CLIENT_HEAD, CLIENT_EXCHANGE, CLIENT_LINGER };

struct client {
    struct services *services;
    struct list link;                    /* services->clients */
    enum client_state state;
    struct inbound inbound;              /* its snapshot is the one under which requests are served */
    struct stream *stream;
    struct http1_parse *parse;
    struct exchange *exchange;
    struct timer timer;
    uint64_t linger_from;                /* bytes_in when lingering began */
    bool served;                         /* one exchange is over: the connection is a kept one */
    bool in_head;                        /* the first byte of a head was seen */
    uint64_t begun_ms;
    bool orphan;                         /* its listener is gone: this request is the last */
};

static void client_enter(struct client *c, enum client_state to)
{
    assert(c->state != CLIENT_LINGER);
    c->state = to;
}

static void client_free(struct client *c)
{
    struct services *svc = c->services;

    timer_clear(svc->timers, &c->timer);
    http1_parse_free(c->parse);
    list_remove(&c->link);
    mem_free(c);
}

static void end(struct client *c, enum end_reason why)
{
    struct services *svc = c->services;
    struct inbound inbound = c->inbound;

    stream_close(&c->stream);
    client_free(c);
    inbound_ended(svc, &inbound, why);
}

/* ---- the snapshot ---- */

/* A head is read under the limits that were in force at its first byte. */
static void renew_limits(struct client *c)
{
    struct http1_parse *parse = http1_parse_started(c->parse) ? NULL : http1_parse_new(HTTP1_REQUEST, &c->inbound.snapshot->request_limits);

    if (parse == NULL)
        return;
    http1_parse_free(c->parse);
    c->parse = parse;
}

static void renew(struct client *c)
{
    struct http1_limits before = c->inbound.snapshot->request_limits;

    if (c->orphan || c->inbound.snapshot == c->services->snapshot)
        return;
    c->orphan = !inbound_renew(&c->inbound, c->services->snapshot);
    if (memcmp(&before, &c->inbound.snapshot->request_limits, sizeof(before)) != 0)
        renew_limits(c);
}

/* ---- HEAD ---- */

static void on_done(void *ctx, enum exchange_outcome outcome);
static const struct stream_events client_events;

static struct exchange_client lend(struct client *c)
{
    return (struct exchange_client){
        .stream = &c->stream,
        .parse = c->parse,
        .inbound = &c->inbound,
        .last = &c->orphan,
        .done = on_done,
        .ctx = c,
    };
}

static void begin_exchange(struct client *c, const struct http1_head *head, enum end_reason why, enum fault fault)
{
    struct exchange_client lent = lend(c);

    timer_clear(c->services->timers, &c->timer);
    client_enter(c, CLIENT_EXCHANGE);
    c->exchange = head != NULL ? exchange_new(c->services, &lent, head) : exchange_new_refused(c->services, &lent, why, fault);
    if (c->exchange == NULL)
        end(c, END_NO_MEMORY);
}

static bool is_last(const struct client *c)
{
    return c->orphan || c->services->draining;
}

static void await_head(struct client *c)
{
    const struct conf_timeouts *timeouts = &c->inbound.snapshot->conf->timeouts;
    uint64_t patience_ms = c->served ? timeouts->keepalive_ms : timeouts->header_ms;

    c->in_head = false;
    stream_own(c->stream, &client_events, c);
    timer_start(c->services->timers, &c->timer, is_last(c) && patience_ms > FRESH_MS ? FRESH_MS : patience_ms);
}

static void read_head(struct client *c)
{
    struct http1_result r;
    const uint8_t *p;
    size_t n = stream_peek(c->stream, &p);

    stream_consume(c->stream, http1_parse_next(c->parse, p, n, &r));
    if (r.event == HTTP1_HEAD) {
        begin_exchange(c, r.head, END_NONE, FAULT_NONE);
    } else if (r.event == HTTP1_FAULT) {
        metrics_fault(c->services->metrics, METRICS_CLIENT, r.fault);
        begin_exchange(c, NULL, END_CLIENT_FAULT, r.fault);
    } else if (c->stream->input != STREAM_OPEN) {
        end(c, c->stream->input == STREAM_FAILED || c->in_head ? END_CLIENT_ABORTED : END_CLIENT_CLOSED);
    } else if (!c->in_head && http1_parse_started(c->parse)) {
        c->in_head = true;
        timer_start(c->services->timers, &c->timer, c->inbound.snapshot->conf->timeouts.header_ms);
    }
}

/* ---- EXCHANGE is over ---- */

static void linger(struct client *c)
{
    client_enter(c, CLIENT_LINGER);
    c->linger_from = c->stream->bytes_in;
    http1_parse_idle(c->parse);
    stream_own(c->stream, &client_events, c);
    if (stream_finish(c->stream) != 0) {
        end(c, END_CLIENT_ABORTED);
        return;
    }
    timer_start(c->services->timers, &c->timer, stream_flushed(c->stream) ? LINGER_MS : c->inbound.snapshot->conf->timeouts.body_ms);
}

static void switched(struct client *c)
{
    inbound_switched(c->services, &c->inbound);
    client_free(c);
}

/* No further request is wanted, and none has come. */
static bool may_end(const struct client *c)
{
    const uint8_t *p;

    return is_last(c) && stream_peek(c->stream, &p) == 0;
}

static void next_request(struct client *c)
{
    client_enter(c, CLIENT_HEAD);
    http1_parse_idle(c->parse);
    await_head(c);
}

static void on_done(void *ctx, enum exchange_outcome outcome)
{
    struct client *c = ctx;

    c->exchange = NULL;
    c->served = true;
    switch (outcome) {
    case EXCHANGE_KEEP:
        renew(c);
        if (may_end(c))
            linger(c);
        else
            next_request(c);
        break;
    case EXCHANGE_LINGER:
        linger(c);
        break;
    case EXCHANGE_RESET:
        stream_reset(&c->stream);
        end(c, END_CLIENT_ABORTED);
        break;
    case EXCHANGE_GONE:
        end(c, END_CLIENT_ABORTED);
        break;
    case EXCHANGE_SWITCHED:
        switched(c);
        break;
    }
}

/* ---- LINGER ---- */

static void discard(struct client *c)
{
    const uint8_t *p;

    stream_consume(c->stream, stream_peek(c->stream, &p));
    if (c->stream->input != STREAM_OPEN && stream_flushed(c->stream))
        end(c, END_LINGER_OVER);
    else if (c->stream->bytes_in - c->linger_from > LINGER_BYTES)
        end(c, END_LINGER_OVER);
}

/* ---- events ---- */

static void on_readable(void *ctx)
{
    struct client *c = ctx;

    if (c->state == CLIENT_HEAD)
        read_head(c);
    else if (c->state == CLIENT_LINGER)
        discard(c);
}

static void on_writable(void *ctx)
{
    struct client *c = ctx;

    if (c->stream->output_error != 0)
        end(c, END_CLIENT_ABORTED);
    else if (c->state == CLIENT_LINGER && c->stream->input != STREAM_OPEN)
        end(c, END_LINGER_OVER);
    else if (c->state == CLIENT_LINGER)
        timer_start(c->services->timers, &c->timer, LINGER_MS);
}

static const struct stream_events client_events = { .readable = on_readable, .writable = on_writable };

static void on_timer(struct timer *t, uint64_t now_ms)
{
    struct client *c = LIST_OWNER(t, struct client, timer);

    (void)now_ms;
    if (c->state == CLIENT_LINGER)
        end(c, END_LINGER_OVER);
    else if (c->in_head)
        begin_exchange(c, NULL, END_HEADER_TIMEOUT, FAULT_NONE);
    else if (is_last(c))
        end(c, END_DRAINED);
    else
        end(c, c->served ? END_KEEPALIVE_TIMEOUT : END_HEADER_TIMEOUT);
}

/* ---- the beginning, and the gateway's end ---- */

/* NULL: no memory, and the connection has ended. */
static struct client *make(struct services *services, struct stream *stream, const struct inbound *inbound)
{
    struct client *c = mem_zalloc(sizeof(*c));
    struct inbound dropped = *inbound;

    if (c != NULL)
        c->parse = http1_parse_new(HTTP1_REQUEST, &inbound->snapshot->request_limits);
    if (c == NULL || c->parse == NULL) {
        mem_free(c);
        stream_close(&stream);
        inbound_ended(services, &dropped, END_NO_MEMORY);
        return NULL;
    }
    c->services = services;
    c->inbound = *inbound;
    c->stream = stream;
    c->begun_ms = timers_now_ms(services->timers);
    timer_init(&c->timer, on_timer);
    renew(c);
    list_append(&services->clients, &c->link);
    return c;
}

void client_new(struct services *services, struct stream *stream, const struct inbound *inbound)
{
    struct client *c = make(services, stream, inbound);

    if (c != NULL)
        await_head(c);
}

void client_refuse(struct services *services, struct stream *stream, const struct inbound *inbound, enum end_reason why, enum fault fault)
{
    struct client *c = make(services, stream, inbound);

    if (c != NULL)
        begin_exchange(c, NULL, why, fault);
}

static void for_each(struct services *services, void (*act)(struct client *c))
{
    struct list *next;

    for (struct list *l = services->clients.next; l != &services->clients; l = next) {
        struct client *c = LIST_OWNER(l, struct client, link);
        next = l->next;
        act(c);
    }
}

static void end_if_idle(struct client *c)
{
    uint64_t age_ms = timers_now_ms(c->services->timers) - c->begun_ms;

    if (c->state != CLIENT_HEAD || c->in_head || !may_end(c))
        return;
    if (!c->served && age_ms < FRESH_MS)
        timer_start(c->services->timers, &c->timer, FRESH_MS - age_ms);
    else
        end(c, END_DRAINED);
}

static void renew_or_end(struct client *c)
{
    const struct conf *now = c->services->snapshot->conf, *before = c->inbound.snapshot->conf;

    if (c->state == CLIENT_HEAD)
        renew(c);
    else if (!c->orphan)
        c->orphan = generation_same_listener(now, before, c->inbound.listener) == NULL;
    end_if_idle(c);
}

void client_drain_all(struct services *services)
{
    for_each(services, end_if_idle);
}

void client_renew_all(struct services *services)
{
    for_each(services, renew_or_end);
}

void client_kill_all(struct services *services)
{
    while (!list_empty(&services->clients)) {
        struct client *c = LIST_OWNER(services->clients.next, struct client, link);
        if (c->exchange != NULL)
            exchange_kill(c->exchange);
        end(c, END_DRAINED);
    }
}
