/* worker: one thread with one loop: its listening sockets, clients, tunnels, pools, timers and scratch buffer. Workers share nothing that
 * changes but what is made for it: the connection gate's counter, the states of servers. */
#ifndef UPGATE_GATEWAY_WORKER_H
#define UPGATE_GATEWAY_WORKER_H

#include "gateway/access_log.h"
#include "gateway/listener.h"
#include "gateway/mailbox.h"
#include "gateway/tunnel_walk.h"

struct worker;

struct worker_socket {
    size_t listener;                     /* its place in the conf */
    int fd;
};

struct worker_start {
    struct generation *generation;       /* held by the worker as long as something needs it */
    struct listener_gate *gate;
    struct log_writer *access_writer;
    struct quota *quota;
    struct tls_helpers *helpers, *password_helpers;
    size_t handshakes;                   /* with clients, in progress at once */
    const struct worker_socket *sockets; /* taken, whatever comes of it */
    size_t sockets_n;
    unsigned number;
    void (*ended)(void *ctx);            /* from the worker's thread, when its loop has run dry */
    void (*changed)(void *ctx);          /* from the worker's thread: a change was made */
    void (*answered)(void *ctx);         /* from the worker's thread: a worker_ask is over */
    void *ctx;
};

/* Makes the loop and begins to accept; the thread runs. NULL: said in the log. */
struct worker *worker_new(const struct worker_start *start);
/* From any thread: no more accepting, exchanges finish, tunnels get their Close over spread_ms; the worker ends when all are gone. */
void worker_drain(struct worker *w);
/* From any thread: everything is cut; the worker ends. */
void worker_stop(struct worker *w);
/* A letter into the worker's own loop, and taken back after `ended`. false: the worker has ended, nobody will deliver it. */
bool worker_post(struct worker *w, struct letter *l);
void worker_withdraw(struct worker *w, struct letter *l);
const struct metrics *worker_metrics(const struct worker *w);    /* only to be read */
/* ---- a question about its tunnels ---- */

struct worker_ask {                      /* private, but `walk` when it is over */
    struct letter letter;
    struct ready ready;
    struct worker *worker;
    struct tunnel_query *query;
    struct tunnel_walk walk;
    _Atomic bool answered;
};

struct worker_ask *worker_ask_new(struct worker *w, struct tunnel_query *query);         /* NULL: no memory */
/* The worker calls `answered` when its walk is over. Not two at a time for one worker. */
void worker_ask_post(struct worker_ask *a);
bool worker_ask_is_over(const struct worker_ask *a);     /* answered, or the worker has ended */
void worker_ask_free(struct worker_ask *a);              /* when it is over, or was never posted. NULL-safe */

/* After `ended`: joins the thread and frees. Adds its counters to *sum; returns the handles that were left open (0, or there is a bug). */
size_t worker_join(struct worker *w, struct metrics *sum);

/* ---- another configuration, in three steps: everything that can fail is done before any worker hears of it ---- */

struct worker_change {                   /* private, but for whom it belongs to: the control loop */
    struct letter letter;
    struct worker *worker;
    struct snapshot *snapshot;
    struct log_writer *access_writer;
    size_t sockets_n;
    struct worker_socket sockets[];      /* of listeners that are new */
};

/* NULL: no memory. Copies the sockets' numbers; they are the worker's after worker_change_post. */
struct worker_change *worker_change_new(struct worker *w, struct generation *g, struct log_writer *access_writer,
                                        const struct worker_socket *sockets, size_t sockets_n);
/* The worker calls `changed` when it is in force. A worker that drains leaves things as they are, and says so in the same way; one that has
 * ended says nothing. */
void worker_change_post(struct worker_change *c);
/* Before it is posted, or after `changed`, or when the worker has ended. NULL-safe. */
void worker_change_free(struct worker_change *c);

#endif
