#include "gateway/route.h"

#include <string.h>

static bool host_matches(const char *pattern, struct span host)
{
    struct span p = span_of_text(pattern);

    if (pattern == NULL)
        return true;
    if (p.n > 2 && p.p[0] == '*' && p.p[1] == '.')       /* any name below, not the name itself */
        return host.n > p.n - 1 && span_ends_with(host, span_from(p, 1));
    return span_equal(p, host);
}

/* A prefix on segment borders: /a matches /a and /a/b, not /ab. */
static bool path_matches(const struct conf_match *m, struct span path)
{
    struct span p = span_of_text(m->path);

    if (m->path == NULL)
        return true;
    if (span_equal(path, SPAN_LITERAL("*")))             /* OPTIONS *: the server as a whole */
        return span_equal(p, SPAN_LITERAL("/")) && !m->path_exact;
    if (m->path_exact)
        return span_equal(p, path);
    if (!span_starts_with(path, p))
        return false;
    return path.n == p.n || p.p[p.n - 1] == '/' || path.p[p.n] == '/';
}

static bool method_matches(const struct conf_match *m, struct span method)
{
    for (size_t i = 0; i < m->methods_n; i++)
        if (span_equal(span_of_text(m->methods[i]), method))
            return true;
    return m->methods_n == 0;
}

static bool listener_matches(const struct conf_match *m, const struct conf_listener *listener)
{
    return m->listener == NULL || strcmp(m->listener, listener->name) == 0;
}

static const struct conf_route *find(const struct conf *conf, const struct conf_listener *listener, struct span method,
                                     struct span host, struct span path)
{
    for (size_t i = 0; i < conf->routes_n; i++) {
        const struct conf_route *r = &conf->routes[i];
        if (listener_matches(&r->match, listener) && host_matches(r->match.host, host) && path_matches(&r->match, path) &&
            method_matches(&r->match, method))
            return r;
    }
    return NULL;
}

const struct conf_route *route_find(const struct conf *conf, const struct conf_listener *listener, struct span method,
                                    const struct rules_request *request)
{
    return find(conf, listener, method, request->host.host, request->target.route_path);
}

bool route_is_ambiguous(const struct conf *conf, const struct conf_listener *listener, struct span method,
                        const struct rules_request *request)
{
    return request->target.route_path_kept.n > 0 &&
           find(conf, listener, method, request->host.host, request->target.route_path_kept) != route_find(conf, listener, method, request);
}
