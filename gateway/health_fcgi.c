/* A check that speaks FastCGI: FCGI_GET_VALUES (section 4.1), or a request for one script.
 *
 * What can go wrong, in order: no memory, what comes is no lawful FastCGI, the request ends with less than a complete answer, its status
 * or text is not as it should be, the server ends the connection. */
#include "gateway/health_check_parts.h"
#include "protocol/fcgi_params.h"

#include <limits.h>
#include <string.h>

#define PARAMS_BYTES_MAX 32768
#define SOFTWARE "upgate/" UPGATE_VERSION
#define ADDRESS SPAN_LITERAL("127.0.0.1")

/* ---- the question ---- */

/* As requests are asked: an application that is no file gets the path as PATH_INFO. Where there are scripts, it is the one of that name, and
 * there is no path behind it. */
static bool find_script(struct health_check *c, struct fcgi_script *out)
{
    const struct conf_fastcgi *conf = &c->wanted.upstream->fastcgi;
    struct span folder = span_of_text(conf->root), name = span_of_text(c->conf->fastcgi);
    uint8_t *file;

    *out = (struct fcgi_script){ .path_info = name };
    if (conf->script == NULL && conf->split == NULL)
        return true;
    file = arena_alloc(&c->arena, folder.n + name.n);
    if (file == NULL)
        return false;
    if (folder.n > 0)
        memcpy(file, folder.p, folder.n);
    memcpy(file + folder.n, name.p, name.n);
    *out = (struct fcgi_script){ .name = name, .filename = span_of(file, folder.n + name.n) };
    return true;
}

/* As if a client on this machine had asked. */
static bool make_pairs(struct health_check *c, struct fcgi_params *out)
{
    const struct conf_fastcgi *conf = &c->wanted.upstream->fastcgi;
    const struct rules_policy policy = { .max_via = UINT_MAX };
    const struct rules_facts facts = { .client_address = ADDRESS, .client_trusted = true };
    struct http1_head head = { .method = SPAN_LITERAL("GET"), .target = span_of_text(c->conf->fastcgi), .version_minor = 1 };
    struct fcgi_script script;
    struct rules_request rules;
    struct fcgi_request request = {
        .head = &head, .rules = &rules, .facts = &facts, .script = &script, .document_root = span_of_text(conf->root),
        .server_address = ADDRESS, .server_software = SPAN_LITERAL(SOFTWARE), .own = conf->params, .own_n = conf->params_n,
    };

    headers_init(&head.fields, &c->arena, 0);
    return headers_add(&head.fields, SPAN_LITERAL("Host"), health_check_host(c)) == FAULT_NONE &&
           headers_add(&head.fields, SPAN_LITERAL("User-Agent"), SPAN_LITERAL(SOFTWARE " (health check)")) == FAULT_NONE &&
           rules_check_request(&c->arena, &head, &policy, &rules) == FAULT_NONE && find_script(c, &script) &&
           fcgi_params_write(&c->arena, &request, PARAMS_BYTES_MAX, out) == FAULT_NONE;
}

static struct span make_request(struct health_check *c)
{
    static const struct http1_limits limits = { .head_bytes = HEALTH_ARENA_BYTES / 4, .fields = 200 };
    struct fcgi_params params;

    fcgi_reply_init(&c->reply, &c->arena, &limits, false);
    if (!make_pairs(c, &params))
        return SPAN_EMPTY;
    return fcgi_write_begin(&c->arena, fcgi_reader_open(&c->reader), false, params.pairs, false);
}

static struct span make_question(struct health_check *c)
{
    uint8_t *values;

    if (c->conf->fastcgi[0] == '/')
        return make_request(c);
    values = arena_alloc(&c->arena, FCGI_GET_VALUES_BYTES);
    if (values == NULL)
        return SPAN_EMPTY;
    fcgi_reader_ask_values(&c->reader);
    fcgi_write_get_values(values);
    return span_of(values, FCGI_GET_VALUES_BYTES);
}

void health_fcgi_begin(struct health_check *c)
{
    struct span bytes;

    fcgi_reader_init(&c->reader);
    bytes = make_question(c);
    if (bytes.p == NULL)
        health_check_fail(c, "there is no memory to ask");
    else if (stream_put(c->stream, bytes) != 0)
        health_check_fail(c, "it took no question");
}

/* ---- the answer: each returns true when it was the end ---- */

static bool take_reply_event(struct health_check *c, const struct http1_result *r)
{
    switch (r->event) {
    case HTTP1_HEAD:
        return health_check_judge_head(c, r->head);
    case HTTP1_BODY:
        fcgi_reply_took(&c->reply, r->data.n);
        return health_check_judge_body(c, r->data);
    case HTTP1_END:
        health_check_judge_end(c);
        return true;
    case HTTP1_FAULT:
        health_check_fail(c, "its answer is malformed: %s", fault_sentence(r->fault));
        return true;
    case HTTP1_MORE:
        break;
    }
    return false;
}

static bool take_stdout(struct health_check *c, struct span data)
{
    struct http1_result r;

    do {
        data = span_from(data, fcgi_reply_next(&c->reply, data.p, data.n, &r));
        if (take_reply_event(c, &r))
            return true;
        if (r.event == HTTP1_BODY)
            data = span_from(data, r.data.n);
    } while (r.event != HTTP1_MORE);
    return false;
}

static bool take_end(struct health_check *c, const struct fcgi_result *r)
{
    if (r->end == FCGI_OVERLOADED) {
        health_check_fail(c, "it has no room for a request (FCGI_OVERLOADED)");
        return true;
    }
    if (r->end != FCGI_REQUEST_COMPLETE) {
        health_check_fail(c, "it refused the request");
        return true;
    }
    fcgi_reply_finish(&c->reply);
    return take_stdout(c, SPAN_EMPTY);
}

static bool take_event(struct health_check *c, const struct fcgi_result *r)
{
    switch (r->event) {
    case FCGI_EVENT_STDOUT:
        return take_stdout(c, r->data);
    case FCGI_EVENT_END:
        return take_end(c, r);
    case FCGI_EVENT_VALUES:
        health_check_pass(c);
        return true;
    case FCGI_EVENT_FAULT:
        health_check_fail(c, "what it answered is no FastCGI: %s", fault_sentence(r->fault));
        return true;
    case FCGI_EVENT_STDERR:
    case FCGI_EVENT_MORE:
        break;
    }
    return false;
}

void health_fcgi_read(struct health_check *c)
{
    struct fcgi_result r;
    const uint8_t *p;
    size_t n, used;

    do {
        n = stream_peek(c->stream, &p);
        used = fcgi_reader_next(&c->reader, p, n, &r);
        if (take_event(c, &r))
            return;
        if (r.event == FCGI_EVENT_STDOUT || r.event == FCGI_EVENT_STDERR) {
            fcgi_reader_took(&c->reader, r.data.n);
            used += r.data.n;
        }
        stream_consume(c->stream, used);
    } while (r.event != FCGI_EVENT_MORE);
    if (c->stream->input != STREAM_OPEN)
        health_check_fail(c, "it ended the connection before its answer was complete");
}
