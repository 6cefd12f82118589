/* The life of an outbound:
 *
 *   DIALING    the dialer is at work, with its own deadline; then the PROXY header is put, which waits for nothing
 *
 * What goes wrong, in the order in which it happens: the name cannot be resolved, no address can be connected, not in time; there is no memory
 * for the header. */
#include "gateway/outbound.h"
#include "protocol/mem.h"

#include <errno.h>

struct outbound {
    struct services *services;
    struct outbound_request request;
    dial_answered *answered;
    void *ctx;
    struct dial *dial;
};

static void outbound_free(struct outbound *o)
{
    if (o->dial != NULL)
        o->services->dialer->cancel(o->services->dialer, o->dial);
    mem_free(o);
}

static void answer(struct outbound *o, const struct dial_answer *a)
{
    dial_answered *answered = o->answered;
    void *ctx = o->ctx;

    if (a->stream == NULL)
        metrics_add(&o->services->metrics->dials_failed, 1);
    outbound_free(o);
    answered(ctx, a);
}

/* ---- the PROXY header ---- */

/* Goes out with what is written next: nothing waits for it. */
static int put_proxy_header(struct outbound *o, struct stream *s)
{
    const struct inbound *in = o->request.inbound;
    const struct net_address *client = o->request.client == NULL && in != NULL ? &in->client : o->request.client;
    struct proxy_header header = inbound_header(in, client);
    uint8_t bytes[PROXY_HEADER_WRITE_BYTES];

    header.version = o->request.upstream->send_proxy == CONF_SEND_PROXY_V1 ? 1 : 2;
    return stream_put(s, span_of(bytes, proxy_header_write(&header, bytes)));
}

static void on_dialed(void *ctx, const struct dial_answer *a)
{
    struct outbound *o = ctx;
    struct dial_answer ready = *a;
    int error = 0;

    o->dial = NULL;
    if (ready.stream != NULL && o->request.upstream->send_proxy != CONF_SEND_PROXY_OFF)
        error = put_proxy_header(o, ready.stream);
    if (error != 0) {
        stream_close(&ready.stream);
        ready.why = error == -ENOMEM ? END_NO_MEMORY : END_CONNECT_FAILED;
        ready.detail = "the PROXY header could not be written";
    }
    answer(o, &ready);
}

struct outbound *outbound_start(struct services *services, const struct outbound_request *request, dial_answered *answered, void *ctx)
{
    struct outbound *o = mem_zalloc(sizeof(*o));

    if (o == NULL)
        return NULL;
    *o = (struct outbound){ .services = services, .request = *request, .answered = answered, .ctx = ctx };
    metrics_add(&services->metrics->dials, 1);
    o->dial = services->dialer->start(services->dialer, request->address, request->timeout_ms, on_dialed, o);
    if (o->dial == NULL) {
        outbound_free(o);
        return NULL;
    }
    return o;
}

void outbound_cancel(struct outbound **o)
{
    struct outbound *taken = *o;

    *o = NULL;
    if (taken != NULL)
        outbound_free(taken);
}
