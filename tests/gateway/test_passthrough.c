/* TLS connections that are passed on undecrypted: which server a name has, what each side sees of the other, every way to end, and every
 * moment at which that can happen. */
#include "tests/gateway/pass.h"

#include "tests/gateway/origin.h"
#include "tests/protocol/chance.h"

static const char *const conf_text =
    "listeners:\n"
    "  - address: 127.0.0.1:1\n"
    "    name: main\n"
    "    passthrough:\n"
    "      \"*\": other\n"
    "      a.test: { upstream: a, idle_timeout: 60s }\n"
    "      \"*.a.test\": wild\n"
    "      \"*.deep.a.test\": deep\n"
    "      two.test: two\n"
    "      b.test: a\n"
    "      full.test: full\n"
    "  - { address: 127.0.0.1:2, name: strict, passthrough: { a.test: a, \"*.a.test\": wild } }\n"
    "  - { address: 127.0.0.1:3, name: behind, trusted: [ 192.0.2.0/24 ], proxy_protocol: require, passthrough: { a.test: told } }\n"
    "  - { address: 127.0.0.1:4, name: guarded, trusted: [ 192.0.2.0/24 ], deny: [ 192.0.2.7 ], passthrough: { a.test: a } }\n"
    "timeouts: { header: 10s, connect: 5s, drain_spread: 0ms }\n"
    "upstreams:\n"
    "  a: { servers: [ 127.0.0.1:9001 ], retries: 0 }\n"
    "  wild: { servers: [ 127.0.0.1:9002 ] }\n"
    "  deep: { servers: [ 127.0.0.1:9003 ] }\n"
    "  other: { servers: [ 127.0.0.1:9004 ] }\n"
    "  two: { servers: [ 127.0.0.1:9005, 127.0.0.1:9006 ], retries: 1 }\n"
    "  full: { servers: [ 127.0.0.1:9008 ], connections: 1, queue: 1, queue_timeout: 2s }\n"
    "  told: { servers: [ 127.0.0.1:9007 ], send_proxy: v1 }\n";

enum { MAIN, STRICT, BEHIND, GUARDED };

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

/* ---- names ---- */

static void names(void **state)
{
    static const struct {
        size_t listener;
        const char *name, *upstream;     /* NULL: none */
    } rows[] = {
        { MAIN, "a.test", "a" },         { MAIN, "b.test", "a" },         { MAIN, "x.a.test", "wild" },
        { MAIN, "x.y.a.test", "wild" },  { MAIN, "deep.a.test", "wild" }, { MAIN, "x.deep.a.test", "deep" },
        { MAIN, "xa.test", "other" },    { MAIN, ".a.test", "other" },    { MAIN, "", "other" },
        { MAIN, "test", "other" },       { MAIN, "a.test.x", "other" },   { STRICT, "a.test", "a" },
        { STRICT, "x.a.test", "wild" },  { STRICT, "b.test", NULL },      { STRICT, "", NULL },
        { STRICT, "*.a.test", "wild" },  { STRICT, "*", NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct conf_passthrough *p = passthrough_find(&conf->listeners[rows[i].listener], span_of_text(rows[i].name));
        const char *got = p != NULL ? conf->upstreams[p->upstream].name : NULL;
        if ((got == NULL) != (rows[i].upstream == NULL) || (got != NULL && strcmp(got, rows[i].upstream) != 0))
            fail_msg("`%s`: %s, and not %s", rows[i].name, got, rows[i].upstream);
    }
}

/* ---- plays ---- */

struct row {
    const char *name;
    size_t listener;
    enum dial_plan plan[3];
    const char *play;
    const char *client, *server;         /* what they saw; server NULL: there was none */
    const char *end;                     /* of the record */
    const char *closed_by;
};

static const struct row rows[] = {
    { "bytes both ways", MAIN, { 0 }, "c hello a.test; s say 12345; c say abc; c say def; s say 6; c eof; s eof", "123456 fin",
      "helloabcdef fin", "complete", "client" },
    { "the server ends first", MAIN, { 0 }, "c hello a.test; s say 1; s eof; c eof", "1 fin", "hello fin", "complete", "server" },
    { "half-closed by the client", MAIN, { 0 }, "c hello a.test; c say a; c eof; t 100; s say 1; t 100; s say 2; s eof", "12 fin",
      "helloa fin", "complete", "client" },
    { "half-closed by the server", MAIN, { 0 }, "c hello a.test; s say 1; s eof; t 100; c say a; t 100; c say b; c eof", "1 fin",
      "helloab fin", "complete", "server" },
    { "both at once", MAIN, { 0 }, "c hello a.test; & c eof; s eof", " fin", "hello fin", "complete", NULL },
    { "an end behind bytes that do not go out", MAIN, { 0 }, "c hello a.test; c block; s say 12345; & s eof; c take 2; c eof; c unblock",
      "12345 fin", "hello fin", "complete", NULL },
    { "a hello in two parts", MAIN, { 0 }, "c half a.test; t 9000; c rest; c eof; s eof", " fin", "hello fin", "complete", NULL },
    { "a wildcard", MAIN, { 0 }, "c hello x.a.test; c eof; s eof", " fin", "hello fin", "complete", NULL },
    { "no name", MAIN, { 0 }, "c hello -; c eof; s eof", " fin", "hello fin", "complete", NULL },
    { "bytes while dialing", MAIN, { DIAL_REFUSED }, "& c hello two.test; & c say early; c eof; s say 1; s eof", "1 fin",
      "helloearly fin", "complete", "client" },
    { "the first server refuses", MAIN, { DIAL_REFUSED }, "c hello two.test; s say 1; c eof; s eof", "1 fin", "hello fin", "complete",
      NULL },
    { "both servers refuse", MAIN, { DIAL_REFUSED, DIAL_REFUSED }, "c hello two.test; c eof", "alert(80) fin", NULL, "connect_failed",
      "gateway" },
    { "the only server refuses", MAIN, { DIAL_REFUSED }, "c hello a.test; c eof", "alert(80) fin", NULL, "connect_failed", "gateway" },
    { "no such host", MAIN, { DIAL_UNRESOLVED }, "c hello a.test; c eof", "alert(80) fin", NULL, "resolve_failed", "gateway" },
    { "no answer in time", MAIN, { DIAL_HANGS }, "c hello a.test; t 4990; t 20; c eof", "alert(80) fin", NULL, "connect_timeout",
      "gateway" },
    { "gone while dialing", MAIN, { DIAL_HANGS }, "c hello a.test; c reset", " closed", NULL, "client_reset", "client" },
    { "finished while dialing", MAIN, { DIAL_HANGS }, "& c hello a.test; c eof; t 5010", "alert(80) fin", NULL, "connect_timeout",
      "gateway" },
    { "an alert that is not read", MAIN, { DIAL_REFUSED }, "c block; c hello a.test; t 3010", " closed", NULL, "connect_failed", "gateway" },
    { "an alert, and the client says more", MAIN, { DIAL_REFUSED }, "c hello a.test; c say abc; t 3010", "alert(80) fin", NULL,
      "connect_failed", "gateway" },
    { "the client is reset", MAIN, { 0 }, "c hello a.test; c say a; c reset; s eof", " closed", "helloa fin", "client_reset", "client" },
    { "the client is reset, the server stays", MAIN, { 0 }, "c hello a.test; c reset; t 3010", " closed", "hello fin", "client_reset",
      "client" },
    { "the server is reset", MAIN, { 0 }, "c hello a.test; & s say 123; s reset; c eof", "123 fin", "hello closed", "server_reset",
      "server" },
    { "the server is reset, its last bytes do not go out", MAIN, { 0 },
      "c hello a.test; c block; & s say 123; s reset; t 1000; c unblock; c eof", "123 fin", "hello closed", "server_reset", "server" },
    { "the client is reset behind bytes that do not go out", MAIN, { 0 },
      "c hello a.test; s block; & c say abc; c reset; t 1000; s unblock; s eof", " closed", "helloabc fin", "client_reset", "client" },
    { "reset after the other's end", MAIN, { 0 }, "c hello a.test; s eof; c reset", " fin", "hello fin", "client_reset", "server" },
    { "silence", MAIN, { 0 }, "c hello a.test; t 59000; s say 1; t 59000; c say a; t 59900; t 200", "1 closed", "helloa closed",
      "pass_idle", "gateway" },
    { "silence, half-closed", MAIN, { 0 }, "c hello a.test; c eof; t 60010", " closed", "hello fin", "pass_idle", "client" },
    { "nobody reads", MAIN, { 0 }, "c hello a.test; c block; s say 1; t 60010", " closed", "hello closed", "pass_idle", "gateway" },
    { "drained, and ends by itself", MAIN, { 0 }, "c hello a.test; drain; t 59000; s say 1; c say a; c eof; s eof", "1 fin",
      "helloa fin", "complete", "client" },
    { "killed", MAIN, { 0 }, "c hello a.test; s say 1; kill", "1 closed", "hello closed", "drained", "gateway" },
    { "killed while dialing", MAIN, { DIAL_HANGS }, "c hello a.test; kill", " closed", NULL, "drained", "gateway" },
    { "killed in the farewell", MAIN, { DIAL_REFUSED }, "c block; c hello a.test; kill", " closed", NULL, "connect_failed", "gateway" },
    { "a name that nobody has", STRICT, { 0 }, "c hello b.test; c eof", "alert(112) fin", NULL, "name_unknown", "gateway" },
    { "no name where one is needed", STRICT, { 0 }, "c hello -; c eof", "alert(112) fin", NULL, "name_unknown", "gateway" },
    { "the client behind a hop", BEHIND, { 0 },
      "& c say PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n; c hello a.test; c eof; s eof", " fin",
      "PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\nhello fin", "complete", NULL },
};

static void expect_saw(const struct row *r, const char *who, const struct pass *p, const struct peer *peer, const char *due)
{
    struct bytes saw = pass_saw(p, peer);

    if (strcmp(bytes_text(&saw), due) != 0)
        fail_msg("%s: the %s saw `%s`, and not `%s`\n%s", r->name, who, bytes_text(&saw), due, bytes_text(&p->world->log));
    bytes_free(&saw);
}

static void perform(const struct row *r, size_t piece, size_t grain)
{
    struct world w;
    struct pass *p;

    world_begin(&w, conf);
    w.piece = piece;
    w.grain = grain;
    memcpy(w.plan, r->plan, sizeof(r->plan));
    p = pass_begin(&w, r->listener);
    pass_play(p, r->play);
    expect_saw(r, "client", p, p->client, r->client);
    if (r->listener != BEHIND)
        expect_saw(r, "server", p, pass_server(p), r->server != NULL ? r->server : "nothing");
    if (world_lines(&w, "passthrough") != 1)
        fail_msg("%s: %zu records\n%s", r->name, world_lines(&w, "passthrough"), bytes_text(&w.log));
    if (strcmp(world_said(&w, "passthrough", 0, "end"), r->end) != 0)
        fail_msg("%s: ended as %s", r->name, world_said(&w, "passthrough", 0, "end"));
    if (r->closed_by != NULL)
        assert_string_equal(world_said(&w, "passthrough", 0, "closed_by"), r->closed_by);
    assert_int_equal(w.metrics.passthroughs, 1);
    assert_int_equal(w.metrics.connections, 1);
    world_end(&w);
}

static void plays(void **state)
{
    static const size_t rhythms[][2] = { { SIZE_MAX, SIZE_MAX }, { 1, SIZE_MAX }, { SIZE_MAX, 1 }, { 3, 2 } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t r = 0; r < COUNT_OF(rhythms); r++)
            perform(&rows[i], rhythms[r][0], rhythms[r][1]);
}

/* The hop's header goes before the hello, and names the client. */
static void proxy_header_goes_first(void **state)
{
    struct world w;
    struct pass *p;
    const char *got;

    (void)state;
    world_begin(&w, conf);
    p = pass_begin(&w, BEHIND);
    pass_play(p, "c say PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n; c hello a.test; c eof; s eof");
    got = bytes_text(&pass_server(p)->got);
    assert_int_equal(strncmp(got, "PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n", 47), 0);
    assert_int_equal(pass_server(p)->got.n, 47 + p->hello.n);
    assert_memory_equal(got + 47, p->hello.p, p->hello.n);
    assert_string_equal(world_said(&w, "passthrough", 0, "client"), "203.0.113.9:56324");
    world_end(&w);
}

static void record(void **state)
{
    struct world w;
    struct pass *p;
    char bytes_in[16];

    (void)state;
    world_begin(&w, conf);
    w.plan[0] = DIAL_REFUSED;
    p = pass_begin(&w, MAIN);
    pass_play(p, "c hello two.test; t 1500; s say 12345; c say abc; c eof; s eof");
    snprintf(bytes_in, sizeof(bytes_in), "%zu", p->hello.n + 3);
    assert_string_equal(world_said(&w, "passthrough", 0, "client"), "192.0.2.7:40000");
    assert_string_equal(world_said(&w, "passthrough", 0, "listener"), "main");
    assert_string_equal(world_said(&w, "passthrough", 0, "server_name"), "two.test");
    assert_string_equal(world_said(&w, "passthrough", 0, "upstream"), "two");
    assert_string_equal(world_said(&w, "passthrough", 0, "server"), "127.0.0.1:9006");
    assert_string_equal(world_said(&w, "passthrough", 0, "bytes_in"), bytes_in);
    assert_string_equal(world_said(&w, "passthrough", 0, "bytes_out"), "5");
    assert_string_equal(world_said(&w, "passthrough", 0, "duration_ms"), "1500");
    assert_string_equal(world_said(&w, "passthrough", 0, "attempts"), "2");
    assert_int_equal(w.metrics.ended[METRICS_PASSTHROUGH][END_COMPLETE], 1);
    assert_int_equal(w.metrics.ended[METRICS_CONNECTION][END_COMPLETE], 1);
    assert_int_equal(w.metrics.bytes_from_clients, p->hello.n + 3);
    assert_int_equal(w.metrics.bytes_to_clients, 5);
    assert_int_equal(w.metrics.retries, 1);
    world_end(&w);
}

/* A server that may have one connection: the second client waits for it, a third is refused. */
static void a_server_that_is_full(void **state)
{
    struct world w;
    struct pass first, second, third;

    (void)state;
    world_begin(&w, conf);
    first = *pass_begin(&w, MAIN);
    pass_play(&first, "c hello full.test");
    second = *pass_begin(&w, MAIN);
    pass_play(&second, "c hello full.test");
    third = *pass_begin(&w, MAIN);
    pass_play(&third, "c hello full.test; c eof");
    assert_int_equal(w.dials, 1);
    assert_string_equal(world_said(&w, "passthrough", 0, "end"), "queue_full");
    pass_play(&first, "s say 1; c eof; s eof");
    assert_int_equal(w.dials, 2);
    pass_play(&second, "s say 2");
    assert_string_equal(bytes_text(&second.client->got), "2");
    third = *pass_begin(&w, MAIN);
    pass_play(&third, "c hello full.test; t 2010; c eof");
    assert_string_equal(world_said(&w, "passthrough", 2, "end"), "queue_timeout");
    assert_int_equal(w.dials, 2);
    pass_play(&second, "c eof; s eof");
    world_end(&w);
}

/* ---- hellos that are none ---- */

static void bad_hellos(void **state)
{
    static const struct {
        struct span bytes;
        unsigned alert;
        const char *fault;
    } bad[] = {
        { SPAN_LITERAL("\x16\3\1\0\4\2\0\0\0"), 10, "tls_message" },
        { SPAN_LITERAL("\x17\3\1\0\4\2\0\0\0"), 10, "tls_record" },
        { SPAN_LITERAL("\x80\x2e\1\0\2"), 70, "tls_ssl2" },
        { SPAN_LITERAL("\x16\3\1\0\4\1\0\0\0"), 50, "tls_hello" },
        { SPAN_LITERAL("\x16\3\1\0\4\1\xff\xff\xff"), 22, "tls_hello_too_large" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct world w;
        struct pass *p;
        char due[32];
        struct bytes saw;
        world_begin(&w, conf);
        p = pass_begin(&w, MAIN);
        peer_give(p->client, bad[i].bytes);
        world_run(&w);
        snprintf(due, sizeof(due), "alert(%u) fin", bad[i].alert);
        saw = pass_saw(p, p->client);
        assert_string_equal(bytes_text(&saw), due);
        bytes_free(&saw);
        pass_play(p, "c eof");
        assert_string_equal(world_said(&w, "passthrough", 0, "end"), "hello_fault");
        assert_string_equal(world_said(&w, "passthrough", 0, "fault"), bad[i].fault);
        assert_int_equal(w.dials, 0);
        assert_true(p->client->closed);
        world_end(&w);
    }
}

static void plain_http_is_answered(void **state)
{
    struct world w;
    struct pass *p;

    (void)state;
    world_begin(&w, conf);
    p = pass_begin(&w, MAIN);
    p->client->react = hang_up_when_finished;
    peer_says(p->client, "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    world_run(&w);
    assert_int_equal(strncmp(bytes_text(&p->client->got), "HTTP/1.1 400 ", 13), 0);
    assert_non_null(strstr(bytes_text(&p->client->got), "where TLS was due"));
    assert_non_null(strstr(bytes_text(&p->client->got), "\r\nConnection: close\r\n"));
    assert_true(p->client->closed);
    assert_string_equal(world_said(&w, "exchange", 0, "end"), "hello_fault");
    assert_string_equal(world_said(&w, "exchange", 0, "fault"), "tls_plain_text");
    world_end(&w);
}

/* Before anything is known there is no record, but a counter, and a line in the log. */
static void no_hello(void **state)
{
    static const struct {
        const char *play;
        enum end_reason end;
        bool said;
    } rows_of_none[] = {
        { "t 10010", END_HELLO_TIMEOUT, true },
        { "c half a.test; t 10010", END_HELLO_TIMEOUT, true },
        { "c half a.test; c eof", END_HELLO_FAULT, true },
        { "c eof", END_CLIENT_CLOSED, false },
        { "c half a.test; c reset", END_CLIENT_ABORTED, false },
        { "drain", END_DRAINED, false },
        { "c half a.test; drain; t 10010", END_HELLO_TIMEOUT, true },
        { "c half a.test; kill", END_DRAINED, false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows_of_none); i++) {
        struct world w;
        struct pass *p;
        world_begin(&w, conf);
        p = pass_begin(&w, MAIN);
        pass_play(p, rows_of_none[i].play);
        assert_true(p->client->closed);
        assert_int_equal(p->client->got.n, 0);
        assert_int_equal(w.metrics.ended[METRICS_CONNECTION][rows_of_none[i].end], 1);
        assert_int_equal(strstr(bytes_text(&w.log), "listener main: ") != NULL, rows_of_none[i].said);
        assert_int_equal(world_lines(&w, "passthrough"), 0);
        world_end(&w);
    }
}

/* A hop that is believed about others is let in for their requests' sake; where nobody sees requests, it is judged itself. */
static void who_is_not_let_in(void **state)
{
    struct world w;
    struct pass *p;

    (void)state;
    world_begin(&w, conf);
    p = pass_begin(&w, GUARDED);
    pass_play(p, "c hello a.test");
    assert_true(p->client->closed);
    assert_int_equal(w.dials, 0);
    assert_int_equal(w.metrics.ended[METRICS_CONNECTION][END_DENIED], 1);
    world_end(&w);
}

/* ---- a window, and no more ---- */

static void who_does_not_read_holds_the_other(void **state)
{
    static uint8_t much[300000];
    struct world w;
    struct pass *p;
    struct peer *server;

    (void)state;
    for (size_t i = 0; i < sizeof(much); i++)
        much[i] = (uint8_t)(i * 13 + i / 257);
    world_begin(&w, conf);
    w.piece = 7000;
    p = pass_begin(&w, MAIN);
    pass_play(p, "c hello a.test; c block; s block");
    server = pass_server(p);
    peer_give(server, span_of(much, sizeof(much)));
    peer_give(p->client, span_of(much, sizeof(much)));
    world_run(&w);
    assert_true(server->arrived <= SCRIPTED_WINDOW + 7000);
    assert_true(p->client->arrived <= p->hello.n + SCRIPTED_WINDOW + 7000);
    pass_play(p, "c unblock; s unblock; c eof; s eof");
    assert_int_equal(p->client->got.n, sizeof(much));
    assert_memory_equal(p->client->got.p, much, sizeof(much));
    assert_int_equal(server->got.n, p->hello.n + sizeof(much));
    assert_memory_equal(server->got.p + p->hello.n, much, sizeof(much));
    world_end(&w);
}

/* Every order of a few steps; then both end. Whatever came in went out, the ends behind it. */
static void every_order(void **state)
{
    static const char *const steps[] = { "c say a", "s say 1", "c block", "c take 1", "s block", "s take 2" };
    enum { LENGTH = 5 };
    size_t all = 1;

    (void)state;
    for (int i = 0; i < LENGTH; i++)
        all *= COUNT_OF(steps);
    for (size_t n = 0; n < all; n++) {
        struct world w;
        struct pass *p;
        size_t from_client = 0, from_server = 0;
        world_begin(&w, conf);
        p = pass_begin(&w, MAIN);
        pass_play(p, "c hello a.test");
        for (size_t i = 0, rest = n; i < LENGTH; i++, rest /= COUNT_OF(steps)) {
            pass_step(p, steps[rest % COUNT_OF(steps)]);
            from_client += rest % COUNT_OF(steps) == 0;
            from_server += rest % COUNT_OF(steps) == 1;
        }
        pass_play(p, n % 2 == 0 ? "c eof; & s eof; c unblock; s unblock" : "c unblock; s unblock; s eof; c eof");
        assert_int_equal(p->client->got.n, from_server);
        assert_int_equal(pass_server(p)->got.n, p->hello.n + from_client);
        assert_true(p->client->fin && pass_server(p)->fin);
        assert_string_equal(world_said(&w, "passthrough", 0, "end"), "complete");
        world_end(&w);
    }
}

/* ---- ended at every moment ---- */

static void ended_at_every_moment(void **state)
{
    static const struct {
        enum dial_plan plan[2];
        const char *play;
    } moments[] = {
        { { 0 }, "" },
        { { 0 }, "c half a.test" },
        { { DIAL_HANGS }, "c hello a.test" },
        { { DIAL_REFUSED, DIAL_HANGS }, "c hello two.test" },
        { { DIAL_REFUSED }, "c block; c hello a.test" },
        { { DIAL_REFUSED }, "c hello a.test" },
        { { 0 }, "c hello a.test" },
        { { 0 }, "c hello a.test; c block; s say 123" },
        { { 0 }, "c hello a.test; s block; c say 123" },
        { { 0 }, "c hello a.test; s block; c block; c say 123; s say abc" },
        { { 0 }, "c hello a.test; c say a; c eof" },
        { { 0 }, "c hello a.test; s eof" },
        { { 0 }, "c hello a.test; c block; s say 123; s eof" },
        { { 0 }, "c hello a.test; s block; c say 123; c eof" },
        { { 0 }, "c hello a.test; c block; s say 123; s reset" },
        { { 0 }, "c hello a.test; c reset" },
        { { 0 }, "c hello a.test; s reset" },
    };
    static const char *const enders[] = { "c eof", "c reset", "s eof", "s reset", "t 60100", "drain", "kill", "& c reset; s reset",
                                          "& c eof; s reset", "& c eof; kill" };

    (void)state;
    for (size_t m = 0; m < COUNT_OF(moments); m++) {
        for (size_t e = 0; e < COUNT_OF(enders); e++) {
            struct world w;
            struct pass *p;
            size_t records;
            world_begin(&w, conf);
            memcpy(w.plan, moments[m].plan, sizeof(moments[m].plan));
            p = pass_begin(&w, MAIN);
            pass_play(p, moments[m].play);
            if (!p->client->closed && p->client->ends == STREAM_OPEN)
                pass_play(p, enders[e]);
            else if (strncmp(enders[e], "c", 1) != 0 && strncmp(enders[e], "&", 1) != 0)
                pass_play(p, enders[e]);
            world_sleep(&w, 4000000);
            records = world_lines(&w, "passthrough");
            if (world_living(&w) > 0 || records != w.metrics.passthroughs || w.ended != 1)
                fail_msg("`%s`, then `%s`: %zu are there, %zu records\n%s", moments[m].play, enders[e], world_living(&w), records,
                         bytes_text(&w.log));
            world_end(&w);
        }
    }
}

/* ---- failures ---- */

static void finish(struct world *w, struct pass *p)
{
    mem_fail_nth(0);
    peer_ends(p->client);
    if (pass_server(p) != NULL)
        peer_ends(pass_server(p));
    world_sleep(w, 4000000);
    assert_int_equal(world_living(w), 0);
    assert_int_equal(world_lines(w, "passthrough") + world_lines(w, "exchange") + w->metrics.access_lines_dropped,
                     w->metrics.passthroughs + w->metrics.exchanges);
    world_end(w);
}

#define GOOD_PLAY "c hello two.test; s say 123; & c say abc; c block; s say 4567; c unblock"

static void each_allocation_fails(void **state)
{
    (void)state;
    for (size_t plan = 0; plan < 2; plan++) {
        size_t calls = 40;
        for (size_t nth = 0; nth <= calls; nth++) {
            struct world w;
            struct pass *p;
            world_begin(&w, conf);
            w.plan[0] = plan == 0 ? DIAL_GIVES : DIAL_REFUSED;
            calls = nth == 0 ? mem_calls() : calls;
            if (nth > 0)
                mem_fail_nth(nth);
            p = pass_begin(&w, MAIN);
            if (!p->client->closed)
                pass_play(p, GOOD_PLAY);
            calls = nth == 0 ? mem_calls() - calls : calls;
            finish(&w, p);
        }
        assert_true(calls >= 4);
    }
}

/* The half of a hello that there was no memory to keep. */
static void half_a_hello_is_lost(void **state)
{
    struct world w;
    struct pass *p;

    (void)state;
    world_begin(&w, conf);
    p = pass_begin(&w, MAIN);
    world_run(&w);
    mem_fail_nth(1);                     /* what is kept of it is the next that needs any */
    pass_play(p, "c half a.test");
    mem_fail_nth(0);
    assert_true(p->client->closed);
    assert_int_equal(w.metrics.ended[METRICS_CONNECTION][END_NO_MEMORY], 1);
    world_end(&w);
}

static size_t fails_at;

static void frail_server(struct world *w, struct peer *p)
{
    (void)w;
    p->fails_at = fails_at;
}

/* An output that fails after so many bytes: what had gone before is whole, and the other direction goes on to its end. */
static void each_byte_fails(void **state)
{
    struct tls_case hello = { .n = 0 };

    (void)state;
    tls_put_hello_for(&hello, SPAN_LITERAL("two.test"), 16384);
    for (size_t at = 0; at <= hello.n + 4; at++) {
        struct world w;
        struct pass *p;
        struct bytes due = { NULL, 0, 0 };
        fails_at = at;
        world_begin(&w, conf);
        w.on_server = frail_server;
        w.grain = 1 + at % 7;
        p = pass_begin(&w, MAIN);
        pass_play(p, "c hello two.test; s say 123; c say abc");
        assert_string_equal(bytes_text(&p->client->got), "123");
        bytes_add(&due, hello.p, hello.n);
        bytes_add_text(&due, "abc");
        assert_int_equal(pass_server(p)->got.n, at < due.n ? at : due.n);
        assert_memory_equal(bytes_text(&pass_server(p)->got), due.p, pass_server(p)->got.n);
        pass_play(p, "s say 45; s eof");
        assert_string_equal(bytes_text(&p->client->got), "12345");
        bytes_free(&due);
        finish(&w, p);
    }
    for (size_t at = 0; at <= 7; at++) {
        struct world w;
        struct pass *p;
        world_begin(&w, conf);
        p = pass_begin(&w, MAIN);
        p->client->fails_at = at;
        pass_play(p, GOOD_PLAY);
        assert_int_equal(p->client->got.n, at < 7 ? at : 7);
        finish(&w, p);
    }
}

/* ---- dice ---- */

static void act(struct chance *c, struct pass *p, struct peer *peer, struct bytes *said)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";

    if (peer == NULL)
        return;
    peer->piece = 1 + chance_below(c, 9);
    peer->grain = 1 + chance_below(c, 9);
    if (peer->ends == STREAM_OPEN && chance_one_in(c, 2)) {
        struct span bytes = span_of(letters, 1 + chance_below(c, sizeof(letters) - 1));
        bytes_add(said, bytes.p, bytes.n);
        peer_give(peer, bytes);
    } else if (chance_one_in(c, 4)) {
        peer_stops_reading(peer);
    } else {
        peer_takes(peer, chance_below(c, 30));
    }
    if (chance_one_in(c, 40))
        peer_ends(peer);
    if (chance_one_in(c, 80))
        peer_resets(peer);
    if (chance_one_in(c, 20))
        pass_step(p, "t 1000");
}

static void is_prefix(const struct bytes *got, size_t skip, const struct bytes *said)
{
    assert_true(got->n <= skip + said->n);
    if (got->n > skip)
        assert_memory_equal(got->p + skip, said->p, got->n - skip);
}

static void by_dice(void **state)
{
    struct chance c = chance_seeded("test_passthrough");

    (void)state;
    for (unsigned long long round = 0; round < chance_setting("UPGATE_STORMS", 400); round++) {
        struct world w;
        struct pass *p;
        struct bytes from_client = { NULL, 0, 0 }, from_server = { NULL, 0, 0 };
        world_begin(&w, conf);
        p = pass_begin(&w, MAIN);
        pass_play(p, "c hello a.test");
        for (int i = 0; i < 80; i++) {
            bool client = chance_one_in(&c, 2);
            act(&c, p, client ? p->client : pass_server(p), client ? &from_client : &from_server);
            if (chance_one_in(&c, 2))
                world_run(&w);
        }
        is_prefix(&p->client->got, 0, &from_server);
        is_prefix(&pass_server(p)->got, p->hello.n, &from_client);
        bytes_free(&from_client);
        bytes_free(&from_server);
        finish(&w, p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(plays),
        cmocka_unit_test(proxy_header_goes_first),
        cmocka_unit_test(record),
        cmocka_unit_test(a_server_that_is_full),
        cmocka_unit_test(bad_hellos),
        cmocka_unit_test(plain_http_is_answered),
        cmocka_unit_test(no_hello),
        cmocka_unit_test(who_is_not_let_in),
        cmocka_unit_test(who_does_not_read_holds_the_other),
        cmocka_unit_test(every_order),
        cmocka_unit_test(ended_at_every_moment),
        cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(half_a_hello_is_lost),
        cmocka_unit_test(each_byte_fails),
        cmocka_unit_test(by_dice),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
