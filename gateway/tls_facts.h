/* tls_facts: what a handshake proved, in words that requests, logs and backends can use. Nothing in here is what a client merely says, but
 * for the server name, which is kept only where it is a host name. */
#ifndef UPGATE_GATEWAY_TLS_FACTS_H
#define UPGATE_GATEWAY_TLS_FACTS_H

#include "protocol/span.h"

#define TLS_FACTS_NAME 256               /* a host name and its end */
#define TLS_FACTS_DN 512                 /* a longer subject or issuer is refused: cut, it could pass for another */
#define TLS_FACTS_CN 129                 /* RFC 5280 appendix A.1: ub-common-name is 64 characters; a longer one is left out */
#define TLS_FACTS_TIME 32

/* Of a certificate that was verified; there is none of one that was not. Texts end with NUL. */
struct tls_peer {
    char subject[TLS_FACTS_DN];          /* RFC 4514's escapes, in the order of the certificate: "C=DE, O=Example, CN=alice" */
    char issuer[TLS_FACTS_DN];
    char common_name[TLS_FACTS_CN];      /* of the subject, as it stands there, without escapes; empty: none, or not fit for a line of text */
    char serial[65];                     /* hexadecimal, upper case, as it stands there */
    char fingerprint[65];                /* SHA-256 of the certificate, hexadecimal, lower case */
    char not_before[TLS_FACTS_TIME], not_after[TLS_FACTS_TIME];  /* 2026-01-31T23:59:59Z */
    uint8_t *der;                        /* the certificate itself */
    size_t der_n;
};

struct tls_facts {
    const char *version;                 /* "TLSv1.3"; static, as all words here */
    const char *cipher;                  /* IANA: "TLS_AES_128_GCM_SHA256" */
    const char *alpn;                    /* NULL: none was agreed */
    bool resumed;                        /* by a ticket */
    char sni[TLS_FACTS_NAME];            /* lower case; empty: none, or no host name */
    const struct tls_peer *peer;         /* the client's verified certificate; NULL: it showed none */
};

#endif
