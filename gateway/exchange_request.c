/* The way to a server, with every second try, and the request's body on its way there. */
#include "gateway/exchange_parts.h"
#include "gateway/backend_fcgi.h"
#include "gateway/backend_h1.h"
#include "protocol/cookie.h"
#include "protocol/hash.h"

/* ---- the way to a server ---- */

struct backend *exchange_begin_backend(struct exchange *x, struct server *server, const struct backend_request *request, bool fresh)
{
    uint64_t timeout_ms = x->route->timeouts.connect_ms;

    if (request->upstream->protocol == CONF_PROTOCOL_FASTCGI)
        return backend_fcgi_new(x->services, server, request, fresh, timeout_ms, exchange_on_progress, x);
    return backend_h1_new(x->services, server, request, fresh, timeout_ms, exchange_on_progress, x);
}

struct backend_request exchange_backend_request(struct exchange *x, const struct conf_upstream *upstream)
{
    const struct conf *conf = x->snapshot->conf;

    return (struct backend_request){
        .snapshot = x->snapshot,
        .head = x->head,
        .rules = &x->rules,
        .facts = { .pseudonym = span_of_text(conf->forwarded.via),
                   .client_address = span_of_text(x->client.inbound->address),
                   .client_port = x->client.inbound->client.port,
                   .real_address = span_of_text(x->real_address),
                   .real_port = x->real_client.port,
                   .user = x->user,
                   .client_https = inbound_https(x->client.inbound),
                   .client_trusted = x->client.inbound->trusted,
                   .forwarded = (conf->forwarded.x_forwarded ? RULES_FORWARDED_X : 0U) |
                                (conf->forwarded.rfc7239 ? RULES_FORWARDED_RFC7239 : 0U),
                   .strip_also = x->snapshot->strip_also,
                   .strip_also_n = conf->forwarded.strip_n,
                   .websocket = x->websocket,
                   .websocket_strip_extensions = x->offer.extensions_stripped,
                   .upstream_keep_alive = upstream->send_proxy == CONF_SEND_PROXY_OFF,
                   .changes = exchange_request_changes(x) },
        .upstream = upstream,
        .inbound = x->client.inbound,
        .client = &x->real_client,
        .limits = &x->snapshot->response_limits,
        .arena = &x->arena,
        .gathered = x->gather != NULL,
        .gathered_bytes = x->gather != NULL ? gather_bytes(x->gather) : 0,
    };
}

static enum step attempt(struct exchange *x, struct server *server, bool fresh)
{
    struct backend_request request = exchange_backend_request(x, x->upstream->conf);

    if (server->http10 && x->head->body == HTTP1_BODY_CHUNKED) {      /* RFC 9112 section 6.1: never chunked to HTTP/1.0 */
        server_give_back(server);
        exchange_refuse(x, FAULT_LENGTH_REQUIRED);
        return STEP_OVER;
    }
    x->attempts++;
    x->server = server;
    x->server_deaf = x->server_blocked = x->gather_given = false;        /* that was the one before */
    if (x->gather != NULL)
        gather_rewind(x->gather);
    x->backend = exchange_begin_backend(x, server, &request, fresh || x->websocket);
    server_give_back(server);            /* a kept connection was taken instead */
    if (x->backend != NULL)
        return STEP_MOVED;
    exchange_give_up(x, END_NO_MEMORY, FAULT_NONE, 503);
    return STEP_OVER;
}

static enum step no_server(struct exchange *x, enum end_reason why)
{
    exchange_give_up(x, why, FAULT_NONE, end_reason_status(why));
    return STEP_OVER;
}

enum step exchange_choose(struct exchange *x)
{
    enum end_reason why;
    struct server *server = seek_server(&x->seek, &why);

    if (server != NULL)
        return attempt(x, server, false);
    return why == END_NONE ? STEP_MOVED : no_server(x, why);
}

static void on_found(struct seek *s, struct server *server, enum end_reason why)
{
    struct exchange *x = LIST_OWNER(s, struct exchange, seek);

    if (server == NULL)
        no_server(x, why);
    else if (attempt(x, server, false) != STEP_OVER)
        exchange_run(x);
}

/* What balance: hash goes by; false: the request has no such thing. */
static bool find_key(const struct exchange *x, const struct conf_hash *hash, struct span *key_out)
{
    struct span name = span_of_text(hash->name);

    switch (hash->kind) {
    case CONF_HASH_CLIENT:
        *key_out = span_of_text(x->real_address);
        break;
    case CONF_HASH_PATH:
        *key_out = x->rules.target.path;
        break;
    case CONF_HASH_HEADER:
        *key_out = headers_value(&x->head->fields, name);
        break;
    case CONF_HASH_COOKIE:
        *key_out = cookie_value(&x->head->fields, name);
        break;
    }
    return key_out->n > 0;
}

static void note_key(struct exchange *x)
{
    struct span key;

    if (x->upstream->conf->balance != CONF_BALANCE_HASH || !find_key(x, &x->upstream->conf->hash, &key))
        return;
    x->seek.wish.keyed = true;
    x->seek.wish.key = hash_of(key);
}

enum step exchange_reach(struct exchange *x, struct upstream *upstream)
{
    x->upstream = upstream;
    seek_init(&x->seek, upstream, x->websocket, on_found);
    note_key(x);
    x->seek.wish.bound = x->bound;
    x->seek.wish.bound_to = x->bound_to;
    return exchange_must_gather(x) ? exchange_gather_begin(x) : exchange_choose(x);
}

/* RFC 9110 section 9.2.2, RFC 9112 section 9.3.1: only what no server has seen is sent again, or what was sent on a kept connection that
 * had already ended and may safely be repeated. */
static bool may_retry(const struct exchange *x, const struct backend_failure *f)
{
    if ((x->body_touched && x->gather == NULL) || x->response != RESPONSE_AWAITED || x->interims > 0)
        return false;
    if (f->stale)
        return f->unsent || x->rules.idempotent;
    return f->unsent && x->attempts <= x->upstream->conf->retries && f->why != END_NO_MEMORY;
}

/* Is the server to blame? A kept connection that had ended is nobody's fault. */
static bool is_servers_failure(const struct backend_failure *f)
{
    return !f->stale && f->why != END_NO_MEMORY && f->why != END_SERVER_OVERLOADED;
}

/* The last place there was went to somebody else. */
static enum step server_is_full(struct exchange *x)
{
    x->attempts--;
    seek_missed(&x->seek, x->server);
    backend_release(&x->backend, false);
    return exchange_choose(x);
}

enum step exchange_server_failed(struct exchange *x)
{
    struct backend_failure f = x->backend->failed;
    bool stale = f.stale;

    if (f.why == END_REFUSED) {
        exchange_refuse(x, f.fault);
        return STEP_OVER;
    }
    if (f.why == END_SERVER_FULL)
        return server_is_full(x);
    if (is_servers_failure(&f))
        server_did_badly(x->server, x->upstream);
    if (!may_retry(x, &f)) {
        exchange_log_failure(x, &f, "");
        x->detail = f.detail;
        exchange_give_up(x, f.why, f.fault, end_reason_status(f.why));
        return STEP_OVER;
    }
    if (stale)
        x->attempts--;                   /* a kept connection that had ended says nothing about the server */
    else
        exchange_log_failure(x, &f, "; trying again");
    metrics_add(&x->services->metrics->retries, 1);
    backend_release(&x->backend, false);
    return stale ? attempt(x, x->server, true) : exchange_choose(x);
}

/* ---- the request half ---- */

enum step exchange_request_fault(struct exchange *x, enum fault fault)
{
    metrics_fault(x->services->metrics, METRICS_CLIENT, fault);
    exchange_give_up(x, END_CLIENT_FAULT, fault, fault_status(fault));
    return STEP_OVER;
}

enum step exchange_request_ended_early(struct exchange *x)
{
    struct http1_result r;

    if (exchange_client_stream(x)->input == STREAM_OPEN)
        return STEP_IDLE;
    http1_parse_eof(x->client.parse, &r);
    x->fault = FAULT_TRUNCATED;
    exchange_give_up(x, END_CLIENT_ABORTED, FAULT_TRUNCATED, exchange_client_stream(x)->input == STREAM_EOF ? fault_status(FAULT_TRUNCATED) : 0);
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
    stream_consume(exchange_client_stream(x), (size_t)taken);
    return STEP_MOVED;
}

enum step exchange_request_end(struct exchange *x, const struct headers *trailers)
{
    struct headers passing;
    bool some = trailers != NULL && trailers->n > 0;

    if (some && rules_trailers(&x->arena, trailers, &x->head->fields, exchange_request_changes(x), &passing) != FAULT_NONE)
        return exchange_request_fault(x, FAULT_NO_MEMORY);
    exchange_request_enter(x, REQUEST_DONE);
    if (x->backend != NULL) {
        x->body_touched |= x->head->body == HTTP1_BODY_CHUNKED;
        x->server_deaf = backend_end(x->backend, some ? &passing : NULL) != 0;
    }
    return STEP_MOVED;
}

enum step exchange_request_step(struct exchange *x)
{
    struct http1_result r;
    const uint8_t *p;
    size_t n;

    if (x->gather != NULL)
        return exchange_gather_step(x);
    if (x->request != REQUEST_BODY || x->server_deaf || !x->backend->open)
        return STEP_IDLE;
    n = stream_peek(exchange_client_stream(x), &p);
    stream_consume(exchange_client_stream(x), http1_parse_next(x->client.parse, p, n, &r));
    switch (r.event) {
    case HTTP1_BODY:
        return request_body(x, r.data);
    case HTTP1_END:
        return exchange_request_end(x, r.trailers);
    case HTTP1_FAULT:
        return exchange_request_fault(x, r.fault);
    case HTTP1_HEAD:
    case HTTP1_MORE:
        break;
    }
    return exchange_request_ended_early(x);
}
