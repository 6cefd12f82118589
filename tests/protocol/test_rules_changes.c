/* What the operator sets, adds and removes: nothing of the sender's is left under a changed name, however it is spelled and wherever it
 * stands; what HTTP itself needs can't be changed. */
#include "protocol/mem.h"
#include "protocol/rules.h"
#include "protocol/rules_fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define S SPAN_LITERAL
#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))
#define F(name, value) { { (const uint8_t *)(name), sizeof(name) - 1 }, { (const uint8_t *)(value), sizeof(value) - 1 } }

static const struct http1_limits limits = { .head_bytes = 8192, .fields = 64, .chunk_extension_bytes = 16 };
static const struct rules_policy policy = { .pseudonym = { (const uint8_t *)"gw", 2 }, .max_via = 1 };

static const struct field set[] = { F("X-Env", "prod"), F("X-Forwarded-Proto", "https") };
static const struct field add[] = { F("X-More", "2") };
static char remove_cookie[] = "Cookie", remove_server[] = "Server", remove_for[] = "X-Forwarded-For";
static char *const removed[] = { remove_cookie, remove_server, remove_for };
static const struct rules_changes changes = { set, COUNT(set), add, COUNT(add), removed, COUNT(removed), NULL };

static const struct http1_head *head_of(struct http1_parse **parse, enum http1_kind kind, const char *text)
{
    struct http1_result r;

    *parse = http1_parse_new(kind, &limits);
    http1_parse_next(*parse, (const uint8_t *)text, strlen(text), &r);
    if (r.event != HTTP1_HEAD)
        fail_msg("no head: %s: %s", fault_word(r.fault), text);
    return r.head;
}

static void assert_fields(const char *in, const struct headers *h, const char *due)
{
    char got[4096];
    size_t n = 0;

    got[0] = '\0';
    for (size_t i = 0; i < h->n; i++)
        n += (size_t)snprintf(got + n, sizeof(got) - n, "%.*s: %.*s\n", SPAN_FORMAT(h->fields[i].name),
                              SPAN_FORMAT(h->fields[i].value));
    if (strcmp(got, due) != 0)
        fail_msg("for:\n%s\n--- got:\n%s--- due:\n%s", in, got, due);
}

#define G "GET / HTTP/1.1\r\nHost: h\r\n"
#define OURS "Via: 1.1 gw\nX-Forwarded-Host: h\nX-Forwarded-Port: 80\nX-Env: prod\nX-Forwarded-Proto: https\nX-More: 2\n"

static const struct {
    const char *text, *due;
} requests[] = {
    { G "\r\n", "Host: h\n" OURS },
    { G "X-Env: evil\r\n\r\n", "Host: h\n" OURS },
    { G "x-ENV: evil\r\nX-Env: evil\r\n\r\n", "Host: h\n" OURS },
    { G "X_Env: evil\r\nx.env: evil\r\nX-Env_: kept\r\n\r\n", "Host: h\nX-Env_: kept\n" OURS },
    { G "X-More: 1\r\nX-Other: 1\r\n\r\n", "Host: h\nX-More: 1\nX-Other: 1\n" OURS },
    { G "Cookie: a\r\ncookie: b\r\nX-Cookie: c\r\n\r\n", "Host: h\nX-Cookie: c\n" OURS },
    /* a client can't nominate away what is set */
    { G "Connection: x-env, x-more\r\nX-Env: evil\r\n\r\n", "Host: h\n" OURS },
};

static void requests_changed(void **state)
{
    struct rules_facts facts = { .pseudonym = S("gw"), .client_address = S("192.0.2.1"), .forwarded = RULES_FORWARDED_X,
                                 .upstream_keep_alive = true, .changes = &changes };

    (void)state;
    for (size_t i = 0; i < COUNT(requests) * 2; i++) {
        const char *text = requests[i / 2].text;
        struct rules_request request;
        struct http1_parse *parse;
        const struct http1_head *head = head_of(&parse, HTTP1_REQUEST, text);
        struct headers out;
        struct arena a;

        facts.client_trusted = i % 2 == 1;               /* a trusted hop can't reach over the operator either */
        arena_init(&a, 100000);
        assert_int_equal(rules_check_request(&a, head, &policy, &request), FAULT_NONE);
        assert_int_equal(rules_request_to_upstream(&a, head, &request, &facts, &out), FAULT_NONE);
        assert_fields(text, &out, requests[i / 2].due);
        arena_free(&a);
        http1_parse_free(parse);
    }
}

/* What is found out about one request stands beside what the route says of all. */
static void changes_that_follow_each_other(void **state)
{
    static const struct field granted[] = { F("X-User", "ann") };
    static char role[] = "X-Role";
    static char *const withheld[] = { role };
    const struct rules_changes own = { .set = granted, .set_n = 1, .remove = withheld, .remove_n = 1, .next = &changes };
    struct rules_facts facts = { .pseudonym = S("gw"), .upstream_keep_alive = true, .changes = &own };
    const char *text = G "X-Role: admin\r\nX_User: root\r\nX-Env: evil\r\nX-A: 1\r\n\r\n";
    struct rules_request request;
    struct http1_parse *parse;
    const struct http1_head *head = head_of(&parse, HTTP1_REQUEST, text);
    struct headers out;
    struct arena a;

    (void)state;
    arena_init(&a, 100000);
    assert_int_equal(rules_check_request(&a, head, &policy, &request), FAULT_NONE);
    assert_int_equal(rules_request_to_upstream(&a, head, &request, &facts, &out), FAULT_NONE);
    assert_fields(text, &out, "Host: h\nX-A: 1\nVia: 1.1 gw\nX-User: ann\nX-Env: prod\nX-Forwarded-Proto: https\nX-More: 2\n");
    arena_free(&a);
    http1_parse_free(parse);
}

static const struct {
    const char *text;
    bool websocket;
    const char *due;
} responses[] = {
    { "HTTP/1.1 200 OK\r\nServer: x\r\nX-Env: y\r\nX-More: 1\r\nContent-Length: 3\r\n\r\n", false,
      "X-More: 1\nDate: now\nContent-Length: 3\nVia: 1.1 gw\nX-Env: prod\nX-Forwarded-Proto: https\nX-More: 2\n" },
    { "HTTP/1.1 101 S\r\nServer: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Accept: k\r\n\r\n", true,
      "Sec-WebSocket-Accept: k\nConnection: upgrade\nUpgrade: websocket\nVia: 1.1 gw\nX-Env: prod\nX-Forwarded-Proto: https\n"
      "X-More: 2\n" },
    { "HTTP/1.1 103 Early\r\nServer: x\r\nLink: y\r\n\r\n", false, "Server: x\nLink: y\nVia: 1.1 gw\n" },
};

static void responses_changed(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(responses); i++) {
        struct rules_reply_facts facts = { .pseudonym = S("gw"), .client_version_minor = 1, .client_keep_alive = true,
                                           .date = S("now"), .changes = &changes, .websocket = responses[i].websocket };
        struct http1_parse *parse;
        const struct http1_head *head = head_of(&parse, HTTP1_RESPONSE, responses[i].text);
        struct headers out;
        struct arena a;

        arena_init(&a, 100000);
        assert_int_equal(rules_response_to_client(&a, head, &facts, &out), FAULT_NONE);
        assert_fields(responses[i].text, &out, responses[i].due);
        arena_free(&a);
        http1_parse_free(parse);
    }
}

/* A trailer section is no way round: some backends merge it into the head. */
static void trailers_changed(void **state)
{
    struct headers in, head, out;
    struct arena a;

    (void)state;
    arena_init(&a, 100000);
    headers_init(&in, &a, 0);
    headers_init(&head, &a, 0);
    headers_add(&in, S("X-Sum"), S("1"));
    headers_add(&in, S("X_Env"), S("evil"));
    headers_add(&in, S("x-forwarded-FOR"), S("evil"));
    headers_add(&in, S("X-More"), S("2"));
    assert_int_equal(rules_trailers(&a, &in, &head, &changes, &out), FAULT_NONE);
    assert_fields("trailers", &out, "X-Sum: 1\nX-More: 2\n");
    arena_free(&a);
}

static void machinery(void **state)
{
    static const char *const ours[] = { "Host", "content-length", "Content_Length", "Transfer-Encoding", "Connection", "keep-alive",
                                        "Upgrade", "TE", "Trailer", "Via", "Expect", "Max-Forwards", "Proxy", "Proxy-Connection",
                                        "Sec-WebSocket-Key", "Sec-WebSocket-Anything", "sec_websocket_accept", "HTTP2-Settings" };
    static const char *const theirs[] = { "X-Real-IP", "Content-Type", "Cookie", "Server", "Date", "Authorization", "Hosts", "Vi" };

    (void)state;
    for (size_t i = 0; i < COUNT(ours); i++)
        if (!rules_is_machinery(span_of_text(ours[i])))
            fail_msg("%s could be changed", ours[i]);
    for (size_t i = 0; i < COUNT(theirs); i++)
        if (rules_is_machinery(span_of_text(theirs[i])))
            fail_msg("%s could not be changed", theirs[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_changed), cmocka_unit_test(changes_that_follow_each_other), cmocka_unit_test(responses_changed),
        cmocka_unit_test(trailers_changed), cmocka_unit_test(machinery),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
