/* rules: what a proxy must check, strip and add (RFC 9110 section 7, RFC 9112 sections 3 and 6; mission B0 … B12, C3).
 *
 * Pure functions from a parsed head to verdicts and to the head that goes out. What goes out is HTTP/1.1 and parses as
 * exactly one message with the meaning of the one that came in. */
#ifndef UPGATE_PROTOCOL_RULES_H
#define UPGATE_PROTOCOL_RULES_H

#include "protocol/http1_parse.h"
#include "protocol/target.h"

/* A checked request: everything that routing and forwarding need to know. */
struct rules_request {
    struct target target;
    struct host_port host;               /* of the absolute-form target, else of Host; host empty for HTTP/1.0 without Host */
    struct span authority;               /* the same as text, what is forwarded as Host; may be empty with HTTP/1.0 */
    bool expect_continue;                /* Expect: 100-continue from an HTTP/1.1 client, and a body that is not empty */
    bool idempotent;                     /* RFC 9110 section 9.2.2, the methods known to be */
    bool is_head;
    bool accepts_trailers;               /* TE: trailers was there */
    bool final_recipient;                /* OPTIONS or TRACE with Max-Forwards: 0: answered by the gateway, not forwarded */
    bool has_max_forwards;               /* … with more: what is forwarded */
    uint64_t max_forwards;
};
struct rules_policy {
    bool allow_trace;
    unsigned max_via;                    /* more Via members with our pseudonym than this: FAULT_LOOP */
    struct span pseudonym;
};
/* Checks Host, target, method, Expect. On a fault the request is answered with fault_status and the connection closed. */
enum fault rules_check_request(struct arena *a, const struct http1_head *in, const struct rules_policy *policy,
                               struct rules_request *out);

/* What the operator changes in a head on its way. Names are compared as rules_fields compares them: of what the sender, or the gateway
 * itself, wrote under a name that is set or removed, in whichever spelling, nothing is left. None may be rules_is_machinery. */
struct rules_changes {
    const struct field *set;             /* in place of all others of that name */
    size_t set_n;
    const struct field *add;             /* beside what is there */
    size_t add_n;
    char *const *remove;
    size_t remove_n;
    const struct rules_changes *next;    /* further ones, or NULL */
};

enum rules_forwarded { RULES_FORWARDED_OFF, RULES_FORWARDED_X = 1, RULES_FORWARDED_RFC7239 = 2 };   /* bits */

/* What the gateway knows and the backend should learn. */
struct rules_facts {
    struct span pseudonym;               /* Via */
    struct span client_address;          /* numeric, no port, IPv6 without brackets; "unix" for a UNIX socket */
    unsigned client_port;
    struct span real_address;            /* whose request it is behind hops that are trusted; empty: the client's */
    unsigned real_port;                  /* 0: not known */
    struct span user;                    /* whom the gateway itself found the client to be; empty: nobody was asked */
    bool client_https;
    bool client_trusted;                 /* its forwarded fields are kept and appended to; else they are removed */
    unsigned forwarded;                  /* enum rules_forwarded bits: which ones are written */
    const struct span *strip_also;       /* more look-alikes, from the operator; "x-auth-*" for all that begin so */
    size_t strip_also_n;
    bool websocket;                      /* an accepted WebSocket offer: Connection: upgrade and Upgrade: websocket are written */
    bool websocket_strip_extensions;     /* compression: strip */
    bool upstream_keep_alive;            /* false: Connection: close is written */
    const struct rules_changes *changes; /* NULL: none */
};
/* The fields of the request that goes to the upstream, framing included (Content-Length or Transfer-Encoding as in->body says).
 * Removes hop-by-hop and nominated fields, look-alikes of trusted facts and Upgrade; writes Host first, then the client's
 * fields in order, then Via and the forwarded ones. `out` is initialised here. */
enum fault rules_request_to_upstream(struct arena *a, const struct http1_head *in, const struct rules_request *request,
                                     const struct rules_facts *facts, struct headers *out);

/* Checks a response's head against what was asked; FAULT_NONE or what makes it a 502. A 101 is not judged here (ws_handshake). */
enum fault rules_check_response(const struct http1_head *in, bool head_request);

struct rules_reply_facts {
    struct span pseudonym;
    unsigned client_version_minor;       /* 0: no chunked to it */
    bool client_keep_alive;              /* what the gateway will do: Connection: close, or keep-alive for HTTP/1.0, is written */
    bool websocket;                      /* a validated 101: Connection: upgrade and Upgrade: websocket are written */
    struct span date;                    /* an IMF-fixdate; written only where the origin sent none and the status is not 1xx */
    bool head_request;
    const struct rules_changes *changes; /* NULL: none; 1xx other than a 101 pass without them */
};
/* How the body goes to the client, which may differ from how it came (close-delimited → chunked; chunked → close for
 * HTTP/1.0). */
enum http1_body rules_reply_body(const struct http1_head *in, const struct rules_reply_facts *facts);
/* The fields of the response that goes to the client, framing included. `out` is initialised here. */
enum fault rules_response_to_client(struct arena *a, const struct http1_head *in, const struct rules_reply_facts *facts,
                                    struct headers *out);

/* Trailers that may pass (RFC 9110 section 6.5.1): not framing, routing, authentication, content or hop-by-hop fields, nor what the
 * operator set or removed in the head. `head` are the head's fields (its Connection list counts). `out` is initialised here. */
enum fault rules_trailers(struct arena *a, const struct headers *in, const struct headers *head,
                          const struct rules_changes *changes, struct headers *out);

#endif
