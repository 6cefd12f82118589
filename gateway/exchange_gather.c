/* A body that is put aside first: a server that has to be told its length, which the head does not tell, hears of the request when all of
 * it is there. From the client's side it is a body like any other, with its deadline and its backpressure; no server waits meanwhile, and
 * each that is tried gets it from its beginning. */
#include "gateway/exchange_parts.h"
#include "gateway/log.h"

#include <errno.h>
#include <string.h>

bool exchange_must_gather(const struct exchange *x)
{
    const struct conf_upstream *upstream = x->upstream->conf;

    return upstream->protocol == CONF_PROTOCOL_FASTCGI && upstream->fastcgi.length == CONF_LENGTH_REQUIRED &&
           x->head->body == HTTP1_BODY_CHUNKED;
}

static enum step fail(struct exchange *x, int error)
{
    if (error == -EFBIG)
        return exchange_request_fault(x, FAULT_BODY_TOO_LARGE);
    if (error != -ENOMEM)
        log_warn("upstream %s: a request's body cannot be stored in %s: %s", x->upstream->conf->name,
                 x->upstream->conf->fastcgi.body_folder, strerror(-error));
    exchange_give_up(x, error == -ENOMEM ? END_NO_MEMORY : END_GATHER_FAILED, FAULT_NONE, 503);
    return STEP_OVER;
}

enum step exchange_gather_begin(struct exchange *x)
{
    const struct conf_fastcgi *conf = &x->upstream->conf->fastcgi;
    struct gather_limits limits = {
        .memory_bytes = conf->body_memory < conf->body_max ? conf->body_memory : conf->body_max,
        .bytes = conf->body_max,
        .folder = conf->body_folder,
    };

    x->gather = gather_new(&limits);
    if (x->gather == NULL)
        return fail(x, -ENOMEM);
    metrics_add(&x->services->metrics->bodies_gathered, 1);
    return x->rules.expect_continue ? exchange_continue(x) : STEP_MOVED;
}

/* ---- from the client ---- */

static enum step take(struct exchange *x, struct span data)
{
    int error = gather_add(x->gather, data);

    if (error != 0)
        return fail(x, error);
    x->bytes_in += data.n;
    http1_parse_took(x->client.parse, data.n);
    stream_consume(exchange_client_stream(x), data.n);
    return STEP_MOVED;
}

/* All of it is there. Trailers have no place behind a length. */
static enum step seek(struct exchange *x)
{
    int error = gather_end(x->gather);

    if (error != 0)
        return fail(x, error);
    if (gather_has_file(x->gather))
        metrics_add(&x->services->metrics->bodies_in_files, 1);
    exchange_request_enter(x, REQUEST_DONE);
    return exchange_choose(x);
}

static enum step gather_more(struct exchange *x)
{
    struct http1_result r;
    const uint8_t *p;
    size_t n = stream_peek(exchange_client_stream(x), &p);

    stream_consume(exchange_client_stream(x), http1_parse_next(x->client.parse, p, n, &r));
    switch (r.event) {
    case HTTP1_BODY:
        return take(x, r.data);
    case HTTP1_END:
        return seek(x);
    case HTTP1_FAULT:
        return exchange_request_fault(x, r.fault);
    case HTTP1_HEAD:
    case HTTP1_MORE:
        break;
    }
    return exchange_request_ended_early(x);
}

/* ---- to the server ---- */

static enum step give(struct exchange *x)
{
    struct span data;
    ssize_t taken;
    int error = gather_peek(x->gather, &data);

    if (error != 0)
        return fail(x, error);
    if (data.n == 0) {
        x->gather_given = true;
        x->server_deaf = backend_end(x->backend, NULL) != 0;
        return STEP_MOVED;
    }
    taken = backend_send(x->backend, data);
    x->server_blocked = taken == 0;
    x->server_deaf = taken < 0;
    if (taken <= 0)
        return STEP_IDLE;
    gather_consume(x->gather, (size_t)taken);
    return STEP_MOVED;
}

enum step exchange_gather_step(struct exchange *x)
{
    if (x->request == REQUEST_BODY)
        return gather_more(x);
    if (x->gather_given || x->server_deaf || !x->backend->open)
        return STEP_IDLE;
    return give(x);
}
