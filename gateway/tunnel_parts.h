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
enum tunnel_word { TUNNEL_CLIENT, TUNNEL_USER, TUNNEL_ID, TUNNEL_TRACE_ID, TUNNEL_TARGET, TUNNEL_HOST, TUNNEL_PROTOCOL, TUNNEL_WORDS };
enum owes { OWES_NOTHING, OWES_NOW, OWES_AFTER_OTHER };
enum owed_words { WORDS_OF_END, WORDS_OF_RATE, WORDS_OF_FAULT, WORDS_OF_OTHER, WORDS_OF_LOSS, WORDS_OF_OPERATOR };
enum closer { CLOSED_BY_NOBODY, CLOSED_BY_CLIENT, CLOSED_BY_SERVER, CLOSED_BY_GATEWAY };

/* There may be very many tunnels, nearly all of them idle: what is not needed for long is small or not there, and what a message touches stands
 * together, in front. */
struct side {
    struct stream *stream;
    enum owes owes : 2;                  /* a Close that this side is still to get from the gateway … */
    enum owed_words owed_words : 3;
    bool told : 1;                       /* a Close went to it, or its output was finished: nothing more passes to it */
    bool done : 1;                       /* nothing more comes from it: its Close came, or its input ended or is no longer wanted */
    bool deaf : 1;                       /* its output failed */
    bool ping_due : 1;                   /* as soon as a frame ends that is on its way to it */
    bool ping_unheard : 1;               /* with pump.ping_out: nothing at all has come from it since */
    bool blocked : 1;                    /* the other side does not read what this one sent */
    uint16_t owed_code;
    uint32_t heard_bytes;                /* how many bytes had come from it when it was last heard, modulo 2^32 … */
    uint64_t heard_ms;                   /* … and when that was */
    struct pump pump;                    /* from this side to the other */
    uint64_t blocked_from_ms;            /* since then nothing moved … */
    uint64_t ping_sent_ms;
    uint64_t ping_taken_bytes;           /* where much was on its way to it before the Ping: how many its kernel had taken; otherwise NEVER */
    uint32_t blocked_ms;                 /* … and before that, in all; 49 days at most */
    uint32_t rtt_n, rtt_least_ms, rtt_most_ms;   /* of the gateway's own Pings to it */
    uint64_t rtt_sum_ms;
};

struct tunnel {
    struct services *services;
    const struct conf_websocket *conf;   /* its route's */
    enum tunnel_state state : 4;
    enum closer closed_by : 2;
    enum end_reason end : 8;
    enum fault fault : 8;
    unsigned looked_high : 10;           /* of looked_bytes */
    uint32_t number;                     /* of this worker's tunnels */
    struct side sides[2];
    struct timer timer;
    struct ready ready;
    struct list link;                    /* services->tunnels */
    struct quota_share *share;
    struct snapshot *snapshot;           /* held: conf, server_record, listener and what request borrows belong to it */
    struct server *server_record;
    const char *listener;
    char *farewell;                      /* what the operator tells the client, or NULL */
    uint64_t begun_ms;
    uint64_t state_ms;                   /* OPEN: when a drain closes it, 0: none does; otherwise when the state was entered */
    uint64_t rate_due_us;                /* when the client's messages so far would be due at the rate it may send */
    uint32_t rate_messages;              /* … how many those were, modulo 2^32 */
    uint32_t looked_bytes;               /* moved both ways, modulo 2^42, when somebody last looked: services->tunnels_looked_ms */
    uint16_t words_n[TUNNEL_WORDS];      /* what the record says of the request, one behind the other in text */
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

static inline bool tunnel_deflate(const struct tunnel *t)
{
    return t->sides[CLIENT].pump.scan.rules->deflate;
}

static inline bool tunnel_blind(const struct tunnel *t)
{
    return t->conf->verify == WS_VERIFY_BLIND;
}

static inline const char *tunnel_upstream(const struct tunnel *t)
{
    return t->snapshot->conf->upstreams[tunnel_route(t)->upstream].name;
}

static inline const char *tunnel_server(const struct tunnel *t)
{
    return t->server_record->state->name;
}

/* address:port of the client, for the log */
static inline struct span tunnel_name(const struct tunnel *t)
{
    return span_of(t->text, t->words_n[TUNNEL_CLIENT]);
}

/* tunnel.c */
void tunnel_enter(struct tunnel *t, enum tunnel_state to);
const char *tunnel_state_word(const struct tunnel *t);
void tunnel_words(const struct tunnel *t, struct span out[TUNNEL_WORDS]);

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
void tunnel_note_movement(struct tunnel *t, struct side *s, bool moved);        /* moved: something passed to the other side just now */
void tunnel_allow_rate(struct tunnel *t);
void tunnel_ping_if_due(struct tunnel *t, struct side *s);
bool tunnel_both_flushed(const struct tunnel *t);
uint64_t tunnel_deadline_ms(const struct tunnel *t);
void tunnel_wait(struct tunnel *t);
void tunnel_on_open_due(struct tunnel *t, uint64_t now_ms);

#endif
