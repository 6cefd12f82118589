/* access_log: one line per exchange, one record per tunnel and per connection that is passed through; JSON or the combined format.
 *
 * Lines go to a log_writer: no worker waits for a disk or a reader. What does not fit into its ring is dropped and counted. */
#ifndef UPGATE_GATEWAY_ACCESS_LOG_H
#define UPGATE_GATEWAY_ACCESS_LOG_H

#include "conf/conf.h"
#include "gateway/log_writer.h"
#include "gateway/metrics.h"
#include "protocol/span.h"

#define ACCESS_LOG_TEXT_BYTES 2048       /* of one field of a request; longer ones are cut and end in "…" */

struct access_log;
/* One worker's. Lines are put into this ring of the writer. Writer NULL or format OFF: nothing is written. NULL: no memory. */
struct access_log *access_log_new(struct log_writer *writer, unsigned ring, enum conf_access_format format, struct metrics *metrics);
/* Lines go to another writer from now on, or have another format. */
void access_log_switch(struct access_log *l, struct log_writer *writer, enum conf_access_format format);
void access_log_free(struct access_log *l);

/* What both kinds of line say of the request. Spans are borrowed for the call. */
struct access_tls {                      /* with the client; version NULL: clear text */
    const char *version, *cipher;        /* static */
    struct span client_subject;          /* empty: no certificate was shown */
};

struct access_request {
    struct span client;                  /* whose request it is: address:port, or the address where a field told no port */
    struct span listener;
    struct span user;                    /* whom the gateway found it to be; empty: nobody was asked */
    struct span id, trace_id;            /* by what name it is known, and the trace it belongs to; empty: none */
    struct span method, target, host;
    unsigned version_minor;
    struct span referer, user_agent;     /* combined format */
    struct span upstream, server;        /* empty: none was chosen */
    struct access_tls tls;
};

struct access_exchange {
    struct access_request request;
    unsigned status;                     /* 0: none was sent */
    uint64_t bytes_in, bytes_out;        /* body bytes from and to the client */
    uint64_t duration_ms;
    bool answered;                       /* by a server … */
    uint64_t response_ms;                /* … so long after the end of the request (0: before it) */
    size_t route;                        /* counted from 1; 0: none */
    unsigned attempts;                   /* servers tried */
    const char *sticky;                  /* what became of the sticky cookie; NULL: there is nothing to say */
    enum end_reason end;
    enum fault fault;
    const char *detail;                  /* NULL, or words about the failure */
};

struct access_direction {
    uint64_t frames, messages, bytes, pings, pongs;
    unsigned close_code;                 /* 0: no Close; 1005: a Close without a code */
    uint64_t blocked_ms;                 /* time in which the other side did not read what this one sent */
    struct access_rtt {                  /* of the gateway's own pings to this side */
        uint64_t sum_ms;
        uint32_t n, least_ms, most_ms;
    } rtt;
};
struct access_tunnel {
    struct access_request request;
    struct span protocol;
    bool deflate;
    uint64_t duration_ms;
    struct access_direction from_client, from_server;
    const char *closed_by;               /* client, server, gateway */
    enum end_reason end;
    enum fault fault;
};

struct access_passthrough {
    struct span client, listener;
    struct span server_name, alpn;       /* empty: the client named none, offered none */
    struct span upstream, server;        /* empty: none was chosen */
    uint64_t bytes_in, bytes_out;        /* from and to the client */
    uint64_t duration_ms;
    unsigned attempts;
    const char *closed_by;               /* client, server, gateway */
    enum end_reason end;
    enum fault fault;
    const char *detail;
};

/* false: nothing is written, and what a line would say need not be gathered. */
bool access_log_is_on(const struct access_log *l);
void access_log_exchange(struct access_log *l, const struct access_exchange *x);
void access_log_tunnel(struct access_log *l, const struct access_tunnel *t);
void access_log_passthrough(struct access_log *l, const struct access_passthrough *p);

#endif
