/* exchange_parts: what the files of an exchange share among themselves; nobody else includes it.
 *
 *   exchange.c            the states, the waits, the turn, the beginning
 *   exchange_admit.c      which requests and WebSocket offers pass, and what of them
 *   exchange_auth.c       who sends the request: a name and a password
 *   exchange_ask.c        an upstream is asked whether the request may go on
 *   exchange_tls.c        what the client's TLS handshake proved
 *   exchange_sticky.c     a cookie leads it to the server that it was served by before
 *   exchange_trace.c      by what name the request is known
 *   exchange_act.c        what is answered without a server
 *   exchange_request.c    the way to a server, and the request's body
 *   exchange_gather.c     a body that is put aside first
 *   exchange_response.c   the answer, and the switch
 *   exchange_end.c        the end: the gateway's own answer, the log line, the one place that frees */
#ifndef UPGATE_GATEWAY_EXCHANGE_PARTS_H
#define UPGATE_GATEWAY_EXCHANGE_PARTS_H

#include "gateway/access_log.h"
#include "gateway/backend.h"
#include "gateway/body_out.h"
#include "gateway/credentials.h"
#include "gateway/exchange.h"
#include "gateway/gather.h"
#include "gateway/seek.h"
#include "protocol/trace.h"
#include "protocol/ws_handshake.h"

#include <stdalign.h>
#include <stddef.h>

enum request_state { REQUEST_BEGIN, REQUEST_BODY, REQUEST_DONE };
enum response_state { RESPONSE_AWAITED, RESPONSE_BODY, RESPONSE_DONE };

/* What an exchange can be waiting for: for how long, and what its end is called. One row for each. */
enum wait { WAIT_BEGIN, WAIT_PERMISSION, WAIT_PLACE, WAIT_CONNECT, WAIT_SWITCH, WAIT_CLIENT_SENDS, WAIT_SERVER_READS, WAIT_ANSWER, WAIT_SERVER_SENDS, WAIT_CLIENT_READS };

/* By what name the request is known. */
struct exchange_trace {
    struct span id;                      /* empty: none is wanted */
    struct span trace_id;                /* of the trace it belongs to; empty: none that is known */
    bool bad;                            /* the client's traceparent can't be read */
    char made[TRACE_ID_BYTES];
    struct field set[2];
    char *remove[2];
    struct rules_changes changes;        /* what servers are told of it, in front of all others; next NULL: not yet */
};

struct exchange {
    struct services *services;
    struct exchange_client client;
    struct snapshot *snapshot;           /* the client's, which holds it as long as the exchange lasts */
    enum request_state request;
    enum response_state response;
    struct net_address real_client;      /* whose request it is: the connection's client, or whom trusted hops name behind it */
    char real_address[NET_ADDRESS_TEXT]; /* … as text */
    char real_name[NET_NAME_TEXT];       /* … with its port, for the logs */
    struct http1_head narrowed;          /* what the route lets through of a WebSocket offer; then `head` points here */
    const struct http1_head *head;       /* NULL: there is none, the request was refused before its end */
    struct rules_request rules;
    struct ws_offer offer;
    bool offered;                        /* a WebSocket, lawfully or not */
    bool websocket;                      /* the offer is good and its route lets it pass */
    const struct conf_route *route;
    struct credentials_check *check;     /* not NULL: a password is being checked; nothing else happens meanwhile */
    struct span user;                    /* who it is, once that is known */
    struct question *question;           /* not NULL: an upstream is asked whether the request may go on; nothing else happens meanwhile */
    struct exchange_trace trace;
    struct rules_changes told;           /* what servers are told of the client's TLS, in front of all other changes; next NULL: nothing */
    struct access_tls tls;
    struct rules_changes granted;        /* what came of either: fields for the server, in front of the route's own changes */
    struct span asked_target;            /* path and query as the client sent them, before the route changed the path */
    struct upstream *upstream;
    const struct sticky *sticky;         /* the upstream's cookie; NULL: it has none */
    bool bound, bound_ages;              /* the client showed a good one; its time is more than half over */
    uint64_t bound_to;                   /* … and the id of the server that it names */
    const char *sticky_word;             /* for the log */
    struct field set_cookie;             /* a new one, in front of the route's own changes */
    struct rules_changes stuck;
    struct server *server;               /* the one tried last */
    struct backend *backend;
    struct seek seek;
    unsigned attempts;
    bool body_touched;                   /* body bytes were given to a server: no other can be tried */
    struct gather *gather;               /* not NULL: the whole body is put aside, and given to each server from its beginning */
    bool gather_given;                   /* … to the server tried last, all of it */
    struct body_out out;                 /* the response's body on its way to the client */
    bool keep_alive;                     /* what the client was told */
    unsigned interims;
    bool server_blocked, client_blocked;
    bool server_deaf;                    /* it takes no more of the body; its answer may still come */
    struct arena arena;
    struct timer timer;
    enum wait wait;
    uint64_t begun_ms, progress_ms;
    bool answered;                       /* by a server: its head came … */
    uint64_t response_ms;                /* … so long after asked_ms */
    uint64_t asked_ms;                   /* when the request was complete; 0: not yet */
    struct ready ready;
    unsigned retry_after_s;              /* of a refusal that is over by then; 0: nobody knows */
    unsigned status;                     /* sent, 0 = none */
    uint64_t bytes_in;
    enum end_reason end;
    enum fault fault;
    const char *detail;
    struct span location;                /* of a redirect */
    alignas(max_align_t) uint8_t room[];         /* where the arena begins */
};

/* STEP_OVER: the exchange is finished and freed; nothing may be touched. */
enum step { STEP_IDLE, STEP_MOVED, STEP_OVER };

static inline struct stream *exchange_client_stream(const struct exchange *x)
{
    return *x->client.stream;
}

/* As far as the request and the gateway are concerned, another one may follow on the connection. */
static inline bool exchange_wants_more(const struct exchange *x)
{
    return x->head->keep_alive && !x->services->draining && !*x->client.last;
}

/* Whom access rules and limits judge. */
static inline const struct net_address *exchange_real_client(const struct exchange *x)
{
    return &x->real_client;
}

/* What a server is told otherwise than the client said it. */
static inline const struct rules_changes *exchange_request_changes(const struct exchange *x)
{
    if (x->trace.changes.next != NULL)
        return &x->trace.changes;
    if (x->told.next != NULL)
        return &x->told;
    return x->granted.next != NULL ? &x->granted : &x->route->headers.request;
}

/* exchange.c */
void exchange_request_enter(struct exchange *x, enum request_state to);
void exchange_response_enter(struct exchange *x, enum response_state to);
void exchange_on_progress(void *ctx);
void exchange_go_on(struct exchange *x);                         /* it is admitted: on to a server */
void exchange_await(struct exchange *x);                         /* nothing more can be done now: the deadline of what is waited for */
void exchange_run(struct exchange *x);

/* exchange_admit.c: END_NONE, or why a good request is refused before a server hears of it */
enum end_reason exchange_admit(struct exchange *x);
/* Can the route's servers switch at all? Where they can't, the request is served as plain HTTP, and the log says so once. */
bool exchange_may_switch(const struct exchange *x);

/* exchange_tls.c; false: no memory */
bool exchange_certificate_admitted(const struct exchange *x);
bool exchange_tell_tls(struct exchange *x);
bool exchange_note_tls(struct exchange *x);

/* exchange_sticky.c; false: no memory */
bool exchange_stick(struct exchange *x);                         /* reads the cookie, and takes it out of the head */
bool exchange_stick_on(struct exchange *x, struct rules_reply_facts *facts);     /* a cookie for the answer, where one is due */

/* exchange_trace.c */
void exchange_name(struct exchange *x);
bool exchange_tell_name(struct exchange *x);                     /* makes trace.changes, without a next; false: no memory */

/* exchange_act.c */
enum fault exchange_point_to_https(struct exchange *x);
void exchange_act(struct exchange *x);                           /* as the route says; frees the exchange */

/* exchange_auth.c */
void exchange_authenticate(struct exchange *x);                  /* as the route wants it, and then on */

/* exchange_ask.c */
void exchange_ask(struct exchange *x);
void exchange_ask_more(struct exchange *x);                      /* there may be news of the answer */
void exchange_ask_late(struct exchange *x);
void exchange_ask_end(struct exchange *x, bool answered);        /* frees the question; NULL is legal */

/* exchange_request.c */
struct backend_request exchange_backend_request(struct exchange *x, const struct conf_upstream *upstream);
struct backend *exchange_begin_backend(struct exchange *x, struct server *server, const struct backend_request *request, bool fresh);
/* On the way to a server of this upstream; with the whole body, where it wants that. */
enum step exchange_reach(struct exchange *x, struct upstream *upstream);
/* A server is chosen and an attempt begun, or it waits for one that has room, or it is over. */
enum step exchange_choose(struct exchange *x);
enum step exchange_server_failed(struct exchange *x);            /* looks at backend->failed: another attempt, or the end */
enum step exchange_request_step(struct exchange *x);
enum step exchange_request_end(struct exchange *x, const struct headers *trailers);

enum step exchange_request_fault(struct exchange *x, enum fault fault);
enum step exchange_request_ended_early(struct exchange *x);      /* nothing more is there: has the client ended? */

/* exchange_gather.c */
bool exchange_must_gather(const struct exchange *x);
enum step exchange_gather_begin(struct exchange *x);
enum step exchange_gather_step(struct exchange *x);

/* exchange_response.c */
struct rules_reply_facts exchange_reply_facts(const struct exchange *x);
bool exchange_put_head(struct exchange *x, const struct http1_head *in, const struct rules_reply_facts *facts);
enum step exchange_continue(struct exchange *x);                 /* a 100 of the gateway's own */
enum step exchange_response_step(struct exchange *x);

/* exchange_end.c: each of these frees the exchange */
void exchange_finish(struct exchange *x, enum end_reason why, enum exchange_outcome outcome);
/* The gateway's own answer, where no response has begun; otherwise the client has to see that it is cut. status 0: nobody to answer. */
void exchange_give_up(struct exchange *x, enum end_reason why, enum fault fault, unsigned status);
void exchange_refuse(struct exchange *x, enum fault fault);      /* the client's fault in its request */
void exchange_log_failure(const struct exchange *x, const struct backend_failure *f, const char *then);

#endif
