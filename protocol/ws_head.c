/* ws_head: reads a frame header (RFC 6455 section 5.2). The only thing that can be wrong at this level is the length. */
#include "protocol/ws_head.h"
#include "protocol/fault.h"

#include <string.h>

#define LENGTH_IN_2 126                  /* what the seven bits say when two, or eight, bytes of length follow */
#define LENGTH_IN_8 127
#define MASK_BYTES 4

static uint64_t big_endian(const uint8_t *p, size_t n)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++)
        value = value << 8 | p[i];
    return value;
}

/* RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the length", "the most significant bit MUST be 0".
 * A top bit is seen at its own byte already. test_ws_head.c: lengths */
static bool length_is_lawful(const uint8_t *p, size_t n, size_t length_bytes)
{
    if (length_bytes == 8 && n > 0 && p[0] >= 0x80)
        return false;
    if (n < length_bytes)
        return true;
    return big_endian(p, length_bytes) >= (length_bytes == 2 ? 126u : 65536u);
}

int ws_head_parse(const uint8_t *p, size_t n, struct ws_head *out)
{
    size_t length_bytes;

    out->size = 0;
    if (n < 2)
        return 0;
    out->fin = p[0] >> 7;
    out->rsv = p[0] >> 4 & 7;
    out->opcode = p[0] & 15;
    out->masked = p[1] >> 7;
    out->length = p[1] & 127;
    length_bytes = out->length == LENGTH_IN_2 ? 2 : out->length == LENGTH_IN_8 ? 8 : 0;
    out->size = (uint8_t)(2 + length_bytes + (out->masked ? MASK_BYTES : 0));
    if (length_bytes > 0) {
        if (!length_is_lawful(p + 2, n - 2, length_bytes))
            return -(int)FAULT_WS_LENGTH;
        if (n < 2 + length_bytes)
            return 0;
        out->length = big_endian(p + 2, length_bytes);
    }
    if (n < out->size)
        return 0;
    if (out->masked)
        memcpy(out->mask, p + 2 + length_bytes, MASK_BYTES);
    return out->size;
}

bool ws_head_length_known(const struct ws_head *h, size_t n)
{
    return h->size > 0 && n + (h->masked ? MASK_BYTES : 0) >= h->size;
}
