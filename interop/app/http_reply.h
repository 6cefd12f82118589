/* http_reply: what an application is asked and answers, as bytes: the head, then pieces in the framing that the client can read.
 *
 * No I/O: http_peer sends what is made here. A piece is made when there is room for it, so a reply may be of any size.
 * What can go wrong: no memory for the head (an empty span). */
#ifndef UPGATE_INTEROP_APP_HTTP_REPLY_H
#define UPGATE_INTEROP_APP_HTTP_REPLY_H

#include "protocol/http1_parse.h"

#define HTTP_REPLY_ROOM_BYTES 65536      /* for one piece, its chunk framing included */

struct http_request {
    const struct http1_head *head;
    struct span path, query;
    uint64_t body_bytes;
    uint64_t body_hash;                  /* FNV-1a, 64 bits */
    const struct headers *trailers;
    struct arena *arena;                 /* for the reply's own bytes: lives until the reply is sent */
};

void http_request_begin(struct http_request *r, const struct http1_head *head);
void http_request_count(struct http_request *r, struct span body);     /* a piece of it */

struct http_reply {
    unsigned status;
    const char *type;                    /* Content-Type */
    const char *allow;                   /* with a 405 */
    struct span body;                    /* the whole body, where `next` is NULL; alive until the reply is sent */
    /* The next piece into out: its size, 0 at the end. wait_ms_out: how long to wait before the piece after it. */
    size_t (*next)(struct http_reply *r, uint8_t *out, size_t room, uint64_t *wait_ms_out);
    enum http1_body framing;             /* with `next`: by length or chunked */
    uint64_t length;
    uint64_t done, pieces, every_ms;     /* next's own */
    bool ended;                          /* the last piece was made */
};

/* Once, when the application has filled it in. False: the end of the body is the end of the connection. */
bool http_reply_settle(struct http_reply *r, unsigned version_minor);
/* connection: what the Connection field says, NULL for no such field. */
struct span http_reply_head(const struct http_reply *r, const char *connection, struct arena *arena);
/* The next bytes of the body, somewhere in `room`; empty when all were made. */
struct span http_reply_piece(struct http_reply *r, uint8_t room[HTTP_REPLY_ROOM_BYTES], uint64_t *wait_ms_out);

#endif
