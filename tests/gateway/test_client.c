/* A client's connection, exchange after exchange: their order, how long it lasts, how it ends, and what is refused at once. */
#include "tests/gateway/talk.h"

/* ---- connections ---- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/1") POST("/2", "3") "abc" "HEAD /3 HTTP/1.1\r\nHost: a.test\r\n\r\n"
                                         "GET /4 HTTP/1.1\r\nHost: none.test\r\n\r\n" GET("/5"));
    struct peer *server = world_server(&w, 0);
    const char *got;

    (void)state;
    expect_not_in(&server->got, "/2");                   /* the second waits, unread */
    says(&w, server, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none");
    expect_ends_with(&server->got, "\r\n\r\nabc");
    expect_not_in(&server->got, "/3");
    says(&w, server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n");
    expect_in(&server->got, "HEAD /3 ");
    says(&w, server, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
    expect_in(&server->got, "GET /5 ");
    says(&w, server, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfive");
    assert_int_equal(w.dials, 1);
    got = strstr(bytes_text(&client->got), "one");
    got = strstr(got, "3\r\ntwo\r\n0\r\n\r\n");
    got = strstr(got, "Content-Length: 500\r\n");
    got = strstr(got, "HTTP/1.1 404 ");
    assert_non_null(got);
    assert_non_null(strstr(got, "five"));
    assert_int_equal(world_lines(&w, "exchange"), 5);
    expect_line(&w, 3, 404, "no_route");
    leave(&w, client);
}

static void a_connection_ends_as_was_said(void **state)
{
    static const struct {
        const char *request, *answer;
        bool client_kept, server_kept;
    } rows[] = {
        { GET("/"), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, true },
        { "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
          false, true },
        { "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, true },
        { "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
          true, true },
        { "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n",
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", false, true },
        { GET("/"), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", true, false },
        { GET("/"), "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", true, false },
        { GET("/"), "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", true, true },
        { GET("/"), "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", true, true },
        { GET("/"), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nmore than was said", true, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct peer *client = begin_with(&w, rows[i].request);
        struct peer *server = world_server(&w, 0);
        says(&w, server, rows[i].answer);
        if (client->fin == rows[i].client_kept || server->closed == rows[i].server_kept)
            fail_msg("row %zu: client %s, server %s", i, client->fin ? "ended" : "kept", server->closed ? "closed" : "kept");
        leave(&w, client);
    }
}

static void a_kept_connection_to_a_server_is_used_by_everybody(void **state)
{
    struct world w;
    struct peer *client = begin_with_origin(&w, GET("/plain/1")), *second;

    (void)state;
    second = world_client(&w);
    says(&w, second, GET("/plain/2"));
    says(&w, client, GET("/plain/3"));
    assert_int_equal(w.dials, 1);
    assert_int_equal(w.metrics.pool_reuses, 2);
    expect_ends_with(&client->got, "[GET /plain/3 0]");
    peer_ends(second);
    world_sleep(&w, 60004);
    assert_int_equal(world_pooled(&w), 0);               /* and not kept for ever */
    says(&w, client, GET("/plain/4"));
    assert_int_equal(w.dials, 2);
    leave(&w, client);
}

static void a_client_s_connection_has_its_times(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    client = begin_with(&w, "");                         /* says nothing at all */
    world_sleep(&w, 9900);
    assert_false(client->closed);
    world_sleep(&w, 200);
    assert_true(client->closed);
    assert_int_equal(client->got.n, 0);
    assert_int_equal(w.metrics.ended[METRICS_CONNECTION][END_HEADER_TIMEOUT], 1);
    world_end(&w);

    client = begin_with(&w, "GET / HT");                 /* stops in its head */
    world_sleep(&w, 10100);
    expect_status(client, 408);
    expect_in(&client->got, "Connection: close\r\n");
    expect_line(&w, 0, 408, "header_timeout");
    assert_true(client->closed);
    world_end(&w);

    client = begin_with_origin(&w, GET("/plain"));       /* kept, and then silent */
    world_sleep(&w, 74900);
    assert_false(client->closed);
    world_sleep(&w, 200);
    assert_true(client->closed);
    assert_int_equal(w.metrics.ended[METRICS_CONNECTION][END_KEEPALIVE_TIMEOUT], 1);
    world_end(&w);

    client = begin_with_origin(&w, GET("/plain") "GET /");       /* kept, and then slow */
    world_sleep(&w, 10100);
    assert_int_equal(count_text(bytes_text(&client->got), "HTTP/1.1 408 "), 1);
    world_end(&w);
}

/* A slow head is given its time once, not once per byte. */
static void a_head_that_trickles_is_cut_off(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, "");

    (void)state;
    world_sleep(&w, 9000);
    for (int i = 0; i < 40 && !client->closed; i++) {
        says(&w, client, "G");
        world_sleep(&w, 500);
    }
    assert_true(client->closed);
    assert_true(client->gives.n <= 22);
    world_end(&w);
}

static void after_an_answer_that_ends_the_connection_the_client_may_read_it(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, "");

    (void)state;
    client->react = NULL;
    says(&w, client, "GET / HTTP/1.1\r\n\r\n" "what a client sends against a refusal");
    expect_status(client, 400);
    assert_true(client->fin && !client->closed);         /* closed now, the answer could be destroyed on its way */
    says(&w, client, "and more");
    assert_int_equal(client->consumed, client->gives.n);
    world_sleep(&w, 3100);
    assert_true(client->closed);
    world_end(&w);

    client = begin_with(&w, "");
    client->react = NULL;
    says(&w, client, "GET / HTTP/1.1\r\n\r\n");
    for (int i = 0; i < 1100 && !client->closed; i++) {  /* but not endlessly */
        static const char junk[1024];
        peer_give(client, span_of(junk, sizeof(junk)));
        world_run(&w);
    }
    assert_true(client->closed);
    world_end(&w);

    client = begin_with(&w, "");                         /* nor one who does not even read it */
    client->react = NULL;
    peer_stops_reading(client);
    says(&w, client, "GET / HTTP/1.1\r\n\r\n");
    world_sleep(&w, 50000);
    assert_false(client->closed);
    peer_takes(client, 10);
    world_sleep(&w, 15000);
    assert_true(client->closed);
    world_end(&w);
}

static void heads_that_are_refused(void **state)
{
    static const struct {
        const char *request;
        unsigned status;
        const char *end;
    } rows[] = {
        { "\x16\x03\x01\x02\r\n", 400, "client_fault" },
        { "GET / HTTP/2.0\r\n\r\n", 505, "client_fault" },
        { "GET / HTTP/1.1\r\nHost: a.test\r\nA b: c\r\n\r\n", 400, "client_fault" },
        { "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "client_fault" },
        { "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501, "client_fault" },
        { "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 200000\r\n\r\n", 413, "client_fault" },
        { "GET / HTTP/1.1\r\n\r\n", 400, "refused" },
        { "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n", 501, "refused" },
        { "TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n", 405, "refused" },
        { "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\nExpect: cake\r\n\r\n", 417, "refused" },
        { "GET /app/..%2f.. HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "refused" },
        { "GET /app%2fx HTTP/1.1\r\nHost: a.test\r\n\r\n", 400, "refused" },         /* one route or another, who knows */
        { "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n", 404, "no_route" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct peer *client = begin_with(&w, rows[i].request);
        expect_status(client, rows[i].status);
        expect_line(&w, 0, rows[i].status, rows[i].end);
        assert_int_equal(w.dials, 0);
        peer_ends(client);
        world_run(&w);
        world_end(&w);
    }
}

static void a_head_that_is_too_large(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, "GET /");
    static char many[5000];

    (void)state;
    memset(many, 'x', sizeof(many) - 1);
    says(&w, client, many);
    expect_status(client, 414);
    world_end(&w);
    client = begin_with(&w, "GET / HTTP/1.1\r\nHost: a.test\r\nX: ");
    says(&w, client, many);
    expect_status(client, 431);
    world_end(&w);
}

/* ---- draining ---- */

static void a_draining_gateway(void **state)
{
    struct world w;
    struct peer *idle, *busy, *late, *lost, *fresh;

    (void)state;
    idle = begin_with_origin(&w, GET("/plain"));
    idle->react = NULL;
    fresh = world_client(&w);
    busy = world_client(&w);
    says(&w, busy, GET("/silent"));
    late = world_client(&w);
    says(&w, late, "GET /ws HTTP/1.1\r\n");
    lost = world_client(&w);
    says(&w, lost, "GET / HTTP/1.1\r\n");
    world_drain(&w);
    world_run(&w);
    assert_true(idle->closed);                           /* nobody waits for it */
    assert_false(busy->closed || late->closed || fresh->closed);
    world_sleep(&w, 1010);
    assert_true(fresh->closed);                          /* for what it might have had under way, nobody waits any longer */
    assert_int_equal(world_pooled(&w), 0);
    says(&w, world_server(&w, 0), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    expect_in(&busy->got, "Connection: close\r\n");      /* what was begun is finished, and is the last */
    assert_true(busy->fin);
    says(&w, late, "Host: a.test\r\n" WS_OFFER_FIELDS "\r\n");
    expect_status(late, 503);
    expect_in(&late->got, "Retry-After: ");
    says(&w, lost, "Host: none.test\r\n\r\n");
    expect_status(lost, 404);
    expect_in(&lost->got, "Connection: close\r\n");    /* our own answers are the last, too */
    peer_ends(busy);
    peer_ends(late);
    peer_ends(lost);
    world_run(&w);
    assert_int_equal(world_pooled(&w), 0);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_connection_ends_as_was_said),
        cmocka_unit_test(a_kept_connection_to_a_server_is_used_by_everybody),
        cmocka_unit_test(a_client_s_connection_has_its_times),
        cmocka_unit_test(a_head_that_trickles_is_cut_off),
        cmocka_unit_test(after_an_answer_that_ends_the_connection_the_client_may_read_it),
        cmocka_unit_test(heads_that_are_refused),
        cmocka_unit_test(a_head_that_is_too_large),
        cmocka_unit_test(a_draining_gateway),
    };

    return cmocka_run_group_tests(tests, talk_load, talk_unload);
}
