/* What the handshake proved, put into words. */
#include "gateway/tls_session.h"

#include <string.h>

struct suite_word {
    int id;
    const char *word;
};

/* As OpenSSL calls them, which is what web servers have always told applications in SSL_CIPHER. */
static const struct suite_word suites[] = {
    { MBEDTLS_TLS1_3_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256" },
    { MBEDTLS_TLS1_3_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384" },
    { MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256" },
    { MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256" },
    { MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256" },
    { MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384" },
    { MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384" },
    { MBEDTLS_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305" },
    { MBEDTLS_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305" },
};

static const char *suite_word(int id)
{
    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++)
        if (suites[i].id == id)
            return suites[i].word;
    return "unknown";
}

/* ---- the certificate ---- */

static void print_hex(char *out, const uint8_t *p, size_t n, const char *digits)
{
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
    *out = '\0';
}

#define DN_PARTS_MAX 64

/* RFC 4514 section 2.1: the parts in reverse order, with commas between. Each is printed, and escaped, by the library: a copy of
 * its nodes that ends with the part. */
static bool print_part(const mbedtls_x509_name *first, char *out, size_t room)
{
    mbedtls_x509_name nodes[8];
    size_t n = 0;

    do {
        if (n == sizeof(nodes) / sizeof(nodes[0]))
            return false;
        nodes[n] = *first;
        nodes[n].next = NULL;
        if (n > 0)
            nodes[n - 1].next = &nodes[n];
        n++;
        if (first->MBEDTLS_PRIVATE(next_merged) == 0)
            break;
        first = first->next;
    } while (first != NULL);
    return mbedtls_x509_dn_gets(out, room, nodes) > 0;
}

static bool print_dn(const mbedtls_x509_name *dn, char out[TLS_FACTS_DN])
{
    const mbedtls_x509_name *parts[DN_PARTS_MAX];
    bool inside = false;
    size_t n = 0, at = 0;

    for (; dn != NULL; dn = dn->next) {
        if (!inside && dn->oid.p != NULL) {
            if (n == DN_PARTS_MAX)
                return false;
            parts[n++] = dn;
        }
        inside = dn->MBEDTLS_PRIVATE(next_merged) != 0;
    }
    out[0] = '\0';
    while (n-- > 0) {
        if (at > 0)
            out[at++] = ',';
        if (at + 1 >= TLS_FACTS_DN || !print_part(parts[n], out + at, TLS_FACTS_DN - at - 1))
            return false;
        at += strlen(out + at);
    }
    return true;
}

static bool is_plain_text(const mbedtls_x509_buf *value)
{
    if (value->tag != MBEDTLS_ASN1_UTF8_STRING && value->tag != MBEDTLS_ASN1_PRINTABLE_STRING && value->tag != MBEDTLS_ASN1_IA5_STRING)
        return false;
    for (size_t i = 0; i < value->len; i++)
        if (value->p[i] < 0x20 || value->p[i] == 0x7f)
            return false;
    return value->len < TLS_FACTS_CN;
}

/* Of several none is told: each reader would take another. */
static void copy_common_name(const mbedtls_x509_name *dn, char out[TLS_FACTS_CN])
{
    const mbedtls_x509_name *found = NULL;

    out[0] = '\0';
    for (; dn != NULL; dn = dn->next) {
        if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &dn->oid) != 0)
            continue;
        if (found != NULL)
            return;
        found = dn;
    }
    if (found == NULL || !is_plain_text(&found->val))
        return;
    memcpy(out, found->val.p, found->val.len);
    out[found->val.len] = '\0';
}

static void print_time(char out[TLS_FACTS_TIME], const mbedtls_x509_time *t)
{
    snprintf(out, TLS_FACTS_TIME, "%04d-%02d-%02dT%02d:%02d:%02dZ", t->year % 10000, t->mon % 100, t->day % 100, t->hour % 100, t->min % 100,
             t->sec % 100);
}

static bool describe(const mbedtls_x509_crt *crt, struct tls_peer *peer)
{
    uint8_t digest[32];

    if (crt->serial.len > 32 || !print_dn(&crt->subject, peer->subject) || !print_dn(&crt->issuer, peer->issuer))
        return false;
    copy_common_name(&crt->subject, peer->common_name);
    print_hex(peer->serial, crt->serial.p, crt->serial.len, "0123456789ABCDEF");
    print_time(peer->not_before, &crt->valid_from);
    print_time(peer->not_after, &crt->valid_to);
    if (mbedtls_sha256(crt->raw.p, crt->raw.len, digest, 0) != 0)
        return false;
    print_hex(peer->fingerprint, digest, sizeof(digest), "0123456789abcdef");
    peer->der = mem_alloc(crt->raw.len);
    peer->der_n = crt->raw.len;
    if (peer->der != NULL)
        memcpy(peer->der, crt->raw.p, crt->raw.len);
    return peer->der != NULL;
}

static bool collect_peer(struct tls_session *s)
{
    const mbedtls_x509_crt *crt = mbedtls_ssl_get_peer_cert(&s->ssl);

    if (crt == NULL || !s->ctx->server || !s->ctx->verify || mbedtls_ssl_get_verify_result(&s->ssl) != 0)
        return true;
    s->peer = mem_zalloc(sizeof(*s->peer));
    if (s->peer == NULL || !describe(crt, s->peer))
        return false;
    s->facts.peer = s->peer;
    return true;
}

bool tls_facts_collect(struct tls_session *s)
{
    const char *alpn = mbedtls_ssl_get_alpn_protocol(&s->ssl);

    s->facts.version = mbedtls_ssl_get_version_number(&s->ssl) == MBEDTLS_SSL_VERSION_TLS1_3 ? "TLSv1.3" : "TLSv1.2";
    s->facts.cipher = suite_word(mbedtls_ssl_get_ciphersuite_id_from_ssl(&s->ssl));
    s->facts.alpn = alpn != NULL ? TLS_ALPN : NULL;
    return collect_peer(s);
}
