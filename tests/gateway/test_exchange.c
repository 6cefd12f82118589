/* A client's connection and its exchanges over scripted streams: what passes, in which order, what each wait ends with, what is tried
 * again, and when the connection becomes a tunnel. */
#include "tests/gateway/origin.h"

#include "tests/gateway/frames.h"

static const char *const conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main } ]\n"
    "limits: { header_bytes: 4KiB, header_fields: 30, body_bytes: 100000B }\n"
    "timeouts: { header: 10s, body: 60s, keepalive: 75s, connect: 5s, response: 30s, drain_spread: 0ms }\n"
    "upstreams:\n"
    "  app: { servers: [ 127.0.0.1:9001, 127.0.0.1:9002, 127.0.0.1:9003 ], retries: 1, keepalive: 4 }\n"
    "  two: { servers: [ 127.0.0.1:9004, 127.0.0.1:9005 ], retries: 5 }\n"
    "  one: { servers: [ 127.0.0.1:9006 ], retries: 1 }\n"
    "routes:\n"
    "  - { upstream: app, match: { path: /app } }\n"
    "  - { upstream: two, match: { path: /two } }\n"
    "  - { upstream: one, match: { path: /nows }, websocket: off }\n"
    "  - { upstream: one, match: { path: /quick }, timeouts: { response: 1s, body: 2s, connect: 3s },\n"
    "      websocket: { handshake_timeout: 4s } }\n"
    "  - { upstream: one, match: { path: /pages }, websocket: { origins: [ \"https://a.test\" ], protocols: [ chat, news ],\n"
    "      compression: strip } }\n"
    "  - { upstream: one, match: { host: a.test } }\n";

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

/* ---- words ---- */

static void says(struct world *w, struct peer *p, const char *text)
{
    peer_says(p, text);
    world_run(w);
}

static void expect_in(const struct bytes *got, const char *what)
{
    if (strstr(bytes_text(got), what) == NULL)
        fail_msg("`%s` is not in `%s`", what, bytes_text(got));
}

static void expect_not_in(const struct bytes *got, const char *what)
{
    if (strstr(bytes_text(got), what) != NULL)
        fail_msg("`%s` is in `%s`", what, bytes_text(got));
}

static void expect_ends_with(const struct bytes *got, const char *what)
{
    size_t n = strlen(what);

    if (got->n < n || strcmp(bytes_text(got) + got->n - n, what) != 0)
        fail_msg("`%s` does not end with `%s`", bytes_text(got), what);
}

static void expect_status(const struct peer *client, unsigned status)
{
    char line[32];

    snprintf(line, sizeof(line), "HTTP/1.1 %u ", status);
    if (strncmp(bytes_text(&client->got), line, strlen(line)) != 0)
        fail_msg("not %u: `%s`", status, bytes_text(&client->got));
}

static void expect_line(struct world *w, size_t nth, unsigned status, const char *end)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", status);
    if (strcmp(world_said(w, "exchange", nth, "status"), text) != 0 || strcmp(world_said(w, "exchange", nth, "end"), end) != 0)
        fail_msg("not %u %s: %s", status, end, world_access(w));
}

/* A client that has said this, in a world whose servers the test plays. */
static struct peer *begin_with(struct world *w, const char *request)
{
    struct peer *client;

    world_begin(w, conf);
    client = world_client(w);
    client->react = hang_up_when_finished;
    says(w, client, request);
    return client;
}

static struct peer *begin_with_origin(struct world *w, const char *request)
{
    struct peer *client;

    world_begin(w, conf);
    w->on_server = origin_new;
    client = world_client(w);
    client->react = hang_up_when_finished;
    says(w, client, request);
    return client;
}

static void leave(struct world *w, struct peer *client)
{
    peer_ends(client);
    world_run(w);
    assert_true(client->closed);
    world_end(w);
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define POST(target, length) "POST " target " HTTP/1.1\r\nHost: a.test\r\nContent-Length: " length "\r\n\r\n"

/* ---- one exchange ---- */

static void a_request_and_its_response_pass(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, "GET /x?y HTTP/1.1\r\nHost: a.test\r\nX-One: 1\r\nConnection: x-two\r\nX-Two: 2\r\n\r\n");
    struct peer *server = world_server(&w, 0);

    (void)state;
    assert_ptr_equal(w.dialed[0], &conf->upstreams[2].servers[0].address);
    assert_int_equal(strncmp(bytes_text(&server->got), "GET /x?y HTTP/1.1\r\nHost: a.test\r\n", 33), 0);
    expect_in(&server->got, "\r\nX-One: 1\r\n");
    expect_in(&server->got, "\r\nX-Forwarded-For: 192.0.2.7\r\n");
    expect_in(&server->got, "\r\nVia: 1.1 upgate\r\n");
    expect_not_in(&server->got, "X-Two");
    expect_ends_with(&server->got, "\r\n\r\n");
    says(&w, server, "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nConnection: keep-alive, x-three\r\nX-Three: 3\r\nX-Four: 4\r\n\r\nhel");
    expect_ends_with(&client->got, "\r\n\r\nhel");               /* nobody waits for what has already come */
    says(&w, server, "lo");
    assert_int_equal(strncmp(bytes_text(&client->got), "HTTP/1.1 200 Fine\r\n", 19), 0);
    expect_in(&client->got, "\r\nX-Four: 4\r\n");
    expect_in(&client->got, "\r\nDate: ");
    expect_not_in(&client->got, "X-Three");
    expect_ends_with(&client->got, "\r\n\r\nhello");
    expect_line(&w, 0, 200, "complete");
    assert_string_equal(world_said(&w, "exchange", 0, "bytes_out"), "5");
    assert_string_equal(world_said(&w, "exchange", 0, "client"), "192.0.2.7:40000");
    assert_string_equal(world_said(&w, "exchange", 0, "listener"), "main");
    assert_string_equal(world_said(&w, "exchange", 0, "upstream"), "one");
    assert_string_equal(world_said(&w, "exchange", 0, "server"), "127.0.0.1:9006");
    leave(&w, client);
}

/* All answers as one text that does not tell how they were cut into chunks; kinds has a letter per answer, h for one to a HEAD. */
static void tell_answers(struct bytes *out, const struct peer *client, const char *kinds)
{
    struct http1_limits limits = { .head_bytes = 8192, .fields = 40, .chunk_extension_bytes = 0 };
    struct http1_parse *parse = http1_parse_new(HTTP1_RESPONSE, &limits);
    struct http1_result r;
    size_t at = 0;

    bytes_add_text(out, "");
    http1_parse_expect(parse, *kinds == 'h');
    do {
        at += http1_parse_next(parse, client->got.p + at, client->got.n - at, &r);
        if (r.event == HTTP1_MORE && client->fin)
            http1_parse_eof(parse, &r);
        if (r.event == HTTP1_HEAD) {
            bytes_print(out, "<%u %.*s", r.head->status, SPAN_FORMAT(r.head->reason));
            for (size_t i = 0; i < r.head->fields.n; i++)
                if (!span_equal_nocase(r.head->fields.fields[i].name, SPAN_LITERAL("date")))
                    bytes_print(out, "|%.*s: %.*s", SPAN_FORMAT(r.head->fields.fields[i].name), SPAN_FORMAT(r.head->fields.fields[i].value));
            bytes_add_text(out, ">");
        } else if (r.event == HTTP1_BODY) {
            bytes_add(out, r.data.p, r.data.n);
            http1_parse_took(parse, r.data.n);
            at += r.data.n;
        } else if (r.event == HTTP1_END) {
            for (size_t i = 0; i < r.trailers->n; i++)
                bytes_print(out, "|%.*s: %.*s", SPAN_FORMAT(r.trailers->fields[i].name), SPAN_FORMAT(r.trailers->fields[i].value));
            bytes_add_text(out, "#");
            kinds++;
            http1_parse_reset(parse);
            http1_parse_expect(parse, *kinds == 'h');
        }
    } while (r.event != HTTP1_MORE && r.event != HTTP1_FAULT);
    if (r.event == HTTP1_FAULT || *kinds != '\0')
        fail_msg("not the answers that are due: %s", bytes_text(out));
    http1_parse_free(parse);
    bytes_add_text(out, client->fin ? " fin" : "");
}

/* What the client sees does not depend on how the bytes come and go. */
static void however_the_bytes_come(void **state)
{
    static const struct {
        const char *request, *kinds;
    } rows[] = {
        { GET("/plain"), "g" }, { GET("/chunked"), "g" }, { GET("/empty"), "g" }, { GET("/close"), "g" }, { GET("/last"), "g" },
        { "HEAD /chunked HTTP/1.1\r\nHost: a.test\r\n\r\n", "h" }, { "HEAD /plain HTTP/1.1\r\nHost: a.test\r\n\r\n", "h" },
        { POST("/plain", "11") "hello world", "p" }, { POST("/100", "3") "abc", "p" },
        { "PUT /chunked HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\n\r\n", "p" },
        { "GET /plain HTTP/1.0\r\nHost: a.test\r\n\r\n", "g" },
        { "GET /chunked HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n", "g" },
        { "GET /nowhere HTTP/1.1\r\nHost: b.test\r\n\r\n", "g" }, { "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", "g" },
        { GET("/plain") POST("/chunked", "4") "abcd" "HEAD /plain HTTP/1.1\r\nHost: a.test\r\n\r\n" GET("/other") GET("/empty")
          GET("/last"), "gphggg" },
    };
    static const size_t sizes[][2] = { { SIZE_MAX, SIZE_MAX }, { 1, 1 }, { 1, SIZE_MAX }, { SIZE_MAX, 1 }, { 7, 3 }, { 3, 10 } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bytes first = { NULL, 0, 0 };
        for (size_t s = 0; s < COUNT_OF(sizes); s++) {
            struct world w;
            struct peer *client;
            struct bytes told = { NULL, 0, 0 };
            world_begin(&w, conf);
            w.on_server = origin_new;
            w.piece = sizes[s][0];
            w.grain = sizes[s][1];
            client = world_client(&w);
            client->react = hang_up_when_finished;
            says(&w, client, rows[i].request);
            tell_answers(s == 0 ? &first : &told, client, rows[i].kinds);
            if (s > 0 && strcmp(bytes_text(&first), bytes_text(&told)) != 0)
                fail_msg("%zu in, %zu out: `%s`, not `%s`", w.piece, w.grain, bytes_text(&told), bytes_text(&first));
            bytes_free(&told);
            leave(&w, client);
        }
        bytes_free(&first);
    }
}

static void bodies_go_up_as_they_came(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, POST("/", "11")), *server = world_server(&w, 0);

    (void)state;
    expect_in(&server->got, "\r\nContent-Length: 11\r\n");
    says(&w, client, "hello");
    expect_ends_with(&server->got, "\r\n\r\nhello");             /* and does not wait for the rest */
    says(&w, client, " world");
    expect_ends_with(&server->got, "hello world");
    says(&w, server, "HTTP/1.1 204 No Content\r\n\r\n");
    expect_status(client, 204);
    says(&w, client, "POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n");
    expect_in(&server->got, "\r\nTransfer-Encoding: chunked\r\n");
    expect_ends_with(&server->got, "3\r\nabc\r\n");
    says(&w, client, "0\r\nX-Sum: 6\r\nContent-Type: no\r\n\r\n");
    expect_ends_with(&server->got, "0\r\nX-Sum: 6\r\n\r\n");     /* RFC 9110 section 6.5.1 */
    assert_int_equal(w.dials, 1);
    says(&w, server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_string_equal(world_said(&w, "exchange", 0, "bytes_in"), "11");
    assert_string_equal(world_said(&w, "exchange", 1, "bytes_in"), "3");
    leave(&w, client);
}

static void interim_answers_pass_to_those_who_know_them(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/")), *server = world_server(&w, 0);

    (void)state;
    says(&w, server, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
    expect_status(client, 103);
    expect_in(&client->got, "Link: </a>\r\n");
    expect_in(&client->got, "\r\n\r\nHTTP/1.1 100 Continue\r\n");
    says(&w, server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    expect_ends_with(&client->got, "ok");
    leave(&w, client);
    client = begin_with(&w, "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n");   /* RFC 9110 section 15.2 */
    says(&w, world_server(&w, 0), "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    expect_status(client, 200);
    leave(&w, client);
    client = begin_with(&w, GET("/"));
    for (int i = 0; i < 40; i++)
        peer_says(world_server(&w, 0), "HTTP/1.1 102 Processing\r\n\r\n");
    world_run(&w);
    expect_in(&client->got, "HTTP/1.1 502 ");
    assert_true(count_text(bytes_text(&client->got), "HTTP/1.1 102") <= 16);
    expect_line(&w, 0, 502, "server_fault");
    leave(&w, client);
}

static void an_answer_may_come_before_the_request_has_ended(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, POST("/", "1000") "abc"), *server = world_server(&w, 0);

    (void)state;
    says(&w, server, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nno!");
    expect_status(client, 413);
    expect_in(&client->got, "Connection: close\r\n");    /* what still comes can't be told from a request */
    assert_false(client->fin);
    says(&w, client, "defg");
    says(&w, server, "\n");
    expect_ends_with(&client->got, "no!\n");
    assert_true(client->fin && client->closed && !client->reset);
    assert_true(server->closed);
    expect_line(&w, 0, 413, "complete");
    world_end(&w);
}

static void a_server_that_answers_and_reads_no_more(void **state)
{
    struct world w;
    struct peer *client, *server;

    (void)state;
    client = begin_with(&w, POST("/", "1000") "abc");
    server = world_server(&w, 0);
    server->fails_at = server->got.n;
    says(&w, client, "defg");
    says(&w, server, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    expect_status(client, 403);
    expect_ends_with(&client->got, "no");
    world_end(&w);
}

static void who_does_not_read_is_waited_for_and_nothing_piles_up(void **state)
{
    static const char chunk[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789";
    struct world w;
    struct peer *client = begin_with(&w, GET("/")), *server = world_server(&w, 0);
    size_t before, held;

    (void)state;
    peer_stops_reading(client);
    says(&w, server, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    before = mem_live_bytes();
    for (size_t sent = 0; sent < 1000000; sent += 100)
        peer_give(server, span_of(chunk, 100));
    server->piece = 5000;
    world_run(&w);
    held = server->arrived - server->consumed;
    assert_true(held >= SCRIPTED_WINDOW && held < SCRIPTED_WINDOW + 5000);       /* the server is stopped */
    assert_true(mem_live_bytes() - before < SCRIPTED_WINDOW + 20000);
    for (int i = 0; i < 90; i++) {                                               /* slow is not stalled */
        world_sleep(&w, 30000);
        peer_takes(client, 100);
    }
    peer_reads_on(client);
    world_run(&w);
    assert_int_equal(server->consumed, server->gives.n);
    expect_line(&w, 0, 200, "complete");
    leave(&w, client);
}

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
        { "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, true },
        { "GET / HTTP/1.0\r\nHost: a.test\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, true },
        { "GET / HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, true },
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
    static const char *const bodies[] = { "Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" };

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
        { "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "switch_bad", "switch_unasked" },
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

static void the_upgrade_is_not_answered(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, WS_REQUEST_TO("/quick"));

    (void)state;
    world_sleep(&w, 3900);
    assert_int_equal(client->got.n, 0);
    world_sleep(&w, 200);
    expect_status(client, 504);
    expect_line(&w, 0, 504, "handshake_timeout");
    world_end(&w);
}

/* ---- expectations ---- */

static void a_client_that_waits_for_100(void **state)
{
    struct world w;
    struct peer *client, *server;
    static const char request[] = "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

    (void)state;
    client = begin_with(&w, request);                    /* the server says go on */
    server = world_server(&w, 0);
    expect_in(&server->got, "Expect: 100-continue\r\n");
    says(&w, server, "HTTP/1.1 100 Continue\r\n\r\n");
    expect_status(client, 100);
    says(&w, client, "hello");
    expect_ends_with(&server->got, "hello");
    says(&w, server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    expect_in(&client->got, "HTTP/1.1 200 OK");
    leave(&w, client);
    client = begin_with(&w, request);                    /* the server says no: no body follows, and the connection ends */
    says(&w, world_server(&w, 0), "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
    expect_status(client, 417);
    assert_true(client->fin);
    world_end(&w);
}

/* ---- the switch ---- */

static void a_good_101_makes_a_tunnel(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, WS_REQUEST), *server = world_server(&w, 0);
    size_t blocks;

    (void)state;
    expect_in(&server->got, "\r\nConnection: upgrade\r\n");
    expect_in(&server->got, "\r\nUpgrade: websocket\r\n");
    expect_in(&server->got, "\r\nSec-WebSocket-Key: " WS_KEY "\r\n");
    assert_int_equal(world_count(&w.services.tunnels), 0);
    says(&w, server, WS_101);
    expect_status(client, 101);
    expect_in(&client->got, "\r\nSec-WebSocket-Accept: " WS_ACCEPT "\r\n");
    assert_int_equal(world_count(&w.services.tunnels), 1);
    assert_int_equal(world_count(&w.services.clients), 0);
    expect_line(&w, 0, 101, "switched");
    blocks = mem_live_blocks();
    peer_frames(client, "text(hello)", true);
    world_run(&w);
    peer_frames(server, "text(world)", false);
    world_run(&w);
    expect_ends_with(&client->got, "\x81\x05world");
    assert_int_equal(mem_live_blocks(), blocks);
    peer_frames(client, "close(1000)", true);
    peer_frames(server, "close(1000)", false);
    peer_ends(client);
    peer_ends(server);
    world_run(&w);
    assert_int_equal(world_lines(&w, "tunnel"), 1);
    assert_string_equal(world_said(&w, "tunnel", 0, "end"), "closed");
    assert_int_equal(world_pooled(&w), 0);               /* a connection that saw an upgrade is never kept */
    world_end(&w);
}

static void what_stands_behind_the_101_is_the_tunnel_s(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, WS_REQUEST), *server = world_server(&w, 0);

    (void)state;
    peer_says(server, WS_101);
    peer_frames(server, "text(first)", false);           /* in the same segment */
    world_run(&w);
    expect_ends_with(&client->got, "\r\n\r\n\x81\x05" "first");
    world_kill_and_end(&w);
}

/* Mission A2. */
static void early_bytes_wait_for_a_good_101(void **state)
{
    static const char *const early[] = { "\x81\x85\x01\x02\x03\x04\x69\x67\x6f\x68\x6e", "GET /admin HTTP/1.1\r\nHost: a.test\r\n\r\n", "\x81", "x" };
    static const size_t pieces[] = { SIZE_MAX, 1, 64 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(early); i++) {
        for (size_t p = 0; p < COUNT_OF(pieces); p++) {
            struct world w;
            struct peer *client, *server;
            size_t head;

            world_begin(&w, conf);
            w.piece = pieces[p];
            client = world_client(&w);
            client->react = hang_up_when_finished;
            peer_says(client, WS_REQUEST);
            says(&w, client, early[i]);
            server = world_server(&w, 0);
            expect_ends_with(&server->got, "\r\n\r\n");
            head = server->got.n;
            world_sleep(&w, 3000);
            assert_int_equal(server->got.n, head);       /* not a byte */
            says(&w, server, WS_101);
            if (i == 0) {
                assert_int_equal(server->got.n, head + 11);
                assert_memory_equal(server->got.p + head, early[0], 11);
            }
            if (i == 1 || i == 3)                        /* is no frame: the server is told of a fault, and gets none of it */
                expect_not_in(&server->got, i == 1 ? "admin" : "\r\n\r\nx");
            world_kill_and_end(&w);
        }
    }
}

static void early_bytes_behind_a_refused_upgrade_go_nowhere(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, WS_REQUEST GET("/admin")), *server = world_server(&w, 0);

    (void)state;
    says(&w, server, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    expect_status(client, 403);
    expect_in(&client->got, "Connection: close\r\n");
    expect_ends_with(&client->got, "no");
    expect_not_in(&server->got, "admin");
    assert_int_equal(w.dials, 1);
    assert_true(client->fin);
    expect_line(&w, 0, 403, "switch_refused");
    world_end(&w);
    client = begin_with(&w, WS_REQUEST);                 /* without them the connection is as good as before */
    says(&w, world_server(&w, 0), "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    assert_false(client->fin);
    assert_int_equal(world_pooled(&w), 0);               /* … the server's is not used again */
    says(&w, client, GET("/next"));
    expect_in(&world_server(&w, 1)->got, "GET /next ");
    peer_ends(client);
    world_run(&w);
    world_kill_and_end(&w);
}

static void bytes_that_come_while_a_refusal_is_on_its_way(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, WS_REQUEST), *server = world_server(&w, 0);

    (void)state;
    says(&w, server, "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno");
    says(&w, client, GET("/admin"));
    says(&w, server, "pe");
    expect_ends_with(&client->got, "nope");
    assert_int_equal(w.dials, 1);
    assert_true(client->fin);
    world_end(&w);
}

#define WS_101_WITH(fields) "HTTP/1.1 101 Switching Protocols\r\n" fields "\r\n"
#define WS_UPGRADE "Upgrade: websocket\r\n"
#define WS_CONNECTION "Connection: Upgrade\r\n"
#define WS_ACCEPT_FIELD "Sec-WebSocket-Accept: " WS_ACCEPT "\r\n"

static void bad_101s_are_502_and_nothing_of_them_passes(void **state)
{
    static const struct {
        const char *answer, *fault;
    } rows[] = {
        { WS_101_WITH(WS_UPGRADE WS_CONNECTION), "ws_accept" },
        { WS_101_WITH(WS_UPGRADE WS_CONNECTION "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO=\r\n"), "ws_accept" },
        { WS_101_WITH(WS_UPGRADE WS_CONNECTION "Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=\r\n"), "ws_accept" },
        { WS_101_WITH(WS_UPGRADE WS_CONNECTION WS_ACCEPT_FIELD WS_ACCEPT_FIELD), "ws_accept" },
        { WS_101_WITH(WS_CONNECTION WS_ACCEPT_FIELD), "ws_upgrade_field" },
        { WS_101_WITH(WS_UPGRADE WS_UPGRADE WS_CONNECTION WS_ACCEPT_FIELD), "ws_upgrade_field" },
        { WS_101_WITH("Upgrade: h2c\r\n" WS_CONNECTION WS_ACCEPT_FIELD), "ws_upgrade_field" },
        { WS_101_WITH(WS_UPGRADE WS_ACCEPT_FIELD), "ws_connection_field" },
        { WS_101_WITH(WS_UPGRADE WS_CONNECTION WS_ACCEPT_FIELD "Sec-WebSocket-Protocol: chat\r\n"), "ws_protocol" },
        { WS_101_WITH(WS_UPGRADE WS_CONNECTION WS_ACCEPT_FIELD "Sec-WebSocket-Extensions: permessage-deflate\r\n"), "ws_extension" },
        { WS_101_WITH(WS_UPGRADE WS_CONNECTION WS_ACCEPT_FIELD "Content-Length: 0\r\n"), "ws_framing" },
        { "HTTP/1.0 101 Switching Protocols\r\n" WS_UPGRADE WS_CONNECTION WS_ACCEPT_FIELD "\r\n", "ws_answer_version" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct peer *client = begin_with(&w, WS_REQUEST), *server = world_server(&w, 0);
        says(&w, server, rows[i].answer);
        expect_status(client, 502);
        expect_not_in(&client->got, "\r\nSec-WebSocket");
        expect_line(&w, 0, 502, "switch_bad");
        assert_string_equal(world_said(&w, "exchange", 0, "fault"), rows[i].fault);
        assert_true(server->closed);
        assert_int_equal(world_count(&w.services.tunnels), 0);
        peer_ends(client);
        world_run(&w);
        world_end(&w);
    }
}

static void other_answers_to_an_upgrade_are_http(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, WS_REQUEST), *server = world_server(&w, 0);

    (void)state;
    says(&w, server, "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nhi");     /* mission A4 */
    expect_status(client, 200);
    expect_not_in(&client->got, "websocket");
    expect_ends_with(&client->got, "hi");
    assert_int_equal(world_count(&w.services.tunnels), 0);
    leave(&w, client);
    client = begin_with(&w, WS_REQUEST);                 /* 1xx before a 101 */
    server = world_server(&w, 0);
    says(&w, server, "HTTP/1.1 103 Early Hints\r\n\r\n" WS_101);
    expect_in(&client->got, "HTTP/1.1 101 ");
    world_kill_and_end(&w);
    client = begin_with(&w, WS_REQUEST);                 /* the server goes without a word */
    peer_ends(world_server(&w, 0));
    world_run(&w);
    expect_status(client, 502);
    peer_ends(client);
    world_run(&w);
    world_end(&w);
}

static void offers_that_are_refused_at_once(void **state)
{
    static const struct {
        const char *request;
        unsigned status;
        const char *end;
    } rows[] = {
        { "GET /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
          "Sec-WebSocket-Key: " WS_KEY "\r\n\r\n", 426, "refused" },
        { "GET /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key1: 1 8\r\n"
          "Sec-WebSocket-Key2: 1 2\r\n\r\n12345678", 426, "refused" },           /* hixie-76, its nonce behind it: mission A3 */
        { "GET /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Key: short\r\n\r\n", 400, "refused" },
        { "POST /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Key: " WS_KEY "\r\nContent-Length: 3\r\n\r\nabc", 400, "refused" },
        { "GET /pages HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Key: " WS_KEY "\r\nOrigin: https://evil.test\r\n\r\n", 403, "origin" },
        { WS_REQUEST_TO("/pages"), 403, "origin" },
        { "GET /pages HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Key: " WS_KEY "\r\nOrigin: https://a.test\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", 403, "protocol" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct peer *client = begin_with(&w, rows[i].request);
        expect_status(client, rows[i].status);
        expect_line(&w, 0, rows[i].status, rows[i].end);
        assert_int_equal(w.dials, 0);
        if (rows[i].status == 426)
            expect_in(&client->got, "\r\nSec-WebSocket-Version: 13\r\n");
        assert_true(client->fin && client->closed);
        world_end(&w);
    }
}

static void an_offer_is_narrowed_to_what_the_route_allows(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, "GET /pages HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\nOrigin: https://a.test\r\n"
                                         "Sec-WebSocket-Protocol: mqtt, news\r\nSec-WebSocket-Protocol: chat\r\n"
                                         "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    struct peer *server = world_server(&w, 0);

    (void)state;
    expect_in(&server->got, "\r\nSec-WebSocket-Protocol: news, chat\r\n");
    expect_not_in(&server->got, "mqtt");
    expect_not_in(&server->got, "deflate");
    says(&w, server, WS_101_WITH(WS_UPGRADE WS_CONNECTION WS_ACCEPT_FIELD "Sec-WebSocket-Protocol: chat\r\n"));
    expect_status(client, 101);
    expect_in(&client->got, "\r\nSec-WebSocket-Protocol: chat\r\n");
    world_kill_and_end(&w);
}

static void where_websockets_are_off_upgrade_is_stripped(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, WS_REQUEST_TO("/nows"));

    (void)state;
    expect_not_in(&world_server(&w, 0)->got, "pgrade");
    says(&w, world_server(&w, 0), "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
    expect_status(client, 426);
    leave(&w, client);
}

/* ---- draining ---- */

static void a_draining_gateway(void **state)
{
    struct world w;
    struct peer *idle, *busy, *late, *fresh;

    (void)state;
    idle = begin_with_origin(&w, GET("/plain"));
    idle->react = NULL;
    fresh = world_client(&w);
    busy = world_client(&w);
    says(&w, busy, GET("/silent"));
    late = world_client(&w);
    says(&w, late, "GET /ws HTTP/1.1\r\n");
    world_drain(&w);
    world_run(&w);
    assert_true(idle->closed && fresh->closed);          /* nobody waits for them */
    assert_false(busy->closed || late->closed);
    assert_int_equal(world_pooled(&w), 0);
    says(&w, world_server(&w, 0), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    expect_in(&busy->got, "Connection: close\r\n");      /* what was begun is finished, and is the last */
    assert_true(busy->fin);
    says(&w, late, "Host: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\n\r\n");
    expect_status(late, 503);
    expect_in(&late->got, "Retry-After: ");
    peer_ends(busy);
    peer_ends(late);
    world_run(&w);
    assert_int_equal(world_pooled(&w), 0);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_and_its_response_pass),
        cmocka_unit_test(however_the_bytes_come),
        cmocka_unit_test(bodies_go_up_as_they_came),
        cmocka_unit_test(interim_answers_pass_to_those_who_know_them),
        cmocka_unit_test(an_answer_may_come_before_the_request_has_ended),
        cmocka_unit_test(a_server_that_answers_and_reads_no_more),
        cmocka_unit_test(who_does_not_read_is_waited_for_and_nothing_piles_up),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_connection_ends_as_was_said),
        cmocka_unit_test(a_kept_connection_to_a_server_is_used_by_everybody),
        cmocka_unit_test(a_client_s_connection_has_its_times),
        cmocka_unit_test(a_head_that_trickles_is_cut_off),
        cmocka_unit_test(after_an_answer_that_ends_the_connection_the_client_may_read_it),
        cmocka_unit_test(heads_that_are_refused),
        cmocka_unit_test(a_head_that_is_too_large),
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
        cmocka_unit_test(the_upgrade_is_not_answered),
        cmocka_unit_test(a_client_that_waits_for_100),
        cmocka_unit_test(a_good_101_makes_a_tunnel),
        cmocka_unit_test(what_stands_behind_the_101_is_the_tunnel_s),
        cmocka_unit_test(early_bytes_wait_for_a_good_101),
        cmocka_unit_test(early_bytes_behind_a_refused_upgrade_go_nowhere),
        cmocka_unit_test(bytes_that_come_while_a_refusal_is_on_its_way),
        cmocka_unit_test(bad_101s_are_502_and_nothing_of_them_passes),
        cmocka_unit_test(other_answers_to_an_upgrade_are_http),
        cmocka_unit_test(offers_that_are_refused_at_once),
        cmocka_unit_test(an_offer_is_narrowed_to_what_the_route_allows),
        cmocka_unit_test(where_websockets_are_off_upgrade_is_stripped),
        cmocka_unit_test(a_draining_gateway),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
