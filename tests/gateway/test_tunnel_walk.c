/* Walks over tunnels: which are meant, what is shown of them, and what becomes of them; and the moments of a drain. */
#include "tests/gateway/play.h"

#include "gateway/tunnel_parts.h"
#include "gateway/tunnel_walk.h"

#define CONF                                                                                                                     \
    "listeners: [ { address: 127.0.0.1:1, name: main } ]\nupstreams: { app: { servers: [ 127.0.0.1:9001 ] } }\n"                 \
    "routes: [ { match: { path: /ws }, upstream: app }, { upstream: app } ]\n"

static size_t windows_most(unsigned n, uint64_t spread_ms, uint64_t window_ms, uint64_t phase)
{
    static size_t counts[100000];
    size_t most = 0, in = 0;

    memset(counts, 0, sizeof(counts));
    assert_true(spread_ms < COUNT_OF(counts));
    for (unsigned i = 0; i < n; i++) {
        uint64_t at = tunnel_spread_ms(&phase, spread_ms);
        assert_true(at <= spread_ms);
        counts[at]++;
    }
    for (uint64_t ms = 0; ms <= spread_ms; ms++) {
        in += counts[ms];
        in -= ms >= window_ms ? counts[ms - window_ms] : 0;
        most = in > most ? in : most;
    }
    return most;
}

/* In no second more than one and a half times what comes on average (and one), however many there are and wherever it begins. */
static void a_drain_is_spread_evenly(void **state)
{
    static const unsigned numbers[] = { 1, 2, 3, 7, 30, 99, 1000, 5000, 12345 };
    uint64_t dice = 1;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        for (int round = 0; round < 20; round++) {
            size_t most;
            dice = dice * UINT64_C(6364136223846793005) + 1442695040888963407;
            most = windows_most(numbers[i], 30000, 1000, dice);
            if (most > numbers[i] / 20 + 1 + (numbers[i] > 1))
                fail_msg("%u tunnels: %zu in one second", numbers[i], most);
        }
    assert_int_equal(windows_most(100, 0, 1000, 1), 100);
}

static void walk(struct world *w, struct tunnel_walk *k, struct tunnel_query *q)
{
    tunnel_walk_begin(k, &w->services, q);
    while (!tunnel_walk_on(k, &w->services, 2))
        continue;
    assert_null(w->services.tunnel_walk);
}

static size_t matches(struct world *w, const struct tunnel_query *q)
{
    struct tunnel_query copy = { 0 };
    struct tunnel_walk k;

    memcpy(&copy, q, sizeof(copy));
    copy.deed = TUNNEL_SHOW;
    walk(w, &k, &copy);
    tunnel_walk_free(&k);
    return k.matched;
}

static void those_that_are_meant(void **state)
{
    static const struct {
        struct tunnel_query q;
        size_t due;
    } rows[] = {
        { { .upstream = "" }, 3 },
        { { .upstream = "app" }, 3 },
        { { .upstream = "ap" }, 0 },
        { { .server = "127.0.0.1:9001" }, 3 },
        { { .server = "127.0.0.1" }, 0 },
        { { .route = "/ws" }, 2 },
        { { .route = "/" }, 1 },
        { { .client = "192.0.2.7" }, 3 },
        { { .client = "192.0.2" }, 0 },
        { { .client = "192.0.2.7:40000" }, 3 },
        { { .client = "192.0.2.70" }, 0 },
        { { .older_ms = 1000 }, 1 },
        { { .older_ms = 1001 }, 0 },
        { { .one = true, .number = 2 }, 1 },
        { { .one = true, .number = 4 }, 0 },
        { { .one = true, .number = 2, .worker = 1 }, 0 },
        { { .one = true, .number = 3, .route = "/ws" }, 0 },
    };
    struct world w;
    struct conf *conf = world_conf(CONF);

    (void)state;
    world_begin(&w, conf);
    play_begin(&w, 0, false);
    world_sleep(&w, 1000);
    play_begin(&w, 0, false);
    play_begin(&w, 1, false);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (matches(&w, &rows[i].q) != rows[i].due)
            fail_msg("row %zu: %zu tunnels, should be %zu", i, matches(&w, &rows[i].q), rows[i].due);
    world_kill(&w);
    world_end(&w);
    conf_free(conf);
}

static void what_is_shown(void **state)
{
    struct tunnel_query q = { .deed = TUNNEL_SHOW, .left = 2 };
    struct tunnel_walk k;
    struct stage st;
    struct world w;
    struct conf *conf = world_conf(CONF);

    (void)state;
    world_begin(&w, conf);
    st = play_begin(&w, 0, false);
    play(&st, "c text(hello); t 2000");
    play_begin(&w, 1, false);
    play_begin(&w, 1, false);
    walk(&w, &k, &q);
    text_put(&k.text, span_of("", 1));
    assert_int_equal(k.matched, 3);
    assert_int_equal(k.done, 2);
    assert_non_null(strstr(k.text.p, "{\"id\":\"0-1\",\"state\":\"open\",\"age_ms\":2000,\"bytes_per_second\":5,\"client\":\"192.0.2.7:40000\",\"user\":\"\",\"request_id\":\"\",\"trace_id\":\"\","
                                     "\"target\":\"/ws\",\"host\":\"example.com\",\"protocol\":\"chat\",\"route\":\"/ws\",\"upstream\":\"app\","
                                     "\"server\":\"127.0.0.1:9001\",\"from_client\":{\"bytes\":11,\"frames\":1,\"messages\":1,\"silent_ms\":2000,"
                                     "\"blocked\":false}"));
    assert_non_null(strstr(k.text.p, "},{\"id\":\"0-2\""));
    assert_null(strstr(k.text.p, "0-3"));
    tunnel_walk_free(&k);
    world_kill(&w);
    world_end(&w);
    conf_free(conf);
}

static void the_busiest_are_those_that_moved_lately(void **state)
{
    struct tunnel_query q = { .deed = TUNNEL_RANK, .left = 1 };
    struct tunnel_walk k;
    struct stage once, now;
    struct world w;
    struct conf *conf = world_conf(CONF);

    (void)state;
    world_begin(&w, conf);
    once = play_begin(&w, 0, false);
    now = play_begin(&w, 0, false);
    play(&once, "c text(much much much much much); t 1000");
    walk(&w, &k, &q);
    assert_int_equal(k.busiest[0].rate, 6 + 24);
    assert_int_equal(k.busiest[1].rate, 0);
    tunnel_walk_free(&k);
    play(&now, "s text(a bit); t 1000");
    q.left = 1;
    walk(&w, &k, &q);
    assert_int_equal(k.done, 1);         /* the longest */
    assert_int_equal(k.busiest[0].rate, 2 + 5);
    assert_int_equal(strncmp(k.busiest[0].text.p, "{\"id\":\"0-2\"", 11), 0);
    assert_int_equal(k.busiest[1].rate, 0);
    tunnel_walk_free(&k);
    world_kill(&w);
    world_end(&w);
    conf_free(conf);
}

static struct tunnel *newest(struct world *w)
{
    return LIST_OWNER(w->services.tunnels.prev, struct tunnel, link);
}

/* In the minute that may be between two looks a fast network moves more bytes than 32 bits can tell, but not more than 42. */
static void much_moved_between_two_looks(void **state)
{
    struct tunnel_query q = { .deed = TUNNEL_RANK, .left = 1 };
    struct tunnel_walk k;
    struct stage st;
    struct world w;
    struct conf *conf = world_conf(CONF);

    (void)state;
    world_begin(&w, conf);
    st = play_begin(&w, 0, false);
    newest(&w)->sides[0].pump.moved = (UINT64_C(1) << 42) - 1;
    play(&st, "t 1000");
    walk(&w, &k, &q);
    tunnel_walk_free(&k);
    newest(&w)->sides[1].pump.moved += UINT64_C(6) << 32;
    play(&st, "t 50000");
    q.left = 1;
    walk(&w, &k, &q);
    assert_int_equal(k.busiest[0].rate, (UINT64_C(6) << 32) / 50);
    tunnel_walk_free(&k);
    world_kill(&w);
    world_end(&w);
    conf_free(conf);
}

static void a_tunnel_that_ends_is_stepped_over(void **state)
{
    struct tunnel_query q = { .deed = TUNNEL_SHOW, .left = SIZE_MAX };
    struct tunnel_walk k;
    struct stage st[5];
    struct world w;
    struct conf *conf = world_conf(CONF);

    (void)state;
    world_begin(&w, conf);
    for (size_t i = 0; i < COUNT_OF(st); i++)
        st[i] = play_begin(&w, 0, false);
    tunnel_walk_begin(&k, &w.services, &q);
    assert_false(tunnel_walk_on(&k, &w.services, 2));
    assert_int_equal(k.done, 2);
    play(&st[2], "& c reset; s reset; t 10000");         /* where the walk stands */
    play(&st[3], "& c reset; s reset; t 10000");
    play(&st[0], "& c reset; s reset; t 10000");
    assert_true(tunnel_walk_on(&k, &w.services, 2));
    assert_int_equal(k.matched, 3);
    tunnel_walk_free(&k);
    tunnel_walk_begin(&k, &w.services, &q);
    world_kill(&w);
    assert_true(tunnel_walk_on(&k, &w.services, 2));
    assert_int_equal(k.matched, 0);
    tunnel_walk_free(&k);
    world_end(&w);
    conf_free(conf);
}

static void the_operator_closes_one(void **state)
{
    struct tunnel_query q = { .deed = TUNNEL_CLOSE, .one = true, .number = 1, .code = 4001, .reason = "please leave" };
    struct tunnel_walk k;
    struct stage st;
    struct bytes saw;
    struct world w;
    struct conf *conf = world_conf(CONF);

    (void)state;
    world_begin(&w, conf);
    st = play_begin(&w, 0, false);
    walk(&w, &k, &q);
    assert_int_equal(k.done, 1);
    tunnel_walk_free(&k);
    walk(&w, &k, &q);
    assert_int_equal(k.matched, 1);      /* it ends already */
    assert_int_equal(k.done, 0);
    tunnel_walk_free(&k);
    world_run(&w);
    saw = play_saw(&st, st.client);
    assert_string_equal(bytes_text(&saw), "close(4001)");
    bytes_free(&saw);
    play(&st, "c close(4001); s close(1001); c eof; s eof");
    assert_string_equal(world_said(&w, "tunnel", 0, "end"), "operator");
    world_end(&w);
    conf_free(conf);
}

static void a_fraction_is_drained(void **state)
{
    struct tunnel_query q = { .deed = TUNNEL_DRAIN, .fraction = TUNNEL_WALK_PARTS / 4, .spread_ms = 1000 };
    struct tunnel_walk k;
    struct world w;
    struct conf *conf = world_conf(CONF);

    (void)state;
    world_begin(&w, conf);
    for (int i = 0; i < 25; i++)
        play_begin(&w, 0, false);
    walk(&w, &k, &q);
    assert_int_equal(k.matched, 25);
    assert_true(k.done == 6 || k.done == 7);
    tunnel_walk_free(&k);
    world_sleep(&w, 30000);
    assert_int_equal(w.metrics.ended[METRICS_TUNNEL][END_DRAINED], k.done);
    world_kill(&w);
    world_end(&w);
    conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_drain_is_spread_evenly),
        cmocka_unit_test(those_that_are_meant),
        cmocka_unit_test(what_is_shown),
        cmocka_unit_test(the_busiest_are_those_that_moved_lately),
        cmocka_unit_test(much_moved_between_two_looks),
        cmocka_unit_test(a_tunnel_that_ends_is_stepped_over),
        cmocka_unit_test(the_operator_closes_one),
        cmocka_unit_test(a_fraction_is_drained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
