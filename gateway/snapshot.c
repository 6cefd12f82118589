#include "gateway/snapshot.h"
#include "protocol/mem.h"

#include <string.h>

static void snapshot_free(struct snapshot *s)
{
    for (size_t i = 0; s->upstreams != NULL && i < s->conf->upstreams_n; i++)
        upstream_free(&s->upstreams[i]);
    mem_free(s->upstreams);
    mem_free(s->strip_also);
    generation_release(&s->generation);
    mem_free(s);
}

static void set_limits(struct snapshot *s)
{
    struct http1_limits limits = {
        .head_bytes = (size_t)s->conf->limits.header_bytes,
        .fields = (size_t)s->conf->limits.header_fields,
        .chunk_extension_bytes = 1024,
    };

    s->response_limits = limits;
    limits.body_bytes = s->conf->limits.body_bytes;
    s->request_limits = limits;
}

static bool make_parts(struct snapshot *s, const struct upstream_worker *worker)
{
    const struct conf *c = s->conf;

    s->upstreams = mem_zalloc(c->upstreams_n * sizeof(*s->upstreams));
    s->strip_also = mem_alloc(c->forwarded.strip_n * sizeof(*s->strip_also));
    if (s->upstreams == NULL || s->strip_also == NULL)
        return false;
    for (size_t i = 0; i < c->upstreams_n; i++)
        upstream_init(&s->upstreams[i], &c->upstreams[i], s->generation->sets[i], worker);
    for (size_t i = 0; i < c->forwarded.strip_n; i++)
        s->strip_also[i] = span_of_text(c->forwarded.strip[i]);
    return true;
}

struct snapshot *snapshot_new(struct generation *g, const struct upstream_worker *worker)
{
    struct snapshot *s = mem_zalloc(sizeof(*s));

    if (s == NULL)
        return NULL;
    s->holders = 1;
    s->generation = generation_hold(g);
    s->conf = g->conf;
    set_limits(s);
    if (make_parts(s, worker))
        return s;
    snapshot_free(s);
    return NULL;
}

struct snapshot *snapshot_hold(struct snapshot *s)
{
    s->holders++;
    return s;
}

void snapshot_release(struct snapshot **s)
{
    struct snapshot *taken = *s;

    *s = NULL;
    if (taken != NULL && --taken->holders == 0)
        snapshot_free(taken);
}

struct tally_counts *snapshot_route_counts(const struct snapshot *s, const struct conf_route *route, unsigned worker)
{
    return &s->generation->routes[route - s->conf->routes]->counts[worker];
}

struct tally_counts *snapshot_upstream_counts(const struct snapshot *s, size_t upstream, unsigned worker)
{
    return &s->generation->upstreams[upstream]->counts[worker];
}

void snapshot_close_idle(struct snapshot *s)
{
    for (size_t i = 0; i < s->conf->upstreams_n; i++)
        upstream_close_idle(&s->upstreams[i]);
}

/* ---- one follows another ---- */

static bool is_named(const struct snapshot *s, size_t i, const char *name)
{
    return i < s->conf->upstreams_n && strcmp(s->conf->upstreams[i].name, name) == 0;
}

/* The place is usually the same. */
static struct upstream *find(const struct snapshot *s, size_t place, const char *name)
{
    size_t i = place;

    if (!is_named(s, i, name))
        for (i = 0; i < s->conf->upstreams_n && !is_named(s, i, name); i++)
            continue;
    return i < s->conf->upstreams_n ? &s->upstreams[i] : NULL;
}

void snapshot_follow(struct snapshot *now, struct snapshot *before)
{
    for (size_t i = 0; i < now->conf->upstreams_n; i++) {
        struct upstream *u = find(before, i, now->conf->upstreams[i].name);
        if (u != NULL)
            upstream_adopt(&now->upstreams[i], u);
    }
    for (size_t i = 0; i < before->conf->upstreams_n; i++)
        upstream_retire(&before->upstreams[i]);
}
