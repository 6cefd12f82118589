#include "gateway/parting.h"
#include "protocol/mem.h"

struct parting {
    struct partings *all;
    struct list link;
    struct stream *stream;
    struct timer timer;
    uint64_t from;                       /* bytes_in when it began */
};

void partings_init(struct partings *f, struct timers *timers)
{
    *f = (struct partings){ .timers = timers };
    list_init(&f->list);
}

static void end(struct parting *w)
{
    timer_clear(w->all->timers, &w->timer);
    list_remove(&w->link);
    w->all->n--;
    stream_close(&w->stream);
    mem_free(w);
}

static void on_event(void *ctx)
{
    struct parting *w = ctx;
    const uint8_t *p;

    stream_consume(w->stream, stream_peek(w->stream, &p));
    if (w->stream->output_error != 0 || w->stream->bytes_in - w->from > PARTING_BYTES ||
        (w->stream->input != STREAM_OPEN && stream_flushed(w->stream)))
        end(w);
}

static const struct stream_events parting_events = { .readable = on_event, .writable = on_event };

static void on_late(struct timer *t, uint64_t now_ms)
{
    (void)now_ms;
    end(LIST_OWNER(t, struct parting, timer));
}

void parting_begin(struct partings *f, struct stream **s)
{
    struct parting *w = f->n < PARTINGS_MAX ? mem_zalloc(sizeof(*w)) : NULL;

    if (stream_finish(*s) != 0 || w == NULL) {
        mem_free(w);
        stream_close(s);
        return;
    }
    w->all = f;
    w->stream = stream_take(s);
    w->from = w->stream->bytes_in;
    f->n++;
    list_append(&f->list, &w->link);
    timer_init(&w->timer, on_late);
    timer_start(f->timers, &w->timer, PARTING_MS);
    stream_own(w->stream, &parting_events, w);
}

void partings_end(struct partings *f)
{
    while (!list_empty(&f->list))
        end(LIST_OWNER(f->list.next, struct parting, link));
}
