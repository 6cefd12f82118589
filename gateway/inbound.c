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

static void use_listener(struct inbound *in, struct snapshot *snapshot, const struct conf_listener *listener)
{
    in->snapshot = snapshot_hold(snapshot);
    in->listener = listener;
    in->trusted = access_in_networks(listener->trusted, listener->trusted_n, &in->client);
}

void inbound_init(struct inbound *in, struct snapshot *snapshot, const struct conf_listener *listener, const struct sockaddr *hop,
                  const struct sockaddr *local)
{
    *in = (struct inbound){ .hop = inbound_address(hop), .local = inbound_address(local) };
    in->client = in->hop;
    use_listener(in, snapshot, listener);
    net_address_print(&in->client, in->address);
    net_address_print_name(&in->client, in->name);
}

bool inbound_renew(struct inbound *in, struct snapshot *now)
{
    struct snapshot *before = in->snapshot;
    const struct conf_listener *listener;

    if (now == before)
        return true;
    listener = generation_same_listener(now->conf, before->conf, in->listener);
    if (listener == NULL)
        return false;
    use_listener(in, now, listener);
    snapshot_release(&before);
    return true;
}

void inbound_arrived(struct services *services)
{
    metrics_add(&services->metrics->connections, 1);
    metrics_add(&services->metrics->connections_open, 1);
}

void inbound_switched(struct services *services, struct inbound *in)
{
    snapshot_release(&in->snapshot);
    metrics_ended(services->metrics, METRICS_CONNECTION, END_SWITCHED);
    metrics_sub(&services->metrics->connections_open, 1);
}

void inbound_ended(struct services *services, struct inbound *in, enum end_reason why)
{
    snapshot_release(&in->snapshot);
    metrics_ended(services->metrics, METRICS_CONNECTION, why);
    metrics_sub(&services->metrics->connections_open, 1);
    services->connection_ended(services->connection_ended_ctx);
}
