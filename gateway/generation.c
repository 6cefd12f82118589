#include "gateway/generation.h"
#include "gateway/log.h"
#include "gateway/places.h"
#include "protocol/mem.h"

#include <string.h>

/* ---- sets ---- */

#define WISH_NAME_BYTES 512              /* an id and an address */
#define WISHES_BYTES ((size_t)64 << 20)

static const struct names_list *addresses_of(const struct names *names, const struct conf_upstream *conf, size_t server)
{
    return conf->resolve_ms != 0 ? names_find(names, &conf->servers[server].address) : NULL;
}

/* Each address of a name is a server; one that the operator gave a name is called by both. false: no memory. */
static bool wish_for_each(struct arena *a, const struct conf_server *conf, const struct names_list *list, struct server_wish *out)
{
    char name[WISH_NAME_BYTES];

    for (size_t i = 0; i < list->n; i++) {
        struct span copy = SPAN_EMPTY;
        if (conf->id != NULL) {
            snprintf(name, sizeof(name), "%s@%s", conf->id, list->texts[i]);
            copy = arena_copy(a, span_of(name, strlen(name) + 1));
            if (copy.p == NULL)
                return false;
        }
        out[i] = (struct server_wish){
            .conf = conf, .address = &list->addresses[i], .name = (const char *)copy.p, .host = conf->address.host
        };
    }
    return true;
}

static struct server_wish *make_wishes(struct arena *a, const struct names *names, const struct conf_upstream *conf, size_t *n_out)
{
    struct server_wish *wishes;
    size_t most = 0, n = 0;

    for (size_t i = 0; i < conf->servers_n; i++)
        most += addresses_of(names, conf, i) != NULL ? addresses_of(names, conf, i)->n : 1;
    wishes = arena_alloc(a, most * sizeof(*wishes));
    for (size_t i = 0; wishes != NULL && i < conf->servers_n; i++) {
        const struct names_list *list = addresses_of(names, conf, i);
        if (list == NULL)
            wishes[n++] = (struct server_wish){ .conf = &conf->servers[i], .address = &conf->servers[i].address };
        else if (!wish_for_each(a, &conf->servers[i], list, wishes + n))
            return NULL;
        else
            n += list->n;
    }
    *n_out = n;
    return wishes;
}

static void set_members(struct server_set *set, const struct conf_upstream *conf, const struct names *names)
{
    struct server_wish *wishes;
    struct arena arena;
    size_t n;

    arena_init(&arena, WISHES_BYTES);
    wishes = make_wishes(&arena, names, conf, &n);
    if (wishes == NULL || server_set_update(set, wishes, n) != 0)
        log_error("upstream %s: no memory; its servers stay as they were", conf->name);
    arena_free(&arena);
    atomic_store(&set->places, conf->connections);
}

/* Whoever is spoken to differently is another server: nothing that is known of the one, and none of its connections, is of use. */
static bool same_manner(const struct conf_upstream *a, const struct conf_upstream *b)
{
    return strcmp(a->name, b->name) == 0 && a->protocol == b->protocol && a->send_proxy == b->send_proxy &&
           a->tls_on == b->tls_on;
}

static struct server_set *find_set(const struct generation *g, const struct conf_upstream *wanted)
{
    for (size_t i = 0; i < g->conf->upstreams_n; i++)
        if (same_manner(&g->conf->upstreams[i], wanted))
            return g->sets[i];
    return NULL;
}

static struct server_set *make_set(const struct conf_upstream *conf)
{
    struct server_set *set = server_set_new(conf->name);

    if (set != NULL)
        set_members(set, conf, NULL);
    if (set != NULL && set->members_n == 0)
        server_set_release(&set);
    return set;
}

static bool open_sets(struct generation *g, const struct generation *before)
{
    g->sets = mem_zalloc(g->conf->upstreams_n * sizeof(*g->sets));
    for (size_t i = 0; g->sets != NULL && i < g->conf->upstreams_n; i++) {
        const struct conf_upstream *conf = &g->conf->upstreams[i];
        struct server_set *known = before != NULL ? find_set(before, conf) : NULL;
        g->sets[i] = known != NULL ? server_set_hold(known) : make_set(conf);
        if (g->sets[i] == NULL)
            return false;
    }
    return g->sets != NULL;
}

void generation_enforce(struct generation *g, const struct names *names, uint64_t now_ms)
{
    for (size_t i = 0; i < g->conf->upstreams_n; i++) {
        set_members(g->sets[i], &g->conf->upstreams[i], names);
        places_review(g->sets[i], now_ms);
    }
}

/* ---- tallies ---- */

const char *generation_route_name(const struct conf_route *route, char out[GENERATION_ROUTE_NAME])
{
    const struct conf_match *m = &route->match;

    snprintf(out, GENERATION_ROUTE_NAME, "%s%s%s", m->host != NULL ? m->host : "", m->path_exact ? "=" : "", m->path != NULL ? m->path : "/");
    return out;
}

/* The place is usually the same. */
static struct tally *find_tally(struct tally *const *tallies, size_t n, size_t place, const char *name)
{
    if (place < n && strcmp(tallies[place]->name, name) == 0)
        return tallies[place];
    for (size_t i = 0; i < n; i++)
        if (strcmp(tallies[i]->name, name) == 0)
            return tallies[i];
    return NULL;
}

/* The one of that name that is known already, or a new one. */
static struct tally *open_tally(struct tally *const *known, size_t known_n, struct tally *const *ours, size_t i, const char *name, unsigned workers)
{
    struct tally *t = find_tally(known, known_n, i, name);

    if (t == NULL)
        t = find_tally(ours, i, i, name);
    return t != NULL ? tally_hold(t) : tally_new(name, workers);
}

static bool open_tallies(struct generation *g, const struct generation *before)
{
    const struct conf *c = g->conf;
    char name[GENERATION_ROUTE_NAME];

    g->routes = mem_zalloc(c->routes_n * sizeof(struct tally *));
    g->upstreams = mem_zalloc(c->upstreams_n * sizeof(struct tally *));
    if (g->routes == NULL || g->upstreams == NULL)
        return false;
    for (size_t i = 0; i < c->routes_n; i++) {
        g->routes[i] = open_tally(before != NULL ? before->routes : NULL, before != NULL ? before->conf->routes_n : 0, g->routes, i,
                                  generation_route_name(&c->routes[i], name), g->workers);
        if (g->routes[i] == NULL)
            return false;
    }
    for (size_t i = 0; i < c->upstreams_n; i++) {
        g->upstreams[i] = open_tally(before != NULL ? before->upstreams : NULL, before != NULL ? before->conf->upstreams_n : 0, g->upstreams,
                                     i, c->upstreams[i].name, g->workers);
        if (g->upstreams[i] == NULL)
            return false;
    }
    return true;
}

static void close_tallies(struct tally ***tallies, size_t n)
{
    for (size_t i = 0; *tallies != NULL && i < n; i++)
        tally_release(&(*tallies)[i]);
    mem_free(*tallies);
    *tallies = NULL;
}

/* ---- rules ---- */

static struct ws_scan_rules make_scan_rules(const struct conf_websocket *conf, bool from_client, bool deflate)
{
    return (struct ws_scan_rules){ .from_client = from_client,
                                   .deflate = deflate,
                                   .rated = from_client && conf->rate > 0,
                                   .verify = conf->verify,
                                   .max_frame = conf->max_frame,
                                   .max_message = conf->max_message,
                                   .max_fragments = (uint32_t)conf->max_fragments };
}

static bool open_scan_rules(struct generation *g)
{
    g->scan_rules = mem_alloc(g->conf->routes_n * sizeof(*g->scan_rules));
    for (size_t i = 0; g->scan_rules != NULL && i < g->conf->routes_n; i++)
        for (size_t scan = 0; scan < GENERATION_SCANS; scan++)
            g->scan_rules[i][scan] = make_scan_rules(&g->conf->routes[i].websocket, (scan & 2) != 0, (scan & 1) != 0);
    return g->scan_rules != NULL;
}

const struct ws_scan_rules *generation_scan_rules(const struct generation *g, const struct conf_route *route, bool from_client, bool deflate)
{
    return &g->scan_rules[route - g->conf->routes][(from_client ? 2 : 0) + (deflate ? 1 : 0)];
}

/* ---- the generation ---- */

bool generation_open_parts(struct generation *g, const struct generation *before)
{
    return open_sets(g, before) && open_tallies(g, before) && open_scan_rules(g);
}

void generation_close_parts(struct generation *g)
{
    for (size_t i = 0; g->sets != NULL && i < g->conf->upstreams_n; i++)
        server_set_release(&g->sets[i]);
    mem_free(g->sets);
    g->sets = NULL;
    close_tallies(&g->routes, g->conf->routes_n);
    close_tallies(&g->upstreams, g->conf->upstreams_n);
    mem_free(g->scan_rules);
    g->scan_rules = NULL;
}

static void generation_free(struct generation *g)
{
    generation_close_parts(g);
    passwords_set_free(g->passwords);
    sticky_set_free(g->sticky);
    tls_set_free(g->tls);
    conf_free(g->conf);
    mem_free(g);
}

struct generation *generation_new(struct conf *conf, const struct generation *before, unsigned workers)
{
    struct generation *g = mem_zalloc(sizeof(*g));

    if (g == NULL) {
        conf_free(conf);
        return NULL;
    }
    atomic_init(&g->holders, 1);
    g->conf = conf;
    g->workers = workers;
    g->number = before != NULL ? before->number + 1 : 1;
    if (generation_open_parts(g, before))
        return g;
    generation_free(g);
    return NULL;
}

bool generation_load(struct generation *g, struct tls_tickets *tickets, FILE *messages)
{
    g->tls = tls_set_new(g->conf, tickets, messages);
    g->passwords = passwords_set_new(g->conf, messages);
    g->sticky = sticky_set_new(g->conf, messages);
    return g->tls != NULL && g->passwords != NULL && g->sticky != NULL;
}

bool generation_has_secrets(const struct generation *g)
{
    return g->tls->any || sticky_set_any(g->sticky);
}

struct generation *generation_hold(struct generation *g)
{
    atomic_fetch_add_explicit(&g->holders, 1, memory_order_relaxed);
    return g;
}

void generation_release(struct generation **g)
{
    struct generation *taken = *g;

    *g = NULL;
    if (taken == NULL || atomic_fetch_sub_explicit(&taken->holders, 1, memory_order_acq_rel) > 1)
        return;
    generation_free(taken);
}

static size_t place_among_equals(const struct conf *c, const struct conf_listener *listener)
{
    size_t n = 0;

    for (const struct conf_listener *l = c->listeners; l < listener; l++)
        n += strcmp(l->address.text, listener->address.text) == 0;
    return n;
}

const struct conf_listener *generation_same_listener(const struct conf *now, const struct conf *before, const struct conf_listener *listener)
{
    size_t place = place_among_equals(before, listener);

    for (const struct conf_listener *l = now->listeners; l < now->listeners + now->listeners_n; l++)
        if (strcmp(l->address.text, listener->address.text) == 0 && place-- == 0)
            return l;
    return NULL;
}
