#include "gateway/backend.h"

ssize_t backend_send(struct backend *b, struct span data)
{
    return b->ops->send(b, data);
}

int backend_end(struct backend *b, const struct headers *trailers)
{
    return b->ops->end(b, trailers);
}

void backend_pull(struct backend *b, struct http1_result *out)
{
    b->ops->pull(b, out);
}

void backend_took(struct backend *b, size_t n)
{
    b->ops->took(b, n);
}

ssize_t backend_splice(struct backend *b, struct stream *to)
{
    return b->ops->splice != NULL ? b->ops->splice(b, to) : STREAM_NO_SPLICE;
}

struct stream *backend_take_stream(struct backend *b)
{
    return b->ops->take_stream(b);
}

void backend_release(struct backend **b, bool reusable)
{
    struct backend *taken = *b;

    *b = NULL;
    if (taken != NULL)
        taken->ops->release(taken, reusable);
}
