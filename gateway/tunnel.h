/* tunnel: what a connection is after a validated 101: two pumps of verified WebSocket frames, and every way to end well.
 *
 * Owns both streams and itself; ends by itself. Keeps no buffer at rest. tests/gateway/test_tunnel.c */
#ifndef UPGATE_GATEWAY_TUNNEL_H
#define UPGATE_GATEWAY_TUNNEL_H

#include "gateway/access_log.h"
#include "gateway/services.h"

struct tunnel_start {
    struct stream *client, *server;      /* taken, whatever comes of it */
    struct snapshot *snapshot;           /* held for the tunnel's life: route, server_record and what request borrows belong to it */
    const struct conf_route *route;
    bool deflate;                        /* permessage-deflate was agreed */
    struct span protocol;                /* agreed subprotocol; copied */
    struct server *server_record;
    struct quota_share *share;           /* the client's connection as it is counted; taken with the streams */
    struct {                             /* for the record */
        struct span client, user, id, trace_id, target, host;    /* address:port, and of the request; copied */
        const char *listener;            /* borrowed from the snapshot */
    } names;
};

int tunnel_new(struct services *services, const struct tunnel_start *start);      /* 0, or -ENOMEM: both streams are closed */

struct tunnel;
/* The gateway ends: a Close goes to both sides after delay_ms, at the next frame boundary. */
void tunnel_drain(struct tunnel *t, uint64_t delay_ms);
void tunnel_drain_all(struct services *services, uint64_t spread_ms);             /* each at its moment of spread_ms: tunnel_spread_ms */
/* The next moment of spread_ms; *phase is a dice before the first. However many there will be, they stand evenly: no gap between two is more than a
 * few times the mean, and who began at the same time ends at different ones. */
uint64_t tunnel_spread_ms(uint64_t *phase, uint64_t spread_ms);
/* The operator ends it: the client gets this Close at the next frame boundary (the reason is copied). false: it ends already, or there is no
 * memory. Nothing has happened yet when this returns. */
bool tunnel_close(struct tunnel *t, unsigned code, const char *reason);
void tunnel_kill_all(struct services *services);                                  /* at once */

#endif
