#include "protocol/net_address.h"

#include <stdio.h>
#include <string.h>

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };        /* RFC 4291 section 2.5.5.2 */

struct net_address net_address_ip4(const uint8_t bytes[4], unsigned port)
{
    struct net_address a = { .family = NET_IP4, .port = port };

    memcpy(a.bytes, bytes, 4);
    return a;
}

struct net_address net_address_ip6(const uint8_t bytes[16], unsigned port)
{
    struct net_address a = { .family = NET_IP6, .port = port };

    if (memcmp(bytes, mapped, sizeof(mapped)) == 0)
        return net_address_ip4(bytes + sizeof(mapped), port);
    memcpy(a.bytes, bytes, 16);
    return a;
}

bool net_address_equal(const struct net_address *a, const struct net_address *b)
{
    return a->family == b->family && a->port == b->port && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* ---- from text ---- */

static bool read_octet(struct span s, uint8_t *out)
{
    uint64_t value;

    if (s.n == 0 || s.n > 3 || (s.n > 1 && s.p[0] == '0') || !span_to_u64(s, &value) || value > 255)
        return false;
    *out = (uint8_t)value;
    return true;
}

bool net_address_parse_ip4(struct span text, uint8_t bytes[4])
{
    for (int i = 0; i < 4; i++) {
        size_t dot = span_find(text, '.');
        if ((i < 3) != (dot < text.n) || !read_octet(span_first(text, dot), &bytes[i]))
            return false;
        text = span_from(text, dot + 1);
    }
    return true;
}

static int hex_value(uint8_t c)
{
    c = ascii_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* h16, one to four digits; -1: it is none. */
static int read_group(struct span s)
{
    int value = 0;

    if (s.n == 0 || s.n > 4)
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        int digit = hex_value(s.p[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Groups between colons, at most `room` bytes of them; the last 32 bits may be dotted when `may_be_dotted`. -1: malformed. */
static int read_groups(struct span s, uint8_t *out, int room, bool may_be_dotted)
{
    int n = 0;

    while (s.n > 0) {
        size_t colon = span_find(s, ':');
        struct span part = span_first(s, colon);
        int value = read_group(part);
        if (colon == s.n && may_be_dotted && span_find(part, '.') < part.n)
            return n + 4 <= room && net_address_parse_ip4(part, out + n) ? n + 4 : -1;
        if (value < 0 || n + 2 > room || colon + 1 == s.n)
            return -1;
        out[n++] = (uint8_t)(value >> 8);
        out[n++] = (uint8_t)value;
        s = span_from(s, colon + 1);
    }
    return n;
}

static size_t find_gap(struct span s)
{
    size_t i = 0;

    while (i + 1 < s.n && (s.p[i] != ':' || s.p[i + 1] != ':'))
        i++;
    return i + 1 < s.n ? i : s.n;
}

bool net_address_parse_ip6(struct span text, uint8_t bytes[16])
{
    size_t gap = find_gap(text);
    uint8_t tail[16] = { 0 };
    int head_n, tail_n;

    memset(bytes, 0, 16);
    head_n = read_groups(span_first(text, gap), bytes, 16, gap == text.n);
    if (gap == text.n)
        return head_n == 16;
    tail_n = read_groups(span_from(text, gap + 2), tail, 16, true);
    if (head_n < 0 || tail_n < 0 || head_n + tail_n > 14)        /* "::" stands for one group at least */
        return false;
    memcpy(bytes + 16 - tail_n, tail, (size_t)tail_n);
    return true;
}

bool net_address_parse(struct span text, struct net_address *out)
{
    uint8_t bytes[16];

    if (span_find(text, ':') == text.n) {
        if (!net_address_parse_ip4(text, bytes))
            return false;
        *out = net_address_ip4(bytes, 0);
        return true;
    }
    if (!net_address_parse_ip6(text, bytes))
        return false;
    *out = net_address_ip6(bytes, 0);
    return true;
}

/* ---- to text ---- */

static unsigned group_of(const uint8_t *bytes, int i)
{
    return (unsigned)bytes[2 * i] << 8 | bytes[2 * i + 1];
}

/* RFC 5952 section 4.2: the longest run of zeros, the first of several, and never a single group. */
static int longest_gap(const uint8_t *bytes, int *n_out)
{
    int best = -1, best_n = 1;

    for (int i = 0, n; i < 8; i += n > 0 ? n : 1) {
        for (n = 0; i + n < 8 && group_of(bytes, i + n) == 0; n++)
            continue;
        if (n > best_n) {
            best = i;
            best_n = n;
        }
    }
    *n_out = best_n;
    return best;
}

static void print_ip6(const uint8_t *bytes, char out[NET_ADDRESS_TEXT])
{
    int gap_n, gap = longest_gap(bytes, &gap_n);
    size_t n = 0;

    for (int i = 0; i < 8; i++) {
        if (i == gap) {
            n += (size_t)snprintf(out + n, NET_ADDRESS_TEXT - n, "::");
            i += gap_n - 1;
        } else {
            bool colon = i > 0 && out[n - 1] != ':';
            n += (size_t)snprintf(out + n, NET_ADDRESS_TEXT - n, colon ? ":%x" : "%x", group_of(bytes, i));
        }
    }
}

/* By hand: it is done for every connection, and for some requests. */
static void print_ip4(const uint8_t bytes[4], char out[NET_ADDRESS_TEXT])
{
    uint8_t digits[SPAN_U64_BYTES];
    size_t n = 0;

    for (int i = 0; i < 4; i++) {
        struct span octet = span_of_u64(bytes[i], digits);
        memcpy(out + n, octet.p, octet.n);
        n += octet.n;
        out[n++] = i < 3 ? '.' : '\0';
    }
}

void net_address_print(const struct net_address *a, char out[NET_ADDRESS_TEXT])
{
    if (a->family == NET_IP4)
        print_ip4(a->bytes, out);
    else if (a->family == NET_IP6)
        print_ip6(a->bytes, out);
    else
        snprintf(out, NET_ADDRESS_TEXT, "%s", a->family == NET_UNIX ? "unix" : "unknown");
}

static size_t append(char *out, size_t n, const void *p, size_t more)
{
    memcpy(out + n, p, more);
    return n + more;
}

void net_address_name(const struct net_address *a, const char *address, char out[NET_NAME_TEXT])
{
    bool brackets = a->family == NET_IP6, port = (a->family == NET_IP4 || brackets) && a->port > 0;
    uint8_t digits[SPAN_U64_BYTES];
    struct span number = span_of_u64(a->port & 0xffff, digits);
    size_t n;

    n = append(out, 0, "[", brackets);
    n = append(out, n, address, strlen(address));
    n = append(out, n, "]", brackets);
    n = append(out, n, ":", port || a->family == NET_UNIX);
    n = append(out, n, number.p, port ? number.n : 0);
    out[n] = '\0';
}

void net_address_print_name(const struct net_address *a, char out[NET_NAME_TEXT])
{
    char address[NET_ADDRESS_TEXT];

    net_address_print(a, address);
    net_address_name(a, address, out);
}
