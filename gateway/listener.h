/* listener: one socket on which one worker accepts. */
#ifndef UPGATE_GATEWAY_LISTENER_H
#define UPGATE_GATEWAY_LISTENER_H

#include "gateway/services.h"
#include "gateway/stream_uv.h"

/* How many connections are open over all workers, and how many may be. */
struct listener_gate {
    _Atomic uint64_t open;
    _Atomic uint64_t limit;
};

struct listener;
/* Takes the descriptor, whatever comes of it. conf belongs to the snapshot in force. NULL: no memory. */
struct listener *listener_new(struct services *services, struct stream_uv_loop *loop, struct listener_gate *gate,
                              const struct conf_listener *conf, int fd);
struct list *listener_link(struct listener *l);          /* for the worker to keep it by, until it has ended */
struct listener *listener_of(struct list *link);
/* Another snapshot is in force. Where that has no such listener, this one hears nobody new; who had come before is accepted for a while, then
 * it ends by itself. */
void listener_renew(struct listener *l);
/* The end. empty: who has come is accepted first. */
void listener_close(struct listener *l, bool empty);
/* A connection ended: a listener that stood still at the limit goes on. */
void listener_resume(struct listener *l);

#endif
