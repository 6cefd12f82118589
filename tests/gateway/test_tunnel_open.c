/* An open tunnel: pings of the gateway's own, rates, what is held while frames pass, and what the record says of it. */
#include "tests/gateway/play.h"

static const char *const conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main } ]\n"
    "upstreams: { app: { servers: [ 127.0.0.1:9001 ] } }\n"
    "timeouts: { drain_spread: 0ms }\n"
    "routes:\n"
    "  - { upstream: app, match: { path: /frames }, websocket: { verify: frames, ping_interval: off } }\n"
    "  - { upstream: app, match: { path: /utf8 }, websocket: { verify: utf8, ping_interval: off } }\n"
    "  - { upstream: app, match: { path: /blind }, websocket: { verify: blind, ping_interval: off } }\n"
    "  - { upstream: app, match: { path: /ping }, websocket: { ping_interval: 30s, idle_timeout: 5m } }\n"
    "  - { upstream: app, match: { path: /limits }, websocket: { ping_interval: off, max_frame: 100B, max_message: 200B,\n"
    "        max_fragments: 3, drain_code: 1001, max_lifetime: 1h, idle_timeout: 2h } }\n"
    "  - { upstream: app, match: { path: /rate }, websocket: { ping_interval: off, rate: 5 } }\n"
    "  - { upstream: app }\n";

enum route { FRAMES, UTF8, BLIND, PING, LIMITS, RATE };

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

/* ---- pings of the gateway's own ---- */

/* The payload of the nth Ping that a peer got, as hex digits of a frame's payload; "" when there are fewer. */
static struct span ping_payload(const struct peer *p, bool masked, size_t nth, uint8_t payload[125])
{
    size_t at = 0;

    while (at < p->got.n) {
        struct ws_head h;
        int size = ws_head_parse(p->got.p + at, p->got.n - at, &h);
        assert_true(size > 0 && h.masked == masked);
        at += (size_t)size;
        if (h.opcode == WS_PING && nth-- == 0) {
            for (size_t i = 0; i < h.length; i++)
                payload[i] = p->got.p[at + i] ^ (h.masked ? h.mask[i % 4] : 0);
            return span_of(payload, (size_t)h.length);
        }
        at += (size_t)h.length;
    }
    return SPAN_EMPTY;
}

static size_t pings_of(const struct stage *st, const struct peer *p)
{
    uint8_t payload[125];
    size_t n = 0;

    while (ping_payload(p, p == st->server, n, payload).n > 0)
        n++;
    return n;
}

static void answer_ping(struct stage *st, struct peer *p, size_t nth)
{
    uint8_t payload[125];
    struct span s = ping_payload(p, p == st->server, nth, payload);
    struct bytes frame = { NULL, 0, 0 };

    assert_int_equal(s.n, 8);
    frame_add(&frame, 0x8a, s, s.n, p == st->client ? FRAME_MASKED : FRAME_UNMASKED);
    peer_give(p, bytes_span(&frame));
    bytes_free(&frame);
    world_run(st->world);
}

static void goodbye(struct world *w, struct stage *st, const char *end)
{
    play(st, "& c close(1000); s close(1000); c eof; s eof");
    assert_int_equal(world_lines(w, "tunnel"), 1);
    assert_string_equal(world_said(w, "tunnel", 0, "end"), end);
    world_end(w);
}

static void each_side_is_pinged_when_it_was_silent(void **state)
{
    struct world w;
    struct stage st;
    uint8_t one[125], two[125];
    uint64_t round_trips = 0;
    struct bytes saw;

    (void)state;
    world_begin(&w, conf);
    st = play_begin(&w, PING, false);
    play(&st, "t 29900; c text(a); t 200");
    assert_int_equal(pings_of(&st, st.client), 0);       /* it has just said something */
    assert_int_equal(pings_of(&st, st.server), 1);
    play(&st, "t 7");
    answer_ping(&st, st.server, 0);
    play(&st, "t 29900");
    assert_int_equal(pings_of(&st, st.client), 1);
    answer_ping(&st, st.client, 0);
    play(&st, "t 200");
    assert_int_equal(pings_of(&st, st.server), 2);
    ping_payload(st.server, true, 0, one);
    ping_payload(st.server, true, 1, two);
    assert_memory_not_equal(one, two, 8);                /* nobody can know the next */
    answer_ping(&st, st.server, 1);
    assert_int_equal(pings_of(&st, st.client), 1);
    saw = play_saw(&st, st.client);
    assert_null(strstr(bytes_text(&saw), "pong("));      /* the answers were for the gateway */
    bytes_free(&saw);
    for (size_t i = 0; i < METRICS_BUCKETS; i++)
        round_trips += w.metrics.times[METRICS_TIME_PING_SERVER].buckets[i];
    assert_int_equal(round_trips, 2);
    goodbye(&w, &st, "closed");
}

static void round_trips_are_in_the_record(void **state)
{
    struct world w;
    struct stage st;

    (void)state;
    world_begin(&w, conf);
    st = play_begin(&w, PING, false);
    play(&st, "t 30000; t 40");
    answer_ping(&st, st.client, 0);
    play(&st, "& s pong(nobody asked); t 20");
    answer_ping(&st, st.server, 0);
    play(&st, "& c close(1000); s close(1000); c eof; s eof");
    assert_non_null(strstr(world_access(&w), "\"rtt_ms\":{\"n\":1,\"min\":40,\"avg\":40,\"max\":40}"));
    assert_non_null(strstr(world_access(&w), "\"rtt_ms\":{\"n\":1,\"min\":60,\"avg\":60,\"max\":60}"));
    assert_non_null(strstr(bytes_text(&w.access), "\"kind\":\"tunnel\""));
    world_end(&w);
}

static void a_ping_that_is_not_answered_ends_the_tunnel(void **state)
{
    for (int server = 0; server < 2; server++) {
        struct world w;
        struct stage st;
        struct bytes saw;

        (void)state;
        world_begin(&w, conf);
        st = play_begin(&w, PING, false);
        play(&st, "t 30004");
        assert_int_equal(pings_of(&st, st.client), 1);
        assert_int_equal(pings_of(&st, st.server), 1);
        answer_ping(&st, server ? st.client : st.server, 0);
        play(&st, "t 29000");
        assert_int_equal(world_lines(&w, "tunnel"), 0);
        play(&st, server ? "t 1100; c close(1014); t 5100; t 1100" : "t 1100; s close(1001); t 5100; t 1100");
        assert_string_equal(world_said(&w, "tunnel", 0, "end"), server ? "server_silent" : "client_silent");
        saw = play_saw(&st, server ? st.client : st.server);
        assert_non_null(strstr(bytes_text(&saw), server ? "close(1014) fin" : "close(1001) closed"));
        bytes_free(&saw);
        saw = play_saw(&st, server ? st.server : st.client);
        assert_non_null(strstr(bytes_text(&saw), "close(1011) fin"));
        bytes_free(&saw);
        world_end(&w);
    }
}

static void long_message(struct stage *st, size_t n)
{
    static const uint8_t payload[60000];
    struct bytes frame = { NULL, 0, 0 };

    assert_true(n <= sizeof(payload));
    frame_add(&frame, 0x82, span_of(payload, n), n, FRAME_UNMASKED);
    peer_give(st->server, bytes_span(&frame));
    bytes_free(&frame);
    world_run(st->world);
}

/* The Ping stands behind a long message on a slow line: whoever takes more and more of it is not silent. */
static void whoever_still_reads_is_alive(void **state)
{
    static const size_t taken[] = { 10000, 30000, 40000, 40000 };      /* three intervals with progress, and one without */

    for (int over = 0; over < 2; over++) {
        struct world w;
        struct stage st;

        (void)state;
        world_begin(&w, conf);
        st = play_begin(&w, PING, false);
        long_message(&st, 60000);
        st.client->backlog = 60000;
        play(&st, "t 30004");
        assert_int_equal(pings_of(&st, st.client), 1);
        for (size_t i = 0; i < COUNT_OF(taken); i++) {
            assert_int_equal(world_lines(&w, "tunnel"), 0);
            play(&st, "t 10000; s text(y); t 10000; s text(y)");
            st.client->backlog = over && i >= 2 ? 0 : st.client->got.n - taken[i];     /* or: it got the last of it, and has one interval more */
            play(&st, "t 10100");
        }
        play(&st, "s close(1001); t 5100; t 1100");
        assert_string_equal(world_said(&w, "tunnel", 0, "end"), "client_silent");
        world_end(&w);
    }
}

static void whoever_says_something_is_alive(void **state)
{
    struct world w;
    struct stage st;

    (void)state;
    world_begin(&w, conf);
    st = play_begin(&w, PING, false);
    play(&st, "t 30004");
    for (int i = 0; i < 12; i++) {       /* it answers no ping, but it sends */
        play(&st, "t 20000; c text(x)");
        if (i == 0)
            answer_ping(&st, st.server, 0);
        else
            play(&st, "s text(y)");
    }
    assert_int_equal(world_lines(&w, "tunnel"), 0);
    goodbye(&w, &st, "closed");
}

static void a_ping_waits_for_the_end_of_a_frame(void **state)
{
    struct world w;
    struct stage st;
    struct bytes saw;

    (void)state;
    world_begin(&w, conf);
    st = play_begin(&w, PING, false);
    play(&st, "s open(6,ab); t 30100");
    assert_int_equal(st.client->got.n, 4);               /* nothing of ours inside the server's frame */
    play(&st, "s more(cdef)");
    assert_int_equal(pings_of(&st, st.client), 1);
    answer_ping(&st, st.client, 0);
    answer_ping(&st, st.server, 0);
    play(&st, "s frag(g); t 30100");
    assert_int_equal(pings_of(&st, st.client), 2);       /* between fragments it may go */
    play(&st, "s end(h); & c close(1000); s close(1000); c eof; s eof");
    saw = play_saw(&st, st.client);
    assert_non_null(strstr(bytes_text(&saw), "text(abcdef) ping("));
    assert_non_null(strstr(bytes_text(&saw), " frag(g) ping("));
    bytes_free(&saw);
    world_end(&w);
}

/* ---- rates, and what is held ---- */

static void a_second_s_worth_at_once_and_then_the_rate(void **state)
{
    struct world w;
    struct stage st;
    struct bytes saw;

    (void)state;
    world_begin(&w, conf);
    st = play_begin(&w, RATE, false);
    play(&st, "c text(1) text(2) text(3) text(4) text(5)");
    for (int i = 0; i < 20; i++)
        play(&st, "t 204; c text(x)");
    play(&st, "c frag(a) cont(b) ping(c) ping(d); t 204; c end(z)");     /* fragments and pings are no messages */
    assert_int_equal(world_lines(&w, "tunnel"), 0);
    play(&st, "c text(6) text(7) text(8); s close(1001); c close(1008); c eof; s eof");
    assert_string_equal(world_said(&w, "tunnel", 0, "end"), "rate");
    saw = play_saw(&st, st.client);
    assert_string_equal(bytes_text(&saw), "close(1008) fin");
    bytes_free(&saw);
    saw = play_saw(&st, st.server);
    assert_non_null(strstr(bytes_text(&saw), "close(1001) closed"));
    bytes_free(&saw);
    world_end(&w);
}

static void nothing_is_held_at_rest(void **state)
{
    struct world w;
    struct stage st;
    size_t blocks, bytes;

    (void)state;
    world_begin(&w, conf);
    st = play_begin(&w, UTF8, false);
    blocks = mem_live_blocks();
    bytes = mem_live_bytes();
    for (int i = 0; i < 50; i++) {
        play(&st, "c text(hello) ping(x); s text(world) pong(x); c frag(he); c end(llo)");
        assert_int_equal(mem_live_blocks(), blocks);
        assert_int_equal(mem_live_bytes(), bytes);
    }
    goodbye(&w, &st, "closed");
}

static void a_large_message_passes_unchanged_both_ways(void **state)
{
    static const size_t sizes[][2] = { { 700, 999 }, { 16384, 1 << 20 }, { 1 << 20, 333 } };
    static uint8_t payload[300000];

    (void)state;
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i * 31 + i / 257);
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        struct world w;
        struct stage st;
        struct bytes up = { NULL, 0, 0 }, down = { NULL, 0, 0 };
        world_begin(&w, conf);
        w.piece = sizes[s][0];
        w.grain = sizes[s][1];
        st = play_begin(&w, FRAMES, false);
        frame_add(&up, 0x82, span_of(payload, sizeof(payload)), sizeof(payload), FRAME_MASKED);
        frame_add(&down, 0x82, span_of(payload, 70000), 70000, FRAME_UNMASKED);
        peer_give(st.client, bytes_span(&up));
        peer_give(st.server, bytes_span(&down));
        world_run(&w);
        assert_int_equal(st.server->got.n, up.n);
        assert_memory_equal(st.server->got.p, up.p, up.n);
        assert_int_equal(st.client->got.n, down.n);
        assert_memory_equal(st.client->got.p, down.p, down.n);
        bytes_free(&up);
        bytes_free(&down);
        goodbye(&w, &st, "closed");
    }
}

static void the_record_counts_what_passed(void **state)
{
    struct world w;
    struct stage st;
    const char *line;

    (void)state;
    world_begin(&w, conf);
    st = play_begin(&w, FRAMES, false);
    play(&st, "c text(hello) frag(a) ping(x) end(b); s bin(yo) pong(x); t 1234; c close(1000); s close(1000); c eof; s eof");
    line = world_access(&w);
    assert_non_null(strstr(line, "\"method\":\"GET\",\"target\":\"/ws\",\"host\":\"example.com\",\"upstream\":\"app\","
                                 "\"server\":\"127.0.0.1:9001\",\"protocol\":\"chat\",\"compression\":\"none\","
                                 "\"duration_ms\":1234,"));
    assert_non_null(strstr(line, "\"from_client\":{\"frames\":5,\"messages\":2,\"bytes\":40,\"pings\":1,"
                                 "\"pongs\":0,\"close_code\":1000,"));
    assert_non_null(strstr(line, "\"from_server\":{\"frames\":3,\"messages\":1,\"bytes\":11,\"pings\":0,"
                                 "\"pongs\":1,\"close_code\":1000,"));
    assert_int_equal(w.metrics.bytes_from_clients, 40);
    assert_int_equal(w.metrics.bytes_to_clients, 11);
    assert_int_equal(w.metrics.ended[METRICS_TUNNEL][END_CLOSED], 1);
    world_end(&w);
}

static void no_memory_for_a_tunnel(void **state)
{
    struct world w;
    struct peer *client, *server;
    struct tunnel_start start = { .names = { .target = SPAN_LITERAL("/") } };

    (void)state;
    world_begin(&w, conf);
    client = world_peer(&w);
    server = world_peer(&w);
    start.client = scripted_new(&w.ready, client);
    start.server = scripted_new(&w.ready, server);
    start.route = &conf->routes[0];
    start.server_record = w.services.snapshot->upstreams[0].servers[0];
    w.accepted++;
    mem_fail_nth(1);
    assert_int_equal(tunnel_new(&w.services, &start), -ENOMEM);
    mem_fail_nth(0);
    assert_true(client->closed && server->closed);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_side_is_pinged_when_it_was_silent),
        cmocka_unit_test(round_trips_are_in_the_record),
        cmocka_unit_test(a_ping_that_is_not_answered_ends_the_tunnel),
        cmocka_unit_test(whoever_still_reads_is_alive),
        cmocka_unit_test(whoever_says_something_is_alive),
        cmocka_unit_test(a_ping_waits_for_the_end_of_a_frame),
        cmocka_unit_test(a_second_s_worth_at_once_and_then_the_rate),
        cmocka_unit_test(nothing_is_held_at_rest),
        cmocka_unit_test(a_large_message_passes_unchanged_both_ways),
        cmocka_unit_test(the_record_counts_what_passed),
        cmocka_unit_test(no_memory_for_a_tunnel),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
