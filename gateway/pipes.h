/* pipes: kernel buffers through which bytes go from one socket to another without being copied, or seen.
 *
 * Bytes wait in a pipe only while the socket they are for takes no more; a stream has one for no longer than that. Each worker keeps some
 * empty ones, and has PIPES_MAX at most: who gets none copies. */
#ifndef UPGATE_GATEWAY_PIPES_H
#define UPGATE_GATEWAY_PIPES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PIPES_MAX 64                     /* two descriptors each */
#define PIPES_KEPT 16
#define PIPE_BYTES (128 * 1024)

struct pipe {
    struct pipe *next;                   /* in the pool */
    int in, out;
    size_t n;                            /* bytes in it */
    size_t before;                       /* of its stream's out-buffer, which go first */
};

struct pipes {
    struct pipe *kept;
    unsigned kept_n, open;
    bool refused;                        /* the kernel cannot do it for these sockets, or has no pipes for us */
};

struct pipe *pipes_get(struct pipes *p);                 /* empty; NULL: none can be had */
void pipes_put(struct pipes *p, struct pipe **pipe);     /* what is in it is lost; *pipe may be NULL, and becomes NULL */
void pipes_close(struct pipes *p);

/* Bytes moved, 0 at the end of the input, or negative errno; -EAGAIN: none are there, or there is no room. An empty pipe has room. */
ssize_t pipe_fill(struct pipe *p, int from, size_t n);
ssize_t pipe_empty(struct pipe *p, int to, size_t n);

#endif
