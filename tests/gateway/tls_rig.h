/* tls_rig: a TLS stream over a scripted one, and at its other end a TLS peer that the test plays: both without sockets, threads or a clock.
 *
 * The peer is a tls_session of its own between the scripted peer's bytes. rig_run lets everything happen that can. Include it first. */
#ifndef UPGATE_TESTS_GATEWAY_TLS_RIG_H
#define UPGATE_TESTS_GATEWAY_TLS_RIG_H

#include "tests/gateway/scripted.h"

#include "gateway/tls_handshake.h"
#include "gateway/tls_session.h"
#include "tests/gateway/certs.h"

struct owner {                           /* of the stream under test */
    struct stream *stream;
    unsigned readable, writable;
    struct bytes got;
    bool keeps;                          /* leaves what comes unread */
    void (*on_readable)(struct owner *o);
};

struct tls_rig {
    struct ready_queue ready;
    struct timers timers;
    uint64_t now_ms;
    struct metrics metrics;
    struct tls_loop loop;
    struct ready collect;
    struct conf *conf;
    struct tls_set *set;
    struct tls_tickets *tickets;
    struct tls_ctx *far_ctx;             /* held */
    struct peer peer;
    struct tls_handshake *handshake;
    struct tls_answer answer;
    unsigned answers;
    struct owner owner;
    /* the far end */
    struct tls_session far;
    bool far_made, far_open, far_failed, far_ended;
    size_t far_at;                       /* of peer.got */
    struct bytes far_got;
    size_t blocks_before;
};

/* ---- the loop ---- */

static inline uint64_t rig_clock(void *ctx)
{
    return ((struct tls_rig *)ctx)->now_ms;
}

static inline void rig_wake(void *ctx)
{
    struct tls_rig *r = ctx;

    ready_add(&r->ready, &r->collect);
}

static inline void rig_collect(struct ready *node)
{
    tls_home_collect(&LIST_OWNER(node, struct tls_rig, collect)->loop.home);
}

/* ---- configuration ---- */

static inline struct conf *rig_conf(const char *text)
{
    struct conf *c = conf_load_text("test.yaml", span_of_text(text), stderr);

    assert_non_null(c);
    return c;
}

#define RIG_TAIL "routes: [ { upstream: app } ]\n"

/* The usual: a listener with `site` and `other`, an upstream that trusts `ca`. */
static inline const char *rig_usual(struct certs *c, const char *listener_more, const char *upstream_more)
{
    static char text[4096];

    snprintf(text, sizeof(text),
             "listeners: [ { address: 8443, tls: { certificates: [ { certificate: %s/site.crt, key: %s/site.key }, "
             "{ certificate: %s/other.crt, key: %s/other.key } ]%s } } ]\n"
             "upstreams: { app: { servers: [ localhost:9000 ], tls: { ca: %s/ca.crt%s } } }\n" RIG_TAIL,
             c->folder, c->folder, c->folder, c->folder, listener_more, c->folder, upstream_more);
    return text;
}

static inline void rig_begin(struct tls_rig *r, const char *conf_text)
{
    struct tls_loop_start start = { .ready = &r->ready, .timers = &r->timers, .metrics = &r->metrics, .places = 4, .wake = rig_wake, .ctx = r };

    *r = (struct tls_rig){ .now_ms = 1000, .blocks_before = mem_live_blocks() };
    assert_int_equal(tls_library_begin(), 0);
    ready_queue_init(&r->ready);
    ready_init(&r->collect, rig_collect);
    timers_init(&r->timers, rig_clock, r);
    assert_int_equal(tls_loop_init(&r->loop, &start), 0);
    r->tickets = tls_tickets_new();
    r->conf = rig_conf(conf_text);
    r->set = tls_set_new(r->conf, r->tickets, stderr);
    assert_non_null(r->set);
    peer_init(&r->peer);
}

static inline void rig_end_connection(struct tls_rig *r)
{
    tls_handshake_cancel(&r->handshake);
    stream_close(&r->owner.stream);
    stream_close(&r->answer.below);
    partings_end(&r->loop.partings);
    for (int i = 0; i < 50; i++)
        ready_queue_run(&r->ready);
    if (r->far_made)
        tls_session_free(&r->far);
    peer_free(&r->peer);
    peer_init(&r->peer);
    bytes_free(&r->far_got);
    bytes_free(&r->owner.got);
    r->owner = (struct owner){ 0 };
    r->answer = (struct tls_answer){ 0 };
    r->answers = 0;
    r->far_made = r->far_open = r->far_failed = r->far_ended = false;
    r->far_at = 0;
}

static inline void rig_free(struct tls_rig *r)
{
    rig_end_connection(r);
    tls_ctx_release(r->far_ctx);
    tls_set_free(r->set);
    conf_free(r->conf);
    tls_tickets_free(r->tickets);
    tls_loop_free(&r->loop);
    assert_int_equal(r->timers.n, 0);
    tls_library_end();
}

static inline void rig_end(struct tls_rig *r)
{
    rig_free(r);
    assert_int_equal(mem_live_blocks(), r->blocks_before);
}

/* ---- the owner ---- */

static inline void owner_readable(void *ctx)
{
    struct owner *o = ctx;
    const uint8_t *p;
    size_t n = o->stream != NULL ? stream_peek(o->stream, &p) : 0;

    o->readable++;
    if (o->stream == NULL)
        return;                          /* what is left of a handshake that failed */
    if (o->on_readable != NULL) {
        o->on_readable(o);
    } else if (!o->keeps) {
        bytes_add(&o->got, p, n);
        stream_consume(o->stream, n);
    }
}

static inline void owner_writable(void *ctx)
{
    ((struct owner *)ctx)->writable++;
}

static const struct stream_events owner_events = { .readable = owner_readable, .writable = owner_writable };

static inline void rig_answered(void *ctx, const struct tls_answer *a)
{
    struct tls_rig *r = ctx;

    r->handshake = NULL;
    r->answer = *a;
    r->answers++;
    if (a->stream == NULL) {
        if (r->answer.below != NULL)
            stream_own(r->answer.below, &owner_events, &r->owner);
        r->owner.keeps = true;
        r->owner.stream = NULL;
        return;
    }
    r->owner.stream = a->stream;
    stream_own(a->stream, &owner_events, &r->owner);
}

/* ---- the far end ---- */

static inline void far_out(struct tls_rig *r)
{
    struct tls_bio *bio = &r->far.bio;

    if (bio->out_n > 0 && r->peer.ends == STREAM_OPEN)
        peer_give(&r->peer, span_of(bio->out, bio->out_n));
    bio->out_n = 0;
}

static inline void far_read(struct tls_rig *r)
{
    uint8_t plain[4096];
    enum tls_read got;

    do {
        size_t n = 0;
        got = tls_session_read(&r->far, plain, sizeof(plain), &n);
        bytes_add(&r->far_got, plain, n);
    } while (got == TLS_READ_FULL || got == TLS_READ_SESSION);
    r->far_ended |= got == TLS_READ_END;
    r->far_failed |= got == TLS_READ_FAILED;
}

static inline void far_shake(struct tls_rig *r)
{
    enum tls_step step;

    do
        step = tls_session_handshake(&r->far, false);
    while (step == TLS_AGAIN);
    r->far_open = step == TLS_DONE;
    r->far_failed |= step == TLS_FAILED;
}

/* Works on what came; true when there was something. */
static inline bool far_work(struct tls_rig *r)
{
    struct tls_bio *bio = &r->far.bio;

    if (!r->far_made || r->far_failed || r->far_ended || r->far_at == r->peer.got.n)
        return false;
    bio->in = r->peer.got.p + r->far_at;
    bio->in_n = r->peer.got.n - r->far_at;
    bio->in_at = 0;
    if (!r->far_open)
        far_shake(r);
    if (r->far_open)
        far_read(r);
    r->far_at += bio->in_at;
    bio->in_n = bio->in_at = 0;
    far_out(r);
    return true;
}

static inline void rig_run(struct tls_rig *r)
{
    for (int i = 0; i < 100000; i++) {
        bool some = !ready_queue_empty(&r->ready);
        ready_queue_run(&r->ready);
        some |= far_work(r);
        if (!some)
            return;
    }
    fail_msg("the loop does not come to rest");
}

static inline void rig_sleep(struct tls_rig *r, uint64_t ms)
{
    for (uint64_t end = r->now_ms + ms; r->now_ms < end;) {
        r->now_ms += 4;
        timers_run(&r->timers, r->now_ms);
        rig_run(r);
    }
}

/* The far end as a client of the listener, or a server of the upstream, begins; the stream under test meets it. */
static inline void far_begin(struct tls_rig *r, struct tls_ctx *ctx, const char *name)
{
    assert_int_equal(tls_session_init(&r->far, ctx, name, NULL), 0);
    r->far_made = true;
}

static inline void far_hello(struct tls_rig *r)
{
    far_shake(r);
    far_out(r);
}

static inline void rig_meet_client(struct tls_rig *r)
{
    struct stream *below = scripted_new(&r->ready, &r->peer);

    if (below == NULL)
        return;                          /* a test that takes memory away has begun */
    r->handshake = tls_handshake_with_client(&r->loop, &below, r->set->listeners[0], rig_answered, r);
    if (r->handshake == NULL)
        stream_close(&below);
}

static inline void rig_meet_server(struct tls_rig *r, const char *name)
{
    struct stream *below = scripted_new(&r->ready, &r->peer);

    if (below == NULL)
        return;                          /* a test that takes memory away has begun */
    r->handshake = tls_handshake_with_server(&r->loop, &below, r->set->upstreams[0], name, "localhost:9000", rig_answered, r);
    if (r->handshake == NULL)
        stream_close(&below);
}

/* A whole handshake: the stream under test on the server's side, the upstream's context as the client. */
static inline void rig_open(struct tls_rig *r)
{
    far_begin(r, r->set->upstreams[0], "site.example");
    rig_meet_client(r);
    far_hello(r);
    rig_run(r);
    assert_non_null(r->owner.stream);
    assert_true(r->far_open);
}

static inline void far_says(struct tls_rig *r, struct span data)
{
    while (data.n > 0) {
        ssize_t n = tls_session_write(&r->far, data);
        assert_true(n > 0);
        data = span_from(data, (size_t)n);
    }
    far_out(r);
}

static inline void far_goodbye(struct tls_rig *r)
{
    tls_session_close_notify(&r->far);
    far_out(r);
}

static inline void expect_bytes(const struct bytes *b, const char *text)
{
    assert_string_equal(bytes_text(b), text);
}

/* ---- around all tests of a program ---- */

/* One whole connection first: what the library keeps once and for all is no leak of the test that comes first. */
static inline void rig_begin_all(struct certs *certs)
{
    struct tls_rig r;

    tls_library_begin();
    certs_begin(certs);
    certs_make_usual(certs);
    rig_begin(&r, rig_usual(certs, "", ""));
    rig_open(&r);
    rig_free(&r);
}

static inline void rig_end_all(struct certs *certs)
{
    certs_end(certs);
    tls_library_end();
}

#endif
