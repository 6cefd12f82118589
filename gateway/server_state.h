/* server_state: one server of an upstream, as all threads share it: how busy it is, and whether it is to be used.
 *
 * Made by the control loop, known by its upstream, its address and its name, so that it stays the same over a reload. Counted: each worker that lists
 * it holds it, and whoever holds it holds its set, too. Nothing here takes a lock: the control loop says what is wanted of the server; the
 * workers count what they have with it, once per exchange and per connection, never per message.
 * tests/gateway/test_server_set.c */
#ifndef UPGATE_GATEWAY_SERVER_STATE_H
#define UPGATE_GATEWAY_SERVER_STATE_H

#include "conf/conf.h"

#include <stdatomic.h>

#define SERVER_STATE_APART 64            /* bytes between what different threads write often: no cache line in common */

struct server_set;

/* Who is chosen before whom: of a set only the best tier that it has takes part. */
enum server_tier {
    SERVER_IN_USE,
    SERVER_IN_RESERVE,                   /* a backup */
    SERVER_EJECTED,                      /* it failed: better than none */
    SERVER_OUT,                          /* draining, or down by its checks */
};

struct server_state {
    _Atomic size_t holders;
    struct server_set *set;              /* whose member it is, or was; outlives it */
    struct conf_address address;         /* its own copy */
    char *name;                          /* what the operator calls it, or its address: in logs, metrics, cookies */
    char *host;                          /* whom TLS asks for: the address's, or the name's that stands for it; NULL: a UNIX socket's */
    uint64_t id;                         /* the name's hash: the same in every gateway */
    unsigned slot;                       /* its number in the set, no other's as long as it is a member */
    /* what the control loop says */
    _Atomic unsigned weight;
    _Atomic bool backup;
    _Atomic bool draining;               /* nobody new goes there */
    _Atomic uint64_t returned_ms;        /* when its checks found it well again, on the loops' clock; 0: it was never away */
    _Atomic bool checked;                /* its health is checked … */
    _Atomic bool down;                   /* … and is bad: nobody new goes there */
    char apart[SERVER_STATE_APART];
    /* what the workers count */
    _Atomic uint64_t connections;        /* open ones and those being made, kept ones too: the places that are taken */
    _Atomic uint64_t exchanges, tunnels; /* in flight */
    _Atomic size_t waiting;              /* who wait for a place at this one and no other */
    _Atomic unsigned failures;           /* in a row */
    _Atomic unsigned ejections;          /* … and how often it was ejected for that, since it last did well */
    _Atomic uint64_t ejected_until_ms;
    _Atomic uint64_t window_begun_ms;    /* since then are counted: … */
    _Atomic uint64_t attempts, errors;
};

/* Copies what it needs; host may be NULL. NULL: no memory. The caller holds it. */
struct server_state *server_state_new(struct server_set *set, const struct conf_address *address, const char *name, const char *host, unsigned slot);
struct server_state *server_state_hold(struct server_state *s);
void server_state_release(struct server_state **s);      /* NULL-safe, *s becomes NULL; in any thread */

/* As its checks say: for those who show it. */
enum server_health { SERVER_UNCHECKED, SERVER_UP, SERVER_DOWN };
enum server_health server_state_health(const struct server_state *s);

const char *server_state_word(const struct server_state *s, uint64_t now_ms);     /* how it stands, for labels and people */
enum server_tier server_state_tier(const struct server_state *s, uint64_t now_ms);
/* The same for whoever is bound to it: who was there before it drained may go on. */
enum server_tier server_state_tier_bound(const struct server_state *s, uint64_t now_ms);
/* A server's whole weight is its weight in these units; one that is back for less than slow_start_ms (0: off) has fewer of them. */
#define SERVER_WARM 256
unsigned server_state_warmth(const struct server_state *s, uint64_t slow_start_ms, uint64_t now_ms);
static inline uint64_t server_state_busy(const struct server_state *s)
{
    return atomic_load_explicit(&s->exchanges, memory_order_relaxed) + atomic_load_explicit(&s->tunnels, memory_order_relaxed);
}

#endif
