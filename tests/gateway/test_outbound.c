/* A connection to a server made ready: dialed, and with the PROXY header that its upstream wants; every end it can have. */
#include "tests/gateway/origin.h"

#include "gateway/outbound.h"
#include "gateway/tls_facts.h"

enum { PLAIN, V1, V2 };                  /* upstreams */

static const char *const conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main, trusted: [ 10.0.0.0/8 ] },\n"
    "  { address: 127.0.0.1:2, name: behind, trusted: [ 10.0.0.0/8 ], proxy_protocol: require } ]\n"
    "timeouts: { connect: 5s, drain_spread: 0ms }\n"
    "upstreams:\n"
    "  plain: { servers: [ 127.0.0.1:9001 ] }\n"
    "  v1: { servers: [ 127.0.0.1:9002, 127.0.0.1:9003 ], send_proxy: v1, retries: 1 }\n"
    "  v2: { servers: [ 127.0.0.1:9004 ], send_proxy: v2 }\n"
    "  fcgi: { protocol: fastcgi, servers: [ 127.0.0.1:9005 ], send_proxy: v1 }\n"
    "routes: [ { match: { path: /fcgi }, upstream: fcgi }, { match: { path: /v1 }, upstream: v1 }, { match: { path: /v2 }, upstream: v2 }, { upstream: plain } ]\n";

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

/* ---- one outbound ---- */

struct asked {
    struct outbound *outbound;
    struct stream *stream;
    unsigned answers;
    enum end_reason why;
    const char *detail;
};

static void hear_nothing(void *ctx)
{
    (void)ctx;
}

static const struct stream_events no_events = { .readable = hear_nothing, .writable = hear_nothing };

static void answered(void *ctx, const struct dial_answer *a)
{
    struct asked *asked = ctx;

    asked->outbound = NULL;
    asked->stream = a->stream;
    asked->why = a->why;
    asked->detail = a->detail;
    asked->answers++;
    if (asked->stream != NULL)
        stream_own(asked->stream, &no_events, NULL);
}

static void ask(struct world *w, struct asked *asked, size_t upstream, const struct inbound *inbound)
{
    struct upstream *u = &w->services.snapshot->upstreams[upstream];
    struct outbound_request request = { .upstream = u->conf, .server = u->servers[0], .inbound = inbound, .timeout_ms = 5000 };

    *asked = (struct asked){ .answers = 0 };
    asked->outbound = outbound_start(&w->services, &request, answered, asked);
    assert_int_equal(asked->answers, 0); /* never from inside */
}

static void let_go(struct world *w, struct asked *asked)
{
    world_run(w);
    outbound_cancel(&asked->outbound);
    stream_close(&asked->stream);
    world_end(w);
}

static struct inbound of(const char *client, const char *local)
{
    struct inbound in = { .listener = &conf->listeners[0] };

    assert_true(net_address_parse(span_of_text(client), &in.client));
    assert_true(net_address_parse(span_of_text(local), &in.local));
    in.client.port = 56324;
    in.local.port = 443;
    return in;
}

static void expect_header(size_t upstream, const struct inbound *in, struct span header)
{
    struct world w;
    struct asked asked;

    world_begin(&w, conf);
    ask(&w, &asked, upstream, in);
    world_run(&w);
    assert_int_equal(asked.answers, 1);
    assert_non_null(asked.stream);
    world_run(&w);
    if (!span_equal(bytes_span(&world_server(&w, 0)->got), header))
        fail_msg("got `%s`", bytes_text(&world_server(&w, 0)->got));
    assert_int_equal(w.metrics.dials, 1);
    let_go(&w, &asked);
}

#define V2_HEAD "\r\n\r\n\0\r\nQUIT\n"

static void headers(void **state)
{
    struct inbound v4 = of("203.0.113.9", "198.51.100.1"), v6 = of("2001:db8::9", "2001:db8::1");

    (void)state;
    expect_header(PLAIN, &v4, SPAN_EMPTY);
    expect_header(V1, &v4, SPAN_LITERAL("PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n"));
    expect_header(V1, &v6, SPAN_LITERAL("PROXY TCP6 2001:db8::9 2001:db8::1 56324 443\r\n"));
    expect_header(V2, &v4, SPAN_LITERAL(V2_HEAD "\x21\x11\0\x0c\xcb\0\x71\x09\xc6\x33\x64\x01\xdc\x04\x01\xbb"));
    expect_header(V1, NULL, SPAN_LITERAL("PROXY UNKNOWN\r\n"));
    expect_header(V2, NULL, SPAN_LITERAL(V2_HEAD "\x20\0\0\0"));
}

/* The header of what is asked, read back. */
static struct proxy_header told(const struct inbound *in, const struct net_address *client, uint8_t bytes[PROXY_HEADER_WRITE_BYTES])
{
    struct proxy_header h = inbound_header(in, client), back;
    size_t n;

    h.version = 2;
    n = proxy_header_write(&h, bytes);
    assert_int_equal(proxy_header_read(bytes, n, &back), (int)n);
    return back;
}

static void expect_span(struct span s, const char *text)
{
    if (!span_equal(s, span_of_text(text)))
        fail_msg("`%.*s` instead of `%s`", SPAN_FORMAT(s), text);
}

/* What TLS proved of the client, and only of him. */
static void tls_is_told(void **state)
{
    static const struct tls_peer peer = { .subject = "CN=alice", .common_name = "alice" };
    struct tls_facts facts = { .version = "TLSv1.3", .cipher = "TLS_AES_128_GCM_SHA256", .sni = "a.test", .peer = &peer };
    struct inbound in = of("203.0.113.9", "198.51.100.1"), other = of("203.0.113.10", "198.51.100.1");
    uint8_t bytes[PROXY_HEADER_WRITE_BYTES];
    struct proxy_header h;

    (void)state;
    in.tls = &facts;
    h = told(&in, &in.client, bytes);
    assert_true(h.has_tls && h.tls.certificate && h.tls.verified);
    expect_span(h.authority, "a.test");
    expect_span(h.tls.version, "TLSv1.3");
    expect_span(h.tls.cipher, "TLS_AES_128_GCM_SHA256");
    expect_span(h.tls.common_name, "alice");
    /* the hop's certificate is not that of one whom a field names behind it */
    h = told(&in, &other.client, bytes);
    assert_true(!h.has_tls && !h.tls.certificate && !h.tls.verified && h.authority.n == 0 && h.tls.common_name.n == 0);
    assert_true(net_address_equal(&h.source, &other.client));
    facts.peer = NULL;
    facts.sni[0] = '\0';
    h = told(&in, &in.client, bytes);
    assert_true(h.has_tls && !h.tls.certificate && !h.tls.verified && h.authority.n == 0 && h.tls.common_name.n == 0);
    /* TLS that ended before it came here */
    in.tls = NULL;
    in.tls_ahead = true;
    h = told(&in, &in.client, bytes);
    assert_true(h.has_tls && !h.tls.certificate && !h.tls.verified && h.tls.version.n == 0);
    in.tls_ahead = false;
    assert_false(told(&in, &in.client, bytes).has_tls);
}

static void failures(void **state)
{
    static const struct {
        enum dial_plan plan;
        enum end_reason why;
    } rows[] = {
        { DIAL_REFUSED, END_CONNECT_FAILED },
        { DIAL_UNRESOLVED, END_RESOLVE_FAILED },
        { DIAL_HANGS, END_CONNECT_TIMEOUT },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t upstream = PLAIN; upstream <= V2; upstream++) {
            struct world w;
            struct asked asked;
            world_begin(&w, conf);
            w.plan[0] = rows[i].plan;
            ask(&w, &asked, upstream, NULL);
            world_sleep(&w, 4900);
            assert_int_equal(asked.answers, rows[i].plan != DIAL_HANGS);
            world_sleep(&w, 200);
            assert_int_equal(asked.answers, 1);
            assert_null(asked.stream);
            assert_int_equal(asked.why, rows[i].why);
            assert_int_equal(w.metrics.dials_failed, 1);
            let_go(&w, &asked);
        }
    }
}

static void cancelled(void **state)
{
    struct world w;
    struct asked asked;

    (void)state;
    world_begin(&w, conf);
    ask(&w, &asked, V2, NULL);
    outbound_cancel(&asked.outbound);
    outbound_cancel(&asked.outbound);    /* no-op */
    world_sleep(&w, 10000);
    assert_int_equal(asked.answers, 0);
    let_go(&w, &asked);
}

/* The server is gone already, or there is no memory for what is put: one answer all the same. */
static void header_does_not_go_out(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 10; nth++) {
        struct world w;
        struct asked asked;
        world_begin(&w, conf);
        mem_fail_nth(nth);
        ask(&w, &asked, V1, NULL);
        world_run(&w);
        mem_fail_nth(0);
        assert_true((asked.outbound == NULL && asked.answers == 0) || asked.answers == 1);
        assert_true(asked.stream != NULL || asked.answers == 0 || asked.why == END_NO_MEMORY);
        let_go(&w, &asked);
    }
}

/* ---- in an exchange ---- */

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a.test\r\n\r\n"

static void origin_behind_header(struct peer *p)
{
    const char *end = strstr(bytes_text(&p->got), "\r\n");

    if (p->step == 0 && end != NULL && strncmp(bytes_text(&p->got), "PROXY ", 6) == 0)
        p->step = (size_t)(end - bytes_text(&p->got)) + 2;
    if (p->step > 0)
        origin_react(p);
}

static void origin_behind_header_new(struct world *w, struct peer *p)
{
    (void)w;
    p->react = origin_behind_header;
}

static void expect_begins(const struct peer *p, const char *text)
{
    if (strncmp(bytes_text(&p->got), text, strlen(text)) != 0)
        fail_msg("`%s` does not begin with `%s`", bytes_text(&p->got), text);
}

/* Each request has a connection of its own, whosever it is: none is kept, and the server is told so. */
static void never_pooled(void **state)
{
    struct world w;
    struct peer *one, *other;

    (void)state;
    world_begin(&w, conf);
    w.on_server = origin_behind_header_new;
    one = world_client_at(&w, 0, "192.0.2.7");
    other = world_client_at(&w, 0, "192.0.2.8");
    peer_says(one, GET("/v1/plain"));
    world_run(&w);
    peer_says(other, GET("/v1/plain"));
    world_run(&w);
    peer_says(one, GET("/v1/plain"));
    world_run(&w);
    assert_int_equal(w.servers_n, 3);
    assert_int_equal(world_pooled(&w), 0);
    expect_begins(world_server(&w, 0), "PROXY TCP4 192.0.2.7 127.0.0.1 40000 1\r\nGET /v1/plain HTTP/1.1\r\nHost: a.test\r\n");
    expect_begins(world_server(&w, 1), "PROXY TCP4 192.0.2.8 127.0.0.1 40000 1\r\nGET ");
    expect_begins(world_server(&w, 2), "PROXY TCP4 192.0.2.7 127.0.0.1 40000 1\r\nGET ");
    assert_non_null(strstr(bytes_text(&world_server(&w, 0)->got), "\r\nConnection: close\r\n"));
    assert_int_equal(count_text(bytes_text(&one->got), "HTTP/1.1 404 "), 2);     /* kept itself: what the origin says to /v1 */
    assert_null(strstr(bytes_text(&one->got), "Connection: close"));
    peer_ends(one);
    peer_ends(other);
    world_end(&w);
}

/* A connection that was kept before the headers came is not one that has sent one. */
static void not_those_of_before(void **state)
{
    static const char *const words[] = { "off", "v1", "v2", "off" };
    struct world w;
    struct peer *client;
    char text[512];

    (void)state;
    world_begin(&w, conf);
    client = world_client_at(&w, 0, "192.0.2.7");
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        struct peer *server;
        snprintf(text, sizeof(text), "listeners: [ { address: 127.0.0.1:1, name: main } ]\n"
                 "upstreams: { app: { servers: [ 127.0.0.1:9001 ], send_proxy: %s } }\nroutes: [ { upstream: app } ]\n", words[i]);
        world_reload(&w, text);
        peer_says(client, GET("/"));
        world_run(&w);
        assert_int_equal(w.servers_n, i + 1);
        server = world_server(&w, i);
        expect_begins(server, words[i][0] == 'o' ? "GET / " : words[i][1] == '1' ? "PROXY TCP4 192.0.2.7 " : "\r\n\r\n");
        peer_says(server, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        world_run(&w);
        assert_int_equal(world_pooled(&w), words[i][0] == 'o');
    }
    peer_ends(client);
    world_end(&w);
}

/* FastCGI behind a header: the application is asked not to keep the connection, and it is not kept. */
static void fastcgi(void **state)
{
    static const char header[] = "PROXY TCP4 192.0.2.7 127.0.0.1 40000 1\r\n";
    static const struct span reply = SPAN_LITERAL("\1\6\0\1\0\x17\1\0Content-Type: a/b\r\n\r\nhi\0\1\6\0\1\0\0\0\0"
                                                  "\1\3\0\1\0\x8\0\0\0\0\0\0\0\0\0\0");
    struct world w;
    struct peer *client;

    (void)state;
    world_begin(&w, conf);
    client = world_client_at(&w, 0, "192.0.2.7");
    for (size_t i = 0; i < 2; i++) {
        struct peer *server;
        peer_says(client, GET("/fcgi"));
        world_run(&w);
        assert_int_equal(w.servers_n, i + 1);
        server = world_server(&w, i);
        expect_begins(server, header);
        assert_memory_equal(server->got.p + sizeof(header) - 1, "\1\1\0\1\0\10\0\0\0\1\0", 11);      /* FCGI_KEEP_CONN is not set */
        peer_give(server, reply);
        world_run(&w);
        assert_int_equal(count_text(bytes_text(&client->got), "HTTP/1.1 200 OK"), i + 1);
        assert_int_equal(world_pooled(&w), 0);
        assert_true(server->closed);
    }
    peer_ends(client);
    world_end(&w);
}

/* The second server is told the same as the first would have been. */
static void retried(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    world_begin(&w, conf);
    w.on_server = origin_behind_header_new;
    w.plan[0] = DIAL_REFUSED;
    client = world_client_at(&w, 0, "192.0.2.7");
    peer_says(client, GET("/v1/plain"));
    world_run(&w);
    expect_begins(world_server(&w, 0), "PROXY TCP4 192.0.2.7 127.0.0.1 40000 1\r\nGET ");
    peer_ends(client);
    world_end(&w);
}

/* In and out: what a trusted hop said of the client and of where it went is what the server hears; a tunnel begins so, too. */
static void passed_on(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    world_begin(&w, conf);
    w.on_server = origin_behind_header_new;
    client = world_client_at(&w, 1, "10.0.0.1");
    peer_says(client, "PROXY TCP6 2001:db8::9 2001:db8::1 56324 443\r\n" WS_REQUEST_TO("/v1/ws"));
    world_run(&w);
    expect_begins(world_server(&w, 0), "PROXY TCP6 2001:db8::9 2001:db8::1 56324 443\r\nGET /v1/ws HTTP/1.1\r\n");
    assert_non_null(strstr(bytes_text(&client->got), "HTTP/1.1 101 "));
    assert_int_equal(world_count(&w.services.tunnels), 1);
    world_kill_and_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),
        cmocka_unit_test(tls_is_told),
        cmocka_unit_test(failures),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(header_does_not_go_out),
        cmocka_unit_test(never_pooled),
        cmocka_unit_test(not_those_of_before),
        cmocka_unit_test(fastcgi),
        cmocka_unit_test(retried),
        cmocka_unit_test(passed_on),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
