/* tls_loop: what the TLS connections of one loop share: scratch buffers, the way to the helpers, the places for handshakes in progress, and
 * the sessions to resume with servers. */
#ifndef UPGATE_GATEWAY_TLS_LOOP_H
#define UPGATE_GATEWAY_TLS_LOOP_H

#include "gateway/parting.h"
#include "gateway/metrics.h"
#include "gateway/ready.h"
#include "gateway/timers.h"
#include "gateway/tls_ctx.h"
#include "gateway/tls_helpers.h"

#define TLS_PLAIN_BYTES 65536            /* decrypted at once, at most */
#define TLS_RECORD_BYTES 16384           /* RFC 8446 section 5.1: the most that one record holds */
#define TLS_CIPHER_BYTES (TLS_RECORD_BYTES + 2048)       /* encrypted at once, at most */

struct tls_sessions;

/* The library's own for one record each way, shared by sessions at rest (tls_rest.h). NULL: none yet, or in use. */
struct tls_buffers {
    uint8_t *in, *out;
};

struct tls_loop {
    struct ready_queue *ready;
    struct timers *timers;
    struct metrics *metrics;
    struct tls_helpers *helpers;         /* NULL: this loop does the arithmetic itself, a step each turn */
    struct tls_home home;
    struct tls_sessions *sessions;
    struct tls_buffers buffers;
    uint8_t *plain, *join, *cipher;      /* scratch: TLS_PLAIN_BYTES, TLS_RECORD_BYTES, TLS_CIPHER_BYTES */
    size_t open;                         /* streams and handshakes that are not yet freed */
    struct partings partings;          /* closed connections whose alert or close_notify is not out */
    /* handshakes with clients: see tls_handshake.c */
    size_t places, places_max;
    struct list queue;                   /* those that wait for a place */
    struct list stalled;                 /* those whose client has the word, the longest first */
    struct timer give_way;               /* when the longest of them loses its place */
};

struct tls_loop_start {
    struct ready_queue *ready;
    struct timers *timers;
    struct metrics *metrics;
    struct tls_helpers *helpers;
    size_t places;
    void (*wake)(void *ctx);             /* from any thread: call tls_home_collect(&loop->home) from the loop, soon */
    void *ctx;
};

/* 0, or -ENOMEM. */
int tls_loop_init(struct tls_loop *l, const struct tls_loop_start *start);
/* Nothing may be open, away, or on its way out. */
void tls_loop_free(struct tls_loop *l);

#endif
