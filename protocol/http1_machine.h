/* http1_machine: the inside of http1_parse: its states, what it keeps of a message, and the two files that read its parts.
 * For http1_parse.c, http1_head.c and http1_body.c alone. */
#ifndef UPGATE_PROTOCOL_HTTP1_MACHINE_H
#define UPGATE_PROTOCOL_HTTP1_MACHINE_H

#include "protocol/http1_chunk.h"
#include "protocol/http1_line.h"
#include "protocol/http1_parse.h"
#include "protocol/http1_reader.h"
#include "protocol/http1_section.h"

/* A message goes through these from top to bottom, as far as it has such parts. */
enum http1_state {
    HTTP1_STATE_START,                   /* nothing of a message yet; a blank line may come before a request */
    HTTP1_STATE_START_LF,                /* … its CR was seen */
    HTTP1_STATE_START_AGAIN,             /* … all of it was seen */
    HTTP1_STATE_LINE,
    HTTP1_STATE_FIELDS,
    HTTP1_STATE_INTERIM,                 /* a 1xx head was given out; the next head is awaited */
    HTTP1_STATE_LENGTH,                  /* a body that Content-Length bounds */
    HTTP1_STATE_CLOSE,                   /* a body that lasts until the connection ends */
    HTTP1_STATE_CHUNK_LINE,              /* also the CR LF that ends the data of the chunk before */
    HTTP1_STATE_CHUNK_DATA,
    HTTP1_STATE_TRAILERS,
    HTTP1_STATE_DONE,
    HTTP1_STATE_FAULT,
};

/* What one message needs; lies in the arena, so that an idle parser is small. */
struct http1_message {
    struct http1_reader reader;
    struct http1_line line;
    struct http1_section section;        /* the fields, later the trailers */
    struct http1_raw raw;                /* their bytes */
    struct http1_head head;
    struct headers trailers;
    struct http1_chunk chunk;
    bool has_head;                       /* head is whole */
    uint64_t left;                       /* of the body or chunk */
    uint64_t shown;                      /* of a chunk: llhttp has read it, the caller has not taken it */
    uint64_t allowed;                    /* of body, in all */
    enum fault over;                     /* what more than that is */
};

struct http1_parse {
    struct arena arena;
    struct http1_limits limits;
    struct http1_message *message;       /* NULL while nothing of one was seen */
    enum http1_kind kind;
    enum http1_state state;
    enum fault fault;
    unsigned interims;
    bool head_request;
    bool lent;                           /* it lies in somebody else's memory */
};

void http1_enter(struct http1_parse *h, enum http1_state next);
void http1_fail(struct http1_parse *h, enum fault fault);
/* Keeps bytes of a head or of trailers that were read, and takes the verdict on them: a fault, or that they are too many by
 * now. */
void http1_keep(struct http1_parse *h, const uint8_t *p, size_t n, enum fault fault);
/* How many of n bytes may still belong to the head or to the trailers. */
size_t http1_room(const struct http1_parse *h, size_t n);

/* http1_head.c: each reads what it can of one part and enters the next state, or fails. They return the bytes that were read. */
size_t http1_read_start(struct http1_parse *h, const uint8_t *p, size_t n);
size_t http1_read_start_lf(struct http1_parse *h, const uint8_t *p, size_t n);
size_t http1_read_line(struct http1_parse *h, const uint8_t *p, size_t n);
size_t http1_read_fields(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out);
/* Where the start line's parts lie; before the head has ended the bytes still move. */
void http1_name_line_parts(struct http1_message *m);

/* http1_body.c: the same. */
void http1_begin_body(struct http1_parse *h);
void http1_read_length(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out);
void http1_read_close(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out);
size_t http1_read_chunk_line(struct http1_parse *h, const uint8_t *p, size_t n);
void http1_read_chunk_data(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out);
size_t http1_read_trailers(struct http1_parse *h, const uint8_t *p, size_t n);

#endif
