/* base64: one text for every sequence of bytes and one sequence for every text: what RFC 4648 leaves to the reader
 * (section 3.3 other characters, section 3.5 unused bits) is refused here. */
#include "protocol/base64.h"

#include <string.h>

#define LETTERS_AND_DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static const char standard[] = LETTERS_AND_DIGITS "+/", url[] = LETTERS_AND_DIGITS "-_";

/* Three bytes, of which n are there, as four characters. */
static void encode_group(const char *alphabet, const uint8_t *p, size_t n, uint8_t *out)
{
    uint32_t bits = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);

    out[0] = (uint8_t)alphabet[bits >> 18];
    out[1] = (uint8_t)alphabet[bits >> 12 & 63];
    out[2] = n > 1 ? (uint8_t)alphabet[bits >> 6 & 63] : '=';
    out[3] = n > 2 ? (uint8_t)alphabet[bits & 63] : '=';
}

void base64_encode(struct span in, uint8_t *out)
{
    for (size_t i = 0; i < in.n; i += 3, out += 4)
        encode_group(standard, in.p + i, in.n - i, out);
}

void base64url_encode(struct span in, uint8_t *out)
{
    uint8_t group[4];

    for (size_t i = 0; i < in.n; i += 3, out += 4) {
        size_t n = in.n - i < 3 ? in.n - i : 3;
        encode_group(url, in.p + i, n, group);
        memcpy(out, group, n + 1);
    }
}

static int value_of(const char *alphabet, uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == (uint8_t)alphabet[62] ? 62 : c == (uint8_t)alphabet[63] ? 63 : -1;
}

/* Four characters of which the last `padding` are `=`; false for a foreign character or for unused bits that are not zero. */
static bool decode_group(const char *alphabet, const uint8_t *p, unsigned padding, uint8_t *out)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < 4; i++) {
        int value = i < 4 - padding ? value_of(alphabet, p[i]) : 0;
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
    }
    if ((bits & ((1u << (8 * padding)) - 1)) != 0)
        return false;
    for (unsigned i = 0; i < 3 - padding; i++)
        out[i] = (uint8_t)(bits >> (16 - 8 * i));
    return true;
}

static unsigned padding_of(struct span in)
{
    if (in.n < 4 || in.p[in.n - 1] != '=')
        return 0;
    return in.p[in.n - 2] == '=' ? 2 : 1;
}

int base64_decode(struct span in, uint8_t *out)
{
    unsigned padding = padding_of(in);

    if (in.n % 4 != 0 || in.n > INT32_MAX)
        return -1;
    for (size_t i = 0; i < in.n; i += 4)
        if (!decode_group(standard, in.p + i, i + 4 == in.n ? padding : 0, out + i / 4 * 3))
            return -1;
    return (int)(in.n / 4 * 3 - padding);
}

int base64url_decode(struct span in, uint8_t *out)
{
    size_t whole = in.n / 4 * 4, rest = in.n - whole;

    if (rest == 1 || in.n > INT32_MAX)
        return -1;
    for (size_t i = 0; i < whole; i += 4)
        if (!decode_group(url, in.p + i, 0, out + i / 4 * 3))
            return -1;
    if (rest > 0 && !decode_group(url, in.p + whole, 4 - (unsigned)rest, out + whole / 4 * 3))
        return -1;
    return (int)(whole / 4 * 3 + (rest > 0 ? rest - 1 : 0));
}
