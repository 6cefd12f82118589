/* The life of an outbound:
 *
 *   DIALING    the dialer is at work, with its own deadline; then the PROXY header is put, which waits for nothing
 *   TLS        the handshake is at work, for what is left of the time
 *
 * What goes wrong, in the order in which it happens: the server has as many connections as it may have, the name cannot be resolved, no
 * address can be connected, not in time; there is no memory for the header; the handshake fails, and why is
 * said. */
#include "gateway/outbound.h"
#include "gateway/tls_handshake.h"
#include "protocol/mem.h"

#include <assert.h>

#include <errno.h>

struct outbound {
    struct services *services;
    struct outbound_request request;
    dial_answered *answered;
    void *ctx;
    struct dial *dial;                   /* DIALING */
    struct tls_ctx *tls;                 /* held; NULL: clear text */
    struct tls_handshake *handshake;     /* TLS */
    struct timer timer;
    uint64_t begun_ms, due_ms;
    struct ready ready;                  /* there is no place: told from the loop */
    bool placed;                         /* a place was taken, and no stream has it yet */
};

static void outbound_free(struct outbound *o)
{
    if (o->dial != NULL)
        o->services->dialer->cancel(o->services->dialer, o->dial);
    tls_handshake_cancel(&o->handshake);
    timer_clear(o->services->timers, &o->timer);
    tls_ctx_release(o->tls);
    ready_cancel(&o->ready);
    if (o->placed)
        server_connect_failed(o->request.server);
    mem_free(o);
}

static void answer(struct outbound *o, const struct dial_answer *a)
{
    dial_answered *answered = o->answered;
    void *ctx = o->ctx;

    if (o->request.server == NULL)
        ;                                /* whoever checks counts what comes of it */
    else if (a->stream != NULL)
        metrics_time(o->services->metrics, METRICS_TIME_CONNECT, timers_now_ms(o->services->timers) - o->begun_ms);
    else if (a->why != END_SERVER_FULL)
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

    if (o->request.authority.n > 0)
        header.authority = o->request.authority;
    header.version = o->request.upstream->send_proxy == CONF_SEND_PROXY_V1 ? 1 : 2;
    return stream_put(s, span_of(bytes, proxy_header_write(&header, bytes)));
}

/* ---- TLS ---- */

/* The context of the generation under which the request is served. */
static struct tls_ctx *tls_of(const struct services *services, const struct outbound_request *request)
{
    const struct snapshot *s;
    size_t i;

    if (!request->upstream->tls_on)
        return NULL;
    if (request->server == NULL)
        return tls_ctx_hold(request->tls);
    s = request->inbound != NULL ? request->inbound->snapshot : services->snapshot;
    i = (size_t)(request->upstream - s->conf->upstreams);
    assert(i < s->conf->upstreams_n);
    return tls_ctx_hold(s->generation->tls->upstreams[i]);
}

static void on_late(struct timer *t, uint64_t now_ms)
{
    (void)now_ms;
    answer(LIST_OWNER(t, struct outbound, timer),
           &(struct dial_answer){ .why = END_CONNECT_TIMEOUT, .detail = "the TLS handshake was not completed in time" });
}

/* The server is to hear what was wrong. */
static void drop(struct outbound *o, struct stream *below)
{
    if (below != NULL)
        parting_begin(&o->services->tls->partings, &below);
}

static void on_handshake(void *ctx, const struct tls_answer *a)
{
    struct outbound *o = ctx;
    struct dial_answer ready = { .stream = a->stream, .why = a->why, .detail = a->words };

    o->handshake = NULL;
    if (a->stream == NULL) {
        drop(o, a->below);
        if (a->why != END_NO_MEMORY)
            ready.why = END_TLS_FAILED;
        if (ready.detail == NULL)
            ready.detail = end_reason_sentence(a->why);
    } else {
        metrics_add(&o->services->metrics->tls_server_handshakes, 1);
        metrics_add(&o->services->metrics->tls_server_handshakes_resumed, stream_tls_facts(a->stream)->resumed);
    }
    answer(o, &ready);
}

static const struct server_state *state_of(const struct outbound *o)
{
    return o->request.server != NULL ? o->request.server->state : o->request.checked;
}

static void begin_tls(struct outbound *o, struct stream *s)
{
    const struct server_state *server = state_of(o);
    uint64_t now_ms = timers_now_ms(o->services->timers);

    o->handshake = tls_handshake_with_server(o->services->tls, &s, o->tls, server->host, server->address.text, on_handshake, o);
    if (o->handshake == NULL) {
        stream_close(&s);
        answer(o, &(struct dial_answer){ .why = END_NO_MEMORY });
        return;
    }
    timer_start(o->services->timers, &o->timer, o->due_ms > now_ms ? o->due_ms - now_ms : 1);
}

static void on_dialed(void *ctx, const struct dial_answer *a)
{
    struct outbound *o = ctx;
    struct dial_answer ready = *a;
    int error = 0;

    o->dial = NULL;
    if (ready.stream != NULL && o->placed) {
        server_connected(o->request.server, ready.stream);
        o->placed = false;
    }
    if (ready.stream != NULL && o->request.upstream->send_proxy != CONF_SEND_PROXY_OFF)
        error = put_proxy_header(o, ready.stream);
    if (error != 0) {
        stream_close(&ready.stream);
        ready.why = error == -ENOMEM ? END_NO_MEMORY : END_CONNECT_FAILED;
        ready.detail = "the PROXY header could not be written";
    }
    if (ready.stream != NULL && o->tls != NULL)
        begin_tls(o, ready.stream);
    else
        answer(o, &ready);
}

static void on_full(struct ready *r)
{
    struct outbound *o = LIST_OWNER(r, struct outbound, ready);

    answer(o, &(struct dial_answer){ .why = END_SERVER_FULL });
}

static bool dial(struct outbound *o)
{
    struct dialer *d = o->services->dialer;

    o->placed = o->request.server != NULL && server_connect(o->request.server);
    if (o->request.server != NULL && !o->placed) {
        ready_add(o->services->ready, &o->ready);
        return true;
    }
    metrics_add(&o->services->metrics->dials, o->placed);
    o->dial = d->start(d, &state_of(o)->address, o->request.timeout_ms, on_dialed, o);
    return o->dial != NULL;
}

struct outbound *outbound_start(struct services *services, const struct outbound_request *request, dial_answered *answered, void *ctx)
{
    struct outbound *o = mem_zalloc(sizeof(*o));

    if (o == NULL)
        return NULL;
    *o = (struct outbound){ .services = services, .request = *request, .answered = answered, .ctx = ctx };
    o->tls = tls_of(services, request);
    o->begun_ms = timers_now_ms(services->timers);
    o->due_ms = o->begun_ms + request->timeout_ms;
    timer_init(&o->timer, on_late);
    ready_init(&o->ready, on_full);
    if (!dial(o)) {
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
