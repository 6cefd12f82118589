#include "gateway/inbound.h"
#include "gateway/access.h"
#include "gateway/tls_facts.h"
#include "protocol/forwarded_walk.h"

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

static void judge(struct inbound *in)
{
    in->trusted = !in->nameless && access_in_networks(in->listener->trusted, in->listener->trusted_n, &in->client);
}

static void set_client(struct inbound *in, const struct net_address *client)
{
    in->client = *client;
    net_address_print(client, in->address);
    net_address_name(client, in->address, in->name);
}

static void use_listener(struct inbound *in, struct snapshot *snapshot, const struct conf_listener *listener)
{
    in->snapshot = snapshot_hold(snapshot);
    in->listener = listener;
    judge(in);
}

void inbound_init(struct inbound *in, struct snapshot *snapshot, const struct conf_listener *listener, const struct sockaddr *hop,
                  const struct sockaddr *local)
{
    *in = (struct inbound){ .hop = inbound_address(hop), .local = inbound_address(local) };
    set_client(in, &in->hop);
    use_listener(in, snapshot, listener);
}

/* A hop that speaks for somebody it does not name is no reason to believe what that somebody says; nor is a UNIX socket on the hop's own
 * machine one that `trusted` can mean. tests/gateway/test_entry.c: trust_* */
void inbound_behind(struct inbound *in, const struct proxy_header *header)
{
    if (header->kind == PROXY_HEADER_ADDRESSES) {
        set_client(in, &header->source);
        in->local = header->destination;
    }
    in->nameless = header->kind == PROXY_HEADER_UNKNOWN || (header->kind == PROXY_HEADER_ADDRESSES && in->client.family == NET_UNIX);
    judge(in);
    in->tls_ahead = header->has_tls;
}

static bool is_trusted(void *ctx, const struct net_address *a)
{
    const struct conf_listener *listener = ctx;

    return access_in_networks(listener->trusted, listener->trusted_n, a);
}

struct net_address inbound_real_client(const struct inbound *in, const struct headers *fields)
{
    bool rfc7239 = in->listener->real_address == CONF_REAL_FORWARDED;

    if (!in->trusted || in->listener->real_address == CONF_REAL_OFF)
        return in->client;
    return forwarded_walk(fields, rfc7239 ? FORWARDED_RFC7239 : FORWARDED_X_FORWARDED_FOR, &in->client, is_trusted,
                          (void *)(uintptr_t)in->listener);
}

static void tell_tls(const struct inbound *in, struct proxy_header *h)
{
    const struct tls_facts *f = in->tls;

    h->has_tls = inbound_https(in);
    if (f == NULL)
        return;
    h->authority = span_of_text(f->sni);
    h->tls.version = span_of_text(f->version);
    h->tls.cipher = span_of_text(f->cipher);
    h->tls.certificate = h->tls.verified = f->peer != NULL;
    h->tls.common_name = f->peer != NULL ? span_of_text(f->peer->common_name) : SPAN_EMPTY;
}

/* What TLS proved, it proved of the connection's client, and not of one who is further behind it. tests/gateway/test_outbound.c: tls_* */
struct proxy_header inbound_header(const struct inbound *in, const struct net_address *client)
{
    struct proxy_header h;

    if (in == NULL)
        return (struct proxy_header){ .kind = PROXY_HEADER_LOCAL };
    h = (struct proxy_header){ .kind = PROXY_HEADER_ADDRESSES, .source = *client, .destination = in->local };
    if (net_address_equal(client, &in->client))
        tell_tls(in, &h);
    return h;
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
    in->share = NULL;                    /* the tunnel has it */
    snapshot_release(&in->snapshot);
    metrics_ended(services->metrics, METRICS_CONNECTION, END_SWITCHED);
    metrics_sub(&services->metrics->connections_open, 1);
}

void inbound_ended(struct services *services, struct inbound *in, enum end_reason why)
{
    quota_disconnect(services->quota, &in->share);
    snapshot_release(&in->snapshot);
    metrics_ended(services->metrics, METRICS_CONNECTION, why);
    metrics_sub(&services->metrics->connections_open, 1);
    services->connection_ended(services->connection_ended_ctx);
}
