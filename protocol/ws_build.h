/* ws_build: the frames that the gateway originates: Close and Ping, written by wslay (RFC 6455 section 5.5). */
#ifndef UPGATE_PROTOCOL_WS_BUILD_H
#define UPGATE_PROTOCOL_WS_BUILD_H

#include "protocol/span.h"
#include "protocol/ws_head.h"

#define WS_BUILT_MAX_BYTES (WS_HEAD_MAX_BYTES + WS_CONTROL_MAX_BYTES)

/* mask NULL: a server's frame, unmasked; otherwise four unpredictable bytes (RFC 6455 section 5.3) for a client's.
 * Returns the frame's length in out, 0 when there was no memory. code 0: an empty Close. A reason longer than 123 bytes is cut
 * at a code point, a Ping's payload at 125 bytes. tests/protocol/test_ws_build.c */
size_t ws_build_close(uint8_t out[WS_BUILT_MAX_BYTES], unsigned code, struct span reason, const uint8_t mask[4]);
size_t ws_build_ping(uint8_t out[WS_BUILT_MAX_BYTES], struct span payload, const uint8_t mask[4]);

#endif
