/* What an operator reads: bad texts and the exact messages, and texts made to exhaust the reader. */
#include "tests/conf/conf_test.h"

#define HOSTILE_BYTES ((size_t)256 * 1024)
#define REST "upstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { upstream: app } ]\n"

static const struct {
    const char *text;
    const char *messages;
} bad[] = {
    /* Keys */
    { "listeners:\n  - adress: 0.0.0.0:80\n" REST,
      "f.yaml:2:5: unknown key `adress`, did you mean `address`?\n      - adress: 0.0.0.0:80\n        ^\n" },
    { "Workers: 2\nwrokers: 2\nworker: 2\n" MINIMAL,
      "f.yaml:1:1: unknown key `Workers`, did you mean `workers`?\n    Workers: 2\n    ^\n"
      "f.yaml:2:1: unknown key `wrokers`, did you mean `workers`?\n    wrokers: 2\n    ^\n"
      "f.yaml:3:1: unknown key `worker`, did you mean `workers`?\n    worker: 2\n    ^\n" },
    { MINIMAL "log: { colour: red }\n",
      "f.yaml:4:8: unknown key `colour`; `log` can have: level, access\n    log: { colour: red }\n           ^\n" },
    { MINIMAL "verify: utf8\n",
      "f.yaml:4:1: unknown key `verify` in the file; it belongs in `routes[].websocket`\n    verify: utf8\n    ^\n" },
    { MINIMAL "timeouts: { workers: 2 }\n", "f.yaml:4:13: unknown key `workers` in `timeouts`; it belongs at the top level\n    "
                                            "timeouts: { workers: 2 }\n                ^\n" },
    { "listeners: [ 80 ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { upstream: app, timeouts: { header: 1s } } ]\n",
      "f.yaml:3:40: unknown key `header` in `timeouts` of a route; it belongs in `timeouts`\n"
      "    routes: [ { upstream: app, timeouts: { header: 1s } } ]\n                                           ^\n" },
    { "workers: 2\n" MINIMAL "workers: 3\n",
      "f.yaml:5:1: `workers` is there twice; the first is in line 1\n    workers: 3\n    ^\n" },
    { "listeners: [ 80 ]\nupstreams:\n  a: { servers: [ 1 ] }\n  a: { servers: [ 1 ] }\nroutes: [ { upstream: a } ]\n",
      "f.yaml:4:3: `a` is there twice; the first is in line 3\n      a: { servers: [ 1 ] }\n      ^\n" },
    { MINIMAL "[ a ]: b\n", "f.yaml:4:1: a key must stand here, not a list\n    [ a ]: b\n    ^\n" },
    { MINIMAL "<<: b\n",
      "f.yaml:4:1: unknown key `<<`; the file can have: workers, tls_threads, user, group, sandbox, sandbox_folders, log, admin, limits, timeouts, listeners, upstreams, routes, forwarded\n"
      "    <<: b\n    ^\n" },
    /* What is missing */
    { "listeners: [ 80 ]\nupstreams: { a: { servers: [ 1 ] } }\n",
      "f.yaml:1:1: the file needs `routes`\n    listeners: [ 80 ]\n    ^\n" },
    { "{}", "f.yaml:1:1: the file needs `listeners`\n    {}\n    ^\nf.yaml:1:1: the file needs `upstreams`\n    {}\n    ^\n" },
    { "listeners: []\n" REST, "f.yaml:1:12: `listeners` holds nothing\n    listeners: []\n               ^\n" },
    { "listeners: [ 80 ]\nupstreams: { a: {} }\nroutes: [ { upstream: a } ]\n",
      "f.yaml:2:17: an upstream needs `servers`\n    upstreams: { a: {} }\n                    ^\n" },
    { "listeners: [ { name: x } ]\nupstreams: { a: { servers: [ { weight: 1 } ] } }\nroutes: [ {} ]\n",
      "f.yaml:1:14: a listener needs `address`\n    listeners: [ { name: x } ]\n                 ^\n"
      "f.yaml:2:30: a server needs `address`\n    upstreams: { a: { servers: [ { weight: 1 } ] } }\n                             "
      "    ^\n"
    },
    { "listeners: [ 80 ]\nupstreams: { a: { servers: [ 1 ] } }\nroutes: [ {} ]\n",
      "f.yaml:3:11: a route needs `upstream`, `redirect` or `respond`\n    routes: [ {} ]\n              ^\n" },
    { MINIMAL "workers:\n", "f.yaml:4:9: `workers` is empty: give it a value, or leave it out\n    workers:\n            ^\n" },
    { MINIMAL "limits:\n",
      "f.yaml:4:8: `limits`: keys (`key: value`) must stand here; nothing does\n    limits:\n           ^\n" },
    { "", "f.yaml: empty: `listeners`, `upstreams` and `routes` are needed\n" },
    { "# nothing\n\n", "f.yaml: empty: `listeners`, `upstreams` and `routes` are needed\n" },
    { "---\n", "f.yaml:2:1: `the file`: keys (`key: value`) must stand here; nothing does\n    \n    ^\n" },
    /* Kinds */
    { "- a\n", "f.yaml:1:1: `the file`: keys (`key: value`) must stand here, not a list\n    - a\n    ^\n" },
    { "a\n", "f.yaml:1:1: `the file`: keys (`key: value`) must stand here, not a single value\n    a\n    ^\n" },
    { MINIMAL "log: [ a ]\n",
      "f.yaml:4:6: `log`: keys (`key: value`) must stand here, not a list\n    log: [ a ]\n         ^\n" },
    { MINIMAL "workers: [ 1 ]\n",
      "f.yaml:4:10: `workers`: a single value must stand here, not a list\n    workers: [ 1 ]\n             ^\n" },
    { MINIMAL "workers: { a: 1 }\n",
      "f.yaml:4:10: `workers`: a single value must stand here, not keys\n    workers: { a: 1 }\n             ^\n" },
    { "listeners: 80\n" REST, "f.yaml:1:12: `listeners`: a list (`[ … ]`, or lines that begin with `- `) must stand here, not a "
                              "single value\n    listeners: 80\n"
                              "               ^\n" },
    { "listeners: { address: 80 }\n" REST, "f.yaml:1:12: `listeners`: a list (`[ … ]`, or lines that begin with `- `) must stand "
                                           "here, not keys\n    listeners: { address: 80 }\n"
                                           "               ^\n" },
    { "listeners: [ [ 80 ] ]\nupstreams: { a: [ 1 ] }\nroutes: [ a ]\n",
      "f.yaml:1:14: `listeners`: keys (`key: value`) must stand here, not a list\n    listeners: [ [ 80 ] ]\n                 ^\n"
      "f.yaml:2:17: `upstreams`: keys (`key: value`) must stand here, not a list\n    upstreams: { a: [ 1 ] }\n                  "
      "  ^\n"
      "f.yaml:3:11: `routes`: keys (`key: value`) must stand here, not a single value\n    routes: [ a ]\n              ^\n" },
    { MINIMAL "forwarded: { strip: [ [] ] }\n", "f.yaml:4:23: `strip`: a single value must stand here, not a list\n    "
                                                "forwarded: { strip: [ [] ] }\n                          ^\n" },
    { "listeners: [ 80 ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { upstream: app, websocket: on } ]\n",
      "f.yaml:3:39: `websocket`: keys (`key: value`) or `off` must stand here, not a single value\n"
      "    routes: [ { upstream: app, websocket: on } ]\n                                          ^\n" },
    /* Places */
    { MINIMAL "# é\nlog: { \"é\": 1,\tlevel: inf }\n",
      "f.yaml:5:8: unknown key `é`; `log` can have: level, access\n    log: { \"é\": 1,\tlevel: inf }\n           ^\n"
      "f.yaml:5:23: `level`: unknown value `inf`: error, warn, info or debug, did you mean `info`?\n    log: { \"é\": 1,\tlevel: "
      "inf }\n"
      "                  \t       ^\n" },
    { "\xEF\xBB\xBFworkers: x\r\n" MINIMAL,
      "f.yaml:1:10: `workers`: `x` is not a whole number, nor `auto`\n    workers: x\n             ^\n" },
    { "workers: 1\r# old Mac\rworkers: 2\r" MINIMAL,
      "f.yaml:3:1: `workers` is there twice; the first is in line 1\n    workers: 2\n    ^\n" },
    { MINIMAL "workers: \"\\0\\e[31m\"\n",
      "f.yaml:4:10: `workers`: `??[31m` is not a whole number, nor `auto`\n    workers: \"\\0\\e[31m\"\n             ^\n" },
    { MINIMAL "log: { access: { to:                                                                           \"x\", format: jsn "
              "} } # 345678901234567890\n",
      "f.yaml:4:96: `to`: `x` is neither `stdout` nor an absolute path\n"
      "   …{ access: { to:                                                                           \"x\", format: jsn } } # "
      "345678901234567890\n"
      "                                                                                              ^\n"
      "f.yaml:4:109: `format`: unknown value `jsn`: json, combined or off, did you mean `json`?\n"
      "   …o:                                                                           \"x\", format: jsn } } # "
      "345678901234567890\n"
      "                                                                                              ^\n" },
    /* YAML itself */
    { "a:\n\tb: 1\n",
      "f.yaml:2:1: not valid YAML: found character that cannot start any token (while scanning for the next token); "
      "indent with spaces, not tabs\n    \tb: 1\n    ^\n" },
    { "a: [ 1\nb: 2\n",
      "f.yaml:2:2: not valid YAML: did not find expected ',' or ']' (while parsing a flow sequence that begins in line 1)\n"
      "    b: 2\n     ^\n" },
    { "listeners: [ [::1]:80 ]\n",
      "f.yaml:1:15: not valid YAML: did not find expected node content (while parsing a flow node); an address that "
      "begins with `[` or `:` needs quotes\n    listeners: [ [::1]:80 ]\n                  ^\n" },
    { "host: *.example.com\n",
      "f.yaml:1:8: not valid YAML: did not find expected alphabetic or numeric character (while scanning an alias); "
      "a value that begins with `*` needs quotes\n    host: *.example.com\n           ^\n" },
    { "a: @b\n",
      "f.yaml:1:4: not valid YAML: found character that cannot start any token (while scanning for the next token); a value "
      "that begins with this character needs quotes\n    a: @b\n       ^\n" },
    { "a: \"b\n", "f.yaml:2:1: not valid YAML: found unexpected end of stream (while scanning a quoted scalar that begins in "
                  "line 1)\n    \n    ^\n" },
    { "a: &b 1\n", "f.yaml:1:4: anchors and aliases can't be used: write the value out\n    a: &b 1\n       ^\n" },
    { "a: *b\n", "f.yaml:1:4: anchors and aliases can't be used: write the value out (a value that begins with `*` needs "
                 "quotes)\n    a: *b\n       ^\n" },
    { "a: !!int 1\n", "f.yaml:1:4: tags can't be used: what a value is follows from its key\n    a: !!int 1\n       ^\n" },
    { "a: ! 1\n", "f.yaml:1:4: tags can't be used: what a value is follows from its key\n    a: ! 1\n       ^\n" },
    { MINIMAL "---\na: 1\n", "f.yaml:4:1: a second document begins here: a file holds one\n    ---\n    ^\n" },
    { "a: 1\nb: \xff\n", "f.yaml:2:4: not UTF-8 text: invalid leading UTF-8 octet\n    b: ?\n       ^\n" },
    { "a: \xc3(\n", "f.yaml:1:5: not UTF-8 text: invalid trailing UTF-8 octet\n    a: ?(\n        ^\n" },
    { "a: b\x01\n", "f.yaml:1:5: not UTF-8 text: control characters are not allowed\n    a: b?\n        ^\n" },
    { "\xff\xfe" "a",
      "f.yaml:1:1: not UTF-8 text: invalid leading UTF-8 octet\n    ??a\n    ^\n" },
    { "a: [[[[[[[[[[[[[[[[[ ]]]]]]]]]]]]]]]]]\n",
      "f.yaml:1:19: nested too deep\n    a: [[[[[[[[[[[[[[[[[ ]]]]]]]]]]]]]]]]]\n                      ^\n" },
};

static void golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char *messages;
        struct conf *c = load(bad[i].text, &messages);
        if (c != NULL || strcmp(messages, bad[i].messages) != 0)
            fail_msg("\n--- of\n%s\n--- is\n%s--- wanted\n%s", bad[i].text, messages, bad[i].messages);
        free(messages);
    }
}

/* All errors in one run, in the order of the file, whatever found them. */
static void all_at_once(void **state)
{
    static const char text[] =
        "routes:\n  - { upstream: ap }\n  - { upstream: app, match: { listener: inn, path: x } }\n"
        "upstreams: { app: { servers: [ 1 ], retries: 11 } }\nlisteners: [ { address: 80, name: in }, 80 ]\nbogus: 1\n";
    static const char *const wanted[] = {
        ":2:17: no upstream is named `ap`, did you mean `app`?", ":3:41: no listener is named `inn`, did you mean `in`?",
        ":3:52: `path`: `x`: a path begins with `/`", ":4:46: `retries`: 11 is out of bounds: 0 to 10",
        ":5:41: two listeners at 0.0.0.0:80", ":6:1: unknown key `bogus`"
    };
    char *messages, *at;
    struct conf *c = load(text, &messages);

    (void)state;
    assert_null(c);
    at = messages;
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        at = at != NULL ? strstr(at, wanted[i]) : NULL;
        if (at == NULL)
            fail_msg("%s is not there, or not in its place:\n%s", wanted[i], messages);
    }
    free(messages);
}

static void nul_byte(void **state)
{
    char *messages;

    (void)state;
    assert_null(load_span(SPAN_LITERAL("a: \0b\n"), &messages));
    assert_string_equal(messages, "f.yaml:1:4: not UTF-8 text: control characters are not allowed\n    a: ?b\n       ^\n");
    free(messages);
}

static void many_messages(void **state)
{
    char text[4096], *messages, *last;
    size_t at = put(text, sizeof(text), 0, MINIMAL);

    (void)state;
    for (int i = 0; i < 120; i++)
        at = put(text, sizeof(text), at, "zzzzzzzzzzz%d: 1\n", i);
    assert_null(load(text, &messages));
    last = strstr(messages, "… and 70 more messages\n");
    assert_non_null(last);
    assert_non_null(strstr(messages, "zzzzzzzzzzz49"));
    assert_null(strstr(messages, "zzzzzzzzzzz50"));
    free(messages);
}

static void expect_said(const char *text, const char *what)
{
    char *messages;

    assert_null(load(text, &messages));
    if (strstr(messages, what) == NULL)
        fail_msg("%s is not in\n%.2000s", what, messages);
    free(messages);
}

static char *repeat(const char *head, const char *unit, size_t bytes)
{
    size_t n = strlen(unit), at = strlen(head);
    char *text = malloc(bytes + 1);

    assert_non_null(text);
    memcpy(text, head, at);
    for (; at + n <= bytes; at += n)
        memcpy(text + at, unit, n);
    text[at] = '\0';
    return text;
}

/* Much of what costs most: were anything of it quadratic, this test would not end. */
static void hostile_texts(void **state)
{
    static const struct {
        const char *head, *unit, *said;
    } cases[] = {
        { "", "[", "nested too deep" },
        { "", "{a: ", "nested too deep" },
        { "", "- ", "nested too deep" },
        { "", "? ", "nested too deep" },
        { "", "a: 1\n", "more messages" },
        { "", "workers: 1\n", "more messages" },
        { "listeners:\n", "- 1\n", "holds 65533 items; at most 256 can be" },
        { "upstreams:\n", " a: 1\n", "holds 43688 items; at most 4096 can be" },
        { "routes: [ ", "{ upstream: b }, ", "not valid YAML" },
        { "routes:\n", "- {}\n", "at most 4096 can be" },
        { "a: \"", "b", "not valid YAML" },
        { "", "&a *a ", "anchors" },
        { "", "\n", "empty" },
        { "", "a", "must stand here" },
        { "b", "é", "must stand here" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *text = repeat(cases[i].head, cases[i].unit, HOSTILE_BYTES);
        expect_said(text, cases[i].said);
        free(text);
    }
}

/* Nine lists, each ten times the one before: a thousand million items, if anybody walked them. */
static void alias_bomb(void **state)
{
    char text[1024];
    size_t at = put(text, sizeof(text), 0, "a0: &a0 [ 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 ]\n");

    (void)state;
    for (int i = 1; i < 9; i++) {
        at = put(text, sizeof(text), at, "a%d: &a%d [ ", i, i);
        for (int j = 0; j < 10; j++)
            at = put(text, sizeof(text), at, "%s*a%d", j == 0 ? "" : ", ", i - 1);
        at = put(text, sizeof(text), at, " ]\n");
    }
    put(text, sizeof(text), at, MINIMAL);
    expect_said(text, "f.yaml:1:5: anchors and aliases can't be used");
    expect_said("a: &a [ *a ]\n", "f.yaml:1:4: anchors and aliases can't be used");
}

/* A file as large as can be, and good. */
static void large_good(void **state)
{
    static char text[400000];
    struct conf *c;
    size_t at = 0;

    (void)state;
    at = put(text, sizeof(text), at, "listeners: [ 80 ]\nupstreams:\n");
    for (int i = 0; i < 4096; i++)
        at = put(text, sizeof(text), at, "  u%d: { servers: [ %d ] }\n", i, i + 1);
    at = put(text, sizeof(text), at, "routes:\n");
    for (int i = 0; i < 4096; i++)
        at = put(text, sizeof(text), at, "  - { match: { path: /p%d }, upstream: u%d }\n", i, 4095 - i);
    c = load_good(text);
    assert_int_equal(c->routes[17].upstream, 4095 - 17);
    conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden), cmocka_unit_test(all_at_once), cmocka_unit_test(nul_byte), cmocka_unit_test(many_messages),
        cmocka_unit_test(hostile_texts), cmocka_unit_test(alias_bomb), cmocka_unit_test(large_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
