/* utf8: incremental UTF-8 (RFC 3629), failing at the first impossible byte, across any split. Vectorised where the CPU can. */
#ifndef UPGATE_PROTOCOL_UTF8_H
#define UPGATE_PROTOCOL_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct utf8 {
    uint8_t state;                       /* 0 = between code points */
    uint8_t open_bytes;                  /* bytes of the code point that is open (0 … 3) */
};

/* Feeds n bytes; false at the first byte that cannot belong to valid UTF-8 (the state is then meaningless). */
bool utf8_feed(struct utf8 *u, const uint8_t *p, size_t n);
/* As utf8_feed for payload masked with mask, whose first byte applies to p[0]; p is only read. */
bool utf8_feed_masked(struct utf8 *u, const uint8_t *p, size_t n, const uint8_t mask[4]);
bool utf8_complete(const struct utf8 *u);        /* no code point is open */
bool utf8_valid(const uint8_t *p, size_t n);     /* the whole text at once */
bool utf8_valid_masked(const uint8_t *p, size_t n, const uint8_t mask[4]);

#endif
