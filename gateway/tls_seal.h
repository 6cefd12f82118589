/* tls_seal: the authenticated encryption of what protocol/sealed writes: AES-256-GCM, under keys of a file, shared by all threads.
 *
 * For each value a key of its own is made from the file's key and the first half of the nonce (SHA-256 over one block); the second half is
 * AES-GCM's nonce. So 192 bits are drawn at random for each, and a key may seal for years: 96 alone would do for some 2^32 values.
 * tests/gateway/test_sticky.c */
#ifndef UPGATE_GATEWAY_TLS_SEAL_H
#define UPGATE_GATEWAY_TLS_SEAL_H

#include "protocol/sealed.h"

#define TLS_SEAL_KEY_BYTES 32
#define TLS_SEAL_KEYS_MAX 16

struct tls_seal;

/* n keys, 1 … TLS_SEAL_KEYS_MAX, the one behind the other; the first seals. NULL: no memory. */
struct tls_seal *tls_seal_new(const uint8_t *keys, size_t n);
void tls_seal_free(struct tls_seal *s);          /* NULL is legal; wipes the keys */
const struct sealed_keys *tls_seal_keys(const struct tls_seal *s);

/* What a value is bound to: two names, and no other two. False: no memory. */
bool tls_seal_bind(struct span a, struct span b, uint8_t out[SEALED_BOUND_BYTES]);

#endif
