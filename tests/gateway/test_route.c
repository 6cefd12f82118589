/* Which route a request takes, with the request read as it is in life: parsed, checked, then matched. */
#include "tests/gateway/world.h"

#include "gateway/route.h"
#include "protocol/rules.h"

static const char *const conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: inside }, { address: 127.0.0.1:2, name: outside } ]\n"
    "upstreams: { app: { servers: [ 9000 ] } }\n"
    "routes:\n"
    "  - { upstream: app, match: { host: admin.example.com, listener: inside } }\n"                          /* 0 */
    "  - { upstream: app, match: { host: admin.example.com, path: /, methods: [ GET ] } }\n"                 /* 1 */
    "  - { upstream: app, match: { host: \"*.example.com\", exact: /status } }\n"                            /* 2 */
    "  - { upstream: app, match: { host: \"*.example.com\", path: /ws } }\n"                                 /* 3 */
    "  - { upstream: app, match: { host: example.com, path: /dir/ } }\n"                                     /* 4 */
    "  - { upstream: app, match: { path: /api, methods: [ GET, PROPFIND ] } }\n"                             /* 5 */
    "  - { upstream: app, match: { path: /api } }\n"                                                         /* 6 */
    "  - { upstream: app, match: { host: \"[::1]\" } }\n"                                                    /* 7 */
    "  - { upstream: app, match: { host: any.test, path: / } }\n";                                           /* 8 */

#define NONE (-1)
#define AMBIGUOUS (-2)

static int find(const struct conf *conf, size_t listener, const char *method, const char *target, const char *host)
{
    struct http1_limits limits = { .head_bytes = 8192, .fields = 20, .chunk_extension_bytes = 100 };
    struct http1_parse *parse = http1_parse_new(HTTP1_REQUEST, &limits);
    struct rules_policy policy = { .max_via = 8, .pseudonym = SPAN_LITERAL("x") };
    struct rules_request request;
    struct http1_result r;
    struct arena arena;
    char text[1024];
    const struct conf_route *route;
    int found = AMBIGUOUS;
    int n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: %s\r\n\r\n", method, target, host);

    arena_init(&arena, 65536);
    http1_parse_next(parse, (const uint8_t *)text, (size_t)n, &r);
    assert_int_equal(r.event, HTTP1_HEAD);
    if (rules_check_request(&arena, r.head, &policy, &request) != FAULT_NONE)
        fail_msg("refused: %s %s", method, target);
    if (!route_is_ambiguous(conf, &conf->listeners[listener], r.head->method, &request)) {
        route = route_find(conf, &conf->listeners[listener], r.head->method, &request);
        found = route != NULL ? (int)(route - conf->routes) : NONE;
    }
    arena_free(&arena);
    http1_parse_free(parse);
    return found;
}

static void the_first_that_matches(void **state)
{
    static const struct {
        const char *method, *target, *host;
        int inside, outside;
    } rows[] = {
        { "GET", "/", "admin.example.com", 0, 1 },
        { "POST", "/", "admin.example.com", 0, NONE },
        { "POST", "/status", "admin.example.com", 0, 2 },
        { "GET", "/status", "ADMIN.Example.com:8080", 0, 1 },
        { "GET", "/status", "a.example.com", 2, 2 },
        { "GET", "/status", "a.b.example.com", 2, 2 },           /* any name below */
        { "GET", "/status", "example.com", NONE, NONE },         /* … and not the name itself */
        { "GET", "/status", "badexample.com", NONE, NONE },
        { "GET", "/status/", "a.example.com", NONE, NONE },
        { "GET", "/status?x", "a.example.com", 2, 2 },
        { "GET", "/ws", "a.example.com", 3, 3 },
        { "GET", "/ws/", "a.example.com", 3, 3 },
        { "GET", "/ws/room/1", "a.example.com.", 3, 3 },
        { "GET", "/wsx", "a.example.com", NONE, NONE },          /* prefixes end at segment borders */
        { "GET", "/WS", "a.example.com", NONE, NONE },           /* paths have case */
        { "GET", "/%77s", "a.example.com", 3, 3 },
        { "GET", "//ws", "a.example.com", 3, 3 },
        { "GET", "/x/../ws", "a.example.com", 3, 3 },
        { "GET", "/ws/../secret", "a.example.com", NONE, NONE },
        { "GET", "/dir", "example.com", NONE, NONE },            /* a prefix with a slash is the folder, not its name */
        { "GET", "/dir/", "example.com", 4, 4 },
        { "GET", "/dir/x", "example.com", 4, 4 },
        { "PROPFIND", "/api/a", "elsewhere", 5, 5 },
        { "get", "/api/a", "elsewhere", 6, 6 },                  /* methods have case */
        { "PURGE", "/api", "elsewhere", 6, 6 },
        { "GET", "/", "[::1]:80", 7, 7 },
        { "GET", "/", "[::2]:80", NONE, NONE },
        { "GET", "http://a.example.com/ws", "elsewhere", 3, 3 }, /* the absolute form says where, not Host */
        { "OPTIONS", "*", "any.test", 8, 8 },
        { "OPTIONS", "*", "example.com", NONE, NONE },
        /* what one backend takes for a slash, and another for a letter */
        { "GET", "/ws%2froom", "a.example.com", AMBIGUOUS, AMBIGUOUS },
        { "GET", "/ws/a%2Fb", "a.example.com", 3, 3 },
        { "GET", "/api%2Fx", "any.test", AMBIGUOUS, AMBIGUOUS },
    };
    struct conf *conf = world_conf(conf_text);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int inside = find(conf, 0, rows[i].method, rows[i].target, rows[i].host);
        int outside = find(conf, 1, rows[i].method, rows[i].target, rows[i].host);
        if (inside != rows[i].inside || outside != rows[i].outside)
            fail_msg("%s %s for %s: routes %d and %d", rows[i].method, rows[i].target, rows[i].host, inside, outside);
    }
    conf_free(conf);
}

static void a_route_for_everything(void **state)
{
    struct conf *conf = world_conf("listeners: [ 1 ]\nupstreams: { app: { servers: [ 9000 ] } }\n"
                                   "routes: [ { upstream: app } ]\n");

    (void)state;
    assert_int_equal(find(conf, 0, "GET", "/", "a"), 0);
    assert_int_equal(find(conf, 0, "BREW", "/a%2fb/../c", "[::1]"), 0);
    assert_int_equal(find(conf, 0, "OPTIONS", "*", "a"), 0);
    conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_that_matches),
        cmocka_unit_test(a_route_for_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
