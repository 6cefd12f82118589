#include "gateway/pump.h"

#define HEADER_BYTES 64                  /* so few bytes are copied into the out-buffer, to go out with what follows them */

_Static_assert(6 + WS_CONTROL_MAX_BYTES <= UINT8_MAX, "`skip` is a whole control frame");

void pump_init(struct pump *p, const struct ws_scan_rules *rules)
{
    *p = (struct pump){ 0 };
    ws_scan_init(&p->scan, rules);
}

static bool is_blind(const struct pump *p)
{
    return p->scan.rules->verify == WS_VERIFY_BLIND;
}

bool pump_at_boundary(const struct pump *p)
{
    return p->cleared == 0 && p->skip == 0 && !is_blind(p) && ws_scan_at_boundary(&p->scan);
}

static bool answers_our_ping(const struct pump *p, const struct ws_control *control)
{
    return control->opcode == WS_PONG && p->ping_out &&
           span_equal(span_of(control->payload, control->payload_bytes), span_of(p->ping_payload, PUMP_PING_BYTES));
}

/* RFC 6455 section 5.5.1: after a Close nothing follows. Section 5.5.3: a Pong is for whoever sent the Ping. */
static void take_control(struct pump *p, const struct ws_control *control)
{
    bool swallow = false;

    if (control->opcode == WS_CLOSE) {
        p->close_code = control->payload_bytes > 0 ? control->close_code : 1005;
        swallow = p->hold_close;
    } else if (answers_our_ping(p, control)) {
        p->ping_out = false;
        p->pong_seen = true;
        swallow = true;
    }
    if (swallow)
        p->skip = (uint8_t)control->frame_bytes;
    else
        p->cleared += (uint32_t)control->frame_bytes;
    p->close_passes = p->close_code != 0 && !swallow;
    ws_scan_control_done(&p->scan);
}

/* Verifies what is there; false when nothing new may pass. */
static bool verify(struct pump *p, struct span there)
{
    struct ws_control control;
    enum ws_scan_verdict verdict;
    size_t passed;

    if (p->close_code != 0 || p->scan.fault != FAULT_NONE || there.n == 0)
        return false;
    verdict = ws_scan_feed(&p->scan, there.p, there.n, &passed, &control);
    p->cleared = (uint32_t)passed;       /* a stream holds much less */
    if (verdict == WS_SCAN_CONTROL)
        take_control(p, &control);
    return p->cleared > 0 || p->skip > 0;
}

/* ---- what needs no look ---- */

static bool may_splice(const struct pump *p, const struct stream *to)
{
    uint64_t n = ws_scan_unseen(&p->scan);

    if (p->discard || p->skip > 0)
        return false;
    if (is_blind(p))
        return p->spliced && p->cleared == 0;
    if (p->cleared > 0)
        return p->cleared <= HEADER_BYTES && n >= PUMP_SPLICE_BYTES && !to->blocked;
    return n >= PUMP_SPLICE_BYTES || (n > 0 && p->spliced);
}

bool pump_blocked(const struct pump *p, const struct stream *to)
{
    return p->cleared > 0 || (p->spliced && to->blocked);
}

static void passed_by_splice(struct pump *p, uint64_t n)
{
    uint64_t cleared = n < p->cleared ? n : p->cleared;

    p->cleared -= (uint32_t)cleared;
    if (!is_blind(p))
        ws_scan_passed_unseen(&p->scan, n - cleared);
    p->moved += n;
    p->spliced = true;
}

/* Without a look at frames nothing is announced: while much comes at once, more is expected. A long message may have a short end, so that it takes
 * two times of little to be read again. */
static void expect_more(struct pump *p, const struct stream *to, uint64_t n)
{
    if (!is_blind(p))
        return;
    p->spliced = n >= PUMP_SPLICE_BYTES || (p->spliced && (p->long_before || to->blocked));
    p->long_before = n >= PUMP_SPLICE_BYTES;
}

/* A header that was only glanced at goes with its payload. Bytes that left the pump, 0, or <0. */
static ssize_t splice_on(struct pump *p, struct stream *from, struct stream *to)
{
    uint64_t n = is_blind(p) ? STREAM_SPLICE_MOST : p->cleared + ws_scan_unseen(&p->scan);
    ssize_t taken = stream_splice(to, from, n < STREAM_SPLICE_MOST ? (size_t)n : STREAM_SPLICE_MOST);

    if (taken == 0 && p->cleared > 0)
        return STREAM_NO_SPLICE;         /* it is here: it does not wait for more */
    if (taken > 0) {
        passed_by_splice(p, (uint64_t)taken);
        expect_more(p, to, (uint64_t)taken);
    }
    if (taken > 0 && to->output_error != 0)
        return to->output_error;
    if (taken > 0 && (uint64_t)taken == n)
        stream_glance(to, from);         /* the next one may be as long */
    return taken;
}

/* Little that goes out together with what follows at once: a header (or the end of one frame and the next one's header) with the payload that is
 * spliced next, the last Close with the end of the connection. */
static bool is_followed(const struct pump *p)
{
    return p->cleared <= HEADER_BYTES && (ws_scan_unseen(&p->scan) >= PUMP_SPLICE_BYTES || (p->close_is_last && p->close_passes));
}

static ssize_t put(struct stream *to, struct span bytes)
{
    int error = stream_put(to, bytes);

    return error != 0 ? error : (ssize_t)bytes.n;
}

static ssize_t send_cleared(struct pump *p, struct stream *to, const uint8_t *bytes)
{
    if (p->discard)
        return (ssize_t)p->cleared;
    if (is_followed(p) && !to->blocked)
        return put(to, span_of(bytes, p->cleared));
    return stream_send(to, span_of(bytes, p->cleared));
}

/* A long frame that was read before anything was known of it could not be spliced; the one behind it may be as long. */
static void look_ahead(struct pump *p, struct stream *from, struct stream *to, size_t taken)
{
    if (taken >= PUMP_SPLICE_BYTES && p->scan.unseen_before)
        p->long_before = true;
    if (!p->long_before || taken == 0 || !ws_scan_at_boundary(&p->scan))
        return;
    p->long_before = false;
    stream_glance(to, from);
}

/* Bytes that left the pump, or <0. */
static ssize_t pass(struct pump *p, struct stream *from, struct stream *to, const uint8_t *bytes)
{
    ssize_t taken = 0;

    if (p->cleared > 0)
        taken = send_cleared(p, to, bytes);
    if (taken < 0)
        return taken;
    stream_consume(from, (size_t)taken);
    p->cleared -= (uint32_t)taken;
    look_ahead(p, from, to, (size_t)taken);
    expect_more(p, to, (uint64_t)taken);
    p->moved += p->discard ? 0 : (uint64_t)taken;
    if (p->cleared == 0 && p->skip > 0) {
        stream_consume(from, p->skip);
        p->skip = 0;
    }
    return taken;
}

static enum pump_result why_stopped(const struct pump *p, struct stream *from)
{
    const uint8_t *rest;

    if (p->close_code != 0)
        return PUMP_CLOSED;
    if (p->scan.fault != FAULT_NONE)
        return PUMP_FAULT;
    if (from->input == STREAM_OPEN)
        return PUMP_STARVED;
    if (from->input == STREAM_FAILED)
        return PUMP_RESET;
    if (is_blind(p))
        return PUMP_EOF;
    return stream_peek(from, &rest) == 0 && ws_scan_at_boundary(&p->scan) ? PUMP_EOF : PUMP_CUT;
}

/* Where there was no memory to keep what the owner left, a stream fails and shows nothing of it any more. */
static bool lost_what_was_cleared(const struct pump *p, struct stream *from)
{
    const uint8_t *bytes;

    return p->cleared + p->skip > 0 && stream_peek(from, &bytes) < p->cleared + p->skip;
}

/* Everything that is there may pass, and behind it nothing can be spliced. */
static bool is_all(const struct pump *p, struct span there)
{
    return p->cleared + p->skip == there.n && ws_scan_unseen(&p->scan) == 0;
}

/* What needs no look; and after a look, what it announced. */
static ssize_t splice_or_look(struct pump *p, struct stream *from, struct stream *to, struct span *there, bool *stopped)
{
    ssize_t spliced = may_splice(p, to) ? splice_on(p, from, to) : STREAM_NO_SPLICE;

    *stopped = false;
    if (spliced != STREAM_NO_SPLICE)
        return spliced;
    if (ws_scan_unseen(&p->scan) == 0 && !to->blocked)
        p->spliced = false;
    there->n = stream_peek(from, &there->p);
    if (p->cleared > 0 || p->skip > 0)
        return STREAM_NO_SPLICE;
    *stopped = !verify(p, *there);
    return !*stopped && may_splice(p, to) ? splice_on(p, from, to) : STREAM_NO_SPLICE;
}

enum pump_result pump_run(struct pump *p, struct stream *from, struct stream *to)
{
    if (lost_what_was_cleared(p, from))
        return PUMP_RESET;               /* and what went out last is no whole frame: `cleared` stays */
    for (int round = 0; round < PUMP_ROUNDS_MAX; round++) {
        struct span there;
        bool all, stopped;
        ssize_t spliced = splice_or_look(p, from, to, &there, &stopped);
        if (stopped)
            return why_stopped(p, from);
        if (spliced > 0 && !to->blocked)
            continue;
        if (spliced >= 0)
            return to->blocked ? PUMP_BLOCKED : why_stopped(p, from);
        if (spliced != STREAM_NO_SPLICE)
            return PUMP_DEAF;
        all = is_all(p, there);
        if (pass(p, from, to, there.p) < 0)
            return PUMP_DEAF;
        if (p->cleared > 0)
            return PUMP_BLOCKED;
        if (all && !p->spliced)
            return why_stopped(p, from);
    }
    return PUMP_SPENT;
}
