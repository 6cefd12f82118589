/* sha1: FIPS 180-4 section 6.1 as it is written there, over two pieces of text. Nothing can go wrong; speed does not matter
 * (two blocks per upgrade). */
#include "protocol/sha1.h"

#include <string.h>

#define BLOCK_BYTES 64
#define LENGTH_BYTES 8

struct sha1 {
    uint32_t h[5];
    uint64_t bytes;
    uint8_t block[BLOCK_BYTES];
    size_t used;                         /* of block */
};

static uint32_t rotate(uint32_t x, unsigned by)
{
    return x << by | x >> (32 - by);
}

static uint32_t big_endian_word(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* FIPS 180-4 sections 4.1.1 and 4.2.1: the function and the constant of round t. */
static uint32_t round_term(unsigned t, uint32_t b, uint32_t c, uint32_t d)
{
    if (t < 20)
        return ((b & c) ^ (~b & d)) + 0x5a827999u;
    if (t < 40)
        return (b ^ c ^ d) + 0x6ed9eba1u;
    if (t < 60)
        return ((b & c) ^ (b & d) ^ (c & d)) + 0x8f1bbcdcu;
    return (b ^ c ^ d) + 0xca62c1d6u;
}

static void digest_block(struct sha1 *s)
{
    uint32_t w[80];
    uint32_t a = s->h[0], b = s->h[1], c = s->h[2], d = s->h[3], e = s->h[4];

    for (unsigned t = 0; t < 80; t++)
        w[t] = t < 16 ? big_endian_word(s->block + (size_t)t * 4) : rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    for (unsigned t = 0; t < 80; t++) {
        uint32_t next = rotate(a, 5) + round_term(t, b, c, d) + e + w[t];
        e = d;
        d = c;
        c = rotate(b, 30);
        b = a;
        a = next;
    }
    s->h[0] += a;
    s->h[1] += b;
    s->h[2] += c;
    s->h[3] += d;
    s->h[4] += e;
}

static void add_byte(struct sha1 *s, uint8_t byte)
{
    s->block[s->used++] = byte;
    if (s->used == BLOCK_BYTES) {
        digest_block(s);
        s->used = 0;
    }
}

static void add(struct sha1 *s, struct span text)
{
    for (size_t i = 0; i < text.n; i++)
        add_byte(s, text.p[i]);
    s->bytes += text.n;
}

/* FIPS 180-4 section 5.1.1: a one bit, zeros, the length in bits. */
static void add_padding(struct sha1 *s)
{
    uint64_t bits = s->bytes * 8;

    add_byte(s, 0x80);
    while (s->used != BLOCK_BYTES - LENGTH_BYTES)
        add_byte(s, 0);
    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        add_byte(s, (uint8_t)(bits >> (56 - 8 * i)));
}

void sha1_of_two(struct span a, struct span b, uint8_t out[SHA1_BYTES])
{
    struct sha1 s = { .h = { 0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u } };

    add(&s, a);
    add(&s, b);
    add_padding(&s);
    for (unsigned i = 0; i < SHA1_BYTES; i++)
        out[i] = (uint8_t)(s.h[i / 4] >> (24 - 8 * (i % 4)));
}
