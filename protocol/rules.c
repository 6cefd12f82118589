/* The checks on a request's and on a response's head. What is written onward is in rules_forward.c. */
#include "protocol/rules.h"

#include "protocol/http1_framing.h"
#include "protocol/token.h"

#define EXPECT SPAN_LITERAL("expect")
#define HOST SPAN_LITERAL("host")
#define MAX_FORWARDS SPAN_LITERAL("max-forwards")

/* RFC 9112 section 3.2: a 1.1 request without Host, any with two, or with one that is no host, MUST get a 400, whatever the
 * form of the target; section 3.2.2: an absolute-form target's authority then stands in its place. test_rules.c: host_* */
static enum fault check_host(struct arena *a, const struct http1_head *in, struct rules_request *out)
{
    size_t count;
    struct span host = headers_value_and_count(&in->fields, HOST, &count);
    enum fault fault = FAULT_NONE;

    if (count > 1 || (count == 0 && in->version_minor > 0))
        return FAULT_HOST;
    if (count == 1) {
        out->authority = host;
        fault = host_parse(a, out->authority, &out->host);
    }
    if (fault == FAULT_NONE && out->target.authority.n > 0) {
        out->authority = out->target.authority;
        fault = host_parse(a, out->authority, &out->host);
    }
    return fault;
}

/* RFC 9110 section 10.1.1: only 100-continue is defined; from an HTTP/1.0 client it MUST be ignored, and without content it has
 * no meaning. test_rules.c: expect_* */
static enum fault check_expect(const struct http1_head *in, struct rules_request *out)
{
    struct list_walk walk = list_walk_field(&in->fields, EXPECT);
    bool has_content = in->body == HTTP1_BODY_CHUNKED || (in->body == HTTP1_BODY_LENGTH && in->content_length > 0);
    struct span member;

    if (in->version_minor == 0)
        return FAULT_NONE;
    while (list_walk_next(&walk, &member)) {
        if (!span_equal_nocase(member, SPAN_LITERAL("100-continue")))
            return FAULT_EXPECTATION;
        out->expect_continue = has_content;
    }
    return FAULT_NONE;
}

/* RFC 9110 section 7.6.2: counted down for TRACE and OPTIONS; at 0 the gateway itself answers. For other methods it may be
 * ignored. test_rules.c: max_forwards_* */
static enum fault check_max_forwards(const struct http1_head *in, struct rules_request *out)
{
    size_t count = headers_count(&in->fields, MAX_FORWARDS);
    uint64_t left;

    if (count == 0 || (!span_equal(in->method, SPAN_LITERAL("TRACE")) && !span_equal(in->method, SPAN_LITERAL("OPTIONS"))))
        return FAULT_NONE;
    if (count > 1 || !span_to_u64(headers_value(&in->fields, MAX_FORWARDS), &left))
        return FAULT_FIELD;
    out->final_recipient = left == 0;
    out->has_max_forwards = left > 0;
    out->max_forwards = left > 0 ? left - 1 : 0;
    return FAULT_NONE;
}

/* RFC 9110 section 9.3.8: content MUST NOT be sent with TRACE. test_rules.c: trace_* */
static enum fault check_trace(const struct http1_head *in, const struct rules_policy *policy)
{
    if (!span_equal(in->method, SPAN_LITERAL("TRACE")))
        return FAULT_NONE;
    if (!policy->allow_trace)
        return FAULT_TRACE;
    return in->body == HTTP1_BODY_NONE ? FAULT_NONE : FAULT_BODY_NOT_ALLOWED;
}

/* RFC 9110 section 7.6.3: a member of Via is received-protocol RWS received-by [ RWS comment ]. */
static bool is_via_of(struct span member, struct span pseudonym)
{
    struct span by = token_trim(span_from(member, span_find(member, ' ')));

    return span_equal_nocase(span_first(by, span_find(by, ' ')), pseudonym);
}

/* RFC 9110 section 7.6.3: Via is there for avoiding request loops. test_rules.c: loop_* */
static enum fault check_loop(const struct http1_head *in, const struct rules_policy *policy)
{
    struct list_walk walk = list_walk_field(&in->fields, SPAN_LITERAL("via"));
    struct span member;
    unsigned ours = 0;

    while (list_walk_next(&walk, &member))
        ours += is_via_of(member, policy->pseudonym);
    return ours > policy->max_via ? FAULT_LOOP : FAULT_NONE;
}

#define M(text) { (const uint8_t *)(text), sizeof(text) - 1 }

/* RFC 9110 section 9.2.2, and of the registry's others those that read. */
static bool is_idempotent(struct span method)
{
    static const struct span known[] = {
        M("GET"), M("HEAD"), M("OPTIONS"), M("TRACE"), M("PUT"), M("DELETE"), M("PROPFIND"), M("REPORT"), M("SEARCH"), M("QUERY"),
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (span_equal(method, known[i]))
            return true;
    return false;
}

#undef M

enum fault rules_check_request(struct arena *a, const struct http1_head *in, const struct rules_policy *policy,
                               struct rules_request *out)
{
    enum fault fault;

    *out = (struct rules_request){
        .idempotent = is_idempotent(in->method),
        .is_head = span_equal(in->method, SPAN_LITERAL("HEAD")),
        .accepts_trailers = in->version_minor > 0 && headers_list_has(&in->fields, SPAN_LITERAL("te"), SPAN_LITERAL("trailers")),
    };
    fault = target_parse(a, in->method, in->target, &out->target);
    if (fault == FAULT_NONE)
        fault = check_host(a, in, out);
    if (fault == FAULT_NONE)
        fault = check_trace(in, policy);
    if (fault == FAULT_NONE)
        fault = check_expect(in, out);
    if (fault == FAULT_NONE)
        fault = check_max_forwards(in, out);
    if (fault == FAULT_NONE)
        fault = check_loop(in, policy);
    return fault;
}

/* The parser gives no body to an answer that cannot have one, if it was told of the HEAD; this is the check that it was.
 * RFC 9110 section 6.4.1. test_rules.c: response_* */
enum fault rules_check_response(const struct http1_head *in, bool head_request)
{
    if (http1_framing_bodiless(in->status, head_request) && in->body != HTTP1_BODY_NONE)
        return FAULT_BODY_NOT_ALLOWED;
    return FAULT_NONE;
}
