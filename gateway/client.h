/* client: one accepted connection, exchange after exchange, until it is closed or becomes a tunnel. */
#ifndef UPGATE_GATEWAY_CLIENT_H
#define UPGATE_GATEWAY_CLIENT_H

#include "gateway/inbound.h"

/* Takes the stream, whatever comes of it, and copies inbound; the connection was counted when it arrived. */
void client_new(struct services *services, struct stream *stream, const struct inbound *inbound);
/* The same for a connection that gets one answer, to nothing in particular, and no chance to ask. */
void client_refuse(struct services *services, struct stream *stream, const struct inbound *inbound, enum end_reason why, enum fault fault);
/* The gateway drains: idle connections are closed, busy ones after their exchange. */
void client_drain_all(struct services *services);
/* Another snapshot is in force. Those that are between two requests take it. Those whose listener it does not have go on as before to the
 * end of their request, and are closed then; at once where they are idle. */
void client_renew_all(struct services *services);
void client_kill_all(struct services *services);

#endif
