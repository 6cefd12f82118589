/* The stream contract over real sockets, its input: what comes, how it ends, who hears of it; and that nothing is held that
 * need not be. */
#include "tests/gateway/sockets.h"

/* ---- reading ---- */

static void what_comes_stays_until_it_is_consumed(void **state)
{
    struct rig r;

    begin(&r, state);
    assert_int_equal(r.owner.readable, 0);
    far_says(&r, "hello, ");
    TURN_UNTIL(&r.loop, r.owner.readable == 1);
    expect_there(&r, "hello, ");
    stream_consume(r.owner.stream, 2);
    expect_there(&r, "llo, ");
    far_says(&r, "world");
    TURN_UNTIL(&r.loop, r.owner.readable == 2);
    expect_there(&r, "llo, world");
    loop_settle(&r.loop);
    assert_int_equal(r.owner.readable, 2);
    stream_consume(r.owner.stream, there(&r));
    assert_int_equal(there(&r), 0);
    assert_int_equal(r.owner.stream->bytes_in, 12);
    assert_int_equal(mem_live_bytes(), r.bytes_before);
    end(&r);
}

static void consume_all(struct owner *o)
{
    const uint8_t *p;

    stream_consume(o->stream, stream_peek(o->stream, &p));
}

static void what_is_consumed_at_once_needs_no_memory(void **state)
{
    struct rig r;
    size_t calls;

    begin(&r, state);
    r.owner.on_readable = consume_all;
    calls = mem_calls();
    for (unsigned i = 1; i <= 10; i++) {
        far_says(&r, "a frame that nobody has to keep");
        TURN_UNTIL(&r.loop, r.owner.readable == i);
        assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("nor its answer")), 14);
    }
    assert_int_equal(mem_calls(), calls);
    end(&r);
}

static void an_end_is_seen_behind_what_was_sent(void **state)
{
    struct rig r;

    begin(&r, state);
    far_says(&r, "last");
    shutdown(r.far, SHUT_WR);
    TURN_UNTIL(&r.loop, r.owner.stream->input == STREAM_EOF);
    expect_there(&r, "last");
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("still there?")), 12);     /* half closed: the other way is open */
    assert_int_equal(r.owner.stream->output_error, 0);
    stream_consume(r.owner.stream, 4);
    loop_settle(&r.loop);
    expect_there(&r, "");
    assert_int_equal(r.owner.stream->input, STREAM_EOF);
    end(&r);
}

static void a_reset_is_seen_behind_what_was_sent(void **state)
{
    struct rig r;

    begin(&r, state);
    far_says(&r, "why I go");
    far_resets(&r);
    TURN_UNTIL(&r.loop, r.owner.stream->input == STREAM_FAILED);
    expect_there(&r, "why I go");
    assert_int_equal(r.owner.stream->input_error, -ECONNRESET);
    assert_true(r.owner.stream->output_error < 0);
    assert_true(stream_send(r.owner.stream, SPAN_LITERAL("x")) < 0);
    assert_true(stream_put(r.owner.stream, SPAN_LITERAL("x")) < 0);
    assert_true(stream_finish(r.owner.stream) < 0);
    assert_true(stream_flushed(r.owner.stream));
    assert_true(r.owner.writable > 0);
    stream_consume(r.owner.stream, 8);
    loop_settle(&r.loop);
    expect_there(&r, "");
    end(&r);
}

/* A read ends in front of an urgent byte, and the kernel will not say that something is behind it. */
static void what_is_behind_an_urgent_byte_comes(void **state)
{
    struct rig r;

    begin(&r, state);
    far_says(&r, "before ");
    assert_int_equal(send(r.far, "!", 1, MSG_NOSIGNAL | MSG_OOB), 1);
    far_says(&r, "and behind");
    TURN_UNTIL(&r.loop, there(&r) == strlen("before and behind"));
    expect_there(&r, "before and behind");
    far_says(&r, ", again");
    TURN_UNTIL(&r.loop, there(&r) == strlen("before and behind, again"));
    end(&r);
}

static void a_reset_is_seen_by_one_who_only_writes(void **state)
{
    struct rig r;

    begin(&r, state);
    far_resets(&r);
    TURN_UNTIL(&r.loop, r.owner.stream->output_error != 0 && r.owner.stream->input == STREAM_FAILED);
    assert_true(r.owner.writable > 0 && r.owner.readable > 0);
    end(&r);
}

static size_t drain_and_check(struct rig *r, size_t from)
{
    const uint8_t *p;
    size_t n = stream_peek(r->owner.stream, &p);

    for (size_t i = 0; i < n; i++)
        if (p[i] != pattern(from + i))
            fail_msg("byte %zu is not the one that was sent", from + i);
    stream_consume(r->owner.stream, n);
    return n;
}

static void a_full_input_stops_reading(void **state)
{
    struct rig r;
    size_t sent = 0, got = 0, more;

    begin(&r, state);
    do {
        more = far_fills(&r, sent, BIG);
        sent += more;
        loop_settle(&r.loop);
    } while (more > 0 && sent < 64 * (size_t)BIG);
    assert_true(sent < 64 * (size_t)BIG);                /* the sender was stopped */
    assert_true(there(&r) >= STREAM_UV_INPUT_BYTES);
    assert_true(there(&r) <= STREAM_UV_INPUT_BYTES + STREAM_UV_SCRATCH_BYTES);
    assert_true(mem_live_bytes() - r.bytes_before <= STREAM_UV_INPUT_BYTES + STREAM_UV_SCRATCH_BYTES + 4096);
    shutdown(r.far, SHUT_WR);
    while (got < sent) {
        unsigned before = r.owner.readable;
        got += drain_and_check(&r, got);
        if (got < sent)
            TURN_UNTIL(&r.loop, r.owner.readable > before);
    }
    TURN_UNTIL(&r.loop, r.owner.stream->input == STREAM_EOF);
    assert_int_equal(got, sent);
    assert_int_equal(mem_live_bytes(), r.bytes_before);
    end(&r);
}

/* A stream whose owner does not read notices all the same that its peer is gone, and still shows everything that came before. */
static void a_reset_while_the_input_is_full(void **state)
{
    struct rig r;
    size_t sent, got = 0;

    begin(&r, state);
    sent = far_fills(&r, 0, 100000);
    assert_int_equal(sent, 100000);
    TURN_UNTIL(&r.loop, there(&r) >= STREAM_UV_INPUT_BYTES);
    far_resets(&r);
    TURN_UNTIL(&r.loop, r.owner.stream->output_error != 0 || r.owner.writable > 0);
    while (r.owner.stream->input == STREAM_OPEN || there(&r) > 0) {
        size_t n = drain_and_check(&r, got);
        got += n;
        if (n == 0)
            TURN_UNTIL(&r.loop, there(&r) > 0 || r.owner.stream->input != STREAM_OPEN);
    }
    assert_int_equal(r.owner.stream->input, STREAM_FAILED);
    assert_int_equal(got, sent);
    end(&r);
}

static void an_end_while_the_input_is_full(void **state)
{
    struct rig r;
    size_t sent, got = 0;

    begin(&r, state);
    sent = far_fills(&r, 0, 100000);
    shutdown(r.far, SHUT_WR);
    TURN_UNTIL(&r.loop, there(&r) >= STREAM_UV_INPUT_BYTES);
    loop_settle(&r.loop);
    while (r.owner.stream->input == STREAM_OPEN) {
        got += drain_and_check(&r, got);
        TURN_UNTIL(&r.loop, there(&r) > 0 || r.owner.stream->input != STREAM_OPEN);
    }
    got += drain_and_check(&r, got);
    assert_int_equal(got, sent);
    assert_int_equal(r.owner.stream->input, STREAM_EOF);
    end(&r);
}

/* ---- owners ---- */

static void a_new_owner_hears_of_what_is_there_already(void **state)
{
    struct rig r;
    struct owner second = { .stream = NULL };

    begin(&r, state);
    far_says(&r, "early bytes");
    TURN_UNTIL(&r.loop, r.owner.readable == 1);
    second.stream = stream_take(&r.owner.stream);
    assert_null(r.owner.stream);
    far_says(&r, ", late bytes");
    loop_settle(&r.loop);                          /* nobody owns it: nobody hears */
    assert_int_equal(r.owner.readable, 1);
    stream_own(second.stream, &events, &second);
    assert_int_equal(second.readable, 0);        /* not from inside the call */
    TURN_UNTIL(&r.loop, second.readable > 0);
    assert_int_equal(r.owner.readable, 1);
    r.owner.stream = second.stream;
    expect_there(&r, "early bytes, late bytes");
    end(&r);
}

static void hand_over(struct owner *o)
{
    stream_consume(o->stream, o->want);
    o->next->stream = stream_take(&o->stream);
    stream_own(o->next->stream, &events, o->next);
}

/* As at the switch to a tunnel: the head is consumed, what follows it belongs to the next owner. */
static void handed_over_from_inside_readable(void **state)
{
    struct rig r;
    struct owner second = { .stream = NULL };

    begin(&r, state);
    r.owner.on_readable = hand_over;
    r.owner.want = 4;
    r.owner.next = &second;
    far_says(&r, "headframes");
    TURN_UNTIL(&r.loop, second.readable > 0);
    assert_int_equal(r.owner.readable, 1);
    r.owner.stream = second.stream;
    expect_there(&r, "frames");
    end(&r);
}

static void handed_over_with_nothing_there(void **state)
{
    struct rig r;
    struct owner second = { .stream = NULL };

    begin(&r, state);
    second.stream = stream_take(&r.owner.stream);
    stream_own(second.stream, &events, &second);
    loop_settle(&r.loop);
    assert_int_equal(second.readable, 0);
    far_says(&r, "x");
    TURN_UNTIL(&r.loop, second.readable == 1);
    r.owner.stream = second.stream;
    end(&r);
}

static void an_end_is_told_to_a_new_owner(void **state)
{
    struct rig r;
    struct owner second = { .stream = NULL };

    begin(&r, state);
    shutdown(r.far, SHUT_WR);
    TURN_UNTIL(&r.loop, r.owner.stream->input == STREAM_EOF);
    second.stream = stream_take(&r.owner.stream);
    stream_own(second.stream, &events, &second);
    TURN_UNTIL(&r.loop, second.readable > 0);
    r.owner.stream = second.stream;
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(what_comes_stays_until_it_is_consumed),
        BOTH(what_is_consumed_at_once_needs_no_memory),
        BOTH(an_end_is_seen_behind_what_was_sent),
        cmocka_unit_test(a_reset_is_seen_behind_what_was_sent),
        cmocka_unit_test(what_is_behind_an_urgent_byte_comes),
        cmocka_unit_test(a_reset_is_seen_by_one_who_only_writes),
        BOTH(a_full_input_stops_reading),
        cmocka_unit_test(a_reset_while_the_input_is_full),
        BOTH(an_end_while_the_input_is_full),
        BOTH(a_new_owner_hears_of_what_is_there_already),
        BOTH(handed_over_from_inside_readable),
        BOTH(handed_over_with_nothing_there),
        BOTH(an_end_is_told_to_a_new_owner),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
