/* tls_session: one end of one TLS connection: mbedTLS between what came from the peer and what goes to it. No streams, no loop, no waiting:
 * bytes that are there are worked on, and whoever calls brings more. Only one thread may be inside at a time; which one does not matter.
 * For the tls_* files and stream_tls. */
#ifndef UPGATE_GATEWAY_TLS_SESSION_H
#define UPGATE_GATEWAY_TLS_SESSION_H

#include "gateway/end_reason.h"
#include "gateway/tls_parts.h"

#define TLS_OUT_MAX ((size_t)128 * 1024)         /* of a handshake's own bytes that nobody took yet: more, and it fails */

struct tls_bio {
    const uint8_t *in;                   /* borrowed, for the time of a call: what the peer sent … */
    size_t in_n;
    size_t in_at;                        /* … and how much of it was taken */
    uint8_t *out;                        /* what goes to the peer */
    size_t out_n, out_size;
    bool out_borrowed;                   /* out is the caller's and does not grow; else it is mem's */
    bool alert_out;                      /* with tls_session.why: a fatal alert went out */
};

/* What is left of the library's buffers while nobody works with the session: tls_rest.c. */
struct tls_rest {
#define TLS_REST_COUNTER 8
    uint8_t counter[TLS_REST_COUNTER];
    uint8_t *part;                       /* NULL: no record is half done */
    size_t part_n;
    uintptr_t in_at, out_at;             /* where the buffers were */
};

struct tls_session {
    mbedtls_ssl_context ssl;
    struct tls_ctx *ctx;                 /* held */
    struct tls_bio bio;
    struct tls_rest rest;
    struct tls_facts facts;              /* complete after the handshake */
    struct tls_peer *peer;
    char *ip;                            /* a server that has an address for a name: what its certificate must be for */
    bool offered;                        /* a session to resume was offered to the server … */
    bool verified;                       /* … and a certificate was looked at all the same */
    /* why it failed, or END_NONE */
    enum end_reason why;
    const char *words;
};

/* Takes a hold of ctx. name: whom a client wants to speak with; NULL of a server. resume: a session kept from an earlier connection, or
 * NULL. 0, or -ENOMEM; then tls_session_free is not called for. */
int tls_session_init(struct tls_session *s, struct tls_ctx *ctx, const char *name, const mbedtls_ssl_session *resume);
void tls_session_free(struct tls_session *s);

enum tls_step { TLS_MORE, TLS_AGAIN, TLS_DONE, TLS_FAILED };
/* Works on the handshake as far as the input lasts. TLS_MORE: the peer's turn; TLS_AGAIN: with `slice` only, one step is done, call again. */
enum tls_step tls_session_handshake(struct tls_session *s, bool slice);

enum tls_read { TLS_READ_MORE, TLS_READ_FULL, TLS_READ_SESSION, TLS_READ_END, TLS_READ_FAILED };
/* Decrypts into `to`, behind what *n_out says is there already. SESSION: a session to resume later has come (tls_session_save), call again. */
enum tls_read tls_session_read(struct tls_session *s, uint8_t *to, size_t room, size_t *n_out);
/* Encrypts one record: bytes taken, > 0, or < 0: failed. bio.out has room for it: TLS_RECORD_MAX beside the data. */
#define TLS_RECORD_MAX 256
ssize_t tls_session_write(struct tls_session *s, struct span data);
void tls_session_close_notify(struct tls_session *s);
/* The session of a client, to be resumed later; 0 or -ENOMEM. */
int tls_session_save(const struct tls_session *s, mbedtls_ssl_session *out);

/* tls_facts.c: fills s->facts, and s->peer. False: the peer's certificate cannot be told, and is refused. */
bool tls_facts_collect(struct tls_session *s);

#endif
