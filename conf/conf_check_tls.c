/* TLS: files and where they are named, and what only makes sense together. What is in the files is the gateway's to judge.
 * tests/conf/test_conf_tls.c */
#include "conf/conf_check_parts.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* Where a file is named: for what the gateway finds in it. */
static void place_file(struct conf_reader *reader, struct conf_file *file)
{
    file->offset = place_of(reader, &file->path)->offset;
}

static void check_listener_tls(struct conf_reader *reader, struct conf_listener *listener)
{
    struct conf_listener_tls *tls = &listener->tls;
    bool asks = tls->client_auth != CONF_CLIENT_AUTH_OFF;

    if (!listener->tls_on)
        return;
    for (size_t i = 0; i < tls->certificates_n; i++) {
        place_file(reader, &tls->certificates[i].certificate);
        place_file(reader, &tls->certificates[i].key);
    }
    place_file(reader, &tls->client_ca);
    place_file(reader, &tls->ticket_keys);
    if (listener->redirect != CONF_REDIRECT_OFF)
        ERROR_AT(reader, place_of(reader, &listener->redirect), "`redirect`: this listener has `tls`: its requests are https already");
    if (asks && tls->client_ca.path == NULL)
        ERROR_AT(reader, place_of(reader, &tls->client_auth), "`client_auth` needs `client_ca`: whose certificates clients may show");
    if (!asks && tls->client_ca.path != NULL)
        WARN_AT(reader, place_of(reader, &tls->client_ca.path), "`client_ca` has no effect: `client_auth` is off");
    if (tls->ticket_keys.path != NULL && (asks || !tls->tickets))
        WARN_AT(reader, place_of(reader, &tls->ticket_keys.path), "`ticket_keys` has no effect: %s",
                asks ? "with `client_auth` no session is resumed" : "`tickets` is off");
}

static bool has_unix_server(const struct conf_upstream *upstream)
{
    for (size_t i = 0; i < upstream->servers_n; i++)
        if (upstream->servers[i].address.kind == CONF_ADDRESS_UNIX)
            return true;
    return false;
}

static void check_upstream_tls(struct conf_reader *reader, struct conf_upstream *upstream)
{
    struct conf_upstream_tls *tls = &upstream->tls;
    bool ca_written = place_of(reader, &tls->ca.path)->offset != CONF_NOWHERE;

    if (!upstream->tls_on)
        return;
    place_file(reader, &tls->ca);
    place_file(reader, &tls->client.certificate);
    place_file(reader, &tls->client.key);
    if ((tls->client.certificate.path == NULL) != (tls->client.key.path == NULL))
        ERROR_AT(reader, place_of(reader, tls->client.key.path == NULL ? &tls->client.certificate.path : &tls->client.key.path),
                 "`certificate` and `key` go together");
    if (tls->verify && tls->server_name == NULL && has_unix_server(upstream))
        ERROR_AT(reader, item_place(reader, upstream), "the upstream `%s` needs `server_name`: a UNIX socket has no name to verify",
                 upstream->name);
    if (!tls->verify)
        WARN_AT(reader, place_of(reader, &tls->verify),
                "`verify` is off: whoever is on the way to the servers of `%s` can pass for them, and read and change everything",
                upstream->name);
    if (!tls->verify && ca_written)
        WARN_AT(reader, place_of(reader, &tls->ca.path), "`ca` has no effect: `verify` is off");
}

/* Whoever may come to this route: is anybody asked for a certificate? */
static bool is_asked_for(const struct conf *c, const struct conf_match *match)
{
    for (size_t i = 0; i < c->listeners_n; i++)
        if (c->listeners[i].tls.client_auth != CONF_CLIENT_AUTH_OFF && (match->listener == NULL || same_text(match->listener, c->listeners[i].name)))
            return true;
    return false;
}

static void check_client_certificates(struct conf_reader *reader)
{
    const struct conf *c = reader->conf;

    for (size_t i = 0; i < c->routes_n; i++)
        if (c->routes[i].client_certificate_on && !is_asked_for(c, &c->routes[i].match))
            ERROR_AT(reader, item_place(reader, &c->routes[i]),
                     "`client_certificate`: no listener of this route asks clients for one (`tls: { client_auth: … }`)");
}

static void check_passed_and_terminated(struct conf_reader *reader, const struct conf_listener *listener)
{
    for (size_t i = 0; listener->tls_on && i < listener->passthrough_n; i++)
        if (same_text(listener->passthrough[i].name, "*"))
            WARN_AT(reader, item_place(reader, &listener->passthrough[i]), "`tls` has no effect: `*` passes every name through");
}

void conf_check_tls(struct conf_reader *reader)
{
    struct conf *c = reader->conf;

    check_client_certificates(reader);
    for (size_t i = 0; i < c->listeners_n; i++)
        check_passed_and_terminated(reader, &c->listeners[i]);

    for (size_t i = 0; i < c->listeners_n; i++)
        check_listener_tls(reader, &c->listeners[i]);
    for (size_t i = 0; i < c->upstreams_n; i++)
        check_upstream_tls(reader, &c->upstreams[i]);
}
