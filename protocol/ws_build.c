/* ws_build: hands a payload of at most 125 bytes to wslay's frame writer, whose context lives as long as one call.
 *
 * What can go wrong: no memory for that context; the answer is then 0 bytes, and there is no frame. */
#include "protocol/ws_build.h"

#include <string.h>
#include <wslay/wslay.h>

#define CODE_BYTES 2

static int give_mask(uint8_t *out, size_t n, void *mask)
{
    memcpy(out, mask, n);
    return 0;
}

static size_t build(uint8_t out[WS_BUILT_MAX_BYTES], enum ws_opcode opcode, struct span payload, const uint8_t mask[4])
{
    const struct wslay_frame_callbacks callbacks = { .genmask_callback = give_mask };
    struct wslay_frame_iocb frame = { .fin = 1, .opcode = (uint8_t)opcode, .mask = mask != NULL, .data = payload.p };
    uint8_t mask_copy[4] = { 0 };
    wslay_frame_context_ptr writer;
    size_t payload_written;
    ssize_t written;

    if (mask != NULL)
        memcpy(mask_copy, mask, sizeof(mask_copy));
    if (wslay_frame_context_init(&writer, &callbacks, mask_copy) != 0)
        return 0;
    frame.payload_length = frame.data_length = payload.n;
    written = wslay_frame_write(writer, &frame, out, WS_BUILT_MAX_BYTES, &payload_written);
    wslay_frame_context_free(writer);
    return written > 0 && payload_written == payload.n ? (size_t)written : 0;
}

/* At most `limit` bytes, and no part of a code point that would not fit whole. */
static struct span cut_at_code_point(struct span text, size_t limit)
{
    size_t n = limit;

    if (text.n <= limit)
        return text;
    while (n > 0 && limit - n < 3 && (text.p[n] & 0xc0) == 0x80)
        n--;
    return span_first(text, n);
}

size_t ws_build_close(uint8_t out[WS_BUILT_MAX_BYTES], unsigned code, struct span reason, const uint8_t mask[4])
{
    uint8_t payload[WS_CONTROL_MAX_BYTES] = { (uint8_t)(code >> 8), (uint8_t)code };

    if (code == 0)
        return build(out, WS_CLOSE, SPAN_EMPTY, mask);
    reason = cut_at_code_point(reason, sizeof(payload) - CODE_BYTES);
    if (reason.n > 0)
        memcpy(payload + CODE_BYTES, reason.p, reason.n);
    return build(out, WS_CLOSE, span_of(payload, CODE_BYTES + reason.n), mask);
}

size_t ws_build_ping(uint8_t out[WS_BUILT_MAX_BYTES], struct span payload, const uint8_t mask[4])
{
    return build(out, WS_PING, span_first(payload, WS_CONTROL_MAX_BYTES), mask);
}
