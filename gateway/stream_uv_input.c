/* What comes: one read in a turn, into the loop's scratch buffer, where the owner sees it; what he leaves is kept. */
#include "gateway/stream_uv_parts.h"
#include "gateway/weather.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define LITTLE_BYTES 256                 /* left unread: copied in front of the next read, not kept apart */

void stream_uv_tell_readable(struct stream_uv *s)
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
    s->loop->viewer = NULL;
    if (hold_put(&s->in, s->loop->view, 0))
        return;
    input_failed(s, -ENOMEM);
    stream_uv_tell_readable(s);          /* the owner has been told of the bytes, and not yet of their loss */
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
        n = stream_uv_receive(s->fd, to, room, flags);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        n = -errno;
    if (n <= 0 || ((size_t)n < room && !s->end_seen && !s->urgent && s->late_errno == 0))
        s->may_read = false;
    return n;
}

/* Notes what a read brought; true when there is something to tell the owner. */
bool stream_uv_note_read(struct stream_uv *s, ssize_t n)
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
void stream_uv_take_glanced(struct stream_uv *s, size_t n)
{
    uint8_t seen[STREAM_UV_GLANCE_BYTES];

    if (n > 0)
        stream_uv_receive(s->fd, seen, n, 0);
    s->glanced -= (uint8_t)n;
}

/* A few bytes are shown and stay with the kernel, so that they can be spliced together with what they announce. */
static void glance(struct stream_uv *s)
{
    ssize_t n = read_some(s, s->loop->scratch, STREAM_UV_GLANCE_BYTES, MSG_PEEK);

    if (!stream_uv_note_read(s, n))
        return;
    s->glance = false;
    s->glanced = n > 0 ? (uint8_t)n : 0;
    show(s, span_of(s->loop->scratch, s->glanced));
    if (!s->closing)
        stream_uv_take_glanced(s, s->glanced);
}

/* A little that was left (an incomplete header, an open code point) goes before what is read, so that the next read is no smaller for it. */
static void read_to_scratch(struct stream_uv *s)
{
    struct span left = hold_bytes(s->in);
    uint8_t *scratch = s->loop->scratch;
    ssize_t n = read_some(s, scratch + left.n, STREAM_UV_SCRATCH_BYTES - left.n, 0);

    if (!stream_uv_note_read(s, n))
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
        if (!stream_uv_note_read(s, n))
            return;
        if (n > 0)
            hold_added(s->in, (size_t)n);
    }
    s->base.events->readable(s->base.ctx);
}

/* One read; what is left in the socket comes in the next turn. */
void stream_uv_on_input(struct stream_uv *s)
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

size_t stream_uv_peek(struct stream *base, const uint8_t **p)
{
    struct stream_uv *s = stream_uv_of(base);
    struct span there = s->loop->viewer == base ? s->loop->view : hold_bytes(s->in);

    if (s->raw) {
        s->raw = false;
        if (wants_input(s))
            ready_add(s->loop->ready, &s->ready);
    }
    *p = there.p;
    return there.n;
}

void stream_uv_consume(struct stream *base, size_t n)
{
    struct stream_uv *s = stream_uv_of(base);

    if (s->loop->viewer == base) {
        assert(n <= s->loop->view.n);
        s->loop->view = span_from(s->loop->view, n);
        return;
    }
    hold_take(&s->in, n);
    if (wants_input(s))
        ready_add(s->loop->ready, &s->ready);
}
