/* reply: the gateway's own answers: short, plain text, one sentence a person can act on. */
#ifndef UPGATE_GATEWAY_REPLY_H
#define UPGATE_GATEWAY_REPLY_H

#include "gateway/stream.h"
#include "protocol/fault.h"
#include "protocol/span.h"

struct reply {
    unsigned status;                     /* 200 … 599 */
    const char *sentence;                /* no full stop; NULL: the status's own words */
    bool keep_alive;                     /* else Connection: close */
    bool head_request;                   /* no body is sent */
    unsigned version_minor;              /* of the request */
    unsigned retry_after_s;              /* of a 429 or 503; 0: a few seconds */
    struct span location;                /* of a redirect */
    const char *content_type;            /* of `body`, the operator's own text, which then stands in place of the sentence; NULL: there is none */
    struct span body;
    const char *realm;                   /* of a 401: what is asked for a name and a password */
};

/* Puts the whole answer. 426 carries the version that is spoken, 405 the methods that are, 429 and 503 a Retry-After. *body_bytes_out: what the
 * body counts. 0 or the stream's error. */
int reply_put(struct stream *s, const struct reply *r, uint64_t *body_bytes_out);

/* "Sun, 06 Nov 1994 08:49:37 GMT" for now: IMF-fixdate (RFC 9110 section 5.6.7); made once a second and thread. 29 bytes. */
struct span reply_date(void);

#endif
