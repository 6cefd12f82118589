/* The life of an outbound:
 *
 *   DIALING    the dialer is at work, with its own deadline
 *
 * What goes wrong, in the order in which it happens: the name cannot be resolved, no address can be connected, not in time. */
#include "gateway/outbound.h"
#include "protocol/mem.h"

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

static void on_dialed(void *ctx, const struct dial_answer *a)
{
    struct outbound *o = ctx;

    o->dial = NULL;
    answer(o, a);
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
