/* Loading: defaults, a whole file, the one-line form, files that can't be read, and memory that runs out at every point. */
#include "tests/conf/conf_test.h"

#include <sys/socket.h>

#define FILE_BYTES_MAX ((size_t)1024 * 1024)

static void defaults(void **state)
{
    struct conf *c = load_good(MINIMAL);

    (void)state;
    assert_int_equal(c->workers, 0);
    assert_int_equal(c->log.level, CONF_LOG_INFO);
    assert_string_equal(c->log.access.to, "stdout");
    assert_int_equal(c->log.access.format, CONF_ACCESS_JSON);
    assert_int_equal(c->limits.header_bytes, 65536);
    assert_int_equal(c->limits.header_fields, 200);
    assert_int_equal(c->limits.connections, 100000);
    assert_int_equal(c->limits.body_bytes, 0);
    assert_int_equal(c->timeouts.header_ms, 10000);
    assert_int_equal(c->timeouts.body_ms, 60000);
    assert_int_equal(c->timeouts.keepalive_ms, 75000);
    assert_int_equal(c->timeouts.connect_ms, 5000);
    assert_int_equal(c->timeouts.response_ms, 60000);
    assert_int_equal(c->timeouts.drain_ms, 3600000);
    assert_int_equal(c->timeouts.drain_spread_ms, 30000);
    assert_string_equal(c->forwarded.via, "upgate");
    assert_true(c->forwarded.x_forwarded);
    assert_false(c->forwarded.rfc7239);
    assert_int_equal(c->forwarded.strip_n, 0);
    conf_free(c);
}

static void default_parts(void **state)
{
    struct conf *c = load_good(MINIMAL);
    const struct conf_upstream *app = &c->upstreams[0];
    const struct conf_websocket *websocket = &c->routes[0].websocket;

    (void)state;
    assert_int_equal(c->listeners_n, 1);
    assert_string_equal(c->listeners[0].address.host, "0.0.0.0");
    assert_string_equal(c->listeners[0].name, "0.0.0.0:8080");
    assert_int_equal(c->listeners[0].trusted_n, 0);
    assert_string_equal(app->name, "app");
    assert_int_equal(app->protocol, CONF_PROTOCOL_HTTP);
    assert_int_equal(app->balance, CONF_BALANCE_ROUND_ROBIN);
    assert_int_equal(app->keepalive, 32);
    assert_int_equal(app->keepalive_timeout_ms, 60000);
    assert_int_equal(app->retries, 1);
    assert_int_equal(app->servers[0].weight, 1);
    assert_string_equal(app->servers[0].address.text, "127.0.0.1:9000");
    assert_int_equal(c->routes[0].upstream, 0);
    assert_null(c->routes[0].match.host);
    assert_null(c->routes[0].match.path);
    assert_int_equal(c->routes[0].match.methods_n, 0);
    assert_null(c->routes[0].match.listener);
    assert_int_equal(websocket->mode, CONF_WEBSOCKET_ON);
    assert_int_equal(websocket->verify, WS_VERIFY_FRAMES);
    assert_int_equal(websocket->handshake_timeout_ms, 10000);
    assert_int_equal(websocket->idle_timeout_ms, 300000);
    assert_int_equal(websocket->close_timeout_ms, 5000);
    assert_int_equal(websocket->max_message, 64 << 20);
    assert_int_equal(websocket->max_frame, 0);
    assert_int_equal(c->routes[0].timeouts.body_ms, 60000);
    conf_free(c);
}

/* Every key there is, none at its default. */
static const char rich[] =
    "routes:\n"
    "  - match: { host: Chat.Example.com., path: /ws, methods: [ GET, PROPFIND ], listener: in }\n"
    "    upstream: b\n"
    "    websocket: { verify: utf8, handshake_timeout: 1s, idle_timeout: 1h, close_timeout: 1m,\n"
    "                 max_message: off, max_frame: 1KiB }\n"
    "    timeouts: { body: 1ms, connect: 2s, response: 1d }\n"
    "  - { match: { host: \"*.example.com\", exact: \"/a b/\" }, upstream: a, websocket: off }\n"
    "  - { match: { host: \"[::0:1]\" }, upstream: a, websocket: { verify: blind } }\n"
    "upstreams:\n"
    "  a: { protocol: http, servers: [ localhost:1, \"[::1]:2\", { address: unix:/s, weight: 3 } ] }\n"
    "  b: { servers: [ App.internal:80 ], balance: least_busy, keepalive: off, keepalive_timeout: 5s, retries: 0 }\n"
    "listeners:\n"
    "  - { address: 127.0.0.1:80, name: in, trusted: [ 10.0.0.0/8, \"::1/128\", unix, 192.0.2.7 ] }\n"
    "  - localhost:0\n"
    "  - unix:/run/x.sock\n"
    "timeouts: { header: 1s, body: 2s, keepalive: 3s, connect: 4s, response: 5s, drain: 0s, drain_spread: 0s }\n"
    "limits: { header_bytes: 1KiB, header_fields: 10, connections: 5, body_bytes: 1GiB }\n"
    "log: { level: debug, access: { to: /var/log/a, format: combined } }\n"
    "workers: 3\n"
    "forwarded: { via: me, x_forwarded: off, rfc7239: on, strip: [ X-A, X-B ] }\n";

static void rich_route(const struct conf *c)
{
    const struct conf_route *route = &c->routes[0];

    assert_string_equal(route->match.host, "chat.example.com");
    assert_string_equal(route->match.path, "/ws");
    assert_false(route->match.path_exact);
    assert_int_equal(route->match.methods_n, 2);
    assert_string_equal(route->match.methods[1], "PROPFIND");
    assert_string_equal(route->match.listener, "in");
    assert_int_equal(route->upstream, 1);
    assert_int_equal(route->websocket.verify, WS_VERIFY_UTF8);
    assert_int_equal(route->websocket.handshake_timeout_ms, 1000);
    assert_int_equal(route->websocket.idle_timeout_ms, 3600000);
    assert_int_equal(route->websocket.close_timeout_ms, 60000);
    assert_int_equal(route->websocket.max_message, 0);
    assert_int_equal(route->websocket.max_frame, 1024);
    assert_int_equal(route->timeouts.body_ms, 1);
    assert_int_equal(route->timeouts.connect_ms, 2000);
    assert_int_equal(route->timeouts.response_ms, 86400000);
    assert_int_equal(route->timeouts.keepalive_ms, 0);   /* not a route's affair */
}

static void rich_others(const struct conf *c)
{
    assert_int_equal(c->routes_n, 3);
    assert_string_equal(c->routes[1].match.host, "*.example.com");
    assert_string_equal(c->routes[1].match.path, "/a b/");
    assert_true(c->routes[1].match.path_exact);
    assert_int_equal(c->routes[1].upstream, 0);
    assert_int_equal(c->routes[1].websocket.mode, CONF_WEBSOCKET_OFF);
    assert_int_equal(c->routes[1].timeouts.body_ms, 2000);       /* the file's, though it stands below */
    assert_int_equal(c->routes[1].timeouts.connect_ms, 4000);
    assert_string_equal(c->routes[2].match.host, "[::1]");
    assert_int_equal(c->routes[2].websocket.mode, CONF_WEBSOCKET_ON);
    assert_int_equal(c->routes[2].websocket.verify, WS_VERIFY_BLIND);
    assert_int_equal(c->upstreams[0].servers_n, 3);
    assert_int_equal(c->upstreams[0].servers[0].address.kind, CONF_ADDRESS_NAME);
    assert_int_equal(c->upstreams[0].servers[2].weight, 3);
    assert_string_equal(c->upstreams[0].servers[2].address.path, "/s");
    assert_string_equal(c->upstreams[1].servers[0].address.host, "app.internal");
    assert_int_equal(c->upstreams[1].balance, CONF_BALANCE_LEAST_BUSY);
    assert_int_equal(c->upstreams[1].keepalive, 0);
    assert_int_equal(c->upstreams[1].keepalive_timeout_ms, 5000);
    assert_int_equal(c->upstreams[1].retries, 0);
}

static void rich_rest(const struct conf *c)
{
    assert_int_equal(c->listeners[0].trusted_n, 4);
    assert_int_equal(c->listeners[0].trusted[0].prefix_bits, 8);
    assert_int_equal(c->listeners[0].trusted[1].family, AF_INET6);
    assert_int_equal(c->listeners[0].trusted[2].family, AF_UNIX);
    assert_int_equal(c->listeners[0].trusted[3].prefix_bits, 32);
    assert_string_equal(c->listeners[1].address.text, "127.0.0.1:0");
    assert_string_equal(c->listeners[2].name, "unix:/run/x.sock");
    assert_int_equal(c->timeouts.drain_ms, 0);
    assert_int_equal(c->timeouts.header_ms, 1000);
    assert_int_equal(c->limits.body_bytes, 1 << 30);
    assert_int_equal(c->log.level, CONF_LOG_DEBUG);
    assert_string_equal(c->log.access.to, "/var/log/a");
    assert_int_equal(c->log.access.format, CONF_ACCESS_COMBINED);
    assert_int_equal(c->workers, 3);
    assert_string_equal(c->forwarded.via, "me");
    assert_false(c->forwarded.x_forwarded);
    assert_true(c->forwarded.rfc7239);
    assert_int_equal(c->forwarded.strip_n, 2);
    assert_string_equal(c->forwarded.strip[1], "X-B");
}

static void whole_file(void **state)
{
    struct conf *c = load_good(rich);

    (void)state;
    rich_route(c);
    rich_others(c);
    rich_rest(c);
    conf_free(c);
}

static void line_breaks_and_mark(void **state)
{
    (void)state;
    conf_free(load_good(
        "\xEF\xBB\xBFlisteners: [ 8080 ]\r\nupstreams: { app: { servers: [ 9000 ] } }\r\nroutes: [ { upstream: app } ]\r\n"));
    conf_free(load_good("%YAML 1.1\n---\n" MINIMAL "...\n"));
    conf_free(load_good("# only the last line has no end\n" MINIMAL "workers: \"2\""));
    conf_free(NULL);
}

static void sample_file(void **state)
{
    struct conf *c = conf_load_file("conf/upgate.yaml", stderr);      /* tests run in the project's folder */

    (void)state;
    assert_non_null(c);
    assert_int_equal(c->routes_n, 4);
    conf_free(c);
}

static void expect_unreadable(const char *path, const char *message)
{
    struct caught caught;

    catch_open(&caught);
    assert_null(conf_load_file(path, caught.stream));
    assert_string_equal(catch_close(&caught), message);
    free(caught.text);
}

static void unreadable_files(void **state)
{
    (void)state;
    expect_unreadable("/nowhere/upgate.yaml", "/nowhere/upgate.yaml: cannot be opened: No such file or directory\n");
    expect_unreadable("/", "/: cannot be read: Is a directory\n");
    expect_unreadable("/dev/null", "/dev/null: empty: `listeners`, `upstreams` and `routes` are needed\n");
    expect_unreadable("/dev/zero", "/dev/zero: larger than 1MiB\n");
}

static void size_bound(void **state)
{
    size_t n = FILE_BYTES_MAX;
    char *text = mem_alloc(n + 1), *messages;
    struct conf *c;

    (void)state;
    memset(text, '\n', n + 1);
    for (size_t i = 0; i < strlen(MINIMAL); i++)
        text[i] = MINIMAL[i];
    c = load_span(span_of(text, n), &messages);
    assert_non_null(c);
    conf_free(c);
    free(messages);
    assert_null(load_span(span_of(text, n + 1), &messages));
    assert_string_equal(messages, "f.yaml: larger than 1MiB\n");
    free(messages);
    mem_free(text);
}

static struct conf *from_options(const char *listen, const char *to_1, const char *to_2, char **messages)
{
    char *listens[] = { (char *)(uintptr_t)listen }, *tos[] = { (char *)(uintptr_t)to_1, (char *)(uintptr_t)to_2 };
    struct caught caught;
    struct conf *c;

    catch_open(&caught);
    c = conf_from_options(listens, listen != NULL, tos, (to_1 != NULL) + (size_t)(to_2 != NULL), caught.stream);
    *messages = catch_close(&caught);
    return c;
}

static void one_line_form(void **state)
{
    char *messages, *dump;
    struct conf *c = from_options("8080", "127.0.0.1:9000", "unix:/run/app.sock", &messages), *again;

    (void)state;
    assert_non_null(c);
    assert_string_equal(messages, "");
    free(messages);
    assert_string_equal(c->listeners[0].name, "0.0.0.0:8080");
    assert_string_equal(c->upstreams[0].name, "app");
    assert_int_equal(c->upstreams[0].servers_n, 2);
    assert_string_equal(c->upstreams[0].servers[1].address.path, "/run/app.sock");
    assert_int_equal(c->upstreams[0].servers[1].weight, 1);
    assert_int_equal(c->routes_n, 1);
    assert_int_equal(c->routes[0].upstream, 0);
    assert_int_equal(c->routes[0].timeouts.response_ms, 60000);
    assert_int_equal(c->routes[0].websocket.idle_timeout_ms, 300000);
    dump = dump_of(c);
    again = load_good(dump);
    free(dump);
    conf_free(again);
    conf_free(c);
}

static void expect_option_messages(const char *listen, const char *to_1, const char *to_2, const char *wanted)
{
    char *messages;

    assert_null(from_options(listen, to_1, to_2, &messages));
    assert_string_equal(messages, wanted);
    free(messages);
}

static void one_line_errors(void **state)
{
    (void)state;
    expect_option_messages(NULL, "1", NULL, "upgate: --listen ADDRESS is missing\n");
    expect_option_messages("1", NULL, NULL, "upgate: --to ADDRESS is missing\n");
    expect_option_messages("99999", "127.0.0.1", "0",
                           "--listen: `address`: `99999` is not a port: 0 to 65535\n    99999\n    ^\n"
                           "--to: `address`: `127.0.0.1` lacks a port, as in 127.0.0.1:8080\n    127.0.0.1\n    ^\n"
                           "--to: `address`: port 0 is for listeners only\n    0\n    ^\n");
    expect_option_messages("", "unix:/\xff\n", NULL,
                           "--listen: `address` is empty: give it a value, or leave it out\n    \n    ^\n"
                           "--to: `address`: control characters can't stand in a path\n    unix:/?\n    ^\n");
}

static void one_line_duplicates(void **state)
{
    char *listens[] = { (char *)(uintptr_t)"80", (char *)(uintptr_t)":80", (char *)(uintptr_t)"0", (char *)(uintptr_t)"0" };
    struct caught caught;

    (void)state;
    catch_open(&caught);
    assert_null(conf_from_options(listens, 4, listens, 1, caught.stream));
    assert_string_equal(catch_close(&caught), "--listen: two listeners at 0.0.0.0:80\n    :80\n    ^\n");
    free(caught.text);
}

/* Fails each allocation of a run in turn: it must say so, or do without, and leave nothing behind. */
static void walk(const char *text, struct conf *run(const char *text, FILE *messages))
{
    size_t nth = 0;
    bool failed;

    do {
        size_t live = mem_live_blocks(), bytes = mem_live_bytes(), calls = mem_calls();
        struct caught caught;
        struct conf *c;
        nth++;
        catch_open(&caught);
        mem_fail_nth(nth);
        c = run(text, caught.stream);
        failed = mem_calls() - calls >= nth;
        mem_fail_nth(0);
        catch_close(&caught);
        if (failed)
            assert_null(c);
        if (failed)
            assert_non_null(strstr(caught.text, "out of memory"));
        free(caught.text);
        conf_free(c);
        assert_int_equal(mem_live_blocks(), live);
        assert_int_equal(mem_live_bytes(), bytes);
        assert_true(nth < 10000);
    } while (failed);
}

static struct conf *run_text(const char *text, FILE *messages)
{
    return conf_load_text("f.yaml", span_of_text(text), messages);
}

static struct conf *run_file(const char *text, FILE *messages)
{
    return conf_load_file(text, messages);
}

static struct conf *run_options(const char *text, FILE *messages)
{
    char *values[] = { (char *)(uintptr_t)text, (char *)(uintptr_t)"81" };

    return conf_from_options(values, 2, values, 2, messages);
}

static void memory_runs_out(void **state)
{
    static char many[12000];
    size_t at;

    (void)state;
    walk(rich, run_text);
    walk(MINIMAL, run_text);
    walk("workers: x\nrooutes: [ 1 ]\nlisteners: [ 1, 1, a:b, { name: c } ]\nlog: []\n", run_text);
    walk("a: &x [ *x ]\n", run_text);
    walk("/dev/null", run_file);
    walk("80", run_options);
    walk("x:80", run_options);
    at = put(many, sizeof(many), 0, "upstreams: { a: { servers: [ 1 ] } }\nroutes: [ { upstream: a } ]\nlisteners:\n");
    for (int i = 1; i < 200; i++)        /* more than one block of every arena */
        at = put(many, sizeof(many), at, "  - { address: %d, trusted: [ 10.0.0.0/8, 10.0.0.0/9 ] }\n", i);
    walk(many, run_text);
}

static void version(void **state)
{
    (void)state;
    assert_int_equal(strncmp(conf_yaml_version(), "0.", 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),        cmocka_unit_test(default_parts),
        cmocka_unit_test(whole_file),      cmocka_unit_test(line_breaks_and_mark),
        cmocka_unit_test(sample_file),     cmocka_unit_test(unreadable_files),
        cmocka_unit_test(size_bound),      cmocka_unit_test(one_line_form),
        cmocka_unit_test(one_line_errors), cmocka_unit_test(one_line_duplicates),
        cmocka_unit_test(memory_runs_out), cmocka_unit_test(version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
