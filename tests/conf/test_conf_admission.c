/* allow and deny, of listeners and routes. */
#include "tests/conf/conf_test.h"

#define LISTENER "listeners: [ { address: 80, %s } ]\nupstreams: { a: { servers: [ 9000 ] } }\nroutes: [ { upstream: a } ]\n"
#define ROUTE "listeners: [ 80 ]\nupstreams: { a: { servers: [ 9000 ] } }\nroutes: [ { upstream: a, %s } ]\n"

static void taken(void **state)
{
    struct conf *c = load_good(fill_in(LISTENER, "allow: [ 10.0.0.0/8, \"::1\", unix ], deny: [ 10.1.0.0/16 ]"));

    (void)state;
    assert_int_equal(c->listeners[0].admission.allow_n, 3);
    assert_int_equal(c->listeners[0].admission.deny_n, 1);
    assert_int_equal(c->routes[0].admission.allow_n, 0);
    conf_free(c);
    c = load_good(fill_in(ROUTE, "deny: [ 10.1.0.0/16 ]"));
    assert_int_equal(c->routes[0].admission.deny[0].prefix_bits, 16);
    conf_free(c);
}

/* An empty list could mean everybody or nobody. */
static void refused(void **state)
{
    (void)state;
    expect_refused(LISTENER, "allow: []", "`allow` holds nothing");
    expect_refused(ROUTE, "deny: []", "`deny` holds nothing");
    expect_refused(ROUTE, "allow: [ localhost ]", "`allow`: `localhost` is not a network: 10.0.0.0/8, 192.0.2.1, ::1/128, or unix");
}

static void without_effect(void **state)
{
    static const struct {
        const char *keys;
        bool warned;
    } rows[] = {
        { "allow: [ 10.1.0.0/16 ], deny: [ 10.0.0.0/8 ]", true },
        { "allow: [ 10.0.0.0/8 ], deny: [ 10.0.0.0/8 ]", true },
        { "allow: [ 10.0.0.0/8 ], deny: [ 10.1.0.0/16 ]", false },
        { "allow: [ 11.0.0.0/8 ], deny: [ 10.0.0.0/8 ]", false },
        { "allow: [ \"a00::/8\" ], deny: [ 10.0.0.0/8 ]", false },
        { "allow: [ unix ], deny: [ 0.0.0.0/0 ]", false },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *messages;
        struct conf *c = load(fill_in(ROUTE, rows[i].keys), &messages);
        assert_non_null(c);
        if ((strstr(messages, "nobody is let in by this network") != NULL) != rows[i].warned)
            fail_msg("%s: %s", rows[i].keys, messages);
        free(messages);
        conf_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(taken), cmocka_unit_test(refused), cmocka_unit_test(without_effect) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
