/* What comes before HTTP: PROXY headers of trusted hops, and of others; every end an entry can have. */
#include "tests/gateway/origin.h"

#define BEHIND_LB 1                      /* the listener that requires a header */
#define LB "10.0.0.1"

static const char *const conf_text =
    "listeners:\n"
    "  - { address: 127.0.0.1:1, name: main }\n"
    "  - { address: 127.0.0.1:2, name: behind, trusted: [ 10.0.0.0/8, unix ], proxy_protocol: require }\n"
    "timeouts: { header: 10s, keepalive: 75s, drain_spread: 0ms }\n"
    "upstreams: { app: { servers: [ 127.0.0.1:9001 ] } }\n"
    "forwarded: { rfc7239: on }\n"
    "routes: [ { upstream: app } ]\n";

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

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define V1 "PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n"
#define V2_HEAD "\r\n\r\n\0\r\nQUIT\n"
#define V2 V2_HEAD "\x21\x11\0\x0c\xcb\0\x71\x09\xc6\x33\x64\x01\xdc\x04\x01\xbb"
#define V2_LOCAL V2_HEAD "\x20\0\0\0"
#define V2_UNSPEC V2_HEAD "\x21\0\0\0"
#define V2_UNIX_HEAD V2_HEAD "\x21\x31\0\xd8"

/* ---- a good header ---- */

static void begin(struct world *w)
{
    world_begin(w, conf);
    w->on_server = origin_new;
}

static struct peer *behind(struct world *w, struct span says)
{
    struct peer *client = world_client_at(w, BEHIND_LB, LB);

    client->react = hang_up_when_finished;
    peer_give(client, says);
    world_run(w);
    return client;
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

static void leave(struct world *w, struct peer *client)
{
    peer_ends(client);
    world_run(w);
    assert_true(client->closed);
    world_end(w);
}

/* The client that it names is the client everywhere: in the log, and to the server. */
static void names_the_client(void **state)
{
    static const struct span headers[] = { SPAN_LITERAL(V1), SPAN_LITERAL(V2) };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        for (size_t piece = 1; piece <= 64; piece += 63) {
            struct world w;
            struct peer *client;
            begin(&w);
            w.piece = piece;
            client = behind(&w, headers[i]);
            assert_int_equal(world_count(&w.services.entries), 0);
            assert_int_equal(world_count(&w.services.clients), 1);
            peer_says(client, GET("/plain") GET("/plain"));
            world_run(&w);
            assert_int_equal(count_text(bytes_text(&client->got), "HTTP/1.1 200"), 2);
            expect_in(&world_server(&w, 0)->got, "\r\nX-Forwarded-For: 203.0.113.9\r\n");
            expect_in(&world_server(&w, 0)->got, "\r\nForwarded: for=203.0.113.9;");
            assert_string_equal(world_said(&w, "exchange", 0, "client"), "203.0.113.9:56324");
            assert_string_equal(world_said(&w, "exchange", 1, "client"), "203.0.113.9:56324");
            assert_int_equal(w.metrics.connections, 1);
            leave(&w, client);
        }
    }
}

/* The header and the first request in one piece, as a load balancer sends them. */
static void with_the_request(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    begin(&w);
    client = behind(&w, SPAN_LITERAL(V2 GET("/plain")));
    expect_in(&client->got, "HTTP/1.1 200 OK");
    leave(&w, client);
}

/* A hop's own connection, and one for somebody it does not name: the socket's address is all there is. */
static void without_addresses(void **state)
{
    static const struct span headers[] = { SPAN_LITERAL(V2_LOCAL), SPAN_LITERAL(V2_UNSPEC), SPAN_LITERAL("PROXY UNKNOWN\r\n") };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(headers); i++) {
        struct world w;
        struct peer *client;
        begin(&w);
        client = behind(&w, headers[i]);
        peer_says(client, GET("/plain"));
        world_run(&w);
        expect_in(&world_server(&w, 0)->got, "\r\nX-Forwarded-For: " LB "\r\n");
        assert_string_equal(world_said(&w, "exchange", 0, "client"), LB ":40000");
        leave(&w, client);
    }
}

/* A listener without `proxy_protocol` has no entries, and a header is a bad request there. */
static void plain_listener(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    begin(&w);
    client = world_client_at(&w, 0, LB);
    client->react = hang_up_when_finished;
    assert_int_equal(world_count(&w.services.entries), 0);
    assert_int_equal(world_count(&w.services.clients), 1);
    peer_says(client, V1 GET("/plain"));
    world_run(&w);
    assert_memory_equal(client->got.p, "HTTP/1.1 400 ", 13);
    assert_true(client->closed);
    world_end(&w);
}

/* ---- whose fields are believed ---- */

/* What the client says of others, and what the server hears: the chain in X-Forwarded-For. */
static void trust_rows(void **state)
{
    static const struct {
        const char *name;
        struct span header;
        const char *heard;
    } rows[] = {
        { "a client behind a hop is not the hop", SPAN_LITERAL(V1), "\r\nX-Forwarded-For: 203.0.113.9\r\n" },
        { "nor is one that the hop does not name", SPAN_LITERAL("PROXY UNKNOWN\r\n"), "\r\nX-Forwarded-For: " LB "\r\n" },
        { "nor is it in the other version", SPAN_LITERAL(V2_UNSPEC), "\r\nX-Forwarded-For: " LB "\r\n" },
        { "the hop itself is", SPAN_LITERAL(V2_LOCAL), "\r\nX-Forwarded-For: 6.6.6.6, " LB "\r\n" },
        { "a second hop that is trusted, too", SPAN_LITERAL("PROXY TCP4 10.9.9.9 198.51.100.1 1 2\r\n"),
          "\r\nX-Forwarded-For: 6.6.6.6, 10.9.9.9\r\n" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct peer *client;
        begin(&w);
        client = behind(&w, rows[i].header);
        peer_says(client, "GET /plain HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\r\n");
        world_run(&w);
        expect_in(&world_server(&w, 0)->got, rows[i].heard);
        leave(&w, client);
    }
}

/* A UNIX socket on the load balancer's machine is not one of this machine, whatever `trusted` says of those. */
static void trust_unix_behind(void **state)
{
    static const uint8_t paths[216];
    struct world w;
    struct peer *client;

    (void)state;
    begin(&w);
    client = behind(&w, SPAN_LITERAL(V2_UNIX_HEAD));
    peer_give(client, span_of(paths, sizeof(paths)));
    peer_says(client, "GET /plain HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
    world_run(&w);
    expect_not_in(&world_server(&w, 0)->got, "6.6.6.6");
    assert_string_equal(world_said(&w, "exchange", 0, "client"), "unix:");
    leave(&w, client);
}

/* ---- a bad one ---- */

static uint64_t ended(const struct world *w, enum end_reason why)
{
    return w->metrics.ended[METRICS_CONNECTION][why];
}

/* Closed without a byte of an answer, counted, and said once. */
static void expect_refused(struct world *w, const struct peer *client, enum end_reason why, const char *said)
{
    assert_true(client->closed);
    assert_int_equal(client->got.n, 0);
    assert_int_equal(ended(w, why), 1);
    assert_int_equal(w->metrics.exchanges, 0);
    if (count_text(bytes_text(&w->log), said) != 1)
        fail_msg("`%s` is not once in `%s`", said, bytes_text(&w->log));
}

static void refused_headers(void **state)
{
    static const struct {
        struct span says;
        enum fault fault;
    } rows[] = {
        { SPAN_LITERAL(GET("/plain")), FAULT_PROXY_SIGNATURE },
        { SPAN_LITERAL("G"), FAULT_PROXY_SIGNATURE },
        { SPAN_LITERAL("\x16\x03\x01"), FAULT_PROXY_SIGNATURE },
        { SPAN_LITERAL("PROXY TCP4 203.0.113.9 198.51.100.1 56324\r\n" GET("/plain")), FAULT_PROXY_LINE },
        { SPAN_LITERAL("PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\n"), FAULT_PROXY_LINE },
        { SPAN_LITERAL(V2_HEAD "\x31"), FAULT_PROXY_VERSION },
        { SPAN_LITERAL(V2_HEAD "\x21\x11\0\0"), FAULT_PROXY_LENGTH },
        { SPAN_LITERAL(V2_HEAD "\x21\x11\xff\xff"), FAULT_PROXY_TOO_LONG },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t piece = 1; piece <= 1000; piece += 999) {
            struct world w;
            char said[256];
            begin(&w);
            w.piece = piece;
            snprintf(said, sizeof(said), "listener behind: " LB ":40000 closed: %s\n", fault_sentence(rows[i].fault));
            expect_refused(&w, behind(&w, rows[i].says), END_PROXY_FAULT, said);
            assert_int_equal(w.metrics.faults[METRICS_CLIENT][rows[i].fault], 1);
            world_end(&w);
        }
    }
}

/* A second header is a request that is none: the first one stays true. */
static void second_header(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    begin(&w);
    client = behind(&w, SPAN_LITERAL(V1 "PROXY TCP4 6.6.6.6 198.51.100.1 1 2\r\n" GET("/plain")));
    assert_memory_equal(client->got.p, "HTTP/1.1 400 ", 13);
    assert_string_equal(world_said(&w, "exchange", 0, "client"), "203.0.113.9:56324");
    assert_true(client->closed);
    world_end(&w);
}

static void cut_headers(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    begin(&w);
    client = behind(&w, SPAN_LITERAL("PROXY TCP4 203.0.1"));
    peer_ends(client);
    world_run(&w);
    expect_refused(&w, client, END_PROXY_FAULT, fault_sentence(FAULT_TRUNCATED));
    world_end(&w);
    /* who looks whether somebody listens, and says nothing, is no news */
    begin(&w);
    client = behind(&w, SPAN_EMPTY);
    peer_ends(client);
    world_run(&w);
    assert_int_equal(ended(&w, END_CLIENT_CLOSED), 1);
    expect_not_in(&w.log, "closed");
    world_end(&w);
}

/* The deadline is for the whole header, and the head that follows has its own. */
static void late_headers(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    begin(&w);
    client = behind(&w, SPAN_EMPTY);
    for (size_t i = 0; i < 9; i++) {
        world_sleep(&w, 1000);
        peer_give(client, span_of(&V1[i], 1));
    }
    world_sleep(&w, 900);
    assert_false(client->closed);
    world_sleep(&w, 200);
    expect_refused(&w, client, END_PROXY_TIMEOUT, "listener behind: " LB ":40000 closed: the PROXY header did not arrive in time\n");
    world_end(&w);

    begin(&w);
    client = behind(&w, SPAN_EMPTY);
    world_sleep(&w, 9000);
    peer_says(client, V1);
    world_sleep(&w, 9000);
    assert_false(client->closed);
    peer_says(client, GET("/plain"));
    world_run(&w);
    expect_in(&client->got, "HTTP/1.1 200 OK");
    leave(&w, client);
}

/* Who is not trusted is not even read from. */
static void untrusted_hops(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    begin(&w);
    client = world_client_at(&w, BEHIND_LB, "11.0.0.1");
    expect_refused(&w, client, END_PROXY_UNTRUSTED, "listener behind: 11.0.0.1:40000 closed: the peer is not in `trusted`");
    world_end(&w);
}

/* ---- every end ---- */

static const struct moment {
    const char *name;
    struct span said;
} moments[] = {
    { "nothing was said", { NULL, 0 } },
    { "in a line", SPAN_LITERAL("PROXY TCP4 203") },
    { "in a line's end", SPAN_LITERAL("PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r") },
    { "in a signature", SPAN_LITERAL("\r\n\r\n\0\r\nQ") },
    { "in a block", SPAN_LITERAL(V2_HEAD "\x21\x11\0\x0c\xcb") },
    { "a header was said", SPAN_LITERAL(V1) },
    { "a request has begun", SPAN_LITERAL(V2 "GET ") },
};

enum ending { BY_EOF, BY_RESET, BY_JUNK, BY_TIME, BY_DRAIN, BY_KILL, ENDINGS };

static void end_by(struct world *w, struct peer *client, enum ending how)
{
    switch (how) {
    case BY_EOF:
        peer_ends(client);
        break;
    case BY_RESET:
        peer_resets(client);
        break;
    case BY_JUNK:
        peer_says(client, "\xff\xfe\r\n\r\n\x80junk");
        break;
    case BY_DRAIN:
        world_drain(w);
        break;
    case BY_KILL:
        world_kill(w);
        break;
    case BY_TIME:
    case ENDINGS:
        break;
    }
    world_run(w);
}

static void each_moment(void **state)
{
    (void)state;
    for (size_t m = 0; m < COUNT_OF(moments); m++) {
        for (enum ending how = 0; how < ENDINGS; how++) {
            for (size_t piece = 1; piece <= 1000; piece += 999) {
                struct world w;
                struct peer *client;
                uint64_t ends = 0;
                begin(&w);
                w.piece = piece;
                client = behind(&w, moments[m].said);
                end_by(&w, client, how);
                world_sleep(&w, 30000);  /* the header's time, and the head's, and the lingering */
                if (!client->closed)
                    fail_msg("%s, ending %d: still there", moments[m].name, how);
                for (int why = 0; why < END_REASON_COUNT; why++)
                    ends += w.metrics.ended[METRICS_CONNECTION][why];
                assert_int_equal(ends, 1);
                world_end(&w);
            }
        }
    }
}

/* Who has said nothing loses nothing; who is in the middle may finish, and is served. */
static void drained(void **state)
{
    struct world w;
    struct peer *quiet, *busy;

    (void)state;
    begin(&w);
    quiet = behind(&w, SPAN_EMPTY);
    busy = behind(&w, SPAN_LITERAL("PROXY TCP4 203.0.113.9 "));
    world_drain(&w);
    world_run(&w);
    assert_true(quiet->closed);
    assert_int_equal(ended(&w, END_DRAINED), 1);
    peer_says(busy, "198.51.100.1 56324 443\r\n" GET("/plain"));
    world_run(&w);
    expect_in(&busy->got, "HTTP/1.1 200 OK");
    assert_true(busy->closed);
    world_end(&w);
}

/* The Nth allocation fails: the client is answered, or its connection ends. */
static void each_allocation(void **state)
{
    size_t calls = SIZE_MAX;

    (void)state;
    for (size_t nth = 0; nth <= calls; nth++) {          /* the 0th: none fails, and all are counted */
        struct world w;
        struct peer *client;
        size_t before;
        begin(&w);
        before = mem_calls();
        mem_fail_nth(nth);
        client = behind(&w, SPAN_LITERAL(V2 GET("/plain")));
        mem_fail_nth(0);
        if (nth == 0)
            calls = mem_calls() - before;
        assert_true(client->closed || count_text(bytes_text(&client->got), "HTTP/1.1 ") == 1);
        peer_ends(client);
        world_sleep(&w, 80000);
        assert_true(client->closed);
        world_end(&w);
    }
    assert_true(calls > 5 && calls < 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_client),
        cmocka_unit_test(with_the_request),
        cmocka_unit_test(without_addresses),
        cmocka_unit_test(plain_listener),
        cmocka_unit_test(trust_rows),
        cmocka_unit_test(trust_unix_behind),
        cmocka_unit_test(refused_headers),
        cmocka_unit_test(second_header),
        cmocka_unit_test(cut_headers),
        cmocka_unit_test(late_headers),
        cmocka_unit_test(untrusted_hops),
        cmocka_unit_test(each_moment),
        cmocka_unit_test(drained),
        cmocka_unit_test(each_allocation),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
