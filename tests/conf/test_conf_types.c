/* Every type's edges: what is taken, as what; what is refused, and in which words. */
#include "tests/conf/conf_test.h"

#define SIZE_HOLE MINIMAL "limits: { body_bytes: %s }\n"
#define DURATION_HOLE MINIMAL "timeouts: { response: %s }\n"
#define ZERO_HOLE MINIMAL "timeouts: { drain: %s }\n"
#define COUNT_HOLE                                                                                                               \
    "listeners: [ 8080 ]\nupstreams: { app: { servers: [ 9000 ], keepalive: %s } }\nroutes: [ { upstream: app } ]\n"
#define RATE_HOLE MINIMAL "limits: { handshakes_per_client: %s }\n"
#define SWITCH_HOLE MINIMAL "forwarded: { rfc7239: %s }\n"
#define VIA_HOLE MINIMAL "forwarded: { via: %s }\n"
#define LOG_HOLE MINIMAL "log: { access: { to: %s } }\n"
#define NAME_HOLE "listeners: [ 8080 ]\nupstreams: { %s: { servers: [ 9000 ] } }\nroutes: []\n"
#define LABEL_HOLE                                                                                                               \
    "listeners: [ { address: 8080, name: %s } ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { upstream: app } ]\n"
#define MATCH_HOLE                                                                                                               \
    "listeners: [ 8080 ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { upstream: app, match: { %s } } ]\n"
#define BOUNDS_TEXT_64 "0123456789012345678901234567890123456789012345678901234567890123"

struct number {
    const char *text;
    uint64_t value;
};

static void sizes(void **state)
{
    static const struct number good[] = {
        { "1B", 1 },
        { "512B", 512 },
        { "64KiB", 65536 },
        { "1MiB", 1048576 },
        { "\"3GiB\"", UINT64_C(3) << 30 },
        { "1024TiB", UINT64_C(1) << 50 },
        { "007KiB", 7168 },
        { "off", 0 },
        { "'off'", 0 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct conf *c = load_good(fill_in(SIZE_HOLE, good[i].text));
        assert_int_equal(c->limits.body_bytes, good[i].value);
        conf_free(c);
    }
    expect_refused(SIZE_HOLE, "10", "`body_bytes`: 10 needs a unit: B, KiB, MiB, GiB or TiB");
    expect_refused(SIZE_HOLE, "0", "`body_bytes`: 0 needs a unit: B, KiB, MiB, GiB or TiB");
    expect_refused(SIZE_HOLE, "0B", "`body_bytes`: 0B is out of bounds: 1B to 1024TiB, or `off`");
    expect_refused(SIZE_HOLE, "1025TiB", "`body_bytes`: 1025TiB is out of bounds: 1B to 1024TiB, or `off`");
    expect_refused(SIZE_HOLE, "99999999999999999999B",
                   "`body_bytes`: 99999999999999999999B is out of bounds: 1B to 1024TiB, or `off`");
    expect_refused(SIZE_HOLE, "18446744073709551615TiB",
                   "`body_bytes`: 18446744073709551615TiB is out of bounds: 1B to 1024TiB, or `off`");
    expect_refused(SIZE_HOLE, "64kb", "`body_bytes`: unknown unit `kb`: B, KiB, MiB, GiB or TiB, did you mean `KiB`?");
    expect_refused(SIZE_HOLE, "1 MiB", "`body_bytes`: `1 MiB`: a unit stands right behind its number: B, KiB, MiB, GiB or TiB");
    expect_refused(SIZE_HOLE, "1.5MiB",
                   "`body_bytes`: `1.5MiB` is not a whole number and a unit, as in 512B, 64KiB or 1MiB, nor `off`");
    expect_refused(SIZE_HOLE, "-1B",
                   "`body_bytes`: `-1B` is not a whole number and a unit, as in 512B, 64KiB or 1MiB, nor `off`");
    expect_refused(SIZE_HOLE, "Off",
                   "`body_bytes`: `Off` is not a whole number and a unit, as in 512B, 64KiB or 1MiB, nor `off`");
}

static void durations(void **state)
{
    static const struct number good[] = {
        { "1ms", 1 },      { "250ms", 250 },    { "10s", 10000 },      { "5m", 300000 },
        { "1h", 3600000 }, { "7d", 604800000 }, { "168h", 604800000 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct conf *c = load_good(fill_in(DURATION_HOLE, good[i].text));
        assert_int_equal(c->timeouts.response_ms, good[i].value);
        conf_free(c);
    }
    conf_free(load_good(fill_in(ZERO_HOLE, "0s")));
    expect_refused(DURATION_HOLE, "10", "`response`: 10 needs a unit: ms, s, m, h or d");
    expect_refused(DURATION_HOLE, "0s", "`response`: 0s is out of bounds: 1ms to 7d");
    expect_refused(DURATION_HOLE, "8d", "`response`: 8d is out of bounds: 1ms to 7d");
    expect_refused(DURATION_HOLE, "99999999999999999999d", "`response`: 99999999999999999999d is out of bounds: 1ms to 7d");
    expect_refused(DURATION_HOLE, "213503982335d", "`response`: 213503982335d is out of bounds: 1ms to 7d");
    expect_refused(DURATION_HOLE, "5S", "`response`: unknown unit `S`: ms, s, m, h or d, did you mean `s`?");
    expect_refused(DURATION_HOLE, "5mss", "`response`: unknown unit `mss`: ms, s, m, h or d, did you mean `ms`?");
    expect_refused(DURATION_HOLE, "1h30m", "`response`: unknown unit `h30m`: ms, s, m, h or d");
    expect_refused(DURATION_HOLE, "off",
                   "`response`: can't be off: a whole number and a unit, as in 250ms, 10s, 5m, 1h or 7d is needed");
    expect_refused(DURATION_HOLE, "soon", "`response`: `soon` is not a whole number and a unit, as in 250ms, 10s, 5m, 1h or 7d");
    expect_refused(DURATION_HOLE, "\"\"", "`response` is empty: give it a value, or leave it out");
}

static void counts(void **state)
{
    static const struct number good[] = { { "1", 1 }, { "10000", 10000 }, { "off", 0 } };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct conf *c = load_good(fill_in(COUNT_HOLE, good[i].text));
        assert_int_equal(c->upstreams[0].keepalive, good[i].value);
        conf_free(c);
    }
    expect_refused(COUNT_HOLE, "0", "`keepalive`: 0 is out of bounds: 1 to 10000, or `off`");
    expect_refused(COUNT_HOLE, "10001", "`keepalive`: 10001 is out of bounds: 1 to 10000, or `off`");
    expect_refused(COUNT_HOLE, "4294967297", "`keepalive`: 4294967297 is out of bounds: 1 to 10000, or `off`");
    expect_refused(COUNT_HOLE, "18446744073709551617",
                   "`keepalive`: 18446744073709551617 is out of bounds: 1 to 10000, or `off`");
    expect_refused(COUNT_HOLE, "0x10", "`keepalive`: `0x10` is not a whole number, nor `off`");
    expect_refused(COUNT_HOLE, "80x", "`keepalive`: `80x` is not a whole number, nor `off`");
    expect_refused(COUNT_HOLE, "1.0", "`keepalive`: `1.0` is not a whole number, nor `off`");
    expect_refused(COUNT_HOLE, "+1", "`keepalive`: `+1` is not a whole number, nor `off`");
}

static void rates(void **state)
{
    struct conf *c = load_good(fill_in(RATE_HOLE, "50/s"));
    char *dump = dump_of(c);

    (void)state;
    assert_int_equal(c->limits.handshakes_per_client.count, 50);
    assert_int_equal(c->limits.handshakes_per_client.per_ms, 1000);
    assert_non_null(strstr(dump, "handshakes_per_client: 50/s\n"));
    free(dump);
    conf_free(c);
    c = load_good(fill_in(RATE_HOLE, "7/h"));
    assert_int_equal(c->limits.handshakes_per_client.per_ms, 3600000);
    conf_free(c);
    c = load_good(fill_in(RATE_HOLE, "off"));
    assert_int_equal(c->limits.handshakes_per_client.count, 0);
    conf_free(c);
    expect_refused(RATE_HOLE, "50", "`handshakes_per_client`: `50` is not a rate, as in 50/s, 600/m or 1000/h, nor `off`");
    expect_refused(RATE_HOLE, "/s", "`handshakes_per_client`: `/s` is not a rate, as in 50/s, 600/m or 1000/h, nor `off`");
    expect_refused(RATE_HOLE, "50/d", "`handshakes_per_client`: `50/d` is not a rate, as in 50/s, 600/m or 1000/h, nor `off`");
    expect_refused(RATE_HOLE, "5 /s", "`handshakes_per_client`: `5 /s` is not a rate, as in 50/s, 600/m or 1000/h, nor `off`");
    expect_refused(RATE_HOLE, "0/s", "`handshakes_per_client`: 0/s is out of bounds: 1 to 1000000, or `off`");
    expect_refused(RATE_HOLE, "1000001/s", "`handshakes_per_client`: 1000001/s is out of bounds: 1 to 1000000, or `off`");
}

static void switches(void **state)
{
    struct conf *c = load_good(fill_in(SWITCH_HOLE, "on"));

    (void)state;
    assert_true(c->forwarded.rfc7239);
    conf_free(c);
    conf_free(load_good(fill_in(SWITCH_HOLE, "off")));
    expect_refused(SWITCH_HOLE, "true", "`rfc7239`: write `on` instead of `true`");
    expect_refused(SWITCH_HOLE, "Yes", "`rfc7239`: write `on` instead of `Yes`");
    expect_refused(SWITCH_HOLE, "ON", "`rfc7239`: write `on` instead of `ON`");
    expect_refused(SWITCH_HOLE, "false", "`rfc7239`: write `off` instead of `false`");
    expect_refused(SWITCH_HOLE, "0", "`rfc7239`: write `off` instead of `0`");
    expect_refused(SWITCH_HOLE, "perhaps", "`rfc7239`: `perhaps` is neither `on` nor `off`");
}

static void names_and_labels(void **state)
{
    char *messages;
    struct conf *c =
        load_good("listeners: [ { address: 8080, name: \"Ein Name: ü\" } ]\nupstreams: { A.b_c-9: { servers: [ 9000 ] } }\n"
                  "routes: [ { upstream: A.b_c-9, match: { listener: \"Ein Name: ü\" } } ]\n");

    (void)state;
    assert_string_equal(c->listeners[0].name, "Ein Name: ü");
    assert_string_equal(c->upstreams[0].name, "A.b_c-9");
    conf_free(c);
    expect_refused(NAME_HOLE, "a/b",
                   "`upstreams`: `a/b` can't be a name: letters, digits, `.`, `_` and `-`, beginning with a letter or digit");
    expect_refused(NAME_HOLE, "-a",
                   "`upstreams`: `-a` can't be a name: letters, digits, `.`, `_` and `-`, beginning with a letter or digit");
    expect_refused(NAME_HOLE, "\"\"",
                   "`upstreams`: `` can't be a name: letters, digits, `.`, `_` and `-`, beginning with a letter or digit");
    expect_refused(NAME_HOLE, BOUNDS_TEXT_64 "x", "`upstreams`: longer than 64 bytes");
    expect_refused(LABEL_HOLE, "\"a\\nb\"", "`name`: control characters can't stand here");
    expect_refused(LABEL_HOLE, "\"a\\Nb\"", "`name`: control characters can't stand here");       /* U+0085 */
    expect_refused(LABEL_HOLE, "\"a\\Pb\"", "`name`: control characters can't stand here");       /* U+2029 */
    expect_refused(LABEL_HOLE, "\"a\\0b\"", "`name`: control characters can't stand here");
    expect_refused(LABEL_HOLE, BOUNDS_TEXT_64 BOUNDS_TEXT_64 "x", "`name`: longer than 128 bytes");
    /* A name that was refused is not also missed. */
    assert_null(
        load("listeners: [ 8080 ]\nupstreams: { a b: { servers: [ 9000 ] } }\nroutes: [ { upstream: a b } ]\n", &messages));
    assert_null(strstr(messages, "no upstream"));
    free(messages);
}

static void tokens_and_targets(void **state)
{
    struct conf *c = load_good(fill_in(VIA_HOLE, "\"!#$%&'*+-.^_`|~aZ9\""));

    (void)state;
    assert_string_equal(c->forwarded.via, "!#$%&'*+-.^_`|~aZ9");
    conf_free(c);
    expect_refused(VIA_HOLE, "a b", "`via`: `a b` is not a token: letters, digits and !#$%&'*+-.^_`|~ only");
    expect_refused(VIA_HOLE, "a:80", "`via`: `a:80` is not a token: letters, digits and !#$%&'*+-.^_`|~ only");
    expect_refused(VIA_HOLE, "é", "`via`: `é` is not a token: letters, digits and !#$%&'*+-.^_`|~ only");
    expect_refused(VIA_HOLE, BOUNDS_TEXT_64 "x", "`via`: longer than 64 bytes");
    conf_free(load_good(fill_in(LOG_HOLE, "\"/var/log/a b\"")));
    expect_refused(LOG_HOLE, "access.log", "`to`: `access.log` is neither `stdout` nor an absolute path");
    expect_refused(LOG_HOLE, "\"/a\\tb\"", "`to`: control characters can't stand here");
    expect_refused(MATCH_HOLE, "methods: []", "`methods` holds nothing");
    expect_refused(MATCH_HOLE, "methods: [ G T ]", "`methods`: `G T` is not a token: letters, digits and !#$%&'*+-.^_`|~ only");
}

static void expect_host(const char *member, const char *host)
{
    struct conf *c = load_good(fill_in(MATCH_HOLE, member));

    assert_string_equal(c->routes[0].match.host, host);
    conf_free(c);
}

static void hosts(void **state)
{
    (void)state;
    expect_host("host: example.com", "example.com");
    expect_host("host: EXAMPLE.Com.", "example.com");
    expect_host("host: \"*.Example.com\"", "*.example.com");
    expect_host("host: a_b.internal", "a_b.internal");
    expect_host("host: 127.0.0.1", "127.0.0.1");
    expect_host("host: \"[2001:DB8:0::1]\"", "[2001:db8::1]");
}

static void hosts_refused(void **state)
{
    (void)state;
    expect_refused(MATCH_HOLE, "host: \"*\"", "`host`: leave `host` out to match any host");
    expect_refused(MATCH_HOLE, "host: \"*.*.com\"", "`host`: `*.*.com`: `*.` can only stand once, in front of a name");
    expect_refused(MATCH_HOLE, "host: \"a*.com\"", "`host`: `a*.com`: `*.` can only stand once, in front of a name");
    expect_refused(MATCH_HOLE, "host: \"*.\"", "`host`: `*.`: `*.` can only stand once, in front of a name");
    expect_refused(MATCH_HOLE, "host: a.com:80",
                   "`host`: `a.com:80`: a host is matched without its port; use `listener` to tell ports apart");
    expect_refused(MATCH_HOLE, "host: a..com", "`host`: `a..com` is not a host name");
    expect_refused(MATCH_HOLE, "host: .com", "`host`: `.com` is not a host name");
    expect_refused(MATCH_HOLE, "host: " BOUNDS_TEXT_64,
                   "`host`: `" BOUNDS_TEXT_64 "` is not a host name"); /* a label has at most 63 */
    expect_refused(MATCH_HOLE, "host: .", "`host`: `.` is not a host name");
    expect_refused(MATCH_HOLE, "host: bücher.example", "`host`: `bücher.example` is not a host name");
    expect_refused(MATCH_HOLE, "host: a/b", "`host`: `a/b` is not a host name");
    expect_refused(MATCH_HOLE, "host: \"[::1]:80\"", "`host`: `[::1]:80` is not an IPv6 address in brackets, without a port");
    expect_refused(MATCH_HOLE, "host: \"[]\"", "`host`: `[]` is not an IPv6 address in brackets, without a port");
    expect_refused(MATCH_HOLE, "host: \"[\"", "`host`: `[` is not an IPv6 address in brackets, without a port");
    expect_refused(MATCH_HOLE, "host: \"[::g]\"", "`host`: `[::g]` is not an IPv6 address in brackets, without a port");
}

static void paths(void **state)
{
    static const char *const good[] = { "/", "/ws", "/ws/", "/a/b.c/d..e", "/a b", "/é", "/a%25b", "/~a-b_c!$&'()*+,=:@" };
    char member[64];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct conf *c;
        snprintf(member, sizeof(member), "path: \"%s\"", good[i]);
        c = load_good(fill_in(MATCH_HOLE, member));
        assert_string_equal(c->routes[0].match.path, good[i]);
        assert_false(c->routes[0].match.path_exact);
        conf_free(c);
    }
}

static void paths_refused(void **state)
{
    static const char *const forms[][2] = {
        { "/a/../b", "/b" }, { "/a/./b", "/a/b" }, { "/a//b", "/a/b" }, { "//", "/" }, { "/a/..", "/" }, { "/a/.", "/a/" },
        { "/a%20b", "/a b" }, { "/%c3%a9", "/é" }, { "/%41", "/A" }, { "/a;b", "/a" },
    };
    char member[64], sentence[256], *long_path = calloc(1, 5000);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        snprintf(member, sizeof(member), "exact: \"%s\"", forms[i][0]);
        snprintf(sentence, sizeof(sentence), "`exact`: `%s`: paths are matched in their normal form: write `%s`", forms[i][0],
                 forms[i][1]);
        expect_refused(MATCH_HOLE, member, sentence);
    }
    expect_refused(MATCH_HOLE, "path: a", "`path`: `a`: a path begins with `/`");
    expect_refused(MATCH_HOLE, "path: /a?b", "`path`: `/a?b`: a path ends before `?` or `#`");
    expect_refused(MATCH_HOLE, "path: \"/a#b\"", "`path`: `/a#b`: a path ends before `?` or `#`");
    expect_refused(MATCH_HOLE, "path: /..", "`path`: `/..`: a request for such a path is refused, so it would never match");
    expect_refused(MATCH_HOLE, "path: /%zz", "`path`: `/%zz`: a request for such a path is refused, so it would never match");
    expect_refused(MATCH_HOLE, "path: /a\\b", "`path`: `/a\\b`: a request for such a path is refused, so it would never match");
    expect_refused(MATCH_HOLE, "path: \"/a\\nb\"", "`path`: control characters can't stand here");
    memcpy(long_path, "path: /", 7);
    memset(long_path + 7, 'a', 4096);
    expect_refused(MATCH_HOLE, long_path, "`path`: longer than 4096 bytes");
    long_path[6 + 4096] = '\0';
    conf_free(load_good(fill_in(MATCH_HOLE, long_path)));
    free(long_path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),         cmocka_unit_test(durations),        cmocka_unit_test(counts), cmocka_unit_test(rates),
        cmocka_unit_test(switches),      cmocka_unit_test(names_and_labels), cmocka_unit_test(tokens_and_targets),
        cmocka_unit_test(hosts),         cmocka_unit_test(hosts_refused),    cmocka_unit_test(paths),
        cmocka_unit_test(paths_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
