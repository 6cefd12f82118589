/* load: the clients and the origin of the benchmarks, in one process that plays both ends of the proxy and counts in between. */
#ifndef UPGATE_TESTS_BENCH_LOAD_H
#define UPGATE_TESTS_BENCH_LOAD_H

#include "tests/bench/net.h"

/* The example of RFC 6455 section 1.3: every handshake here uses it. */
#define LOAD_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define LOAD_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define LOAD_BODY "Hello from the origin behind the proxy, some fifty bytes.\n"
#define LOAD_FRAME_MAX_BYTES (1 << 20)

enum load_kind {
    LOAD_ECHO,                           /* a message, its echo, the next message */
    LOAD_ONEWAY,                         /* message upon message, as fast as they are taken */
    LOAD_IDLE,                           /* one message and its echo, then silence */
    LOAD_CYCLE,                          /* connect, upgrade, Close both ways, end, again */
    LOAD_VISITS,                         /* connect, GET what the proxy answers by itself, end, again */
    LOAD_PACED,                          /* a message and its echo, whenever clients_pace says so */
    LOAD_REQUESTS,                       /* GET upon GET on a kept connection */
    LOAD_POSTS,                          /* POST upon POST, each of message_bytes, which have to come back */
    LOAD_KINDS
};

/* ---- origin.c ---- */
struct origin_counts {
    uint64_t sunk_bytes;                 /* payload and headers, on /sink */
    size_t open;                         /* connections */
};
extern struct origin_counts origin_counts;
unsigned origin_start(void);             /* the port */
unsigned origin_start_secure(void);      /* the same over TLS, after secure_serve */

/* ---- clients.c ---- */
struct run {
    enum load_kind kind;
    unsigned port;
    size_t connections;
    size_t message_bytes;                /* payload */
    size_t each;                         /* messages, requests or cycles of one connection */
    bool secure;                         /* over TLS, as secure_clients said */
};
struct run_counts {
    uint64_t done;                       /* round trips, cycles, responses */
    uint64_t failed;
    size_t open;                         /* past their handshake (or connect) */
};
extern struct run_counts run_counts;
extern size_t run_frame_bytes;           /* one message on the wire, masked */
void clients_start(const struct run *run);       /* adds connections, quiet ones; those that are there stay */
void clients_begin(void);                /* all are open: now they do what they are for (LOAD_IDLE: has been done) */
void clients_again(size_t message_bytes);        /* LOAD_IDLE: once more on each, a message of that size */
/* LOAD_PACED: a message on one that is quiet, LOAD_VISITS: one visit; as if begun when it was due. False: none is quiet. */
bool clients_pace(uint64_t due_ns);
void clients_stop(void);                 /* all of them */

/* ---- latency.c ---- */
void latency_note(uint64_t ns);
/* So many per second for so long, whether the proxy keeps up or not (an open loop); then waits for those under way. NULL, or what went wrong. */
const char *latency_pace(unsigned per_second, double seconds);
void latency_print(void);                /* "COUNT P50 P99 P999 MOST FAILED", in microseconds */

#endif
