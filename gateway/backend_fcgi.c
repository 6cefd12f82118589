/* The life of an attempt:
 *
 *   NEW        the script is found, the parameters are made
 *   DIALING    a new connection is being made; nothing of the request has been written
 *   OPEN       BEGIN_REQUEST and PARAMS are written; STDIN out, STDOUT in, each at its own pace
 *   FAILED     failed.why says what happened
 *
 * What goes wrong, in order: the request is refused (END_REFUSED), no connection, the server has no room (END_SERVER_OVERLOADED) or cannot
 * take it (END_SERVER_FAULT), the connection ends, the reply is malformed (the log quotes the line) or ends too early.
 *
 * What is decided here:
 *   - `Expect: 100-continue` is answered by the gateway when the connection is there: CGI knows no 1xx.
 *   - A local redirect (Location with a path and nothing else) goes to the client as a 302, which leads it to the same place by way of the
 *     routes and what they check. It is not followed here.
 *   - END_REQUEST ends the answer, not the end of STDOUT: until then the application may still fail. Its own status (appStatus) is
 *     nobody's business. */
#include "gateway/backend_fcgi.h"
#include "gateway/fcgi_ask.h"
#include "gateway/fcgi_conn.h"
#include "gateway/fcgi_facts.h"
#include "gateway/log.h"
#include "gateway/outbound.h"
#include "gateway/script_file.h"
#include "protocol/fcgi_params.h"
#include "protocol/fcgi_reply.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define PARAMS_SPARE_BYTES 32768         /* beyond what four heads take: a path is told up to four times */
#define DETAIL_BYTES 400

enum fcgi_state { FCGI_NEW, FCGI_DIALING, FCGI_OPEN, FCGI_FAILED };

struct backend_fcgi {
    struct backend base;
    enum fcgi_state state;
    struct backend_request request;
    struct fcgi_params params;           /* in the exchange's arena */
    struct outbound *outbound;           /* the connection is being made */
    struct fcgi_call call;
    struct fcgi_reply reply;
    struct http1_head interim;           /* the 100 */
    struct ready ready;                  /* what was there at once is told from the loop */
    bool continue_due;                   /* the 100 is still to be told */
    bool head_told;
    bool answer_over;                    /* HTTP1_END was told */
};

static struct backend_fcgi *of(struct backend *b)
{
    return (struct backend_fcgi *)(void *)b;
}

static void fcgi_enter(struct backend_fcgi *b, enum fcgi_state to)
{
    assert(b->state < to);
    b->state = to;
}

static void fail(struct backend_fcgi *b, struct backend_failure failure)
{
    if (b->state == FCGI_FAILED)
        return;
    b->base.failed = failure;
    fcgi_enter(b, FCGI_FAILED);
}

static void fail_memory(struct backend_fcgi *b)
{
    fail(b, (struct backend_failure){ .why = END_NO_MEMORY });
}

static void refuse(struct backend_fcgi *b, enum fault fault)
{
    fail(b, (struct backend_failure){ .why = fault == FAULT_NO_MEMORY ? END_NO_MEMORY : END_REFUSED, .fault = fault, .unsent = true });
}

static void server_fault(struct backend_fcgi *b, enum fault fault, const char *detail)
{
    metrics_fault(b->base.services->metrics, METRICS_SERVER, fault);
    fail(b, (struct backend_failure){ .why = END_SERVER_FAULT, .fault = fault, .detail = detail });
}

/* ---- the parameters ---- */

static struct span optional(const char *text)
{
    return text != NULL ? span_of_text(text) : SPAN_EMPTY;
}

/* Only where the path decides which file it is: what the operator wrote needs no look. */
static enum fault check_file(const struct backend_fcgi *b, const struct conf_fastcgi *conf, const struct fcgi_script *script)
{
    int error = conf->split != NULL ? script_file_check(conf->root, script->name, conf->symlinks) : 0;

    if (error == 0)
        return FAULT_NONE;
    if (error != -ENOENT && error != -ENOTDIR)
        log_info("upstream %s: %.*s is not told to a server: %s", b->request.upstream->name, (int)script->filename.n,
                 (const char *)script->filename.p, error == -EXDEV ? "a link leads out of the root" : strerror(-error));
    return FAULT_FCGI_SCRIPT;
}

static enum fault find_script(const struct backend_fcgi *b, struct fcgi_script *script)
{
    const struct conf_fastcgi *conf = &b->request.upstream->fastcgi;
    struct fcgi_script_rules rules = {
        .root = optional(conf->root), .script = optional(conf->script), .split = optional(conf->split), .index = optional(conf->index)
    };
    enum fault fault = fcgi_script_find(b->request.arena, &rules, b->request.rules->target.path, script);

    return fault != FAULT_NONE ? fault : check_file(b, conf, script);
}

/* As text, good until the next call: nearly always the client came to the same address as the one before. */
static struct span server_address(const struct net_address *local)
{
    static _Thread_local struct {
        struct net_address address;
        char text[NET_ADDRESS_TEXT];
    } last;

    if (local->family != NET_IP4 && local->family != NET_IP6)
        return SPAN_EMPTY;
    if (!net_address_equal(&last.address, local))
        net_address_print(local, last.text);
    last.address = *local;
    return span_of_text(last.text);
}

static enum fault make_params(struct backend_fcgi *b)
{
    const struct net_address *local = &b->request.inbound->local;
    struct fcgi_script script;
    struct fcgi_request told = {
        .head = b->request.head,
        .rules = b->request.rules,
        .facts = &b->request.facts,
        .script = &script,
        .document_root = optional(b->request.upstream->fastcgi.root),
        .server_address = server_address(local),
        .server_port = local->port,
        .server_software = SPAN_LITERAL("upgate/" UPGATE_VERSION),
        .has_content_length = b->request.head->has_content_length || b->request.gathered,
        .content_length = b->request.gathered ? b->request.gathered_bytes : b->request.head->content_length,
    };
    enum fault fault = find_script(b, &script);

    told.own = fcgi_facts(b->request.arena, &b->request.upstream->fastcgi, b->request.inbound, b->request.facts.changes, &told.own_n);
    if (told.own == NULL)
        return FAULT_NO_MEMORY;
    if (fault == FAULT_NONE)
        fault = fcgi_params_write(b->request.arena, &told, 4 * b->request.limits->head_bytes + PARAMS_SPARE_BYTES, &b->params);
    metrics_add(&b->base.services->metrics->fields_folded, b->params.dropped);
    return fault;
}

/* ---- the connection ---- */

/* In place, as long as the parameters fit into one record. */
static struct span make_head(struct backend_fcgi *b, bool keep, bool has_body)
{
    const struct fcgi_params *params = &b->params;

    return params->pairs.n <= FCGI_CONTENT_OURS ? fcgi_frame_begin(params->at, params->pairs.n, b->call.id, keep, has_body)
                                                : fcgi_write_begin(b->request.arena, b->call.id, keep, params->pairs, has_body);
}

static void write_head(struct backend_fcgi *b, const struct fcgi_conn *conn)
{
    bool has_body = b->request.head->body != HTTP1_BODY_NONE;
    struct span head = make_head(b, fcgi_conn_keeps(conn), has_body);

    b->call.input_over = !has_body;
    if (head.p == NULL)
        fail_memory(b);
    else if (fcgi_call_begin(&b->call, head) != 0)
        fail(b, (struct backend_failure){ .why = END_SERVER_CLOSED, .unsent = true, .stale = b->call.used });
}

static void open_call(struct backend_fcgi *b, struct fcgi_conn *conn)
{
    fcgi_enter(b, FCGI_OPEN);
    b->base.open = true;
    b->continue_due = b->request.rules->expect_continue && !b->request.gathered;
    fcgi_call_open(&b->call, conn);
    write_head(b, conn);
}

/* May others be on the same connection? Those with a body travel alone: fcgi_conn.h says why. */
static bool may_share(const struct backend_fcgi *b)
{
    return b->request.upstream->fastcgi.multiplex && b->request.head->body == HTTP1_BODY_NONE && b->request.facts.upstream_keep_alive &&
           b->base.server->fcgi.asked == FCGI_TOLD && b->base.server->fcgi.calls_max > 1;
}

static void open_stream(struct backend_fcgi *b, struct stream *s, bool used)
{
    const struct conf_fastcgi *conf = &b->request.upstream->fastcgi;
    struct fcgi_conn_start start = {
        .services = b->base.services,
        .server = b->base.server,
        .used = used,
        .may_keep = b->request.facts.upstream_keep_alive,
        .calls_max = may_share(b) ? b->base.server->fcgi.calls_max : 1,
        .held = { (size_t)conf->multiplex_memory, conf->multiplex_file, conf->body_folder },
    };
    struct fcgi_conn *conn = fcgi_conn_new(&start, &s);

    if (conn == NULL)
        fail_memory(b);
    else
        open_call(b, conn);
}

static void on_ready(struct ready *r)
{
    struct backend_fcgi *b = LIST_OWNER(r, struct backend_fcgi, ready);

    b->base.progress(b->base.ctx);
}

static void on_connected(void *ctx, const struct dial_answer *a)
{
    struct backend_fcgi *b = ctx;

    b->outbound = NULL;
    if (a->stream != NULL)
        open_stream(b, a->stream, false);
    else
        fail(b, (struct backend_failure){ .why = a->why, .detail = a->detail, .unsent = true });
    b->base.progress(b->base.ctx);
}

static void connect_or_reuse(struct backend_fcgi *b, bool fresh, uint64_t connect_timeout_ms)
{
    struct services *svc = b->base.services;
    struct outbound_request wanted = {
        .upstream = b->request.upstream,
        .server = b->base.server,
        .inbound = b->request.inbound,
        .client = b->request.client,
        .timeout_ms = connect_timeout_ms,
    };
    struct fcgi_conn *shared = !fresh && may_share(b) ? fcgi_conn_find(b->base.server) : NULL;
    struct stream *s = fresh || shared != NULL ? NULL : pool_get(&b->base.server->pool);

    if (shared != NULL) {
        metrics_add(&svc->metrics->fcgi_shared, 1);
        open_call(b, shared);
        return;
    }
    if (s != NULL) {
        metrics_add(&svc->metrics->pool_reuses, 1);
        open_stream(b, s, true);
        return;
    }
    fcgi_enter(b, FCGI_DIALING);
    b->outbound = outbound_start(svc, &wanted, on_connected, b);
    if (b->outbound == NULL)
        fail_memory(b);
}

/* ---- the request's body ---- */

static ssize_t fcgi_send(struct backend *base, struct span data)
{
    struct backend_fcgi *b = of(base);
    ssize_t taken;

    if (b->state != FCGI_OPEN)
        return b->state == FCGI_FAILED ? -EPIPE : 0;
    taken = fcgi_call_send(&b->call, data);
    if (taken == -ENOMEM)
        fail_memory(b);
    return taken;
}

/* CGI has no trailers. */
static int fcgi_end(struct backend *base, const struct headers *trailers)
{
    struct backend_fcgi *b = of(base);
    int error;

    (void)trailers;
    if (b->state != FCGI_OPEN)
        return -EPIPE;
    error = fcgi_call_end_input(&b->call);
    if (error == -ENOMEM)
        fail_memory(b);
    return error;
}

/* ---- the answer ---- */

/* The line that is to blame, as the log can show it. */
static const char *quote_line(struct backend_fcgi *b)
{
    struct span line = fcgi_reply_line(&b->reply), copy;
    char text[DETAIL_BYTES];

    if (line.n == 0)
        return NULL;
    log_quote(line, text, sizeof(text));
    copy = arena_copy(b->request.arena, span_of(text, strlen(text) + 1));
    return (const char *)copy.p;
}

static void reply_fault(struct backend_fcgi *b, enum fault fault)
{
    if (fault == FAULT_NO_MEMORY)
        fail_memory(b);
    else if (fault == FAULT_TRUNCATED && b->head_told)
        fail(b, (struct backend_failure){ .why = END_SERVER_TRUNCATED });
    else
        server_fault(b, fault, quote_line(b));
}

/* It said that it takes several requests on one connection, and does not. That is remembered, and this one goes on one of its own. */
static void correct(struct backend_fcgi *b)
{
    b->base.server->fcgi.calls_max = 1;
    log_info("upstream %s server %s takes one request at a time on a connection: it refused another", b->request.upstream->name,
             b->base.server->state->name);
    fail(b, (struct backend_failure){ .why = END_SERVER_OVERLOADED, .unsent = !b->head_told, .stale = !b->head_told });
}

/* The server ended the request and did not take it on (FastCGI section 5.5). */
static void refused(struct backend_fcgi *b)
{
    if (b->call.end == FCGI_OVERLOADED)
        fail(b, (struct backend_failure){ .why = END_SERVER_OVERLOADED, .unsent = !b->head_told });
    else if (b->call.end == FCGI_CANT_MPX_CONN && b->call.used)
        correct(b);
    else
        server_fault(b, b->call.end == FCGI_UNKNOWN_ROLE ? FAULT_FCGI_ROLE : FAULT_FCGI_MULTIPLEX, NULL);
}

static void call_failed(struct backend_fcgi *b)
{
    struct backend_failure f = { .why = b->call.why, .fault = b->call.fault, .detail = b->call.detail };

    f.stale = f.why == END_SERVER_CLOSED && b->call.used && !b->call.answered;
    if (f.why == END_SERVER_CLOSED && b->head_told)
        f.why = END_SERVER_TRUNCATED;
    fail(b, f);
}

/* Nothing is there: what does the call's state say? False: nothing. */
static bool look_at_call(struct backend_fcgi *b)
{
    if (b->call.lost) {
        fail(b, (struct backend_failure){ .why = END_NO_MEMORY });
        return false;
    }
    if (b->call.state == FCGI_CALL_ENDED && b->call.end == FCGI_REQUEST_COMPLETE) {
        fcgi_reply_finish(&b->reply);
        return true;
    }
    if (b->call.state == FCGI_CALL_ENDED)
        refused(b);
    else if (b->call.state == FCGI_CALL_FAILED)
        call_failed(b);
    return false;
}

static void pull_reply(struct backend_fcgi *b, struct http1_result *out)
{
    const uint8_t *p;
    size_t n, used;

    do {
        n = fcgi_call_peek(&b->call, &p);
        if (n == 0 && !look_at_call(b))
            return;
        used = fcgi_reply_next(&b->reply, p, n, out);
        fcgi_call_consume(&b->call, used);
    } while (out->event == HTTP1_MORE && used > 0);
}

/* RFC 9110 section 10.1.1: the client waits for it, and no application will send it. */
static void tell_continue(struct backend_fcgi *b, struct http1_result *out)
{
    b->continue_due = false;
    b->interim = (struct http1_head){ .status = 100, .version_minor = 1 };
    headers_init(&b->interim.fields, b->request.arena, 0);
    *out = (struct http1_result){ .event = HTTP1_HEAD, .head = &b->interim };
}

static void fcgi_pull(struct backend *base, struct http1_result *out)
{
    struct backend_fcgi *b = of(base);

    *out = (struct http1_result){ .event = HTTP1_MORE };
    if (b->state != FCGI_OPEN || b->answer_over)
        return;
    if (b->continue_due) {
        tell_continue(b, out);
        return;
    }
    pull_reply(b, out);
    b->head_told |= out->event == HTTP1_HEAD;
    b->answer_over = out->event == HTTP1_END;
    if (out->event == HTTP1_FAULT) {
        reply_fault(b, out->fault);
        out->event = HTTP1_MORE;
    }
}

static void fcgi_took(struct backend *base, size_t n)
{
    struct backend_fcgi *b = of(base);

    fcgi_reply_took(&b->reply, n);
    fcgi_call_consume(&b->call, n);
}

static ssize_t fcgi_splice(struct backend *base, struct stream *to)
{
    struct backend_fcgi *b = of(base);
    uint64_t due = b->state == FCGI_OPEN ? fcgi_reply_due(&b->reply) : 0;
    ssize_t taken = due > 0 ? fcgi_call_splice(&b->call, to, due) : STREAM_NO_SPLICE;

    if (taken > 0)
        fcgi_reply_took(&b->reply, (size_t)taken);
    return taken;
}

/* FastCGI has no upgrades, and no reply has a 101. */
static struct stream *fcgi_take_stream(struct backend *base)
{
    (void)base;
    assert(false);
    return NULL;
}

/* ---- the end ---- */

/* Whether the connection can be kept was known when END_REQUEST came. */
static void fcgi_release(struct backend *base, bool reusable)
{
    struct backend_fcgi *b = of(base);

    (void)reusable;
    outbound_cancel(&b->outbound);
    ready_cancel(&b->ready);
    fcgi_call_release(&b->call);
    server_end(base->server, SERVER_EXCHANGE);
    mem_free(b);
}

static const struct backend_ops fcgi_ops = {
    .send = fcgi_send,
    .end = fcgi_end,
    .pull = fcgi_pull,
    .took = fcgi_took,
    .splice = fcgi_splice,
    .take_stream = fcgi_take_stream,
    .release = fcgi_release,
};

static void init_call(struct backend_fcgi *b)
{
    fcgi_call_init(&b->call, b->base.progress, b->base.ctx);
    b->call.errors = (struct fcgi_stderr){
        .upstream = b->request.upstream->name,
        .server = b->base.server->state->name,
        .method = b->request.head->method,
        .target = b->request.head->target,
        .limit_bytes = b->request.upstream->fastcgi.stderr_bytes,
        .arena = b->request.arena,
        .metrics = b->base.services->metrics,
    };
}

struct backend *backend_fcgi_new(struct services *services, struct server *server, const struct backend_request *request, bool fresh,
                                 uint64_t connect_timeout_ms, void (*progress)(void *ctx), void *ctx)
{
    struct backend_fcgi *b = mem_zalloc(sizeof(*b));
    enum fault fault;

    if (b == NULL)
        return NULL;
    b->base = (struct backend){ .ops = &fcgi_ops, .services = services, .server = server, .progress = progress, .ctx = ctx };
    b->request = *request;
    ready_init(&b->ready, on_ready);
    server_begin(server, SERVER_EXCHANGE);
    init_call(b);
    fcgi_reply_init(&b->reply, request->arena, request->limits, request->rules->is_head);
    fault = make_params(b);
    if (fault != FAULT_NONE)
        refuse(b, fault);
    else
        connect_or_reuse(b, fresh, connect_timeout_ms);
    if (fault == FAULT_NONE && request->upstream->fastcgi.multiplex)
        fcgi_ask(services, request->snapshot, request->upstream, server);
    if (b->state == FCGI_FAILED || b->continue_due)
        ready_add(services->ready, &b->ready);
    return &b->base;
}
