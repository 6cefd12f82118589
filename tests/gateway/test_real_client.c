/* Whose request it is, behind hops that are trusted and hops that are not: in the log, in a tunnel's record, and to servers. */
#include "tests/gateway/origin.h"

enum { BY_XFF, BY_FORWARDED, BY_NOTHING, BEHIND };       /* listeners */

static const char *const conf_text =
    "listeners:\n"
    "  - { address: 127.0.0.1:1, name: xff, trusted: [ 10.0.0.0/8 ] }\n"
    "  - { address: 127.0.0.1:2, name: forwarded, trusted: [ 10.0.0.0/8 ], real_address: forwarded }\n"
    "  - { address: 127.0.0.1:3, name: nothing, trusted: [ 10.0.0.0/8 ], real_address: off }\n"
    "  - { address: 127.0.0.1:4, name: behind, trusted: [ 10.0.0.0/8 ], proxy_protocol: require }\n"
    "timeouts: { drain_spread: 0ms }\n"
    "upstreams: { app: { servers: [ 127.0.0.1:9001 ] }, named: { servers: [ 127.0.0.1:9002 ], send_proxy: v1 } }\n"
    "routes: [ { match: { path: /named }, upstream: named },\n"
    "  { match: { path: /plain/few }, upstream: app, allow: [ 203.0.113.0/24 ] }, { upstream: app } ]\n";

static struct conf *conf;

static int load(void **state)
{
    (void)state;
    conf = world_conf(conf_text);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    conf_free(conf);
    return 0;
}

static void expect_client(size_t listener, const char *hop, const char *fields, const char *logged)
{
    struct world w;
    struct peer *client;

    world_begin(&w, conf);
    w.on_server = origin_new;
    client = world_client_at(&w, listener, hop);
    peer_says(client, "GET /plain HTTP/1.1\r\nHost: a.test\r\n");
    peer_says(client, fields);
    peer_says(client, "\r\n");
    world_run(&w);
    if (strcmp(world_said(&w, "exchange", 0, "client"), logged) != 0)
        fail_msg("%s behind %s: logged as %s", fields, hop, world_said(&w, "exchange", 0, "client"));
    peer_ends(client);
    world_end(&w);
}

#define SPOOF "X-Forwarded-For: 6.6.6.6, 10.0.0.2\r\nForwarded: for=7.7.7.7, for=10.0.0.2\r\nX-Real-IP: 8.8.8.8\r\n"

static void logged(void **state)
{
    (void)state;
    expect_client(BY_XFF, "10.0.0.1", "", "10.0.0.1:40000");
    expect_client(BY_XFF, "10.0.0.1", SPOOF, "6.6.6.6");
    expect_client(BY_FORWARDED, "10.0.0.1", SPOOF, "7.7.7.7");
    expect_client(BY_NOTHING, "10.0.0.1", SPOOF, "10.0.0.1:40000");
    expect_client(BY_XFF, "10.0.0.1", "X-Forwarded-For: 6.6.6.6, \"203.0.113.9\r\n", "10.0.0.1:40000");
    expect_client(BY_XFF, "10.0.0.1", "X-Forwarded-For: 6.6.6.6, [2001:db8::9]:443\r\n", "[2001:db8::9]:443");
    expect_client(BY_XFF, "10.0.0.1", "X-Forwarded-For: 2001:db8::9\r\n", "[2001:db8::9]");
    expect_client(BY_XFF, "192.0.2.7", SPOOF, "192.0.2.7:40000");
    expect_client(BY_FORWARDED, "192.0.2.7", SPOOF, "192.0.2.7:40000");
}

/* What the next hop is told stays a chain: each says from whom it has the request, and nobody else. */
static void chained(void **state)
{
    struct world w;
    struct peer *client;
    const char *got;

    (void)state;
    world_begin(&w, conf);
    w.on_server = origin_new;
    client = world_client_at(&w, BY_XFF, "10.0.0.1");
    peer_says(client, "GET /plain HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n\r\n");
    world_run(&w);
    got = bytes_text(&world_server(&w, 0)->got);
    assert_non_null(strstr(got, "\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.0.0.1\r\n"));
    /* each request of a kept connection has its own client */
    peer_says(client, "GET /plain HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 203.0.113.10\r\n\r\n");
    peer_says(client, "BAD\r\n\r\n");
    world_run(&w);
    assert_string_equal(world_said(&w, "exchange", 0, "client"), "203.0.113.9");
    assert_string_equal(world_said(&w, "exchange", 1, "client"), "203.0.113.10");
    assert_string_equal(world_said(&w, "exchange", 2, "client"), "10.0.0.1:40000");      /* no head, nobody else's name */
    peer_ends(client);
    world_end(&w);
}

/* A PROXY header has one client, and it is the real one; a tunnel's record names it, too. */
static void told_by_header(void **state)
{
    struct world w;
    struct peer *client;
    const char *got;

    (void)state;
    world_begin(&w, conf);
    client = world_client_at(&w, BY_XFF, "10.0.0.1");
    peer_says(client, "GET /named HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 6.6.6.6, 2001:db8::9\r\n" WS_OFFER_FIELDS "\r\n");
    world_run(&w);
    got = bytes_text(&world_server(&w, 0)->got);
    assert_int_equal(strncmp(got, "PROXY TCP6 2001:db8::9 ::ffff:127.0.0.1 0 1\r\nGET /named ", 54), 0);
    peer_says(world_server(&w, 0), WS_101);
    world_run(&w);
    assert_int_equal(world_count(&w.services.tunnels), 1);
    world_kill(&w);
    assert_string_equal(world_said(&w, "tunnel", 0, "client"), "[2001:db8::9]");
    world_end(&w);
}

/* Two load balancers, one of which speaks for the other: its client is trusted, and so are that one's fields. */
static void behind_both(void **state)
{
    static const struct {
        const char *header, *client;
    } rows[] = {
        { "PROXY TCP4 10.0.0.2 198.51.100.1 1000 443\r\n", "203.0.113.9" },
        { "PROXY TCP4 203.0.113.7 198.51.100.1 1000 443\r\n", "203.0.113.7:1000" },
        { "PROXY UNKNOWN\r\n", "10.0.0.1:40000" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct peer *client;
        world_begin(&w, conf);
        w.on_server = origin_new;
        client = world_client_at(&w, BEHIND, "10.0.0.1");
        peer_says(client, rows[i].header);
        peer_says(client, "GET /plain HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.9\r\n\r\n");
        world_run(&w);
        assert_string_equal(world_said(&w, "exchange", 0, "client"), rows[i].client);
        peer_ends(client);
        world_end(&w);
    }
}

/* TLS that ended at the hop is told onward, as the hop told it. */
static void tls_ahead(void **state)
{
    static const struct span with_tls = SPAN_LITERAL("\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14\xcb\0\x71\x09\xc6\x33\x64\x01\xdc\x04\x01\xbb"
                                                     "\x20\0\x05\x01\0\0\0\x01");

    (void)state;
    for (int tls = 0; tls < 2; tls++) {
        struct world w;
        struct peer *client;
        world_begin(&w, conf);
        w.on_server = origin_new;
        client = world_client_at(&w, BEHIND, "10.0.0.1");
        peer_give(client, tls ? with_tls : SPAN_LITERAL("PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n"));
        peer_says(client, "GET /plain HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: gopher\r\n\r\n");
        world_run(&w);
        assert_non_null(strstr(bytes_text(&world_server(&w, 0)->got),
                               tls ? "\r\nX-Forwarded-Proto: https\r\n" : "\r\nX-Forwarded-Proto: http\r\n"));
        peer_ends(client);
        world_end(&w);
    }
}

/* Rules about addresses are about the client's, and a hop's good name opens no door for those behind it. */
static void admitted(void **state)
{
    static const struct {
        const char *fields;
        unsigned status;
    } rows[] = {
        { "X-Forwarded-For: 203.0.113.9\r\n", 200 },
        { "X-Forwarded-For: 203.0.113.9, 192.0.2.9\r\n", 403 },
        { "X-Forwarded-For: 192.0.2.9, 203.0.113.9\r\n", 200 },
        { "Forwarded: for=203.0.113.9\r\n", 403 },
        { "", 403 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct peer *client;
        char line[32];
        world_begin(&w, conf);
        w.on_server = origin_new;
        client = world_client_at(&w, BY_XFF, "10.0.0.1");
        peer_says(client, "GET /plain/few HTTP/1.1\r\nHost: a.test\r\n");
        peer_says(client, rows[i].fields);
        peer_says(client, "\r\n");
        world_run(&w);
        snprintf(line, sizeof(line), "HTTP/1.1 %u ", rows[i].status);
        if (strncmp(bytes_text(&client->got), line, strlen(line)) != 0)
            fail_msg("%s: not %u", rows[i].fields, rows[i].status);
        peer_ends(client);
        world_end(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logged),
        cmocka_unit_test(chained),
        cmocka_unit_test(told_by_header),
        cmocka_unit_test(behind_both),
        cmocka_unit_test(tls_ahead),
        cmocka_unit_test(admitted),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
