/* tls_ctx: what one listener shows to its clients, or one upstream's connections to its servers: certificates, keys, whom to trust, which
 * versions and suites. Made from the configuration and immutable, so that all threads share it; a reload makes new ones, and connections
 * keep theirs until they end.
 *
 * What can go wrong, in order: a file cannot be read, is no certificate or key, the key belongs to another certificate, no memory. All of it is
 * told with file, line and column of the configuration. tests/gateway/test_tls_ctx.c */
#ifndef UPGATE_GATEWAY_TLS_CTX_H
#define UPGATE_GATEWAY_TLS_CTX_H

#include "conf/conf.h"

#define TLS_ALPN "http/1.1"              /* all that is spoken behind a handshake */

struct tls_ctx;
struct tls_tickets;

struct tls_ctx *tls_ctx_hold(struct tls_ctx *c);
void tls_ctx_release(struct tls_ctx *c);         /* NULL is legal; the last one frees, and wipes the keys */

/* The contexts of a whole configuration, in its order; NULL where there is no TLS. */
struct tls_set {
    const struct conf *conf;
    struct tls_ctx **listeners;
    struct tls_ctx **upstreams;
    bool any;                            /* there are keys in memory */
};

/* Loads every file that the configuration names. Errors and warnings go to `messages` in the form of conf_load_file; with an error the answer is
 * NULL. tickets: random keys that listeners without a key file share; they outlive the set. */
struct tls_set *tls_set_new(const struct conf *conf, struct tls_tickets *tickets, FILE *messages);
void tls_set_free(struct tls_set *s);

#endif
