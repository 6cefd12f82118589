/* Requests to the admin endpoint: what is understood, and what is refused. */
#include "gateway/admin_request.h"
#include "protocol/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char *hosts[] = { (char *)(uintptr_t)"gw1.internal", (char *)(uintptr_t)"*.lan" };
static const struct conf_admin tcp = { .address = { .kind = CONF_ADDRESS_IP }, .hosts = hosts, .hosts_n = 2 };
static const struct conf_admin local = { .address = { .kind = CONF_ADDRESS_UNIX } };

struct asked {
    struct arena arena;
    struct http1_parse *parse;
    struct admin_request request;
    struct admin_verdict verdict;
    size_t blocks;
};

static void ask(struct asked *a, const char *text, const struct conf_admin *conf)
{
    const struct http1_limits limits = { .head_bytes = 16384, .fields = 50, .chunk_extension_bytes = 10 };
    struct http1_result r;

    *a = (struct asked){ .blocks = mem_live_blocks() };
    arena_init(&a->arena, 65536);
    a->parse = http1_parse_new(HTTP1_REQUEST, &limits);
    http1_parse_next(a->parse, (const uint8_t *)text, strlen(text), &r);
    if (r.event != HTTP1_HEAD)
        fail_msg("no head: %s", text);
    a->verdict = admin_request_read(&a->arena, r.head, conf, "upgate", &a->request);
}

static void over(struct asked *a)
{
    arena_free(&a->arena);
    http1_parse_free(a->parse);
    assert_int_equal(mem_live_blocks(), a->blocks);
}

#define HOST "Host: 127.0.0.1:9901\r\n"
#define GET(target, fields) "GET " target " HTTP/1.1\r\n" fields "\r\n"
#define POST(target, fields) "POST " target " HTTP/1.1\r\n" fields "\r\n"

static void statuses(void **state)
{
    static const struct {
        const char *text;
        const struct conf_admin *conf;
        unsigned status;
    } rows[] = {
        { GET("/status", HOST), &tcp, 0 },
        { GET("/status", "Host: localhost\r\n"), &tcp, 0 },
        { GET("/status", "Host: LOCALHOST:1\r\n"), &tcp, 0 },
        { GET("/status", "Host: [::1]:9901\r\n"), &tcp, 0 },
        { GET("/status", "Host: gw1.internal:9901\r\n"), &tcp, 0 },
        { GET("/status", "Host: a.b.lan\r\n"), &tcp, 0 },
        { GET("/status", "Host: lan\r\n"), &tcp, 403 },
        { GET("/status", "Host: evil.example\r\n"), &tcp, 403 },
        { GET("/status", "Host: 127.0.0.1.evil.example\r\n"), &tcp, 403 },
        { GET("/status", "Host: localhost.evil.example\r\n"), &tcp, 403 },
        { GET("/status", "Host: evil.example\r\n"), &local, 0 },
        { GET("/metrics", "Host: evil.example\r\n"), &tcp, 0 },
        { GET("/healthz", "Host: evil.example\r\n"), &tcp, 0 },
        { GET("/readyz?", "Host: evil.example\r\n"), &tcp, 0 },
        { GET("/metrics/../status", "Host: evil.example\r\n"), &tcp, 403 },
        { POST("/metrics", "Host: evil.example\r\n"), &tcp, 403 },
        { "GET /status HTTP/1.0\r\n\r\n", &tcp, 0 },
        { GET("/status", ""), &tcp, 400 },
        { GET("/status", HOST HOST), &tcp, 400 },
        { GET("/status", "Host: a b\r\n"), &tcp, 400 },
        { GET("http://127.0.0.1/status", HOST), &tcp, 400 },
        { GET("/%zz", HOST), &tcp, 400 },
        { GET("/../x", HOST), &tcp, 400 },
        { "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", &tcp, 400 },
        /* through the gateway */
        { GET("/status", HOST "Via: 1.1 upgate\r\n"), &tcp, 403 },
        { GET("/metrics", HOST "Via: 1.1 a, 1.1  UPGATE (x)\r\n"), &local, 403 },
        { GET("/status", HOST "Via: 1.1 nginx\r\n"), &tcp, 0 },
        /* from a page */
        { POST("/drain", HOST), &tcp, 0 },
        { POST("/drain", HOST "Sec-Fetch-Site: same-origin\r\nOrigin: http://127.0.0.1:9901\r\n"), &tcp, 0 },
        { POST("/drain", HOST "Sec-Fetch-Site: none\r\n"), &tcp, 0 },
        { POST("/drain", HOST "Sec-Fetch-Site: cross-site\r\n"), &tcp, 403 },
        { POST("/drain", HOST "Sec-Fetch-Site: same-site\r\n"), &tcp, 403 },
        { POST("/drain", HOST "Origin: http://127.0.0.1:8080\r\n"), &tcp, 403 },
        { POST("/drain", HOST "Origin: https://127.0.0.1:9901\r\n"), &tcp, 403 },
        { POST("/drain", HOST "Origin: null\r\n"), &tcp, 403 },
        { "DELETE /tunnels/0-1 HTTP/1.1\r\n" HOST "Origin: http://evil.example\r\n\r\n", &tcp, 403 },
        { GET("/status", HOST "Sec-Fetch-Site: cross-site\r\n"), &tcp, 0 },      /* a link to it */
        /* the query */
        { POST("/drain?upstream=a&fraction=0.5", HOST), &tcp, 0 },
        { POST("/drain?upstream", HOST), &tcp, 400 },
        { POST("/drain?a=1&a=2", HOST), &tcp, 400 },
        { POST("/drain?a=1&%61=2", HOST), &tcp, 400 },
        { POST("/drain?a=%", HOST), &tcp, 400 },
        { POST("/drain?a=%0", HOST), &tcp, 400 },
        { POST("/drain?a=%00", HOST), &tcp, 400 },
        { POST("/drain?a=1&&b=1", HOST), &tcp, 400 },
        { POST("/drain?a=&b=&c=&d=&e=&f=&g=&h=", HOST), &tcp, 0 },
        { POST("/drain?a=&b=&c=&d=&e=&f=&g=&h=&i=", HOST), &tcp, 400 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct asked a;
        ask(&a, rows[i].text, rows[i].conf);
        if (a.verdict.status != rows[i].status || (a.verdict.status != 0) != (a.verdict.sentence != NULL))
            fail_msg("%s: %u, should be %u", rows[i].text, a.verdict.status, rows[i].status);
        over(&a);
    }
}

static void parameters_are_decoded(void **state)
{
    struct asked a;

    (void)state;
    ask(&a, POST("/a%2Fb/../drain?server=%5B::1%5D:9&reason=a+b%20c%3d&empty=", HOST), &tcp);
    assert_int_equal(a.verdict.status, 0);
    assert_int_equal(a.request.method, ADMIN_POST);
    assert_true(span_equal(admin_request_value(&a.request, "server"), SPAN_LITERAL("[::1]:9")));
    assert_true(span_equal(admin_request_value(&a.request, "reason"), SPAN_LITERAL("a+b c=")));
    assert_non_null(admin_request_value(&a.request, "empty").p);
    assert_int_equal(admin_request_value(&a.request, "empty").n, 0);
    assert_null(admin_request_value(&a.request, "other").p);
    over(&a);
}

static void forms(void **state)
{
    struct asked a;

    (void)state;
    ask(&a, "HEAD /metrics HTTP/1.1\r\n" HOST "Accept: text/html, application/OpenMetrics-Text;version=1.0.0;q=0.5\r\n\r\n", &tcp);
    assert_int_equal(a.request.method, ADMIN_GET);
    assert_true(a.request.head && a.request.open_metrics);
    over(&a);
    ask(&a, GET("/metrics", HOST "Accept: text/plain\r\n"), &tcp);
    assert_false(a.request.head || a.request.open_metrics);
    over(&a);
    ask(&a, "PUT /metrics HTTP/1.1\r\n" HOST "\r\n", &tcp);
    assert_int_equal(a.request.method, ADMIN_OTHER);
    over(&a);
}

static void without_memory(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 10; nth++) {
        struct asked a;
        struct http1_result r;
        const char *text = POST("/drain?upstream=a", HOST);
        ask(&a, text, &tcp);
        arena_free(&a.arena);
        http1_parse_reset(a.parse);
        http1_parse_next(a.parse, (const uint8_t *)text, strlen(text), &r);
        mem_fail_nth(nth);
        a.verdict = admin_request_read(&a.arena, r.head, &tcp, "upgate", &a.request);
        mem_fail_nth(0);
        assert_true(a.verdict.status == 0 || a.verdict.status >= 400);
        over(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses),
        cmocka_unit_test(parameters_are_decoded),
        cmocka_unit_test(forms),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
