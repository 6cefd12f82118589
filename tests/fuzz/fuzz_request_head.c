/* Request heads: what the parser lets through is made of lawful bytes, has one meaning, and the rules and the target's reader say
 * something sound about it. */
#include "protocol/rules.h"
#include "protocol/token.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_head(const struct http1_head *head)
{
    size_t lengths = headers_count(&head->fields, SPAN_LITERAL("content-length"));
    size_t codings = headers_count(&head->fields, SPAN_LITERAL("transfer-encoding"));

    assert(token_is_token(head->method) && head->method.n <= 256 && head->target.n > 0 && head->version_minor <= 1);
    for (size_t i = 0; i < head->target.n; i++)
        assert(head->target.p[i] > 0x20 && head->target.p[i] < 0x7f && head->target.p[i] != '#');
    for (size_t i = 0; i < head->fields.n; i++)
        assert(token_is_token(head->fields.fields[i].name) && token_is_field_value(head->fields.fields[i].value));
    assert(lengths + codings <= 1);
    assert((head->body == HTTP1_BODY_LENGTH) == (lengths == 1) && (head->body == HTTP1_BODY_CHUNKED) == (codings == 1));
}

/* No rule is walked around: there is nothing in the text for matching that a backend would still resolve. */
static void check_route_path(struct span path)
{
    assert(path.n > 0 && path.p[0] == '/');
    for (size_t i = 0; i < path.n; i++) {
        size_t end = i + 1;

        assert(path.p[i] >= 0x20 && path.p[i] != 0x7f && path.p[i] != '\\');
        if (path.p[i] != '/')
            continue;
        while (end < path.n && path.p[end] != '/')
            end++;
        assert(end > i + 1 || end == path.n);
        assert(!(end == i + 2 && path.p[i + 1] == '.'));
        assert(!(end == i + 3 && memcmp(path.p + i + 1, "..", 2) == 0));
    }
}

static void check_request(const struct http1_head *head)
{
    const struct rules_policy policy = { .allow_trace = true, .max_via = 1, .pseudonym = SPAN_LITERAL("gw") };
    struct rules_request request;
    struct arena a;

    arena_init(&a, 1 << 20);
    if (rules_check_request(&a, head, &policy, &request) == FAULT_NONE) {
        assert(request.host.host.n > 0 || head->version_minor == 0);
        if (span_equal(request.target.route_path, SPAN_LITERAL("*")))
            assert(span_equal(head->method, SPAN_LITERAL("OPTIONS")));
        else
            check_route_path(request.target.route_path);
        if (request.target.route_path_kept.n > 0)
            check_route_path(request.target.route_path_kept);
        assert(span_ends_with(head->target, request.target.path_and_query) || request.target.form == TARGET_ABSOLUTE);
    }
    arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http1_limits limits = { .head_bytes = 8192, .fields = 64, .chunk_extension_bytes = 16 };
    struct http1_parse *h = http1_parse_new(HTTP1_REQUEST, &limits);
    struct http1_result r;
    size_t used = http1_parse_next(h, data, size, &r);

    assert(used <= size);
    if (r.event == HTTP1_HEAD) {
        assert(used >= 2 && data[used - 2] == '\r' && data[used - 1] == '\n');
        check_head(r.head);
        check_request(r.head);
    } else if (r.event == HTTP1_MORE) {
        assert(used == size && used < limits.head_bytes + 2);
    } else {
        assert(r.event == HTTP1_FAULT && fault_status(r.fault) >= 400);
    }
    http1_parse_free(h);
    return 0;
}
