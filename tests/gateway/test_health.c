/* Who is up: the first result, rise and fall, what is answered when nobody is left, and what a reload keeps and changes. */
#include "tests/gateway/world.h"

#include "gateway/health.h"

#define FILE_OF(upstream) "listeners: [ 127.0.0.1:1 ]\nupstreams: { app: { servers: [ 127.0.0.1:9001, { address: 127.0.0.1:9002, id: two } ], " upstream \
                          " } }\nroutes: [ { upstream: app } ]\n"
#define TCP FILE_OF("retries: 0, health: { tcp: on, interval: 1s, timeout: 100ms, rise: 2, fall: 3 }")
#define ROUND_MS 1120                    /* an interval with all of its jitter, and a little */

struct checked {
    struct world w;
    struct conf *conf;
    struct health *health;
    struct server_state *one, *two;
};

static void begin(struct checked *c, const char *text)
{
    c->conf = world_conf(text);
    world_begin(&c->w, c->conf);
    c->one = c->w.generation.sets[0]->members[0];
    c->two = c->w.generation.sets[0]->members[1];
    c->health = health_new(&c->w.services);
    assert_non_null(c->health);
}

static void end(struct checked *c)
{
    health_free(c->health);
    world_end(&c->w);
    conf_free(c->conf);
}

static bool said(const struct checked *c, const char *text)
{
    return strstr(bytes_text(&c->w.log), text) != NULL;
}

static bool dialed(const struct checked *c, size_t nth, const struct server_state *s)
{
    return strcmp(c->w.dialed[nth]->text, s->address.text) == 0;
}

/* The next checks of a server, while all else is as it was. */
static void plan(struct checked *c, size_t nth, enum dial_plan plan)
{
    c->w.plan[nth] = plan;
}

static void the_first_result_counts(void **state)
{
    struct checked c;

    (void)state;
    begin(&c, TCP);
    assert_int_equal(server_state_health(c.one), SERVER_UNCHECKED);
    plan(&c, 1, DIAL_REFUSED);
    health_follow(c.health, &c.w.generation);
    assert_int_equal(server_state_health(c.one), SERVER_UP);
    assert_int_equal(server_state_health(c.two), SERVER_UP);     /* until somebody says otherwise */
    assert_int_equal(c.w.dials, 2);                              /* at once */
    world_run(&c.w);
    assert_true(dialed(&c, 0, c.one) && dialed(&c, 1, c.two));
    assert_int_equal(server_state_health(c.one), SERVER_UP);
    assert_int_equal(server_state_health(c.two), SERVER_DOWN);
    assert_int_equal(server_state_tier(c.two, c.w.now_ms), SERVER_OUT);
    assert_true(said(&c, "upstream app server 127.0.0.1:9001: up, by its first check"));
    assert_true(said(&c, "upstream app server two: down, by its check: the server could not be reached: connection refused"));
    assert_int_equal(c.w.metrics.health_checks, 2);
    assert_int_equal(c.w.metrics.health_checks_failed, 1);
    assert_int_equal(c.w.metrics.servers_fell, 1);
    end(&c);
}

/* Of two servers each round has two checks, in whichever order. */
static void plan_round(struct checked *c, enum dial_plan plan)
{
    size_t from = c->w.dials;

    c->w.plan[from] = c->w.plan[from + 1] = plan;
    world_sleep(&c->w, ROUND_MS);
    assert_int_equal(c->w.dials, from + 2);
}

static void rise_and_fall(void **state)
{
    struct checked c;

    (void)state;
    begin(&c, FILE_OF("health: { tcp: on, interval: 10s, timeout: 100ms, rise: 2, fall: 3 }"));
    health_follow(c.health, &c.w.generation);
    world_run(&c.w);
    for (int round = 0; round < 3; round++) {
        assert_false(c.one->down || c.two->down);
        c.w.plan[c.w.dials] = c.w.plan[c.w.dials + 1] = DIAL_REFUSED;
        world_sleep(&c.w, 11050);        /* an interval with all of its jitter, and a little */
    }
    assert_true(c.one->down && c.two->down);
    assert_true(said(&c, "a bad check, 1 of 3: ") && said(&c, "a bad check, 2 of 3: "));
    assert_true(said(&c, "error upstream app: no server is left: requests are answered 503"));
    assert_int_equal(c.w.metrics.servers_fell, 2);
    c.one->failures = 4;
    c.one->ejected_until_ms = c.w.now_ms + 1000000;
    world_sleep(&c.w, 11050);
    assert_true(c.one->down && c.two->down);
    world_sleep(&c.w, 11050);
    assert_false(c.one->down || c.two->down);
    assert_int_equal(c.w.metrics.servers_rose, 2);
    assert_int_equal(c.one->failures, 0);        /* it has proved itself */
    assert_int_equal(c.one->ejected_until_ms, 0);
    assert_true(c.one->returned_ms > WORLD_BEGINS_MS);
    assert_true(said(&c, "upstream app server two: up again, by its check"));
    end(&c);
}

static void what_hangs_is_late(void **state)
{
    struct checked c;

    (void)state;
    begin(&c, TCP);
    plan(&c, 0, DIAL_HANGS);
    plan(&c, 1, DIAL_HANGS);
    health_follow(c.health, &c.w.generation);
    world_sleep(&c.w, 90);
    assert_false(c.one->down || c.two->down);
    world_sleep(&c.w, 20);
    assert_true(c.one->down && c.two->down);
    plan_round(&c, DIAL_GIVES);
    plan_round(&c, DIAL_GIVES);
    assert_false(c.one->down || c.two->down);
    end(&c);
}

static void a_request_goes_to_who_is_up_or_is_answered_503(void **state)
{
    struct checked c;
    struct peer *client;

    (void)state;
    begin(&c, TCP);
    plan(&c, 0, DIAL_REFUSED);
    health_follow(c.health, &c.w.generation);
    world_run(&c.w);
    for (int i = 0; i < 3; i++) {
        client = world_client(&c.w);
        peer_says(client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        world_run(&c.w);
        assert_true(dialed(&c, c.w.dials - 1, c.two));
        peer_says(world_server(&c.w, c.w.servers_n - 1), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        world_run(&c.w);
        assert_true(strstr(bytes_text(&client->got), "HTTP/1.1 200") != NULL);
    }
    c.two->down = true;
    client = world_client(&c.w);
    peer_says(client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    world_run(&c.w);
    assert_true(strstr(bytes_text(&client->got), "HTTP/1.1 503") != NULL);
    assert_true(strstr(bytes_text(&client->got), "every server of the upstream is down or draining") != NULL);
    for (size_t i = 0; i < c.w.peers_n; i++)
        peer_ends(c.w.peers[i]);
    world_sleep(&c.w, 3000);
    end(&c);
}

/* As control_reload.c does it. */
static void reload(struct checked *c, const char *text)
{
    world_reload(&c->w, text);
    health_follow(c->health, c->w.services.snapshot->generation);
}

static void a_reload_keeps_what_is_known(void **state)
{
    struct checked c;
    size_t dials;

    (void)state;
    begin(&c, TCP);
    plan(&c, 1, DIAL_REFUSED);
    health_follow(c.health, &c.w.generation);
    world_run(&c.w);
    assert_true(c.two->down);
    dials = c.w.dials;
    reload(&c, TCP);                     /* nothing that concerns checks is new: they go on as they would have */
    world_run(&c.w);
    assert_int_equal(c.w.dials, dials);
    assert_true(c.two->down);
    plan_round(&c, DIAL_GIVES);
    assert_true(c.two->down);
    plan_round(&c, DIAL_GIVES);
    assert_false(c.two->down);           /* by two good ones, after one bad one under the configuration before */
    end(&c);
}

static void a_reload_changes_how_it_is_checked(void **state)
{
    struct checked c;
    size_t dials;

    (void)state;
    begin(&c, TCP);
    plan(&c, 0, DIAL_HANGS);
    plan(&c, 1, DIAL_REFUSED);
    health_follow(c.health, &c.w.generation);
    world_run(&c.w);
    dials = c.w.dials;
    reload(&c, FILE_OF("health: { tcp: on, interval: 1s, timeout: 100ms, rise: 1, fall: 3 }"));
    world_run(&c.w);
    assert_int_equal(c.w.dials, dials + 2);      /* at once, also the one that was under way */
    assert_false(c.one->down || c.two->down);
    plan(&c, c.w.dials, DIAL_REFUSED);
    plan(&c, c.w.dials + 1, DIAL_REFUSED);
    reload(&c, FILE_OF("health: { tcp: on, interval: 1s, timeout: 100ms, rise: 1, fall: 1 }"));
    world_run(&c.w);
    assert_true(c.one->down && c.two->down);
    reload(&c, FILE_OF("retries: 1"));           /* not checked any more: up */
    assert_int_equal(server_state_health(c.one), SERVER_UNCHECKED);
    assert_false(c.one->down || c.two->down);
    dials = c.w.dials;
    world_sleep(&c.w, 10000);
    assert_int_equal(c.w.dials, dials);
    end(&c);
}

static void without_memory_it_is_tried_again(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 20; nth++) {
        struct checked c;
        begin(&c, TCP);
        mem_fail_nth(nth);
        health_follow(c.health, &c.w.generation);
        world_run(&c.w);
        mem_fail_nth(0);
        assert_false(c.one->down && c.two->down);
        for (int i = 0; i < 3; i++)
            world_sleep(&c.w, ROUND_MS);
        end(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_result_counts),
        cmocka_unit_test(rise_and_fall),
        cmocka_unit_test(what_hangs_is_late),
        cmocka_unit_test(a_request_goes_to_who_is_up_or_is_answered_503),
        cmocka_unit_test(a_reload_keeps_what_is_known),
        cmocka_unit_test(a_reload_changes_how_it_is_checked),
        cmocka_unit_test(without_memory_it_is_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
