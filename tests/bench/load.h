/* load: the clients and the origin of the benchmarks, in one process that can play both ends of a proxy and count in between. */
#ifndef UPGATE_TESTS_BENCH_LOAD_H
#define UPGATE_TESTS_BENCH_LOAD_H

#include "tests/bench/net.h"

/* The example of RFC 6455 section 1.3: every handshake here uses it. */
#define LOAD_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define LOAD_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define LOAD_BODY "Hello from the origin behind the proxy, some fifty bytes.\n"
#define LOAD_FRAME_MAX_BYTES (1 << 20)
#define LOAD_BYTES_PATH "/bytes/"        /* … and a number: that many bytes come back */

enum load_kind {
    LOAD_ECHO,                           /* messages and their echoes, `depth` of them on their way at a time */
    LOAD_ONEWAY,                         /* message upon message, as fast as they are taken */
    LOAD_IDLE,                           /* one message and its echo, then silence */
    LOAD_CYCLE,                          /* connect, upgrade, a message and its echo, Close both ways, end, again */
    LOAD_VISITS,                         /* connect, GET what the proxy answers by itself, end, again */
    LOAD_PACED,                          /* a message and its echo, whenever clients_pace says so */
    LOAD_REQUESTS,                       /* GET upon GET on a kept connection */
    LOAD_POSTS,                          /* POST upon POST, each of message_bytes, which have to come back */
    LOAD_DOWNLOADS,                      /* GET upon GET of message_bytes each */
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

/* ---- messages.c ---- */
struct run {
    enum load_kind kind;
    unsigned port;
    size_t connections;
    size_t message_bytes;                /* payload */
    size_t each;                         /* messages, requests or cycles of one connection */
    size_t depth;                        /* echo: messages on their way at a time; 0 is 1 */
    bool binary;                         /* otherwise text */
    bool secure;                         /* over TLS, as secure_clients said */
    const char *host, *path;             /* NULL: bench.example, and the origin's for the kind */
};

struct messages {
    uint8_t *stream, *reply;             /* what is sent: frames, or one request; what has to come back: a frame, or a body */
    size_t stream_bytes, frame_bytes, reply_bytes;
    char offer[1024];
    size_t offer_bytes;
};
extern struct messages messages;         /* of the run */
void messages_make(const struct run *run);
void messages_put_words(uint8_t *out, size_t n);

/* ---- clients.c ---- */
struct run_counts {
    uint64_t done;                       /* round trips, cycles, responses */
    uint64_t failed;
    size_t open;                         /* past their handshake (or connect) */
};
extern struct run_counts run_counts;
void clients_start(const struct run *run);       /* adds connections, quiet ones; those that are there stay */
void clients_begin(void);                /* all are open: now they do what they are for (LOAD_IDLE: has been done) */
/* LOAD_IDLE: once more on each, a message of that size; on so many of them at a time, as long as none fails. */
void clients_again(size_t message_bytes, size_t at_once);
/* LOAD_PACED: a message on one that is quiet, LOAD_VISITS: one visit; as if begun when it was due. False: none is quiet. */
bool clients_pace(uint64_t due_ns);
void clients_stop(void);                 /* all of them */
void clients_forget(size_t n);           /* so many */
/* ---- latency.c ---- */
void latency_note(uint64_t ns);
/* So many per second for so long, whether the proxy keeps up or not (an open loop); then waits for those under way. NULL, or what went wrong. */
const char *latency_pace(unsigned per_second, double seconds);
struct latency {
    size_t count;
    double p50_us, p99_us, p999_us, most_us;
};
struct latency latency_found(void);      /* of those that were noted since latency_pace began */

#endif
