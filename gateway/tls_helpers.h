/* tls_helpers: threads for arithmetic that would hold up a loop: the private keys and curves of TLS handshakes.
 *
 * A job is given by a loop, run by some helper, and collected by the loop that gave it; in between it belongs to the helper, and the loop
 * does not look inside. Helpers run at a lower priority than the workers, so that a storm of handshakes takes what the open connections
 * leave. Without helpers (NULL: tests; or no thread can be had) jobs are run by their own loop, one each time it collects. */
#ifndef UPGATE_GATEWAY_TLS_HELPERS_H
#define UPGATE_GATEWAY_TLS_HELPERS_H

#include "gateway/list.h"

#include <pthread.h>

struct tls_job {
    struct list link;
    struct tls_home *home;
    bool begun;                          /* under the helpers' lock while it waits */
    void (*run)(struct tls_job *job);            /* in a helper's thread */
    void (*finished)(struct tls_job *job);       /* in the home's thread, from tls_home_collect */
};

/* Where the jobs of one loop come back to. */
struct tls_home {
    pthread_mutex_t lock;
    struct list done;
    void (*wake)(void *ctx);             /* from any thread: collect soon */
    void *ctx;
    size_t away;                         /* given and not yet collected; for the home's own thread */
};

int tls_home_init(struct tls_home *h, void (*wake)(void *ctx), void *ctx);     /* 0, or negative errno */
void tls_home_free(struct tls_home *h);          /* nothing may be away */
void tls_home_collect(struct tls_home *h);       /* calls `finished` of what has come back */

struct tls_helpers;
/* Threads begin when there is work for them, up to so many. NULL: no memory. */
struct tls_helpers *tls_helpers_new(unsigned threads);
void tls_helpers_free(struct tls_helpers *p);    /* after every home is free; NULL is legal */

void tls_helpers_give(struct tls_helpers *p, struct tls_home *home, struct tls_job *job);
/* Takes a job back that no helper has begun: true, and `finished` is not called. */
bool tls_helpers_withdraw(struct tls_helpers *p, struct tls_job *job);

#endif
