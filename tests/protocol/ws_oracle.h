/* ws_oracle: what ws_scan sees in a stream, what wslay's event layer sees in it, and whether that agrees.
 *
 * Both have to see the same messages and control frames and to find the same kind of fault (1002, 1007, 1009), or none. What the
 * two are known to see differently:
 *   - ws_scan finds a fault at its first byte, wslay when it has the header and a byte of payload, or a whole control frame. So a
 *     stream that ends too early for wslay is continued with zeros before its verdict is asked for.
 *   - A Close with a payload of one byte: wslay takes it for one without a code.
 *   - Close codes 1012 to 1014 (registered after wslay's list was made): wslay refuses them.
 *   - A Close that has both an unlawful code and a bad reason: wslay looks at the reason first (1007, not 1002).
 *   - What follows a Close: wslay stops reading there, ws_scan calls it a fault.
 *   - With WS_VERIFY_FRAMES nothing is 1007: what both saw until then is compared. */
#ifndef UPGATE_TESTS_PROTOCOL_WS_ORACLE_H
#define UPGATE_TESTS_PROTOCOL_WS_ORACLE_H

#include "protocol/ws_scan.h"
#include "tests/protocol/chance.h"
#include "tests/protocol/split.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include <wslay/wslay.h>

#define ORACLE_ZEROS_BYTES (WS_HEAD_MAX_BYTES + WS_CONTROL_MAX_BYTES + 1)
#define ORACLE_STREAM_BYTES 3000         /* a log of more would not fit */

/* ---- what ws_scan sees ---- */

struct oracle_seen {
    struct split_log log;                /* each message with its opcode and length, each control frame with its payload */
    unsigned code;                       /* the Close that the fault asks for; 0: none */
    enum fault fault;                    /* ours only */
    bool closed;                         /* a lawful Close came */
    unsigned close_code;
};

static inline void oracle_log_control(struct oracle_seen *seen, uint8_t opcode, const uint8_t *payload, size_t n)
{
    split_write(&seen->log, " %u:", opcode);
    for (size_t i = 0; i < n; i++)
        split_write(&seen->log, "%02x", payload[i]);
}

/* What was open before and is not now, is a message that has passed. */
static inline void oracle_log_message(struct oracle_seen *seen, const struct ws_scan *s, uint64_t *messages, uint64_t *bytes)
{
    if (s->counts.messages == *messages)
        return;
    assert(s->counts.messages == *messages + 1);
    split_write(&seen->log, " m%llu", (unsigned long long)(s->counts.payload_bytes - *bytes));
    *messages = s->counts.messages;
    *bytes = s->counts.payload_bytes;
}

static inline void oracle_note_control(struct oracle_seen *seen, struct ws_scan *s, const struct ws_control *control, bool log)
{
    if (log)
        oracle_log_control(seen, control->opcode, control->payload, control->payload_bytes);
    if (control->opcode == WS_CLOSE) {
        seen->closed = true;
        seen->close_code = control->close_code;
    }
    ws_scan_control_done(s);
}

/* In pieces of 1 to `most` bytes; with pieces of one byte every message is seen alone and goes into the log. Answers how many
 * bytes were there when the fault showed. */
static inline size_t oracle_scan(struct chance *c, struct span stream, const struct ws_scan_rules *rules, size_t most,
                                 struct oracle_seen *seen, struct ws_scan *s)
{
    size_t done = 0, there = 0, passed;
    uint64_t messages = 0, bytes = 0;
    enum ws_scan_verdict verdict = WS_SCAN_MORE;
    struct ws_control control;

    seen->log.n = 0;
    seen->log.text[0] = '\0';
    seen->closed = false;
    ws_scan_init(s, rules);
    while (there < stream.n && verdict != WS_SCAN_FAULT) {
        size_t piece = most == 1 ? 1 : 1 + chance_below(c, most);
        there = piece < stream.n - there ? there + piece : stream.n;
        do {
            verdict = ws_scan_feed(s, stream.p + done, there - done, &passed, &control);
            done += passed;
            if (most == 1)
                oracle_log_message(seen, s, &messages, &bytes);
            if (verdict == WS_SCAN_CONTROL) {
                done += control.frame_bytes;
                oracle_note_control(seen, s, &control, most == 1);
            }
        } while (verdict == WS_SCAN_CONTROL);
    }
    seen->fault = s->fault;
    seen->code = s->fault == FAULT_WS_AFTER_CLOSE ? 0 : fault_close_code(s->fault);
    return there;
}

/* ---- what wslay sees ---- */

struct oracle {
    const uint8_t *p;
    size_t n, at;
    size_t zeros;                        /* that follow the n bytes */
    struct oracle_seen *seen;
    uint8_t sent[256];
    size_t sent_n;
};

static inline ssize_t oracle_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t n, int flags, void *user_data)
{
    struct oracle *o = user_data;

    (void)flags;
    if (o->at < o->n) {
        n = n < o->n - o->at ? n : o->n - o->at;
        memcpy(buf, o->p + o->at, n);
        o->at += n;
        return (ssize_t)n;
    }
    if (o->zeros > 0) {
        n = n < o->zeros ? n : o->zeros;
        memset(buf, 0, n);
        o->zeros -= n;
        return (ssize_t)n;
    }
    wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
    return -1;
}

static inline ssize_t oracle_send(wslay_event_context_ptr ctx, const uint8_t *p, size_t n, int flags, void *user_data)
{
    struct oracle *o = user_data;

    (void)ctx, (void)flags;
    n = n < sizeof(o->sent) - o->sent_n ? n : sizeof(o->sent) - o->sent_n;
    memcpy(o->sent + o->sent_n, p, n);
    o->sent_n += n;
    return (ssize_t)n;
}

static inline int oracle_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t n, void *user_data)
{
    (void)ctx, (void)user_data;
    memset(buf, 0, n);
    return 0;
}

static inline void oracle_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg, void *user_data)
{
    struct oracle *o = user_data;

    (void)ctx;
    if (wslay_is_ctrl_frame(arg->opcode))
        oracle_log_control(o->seen, arg->opcode, arg->msg, arg->msg_length);
    else
        split_write(&o->seen->log, " m%zu", arg->msg_length);
}

/* The code of the Close that wslay wants to send; a frame that its lower layer refuses gives an empty one. */
static inline unsigned oracle_code(wslay_event_context_ptr ctx, struct oracle *o, bool masks)
{
    size_t head = masks ? 6 : 2;

    o->sent_n = 0;
    wslay_event_send(ctx);
    assert(o->sent_n >= head && o->sent[0] == (0x80 | WS_CLOSE));
    return o->sent_n >= head + 2 ? (unsigned)o->sent[head] << 8 | o->sent[head + 1] : 1002;
}

static inline void oracle_ask(struct span stream, const struct ws_scan_rules *rules, size_t zeros, struct oracle_seen *seen)
{
    const struct wslay_event_callbacks callbacks = { .recv_callback = oracle_recv, .send_callback = oracle_send,
                                                     .genmask_callback = oracle_mask, .on_msg_recv_callback = oracle_message };
    struct oracle o = { .p = stream.p, .n = stream.n, .seen = seen };
    wslay_event_context_ptr ctx;
    int failed;

    seen->log.n = 0;
    seen->log.text[0] = '\0';
    failed = rules->from_client ? wslay_event_context_server_init(&ctx, &callbacks, &o)
                                : wslay_event_context_client_init(&ctx, &callbacks, &o);
    assert(failed == 0);
    if (rules->deflate)
        wslay_event_config_set_allowed_rsv_bits(ctx, WSLAY_RSV1_BIT);
    wslay_event_config_set_max_recv_msg_length(ctx, rules->max_message);
    wslay_event_recv(ctx);
    if (wslay_event_get_read_enabled(ctx) && zeros > 0) {
        o.zeros = zeros;
        wslay_event_recv(ctx);
    }
    seen->closed = wslay_event_get_close_received(ctx);
    seen->code = seen->closed || wslay_event_get_read_enabled(ctx) ? 0 : oracle_code(ctx, &o, !rules->from_client);
    wslay_event_context_free(ctx);
}

/* ---- comparing ---- */

static inline bool oracle_late_close_code(unsigned code)
{
    return code >= 1012 && code <= 1014;
}

static inline bool oracle_agrees(const struct oracle_seen *ours, const struct oracle_seen *theirs, enum ws_verify verify)
{
    bool same_log = strcmp(ours->log.text, theirs->log.text) == 0;

    if (theirs->code == 1007 && verify == WS_VERIFY_FRAMES)
        return strncmp(ours->log.text, theirs->log.text, theirs->log.n) == 0;
    if (ours->closed && oracle_late_close_code(ours->close_code))
        return theirs->code == 1002 && strncmp(ours->log.text, theirs->log.text, theirs->log.n) == 0;
    if (ours->fault == FAULT_WS_CLOSE_PAYLOAD)
        return theirs->closed && strncmp(ours->log.text, theirs->log.text, ours->log.n) == 0;
    if (ours->fault == FAULT_WS_CLOSE_CODE)
        return (theirs->code == 1002 || theirs->code == 1007) && same_log;
    return ours->code == theirs->code && ours->closed == theirs->closed && same_log;
}

#endif
