/* The happy path of an exchange:
 *
 *   request  BEGIN → BODY → DONE        checked and routed, a server is chosen; the body passes once it is connected; its end has passed
 *   response AWAITED → BODY → DONE      1xx heads pass; the final head has passed; its end has passed
 *
 * Both halves advance in run(), which is called for every event of either stream and tries everything that could go on. The two are a
 * pair: "still uploading, already answered" is a normal state.
 *
 * What goes wrong, in the order in which it happens: the request is refused (4xx, 5xx from here), no server can be reached (502, 504;
 * others are tried first), the client stalls or goes away in its body (408, or nobody to answer), the server closes, stalls or breaks the
 * protocol (502, 504, or the client's connection is reset when the response had begun), the client does not read (given up).
 * A WebSocket offer goes the same way until its 101, which is judged and then hands both streams to a tunnel. */
#include "gateway/exchange.h"
#include "gateway/access_log.h"
#include "gateway/backend_h1.h"
#include "gateway/balance.h"
#include "gateway/body_out.h"
#include "gateway/log.h"
#include "gateway/reply.h"
#include "gateway/route.h"
#include "gateway/tunnel.h"
#include "protocol/http1_write.h"
#include "protocol/mem.h"
#include "protocol/ws_handshake.h"

#include <assert.h>

#define INTERIM_MAX 16                   /* 1xx heads of one exchange */
#define ROUNDS_MAX 16                    /* pieces moved in one turn; the rest waits for the next */
#define CONNECT_SLACK_MS 1000            /* the dial has its own deadline; this one only catches a bug */

enum request_state { REQUEST_BEGIN, REQUEST_BODY, REQUEST_DONE };
enum response_state { RESPONSE_AWAITED, RESPONSE_BODY, RESPONSE_DONE };

/* What an exchange can be waiting for: for how long, and what its end is called. One row for each. */
enum wait { WAIT_BEGIN, WAIT_CONNECT, WAIT_SWITCH, WAIT_CLIENT_SENDS, WAIT_SERVER_READS, WAIT_ANSWER, WAIT_SERVER_SENDS, WAIT_CLIENT_READS };
static const enum end_reason wait_ends[] = {
    [WAIT_BEGIN] = END_NO_MEMORY,
    [WAIT_CONNECT] = END_CONNECT_TIMEOUT,
    [WAIT_SWITCH] = END_HANDSHAKE_TIMEOUT,
    [WAIT_CLIENT_SENDS] = END_BODY_TIMEOUT,
    [WAIT_SERVER_READS] = END_SERVER_STALLED,
    [WAIT_ANSWER] = END_RESPONSE_TIMEOUT,
    [WAIT_SERVER_SENDS] = END_SERVER_STALLED,
    [WAIT_CLIENT_READS] = END_CLIENT_STALLED,
};

struct exchange {
    struct services *services;
    struct exchange_client client;
    enum request_state request;
    enum response_state response;
    const struct http1_head *head;       /* NULL: there is none, the request was refused before its end */
    struct rules_request rules;
    struct ws_offer offer;
    bool websocket;                      /* the offer is good and its route lets it pass */
    const struct conf_route *route;
    struct upstream *upstream;
    struct server *server;               /* the one tried last */
    struct backend *backend;
    uint64_t tried;                      /* bit per server */
    unsigned attempts;
    bool body_touched;                   /* body bytes were given to a server: no other can be tried */
    struct body_out out;                 /* the response's body on its way to the client */
    bool keep_alive;                     /* what the client was told */
    unsigned interims;
    bool server_blocked, client_blocked;
    bool server_deaf;                    /* it takes no more of the body; its answer may still come */
    struct arena arena;
    struct timer timer;
    enum wait wait;
    uint64_t begun_ms, progress_ms;
    struct ready ready;
    unsigned status;                     /* sent, 0 = none */
    uint64_t bytes_in;
    enum end_reason end;
    enum fault fault;
    const char *detail;
};

static void request_enter(struct exchange *x, enum request_state to)
{
    assert(to > x->request);
    x->request = to;
}

static void response_enter(struct exchange *x, enum response_state to)
{
    assert(to > x->response);
    x->response = to;
}

static struct stream *client_of(const struct exchange *x)
{
    return *x->client.stream;
}

/* ---- the end ---- */

static void log_line(struct exchange *x)
{
    struct access_exchange line = {
        .request = { .client = x->client.name, .listener = span_of_text(x->client.listener->name), .host = x->rules.authority },
        .status = x->status,
        .bytes_in = x->bytes_in,
        .bytes_out = x->out.bytes,
        .duration_ms = timers_now_ms(x->services->timers) - x->begun_ms,
        .attempts = x->attempts,
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
        line.request.server = span_of_text(x->server->conf->address.text);
    access_log_exchange(x->services->access_log, &line);
}

static void exchange_free(struct exchange *x, bool backend_reusable)
{
    backend_release(&x->backend, backend_reusable);
    timer_clear(x->services->timers, &x->timer);
    ready_cancel(&x->ready);
    metrics_sub(&x->services->metrics->exchanges_open, 1);
    arena_free(&x->arena);
    mem_free(x);
}

static void finish(struct exchange *x, enum end_reason why, enum exchange_outcome outcome)
{
    struct exchange_client client = x->client;
    struct metrics *m = x->services->metrics;

    x->end = why;
    metrics_add(&m->exchanges, 1);
    metrics_ended(m, METRICS_EXCHANGE, why);
    metrics_add(&m->bytes_from_clients, x->bytes_in);
    metrics_add(&m->bytes_to_clients, x->out.bytes);
    log_line(x);
    exchange_free(x, x->request == REQUEST_DONE && x->response == RESPONSE_DONE);
    client.done(client.ctx, outcome);
}

void exchange_kill(struct exchange *x)
{
    exchange_free(x, false);
}

/* The gateway's own answer, where no response has begun; otherwise the client has to see that it is cut. */
static void give_up(struct exchange *x, enum end_reason why, enum fault fault, unsigned status)
{
    struct reply r = { .status = status, .sentence = fault != FAULT_NONE ? fault_sentence(fault) : end_reason_sentence(why) };

    x->fault = fault;
    if (x->response != RESPONSE_AWAITED || status == 0) {
        finish(x, why, x->response == RESPONSE_AWAITED ? EXCHANGE_GONE : EXCHANGE_RESET);
        return;
    }
    r.version_minor = x->head != NULL ? x->head->version_minor : 1;
    r.head_request = x->head != NULL && x->rules.is_head;
    r.keep_alive = x->request == REQUEST_DONE && x->head->keep_alive && !x->services->draining && !x->websocket;
    x->status = status;
    if (reply_put(client_of(x), &r, &x->out.bytes) != 0)
        finish(x, END_CLIENT_ABORTED, EXCHANGE_GONE);
    else
        finish(x, why, r.keep_alive ? EXCHANGE_KEEP : EXCHANGE_LINGER);
}

static void refuse(struct exchange *x, enum fault fault)
{
    metrics_fault(x->services->metrics, METRICS_CLIENT, fault);
    give_up(x, fault == FAULT_NO_MEMORY ? END_NO_MEMORY : END_REFUSED, fault, fault_status(fault));
}

/* ---- the way to a server ---- */

static void on_progress(void *ctx);

/* STEP_OVER: the exchange is finished and freed; nothing may be touched. */
enum step { STEP_IDLE, STEP_MOVED, STEP_OVER };

static enum step begin_attempt(struct exchange *x, struct server *server, bool fresh)
{
    const struct conf *conf = x->services->conf;
    struct backend_request request = {
        .head = x->head,
        .rules = &x->rules,
        .facts = { .pseudonym = span_of_text(conf->forwarded.via),
                   .client_address = x->client.address,
                   .client_port = x->client.port,
                   .client_trusted = x->client.trusted,
                   .forwarded = (conf->forwarded.x_forwarded ? RULES_FORWARDED_X : 0U) |
                                (conf->forwarded.rfc7239 ? RULES_FORWARDED_RFC7239 : 0U),
                   .strip_also = x->services->strip_also,
                   .strip_also_n = conf->forwarded.strip_n,
                   .websocket = x->websocket,
                   .upstream_keep_alive = true },
        .arena = &x->arena,
    };
    size_t index = (size_t)(server - x->upstream->servers);

    x->attempts++;
    x->server = server;
    if (index < UPSTREAM_TRIED_MAX)
        x->tried |= (uint64_t)1 << index;
    x->backend = backend_h1_new(x->services, server, &request, fresh || x->websocket, x->route->timeouts.connect_ms, on_progress, x);
    if (x->backend != NULL)
        return STEP_MOVED;
    give_up(x, END_NO_MEMORY, FAULT_NONE, 503);
    return STEP_OVER;
}

/* RFC 9110 section 9.2.2, RFC 9112 section 9.3.1: only what no server has seen is sent again, or what was sent on a kept connection that
 * had already ended and may safely be repeated. */
static bool may_retry(const struct exchange *x, const struct backend_failure *f)
{
    if (x->body_touched || x->response != RESPONSE_AWAITED || x->interims > 0)
        return false;
    if (f->stale)
        return f->unsent || x->rules.idempotent;
    return f->unsent && x->attempts <= x->upstream->conf->retries && f->why != END_NO_MEMORY;
}

static void log_failure(const struct exchange *x, const struct backend_failure *f, const char *then)
{
    log_warn("upstream %s server %s: %s%s%s%s", x->upstream->conf->name, x->server->conf->address.text,
             f->fault != FAULT_NONE ? fault_sentence(f->fault) : end_reason_sentence(f->why), f->detail != NULL ? ": " : "",
             f->detail != NULL ? f->detail : "", then);
}

static enum step handle_failure(struct exchange *x)
{
    struct backend_failure f = x->backend->failed;
    bool stale = f.stale;

    if (!may_retry(x, &f)) {
        log_failure(x, &f, "");
        x->detail = f.detail;
        give_up(x, f.why, f.fault, end_reason_status(f.why));
        return STEP_OVER;
    }
    if (stale)
        x->attempts--;                   /* a kept connection that had ended says nothing about the server */
    else
        log_failure(x, &f, "; trying again");
    metrics_add(&x->services->metrics->retries, 1);
    backend_release(&x->backend, false);
    return begin_attempt(x, stale ? x->server : balance_choose(x->upstream, x->tried), stale);
}

/* ---- the request half ---- */

static enum step request_fault(struct exchange *x, enum fault fault)
{
    metrics_fault(x->services->metrics, METRICS_CLIENT, fault);
    give_up(x, END_CLIENT_FAULT, fault, fault_status(fault));
    return STEP_OVER;
}

static enum step request_ended_early(struct exchange *x)
{
    struct http1_result r;

    if (client_of(x)->input == STREAM_OPEN)
        return STEP_IDLE;
    http1_parse_eof(x->client.parse, &r);
    x->fault = FAULT_TRUNCATED;
    give_up(x, END_CLIENT_ABORTED, FAULT_TRUNCATED, client_of(x)->input == STREAM_EOF ? fault_status(FAULT_TRUNCATED) : 0);
    return STEP_OVER;
}

static enum step request_body(struct exchange *x, struct span data)
{
    ssize_t taken = backend_send(x->backend, data);

    if (taken <= 0) {
        x->server_blocked = taken == 0;
        x->server_deaf = taken < 0;
        return STEP_IDLE;
    }
    x->body_touched = true;
    x->server_blocked = false;
    x->bytes_in += (uint64_t)taken;
    http1_parse_took(x->client.parse, (size_t)taken);
    stream_consume(client_of(x), (size_t)taken);
    return STEP_MOVED;
}

static enum step request_end(struct exchange *x, const struct headers *trailers)
{
    struct headers passing;
    bool some = trailers != NULL && trailers->n > 0;

    if (some && rules_trailers(&x->arena, trailers, &x->head->fields, &passing) != FAULT_NONE)
        return request_fault(x, FAULT_NO_MEMORY);
    request_enter(x, REQUEST_DONE);
    if (x->backend != NULL) {
        x->body_touched |= x->head->body == HTTP1_BODY_CHUNKED;
        x->server_deaf = backend_end(x->backend, some ? &passing : NULL) != 0;
    }
    return STEP_MOVED;
}

static enum step request_step(struct exchange *x)
{
    struct http1_result r;
    const uint8_t *p;
    size_t n;

    if (x->request != REQUEST_BODY || x->server_deaf || !x->backend->open)
        return STEP_IDLE;
    n = stream_peek(client_of(x), &p);
    stream_consume(client_of(x), http1_parse_next(x->client.parse, p, n, &r));
    switch (r.event) {
    case HTTP1_BODY:
        return request_body(x, r.data);
    case HTTP1_END:
        return request_end(x, r.trailers);
    case HTTP1_FAULT:
        return request_fault(x, r.fault);
    case HTTP1_HEAD:
    case HTTP1_MORE:
        break;
    }
    return request_ended_early(x);
}

/* ---- the response half ---- */

static enum step client_lost(struct exchange *x)
{
    finish(x, END_CLIENT_ABORTED, EXCHANGE_GONE);
    return STEP_OVER;
}

static enum step server_fault(struct exchange *x, enum end_reason why, enum fault fault)
{
    struct backend_failure f = { .why = why, .fault = fault };

    metrics_fault(x->services->metrics, METRICS_SERVER, fault);
    log_failure(x, &f, "");
    give_up(x, why, fault, end_reason_status(why));
    return STEP_OVER;
}

/* A head towards the client, final or not; false: there was no memory, or the client is gone. */
static bool put_head(struct exchange *x, const struct http1_head *in, const struct rules_reply_facts *facts)
{
    struct headers fields;
    struct span head = SPAN_EMPTY;

    if (rules_response_to_client(&x->arena, in, facts, &fields) == FAULT_NONE)
        head = http1_write_response_head(&x->arena, in->status, in->reason, &fields);
    return head.p != NULL && stream_put(client_of(x), head) == 0;
}

static struct rules_reply_facts reply_facts(const struct exchange *x)
{
    return (struct rules_reply_facts){
        .pseudonym = span_of_text(x->services->conf->forwarded.via),
        .client_version_minor = x->head->version_minor,
        .client_keep_alive = true,
        .date = reply_date(),
        .head_request = x->rules.is_head,
    };
}

/* RFC 9110 section 15.2: 1xx heads are passed on, but never to an HTTP/1.0 client. */
static enum step response_interim(struct exchange *x, const struct http1_head *in)
{
    struct rules_reply_facts facts = reply_facts(x);

    if (++x->interims > INTERIM_MAX)
        return server_fault(x, END_SERVER_FAULT, FAULT_INTERIM_FLOOD);
    if (x->head->version_minor == 0)
        return STEP_MOVED;
    return put_head(x, in, &facts) ? STEP_MOVED : client_lost(x);
}

static bool client_sent_more(const struct exchange *x)
{
    const uint8_t *p;

    return stream_peek(client_of(x), &p) > 0;
}

static enum step response_head(struct exchange *x, const struct http1_head *in)
{
    struct rules_reply_facts facts = reply_facts(x);
    enum fault fault = rules_check_response(in, x->rules.is_head);
    enum http1_body framing;

    if (fault != FAULT_NONE)
        return server_fault(x, END_SERVER_FAULT, fault);
    framing = rules_reply_body(in, &facts);
    x->keep_alive = x->head->keep_alive && !x->services->draining && framing != HTTP1_BODY_CLOSE && x->request == REQUEST_DONE &&
                    !(x->websocket && client_sent_more(x));
    facts.client_keep_alive = x->keep_alive;
    if (!put_head(x, in, &facts))
        return client_lost(x);
    x->status = in->status;
    body_out_init(&x->out, framing);
    response_enter(x, RESPONSE_BODY);
    return STEP_MOVED;
}

static enum step response_body(struct exchange *x, struct span data)
{
    ssize_t taken = body_out_send(&x->out, client_of(x), data);

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

    if (some && rules_trailers(&x->arena, trailers, &x->head->fields, &passing) != FAULT_NONE)
        return client_lost(x);
    if (body_out_end(&x->out, client_of(x), &x->arena, some ? &passing : NULL) != 0)
        return client_lost(x);
    response_enter(x, RESPONSE_DONE);
    if (x->request != REQUEST_DONE || (x->websocket && client_sent_more(x)))
        x->keep_alive = false;
    finish(x, x->websocket ? END_SWITCH_REFUSED : END_COMPLETE, x->keep_alive ? EXCHANGE_KEEP : EXCHANGE_LINGER);
    return STEP_OVER;
}

/* ---- the switch ---- */

static enum step switch_over(struct exchange *x, const struct ws_agreement *agreement)
{
    struct tunnel_start start = {
        .conf = &x->route->websocket,
        .deflate = agreement->deflate,
        .protocol = agreement->protocol,
        .server_record = x->server,
        .request = { .client = x->client.name,
                     .listener = span_of_text(x->client.listener->name),
                     .method = x->head->method,
                     .target = x->head->target,
                     .host = x->rules.authority,
                     .upstream = span_of_text(x->upstream->conf->name),
                     .server = span_of_text(x->server->conf->address.text) },
    };

    start.server = backend_take_stream(x->backend);
    start.client = stream_take(x->client.stream);
    x->status = 101;
    if (tunnel_new(x->services, &start) != 0)
        finish(x, END_NO_MEMORY, EXCHANGE_SWITCHED);
    else
        finish(x, END_SWITCHED, EXCHANGE_SWITCHED);
    return STEP_OVER;
}

/* A 101: the one moment on which everything turns. It is judged against what the client offered (RFC 6455 section 4.1) before a byte
 * of it reaches the client, and before a byte of the client's after its request reaches the server. */
static enum step response_switch(struct exchange *x, const struct http1_head *in)
{
    struct rules_reply_facts facts = reply_facts(x);
    struct ws_agreement agreement;
    enum fault fault;

    if (!x->websocket)
        return server_fault(x, END_SWITCH_BAD, FAULT_SWITCH_UNASKED);
    fault = ws_answer_judge(&x->offer, in, &agreement);
    if (fault != FAULT_NONE)
        return server_fault(x, END_SWITCH_BAD, fault);
    facts.websocket = true;
    return put_head(x, in, &facts) ? switch_over(x, &agreement) : client_lost(x);
}

static enum step response_step(struct exchange *x)
{
    struct http1_result r;

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
    return x->backend->failed.why != END_NONE ? handle_failure(x) : STEP_IDLE;
}

/* ---- waiting ---- */

static enum wait wait_of(const struct exchange *x)
{
    if (x->backend == NULL)
        return WAIT_BEGIN;
    if (!x->backend->open)
        return WAIT_CONNECT;
    if (x->response == RESPONSE_BODY)
        return x->client_blocked ? WAIT_CLIENT_READS : WAIT_SERVER_SENDS;
    if (x->websocket)
        return WAIT_SWITCH;
    if (x->request == REQUEST_BODY && !x->server_deaf)
        return x->server_blocked ? WAIT_SERVER_READS : WAIT_CLIENT_SENDS;
    return WAIT_ANSWER;
}

static uint64_t patience_ms(const struct exchange *x)
{
    const struct conf_timeouts *timeouts = x->route != NULL ? &x->route->timeouts : &x->services->conf->timeouts;

    switch (x->wait) {
    case WAIT_BEGIN:
    case WAIT_CONNECT:
        return timeouts->connect_ms + CONNECT_SLACK_MS;
    case WAIT_SWITCH:
        return x->route->websocket.handshake_timeout_ms;
    case WAIT_ANSWER:
        return timeouts->response_ms;
    case WAIT_CLIENT_SENDS:
    case WAIT_SERVER_READS:
    case WAIT_SERVER_SENDS:
    case WAIT_CLIENT_READS:
        break;
    }
    return timeouts->body_ms;
}

/* Every wait has a deadline: it is set when the kind of wait changes, and moved lazily, when it strikes, by what progress there was. */
static void wait_for(struct exchange *x, bool moved)
{
    enum wait wait = wait_of(x);

    if (moved || wait != x->wait)
        x->progress_ms = timers_now_ms(x->services->timers);
    if (wait != x->wait || !timer_is_set(&x->timer)) {
        x->wait = wait;
        timer_start(x->services->timers, &x->timer, patience_ms(x));
    }
}

static void on_timer(struct timer *t, uint64_t now_ms)
{
    struct exchange *x = LIST_OWNER(t, struct exchange, timer);
    uint64_t due_ms = x->progress_ms + patience_ms(x);

    if (now_ms < due_ms) {
        timer_set(x->services->timers, &x->timer, due_ms);
        return;
    }
    if (x->server != NULL && x->wait != WAIT_CLIENT_SENDS && x->wait != WAIT_CLIENT_READS)
        log_warn("upstream %s server %s: %s", x->upstream->conf->name, x->server->conf->address.text,
                 end_reason_sentence(wait_ends[x->wait]));
    give_up(x, wait_ends[x->wait], FAULT_NONE, end_reason_status(wait_ends[x->wait]));
}

static void run(struct exchange *x)
{
    bool moved = false;

    if (client_of(x)->input == STREAM_FAILED || client_of(x)->output_error != 0) {
        finish(x, END_CLIENT_ABORTED, EXCHANGE_GONE);
        return;
    }
    for (int round = 0; round < ROUNDS_MAX; round++) {
        enum step up = request_step(x), down;
        if (up == STEP_OVER)
            return;
        down = response_step(x);
        if (down == STEP_OVER)
            return;
        if (up == STEP_IDLE && down == STEP_IDLE) {
            wait_for(x, moved);
            return;
        }
        moved = true;
    }
    wait_for(x, true);
    ready_add(x->services->ready, &x->ready);            /* the turn's share is spent */
}

static void on_progress(void *ctx)
{
    struct exchange *x = ctx;

    if (x->request != REQUEST_BEGIN)
        run(x);
}

static const struct stream_events client_events = { .readable = on_progress, .writable = on_progress };

/* ---- the beginning ---- */

static enum fault check(struct exchange *x)
{
    struct rules_policy policy = { .max_via = 8, .pseudonym = span_of_text(x->services->conf->forwarded.via) };
    enum fault fault = rules_check_request(&x->arena, x->head, &policy, &x->rules);

    if (fault != FAULT_NONE)
        return fault;
    x->route = route_find(x->services->conf, x->client.listener, x->head->method, &x->rules);
    if (x->route == NULL || x->route->websocket.mode == CONF_WEBSOCKET_OFF)
        return FAULT_NONE;
    x->websocket = ws_offer_read(x->head, &x->offer, &fault) == WS_OFFER_GOOD;
    return fault;
}

/* A request without a body is complete with its head. */
static enum step end_if_bodyless(struct exchange *x)
{
    struct http1_result r;

    request_enter(x, REQUEST_BODY);
    if (x->head->body != HTTP1_BODY_NONE)
        return STEP_MOVED;
    http1_parse_next(x->client.parse, NULL, 0, &r);
    assert(r.event == HTTP1_END);
    return request_end(x, NULL);
}

static void begin(struct exchange *x)
{
    enum fault fault = FAULT_NONE;

    if (x->end != END_NONE) {            /* the head was faulty, or did not come in time */
        give_up(x, x->end, x->fault, x->fault != FAULT_NONE ? fault_status(x->fault) : end_reason_status(x->end));
        return;
    }
    fault = check(x);
    if (fault != FAULT_NONE) {
        refuse(x, fault);
        return;
    }
    if (end_if_bodyless(x) == STEP_OVER)
        return;
    if (x->route == NULL) {
        give_up(x, END_NO_ROUTE, FAULT_NONE, end_reason_status(END_NO_ROUTE));
        return;
    }
    if (x->websocket && x->services->draining) {
        give_up(x, END_DRAINED, FAULT_NONE, end_reason_status(END_DRAINED));
        return;
    }
    x->upstream = &x->services->upstreams[x->route->upstream];
    if (begin_attempt(x, balance_choose(x->upstream, 0), false) != STEP_OVER)
        run(x);
}

static void on_ready(struct ready *r)
{
    struct exchange *x = LIST_OWNER(r, struct exchange, ready);

    if (x->request == REQUEST_BEGIN)
        begin(x);
    else
        run(x);
}

static struct exchange *make(struct services *services, const struct exchange_client *client)
{
    struct exchange *x = mem_zalloc(sizeof(*x));

    if (x == NULL)
        return NULL;
    x->services = services;
    x->client = *client;
    arena_init(&x->arena, 16 * services->request_limits.head_bytes + 65536);
    timer_init(&x->timer, on_timer);
    ready_init(&x->ready, on_ready);
    x->begun_ms = x->progress_ms = timers_now_ms(services->timers);
    metrics_add(&services->metrics->exchanges_open, 1);
    stream_own(client_of(x), &client_events, x);
    ready_add(services->ready, &x->ready);
    return x;
}

struct exchange *exchange_new(struct services *services, const struct exchange_client *client, const struct http1_head *head)
{
    struct exchange *x = make(services, client);

    if (x != NULL)
        x->head = head;
    return x;
}

struct exchange *exchange_new_refused(struct services *services, const struct exchange_client *client, enum end_reason why, enum fault fault)
{
    struct exchange *x = make(services, client);

    if (x != NULL) {
        x->end = why;
        x->fault = fault;
    }
    return x;
}
