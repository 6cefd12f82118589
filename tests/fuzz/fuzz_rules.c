/* The rules and the writers: what goes out, read by a parser that shares no code with them, is exactly one message and means what
 * came in: method, target, status, body, trailers and end-to-end fields.
 * Input: two bytes of choices, then one message. */
#include "protocol/http1_write.h"
#include "protocol/rules.h"
#include "tests/fuzz/second_parser.h"

#include <assert.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RESPONSE = 1, HEAD_REQUEST = 2, TRUSTED = 4, WEBSOCKET = 8, STRIP = 16, KEEP_ALIVE = 32, OLD_CLIENT = 64, HTTPS = 128 };
enum { X_FORWARDED = RULES_FORWARDED_X, RFC7239 = RULES_FORWARDED_RFC7239, UNIX_CLIENT = 4 };

#define MOST_BYTES 60000

struct case_ {
    uint8_t choices, forwarded;
    struct arena arena;
    const struct http1_head *head;
    char wire[2 * MOST_BYTES];           /* what goes out */
    size_t wire_n;
    char body[MOST_BYTES];               /* what came in */
    size_t body_n;
    struct second_message second;
};

static struct second_text text_of(struct span s)
{
    return (struct second_text){ (const char *)s.p, s.n };
}

static bool same(struct second_text a, struct second_text b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.at, b.at, a.n) == 0);
}

static void put(struct case_ *c, const void *p, size_t n)
{
    assert(n <= sizeof(c->wire) - c->wire_n);
    if (n > 0)
        memcpy(c->wire + c->wire_n, p, n);
    c->wire_n += n;
}

static void put_body(struct case_ *c, enum http1_body as, struct span data)
{
    uint8_t chunk[HTTP1_CHUNK_HEAD_BYTES];

    memcpy(c->body + c->body_n, data.p, data.n);
    c->body_n += data.n;
    if (as == HTTP1_BODY_CHUNKED)
        put(c, chunk, http1_write_chunk_head(chunk, data.n));
    put(c, data.p, data.n);
    if (as == HTTP1_BODY_CHUNKED)
        put(c, "\r\n", 2);
}

static void put_end(struct case_ *c, enum http1_body as, const struct http1_result *r)
{
    struct headers trailers;
    struct span last;

    if (as != HTTP1_BODY_CHUNKED)
        return;
    assert(rules_trailers(&c->arena, r->trailers, &c->head->fields, NULL, &trailers) == FAULT_NONE);
    last = http1_write_last_chunk(&c->arena, &trailers);
    assert(last.p != NULL);
    put(c, last.p, last.n);
}

/* The body goes out as it comes in. False: the message is not whole. */
static bool relay_body(struct case_ *c, struct http1_parse *h, enum http1_body as, struct span rest)
{
    struct http1_result r;

    for (;;) {
        rest = span_from(rest, http1_parse_next(h, rest.p, rest.n, &r));
        if (r.event == HTTP1_MORE)
            http1_parse_eof(h, &r);
        if (r.event == HTTP1_END)
            break;
        if (r.event != HTTP1_BODY)
            return false;
        put_body(c, as, r.data);
        http1_parse_took(h, r.data.n);
        rest = span_from(rest, r.data.n);
    }
    put_end(c, as, &r);
    return true;
}

/* Names this gateway writes or takes out by itself; what they have to be is checked apart. */
static bool is_ours(struct second_text name)
{
    static const char *const ours[] = {
        "host", "content-length", "transfer-encoding", "connection", "keep-alive", "proxy-connection", "te", "upgrade",
        "trailer", "via", "expect", "max-forwards", "forwarded", "date", "http2-settings", "proxy", "proxy-authenticate",
        "proxy-authorization", "proxy-authentication-info", "sec-websocket-extensions",
    };

    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (second_same(name, ours[i]))
            return true;
    return name.n > 12 && second_same((struct second_text){ name.at, 12 }, "x-forwarded-");
}

/* Every field that goes out and is not ours came in, in that order; what is missing may have been removed. */
static void check_fields(const struct case_ *c)
{
    size_t at = 0;

    for (size_t i = 0; i < c->second.fields_n; i++) {
        const struct second_field *f = &c->second.fields[i];

        if (is_ours(f->name))
            continue;
        while (at < c->head->fields.n && !(same(f->name, text_of(c->head->fields.fields[at].name)) &&
                                           same(f->value, text_of(c->head->fields.fields[at].value))))
            at++;
        assert(at < c->head->fields.n);
        at++;
    }
}

/* Fields that nothing gives a reason to remove are all there. */
static void check_plain_fields(const struct case_ *c)
{
    for (size_t i = 0; i < c->head->fields.n; i++) {
        struct second_text name = text_of(c->head->fields.fields[i].name);
        size_t count;

        if (!second_same(name, "cookie") && !second_same(name, "set-cookie") && !second_same(name, "cache-control"))
            continue;
        if (second_same(name, "cache-control") || headers_find(&c->head->fields, SPAN_LITERAL("connection")) == NULL) {
            char lower[16] = "";
            for (size_t k = 0; k < name.n; k++)
                lower[k] = second_lower(name.at[k]);
            second_find(&c->second, lower, &count);
            assert(count == headers_count(&c->head->fields, c->head->fields.fields[i].name));
        }
    }
}

static size_t count_of(const struct case_ *c, const char *name)
{
    size_t count;

    second_find(&c->second, name, &count);
    return count;
}

/* Nothing that ends at this hop, and no fact an untrusted client tells. */
static void check_removed(const struct case_ *c, bool request)
{
    static const char *const never[] = {
        "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate", "http2-settings", "proxy",
        "transfer_encoding", "content_length", "x_forwarded_for",
    };
    static const char *const facts[] = {
        "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-original-url", "x-client-ip", "client-ip",
    };

    for (size_t i = 0; request && i < sizeof(never) / sizeof(never[0]); i++)
        assert(count_of(c, never[i]) == 0);
    for (size_t i = 0; request && !(c->choices & TRUSTED) && i < sizeof(facts) / sizeof(facts[0]); i++)
        assert(count_of(c, facts[i]) == 0);
    assert(count_of(c, "connection") <= 1 && count_of(c, "via") >= 1 && count_of(c, "te") <= 1);
    assert(count_of(c, "upgrade") == 0 || count_of(c, "connection") == 1);
}

static void check_body(const struct case_ *c, enum http1_body as)
{
    static const int framing[] = {
        [HTTP1_BODY_NONE] = SECOND_NOTHING,
        [HTTP1_BODY_LENGTH] = SECOND_COUNTED,
        [HTTP1_BODY_CHUNKED] = SECOND_CHUNKS,
        [HTTP1_BODY_CLOSE] = SECOND_TO_THE_END,
    };

    assert((int)c->second.framing == framing[as]);
    assert(c->second.body_n == c->body_n && memcmp(c->second.body, c->body, c->body_n) == 0);
    for (size_t i = 0; i < c->second.trailers_n; i++)
        assert(!is_ours(c->second.trailers[i].name) && !second_same(c->second.trailers[i].name, "authorization"));
}

static void request(struct case_ *c, struct http1_parse *h, struct span rest)
{
    const struct rules_policy policy = { .allow_trace = true, .max_via = 3, .pseudonym = SPAN_LITERAL("gw") };
    const struct rules_facts facts = {
        .pseudonym = SPAN_LITERAL("gw"),
        .client_address = c->forwarded & UNIX_CLIENT ? SPAN_LITERAL("unix") : SPAN_LITERAL("2001:db8::1"),
        .client_https = (c->choices & HTTPS) != 0,
        .client_trusted = (c->choices & TRUSTED) != 0,
        .forwarded = c->forwarded & (RULES_FORWARDED_X | RULES_FORWARDED_RFC7239),
        .websocket = (c->choices & WEBSOCKET) != 0,
        .websocket_strip_extensions = (c->choices & STRIP) != 0,
        .upstream_keep_alive = (c->choices & KEEP_ALIVE) != 0,
    };
    struct rules_request checked;
    struct headers fields;
    struct span head;
    size_t hosts;

    if (rules_check_request(&c->arena, c->head, &policy, &checked) != FAULT_NONE)
        return;
    assert(rules_request_to_upstream(&c->arena, c->head, &checked, &facts, &fields) == FAULT_NONE);
    head = http1_write_request_head(&c->arena, c->head->method, checked.target.path_and_query, &fields);
    put(c, head.p, head.n);
    if (!relay_body(c, h, c->head->body, rest))
        return;
    assert(second_parse(c->wire, c->wire_n, true, false, &c->second) && c->second.size == c->wire_n);
    assert(same(c->second.method, text_of(c->head->method)) && same(c->second.target, text_of(checked.target.path_and_query)));
    assert(same(second_find(&c->second, "host", &hosts)->value, text_of(checked.authority)) && hosts == 1);
    assert(second_same(c->second.fields[0].name, "host"));
    assert(!(c->forwarded & X_FORWARDED) || count_of(c, "x-forwarded-for") == 1);
    assert(!(c->forwarded & RFC7239) || count_of(c, "forwarded") == 1);
    check_removed(c, true);
    check_fields(c);
    check_plain_fields(c);
    check_body(c, c->head->body);
}

static void response(struct case_ *c, struct http1_parse *h, struct span rest)
{
    const struct rules_reply_facts facts = {
        .pseudonym = SPAN_LITERAL("gw"),
        .client_version_minor = c->choices & OLD_CLIENT ? 0 : 1,
        .client_keep_alive = (c->choices & KEEP_ALIVE) != 0,
        .websocket = c->head->status == 101 && (c->choices & WEBSOCKET) != 0,
        .date = SPAN_LITERAL("Tue, 15 Nov 1994 08:12:31 GMT"),
        .head_request = (c->choices & HEAD_REQUEST) != 0,
    };
    enum http1_body as = rules_reply_body(c->head, &facts);
    bool interim = c->head->status < 200 && c->head->status != 101;
    struct headers fields;
    struct span head;

    assert(rules_check_response(c->head, facts.head_request) == FAULT_NONE);
    assert(as != HTTP1_BODY_CHUNKED || facts.client_version_minor == 1);
    assert(rules_response_to_client(&c->arena, c->head, &facts, &fields) == FAULT_NONE);
    head = http1_write_response_head(&c->arena, c->head->status, c->head->reason, &fields);
    put(c, head.p, head.n);
    if (!interim && !relay_body(c, h, as, rest))
        return;
    assert(second_parse(c->wire, c->wire_n, false, facts.head_request, &c->second) && c->second.size == c->wire_n);
    assert(c->second.status == c->head->status);
    assert(c->second.status < 200 || count_of(c, "date") >= 1);
    check_removed(c, false);
    check_fields(c);
    check_plain_fields(c);
    check_body(c, as);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http1_limits limits = { .head_bytes = 8192, .fields = 64, .chunk_extension_bytes = 16 };
    static struct case_ c;
    struct http1_parse *h;
    struct http1_result r;
    struct span bytes;

    if (size < 2 || size > 8000)
        return 0;
    c.choices = data[0];
    c.forwarded = data[1];
    c.wire_n = c.body_n = 0;
    bytes = span_of(data + 2, size - 2);
    h = http1_parse_new(c.choices & RESPONSE ? HTTP1_RESPONSE : HTTP1_REQUEST, &limits);
    http1_parse_expect(h, (c.choices & HEAD_REQUEST) != 0);
    arena_init(&c.arena, 1 << 20);
    bytes = span_from(bytes, http1_parse_next(h, bytes.p, bytes.n, &r));
    if (r.event == HTTP1_HEAD) {
        c.head = r.head;
        if (c.choices & RESPONSE)
            response(&c, h, bytes);
        else
            request(&c, h, bytes);
    }
    arena_free(&c.arena);
    http1_parse_free(h);
    return 0;
}
