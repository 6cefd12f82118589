#include "gateway/mailbox.h"

void mailbox_init(struct mailbox *m, void (*wake)(void *ctx), void *ctx)
{
    pthread_mutex_init(&m->lock, NULL);
    list_init(&m->letters);
    m->wake = wake;
    m->ctx = ctx;
}

void mailbox_free(struct mailbox *m)
{
    pthread_mutex_destroy(&m->lock);
}

void mailbox_close(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    m->wake = NULL;
    pthread_mutex_unlock(&m->lock);
}

void letter_init(struct letter *l, void (*deliver)(struct letter *l))
{
    list_init(&l->link);
    l->deliver = deliver;
}

/* Woken under the lock, so that nobody is after mailbox_close. */
bool mailbox_post(struct mailbox *m, struct letter *l)
{
    bool open;

    pthread_mutex_lock(&m->lock);
    open = m->wake != NULL;
    if (list_empty(&l->link)) {
        list_append(&m->letters, &l->link);
        if (open)
            m->wake(m->ctx);
    }
    pthread_mutex_unlock(&m->lock);
    return open;
}

static struct letter *take_first(struct mailbox *m, struct list *from)
{
    struct letter *l = NULL;

    pthread_mutex_lock(&m->lock);
    if (!list_empty(from)) {
        l = LIST_OWNER(from->next, struct letter, link);
        list_remove(&l->link);
    }
    pthread_mutex_unlock(&m->lock);
    return l;
}

/* What is posted while these are delivered waits for the next time: the loop is woken again. */
void mailbox_deliver(struct mailbox *m)
{
    struct list batch;
    struct letter *l;

    list_init(&batch);
    pthread_mutex_lock(&m->lock);
    list_take_all(&batch, &m->letters);
    pthread_mutex_unlock(&m->lock);
    while ((l = take_first(m, &batch)) != NULL)
        l->deliver(l);
}

void mailbox_withdraw(struct mailbox *m, struct letter *l)
{
    pthread_mutex_lock(&m->lock);
    list_remove(&l->link);
    pthread_mutex_unlock(&m->lock);
}
