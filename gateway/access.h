/* access: who may come in, and whose word counts: addresses against networks. */
#ifndef UPGATE_GATEWAY_ACCESS_H
#define UPGATE_GATEWAY_ACCESS_H

#include "conf/conf.h"
#include "protocol/net_address.h"

/* Whether one of the networks holds the address. */
bool access_in_networks(const struct conf_network *networks, size_t n, const struct net_address *address);

/* deny wins; with an allow list, whoever is not in it is not let in. */
bool access_admits(const struct conf_admission *admission, const struct net_address *address);

#endif
