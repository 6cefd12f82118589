/* Servers that may have only so many connections: who waits, who is next, who is told that it was too long, and what frees a place. */
#include "tests/gateway/talk.h"

#define CONF(keys) \
    "listeners: [ { address: 127.0.0.1:1, name: main } ]\n" \
    "timeouts: { connect: 5s, response: 30s, drain_spread: 0ms }\n" \
    "upstreams: { app: { servers: [ 127.0.0.1:9001 ], " keys " } }\n" \
    "routes: [ { upstream: app } ]\n"

static struct conf *one, *two_servers, *asking;

static int load(void **state)
{
    (void)state;
    one = world_conf(CONF("connections: 1, queue: 3, queue_timeout: 2s"));
    two_servers = world_conf("listeners: [ 127.0.0.1:1 ]\nroutes: [ { upstream: app } ]\n"
                             "upstreams: { app: { servers: [ 127.0.0.1:9001, 127.0.0.1:9002 ], connections: 1, retries: 1 } }\n");
    asking = world_conf("listeners: [ 127.0.0.1:1 ]\n"
                        "routes: [ { upstream: app, auth: { forward: { upstream: door, path: /may, timeout: 1s } } } ]\n"
                        "upstreams: { app: { servers: [ 127.0.0.1:9001 ] }, door: { servers: [ 127.0.0.1:9002 ], connections: 1 } }\n");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    conf_free(one);
    conf_free(two_servers);
    conf_free(asking);
    return 0;
}

#define ANSWER(body) "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" body

static struct peer *asks(struct world *w, const char *request)
{
    struct peer *client = world_client(w);

    client->react = hang_up_when_finished;
    says(w, client, request);
    return client;
}

static struct server_state *state_of(struct world *w, size_t i)
{
    return w->services.snapshot->upstreams[0].servers[i]->state;
}

static void leave_all(struct world *w, struct peer **clients, size_t n)
{
    for (size_t i = 0; i < n; i++)
        peer_ends(clients[i]);
    world_run(w);
    world_end(w);
}

static void the_first_who_waits_gets_the_kept_connection(void **state)
{
    struct world w;
    struct peer *c[3];

    (void)state;
    world_begin(&w, one);
    for (size_t i = 0; i < 3; i++)
        c[i] = asks(&w, GET("/"));
    assert_int_equal(w.dials, 1);
    assert_int_equal(w.metrics.queued, 2);
    says(&w, world_server(&w, 0), ANSWER("1st"));
    says(&w, world_server(&w, 0), ANSWER("2nd"));
    expect_ends_with(&c[0]->got, "1st");
    expect_ends_with(&c[1]->got, "2nd");
    assert_int_equal(c[2]->got.n, 0);
    says(&w, world_server(&w, 0), ANSWER("3rd"));
    expect_ends_with(&c[2]->got, "3rd");
    assert_int_equal(w.dials, 1);                /* the place went from one to the next, with its connection */
    assert_int_equal(world_pooled(&w), 1);
    leave_all(&w, c, 3);
}

static void without_a_kept_connection_a_new_one_is_made(void **state)
{
    struct world w;
    struct peer *c[2];

    (void)state;
    world_begin(&w, one);
    c[0] = asks(&w, GET("/"));
    c[1] = asks(&w, GET("/"));
    says(&w, world_server(&w, 0), "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n1st");
    assert_int_equal(w.dials, 2);
    assert_true(world_server(&w, 0)->closed);
    says(&w, world_server(&w, 1), ANSWER("2nd"));
    expect_ends_with(&c[1]->got, "2nd");
    leave_all(&w, c, 2);
}

static void more_than_may_wait_are_refused(void **state)
{
    struct world w;
    struct peer *c[5];

    (void)state;
    world_begin(&w, one);
    for (size_t i = 0; i < 5; i++)
        c[i] = asks(&w, GET("/"));
    expect_status(c[4], 503);
    expect_in(&c[4]->got, "\r\nRetry-After: ");
    expect_line(&w, 0, 503, "queue_full");
    expect_in(&w.log, "upstream app: requests are refused: 3 wait");
    says(&w, world_server(&w, 0), ANSWER("1st"));
    says(&w, c[0], GET("/"));                    /* there is room in the queue again */
    assert_int_equal(w.metrics.queued, 4);
    for (size_t i = 1; i < 5; i++)
        says(&w, world_server(&w, 0), ANSWER("nth"));
    assert_int_equal(count_text(bytes_text(&c[0]->got), "HTTP/1.1 200"), 2);
    leave_all(&w, c, 5);
}

static void who_waits_too_long_is_told(void **state)
{
    struct world w;
    struct peer *c[3];

    (void)state;
    world_begin(&w, one);
    c[0] = asks(&w, GET("/"));
    c[1] = asks(&w, GET("/"));
    world_sleep(&w, 1000);
    c[2] = asks(&w, GET("/"));
    world_sleep(&w, 1100);
    expect_status(c[1], 503);
    expect_in(&c[1]->got, "\r\nRetry-After: ");
    expect_line(&w, 0, 503, "queue_timeout");
    assert_int_equal(c[2]->got.n, 0);
    says(&w, world_server(&w, 0), ANSWER("1st"));
    says(&w, world_server(&w, 0), ANSWER("3rd"));
    expect_ends_with(&c[2]->got, "3rd");
    leave_all(&w, c, 3);
}

static void who_leaves_gives_its_turn_to_the_next(void **state)
{
    struct world w;
    struct peer *c[3];

    (void)state;
    world_begin(&w, one);
    for (size_t i = 0; i < 3; i++)
        c[i] = asks(&w, GET("/"));
    peer_resets(c[1]);
    world_run(&w);
    says(&w, world_server(&w, 0), ANSWER("1st"));
    says(&w, world_server(&w, 0), ANSWER("3rd"));
    expect_ends_with(&c[2]->got, "3rd");
    leave_all(&w, c, 3);
}

/* Its body waits unread meanwhile, and then passes. */
static void a_body_waits_with_its_request(void **state)
{
    struct world w;
    struct peer *c[2];

    (void)state;
    world_begin(&w, one);
    c[0] = asks(&w, GET("/"));
    c[1] = asks(&w, POST("/", "5") "he");
    says(&w, c[1], "llo");
    says(&w, world_server(&w, 0), ANSWER("1st"));
    expect_ends_with(&world_server(&w, 0)->got, "hello");
    says(&w, world_server(&w, 0), ANSWER("2nd"));
    leave_all(&w, c, 2);
}

static void a_tunnel_has_a_place_for_life(void **state)
{
    struct world w;
    struct peer *c[2];

    (void)state;
    world_begin(&w, one);
    c[0] = asks(&w, WS_REQUEST);
    says(&w, world_server(&w, 0), WS_101);
    c[1] = asks(&w, GET("/"));
    assert_int_equal(w.dials, 1);
    assert_int_equal(state_of(&w, 0)->tunnels, 1);
    peer_ends(world_server(&w, 0));
    peer_ends(c[0]);
    world_run(&w);
    assert_int_equal(w.dials, 2);
    says(&w, world_server(&w, 1), ANSWER("2nd"));
    expect_ends_with(&c[1]->got, "2nd");
    leave_all(&w, c + 1, 1);
}

static void an_upgrade_takes_the_place_of_an_idle_connection(void **state)
{
    struct world w;
    struct peer *c[2];

    (void)state;
    world_begin(&w, one);
    c[0] = asks(&w, GET("/"));
    says(&w, world_server(&w, 0), ANSWER("1st"));
    assert_int_equal(world_pooled(&w), 1);
    c[1] = asks(&w, WS_REQUEST);
    assert_true(world_server(&w, 0)->closed);
    says(&w, world_server(&w, 1), WS_101);
    expect_status(c[1], 101);
    peer_ends(world_server(&w, 1));
    leave_all(&w, c, 2);
}

/* The application that decides whether a request may go on is waited for as any other. */
static void a_question_waits_too(void **state)
{
    struct world w;
    struct peer *c[2];

    (void)state;
    world_begin(&w, asking);
    c[0] = asks(&w, GET("/"));
    c[1] = asks(&w, GET("/"));
    assert_int_equal(w.dials, 1);
    says(&w, world_server(&w, 0), "HTTP/1.1 204 No Content\r\n\r\n");
    says(&w, world_server(&w, 0), "HTTP/1.1 204 No Content\r\n\r\n");
    assert_int_equal(w.dials, 3);
    says(&w, world_server(&w, 1), ANSWER("1st"));
    says(&w, world_server(&w, 2), ANSWER("2nd"));
    expect_ends_with(&c[1]->got, "2nd");
    leave_all(&w, c, 2);

    world_begin(&w, asking);
    c[0] = asks(&w, GET("/"));
    c[1] = asks(&w, GET("/"));
    world_sleep(&w, 1100);
    expect_line(&w, 0, 504, "auth_timeout");
    expect_line(&w, 1, 504, "auth_timeout");
    leave_all(&w, c, 2);
}

/* Another worker gives a place back, takes one, keeps an idle connection: here played by hand. */
static void an_upgrade_that_waits_wants_no_kept_connection(void **state)
{
    struct world w;
    struct peer *c[2];

    (void)state;
    world_begin(&w, one);
    c[0] = asks(&w, GET("/"));
    c[1] = asks(&w, WS_REQUEST);
    says(&w, world_server(&w, 0), ANSWER("1st"));
    assert_true(world_server(&w, 0)->closed);
    assert_int_equal(w.dials, 2);
    assert_int_equal(w.metrics.pool_reuses, 0);
    says(&w, world_server(&w, 1), WS_101);
    expect_status(c[1], 101);
    peer_ends(world_server(&w, 1));
    leave_all(&w, c, 2);
}

static void places_of_other_workers(void **state)
{
    struct world w;
    struct peer *c[2];

    (void)state;
    world_begin(&w, one);
    assert_true(places_take(state_of(&w, 0)));
    c[0] = asks(&w, GET("/"));
    c[1] = asks(&w, GET("/"));
    assert_int_equal(w.dials, 0);
    places_give(state_of(&w, 0), w.now_ms);
    world_run(&w);
    assert_int_equal(w.dials, 1);
    says(&w, world_server(&w, 0), ANSWER("1st"));
    says(&w, world_server(&w, 0), ANSWER("2nd"));
    expect_ends_with(&c[1]->got, "2nd");
    leave_all(&w, c, 2);
}

static void asked_for_idle_connections(struct place_port *p)
{
    (void)p;
}

static void someone_else_granted(struct place_wait *wait, struct server_state *server, bool warm)
{
    (void)wait;
    assert_false(warm);
    places_give(server, 0);
}

/* Another worker waits for what this one keeps idle, or is about to. */
static void idle_connections_are_no_hoard(void **state)
{
    struct world w;
    struct peer *client;
    struct place_port other;
    struct place_wait wait = { .granted = someone_else_granted };
    struct mailbox mailbox;

    (void)state;
    for (int busy = 0; busy < 2; busy++) {
        world_begin(&w, one);
        mailbox_init(&mailbox, NULL, NULL);
        places_open(&other, state_of(&w, 0)->set, &mailbox, asked_for_idle_connections);
        client = asks(&w, GET("/"));
        if (busy == 0)
            says(&w, world_server(&w, 0), ANSWER("1st"));
        assert_int_equal(places_wait(&other, &wait, 10, false, w.now_ms), 0);
        world_run(&w);
        if (busy == 1)
            says(&w, world_server(&w, 0), ANSWER("1st"));
        assert_true(world_server(&w, 0)->closed);
        mailbox_deliver(&mailbox);
        assert_null(wait.port);
        places_close(&other);
        mailbox_free(&mailbox);
        leave(&w, client);
    }
}

static void a_second_try_waits_too(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    world_begin(&w, two_servers);
    w.plan[0] = DIAL_REFUSED;
    assert_true(places_take(state_of(&w, 1)));
    client = asks(&w, GET("/"));
    assert_int_equal(w.dials, 1);
    assert_int_equal(w.metrics.queued, 1);       /* the one that refused it has room, but was tried */
    places_give(state_of(&w, 1), w.now_ms);
    world_run(&w);
    assert_string_equal(w.dialed[1]->text, "127.0.0.1:9002");
    says(&w, world_server(&w, 0), ANSWER("2nd"));
    expect_ends_with(&client->got, "2nd");
    leave(&w, client);
}

static void whoever_has_room_is_taken(void **state)
{
    struct world w;
    struct peer *c[3];

    (void)state;
    world_begin(&w, two_servers);
    assert_true(places_take(state_of(&w, 0)));
    c[0] = asks(&w, GET("/"));
    assert_string_equal(w.dialed[0]->text, "127.0.0.1:9002");
    c[1] = asks(&w, GET("/"));
    c[2] = asks(&w, GET("/"));
    assert_int_equal(w.dials, 1);
    places_give(state_of(&w, 0), w.now_ms);
    world_run(&w);
    assert_int_equal(w.dials, 2);
    says(&w, world_server(&w, 0), ANSWER("1st"));
    for (size_t i = 0; i < 2; i++)
        says(&w, world_server(&w, 1 - i), ANSWER("nth"));
    for (size_t i = 0; i < 3; i++)
        expect_status(c[i], 200);
    leave_all(&w, c, 3);
}

/* A kept connection that had ended gives its place to the request that wanted it, or to who came first. */
static void a_stale_connection_and_a_full_server(void **state)
{
    struct world w;
    struct peer *c[2];

    (void)state;
    world_begin(&w, one);
    c[0] = asks(&w, GET("/"));
    says(&w, world_server(&w, 0), ANSWER("1st"));
    c[1] = asks(&w, GET("/"));
    peer_ends(world_server(&w, 0));
    world_run(&w);
    assert_int_equal(w.dials, 2);
    says(&w, world_server(&w, 1), ANSWER("2nd"));
    expect_ends_with(&c[1]->got, "2nd");
    leave_all(&w, c, 2);
}

static void the_gateway_ends(void **state)
{
    struct world w;
    struct peer *c[3];

    (void)state;
    world_begin(&w, one);
    for (size_t i = 0; i < 3; i++)
        c[i] = asks(&w, GET("/"));
    world_kill_and_end(&w);

    world_begin(&w, one);
    for (size_t i = 0; i < 3; i++)
        c[i] = asks(&w, GET("/"));
    world_drain(&w);
    says(&w, world_server(&w, 0), ANSWER("1st"));        /* no connection is kept any more, and all are still answered */
    says(&w, world_server(&w, 1), ANSWER("2nd"));
    says(&w, world_server(&w, 2), ANSWER("3rd"));
    for (size_t i = 0; i < 3; i++)
        expect_status(c[i], 200);
    leave_all(&w, c, 3);
}

static void another_configuration(void **state)
{
    struct world w;
    struct peer *c[3];

    (void)state;
    world_begin(&w, one);
    for (size_t i = 0; i < 3; i++)
        c[i] = asks(&w, GET("/"));
    world_reload(&w, CONF("connections: 2"));
    world_run(&w);
    assert_int_equal(w.dials, 2);
    world_reload(&w, "listeners: [ 127.0.0.1:1 ]\nupstreams: { app: { servers: [ 9009 ], connections: 2 } }\nroutes: [ { upstream: app } ]\n");
    world_run(&w);
    assert_int_equal(w.dials, 3);                /* the one that waits goes to the new server, though it came under the old configuration */
    assert_string_equal(w.dialed[2]->text, "127.0.0.1:9009");
    for (size_t i = 0; i < 3; i++)
        says(&w, world_server(&w, i), ANSWER("nth"));
    for (size_t i = 0; i < 3; i++)
        expect_status(c[i], 200);
    leave_all(&w, c, 3);
}

static void everybody_drains(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    world_begin(&w, two_servers);
    state_of(&w, 0)->draining = true;
    state_of(&w, 1)->draining = true;
    client = asks(&w, GET("/"));
    expect_status(client, 503);
    expect_line(&w, 0, 503, "no_server");
    state_of(&w, 0)->draining = false;
    says(&w, client, GET("/"));
    assert_string_equal(w.dialed[0]->text, "127.0.0.1:9001");
    says(&w, world_server(&w, 0), ANSWER("1st"));
    leave(&w, client);
}

/* Each allocation of it fails in turn: nobody waits for ever, no place is lost. */
static void without_memory_no_place_is_lost(void **state)
{
    struct world w;
    struct peer *c[5];
    size_t calls = 0;

    (void)state;
    for (size_t nth = 0; nth <= calls; nth++) {
        world_begin(&w, one);
        w.on_server = origin_new;
        for (size_t i = 0; i < 5; i++) {
            c[i] = world_client(&w);
            c[i]->react = hang_up_when_finished;
            peer_says(c[i], i == 1 ? WS_REQUEST : GET("/plain"));
        }
        calls = nth == 0 ? mem_calls() : calls;
        mem_fail_nth(nth);
        world_run(&w);
        mem_fail_nth(0);
        calls = nth == 0 ? mem_calls() - calls : calls;
        world_sleep(&w, 3000);
        for (size_t i = 0; i < 5; i++)
            peer_ends(c[i]);
        for (size_t i = 0; i < w.servers_n; i++)
            peer_ends(world_server(&w, i));
        world_sleep(&w, 10000);
        world_end(&w);                           /* looks whether places are left */
    }
    assert_true(calls > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_who_waits_gets_the_kept_connection),
        cmocka_unit_test(without_a_kept_connection_a_new_one_is_made),
        cmocka_unit_test(more_than_may_wait_are_refused),
        cmocka_unit_test(who_waits_too_long_is_told),
        cmocka_unit_test(who_leaves_gives_its_turn_to_the_next),
        cmocka_unit_test(a_body_waits_with_its_request),
        cmocka_unit_test(a_tunnel_has_a_place_for_life),
        cmocka_unit_test(an_upgrade_takes_the_place_of_an_idle_connection),
        cmocka_unit_test(an_upgrade_that_waits_wants_no_kept_connection),
        cmocka_unit_test(a_question_waits_too),
        cmocka_unit_test(places_of_other_workers),
        cmocka_unit_test(idle_connections_are_no_hoard),
        cmocka_unit_test(a_second_try_waits_too),
        cmocka_unit_test(whoever_has_room_is_taken),
        cmocka_unit_test(a_stale_connection_and_a_full_server),
        cmocka_unit_test(the_gateway_ends),
        cmocka_unit_test(another_configuration),
        cmocka_unit_test(everybody_drains),
        cmocka_unit_test(without_memory_no_place_is_lost),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
