/* The keys of `path`. */
#include "tests/conf/conf_test.h"

#define HOLE "listeners: [ 8080 ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes:\n  - { upstream: app, %s }\n"

static void taken(void **state)
{
    static const char *const good[] = {
        "match: { path: /app }, path: { strip: /app }", "match: { path: /app/ }, path: { strip: /app }",
        "match: { exact: /app/b }, path: { strip: /app }", "match: { path: /app }, path: { strip: /app, prepend: /v1/x }",
        "path: { prepend: \"/~a%25b\" }", "match: { path: /é }, path: { strip: /é }",
    };
    struct conf *c;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        conf_free(load_good(fill_in(HOLE, good[i])));
    c = load_good(fill_in(HOLE, good[3]));
    assert_string_equal(c->routes[0].path.strip, "/app");
    assert_string_equal(c->routes[0].path.prepend, "/v1/x");
    conf_free(c);
}

static void refused(void **state)
{
    static const char elsewhere[] = "`strip`: the path in this route's `match` has to be /app, or to begin with it";

    (void)state;
    expect_refused(HOLE, "path: { strip: /app }", elsewhere);
    expect_refused(HOLE, "match: { path: / }, path: { strip: /app }", elsewhere);
    expect_refused(HOLE, "match: { path: /apple }, path: { strip: /app }", elsewhere);
    expect_refused(HOLE, "match: { path: /b/app }, path: { strip: /app }", elsewhere);
    expect_refused(HOLE, "match: { path: /app/ }, path: { strip: /app/ }",
                   "`strip`: the slash behind its segments stays in the path: write it without one at its end");
    expect_refused(HOLE, "path: { prepend: / }",
                   "`prepend`: the slash behind its segments stays in the path: write it without one at its end");
    expect_refused(HOLE, "path: { prepend: \"/a b\" }", "`prepend`: only characters that a URL holds as they are can stand here");
    expect_refused(HOLE, "path: { prepend: /é }", "`prepend`: only characters that a URL holds as they are can stand here");
    expect_refused(HOLE, "path: { prepend: /a/../b }", "`prepend`: `/a/../b`: paths are matched in their normal form: write `/b`");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(taken), cmocka_unit_test(refused) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
