/* How servers are checked: one way, that goes with what they speak. tests/conf/test_conf_health.c */
#include "conf/conf_check_parts.h"

#include <string.h>

/* What a check of this kind can't look at. */
static void check_answer_keys(struct conf_reader *reader, const struct conf_health *health)
{
    bool answers = health->http != NULL || (health->fastcgi != NULL && health->fastcgi[0] == '/');

    if (!answers && health->status != 0)
        ERROR_AT(reader, place_of(reader, &health->status), "`status` needs `http`, or `fastcgi` with a path: nothing else has one");
    if (!answers && health->body != NULL)
        ERROR_AT(reader, place_of(reader, &health->body), "`body` needs `http`, or `fastcgi` with a path: nothing else has one");
    if (health->host != NULL && strpbrk(health->host, " \t/?#@,") != NULL)
        ERROR_AT(reader, place_of(reader, &health->host), "`host`: a host, or host:port, can stand here");
}

static void check_wire(struct conf_reader *reader, const char *key, char *const *path)
{
    if (*path != NULL && !conf_stands_on_the_wire(*path))
        ERROR_AT(reader, place_of(reader, path), "`%s`: only characters that a URL holds as they are can stand here", key);
}

static void check_kind(struct conf_reader *reader, const struct conf_upstream *upstream)
{
    const struct conf_health *health = &upstream->health;
    bool fastcgi = upstream->protocol == CONF_PROTOCOL_FASTCGI;

    if (fastcgi && health->http != NULL)
        ERROR_AT(reader, place_of(reader, &health->http), "`http`: the servers of `%s` speak FastCGI", upstream->name);
    if (fastcgi && health->websocket != NULL)
        ERROR_AT(reader, place_of(reader, &health->websocket), "`websocket`: the servers of `%s` speak FastCGI", upstream->name);
    if (!fastcgi && health->fastcgi != NULL)
        ERROR_AT(reader, place_of(reader, &health->fastcgi), "`fastcgi`: the servers of `%s` speak HTTP", upstream->name);
    if (health->fastcgi != NULL && health->fastcgi[0] != '/' && strcmp(health->fastcgi, "values") != 0)
        ERROR_AT(reader, place_of(reader, &health->fastcgi), "`fastcgi` is a path that begins with a slash, or `values`");
    check_wire(reader, "http", &health->http);
    check_wire(reader, "websocket", &health->websocket);
    check_wire(reader, "fastcgi", &health->fastcgi);
}

void conf_check_health(struct conf_reader *reader, const struct conf_upstream *upstream)
{
    const struct conf_health *health = &upstream->health;
    int kinds = health->tcp + (health->http != NULL) + (health->websocket != NULL) + (health->fastcgi != NULL);

    if (!upstream->health_on || conf_report_full(reader->report))
        return;
    if (kinds != 1)
        ERROR_AT(reader, item_place(reader, upstream),
                 "`health` of `%s` has to have one of `tcp: on`, `http: /path`, `websocket: /path` and `fastcgi: /path`", upstream->name);
    check_kind(reader, upstream);
    check_answer_keys(reader, health);
}
