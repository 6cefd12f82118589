#include "gateway/upstream.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

/* ---- a server ---- */

static bool copy_text(char **to, const char *from)
{
    *to = from != NULL ? mem_strdup(from) : NULL;
    return from == NULL || *to != NULL;
}

static void server_free(struct server *s)
{
    mem_free(s->address.host);
    mem_free(s->address.path);
    mem_free(s->address.text);
    mem_free(s);
}

/* A connection that began with a PROXY header speaks for one client, and is never given to another. */
static unsigned kept_connections(const struct conf_upstream *conf)
{
    return conf->send_proxy == CONF_SEND_PROXY_OFF ? conf->keepalive : 0;
}

static struct server *server_new(const struct upstream *home, const struct conf_server *conf, struct timers *timers, struct metrics *metrics)
{
    struct server *s = mem_zalloc(sizeof(*s));

    if (s == NULL)
        return NULL;
    s->holders = 1;
    s->home = home;
    s->address.kind = conf->address.kind;
    s->address.port = conf->address.port;
    s->weight = conf->weight;
    list_init(&s->lingerers);
    list_init(&s->fcgi.shared);
    pool_init(&s->pool, kept_connections(home->conf), home->conf->keepalive_timeout_ms, timers, metrics);
    if (copy_text(&s->address.host, conf->address.host) && copy_text(&s->address.path, conf->address.path) &&
        copy_text(&s->address.text, conf->address.text))
        return s;
    server_free(s);
    return NULL;
}

static void close_lingerers(struct server *s)
{
    while (!list_empty(&s->lingerers)) {
        struct lingerer *l = LIST_OWNER(s->lingerers.next, struct lingerer, link);
        l->close(l);
    }
}

static void server_release(struct server *s)
{
    if (--s->holders > 0)
        return;
    pool_close_all(&s->pool);
    close_lingerers(s);
    assert(s->busy == 0);
    server_free(s);
}

/* ---- an upstream ---- */

int upstream_init(struct upstream *u, const struct conf_upstream *conf, struct timers *timers, struct metrics *metrics)
{
    *u = (struct upstream){ .conf = conf, .servers = mem_zalloc(conf->servers_n * sizeof(struct server *)) };
    if (u->servers == NULL)
        return -ENOMEM;
    for (; u->servers_n < conf->servers_n; u->servers_n++) {
        u->servers[u->servers_n] = server_new(u, &conf->servers[u->servers_n], timers, metrics);
        if (u->servers[u->servers_n] == NULL) {
            upstream_free(u);
            return -ENOMEM;
        }
    }
    return 0;
}

void upstream_close_idle(struct upstream *u)
{
    for (size_t i = 0; i < u->servers_n; i++) {
        pool_close_all(&u->servers[i]->pool);
        close_lingerers(u->servers[i]);
    }
}

void upstream_free(struct upstream *u)
{
    for (size_t i = 0; i < u->servers_n; i++)
        server_release(u->servers[i]);
    mem_free(u->servers);
    *u = (struct upstream){ 0 };
}

size_t upstream_index(const struct upstream *u, const struct server *s)
{
    size_t i = 0;

    while (u->servers[i] != s) {
        i++;
        assert(i < u->servers_n);
    }
    return i;
}

/* ---- the next configuration ---- */

/* Whoever is spoken to differently is another server: nothing that is known of the one, and none of its connections, is of use. */
static bool same_manner(const struct conf_upstream *a, const struct conf_upstream *b)
{
    bool tls = a->tls_on || b->tls_on;   /* what was verified then may not be trusted now */

    return a->protocol == b->protocol && a->send_proxy == b->send_proxy && !tls;
}

static bool may_adopt(const struct upstream *before, size_t i, const struct server *wanted)
{
    return i < before->servers_n && before->servers[i]->home == before &&
           strcmp(before->servers[i]->address.text, wanted->address.text) == 0;
}

/* The place is usually the same. */
static struct server *find(const struct upstream *before, size_t place, const struct server *wanted)
{
    size_t i = place;

    if (!may_adopt(before, i, wanted))
        for (i = 0; i < before->servers_n && !may_adopt(before, i, wanted); i++)
            continue;
    return i < before->servers_n ? before->servers[i] : NULL;
}

void upstream_adopt(struct upstream *u, const struct upstream *before)
{
    if (!same_manner(u->conf, before->conf))
        return;
    for (size_t i = 0; i < u->servers_n; i++) {
        struct server *s = find(before, i, u->servers[i]);
        if (s == NULL)
            continue;
        s->holders++;
        s->home = u;
        s->weight = u->servers[i]->weight;
        pool_limit(&s->pool, kept_connections(u->conf), u->conf->keepalive_timeout_ms);
        server_release(u->servers[i]);
        u->servers[i] = s;
    }
}

void upstream_retire(const struct upstream *before)
{
    for (size_t i = 0; i < before->servers_n; i++)
        if (before->servers[i]->home == before)
            pool_limit(&before->servers[i]->pool, 0, 0);
}
