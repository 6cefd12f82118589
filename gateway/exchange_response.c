/* The answer on its way to the client, and the switch to a tunnel. */
#include "gateway/exchange_parts.h"
#include "gateway/reply.h"
#include "gateway/tunnel.h"
#include "protocol/http1_write.h"

#define INTERIM_MAX 16                   /* 1xx heads of one exchange */

static enum step client_lost(struct exchange *x)
{
    exchange_finish(x, END_CLIENT_ABORTED, EXCHANGE_GONE);
    return STEP_OVER;
}

static enum step server_fault(struct exchange *x, enum end_reason why, enum fault fault)
{
    struct backend_failure f = { .why = why, .fault = fault };

    metrics_fault(x->services->metrics, METRICS_SERVER, fault);
    server_did_badly(x->server, x->upstream);
    exchange_log_failure(x, &f, "");
    exchange_give_up(x, why, fault, end_reason_status(why));
    return STEP_OVER;
}

/* A head towards the client, final or not; false: there was no memory, or the client is gone. */
bool exchange_put_head(struct exchange *x, const struct http1_head *in, const struct rules_reply_facts *facts)
{
    struct headers fields;
    struct span head = SPAN_EMPTY;

    if (rules_response_to_client(&x->arena, in, facts, &fields) == FAULT_NONE)
        head = http1_write_response_head(&x->arena, in->status, in->reason, &fields);
    return head.p != NULL && stream_put(exchange_client_stream(x), head) == 0;
}

struct rules_reply_facts exchange_reply_facts(const struct exchange *x)
{
    return (struct rules_reply_facts){
        .pseudonym = span_of_text(x->snapshot->conf->forwarded.via),
        .client_version_minor = x->head->version_minor,
        .client_keep_alive = true,
        .date = reply_date(),
        .head_request = x->rules.is_head,
        .changes = &x->route->headers.response,
    };
}

/* RFC 9110 section 15.2: 1xx heads are passed on, but never to an HTTP/1.0 client. */
static enum step response_interim(struct exchange *x, const struct http1_head *in)
{
    struct rules_reply_facts facts = exchange_reply_facts(x);

    if (++x->interims > INTERIM_MAX)
        return server_fault(x, END_SERVER_FAULT, FAULT_INTERIM_FLOOD);
    if (x->head->version_minor == 0)
        return STEP_MOVED;
    return exchange_put_head(x, in, &facts) ? STEP_MOVED : client_lost(x);
}

enum step exchange_continue(struct exchange *x)
{
    struct http1_head head = { .status = 100, .version_minor = 1 };
    struct rules_reply_facts facts = exchange_reply_facts(x);

    headers_init(&head.fields, &x->arena, 0);
    return exchange_put_head(x, &head, &facts) ? STEP_MOVED : client_lost(x);
}

static bool client_sent_more(const struct exchange *x)
{
    const uint8_t *p;

    return stream_peek(exchange_client_stream(x), &p) > 0;
}

static void note_response_time(struct exchange *x)
{
    uint64_t took_ms = x->request == REQUEST_DONE ? timers_now_ms(x->services->timers) - x->asked_ms : 0;

    x->answered = true;
    x->response_ms = took_ms;
    metrics_time(x->services->metrics, METRICS_TIME_RESPONSE, took_ms);
    metrics_observe(&snapshot_upstream_counts(x->snapshot, (size_t)(x->upstream - x->snapshot->upstreams), x->services->number)->response, took_ms);
}

static enum step response_head(struct exchange *x, const struct http1_head *in)
{
    struct rules_reply_facts facts = exchange_reply_facts(x);
    enum fault fault = rules_check_response(in, x->rules.is_head);
    enum http1_body framing;

    if (fault != FAULT_NONE)
        return server_fault(x, END_SERVER_FAULT, fault);
    framing = rules_reply_body(in, &facts);
    x->keep_alive = exchange_wants_more(x) && framing != HTTP1_BODY_CLOSE && x->request == REQUEST_DONE &&
                    !(x->websocket && client_sent_more(x));
    facts.client_keep_alive = x->keep_alive;
    if (!exchange_stick_on(x, &facts) || !exchange_put_head(x, in, &facts))
        return client_lost(x);
    note_response_time(x);
    x->status = in->status;
    server_answered(x->server, x->upstream, in->status);
    body_out_init(&x->out, framing, true);
    exchange_response_enter(x, RESPONSE_BODY);
    return STEP_MOVED;
}

static enum step response_body(struct exchange *x, struct span data)
{
    ssize_t taken = body_out_send(&x->out, exchange_client_stream(x), data);

    if (taken < 0)
        return client_lost(x);
    x->client_blocked = taken == 0;
    if (taken == 0)
        return STEP_IDLE;
    backend_took(x->backend, (size_t)taken);
    return STEP_MOVED;
}

/* Mission A2: bytes that came behind an upgrade request which was refused are frames or a request, nobody can say: no exchange follows. */
static enum step response_end(struct exchange *x, const struct headers *trailers)
{
    struct headers passing;
    bool some = trailers != NULL && trailers->n > 0;

    if (some && rules_trailers(&x->arena, trailers, &x->head->fields, &x->route->headers.response, &passing) != FAULT_NONE)
        return client_lost(x);
    if (body_out_end(&x->out, exchange_client_stream(x), &x->arena, some ? &passing : NULL) != 0)
        return client_lost(x);
    exchange_response_enter(x, RESPONSE_DONE);
    if (x->request != REQUEST_DONE || (x->websocket && client_sent_more(x)))
        x->keep_alive = false;
    exchange_finish(x, x->websocket ? END_SWITCH_REFUSED : END_COMPLETE, x->keep_alive ? EXCHANGE_KEEP : EXCHANGE_LINGER);
    return STEP_OVER;
}

/* ---- the switch ---- */

static enum step switch_over(struct exchange *x, const struct ws_agreement *agreement)
{
    struct tunnel_start start = {
        .snapshot = x->snapshot,
        .route = x->route,
        .share = x->client.inbound->share,
        .deflate = agreement->deflate,
        .protocol = agreement->protocol,
        .server_record = x->server,
        .names = { .client = span_of_text(x->real_name),
                   .user = x->user,
                   .id = x->trace.id,
                   .trace_id = x->trace.trace_id,
                   .target = x->head->target,
                   .host = x->rules.authority,
                   .listener = x->client.inbound->listener->name },
    };

    start.server = backend_take_stream(x->backend);
    start.client = stream_take(x->client.stream);
    x->status = 101;
    server_did_well(x->server, x->upstream);
    metrics_time(x->services->metrics, METRICS_TIME_SWITCH, timers_now_ms(x->services->timers) - x->begun_ms);
    if (tunnel_new(x->services, &start) != 0)
        exchange_finish(x, END_NO_MEMORY, EXCHANGE_SWITCHED);
    else
        exchange_finish(x, END_SWITCHED, EXCHANGE_SWITCHED);
    return STEP_OVER;
}

/* A 101: the one moment on which everything turns. It is judged against what the client offered (RFC 6455 section 4.1) before a byte
 * of it reaches the client, and before a byte of the client's after its request reaches the server. */
static enum step response_switch(struct exchange *x, const struct http1_head *in)
{
    struct rules_reply_facts facts = exchange_reply_facts(x);
    struct ws_agreement agreement;
    enum fault fault;

    if (!x->websocket)
        return server_fault(x, END_SWITCH_BAD, FAULT_SWITCH_UNASKED);
    fault = ws_answer_judge(&x->offer, in, &agreement);
    if (fault != FAULT_NONE)
        return server_fault(x, END_SWITCH_BAD, fault);
    facts.websocket = true;
    return exchange_stick_on(x, &facts) && exchange_put_head(x, in, &facts) ? switch_over(x, &agreement) : client_lost(x);
}

/* A long body of an announced length, both sides in clear: as it comes, without a look. STREAM_NO_SPLICE: it is pulled instead. */
static ssize_t splice_body(struct exchange *x)
{
    ssize_t taken = STREAM_NO_SPLICE;

    if (x->response == RESPONSE_BODY && x->out.framing == HTTP1_BODY_LENGTH)
        taken = backend_splice(x->backend, exchange_client_stream(x));
    if (taken >= 0)
        x->client_blocked = exchange_client_stream(x)->blocked;
    if (taken > 0 && exchange_client_stream(x)->output_error != 0)
        return exchange_client_stream(x)->output_error;
    x->out.bytes += taken > 0 ? (uint64_t)taken : 0;
    return taken;
}

enum step exchange_response_step(struct exchange *x)
{
    struct http1_result r;
    ssize_t spliced;

    if (x->backend == NULL)              /* the body is gathered first */
        return STEP_IDLE;
    spliced = splice_body(x);
    if (spliced >= 0)
        return spliced > 0 ? STEP_MOVED : STEP_IDLE;
    if (spliced != STREAM_NO_SPLICE)
        return client_lost(x);
    backend_pull(x->backend, &r);
    switch (r.event) {
    case HTTP1_HEAD:
        if (r.head->status == 101)
            return response_switch(x, r.head);
        return r.head->status < 200 ? response_interim(x, r.head) : response_head(x, r.head);
    case HTTP1_BODY:
        return response_body(x, r.data);
    case HTTP1_END:
        return response_end(x, r.trailers);
    case HTTP1_MORE:
    case HTTP1_FAULT:
        break;
    }
    return x->backend->failed.why != END_NONE ? exchange_server_failed(x) : STEP_IDLE;
}
