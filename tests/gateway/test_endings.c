/* Close at every moment: each state of a connection, an exchange and a tunnel, ended in each way there is. Whatever happens,
 * everything is gone in the end, nothing is left over, and there is exactly one line for each exchange and one record for each
 * tunnel. */
#include "tests/gateway/origin.h"

#include "tests/gateway/play.h"

static const char *const conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main } ]\n"
    "timeouts: { drain_spread: 100ms }\n"
    "upstreams:\n"
    "  app: { servers: [ 127.0.0.1:9001 ], retries: 1 }\n"
    "  two: { servers: [ 127.0.0.1:9002, 127.0.0.1:9003 ], retries: 1 }\n"
    "routes:\n"
    "  - { upstream: two, match: { path: /two } }\n"
    "  - { upstream: app, match: { path: /ping }, websocket: { ping_interval: 30s } }\n"
    "  - { upstream: app, match: { path: /blind }, websocket: { verify: blind } }\n"
    "  - { upstream: app, match: { host: a.test }, websocket: { ping_interval: off } }\n";

enum { ROUTE_PING = 1, ROUTE_BLIND, ROUTE_FRAMES };

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

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define POST(target, length) "POST " target " HTTP/1.1\r\nHost: a.test\r\nContent-Length: " length "\r\n\r\n"
#define OK_10 "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"

/* ---- moments of an exchange ---- */

/* In this order: the first dials' plans, what the client says, what stops reading, what the server says, and what the client
 * says then. */
static const struct moment {
    const char *name;
    enum dial_plan plan[2];
    const char *client_says;
    bool server_blocked, client_blocked;
    const char *server_says;
    bool server_ends;
    const char *client_says_then;
    const char *server_says_then;
} moments[] = {
    { .name = "nothing was said", .client_says = "" },
    { .name = "a blank line was said", .client_says = "\r\n" },
    { .name = "in the head", .client_says = "GET / HTTP/1.1\r\nHo" },
    { .name = "dialing", .plan = { DIAL_HANGS }, .client_says = GET("/") },
    { .name = "dialing, a body waits", .plan = { DIAL_HANGS }, .client_says = POST("/", "10") "abc" },
    { .name = "dialing the second server", .plan = { DIAL_REFUSED, DIAL_HANGS }, .client_says = GET("/two") },
    { .name = "dialing for an upgrade, early bytes wait", .plan = { DIAL_HANGS }, .client_says = WS_REQUEST "\x81" },
    { .name = "the answer is awaited", .client_says = GET("/") },
    { .name = "the request does not go out", .client_says = GET("/"), .server_blocked = true },
    { .name = "the body is awaited", .client_says = POST("/", "10") "abc" },
    { .name = "the body does not go out", .client_says = POST("/", "10"), .server_blocked = true,
      .client_says_then = "abcdefghij" },
    { .name = "in a chunk", .client_says = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab" },
    { .name = "in the trailers", .client_says = "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " },
    { .name = "an interim answer has passed", .client_says = GET("/"), .server_says = "HTTP/1.1 103 Early Hints\r\n\r\n" },
    { .name = "in the answer's head", .client_says = GET("/"), .server_says = "HTTP/1.1 200 O" },
    { .name = "in the answer's body", .client_says = GET("/"), .server_says = OK_10 "abc" },
    { .name = "in the answer's body, which does not go out", .client_says = GET("/"), .client_blocked = true,
      .server_says = OK_10 "abc" },
    { .name = "the whole answer waits for the client", .client_says = GET("/"), .client_blocked = true,
      .server_says = OK_10 "abcdefghij" },
    { .name = "in a chunk of the answer", .client_says = GET("/"),
      .server_says = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab" },
    { .name = "in an answer until the end", .client_says = GET("/"), .server_says = "HTTP/1.1 200 OK\r\n\r\nabc" },
    { .name = "the server is gone, its answer waits", .client_says = GET("/"), .client_blocked = true,
      .server_says = OK_10 "abcdefghij",
      .server_ends = true },
    { .name = "an early answer in both bodies", .client_says = POST("/", "10") "abc", .server_says = OK_10 "abc" },
    { .name = "an early answer is over", .client_says = POST("/", "10") "abc", .server_says = OK_10 "abcdefghij" },
    { .name = "refused", .client_says = "GET / HTTP/1.1\r\n\r\n" },
    { .name = "refused, and the client does not read", .client_says = "GET / HTTP/1.1\r\n\r\n", .client_blocked = true },
    { .name = "kept", .client_says = GET("/"), .server_says = OK_10 "abcdefghij" },
    { .name = "kept, and in the next head", .client_says = GET("/"), .server_says = OK_10 "abcdefghij",
      .client_says_then = "GET / HT" },
    { .name = "the second request is with the same server", .client_says = GET("/"), .server_says = OK_10 "abcdefghij",
      .client_says_then = GET("/2") },
    { .name = "the second request waits", .client_says = GET("/") GET("/2"), .server_says = OK_10 "abc" },
    { .name = "a kept connection was stale", .client_says = GET("/"), .server_says = OK_10 "abcdefghij", .server_ends = true,
      .client_says_then = GET("/2") },
    { .name = "an upgrade is awaited", .client_says = WS_REQUEST },
    { .name = "an upgrade is awaited, early bytes wait", .client_says = WS_REQUEST GET("/admin") },
    { .name = "in the head of a 101", .client_says = WS_REQUEST, .server_says = "HTTP/1.1 101 Switching" },
    { .name = "a refused upgrade, in the body", .client_says = WS_REQUEST "x",
      .server_says = "HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nno" },
    { .name = "a bad 101 was answered", .client_says = WS_REQUEST,
      .server_says = "HTTP/1.1 101 No\r\nUpgrade: websocket\r\n\r\n" },
};

enum ending {
    CLIENT_EOF, CLIENT_RESET, CLIENT_DEAF, CLIENT_JUNK, SERVER_EOF, SERVER_RESET, SERVER_DEAF, SERVER_JUNK, TIME, DRAIN, KILL,
    ENDINGS
};
static const char *const ending_names[] = {
    "client eof", "client reset", "client deaf", "client junk", "server eof", "server reset", "server deaf", "server junk",
    "time",
    "drain", "kill"
};

static struct peer *last_server(struct world *w)
{
    return w->servers_n > 0 ? w->servers[w->servers_n - 1] : NULL;
}

static void block_new_server(struct world *w, struct peer *server)
{
    (void)w;
    peer_stops_reading(server);
}

static struct peer *reach(struct world *w, const struct moment *m)
{
    struct peer *client;

    memcpy(w->plan, m->plan, sizeof(m->plan));
    w->on_server = m->server_blocked ? block_new_server : NULL;
    client = world_client(w);
    if (m->client_blocked)
        peer_stops_reading(client);
    peer_says(client, m->client_says);
    world_run(w);
    if (m->server_says != NULL)
        peer_says(last_server(w), m->server_says);
    if (m->server_ends)
        peer_ends(last_server(w));
    world_run(w);
    if (m->client_says_then != NULL)
        peer_says(client, m->client_says_then);
    world_run(w);
    return client;
}

static void give_junk(struct peer *p)
{
    if (p->ends == STREAM_OPEN)
        peer_give(p, SPAN_LITERAL("\xff\xfe\r\n\r\n\x80junk"));
}

static void end_by(struct world *w, struct peer *client, struct peer *server, enum ending how)
{
    switch (how) {
    case CLIENT_EOF:
        peer_ends(client);
        break;
    case CLIENT_RESET:
        peer_resets(client);
        break;
    case CLIENT_DEAF:
        client->fails_at = client->got.n;
        peer_reads_on(client);
        break;
    case CLIENT_JUNK:
        give_junk(client);
        break;
    case SERVER_EOF:
        peer_ends(server);
        break;
    case SERVER_RESET:
        peer_resets(server);
        break;
    case SERVER_DEAF:
        server->fails_at = server->got.n;
        peer_reads_on(server);
        break;
    case SERVER_JUNK:
        give_junk(server);
        break;
    case TIME:
        world_sleep(w, 200000);
        break;
    case DRAIN:
        world_drain(w);
        break;
    case KILL:
        world_kill(w);
        break;
    case ENDINGS:
        break;
    }
    world_run(w);
}

static bool needs_server(enum ending how)
{
    return how == SERVER_EOF || how == SERVER_RESET || how == SERVER_DEAF || how == SERVER_JUNK;
}

static void expect_gone(const struct world *w, const char *name, const char *ending)
{
    if (world_living(w) != 0)
        fail_msg("%s, %s: %zu are still there", name, ending, world_living(w));
}

static void end_moment(const struct moment *m, enum ending how, size_t piece)
{
    struct world w;
    struct peer *client;
    uint64_t begun;

    world_begin(&w, conf);
    w.piece = w.grain = piece;
    client = reach(&w, m);
    if (needs_server(how) && last_server(&w) == NULL) {
        world_kill_and_end(&w);
        return;
    }
    begun = w.metrics.exchanges + w.metrics.exchanges_open;
    end_by(&w, client, last_server(&w), how);
    world_sleep(&w, 200000);             /* longer than everything that is waited for */
    expect_gone(&w, m->name, ending_names[how]);
    if (w.metrics.exchanges < begun || world_lines(&w, "exchange") != w.metrics.exchanges)
        fail_msg("%s, %s: of %u exchanges begun, %u ended and %zu have a line", m->name, ending_names[how], (unsigned)begun,
                 (unsigned)w.metrics.exchanges, world_lines(&w, "exchange"));
    world_end(&w);
}

static void each_moment_of_an_exchange(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT_OF(moments); m++)
        for (enum ending how = 0; how < ENDINGS; how++)
            for (size_t piece = 1; piece <= 2; piece++)
                end_moment(&moments[m], how, piece == 1 ? SIZE_MAX : 1);
}

/* Two endings, one after the other, in the same turn of the loop. */
static void each_moment_of_an_exchange_twice_at_once(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT_OF(moments); m++) {
        for (unsigned both = 0; both < 4; both++) {
            struct world w;
            struct peer *client, *server;
            world_begin(&w, conf);
            client = reach(&w, &moments[m]);
            server = last_server(&w);
            if ((both & 1) != 0)
                peer_resets(client);
            else
                peer_ends(client);
            if (server != NULL && (both & 2) != 0)
                peer_resets(server);
            else if (server != NULL)
                peer_ends(server);
            world_run(&w);
            world_sleep(&w, 200000);
            expect_gone(&w, moments[m].name, "both");
            assert_int_equal(world_lines(&w, "exchange"), w.metrics.exchanges);
            world_end(&w);
        }
    }
}

/* ---- moments of a tunnel ---- */

static const struct tunnel_moment {
    const char *name, *play;
} tunnel_moments[] = {
    { "open", "" },
    { "frames have passed", "c text(a); s text(b)" },
    { "in a message", "c frag(a); s fragbin(b)" },
    { "in a frame of the client's", "c open(9,abc)" },
    { "in frames of both", "c open(9,abc); s open(9,abc)" },
    { "in a header", "c hex(81); s hex(82)" },
    { "the server does not read", "s block; c text(abc)" },
    { "the server does not read, more waits", "s block; c text(abc) text(def); s text(a)" },
    { "the client does not read", "c block; s text(abc)" },
    { "nobody reads", "c block; s block; c text(a); s text(b)" },
    { "nobody reads, both have closed", "c block; s block; c close(1000); s close(1000)" },
    { "the client has closed", "c close(1000)" },
    { "the server has closed", "s close(1001)" },
    { "the client has closed, the server is in a frame", "s open(9,abc); c close(1000)" },
    { "a close waits for room", "s block; c close(1000)" },
    { "both have closed", "c close(1000); s close(1000)" },
    { "both have closed, the client is gone", "c close(1000); s close(1000); c eof" },
    { "the client broke the protocol", "c hex(83)" },
    { "the client broke the protocol, the server does not read", "s block; c hex(83)" },
    { "the client broke the protocol, the server is in a frame", "s open(9,abc); c hex(83)" },
    { "the server broke the protocol", "s hex(ff)" },
    { "the server broke the protocol behind a blocked frame", "c block; s text(a) hex(ff)" },
    { "the client vanished", "c eof" },
    { "the client vanished in a frame", "c open(9,abc); c eof" },
    { "the server was reset", "s reset" },
    { "the server vanished, the client does not read", "c block; s eof" },
    { "draining", "drain; t 104" },
    { "draining in a frame", "c open(9,abc); drain; t 104" },
    { "draining, nobody reads", "c block; s block; drain; t 104" },
    { "a drain is due", "drain" },
    { "pinged", "t 31000" },
    { "pinged, and not read", "c block; t 31000" },
    { "idle", "t 300100" },
    { "a side is slow", "c block; s text(a); t 60100" },
};

static void end_tunnel(const struct tunnel_moment *m, size_t route, enum ending how, size_t piece)
{
    struct world w;
    struct stage st;

    world_begin(&w, conf);
    w.piece = w.grain = piece;
    st = play_begin(&w, route, false);
    play(&st, m->play);
    if (world_count(&w.services.tunnels) == 0) {
        world_end(&w);
        return;
    }
    end_by(&w, st.client, st.server, how);
    if (how == CLIENT_EOF || how == CLIENT_RESET || how == SERVER_EOF || how == SERVER_RESET)
        world_sleep(&w, 60000 + 5000 + 5000 + 1100);     /* one is gone: at most the other is still to read, to close, to end */
    else
        world_sleep(&w, 300000 + 60000 + 5000 + 5000 + 1100);
    expect_gone(&w, m->name, ending_names[how]);
    assert_int_equal(world_lines(&w, "tunnel"), 1);
    if (strcmp(world_said(&w, "tunnel", 0, "end"), "none") == 0)
        fail_msg("%s, %s: ended for no reason", m->name, ending_names[how]);
    world_end(&w);
}

static void each_moment_of_a_tunnel(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT_OF(tunnel_moments); m++)
        for (size_t route = ROUTE_PING; route <= ROUTE_FRAMES; route++)
            for (enum ending how = 0; how < ENDINGS; how++)
                for (size_t piece = 1; piece <= 2; piece++)
                    end_tunnel(&tunnel_moments[m], route, how, piece == 1 ? SIZE_MAX : 1);
}

/* The moment of the switch itself: the 101 is there, and in the same turn something ends. */
static void at_the_switch(void **state)
{
    static const char *const behind[] = { "", "\x81\x01x", "\x88\x02\x03\xe8", "\xff", "\x81" };

    (void)state;
    for (size_t b = 0; b < COUNT_OF(behind); b++) {
        for (enum ending how = 0; how < ENDINGS; how++) {
            struct world w;
            struct peer *client, *server;
            world_begin(&w, conf);
            client = world_client(&w);
            peer_says(client, WS_REQUEST "\x81");
            world_run(&w);
            server = world_server(&w, 0);
            peer_says(server, WS_101);
            peer_says(server, behind[b]);
            end_by(&w, client, server, how);
            world_sleep(&w, 300000 + 60000 + 5000 + 5000 + 1100);
            expect_gone(&w, behind[b], ending_names[how]);
            assert_int_equal(world_lines(&w, "exchange"), 1);
            assert_int_equal(world_lines(&w, "tunnel"), w.metrics.tunnels);
            world_end(&w);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_moment_of_an_exchange),
        cmocka_unit_test(each_moment_of_an_exchange_twice_at_once),
        cmocka_unit_test(each_moment_of_a_tunnel),
        cmocka_unit_test(at_the_switch),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
