/* Fuzz: whose request it is. The first byte chooses the field; each further line is a field's value.
 *
 * Whatever a stranger wrote, the address that a trusted hop appends to it is the one that is found: nothing he writes can swallow or change
 * it. A second, simple reader agrees about X-Forwarded-For; and about addresses the C library does. */
#include "protocol/forwarded_walk.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define TEXT_BYTES 2048
#define LINES 16

static const struct net_address hop = { .family = NET_IP4, .port = 4000, .bytes = { 10, 0, 0, 1 } };

/* 10.0.0.0/8 and what is in the first half of IPv6. */
static bool trusts(void *ctx, const struct net_address *a)
{
    (void)ctx;
    return a->family == NET_IP4 ? a->bytes[0] == 10 : a->bytes[0] < 0x80;
}

static struct net_address walk(const char *const *lines, size_t n, enum forwarded_field which)
{
    struct arena arena;
    struct headers fields;
    struct net_address found;

    arena_init(&arena, 1 << 20);
    headers_init(&fields, &arena, 0);
    for (size_t i = 0; i < n; i++)
        assert(headers_add(&fields, which == FORWARDED_RFC7239 ? SPAN_LITERAL("forwarded") : SPAN_LITERAL("X-Forwarded-For"),
                           span_of_text(lines[i])) == FAULT_NONE);
    found = forwarded_walk(&fields, which, &hop, trusts, NULL);
    arena_free(&arena);
    return found;
}

static bool same(const struct net_address *a, const struct net_address *b)
{
    return a->family == b->family && a->port == b->port && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* ---- addresses, by the C library ---- */

static void check_address(const char *text)
{
    struct net_address a;
    uint8_t bytes[16];
    char printed[NET_ADDRESS_TEXT], library[INET6_ADDRSTRLEN];
    bool v6 = strchr(text, ':') != NULL;
    bool good = inet_pton(v6 ? AF_INET6 : AF_INET, text, bytes) == 1;

    assert(net_address_parse(span_of_text(text), &a) == good);
    if (!good)
        return;
    net_address_print(&a, printed);
    assert(inet_pton(a.family == NET_IP6 ? AF_INET6 : AF_INET, printed, bytes) == 1);
    assert(memcmp(bytes, a.bytes, a.family == NET_IP6 ? 16 : 4) == 0);
    inet_ntop(a.family == NET_IP6 ? AF_INET6 : AF_INET, bytes, library, sizeof(library));
    assert(strchr(library, '.') != NULL || strcmp(library, printed) == 0);      /* ::1.2.3.4 is not written so by RFC 5952 */
}

/* ---- X-Forwarded-For, once more ---- */

static bool simple_read(char *member, struct net_address *out)
{
    char *end = NULL, *address = member;
    unsigned long port = 0;

    if (net_address_parse(span_of_text(member), out))
        return true;
    if (*member == '[') {
        address = member + 1;
        end = strchr(member, ']');
        if (end == NULL || strchr(address, ':') == NULL || strchr(address, ':') > end)
            return false;
        *end++ = '\0';
    } else {
        end = strchr(member, ':');
        if (end == NULL)
            return false;
    }
    if (*end == ':') {
        *end++ = '\0';
        if (*end == '_' && end[1] != '\0')
            port = strspn(end, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(end) ? 0 : 65536;
        else if (*end == '\0' || strlen(end) > 5 || strspn(end, "0123456789") != strlen(end))
            port = 65536;
        else
            port = strtoul(end, NULL, 10);
    } else if (*end != '\0') {
        return false;
    }
    if (port > 65535 || !net_address_parse(span_of_text(address), out))
        return false;
    out->port = (unsigned)port;
    return true;
}

static struct net_address simple_walk(const char *const *lines, size_t n)
{
    static char all[LINES * (TEXT_BYTES + 1)];
    struct net_address last = hop, next;
    char *comma;

    all[0] = '\0';
    for (size_t i = 0, at = 0; i < n; i++)
        at += (size_t)snprintf(all + at, sizeof(all) - at, ",%s", lines[i]);
    while ((comma = strrchr(all, ',')) != NULL) {
        char *member = comma + 1 + strspn(comma + 1, " \t");
        size_t size = strlen(member);
        while (size > 0 && (member[size - 1] == ' ' || member[size - 1] == '\t'))
            member[--size] = '\0';
        if (size > 0 && !simple_read(member, &next))
            return last;
        if (size > 0)
            last = next;
        if (size > 0 && !trusts(NULL, &last))
            return last;
        *comma = '\0';
    }
    return last;
}

/* ---- what is appended is found ---- */

static void check_appended(const char *const *lines, size_t n, enum forwarded_field which)
{
    static const struct {
        const char *x, *rfc7239;
        struct net_address address;
    } members[] = {
        { "203.0.113.9", "for=203.0.113.9", { NET_IP4, 0, { 203, 0, 113, 9 } } },
        { "[fd00::9]:443", "proto=http;for=\"[fd00::9]:443\";host=\"a.test:80\"", { NET_IP6, 443, { 0xfd, [15] = 9 } } },
        { "203.0.113.9 , 10.0.0.3", "for=203.0.113.9;host=\"a\\\"b,c\" , for=10.0.0.3", { NET_IP4, 0, { 203, 0, 113, 9 } } },
    };

    for (size_t m = 0; m < sizeof(members) / sizeof(members[0]); m++) {
        const char *member = which == FORWARDED_RFC7239 ? members[m].rfc7239 : members[m].x, *longer[LINES + 1];
        static char joined[TEXT_BYTES + 256];
        struct net_address found;
        memcpy(longer, lines, n * sizeof(*lines));
        longer[n] = member;              /* as a field of its own … */
        found = walk(longer, n + 1, which);
        assert(same(&found, &members[m].address));
        if (n == 0)
            continue;
        snprintf(joined, sizeof(joined), "%s, %s", lines[n - 1], member);
        longer[n - 1] = joined;          /* … or joined to the last one */
        found = walk(longer, n, which);
        assert(same(&found, &members[m].address));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static char text[TEXT_BYTES];
    const char *lines[LINES];
    enum forwarded_field which;
    struct net_address found, simple;
    size_t lines_n = 0;

    if (n < 1 || n >= TEXT_BYTES || memchr(data, '\0', n) != NULL)
        return 0;
    which = data[0] & 1 ? FORWARDED_RFC7239 : FORWARDED_X_FORWARDED_FOR;
    memcpy(text, data + 1, n - 1);
    text[n - 1] = '\0';
    for (char *at = text; at != NULL && lines_n < LINES; lines_n++) {
        lines[lines_n] = at;
        at = strchr(at, '\n');
        if (at != NULL)
            *at++ = '\0';
    }
    check_address(lines[0]);
    found = walk(lines, lines_n, which);
    assert(found.family == NET_IP4 || found.family == NET_IP6);
    simple = simple_walk(lines, lines_n);
    assert(which == FORWARDED_RFC7239 || same(&found, &simple));
    check_appended(lines, lines_n, which);
    return 0;
}
