/* mem: see the header. Each thread counts for itself, in a line of its own that no other thread writes: a count costs no locked instruction
 * and moves no cache line between cores. Who asks adds them up; a block that another thread frees makes one count wrap and the sum right.
 * The counts of a thread outlive it.
 *
 * A request takes some blocks of one to eight KiB (arenas, an exchange) and gives them back: sizes that the C library's quick lists do not
 * have. Each thread keeps a few of them, cut to four sizes; and a few of each smaller size, too, since those lists are not as quick as these.
 * Under the address sanitizer it keeps none: there a freed block has to stay freed. tests/protocol/test_mem.c */
#include "protocol/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 64
#define KEPT_BYTES ((size_t)256 * 1024)  /* in blocks of one size and thread, at most: a MiB in all */
#define SMALL_BYTES 1032                 /* up to here a block is kept as malloc has cut it: 24 bytes, or 16 more, and so on … */
#define SMALL_KEPT_BYTES ((size_t)8 * 1024)      /* … and of each size so much: half a MiB in all */

#if defined(__SANITIZE_ADDRESS__)
#define KEEPS false
#elif defined(__has_feature)
#define KEEPS (!__has_feature(address_sanitizer))
#else
#define KEEPS true
#endif

#define LARGEST_KEPT_BYTES 8184
static const size_t sizes[] = { 1144, 2040, 4088, LARGEST_KEPT_BYTES };          /* as malloc rounds them */
#define SIZES_N (sizeof(sizes) / sizeof(sizes[0]))
#define SMALL_N ((SMALL_BYTES + 7) / 16 + 1)
#define LISTS_N (SMALL_N + SIZES_N)

struct kept {                            /* the beginning of a block that nobody has */
    struct kept *next;
};

struct counts {
    _Alignas(LINE_BYTES) atomic_size_t blocks;
    atomic_size_t bytes, calls;
    struct counts *next;
    struct kept *kept[LISTS_N];          /* the small ones first */
    size_t kept_bytes[LISTS_N];
};

static struct counts shared_counts;              /* of threads for which there was no memory, all together */
static _Atomic(struct counts *) all_counts = &shared_counts;
static _Thread_local struct counts *own_counts;
static atomic_size_t fails_in;                   /* the call, counted from now, that fails; 0 = none */

__attribute__((noinline)) static struct counts *begin_counting(void)
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

static inline struct counts *own(void)
{
    return own_counts != NULL ? own_counts : begin_counting();
}

static inline void add(const struct counts *c, atomic_size_t *count, size_t n)
{
    if (c == &shared_counts)
        atomic_fetch_add_explicit(count, n, memory_order_relaxed);
    else
        atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + n, memory_order_relaxed);
}

/* ---- blocks that are kept ---- */

/* The list of the least size that is enough; LISTS_N: there is none. */
static inline size_t list_for(size_t bytes)
{
    size_t i = 0;

    if (!KEEPS)
        return LISTS_N;
    if (bytes <= SMALL_BYTES)
        return bytes <= 24 ? 1 : (bytes + 7) / 16;
    while (i < SIZES_N && sizes[i] < bytes)
        i++;
    return SMALL_N + i;
}

static inline size_t list_bytes(size_t list)
{
    return list < SMALL_N ? 16 * list + 8 : sizes[list - SMALL_N];
}

/* *usable_out: how much of it there is. */
static inline void *obtain(struct counts *c, size_t bytes, size_t *usable_out)
{
    size_t i = list_for(bytes);
    struct kept *k = i < LISTS_N ? c->kept[i] : NULL;

    if (k == NULL) {
        void *block = malloc(i < LISTS_N ? list_bytes(i) : bytes > 0 ? bytes : 1);
        *usable_out = malloc_usable_size(block);
        return block;
    }
    *usable_out = list_bytes(i);
    c->kept[i] = k->next;
    c->kept_bytes[i] -= list_bytes(i);
    return k;
}

static void give_up(struct counts *c, void *block, size_t usable)
{
    size_t i = list_for(usable), most = i < SMALL_N ? SMALL_KEPT_BYTES : KEPT_BYTES;

    if (i < LISTS_N && list_bytes(i) == usable && c->kept_bytes[i] + usable <= most && c != &shared_counts) {
        struct kept *k = block;
        k->next = c->kept[i];
        c->kept[i] = k;
        c->kept_bytes[i] += usable;
        return;
    }
    free(block);
}

/* ---- counting ---- */

static inline void count_in(struct counts *c, size_t usable)
{
    add(c, &c->blocks, 1);
    add(c, &c->bytes, usable);
}

static inline void count_out(struct counts *c, size_t usable)
{
    add(c, &c->blocks, (size_t)-1);
    add(c, &c->bytes, (size_t)0 - usable);
}

static inline bool must_fail(struct counts *c)
{
    size_t left = atomic_load_explicit(&fails_in, memory_order_relaxed);

    add(c, &c->calls, 1);
    while (left > 0)
        if (atomic_compare_exchange_weak_explicit(&fails_in, &left, left - 1, memory_order_relaxed, memory_order_relaxed))
            return left == 1;
    return false;
}

void *mem_alloc(size_t bytes)
{
    struct counts *c = own();
    size_t usable;
    void *block = must_fail(c) ? NULL : obtain(c, bytes, &usable);

    if (block != NULL)
        count_in(c, usable);
    return block;
}

/* What is large may come from the kernel, which has zeroed it: only calloc knows. What is small calloc takes from the slow lists. */
void *mem_zalloc(size_t bytes)
{
    void *block;

    if (bytes <= LARGEST_KEPT_BYTES) {
        block = mem_alloc(bytes);
        return block != NULL ? memset(block, 0, bytes) : NULL;
    }
    block = must_fail(own()) ? NULL : calloc(1, bytes);
    if (block != NULL)
        count_in(own(), malloc_usable_size(block));
    return block;
}

void *mem_realloc(void *block, size_t bytes)
{
    struct counts *c = own();
    void *grown;

    if (block == NULL)
        return mem_alloc(bytes);
    if (must_fail(c))
        return NULL;
    count_out(c, malloc_usable_size(block));
    grown = realloc(block, bytes > 0 ? bytes : 1);
    count_in(c, malloc_usable_size(grown != NULL ? grown : block));
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
    struct counts *c;
    size_t usable;

    if (block == NULL)
        return;
    c = own();
    usable = malloc_usable_size(block);
    count_out(c, usable);
    give_up(c, block, usable);
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

bool mem_give_back(struct mem_peak *p, size_t now)
{
    if (now >= p->most)
        p->most = now + 1;               /* the one that has gone */
    if (p->most < MEM_PEAK_LEAST || now > p->most / 2)
        return false;
    p->most = now;
    malloc_trim(0);
    return true;
}
