/* parting: a connection that its owner has left while its last words are still on their way: a TLS alert, a close_notify.
 *
 * They are sent, then the output is finished, and what still comes is read and thrown away, because closing a socket with unread bytes can
 * destroy what was sent. All of it for a moment, and for so many connections at once; past that they are closed as they are.
 * tests/gateway/test_parting.c */
#ifndef UPGATE_GATEWAY_PARTING_H
#define UPGATE_GATEWAY_PARTING_H

#include "gateway/list.h"
#include "gateway/stream.h"
#include "gateway/timers.h"

#define PARTING_MS 1000
#define PARTING_BYTES ((uint64_t)64 * 1024)     /* a peer that sends more than this meanwhile is cut off */
#define PARTINGS_MAX 1000                       /* per loop */

struct partings {
    struct timers *timers;
    struct list list;
    size_t n;
};

void partings_init(struct partings *f, struct timers *timers);
/* Takes *s, which becomes NULL. */
void parting_begin(struct partings *f, struct stream **s);
/* Closes those that are there. */
void partings_end(struct partings *f);

#endif
