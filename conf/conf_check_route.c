/* What a route does to the requests that it takes. tests/conf/test_conf_headers.c */
#include "conf/conf_check_parts.h"
#include "protocol/rules_fields.h"

#include <string.h>

static bool is_in(const struct field *fields, size_t n, struct span name)
{
    for (size_t i = 0; i < n; i++)
        if (fields[i].name.n > 0 && rules_is_same_name(fields[i].name, name))
            return true;
    return false;
}

/* A name that can't be told from another would be there twice where one was meant. */
static void check_changes(struct conf_reader *reader, const struct rules_changes *changes)
{
    char shown[CONF_SHOWN_BYTES];

    for (size_t i = 1; i < changes->set_n; i++)
        if (is_in(changes->set, i, changes->set[i].name))
            ERROR_AT(reader, item_place(reader, &changes->set[i]), "`set`: %s is set twice",
                     conf_show(changes->set[i].name, shown));
    for (size_t i = 0; i < changes->remove_n; i++)
        if (changes->remove[i] != NULL && is_in(changes->set, changes->set_n, span_of_text(changes->remove[i])))
            ERROR_AT(reader, place_of(reader, &changes->remove[i]),
                     "`remove`: %s is set, too; what is set replaces all others of its name",
                     conf_show(span_of_text(changes->remove[i]), shown));
}

void conf_check_headers(struct conf_reader *reader, const struct conf_headers *headers)
{
    check_changes(reader, &headers->request);
    check_changes(reader, &headers->response);
}

static bool ends_in_slash(struct conf_reader *reader, const char *key, char *const *path)
{
    if (*path == NULL || (*path)[strlen(*path) - 1] != '/')
        return false;
    ERROR_AT(reader, place_of(reader, path), "`%s`: the slash behind its segments stays in the path: write it without one at its end", key);
    return true;
}

static bool begins_with_segments(const char *path, const char *segments)
{
    size_t n = strlen(segments);

    return strncmp(path, segments, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* RFC 3986 section 3.3, and what protocol/target lets through besides. */
bool conf_stands_on_the_wire(const char *path)
{
    for (; *path != '\0'; path++)
        if (*path <= ' ' || *path >= 0x7f || strchr("\"<>#?", *path) != NULL)
            return false;
    return true;
}

void conf_check_path(struct conf_reader *reader, const struct conf_route *route)
{
    const struct conf_path *path = &route->path;

    if (!ends_in_slash(reader, "strip", &path->strip) && path->strip != NULL &&
        (route->match.path == NULL || !begins_with_segments(route->match.path, path->strip)))
        ERROR_AT(reader, place_of(reader, &path->strip), "`strip`: the path in this route's `match` has to be %s, or to begin with it",
                 path->strip);
    if (!ends_in_slash(reader, "prepend", &path->prepend) && path->prepend != NULL && !conf_stands_on_the_wire(path->prepend))
        ERROR_AT(reader, place_of(reader, &path->prepend), "`prepend`: only characters that a URL holds as they are can stand here");
}

static bool holds(const struct conf_network *wide, const struct conf_network *narrow)
{
    if (wide->family != narrow->family || wide->prefix_bits > narrow->prefix_bits)
        return false;
    for (unsigned bit = 0; bit < wide->prefix_bits; bit++)
        if (((wide->bytes[bit / 8] ^ narrow->bytes[bit / 8]) & (0x80u >> bit % 8)) != 0)
            return false;
    return true;
}

void conf_check_admission(struct conf_reader *reader, const struct conf_admission *admission)
{
    for (size_t i = 0; i < admission->allow_n; i++)
        for (size_t j = 0; j < admission->deny_n; j++)
            if (holds(&admission->deny[j], &admission->allow[i]) && conf_place_of(reader, &admission->allow[i]) != NULL &&
                conf_place_of(reader, &admission->deny[j]) != NULL) {
                WARN_AT(reader, place_of(reader, &admission->allow[i]), "`allow`: nobody is let in by this network: `deny` has all of it");
                break;
            }
}

/* What the gateway tells under one name comes from one place. */
static void check_not_request_id(struct conf_reader *reader, const char *key, char *const *name)
{
    const char *id = reader->conf->forwarded.request_id;

    if (*name != NULL && id != NULL && rules_is_same_name(span_of_text(*name), span_of_text(id)))
        ERROR_AT(reader, place_of(reader, name), "`%s`: %s already tells the request's id: see `request_id` in `forwarded`", key, *name);
}

static void check_forward(struct conf_reader *reader, const struct conf_route *route)
{
    const struct conf_auth_forward *forward = &route->auth.forward;
    const struct rules_changes *changes = &route->headers.request;
    char shown[CONF_SHOWN_BYTES];

    if (forward->path != NULL && !conf_stands_on_the_wire(forward->path))
        ERROR_AT(reader, place_of(reader, &forward->path), "`path`: only characters that a URL holds as they are can stand here");
    for (size_t i = 0; i < forward->pass_n; i++)
        check_not_request_id(reader, "pass", &forward->pass[i]);
    for (size_t i = 0; i < forward->pass_n; i++)
        if (forward->pass[i] != NULL && is_in(changes->set, changes->set_n, span_of_text(forward->pass[i])))
            ERROR_AT(reader, place_of(reader, &forward->pass[i]), "`pass`: %s is set in `headers`, too: leave one out",
                     conf_show(span_of_text(forward->pass[i]), shown));
}

static void check_basic(struct conf_reader *reader, struct conf_route *route)
{
    struct conf_auth_basic *basic = &route->auth.basic;
    const struct rules_changes *changes = &route->headers.request;
    char shown[CONF_SHOWN_BYTES];

    check_not_request_id(reader, "user_field", &basic->user_field);
    basic->file.offset = place_of(reader, &basic->file.path)->offset;
    if (basic->user_field != NULL && is_in(changes->set, changes->set_n, span_of_text(basic->user_field)))
        ERROR_AT(reader, place_of(reader, &basic->user_field), "`user_field`: %s is set in `headers`, too: leave one out",
                 conf_show(span_of_text(basic->user_field), shown));
}

void conf_check_auth(struct conf_reader *reader, struct conf_route *route)
{
    if (route->auth.forward_on && route->auth.basic_on)
        ERROR_AT(reader, place_of(reader, &route->auth.forward.path), "`forward` and `basic` can't both be given");
    if (route->auth.forward_on)
        check_forward(reader, route);
    if (route->auth.basic_on)
        check_basic(reader, route);
}

/* Who answers: somebody has to, and only one. */
void conf_check_action(struct conf_reader *reader, const struct conf_route *route)
{
    const struct conf_respond *respond = &route->respond;

    if (route->upstream_on + route->redirect_on + route->respond_on == 0)
        ERROR_AT(reader, item_place(reader, route), "a route needs `upstream`, `redirect` or `respond`");
    if (route->upstream_on + route->redirect_on + route->respond_on > 1)
        ERROR_AT(reader, item_place(reader, route), "of `upstream`, `redirect` and `respond` a route can have only one");
    if (respond->body != NULL && (respond->status == 204 || respond->status == 205 || respond->status == 304))
        ERROR_AT(reader, place_of(reader, &respond->body), "`body`: an answer with the status %u has none", respond->status);
}
