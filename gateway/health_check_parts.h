/* health_check_parts: what the files of a check share among themselves; nobody else includes it.
 *
 *   health_check.c   the connection, the deadline, the end
 *   health_http.c    a GET; a WebSocket
 *   health_fcgi.c    FCGI_GET_VALUES; a FastCGI request */
#ifndef UPGATE_GATEWAY_HEALTH_CHECK_PARTS_H
#define UPGATE_GATEWAY_HEALTH_CHECK_PARTS_H

#include "gateway/health_check.h"
#include "protocol/fcgi_record.h"
#include "protocol/fcgi_reply.h"
#include "protocol/ws_handshake.h"
#include "protocol/ws_scan.h"

#define HEALTH_BODY_BYTES 16384          /* of an answer, in which the text is looked for */
#define HEALTH_ARENA_BYTES 65536
#define HEALTH_PING_BYTES 8
#define HEALTH_WORDS_BYTES 256

/* A row: S(name, in words, for what did not come in time). */
#define HEALTH_STATES(S)                                                      \
    S(CONNECTING, "it did not accept the connection in time")                 \
    S(ASKED, "it did not answer in time")                                     \
    S(PINGED, "it did not answer a Ping in time")                             \
    S(CLOSING, "it did not close the WebSocket in time")
enum health_check_state {
#define HEALTH_STATE_ENUM(name, words) HEALTH_##name,
    HEALTH_STATES(HEALTH_STATE_ENUM)
#undef HEALTH_STATE_ENUM
};

struct health_check {
    enum health_check_state state;
    struct services *services;
    struct health_wanted wanted;
    const struct conf_health *conf;      /* the upstream's */
    health_judged *judged;
    void *ctx;
    struct timer timer;
    struct outbound *outbound;           /* CONNECTING */
    struct stream *stream;
    struct arena arena;
    /* an answer: its status is as it should be, its text is looked for */
    uint8_t *body;
    size_t body_n;
    /* HTTP, WebSocket */
    struct http1_parse *parse;
    struct ws_offer offer;
    struct ws_scan scan;
    uint8_t ping[HEALTH_PING_BYTES];
    /* FastCGI */
    struct fcgi_reader reader;
    struct fcgi_reply reply;
};

/* health_check.c */
void health_check_enter(struct health_check *c, enum health_check_state to);
/* The end. The check is gone. */
void health_check_pass(struct health_check *c);
void health_check_fail(struct health_check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What follows returns true when it was the end. */
bool health_check_judge_head(struct health_check *c, const struct http1_head *head);
bool health_check_judge_body(struct health_check *c, struct span data);
void health_check_judge_end(struct health_check *c);     /* of a whole answer; it is the end */
/* The Host of what is asked: in the arena; p NULL: no memory. */
struct span health_check_host(struct health_check *c);

/* Beginning and reading, for each kind. */
void health_http_begin(struct health_check *c);
void health_http_read(struct health_check *c);
void health_fcgi_begin(struct health_check *c);
void health_fcgi_read(struct health_check *c);

#endif
