/* stream_tls_parts: what tls_handshake and stream_tls share: the stream while its handshake is not over. Nobody else includes it. */
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

#endif
