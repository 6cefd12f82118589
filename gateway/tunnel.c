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
    const char *reason;                  /* goes with owed_code */
    uint64_t heard_ms, heard_bytes;      /* when bytes last came from it, and how many there were by then */
    uint64_t ping_sent_ms;               /* with pump.ping_out … */
    uint64_t ping_heard_bytes;           /* … and how many bytes had come from it by then */
    bool ping_due;                       /* as soon as a frame ends that is on its way to it */
    bool blocked;                        /* the other side does not read what this one sent … */
    uint64_t blocked_from_ms;            /* … since then nothing moved */
    uint64_t blocked_moved, blocked_ms;
    struct access_rtt rtt;
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
    uint64_t begun_ms, entered_ms;
    uint64_t rate_due_us;                /* when the client's messages so far would be due at the rate it may send */
    uint64_t rate_messages;
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

static struct access_direction direction_of(const struct side *s)
{
    const struct pump *p = &s->pump;
    const struct ws_scan_counts *c = &p->scan.counts;

    return (struct access_direction){ .frames = c->frames, .messages = c->messages, .bytes = p->moved, .pings = c->pings, .pongs = c->pongs,
                                      .close_code = p->close_seen ? p->close_code : 0, .blocked_ms = s->blocked_ms, .rtt = s->rtt };
}

static void write_record(struct tunnel *t)
{
    struct access_tunnel record = {
        .request = t->request,
        .protocol = t->protocol,
        .deflate = t->deflate,
        .duration_ms = timers_now_ms(t->services->timers) - t->begun_ms,
        .from_client = direction_of(&t->sides[CLIENT]),
        .from_server = direction_of(&t->sides[SERVER]),
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

/* The side's input ended without a Close. After its own Close that is as it should be, and never comes here. Where it left the other's
 * Close without an answer, the gateway makes none up: that one's connection just ends, as it would have without the gateway. */
static void end_by_loss(struct tunnel *t, struct side *s, enum pump_result how)
{
    bool client = is_client(t, s);
    enum end_reason why = client ? END_CLIENT_VANISHED : END_SERVER_VANISHED;

    if (how == PUMP_CUT)
        why = client ? END_CLIENT_CUT : END_SERVER_CUT;
    else if (how == PUMP_RESET)
        why = client ? END_CLIENT_RESET : END_SERVER_RESET;
    if (t->blind && how == PUMP_EOF)
        why = END_CLOSED;                /* without frames an orderly end is all there is to see */
    s->done = true;
    if (how == PUMP_RESET)
        s->told = true;
    begin_ending(t, why, name_of(t, s));
    if (!other(t, s)->pump.close_passes)
        owe(other(t, s), OWES_NOW, end_reason_close_code(why), client ? "the client is gone" : "the server is gone");
}

/* The gateway's own decision: a side is to blame, and gets blame_code, or nobody is (NULL). */
static void end_by_gateway(struct tunnel *t, enum end_reason why, struct side *to_blame, unsigned blame_code)
{
    unsigned code = end_reason_close_code(why);

    begin_ending(t, why, "gateway");
    for (int i = 0; i < 2; i++) {
        t->sides[i].pump.hold_close = true;
        owe(&t->sides[i], OWES_NOW, &t->sides[i] == to_blame ? blame_code : code, end_reason_sentence(why));
    }
}

/* RFC 6455 section 7.4.1 and the registry of close codes: 1012 is "service restart": the client may come back soon. */
static void end_by_drain(struct tunnel *t)
{
    end_by_gateway(t, END_DRAINED, &t->sides[CLIENT], t->conf->drain_code);
}

static void note_close(struct tunnel *t, struct side *s)
{
    s->done = true;
    if (s->pump.close_passes)            /* verified before it was to be held, and out since */
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
        ready_add(t->services->ready, &t->ready);        /* s goes on into the void: a Close of its that is here ends the tunnel now */
        break;
    }
}

static void discard(struct side *s)
{
    const uint8_t *p;

    stream_consume(s->stream, stream_peek(s->stream, &p));
}

static void note_rtt(struct tunnel *t, struct side *s, uint64_t rtt_ms)
{
    struct access_rtt *r = &s->rtt;

    r->least_ms = r->n == 0 || rtt_ms < r->least_ms ? rtt_ms : r->least_ms;
    r->most_ms = rtt_ms > r->most_ms ? rtt_ms : r->most_ms;
    r->sum_ms += rtt_ms;
    r->n++;
    metrics_rtt(t->services->metrics, is_client(t, s) ? METRICS_CLIENT : METRICS_SERVER, rtt_ms);
}

/* Who was heard, who does not read, whose Pong came. */
static void note_movement(struct tunnel *t, struct side *s)
{
    bool blocked = s->pump.cleared > 0;
    uint64_t now_ms;

    if (s->stream->bytes_in == s->heard_bytes && !blocked && !s->blocked && !s->pump.pong_seen)
        return;
    now_ms = timers_now_ms(t->services->timers);
    if (s->stream->bytes_in != s->heard_bytes) {
        s->heard_bytes = s->stream->bytes_in;
        s->heard_ms = now_ms;
        s->ping_due = false;
    }
    if (s->blocked && s->pump.moved != s->blocked_moved) {
        s->blocked_ms += now_ms - s->blocked_from_ms;
        s->blocked = false;
        s->heard_ms = now_ms;            /* what it said meanwhile, a Pong perhaps, is only read from now on */
    }
    if (blocked && !s->blocked) {
        s->blocked = true;
        s->blocked_from_ms = now_ms;
        s->blocked_moved = s->pump.moved;
    }
    if (s->pump.pong_seen) {
        s->pump.pong_seen = false;
        note_rtt(t, s, now_ms - s->ping_sent_ms);
    }
}

/* Messages per second, a second's worth at once: each message moves the due time on, and it may be at most a second ahead of now. */
static bool over_rate(struct tunnel *t)
{
    uint64_t messages = t->sides[CLIENT].pump.scan.counts.messages;
    uint64_t now_us = timers_now_ms(t->services->timers) * 1000;

    if (messages == t->rate_messages)
        return false;
    if (t->rate_due_us < now_us)
        t->rate_due_us = now_us;
    t->rate_due_us += (messages - t->rate_messages) * (1000000 / t->conf->rate);
    t->rate_messages = messages;
    return t->rate_due_us > now_us + 1000000;
}

static void end_by_rate(struct tunnel *t)
{
    end_by_gateway(t, END_RATE, &t->sides[CLIENT], 1008);
    /* What it sent too much goes nowhere; a frame that stands open is completed, so that the server can be told. */
    t->sides[CLIENT].done = pump_at_boundary(&t->sides[CLIENT].pump);
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
    note_movement(t, s);
    if (is_client(t, s) && t->conf->rate > 0 && t->state == TUNNEL_OPEN && over_rate(t))
        end_by_rate(t);
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

/* A Ping of the gateway's own, between two frames of the other side's (between fragments is lawful, RFC 6455 section 5.4). */
static void ping_if_due(struct tunnel *t, struct side *s)
{
    uint8_t frame[WS_BUILT_MAX_BYTES], mask[4];
    size_t n;

    if (!s->ping_due || s->told || t->state != TUNNEL_OPEN || !pump_at_boundary(&other(t, s)->pump))
        return;
    services_random(s->pump.ping_payload, PUMP_PING_BYTES);
    services_random(mask, sizeof(mask));
    n = ws_build_ping(frame, span_of(s->pump.ping_payload, PUMP_PING_BYTES), is_client(t, s) ? NULL : mask);
    s->ping_due = false;
    s->pump.ping_out = true;
    s->ping_sent_ms = timers_now_ms(t->services->timers);
    s->ping_heard_bytes = s->heard_bytes;
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
    else if (!s->deaf && stream_finish(s->stream) != 0)      /* it never will be: the connection's end says so at once */
        s->deaf = true;
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

/* RFC 6455 section 7.1.1: after both Closes the server ends TCP first, and keeps the TIME_WAIT. Towards the client that is us; from a
 * server that said its Close the end is awaited for LAST_WORD_MS. */
static bool ends_first(const struct tunnel *t, const struct side *s)
{
    return !is_client(t, s) && s->pump.close_seen && s->stream->input == STREAM_OPEN;
}

static void begin_flushing(struct tunnel *t)
{
    if (t->end == END_NONE)
        t->end = END_CLOSED;
    tunnel_enter(t, TUNNEL_FLUSHING);
    for (int i = 0; i < 2; i++) {
        struct side *s = &t->sides[i];
        s->done = true;
        if (!s->deaf && !ends_first(t, s) && stream_finish(s->stream) != 0)
            s->deaf = true;
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

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A Ping went out, and nothing at all has come since. Whoever said something instead of the Pong is asked again when it is silent again. */
static bool asked_in_vain(const struct side *s)
{
    return s->pump.ping_out && s->heard_bytes == s->ping_heard_bytes;
}

static uint64_t sign_of_life_ms(const struct side *s)
{
    return asked_in_vain(s) && s->ping_sent_ms > s->heard_ms ? s->ping_sent_ms : s->heard_ms;
}

/* When the next thing is to be done for one side of an open tunnel. What a side says while it is blocked is not read: it is not silent. */
static uint64_t side_deadline_ms(const struct tunnel *t, const struct side *s)
{
    uint64_t ping_ms = t->blind ? 0 : t->conf->ping_interval_ms;
    uint64_t due_ms = s->heard_ms + t->conf->idle_timeout_ms;

    if (s->blocked)
        return s->blocked_from_ms + t->conf->slow_timeout_ms;
    if (ping_ms > 0 && !s->ping_due)
        due_ms = earlier(due_ms, sign_of_life_ms(s) + ping_ms);
    return due_ms;
}

static uint64_t open_deadline_ms(const struct tunnel *t)
{
    uint64_t due_ms = earlier(side_deadline_ms(t, &t->sides[CLIENT]), side_deadline_ms(t, &t->sides[SERVER]));

    return t->conf->max_lifetime_ms > 0 ? earlier(due_ms, t->begun_ms + t->conf->max_lifetime_ms) : due_ms;
}

static uint64_t deadline_ms(const struct tunnel *t)
{
    switch (t->state) {
    case TUNNEL_OPEN:
        return open_deadline_ms(t);
    case TUNNEL_CLOSING:
    case TUNNEL_ENDING:
        return t->entered_ms + t->conf->close_timeout_ms;
    case TUNNEL_FLUSHING:
    case TUNNEL_OVER:
        break;
    }
    return t->entered_ms + (both_flushed(t) ? earlier(LAST_WORD_MS, t->conf->close_timeout_ms) : t->conf->close_timeout_ms);
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
    ping_if_due(t, &t->sides[CLIENT]);
    ping_if_due(t, &t->sides[SERVER]);
    wait_for(t);
}

/* What is due for one side of an open tunnel; each is a row: how long, since when, what follows. */
static void on_side_due(struct tunnel *t, struct side *s, uint64_t now_ms)
{
    bool client = is_client(t, s);
    uint64_t ping_ms = t->blind ? 0 : t->conf->ping_interval_ms;

    if (t->state != TUNNEL_OPEN || now_ms < side_deadline_ms(t, s))
        return;
    if (s->blocked)
        end_by_gateway(t, client ? END_SERVER_SLOW : END_CLIENT_SLOW, other(t, s), 1008);
    else if (ping_ms > 0 && asked_in_vain(s) && now_ms >= sign_of_life_ms(s) + ping_ms)
        end_by_gateway(t, client ? END_CLIENT_SILENT : END_SERVER_SILENT, s, 1011);
    else if (now_ms >= s->heard_ms + t->conf->idle_timeout_ms)
        end_by_gateway(t, client ? END_CLIENT_IDLE : END_SERVER_IDLE, NULL, 0);
    else
        s->ping_due = true;
}

static void on_open_due(struct tunnel *t, uint64_t now_ms)
{
    on_side_due(t, &t->sides[CLIENT], now_ms);
    on_side_due(t, &t->sides[SERVER], now_ms);
    if (t->state == TUNNEL_OPEN && t->conf->max_lifetime_ms > 0 && now_ms >= t->begun_ms + t->conf->max_lifetime_ms)
        end_by_gateway(t, END_LIFETIME, NULL, 0);
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
        on_open_due(t, now_ms);
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
    end_by_drain(t);
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
        .max_fragments = (uint32_t)start->conf->max_fragments,
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
    t->begun_ms = t->entered_ms = timers_now_ms(services->timers);
    t->sides[CLIENT].heard_ms = t->sides[SERVER].heard_ms = t->begun_ms;
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
