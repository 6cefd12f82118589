/* One check of one server: what is asked, every answer that is good, every way in which it can be bad, in one piece and byte by byte; and
 * without memory. The servers are scripted, time is invented. */
#include "tests/gateway/world.h"

#include "gateway/health_check.h"
#include "protocol/ws_handshake.h"

#include "tests/gateway/fcgi_app.h"

enum { TCP, HTTP, TEXT, STATUS, WS, VALUES, SCRIPT, PATH, PROXY };

static const char *const conf_text =
    "listeners: [ 127.0.0.1:1 ]\n"
    "upstreams:\n"
    "  tcp: { servers: [ 127.0.0.1:9001 ], health: { tcp: on, timeout: 2s } }\n"
    "  http: { servers: [ 127.0.0.1:9002 ], health: { http: /up } }\n"
    "  text: { servers: [ unix:/run/x ], health: { http: /up, body: all is well } }\n"
    "  status: { servers: [ 127.0.0.1:9004 ], health: { http: /up, status: 503, host: app.example } }\n"
    "  ws: { servers: [ 127.0.0.1:9005 ], health: { websocket: /ws } }\n"
    "  values: { protocol: fastcgi, servers: [ 127.0.0.1:9006 ], health: { fastcgi: values } }\n"
    "  script: { protocol: fastcgi, servers: [ 127.0.0.1:9007 ], health: { fastcgi: /ping, body: pong },\n"
    "            fastcgi: { root: /srv, symlinks: unchecked, split: .php, params: { A: b } } }\n"
    "  path: { protocol: fastcgi, servers: [ 127.0.0.1:9009 ], health: { fastcgi: /up }, fastcgi: { root: /srv } }\n"
    "  proxy: { servers: [ 127.0.0.1:9008 ], send_proxy: v1, health: { http: /up } }\n"
    "routes: [ { upstream: tcp } ]\n";

static struct conf *conf;

static int load(void **state)
{
    char *messages = NULL;
    size_t n;
    FILE *out = open_memstream(&messages, &n);

    (void)state;
    conf = conf_load_text("test.yaml", span_of_text(conf_text), out);        /* that no route goes to most of them is no matter */
    fclose(out);
    if (conf == NULL)
        fail_msg("%s", messages);
    free(messages);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    conf_free(conf);
    return 0;
}

/* ---- one check ---- */

struct asked {
    struct health_check *check;
    unsigned answers;
    bool good;
    char words[256];
};

static void judged(void *ctx, const char *words)
{
    struct asked *a = ctx;

    a->check = NULL;
    a->answers++;
    a->good = words == NULL;
    snprintf(a->words, sizeof(a->words), "%s", words != NULL ? words : "");
}

static void ask(struct world *w, struct asked *a, size_t upstream)
{
    const struct health_wanted wanted = {
        .upstream = &conf->upstreams[upstream],
        .server = w->services.snapshot->upstreams[upstream].servers[0]->state,
    };

    *a = (struct asked){ .answers = 0 };
    a->check = health_check_start(&w->services, &wanted, judged, a);
    assert_int_equal(a->answers, 0);     /* never from inside */
}

static void expect(const struct asked *a, const char *words)
{
    assert_int_equal(a->answers, 1);
    if (strcmp(a->words, words) != 0)
        fail_msg("said `%s`, wanted `%s`", a->words, words);
}

static void expect_got(struct world *w, const char *text)
{
    if (strcmp(bytes_text(&world_server(w, 0)->got), text) != 0)
        fail_msg("asked `%s`\nwanted `%s`", bytes_text(&world_server(w, 0)->got), text);
}

/* The server says this, and ends if `ends`; or nothing at all until it is too late. */
static void expect_of(size_t upstream, const char *answer, bool ends, const char *words)
{
    for (size_t piece = 1; piece != 0; piece = piece == 1 ? SIZE_MAX : 0) {
        struct world w;
        struct asked a;

        world_begin(&w, conf);
        w.piece = piece;
        ask(&w, &a, upstream);
        world_run(&w);
        assert_int_equal(w.servers_n, 1);
        if (answer != NULL)
            peer_says(world_server(&w, 0), answer);
        if (ends)
            peer_ends(world_server(&w, 0));
        world_run(&w);
        if (answer == NULL && !ends) {
            assert_int_equal(a.answers, 0);
            world_sleep(&w, 1990);
            assert_int_equal(a.answers, 0);
            world_sleep(&w, 20);
        }
        expect(&a, words);
        assert_true(world_server(&w, 0)->closed);
        assert_int_equal(w.metrics.dials, 0);    /* what checks do is counted by whoever asks for them */
        world_end(&w);
    }
}

/* ---- the connection ---- */

static void tcp(void **state)
{
    static const struct {
        enum dial_plan plan;
        const char *words;
    } rows[] = {
        { DIAL_GIVES, "" },
        { DIAL_REFUSED, "the server could not be reached: connection refused" },
        { DIAL_UNRESOLVED, "the server's name could not be resolved: no such name" },
        { DIAL_HANGS, NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct asked a;
        world_begin(&w, conf);
        w.plan[0] = rows[i].plan;
        ask(&w, &a, TCP);
        world_sleep(&w, rows[i].words == NULL ? 2010 : 0);
        if (rows[i].words != NULL)
            expect(&a, rows[i].words);
        else
            assert_true(a.answers == 1 && !a.good);
        world_end(&w);
    }
}

static void whoever_is_cancelled_says_nothing(void **state)
{
    (void)state;
    for (size_t upstream = TCP; upstream <= PROXY; upstream++)
        for (int turns = 0; turns < 2; turns++) {
            struct world w;
            struct asked a;
            world_begin(&w, conf);
            ask(&w, &a, upstream);
            if (turns > 0 && upstream != TCP)
                world_run(&w);
            health_check_cancel(&a.check);
            health_check_cancel(&a.check);
            world_run(&w);
            assert_int_equal(a.answers, 0);
            world_end(&w);
        }
}

static void a_proxy_header_says_that_nobody_is_behind_it(void **state)
{
    struct world w;
    struct asked a;

    (void)state;
    world_begin(&w, conf);
    ask(&w, &a, PROXY);
    world_run(&w);
    expect_got(&w, "PROXY UNKNOWN\r\nGET /up HTTP/1.1\r\nHost: 127.0.0.1:9008\r\nUser-Agent: upgate/" UPGATE_VERSION
                   " (health check)\r\nConnection: close\r\n\r\n");
    peer_says(world_server(&w, 0), "HTTP/1.1 200 OK\r\n\r\n");
    world_run(&w);
    expect(&a, "");
    world_end(&w);
}

/* ---- HTTP ---- */

static void http(void **state)
{
    (void)state;
    expect_of(HTTP, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false, "");
    expect_of(HTTP, "HTTP/1.0 302 Found\r\nLocation: /\r\n\r\n", true, "");
    expect_of(HTTP, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", false, "");
    expect_of(HTTP, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false, "it answered 404");
    expect_of(HTTP, "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", false, "it answered 503");
    expect_of(HTTP, "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", false, "it answered 101");
    expect_of(HTTP, "HTTP/1.1 2x0 OK\r\n\r\n", false, "its answer is malformed: the status code is not a number from 100 to 599");
    expect_of(HTTP, "HTTP/1.1 200 OK\r\nContent-Le", true, "it ended the connection before its answer was complete");
    expect_of(HTTP, NULL, true, "it ended the connection before its answer was complete");
    expect_of(HTTP, NULL, false, "it did not answer in time");
    expect_of(STATUS, "HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", false, "");
    expect_of(STATUS, "HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n", false, "it answered 200");
}

static void text(void **state)
{
    static char long_one[20000];

    (void)state;
    expect_of(TEXT, "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nall is well.\r\n", false, "");
    expect_of(TEXT, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nall is\r\n5\r\n well\r\n", false, "");
    expect_of(TEXT, "HTTP/1.0 200 OK\r\n\r\nall is well", false, "");
    expect_of(TEXT, "HTTP/1.0 200 OK\r\n\r\nall is wel", true, "its answer does not have the text `all is well`");
    expect_of(TEXT, "HTTP/1.1 204 x\r\n\r\n", false, "its answer does not have the text `all is well`");
    expect_of(TEXT, "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nall is w", false, "its answer does not have the text `all is well`");
    expect_of(TEXT, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall is w", true, "it ended the connection before its answer was complete");
    snprintf(long_one, sizeof(long_one), "HTTP/1.0 200 OK\r\n\r\n%*s", 17000, "all is well");
    expect_of(TEXT, long_one, false, "its answer does not have the text `all is well` in its first 16KiB");
    snprintf(long_one, sizeof(long_one), "HTTP/1.0 200 OK\r\n\r\n%*s", 16384, "all is well");
    expect_of(TEXT, long_one, false, "");
}

static void whom_it_asks_for(void **state)
{
    static const struct {
        size_t upstream;
        const char *host;
    } rows[] = { { HTTP, "\r\nHost: 127.0.0.1:9002\r\n" }, { TEXT, "\r\nHost: localhost\r\n" }, { STATUS, "\r\nHost: app.example\r\n" } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct asked a;
        world_begin(&w, conf);
        ask(&w, &a, rows[i].upstream);
        world_run(&w);
        assert_non_null(strstr(bytes_text(&world_server(&w, 0)->got), rows[i].host));
        health_check_cancel(&a.check);
        world_end(&w);
    }
}

/* One of several addresses of a name is asked for the name. */
static void one_of_a_name(void **state)
{
    struct conf_server server = { .weight = 1 };
    struct conf_address address = { .kind = CONF_ADDRESS_IP, .host = (char[]){ "10.0.0.7" }, .port = 9002, .text = (char[]){ "10.0.0.7:9002" } };
    struct server_wish wish = { .conf = &server, .address = &address, .host = "app.example" };
    struct world w;
    struct asked a;

    (void)state;
    world_begin(&w, conf);
    assert_int_equal(server_set_update(w.generation.sets[HTTP], &wish, 1), 0);
    world_refresh(&w);
    ask(&w, &a, HTTP);
    world_run(&w);
    assert_string_equal(w.dialed[0]->text, "10.0.0.7:9002");
    assert_non_null(strstr(bytes_text(&world_server(&w, 0)->got), "\r\nHost: app.example:9002\r\n"));
    health_check_cancel(&a.check);
    world_end(&w);
}

/* ---- a WebSocket ---- */

#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"

/* What is due for the key that was sent, as the server finds it. */
static void accept_of(struct peer *p, char out[WS_ACCEPT_BYTES + 1])
{
    struct http1_limits limits = { .head_bytes = 8192, .fields = 100, .chunk_extension_bytes = 100 };
    struct http1_parse *parse = http1_parse_new(HTTP1_REQUEST, &limits);
    struct http1_result r;
    struct ws_offer offer;
    enum fault fault;

    http1_parse_next(parse, p->got.p, p->got.n, &r);
    assert_int_equal(r.event, HTTP1_HEAD);
    assert_int_equal(ws_offer_read(r.head, &offer, &fault), WS_OFFER_GOOD);
    memcpy(out, offer.accept, WS_ACCEPT_BYTES);
    out[WS_ACCEPT_BYTES] = '\0';
    http1_parse_free(parse);
}

static void give_101(struct peer *p, const char *further)
{
    char accept[WS_ACCEPT_BYTES + 1];

    accept_of(p, accept);
    peer_says(p, SWITCHING "Sec-WebSocket-Accept: ");
    peer_says(p, accept);
    peer_says(p, "\r\n");
    peer_says(p, further);
    peer_says(p, "\r\n");
}

/* The last frame that came is a masked Ping of eight bytes: its Pong. */
static void give_pong(struct peer *p)
{
    const uint8_t *frame = p->got.p + p->got.n - 14;
    uint8_t pong[10] = { 0x8a, 8 };

    assert_int_equal(frame[0], 0x89);
    assert_int_equal(frame[1], 0x88);
    for (int i = 0; i < 8; i++)
        pong[2 + i] = frame[6 + i] ^ frame[2 + i % 4];
    peer_give(p, span_of(pong, sizeof(pong)));
}

static bool got_close(const struct peer *p)
{
    const uint8_t *frame = p->got.p + p->got.n - 8;

    return frame[0] == 0x88 && frame[1] == 0x82 && (frame[6] ^ frame[2]) == 0x03 && (frame[7] ^ frame[3]) == 0xe8;
}

/* To the Ping. */
static void open_websocket(struct world *w, struct asked *a, size_t piece, const char *further)
{
    world_begin(w, conf);
    w->piece = piece;
    ask(w, a, WS);
    world_run(w);
    give_101(world_server(w, 0), further);
    world_run(w);
}

static void a_websocket_is_opened_pinged_and_closed(void **state)
{
    static const char *const closes[] = { "\x88\x02\x03\xe8", "\x89\x01x\x81\x02hi\x88", NULL };

    (void)state;
    for (size_t piece = 1; piece != 0; piece = piece == 1 ? SIZE_MAX : 0)
        for (size_t i = 0; i < COUNT_OF(closes); i++) {
            struct world w;
            struct asked a;
            struct peer *server;
            open_websocket(&w, &a, piece, "");
            server = world_server(&w, 0);
            assert_int_equal(a.answers, 0);
            peer_give(server, SPAN_LITERAL("\x81\x05hello\x89\x02yo\x8a\x00"));     /* it has things to say, and a Pong nobody asked for */
            give_pong(server);
            world_run(&w);
            assert_int_equal(a.answers, 0);
            assert_true(got_close(server));
            if (i == 0)
                peer_give(server, SPAN_LITERAL("\x88\x02\x03\xe8"));
            else if (i == 1)
                peer_ends(server);
            else
                world_sleep(&w, 2010);   /* it never closes: that is no reason to leave it out */
            world_run(&w);
            expect(&a, "");
            world_end(&w);
        }
}

/* What stands right behind the 101 is read without another event. */
static void a_close_right_behind_the_pong(void **state)
{
    struct world w;
    struct asked a;

    (void)state;
    open_websocket(&w, &a, SIZE_MAX, "");
    give_pong(world_server(&w, 0));
    peer_give(world_server(&w, 0), SPAN_LITERAL("\x88\x00"));
    world_run(&w);
    expect(&a, "");
    world_end(&w);
}

static void websockets_that_are_not_good(void **state)
{
    static const struct {
        const char *further, *frames;
        size_t frames_n;
        bool ends;
        const char *words;
    } rows[] = {
        { "Sec-WebSocket-Protocol: chat\r\n", "", 0, false, "its 101 is not good: the 101 chose a subprotocol that was not offered" },
        { "Sec-WebSocket-Extensions: permessage-deflate\r\n", "", 0, false, NULL },
        { "", "\x88\x02\x03\xf3", 4, false, "it closed the WebSocket with code 1011 before it answered a Ping" },
        { "", "", 0, true, "it ended the connection before it answered a Ping" },
        { "", "\x8a\x01x", 3, true, "it ended the connection before it answered a Ping" },
        { "", "\x81\x81", 2, false, NULL },
        { "", "", 0, false, "it did not answer a Ping in time" },
    };

    (void)state;
    for (size_t piece = 1; piece != 0; piece = piece == 1 ? SIZE_MAX : 0)
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            struct world w;
            struct asked a;
            open_websocket(&w, &a, piece, rows[i].further);
            if (a.answers == 0)
                peer_give(world_server(&w, 0), span_of(rows[i].frames, rows[i].frames_n));
            if (a.answers == 0 && rows[i].ends)
                peer_ends(world_server(&w, 0));
            world_run(&w);
            if (a.answers == 0)
                world_sleep(&w, 2010);
            if (rows[i].words != NULL)
                expect(&a, rows[i].words);
            else
                assert_true(a.answers == 1 && !a.good && strstr(a.words, " in time") == NULL);
            world_end(&w);
        }
    expect_of(WS, SWITCHING "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n", false,
              "its 101 is not good: the 101's Sec-WebSocket-Accept is missing, repeated or not the one due");
    expect_of(WS, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, "it answered 200 instead of opening a WebSocket");
    expect_of(WS, NULL, false, "it did not answer in time");
}

/* ---- FastCGI ---- */

static void records(struct world *w, struct asked *a, size_t upstream, size_t piece)
{
    world_begin(w, conf);
    w->piece = piece;
    ask(w, a, upstream);
    world_run(w);
}

static void values(void **state)
{
    static const char answer[] = "\x0e\x01" "FCGI_MAX_CONNS1";

    (void)state;
    for (size_t piece = 1; piece != 0; piece = piece == 1 ? SIZE_MAX : 0) {
        struct world w;
        struct asked a;
        records(&w, &a, VALUES, piece);
        app_send(world_server(&w, 0), 10, 0, answer, sizeof(answer) - 1, 0);
        world_run(&w);
        expect(&a, "");
        world_end(&w);
        records(&w, &a, VALUES, piece);
        app_send(world_server(&w, 0), 11, 0, "\x09\0\0\0\0\0\0\0", 8, 0);   /* it does not know the question, and says so */
        world_run(&w);
        expect(&a, "");
        world_end(&w);
    }
    expect_of(VALUES, NULL, true, "it ended the connection before its answer was complete");
    expect_of(VALUES, NULL, false, "it did not answer in time");
    expect_of(VALUES, "HTTP/1.1 400 Bad Request\r\n\r\n", false, "what it answered is no FastCGI: the version of a FastCGI record is not 1");
}

static void script(void **state)
{
    static const struct {
        const char *out;
        int end;                         /* protocol status of END_REQUEST; -1: none, and the connection ends */
        const char *words;
    } rows[] = {
        { "Content-Type: text/plain\r\n\r\npong", 0, "" },
        { "Content-Type: text/plain\r\n\r\nping", 0, "its answer does not have the text `pong`" },
        { "Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\npong", 0, "it answered 404" },
        { "nonsense\r\n\r\n", 0, NULL },
        { "", 2, "it has no room for a request (FCGI_OVERLOADED)" },
        { "", 1, "it refused the request" },
        { "Content-Type: text/plain\r\n\r\npo", -1, "it ended the connection before its answer was complete" },
    };

    (void)state;
    for (size_t piece = 1; piece != 0; piece = piece == 1 ? SIZE_MAX : 0)
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            struct world w;
            struct asked a;
            struct peer *server;
            records(&w, &a, SCRIPT, piece);
            server = world_server(&w, 0);
            app_err(server, 1, "a word to the log");
            if (rows[i].out[0] != '\0')
                app_out(server, 1, rows[i].out);
            if (rows[i].end >= 0)
                app_end(server, 1, (unsigned)rows[i].end);
            else
                peer_ends(server);
            world_run(&w);
            if (rows[i].words != NULL)
                expect(&a, rows[i].words);
            else
                assert_true(a.answers == 1 && strstr(a.words, "its answer is malformed: ") == a.words);
            world_end(&w);
        }
}

static bool has(const struct peer *p, const char *bytes)
{
    return memmem(p->got.p, p->got.n, bytes, strlen(bytes)) != NULL;
}

static void what_a_script_is_told(void **state)
{
    static const char *const due[] = {
        "SCRIPT_NAME/ping", "SCRIPT_FILENAME/srv/ping", "REQUEST_METHODGET", "REQUEST_URI/ping", "DOCUMENT_ROOT/srv", "HTTP_HOST127.0.0.1:9007",
        "Ab", "REMOTE_ADDR127.0.0.1",
    };
    struct world w;
    struct asked a;

    (void)state;
    records(&w, &a, SCRIPT, SIZE_MAX);
    for (size_t i = 0; i < COUNT_OF(due); i++)
        if (!has(world_server(&w, 0), due[i]))
            fail_msg("not told: %s", due[i]);
    health_check_cancel(&a.check);
    world_end(&w);
    records(&w, &a, PATH, SIZE_MAX);     /* an application that is no file */
    if (!has(world_server(&w, 0), "PATH_INFO/up") || has(world_server(&w, 0), "SCRIPT_FILENAME"))
        fail_msg("told otherwise");
    health_check_cancel(&a.check);
    world_end(&w);
}

/* ---- without memory ---- */

static void play(struct world *w, size_t upstream)
{
    if (w->servers_n == 0 || world_server(w, 0)->closed)
        return;
    switch (upstream) {
    case HTTP:
        peer_says(world_server(w, 0), "HTTP/1.1 200 OK\r\n\r\n");
        break;
    case TEXT:
        peer_says(world_server(w, 0), "HTTP/1.1 200 OK\r\n\r\nall is well");
        break;
    case WS:
        if (world_server(w, 0)->got.n == 0)
            break;
        mem_fail_nth(0);                 /* the test itself needs some */
        give_101(world_server(w, 0), "");
        world_run(w);
        if (!world_server(w, 0)->closed)
            give_pong(world_server(w, 0));
        peer_ends(world_server(w, 0));
        break;
    case SCRIPT:
        app_reply(world_server(w, 0), 1, "Content-Type: text/plain\r\n\r\npong");
        break;
    default:
        break;
    }
}

/* Every allocation of a good check fails once: it ends, with words or by its deadline, and nothing is left. */
static void without_memory(void **state)
{
    static const size_t kinds[] = { TCP, HTTP, TEXT, WS, SCRIPT, PROXY };

    (void)state;
    for (size_t k = 0; k < COUNT_OF(kinds); k++)
        for (size_t nth = 1; nth < 200; nth++) {
            struct world w;
            struct asked a;
            bool good;
            world_begin(&w, conf);
            mem_fail_nth(nth);
            ask(&w, &a, kinds[k]);
            if (a.check != NULL) {
                world_run(&w);
                play(&w, kinds[k]);
                world_run(&w);
            }
            mem_fail_nth(0);
            if (a.check != NULL)
                world_sleep(&w, 2010);
            good = a.answers == 1 && a.good;
            if (a.check == NULL && a.answers == 0)
                assert_true(w.dialing == 0);
            world_end(&w);
            if (good || kinds[k] == PROXY)
                break;
            assert_true(nth < 199);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tcp),
        cmocka_unit_test(whoever_is_cancelled_says_nothing),
        cmocka_unit_test(a_proxy_header_says_that_nobody_is_behind_it),
        cmocka_unit_test(http),
        cmocka_unit_test(text),
        cmocka_unit_test(whom_it_asks_for),
        cmocka_unit_test(one_of_a_name),
        cmocka_unit_test(a_websocket_is_opened_pinged_and_closed),
        cmocka_unit_test(a_close_right_behind_the_pong),
        cmocka_unit_test(websockets_that_are_not_good),
        cmocka_unit_test(values),
        cmocka_unit_test(script),
        cmocka_unit_test(what_a_script_is_told),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
