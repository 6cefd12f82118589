/* Routes that answer themselves: redirects and fixed texts, over scripted streams; no server hears of any of them. */
#include "tests/gateway/talk.h"

static const char *const action_conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main } ]\n"
    "upstreams: { app: { servers: [ 127.0.0.1:9001 ] } }\n"
    "routes:\n"
    "  - { match: { path: /away }, redirect: { to: \"https://www.{host}/new{uri}#{host}\", status: 301 } }\n"
    "  - { match: { path: /here }, redirect: { to: /there } }\n"
    "  - { match: { path: /down }, respond: { status: 503, body: \"<h1>soon</h1>\\n\", content_type: text/html } }\n"
    "  - { match: { path: /ok }, respond: {} }\n"
    "  - { match: { path: /empty }, respond: { status: 204 } }\n"
    "  - { match: { path: /in }, respond: { body: in }, deny: [ 192.0.2.0/24 ] }\n"
    "  - { upstream: app }\n";

static int action_load(void **state)
{
    (void)state;
    conf = world_conf(action_conf_text);
    return 0;
}

/* Asked twice on one connection: the second answer shows that the first was framed as it should be. */
static void expect_answer(const char *request, unsigned status, const char *has, const char *ends, const char *end_reason)
{
    struct world w;
    struct peer *client = begin_with(&w, request);

    assert_int_equal(w.dials, 0);
    expect_status(client, status);
    expect_in(&client->got, has);
    expect_ends_with(&client->got, ends);
    expect_line(&w, 0, status, end_reason);
    says(&w, client, "GET /ok HTTP/1.1\r\nHost: a.test\r\n\r\n");
    expect_ends_with(&client->got, "\r\nContent-Length: 0\r\n\r\n");
    expect_line(&w, 1, 200, "responded");
    peer_ends(client);
    world_end(&w);
}

#define ASK(line) line " HTTP/1.1\r\nHost: a.test:8080\r\n\r\n"

static void redirects(void **state)
{
    (void)state;
    expect_answer(ASK("GET /away/x%20y?q=/%2e"), 301, "\r\nLocation: https://www.a.test/new/away/x%20y?q=/%2e#a.test\r\n",
                  "\r\n\r\n301 Moved Permanently\n", "redirected");
    expect_answer(ASK("HEAD /here"), 302, "\r\nLocation: /there\r\n", "\r\n\r\n", "redirected");
    expect_answer(ASK("GET http://b.test/away"), 301, "\r\nLocation: https://www.b.test/new/away#b.test\r\n", "\n", "redirected");
    expect_answer("GET /here HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", 302, "\r\nLocation: /there\r\n", "\r\n\r\n302 Found\n", "redirected");
}

static void texts(void **state)
{
    (void)state;
    expect_answer(ASK("GET /down"), 503, "\r\nContent-Type: text/html\r\nContent-Length: 14\r\nRetry-After: 5\r\n",
                  "\r\n\r\n<h1>soon</h1>\n", "responded");
    expect_answer(ASK("HEAD /down"), 503, "\r\nContent-Length: 14\r\n", "\r\n\r\n", "responded");
    expect_answer(ASK("GET /empty"), 204, "HTTP/1.1 204 No Content\r\n", "\r\n\r\n", "responded");
    expect_answer(ASK("OPTIONS /ok"), 200, "\r\nContent-Length: 0\r\n", "\r\n\r\n", "responded");
    expect_answer(ASK("GET /in"), 403, "\r\nContent-Type: text/plain; charset=utf-8\r\n", "let in here.\n", "denied");
}

static void no_length_of_nothing(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, ASK("GET /empty"));

    (void)state;
    expect_not_in(&client->got, "Content-");
    peer_ends(client);
    world_end(&w);
}

/* Nobody can say where {host} is: HTTP/1.0 without Host. */
static void host_unknown(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, "GET /away HTTP/1.0\r\n\r\n");

    (void)state;
    expect_status(client, 400);
    peer_ends(client);
    world_end(&w);
}

/* A body that nobody will read: the answer comes, and the connection ends behind it. */
static void with_a_body(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, "POST /here HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\nabc");

    (void)state;
    expect_status(client, 302);
    expect_in(&client->got, "\r\nConnection: close\r\n");
    peer_ends(client);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redirects),    cmocka_unit_test(texts),       cmocka_unit_test(no_length_of_nothing),
        cmocka_unit_test(host_unknown), cmocka_unit_test(with_a_body),
    };

    return cmocka_run_group_tests(tests, action_load, talk_unload);
}
