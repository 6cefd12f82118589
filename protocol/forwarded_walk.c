#include "protocol/forwarded_walk.h"
#include "protocol/token.h"

#include <string.h>

#define NODE_BYTES 64                    /* more than any address with its port, in quotes */

/* ---- one member's address ---- */

/* RFC 7239 section 6.1: digits, or an invented name that begins with "_" and tells nothing. */
static bool read_port(struct span s, unsigned *out)
{
    uint64_t port = 0;

    if (s.n > 1 && s.p[0] == '_')
        return token_is_token(s);
    if (s.n > 5 || !span_to_u64(s, &port) || port > 65535)
        return false;
    *out = (unsigned)port;
    return true;
}

/* RFC 7239 section 6: 192.0.2.1, 192.0.2.1:80, [2001:db8::1], [2001:db8::1]:80. Others write 2001:db8::1 in X-Forwarded-For. */
static bool read_node(struct span s, bool bare_ip6, struct net_address *out)
{
    bool bracket = s.n > 0 && s.p[0] == '[';
    size_t end = bracket ? span_find(s, ']') : span_find(s, ':');
    struct span address = span_first(s, end), rest;

    if (bare_ip6 && !bracket && net_address_parse(s, out))
        return true;
    if (bracket && end == s.n)
        return false;
    if (bracket)
        address = span_from(address, 1);
    if (bracket != (span_find(address, ':') < address.n) || !net_address_parse(address, out))
        return false;
    rest = span_from(s, end + bracket);
    return rest.n == 0 || (rest.p[0] == ':' && read_port(span_from(rest, 1), &out->port));
}

/* The first name=value pair is taken off; false: its quotes do not end. */
static bool take_pair(struct span *member, struct span *pair)
{
    bool quoted = false;
    size_t n = 0;

    while (n < member->n && (quoted || member->p[n] != ';')) {
        if (quoted && member->p[n] == '\\')
            n++;
        else if (member->p[n] == '"')
            quoted = !quoted;
        n++;
    }
    *pair = token_trim(span_first(*member, n));
    *member = span_from(*member, n + 1);
    return !quoted;
}

static bool read_for(struct span value, struct net_address *out)
{
    uint8_t text[NODE_BYTES];
    size_t n;

    return value.n <= sizeof(text) && token_unquote(value, text, &n) && read_node(span_of(text, n), false, out);
}

/* RFC 7239 section 4: pairs in any order, `for` at most once. */
static bool read_forwarded(struct span member, struct net_address *out)
{
    bool found = false;

    while (member.n > 0) {
        struct span pair;
        size_t equals;
        if (!take_pair(&member, &pair))
            return false;
        equals = span_find(pair, '=');
        if (pair.n == 0)
            continue;
        if (equals == pair.n || !token_is_token(span_first(pair, equals)))
            return false;
        if (!span_equal_nocase(span_first(pair, equals), SPAN_LITERAL("for")))
            continue;
        if (found || !read_for(span_from(pair, equals + 1), out))
            return false;
        found = true;
    }
    return found;
}

/* ---- from the right ---- */

static bool is_escaped(struct span s, size_t at)
{
    size_t n = 0;

    while (n < at && s.p[at - n - 1] == '\\')
        n++;
    return n % 2 == 1;
}

/* The last member is taken off, with its comma. Commas in quotes do not separate: the hop that wrote it closed what it opened, so that
 * quotes are found in pairs from the right, whatever stands on the left. */
static struct span take_last(struct span *list, bool quotes)
{
    bool quoted = false;
    size_t at = list->n;
    struct span member;

    while (at > 0 && (quoted || list->p[at - 1] != ',')) {
        at--;
        if (quotes && list->p[at] == '"' && !is_escaped(*list, at))
            quoted = !quoted;
    }
    member = token_trim(span_from(*list, at));
    *list = span_first(*list, at > 0 ? at - 1 : 0);
    return member;
}

struct net_address forwarded_walk(const struct headers *fields, enum forwarded_field which, const struct net_address *hop,
                                  forwarded_trusts *trusts, void *ctx)
{
    bool rfc7239 = which == FORWARDED_RFC7239;
    struct span name = rfc7239 ? SPAN_LITERAL("forwarded") : SPAN_LITERAL("x-forwarded-for");
    struct net_address last = *hop, next;

    for (size_t i = fields->n; i > 0; i--) {
        struct span list = fields->fields[i - 1].value;
        if (!span_equal_nocase(fields->fields[i - 1].name, name))
            continue;
        while (list.n > 0) {
            struct span member = take_last(&list, rfc7239);
            if (member.n == 0)
                continue;
            if (rfc7239 ? !read_forwarded(member, &next) : !read_node(member, true, &next))
                return last;
            last = next;
            if (!trusts(ctx, &last))
                return last;
        }
    }
    return last;
}
