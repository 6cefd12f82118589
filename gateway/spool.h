/* spool: bytes that wait for a reader: first come, first out; in memory up to a bound, what does not fit there in a file without a name.
 *
 * At rest it holds nothing. What can go wrong, in order: there are more than it may hold (-EFBIG), no memory (-ENOMEM), no file can be made or
 * the file system is full (-ENOSPC and others). Files block: unnamed.h says how. tests/gateway/test_spool.c */
#ifndef UPGATE_GATEWAY_SPOOL_H
#define UPGATE_GATEWAY_SPOOL_H

#include "protocol/span.h"

#define SPOOL_WINDOW_BYTES 65536         /* read from the file at once */

struct spool_limits {
    size_t memory_bytes;                 /* at least SPOOL_WINDOW_BYTES */
    uint64_t file_bytes;                 /* 0: there is no file */
    const char *folder;                  /* of the file; borrowed */
};

struct spool {                           /* all zeros: empty */
    uint8_t *memory;                     /* what comes first; NULL at rest */
    size_t at, n, size;
    bool has_file;
    int fd;
    uint64_t file_at, file_n;            /* what comes behind it, in the file */
};

int spool_add(struct spool *s, const struct spool_limits *limits, struct span data);     /* 0 or negative errno; then nothing was added */
uint64_t spool_bytes(const struct spool *s);
/* What comes next, at least a byte unless it is empty; good until the next call. 0 or negative errno: the file cannot be read. */
int spool_peek(struct spool *s, struct span *out);
void spool_consume(struct spool *s, size_t n);           /* n <= the last peek */
void spool_free(struct spool *s);

#endif
