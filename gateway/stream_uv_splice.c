/* From socket to socket: one stream's input goes into a pipe, and that to another's output, which empties it. */
#include "gateway/stream_uv_parts.h"
#include "gateway/weather.h"

#include <assert.h>
#include <errno.h>

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
        stream_uv_note_read(from, got);
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

    return !shows && hold_n(from->in) == 0 && from->late_errno == 0 && !from->urgent && to->loop == from->loop && !to->loop->pipes.refused;
}

/* 1: there may be something for the pipe, and it would go out; 0: not now, who splices will be told; or STREAM_NO_SPLICE. */
static ssize_t begin_splice(struct stream_uv *to, struct stream_uv *from)
{
    if (shown(from) < from->glanced)     /* some of it is consumed */
        stream_uv_take_glanced(from, from->glanced - shown(from));
    if (!can_splice(to, from))
        return STREAM_NO_SPLICE;
    from->raw = true;
    to->tell_writable |= to->wait_writable;
    return !to->wait_writable && (from->may_read || from->glanced > 0);
}

ssize_t stream_uv_splice(struct stream *to_base, struct stream *from_base, size_t n)
{
    struct stream_uv *to = stream_uv_of(to_base), *from = stream_uv_of(from_base);
    struct pipe *pipe;
    ssize_t got;

    assert(!to->finishing);
    if (n == 0) {
        from->glance = true;
        return 0;
    }
    got = begin_splice(to, from);
    if (got <= 0)
        return got;
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
    stream_uv_flush(to);
    to->tell_writable |= to->base.blocked;
    return got;                          /* it has left `from`, even where this finds `to` broken */
}
