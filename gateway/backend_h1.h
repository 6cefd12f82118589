/* backend_h1: an origin that speaks HTTP/1.1 (or answers in HTTP/1.0). */
#ifndef UPGATE_GATEWAY_BACKEND_H1_H
#define UPGATE_GATEWAY_BACKEND_H1_H

#include "gateway/backend.h"

/* Begins an attempt: a kept connection unless `fresh`, else a new one. NULL: no memory. The request's head is written when the
 * connection is there. `progress` never comes from inside this call. */
struct backend *backend_h1_new(struct services *services, struct server *server, const struct backend_request *request, bool fresh,
                               uint64_t connect_timeout_ms, void (*progress)(void *ctx), void *ctx);

#endif
