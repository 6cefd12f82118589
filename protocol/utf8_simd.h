/* utf8_simd: the fast half of utf8: how far from here on is it whole, valid code points? Only utf8.c and its tests come here.
 *
 * Each reader starts between code points and answers how many bytes it passed over: valid UTF-8 that ends between code points.
 * It may answer less than there is: the vector readers stop in front of the block they dislike, or that is not full.
 * Text may be masked: byte i counts as p[i] ^ key[i % 4]; it is unmasked in registers and never written. */
#ifndef UPGATE_PROTOCOL_UTF8_SIMD_H
#define UPGATE_PROTOCOL_UTF8_SIMD_H

#include <stddef.h>
#include <stdint.h>

/* A key is the four mask bytes over and over. Whoever goes on at offset i hands on key + i % 4, so the bytes that are left of it
 * get fewer: utf8.c does that once, utf8_whole once, and the readers take a word at any of four phases (3 + 3 + 3 + 8 bytes). */
#define UTF8_KEY_BYTES 20

/* The best of the readers below that this processor has, then the portable one: where it stops stands an open or an
 * impossible code point, or the end. */
size_t utf8_whole(const uint8_t *p, size_t n, const uint8_t *key);

size_t utf8_whole_portable(const uint8_t *p, size_t n, const uint8_t *key);
#if defined(__x86_64__)
size_t utf8_whole_ssse3(const uint8_t *p, size_t n, const uint8_t *key);
size_t utf8_whole_avx2(const uint8_t *p, size_t n, const uint8_t *key);          /* where the processor has it */
#endif

#endif
