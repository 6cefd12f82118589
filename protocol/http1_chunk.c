#include "protocol/http1_chunk.h"

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

static enum fault lf_byte(struct http1_chunk *c, uint8_t byte)
{
    if (byte != '\n')
        return FAULT_CHUNK;
    c->after_cr = false;
    c->ended = !c->data_end_due;
    c->data_end_due = false;
    return FAULT_NONE;
}

static enum fault cr_byte(struct http1_chunk *c)
{
    if (!c->data_end_due && c->digits == 0)
        return FAULT_CHUNK;
    c->after_cr = true;
    return FAULT_NONE;
}

/* RFC 9112 section 7.1.1: a recipient ought to bound the extensions, which are ignored and not passed on. A bare LF in one has
 * been read as its end by some and not by others. test_http1_parse.c: extension_* */
static enum fault extension_byte(struct http1_chunk *c, uint8_t byte, size_t limit)
{
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
        return FAULT_CHUNK;
    return ++c->extension_bytes > limit ? FAULT_CHUNK_EXTENSIONS : FAULT_NONE;
}

/* RFC 9112 section 7.1: chunk-size = 1*HEXDIG, and overflow must be anticipated. test_http1_parse.c: chunk_* */
static enum fault digit_byte(struct http1_chunk *c, uint8_t byte, size_t limit)
{
    if (byte == ';' && c->digits > 0) {
        c->in_extension = true;
        return extension_byte(c, byte, limit);
    }
    if (!is_hex(byte) || c->digits == HTTP1_CHUNK_DIGITS)
        return FAULT_CHUNK;
    c->digits++;
    return FAULT_NONE;
}

static enum fault line_byte(struct http1_chunk *c, uint8_t byte, size_t limit)
{
    if (c->after_cr)
        return lf_byte(c, byte);
    if (byte == '\r')
        return cr_byte(c);
    if (c->data_end_due)
        return FAULT_CHUNK;
    return c->in_extension ? extension_byte(c, byte, limit) : digit_byte(c, byte, limit);
}

size_t http1_chunk_feed(struct http1_chunk *c, const uint8_t *p, size_t n, size_t extension_limit, enum fault *fault_out)
{
    size_t i = 0;

    *fault_out = FAULT_NONE;
    while (i < n && !c->ended) {
        *fault_out = line_byte(c, p[i], extension_limit);
        if (*fault_out != FAULT_NONE)
            break;
        i++;
    }
    return i;
}
