/* seek: a server for an attempt, chosen at once or waited for: what exchanges, the questions they ask, and passed-through connections have in
 * common.
 *
 * Its owner embeds one for all attempts of one request. Between a server's being found and the connection's being begun nothing else may happen:
 * a place may be in hand (server_give_back, when the attempt has begun). Waiting has no deadline of its own: the owner has one. */
#ifndef UPGATE_GATEWAY_SEEK_H
#define UPGATE_GATEWAY_SEEK_H

#include "gateway/balance.h"
#include "gateway/end_reason.h"

struct seek {
    struct upstream *upstream;
    struct balance_wish wish;
    /* After waiting, from the loop: a server; or NULL, and why there is none (END_QUEUE_FULL, END_NO_SERVER). */
    void (*found)(struct seek *s, struct server *server, enum end_reason why);
    struct place_wait wait;              /* private */
    bool waited;                         /* private: it stood in the queue before */
    bool missed;                         /* private: where there seemed to be room there was none */
};

void seek_init(struct seek *s, struct upstream *upstream, bool fresh, void (*found)(struct seek *s, struct server *server, enum end_reason why));
/* A server, marked as tried. NULL with END_NONE: it is waited for; NULL with END_QUEUE_FULL, END_NO_SERVER: there is none to be had. */
struct server *seek_server(struct seek *s, enum end_reason *why_out);
/* It turned out to have no place (END_SERVER_FULL): it was not tried, and the next seek_server waits for one. */
void seek_missed(struct seek *s, const struct server *server);
bool seek_waits(const struct seek *s);
void seek_end(struct seek *s);           /* nobody waits any more; idempotent, and legal on zeroes */

#endif
