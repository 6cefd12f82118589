/* health: whether servers do well, asked of each by the control loop, once for all workers.
 *
 * A server is up until the first result says otherwise: a gateway that starts serves at once, and one bad first check is enough to leave
 * a server out. From then on it takes `fall` bad ones in a row, and `rise` good ones to come back. What is found stands in server_state, where
 * every worker reads it before each choice; it stays with the server over a reload.
 *
 * A server that is down by its checks gets nothing new, and if all are, requests are answered 503: unlike an ejection, which is a guess of
 * the gateway's, a check is what the operator says the service is. Tunnels stay. tests/gateway/test_health.c */
#ifndef UPGATE_GATEWAY_HEALTH_H
#define UPGATE_GATEWAY_HEALTH_H

#include "gateway/services.h"

#define HEALTH_AT_ONCE 64                /* checks in progress; further ones wait their turn */

struct health;

struct health *health_new(struct services *services);    /* NULL: no memory. What services need to be: health_check.h */
/* From here on it checks the servers of this generation, which it holds, and no others: at once those that are new or are to be checked in
 * another way. Called again when the members of a set have changed. Without memory some are not checked, which is said in the log. */
void health_follow(struct health *h, struct generation *g);
/* Nothing is checked any more. NULL-safe. */
void health_free(struct health *h);

#endif
