/* stream_uv: the stream contract over a connected TCP or UNIX socket.
 *
 * The poller tells when the socket has news; reading and writing are plain recv and send here, so that nothing is allocated or copied
 * while both peers keep up:
 *   - read lands in the worker's scratch buffer; only what the owner leaves is copied into a buffer of the stream's own, and a stream
 *     that holds STREAM_UV_INPUT_BYTES or more is not read any further;
 *   - write goes straight to the kernel; an out-buffer exists only for stream_put, until the end of the turn or while blocked;
 *   - what is spliced goes from socket to socket through a pipe; one that the output did not take whole stays with the stream until it does.
 * At rest a stream has no buffer at all. Where there is no memory to keep what an owner left, the input fails (-ENOMEM) and shows nothing of it.
 *
 * Debug builds honour UPGATE_WEATHER="read<=1,send<=7,block=30%,seed=42": short reads, short writes and refusals as a bad day brings them. */
#ifndef UPGATE_GATEWAY_STREAM_UV_H
#define UPGATE_GATEWAY_STREAM_UV_H

#include "gateway/pipes.h"
#include "gateway/poller.h"
#include "gateway/ready.h"
#include "gateway/stream.h"

#define STREAM_UV_SCRATCH_BYTES 65536
#define STREAM_UV_INPUT_BYTES 16384      /* what is left unread from this on stops reading; at most a scratch buffer more is held */

/* What the streams of one loop share. */
struct stream_uv_loop {
    uv_loop_t *uv;
    struct ready_queue *ready;
    struct poller poller;
    uint8_t *scratch;                    /* STREAM_UV_SCRATCH_BYTES */
    const struct stream *viewer;         /* whose owner is being shown the scratch buffer, only inside `readable` … */
    struct span view;                    /* … and what of it is not yet consumed */
    struct pipes pipes;
    size_t open;                         /* streams that are not yet freed: the ready queue does it */
    bool begun;                          /* between init and close */
};

int stream_uv_loop_init(struct stream_uv_loop *l, uv_loop_t *uv, struct ready_queue *ready);     /* 0 or negative errno */
/* Idempotent. All streams are freed by now; the loop has to run once after it, before the memory of *l goes. */
void stream_uv_loop_close(struct stream_uv_loop *l);

/* Takes a connected, non-blocking socket; on failure (*error_out negative errno) the descriptor is closed. */
struct stream *stream_uv_new(struct stream_uv_loop *l, int fd, int *error_out);
/* The same for a socket whose connect is under way: its owner hears `writable` when it is decided, and finds output_error set if it failed. */
struct stream *stream_uv_new_connecting(struct stream_uv_loop *l, int fd, int *error_out);
int stream_uv_fd(const struct stream *s);        /* for getpeername and the like */

#endif
