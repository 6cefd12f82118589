#include "gateway/ready.h"

void ready_queue_init(struct ready_queue *q)
{
    list_init(&q->waiting);
}

bool ready_queue_empty(const struct ready_queue *q)
{
    return list_empty(&q->waiting);
}

void ready_queue_run(struct ready_queue *q)
{
    struct list round;

    if (list_empty(&q->waiting))
        return;
    round = q->waiting;                                  /* the whole ring moves over */
    round.next->prev = &round;
    round.prev->next = &round;
    list_init(&q->waiting);
    while (!list_empty(&round)) {
        struct ready *r = LIST_OWNER(round.next, struct ready, link);
        list_remove(&r->link);
        r->call(r);
    }
}

void ready_init(struct ready *r, void (*call)(struct ready *r))
{
    list_init(&r->link);
    r->call = call;
}

void ready_add(struct ready_queue *q, struct ready *r)
{
    if (list_empty(&r->link))
        list_append(&q->waiting, &r->link);
}

void ready_cancel(struct ready *r)
{
    list_remove(&r->link);
}
