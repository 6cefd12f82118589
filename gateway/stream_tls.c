#include "gateway/stream_tls_parts.h"
#include "gateway/tls_rest.h"
#include "gateway/tls_sessions.h"

#include <assert.h>
#include <string.h>

/* ---- the loop's calls ---- */

static void leave_event(struct stream_tls *s)
{
    s->in_event = false;
    if (s->closing)
        stream_tls_free(s);
}

static void on_output(struct stream_tls *s)
{
    bool was_blocked = s->base.blocked;

    if (s->below->output_error != 0)
        stream_tls_output_failed(s, s->below->output_error);
    stream_tls_flush_put(s);
    if (s->base.blocked || (!s->tell_writable && !was_blocked))
        return;
    s->tell_writable = false;
    s->base.events->writable(s->base.ctx);
}

static void on_below_readable(void *ctx)
{
    struct stream_tls *s = ctx;

    s->in_event = true;
    stream_tls_take_in(s);
    leave_event(s);
}

static void on_below_writable(void *ctx)
{
    struct stream_tls *s = ctx;

    s->in_event = true;
    if (s->below->output_error != 0)
        s->tell_writable = true;
    on_output(s);
    leave_event(s);
}

static const struct stream_events below_events = { .readable = on_below_readable, .writable = on_below_writable };

static void on_ready(struct ready *r)
{
    struct stream_tls *s = LIST_OWNER(r, struct stream_tls, ready);
    bool announce = s->announce, look = s->take_in || announce;

    s->in_event = true;
    s->announce = s->take_in = false;
    if (hold_n(s->put) > 0)
        on_output(s);
    if (!s->closing && look && !stream_tls_take_in(s) && announce && (hold_n(s->in) > 0 || s->base.input != STREAM_OPEN))
        s->base.events->readable(s->base.ctx);
    leave_event(s);
}

static void tls_owner_changed(struct stream *base)
{
    stream_tls_of(base)->announce = true;
    stream_tls_call_soon(stream_tls_of(base));
}

/* What is not with the kernel is lost by closing the stream below: the alert that says what was wrong, and a goodbye. A reset does not take an
 * alert back: without close_notify nothing that was cut looks complete. */
static void close_below(struct stream_tls *s, bool goodbye, bool reset)
{
    if ((s->session.why != END_NONE && s->session.bio.alert_out) || (goodbye && !stream_flushed(s->below)))
        parting_begin(&s->loop->partings, &s->below);
    else if (reset)
        stream_reset(&s->below);
    else
        stream_close(&s->below);
}

static void tls_close(struct stream *base, bool reset)
{
    struct stream_tls *s = stream_tls_of(base);
    bool goodbye = !reset && !s->finishing && s->base.output_error == 0 && hold_n(s->put) == 0 && !s->below->blocked;

    assert(!s->closing);
    if (reset && !s->finishing)
        stream_tls_flush_put(s);
    s->closing = true;
    s->view_n = 0;
    ready_cancel(&s->ready);
    if (goodbye)
        stream_tls_say_goodbye(s);
    close_below(s, goodbye, reset);
    if (!s->in_event)
        stream_tls_free(s);
}

/* ---- making ---- */

static uint64_t tls_unacknowledged(struct stream *base, uint64_t *acknowledged_out)
{
    return stream_unacknowledged(stream_tls_of(base)->below, acknowledged_out) + hold_n(stream_tls_of(base)->put);
}

static const char *tls_input_words(const struct stream *base)
{
    const struct stream_tls *s = (const struct stream_tls *)(const void *)base;

    if (base->cut)
        return "the connection ended without close_notify: it may have been cut";
    return base->input_why != END_NONE ? s->session.words : NULL;
}

static const struct stream_ops tls_ops = {
    .peek = stream_tls_peek,
    .consume = stream_tls_consume,
    .send = stream_tls_send,
    .put = stream_tls_put,
    .finish = stream_tls_finish,
    .close = tls_close,
    .owner_changed = tls_owner_changed,
    .unacknowledged = tls_unacknowledged,
    .input_words = tls_input_words,
};

struct stream_tls *stream_tls_new(struct tls_loop *l, struct tls_ctx *ctx, const char *name, const char *server)
{
    struct stream_tls *s = mem_zalloc(sizeof(*s));
    const mbedtls_ssl_session *resume = server != NULL ? tls_sessions_get(l->sessions, ctx, server) : NULL;

    if (s == NULL)
        return NULL;
    if (server != NULL && (s->server = mem_strdup(server)) == NULL)
        goto fail;
    if (tls_session_init(&s->session, ctx, name, resume) != 0)
        goto fail;
    s->base.ops = &tls_ops;
    s->loop = l;
    ready_init(&s->ready, on_ready);
    l->open++;
    return s;
fail:
    mem_free(s->server);
    mem_free(s);
    return NULL;
}

void stream_tls_free(struct stream_tls *s)
{
    s->loop->open--;
    tls_session_free(&s->session);
    mem_free(s->server);
    hold_drop(&s->in);
    hold_drop(&s->put);
    mem_free(s);
}

struct stream *stream_tls_open(struct stream_tls *s, struct stream **below)
{
    if (s->server != NULL && !s->session.facts.resumed && strcmp(s->session.facts.version, "TLSv1.2") == 0)
        tls_sessions_put(s->loop->sessions, s->server, &s->session);     /* of TLS 1.3 they come later, by themselves */
    mem_free(s->session.bio.out);
    s->session.bio.out = NULL;
    s->session.bio.out_n = s->session.bio.out_size = 0;
    s->session.bio.out_borrowed = true;
    s->below = stream_take(below);
    stream_own(s->below, &below_events, s);
    if (!tls_rest(&s->session, &s->loop->buffers))
        stream_tls_failed(s);                   /* told when there is an owner */
    return &s->base;
}

const struct tls_facts *stream_tls_facts(const struct stream *s)
{
    return &((const struct stream_tls *)(const void *)s)->session.facts;
}
