/* unnamed: a file that has no name and is gone with its descriptor, for what does not fit into memory. */
#ifndef UPGATE_GATEWAY_UNNAMED_H
#define UPGATE_GATEWAY_UNNAMED_H

#include "protocol/span.h"

/* A descriptor for reading and writing, or negative errno. */
int unnamed_open(const char *folder);
/* All of it: 0 or negative errno. They block: they go to the page cache, and wait for the disk when the kernel makes writers wait for
 * it, or when it had to forget a page. */
int unnamed_write(int fd, struct span data, uint64_t at);
/* Bytes read, at least one; negative errno. */
int unnamed_read(int fd, uint8_t *p, size_t n, uint64_t at);

#endif
