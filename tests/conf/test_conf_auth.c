/* The keys of `auth`. */
#include "tests/conf/conf_test.h"

#define HOLE                                                                                                                     \
    "listeners: [ 8080 ]\nupstreams: { app: { servers: [ 9000 ] }, login: { servers: [ 9001 ] } }\nroutes:\n  - { upstream: app, %s }\n"
#define FORWARD(keys) "auth: { forward: { upstream: login, path: /check" keys " } }"

static void forward(void **state)
{
    struct conf *c = load_good(fill_in(HOLE, FORWARD(", pass: [ X-User ], timeout: 2s"))), *again;
    char *dump = dump_of(c), *second;

    (void)state;
    assert_true(c->routes[0].auth.forward_on);
    assert_int_equal(c->routes[0].auth.forward.upstream, 1);
    assert_string_equal(c->routes[0].auth.forward.path, "/check");
    assert_int_equal(c->routes[0].auth.forward.timeout_ms, 2000);
    again = load_good(dump);
    second = dump_of(again);
    assert_string_equal(dump, second);
    free(dump);
    free(second);
    conf_free(c);
    conf_free(again);
    c = load_good(fill_in(HOLE, "auth: {}, match: { path: /x } }\n  - { upstream: login"));
    assert_false(c->routes[0].auth.forward_on);
    conf_free(c);
}

static void forward_refused(void **state)
{
    (void)state;
    expect_refused(HOLE, "auth: { forward: { path: /x } }", "`forward` needs `upstream`");
    expect_refused(HOLE, "auth: { forward: { upstream: login } }", "`forward` needs `path`");
    expect_refused(HOLE, "auth: { forward: { upstream: log, path: /x } }", "no upstream is named `log`, did you mean `login`?");
    expect_refused(HOLE, FORWARD(", pass: [ Host ]"), "`pass`: Host can't be changed: HTTP itself needs it");
    expect_refused(HOLE, FORWARD(", pass: [ X-Env ]") ", headers: { request: { set: { x_env: a } } }",
                   "`pass`: X-Env is set in `headers`, too: leave one out");
    expect_refused(HOLE, "auth: { forward: { upstream: login, path: \"/a b\" } }",
                   "`path`: only characters that a URL holds as they are can stand here");
}

static void basic(void **state)
{
    struct conf *c = load_good(fill_in(HOLE, "auth: { basic: { file: /etc/p, user_field: X-User } }, match: { path: /x } }\n  - { upstream: login"));

    (void)state;
    assert_true(c->routes[0].auth.basic_on && !c->routes[0].auth.forward_on && !c->routes[1].auth.basic_on);
    assert_string_equal(c->routes[0].auth.basic.file.path, "/etc/p");
    assert_string_equal(c->routes[0].auth.basic.realm, "restricted");
    conf_free(c);
    expect_refused(HOLE, "auth: { basic: {} }", "`basic` needs `file`");
    expect_refused(HOLE, "auth: { basic: { file: p } }", "`file`: `p` is not an absolute path");
    expect_refused(HOLE, "auth: { basic: { file: /p, user_field: Via } }", "`user_field`: Via can't be changed: HTTP itself needs it");
    expect_refused(HOLE, "auth: { basic: { file: /p, user_field: X_User } }, headers: { request: { set: { x-user: a } } }",
                   "`user_field`: X_User is set in `headers`, too: leave one out");
    expect_refused(HOLE, "auth: { basic: { file: /p }, forward: { upstream: login, path: /x } }",
                   "`forward` and `basic` can't both be given");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(forward), cmocka_unit_test(forward_refused), cmocka_unit_test(basic) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
