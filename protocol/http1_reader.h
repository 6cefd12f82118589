/* http1_reader: llhttp in strict mode, as the second reader of every section and the reader of chunked framing.
 *
 * It is asked for no data and its verdicts on framing are not taken: they differ between its versions and their place is
 * http1_framing. It gets a start line of ours, since what it knows of methods, versions and statuses must not matter. Its pauses
 * after an upgrade are not verdicts either. tests/protocol/test_http1_parse.c */
#ifndef UPGATE_PROTOCOL_HTTP1_READER_H
#define UPGATE_PROTOCOL_HTTP1_READER_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http1_reader {
    llhttp_t llhttp;
    bool has_head;                       /* it saw the head's end */
    bool at_chunk;                       /* … a whole chunk size line since the last http1_reader_chunk */
    bool done;                           /* … and the end of the trailers */
    bool refused;                        /* it refused the framing: nothing more is fed, our own verdict comes at the head's end */
};

/* The object must not move afterwards. */
void http1_reader_start(struct http1_reader *r, bool response);
/* Header bytes. How many were read before the first objection (n: none); an objection to the framing is only noted. */
size_t http1_reader_head(struct http1_reader *r, const uint8_t *p, size_t n);
/* Chunked framing, data and trailers; the same. */
size_t http1_reader_body(struct http1_reader *r, const uint8_t *p, size_t n);
/* The size on the chunk line that was read. */
uint64_t http1_reader_chunk(struct http1_reader *r);

#endif
