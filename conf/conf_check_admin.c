/* The endpoint of those who run the gateway: nobody else is at its address, and no upstream has it for a server. What a name resolves to is not
 * known here; the endpoint itself refuses what came through a proxy that calls itself as this gateway does. tests/conf/test_conf_admin.c */
#include "conf/conf_check_parts.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static bool is_loopback(const struct conf_address *a)
{
    return same_text(a->host, "localhost") || same_text(a->host, "::1") || strncmp(a->host, "127.", 4) == 0;
}

static bool is_everywhere(const struct conf_address *a)
{
    return a->kind == CONF_ADDRESS_IP && (same_text(a->host, "0.0.0.0") || same_text(a->host, "::"));
}

static bool leads_to(const struct conf_address *server, const struct conf_address *admin)
{
    if (same_text(server->text, admin->text))
        return true;
    if (server->kind == CONF_ADDRESS_UNIX || admin->kind == CONF_ADDRESS_UNIX || server->host == NULL || server->port != admin->port)
        return false;
    return is_loopback(server) && (is_everywhere(admin) || (same_text(server->host, "localhost") && is_loopback(admin)));
}

static void check_servers(struct conf_reader *reader, const struct conf_upstream *upstream)
{
    for (size_t i = 0; i < upstream->servers_n; i++)
        if (upstream->servers[i].address.text != NULL && leads_to(&upstream->servers[i].address, &reader->conf->admin.address))
            ERROR_AT(reader, place_of(reader, &upstream->servers[i].address), "`address`: that is the gateway's own `admin` endpoint");
}

void conf_check_admin(struct conf_reader *reader)
{
    const struct conf *c = reader->conf;
    const struct conf_address *admin = &c->admin.address;

    if (!c->admin_on || admin->text == NULL || (admin->kind == CONF_ADDRESS_IP && admin->port == 0))
        return;                          /* a port that the kernel chooses is nobody else's */
    for (size_t i = 0; i < c->listeners_n; i++)
        if (same_text(c->listeners[i].address.text, admin->text))
            ERROR_AT(reader, place_of(reader, admin), "`address`: a listener is at %s, too", admin->text);
    for (size_t i = 0; i < c->upstreams_n; i++)
        check_servers(reader, &c->upstreams[i]);
}
