/* Forward authentication over scripted streams: what is asked, what each answer does, and that nothing but a yes lets a request or an
 * upgrade through; ended at every moment, and with each allocation failing. */
#include "tests/gateway/talk.h"

static const char *const ask_conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main, trusted: [ 192.0.2.9 ] } ]\n"
    "timeouts: { drain_spread: 0ms }\n"
    "upstreams:\n"
    "  app: { servers: [ 127.0.0.1:9001 ] }\n"
    "  login: { servers: [ 127.0.0.1:9002, 127.0.0.1:9003 ], retries: 1 }\n"
    "routes:\n"
    "  - upstream: app\n"
    "    match: { path: /in }\n"
    "    auth: { forward: { upstream: login, path: /check, pass: [ X-User, X-Role ], timeout: 2s } }\n"
    "    path: { strip: /in }\n"
    "    headers: { request: { set: { X-Env: prod } }, response: { set: { X-Gate: g } } }\n"
    "  - { upstream: login, match: { path: /login } }\n";

static int ask_load(void **state)
{
    (void)state;
    conf = world_conf(ask_conf_text);
    return 0;
}

#define YES "HTTP/1.1 200 OK\r\nX-User: ann\r\nX-Role: a\r\nX-Role: b\r\nX-Other: no\r\nContent-Length: 2\r\n\r\nok"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static void a_yes_lets_it_through(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, "POST /in/x?y=1 HTTP/1.1\r\nHost: a.test\r\nCookie: s=1\r\nX-User: root\r\nx_role: root\r\n"
                                         "X-Forwarded-Uri: /evil\r\nIf-None-Match: \"e\"\r\nRange: bytes=0-1\r\n"
                                         "Content-Type: text/plain\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    struct peer *login = world_server(&w, 0), *app;

    (void)state;
    assert_int_equal(w.dials, 1);
    assert_string_equal(w.dialed[0]->text, "127.0.0.1:9002");
    assert_int_equal(strncmp(bytes_text(&login->got), "GET /check HTTP/1.1\r\nHost: a.test\r\n", 35), 0);
    expect_in(&login->got, "\r\nCookie: s=1\r\n");
    expect_in(&login->got, "\r\nX-Forwarded-Method: POST\r\n");
    expect_in(&login->got, "\r\nX-Forwarded-Uri: /in/x?y=1\r\n");
    expect_in(&login->got, "\r\nX-Forwarded-For: 192.0.2.7\r\n");
    expect_not_in(&login->got, "evil");
    expect_not_in(&login->got, "Content-");
    expect_not_in(&login->got, "Expect");
    expect_not_in(&login->got, "If-None");
    expect_not_in(&login->got, "Range");
    says(&w, client, "abc");
    expect_ends_with(&login->got, "\r\n\r\n");           /* the body is nobody's yet */
    says(&w, login, YES);
    assert_int_equal(w.dials, 2);
    app = world_server(&w, 1);
    assert_int_equal(strncmp(bytes_text(&app->got), "POST /x?y=1 HTTP/1.1\r\n", 22), 0);
    expect_in(&app->got, "\r\nX-User: ann\r\nX-Role: a\r\nX-Role: b\r\nX-Env: prod\r\n");
    expect_not_in(&app->got, "root");
    expect_not_in(&app->got, "X-Other");
    expect_not_in(&app->got, "X-Forwarded-Method");
    expect_ends_with(&app->got, "\r\n\r\nabc");
    says(&w, app, ANSWER);
    expect_ends_with(&client->got, "hello");
    expect_line(&w, 0, 200, "complete");
    assert_int_equal(world_pooled(&w), 2);               /* both connections are as good as before */
    leave(&w, client);
}

static void what_a_yes_does_not_name_is_removed(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, "GET /in HTTP/1.1\r\nHost: a.test\r\nX-User: root\r\nX_User: root\r\nTrailer: X-User\r\n"
                                         "Transfer-Encoding: chunked\r\n\r\n0\r\nX-User: root\r\n\r\n");

    (void)state;
    says(&w, world_server(&w, 0), "HTTP/1.1 204 No Content\r\n\r\n");
    expect_not_in(&world_server(&w, 1)->got, "root");
    expect_in(&world_server(&w, 1)->got, "X-Env: prod");
    says(&w, world_server(&w, 1), ANSWER);
    expect_status(client, 200);
    leave(&w, client);
}

static const struct {
    const char *answer;
    unsigned status;
    const char *end;
} answers[] = {
    { "HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer\r\nContent-Length: 3\r\n\r\nwho", 401, "auth_refused" },
    { "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nwho\r\n0\r\n\r\n", 403, "auth_refused" },
    { "HTTP/1.1 302 Go\r\nLocation: /login\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n", 302, "auth_refused" },
    { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 403, "auth_refused" },
    { "HTTP/1.1 304 Not Modified\r\n\r\n", 502, "auth_failed" },
    { "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 502, "auth_failed" },
    { "HTTP/1.1 429 Slow\r\nContent-Length: 0\r\n\r\n", 502, "auth_failed" },
    { "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", 502, "auth_failed" },
    { "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", 502, "auth_failed" },
    { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 502, "auth_failed" },
    { "nonsense\r\n\r\n", 502, "auth_failed" },
};

static void every_other_answer(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct world w;
        struct peer *client = begin_with(&w, GET("/in/x"));
        says(&w, world_server(&w, 0), answers[i].answer);
        assert_int_equal(w.dials, 1);                    /* the application never hears of it */
        expect_status(client, answers[i].status);
        expect_line(&w, 0, answers[i].status, answers[i].end);
        if (answers[i].status == 401) {
            expect_in(&client->got, "\r\nWWW-Authenticate: Bearer\r\n");
            expect_in(&client->got, "\r\nX-Gate: g\r\n");
            expect_ends_with(&client->got, "\r\n\r\nwho");
        }
        if (answers[i].status == 302)
            expect_in(&client->got, "\r\nLocation: /login\r\nSet-Cookie: a=b\r\n");
        client->got.n = 0;
        says(&w, client, GET("/login"));                 /* the connection is kept */
        assert_true(w.dials == 2 || world_server(&w, 0)->got.n > 0);
        world_kill_and_end(&w);
    }
}

static void to_a_head_goes_no_content(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, "HEAD /in HTTP/1.1\r\nHost: a.test\r\n\r\n");

    (void)state;
    says(&w, world_server(&w, 0), "HTTP/1.1 401 No\r\nContent-Length: 3\r\n\r\nwho");
    expect_in(&client->got, "\r\nContent-Length: 3\r\n");
    expect_ends_with(&client->got, "\r\n\r\n");
    leave(&w, client);
}

static void a_refused_body_is_not_read(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, POST("/in", "5") "hello" GET("/login"));

    (void)state;
    says(&w, world_server(&w, 0), "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    expect_in(&client->got, "\r\nConnection: close\r\n");
    assert_true(client->fin);
    assert_int_equal(w.dials, 1);
    world_kill_and_end(&w);
}

/* ---- upgrades ---- */

#define OFFER_WITH_TOKEN                                                                                                         \
    "GET /in/ws HTTP/1.1\r\nHost: a.test\r\nX-User: root\r\nSec-WebSocket-Protocol: chat\r\n" WS_OFFER_FIELDS "\r\n"

static void a_tunnel_only_for_whom_it_is_allowed(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, OFFER_WITH_TOKEN "early"), *login = world_server(&w, 0), *app;

    (void)state;
    expect_not_in(&login->got, "pgrade");
    expect_not_in(&login->got, "Sec-WebSocket-Key");
    expect_in(&login->got, "\r\nSec-WebSocket-Protocol: chat\r\n");
    expect_not_in(&login->got, "early");
    assert_int_equal(w.dials, 1);
    says(&w, login, YES);
    app = world_server(&w, 1);
    expect_in(&app->got, "\r\nUpgrade: websocket\r\n");
    expect_in(&app->got, "\r\nX-User: ann\r\n");
    expect_not_in(&app->got, "root");
    expect_not_in(&app->got, "early");
    says(&w, app, WS_101_HEAD "Sec-WebSocket-Accept: " WS_ACCEPT "\r\nSec-WebSocket-Protocol: chat\r\n\r\n");
    expect_status(client, 101);
    assert_int_equal(w.metrics.tunnels_open, 1);
    world_kill_and_end(&w);

    client = begin_with(&w, OFFER_WITH_TOKEN "early");
    says(&w, world_server(&w, 0), "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n");
    expect_status(client, 401);
    expect_in(&client->got, "\r\nConnection: close\r\n");
    assert_int_equal(w.dials, 1);
    assert_int_equal(w.metrics.tunnels, 0);
    world_kill_and_end(&w);
}

/* ---- failures ---- */

static void nobody_answers(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/in"));

    (void)state;
    world_sleep(&w, 1900);
    assert_int_equal(client->got.n, 0);
    says(&w, world_server(&w, 0), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
    world_sleep(&w, 200);                                /* the time is for all of it */
    expect_status(client, 504);
    expect_line(&w, 0, 504, "auth_timeout");
    assert_int_equal(w.dials, 1);
    leave(&w, client);
}

static void nobody_is_there(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    world_begin(&w, conf);
    w.plan[0] = w.plan[1] = DIAL_REFUSED;
    client = world_client(&w);
    client->react = hang_up_when_finished;
    says(&w, client, GET("/in"));
    assert_int_equal(w.dials, 2);                        /* retries: 1 */
    expect_status(client, 502);
    expect_line(&w, 0, 502, "auth_failed");
    leave(&w, client);

    client = begin_with(&w, GET("/in"));
    peer_ends(world_server(&w, 0));
    world_run(&w);
    expect_status(client, 502);
    leave(&w, client);
}

static void a_kept_connection_that_ended_is_no_reason(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, GET("/in"));

    (void)state;
    says(&w, world_server(&w, 0), YES);
    says(&w, world_server(&w, 1), ANSWER);
    client->got.n = 0;
    peer_says(client, GET("/in"));
    peer_resets(world_server(&w, 0));
    peer_resets(world_server(&w, 1));
    world_run(&w);
    while (w.servers_n < 4) {
        size_t before = w.servers_n;
        says(&w, world_server(&w, w.servers_n - 1), before == 3 ? YES : "");
        if (w.servers_n == before)
            break;
    }
    says(&w, world_server(&w, w.servers_n - 1), ANSWER);
    expect_status(client, 200);
    leave(&w, client);
}

static void more_content_than_is_kept(void **state)
{
    static const char *const heads[] = { "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
                                         "HTTP/1.1 401 No\r\nContent-Length: 100000\r\n\r\n" };
    static char content[100001];

    (void)state;
    memset(content, 'x', 100000);
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        struct world w;
        struct peer *client = begin_with(&w, GET("/in"));
        says(&w, world_server(&w, 0), heads[i]);
        assert_int_equal(w.dials, 1);
        says(&w, world_server(&w, 0), content);
        if (i == 0) {
            says(&w, world_server(&w, 1), ANSWER);
            expect_status(client, 200);
            assert_true(world_server(&w, 0)->closed);    /* not kept: its answer is not over */
        } else {
            expect_status(client, 502);
            expect_line(&w, 0, 502, "auth_failed");
        }
        leave(&w, client);
    }
}

/* The client goes, or the gateway, at every moment of the question. */
static void ended_at_every_moment(void **state)
{
    static const char *const steps[] = { "", "HTTP/1.1 2", "00 OK\r\nX-User: a", "nn\r\nContent-Length: 2\r\n\r\n", "o" };

    (void)state;
    for (size_t n = 0; n <= COUNT_OF(steps); n++)
        for (int how = 0; how < 3; how++) {
            struct world w;
            struct peer *client = begin_with(&w, GET("/in"));
            for (size_t i = 0; i < n; i++)
                says(&w, world_server(&w, 0), steps[i]);
            if (how == 0)
                peer_resets(client);
            else if (how == 1)
                world_drain(&w);
            world_run(&w);
            assert_int_equal(w.dials, 1);
            world_kill_and_end(&w);
        }
}

static void each_allocation_fails(void **state)
{
    size_t calls = 0;

    (void)state;
    for (size_t nth = 0; nth <= calls; nth++) {
        struct world w;
        struct peer *client;
        size_t before;

        world_begin(&w, conf);
        client = world_client(&w);
        client->react = hang_up_when_finished;
        before = mem_calls();
        mem_fail_nth(nth);
        says(&w, client, GET("/in"));
        for (size_t i = 0; i < 2 && w.servers_n > i; i++)
            says(&w, world_server(&w, i), i == 0 ? YES : ANSWER);
        mem_fail_nth(0);
        if (nth == 0)
            calls = mem_calls() - before;
        world_sleep(&w, 200000);                         /* whatever failed: an answer, or an end */
        if (client->got.n == 0 && !client->closed)
            fail_msg("allocation %zu: the client waits in vain", nth);
        if (client->got.n > 0 && strncmp(bytes_text(&client->got), "HTTP/1.1 200", 12) == 0 && w.servers_n < 2)
            fail_msg("allocation %zu: let through without a yes", nth);
        world_kill_and_end(&w);
    }
    assert_true(calls > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_yes_lets_it_through),
        cmocka_unit_test(what_a_yes_does_not_name_is_removed),
        cmocka_unit_test(every_other_answer),
        cmocka_unit_test(to_a_head_goes_no_content),
        cmocka_unit_test(a_refused_body_is_not_read),
        cmocka_unit_test(a_tunnel_only_for_whom_it_is_allowed),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(a_kept_connection_that_ended_is_no_reason),
        cmocka_unit_test(more_content_than_is_kept),
        cmocka_unit_test(ended_at_every_moment),
        cmocka_unit_test(each_allocation_fails),
    };

    return cmocka_run_group_tests(tests, ask_load, talk_unload);
}
