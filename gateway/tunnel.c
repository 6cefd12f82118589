/* A tunnel's life:
 *
 *   OPEN      frames pass both ways
 *   CLOSING   one side's Close has passed; the other side's is awaited
 *   ENDING    the gateway ends it: a fault, a side that is gone, silence, a drain. Whoever is not to blame is told by a Close at the
 *             next frame boundary, and what it still answers passes until its own Close; only then the offender gets its Close
 *   FLUSHING  everything is said; both connections are finished, what still comes is thrown away
 *   OVER      both are closed; the record is written
 *
 * What goes wrong, in the order in which it is looked for: a side's output fails (it is gone), an unlawful frame (1002, 1007, 1009 to the
 * offender, 1011 to the other), a side ends without a Close (between frames, inside one, by a reset), nobody says anything for too long,
 * the closing handshake is not completed in time. A Close of the gateway's goes only where a frame has just ended; where that cannot
 * be (the frame's sender is gone), that connection just ends. With `verify: blind` the gateway says nothing of its own. */
#include "gateway/tunnel.h"
#include "gateway/log.h"
#include "gateway/pump.h"
#include "protocol/mem.h"
#include "protocol/ws_build.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define LAST_WORD_MS 1000                /* everything is said and out: how long the peer may take to end the connection */
#define TARGET_BYTES_MAX 512             /* of the request target, in the record */

enum tunnel_state { TUNNEL_OPEN, TUNNEL_CLOSING, TUNNEL_ENDING, TUNNEL_FLUSHING, TUNNEL_OVER };
#define CAN(state) (1u << TUNNEL_##state)
static const struct {
    const char *words;
    unsigned next;
} states[] = {
    [TUNNEL_OPEN] = { "open", CAN(CLOSING) | CAN(ENDING) | CAN(FLUSHING) },
    [TUNNEL_CLOSING] = { "closing", CAN(ENDING) | CAN(FLUSHING) },
    [TUNNEL_ENDING] = { "ending", CAN(FLUSHING) },
    [TUNNEL_FLUSHING] = { "flushing", CAN(OVER) },
    [TUNNEL_OVER] = { "over", 0 },
};

enum side_name { CLIENT, SERVER };
enum owes { OWES_NOTHING, OWES_NOW, OWES_AFTER_OTHER };

struct side {
    struct stream *stream;
    struct pump pump;                    /* from this side to the other */
    enum owes owes;                      /* a Close that this side is still to get from the gateway … */
    unsigned owed_code;
    bool told;                           /* a Close went to it, or its output was finished: nothing more passes to it */
    bool done;                           /* nothing more comes from it: its Close came, or its input ended or is no longer wanted */
    bool deaf;                           /* its output failed */
    bool finished;
    const char *reason;                  /* goes with owed_code */
};

struct tunnel {
    struct services *services;
    struct list link;                    /* services->tunnels */
    enum tunnel_state state;
    struct side sides[2];
    const struct conf_websocket *conf;
    struct server *server_record;
    struct timer timer, drain_timer;
    struct ready ready;
    bool deflate, blind;
    uint64_t begun_ms, active_ms, entered_ms;
    uint64_t moved;                      /* both pumps' bytes when last looked at */
    enum end_reason end;
    enum fault fault;
    const char *closed_by;
    struct access_request request;       /* spans into text */
    struct span protocol;
    uint8_t text[];
};

static void tunnel_enter(struct tunnel *t, enum tunnel_state to)
{
    assert((states[t->state].next & (1u << to)) != 0);
    log_debug("tunnel %.*s: %s -> %s", SPAN_FORMAT(t->request.client), states[t->state].words, states[to].words);
    t->state = to;
    t->entered_ms = timers_now_ms(t->services->timers);
}

static struct side *other(struct tunnel *t, const struct side *s)
{
    return s == &t->sides[CLIENT] ? &t->sides[SERVER] : &t->sides[CLIENT];
}

static bool is_client(const struct tunnel *t, const struct side *s)
{
    return s == &t->sides[CLIENT];
}

/* ---- the end ---- */

static struct access_direction direction_of(const struct pump *p)
{
    const struct ws_scan_counts *c = &p->scan.counts;

    return (struct access_direction){ .frames = c->frames, .messages = c->messages, .bytes = p->moved, .pings = c->pings, .pongs = c->pongs,
                                      .close_code = p->close_seen ? p->close_code : 0 };
}

static void write_record(struct tunnel *t)
{
    struct access_tunnel record = {
        .request = t->request,
        .protocol = t->protocol,
        .deflate = t->deflate,
        .duration_ms = timers_now_ms(t->services->timers) - t->begun_ms,
        .from_client = direction_of(&t->sides[CLIENT].pump),
        .from_server = direction_of(&t->sides[SERVER].pump),
        .closed_by = t->closed_by != NULL ? t->closed_by : "gateway",
        .end = t->end,
        .fault = t->fault,
    };

    access_log_tunnel(t->services->access_log, &record);
    metrics_ended(t->services->metrics, METRICS_TUNNEL, t->end);
    metrics_add(&t->services->metrics->bytes_from_clients, t->sides[CLIENT].pump.moved);
    metrics_add(&t->services->metrics->bytes_to_clients, t->sides[SERVER].pump.moved);
}

static void tunnel_free(struct tunnel *t)
{
    struct services *svc = t->services;

    write_record(t);
    stream_close(&t->sides[CLIENT].stream);
    stream_close(&t->sides[SERVER].stream);
    timer_clear(svc->timers, &t->timer);
    timer_clear(svc->timers, &t->drain_timer);
    ready_cancel(&t->ready);
    list_remove(&t->link);
    t->server_record->busy--;
    metrics_sub(&svc->metrics->tunnels_open, 1);
    mem_free(t);
    svc->connection_ended(svc->connection_ended_ctx);
}

/* ---- deciding to end ---- */

static void owe(struct side *s, enum owes when, unsigned code, const char *reason)
{
    if (s->told || s->owes != OWES_NOTHING)
        return;
    s->owes = when;
    s->owed_code = code;
    s->reason = reason;
}

static void begin_ending(struct tunnel *t, enum end_reason why, const char *closed_by)
{
    if (t->end == END_NONE) {
        t->end = why;
        if (t->closed_by == NULL)
            t->closed_by = closed_by;
    }
    if (t->state < TUNNEL_ENDING)
        tunnel_enter(t, TUNNEL_ENDING);
}

static const char *name_of(const struct tunnel *t, const struct side *s)
{
    return is_client(t, s) ? "client" : "server";
}

static void end_by_fault(struct tunnel *t, struct side *s)
{
    enum fault fault = s->pump.scan.fault;
    enum end_reason why = is_client(t, s) ? END_CLIENT_FRAME_FAULT : END_SERVER_FRAME_FAULT;

    s->done = true;
    t->fault = fault;
    metrics_fault(t->services->metrics, is_client(t, s) ? METRICS_CLIENT : METRICS_SERVER, fault);
    log_info("tunnel %.*s: the %s: %s", SPAN_FORMAT(t->request.client), name_of(t, s), fault_sentence(fault));
    begin_ending(t, why, "gateway");
    other(t, s)->pump.hold_close = true;
    owe(other(t, s), OWES_NOW, end_reason_close_code(why), "the other side broke the protocol");
    owe(s, OWES_AFTER_OTHER, fault_close_code(fault), fault_sentence(fault));
}

/* The side's input ended without a Close. After its own Close that is as it should be, and never comes here. */
static void end_by_loss(struct tunnel *t, struct side *s, enum pump_result how)
{
    bool client = is_client(t, s);
    enum end_reason why = client ? END_CLIENT_VANISHED : END_SERVER_VANISHED;

    if (how == PUMP_CUT)
        why = client ? END_CLIENT_CUT : END_SERVER_CUT;
    else if (how == PUMP_RESET)
        why = client ? END_CLIENT_RESET : END_SERVER_RESET;
    s->done = true;
    if (how == PUMP_RESET)
        s->told = true;
    begin_ending(t, why, name_of(t, s));
    owe(other(t, s), OWES_NOW, end_reason_close_code(why), client ? "the client is gone" : "the server is gone");
}

static void end_by_gateway(struct tunnel *t, enum end_reason why)
{
    unsigned code = end_reason_close_code(why);

    begin_ending(t, why, "gateway");
    for (int i = 0; i < 2; i++) {
        t->sides[i].pump.hold_close = true;
        owe(&t->sides[i], OWES_NOW, code, end_reason_sentence(why));
    }
}

static void note_close(struct tunnel *t, struct side *s)
{
    s->done = true;
    if (!s->pump.hold_close)
        other(t, s)->told = true;
    if (t->closed_by == NULL)
        t->closed_by = name_of(t, s);
    if (t->state == TUNNEL_OPEN)
        tunnel_enter(t, TUNNEL_CLOSING);
}

/* ---- moving ---- */

static void note_result(struct tunnel *t, struct side *s, enum pump_result r)
{
    switch (r) {
    case PUMP_STARVED:
    case PUMP_BLOCKED:
        break;
    case PUMP_SPENT:
        ready_add(t->services->ready, &t->ready);
        break;
    case PUMP_CLOSED:
        note_close(t, s);
        break;
    case PUMP_FAULT:
        end_by_fault(t, s);
        break;
    case PUMP_EOF:
    case PUMP_CUT:
    case PUMP_RESET:
        end_by_loss(t, s, r);
        break;
    case PUMP_DEAF:
        other(t, s)->deaf = true;        /* what it still says is heard first: its own input ends, or the deadline strikes */
        break;
    }
}

static void discard(struct side *s)
{
    const uint8_t *p;

    stream_consume(s->stream, stream_peek(s->stream, &p));
}

/* Passes what may pass from s to the other side. What nobody is to get any more is still read: its sender's Close, or its end, is awaited. */
static void move(struct tunnel *t, struct side *s)
{
    const struct side *to = other(t, s);

    if (s->done) {
        if (t->state >= TUNNEL_ENDING)
            discard(s);
        return;
    }
    if (to->told || to->deaf) {
        s->pump.discard = true;
        s->pump.hold_close = true;
    }
    note_result(t, s, pump_run(&s->pump));
}

static void put_close(struct tunnel *t, struct side *s)
{
    uint8_t frame[WS_BUILT_MAX_BYTES], mask[4];
    size_t n;

    services_random(mask, sizeof(mask));
    n = ws_build_close(frame, s->owed_code, span_of_text(s->reason), is_client(t, s) ? NULL : mask);
    if (stream_put(s->stream, span_of(frame, n)) != 0)
        s->deaf = true;
}

/* Gives a side the Close it is owed, if it can be given now; true when something changed. */
static bool tell(struct tunnel *t, struct side *s, bool at_once)
{
    struct side *from = other(t, s);

    if (s->owes == OWES_NOTHING || s->told || (s->owes == OWES_AFTER_OTHER && !from->done && !at_once))
        return false;
    if (!s->deaf && !t->blind && pump_at_boundary(&from->pump))
        put_close(t, s);
    else if (!s->deaf && !t->blind && !from->done && !at_once)
        return false;                    /* the frame that stands open is completed first */
    s->told = true;
    return true;
}

static bool all_said(const struct tunnel *t)
{
    for (int i = 0; i < 2; i++)
        if (!t->sides[i].done || (t->sides[i].owes != OWES_NOTHING && !t->sides[i].told))
            return false;
    return true;
}

static void begin_flushing(struct tunnel *t)
{
    if (t->end == END_NONE)
        t->end = END_CLOSED;
    tunnel_enter(t, TUNNEL_FLUSHING);
    for (int i = 0; i < 2; i++) {
        t->sides[i].done = true;
        if (!t->sides[i].deaf && stream_finish(t->sides[i].stream) != 0)
            t->sides[i].deaf = true;
    }
}

/* ---- waiting ---- */

static bool both_flushed(const struct tunnel *t)
{
    return stream_flushed(t->sides[CLIENT].stream) && stream_flushed(t->sides[SERVER].stream);
}

static bool both_ended(const struct tunnel *t)
{
    return t->sides[CLIENT].stream->input != STREAM_OPEN && t->sides[SERVER].stream->input != STREAM_OPEN;
}

static uint64_t deadline_ms(const struct tunnel *t)
{
    switch (t->state) {
    case TUNNEL_OPEN:
        return t->active_ms + t->conf->idle_timeout_ms;
    case TUNNEL_CLOSING:
    case TUNNEL_ENDING:
        return t->entered_ms + t->conf->close_timeout_ms;
    case TUNNEL_FLUSHING:
    case TUNNEL_OVER:
        break;
    }
    return t->entered_ms + (both_flushed(t) && t->conf->close_timeout_ms > LAST_WORD_MS ? LAST_WORD_MS : t->conf->close_timeout_ms);
}

/* The deadline moves lazily: the timer is set when it would come earlier than it is set for, and looked at again when it strikes. */
static void wait_for(struct tunnel *t)
{
    uint64_t due_ms = deadline_ms(t);

    if (!timer_is_set(&t->timer) || t->timer.deadline_ms > due_ms)
        timer_set(t->services->timers, &t->timer, due_ms);
}

static void run(struct tunnel *t)
{
    bool again = true;

    for (int round = 0; again && round < 4 && t->state < TUNNEL_FLUSHING; round++) {
        move(t, &t->sides[CLIENT]);
        move(t, &t->sides[SERVER]);
        again = tell(t, &t->sides[CLIENT], false);
        again |= tell(t, &t->sides[SERVER], false);
        if (all_said(t))
            begin_flushing(t);
    }
    if (t->state == TUNNEL_FLUSHING) {
        discard(&t->sides[CLIENT]);
        discard(&t->sides[SERVER]);
        if (both_flushed(t) && both_ended(t)) {
            tunnel_enter(t, TUNNEL_OVER);
            tunnel_free(t);
            return;
        }
    }
    if (t->sides[CLIENT].pump.moved + t->sides[SERVER].pump.moved != t->moved) {
        t->moved = t->sides[CLIENT].pump.moved + t->sides[SERVER].pump.moved;
        t->active_ms = timers_now_ms(t->services->timers);
    }
    wait_for(t);
}

static bool is_blocked(const struct tunnel *t)
{
    return t->sides[CLIENT].pump.cleared > 0 || t->sides[SERVER].pump.cleared > 0;
}

static void on_timer(struct timer *timer, uint64_t now_ms)
{
    struct tunnel *t = LIST_OWNER(timer, struct tunnel, timer);

    if (now_ms < deadline_ms(t)) {
        wait_for(t);
        return;
    }
    switch (t->state) {
    case TUNNEL_OPEN:
        end_by_gateway(t, is_blocked(t) ? END_SLOW_TIMEOUT : END_IDLE_TIMEOUT);
        break;
    case TUNNEL_CLOSING:
    case TUNNEL_ENDING:
        if (t->end == END_NONE)
            t->end = END_CLOSE_TIMEOUT;
        tell(t, &t->sides[CLIENT], true);
        tell(t, &t->sides[SERVER], true);
        begin_flushing(t);
        break;
    case TUNNEL_FLUSHING:
    case TUNNEL_OVER:
        tunnel_enter(t, TUNNEL_OVER);
        tunnel_free(t);
        return;
    }
    run(t);
}

static void on_event(void *ctx)
{
    run(ctx);
}

static void on_ready(struct ready *r)
{
    run(LIST_OWNER(r, struct tunnel, ready));
}

static const struct stream_events tunnel_events = { .readable = on_event, .writable = on_event };

/* ---- draining ---- */

static void on_drain(struct timer *timer, uint64_t now_ms)
{
    struct tunnel *t = LIST_OWNER(timer, struct tunnel, drain_timer);

    (void)now_ms;
    if (t->state != TUNNEL_OPEN)
        return;
    end_by_gateway(t, END_DRAINED);
    run(t);
}

void tunnel_drain(struct tunnel *t, uint64_t delay_ms)
{
    timer_start(t->services->timers, &t->drain_timer, delay_ms);
}

void tunnel_drain_all(struct services *services, uint64_t spread_ms)
{
    for (struct list *l = services->tunnels.next; l != &services->tunnels; l = l->next) {
        uint32_t dice;
        services_random(&dice, sizeof(dice));
        tunnel_drain(LIST_OWNER(l, struct tunnel, link), spread_ms * dice / UINT32_MAX);
    }
}

void tunnel_kill_all(struct services *services)
{
    while (!list_empty(&services->tunnels)) {
        struct tunnel *t = LIST_OWNER(services->tunnels.next, struct tunnel, link);
        if (t->end == END_NONE)
            t->end = END_DRAINED;
        tunnel_free(t);
    }
}

/* ---- the beginning ---- */

static struct span keep(uint8_t **at, struct span s)
{
    struct span kept = { *at, s.n };

    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return kept;
}

/* The record's words outlive the request they came from. */
static void keep_texts(struct tunnel *t, const struct tunnel_start *start)
{
    uint8_t *at = t->text;

    t->request.client = keep(&at, start->request.client);
    t->request.listener = start->request.listener;
    t->request.method = SPAN_LITERAL("GET");             /* no other method makes a tunnel */
    t->request.target = keep(&at, span_first(start->request.target, TARGET_BYTES_MAX));
    t->request.host = keep(&at, start->request.host);
    t->request.upstream = start->request.upstream;
    t->request.server = start->request.server;
    t->protocol = keep(&at, start->protocol);
}

static struct ws_scan_rules scan_rules(const struct tunnel_start *start, bool from_client)
{
    return (struct ws_scan_rules){
        .from_client = from_client,
        .deflate = start->deflate,
        .verify = start->conf->verify,
        .max_frame = start->conf->max_frame,
        .max_message = start->conf->max_message,
    };
}

int tunnel_new(struct services *services, const struct tunnel_start *start)
{
    size_t text = start->request.client.n + TARGET_BYTES_MAX + start->request.host.n + start->protocol.n;
    struct tunnel *t = mem_zalloc(sizeof(*t) + (start->request.target.n < TARGET_BYTES_MAX
                                                    ? text - TARGET_BYTES_MAX + start->request.target.n : text));
    struct stream *client = start->client, *server = start->server;
    struct ws_scan_rules from_client = scan_rules(start, true), from_server = scan_rules(start, false);

    if (t == NULL) {
        stream_close(&client);
        stream_close(&server);
        services->connection_ended(services->connection_ended_ctx);
        return -ENOMEM;
    }
    t->services = services;
    t->conf = start->conf;
    t->deflate = start->deflate;
    t->blind = start->conf->verify == WS_VERIFY_BLIND;
    t->server_record = start->server_record;
    t->server_record->busy++;
    t->begun_ms = t->active_ms = t->entered_ms = timers_now_ms(services->timers);
    keep_texts(t, start);
    t->sides[CLIENT].stream = client;
    t->sides[SERVER].stream = server;
    pump_init(&t->sides[CLIENT].pump, client, server, &from_client);
    pump_init(&t->sides[SERVER].pump, server, client, &from_server);
    timer_init(&t->timer, on_timer);
    timer_init(&t->drain_timer, on_drain);
    ready_init(&t->ready, on_ready);
    list_append(&services->tunnels, &t->link);
    metrics_add(&services->metrics->tunnels, 1);
    metrics_add(&services->metrics->tunnels_open, 1);
    stream_own(client, &tunnel_events, t);
    stream_own(server, &tunnel_events, t);
    wait_for(t);
    return 0;
}
