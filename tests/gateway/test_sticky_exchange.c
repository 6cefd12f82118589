/* Sticky cookies in an exchange: who gets one, whom it leads where, what servers see, and what becomes of those that will not do. */
#include "tests/gateway/talk.h"

#include "gateway/sticky.h"
#include "gateway/tls_library.h"

#include <sys/stat.h>

#define ANSWER "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
#define CONF(server_keys, keys)                                                                                                       \
    "listeners: [ { address: 127.0.0.1:1, trusted: [ 192.0.2.200 ] } ]\n"                                                               \
    "upstreams: { app: { servers: [ 9001, 9002, { address: 9003" server_keys " } ], retries: 1, eject: { failures: 2, for: 10s },\n"    \
    "  sticky: { key_file: %s, cookie: s, max_age: 100s }" keys " } }\n"                                                                \
    "routes: [ { upstream: app, headers: { response: { remove: [ Set-Cookie ] } } } ]\n"

static char path[] = "/tmp/upgate-sticky-XXXXXX";
static struct conf *plain, *drains, *reserve, *capped, *fcgi, *hashed;
static uint64_t now_s = 1700000000;

static uint64_t test_clock(void)
{
    return now_s;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static struct conf *conf_of(const char *format)
{
    char text[2000];

    snprintf(text, sizeof(text), format, path);
    return world_conf(text);
}
#pragma GCC diagnostic pop

static int load(void **state)
{
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", 45), 45);
    close(fd);
    assert_int_equal(tls_library_begin(), 0);
    plain = conf_of(CONF("", ""));
    drains = conf_of(CONF(", drain: on", ""));
    reserve = conf_of(CONF(", backup: on", ""));
    capped = conf_of(CONF("", ", connections: 1, queue: 1, queue_timeout: 2s"));
    hashed = conf_of(CONF("", ", balance: hash"));
    fcgi = conf_of(CONF("", ", protocol: fastcgi, fastcgi: { length: optional }"));
    return 0;
}

static int unload(void **state)
{
    struct conf *all[] = { plain, drains, reserve, capped, hashed, fcgi };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(all); i++)
        conf_free(all[i]);
    tls_library_end();
    unlink(path);
    return 0;
}

static void begin(struct world *w, const struct conf *c)
{
    world_begin(w, c);
    w->generation.sticky = sticky_set_new(c, stderr);
    assert_non_null(w->generation.sticky);
    sticky_set_clock(w->generation.sticky, test_clock);
}

static void end(struct world *w)
{
    struct sticky_set *set = w->generation.sticky;

    world_kill(w);
    world_run(w);
    sticky_set_free(set);
    world_end(w);
}

static struct server_state *state_of(struct world *w, size_t i)
{
    return w->services.snapshot->upstreams[0].servers[i]->state;
}

/* The value of the Set-Cookie that a client got; empty: none. Static memory, several at a time. */
static const char *cookie_of(const struct peer *client)
{
    static char values[32][128];
    static size_t next;
    char *value = values[next++ % COUNT_OF(values)];
    const char *at = strstr(bytes_text(&client->got), "Set-Cookie: s=");

    snprintf(value, sizeof(values[0]), "%.*s", at != NULL ? (int)strcspn(at + 14, ";") : 0, at != NULL ? at + 14 : "");
    return value;
}

/* One request, with this cookie ("": none), answered by the server that it goes to, whose port comes out. */
static struct peer *asks(struct world *w, const char *cookie, unsigned *port_out)
{
    size_t servers = w->servers_n;
    struct peer *client = world_client(w);
    char text[1000];

    client->react = hang_up_when_finished;
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a.test\r\n%s%s%s\r\n", *cookie != '\0' ? "Cookie: a=b; s=" : "", cookie,
             *cookie != '\0' ? "; c=d\r\n" : "");
    says(w, client, text);
    assert_true(w->servers_n > servers);
    says(w, world_server(w, w->servers_n - 1), ANSWER);
    expect_status(client, 200);
    expect_ends_with(&client->got, "ok");
    *port_out = w->dialed[w->dials - 1]->port;
    return client;
}

static void a_client_comes_back_to_its_server(void **state)
{
    struct world w;
    unsigned ports[3], port;
    const char *cookies[3];

    (void)state;
    begin(&w, plain);
    for (size_t i = 0; i < 3; i++)
        cookies[i] = cookie_of(asks(&w, "", &ports[i]));
    for (size_t i = 0; i < 9; i++) {
        size_t who = i / 3;
        struct peer *client = asks(&w, cookies[who], &port);
        assert_int_equal(port, ports[who]);
        assert_string_equal(cookie_of(client), "");      /* it has one */
        expect_in(&world_server(&w, w.servers_n - 1)->got, "\r\nCookie: a=b; c=d\r\n");
        expect_not_in(&world_server(&w, w.servers_n - 1)->got, cookies[who]);
    }
    assert_int_equal(w.metrics.sticky_issued, 3);
    assert_int_equal(w.metrics.sticky_followed, 9);
    assert_string_equal(world_said(&w, "exchange", 0, "sticky"), "new");
    assert_string_equal(world_said(&w, "exchange", 3, "sticky"), "kept");
    expect_not_in(&w.log, cookies[0]);
    end(&w);
}

static void attributes_under_https(void **state)
{
    struct world w;
    struct peer *client;
    unsigned port;

    (void)state;
    begin(&w, plain);
    client = asks(&w, "", &port);
    expect_in(&client->got, "; Path=/; HttpOnly; SameSite=Lax; Max-Age=100\r\n");
    client = world_client_at(&w, 0, "192.0.2.200");
    client->react = hang_up_when_finished;
    says(&w, client, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: https\r\n\r\n");
    says(&w, world_server(&w, 1), ANSWER);
    expect_in(&client->got, "; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=100\r\n");
    client = world_client(&w);                   /* who is not trusted says nothing of how he came */
    client->react = hang_up_when_finished;
    says(&w, client, "GET / HTTP/1.1\r\nHost: a.test\r\nX-Forwarded-Proto: https\r\n\r\n");
    says(&w, world_server(&w, 2), ANSWER);
    expect_in(&client->got, "; SameSite=Lax; Max-Age=100\r\n");
    end(&w);
}

/* In the 101, and led by it to the same server. */
static void upgrades_too(void **state)
{
    struct world w;
    struct peer *client;
    unsigned port;
    char text[1000];
    const char *cookie;

    (void)state;
    begin(&w, plain);
    asks(&w, "", &port);
    client = world_client(&w);
    says(&w, client, WS_REQUEST);
    says(&w, world_server(&w, 1), WS_101);
    expect_status(client, 101);
    cookie = cookie_of(client);
    assert_int_equal(strlen(cookie), SEALED_TEXT_BYTES);
    port = w.dialed[1]->port;
    for (size_t i = 0; i < 3; i++) {
        client = world_client(&w);
        snprintf(text, sizeof(text), "%.*sCookie: s=%s\r\n\r\n", (int)strlen(WS_REQUEST) - 2, WS_REQUEST, cookie);
        says(&w, client, text);
        assert_int_equal(w.dialed[2 + i]->port, port);
        expect_not_in(&world_server(&w, 2 + i)->got, "Cookie");
        says(&w, world_server(&w, 2 + i), WS_101);
        expect_status(client, 101);
        assert_string_equal(cookie_of(client), "");
    }
    end(&w);
}

static void forged_old_and_foreign_ones_lead_nowhere(void **state)
{
    struct world w;
    unsigned port;
    char changed[128], foreign[128];
    const char *good;

    (void)state;
    begin(&w, plain);
    good = cookie_of(asks(&w, "", &port));
    snprintf(changed, sizeof(changed), "%s", good);
    changed[60] = changed[60] == 'A' ? 'B' : 'A';
    snprintf(foreign, sizeof(foreign), "%s", good);
    foreign[3] = foreign[3] == 'A' ? 'B' : 'A';
    for (unsigned i = 0; i < 4; i++) {
        const char *const values[] = { "1", "\"\"", changed, foreign };
        struct peer *client = asks(&w, values[i], &port);
        assert_int_equal(port, 9001 + (i + 1) % 3);      /* in turn, like anybody */
        assert_int_equal(strlen(cookie_of(client)), SEALED_TEXT_BYTES);
        expect_in(&world_server(&w, w.servers_n - 1)->got, "\r\nCookie: a=b; c=d\r\n");
    }
    assert_int_equal(w.metrics.sticky_malformed, 2);
    assert_int_equal(w.metrics.sticky_forged, 1);
    assert_int_equal(w.metrics.sticky_foreign, 1);
    now_s += 100;
    assert_int_equal(strlen(cookie_of(asks(&w, good, &port))), SEALED_TEXT_BYTES);
    assert_int_equal(w.metrics.sticky_expired, 1);
    assert_int_equal(w.metrics.sticky_followed + w.metrics.sticky_moved, 0);
    for (size_t i = 0; i < 6; i++) {
        static const char *const words[] = { "new", "malformed", "malformed", "forged", "foreign", "expired" };
        assert_string_equal(world_said(&w, "exchange", i, "sticky"), words[i]);
    }
    expect_not_in(&w.log, "warn");
    end(&w);
}

static void renewed_from_half_its_time_on(void **state)
{
    struct world w;
    unsigned port, again;
    const char *cookie, *renewed;

    (void)state;
    begin(&w, plain);
    cookie = cookie_of(asks(&w, "", &port));
    now_s += 50;
    assert_string_equal(cookie_of(asks(&w, cookie, &again)), "");
    now_s += 1;
    renewed = cookie_of(asks(&w, cookie, &again));
    assert_int_equal(again, port);
    assert_int_equal(strlen(renewed), SEALED_TEXT_BYTES);
    now_s += 98;
    asks(&w, renewed, &again);
    assert_int_equal(again, port);
    end(&w);
}

/* It refuses: the client is served by another one at once, and gets a cookie for that. */
static void those_of_a_dead_server_move(void **state)
{
    struct world w;
    unsigned port, other;
    const char *cookie, *moved;

    (void)state;
    begin(&w, plain);
    cookie = cookie_of(asks(&w, "", &port));
    w.plan[1] = DIAL_REFUSED;
    moved = cookie_of(asks(&w, cookie, &other));
    assert_int_equal(w.dialed[1]->port, port);
    assert_int_not_equal(other, port);
    assert_int_equal(strlen(moved), SEALED_TEXT_BYTES);
    assert_int_equal(w.metrics.sticky_moved, 1);
    assert_string_equal(world_said(&w, "exchange", 1, "sticky"), "moved");
    asks(&w, moved, &port);
    assert_int_equal(port, other);
    end(&w);
}

static void those_of_an_ejected_server_move(void **state)
{
    struct world w;
    unsigned port, other;
    const char *cookie;
    size_t place;

    (void)state;
    begin(&w, plain);
    cookie = cookie_of(asks(&w, "", &port));
    place = port - 9001;
    state_of(&w, place)->ejected_until_ms = w.now_ms + 10000;
    assert_int_equal(strlen(cookie_of(asks(&w, cookie, &other))), SEALED_TEXT_BYTES);
    assert_int_not_equal(other, port);
    assert_int_equal(w.dialed[1]->port, other);          /* it was not even tried */
    for (size_t i = 0; i < 3; i++)                       /* all are: then its own is as good as any */
        state_of(&w, i)->ejected_until_ms = w.now_ms + 10000;
    assert_string_equal(cookie_of(asks(&w, cookie, &other)), "");
    assert_int_equal(other, port);
    end(&w);
}

/* A cookie of one gateway is good at another, which may list other servers beside those, in another order. */
static void in_every_gateway(void **state)
{
    struct conf *more = conf_of("listeners: [ 127.0.0.1:1 ]\nroutes: [ { upstream: app } ]\n"
                                "upstreams: { app: { servers: [ 9005, 9003, 9004, 9002, 9001 ], balance: least_busy,\n"
                                "  sticky: { key_file: %s, cookie: s, max_age: 100s } } }\n");
    struct conf *fewer = conf_of("listeners: [ 127.0.0.1:1 ]\nroutes: [ { upstream: app } ]\n"
                                 "upstreams: { app: { servers: [ 9003 ], sticky: { key_file: %s, cookie: s } } }\n");
    unsigned ports[3], port;
    char cookies[3][128];
    struct world w;

    (void)state;
    begin(&w, plain);
    for (size_t i = 0; i < 3; i++)
        snprintf(cookies[i], sizeof(cookies[i]), "%s", cookie_of(asks(&w, "", &ports[i])));
    end(&w);
    begin(&w, more);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(cookie_of(asks(&w, cookies[i % 3], &port)), "");
        assert_int_equal(port, ports[i % 3]);
    }
    end(&w);
    begin(&w, fewer);
    for (size_t i = 0; i < 3; i++)               /* who is gone is gone, and the client moves */
        assert_int_equal(strlen(cookie_of(asks(&w, cookies[i], &port))), ports[i] == 9003 ? 0 : SEALED_TEXT_BYTES);
    assert_int_equal(w.metrics.sticky_moved, 2);
    end(&w);
    conf_free(more);
    conf_free(fewer);
}

/* The cookie of the third server, from before it was as it is now. */
static void cookie_for_third(char cookie[128])
{
    struct world w;
    unsigned port = 0;

    begin(&w, plain);
    while (port != 9003)
        snprintf(cookie, 128, "%s", cookie_of(asks(&w, "", &port)));
    end(&w);
}

/* Who was there before stays, as long as the cookie is good; nobody new comes, and it is not renewed. */
static void one_that_drains_keeps_its_clients(void **state)
{
    char cookie[128];
    struct world w;
    unsigned port;

    (void)state;
    cookie_for_third(cookie);
    begin(&w, drains);
    for (size_t i = 0; i < 4; i++) {
        asks(&w, "", &port);
        assert_int_not_equal(port, 9003);
    }
    assert_string_equal(cookie_of(asks(&w, cookie, &port)), "");
    assert_int_equal(port, 9003);
    now_s += 60;
    assert_string_equal(cookie_of(asks(&w, cookie, &port)), "");
    assert_int_equal(port, 9003);
    now_s += 40;
    assert_int_equal(strlen(cookie_of(asks(&w, cookie, &port))), SEALED_TEXT_BYTES);
    assert_int_not_equal(port, 9003);
    end(&w);
}

static void one_in_reserve_keeps_its_clients(void **state)
{
    char cookie[128];
    struct world w;
    unsigned port;

    (void)state;
    cookie_for_third(cookie);
    begin(&w, reserve);
    assert_string_equal(cookie_of(asks(&w, cookie, &port)), "");
    assert_int_equal(port, 9003);
    end(&w);
}

/* The cookie comes before the hash. */
static void before_the_hash(void **state)
{
    char cookie[128];
    struct world w;
    unsigned port;

    (void)state;
    cookie_for_third(cookie);
    begin(&w, hashed);
    asks(&w, "", &port);
    asks(&w, cookie, &port);
    assert_int_equal(port, 9003);
    end(&w);
}

static struct peer *begins(struct world *w, const char *cookie)
{
    struct peer *client = world_client(w);
    char text[500];

    client->react = hang_up_when_finished;
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: s=%s\r\n\r\n", cookie);
    says(w, client, text);
    return client;
}

/* Its server is full: it is waited for, though others have room; and nobody else waits because of that. */
static void a_full_one_is_waited_for(void **state)
{
    char cookie[128];
    struct world w;
    struct peer *first, *second, *third;
    unsigned port;

    (void)state;
    cookie_for_third(cookie);
    begin(&w, capped);
    first = begins(&w, cookie);
    second = begins(&w, cookie);
    assert_int_equal(w.dials, 1);
    third = begins(&w, cookie);
    expect_status(third, 503);                   /* the queue is full of those */
    asks(&w, "", &port);
    assert_int_not_equal(port, 9003);
    asks(&w, "", &port);
    assert_int_not_equal(port, 9003);
    assert_int_equal(w.metrics.queued, 1);       /* who may go elsewhere does not stand behind them */
    says(&w, world_server(&w, 0), ANSWER);
    expect_status(first, 200);
    assert_int_equal(w.dialed[w.dials - 1]->port, 9003);
    says(&w, world_server(&w, w.servers_n - 1), ANSWER);
    expect_status(second, 200);
    assert_string_equal(cookie_of(second), "");
    end(&w);
}

/* It is ejected while it is waited for: whoever frees a place anywhere serves the client. */
static void an_ejected_one_is_waited_for_no_longer(void **state)
{
    char cookie[128];
    struct world w;
    struct peer *other, *second;

    (void)state;
    cookie_for_third(cookie);
    begin(&w, capped);
    begins(&w, cookie);
    other = begins(&w, "none");
    second = begins(&w, cookie);
    state_of(&w, 2)->ejected_until_ms = w.now_ms + 10000;
    says(&w, world_server(&w, 1), ANSWER);
    expect_status(other, 200);
    assert_int_equal(w.dials, 3);
    assert_int_not_equal(w.dialed[2]->port, 9003);
    says(&w, world_server(&w, 2), ANSWER);
    expect_status(second, 200);
    assert_int_equal(strlen(cookie_of(second)), SEALED_TEXT_BYTES);
    end(&w);
}

/* The gateway's own answers have none. */
static void not_in_our_own_answers(void **state)
{
    struct world w;
    struct peer *client;

    (void)state;
    begin(&w, plain);
    w.plan[0] = w.plan[1] = DIAL_REFUSED;
    client = world_client(&w);
    client->react = hang_up_when_finished;
    says(&w, client, GET("/"));
    expect_status(client, 502);
    expect_not_in(&client->got, "Set-Cookie");
    assert_int_equal(w.metrics.sticky_issued, 0);
    assert_string_equal(world_said(&w, "exchange", 0, "sticky"), "");
    end(&w);
}

/* Without the key nobody looks at cookies. */
static void without_the_key(void **state)
{
    struct conf *none = world_conf("listeners: [ 127.0.0.1:1 ]\nroutes: [ { upstream: app } ]\nupstreams: { app: { servers: [ 9001 ] } }\n");
    struct world w;
    struct peer *client;

    (void)state;
    world_begin(&w, none);
    client = world_client(&w);
    says(&w, client, "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: s=1\r\n\r\n");
    expect_in(&world_server(&w, 0)->got, "\r\nCookie: s=1\r\n");
    says(&w, world_server(&w, 0), ANSWER);
    expect_not_in(&client->got, "Set-Cookie");
    leave(&w, client);
    conf_free(none);
}

/* Who is asked whether the request may go on sees no cookie of ours, and what it answers itself has none. */
static void not_with_the_question(void **state)
{
    struct conf *asking = conf_of("listeners: [ 127.0.0.1:1 ]\n"
                                  "routes: [ { upstream: app, auth: { forward: { upstream: door, path: /may } } } ]\n"
                                  "upstreams: { app: { servers: [ 9001 ], sticky: { key_file: %s, cookie: s } }, door: { servers: [ 9002 ] } }\n");
    struct world w;
    struct peer *client;

    (void)state;
    begin(&w, asking);
    client = begins(&w, "1; d=2");
    assert_int_equal(w.dialed[0]->port, 9002);
    expect_in(&world_server(&w, 0)->got, "\r\nCookie: d=2\r\n");
    says(&w, world_server(&w, 0), "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    expect_status(client, 401);
    expect_not_in(&client->got, "Set-Cookie");
    assert_int_equal(w.metrics.sticky_malformed, 1);
    end(&w);
    conf_free(asking);
}

static void many_cookies_of_that_name(void **state)
{
    char cookie[128], text[1000];
    struct world w;
    struct peer *client;

    (void)state;
    cookie_for_third(cookie);
    begin(&w, plain);
    client = world_client(&w);
    client->react = hang_up_when_finished;
    snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a.test\r\nCookie: s=%s; s=x\r\ncookie: s=y\r\nCOOKIE: z=1;s=%s\r\n\r\n", cookie, cookie);
    says(&w, client, text);
    assert_int_equal(w.dialed[0]->port, 9003);
    expect_in(&world_server(&w, 0)->got, "\r\nCOOKIE: z=1\r\n");
    expect_not_in(&world_server(&w, 0)->got, "s=");
    end(&w);
}

static void fastcgi_servers_too(void **state)
{
    char cookie[128];
    struct world w;
    const struct bytes *got;

    (void)state;
    cookie_for_third(cookie);
    begin(&w, fcgi);
    begins(&w, cookie);
    assert_int_equal(w.dialed[0]->port, 9003);
    got = &world_server(&w, 0)->got;
    for (size_t i = 0; i + 11 < got->n; i++)
        assert_memory_not_equal(got->p + i, "HTTP_COOKIE", 11);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_comes_back_to_its_server),
        cmocka_unit_test(attributes_under_https),
        cmocka_unit_test(upgrades_too),
        cmocka_unit_test(forged_old_and_foreign_ones_lead_nowhere),
        cmocka_unit_test(renewed_from_half_its_time_on),
        cmocka_unit_test(those_of_a_dead_server_move),
        cmocka_unit_test(those_of_an_ejected_server_move),
        cmocka_unit_test(in_every_gateway),
        cmocka_unit_test(one_that_drains_keeps_its_clients),
        cmocka_unit_test(one_in_reserve_keeps_its_clients),
        cmocka_unit_test(before_the_hash),
        cmocka_unit_test(a_full_one_is_waited_for),
        cmocka_unit_test(an_ejected_one_is_waited_for_no_longer),
        cmocka_unit_test(not_in_our_own_answers),
        cmocka_unit_test(without_the_key),
        cmocka_unit_test(not_with_the_question),
        cmocka_unit_test(many_cookies_of_that_name),
        cmocka_unit_test(fastcgi_servers_too),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
