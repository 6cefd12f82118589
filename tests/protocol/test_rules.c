/* The rules of a proxy: what is refused, what is removed, what is added, in both directions. */
#include "protocol/http1_write.h"
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

static const struct http1_limits limits = { .head_bytes = 8192, .fields = 64, .chunk_extension_bytes = 16 };
static const struct rules_policy policy = { .pseudonym = { (const uint8_t *)"gw", 2 }, .max_via = 1 };
static const struct rules_facts untrusted = {
    .pseudonym = { (const uint8_t *)"gw", 2 },
    .client_address = { (const uint8_t *)"192.0.2.1", 9 },
    .upstream_keep_alive = true,
};

/* The parser holds the head until it is freed. */
static const struct http1_head *head_of(struct http1_parse **parse, enum http1_kind kind, bool head_request, const char *text)
{
    struct http1_result r;

    *parse = http1_parse_new(kind, &limits);
    http1_parse_expect(*parse, head_request);
    http1_parse_next(*parse, (const uint8_t *)text, strlen(text), &r);
    if (r.event != HTTP1_HEAD)
        fail_msg("no head: %s: %s", fault_word(r.fault), text);
    return r.head;
}

static void print_fields(const struct headers *h, char *out, size_t room)
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i < h->n; i++)
        n += (size_t)snprintf(out + n, room - n, "%.*s: %.*s\n", SPAN_FORMAT(h->fields[i].name), SPAN_FORMAT(h->fields[i].value));
}

static void assert_lines(const char *in, const char *got, const char *due)
{
    if (strcmp(got, due) != 0)
        fail_msg("for:\n%s\n--- got:\n%s--- due:\n%s", in, got, due);
}

/* Checking requests. */

#define G "GET / HTTP/1.1\r\n"
#define H "Host: h\r\n"

static const struct {
    const char *text;
    enum fault fault;
} checks[] = {
    { G H "\r\n", FAULT_NONE },
    /* host_*: RFC 9112 section 3.2 */
    { G "\r\n", FAULT_HOST },
    { "GET / HTTP/1.0\r\n\r\n", FAULT_NONE },
    { G H H "\r\n", FAULT_HOST },
    { G H "host: h\r\n\r\n", FAULT_HOST },
    { "GET / HTTP/1.0\r\n" H H "\r\n", FAULT_HOST },
    { G "Host:\r\n\r\n", FAULT_HOST },
    { G "Host: a b\r\n\r\n", FAULT_HOST },
    { G "Host: a, b\r\n\r\n", FAULT_HOST },
    { G "Host: u@h\r\n\r\n", FAULT_HOST },
    { G "Host: h/x\r\n\r\n", FAULT_HOST },
    { G "Host: http://h\r\n\r\n", FAULT_HOST },
    { "GET / HTTP/1.0\r\nHost: a b\r\n\r\n", FAULT_HOST },
    { "GET http://h/ HTTP/1.1\r\n\r\n", FAULT_HOST },
    { "GET http://h/ HTTP/1.1\r\nHost: a b\r\n\r\n", FAULT_HOST },
    { "GET http://h/ HTTP/1.1\r\n" H H "\r\n", FAULT_HOST },
    { "GET http://h/ HTTP/1.1\r\nHost: other\r\n\r\n", FAULT_NONE },
    { "GET http://h/ HTTP/1.0\r\n\r\n", FAULT_NONE },
    /* target_*: RFC 9112 section 3.2 */
    { "CONNECT h:443 HTTP/1.1\r\n" H "\r\n", FAULT_CONNECT },
    { "GET h:443 HTTP/1.1\r\n" H "\r\n", FAULT_TARGET },
    { "GET * HTTP/1.1\r\n" H "\r\n", FAULT_TARGET },
    { "OPTIONS * HTTP/1.1\r\n" H "\r\n", FAULT_NONE },
    { "GET ftp://h/ HTTP/1.1\r\n" H "\r\n", FAULT_SCHEME },
    { "GET /%2e%2e/ HTTP/1.1\r\n" H "\r\n", FAULT_TARGET },
    /* trace_*: RFC 9110 section 9.3.8 */
    { "TRACE / HTTP/1.1\r\n" H "\r\n", FAULT_TRACE },
    { "trace / HTTP/1.1\r\n" H "\r\n", FAULT_NONE },
    /* expect_*: RFC 9110 section 10.1.1 */
    { "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", FAULT_NONE },
    { "POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", FAULT_NONE },
    { "POST / HTTP/1.1\r\n" H "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n", FAULT_EXPECTATION },
    { "POST / HTTP/1.1\r\n" H "Expect: 100-continue, x\r\nContent-Length: 1\r\n\r\n", FAULT_EXPECTATION },
    { "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nExpect: x\r\nContent-Length: 1\r\n\r\n", FAULT_EXPECTATION },
    { "POST / HTTP/1.1\r\n" H "Expect: 100-continue;q=1\r\nContent-Length: 1\r\n\r\n", FAULT_EXPECTATION },
    { "POST / HTTP/1.0\r\n" H "Expect: x\r\nContent-Length: 1\r\n\r\n", FAULT_NONE },
    /* max_forwards_*: RFC 9110 section 7.6.2 */
    { "OPTIONS / HTTP/1.1\r\n" H "Max-Forwards: 0\r\n\r\n", FAULT_NONE },
    { "OPTIONS / HTTP/1.1\r\n" H "Max-Forwards: x\r\n\r\n", FAULT_FIELD },
    { "OPTIONS / HTTP/1.1\r\n" H "Max-Forwards: 1\r\nMax-Forwards: 1\r\n\r\n", FAULT_FIELD },
    { G H "Max-Forwards: x\r\n\r\n", FAULT_NONE },
    /* loop_*: RFC 9110 section 7.6.3 */
    { G H "Via: 1.1 gw\r\n\r\n", FAULT_NONE },
    { G H "Via: 1.1 gw, 1.1 gw\r\n\r\n", FAULT_LOOP },
    { G H "Via: 1.1 gw\r\nVia: 1.0 other, HTTP/1.1 GW (x)\r\n\r\n", FAULT_LOOP },
    { G H "Via: 1.1 gwx, 1.1 a, 1.1 (gw), gw 1.1\r\nX: 1.1 gw, 1.1 gw\r\n\r\n", FAULT_NONE },
};

static void requests_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(checks); i++) {
        struct rules_request request;
        struct http1_parse *parse;
        struct arena a;
        enum fault fault;

        arena_init(&a, 100000);
        fault = rules_check_request(&a, head_of(&parse, HTTP1_REQUEST, false, checks[i].text), &policy, &request);
        if (fault != checks[i].fault)
            fail_msg("%s: %s instead of %s", checks[i].text, fault_word(fault), fault_word(checks[i].fault));
        arena_free(&a);
        http1_parse_free(parse);
    }
}

/* What a checked request says: word by word, for each that is true. */
static const struct {
    const char *text, *says;
} meanings[] = {
    { G "Host: A:81\r\n\r\n", "host=a:81 authority=A:81 idempotent" },
    { "GET http://B/ HTTP/1.1\r\nHost: a:81\r\n\r\n", "host=b:0 authority=B idempotent" },
    { "GET / HTTP/1.0\r\n\r\n", "host=:0 authority= idempotent" },
    { "HEAD / HTTP/1.1\r\n" H "TE: trailers\r\n\r\n", "host=h:0 authority=h idempotent head trailers" },
    { "head / HTTP/1.1\r\n" H "TE: gzip, Trailers\r\n\r\n", "host=h:0 authority=h trailers" },
    { "GET / HTTP/1.0\r\n" H "TE: trailers\r\n\r\n", "host=h:0 authority=h idempotent" },
    { G H "TE: trailers;q=1\r\n\r\n", "host=h:0 authority=h idempotent" },
    { "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", "host=h:0 authority=h continue" },
    { "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", "host=h:0 authority=h continue" },
    { "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", "host=h:0 authority=h" },
    { "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\n\r\n", "host=h:0 authority=h" },
    { "POST / HTTP/1.0\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", "host=h:0 authority=h" },
    { "PATCH / HTTP/1.1\r\n" H "\r\n", "host=h:0 authority=h" },
    { "DELETE / HTTP/1.1\r\n" H "\r\n", "host=h:0 authority=h idempotent" },
    { "OPTIONS * HTTP/1.1\r\n" H "Max-Forwards: 0\r\n\r\n", "host=h:0 authority=h idempotent final" },
    { "OPTIONS * HTTP/1.1\r\n" H "Max-Forwards: 7\r\n\r\n", "host=h:0 authority=h idempotent forwards=6" },
    { G H "Max-Forwards: 0\r\n\r\n", "host=h:0 authority=h idempotent" },
};

static void requests_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(meanings); i++) {
        struct rules_request r;
        struct http1_parse *parse;
        struct arena a;
        char got[300], forwards[32] = "";

        arena_init(&a, 100000);
        assert_int_equal(rules_check_request(&a, head_of(&parse, HTTP1_REQUEST, false, meanings[i].text), &policy, &r),
                         FAULT_NONE);
        if (r.has_max_forwards)
            snprintf(forwards, sizeof(forwards), " forwards=%u", (unsigned)r.max_forwards);
        snprintf(got, sizeof(got), "host=%.*s:%u authority=%.*s%s%s%s%s%s%s", SPAN_FORMAT(r.host.host), r.host.port,
                 SPAN_FORMAT(r.authority),
                 r.idempotent ? " idempotent" : "", r.is_head ? " head" : "", r.expect_continue ? " continue" : "",
                 r.accepts_trailers ? " trailers" : "", r.final_recipient ? " final" : "", forwards);
        assert_lines(meanings[i].text, got, meanings[i].says);
        arena_free(&a);
        http1_parse_free(parse);
    }
}

#define TRACE_BODY "TRACE / HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n"

static void trace_where_allowed(void **state)
{
    const struct rules_policy allowing = { .allow_trace = true, .pseudonym = S("gw") };
    struct rules_request request;
    struct http1_parse *parse;
    struct arena a;

    (void)state;
    arena_init(&a, 100000);
    assert_int_equal(rules_check_request(&a, head_of(&parse, HTTP1_REQUEST, false, "TRACE / HTTP/1.1\r\n" H "\r\n"), &allowing,
                                         &request),
                     FAULT_NONE);
    http1_parse_free(parse);
    assert_int_equal(rules_check_request(&a, head_of(&parse, HTTP1_REQUEST, false, TRACE_BODY),
                                         &allowing, &request),
                     FAULT_BODY_NOT_ALLOWED);
    http1_parse_free(parse);
    arena_free(&a);
}

#undef TRACE_BODY

/* Requests going out. */

static void assert_upstream(const char *text, const struct rules_facts *facts, const char *due)
{
    struct rules_request request;
    struct http1_parse *parse;
    const struct http1_head *head = head_of(&parse, HTTP1_REQUEST, false, text);
    struct headers out;
    struct arena a;
    char got[2000];

    arena_init(&a, 100000);
    assert_int_equal(rules_check_request(&a, head, &policy, &request), FAULT_NONE);
    assert_int_equal(rules_request_to_upstream(&a, head, &request, facts, &out), FAULT_NONE);
    print_fields(&out, got, sizeof(got));
    assert_lines(text, got, due);
    arena_free(&a);
    http1_parse_free(parse);
}

#define OUT "Host: h\n"
#define VIA "Via: 1.1 gw\n"

static const struct {
    const char *text, *due;
} forwarded[] = {
    { G H "\r\n", OUT VIA },
    { G "A: 1\r\n" H "B: 2\r\na: 3\r\n\r\n", OUT "A: 1\nB: 2\na: 3\n" VIA },
    { "GET http://other:1/x HTTP/1.1\r\n" H "\r\n", "Host: other:1\n" VIA },
    { "GET / HTTP/1.0\r\n\r\n", "Host: \nVia: 1.0 gw\n" },
    /* via_* */
    { G H "Via: 1.0 a\r\nvia: 1.1 b, 1.1 c\r\n\r\n", OUT "Via: 1.0 a\nvia: 1.1 b, 1.1 c\n" VIA },
    /* framing is written anew */
    { "POST / HTTP/1.1\r\n" H "Content-Length: 007\r\n\r\n", OUT "Content-Length: 7\n" VIA },
    { "POST / HTTP/1.1\r\n" H "content-length: 0\r\n\r\n", OUT "Content-Length: 0\n" VIA },
    { "POST / HTTP/1.1\r\n" H "transfer-encoding: Chunked\r\nTrailer: X\r\n\r\n",
      OUT "Trailer: X\nTransfer-Encoding: chunked\n" VIA },
    { "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTrailer: X\r\n\r\n", OUT "Content-Length: 1\n" VIA },
    { "POST / HTTP/1.1\r\n" H "\r\n", OUT VIA },
    /* hop_*: RFC 9110 section 7.6.1 */
    { G H "Connection: close\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n"
      "Proxy-Authorization: x\r\nProxy-Authenticate: y\r\nProxy: http://evil\r\n\r\n", OUT VIA },
    { G H "KEEP-ALIVE: 5\r\nuPGRADE: TLS/1.0\r\n\r\n", OUT VIA },
    /* nominated_* */
    { G H "Connection: X-A, x-b\r\nX-A: 1\r\nx-B: 2\r\nX-C: 3\r\nX-A: 4\r\n\r\n", OUT "X-C: 3\n" VIA },
    { G H "X-A: 1\r\nConnection: close\r\nConnection: , x-a ,\r\n\r\n", OUT VIA },
    { G H "Connection: cookie\r\nCookie: a\r\n\r\n", OUT VIA },
    { "POST / HTTP/1.1\r\n" "Connection: host, content-length, via, content-type, cache-control, date, expect, max-forwards\r\n" H
      "Content-Length: 1\r\nVia: 1.1 x\r\nContent-Type: t\r\nCache-Control: c\r\nExpect: 100-continue\r\n\r\n",
      OUT "Via: 1.1 x\nContent-Type: t\nCache-Control: c\nContent-Length: 1\nExpect: 100-continue\n" VIA },
    { "POST / HTTP/1.1\r\n" H "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n",
      OUT "Transfer-Encoding: chunked\n" VIA },
    /* te_*: RFC 9110 section 10.1.4 */
    { G H "TE: trailers\r\nConnection: TE\r\n\r\n", OUT "Connection: TE\nTE: trailers\n" VIA },
    { G H "TE: gzip, trailers, deflate;q=0.5\r\nConnection: TE\r\n\r\n", OUT "Connection: TE\nTE: trailers\n" VIA },
    /* expect_*, max_forwards_* */
    { "POST / HTTP/1.1\r\n" H "expect: 100-CONTINUE\r\nContent-Length: 2\r\n\r\n",
      OUT "Content-Length: 2\nExpect: 100-continue\n" VIA },
    { "POST / HTTP/1.1\r\n" H "Expect: 100-continue\r\n\r\n", OUT VIA },
    { "POST / HTTP/1.0\r\n" H "Expect: y\r\nContent-Length: 2\r\n\r\n", OUT "Content-Length: 2\nVia: 1.0 gw\n" },
    { "OPTIONS * HTTP/1.1\r\n" H "Max-Forwards: 3\r\n\r\n", OUT "Max-Forwards: 2\n" VIA },
    { G H "Max-Forwards: 3\r\n\r\n", OUT "Max-Forwards: 3\n" VIA },
    /* facts_*: removed from an untrusted client, any case, any count */
    { G H "X-Real-IP: 1\r\nx-real-ip: 2\r\nTrue-Client-IP: 1\r\nCF-Connecting-IP: 1\r\nX-Client-IP: 1\r\n"
      "X-Cluster-Client-IP: 1\r\n"
      "Fastly-Client-IP: 1\r\nClient-IP: 1\r\nX-ProxyUser-Ip: 1\r\nX-Remote-User: 1\r\nX-Remote-Addr: 1\r\nX-Forwarded-For: 1\r\n"
      "X-FORWARDED-PROTO: 1\r\nX-Forwarded-Anything: 1\r\nForwarded: for=1\r\nX-Original-URL: /a\r\n"
      "X-Original-Forwarded-For: 1\r\n"
      "X-Rewrite-URL: /a\r\nX-SSL-Client-Verify: 1\r\nFront-End-Https: on\r\nX-Scheme: https\r\nRemote-User: x\r\n\r\n", OUT
      VIA },
    { G H "X-Real-IPs: 1\r\nX-Forward: 2\r\nXX-Real-IP: 3\r\nForward: 4\r\n\r\n",
      OUT "X-Forward: 2\nXX-Real-IP: 3\nForward: 4\n" VIA },
    /* disguised_*: what is folded onto a name of the tables */
    { G H "X_Real_IP: 1\r\nX-Forwarded_For: 1\r\nX.Forwarded.Proto: 1\r\nx~real!ip: 1\r\nContent_Length: 5\r\n"
      "Transfer_Encoding: chunked\r\n"
      "Keep_Alive: 1\r\nProxy_Connection: 1\r\nHTTP2_Settings: 1\r\nMax_Forwards: 1\r\n\r\n", OUT VIA },
    { G H "api_key: 1\r\nA.B: 2\r\n\r\n", OUT "api_key: 1\nA.B: 2\n" VIA },
    /* an upgrade that is none: mission A5 */
    { G H "Connection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\nSec-WebSocket-Key: k\r\n\r\n",
      OUT "Sec-WebSocket-Key: k\n" VIA },
};

static void requests_forwarded(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(forwarded); i++)
        assert_upstream(forwarded[i].text, &untrusted, forwarded[i].due);
}

static void connection_is_closed_where_asked(void **state)
{
    struct rules_facts facts = untrusted;

    (void)state;
    facts.upstream_keep_alive = false;
    assert_upstream(G H "\r\n", &facts, OUT "Connection: close\n" VIA);
    assert_upstream(G H "TE: trailers\r\n\r\n", &facts, OUT "Connection: close, TE\nTE: trailers\n" VIA);
}

#define WS G H "Connection: Upgrade, X-A, sec-websocket-key\r\nUpgrade: websocket\r\nX-A: 1\r\nSec-WebSocket-Key: k\r\n" \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: e\r\nTE: trailers\r\nX-Real-IP: 1\r\n\r\n"

/* Nominated fields and look-alikes go on an upgrade too; the handshake's own stay. */
static void websocket_handshakes(void **state)
{
    struct rules_facts facts = untrusted;

    (void)state;
    facts.websocket = true;
    facts.upstream_keep_alive = false;
    assert_upstream(WS, &facts, OUT "Sec-WebSocket-Key: k\nSec-WebSocket-Version: 13\nSec-WebSocket-Extensions: e\n"
                                    "Connection: upgrade\nUpgrade: websocket\n" VIA);
    facts.websocket_strip_extensions = true;
    assert_upstream(WS, &facts, OUT "Sec-WebSocket-Key: k\nSec-WebSocket-Version: 13\n"
                                    "Connection: upgrade\nUpgrade: websocket\n" VIA);
}

static void forwarded_fields_from_scratch(void **state)
{
    static const char spoofed[] = G "Host: h:8080\r\nX-Forwarded-For: 9\r\nX-Forwarded-Proto: 9\r\nForwarded: for=9\r\n\r\n";
    struct rules_facts facts = untrusted;

    (void)state;
    facts.forwarded = RULES_FORWARDED_X;
    assert_upstream(spoofed, &facts, "Host: h:8080\n" VIA
        "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: http\nX-Forwarded-Host: h:8080\n"
                                     "X-Forwarded-Port: 8080\n");
    facts.client_https = true;
    facts.client_address = S("2001:db8::1");
    assert_upstream(G H "\r\n", &facts, OUT VIA "X-Forwarded-For: 2001:db8::1\nX-Forwarded-Proto: https\nX-Forwarded-Host: h\n"
                                        "X-Forwarded-Port: 443\n");
    facts.forwarded = RULES_FORWARDED_RFC7239;
    assert_upstream(spoofed, &facts, "Host: h:8080\n" VIA "Forwarded: for=\"[2001:db8::1]\";host=\"h:8080\";proto=https\n");
    facts.client_https = false;
    facts.client_address = S("unix");
    assert_upstream(G H "\r\n", &facts, OUT VIA "Forwarded: for=unknown;host=h;proto=http\n");
    facts.forwarded = RULES_FORWARDED_X | RULES_FORWARDED_RFC7239;
    assert_upstream("GET / HTTP/1.0\r\n\r\n", &facts, "Host: \nVia: 1.0 gw\nX-Forwarded-For: unix\nX-Forwarded-Proto: http\n"
                                                      "Forwarded: for=unknown;proto=http\n");
}

static void forwarded_fields_of_a_trusted_peer(void **state)
{
    static const char text[] = G H "X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-Proto: https\r\nx-forwarded-for: 3.3.3.3\r\n"
                               "X-Forwarded-For:\r\nForwarded: for=9\r\nX-Real-IP: 1.1.1.1\r\nX_Real_IP: 6.6.6.6\r\n"
                               "Connection: x-forwarded-for, x-real-ip, forwarded\r\n\r\n";
    struct rules_facts facts = untrusted;

    (void)state;
    facts.client_trusted = true;
    assert_upstream(text, &facts, OUT "X-Forwarded-For: 1.1.1.1, 2.2.2.2\nX-Forwarded-Proto: https\nx-forwarded-for: 3.3.3.3\n"
                                      "X-Forwarded-For: \nForwarded: for=9\nX-Real-IP: 1.1.1.1\n" VIA);
    facts.forwarded = RULES_FORWARDED_X | RULES_FORWARDED_RFC7239;
    assert_upstream(text, &facts, OUT "X-Forwarded-Proto: https\nX-Real-IP: 1.1.1.1\n" VIA
                                      "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.1\nX-Forwarded-Host: h\n"
                                      "X-Forwarded-Port: 80\n"
                                      "Forwarded: for=9, for=192.0.2.1;host=h;proto=http\n");
    facts.forwarded = RULES_FORWARDED_X;
    assert_upstream(G H "X-Forwarded-Host: o\r\nX-Forwarded-Port: 1\r\n\r\n", &facts,
                    OUT "X-Forwarded-Host: o\nX-Forwarded-Port: 1\n" VIA "X-Forwarded-For: 192.0.2.1\nX-Forwarded-Proto: http\n");
}

static void the_operator_adds_to_the_table(void **state)
{
    const struct span more[] = { S("X-Tenant"), S("x-auth-*") };
    struct rules_facts facts = untrusted;

    (void)state;
    facts.strip_also = more;
    facts.strip_also_n = 2;
    assert_upstream(G H "x-tenant: 1\r\nX_Tenant: 2\r\nX-Auth-User: 3\r\nX-Authority: 4\r\nX-Tenants: 5\r\n\r\n", &facts,
                    OUT "X-Authority: 4\nX-Tenants: 5\n" VIA);
    facts.client_trusted = true;
    assert_upstream(G H "x-tenant: 1\r\nX_Tenant: 2\r\n\r\n", &facts, OUT "x-tenant: 1\n" VIA);
}

/* Responses. */

static void responses_checked(void **state)
{
    struct http1_head head = { .status = 200, .body = HTTP1_BODY_LENGTH };

    (void)state;
    assert_int_equal(rules_check_response(&head, false), FAULT_NONE);
    assert_int_equal(rules_check_response(&head, true), FAULT_BODY_NOT_ALLOWED);
    head.status = 204;
    assert_int_equal(rules_check_response(&head, false), FAULT_BODY_NOT_ALLOWED);
    head.body = HTTP1_BODY_NONE;
    assert_int_equal(rules_check_response(&head, true), FAULT_NONE);
}

enum { KEEP = 1, OLD = 2, HEAD = 4, SWITCH = 8, DATE = 16 };

#define A "HTTP/1.1 200 OK\r\n"
#define L0 "Content-Length: 0\r\n"
#define L0_DUE "Content-Length: 0\n"

static const struct {
    unsigned facts;
    const char *text;
    enum http1_body body;
    const char *due;
} replies[] = {
    { KEEP, A L0 "\r\n", HTTP1_BODY_LENGTH, L0_DUE VIA },
    { KEEP, A "B: 1\r\nSet-Cookie: a, b\r\nset-cookie: c\r\nA: 2\r\n" L0 "\r\n", HTTP1_BODY_LENGTH,
      "B: 1\nSet-Cookie: a, b\nset-cookie: c\nA: 2\n" L0_DUE VIA },
    { KEEP, "HTTP/1.0 200 OK\r\nVia: 1.1 x\r\nContent-Length: 09\r\n\r\n", HTTP1_BODY_LENGTH,
      "Via: 1.1 x\nContent-Length: 9\nVia: 1.0 gw\n" },
    /* hop_*, nominated_* */
    { KEEP, A L0
      "Connection: X-A, keep-alive\r\nX-A: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nProxy-Authenticate: x\r\nTE: x\r\n\r\n",
      HTTP1_BODY_LENGTH, L0_DUE VIA },
    { KEEP, A L0 "Connection: date, cache-control\r\nDate: d\r\nCache-Control: c\r\nAge: 1\r\nETag: e\r\n\r\n", HTTP1_BODY_LENGTH,
      "Date: d\nCache-Control: c\nAge: 1\nETag: e\n" L0_DUE VIA },
    /* reply_body_*: chunked and close, to old and new clients */
    { KEEP, A "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n", HTTP1_BODY_CHUNKED,
      "Trailer: X\nTransfer-Encoding: chunked\n" VIA },
    { KEEP, A "\r\n", HTTP1_BODY_CHUNKED, "Transfer-Encoding: chunked\n" VIA },
    { KEEP, "HTTP/1.0 200 OK\r\n\r\n", HTTP1_BODY_CHUNKED, "Transfer-Encoding: chunked\nVia: 1.0 gw\n" },
    { OLD | KEEP, A "Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n", HTTP1_BODY_CLOSE, "Connection: close\n" VIA },
    { OLD | KEEP, A "\r\n", HTTP1_BODY_CLOSE, "Connection: close\n" VIA },
    /* reply_connection_* */
    { 0, A L0 "\r\n", HTTP1_BODY_LENGTH, L0_DUE "Connection: close\n" VIA },
    { OLD | KEEP, A L0 "\r\n", HTTP1_BODY_LENGTH, L0_DUE "Connection: keep-alive\n" VIA },
    { OLD, A L0 "\r\n", HTTP1_BODY_LENGTH, L0_DUE "Connection: close\n" VIA },
    /* bodiless answers */
    { KEEP | HEAD, A "Content-Length: 12\r\n\r\n", HTTP1_BODY_NONE, "Content-Length: 12\n" VIA },
    { KEEP | HEAD, A "Transfer-Encoding: chunked\r\n\r\n", HTTP1_BODY_NONE, VIA },
    { KEEP, "HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\nETag: e\r\n\r\n", HTTP1_BODY_NONE,
      "ETag: e\nContent-Length: 12\n" VIA },
    { KEEP, "HTTP/1.1 204 No Content\r\n" L0 "\r\n", HTTP1_BODY_NONE, VIA },
    { KEEP | DATE, "HTTP/1.1 103 Early Hints\r\nLink: a\r\nConnection: x\r\n\r\n", HTTP1_BODY_NONE, "Link: a\n" VIA },
    { DATE | OLD, "HTTP/1.1 100 Continue\r\n" L0 "\r\n", HTTP1_BODY_NONE, VIA },
    /* date_*: RFC 9110 section 6.6.1 */
    { KEEP | DATE, A L0 "\r\n", HTTP1_BODY_LENGTH, "Date: now\n" L0_DUE VIA },
    { KEEP | DATE, A L0 "date: then\r\n\r\n", HTTP1_BODY_LENGTH, "date: then\n" L0_DUE VIA },
    /* upgrades */
    { SWITCH,
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade, X-A, sec-websocket-accept\r\nX-A: 1\r\n"
      "Sec-WebSocket-Accept: a\r\nSec-WebSocket-Protocol: p\r\n\r\n", HTTP1_BODY_NONE,
      "Sec-WebSocket-Accept: a\nSec-WebSocket-Protocol: p\nConnection: upgrade\nUpgrade: websocket\n" VIA },
    { KEEP, A L0 "Upgrade: websocket\r\nConnection: upgrade\r\n\r\n", HTTP1_BODY_LENGTH, L0_DUE VIA },
    { 0, "HTTP/1.1 426 Upgrade Required\r\n" L0
      "Upgrade: h2c, WebSocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
      HTTP1_BODY_LENGTH, "Sec-WebSocket-Version: 13\n" L0_DUE "Connection: upgrade, close\nUpgrade: websocket\n" VIA },
    { KEEP, "HTTP/1.1 426 Upgrade Required\r\n" L0 "Upgrade: h2c\r\nConnection: upgrade\r\n\r\n", HTTP1_BODY_LENGTH, L0_DUE VIA },
};

static void responses_forwarded(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(replies); i++) {
        unsigned bits = replies[i].facts;
        struct rules_reply_facts facts = {
            .pseudonym = S("gw"),
            .client_version_minor = bits & OLD ? 0 : 1,
            .client_keep_alive = (bits & KEEP) != 0,
            .websocket = (bits & SWITCH) != 0,
            .head_request = (bits & HEAD) != 0,
            .date = bits & DATE ? S("now") : SPAN_EMPTY,
        };
        struct http1_parse *parse;
        const struct http1_head *head = head_of(&parse, HTTP1_RESPONSE, facts.head_request, replies[i].text);
        struct headers out;
        struct arena a;
        char got[2000];

        arena_init(&a, 100000);
        assert_int_equal(rules_reply_body(head, &facts), replies[i].body);
        assert_int_equal(rules_response_to_client(&a, head, &facts, &out), FAULT_NONE);
        print_fields(&out, got, sizeof(got));
        assert_lines(replies[i].text, got, replies[i].due);
        arena_free(&a);
        http1_parse_free(parse);
    }
}

/* RFC 9110 section 6.5.1. */
static void trailers(void **state)
{
    static const char *const barred[] = {
        "Content-Length", "Transfer-Encoding", "Host", "Content-Type", "content-encoding", "Trailer", "TE", "Connection",
        "X-Nominated", "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "WWW-Authenticate", "Cache-Control",
        "Expect", "Max-Forwards", "If-Match", "Range", "Date", "Location", "Vary", "Via", "X-Forwarded-For", "X_Forwarded_For",
        "X-Real-IP", "Content_Length",
        "Sec-WebSocket-Accept", "Upgrade", "Keep-Alive", "Age", "Retry-After",
    };
    static const char *const passing[] = { "X-Checksum", "Server-Timing", "Digest", "grpc-status", "ETag" };
    struct headers in, head, out;
    struct arena a;

    (void)state;
    arena_init(&a, 100000);
    headers_init(&in, &a, 0);
    headers_init(&head, &a, 0);
    headers_add(&head, S("Connection"), S("close, x-nominated"));
    for (size_t i = 0; i < COUNT(barred); i++)
        headers_add(&in, span_of_text(barred[i]), S("v"));
    for (size_t i = 0; i < COUNT(passing); i++)
        headers_add(&in, span_of_text(passing[i]), S("v"));
    assert_int_equal(rules_trailers(&a, &in, &head, NULL, &out), FAULT_NONE);
    assert_int_equal(out.n, COUNT(passing));
    for (size_t i = 0; i < COUNT(passing); i++)
        assert_true(span_equal(out.fields[i].name, span_of_text(passing[i])));
    arena_free(&a);
}

/* Whichever allocation fails, the fault says so and nothing half-made is taken for whole. */
static void every_allocation_fails(void **state)
{
    struct rules_facts facts = untrusted;
    struct rules_reply_facts reply = { .pseudonym = S("gw"), .client_version_minor = 1 };
    struct http1_parse *request_parse, *reply_parse;
    const struct http1_head *request_head = head_of(&request_parse, HTTP1_REQUEST, false, "POST http://h?q HTTP/1.1\r\n" H
                                                    "TE: trailers\r\n"
                                                    "X-Forwarded-For: 1\r\nContent-Length: 1\r\nConnection: close\r\n\r\n");
    const struct http1_head *reply_head = head_of(&reply_parse, HTTP1_RESPONSE, false, A "Content-Length: 1\r\n\r\n");
    enum fault fault = FAULT_NO_MEMORY;

    (void)state;
    facts.forwarded = RULES_FORWARDED_X | RULES_FORWARDED_RFC7239;
    facts.client_trusted = true;
    for (size_t cap = 0; fault == FAULT_NO_MEMORY; cap += 16) {
        struct rules_request request;
        struct headers out;
        struct arena a;

        arena_init(&a, cap);
        fault = rules_check_request(&a, request_head, &policy, &request);
        if (fault == FAULT_NONE)
            fault = rules_request_to_upstream(&a, request_head, &request, &facts, &out);
        if (fault == FAULT_NONE)
            fault = rules_response_to_client(&a, reply_head, &reply, &out);
        if (fault == FAULT_NONE)
            fault = rules_trailers(&a, &reply_head->fields, &reply_head->fields, NULL, &out);
        arena_free(&a);
        assert_true(cap < 100000);
    }
    assert_int_equal(fault, FAULT_NONE);
    http1_parse_free(request_parse);
    http1_parse_free(reply_parse);
}

/* rows_*: each row of the tables is found, also as it is written elsewhere, and its neighbours are none of them. */
static void each_row_is_found(void **state)
{
    static const char *const facts[] = {
        "cf-connecting-any", "cf-ipcountry", "cf-pseudo-any", "cf-visitor", "client-ip", "fastly-client-any", "fastly-ssl",
        "forwarded", "forwarded-any", "front-end-https", "http-client-ip", "http-x-any", "https", "original-url",
        "proxy-client-any", "real-ip", "remote-addr", "remote-host", "remote-user", "rewrite-url", "ssl-any",
        "true-client-any", "wl-proxy-any", "x-appengine-user-ip", "x-arr-any", "x-azure-any", "x-client-addrany",
        "x-client-certany", "x-client-dn", "x-client-host", "x-client-ipany", "x-client-issuerany", "x-client-port",
        "x-client-sslany", "x-client-subjectany", "x-client-verifany", "x-cluster-client-any", "x-envoy-external-address",
        "x-envoy-internal", "x-forward-any", "x-forwarded", "x-forwarded-any", "x-host", "x-http-destinationurl",
        "x-http-host-override", "x-https", "x-original-any", "x-originating-any", "x-proto", "x-proxyuser-any", "x-real-any",
        "x-remote-any", "x-rewrite-any", "x-scheme", "x-source-ip", "x-ssl", "x-ssl-any", "x-true-client-any", "x-url-scheme",
    };
    static const char *const hop_by_hop[] = {
        "connection", "http2-settings", "keep-alive", "proxy", "proxy-authenticate", "proxy-authentication-info",
        "proxy-authorization", "proxy-connection", "te", "transfer-encoding", "upgrade",
    };
    static const char *const barred[] = {
        "acceptany", "access-control-any", "age", "authentication-info", "authorization", "cache-control", "content-any",
        "cookie", "date", "expires", "if-any", "location", "origin", "pragma", "range", "refresh", "retry-after", "sec-any",
        "set-cookieany", "status", "strict-transport-security", "trailer", "user-agent", "vary", "warning", "www-authenticate",
    };
    static const char *const none[] = { "", "a", "accept", "cf-connectin", "forwardedx", "x", "x-forwarde", "x-sslx", "y", "zz", "~", "http-x" };

    (void)state;
    for (size_t i = 0; i < COUNT(facts); i++)
        assert_true(rules_is_trusted_fact(span_of_text(facts[i]), NULL, 0));
    for (size_t i = 0; i < COUNT(hop_by_hop); i++)
        assert_true(rules_is_hop_by_hop(span_of_text(hop_by_hop[i])));
    for (size_t i = 0; i < COUNT(barred); i++)
        assert_true(rules_is_barred_from_trailers(span_of_text(barred[i])));
    for (size_t i = 0; i < COUNT(none); i++)
        assert_false(rules_is_trusted_fact(span_of_text(none[i]), NULL, 0) || rules_is_hop_by_hop(span_of_text(none[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_checked),
        cmocka_unit_test(requests_understood),
        cmocka_unit_test(trace_where_allowed),
        cmocka_unit_test(requests_forwarded),
        cmocka_unit_test(connection_is_closed_where_asked),
        cmocka_unit_test(websocket_handshakes),
        cmocka_unit_test(forwarded_fields_from_scratch),
        cmocka_unit_test(forwarded_fields_of_a_trusted_peer),
        cmocka_unit_test(the_operator_adds_to_the_table),
        cmocka_unit_test(responses_checked),
        cmocka_unit_test(responses_forwarded),
        cmocka_unit_test(trailers),
        cmocka_unit_test(each_row_is_found),
        cmocka_unit_test(every_allocation_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
