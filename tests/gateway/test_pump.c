/* One direction of a tunnel: whatever the rhythm in which bytes come and room is made, what goes out is the same, and is what
 * came in. */
#include "tests/gateway/frames.h"

#include "gateway/pump.h"
#include "tests/protocol/chance.h"

struct pipe {
    struct ready_queue ready;
    struct peer source, sink;
    struct stream *from, *to;
    struct pump pump;
    enum pump_result last;
};

static void hear_nothing(void *ctx)
{
    (void)ctx;
}

static const struct stream_events nobody = { .readable = hear_nothing, .writable = hear_nothing };

static void begin(struct pipe *p, const struct ws_scan_rules *rules)
{
    memset(p, 0, sizeof(*p));
    ready_queue_init(&p->ready);
    peer_init(&p->source);
    peer_init(&p->sink);
    p->from = scripted_new(&p->ready, &p->source);
    p->to = scripted_new(&p->ready, &p->sink);
    stream_own(p->from, &nobody, NULL);
    stream_own(p->to, &nobody, NULL);
    pump_init(&p->pump, rules);
}

static void turn(struct pipe *p)
{
    ready_queue_run(&p->ready);
    p->last = pump_run(&p->pump, p->from, p->to);
}

static void turn_until_quiet(struct pipe *p)
{
    do
        turn(p);
    while (!ready_queue_empty(&p->ready) || p->last == PUMP_SPENT);
}

static void end(struct pipe *p)
{
    stream_close(&p->from);
    stream_close(&p->to);
    peer_free(&p->source);
    peer_free(&p->sink);
}

/* ---- cases ---- */

struct pump_case {
    const char *name;
    const char *frames;
    bool from_client, deflate, ends, resets;
    enum ws_verify verify;
    uint64_t max_message;
    const char *passes;                  /* frames, as the other side gets them; NULL: all of them */
    enum pump_result last;
    enum fault fault;
};

static const struct pump_case cases[] = {
    { "text", "text(hello) bin(x)", .from_client = true, .last = PUMP_STARVED },
    { "text to the client", "text(hello) bin()", .last = PUMP_STARVED },
    { "fragments and a ping between", "frag(he) ping(are you there) cont(l) end(lo)", .from_client = true, .last = PUMP_STARVED },
    { "a close", "text(bye) close(1000,done)", .from_client = true, .last = PUMP_CLOSED },
    { "a close without a code", "close()", .last = PUMP_CLOSED },
    { "nothing passes after a close", "close(1000) text(more)", .from_client = true, .passes = "close(1000)",
      .last = PUMP_CLOSED },
    { "an end between frames", "text(hello)", .ends = true, .last = PUMP_EOF },
    { "an end inside a header", "text(hello) hex(81)", .ends = true, .passes = "text(hello)", .last = PUMP_CUT },
    { "an end inside a frame", "open(10,abc)", .ends = true, .passes = "cut(5)", .last = PUMP_CUT },
    { "an end inside a message", "frag(he)", .ends = true, .last = PUMP_EOF },
    { "a reset", "text(hello)", .resets = true, .last = PUMP_RESET },
    { "a reset behind a close", "close(1001)", .resets = true, .last = PUMP_CLOSED },
    { "a reserved opcode", "text(a) hex(83) text(b)", .passes = "text(a)", .last = PUMP_FAULT, .fault = FAULT_WS_OPCODE },
    { "an unmasked frame", "text(a) hex(8100)", .from_client = true, .passes = "text(a)", .last = PUMP_FAULT,
      .fault = FAULT_WS_UNMASKED },
    { "a fault behind what did not end", "open(4,abcd) hex(ff)", .passes = "text(abcd)", .last = PUMP_FAULT,
      .fault = FAULT_WS_OPCODE },
    { "compressed where it was agreed", "deflated(abc)", .deflate = true, .last = PUMP_STARVED },
    { "compressed where it was not", "deflated(abc)", .passes = "", .last = PUMP_FAULT, .fault = FAULT_WS_RSV },
    { "a message too large", "frag(abc) end(defg)", .max_message = 6, .passes = "frag(abc)", .last = PUMP_FAULT,
      .fault = FAULT_WS_MESSAGE_TOO_LARGE },
    { "blind sees nothing", "text(a) hex(ffff) close(1000) hex(00)", .verify = WS_VERIFY_BLIND, .passes = NULL,
      .last = PUMP_STARVED },
    { "blind at the end", "hex(81)", .verify = WS_VERIFY_BLIND, .ends = true, .last = PUMP_EOF },
    { "utf8", "text(κόσμε) frag(\xce) end(\xba)", .from_client = true, .verify = WS_VERIFY_UTF8, .last = PUMP_STARVED },
    { "utf8 with a ping inside a code point", "frag(\xf0\x9f) ping(x) cont(\x98) end(\x80)", .verify = WS_VERIFY_UTF8,
      .last = PUMP_STARVED },
    { "utf8 that is none", "text(ab) text(c\xff" "d)", .from_client = true, .verify = WS_VERIFY_UTF8, .passes = "text(ab)",
      .last = PUMP_FAULT, .fault = FAULT_WS_TEXT },
    { "utf8 cut off", "frag(a\xce) end()", .verify = WS_VERIFY_UTF8, .last = PUMP_FAULT, .fault = FAULT_WS_TEXT },
    { "a close reason that is none", "close(1000,\xff)", .verify = WS_VERIFY_UTF8, .passes = "", .last = PUMP_FAULT,
      .fault = FAULT_WS_CLOSE_TEXT },
};

static struct ws_scan_rules rules_of(const struct pump_case *c)
{
    return (struct ws_scan_rules){ .from_client = c->from_client, .deflate = c->deflate, .verify = c->verify,
                                   .max_message = c->max_message };
}

static void give(struct pipe *p, const struct pump_case *c, const struct bytes *input)
{
    peer_give(&p->source, bytes_span(input));
    if (c->ends)
        peer_ends(&p->source);
    if (c->resets)
        peer_resets(&p->source);
}

/* What went out begins what came in; what it is in words, and how it ended, is as the case says. */
static void hold_to(struct pipe *p, const struct pump_case *c, const char *rhythm)
{
    struct bytes said = { NULL, 0, 0 }, due = { NULL, 0, 0 };

    assert_true(p->sink.got.n <= p->source.gives.n);
    assert_memory_equal(p->sink.got.p != NULL ? p->sink.got.p : (uint8_t *)"", p->source.gives.p, p->sink.got.n);
    assert_int_equal(p->pump.moved, p->sink.got.n);
    if (p->last != c->last || p->pump.scan.fault != c->fault)
        fail_msg("%s, %s: result %d, fault %s", c->name, rhythm, (int)p->last, fault_word(p->pump.scan.fault));
    if (c->passes == NULL && c->fault == FAULT_NONE)
        assert_int_equal(p->sink.got.n, p->source.gives.n);
    if (c->passes == NULL)
        return;
    bytes_add_text(&due, c->passes);
    frames_tell(&said, bytes_span(&p->sink.got), c->from_client);
    if (strcmp(bytes_text(&said), bytes_text(&due)) != 0 && c->fault != FAULT_WS_TEXT)
        fail_msg("%s, %s: passed %s", c->name, rhythm, bytes_text(&said));
    if (strncmp(bytes_text(&said), bytes_text(&due), due.n) != 0)
        fail_msg("%s, %s: passed %s", c->name, rhythm, bytes_text(&said));
    bytes_free(&said);
    bytes_free(&due);
}

static void whole_and_in_every_pair_of_pieces_and_grains(void **state)
{
    static const size_t sizes[] = { SIZE_MAX, 1, 2, 3, 5, 8, 13 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ws_scan_rules rules = rules_of(&cases[i]);
        struct bytes input = { NULL, 0, 0 };
        frames_add(&input, cases[i].frames, cases[i].from_client);
        for (size_t s = 0; s < COUNT_OF(sizes) * COUNT_OF(sizes); s++) {
            struct pipe p;
            char rhythm[64];
            begin(&p, &rules);
            p.source.piece = sizes[s / COUNT_OF(sizes)];
            p.sink.grain = sizes[s % COUNT_OF(sizes)];
            snprintf(rhythm, sizeof(rhythm), "%zu in, %zu out", p.source.piece, p.sink.grain);
            give(&p, &cases[i], &input);
            turn_until_quiet(&p);
            hold_to(&p, &cases[i], rhythm);
            end(&p);
        }
        bytes_free(&input);
    }
}

/* ---- every interleaving ---- */

/* Bit by bit: one more byte in, or room for one more byte out. Then the rest of both. */
static void play(const struct pump_case *c, const struct ws_scan_rules *rules, const struct bytes *input, uint32_t steps,
                 size_t n)
{
    struct pipe p;
    char rhythm[64];

    begin(&p, rules);
    p.source.piece = 1;
    p.sink.room = 0;
    turn(&p);
    for (size_t i = 0; i < n; i++) {
        if ((steps >> i & 1) != 0)
            peer_takes(&p.sink, 1);
        else if (p.source.gives.n < input->n)
            peer_give(&p.source, span_of(input->p + p.source.gives.n, 1));
        turn_until_quiet(&p);
    }
    if (p.source.gives.n < input->n)
        peer_give(&p.source, span_of(input->p + p.source.gives.n, input->n - p.source.gives.n));
    if (c->ends)
        peer_ends(&p.source);
    peer_reads_on(&p.sink);
    turn_until_quiet(&p);
    snprintf(rhythm, sizeof(rhythm), "steps %x of %zu", (unsigned)steps, n);
    hold_to(&p, c, rhythm);
    end(&p);
}

static void every_interleaving_of_starved_and_blocked(void **state)
{
    static const struct pump_case small[] = {
        { "two frames", "text(a) bin(b)", .last = PUMP_STARVED },
        { "a code point in two fragments", "frag(\xce) end(\xba)", .verify = WS_VERIFY_UTF8, .last = PUMP_STARVED },
        { "a close behind text", "text(a) close(1000)", .last = PUMP_CLOSED },
        { "a close without a code, and an end", "text(ab) close()", .ends = true, .last = PUMP_CLOSED },
        { "masked", "text(a)", .from_client = true, .last = PUMP_STARVED },
        { "an end in the middle", "text(a) open(3,ab)", .ends = true, .passes = "text(a) cut(4)", .last = PUMP_CUT },
        { "a fault behind text", "text(ab) hex(84)", .passes = "text(ab)", .last = PUMP_FAULT, .fault = FAULT_WS_OPCODE },
        { "a bad code point", "text(ab) text(\xc3(x)", .verify = WS_VERIFY_UTF8, .passes = "text(ab)", .last = PUMP_FAULT,
          .fault = FAULT_WS_TEXT },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(small); i++) {
        struct ws_scan_rules rules = rules_of(&small[i]);
        struct bytes input = { NULL, 0, 0 };
        size_t n = 12;
        frames_add(&input, small[i].frames, small[i].from_client);
        for (uint32_t steps = 0; steps < 1u << n; steps++)
            play(&small[i], &rules, &input, steps, n);
        bytes_free(&input);
    }
}

static void random_interleavings_of_everything(void **state)
{
    struct chance c = chance_seeded("test_pump");

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct ws_scan_rules rules = rules_of(&cases[i]);
        struct bytes input = { NULL, 0, 0 };
        frames_add(&input, cases[i].frames, cases[i].from_client);
        for (int round = 0; round < 150; round++) {
            struct pipe p;
            begin(&p, &rules);
            p.sink.room = 0;
            give(&p, &cases[i], &input);
            for (int turns = 0; turns < 60; turns++) {
                p.source.piece = 1 + chance_below(&c, 9);
                p.sink.grain = 1 + chance_below(&c, 9);
                peer_takes(&p.sink, chance_below(&c, 4));
                turn(&p);
            }
            p.sink.grain = p.source.piece = SIZE_MAX;
            peer_reads_on(&p.sink);
            turn_until_quiet(&p);
            hold_to(&p, &cases[i], "random");
            end(&p);
        }
        bytes_free(&input);
    }
}

/* ---- what the tunnel asks of it ---- */

static void give_frames(struct pipe *p, const char *frames, bool masked)
{
    peer_frames(&p->source, frames, masked);
    turn_until_quiet(p);
}

static void at_a_boundary_only_when_a_frame_has_just_gone_out(void **state)
{
    struct ws_scan_rules rules = { .from_client = false };
    struct pipe p;

    (void)state;
    begin(&p, &rules);
    assert_true(pump_at_boundary(&p.pump));
    give_frames(&p, "open(4,ab)", false);
    assert_false(pump_at_boundary(&p.pump));
    give_frames(&p, "more(cd)", false);
    assert_true(pump_at_boundary(&p.pump));
    peer_stops_reading(&p.sink);
    give_frames(&p, "text(blocked)", false);
    assert_int_equal(p.last, PUMP_BLOCKED);
    assert_false(pump_at_boundary(&p.pump));             /* verified, and not out */
    peer_reads_on(&p.sink);
    turn_until_quiet(&p);
    assert_true(pump_at_boundary(&p.pump));
    give_frames(&p, "hex(81)", false);                   /* half a header does not go out: nothing has begun */
    assert_true(pump_at_boundary(&p.pump));
    give_frames(&p, "hex(0161) frag(x)", false);
    assert_true(pump_at_boundary(&p.pump));              /* between fragments is lawful */
    end(&p);
}

static void a_close_that_is_held_is_noted_and_swallowed(void **state)
{
    struct ws_scan_rules rules = { .from_client = true };
    struct pipe p;

    (void)state;
    begin(&p, &rules);
    p.pump.hold_close = true;
    give_frames(&p, "text(last) close(4000,x)", true);
    assert_int_equal(p.last, PUMP_CLOSED);
    assert_int_equal(p.pump.close_code, 4000);
    assert_int_equal(p.sink.got.n, 6 + 4);
    assert_true(pump_at_boundary(&p.pump));
    end(&p);
    begin(&p, &rules);
    p.pump.hold_close = true;
    give_frames(&p, "close()", true);
    assert_int_equal(p.pump.close_code, 1005);
    end(&p);
}

static void what_is_discarded_is_still_verified(void **state)
{
    struct ws_scan_rules rules = { .from_client = true };
    struct pipe p;

    (void)state;
    begin(&p, &rules);
    p.pump.discard = p.pump.hold_close = true;
    peer_stops_reading(&p.sink);
    give_frames(&p, "text(nobody gets this) frag(nor this)", true);
    assert_int_equal(p.last, PUMP_STARVED);
    assert_int_equal(p.sink.got.n, 0);
    assert_int_equal(p.pump.moved, 0);
    assert_int_equal(p.source.consumed, p.source.gives.n);
    give_frames(&p, "text(out of turn)", true);
    assert_int_equal(p.last, PUMP_FAULT);
    assert_int_equal(p.pump.scan.fault, FAULT_WS_INTERLEAVED);
    end(&p);
    begin(&p, &rules);
    p.pump.discard = p.pump.hold_close = true;
    give_frames(&p, "text(x) close(1000)", true);
    assert_int_equal(p.last, PUMP_CLOSED);
    assert_int_equal(p.sink.got.n, 0);
    end(&p);
}

static void only_the_pong_to_our_ping_is_swallowed(void **state)
{
    struct ws_scan_rules rules = { .from_client = true };
    static const size_t grains[] = { SIZE_MAX, 1, 3 };

    (void)state;
    for (size_t g = 0; g < COUNT_OF(grains); g++) {
        struct pipe p;
        struct bytes said = { NULL, 0, 0 };
        begin(&p, &rules);
        p.sink.grain = grains[g];
        p.source.piece = grains[COUNT_OF(grains) - 1 - g];
        p.pump.ping_out = true;
        memcpy(p.pump.ping_payload, "12345678", PUMP_PING_BYTES);
        give_frames(&p, "pong(1234567) pong(123456789) ping(12345678) frag(a) pong(12345678) end(b) pong(12345678)", true);
        assert_true(p.pump.pong_seen);
        assert_false(p.pump.ping_out);
        frames_tell(&said, bytes_span(&p.sink.got), true);       /* the second answer is the peer's own business again */
        assert_string_equal(bytes_text(&said), "pong(1234567) pong(123456789) ping(12345678) frag(a) end(b) pong(12345678)");
        assert_int_equal(p.pump.scan.counts.pongs, 4);
        assert_int_equal(p.pump.moved, p.sink.got.n);
        bytes_free(&said);
        end(&p);
    }
}

static void deaf_is_told(void **state)
{
    struct ws_scan_rules rules = { .from_client = true };
    struct pipe p;

    (void)state;
    begin(&p, &rules);
    p.sink.fails_at = 4;
    give_frames(&p, "text(hello)", true);
    give_frames(&p, "text(hello)", true);
    assert_int_equal(p.last, PUMP_DEAF);
    end(&p);
}

static void a_turn_has_its_share_and_no_more(void **state)
{
    struct ws_scan_rules rules = { .from_client = false };
    struct pipe p;

    (void)state;
    begin(&p, &rules);
    for (int i = 0; i < 100; i++)
        peer_frames(&p.source, "ping(x)", false);        /* each is a piece of its own */
    turn(&p);
    assert_int_equal(p.last, PUMP_SPENT);
    assert_true(p.sink.got.n <= 3 * PUMP_ROUNDS_MAX && p.sink.got.n > 0);
    turn_until_quiet(&p);
    assert_int_equal(p.sink.got.n, 300);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_and_in_every_pair_of_pieces_and_grains),
        cmocka_unit_test(every_interleaving_of_starved_and_blocked),
        cmocka_unit_test(random_interleavings_of_everything),
        cmocka_unit_test(at_a_boundary_only_when_a_frame_has_just_gone_out),
        cmocka_unit_test(a_close_that_is_held_is_noted_and_swallowed),
        cmocka_unit_test(what_is_discarded_is_still_verified),
        cmocka_unit_test(only_the_pong_to_our_ping_is_swallowed),
        cmocka_unit_test(deaf_is_told),
        cmocka_unit_test(a_turn_has_its_share_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
