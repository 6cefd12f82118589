#include "gateway/server_state.h"
#include "protocol/hash.h"
#include "protocol/mem.h"

#include <assert.h>

static void state_free(struct server_state *s)
{
    assert(s->connections == 0 && s->exchanges == 0 && s->tunnels == 0 && s->waiting == 0);
    mem_free(s->address.host);
    mem_free(s->address.path);
    mem_free(s->address.text);
    mem_free(s->name);
    mem_free(s->host);
    mem_free(s);
}

static bool copy_text(char **to, const char *from)
{
    *to = from != NULL ? mem_strdup(from) : NULL;
    return from == NULL || *to != NULL;
}

struct server_state *server_state_new(struct server_set *set, const struct conf_address *address, const char *name, const char *host, unsigned slot)
{
    struct server_state *s = mem_zalloc(sizeof(*s));

    if (s == NULL)
        return NULL;
    atomic_init(&s->holders, 1);
    s->set = set;
    s->slot = slot;
    s->address.kind = address->kind;
    s->address.port = address->port;
    if (copy_text(&s->address.host, address->host) && copy_text(&s->address.path, address->path) &&
        copy_text(&s->address.text, address->text) && copy_text(&s->name, name) && copy_text(&s->host, host)) {
        s->id = hash_of(span_of_text(s->name));
        return s;
    }
    state_free(s);
    return NULL;
}

struct server_state *server_state_hold(struct server_state *s)
{
    atomic_fetch_add_explicit(&s->holders, 1, memory_order_relaxed);
    return s;
}

void server_state_release(struct server_state **s)
{
    struct server_state *taken = *s;

    *s = NULL;
    if (taken != NULL && atomic_fetch_sub_explicit(&taken->holders, 1, memory_order_acq_rel) == 1)
        state_free(taken);
}

enum server_health server_state_health(const struct server_state *s)
{
    if (!atomic_load_explicit(&s->checked, memory_order_relaxed))
        return SERVER_UNCHECKED;
    return atomic_load_explicit(&s->down, memory_order_relaxed) ? SERVER_DOWN : SERVER_UP;
}

enum server_tier server_state_tier_bound(const struct server_state *s, uint64_t now_ms)
{
    if (atomic_load_explicit(&s->down, memory_order_relaxed))
        return SERVER_OUT;
    if (atomic_load_explicit(&s->ejected_until_ms, memory_order_relaxed) > now_ms)
        return SERVER_EJECTED;
    return atomic_load_explicit(&s->backup, memory_order_relaxed) ? SERVER_IN_RESERVE : SERVER_IN_USE;
}

enum server_tier server_state_tier(const struct server_state *s, uint64_t now_ms)
{
    return atomic_load_explicit(&s->draining, memory_order_relaxed) ? SERVER_OUT : server_state_tier_bound(s, now_ms);
}

unsigned server_state_warmth(const struct server_state *s, uint64_t slow_start_ms, uint64_t now_ms)
{
    uint64_t checked_ms = atomic_load_explicit(&s->returned_ms, memory_order_relaxed);
    uint64_t ejected_ms = atomic_load_explicit(&s->ejected_until_ms, memory_order_relaxed);
    uint64_t back_ms = ejected_ms > checked_ms ? ejected_ms : checked_ms, units;

    if (slow_start_ms == 0 || back_ms == 0 || (now_ms > back_ms && now_ms - back_ms >= slow_start_ms))
        return SERVER_WARM;
    units = now_ms > back_ms ? SERVER_WARM * (now_ms - back_ms) / slow_start_ms : 0;
    return units > 0 ? (unsigned)units : 1;
}

const char *server_state_word(const struct server_state *s, uint64_t now_ms)
{
    if (server_state_health(s) == SERVER_DOWN)
        return "down";
    switch (server_state_tier(s, now_ms)) {
    case SERVER_IN_USE:
        return "in_use";
    case SERVER_IN_RESERVE:
        return "reserve";
    case SERVER_EJECTED:
        return "ejected";
    case SERVER_OUT:
        break;
    }
    return "draining";
}
