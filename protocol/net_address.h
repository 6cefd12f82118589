/* net_address: an IP address and a port as bytes, with the text of both; no structures of the system.
 *
 * Who a client is can be told by a socket, by a PROXY header or by a field: whatever told it, it is one of these. An IPv4 address
 * mapped into IPv6 is the IPv4 address everywhere, so that a client cannot be two. tests/protocol/test_net_address.c */
#ifndef UPGATE_PROTOCOL_NET_ADDRESS_H
#define UPGATE_PROTOCOL_NET_ADDRESS_H

#include "protocol/span.h"

enum net_family { NET_UNKNOWN, NET_IP4, NET_IP6, NET_UNIX };

struct net_address {
    enum net_family family;
    unsigned port;                       /* 0: not known */
    uint8_t bytes[16];                   /* network order; NET_IP4: the first 4 */
};

#define NET_ADDRESS_TEXT 46              /* room for an address, and for one with its port; terminating NUL included */
#define NET_NAME_TEXT 54

struct net_address net_address_ip4(const uint8_t bytes[4], unsigned port);
struct net_address net_address_ip6(const uint8_t bytes[16], unsigned port);
/* Numeric and nothing else: no brackets, no port, no zone, no leading zeros (RFC 3986 section 3.2.2). The port becomes 0. */
bool net_address_parse(struct span text, struct net_address *out);
bool net_address_parse_ip4(struct span text, uint8_t bytes[4]);
bool net_address_parse_ip6(struct span text, uint8_t bytes[16]);
bool net_address_equal(const struct net_address *a, const struct net_address *b);        /* the port, too */

/* "192.0.2.1", "2001:db8::1" (RFC 5952), "unix" or "unknown". */
void net_address_print(const struct net_address *a, char out[NET_ADDRESS_TEXT]);
/* "192.0.2.1:80", "[2001:db8::1]:80", "unix:" or "unknown"; without a port: "192.0.2.1", "[2001:db8::1]". */
void net_address_print_name(const struct net_address *a, char out[NET_NAME_TEXT]);
/* The same, where the address itself is printed by now. */
void net_address_name(const struct net_address *a, const char *address, char out[NET_NAME_TEXT]);

#endif
