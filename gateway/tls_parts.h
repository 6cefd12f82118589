/* tls_parts: what the tls_* files and stream_tls share among themselves: mbedTLS's headers, and what is made of them. Nobody else includes it.
 *
 *   tls_library.c    the library's beginning and end, randomness, words for its codes
 *   tls_files.c      PEM files, and the names in a certificate
 *   tls_tickets.c    the keys of session tickets
 *   tls_seal.c       what seals cookies
 *   tls_ctx.c        contexts: certificates, SNI choice, policy
 *   tls_session.c    one end of one connection: mbedTLS between two buffers
 *   tls_facts.c      what a handshake proved
 *   tls_sessions.c   sessions to resume with servers */
#ifndef UPGATE_GATEWAY_TLS_PARTS_H
#define UPGATE_GATEWAY_TLS_PARTS_H

#include "gateway/tls_ctx.h"
#include "gateway/tls_facts.h"
#include "gateway/tls_library.h"
#include "gateway/tls_tickets.h"
#include "protocol/mem.h"

#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/gcm.h>
#include <mbedtls/oid.h>
#include <mbedtls/pem.h>
#include <mbedtls/pk.h>
#include <mbedtls/platform.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/sha256.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <stdatomic.h>

/* ---- tls_library.c ---- */

int tls_random(void *ctx, unsigned char *out, size_t n);
const char *tls_alert_words(int number);         /* static, as all words */
const char *tls_error_words(int error);
int tls_error_alert(int error);                  /* the alert that tells a peer of it */
bool tls_error_is_memory(int error);
const char *tls_verdict_words(uint32_t flags);   /* MBEDTLS_X509_BADCERT_… */
int tls_verdict_alert(uint32_t flags);

/* ---- tls_files.c ---- */

struct tls_certificate {
    mbedtls_x509_crt chain;              /* the leaf first */
    mbedtls_pk_context key;
};

/* Where a file is named, and where messages about it go. */
struct tls_complaint {
    const struct conf *conf;
    FILE *messages;
    unsigned errors;
};

bool tls_certificate_load(struct tls_certificate *c, const struct conf_certificate *from, struct tls_complaint *complaint);
void tls_certificate_free(struct tls_certificate *c);
bool tls_ca_load(mbedtls_x509_crt *ca, const struct conf_file *from, struct tls_complaint *complaint);
struct tls_tickets *tls_tickets_load(const struct conf_file *from, struct tls_complaint *complaint);
/* How well a certificate fits a name: 0 not at all, 1 by wildcard, 2 by the name itself (RFC 9525 section 6.3). name in lower case. */
int tls_certificate_fits(const mbedtls_x509_crt *leaf, struct span name);
/* One name that it is for; empty: none. */
struct span tls_certificate_name(const mbedtls_x509_crt *leaf);
/* Whether a certificate is for a numeric address. */
bool tls_certificate_fits_ip(const mbedtls_x509_crt *leaf, const char *address);

/* ---- tls_tickets.c: mbedTLS's callbacks, from any thread ---- */

int tls_tickets_write(void *ctx, const mbedtls_ssl_session *session, unsigned char *start, const unsigned char *end, size_t *n_out,
                      uint32_t *lifetime_s_out);
int tls_tickets_parse(void *ctx, mbedtls_ssl_session *session, unsigned char *buf, size_t n);
/* Whether a ticket was opened in this thread since this was last asked. */
bool tls_tickets_opened(void);

/* ---- tls_ctx.c ---- */

struct tls_ca;

struct tls_ctx {
    _Atomic unsigned holders;
    uint64_t id;                         /* never used twice in a process: tells what a kept session was made with */
    bool server;
    bool verify;                         /* a certificate that the peer shows must be good … */
    bool require;                        /* … and a client must show one */
    mbedtls_ssl_config ssl;
    struct tls_certificate *certificates;
    size_t certificates_n;
    struct tls_ca *ca;
    struct tls_tickets *own_tickets;     /* of a key file */
    char *server_name;                   /* of an upstream; NULL: each server's own host */
};

/* ---- tls_session.c: mbedTLS asks for a certificate; the rest is in tls_session.h ---- */

int tls_session_choose_certificate(void *ctx, mbedtls_ssl_context *ssl, const unsigned char *name, size_t n);

#endif
