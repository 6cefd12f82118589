/* balance: hash, for requests, upgrades and passed-through connections: the same key, the same server. */
#include "tests/gateway/talk.h"

#define ANSWER "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
#define SERVERS "servers: [ 9001, 9002, 9003, 9004, 9005 ], balance: hash"

static struct conf *keyed;

static int load(void **state)
{
    (void)state;
    keyed = world_conf("listeners: [ { address: 127.0.0.1:1, trusted: [ 192.0.2.200 ] } ]\n"
                       "upstreams:\n"
                       "  client: { " SERVERS " }\n"
                       "  path: { " SERVERS ", hash: path }\n"
                       "  header: { " SERVERS ", hash: \"header:X-Room\" }\n"
                       "  cookie: { " SERVERS ", hash: \"cookie:user\" }\n"
                       "routes: [ { match: { path: /path }, upstream: path }, { match: { path: /header }, upstream: header },\n"
                       "  { match: { path: /cookie }, upstream: cookie }, { upstream: client } ]\n");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    conf_free(keyed);
    return 0;
}

/* The port of the server that a request from this address goes to. */
static unsigned port_of(struct world *w, const char *address, const char *request)
{
    size_t dials = w->dials;
    struct peer *client = world_client_at(w, 0, address);

    client->react = hang_up_when_finished;
    says(w, client, request);
    assert_int_equal(w->dials, dials + 1);
    says(w, world_server(w, w->servers_n - 1), ANSWER);
    expect_ends_with(&client->got, "ok");
    peer_ends(client);
    world_run(w);
    return w->dialed[dials]->port;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void expect_same_for_same(const char *format, const char *a, const char *b_format)
{
    unsigned seen = 0;

    for (int i = 0; i < 12; i++) {
        struct world w;
        char first[512], again[512];
        unsigned port;
        snprintf(first, sizeof(first), format, i, i + 1000);
        snprintf(again, sizeof(again), b_format, i, i + 2000);
        world_begin(&w, keyed);
        port = port_of(&w, a, first);
        for (int n = 0; n < 3; n++)
            assert_int_equal(port_of(&w, "192.0.2.9", again), port);
        seen |= 1u << (port - 9001);
        world_end(&w);
    }
    assert_true((seen & (seen - 1)) != 0);       /* and not all to one */
}
#pragma GCC diagnostic pop

static void by_path_header_and_cookie(void **state)
{
    (void)state;
    expect_same_for_same("GET /path/%d?q=%d HTTP/1.1\r\nHost: a.test\r\n\r\n", "192.0.2.8", "GET /path/%d?q=%d HTTP/1.1\r\nHost: b.test\r\n\r\n");
    expect_same_for_same("GET /header/x HTTP/1.1\r\nHost: a.test\r\nX-Room: room %d\r\nX-Else: %d\r\n\r\n", "192.0.2.8",
                         "GET /header/y HTTP/1.1\r\nhost: a.test\r\nx-room: room %d\r\nx-room: %d\r\n\r\n");
    expect_same_for_same("GET /cookie HTTP/1.1\r\nHost: a.test\r\nCookie: user=%d; other=%d\r\n\r\n", "192.0.2.8",
                         "GET /cookie HTTP/1.1\r\nHost: a.test\r\nCookie: users=1\r\nCookie: a=b;user=%d;other=%d\r\n\r\n");
}
/* The real client, also behind a hop that may tell; and an upgrade goes where its client's requests go. */
static void by_client(void **state)
{
    unsigned seen = 0;

    (void)state;
    for (int i = 0; i < 12; i++) {
        struct world w;
        char address[32], behind[256];
        unsigned port;
        size_t dials;
        struct peer *client;
        snprintf(address, sizeof(address), "192.0.2.%d", i + 1);
        snprintf(behind, sizeof(behind), "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: %s\r\n\r\n", address);
        world_begin(&w, keyed);
        port = port_of(&w, address, GET("/one"));
        assert_int_equal(port_of(&w, address, GET("/two")), port);
        assert_int_equal(port_of(&w, "192.0.2.200", behind), port);
        dials = w.dials;
        client = world_client_at(&w, 0, address);
        says(&w, client, WS_REQUEST);
        assert_int_equal(w.dialed[dials]->port, port);
        seen |= 1u << (port - 9001);
        world_kill_and_end(&w);
    }
    assert_true((seen & (seen - 1)) != 0);
}

static void without_it_in_turn(void **state)
{
    struct world w;

    (void)state;
    world_begin(&w, keyed);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(port_of(&w, "192.0.2.8", GET("/cookie")), 9001 + i % 5);
    leave(&w, world_client(&w));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_path_header_and_cookie),
        cmocka_unit_test(by_client),
        cmocka_unit_test(without_it_in_turn),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
