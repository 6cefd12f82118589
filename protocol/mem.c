/* mem: see the header. Each thread counts for itself, in a line of its own that no other thread writes: a count costs no locked instruction
 * and moves no cache line between cores. Who asks adds them up; a block that another thread frees makes one count wrap and the sum right.
 * The counts of a thread outlive it. tests/protocol/test_mem.c */
#include "protocol/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 64

struct counts {
    _Alignas(LINE_BYTES) atomic_size_t blocks;
    atomic_size_t bytes, calls;
    struct counts *next;
};

static struct counts shared_counts;              /* of threads for which there was no memory, all together */
static _Atomic(struct counts *) all_counts = &shared_counts;
static _Thread_local struct counts *own_counts;
static atomic_size_t fails_in;                   /* the call, counted from now, that fails; 0 = none */

static struct counts *begin_counting(void)
{
    struct counts *c = aligned_alloc(LINE_BYTES, sizeof(*c));

    if (c != NULL) {
        memset(c, 0, sizeof(*c));
        c->next = atomic_load(&all_counts);
        while (!atomic_compare_exchange_weak(&all_counts, &c->next, c))
            continue;
    }
    own_counts = c != NULL ? c : &shared_counts;
    return own_counts;
}

static struct counts *own(void)
{
    return own_counts != NULL ? own_counts : begin_counting();
}

static void add(const struct counts *c, atomic_size_t *count, size_t n)
{
    if (c == &shared_counts)
        atomic_fetch_add_explicit(count, n, memory_order_relaxed);
    else
        atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n, memory_order_relaxed);
}

static void count_in(void *block)
{
    struct counts *c = own();

    add(c, &c->blocks, 1);
    add(c, &c->bytes, malloc_usable_size(block));
}

static void count_out(void *block)
{
    struct counts *c = own();

    add(c, &c->blocks, (size_t)-1);
    add(c, &c->bytes, (size_t)0 - malloc_usable_size(block));
}

static int must_fail(void)
{
    struct counts *c = own();
    size_t left = atomic_load_explicit(&fails_in, memory_order_relaxed);

    add(c, &c->calls, 1);
    while (left > 0)
        if (atomic_compare_exchange_weak_explicit(&fails_in, &left, left - 1, memory_order_relaxed, memory_order_relaxed))
            return left == 1;
    return 0;
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

static size_t sum(size_t offset)
{
    size_t all = 0;

    for (const struct counts *c = atomic_load(&all_counts); c != NULL; c = c->next)
        all += atomic_load_explicit((const atomic_size_t *)(const void *)((const char *)c + offset), memory_order_relaxed);
    return all;
}

size_t mem_live_blocks(void)
{
    return sum(offsetof(struct counts, blocks));
}

size_t mem_live_bytes(void)
{
    return sum(offsetof(struct counts, bytes));
}

size_t mem_calls(void)
{
    return sum(offsetof(struct counts, calls));
}

void mem_fail_nth(size_t nth)
{
    atomic_store_explicit(&fails_in, nth, memory_order_relaxed);
}
