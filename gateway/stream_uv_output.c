/* What goes: sent straight from where it is. What was put waits for the end of the turn, and what the kernel does not take for room; a pipe
 * that was spliced into stands in the order of what was put and sent. */
#include "gateway/stream_uv_parts.h"
#include "gateway/weather.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/uio.h>

#define PUT_LEAST_BYTES 512              /* of an out-buffer: heads and chunk sizes follow each other */

/* What the connection died of the kernel says once, here perhaps: reading would find an orderly end. */
static void note_late_failure(struct stream_uv *s, int error)
{
    if (s->late_errno != 0 || error == -EPIPE || error == -ENOMEM || error < -UINT8_MAX)
        return;
    s->late_errno = (uint8_t)-error;
    s->may_read = true;
    ready_add(s->loop->ready, &s->ready);
}

void stream_uv_output_failed(struct stream_uv *s, int error)
{
    note_late_failure(s, error);
    s->base.output_error = (int16_t)error;
    s->base.blocked = false;
    s->wait_writable = false;
    hold_drop(&s->out);
    pipes_put(&s->loop->pipes, &s->pipe);
}

static ssize_t send_both(int fd, struct span first, struct span second)
{
    struct iovec parts[2] = { { .iov_base = (void *)(uintptr_t)first.p, .iov_len = first.n },
                              { .iov_base = (void *)(uintptr_t)second.p, .iov_len = second.n } };

    return sendmsg(fd, &(struct msghdr){ .msg_iov = parts, .msg_iovlen = 2 }, MSG_NOSIGNAL);
}

/* What the kernel was told before the connect (race.c) is over: where it went on, a server that writes an answer in two pieces would wait with
 * the second for our delayed acknowledgement of the first. */
static void note_first_write(struct stream_uv *s)
{
    int one = 1;

    s->mute = false;
    setsockopt(s->fd, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one));     /* fails on a UNIX socket */
}

/* How much of n may be offered to the kernel now; nobody tells of room for the rest. */
static size_t allowed_by_weather(struct stream_uv *s, size_t n)
{
    size_t allowed = weather_send(n);

    if (allowed < n) {
        s->write_again = true;
        ready_add(s->loop->ready, &s->ready);
    }
    return allowed;
}

static ssize_t write_some(struct stream_uv *s, struct span first, struct span second, int more)
{
    size_t allowed = allowed_by_weather(s, first.n + second.n);
    ssize_t n;

    if (allowed == 0)
        return 0;
    if (first.n == 0) {
        first = second;
        second = SPAN_EMPTY;
    }
    if (allowed < first.n + second.n) {
        first = span_first(first, allowed);
        second = SPAN_EMPTY;
    }
    do
        n = second.n == 0 ? stream_uv_transmit(s->fd, first.p, first.n, MSG_NOSIGNAL | more) : send_both(s->fd, first, second);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
    if (s->mute)
        note_first_write(s);
    return n;
}

static void finish_if_flushed(struct stream_uv *s)
{
    if (!s->finishing || s->finished || s->base.blocked)
        return;
    s->finished = true;
    if (shutdown(s->fd, SHUT_WR) != 0 && errno != ENOTCONN)
        stream_uv_output_failed(s, -errno);
}

/* The first n bytes of what was put; the rest of them is to wait, or 0. More follows at once: the kernel may send both together. */
static ssize_t flush_before_pipe(struct stream_uv *s, size_t n)
{
    struct span first = span_first(hold_bytes(s->out), n);
    ssize_t sent = write_some(s, first, SPAN_EMPTY, MSG_MORE);

    if (sent > 0)
        hold_take(&s->out, (size_t)sent);
    return sent < 0 ? sent : (ssize_t)n - sent;
}

/* 0: all of it is out, and the pipe is given back; 1: it has to wait; or negative errno. */
static ssize_t flush_pipe(struct stream_uv *s)
{
    struct pipe *p = s->pipe;
    ssize_t n = p->before > 0 ? flush_before_pipe(s, p->before) : 0;

    if (n < 0)
        return n;
    p->before = (size_t)n;
    if (n > 0)
        return 1;
    while (p->n > 0) {
        size_t allowed = allowed_by_weather(s, p->n);
        n = allowed > 0 ? pipe_empty(p, s->fd, allowed) : -EAGAIN;
        if (n < 0)
            return n == -EAGAIN ? 1 : n;
        if (allowed < p->n + (size_t)n)
            return 1;
    }
    pipes_put(&s->loop->pipes, &s->pipe);
    return 0;
}

/* 0, 1 or negative errno, as above. Behind the last of it comes the end, which goes out as one packet with it. */
static ssize_t flush_all(struct stream_uv *s)
{
    ssize_t n = s->pipe != NULL ? flush_pipe(s) : 0;

    if (n != 0 || hold_n(s->out) == 0)
        return n;
    n = write_some(s, hold_bytes(s->out), SPAN_EMPTY, s->finishing ? MSG_MORE : 0);
    if (n < 0)
        return n;
    hold_take(&s->out, (size_t)n);
    return hold_n(s->out) > 0;
}

void stream_uv_flush(struct stream_uv *s)
{
    ssize_t n;

    if (s->base.output_error != 0)
        return;
    n = flush_all(s);
    if (n < 0) {
        stream_uv_output_failed(s, (int)n);
        s->tell_writable = true;
        return;
    }
    s->wait_writable = s->base.blocked = n > 0;
    finish_if_flushed(s);
}

void stream_uv_on_output(struct stream_uv *s)
{
    bool was_blocked = s->base.blocked;

    s->wait_writable = false;
    stream_uv_flush(s);
    if (s->wait_writable || (!s->tell_writable && !was_blocked))
        return;
    s->tell_writable = false;
    s->base.events->writable(s->base.ctx);
}

ssize_t stream_uv_send(struct stream *base, struct span data)
{
    struct stream_uv *s = stream_uv_of(base);
    ssize_t n;

    assert(!s->finishing);
    if (data.n == 0)
        return 0;
    if (s->wait_writable) {
        s->tell_writable = true;
        return 0;
    }
    n = write_some(s, hold_bytes(s->out), data, 0);
    if (n < 0) {
        stream_uv_output_failed(s, (int)n);
        return n;
    }
    if ((size_t)n <= hold_n(s->out) && hold_n(s->out) > 0) {
        hold_take(&s->out, (size_t)n);
        n = 0;
    } else if (hold_n(s->out) > 0) {
        n -= (ssize_t)hold_n(s->out);
        hold_drop(&s->out);
    }
    s->base.blocked = hold_n(s->out) > 0;
    if ((size_t)n < data.n) {
        s->wait_writable = true;
        s->tell_writable = true;
    }
    return n;
}

int stream_uv_put(struct stream *base, struct span data)
{
    struct stream_uv *s = stream_uv_of(base);

    assert(!s->finishing);
    if (data.n == 0)
        return 0;
    if (!hold_put(&s->out, data, PUT_LEAST_BYTES)) {
        stream_uv_output_failed(s, -ENOMEM);
        return -ENOMEM;
    }
    s->base.blocked = true;
    if (!s->wait_writable)
        ready_add(s->loop->ready, &s->ready);
    return 0;
}

int stream_uv_finish(struct stream *base)
{
    struct stream_uv *s = stream_uv_of(base);

    s->finishing = true;
    if (!s->wait_writable)
        stream_uv_flush(s);
    return s->base.output_error;
}
