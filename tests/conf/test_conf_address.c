/* Addresses and networks: every form, its canonical text, and what is refused. */
#include "tests/conf/conf_test.h"

#include <sys/socket.h>

#define LISTEN_HOLE "listeners: [ \"%s\" ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { upstream: app } ]\n"
#define SERVER_HOLE "listeners: [ 8080 ]\nupstreams: { app: { servers: [ \"%s\" ] } }\nroutes: [ { upstream: app } ]\n"
#define NETWORK_HOLE                                                                                                             \
    "listeners: [ { address: 8080, trusted: [ \"%s\" ] } ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { upstream: "   \
    "app } ]\n"
#define PATH_50 "/2345678901234567890123456789012345678901234567890"
#define PATH_107 PATH_50 PATH_50 "/234567"

struct row {
    const char *written;
    enum conf_address_kind kind;
    unsigned port;
    const char *host;
    const char *text;
};

static void compare(const struct conf_address *address, const struct row *row)
{
    assert_int_equal(address->kind, row->kind);
    assert_int_equal(address->port, row->port);
    assert_string_equal(address->text, row->text);
    assert_string_equal(row->kind == CONF_ADDRESS_UNIX ? address->path : address->host, row->host);
    assert_true(row->kind == CONF_ADDRESS_UNIX ? address->host == NULL : address->path == NULL);
}

static void listen_addresses(void **state)
{
    static const struct row rows[] = {
        { "8080", CONF_ADDRESS_IP, 8080, "0.0.0.0", "0.0.0.0:8080" },
        { ":8080", CONF_ADDRESS_IP, 8080, "0.0.0.0", "0.0.0.0:8080" },
        { "0", CONF_ADDRESS_IP, 0, "0.0.0.0", "0.0.0.0:0" },
        { "127.0.0.1:0", CONF_ADDRESS_IP, 0, "127.0.0.1", "127.0.0.1:0" },
        { "127.0.0.1:65535", CONF_ADDRESS_IP, 65535, "127.0.0.1", "127.0.0.1:65535" },
        { "[::]:80", CONF_ADDRESS_IP, 80, "::", "[::]:80" },
        { "[0:0::0:1]:80", CONF_ADDRESS_IP, 80, "::1", "[::1]:80" },
        { "[2001:DB8::1]:80", CONF_ADDRESS_IP, 80, "2001:db8::1", "[2001:db8::1]:80" },
        { "LocalHost:80", CONF_ADDRESS_IP, 80, "127.0.0.1", "127.0.0.1:80" },
        { "unix:/run/a b.sock", CONF_ADDRESS_UNIX, 0, "/run/a b.sock", "unix:/run/a b.sock" },
        { "unix:" PATH_107, CONF_ADDRESS_UNIX, 0, PATH_107, "unix:" PATH_107 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct conf *c = load_good(fill_in(LISTEN_HOLE, rows[i].written));
        compare(&c->listeners[0].address, &rows[i]);
        assert_string_equal(c->listeners[0].name, rows[i].text);
        conf_free(c);
    }
}

static void server_addresses(void **state)
{
    static const struct row rows[] = {
        { "9000", CONF_ADDRESS_IP, 9000, "127.0.0.1", "127.0.0.1:9000" },
        { ":9000", CONF_ADDRESS_IP, 9000, "127.0.0.1", "127.0.0.1:9000" },
        { "10.0.0.1:1", CONF_ADDRESS_IP, 1, "10.0.0.1", "10.0.0.1:1" },
        { "[::ffff:10.0.0.1]:1", CONF_ADDRESS_IP, 1, "::ffff:10.0.0.1", "[::ffff:10.0.0.1]:1" },
        { "localhost:1", CONF_ADDRESS_NAME, 1, "localhost", "localhost:1" },
        { "App_1.Internal:443", CONF_ADDRESS_NAME, 443, "app_1.internal", "app_1.internal:443" },
        { "1a:443", CONF_ADDRESS_NAME, 443, "1a", "1a:443" },
        { "unix:/s", CONF_ADDRESS_UNIX, 0, "/s", "unix:/s" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct conf *c = load_good(fill_in(SERVER_HOLE, rows[i].written));
        compare(&c->upstreams[0].servers[0].address, &rows[i]);
        conf_free(c);
    }
}

static const struct { const char *written, *why; } bad[] = {
    { "127.0.0.1", "`127.0.0.1` lacks a port, as in 127.0.0.1:8080" },
    { "app", "`app` lacks a port, as in 127.0.0.1:8080" },
    { "app:", "`app:` lacks a port" },
    { ":", "`:` lacks a port" },
    { "app:http", "`http` is not a port: 1 to 65535" },
    { "app:65536", "`65536` is not a port: 1 to 65535" },
    { "app:000080", "`000080` is not a port: 1 to 65535" },
    { "70000", "`70000` is not a port: 1 to 65535" },
    { "app:+80", "`+80` is not a port: 1 to 65535" },
    { "app: 80", "` 80` is not a port: 1 to 65535" },
    { "app:0", "port 0 is for listeners only" },
    { "0", "port 0 is for listeners only" },
    { "1.2.3:80", "`1.2.3:80` has no valid IPv4 address" },
    { "1.2.3.256:80", "`1.2.3.256:80` has no valid IPv4 address" },
    { "01.2.3.4:80", "`01.2.3.4:80` has no valid IPv4 address" },
    { "a..b:80", "`a..b:80` has no valid host name" },
    { "a b:80", "`a b:80` has no valid host name" },
    { "é:80", "`é:80` has no valid host name" },
    { "[::1]", "`[::1]` lacks a port, as in \"[::1]:8080\"" },
    { "[::1", "`[::1` lacks a `]`" },
    { "[::1]80", "`[::1]80` has something other than `:` and a port behind the `]`" },
    { "[::1]:", "`[::1]:` lacks a port" },
    { "[]:80", "`[]:80` has no IPv6 address between the brackets" },
    { "[1.2.3.4]:80", "`[1.2.3.4]:80` has no IPv6 address between the brackets" },
    { "[fe80::1%eth0]:80", "`[fe80::1%eth0]:80` names a zone; link-local addresses with zones can't be used" },
    { "::1:80", "`::1:80` lacks brackets: an IPv6 address is written as in \"[::1]:8080\"" },
    { "::1", "`::1` lacks brackets: an IPv6 address is written as in \"[::1]:8080\"" },
    { "a:b:c", "`a:b:c` is not an address: 8080, 127.0.0.1:8080, \"[::1]:8080\" or unix:/run/app.sock" },
    { "http://a:80", "`http://a:80` is a URL; an address is a host and a port, as in 127.0.0.1:8080" },
    { "unix:app.sock", "`unix:app.sock` needs an absolute path: unix:/run/app.sock" },
    { "unix:", "`unix:` needs an absolute path: unix:/run/app.sock" },
    { "unix:@abstract", "`unix:@abstract` needs an absolute path: unix:/run/app.sock" },
    { "unix:" PATH_107 "8", "the path of a UNIX socket can have 107 bytes, not 108" },
    { "unix:/a\\tb", "control characters can't stand in a path" },
    { "\\0", "`?` lacks a port, as in 127.0.0.1:8080" },
};

static void server_addresses_refused(void **state)
{
    char sentence[512];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        snprintf(sentence, sizeof(sentence), "`address`: %s", bad[i].why);
        expect_refused(SERVER_HOLE, bad[i].written, sentence);
    }
}

static void listen_addresses_refused(void **state)
{
    (void)state;
    expect_refused(LISTEN_HOLE, "example.com:80",
                   "`address`: `example.com:80` has a host name; a listener needs an IP address (or localhost)");
    expect_refused(LISTEN_HOLE, "65536", "`address`: `65536` is not a port: 0 to 65535");
}

static void networks(void **state)
{
    static const struct { const char *written; int family; unsigned bits; uint8_t first, last; } rows[] = {
        { "10.0.0.0/8", AF_INET, 8, 10, 0 }, { "0.0.0.0/0", AF_INET, 0, 0, 0 }, { "192.0.2.7", AF_INET, 32, 192, 7 },
        { "192.0.2.6/31", AF_INET, 31, 192, 6 }, { "::/0", AF_INET6, 0, 0, 0 }, { "::1", AF_INET6, 128, 0, 1 },
        { "2001:db8::/33", AF_INET6, 33, 0x20, 0 }, { "unix", AF_UNIX, 0, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct conf *c = load_good(fill_in(NETWORK_HOLE, rows[i].written));
        const struct conf_network *network = &c->listeners[0].trusted[0];
        assert_int_equal(network->family, rows[i].family);
        assert_int_equal(network->prefix_bits, rows[i].bits);
        assert_int_equal(network->bytes[0], rows[i].first);
        assert_int_equal(network->bytes[network->family == AF_INET6 ? 15 : 3], rows[i].last);
        conf_free(c);
    }
}

static void networks_refused(void **state)
{
    (void)state;
    expect_refused(NETWORK_HOLE, "10.0.0.1/8", "`trusted`: `10.0.0.1/8` has bits set behind its prefix: write 10.0.0.0/8");
    expect_refused(NETWORK_HOLE, "192.0.2.7/31", "`trusted`: `192.0.2.7/31` has bits set behind its prefix: write 192.0.2.6/31");
    expect_refused(NETWORK_HOLE, "2001:db8::1/64",
                   "`trusted`: `2001:db8::1/64` has bits set behind its prefix: write 2001:db8::/64");
    expect_refused(NETWORK_HOLE, "10.0.0.0/33", "`trusted`: `10.0.0.0/33` has no prefix length from 0 to 32");
    expect_refused(NETWORK_HOLE, "::/129", "`trusted`: `::/129` has no prefix length from 0 to 128");
    expect_refused(NETWORK_HOLE, "10.0.0.0/", "`trusted`: `10.0.0.0/` has no prefix length from 0 to 32");
    expect_refused(NETWORK_HOLE, "10.0.0.0/-1", "`trusted`: `10.0.0.0/-1` has no prefix length from 0 to 32");
    expect_refused(NETWORK_HOLE, "/8", "`trusted`: `/8` is not a network: 10.0.0.0/8, 192.0.2.1, ::1/128, or unix");
    expect_refused(NETWORK_HOLE, "10/8", "`trusted`: `10/8` is not a network: 10.0.0.0/8, 192.0.2.1, ::1/128, or unix");
    expect_refused(NETWORK_HOLE, "example.com",
                   "`trusted`: `example.com` is not a network: 10.0.0.0/8, 192.0.2.1, ::1/128, or unix");
    expect_refused(NETWORK_HOLE, "Unix", "`trusted`: `Unix` is not a network: 10.0.0.0/8, 192.0.2.1, ::1/128, or unix");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listen_addresses), cmocka_unit_test(server_addresses), cmocka_unit_test(server_addresses_refused),
        cmocka_unit_test(listen_addresses_refused), cmocka_unit_test(networks), cmocka_unit_test(networks_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
