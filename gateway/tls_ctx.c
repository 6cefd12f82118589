#include "gateway/tls_parts.h"

#include <assert.h>
#include <string.h>

/* ---- what is spoken ---- */

/* Forward secrecy and authenticated encryption, nothing else. RFC 9325 section 4.2. */
static const int suites[] = {
    MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
    MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    0,
};

static const uint16_t groups[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};

static const uint16_t signatures[] = {
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256,
    MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384,
    MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,
    MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,
    MBEDTLS_TLS1_3_SIG_NONE,
};

static const char *protocols[] = { TLS_ALPN, NULL };

/* ---- trust: a bundle is read once for all who name it ---- */

struct tls_ca {
    _Atomic unsigned holders;
    const char *path;                    /* the conf's: only looked at while a set is made */
    mbedtls_x509_crt chain;
};

struct making {
    const struct conf *conf;
    struct tls_tickets *tickets;
    struct tls_complaint complaint;
    struct tls_set *set;
};

static struct tls_ca *ca_hold(struct tls_ca *ca)
{
    atomic_fetch_add(&ca->holders, 1);
    return ca;
}

static void ca_release(struct tls_ca *ca)
{
    if (ca == NULL || atomic_fetch_sub(&ca->holders, 1) != 1)
        return;
    mbedtls_x509_crt_free(&ca->chain);
    mem_free(ca);
}

static struct tls_ca *ca_find(struct tls_ctx *const *list, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] != NULL && list[i]->ca != NULL && strcmp(list[i]->ca->path, path) == 0)
            return ca_hold(list[i]->ca);
    return NULL;
}

static bool out_of_memory(struct making *m, const struct conf_file *about)
{
    conf_complain(m->conf, about, false, m->complaint.messages, "out of memory");
    m->complaint.errors++;
    return false;
}

static struct tls_ca *ca_get(struct making *m, const struct conf_file *from)
{
    struct tls_ca *ca = ca_find(m->set->upstreams, m->conf->upstreams_n, from->path);

    if (ca == NULL)
        ca = ca_find(m->set->listeners, m->conf->listeners_n, from->path);
    if (ca != NULL)
        return ca;
    ca = mem_zalloc(sizeof(*ca));
    if (ca == NULL) {
        out_of_memory(m, from);
        return NULL;
    }
    ca->holders = 1;
    ca->path = from->path;
    mbedtls_x509_crt_init(&ca->chain);
    if (tls_ca_load(&ca->chain, from, &m->complaint))
        return ca;
    ca_release(ca);
    return NULL;
}

/* ---- one context ---- */

static void ctx_free(struct tls_ctx *c)
{
    mbedtls_ssl_config_free(&c->ssl);
    for (size_t i = 0; i < c->certificates_n; i++)
        tls_certificate_free(&c->certificates[i]);
    mem_free(c->certificates);
    ca_release(c->ca);
    tls_tickets_free(c->own_tickets);
    mem_free(c->server_name);
    mem_free(c);
}

struct tls_ctx *tls_ctx_hold(struct tls_ctx *c)
{
    atomic_fetch_add(&c->holders, 1);
    return c;
}

void tls_ctx_release(struct tls_ctx *c)
{
    if (c != NULL && atomic_fetch_sub(&c->holders, 1) == 1)
        ctx_free(c);
}

static void say_what_is_spoken(struct tls_ctx *c)
{
    mbedtls_ssl_conf_rng(&c->ssl, tls_random, NULL);
    mbedtls_ssl_conf_ciphersuites(&c->ssl, suites);
    mbedtls_ssl_conf_groups(&c->ssl, groups);
    mbedtls_ssl_conf_sig_algs(&c->ssl, signatures);
    mbedtls_ssl_conf_min_tls_version(&c->ssl, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(&c->ssl, MBEDTLS_SSL_VERSION_TLS1_3);
#if defined(MBEDTLS_SSL_RENEGOTIATION)
    mbedtls_ssl_conf_renegotiation(&c->ssl, MBEDTLS_SSL_RENEGOTIATION_DISABLED);
#endif
    mbedtls_ssl_conf_legacy_renegotiation(&c->ssl, MBEDTLS_SSL_LEGACY_NO_RENEGOTIATION);
}

static struct tls_ctx *ctx_new(bool server)
{
    static _Atomic uint64_t ids;
    struct tls_ctx *c = mem_zalloc(sizeof(*c));
    int endpoint = server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT;

    if (c == NULL)
        return NULL;
    c->holders = 1;
    c->id = atomic_fetch_add(&ids, 1) + 1;
    c->server = server;
    mbedtls_ssl_config_init(&c->ssl);
    if (mbedtls_ssl_config_defaults(&c->ssl, endpoint, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT) != 0) {
        tls_ctx_release(c);
        return NULL;
    }
    say_what_is_spoken(c);
    return c;
}

static bool certificates_load(struct making *m, struct tls_ctx *c, const struct conf_certificate *from, size_t n)
{
    unsigned before = m->complaint.errors;

    c->certificates = mem_zalloc(n * sizeof(*c->certificates));
    if (c->certificates == NULL)
        return out_of_memory(m, &from->certificate);
    for (size_t i = 0; i < n; i++) {
        c->certificates_n = i + 1;
        tls_certificate_load(&c->certificates[i], &from[i], &m->complaint);
    }
    return m->complaint.errors == before;
}

/* RFC 7301 section 3.2: a client whose protocols are all others is refused with no_application_protocol; one that names none is served. */
static bool alpn_set(struct making *m, struct tls_ctx *c, const struct conf_file *about)
{
    return mbedtls_ssl_conf_alpn_protocols(&c->ssl, protocols) == 0 || out_of_memory(m, about);
}

/* ---- listeners ---- */

static void versions_set(struct tls_ctx *c, const struct conf_listener_tls *conf)
{
    bool old = conf->versions_n == 0, new = conf->versions_n == 0;

    for (size_t i = 0; i < conf->versions_n; i++) {
        old |= conf->versions[i] == CONF_TLS_1_2;
        new |= conf->versions[i] == CONF_TLS_1_3;
    }
    mbedtls_ssl_conf_min_tls_version(&c->ssl, old ? MBEDTLS_SSL_VERSION_TLS1_2 : MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_max_tls_version(&c->ssl, new ? MBEDTLS_SSL_VERSION_TLS1_3 : MBEDTLS_SSL_VERSION_TLS1_2);
}

/* To the library a client's certificate is optional in either case: tls_session refuses a bad one, or none, behind the handshake. Before its
 * end the library would send the alert under keys that a TLS 1.3 client does not use any more. */
static bool client_auth_set(struct making *m, struct tls_ctx *c, const struct conf_listener_tls *conf)
{
    if (conf->client_auth == CONF_CLIENT_AUTH_OFF) {
        mbedtls_ssl_conf_authmode(&c->ssl, MBEDTLS_SSL_VERIFY_NONE);
        return true;
    }
    c->verify = true;
    c->ca = ca_get(m, &conf->client_ca);
    if (c->ca == NULL)
        return false;
    mbedtls_ssl_conf_ca_chain(&c->ssl, &c->ca->chain, NULL);
    mbedtls_ssl_conf_authmode(&c->ssl, MBEDTLS_SSL_VERIFY_OPTIONAL);
    c->require = conf->client_auth == CONF_CLIENT_AUTH_REQUIRE;
    return true;
}

/* A resumed TLS 1.3 session comes without the client's certificate, so that where clients are asked for one, none is resumed. */
static bool tickets_set(struct making *m, struct tls_ctx *c, const struct conf_listener_tls *conf)
{
    struct tls_tickets *tickets = m->tickets;

    if (!conf->tickets || conf->client_auth != CONF_CLIENT_AUTH_OFF)
        return true;
    if (conf->ticket_keys.path != NULL)
        tickets = c->own_tickets = tls_tickets_load(&conf->ticket_keys, &m->complaint);
    if (tickets == NULL)
        return false;
    mbedtls_ssl_conf_session_tickets_cb(&c->ssl, tls_tickets_write, tls_tickets_parse, tickets);
    return true;
}

/* For whoever asks for no name that is here: the first certificate, and those for the same name with keys of other kinds. */
static bool default_set(struct making *m, struct tls_ctx *c, const struct conf_file *about)
{
    struct span name = tls_certificate_name(&c->certificates[0].chain);

    for (size_t i = 0; i < c->certificates_n; i++) {
        struct tls_certificate *own = &c->certificates[i];
        if (i > 0 && (name.n == 0 || tls_certificate_fits(&own->chain, name) != 2))
            continue;
        if (mbedtls_ssl_conf_own_cert(&c->ssl, &own->chain, &own->key) != 0)
            return out_of_memory(m, about);
    }
    return true;
}

static struct tls_ctx *listener_ctx(struct making *m, const struct conf_listener_tls *conf)
{
    const struct conf_file *about = &conf->certificates[0].certificate;
    struct tls_ctx *c = ctx_new(true);

    if (c == NULL) {
        out_of_memory(m, about);
        return NULL;
    }
    versions_set(c, conf);
    mbedtls_ssl_conf_sni(&c->ssl, tls_session_choose_certificate, c);
    if (certificates_load(m, c, conf->certificates, conf->certificates_n) && default_set(m, c, about) && client_auth_set(m, c, conf) &&
        tickets_set(m, c, conf) && alpn_set(m, c, about))
        return c;
    tls_ctx_release(c);
    return NULL;
}

/* ---- upstreams ---- */

static bool trust_set(struct making *m, struct tls_ctx *c, const struct conf_upstream_tls *conf)
{
    c->verify = conf->verify;
    mbedtls_ssl_conf_authmode(&c->ssl, conf->verify ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
    if (!conf->verify)
        return true;
    c->ca = ca_get(m, &conf->ca);
    if (c->ca != NULL)
        mbedtls_ssl_conf_ca_chain(&c->ssl, &c->ca->chain, NULL);
    return c->ca != NULL;
}

static bool client_certificate_set(struct making *m, struct tls_ctx *c, const struct conf_upstream_tls *conf)
{
    if (conf->client.certificate.path == NULL)
        return true;
    if (!certificates_load(m, c, &conf->client, 1))
        return false;
    return mbedtls_ssl_conf_own_cert(&c->ssl, &c->certificates[0].chain, &c->certificates[0].key) == 0 ||
           out_of_memory(m, &conf->client.certificate);
}

static struct tls_ctx *upstream_ctx(struct making *m, const struct conf_upstream_tls *conf)
{
    struct tls_ctx *c = ctx_new(false);

    if (c == NULL) {
        out_of_memory(m, &conf->ca);
        return NULL;
    }
#if MBEDTLS_VERSION_NUMBER >= 0x03060100
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(&c->ssl, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
#endif
    if (conf->server_name != NULL)
        c->server_name = mem_strdup(conf->server_name);
    if (conf->server_name != NULL && c->server_name == NULL)
        out_of_memory(m, &conf->ca);
    else if (trust_set(m, c, conf) && client_certificate_set(m, c, conf) && alpn_set(m, c, &conf->ca))
        return c;
    tls_ctx_release(c);
    return NULL;
}

/* ---- all of them ---- */

static struct tls_set *set_alloc(const struct conf *conf)
{
    struct tls_set *s = mem_zalloc(sizeof(*s));

    if (s == NULL)
        return NULL;
    s->conf = conf;
    s->listeners = mem_zalloc(conf->listeners_n * sizeof(struct tls_ctx *));
    s->upstreams = mem_zalloc(conf->upstreams_n * sizeof(struct tls_ctx *));
    if (s->listeners != NULL && s->upstreams != NULL)
        return s;
    tls_set_free(s);
    return NULL;
}

struct tls_set *tls_set_new(const struct conf *conf, struct tls_tickets *tickets, FILE *messages)
{
    struct making m = { .conf = conf, .tickets = tickets, .complaint = { .conf = conf, .messages = messages }, .set = set_alloc(conf) };

    if (m.set == NULL) {
        fputs("out of memory\n", messages);
        return NULL;
    }
    for (size_t i = 0; i < conf->listeners_n; i++)
        if (conf->listeners[i].tls_on)
            m.set->any |= (m.set->listeners[i] = listener_ctx(&m, &conf->listeners[i].tls)) != NULL;
    for (size_t i = 0; i < conf->upstreams_n; i++)
        if (conf->upstreams[i].tls_on)
            m.set->any |= (m.set->upstreams[i] = upstream_ctx(&m, &conf->upstreams[i].tls)) != NULL;
    if (m.complaint.errors == 0)
        return m.set;
    tls_set_free(m.set);
    return NULL;
}

void tls_set_free(struct tls_set *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; s->listeners != NULL && i < s->conf->listeners_n; i++)
        tls_ctx_release(s->listeners[i]);
    for (size_t i = 0; s->upstreams != NULL && i < s->conf->upstreams_n; i++)
        tls_ctx_release(s->upstreams[i]);
    mem_free(s->listeners);
    mem_free(s->upstreams);
    mem_free(s);
}
