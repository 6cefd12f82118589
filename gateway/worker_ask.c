/* The control loop asks what a worker's tunnels are, or wants something done with them. The answer is put together in slices, so that no
 * connection waits for it. */
#include "gateway/worker_parts.h"
#include "protocol/mem.h"

#define SLICE 256                        /* tunnels that are looked at in one turn of the loop */

static void on_slice(struct ready *r)
{
    struct worker_ask *a = LIST_OWNER(r, struct worker_ask, ready);
    struct worker *w = a->worker;

    if (!tunnel_walk_on(&a->walk, &w->services, SLICE)) {
        ready_add(&w->ready, &a->ready);
        return;
    }
    atomic_store(&a->answered, true);
    w->answered(w->ctx);
}

static void on_letter(struct letter *letter)
{
    struct worker_ask *a = LIST_OWNER(letter, struct worker_ask, letter);

    tunnel_walk_begin(&a->walk, &a->worker->services, a->query);
    ready_add(&a->worker->ready, &a->ready);
}

struct worker_ask *worker_ask_new(struct worker *w, struct tunnel_query *query)
{
    struct worker_ask *a = mem_zalloc(sizeof(*a));

    if (a == NULL)
        return NULL;
    letter_init(&a->letter, on_letter);
    ready_init(&a->ready, on_slice);
    a->worker = w;
    a->query = query;
    return a;
}

void worker_ask_post(struct worker_ask *a)
{
    mailbox_post(&a->worker->mailbox, &a->letter);
}

bool worker_ask_is_over(const struct worker_ask *a)
{
    return atomic_load(&a->answered) || atomic_load(&a->worker->gone);
}

void worker_ask_free(struct worker_ask *a)
{
    if (a == NULL)
        return;
    mailbox_withdraw(&a->worker->mailbox, &a->letter);
    tunnel_walk_free(&a->walk);
    mem_free(a);
}
