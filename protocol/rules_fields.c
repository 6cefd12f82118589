#include "protocol/rules_fields.h"

#include <string.h>

/* A row that ends in "*" stands for every name that begins so. Rows are in lower case. */

/* RFC 9110 section 7.6.1 names most of them. Proxy-Authorization and the like are for the next proxy (sections 11.7.1 and
 * 11.7.2), which this gateway is, and it asks for none. HTTP2-Settings belongs to an upgrade that is not made (RFC 9113 section 3.1).
 * `Proxy` is nobody's field, but many programs take HTTP_PROXY for their configuration. */
static const char *const hop_by_hop[] = {
    "connection", "http2-settings", "keep-alive", "proxy", "proxy-authenticate", "proxy-authentication-info",
    "proxy-authorization", "proxy-connection", "te", "transfer-encoding", "upgrade",
};

/* Without which a message means something else, or which the gateway itself adds or rebuilds. */
static const char *const framing_and_routing[] = {
    "content-length", "expect", "host", "max-forwards", "via",
};

/* RFC 9110 section 7.6.1: fields for all recipients are never appropriate as connection options. */
static const char *const not_nominable[] = {
    "cache-control", "content-encoding", "content-range", "content-type", "date", "sec-websocket-*", "trailer",
};

static const char *const trusted_facts[] = {
    "cf-connecting-*", "cf-ipcountry", "cf-pseudo-*", "cf-visitor", "client-ip", "fastly-client-*", "fastly-ssl", "forwarded",
    "forwarded-*", "front-end-https", "http-client-ip", "http-x-*", "https", "original-url", "proxy-client-*", "real-ip",
    "remote-addr", "remote-host", "remote-user", "rewrite-url", "ssl-*", "true-client-*", "wl-proxy-*", "x-appengine-user-ip",
    "x-arr-*", "x-azure-*", "x-client-*", "x-cluster-client-*", "x-envoy-external-address", "x-envoy-internal",
    "x-forward-*", "x-forwarded", "x-forwarded-*", "x-host", "x-http-destinationurl", "x-http-host-override", "x-https",
    "x-original-*", "x-originating-*", "x-proto", "x-proxyuser-*", "x-real-*", "x-remote-*", "x-rewrite-*", "x-scheme",
    "x-source-ip", "x-ssl", "x-ssl-*", "x-true-client-*", "x-url-scheme",
};

/* RFC 9110 section 6.5.1: framing, routing, request modifiers, authentication, how to read the content, response control. */
static const char *const barred_from_trailers[] = {
    "accept*", "age", "authentication-info", "authorization", "cache-control", "content-*", "cookie", "date", "expires",
    "if-*", "location", "origin", "pragma", "range", "refresh", "retry-after", "sec-*", "set-cookie*", "status",
    "strict-transport-security", "trailer", "user-agent", "vary", "warning", "www-authenticate", "access-control-*",
};

#define ROWS(table) (table), sizeof(table) / sizeof((table)[0])

static uint8_t fold(uint8_t c)
{
    uint8_t lower = ascii_lower(c);
    bool plain = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');

    return plain ? lower : '-';
}

static bool matches(struct span name, struct span row)
{
    bool prefix = row.n > 0 && row.p[row.n - 1] == '*';
    size_t n = prefix ? row.n - 1 : row.n;

    if (prefix ? name.n < n : name.n != n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (fold(name.p[i]) != fold(row.p[i]))
            return false;
    return true;
}

static bool in_table(struct span name, const char *const *rows, size_t n)
{
    uint8_t first = name.n > 0 ? fold(name.p[0]) : 0;

    for (size_t i = 0; i < n; i++)
        if ((uint8_t)rows[i][0] == first && matches(name, span_of_text(rows[i])))
            return true;
    return false;
}

bool rules_is_hop_by_hop(struct span name)
{
    return in_table(name, ROWS(hop_by_hop));
}

bool rules_is_trusted_fact(struct span name, const struct span *more, size_t more_n)
{
    if (in_table(name, ROWS(trusted_facts)))
        return true;
    for (size_t i = 0; i < more_n; i++)
        if (matches(name, more[i]))
            return true;
    return false;
}

static bool is_plain(struct span name)
{
    for (size_t i = 0; i < name.n; i++)
        if (fold(name.p[i]) == '-' && name.p[i] != '-')
            return false;
    return true;
}

bool rules_is_disguised(struct span name, const struct span *more, size_t more_n)
{
    if (is_plain(name))
        return false;
    return in_table(name, ROWS(framing_and_routing)) || rules_is_hop_by_hop(name) || rules_is_trusted_fact(name, more, more_n);
}

static bool may_be_nominated(struct span name)
{
    return !in_table(name, ROWS(framing_and_routing)) && !in_table(name, ROWS(not_nominable)) &&
           !rules_is_trusted_fact(name, NULL, 0);
}

bool rules_is_nominated(const struct headers *head, struct span name)
{
    return headers_list_has(head, SPAN_LITERAL("connection"), name) && may_be_nominated(name);
}

bool rules_is_barred_from_trailers(struct span name)
{
    return in_table(name, ROWS(barred_from_trailers)) || in_table(name, ROWS(framing_and_routing)) ||
           rules_is_hop_by_hop(name) || rules_is_trusted_fact(name, NULL, 0);
}
