/* Who was heard, who does not read, whose Pong came; and when the next thing is due. Deadlines move lazily: traffic only leaves stamps. */
#include "gateway/tunnel_parts.h"
#include "protocol/ws_build.h"

#define BACKLOG_BYTES 16384              /* on their way to a peer: a Ping behind them comes late, and so does its Pong */
#define NEVER UINT64_MAX
#define LAST_WORD_MS 1000                /* everything is said and out: how long the peer may take to end the connection */

static void note_rtt(struct tunnel *t, struct side *s, uint64_t rtt_ms)
{
    s->rtt_least_ms = s->rtt_n == 0 || rtt_ms < s->rtt_least_ms ? (uint32_t)rtt_ms : s->rtt_least_ms;
    s->rtt_most_ms = rtt_ms > s->rtt_most_ms ? (uint32_t)rtt_ms : s->rtt_most_ms;
    s->rtt_sum_ms += rtt_ms;
    s->rtt_n++;
    metrics_time(t->services->metrics, tunnel_is_client(t, s) ? METRICS_TIME_PING_CLIENT : METRICS_TIME_PING_SERVER, rtt_ms);
}

static uint32_t longer_by(uint32_t ms, uint64_t more_ms)
{
    return more_ms < UINT32_MAX - ms ? ms + (uint32_t)more_ms : UINT32_MAX;
}

void tunnel_note_movement(struct tunnel *t, struct side *s, bool moved)
{
    bool blocked = pump_blocked(&s->pump, tunnel_other(t, s)->stream), heard = (uint32_t)s->stream->bytes_in != s->heard_bytes;
    uint64_t now_ms;

    if (!heard && !blocked && !s->blocked && !s->pump.pong_seen)
        return;
    now_ms = timers_now_ms(t->services->timers);
    if (heard) {
        s->heard_bytes = (uint32_t)s->stream->bytes_in;
        s->heard_ms = now_ms;
        s->ping_due = s->ping_unheard = false;
    }
    if (s->blocked && (moved || !blocked)) {
        s->blocked_ms = longer_by(s->blocked_ms, now_ms - s->blocked_from_ms);
        metrics_time(t->services->metrics, tunnel_is_client(t, s) ? METRICS_TIME_BLOCKED_CLIENT : METRICS_TIME_BLOCKED_SERVER, now_ms - s->blocked_from_ms);
        s->blocked = false;
        s->heard_ms = now_ms;            /* what it said meanwhile, a Pong perhaps, is only read from now on */
    }
    if (blocked && !s->blocked) {
        s->blocked = true;
        s->blocked_from_ms = now_ms;
    }
    if (s->pump.pong_seen) {
        s->pump.pong_seen = false;
        note_rtt(t, s, now_ms - s->ping_sent_ms);
    }
}

/* Messages per second, a second's worth at once: each message moves the due time on, and it may be at most a second ahead of now. How many
 * that allows is told to the scanner before it looks at what came, so that not one too many passes. */
void tunnel_allow_rate(struct tunnel *t)
{
    struct ws_scan *scan = &t->sides[CLIENT].pump.scan;
    uint64_t now_us = timers_now_ms(t->services->timers) * 1000, step_us = 1000000 / t->conf->rate;

    t->rate_due_us += ((uint32_t)scan->counts.messages - t->rate_messages) * step_us;
    t->rate_messages = (uint32_t)scan->counts.messages;
    if (t->rate_due_us < now_us)
        t->rate_due_us = now_us;
    scan->messages_allowed = t->rate_messages + (uint32_t)((now_us + 1000000 - t->rate_due_us) / step_us);
}

/* How far the peer had come with what was sent to it, if that is so much that a Ping has to wait behind it. */
static uint64_t taken_of_backlog(struct side *s)
{
    uint64_t taken;

    return stream_unacknowledged(s->stream, &taken) >= BACKLOG_BYTES ? taken : NEVER;
}

/* Nothing came since the Ping, but the peer has taken more of what stands before it: it reads, as fast as it or the network can. */
static bool still_reads(struct side *s)
{
    uint64_t taken;

    if (s->ping_taken_bytes == NEVER)
        return false;
    if (stream_unacknowledged(s->stream, &taken) < BACKLOG_BYTES)
        s->ping_taken_bytes = NEVER;     /* from now on it has one interval to say something */
    else if (taken > s->ping_taken_bytes)
        s->ping_taken_bytes = taken;
    else
        return false;
    return true;
}

static void ping(struct tunnel *t, struct side *s)
{
    uint8_t frame[WS_BUILT_MAX_BYTES], mask[4];
    size_t n;

    services_random(s->pump.ping_payload, PUMP_PING_BYTES);
    services_random(mask, sizeof(mask));
    n = ws_build_ping(frame, span_of(s->pump.ping_payload, PUMP_PING_BYTES), tunnel_is_client(t, s) ? NULL : mask);
    s->ping_due = false;
    s->pump.ping_out = true;
    s->ping_sent_ms = timers_now_ms(t->services->timers);
    s->ping_unheard = true;
    s->ping_taken_bytes = taken_of_backlog(s);
    if (stream_put(s->stream, span_of(frame, n)) != 0)
        s->deaf = true;
}

/* A Ping of the gateway's own, between two frames of the other side's (between fragments is lawful, RFC 6455 section 5.4). */
void tunnel_ping_if_due(struct tunnel *t, struct side *s)
{
    if (s->ping_due && !s->told && t->state == TUNNEL_OPEN && pump_at_boundary(&tunnel_other(t, s)->pump))
        ping(t, s);
}

bool tunnel_both_flushed(const struct tunnel *t)
{
    return stream_flushed(t->sides[CLIENT].stream) && stream_flushed(t->sides[SERVER].stream);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A Ping went out, and nothing at all has come since. Whoever said something instead of the Pong is asked again when it is silent again. */
static bool asked_in_vain(const struct side *s)
{
    return s->pump.ping_out && s->ping_unheard;
}

static uint64_t sign_of_life_ms(const struct side *s)
{
    return asked_in_vain(s) && s->ping_sent_ms > s->heard_ms ? s->ping_sent_ms : s->heard_ms;
}

/* 0: the gateway does not ask. */
static uint64_t ping_interval_ms(const struct tunnel *t)
{
    return tunnel_blind(t) ? 0 : t->conf->ping_interval_ms;
}

/* When the next thing is to be done for one side of an open tunnel. What a side says while it is blocked is not read: it is not silent. */
static uint64_t side_deadline_ms(const struct tunnel *t, const struct side *s)
{
    uint64_t ping_ms = ping_interval_ms(t);
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

    if (t->state_ms > 0)
        due_ms = earlier(due_ms, t->state_ms);
    return t->conf->max_lifetime_ms > 0 ? earlier(due_ms, t->begun_ms + t->conf->max_lifetime_ms) : due_ms;
}

uint64_t tunnel_deadline_ms(const struct tunnel *t)
{
    switch (t->state) {
    case TUNNEL_OPEN:
        return open_deadline_ms(t);
    case TUNNEL_CLOSING:
    case TUNNEL_ENDING:
        return t->state_ms + t->conf->close_timeout_ms;
    case TUNNEL_FLUSHING:
    case TUNNEL_OVER:
        break;
    }
    return t->state_ms + (tunnel_both_flushed(t) ? earlier(LAST_WORD_MS, t->conf->close_timeout_ms) : t->conf->close_timeout_ms);
}

/* The deadline moves lazily: the timer is set when it would come earlier than it is set for, and looked at again when it strikes. */
void tunnel_wait(struct tunnel *t)
{
    uint64_t due_ms = tunnel_deadline_ms(t);

    if (!timer_is_set(&t->timer) || t->timer.deadline_ms > due_ms)
        timer_set(t->services->timers, &t->timer, due_ms);
}

/* What is due for one side of an open tunnel. */
static void on_side_due(struct tunnel *t, struct side *s, uint64_t now_ms)
{
    bool client = tunnel_is_client(t, s);
    uint64_t ping_ms = ping_interval_ms(t);
    bool silent = ping_ms > 0 && asked_in_vain(s) && now_ms >= sign_of_life_ms(s) + ping_ms;

    if (t->state != TUNNEL_OPEN || now_ms < side_deadline_ms(t, s))
        return;
    if (s->blocked)
        tunnel_end_by_gateway(t, client ? END_SERVER_SLOW : END_CLIENT_SLOW, tunnel_other(t, s), 1008);
    else if (silent && still_reads(s))
        s->heard_ms = now_ms;
    else if (silent)
        tunnel_end_by_gateway(t, client ? END_CLIENT_SILENT : END_SERVER_SILENT, s, 1011);
    else if (now_ms >= s->heard_ms + t->conf->idle_timeout_ms)
        tunnel_end_by_gateway(t, client ? END_CLIENT_IDLE : END_SERVER_IDLE, NULL, 0);
    else
        s->ping_due = true;
}

void tunnel_on_open_due(struct tunnel *t, uint64_t now_ms)
{
    on_side_due(t, &t->sides[CLIENT], now_ms);
    on_side_due(t, &t->sides[SERVER], now_ms);
    if (t->state == TUNNEL_OPEN && t->state_ms > 0 && now_ms >= t->state_ms)
        tunnel_end_by_drain(t);
    if (t->state == TUNNEL_OPEN && t->conf->max_lifetime_ms > 0 && now_ms >= t->begun_ms + t->conf->max_lifetime_ms)
        tunnel_end_by_gateway(t, END_LIFETIME, NULL, 0);
}
