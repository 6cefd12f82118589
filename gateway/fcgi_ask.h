/* fcgi_ask: asks a FastCGI server, once, how many requests it takes on one connection (FCGI_GET_VALUES, section 4.1).
 *
 * On a connection of its own, since some servers end it when they are asked. A server that does not answer in time, ends the connection
 * or answers something else takes one. The answer is written into server->fcgi, and until it is there nobody multiplexes. */
#ifndef UPGATE_GATEWAY_FCGI_ASK_H
#define UPGATE_GATEWAY_FCGI_ASK_H

#include "gateway/services.h"

struct snapshot;

/* Does nothing when the server was asked already. `upstream` is of the snapshot, which is held meanwhile. */
void fcgi_ask(struct services *services, struct snapshot *snapshot, const struct conf_upstream *upstream, struct server *server);

#endif
