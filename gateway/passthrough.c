/* A connection's life:
 *
 *   DIALING    a server is chosen (or waited for, where all have as many connections as they may have) and connected to, and another one when
 *              that fails; what the client sends meanwhile stays unread
 *   OPEN       bytes pass both ways. The end of one side is passed on and the other direction goes on; when both have ended, all is over
 *   FAREWELL   one side is gone, or was refused: the other has been told and gets some time to read it. What it still sends is thrown
 *              away, because closing a socket with unread bytes makes the kernel send a reset, which can destroy what is on its way
 *   OVER       the record is written
 *
 * What goes wrong, in the order in which it happens: nobody is to have the name, or the hello is malformed (an alert, at once), no server can
 * be reached or is free in time (the next one is tried, as `retries` says; then the alert internal_error), a side is reset (the other's connection ends
 * behind what was passed on: TLS itself knows whether something is missing), nothing passes either way for idle_timeout (both are
 * closed), the gateway's time is over. */
#include "gateway/passthrough.h"
#include "gateway/access_log.h"
#include "gateway/flow.h"
#include "gateway/log.h"
#include "gateway/outbound.h"
#include "gateway/seek.h"
#include "protocol/hash.h"
#include "protocol/mem.h"

#include <assert.h>
#include <string.h>

#define FAREWELL_MS 3000
#define FAREWELL_BYTES (1024 * 1024)     /* who sends more than this against an end is cut off */

enum passthrough_state { PASS_DIALING, PASS_OPEN, PASS_FAREWELL, PASS_OVER };
#define CAN(state) (1u << PASS_##state)
static const struct {
    const char *words;
    unsigned next;
} states[] = {
    [PASS_DIALING] = { "dialing", CAN(OPEN) | CAN(FAREWELL) | CAN(OVER) },
    [PASS_OPEN] = { "open", CAN(FAREWELL) | CAN(OVER) },
    [PASS_FAREWELL] = { "farewell", CAN(OVER) },
    [PASS_OVER] = { "over", 0 },
};

struct passthrough {
    struct services *services;
    struct list link;                    /* services->passthroughs */
    enum passthrough_state state;
    const struct conf_passthrough *to;
    struct inbound inbound;
    struct stream *client, *server;      /* in FAREWELL: one of them, and NULL */
    struct flow from_client, from_server;
    struct upstream *upstream;
    struct server *server_record;        /* whose busy one this is; NULL: nobody's */
    struct outbound *outbound;
    struct seek seek;
    unsigned attempts;
    struct timer timer;
    uint64_t begun_ms, moved_ms;         /* moved_ms: when something last passed … */
    uint64_t moved;                      /* … and how much there was by then */
    uint64_t farewell_from;              /* bytes_in of the one who is told */
    enum end_reason end;
    enum fault fault;
    const char *detail;
    const char *closed_by;
    size_t name_n, alpn_n;
    char text[];                         /* the name, then the protocols: the record outlives the hello */
};

static void passthrough_enter(struct passthrough *p, enum passthrough_state to)
{
    assert((states[p->state].next & (1u << to)) != 0);
    log_debug("passthrough %s: %s -> %s", p->inbound.name, states[p->state].words, states[to].words);
    p->state = to;
}

static struct span name_of(const struct passthrough *p)
{
    return span_of(p->text, p->name_n);
}

/* ---- the end ---- */

static void write_record(const struct passthrough *p)
{
    struct access_passthrough record = {
        .client = span_of_text(p->inbound.name),
        .listener = span_of_text(p->inbound.listener->name),
        .server_name = name_of(p),
        .alpn = span_of(p->text + p->name_n, p->alpn_n),
        .upstream = p->upstream != NULL ? span_of_text(p->upstream->conf->name) : SPAN_EMPTY,
        .server = p->server_record != NULL ? span_of_text(p->server_record->state->name) : SPAN_EMPTY,
        .bytes_in = p->from_client.moved,
        .bytes_out = p->from_server.moved,
        .duration_ms = timers_now_ms(p->services->timers) - p->begun_ms,
        .attempts = p->attempts,
        .closed_by = p->closed_by != NULL ? p->closed_by : "gateway",
        .end = p->end,
        .fault = p->fault,
        .detail = p->detail,
    };

    access_log_passthrough(p->services->access_log, &record);
}

static void count_end(const struct passthrough *p)
{
    struct metrics *m = p->services->metrics;

    metrics_ended(m, METRICS_PASSTHROUGH, p->end);
    metrics_add(&m->bytes_from_clients, p->from_client.moved);
    metrics_add(&m->bytes_to_clients, p->from_server.moved);
    metrics_sub(&m->passthroughs_open, 1);
}

static void leave_server(struct passthrough *p)
{
    if (p->server_record != NULL)
        server_end(p->server_record, SERVER_TUNNEL);
    p->server_record = NULL;
}

static void passthrough_free(struct passthrough *p)
{
    struct services *services = p->services;
    struct inbound inbound = p->inbound;
    enum end_reason why = p->end;

    count_end(p);
    write_record(p);
    outbound_cancel(&p->outbound);
    seek_end(&p->seek);
    stream_close(&p->client);
    stream_close(&p->server);
    leave_server(p);
    timer_clear(services->timers, &p->timer);
    list_remove(&p->link);
    mem_free(p);
    inbound_ended(services, &inbound, why);
}

static void end(struct passthrough *p, enum end_reason why)
{
    if (p->end == END_NONE)
        p->end = why;
    passthrough_enter(p, PASS_OVER);
    passthrough_free(p);
}

/* ---- FAREWELL ---- */

static struct stream *who_is_left(const struct passthrough *p)
{
    return p->client != NULL ? p->client : p->server;
}

static void hear_farewell(struct passthrough *p)
{
    struct stream *s = who_is_left(p);
    const uint8_t *bytes;

    stream_consume(s, stream_peek(s, &bytes));
    if (s->output_error != 0 || (s->input != STREAM_OPEN && stream_flushed(s)) || s->bytes_in - p->farewell_from > FAREWELL_BYTES)
        end(p, p->end);
}

/* What is left unread of who is gone is lost with it; the other's output is finished behind what it was given. */
static void say_farewell(struct passthrough *p, struct stream **gone, enum end_reason why)
{
    struct stream *s;

    p->end = why;
    passthrough_enter(p, PASS_FAREWELL);
    stream_close(gone);
    s = who_is_left(p);
    p->farewell_from = s->bytes_in;
    stream_finish(s);
    timer_start(p->services->timers, &p->timer, FAREWELL_MS);
    hear_farewell(p);
}

/* RFC 8446 section 6.2: a client that gets no server is told so in the only words that it understands. */
static void refuse(struct passthrough *p, enum end_reason why, enum tls_alert alert)
{
    uint8_t record[TLS_ALERT_BYTES];

    tls_alert_write(record, alert);
    stream_put(p->client, span_of(record, sizeof(record)));
    say_farewell(p, &p->server, why);
}

/* ---- OPEN ---- */

/* The deadline moves lazily: the timer is looked at again when it strikes. */
static void wait_for_silence(struct passthrough *p)
{
    timer_set(p->services->timers, &p->timer, p->moved_ms + p->to->idle_timeout_ms);
}

static void note_movement(struct passthrough *p)
{
    uint64_t moved = p->from_client.moved + p->from_server.moved;

    if (moved == p->moved)
        return;
    p->moved = moved;
    p->moved_ms = timers_now_ms(p->services->timers);
}

static void note_end(struct passthrough *p, bool of_client)
{
    if (p->closed_by == NULL)
        p->closed_by = of_client ? "client" : "server";
}

/* One direction. False: the other side has been told that this one is gone, and p may be gone with it. */
static bool move(struct passthrough *p, struct flow *f)
{
    bool of_client = f == &p->from_client;

    if (f->over)
        return true;
    switch (flow_run(f)) {
    case FLOW_STARVED:
    case FLOW_BLOCKED:
        break;
    case FLOW_ENDED:
        note_end(p, of_client);
        break;
    case FLOW_DEAF:                      /* what it still says is heard; its own end, or silence, ends it all */
        note_end(p, !of_client);
        break;
    case FLOW_RESET:
        note_end(p, of_client);
        say_farewell(p, of_client ? &p->client : &p->server, of_client ? END_CLIENT_RESET : END_SERVER_RESET);
        return false;
    }
    return true;
}

static void pass(struct passthrough *p)
{
    if (!move(p, &p->from_client) || !move(p, &p->from_server))
        return;
    note_movement(p);
    if (p->from_client.over && p->from_server.over && stream_flushed(p->client) && stream_flushed(p->server))
        end(p, p->client->output_error != 0   ? END_CLIENT_RESET
               : p->server->output_error != 0 ? END_SERVER_RESET
                                              : END_COMPLETE);
}

/* ---- events ---- */

static void run(struct passthrough *p)
{
    switch (p->state) {
    case PASS_DIALING:
        if (p->client->input == STREAM_FAILED) {
            note_end(p, true);
            end(p, END_CLIENT_RESET);
        }
        break;
    case PASS_OPEN:
        pass(p);
        break;
    case PASS_FAREWELL:
        hear_farewell(p);
        break;
    case PASS_OVER:
        break;
    }
}

static void on_event(void *ctx)
{
    run(ctx);
}

static const struct stream_events passthrough_events = { .readable = on_event, .writable = on_event };

/* ---- DIALING ---- */

static void dial(struct passthrough *p);

static void dial_failed(struct passthrough *p, enum end_reason why, const char *detail)
{
    bool again = why != END_NO_MEMORY && p->attempts <= p->upstream->conf->retries && timer_is_set(&p->timer);

    if (why == END_SERVER_FULL) {        /* the last place there was went to somebody else */
        p->attempts--;
        seek_missed(&p->seek, p->server_record);
        leave_server(p);
        dial(p);
        return;
    }
    p->detail = detail;
    log_info("passthrough %s: upstream %s: %s: %s%s", p->inbound.name, p->upstream->conf->name, p->server_record->state->name,
             detail != NULL ? detail : end_reason_sentence(why), again ? "; trying again" : "");
    if (again) {
        metrics_add(&p->services->metrics->retries, 1);
        leave_server(p);
        dial(p);
    } else {
        refuse(p, why, TLS_ALERT_INTERNAL_ERROR);
    }
}

static void on_server(void *ctx, const struct dial_answer *a)
{
    struct passthrough *p = ctx;

    p->outbound = NULL;
    if (a->stream == NULL) {
        dial_failed(p, a->why, a->detail);
        return;
    }
    p->detail = NULL;
    p->server = a->stream;
    passthrough_enter(p, PASS_OPEN);
    flow_init(&p->from_client, p->client, p->server);
    flow_init(&p->from_server, p->server, p->client);
    stream_own(p->server, &passthrough_events, p);
    p->moved_ms = timers_now_ms(p->services->timers);
    wait_for_silence(p);
    pass(p);
}

static void dial_to(struct passthrough *p, struct server *server)
{
    struct outbound_request request = {
        .upstream = p->upstream->conf,
        .server = server,
        .inbound = &p->inbound,
        .authority = span_of(p->text, p->name_n),
        .timeout_ms = p->inbound.snapshot->conf->timeouts.connect_ms,
    };

    p->server_record = server;
    server_begin(server, SERVER_TUNNEL);
    p->attempts++;
    p->outbound = outbound_start(p->services, &request, on_server, p);
    server_give_back(server);
    if (p->outbound == NULL)
        dial_failed(p, END_NO_MEMORY, NULL);
}

static void dial(struct passthrough *p)
{
    enum end_reason why;
    struct server *server = seek_server(&p->seek, &why);

    if (server != NULL)
        dial_to(p, server);
    else if (why != END_NONE)
        refuse(p, why, TLS_ALERT_INTERNAL_ERROR);
    else
        timer_start(p->services->timers, &p->timer, p->upstream->conf->queue_timeout_ms);
}

/* The deadline is for all attempts together. */
static void allow_time_to_dial(struct passthrough *p)
{
    timer_start(p->services->timers, &p->timer, p->inbound.snapshot->conf->timeouts.connect_ms * (1 + p->upstream->conf->retries));
}

static void on_found(struct seek *s, struct server *server, enum end_reason why)
{
    struct passthrough *p = LIST_OWNER(s, struct passthrough, seek);

    if (server == NULL) {
        refuse(p, why, TLS_ALERT_INTERNAL_ERROR);
        return;
    }
    allow_time_to_dial(p);
    dial_to(p, server);
}

/* ---- deadlines ---- */

static void on_timer(struct timer *t, uint64_t now_ms)
{
    struct passthrough *p = LIST_OWNER(t, struct passthrough, timer);

    switch (p->state) {
    case PASS_DIALING:
        if (seek_waits(&p->seek)) {
            seek_end(&p->seek);
            upstream_complain(p->upstream);
            refuse(p, END_QUEUE_TIMEOUT, TLS_ALERT_INTERNAL_ERROR);
            break;
        }
        outbound_cancel(&p->outbound);
        dial_failed(p, END_CONNECT_TIMEOUT, NULL);
        break;
    case PASS_OPEN:
        if (now_ms < p->moved_ms + p->to->idle_timeout_ms)
            wait_for_silence(p);
        else
            end(p, END_PASS_IDLE);
        break;
    case PASS_FAREWELL:
    case PASS_OVER:
        end(p, p->end);
        break;
    }
}

/* ---- the beginning, and the gateway's end ---- */

static bool wildcard_covers(const char *pattern, struct span name)
{
    struct span end = span_from(span_of_text(pattern), 1);

    return pattern[0] == '*' && end.n > 0 && name.n > end.n && span_ends_with(name, end);
}

const struct conf_passthrough *passthrough_find(const struct conf_listener *listener, struct span name)
{
    const struct conf_passthrough *found = NULL;
    size_t found_n = 0;

    for (size_t i = 0; i < listener->passthrough_n; i++) {
        const struct conf_passthrough *p = &listener->passthrough[i];
        size_t n = strlen(p->name);
        if (name.n > 0 && span_equal(span_of_text(p->name), name))
            return p;
        if (n > found_n && (n == 1 ? p->name[0] == '*' : wildcard_covers(p->name, name))) {
            found = p;
            found_n = n;
        }
    }
    return found;
}

static struct passthrough *make(struct services *services, const struct passthrough_start *start)
{
    const struct tls_hello *hello = start->hello;
    size_t name_n = hello->whole ? hello->name_n : 0, alpn_n = hello->whole ? hello->alpn_n : 0;
    struct passthrough *p = mem_zalloc(sizeof(*p) + name_n + alpn_n);

    if (p == NULL)
        return NULL;
    p->services = services;
    p->client = start->client;
    p->inbound = *start->inbound;
    p->to = start->to;
    p->fault = hello->fault;
    p->name_n = name_n;
    p->alpn_n = alpn_n;
    memcpy(p->text, hello->name, name_n);
    memcpy(p->text + name_n, hello->alpn, alpn_n);
    p->begun_ms = timers_now_ms(services->timers);
    timer_init(&p->timer, on_timer);
    list_append(&services->passthroughs, &p->link);
    metrics_add(&services->metrics->passthroughs, 1);
    metrics_add(&services->metrics->passthroughs_open, 1);
    return p;
}

static void say_refused(const struct passthrough *p, enum end_reason why)
{
    log_info("listener %s: %s: %s%s%.*s", p->inbound.listener->name, p->inbound.name,
             p->fault != FAULT_NONE ? fault_sentence(p->fault) : end_reason_sentence(why), p->name_n > 0 ? ": " : "",
             SPAN_FORMAT(name_of(p)));
}

void passthrough_new(struct services *services, const struct passthrough_start *start)
{
    struct passthrough *p = make(services, start);

    if (p == NULL) {
        struct stream *client = start->client;
        struct inbound inbound = *start->inbound;
        stream_close(&client);
        inbound_ended(services, &inbound, END_NO_MEMORY);
        return;
    }
    stream_own(p->client, &passthrough_events, p);
    if (p->to != NULL) {
        p->upstream = &p->inbound.snapshot->upstreams[p->to->upstream];
        seek_init(&p->seek, p->upstream, true, on_found);
        p->seek.wish.keyed = p->upstream->conf->hash.kind == CONF_HASH_CLIENT;   /* of all keys the only one that can be seen here */
        p->seek.wish.key = hash_of(span_of_text(p->inbound.address));
        allow_time_to_dial(p);
        dial(p);
        return;
    }
    say_refused(p, start->why);
    refuse(p, start->why, p->fault != FAULT_NONE ? tls_hello_alert(p->fault) : TLS_ALERT_UNRECOGNIZED_NAME);
}

void passthrough_kill_all(struct services *services)
{
    while (!list_empty(&services->passthroughs))
        end(LIST_OWNER(services->passthroughs.next, struct passthrough, link), END_DRAINED);
}
