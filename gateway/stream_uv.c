#include "gateway/stream_uv.h"
#include "gateway/hold.h"
#include "gateway/weather.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PUT_LEAST_BYTES 512              /* of an out-buffer: heads and chunk sizes follow each other */
#define LITTLE_BYTES 256                 /* left unread: copied in front of the next read, not kept apart */
#define GLANCE_BYTES 16                  /* behind what was spliced whole: what comes next may be spliced, too, when its header has been seen */

/* In a process with threads the C library makes recv and send points of cancellation, with two locked instructions around each call: two in
 * a hundred of what a small message costs. Nobody cancels a thread here. A sanitizer is to see what they read and write. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(SYS_recvfrom)
#define receive(fd, p, n, flags) recv(fd, p, n, flags)
#define transmit(fd, p, n, flags) send(fd, p, n, flags)
#else
#define receive(fd, p, n, flags) syscall(SYS_recvfrom, fd, p, n, flags, NULL, NULL)
#define transmit(fd, p, n, flags) syscall(SYS_sendto, fd, p, n, flags, NULL, 0)
#endif

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

static struct stream_uv *of(struct stream *s)
{
    return (struct stream_uv *)(void *)s;
}

/* ---- reading ---- */

static void tell_readable(struct stream_uv *s)
{
    s->tell_readable = true;
    ready_add(s->loop->ready, &s->ready);
}

static void input_failed(struct stream_uv *s, int error)
{
    s->base.input = STREAM_FAILED;
    s->base.input_error = (int16_t)error;
}

/* There is something to read, and room for it. */
static bool wants_input(const struct stream_uv *s)
{
    return s->may_read && s->base.input == STREAM_OPEN && hold_n(s->in) < STREAM_UV_INPUT_BYTES && !s->closing;
}

/* What the owner left of the scratch buffer becomes the stream's own. */
static void keep_view(struct stream_uv *s)
{
    struct span left = s->loop->view;
    uint8_t *room;

    s->loop->viewer = NULL;
    if (left.n == 0)
        return;
    room = hold_room(&s->in, left.n, 0);
    if (room == NULL) {
        input_failed(s, -ENOMEM);
        tell_readable(s);                /* the owner has been told of the bytes, and not yet of their loss */
        return;
    }
    memcpy(room, left.p, left.n);
    hold_added(s->in, left.n);
}

/* A read that is not filled has emptied the socket, unless its end or a failure is behind. */
static ssize_t read_some(struct stream_uv *s, uint8_t *to, size_t room, int flags)
{
    ssize_t n;

    if (s->late_errno == 0)
        room = weather_read(room);
    if (room == 0)
        return -EAGAIN;                  /* the weather's: there may still be something */
    do
        n = receive(s->fd, to, room, flags);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        n = -errno;
    if (n <= 0 || ((size_t)n < room && !s->end_seen && s->late_errno == 0))
        s->may_read = false;
    return n;
}

/* Notes what a read brought; true when there is something to tell the owner. */
static bool note_read(struct stream_uv *s, ssize_t n)
{
    if (n == -EAGAIN && s->late_errno == 0)
        return false;
    if (n > 0) {
        s->base.bytes_in += (uint64_t)n;
    } else if (s->late_errno != 0) {
        input_failed(s, -s->late_errno);
    } else if (n == 0) {
        s->base.input = STREAM_EOF;
    } else {
        input_failed(s, (int)n);
    }
    return true;
}

/* Shows the owner what is in the scratch buffer, if anything is. */
static void show(struct stream_uv *s, struct span there)
{
    if (there.n > 0) {
        s->loop->viewer = &s->base;
        s->loop->view = there;
    }
    s->base.events->readable(s->base.ctx);
    if (s->loop->viewer == &s->base)
        keep_view(s);
}

/* What was glanced at and is not spliced has been read. */
static void take_glanced(struct stream_uv *s, size_t n)
{
    uint8_t seen[GLANCE_BYTES];

    if (n > 0)
        receive(s->fd, seen, n, 0);
    s->glanced -= (uint8_t)n;
}

/* A few bytes are shown and stay with the kernel, so that they can be spliced together with what they announce. */
static void glance(struct stream_uv *s)
{
    ssize_t n = read_some(s, s->loop->scratch, GLANCE_BYTES, MSG_PEEK);

    if (!note_read(s, n))
        return;
    s->glance = false;
    s->glanced = n > 0 ? (uint8_t)n : 0;
    show(s, span_of(s->loop->scratch, s->glanced));
    if (!s->closing)
        take_glanced(s, s->glanced);
}

/* A little that was left (an incomplete header, an open code point) goes before what is read, so that the next read is no smaller for it. */
static void read_to_scratch(struct stream_uv *s)
{
    struct span left = hold_bytes(s->in);
    uint8_t *scratch = s->loop->scratch;
    ssize_t n = read_some(s, scratch + left.n, STREAM_UV_SCRATCH_BYTES - left.n, 0);

    if (!note_read(s, n))
        return;
    if (n > 0) {
        if (left.n > 0)
            memcpy(scratch, left.p, left.n);
        hold_drop(&s->in);
    }
    show(s, n > 0 ? span_of(scratch, left.n + (size_t)n) : SPAN_EMPTY);
}

static void read_to_own(struct stream_uv *s)
{
    uint8_t *room = hold_room(&s->in, STREAM_UV_INPUT_BYTES, 0);
    ssize_t n;

    if (room == NULL) {
        input_failed(s, -ENOMEM);
    } else {
        n = read_some(s, room, STREAM_UV_INPUT_BYTES, 0);
        if (!note_read(s, n))
            return;
        if (n > 0)
            hold_added(s->in, (size_t)n);
    }
    s->base.events->readable(s->base.ctx);
}

/* One read; what is left in the socket comes in the next turn. */
static void on_input(struct stream_uv *s)
{
    if (!wants_input(s))
        return;
    if (s->raw) {
        s->raw = false;
        s->base.events->readable(s->base.ctx);
    } else if (s->glance && hold_n(s->in) == 0) {
        glance(s);
    } else if (hold_n(s->in) <= LITTLE_BYTES) {
        read_to_scratch(s);
    } else {
        read_to_own(s);
    }
    if (!s->raw && wants_input(s))       /* who splices goes on by himself */
        ready_add(s->loop->ready, &s->ready);
}

static size_t uv_peek(struct stream *base, const uint8_t **p)
{
    struct stream_uv *s = of(base);
    struct span there = s->loop->viewer == base ? s->loop->view : hold_bytes(s->in);

    if (s->raw) {
        s->raw = false;
        if (wants_input(s))
            ready_add(s->loop->ready, &s->ready);
    }
    *p = there.p;
    return there.n;
}

static void uv_consume(struct stream *base, size_t n)
{
    struct stream_uv *s = of(base);

    if (s->loop->viewer == base) {
        assert(n <= s->loop->view.n);
        s->loop->view = span_from(s->loop->view, n);
        return;
    }
    hold_take(&s->in, n);
    if (wants_input(s))
        ready_add(s->loop->ready, &s->ready);
}

/* ---- writing ---- */

/* What the connection died of the kernel says once, here perhaps: reading would find an orderly end. */
static void note_late_failure(struct stream_uv *s, int error)
{
    if (s->late_errno != 0 || error == -EPIPE || error == -ENOMEM || error < -UINT8_MAX)
        return;
    s->late_errno = (uint8_t)-error;
    s->may_read = true;
    ready_add(s->loop->ready, &s->ready);
}

static void output_failed(struct stream_uv *s, int error)
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

static ssize_t write_some(struct stream_uv *s, struct span first, struct span second, int more)
{
    size_t allowed = weather_send(first.n + second.n);
    ssize_t n;

    if (allowed < first.n + second.n) {
        s->write_again = true;
        ready_add(s->loop->ready, &s->ready);
    }
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
        n = second.n == 0 ? transmit(s->fd, first.p, first.n, MSG_NOSIGNAL | more) : send_both(s->fd, first, second);
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
        output_failed(s, -errno);
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
        size_t allowed = weather_send(p->n);
        if (allowed < p->n) {
            s->write_again = true;
            ready_add(s->loop->ready, &s->ready);
        }
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

/* Offers the kernel what was put or spliced. Afterwards either nothing is left, or there will be news of room. */
static void flush(struct stream_uv *s)
{
    ssize_t n;

    if (s->base.output_error != 0)
        return;
    n = flush_all(s);
    if (n < 0) {
        output_failed(s, (int)n);
        s->tell_writable = true;
        return;
    }
    s->wait_writable = s->base.blocked = n > 0;
    finish_if_flushed(s);
}

static void on_output(struct stream_uv *s)
{
    bool was_blocked = s->base.blocked;

    s->wait_writable = false;
    flush(s);
    if (s->wait_writable || (!s->tell_writable && !was_blocked))
        return;
    s->tell_writable = false;
    s->base.events->writable(s->base.ctx);
}

static ssize_t uv_send(struct stream *base, struct span data)
{
    struct stream_uv *s = of(base);
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
        output_failed(s, (int)n);
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

static int uv_put(struct stream *base, struct span data)
{
    struct stream_uv *s = of(base);
    uint8_t *room;

    assert(!s->finishing);
    if (data.n == 0)
        return 0;
    room = hold_room(&s->out, data.n, PUT_LEAST_BYTES);
    if (room == NULL) {
        output_failed(s, -ENOMEM);
        return -ENOMEM;
    }
    memcpy(room, data.p, data.n);
    hold_added(s->out, data.n);
    s->base.blocked = true;
    if (!s->wait_writable)
        ready_add(s->loop->ready, &s->ready);
    return 0;
}

/* ---- from socket to socket ---- */

/* What came into the pipe, or nothing for now, or why not. */
static ssize_t splice_in(struct stream_uv *from, struct pipe *pipe, size_t n)
{
    size_t room = weather_read(n < PIPE_BYTES ? n : PIPE_BYTES);
    ssize_t got = room > 0 ? pipe_fill(pipe, from->fd, room) : 0;

    if (room == 0) {
        ready_add(from->loop->ready, &from->ready);
    } else if (got == -EAGAIN) {         /* it is empty: an empty pipe has room */
        from->may_read = false;
        got = 0;
    } else if (got == -EINVAL || got == -ENOSYS || got == -EPERM) {
        from->loop->pipes.refused = true;
        return STREAM_NO_SPLICE;
    } else {
        note_read(from, got);
        from->may_read = got > 0;
    }
    return got > 0 ? got : 0;
}

static size_t shown(const struct stream_uv *s)
{
    return s->loop->viewer == &s->base ? s->loop->view.n : 0;
}

/* Of what was spliced this was shown before, and counted. */
static void spliced_glanced(struct stream_uv *s, size_t spliced)
{
    size_t n = spliced < s->glanced ? spliced : s->glanced;

    if (n == 0)
        return;
    s->loop->view = span_from(s->loop->view, n);
    s->glanced -= (uint8_t)n;
    s->base.bytes_in -= n;
}

static bool can_splice(const struct stream_uv *to, const struct stream_uv *from)
{
    bool shows = shown(from) > from->glanced;

    return !shows && hold_n(from->in) == 0 && from->late_errno == 0 && to->loop == from->loop && !to->loop->pipes.refused;
}

static ssize_t uv_splice(struct stream *to_base, struct stream *from_base, size_t n)
{
    struct stream_uv *to = of(to_base), *from = of(from_base);
    struct pipe *pipe;
    ssize_t got;

    assert(!to->finishing);
    if (n == 0) {
        from->glance = true;
        return 0;
    }
    if (shown(from) < from->glanced)     /* some of it is consumed */
        take_glanced(from, from->glanced - shown(from));
    if (!can_splice(to, from))
        return STREAM_NO_SPLICE;
    from->raw = true;
    if (to->wait_writable) {
        to->tell_writable = true;
        return 0;
    }
    if (!from->may_read && from->glanced == 0)
        return 0;
    pipe = pipes_get(&to->loop->pipes);
    if (pipe == NULL)
        return STREAM_NO_SPLICE;         /* the peek that follows sees to it that it is read */
    got = splice_in(from, pipe, n);
    if (got <= 0) {
        pipes_put(&to->loop->pipes, &pipe);
        return got;
    }
    spliced_glanced(from, (size_t)got);
    if ((size_t)got == n) {
        from->raw = false;
        ready_add(from->loop->ready, &from->ready);
    }
    pipe->before = hold_n(to->out);
    to->pipe = pipe;
    flush(to);
    to->tell_writable |= to->base.blocked;
    return got;                          /* it has left `from`, even where this finds `to` broken */
}

static int uv_finish(struct stream *base)
{
    struct stream_uv *s = of(base);

    s->finishing = true;
    if (!s->wait_writable)
        flush(s);
    return s->base.output_error;
}

/* ---- the loop's calls ---- */

/* The socket failed. What the peer sent before is still there to be read. */
static void on_failure(struct stream_uv *s)
{
    int error = 0;
    socklen_t n = sizeof(error);

    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error <= 0 || error > UINT8_MAX)
        error = ECONNRESET;
    if (s->base.output_error == 0 && !s->finished)
        output_failed(s, -error);
    if (s->late_errno == 0)
        s->late_errno = (uint8_t)error;
    s->may_read = true;
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
    if ((news & POLLER_OUT) != 0 && s->wait_writable)
        on_output(s);
    on_input(s);
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
        on_output(s);
    }
    if (!s->closing && s->tell_readable) {
        s->tell_readable = false;
        if (hold_n(s->in) > 0 || s->base.input != STREAM_OPEN)
            s->base.events->readable(s->base.ctx);
    }
    on_input(s);
}

static void uv_owner_changed(struct stream *base)
{
    tell_readable(of(base));
}

/* The memory goes with the next turn: whoever closes may have been called from here. */
static void uv_close_stream(struct stream *base, bool reset)
{
    struct stream_uv *s = of(base);

    assert(!s->closing);
    if (reset && hold_n(s->out) > 0 && !s->finishing && !s->wait_writable)
        flush(s);                        /* what the peer may see of a message that is cut */
    s->closing = true;
    if (s->loop->viewer == base)
        s->loop->viewer = NULL;
    take_glanced(s, s->glanced);         /* a socket with something unread ends by a reset */
    ready_add(s->loop->ready, &s->ready);
    poller_forget(&s->loop->poller, s->fd);
    if (reset)
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1, .l_linger = 0 }, sizeof(struct linger));
    close(s->fd);
    s->fd = -1;
}

static uint64_t uv_unacknowledged(struct stream *base, uint64_t *acknowledged_out)
{
    struct stream_uv *s = of(base);
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
    .peek = uv_peek,
    .consume = uv_consume,
    .send = uv_send,
    .put = uv_put,
    .finish = uv_finish,
    .close = uv_close_stream,
    .owner_changed = uv_owner_changed,
    .unacknowledged = uv_unacknowledged,
    .splice = uv_splice,
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
        of(s)->mute = of(s)->wait_writable = of(s)->tell_writable = s->blocked = true;
    return s;
}

int stream_uv_fd(const struct stream *s)
{
    return ((const struct stream_uv *)(const void *)s)->fd;
}
