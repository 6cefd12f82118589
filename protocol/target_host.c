/* Host names and addresses as they stand in Host and in absolute-form targets, made comparable. tests/protocol/test_target.c */
#include "protocol/target.h"
#include "protocol/token.h"

#define HOST_BYTES 255                   /* RFC 1035 section 2.3.4 */

/* RFC 3986 section 3.2.2 would allow escapes and sub-delims in a reg-name; DNS names have neither, and recipients differ on them
 * ("a,b", "a%2eb"), so only letters, digits, "-", "_" and "." pass, and no label is empty. test_target.c: host_* */
static bool is_name(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (c == '.' ? i == 0 || s.p[i - 1] == '.' : !token_is_plain(c) && c != '_')
            return false;
    }
    return s.n > 0 && s.n <= HOST_BYTES;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(uint8_t c)
{
    c = ascii_lower(c);
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* RFC 3986 section 3.2.2: dec-octet, without leading zeros. */
static bool is_octet(struct span s)
{
    uint64_t value;

    return s.n >= 1 && s.n <= 3 && span_to_u64(s, &value) && value <= 255 && (s.n == 1 || s.p[0] != '0');
}

static bool is_ipv4(struct span s)
{
    for (int i = 0; i < 3; i++) {
        size_t dot = span_find(s, '.');
        if (dot == s.n || !is_octet(span_first(s, dot)))
            return false;
        s = span_from(s, dot + 1);
    }
    return is_octet(s);
}

/* The groups at the head of s, and the colons behind them, are taken off. False: no address. */
static bool take_group(struct span *s, unsigned *groups, bool *compressed)
{
    size_t n = 0;

    while (n < s->n && n < 5 && is_hex(s->p[n]))
        n++;
    if (n < s->n && s->p[n] == '.' && is_ipv4(*s)) {     /* the last 32 bits may be written so */
        *groups += 2;
        *s = SPAN_EMPTY;
        return true;
    }
    ++*groups;
    if (n == s->n || n == 0 || n > 4) {
        *s = SPAN_EMPTY;
        return n > 0 && n <= 4;
    }
    if (s->p[n] != ':' || n + 1 == s->n)
        return false;
    *s = span_from(*s, n + 1);
    if (s->p[0] != ':')
        return true;
    *s = span_from(*s, 1);
    if (*compressed)
        return false;
    *compressed = true;
    return true;
}

/* RFC 3986 section 3.2.2: IPv6address, eight groups of 16 bits, one run of zeros compressed. */
static bool is_ipv6(struct span s)
{
    bool compressed = span_starts_with(s, SPAN_LITERAL("::"));
    unsigned groups = 0;

    if (compressed)
        s = span_from(s, 2);
    while (s.n > 0 && groups < 8)
        if (!take_group(&s, &groups, &compressed))
            return false;
    return s.n == 0 && (compressed ? groups < 8 : groups == 8);
}

/* RFC 3986 section 3.2.2: IP-literal = "[" IPv6address "]"; the form for addresses to come is not known here, nor are zones. */
static bool is_ipv6_literal(struct span s)
{
    return s.n > 2 && s.p[s.n - 1] == ']' && is_ipv6(span_of(s.p + 1, s.n - 2));
}

/* RFC 3986 section 3.2.3: port = *DIGIT; an empty one is none, and 0 is nobody's. */
static bool read_port(struct span s, struct host_port *out)
{
    uint64_t port = 0;

    if (s.n == 0)
        return true;
    if (s.n > 5 || !span_to_u64(s, &port) || port == 0 || port > 65535)
        return false;
    out->port = (unsigned)port;
    out->has_port = true;
    return true;
}

static bool is_upper(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}

/* In lower case: as it stands where it is so, as it nearly always is. p NULL: no memory. */
static struct span lower(struct arena *a, struct span s)
{
    size_t same = 0;
    uint8_t *p;

    while (same < s.n && !is_upper(s.p[same]))
        same++;
    if (same == s.n)
        return s;
    p = arena_alloc(a, s.n);
    for (size_t i = 0; p != NULL && i < s.n; i++)
        p[i] = ascii_lower(s.p[i]);
    return span_of(p, p != NULL ? s.n : 0);
}

/* RFC 9110 section 7.2: Host = uri-host [ ":" port ] */
enum fault host_parse(struct arena *a, struct span text, struct host_port *out)
{
    bool bracket = text.n > 0 && text.p[0] == '[';
    size_t bracket_end = span_find(text, ']');
    size_t end = bracket && bracket_end < text.n ? bracket_end + 1 : span_find(text, ':');
    struct span host = span_first(text, end), rest = span_from(text, end);

    *out = (struct host_port){ .port = 0 };
    if (rest.n > 0 && (rest.p[0] != ':' || !read_port(span_from(rest, 1), out)))
        return FAULT_HOST;
    if (bracket ? !is_ipv6_literal(host) : !is_name(host))
        return FAULT_HOST;
    if (host.n > 1 && host.p[host.n - 1] == '.')
        host.n--;
    out->host = lower(a, host);
    return out->host.p != NULL ? FAULT_NONE : FAULT_NO_MEMORY;
}
