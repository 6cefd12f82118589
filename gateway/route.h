/* route: a request to the first route that matches it. */
#ifndef UPGATE_GATEWAY_ROUTE_H
#define UPGATE_GATEWAY_ROUTE_H

#include "conf/conf.h"
#include "protocol/rules.h"

/* NULL: none matches. Hosts are compared as host_parse made them, paths as target_parse normalised them. */
const struct conf_route *route_find(const struct conf *conf, const struct conf_listener *listener, struct span method,
                                    const struct rules_request *request);

#endif
