/* passthrough: names to upstreams, in both forms; what is refused; what needs routes and what does not. */
#include "tests/conf/conf_test.h"

#define UPSTREAMS "upstreams: { vault: { servers: [ 9000 ] }, web: { servers: [ 9001 ] } }\n"

static void values(void **state)
{
    struct conf *c = load_good("listeners:\n"
                               "  - address: 443\n"
                               "    passthrough:\n"
                               "      Vault.Example.COM.: vault\n"
                               "      \"*.example.com\": { upstream: web, idle_timeout: 5m }\n"
                               "      \"*\": web\n" UPSTREAMS);
    const struct conf_listener *l = &c->listeners[0];

    (void)state;
    assert_int_equal(l->passthrough_n, 3);
    assert_string_equal(l->passthrough[0].name, "vault.example.com");
    assert_int_equal(l->passthrough[0].upstream, 0);
    assert_int_equal(l->passthrough[0].idle_timeout_ms, 3600000);
    assert_string_equal(l->passthrough[1].name, "*.example.com");
    assert_int_equal(l->passthrough[1].upstream, 1);
    assert_int_equal(l->passthrough[1].idle_timeout_ms, 300000);
    assert_string_equal(l->passthrough[2].name, "*");
    assert_int_equal(l->passthrough[2].upstream, 1);
    conf_free(c);
}

/* What -T writes loads to the same, and is written the same. */
static void dump(void **state)
{
    static const char text[] = "listeners: [ { address: 443, passthrough: { a.example: vault, \"*\": { upstream: web, idle_timeout: 1d } } } ]\n"
                               UPSTREAMS;
    struct conf *c = load_good(text), *again;
    char *first = dump_of(c), *twice;

    (void)state;
    assert_non_null(strstr(first, "    passthrough:\n"
                                  "      a.example:\n"
                                  "        upstream: vault\n"
                                  "        idle_timeout: 1h\n"
                                  "      \"*\":\n"
                                  "        upstream: web\n"
                                  "        idle_timeout: 1d\n"));
    again = load_good(first);
    twice = dump_of(again);
    assert_string_equal(first, twice);
    free(first);
    free(twice);
    conf_free(c);
    conf_free(again);
}

static void messages(void **state)
{
    static const struct {
        const char *names, *due;
    } rows[] = {
        { "{ a: valt }", "no upstream is named `valt`, did you mean `vault`?" },
        { "{ a: { } }", "a passed-through name needs `upstream`" },
        { "{ a: { upstream: web, idle: 5m } }", "unknown key `idle`" },
        { "{ a: [ web ] }", "keys (`key: value`) must stand here, not a list" },
        { "{ a: { upstream: web, idle_timeout: off } }", "can't be off" },
        { "{ \"\": web }", "`passthrough`" },
        { "{ \"*.\": web }", "`*.` can only stand once, in front of a name" },
        { "{ \"a*\": web }", "`*.` can only stand once, in front of a name" },
        { "{ \"a b\": web }", "is not a host name" },
        { "{ \"a.example:443\": web }", "without its port" },
        { "{ \"[::1]\": web }", "TLS clients ask for names, not for addresses" },
        { "{ a.example: web, A.example: vault }", "`passthrough` has `a.example` twice" },
        { "{ a.example: web, a.example: vault }", "is there twice" },
        { "{ }", "`passthrough` holds nothing" },
        { "web", "must stand here, not a single value" },
    };
    char text[512];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *said;
        snprintf(text, sizeof(text), "listeners: [ { address: 443, passthrough: %s } ]\n" UPSTREAMS, rows[i].names);
        assert_null(load(text, &said));
        if (strstr(said, rows[i].due) == NULL)
            fail_msg("%s: `%s` is not said in:\n%s", rows[i].names, rows[i].due, said);
        free(said);
    }
}

static void routes_needed(void **state)
{
    static const struct {
        const char *text, *due;          /* due NULL: loads without a word */
        bool loads;
    } rows[] = {
        { "listeners: [ { address: 443, passthrough: { \"*\": web, a: vault } } ]\n" UPSTREAMS, NULL, true },
        { "listeners: [ { address: 443, passthrough: { \"*\": web, a: vault } }, 80 ]\n" UPSTREAMS,
          "f.yaml:1:1: the file needs `routes`", false },
        { "listeners: [ { address: 443, passthrough: { \"*\": web } } ]\n" UPSTREAMS, "no route goes to the upstream `vault`", true },
        { "listeners: [ { address: 443, passthrough: { \"*\": php } } ]\nupstreams: { php: { servers: [ 9000 ], protocol: fastcgi } }\n",
          "f.yaml:1:50: the servers of `php` speak FastCGI: TLS can't be passed through to them", false },
        { "listeners: [ { address: 443, name: in, passthrough: { \"*\": web } }, 80 ]\n" UPSTREAMS
          "routes: [ { match: { listener: in }, upstream: vault }, { upstream: vault } ]\n",
          "f.yaml:3:32: warning: this route is never reached: `in` only passes TLS through", true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *said;
        struct conf *c = load(rows[i].text, &said);
        assert_int_equal(c != NULL, rows[i].loads);
        if (rows[i].due == NULL ? *said != '\0' : strstr(said, rows[i].due) == NULL)
            fail_msg("%s\n: %s", rows[i].text, said);
        free(said);
        conf_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(dump),
        cmocka_unit_test(messages),
        cmocka_unit_test(routes_needed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
