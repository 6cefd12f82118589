/* What goes wrong, in the order in which it happens: the first bytes are no TLS; versions, suites, names or certificates do not agree; the peer
 * sends an alert; no memory; a record cannot be decrypted; the peer asks for new keys (KeyUpdate), which this library cannot give.
 * tests/gateway/test_tls_session.c */
#include "gateway/tls_session.h"

#include <assert.h>
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define KEY_UPDATE 24                    /* RFC 8446 section 4.6.3 */

/* ---- mbedTLS's input and output ---- */

static int bio_recv(void *ctx, unsigned char *to, size_t room)
{
    struct tls_bio *b = &((struct tls_session *)ctx)->bio;
    size_t n = b->in_n - b->in_at;

    if (n == 0)
        return MBEDTLS_ERR_SSL_WANT_READ;
    if (n > room)
        n = room;
    memcpy(to, b->in + b->in_at, n);
    b->in_at += n;
    return (int)n;
}

static bool bio_room(struct tls_bio *b, size_t n)
{
    size_t size = b->out_size < 1024 ? 1024 : b->out_size;
    uint8_t *grown;

    while (size < b->out_n + n)
        size *= 2;
    if (size <= b->out_size)
        return true;
    if (b->out_borrowed || size > TLS_OUT_MAX)
        return false;
    grown = mem_realloc(b->out, size);
    if (grown == NULL)
        return false;
    b->out = grown;
    b->out_size = size;
    return true;
}

#define TAG 16
#define GRAIN 16                         /* the library pads what it encrypts */

/* Whether the last record of what the library says by itself is an alert: in clear or under TLS 1.2 by its type, under TLS 1.3 by its length
 * (RFC 8446 section 5.2: 2 bytes and their type, padded or not, and the tag). */
static bool ends_with_alert(const uint8_t *p, size_t n)
{
    bool alert = false;

    while (n >= 5) {
        size_t body = (size_t)p[3] << 8 | p[4];
        alert = p[0] == MBEDTLS_SSL_MSG_ALERT ||
                (p[0] == MBEDTLS_SSL_MSG_APPLICATION_DATA && (body == 2 + 1 + TAG || body == GRAIN + TAG));
        if (n < 5 + body)
            break;
        p += 5 + body;
        n -= 5 + body;
    }
    return alert;
}

static int bio_send(void *ctx, const unsigned char *from, size_t n)
{
    struct tls_bio *b = &((struct tls_session *)ctx)->bio;

    if (!bio_room(b, n))
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    memcpy(b->out + b->out_n, from, n);
    b->out_n += n;
    b->alert_out = ends_with_alert(from, n);
    return (int)n;
}

/* ---- the beginning ---- */

static bool is_address(const char *name)
{
    struct in6_addr any;

    return inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1;
}

/* Called for each certificate of the chain, the leaf last (depth 0), with what the library thinks of it. */
static int on_certificate(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    struct tls_session *s = ctx;

    s->verified = true;
    if (depth == 0 && s->ip != NULL && !tls_certificate_fits_ip(crt, s->ip))
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    return 0;
}

/* RFC 6066 section 3: an address is not a server name, and is not sent as one; what its certificate must be for is looked at here. */
static int set_name(struct tls_session *s, const char *name)
{
    if (!is_address(name))
        return mbedtls_ssl_set_hostname(&s->ssl, name);
    s->ip = mem_strdup(name);
    return s->ip == NULL ? MBEDTLS_ERR_SSL_ALLOC_FAILED : mbedtls_ssl_set_hostname(&s->ssl, NULL);
}

int tls_session_init(struct tls_session *s, struct tls_ctx *ctx, const char *name, const mbedtls_ssl_session *resume)
{
    *s = (struct tls_session){ .ctx = tls_ctx_hold(ctx) };
    mbedtls_ssl_init(&s->ssl);
    if (mbedtls_ssl_setup(&s->ssl, &ctx->ssl) != 0 || (name != NULL && set_name(s, name) != 0)) {
        tls_session_free(s);
        return -ENOMEM;
    }
    mbedtls_ssl_set_user_data_p(&s->ssl, s);
    mbedtls_ssl_set_bio(&s->ssl, s, bio_send, bio_recv, NULL);
    if (ctx->verify)
        mbedtls_ssl_set_verify(&s->ssl, on_certificate, s);
    s->offered = resume != NULL && mbedtls_ssl_set_session(&s->ssl, resume) == 0;
    return 0;
}

void tls_session_free(struct tls_session *s)
{
    mbedtls_ssl_free(&s->ssl);
    if (s->rest.part != NULL)
        mbedtls_platform_zeroize(s->rest.part, s->rest.part_n);
    mem_free(s->rest.part);
    if (!s->bio.out_borrowed)
        mem_free(s->bio.out);
    if (s->peer != NULL)
        mem_free(s->peer->der);
    mem_free(s->peer);
    mem_free(s->ip);
    tls_ctx_release(s->ctx);
}

/* ---- the choice of a certificate ---- */

static bool keep_name(struct tls_facts *facts, const unsigned char *name, size_t n)
{
    if (n == 0 || n >= sizeof(facts->sni))
        return false;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = ascii_lower(name[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'))
            return false;
        facts->sni[i] = (char)c;
    }
    facts->sni[n] = '\0';
    return true;
}

static int offer_all(struct tls_ctx *c, mbedtls_ssl_context *ssl, struct span name, int fit)
{
    int rv = 0;

    for (size_t i = 0; i < c->certificates_n && rv == 0; i++)
        if (tls_certificate_fits(&c->certificates[i].chain, name) == fit)
            rv = mbedtls_ssl_set_hs_own_cert(ssl, &c->certificates[i].chain, &c->certificates[i].key);
    return rv;
}

/* RFC 6066 section 3. A name that nobody here has is no reason to refuse: the default certificate will say who we are. */
int tls_session_choose_certificate(void *ctx, mbedtls_ssl_context *ssl, const unsigned char *name, size_t n)
{
    struct tls_ctx *c = ctx;
    struct tls_facts *facts = &((struct tls_session *)mbedtls_ssl_get_user_data_p(ssl))->facts;
    struct span wanted;
    int best = 0;

    if (!keep_name(facts, name, n)) {
        facts->sni[0] = '\0';
        return 0;
    }
    wanted = span_of_text(facts->sni);
    for (size_t i = 0; i < c->certificates_n; i++) {
        int fit = tls_certificate_fits(&c->certificates[i].chain, wanted);
        best = fit > best ? fit : best;
    }
    return best == 0 ? 0 : offer_all(c, ssl, wanted, best);
}

/* ---- failure ---- */

static void fail(struct tls_session *s, enum end_reason why, const char *words)
{
    if (s->why != END_NONE)
        return;
    s->why = why;
    s->words = words;
}

static void send_alert(struct tls_session *s, int alert)
{
    if (s->bio.alert_out)
        return;                          /* the library has said it */
    mbedtls_ssl_send_alert_message(&s->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL, (unsigned char)alert);
    s->bio.alert_out = true;
}

static bool is_key_update(const struct tls_session *s, int error)
{
    return error == MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE && mbedtls_ssl_is_handshake_over((mbedtls_ssl_context *)(uintptr_t)&s->ssl) == 1 &&
           mbedtls_ssl_get_version_number(&s->ssl) == MBEDTLS_SSL_VERSION_TLS1_3 &&
           s->ssl.MBEDTLS_PRIVATE(in_msgtype) == MBEDTLS_SSL_MSG_HANDSHAKE && s->ssl.MBEDTLS_PRIVATE(in_msg)[0] == KEY_UPDATE;
}

/* RFC 8446 section 6 has a client encrypt what it says behind the ServerHello. OpenSSL refuses a certificate in clear all the same, and the
 * library cannot decrypt that: it is what the operator wants to know. The number of the alert, or -1. */
static int alert_in_clear(const struct tls_session *s, int error)
{
    const uint8_t *record = s->ssl.MBEDTLS_PRIVATE(in_hdr);

    if (error != MBEDTLS_ERR_SSL_INVALID_MAC || mbedtls_ssl_is_handshake_over((mbedtls_ssl_context *)(uintptr_t)&s->ssl) == 1)
        return -1;
    return record[0] == MBEDTLS_SSL_MSG_ALERT && record[3] == 0 && record[4] == 2 ? record[6] : -1;
}

static void fail_by(struct tls_session *s, int error)
{
    int alert = alert_in_clear(s, error);
    uint32_t verdict = mbedtls_ssl_get_verify_result(&s->ssl);
    bool judged = error == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED || error == MBEDTLS_ERR_SSL_BAD_CERTIFICATE;
    enum end_reason why = mbedtls_ssl_is_handshake_over(&s->ssl) == 1 ? END_TLS_BROKEN : END_TLS_FAILED;

    if (error == MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE) {
        fail(s, why, tls_alert_words(s->ssl.MBEDTLS_PRIVATE(in_msg)[1]));
        return;
    }
    if (alert >= 0)
        fail(s, why, tls_alert_words(alert));
    else if (is_key_update(s, error))
        fail(s, END_TLS_KEY_UPDATE, end_reason_sentence(END_TLS_KEY_UPDATE));
    else if (tls_error_is_memory(error))
        fail(s, END_NO_MEMORY, tls_error_words(error));
    else if (judged && verdict != 0 && verdict != UINT32_MAX)
        fail(s, why, tls_verdict_words(verdict));
    else
        fail(s, why, tls_error_words(error));
    send_alert(s, tls_error_alert(error));
}

/* ---- the handshake ---- */

static enum tls_step refuse(struct tls_session *s, const char *words, int alert)
{
    fail(s, END_TLS_FAILED, words);
    send_alert(s, alert);
    return TLS_FAILED;
}

/* RFC 8446 section 4.4.2.4: a client that shows none where one is needed; RFC 5246 section 7.4.6 knows no better word. */
static enum tls_step refuse_none(struct tls_session *s)
{
    bool new = mbedtls_ssl_get_version_number(&s->ssl) == MBEDTLS_SSL_VERSION_TLS1_3;

    return refuse(s, tls_error_words(MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE), new ? 116 : MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE);
}

static enum tls_step complete(struct tls_session *s)
{
    uint32_t verdict = mbedtls_ssl_get_verify_result(&s->ssl);
    bool shown = mbedtls_ssl_get_peer_cert(&s->ssl) != NULL;

    if (s->ctx->require && !shown)
        return refuse_none(s);
    if (s->ctx->verify && shown && verdict != 0)
        return refuse(s, tls_verdict_words(verdict), tls_verdict_alert(verdict));
    if (!tls_facts_collect(s))
        return refuse(s, "the certificate's names are too long, or there is no memory for them", MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT);
    s->facts.resumed = s->ctx->server ? tls_tickets_opened() || s->facts.resumed : s->offered && !s->verified;
    return TLS_DONE;
}

enum tls_step tls_session_handshake(struct tls_session *s, bool slice)
{
    int rv;

    s->bio.alert_out = false;
    tls_tickets_opened();                /* another session's, before in this thread */
    do
        rv = mbedtls_ssl_handshake_step(&s->ssl);
    while (rv == 0 && !slice && mbedtls_ssl_is_handshake_over(&s->ssl) == 0);
    if (rv == 0 && mbedtls_ssl_is_handshake_over(&s->ssl) == 1)
        return complete(s);
    s->facts.resumed |= s->ctx->server && tls_tickets_opened();
    if (rv == 0)
        return TLS_AGAIN;
    if (rv == MBEDTLS_ERR_SSL_WANT_READ && s->bio.in_at == s->bio.in_n)
        return TLS_MORE;
    if (rv == MBEDTLS_ERR_SSL_WANT_READ || rv == MBEDTLS_ERR_SSL_WANT_WRITE || rv == MBEDTLS_ERR_SSL_CRYPTO_IN_PROGRESS)
        return TLS_AGAIN;
    fail_by(s, rv);
    return TLS_FAILED;
}

/* ---- after it ---- */

/* A ticket that has come from a server waits inside the library, which is in a state of its own until it is called once more. */
static bool wants_more(struct tls_session *s)
{
    return s->bio.in_at == s->bio.in_n && s->ssl.MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_HANDSHAKE_OVER;
}

enum tls_read tls_session_read(struct tls_session *s, uint8_t *to, size_t room, size_t *n_out)
{
    s->bio.alert_out = false;            /* a short piece of data looks like one */
    while (*n_out < room) {
        int rv = mbedtls_ssl_read(&s->ssl, to + *n_out, room - *n_out);
        if (rv >= 0)                     /* 0: a record without content */
            *n_out += (size_t)rv;
        else if (rv == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
            return TLS_READ_END;
#if defined(MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
        else if (rv == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
            return TLS_READ_SESSION;
#endif
        else if (rv != MBEDTLS_ERR_SSL_WANT_READ && rv != MBEDTLS_ERR_SSL_WANT_WRITE) {
            fail_by(s, rv);
            return TLS_READ_FAILED;
        } else if (wants_more(s)) {
            return TLS_READ_MORE;
        }
    }
    return TLS_READ_FULL;
}

ssize_t tls_session_write(struct tls_session *s, struct span data)
{
    int rv = mbedtls_ssl_write(&s->ssl, data.p, data.n);

    if (rv > 0)
        return rv;
    s->bio.alert_out = false;
    fail_by(s, rv);
    return -EPROTO;
}

void tls_session_close_notify(struct tls_session *s)
{
    mbedtls_ssl_close_notify(&s->ssl);
}

int tls_session_save(const struct tls_session *s, mbedtls_ssl_session *out)
{
    return mbedtls_ssl_get_session(&s->ssl, out) == 0 ? 0 : -ENOMEM;
}
