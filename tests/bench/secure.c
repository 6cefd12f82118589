#include "tests/bench/secure.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/epoll.h>

/* Of a peer: its layer_ctx. */
struct secure {
    SSL *ssl;
    bool must_resume;
    void (*event)(struct peer *p, uint32_t events);      /* the peer's own, kept while the handshake lasts */
};

static SSL_CTX *client_ctx, *server_ctx;
static SSL_SESSION *newest;
static bool resume;

static void fail(const char *what)
{
    ERR_print_errors_fp(stderr);
    errno = EPROTO;
    net_fail(what);
}

static SSL_CTX *new_ctx(const SSL_METHOD *method)
{
    SSL_CTX *c = SSL_CTX_new(method);

    if (c == NULL || SSL_CTX_set1_groups_list(c, "X25519:P-256") != 1 || SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set_cipher_list(c, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256") != 1)
        fail("OpenSSL");
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(c, 1);
    return c;
}

/* ---- sessions of clients ---- */

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(newest);
    newest = session;
    return 1;                            /* it is ours now */
}

void secure_clients(enum secure_version version, bool resume_wanted)
{
    int number = version == SECURE_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;

    SSL_CTX_free(client_ctx);
    SSL_SESSION_free(newest);
    newest = NULL;
    resume = resume_wanted;
    client_ctx = new_ctx(TLS_client_method());
    SSL_CTX_set_min_proto_version(client_ctx, number);
    SSL_CTX_set_max_proto_version(client_ctx, number);
    if (!resume)
        return;
    SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client_ctx, on_session);
}

void secure_serve(const char *certificate, const char *key)
{
    server_ctx = new_ctx(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(server_ctx, certificate) != 1 || SSL_CTX_use_PrivateKey_file(server_ctx, key, SSL_FILETYPE_PEM) != 1)
        fail(certificate);
}

/* ---- the layer ---- */

static bool would_block(const struct secure *s, int rv)
{
    int error = SSL_get_error(s->ssl, rv);

    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

static ssize_t layer_read(struct peer *p, void *to, size_t room)
{
    struct secure *s = p->layer_ctx;
    size_t n = 0;
    int got = 1;

    while (n < room && (n == 0 || SSL_has_pending(s->ssl)) && (got = SSL_read(s->ssl, (uint8_t *)to + n, (int)(room - n))) > 0)
        n += (size_t)got;
    if (n == room && SSL_has_pending(s->ssl))
        net_again(p);
    if (n > 0)
        return (ssize_t)n;
    if (would_block(s, got))
        return -1;
    ERR_clear_error();
    return 0;
}

static ssize_t layer_send(struct peer *p, const void *from, size_t n)
{
    struct secure *s = p->layer_ctx;
    size_t sent = 0;
    int took = 1;

    while (sent < n && (took = SSL_write(s->ssl, (const uint8_t *)from + sent, (int)(n - sent))) > 0)
        sent += (size_t)took;
    if (sent > 0 || would_block(s, took))
        return (ssize_t)sent;
    ERR_clear_error();
    return -1;
}

static void layer_close(struct peer *p)
{
    struct secure *s = p->layer_ctx;

    if (SSL_is_init_finished(s->ssl))
        SSL_shutdown(s->ssl);
    ERR_clear_error();
    SSL_free(s->ssl);
    free(s);
    p->layer = NULL;
}

static const struct net_layer layer = { .read = layer_read, .send = layer_send, .close = layer_close };

/* ---- the handshake ---- */

static void shaken(struct peer *p, struct secure *s)
{
    bool good = !s->must_resume || SSL_session_reused(s->ssl);

    p->event = s->event;
    if (SSL_has_pending(s->ssl))
        net_again(p);
    if (!good || !SSL_is_server(s->ssl))
        p->event(p, good ? EPOLLOUT : EPOLLERR);
}

static void shake(struct peer *p, uint32_t events)
{
    struct secure *s = p->layer_ctx;
    int rv = SSL_do_handshake(s->ssl);

    (void)events;
    if (rv == 1) {
        shaken(p, s);
    } else if (would_block(s, rv)) {
        net_watch(p, SSL_want_write(s->ssl) ? EPOLLOUT : EPOLLIN);
    } else {
        ERR_clear_error();
        p->event = s->event;
        p->event(p, EPOLLERR);
    }
}

/* What comes first is an event of the handshake. */
static struct secure *make(struct peer *p, SSL_CTX *ctx)
{
    struct secure *s = net_alloc(sizeof(*s));

    s->ssl = SSL_new(ctx);
    if (s->ssl == NULL || SSL_set_fd(s->ssl, p->fd) != 1)
        fail("a TLS connection");
    s->event = p->event;
    p->event = shake;
    p->layer = &layer;
    p->layer_ctx = s;
    return s;
}

void secure_connect(struct peer *p)
{
    struct secure *s = make(p, client_ctx);

    SSL_set_connect_state(s->ssl);
    s->must_resume = resume && newest != NULL && SSL_set_session(s->ssl, newest) == 1;
}

void secure_accept(struct peer *p)
{
    SSL_set_accept_state(make(p, server_ctx)->ssl);
}
