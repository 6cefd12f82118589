/* client: one accepted connection, exchange after exchange, until it is closed or becomes a tunnel. */
#ifndef UPGATE_GATEWAY_CLIENT_H
#define UPGATE_GATEWAY_CLIENT_H

#include "gateway/services.h"

#include <sys/socket.h>

/* Takes the stream, whatever comes of it. peer as accept gave it. */
void client_new(struct services *services, const struct conf_listener *listener, struct stream *stream, const struct sockaddr *peer);
/* The gateway drains: idle connections are closed, busy ones after their exchange. */
void client_drain_all(struct services *services);
void client_kill_all(struct services *services);

#endif
