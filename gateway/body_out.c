#include "gateway/body_out.h"
#include "protocol/http1_write.h"

#include <assert.h>
#include <errno.h>

#define SMALL_BYTES 4096                 /* a chunk up to this is put … */
#define SMALL_TOGETHER_BYTES 16384       /* … as long as no more than this may wait */

void body_out_init(struct body_out *o, enum http1_body framing, bool gathers)
{
    *o = (struct body_out){ .framing = framing, .gathers = gathers };
}

static int announce_chunk(struct body_out *o, struct stream *s, size_t n)
{
    uint8_t head[HTTP1_CHUNK_HEAD_BYTES];
    int error = stream_put(s, span_of(head, http1_write_chunk_head(head, n)));

    if (error == 0)
        o->chunk_left = n;
    return error;
}

static ssize_t put_chunk(struct body_out *o, struct stream *s, struct span data)
{
    int error = announce_chunk(o, s, data.n);

    if (error == 0)
        error = stream_put(s, data);
    if (error == 0)
        error = stream_put(s, SPAN_LITERAL("\r\n"));
    if (error != 0)
        return error;
    o->chunk_left = 0;
    o->put_n += data.n;
    o->bytes += data.n;
    return (ssize_t)data.n;
}

static bool may_be_put(const struct body_out *o, size_t n)
{
    return o->gathers && o->framing == HTTP1_BODY_CHUNKED && o->chunk_left == 0 && n <= SMALL_BYTES && o->put_n + n <= SMALL_TOGETHER_BYTES;
}

ssize_t body_out_send(struct body_out *o, struct stream *s, struct span data)
{
    ssize_t taken;
    int error = 0;

    assert(o->framing != HTTP1_BODY_NONE && data.n > 0);
    if (may_be_put(o, data.n))
        return put_chunk(o, s, data);
    if (o->framing == HTTP1_BODY_CHUNKED && o->chunk_left == 0)
        error = announce_chunk(o, s, data.n);
    if (error != 0)
        return error;
    if (o->framing == HTTP1_BODY_CHUNKED)
        data = span_first(data, o->chunk_left);
    taken = stream_send(s, data);
    if (taken <= 0)
        return taken;
    o->bytes += (uint64_t)taken;
    o->put_n = 0;
    if (o->framing != HTTP1_BODY_CHUNKED)
        return taken;
    o->chunk_left -= (uint64_t)taken;
    error = o->chunk_left == 0 ? stream_put(s, SPAN_LITERAL("\r\n")) : 0;
    return error != 0 ? error : taken;
}

int body_out_end(struct body_out *o, struct stream *s, struct arena *arena, const struct headers *trailers)
{
    struct span last;

    if (o->framing != HTTP1_BODY_CHUNKED)
        return 0;
    assert(o->chunk_left == 0);
    last = http1_write_last_chunk(arena, trailers);
    return last.p == NULL ? -ENOMEM : stream_put(s, last);
}
