/* Servers that fail again and again are left out for a while, for longer each time, and never the last one. */
#include "tests/gateway/talk.h"

#define ANSWER "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"

static struct conf *strict;

static int load(void **state)
{
    (void)state;
    strict = world_conf("listeners: [ 127.0.0.1:1 ]\nroutes: [ { upstream: app, timeouts: { response: 1s } } ]\n"
                        "upstreams: { app: { servers: [ 9001, 9002 ], retries: 0, eject: { failures: 2, for: 10s } } }\n");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    conf_free(strict);
    return 0;
}

static struct server_state *state_of(struct world *w, size_t i)
{
    return w->services.snapshot->upstreams[0].servers[i]->state;
}

/* One request; the port that it went to. */
static unsigned ask(struct world *w, enum dial_plan plan, const char *answer)
{
    size_t dial = w->dials;
    struct peer *client = world_client(w);

    w->plan[dial] = plan;
    client->react = hang_up_when_finished;
    says(w, client, GET("/"));
    if (plan == DIAL_GIVES && answer != NULL)
        says(w, world_server(w, w->servers_n - 1), answer);
    if (answer != NULL && strcmp(answer, ANSWER) == 0)
        expect_ends_with(&client->got, "ok");
    if (answer == NULL)
        world_sleep(w, 1100);
    peer_ends(client);
    world_run(w);
    return w->dialed[dial]->port;
}

/* The next request that goes to the first server goes so. */
static void at_first(struct world *w, enum dial_plan plan, const char *answer)
{
    struct server *const *servers = w->services.snapshot->upstreams[0].servers;

    if (servers[0]->turn < servers[1]->turn)
        assert_int_equal(ask(w, DIAL_GIVES, ANSWER), 9002);
    assert_int_equal(ask(w, plan, answer), 9001);
}

static bool is_out(struct world *w, size_t i)
{
    return server_state_tier(state_of(w, i), w->now_ms) == SERVER_EJECTED;
}

static void failures_in_a_row(void **state)
{
    static const struct {
        enum dial_plan plan;
        const char *answer;
    } kinds[] = {
        { DIAL_REFUSED, "" }, { DIAL_UNRESOLVED, "" }, { DIAL_GIVES, "HTTP/1.1 nonsense\r\n\r\n" }, { DIAL_GIVES, NULL },
    };

    (void)state;
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        struct world w;
        world_begin(&w, strict);
        at_first(&w, kinds[k].plan, kinds[k].answer);
        assert_false(is_out(&w, 0));
        at_first(&w, kinds[k].plan, kinds[k].answer);
        assert_true(is_out(&w, 0));
        assert_int_equal(w.metrics.ejections, 1);
        expect_in(&w.log, "upstream app server 127.0.0.1:9001: left out for 10000ms, after 2 failures in a row");
        for (int i = 0; i < 4; i++)
            assert_int_equal(ask(&w, DIAL_GIVES, ANSWER), 9002);
        world_end(&w);
    }
}

static void an_answer_between_them_is_enough(void **state)
{
    struct world w;

    (void)state;
    world_begin(&w, strict);
    for (int i = 0; i < 4; i++) {
        at_first(&w, DIAL_REFUSED, "");
        at_first(&w, DIAL_GIVES, "HTTP/1.1 500 Oh\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    }
    assert_int_equal(w.metrics.ejections, 0);
    world_end(&w);
}

static void longer_each_time_until_it_does_well(void **state)
{
    struct world w;

    (void)state;
    world_begin(&w, strict);
    at_first(&w, DIAL_REFUSED, "");
    at_first(&w, DIAL_REFUSED, "");
    for (uint64_t ms = 10000, times = 1; times <= 5; times++, ms = ms < 80000 ? 2 * ms : ms) {
        world_sleep(&w, ms - 10);
        assert_true(is_out(&w, 0));
        world_sleep(&w, 20);
        assert_false(is_out(&w, 0));
        at_first(&w, DIAL_REFUSED, "");          /* one failure is enough now */
        assert_int_equal(w.metrics.ejections, times + 1);
    }
    world_sleep(&w, 80010);
    at_first(&w, DIAL_GIVES, ANSWER);
    expect_in(&w.log, "upstream app server 127.0.0.1:9001: does well again");
    at_first(&w, DIAL_REFUSED, "");
    assert_false(is_out(&w, 0));
    at_first(&w, DIAL_REFUSED, "");
    world_sleep(&w, 9990);
    assert_true(is_out(&w, 0));
    world_sleep(&w, 20);
    assert_false(is_out(&w, 0));
    world_end(&w);
}

static void never_the_last(void **state)
{
    struct world w;

    (void)state;
    world_begin(&w, strict);
    for (int i = 0; i < 8; i++)
        ask(&w, DIAL_REFUSED, "");
    assert_true(is_out(&w, 0) != is_out(&w, 1));
    ask(&w, DIAL_GIVES, ANSWER);
    leave(&w, world_client(&w));
}

/* ---- by the rate ---- */

#define RATE(keys) "listeners: [ 127.0.0.1:1 ]\nroutes: [ { upstream: app, timeouts: { response: 1s } } ]\n" \
                   "upstreams: { app: { servers: [ 9001, 9002 ], retries: 0, eject: { " keys " } } }\n"

static void every_other_request_fails(void **state)
{
    struct conf *rated = world_conf(RATE("error_rate: 50, requests: 4, window: 10s, for: 10s"));
    struct world w;

    (void)state;
    world_begin(&w, rated);
    for (int i = 0; i < 2; i++) {
        assert_false(is_out(&w, 0));
        at_first(&w, DIAL_GIVES, ANSWER);
        at_first(&w, DIAL_REFUSED, "");
    }
    assert_true(is_out(&w, 0));
    expect_in(&w.log, "upstream app server 127.0.0.1:9001: left out for 10000ms, after 2 failures in 4 requests");
    world_sleep(&w, 10010);
    for (int i = 0; i < 2; i++) {        /* as bad as before, and one good answer in between hides nothing */
        assert_false(is_out(&w, 0));
        at_first(&w, DIAL_GIVES, ANSWER);
        at_first(&w, DIAL_REFUSED, "");
    }
    assert_true(is_out(&w, 0));
    expect_in(&w.log, "left out for 20000ms, after 2 failures in 4 requests");
    world_sleep(&w, 20010 + 10000);
    at_first(&w, DIAL_GIVES, ANSWER);
    expect_in(&w.log, "upstream app server 127.0.0.1:9001: does well again");
    assert_int_equal(state_of(&w, 0)->ejections, 0);
    world_end(&w);
    conf_free(rated);
}

static void few_failures_and_old_ones_say_nothing(void **state)
{
    struct conf *rated = world_conf(RATE("error_rate: 50, requests: 4, window: 10s"));
    struct world w;

    (void)state;
    world_begin(&w, rated);
    for (int i = 0; i < 3; i++)
        at_first(&w, DIAL_REFUSED, "");  /* all of them, but too few */
    world_sleep(&w, 10010);
    at_first(&w, DIAL_REFUSED, "");      /* of another window */
    world_sleep(&w, 10010);
    for (int i = 0; i < 8; i++)          /* a third */
        at_first(&w, i % 3 == 2 ? DIAL_REFUSED : DIAL_GIVES, i % 3 == 2 ? "" : ANSWER);
    assert_int_equal(w.metrics.ejections, 0);
    assert_false(is_out(&w, 0));
    world_end(&w);
    conf_free(rated);
}

static void statuses_count_where_they_are_to(void **state)
{
    static const struct {
        const char *keys, *status;
        bool out;
    } rows[] = {
        { "failures: 2", "503", false }, { "failures: 2, statuses: on", "503", true }, { "failures: 2, statuses: on", "500", true },
        { "failures: 2, statuses: on", "501", false }, { "failures: 2, statuses: on", "404", false },
        { "error_rate: 100, requests: 2, statuses: on", "502", true }, { "error_rate: 100, requests: 2", "502", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[512], answer[128];
        struct conf *rated;
        struct world w;
        snprintf(text, sizeof(text), RATE("%s"), rows[i].keys);
        snprintf(answer, sizeof(answer), "HTTP/1.1 %s x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", rows[i].status);
        rated = world_conf(text);
        world_begin(&w, rated);
        at_first(&w, DIAL_GIVES, answer);
        at_first(&w, DIAL_GIVES, answer);
        assert_int_equal(is_out(&w, 0), rows[i].out);
        world_end(&w);
        conf_free(rated);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_a_row),
        cmocka_unit_test(an_answer_between_them_is_enough),
        cmocka_unit_test(longer_each_time_until_it_does_well),
        cmocka_unit_test(never_the_last),
        cmocka_unit_test(every_other_request_fails),
        cmocka_unit_test(few_failures_and_old_ones_say_nothing),
        cmocka_unit_test(statuses_count_where_they_are_to),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
