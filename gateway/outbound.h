/* outbound: a connection to a server made ready to speak on: dialed, and with everything behind it that its upstream wants first.
 *
 * It takes a place at the server (END_SERVER_FULL: there is none), which goes the way of the stream; a check of its health takes none.
 * All who speak to servers begin here: HTTP, FastCGI, pass-through. The answer is a dialer's: a stream, or one reason. It
 * comes once, from the loop, never from inside outbound_start. tests/gateway/test_outbound.c */
#ifndef UPGATE_GATEWAY_OUTBOUND_H
#define UPGATE_GATEWAY_OUTBOUND_H

#include "gateway/inbound.h"

struct outbound;

struct outbound_request {
    const struct conf_upstream *upstream;
    struct server *server;               /* NULL: … */
    const struct server_state *checked;  /* … a check of this one: it takes no place, and is not counted … */
    struct tls_ctx *tls;                 /* … and this is its TLS, or NULL */
    const struct inbound *inbound;       /* for whom; NULL: for the gateway itself. Outlives the outbound */
    struct span authority;               /* the name that a TLS client asked for whose hello is passed on; outlives the outbound */
    const struct net_address *client;    /* whose request it is, which fields may tell; NULL: inbound's client. Outlives the outbound */
    uint64_t timeout_ms;                 /* for all of it */
};

/* NULL: no memory. The outbound is gone when `answered` is called, or after outbound_cancel. */
struct outbound *outbound_start(struct services *services, const struct outbound_request *request, dial_answered *answered, void *ctx);
void outbound_cancel(struct outbound **o);       /* NULL-safe through *o */

#endif
