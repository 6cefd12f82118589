/* The endpoint of those who run the gateway, and how a drain is announced. */
#include "tests/conf/conf_test.h"

#define ADMIN MINIMAL "admin: { %s }\n"

static void taken(void **state)
{
    struct conf *c = load_good(MINIMAL);
    char *text;

    (void)state;
    assert_false(c->admin_on);
    assert_int_equal(c->timeouts.drain_delay_ms, 0);
    conf_free(c);
    c = load_good(fill_in(ADMIN, "address: 127.0.0.1:9901, hosts: [ gw1.internal, \"*.lan\" ]"));
    assert_true(c->admin_on);
    assert_string_equal(c->admin.address.text, "127.0.0.1:9901");
    assert_int_equal(c->admin.hosts_n, 2);
    text = dump_of(c);
    assert_non_null(strstr(text, "admin:\n  address: 127.0.0.1:9901\n  hosts: [ gw1.internal, \"*.lan\" ]\n"));
    free(text);
    conf_free(c);
    c = load_good(fill_in(ADMIN, "address: unix:/run/x.sock"));
    assert_int_equal(c->admin.address.kind, CONF_ADDRESS_UNIX);
    conf_free(c);
    c = load_good(fill_in(ADMIN, "address: 127.0.0.1:0"));
    conf_free(c);
    c = load_good(MINIMAL "timeouts: { drain_delay: 15s }\n");
    assert_int_equal(c->timeouts.drain_delay_ms, 15000);
    conf_free(c);
}

static void refused(void **state)
{
    (void)state;
    expect_refused(ADMIN, "hosts: [ a ]", "`admin` needs `address`");
    expect_refused(ADMIN, "address: 127.0.0.1:9901, hosts: [ \"a b\" ]", "`hosts`: `a b` is not a host name");
    expect_refused(ADMIN, "address: 127.0.0.1:9901, hosts: []", "`hosts` holds nothing");
    expect_refused(ADMIN, "address: 8080", "`address`: a listener is at 0.0.0.0:8080, too");
    expect_refused(MINIMAL "timeouts: { drain_delay: %s }\n", "2h", "`drain_delay`: 2h is out of bounds: 0s to 1h");
}

/* No route leads to it. */
static void not_behind_a_route(void **state)
{
    static const struct {
        const char *admin;
        const char *server;
        bool good;
    } rows[] = {
        { "127.0.0.1:9901", "127.0.0.1:9901", false }, { "127.0.0.1:9901", "localhost:9901", false },
        { "0.0.0.0:9901", "127.0.0.1:9901", false },   { "\"[::]:9901\"", "\"[::1]:9901\"", false },
        { "10.0.0.1:9901", "10.0.0.1:9901", false },   { "unix:/run/a.sock", "unix:/run/a.sock", false },
        { "127.0.0.1:9901", "127.0.0.1:9902", true },  { "10.0.0.1:9901", "127.0.0.1:9901", true },
        { "127.0.0.1:0", "127.0.0.1:9901", true },     { "unix:/run/a.sock", "unix:/run/b.sock", true },
        { "unix:/run/a.sock", "127.0.0.1:1", true },   { "127.0.0.1:9901", "app.example:9901", true },
        { "127.0.0.1:9901", "127.0.0.2:9901", true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[512], *messages;
        struct conf *c;
        put(text, sizeof(text), 0, "listeners: [ 8080 ]\nupstreams: { app: { servers: [ %s ] } }\nroutes: [ { upstream: app } ]\nadmin: { address: %s }\n",
            rows[i].server, rows[i].admin);
        c = load(text, &messages);
        if ((c != NULL) != rows[i].good || (c == NULL && strstr(messages, "that is the gateway's own `admin` endpoint") == NULL))
            fail_msg("%s to %s: %s", rows[i].server, rows[i].admin, messages);
        free(messages);
        conf_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(taken), cmocka_unit_test(refused), cmocka_unit_test(not_behind_a_route) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
