/* services: the handful of things that an exchange or a tunnel of one worker may use, passed in: there are no globals. */
#ifndef UPGATE_GATEWAY_SERVICES_H
#define UPGATE_GATEWAY_SERVICES_H

#include "gateway/dial.h"
#include "gateway/metrics.h"
#include "gateway/quota.h"
#include "gateway/ready.h"
#include "gateway/snapshot.h"
#include "gateway/timers.h"
#include "gateway/tls_loop.h"
#include "protocol/trace.h"

struct access_log;
struct credentials;
struct tunnel_walk;

struct services {
    struct snapshot *snapshot;           /* the one in force; whoever works under it longer than a turn holds it */
    unsigned number;                     /* of the worker */
    struct timers *timers;
    struct ready_queue *ready;
    struct dialer *dialer;
    struct tls_loop *tls;
    struct metrics *metrics;
    struct access_log *access_log;
    struct credentials *credentials;
    struct quota *quota;                 /* shared by all workers */
    struct trace_ids trace_ids;
    struct list entries;                 /* accepted connections that are not clients yet */
    struct list clients;                 /* open client connections that are not tunnels */
    struct list tunnels;                 /* in the order in which they began */
    uint32_t tunnels_made;               /* each has a number: how many there were when it began, itself counted */
    uint64_t tunnels_looked_ms;          /* when their bytes were last looked at, for rates; 0: never */
    struct tunnel_walk *tunnel_walk;     /* one that is under way, or NULL */
    struct list passthroughs;
    bool draining;                       /* no connection is kept, no upgrade begun */
    void (*connection_ended)(void *ctx); /* one accepted connection (or the tunnel it became) is gone */
    void *connection_ended_ctx;
};

/* Unpredictable bytes (getrandom). */
void services_random(void *out, size_t n);

#endif
