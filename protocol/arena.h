/* arena: the memory of one message: many small pieces, one release, a cap.
 *
 * Pieces live until arena_reset or arena_free. Past the cap, or without memory, every allocation answers NULL. */
#ifndef UPGATE_PROTOCOL_ARENA_H
#define UPGATE_PROTOCOL_ARENA_H

#include "protocol/span.h"

struct arena_block;

struct arena {
    struct arena_block *newest;
    size_t used_bytes;                   /* handed out, as far as the cap counts */
    size_t cap_bytes;
};

void arena_init(struct arena *a, size_t cap_bytes);                   /* allocates nothing yet */
/* Begins in `room`, which is somebody else's, aligned for any object, and outlives the arena; arena_free leaves it to the next use. */
void arena_init_in(struct arena *a, size_t cap_bytes, void *room, size_t room_bytes);
void *arena_alloc(struct arena *a, size_t bytes);                     /* aligned for any object */
/* Makes a piece longer: in place when it is the newest and its block has room, else by moving it. `piece` NULL starts one. */
void *arena_extend(struct arena *a, void *piece, size_t old_bytes, size_t new_bytes);
/* A copy of the bytes in the arena; its p is NULL when there was no room (and s.n was not 0). */
struct span arena_copy(struct arena *a, struct span s);
void arena_reset(struct arena *a);                                    /* all pieces go; one block is kept for the next message */
void arena_free(struct arena *a);                                     /* all memory goes; the arena may be used again */

#endif
