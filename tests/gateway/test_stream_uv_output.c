/* The stream contract over real sockets, its output; and the ends: closing, failing memory, bad weather. */
#include "tests/gateway/sockets.h"

#include "gateway/weather.h"

#include <netinet/tcp.h>

#define SEGS_IN_AT 140                   /* in the kernel's struct tcp_info; the C library's ends before it */

/* ---- writing ---- */

/* Each write is a packet of its own here, so that writes can be counted. */
static void begin_counting(struct rig *r)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    begin_with(r, fds);
}

static void what_is_put_in_one_turn_goes_out_as_one_write(void **state)
{
    struct rig r;
    uint8_t got[64];

    (void)state;
    begin_counting(&r);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("head, ")), 0);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("")), 0);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("chunk size, ")), 0);
    assert_false(stream_flushed(r.owner.stream));
    assert_int_equal(far_reads(&r, got, sizeof(got)), 0);
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("chunk")), 5);
    assert_true(stream_flushed(r.owner.stream));
    assert_int_equal(far_reads(&r, got, sizeof(got)), 23);
    assert_memory_equal(got, "head, chunk size, chunk", 23);
    loop_settle(&r.loop);
    assert_int_equal(far_reads(&r, got, sizeof(got)), 0);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("one ")), 0);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("two")), 0);
    TURN_UNTIL(&r.loop, stream_flushed(r.owner.stream));
    assert_true(r.owner.writable > 0);   /* everything put is out */
    assert_int_equal(far_reads(&r, got, sizeof(got)), 7);
    assert_memory_equal(got, "one two", 7);
    assert_int_equal(r.owner.stream->bytes_out, 30);
    assert_int_equal(mem_live_bytes(), r.bytes_before);
    end(&r);
}

static void finishing_sends_what_was_put_first(void **state)
{
    struct rig r;
    uint8_t got[64];

    begin(&r, state);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("Close")), 0);
    assert_int_equal(stream_finish(r.owner.stream), 0);
    assert_true(stream_flushed(r.owner.stream));
    loop_settle(&r.loop);
    assert_int_equal(far_reads(&r, got, sizeof(got)), 5);
    assert_int_equal(recv(r.far, got, sizeof(got), 0), 0);
    far_says(&r, "and the other way is open");
    TURN_UNTIL(&r.loop, there(&r) == 25);
    end(&r);
}

static size_t send_pattern(struct rig *r, size_t from, size_t most)
{
    static uint8_t piece[100000];
    size_t done = 0;

    while (done < most) {
        size_t n = most - done < sizeof(piece) ? most - done : sizeof(piece);
        ssize_t taken;
        for (size_t i = 0; i < n; i++)
            piece[i] = pattern(from + done + i);
        taken = stream_send(r->owner.stream, span_of(piece, n));
        assert_true(taken >= 0);
        if (taken == 0)
            break;
        done += (size_t)taken;
    }
    return done;
}

static size_t far_checks_most(struct rig *r, size_t from, size_t most)
{
    static uint8_t piece[65536];
    size_t n = far_reads(r, piece, most < sizeof(piece) ? most : sizeof(piece));

    for (size_t i = 0; i < n; i++)
        if (piece[i] != pattern(from + i))
            fail_msg("byte %zu is not the one that was sent", from + i);
    return n;
}

static size_t far_checks(struct rig *r, size_t from)
{
    return far_checks_most(r, from, SIZE_MAX);
}

static unsigned packets_to(int fd)
{
    uint8_t info[256];
    socklen_t n = sizeof(info);
    uint32_t segs_in;

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &n), 0);
    assert_true(n >= SEGS_IN_AT + sizeof(segs_in));
    memcpy(&segs_in, info + SEGS_IN_AT, sizeof(segs_in));
    return segs_in;
}

static void what_was_put_last_and_the_end_are_one_packet(void **state)
{
    struct rig r;
    uint8_t got[64];
    unsigned before;

    begin(&r, state);
    before = packets_to(r.far);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("Close")), 0);
    assert_int_equal(stream_finish(r.owner.stream), 0);
    assert_true(stream_flushed(r.owner.stream));
    assert_int_equal(packets_to(r.far) - before, 1);
    assert_int_equal(far_reads(&r, got, sizeof(got)), 5);
    assert_int_equal(recv(r.far, got, sizeof(got), 0), 0);
    end(&r);
}

static void a_peer_that_does_not_read_blocks_and_is_waited_for(void **state)
{
    struct rig r;
    size_t sent, got = 0, more;

    begin(&r, state);
    sent = send_pattern(&r, 0, 64 * (size_t)BIG);
    assert_true(sent < 64 * (size_t)BIG);
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("x")), 0);
    loop_settle(&r.loop);
    assert_int_equal(r.owner.writable, 0);
    assert_int_equal(mem_live_bytes(), r.bytes_before);          /* nothing is kept that was not said to be taken */
    more = 0;
    while (more < BIG) {
        unsigned before = r.owner.writable;
        DO_UNTIL(&r.loop, r.owner.writable > before, got += far_checks(&r, got));
        more += send_pattern(&r, sent + more, BIG - more);
    }
    sent += more;
    assert_int_equal(stream_finish(r.owner.stream), 0);
    DO_UNTIL(&r.loop, got == sent, got += far_checks(&r, got));
    DO_UNTIL(&r.loop, recv(r.far, (uint8_t[1]){ 0 }, 1, 0) == 0, (void)0);
    end(&r);
}

static void put_while_blocked_keeps_the_order_and_the_end_comes_last(void **state)
{
    struct rig r;
    size_t sent, got = 0;
    uint8_t text[8] = { 0 };

    begin(&r, state);
    sent = send_pattern(&r, 0, 64 * (size_t)BIG);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("Clo")), 0);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("se")), 0);
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("not before")), 0);
    loop_settle(&r.loop);
    assert_false(stream_flushed(r.owner.stream));
    assert_int_equal(stream_finish(r.owner.stream), 0);
    loop_settle(&r.loop);
    assert_false(stream_flushed(r.owner.stream));
    DO_UNTIL(&r.loop, got == sent, got += far_checks_most(&r, got, sent - got));     /* and not a byte of what was put */
    TURN_UNTIL(&r.loop, stream_flushed(r.owner.stream));
    DO_UNTIL(&r.loop, recv(r.far, text, 5, MSG_PEEK) == 5, (void)0);
    assert_int_equal(far_reads(&r, text, sizeof(text)), 5);
    assert_string_equal((char *)text, "Close");
    DO_UNTIL(&r.loop, recv(r.far, text, 1, 0) == 0, (void)0);
    assert_int_equal(mem_live_bytes(), r.bytes_before);
    end(&r);
}

static void what_the_peer_has_not_acknowledged_is_known(void **state)
{
    static uint8_t block[65536];
    struct rig r;
    uint64_t taken = 1;
    ssize_t n;

    begin(&r, state);
    assert_int_equal(stream_unacknowledged(r.owner.stream, &taken), 0);
    assert_int_equal(taken, 0);
    while ((n = stream_send(r.owner.stream, span_of(block, sizeof(block)))) > 0)
        ;
    assert_int_equal(n, 0);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("behind it")), 0);
    assert_in_range(stream_unacknowledged(r.owner.stream, &taken), 10, r.owner.stream->bytes_out - taken);
    while (stream_unacknowledged(r.owner.stream, &taken) > 0) {
        (void)!recv(r.far, block, sizeof(block), MSG_DONTWAIT);
        loop_settle(&r.loop);
    }
    assert_int_equal(taken, r.owner.stream->bytes_out);
    end(&r);
}

static void a_peer_that_goes_while_it_blocks_is_told(void **state)
{
    struct rig r;

    begin(&r, state);
    send_pattern(&r, 0, 64 * (size_t)BIG);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("never read")), 0);
    assert_int_equal(stream_finish(r.owner.stream), 0);
    far_resets(&r);
    TURN_UNTIL(&r.loop, r.owner.stream->output_error != 0);
    assert_true(r.owner.writable > 0);
    assert_true(stream_flushed(r.owner.stream));
    assert_int_equal(mem_live_bytes(), r.bytes_before);
    end(&r);
}

/* ---- closing ---- */

/* The kernel tells of a reset once, to whoever asks first: when that is a write, the input did not end in good order for that. */
static void a_reset_that_a_write_is_told_of(void **state)
{
    for (int put = 0; put < 2; put++) {
        struct rig r;
        begin(&r, state);
        far_says(&r, "before");
        far_resets(&r);
        if (put) {
            assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("x")), 0);
            stream_finish(r.owner.stream);
        } else {
            assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("x")), -ECONNRESET);
        }
        assert_int_equal(r.owner.stream->output_error, -ECONNRESET);
        TURN_UNTIL(&r.loop, r.owner.stream->input != STREAM_OPEN);
        assert_int_equal(r.owner.stream->input, STREAM_FAILED);
        assert_int_equal(r.owner.stream->input_error, -ECONNRESET);
        expect_there(&r, "before");
        end(&r);
    }
}

/* Whoever said all and ended his side in good order did so, though he breaks off when he is told more. */
static void a_reset_behind_an_orderly_end(void **state)
{
    for (int write = 0; write < 2; write++) {
        struct rig r;
        begin(&r, state);
        far_says(&r, "all");
        assert_int_equal(shutdown(r.far, SHUT_WR), 0);
        far_resets(&r);
        if (write)
            assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("x")), -EPIPE);
        TURN_UNTIL(&r.loop, r.owner.stream->input != STREAM_OPEN);
        loop_settle(&r.loop);
        assert_int_equal(r.owner.stream->input, STREAM_EOF);
        assert_int_equal(r.owner.stream->output_error, -EPIPE);
        expect_there(&r, "all");
        end(&r);
    }
}

static void a_reset_of_ours_is_seen_as_one(void **state)
{
    struct rig r;
    uint8_t got[8];

    (void)state;
    begin(&r, &(void *){ NULL });
    stream_reset(&r.owner.stream);
    assert_null(r.owner.stream);
    loop_settle(&r.loop);
    assert_true(recv(r.far, got, sizeof(got), 0) < 0);
    assert_int_equal(errno, ECONNRESET);
    end(&r);
}

static void close_it(struct owner *o)
{
    stream_close(&o->stream);
}

static void closed_from_inside_an_event_nothing_more_is_heard(void **state)
{
    struct rig r;

    begin(&r, state);
    r.owner.on_readable = close_it;
    far_says(&r, "x");
    TURN_UNTIL(&r.loop, r.owner.stream == NULL);
    loop_settle(&r.loop);
    assert_int_equal(r.owner.readable, 1);
    end(&r);

    begin(&r, state);
    r.owner.on_writable = close_it;
    far_says(&r, "x");                   /* both events are due in the same turn */
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("y")), 0);
    TURN_UNTIL(&r.loop, r.owner.stream == NULL);
    loop_settle(&r.loop);
    assert_int_equal(r.owner.writable, 1);
    end(&r);

    begin(&r, state);
    r.owner.on_readable = close_it;
    r.owner.on_writable = close_it;
    far_resets(&r);
    TURN_UNTIL(&r.loop, r.owner.stream == NULL);
    loop_settle(&r.loop);
    assert_int_equal(r.owner.readable + r.owner.writable, 1);
    end(&r);
}

static void closed_with_everything_pending(void **state)
{
    struct rig r;

    begin(&r, state);
    far_says(&r, "unread");
    TURN_UNTIL(&r.loop, r.owner.readable == 1);
    send_pattern(&r, 0, 64 * (size_t)BIG);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("unsent")), 0);
    stream_own(r.owner.stream, &events, &r.owner);
    end(&r);
}

/* ---- no memory ---- */

static void no_memory_for_what_the_owner_leaves(void **state)
{
    struct rig r;

    begin(&r, state);
    far_says(&r, "left there");
    mem_fail_nth(1);
    TURN_UNTIL(&r.loop, r.owner.stream->input != STREAM_OPEN);
    mem_fail_nth(0);
    assert_int_equal(r.owner.stream->input, STREAM_FAILED);
    assert_int_equal(r.owner.stream->input_error, -ENOMEM);
    TURN_UNTIL(&r.loop, r.owner.readable == 2);               /* the failure is told */
    end(&r);
}

static void no_memory_to_read_more_behind_what_is_there(void **state)
{
    struct rig r;

    begin(&r, state);
    far_says(&r, "kept");
    TURN_UNTIL(&r.loop, r.owner.readable == 1);
    far_says(&r, "more");
    mem_fail_nth(1);
    TURN_UNTIL(&r.loop, r.owner.stream->input == STREAM_FAILED);
    mem_fail_nth(0);
    assert_int_equal(r.owner.stream->input_error, -ENOMEM);
    TURN_UNTIL(&r.loop, r.owner.readable == 3);               /* with "keptmore" there, and of its loss */
    assert_int_equal(there(&r), 0);
    end(&r);
}

static void no_memory_for_what_is_put(void **state)
{
    struct rig r;

    begin(&r, state);
    mem_fail_nth(1);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("a head")), -ENOMEM);
    mem_fail_nth(0);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("a head")), -ENOMEM);
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("a body")), -ENOMEM);
    assert_true(stream_flushed(r.owner.stream));
    end(&r);
}

static void no_memory_for_a_stream(void **state)
{
    struct rig r;
    int fds[2], error = 0;

    begin(&r, state);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    mem_fail_nth(1);
    assert_null(stream_uv_new(&r.streams, fds[0], &error));
    mem_fail_nth(0);
    assert_int_equal(error, -ENOMEM);
    assert_true(fcntl(fds[0], F_GETFD) < 0);             /* it was closed */
    close(fds[1]);
    end(&r);
}

/* ---- bad weather ---- */

#ifdef UPGATE_WEATHER_ENABLED
static void echo_some(struct owner *o)
{
    const uint8_t *p;
    size_t n = stream_peek(o->stream, &p);
    ssize_t taken = n > 0 ? stream_send(o->stream, span_of(p, n)) : 0;

    assert_true(taken >= 0);
    stream_consume(o->stream, (size_t)taken);
    if (o->stream->input == STREAM_EOF && (size_t)taken == n && o->next == NULL) {
        o->next = o;                     /* once */
        assert_int_equal(stream_put(o->stream, SPAN_LITERAL("end")), 0);
        assert_int_equal(stream_finish(o->stream), 0);
    }
}

static void storms_lose_nothing(void **state)
{
    static const char *const storms[] = { "read<=1,send<=1,block=30%,seed=1", "read<=1", "send<=1", "block=90%,seed=3",
                                          "read<=7,send<=3,block=50%,seed=4" };
    struct rig r;

    for (size_t i = 0; i < sizeof(storms) / sizeof(storms[0]); i++) {
        size_t sent, got = 0;
        uint8_t last[4] = { 0 };
        begin(&r, state);
        assert_int_equal(weather_set(storms[i]), 0);
        r.owner.on_readable = echo_some;
        r.owner.on_writable = echo_some;
        sent = far_fills(&r, 0, 3000);
        shutdown(r.far, SHUT_WR);
        DO_UNTIL(&r.loop, got == sent, got += far_checks_most(&r, got, sent - got));
        DO_UNTIL(&r.loop, recv(r.far, last, 3, MSG_PEEK) == 3, (void)0);
        assert_int_equal(far_reads(&r, last, 3), 3);
        assert_string_equal((char *)last, "end");
        DO_UNTIL(&r.loop, recv(r.far, last, 1, 0) == 0, (void)0);
        assert_int_equal(weather_set(NULL), 0);
        assert_int_equal(mem_live_bytes(), r.bytes_before);
        end(&r);
    }
}

static void the_weather_is_understood_or_refused(void **state)
{
    static const char *const bad[] = { "rain", "read<=", "block=30", "block=100%", "read<=1;send<=1", "read<=1,snow" };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(weather_set(bad[i]), -1);
    assert_int_equal(weather_set(""), 0);
    assert_int_equal(weather_set("read<=5"), 0);
    for (int i = 0; i < 50; i++) {
        size_t n = weather_read(100);
        assert_true(n >= 1 && n <= 5);
        assert_int_equal(weather_send(100), 100);
    }
    assert_int_equal(weather_set(NULL), 0);
    assert_int_equal(weather_read(100), 100);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_put_in_one_turn_goes_out_as_one_write),
        BOTH(finishing_sends_what_was_put_first),
        cmocka_unit_test(what_was_put_last_and_the_end_are_one_packet),
        BOTH(a_peer_that_does_not_read_blocks_and_is_waited_for),
        BOTH(put_while_blocked_keeps_the_order_and_the_end_comes_last),
        BOTH(what_the_peer_has_not_acknowledged_is_known),
        cmocka_unit_test(a_peer_that_goes_while_it_blocks_is_told),
        cmocka_unit_test(a_reset_that_a_write_is_told_of),
        cmocka_unit_test(a_reset_behind_an_orderly_end),
        cmocka_unit_test(a_reset_of_ours_is_seen_as_one),
        cmocka_unit_test(closed_from_inside_an_event_nothing_more_is_heard),
        BOTH(closed_with_everything_pending),
        BOTH(no_memory_for_what_the_owner_leaves),
        BOTH(no_memory_to_read_more_behind_what_is_there),
        BOTH(no_memory_for_what_is_put),
        cmocka_unit_test(no_memory_for_a_stream),
#ifdef UPGATE_WEATHER_ENABLED
        BOTH(storms_lose_nothing),
        cmocka_unit_test(the_weather_is_understood_or_refused),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
