#include "gateway/stream_tls_parts.h"
#include "gateway/tls_sessions.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

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
    s->base.input_error = error;
}

static void output_failed(struct stream_tls *s, int error)
{
    if (s->base.output_error == 0)
        s->base.output_error = error;
    s->base.blocked = false;
    mem_free(s->put);
    s->put = NULL;
    s->put_n = s->put_size = 0;
}

static void tls_failed(struct stream_tls *s)
{
    int error = s->session.why == END_NO_MEMORY ? -ENOMEM : -EPROTO;

    s->base.input_why = s->session.why;
    s->base.input_words = s->session.words;
    input_ends(s, STREAM_FAILED, error);
    output_failed(s, error);
}

/* The stream below ended, and nothing is left of it. */
static void below_ended(struct stream_tls *s)
{
    if (s->below->input == STREAM_EOF) {
        s->base.input_words = "the connection ended without close_notify: it may have been cut";
        s->base.cut = true;
        input_ends(s, STREAM_EOF, 0);
    } else {
        input_ends(s, STREAM_FAILED, s->below->input_error);
    }
}

/* ---- ciphertext ---- */

static void bio_begin(struct stream_tls *s)
{
    s->session.bio.out = s->loop->cipher;
    s->session.bio.out_size = TLS_CIPHER_BYTES;
    s->session.bio.out_n = 0;
}

/* What the session wrote goes down: to the kernel, or into the buffer of the stream below. */
static int bio_end(struct stream_tls *s)
{
    struct span out = span_of(s->session.bio.out, s->session.bio.out_n);
    ssize_t n = out.n > 0 ? stream_send(s->below, out) : 0;

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
    s->base.blocked = s->base.output_error == 0 && (s->put_n > 0 || !stream_flushed(s->below));
}

/* ---- reading ---- */

static void free_empty_input(struct stream_tls *s)
{
    if (s->in_n > 0 || s->in == NULL)
        return;
    mem_free(s->in);
    s->in = NULL;
    s->in_at = s->in_size = 0;
}

static bool input_room(struct stream_tls *s, size_t n)
{
    uint8_t *grown;

    if (s->in_at > 0) {
        memmove(s->in, s->in + s->in_at, s->in_n);
        s->in_at = 0;
    }
    if (s->in_size - s->in_n >= n)
        return true;
    grown = mem_realloc(s->in, s->in_n + n);
    if (grown == NULL)
        return false;
    s->in = grown;
    s->in_size = s->in_n + n;
    return true;
}

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

    bio_begin(s);
    do {
        got = decrypt_some(s, to, room, n_out);
        if (got == TLS_READ_SESSION && s->server != NULL)
            tls_sessions_put(s->loop->sessions, s->server, &s->session);
    } while (got == TLS_READ_SESSION || (got == TLS_READ_MORE && stream_peek(s->below, &p) > 0));
    bio_end(s);                          /* an alert, perhaps */
    s->more = got == TLS_READ_FULL;
    if (got == TLS_READ_END)
        input_ends(s, STREAM_EOF, 0);
    else if (got == TLS_READ_FAILED)
        tls_failed(s);
    else if (got == TLS_READ_MORE && s->below->input != STREAM_OPEN)
        below_ended(s);
    s->base.bytes_in += *n_out - before;
    return *n_out > before || s->base.input != STREAM_OPEN;
}

/* What the owner left of the scratch buffer becomes the stream's own. */
static void keep_view(struct stream_tls *s)
{
    if (s->view_n > 0 && input_room(s, s->view_n)) {
        memcpy(s->in + s->in_n, s->view, s->view_n);
        s->in_n += s->view_n;
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
    size_t n = s->in_n;
    uint8_t *scratch = s->loop->plain;

    if (n > 0)
        memcpy(scratch, s->in + s->in_at, n);
    if (!decrypt(s, scratch, TLS_PLAIN_BYTES, &n))
        return false;
    s->in_at = s->in_n = 0;
    s->view = scratch;
    s->view_n = n;
    s->base.events->readable(s->base.ctx);
    if (!s->closing)
        keep_view(s);
    return true;
}

static bool take_in_own(struct stream_tls *s)
{
    if (!input_room(s, STREAM_TLS_INPUT_BYTES)) {
        input_ends(s, STREAM_FAILED, -ENOMEM);
    } else {
        size_t n = s->in_n;
        bool some = decrypt(s, s->in, s->in_size, &n);
        s->in_n = n;
        if (!some)
            return false;
    }
    s->base.events->readable(s->base.ctx);
    return true;
}

static bool has_more(struct stream_tls *s)
{
    const uint8_t *p;

    return s->base.input == STREAM_OPEN && s->in_n < STREAM_TLS_INPUT_BYTES &&
           (s->more || s->below->input != STREAM_OPEN || stream_peek(s->below, &p) > 0);
}

/* True when the owner was told of something. */
static bool take_in(struct stream_tls *s)
{
    bool told;

    if (s->base.input != STREAM_OPEN || s->in_n >= STREAM_TLS_INPUT_BYTES)
        return false;
    told = s->in_n <= LITTLE_BYTES ? take_in_scratch(s) : take_in_own(s);
    if (s->closing)
        return true;
    free_empty_input(s);
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
    *p = s->in_n > 0 ? s->in + s->in_at : NULL;
    return s->in_n;
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
    assert(n <= s->in_n);
    s->in_at += n;
    s->in_n -= n;
    free_empty_input(s);
    if (has_more(s)) {
        s->take_in = true;
        call_soon(s);
    }
}

/* ---- writing ---- */

/* The plaintext of the next record: what was put first, then data. */
static struct span next_record(struct stream_tls *s, struct span data, size_t most)
{
    size_t from_put = s->put_n < most ? s->put_n : most;
    struct span rest = span_first(data, most - from_put);

    if (from_put == 0)
        return rest;
    memcpy(s->loop->join, s->put, from_put);
    if (rest.n > 0)
        memcpy(s->loop->join + from_put, rest.p, rest.n);
    return span_of(s->loop->join, from_put + rest.n);
}

/* So much of what was put is encrypted; returns how much of n is left for the data behind it. */
static size_t put_took(struct stream_tls *s, size_t n)
{
    size_t of_put = n < s->put_n ? n : s->put_n;

    s->put_n -= of_put;
    if (s->put_n > 0) {
        memmove(s->put, s->put + of_put, s->put_n);
    } else {
        mem_free(s->put);
        s->put = NULL;
        s->put_size = 0;
    }
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

    bio_begin(s);
    while (s->put_n + data.n - taken > 0 && s->session.bio.out_n + record + TLS_RECORD_MAX <= TLS_CIPHER_BYTES) {
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
    while (s->put_n > 0 && s->base.output_error == 0 && !s->below->blocked)
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
    size_t need = s->put_n + data.n;

    assert(!s->finishing);
    if (data.n == 0)
        return 0;
    if (need > s->put_size) {
        size_t size = need < 512 ? 512 : need;
        uint8_t *grown = mem_realloc(s->put, size);
        if (grown == NULL) {
            output_failed(s, -ENOMEM);
            return -ENOMEM;
        }
        s->put = grown;
        s->put_size = size;
    }
    memcpy(s->put + s->put_n, data.p, data.n);
    s->put_n = need;
    s->base.blocked = true;
    call_soon(s);
    return 0;
}

static void say_goodbye(struct stream_tls *s)
{
    bio_begin(s);
    tls_session_close_notify(&s->session);
    bio_end(s);
}

static int tls_finish(struct stream *base)
{
    struct stream_tls *s = of(base);

    if (s->finishing)
        return s->base.output_error;
    while (s->put_n > 0 && s->base.output_error == 0)
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
    if (s->put_n > 0)
        on_output(s);
    if (!s->closing && look && !take_in(s) && announce && (s->in_n > 0 || s->base.input != STREAM_OPEN))
        s->base.events->readable(s->base.ctx);
    leave_event(s);
}

static void tls_owner_changed(struct stream *base)
{
    of(base)->announce = true;
    call_soon(of(base));
}

static void tls_close(struct stream *base, bool reset)
{
    struct stream_tls *s = of(base);

    assert(!s->closing);
    s->closing = true;
    s->view_n = 0;
    ready_cancel(&s->ready);
    if (!reset && !s->finishing && s->base.output_error == 0 && s->put_n == 0 && !s->below->blocked)
        say_goodbye(s);
    if (reset)
        stream_reset(&s->below);
    else
        stream_close(&s->below);
    if (!s->in_event)
        stream_tls_free(s);
}

/* ---- making ---- */

static const struct stream_ops tls_ops = {
    .peek = tls_peek,
    .consume = tls_consume,
    .send = tls_send,
    .put = tls_put,
    .finish = tls_finish,
    .close = tls_close,
    .owner_changed = tls_owner_changed,
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
    mem_free(s->in);
    mem_free(s->put);
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
    return &s->base;
}

const struct tls_facts *stream_tls_facts(const struct stream *s)
{
    return &((const struct stream_tls *)(const void *)s)->session.facts;
}
