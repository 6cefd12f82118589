/* ws_scan: one direction of an open tunnel.
 *
 * Given the next bytes, says how many of them are whole, lawful WebSocket and may pass unchanged. It never copies or alters
 * payload. An incomplete header is left with the caller (at most 13 bytes), so "passed" and "verified" are the same number,
 * and the tunnel can tell when a frame of its own may be inserted. Faults are sticky. No allocation.
 *
 * Control frames are delivered whole, one at a time: the scan stops in front of one (WS_SCAN_CONTROL) when all of it is there,
 * and the caller decides whether its bytes pass or are swallowed; then it calls ws_scan_control_done and goes on behind it.
 *
 * With WS_VERIFY_UTF8 text passes only up to its last whole code point: the open rest, and the frame it would end, stay with
 * the caller until later bytes settle it (a control frame that follows in between releases them, so that a Ping never waits
 * for a message to go on; so does an empty fragment that is not the last). Compressed messages (RSV1 on the first frame) are
 * not checked for UTF-8. RFC 6455 sections 5, 7.4, 8.1. WS_VERIFY_BLIND passes everything and sees no frames.
 *
 * The invariant: the scanner stands exactly behind what it has passed, and every feed begins there. What it looked at further
 * on and did not pass it forgets, and looks at again. So a window of WS_SCAN_WINDOW_BYTES always gets on: the most that has to
 * be seen at once is a control frame, or an open code point over four fragments (29 bytes with their headers) and one byte.
 *
 * A fault is found at the first byte that makes it, however the bytes were split, headers included: a reserved opcode at the
 * first byte, an announced size as soon as it is there. Of a frame found faulty while its beginning is in the window nothing
 * passes, so that the innocent side can still be sent a Close; of one that had begun to pass, nothing more. What precedes the
 * frame passes, but for an open code point that was waiting: it never became valid. tests/protocol/test_ws_scan.c */
#ifndef UPGATE_PROTOCOL_WS_SCAN_H
#define UPGATE_PROTOCOL_WS_SCAN_H

#include "protocol/fault.h"
#include "protocol/utf8.h"
#include "protocol/ws_head.h"

#define WS_SCAN_WINDOW_BYTES (6 + WS_CONTROL_MAX_BYTES)

enum ws_verify { WS_VERIFY_FRAMES, WS_VERIFY_UTF8, WS_VERIFY_BLIND };

struct ws_scan_rules {                   /* the same for very many scans, which borrow them */
    bool from_client : 1;                /* frames must be masked; otherwise they must not be */
    bool deflate : 1;                    /* permessage-deflate was negotiated: RSV1 is lawful on a message's first frame */
    bool rated : 1;                      /* messages_allowed counts */
    enum ws_verify verify : 4;
    uint32_t max_fragments;              /* frames of one message, 0 = no limit; past it: FAULT_WS_MESSAGE_TOO_LARGE */
    uint64_t max_frame;                  /* payload bytes, 0 = no limit; data frames only */
    uint64_t max_message;                /* payload bytes over all fragments, 0 = no limit; an announced length counts at once */
};

struct ws_scan_counts {
    uint64_t frames;                     /* data and control */
    uint64_t messages;                   /* whole data messages … */
    uint32_t texts;                      /* … of which text, modulo 2^32, as all that follow: what they grow by is of interest */
    uint32_t payload_bytes;              /* of data frames */
    uint32_t pings, pongs;
};

struct ws_place {                        /* where a scan stands in the stream */
    uint64_t payload_left;               /* of the data frame that stands open */
    uint64_t message_bytes;              /* announced so far for the current message */
    uint32_t message_fragments;
    uint8_t mask[4];                     /* the next payload byte's first */
    struct utf8 utf8;
    uint8_t message_opcode;              /* 0 = between messages */
    bool message_is_text : 1;            /* and its payload is checked */
    bool frame_fin : 1;
};

struct ws_scan {                         /* the caller embeds it, and reads rules, counts and fault. Two for each tunnel: small */
    const struct ws_scan_rules *rules;
    enum fault fault : 8;                /* sticky */
    uint8_t control_opcode;              /* of the control frame that was delivered and not yet done with; else 0 */
    bool close_seen : 1;
    bool unseen_before : 1;              /* the data frame begun last is one whose payload is not checked */
    uint32_t messages_allowed;           /* with rules->rated: over its life, modulo 2^32; the caller moves it on with time, by less than
                                          * 2^31. The first byte of one more is a fault */
    struct ws_place place;
    struct ws_scan_counts counts;        /* of what has passed, swallowed control frames included */
};

struct ws_control {
    uint8_t opcode;                      /* WS_CLOSE, WS_PING, WS_PONG */
    size_t frame_bytes;                  /* header and payload: what to pass or skip */
    uint8_t payload[WS_CONTROL_MAX_BYTES];      /* unmasked */
    size_t payload_bytes;
    uint16_t close_code;                 /* WS_CLOSE: 0 when the payload is empty */
};

enum ws_scan_verdict {
    WS_SCAN_MORE,                        /* everything that may pass was counted; more bytes are needed */
    WS_SCAN_CONTROL,                     /* a whole, lawful control frame stands right behind the passed bytes */
    WS_SCAN_FAULT,
};

void ws_scan_init(struct ws_scan *s, const struct ws_scan_rules *rules);        /* borrowed for the scan's life */
/* *passed_out: how many bytes from p on may pass now. The caller sends and consumes exactly these, or fewer: what was counted as
 * passed must not be fed again, so a caller that can send less feeds no more than it can send (or remembers how much is cleared).
 * The next feed begins with the first byte that was not passed (behind the control frame, where there was one and it is done;
 * a control frame that is not done with is delivered again). */
enum ws_scan_verdict ws_scan_feed(struct ws_scan *s, const uint8_t *p, size_t n, size_t *passed_out,
                                  struct ws_control *control_out);
/* How many bytes from here on may pass without being looked at: what is left of a data frame whose payload is not checked. */
uint64_t ws_scan_unseen(const struct ws_scan *s);
void ws_scan_passed_unseen(struct ws_scan *s, uint64_t n);       /* so many of them did */
/* The delivered control frame has been passed on whole, or swallowed. Behind a Close every byte is FAULT_WS_AFTER_CLOSE. */
void ws_scan_control_done(struct ws_scan *s);
/* True when what passed ends at a frame boundary, and a frame of ours may follow; in front of a delivered control frame it does,
 * after a fault too when the faulty frame had not begun to pass. Never with WS_VERIFY_BLIND: nobody knows. */
bool ws_scan_at_boundary(const struct ws_scan *s);
/* True between the frames of a fragmented message, and inside a message. */
bool ws_scan_in_message(const struct ws_scan *s);
/* RFC 6455 section 7.4: may this code stand in a Close frame? (1000-1003, 1007-1014, 3000-4999) */
bool ws_close_code_lawful(unsigned code);

#endif
