/* Close at every moment of a FastCGI request, and the Nth failure: each state ended in each way there is, and good runs repeated with
 * each allocation, dial and write failing in turn. Nothing is left over, each exchange has its line, and nobody waits in vain. */
#include "tests/gateway/origin.h"

#include "tests/gateway/fcgi_app.h"

static const char *const fcgi_conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main } ]\n"
    "limits: { header_bytes: 4KiB }\n"
    "timeouts: { drain_spread: 0ms }\n"
    "upstreams:\n"
    "  app: { protocol: fastcgi, servers: [ 127.0.0.1:9001 ], fastcgi: { body_memory: 20B } }\n"
    "  mux: { protocol: fastcgi, servers: [ 127.0.0.1:9002 ], fastcgi: { multiplex: on, length: optional } }\n"
    "  two: { protocol: fastcgi, servers: [ 127.0.0.1:9003, 127.0.0.1:9004 ] }\n"
    "routes:\n"
    "  - { upstream: mux, match: { path: /mux } }\n"
    "  - { upstream: two, match: { path: /two } }\n"
    "  - { upstream: app, match: { host: a.test } }\n";

static struct conf *conf;

static int load(void **state)
{
    (void)state;
    conf = world_conf(fcgi_conf_text);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    conf_free(conf);
    return 0;
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define POST(target, length) "POST " target " HTTP/1.1\r\nHost: a.test\r\nContent-Length: " length "\r\n\r\n"

#define CHUNKED(target) "POST " target " HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
#define EXPECTING(target) "POST " target " HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"

/* ---- moments ---- */

enum does { NOTHING, HEAD, BODY_BEGUN, WHOLE, ERRORS, BUSY, CANNOT, ENDS };

static const struct moment {
    const char *name;
    enum dial_plan plan[2];
    const char *client_says;
    bool server_blocked, client_blocked;
    enum does server_does;
    const char *client_says_then;
} moments[] = {
    { .name = "dialing", .plan = { DIAL_HANGS }, .client_says = GET("/") },
    { .name = "dialing, a body waits", .plan = { DIAL_HANGS }, .client_says = POST("/", "10") "abc" },
    { .name = "dialing, and asking", .plan = { DIAL_HANGS, DIAL_HANGS }, .client_says = GET("/mux") },
    { .name = "asked", .client_says = GET("/mux") },
    { .name = "the answer is awaited", .client_says = GET("/") },
    { .name = "the request does not go out", .client_says = GET("/"), .server_blocked = true },
    { .name = "the body is awaited", .client_says = POST("/", "10") "abc" },
    { .name = "the body does not go out", .client_says = POST("/", "10"), .server_blocked = true, .client_says_then = "abcdefghij" },
    { .name = "told to go on", .client_says = EXPECTING("/") },
    { .name = "gathering", .client_says = CHUNKED("/") "5\r\nab" },
    { .name = "gathering into a file", .client_says = CHUNKED("/") "1e\r\n123456789012345678901234567890\r\n" },
    { .name = "gathered, dialing", .plan = { DIAL_HANGS }, .client_says = CHUNKED("/") "5\r\nhello\r\n0\r\n\r\n" },
    { .name = "gathered, the second server", .plan = { DIAL_REFUSED, DIAL_HANGS },
      .client_says = CHUNKED("/two") "5\r\nhello\r\n0\r\n\r\n" },
    { .name = "gathered, and it does not go out", .client_says = CHUNKED("/") "5\r\nhello\r\n0\r\n\r\n", .server_blocked = true },
    { .name = "streamed without a length", .client_says = CHUNKED("/mux") "5\r\nab" },
    { .name = "errors were written", .client_says = GET("/"), .server_does = ERRORS },
    { .name = "in the reply's head", .client_says = GET("/"), .server_does = HEAD },
    { .name = "in the reply's body", .client_says = GET("/"), .server_does = BODY_BEGUN },
    { .name = "in the reply's body, which does not go out", .client_says = GET("/"), .client_blocked = true, .server_does = BODY_BEGUN },
    { .name = "the whole reply waits for the client", .client_says = GET("/"), .client_blocked = true, .server_does = WHOLE },
    { .name = "an early reply", .client_says = POST("/", "10") "abc", .server_does = BODY_BEGUN },
    { .name = "an early reply is over", .client_says = POST("/", "10") "abc", .server_does = WHOLE },
    { .name = "kept", .client_says = GET("/"), .server_does = WHOLE },
    { .name = "the second request", .client_says = GET("/"), .server_does = WHOLE, .client_says_then = GET("/2") },
    { .name = "overloaded", .client_says = GET("/two"), .server_does = BUSY },
    { .name = "it cannot", .client_says = GET("/"), .server_does = CANNOT },
    { .name = "the server is gone", .client_says = GET("/two"), .server_does = ENDS },
};

enum ending {
    CLIENT_EOF, CLIENT_RESET, CLIENT_DEAF, CLIENT_JUNK, SERVER_EOF, SERVER_RESET, SERVER_DEAF, SERVER_JUNK, SERVER_END, TIME, DRAIN, KILL,
    ENDINGS
};

static struct peer *last_server(struct world *w)
{
    return w->servers_n > 0 ? w->servers[w->servers_n - 1] : NULL;
}

static void block_new_server(struct world *w, struct peer *server)
{
    (void)w;
    peer_stops_reading(server);
}

static void server_does(struct peer *server, enum does what)
{
    switch (what) {
    case NOTHING:
        break;
    case HEAD:
        app_out(server, 1, "Content-Ty");
        break;
    case BODY_BEGUN:
        app_out(server, 1, "Content-Type: a/b\nContent-Length: 10\n\nabc");
        break;
    case WHOLE:
        app_reply(server, 1, "Content-Type: a/b\n\nabc");
        break;
    case ERRORS:
        app_err(server, 1, "oh");
        break;
    case BUSY:
        app_end(server, 1, 2);
        break;
    case CANNOT:
        app_end(server, 1, 3);
        break;
    case ENDS:
        peer_ends(server);
        break;
    }
}

static struct peer *reach(struct world *w, const struct moment *m)
{
    struct peer *client;

    memcpy(w->plan, m->plan, sizeof(m->plan));
    w->on_server = m->server_blocked ? block_new_server : NULL;
    client = world_client(w);
    if (m->client_blocked)
        peer_stops_reading(client);
    peer_says(client, m->client_says);
    world_run(w);
    if (m->server_does != NOTHING)
        server_does(world_server(w, 0), m->server_does);
    world_run(w);
    if (m->client_says_then != NULL)
        peer_says(client, m->client_says_then);
    world_run(w);
    return client;
}

static void give_junk(struct peer *p)
{
    if (p->ends == STREAM_OPEN)
        peer_give(p, SPAN_LITERAL("\1\x6\0\1\0\3\0\0xyz\xff\xfe\r\n\r\n\x80junk"));
}

static void end_by(struct world *w, struct peer *client, struct peer *server, enum ending how)
{
    if (how == CLIENT_EOF)
        peer_ends(client);
    else if (how == CLIENT_RESET)
        peer_resets(client);
    else if (how == CLIENT_JUNK)
        give_junk(client);
    else if (how == SERVER_EOF)
        peer_ends(server);
    else if (how == SERVER_RESET)
        peer_resets(server);
    else if (how == SERVER_JUNK)
        give_junk(server);
    else if (how == TIME)
        world_sleep(w, 200000);
    else if (how == DRAIN)
        world_drain(w);
    else if (how == KILL)
        world_kill(w);
    if (how == SERVER_END && server->ends == STREAM_OPEN)
        app_end(server, 1, 0);
    if (how == CLIENT_DEAF || how == SERVER_DEAF) {
        struct peer *p = how == CLIENT_DEAF ? client : server;
        p->fails_at = p->got.n;
        peer_reads_on(p);
    }
    world_run(w);
}

static void end_moment(const struct moment *m, enum ending how, size_t piece)
{
    struct world w;
    struct peer *client;
    uint64_t begun;

    world_begin(&w, conf);
    w.piece = w.grain = piece;
    client = reach(&w, m);
    if (how >= SERVER_EOF && how <= SERVER_END && last_server(&w) == NULL) {
        world_kill_and_end(&w);
        return;
    }
    begun = w.metrics.exchanges + w.metrics.exchanges_open;
    end_by(&w, client, last_server(&w), how);
    world_sleep(&w, 200000);
    if (world_living(&w) != 0)
        fail_msg("%s, %d: %zu are still there", m->name, (int)how, world_living(&w));
    if (w.metrics.exchanges < begun || world_lines(&w, "exchange") != w.metrics.exchanges)
        fail_msg("%s, %d: of %u exchanges begun, %u ended", m->name, (int)how, (unsigned)begun, (unsigned)w.metrics.exchanges);
    world_end(&w);
}

static void each_moment(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT_OF(moments); m++)
        for (enum ending how = 0; how < ENDINGS; how++)
            for (size_t piece = 1; piece <= 2; piece++)
                end_moment(&moments[m], how, piece == 1 ? SIZE_MAX : 1);
}

/* ---- the Nth failure ---- */

static const struct run {
    const char *name, *says;
    unsigned answers;
    enum dial_plan first_dial;
} runs[] = {
    { "a request", GET("/plain"), 1, DIAL_GIVES },
    { "a body", POST("/length", "5") "hello", 1, DIAL_GIVES },
    { "a body that is gathered", CHUNKED("/length") "1e\r\n123456789012345678901234567890\r\n0\r\n\r\n", 1, DIAL_GIVES },
    { "one behind the other", GET("/plain") GET("/errors") "HEAD /plain HTTP/1.1\r\nHost: a.test\r\n\r\n" GET("/last"), 4, DIAL_GIVES },
    { "the first refuses", GET("/two"), 1, DIAL_REFUSED },
    { "busy", GET("/busy"), 1, DIAL_GIVES },
    { "several", GET("/mux/1") GET("/mux/2"), 2, DIAL_GIVES },
    { "told to go on", EXPECTING("/length") "hello", 1, DIAL_GIVES },
};

static unsigned final_answers(const struct peer *client)
{
    const char *text = bytes_text(&client->got);

    return (unsigned)(count_text(text, "HTTP/1.1 ") - count_text(text, "HTTP/1.1 100 "));
}

static void mux_app(struct peer *p)
{
    struct app a;

    app_read(&a, p);
    if (a.questions == 1 && p->step == 0 && p->ends == STREAM_OPEN) {
        app_send(p, 10, 0, "\x0f\1FCGI_MPXS_CONNS1", 18, 0);
        p->step = 1;
    }
    if (a.questions == 0)
        app_react(p);
    app_free(&a);
}

static size_t frail_at;

static void frail_app(struct peer *p)
{
    if (p->stream != NULL && p->stream->base.output_error != 0)
        peer_resets(p);
    else
        mux_app(p);
}

static void new_app(struct world *w, struct peer *p)
{
    (void)w;
    p->react = frail_app;
    p->fails_at = frail_at;
}

static struct peer *perform(struct world *w, const struct run *r)
{
    struct peer *client = world_client(w);

    client->react = hang_up_when_finished;
    if (!client->closed)
        peer_says(client, r->says);
    world_run(w);
    return client;
}

static void begin_run(struct world *w, const struct run *r, size_t piece)
{
    world_begin(w, conf);
    w->piece = w->grain = piece;
    w->on_server = new_app;
    w->plan[0] = r->first_dial;
}

static void finish_run(struct world *w, struct peer *client, const struct run *r, const char *what, size_t nth)
{
    if (!client->closed && !client->fin && final_answers(client) < r->answers)
        fail_msg("%s: %s %zu fails, and the client waits in vain; it got `%s`\n%s", r->name, what, nth, bytes_text(&client->got),
                 bytes_text(&w->log));
    peer_ends(client);
    world_sleep(w, 400000);
    if (world_living(w) != 0)
        fail_msg("%s: %s %zu fails, and %zu are still there", r->name, what, nth, world_living(w));
    assert_int_equal(w->metrics.exchanges, world_lines(w, "exchange") + w->metrics.access_lines_dropped);
    world_end(w);
}

static size_t good_run(const struct run *r, size_t piece)
{
    struct world w;
    struct peer *client;
    size_t calls;

    frail_at = SIZE_MAX;
    begin_run(&w, r, piece);
    calls = mem_calls();
    client = perform(&w, r);
    calls = mem_calls() - calls;
    assert_int_equal(final_answers(client), r->answers);
    finish_run(&w, client, r, "nothing", 0);
    return calls;
}

static void each_allocation_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        for (size_t piece = 1; piece <= 2; piece++) {
            size_t calls = good_run(&runs[i], piece == 1 ? SIZE_MAX : 1);
            for (size_t nth = 1; nth <= calls; nth++) {
                struct world w;
                struct peer *client;
                begin_run(&w, &runs[i], piece == 1 ? SIZE_MAX : 1);
                mem_fail_nth(nth);
                client = perform(&w, &runs[i]);
                mem_fail_nth(0);
                finish_run(&w, client, &runs[i], "allocation", nth);
            }
        }
    }
}

static void each_dial_and_each_write_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        struct world w;
        struct peer *client;
        for (size_t nth = 0; nth < 3; nth++) {
            frail_at = SIZE_MAX;
            begin_run(&w, &runs[i], SIZE_MAX);
            w.plan[nth] = DIAL_REFUSED;
            client = perform(&w, &runs[i]);
            finish_run(&w, client, &runs[i], "dial", nth);
        }
        for (size_t at = 0; at < 900; at += at < 20 ? 1 : 17) {
            frail_at = at;
            begin_run(&w, &runs[i], SIZE_MAX);
            w.grain = 1 + at % 40;
            client = perform(&w, &runs[i]);
            finish_run(&w, client, &runs[i], "a server's byte", at);
        }
    }
    frail_at = SIZE_MAX;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_moment),
        cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(each_dial_and_each_write_fails),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
