/* stream_uv_parts: what the files of a stream over a socket share among themselves; nobody else includes it.
 *
 *   stream_uv_input.c        what comes is read, shown and kept
 *   stream_uv_output.c       what goes is put, sent and flushed, a pipe that the kernel did not take whole among it
 *   stream_uv_splice.c       from one's input to another's output through a pipe: knows both
 *   stream_uv.c              the life of a stream and the loop's calls: knows all three */
#ifndef UPGATE_GATEWAY_STREAM_UV_PARTS_H
#define UPGATE_GATEWAY_STREAM_UV_PARTS_H

#include "gateway/hold.h"
#include "gateway/stream_uv.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STREAM_UV_GLANCE_BYTES 16        /* behind what was spliced whole: what comes next may be spliced, too, when its header has been seen */

struct stream_uv {
    struct stream base;
    struct stream_uv_loop *loop;
    struct ready ready;                  /* flush what was put; announce what was left to a new owner; read on; be freed */
    struct hold *in;                     /* what the owner left */
    struct hold *out;                    /* bytes put or not yet taken by the kernel */
    struct pipe *pipe;                   /* spliced and not yet taken: goes out behind the first pipe->before bytes of `out`; or NULL */
    int fd;
    uint8_t late_errno;                  /* the socket failed: told behind what is left to read */
    uint8_t glanced;                     /* of what is shown, so much is also still with the kernel: see glance */
    bool may_read : 1;                   /* the kernel may hold input: it will not say so again */
    bool end_seen : 1;                   /* … and its end stands behind it */
    bool urgent : 1;                     /* it has an urgent byte in it, perhaps: a read ends in front of that, and a splice never gets past */
    bool wait_writable : 1;              /* the kernel took less than it was offered: write again when it says so */
    bool tell_writable : 1;              /* the owner was told "blocked" */
    bool write_again : 1;                /* it was the weather that took less, not the kernel */
    bool tell_readable : 1;              /* the owner is new */
    bool finishing : 1, finished : 1;
    bool closing : 1;
    bool raw : 1;                        /* what comes is to be spliced: it is told of, and not read */
    bool mute : 1;                       /* it was dialled, and nothing has gone out yet */
    bool glance : 1;                     /* the next read is a small one, and leaves what it shows with the kernel */
};

#if defined(__x86_64__)
_Static_assert(sizeof(struct stream_uv) <= 120, "two for each tunnel: eight bytes more cost thirty-two");
#endif

static inline struct stream_uv *stream_uv_of(struct stream *s)
{
    return (struct stream_uv *)(void *)s;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STREAM_UV_WATCHED 1
#elif defined(__has_feature)
#define STREAM_UV_WATCHED (__has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || __has_feature(thread_sanitizer))
#else
#define STREAM_UV_WATCHED 0
#endif

/* In a process with threads the C library makes recv and send points of cancellation, with two locked instructions around each call: two in
 * a hundred of what a small message costs. Nobody cancels a thread here. A sanitizer is to see what they read and write. */
#if STREAM_UV_WATCHED || !defined(SYS_recvfrom)
#define stream_uv_receive(fd, p, n, flags) recv(fd, p, n, flags)
#define stream_uv_transmit(fd, p, n, flags) send(fd, p, n, flags)
#else
#define stream_uv_receive(fd, p, n, flags) syscall(SYS_recvfrom, fd, p, n, flags, NULL, NULL)
#define stream_uv_transmit(fd, p, n, flags) syscall(SYS_sendto, fd, p, n, flags, NULL, 0)
#endif

/* stream_uv_input.c */
void stream_uv_tell_readable(struct stream_uv *s);       /* in the next turn */
void stream_uv_on_input(struct stream_uv *s);    /* reads, once, and tells the owner */
bool stream_uv_note_read(struct stream_uv *s, ssize_t n);        /* what a read or a splice brought; true when there is something to tell the owner */
void stream_uv_take_glanced(struct stream_uv *s, size_t n);      /* so much of what was glanced at is read, and not spliced */
size_t stream_uv_peek(struct stream *base, const uint8_t **p);
void stream_uv_consume(struct stream *base, size_t n);

/* stream_uv_output.c */
void stream_uv_output_failed(struct stream_uv *s, int error);
/* Offers the kernel what was put or spliced. Afterwards either nothing is left, or there will be news of room. */
void stream_uv_flush(struct stream_uv *s);
void stream_uv_on_output(struct stream_uv *s);   /* there is room, or may be: flush, and tell the owner if he waits for it */
ssize_t stream_uv_send(struct stream *base, struct span data);
int stream_uv_put(struct stream *base, struct span data);
int stream_uv_finish(struct stream *base);

/* stream_uv_splice.c */
ssize_t stream_uv_splice(struct stream *to, struct stream *from, size_t n);

#endif
