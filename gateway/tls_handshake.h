/* tls_handshake: from a connected stream to one that speaks TLS, or one reason why not.
 *
 * The arithmetic is done by the helpers (tls_helpers.h), so that nobody else on the loop waits for it. Deadlines are the owner's: it
 * cancels. The answer comes once, from the loop, never from inside a tls_handshake_*() call.
 *
 * Of clients, only so many handshakes are in progress at once (tls_loop's places); a client that has to wait for a place is not read
 * meanwhile. When others wait, a client that has kept its place for long without sending anything loses it.
 *
 * What can go wrong, in order: a client does not speak TLS (END_HELLO_FAULT, where it is plain text, or END_TLS_FAILED), no memory,
 * the handshake fails (END_TLS_FAILED: the words say why), the peer goes away in the middle (END_TLS_CUT), or is too slow (END_TLS_TIMEOUT).
 * tests/gateway/test_tls_handshake.c */
#ifndef UPGATE_GATEWAY_TLS_HANDSHAKE_H
#define UPGATE_GATEWAY_TLS_HANDSHAKE_H

#include "gateway/stream_tls.h"

struct tls_handshake;

struct tls_answer {
    struct stream *stream;               /* NULL: failed; otherwise the caller owns it, and stream_tls_facts tells of it */
    struct stream *below;                /* failed: the connection as it was given, the alert put on it; the caller finishes and closes it */
    enum end_reason why;
    const char *words;                   /* static; NULL: nothing beyond why */
};
typedef void tls_answered(void *ctx, const struct tls_answer *answer);

/* Both take *below, whatever comes of it, and a hold of c. NULL: no memory; *below is then still the caller's. */
struct tls_handshake *tls_handshake_with_client(struct tls_loop *l, struct stream **below, struct tls_ctx *c, tls_answered *answered,
                                                void *ctx);
/* name: whom to ask for, and whose certificate it must be; the context's own server_name goes before it. server: under which name sessions
 * are kept. */
struct tls_handshake *tls_handshake_with_server(struct tls_loop *l, struct stream **below, struct tls_ctx *c, const char *name,
                                                const char *server, tls_answered *answered, void *ctx);
/* NULL-safe, and idempotent through *h: the connection is closed and nothing more is heard. */
void tls_handshake_cancel(struct tls_handshake **h);
/* A client that has said nothing at all yet. */
bool tls_handshake_is_silent(const struct tls_handshake *h);

#endif
