/* route: a request to the first route that matches it. */
#ifndef UPGATE_GATEWAY_ROUTE_H
#define UPGATE_GATEWAY_ROUTE_H

#include "conf/conf.h"
#include "protocol/rules.h"

/* NULL: none matches. Hosts are compared as host_parse made them, paths as target_parse normalised them. */
const struct conf_route *route_find(const struct conf *conf, const struct conf_listener *listener, struct span method,
                                    const struct rules_request *request);
/* A path with %2f takes one route when the backend reads it as a slash, and another when it does not: nobody can say which is meant. */
bool route_is_ambiguous(const struct conf *conf, const struct conf_listener *listener, struct span method,
                        const struct rules_request *request);

#endif
