/* mem: counted allocation, with a hook by which tests fail the Nth call.
 *
 * All memory of the project comes from here, so that a test can say "zero blocks, zero bytes" at its end and can walk a
 * whole run failing each allocation in turn. Thread-safe; what is counted while other threads are at work may be a moment old. */
#ifndef UPGATE_PROTOCOL_MEM_H
#define UPGATE_PROTOCOL_MEM_H

#include <stdbool.h>
#include <stddef.h>

void *mem_alloc(size_t bytes);                   /* uninitialised; NULL when there is none */
void *mem_zalloc(size_t bytes);                  /* zeroed; NULL when there is none */
void *mem_realloc(void *block, size_t bytes);    /* as realloc; on NULL the old block still stands */
char *mem_strdup(const char *text);
void mem_free(void *block);                      /* NULL is legal */

size_t mem_live_blocks(void);
size_t mem_live_bytes(void);                     /* as the allocator rounds them */
size_t mem_calls(void);                          /* allocations asked for since the start */

/* The C library keeps what was freed, for the next peak. Told how many things there are now, each time one of them has gone: when no more than
 * half are left of the most there were (and those were many), memory that nobody has goes back to the kernel, and the count begins anew. So the
 * heap is walked through a few times after a peak, and not in between. True: it was. */
#define MEM_PEAK_LEAST 512
struct mem_peak {
    size_t most;
};
bool mem_give_back(struct mem_peak *p, size_t now);

/* Test hook: the nth allocation from now (1 = the next) fails once; 0 switches the hook off. */
void mem_fail_nth(size_t nth);

#endif
