/* Forward authentication: an upstream is asked whether the request may go on, before anybody else hears of it (and before a byte of its body
 * is read, or an upgrade is begun).
 *
 *   asked      GET, with the client's fields but those that speak of a body, a part or a copy of what was asked for, or of a switch;
 *              X-Forwarded-Method and X-Forwarded-Uri say what the request is
 *   2xx        it goes on; the answer's fields that `pass` names go with it, and none of that name from anybody else
 *   401, 403, 3xx (but not 304)   the answer is the client's, as it is
 *
 * What goes wrong, in the order in which it happens: no server can be reached (502; a kept connection that had ended is no reason), no whole
 * answer comes in time (504), or one that says neither yes nor no (502). Nothing of that lets a request through. */
#include "gateway/exchange_parts.h"
#include "gateway/log.h"
#include "protocol/http1_write.h"

#include <string.h>

#define BODY_BYTES_MAX 65536             /* of an answer that is passed on */

struct question {
    struct http1_head head;
    struct rules_request rules;
    struct rules_changes changes, told_of_tls, told_of_trace;
    struct field told[2];
    struct exchange *exchange;
    struct upstream *upstream;
    struct server *server;
    struct backend *backend;
    struct seek seek;
    unsigned attempts;
    const struct http1_head *answer;     /* the backend's; NULL: it has not come */
    uint8_t *body;
    size_t body_n;
};

/* ---- asking ---- */

static bool begins_with(struct span name, const char *lower_case)
{
    struct span prefix = span_of_text(lower_case);

    return name.n >= prefix.n && span_equal_nocase(span_first(name, prefix.n), prefix);
}

/* A subprotocol may carry a token, where browsers have no other way: it stays. */
static bool is_told(struct span name)
{
    if (begins_with(name, "sec-websocket-"))
        return span_equal_nocase(name, SPAN_LITERAL("sec-websocket-protocol"));
    return !begins_with(name, "content-") && !begins_with(name, "if-") && !span_equal_nocase(name, SPAN_LITERAL("range"));
}

static enum fault make_head(struct exchange *x, struct question *q)
{
    enum fault fault = FAULT_NONE;

    q->head = (struct http1_head){ .method = SPAN_LITERAL("GET"), .version_minor = x->head->version_minor, .keep_alive = true };
    q->head.target = span_of_text(x->route->auth.forward.path);
    headers_init(&q->head.fields, &x->arena, 0);
    for (size_t i = 0; i < x->head->fields.n && fault == FAULT_NONE; i++)
        if (is_told(x->head->fields.fields[i].name))
            fault = headers_add(&q->head.fields, x->head->fields.fields[i].name, x->head->fields.fields[i].value);
    return fault;
}

static enum fault make_question(struct exchange *x, struct question *q)
{
    enum fault fault = make_head(x, q);

    q->rules = (struct rules_request){ .host = x->rules.host, .authority = x->rules.authority, .idempotent = true };
    if (fault == FAULT_NONE)
        fault = target_parse(&x->arena, q->head.method, q->head.target, &q->rules.target);
    q->told[0] = (struct field){ SPAN_LITERAL("X-Forwarded-Method"), x->head->method };
    q->told[1] = (struct field){ SPAN_LITERAL("X-Forwarded-Uri"), x->asked_target };
    q->told_of_tls = x->told;
    q->told_of_tls.next = &q->told_of_trace;
    q->told_of_trace = x->trace.changes;
    q->told_of_trace.next = NULL;        /* the route's own changes are for its own servers */
    q->changes = (struct rules_changes){ .set = q->told, .set_n = 2, .next = &q->told_of_tls };
    q->upstream = &x->snapshot->upstreams[x->route->auth.forward.upstream];
    return fault;
}

static void give_up(struct exchange *x, enum end_reason why)
{
    exchange_give_up(x, why, FAULT_NONE, end_reason_status(why));
}

static void attempt(struct exchange *x, struct server *server, bool fresh)
{
    struct question *q = x->question;
    struct backend_request request = exchange_backend_request(x, q->upstream->conf);

    request.head = &q->head;
    request.rules = &q->rules;
    request.facts.websocket = false;
    request.facts.changes = &q->changes;
    q->attempts++;
    q->server = server;
    q->backend = exchange_begin_backend(x, server, &request, fresh);
    server_give_back(server);            /* a kept connection was taken instead */
    if (q->backend == NULL)
        give_up(x, END_NO_MEMORY);
    else
        exchange_await(x);
}

static void choose(struct exchange *x)
{
    enum end_reason why;
    struct server *server = seek_server(&x->question->seek, &why);

    if (server != NULL)
        attempt(x, server, false);
    else if (why != END_NONE)
        give_up(x, why);
    else
        exchange_await(x);
}

static void on_found(struct seek *s, struct server *server, enum end_reason why)
{
    struct exchange *x = LIST_OWNER(s, struct question, seek)->exchange;

    if (server != NULL)
        attempt(x, server, false);
    else
        give_up(x, why);
}

void exchange_ask(struct exchange *x)
{
    struct question *q = arena_alloc(&x->arena, sizeof(*q));

    if (q == NULL) {
        give_up(x, END_NO_MEMORY);
        return;
    }
    *q = (struct question){ .exchange = x };
    x->question = q;
    if (make_question(x, q) != FAULT_NONE) {
        give_up(x, END_NO_MEMORY);
        return;
    }
    seek_init(&q->seek, q->upstream, false, on_found);
    choose(x);
}

void exchange_ask_end(struct exchange *x, bool answered)
{
    if (x->question != NULL) {
        backend_release(&x->question->backend, answered);
        seek_end(&x->question->seek);
    }
    x->question = NULL;
}

/* ---- failures ---- */

static void log_failure(const struct exchange *x, const char *what, const char *detail, const char *then)
{
    log_warn("route %zu: upstream %s server %s was asked whether a request may go on: %s%s%s%s",
             (size_t)(x->route - x->snapshot->conf->routes) + 1, x->question->upstream->conf->name,
             x->question->server != NULL ? x->question->server->state->name : "(none)", what, detail != NULL ? ": " : "", detail != NULL ? detail : "", then);
}

static void answer_is_none(struct exchange *x, const char *why)
{
    char words[64];

    snprintf(words, sizeof(words), "it answered %u", x->question->answer->status);
    log_failure(x, words, why, "");
    give_up(x, END_AUTH_FAILED);
}

static void server_failed(struct exchange *x)
{
    struct question *q = x->question;
    struct backend_failure f = q->backend->failed;
    const char *what = f.fault != FAULT_NONE ? fault_sentence(f.fault) : end_reason_sentence(f.why);
    bool again = f.stale || (f.unsent && f.why != END_NO_MEMORY && q->attempts <= q->upstream->conf->retries);

    if (f.why == END_SERVER_FULL) {      /* the last place there was went to somebody else */
        q->attempts--;
        seek_missed(&q->seek, q->server);
        backend_release(&q->backend, false);
        choose(x);
        return;
    }
    if (f.why == END_NO_MEMORY || !again) {
        log_failure(x, what, f.detail, "");
        x->detail = f.detail;
        give_up(x, f.why == END_NO_MEMORY ? f.why : END_AUTH_FAILED);
        return;
    }
    if (f.stale)
        q->attempts--;                   /* a kept connection that had ended says nothing about the server */
    else
        log_failure(x, what, f.detail, "; trying again");
    backend_release(&q->backend, false);
    q->answer = NULL;
    q->body_n = 0;
    if (f.stale)
        attempt(x, q->server, true);
    else
        choose(x);
}

/* ---- the answer ---- */

/* Values are copied: they outlive the answer. */
static enum fault grant_all(struct exchange *x, struct span name, struct headers *out)
{
    const struct headers *from = &x->question->answer->fields;
    enum fault fault = FAULT_NONE;

    for (size_t i = 0; i < from->n && fault == FAULT_NONE; i++) {
        struct span value = from->fields[i].value;
        if (!span_equal_nocase(from->fields[i].name, name))
            continue;
        if (value.n > 0)
            value = arena_copy(&x->arena, value);
        fault = value.n > 0 && value.p == NULL ? FAULT_NO_MEMORY : headers_add(out, name, value);
    }
    return fault;
}

static void let_through(struct exchange *x, bool answered)
{
    const struct conf_auth_forward *conf = &x->route->auth.forward;
    struct headers passing;
    enum fault fault = FAULT_NONE;

    headers_init(&passing, &x->arena, 0);
    for (size_t i = 0; i < conf->pass_n && fault == FAULT_NONE; i++)
        fault = grant_all(x, span_of_text(conf->pass[i]), &passing);
    if (fault != FAULT_NONE) {
        give_up(x, END_NO_MEMORY);
        return;
    }
    x->granted = (struct rules_changes){ .set = passing.fields, .set_n = passing.n, .remove = conf->pass, .remove_n = conf->pass_n,
                                         .next = &x->route->headers.request };
    if (x->told.next != NULL)
        x->told.next = &x->granted;
    exchange_ask_end(x, answered);
    exchange_go_on(x);
}

/* RFC 9110 section 9.3.2: to a HEAD goes what a GET would get, less its content. */
static void tell_client(struct exchange *x)
{
    struct question *q = x->question;
    struct http1_head head = *q->answer;
    struct rules_reply_facts facts = exchange_reply_facts(x);
    struct stream *client = exchange_client_stream(x);

    head.body = x->rules.is_head ? HTTP1_BODY_NONE : HTTP1_BODY_LENGTH;
    head.has_content_length = true;
    head.content_length = q->body_n;
    x->keep_alive = x->request == REQUEST_DONE && exchange_wants_more(x) && !x->websocket;
    facts.client_keep_alive = x->keep_alive;
    x->status = head.status;
    if (!exchange_put_head(x, &head, &facts) ||
        (!x->rules.is_head && q->body_n > 0 && stream_put(client, span_of(q->body, q->body_n)) != 0)) {
        exchange_finish(x, END_CLIENT_ABORTED, EXCHANGE_GONE);
        return;
    }
    x->out.bytes = x->rules.is_head ? 0 : q->body_n;
    exchange_ask_end(x, true);
    exchange_finish(x, END_AUTH_REFUSED, x->keep_alive ? EXCHANGE_KEEP : EXCHANGE_LINGER);
}

static bool is_yes(unsigned status)
{
    return status >= 200 && status < 300;
}

static bool is_no(unsigned status)
{
    return status == 401 || status == 403 || (status >= 300 && status < 400 && status != 304);
}

static void answer_over(struct exchange *x)
{
    unsigned status = x->question->answer->status;

    if (is_yes(status))
        let_through(x, true);
    else if (is_no(status))
        tell_client(x);
    else
        answer_is_none(x, "which is neither yes nor no");
}

/* Of a yes nobody needs the content, of a no all of it. False: it is decided. */
static bool keep_body(struct exchange *x, struct span data)
{
    struct question *q = x->question;
    uint8_t *p = q->body;

    if (data.n > BODY_BYTES_MAX - q->body_n) {
        if (is_yes(q->answer->status))
            let_through(x, false);
        else
            answer_is_none(x, "with more content than is passed on");
        return false;
    }
    if (!is_yes(q->answer->status)) {
        p = arena_extend(&x->arena, q->body, q->body_n, q->body_n + data.n);
        if (p == NULL) {
            give_up(x, END_NO_MEMORY);
            return false;
        }
        memcpy(p + q->body_n, data.p, data.n);
        q->body = p;
    }
    q->body_n += data.n;
    backend_took(q->backend, data.n);
    return true;
}

void exchange_ask_more(struct exchange *x)
{
    struct question *q = x->question;
    struct http1_result r;

    if (q->backend == NULL) {            /* a place at a server is waited for */
        exchange_await(x);
        return;
    }
    for (;;) {
        backend_pull(q->backend, &r);
        switch (r.event) {
        case HTTP1_HEAD:
            q->answer = r.head->status >= 200 ? r.head : NULL;
            if (r.head->status == 101) {
                log_failure(x, "it switched protocols, unasked", NULL, "");
                give_up(x, END_AUTH_FAILED);
                return;
            }
            break;
        case HTTP1_BODY:
            if (!keep_body(x, r.data))
                return;
            break;
        case HTTP1_END:
            answer_over(x);
            return;
        case HTTP1_MORE:
        case HTTP1_FAULT:
            if (q->backend->failed.why != END_NONE)
                server_failed(x);
            else
                exchange_await(x);
            return;
        }
    }
}

void exchange_ask_late(struct exchange *x)
{
    log_failure(x, end_reason_sentence(END_AUTH_TIMEOUT), NULL, "");
    give_up(x, END_AUTH_TIMEOUT);
}
