/* ws_peer: one WebSocket connection of the demo server: handshake, frames (wslay's event API), queue, closing.
 *
 * The happy path: bytes are collected until the request's head is whole; the answer goes out; from then on wslay reads
 * frames, answers pings, echoes the Close, and hands whole messages to the endpoint. Whatever is to be sent is queued in
 * wslay and written once per turn of the loop, by ws_peers_flush. While more than QUEUE_PAUSE_BYTES wait to be sent the
 * peer is not read: a client that does not read its echoes is stopped by its own full socket.
 * What can go wrong: no head in time (dropped), a bad handshake (answered, then closed), a frame fault (wslay sends
 * 1002, 1007 or 1009), a message past the endpoint's limit (1009), silence for two ticks (dropped), a Close or an end of
 * connection that is not answered in time (dropped). The endpoint hears `ended` exactly once if it heard `opened`. */
#ifndef UPGATE_INTEROP_APP_WS_PEER_H
#define UPGATE_INTEROP_APP_WS_PEER_H

#include "gateway/list.h"
#include "interop/app/server.h"
#include "protocol/span.h"

struct ws_peer;

struct ws_endpoint {
    const char *path;
    const char *subprotocol;             /* chosen when the client offers it */
    size_t message_max_bytes;
    void (*opened)(struct ws_peer *p, struct span nickname);         /* the query's nick=, empty when there is none */
    void (*message)(struct ws_peer *p, bool text, struct span data);
    void (*ended)(struct ws_peer *p);
    void *room;                          /* the endpoint's own */
};

struct ws_peers {                        /* all connections of the process */
    struct server *server;
    const struct ws_endpoint *endpoints; /* ends with a NULL path */
    struct list all;
    struct list unsent;                  /* those with something queued since the last flush */
    bool log;                            /* one JSON line on standard output per ended connection */
};

void ws_peers_init(struct ws_peers *peers, struct server *server, const struct ws_endpoint *endpoints);
void ws_peers_connection(struct ws_peers *peers);              /* one waits to be accepted */
void ws_peers_flush(struct ws_peers *peers);                   /* before the loop sleeps */
void ws_peers_stop(struct ws_peers *peers);                    /* Close 1001 to everybody */

/* Queues a message; it is copied. Nothing is called back from here. */
void ws_peer_send(struct ws_peer *p, bool text, struct span data);
/* Queues a Close and sets its deadline; later sends do nothing. */
void ws_peer_close(struct ws_peer *p, unsigned code, const char *reason);
size_t ws_peer_queued_bytes(const struct ws_peer *p);
const struct ws_endpoint *ws_peer_endpoint(const struct ws_peer *p);
void ws_peer_attach(struct ws_peer *p, void *what);            /* the endpoint's own, per connection */
void *ws_peer_attached(const struct ws_peer *p);

#endif
