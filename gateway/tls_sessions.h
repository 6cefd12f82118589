/* tls_sessions: what earlier connections to servers left behind, to begin the next ones with less work: the latest session for each server,
 * the least recently used one going when there are too many. A session is only ever used with the context that it was made with: what was
 * verified then is what would be verified now. */
#ifndef UPGATE_GATEWAY_TLS_SESSIONS_H
#define UPGATE_GATEWAY_TLS_SESSIONS_H

#include "gateway/tls_session.h"

#define TLS_SESSIONS_MAX 128             /* per loop; some KiB each */

struct tls_sessions;

struct tls_sessions *tls_sessions_new(void);             /* NULL: no memory */
void tls_sessions_free(struct tls_sessions *c);          /* NULL is legal */
/* server: how the configuration writes it. NULL: none is there. Good until the next call of any of these. */
const mbedtls_ssl_session *tls_sessions_get(struct tls_sessions *c, const struct tls_ctx *ctx, const char *server);
/* Keeps what the session of this connection has become. Without memory nothing is kept. */
void tls_sessions_put(struct tls_sessions *c, const char *server, const struct tls_session *from);
/* The session was offered, and the handshake failed: what the server was it may not be any more (another version, other keys). */
void tls_sessions_drop(struct tls_sessions *c, const struct tls_ctx *ctx, const char *server);

#endif
