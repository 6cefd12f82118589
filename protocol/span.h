/* span: borrowed bytes, and the few strict readers everybody needs.
 *
 * A span never owns: whoever made it says how long its bytes live. An empty span may have any pointer. */
#ifndef UPGATE_PROTOCOL_SPAN_H
#define UPGATE_PROTOCOL_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
    const uint8_t *p;
    size_t n;
};

#define SPAN_EMPTY ((struct span){ NULL, 0 })
#define SPAN_LITERAL(text) ((struct span){ (const uint8_t *)(text), sizeof(text) - 1 })

/* For "%.*s": SPAN_FORMAT(span) supplies length and pointer. */
#define SPAN_FORMAT(s) (int)(s).n, (const char *)((s).n > 0 ? (s).p : (const uint8_t *)"")

struct span span_of_text(const char *text);                        /* NULL reads as empty */
struct span span_of(const void *p, size_t n);
struct span span_from(struct span s, size_t offset);               /* what follows offset; empty past the end */
struct span span_first(struct span s, size_t n);                   /* at most the first n bytes */
bool span_equal(struct span a, struct span b);                     /* byte for byte */
bool span_same_letters(const uint8_t *a, const uint8_t *b, size_t n);             /* ASCII letters without case */
static inline bool span_equal_nocase(struct span a, struct span b)                /* … most names differ in their lengths */
{
    return a.n == b.n && span_same_letters(a.p, b.p, a.n);
}
/* A copy to somewhere else; returns where the next goes. Short words go without a call, in two pieces that may overlap. */
static inline uint8_t *span_put(uint8_t *to, struct span s)
{
    if (s.n >= 8 && s.n <= 16) {
        memcpy(to, s.p, 8);
        memcpy(to + s.n - 8, s.p + s.n - 8, 8);
    } else if (s.n >= 4 && s.n < 8) {
        memcpy(to, s.p, 4);
        memcpy(to + s.n - 4, s.p + s.n - 4, 4);
    } else if (s.n > 0) {
        memcpy(to, s.p, s.n);
    }
    return to + s.n;
}
bool span_starts_with(struct span s, struct span prefix);
bool span_ends_with(struct span s, struct span suffix);
/* Offset of the first byte equal to c, or s.n when there is none. */
size_t span_find(struct span s, uint8_t c);
/* 1*DIGIT and nothing else, no overflow: false leaves *value_out alone. */
bool span_to_u64(struct span s, uint64_t *value_out);
/* The other way: the digits, in `room`. */
#define SPAN_U64_BYTES 20
struct span span_of_u64(uint64_t value, uint8_t room[SPAN_U64_BYTES]);

/* Eight bytes, the first in the lowest place: one load, where the machine has that order, too. */
static inline uint64_t span_word(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 |
           (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

uint8_t ascii_lower(uint8_t c);

#endif
