/* FastCGI servers that refuse, break off or talk nonsense: what is tried again, what the client is told, and what the operator. */
#include "tests/gateway/talk.h"

#include "tests/gateway/fcgi_app.h"

static const char *const fcgi_conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main } ]\n"
    "limits: { header_bytes: 4KiB }\n"
    "timeouts: { body: 60s, connect: 5s, response: 30s, drain_spread: 0ms }\n"
    "upstreams:\n"
    "  one: { protocol: fastcgi, servers: [ 127.0.0.1:9001 ] }\n"
    "  two: { protocol: fastcgi, servers: [ 127.0.0.1:9002, 127.0.0.1:9003 ] }\n"
    "routes:\n"
    "  - { upstream: two, match: { path: /two } }\n"
    "  - { upstream: one, match: { host: a.test } }\n";

static int load_fcgi(void **state)
{
    (void)state;
    conf = world_conf(fcgi_conf_text);
    return 0;
}

/* ---- servers that refuse ---- */

static void a_server_without_room_is_passed_by(void **state)
{
    static const struct {
        const char *request;
        bool again;
    } rows[] = {
        { GET("/two"), true }, { POST("/two", "0"), true }, { "BREW /two HTTP/1.1\r\nHost: a.test\r\n\r\n", true },
        { POST("/two", "3") "abc", false },              /* a part of it is gone */
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct peer *client = begin_with(&w, rows[i].request);
        app_end(world_server(&w, 0), 1, 2);
        world_run(&w);
        assert_int_equal(w.dials, rows[i].again ? 2 : 1);
        if (rows[i].again) {
            assert_true(w.dialed[0] != w.dialed[1]);
            app_end(world_server(&w, 1), 1, 2);          /* neither has the other */
            world_run(&w);
        }
        expect_status(client, 503);
        expect_in(&client->got, "Retry-After:");
        expect_line(&w, 0, 503, "server_overloaded");
        peer_ends(client);
        world_run(&w);
        world_end(&w);
    }
}

static void a_server_that_cannot(void **state)
{
    static const char *const faults[] = { [1] = "fcgi_multiplex", [3] = "fcgi_role" };

    (void)state;
    for (unsigned status = 1; status <= 3; status += 2) {
        struct world w;
        struct peer *client = begin_with(&w, GET("/two"));
        app_end(world_server(&w, 0), 1, status);
        world_run(&w);
        assert_int_equal(w.dials, 1);
        expect_status(client, 502);
        expect_line(&w, 0, 502, "server_fault");
        assert_string_equal(world_said(&w, "exchange", 0, "fault"), faults[status]);
        leave(&w, client);
    }
}

/* ---- replies that are none ---- */

static void malformed_replies_are_quoted(void **state)
{
    static const struct {
        const char *reply, *fault, *line;
    } rows[] = {
        { "Fatal error\x1b[0m in x.php\n\n", "field", "Fatal error\\x1b[0m in x.php" },
        { "X-A: b\n\nhi", "fcgi_no_cgi_field", "X-A: b" },
        { "X-A: b\nStatus: 200\n\nhi", "fcgi_content_type", "X-A: b" },
        { "HTTP/1.1 200 OK\nContent-Type: a/b\n\n", "fcgi_nph", "HTTP/1.1 200 OK" },
        { "Status: 99\nContent-Type: a/b\n\n", "fcgi_status", "Status: 99" },
        { "Content-Type: a/b\nContent-Type: a/b\n\n", "fcgi_repeated", "Content-Type: a/b" },
        { "Content-Type: a/b\nContent-Length: 1, 1\n\nx", "content_length", "Content-Length: 1, 1" },
        { "Content-Type: a/b\n", "truncated", "Content-Type: a/b" },
        { "", "truncated", NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct peer *client = begin_with(&w, GET("/"));
        app_reply(world_server(&w, 0), 1, rows[i].reply);
        world_run(&w);
        expect_status(client, 502);
        expect_line(&w, 0, 502, "server_fault");
        assert_string_equal(world_said(&w, "exchange", 0, "fault"), rows[i].fault);
        if (rows[i].line != NULL)
            expect_in(&w.log, rows[i].line);
        leave(&w, client);
    }
}

static void a_head_that_is_too_long(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/"));
    char line[1001];

    (void)state;
    memset(line, 'x', sizeof(line) - 1);
    line[1000] = '\0';
    memcpy(line, "X: ", 3);
    line[999] = '\n';
    for (int i = 0; i < 5; i++)
        app_out(world_server(&w, 0), 1, line);
    world_run(&w);
    expect_status(client, 502);
    assert_string_equal(world_said(&w, "exchange", 0, "fault"), "head_too_large");
    assert_false(world_server(&w, 0)->closed);           /* aborted, and given a moment */
    world_sleep(&w, 1100);
    assert_true(world_server(&w, 0)->closed);
    leave(&w, client);
}

/* ---- answers that are cut ---- */

static void an_answer_that_is_cut_is_seen_as_cut(void **state)
{
    static const char *const replies[] = { "Content-Type: a/b\nContent-Length: 10\n\nhello", "Content-Type: a/b\n\nhello" };
    static const char *const how_ends[][5] = {
        { "server_truncated", "server_truncated", "server_truncated", "server_fault", "server_overloaded" },
        { "complete", "server_truncated", "server_truncated", "server_fault", "server_overloaded" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(replies); i++) {
        for (int how = 0; how < 5; how++) {
            struct world w;
            struct peer *client = begin_with(&w, GET("/")), *server = world_server(&w, 0);
            app_out(server, 1, replies[i]);
            world_run(&w);
            if (how == 0)
                app_end(server, 1, 0);
            else if (how == 1)
                peer_ends(server);
            else if (how == 2)
                peer_resets(server);
            else if (how == 3)
                app_out(server, 2, "not mine");
            else
                app_end(server, 1, 2);
            world_run(&w);
            assert_string_equal(world_said(&w, "exchange", 0, "end"), how_ends[i][how]);
            assert_string_equal(world_said(&w, "exchange", 0, "status"), "200");
            if (strcmp(how_ends[i][how], "complete") != 0) {
                assert_true(client->reset);
                expect_not_in(&client->got, "0\r\n\r\n");
            }
            peer_ends(client);
            world_run(&w);
            world_end(&w);
        }
    }
}

static void more_than_was_promised(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/"));

    (void)state;
    app_reply(world_server(&w, 0), 1, "Content-Type: a/b\nContent-Length: 5\n\nhello, world");
    world_run(&w);
    expect_line(&w, 0, 200, "server_fault");
    assert_string_equal(world_said(&w, "exchange", 0, "fault"), "excess");
    expect_ends_with(&client->got, "hello");
    world_end(&w);
}

/* ---- records that are none ---- */

static const struct bad_record {
    const char *fault;
    uint8_t bytes[40];
    size_t n;
} bad_records[] = {
    { "fcgi_version", { 2, 6, 0, 1, 0, 0, 0, 0 }, 8 },
    { "fcgi_version", { 'H' }, 1 },
    { "fcgi_type", { 1, 0, 0, 1, 0, 0, 0, 0 }, 8 },
    { "fcgi_type", { 1, 1, 0, 1, 0, 8, 0, 0 }, 8 },
    { "fcgi_type", { 1, 5, 0, 1, 0, 0, 0, 0 }, 8 },
    { "fcgi_type", { 1, 255, 0, 1, 0, 0, 0, 0 }, 8 },
    { "fcgi_type", { 1, 10, 0, 0, 0, 0, 0, 0 }, 8 },     /* nobody asked */
    { "fcgi_type", { 1, 11, 0, 0, 0, 8, 0, 0 }, 8 },
    { "fcgi_id", { 1, 6, 0, 0, 0, 1, 0, 0 }, 8 },
    { "fcgi_id", { 1, 6, 0, 2, 0, 1, 0, 0 }, 8 },
    { "fcgi_id", { 1, 3, 255, 255, 0, 8, 0, 0 }, 8 },
    { "fcgi_length", { 1, 3, 0, 1, 0, 7, 0, 0 }, 8 },
    { "fcgi_length", { 1, 3, 0, 1, 255, 255, 255, 0 }, 8 },
    { "fcgi_end_status", { 1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0 }, 16 },
    { "fcgi_after_end", { 1, 6, 0, 1, 0, 0, 0, 0, 1, 6, 0, 1, 0, 1, 0, 0 }, 16 },
};

static void bad_records_end_the_connection(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad_records); i++) {
        for (int begun = 0; begun < 2; begun++) {
            struct world w;
            struct peer *client = begin_with(&w, GET("/")), *server = world_server(&w, 0);
            if (begun)
                app_out(server, 1, "Content-Type: a/b\n\nhello");
            peer_give(server, span_of(bad_records[i].bytes, bad_records[i].n));
            world_run(&w);
            assert_true(server->closed);
            assert_string_equal(world_said(&w, "exchange", 0, "end"), "server_fault");
            assert_string_equal(world_said(&w, "exchange", 0, "fault"), bad_records[i].fault);
            assert_int_equal(begun ? client->reset : !client->reset, 1);
            if (!begun)
                expect_status(client, 502);
            peer_ends(client);
            world_run(&w);
            world_end(&w);
        }
    }
}

/* ---- connections that end ---- */

static struct peer *begin_kept(struct world *w, struct peer **server_out)
{
    struct peer *client = begin_with(w, GET("/1"));

    *server_out = world_server(w, 0);
    app_reply(*server_out, 1, "Content-Type: a/b\n\nhi");
    world_run(w);
    assert_int_equal(world_pooled(w), 1);
    return client;
}

static void a_kept_connection_that_was_ending_is_no_failure(void **state)
{
    static const struct {
        const char *request;
        bool again;
    } rows[] = {
        { GET("/2"), true }, { "DELETE /2 HTTP/1.1\r\nHost: a.test\r\n\r\n", true },
        { "BREW /2 HTTP/1.1\r\nHost: a.test\r\n\r\n", false }, { POST("/2", "0"), false },
        { "PUT /2 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc", false },
    };

    (void)state;
    for (int how = 0; how < 3; how++) {
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            struct world w;
            struct peer *server, *client = begin_kept(&w, &server);
            bool again = rows[i].again && how < 2;
            says(&w, client, rows[i].request);
            if (how == 2)
                app_err(server, 1, "it had begun\n");
            if (how == 0)
                peer_resets(server);
            else
                peer_ends(server);
            world_run(&w);
            assert_int_equal(w.dials, again ? 2 : 1);
            if (again) {
                app_reply(world_server(&w, 1), 1, "Content-Type: a/b\n\nhi");
                world_run(&w);
                expect_line(&w, 1, 200, "complete");
            } else {
                expect_line(&w, 1, 502, "server_closed");
            }
            peer_ends(client);
            world_run(&w);
            world_end(&w);
        }
    }
}

static void a_connection_that_was_never_used_is_not_tried_again(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/two"));

    (void)state;
    peer_resets(world_server(&w, 0));
    world_run(&w);
    assert_int_equal(w.dials, 1);
    expect_status(client, 502);
    assert_string_equal(world_said(&w, "exchange", 0, "detail"), "the connection was reset");
    leave(&w, client);
}

/* What comes on an idle connection was asked for by nobody. */
static void bytes_on_an_idle_connection_end_it(void **state)
{
    struct world w;
    struct peer *server, *client = begin_kept(&w, &server);

    (void)state;
    app_out(server, 1, "late");
    world_run(&w);
    assert_true(server->closed);
    assert_int_equal(world_pooled(&w), 0);
    leave(&w, client);
    client = begin_with(&w, GET("/1"));                  /* … and so does what stands behind END_REQUEST */
    server = world_server(&w, 0);
    app_reply(server, 1, "Content-Type: a/b\n\nhi");
    app_out(server, 1, "late");
    world_run(&w);
    expect_status(client, 200);
    assert_true(server->closed);
    leave(&w, client);
}

static void refused_connections_are_tried_elsewhere(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    world_begin(&w, conf);
    w.on_server = app_new;
    w.plan[0] = DIAL_REFUSED;
    client = world_client(&w);
    client->react = hang_up_when_finished;
    says(&w, client, POST("/two/plain", "3") "abc");
    expect_status(client, 200);
    assert_int_equal(w.dials, 2);
    assert_true(w.dialed[0] != w.dialed[1]);
    leave(&w, client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_without_room_is_passed_by),
        cmocka_unit_test(a_server_that_cannot),
        cmocka_unit_test(malformed_replies_are_quoted),
        cmocka_unit_test(a_head_that_is_too_long),
        cmocka_unit_test(an_answer_that_is_cut_is_seen_as_cut),
        cmocka_unit_test(more_than_was_promised),
        cmocka_unit_test(bad_records_end_the_connection),
        cmocka_unit_test(a_kept_connection_that_was_ending_is_no_failure),
        cmocka_unit_test(a_connection_that_was_never_used_is_not_tried_again),
        cmocka_unit_test(bytes_on_an_idle_connection_end_it),
        cmocka_unit_test(refused_connections_are_tried_elsewhere),
    };

    return cmocka_run_group_tests(tests, load_fcgi, talk_unload);
}
