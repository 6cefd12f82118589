/* http1_parse: HTTP/1.x messages as pulled events (RFC 9112), on llhttp in strict mode.
 *
 * Bytes in, events out; no I/O. Call http1_parse_next with what the stream shows, consume what it says, act on the
 * event, repeat. Whatever is not consumed stays with the caller: the next message, or the bytes behind an upgrade.
 * One parser reads one side of a connection, message after message.
 *
 *   HEAD   a whole, checked head: result.head. For a response a 1xx head is an event of its own, stands until the next call
 *          with bytes, and the parser then waits for the next head, without a reset; more than 32 of them are a fault. After a
 *          101 comes END: there is no more to parse and the rest belongs to the caller.
 *   BODY   result.data is body; it starts exactly at p + consumed. After sending the first k <= data.n bytes of it, call
 *          http1_parse_took(k) and consume those k as well; what was not taken comes again with the next call.
 *   END    the message is over; result.trailers (may be empty) are valid until http1_parse_reset. The next call with
 *          more bytes starts the next message, after http1_parse_reset has been called.
 *   MORE   needs more bytes than there are; everything useful was consumed.
 *   FAULT  result.fault; sticky until the reset. result.head, if not NULL, says as much as was read: method, target and status
 *          for a log, fields only once all of them had come.
 *
 * Framing verdicts (what body a message has) are made here, in one place, for both directions; see http1_framing.
 * The event sequence does not depend on how the bytes are split. tests/protocol/test_http1_parse.c */
#ifndef UPGATE_PROTOCOL_HTTP1_PARSE_H
#define UPGATE_PROTOCOL_HTTP1_PARSE_H

#include "protocol/headers.h"

struct http1_limits {
    size_t head_bytes;                   /* start line and fields; also the trailer section's bound */
    size_t fields;
    size_t chunk_extension_bytes;        /* of one chunk, its semicolons and blanks counted */
    uint64_t body_bytes;                 /* 0 = no limit; FAULT_BODY_TOO_LARGE at the head when announced, else when reached */
};

enum http1_kind { HTTP1_REQUEST, HTTP1_RESPONSE };

enum http1_body {
    HTTP1_BODY_NONE,
    HTTP1_BODY_LENGTH,                   /* content_length bytes, not 0 unless a Content-Length: 0 was there */
    HTTP1_BODY_CHUNKED,
    HTTP1_BODY_CLOSE,                    /* responses only: until the connection ends */
};

struct http1_head {
    /* requests */
    struct span method;
    struct span target;                  /* as received */
    /* responses */
    unsigned status;                     /* 100 … 599 */
    struct span reason;                  /* may be empty */
    /* both */
    unsigned version_minor;              /* 0 or 1: HTTP/1.0 or HTTP/1.1 */
    struct headers fields;
    enum http1_body body;
    uint64_t content_length;             /* with HTTP1_BODY_LENGTH; for a HEAD's response what it announced, if it did */
    bool has_content_length;
    bool keep_alive;                     /* what the sender said of the connection: RFC 9112 section 9.3 */
};

enum http1_event { HTTP1_MORE, HTTP1_HEAD, HTTP1_BODY, HTTP1_END, HTTP1_FAULT };

struct http1_result {
    enum http1_event event;
    const struct http1_head *head;       /* HEAD and after, until reset */
    struct span data;                    /* BODY */
    const struct headers *trailers;      /* END */
    enum fault fault;                    /* FAULT */
};

struct http1_parse;                      /* opaque: http1_parse_new */

struct http1_parse *http1_parse_new(enum http1_kind kind, const struct http1_limits *limits);     /* NULL: no memory */
/* In memory of the caller's, aligned for any object, together with its first messages: more is taken only for what does not fit. The memory
 * stays until http1_parse_free, which leaves it to the caller. */
#define HTTP1_PARSE_ROOM_LEAST 1024
struct http1_parse *http1_parse_new_in(void *room, size_t room_bytes, enum http1_kind kind, const struct http1_limits *limits);
void http1_parse_free(struct http1_parse *h);
/* Ready for the next message; the last one's head, fields and trailers are gone. */
void http1_parse_reset(struct http1_parse *h);
/* Responses: whether the request was a HEAD (no body follows whatever the head says). Before the head, after each reset. */
void http1_parse_expect(struct http1_parse *h, bool head_request);
/* Gives the memory of a finished or unstarted message back while the connection idles; implies reset. */
void http1_parse_idle(struct http1_parse *h);

/* Returns how many of the n bytes were read. p may be NULL when n is 0. */
size_t http1_parse_next(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out);
void http1_parse_took(struct http1_parse *h, size_t n);
/* Of a body whose length was announced: what is still to come. So much may be taken (http1_parse_took) without having been shown. */
uint64_t http1_parse_due(const struct http1_parse *h);
/* The connection ended: END for a close-delimited body and after the end of any, MORE when nothing of a message had come,
 * FAULT_TRUNCATED otherwise, also when only a 1xx had come. */
void http1_parse_eof(struct http1_parse *h, struct http1_result *out);
/* Whether any byte of the current message was seen; a blank line in front of a request is none. */
bool http1_parse_started(const struct http1_parse *h);

#endif
