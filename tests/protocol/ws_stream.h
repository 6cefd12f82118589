/* ws_stream: frames laid one behind the other, and for each offset of the stream what a scanner has to say that has come there.
 *
 * The model is the RFC read slowly: it assumes that what is laid is lawful; a test that lays something else says at which byte
 * the fault is, and nothing from that byte on is asked of the model. ws_stream_run feeds a stream as a pump would, in whatever
 * pieces it arrives, and holds the scanner to the model after every step. */
#ifndef UPGATE_TESTS_PROTOCOL_WS_STREAM_H
#define UPGATE_TESTS_PROTOCOL_WS_STREAM_H

#include "protocol/ws_scan.h"
#include "tests/protocol/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WS_STREAM_BYTES 3000
#define WS_STREAM_LAWFUL SIZE_MAX

struct ws_offset {
    bool may_stop;                       /* what passes may end here */
    bool may_stop_if_more;               /* the same, once a byte of what follows is there: it is a control frame */
    bool boundary;
    bool in_message;
    struct ws_scan_counts counts;
};

struct ws_stream {
    struct ws_scan_rules rules;
    uint8_t p[WS_STREAM_BYTES];
    size_t n;
    struct ws_offset at[WS_STREAM_BYTES + 1];
    size_t fault_at;                     /* offset of the byte that is the fault; WS_STREAM_LAWFUL */
    size_t payload_at;                   /* of the last frame laid */
    uint8_t mask_seed;
    /* the model's own state */
    uint8_t message;                     /* opcode, 0 between messages */
    bool text;
    unsigned due;                        /* continuation bytes that the open code point still wants */
};

static inline void ws_stream_begin(struct ws_stream *st, const struct ws_scan_rules *rules)
{
    memset(st, 0, offsetof(struct ws_stream, at));
    st->rules = *rules;
    st->fault_at = WS_STREAM_LAWFUL;
    st->mask_seed = 0x5a;
    st->message = 0;
    st->text = false;
    st->due = 0;
    st->at[0] = (struct ws_offset){ .may_stop = true, .boundary = true };
}

static inline void ws_stream_byte(struct ws_stream *st, uint8_t byte)
{
    assert_true(st->n < WS_STREAM_BYTES);
    st->p[st->n++] = byte;
    st->at[st->n] = st->at[st->n - 1];
    st->at[st->n].may_stop = st->at[st->n].may_stop_if_more = st->at[st->n].boundary = false;
}

static inline bool ws_stream_checks_text(const struct ws_stream *st, uint8_t first)
{
    if ((first & 15) == WS_CONTINUATION)
        return st->text;
    return (first & 0x7f) == WS_TEXT && st->rules.verify == WS_VERIFY_UTF8;
}

/* Header bytes; `form` is how the length is written (0, 2 or 8 bytes), `mask` what the payload is masked with. */
static inline void ws_stream_head(struct ws_stream *st, uint8_t first, uint64_t length, unsigned form, uint8_t mask[4])
{
    ws_stream_byte(st, first);
    ws_stream_byte(st, (uint8_t)((st->rules.from_client ? 0x80 : 0) | (form == 0 ? (uint8_t)length : form == 2 ? 126 : 127)));
    for (unsigned i = form; i > 0; i--)
        ws_stream_byte(st, (uint8_t)(length >> (8 * (i - 1))));
    memset(mask, 0, 4);
    for (unsigned i = 0; st->rules.from_client && i < 4; i++) {
        st->mask_seed = (uint8_t)(st->mask_seed * 29 + 7);
        mask[i] = st->mask_seed;
        ws_stream_byte(st, mask[i]);
    }
    st->payload_at = st->n;
}

static inline void ws_stream_control(struct ws_stream *st, uint8_t first, struct span payload)
{
    struct ws_offset *start = &st->at[st->n], *end;
    struct ws_scan_counts counts = start->counts;
    uint8_t mask[4];

    if (!start->may_stop)
        start->may_stop_if_more = true;
    start->boundary = true;
    ws_stream_head(st, first, payload.n, 0, mask);
    for (size_t i = 0; i < payload.n; i++)
        ws_stream_byte(st, payload.p[i] ^ mask[i % 4]);
    end = &st->at[st->n];
    end->may_stop = end->boundary = true;
    end->counts = counts;
    end->counts.frames++;
    end->counts.pings += (first & 15) == WS_PING;
    end->counts.pongs += (first & 15) == WS_PONG;
}

/* One byte of text: how many bytes does its code point still want? */
static inline void ws_stream_text_byte(struct ws_stream *st, uint8_t c)
{
    if (st->due > 0)
        st->due--;
    else
        st->due = c < 0xc0 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
}

static inline void ws_stream_data_end(struct ws_stream *st, uint8_t first)
{
    struct ws_offset *end = &st->at[st->n];

    end->boundary = true;
    if ((first & 0x80) == 0)
        return;
    end->counts.messages++;
    end->counts.texts += st->message == WS_TEXT;
    end->in_message = false;
    end->may_stop = true;
    st->message = 0;
    st->text = false;
    st->due = 0;
}

/* `announced` may be more than there is: then the frame stays open at the end of the stream. */
static inline void ws_stream_data(struct ws_stream *st, uint8_t first, struct span payload, uint64_t announced)
{
    unsigned form = announced < 126 ? 0 : announced < 65536 ? 2 : 8;
    uint8_t mask[4];

    st->text = ws_stream_checks_text(st, first);
    st->message = (first & 15) != WS_CONTINUATION ? first & 15 : st->message;
    ws_stream_head(st, first, announced, form, mask);
    st->at[st->n].counts.frames++;
    st->at[st->n].in_message = true;
    st->at[st->n].may_stop = st->due == 0 || announced == 0;     /* an empty fragment releases what waits, and passes */
    for (size_t i = 0; i < payload.n; i++) {
        ws_stream_byte(st, payload.p[i] ^ mask[i % 4]);
        if (st->text)
            ws_stream_text_byte(st, payload.p[i]);
        st->at[st->n].counts.payload_bytes++;
        st->at[st->n].may_stop = st->due == 0;
    }
    if (payload.n == announced)
        ws_stream_data_end(st, first);
}

static inline void ws_stream_frame(struct ws_stream *st, uint8_t first, struct span payload)
{
    if ((first & 8) != 0)
        ws_stream_control(st, first, payload);
    else
        ws_stream_data(st, first, payload, payload.n);
}

/* How far the first n bytes may pass. */
static inline size_t ws_stream_passes(const struct ws_stream *st, size_t n)
{
    for (size_t at = n; at > 0; at--)
        if (st->at[at].may_stop || (st->at[at].may_stop_if_more && n > at))
            return at;
    return 0;
}

static inline void ws_stream_hold_to(const struct ws_stream *st, const struct ws_scan *s, size_t passed)
{
    const struct ws_offset *at = &st->at[passed];

    assert_int_equal(ws_scan_at_boundary(s), at->boundary);
    assert_int_equal(ws_scan_in_message(s), at->in_message);
    assert_memory_equal(&s->counts, &at->counts, sizeof(s->counts));
}

static inline void ws_stream_log_control(struct split_log *log, size_t at, const struct ws_control *c)
{
    split_write(log, "%s@%zu", c->opcode == WS_CLOSE ? "close" : c->opcode == WS_PING ? "ping" : "pong", at);
    if (c->opcode == WS_CLOSE)
        split_write(log, "=%u", c->close_code);
    split_write(log, "(");
    for (size_t i = c->close_code != 0 ? 2 : 0; i < c->payload_bytes; i++)
        split_write(log, c->payload[i] >= ' ' && c->payload[i] < 127 ? "%c" : "\\%02x", c->payload[i]);
    split_write(log, ") ");
}

/* Everything that one window gives; the window is copied to a block of its size, so that reading past it is seen. */
static inline enum ws_scan_verdict ws_stream_step(struct ws_stream *st, struct ws_scan *s, size_t *done, size_t there,
                                                  struct split_log *log)
{
    uint8_t *window = malloc(there - *done);
    struct ws_control control;
    enum ws_scan_verdict verdict;
    size_t passed;

    memcpy(window, st->p + *done, there - *done);
    verdict = ws_scan_feed(s, window, there - *done, &passed, &control);
    free(window);
    assert_true(passed <= there - *done);
    *done += passed;
    assert_true(*done <= st->fault_at);
    ws_stream_hold_to(st, s, *done);
    if (verdict != WS_SCAN_CONTROL)
        return verdict;
    ws_stream_log_control(log, *done, &control);
    *done += control.frame_bytes;
    assert_true(*done <= there && *done <= st->fault_at);
    ws_scan_control_done(s);
    ws_stream_hold_to(st, s, *done);
    return verdict;
}

static inline void ws_stream_run(void *ctx, struct span bytes, const struct split_arrival *arrival, struct split_log *log)
{
    struct ws_stream *st = ctx;
    size_t there = 0, done = 0;
    enum ws_scan_verdict verdict = WS_SCAN_MORE;
    struct ws_scan s;

    ws_scan_init(&s, &st->rules);
    while (there < bytes.n && verdict != WS_SCAN_FAULT) {
        there = split_next(arrival, there, bytes.n);
        do
            verdict = ws_stream_step(st, &s, &done, there, log);
        while (verdict == WS_SCAN_CONTROL);
        assert_int_equal(verdict == WS_SCAN_FAULT, there > st->fault_at);
        if (verdict == WS_SCAN_MORE) {
            assert_int_equal(done, ws_stream_passes(st, there));
            assert_true(there - done < WS_SCAN_WINDOW_BYTES);
        } else {
            assert_true(st->at[done].may_stop || st->at[done].may_stop_if_more);
        }
    }
    split_write(log, "%s", fault_word(s.fault));
}

/* Every way to arrive gives this log. */
static inline void ws_stream_expect(struct ws_stream *st, const char *name, const char *due)
{
    static struct split_log whole;

    split_all(name, ws_stream_run, st, span_of(st->p, st->n), &whole);
    if (due != NULL && strcmp(whole.text, due) != 0)
        fail_msg("%s (%s): got %s, due %s", name, st->rules.from_client ? "masked" : "unmasked", whole.text, due);
}

#endif
