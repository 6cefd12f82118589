#include "gateway/flow.h"

#include <assert.h>

void flow_init(struct flow *f, struct stream *from, struct stream *to)
{
    *f = (struct flow){ .from = from, .to = to };
}

static enum flow_result end(struct flow *f)
{
    f->over = true;
    if (f->from->input == STREAM_FAILED)
        return FLOW_RESET;
    return stream_finish(f->to) == 0 ? FLOW_ENDED : FLOW_DEAF;
}

/* What becomes visible while this runs is announced by the stream: one piece at a time is fair to the others. */
enum flow_result flow_run(struct flow *f)
{
    const uint8_t *p;
    size_t n = stream_peek(f->from, &p);
    ssize_t taken;

    assert(!f->over);
    if (n > 0) {
        taken = stream_send(f->to, span_of(p, n));
        if (taken < 0) {
            f->over = true;
            return FLOW_DEAF;
        }
        stream_consume(f->from, (size_t)taken);
        f->moved += (uint64_t)taken;
        if ((size_t)taken < n)
            return FLOW_BLOCKED;
        n = stream_peek(f->from, &p);
    }
    return n > 0 || f->from->input == STREAM_OPEN ? FLOW_STARVED : end(f);
}
