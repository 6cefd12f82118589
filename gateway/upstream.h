/* upstream: one worker's view of a named set of servers: who is busy with how much, whose connections are kept.
 *
 * An upstream belongs to one snapshot. Its servers live on: the upstream of the same name in the next snapshot adopts those that are
 * still wanted, with their kept connections and all that is known of them. */
#ifndef UPGATE_GATEWAY_UPSTREAM_H
#define UPGATE_GATEWAY_UPSTREAM_H

#include "conf/conf.h"
#include "gateway/pool.h"

struct upstream;
/* What stays with a server for a while behind its exchange (a FastCGI connection that waits for an aborted request's end). It goes, at the
 * latest, when idle connections go. */
struct lingerer {
    struct list link;
    void (*close)(struct lingerer *l);
};

/* What is known of a server that speaks FastCGI, and may take several requests on one connection. */
enum fcgi_asked { FCGI_NOT_ASKED, FCGI_ASKED, FCGI_TOLD };
struct fcgi_server {
    enum fcgi_asked asked;               /* whether it does */
    unsigned calls_max;                  /* TOLD: on one connection; 1: it does not */
    struct list shared;                  /* connections with room for one more */
};

struct server {
    size_t holders;                      /* upstreams that list it, one in each snapshot */
    const struct upstream *home;         /* the newest of them; only compared */
    struct conf_address address;         /* its own copy: it outlives the conf that named it first */
    unsigned weight;                     /* as the newest conf has it */
    struct pool pool;
    struct list lingerers;
    struct fcgi_server fcgi;
    size_t busy;                         /* exchanges and tunnels on it now */
    bool http10;                         /* its last answer was HTTP/1.0: it may not understand chunked */
    long turn;                           /* weighted round robin's running balance */
};

struct upstream {
    const struct conf_upstream *conf;
    struct server **servers;             /* in the order of conf->servers */
    size_t servers_n;
    uint64_t told_no_switch;             /* bit per route, modulo 64: that it cannot upgrade was said in the log */
};

#define UPSTREAM_TRIED_MAX 64            /* servers beyond are never counted as tried */

int upstream_init(struct upstream *u, const struct conf_upstream *conf, struct timers *timers, struct metrics *metrics);     /* 0, -ENOMEM */
/* Lets go of its servers; of those that nobody else lists none may be busy. What they keep is closed. */
void upstream_free(struct upstream *u);
void upstream_close_idle(struct upstream *u);
size_t upstream_index(const struct upstream *u, const struct server *s);         /* s is one of its servers */

/* u is new, and follows `before`, which has the same name: servers that are still wanted move over in place of u's new ones. The same
 * server is one of the same address, spoken to in the same way. */
void upstream_adopt(struct upstream *u, const struct upstream *before);
/* After that, or when no upstream of that name follows: the servers that were left behind keep no connection any more. */
void upstream_retire(const struct upstream *before);

#endif
