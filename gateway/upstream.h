/* upstream: one worker's view of a named set of servers: who is busy with how much, whose connections are kept. */
#ifndef UPGATE_GATEWAY_UPSTREAM_H
#define UPGATE_GATEWAY_UPSTREAM_H

#include "conf/conf.h"
#include "gateway/pool.h"

struct server {
    const struct conf_server *conf;
    struct pool pool;
    size_t busy;                         /* exchanges and tunnels on it now */
    bool http10;                         /* its last answer was HTTP/1.0: it may not understand chunked */
    long turn;                           /* weighted round robin's running balance */
};

struct upstream {
    const struct conf_upstream *conf;
    struct server *servers;
    size_t servers_n;
};

#define UPSTREAM_TRIED_MAX 64            /* servers beyond are never counted as tried */

int upstream_init(struct upstream *u, const struct conf_upstream *conf, struct timers *timers, struct metrics *metrics);     /* 0, -ENOMEM */
void upstream_free(struct upstream *u);          /* closes what is kept; nothing may be busy */
void upstream_close_idle(struct upstream *u);

#endif
