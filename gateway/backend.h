/* backend: what an exchange needs from an origin, whatever it speaks.
 *
 * A backend is one attempt at one exchange on one connection to one server. It is begun with a checked request; then the exchange
 * sends the body as far as it is taken, and pulls the answer as the events of http1_parse (a FastCGI reply is told in the same
 * words). News come by `progress`, from the loop; the exchange then tries again whatever it was waiting for.
 *
 * What can go wrong, in order: no connection (END_CONNECT_FAILED, END_CONNECT_TIMEOUT, END_RESOLVE_FAILED), the connection ends before an
 * answer (END_SERVER_CLOSED), the answer is malformed (END_SERVER_FAULT) or cut (END_SERVER_TRUNCATED). All of them appear as one sticky `failed`. */
#ifndef UPGATE_GATEWAY_BACKEND_H
#define UPGATE_GATEWAY_BACKEND_H

#include "gateway/inbound.h"
#include "protocol/rules.h"

struct snapshot;

struct backend_request {
    struct snapshot *snapshot;           /* the exchange's */
    const struct http1_head *head;
    const struct rules_request *rules;
    struct rules_facts facts;
    const struct conf_upstream *upstream;
    const struct inbound *inbound;       /* whose request it is; outlives the backend, as the arena does */
    const struct net_address *client;    /* … in truth, behind trusted hops */
    const struct http1_limits *limits;   /* of the answer's head */
    struct arena *arena;                 /* of the exchange */
    bool gathered;                       /* the body's length is known, though the head does not tell it: … */
    uint64_t gathered_bytes;             /* … and its client has been told to go on, if it asked */
};

struct backend_failure {
    enum end_reason why;                 /* END_NONE: none */
    enum fault fault;                    /* with END_SERVER_FAULT */
    const char *detail;                  /* words, or NULL */
    bool unsent;                         /* no byte of the request reached the server: safe to try another */
    bool stale;                          /* a kept connection that ended before any byte of an answer */
};

struct backend {
    const struct backend_ops *ops;
    struct services *services;
    struct server *server;
    struct backend_failure failed;
    bool open;                           /* connected, the head is on its way: a body may follow */
    void (*progress)(void *ctx);
    void *ctx;
};

struct backend_ops {
    ssize_t (*send)(struct backend *b, struct span data);
    int (*end)(struct backend *b, const struct headers *trailers);
    void (*pull)(struct backend *b, struct http1_result *out);
    void (*took)(struct backend *b, size_t n);
    ssize_t (*splice)(struct backend *b, struct stream *to);     /* NULL: never */
    struct stream *(*take_stream)(struct backend *b);
    void (*release)(struct backend *b, bool reusable);
};

/* The request's body. Bytes taken; 0 = blocked, or the connection is not there yet; <0: no more is taken (an answer may still come). */
ssize_t backend_send(struct backend *b, struct span data);
int backend_end(struct backend *b, const struct headers *trailers);
/* The answer, event by event. After HTTP1_BODY call backend_took with what was passed on. HTTP1_MORE with failed.why set: nothing
 * more will come. HTTP1_FAULT is told as failed, too. */
void backend_pull(struct backend *b, struct http1_result *out);
void backend_took(struct backend *b, size_t n);
/* As much as there is of a long body goes to `to` unseen. Bytes that `to` took; 0 = nothing for now; <0 = to's sticky error, or
 * STREAM_NO_SPLICE: pull it. */
ssize_t backend_splice(struct backend *b, struct stream *to);
/* After a 101: the connection itself, with what stands behind the 101 unread. */
struct stream *backend_take_stream(struct backend *b);
/* The end, NULL-safe through *b; reusable: both messages were complete. Nothing is heard of it afterwards. */
void backend_release(struct backend **b, bool reusable);

#endif
