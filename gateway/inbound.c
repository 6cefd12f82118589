#include "gateway/inbound.h"
#include "gateway/access.h"

#include <arpa/inet.h>
#include <netinet/in.h>

struct net_address inbound_address(const struct sockaddr *a)
{
    const struct sockaddr_in *v4 = (const void *)a;
    const struct sockaddr_in6 *v6 = (const void *)a;

    if (a != NULL && a->sa_family == AF_INET)
        return net_address_ip4((const uint8_t *)&v4->sin_addr, ntohs(v4->sin_port));
    if (a != NULL && a->sa_family == AF_INET6)
        return net_address_ip6(v6->sin6_addr.s6_addr, ntohs(v6->sin6_port));
    return (struct net_address){ .family = a != NULL && a->sa_family == AF_UNIX ? NET_UNIX : NET_UNKNOWN };
}

void inbound_init(struct inbound *in, const struct conf_listener *listener, const struct sockaddr *hop, const struct sockaddr *local)
{
    *in = (struct inbound){ .listener = listener, .hop = inbound_address(hop), .local = inbound_address(local) };
    in->client = in->hop;
    in->trusted = access_in_networks(listener->trusted, listener->trusted_n, &in->client);
    net_address_print(&in->client, in->address);
    net_address_print_name(&in->client, in->name);
}

void inbound_arrived(struct services *services)
{
    metrics_add(&services->metrics->connections, 1);
    metrics_add(&services->metrics->connections_open, 1);
}

void inbound_switched(struct services *services)
{
    metrics_ended(services->metrics, METRICS_CONNECTION, END_SWITCHED);
    metrics_sub(&services->metrics->connections_open, 1);
}

void inbound_ended(struct services *services, enum end_reason why)
{
    metrics_ended(services->metrics, METRICS_CONNECTION, why);
    metrics_sub(&services->metrics->connections_open, 1);
    services->connection_ended(services->connection_ended_ctx);
}
