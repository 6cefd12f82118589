/* One direction of a connection that is passed on unread: whatever the rhythm in which bytes come and room is made, what goes out is what
 * came in, the end included. */
#include "tests/gateway/scripted.h"

#include "gateway/flow.h"
#include "tests/protocol/chance.h"

struct pipe {
    struct ready_queue ready;
    struct peer source, sink;
    struct stream *from, *to;
    struct flow flow;
    enum flow_result last;
};

static void hear_nothing(void *ctx)
{
    (void)ctx;
}

static const struct stream_events nobody = { .readable = hear_nothing, .writable = hear_nothing };

static void begin(struct pipe *p)
{
    memset(p, 0, sizeof(*p));
    ready_queue_init(&p->ready);
    peer_init(&p->source);
    peer_init(&p->sink);
    p->from = scripted_new(&p->ready, &p->source);
    p->to = scripted_new(&p->ready, &p->sink);
    stream_own(p->from, &nobody, NULL);
    stream_own(p->to, &nobody, NULL);
    flow_init(&p->flow, p->from, p->to);
}

static void turn(struct pipe *p)
{
    ready_queue_run(&p->ready);
    if (!p->flow.over)
        p->last = flow_run(&p->flow);
}

static void turn_until_quiet(struct pipe *p)
{
    for (int turns = 0; turns < 100000; turns++) {
        turn(p);
        if (ready_queue_empty(&p->ready))
            return;
    }
    fail_msg("never quiet");
}

static void end(struct pipe *p)
{
    stream_close(&p->from);
    stream_close(&p->to);
    peer_free(&p->source);
    peer_free(&p->sink);
    assert_int_equal(mem_live_blocks(), 0);
}

/* ---- tables ---- */

enum { EOF_BEHIND = 1, RESET_BEHIND = 2 };

static const struct {
    const char *bytes;
    unsigned behind;
    size_t fails_at;                     /* the sink */
    enum flow_result last;
    bool over, fin;
    size_t passes;
} rows[] = {
    { "", 0, SIZE_MAX, FLOW_STARVED, false, false, 0 },
    { "hello", 0, SIZE_MAX, FLOW_STARVED, false, false, 5 },
    { "hello", EOF_BEHIND, SIZE_MAX, FLOW_ENDED, true, true, 5 },
    { "", EOF_BEHIND, SIZE_MAX, FLOW_ENDED, true, true, 0 },
    { "hello", RESET_BEHIND, SIZE_MAX, FLOW_RESET, true, false, 5 },
    { "", RESET_BEHIND, SIZE_MAX, FLOW_RESET, true, false, 0 },
    { "hello", 0, 0, FLOW_DEAF, true, false, 0 },
    { "hello", 0, 3, FLOW_DEAF, true, false, 3 },
    { "hello", 0, 5, FLOW_STARVED, false, false, 5 },
    { "hello", EOF_BEHIND, 4, FLOW_DEAF, true, false, 4 },
};

static void every_end_at_every_rhythm(void **state)
{
    static const size_t rhythms[] = { 1, 2, 3, SIZE_MAX };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t r = 0; r < COUNT_OF(rhythms) * COUNT_OF(rhythms); r++) {
            struct pipe p;
            begin(&p);
            p.source.piece = rhythms[r / COUNT_OF(rhythms)];
            p.sink.grain = rhythms[r % COUNT_OF(rhythms)];
            p.sink.fails_at = rows[i].fails_at;
            peer_says(&p.source, rows[i].bytes);
            if (rows[i].behind == EOF_BEHIND)
                peer_ends(&p.source);
            else if (rows[i].behind == RESET_BEHIND)
                peer_resets(&p.source);
            turn_until_quiet(&p);
            assert_int_equal(p.last, rows[i].last);
            assert_int_equal(p.flow.over, rows[i].over);
            assert_int_equal(p.sink.fin, rows[i].fin);
            assert_int_equal(p.flow.moved, rows[i].passes);
            assert_int_equal(p.sink.got.n, rows[i].passes);
            assert_memory_equal(bytes_text(&p.sink.got), rows[i].bytes, rows[i].passes);
            end(&p);
        }
    }
}

/* ---- backpressure ---- */

/* Who does not read holds its sender at a window, and loses nothing. */
static void blocked_holds_the_sender(void **state)
{
    struct pipe p;
    static uint8_t much[200000];

    (void)state;
    for (size_t i = 0; i < sizeof(much); i++)
        much[i] = (uint8_t)(i * 7 + i / 251);
    begin(&p);
    p.source.piece = 5000;
    peer_stops_reading(&p.sink);
    peer_give(&p.source, span_of(much, sizeof(much)));
    peer_ends(&p.source);
    turn_until_quiet(&p);
    assert_int_equal(p.last, FLOW_BLOCKED);
    assert_true(p.source.arrived <= SCRIPTED_WINDOW + 5000);
    peer_takes(&p.sink, 3);
    turn_until_quiet(&p);
    assert_int_equal(p.last, FLOW_BLOCKED);
    assert_int_equal(p.sink.got.n, 3);
    peer_reads_on(&p.sink);
    turn_until_quiet(&p);
    assert_int_equal(p.last, FLOW_ENDED);
    assert_int_equal(p.sink.got.n, sizeof(much));
    assert_memory_equal(p.sink.got.p, much, sizeof(much));
    assert_true(p.sink.fin);
    end(&p);
}

/* Every interleaving of a few steps: bytes come, room is made, the loop turns; then the end. */
static void every_interleaving(void **state)
{
    enum { GIVE, TAKE, TURN, STEPS, LENGTH = 7 };
    size_t all = 1;

    (void)state;
    for (int i = 0; i < LENGTH; i++)
        all *= STEPS;
    for (size_t n = 0; n < all; n++) {
        struct pipe p;
        size_t given = 0;
        begin(&p);
        peer_stops_reading(&p.sink);
        for (size_t i = 0, rest = n; i < LENGTH; i++, rest /= STEPS) {
            if (rest % STEPS == GIVE)
                peer_give(&p.source, span_of(&"abcdefghijklmnopqrstuvwxyz"[given], 3));
            else if (rest % STEPS == TAKE)
                peer_takes(&p.sink, 2);
            else
                turn(&p);
            given += rest % STEPS == GIVE ? 3 : 0;
        }
        assert_true(p.sink.got.n <= given);
        peer_ends(&p.source);
        peer_reads_on(&p.sink);
        turn_until_quiet(&p);
        assert_int_equal(p.last, FLOW_ENDED);
        assert_int_equal(p.sink.got.n, given);
        assert_memory_equal(bytes_text(&p.sink.got), "abcdefghijklmnopqrstuvwxyz", given);
        assert_true(p.sink.fin);
        end(&p);
    }
}

static void by_dice(void **state)
{
    struct chance c = chance_seeded("test_flow");

    (void)state;
    for (int round = 0; round < 300; round++) {
        struct pipe p;
        struct bytes all = { NULL, 0, 0 };
        begin(&p);
        for (int step = 0; step < 60; step++) {
            uint8_t piece[3000];
            size_t n = chance_below(&c, sizeof(piece));
            for (size_t i = 0; i < n; i++)
                piece[i] = (uint8_t)chance_next(&c);
            if (chance_one_in(&c, 2)) {
                bytes_add(&all, piece, n);
                peer_give(&p.source, span_of(piece, n));
            }
            p.source.piece = 1 + chance_below(&c, 5000);
            p.sink.grain = 1 + chance_below(&c, 5000);
            if (chance_one_in(&c, 5))
                peer_stops_reading(&p.sink);
            if (chance_one_in(&c, 3))
                peer_takes(&p.sink, chance_below(&c, 9000));
            turn(&p);
        }
        peer_ends(&p.source);
        peer_reads_on(&p.sink);
        turn_until_quiet(&p);
        assert_int_equal(p.last, FLOW_ENDED);
        assert_int_equal(p.sink.got.n, all.n);
        assert_memory_equal(bytes_text(&p.sink.got), bytes_text(&all), all.n);
        bytes_free(&all);
        end(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_end_at_every_rhythm),
        cmocka_unit_test(blocked_holds_the_sender),
        cmocka_unit_test(every_interleaving),
        cmocka_unit_test(by_dice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
