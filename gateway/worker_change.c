/* Another configuration comes into force in a worker. What is under way goes on under the one it began with. */
#include "gateway/client.h"
#include "gateway/log.h"
#include "gateway/worker_parts.h"
#include "protocol/mem.h"

#include <string.h>
#include <unistd.h>

bool worker_listen(struct worker *w, const struct worker_socket *sockets, size_t n)
{
    const struct conf *conf = w->services.snapshot->conf;
    bool good = true;

    for (size_t i = 0; i < n; i++) {
        struct listener *l = listener_new(&w->services, &w->streams, w->gate, &conf->listeners[sockets[i].listener], sockets[i].fd);
        if (l != NULL)
            list_append(&w->listeners, listener_link(l));
        else
            good = false;
    }
    return good;
}

static void renew_listeners(struct worker *w)
{
    struct list *next;

    for (struct list *l = w->listeners.next; l != &w->listeners; l = next) {
        next = l->next;
        listener_renew(listener_of(l));
    }
}

static void put_in_force(struct worker *w, struct worker_change *c)
{
    struct snapshot *before = w->services.snapshot;

    snapshot_follow(c->snapshot, before);
    w->services.snapshot = c->snapshot;
    c->snapshot = NULL;
    access_log_switch(w->services.access_log, c->access_writer, w->services.snapshot->conf->log.access.format);
    renew_listeners(w);
    if (!worker_listen(w, c->sockets, c->sockets_n))
        log_error("reload: not every socket of the new listeners could be used: no memory");
    client_renew_all(&w->services);
    snapshot_release(&before);
}

static void on_change(struct letter *letter)
{
    struct worker_change *c = LIST_OWNER(letter, struct worker_change, letter);
    struct worker *w = c->worker;

    if (w->state == WORKER_RUNNING)
        put_in_force(w, c);
    else
        for (size_t i = 0; i < c->sockets_n; i++)
            close(c->sockets[i].fd);
    snapshot_release(&c->snapshot);      /* here, where its pools' timers belong */
    w->changed(w->ctx);
}

struct worker_change *worker_change_new(struct worker *w, struct generation *g, struct log_writer *access_writer,
                                        const struct worker_socket *sockets, size_t sockets_n)
{
    struct worker_change *c = mem_zalloc(sizeof(*c) + sockets_n * sizeof(*sockets));
    struct upstream_worker own = worker_own(w);

    if (c == NULL)
        return NULL;
    c->snapshot = snapshot_new(g, &own);
    if (c->snapshot == NULL) {
        mem_free(c);
        return NULL;
    }
    letter_init(&c->letter, on_change);
    c->worker = w;
    c->access_writer = access_writer;
    c->sockets_n = sockets_n;
    if (sockets_n > 0)
        memcpy(c->sockets, sockets, sockets_n * sizeof(*sockets));
    return c;
}

void worker_change_post(struct worker_change *c)
{
    mailbox_post(&c->worker->mailbox, &c->letter);
}

void worker_change_free(struct worker_change *c)
{
    if (c == NULL)
        return;
    mailbox_withdraw(&c->worker->mailbox, &c->letter);
    snapshot_release(&c->snapshot);
    mem_free(c);
}
