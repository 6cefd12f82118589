#include "protocol/hash.h"

/* Each bit of the input changes each bit of the output with a probability of about one half (a xor-shift-multiply finaliser). */
static uint64_t mixed(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xD6E8FEB86659FD93);
    x ^= x >> 32;
    x *= UINT64_C(0xD6E8FEB86659FD93);
    x ^= x >> 32;
    return x;
}

/* FNV-1a (byte order does not matter to it), finished. */
uint64_t hash_of(struct span bytes)
{
    uint64_t h = UINT64_C(0xCBF29CE484222325);

    for (size_t i = 0; i < bytes.n; i++)
        h = (h ^ bytes.p[i]) * UINT64_C(0x100000001B3);
    return mixed(h);
}

uint64_t hash_pair(uint64_t a, uint64_t b)
{
    return mixed(mixed(a + UINT64_C(0x9E3779B97F4A7C15)) ^ b);
}

#define FRACTION_BITS 32

/* Bit by bit: squaring doubles a logarithm, and whether the square is past 2 is its next bit. */
uint64_t hash_cost(uint64_t hash)
{
    unsigned whole = 0;
    uint64_t x = hash | 1, fraction = 0;

    while ((x >> 63) == 0) {
        x <<= 1;
        whole++;
    }
    x >>= 32;                            /* 1.0 … 2.0 as 2^31 … 2^32 */
    for (int i = 0; i < FRACTION_BITS; i++) {
        x = (x * x) >> 31;
        fraction <<= 1;
        if (x >> 32 != 0) {
            x >>= 1;
            fraction |= 1;
        }
    }
    return ((uint64_t)(whole + 1) << FRACTION_BITS) - fraction;
}
