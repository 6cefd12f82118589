#include "protocol/arena.h"
#include "protocol/mem.h"

#include <assert.h>
#include <stdalign.h>
#include <string.h>

#define FIRST_BLOCK_BYTES 2000           /* with the block's head just under 2 KiB: an ordinary request fits */
#define LATER_BLOCK_BYTES 8100

struct arena_block {
    struct arena_block *older;
    size_t used;
    size_t size;
    bool lent;                           /* it is not ours to free; always the oldest */
    alignas(max_align_t) uint8_t bytes[];
};

static size_t align_up(size_t bytes)
{
    return (bytes + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

void arena_init(struct arena *a, size_t cap_bytes)
{
    *a = (struct arena){ .cap_bytes = cap_bytes };
}

void arena_init_in(struct arena *a, size_t cap_bytes, void *room, size_t room_bytes)
{
    struct arena_block *block = room;

    assert(room_bytes >= sizeof(*block));
    *block = (struct arena_block){ .size = room_bytes - sizeof(*block), .lent = true };
    *a = (struct arena){ .newest = block, .cap_bytes = cap_bytes };
}

static struct arena_block *block_add(struct arena *a, size_t bytes)
{
    size_t size = a->newest == NULL ? FIRST_BLOCK_BYTES : LATER_BLOCK_BYTES;
    struct arena_block *block;

    if (size < bytes)
        size = bytes;
    block = mem_alloc(sizeof(*block) + size);
    if (block == NULL)
        return NULL;
    block->older = a->newest;
    block->used = 0;
    block->size = size;
    block->lent = false;
    a->newest = block;
    return block;
}

/* The newest block has room. */
static inline void *take(struct arena *a, size_t bytes)
{
    void *piece = a->newest->bytes + a->newest->used;

    a->newest->used += bytes;
    a->used_bytes += bytes;
    return piece;
}

/* Apart, so that the usual case is a few instructions. */
__attribute__((noinline)) static void *alloc_in_another(struct arena *a, size_t bytes)
{
    return block_add(a, bytes) != NULL ? take(a, bytes) : NULL;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    if (bytes > a->cap_bytes || a->used_bytes > a->cap_bytes - bytes)
        return NULL;
    bytes = align_up(bytes > 0 ? bytes : 1);
    if (a->newest == NULL || a->newest->size - a->newest->used < bytes)
        return alloc_in_another(a, bytes);
    return take(a, bytes);
}

static bool extend_in_place(struct arena *a, uint8_t *piece, size_t old_bytes, size_t new_bytes)
{
    struct arena_block *block = a->newest;
    size_t old_size = align_up(old_bytes > 0 ? old_bytes : 1);
    size_t growth = align_up(new_bytes) - old_size;

    if (piece + old_size != block->bytes + block->used || block->size - block->used < growth)
        return false;
    if (a->used_bytes + growth > a->cap_bytes)
        return false;
    block->used += growth;
    a->used_bytes += growth;
    return true;
}

void *arena_extend(struct arena *a, void *piece, size_t old_bytes, size_t new_bytes)
{
    void *moved;

    if (piece == NULL)
        return arena_alloc(a, new_bytes);
    if (new_bytes <= align_up(old_bytes > 0 ? old_bytes : 1))
        return piece;
    if (extend_in_place(a, piece, old_bytes, new_bytes))
        return piece;
    moved = arena_alloc(a, new_bytes);
    return moved != NULL ? memcpy(moved, piece, old_bytes) : NULL;
}

struct span arena_copy(struct arena *a, struct span s)
{
    uint8_t *copy = arena_alloc(a, s.n);

    if (copy == NULL)
        return (struct span){ NULL, 0 };
    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    return span_of(copy, s.n);
}

/* What is left is the room that was lent, or NULL. */
static struct arena_block *free_blocks(struct arena_block *block)
{
    while (block != NULL && !block->lent) {
        struct arena_block *older = block->older;
        mem_free(block);
        block = older;
    }
    return block;
}

void arena_reset(struct arena *a)
{
    struct arena_block *kept = a->newest;

    a->used_bytes = 0;
    if (kept == NULL)
        return;
    kept->older = free_blocks(kept->older);
    kept->used = 0;
    if (kept->older != NULL || kept->size > LATER_BLOCK_BYTES)
        arena_free(a);
}

void arena_free(struct arena *a)
{
    a->newest = free_blocks(a->newest);
    if (a->newest != NULL)
        a->newest->used = 0;
    a->used_bytes = 0;
}
