/* worker: one thread with one loop: its listening sockets, clients, tunnels, pools, timers and scratch buffer. Workers share nothing that
 * changes but the connection gate's counter. */
#ifndef UPGATE_GATEWAY_WORKER_H
#define UPGATE_GATEWAY_WORKER_H

#include "gateway/access_log.h"
#include "gateway/listener.h"

struct worker;

struct worker_start {
    struct generation *generation;       /* held by the worker as long as something needs it */
    struct listener_gate *gate;
    struct access_sink *access_sink;
    struct quota *quota;
    struct tls_helpers *helpers;
    size_t handshakes;                   /* with clients, in progress at once */
    const int *fds;                      /* one per listener, in conf's order; taken on success */
    unsigned number;
    void (*ended)(void *ctx);            /* from the worker's thread, when its loop has run dry */
    void *ctx;
};

/* Makes the loop and begins to accept; the thread runs. NULL: said in the log. */
struct worker *worker_new(const struct worker_start *start);
/* From any thread: no more accepting, exchanges finish, tunnels get their Close over spread_ms; the worker ends when all are gone. */
void worker_drain(struct worker *w);
/* From any thread: everything is cut; the worker ends. */
void worker_stop(struct worker *w);
/* After `ended`: joins the thread and frees. Adds its counters to *sum; returns the handles that were left open (0, or there is a bug). */
size_t worker_join(struct worker *w, struct metrics *sum);

#endif
