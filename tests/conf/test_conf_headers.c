/* The keys of `headers`: maps of fields, what can't be changed, what is there twice. */
#include "tests/conf/conf_test.h"

#define HOLE                                                                                                                     \
    "listeners: [ 8080 ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes:\n  - upstream: app\n    headers: { request: { %s } }\n"

static void maps(void **state)
{
    struct conf *c = load_good(fill_in(HOLE, "set: { X-Env: prod, X-Path: \"/a: b, \\\"c\\\"\" }, add: { X-Env2: ü }, remove: [ Cookie, X-Real-IP ]"));
    const struct rules_changes *changes = &c->routes[0].headers.request;
    char *dump = dump_of(c), *again;
    struct conf *loaded;

    (void)state;
    assert_int_equal(changes->set_n, 2);
    assert_true(span_equal(changes->set[0].name, SPAN_LITERAL("X-Env")) && span_equal(changes->set[0].value, SPAN_LITERAL("prod")));
    assert_true(span_equal(changes->set[1].value, SPAN_LITERAL("/a: b, \"c\"")));
    assert_int_equal(changes->add_n, 1);
    assert_int_equal(changes->remove_n, 2);
    assert_string_equal(changes->remove[1], "X-Real-IP");
    assert_int_equal(c->routes[0].headers.response.set_n, 0);
    assert_non_null(strstr(dump, "        set: { X-Env: prod, X-Path: \"/a: b, \\\"c\\\"\" }\n        add: { X-Env2: \"ü\" }\n"
                                 "        remove: [ Cookie, X-Real-IP ]\n"));
    loaded = load_good(dump);
    again = dump_of(loaded);
    assert_string_equal(dump, again);
    free(dump);
    free(again);
    conf_free(c);
    conf_free(loaded);
}

static void refused(void **state)
{
    static const char *const ours[] = { "Host", "content-length", "Transfer_Encoding", "Connection", "Via", "Sec-WebSocket-Key", "Upgrade" };
    char keys[128], sentence[128];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(ours); i++) {
        snprintf(keys, sizeof(keys), "set: { %s: x }", ours[i]);
        snprintf(sentence, sizeof(sentence), "`set`: %s can't be changed: HTTP itself needs it", ours[i]);
        expect_refused(HOLE, keys, sentence);
        snprintf(keys, sizeof(keys), "remove: [ %s ]", ours[i]);
        snprintf(sentence, sizeof(sentence), "`remove`: %s can't be changed: HTTP itself needs it", ours[i]);
        expect_refused(HOLE, keys, sentence);
    }
    expect_refused(HOLE, "set: { X Y: x }", "`set`: `X Y` is not a field's name: letters, digits and !#$%&'*+-.^_`|~ only");
    expect_refused(HOLE, "set: { \"X:\": x }", "`set`: `X:` is not a field's name: letters, digits and !#$%&'*+-.^_`|~ only");
    expect_refused(HOLE, "set: { X: \"a\\r\\nEvil: b\" }", "`set`: control characters can't stand here");
    expect_refused(HOLE, "add: { X: \"a\\0b\" }", "`add`: control characters can't stand here");
    expect_refused(HOLE, "add: { X: \"a\\tb\" }", "`add`: control characters can't stand here");
    expect_refused(HOLE, "set: { X: \" a\" }", "`set`: a field's value has no blanks at its ends");
    expect_refused(HOLE, "set: { X: \"\" }", "`set` is empty: give it a value, or leave it out");
    expect_refused(HOLE, "set: { X: [ a ] }", "`set`: a single value must stand here, not a list");
    expect_refused(HOLE, "set: [ a ]", "`set`: keys (`key: value`) must stand here, not a list");
    expect_refused(HOLE, "set: {}", "`set` holds nothing");
    expect_refused(HOLE, "set: { X: a, X: b }", "`X` is there twice; the first is in line 5");
    expect_refused(HOLE, "set: { X-A: a, x_a: b }", "`set`: x_a is set twice");
    expect_refused(HOLE, "set: { X-A: a }, remove: [ X-B, X_a ]",
                   "`remove`: X_a is set, too; what is set replaces all others of its name");
}

/* Where an item was refused, the others are read all the same. */
static void every_error(void **state)
{
    char *messages;
    size_t errors = 0;

    (void)state;
    assert_null(load(fill_in(HOLE, "set: { Host: x, X: \"\\0\", Y: [ 1 ], Via: \"\" }, remove: [ TE ]"), &messages));
    for (const char *at = messages; (at = strstr(at, "f.yaml:5:")) != NULL; at++)
        errors++;
    assert_int_equal(errors, 6);
    free(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(maps), cmocka_unit_test(refused), cmocka_unit_test(every_error) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
