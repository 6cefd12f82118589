/* What goes: encrypted together with what was put before it, and sent down; and how both directions fail. */
#include "gateway/stream_tls_parts.h"
#include "gateway/tls_rest.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PUT_LEAST_BYTES 512              /* of what is put: heads and chunk sizes follow each other */

/* ---- failures ---- */

void stream_tls_output_failed(struct stream_tls *s, int error)
{
    if (s->base.output_error == 0)
        s->base.output_error = (int16_t)error;
    s->base.blocked = false;
    hold_drop(&s->put);
}

void stream_tls_failed(struct stream_tls *s)
{
    int error = s->session.why == END_NO_MEMORY ? -ENOMEM : -EPROTO;

    s->base.input_why = s->session.why;
    stream_tls_input_ends(s, STREAM_FAILED, error);
    stream_tls_output_failed(s, error);
}

/* ---- ciphertext ---- */

void stream_tls_bio_begin(struct stream_tls *s, bool reading)
{
    tls_wake(&s->session, &s->loop->buffers, reading);
    s->session.bio.out = s->loop->cipher;
    s->session.bio.out_size = TLS_CIPHER_BYTES;
    s->session.bio.out_n = 0;
}

/* What the session wrote goes down: to the kernel, or into the buffer of the stream below. */
int stream_tls_bio_end(struct stream_tls *s)
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
        stream_tls_output_failed(s, (int)n);
    return n < 0 ? (int)n : 0;
}

static void update_blocked(struct stream_tls *s)
{
    s->base.blocked = s->base.output_error == 0 && (hold_n(s->put) > 0 || !stream_flushed(s->below));
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

    stream_tls_bio_begin(s, false);
    while (hold_n(s->put) + data.n - taken > 0 && s->session.bio.out_n + record + TLS_RECORD_MAX <= TLS_CIPHER_BYTES) {
        n = tls_session_write(&s->session, next_record(s, span_from(data, taken), record));
        if (n < 0) {
            stream_tls_bio_end(s);
            stream_tls_failed(s);
            s->announce = true;
            stream_tls_call_soon(s);
            return n;
        }
        taken += put_took(s, (size_t)n);
    }
    error = stream_tls_bio_end(s);
    return error < 0 ? error : (ssize_t)taken;
}

void stream_tls_flush_put(struct stream_tls *s)
{
    while (hold_n(s->put) > 0 && s->base.output_error == 0 && !s->below->blocked)
        send_round(s, SPAN_EMPTY);
    update_blocked(s);
}

ssize_t stream_tls_send(struct stream *base, struct span data)
{
    struct stream_tls *s = stream_tls_of(base);
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

int stream_tls_put(struct stream *base, struct span data)
{
    struct stream_tls *s = stream_tls_of(base);

    assert(!s->finishing);
    if (data.n == 0)
        return 0;
    if (!hold_put(&s->put, data, PUT_LEAST_BYTES)) {
        stream_tls_output_failed(s, -ENOMEM);
        return -ENOMEM;
    }
    s->base.blocked = true;
    stream_tls_call_soon(s);
    return 0;
}

void stream_tls_say_goodbye(struct stream_tls *s)
{
    stream_tls_bio_begin(s, false);
    tls_session_close_notify(&s->session);
    stream_tls_bio_end(s);
}

int stream_tls_finish(struct stream *base)
{
    struct stream_tls *s = stream_tls_of(base);

    if (s->finishing)
        return s->base.output_error;
    while (hold_n(s->put) > 0 && s->base.output_error == 0)
        send_round(s, SPAN_EMPTY);
    s->finishing = true;
    if (s->base.output_error == 0)
        stream_tls_say_goodbye(s);
    if (s->base.output_error == 0 && stream_finish(s->below) != 0)
        stream_tls_output_failed(s, s->below->output_error);
    update_blocked(s);
    return s->base.output_error;
}
