/* sha1: FIPS 180-4 section 6.1, over two pieces of text. Nothing can go wrong. Two blocks per upgrade: written so that a compiler makes
 * straight code of the rounds. */
#include "protocol/sha1.h"

#include <string.h>

#define BLOCK_BYTES 64
#define LENGTH_BYTES 8
#define SCHEDULE_WORDS 80

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

static void put_length(uint8_t to[LENGTH_BYTES], uint64_t bits)
{
    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        to[i] = (uint8_t)(bits >> (56 - 8 * i));
}

static uint32_t big_endian_word(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* FIPS 180-4 sections 4.1.1 and 4.2.1: the functions and the constants, each for twenty rounds. */
#define CHOICE(b, c, d) (((b & c) ^ (~b & d)) + 0x5a827999u)
#define PARITY(b, c, d) ((b ^ c ^ d) + 0x6ed9eba1u)
#define MAJORITY(b, c, d) (((b & c) ^ (b & d) ^ (c & d)) + 0x8f1bbcdcu)
#define PARITY_AGAIN(b, c, d) ((b ^ c ^ d) + 0xca62c1d6u)

/* Section 6.1.2, 3. Instead of the values, the names change places: after five rounds each has its own again. */
#define ROUND(term, a, b, c, d, e, t) \
    do { \
        e += rotate(a, 5) + term(b, c, d) + w[t]; \
        b = rotate(b, 30); \
    } while (0)
#define FIVE_ROUNDS(term, t) \
    do { \
        ROUND(term, a, b, c, d, e, t); \
        ROUND(term, e, a, b, c, d, (t) + 1); \
        ROUND(term, d, e, a, b, c, (t) + 2); \
        ROUND(term, c, d, e, a, b, (t) + 3); \
        ROUND(term, b, c, d, e, a, (t) + 4); \
    } while (0)
#define TWENTY_ROUNDS(term, t) \
    do { \
        FIVE_ROUNDS(term, t); \
        FIVE_ROUNDS(term, (t) + 5); \
        FIVE_ROUNDS(term, (t) + 10); \
        FIVE_ROUNDS(term, (t) + 15); \
    } while (0)

/* Section 6.1.2, 1. */
static void schedule(const uint8_t block[BLOCK_BYTES], uint32_t w[SCHEDULE_WORDS])
{
    for (size_t t = 0; t < 16; t++)
        w[t] = big_endian_word(block + t * 4);
    for (size_t t = 16; t < SCHEDULE_WORDS; t++)
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
}

static void digest(struct sha1 *s, const uint32_t w[SCHEDULE_WORDS])
{
    uint32_t a = s->h[0], b = s->h[1], c = s->h[2], d = s->h[3], e = s->h[4];

    TWENTY_ROUNDS(CHOICE, 0);
    TWENTY_ROUNDS(PARITY, 20);
    TWENTY_ROUNDS(MAJORITY, 40);
    TWENTY_ROUNDS(PARITY_AGAIN, 60);
    s->h[0] += a;
    s->h[1] += b;
    s->h[2] += c;
    s->h[3] += d;
    s->h[4] += e;
}

static void add(struct sha1 *s, struct span text)
{
    uint32_t w[SCHEDULE_WORDS];

    s->bytes += text.n;
    while (text.n > 0) {
        struct span part = span_first(text, BLOCK_BYTES - s->used);
        memcpy(s->block + s->used, part.p, part.n);
        s->used += part.n;
        text = span_from(text, part.n);
        if (s->used < BLOCK_BYTES)
            return;
        schedule(s->block, w);
        digest(s, w);
        s->used = 0;
    }
}

/* A last block of nothing but a length: the texts of upgrades are all of one length, and so each thread schedules it once. */
static void digest_length(struct sha1 *s, uint64_t bits)
{
    static _Thread_local struct {
        uint64_t bits;
        uint32_t w[SCHEDULE_WORDS];
    } last;
    uint8_t block[BLOCK_BYTES] = { 0 };

    if (last.bits != bits) {
        put_length(block + BLOCK_BYTES - LENGTH_BYTES, bits);
        schedule(block, last.w);
        last.bits = bits;
    }
    digest(s, last.w);
}

/* FIPS 180-4 section 5.1.1: a one bit, zeros, the length in bits. */
static void add_padding(struct sha1 *s)
{
    static const uint8_t one_and_zeros[BLOCK_BYTES] = { 0x80 };
    uint64_t bits = s->bytes * 8;
    uint8_t length[LENGTH_BYTES];

    if (s->used >= BLOCK_BYTES - LENGTH_BYTES) {
        add(s, span_of(one_and_zeros, BLOCK_BYTES - s->used));
        digest_length(s, bits);
        return;
    }
    put_length(length, bits);
    add(s, span_of(one_and_zeros, BLOCK_BYTES - LENGTH_BYTES - s->used));
    add(s, span_of(length, LENGTH_BYTES));
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
