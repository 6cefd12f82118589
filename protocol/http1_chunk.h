/* http1_chunk: the line that announces a chunk (RFC 9112 section 7.1), in whatever pieces it comes.
 *
 * Its digits are gathered for llhttp, which decodes them; its extensions are bounded and dropped: none is known here, and what
 * goes onward is chunked anew. Nothing but CR LF ends it. */
#ifndef UPGATE_PROTOCOL_HTTP1_CHUNK_H
#define UPGATE_PROTOCOL_HTTP1_CHUNK_H

#include "protocol/fault.h"
#include "protocol/span.h"

#define HTTP1_CHUNK_DIGITS 16            /* a 64-bit number; leading zeros count */

enum http1_chunk_part {
    HTTP1_CHUNK_DATA_CR, HTTP1_CHUNK_DATA_LF,            /* behind the data of the chunk before */
    HTTP1_CHUNK_SIZE,
    HTTP1_CHUNK_BLANK,                   /* between the size and a semicolon */
    HTTP1_CHUNK_EXTENSION,
    HTTP1_CHUNK_LF,
    HTTP1_CHUNK_ENDED,
};

struct http1_chunk {
    enum http1_chunk_part part;
    bool is_first;                       /* of its body: there were no data before */
    uint8_t digits[HTTP1_CHUNK_DIGITS];
    size_t digits_n;
    size_t extension_bytes;
};

struct http1_chunk http1_chunk_first(void);
struct http1_chunk http1_chunk_behind_data(void);
/* How many of the bytes belong to the line, its LF included; the byte at a fault does not. */
size_t http1_chunk_feed(struct http1_chunk *c, const uint8_t *p, size_t n, size_t extension_limit, enum fault *fault_out);
/* The line once more, without its extensions; returns its length. */
#define HTTP1_CHUNK_PLAIN_BYTES (HTTP1_CHUNK_DIGITS + 4)
size_t http1_chunk_plain(const struct http1_chunk *c, uint8_t out[HTTP1_CHUNK_PLAIN_BYTES]);

#endif
