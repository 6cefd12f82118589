/* http_peer: one HTTP/1.1 connection of the demo's HTTP application, on protocol/http1_parse and http1_write.
 *
 * One request at a time: its head is read, its body counted and hashed as it passes, then the application fills a
 * struct http_reply; the reply is produced piece by piece, the next piece when the kernel has taken the last one, so that
 * no reply's size matters. Pipelined requests wait unread.
 * What can go wrong: a message that is not HTTP (its fault's status and sentence, then the end), a request that stops
 * half way or a client that does not read (dropped after 60 s), no memory (dropped). */
#ifndef UPGATE_INTEROP_APP_HTTP_PEER_H
#define UPGATE_INTEROP_APP_HTTP_PEER_H

#include "gateway/list.h"
#include "interop/app/http_reply.h"
#include "interop/app/server.h"

struct http_peers {
    struct server *server;
    struct list all;
    void (*answer)(const struct http_request *request, struct http_reply *reply);      /* `reply` comes zeroed */
};

void http_peers_init(struct http_peers *peers, struct server *server);
void http_peers_connection(struct http_peers *peers);          /* one waits to be accepted */
void http_peers_stop(struct http_peers *peers);                /* idle ones end now, the others after their reply */

#endif
