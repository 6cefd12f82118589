/* Chunked requests to FastCGI applications: gathered first where the length has to be told, streamed where it need not. */
#include "tests/gateway/talk.h"

#include "tests/gateway/fcgi_app.h"

static const char *const fcgi_conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main } ]\n"
    "limits: { header_bytes: 4KiB }\n"
    "timeouts: { body: 60s, connect: 5s, response: 30s, drain_spread: 0ms }\n"
    "upstreams:\n"
    "  free: { protocol: fastcgi, servers: [ 127.0.0.1:9001 ], fastcgi: { length: optional } }\n"
    "  bare: { protocol: fastcgi, servers: [ 127.0.0.1:9002 ], fastcgi: { body_memory: 10B, body_folder: /nonexistent } }\n"
    "  app: { protocol: fastcgi, servers: [ 127.0.0.1:9003, 127.0.0.1:9004 ],\n"
    "         fastcgi: { body_memory: 1000B, body_max: 100000B } }\n"
    "routes:\n"
    "  - { upstream: free, match: { path: /free } }\n"
    "  - { upstream: bare, match: { path: /bare } }\n"
    "  - { upstream: app, match: { host: a.test } }\n";

static int load_fcgi(void **state)
{
    (void)state;
    conf = world_conf(fcgi_conf_text);
    return 0;
}

#define CHUNKED(target) "POST " target " HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"

static const struct app_request *told(struct world *w, size_t nth, struct app *a)
{
    app_read(a, world_server(w, nth));
    assert_true(a->n > 0);
    return &a->requests[a->n - 1];
}

static void the_server_hears_of_it_when_all_is_there(void **state)
{
    struct world w;
    struct app a;
    const struct app_request *q;
    struct peer *client = begin_with(&w, CHUNKED("/x") "5\r\nhello\r\n");

    (void)state;
    world_sleep(&w, 59000);
    says(&w, client, "7;x=y\r\n, world\r\n");
    assert_int_equal(w.dials, 0);
    world_sleep(&w, 59000);
    says(&w, client, "0\r\nX-Trailer: 1\r\n\r\n");
    assert_int_equal(w.dials, 1);
    q = told(&w, 0, &a);
    assert_string_equal(app_param(q, "CONTENT_LENGTH"), "12");
    assert_null(app_param(q, "HTTP_TRANSFER_ENCODING"));
    assert_null(app_param(q, "HTTP_X_TRAILER"));
    assert_string_equal(bytes_text(&q->input), "hello, world");
    assert_true(q->input_over);
    assert_int_equal(world_server(&w, 0)->writes, 1);
    app_free(&a);
    app_reply(world_server(&w, 0), 1, "Content-Type: a/b\n\nhi");
    world_run(&w);
    expect_line(&w, 0, 200, "complete");
    expect_ends_with(&client->got, "2\r\nhi\r\n0\r\n\r\n");
    assert_string_equal(world_said(&w, "exchange", 0, "bytes_in"), "12");
    assert_int_equal(world_pooled(&w), 1);
    assert_int_equal(w.metrics.bodies_gathered, 1);
    assert_int_equal(w.metrics.bodies_in_files, 0);
    says(&w, client, CHUNKED("/length") "0\r\n\r\n");      /* the connection is as good as before */
    assert_int_equal(w.dials, 2);
    assert_string_equal(app_param(told(&w, 1, &a), "CONTENT_LENGTH"), "0");
    app_free(&a);
    app_reply(world_server(&w, 1), 1, "Status: 204\n\n");
    world_run(&w);
    expect_line(&w, 1, 204, "complete");
    leave(&w, client);
}

static void say_chunks(struct peer *client, size_t total, size_t chunk)
{
    struct bytes out = { NULL, 0, 0 };

    for (size_t at = 0; at < total; at += chunk) {
        size_t n = total - at < chunk ? total - at : chunk;
        bytes_print(&out, "%zx\r\n", n);
        for (size_t i = at; i < at + n; i++)
            bytes_add(&out, &(uint8_t){ (uint8_t)(i * 7 + i / 251) }, 1);
        bytes_add_text(&out, "\r\n");
    }
    bytes_add_text(&out, "0\r\n\r\n");
    peer_give(client, bytes_span(&out));
    bytes_free(&out);
}

static void a_large_one_goes_through_a_file(void **state)
{
    static const struct {
        size_t total, chunk, piece, grain;
    } rows[] = {
        { 999, 10, SIZE_MAX, SIZE_MAX }, { 1001, 1001, 1, 1 }, { 100000, 333, 5000, 900 }, { 100000, 70000, SIZE_MAX, SIZE_MAX },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct app a;
        const struct app_request *q;
        struct peer *client;
        world_begin(&w, conf);
        w.piece = rows[i].piece;
        w.grain = rows[i].grain;
        w.on_server = app_new;
        client = world_client(&w);
        client->react = hang_up_when_finished;
        peer_says(client, CHUNKED("/length"));
        say_chunks(client, rows[i].total, rows[i].chunk);
        world_run(&w);
        q = told(&w, 0, &a);
        assert_int_equal(q->input.n, rows[i].total);
        for (size_t n = 0; n < q->input.n; n++)
            assert_int_equal(q->input.p[n], (uint8_t)(n * 7 + n / 251));
        assert_int_equal(w.metrics.bodies_in_files, rows[i].total > 1000);
        app_free(&a);
        expect_line(&w, 0, 200, "complete");
        leave(&w, client);
    }
}

static void too_large(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, CHUNKED("/x"));

    (void)state;
    say_chunks(client, 100001, 1000);
    world_run(&w);
    expect_status(client, 413);
    expect_line(&w, 0, 413, "client_fault");
    assert_string_equal(world_said(&w, "exchange", 0, "fault"), "body_too_large");
    assert_int_equal(w.dials, 0);
    world_end(&w);
}

static void no_place_for_it(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, CHUNKED("/bare"));

    (void)state;
    say_chunks(client, 11, 11);
    world_run(&w);
    expect_status(client, 503);
    expect_line(&w, 0, 503, "gather_failed");
    expect_in(&w.log, "a request's body cannot be stored in /nonexistent: No such file");
    peer_ends(client);
    world_run(&w);
    world_end(&w);
}

static void an_expectation_is_answered_before(void **state)
{
    struct world w;
    struct peer *client =
        begin_with(&w, "POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n");

    (void)state;
    expect_in(&client->got, "HTTP/1.1 100 Continue\r\n");
    assert_int_equal(w.dials, 0);
    w.on_server = app_new;
    says(&w, client, "1\r\nx\r\n0\r\n\r\n");
    assert_int_equal(count_text(bytes_text(&client->got), " 100 Continue"), 1);
    expect_line(&w, 0, 200, "complete");
    leave(&w, client);
}

static void a_client_that_stalls_or_goes(void **state)
{
    for (int how = 0; how < 4; how++) {
        struct world w;
        struct peer *client = begin_with(&w, CHUNKED("/x") "5\r\nhel");
        (void)state;
        if (how == 0)
            world_sleep(&w, 60100);
        else if (how == 1)
            peer_ends(client);
        else if (how == 2)
            peer_resets(client);
        else
            peer_says(client, "lox");
        world_run(&w);
        assert_int_equal(w.dials, 0);
        assert_string_equal(world_said(&w, "exchange", 0, "end"),
                            how == 0 ? "body_timeout" : how == 3 ? "client_fault" : "client_aborted");
        if (how != 2)
            expect_status(client, how == 0 ? 408 : 400);
        peer_ends(client);
        world_run(&w);
        world_end(&w);
    }
}

/* All of it is here: nobody has to send it again. */
static void another_server_gets_all_of_it(void **state)
{
    for (int how = 0; how < 2; how++) {
        struct world w;
        struct app a;
        const struct app_request *q;
        struct peer *client;
        (void)state;
        world_begin(&w, conf);
        w.plan[0] = how == 0 ? DIAL_REFUSED : DIAL_GIVES;
        client = world_client(&w);
        client->react = hang_up_when_finished;
        peer_says(client, CHUNKED("/x"));
        say_chunks(client, 5000, 4000);
        world_run(&w);
        if (how == 1) {
            app_end(world_server(&w, 0), 1, 2);          /* overloaded, and has all of it */
            world_run(&w);
        }
        assert_int_equal(w.dials, 2);
        q = told(&w, (size_t)how, &a);
        assert_int_equal(q->input.n, 5000);
        assert_true(q->input_over);
        app_free(&a);
        app_reply(world_server(&w, (size_t)how), 1, "Status: 204\n\n");
        world_run(&w);
        expect_line(&w, 0, 204, "complete");
        leave(&w, client);
    }
}

static void an_early_answer(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    world_begin(&w, conf);
    client = world_client(&w);
    peer_says(client, CHUNKED("/x"));
    say_chunks(client, 90000, 4000);
    world_run(&w);
    assert_int_equal(w.servers_n, 1);
    app_reply(world_server(&w, 0), 1, "Status: 403\n\n");
    world_run(&w);
    expect_line(&w, 0, 403, "complete");
    peer_ends(client);
    world_run(&w);
    world_end(&w);
}

static void a_server_that_does_not_read_it(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    world_begin(&w, conf);
    w.plan[0] = DIAL_HANGS;
    client = world_client(&w);
    client->react = hang_up_when_finished;
    peer_says(client, CHUNKED("/x"));
    say_chunks(client, 90000, 4000);
    world_run(&w);
    world_sleep(&w, 5100);
    assert_int_equal(w.servers_n, 1);
    peer_stops_reading(world_server(&w, 0));
    world_sleep(&w, 60100);
    expect_status(client, 504);
    leave(&w, client);
}

static void a_length_that_need_not_be_known(void **state)
{
    struct world w;
    struct app a;
    struct peer *client = begin_with(&w, CHUNKED("/free") "5\r\nhello\r\n");

    (void)state;
    assert_null(app_param(told(&w, 0, &a), "CONTENT_LENGTH"));
    assert_string_equal(bytes_text(&a.requests[0].input), "hello");
    assert_false(a.requests[0].input_over);
    app_free(&a);
    says(&w, client, "2\r\n!!\r\n0\r\n\r\n");
    assert_true(told(&w, 0, &a)->input_over);
    assert_string_equal(bytes_text(&a.requests[0].input), "hello!!");
    app_free(&a);
    app_reply(world_server(&w, 0), 1, "Status: 204\n\n");
    world_run(&w);
    expect_line(&w, 0, 204, "complete");
    assert_int_equal(world_pooled(&w), 1);
    assert_int_equal(w.metrics.bodies_gathered, 0);
    leave(&w, client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_hears_of_it_when_all_is_there),
        cmocka_unit_test(a_large_one_goes_through_a_file),
        cmocka_unit_test(too_large),
        cmocka_unit_test(no_place_for_it),
        cmocka_unit_test(an_expectation_is_answered_before),
        cmocka_unit_test(a_client_that_stalls_or_goes),
        cmocka_unit_test(another_server_gets_all_of_it),
        cmocka_unit_test(an_early_answer),
        cmocka_unit_test(a_server_that_does_not_read_it),
        cmocka_unit_test(a_length_that_need_not_be_known),
    };

    return cmocka_run_group_tests(tests, load_fcgi, talk_unload);
}
