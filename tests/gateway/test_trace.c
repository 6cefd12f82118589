/* By what name a request is known: to servers over HTTP and FastCGI, to who is asked about it, in the access log, in a tunnel's record. */
#include "tests/gateway/talk.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define GOOD_PARENT "00-" TRACE "-00f067aa0ba902b7-01"

static const char *const trace_conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main, trusted: [ 10.0.0.0/8 ] } ]\n"
    "timeouts: { drain_spread: 0ms }\n"
    "upstreams:\n"
    "  app: { servers: [ 127.0.0.1:9001 ] }\n"
    "  fcgi: { protocol: fastcgi, servers: [ 127.0.0.1:9002 ] }\n"
    "routes:\n"
    "  - { match: { path: /fcgi }, upstream: fcgi }\n"
    "  - { match: { path: /asked }, upstream: app, auth: { forward: { upstream: app, path: /check } } }\n"
    "  - { match: { path: /own }, upstream: app, headers: { request: { set: { X-Request-Id: mine }, remove: [ traceparent ] } } }\n"
    "  - { upstream: app }\n";

#define START "forwarded: { traceparent: start, request_id: Request-Name }\n"
#define OFF "forwarded: { request_id: off }\n"

/* One request, and what the first server got. */
static const char *ask(struct world *w, const char *more_conf, const char *hop, const char *request)
{
    static char text[4096];

    snprintf(text, sizeof(text), "%s%s", trace_conf_text, more_conf);
    conf = world_conf(text);
    world_begin(w, conf);
    peer_says(world_client_at(w, 0, hop), request);
    world_run(w);
    assert_int_equal(w->servers_n, 1);
    return bytes_text(&world_server(w, 0)->got);
}

static void over(struct world *w)
{
    world_kill_and_end(w);
    conf_free(conf);
    conf = NULL;
}

/* What stands behind the field's name, up to the line's end; the field has to be there once. */
static const char *value_of(const char *head, const char *name)
{
    static char value[256];
    char line[64];
    const char *at;

    snprintf(line, sizeof(line), "\r\n%s: ", name);
    at = strstr(head, line);
    if (at == NULL || strstr(at + 2, line) != NULL)
        fail_msg("%s is not there once in %s", name, head);
    at += strlen(line);
    snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

static void expect_made(const char *id)
{
    assert_int_equal(strlen(id), 32);
    assert_int_equal(strspn(id, "0123456789abcdef"), 32);
}

static const char *logged(struct world *w, const char *name)
{
    says(w, world_server(w, w->servers_n - 1), "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    return world_said(w, "exchange", 0, name);
}

#define ASK(fields) "GET /x HTTP/1.1\r\nHost: a.test\r\n" fields "\r\n"

static void everybody_gets_one(void **state)
{
    struct world w;
    char id[256];

    (void)state;
    snprintf(id, sizeof(id), "%s", value_of(ask(&w, "", "192.0.2.7", ASK("X-Request-Id: forged\r\nx_request_id: f\r\n")), "X-Request-Id"));
    expect_made(id);
    expect_not_in(&world_server(&w, 0)->got, "forged");
    expect_not_in(&world_server(&w, 0)->got, "x_request");
    assert_string_equal(logged(&w, "request_id"), id);
    over(&w);
}

static void a_trusted_hops_stands(void **state)
{
    struct world w;

    (void)state;
    assert_string_equal(value_of(ask(&w, "", "10.0.0.1", ASK("x-request-id: lb-1/7\r\n")), "X-Request-Id"), "lb-1/7");
    assert_string_equal(logged(&w, "request_id"), "lb-1/7");
    over(&w);
    expect_made(value_of(ask(&w, "", "10.0.0.1", ASK("X-Request-Id: a\r\nX-Request-Id: b\r\n")), "X-Request-Id"));
    over(&w);
    expect_made(value_of(ask(&w, "", "10.0.0.1", ASK("X-Request-Id: a b\r\n")), "X-Request-Id"));
    over(&w);
}

static void off_and_under_another_name(void **state)
{
    struct world w;

    (void)state;
    assert_string_equal(value_of(ask(&w, OFF, "192.0.2.7", ASK("X-Request-Id: its-own\r\n")), "X-Request-Id"), "its-own");
    logged(&w, "end");
    expect_not_in(&w.access, "request_id");
    over(&w);
    expect_made(value_of(ask(&w, START, "192.0.2.7", ASK("X-Request-Id: its-own\r\n")), "Request-Name"));
    over(&w);
}

static void the_operators_changes_stand(void **state)
{
    struct world w;
    const char *got = ask(&w, START, "192.0.2.7", "GET /own HTTP/1.1\r\nHost: a.test\r\ntraceparent: " GOOD_PARENT "\r\n\r\n");

    (void)state;
    assert_string_equal(value_of(got, "X-Request-Id"), "mine");
    assert_null(strstr(got, "traceparent"));
    over(&w);
    assert_string_equal(value_of(ask(&w, "", "192.0.2.7", "GET /own HTTP/1.1\r\nHost: a.test\r\n\r\n"), "X-Request-Id"), "mine");
    over(&w);
}

static void traces(void **state)
{
    struct world w;
    const char *got = ask(&w, "", "192.0.2.7", ASK("traceparent: " GOOD_PARENT "\r\ntracestate: a=1\r\n"));

    (void)state;
    assert_string_equal(value_of(got, "traceparent"), GOOD_PARENT);
    assert_string_equal(value_of(got, "tracestate"), "a=1");
    assert_string_equal(logged(&w, "trace_id"), TRACE);
    over(&w);
    got = ask(&w, "", "192.0.2.7", ASK("traceparent: 00-x\r\ntracestate: a=1\r\n"));
    assert_null(strstr(got, "trace"));
    over(&w);
    got = ask(&w, "", "192.0.2.7", ASK("traceparent: " GOOD_PARENT "\r\ntraceparent: " GOOD_PARENT "\r\n"));
    assert_null(strstr(got, "trace"));
    over(&w);
    got = ask(&w, "", "192.0.2.7", ASK(""));
    assert_null(strstr(got, "trace"));
    over(&w);
}

static void a_trace_is_begun_where_wanted(void **state)
{
    struct world w;
    char id[256], parent[256];
    const char *got = ask(&w, START, "192.0.2.7", ASK("tracestate: a=1\r\n"));

    (void)state;
    snprintf(id, sizeof(id), "%s", value_of(got, "Request-Name"));
    snprintf(parent, sizeof(parent), "%s", value_of(got, "traceparent"));
    assert_null(strstr(got, "tracestate"));
    assert_int_equal(strlen(parent), 55);
    assert_int_equal(strncmp(parent + 3, id, 32), 0);
    assert_string_equal(logged(&w, "trace_id"), id);
    over(&w);
    got = ask(&w, START, "10.0.0.1", ASK("Request-Name: r1\r\n"));
    assert_string_equal(value_of(got, "Request-Name"), "r1");
    assert_int_equal(strlen(value_of(got, "traceparent")), 55);
    over(&w);
    assert_string_equal(value_of(ask(&w, START, "192.0.2.7", ASK("traceparent: " GOOD_PARENT "\r\n")), "traceparent"), GOOD_PARENT);
    over(&w);
}

static void expect_param(const struct bytes *got, const char *pair)
{
    size_t n = strlen(pair), at = 0;

    while (at + n <= got->n && memcmp(bytes_text(got) + at, pair, n) != 0)
        at++;
    assert_true(at + n <= got->n);
}

static void fastcgi_is_told(void **state)
{
    struct world w;

    (void)state;
    ask(&w, "", "10.0.0.1", "GET /fcgi HTTP/1.1\r\nHost: a.test\r\nX-Request-Id: lb-7\r\n\r\n");
    expect_param(&world_server(&w, 0)->got, "HTTP_X_REQUEST_IDlb-7");
    over(&w);
}

/* The same id for who is asked, for the server, and in a failure's line. */
static void asked_and_failed(void **state)
{
    struct world w;
    char id[256];
    const char *got = ask(&w, "", "192.0.2.7", "GET /asked HTTP/1.1\r\nHost: a.test\r\n\r\n");

    (void)state;
    snprintf(id, sizeof(id), "%s", value_of(got, "X-Request-Id"));
    assert_int_equal(strncmp(got, "GET /check ", 11), 0);
    says(&w, world_server(&w, 0), "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    assert_int_equal(w.servers_n, 2);
    assert_string_equal(value_of(bytes_text(&world_server(&w, 1)->got), "X-Request-Id"), id);
    says(&w, world_server(&w, 1), "nonsense\r\n\r\n");
    expect_in(&w.log, "; request ");
    expect_in(&w.log, id);
    assert_string_equal(world_said(&w, "exchange", 0, "request_id"), id);
    over(&w);
}

static void a_tunnels_record_has_it(void **state)
{
    struct world w;
    char id[256];

    (void)state;
    ask(&w, "", "192.0.2.7", ASK("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\ntraceparent: " GOOD_PARENT "\r\n"
                                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"));
    snprintf(id, sizeof(id), "%s", value_of(bytes_text(&world_server(&w, 0)->got), "X-Request-Id"));
    expect_made(id);
    says(&w, world_server(&w, 0), "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    peer_ends(w.peers[0]);
    world_run(&w);
    world_sleep(&w, 60000);
    assert_string_equal(world_said(&w, "tunnel", 0, "request_id"), id);
    assert_string_equal(world_said(&w, "tunnel", 0, "trace_id"), TRACE);
    over(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_gets_one),
        cmocka_unit_test(a_trusted_hops_stands),
        cmocka_unit_test(off_and_under_another_name),
        cmocka_unit_test(the_operators_changes_stand),
        cmocka_unit_test(traces),
        cmocka_unit_test(a_trace_is_begun_where_wanted),
        cmocka_unit_test(fastcgi_is_told),
        cmocka_unit_test(asked_and_failed),
        cmocka_unit_test(a_tunnels_record_has_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
