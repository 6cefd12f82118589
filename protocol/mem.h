/* mem: counted allocation, with a hook by which tests fail the Nth call.
 *
 * All memory of the project comes from here, so that a test can say "zero blocks, zero bytes" at its end and can walk a
 * whole run failing each allocation in turn. Thread-safe; what is counted while other threads are at work may be a moment old. */
#ifndef UPGATE_PROTOCOL_MEM_H
#define UPGATE_PROTOCOL_MEM_H

#include <stddef.h>

void *mem_alloc(size_t bytes);                   /* uninitialised; NULL when there is none */
void *mem_zalloc(size_t bytes);                  /* zeroed; NULL when there is none */
void *mem_realloc(void *block, size_t bytes);    /* as realloc; on NULL the old block still stands */
char *mem_strdup(const char *text);
void mem_free(void *block);                      /* NULL is legal */

size_t mem_live_blocks(void);
size_t mem_live_bytes(void);                     /* as the allocator rounds them */
size_t mem_calls(void);                          /* allocations asked for since the start */

/* Test hook: the nth allocation from now (1 = the next) fails once; 0 switches the hook off. */
void mem_fail_nth(size_t nth);

#endif
