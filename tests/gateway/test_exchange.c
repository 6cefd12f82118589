/* One request and its response over scripted streams: what passes, in which order, and who waits for whom. */
#include "tests/gateway/talk.h"

/* ---- one exchange ---- */

static void a_request_and_its_response_pass(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w,
                                     "GET /x?y HTTP/1.1\r\nHost: a.test\r\nX-One: 1\r\nConnection: x-two\r\nX-Two: 2\r\n\r\n");
    struct peer *server = world_server(&w, 0);

    (void)state;
    assert_string_equal(w.dialed[0]->text, conf->upstreams[2].servers[0].address.text);
    assert_int_equal(strncmp(bytes_text(&server->got), "GET /x?y HTTP/1.1\r\nHost: a.test\r\n", 33), 0);
    expect_in(&server->got, "\r\nX-One: 1\r\n");
    expect_in(&server->got, "\r\nX-Forwarded-For: 192.0.2.7\r\n");
    expect_in(&server->got, "\r\nVia: 1.1 upgate\r\n");
    expect_not_in(&server->got, "X-Two");
    expect_ends_with(&server->got, "\r\n\r\n");
    says(&w, server, "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nConnection: keep-alive, x-three\r\n"
                     "X-Three: 3\r\nX-Four: 4\r\n\r\nhel");
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

/* All answers as one text that does not tell how they were cut into chunks; kinds has a letter per answer, h for one to a
 * HEAD. */
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
                    bytes_print(out, "|%.*s: %.*s", SPAN_FORMAT(r.head->fields.fields[i].name),
                                SPAN_FORMAT(r.head->fields.fields[i].value));
            bytes_add_text(out, ">");
        } else if (r.event == HTTP1_BODY) {
            bytes_add(out, r.data.p, r.data.n);
            http1_parse_took(parse, r.data.n);
            at += r.data.n;
        } else if (r.event == HTTP1_END) {
            for (size_t i = 0; i < r.trailers->n; i++)
                bytes_print(out, "|%.*s: %.*s", SPAN_FORMAT(r.trailers->fields[i].name),
                            SPAN_FORMAT(r.trailers->fields[i].value));
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
        { "PUT /chunked HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
          "5;x=1\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\n\r\n", "p" },
        { "GET /plain HTTP/1.0\r\nHost: a.test\r\n\r\n", "g" },
        { "GET /chunked HTTP/1.0\r\nHost: a.test\r\nConnection: keep-alive\r\n\r\n", "g" },
        { "GET /nowhere HTTP/1.1\r\nHost: b.test\r\n\r\n", "g" },
        { "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n", "g" },
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
    static const char chunk[] =
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123";
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
        cmocka_unit_test(a_client_that_waits_for_100),
    };

    return cmocka_run_group_tests(tests, talk_load, talk_unload);
}
