/* resolver: names to addresses, per worker, kept for some time and asked again after; many who ask at once share one question.
 *
 * When a name can no longer be resolved, the last answer serves on. Names that nobody asked for in RESOLVER_UNUSED_MS are forgotten. The operating system's resolver answers, in
 * libuv's thread pool; its own deadline bounds the question. */
#ifndef UPGATE_GATEWAY_RESOLVER_H
#define UPGATE_GATEWAY_RESOLVER_H

#include "gateway/ready.h"

#include <netinet/in.h>
#include <uv.h>

#define RESOLVER_FRESH_MS 30000          /* of a worker's */
#define RESOLVER_UNUSED_MS 600000
#define RESOLVER_ADDRESSES 32            /* more of one name are not used */

struct resolver;

struct resolver_answer {
    int error;                           /* 0, or a negative UV_EAI_* or errno value */
    size_t n;
    struct sockaddr_storage addresses[RESOLVER_ADDRESSES];       /* ports set */
};

/* The asker embeds one; `answered` comes from the loop, never from inside resolver_ask. */
struct resolver_wait {
    struct ready ready;                  /* private */
    struct list link;                    /* private */
    struct resolver_entry *entry;        /* private */
    void (*answered)(struct resolver_wait *w, const struct resolver_answer *answer);
};

/* fresh_ms: how long an answer is good; 0: each who asks has a new one. NULL: no memory. */
struct resolver *resolver_new(uv_loop_t *loop, struct ready_queue *ready, uint64_t fresh_ms);
void resolver_free(struct resolver *r);  /* after the loop has run dry: no question may be out */
int resolver_ask(struct resolver *r, struct resolver_wait *w, const char *host, unsigned port);      /* 0 or -ENOMEM */
void resolver_cancel(struct resolver_wait *w);               /* idempotent, and legal on zeroes */
const char *resolver_words(int error);

#endif
