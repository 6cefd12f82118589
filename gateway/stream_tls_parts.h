/* stream_tls_parts: what the files of a stream over TLS share among themselves, and with tls_handshake: the stream while its handshake is not
 * over. Nobody else includes it.
 *
 *   stream_tls_output.c      failures; ciphertext on its way down; what goes is encrypted
 *   stream_tls_input.c       what comes is decrypted, shown and kept; sends what the session answers to it
 *   stream_tls.c             the life of a stream and the loop's calls: knows both */
#ifndef UPGATE_GATEWAY_STREAM_TLS_PARTS_H
#define UPGATE_GATEWAY_STREAM_TLS_PARTS_H

#include "gateway/hold.h"
#include "gateway/stream_tls.h"
#include "gateway/tls_session.h"

struct stream_tls {
    struct stream base;
    struct tls_loop *loop;
    struct stream *below;                /* NULL until the handshake is over */
    struct tls_session session;
    char *server;                        /* of a client: under which name its sessions are kept; NULL: they are not */
    struct ready ready;
    const uint8_t *view;                 /* the unconsumed part of the scratch buffer, only inside `readable` */
    size_t view_n;
    struct hold *in;                     /* what the owner left */
    struct hold *put;                    /* bytes put and not yet encrypted */
    bool more;                           /* the library holds more that is decrypted than there was room for */
    bool take_in;                        /* look for input at the next turn … */
    bool announce;                       /* … and tell a new owner of what is there */
    bool tell_writable;                  /* the owner was told "blocked" */
    bool finishing;
    bool in_event, closing;
};

/* NULL: no memory. name and server of a client, NULL of a server. */
struct stream_tls *stream_tls_new(struct tls_loop *l, struct tls_ctx *ctx, const char *name, const char *server);
void stream_tls_free(struct stream_tls *s);
/* The handshake is over: takes the stream below, and becomes a stream. */
struct stream *stream_tls_open(struct stream_tls *s, struct stream **below);

static inline struct stream_tls *stream_tls_of(struct stream *s)
{
    return (struct stream_tls *)(void *)s;
}

static inline void stream_tls_call_soon(struct stream_tls *s)
{
    ready_add(s->loop->ready, &s->ready);
}

static inline void stream_tls_input_ends(struct stream_tls *s, enum stream_input how, int error)
{
    s->base.input = how;
    s->base.input_error = (int16_t)error;
}

/* stream_tls_output.c */
void stream_tls_output_failed(struct stream_tls *s, int error);
void stream_tls_failed(struct stream_tls *s);    /* the session says why: both directions end */
void stream_tls_bio_begin(struct stream_tls *s, bool reading);   /* around what may write ciphertext … */
int stream_tls_bio_end(struct stream_tls *s);    /* … which goes down: 0, or negative errno */
void stream_tls_flush_put(struct stream_tls *s);
void stream_tls_say_goodbye(struct stream_tls *s);       /* close_notify */
ssize_t stream_tls_send(struct stream *base, struct span data);
int stream_tls_put(struct stream *base, struct span data);
int stream_tls_finish(struct stream *base);

/* stream_tls_input.c */
bool stream_tls_take_in(struct stream_tls *s);   /* true: the owner was told of something */
size_t stream_tls_peek(struct stream *base, const uint8_t **p);
void stream_tls_consume(struct stream *base, size_t n);

#endif
