/* Fields seen together: names that must exist, what is there twice, routes that are never reached. */
#include "tests/conf/conf_test.h"

#define HEAD                                                                                                                     \
    "listeners: [ { address: 80, name: in }, 81 ]\nupstreams: { app: { servers: [ 9000 ] }, web: { servers: [ 9001 ] } }\n"

/* Lines of messages without the excerpts. */
static void expect_lines(const char *text, bool loads, const char *wanted)
{
    static char lines[8192];
    char *messages, *line;
    struct conf *c = load(text, &messages);
    size_t at = 0;

    lines[0] = '\0';
    for (line = messages; line != NULL && *line != '\0'; line = strchr(line, '\n') != NULL ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, "f.yaml", 6) == 0)
            at = put(lines, sizeof(lines), at, "%.*s\n", (int)strcspn(line, "\n"), line);
    if ((c != NULL) != loads || strcmp(lines, wanted) != 0)
        fail_msg("\n%s\n--- is\n%s--- wanted\n%s", text, lines, wanted);
    free(messages);
    conf_free(c);
}

static void names(void **state)
{
    (void)state;
    expect_lines(
        HEAD "routes: [ { upstream: wep }, { upstream: nothing-like-it } ]\n", false,
        "f.yaml:3:23: no upstream is named `wep`, did you mean `web`?\nf.yaml:3:42: no upstream is named `nothing-like-it`\n");
    expect_lines(
        HEAD "routes: [ { upstream: app, match: { listener: im } }, { upstream: web, match: { listener: \"0.0.0.0:81\" } } ]\n",
        false, "f.yaml:3:47: no listener is named `im`, did you mean `in`?\n");
    expect_lines(
        HEAD "routes: [ { upstream: app, match: { listener: in } }, { upstream: web, match: { listener: \"0.0.0.0:81\" } } ]\n",
        true, "");
}

/* Where the other side could not be read, nobody knows whether a name exists. */
static void names_unknown(void **state)
{
    (void)state;
    expect_lines("listeners: [ x ]\nupstreams: [ a ]\nroutes: [ { upstream: b, match: { listener: c } } ]\n", false,
                 "f.yaml:1:14: `address`: `x` lacks a port, as in 127.0.0.1:8080\n"
                 "f.yaml:2:12: `upstreams`: keys (`key: value`) must stand here, not a list\n");
}

static void listeners_twice(void **state)
{
    static const char rest[] = "upstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { upstream: app } ]\n";
    static const struct {
        const char *list;
        bool loads;
        const char *lines;
    } cases[] = {
        { "listeners: [ 80, \":80\" ]\n", false, "f.yaml:1:18: two listeners at 0.0.0.0:80\n" },
        { "listeners: [ \"[::1]:80\", \"[0::1]:80\" ]\n", false, "f.yaml:1:26: two listeners at [::1]:80\n" },
        { "listeners: [ unix:/a, unix:/a ]\n", false, "f.yaml:1:23: two listeners at unix:/a\n" },
        { "listeners: [ 0, 0 ]\n", true, "" },
        { "listeners: [ 80, 127.0.0.1:80, unix:/80 ]\n", true, "" },
        { "listeners: [ { address: 80, name: a }, { address: 81, name: a } ]\n", false,
          "f.yaml:1:61: two listeners named `a`\n" },
        { "listeners: [ { address: 80, name: \"0.0.0.0:81\" }, 81 ]\n", false,
          "f.yaml:1:51: two listeners named `0.0.0.0:81`\n" },
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        snprintf(text, sizeof(text), "%s%s", cases[i].list, rest);
        expect_lines(text, cases[i].loads, cases[i].lines);
    }
}

static const struct { const char *earlier, *later; bool hides; } pairs[] = {
    { "{}", "{}", true },
    { "{}", "{ host: a.com, path: /x, methods: [ GET ], listener: in }", true },
    { "{ host: a.com }", "{}", false },
    { "{ host: a.com }", "{ host: A.com }", true },
    { "{ host: a.com }", "{ host: b.com }", false },
    { "{ host: \"*.a.com\" }", "{ host: x.a.com }", true },
    { "{ host: \"*.a.com\" }", "{ host: \"*.x.a.com\" }", true },
    { "{ host: \"*.a.com\" }", "{ host: \"*.a.com\" }", true },
    { "{ host: \"*.a.com\" }", "{ host: a.com }", false },
    { "{ host: \"*.a.com\" }", "{ host: ba.com }", false },
    { "{ host: \"*.x.a.com\" }", "{ host: \"*.a.com\" }", false },
    { "{ host: x.a.com }", "{ host: \"*.a.com\" }", false },
    { "{ path: / }", "{}", true },
    { "{ path: / }", "{ exact: / }", true },
    { "{ exact: / }", "{ path: / }", false },
    { "{ exact: / }", "{ exact: / }", true },
    { "{ exact: / }", "{}", false },
    { "{ path: /ws }", "{ path: /ws }", true },
    { "{ path: /ws }", "{ path: /ws/a }", true },
    { "{ path: /ws }", "{ exact: /ws/ }", true },
    { "{ path: /ws }", "{ path: /wsx }", false },
    { "{ path: /ws }", "{ path: / }", false },
    { "{ path: /ws }", "{}", false },
    { "{ path: /ws/ }", "{ path: /ws }", false },
    { "{ path: /ws/ }", "{ path: /ws/x }", true },
    { "{ exact: /ws }", "{ path: /ws }", false },
    { "{ exact: /ws }", "{ exact: /ws }", true },
    { "{ exact: /ws }", "{ exact: /ws/ }", false },
    { "{ methods: [ GET, PUT ] }", "{ methods: [ PUT ] }", true },
    { "{ methods: [ GET ] }", "{ methods: [ GET, PUT ] }", false },
    { "{ methods: [ GET ] }", "{}", false },
    { "{ listener: in }", "{ listener: in }", true },
    { "{ listener: in }", "{ listener: \"0.0.0.0:81\" }", false },
    { "{ listener: in }", "{}", false },
    { "{ host: a.com, path: /x }", "{ host: a.com, path: /y }", false },
    { "{ path: /x }", "{ host: a.com, path: /x/y }", true },
};

static void never_reached(void **state)
{
    char text[1024];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        snprintf(text, sizeof(text), HEAD "routes:\n  - { match: %s, upstream: app }\n  - { match: %s, upstream: web }\n",
                 pairs[i].earlier, pairs[i].later);
        expect_lines(text, true,
                     pairs[i].hides
                         ? "f.yaml:5:5: warning: this route is never reached: the one in line 4 takes all that it would match\n"
                         : "");
    }
    expect_lines(HEAD "routes:\n  - upstream: app\n  - upstream: web\n", true,
                 "f.yaml:5:5: warning: this route is never reached: the one in line 4 takes all that it would match\n");
}

static void one_place_is_one_server(void **state)
{
    (void)state;
    expect_lines("listeners: [ 80 ]\nroutes: [ { upstream: a } ]\n"
                 "upstreams: { a: { servers: [ 1, { address: \"127.0.0.1:1\", weight: 2 }, 2, unix:/a, 2 ] } }\n", false,
                 "f.yaml:3:44: two servers at 127.0.0.1:1; one that is to get more than its share has a `weight`\n");
    expect_lines("listeners: [ 80 ]\nroutes: [ { upstream: a }, { upstream: b, match: { path: /x } } ]\n"
                 "upstreams: { a: { servers: [ 1, 2 ] }, b: { servers: [ 1, \"[::1]:1\" ] } }\n", true,
                 "f.yaml:2:28: warning: this route is never reached: the one in line 2 takes all that it would match\n");
}

static void one_id_is_one_server(void **state)
{
    (void)state;
    expect_lines("listeners: [ 80 ]\nroutes: [ { upstream: a } ]\n"
                 "upstreams: { a: { servers: [ { address: 1, id: x }, { address: 2, id: y }, 3, { address: 4, id: x } ] } }\n", false,
                 "f.yaml:3:97: two servers with the id `x`\n");
    expect_lines("listeners: [ 80 ]\nroutes: [ { upstream: a } ]\n"
                 "upstreams: { a: { servers: [ { address: 1, id: x y } ] } }\n", false,
                 "f.yaml:3:48: `id`: `x y` can't be a name: letters, digits, `.`, `_` and `-`, beginning with a letter or digit\n");
}

static void hash_keys(void **state)
{
    static const char *const good[] = { "client", "path", "header:X-Room", "\"cookie:a\"" };
    static const char *const bad[] = { "clients", "header", "\"header:\"", "\"cookie:a b\"", "path:x" };
    char text[256], due[160];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        snprintf(text, sizeof(text), "listeners: [ 80 ]\nupstreams: { a: { servers: [ 1 ], balance: hash, hash: %s } }\nroutes: [ { upstream: a } ]\n",
                 good[i]);
        expect_lines(text, true, "");
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        size_t quotes = bad[i][0] == '"';
        snprintf(text, sizeof(text), "listeners: [ 80 ]\nupstreams: { a: { servers: [ 1 ], balance: hash, hash: %s } }\nroutes: [ { upstream: a } ]\n",
                 bad[i]);
        snprintf(due, sizeof(due), "f.yaml:2:56: `hash`: `%.*s` is none of client, path, header:NAME and cookie:NAME\n",
                 (int)(strlen(bad[i]) - 2 * quotes), bad[i] + quotes);
        expect_lines(text, false, due);
    }
    expect_lines("listeners: [ 80 ]\nupstreams: { a: { servers: [ 1 ], hash: path } }\nroutes: [ { upstream: a } ]\n", true,
                 "f.yaml:2:41: warning: `hash` has no effect without `balance: hash`\n");
    expect_lines("listeners: [ 80 ]\nupstreams: { a: { servers: [ 1 ], hash_bound: 125 } }\nroutes: [ { upstream: a } ]\n", true,
                 "f.yaml:2:47: warning: `hash_bound` has no effect without `balance: hash`\n");
    expect_lines("listeners: [ 80 ]\nupstreams: { a: { servers: [ 1 ], balance: hash, hash_bound: 100 } }\nroutes: [ { upstream: a } ]\n", false,
                 "f.yaml:2:62: `hash_bound`: 100 is out of bounds: 101 to 10000, or `off`\n");
}

static void warnings(void **state)
{
    (void)state;
    expect_lines(HEAD "routes: [ { upstream: app } ]\n", true, "f.yaml:2:42: warning: no route goes to the upstream `web`\n");
    expect_lines(MINIMAL "# the routes above, and\nforwarded: { strip: [ x-a ] }\n", true, "");
    expect_lines(
        "listeners: [ 80 ]\nupstreams: { a: { servers: [ 1 ] } }\nroutes: [ { upstream: a, match: { methods: [ GET, get ] } } "
        "]\n",
        true,
        "f.yaml:3:51: warning: `methods`: methods are matched in the case in which they are sent; `get` has small letters\n");
    expect_lines("listeners: [ 80 ]\nupstreams: { a: { servers: [ 1 ] } }\n"
                 "routes: [ { upstream: a, websocket: { max_message: 1KiB, max_frame: 2KiB } } ]\n", true,
                 "f.yaml:3:69: warning: `max_frame` has no effect: it is larger than `max_message`\n");
    expect_lines("listeners: [ 80 ]\nupstreams: { a: { servers: [ 1 ] } }\n"
                 "routes: [ { upstream: a, websocket: { max_message: off, max_frame: 2KiB } } ]\n", true, "");
}

static void strip(void **state)
{
    (void)state;
    expect_lines(MINIMAL "forwarded: { strip: [ X-Mine, hOST, sec-websocket-key ] }\n", false,
                 "f.yaml:4:31: `strip`: Host can't be stripped: HTTP itself needs it\n"
                 "f.yaml:4:37: `strip`: Sec-WebSocket-Key can't be stripped: HTTP itself needs it\n");
}

/* Without `trusted` nobody could connect. */
static void proxy_protocol(void **state)
{
    static const struct {
        const char *listener, *upstream;
        bool loads;
        const char *lines;
    } cases[] = {
        { "{ address: 80, proxy_protocol: require, trusted: [ 10.0.0.0/8 ] }", "{ servers: [ 1 ], send_proxy: v2 }", true, "" },
        { "{ address: 80, proxy_protocol: off }", "{ servers: [ 1 ], send_proxy: off, keepalive: 5 }", true, "" },
        { "{ address: 80, proxy_protocol: require }", "{ servers: [ 1 ] }", false,
          "f.yaml:1:45: `proxy_protocol: require` needs `trusted`: the load balancers whose headers are believed, such as "
          "[10.0.0.0/8]\n" },
        { "{ address: 80, proxy_protocol: require, trusted: [] }", "{ servers: [ 1 ] }", false,
          "f.yaml:1:45: `proxy_protocol: require` needs `trusted`: the load balancers whose headers are believed, such as "
          "[10.0.0.0/8]\n" },
        { "{ address: 80, proxy_protocol: on }", "{ servers: [ 1 ], send_proxy: v3 }", false,
          "f.yaml:1:45: `proxy_protocol`: unknown value `on`: off or require\n"
          "f.yaml:2:49: `send_proxy`: unknown value `v3`: off, v1 or v2, did you mean `v1`?\n" },
        { "80", "{ servers: [ 1 ], send_proxy: v1, keepalive: 5 }", true, "" },
        { "{ address: 80, real_address: x_real_ip }", "{ servers: [ 1 ] }", false,
          "f.yaml:1:43: `real_address`: unknown value `x_real_ip`: x_forwarded_for, forwarded or off\n" },
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        snprintf(text, sizeof(text), "listeners: [ %s ]\nupstreams: { app: %s }\nroutes: [ { upstream: app } ]\n", cases[i].listener,
                 cases[i].upstream);
        expect_lines(text, cases[i].loads, cases[i].lines);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),         cmocka_unit_test(names_unknown), cmocka_unit_test(listeners_twice),
        cmocka_unit_test(proxy_protocol),
        cmocka_unit_test(never_reached), cmocka_unit_test(one_place_is_one_server), cmocka_unit_test(one_id_is_one_server), cmocka_unit_test(hash_keys), cmocka_unit_test(warnings),      cmocka_unit_test(strip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
