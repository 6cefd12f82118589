/* The wheel of deadlines: order, never early, at most a tick late; and long random lives against a list that is just searched. */
#include "gateway/timers.h"
#include "tests/protocol/chance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE_MS UINT64_C(60000)
#define DAY_MS (UINT64_C(24) * 60 * MINUTE_MS)
#define ALARMS_MAX 64

struct alarms;
struct alarm {
    struct timer timer;
    struct alarms *all;
    unsigned fired;
    uint64_t fired_at_ms;
    uint64_t set_at_ms, last_run_ms;     /* when it was set, and when the wheel had run last then */
    void (*then)(struct alarm *a);
};

struct alarms {
    struct timers wheel;
    uint64_t now_ms;
    uint64_t ran_ms;                     /* the last run */
    struct alarm alarm[ALARMS_MAX];
    size_t order[ALARMS_MAX * 4];
    size_t order_n;
};

static uint64_t clock_of(void *ctx)
{
    return ((struct alarms *)ctx)->now_ms;
}

static void on_alarm(struct timer *t, uint64_t now_ms)
{
    struct alarm *a = LIST_OWNER(t, struct alarm, timer);

    assert_false(timer_is_set(t));
    assert_true(now_ms >= t->deadline_ms);
    a->fired++;
    a->fired_at_ms = now_ms;
    if (a->all->order_n < sizeof(a->all->order) / sizeof(a->all->order[0]))
        a->all->order[a->all->order_n++] = (size_t)(a - a->all->alarm);
    if (a->then != NULL)
        a->then(a);
}

static void begin(struct alarms *all, uint64_t now_ms)
{
    memset(all, 0, sizeof(*all));
    all->now_ms = all->ran_ms = now_ms;
    timers_init(&all->wheel, clock_of, all);
    for (size_t i = 0; i < ALARMS_MAX; i++) {
        all->alarm[i].all = all;
        timer_init(&all->alarm[i].timer, on_alarm);
    }
}

static void run_at(struct alarms *all, uint64_t now_ms)
{
    all->now_ms = now_ms;
    timers_run(&all->wheel, now_ms);
    all->ran_ms = now_ms;
}

/* ---- one at a time ---- */

static void never_early_and_at_most_a_tick_late(void **state)
{
    static const uint64_t delays[] = { 0, 1, 2, 3, 4, 5, 7, 8, 63, 64, 255, 256, 257, 1000, 1023, 1024, 16383, 16384, 16385,
        65536 };
    struct alarms all;

    (void)state;
    for (uint64_t start = 1000; start < 1300; start += 13) {
        for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
            uint64_t due = start + delays[i];
            begin(&all, start);
            timer_set(&all.wheel, &all.alarm[0].timer, due);
            for (uint64_t now = start; now < due; now++)
                run_at(&all, now);
            assert_int_equal(all.alarm[0].fired, 0);
            for (uint64_t now = due; now < due + TIMERS_TICK_MS; now++)
                run_at(&all, now);
            run_at(&all, due + TIMERS_TICK_MS);
            assert_int_equal(all.alarm[0].fired, 1);
            run_at(&all, due + 100000);
            assert_int_equal(all.alarm[0].fired, 1);
        }
    }
}

#define WHEELS_ROUND_MS ((UINT64_C(1) << (6 * TIMERS_LEVELS)) * TIMERS_TICK_MS)      /* the wheels come round: 49 days */

static void far_deadlines_keep_their_time(void **state)
{
    static const struct {
        uint64_t start, delay;
    } rows[] = {
        { 123456789, 3 * DAY_MS },
        { WHEELS_ROUND_MS - 60 * MINUTE_MS, 2 * 60 * MINUTE_MS },
        { WHEELS_ROUND_MS - 1, 1000 },
        { 7 * WHEELS_ROUND_MS - 5 * MINUTE_MS, 300 * MINUTE_MS },
        { WHEELS_ROUND_MS / 64 - 5 * MINUTE_MS, 300 * MINUTE_MS },
    };
    struct alarms all;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t due = rows[i].start + rows[i].delay;
        begin(&all, rows[i].start);
        timer_set(&all.wheel, &all.alarm[0].timer, due);
        for (uint64_t now = rows[i].start; now < due; now += rows[i].delay / 30 + 7)
            run_at(&all, now);
        run_at(&all, due - 1);
        assert_int_equal(all.alarm[0].fired, 0);
        run_at(&all, due + TIMERS_TICK_MS);
        assert_int_equal(all.alarm[0].fired, 1);
    }
}

static void set_again_moves_and_clear_is_idempotent(void **state)
{
    struct alarms all;
    struct timer *t = &all.alarm[0].timer;

    (void)state;
    begin(&all, 5000);
    timer_clear(&all.wheel, t);
    timer_set(&all.wheel, t, 5100);
    timer_set(&all.wheel, t, 9000);      /* later */
    run_at(&all, 8999);
    assert_int_equal(all.alarm[0].fired, 0);
    timer_set(&all.wheel, t, 9040);
    timer_set(&all.wheel, t, 9010);      /* sooner */
    run_at(&all, 9016);
    assert_int_equal(all.alarm[0].fired, 1);
    timer_start(&all.wheel, t, 50);
    assert_int_equal(t->deadline_ms, 9066);
    assert_true(timer_is_set(t));
    assert_int_equal(all.wheel.n, 1);
    timer_clear(&all.wheel, t);
    timer_clear(&all.wheel, t);
    assert_false(timer_is_set(t));
    assert_int_equal(all.wheel.n, 0);
    run_at(&all, 20000);
    assert_int_equal(all.alarm[0].fired, 1);
}

static void a_deadline_in_the_past_fires_at_the_next_tick(void **state)
{
    struct alarms all;

    (void)state;
    begin(&all, 100000);
    run_at(&all, 100002);
    timer_set(&all.wheel, &all.alarm[0].timer, 1);
    run_at(&all, 100002 + TIMERS_TICK_MS);
    assert_int_equal(all.alarm[0].fired, 1);
}

static void a_long_jump_fires_everything_in_order(void **state)
{
    struct alarms all;

    (void)state;
    begin(&all, 777);
    for (size_t i = 0; i < 30; i++)
        timer_set(&all.wheel, &all.alarm[29 - i].timer, 777 + (UINT64_C(1) << i));
    run_at(&all, 777 + (UINT64_C(1) << 29) - 1);
    assert_int_equal(all.order_n, 29);
    run_at(&all, 777 + (UINT64_C(1) << 29) + TIMERS_TICK_MS);
    assert_int_equal(all.order_n, 30);
    for (size_t i = 3; i < 30; i++)      /* the first three may share a tick */
        assert_int_equal(all.order[i], 29 - i);
}

/* ---- from inside a call ---- */

static void set_me_again_at_once(struct alarm *a)
{
    timer_set(&a->all->wheel, &a->timer, 0);
}

static void what_is_set_inside_a_call_waits_for_a_later_run(void **state)
{
    struct alarms all;

    (void)state;
    begin(&all, 1000);
    all.alarm[0].then = set_me_again_at_once;
    timer_set(&all.wheel, &all.alarm[0].timer, 1001);
    run_at(&all, 5000);
    assert_int_equal(all.alarm[0].fired, 1);
    run_at(&all, 5000);
    assert_int_equal(all.alarm[0].fired, 1);
    run_at(&all, 5004);
    assert_int_equal(all.alarm[0].fired, 2);
}

static void clear_all_others(struct alarm *a)
{
    for (size_t i = 0; i < 8; i++)
        if (&a->all->alarm[i] != a)
            timer_clear(&a->all->wheel, &a->all->alarm[i].timer);
}

static void clearing_others_that_are_due_too(void **state)
{
    struct alarms all;

    (void)state;
    begin(&all, 1000);
    for (size_t i = 0; i < 8; i++) {
        all.alarm[i].then = clear_all_others;
        timer_set(&all.wheel, &all.alarm[i].timer, 1100 - i);
    }
    run_at(&all, 2000);
    assert_int_equal(all.order_n, 1);
    assert_int_equal(all.wheel.n, 0);
    run_at(&all, 4000);
    assert_int_equal(all.order_n, 1);
}

static void move_the_next_one(struct alarm *a)
{
    timer_set(&a->all->wheel, &a->all->alarm[1].timer, a->all->now_ms + 1000);
}

static void moving_another_that_is_due_too(void **state)
{
    struct alarms all;

    (void)state;
    begin(&all, 1000);
    all.alarm[0].then = move_the_next_one;
    timer_set(&all.wheel, &all.alarm[0].timer, 1050);
    timer_set(&all.wheel, &all.alarm[1].timer, 1100);
    run_at(&all, 1200);
    assert_int_equal(all.alarm[1].fired, 0);
    run_at(&all, 2199);
    assert_int_equal(all.alarm[1].fired, 0);
    run_at(&all, 2204);
    assert_int_equal(all.alarm[1].fired, 1);
}

/* ---- how long to sleep ---- */

static void sleeping_as_told_never_oversleeps(void **state)
{
    static const uint64_t delays[] = { 1, 3, 4, 255, 256, 260, 1000, 5000, 70000, 75000, 10 * MINUTE_MS, 3 * 60 * MINUTE_MS };
    struct alarms all;

    (void)state;
    for (uint64_t start = 4000; start < 4300; start += 29) {
        for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
            uint64_t due = start + delays[i];
            unsigned wakes = 0;
            begin(&all, start);
            assert_true(timers_next_ms(&all.wheel, start) == UINT64_MAX);
            timer_set(&all.wheel, &all.alarm[0].timer, due);
            while (all.alarm[0].fired == 0) {
                uint64_t rest = timers_next_ms(&all.wheel, all.now_ms);
                assert_true(rest != UINT64_MAX);
                assert_true(all.now_ms + rest <= due + TIMERS_TICK_MS);
                run_at(&all, all.now_ms + rest);
                assert_true(++wakes <= TIMERS_LEVELS + 1);       /* and it is not woken for nothing */
            }
            assert_true(all.alarm[0].fired_at_ms <= due + TIMERS_TICK_MS);
            assert_true(timers_next_ms(&all.wheel, all.now_ms) == UINT64_MAX);
        }
    }
}

/* ---- against a list ---- */

static uint64_t tick_of(const struct alarm *a)           /* the tick at which it fires */
{
    uint64_t due = (a->timer.deadline_ms + TIMERS_TICK_MS - 1) / TIMERS_TICK_MS;
    uint64_t soonest = a->last_run_ms / TIMERS_TICK_MS + 1;

    return due > soonest ? due : soonest;
}

static uint64_t some_delay(struct chance *c)
{
    static const uint64_t scales[] = { 8, 300, 20000, 2000000, DAY_MS, 20 * DAY_MS };

    return chance_next(c) % scales[chance_below(c, sizeof(scales) / sizeof(scales[0]))];
}

static void some_change(struct chance *c, struct alarms *all)
{
    struct alarm *a = &all->alarm[chance_below(c, ALARMS_MAX)];

    if (chance_one_in(c, 4)) {
        timer_clear(&all->wheel, &a->timer);
        return;
    }
    a->last_run_ms = all->ran_ms;
    timer_set(&all->wheel, &a->timer, all->now_ms + some_delay(c) - (chance_one_in(c, 8) ? all->now_ms / 2 : 0));
}

static uint64_t some_jump(struct chance *c)
{
    if (chance_one_in(c, 1000))
        return chance_below(c, DAY_MS);
    return chance_one_in(c, 3) ? some_delay(c) % (60 * MINUTE_MS) : chance_below(c, 40);
}

/* The list: whoever's tick has come has to fire, in the order of the ticks; nobody else. */
static void run_and_compare(struct alarms *all, uint64_t now_ms)
{
    bool due[ALARMS_MAX];
    uint64_t ticks[ALARMS_MAX], last = 0;
    size_t due_n = 0;

    for (size_t i = 0; i < ALARMS_MAX; i++) {
        ticks[i] = tick_of(&all->alarm[i]);
        due[i] = timer_is_set(&all->alarm[i].timer) && ticks[i] <= now_ms / TIMERS_TICK_MS;
        due_n += due[i];
    }
    all->order_n = 0;
    run_at(all, now_ms);
    assert_int_equal(all->order_n, due_n);
    for (size_t i = 0; i < all->order_n; i++) {
        assert_true(due[all->order[i]]);
        assert_true(ticks[all->order[i]] >= last);
        last = ticks[all->order[i]];
    }
}

static size_t count_set(const struct alarms *all)
{
    size_t n = 0;

    for (size_t i = 0; i < ALARMS_MAX; i++)
        n += timer_is_set(&all->alarm[i].timer);
    return n;
}

static void sleeps_no_longer_than_the_list(const struct alarms *all)
{
    uint64_t first = UINT64_MAX, rest = timers_next_ms(&all->wheel, all->now_ms);

    for (size_t i = 0; i < ALARMS_MAX; i++)
        if (timer_is_set(&all->alarm[i].timer) && tick_of(&all->alarm[i]) < first)
            first = tick_of(&all->alarm[i]);
    assert_int_equal(rest == UINT64_MAX, first == UINT64_MAX);
    if (first != UINT64_MAX)
        assert_true(all->now_ms + rest <= first * TIMERS_TICK_MS || rest == 0);
}

static void random_lives_agree_with_a_list(void **state)
{
    struct chance c = chance_seeded("test_timers");
    struct alarms all;

    (void)state;
    for (int life = 0; life < 20; life++) {
        begin(&all, WHEELS_ROUND_MS - chance_below(&c, DAY_MS));
        for (int step = 0; step < 1500; step++) {
            for (size_t n = chance_below(&c, 5); n > 0; n--)
                some_change(&c, &all);
            assert_int_equal(all.wheel.n, count_set(&all));
            sleeps_no_longer_than_the_list(&all);
            all.now_ms += some_jump(&c);
            run_and_compare(&all, all.now_ms);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_early_and_at_most_a_tick_late),
        cmocka_unit_test(far_deadlines_keep_their_time),
        cmocka_unit_test(set_again_moves_and_clear_is_idempotent),
        cmocka_unit_test(a_deadline_in_the_past_fires_at_the_next_tick),
        cmocka_unit_test(a_long_jump_fires_everything_in_order),
        cmocka_unit_test(what_is_set_inside_a_call_waits_for_a_later_run),
        cmocka_unit_test(clearing_others_that_are_due_too),
        cmocka_unit_test(moving_another_that_is_due_too),
        cmocka_unit_test(sleeping_as_told_never_oversleeps),
        cmocka_unit_test(random_lives_agree_with_a_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
