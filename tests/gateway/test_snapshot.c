/* Another configuration in the middle of everything: who goes on under the old one, who takes the new one and when, which servers and
 * connections live on, and that nothing of an old configuration is left when nobody needs it. */
#include "tests/gateway/talk.h"

#define LISTENERS "listeners: [ { address: 127.0.0.1:1, name: main }, { address: 127.0.0.1:2, name: side } ]\n"
#define UPSTREAM(name, servers) "upstreams: { " name ": { servers: [ " servers " ] } }\n"
#define ROUTE(name) "routes: [ { upstream: " name " } ]\n"
#define ONE LISTENERS UPSTREAM("app", "127.0.0.1:9001") ROUTE("app")

#define ANSWER(body) "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" body

static struct conf *one;

static int load(void **state)
{
    (void)state;
    one = world_conf(ONE);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    conf_free(one);
    return 0;
}

static struct peer *begin(struct world *w, const char *request)
{
    struct peer *client;

    world_begin(w, one);
    client = world_client(w);
    client->react = hang_up_when_finished;
    says(w, client, request);
    return client;
}

static const struct server *server_of(const struct world *w, size_t upstream, size_t place)
{
    return w->services.snapshot->upstreams[upstream].servers[place];
}

/* ---- requests ---- */

static void the_next_request_takes_the_next_configuration(void **state)
{
    struct world w;
    struct peer *client = begin(&w, GET("/first"));

    (void)state;
    world_reload(&w, LISTENERS UPSTREAM("next", "127.0.0.1:9002") ROUTE("next"));
    says(&w, world_server(&w, 0), ANSWER("one"));
    expect_ends_with(&client->got, "one");
    assert_true(world_server(&w, 0)->closed);            /* its server is no longer wanted: nothing is kept */
    says(&w, client, GET("/second"));
    says(&w, world_server(&w, 1), ANSWER("two"));
    assert_string_equal(world_said(&w, "exchange", 0, "upstream"), "app");
    assert_string_equal(world_said(&w, "exchange", 1, "upstream"), "next");
    expect_ends_with(&client->got, "two");
    assert_int_equal(w.generation.holders, 1);           /* nobody needs the first one */
    leave(&w, client);
}

static void a_request_sent_ahead_takes_the_next_configuration(void **state)
{
    struct world w;
    struct peer *client = begin(&w, GET("/first") GET("/second"));

    (void)state;
    world_reload(&w, LISTENERS UPSTREAM("next", "127.0.0.1:9002") ROUTE("next"));
    says(&w, world_server(&w, 0), ANSWER("one"));
    says(&w, world_server(&w, 1), ANSWER("two"));
    expect_ends_with(&client->got, "two");
    assert_string_equal(world_said(&w, "exchange", 1, "server"), "127.0.0.1:9002");
    leave(&w, client);
}

static void a_head_half_sent_takes_the_next_configuration(void **state)
{
    struct world w;
    struct peer *client = begin(&w, "GET / HTTP/1.1\r\nHo");

    (void)state;
    world_reload(&w, LISTENERS UPSTREAM("next", "127.0.0.1:9002") ROUTE("next") "limits: { header_bytes: 256B }\n");
    says(&w, client, "st: a.test\r\n\r\n");
    says(&w, world_server(&w, 0), ANSWER("one"));
    assert_string_equal(world_said(&w, "exchange", 0, "upstream"), "next");
    leave(&w, client);
}

static void limits_and_times_of_a_kept_connection_follow(void **state)
{
    struct world w;
    struct peer *client = begin(&w, GET("/"));
    char head[400];

    (void)state;
    says(&w, world_server(&w, 0), ANSWER("one"));
    world_reload(&w, ONE "limits: { header_bytes: 256B }\ntimeouts: { keepalive: 20s }\n");
    snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a.test\r\nX: %0300d\r\n\r\n", 0);
    says(&w, client, head);
    expect_in(&client->got, "HTTP/1.1 431 ");
    leave(&w, client);

    client = begin(&w, GET("/"));
    world_reload(&w, ONE "timeouts: { keepalive: 20s }\n");
    says(&w, world_server(&w, 0), ANSWER("one"));
    world_sleep(&w, 19000);
    assert_false(client->closed);
    world_sleep(&w, 1100);
    assert_true(client->closed);
    world_end(&w);
}

/* What a client says of itself is believed, or not, as the configuration in force has it. */
static void trust_follows(void **state)
{
    struct world w;
    struct peer *client = begin(&w, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"), *server;

    (void)state;
    server = world_server(&w, 0);
    expect_not_in(&server->got, "203.0.113.9");
    says(&w, server, ANSWER("one"));
    world_reload(&w, "listeners: [ { address: 127.0.0.1:1, trusted: [ 192.0.2.0/24 ] }, 127.0.0.1:2 ]\n"
                     UPSTREAM("app", "127.0.0.1:9001") ROUTE("app"));
    says(&w, client, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
    expect_in(&server->got, "203.0.113.9");
    says(&w, server, ANSWER("two"));
    leave(&w, client);
}

/* ---- servers ---- */

static void servers_that_are_still_wanted_live_on(void **state)
{
    struct world w;
    struct peer *client;
    const struct server *first;

    (void)state;
    client = begin(&w, GET("/1"));
    first = server_of(&w, 0, 0);
    says(&w, world_server(&w, 0), ANSWER("one"));
    assert_int_equal(first->pool.n, 1);
    world_reload(&w, LISTENERS "upstreams: { new: { servers: [ 9007 ] }, app: { servers: [ 9008, { address: 127.0.0.1:9001, weight: 7 } ] } }\n"
                     "routes: [ { match: { path: /new }, upstream: new }, { upstream: app } ]\n");
    assert_ptr_equal(server_of(&w, 1, 1), first);
    assert_int_equal(first->state->weight, 7);
    assert_int_equal(first->pool.n, 1);
    says(&w, client, GET("/2"));
    assert_int_equal(w.metrics.pool_reuses, 1);          /* the connection lives on, too */
    says(&w, world_server(&w, 0), ANSWER("two"));
    world_reload(&w, LISTENERS "upstreams: { app: { servers: [ 127.0.0.1:9001 ], keepalive: off } }\n" ROUTE("app"));
    assert_ptr_equal(server_of(&w, 0, 0), first);
    assert_int_equal(first->pool.n, 0);
    leave(&w, client);
}

static void a_tunnel_outlives_its_server_s_configuration(void **state)
{
    struct world w;
    struct peer *client = begin(&w, WS_REQUEST), *server = world_server(&w, 0);

    (void)state;
    says(&w, server, WS_101);
    world_reload(&w, LISTENERS UPSTREAM("next", "127.0.0.1:9002") ROUTE("next"));
    assert_int_equal(w.generation.holders, 2);           /* the tunnel's */
    world_reload(&w, LISTENERS UPSTREAM("app", "127.0.0.1:9001") ROUTE("app"));
    assert_int_equal(server_of(&w, 0, 0)->busy, 0);      /* it was away: another one by the same name */
    says(&w, server, "\x81\x02hi");
    expect_ends_with(&client->got, "\x81\x02hi");
    peer_ends(server);
    peer_ends(client);
    world_sleep(&w, 6000);
    assert_string_equal(world_said(&w, "tunnel", 0, "server"), "127.0.0.1:9001");
    assert_int_equal(w.generation.holders, 1);
    world_end(&w);
}

static void a_tunnel_counts_at_the_server_that_lives_on(void **state)
{
    struct world w;
    struct peer *client = begin(&w, WS_REQUEST), *server = world_server(&w, 0);

    (void)state;
    says(&w, server, WS_101);
    world_reload(&w, LISTENERS UPSTREAM("app", "9005, 127.0.0.1:9001") ROUTE("app"));
    assert_int_equal(server_of(&w, 0, 1)->busy, 1);
    peer_ends(server);
    peer_ends(client);
    world_sleep(&w, 6000);
    assert_int_equal(server_of(&w, 0, 1)->busy, 0);
    world_end(&w);
}

static struct tally_counts counted(const struct world *w, size_t route)
{
    return tally_sum(w->services.snapshot->generation->routes[route]);
}

static void counts_go_on_under_the_same_name(void **state)
{
    struct world w;
    struct peer *client = begin(&w, GET("/")), *tunnel;
    struct tally_counts counts;

    (void)state;
    says(&w, world_server(&w, 0), ANSWER("one"));
    tunnel = world_client(&w);
    says(&w, tunnel, WS_REQUEST);
    says(&w, world_server(&w, 1), WS_101);
    world_reload(&w, LISTENERS "upstreams: { other: { servers: [ 9007 ] }, app: { servers: [ 9008 ] } }\n"
                     "routes: [ { match: { exact: /x, host: b.test }, upstream: other }, { upstream: app } ]\n");
    assert_string_equal(w.services.snapshot->generation->routes[0]->name, "b.test=/x");
    assert_int_equal(counted(&w, 0).exchanges[2], 0);
    assert_int_equal(counted(&w, 1).exchanges[2], 1);
    assert_int_equal(counted(&w, 1).exchanges[1], 1);
    counts = counted(&w, 1);
    assert_int_equal(counts.tunnels_open, 1);
    says(&w, world_server(&w, 1), "\x81\x02hi");
    assert_int_equal(w.metrics.flow[METRICS_SERVER].messages, 1);        /* as it passes, not when the tunnel ends */
    assert_int_equal(w.metrics.bytes_to_clients, 7);
    world_kill(&w);
    counts = tally_sum(w.services.snapshot->generation->upstreams[1]);
    assert_int_equal(counts.tunnels_open, 0);
    assert_int_equal(counts.tunnels, 1);
    assert_int_equal(counts.bytes_to_clients, 7);
    assert_int_equal(w.metrics.ended[METRICS_UPGRADE][END_SWITCHED], 1);
    world_end(&w);
    (void)client;
}

/* ---- listeners ---- */

#define WITHOUT_MAIN "listeners: [ 127.0.0.1:2 ]\n" UPSTREAM("next", "127.0.0.1:9002") ROUTE("next")

static void without_its_listener_an_idle_client_is_let_go(void **state)
{
    struct world w;
    struct peer *client = begin(&w, GET("/")), *other;

    (void)state;
    says(&w, world_server(&w, 0), ANSWER("one"));
    other = world_client_at(&w, 1, "192.0.2.8");
    world_reload(&w, WITHOUT_MAIN);
    world_run(&w);
    assert_true(client->closed);
    assert_false(other->closed);
    leave(&w, other);
}

static void without_its_listener_a_busy_client_gets_its_answer(void **state)
{
    struct world w;
    struct peer *client = begin(&w, GET("/"));

    (void)state;
    world_reload(&w, WITHOUT_MAIN);
    says(&w, world_server(&w, 0), ANSWER("one"));
    expect_ends_with(&client->got, "one");
    expect_in(&client->got, "Connection: close");        /* said in time: its listener was gone before the answer came */
    assert_true(client->fin);
    leave(&w, client);
}

/* It was sent before the client could know: it is served, under the configuration that the listener had. */
static void without_its_listener_a_request_on_its_way_is_served(void **state)
{
    struct world w;
    struct peer *client = begin(&w, "GET / HT"), *fresh = world_client(&w), *silent = world_client(&w);

    (void)state;
    fresh->react = hang_up_when_finished;
    world_run(&w);
    world_reload(&w, WITHOUT_MAIN);
    world_run(&w);
    assert_false(client->closed || fresh->closed || silent->closed);
    says(&w, client, "TP/1.1\r\nHost: a.test\r\n\r\n");
    says(&w, world_server(&w, 0), ANSWER("one"));
    expect_in(&client->got, "Connection: close");
    assert_string_equal(world_said(&w, "exchange", 0, "upstream"), "app");
    world_sleep(&w, 900);
    says(&w, fresh, GET("/"));
    says(&w, world_server(&w, 1), ANSWER("one"));
    expect_in(&fresh->got, "Connection: close");
    world_sleep(&w, 110);
    assert_true(silent->closed);                         /* it was given its second */
    leave(&w, client);
}

/* ---- nothing is left ---- */

static void many_reloads_leave_nothing(void **state)
{
    struct world w;
    struct peer *client = begin(&w, GET("/")), *tunnel;
    size_t blocks = 0;

    (void)state;
    says(&w, world_server(&w, 0), ANSWER("one"));
    tunnel = world_client(&w);
    says(&w, tunnel, WS_REQUEST);
    says(&w, world_server(&w, 1), WS_101);
    for (int i = 0; i < 1000; i++) {
        world_reload(&w, i % 2 == 0 ? LISTENERS UPSTREAM("app", "9005, 127.0.0.1:9001") ROUTE("app") : ONE);
        if (i == 1)
            blocks = mem_live_blocks();
    }
    assert_int_equal(mem_live_blocks(), blocks);
    assert_int_equal(world_count(&w.services.tunnels), 1);
    assert_int_equal(w.services.snapshot->generation->number, 1001);
    world_kill_and_end(&w);
    (void)client;
}

static void without_memory_there_is_no_snapshot_and_no_leak(void **state)
{
    struct generation *g = generation_new(world_conf(ONE), NULL, 1);
    struct world w = { .now_ms = 1 };
    struct upstream_worker own = world_worker(&w);
    size_t blocks = mem_live_blocks();
    struct snapshot *s = NULL;

    (void)state;
    for (size_t nth = 1; s == NULL; nth++) {
        mem_fail_nth(nth);
        s = snapshot_new(g, &own);
        mem_fail_nth(0);
        assert_true(s != NULL || (mem_live_blocks() == blocks && g->holders == 1));
        assert_true(nth < 20);
    }
    snapshot_release(&s);
    assert_int_equal(g->holders, 1);
    generation_release(&g);
    assert_null(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_request_takes_the_next_configuration),
        cmocka_unit_test(a_request_sent_ahead_takes_the_next_configuration),
        cmocka_unit_test(a_head_half_sent_takes_the_next_configuration),
        cmocka_unit_test(limits_and_times_of_a_kept_connection_follow),
        cmocka_unit_test(trust_follows),
        cmocka_unit_test(servers_that_are_still_wanted_live_on),
        cmocka_unit_test(a_tunnel_outlives_its_server_s_configuration),
        cmocka_unit_test(a_tunnel_counts_at_the_server_that_lives_on),
        cmocka_unit_test(counts_go_on_under_the_same_name),
        cmocka_unit_test(without_its_listener_an_idle_client_is_let_go),
        cmocka_unit_test(without_its_listener_a_busy_client_gets_its_answer),
        cmocka_unit_test(without_its_listener_a_request_on_its_way_is_served),
        cmocka_unit_test(many_reloads_leave_nothing),
        cmocka_unit_test(without_memory_there_is_no_snapshot_and_no_leak),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
