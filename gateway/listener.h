/* listener: sockets that accept. Bound once, at the start, one per worker (SO_REUSEPORT) for TCP, one shared by all for a UNIX path. */
#ifndef UPGATE_GATEWAY_LISTENER_H
#define UPGATE_GATEWAY_LISTENER_H

#include "gateway/services.h"
#include "gateway/stream_uv.h"

/* How many connections are open over all workers, and how many may be. */
struct listener_gate {
    _Atomic uint64_t open;
    uint64_t limit;
};

/* ---- binding, before the workers run ---- */

struct listener_sockets {
    int *fds;                            /* one per worker */
    unsigned port;                       /* TCP: the real one */
    bool bound;
};
/* 0, or a negative errno (said in the log). workers descriptors are filled. */
int listener_bind(const struct conf_listener *conf, unsigned workers, struct listener_sockets *out);
/* Closes what no worker took over, and removes a UNIX path. */
void listener_unbind(const struct conf_listener *conf, unsigned workers, struct listener_sockets *sockets);

/* ---- accepting, in a worker ---- */

struct listener;
/* Takes the descriptor. NULL: no memory. */
struct listener *listener_new(struct services *services, struct stream_uv_loop *loop, struct listener_gate *gate,
                              const struct conf_listener *conf, int fd);
void listener_close(struct listener **l);        /* idempotent through *l; no accept afterwards */
/* A connection ended: a listener that stood still at the limit goes on. */
void listener_resume(struct listener *l);

#endif
