#include "gateway/stream_uv.h"
#include "gateway/weather.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define LITTLE_BYTES 256                 /* left unread: copied in front of the next read, not kept apart */

struct stream_uv {
    struct stream base;
    struct stream_uv_loop *loop;
    struct watch watch;
    struct ready ready;                  /* flush what was put; announce what was left to a new owner; read on; be freed */
    int fd;
    const uint8_t *view;                 /* the unconsumed part of the scratch buffer, only inside `readable` */
    size_t view_n;
    uint8_t *in;                         /* the stream's own input, NULL at rest */
    size_t in_at, in_n, in_size;
    uint8_t *out;                        /* bytes put or not yet taken by the kernel, NULL at rest */
    size_t out_at, out_n, out_size;
    int late_error;                      /* the socket failed: told behind what is left to read */
    bool may_read;                       /* the kernel may hold input: it will not say so again */
    bool end_seen;                       /* … and its end stands behind it */
    bool wait_writable;                  /* the kernel took less than it was offered: write again when it says so */
    bool tell_writable;                  /* the owner was told "blocked" */
    bool write_again;                    /* it was the weather that took less, not the kernel */
    bool tell_readable;                  /* the owner is new */
    bool finishing, finished;
    bool closing;
};

static struct stream_uv *of(struct stream *s)
{
    return (struct stream_uv *)(void *)s;
}

int stream_uv_loop_init(struct stream_uv_loop *l, uv_loop_t *uv, struct ready_queue *ready)
{
    int error;

    *l = (struct stream_uv_loop){ .uv = uv, .ready = ready, .scratch = mem_alloc(STREAM_UV_SCRATCH_BYTES) };
    error = l->scratch != NULL ? poller_init(&l->poller, uv) : -ENOMEM;
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
    mem_free(l->scratch);
    l->scratch = NULL;
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
    s->base.input_error = error;
}

/* There is something to read, and room for it. */
static bool wants_input(const struct stream_uv *s)
{
    return s->may_read && s->base.input == STREAM_OPEN && s->in_n < STREAM_UV_INPUT_BYTES && !s->closing;
}

static void free_empty_input(struct stream_uv *s)
{
    if (s->in_n > 0 || s->in == NULL)
        return;
    mem_free(s->in);
    s->in = NULL;
    s->in_at = s->in_size = 0;
}

static bool input_room(struct stream_uv *s, size_t n)
{
    uint8_t *grown;

    if (s->in_at > 0) {
        memmove(s->in, s->in + s->in_at, s->in_n);
        s->in_at = 0;
    }
    if (s->in_size - s->in_n >= n)
        return true;
    grown = mem_realloc(s->in, s->in_n + n);
    if (grown == NULL)
        return false;
    s->in = grown;
    s->in_size = s->in_n + n;
    return true;
}

/* What the owner left of the scratch buffer becomes the stream's own. */
static void keep_view(struct stream_uv *s)
{
    if (s->view_n > 0) {
        if (input_room(s, s->view_n)) {
            memcpy(s->in + s->in_n, s->view, s->view_n);
            s->in_n += s->view_n;
        } else {
            input_failed(s, -ENOMEM);
            tell_readable(s);            /* the owner has been told of the bytes, and not yet of their loss */
        }
    }
    s->view = NULL;
    s->view_n = 0;
}

/* A read that is not filled has emptied the socket, unless its end or a failure is behind. */
static ssize_t read_some(struct stream_uv *s, uint8_t *to, size_t room)
{
    ssize_t n;

    if (s->late_error == 0)
        room = weather_read(room);
    if (room == 0)
        return -EAGAIN;                  /* the weather's: there may still be something */
    do
        n = recv(s->fd, to, room, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        n = -errno;
    if (n <= 0 || ((size_t)n < room && !s->end_seen && s->late_error == 0))
        s->may_read = false;
    return n;
}

/* Notes what a read brought; true when there is something to tell the owner. */
static bool note_read(struct stream_uv *s, ssize_t n)
{
    if (n == -EAGAIN && s->late_error == 0)
        return false;
    if (n > 0) {
        s->base.bytes_in += (uint64_t)n;
    } else if (s->late_error != 0) {
        input_failed(s, s->late_error);
    } else if (n == 0) {
        s->base.input = STREAM_EOF;
    } else {
        input_failed(s, (int)n);
    }
    return true;
}

/* A little that was left (an incomplete header, an open code point) goes before what is read, so that the next read is no smaller for it. */
static void read_to_scratch(struct stream_uv *s)
{
    size_t left = s->in_n;
    ssize_t n = read_some(s, s->loop->scratch + left, STREAM_UV_SCRATCH_BYTES - left);

    if (!note_read(s, n))
        return;
    if (n > 0) {
        if (left > 0)
            memcpy(s->loop->scratch, s->in + s->in_at, left);
        s->view = s->loop->scratch;
        s->view_n = left + (size_t)n;
        s->in_at = s->in_n = 0;
    }
    s->base.events->readable(s->base.ctx);
    if (!s->closing)
        keep_view(s);
}

static void read_to_own(struct stream_uv *s)
{
    ssize_t n = read_some(s, s->in + s->in_n, STREAM_UV_INPUT_BYTES);

    if (!note_read(s, n))
        return;
    if (n > 0)
        s->in_n += (size_t)n;
    s->base.events->readable(s->base.ctx);
}

/* One read; what is left in the socket comes in the next turn. */
static void on_input(struct stream_uv *s)
{
    if (!wants_input(s))
        return;
    if (s->in_n > 0 && !input_room(s, STREAM_UV_INPUT_BYTES)) {
        input_failed(s, -ENOMEM);
        s->base.events->readable(s->base.ctx);
    } else if (s->in_n <= LITTLE_BYTES) {
        read_to_scratch(s);
    } else {
        read_to_own(s);
    }
    if (s->closing)
        return;
    free_empty_input(s);
    if (wants_input(s))
        ready_add(s->loop->ready, &s->ready);
}

static size_t uv_peek(struct stream *base, const uint8_t **p)
{
    struct stream_uv *s = of(base);

    if (s->view_n > 0) {
        *p = s->view;
        return s->view_n;
    }
    *p = s->in_n > 0 ? s->in + s->in_at : NULL;
    return s->in_n;
}

static void uv_consume(struct stream *base, size_t n)
{
    struct stream_uv *s = of(base);

    if (s->view_n > 0) {
        assert(n <= s->view_n);
        s->view += n;
        s->view_n -= n;
        return;
    }
    assert(n <= s->in_n);
    s->in_at += n;
    s->in_n -= n;
    free_empty_input(s);
    if (wants_input(s))
        ready_add(s->loop->ready, &s->ready);
}

/* ---- writing ---- */

static void output_failed(struct stream_uv *s, int error)
{
    s->base.output_error = error;
    s->base.blocked = false;
    s->wait_writable = false;
    mem_free(s->out);
    s->out = NULL;
    s->out_at = s->out_n = s->out_size = 0;
}

static ssize_t send_both(int fd, struct span first, struct span second)
{
    struct iovec parts[2] = { { .iov_base = (void *)(uintptr_t)first.p, .iov_len = first.n },
                              { .iov_base = (void *)(uintptr_t)second.p, .iov_len = second.n } };

    return sendmsg(fd, &(struct msghdr){ .msg_iov = parts, .msg_iovlen = 2 }, MSG_NOSIGNAL);
}

static struct span waiting_out(const struct stream_uv *s)
{
    return s->out_n > 0 ? span_of(s->out + s->out_at, s->out_n) : SPAN_EMPTY;
}

static ssize_t write_some(struct stream_uv *s, struct span first, struct span second)
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
        n = second.n == 0 ? send(s->fd, first.p, first.n, MSG_NOSIGNAL) : send_both(s->fd, first, second);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
    return n;
}

static void out_took(struct stream_uv *s, size_t n)
{
    s->out_at += n;
    s->out_n -= n;
    if (s->out_n > 0)
        return;
    mem_free(s->out);
    s->out = NULL;
    s->out_at = s->out_size = 0;
}

static void finish_if_flushed(struct stream_uv *s)
{
    if (!s->finishing || s->finished || s->out_n > 0)
        return;
    s->finished = true;
    if (shutdown(s->fd, SHUT_WR) != 0 && errno != ENOTCONN)
        output_failed(s, -errno);
}

/* Offers the kernel what was put. Afterwards either nothing is left, or there will be news of room. */
static void flush(struct stream_uv *s)
{
    ssize_t n;

    if (s->base.output_error != 0)
        return;
    if (s->out_n > 0) {
        n = write_some(s, waiting_out(s), SPAN_EMPTY);
        if (n < 0) {
            output_failed(s, (int)n);
            s->tell_writable = true;
            return;
        }
        out_took(s, (size_t)n);
    }
    s->wait_writable = s->out_n > 0;
    s->base.blocked = s->out_n > 0;
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
    n = write_some(s, waiting_out(s), data);
    if (n < 0) {
        output_failed(s, (int)n);
        return n;
    }
    if ((size_t)n <= s->out_n && s->out_n > 0) {
        out_took(s, (size_t)n);
        n = 0;
    } else if (s->out_n > 0) {
        n -= (ssize_t)s->out_n;
        out_took(s, s->out_n);
    }
    s->base.blocked = s->out_n > 0;
    if ((size_t)n < data.n) {
        s->wait_writable = true;
        s->tell_writable = true;
    }
    return n;
}

static int uv_put(struct stream *base, struct span data)
{
    struct stream_uv *s = of(base);
    size_t need = s->out_n + data.n;

    assert(!s->finishing);
    if (data.n == 0)
        return 0;
    if (s->out_at > 0) {
        memmove(s->out, s->out + s->out_at, s->out_n);
        s->out_at = 0;
    }
    if (need > s->out_size) {
        size_t size = need < 512 ? 512 : need;
        uint8_t *grown = mem_realloc(s->out, size);
        if (grown == NULL) {
            output_failed(s, -ENOMEM);
            return -ENOMEM;
        }
        s->out = grown;
        s->out_size = size;
    }
    memcpy(s->out + s->out_n, data.p, data.n);
    s->out_n = need;
    s->base.blocked = true;
    if (!s->wait_writable)
        ready_add(s->loop->ready, &s->ready);
    return 0;
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

    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error == 0)
        error = ECONNRESET;
    if (s->base.output_error == 0 && !s->finished)
        output_failed(s, -error);
    if (s->late_error == 0)
        s->late_error = -error;
    s->may_read = true;
    ready_add(s->loop->ready, &s->ready);
    s->tell_writable = false;
    s->base.events->writable(s->base.ctx);
}

static void on_news(struct watch *w, unsigned news)
{
    struct stream_uv *s = LIST_OWNER(w, struct stream_uv, watch);

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

static void stream_free(struct stream_uv *s)
{
    s->loop->open--;
    mem_free(s->in);
    mem_free(s->out);
    mem_free(s);
}

static void on_ready(struct ready *r)
{
    struct stream_uv *s = LIST_OWNER(r, struct stream_uv, ready);

    if (s->closing) {
        stream_free(s);
        return;
    }
    if (s->write_again || (s->out_n > 0 && !s->wait_writable)) {
        s->write_again = false;
        on_output(s);
    }
    if (!s->closing && s->tell_readable) {
        s->tell_readable = false;
        if (s->in_n > 0 || s->base.input != STREAM_OPEN)
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
    s->closing = true;
    s->view_n = 0;
    ready_add(s->loop->ready, &s->ready);
    poller_forget(&s->loop->poller, s->fd);
    if (reset)
        setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1, .l_linger = 0 }, sizeof(struct linger));
    close(s->fd);
    s->fd = -1;
}

static const struct stream_ops uv_ops = {
    .peek = uv_peek,
    .consume = uv_consume,
    .send = uv_send,
    .put = uv_put,
    .finish = uv_finish,
    .close = uv_close_stream,
    .owner_changed = uv_owner_changed,
};

struct stream *stream_uv_new(struct stream_uv_loop *l, int fd, int *error_out)
{
    struct stream_uv *s = mem_zalloc(sizeof(*s));

    *error_out = s == NULL ? -ENOMEM : poller_add(&l->poller, &s->watch, fd);
    if (*error_out != 0) {
        mem_free(s);
        close(fd);
        return NULL;
    }
    s->base.ops = &uv_ops;
    s->loop = l;
    s->fd = fd;
    s->watch.news = on_news;
    ready_init(&s->ready, on_ready);
    l->open++;
    return &s->base;
}

struct stream *stream_uv_new_connecting(struct stream_uv_loop *l, int fd, int *error_out)
{
    struct stream *s = stream_uv_new(l, fd, error_out);

    if (s != NULL)
        of(s)->wait_writable = of(s)->tell_writable = s->blocked = true;
    return s;
}

int stream_uv_fd(const struct stream *s)
{
    return ((const struct stream_uv *)(const void *)s)->fd;
}
