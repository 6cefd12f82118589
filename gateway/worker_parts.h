/* worker_parts: what the files of a worker share among themselves; nobody else includes it.
 *
 *   worker.c          the loop, the end, the beginning
 *   worker_change.c   another configuration comes into force
 *   worker_ask.c      somebody wants to know of its tunnels */
#ifndef UPGATE_GATEWAY_WORKER_PARTS_H
#define UPGATE_GATEWAY_WORKER_PARTS_H

#include "gateway/worker.h"
#include "protocol/mem.h"

enum worker_order { WORKER_RUN, WORKER_DRAIN, WORKER_STOP };
enum worker_state { WORKER_RUNNING, WORKER_DRAINING, WORKER_ENDING, WORKER_ENDED };

struct worker {
    struct services services;
    enum worker_state state;
    struct listener_gate *gate;
    struct list listeners;
    unsigned number;
    uv_loop_t loop;
    uv_async_t mail;
    uv_async_t helped;                   /* some handshake has come back from the helpers */
    struct mailbox mailbox;
    _Atomic int order;                   /* enum worker_order, from the control loop */
    struct timers timers;
    struct ready_queue ready;
    struct ready look;                   /* draining: is everybody gone? Ending: is everything freed? */
    unsigned last_turns;
    struct mem_peak peak;                /* of connections and tunnels */
    struct stream_uv_loop streams;
    struct tls_loop tls;
    struct resolver *resolver;
    struct metrics metrics;
    uv_thread_t thread;
    _Atomic bool gone;                   /* the thread touches nothing any more but `ended` */
    void (*ended)(void *ctx);
    void (*changed)(void *ctx);
    void (*answered)(void *ctx);
    void *ctx;
};

/* worker.c: what its upstreams get of it */
struct upstream_worker worker_own(struct worker *w);
/* worker_change.c: listeners on these sockets, which are taken. false: no memory; those that could be made are there */
bool worker_listen(struct worker *w, const struct worker_socket *sockets, size_t n);

#endif
