/* tally: what is counted for one route, or for one upstream, by all workers and over every reload: it is known by its name.
 *
 * Made by the control loop, held by each generation that has the name. Every worker has counters of its own in it, which only it writes;
 * everybody may read them at any time. */
#ifndef UPGATE_GATEWAY_TALLY_H
#define UPGATE_GATEWAY_TALLY_H

#include "gateway/metrics.h"

#include <stddef.h>

#define TALLY_CLASSES 6                  /* of statuses: by their first digit; 0: none was sent */

struct tally_counts {
    _Atomic uint64_t exchanges[TALLY_CLASSES];
    _Atomic uint64_t tunnels, tunnels_open;
    _Atomic uint64_t bytes_from_clients, bytes_to_clients;       /* bodies; what tunnels pass is added when they end */
    struct metrics_histogram response;
    char apart[64];                      /* the next worker's do not begin on the cache line where these end */
};

struct tally {
    _Atomic size_t holders;
    char *name;
    unsigned workers;
    struct tally_counts counts[];        /* by the worker's number */
};

struct tally *tally_new(const char *name, unsigned workers);     /* NULL: no memory. The caller holds it */
struct tally *tally_hold(struct tally *t);
void tally_release(struct tally **t);    /* NULL-safe, *t becomes NULL; in any thread */
/* Over all workers. */
struct tally_counts tally_sum(const struct tally *t);

/* In a worker. status 0: none was sent. */
void tally_exchange(struct tally_counts *c, unsigned status, uint64_t bytes_from_client, uint64_t bytes_to_client);
void tally_tunnel_begins(struct tally_counts *c);
void tally_tunnel_ends(struct tally_counts *c, uint64_t bytes_from_client, uint64_t bytes_to_client);

#endif
