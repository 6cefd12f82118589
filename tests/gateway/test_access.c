/* Addresses against networks, bit by bit. */
#include "gateway/access.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct conf_network network(const char *text)
{
    struct conf_network n = { .family = AF_UNIX };
    char address[64];
    const char *slash = strchr(text, '/');

    if (slash == NULL)
        return n;
    snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
    n.family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    assert_int_equal(inet_pton(n.family, address, n.bytes), 1);
    assert_int_equal(sscanf(slash + 1, "%u", &n.prefix_bits), 1);
    return n;
}

static struct net_address address(const char *text)
{
    struct net_address a = { .family = NET_UNIX };

    if (strcmp(text, "unix") != 0)
        assert_true(net_address_parse(span_of_text(text), &a));
    return a;
}

static bool holds(const char *net, const char *text)
{
    struct conf_network n = network(net);
    struct net_address a = address(text);

    return access_in_networks(&n, 1, &a);
}

static void rows(void **state)
{
    static const struct {
        const char *network, *address;
        bool holds;
    } row[] = {
        { "10.0.0.0/8", "10.255.0.1", true },      { "10.0.0.0/8", "11.0.0.1", false },
        { "0.0.0.0/0", "203.0.113.9", true },      { "128.0.0.0/1", "127.255.255.255", false },
        { "128.0.0.0/1", "128.0.0.0", true },      { "192.0.2.7/32", "192.0.2.7", true },
        { "192.0.2.7/32", "192.0.2.6", false },    { "192.0.2.6/31", "192.0.2.7", true },
        { "192.0.2.6/31", "192.0.2.8", false },    { "172.16.0.0/12", "172.31.255.255", true },
        { "172.16.0.0/12", "172.32.0.0", false },  { "10.128.0.0/9", "10.127.0.0", false },
        { "::1/128", "::1", true },                { "::1/128", "::2", false },
        { "2001:db8::/33", "2001:db8:7fff::", true }, { "2001:db8::/33", "2001:db8:8000::", false },
        { "::/0", "2001:db8::1", true },           { "fe80::/10", "febf::1", true },
        { "fe80::/10", "fec0::1", false },
        /* an IPv4 address that came over an IPv6 socket is the IPv4 address, and no other */
        { "10.0.0.0/8", "::ffff:10.1.2.3", true }, { "10.0.0.0/8", "::ffff:11.1.2.3", false },
        { "::/0", "::ffff:10.1.2.3", false },      { "::ffff:0:0/96", "::ffff:10.1.2.3", false },
        { "10.0.0.0/8", "::10.1.2.3", false },
        /* families do not mix */
        { "0.0.0.0/0", "::1", false },             { "::/0", "127.0.0.1", false },
        { "unix", "unix", true },                  { "unix", "127.0.0.1", false },
        { "0.0.0.0/0", "unix", false },            { "::/0", "unix", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
        if (holds(row[i].network, row[i].address) != row[i].holds)
            fail_msg("%s in %s: wrong", row[i].address, row[i].network);
}

/* Every prefix length: an address that differs in the last bit that counts is outside, in the first that does not is inside. */
static void every_prefix(void **state)
{
    (void)state;
    for (int v6 = 0; v6 < 2; v6++) {
        unsigned most = v6 ? 128 : 32;
        for (unsigned bits = 0; bits <= most; bits++) {
            struct conf_network n = network(v6 ? "2001:db8:a5a5:5a5a:1234:5678:9abc:def0/128" : "203.0.113.77/32");
            struct net_address a = address(v6 ? "2001:db8:a5a5:5a5a:1234:5678:9abc:def0" : "203.0.113.77");
            n.prefix_bits = bits;
            assert_true(access_in_networks(&n, 1, &a));
            if (bits < most) {
                a.bytes[bits / 8] ^= (uint8_t)(0x80u >> bits % 8);
                assert_true(access_in_networks(&n, 1, &a));
                a.bytes[bits / 8] ^= (uint8_t)(0x80u >> bits % 8);
            }
            if (bits > 0) {
                a.bytes[(bits - 1) / 8] ^= (uint8_t)(0x80u >> (bits - 1) % 8);
                assert_false(access_in_networks(&n, 1, &a));
            }
        }
    }
}

static void any_of_several(void **state)
{
    struct conf_network n[3] = { network("10.0.0.0/8"), network("unix"), network("2001:db8::/32") };
    struct net_address in = address("2001:db8::7"), out = address("192.0.2.1");

    (void)state;
    assert_true(access_in_networks(n, 3, &in));
    assert_false(access_in_networks(n, 2, &in));
    assert_false(access_in_networks(n, 3, &out));
    assert_false(access_in_networks(NULL, 0, &out));
}

/* deny wins; an allow list lets in nobody else; without lists everybody comes in, even who has no address. */
static void admission(void **state)
{
    struct conf_network all = network("0.0.0.0/0"), ten = network("10.0.0.0/8"), ten_one = network("10.1.0.0/16"), local = network("unix");
    const struct {
        struct conf_admission rules;
        const char *address;
        bool admitted;
    } rows[] = {
        { { 0 }, "10.1.0.1", true },
        { { 0 }, "unix", true },
        { { .allow = &ten, .allow_n = 1 }, "10.1.0.1", true },
        { { .allow = &ten, .allow_n = 1 }, "11.1.0.1", false },
        { { .allow = &ten, .allow_n = 1 }, "unix", false },
        { { .allow = &ten, .allow_n = 1 }, "::1", false },
        { { .deny = &ten_one, .deny_n = 1 }, "10.1.0.1", false },
        { { .deny = &ten_one, .deny_n = 1 }, "10.2.0.1", true },
        { { .deny = &ten_one, .deny_n = 1 }, "::ffff:10.1.0.1", false },
        { { .allow = &ten, .allow_n = 1, .deny = &ten_one, .deny_n = 1 }, "10.1.0.1", false },
        { { .allow = &ten_one, .allow_n = 1, .deny = &ten, .deny_n = 1 }, "10.1.0.1", false },
        { { .allow = &local, .allow_n = 1, .deny = &all, .deny_n = 1 }, "unix", true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct net_address a = address(rows[i].address);
        if (access_admits(&rows[i].rules, &a) != rows[i].admitted)
            fail_msg("row %zu: %s", i, rows[i].address);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows),
        cmocka_unit_test(every_prefix),
        cmocka_unit_test(any_of_several),
        cmocka_unit_test(admission),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
