/* The keys of `websocket`: origins as browsers write them, pings that come before the idle timeout, codes and words. */
#include "tests/conf/conf_test.h"

static char *with_websocket(const char *keys)
{
    static char text[1024];

    snprintf(text, sizeof(text), "listeners: [ 80 ]\nupstreams: { a: { servers: [ 9000 ] } }\nroutes:\n  - upstream: a\n    websocket: { %s }\n",
             keys);
    return text;
}

static void refused(const char *keys, const char *words)
{
    char *messages;
    struct conf *c = load(with_websocket(keys), &messages);

    if (c != NULL || strstr(messages, words) == NULL)
        fail_msg("%s: %s\nwanted: %s", keys, c != NULL ? "was taken" : messages, words);
    free(messages);
}

static struct conf *taken(const char *keys)
{
    return load_good(with_websocket(keys));
}

static void origins(void **state)
{
    static const char *const bad[] = { "example.com",          "https://",           "HTTPS://a.example",   "https://a.example/",
                                       "https://a.example/x",  "https://u@a.example", "\"://a.example\"",        "https:a.example",
                                       "\"https://a example\"", "Null" };
    struct conf *c = taken("origins: [ https://a.example, \"http://b.example:8080\", null, \"https://[::1]:8443\" ]");

    (void)state;
    assert_int_equal(c->routes[0].websocket.origins_n, 4);
    assert_string_equal(c->routes[0].websocket.origins[2], "null");
    conf_free(c);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char keys[128];
        snprintf(keys, sizeof(keys), "origins: [ %s ]", bad[i]);
        refused(keys, "is not an origin");
    }
    refused("origins: [ \"https://a.example:443\" ]", "can't match");
    refused("origins: [ \"http://a.example:80\" ]", "can't match");
}

/* A Ping that is sent when the tunnel has already ended for silence is a mistake; a default follows the timeout that was given. */
static void ping_before_idle(void **state)
{
    static const struct {
        const char *keys;
        uint64_t ping_ms;
    } good[] = {
        { "", 30000 },
        { "idle_timeout: 20s", 10000 },
        { "idle_timeout: 10ms", 0 },
        { "idle_timeout: 20s, ping_interval: 19s", 19000 },
        { "ping_interval: off, idle_timeout: 1s", 0 },
    };

    (void)state;
    refused("idle_timeout: 10s, ping_interval: 10s", "must be less than `idle_timeout`");
    refused("ping_interval: 10m", "must be less than `idle_timeout`");
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct conf *c = taken(good[i].keys);
        assert_int_equal(c->routes[0].websocket.ping_interval_ms, good[i].ping_ms);
        conf_free(c);
    }
}

static void words_and_bounds(void **state)
{
    struct conf *c = taken("drain_code: 1001, compression: strip, rate: 5, max_lifetime: 1h, slow_timeout: 9s, protocols: [ a, b ]");

    (void)state;
    assert_int_equal(c->routes[0].websocket.drain_code, 1001);
    assert_int_equal(c->routes[0].websocket.compression, CONF_COMPRESSION_STRIP);
    assert_int_equal(c->routes[0].websocket.rate, 5);
    assert_int_equal(c->routes[0].websocket.max_lifetime_ms, 3600000);
    assert_int_equal(c->routes[0].websocket.slow_timeout_ms, 9000);
    assert_int_equal(c->routes[0].websocket.protocols_n, 2);
    conf_free(c);
    refused("drain_code: 1000", "drain_code");
    refused("compression: on", "compression");
    refused("rate: 0", "rate");
    refused("protocols: [ \"a b\" ]", "not a token");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins),
        cmocka_unit_test(ping_before_idle),
        cmocka_unit_test(words_and_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
