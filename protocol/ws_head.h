/* ws_head: one WebSocket frame header (RFC 6455 section 5.2): syntax only, no policy. */
#ifndef UPGATE_PROTOCOL_WS_HEAD_H
#define UPGATE_PROTOCOL_WS_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WS_HEAD_MAX_BYTES 14
#define WS_CONTROL_MAX_BYTES 125         /* payload of a control frame, RFC 6455 section 5.5 */

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

struct ws_head {
    bool fin;
    uint8_t rsv;                         /* RSV1 = 4, RSV2 = 2, RSV3 = 1 */
    uint8_t opcode;                      /* 0 … 15, unchecked */
    bool masked;
    uint8_t mask[4];
    uint64_t length;                     /* payload bytes */
    uint8_t size;                        /* of the header itself */
};

/* Header size when whole, 0 when more bytes are needed, minus an enum fault (FAULT_WS_LENGTH) otherwise. After 0, what the
 * first n bytes tell is in *out already: from two bytes on all but length and mask (size is 0 before), then the length. */
int ws_head_parse(const uint8_t *p, size_t n, struct ws_head *out);
/* True when the first n bytes told the length (h as ws_head_parse left it): the mask may still be missing. */
bool ws_head_length_known(const struct ws_head *h, size_t n);

#endif
