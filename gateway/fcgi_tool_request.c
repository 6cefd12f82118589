/* The FastCGI tool's options as the request that a gateway would have read from a client, and then as its parameters. */
#include "gateway/fcgi_tool_parts.h"

#include <limits.h>
#include <string.h>

#define PARAMS_BYTES_MAX (1 << 20)
#define ADDRESS SPAN_LITERAL("127.0.0.1")
#define SOFTWARE "upgate/" UPGATE_VERSION

static const struct field defaults[] = {
    { SPAN_LITERAL("Host"), SPAN_LITERAL("localhost") },
    { SPAN_LITERAL("User-Agent"), SPAN_LITERAL(SOFTWARE) },
    { SPAN_LITERAL("Accept"), SPAN_LITERAL("*/*") },
};

static bool is_said(const struct fcgi_tool_options *o, struct span name)
{
    for (size_t i = 0; i < o->fields_n; i++)
        if (span_equal_nocase(o->fields[i].name, name))
            return true;
    return false;
}

static enum fault add_default(struct headers *fields, const struct fcgi_tool_options *o, struct span name, struct span value)
{
    return is_said(o, name) ? FAULT_NONE : headers_add(fields, name, value);
}

static enum fault make_fields(struct headers *fields, const struct fcgi_tool_options *o, const struct fcgi_tool_body *b)
{
    enum fault fault = FAULT_NONE;

    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]) && fault == FAULT_NONE; i++)
        fault = add_default(fields, o, defaults[i].name, defaults[i].value);
    if (b->present && fault == FAULT_NONE)
        fault = add_default(fields, o, SPAN_LITERAL("Content-Type"), b->type);
    for (size_t i = 0; i < o->fields_n && fault == FAULT_NONE; i++)
        if (o->fields[i].value.p != NULL)    /* else it takes a default away */
            fault = headers_add(fields, o->fields[i].name, o->fields[i].value);
    return fault;
}

static enum fault make_head(struct arena *a, const struct fcgi_tool_options *o, const struct fcgi_tool_body *b,
                            struct http1_head *out)
{
    *out = (struct http1_head){ .method = o->method, .target = o->target, .version_minor = 1, .keep_alive = true };
    out->body = !b->present ? HTTP1_BODY_NONE : b->has_length ? HTTP1_BODY_LENGTH : HTTP1_BODY_CHUNKED;
    out->has_content_length = b->present && b->has_length;
    out->content_length = b->length;
    headers_init(&out->fields, a, 0);
    return make_fields(&out->fields, o, b);
}

/* Who asks is the operator: the fields that only a trusted hop may send are passed on. */
static enum fault write_params(struct arena *a, const struct fcgi_tool_options *o, const struct fcgi_tool_body *b,
                               struct fcgi_params *out)
{
    const struct rules_policy policy = { .allow_trace = true, .max_via = UINT_MAX };
    const struct rules_facts facts = { .client_address = ADDRESS, .client_trusted = true };
    struct fcgi_script script;
    struct rules_request rules;
    struct http1_head head;
    struct fcgi_request request = {
        .head = &head, .rules = &rules, .facts = &facts, .script = &script, .document_root = o->script.root,
        .server_address = ADDRESS, .server_software = SPAN_LITERAL(SOFTWARE), .has_content_length = b->present && b->has_length,
        .content_length = b->length, .own = o->params, .own_n = o->params_n,
    };
    enum fault fault = make_head(a, o, b, &head);

    if (fault == FAULT_NONE)
        fault = rules_check_request(a, &head, &policy, &rules);
    if (fault == FAULT_NONE)
        fault = fcgi_script_find(a, &o->script, rules.target.path, &script);
    if (fault == FAULT_NONE)
        fault = fcgi_params_write(a, &request, PARAMS_BYTES_MAX, out);
    return fault;
}

enum fcgi_tool_exit fcgi_tool_request(struct arena *a, const struct fcgi_tool_options *o, const struct fcgi_tool_body *b,
                                      struct fcgi_params *out)
{
    enum fault fault = write_params(a, o, b, out);

    if (fault == FAULT_NONE)
        return FCGI_TOOL_GOOD;
    return fcgi_tool_say(fault == FAULT_NO_MEMORY ? FCGI_TOOL_MEMORY : FCGI_TOOL_USAGE, "this request cannot be made: %s",
                         fault_sentence(fault));
}
