#include "gateway/tls_rest.h"

#include <assert.h>
#include <string.h>

/* The structures are those of this release; of another, nothing is assumed. */
#define KNOWN_RELEASE (MBEDTLS_VERSION_NUMBER >= 0x03060000 && MBEDTLS_VERSION_NUMBER < 0x03070000)
#define SSL(field) ssl->MBEDTLS_PRIVATE(field)
#define MOVE(field, from, to) (SSL(field) = (to) + ((uintptr_t)SSL(field) - (from)))
#define LIVE_MAX (MBEDTLS_SSL_IN_CONTENT_LEN + 1024)     /* record header, and what encryption adds */

/* What the library frees itself in TLS 1.2 only; no public call does it. */
void mbedtls_ssl_handshake_wrapup_free_hs_transform(mbedtls_ssl_context *ssl);
void mbedtls_ssl_transform_free(mbedtls_ssl_transform *transform);

static void wipe_and_free(uint8_t *buffer, size_t n)
{
    if (buffer != NULL)
        mbedtls_platform_zeroize(buffer, n);
    mbedtls_free(buffer);
}

void tls_buffers_free(struct tls_buffers *b)
{
    wipe_and_free(b->in, MBEDTLS_SSL_IN_CONTENT_LEN);
    wipe_and_free(b->out, MBEDTLS_SSL_OUT_CONTENT_LEN);
    b->in = b->out = NULL;
}

/* ---- a handshake that is over ---- */

/* In TLS 1.3 tickets are written behind the handshake, by the first read; a client still needs all of it, since a ticket may come at any time. */
static bool has_done_with_handshake(const struct tls_session *s)
{
    const mbedtls_ssl_context *ssl = &s->ssl;

    return SSL(handshake) != NULL && s->ctx->server && SSL(state) == MBEDTLS_SSL_HANDSHAKE_OVER &&
           mbedtls_ssl_get_version_number(ssl) == MBEDTLS_SSL_VERSION_TLS1_3;
}

/* What was meant for TLS 1.2 becomes the "current" transform by the first call, although nothing of TLS 1.3 looks at that. */
static void drop_handshake(struct tls_session *s)
{
    mbedtls_ssl_context *ssl = &s->ssl;

    mbedtls_ssl_handshake_wrapup_free_hs_transform(ssl);
    mbedtls_ssl_transform_free(SSL(transform));
    mbedtls_free(SSL(transform));
    SSL(transform) = NULL;
}

#if !defined(MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH) && KNOWN_RELEASE

/* ---- input ---- */

static void move_in(mbedtls_ssl_context *ssl, uintptr_t from, uint8_t *to)
{
    MOVE(in_ctr, from, to);
    MOVE(in_hdr, from, to);
    MOVE(in_len, from, to);
    MOVE(in_iv, from, to);
    MOVE(in_msg, from, to);
    if (SSL(in_offt) != NULL)
        MOVE(in_offt, from, to);
#ifdef MBEDTLS_SSL_DTLS_CONNECTION_ID
    MOVE(in_cid, from, to);
#endif
    SSL(in_buf) = to;
}

/* From the buffer's start, where the counter is: up to the end of what was read of a record, or is left of one. */
static size_t live_n(const mbedtls_ssl_context *ssl)
{
    const uint8_t *end = SSL(in_hdr) + SSL(in_left), *message = SSL(in_offt) != NULL ? SSL(in_offt) : SSL(in_msg);

    if (SSL(in_msglen) > 0 && message + SSL(in_msglen) > end)
        end = message + SSL(in_msglen);
    assert(end - SSL(in_buf) >= TLS_REST_COUNTER && end - SSL(in_buf) <= LIVE_MAX);
    return (size_t)(end - SSL(in_buf));
}

static bool keep_in(struct tls_session *s)
{
    const mbedtls_ssl_context *ssl = &s->ssl;
    size_t n = live_n(ssl);

    memcpy(s->rest.counter, SSL(in_buf), TLS_REST_COUNTER);
    if (n == TLS_REST_COUNTER)
        return true;
    s->rest.part = mem_alloc(n);
    if (s->rest.part == NULL)
        return false;
    s->rest.part_n = n;
    memcpy(s->rest.part, SSL(in_buf), n);
    return true;
}

static bool rest_in(struct tls_session *s, struct tls_buffers *b)
{
    mbedtls_ssl_context *ssl = &s->ssl;
    bool good = keep_in(s);

    s->rest.in_at = (uintptr_t)SSL(in_buf);
    if (b->in == NULL)
        b->in = SSL(in_buf);
    else
        wipe_and_free(SSL(in_buf), MBEDTLS_SSL_IN_CONTENT_LEN);
    SSL(in_buf) = NULL;
    return good;
}

static void wake_in(struct tls_session *s, struct tls_buffers *b)
{
    mbedtls_ssl_context *ssl = &s->ssl;

    assert(b->in != NULL);
    move_in(ssl, s->rest.in_at, b->in);
    b->in = NULL;
    if (s->rest.part_n == 0) {
        memcpy(SSL(in_buf), s->rest.counter, TLS_REST_COUNTER);
        return;
    }
    memcpy(SSL(in_buf), s->rest.part, s->rest.part_n);
    mbedtls_platform_zeroize(s->rest.part, s->rest.part_n);
    mem_free(s->rest.part);
    s->rest.part = NULL;
    s->rest.part_n = 0;
}

/* ---- output: what was written has gone, and the counter is elsewhere ---- */

static void rest_out(struct tls_session *s, struct tls_buffers *b)
{
    mbedtls_ssl_context *ssl = &s->ssl;

    s->rest.out_at = (uintptr_t)SSL(out_buf);
    SSL(out_left) = 0;                   /* of one that failed */
    if (b->out == NULL)
        b->out = SSL(out_buf);
    else
        wipe_and_free(SSL(out_buf), MBEDTLS_SSL_OUT_CONTENT_LEN);
    SSL(out_buf) = NULL;
}

static void wake_out(struct tls_session *s, struct tls_buffers *b)
{
    mbedtls_ssl_context *ssl = &s->ssl;
    uintptr_t from = s->rest.out_at;

    assert(b->out != NULL);
    MOVE(out_ctr, from, b->out);
    MOVE(out_hdr, from, b->out);
    MOVE(out_len, from, b->out);
    MOVE(out_iv, from, b->out);
    MOVE(out_msg, from, b->out);
#ifdef MBEDTLS_SSL_DTLS_CONNECTION_ID
    MOVE(out_cid, from, b->out);
#endif
    SSL(out_buf) = b->out;
    b->out = NULL;
}

bool tls_rest(struct tls_session *s, struct tls_buffers *b)
{
    const mbedtls_ssl_context *ssl = &s->ssl;
    bool good = SSL(in_buf) == NULL || rest_in(s, b);

    if (has_done_with_handshake(s))
        drop_handshake(s);
    if (SSL(out_buf) != NULL)
        rest_out(s, b);
    if (!good && s->why == END_NONE) {
        s->why = END_NO_MEMORY;
        s->words = tls_error_words(MBEDTLS_ERR_SSL_ALLOC_FAILED);
    }
    return good;
}

void tls_wake(struct tls_session *s, struct tls_buffers *b, bool reading)
{
    const mbedtls_ssl_context *ssl = &s->ssl;

    if (reading && SSL(in_buf) == NULL)
        wake_in(s, b);
    if (SSL(out_buf) == NULL)
        wake_out(s, b);
}

#else

/* Buffers whose sizes differ cannot be shared, nor those of a library that is not known: they stay where they are. */
bool tls_rest(struct tls_session *s, struct tls_buffers *b)
{
    (void)b;
    if (KNOWN_RELEASE && has_done_with_handshake(s))
        drop_handshake(s);
    return true;
}

void tls_wake(struct tls_session *s, struct tls_buffers *b, bool reading)
{
    (void)s;
    (void)b;
    (void)reading;
}

#endif
