#include "gateway/balance.h"
#include "protocol/hash.h"

/* Those that take part in a choice. */
struct choice {
    struct upstream *upstream;
    enum server_tier tier;
    uint64_t tried;
    bool fresh;
    uint64_t now_ms;
};

static bool was_tried(const struct server *s, uint64_t tried)
{
    return (tried & server_bit(s)) != 0;
}

static enum server_tier best_tier(const struct upstream *u, uint64_t tried, uint64_t now_ms)
{
    enum server_tier best = SERVER_OUT;

    for (size_t i = 0; i < u->servers_n; i++) {
        enum server_tier tier = server_state_tier(u->servers[i]->state, now_ms);
        if (tier < best && !was_tried(u->servers[i], tried))
            best = tier;
    }
    return best;
}

static bool is_candidate(const struct choice *c, const struct server *s)
{
    return !was_tried(s, c->tried) && server_state_tier(s->state, c->now_ms) == c->tier;
}

/* What room there is belongs to those who wait for it, and are about to hear of it. */
static bool has_room(const struct choice *c, const struct server *s)
{
    return server_has_room(s, c->fresh) && atomic_load_explicit(&s->state->waiting, memory_order_relaxed) == 0;
}

static bool takes_part(const struct choice *c, const struct server *s)
{
    return is_candidate(c, s) && has_room(c, s);
}

static uint64_t weight_of(const struct server *s)
{
    return (uint64_t)atomic_load_explicit(&s->state->weight, memory_order_relaxed) * s->warmth;
}

/* By what is asked of a server for its weight. */
static bool is_busier(const struct server *a, const struct server *b)
{
    return server_state_busy(a->state) * weight_of(b) > server_state_busy(b->state) * weight_of(a);
}

/* Smooth weighted round robin: each turn everybody gains its weight, the richest serves and pays the sum of all. With `least` only those
 * that are no busier than it take part. */
static struct server *round_robin(const struct choice *c, const struct server *least)
{
    struct server *best = NULL;
    long sum = 0;

    for (size_t i = 0; i < c->upstream->servers_n; i++) {
        struct server *s = c->upstream->servers[i];
        long weight = (long)weight_of(s);
        if (!takes_part(c, s) || (least != NULL && is_busier(s, least)))
            continue;
        s->turn += weight;
        sum += weight;
        if (best == NULL || s->turn > best->turn)
            best = s;
    }
    if (best != NULL)
        best->turn -= sum;
    return best;
}

/* The least busy for its weight, over all workers; among equals, round robin. */
static struct server *least_busy(const struct choice *c)
{
    struct server *least = NULL;

    for (size_t i = 0; i < c->upstream->servers_n; i++)
        if (takes_part(c, c->upstream->servers[i]) && (least == NULL || is_busier(least, c->upstream->servers[i])))
            least = c->upstream->servers[i];
    return least != NULL ? round_robin(c, least) : NULL;
}

/* The lowest cost for its weight: -log of an even draw is exponentially distributed, and the least of such values belongs to each server as
 * often as its weight says. With equal weights the draw alone says the same, and is cheaper. */
static bool is_better_lot(uint64_t draw_a, uint64_t weight_a, uint64_t draw_b, uint64_t weight_b)
{
    return weight_a == weight_b ? draw_a > draw_b : hash_cost(draw_a) * weight_b < hash_cost(draw_b) * weight_a;
}

/* What all that take part are busy with, and their weights. */
struct crowd {
    uint64_t busy, weight;
};

static struct crowd crowd_of(const struct choice *c)
{
    struct crowd crowd = { 0, 0 };

    for (size_t i = 0; i < c->upstream->servers_n; i++)
        if (is_candidate(c, c->upstream->servers[i])) {
            crowd.busy += server_state_busy(c->upstream->servers[i]->state);
            crowd.weight += weight_of(c->upstream->servers[i]);
        }
    return crowd;
}

/* Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam 2016): with one more it would have more than so many percent of its
 * share. Not all of them can be over, since together they have what there is. */
static bool is_over(const struct server *s, const struct crowd *crowd, uint64_t percent)
{
    return percent != 0 && server_state_busy(s->state) * crowd->weight * 100 >= (crowd->busy + 1) * weight_of(s) * percent;
}

/* percent 0: however busy it is. */
static struct server *by_key(const struct choice *c, uint64_t key, uint64_t percent)
{
    struct crowd crowd = percent != 0 ? crowd_of(c) : (struct crowd){ 0, 0 };
    struct server *best = NULL;
    uint64_t best_draw = 0;

    for (size_t i = 0; i < c->upstream->servers_n; i++) {
        struct server *s = c->upstream->servers[i];
        uint64_t draw = hash_pair(key, s->state->id);
        if (!takes_part(c, s) || is_over(s, &crowd, percent) || (best != NULL && !is_better_lot(draw, weight_of(s), best_draw, weight_of(best))))
            continue;
        best = s;
        best_draw = draw;
    }
    return best;
}

/* Those that are not too busy may have no room. */
static struct server *by_key_within(const struct choice *c, uint64_t key)
{
    struct server *found = by_key(c, key, c->upstream->conf->hash_bound);

    return found != NULL || c->upstream->conf->hash_bound == 0 ? found : by_key(c, key, 0);
}

static struct server *choose(const struct choice *c, const struct balance_wish *wish)
{
    if (c->upstream->conf->balance == CONF_BALANCE_HASH && wish->keyed)
        return by_key_within(c, wish->key);
    if (c->upstream->conf->balance == CONF_BALANCE_LEAST_BUSY)
        return least_busy(c);
    return round_robin(c, NULL);
}

/* Each worker begins at another server: otherwise the first ones after a start would all go to the same. */
static void begin_turns(const struct choice *c)
{
    if (c->upstream->turned)
        return;
    c->upstream->turned = true;
    for (unsigned i = 0; i < c->upstream->worker.number; i++)
        round_robin(c, NULL);
}

/* The server that it is bound to; NULL: none, or none that is better than the others. */
static struct server *bound_to(const struct upstream *u, const struct balance_wish *wish, uint64_t now_ms, enum server_tier best)
{
    for (size_t i = 0; wish->bound && i < u->servers_n; i++) {
        struct server *s = u->servers[i];
        enum server_tier tier = server_state_tier_bound(s->state, now_ms);
        if (s->state->id == wish->bound_to && !was_tried(s, wish->tried) && (tier <= SERVER_IN_RESERVE || (tier == best && tier != SERVER_OUT)))
            return s;
    }
    return NULL;
}

/* Those that are back not long ago weigh less: the same for all that is compared in one choice. */
static void feel_warmth(const struct choice *c)
{
    for (size_t i = 0; i < c->upstream->servers_n; i++) {
        struct server *s = c->upstream->servers[i];
        s->warmth = server_state_warmth(s->state, c->upstream->conf->slow_start_ms, c->now_ms);
    }
}

static bool others_wait(const struct upstream *u)
{
    return atomic_load(&u->set->waiting_any) > 0 && atomic_load(&u->set->places) != 0;
}

static enum balance_verdict choose_bound(const struct choice *c, struct balance_wish *wish, struct server *bound, struct server **out)
{
    if (others_wait(c->upstream) || !has_room(c, bound)) {
        wish->wanted = bound->state;
        return BALANCE_FULL;
    }
    *out = bound;
    return BALANCE_FOUND;
}

enum balance_verdict balance_choose(struct upstream *u, struct balance_wish *wish, struct server **out)
{
    struct choice c = { .upstream = u, .tried = wish->tried, .fresh = wish->fresh, .now_ms = timers_now_ms(u->worker.timers) };
    enum server_tier best;
    struct server *bound;

    *out = NULL;
    upstream_refresh(u);
    best = best_tier(u, 0, c.now_ms);
    bound = bound_to(u, wish, c.now_ms, best);
    if (bound != NULL)
        return choose_bound(&c, wish, bound, out);
    if (best == SERVER_OUT)
        return BALANCE_NONE;
    c.tier = best_tier(u, c.tried, c.now_ms);
    if (c.tier == SERVER_OUT) {
        c.tier = best;
        c.tried = 0;
    }
    feel_warmth(&c);
    begin_turns(&c);
    if (!others_wait(u))
        *out = choose(&c, wish);
    if (*out != NULL)
        return BALANCE_FOUND;
    wish->tried = c.tier == best ? c.tried : 0;
    return BALANCE_FULL;
}
