#include "protocol/siphash.h"

struct state {
    uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static void mix(struct state *s, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        s->a += s->b;
        s->c += s->d;
        s->b = rotate(s->b, 13) ^ s->a;
        s->d = rotate(s->d, 16) ^ s->c;
        s->a = rotate(s->a, 32);
        s->c += s->b;
        s->a += s->d;
        s->b = rotate(s->b, 17) ^ s->c;
        s->d = rotate(s->d, 21) ^ s->a;
        s->c = rotate(s->c, 32);
    }
}

/* The last n (at most 7) bytes. */
static uint64_t part_word(const uint8_t *p, size_t n)
{
    uint64_t w = 0;

    for (size_t i = 0; i < n; i++)
        w |= (uint64_t)p[i] << 8 * i;
    return w;
}

static void take(struct state *s, uint64_t w)
{
    s->d ^= w;
    mix(s, 2);
    s->a ^= w;
}

uint64_t siphash(const struct siphash_key *key, struct span bytes)
{
    uint64_t k0 = span_word(key->bytes), k1 = span_word(key->bytes + 8);
    struct state s = { k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d), k0 ^ UINT64_C(0x6c7967656e657261),
                       k1 ^ UINT64_C(0x7465646279746573) };
    size_t whole = bytes.n / 8 * 8;

    for (size_t at = 0; at < whole; at += 8)
        take(&s, span_word(bytes.p + at));
    take(&s, part_word(whole < bytes.n ? bytes.p + whole : (const uint8_t *)"", bytes.n - whole) | (uint64_t)bytes.n << 56);
    s.c ^= 0xff;
    mix(&s, 4);
    return s.a ^ s.b ^ s.c ^ s.d;
}
