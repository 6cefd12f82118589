/* Sticky cookies: the key file's place, and what would undo them. tests/conf/test_conf_sticky.c */
#include "conf/conf_check_parts.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static void check_one(struct conf_reader *reader, struct conf_upstream *upstream)
{
    const struct conf_sticky *sticky = &upstream->sticky;

    upstream->sticky.key_file.offset = place_of(reader, &sticky->key_file.path)->offset;
    if (sticky->same_site == CONF_SAME_SITE_NONE && sticky->secure == CONF_SECURE_AUTO)
        WARN_AT(reader, place_of(reader, &sticky->same_site),
                "`same_site: none`: browsers take such a cookie only under https; add `secure: on` where that is what clients speak");
    if (upstream->retries == 0 && upstream->eject.failures == 0 && upstream->servers_n > 1)
        WARN_AT(reader, place_of(reader, &upstream->retries),
                "`retries: 0`: a dead server's clients are led to it, and answered 502, as long as their cookies are good; add `eject`");
    if (upstream->balance == CONF_BALANCE_HASH && upstream->hash.kind == CONF_HASH_COOKIE && same_text(upstream->hash.name, sticky->cookie))
        ERROR_AT(reader, place_of(reader, &upstream->hash), "`hash`: the cookie `%s` is the gateway's own: it changes with each client",
                 sticky->cookie);
}

/* Each would take the other's cookie for forged, and put its own in its place. */
static void check_route(struct conf_reader *reader, const struct conf_route *route)
{
    const struct conf *c = reader->conf;
    const struct conf_upstream *own = &c->upstreams[route->upstream];

    for (const struct conf_route *other = c->routes; route->upstream_on && own->sticky_on && other < route; other++) {
        const struct conf_upstream *theirs = &c->upstreams[other->upstream];
        if (!other->upstream_on || theirs == own || !theirs->sticky_on || !same_text(other->match.host, route->match.host) ||
            !same_text(other->match.listener, route->match.listener) || !same_text(theirs->sticky.cookie, own->sticky.cookie))
            continue;
        WARN_AT(reader, place_of(reader, &route->upstream),
                "`%s` and `%s` have sticky cookies of the same name, `%s`, and routes for the same host: clients lose one by the other", own->name,
                theirs->name, own->sticky.cookie);
        return;
    }
}

static void check_passed_to(struct conf_reader *reader, const struct conf_listener *listener)
{
    for (size_t i = 0; i < listener->passthrough_n; i++)
        if (reader->conf->upstreams[listener->passthrough[i].upstream].sticky_on)
            WARN_AT(reader, place_of(reader, &listener->passthrough[i].upstream),
                    "`sticky` has no effect on connections that are passed through: nobody sees their cookies");
}

void conf_check_sticky(struct conf_reader *reader)
{
    const struct conf *c = reader->conf;

    for (size_t i = 0; i < c->upstreams_n; i++)
        if (c->upstreams[i].sticky_on)
            check_one(reader, &c->upstreams[i]);
    if (reader->report->errors > 0)
        return;                          /* references may lead nowhere */
    for (size_t i = 0; i < c->listeners_n; i++)
        check_passed_to(reader, &c->listeners[i]);
    for (size_t i = 0; i < c->routes_n; i++)
        check_route(reader, &c->routes[i]);
}
