/* poller: which sockets of a worker have news. Each is told to the kernel once, for everything, and never changed.
 *
 * One epoll of our own, edge-triggered. A libuv handle for each socket would cost four system calls to begin, one for every change of what
 * is waited for, and 160 bytes; here it is one call and a slot.
 *
 * One of the two loops waits inside the other. A worker lets the poller lead: one wait per turn, in which libuv's own epoll is one
 * descriptor more, and libuv runs when it has something to do (accepting, answers of resolver and helpers, orders). Where the poller does not
 * lead, it is watched by libuv's loop through a handle.
 *
 * Edge-triggered: an event says that something has changed. Whoever hears it takes all there is, or remembers that there may be more.
 * Slots are found by descriptor and carry a generation, so that news of a descriptor's former life reaches nobody. Listening sockets are
 * different: somebody who waits there is told of in every turn, so that one accept per turn needs no second one to find nobody. */
#ifndef UPGATE_GATEWAY_POLLER_H
#define UPGATE_GATEWAY_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum poller_news {
    POLLER_IN = 1,                       /* there may be something to read */
    POLLER_OUT = 2,                      /* there may be room to write; a connect is decided */
    POLLER_END = 4,                      /* the peer sends nothing more: behind what there is to read stands its end */
    POLLER_ERROR = 8,                    /* the socket failed: SO_ERROR says how */
    POLLER_URGENT = 16,                  /* some of what comes is urgent (RFC 9293 section 3.8.5) */
};

struct watch {                           /* of a listening socket */
    void (*news)(struct watch *w, unsigned news);
};

#define POLLER_EVENTS_MAX 256            /* in one turn; the rest in the next */

struct epoll_event;
struct poller_slot;
struct poller {
    uv_loop_t *uv;
    void (*news)(void *who, unsigned news);      /* of all the others */
    uv_poll_t handle;                    /* stands still while the poller leads */
    int fd;
    struct poller_slot **blocks;         /* by descriptor, some in a block; NULL where there was none so far */
    size_t blocks_n;
    struct epoll_event *found;           /* POLLER_EVENTS_MAX */
    uint64_t turns;
};

/* `news` hears of all connected sockets, with the one who was added. 0, or negative errno. */
int poller_init(struct poller *p, uv_loop_t *uv, void (*news)(void *who, unsigned news));
/* From here on poller_turn waits, and not uv_run. 0, or negative errno. */
int poller_lead(struct poller *p);
/* Waits for news, at most so long (negative: without an end), and tells them; then libuv's, if there are any. uv_now is up to date. */
void poller_turn(struct poller *p, int timeout_ms);
/* Nothing may be watched any more. The loop has to run once after it, before the memory goes. */
void poller_close(struct poller *p);
int poller_add(struct poller *p, void *who, int fd);     /* 0, or negative errno */
/* Nothing more is heard of it, not even news that is on its way. The descriptor is to be closed at once. */
void poller_forget(struct poller *p, int fd);

int poller_add_listening(struct poller *p, struct watch *w, int fd);
void poller_rest_listening(struct poller *p, int fd, bool rest);         /* nothing is told while it rests */
void poller_forget_listening(struct poller *p, int fd);

#endif
