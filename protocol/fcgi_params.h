/* fcgi_params: a request as the variables of CGI (RFC 3875 section 4.1), encoded as FastCGI name-value pairs.
 *
 * Facts and what the client said travel apart (mission C2): whatever comes from a field of the client has a name that begins
 * with HTTP_, but for CONTENT_TYPE; so has what the operator sets or adds as fields (rules_facts.changes). Each name is written
 * once. Of the client's fields these are not passed on:
 *
 *   names with any byte but letters, digits and "-"     they fold onto another name: X_Real-IP, X.Real-IP (counted as dropped)
 *   Proxy                                               HTTP_PROXY is configuration to many programs
 *   hop-by-hop and Connection's own                     they end here; also Expect, which the gateway answers, and Trailer
 *   look-alikes of trusted facts                        from clients that are not trusted, by the table of rules_fields.h
 *   what the operator sets or removes                   in whichever spelling
 *   Host, Content-Length, Content-Type                  written from what was checked: HTTP_HOST, CONTENT_LENGTH; CONTENT_TYPE
 *
 * Fields of one name are joined with ", " (RFC 9110 section 5.3), Cookie's with "; ". The values go as they are. */
#ifndef UPGATE_PROTOCOL_FCGI_PARAMS_H
#define UPGATE_PROTOCOL_FCGI_PARAMS_H

#include "protocol/fcgi_script.h"
#include "protocol/rules.h"

struct fcgi_request {
    const struct http1_head *head;
    const struct rules_request *rules;
    const struct rules_facts *facts;     /* client_address, _port, _https, _trusted; real_*; strip_also */
    const struct fcgi_script *script;
    struct span document_root;           /* may be empty: not written */
    struct span server_address;          /* where the client's connection arrived: numeric; may be empty */
    unsigned server_port;                /* 0 (a UNIX socket): the scheme's own */
    struct span server_software;
    bool has_content_length;             /* known: from the head, or since the body was gathered */
    uint64_t content_length;
    const struct field *own;             /* the operator's and the gateway's further ones. They stand in place of any other of */
    size_t own_n;                        /* the same name; of two of them the first stands */
};

struct fcgi_params {
    struct span pairs;                   /* in the arena: the content of the PARAMS stream */
    uint8_t *at;                         /* where it is, with room around it for fcgi_frame_begin */
    unsigned dropped;                    /* fields whose names fold onto others */
};

/* FAULT_NONE; FAULT_FCGI_PARAMS: more than limit_bytes of pairs; FAULT_FIELD: a NUL in a value; FAULT_NO_MEMORY. */
enum fault fcgi_params_write(struct arena *a, const struct fcgi_request *request, size_t limit_bytes, struct fcgi_params *out);

#endif
