/* Storms: clients and servers that do anything at any time, by dice. Nobody may crash, stall, leak, or go without a line in
 * the log; and whatever a client got is, as far as it came, what a client may get: whole heads of answers, then whole lawful
 * frames.
 *
 * The seed is printed; UPGATE_SEED=N repeats a run, UPGATE_STORMS=N makes it longer. */
#include "tests/gateway/origin.h"

#include "tests/gateway/frames.h"
#include "protocol/ws_scan.h"
#include "tests/protocol/chance.h"
#include "tests/protocol/tls_case.h"

static const char *const conf_text =
    "listeners:\n"
    "  - { address: 127.0.0.1:1, name: main }\n"
    "  - { address: 127.0.0.1:2, name: pass, passthrough: { a.test: { upstream: app, idle_timeout: 2s } } }\n"
    "limits: { header_bytes: 2KiB }\n"
    "timeouts: { drain_spread: 50ms }\n"
    "upstreams:\n"
    "  app: { servers: [ 127.0.0.1:9001, 127.0.0.1:9002, 127.0.0.1:9003 ], retries: 2, keepalive: 2, balance: least_busy }\n"
    "routes:\n"
    "  - { upstream: app, match: { path: /utf8 }, websocket: { verify: utf8, max_message: 100B, rate: 50 } }\n"
    "  - { upstream: app, match: { path: /blind }, websocket: { verify: blind } }\n"
    "  - { upstream: app, match: { path: /quick }, timeouts: { body: 50ms, response: 50ms, connect: 50ms },\n"
    "      websocket: { ping_interval: 20ms, idle_timeout: 100ms, close_timeout: 30ms, slow_timeout: 40ms,\n"
    "        handshake_timeout: 30ms } }\n"
    "  - { upstream: app }\n";

#define CLIENTS 3

static const char *const requests[] = {
    "GET /plain HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /chunked HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /close HTTP/1.0\r\nHost: a.test\r\n\r\n",
    "HEAD /chunked HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /silent HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /quick HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "PUT /100 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n0123456789",
    "POST /last HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "POST /plain HTTP/1.1\r\nHost: a.test\r\nContent-Length: 20\r\n\r\nnot all of it",
    "OPTIONS * HTTP/1.1\r\nHost: a.test\r\nMax-Forwards: 0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.test\r\nBad Field: 1\r\n\r\n",
    "\r\n",
    "GET /",
    WS_REQUEST,
    WS_REQUEST_TO("/utf8"),
    WS_REQUEST_TO("/blind"),
    WS_REQUEST_TO("/quick"),
    WS_REQUEST_TO("/bad"),
};

static const char *const frames[] = {
    "text(hello)", "text(κόσμε)", "bin(x)", "frag(a) end(b)", "ping(p)", "pong(p)", "text()", "open(9,abc) more(defghi)",
    "frag(\xce) ping() end(\xba)",
};
static const char *const odd_frames[] = {
    "close(1000)", "close(1001)", "close()", "frag(a)", "cont(b)", "end(c)", "open(9,abc)", "more(defghi)", "text(\xff)",
    "hex(83)", "hex(81fe)",
};

static const char *const answers[] = {
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "0\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nhello", WS_101,
    "garbage\r\n",
    "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno", "HTTP/1.1 200 ",
};

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

struct storm {
    struct world w;
    struct chance chance;
    struct peer *clients[CLIENTS];
    bool is_ws[CLIENTS];                 /* no more HTTP comes from it */
    struct metrics sum;
};

static struct storm *storm_now;

static bool once_in(size_t n)
{
    return chance_one_in(&storm_now->chance, n);
}

static size_t below(size_t n)
{
    return chance_below(&storm_now->chance, n);
}

/* ---- weather for a peer ---- */

static void change_habits(struct peer *p)
{
    static const size_t sizes[] = { 1, 2, 3, 7, 64, 1000, SIZE_MAX, SIZE_MAX };

    p->piece = sizes[below(COUNT_OF(sizes))];
    p->grain = sizes[below(COUNT_OF(sizes))];
}

static void do_to_output(struct peer *p)
{
    if (once_in(3))
        peer_stops_reading(p);
    else if (once_in(2))
        peer_takes(p, below(20));
    else
        peer_reads_on(p);
}

static void do_to_end(struct peer *p)
{
    if (once_in(3))
        peer_resets(p);
    else
        peer_ends(p);
}

static void say_something(struct peer *p, bool is_server)
{
    if (p->ends != STREAM_OPEN)
        return;
    if (is_server && p->react != origin_react)
        peer_says(p, answers[below(COUNT_OF(answers))]);
    else
        peer_frames(p, once_in(5) ? odd_frames[below(COUNT_OF(odd_frames))] : frames[below(COUNT_OF(frames))], !is_server);
}

static void on_new_server(struct world *w, struct peer *p)
{
    (void)w;
    change_habits(p);
    if (!once_in(4))
        p->react = origin_react;
    if (once_in(30))
        p->fails_at = below(400);
}

/* ---- clients ---- */

static void say_hello(struct peer *p)
{
    static struct tls_case hello;

    hello.n = 0;
    tls_put_hello_for(&hello, span_of_text(once_in(6) ? "b.test" : "a.test"), 16384);
    peer_give(p, span_of(hello.p, once_in(10) ? below(hello.n) : hello.n));
}

static void new_client(struct storm *s, size_t i)
{
    if (s->w.peers_n > WORLD_PEERS_MAX - 16)
        return;
    s->is_ws[i] = once_in(4);            /* one of TLS, which is passed through */
    s->clients[i] = s->is_ws[i] ? world_client_at(&s->w, 1, "192.0.2.7") : world_client(&s->w);
    change_habits(s->clients[i]);
    if (s->is_ws[i] && !s->clients[i]->closed && !once_in(10))
        say_hello(s->clients[i]);
}

static void client_acts(struct storm *s, size_t i)
{
    struct peer *p = s->clients[i];

    if (p == NULL || p->closed) {
        new_client(s, i);
    } else if (p->ends == STREAM_OPEN && !s->is_ws[i] && !once_in(20)) {
        const char *request = requests[below(COUNT_OF(requests))];
        s->is_ws[i] = strstr(request, "websocket") != NULL;
        peer_says(p, request);
    } else {
        say_something(p, false);
    }
}

/* A server that has an upgrade talks frames, another one seldom talks by itself. */
static bool may_talk(const struct peer *p)
{
    return p->react != origin_react || strstr(bytes_text(&p->gives), " 101 ") != NULL || once_in(30);
}

static void somebody_acts(struct storm *s)
{
    struct peer *p = s->w.peers_n > 0 ? s->w.peers[below(s->w.peers_n)] : NULL;
    bool is_server = p != NULL;

    for (size_t i = 0; i < CLIENTS; i++)
        is_server = is_server && p != s->clients[i];
    if (p == NULL || once_in(2))
        client_acts(s, below(CLIENTS));
    else if (once_in(6))
        change_habits(p);
    else if (once_in(4))
        do_to_output(p);
    else if (once_in(20))
        do_to_end(p);
    else if (is_server && may_talk(p))
        say_something(p, true);
}

static void time_acts(struct storm *s)
{
    if (once_in(10))
        world_sleep(&s->w, below(80));
    if (once_in(200))
        world_sleep(&s->w, below(70000));
    if (once_in(1500))
        world_drain(&s->w);
    if (once_in(1500))
        world_kill(&s->w);
    if (once_in(80))
        mem_fail_nth(1 + below(10));
}

/* ---- what a client may have got ---- */

/* Frames of the gateway's or of a server's, verified by a scanner of its own; not for blind tunnels. */
static void check_frames(struct span got)
{
    struct ws_scan scan;
    struct ws_scan_rules rules = { .from_client = false };
    size_t at = 0, passed;
    struct ws_control control;
    enum ws_scan_verdict v;

    ws_scan_init(&scan, &rules);
    do {
        v = ws_scan_feed(&scan, got.p + at, got.n - at, &passed, &control);
        at += passed;
        if (v == WS_SCAN_CONTROL) {
            at += control.frame_bytes;
            ws_scan_control_done(&scan);
        }
    } while (v == WS_SCAN_CONTROL);
    if (v == WS_SCAN_FAULT)
        fail_msg("a client got an unlawful frame: %s", fault_word(scan.fault));
}

static void check_client(const struct peer *p)
{
    const char *text = bytes_text(&p->got), *end = NULL;

    if (p->got.n >= 9 && strncmp(text, "HTTP/1.1 ", 9) != 0)
        fail_msg("a client got what is no answer: %.60s", text);
    if (strncmp(text, "HTTP/1.1 101 ", 13) == 0)         /* further behind it could be a body that looks like it */
        end = strstr(text, "\r\n\r\n");
    if (end != NULL && memmem(p->gives.p, p->gives.n, "GET /blind", 10) == NULL)
        check_frames(span_of(end + 4, p->got.n - (size_t)(end + 4 - text)));
}

static void begin_storm(struct storm *s)
{
    for (size_t i = 0; i < CLIENTS; i++) {
        s->clients[i] = NULL;
        s->is_ws[i] = false;
    }
    world_begin(&s->w, conf);
    s->w.on_server = on_new_server;
    for (size_t i = 0; i < WORLD_PEERS_MAX; i++)
        s->w.plan[i] = once_in(8) ? (enum dial_plan)below(4) : DIAL_GIVES;
}

static void end_storm(struct storm *s)
{
    struct world *w = &s->w;

    mem_fail_nth(0);
    w->services.draining = false;
    world_sleep(w, 800000);
    for (size_t i = 0; i < w->peers_n; i++)
        peer_ends(w->peers[i]);
    world_sleep(w, 800000);
    assert_int_equal(world_living(w), 0);
    assert_true(w->metrics.exchanges >= w->metrics.tunnels);
    assert_int_equal(world_lines(w, "exchange") + world_lines(w, "tunnel") + world_lines(w, "passthrough") +
                         w->metrics.access_lines_dropped,
                     w->metrics.exchanges + w->metrics.tunnels + w->metrics.passthroughs);
    metrics_sum(&s->sum, &w->metrics);
    world_end(w);
}

/* That it was a storm, and not a breeze. */
static void tell_what_it_was(const struct storm *s, unsigned long long storms)
{
    static const char *const kinds[METRICS_ENDED_COUNT] = { "connections", "exchanges", "upgrades", "tunnels", "kept connections", "pass-throughs" };

    for (size_t what = 0; what < METRICS_ENDED_COUNT; what++) {
        size_t reasons = 0;
        for (size_t why = 0; why < END_REASON_COUNT; why++) {
            reasons += s->sum.ended[what][why] > 0;
            if (getenv("UPGATE_STORMS") != NULL && s->sum.ended[what][why] > 0)
                printf("  %s: %llu %s\n", kinds[what], (unsigned long long)s->sum.ended[what][why],
                       end_reason_word((enum end_reason)why));
        }
        printf("%s ended for %zu reasons\n", kinds[what], reasons);
        if (storms >= 100)
            assert_true(reasons >= 3);
    }
}

static void storms(void **state)
{
    static struct storm s;
    unsigned long long storms = chance_setting("UPGATE_STORMS", 400);

    (void)state;
    s.chance = chance_seeded("test_storm");
    storm_now = &s;
    for (unsigned long long n = 0; n < storms; n++) {
        begin_storm(&s);
        for (int act = 0; act < 150 && s.w.dials < WORLD_PEERS_MAX - 20; act++) {
            somebody_acts(&s);
            if (once_in(2))
                world_run(&s.w);
            else
                ready_queue_run(&s.w.ready);
            time_acts(&s);
        }
        for (size_t i = 0; i < s.w.peers_n; i++)
            if (strncmp(bytes_text(&s.w.peers[i]->got), "HTTP/", 5) == 0 && bytes_text(&s.w.peers[i]->gives)[0] != 0x16)
                check_client(s.w.peers[i]);
        end_storm(&s);
    }
    tell_what_it_was(&s, storms);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(storms) };

    return cmocka_run_group_tests(tests, load, unload);
}
