/* body_out: one body on its way out over HTTP/1.1: its framing, and how much of it the stream took.
 *
 * Where the body is said to be gathered, a small chunk is put, so that it goes out in one write with the head before it and with its own
 * end, and often the body's, behind it. How much is put without asking for room is bounded. Of what was put nobody knows that it did not
 * go: it is not for a body that may have to go somewhere else when the stream turns out to be dead. tests/gateway/test_body_out.c */
#ifndef UPGATE_GATEWAY_BODY_OUT_H
#define UPGATE_GATEWAY_BODY_OUT_H

#include "gateway/stream.h"
#include "protocol/http1_parse.h"

struct body_out {
    enum http1_body framing;
    bool gathers;
    uint64_t chunk_left;                 /* of the chunk whose size is already written */
    size_t put_n;                        /* bytes that were put since the stream last took what was sent */
    uint64_t bytes;                      /* body bytes sent */
};

void body_out_init(struct body_out *o, enum http1_body framing, bool gathers);
/* Bytes of data taken; 0 = blocked; <0 = the stream's error. A chunk that was announced is filled by the calls that follow. */
ssize_t body_out_send(struct body_out *o, struct stream *s, struct span data);
/* The end: the last chunk with its trailers (may be NULL), where that is the framing. 0 or the stream's error. */
int body_out_end(struct body_out *o, struct stream *s, struct arena *arena, const struct headers *trailers);

#endif
