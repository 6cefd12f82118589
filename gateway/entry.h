/* entry: what stands between accept and the first byte of HTTP: a PROXY header, TLS.
 *
 * Owns the connection until everything in front of HTTP is read, and then hands it to a client; or to a pass-through, when its TLS
 * hello says so. A listener that wants nothing in front has no entry: its connections are clients at once. tests/gateway/test_entry.c */
#ifndef UPGATE_GATEWAY_ENTRY_H
#define UPGATE_GATEWAY_ENTRY_H

#include "gateway/inbound.h"

/* Takes the stream of a connection that was just accepted, whatever comes of it, and copies inbound. */
void entry_new(struct services *services, struct stream *stream, const struct inbound *inbound);
/* The gateway drains: connections that have said nothing yet are closed; the others go on until their deadline. */
void entry_drain_all(struct services *services);
void entry_kill_all(struct services *services);

#endif
