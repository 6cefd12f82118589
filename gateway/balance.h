/* balance: which server of an upstream takes the next request. */
#ifndef UPGATE_GATEWAY_BALANCE_H
#define UPGATE_GATEWAY_BALANCE_H

#include "gateway/upstream.h"

/* Never NULL while an untried server is left; when all were tried, any of them again. `tried` has bit i set for servers[i]. */
struct server *balance_choose(struct upstream *u, uint64_t tried);

#endif
