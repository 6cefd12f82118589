/* The heads that go onward: a request's to the upstream, a response's to the client, trailers either way. */
#include "protocol/rules.h"
#include "protocol/rules_fields.h"
#include "protocol/token.h"

#include <string.h>

#define OUR_FIELDS 16                    /* room for what is added */

/* The fields going out. The first fault stays, so that it is asked for once, at the end. */
struct outgoing {
    struct arena *arena;
    struct headers *fields;
    enum fault fault;
};

static struct outgoing outgoing(struct arena *a, struct headers *out, const struct headers *in)
{
    headers_init(out, a, 0);
    return (struct outgoing){ .arena = a, .fields = out, .fault = headers_reserve(out, in->n + OUR_FIELDS) };
}

static void add(struct outgoing *o, struct span name, struct span value)
{
    if (o->fault == FAULT_NONE)
        o->fault = headers_add(o->fields, name, value);
}

/* A value made of pieces, in the arena. */
struct text {
    struct outgoing *o;
    uint8_t *p;
    size_t n, capacity;
};

static void append(struct text *t, struct span s)
{
    if (s.n > t->capacity - t->n) {
        size_t wanted = 2 * t->capacity + s.n + 64;
        uint8_t *p = t->o->fault == FAULT_NONE ? arena_extend(t->o->arena, t->p, t->capacity, wanted) : NULL;

        if (p == NULL) {
            t->o->fault = FAULT_NO_MEMORY;
            return;
        }
        t->p = p;
        t->capacity = wanted;
    }
    if (s.n > 0)
        memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
}

static void append_member(struct text *t, struct span member)
{
    if (t->n > 0)
        append(t, SPAN_LITERAL(", "));
    append(t, member);
}

static void add_text(struct outgoing *o, struct span name, const struct text *t)
{
    if (t->n > 0)
        add(o, name, span_of(t->p, t->n));
}

/* Of two pieces. */
static void add_pair(struct outgoing *o, struct span name, struct span first, struct span second)
{
    uint8_t *p = arena_alloc(o->arena, first.n + second.n);

    if (p == NULL) {
        o->fault = FAULT_NO_MEMORY;
        return;
    }
    span_put(span_put(p, first), second);
    add(o, name, span_of(p, first.n + second.n));
}

static void add_number(struct outgoing *o, struct span name, uint64_t value)
{
    uint8_t digits[SPAN_U64_BYTES];

    add_pair(o, name, span_of_u64(value, digits), SPAN_EMPTY);
}

/* RFC 9110 section 7.6.3: received-protocol and our name, in both directions. test_rules.c: via_* */
static void add_via(struct outgoing *o, const struct http1_head *in, struct span pseudonym)
{
    add_pair(o, SPAN_LITERAL("Via"), in->version_minor == 0 ? SPAN_LITERAL("1.0 ") : SPAN_LITERAL("1.1 "), pseudonym);
}

/* RFC 9112 section 6: framing is written anew, never copied. */
static void add_framing(struct outgoing *o, const struct http1_head *in, enum http1_body body)
{
    if (body == HTTP1_BODY_CHUNKED)
        add(o, SPAN_LITERAL("Transfer-Encoding"), SPAN_LITERAL("chunked"));
    else if (body == HTTP1_BODY_LENGTH)
        add_number(o, SPAN_LITERAL("Content-Length"), in->content_length);
}

#define IS(name, lower_case) span_equal_nocase(name, SPAN_LITERAL(lower_case))

/* What neither direction passes on, or writes anew. RFC 9110 section 6.6.2: Trailer announces what follows a chunked body. */
static bool ends_here(struct span name, enum http1_body body)
{
    if (IS(name, "content-length") || rules_is_hop_by_hop(name))
        return true;
    return IS(name, "trailer") && body != HTTP1_BODY_CHUNKED;
}

static void add_all(struct outgoing *o, const struct field *fields, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add(o, fields[i].name, fields[i].value);
}

/* In whichever spelling. */
static void drop(struct headers *fields, struct span name)
{
    size_t kept = 0;

    for (size_t i = 0; i < fields->n; i++) {
        if (rules_is_same_name(fields->fields[i].name, name))
            continue;
        if (kept < i)
            fields->fields[kept] = fields->fields[i];
        kept++;
    }
    fields->n = kept;
}

/* The last step of a head: what is written by now under a changed name goes, whoever wrote it. test_rules.c: changes_* */
static void apply_changes(struct outgoing *o, const struct rules_changes *changes)
{
    for (const struct rules_changes *c = changes; c != NULL; c = c->next) {
        for (size_t i = 0; i < c->set_n; i++)
            drop(o->fields, c->set[i].name);
        for (size_t i = 0; i < c->remove_n; i++)
            drop(o->fields, span_of_text(c->remove[i]));
    }
    for (; changes != NULL; changes = changes->next) {
        add_all(o, changes->set, changes->set_n);
        add_all(o, changes->add, changes->add_n);
    }
}

/* To the upstream. */

struct to_upstream {
    struct outgoing o;
    const struct http1_head *in;
    const struct rules_request *request;
    const struct rules_facts *facts;
    bool nominates;                      /* Connection lists further fields */
};

static bool writes(const struct to_upstream *u, enum rules_forwarded which)
{
    return (u->facts->forwarded & (unsigned)which) != 0;
}

/* Fields whose lines are gathered and written anew at the end. */
static bool is_rebuilt(const struct to_upstream *u, struct span name)
{
    if (IS(name, "host") || IS(name, "expect"))
        return true;
    if (IS(name, "max-forwards"))
        return u->request->has_max_forwards;
    if (IS(name, "x-forwarded-for"))
        return writes(u, RULES_FORWARDED_X);
    return IS(name, "forwarded") && writes(u, RULES_FORWARDED_RFC7239);
}

/* test_rules.c: hop_*, nominated_*, facts_*, disguised_* */
static bool passes(const struct to_upstream *u, struct span name)
{
    const struct rules_facts *f = u->facts;

    if (is_rebuilt(u, name) || ends_here(name, u->in->body))
        return false;
    if (u->nominates && rules_is_nominated(&u->in->fields, name, f->strip_also, f->strip_also_n))
        return false;
    if (f->websocket && f->websocket_strip_extensions && IS(name, "sec-websocket-extensions"))
        return false;
    if (!f->client_trusted && rules_is_trusted_fact(name, f->strip_also, f->strip_also_n))
        return false;
    return !rules_is_disguised(name, f->strip_also, f->strip_also_n);
}

/* RFC 9110 section 7.6.1: what Connection says is for the next hop alone. RFC 6455 section 4.1 for the upgrade; RFC 9110 section
 * 10.1.4: TE goes with a connection option. test_rules.c: connection_*, te_* */
static void add_connection(struct to_upstream *u)
{
    bool te = u->request->accepts_trailers && !u->facts->websocket;
    struct text t = { .o = &u->o };

    if (u->facts->websocket)
        append_member(&t, SPAN_LITERAL("upgrade"));
    else if (!u->facts->upstream_keep_alive)
        append_member(&t, SPAN_LITERAL("close"));
    if (te)
        append_member(&t, SPAN_LITERAL("TE"));
    add_text(&u->o, SPAN_LITERAL("Connection"), &t);
    if (u->facts->websocket)
        add(&u->o, SPAN_LITERAL("Upgrade"), SPAN_LITERAL("websocket"));
    if (te)
        add(&u->o, SPAN_LITERAL("TE"), SPAN_LITERAL("trailers"));
}

/* What a trusted peer said under that name, as one list. */
static struct text gathered(struct to_upstream *u, struct span name)
{
    struct text t = { .o = &u->o };

    for (size_t i = 0; u->facts->client_trusted && i < u->in->fields.n; i++)
        if (span_equal_nocase(u->in->fields.fields[i].name, name) && u->in->fields.fields[i].value.n > 0)
            append_member(&t, u->in->fields.fields[i].value);
    return t;
}

/* A single fact: the trusted peer's stands, otherwise ours is written. */
static bool is_told(const struct to_upstream *u, struct span name)
{
    return u->facts->client_trusted && headers_find(&u->in->fields, name) != NULL;
}

static void add_x_forwarded(struct to_upstream *u)
{
    const struct span proto = SPAN_LITERAL("X-Forwarded-Proto"), host = SPAN_LITERAL("X-Forwarded-Host"),
                      port = SPAN_LITERAL("X-Forwarded-Port");
    struct text chain = gathered(u, SPAN_LITERAL("x-forwarded-for"));
    bool https = u->facts->client_https;

    if (chain.n == 0 && u->facts->client_address.n > 0)          /* nearly always: it stands as it is */
        add(&u->o, SPAN_LITERAL("X-Forwarded-For"), u->facts->client_address);
    else
        append_member(&chain, u->facts->client_address);
    add_text(&u->o, SPAN_LITERAL("X-Forwarded-For"), &chain);
    if (!is_told(u, proto))
        add(&u->o, proto, https ? SPAN_LITERAL("https") : SPAN_LITERAL("http"));
    if (!is_told(u, host) && u->request->authority.n > 0)
        add(&u->o, host, u->request->authority);
    if (!is_told(u, port) && u->request->authority.n > 0)
        add_number(&u->o, port, u->request->host.has_port ? u->request->host.port : https ? 443 : 80);
}

/* RFC 7239 section 6: an IPv6 address in brackets and quotes; what has no address is "unknown". */
static void append_node(struct text *t, struct span address)
{
    bool v6 = span_find(address, ':') < address.n;

    append(t, SPAN_LITERAL("for="));
    if (address.n == 0 || IS(address, "unix")) {
        append(t, SPAN_LITERAL("unknown"));
        return;
    }
    append(t, v6 ? SPAN_LITERAL("\"[") : SPAN_EMPTY);
    append(t, address);
    append(t, v6 ? SPAN_LITERAL("]\"") : SPAN_EMPTY);
}

/* RFC 7239 section 4: values that are no tokens (an authority with a port, brackets) are quoted. */
static void append_host(struct text *t, struct span authority)
{
    bool token = token_is_token(authority);

    if (authority.n == 0)
        return;
    append(t, SPAN_LITERAL(";host="));
    append(t, token ? SPAN_EMPTY : SPAN_LITERAL("\""));
    append(t, authority);
    append(t, token ? SPAN_EMPTY : SPAN_LITERAL("\""));
}

static void add_rfc7239(struct to_upstream *u)
{
    struct text chain = gathered(u, SPAN_LITERAL("forwarded"));

    append_member(&chain, SPAN_EMPTY);
    append_node(&chain, u->facts->client_address);
    append_host(&chain, u->request->authority);
    append(&chain, u->facts->client_https ? SPAN_LITERAL(";proto=https") : SPAN_LITERAL(";proto=http"));
    add_text(&u->o, SPAN_LITERAL("Forwarded"), &chain);
}

static void add_ours(struct to_upstream *u)
{
    add_framing(&u->o, u->in, u->in->body);
    if (u->request->expect_continue)
        add(&u->o, SPAN_LITERAL("Expect"), SPAN_LITERAL("100-continue"));
    if (u->request->has_max_forwards)
        add_number(&u->o, SPAN_LITERAL("Max-Forwards"), u->request->max_forwards);
    add_connection(u);
    add_via(&u->o, u->in, u->facts->pseudonym);
    if (writes(u, RULES_FORWARDED_X))
        add_x_forwarded(u);
    if (writes(u, RULES_FORWARDED_RFC7239))
        add_rfc7239(u);
}

/* RFC 9112 section 3.2.2: Host is that of the target, whatever the client's field said; section 3.2: it ought to come first. */
enum fault rules_request_to_upstream(struct arena *a, const struct http1_head *in, const struct rules_request *request,
                                     const struct rules_facts *facts, struct headers *out)
{
    struct to_upstream u = {
        .o = outgoing(a, out, &in->fields),
        .in = in,
        .request = request,
        .facts = facts,
        .nominates = rules_nominates(&in->fields),
    };

    add(&u.o, SPAN_LITERAL("Host"), request->authority);
    for (size_t i = 0; i < in->fields.n; i++)
        if (passes(&u, in->fields.fields[i].name))
            add(&u.o, in->fields.fields[i].name, in->fields.fields[i].value);
    add_ours(&u);
    apply_changes(&u.o, facts->changes);
    return u.o.fault;
}

/* To the client. */

/* RFC 9112 section 6.1: no Transfer-Encoding to an HTTP/1.0 client; the end of the connection ends its body (section 6.3).
 * test_rules.c: reply_body_* */
enum http1_body rules_reply_body(const struct http1_head *in, const struct rules_reply_facts *facts)
{
    if (in->body == HTTP1_BODY_NONE || in->body == HTTP1_BODY_LENGTH)
        return in->body;
    return facts->client_version_minor == 0 ? HTTP1_BODY_CLOSE : HTTP1_BODY_CHUNKED;
}

/* RFC 9110 section 15.5.22: a 426 MUST say in Upgrade what is spoken; of what the origin speaks only this can pass through
 * here. */
static bool offers_websocket(const struct http1_head *in)
{
    return in->status == 426 && headers_list_has(&in->fields, SPAN_LITERAL("upgrade"), SPAN_LITERAL("websocket"));
}

/* test_rules.c: reply_connection_* */
static void add_reply_connection(struct outgoing *o, const struct http1_head *in, const struct rules_reply_facts *facts,
                                 enum http1_body body)
{
    bool switches = facts->websocket || offers_websocket(in);
    struct text t = { .o = o };

    if (in->status < 200 && !facts->websocket)
        return;
    if (switches)
        append_member(&t, SPAN_LITERAL("upgrade"));
    if (!facts->websocket && (!facts->client_keep_alive || body == HTTP1_BODY_CLOSE))
        append_member(&t, SPAN_LITERAL("close"));
    else if (!facts->websocket && facts->client_version_minor == 0)
        append_member(&t, SPAN_LITERAL("keep-alive"));
    add_text(o, SPAN_LITERAL("Connection"), &t);
    if (switches)
        add(o, SPAN_LITERAL("Upgrade"), SPAN_LITERAL("websocket"));
}

/* RFC 9110 section 8.6: with HEAD and 304 it says what a GET would have got; 1xx and 204 MUST NOT have it. */
static void add_reply_framing(struct outgoing *o, const struct http1_head *in, enum http1_body body)
{
    bool tells = body == HTTP1_BODY_NONE && in->has_content_length && in->status >= 200 && in->status != 204;

    add_framing(o, in, tells ? HTTP1_BODY_LENGTH : body);
}

enum fault rules_response_to_client(struct arena *a, const struct http1_head *in, const struct rules_reply_facts *facts,
                                    struct headers *out)
{
    struct outgoing o = outgoing(a, out, &in->fields);
    enum http1_body body = rules_reply_body(in, facts);
    bool nominates = rules_nominates(&in->fields);

    for (size_t i = 0; i < in->fields.n; i++) {
        struct span name = in->fields.fields[i].name;
        if (!ends_here(name, body) && !(nominates && rules_is_nominated(&in->fields, name, NULL, 0)))
            add(&o, name, in->fields.fields[i].value);
    }
    /* RFC 9110 section 6.6.1: a recipient with a clock adds a Date where the origin had none. test_rules.c: date_* */
    if (in->status >= 200 && facts->date.n > 0 && headers_find(out, SPAN_LITERAL("date")) == NULL)
        add(&o, SPAN_LITERAL("Date"), facts->date);
    add_reply_framing(&o, in, body);
    add_reply_connection(&o, in, facts, body);
    add_via(&o, in, facts->pseudonym);
    if (in->status >= 200 || facts->websocket)
        apply_changes(&o, facts->changes);
    return o.fault;
}

enum fault rules_trailers(struct arena *a, const struct headers *in, const struct headers *head,
                          const struct rules_changes *changes, struct headers *out)
{
    struct outgoing o = outgoing(a, out, in);

    for (size_t i = 0; i < in->n; i++) {
        struct span name = in->fields[i].name;
        if (!rules_is_barred_from_trailers(name) && !rules_is_nominated(head, name, NULL, 0) && !rules_is_changed(changes, name))
            add(&o, name, in->fields[i].value);
    }
    return o.fault;
}
