/* hold: bytes that are kept because nobody takes them yet: one allocation while there are some, a NULL pointer while there are none.
 *
 * Filled at the end, taken from the front. Whoever holds bounds how much. */
#ifndef UPGATE_GATEWAY_HOLD_H
#define UPGATE_GATEWAY_HOLD_H

#include "protocol/span.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hold {
    uint32_t at, n, size;
    uint8_t bytes[];
};

static inline size_t hold_n(const struct hold *h)
{
    return h != NULL ? h->n : 0;
}

static inline struct span hold_bytes(const struct hold *h)
{
    return h != NULL ? span_of(h->bytes + h->at, h->n) : SPAN_EMPTY;
}

/* Room for n bytes behind what is held, at least `least` with what is held; NULL: no memory, and nothing has changed. An empty hold may come
 * of it: hold_added or hold_take follows. */
uint8_t *hold_room(struct hold **h, size_t n, size_t least);
void hold_added(struct hold *h, size_t n);       /* the first n bytes of that room are filled */
/* A copy of the bytes goes behind what is held, as above; false: no memory, and nothing has changed. */
bool hold_put(struct hold **h, struct span bytes, size_t least);
void hold_take(struct hold **h, size_t n);       /* n bytes from the front are done with; the last of them frees */
void hold_drop(struct hold **h);                 /* all of them */

#endif
