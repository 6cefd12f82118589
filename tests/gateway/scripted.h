/* scripted: a stream without a socket, and the peer at its other end, played by the test.
 *
 * The peer gives bytes (all at once, or `piece` at a time), ends or fails behind them, and takes what it has room for (`grain`
 * bytes at a time); it can be made to fail after so many bytes. The stream keeps to the contract of gateway/stream.h as
 * stream_uv does: events come from the ready queue only, what was put goes before what is sent, a peer's reset fails the
 * output at once and the input behind what was sent before. Buffers that stream_uv would have come from protocol/mem.h, so
 * that they can be counted and made to fail.
 *
 * Each peek shows a fresh copy of exactly the bytes that are there: reading past them, or after the next peek, is an error
 * that the address sanitizer sees. Include it first. */
#ifndef UPGATE_TESTS_GATEWAY_SCRIPTED_H
#define UPGATE_TESTS_GATEWAY_SCRIPTED_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE                      /* memfd_create, memmem */
#endif

#include "gateway/ready.h"
#include "gateway/stream.h"
#include "protocol/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define SCRIPTED_WINDOW 16384            /* unread bytes at which no more are taken in, as STREAM_UV_INPUT_BYTES */

/* ---- bytes that grow; of the test, not of the gateway ---- */

struct bytes {
    uint8_t *p;
    size_t n, size;
};

static inline void bytes_add(struct bytes *b, const void *p, size_t n)
{
    if (b->n + n + 1 > b->size) {
        b->size = 2 * (b->n + n + 1);
        b->p = realloc(b->p, b->size);
        assert_non_null(b->p);
    }
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = '\0';                   /* fit for strstr, where there is text */
}

static inline void bytes_add_text(struct bytes *b, const char *text)
{
    bytes_add(b, text, strlen(text));
}

static inline void bytes_print(struct bytes *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline void bytes_print(struct bytes *b, const char *format, ...)
{
    char text[4096];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    assert_true(n >= 0 && n < (int)sizeof(text));
    bytes_add(b, text, (size_t)n);
}

static inline const char *bytes_text(const struct bytes *b)
{
    return b->p != NULL ? (const char *)b->p : "";
}

static inline struct span bytes_span(const struct bytes *b)
{
    return span_of(b->p, b->n);
}

static inline void bytes_free(struct bytes *b)
{
    free(b->p);
    *b = (struct bytes){ NULL, 0, 0 };
}

/* ---- the peer ---- */

struct scripted;

struct peer {
    struct scripted *stream;             /* NULL: the gateway has closed it */
    /* what it gives */
    struct bytes gives;                  /* over its life */
    size_t arrived;                      /* of it: shown to the gateway */
    size_t consumed;
    size_t piece;                        /* arrive at once, at most */
    enum stream_input ends;              /* behind what it gives */
    bool hung_up;                        /* by a reset: takes nothing more either */
    /* what it gets */
    struct bytes got;
    size_t room;                         /* it takes so many more; SIZE_MAX: any */
    size_t grain;                        /* taken at once, at most */
    size_t fails_at;                     /* the output fails when so many were taken; SIZE_MAX: never */
    bool fin;                            /* after the last byte of `got` came an orderly end */
    bool reset;                          /* it was reset by the gateway */
    bool closed;                         /* the gateway has closed it */
    size_t lost;                         /* bytes that were put and never came, because the gateway closed before */
    size_t backlog;                      /* of `got`: still on their way to it, as a socket would tell */
    unsigned writes;                     /* pieces in which `got` came */
    /* what it does by itself: called between the rounds when it is new, got something, ended or failed */
    void (*react)(struct peer *p);
    void *ctx;
    size_t step;                         /* of its play, for `react` */
    size_t noticed;
};

struct scripted {
    struct stream base;
    struct ready_queue *queue;
    struct ready ready;
    struct peer *peer;
    uint8_t *shown;                      /* the copy that the last peek gave */
    uint8_t *kept;                       /* stands for the stream's own input buffer */
    uint8_t *held;                       /* put, and not yet taken by the peer */
    size_t held_n;
    bool waiting;                        /* the peer took less than it was offered */
    bool tell_writable, tell_readable;
    bool finishing;
    bool in_event, closing;
};

static inline struct scripted *scripted_of(struct stream *s)
{
    return (struct scripted *)(void *)s;
}

static inline void scripted_kick(struct scripted *s)
{
    ready_add(s->queue, &s->ready);
}

/* ---- input ---- */

static inline size_t scripted_unread(const struct scripted *s)
{
    return s->peer->arrived - s->peer->consumed;
}

static inline bool scripted_may_arrive(const struct scripted *s)
{
    return s->base.input == STREAM_OPEN && scripted_unread(s) < SCRIPTED_WINDOW &&
           (s->peer->arrived < s->peer->gives.n || s->peer->ends != STREAM_OPEN);
}

static inline void scripted_input_failed(struct scripted *s, int error)
{
    s->base.input = STREAM_FAILED;
    s->base.input_error = (int16_t)error;
}

/* The next piece, or the end; true when there is something to tell. */
static inline bool scripted_arrive(struct scripted *s)
{
    struct peer *p = s->peer;
    size_t n = p->gives.n - p->arrived;

    if (!scripted_may_arrive(s))
        return false;
    if (n > p->piece)
        n = p->piece;
    p->arrived += n;
    s->base.bytes_in += n;
    if (p->arrived < p->gives.n || p->ends == STREAM_OPEN)
        return true;
    if (p->ends == STREAM_EOF)
        s->base.input = STREAM_EOF;
    else
        scripted_input_failed(s, -ECONNRESET);
    return true;
}

/* As a real stream: what the owner leaves needs a buffer, and there may be no memory for it. */
static inline void scripted_keep(struct scripted *s)
{
    uint8_t *grown;

    if (scripted_unread(s) == 0) {
        mem_free(s->kept);
        s->kept = NULL;
        return;
    }
    grown = mem_realloc(s->kept, scripted_unread(s));
    if (grown != NULL) {
        s->kept = grown;
        return;
    }
    s->peer->consumed = s->peer->arrived;
    scripted_input_failed(s, -ENOMEM);
    s->tell_readable = true;
    scripted_kick(s);
}

static inline size_t scripted_peek(struct stream *base, const uint8_t **p)
{
    struct scripted *s = scripted_of(base);
    size_t n = scripted_unread(s);

    free(s->shown);
    s->shown = NULL;
    if (n > 0) {
        s->shown = malloc(n);
        assert_non_null(s->shown);
        memcpy(s->shown, s->peer->gives.p + s->peer->consumed, n);
    }
    *p = s->shown;
    return n;
}

static inline void scripted_consume(struct stream *base, size_t n)
{
    struct scripted *s = scripted_of(base);

    assert_true(n <= scripted_unread(s));
    s->peer->consumed += n;
    if (scripted_unread(s) == 0) {
        mem_free(s->kept);
        s->kept = NULL;
    }
    if (scripted_may_arrive(s))
        scripted_kick(s);
}

/* ---- output ---- */

static inline void scripted_output_failed(struct scripted *s, int error)
{
    s->base.output_error = (int16_t)error;
    s->base.blocked = false;
    s->waiting = false;
    s->peer->lost += s->held_n;
    mem_free(s->held);
    s->held = NULL;
    s->held_n = 0;
}

/* What the peer takes of these bytes, or <0. */
static inline ssize_t scripted_offer(struct scripted *s, const uint8_t *bytes, size_t n)
{
    struct peer *p = s->peer;
    size_t most = p->room < p->grain ? p->room : p->grain;

    if (n > 0 && p->got.n >= p->fails_at) {
        scripted_output_failed(s, -EPIPE);
        return -EPIPE;
    }
    if (n > most)
        n = most;
    if (n > p->fails_at - p->got.n)
        n = p->fails_at - p->got.n;
    if (n == 0)
        return 0;
    bytes_add(&p->got, bytes, n);
    p->writes++;
    if (p->room != SIZE_MAX)
        p->room -= n;
    return (ssize_t)n;
}

static inline void scripted_wait(struct scripted *s)
{
    s->waiting = true;
    if (s->peer->room > 0)
        scripted_kick(s);                /* it only takes little at a time */
}

static inline void scripted_finish_if_flushed(struct scripted *s)
{
    if (s->finishing && s->held_n == 0 && s->base.output_error == 0)
        s->peer->fin = true;
}

/* Offers what was put. */
static inline void scripted_flush(struct scripted *s)
{
    ssize_t n = scripted_offer(s, s->held, s->held_n);

    if (n < 0)
        return;
    memmove(s->held, s->held + n, s->held_n - (size_t)n);
    s->held_n -= (size_t)n;
    if (s->held_n == 0) {
        mem_free(s->held);
        s->held = NULL;
    } else {
        scripted_wait(s);
    }
    s->base.blocked = s->held_n > 0;
    scripted_finish_if_flushed(s);
}

static inline ssize_t scripted_send(struct stream *base, struct span data)
{
    struct scripted *s = scripted_of(base);
    ssize_t n;

    assert_false(s->finishing);
    if (data.n == 0)
        return 0;
    if (!s->waiting && s->held_n > 0)
        scripted_flush(s);
    if (s->base.output_error != 0)
        return s->base.output_error;
    if (s->waiting) {
        s->tell_writable = true;
        return 0;
    }
    n = scripted_offer(s, data.p, data.n);
    if (n >= 0 && (size_t)n < data.n) {
        s->tell_writable = true;
        scripted_wait(s);
    }
    return n;
}

static inline int scripted_put(struct stream *base, struct span data)
{
    struct scripted *s = scripted_of(base);
    uint8_t *grown;

    assert_false(s->finishing);
    if (data.n == 0)
        return 0;
    grown = mem_realloc(s->held, s->held_n + data.n);
    if (grown == NULL) {
        scripted_output_failed(s, -ENOMEM);
        return -ENOMEM;
    }
    s->held = grown;
    memcpy(s->held + s->held_n, data.p, data.n);
    s->held_n += data.n;
    s->base.blocked = true;
    if (!s->waiting)
        scripted_kick(s);
    return 0;
}

static inline int scripted_finish(struct stream *base)
{
    struct scripted *s = scripted_of(base);

    s->finishing = true;
    if (!s->waiting && s->held_n > 0)
        scripted_flush(s);
    scripted_finish_if_flushed(s);
    return s->base.output_error;
}

/* ---- events ---- */

static inline void scripted_free(struct scripted *s)
{
    free(s->shown);
    mem_free(s->kept);
    mem_free(s->held);
    mem_free(s);
}

static inline void scripted_tell_output(struct scripted *s)
{
    bool was_blocked = s->base.blocked;

    if (s->base.output_error == 0) {
        if (s->waiting && s->peer->room == 0)
            return;
        s->waiting = false;
        if (s->held_n > 0)
            scripted_flush(s);
    }
    if (s->waiting || (!s->tell_writable && !was_blocked))
        return;
    s->tell_writable = false;
    s->base.events->writable(s->base.ctx);
}

static inline void scripted_hear_hangup(struct scripted *s)
{
    if (s->base.output_error != 0 || s->peer->fin || !s->peer->hung_up)
        return;
    scripted_output_failed(s, -ECONNRESET);
    s->tell_writable = true;
}

static inline void scripted_tell_input(struct scripted *s)
{
    bool new_owner = s->tell_readable, grew = scripted_arrive(s);

    s->tell_readable = false;
    if (!grew && (!new_owner || (scripted_unread(s) == 0 && s->base.input == STREAM_OPEN)))
        return;
    s->base.events->readable(s->base.ctx);
    if (!s->closing)
        scripted_keep(s);
}

static inline void scripted_on_ready(struct ready *r)
{
    struct scripted *s = LIST_OWNER(r, struct scripted, ready);

    s->in_event = true;
    scripted_hear_hangup(s);
    if (s->tell_writable || s->waiting || s->held_n > 0)
        scripted_tell_output(s);
    if (!s->closing)
        scripted_tell_input(s);
    s->in_event = false;
    if (s->closing)
        scripted_free(s);
    else if (scripted_may_arrive(s))
        scripted_kick(s);
}

static inline uint64_t scripted_unacknowledged(struct stream *base, uint64_t *acknowledged_out)
{
    struct scripted *s = scripted_of(base);

    *acknowledged_out = s->peer->got.n - s->peer->backlog;
    return s->peer->backlog + s->held_n;
}

static inline void scripted_owner_changed(struct stream *base)
{
    struct scripted *s = scripted_of(base);

    s->tell_readable = true;
    scripted_kick(s);
}

static inline void scripted_close(struct stream *base, bool reset)
{
    struct scripted *s = scripted_of(base);

    assert_false(s->closing);
    s->closing = true;
    s->peer->lost += s->held_n;
    s->peer->closed = true;
    s->peer->reset = reset;
    s->peer->stream = NULL;
    ready_cancel(&s->ready);
    if (!s->in_event)
        scripted_free(s);
}

static const struct stream_ops scripted_ops = {
    .peek = scripted_peek,
    .consume = scripted_consume,
    .send = scripted_send,
    .put = scripted_put,
    .finish = scripted_finish,
    .close = scripted_close,
    .owner_changed = scripted_owner_changed,
    .unacknowledged = scripted_unacknowledged,
};

/* The stream to this peer, which has to outlive it. NULL: no memory. */
static inline struct stream *scripted_new(struct ready_queue *queue, struct peer *peer)
{
    struct scripted *s = mem_zalloc(sizeof(*s));

    if (s == NULL)
        return NULL;
    s->base.ops = &scripted_ops;
    s->queue = queue;
    s->peer = peer;
    ready_init(&s->ready, scripted_on_ready);
    peer->stream = s;
    return &s->base;
}

/* ---- what the test does as the peer ---- */

static inline void peer_init(struct peer *p)
{
    *p = (struct peer){ .piece = SIZE_MAX, .room = SIZE_MAX, .grain = SIZE_MAX, .fails_at = SIZE_MAX };
}

static inline void peer_free(struct peer *p)
{
    bytes_free(&p->gives);
    bytes_free(&p->got);
}

static inline void peer_kick(struct peer *p)
{
    if (p->stream != NULL)
        scripted_kick(p->stream);
}

static inline void peer_give(struct peer *p, struct span data)
{
    assert_int_equal(p->ends, STREAM_OPEN);
    bytes_add(&p->gives, data.p, data.n);
    peer_kick(p);
}

static inline void peer_says(struct peer *p, const char *text)
{
    peer_give(p, span_of_text(text));
}

static inline void peer_ends(struct peer *p)
{
    if (p->ends == STREAM_OPEN)
        p->ends = STREAM_EOF;
    peer_kick(p);
}

static inline void peer_resets(struct peer *p)
{
    p->ends = STREAM_FAILED;
    p->hung_up = true;
    peer_kick(p);
}

static inline void peer_takes(struct peer *p, size_t n)      /* n more than it would have */
{
    p->room = n > SIZE_MAX - p->room ? SIZE_MAX : p->room + n;
    if (p->stream != NULL && p->stream->waiting)
        peer_kick(p);
}

static inline void peer_stops_reading(struct peer *p)
{
    p->room = 0;
}

static inline void peer_reads_on(struct peer *p)
{
    peer_takes(p, SIZE_MAX);
}

#endif
