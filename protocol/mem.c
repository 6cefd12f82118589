#include "protocol/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_size_t live_blocks;
static atomic_size_t live_bytes;
static atomic_size_t calls;
static atomic_size_t fail_at;            /* the value of `calls` whose allocation fails; 0 = none */

static void count_in(void *block)
{
    atomic_fetch_add_explicit(&live_blocks, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&live_bytes, malloc_usable_size(block), memory_order_relaxed);
}

static void count_out(void *block)
{
    atomic_fetch_sub_explicit(&live_blocks, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&live_bytes, malloc_usable_size(block), memory_order_relaxed);
}

static int must_fail(void)
{
    size_t call = atomic_fetch_add_explicit(&calls, 1, memory_order_relaxed) + 1;
    size_t at = atomic_load_explicit(&fail_at, memory_order_relaxed);

    return at != 0 && call == at;
}

void *mem_alloc(size_t bytes)
{
    void *block = must_fail() ? NULL : malloc(bytes > 0 ? bytes : 1);

    if (block != NULL)
        count_in(block);
    return block;
}

void *mem_zalloc(size_t bytes)
{
    void *block = must_fail() ? NULL : calloc(1, bytes > 0 ? bytes : 1);

    if (block != NULL)
        count_in(block);
    return block;
}

void *mem_realloc(void *block, size_t bytes)
{
    void *grown;

    if (block == NULL)
        return mem_alloc(bytes);
    if (must_fail())
        return NULL;
    count_out(block);
    grown = realloc(block, bytes > 0 ? bytes : 1);
    count_in(grown != NULL ? grown : block);
    return grown;
}

char *mem_strdup(const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = mem_alloc(n);

    return copy != NULL ? memcpy(copy, text, n) : NULL;
}

void mem_free(void *block)
{
    if (block == NULL)
        return;
    count_out(block);
    free(block);
}

size_t mem_live_blocks(void)
{
    return atomic_load_explicit(&live_blocks, memory_order_relaxed);
}

size_t mem_live_bytes(void)
{
    return atomic_load_explicit(&live_bytes, memory_order_relaxed);
}

size_t mem_calls(void)
{
    return atomic_load_explicit(&calls, memory_order_relaxed);
}

void mem_fail_nth(size_t nth)
{
    atomic_store_explicit(&fail_at, nth == 0 ? 0 : mem_calls() + nth, memory_order_relaxed);
}
