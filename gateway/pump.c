#include "gateway/pump.h"

void pump_init(struct pump *p, struct stream *from, struct stream *to, const struct ws_scan_rules *rules)
{
    *p = (struct pump){ .from = from, .to = to };
    ws_scan_init(&p->scan, rules);
}

bool pump_at_boundary(const struct pump *p)
{
    return p->cleared == 0 && p->skip == 0 && p->scan.rules.verify != WS_VERIFY_BLIND && ws_scan_at_boundary(&p->scan);
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
        p->close_seen = true;
        p->close_code = control->payload_bytes > 0 ? control->close_code : 1005;
        swallow = p->hold_close;
    } else if (answers_our_ping(p, control)) {
        p->ping_out = false;
        p->pong_seen = true;
        swallow = true;
    }
    if (swallow)
        p->skip = control->frame_bytes;
    else
        p->cleared += control->frame_bytes;
    p->close_passes = p->close_seen && !swallow;
    ws_scan_control_done(&p->scan);
}

/* Verifies what is there; false when nothing new may pass. */
static bool verify(struct pump *p)
{
    struct ws_control control;
    const uint8_t *bytes;
    size_t n = stream_peek(p->from, &bytes);

    if (p->close_seen || p->scan.fault != FAULT_NONE || n == 0)
        return false;
    if (ws_scan_feed(&p->scan, bytes, n, &p->cleared, &control) == WS_SCAN_CONTROL)
        take_control(p, &control);
    return p->cleared > 0 || p->skip > 0;
}

/* Bytes that left the pump, or <0. */
static ssize_t pass(struct pump *p)
{
    const uint8_t *bytes;
    ssize_t taken = 0;

    stream_peek(p->from, &bytes);
    if (p->cleared > 0)
        taken = p->discard ? (ssize_t)p->cleared : stream_send(p->to, span_of(bytes, p->cleared));
    if (taken < 0)
        return taken;
    stream_consume(p->from, (size_t)taken);
    p->cleared -= (size_t)taken;
    p->moved += p->discard ? 0 : (uint64_t)taken;
    if (p->cleared == 0 && p->skip > 0) {
        stream_consume(p->from, p->skip);
        p->skip = 0;
    }
    return taken;
}

static enum pump_result why_stopped(struct pump *p)
{
    const uint8_t *rest;

    if (p->close_seen)
        return PUMP_CLOSED;
    if (p->scan.fault != FAULT_NONE)
        return PUMP_FAULT;
    if (p->from->input == STREAM_OPEN)
        return PUMP_STARVED;
    if (p->from->input == STREAM_FAILED)
        return PUMP_RESET;
    if (p->scan.rules.verify == WS_VERIFY_BLIND)
        return PUMP_EOF;
    return stream_peek(p->from, &rest) == 0 && ws_scan_at_boundary(&p->scan) ? PUMP_EOF : PUMP_CUT;
}

/* Where there was no memory to keep what the owner left, a stream fails and shows nothing of it any more. */
static bool lost_what_was_cleared(struct pump *p)
{
    const uint8_t *bytes;

    return p->cleared + p->skip > 0 && stream_peek(p->from, &bytes) < p->cleared + p->skip;
}

enum pump_result pump_run(struct pump *p)
{
    if (lost_what_was_cleared(p))
        return PUMP_RESET;               /* and what went out last is no whole frame: `cleared` stays */
    for (int round = 0; round < PUMP_ROUNDS_MAX; round++) {
        if (p->cleared == 0 && p->skip == 0 && !verify(p))
            return why_stopped(p);
        if (pass(p) < 0)
            return PUMP_DEAF;
        if (p->cleared > 0)
            return PUMP_BLOCKED;
    }
    return PUMP_SPENT;
}
