/* Servers that cannot be reached, are gone, stall or talk nonsense: what is tried again, and what the client is told. */
#include "tests/gateway/talk.h"

/* ---- servers that fail ---- */

static void refused_connections_are_tried_elsewhere(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    world_begin(&w, conf);
    w.on_server = origin_new;
    w.plan[0] = DIAL_REFUSED;
    client = world_client(&w);
    says(&w, client, POST("/app/plain", "3") "abc");     /* any method: nobody has seen it */
    expect_status(client, 404);
    assert_int_equal(w.dials, 2);
    assert_true(w.dialed[0] != w.dialed[1]);
    assert_string_equal(world_said(&w, "exchange", 0, "attempts"), "2");
    assert_int_equal(w.metrics.retries, 1);
    assert_int_equal(w.metrics.dials_failed, 1);
    leave(&w, client);

    world_begin(&w, conf);                               /* retries: 1, so two servers of three */
    w.plan[0] = w.plan[1] = w.plan[2] = DIAL_REFUSED;
    client = world_client(&w);
    says(&w, client, GET("/app"));
    expect_status(client, 502);
    expect_line(&w, 0, 502, "connect_failed");
    assert_string_equal(world_said(&w, "exchange", 0, "detail"), "connection refused");
    assert_int_equal(w.dials, 2);
    leave(&w, client);                                   /* and the client's connection is as good as before */

    world_begin(&w, conf);                               /* more retries than servers */
    for (int i = 0; i < 20; i++)
        w.plan[i] = DIAL_UNRESOLVED;
    client = world_client(&w);
    says(&w, client, GET("/two"));
    expect_status(client, 502);
    expect_line(&w, 0, 502, "resolve_failed");
    assert_int_equal(w.dials, 6);
    leave(&w, client);
}

static void a_connection_that_is_not_made_in_time(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    world_begin(&w, conf);
    w.plan[0] = w.plan[1] = DIAL_HANGS;
    client = world_client(&w);
    says(&w, client, GET("/app"));
    world_sleep(&w, 4900);
    assert_int_equal(w.dials, 1);
    world_sleep(&w, 200);
    assert_int_equal(w.dials, 2);                        /* the next server has its own time */
    world_sleep(&w, 4900);
    expect_status(client, 504);
    expect_line(&w, 0, 504, "connect_timeout");
    leave(&w, client);
}

/* A client that is kept, whose next request meets this on the connection that the gateway kept to the server. */
static struct peer *begin_kept(struct world *w, struct peer **server_out)
{
    struct peer *client = begin_with_origin(w, GET("/plain/1"));

    *server_out = world_server(w, 0);
    (*server_out)->react = NULL;
    assert_int_equal(world_pooled(w), 1);
    return client;
}

static void a_kept_connection_that_was_ending_is_no_failure(void **state)
{
    static const struct {
        const char *request;
        bool again;
    } rows[] = {
        { GET("/plain/2"), true },
        { "HEAD /plain/2 HTTP/1.1\r\nHost: a.test\r\n\r\n", true },
        { "DELETE /plain/2 HTTP/1.1\r\nHost: a.test\r\n\r\n", true },
        { "BREW /plain/2 HTTP/1.1\r\nHost: a.test\r\n\r\n", false },       /* nobody knows what it does twice */
        { POST("/plain/2", "0"), false },
        { "PUT /plain/2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc", false },        /* a part of it is gone */
    };

    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            struct world w;
            struct peer *server, *client = begin_kept(&w, &server);
            size_t answers = count_text(bytes_text(&client->got), "HTTP/1.1 ");
            says(&w, client, rows[i].request);
            expect_in(&server->got, "/plain/2");
            if (reset)
                peer_resets(server);
            else
                peer_ends(server);
            world_run(&w);
            assert_int_equal(w.dials, rows[i].again ? 2 : 1);
            assert_int_equal(count_text(bytes_text(&client->got), "HTTP/1.1 "), answers + 1);
            if (rows[i].again) {
                assert_ptr_equal(w.dialed[1], w.dialed[0]);          /* it says nothing about the server */
                assert_string_equal(world_said(&w, "exchange", 1, "attempts"), "");
                expect_not_in(&w.log, "server_closed");
            } else {
                expect_line(&w, 1, 502, "server_closed");
            }
            peer_ends(client);
            world_run(&w);
            world_end(&w);
        }
    }
}

/* The write fails before the reset is read: not a byte of the body has gone, and all of it goes to the next. */
static void a_body_that_met_a_dead_connection_goes_out_whole_on_the_next(void **state)
{
    static const char *const bodies[] = { "Content-Length: 5\r\n\r\nhello",
                                          "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct world w;
        struct peer *server, *client = begin_kept(&w, &server);
        char request[256];
        server->fails_at = server->got.n;
        snprintf(request, sizeof(request), "PUT /other HTTP/1.1\r\nHost: a.test\r\n%s", bodies[i]);
        says(&w, client, request);
        peer_resets(server);
        world_run(&w);
        assert_int_equal(w.servers_n, 2);
        expect_in(&world_server(&w, 1)->got, "hello");
        expect_line(&w, 1, 404, "complete");
        leave(&w, client);
    }
}

static void what_a_server_has_seen_is_not_sent_to_another(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/two"));

    (void)state;
    peer_ends(world_server(&w, 0));
    world_run(&w);
    expect_status(client, 502);
    expect_line(&w, 0, 502, "server_closed");
    assert_int_equal(w.dials, 1);
    leave(&w, client);
    client = begin_with(&w, POST("/two", "5") "he");
    peer_resets(world_server(&w, 0));
    world_run(&w);
    expect_status(client, 502);
    assert_int_equal(w.dials, 1);
    peer_ends(client);
    world_run(&w);
    world_end(&w);
}

static void answers_that_are_none(void **state)
{
    static const struct {
        const char *answer, *end, *fault;
    } rows[] = {
        { "SSH-2.0-OpenSSH_9.2\r\n", "server_fault", "start_line" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "server_fault", "content_length" },
        { "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", "server_fault", "field" },
        { "HTTP/2.0 200 OK\r\n\r\n", "server_fault", "version" },
        { "HTTP/1.1 099 OK\r\n\r\n", "server_fault", "status" },
        { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "switch_bad",
          "switch_unasked" },
        { "HTTP/1.1 200 O", "server_closed", NULL },
        { "", "server_closed", NULL },
        { "HTTP/1.1 100 Continue\r\n\r\n", "server_closed", NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct peer *client = begin_with(&w, GET("/")), *server = world_server(&w, 0);
        peer_says(server, rows[i].answer);
        peer_ends(server);
        world_run(&w);
        expect_in(&client->got, "HTTP/1.1 502 ");
        expect_line(&w, 0, 502, rows[i].end);
        if (rows[i].fault != NULL)
            assert_string_equal(world_said(&w, "exchange", 0, "fault"), rows[i].fault);
        assert_true(server->closed);
        assert_true(w.log.n > 0);
        leave(&w, client);
    }
}

/* A truncated body must never look complete (RFC 9112 section 8). */
static void an_answer_that_is_cut_is_seen_as_cut(void **state)
{
    static const struct {
        const char *answer, *end;
    } rows[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "server_truncated" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "server_truncated" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n", "server_fault" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n", "server_fault" },
    };

    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            struct world w;
            struct peer *client = begin_with(&w, GET("/")), *server = world_server(&w, 0);
            says(&w, server, rows[i].answer);
            if (reset)
                peer_resets(server);
            else
                peer_ends(server);
            world_run(&w);
            assert_true(client->reset);
            expect_not_in(&client->got, "\r\n0\r\n");
            expect_line(&w, 0, 200, rows[i].end);
            world_end(&w);
        }
    }
}

static void a_body_until_the_end_is_whole_only_if_the_end_is_orderly(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/"));

    (void)state;
    says(&w, world_server(&w, 0), "HTTP/1.1 200 OK\r\n\r\nhello");
    expect_ends_with(&client->got, "5\r\nhello\r\n");
    peer_ends(world_server(&w, 0));
    world_run(&w);
    expect_ends_with(&client->got, "5\r\nhello\r\n0\r\n\r\n");
    expect_line(&w, 0, 200, "complete");
    leave(&w, client);
    client = begin_with(&w, GET("/"));
    says(&w, world_server(&w, 0), "HTTP/1.1 200 OK\r\n\r\nhello");
    peer_resets(world_server(&w, 0));
    world_run(&w);
    assert_true(client->reset);
    expect_line(&w, 0, 200, "server_truncated");
    world_end(&w);
}

/* ---- every wait has its deadline, and its deadline has its answer ---- */

static void the_answer_does_not_come(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/"));

    (void)state;
    world_sleep(&w, 29900);
    assert_int_equal(client->got.n, 0);
    world_sleep(&w, 200);
    expect_status(client, 504);
    expect_line(&w, 0, 504, "response_timeout");
    assert_true(world_server(&w, 0)->closed);
    assert_false(client->closed);
    leave(&w, client);
    client = begin_with(&w, GET("/quick"));              /* the route's own patience */
    world_sleep(&w, 1100);
    expect_status(client, 504);
    leave(&w, client);
    client = begin_with(&w, GET("/quick"));              /* half a head is no answer either */
    says(&w, world_server(&w, 0), "HTTP/1.1 200 OK\r\nX: ");
    world_sleep(&w, 1100);
    expect_status(client, 504);
    leave(&w, client);
}

static void the_request_s_body_does_not_come(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, POST("/quick", "100") "abc");

    (void)state;
    world_sleep(&w, 1900);
    says(&w, client, "def");             /* progress */
    world_sleep(&w, 1900);
    assert_int_equal(client->got.n, 0);
    world_sleep(&w, 200);
    expect_status(client, 408);
    expect_in(&client->got, "Connection: close\r\n");
    expect_line(&w, 0, 408, "body_timeout");
    assert_true(world_server(&w, 0)->closed);
    world_end(&w);
}

static void the_server_does_not_read_the_body(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, POST("/quick", "100"));

    (void)state;
    peer_stops_reading(world_server(&w, 0));
    says(&w, client, "abc");
    world_sleep(&w, 2100);
    expect_status(client, 504);
    expect_line(&w, 0, 504, "server_stalled");
    world_end(&w);
}

static void the_response_s_body_does_not_come(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/quick"));

    (void)state;
    says(&w, world_server(&w, 0), "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab");
    world_sleep(&w, 1900);
    says(&w, world_server(&w, 0), "c");
    world_sleep(&w, 1900);
    assert_false(client->closed);
    world_sleep(&w, 200);
    assert_true(client->reset);
    expect_line(&w, 0, 200, "server_stalled");
    world_end(&w);
}

static void the_client_does_not_read_the_response(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/quick"));

    (void)state;
    says(&w, world_server(&w, 0), "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab");
    peer_stops_reading(client);
    says(&w, world_server(&w, 0), "cdefg");
    world_sleep(&w, 1900);
    peer_takes(client, 1);
    world_sleep(&w, 1900);
    assert_false(client->closed);
    world_sleep(&w, 200);
    assert_true(client->reset);
    expect_line(&w, 0, 200, "client_stalled");
    assert_true(world_server(&w, 0)->closed);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_connections_are_tried_elsewhere),
        cmocka_unit_test(a_connection_that_is_not_made_in_time),
        cmocka_unit_test(a_kept_connection_that_was_ending_is_no_failure),
        cmocka_unit_test(a_body_that_met_a_dead_connection_goes_out_whole_on_the_next),
        cmocka_unit_test(what_a_server_has_seen_is_not_sent_to_another),
        cmocka_unit_test(answers_that_are_none),
        cmocka_unit_test(an_answer_that_is_cut_is_seen_as_cut),
        cmocka_unit_test(a_body_until_the_end_is_whole_only_if_the_end_is_orderly),
        cmocka_unit_test(the_answer_does_not_come),
        cmocka_unit_test(the_request_s_body_does_not_come),
        cmocka_unit_test(the_server_does_not_read_the_body),
        cmocka_unit_test(the_response_s_body_does_not_come),
        cmocka_unit_test(the_client_does_not_read_the_response),
    };

    return cmocka_run_group_tests(tests, talk_load, talk_unload);
}
