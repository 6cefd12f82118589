#include "protocol/fcgi_params.h"

#include "protocol/fcgi_record.h"
#include "protocol/rules_fields.h"

#include <assert.h>
#include <string.h>

#define FIRST_BYTES 1000                 /* an ordinary request's */
#define HTTP_PREFIX SPAN_LITERAL("HTTP_")
#define HTTP_COOKIE SPAN_LITERAL("HTTP_COOKIE")
#define CONTENT_TYPE SPAN_LITERAL("CONTENT_TYPE")

/* A field of the client as it becomes a variable. */
struct variable {
    struct span name, value;
    bool told;                           /* with an earlier field of the same name */
};

/* The pairs being written. The first fault stays, so that it is asked for once, at the end. */
struct pairs {
    const struct fcgi_request *request;
    struct arena *arena;
    uint8_t *p;                          /* FCGI_BEFORE_BYTES into a piece of FCGI_AROUND_BYTES and the capacity */
    size_t n, capacity, limit;
    size_t room;                         /* the smaller of both; with a fault, 0 */
    struct variable *variables;
    size_t variables_n;
    uint8_t *names;                      /* where the next variable's is to stand */
    unsigned dropped;
    bool nominates;                      /* Connection lists some field */
    enum fault fault;
};

/* ---- pairs ---- */

static void fail(struct pairs *w, enum fault fault)
{
    if (w->fault == FAULT_NONE)
        w->fault = fault;
    w->room = 0;
}

/* Room for n more bytes, and around all of them for the records that they will be in. */
static bool grow(struct pairs *w, size_t n)
{
    size_t wanted = w->n + n > 2 * w->capacity ? w->n + n : 2 * w->capacity;
    size_t had = w->p != NULL ? FCGI_AROUND_BYTES + w->capacity : 0;
    uint8_t *p;

    if (wanted < FIRST_BYTES)
        wanted = FIRST_BYTES;
    p = arena_extend(w->arena, w->p != NULL ? w->p - FCGI_BEFORE_BYTES : NULL, had, FCGI_AROUND_BYTES + wanted);
    if (p == NULL) {
        fail(w, FAULT_NO_MEMORY);
        return false;
    }
    w->p = p + FCGI_BEFORE_BYTES;
    w->capacity = wanted;
    w->room = wanted < w->limit ? wanted : w->limit;
    return true;
}

static void append(struct pairs *w, struct span s)
{
    span_put(w->p + w->n, s);
    w->n += s.n;
}

/* Long ones, or there may be no room: the lengths have to be small enough to be added and encoded. */
static bool begin_any_pair(struct pairs *w, size_t name_n, size_t value_n)
{
    size_t n = fcgi_pair_head_bytes(name_n, value_n);

    if (w->fault != FAULT_NONE)
        return false;
    if (name_n > w->limit || value_n > w->limit || n + name_n + value_n > w->limit - w->n) {
        fail(w, FAULT_FCGI_PARAMS);
        return false;
    }
    if (n + name_n + value_n > w->capacity - w->n && !grow(w, n + name_n + value_n))
        return false;
    w->n += fcgi_write_pair_head(w->p + w->n, name_n, value_n);
    return true;
}

/* Short ones: a byte for each. */
static inline void put_lengths(uint8_t *to, size_t name_n, size_t value_n)
{
    to[0] = (uint8_t)name_n;
    to[1] = (uint8_t)value_n;
}

/* Room for a pair, and its lengths: name and value have to be appended. False: a fault. */
static bool begin_pair(struct pairs *w, size_t name_n, size_t value_n)
{
    if (name_n >= 128 || value_n >= 128 || w->n + 2 + name_n + value_n > w->room)
        return begin_any_pair(w, name_n, value_n);
    put_lengths(w->p + w->n, name_n, value_n);
    w->n += 2;
    return true;
}

static void put(struct pairs *w, struct span name, struct span value)
{
    uint8_t *to;

    if (!begin_pair(w, name.n, value.n))
        return;
    to = w->p + w->n;
    to = span_put(span_put(to, name), value);
    w->n = (size_t)(to - w->p);
}

/* FastCGI section 6.1: a value does not include a null byte. test_fcgi_params.c: nul_* */
static void check_value(struct pairs *w, struct span value)
{
    if (span_find(value, 0) < value.n)
        fail(w, FAULT_FIELD);
}

static bool is_own(const struct pairs *w, size_t n, struct span name)
{
    for (size_t i = 0; i < n; i++)
        if (span_equal(w->request->own[i].name, name))
            return true;
    return false;
}

/* A variable of ours, unless it was set otherwise: words of this file, numbers, numeric addresses. */
static void add_known(struct pairs *w, struct span name, struct span value)
{
    if (!is_own(w, w->request->own_n, name))
        put(w, name, value);
}

/* … with a value that somebody else wrote. */
static void add(struct pairs *w, struct span name, struct span value)
{
    check_value(w, value);
    add_known(w, name, value);
}

static void add_some(struct pairs *w, struct span name, struct span value)
{
    if (value.n > 0)
        add(w, name, value);
}

static void add_number(struct pairs *w, struct span name, uint64_t value)
{
    uint8_t digits[SPAN_U64_BYTES];

    add_known(w, name, span_of_u64(value, digits));
}

/* ---- the facts ---- */

/* RFC 3875 sections 4.1.14 to 4.1.17. */
static void add_server(struct pairs *w)
{
    const struct fcgi_request *r = w->request;
    bool https = r->facts->client_https;

    add_known(w, SPAN_LITERAL("GATEWAY_INTERFACE"), SPAN_LITERAL("CGI/1.1"));
    add_known(w, SPAN_LITERAL("SERVER_SOFTWARE"), r->server_software);
    add_known(w, SPAN_LITERAL("SERVER_PROTOCOL"), r->head->version_minor == 0 ? SPAN_LITERAL("HTTP/1.0") : SPAN_LITERAL("HTTP/1.1"));
    add(w, SPAN_LITERAL("SERVER_NAME"), r->rules->host.host.n > 0 ? r->rules->host.host : r->server_address);
    add_number(w, SPAN_LITERAL("SERVER_PORT"), r->server_port > 0 ? r->server_port : https ? 443 : 80);
    add_some(w, SPAN_LITERAL("SERVER_ADDR"), r->server_address);
    add_known(w, SPAN_LITERAL("REQUEST_SCHEME"), https ? SPAN_LITERAL("https") : SPAN_LITERAL("http"));
    if (https)
        add_known(w, SPAN_LITERAL("HTTPS"), SPAN_LITERAL("on"));
    /* PHP built to be started by a web server's redirect looks for it */
    add_known(w, SPAN_LITERAL("REDIRECT_STATUS"), SPAN_LITERAL("200"));
}

/* RFC 3875 section 4.1.8; without an address there is no port. */
static void add_client(struct pairs *w)
{
    const struct rules_facts *f = w->request->facts;

    bool behind = f->real_address.n > 0;
    unsigned port = behind ? f->real_port : f->client_port;

    add_known(w, SPAN_LITERAL("REMOTE_ADDR"), behind ? f->real_address : f->client_address);
    if (port > 0)
        add_number(w, SPAN_LITERAL("REMOTE_PORT"), port);
    if (f->user.n > 0) {                 /* RFC 3875 sections 4.1.1, 4.1.11 */
        add_known(w, SPAN_LITERAL("AUTH_TYPE"), SPAN_LITERAL("Basic"));
        add(w, SPAN_LITERAL("REMOTE_USER"), f->user);
    }
}

/* What a path looks like to the application: the two variables that make it up, side by side. */
static void add_document_uri(struct pairs *w, const struct fcgi_script *s)
{
    const struct span name = SPAN_LITERAL("DOCUMENT_URI");

    if (is_own(w, w->request->own_n, name) || !begin_pair(w, name.n, s->name.n + s->path_info.n))
        return;
    append(w, name);
    append(w, s->name);
    append(w, s->path_info);
}

static void add_script(struct pairs *w)
{
    const struct fcgi_script *s = w->request->script;

    add(w, SPAN_LITERAL("SCRIPT_NAME"), s->name);
    add_some(w, SPAN_LITERAL("SCRIPT_FILENAME"), s->filename);
    add_some(w, SPAN_LITERAL("PATH_INFO"), s->path_info);
    add_some(w, SPAN_LITERAL("PATH_TRANSLATED"), s->path_translated);
    add_some(w, SPAN_LITERAL("DOCUMENT_ROOT"), w->request->document_root);
    add_document_uri(w, s);
}

/* RFC 3875 section 4.1.7: QUERY_STRING is there in any case, as the client encoded it; section 4.1.2: CONTENT_LENGTH is only
 * there with a body. */
static void add_request(struct pairs *w)
{
    const struct fcgi_request *r = w->request;

    add(w, SPAN_LITERAL("REQUEST_METHOD"), r->head->method);
    add(w, SPAN_LITERAL("REQUEST_URI"), r->rules->target.path_and_query);
    add(w, SPAN_LITERAL("QUERY_STRING"), r->rules->target.query);
    if (r->has_content_length)
        add_number(w, SPAN_LITERAL("CONTENT_LENGTH"), r->content_length);
}

static void put_own(struct pairs *w)
{
    const struct field *own = w->request->own;

    for (size_t i = 0; i < w->request->own_n; i++) {
        if (is_own(w, i, own[i].name))
            continue;
        check_value(w, own[i].value);
        put(w, own[i].name, own[i].value);
    }
}

/* ---- the client's fields ---- */

/* The byte in a variable's name (RFC 3875 section 4.1.18), or 0 for one that would be taken for another. */
static uint8_t variable_byte(uint8_t c)
{
    if (c >= 'a' && c <= 'z')
        return (uint8_t)(c - 'a' + 'A');
    if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return c;
    return c == '-' ? '_' : 0;
}

/* The name behind HTTP_; false: some byte of it would be taken for another. */
static bool fold(struct span field, uint8_t *to)
{
    bool plain = true;

    for (size_t i = 0; i < field.n; i++) {
        uint8_t c = variable_byte(field.p[i]);
        plain &= c != 0;
        to[i] = c != 0 ? c : '_';
    }
    return plain;
}

static bool is(struct span name, const char *lower_case)
{
    return name.n == strlen(lower_case) && span_equal_nocase(name, span_of(lower_case, name.n));
}

/* test_fcgi_params.c: hop_*, facts_* */
static bool passes(const struct pairs *w, struct span name)
{
    const struct rules_facts *f = w->request->facts;

    if (is(name, "host") || is(name, "content-length") || is(name, "expect") || is(name, "trailer"))
        return false;
    if (!f->client_trusted && rules_is_trusted_fact(name, f->strip_also, f->strip_also_n))
        return false;
    if (w->nominates && rules_is_nominated(&w->request->head->fields, name, f->strip_also, f->strip_also_n))
        return false;
    return !rules_is_hop_by_hop(name) && !rules_is_changed(f->changes, name);
}

/* The one place where a name comes from a field, in whose place it stands at p: but for Content-Type's (RFC 3875 section 4.1.3) it begins
 * with HTTP_. Names of the client's that fold do not pass (test_fcgi_params.c: fold_*); the operator's may. */
static void gather(struct pairs *w, const struct field *f, bool said_by_client)
{
    struct variable *v = &w->variables[w->variables_n];
    uint8_t *p = w->names;

    if (!fold(f->name, p + HTTP_PREFIX.n) && said_by_client) {
        w->dropped++;
        return;
    }
    if (said_by_client && !passes(w, f->name))
        return;
    memcpy(p, HTTP_PREFIX.p, HTTP_PREFIX.n);
    check_value(w, f->value);
    *v = (struct variable){ is(f->name, "content-type") ? CONTENT_TYPE : span_of(p, HTTP_PREFIX.n + f->name.n), f->value, false };
    w->names += HTTP_PREFIX.n + f->name.n;
    w->variables_n++;
}

static void gather_all(struct pairs *w, const struct field *fields, size_t n, bool said_by_client)
{
    for (size_t i = 0; i < n; i++)
        gather(w, &fields[i], said_by_client);
}

static size_t name_bytes(const struct field *fields, size_t n)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += HTTP_PREFIX.n + fields[i].name.n;
    return bytes;
}

/* Room for a number of variables, whose names have so many bytes in all. */
static bool reserve_variables(struct pairs *w, size_t n, size_t bytes)
{
    w->variables = arena_alloc(w->arena, n * sizeof(*w->variables) + bytes);
    w->names = (uint8_t *)(w->variables + n);
    if (w->variables == NULL)
        fail(w, FAULT_NO_MEMORY);
    return w->variables != NULL;
}

/* Names are folded once, so that each can be compared with each in little time, however many and long they are. The client's come
 * first, then what the operator sets and adds. */
static void gather_variables(struct pairs *w)
{
    const struct headers *fields = &w->request->head->fields;
    const struct rules_changes *changes = w->request->facts->changes;
    size_t n = fields->n, bytes = name_bytes(fields->fields, fields->n);

    for (const struct rules_changes *c = changes; c != NULL; c = c->next) {
        n += c->set_n + c->add_n;
        bytes += name_bytes(c->set, c->set_n) + name_bytes(c->add, c->add_n);
    }
    if (!reserve_variables(w, n, bytes))
        return;
    gather_all(w, fields->fields, fields->n, true);
    for (const struct rules_changes *c = changes; c != NULL; c = c->next) {
        gather_all(w, c->set, c->set_n, false);
        gather_all(w, c->add, c->add_n, false);
    }
}

/* RFC 9110 section 5.3: lines of one name are joined in order, by commas; cookies by what stands between cookies. */
static void put_joined(struct pairs *w, size_t first)
{
    const struct variable *v = &w->variables[first];
    struct span comma = span_equal(v->name, HTTP_COOKIE) ? SPAN_LITERAL("; ") : SPAN_LITERAL(", ");
    size_t n = v->value.n;
    bool more = false;

    for (size_t i = first + 1; i < w->variables_n; i++) {
        if (!span_equal(w->variables[i].name, v->name))
            continue;
        n += comma.n + w->variables[i].value.n;
        more = true;
    }
    if (!begin_pair(w, v->name.n, n))
        return;
    append(w, v->name);
    append(w, v->value);
    for (size_t i = first + 1; more && i < w->variables_n; i++) {
        if (!span_equal(w->variables[i].name, v->name))
            continue;
        append(w, comma);
        append(w, w->variables[i].value);
        w->variables[i].told = true;
    }
}

static void add_variables(struct pairs *w)
{
    if (w->request->rules->authority.n > 0)
        add(w, SPAN_LITERAL("HTTP_HOST"), w->request->rules->authority);
    for (size_t i = 0; i < w->variables_n && w->fault == FAULT_NONE; i++)
        if (!w->variables[i].told && !is_own(w, w->request->own_n, w->variables[i].name))
            put_joined(w, i);
}

enum fault fcgi_params_write(struct arena *a, const struct fcgi_request *request, size_t limit_bytes, struct fcgi_params *out)
{
    struct pairs w = { .request = request, .arena = a, .limit = limit_bytes };

    assert(limit_bytes <= INT32_MAX);
    w.nominates = rules_nominates(&request->head->fields);
    gather_variables(&w);
    put_own(&w);
    add_server(&w);
    add_client(&w);
    add_script(&w);
    add_request(&w);
    add_variables(&w);
    *out = (struct fcgi_params){ .pairs = span_of(w.p, w.n), .at = w.p, .dropped = w.dropped };
    return w.fault;
}
