/* backend_fcgi: an origin that speaks FastCGI (specification 1.0), as responder.
 *
 * The request goes out as parameters and STDIN, the answer comes as a CGI reply and is told in the words of http1_parse. */
#ifndef UPGATE_GATEWAY_BACKEND_FCGI_H
#define UPGATE_GATEWAY_BACKEND_FCGI_H

#include "gateway/backend.h"

/* As backend_h1_new. What makes the request unfit to be told to an application (its path names no script) is END_REFUSED with the
 * fault, and no server has heard of it. */
struct backend *backend_fcgi_new(struct services *services, struct server *server, const struct backend_request *request, bool fresh,
                                 uint64_t connect_timeout_ms, void (*progress)(void *ctx), void *ctx);

#endif
