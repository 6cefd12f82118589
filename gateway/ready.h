/* ready: what is to be called from the loop, soon, and not from inside somebody's call.
 *
 * "Never up from down": a layer that has news for its owner while the owner is calling it puts a node here instead. The worker runs
 * the queue once per turn of its loop; what is added while it runs waits for the next turn, so no two can starve the rest. */
#ifndef UPGATE_GATEWAY_READY_H
#define UPGATE_GATEWAY_READY_H

#include "gateway/list.h"

struct ready {
    struct list link;
    void (*call)(struct ready *r);
};

struct ready_queue {
    struct list waiting;
};

void ready_queue_init(struct ready_queue *q);
bool ready_queue_empty(const struct ready_queue *q);
void ready_queue_run(struct ready_queue *q);                      /* one round */

void ready_init(struct ready *r, void (*call)(struct ready *r));
void ready_add(struct ready_queue *q, struct ready *r);           /* no-op when it waits already */
void ready_cancel(struct ready *r);                               /* idempotent */

#endif
