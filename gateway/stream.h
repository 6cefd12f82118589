/* stream: the byte-stream contract that everything above speaks: TCP, UNIX sockets, TLS, a test's script.
 *
 * Reading is pull. What is there is peeked and stays until it is consumed; a stream whose input is full stops reading, which is
 * all the backpressure there is. What follows a head stays peekable when the stream changes its owner.
 *
 * Writing takes what the peer takes. stream_send never keeps more than it says it took, and may take nothing (`writable` tells when
 * to go on). stream_put is for the gateway's own small bytes (a head, a chunk size, a Close frame): it is taken whole, gathered with
 * what else is written in the same turn of the loop, and goes before later sends. Its callers are bounded by construction: one head
 * per exchange, one Close per tunnel; check stream_blocked before producing more.
 *
 * Errors are sticky, and there is one for each direction: a peer that no longer reads may still have said why. Events come from the
 * loop only, never from inside a stream_*() call. After stream_close the owner hears nothing more; the memory goes by itself.
 *
 * What can go wrong, in order: no memory (-ENOMEM), the connection is reset (-ECONNRESET), the peer stopped reading for good (-EPIPE), the network
 * (-ETIMEDOUT, -EHOSTUNREACH …). All are negative errno values. */
#ifndef UPGATE_GATEWAY_STREAM_H
#define UPGATE_GATEWAY_STREAM_H

#include "gateway/end_reason.h"
#include "protocol/span.h"

#include <errno.h>
#include <sys/types.h>

struct stream_events {
    void (*readable)(void *ctx);         /* stream_peek grew, or the end or a failure of the input is now visible */
    void (*writable)(void *ctx);         /* a send that took less may be tried again; or everything put is out, or output failed */
};

enum stream_input {
    STREAM_OPEN,                         /* more may come */
    STREAM_EOF,                          /* nothing comes after what can be peeked */
    STREAM_FAILED,                       /* nothing comes after what can be peeked, and not by the peer's orderly decision */
};

struct stream;
/* Somebody who does not own the stream and wants to know when it is closed, whoever owns it then. */
struct stream_watch {
    void (*closed)(struct stream_watch *w);
};

struct stream_ops {
    size_t (*peek)(struct stream *s, const uint8_t **p);
    void (*consume)(struct stream *s, size_t n);
    ssize_t (*send)(struct stream *s, struct span data);
    int (*put)(struct stream *s, struct span data);
    int (*finish)(struct stream *s);
    void (*close)(struct stream *s, bool reset);
    void (*owner_changed)(struct stream *s);
    uint64_t (*unacknowledged)(struct stream *s, uint64_t *acknowledged_out);
    ssize_t (*splice)(struct stream *to, struct stream *from, size_t n);         /* NULL: never. n 0: stream_glance */
    const char *(*input_words)(const struct stream *s);  /* NULL: there are none */
};

struct stream {                          /* two for each tunnel: small */
    const struct stream_ops *ops;
    const struct stream_events *events;
    void *ctx;
    struct stream_watch *watch;          /* or NULL */
    uint64_t bytes_in, bytes_out;        /* over its life */
    int16_t input_error;                 /* 0, or negative errno with STREAM_FAILED */
    int16_t output_error;                /* 0, or negative errno, sticky */
    enum stream_input input : 8;
    enum end_reason input_why : 8;       /* with STREAM_FAILED: what the stream itself can say of it, or END_NONE */
    bool cut : 1;                        /* with STREAM_EOF: the peer did not say that it would end (TLS without close_notify). A message that
                                          * is delimited by nothing but the end is not complete; for all others it makes no difference */
    bool blocked : 1;                    /* bytes that were put or taken are not yet with the kernel */
};

/* Gives the stream to an owner. What is already there will be announced by `readable` from the loop. */
void stream_own(struct stream *s, const struct stream_events *events, void *ctx);
/* Moves a stream out of its holder's hands: *from becomes NULL. The old owner hears nothing more; stream_own follows. */
struct stream *stream_take(struct stream **from);

/* One watch, which outlives the stream. It hears once, from inside stream_close or stream_reset, when the stream is gone already. */
void stream_watch(struct stream *s, struct stream_watch *watch);

size_t stream_peek(struct stream *s, const uint8_t **p);     /* what is there, untouched until consumed; p is good until the next call */
void stream_consume(struct stream *s, size_t n);             /* n <= last peek; room means reading resumes */
ssize_t stream_send(struct stream *s, struct span data);     /* bytes taken; 0 = blocked; <0 = sticky error */
int stream_put(struct stream *s, struct span data);          /* 0 = taken whole; <0 = sticky error */
int stream_finish(struct stream *s);                         /* half-close after everything taken is out */
/* Moves up to n bytes that come next in `from`, unseen and not copied. Only where nothing of it has been read, and n is much. Bytes that left
 * `from` (lost when `to` fails with them: look at its output_error); 0 = nothing for now: go on when `from` is readable, which it says
 * without having read, or `to` is writable (or `from` has come to its end: see its input); <0 = to's sticky error, or STREAM_NO_SPLICE: not
 * these two, or not now. Peeking ends it: bytes are read again. */
#define STREAM_NO_SPLICE (-ENOTSUP)
#define STREAM_SPLICE_MOST ((size_t)1 << 30)             /* of n, which is not 0 */
ssize_t stream_splice(struct stream *to, struct stream *from, size_t n);
/* Much may come next in `from`, to be spliced to `to`. Little of it is shown at first, and is not yet taken from the kernel: what is not consumed of
 * it can still be spliced, together with what follows. */
void stream_glance(struct stream *to, struct stream *from);
/* Both NULL-safe and idempotent through *s, which becomes NULL. close drops what is not yet with the kernel: finish first, and wait
 * for stream_flushed, where it matters. reset makes the peer see a failure (RST), so that a cut message never looks complete; what was put
 * is offered to the kernel once before. */
void stream_close(struct stream **s);
void stream_reset(struct stream **s);

/* What the stream itself can say of the failure of its input, or of its being cut, in words, static; or NULL. */
const char *stream_input_words(const struct stream *s);
bool stream_flushed(const struct stream *s);                 /* everything taken is with the kernel, or never will be */
/* How many bytes on their way to the peer have not been acknowledged by its kernel, and how many have been over the stream's life (both as the
 * socket counts them: with TLS, of ciphertext). It costs a system call. */
uint64_t stream_unacknowledged(struct stream *s, uint64_t *acknowledged_out);

#endif
