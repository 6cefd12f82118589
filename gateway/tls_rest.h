/* tls_rest: how little of an open connection the library needs while nothing happens on it.
 *
 * mbedTLS gives each connection a buffer for the largest record either way, and keeps of a TLS 1.3 handshake all that it worked with, until the
 * connection ends. Here it loses both: the connections of one loop share one pair of buffers, each while it is worked on. What a buffer held
 * that is still needed stays with the session: the counter of records, and a record that has come in part, or was not all taken.
 *
 * These are the library's own structures, as they are throughout 3.6, a release with long-term support; tests/gateway/test_stream_tls.c */
#ifndef UPGATE_GATEWAY_TLS_REST_H
#define UPGATE_GATEWAY_TLS_REST_H

#include "gateway/tls_loop.h"
#include "gateway/tls_session.h"

void tls_buffers_free(struct tls_buffers *b);    /* no session uses them */

/* After the handshake, and after each use. The first that comes to rest leaves its buffers to those that follow. False: no memory for what has
 * to stay, and the session has failed by it. */
bool tls_rest(struct tls_session *s, struct tls_buffers *b);
/* Before each use. reading: not only to write. */
void tls_wake(struct tls_session *s, struct tls_buffers *b, bool reading);

#endif
