/* tunnel_parts: what the files of a tunnel share among themselves; nobody else includes it.
 *
 *   tunnel.c         the states, the turn, the beginning, the record, the one place that frees
 *   tunnel_end.c     why it ends, and what each side is told
 *   tunnel_watch.c   who was heard, who does not read, when something is due */
#ifndef UPGATE_GATEWAY_TUNNEL_PARTS_H
#define UPGATE_GATEWAY_TUNNEL_PARTS_H

#include "gateway/pump.h"
#include "gateway/tunnel.h"

enum tunnel_state { TUNNEL_OPEN, TUNNEL_CLOSING, TUNNEL_ENDING, TUNNEL_FLUSHING, TUNNEL_OVER };
enum side_name { CLIENT, SERVER };
enum owes { OWES_NOTHING, OWES_NOW, OWES_AFTER_OTHER };

struct side {
    struct stream *stream;
    struct pump pump;                    /* from this side to the other */
    const char *reason;                  /* goes with owed_code */
    enum owes owes;                      /* a Close that this side is still to get from the gateway … */
    uint16_t owed_code;
    bool told : 1;                       /* a Close went to it, or its output was finished: nothing more passes to it */
    bool done : 1;                       /* nothing more comes from it: its Close came, or its input ended or is no longer wanted */
    bool deaf : 1;                       /* its output failed */
    bool ping_due : 1;                   /* as soon as a frame ends that is on its way to it */
    bool blocked : 1;                    /* the other side does not read what this one sent … */
    uint64_t blocked_from_ms;            /* … since then nothing moved */
    uint64_t blocked_moved, blocked_ms;
    uint64_t heard_ms, heard_bytes;      /* when bytes last came from it, and how many there were by then */
    uint64_t ping_sent_ms;               /* with pump.ping_out … */
    uint64_t ping_heard_bytes;           /* … and how many bytes had come from it by then */
    uint64_t ping_taken_bytes;           /* … and, where much was on its way to it before the Ping, how many its kernel had taken; otherwise NEVER */
    struct access_rtt rtt;
};

/* Of the request that became the tunnel, what the record says of it. There may be very many tunnels: lengths, not spans. */
struct tunnel_origin {
    const char *listener, *upstream, *server;      /* the snapshot's */
    uint16_t client_n, user_n, id_n, trace_id_n, target_n, host_n, protocol_n;      /* one behind the other in text */
};

struct tunnel {
    struct services *services;
    struct list link;                    /* services->tunnels */
    enum tunnel_state state;
    bool deflate, blind;
    struct side sides[2];
    struct quota_share *share;
    struct snapshot *snapshot;           /* held: conf, server_record and what request borrows belong to it */
    const struct conf_websocket *conf;   /* its route's */
    struct server *server_record;
    struct timer timer;
    struct ready ready;
    uint32_t number;                     /* of this worker's tunnels */
    uint32_t looked_bytes;               /* moved both ways, modulo 2^32, when somebody last looked: services->tunnels_looked_ms */
    uint64_t begun_ms, entered_ms;
    uint64_t rate_due_us;                /* when the client's messages so far would be due at the rate it may send */
    uint64_t rate_messages;
    enum end_reason end;
    enum fault fault;
    const char *closed_by;
    uint64_t drain_ms;                   /* when a drain closes it; 0: none does */
    char *farewell;                      /* what the operator tells the client, or NULL */
    struct tunnel_origin origin;
    uint8_t text[];
};

static inline struct side *tunnel_other(struct tunnel *t, const struct side *s)
{
    return s == &t->sides[CLIENT] ? &t->sides[SERVER] : &t->sides[CLIENT];
}

static inline bool tunnel_is_client(const struct tunnel *t, const struct side *s)
{
    return s == &t->sides[CLIENT];
}

static inline const struct conf_route *tunnel_route(const struct tunnel *t)
{
    return (const struct conf_route *)(const void *)((const char *)t->conf - offsetof(struct conf_route, websocket));
}

/* address:port of the client, for the log */
static inline struct span tunnel_name(const struct tunnel *t)
{
    return span_of(t->text, t->origin.client_n);
}

/* tunnel.c */
void tunnel_enter(struct tunnel *t, enum tunnel_state to);
const char *tunnel_state_word(const struct tunnel *t);

/* tunnel_end.c: deciding to end. `s` is the side that did it */
void tunnel_end_by_fault(struct tunnel *t, struct side *s);
void tunnel_end_by_loss(struct tunnel *t, struct side *s, enum pump_result how);
void tunnel_end_by_gateway(struct tunnel *t, enum end_reason why, struct side *to_blame, unsigned blame_code);
void tunnel_end_by_drain(struct tunnel *t);
void tunnel_end_by_operator(struct tunnel *t, unsigned code);    /* with t->farewell */
void tunnel_note_close(struct tunnel *t, struct side *s);
/* … and saying so. True when something changed; at_once: the deadline struck, an open frame is not waited for */
bool tunnel_tell(struct tunnel *t, struct side *s, bool at_once);
bool tunnel_all_said(const struct tunnel *t);
void tunnel_begin_flushing(struct tunnel *t);

/* tunnel_watch.c */
void tunnel_note_movement(struct tunnel *t, struct side *s);
void tunnel_allow_rate(struct tunnel *t);
void tunnel_ping_if_due(struct tunnel *t, struct side *s);
bool tunnel_both_flushed(const struct tunnel *t);
uint64_t tunnel_deadline_ms(const struct tunnel *t);
void tunnel_wait(struct tunnel *t);
void tunnel_on_open_due(struct tunnel *t, uint64_t now_ms);

#endif
