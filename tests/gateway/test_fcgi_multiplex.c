/* Several requests on one FastCGI connection: who may, that a slow client stalls nobody, and what the end of one means to the others. */
#include "tests/gateway/talk.h"

#include "tests/gateway/fcgi_app.h"

static const char *const fcgi_conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main } ]\n"
    "limits: { header_bytes: 4KiB }\n"
    "timeouts: { body: 60s, connect: 5s, response: 30s, drain_spread: 0ms }\n"
    "upstreams:\n"
    "  app: { protocol: fastcgi, servers: [ 127.0.0.1:9001 ],\n"
    "         fastcgi: { multiplex: on, multiplex_memory: 64KiB, multiplex_file: 200KiB } }\n"
    "routes: [ { upstream: app } ]\n";

static int load_fcgi(void **state)
{
    (void)state;
    conf = world_conf(fcgi_conf_text);
    return 0;
}

/* ---- asking ---- */

static void answer_values(struct peer *p, const char *values)
{
    struct fcgi_peer_bytes b = { 0 };
    struct app a;

    app_read(&a, p);
    assert_int_equal(a.questions, 1);
    assert_int_equal(a.n, 0);
    app_free(&a);
    fcgi_peer_send(&b, 10, 0, values, strlen(values), 0);
    peer_give(p, span_of(b.p, b.n));
    fcgi_peer_free(&b);
}

#define MPXS_YES "\x0f\1FCGI_MPXS_CONNS1"
#define MPXS_NO "\x0f\1FCGI_MPXS_CONNS0"
#define REQS_3 "\x0d\1FCGI_MAX_REQS3"

/* A world whose server has been asked and has said this. The first request, by which it came to that, is over; its connection is kept.
 * Servers from here on are numbered from 2; the kept one is 0. */
static struct peer *begin_told(struct world *w, const char *values)
{
    struct peer *client = begin_with(w, GET("/first"));

    assert_int_equal(w->servers_n, 2);                   /* the request's own, and the question's */
    answer_values(world_server(w, 1), values);
    world_run(w);
    assert_true(world_server(w, 1)->closed);
    app_reply(world_server(w, 0), 1, "Status: 204\n\n");
    world_run(w);
    assert_int_equal(world_pooled(w), 1);
    return client;
}

static struct peer *another(struct world *w, const char *request)
{
    struct peer *client = world_client(w);

    client->react = hang_up_when_finished;
    says(w, client, request);
    return client;
}

static size_t open_on(struct world *w, size_t nth)
{
    struct app a;
    size_t n;

    app_read(&a, world_server(w, nth));
    n = a.n;
    app_free(&a);
    return n;
}

static void a_server_is_asked_once(void **state)
{
    struct world w;
    struct peer *client = begin_told(&w, MPXS_YES), *second, *third;

    (void)state;
    expect_in(&w.log, "upstream app server 127.0.0.1:9001 takes 64 requests at a time on a connection");
    says(&w, client, GET("/1"));
    second = another(&w, GET("/2"));
    third = another(&w, GET("/3"));
    assert_int_equal(w.dials, 2);
    assert_int_equal(open_on(&w, 0), 4);                 /* with the first */
    assert_int_equal(w.metrics.fcgi_shared, 2);
    app_out(world_server(&w, 0), 2, "Content-Type: a/b\n\ntw");
    app_out(world_server(&w, 0), 3, "Content-Type: a/b\n\nthree");
    app_out(world_server(&w, 0), 1, "Content-Type: a/b\n\none");
    app_out(world_server(&w, 0), 2, "o");
    app_end(world_server(&w, 0), 3, 0);
    app_end(world_server(&w, 0), 2, 0);
    app_end(world_server(&w, 0), 1, 0);
    world_run(&w);
    expect_ends_with(&client->got, "3\r\none\r\n0\r\n\r\n");
    expect_ends_with(&second->got, "o\r\n0\r\n\r\n");
    expect_ends_with(&third->got, "5\r\nthree\r\n0\r\n\r\n");
    assert_int_equal(world_pooled(&w), 1);
    assert_false(world_server(&w, 0)->closed);
    peer_ends(second);
    peer_ends(third);
    leave(&w, client);
}

static void servers_that_do_not(void **state)
{
    static const struct {
        const char *values, *why;
    } rows[] = {
        { MPXS_NO, "it says so" },
        { "", "it does not say whether it takes more" },
        { MPXS_YES "\x0d\1FCGI_MAX_REQS1", "it takes one request at all" },
        { "\x0f\1FCGI_MPXS_CONNS7", "the answer to FCGI_GET_VALUES is malformed" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct peer *client = begin_told(&w, rows[i].values), *second;
        expect_in(&w.log, "takes one request at a time on a connection: ");
        expect_in(&w.log, rows[i].why);
        says(&w, client, GET("/1"));
        second = another(&w, GET("/2"));
        assert_int_equal(w.dials, 3);
        assert_int_equal(open_on(&w, 2), 1);
        app_reply(world_server(&w, 0), 1, "Status: 204\n\n");
        app_reply(world_server(&w, 2), 1, "Status: 204\n\n");
        world_run(&w);
        peer_ends(second);
        leave(&w, client);
    }
}

/* Nobody waits for the answer, and none is no. */
static void servers_that_do_not_answer(void **state)
{
    for (int how = 0; how < 4; how++) {
        struct world w;
        struct peer *client;
        (void)state;
        world_begin(&w, conf);
        w.plan[1] = how == 3 ? DIAL_REFUSED : DIAL_GIVES;
        client = world_client(&w);
        client->react = hang_up_when_finished;
        says(&w, client, GET("/first"));
        app_reply(world_server(&w, 0), 1, "Status: 204\n\n");
        world_run(&w);
        expect_line(&w, 0, 204, "complete");
        if (how == 0)
            world_sleep(&w, 2100);
        else if (how == 1)
            peer_ends(world_server(&w, 1));
        else if (how == 2)
            app_out(world_server(&w, 1), 1, "what?");
        world_run(&w);
        if (how < 3)
            assert_true(world_server(&w, 1)->closed);
        assert_int_equal(count_text(bytes_text(&w.log), "takes one request at a time"), how < 3 ? 1 : 0);
        says(&w, client, GET("/second"));
        assert_int_equal(w.dials, how < 3 ? 2 : 3);      /* asked again only where nobody was reached */
        world_kill_and_end(&w);
    }
}

static void no_more_than_the_server_takes(void **state)
{
    struct world w;
    struct peer *client = begin_told(&w, MPXS_YES REQS_3);

    (void)state;
    for (int i = 0; i < 4; i++)
        another(&w, GET("/x"));
    assert_int_equal(open_on(&w, 0), 4);                 /* with the first, which is over */
    assert_int_equal(open_on(&w, 2), 1);
    world_kill(&w);
    (void)client;
    world_end(&w);
}

/* FastCGI knows no way to stop one request's body, so it never stands in the way of others. */
static void a_body_travels_alone(void **state)
{
    struct world w;
    struct peer *client = begin_told(&w, MPXS_YES);

    (void)state;
    says(&w, client, POST("/x", "5") "he");
    another(&w, GET("/1"));
    another(&w, GET("/2"));
    another(&w, POST("/y", "1") "a");
    assert_int_equal(open_on(&w, 0), 2);                 /* the first, and the body */
    assert_int_equal(open_on(&w, 2), 2);
    assert_int_equal(open_on(&w, 3), 1);
    world_kill_and_end(&w);
}

/* ---- the slow and the others ---- */

static void a_slow_client_stalls_nobody(void **state)
{
    struct world w;
    struct peer *client = begin_told(&w, MPXS_YES), *slow, *server;
    char *piece = malloc(20001);

    (void)state;
    memset(piece, 'x', 20000);
    piece[20000] = '\0';
    slow = another(&w, GET("/slow"));
    says(&w, client, GET("/1"));
    server = world_server(&w, 0);
    assert_int_equal(open_on(&w, 0), 3);
    peer_stops_reading(slow);
    app_out(server, 1, "Content-Type: a/b\n\n");
    for (int i = 0; i < 10; i++)
        app_out(server, 1, piece);                       /* more than fits into memory */
    app_reply(server, 2, "Content-Type: a/b\n\nquick");
    world_run(&w);
    expect_ends_with(&client->got, "5\r\nquick\r\n0\r\n\r\n");
    assert_int_equal(server->arrived, server->consumed);
    says(&w, client, GET("/2"));                         /* it is alone from here on, and nobody joins */
    assert_int_equal(w.dials, 3);
    app_out(server, 1, piece);
    world_run(&w);
    assert_true(server->consumed < server->arrived);     /* now it stops the server */
    peer_reads_on(slow);
    app_end(server, 1, 0);
    app_reply(world_server(&w, 2), 1, "Status: 204\n\n");
    world_run(&w);
    expect_ends_with(&slow->got, "0\r\n\r\n");
    assert_non_null(strstr(world_access(&w), "\"bytes_out\":220000"));
    free(piece);
    peer_ends(slow);
    leave(&w, client);
}

static void a_client_that_is_too_slow_is_cut(void **state)
{
    struct world w;
    struct peer *client = begin_told(&w, MPXS_YES), *slow, *server;
    char *piece = malloc(60001);
    struct app a;

    (void)state;
    memset(piece, 'x', 60000);
    piece[60000] = '\0';
    slow = another(&w, GET("/slow"));
    says(&w, client, GET("/1"));
    server = world_server(&w, 0);
    peer_stops_reading(slow);
    app_out(server, 1, "Content-Type: a/b\n\n");
    for (int i = 0; i < 6; i++) {
        app_out(server, 1, piece);
        world_run(&w);
    }
    assert_true(slow->reset);
    expect_line(&w, 1, 200, "client_stalled");
    app_read(&a, server);
    assert_true(a.requests[1].aborted);
    app_free(&a);
    app_reply(server, 2, "Content-Type: a/b\n\nquick");
    world_run(&w);
    expect_ends_with(&client->got, "5\r\nquick\r\n0\r\n\r\n");
    free(piece);
    leave(&w, client);
}

/* What is unread when somebody could join is a slow client's. */
static void nobody_joins_a_slow_one(void **state)
{
    struct world w;
    struct peer *client = begin_told(&w, MPXS_YES);
    char piece[5001];                    /* more than is put without a look at the client */

    (void)state;
    memset(piece, 'x', 5000);
    piece[5000] = '\0';
    says(&w, client, GET("/slow"));
    peer_stops_reading(client);
    app_out(world_server(&w, 0), 1, "Content-Type: a/b\n\nsome");
    world_run(&w);
    app_out(world_server(&w, 0), 1, piece);
    world_run(&w);
    another(&w, GET("/1"));
    assert_int_equal(w.dials, 3);
    assert_int_equal(w.metrics.fcgi_shared, 0);
    world_kill_and_end(&w);
}

/* ---- ends ---- */

static void an_abort_leaves_the_others(void **state)
{
    struct world w;
    struct app a;
    struct peer *client = begin_told(&w, MPXS_YES), *gone, *server;

    (void)state;
    gone = another(&w, GET("/gone"));
    says(&w, client, GET("/1"));
    server = world_server(&w, 0);
    peer_resets(gone);
    world_run(&w);
    app_read(&a, server);
    assert_true(a.requests[1].aborted && !a.requests[2].aborted);
    app_free(&a);
    app_end(server, 1, 0);                               /* as Go's does it: ended at once, written to and ended again */
    app_out(server, 1, "nobody hears this");
    another(&w, GET("/2"));
    assert_int_equal(w.dials, 3);                        /* nobody joins, and the id is not used again */
    app_out(server, 2, "Content-Type: a/b\n\n");
    app_reply(server, 1, "nor this");
    app_reply(server, 2, "fine");
    world_run(&w);
    expect_ends_with(&client->got, "4\r\nfine\r\n0\r\n\r\n");
    assert_true(server->closed);
    world_kill_and_end(&w);
}

static void the_connection_s_end_is_everybody_s(void **state)
{
    for (int how = 0; how < 3; how++) {
        struct world w;
        struct peer *client = begin_told(&w, MPXS_YES), *others[3], *server;
        (void)state;
        says(&w, client, GET("/begun"));
        others[0] = another(&w, "BREW /x HTTP/1.1\r\nHost: a.test\r\n\r\n");
        others[1] = another(&w, GET("/again"));
        others[2] = another(&w, GET("/over"));
        server = world_server(&w, 0);
        assert_int_equal(open_on(&w, 0), 5);
        app_reply(server, 4, "Content-Type: a/b\n\nover");
        app_out(server, 1, "Content-Type: a/b\n\nbegun");
        world_run(&w);
        if (how == 0)
            peer_resets(server);
        else if (how == 1)
            peer_ends(server);
        else
            app_out(server, 9, "for nobody");
        world_run(&w);
        assert_true(server->closed);
        assert_true(client->reset);
        expect_ends_with(&others[2]->got, "4\r\nover\r\n0\r\n\r\n");
        expect_status(others[0], 502);
        if (how < 2) {
            expect_in(&w.log, end_reason_sentence(END_SERVER_TRUNCATED));
            assert_int_equal(w.dials, 3);                /* it may be sent again, and nothing of an answer had come */
            app_reply(world_server(&w, 2), 1, "Content-Type: a/b\n\nagain");
            world_run(&w);
            expect_ends_with(&others[1]->got, "5\r\nagain\r\n0\r\n\r\n");
        } else {
            expect_status(others[1], 502);
        }
        for (size_t i = 0; i < COUNT_OF(others); i++)
            peer_ends(others[i]);
        world_run(&w);
        world_end(&w);
    }
}

/* It said it could: it is believed the second time. */
static void a_server_that_refuses_a_second_request(void **state)
{
    struct world w;
    struct peer *client = begin_told(&w, MPXS_YES), *second;

    (void)state;
    says(&w, client, GET("/1"));
    second = another(&w, "BREW /2 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    app_end(world_server(&w, 0), 2, 1);
    world_run(&w);
    expect_in(&w.log, "takes one request at a time on a connection: it refused another");
    assert_int_equal(w.dials, 3);
    app_reply(world_server(&w, 2), 1, "Content-Type: a/b\n\nfine");
    world_run(&w);
    expect_ends_with(&second->got, "4\r\nfine\r\n0\r\n\r\n");
    says(&w, second, GET("/3"));
    assert_int_equal(w.dials, 3);                        /* on the connection that is kept */
    assert_int_equal(open_on(&w, 0), 3);
    world_kill_and_end(&w);
}

static void everything_at_every_cut(void **state)
{
    struct fcgi_peer_bytes b = { 0 };

    (void)state;
    fcgi_peer_send(&b, 6, 2, "Content-Type: a/b\r\n\r\ntwo", 24, 3);
    fcgi_peer_send(&b, 7, 1, "oops\n", 5, 0);
    fcgi_peer_send(&b, 6, 1, "Content-Type: a/b\r\nContent-Le", 29, 0);
    fcgi_peer_send(&b, 6, 2, "TWO", 3, 0);
    fcgi_peer_send(&b, 6, 1, "ngth: 3\r\n\r\none", 14, 1);
    fcgi_peer_end(&b, 2, 0, 0, 7);
    fcgi_peer_end(&b, 1, 0, 0, 0);
    for (size_t cut = 0; cut <= b.n; cut++) {
        struct world w;
        struct peer *client = begin_told(&w, MPXS_YES), *second, *server;
        says(&w, client, GET("/1"));
        second = another(&w, GET("/2"));
        server = world_server(&w, 0);
        server->piece = cut == b.n ? 1 : SIZE_MAX;
        peer_give(server, span_of(b.p, cut));
        world_run(&w);
        peer_give(server, span_of(b.p + cut, b.n - cut));
        world_run(&w);
        expect_ends_with(&client->got, "\r\n\r\none");
        expect_ends_with(&second->got, "\r\n0\r\n\r\n");
        assert_string_equal(world_said(&w, "exchange", 1, "end"), "complete");
        assert_string_equal(world_said(&w, "exchange", 2, "end"), "complete");
        expect_in(&w.log, "stderr of GET /1: oops\n");
        assert_int_equal(world_pooled(&w), 1);
        peer_ends(second);
        leave(&w, client);
    }
    fcgi_peer_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_is_asked_once),
        cmocka_unit_test(servers_that_do_not),
        cmocka_unit_test(servers_that_do_not_answer),
        cmocka_unit_test(no_more_than_the_server_takes),
        cmocka_unit_test(a_body_travels_alone),
        cmocka_unit_test(a_slow_client_stalls_nobody),
        cmocka_unit_test(a_client_that_is_too_slow_is_cut),
        cmocka_unit_test(nobody_joins_a_slow_one),
        cmocka_unit_test(an_abort_leaves_the_others),
        cmocka_unit_test(the_connection_s_end_is_everybody_s),
        cmocka_unit_test(a_server_that_refuses_a_second_request),
        cmocka_unit_test(everything_at_every_cut),
    };

    return cmocka_run_group_tests(tests, load_fcgi, talk_unload);
}
