/* Who answers the requests of a route: `upstream`, `redirect`, `respond`; and `request_id`, which may be off. */
#include "tests/conf/conf_test.h"

#define HOLE "listeners: [ 8080 ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes:\n  - { match: { path: /a }, %s }\n  - { upstream: app }\n"

static const char *const good[] = {
    "redirect: { to: \"https://{host}{uri}\" }",
    "redirect: { to: /new/place?x=1#y, status: 308 }",
    "redirect: { to: \"/new{uri}\", status: 301 }",
    "redirect: { to: \"http://b.test/\" }",
    "respond: {}",
    "respond: { status: 204 }",
    "respond: { status: 503, body: \"<h1>Back \\\"soon\\\"</h1>\\n\\ttab\\r\\n\\\\ é\\n\", content_type: \"text/html; charset=utf-8\" }",
    "upstream: app",
};

/* What is loaded is dumped, and what is dumped loads to the same. */
static void taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct conf *c = load_good(fill_in(HOLE, good[i])), *again;
        char *text = dump_of(c), *second;
        again = load_good(text);
        second = dump_of(again);
        assert_string_equal(text, second);
        if (c->routes[0].respond_on && c->routes[0].respond.body != NULL)
            assert_string_equal(again->routes[0].respond.body, "<h1>Back \"soon\"</h1>\n\ttab\r\n\\ é\n");
        assert_int_equal(again->routes[0].redirect_on, i < 4);
        assert_int_equal(again->routes[0].upstream_on, i == COUNT_OF(good) - 1);
        free(text);
        free(second);
        conf_free(c);
        conf_free(again);
    }
}

static void refused(void **state)
{
    static const char one[] = "of `upstream`, `redirect` and `respond` a route can have only one";

    (void)state;
    expect_refused(HOLE, "websocket: off", "a route needs `upstream`, `redirect` or `respond`");
    expect_refused(HOLE, "upstream: app, respond: {}", one);
    expect_refused(HOLE, "redirect: { to: /x }, respond: {}", one);
    expect_refused(HOLE, "redirect: {}", "`redirect` needs `to`");
    expect_refused(HOLE, "redirect: { to: \"{uri}\" }", "`to`: `{uri}` is no place: it begins with https://, http:// or one slash");
    expect_refused(HOLE, "redirect: { to: \"/{uri}\" }", "`to`: `/{uri}` is no place: it begins with https://, http:// or one slash");
    expect_refused(HOLE, "redirect: { to: //b.test }", "`to`: `//b.test` is no place: it begins with https://, http:// or one slash");
    expect_refused(HOLE, "redirect: { to: \"/a b\" }", "`to`: `/a b`: only characters that a URL holds as they are, {host} and {uri} can stand here");
    expect_refused(HOLE, "redirect: { to: \"/{path}\" }",
                   "`to`: `/{path}`: only characters that a URL holds as they are, {host} and {uri} can stand here");
    expect_refused(HOLE, "redirect: { to: /x, status: 200 }", "`status`: unknown value `200`: 301, 302, 303, 307 or 308");
    expect_refused(HOLE, "respond: { status: 199 }", "`status`: 199 is out of bounds: 200 to 599");
    expect_refused(HOLE, "respond: { status: 204, body: x }", "`body`: an answer with the status 204 has none");
    expect_refused(HOLE, "respond: { body: \"a\\x07\" }", "`body`: control characters can't stand here");
}

#define NAMES "listeners: [ 8080 ]\nupstreams: { app: { servers: [ 9000 ] } }\n%s\n"

static void request_ids(void **state)
{
    struct conf *c = load_good(MINIMAL "forwarded: { request_id: off }\n"), *again;
    char *text = dump_of(c);

    (void)state;
    assert_null(c->forwarded.request_id);
    again = load_good(text);
    assert_null(again->forwarded.request_id);
    free(text);
    conf_free(again);
    conf_free(c);
    expect_refused(NAMES, "routes: [ { upstream: app, auth: { forward: { upstream: app, path: /, pass: [ x_request-id ] } } } ]",
                   "`pass`: x_request-id already tells the request's id: see `request_id` in `forwarded`");
    expect_refused(NAMES, "routes: [ { upstream: app, auth: { basic: { file: /x, user_field: X-Request-Id } } } ]",
                   "`user_field`: X-Request-Id already tells the request's id: see `request_id` in `forwarded`");
    expect_refused(NAMES, "routes: [ { upstream: app } ]\nforwarded: { tls_fields: { X-Request-Id: version } }",
                   "`tls_fields`: X-Request-Id already tells the request's id: see `request_id`");
    expect_refused(NAMES, "routes: [ { upstream: app } ]\nforwarded: { request_id: Host }", "`request_id`: Host can't be changed: HTTP itself needs it");
    expect_refused(NAMES, "routes: [ { upstream: app } ]\nforwarded: { request_id: traceparent }", "`request_id`: traceparent has a meaning of its own");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(taken), cmocka_unit_test(refused), cmocka_unit_test(request_ids) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
