/* hash: 64 well mixed bits of some bytes, the same in every process and on every machine: for placing keys on servers, never a secret. */
#ifndef UPGATE_PROTOCOL_HASH_H
#define UPGATE_PROTOCOL_HASH_H

#include "protocol/span.h"

uint64_t hash_of(struct span bytes);
uint64_t hash_pair(uint64_t a, uint64_t b);      /* of two hashes; not symmetric */
/* -log2 of a hash read as a fraction of 1, in units of 2^-32, at least 1: an exponentially distributed value by which weighted shares are
 * compared. Integers only, so that every machine comes to the same. */
uint64_t hash_cost(uint64_t hash);

#endif
