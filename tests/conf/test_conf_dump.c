/* The effective configuration: what it looks like, and that it loads to the same conf. */
#include "tests/conf/conf_test.h"

static const char minimal_dump[] =
    "workers: auto\n"
    "tls_threads: auto\n"
    "sandbox: on\n"
    "sandbox_folders: []\n"
    "log:\n"
    "  level: info\n"
    "  access:\n"
    "    to: stdout\n"
    "    format: json\n"
    "limits:\n"
    "  header_bytes: 64KiB\n"
    "  header_fields: 200\n"
    "  connections: 100000\n"
    "  connections_per_client: off\n"
    "  handshakes_per_client: off\n"
    "  requests_per_client: off\n"
    "  tls_handshakes: 1000\n"
    "  body_bytes: off\n"
    "timeouts:\n"
    "  tls_handshake: 10s\n"
    "  header: 10s\n"
    "  body: 1m\n"
    "  keepalive: 75s\n"
    "  connect: 5s\n"
    "  response: 1m\n"
    "  drain_delay: 0s\n"
    "  drain: 1h\n"
    "  drain_spread: 30s\n"
    "listeners:\n"
    "  - address: 0.0.0.0:8080\n"
    "    name: 0.0.0.0:8080\n"
    "    trusted: []\n"
    "    proxy_protocol: off\n"
    "    real_address: x_forwarded_for\n"
    "    redirect: off\n"
    "upstreams:\n"
    "  app:\n"
    "    protocol: http\n"
    "    servers:\n"
    "      - address: 127.0.0.1:9000\n"
    "        weight: 1\n"
    "        backup: off\n"
    "        drain: off\n"
    "    balance: round_robin\n"
    "    hash: client\n"
    "    hash_bound: off\n"
    "    keepalive: 32\n"
    "    keepalive_timeout: 1m\n"
    "    connections: off\n"
    "    queue: 1000\n"
    "    queue_timeout: 5s\n"
    "    eject:\n"
    "      failures: off\n"
    "      for: 30s\n"
    "      error_rate: off\n"
    "      window: 10s\n"
    "      requests: 20\n"
    "      statuses: off\n"
    "    resolve: 30s\n"
    "    slow_start: off\n"
    "    retries: 1\n"
    "    send_proxy: off\n"
    "routes:\n"
    "  - match: {}\n"
    "    upstream: app\n"
    "    websocket:\n"
    "      verify: frames\n"
    "      handshake_timeout: 10s\n"
    "      idle_timeout: 5m\n"
    "      close_timeout: 5s\n"
    "      max_message: 64MiB\n"
    "      max_frame: off\n"
    "      max_fragments: 131072\n"
    "      ping_interval: 30s\n"
    "      slow_timeout: 1m\n"
    "      max_lifetime: off\n"
    "      rate: off\n"
    "      compression: pass\n"
    "      drain_code: 1012\n"
    "    timeouts:\n"
    "      body: 1m\n"
    "      connect: 5s\n"
    "      response: 1m\n"
    "    auth: {}\n"
    "    path: {}\n"
    "    headers:\n"
    "      request: {}\n"
    "      response: {}\n"
    "forwarded:\n"
    "  via: upgate\n"
    "  x_forwarded: on\n"
    "  rfc7239: off\n"
    "  request_id: X-Request-Id\n"
    "  traceparent: pass\n"
    "  strip: []\n";

static void every_default(void **state)
{
    struct conf *c = load_good(MINIMAL);
    char *dump = dump_of(c);

    (void)state;
    assert_string_equal(dump, minimal_dump);
    free(dump);
    conf_free(c);
}

#define AROUND(listeners, upstreams, routes)                                                                                     \
    "listeners: [ " listeners " ]\nupstreams: { " upstreams " }\nroutes: [ " routes " ]\n"

static const struct {
    const char *text, *line;
} kept[] = {
    { MINIMAL "workers: 7\n", "workers: 7\n" },
    { MINIMAL "timeouts: { header: 1500ms, body: 90s, keepalive: 24h, drain: 0s, drain_spread: 720m }\n",
      "  header: 1500ms\n  body: 90s\n  keepalive: 1d\n  connect: 5s\n  response: 1m\n  drain_delay: 0s\n  drain: 0s\n  drain_spread: 12h\n" },
    { MINIMAL "limits: { body_bytes: 1536KiB }\n", "body_bytes: 1536KiB\n" },
    { MINIMAL "limits: { body_bytes: 1025B }\n", "body_bytes: 1025B\n" },
    { MINIMAL "limits: { body_bytes: 2048GiB }\n", "body_bytes: 2TiB\n" },
    { MINIMAL "log: { access: { to: \"/a b\\\"c\\\\\" } }\n", "to: \"/a b\\\"c\\\\\"\n" },
    { MINIMAL "forwarded: { via: \"|\", strip: [ \"*\", \"!a\", \"`\", X-Y, \"-\", \"~\", \"1\", \"off\", \"'\" ] }\n",
      "  via: \"|\"\n  x_forwarded: on\n  rfc7239: off\n  request_id: X-Request-Id\n  traceparent: pass\n  strip: [ \"*\", \"!a\", \"`\", X-Y, \"-\", \"~\", 1, off, \"'\" ]\n" },
    { AROUND("{ address: 80, name: \"Ü: # { [ , \" }", "a: { servers: [ 1 ] }",
             "{ upstream: a, match: { listener: \"Ü: # { [ , \" } }"),
      "name: \"Ü: # { [ , \"\n" },
    { AROUND("{ address: \"[::]:80\", trusted: [ \"::/0\", \"fe80::/10\", 10.0.0.1, unix ] }",
             "a: { servers: [ unix:/a, \"unix:/a b:\" ] }", "{ upstream: a }"),
      "  - address: \"[::]:80\"\n    name: \"[::]:80\"\n    trusted: [ \"::/0\", fe80::/10, 10.0.0.1/32, unix ]\n"
      "    proxy_protocol: off\n    real_address: x_forwarded_for\n" },
    { AROUND("80", "a: { servers: [ unix:/a, \"unix:/a b:\" ] }", "{ upstream: a }"), "      - address: \"unix:/a b:\"\n" },
    { AROUND("80", "off: { servers: [ 1 ] }, 007: { servers: [ 1 ] }",
             "{ upstream: 007, websocket: off, match: { path: /x } }, { upstream: off }"),
      "  - match:\n      path: /x\n    upstream: 007\n    websocket: off\n    timeouts:\n" },
    { AROUND("80", "a: { servers: [ 1 ], keepalive: off }",
             "{ upstream: a, match: { host: \"*.a.com\", exact: \"/a: é%25\", methods: [ A, B ] } }"),
      "  - match:\n      host: \"*.a.com\"\n      exact: \"/a: é%25\"\n      methods: [ A, B ]\n" },
    { AROUND("80", "a: { servers: [ 1 ] }", "{ upstream: a, timeouts: { body: 7s } }"),
      "    timeouts:\n      body: 7s\n      connect: 5s\n      response: 1m\n" },
};

/* dump(load(text)) loads again without a word, and dumps to itself. */
static void fixed_point(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        struct conf *c = load_good(kept[i].text), *again;
        char *dump = dump_of(c), *second;
        if (strstr(dump, kept[i].line) == NULL)
            fail_msg("\n--- not there\n%s--- in\n%s", kept[i].line, dump);
        again = load_good(dump);
        second = dump_of(again);
        assert_string_equal(dump, second);
        free(dump);
        free(second);
        conf_free(c);
        conf_free(again);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(every_default), cmocka_unit_test(fixed_point) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
