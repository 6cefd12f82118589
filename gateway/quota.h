/* quota: what one client may take of the gateway, counted over all workers.
 *
 * A client is an IPv4 address, or the /64 of an IPv6 address, since whoever has one address of a /64 mostly has all of it. UNIX sockets
 * and clients without an address are not counted. Two books:
 *
 *   connections   exact: an entry lives as long as one of its connections (or the tunnel it became)
 *   rates         a token bucket per client and kind, in a table of fixed size: QUOTA_CLIENTS at most; where a place is needed, whoever
 *                 is nearest to a full bucket gives way, and comes back with a full one
 *
 * Places are found by a keyed hash, so that nobody can choose whom to push out. Any thread may call any of this; nothing here blocks
 * longer than a few steps take. tests/gateway/test_quota.c */
#ifndef UPGATE_GATEWAY_QUOTA_H
#define UPGATE_GATEWAY_QUOTA_H

#include "conf/conf.h"
#include "protocol/net_address.h"

#define QUOTA_CLIENTS 65536              /* whose rates are known at once */

struct quota;
struct quota_share;                      /* one client's open connections */
enum quota_kind { QUOTA_HANDSHAKES, QUOTA_REQUESTS, QUOTA_KINDS };

struct quota *quota_new(void);                           /* NULL: no memory */
void quota_free(struct quota *q);                        /* nothing may be open; NULL is legal */

/* One more connection. false: the client has so many already, or (limit 0: off) there is no memory to count it. *share_out is NULL where
 * nothing is counted; otherwise quota_disconnect follows. */
bool quota_connect(struct quota *q, const struct net_address *client, unsigned limit, struct quota_share **share_out);
void quota_disconnect(struct quota *q, struct quota_share **share);      /* NULL-safe through *share */

/* One of a kind. 0: it is taken; otherwise nothing is, and so many milliseconds have to pass. */
uint64_t quota_take(struct quota *q, enum quota_kind kind, const struct net_address *client, const struct conf_rate *rate,
                    uint64_t now_ms);

#endif
