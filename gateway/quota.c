#include "gateway/quota.h"
#include "gateway/services.h"
#include "protocol/mem.h"
#include "protocol/siphash.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#define LOCKS 64
#define CHAINS 16384                     /* of connections */
#define WAYS 8                           /* of one set of rates */
#define SETS (QUOTA_CLIENTS / WAYS)
#define NS_PER_MS UINT64_C(1000000)

_Static_assert(SETS % LOCKS == 0 && CHAINS % LOCKS == 0, "a lock goes with whole sets and chains");

struct client {
    uint64_t bits;                       /* the address, or a /64 */
    uint64_t family;                     /* 0: no place */
};

struct quota_share {
    struct quota_share *next;
    struct client client;
    size_t chain;
    unsigned open;
};

/* The generic cell rate algorithm: `due` is when the bucket is full again; a kind is free as long as that is less than a period ahead. */
struct rates {
    struct client client;
    uint64_t due_ns[QUOTA_KINDS];
};

struct quota {
    struct siphash_key key;
    pthread_mutex_t locks[LOCKS];
    struct quota_share *chains[CHAINS];
    struct rates sets[SETS][WAYS];
};

struct quota *quota_new(void)
{
    struct quota *q = mem_zalloc(sizeof(*q));

    if (q == NULL)
        return NULL;
    services_random(&q->key, sizeof(q->key));
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&q->locks[i], NULL);
    return q;
}

void quota_free(struct quota *q)
{
    if (q == NULL)
        return;
    for (size_t i = 0; i < CHAINS; i++)
        assert(q->chains[i] == NULL);
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&q->locks[i]);
    mem_free(q);
}

/* false: nobody who is counted. */
static bool client_of(const struct net_address *a, struct client *out)
{
    size_t n = a->family == NET_IP4 ? 4 : a->family == NET_IP6 ? 8 : 0;

    *out = (struct client){ .family = (uint64_t)a->family };
    memcpy(&out->bits, a->bytes, n);
    return n > 0;
}

static bool same(const struct client *a, const struct client *b)
{
    return a->bits == b->bits && a->family == b->family;
}

static size_t hash(const struct quota *q, const struct client *c)
{
    return (size_t)siphash(&q->key, span_of(c, sizeof(*c)));
}

/* ---- connections ---- */

static struct quota_share **find_share(struct quota *q, size_t chain, const struct client *client)
{
    struct quota_share **at = &q->chains[chain];

    while (*at != NULL && !same(&(*at)->client, client))
        at = &(*at)->next;
    return at;
}

/* Locked. */
static bool connect_locked(struct quota *q, size_t chain, const struct client *client, unsigned limit, struct quota_share **share_out)
{
    struct quota_share **at = find_share(q, chain, client);

    if (*at == NULL) {
        *at = mem_zalloc(sizeof(**at));
        if (*at == NULL)
            return false;
        (*at)->client = *client;
        (*at)->chain = chain;
    }
    if ((*at)->open >= limit)
        return false;
    (*at)->open++;
    *share_out = *at;
    return true;
}

bool quota_connect(struct quota *q, const struct net_address *address, unsigned limit, struct quota_share **share_out)
{
    struct client client;
    size_t chain;
    bool good;

    *share_out = NULL;
    if (limit == 0 || !client_of(address, &client))
        return true;
    chain = hash(q, &client) % CHAINS;
    pthread_mutex_lock(&q->locks[chain % LOCKS]);
    good = connect_locked(q, chain, &client, limit, share_out);
    pthread_mutex_unlock(&q->locks[chain % LOCKS]);
    return good;
}

void quota_disconnect(struct quota *q, struct quota_share **share)
{
    struct quota_share *s = *share, **at;
    pthread_mutex_t *lock;

    *share = NULL;
    if (s == NULL)
        return;
    lock = &q->locks[s->chain % LOCKS];
    pthread_mutex_lock(lock);
    if (--s->open == 0) {
        at = find_share(q, s->chain, &s->client);
        *at = s->next;
        mem_free(s);
    }
    pthread_mutex_unlock(lock);
}

/* ---- rates ---- */

static uint64_t latest(const struct rates *r)
{
    uint64_t most = 0;

    for (size_t i = 0; i < QUOTA_KINDS; i++)
        most = r->due_ns[i] > most ? r->due_ns[i] : most;
    return most;
}

/* The client's place, or one that is free, or that of whoever loses least. */
static struct rates *place_of(struct rates set[WAYS], const struct client *client)
{
    struct rates *best = &set[0];

    for (size_t i = 0; i < WAYS; i++) {
        if (same(&set[i].client, client))
            return &set[i];
        if (latest(&set[i]) < latest(best))
            best = &set[i];
    }
    *best = (struct rates){ .client = *client };
    return best;
}

uint64_t quota_take(struct quota *q, enum quota_kind kind, const struct net_address *address, const struct conf_rate *rate,
                    uint64_t now_ms)
{
    uint64_t now = now_ms * NS_PER_MS, period = rate->per_ms * NS_PER_MS, step, due, wait_ns = 0;
    struct client client;
    struct rates *r;
    size_t set;

    if (rate->count == 0 || !client_of(address, &client))
        return 0;
    step = period / rate->count;
    set = hash(q, &client) % SETS;
    pthread_mutex_lock(&q->locks[set % LOCKS]);
    r = place_of(q->sets[set], &client);
    due = (r->due_ns[kind] > now ? r->due_ns[kind] : now) + step;
    if (due > now + period)
        wait_ns = due - now - period;
    else
        r->due_ns[kind] = due;
    pthread_mutex_unlock(&q->locks[set % LOCKS]);
    return (wait_ns + NS_PER_MS - 1) / NS_PER_MS;
}
