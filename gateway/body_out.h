/* body_out: one body on its way out over HTTP/1.1: its framing, and how much of it the stream took. */
#ifndef UPGATE_GATEWAY_BODY_OUT_H
#define UPGATE_GATEWAY_BODY_OUT_H

#include "gateway/stream.h"
#include "protocol/http1_parse.h"

struct body_out {
    enum http1_body framing;
    uint64_t chunk_left;                 /* of the chunk whose size is already written */
    uint64_t bytes;                      /* body bytes sent */
};

void body_out_init(struct body_out *o, enum http1_body framing);
/* Bytes of data taken; 0 = blocked; <0 = the stream's error. A chunk that was announced is filled by the calls that follow. */
ssize_t body_out_send(struct body_out *o, struct stream *s, struct span data);
/* The end: the last chunk with its trailers (may be NULL), where that is the framing. 0 or the stream's error. */
int body_out_end(struct body_out *o, struct stream *s, struct arena *arena, const struct headers *trailers);

#endif
