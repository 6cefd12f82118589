#include "protocol/rules_fields.h"
#include "protocol/rules.h"
#include "protocol/token.h"

/* A row that ends in "*" stands for every name that begins so. Rows are in lower case, and in the order of their first letters. */
#define R(text) { (const uint8_t *)(text), sizeof(text) - 1 }

/* RFC 9110 section 7.6.1 names most of them. Proxy-Authorization and the like are for the next proxy (sections 11.7.1 and
 * 11.7.2), which this gateway is, and it asks for none. HTTP2-Settings belongs to an upgrade that is not made (RFC 9113 section
 * 3.1). `Proxy` is nobody's field, but many programs take HTTP_PROXY for their configuration. */
static const struct span hop_by_hop[] = {
    R("connection"), R("http2-settings"), R("keep-alive"), R("proxy"), R("proxy-authenticate"), R("proxy-authentication-info"),
    R("proxy-authorization"), R("proxy-connection"), R("te"), R("transfer-encoding"), R("upgrade"),
};

/* Without which a message means something else, or which the gateway itself adds or rebuilds. */
static const struct span framing_and_routing[] = {
    R("content-length"), R("expect"), R("host"), R("max-forwards"), R("via"),
};

/* What an upgrade is judged by, and what announces trailers. */
static const struct span handshake[] = { R("sec-websocket-*"), R("trailer") };

/* RFC 9110 section 7.6.1: fields for all recipients are never appropriate as connection options. */
static const struct span not_nominable[] = {
    R("cache-control"), R("content-encoding"), R("content-range"), R("content-type"), R("date"), R("sec-websocket-*"),
    R("trailer"),
};

static const struct span trusted_facts[] = {
    R("cf-connecting-*"), R("cf-ipcountry"), R("cf-pseudo-*"), R("cf-visitor"), R("client-ip"), R("fastly-client-*"),
    R("fastly-ssl"), R("forwarded"), R("forwarded-*"), R("front-end-https"), R("http-client-ip"), R("http-x-*"), R("https"),
    R("original-url"), R("proxy-client-*"), R("real-ip"), R("remote-addr"), R("remote-host"), R("remote-user"),
    R("rewrite-url"), R("ssl-*"), R("true-client-*"), R("wl-proxy-*"), R("x-appengine-user-ip"), R("x-arr-*"), R("x-azure-*"),
    R("x-client-addr*"), R("x-client-cert*"), R("x-client-dn"), R("x-client-host"), R("x-client-ip*"), R("x-client-issuer*"),
    R("x-client-port"), R("x-client-ssl*"), R("x-client-subject*"), R("x-client-verif*"), R("x-cluster-client-*"),
    R("x-envoy-external-address"), R("x-envoy-internal"), R("x-forward-*"),
    R("x-forwarded"), R("x-forwarded-*"), R("x-host"), R("x-http-destinationurl"), R("x-http-host-override"), R("x-https"),
    R("x-original-*"), R("x-originating-*"), R("x-proto"), R("x-proxyuser-*"), R("x-real-*"), R("x-remote-*"), R("x-rewrite-*"),
    R("x-scheme"), R("x-source-ip"), R("x-ssl"), R("x-ssl-*"), R("x-true-client-*"), R("x-url-scheme"),
};

/* RFC 9110 section 6.5.1: framing, routing, request modifiers, authentication, how to read the content, response control. */
static const struct span barred_from_trailers[] = {
    R("accept*"), R("access-control-*"), R("age"), R("authentication-info"), R("authorization"), R("cache-control"), R("content-*"), R("cookie"),
    R("date"), R("expires"), R("if-*"), R("location"), R("origin"), R("pragma"), R("range"), R("refresh"), R("retry-after"),
    R("sec-*"), R("set-cookie*"), R("status"), R("strict-transport-security"), R("trailer"), R("user-agent"), R("vary"),
    R("warning"), R("www-authenticate"),
};

#undef R

enum table { HOP_BY_HOP, FRAMING_AND_ROUTING, HANDSHAKE, NOT_NOMINABLE, TRUSTED_FACTS, BARRED_FROM_TRAILERS, TABLES };

#define T(table) { (table), sizeof(table) / sizeof((table)[0]) }
static const struct {
    const struct span *rows;
    size_t n;
} tables[TABLES] = {
    [HOP_BY_HOP] = T(hop_by_hop), [FRAMING_AND_ROUTING] = T(framing_and_routing), [HANDSHAKE] = T(handshake),
    [NOT_NOMINABLE] = T(not_nominable), [TRUSTED_FACTS] = T(trusted_facts), [BARRED_FROM_TRAILERS] = T(barred_from_trailers),
};
#undef T

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
    if (span_same_letters(name.p, row.p, n))     /* nearly all that match do so */
        return true;
    for (size_t i = 0; i < n; i++)
        if (fold(name.p[i]) != fold(row.p[i]))
            return false;
    return true;
}

/* The first row that begins with this letter or a later one. */
static size_t rows_from(uint8_t first, const struct span *rows, size_t n)
{
    size_t low = 0;

    while (low < n) {
        size_t middle = (low + n) / 2;
        if (rows[middle].p[0] < first)
            low = middle + 1;
        else
            n = middle;
    }
    return low;
}

/* A bit for each letter that some row begins with; each thread looks once. */
static uint32_t first_letters(enum table t)
{
    static _Thread_local uint32_t known[TABLES];
    uint32_t letters = known[t];

    for (size_t i = 0; known[t] == 0 && i < tables[t].n; i++)
        letters |= (uint32_t)1 << (tables[t].rows[i].p[0] & 31);
    known[t] = letters;
    return letters;
}

static bool search_table(struct span name, uint8_t first, enum table t)
{
    const struct span *rows = tables[t].rows;
    size_t n = tables[t].n;

    for (size_t i = rows_from(first, rows, n); i < n && rows[i].p[0] == first; i++)
        if (matches(name, rows[i]))
            return true;
    return false;
}

/* Mostly there is no row with that letter. */
static inline bool in_table(struct span name, enum table t)
{
    uint8_t first = name.n > 0 ? fold(name.p[0]) : 0;

    return (first_letters(t) >> (first & 31) & 1) != 0 && search_table(name, first, t);
}

bool rules_folds_to_same(const uint8_t *a, const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (fold(a[i]) != fold(b[i]))
            return false;
    return true;
}

bool rules_is_machinery(struct span name)
{
    return in_table(name, FRAMING_AND_ROUTING) || in_table(name, HANDSHAKE) || rules_is_hop_by_hop(name);
}

static bool is_changed_by(const struct rules_changes *changes, struct span name)
{
    for (size_t i = 0; i < changes->set_n; i++)
        if (rules_is_same_name(changes->set[i].name, name))
            return true;
    for (size_t i = 0; i < changes->remove_n; i++)
        if (rules_is_same_name(span_of_text(changes->remove[i]), name))
            return true;
    return false;
}

bool rules_is_changed(const struct rules_changes *changes, struct span name)
{
    while (changes != NULL && !is_changed_by(changes, name))
        changes = changes->next;
    return changes != NULL;
}

bool rules_is_hop_by_hop(struct span name)
{
    return in_table(name, HOP_BY_HOP);
}

bool rules_is_trusted_fact(struct span name, const struct span *more, size_t more_n)
{
    if (in_table(name, TRUSTED_FACTS))
        return true;
    for (size_t i = 0; i < more_n; i++)
        if (matches(name, more[i]))
            return true;
    return false;
}

bool rules_is_disguised(struct span name, const struct span *more, size_t more_n)
{
    if (token_plain(name) == name.n)     /* every byte folds to itself, but for its case */
        return false;
    return in_table(name, FRAMING_AND_ROUTING) || rules_is_hop_by_hop(name) || rules_is_trusted_fact(name, more, more_n);
}

bool rules_nominates(const struct headers *head)
{
    struct list_walk walk = list_walk_field(head, SPAN_LITERAL("connection"));
    struct span option;

    while (list_walk_next(&walk, &option))
        if (!rules_is_hop_by_hop(option) && !span_equal_nocase(option, SPAN_LITERAL("close")))
            return true;
    return false;
}

bool rules_is_nominated(const struct headers *head, struct span name, const struct span *more, size_t more_n)
{
    if (!headers_list_has(head, SPAN_LITERAL("connection"), name))
        return false;
    return !in_table(name, FRAMING_AND_ROUTING) && !in_table(name, NOT_NOMINABLE) &&
           !rules_is_trusted_fact(name, more, more_n);
}

bool rules_is_barred_from_trailers(struct span name)
{
    return in_table(name, BARRED_FROM_TRAILERS) || in_table(name, FRAMING_AND_ROUTING) ||
           rules_is_hop_by_hop(name) || rules_is_trusted_fact(name, NULL, 0);
}
