/* http1_reader: llhttp in strict mode: the reader of chunked framing, and the second reader of every section.
 *
 * It is asked for no data, and its verdicts on framing are not taken: they differ between its versions, and their place is
 * http1_framing. It gets start lines of ours, since what it knows of methods, versions and statuses must not matter; a chunked
 * body is read behind a head of ours. Its pauses after an upgrade are not verdicts either. tests/protocol/test_http1_parse.c */
#ifndef UPGATE_PROTOCOL_HTTP1_READER_H
#define UPGATE_PROTOCOL_HTTP1_READER_H

#include <llhttp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http1_reader {
    llhttp_t llhttp;
    bool stopped;                        /* it reads no further */
    bool refused;                        /* … and for what we should have refused ourselves */
    bool at_chunk;                       /* behind a whole chunk size line */
    bool done;                           /* behind the trailers */
};

/* The object must not move until the next of these two. */
void http1_reader_start_head(struct http1_reader *r, bool response);
void http1_reader_start_chunks(struct http1_reader *r, bool response);
/* Header bytes. */
void http1_reader_head(struct http1_reader *r, const uint8_t *p, size_t n);
/* Chunked framing, data and trailers, never beyond the end of a chunk size line or of the trailers. */
void http1_reader_chunks(struct http1_reader *r, const uint8_t *p, size_t n);
/* The size on the chunk line that was read. */
uint64_t http1_reader_chunk_size(const struct http1_reader *r);

#endif
