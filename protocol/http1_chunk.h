/* http1_chunk: the line that announces a chunk, as far as our own limits go (RFC 9112 section 7.1).
 *
 * llhttp decodes it; here its digits and its extensions are bounded, and nothing but CR LF ends it. */
#ifndef UPGATE_PROTOCOL_HTTP1_CHUNK_H
#define UPGATE_PROTOCOL_HTTP1_CHUNK_H

#include "protocol/fault.h"
#include "protocol/span.h"

#define HTTP1_CHUNK_DIGITS 16            /* a 64-bit number; leading zeros count */

struct http1_chunk {
    size_t digits;
    size_t extension_bytes;
    bool in_extension;
    bool after_cr;
    bool data_end_due;                   /* first comes the CR LF behind the data of the chunk before */
    bool ended;
};

/* How many of the bytes belong to the line, its LF included; the byte at a fault does not. */
size_t http1_chunk_feed(struct http1_chunk *c, const uint8_t *p, size_t n, size_t extension_limit, enum fault *fault_out);

#endif
