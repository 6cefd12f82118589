/* Which server is next: exact shares over a cycle, smoothly; the least busy for its weight; never one that was tried while
 * another is left. */
#include "tests/gateway/scripted.h"
#include "tests/gateway/fleet.h"

#include "gateway/balance.h"
#include "protocol/hash.h"

#define SERVERS_MAX 100

struct fleet {
    struct fleet_conf servers;
    struct conf_upstream conf;
    struct server_set *set;
    struct upstream upstream;
    struct timers timers;
    struct mailbox mailbox;
    struct metrics metrics;
    uint64_t now_ms;
    size_t blocks_before;
};

static uint64_t clock_of(void *ctx)
{
    return ((struct fleet *)ctx)->now_ms;
}

static void begin(struct fleet *f, enum conf_balance balance, size_t n, const unsigned *weights)
{
    struct upstream_worker own = { .timers = &f->timers, .metrics = &f->metrics, .mailbox = &f->mailbox };

    memset(f, 0, sizeof(*f));
    f->blocks_before = mem_live_blocks();
    f->now_ms = 1000000;
    f->conf.balance = balance;
    f->conf.name = (char[]){ "app" };
    timers_init(&f->timers, clock_of, f);
    mailbox_init(&f->mailbox, NULL, NULL);
    fleet_conf(&f->servers, n, weights);
    f->set = server_set_new("app");
    assert_int_equal(server_set_update(f->set, f->servers.wishes, n), 0);
    upstream_init(&f->upstream, &f->conf, f->set, &own);
    upstream_refresh(&f->upstream);
    assert_int_equal(f->upstream.servers_n, n);
}

static void end(struct fleet *f)
{
    for (size_t i = 0; i < f->upstream.servers_n; i++) {
        struct server_state *s = f->upstream.servers[i]->state;
        atomic_store(&s->exchanges, 0);
        atomic_store(&s->tunnels, 0);
        atomic_store(&s->connections, 0);
    }
    upstream_free(&f->upstream);
    server_set_release(&f->set);
    mailbox_free(&f->mailbox);
    assert_int_equal(mem_live_blocks(), f->blocks_before);
}

static struct server_state *state_of(struct fleet *f, size_t i)
{
    return f->upstream.servers[i]->state;
}

static enum balance_verdict verdict(struct fleet *f, uint64_t tried, size_t *place_out)
{
    struct balance_wish wish = { .tried = tried };
    struct server *s;
    enum balance_verdict v = balance_choose(&f->upstream, &wish, &s);

    *place_out = SIZE_MAX;
    for (size_t i = 0; i < f->upstream.servers_n; i++)
        if (f->upstream.servers[i] == s)
            *place_out = i;
    assert_true((v == BALANCE_FOUND) == (*place_out < SIZE_MAX));
    return v;
}

static size_t choose(struct fleet *f, uint64_t tried)
{
    size_t place;

    assert_int_equal(verdict(f, tried, &place), BALANCE_FOUND);
    return place;
}

static void weights_are_exact_over_every_cycle(void **state)
{
    static const unsigned weights[][4] = { { 1, 1, 1, 1 }, { 5, 1, 1, 1 }, { 7, 3, 2, 1 }, { 1000, 1, 500, 499 },
                                            { 2, 2, 2, 1 } };
    struct fleet f;

    (void)state;
    for (size_t w = 0; w < sizeof(weights) / sizeof(weights[0]); w++) {
        unsigned sum = 0;
        begin(&f, CONF_BALANCE_ROUND_ROBIN, 4, weights[w]);
        for (size_t i = 0; i < 4; i++)
            sum += weights[w][i];
        for (int cycle = 0; cycle < 3; cycle++) {
            unsigned served[4] = { 0 };
            for (unsigned turn = 0; turn < sum; turn++)
                served[choose(&f, 0)]++;
            for (size_t i = 0; i < 4; i++)
                assert_int_equal(served[i], weights[w][i]);
        }
        end(&f);
    }
}

static void heavy_ones_are_spread_over_the_cycle(void **state)
{
    struct fleet f;
    size_t in_a_row = 0, most = 0;

    (void)state;
    begin(&f, CONF_BALANCE_ROUND_ROBIN, 3, (unsigned[]){ 4, 2, 2 });
    for (unsigned turn = 0; turn < 80; turn++) {
        in_a_row = choose(&f, 0) == 0 ? in_a_row + 1 : 0;
        most = in_a_row > most ? in_a_row : most;
    }
    assert_true(most <= 2);
    end(&f);
}

/* Of so many choices, those that went to the first. */
static unsigned to_first(struct fleet *f, unsigned choices)
{
    unsigned served = 0;

    for (unsigned i = 0; i < choices; i++)
        served += choose(f, 0) == 0;
    return served;
}

/* Between two more servers of the same weight, after a tenth, half and all of its time. */
static void one_that_is_back_takes_its_share_by_and_by(void **state)
{
    static const struct {
        uint64_t after_ms;
        unsigned least, most;            /* of 1000 */
    } rows[] = { { 0, 0, 3 }, { 1000, 40, 52 }, { 5000, 195, 205 }, { 9000, 305, 315 }, { 10000, 333, 334 }, { 100000, 333, 334 } };
    struct fleet f;

    (void)state;
    for (int ejected = 0; ejected < 2; ejected++)
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            unsigned served;
            begin(&f, CONF_BALANCE_ROUND_ROBIN, 3, NULL);
            f.conf.slow_start_ms = 10000;
            assert_in_range(to_first(&f, 999), 333, 333);        /* none of them was ever away */
            atomic_store(ejected ? &state_of(&f, 0)->ejected_until_ms : &state_of(&f, 0)->returned_ms, f.now_ms);
            f.now_ms += rows[i].after_ms;
            served = to_first(&f, 1000);
            if (served < rows[i].least || served > rows[i].most)
                fail_msg("after %u ms: %u of 1000", (unsigned)rows[i].after_ms, served);
            f.conf.slow_start_ms = 0;
            assert_in_range(to_first(&f, 999), 330, 336);
            end(&f);
        }
}

/* By the number of tunnels that it has, and not one more: an empty server is no reason to fill it at once. */
static void least_busy_fills_one_that_is_back_by_and_by(void **state)
{
    struct fleet f;

    (void)state;
    begin(&f, CONF_BALANCE_LEAST_BUSY, 2, NULL);
    f.conf.slow_start_ms = 10000;
    atomic_store(&state_of(&f, 1)->tunnels, 100);
    atomic_store(&state_of(&f, 0)->returned_ms, f.now_ms);
    for (int tenth = 1; tenth <= 10; tenth++) {
        f.now_ms += 1000;
        for (int i = 0; i < 100 && choose(&f, 0) == 0; i++)
            atomic_fetch_add(&state_of(&f, 0)->tunnels, 1);
        assert_in_range(atomic_load(&state_of(&f, 0)->tunnels), 10 * tenth - 1, 10 * tenth + 2);
    }
    end(&f);
}

/* A key moves once, and only to the one that is back. */
static void keys_come_back_one_by_one(void **state)
{
    size_t before[1000], moved = 0, expected = 0;
    struct fleet f;

    (void)state;
    begin(&f, CONF_BALANCE_HASH, 4, NULL);
    f.conf.slow_start_ms = 10000;
    atomic_store(&state_of(&f, 0)->returned_ms, f.now_ms);
    for (int tenth = 0; tenth <= 10; tenth++, f.now_ms += 1000) {
        size_t here = 0;
        for (size_t k = 0; k < 1000; k++) {
            struct balance_wish wish = { .keyed = true, .key = hash_pair(k, 7) };
            struct server *s;
            size_t place = 0;
            assert_int_equal(balance_choose(&f.upstream, &wish, &s), BALANCE_FOUND);
            while (f.upstream.servers[place] != s)
                place++;
            here += place == 0;
            if (tenth > 0 && place != before[k]) {
                assert_int_equal(place, 0);
                moved++;
            }
            before[k] = place;
        }
        expected = 1000 * (size_t)tenth / (30 + (size_t)tenth);  /* its weight, of all weights */
        assert_in_range(here, expected > 40 ? expected - 40 : 0, expected + 40);
    }
    assert_true(moved > 200);
    end(&f);
}

static void one_that_was_tried_is_passed_over(void **state)
{
    struct fleet f;

    (void)state;
    for (int balance = 0; balance < 2; balance++) {
        begin(&f, balance == 0 ? CONF_BALANCE_ROUND_ROBIN : CONF_BALANCE_LEAST_BUSY, 3, (unsigned[]){ 1, 1000, 1 });
        for (uint64_t tried = 1; tried < 7; tried++)
            for (int i = 0; i < 20; i++)
                assert_int_equal(tried >> choose(&f, tried) & 1, 0);
        for (int i = 0; i < 5; i++)
            assert_true(choose(&f, 7) < 3);                      /* all were tried: any of them */
        end(&f);
    }
}

static void trying_others_does_not_spoil_the_shares(void **state)
{
    struct fleet f;
    unsigned served[2] = { 0 };
    long sum = 0;

    (void)state;
    begin(&f, CONF_BALANCE_ROUND_ROBIN, 3, (unsigned[]){ 3, 1, 1 });
    for (int i = 0; i < 50; i++) {
        choose(&f, 0);
        choose(&f, 1);
        for (size_t s = 0; s < 3; s++)
            sum += f.upstream.servers[s]->turn;
        assert_int_equal(sum, 0);
    }
    for (int i = 0; i < 40; i++)
        served[choose(&f, 1) - 1]++;
    assert_true(served[0] >= 19 && served[0] <= 21);
    end(&f);
}

static void the_least_busy_for_its_weight(void **state)
{
    struct fleet f;

    (void)state;
    begin(&f, CONF_BALANCE_LEAST_BUSY, 3, (unsigned[]){ 1, 2, 1 });
    state_of(&f, 0)->exchanges = 3;
    state_of(&f, 1)->exchanges = 5;
    state_of(&f, 2)->exchanges = 4;
    assert_int_equal(choose(&f, 0), 1);          /* 5/2 is less than 3/1 */
    state_of(&f, 1)->exchanges = 7;
    assert_int_equal(choose(&f, 0), 0);
    assert_int_equal(choose(&f, 1), 1);          /* 7/2 is less than 4/1 */
    assert_int_equal(choose(&f, 3), 2);
    end(&f);
}

static void equally_busy_ones_take_turns(void **state)
{
    struct fleet f;
    unsigned served[4] = { 0 };

    (void)state;
    begin(&f, CONF_BALANCE_LEAST_BUSY, 4, (unsigned[]){ 1, 1, 2, 1 });
    state_of(&f, 3)->exchanges = 9;
    for (int i = 0; i < 40; i++)
        served[choose(&f, 0)]++;
    assert_int_equal(served[0], 10);
    assert_int_equal(served[1], 10);
    assert_int_equal(served[2], 20);
    assert_int_equal(served[3], 0);
    end(&f);
}

static void least_busy_fills_up_by_weight(void **state)
{
    struct fleet f;

    (void)state;
    begin(&f, CONF_BALANCE_LEAST_BUSY, 3, (unsigned[]){ 1, 3, 2 });
    for (int i = 0; i < 600; i++)
        state_of(&f, choose(&f, 0))->tunnels++;
    assert_int_equal(server_state_busy(state_of(&f, 0)), 100);
    assert_int_equal(server_state_busy(state_of(&f, 1)), 300);
    assert_int_equal(server_state_busy(state_of(&f, 2)), 200);
    end(&f);
}

/* ---- keys ---- */

#define KEYS 20000

static size_t place_of_key(struct fleet *f, size_t i, uint64_t tried)
{
    struct balance_wish wish = { .tried = tried, .keyed = true };
    struct server *s;
    char text[32];

    snprintf(text, sizeof(text), "10.%zu.%zu.%zu", i >> 16, i >> 8 & 255, i & 255);
    wish.key = hash_of(span_of_text(text));
    assert_int_equal(balance_choose(&f->upstream, &wish, &s), BALANCE_FOUND);
    for (size_t place = 0; place < f->upstream.servers_n; place++)
        if (f->upstream.servers[place] == s)
            return place;
    return SIZE_MAX;
}

/* Within five deviations. */
static bool is_about(double got, double due)
{
    return (got - due) * (got - due) < 25 * due;
}

static void keys_spread_by_weight(void **state)
{
    static const unsigned weights[][4] = { { 1, 1, 1, 1 }, { 1, 2, 3, 4 }, { 100, 1, 50, 50 } };

    (void)state;
    for (size_t w = 0; w < COUNT_OF(weights); w++) {
        struct fleet f;
        unsigned served[4] = { 0 }, sum = 0;
        begin(&f, CONF_BALANCE_HASH, 4, weights[w]);
        for (size_t i = 0; i < KEYS; i++)
            served[place_of_key(&f, i, 0)]++;
        for (size_t i = 0; i < 4; i++)
            sum += weights[w][i];
        for (size_t i = 0; i < 4; i++)
            assert_true(is_about(served[i], (double)KEYS * weights[w][i] / sum));
        end(&f);
    }
}

/* One server more takes about its own share, and no key moves between the others; so it is with one less, in whatever order they are written. */
static void a_server_more_moves_its_own_share(void **state)
{
    for (size_t n = 2; n <= 20; n += 3) {
        struct fleet before, after;
        size_t moved = 0;
        begin(&before, CONF_BALANCE_HASH, n, NULL);
        begin(&after, CONF_BALANCE_HASH, n + 1, NULL);
        for (size_t i = 0; i < KEYS; i++) {
            size_t was = place_of_key(&before, i, 0), is = place_of_key(&after, i, 0);
            assert_true(is == was || is == n);
            moved += is != was;
        }
        assert_true(is_about((double)moved, (double)KEYS / (double)(n + 1)));
        end(&after);
        end(&before);
    }
    (void)state;
}

/* What one gateway does another one does, too; and a key always goes to the same server. */
static void fixed_places(void **state)
{
    static const uint8_t due[] = { 4, 1, 1, 4, 0, 4, 1, 4, 2, 0, 3, 4, 1, 4, 4, 3, 1, 4, 2, 4, 1, 3, 4, 2 };
    struct fleet f;

    (void)state;
    begin(&f, CONF_BALANCE_HASH, 5, (unsigned[]){ 1, 2, 1, 1, 3 });
    for (size_t i = 0; i < COUNT_OF(due); i++)
        for (int again = 0; again < 3; again++)
            assert_int_equal(place_of_key(&f, i, 0), due[i]);
    end(&f);
}

static void the_keys_of_one_that_is_out_spread_over_the_others(void **state)
{
    struct fleet f;
    size_t was[4000];
    unsigned taken[5] = { 0 };

    (void)state;
    begin(&f, CONF_BALANCE_HASH, 5, NULL);
    for (size_t i = 0; i < COUNT_OF(was); i++)
        was[i] = place_of_key(&f, i, 0);
    state_of(&f, 2)->draining = true;
    for (size_t i = 0; i < COUNT_OF(was); i++) {
        size_t is = place_of_key(&f, i, 0);
        assert_true(is == was[i] || was[i] == 2);
        taken[is] += was[i] == 2;
    }
    assert_int_equal(taken[2], 0);
    for (size_t i = 0; i < 5; i++)
        assert_true(i == 2 || is_about(taken[i], (double)COUNT_OF(was) / 20));
    state_of(&f, 2)->draining = false;
    for (size_t i = 0; i < COUNT_OF(was); i++)
        assert_int_equal(place_of_key(&f, i, 0), was[i]);        /* and come back */
    for (size_t i = 0; i < 100; i++)
        assert_true(place_of_key(&f, i, 1u << was[i]) != was[i]);
    end(&f);
}

/* ---- keys with bounded loads ---- */

static uint64_t load_of_all(struct fleet *f)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < f->upstream.servers_n; i++)
        sum += server_state_busy(state_of(f, i));
    return sum;
}

/* Tunnels that stay, all of one key: it has its own server until that has its share and a quarter more, then the next one of its order. */
static void one_key_that_everybody_wants(void **state)
{
    struct fleet f;
    size_t own;

    (void)state;
    begin(&f, CONF_BALANCE_HASH, 4, (unsigned[]){ 1, 2, 1, 4 });
    f.conf.hash_bound = 125;
    own = place_of_key(&f, 7, 0);
    for (int n = 0; n < 4000; n++) {
        state_of(&f, place_of_key(&f, 7, 0))->tunnels++;
        for (size_t i = 0; i < 4; i++) {         /* never one too many */
            static const double weights[] = { 1, 2, 1, 4 };
            assert_true((double)state_of(&f, i)->tunnels < 1.25 * (n + 1) * weights[i] / 8 + 1);
        }
    }
    assert_true(state_of(&f, own)->tunnels >= state_of(&f, own)->weight * 4000 * 125 / 800);
    f.conf.hash_bound = 0;
    assert_int_equal(place_of_key(&f, 7, 0), own);       /* without a bound it would be there alone */
    end(&f);
}

/* Many keys, none of them special: nearly all are where they would be without a bound, and the tunnels spread better. */
static void many_keys_hardly_move(void **state)
{
    struct fleet f;
    unsigned away = 0;

    (void)state;
    begin(&f, CONF_BALANCE_HASH, 5, NULL);
    for (size_t i = 0; i < KEYS; i++) {
        size_t own, is;
        f.conf.hash_bound = 0;
        own = place_of_key(&f, i, 0);
        f.conf.hash_bound = 125;
        is = place_of_key(&f, i, 0);
        state_of(&f, is)->tunnels++;
        away += own != is;
    }
    assert_true(away < KEYS / 100);
    for (size_t i = 0; i < 5; i++)
        assert_true(state_of(&f, i)->tunnels <= load_of_all(&f) / 4 + 1);
    end(&f);
}

static void those_within_the_bound_may_be_tried_or_full(void **state)
{
    struct fleet f;
    size_t own;

    (void)state;
    begin(&f, CONF_BALANCE_HASH, 2, NULL);
    f.conf.hash_bound = 101;
    own = place_of_key(&f, 1, 0);
    state_of(&f, own)->tunnels = 100;
    assert_int_equal(place_of_key(&f, 1, 0), 1 - own);
    assert_int_equal(place_of_key(&f, 1, (uint64_t)1 << (1 - own)), own);        /* who is left is its own crowd */
    atomic_store(&f.set->places, 100);
    state_of(&f, 1 - own)->connections = 100;
    assert_int_equal(place_of_key(&f, 1, 0), own);
    end(&f);
}

/* Workers and gateways that list the same servers agree, whatever the order; tunnels that stay make no difference without a bound. */
static void tunnels_that_stay_move_no_key(void **state)
{
    struct fleet f;
    size_t was[500];

    (void)state;
    begin(&f, CONF_BALANCE_HASH, 5, NULL);
    for (size_t i = 0; i < COUNT_OF(was); i++) {
        was[i] = place_of_key(&f, i, 0);
        state_of(&f, was[i])->tunnels += i;
    }
    for (size_t i = 0; i < COUNT_OF(was); i++)
        assert_int_equal(place_of_key(&f, i, 0), was[i]);
    end(&f);
}

/* In turn, tunnels that stay are spread as new ones come, whoever ended before. */
static void in_turn_however_long_they_stay(void **state)
{
    struct fleet f;

    (void)state;
    begin(&f, CONF_BALANCE_ROUND_ROBIN, 3, (unsigned[]){ 2, 1, 1 });
    state_of(&f, 0)->tunnels = 1000;
    for (int i = 0; i < 400; i++)
        state_of(&f, choose(&f, 0))->tunnels++;
    assert_int_equal(state_of(&f, 0)->tunnels, 1200);
    assert_int_equal(state_of(&f, 1)->tunnels, 100);
    assert_int_equal(state_of(&f, 2)->tunnels, 100);
    end(&f);
}

static void without_a_key_in_turn(void **state)
{
    struct fleet f;
    unsigned served[3] = { 0 };

    (void)state;
    begin(&f, CONF_BALANCE_HASH, 3, NULL);
    for (int i = 0; i < 30; i++)
        served[choose(&f, 0)]++;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(served[i], 10);
    end(&f);
}

/* ---- tiers, workers ---- */

static void backups_when_nobody_else_is_left(void **state)
{
    struct fleet f;

    (void)state;
    for (int balance = 0; balance < 3; balance++) {
        begin(&f, (enum conf_balance)balance, 4, NULL);
        state_of(&f, 1)->backup = state_of(&f, 3)->backup = true;
        for (int i = 0; i < 10; i++)
            assert_int_equal(choose(&f, 0) % 2, 0);
        for (int i = 0; i < 10; i++)
            assert_int_equal(choose(&f, 5) % 2, 1);              /* the others were tried */
        state_of(&f, 0)->draining = state_of(&f, 2)->draining = true;
        for (int i = 0; i < 10; i++)
            assert_int_equal(choose(&f, 0) % 2, 1);
        end(&f);
    }
}

/* Whoever is bound to one that drains stays with it; one that is down by its checks keeps nobody, and is not even the last resort. */
static void one_that_is_down_gets_nobody(void **state)
{
    struct fleet f;
    struct balance_wish bound;
    struct server *s;
    size_t place;

    (void)state;
    begin(&f, CONF_BALANCE_ROUND_ROBIN, 3, NULL);
    bound = (struct balance_wish){ .bound = true, .bound_to = state_of(&f, 0)->id };
    state_of(&f, 0)->draining = true;
    assert_int_equal(balance_choose(&f.upstream, &bound, &s), BALANCE_FOUND);
    assert_ptr_equal(s->state, state_of(&f, 0));
    state_of(&f, 0)->down = true;
    state_of(&f, 1)->down = true;
    for (int i = 0; i < 6; i++) {
        assert_int_equal(choose(&f, 0), 2);
        assert_int_equal(balance_choose(&f.upstream, &bound, &s), BALANCE_FOUND);
        assert_ptr_equal(s->state, state_of(&f, 2));
    }
    state_of(&f, 2)->ejected_until_ms = f.now_ms + 1000;         /* better than one that is down */
    assert_int_equal(choose(&f, 0), 2);
    state_of(&f, 2)->down = true;
    assert_int_equal(verdict(&f, 0, &place), BALANCE_NONE);
    assert_int_equal(balance_choose(&f.upstream, &bound, &s), BALANCE_NONE);
    end(&f);
}

static void one_that_drains_gets_nobody(void **state)
{
    struct fleet f;
    size_t place;

    (void)state;
    begin(&f, CONF_BALANCE_ROUND_ROBIN, 2, NULL);
    state_of(&f, 0)->draining = true;
    for (int i = 0; i < 10; i++)
        assert_int_equal(choose(&f, 0), 1);
    assert_int_equal(choose(&f, 2), 1);          /* not even for a second try */
    state_of(&f, 1)->draining = true;
    assert_int_equal(verdict(&f, 0, &place), BALANCE_NONE);
    end(&f);
}

/* The first request of each worker after a start. */
static void each_worker_begins_at_another_server(void **state)
{
    unsigned first[3] = { 0 };

    (void)state;
    for (unsigned worker = 0; worker < 6; worker++) {
        struct fleet f;
        begin(&f, CONF_BALANCE_ROUND_ROBIN, 3, NULL);
        f.upstream.worker.number = worker;
        first[choose(&f, 0)]++;
        end(&f);
    }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(first[i], 2);
}

/* Tunnels stay: what counts is how many there are, of all workers, and not whose turn it would be. */
static void tunnels_that_stay_are_weighed(void **state)
{
    struct fleet f;
    size_t place;

    (void)state;
    begin(&f, CONF_BALANCE_LEAST_BUSY, 3, NULL);
    state_of(&f, 0)->tunnels = 40;               /* another worker's */
    for (int i = 0; i < 200; i++)
        state_of(&f, choose(&f, 0))->tunnels++;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(server_state_busy(state_of(&f, i)), 80);
    state_of(&f, 1)->tunnels = 0;                /* it was restarted, and its clients come back */
    for (int i = 0; i < 80; i++) {
        assert_int_equal(verdict(&f, 0, &place), BALANCE_FOUND);
        assert_int_equal(place, 1);
        state_of(&f, place)->tunnels++;
    }
    end(&f);
}

static void one_server_is_always_the_one(void **state)
{
    struct fleet f;

    (void)state;
    begin(&f, CONF_BALANCE_ROUND_ROBIN, 1, NULL);
    for (int i = 0; i < 5; i++)
        assert_int_equal(choose(&f, i % 2 == 0 ? 0 : 1), 0);
    end(&f);
}

static void more_servers_than_can_be_counted_as_tried(void **state)
{
    struct fleet f;
    unsigned served[SERVERS_MAX] = { 0 };

    (void)state;
    begin(&f, CONF_BALANCE_ROUND_ROBIN, SERVERS_MAX, NULL);
    for (int i = 0; i < SERVERS_MAX; i++)
        served[choose(&f, 0)]++;
    for (size_t i = 0; i < SERVERS_MAX; i++)
        assert_int_equal(served[i], 1);
    for (int i = 0; i < SERVERS_MAX; i++)
        assert_true(choose(&f, UINT64_MAX) >= UPSTREAM_TRIED_MAX);
    end(&f);
    begin(&f, CONF_BALANCE_LEAST_BUSY, SERVERS_MAX, NULL);
    for (size_t i = 0; i < SERVERS_MAX; i++)
        state_of(&f, i)->exchanges = 1;
    state_of(&f, 70)->exchanges = 0;
    assert_int_equal(choose(&f, 0), 70);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_exact_over_every_cycle),
        cmocka_unit_test(heavy_ones_are_spread_over_the_cycle),
        cmocka_unit_test(one_that_is_back_takes_its_share_by_and_by),
        cmocka_unit_test(least_busy_fills_one_that_is_back_by_and_by),
        cmocka_unit_test(keys_come_back_one_by_one),
        cmocka_unit_test(one_that_was_tried_is_passed_over),
        cmocka_unit_test(trying_others_does_not_spoil_the_shares),
        cmocka_unit_test(the_least_busy_for_its_weight),
        cmocka_unit_test(equally_busy_ones_take_turns),
        cmocka_unit_test(least_busy_fills_up_by_weight),
        cmocka_unit_test(keys_spread_by_weight),
        cmocka_unit_test(a_server_more_moves_its_own_share),
        cmocka_unit_test(fixed_places),
        cmocka_unit_test(the_keys_of_one_that_is_out_spread_over_the_others),
        cmocka_unit_test(one_key_that_everybody_wants),
        cmocka_unit_test(many_keys_hardly_move),
        cmocka_unit_test(those_within_the_bound_may_be_tried_or_full),
        cmocka_unit_test(tunnels_that_stay_move_no_key),
        cmocka_unit_test(in_turn_however_long_they_stay),
        cmocka_unit_test(without_a_key_in_turn),
        cmocka_unit_test(backups_when_nobody_else_is_left),
        cmocka_unit_test(one_that_drains_gets_nobody),
        cmocka_unit_test(one_that_is_down_gets_nobody),
        cmocka_unit_test(each_worker_begins_at_another_server),
        cmocka_unit_test(tunnels_that_stay_are_weighed),
        cmocka_unit_test(one_server_is_always_the_one),
        cmocka_unit_test(more_servers_than_can_be_counted_as_tried),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
