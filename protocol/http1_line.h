/* http1_line: the first line of a message, byte by byte (RFC 9112 sections 3 and 4).
 *
 * Read here and not by llhttp, which knows a fixed list of methods and lets doubled spaces and other versions through. Garbage
 * is refused at the first byte that cannot stand in a start line. Only positions are kept: the bytes lie with the caller. */
#ifndef UPGATE_PROTOCOL_HTTP1_LINE_H
#define UPGATE_PROTOCOL_HTTP1_LINE_H

#include "protocol/fault.h"
#include "protocol/span.h"

#define HTTP1_METHOD_BYTES 256           /* the longest method that is let through */

enum http1_line_state {
    HTTP1_LINE_METHOD, HTTP1_LINE_TARGET, HTTP1_LINE_VERSION,                            /* requests */
    HTTP1_LINE_ANSWER_VERSION, HTTP1_LINE_STATUS, HTTP1_LINE_REASON,                      /* responses */
    HTTP1_LINE_LF, HTTP1_LINE_DONE,
};

struct http1_line {
    enum http1_line_state state;
    unsigned at_in_part;                 /* bytes of the version or of the status seen */
    size_t n;                            /* bytes of the line seen */
    size_t method_n;
    size_t target_at, target_n;
    size_t reason_at, reason_n;
    unsigned major, minor;
    unsigned status;
};

struct http1_line http1_line_of_request(void);
struct http1_line http1_line_of_response(void);
/* How many of the bytes belong to the line, its LF included; the byte at a fault does not. */
size_t http1_line_feed(struct http1_line *line, const uint8_t *p, size_t n, enum fault *fault_out);

#endif
