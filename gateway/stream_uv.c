#include "gateway/stream_uv_parts.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

/* ---- the loop's calls ---- */

/* What it failed of. A write may have been told before. */
static int failure_of(const struct stream_uv *s)
{
    int error = 0;
    socklen_t n = sizeof(error);

    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error > 0 && error <= UINT8_MAX)
        return error;
    return s->base.output_error == -EPIPE ? EPIPE : ECONNRESET;
}

/* The socket failed. What the peer sent before is still there to be read; with EPIPE also the orderly end behind it. */
static void on_failure(struct stream_uv *s)
{
    int error = failure_of(s);

    if (s->base.output_error == 0 && !s->finished)
        stream_uv_output_failed(s, -error);
    if (s->late_errno == 0 && error != EPIPE)
        s->late_errno = (uint8_t)error;
    s->may_read = s->end_seen = true;
    ready_add(s->loop->ready, &s->ready);
    s->tell_writable = false;
    s->base.events->writable(s->base.ctx);
}

static void on_news(void *who, unsigned news)
{
    struct stream_uv *s = who;

    if ((news & POLLER_ERROR) != 0) {
        on_failure(s);
        return;
    }
    s->may_read |= (news & (POLLER_IN | POLLER_END)) != 0;
    s->end_seen |= (news & POLLER_END) != 0;
    s->urgent |= (news & POLLER_URGENT) != 0;
    if ((news & POLLER_OUT) != 0 && s->wait_writable)
        stream_uv_on_output(s);
    stream_uv_on_input(s);
}

int stream_uv_loop_init(struct stream_uv_loop *l, uv_loop_t *uv, struct ready_queue *ready)
{
    int error;

    *l = (struct stream_uv_loop){ .uv = uv, .ready = ready, .scratch = mem_alloc(STREAM_UV_SCRATCH_BYTES) };
    error = l->scratch != NULL ? poller_init(&l->poller, uv, on_news) : -ENOMEM;
    if (error != 0)
        mem_free(l->scratch);
    l->begun = error == 0;
    return error;
}

void stream_uv_loop_close(struct stream_uv_loop *l)
{
    if (!l->begun)
        return;
    assert(l->open == 0);
    l->begun = false;
    poller_close(&l->poller);
    pipes_close(&l->pipes);
    mem_free(l->scratch);
    l->scratch = NULL;
}

static void stream_free(struct stream_uv *s)
{
    s->loop->open--;
    hold_drop(&s->in);
    hold_drop(&s->out);
    pipes_put(&s->loop->pipes, &s->pipe);
    mem_free(s);
}

static void on_ready(struct ready *r)
{
    struct stream_uv *s = LIST_OWNER(r, struct stream_uv, ready);

    if (s->closing) {
        stream_free(s);
        return;
    }
    if (s->write_again || (hold_n(s->out) > 0 && !s->wait_writable)) {
        s->write_again = false;
        stream_uv_on_output(s);
    }
    if (!s->closing && s->tell_readable) {
        s->tell_readable = false;
        if (hold_n(s->in) > 0 || s->base.input != STREAM_OPEN)
            s->base.events->readable(s->base.ctx);
    }
    stream_uv_on_input(s);
}

static void uv_owner_changed(struct stream *base)
{
    stream_uv_tell_readable(stream_uv_of(base));
}

/* The memory goes with the next turn: whoever closes may have been called from here. */
static void uv_close_stream(struct stream *base, bool reset)
{
    struct stream_uv *s = stream_uv_of(base);

    assert(!s->closing);
    if (reset && hold_n(s->out) > 0 && !s->finishing && !s->wait_writable)
        stream_uv_flush(s);              /* what the peer may see of a message that is cut */
    s->closing = true;
    if (s->loop->viewer == base)
        s->loop->viewer = NULL;
    stream_uv_take_glanced(s, s->glanced);       /* a socket with something unread ends by a reset */
    ready_add(s->loop->ready, &s->ready);
    poller_forget(&s->loop->poller, s->fd);
    if (reset)
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1, .l_linger = 0 }, sizeof(struct linger));
    close(s->fd);
    s->fd = -1;
}

static uint64_t uv_unacknowledged(struct stream *base, uint64_t *acknowledged_out)
{
    struct stream_uv *s = stream_uv_of(base);
    int queued = 0;
    uint64_t n = hold_n(s->out) + (s->pipe != NULL ? s->pipe->n : 0);

    if (ioctl(s->fd, SIOCOUTQ, &queued) == 0 && queued > 0)
        n += (uint64_t)queued;
    if (n > base->bytes_out)
        n = base->bytes_out;             /* a UNIX socket counts the memory, a TCP socket its FIN */
    *acknowledged_out = base->bytes_out - n;
    return n;
}

static const struct stream_ops uv_ops = {
    .peek = stream_uv_peek,
    .consume = stream_uv_consume,
    .send = stream_uv_send,
    .put = stream_uv_put,
    .finish = stream_uv_finish,
    .close = uv_close_stream,
    .owner_changed = uv_owner_changed,
    .unacknowledged = uv_unacknowledged,
    .splice = stream_uv_splice,
};

struct stream *stream_uv_new(struct stream_uv_loop *l, int fd, int *error_out)
{
    struct stream_uv *s = mem_zalloc(sizeof(*s));

    *error_out = s == NULL ? -ENOMEM : poller_add(&l->poller, s, fd);
    if (*error_out != 0) {
        mem_free(s);
        close(fd);
        return NULL;
    }
    s->base.ops = &uv_ops;
    s->loop = l;
    s->fd = fd;
    ready_init(&s->ready, on_ready);
    l->open++;
    return &s->base;
}

struct stream *stream_uv_new_connecting(struct stream_uv_loop *l, int fd, int *error_out)
{
    struct stream *s = stream_uv_new(l, fd, error_out);

    if (s != NULL)
        stream_uv_of(s)->mute = stream_uv_of(s)->wait_writable = stream_uv_of(s)->tell_writable = s->blocked = true;
    return s;
}

int stream_uv_fd(const struct stream *s)
{
    return ((const struct stream_uv *)(const void *)s)->fd;
}
