/* The keys of `sticky`, and what is said of them together. */
#include "tests/conf/conf_test.h"

#define HOLE                                                                                                                     \
    "listeners: [ 8080 ]\nupstreams: { app: { servers: [ 9000 ], %s }, other: { servers: [ 9001 ], sticky: { key_file: /k } } }\n" \
    "routes: [ { match: { host: b.test }, upstream: other }, { upstream: app } ]\n"

static void keys(void **state)
{
    struct conf *c = load_good(fill_in("listeners: [ 8080 ]\nroutes: [ { match: { path: /b }, upstream: b }, { upstream: app } ]\n"
                                       "upstreams: { app: { servers: [ 9000 ], %s }, b: { servers: [ 9001 ] } }\n",
                                       "sticky: { cookie: __Host-s, key_file: /etc/k, max_age: 1h, same_site: none, secure: on }")),
                *again;
    char *dump = dump_of(c), *second;

    (void)state;
    assert_true(c->upstreams[0].sticky_on && !c->upstreams[1].sticky_on);
    assert_string_equal(c->upstreams[0].sticky.cookie, "__Host-s");
    assert_string_equal(c->upstreams[0].sticky.key_file.path, "/etc/k");
    assert_int_equal(c->upstreams[0].sticky.max_age_ms, 3600000);
    assert_int_equal(c->upstreams[0].sticky.same_site, CONF_SAME_SITE_NONE);
    assert_int_equal(c->upstreams[0].sticky.secure, CONF_SECURE_ON);
    again = load_good(dump);
    second = dump_of(again);
    assert_string_equal(dump, second);
    free(dump);
    free(second);
    conf_free(c);
    conf_free(again);
    c = load_good("listeners: [ 8080 ]\nupstreams: { app: { servers: [ 9000 ], sticky: { key_file: /k } } }\nroutes: [ { upstream: app } ]\n");
    assert_string_equal(c->upstreams[0].sticky.cookie, "upgate");
    assert_int_equal(c->upstreams[0].sticky.max_age_ms, 0);
    assert_int_equal(c->upstreams[0].sticky.same_site, CONF_SAME_SITE_LAX);
    assert_int_equal(c->upstreams[0].sticky.secure, CONF_SECURE_AUTO);
    conf_free(c);
}

static void refused(void **state)
{
    (void)state;
    expect_refused(HOLE, "sticky: {}", "`sticky` needs `key_file`");
    expect_refused(HOLE, "sticky: { key_file: k }", "`key_file`: `k` is not an absolute path");
    expect_refused(HOLE, "sticky: { key_file: /k, cookie: \"a b\" }", "`cookie`: `a b` is not a token: letters, digits and !#$%&'*+-.^_`|~ only");
    expect_refused(HOLE, "sticky: { key_file: /k, max_age: 10ms }", "`max_age`: 10ms is out of bounds: 1s to 400d, or `off`");
    expect_refused(HOLE, "sticky: { key_file: /k, same_site: loose }", "`same_site`: unknown value `loose`: lax, strict or none");
    expect_refused(HOLE, "balance: hash, hash: \"cookie:upgate\", sticky: { key_file: /k }",
                   "`hash`: the cookie `upgate` is the gateway's own: it changes with each client");
}

static void warned(const char *text, const char *sentence)
{
    char *messages;
    struct conf *c = load(text, &messages);

    assert_non_null(c);
    if (strstr(messages, sentence) == NULL)
        fail_msg("`%s` is not in `%s`", sentence, messages);
    free(messages);
    conf_free(c);
}

static void warnings(void **state)
{
    (void)state;
    warned(fill_in(HOLE, "sticky: { key_file: /k, same_site: none }"), "warning: `same_site: none`: browsers take such a cookie only under https");
    conf_free(load_good(fill_in(HOLE, "sticky: { key_file: /k }")));     /* other hosts, other cookies */
    warned("listeners: [ 80 ]\nupstreams: { a: { servers: [ 1, 2 ], retries: 0, sticky: { key_file: /k } } }\nroutes: [ { upstream: a } ]\n",
           "`retries: 0`: a dead server's clients are led to it, and answered 502");
    conf_free(load_good("listeners: [ 80 ]\nroutes: [ { upstream: a } ]\n"
                        "upstreams: { a: { servers: [ 1, 2 ], retries: 0, eject: { failures: 3 }, sticky: { key_file: /k } } }\n"));
    warned("listeners: [ 8080 ]\nupstreams: { a: { servers: [ 1 ], sticky: { key_file: /k } }, b: { servers: [ 2 ], sticky: { key_file: /k } } }\n"
           "routes: [ { match: { host: x.test, path: /a }, upstream: a }, { match: { host: x.test }, upstream: b } ]\n",
           "`b` and `a` have sticky cookies of the same name, `upgate`, and routes for the same host");
    warned("listeners: [ { address: 8443, passthrough: { \"*\": a } } ]\nupstreams: { a: { servers: [ 1 ], sticky: { key_file: /k } } }\n",
           "`sticky` has no effect on connections that are passed through");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(keys), cmocka_unit_test(refused), cmocka_unit_test(warnings) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
