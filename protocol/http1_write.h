/* http1_write: heads and chunks back to bytes (RFC 9112). What is written is always HTTP/1.1 (mission B0).
 *
 * The writers assert that no field holds CR, LF or NUL and no name is a non-token: what goes out parses as exactly one
 * message. Memory comes from the arena given; an empty span with p NULL means there was none. */
#ifndef UPGATE_PROTOCOL_HTTP1_WRITE_H
#define UPGATE_PROTOCOL_HTTP1_WRITE_H

#include "protocol/headers.h"

struct span http1_write_request_head(struct arena *a, struct span method, struct span target, const struct headers *fields);
/* reason may be empty: then the one RFC 9110 names for the status, if it does. */
struct span http1_write_response_head(struct arena *a, unsigned status, struct span reason, const struct headers *fields);

#define HTTP1_CHUNK_HEAD_BYTES 18        /* 16 hex digits and CR LF */
/* "<hex>CRLF" into out; returns its length. The data and a CRLF follow. size > 0. */
size_t http1_write_chunk_head(uint8_t out[HTTP1_CHUNK_HEAD_BYTES], uint64_t size);
/* "0CRLF", the trailer fields (may be NULL or empty), "CRLF". */
struct span http1_write_last_chunk(struct arena *a, const struct headers *trailers);
const char *http1_reason(unsigned status);       /* "Not Found"; "" for unknown ones */

#endif
