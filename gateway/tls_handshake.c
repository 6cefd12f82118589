/* The life of a handshake:
 *
 *   HELLO     of a client: its first byte is awaited; nothing is allocated for it yet
 *   QUEUED    it has come, and a place is awaited; it stays unread
 *   WORKING   a helper has the session: nobody else looks inside
 *   STALLED   what came is worked up: the peer has the word
 *   GONE      abandoned while a helper had it: freed when it comes back
 *
 * A handshake with a server begins in WORKING and needs no place. */
#include "gateway/tls_handshake.h"
#include "gateway/stream_tls_parts.h"
#include "gateway/tls_sessions.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define INPUT_BYTES ((size_t)TLS_RECORD_BYTES + 512)     /* given to a helper at once */
#define STALLED_MS 500                   /* a client that was silent so long loses its place to one that waits */

enum handshake_state { HANDSHAKE_HELLO, HANDSHAKE_QUEUED, HANDSHAKE_WORKING, HANDSHAKE_STALLED, HANDSHAKE_GONE };

struct tls_handshake {
    struct tls_job job;
    enum handshake_state state;
    struct tls_loop *loop;
    struct stream *below;                /* NULL: abandoned */
    struct tls_ctx *ctx;                 /* held, until there is a session that holds it */
    struct stream_tls *tls;              /* NULL: HELLO, QUEUED */
    struct list link;                    /* loop->queue or loop->stalled */
    struct ready ready;                  /* a server's handshake begins; a place was found */
    uint64_t since_ms;                   /* STALLED */
    bool has_place;
    uint8_t *input;                      /* WORKING: a copy, since the stream goes on below */
    enum tls_step step;                  /* what the helper came to */
    tls_answered *answered;
    void *answered_ctx;
};

static void handshake_enter(struct tls_handshake *h, enum handshake_state to)
{
    assert(h->state != HANDSHAKE_GONE);
    list_remove(&h->link);
    h->state = to;
}

/* ---- places ---- */

static void begin(struct tls_handshake *h);
static void fail(struct tls_handshake *h, enum end_reason why, const char *words);

static void call_next(struct tls_loop *l)
{
    if (list_empty(&l->queue) || l->places >= l->places_max)
        return;
    ready_add(l->ready, &LIST_OWNER(l->queue.next, struct tls_handshake, link)->ready);
}

static void leave_place(struct tls_handshake *h)
{
    if (!h->has_place)
        return;
    h->has_place = false;
    h->loop->places--;
    call_next(h->loop);
}

static struct tls_handshake *longest_stalled(struct tls_loop *l)
{
    return list_empty(&l->stalled) ? NULL : LIST_OWNER(l->stalled.next, struct tls_handshake, link);
}

/* While somebody waits for a place: when will the first of those that have one have been silent for too long? */
static void watch_stalled(struct tls_loop *l)
{
    struct tls_handshake *h = longest_stalled(l);

    if (h != NULL && !list_empty(&l->queue) && !timer_is_set(&l->give_way))
        timer_set(l->timers, &l->give_way, h->since_ms + STALLED_MS);
}

static void on_give_way(struct timer *t, uint64_t now_ms)
{
    struct tls_loop *l = LIST_OWNER(t, struct tls_loop, give_way);
    struct tls_handshake *h = longest_stalled(l);

    if (h == NULL || list_empty(&l->queue))
        return;
    if (now_ms < h->since_ms + STALLED_MS) {
        watch_stalled(l);
        return;
    }
    fail(h, END_TLS_TIMEOUT, "the client was silent, and others were waiting");
    watch_stalled(l);
}

/* ---- the end ---- */

static void handshake_free(struct tls_handshake *h)
{
    struct tls_loop *l = h->loop;

    list_remove(&h->link);
    ready_cancel(&h->ready);
    leave_place(h);
    if (h->tls != NULL)
        stream_tls_free(h->tls);
    tls_ctx_release(h->ctx);
    mem_free(h->input);
    mem_free(h);
    l->open--;
}

static void answer(struct tls_handshake *h, struct tls_answer a)
{
    tls_answered *answered = h->answered;
    void *ctx = h->answered_ctx;

    handshake_free(h);
    answered(ctx, &a);
}

/* An offered session fixes the version (RFC 8446 section 4.6.1): a server that has changed would refuse every attempt that offers it. */
static void forget_session(struct tls_handshake *h)
{
    if (h->tls != NULL && h->tls->session.offered)
        tls_sessions_drop(h->loop->sessions, h->ctx, h->tls->server);
}

static void fail(struct tls_handshake *h, enum end_reason why, const char *words)
{
    struct stream *below = stream_take(&h->below);

    forget_session(h);
    answer(h, (struct tls_answer){ .below = below, .why = why, .words = words });
}

static void succeed(struct tls_handshake *h)
{
    struct stream_tls *tls = h->tls;

    h->tls = NULL;
    answer(h, (struct tls_answer){ .stream = stream_tls_open(tls, &h->below) });
}

/* ---- WORKING ---- */

static void work(struct tls_job *job)
{
    struct tls_handshake *h = (struct tls_handshake *)(void *)job;
    bool slice = h->loop->helpers == NULL;

    do
        h->step = tls_session_handshake(&h->tls->session, slice);
    while (h->step == TLS_AGAIN && !slice);
}

static bool has_input(struct tls_handshake *h)
{
    const uint8_t *p;

    return stream_peek(h->below, &p) > 0;
}

static void give(struct tls_handshake *h)
{
    struct tls_bio *bio = &h->tls->session.bio;
    const uint8_t *p;
    size_t n = stream_peek(h->below, &p);

    if (n > INPUT_BYTES)
        n = INPUT_BYTES;
    mem_free(h->input);
    h->input = n > 0 ? mem_alloc(n) : NULL;
    if (n > 0 && h->input == NULL) {
        fail(h, END_NO_MEMORY, NULL);
        return;
    }
    if (n > 0)
        memcpy(h->input, p, n);
    bio->in = h->input;
    bio->in_n = n;
    bio->in_at = 0;
    handshake_enter(h, HANDSHAKE_WORKING);
    tls_helpers_give(h->loop->helpers, &h->loop->home, &h->job);
}

static void stall(struct tls_handshake *h)
{
    handshake_enter(h, HANDSHAKE_STALLED);
    if (!h->has_place)
        return;
    h->since_ms = timers_now_ms(h->loop->timers);
    list_append(&h->loop->stalled, &h->link);
    watch_stalled(h->loop);
}

/* What the helper took is taken from the stream, what it wrote goes there. */
static int settle(struct tls_handshake *h)
{
    struct tls_bio *bio = &h->tls->session.bio;
    int error = bio->out_n > 0 ? stream_put(h->below, span_of(bio->out, bio->out_n)) : 0;
    const uint8_t *p;
    size_t there = stream_peek(h->below, &p);            /* less, if there was no memory to keep it: then the input has failed */

    stream_consume(h->below, bio->in_at < there ? bio->in_at : there);
    bio->out_n = bio->in_n = bio->in_at = 0;
    bio->in = NULL;
    mem_free(h->input);
    h->input = NULL;
    return error;
}

/* A peer that takes nothing more may have said why: that is read first, and the input's end follows by itself. */
static bool is_over(const struct tls_handshake *h)
{
    return h->below->input != STREAM_OPEN || h->below->output_error == -ENOMEM;
}

static void go_on(struct tls_handshake *h)
{
    if (has_input(h))
        give(h);
    else if (is_over(h))
        fail(h, END_TLS_CUT, NULL);
    else
        stall(h);
}

static void on_finished(struct tls_job *job)
{
    struct tls_handshake *h = (struct tls_handshake *)(void *)job;
    const struct tls_session *session = &h->tls->session;
    int error = h->state != HANDSHAKE_GONE ? settle(h) : 0;

    if (h->state == HANDSHAKE_GONE)
        handshake_free(h);
    else if (error != 0 && (h->step == TLS_DONE || error == -ENOMEM))
        fail(h, END_TLS_CUT, NULL);
    else if (h->step == TLS_FAILED)
        fail(h, session->why, session->words);
    else if (h->step == TLS_DONE)
        succeed(h);
    else if (h->step == TLS_AGAIN)
        give(h);
    else
        go_on(h);
}

/* ---- HELLO, QUEUED ---- */

static void begin(struct tls_handshake *h)
{
    h->tls = stream_tls_new(h->loop, h->ctx, NULL, NULL);
    if (h->tls == NULL) {
        fail(h, END_NO_MEMORY, NULL);
        return;
    }
    give(h);
}

/* Not TLS: a record of a handshake begins with 22. An SSL 2 hello (RFC 5246 appendix E.2) gets the alert that it may understand. */
static void refuse(struct tls_handshake *h, const uint8_t *p, size_t n)
{
    static const uint8_t alert[] = { 21, 3, 1, 0, 2, 2, 70 };    /* fatal, protocol_version */
    bool text = ascii_lower(p[0]) >= 'a' && ascii_lower(p[0]) <= 'z';
    bool ssl2 = n >= 3 && (p[0] & 0x80) != 0 && p[2] == 1;

    if (!text)
        stream_put(h->below, span_of(alert, sizeof(alert)));
    fail(h, text ? END_HELLO_FAULT : END_TLS_FAILED, text ? NULL : ssl2 ? "an SSL 2 hello" : "not a TLS record");
}

static void read_hello(struct tls_handshake *h)
{
    const uint8_t *p;
    size_t n = stream_peek(h->below, &p);

    if (n == 0 && (h->below->input != STREAM_OPEN || h->below->output_error != 0)) {
        fail(h, END_TLS_CUT, NULL);
    } else if (n > 0 && p[0] != 22) {
        refuse(h, p, n);
    } else if (n > 0) {
        handshake_enter(h, HANDSHAKE_QUEUED);
        list_append(&h->loop->queue, &h->link);
        call_next(h->loop);
        watch_stalled(h->loop);
    }
}

static void take_place(struct tls_handshake *h)
{
    h->has_place = true;
    h->loop->places++;
    list_remove(&h->link);
    call_next(h->loop);
    begin(h);
}

/* ---- events ---- */

static void on_event(void *ctx)
{
    struct tls_handshake *h = ctx;

    switch (h->state) {
    case HANDSHAKE_HELLO:
        read_hello(h);
        break;
    case HANDSHAKE_QUEUED:
        if (h->below->input == STREAM_FAILED || h->below->output_error != 0)
            fail(h, END_TLS_CUT, NULL);
        break;
    case HANDSHAKE_STALLED:
        go_on(h);
        break;
    case HANDSHAKE_WORKING:
    case HANDSHAKE_GONE:
        break;
    }
}

static const struct stream_events handshake_events = { .readable = on_event, .writable = on_event };

static void on_ready(struct ready *r)
{
    struct tls_handshake *h = LIST_OWNER(r, struct tls_handshake, ready);

    if (h->state == HANDSHAKE_STALLED)
        give(h);                         /* with a server: the first word is ours */
    else if (h->state == HANDSHAKE_QUEUED && h->loop->places < h->loop->places_max)
        take_place(h);
}

/* ---- the beginning ---- */

static struct tls_handshake *make(struct tls_loop *l, struct tls_ctx *c, tls_answered *answered, void *ctx)
{
    struct tls_handshake *h = mem_zalloc(sizeof(*h));

    if (h == NULL)
        return NULL;
    h->loop = l;
    h->ctx = tls_ctx_hold(c);
    h->job.run = work;
    h->job.finished = on_finished;
    h->answered = answered;
    h->answered_ctx = ctx;
    list_init(&h->link);
    ready_init(&h->ready, on_ready);
    if (!timer_is_set(&l->give_way))
        timer_init(&l->give_way, on_give_way);
    l->open++;
    return h;
}

struct tls_handshake *tls_handshake_with_client(struct tls_loop *l, struct stream **below, struct tls_ctx *c, tls_answered *answered,
                                                void *ctx)
{
    struct tls_handshake *h = make(l, c, answered, ctx);

    if (h == NULL)
        return NULL;
    h->below = stream_take(below);
    stream_own(h->below, &handshake_events, h);
    return h;
}

struct tls_handshake *tls_handshake_with_server(struct tls_loop *l, struct stream **below, struct tls_ctx *c, const char *name,
                                                const char *server, tls_answered *answered, void *ctx)
{
    struct tls_handshake *h = make(l, c, answered, ctx);

    if (h == NULL)
        return NULL;
    h->tls = stream_tls_new(l, c, c->server_name != NULL ? c->server_name : name, server);
    if (h->tls == NULL) {
        handshake_free(h);
        return NULL;
    }
    handshake_enter(h, HANDSHAKE_STALLED);
    h->below = stream_take(below);
    stream_own(h->below, &handshake_events, h);
    ready_add(l->ready, &h->ready);
    return h;
}

bool tls_handshake_is_silent(const struct tls_handshake *h)
{
    return h->state == HANDSHAKE_HELLO && h->below->bytes_in == 0;
}

void tls_handshake_cancel(struct tls_handshake **h)
{
    struct tls_handshake *taken = *h;

    *h = NULL;
    if (taken == NULL)
        return;
    stream_close(&taken->below);
    if (taken->state == HANDSHAKE_WORKING && !tls_helpers_withdraw(taken->loop->helpers, &taken->job)) {
        leave_place(taken);
        handshake_enter(taken, HANDSHAKE_GONE);
    } else {
        handshake_free(taken);
    }
}
