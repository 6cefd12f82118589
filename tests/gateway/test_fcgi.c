/* FastCGI backends: what the application is told, what becomes of its answers, connections that are kept, requests that end early. */
#include "tests/gateway/talk.h"

#include "tests/gateway/fcgi_app.h"

static const char *const fcgi_conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main } ]\n"
    "limits: { header_bytes: 4KiB, body_bytes: 1MiB }\n"
    "timeouts: { body: 60s, connect: 5s, response: 30s, drain_spread: 0ms }\n"
    "upstreams:\n"
    "  app: { protocol: fastcgi, servers: [ 127.0.0.1:9001 ], fastcgi: { stderr_bytes: 40B,\n"
    "         params: { APP_ENV: \"on the moon\", SERVER_ADDR: mine, HTTP_X_OWN: ours } } }\n"
    "  one: { protocol: fastcgi, servers: [ 127.0.0.1:9003 ], keepalive: off }\n"
    "  front: { protocol: fastcgi, servers: [ 127.0.0.1:9004 ], fastcgi: { root: /srv/www, script: app/index.php } }\n"
    "  files: { protocol: fastcgi, servers: [ 127.0.0.1:9005 ],\n"
    "           fastcgi: { root: /proc/self, split: status, index: status } }\n"
    "routes:\n"
    "  - { upstream: one, match: { path: /one } }\n"
    "  - { upstream: front, match: { path: /front } }\n"
    "  - { upstream: files, match: { path: /files } }\n"
    "  - { upstream: app, match: { host: a.test } }\n";

static int load_fcgi(void **state)
{
    (void)state;
    conf = world_conf(fcgi_conf_text);
    return 0;
}

/* The request that the nth server was sent last; the test frees the app. */
static const struct app_request *told(struct world *w, size_t nth, struct app *a)
{
    app_read(a, world_server(w, nth));
    assert_true(a->n > 0);
    assert_int_equal(a->read, world_server(w, nth)->got.n);
    return &a->requests[a->n - 1];
}

/* ---- what the application is told ---- */

static void a_request_is_one_write_of_parameters(void **state)
{
    static const struct {
        const char *name, *value;
    } due[] = {
        { "REQUEST_METHOD", "GET" }, { "REQUEST_URI", "/a%20b/c?d=e%26f" }, { "QUERY_STRING", "d=e%26f" }, { "SCRIPT_NAME", "" },
        { "PATH_INFO", "/a b/c" }, { "DOCUMENT_URI", "/a b/c" }, { "GATEWAY_INTERFACE", "CGI/1.1" }, { "SERVER_PROTOCOL", "HTTP/1.1" },
        { "SERVER_NAME", "a.test" }, { "SERVER_PORT", "1" }, { "SERVER_ADDR", "mine" }, { "REMOTE_ADDR", "192.0.2.7" },
        { "REMOTE_PORT", "40000" }, { "REQUEST_SCHEME", "http" }, { "HTTP_HOST", "A.test:81" }, { "HTTP_X_A", "1, 2" },
        { "APP_ENV", "on the moon" }, { "HTTP_X_OWN", "ours" }, { "HTTP_COOKIE", "a=1; b=2" },
    };
    static const char *const never[] = {
        "HTTPS", "CONTENT_LENGTH", "CONTENT_TYPE", "SCRIPT_FILENAME", "DOCUMENT_ROOT", "PATH_TRANSLATED", "HTTP_CONNECTION", "HTTP_X_B",
        "HTTP_PROXY", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "REMOTE_USER", "HTTP_EXPECT"
    };
    struct world w;
    struct app a;
    const struct app_request *q;
    struct peer *client = begin_with(&w, "GET /a%20b/c?d=e%26f HTTP/1.1\r\nHost: A.test:81\r\nX-A: 1\r\nCookie: a=1\r\nx-a: 2\r\n"
                                         "Connection: X-B, keep-alive\r\nX-B: gone\r\nProxy: http://evil\r\nX-Forwarded-For: 1.2.3.4\r\n"
                                         "X_Real_IP: 1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX-Own: theirs\r\nCookie: b=2\r\n\r\n");

    (void)state;
    q = told(&w, 0, &a);
    assert_int_equal(a.n, 1);
    assert_int_equal(world_server(&w, 0)->writes, 1);
    assert_true(q->keep && q->params_over && q->input_over);
    assert_int_equal(q->input.n, 0);
    for (size_t i = 0; i < COUNT_OF(due); i++)
        if (app_param(q, due[i].name) == NULL || strcmp(app_param(q, due[i].name), due[i].value) != 0)
            fail_msg("%s is `%s`", due[i].name, app_param(q, due[i].name));
    for (size_t i = 0; i < COUNT_OF(never); i++)
        if (app_param(q, never[i]) != NULL)
            fail_msg("%s is there", never[i]);
    assert_int_equal(w.metrics.fields_folded, 1);
    app_free(&a);
    app_reply(world_server(&w, 0), 1, "Status: 201 Made\r\nContent-Type: x/y\r\nContent-Length: 2\r\nX-B: c\r\n\r\nhi");
    world_run(&w);
    expect_status(client, 201);
    expect_in(&client->got, "HTTP/1.1 201 Made\r\n");
    expect_in(&client->got, "Content-Length: 2\r\n");
    expect_in(&client->got, "X-B: c\r\n");
    expect_in(&client->got, "Via: 1.1 upgate\r\n");
    expect_not_in(&client->got, "Status:");
    expect_ends_with(&client->got, "\r\n\r\nhi");
    expect_line(&w, 0, 201, "complete");
    leave(&w, client);
}

/* Whatever the client says, what it says stands in HTTP_ and CONTENT_TYPE, and nothing of it becomes a record of its own. */
static void a_client_cannot_forge(void **state)
{
    static const char body[] = "\1\1\0\1\0\x8\0\0\0\1\0\0\0\0\0";       /* a record, were it not one's content */
    static const char *const requests[] = {
        "GET /?\\x01 HTTP/1.1\r\nHost: a.test\r\nREMOTE_USER: root\r\nHTTPS: on\r\nSCRIPT_FILENAME: /etc/passwd\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: a.test\r\nHTTP-HTTPS: on\r\nContent_Length: 5\r\nREMOTE-ADDR: 127.0.0.1\r\nAuth.User: root\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Type: \x01\x05\r\nContent-Length: 0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Type: a\r\nContent-Length: 16\r\nPHP_VALUE: a\r\nPHP-ADMIN-VALUE: b\r\n\r\n",
    };
    static const char *const ours[] = {
        "APP_ENV", "SERVER_ADDR", "GATEWAY_INTERFACE", "SERVER_SOFTWARE", "SERVER_PROTOCOL", "SERVER_NAME", "SERVER_PORT",
        "REQUEST_SCHEME", "REDIRECT_STATUS", "REMOTE_ADDR", "REMOTE_PORT", "SCRIPT_NAME", "PATH_INFO", "DOCUMENT_URI", "REQUEST_METHOD",
        "REQUEST_URI", "QUERY_STRING", "CONTENT_LENGTH", "CONTENT_TYPE"
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(requests); i++) {
        struct world w;
        struct app a;
        const struct app_request *q;
        struct fcgi_peer_pair pair;
        struct peer *client;
        world_begin(&w, conf);
        client = world_client(&w);
        client->react = hang_up_when_finished;
        peer_says(client, requests[i]);
        if (i == 3)
            peer_give(client, span_of(body, sizeof(body)));
        world_run(&w);
        if (w.servers_n == 0) {          /* refused before anybody heard of it */
            expect_status(client, 400);
            peer_ends(client);
            world_run(&w);
            world_end(&w);
            continue;
        }
        q = told(&w, 0, &a);
        assert_int_equal(a.n, 1);
        if (i == 3)
            assert_memory_equal(q->input.p, body, sizeof(body));
        for (size_t at = 0; at < q->params.n;) {
            size_t known = 0;
            at += fcgi_peer_pair(q->params.p + at, q->params.n - at, &pair);
            while (known < COUNT_OF(ours) &&
                   (strlen(ours[known]) != pair.name_n || memcmp(ours[known], pair.name, pair.name_n) != 0))
                known++;
            if (known == COUNT_OF(ours) && (pair.name_n <= 5 || memcmp(pair.name, "HTTP_", 5) != 0))
                fail_msg("%.*s", (int)pair.name_n, (const char *)pair.name);
        }
        assert_string_equal(app_param(q, "REMOTE_ADDR"), "192.0.2.7");
        app_free(&a);
        peer_ends(client);
        app_reply(world_server(&w, 0), 1, "Status: 204\n\n");
        world_run(&w);
        world_kill_and_end(&w);
    }
}

static void scripts(void **state)
{
    struct world w;
    struct app a;
    const struct app_request *q;
    struct peer *client = begin_with(&w, GET("/front/page"));

    (void)state;
    q = told(&w, 0, &a);
    assert_string_equal(app_param(q, "SCRIPT_FILENAME"), "/srv/www/app/index.php");
    assert_string_equal(app_param(q, "SCRIPT_NAME"), "/app/index.php");
    assert_string_equal(app_param(q, "DOCUMENT_ROOT"), "/srv/www");
    app_free(&a);
    app_reply(world_server(&w, 0), 1, "Status: 204\n\n");
    world_run(&w);
    says(&w, client, GET("/files/none/status"));         /* below /proc/self it is not */
    expect_line(&w, 1, 404, "refused");
    assert_string_equal(world_said(&w, "exchange", 1, "fault"), "fcgi_script");
    says(&w, client, GET("/files/%00"));
    expect_line(&w, 2, 400, "refused");
    assert_int_equal(w.dials, 1);
    leave(&w, client);
}

/* ---- the body ---- */

static void a_body_with_its_length(void **state)
{
    struct world w;
    struct app a;
    const struct app_request *q;
    struct peer *client = begin_with(&w, "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nContent-Type: a/b\r\n\r\nhello");

    (void)state;
    q = told(&w, 0, &a);
    assert_int_equal(world_server(&w, 0)->writes, 1);    /* parameters, body and its end */
    assert_string_equal(app_param(q, "CONTENT_LENGTH"), "5");
    assert_string_equal(app_param(q, "CONTENT_TYPE"), "a/b");
    assert_null(app_param(q, "HTTP_CONTENT_LENGTH"));
    assert_true(q->input_over);
    assert_string_equal(bytes_text(&q->input), "hello");
    app_free(&a);
    app_reply(world_server(&w, 0), 1, "Content-Type: a/b\n\nhi");
    world_run(&w);
    expect_status(client, 200);
    assert_int_equal(world_pooled(&w), 1);
    leave(&w, client);
}

/* However little either side moves at a time, and however much is in between. */
static void a_large_body_at_every_rhythm(void **state)
{
    static const struct {
        size_t body, piece, grain;
    } rows[] = {
        { 300, 1, 1 }, { 300, 7, 3 }, { 5000, 4096, 100 }, { 65529, SIZE_MAX, SIZE_MAX }, { 200000, SIZE_MAX, 5000 },
        { 200000, 3000, 8192 }, { 70001, 70000, 1000 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct app a;
        const struct app_request *q;
        struct peer *client;
        struct bytes body = { NULL, 0, 0 };
        char head[128];
        for (size_t n = 0; n < rows[i].body; n++)
            bytes_add(&body, &(uint8_t){ (uint8_t)(n * 7 + n / 251) }, 1);
        world_begin(&w, conf);
        w.piece = rows[i].piece;
        w.grain = rows[i].grain;
        w.on_server = app_new;
        client = world_client(&w);
        snprintf(head, sizeof(head), "PUT /length HTTP/1.1\r\nHost: a.test\r\nContent-Length: %zu\r\n\r\n", rows[i].body);
        peer_says(client, head);
        peer_give(client, bytes_span(&body));
        world_run(&w);
        q = told(&w, 0, &a);
        assert_int_equal(q->input.n, body.n);
        assert_memory_equal(q->input.p, body.p, body.n);
        app_free(&a);
        bytes_free(&body);
        snprintf(head, sizeof(head), "[PUT /length %zu]", rows[i].body);
        expect_ends_with(&client->got, head);
        leave(&w, client);
    }
}

static void a_server_that_does_not_read_stops_the_client(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, POST("/x", "900000")), *server = world_server(&w, 0);
    struct bytes body = { NULL, 0, 0 };

    (void)state;
    for (int i = 0; i < 900000; i++)
        bytes_add(&body, "b", 1);
    peer_stops_reading(server);
    client->piece = 10000;
    peer_give(client, bytes_span(&body));
    world_run(&w);
    assert_true(client->arrived < 300000);
    peer_takes(server, 100000);
    world_run(&w);
    assert_true(client->arrived < 400000);
    world_sleep(&w, 59000);
    peer_takes(server, 100000);                          /* progress */
    world_sleep(&w, 59000);
    assert_int_equal(client->got.n, 0);
    world_sleep(&w, 2000);
    expect_status(client, 504);
    expect_line(&w, 0, 504, "server_stalled");
    bytes_free(&body);
    world_end(&w);
}

static void expectations_are_answered_here(void **state)
{
    struct world w;
    struct app a;
    struct peer *client;

    (void)state;
    world_begin(&w, conf);
    w.plan[0] = DIAL_HANGS;
    client = world_client(&w);
    client->react = hang_up_when_finished;
    says(&w, client, "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_int_equal(client->got.n, 0);                  /* nobody is there yet who would read it */
    world_sleep(&w, 5100);
    assert_int_equal(w.servers_n, 1);
    expect_in(&client->got, "HTTP/1.1 100 Continue\r\n");
    says(&w, client, "hello");
    assert_string_equal(bytes_text(&told(&w, 0, &a)->input), "hello");
    app_free(&a);
    app_reply(world_server(&w, 0), 1, "Content-Type: a/b\n\nhi");
    world_run(&w);
    assert_int_equal(count_text(bytes_text(&client->got), "HTTP/1.1 100 "), 1);
    expect_in(&client->got, "HTTP/1.1 200 OK\r\n");
    leave(&w, client);
}

/* ---- the answer ---- */

static const struct answer {
    const char *request, *reply, *due_head, *due_end;
} answers[] = {
    { GET("/x"), "Content-Type: a/b\n\nhello", "HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n", "5\r\nhello\r\n0\r\n\r\n" },
    { GET("/x"), "Content-Type: a/b\r\nContent-Length: 5\r\n\r\nhello", "Content-Length: 5\r\n", "\r\n\r\nhello" },
    { GET("/x"), "Content-Type: a/b\n\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\n0\r\n\r\n" },
    { GET("/x"), "Status: 404\nContent-Type: a/b\n\nno", "HTTP/1.1 404 Not Found\r\n", "2\r\nno\r\n0\r\n\r\n" },
    { GET("/x"), "Status: 404 Gone fishing\n\n", "HTTP/1.1 404 Gone fishing\r\n", "Content-Length: 0\r\nVia: 1.1 upgate\r\n\r\n" },
    { GET("/x"), "Location: https://b.test/\n\n", "HTTP/1.1 302 Found\r\nLocation: https://b.test/\r\n", "\r\n\r\n" },
    { GET("/x"), "Location: /local?a\n\n", "HTTP/1.1 302 Found\r\nLocation: /local?a\r\n", "\r\n\r\n" },
    { GET("/x"), "Status: 304\nETag: \"a\"\n\n", "HTTP/1.1 304 Not Modified\r\n", "\r\n\r\n" },
    { GET("/x"), "Status: 204\nContent-Type: a/b\n\nnever", "HTTP/1.1 204 No Content\r\n", "\r\n\r\n" },
    { "HEAD /x HTTP/1.1\r\nHost: a.test\r\n\r\n", "Content-Type: a/b\nContent-Length: 5\n\nhello", "Content-Length: 5\r\n",
      "\r\n\r\n" },
    { "HEAD /x HTTP/1.1\r\nHost: a.test\r\n\r\n", "Content-Type: a/b\n\nhello", "HTTP/1.1 200 OK\r\n", "\r\n\r\n" },
    { "GET /x HTTP/1.0\r\nHost: a.test\r\n\r\n", "Content-Type: a/b\n\nhello", "Connection: close\r\n", "\r\n\r\nhello" },
    { GET("/x"), "Content-Type: a/b\nTransfer-Encoding: chunked\nConnection: close\nUpgrade: x\nKeep-Alive: y\n\nhello",
      "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n" },
};

/* The record's border is nowhere in particular: the reply is cut at each place. */
static void replies(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        const char *reply = answers[i].reply;
        for (size_t cut = 0; cut <= strlen(reply); cut++) {
            struct world w;
            struct peer *client = begin_with(&w, answers[i].request), *server = world_server(&w, 0);
            if (cut > 0)
                app_send(server, 6, 1, reply, cut, cut % 5);
            if (cut % 2 == 1)
                world_run(&w);
            if (reply[cut] != '\0')
                app_out(server, 1, reply + cut);
            app_end(server, 1, 0);
            world_run(&w);
            expect_in(&client->got, answers[i].due_head);
            if (cut == 0)
                expect_ends_with(&client->got, answers[i].due_end);
            expect_not_in(&client->got, "Keep-Alive:");
            assert_int_equal(world_lines(&w, "exchange"), 1);
            assert_string_equal(world_said(&w, "exchange", 0, "end"), "complete");
            assert_int_equal(world_pooled(&w), 1);
            peer_ends(client);
            world_run(&w);
            world_end(&w);
        }
    }
}

static void give_bytes(struct peer *p, struct span bytes)
{
    peer_give(p, bytes);
}

/* What the server sends, cut at each byte, and byte by byte: the client sees the same. */
static void records_at_every_cut(void **state)
{
    struct bytes first = { NULL, 0, 0 };

    (void)state;
    for (size_t cut = 0;; cut++) {
        struct world w;
        struct peer *client = begin_with(&w, GET("/x")), *server = world_server(&w, 0);
        struct fcgi_peer_bytes b = { 0 };
        struct span all;
        fcgi_peer_send(&b, 7, 1, "oops\n", 5, 3);
        fcgi_peer_send(&b, 6, 1, "Content-Type: a/b\r\n", 19, 0);
        fcgi_peer_send(&b, 6, 1, "\r\nhel", 5, 11);
        fcgi_peer_send(&b, 7, 1, "again", 5, 0);
        fcgi_peer_send(&b, 6, 1, "lo", 2, 0);
        fcgi_peer_send(&b, 6, 1, "", 0, 255);
        fcgi_peer_end(&b, 1, 0, 0, 4);
        all = span_of(b.p, b.n);
        if (cut > 0) {
            give_bytes(server, span_first(all, cut));
            world_run(&w);
        }
        if (cut == all.n)
            server->piece = 1;
        give_bytes(server, cut == all.n ? SPAN_EMPTY : span_from(all, cut));
        world_run(&w);
        expect_status(client, 200);
        expect_ends_with(&client->got, "0\r\n\r\n");
        expect_in(&w.log, "stderr of GET /x: oops\n");
        expect_in(&w.log, "stderr of GET /x: again\n");
        assert_int_equal(w.metrics.fcgi_stderr_bytes, 10);
        assert_string_equal(world_said(&w, "exchange", 0, "bytes_out"), "5");
        fcgi_peer_free(&b);
        leave(&w, client);
        if (cut == all.n)
            break;
    }
    bytes_free(&first);
}

static void a_client_that_does_not_read_stops_the_server(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/x")), *server = world_server(&w, 0);
    static char piece[50001];

    (void)state;
    memset(piece, 'x', sizeof(piece) - 1);
    peer_stops_reading(client);
    app_out(server, 1, "Content-Type: a/b\n\n");
    for (int i = 0; i < 20; i++)
        app_out(server, 1, piece);
    app_end(server, 1, 0);
    world_run(&w);
    assert_true(server->arrived - server->consumed > 0);
    assert_true(server->consumed < 200);
    peer_reads_on(client);
    world_run(&w);
    assert_string_equal(world_said(&w, "exchange", 0, "bytes_out"), "1000000");
    assert_string_equal(world_said(&w, "exchange", 0, "end"), "complete");
    leave(&w, client);
}

/* ---- STDERR ---- */

static void errors_are_lines_of_the_log(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/x?y")), *server = world_server(&w, 0);

    (void)state;
    app_err(server, 1, "one\r\n\n\x1b[31mtw");
    app_err(server, 1, "o\x9b\\\n");
    app_out(server, 1, "Content-Type: a/b\n\nhi");
    app_err(server, 1, "an open line that is far too long for it");
    app_reply(server, 1, "!");
    world_run(&w);
    expect_in(&w.log, "upstream app server 127.0.0.1:9001: stderr of GET /x?y: one\n");
    expect_in(&w.log, "stderr of GET /x?y: \\x1b[31mtwo\\x9b\\x5c\n");
    expect_in(&w.log, "stderr of GET /x?y: an open line that is fa\n");
    expect_in(&w.log, "stderr of GET /x?y: [17 bytes more were dropped]\n");
    assert_int_equal(count_text(bytes_text(&w.log), "stderr of"), 4);
    assert_int_equal(w.metrics.fcgi_stderr_bytes, 57);
    expect_ends_with(&client->got, "hi\r\n1\r\n!\r\n0\r\n\r\n");
    leave(&w, client);
}

/* Errors are no progress: an application that writes nothing else runs into the deadline. */
static void endless_errors(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/x"));

    (void)state;
    for (int i = 0; i < 29; i++) {
        app_err(world_server(&w, 0), 1, "still working\n");
        world_sleep(&w, 1000);
    }
    assert_int_equal(client->got.n, 0);
    app_err(world_server(&w, 0), 1, "still working\n");
    world_sleep(&w, 1100);
    expect_status(client, 504);
    expect_line(&w, 0, 504, "response_timeout");
    assert_true(count_text(bytes_text(&w.log), "stderr of") <= 5);
    leave(&w, client);
}

/* ---- connections ---- */

static void connections_are_kept(void **state)
{
    struct world w;
    struct app a;
    struct peer *client = begin_with_origin(&w, "");

    (void)state;
    w.on_server = app_new;
    for (int i = 0; i < 3; i++)
        says(&w, client, GET("/plain"));
    says(&w, client, POST("/length", "3") "abc");
    assert_int_equal(w.dials, 1);
    assert_int_equal(w.metrics.pool_reuses, 3);
    app_read(&a, world_server(&w, 0));
    assert_int_equal(a.n, 4);
    for (size_t i = 0; i < a.n; i++)
        assert_int_equal(a.requests[i].id, 1);
    assert_int_equal(world_server(&w, 0)->writes, 4);
    app_free(&a);
    world_sleep(&w, 59000);
    assert_int_equal(world_pooled(&w), 1);
    world_sleep(&w, 1100);                               /* keepalive_timeout */
    assert_true(world_server(&w, 0)->closed);
    leave(&w, client);
}

static void a_connection_that_is_not_to_be_kept(void **state)
{
    struct world w;
    struct app a;
    struct peer *client = begin_with(&w, GET("/one"));

    (void)state;
    assert_false(told(&w, 0, &a)->keep);
    app_free(&a);
    app_reply(world_server(&w, 0), 1, "Content-Type: a/b\n\nhi");
    world_run(&w);
    expect_status(client, 200);
    assert_true(world_server(&w, 0)->closed);
    leave(&w, client);
}

/* The rest of the body is still to come: whether the server would skip it, nobody knows. */
static void an_early_answer_costs_the_connection(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, POST("/x", "10") "abc");

    (void)state;
    app_reply(world_server(&w, 0), 1, "Status: 403\n\n");
    world_run(&w);
    expect_status(client, 403);
    expect_in(&client->got, "Connection: close\r\n");
    assert_true(world_server(&w, 0)->closed);
    assert_int_equal(world_pooled(&w), 0);
    peer_ends(client);
    world_run(&w);
    world_end(&w);
}

/* ---- the end before the end ---- */

static bool was_aborted(struct world *w, size_t nth)
{
    struct app a;
    bool aborted = told(w, nth, &a)->aborted;

    app_free(&a);
    return aborted;
}

static void a_client_that_goes_aborts_its_request(void **state)
{
    for (int how = 0; how < 3; how++) {
        struct world w;
        struct peer *client = begin_with(&w, GET("/x")), *server = world_server(&w, 0);
        (void)state;
        app_out(server, 1, "Content-Type: a/b\n\nhi");
        world_run(&w);
        peer_resets(client);
        world_run(&w);
        expect_line(&w, 0, 200, "client_aborted");
        assert_true(was_aborted(&w, 0));
        assert_false(server->closed);
        assert_int_equal(w.metrics.fcgi_aborts, 1);
        app_out(server, 1, "more for nobody");
        if (how == 0)
            app_end(server, 1, 0);
        else if (how == 1)
            peer_ends(server);
        world_run(&w);
        assert_int_equal(server->closed, how < 2);
        world_sleep(&w, 1100);
        assert_true(server->closed);                     /* it had its time */
        assert_int_equal(world_pooled(&w), 0);
        world_end(&w);
    }
}

static void an_abort_is_over_when_the_gateway_ends(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, POST("/x", "10") "abc");

    (void)state;
    peer_resets(client);
    world_run(&w);
    assert_true(was_aborted(&w, 0));
    assert_false(world_server(&w, 0)->closed);
    world_end(&w);                                       /* closes what lingers, as idle connections */
}

/* ---- upgrades ---- */

static void an_upgrade_is_served_as_plain_http(void **state)
{
    struct world w;
    struct app a;
    const struct app_request *q;
    struct peer *client = begin_with(&w, WS_REQUEST);

    (void)state;
    q = told(&w, 0, &a);
    assert_null(app_param(q, "HTTP_UPGRADE"));
    assert_null(app_param(q, "HTTP_CONNECTION"));
    app_free(&a);
    app_reply(world_server(&w, 0), 1, "Status: 400\nContent-Type: a/b\n\nno sockets here");
    world_run(&w);
    expect_status(client, 400);
    says(&w, client, WS_REQUEST);                        /* an ordinary connection, with an ordinary second request */
    app_reply(world_server(&w, 0), 1, "Status: 400\n\n");
    world_run(&w);
    expect_line(&w, 1, 400, "complete");
    assert_int_equal(count_text(bytes_text(&w.log), "upstream app speaks FastCGI"), 1);
    leave(&w, client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_one_write_of_parameters),
        cmocka_unit_test(a_client_cannot_forge),
        cmocka_unit_test(scripts),
        cmocka_unit_test(a_body_with_its_length),
        cmocka_unit_test(a_large_body_at_every_rhythm),
        cmocka_unit_test(a_server_that_does_not_read_stops_the_client),
        cmocka_unit_test(expectations_are_answered_here),
        cmocka_unit_test(replies),
        cmocka_unit_test(records_at_every_cut),
        cmocka_unit_test(a_client_that_does_not_read_stops_the_server),
        cmocka_unit_test(errors_are_lines_of_the_log),
        cmocka_unit_test(endless_errors),
        cmocka_unit_test(connections_are_kept),
        cmocka_unit_test(a_connection_that_is_not_to_be_kept),
        cmocka_unit_test(an_early_answer_costs_the_connection),
        cmocka_unit_test(a_client_that_goes_aborts_its_request),
        cmocka_unit_test(an_abort_is_over_when_the_gateway_ends),
        cmocka_unit_test(an_upgrade_is_served_as_plain_http),
    };

    return cmocka_run_group_tests(tests, load_fcgi, talk_unload);
}
