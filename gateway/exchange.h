/* exchange: one request and its response, or the switch.
 *
 * Begun with a parsed head; owns the client's stream while it lasts. The request half and the response half advance independently,
 * each as far as its input and its output allow; nothing is buffered between them. At the end the owner is told once, from the loop,
 * what may happen to the connection. tests/gateway/test_exchange.c */
#ifndef UPGATE_GATEWAY_EXCHANGE_H
#define UPGATE_GATEWAY_EXCHANGE_H

#include "gateway/inbound.h"

enum exchange_outcome {
    EXCHANGE_KEEP,                       /* the next request may follow on the connection */
    EXCHANGE_LINGER,                     /* everything is put: finish, let the client read, close */
    EXCHANGE_RESET,                      /* the response is cut: the client has to see a failure */
    EXCHANGE_GONE,                       /* the client is gone */
    EXCHANGE_SWITCHED,                   /* the stream was taken: it is a tunnel now */
};

/* What the connection lends its exchange. All of it outlives the exchange, except that *stream is NULL after a switch. */
struct exchange_client {
    struct stream **stream;
    struct http1_parse *parse;           /* stands behind the head */
    const struct inbound *inbound;       /* its snapshot is the one under which the request is served */
    const bool *last;                    /* no request may follow on the connection: this can become true at any time */
    void (*done)(void *ctx, enum exchange_outcome outcome);
    void *ctx;
};

struct exchange;

/* NULL: no memory. done never comes from inside this call. */
struct exchange *exchange_new(struct services *services, const struct exchange_client *client, const struct http1_head *head);
/* The head itself was faulty: an exchange that only answers. head may be NULL. */
struct exchange *exchange_new_refused(struct services *services, const struct exchange_client *client, enum end_reason why, enum fault fault);
/* The worker is ending at once: everything goes, done is not called. */
void exchange_kill(struct exchange *x);

#endif
