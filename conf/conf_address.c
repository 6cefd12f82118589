/* conf_address: where to listen or connect, and networks. Everything is kept in one canonical form, so that equal places
 * are equal texts. Numeric addresses are read by inet_pton, which takes no shortened or octal forms.
 * tests/conf/test_conf_address.c */
#include "conf/conf_report.h"
#include "conf/conf_types.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

#define UNIX_PATH_BYTES_MAX 107          /* sun_path with its NUL is 108 bytes */

_Static_assert(sizeof(((struct sockaddr_un *)0)->sun_path) == UNIX_PATH_BYTES_MAX + 1, "the length of a UNIX socket's path");

struct parts {                           /* HOST:PORT, taken apart */
    struct span host;                    /* without brackets */
    struct span port;
    bool bracketed;
};

static bool refuse_shown(struct conf_value *value, const char *what)
{
    char shown[CONF_SHOWN_BYTES];

    return conf_refuse(value, "`%s` %s", conf_show(value->text, shown), what);
}

static bool read_numeric(int family, struct span text, void *bytes_out)
{
    char copy[INET6_ADDRSTRLEN];

    if (text.n >= sizeof(copy) || memchr(text.p, '\0', text.n) != NULL)
        return false;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    return inet_pton(family, copy, bytes_out) == 1;
}

static bool read_unix(struct conf_value *value, struct conf_address *address)
{
    struct span path = span_from(value->text, strlen("unix:"));

    if (path.n == 0 || path.p[0] != '/')
        return refuse_shown(value, "needs an absolute path: unix:/run/app.sock");
    if (path.n > UNIX_PATH_BYTES_MAX)
        return conf_refuse(value, "the path of a UNIX socket can have %d bytes, not %zu", UNIX_PATH_BYTES_MAX, path.n);
    if (!conf_is_printable(path))
        return conf_refuse(value, "control characters can't stand in a path");
    address->kind = CONF_ADDRESS_UNIX;
    return conf_keep_text(value, path, &address->path) && conf_keep_text(value, value->text, &address->text);
}

/* Two colons and no brackets: mostly an IPv6 address. */
static bool refuse_colons(struct conf_value *value)
{
    struct in6_addr bytes;
    size_t last = value->text.n;

    while (last > 0 && value->text.p[last - 1] != ':')
        last--;
    if (read_numeric(AF_INET6, value->text, &bytes) ||
        (last > 0 && read_numeric(AF_INET6, span_first(value->text, last - 1), &bytes)))
        return refuse_shown(value, "lacks brackets: an IPv6 address is written as in \"[::1]:8080\"");
    return refuse_shown(value, "is not an address: 8080, 127.0.0.1:8080, \"[::1]:8080\" or unix:/run/app.sock");
}

static bool split_brackets(struct conf_value *value, struct parts *parts)
{
    struct span text = value->text;
    size_t close = span_find(text, ']');

    if (close == text.n)
        return refuse_shown(value, "lacks a `]`");
    parts->bracketed = true;
    parts->host = span_first(span_from(text, 1), close - 1);
    if (close + 1 == text.n)
        return refuse_shown(value, "lacks a port, as in \"[::1]:8080\"");
    if (text.p[close + 1] != ':')
        return refuse_shown(value, "has something other than `:` and a port behind the `]`");
    parts->port = span_from(text, close + 2);
    return true;
}

static bool split(struct conf_value *value, struct parts *parts)
{
    struct span text = value->text;
    size_t colon = span_find(text, ':');
    uint64_t number;

    *parts = (struct parts){ .bracketed = false };
    if (text.n > 0 && text.p[0] == '[')
        return split_brackets(value, parts);
    if (span_to_u64(text, &number) || (text.n > 0 && colon == 0 && span_find(span_from(text, 1), ':') == text.n - 1)) {
        parts->port = span_from(text, colon == 0 ? 1 : 0);
        return true;
    }
    if (colon == text.n && text.n > 0)
        return refuse_shown(value, "lacks a port, as in 127.0.0.1:8080");
    if (span_starts_with(span_from(text, colon), SPAN_LITERAL("://")))
        return refuse_shown(value, "is a URL; an address is a host and a port, as in 127.0.0.1:8080");
    if (colon == 0 || text.n == 0 || span_find(span_from(text, colon + 1), ':') < text.n - colon - 1)
        return refuse_colons(value);
    parts->host = span_first(text, colon);
    parts->port = span_from(text, colon + 1);
    return true;
}

static bool read_port(struct conf_value *value, struct span port, bool listens, unsigned *port_out)
{
    uint64_t number = 0;
    char shown[CONF_SHOWN_BYTES];

    if (port.n == 0)
        return refuse_shown(value, "lacks a port");
    if (port.n > 5 || !span_to_u64(port, &number) || number > 65535)
        return conf_refuse(value, "`%s` is not a port: %d to 65535", conf_show(port, shown), listens ? 0 : 1);
    if (number == 0 && !listens)
        return conf_refuse(value, "port 0 is for listeners only");
    *port_out = (unsigned)number;
    return true;
}

static bool keep_host(struct conf_value *value, struct conf_address *address, enum conf_address_kind kind, const char *host)
{
    char text[CONF_HOST_BYTES_MAX + 16];

    address->kind = kind;
    if (strchr(host, ':') != NULL)
        snprintf(text, sizeof(text), "[%s]:%u", host, address->port);
    else
        snprintf(text, sizeof(text), "%s:%u", host, address->port);
    return conf_keep_text(value, span_of_text(host), &address->host) && conf_keep_text(value, span_of_text(text), &address->text);
}

static bool read_ip(struct conf_value *value, struct conf_address *address, int family, struct span host)
{
    struct in6_addr bytes;
    char text[INET6_ADDRSTRLEN];

    if (span_find(host, '%') < host.n)
        return refuse_shown(value, "names a zone; link-local addresses with zones can't be used");
    if (!read_numeric(family, host, &bytes))
        return refuse_shown(value, family == AF_INET6 ? "has no IPv6 address between the brackets" : "has no valid IPv4 address");
    inet_ntop(family, &bytes, text, sizeof(text));
    return keep_host(value, address, CONF_ADDRESS_IP, text);
}

static bool looks_numeric(struct span host)
{
    for (size_t i = 0; i < host.n; i++)
        if (host.p[i] != '.' && (host.p[i] < '0' || host.p[i] > '9'))
            return false;
    return true;
}

static bool read_name(struct conf_value *value, struct conf_address *address, struct span host, bool listens)
{
    char name[CONF_HOST_BYTES_MAX + 1];

    if (!conf_is_host_name(host))
        return refuse_shown(value, "has no valid host name");
    if (listens && span_equal_nocase(host, SPAN_LITERAL("localhost")))
        return keep_host(value, address, CONF_ADDRESS_IP, "127.0.0.1");
    if (listens)
        return refuse_shown(value, "has a host name; a listener needs an IP address (or localhost)");
    for (size_t i = 0; i < host.n; i++)
        name[i] = (char)ascii_lower(host.p[i]);
    name[host.n] = '\0';
    return keep_host(value, address, CONF_ADDRESS_NAME, name);
}

static bool read_address(struct conf_value *value, struct conf_address *address, bool listens)
{
    struct parts parts;

    if (span_starts_with(value->text, SPAN_LITERAL("unix:")))
        return read_unix(value, address);
    if (!split(value, &parts) || !read_port(value, parts.port, listens, &address->port))
        return false;
    if (parts.bracketed)
        return read_ip(value, address, AF_INET6, parts.host);
    if (parts.host.n == 0)
        return keep_host(value, address, CONF_ADDRESS_IP, listens ? "0.0.0.0" : "127.0.0.1");
    if (looks_numeric(parts.host))
        return read_ip(value, address, AF_INET, parts.host);
    return read_name(value, address, parts.host, listens);
}

static bool read_and_keep(struct conf_value *value, void *field, bool listens)
{
    struct conf_address address = { .port = 0 };

    if (!read_address(value, &address, listens))
        return false;
    *(struct conf_address *)field = address;
    return true;
}

bool conf_read_listen_address(struct conf_value *value, void *field)
{
    return read_and_keep(value, field, true);
}

bool conf_read_server_address(struct conf_value *value, void *field)
{
    return read_and_keep(value, field, false);
}

void conf_write_address(const struct conf *c, const struct conf_key *key, const void *field, FILE *out)
{
    (void)c;
    (void)key;
    conf_write_text(((const struct conf_address *)field)->text, out);
}

static const char *network_text(const struct conf_network *network, char text[INET6_ADDRSTRLEN + 8])
{
    size_t n;

    if (network->family == AF_UNIX)
        return "unix";
    inet_ntop(network->family, network->bytes, text, INET6_ADDRSTRLEN);
    n = strlen(text);
    snprintf(text + n, 8, "/%u", network->prefix_bits);
    return text;
}

/* Clears what lies behind the prefix; true when nothing was there. */
static bool clear_host_bits(struct conf_network *network, unsigned bits)
{
    bool clear = true;

    for (unsigned bit = network->prefix_bits; bit < bits; bit++) {
        uint8_t mask = (uint8_t)(0x80 >> bit % 8);
        clear = clear && (network->bytes[bit / 8] & mask) == 0;
        network->bytes[bit / 8] &= (uint8_t)~mask;
    }
    return clear;
}

bool conf_read_network(struct conf_value *value, void *field)
{
    struct conf_network network = { .family = AF_UNIX };
    size_t slash = span_find(value->text, '/');
    struct span address = span_first(value->text, slash);
    uint64_t bits = 0;
    unsigned bits_max;
    char shown[CONF_SHOWN_BYTES], right[INET6_ADDRSTRLEN + 8];

    if (span_equal(value->text, SPAN_LITERAL("unix"))) {
        *(struct conf_network *)field = network;
        return true;
    }
    network.family = span_find(address, ':') < address.n ? AF_INET6 : AF_INET;
    bits_max = network.family == AF_INET6 ? 128 : 32;
    if (address.n == 0 || !read_numeric(network.family, address, network.bytes))
        return conf_refuse(value, "`%s` is not a network: 10.0.0.0/8, 192.0.2.1, ::1/128, or unix",
                           conf_show(value->text, shown));
    if (slash == value->text.n)
        bits = bits_max;
    else if (!span_to_u64(span_from(value->text, slash + 1), &bits) || bits > bits_max)
        return conf_refuse(value, "`%s` has no prefix length from 0 to %u", conf_show(value->text, shown), bits_max);
    network.prefix_bits = (unsigned)bits;
    if (!clear_host_bits(&network, bits_max))
        return conf_refuse(value, "`%s` has bits set behind its prefix: write %s", conf_show(value->text, shown),
                           network_text(&network, right));
    *(struct conf_network *)field = network;
    return true;
}

void conf_write_network(const struct conf *c, const struct conf_key *key, const void *field, FILE *out)
{
    char text[INET6_ADDRSTRLEN + 8];

    (void)c;
    (void)key;
    conf_write_text(network_text(field, text), out);
}
