/* access: who may come in, and whose word counts: addresses against networks. */
#ifndef UPGATE_GATEWAY_ACCESS_H
#define UPGATE_GATEWAY_ACCESS_H

#include "conf/conf.h"

#include <sys/socket.h>

/* Whether one of the networks holds the address; an IPv4 address mapped into IPv6 counts as the IPv4 address. */
bool access_in_networks(const struct conf_network *networks, size_t n, const struct sockaddr *address);

#endif
