#include "conf/conf_advice.h"
#include "conf/conf_schema.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define OUTER_LIMIT_MS 60000             /* of silence, after which several load balancers of clouds and many NATs forget a connection */
#define CONNECTIONS_LIKELY 4096          /* where the operator did not say how many he expects */
#define SENTENCE_BYTES 600

struct advice {
    const struct conf *c;
    const struct conf_machine *machine;
    conf_advice_say *say;
    void *ctx;
};

static void advise(const struct advice *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void advise(const struct advice *a, const char *format, ...)
{
    char sentence[SENTENCE_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    a->say(a->ctx, sentence);
}

/* ---- the machine ---- */

static uint64_t connections_expected(const struct conf *c)
{
    const struct conf_key *key = conf_key_find(CONF_IN_LIMITS, SPAN_LITERAL("connections"));

    return c->limits.connections == strtoull(key->fallback, NULL, 10) ? CONNECTIONS_LIKELY : c->limits.connections;
}

static void check_descriptors(const struct advice *a)
{
    uint64_t needed = 2 * connections_expected(a->c);    /* one to the client, one to a server */

    if (a->machine->descriptors != 0 && a->machine->descriptors < needed)
        advise(a, "this process may have %" PRIu64 " files open, and %" PRIu64 " connections need twice as many: raise the limit (LimitNOFILE= in "
                  "the unit, or ulimit -Hn) to %" PRIu64 ", or lower `limits: { connections: … }`",
               a->machine->descriptors, needed / 2, needed + 1024);
}

static void check_user(const struct advice *a)
{
    if (a->machine->root && a->c->user == NULL)
        advise(a, "the gateway is started as root and stays so: `user: …` names whom it becomes when it has read its keys and bound its listeners");
}

static void check_somaxconn(const struct advice *a)
{
    if (a->machine->somaxconn != 0 && a->machine->somaxconn < 1024)
        advise(a, "the kernel lets %" PRIu64 " new connections wait at a listening socket; more at once have to try again: "
                  "sysctl -w net.core.somaxconn=4096", a->machine->somaxconn);
}

static bool is_local(const struct conf_address *address)
{
    return address->kind == CONF_ADDRESS_UNIX || strcmp(address->host, "localhost") == 0 || strncmp(address->host, "127.", 4) == 0 ||
           strcmp(address->host, "::1") == 0;
}

static void check_ports(const struct advice *a, const struct conf_upstream *u)
{
    uint64_t places = a->machine->ports * u->servers_n, wanted = connections_expected(a->c);

    if (a->machine->ports == 0 || (u->connections != 0 && u->connections <= a->machine->ports))
        return;
    for (size_t i = 0; i < u->servers_n; i++)
        if (u->servers[i].address.kind == CONF_ADDRESS_UNIX)
            return;
    if (places < wanted)
        advise(a, "upstream %s: %zu server%s times %" PRIu64 " local ports is the most that can be open at once, and %" PRIu64
                  " connections are expected: add servers (further addresses or ports of the same will do), widen "
                  "net.ipv4.ip_local_port_range, or use UNIX sockets",
               u->name, u->servers_n, u->servers_n == 1 ? "" : "s", a->machine->ports, wanted);
}

/* ---- who can read and say what ---- */

static bool any_tls(const struct conf *c)
{
    for (size_t i = 0; i < c->listeners_n; i++)
        if (c->listeners[i].tls_on)
            return true;
    return false;
}

static bool is_routed_to(const struct conf *c, size_t upstream)
{
    for (size_t i = 0; i < c->routes_n; i++)
        if (c->routes[i].upstream_on && c->routes[i].upstream == upstream)
            return true;
    return false;
}

static void check_hop(const struct advice *a, size_t i)
{
    const struct conf_upstream *u = &a->c->upstreams[i];

    if (u->tls_on && !u->tls.verify)
        advise(a, "upstream %s: `verify: off`: whoever is between can read and change everything: name the servers' issuer in `ca`", u->name);
    if (u->tls_on || !any_tls(a->c) || !is_routed_to(a->c, i))
        return;
    for (size_t j = 0; j < u->servers_n; j++)
        if (!is_local(&u->servers[j].address)) {
            advise(a, "upstream %s: what clients send over TLS goes on to %s in clear text: add `tls: {}`, unless nobody else is on that network",
                   u->name, u->servers[j].address.text);
            return;
        }
}

static void check_trusted(const struct advice *a, const struct conf_listener *l)
{
    for (size_t i = 0; i < l->trusted_n; i++)
        if (l->trusted[i].family != AF_UNIX && l->trusted[i].prefix_bits == 0) {
            advise(a, "listener %s: everybody is in `trusted`, so that any client can say that it is another: name the load balancers' networks",
                   l->name);
            return;
        }
}

/* It has no password. A network of one's own is for the operator to judge. */
static void check_admin(const struct advice *a)
{
    const struct conf_address *admin = &a->c->admin.address;

    if (a->c->admin_on && admin->kind == CONF_ADDRESS_IP && (strcmp(admin->host, "0.0.0.0") == 0 || strcmp(admin->host, "::") == 0))
        advise(a, "admin: whoever reaches %s may drain the gateway and close tunnels: `admin: { address: 127.0.0.1:%u }`, a UNIX socket, or an "
                  "address of a network that is the operators' own", admin->text, admin->port);
}

/* ---- silence ---- */

static void check_pings(const struct advice *a, size_t i)
{
    const struct conf_route *r = &a->c->routes[i];
    const struct conf_websocket *ws = &r->websocket;

    if (!r->upstream_on || a->c->upstreams[r->upstream].protocol != CONF_PROTOCOL_HTTP || ws->mode == CONF_WEBSOCKET_OFF ||
        ws->idle_timeout_ms < OUTER_LIMIT_MS)
        return;
    if (ws->ping_interval_ms == 0)
        advise(a, "route %zu: without pings a silent tunnel is forgotten by whoever is between: 60 s at several load balancers of clouds: "
                  "`websocket: { ping_interval: 30s }`", i + 1);
    else if (ws->ping_interval_ms >= OUTER_LIMIT_MS)
        advise(a, "route %zu: pings every %" PRIu64 " s are too rare for several load balancers of clouds, which forget a connection that was "
                  "silent for 60 s: `websocket: { ping_interval: 30s }`", i + 1, ws->ping_interval_ms / 1000);
}

/* Who keeps connections to the gateway has to be the one who gives them up first. */
static void check_keepalive(const struct advice *a, const struct conf_listener *l)
{
    if (l->trusted_n > 0 && !l->tls_on && a->c->timeouts.keepalive_ms <= OUTER_LIMIT_MS)
        advise(a, "listener %s: a load balancer that keeps idle connections for 60 s will send a request on one that has just ended here, and "
                  "answer 502: `timeouts: { keepalive: 75s }`, more than what the load balancer has", l->name);
}

void conf_advise(const struct conf *c, const struct conf_machine *machine, conf_advice_say *say, void *ctx)
{
    const struct advice a = { .c = c, .machine = machine, .say = say, .ctx = ctx };

    check_user(&a);
    check_descriptors(&a);
    check_somaxconn(&a);
    check_admin(&a);
    for (size_t i = 0; i < c->listeners_n; i++) {
        check_trusted(&a, &c->listeners[i]);
        check_keepalive(&a, &c->listeners[i]);
    }
    for (size_t i = 0; i < c->upstreams_n; i++) {
        check_hop(&a, i);
        check_ports(&a, &c->upstreams[i]);
    }
    for (size_t i = 0; i < c->routes_n; i++)
        check_pings(&a, i);
}
