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

#if defined(__x86_64__)
_Static_assert(offsetof(struct tunnel, text) <= 534, "what an idle tunnel costs: tests/bench/REPORT.md");
#endif
_Static_assert(END_REASON_COUNT <= 256 && FAULT_COUNT <= 256, "a tunnel has a byte for each");

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
    t->state_ms = timers_now_ms(t->services->timers);
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
                                      .close_code = p->close_code, .blocked_ms = s->blocked_ms,
                                      .rtt = { .sum_ms = s->rtt_sum_ms, .n = s->rtt_n, .least_ms = s->rtt_least_ms, .most_ms = s->rtt_most_ms } };
}

void tunnel_words(const struct tunnel *t, struct span out[TUNNEL_WORDS])
{
    const uint8_t *at = t->text;

    for (size_t i = 0; i < TUNNEL_WORDS; i++) {
        out[i] = span_of(at, t->words_n[i]);
        at += t->words_n[i];
    }
}

static void write_record(struct tunnel *t)
{
    static const char *const closers[] = { [CLOSED_BY_NOBODY] = "gateway", [CLOSED_BY_CLIENT] = "client", [CLOSED_BY_SERVER] = "server",
                                           [CLOSED_BY_GATEWAY] = "gateway" };
    struct span words[TUNNEL_WORDS];
    struct access_tunnel record;

    tunnel_words(t, words);
    record = (struct access_tunnel){
        .request = { .client = words[TUNNEL_CLIENT],
                     .user = words[TUNNEL_USER],
                     .id = words[TUNNEL_ID],
                     .trace_id = words[TUNNEL_TRACE_ID],
                     .target = words[TUNNEL_TARGET],
                     .host = words[TUNNEL_HOST],
                     .method = SPAN_LITERAL("GET"),      /* no other method makes a tunnel */
                     .listener = span_of_text(t->listener),
                     .upstream = span_of_text(tunnel_upstream(t)),
                     .server = span_of_text(tunnel_server(t)) },
        .protocol = words[TUNNEL_PROTOCOL],
        .deflate = tunnel_deflate(t),
        .duration_ms = timers_now_ms(t->services->timers) - t->begun_ms,
        .from_client = direction_of(&t->sides[CLIENT]),
        .from_server = direction_of(&t->sides[SERVER]),
        .closed_by = closers[t->closed_by],
        .end = t->end,
        .fault = t->fault,
    };
    access_log_tunnel(t->services->access_log, &record);
}

static struct tally_counts *upstream_counts(const struct tunnel *t)
{
    return snapshot_upstream_counts(t->snapshot, tunnel_route(t)->upstream, t->services->number);
}

static struct tally_counts *route_counts(const struct tunnel *t)
{
    return snapshot_route_counts(t->snapshot, tunnel_route(t), t->services->number);
}

static void count_end(struct tunnel *t)
{
    struct metrics *m = t->services->metrics;

    metrics_ended(m, METRICS_TUNNEL, t->end);
    for (int i = 0; i < 2; i++)
        if (t->sides[i].pump.close_code != 0)
            metrics_close(m, i == CLIENT ? METRICS_CLIENT : METRICS_SERVER, t->sides[i].pump.close_code);
    metrics_sub(&m->tunnels_open, 1);
    tally_tunnel_ends(route_counts(t), t->sides[CLIENT].pump.moved, t->sides[SERVER].pump.moved);
    tally_tunnel_ends(upstream_counts(t), t->sides[CLIENT].pump.moved, t->sides[SERVER].pump.moved);
}

/* Counted before it is written down: whoever has read the record finds the tunnel among those that ended, and not among the open ones. */
static void tunnel_free(struct tunnel *t)
{
    struct services *svc = t->services;

    count_end(t);
    write_record(t);
    stream_close(&t->sides[CLIENT].stream);
    stream_close(&t->sides[SERVER].stream);
    timer_clear(svc->timers, &t->timer);
    ready_cancel(&t->ready);
    if (svc->tunnel_walk != NULL)
        tunnel_walk_left(svc->tunnel_walk, &t->link);
    list_remove(&t->link);
    server_end(t->server_record, SERVER_TUNNEL);
    snapshot_release(&t->snapshot);
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
    result = pump_run(&s->pump, s->stream, to->stream);
    note_result(t, s, result);
    count(t, s, &before, moved);
    tunnel_note_movement(t, s, s->pump.moved != moved);
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

    while (again && t->state < TUNNEL_FLUSHING) {        /* each side is told once */
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

    if (t->state == TUNNEL_OPEN && (t->state_ms == 0 || due_ms < t->state_ms))
        t->state_ms = due_ms;
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

/* The record's words outlive the request they came from. */
static struct tunnel *tunnel_with_words(const struct tunnel_start *start)
{
    const struct span words[TUNNEL_WORDS] = { [TUNNEL_CLIENT] = start->names.client,
                                              [TUNNEL_USER] = start->names.user,
                                              [TUNNEL_ID] = start->names.id,
                                              [TUNNEL_TRACE_ID] = start->names.trace_id,
                                              [TUNNEL_TARGET] = span_first(start->names.target, WORD_BYTES_MAX),
                                              [TUNNEL_HOST] = span_first(start->names.host, WORD_BYTES_MAX),
                                              [TUNNEL_PROTOCOL] = span_first(start->protocol, WORD_BYTES_MAX) };
    struct tunnel *t;
    uint8_t *at;
    size_t n = 0;

    for (size_t i = 0; i < TUNNEL_WORDS; i++)
        n += words[i].n;
    t = mem_zalloc(offsetof(struct tunnel, text) + n);
    if (t == NULL)
        return NULL;
    at = t->text;
    for (size_t i = 0; i < TUNNEL_WORDS; i++) {
        assert(words[i].n <= WORD_BYTES_MAX);
        if (words[i].n > 0)
            memcpy(at, words[i].p, words[i].n);
        at += words[i].n;
        t->words_n[i] = (uint16_t)words[i].n;
    }
    return t;
}

static void begin_side(struct side *s, struct stream **stream, const struct ws_scan_rules *rules, uint64_t now_ms)
{
    s->stream = stream_take(stream);
    s->heard_ms = now_ms;
    pump_init(&s->pump, rules);
}

int tunnel_new(struct services *services, const struct tunnel_start *start)
{
    struct tunnel *t = tunnel_with_words(start);
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
    t->server_record = start->server_record;
    server_begin(t->server_record, SERVER_TUNNEL);
    t->number = ++services->tunnels_made;
    t->begun_ms = timers_now_ms(services->timers);
    t->listener = start->names.listener;
    for (int i = 0; i < 2; i++)
        begin_side(&t->sides[i], i == CLIENT ? &client : &server,
                   generation_scan_rules(t->snapshot->generation, start->route, i == CLIENT, start->deflate), t->begun_ms);
    timer_init(&t->timer, on_timer);
    ready_init(&t->ready, on_ready);
    list_append(&services->tunnels, &t->link);
    metrics_add(&services->metrics->tunnels, 1);
    metrics_add(&services->metrics->tunnels_open, 1);
    tally_tunnel_begins(route_counts(t));
    tally_tunnel_begins(upstream_counts(t));
    stream_own(t->sides[CLIENT].stream, &client_events, t);
    stream_own(t->sides[SERVER].stream, &server_events, t);
    tunnel_wait(t);
    return 0;
}
