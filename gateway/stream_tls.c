#include "gateway/stream_tls_parts.h"
#include "gateway/tls_rest.h"
#include "gateway/tls_sessions.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PUT_LEAST_BYTES 512              /* of what is put: heads and chunk sizes follow each other */
#define LITTLE_BYTES 256                 /* left unread: copied in front of what is decrypted next, not kept apart */

static struct stream_tls *of(struct stream *s)
{
    return (struct stream_tls *)(void *)s;
}

static void call_soon(struct stream_tls *s)
{
    ready_add(s->loop->ready, &s->ready);
}

/* ---- failures ---- */

static void input_ends(struct stream_tls *s, enum stream_input how, int error)
{
    s->base.input = how;
    s->base.input_error = (int16_t)error;
}

static void output_failed(struct stream_tls *s, int error)
{
    if (s->base.output_error == 0)
        s->base.output_error = (int16_t)error;
    s->base.blocked = false;
    hold_drop(&s->put);
}

static void tls_failed(struct stream_tls *s)
{
    int error = s->session.why == END_NO_MEMORY ? -ENOMEM : -EPROTO;

    s->base.input_why = s->session.why;
    input_ends(s, STREAM_FAILED, error);
    output_failed(s, error);
}

/* The stream below ended, and nothing is left of it. */
static void below_ended(struct stream_tls *s)
{
    if (s->below->input == STREAM_EOF) {
        s->base.cut = true;
        input_ends(s, STREAM_EOF, 0);
    } else {
        input_ends(s, STREAM_FAILED, s->below->input_error);
    }
}

/* ---- ciphertext ---- */

static void bio_begin(struct stream_tls *s, bool reading)
{
    tls_wake(&s->session, &s->loop->buffers, reading);
    s->session.bio.out = s->loop->cipher;
    s->session.bio.out_size = TLS_CIPHER_BYTES;
    s->session.bio.out_n = 0;
}

/* What the session wrote goes down: to the kernel, or into the buffer of the stream below. */
static int bio_end(struct stream_tls *s)
{
    struct span out = span_of(s->session.bio.out, s->session.bio.out_n);
    ssize_t n;

    tls_rest(&s->session, &s->loop->buffers);
    n = out.n > 0 ? stream_send(s->below, out) : 0;
    if (n >= 0 && (size_t)n < out.n)
        n = stream_put(s->below, span_from(out, (size_t)n));
    s->session.bio.out = NULL;
    s->session.bio.out_n = s->session.bio.out_size = 0;
    if (n < 0)
        output_failed(s, (int)n);
    return n < 0 ? (int)n : 0;
}

static void update_blocked(struct stream_tls *s)
{
    s->base.blocked = s->base.output_error == 0 && (hold_n(s->put) > 0 || !stream_flushed(s->below));
}

/* ---- reading ---- */

static enum tls_read decrypt_some(struct stream_tls *s, uint8_t *to, size_t room, size_t *n_out)
{
    struct tls_bio *bio = &s->session.bio;
    enum tls_read got;

    bio->in_n = stream_peek(s->below, &bio->in);
    bio->in_at = 0;
    got = tls_session_read(&s->session, to, room, n_out);
    stream_consume(s->below, bio->in_at);
    bio->in = NULL;
    bio->in_n = bio->in_at = 0;
    return got;
}

/* Decrypts into `to` as much as there is, and room for; true when there is something to tell. */
static bool decrypt(struct stream_tls *s, uint8_t *to, size_t room, size_t *n_out)
{
    size_t before = *n_out;
    enum tls_read got;
    const uint8_t *p;

    bio_begin(s, true);
    do {
        got = decrypt_some(s, to, room, n_out);
        if (got == TLS_READ_SESSION && s->server != NULL)
            tls_sessions_put(s->loop->sessions, s->server, &s->session);
    } while (got == TLS_READ_SESSION || (got == TLS_READ_MORE && stream_peek(s->below, &p) > 0));
    bio_end(s);                          /* an alert, perhaps */
    s->more = got == TLS_READ_FULL;
    if (s->session.why != END_NONE)
        tls_failed(s);
    else if (got == TLS_READ_END)
        input_ends(s, STREAM_EOF, 0);
    else if (got == TLS_READ_MORE && s->below->input != STREAM_OPEN)
        below_ended(s);
    s->base.bytes_in += *n_out - before;
    return *n_out > before || s->base.input != STREAM_OPEN;
}

/* What the owner left of the scratch buffer becomes the stream's own. */
static void keep_view(struct stream_tls *s)
{
    uint8_t *room = s->view_n > 0 ? hold_room(&s->in, s->view_n, 0) : NULL;

    if (room != NULL) {
        memcpy(room, s->view, s->view_n);
        hold_added(s->in, s->view_n);
    } else if (s->view_n > 0) {
        input_ends(s, STREAM_FAILED, -ENOMEM);
        s->announce = true;              /* the owner has been told of the bytes, and not yet of their loss */
        call_soon(s);
    }
    s->view = NULL;
    s->view_n = 0;
}

/* A little that was left goes before what is decrypted, so that the owner sees one piece. */
static bool take_in_scratch(struct stream_tls *s)
{
    struct span left = hold_bytes(s->in);
    uint8_t *scratch = s->loop->plain;
    size_t n = left.n;

    if (n > 0)
        memcpy(scratch, left.p, n);
    if (!decrypt(s, scratch, TLS_PLAIN_BYTES, &n))
        return false;
    hold_drop(&s->in);
    s->view = scratch;
    s->view_n = n;
    s->base.events->readable(s->base.ctx);
    if (!s->closing)
        keep_view(s);
    return true;
}

static bool take_in_own(struct stream_tls *s)
{
    uint8_t *room = hold_room(&s->in, STREAM_TLS_INPUT_BYTES, 0);
    size_t n = 0;
    bool some;

    if (room == NULL) {
        input_ends(s, STREAM_FAILED, -ENOMEM);
    } else {
        some = decrypt(s, room, STREAM_TLS_INPUT_BYTES, &n);
        hold_added(s->in, n);
        if (!some)
            return false;
    }
    s->base.events->readable(s->base.ctx);
    return true;
}

static bool has_more(struct stream_tls *s)
{
    const uint8_t *p;

    return s->base.input == STREAM_OPEN && hold_n(s->in) < STREAM_TLS_INPUT_BYTES &&
           (s->more || s->below->input != STREAM_OPEN || stream_peek(s->below, &p) > 0);
}

/* True when the owner was told of something. */
static bool take_in(struct stream_tls *s)
{
    bool told;

    if (s->base.input != STREAM_OPEN || hold_n(s->in) >= STREAM_TLS_INPUT_BYTES)
        return false;
    told = hold_n(s->in) <= LITTLE_BYTES ? take_in_scratch(s) : take_in_own(s);
    if (s->closing)
        return true;
    if (has_more(s)) {
        s->take_in = true;
        call_soon(s);
    }
    return told;
}

static size_t tls_peek(struct stream *base, const uint8_t **p)
{
    struct stream_tls *s = of(base);

    if (s->view_n > 0) {
        *p = s->view;
        return s->view_n;
    }
    *p = hold_bytes(s->in).p;
    return hold_n(s->in);
}

static void tls_consume(struct stream *base, size_t n)
{
    struct stream_tls *s = of(base);

    if (s->view_n > 0) {
        assert(n <= s->view_n);
        s->view += n;
        s->view_n -= n;
        return;
    }
    hold_take(&s->in, n);
    if (has_more(s)) {
        s->take_in = true;
        call_soon(s);
    }
}

/* ---- writing ---- */

/* The plaintext of the next record: what was put first, then data. */
static struct span next_record(struct stream_tls *s, struct span data, size_t most)
{
    size_t from_put = hold_n(s->put) < most ? hold_n(s->put) : most;
    struct span rest = span_first(data, most - from_put);

    if (from_put == 0)
        return rest;
    memcpy(s->loop->join, hold_bytes(s->put).p, from_put);
    if (rest.n > 0)
        memcpy(s->loop->join + from_put, rest.p, rest.n);
    return span_of(s->loop->join, from_put + rest.n);
}

/* So much of what was put is encrypted; returns how much of n is left for the data behind it. */
static size_t put_took(struct stream_tls *s, size_t n)
{
    size_t of_put = n < hold_n(s->put) ? n : hold_n(s->put);

    hold_take(&s->put, of_put);
    return n - of_put;
}

/* Encrypts what was put, and of data, what fits into one go, and sends it down. Bytes taken of data, or < 0. */
static ssize_t send_round(struct stream_tls *s, struct span data)
{
    int most = mbedtls_ssl_get_max_out_record_payload(&s->session.ssl);
    size_t record = most > 0 && most < TLS_RECORD_BYTES ? (size_t)most : TLS_RECORD_BYTES;
    size_t taken = 0;
    ssize_t n;
    int error;

    bio_begin(s, false);
    while (hold_n(s->put) + data.n - taken > 0 && s->session.bio.out_n + record + TLS_RECORD_MAX <= TLS_CIPHER_BYTES) {
        n = tls_session_write(&s->session, next_record(s, span_from(data, taken), record));
        if (n < 0) {
            bio_end(s);
            tls_failed(s);
            s->announce = true;
            call_soon(s);
            return n;
        }
        taken += put_took(s, (size_t)n);
    }
    error = bio_end(s);
    return error < 0 ? error : (ssize_t)taken;
}

static void flush_put(struct stream_tls *s)
{
    while (hold_n(s->put) > 0 && s->base.output_error == 0 && !s->below->blocked)
        send_round(s, SPAN_EMPTY);
    update_blocked(s);
}

static ssize_t tls_send(struct stream *base, struct span data)
{
    struct stream_tls *s = of(base);
    size_t taken = 0;

    assert(!s->finishing);
    while (taken < data.n && !s->below->blocked) {
        ssize_t n = send_round(s, span_from(data, taken));
        if (n < 0)
            return taken > 0 ? (ssize_t)taken : n;
        taken += (size_t)n;
    }
    update_blocked(s);
    s->tell_writable |= taken < data.n;
    return (ssize_t)taken;
}

static int tls_put(struct stream *base, struct span data)
{
    struct stream_tls *s = of(base);
    uint8_t *room;

    assert(!s->finishing);
    if (data.n == 0)
        return 0;
    room = hold_room(&s->put, data.n, PUT_LEAST_BYTES);
    if (room == NULL) {
        output_failed(s, -ENOMEM);
        return -ENOMEM;
    }
    memcpy(room, data.p, data.n);
    hold_added(s->put, data.n);
    s->base.blocked = true;
    call_soon(s);
    return 0;
}

static void say_goodbye(struct stream_tls *s)
{
    bio_begin(s, false);
    tls_session_close_notify(&s->session);
    bio_end(s);
}

static int tls_finish(struct stream *base)
{
    struct stream_tls *s = of(base);

    if (s->finishing)
        return s->base.output_error;
    while (hold_n(s->put) > 0 && s->base.output_error == 0)
        send_round(s, SPAN_EMPTY);
    s->finishing = true;
    if (s->base.output_error == 0)
        say_goodbye(s);
    if (s->base.output_error == 0 && stream_finish(s->below) != 0)
        output_failed(s, s->below->output_error);
    update_blocked(s);
    return s->base.output_error;
}

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
        output_failed(s, s->below->output_error);
    flush_put(s);
    if (s->base.blocked || (!s->tell_writable && !was_blocked))
        return;
    s->tell_writable = false;
    s->base.events->writable(s->base.ctx);
}

static void on_below_readable(void *ctx)
{
    struct stream_tls *s = ctx;

    s->in_event = true;
    take_in(s);
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
    if (!s->closing && look && !take_in(s) && announce && (hold_n(s->in) > 0 || s->base.input != STREAM_OPEN))
        s->base.events->readable(s->base.ctx);
    leave_event(s);
}

static void tls_owner_changed(struct stream *base)
{
    of(base)->announce = true;
    call_soon(of(base));
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
    struct stream_tls *s = of(base);
    bool goodbye = !reset && !s->finishing && s->base.output_error == 0 && hold_n(s->put) == 0 && !s->below->blocked;

    assert(!s->closing);
    if (reset && !s->finishing)
        flush_put(s);
    s->closing = true;
    s->view_n = 0;
    ready_cancel(&s->ready);
    if (goodbye)
        say_goodbye(s);
    close_below(s, goodbye, reset);
    if (!s->in_event)
        stream_tls_free(s);
}

/* ---- making ---- */

static uint64_t tls_unacknowledged(struct stream *base, uint64_t *acknowledged_out)
{
    return stream_unacknowledged(of(base)->below, acknowledged_out) + hold_n(of(base)->put);
}

static const char *tls_input_words(const struct stream *base)
{
    const struct stream_tls *s = (const struct stream_tls *)(const void *)base;

    if (base->cut)
        return "the connection ended without close_notify: it may have been cut";
    return base->input_why != END_NONE ? s->session.words : NULL;
}

static const struct stream_ops tls_ops = {
    .peek = tls_peek,
    .consume = tls_consume,
    .send = tls_send,
    .put = tls_put,
    .finish = tls_finish,
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
        tls_failed(s);                   /* told when there is an owner */
    return &s->base;
}

const struct tls_facts *stream_tls_facts(const struct stream *s)
{
    return &((const struct stream_tls *)(const void *)s)->session.facts;
}
