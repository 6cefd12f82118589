#include "gateway/server_set.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

struct server_set *server_set_new(const char *name)
{
    struct server_set *s = mem_zalloc(sizeof(*s));

    if (s == NULL)
        return NULL;
    s->name = mem_strdup(name);
    if (s->name == NULL) {
        mem_free(s);
        return NULL;
    }
    atomic_init(&s->holders, 1);
    atomic_init(&s->version, 1);
    pthread_mutex_init(&s->lock, NULL);
    list_init(&s->waiting);
    list_init(&s->ports);
    return s;
}

static void release_all(struct server_state **states, size_t n)
{
    for (size_t i = 0; i < n; i++)
        server_state_release(&states[i]);
    mem_free(states);
}

static void set_free(struct server_set *s)
{
    assert(list_empty(&s->waiting) && list_empty(&s->ports));
    release_all(s->members, s->members_n);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->name);
    mem_free(s);
}

struct server_set *server_set_hold(struct server_set *s)
{
    atomic_fetch_add_explicit(&s->holders, 1, memory_order_relaxed);
    return s;
}

void server_set_release(struct server_set **s)
{
    struct server_set *taken = *s;

    *s = NULL;
    if (taken != NULL && atomic_fetch_sub_explicit(&taken->holders, 1, memory_order_acq_rel) == 1)
        set_free(taken);
}

/* ---- members ---- */

static struct server_state *find(struct server_state *const *states, size_t n, const char *address)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(states[i]->address.text, address) == 0)
            return states[i];
    return NULL;
}

static bool slot_is_used(struct server_state *const *states, size_t n, unsigned slot)
{
    for (size_t i = 0; i < n; i++)
        if (states[i]->slot == slot)
            return true;
    return false;
}

/* A number that neither an old nor a new member has. */
static unsigned free_slot(const struct server_set *s, struct server_state *const *fresh, size_t n)
{
    unsigned slot = 0;

    while (slot_is_used(s->members, s->members_n, slot) || slot_is_used(fresh, n, slot))
        slot++;
    return slot;
}

static void obey(struct server_state *state, const struct conf_server *conf)
{
    atomic_store_explicit(&state->weight, conf->weight, memory_order_relaxed);
    atomic_store_explicit(&state->backup, conf->backup, memory_order_relaxed);
    atomic_store_explicit(&state->draining, conf->drain, memory_order_relaxed);
}

static const char *name_of(const struct server_wish *wish)
{
    if (wish->name != NULL)
        return wish->name;
    return wish->conf->id != NULL ? wish->conf->id : wish->address->text;
}

/* Who has another name now is another server: it is found by its name everywhere else. */
static struct server_state *find_wanted(struct server_state *const *states, size_t n, const struct server_wish *wish)
{
    struct server_state *known = find(states, n, wish->address->text);

    return known != NULL && strcmp(known->name, name_of(wish)) == 0 ? known : NULL;
}

static struct server_state *make(struct server_set *s, const struct server_wish *wish, unsigned slot)
{
    return server_state_new(s, wish->address, name_of(wish), wish->host != NULL ? wish->host : wish->address->host, slot);
}

/* In the order of the wishes; a second one with the same address is no other server. NULL: no memory. */
static struct server_state **gather(struct server_set *s, const struct server_wish *wishes, size_t n, size_t *fresh_n_out)
{
    struct server_state **fresh = mem_zalloc(n * sizeof(struct server_state *));

    *fresh_n_out = 0;
    for (size_t i = 0; fresh != NULL && i < n; i++) {
        const char *address = wishes[i].address->text;
        struct server_state *known = find_wanted(s->members, s->members_n, &wishes[i]);
        if (find(fresh, *fresh_n_out, address) != NULL)
            continue;
        known = known != NULL ? server_state_hold(known) : make(s, &wishes[i], free_slot(s, fresh, *fresh_n_out));
        if (known == NULL) {
            release_all(fresh, *fresh_n_out);
            return NULL;
        }
        fresh[(*fresh_n_out)++] = known;
    }
    return fresh;
}

int server_set_update(struct server_set *s, const struct server_wish *wishes, size_t n)
{
    size_t fresh_n, before_n = s->members_n;
    struct server_state **fresh = gather(s, wishes, n, &fresh_n), **before = s->members;

    if (fresh == NULL)
        return -ENOMEM;
    for (size_t i = n; i > 0; i--)       /* of two with the same address the first is obeyed */
        obey(find(fresh, fresh_n, wishes[i - 1].address->text), wishes[i - 1].conf);
    pthread_mutex_lock(&s->lock);
    s->members = fresh;
    s->members_n = fresh_n;
    atomic_fetch_add_explicit(&s->version, 1, memory_order_release);
    pthread_mutex_unlock(&s->lock);
    release_all(before, before_n);
    return 0;
}

struct server_state **server_set_copy(struct server_set *s, size_t *n_out, unsigned *version_out)
{
    struct server_state **copy;

    pthread_mutex_lock(&s->lock);
    copy = mem_alloc(s->members_n * sizeof(struct server_state *));
    for (size_t i = 0; copy != NULL && i < s->members_n; i++)
        copy[i] = server_state_hold(s->members[i]);
    *n_out = s->members_n;
    *version_out = atomic_load_explicit(&s->version, memory_order_relaxed);
    pthread_mutex_unlock(&s->lock);
    return copy;
}

enum server_tier server_set_tier(struct server_state *const *states, size_t n, uint64_t now_ms)
{
    enum server_tier best = SERVER_OUT;

    for (size_t i = 0; i < n; i++) {
        enum server_tier tier = server_state_tier(states[i], now_ms);
        if (tier < best)
            best = tier;
    }
    return best;
}
