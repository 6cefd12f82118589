/* names: what the host names of servers stand for, asked again and again by the control loop, so that each address of a name becomes a server.
 *
 * A name that has one address, or one of each family, is one server, which is dialed by its name: both are addresses of one machine, and a
 * connection is tried by both. A name with several addresses of a family stands for as many servers. The order in which they are told says
 * nothing; what is told twice counts once. A name that cannot be looked up keeps what it stood for; until its first answer it is one server.
 *
 * Whoever holds a connection to a server that is not told any more keeps it: changes concern new ones. tests/gateway/test_names.c */
#ifndef UPGATE_GATEWAY_NAMES_H
#define UPGATE_GATEWAY_NAMES_H

#include "conf/conf.h"
#include "gateway/resolver.h"
#include "gateway/timers.h"

#include <arpa/inet.h>

#define NAMES_ADDRESS_BYTES (INET6_ADDRSTRLEN + 8)       /* "[…]:65535" */

/* What an answer means. */
struct names_list {
    size_t n;                            /* 0: the name is one server */
    struct conf_address addresses[RESOLVER_ADDRESSES];   /* IP; their texts are below */
    char hosts[RESOLVER_ADDRESSES][INET6_ADDRSTRLEN], texts[RESOLVER_ADDRESSES][NAMES_ADDRESS_BYTES];
};
/* Any answer will do: addresses that are no server's (another family, a link's own) are left out. */
void names_list_of(struct names_list *out, const struct resolver_answer *answer, unsigned port);

struct names;
struct names_start {
    struct timers *timers;
    /* As resolver_ask: 0, or -ENOMEM. */
    int (*ask)(void *ctx, struct resolver_wait *w, const char *host, unsigned port);
    void (*changed)(void *ctx, const char *host, size_t servers);        /* from the loop: this name stands for so many others now */
    void *ctx;
};

struct names *names_new(const struct names_start *start);        /* NULL: no memory */
/* From here on the names of this conf's servers are looked up, and no others: new ones at once. Nothing of the conf is kept. */
void names_follow(struct names *n, const struct conf *c);
/* NULL: the name is one server. n NULL is legal. Lasts until the next turn. */
const struct names_list *names_find(const struct names *n, const struct conf_address *name);
void names_free(struct names *n);        /* NULL-safe */

#endif
