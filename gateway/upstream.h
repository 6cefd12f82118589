/* upstream: one worker's view of a named set of servers: what it has with each of them, and whose connections it keeps.
 *
 * An upstream belongs to one snapshot. The set says who the servers are, and may say so anew at any time: upstream_refresh. A server lives as
 * long as an upstream lists it, an exchange or a tunnel is on it, or a connection to it is open. The upstream of the same name in the next
 * snapshot adopts those that are still wanted, with their kept connections and all that is known of them.
 *
 * Every connection to a server has a place (places.h): server_connect takes it before a connection is begun, and from then on it goes the way of the
 * connection; whoever closes the stream gives it back thereby. tests/gateway/test_upstream.c */
#ifndef UPGATE_GATEWAY_UPSTREAM_H
#define UPGATE_GATEWAY_UPSTREAM_H

#include "conf/conf.h"
#include "gateway/places.h"
#include "gateway/pool.h"

struct upstream;
/* What stays with a server for a while behind its exchange (a FastCGI connection that waits for an aborted request's end). It goes, at the
 * latest, when idle connections go. */
struct lingerer {
    struct list link;
    void (*close)(struct lingerer *l);
};

/* What is known of a server that speaks FastCGI, and may take several requests on one connection. */
enum fcgi_asked { FCGI_NOT_ASKED, FCGI_ASKED, FCGI_TOLD };
struct fcgi_server {
    enum fcgi_asked asked;               /* whether it does */
    unsigned calls_max;                  /* TOLD: on one connection; 1: it does not */
    struct list shared;                  /* connections with room for one more */
};

struct server {
    size_t holders;                      /* see above */
    struct upstream *home;               /* the newest of the upstreams that list it; NULL: none of a snapshot in force */
    struct server_set *set;              /* held */
    struct server_state *state;          /* held */
    const struct conf_address *address;  /* the state's */
    struct pool pool;
    struct list lingerers;
    struct fcgi_server fcgi;
    struct stream_watch watch;           /* of its connections */
    size_t busy;                         /* exchanges and tunnels of this worker on it now */
    bool place_in_hand;                  /* one was granted: the next connection that is begun takes it */
    bool http10;                         /* its last answer was HTTP/1.0: it may not understand chunked */
    long turn;                           /* weighted round robin's running balance */
    unsigned warmth;                     /* server_state_warmth at the choice that is being made */
};

/* What a worker gives its upstreams. */
struct upstream_worker {
    struct timers *timers;
    struct metrics *metrics;
    struct mailbox *mailbox;
    unsigned number;                     /* 0 … workers - 1 */
};

struct upstream {
    const struct conf_upstream *conf;
    struct upstream_worker worker;
    struct server_set *set;              /* held */
    unsigned version;                    /* of the set, as `servers` has it; 0: never looked */
    struct place_port port;
    struct server **servers;             /* in the set's order */
    size_t servers_n;
    uint64_t told_no_switch;             /* bit per route, modulo 64: that it cannot upgrade was said in the log */
    uint64_t complained_ms;
    bool turned;                         /* its worker has begun its turns */
    bool retired;                        /* not of the snapshot in force: no connection is kept */
};

#define UPSTREAM_TRIED_MAX PLACES_TRIED_MAX

/* In any thread, before the worker sees it. Has no servers before it is refreshed. */
void upstream_init(struct upstream *u, const struct conf_upstream *conf, struct server_set *set, const struct upstream_worker *worker);
void upstream_free(struct upstream *u);          /* nobody waits for a place any more; idempotent */
/* Looks whether the set has other servers now. Without memory it stays as it was, until the next time. */
void upstream_refresh(struct upstream *u);
void upstream_close_idle(struct upstream *u);
/* Its servers have too few places: said in the log, but not too often. */
void upstream_complain(struct upstream *u);
/* The server with this state, or NULL. */
struct server *upstream_server(const struct upstream *u, const struct server_state *state);

/* u is new, and follows `before`, which has the same name: if it has the same set, the servers move over. With TLS what is known of them in the
 * set is all that does: their connections were verified by other rules. */
void upstream_adopt(struct upstream *u, struct upstream *before);
/* After that, or when no upstream of that name follows: the servers that were left behind keep no connection any more. */
void upstream_retire(struct upstream *before);

/* An exchange, or a tunnel, is on it: from here to the end, it is counted for everybody. */
enum server_use { SERVER_EXCHANGE, SERVER_TUNNEL };
void server_begin(struct server *s, enum server_use use);
void server_end(struct server *s, enum server_use use);

/* What came of an attempt at it: whoever fails again and again is ejected, as the conf says, unless nobody else is left. */
void server_did_well(struct server *s, const struct upstream *u);
void server_did_badly(struct server *s, const struct upstream *u);
void server_answered(struct server *s, const struct upstream *u, unsigned status);       /* one of the two, as the conf says */

/* A connection is begun: false when there is no place. Then either it fails, or the stream is told to give the place back when it is closed. */
bool server_connect(struct server *s);
void server_connect_failed(struct server *s);
void server_connected(struct server *s, struct stream *stream);
/* A place was granted: the next connection that is begun takes it, or it goes back. */
void server_granted(struct server *s);
void server_give_back(struct server *s);
/* Takes a stream on which nothing is under way: it is kept for the next exchange, or closed; whoever waits for it has it at once. */
void server_keep(struct server *s, struct stream **stream);
/* One more exchange can join a connection that is in use: whoever waits in this worker and comes first is told. */
void server_is_joinable(struct server *s);
/* Its bit in a mask of servers that were tried; 0 beyond UPSTREAM_TRIED_MAX. */
static inline uint64_t server_bit(const struct server *s)
{
    return s->state->slot < UPSTREAM_TRIED_MAX ? (uint64_t)1 << s->state->slot : 0;
}
/* An exchange could begin on it now: a connection is kept or may be joined (unless it has to be a fresh one), or may be made. */
bool server_has_room(const struct server *s, bool fresh);

#endif
