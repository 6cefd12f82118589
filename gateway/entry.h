/* entry: what stands between accept and the first byte of HTTP. */
#ifndef UPGATE_GATEWAY_ENTRY_H
#define UPGATE_GATEWAY_ENTRY_H

#include "gateway/inbound.h"
#include "gateway/stream.h"

/* Takes the stream of a connection that was just accepted, whatever comes of it. */
void entry_new(struct services *services, struct stream *stream, const struct inbound *inbound);

#endif
