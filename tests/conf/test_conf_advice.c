/* What is advised of a configuration and a machine, and what is not. */
#include "tests/conf/conf_test.h"

#include "conf/conf_advice.h"

static char said[8192];

static void hear(void *ctx, const char *sentence)
{
    size_t n = strlen(said);

    (void)ctx;
    snprintf(said + n, sizeof(said) - n, "%s\n", sentence);
}

static const struct conf_machine roomy = { .descriptors = 1048576, .somaxconn = 4096, .ports = 28232 };

static void advise_on(const char *text, const struct conf_machine *machine)
{
    char *messages;
    struct conf *c = load(text, &messages);

    assert_non_null(c);
    free(messages);
    said[0] = '\0';
    conf_advise(c, machine, hear, NULL);
    conf_free(c);
}

/* One piece of advice, which begins and goes on so. */
static void expect(const char *text, const struct conf_machine *machine, const char *begins, const char *what_to_do)
{
    advise_on(text, machine);
    if (strncmp(said, begins, strlen(begins)) != 0 || strstr(said, what_to_do) == NULL || strchr(said, '\n') != said + strlen(said) - 1)
        fail_msg("`%s` … `%s` is not the one thing said:\n%sof %s", begins, what_to_do, said, text);
}

static void expect_nothing(const char *text, const struct conf_machine *machine)
{
    advise_on(text, machine);
    if (said[0] != '\0')
        fail_msg("%s%s", said, text);
}

#define REST "upstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { upstream: app } ]\n"
#define TLS(key) "listeners: [ { address: 443, tls: { certificates: [ { certificate: /c, key: " key " } ] } } ]\n"
#define UPSTREAM(text) "upstreams: { app: { servers: [ " text " } }\nroutes: [ { upstream: app } ]\n"

static void of_the_machine(void **state)
{
    struct conf_machine unknown = { .descriptors = 0 }, few = roomy, old = roomy, roots = roomy;

    (void)state;
    few.descriptors = 1024;
    old.somaxconn = 128;
    roots.root = true;
    expect(MINIMAL, &roots, "the gateway is started as root and stays so", "`user: …`");
    expect_nothing("user: nobody\n" MINIMAL, &roots);
    expect_nothing(MINIMAL, &roomy);
    expect_nothing(MINIMAL, &unknown);
    expect(MINIMAL, &few, "this process may have 1024 files open, and 4096 connections", "LimitNOFILE= in the unit, or ulimit -Hn) to 9216");
    expect(MINIMAL, &old, "the kernel lets 128 new connections wait", "net.core.somaxconn=4096");
    expect("limits: { connections: 50000 }\n" MINIMAL, &roomy, "upstream app: 1 server times 28232 local ports", "net.ipv4.ip_local_port_range");
    few.descriptors = 50000;
    expect("limits: { connections: 50000 }\nlisteners: [ 80 ]\n" UPSTREAM("unix:/a ]"), &few, "this process may have 50000", "to 101024");
    expect_nothing("limits: { connections: 50000 }\nlisteners: [ 80 ]\n" UPSTREAM("1, 2 ]"), &roomy);
    expect_nothing("limits: { connections: 50000 }\nlisteners: [ 80 ]\n" UPSTREAM("unix:/a ]"), &roomy);
    expect_nothing("limits: { connections: 50000 }\nlisteners: [ 80 ]\n" UPSTREAM("1 ], connections: 100"), &roomy);
}

static void of_trust(void **state)
{
    (void)state;
    expect(MINIMAL "admin: { address: 9901 }\n", &roomy, "admin: whoever reaches 0.0.0.0:9901 may drain", "`admin: { address: 127.0.0.1:9901 }`");
    expect(MINIMAL "admin: { address: \"[::]:9901\" }\n", &roomy, "admin: whoever reaches [::]:9901", "a UNIX socket");
    expect_nothing(MINIMAL "admin: { address: 127.0.0.1:9901 }\n", &roomy);
    expect_nothing(MINIMAL "admin: { address: 10.0.0.1:9901 }\n", &roomy);
    expect_nothing(MINIMAL "admin: { address: unix:/a }\n", &roomy);
    expect("listeners: [ { address: 80, name: front, trusted: [ 10.0.0.0/8, 0.0.0.0/0 ] } ]\n" REST, &roomy, "listener front: everybody is in `trusted`",
           "name the load balancers' networks");
    expect("listeners: [ { address: 80, trusted: [ \"::/0\" ] } ]\n" REST, &roomy, "listener 0.0.0.0:80: everybody", "");
    expect_nothing("listeners: [ { address: 80, trusted: [ 10.0.0.0/8, unix ] } ]\n" REST, &roomy);
}

static void of_hops(void **state)
{
    (void)state;
    expect(TLS("/k") UPSTREAM("unix:/a, 10.0.0.1:80, 10.0.0.2:80 ]"), &roomy,
           "upstream app: what clients send over TLS goes on to 10.0.0.1:80 in clear text", "add `tls: {}`");
    expect_nothing(TLS("/k") UPSTREAM("unix:/a, 127.0.0.1:80, \"[::1]:80\", localhost:80 ]"), &roomy);
    expect_nothing(TLS("/k") UPSTREAM("10.0.0.1:80 ], tls: {}"), &roomy);
    expect_nothing("listeners: [ 80 ]\n" UPSTREAM("10.0.0.1:80 ]"), &roomy);
    expect("listeners: [ 80 ]\n" UPSTREAM("10.0.0.1:80 ], tls: { verify: off }"), &roomy, "upstream app: `verify: off`", "in `ca`");
}

#define WEBSOCKET(text) "listeners: [ 80 ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { upstream: app, websocket: " text " } ]\n"

static void of_silence(void **state)
{
    (void)state;
    expect(WEBSOCKET("{ ping_interval: off }"), &roomy, "route 1: without pings", "ping_interval: 30s");
    expect(WEBSOCKET("{ ping_interval: 2m }"), &roomy, "route 1: pings every 120 s are too rare", "ping_interval: 30s");
    expect_nothing(WEBSOCKET("{ ping_interval: off, idle_timeout: 40s }"), &roomy);
    expect_nothing(WEBSOCKET("off"), &roomy);
    expect("timeouts: { keepalive: 60s }\nlisteners: [ { address: 80, trusted: [ 10.0.0.0/8 ] } ]\n" REST, &roomy,
           "listener 0.0.0.0:80: a load balancer that keeps idle connections for 60 s", "keepalive: 75s");
    expect_nothing("timeouts: { keepalive: 60s }\n" MINIMAL, &roomy);
    expect_nothing("listeners: [ 80 ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { respond: {}, websocket: { ping_interval: off } } ]\n", &roomy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_the_machine),
        cmocka_unit_test(of_trust),
        cmocka_unit_test(of_hops),
        cmocka_unit_test(of_silence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
