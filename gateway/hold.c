#include "gateway/hold.h"
#include "protocol/mem.h"

#include <assert.h>
#include <string.h>

uint8_t *hold_room(struct hold **h, size_t n, size_t least)
{
    struct hold *held = *h;
    size_t size = hold_n(held) + n;

    if (held != NULL && held->at > 0) {
        memmove(held->bytes, held->bytes + held->at, held->n);
        held->at = 0;
    }
    if (held == NULL || held->size < size) {
        size = size < least ? least : size;
        assert(size <= UINT32_MAX);
        held = mem_realloc(held, sizeof(*held) + size);
        if (held == NULL)
            return NULL;
        if (*h == NULL)
            held->at = held->n = 0;
        held->size = (uint32_t)size;
        *h = held;
    }
    return held->bytes + held->n;
}

void hold_added(struct hold *h, size_t n)
{
    assert(n <= h->size - h->n);
    h->n += (uint32_t)n;
}

bool hold_put(struct hold **h, struct span bytes, size_t least)
{
    uint8_t *room = bytes.n > 0 ? hold_room(h, bytes.n, least) : NULL;

    if (room == NULL)
        return bytes.n == 0;
    memcpy(room, bytes.p, bytes.n);
    hold_added(*h, bytes.n);
    return true;
}

void hold_take(struct hold **h, size_t n)
{
    assert(n <= hold_n(*h));
    if (*h == NULL)
        return;
    (*h)->at += (uint32_t)n;
    (*h)->n -= (uint32_t)n;
    if ((*h)->n == 0)
        hold_drop(h);
}

void hold_drop(struct hold **h)
{
    mem_free(*h);
    *h = NULL;
}
