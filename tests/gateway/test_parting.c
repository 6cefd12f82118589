/* Connections that were left while their last words were on their way: they end soon, whatever the peer does, and no more than so many are kept. */
#include "tests/gateway/scripted.h"

#include "gateway/parting.h"

struct rig {
    struct ready_queue ready;
    struct timers timers;
    uint64_t now_ms;
    struct partings partings;
    struct peer peer;
    struct stream *stream;
};

static uint64_t now_ms(void *ctx)
{
    return ((struct rig *)ctx)->now_ms;
}

static void run(struct rig *p, uint64_t ms)
{
    for (uint64_t end = p->now_ms + ms;; p->now_ms += TIMERS_TICK_MS) {
        timers_run(&p->timers, p->now_ms);
        for (int turns = 0; turns < 1000 && !ready_queue_empty(&p->ready); turns++)
            ready_queue_run(&p->ready);
        if (p->now_ms >= end)
            return;
    }
}

static void begin(struct rig *p)
{
    *p = (struct rig){ .now_ms = 1000 };
    ready_queue_init(&p->ready);
    timers_init(&p->timers, now_ms, p);
    partings_init(&p->partings, &p->timers);
    peer_init(&p->peer);
    p->stream = scripted_new(&p->ready, &p->peer);
}

/* It was put, and is not out. */
static void last_words(struct rig *p)
{
    peer_stops_reading(&p->peer);
    assert_int_equal(stream_put(p->stream, SPAN_LITERAL("the last")), 0);
    parting_begin(&p->partings, &p->stream);
    assert_null(p->stream);
    run(p, 0);
}

static void end(struct rig *p)
{
    partings_end(&p->partings);
    run(p, 0);
    assert_int_equal(p->partings.n, 0);
    assert_int_equal(p->timers.n, 0);
    peer_free(&p->peer);
    assert_int_equal(mem_live_blocks(), 0);
}

static void words_are_sent_and_the_end_awaited(void **state)
{
    struct rig p;

    (void)state;
    begin(&p);
    last_words(&p);
    assert_false(p.peer.closed);
    peer_says(&p.peer, "what nobody wants to know");
    peer_reads_on(&p.peer);
    run(&p, 0);
    assert_int_equal(p.peer.got.n, 8);
    assert_true(p.peer.fin);
    assert_false(p.peer.closed);
    peer_ends(&p.peer);
    run(&p, 0);
    assert_true(p.peer.closed);
    end(&p);
}

static void nobody_is_waited_for_longer(void **state)
{
    for (int takes = 0; takes < 2; takes++) {
        struct rig p;
        begin(&p);
        last_words(&p);
        if (takes)
            peer_reads_on(&p.peer);
        run(&p, PARTING_MS - 20);
        assert_false(p.peer.closed);
        run(&p, 40);
        assert_true(p.peer.closed);
        end(&p);
    }
    (void)state;
}

static void a_reset_ends_it(void **state)
{
    struct rig p;

    (void)state;
    begin(&p);
    last_words(&p);
    peer_resets(&p.peer);
    run(&p, 0);
    assert_true(p.peer.closed);
    end(&p);
}

static void whoever_sends_on_is_cut_off(void **state)
{
    static uint8_t much[PARTING_BYTES + 1];
    struct rig p;

    (void)state;
    begin(&p);
    last_words(&p);
    peer_give(&p.peer, span_of(much, sizeof(much)));
    run(&p, 0);
    assert_true(p.peer.closed);
    end(&p);
}

static void they_are_bounded(void **state)
{
    struct rig p;

    (void)state;
    begin(&p);
    p.partings.n = PARTINGS_MAX;
    last_words(&p);
    assert_true(p.peer.closed);
    p.partings.n = 0;
    end(&p);
}

static void without_memory_it_is_closed(void **state)
{
    struct rig p;

    (void)state;
    begin(&p);
    peer_stops_reading(&p.peer);
    stream_put(p.stream, SPAN_LITERAL("the last"));
    mem_fail_nth(1);
    parting_begin(&p.partings, &p.stream);
    mem_fail_nth(0);
    run(&p, 0);
    assert_true(p.peer.closed);
    end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_sent_and_the_end_awaited),
        cmocka_unit_test(nobody_is_waited_for_longer),
        cmocka_unit_test(a_reset_ends_it),
        cmocka_unit_test(whoever_sends_on_is_cut_off),
        cmocka_unit_test(they_are_bounded),
        cmocka_unit_test(without_memory_it_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
