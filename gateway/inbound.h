/* inbound: who is at the other end of an accepted connection, and on which side of a load balancer.
 *
 * Made by the listener from what the sockets say; a PROXY header may then tell the client behind the hop. Whoever holds the connection
 * holds one of these: the entry, then the client. It moves from hand to hand by being copied, and ends in inbound_ended or inbound_switched;
 * until then it holds the snapshot that its listener belongs to. */
#ifndef UPGATE_GATEWAY_INBOUND_H
#define UPGATE_GATEWAY_INBOUND_H

#include "gateway/services.h"
#include "protocol/headers.h"
#include "protocol/proxy_header.h"

#include <sys/socket.h>

struct tls_facts;

struct inbound {
    struct snapshot *snapshot;           /* held */
    const struct conf_listener *listener;        /* in the snapshot's conf */
    struct net_address hop;              /* the socket's peer */
    struct net_address client;           /* the hop, or whom the PROXY header of a trusted hop names */
    struct net_address local;            /* where it connected to: the socket's own address, or the PROXY header's destination */
    bool nameless;                       /* behind a hop that names no IP address: nobody's word is believed */
    bool trusted;                        /* the client is in listener->trusted: what its fields say of others is believed. Behind a PROXY
                                          * header every byte is the client's, so that the hop's good name does not count here */
    struct quota_share *share;           /* what counts the connection as the client's; NULL: nothing does */
    const struct tls_facts *tls;         /* NULL: clear text; lives as long as the stream */
    bool tls_ahead;                      /* the PROXY header says that the client spoke TLS with the hop */
    char address[NET_ADDRESS_TEXT];      /* of the client: numeric, or "unix" */
    char name[NET_NAME_TEXT];            /* … with its port, for the logs */
};

struct net_address inbound_address(const struct sockaddr *a);    /* NULL, or of another family: NET_UNKNOWN */
void inbound_init(struct inbound *in, struct snapshot *snapshot, const struct conf_listener *listener, const struct sockaddr *hop,
                  const struct sockaddr *local);
/* Goes over to the snapshot in force. false: its listener is not in that one's conf; it stays with the one it has. */
bool inbound_renew(struct inbound *in, struct snapshot *now);
/* The PROXY header of a trusted hop was read. */
void inbound_behind(struct inbound *in, const struct proxy_header *header);
/* Whose request this is: the client, or whom those fields name that a trusted client passed on. */
struct net_address inbound_real_client(const struct inbound *in, const struct headers *fields);
/* What a server is told by a PROXY header of that client; in NULL: that the gateway speaks for itself. Its spans live as long as `in`. */
struct proxy_header inbound_header(const struct inbound *in, const struct net_address *client);

/* The client spoke TLS, with the gateway or with the hop in front of it. */
static inline bool inbound_https(const struct inbound *in)
{
    return in->tls != NULL || in->tls_ahead;
}

/* One accepted connection is counted once when it comes and once when it goes, whoever holds it then. inbound_ended is the last thing to
 * be done: it tells the worker. A connection that becomes a tunnel is counted by the tunnel from there on. */
void inbound_arrived(struct services *services);
void inbound_ended(struct services *services, struct inbound *in, enum end_reason why);
void inbound_switched(struct services *services, struct inbound *in);

#endif
