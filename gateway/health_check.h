/* health_check: one check of one server: a connection as requests have it (PROXY header, TLS verified), and on it what the upstream's
 * `health` says: nothing, a GET, a WebSocket with a Ping and its Pong, FCGI_GET_VALUES or a FastCGI request.
 *
 * One deadline covers all of it. The answer comes once, from the loop, never from inside health_check_start.
 * What can go wrong is told in words: no connection, TLS, no answer in time, a broken one, one that is not what it should be.
 * tests/gateway/test_health_check.c */
#ifndef UPGATE_GATEWAY_HEALTH_CHECK_H
#define UPGATE_GATEWAY_HEALTH_CHECK_H

#include "gateway/services.h"

struct health_check;

struct health_wanted {                   /* all of it outlives the check */
    const struct conf_upstream *upstream;
    const struct server_state *server;
    struct tls_ctx *tls;                 /* with upstream->tls_on */
};

/* words: what was wrong, NULL when all is well; they last as long as the call. */
typedef void health_judged(void *ctx, const char *words);

/* NULL: no memory. The check is gone when `judged` is called, or after cancel. Of the services it needs timers, ready, dialer, tls, metrics. */
struct health_check *health_check_start(struct services *services, const struct health_wanted *wanted, health_judged *judged, void *ctx);
void health_check_cancel(struct health_check **c);       /* NULL-safe through *c, which becomes NULL */

#endif
