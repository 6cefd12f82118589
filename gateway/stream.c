#include "gateway/stream.h"

#include <assert.h>

static void hear_nothing(void *ctx)
{
    (void)ctx;
}

static const struct stream_events no_events = { .readable = hear_nothing, .writable = hear_nothing };

void stream_own(struct stream *s, const struct stream_events *events, void *ctx)
{
    s->events = events;
    s->ctx = ctx;
    s->ops->owner_changed(s);
}

struct stream *stream_take(struct stream **from)
{
    struct stream *s = *from;

    *from = NULL;
    if (s != NULL)
        s->events = &no_events;
    return s;
}

void stream_watch(struct stream *s, struct stream_watch *watch)
{
    s->watch = watch;
}

size_t stream_peek(struct stream *s, const uint8_t **p)
{
    return s->ops->peek(s, p);
}

void stream_consume(struct stream *s, size_t n)
{
    if (n > 0)
        s->ops->consume(s, n);
}

ssize_t stream_send(struct stream *s, struct span data)
{
    ssize_t taken;

    if (s->output_error != 0)
        return s->output_error;
    taken = s->ops->send(s, data);
    if (taken > 0)
        s->bytes_out += (uint64_t)taken;
    return taken;
}

int stream_put(struct stream *s, struct span data)
{
    int error;

    if (s->output_error != 0)
        return s->output_error;
    error = s->ops->put(s, data);
    if (error == 0)
        s->bytes_out += data.n;
    return error;
}

ssize_t stream_splice(struct stream *to, struct stream *from, size_t n)
{
    ssize_t taken;

    if (to->output_error != 0)
        return to->output_error;
    if (to->ops->splice == NULL || to->ops != from->ops || from->input != STREAM_OPEN)
        return STREAM_NO_SPLICE;
    taken = to->ops->splice(to, from, n);
    if (taken > 0)
        to->bytes_out += (uint64_t)taken;
    return taken;
}

void stream_glance(struct stream *to, struct stream *from)
{
    stream_splice(to, from, 0);
}

int stream_finish(struct stream *s)
{
    return s->output_error != 0 ? s->output_error : s->ops->finish(s);
}

static void end(struct stream **s, bool reset)
{
    struct stream *taken = stream_take(s);
    struct stream_watch *watch;

    if (taken == NULL)
        return;
    watch = taken->watch;
    taken->ops->close(taken, reset);
    if (watch != NULL)
        watch->closed(watch);
}

void stream_close(struct stream **s)
{
    end(s, false);
}

void stream_reset(struct stream **s)
{
    end(s, true);
}

uint64_t stream_unacknowledged(struct stream *s, uint64_t *acknowledged_out)
{
    return s->ops->unacknowledged(s, acknowledged_out);
}

const char *stream_input_words(const struct stream *s)
{
    return s->ops->input_words != NULL ? s->ops->input_words(s) : NULL;
}

bool stream_flushed(const struct stream *s)
{
    return !s->blocked || s->output_error != 0;
}
