/* Idle connections to a server: newest first, few enough, not too long, and never one that is not quiet. */
#include "tests/gateway/scripted.h"

#include "gateway/pool.h"

struct shelf {
    struct pool pool;
    struct timers timers;
    struct ready_queue ready;
    struct metrics metrics;
    uint64_t now_ms;
    struct peer peers[6];
    struct stream *streams[6];
    size_t blocks_before;
};

static void hear_nothing(void *ctx)
{
    (void)ctx;
}

static const struct stream_events nobody = { .readable = hear_nothing, .writable = hear_nothing };

static uint64_t clock_of(void *ctx)
{
    return ((struct shelf *)ctx)->now_ms;
}

static void begin(struct shelf *s, size_t limit)
{
    *s = (struct shelf){ .now_ms = 1000, .blocks_before = mem_live_blocks() };
    timers_init(&s->timers, clock_of, s);
    ready_queue_init(&s->ready);
    pool_init(&s->pool, limit, 60000, &s->timers, &s->metrics);
    for (size_t i = 0; i < COUNT_OF(s->peers); i++) {
        peer_init(&s->peers[i]);
        s->streams[i] = scripted_new(&s->ready, &s->peers[i]);
    }
}

static void turn(struct shelf *s)
{
    for (int i = 0; i < 20; i++)
        ready_queue_run(&s->ready);
    assert_true(ready_queue_empty(&s->ready));
}

static void pass(struct shelf *s, uint64_t ms)
{
    s->now_ms += ms;
    timers_run(&s->timers, s->now_ms);
    turn(s);
}

static void put(struct shelf *s, size_t i)
{
    pool_put(&s->pool, &s->streams[i]);
    assert_null(s->streams[i]);
    turn(s);
}

static uint64_t ended(const struct shelf *s, enum end_reason why)
{
    return s->metrics.ended[METRICS_POOLED][why];
}

static void end(struct shelf *s)
{
    pool_close_all(&s->pool);
    assert_int_equal(s->pool.n, 0);
    for (size_t i = 0; i < COUNT_OF(s->peers); i++)
        stream_close(&s->streams[i]);
    turn(s);
    for (size_t i = 0; i < COUNT_OF(s->peers); i++)
        peer_free(&s->peers[i]);
    assert_int_equal(s->timers.n, 0);
    assert_int_equal(mem_live_blocks(), s->blocks_before);
}

static void expect_got(struct shelf *s, size_t i)
{
    struct stream *stream = pool_get(&s->pool);

    assert_non_null(stream);
    assert_ptr_equal(scripted_of(stream)->peer, &s->peers[i]);
    s->streams[i] = stream;
}

static void the_newest_is_given_first(void **state)
{
    struct shelf s;

    (void)state;
    begin(&s, 4);
    assert_null(pool_get(&s.pool));
    put(&s, 0);
    put(&s, 1);
    put(&s, 2);
    expect_got(&s, 2);
    expect_got(&s, 1);
    put(&s, 2);
    expect_got(&s, 2);
    expect_got(&s, 0);
    assert_null(pool_get(&s.pool));
    assert_int_equal(s.timers.n, 0);
    end(&s);
}

static void no_more_than_the_limit_is_kept(void **state)
{
    struct shelf s;

    (void)state;
    begin(&s, 2);
    put(&s, 0);
    put(&s, 1);
    put(&s, 2);
    assert_true(s.peers[2].closed && !s.peers[2].reset);
    assert_int_equal(s.pool.n, 2);
    assert_int_equal(ended(&s, END_POOL_FULL), 1);
    end(&s);
    begin(&s, 0);
    put(&s, 0);
    assert_true(s.peers[0].closed);
    end(&s);
}

static void what_is_not_quiet_is_not_kept(void **state)
{
    struct shelf s;

    (void)state;
    begin(&s, 4);
    peer_says(&s.peers[0], "HTTP/1.1 200 OK\r\n");
    stream_own(s.streams[0], &nobody, NULL);
    turn(&s);
    put(&s, 0);                          /* it said something */
    assert_true(s.peers[0].closed);
    peer_ends(&s.peers[1]);
    stream_own(s.streams[1], &nobody, NULL);
    turn(&s);
    put(&s, 1);                          /* it is over */
    assert_true(s.peers[1].closed);
    peer_stops_reading(&s.peers[2]);
    stream_put(s.streams[2], SPAN_LITERAL("the request's last bytes"));
    put(&s, 2);                          /* it did not read everything */
    assert_true(s.peers[2].closed);
    s.peers[3].fails_at = 0;
    assert_true(stream_send(s.streams[3], SPAN_LITERAL("x")) < 0);
    put(&s, 3);                          /* it cannot be written to */
    assert_true(s.peers[3].closed);
    assert_int_equal(s.pool.n, 0);
    end(&s);
}

static void watched_while_it_is_kept(void **state)
{
    struct shelf s;

    (void)state;
    begin(&s, 6);
    for (size_t i = 0; i < 4; i++)
        put(&s, i);
    peer_says(&s.peers[0], "HTTP/1.1 408 Request Timeout\r\n\r\n");
    turn(&s);
    assert_true(s.peers[0].closed);
    assert_int_equal(ended(&s, END_POOL_UNASKED), 1);
    peer_ends(&s.peers[1]);
    turn(&s);
    assert_true(s.peers[1].closed);
    assert_int_equal(ended(&s, END_POOL_CLOSED), 1);
    peer_resets(&s.peers[2]);
    turn(&s);
    assert_true(s.peers[2].closed);
    assert_int_equal(ended(&s, END_POOL_CLOSED), 2);
    assert_int_equal(s.pool.n, 1);
    expect_got(&s, 3);
    end(&s);
}

/* The end is there, but the loop has not told it yet. */
static void one_that_has_just_ended_is_passed_over(void **state)
{
    struct shelf s;

    (void)state;
    begin(&s, 4);
    put(&s, 0);
    put(&s, 1);
    s.peers[1].stream->base.input = STREAM_EOF;
    expect_got(&s, 0);
    assert_true(s.peers[1].closed);
    assert_int_equal(ended(&s, END_POOL_CLOSED), 1);
    end(&s);
}

static void not_kept_for_ever(void **state)
{
    struct shelf s;

    (void)state;
    begin(&s, 4);
    put(&s, 0);
    pass(&s, 40000);
    put(&s, 1);
    pass(&s, 19999);
    assert_int_equal(s.pool.n, 2);
    pass(&s, 5);
    assert_int_equal(s.pool.n, 1);
    assert_true(s.peers[0].closed && !s.peers[1].closed);
    assert_int_equal(ended(&s, END_POOL_EXPIRED), 1);
    expect_got(&s, 1);                   /* and its time begins anew when it comes back */
    put(&s, 1);
    pass(&s, 59999);
    assert_int_equal(s.pool.n, 1);
    pass(&s, 5);
    assert_int_equal(s.pool.n, 0);
    end(&s);
}

static void without_memory_it_is_closed(void **state)
{
    struct shelf s;

    (void)state;
    begin(&s, 4);
    mem_fail_nth(1);
    put(&s, 0);
    mem_fail_nth(0);
    assert_true(s.peers[0].closed);
    assert_int_equal(s.pool.n, 0);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_is_given_first),
        cmocka_unit_test(no_more_than_the_limit_is_kept),
        cmocka_unit_test(what_is_not_quiet_is_not_kept),
        cmocka_unit_test(watched_while_it_is_kept),
        cmocka_unit_test(one_that_has_just_ended_is_passed_over),
        cmocka_unit_test(not_kept_for_ever),
        cmocka_unit_test(without_memory_it_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
