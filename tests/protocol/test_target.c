/* Request targets and hosts: forms, the text that rules are matched against, and what is refused. */
#include "protocol/target.h"
#include "protocol/mem.h"
#include "tests/protocol/chance.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S SPAN_LITERAL
#define ALL(rows) (size_t i = 0; i < sizeof(rows) / sizeof((rows)[0]); i++)

static void assert_span(const char *what, struct span got, const char *due)
{
    if (!span_equal(got, span_of_text(due)))
        fail_msg("%s: %.*s instead of %s", what, SPAN_FORMAT(got), due);
}

/* The text for matching; kept where it differs; NULL: refused. */
static const struct {
    const char *path, *route, *kept;
} paths[] = {
    { "/", "/", "" },
    { "/a/B", "/a/B", "" },
    { "/a/", "/a/", "" },
    /* escapes */
    { "/%61%2Db%7e", "/a-b~", "" },
    { "/a%20b", "/a b", "" },
    { "/%c3%A9", "/\xc3\xa9", "" },
    { "/%ff%fe", "/\xff\xfe", "" },
    { "/%25", "/%25", "" },
    { "/%252e%252e/a", "/%252e%252e/a", "" },
    { "/a%3fb%23c", "/a?b#c", "" },
    { "/a%3bx/b", "/a;x/b", "" },
    { "/%", NULL, "" }, { "/%4", NULL, "" }, { "/%zz", NULL, "" }, { "/%4g", NULL, "" }, { "/%u002e", NULL, "" },
    { "/%-1", NULL, "" },
    { "/%00", NULL, "" }, { "/%0a", NULL, "" }, { "/%1F", NULL, "" }, { "/%7f", NULL, "" },
    { "/a%5cb", NULL, "" }, { "/a%5Cb", NULL, "" }, { "/a\\b", NULL, "" }, { "/..\\b", NULL, "" },
    { "/%c0%af", NULL, "" }, { "/%c1%9c", NULL, "" }, { "/%e0%80%af", NULL, "" }, { "/%f0%80%80%af", NULL, "" },
    { "/%e0%a0%80", "/\xe0\xa0\x80", "" }, { "/%c0", "/\xc0", "" },
    /* dots */
    { "/a/./b", "/a/b", "" }, { "/./a", "/a", "" }, { "/a/.", "/a/", "" }, { "/a/..", "/", "" }, { "/a/b/..", "/a/", "" },
    { "/a/../b", "/b", "" }, { "/a/b/../../c", "/c", "" }, { "/a/%2e%2E/b", "/b", "" }, { "/a/.%2e/b", "/b", "" },
    { "/%2e/a", "/a", "" },
    { "/...", "/...", "" }, { "/..a", "/..a", "" }, { "/a..", "/a..", "" }, { "/.a", "/.a", "" },
    { "/..", NULL, "" }, { "/../a", NULL, "" }, { "/a/../../b", NULL, "" }, { "/%2e%2e", NULL, "" }, { "/./..", NULL, "" },
    /* slashes */
    { "//a", "/a", "" }, { "/a//b", "/a/b", "" }, { "/a///", "/a/", "" }, { "//", "/", "" },
    { "//../a", NULL, "" }, { "/a//../b", NULL, "" }, { "/a//b/../../c", NULL, "" }, { "/a/../b//c", "/b/c", "" },
    /* parameters */
    { "/a;x=1/b;y", "/a/b", "" }, { "/a;", "/a", "" }, { "/;x/a", "/a", "" }, { "/a/;x", "/a/", "" }, { "/a;x/../b", "/b", "" },
    { "/a;%zz", NULL, "" }, { "/a;%00", NULL, "" }, { "/a;%41;b/c", "/a/c", "" },
    { "/a/..;/b", NULL, "" }, { "/a/..;x/b", NULL, "" }, { "/a/.;/b", NULL, "" }, { "/a/%2e%2e;/b", NULL, "" },
    { "/a/;/../b", NULL, "" }, { "/a;x%2fy", NULL, "" },
    /* encoded slashes */
    { "/a%2fb", "/a/b", "/a%2Fb" }, { "/g%2Fn/x", "/g/n/x", "/g%2Fn/x" }, { "/a%2fb%2fc", "/a/b/c", "/a%2Fb%2Fc" },
    { "/x/a%2fb/../c", "/x/a/c", "/x/c" }, { "/a%2fb;p/c", "/a/b/c", "/a%2Fb/c" }, { "/a%2f..b", "/a/..b", "/a%2F..b" },
    { "/%2fa", NULL, "" }, { "/a%2f", NULL, "" }, { "/a%2f%2fb", NULL, "" }, { "/a%2f..%2fb", NULL, "" }, { "/..%2fb", NULL, "" },
    { "/a%2f..", NULL, "" }, { "/a%2f%2e%2e/b", NULL, "" }, { "/a%2f.", NULL, "" }, { "/a%2f.%2fb", NULL, "" },
    { "/%2f", NULL, "" },
    { "/a%2fb/../../../c", NULL, "" },
    /* bytes */
    { "/^`{|}[]~!$&'()*+,=:@_-.", "/^`{|}[]~!$&'()*+,=:@_-.", "" },
    { "/\"", NULL, "" }, { "/<", NULL, "" }, { "/>", NULL, "" }, { "/#a", NULL, "" }, { "/a b", NULL, "" }, { "/\x7f", NULL, "" },
    { "/\x80", NULL, "" }, { "/\t", NULL, "" },
};

static void route_paths(void **state)
{
    (void)state;
    for ALL(paths) {
        struct arena a;
        struct target t;
        enum fault fault;

        arena_init(&a, 100000);
        fault = target_parse(&a, S("GET"), span_of_text(paths[i].path), &t);
        if (fault != (paths[i].route != NULL ? FAULT_NONE : FAULT_TARGET))
            fail_msg("%s: %s", paths[i].path, fault_word(fault));
        if (fault == FAULT_NONE) {
            assert_span(paths[i].path, t.route_path, paths[i].route);
            assert_span(paths[i].path, t.route_path_kept, paths[i].kept);
            assert_span(paths[i].path, t.path_and_query, paths[i].path);
            assert_span(paths[i].path, t.path, paths[i].path);
        }
        arena_free(&a);
    }
}

static const struct {
    const char *method, *text;
    enum fault fault;
    enum target_form form;
    const char *authority, *path_and_query, *path, *query;
} forms[] = {
    { "GET", "/a?b", FAULT_NONE, TARGET_ORIGIN, "", "/a?b", "/a", "b" },
    { "GET", "/a?", FAULT_NONE, TARGET_ORIGIN, "", "/a?", "/a", "" },
    { "GET", "/?a?b/../c", FAULT_NONE, TARGET_ORIGIN, "", "/?a?b/../c", "/", "a?b/../c" },
    { "GET", "/?%zz%00%\\|{}[]", FAULT_NONE, TARGET_ORIGIN, "", "/?%zz%00%\\|{}[]", "/", "%zz%00%\\|{}[]" },
    { "GET", "//h/p", FAULT_NONE, TARGET_ORIGIN, "", "//h/p", "//h/p", "" },
    { "GET", "/http://h/", FAULT_NONE, TARGET_ORIGIN, "", "/http://h/", "/http://h/", "" },
    { "GET", "http://h/a?b", FAULT_NONE, TARGET_ABSOLUTE, "h", "/a?b", "/a", "b" },
    { "GET", "HTTPS://H:1/", FAULT_NONE, TARGET_ABSOLUTE, "H:1", "/", "/", "" },
    { "GET", "http://h", FAULT_NONE, TARGET_ABSOLUTE, "h", "/", "/", "" },
    { "GET", "http://h?q", FAULT_NONE, TARGET_ABSOLUTE, "h", "/?q", "/", "q" },
    { "OPTIONS", "http://h", FAULT_NONE, TARGET_ABSOLUTE, "h", "*", "*", "" },
    { "OPTIONS", "http://h?q", FAULT_NONE, TARGET_ABSOLUTE, "h", "/?q", "/", "q" },
    { "OPTIONS", "http://h/", FAULT_NONE, TARGET_ABSOLUTE, "h", "/", "/", "" },
    { "OPTIONS", "*", FAULT_NONE, TARGET_ASTERISK, "", "*", "*", "" },
    { "OPTIONS", "/a", FAULT_NONE, TARGET_ORIGIN, "", "/a", "/a", "" },
    { "GET", "http://[::1]:80/", FAULT_NONE, TARGET_ABSOLUTE, "[::1]:80", "/", "/", "" },
    { "GET", "*", FAULT_TARGET, 0, NULL, NULL, NULL, NULL },
    { "options", "*", FAULT_TARGET, 0, NULL, NULL, NULL, NULL },
    { "OPTIONS", "**", FAULT_TARGET, 0, NULL, NULL, NULL, NULL },
    { "GET", "", FAULT_TARGET, 0, NULL, NULL, NULL, NULL },
    { "GET", "a", FAULT_TARGET, 0, NULL, NULL, NULL, NULL },
    { "GET", "h:80", FAULT_TARGET, 0, NULL, NULL, NULL, NULL },
    { "GET", "?a", FAULT_TARGET, 0, NULL, NULL, NULL, NULL },
    { "GET", "http:/a", FAULT_TARGET, 0, NULL, NULL, NULL, NULL },
    { "GET", "1http://h/", FAULT_TARGET, 0, NULL, NULL, NULL, NULL },
    { "GET", "://h/", FAULT_TARGET, 0, NULL, NULL, NULL, NULL },
    { "GET", "http://h/../a", FAULT_TARGET, 0, NULL, NULL, NULL, NULL },
    { "GET", "/a?\"", FAULT_TARGET, 0, NULL, NULL, NULL, NULL },
    { "GET", "/a?<", FAULT_TARGET, 0, NULL, NULL, NULL, NULL },
    { "GET", "/a?#", FAULT_TARGET, 0, NULL, NULL, NULL, NULL },
    { "GET", "http://h#f", FAULT_HOST, 0, NULL, NULL, NULL, NULL },
    { "GET", "gopher://h/", FAULT_SCHEME, 0, NULL, NULL, NULL, NULL },
    { "GET", "ws://h/", FAULT_SCHEME, 0, NULL, NULL, NULL, NULL },
    { "GET", "httpx://h/", FAULT_SCHEME, 0, NULL, NULL, NULL, NULL },
    { "GET", "http://", FAULT_HOST, 0, NULL, NULL, NULL, NULL },
    { "GET", "http:///a", FAULT_HOST, 0, NULL, NULL, NULL, NULL },
    { "GET", "http://:80/", FAULT_HOST, 0, NULL, NULL, NULL, NULL },
    { "GET", "http://u@h/", FAULT_HOST, 0, NULL, NULL, NULL, NULL },
    { "GET", "http://u:p@h/", FAULT_HOST, 0, NULL, NULL, NULL, NULL },
    { "GET", "http://h\\@g/", FAULT_HOST, 0, NULL, NULL, NULL, NULL },
    { "CONNECT", "h:443", FAULT_CONNECT, 0, NULL, NULL, NULL, NULL },
    { "CONNECT", "/a", FAULT_CONNECT, 0, NULL, NULL, NULL, NULL },
    { "CONNECT", "http://h/", FAULT_CONNECT, 0, NULL, NULL, NULL, NULL },
};

static void the_forms(void **state)
{
    (void)state;
    for ALL(forms) {
        struct arena a;
        struct target t;
        enum fault fault;

        arena_init(&a, 100000);
        fault = target_parse(&a, span_of_text(forms[i].method), span_of_text(forms[i].text), &t);
        if (fault != forms[i].fault)
            fail_msg("%s %s: %s", forms[i].method, forms[i].text, fault_word(fault));
        if (fault == FAULT_NONE) {
            assert_int_equal(t.form, forms[i].form);
            assert_span(forms[i].text, t.authority, forms[i].authority);
            assert_span(forms[i].text, t.path_and_query, forms[i].path_and_query);
            assert_span(forms[i].text, t.path, forms[i].path);
            assert_span(forms[i].text, t.query, forms[i].query);
            assert_int_equal(t.has_query, strchr(forms[i].path_and_query, '?') != NULL);
        }
        arena_free(&a);
    }
}

static const struct {
    const char *text, *host;
    unsigned port;
} hosts[] = {
    { "a", "a", 0 }, { "A.Example", "a.example", 0 }, { "a.example.", "a.example", 0 }, { "a:80", "a", 80 }, { "a:", "a", 0 },
    { "a:65535", "a", 65535 }, { "a.:1", "a", 1 }, { "a_b-c", "a_b-c", 0 }, { "127.0.0.1:8080", "127.0.0.1", 8080 },
    { "[::1]", "[::1]", 0 }, { "[::1]:80", "[::1]", 80 }, { "[2001:DB8::A]", "[2001:db8::a]", 0 }, { "a:00080", "a", 80 },
    { "", NULL, 0 }, { ":80", NULL, 0 }, { ".", NULL, 0 }, { ".a", NULL, 0 }, { "a..b", NULL, 0 }, { "a..", NULL, 0 },
    { "a b", NULL, 0 },
    { "a,b", NULL, 0 }, { "a/b", NULL, 0 }, { "a?b", NULL, 0 }, { "a@b", NULL, 0 }, { "a%2eb", NULL, 0 }, { "a\\b", NULL, 0 },
    { "a#", NULL, 0 },
    { "a\x80", NULL, 0 }, { "a\t", NULL, 0 }, { "a:0", NULL, 0 }, { "a:65536", NULL, 0 }, { "a:000080", NULL, 0 },
    { "a:-1", NULL, 0 },
    { "a:+1", NULL, 0 }, { "a:8x", NULL, 0 }, { "a:80:80", NULL, 0 }, { "::1", NULL, 0 }, { "[::1", NULL, 0 },
    { "[::1]x", NULL, 0 },
    { "[::1]80", NULL, 0 }, { "[]", NULL, 0 }, { "[a]", NULL, 0 }, { "[::1%25eth0]", NULL, 0 }, { "[::1%eth0]", NULL, 0 },
    { "[v1.x]", NULL, 0 },
    { "[127.0.0.1]", NULL, 0 }, { "[[::1]]", NULL, 0 }, { "a[::1]", NULL, 0 }, { "[::1]]", NULL, 0 }, { "http://a", NULL, 0 },
};

static void host_names(void **state)
{
    static uint8_t long_name[256];

    (void)state;
    memset(long_name, 'a', sizeof(long_name));
    for ALL(hosts) {
        struct arena a;
        struct host_port h;
        enum fault fault;

        arena_init(&a, 10000);
        fault = host_parse(&a, span_of_text(hosts[i].text), &h);
        if (fault != (hosts[i].host != NULL ? FAULT_NONE : FAULT_HOST))
            fail_msg("%s: %s", hosts[i].text, fault_word(fault));
        if (fault == FAULT_NONE) {
            assert_span(hosts[i].text, h.host, hosts[i].host);
            assert_int_equal(h.port, hosts[i].port);
            assert_int_equal(h.has_port, h.port > 0);
        }
        assert_int_equal(host_parse(&a, span_of(long_name, 255), &h), FAULT_NONE);
        assert_int_equal(host_parse(&a, span_of(long_name, 256), &h), FAULT_HOST);
        arena_free(&a);
    }
}

/* Random strings of the letters of addresses: what the C library takes for an IPv6 address, and nothing else. */
static void ipv6_as_the_c_library(void **state)
{
    static const char letters[] = "0123456789aF::::::..g";
    struct chance chance = chance_seeded("ipv6");
    unsigned good = 0;

    (void)state;
    for (unsigned long round = 0; round < 300000; round++) {
        char text[128] = "[";
        size_t n = 1, groups = 1 + chance_below(&chance, 9);
        struct host_port h;
        struct arena a;
        uint8_t address[16];

        for (size_t g = 0; g < groups; g++) {
            unsigned value = (unsigned)chance_below(&chance, 0x12000) >> chance_below(&chance, 16);
            const char *colon = g > 0 ? ":" : "";

            if (chance_one_in(&chance, 20))
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%s1.2.3.4", colon);
            else if (chance_one_in(&chance, 6))
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%s:", colon);
            else
                n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%x", colon, value);
        }
        if (chance_one_in(&chance, 3))
            text[1 + chance_below(&chance, n - 1)] = letters[chance_below(&chance, sizeof(letters) - 1)];
        text[n] = '\0';
        bool due = inet_pton(AF_INET6, text + 1, address) == 1;
        text[n] = ']';
        arena_init(&a, 1000);
        bool got = host_parse(&a, span_of(text, n + 1), &h) == FAULT_NONE;
        if (due != got)
            fail_msg("%.*s: %d instead of %d", (int)n + 1, text, got, due);
        good += due;
        arena_free(&a);
    }
    assert_true(good > 1000);
}

static void no_memory(void **state)
{
    static const char *const texts[] = { "/a", "http://h/a", "http://h?q" };

    (void)state;
    for ALL(texts)
        for (size_t nth = 1;; nth++) {
            struct arena a;
            struct target t;
            enum fault fault;

            arena_init(&a, 100000);
            mem_fail_nth(nth);
            fault = target_parse(&a, S("GET"), span_of_text(texts[i]), &t);
            mem_fail_nth(0);
            arena_free(&a);
            if (fault == FAULT_NONE)
                break;
            assert_int_equal(fault, FAULT_NO_MEMORY);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(route_paths),
        cmocka_unit_test(the_forms),
        cmocka_unit_test(host_names),
        cmocka_unit_test(ipv6_as_the_c_library),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
