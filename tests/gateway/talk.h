/* talk: a client and servers in a scripted world with a few routes, and short words for what they say and for what is due.
 * Include it first. */
#ifndef UPGATE_TESTS_GATEWAY_TALK_H
#define UPGATE_TESTS_GATEWAY_TALK_H

#include "tests/gateway/origin.h"

static const char *const talk_conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main } ]\n"
    "limits: { header_bytes: 4KiB, header_fields: 30, body_bytes: 100000B }\n"
    "timeouts: { header: 10s, body: 60s, keepalive: 75s, connect: 5s, response: 30s, drain_spread: 0ms }\n"
    "upstreams:\n"
    "  app: { servers: [ 127.0.0.1:9001, 127.0.0.1:9002, 127.0.0.1:9003 ], retries: 1, keepalive: 4 }\n"
    "  two: { servers: [ 127.0.0.1:9004, 127.0.0.1:9005 ], retries: 5 }\n"
    "  one: { servers: [ 127.0.0.1:9006 ], retries: 1 }\n"
    "routes:\n"
    "  - { upstream: app, match: { path: /app } }\n"
    "  - { upstream: two, match: { path: /two } }\n"
    "  - { upstream: one, match: { path: /nows }, websocket: off }\n"
    "  - { upstream: one, match: { path: /quick }, timeouts: { response: 1s, body: 2s, connect: 3s },\n"
    "      websocket: { handshake_timeout: 4s } }\n"
    "  - { upstream: one, match: { path: /pages }, websocket: { origins: [ \"https://a.test\" ], protocols: [ chat, news ],\n"
    "      compression: strip } }\n"
    "  - { upstream: one, match: { host: a.test } }\n";

static struct conf *conf;

static inline int talk_load(void **state)
{
    (void)state;
    conf = world_conf(talk_conf_text);
    return 0;
}

static inline int talk_unload(void **state)
{
    (void)state;
    conf_free(conf);
    return 0;
}

/* ---- words ---- */

static void says(struct world *w, struct peer *p, const char *text)
{
    peer_says(p, text);
    world_run(w);
}

static inline void expect_in(const struct bytes *got, const char *what)
{
    if (strstr(bytes_text(got), what) == NULL)
        fail_msg("`%s` is not in `%s`", what, bytes_text(got));
}

static inline void expect_not_in(const struct bytes *got, const char *what)
{
    if (strstr(bytes_text(got), what) != NULL)
        fail_msg("`%s` is in `%s`", what, bytes_text(got));
}

static inline void expect_ends_with(const struct bytes *got, const char *what)
{
    size_t n = strlen(what);

    if (got->n < n || strcmp(bytes_text(got) + got->n - n, what) != 0)
        fail_msg("`%s` does not end with `%s`", bytes_text(got), what);
}

static inline void expect_status(const struct peer *client, unsigned status)
{
    char line[32];

    snprintf(line, sizeof(line), "HTTP/1.1 %u ", status);
    if (strncmp(bytes_text(&client->got), line, strlen(line)) != 0)
        fail_msg("not %u: `%s`", status, bytes_text(&client->got));
}

static inline void expect_line(struct world *w, size_t nth, unsigned status, const char *end)
{
    char text[16];

    snprintf(text, sizeof(text), "%u", status);
    if (strcmp(world_said(w, "exchange", nth, "status"), text) != 0 || strcmp(world_said(w, "exchange", nth, "end"), end) != 0)
        fail_msg("not %u %s: %s", status, end, world_access(w));
}

/* A client that has said this, in a world whose servers the test plays. */
static inline struct peer *begin_with(struct world *w, const char *request)
{
    struct peer *client;

    world_begin(w, conf);
    client = world_client(w);
    client->react = hang_up_when_finished;
    says(w, client, request);
    return client;
}

static inline struct peer *begin_with_origin(struct world *w, const char *request)
{
    struct peer *client;

    world_begin(w, conf);
    w->on_server = origin_new;
    client = world_client(w);
    client->react = hang_up_when_finished;
    says(w, client, request);
    return client;
}

static inline void leave(struct world *w, struct peer *client)
{
    peer_ends(client);
    world_run(w);
    assert_true(client->closed);
    world_end(w);
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define POST(target, length) "POST " target " HTTP/1.1\r\nHost: a.test\r\nContent-Length: " length "\r\n\r\n"

#endif
