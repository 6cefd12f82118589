/* fcgi_reply: the reply of a CGI application (RFC 3875 section 6) told in the words of http1_parse.
 *
 * Bytes of one request's STDOUT in, events out. Call fcgi_reply_next with what there is, consume what it says, act on the
 * event, repeat; when END_REQUEST has come, call fcgi_reply_finish and go on with no bytes until END or FAULT.
 *
 *   HEAD   a whole, checked head: status, reason, body, fields (without Status and what is about framing or the connection)
 *   BODY   result.data is body and starts exactly at p + consumed. After sending the first k <= data.n bytes of it, call
 *          fcgi_reply_took(k) and consume those k as well; what was not taken comes again with the next call
 *   END    the reply is over
 *   MORE   needs more bytes than there are, or fcgi_reply_finish
 *   FAULT  result.fault, sticky; fcgi_reply_line is the line to show to whoever wrote the application
 *
 * What is decided here, and why:
 *   - Lines end in LF or CR LF: CGI leaves it to the system, and both are common. No continuation lines, no space before the
 *     colon (6.3). A field without a value is as good as not sent (6.3).
 *   - At least one of Content-Type, Location and Status, and none of them twice (6.3). Status is three digits, 200 to 599, and a
 *     reason or none; a 1xx would leave the client waiting. Without Status, Location means 302 (6.2.3), all else 200 (6.3.3).
 *   - A body needs a Content-Type (6.3.1). Where there is none and a body could follow, the head is told when it is known that
 *     none does.
 *   - Location alone, a path, is a local redirect (6.2.2): head->status is 302 with that Location, which serves a client, and
 *     fcgi_reply_local is the path for whoever processes the request again instead.
 *   - No HTTP status line: FastCGI has no non-parsed headers (FastCGI section 6.1).
 *   - Content-Length is a promise: fewer bytes are FAULT_TRUNCATED, more are FAULT_EXCESS. Transfer-Encoding, Connection and
 *     their kin are not the application's business and are dropped (6.3.4).
 *   - The body of an answer that has none (to HEAD, 204, 205, 304) is read and thrown away (4.3.3).
 * tests/protocol/test_fcgi_reply.c */
#ifndef UPGATE_PROTOCOL_FCGI_REPLY_H
#define UPGATE_PROTOCOL_FCGI_REPLY_H

#include "protocol/http1_parse.h"
#include "protocol/http1_section.h"

enum fcgi_reply_state {
    FCGI_REPLY_HEAD,
    FCGI_REPLY_HELD,                     /* the head is whole; whether a body follows is not known */
    FCGI_REPLY_TELL,
    FCGI_REPLY_LENGTH,                   /* a body whose length was promised */
    FCGI_REPLY_OPEN,                     /* a body that lasts until the end */
    FCGI_REPLY_DISCARD,
    FCGI_REPLY_DONE,
    FCGI_REPLY_FAULT,
};

struct fcgi_reply {
    enum fcgi_reply_state state;
    enum fcgi_reply_state body;          /* what comes after the head */
    struct arena *arena;
    size_t head_bytes_max;
    struct http1_raw raw;                /* the head's bytes */
    size_t line_n;                       /* bytes of its open line */
    bool line_cr;                        /* … which are one CR */
    bool head_request;
    bool finished;
    struct http1_head head;
    struct span status, location, content_type, content_length;
    struct headers trailers;             /* always empty */
    uint64_t left;                       /* of the promised body */
    struct span line;
    enum fault fault;
};

/* Of the limits, head_bytes and fields count. The arena has to outlive the head. */
void fcgi_reply_init(struct fcgi_reply *r, struct arena *a, const struct http1_limits *limits, bool head_request);
size_t fcgi_reply_next(struct fcgi_reply *r, const uint8_t *p, size_t n, struct http1_result *out);
/* How many bytes of a body whose length was announced are still to come; 0 before it begins, and without a length. */
uint64_t fcgi_reply_due(const struct fcgi_reply *r);
void fcgi_reply_took(struct fcgi_reply *r, size_t n);
/* STDOUT is over: the application ended the request. */
void fcgi_reply_finish(struct fcgi_reply *r);
/* After HEAD: the local path of a redirect that the gateway may follow itself; else empty. */
struct span fcgi_reply_local(const struct fcgi_reply *r);
/* After FAULT: the beginning of the line that is to blame, as it came, to be escaped before it is shown; empty: no line is. */
struct span fcgi_reply_line(const struct fcgi_reply *r);

#endif
