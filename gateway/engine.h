/* engine: what the control loop needs to make connections of its own: timers, ready queue, sockets, TLS, a resolver; as a worker has them, but
 * within libuv's loop, which has other things to wait for.
 *
 * engine_turn stands in place of uv_run. At the end: whoever uses its services is freed, turns go on until engine_is_quiet, then
 * engine_close, the loop runs dry, engine_free. */
#ifndef UPGATE_GATEWAY_ENGINE_H
#define UPGATE_GATEWAY_ENGINE_H

#include "gateway/services.h"
#include "gateway/stream_uv.h"

struct engine {
    struct services services;            /* timers, ready, dialer, tls, metrics; nothing else */
    uv_loop_t *uv;
    uv_timer_t beat;                     /* something is due */
    uv_async_t helped;                   /* some handshake has come back from the helpers */
    struct timers timers;
    struct ready_queue ready;
    struct stream_uv_loop streams;
    struct tls_loop tls;
    struct resolver *resolver;
    bool tls_made, closed;
};

/* 0, or -ENOMEM; engine_close and engine_free are due in either case. */
int engine_open(struct engine *e, uv_loop_t *uv, struct metrics *metrics, struct tls_helpers *helpers);
void engine_turn(struct engine *e);
bool engine_is_quiet(const struct engine *e);    /* no stream, no handshake is left */
void engine_close(struct engine *e);             /* idempotent */
void engine_free(struct engine *e);              /* the loop has run dry */

#endif
