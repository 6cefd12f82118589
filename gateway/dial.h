/* dial: an address from the configuration to a connected stream, or one failure with its reason.
 *
 * All addresses of a name are tried (race.h) until the deadline, which covers everything: name, connections. The answer
 * comes from the loop, never from inside dialer_start. Tests hand in a dialer of their own that gives scripted streams. */
#ifndef UPGATE_GATEWAY_DIAL_H
#define UPGATE_GATEWAY_DIAL_H

#include "conf/conf.h"
#include "gateway/stream.h"

struct dial;

struct dial_answer {
    struct stream *stream;               /* NULL: failed; otherwise the caller owns it */
    enum end_reason why;                 /* END_CONNECT_FAILED, END_CONNECT_TIMEOUT, END_RESOLVE_FAILED, END_NO_MEMORY */
    const char *detail;                  /* "connection refused"; static */
};
typedef void dial_answered(void *ctx, const struct dial_answer *answer);

struct dialer {
    /* NULL: no memory. The dial is gone when `answered` is called, or after cancel. */
    struct dial *(*start)(struct dialer *d, const struct conf_address *to, uint64_t timeout_ms, dial_answered *answered, void *ctx);
    void (*cancel)(struct dialer *d, struct dial *dial);
};

struct stream_uv_loop;
struct timers;
struct resolver;
/* The real one. NULL: no memory. */
struct dialer *dialer_uv_new(struct stream_uv_loop *loop, struct timers *timers, struct resolver *resolver);
void dialer_uv_free(struct dialer *d);

#endif
