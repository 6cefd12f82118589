/* health: the values, every default, what goes with what, and what is written again by -T. */
#include "tests/conf/conf_test.h"

#define AROUND(upstream) "listeners: [ 80 ]\nroutes: [ { upstream: a } ]\nupstreams: { a: { servers: [ 1 ], " upstream " } }\n"

static void values(void **state)
{
    struct conf *c = load_good(AROUND("health: { http: /up, interval: 1s, timeout: 500ms, rise: 4, fall: 1, status: 204, body: \"a b\", host: x.example:1 }"));
    const struct conf_health *h = &c->upstreams[0].health;

    (void)state;
    assert_true(c->upstreams[0].health_on);
    assert_false(h->tcp);
    assert_string_equal(h->http, "/up");
    assert_null(h->websocket);
    assert_null(h->fastcgi);
    assert_int_equal(h->interval_ms, 1000);
    assert_int_equal(h->timeout_ms, 500);
    assert_int_equal(h->rise, 4);
    assert_int_equal(h->fall, 1);
    assert_int_equal(h->status, 204);
    assert_string_equal(h->body, "a b");
    assert_string_equal(h->host, "x.example:1");
    conf_free(c);
    c = load_good(AROUND("protocol: http"));
    assert_false(c->upstreams[0].health_on);
    conf_free(c);
}

static void what_is_written_is_read_again(void **state)
{
    struct conf *c = load_good(AROUND("health: { websocket: /ws }")), *again;
    char *first = dump_of(c), *second;

    (void)state;
    if (strstr(first, "    health:\n      tcp: off\n      websocket: /ws\n      interval: 5s\n      timeout: 2s\n      rise: 2\n"
                      "      fall: 3\n      status: any\n") == NULL)
        fail_msg("%s", first);
    again = load_good(first);
    second = dump_of(again);
    assert_string_equal(first, second);
    free(first);
    free(second);
    conf_free(c);
    conf_free(again);
}

static void messages(void **state)
{
    static const struct {
        const char *text, *due;
    } rows[] = {
        { AROUND("health: { interval: 1s }"), "`health` of `a` has to have one of `tcp: on`, `http: /path`, `websocket: /path` and `fastcgi: /path`" },
        { AROUND("health: { tcp: on, http: / }"), "`health` of `a` has to have one of" },
        { AROUND("health: { http: x }"), "`http`" },
        { AROUND("health: { http: \"/a b\" }"), "`http`: only characters that a URL holds as they are can stand here" },
        { AROUND("health: { fastcgi: values }"), "`fastcgi`: the servers of `a` speak HTTP" },
        { AROUND("protocol: fastcgi, health: { http: / }"), "`http`: the servers of `a` speak FastCGI" },
        { AROUND("protocol: fastcgi, health: { websocket: / }"), "`websocket`: the servers of `a` speak FastCGI" },
        { AROUND("protocol: fastcgi, health: { fastcgi: value }"), "`fastcgi` is a path that begins with a slash, or `values`" },
        { AROUND("protocol: fastcgi, health: { fastcgi: values, status: 200 }"), "`status` needs `http`, or `fastcgi` with a path" },
        { AROUND("health: { websocket: /, body: x }"), "`body` needs `http`, or `fastcgi` with a path" },
        { AROUND("health: { http: /, status: 101 }"), "`status`" },
        { AROUND("health: { http: /, host: \"a b\" }"), "`host`: a host, or host:port, can stand here" },
        { AROUND("health: { http: /, interval: 1ms }"), "`interval`" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *said;
        struct conf *c = load(rows[i].text, &said);
        if (c != NULL || strstr(said, rows[i].due) == NULL)
            fail_msg("%s\n--- said\n%s", rows[i].text, said);
        free(said);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(messages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
