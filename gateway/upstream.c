#include "gateway/upstream.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>

int upstream_init(struct upstream *u, const struct conf_upstream *conf, struct timers *timers, struct metrics *metrics)
{
    *u = (struct upstream){ .conf = conf, .servers = mem_zalloc(conf->servers_n * sizeof(*u->servers)) };
    if (u->servers == NULL)
        return -ENOMEM;
    u->servers_n = conf->servers_n;
    for (size_t i = 0; i < u->servers_n; i++) {
        u->servers[i].conf = &conf->servers[i];
        pool_init(&u->servers[i].pool, conf->keepalive, conf->keepalive_timeout_ms, timers, metrics);
    }
    return 0;
}

void upstream_close_idle(struct upstream *u)
{
    for (size_t i = 0; i < u->servers_n; i++)
        pool_close_all(&u->servers[i].pool);
}

void upstream_free(struct upstream *u)
{
    upstream_close_idle(u);
    for (size_t i = 0; i < u->servers_n; i++)
        assert(u->servers[i].busy == 0);
    mem_free(u->servers);
    *u = (struct upstream){ 0 };
}
