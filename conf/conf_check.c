/* conf_check: see the header. Errors are what can't work; warnings are what works, but hardly as it was meant.
 * tests/conf/test_conf_check.c */
#include "conf/conf_check_parts.h"
#include "protocol/rules_fields.h"

#include <string.h>
#include <sys/stat.h>

static bool same_text(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static bool has_own_name(const struct conf_listener *listener)
{
    return listener->name != listener->address.text;
}

static void check_listener(struct conf_reader *reader, size_t i)
{
    const struct conf_listener *listeners = reader->conf->listeners, *own = &listeners[i];
    bool chosen_by_kernel = own->address.kind == CONF_ADDRESS_IP && own->address.port == 0;
    char shown[CONF_SHOWN_BYTES];

    for (size_t j = 0; j < i; j++) {
        if (!chosen_by_kernel && same_text(own->address.text, listeners[j].address.text)) {
            ERROR_AT(reader, place_of(reader, &own->address), "two listeners at %s",
                     conf_show(span_of_text(own->address.text), shown));
            return;
        }
        if (same_text(own->name, listeners[j].name) && (has_own_name(own) || has_own_name(&listeners[j]))) {
            ERROR_AT(reader, has_own_name(own) ? place_of(reader, &own->name) : place_of(reader, &own->address),
                     "two listeners named `%s`", conf_show(span_of_text(own->name), shown));
            return;
        }
    }
}

/* Without it nobody could connect; and who believes anybody's header ought to have written that. */
static void check_proxy_protocol(struct conf_reader *reader, const struct conf_listener *listener)
{
    if (listener->proxy_protocol == CONF_PROXY_REQUIRE && listener->trusted_n == 0)
        ERROR_AT(reader, place_of(reader, &listener->proxy_protocol),
                 "`proxy_protocol: require` needs `trusted`: the load balancers whose headers are believed, such as [10.0.0.0/8]");
}

/* Names are read in lower case, so that two that differ in the file may be one. */
static void check_passthrough(struct conf_reader *reader, const struct conf_listener *listener)
{
    const struct conf_passthrough *names = listener->passthrough;
    char shown[CONF_SHOWN_BYTES];

    for (size_t i = 0; i < listener->passthrough_n; i++)
        for (size_t j = 0; j < i; j++)
            if (same_text(names[i].name, names[j].name) && !conf_report_full(reader->report))
                ERROR_AT(reader, item_place(reader, &names[i]), "`passthrough` has `%s` twice",
                         conf_show(span_of_text(names[i].name), shown));
}

static void check_listeners(struct conf_reader *reader)
{
    struct conf *c = reader->conf;

    for (size_t i = 0; i < c->listeners_n; i++)
        if (c->listeners[i].name == NULL)
            c->listeners[i].name = c->listeners[i].address.text;
    for (size_t i = 0; i < c->listeners_n; i++) {
        check_listener(reader, i);
        check_proxy_protocol(reader, &c->listeners[i]);
        conf_check_admission(reader, &c->listeners[i].admission);
        check_passthrough(reader, &c->listeners[i]);
    }
}

static void report_reference(struct conf_reader *reader, const struct conf_reference *reference)
{
    struct conf_nearest nearest = { .word = reference->name };
    char shown[CONF_SHOWN_BYTES], hint[CONF_SHOWN_BYTES];

    if (conf_report_full(reader->report)) {
        conf_error_unseen(reader->report);
        return;
    }
    for (size_t i = 0; i < reader->conf->upstreams_n; i++)
        conf_nearest_try(&nearest, reader->conf->upstreams[i].name);
    ERROR_AT(reader, &reference->place, "no upstream is named `%s`%s", conf_show(reference->name, shown),
             conf_nearest_hint(&nearest, hint));
}

static bool is_named(const struct conf_upstream *upstream, struct span name)
{
    const char *own = upstream->name;

    return own != NULL && strlen(own) == name.n && memcmp(own, name.p, name.n) == 0;
}

static void resolve_reference(struct conf_reader *reader, const struct conf_reference *reference)
{
    const struct conf *c = reader->conf;
    size_t i = 0;

    while (i < c->upstreams_n && !is_named(&c->upstreams[i], reference->name))
        i++;
    if (i < c->upstreams_n)
        *reference->index_out = i;
    else if (c->upstreams_n > 0 && !reader->names_unsure)
        report_reference(reader, reference);
}

static bool is_passed_to(const struct conf *c, size_t upstream)
{
    for (size_t i = 0; i < c->listeners_n; i++)
        for (size_t j = 0; j < c->listeners[i].passthrough_n; j++)
            if (c->listeners[i].passthrough[j].upstream == upstream)
                return true;
    return false;
}

/* One place is one server: it has one state, one health, one share. */
static void check_servers(struct conf_reader *reader, const struct conf_upstream *upstream)
{
    char shown[CONF_SHOWN_BYTES];

    for (size_t i = 1; i < upstream->servers_n; i++)
        for (size_t j = 0; j < i; j++)
            if (same_text(upstream->servers[i].address.text, upstream->servers[j].address.text) && !conf_report_full(reader->report)) {
                ERROR_AT(reader, place_of(reader, &upstream->servers[i].address),
                         "two servers at %s; one that is to get more than its share has a `weight`",
                         conf_show(span_of_text(upstream->servers[i].address.text), shown));
                return;
            }
}

static void check_ids(struct conf_reader *reader, const struct conf_upstream *upstream)
{
    char shown[CONF_SHOWN_BYTES];

    for (size_t i = 1; i < upstream->servers_n; i++)
        for (size_t j = 0; j < i; j++)
            if (same_text(upstream->servers[i].id, upstream->servers[j].id) && !conf_report_full(reader->report)) {
                ERROR_AT(reader, place_of(reader, &upstream->servers[i].id), "two servers with the id `%s`",
                         conf_show(span_of_text(upstream->servers[i].id), shown));
                return;
            }
}

static void check_used(struct conf_reader *reader)
{
    const struct conf *c = reader->conf;

    for (size_t i = 0; i < c->upstreams_n; i++) {
        bool used = is_passed_to(c, i);
        for (size_t j = 0; j < c->routes_n && !used; j++)
            used = (c->routes[j].upstream_on && c->routes[j].upstream == i) || (c->routes[j].auth.forward_on && c->routes[j].auth.forward.upstream == i);
        if (!used)
            WARN_AT(reader, item_place(reader, &c->upstreams[i]), "no route goes to the upstream `%s`", c->upstreams[i].name);
    }
}

static bool speaks_http(const struct conf_listener *listener)
{
    return listener->passthrough_n == 0 || listener->tls_on;
}

/* What no listener takes in needs no route. */
static void check_routes_needed(struct conf_reader *reader)
{
    const struct conf_place root = { .offset = reader->root_offset };

    for (size_t i = 0; i < reader->conf->listeners_n && reader->conf->routes_n == 0; i++) {
        if (!speaks_http(&reader->conf->listeners[i]))
            continue;
        ERROR_AT(reader, &root, "the file needs `routes`");
        return;
    }
}

/* A FastCGI server would read a TLS hello as records. */
static void check_passed_to(struct conf_reader *reader, const struct conf_listener *listener)
{
    for (size_t i = 0; i < listener->passthrough_n; i++) {
        const struct conf_upstream *upstream = &reader->conf->upstreams[listener->passthrough[i].upstream];
        if (upstream->protocol == CONF_PROTOCOL_FASTCGI)
            ERROR_AT(reader, place_of(reader, &listener->passthrough[i].upstream),
                     "the servers of `%s` speak FastCGI: TLS can't be passed through to them", upstream->name);
    }
}

static void warn_of_match_listener(struct conf_reader *reader, const struct conf_match *match)
{
    for (size_t i = 0; i < reader->conf->listeners_n; i++)
        if (same_text(reader->conf->listeners[i].name, match->listener) && !speaks_http(&reader->conf->listeners[i]))
            WARN_AT(reader, place_of(reader, &match->listener), "this route is never reached: `%s` only passes TLS through",
                    match->listener);
}

static void check_match_listener(struct conf_reader *reader, const struct conf_match *match)
{
    const struct conf *c = reader->conf;
    struct conf_nearest nearest = { .word = span_of_text(match->listener) };
    char shown[CONF_SHOWN_BYTES], hint[CONF_SHOWN_BYTES];

    if (match->listener == NULL || c->listeners_n == 0)
        return;
    for (size_t i = 0; i < c->listeners_n; i++)
        if (c->listeners[i].name == NULL || strcmp(c->listeners[i].name, match->listener) == 0)
            return;                      /* found, or one is unknown and may be it */
    if (conf_report_full(reader->report)) {
        conf_error_unseen(reader->report);
        return;
    }
    for (size_t i = 0; i < c->listeners_n; i++)
        conf_nearest_try(&nearest, c->listeners[i].name);
    ERROR_AT(reader, place_of(reader, &match->listener), "no listener is named `%s`%s", conf_show(nearest.word, shown),
             conf_nearest_hint(&nearest, hint));
}

static bool host_covers(const char *wide, const char *narrow)
{
    if (wide == NULL || same_text(wide, narrow))
        return true;
    if (narrow == NULL || wide[0] != '*')
        return false;
    if (narrow[0] == '*')
        narrow++;                        /* *.a.example: any name that ends in .a.example and has more in front */
    return strlen(narrow) > strlen(wide + 1) && span_ends_with(span_of_text(narrow), span_of_text(wide + 1));
}

static bool path_covers(const struct conf_match *wide, const struct conf_match *narrow)
{
    size_t n = wide->path != NULL ? strlen(wide->path) : 0;

    if (wide->path == NULL || n == 1)
        return wide->path == NULL || !wide->path_exact || (narrow->path_exact && same_text(wide->path, narrow->path));
    if (narrow->path == NULL)
        return false;
    if (wide->path_exact)
        return narrow->path_exact && strcmp(wide->path, narrow->path) == 0;
    return strncmp(narrow->path, wide->path, n) == 0 &&
           (narrow->path[n] == '\0' || narrow->path[n] == '/' || wide->path[n - 1] == '/');
}

static bool methods_cover(const struct conf_match *wide, const struct conf_match *narrow)
{
    if (wide->methods_n == 0)
        return true;
    for (size_t i = 0; i < narrow->methods_n; i++) {
        size_t j = 0;
        while (j < wide->methods_n && !same_text(wide->methods[j], narrow->methods[i]))
            j++;
        if (j == wide->methods_n)
            return false;
    }
    return narrow->methods_n > 0;
}

static bool match_covers(const struct conf_match *wide, const struct conf_match *narrow)
{
    return (wide->listener == NULL || same_text(wide->listener, narrow->listener)) && host_covers(wide->host, narrow->host) &&
           path_covers(wide, narrow) && methods_cover(wide, narrow);
}

static void check_reached(struct conf_reader *reader, size_t i)
{
    const struct conf_route *routes = reader->conf->routes;
    const struct conf_place *earlier;

    for (size_t j = 0; j < i; j++) {
        if (!match_covers(&routes[j].match, &routes[i].match) || conf_report_full(reader->report))
            continue;
        earlier = item_place(reader, &routes[j]);
        WARN_AT(reader, item_place(reader, &routes[i]),
                "this route is never reached: the one in line %zu takes all that it would match",
                conf_source_line(source_of(reader, earlier), earlier->offset));
        return;
    }
}

/* Methods are compared as they are sent (RFC 9110 section 9.1), and none that is in use has small letters. */
static void check_methods(struct conf_reader *reader, const struct conf_match *match)
{
    for (size_t i = 0; i < match->methods_n; i++)
        if (match->methods[i] != NULL && strpbrk(match->methods[i], "abcdefghijklmnopqrstuvwxyz") != NULL)
            WARN_AT(reader, place_of(reader, &match->methods[i]),
                    "`methods`: methods are matched in the case in which they are sent; `%s` has small letters",
                    match->methods[i]);
}

/* Where only idle_timeout was given, the default interval follows it. */
static void check_ping(struct conf_reader *reader, struct conf_websocket *websocket)
{
    const struct conf_place *place = place_of(reader, &websocket->ping_interval_ms);

    if (websocket->ping_interval_ms < websocket->idle_timeout_ms)
        return;
    if (place->offset == CONF_NOWHERE)
        websocket->ping_interval_ms = websocket->idle_timeout_ms >= 20 ? websocket->idle_timeout_ms / 2 : 0;
    else
        ERROR_AT(reader, place,
                 "`ping_interval` must be less than `idle_timeout`: silence would end the tunnel before a Ping is sent");
}

static void check_websocket(struct conf_reader *reader, struct conf_websocket *websocket)
{
    check_ping(reader, websocket);
    if (websocket->max_message != 0 && websocket->max_frame > websocket->max_message)
        WARN_AT(reader, place_of(reader, &websocket->max_frame), "`max_frame` has no effect: it is larger than `max_message`");
}

/* FastCGI has no upgrades: what was said of WebSockets there has no effect. */
static void check_upgrades(struct conf_reader *reader, const struct conf_route *route)
{
    size_t n;
    const struct conf_key *keys = conf_block_keys(CONF_IN_WEBSOCKET, &n);
    const struct conf_upstream *upstream = &reader->conf->upstreams[route->upstream];

    for (size_t i = 0; i < n && route->upstream_on && upstream->protocol == CONF_PROTOCOL_FASTCGI; i++) {
        const struct conf_place *place = conf_place_of(reader, conf_field_const(&keys[i], &route->websocket));
        if (place == NULL || keys[i].shape != CONF_ONE)
            continue;
        WARN_AT(reader, place, "`websocket` has no effect: the upstream `%s` speaks FastCGI, which has no upgrades", upstream->name);
        return;
    }
}

static void need_root(struct conf_reader *reader, const struct conf_fastcgi *fastcgi, char *const *field, const char *key)
{
    if (*field != NULL && fastcgi->root == NULL)
        ERROR_AT(reader, place_of(reader, field), "`%s` needs `root`, the folder that it is in", key);
}

static void check_script(struct conf_reader *reader, const struct conf_fastcgi *fastcgi)
{
    const struct conf_place *symlinks = place_of(reader, &fastcgi->symlinks);

    need_root(reader, fastcgi, &fastcgi->script, "script");
    need_root(reader, fastcgi, &fastcgi->split, "split");
    if (fastcgi->script != NULL && fastcgi->split != NULL)
        ERROR_AT(reader, place_of(reader, &fastcgi->split), "`script` and `split` can't both be given");
    if (fastcgi->index != NULL && fastcgi->split == NULL)
        ERROR_AT(reader, place_of(reader, &fastcgi->index), "`index` needs `split`: without it a path names no folder");
    if (symlinks->offset != CONF_NOWHERE && fastcgi->split == NULL)
        WARN_AT(reader, symlinks, "`symlinks` has no effect without `split`");
}

/* Every request would be answered 404, and nobody would know why. */
static void check_root_here(struct conf_reader *reader, const struct conf_fastcgi *fastcgi)
{
    struct stat s;

    if (fastcgi->root == NULL || fastcgi->split == NULL || fastcgi->symlinks == CONF_SYMLINKS_UNCHECKED)
        return;
    if (stat(fastcgi->root, &s) != 0 || !S_ISDIR(s.st_mode))
        WARN_AT(reader, place_of(reader, &fastcgi->root),
                "`root`: %s is no folder that can be seen here; where only the servers see it, add `symlinks: unchecked`", fastcgi->root);
}

static void check_hash(struct conf_reader *reader, const struct conf_upstream *upstream)
{
    const struct conf_place *place = place_of(reader, &upstream->hash);

    if (upstream->balance != CONF_BALANCE_HASH && upstream->hash.kind != CONF_HASH_CLIENT)
        WARN_AT(reader, place, "`hash` has no effect without `balance: hash`");
    if (upstream->balance != CONF_BALANCE_HASH && upstream->hash_bound != 0)
        WARN_AT(reader, place_of(reader, &upstream->hash_bound), "`hash_bound` has no effect without `balance: hash`");
}

static void check_upstreams(struct conf_reader *reader)
{
    const struct conf *c = reader->conf;

    for (size_t i = 0; i < c->upstreams_n; i++) {
        check_servers(reader, &c->upstreams[i]);
        check_ids(reader, &c->upstreams[i]);
        check_hash(reader, &c->upstreams[i]);
        check_script(reader, &c->upstreams[i].fastcgi);
        conf_check_health(reader, &c->upstreams[i]);
        check_root_here(reader, &c->upstreams[i].fastcgi);
    }
}

static void check_routes(struct conf_reader *reader)
{
    struct conf *c = reader->conf;

    for (size_t i = 0; i < c->routes_n; i++) {
        check_match_listener(reader, &c->routes[i].match);
        check_methods(reader, &c->routes[i].match);
        check_websocket(reader, &c->routes[i].websocket);
        conf_check_admission(reader, &c->routes[i].admission);
        conf_check_auth(reader, &c->routes[i]);
        conf_check_headers(reader, &c->routes[i].headers);
        conf_check_path(reader, &c->routes[i]);
    }
}

/* Fields without which no message can be read, or that are removed or written by rule anyway. */
static void check_strip(struct conf_reader *reader, char *const *name)
{
    static const char *const needed[] = {
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Upgrade",
        "TE",
        "Trailer",
        "Expect",
        "Via",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
        "Sec-WebSocket-Protocol",
        "Sec-WebSocket-Extensions",
        "Sec-WebSocket-Accept",
    };

    for (size_t i = 0; *name != NULL && i < sizeof(needed) / sizeof(needed[0]); i++)
        if (span_equal_nocase(span_of_text(*name), span_of_text(needed[i])))
            ERROR_AT(reader, place_of(reader, name), "`strip`: %s can't be stripped: HTTP itself needs it", needed[i]);
}

/* What is told under one name comes from one place; and what others know by a name keeps its meaning. */
static void check_request_id(struct conf_reader *reader)
{
    const struct conf_forwarded *f = &reader->conf->forwarded;
    struct span id = span_of_text(f->request_id);

    if (span_equal_nocase(id, SPAN_LITERAL("traceparent")) || span_equal_nocase(id, SPAN_LITERAL("tracestate")))
        ERROR_AT(reader, place_of(reader, &f->request_id), "`request_id`: %s has a meaning of its own", f->request_id);
    for (size_t i = 0; id.n > 0 && i < f->tls_fields_n; i++)
        if (f->tls_fields[i].name.n > 0 && rules_is_same_name(f->tls_fields[i].name, id))
            ERROR_AT(reader, item_place(reader, &f->tls_fields[i]), "`tls_fields`: %s already tells the request's id: see `request_id`",
                     f->request_id);
}

void conf_check(struct conf_reader *reader)
{
    const struct conf *c = reader->conf;

    check_listeners(reader);
    for (const struct conf_reference *reference = reader->references; reference != NULL; reference = reference->next)
        resolve_reference(reader, reference);
    check_upstreams(reader);
    conf_check_tls(reader);
    conf_check_sticky(reader);
    conf_check_admin(reader);
    check_routes(reader);
    check_request_id(reader);
    for (size_t i = 0; i < c->forwarded.strip_n; i++)
        check_strip(reader, &c->forwarded.strip[i]);
    if (reader->report->errors > 0)
        return;                          /* what a route with errors would match, or where it would go, is not known */
    check_routes_needed(reader);
    for (size_t i = 0; i < c->routes_n; i++)
        conf_check_action(reader, &c->routes[i]);
    for (size_t i = 0; i < c->listeners_n; i++)
        check_passed_to(reader, &c->listeners[i]);
    for (size_t i = 0; i < c->routes_n; i++)
        warn_of_match_listener(reader, &c->routes[i].match);
    if (reader->report->errors > 0)
        return;
    for (size_t i = 0; i < c->routes_n; i++)
        check_reached(reader, i);
    for (size_t i = 0; i < c->routes_n; i++)
        check_upgrades(reader, &c->routes[i]);
    check_used(reader);
}
