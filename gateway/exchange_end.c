/* The end of an exchange, whatever its reason: one answer if one is still possible, one log line, one place that frees, and last of all
 * the word to the client's connection. */
#include "gateway/exchange_parts.h"
#include "gateway/access_log.h"
#include "gateway/log.h"
#include "gateway/reply.h"
#include "protocol/mem.h"

static void log_line(struct exchange *x)
{
    struct access_exchange line = {
        .request = { .client = span_of_text(x->real_name),
                     .listener = span_of_text(x->client.inbound->listener->name), .user = x->user,
                     .id = x->trace.id, .trace_id = x->trace.trace_id,
                     .host = x->rules.authority, .tls = x->tls },
        .status = x->status,
        .bytes_in = x->bytes_in,
        .bytes_out = x->out.bytes,
        .duration_ms = timers_now_ms(x->services->timers) - x->begun_ms,
        .answered = x->answered,
        .response_ms = x->response_ms,
        .route = x->route != NULL ? (size_t)(x->route - x->snapshot->conf->routes) + 1 : 0,
        .attempts = x->attempts,
        .sticky = x->sticky_word,
        .end = x->end,
        .fault = x->fault,
        .detail = x->detail,
    };

    if (x->head != NULL) {
        line.request.method = x->head->method;
        line.request.target = x->head->target;
        line.request.version_minor = x->head->version_minor;
        line.request.referer = headers_value(&x->head->fields, SPAN_LITERAL("referer"));
        line.request.user_agent = headers_value(&x->head->fields, SPAN_LITERAL("user-agent"));
    }
    if (x->upstream != NULL)
        line.request.upstream = span_of_text(x->upstream->conf->name);
    if (x->server != NULL)
        line.request.server = span_of_text(x->server->state->name);
    access_log_exchange(x->services->access_log, &line);
}

static void exchange_free(struct exchange *x, bool backend_reusable)
{
    credentials_cancel(&x->check);
    exchange_ask_end(x, false);
    backend_release(&x->backend, backend_reusable);
    gather_free(&x->gather);
    seek_end(&x->seek);
    timer_clear(x->services->timers, &x->timer);
    ready_cancel(&x->ready);
    arena_free(&x->arena);
    mem_free(x);
}

static void tally(const struct exchange *x)
{
    unsigned worker = x->services->number;

    if (x->route != NULL)
        tally_exchange(snapshot_route_counts(x->snapshot, x->route, worker), x->status, x->bytes_in, x->out.bytes);
    if (x->upstream != NULL)
        tally_exchange(snapshot_upstream_counts(x->snapshot, (size_t)(x->upstream - x->snapshot->upstreams), worker), x->status, x->bytes_in,
                       x->out.bytes);
}

static void account(struct exchange *x, enum end_reason why)
{
    struct metrics *m = x->services->metrics;

    x->end = why;
    metrics_add(&m->exchanges, 1);
    metrics_ended(m, METRICS_EXCHANGE, why);
    if (x->offered)
        metrics_ended(m, METRICS_UPGRADE, why);
    else
        metrics_time(m, METRICS_TIME_EXCHANGE, timers_now_ms(x->services->timers) - x->begun_ms);
    tally(x);
    metrics_add(&m->bytes_from_clients, x->bytes_in);
    metrics_add(&m->bytes_to_clients, x->out.bytes);
    metrics_sub(&m->exchanges_open, 1);
    if (access_log_is_on(x->services->access_log))
        log_line(x);
}

void exchange_finish(struct exchange *x, enum end_reason why, enum exchange_outcome outcome)
{
    struct exchange_client client = x->client;

    account(x, why);
    exchange_free(x, x->request == REQUEST_DONE && x->response == RESPONSE_DONE && !x->websocket);
    client.done(client.ctx, outcome);
}

void exchange_kill(struct exchange *x)
{
    account(x, END_DRAINED);
    exchange_free(x, false);
}

/* The gateway's own answer, where no response has begun; otherwise the client has to see that it is cut. */
void exchange_give_up(struct exchange *x, enum end_reason why, enum fault fault, unsigned status)
{
    struct reply r = { .status = status, .sentence = fault != FAULT_NONE ? fault_sentence(fault) : status == 200 ? NULL : end_reason_sentence(why) };
    const struct conf_respond *respond = why == END_RESPONDED ? &x->route->respond : NULL;

    x->fault = fault;
    if (x->response != RESPONSE_AWAITED || status == 0) {
        exchange_finish(x, why, x->response == RESPONSE_AWAITED ? EXCHANGE_GONE : EXCHANGE_RESET);
        return;
    }
    if (why == END_REDIRECTED)
        r.location = x->location;
    if (why == END_REDIRECTED && x->route != NULL)
        r.sentence = NULL;
    if (respond != NULL) {
        r.body = span_of_text(respond->body);
        r.content_type = respond->content_type;
    }
    if (why == END_UNAUTHORIZED)
        r.realm = x->route->auth.basic.realm;
    r.version_minor = x->head != NULL ? x->head->version_minor : 1;
    r.head_request = x->head != NULL && x->rules.is_head;
    r.keep_alive = x->request == REQUEST_DONE && exchange_wants_more(x) && !x->websocket;
    r.retry_after_s = x->retry_after_s;
    x->status = status;
    if (reply_put(exchange_client_stream(x), &r, &x->out.bytes) != 0)
        exchange_finish(x, END_CLIENT_ABORTED, EXCHANGE_GONE);
    else
        exchange_finish(x, why, r.keep_alive ? EXCHANGE_KEEP : EXCHANGE_LINGER);
}

void exchange_refuse(struct exchange *x, enum fault fault)
{
    metrics_fault(x->services->metrics, METRICS_CLIENT, fault);
    exchange_give_up(x, fault == FAULT_NO_MEMORY ? END_NO_MEMORY : END_REFUSED, fault, fault_status(fault));
}

void exchange_log_failure(const struct exchange *x, const struct backend_failure *f, const char *then)
{
    log_warn("upstream %s server %s: %s%s%s%s%s%.*s", x->upstream->conf->name, x->server->state->name,
             f->fault != FAULT_NONE ? fault_sentence(f->fault) : end_reason_sentence(f->why), f->detail != NULL ? ": " : "",
             f->detail != NULL ? f->detail : "", then, x->trace.id.n > 0 ? "; request " : "", SPAN_FORMAT(x->trace.id));
}
