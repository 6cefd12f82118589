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
#include "gateway/tunnel_parts.h"
#include "gateway/tunnel_walk.h"
#include "gateway/log.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define WORD_BYTES_MAX 512               /* of each word of the request, in the record */

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

void tunnel_enter(struct tunnel *t, enum tunnel_state to)
{
    assert((states[t->state].next & (1u << to)) != 0);
    log_debug("tunnel %.*s: %s -> %s", SPAN_FORMAT(tunnel_name(t)), states[t->state].words, states[to].words);
    t->state = to;
    t->entered_ms = timers_now_ms(t->services->timers);
}

const char *tunnel_state_word(const struct tunnel *t)
{
    return states[t->state].words;
}

/* ---- the end ---- */

static struct access_direction direction_of(const struct side *s)
{
    const struct pump *p = &s->pump;
    const struct ws_scan_counts *c = &p->scan.counts;

    return (struct access_direction){ .frames = c->frames, .messages = c->messages, .bytes = p->moved, .pings = c->pings, .pongs = c->pongs,
                                      .close_code = p->close_seen ? p->close_code : 0, .blocked_ms = s->blocked_ms, .rtt = s->rtt };
}

static struct span next_text(const uint8_t **at, size_t n)
{
    struct span s = span_of(*at, n);

    *at += n;
    return s;
}

static void write_record(struct tunnel *t)
{
    const struct tunnel_origin *o = &t->origin;
    const uint8_t *at = t->text;
    struct span client = next_text(&at, o->client_n), user = next_text(&at, o->user_n), id = next_text(&at, o->id_n);
    struct span trace_id = next_text(&at, o->trace_id_n), target = next_text(&at, o->target_n);
    struct span host = next_text(&at, o->host_n), protocol = next_text(&at, o->protocol_n);
    struct access_tunnel record = {
        .request = { .client = client,
                     .user = user,
                     .id = id,
                     .trace_id = trace_id,
                     .target = target,
                     .host = host,
                     .method = SPAN_LITERAL("GET"),      /* no other method makes a tunnel */
                     .listener = span_of_text(o->listener),
                     .upstream = span_of_text(o->upstream),
                     .server = span_of_text(o->server) },
        .protocol = protocol,
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
    for (int i = 0; i < 2; i++)
        if (t->sides[i].pump.close_seen)
            metrics_close(t->services->metrics, i == CLIENT ? METRICS_CLIENT : METRICS_SERVER, t->sides[i].pump.close_code);
}

static struct tally_counts *upstream_counts(const struct tunnel *t)
{
    return snapshot_upstream_counts(t->snapshot, tunnel_route(t)->upstream, t->services->number);
}

static struct tally_counts *route_counts(const struct tunnel *t)
{
    return snapshot_route_counts(t->snapshot, tunnel_route(t), t->services->number);
}

static void tunnel_free(struct tunnel *t)
{
    struct services *svc = t->services;

    write_record(t);
    tally_tunnel_ends(route_counts(t), t->sides[CLIENT].pump.moved, t->sides[SERVER].pump.moved);
    tally_tunnel_ends(upstream_counts(t), t->sides[CLIENT].pump.moved, t->sides[SERVER].pump.moved);
    stream_close(&t->sides[CLIENT].stream);
    stream_close(&t->sides[SERVER].stream);
    timer_clear(svc->timers, &t->timer);
    ready_cancel(&t->ready);
    if (svc->tunnel_walk != NULL)
        tunnel_walk_left(svc->tunnel_walk, &t->link);
    list_remove(&t->link);
    server_end(t->server_record, SERVER_TUNNEL);
    snapshot_release(&t->snapshot);
    metrics_sub(&svc->metrics->tunnels_open, 1);
    quota_disconnect(svc->quota, &t->share);
    mem_free(t->farewell);
    mem_free(t);
    svc->connection_ended(svc->connection_ended_ctx);
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
        tunnel_note_close(t, s);
        break;
    case PUMP_FAULT:
        tunnel_end_by_fault(t, s);
        break;
    case PUMP_EOF:
    case PUMP_CUT:
    case PUMP_RESET:
        tunnel_end_by_loss(t, s, r);
        break;
    case PUMP_DEAF:
        tunnel_other(t, s)->deaf = true; /* what it still says is heard first: its own input ends, or the deadline strikes */
        ready_add(t->services->ready, &t->ready);        /* s goes on into the void: a Close of its that is here ends the tunnel now */
        break;
    }
}

static void discard(struct side *s)
{
    const uint8_t *p;

    stream_consume(s->stream, stream_peek(s->stream, &p));
}

/* A tunnel may live for weeks: what passes is counted while it does. */
static void count(struct tunnel *t, const struct side *s, const struct ws_scan_counts *before, uint64_t moved)
{
    const struct ws_scan_counts *now = &s->pump.scan.counts;
    struct metrics *m = t->services->metrics;
    bool client = tunnel_is_client(t, s);
    struct metrics_flow *flow = &m->flow[client ? METRICS_CLIENT : METRICS_SERVER];

    if (s->pump.moved != moved) {
        metrics_add(&flow->bytes, s->pump.moved - moved);
        metrics_add(client ? &m->bytes_from_clients : &m->bytes_to_clients, s->pump.moved - moved);
    }
    if (now->frames == before->frames)
        return;
    metrics_add(&flow->frames, now->frames - before->frames);
    metrics_add(&flow->messages, now->messages - before->messages);
    if (now->texts != before->texts)
        metrics_add(&flow->texts, now->texts - before->texts);
    metrics_add(&flow->pings, now->pings - before->pings);
    metrics_add(&flow->pongs, now->pongs - before->pongs);
}

/* Passes what may pass from s to the other side. What nobody is to get any more is still read: its sender's Close, or its end, is awaited. */
static enum pump_result move(struct tunnel *t, struct side *s)
{
    const struct side *to = tunnel_other(t, s);
    struct ws_scan_counts before;
    enum pump_result result;
    uint64_t moved;

    if (s->done) {
        if (t->state >= TUNNEL_ENDING)
            discard(s);
        return PUMP_CLOSED;
    }
    if (to->told || to->deaf) {
        s->pump.discard = true;
        s->pump.hold_close = true;
    }
    if (tunnel_is_client(t, s) && t->conf->rate > 0)
        tunnel_allow_rate(t);
    before = s->pump.scan.counts;
    moved = s->pump.moved;
    result = pump_run(&s->pump);
    note_result(t, s, result);
    count(t, s, &before, moved);
    tunnel_note_movement(t, s);
    return result;
}

/* ---- the turn ---- */

static bool both_ended(const struct tunnel *t)
{
    return t->sides[CLIENT].stream->input != STREAM_OPEN && t->sides[SERVER].stream->input != STREAM_OPEN;
}

static void run(struct tunnel *t)
{
    bool again = true;

    for (int round = 0; again && round < 4 && t->state < TUNNEL_FLUSHING; round++) {
        move(t, &t->sides[CLIENT]);
        move(t, &t->sides[SERVER]);
        again = tunnel_tell(t, &t->sides[CLIENT], false);
        again |= tunnel_tell(t, &t->sides[SERVER], false);
        if (tunnel_all_said(t))
            tunnel_begin_flushing(t);
    }
    if (t->state == TUNNEL_FLUSHING) {
        discard(&t->sides[CLIENT]);
        discard(&t->sides[SERVER]);
        if (tunnel_both_flushed(t) && both_ended(t)) {
            tunnel_enter(t, TUNNEL_OVER);
            tunnel_free(t);
            return;
        }
    }
    tunnel_ping_if_due(t, &t->sides[CLIENT]);
    tunnel_ping_if_due(t, &t->sides[SERVER]);
    tunnel_wait(t);
}

static void on_timer(struct timer *timer, uint64_t now_ms)
{
    struct tunnel *t = LIST_OWNER(timer, struct tunnel, timer);

    if (now_ms < tunnel_deadline_ms(t)) {
        tunnel_wait(t);
        return;
    }
    switch (t->state) {
    case TUNNEL_OPEN:
        tunnel_on_open_due(t, now_ms);
        break;
    case TUNNEL_CLOSING:
    case TUNNEL_ENDING:
        if (t->end == END_NONE)
            t->end = END_CLOSE_TIMEOUT;
        tunnel_tell(t, &t->sides[CLIENT], true);
        tunnel_tell(t, &t->sides[SERVER], true);
        tunnel_begin_flushing(t);
        break;
    case TUNNEL_FLUSHING:
    case TUNNEL_OVER:
        tunnel_enter(t, TUNNEL_OVER);
        tunnel_free(t);
        return;
    }
    run(t);
}

static bool nothing_due(const struct side *s)
{
    return !s->ping_due && !s->blocked && !s->deaf;
}

/* Nothing is under way but messages: what one side says concerns that direction alone, and makes no deadline earlier. */
static bool is_calm(const struct tunnel *t)
{
    return t->state == TUNNEL_OPEN && nothing_due(&t->sides[CLIENT]) && nothing_due(&t->sides[SERVER]);
}

static void on_said(struct tunnel *t, struct side *s)
{
    if (!is_calm(t) || move(t, s) != PUMP_STARVED || !is_calm(t))
        run(t);
}

static void on_client_said(void *ctx)
{
    struct tunnel *t = ctx;

    on_said(t, &t->sides[CLIENT]);
}

static void on_server_said(void *ctx)
{
    struct tunnel *t = ctx;

    on_said(t, &t->sides[SERVER]);
}

static void on_room(void *ctx)
{
    run(ctx);
}

static void on_ready(struct ready *r)
{
    run(LIST_OWNER(r, struct tunnel, ready));
}

static const struct stream_events client_events = { .readable = on_client_said, .writable = on_room };
static const struct stream_events server_events = { .readable = on_server_said, .writable = on_room };

/* ---- draining ---- */

void tunnel_drain(struct tunnel *t, uint64_t delay_ms)
{
    uint64_t due_ms = timers_now_ms(t->services->timers) + delay_ms;

    if (t->drain_ms == 0 || due_ms < t->drain_ms)
        t->drain_ms = due_ms;
    tunnel_wait(t);
}

/* Multiples of the golden ratio, modulo 1: of any number of them in a row neighbours stand about equally far apart (the three-distance theorem). */
uint64_t tunnel_spread_ms(uint64_t *phase, uint64_t spread_ms)
{
    *phase += UINT64_C(0x9e3779b97f4a7c15);
    return spread_ms * (*phase >> 32) >> 32;
}

void tunnel_drain_all(struct services *services, uint64_t spread_ms)
{
    uint64_t phase;

    services_random(&phase, sizeof(phase));
    for (struct list *l = services->tunnels.next; l != &services->tunnels; l = l->next)
        tunnel_drain(LIST_OWNER(l, struct tunnel, link), tunnel_spread_ms(&phase, spread_ms));
}

bool tunnel_close(struct tunnel *t, unsigned code, const char *reason)
{
    if (t->state != TUNNEL_OPEN || t->farewell != NULL)
        return false;
    t->farewell = mem_strdup(reason);
    if (t->farewell == NULL)
        return false;
    tunnel_end_by_operator(t, code);
    ready_add(t->services->ready, &t->ready);
    return true;
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

static uint16_t keep(uint8_t **at, struct span s)
{
    assert(s.n <= WORD_BYTES_MAX);
    if (s.n > 0)
        memcpy(*at, s.p, s.n);
    *at += s.n;
    return (uint16_t)s.n;
}

/* The record's words outlive the request they came from. */
static struct tunnel *tunnel_with_texts(const struct tunnel_start *start)
{
    struct span target = span_first(start->names.target, WORD_BYTES_MAX), host = span_first(start->names.host, WORD_BYTES_MAX);
    struct span protocol = span_first(start->protocol, WORD_BYTES_MAX);
    size_t n = start->names.client.n + start->names.user.n + start->names.id.n + start->names.trace_id.n + target.n + host.n + protocol.n;
    struct tunnel *t = mem_zalloc(sizeof(*t) + n);
    uint8_t *at;

    if (t == NULL)
        return NULL;
    at = t->text;
    t->origin.client_n = keep(&at, start->names.client);
    t->origin.user_n = keep(&at, start->names.user);
    t->origin.id_n = keep(&at, start->names.id);
    t->origin.trace_id_n = keep(&at, start->names.trace_id);
    t->origin.target_n = keep(&at, target);
    t->origin.host_n = keep(&at, host);
    t->origin.protocol_n = keep(&at, protocol);
    return t;
}

int tunnel_new(struct services *services, const struct tunnel_start *start)
{
    struct tunnel *t = tunnel_with_texts(start);
    struct stream *client = start->client, *server = start->server;
    struct quota_share *share = start->share;

    if (t == NULL) {
        stream_close(&client);
        stream_close(&server);
        quota_disconnect(services->quota, &share);
        services->connection_ended(services->connection_ended_ctx);
        return -ENOMEM;
    }
    t->services = services;
    t->snapshot = snapshot_hold(start->snapshot);
    t->share = share;
    t->conf = &start->route->websocket;
    t->deflate = start->deflate;
    t->blind = start->route->websocket.verify == WS_VERIFY_BLIND;
    t->server_record = start->server_record;
    server_begin(t->server_record, SERVER_TUNNEL);
    t->number = ++services->tunnels_made;
    t->begun_ms = t->entered_ms = timers_now_ms(services->timers);
    t->sides[CLIENT].heard_ms = t->sides[SERVER].heard_ms = t->begun_ms;
    t->origin.listener = start->names.listener;
    t->origin.upstream = start->names.upstream;
    t->origin.server = start->names.server;
    t->sides[CLIENT].stream = client;
    t->sides[SERVER].stream = server;
    pump_init(&t->sides[CLIENT].pump, client, server, generation_scan_rules(t->snapshot->generation, start->route, true, start->deflate));
    pump_init(&t->sides[SERVER].pump, server, client, generation_scan_rules(t->snapshot->generation, start->route, false, start->deflate));
    timer_init(&t->timer, on_timer);
    ready_init(&t->ready, on_ready);
    list_append(&services->tunnels, &t->link);
    metrics_add(&services->metrics->tunnels, 1);
    metrics_add(&services->metrics->tunnels_open, 1);
    tally_tunnel_begins(route_counts(t));
    tally_tunnel_begins(upstream_counts(t));
    stream_own(client, &client_events, t);
    stream_own(server, &server_events, t);
    tunnel_wait(t);
    return 0;
}
