/* pump: one direction of a tunnel: peek, verify, send, consume.
 *
 * Bytes pass unchanged and without a copy: the scanner says how many of them are lawful, the stream takes as many as the peer reads, and
 * exactly these are consumed. What was verified but not yet taken is remembered as a number (`cleared`), never as a buffer. Of a long frame whose
 * payload needs no look, only the header is seen: the rest, exactly as long as it was announced, is spliced where both streams can do that, and
 * the header with it, when it was only glanced at. With WS_VERIFY_BLIND everything is, while it is much. */
#ifndef UPGATE_GATEWAY_PUMP_H
#define UPGATE_GATEWAY_PUMP_H

#include "gateway/stream.h"
#include "protocol/ws_scan.h"

#define PUMP_ROUNDS_MAX 8                /* pieces (of at most a scratch buffer) in one turn; the rest waits for the next */
#define PUMP_SPLICE_BYTES 32768          /* payload that needs no look, from here on: from socket to socket */
#define PUMP_PING_BYTES 8                /* of a Ping's payload: random, so that no peer can answer before it was asked */

struct pump {                            /* two for each tunnel, which knows the streams. What a message touches is in front */
    uint64_t moved;                      /* bytes passed on, over its life */
    uint32_t cleared;                    /* verified bytes at the front of the input that the output has not taken yet */
    uint16_t close_code;                 /* of the Close that was seen; 1005: it had none; 0: none was seen */
    uint8_t skip;                        /* bytes behind the cleared ones that are swallowed: a Pong to the gateway's own Ping, a Close that is held */
    bool hold_close : 1;                 /* a Close that comes is noted, not passed on */
    bool close_passes : 1;               /* … but goes out with what is cleared */
    bool close_is_last : 1;              /* … and behind it the output is finished at once */
    bool spliced : 1;                    /* some of the frame that stands open was spliced, and the rest of it is to be; blind: what comes is */
    bool long_before : 1;                /* what was read last was long enough for it: the next may be, too */
    bool discard : 1;                    /* what is lawful is thrown away: nothing may go out any more, but a Close is waited for */
    bool ping_out : 1;                   /* a Ping with this payload went to where the input comes from, and its Pong is awaited */
    bool pong_seen : 1;                  /* … and has come; the tunnel takes note and clears it */
    struct ws_scan scan;
    uint8_t ping_payload[PUMP_PING_BYTES];
};

enum pump_result {
    PUMP_STARVED,                        /* needs more input */
    PUMP_BLOCKED,                        /* the output takes no more now */
    PUMP_SPENT,                          /* this turn's share is used up: go on in the next */
    PUMP_CLOSED,                         /* a Close frame came, and (unless hold_close) has passed; nothing passes after it */
    PUMP_FAULT,                          /* scan.fault; what was lawful before it has passed, nothing passes after it */
    PUMP_EOF,                            /* the input ended between two frames */
    PUMP_CUT,                            /* the input ended inside a frame */
    PUMP_RESET,                          /* the input failed */
    PUMP_DEAF,                           /* the output failed */
};

void pump_init(struct pump *p, const struct ws_scan_rules *rules);       /* borrowed */
enum pump_result pump_run(struct pump *p, struct stream *from, struct stream *to);       /* the same two each time */
/* `to` does not take what is there for it. */
bool pump_blocked(const struct pump *p, const struct stream *to);
/* What went out last was the end of a frame: a frame of the gateway's own may follow. Never true with WS_VERIFY_BLIND. */
bool pump_at_boundary(const struct pump *p);

#endif
