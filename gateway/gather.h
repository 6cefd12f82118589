/* gather: a body that is put aside until all of it is there: in memory up to a bound, the rest in a file without a name.
 *
 * First it is added to, piece by piece, and ended; then it can be read from its beginning, any number of times. What can go wrong, in
 * order: it gets larger than it may (-EFBIG), no memory (-ENOMEM), no file can be made or the file system is full (-ENOSPC and others).
 *
 * The file's reads and writes are of GATHER_WINDOW_BYTES at most, and block: unnamed.h says how. tests/gateway/test_gather.c */
#ifndef UPGATE_GATEWAY_GATHER_H
#define UPGATE_GATEWAY_GATHER_H

#include "protocol/span.h"

#define GATHER_WINDOW_BYTES 65536

struct gather_limits {
    uint64_t memory_bytes;
    uint64_t bytes;                      /* all of it; not more than the memory's: there is never a file */
    const char *folder;                  /* of the file; borrowed */
};

struct gather;

struct gather *gather_new(const struct gather_limits *limits);           /* NULL: no memory */
void gather_free(struct gather **g);                                     /* NULL-safe through *g */

int gather_add(struct gather *g, struct span data);                      /* 0 or negative errno; sticky */
int gather_end(struct gather *g);
uint64_t gather_bytes(const struct gather *g);
bool gather_has_file(const struct gather *g);

void gather_rewind(struct gather *g);
/* What comes next, at least a byte unless it is over; p is good until the next call. 0, or negative errno: the file cannot be read. */
int gather_peek(struct gather *g, struct span *out);
void gather_consume(struct gather *g, size_t n);                         /* n <= the last peek */

#endif
