/* fcgi_case: a client's request, as bytes, through everything that comes before its FastCGI parameters: the parser, the rules,
 * the script. Used by tests and by fuzz targets. */
#ifndef UPGATE_TESTS_PROTOCOL_FCGI_CASE_H
#define UPGATE_TESTS_PROTOCOL_FCGI_CASE_H

#include "protocol/fcgi_params.h"

struct fcgi_case {
    struct http1_parse *parse;
    const struct http1_head *head;
    struct arena arena;
    struct rules_request rules;
    struct rules_facts facts;
    struct fcgi_script_rules script_rules;
    struct fcgi_script script;
    struct fcgi_request request;
};

/* The facts and the script rules stand for themselves unless they are changed before fcgi_case_prepare. */
static inline void fcgi_case_init(struct fcgi_case *c)
{
    *c = (struct fcgi_case){ .facts = { .client_address = SPAN_LITERAL("192.0.2.7"), .client_port = 4321 },
                             .script_rules = { .root = SPAN_LITERAL("/www"), .script = SPAN_LITERAL("index.php") } };
    c->request = (struct fcgi_request){ .document_root = SPAN_LITERAL("/www"), .server_address = SPAN_LITERAL("198.51.100.1"),
                                        .server_port = 8080, .server_software = SPAN_LITERAL("upgate") };
    arena_init(&c->arena, 1 << 20);
}

static inline void fcgi_case_free(struct fcgi_case *c)
{
    http1_parse_free(c->parse);
    arena_free(&c->arena);
}

/* FAULT_TRUNCATED: there is no whole head. */
static inline enum fault fcgi_case_prepare(struct fcgi_case *c, struct span bytes)
{
    static const struct http1_limits limits = { .head_bytes = 65536, .fields = 200, .chunk_extension_bytes = 1000 };
    const struct rules_policy policy = { .allow_trace = true, .max_via = 8, .pseudonym = SPAN_LITERAL("upgate") };
    struct http1_result r;
    enum fault fault;

    c->parse = http1_parse_new(HTTP1_REQUEST, &limits);
    if (c->parse == NULL)
        return FAULT_NO_MEMORY;
    http1_parse_next(c->parse, bytes.p, bytes.n, &r);
    if (r.event != HTTP1_HEAD)
        return r.event == HTTP1_FAULT ? r.fault : FAULT_TRUNCATED;
    c->head = r.head;
    fault = rules_check_request(&c->arena, c->head, &policy, &c->rules);
    if (fault == FAULT_NONE)
        fault = fcgi_script_find(&c->arena, &c->script_rules, c->rules.target.path, &c->script);
    c->request.head = c->head;
    c->request.rules = &c->rules;
    c->request.facts = &c->facts;
    c->request.script = &c->script;
    c->request.has_content_length = c->head->has_content_length;
    c->request.content_length = c->head->content_length;
    return fault;
}

#endif
