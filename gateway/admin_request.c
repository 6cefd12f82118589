#include "gateway/admin_request.h"
#include "protocol/target.h"
#include "protocol/token.h"

#include <string.h>

static struct admin_verdict good(void)
{
    return (struct admin_verdict){ 0 };
}

static struct admin_verdict bad(unsigned status, const char *sentence)
{
    return (struct admin_verdict){ .status = status, .sentence = sentence };
}

static enum admin_method method_of(struct span method)
{
    if (span_equal(method, SPAN_LITERAL("HEAD")) || span_equal(method, SPAN_LITERAL("GET")))
        return ADMIN_GET;
    if (span_equal(method, SPAN_LITERAL("POST")))
        return ADMIN_POST;
    return span_equal(method, SPAN_LITERAL("DELETE")) ? ADMIN_DELETE : ADMIN_OTHER;
}

static bool accepts_open_metrics(const struct headers *h)
{
    struct list_walk walk = list_walk_field(h, SPAN_LITERAL("accept"));
    struct span member;

    while (list_walk_next(&walk, &member))
        if (span_equal_nocase(token_trim(span_first(member, span_find(member, ';'))), SPAN_LITERAL("application/openmetrics-text")))
            return true;
    return false;
}

/* ---- who asks ---- */

/* RFC 9110 section 7.6.3: "1.1 upgate (comment)". */
static bool came_through_us(const struct headers *h, const char *via)
{
    struct list_walk walk = list_walk_field(h, SPAN_LITERAL("via"));
    struct span member;

    while (list_walk_next(&walk, &member)) {
        struct span name = token_trim(span_from(member, span_find(member, ' ')));
        size_t n = span_find(name, ' ');
        if (span_equal_nocase(span_first(name, n), span_of_text(via)))
            return true;
    }
    return false;
}

static bool is_address(struct span host)
{
    bool digits = host.n > 0;

    for (size_t i = 0; i < host.n; i++)
        digits = digits && ((host.p[i] >= '0' && host.p[i] <= '9') || host.p[i] == '.');
    return digits || (host.n > 0 && host.p[0] == '[');
}

static bool is_called(struct span host, const char *name)
{
    struct span wanted = span_of_text(name);

    if (wanted.n > 1 && wanted.p[0] == '*')
        return host.n > wanted.n - 1 && span_ends_with(host, span_from(wanted, 1));
    return span_equal(host, wanted);
}

static bool is_our_name(struct span host, const struct conf_admin *conf)
{
    if (is_address(host) || span_equal(host, SPAN_LITERAL("localhost")) || conf->address.kind == CONF_ADDRESS_UNIX)
        return true;
    for (size_t i = 0; i < conf->hosts_n; i++)
        if (is_called(host, conf->hosts[i]))
            return true;
    return false;
}

static bool is_for_monitoring(const struct admin_request *r)
{
    static const char *const paths[] = { "/metrics", "/healthz", "/readyz" };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (r->method == ADMIN_GET && span_equal(r->path, span_of_text(paths[i])))
            return true;
    return false;
}

static struct admin_verdict judge_host(struct arena *a, const struct http1_head *head, const struct conf_admin *conf, const struct admin_request *r)
{
    const struct field *host = headers_find(&head->fields, SPAN_LITERAL("host"));
    struct host_port parsed;

    if (headers_count(&head->fields, SPAN_LITERAL("host")) > 1 || (host == NULL && head->version_minor > 0))
        return bad(400, "one Host field is needed");
    if (host == NULL)
        return good();                   /* no browser speaks HTTP/1.0 */
    if (host->value.n > 0 && host_parse(a, host->value, &parsed) != FAULT_NONE)
        return bad(400, "the Host field is malformed");
    if (host->value.n > 0 && !is_for_monitoring(r) && !is_our_name(parsed.host, conf))
        return bad(403, "the Host is neither an address nor localhost nor one of `admin: { hosts: … }`");
    return good();
}

/* Fetch metadata where the browser knows it; else Origin, which all of them send with what is not a GET. */
static struct admin_verdict judge_page(const struct headers *h)
{
    struct span site = headers_value(h, SPAN_LITERAL("sec-fetch-site")), origin = headers_value(h, SPAN_LITERAL("origin"));
    struct span host = headers_value(h, SPAN_LITERAL("host"));

    if (site.p != NULL && !span_equal(site, SPAN_LITERAL("same-origin")) && !span_equal(site, SPAN_LITERAL("none")))
        return bad(403, "a page of another site sent this");
    if (origin.p != NULL && !(span_starts_with(origin, SPAN_LITERAL("http://")) && span_equal_nocase(span_from(origin, 7), host)))
        return bad(403, "a page of another site sent this");
    return good();
}

/* ---- the query ---- */

static int hex(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool decode(struct arena *a, struct span text, struct span *out)
{
    uint8_t *p = arena_alloc(a, text.n + 1);
    size_t n = 0;

    for (size_t i = 0; p != NULL && i < text.n; i++) {
        if (text.p[i] != '%') {
            p[n++] = text.p[i];
            continue;
        }
        if (i + 2 >= text.n || hex(text.p[i + 1]) < 0 || hex(text.p[i + 2]) < 0)
            return false;
        p[n++] = (uint8_t)(hex(text.p[i + 1]) << 4 | hex(text.p[i + 2]));
        i += 2;
    }
    *out = span_of(p, n);
    return p != NULL && (n == 0 || memchr(p, '\0', n) == NULL);
}

static bool read_parameter(struct arena *a, struct span text, struct admin_request *r)
{
    struct admin_parameter *p = &r->parameters[r->parameters_n];
    size_t at = span_find(text, '=');
    struct span name;

    if (r->parameters_n == ADMIN_PARAMETERS_MAX || at == text.n || !decode(a, span_first(text, at), &name) ||
        !decode(a, span_from(text, at + 1), &p->value))
        return false;
    for (size_t i = 0; i < r->parameters_n; i++)
        if (span_equal(r->parameters[i].name, name))
            return false;
    p->name = name;
    r->parameters_n++;
    return true;
}

static struct admin_verdict read_query(struct arena *a, struct span query, struct admin_request *r)
{
    while (query.n > 0) {
        size_t n = span_find(query, '&');
        if (!read_parameter(a, span_first(query, n), r))
            return bad(400, "the query is malformed: name=value, each once");
        query = span_from(query, n + 1);
    }
    return good();
}

struct admin_verdict admin_request_read(struct arena *a, const struct http1_head *head, const struct conf_admin *conf, const char *via,
                                        struct admin_request *out)
{
    struct admin_verdict verdict;
    struct target target;
    enum fault fault = target_parse(a, head->method, head->target, &target);

    *out = (struct admin_request){ .method = method_of(head->method), .head = span_equal(head->method, SPAN_LITERAL("HEAD")) };
    if (fault != FAULT_NONE || target.form != TARGET_ORIGIN)
        return bad(400, fault != FAULT_NONE ? fault_sentence(fault) : "the target has to be a path");
    out->path = target.route_path;
    out->open_metrics = accepts_open_metrics(&head->fields);
    if (came_through_us(&head->fields, via))
        return bad(403, "the admin endpoint is not served through the gateway");
    verdict = judge_host(a, head, conf, out);
    if (verdict.status == 0 && out->method != ADMIN_GET)
        verdict = judge_page(&head->fields);
    return verdict.status == 0 ? read_query(a, target.query, out) : verdict;
}

struct span admin_request_value(const struct admin_request *r, const char *name)
{
    for (size_t i = 0; i < r->parameters_n; i++)
        if (span_equal(r->parameters[i].name, span_of_text(name)))
            return r->parameters[i].value;
    return SPAN_EMPTY;
}
