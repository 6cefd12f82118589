/* control_parts: what the files of the control loop share among themselves; nobody else includes it.
 *
 *   control.c          the beginning, signals, draining, the end
 *   control_drain.c    everybody is asked to leave
 *   control_reload.c   the file is read again
 *   control_handover.c a new binary takes over
 *   control_admin.c    what those who run the gateway ask over HTTP
 *   control_ask.c      … about tunnels: the workers are asked
 *   control_status.c   /status.json
 *   control_metrics.c  /metrics
 *   control_notify.c   what the service manager is told */
#ifndef UPGATE_GATEWAY_CONTROL_PARTS_H
#define UPGATE_GATEWAY_CONTROL_PARTS_H

#include "gateway/admin.h"
#include "gateway/control.h"
#include "gateway/engine.h"
#include "gateway/health.h"
#include "gateway/notify.h"
#include "gateway/sockets.h"
#include "gateway/worker.h"

#include <signal.h>

#define CONTROL_SIGNALS 6                /* that are heard */

/* A reload that the workers are busy with. */
struct control_reload {
    struct worker_change **changes;      /* one per worker; NULL: no reload is under way */
    _Atomic unsigned left;               /* workers that have not said yet that it is in force */
    struct log_writer *old_writer;    /* closed when no worker writes to it any more; NULL: it is the same as before, or there was none */
    bool again;                          /* somebody asked for another one meanwhile */
};

/* A new binary takes over: the other process's end of a pair, and what is heard from it. */
struct control_word {
    struct control *control;
    int fd;                              /* -1: nothing is awaited */
    uv_poll_t poll;
    uv_timer_t deadline;
    void (*heard)(struct control *c, const char *text);
};

/* Somebody who asked for a reload and is to be told what came of it. */
struct control_waiter {
    struct admin_client *client;
    unsigned generation;                 /* that is coming into force; 0: another reload is under way, his comes after it */
    struct text words;                   /* warnings */
};

struct control_admin {
    struct admin *http;                  /* NULL: never started */
    struct sockets socket;               /* fds NULL: it does not listen */
    struct control_waiter waiters[ADMIN_CLIENTS_MAX];
    size_t waiters_n;
    struct list questions;               /* of struct control_question; the first is being asked */
    int statm_fd, fds_fd;                /* of /proc/self, opened at the start; -1: not to be had */
    int64_t started_s;
};

struct control {
    const char *file;                    /* NULL: configured from the command line */
    struct generation *generation;       /* the one in force */
    const struct conf *conf;             /* its conf */
    uv_loop_t loop;
    uv_signal_t signals[CONTROL_SIGNALS];
    uv_timer_t drain_over;
    struct engine engine;                /* connections of the control loop's own … */
    struct health *health;               /* … to servers that are checked */
    struct names *names;
    uv_async_t news;                     /* of a worker: it has ended, or a change is made */
    struct log_writer *access_writer;
    struct quota *quota;
    bool tls_begun;
    struct tls_helpers *helpers;
    struct tls_helpers *password_helpers;        /* apart: who guesses passwords must not hold up handshakes */
    struct tls_tickets *tickets;
    struct listener_gate gate;
    struct sockets *sockets;             /* in the order of conf->listeners */
    struct worker **workers;
    unsigned workers_n;
    _Atomic unsigned workers_left;
    struct metrics metrics;              /* what the control loop itself counts */
    struct control_reload reload;
    bool draining;                       /* … or about to: /readyz says so */
    bool drain_begun;                    /* the workers have been told */
    struct control_admin admin;
    int launcher;                        /* -1: none */
    struct inherited inherited;
    struct control_word successor, predecessor;
    struct notify notify;
    struct control_call *calls;          /* to the workers, for the watchdog; NULL: not ready yet */
    uv_timer_t watchdog;
    bool ending;                         /* no worker is left */
};

/* control.c */
/* What is told in the log when a listener begins to accept. */
void control_say_listening(const struct conf_listener *l, unsigned port);
/* The sockets that no worker has yet, of n listeners: those that this worker gets. Returns how many they are. */
size_t control_deal(const struct control *c, const struct sockets *sockets, size_t n, unsigned worker, struct worker_socket *out);
/* Connections that limits.connections and the process's descriptors allow. */
uint64_t control_connections_allowed(const struct conf *conf);

void control_stop_all(struct control *c);        /* everything is cut */

/* control_drain.c: after timeouts.drain_delay nobody new is accepted, and who is there is asked to leave. A signal that comes a second time ends
 * the gateway at once; where another process has taken over, there is no delay. */
enum control_drain_why { CONTROL_DRAIN_SIGNAL, CONTROL_DRAIN_REQUEST, CONTROL_DRAIN_TAKEN_OVER };
void control_drain(struct control *c, enum control_drain_why why);

/* control_reload.c */
void control_reload(struct control *c);
void control_reload_news(struct control *c);     /* a worker has something to say: is the reload over? */
void control_reload_abandon(struct control *c);  /* all workers have ended */

/* control_handover.c */
void control_handover_open(struct control *c);
void control_upgrade(struct control *c);         /* USR2 */
bool control_is_handing_over(const struct control *c);
void control_handover_abandon(struct control *c);        /* this process ends: one that is starting is told not to */
void control_announce(struct control *c);        /* this process is ready: the one before it, or the service manager, hears of it */
void control_handover_end(struct control *c);    /* its handles are closed */

/* control_notify.c, in the order in which they are called */
void control_notify_open(struct control *c);
void control_notify_ready(struct control *c);    /* after the start, and after each reload, whatever came of it */
void control_notify_end(struct control *c);      /* its handles are closed */
void control_notify_close(struct control *c);    /* all workers have ended */
/* control_admin.c */
/* In two steps: its socket is bound before the workers start, and listened on when all have. false: said in the log. */
bool control_admin_start(struct control *c);
bool control_admin_listen(struct control *c);
void control_admin_news(struct control *c);      /* behind control_reload_news */
/* A new process takes over: it gets the socket, unless the kernel chose its port. */
bool control_admin_may_hand_over(const struct control *c);
void control_admin_hand_over(struct control *c);
void control_admin_close(struct control *c);     /* idempotent; the loop runs once more, then control_admin_free */
void control_admin_free(struct control *c);
/* A reload may change where it listens. prepare: the socket of that conf, if it is to be another one (0 or a negative errno); then commit,
 * which takes it, or undo. */
int control_admin_prepare(struct control *c, const struct conf *next, struct sockets *out);
void control_admin_commit(struct control *c, const struct conf *before, struct sockets *next);
void control_admin_undo(const struct conf *next, struct sockets *out);

/* control_ask.c: each answers the client, at once or when all workers have */
void control_ask_tunnels(struct control *c, struct admin_client *client, const struct admin_request *r);
void control_ask_close(struct control *c, struct admin_client *client, const struct admin_request *r);
void control_ask_drain(struct control *c, struct admin_client *client, const struct admin_request *r);
void control_ask_status(struct control *c, struct admin_client *client, const struct admin_request *r);
void control_ask_news(struct control *c);        /* a worker has something to say */
void control_ask_gone(struct control *c, struct admin_client *client);
void control_ask_abandon(struct control *c);     /* all workers have ended */

/* control_status.c: a JSON object, but for its end */
void control_status(struct control *c, struct text *out);

/* control_metrics.c */
void control_metrics_open(struct control *c);    /* before files can no longer be opened */
void control_metrics_close(struct control *c);
void control_metrics(struct control *c, struct text *out);       /* OpenMetrics */

#endif
