#include "protocol/http1_chunk.h"

#include <string.h>

struct http1_chunk http1_chunk_first(void)
{
    return (struct http1_chunk){ .part = HTTP1_CHUNK_SIZE, .is_first = true };
}

struct http1_chunk http1_chunk_behind_data(void)
{
    return (struct http1_chunk){ .part = HTTP1_CHUNK_DATA_CR };
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

static enum fault enter(struct http1_chunk *c, enum http1_chunk_part next)
{
    c->part = next;
    return FAULT_NONE;
}

/* A byte that has to be this one. */
static enum fault exactly(struct http1_chunk *c, uint8_t byte, uint8_t due, enum http1_chunk_part next)
{
    return byte == due ? enter(c, next) : FAULT_CHUNK;
}

/* RFC 9112 section 7.1.1: a recipient ignores extensions it does not know and ought to bound them. A bare LF in one has been
 * read as its end by some and not by others. test_http1_parse.c: extension_* */
static enum fault extension_byte(struct http1_chunk *c, uint8_t byte, size_t limit)
{
    if (byte == '\r' && c->part == HTTP1_CHUNK_EXTENSION)
        return enter(c, HTTP1_CHUNK_LF);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
        return FAULT_CHUNK;
    return ++c->extension_bytes > limit ? FAULT_CHUNK_EXTENSIONS : FAULT_NONE;
}

/* RFC 9112 section 7.1.1: whitespace may stand before the semicolon, and nowhere else around the size. */
static enum fault blank_byte(struct http1_chunk *c, uint8_t byte, size_t limit)
{
    if (byte == ';')
        enter(c, HTTP1_CHUNK_EXTENSION);
    else if (byte != ' ' && byte != '\t')
        return FAULT_CHUNK;
    return extension_byte(c, byte, limit);
}

/* RFC 9112 section 7.1: chunk-size = 1*HEXDIG, and overflow must be anticipated. test_http1_parse.c: chunk_* */
static enum fault size_byte(struct http1_chunk *c, uint8_t byte, size_t limit)
{
    if (is_hex(byte)) {
        if (c->digits_n == HTTP1_CHUNK_DIGITS)
            return FAULT_CHUNK;
        c->digits[c->digits_n++] = byte;
        return FAULT_NONE;
    }
    if (c->digits_n == 0)
        return FAULT_CHUNK;
    if (byte == '\r')
        return enter(c, HTTP1_CHUNK_LF);
    enter(c, HTTP1_CHUNK_BLANK);
    return blank_byte(c, byte, limit);
}

static enum fault line_byte(struct http1_chunk *c, uint8_t byte, size_t limit)
{
    switch (c->part) {
    case HTTP1_CHUNK_DATA_CR:
        return exactly(c, byte, '\r', HTTP1_CHUNK_DATA_LF);
    case HTTP1_CHUNK_DATA_LF:
        return exactly(c, byte, '\n', HTTP1_CHUNK_SIZE);
    case HTTP1_CHUNK_SIZE:
        return size_byte(c, byte, limit);
    case HTTP1_CHUNK_BLANK:
        return blank_byte(c, byte, limit);
    case HTTP1_CHUNK_EXTENSION:
        return extension_byte(c, byte, limit);
    case HTTP1_CHUNK_LF:
    case HTTP1_CHUNK_ENDED:
        break;
    }
    return exactly(c, byte, '\n', HTTP1_CHUNK_ENDED);
}

size_t http1_chunk_feed(struct http1_chunk *c, const uint8_t *p, size_t n, size_t extension_limit, enum fault *fault_out)
{
    size_t i = 0;

    *fault_out = FAULT_NONE;
    while (i < n && c->part != HTTP1_CHUNK_ENDED) {
        *fault_out = line_byte(c, p[i], extension_limit);
        if (*fault_out != FAULT_NONE)
            break;
        i++;
    }
    return i;
}

size_t http1_chunk_plain(const struct http1_chunk *c, uint8_t out[HTTP1_CHUNK_PLAIN_BYTES])
{
    size_t n = c->is_first ? 0 : 2;

    memcpy(out, "\r\n", n);
    memcpy(out + n, c->digits, c->digits_n);
    memcpy(out + n + c->digits_n, "\r\n", 2);
    return n + c->digits_n + 2;
}
