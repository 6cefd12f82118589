/* siphash: SipHash-2-4 (Aumasson and Bernstein, 2012): 64 bits of some bytes that nobody without the key can foresee. For tables whose keys
 * come from strangers, and for recognising what was seen before. tests/protocol/test_siphash.c has the authors' values. */
#ifndef UPGATE_PROTOCOL_SIPHASH_H
#define UPGATE_PROTOCOL_SIPHASH_H

#include "protocol/span.h"

struct siphash_key {
    uint8_t bytes[16];
};

uint64_t siphash(const struct siphash_key *key, struct span bytes);

#endif
