/* mailbox: how one thread has something called in another one's loop.
 *
 * A letter is part of whatever it is about. Any thread posts it; the loop that owns the mailbox is woken and delivers it, once however
 * often it was posted meanwhile. Its owner withdraws it before its memory goes, in the loop's own thread. tests/gateway/test_mailbox.c */
#ifndef UPGATE_GATEWAY_MAILBOX_H
#define UPGATE_GATEWAY_MAILBOX_H

#include "gateway/list.h"

#include <pthread.h>
#include <stdbool.h>

struct letter {
    struct list link;                    /* private, under the mailbox's lock */
    void (*deliver)(struct letter *l);
};

struct mailbox {
    pthread_mutex_t lock;
    struct list letters;
    void (*wake)(void *ctx);             /* from any thread: has mailbox_deliver called soon; NULL: the loop has ended */
    void *ctx;
};

void mailbox_init(struct mailbox *m, void (*wake)(void *ctx), void *ctx);
void mailbox_free(struct mailbox *m);
/* The loop ends: nobody is woken any more. What was not delivered can still be withdrawn. */
void mailbox_close(struct mailbox *m);

void letter_init(struct letter *l, void (*deliver)(struct letter *l));
/* In any thread. false: the loop has ended; the letter lies there until it is withdrawn. */
bool mailbox_post(struct mailbox *m, struct letter *l);

/* In the loop's own thread. */
void mailbox_deliver(struct mailbox *m);
void mailbox_withdraw(struct mailbox *m, struct letter *l);  /* idempotent */

#endif
