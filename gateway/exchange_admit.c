/* Which requests are let through: by the client's address first, as the listener and then the route want it. Which WebSocket offers, and what
 * of them: origins, subprotocols, extensions. What is not to be offered onward is taken out of the head before a server hears of it, and
 * the answer is judged against what is left. */
#include "gateway/access.h"
#include "gateway/exchange_parts.h"
#include "gateway/log.h"
#include "protocol/ws_extensions.h"

#include <string.h>

static bool is_listed(char *const *list, size_t n, struct span text)
{
    for (size_t i = 0; i < n; i++)
        if (span_equal(span_of_text(list[i]), text))
            return true;
    return false;
}

/* RFC 6455 section 10.2: which pages may open a WebSocket here. Without Origin the client is no browser: refused where origins are listed. */
static bool origin_allowed(const struct exchange *x)
{
    const struct conf_websocket *ws = &x->route->websocket;
    const struct headers *fields = &x->head->fields;

    return ws->origins_n == 0 || (headers_count(fields, SPAN_LITERAL("origin")) == 1 &&
                                  is_listed(ws->origins, ws->origins_n, headers_value(fields, SPAN_LITERAL("origin"))));
}

static bool protocol_passes(const struct exchange *x, struct span member)
{
    return is_listed(x->route->websocket.protocols, x->route->websocket.protocols_n, member);
}

/* Only what the gateway can judge in an answer, and whose frames it can verify, is offered onward. */
static bool extension_passes(const struct exchange *x, struct span member)
{
    struct ws_extension e;

    (void)x;
    return ws_extension_read(member, &e) && ws_extension_is_deflate(&e);
}

/* The members of a list field that pass, as one list; *all_out: nobody was left out. p NULL: no memory. */
static struct span passing_members(struct exchange *x, struct span name, bool (*passes)(const struct exchange *x, struct span member),
                                   bool *all_out)
{
    struct list_walk walk = list_walk_field(&x->head->fields, name);
    struct span member, list = { arena_alloc(&x->arena, 1), 0 };

    *all_out = true;
    while (list.p != NULL && list_walk_next(&walk, &member)) {
        size_t comma = list.n > 0 ? 2 : 0;
        uint8_t *text;
        if (!passes(x, member)) {
            *all_out = false;
            continue;
        }
        text = arena_extend(&x->arena, (void *)(uintptr_t)list.p, list.n, list.n + comma + member.n);
        if (text == NULL)
            return SPAN_EMPTY;
        memcpy(text + list.n, ", ", comma);
        memcpy(text + list.n + comma, member.p, member.n);
        list = span_of(text, list.n + comma + member.n);
    }
    return list;
}

/* The exchange gets a head of its own, which differs in this one field. */
static bool replace_field(struct exchange *x, struct span name, struct span value)
{
    struct http1_head narrowed = *x->head;

    headers_init(&narrowed.fields, &x->arena, 0);
    for (size_t i = 0; i < x->head->fields.n; i++) {
        const struct field *f = &x->head->fields.fields[i];
        if (!span_equal_nocase(f->name, name) && headers_add(&narrowed.fields, f->name, f->value) != FAULT_NONE)
            return false;
    }
    if (value.n > 0 && headers_add(&narrowed.fields, name, value) != FAULT_NONE)
        return false;
    x->narrowed = narrowed;
    x->head = &x->narrowed;
    x->offer.fields = &x->narrowed.fields;
    return true;
}

static enum end_reason narrow(struct exchange *x, struct span name, bool (*passes)(const struct exchange *x, struct span member),
                              enum end_reason when_none)
{
    struct span left;
    bool all;

    if (headers_find(&x->head->fields, name) == NULL)
        return END_NONE;
    left = passing_members(x, name, passes, &all);
    if (left.p == NULL)
        return END_NO_MEMORY;
    if (all)
        return END_NONE;
    if (left.n == 0 && when_none != END_NONE)
        return when_none;
    return replace_field(x, name, left) ? END_NONE : END_NO_MEMORY;
}

bool exchange_may_switch(const struct exchange *x)
{
    struct upstream *upstream = &x->snapshot->upstreams[x->route->upstream];
    size_t route = (size_t)(x->route - x->snapshot->conf->routes);
    uint64_t bit = (uint64_t)1 << route % 64;

    if (upstream->conf->protocol != CONF_PROTOCOL_FASTCGI)
        return true;
    if ((upstream->told_no_switch & bit) == 0)
        log_info("route %zu: an upgrade to WebSocket was asked for and is served as plain HTTP: upstream %s speaks FastCGI, which has none",
                 route + 1, upstream->conf->name);
    upstream->told_no_switch |= bit;
    return false;
}

static enum end_reason admit_websocket(struct exchange *x)
{
    const struct conf_websocket *ws = &x->route->websocket;
    enum end_reason why = END_NONE;

    if (x->services->draining)
        return END_DRAINED;
    if (!origin_allowed(x))
        return END_ORIGIN;
    x->offer.extensions_stripped = ws->compression == CONF_COMPRESSION_STRIP;
    if (ws->protocols_n > 0)
        why = narrow(x, SPAN_LITERAL("Sec-WebSocket-Protocol"), protocol_passes, END_PROTOCOL);
    if (why == END_NONE)
        why = narrow(x, SPAN_LITERAL("Sec-WebSocket-Extensions"), extension_passes, END_NONE);
    return why;
}

static bool takes(struct exchange *x, enum quota_kind kind, const struct conf_rate *rate)
{
    uint64_t wait_ms = quota_take(x->services->quota, kind, exchange_real_client(x), rate, timers_now_ms(x->services->timers));

    x->retry_after_s = (unsigned)((wait_ms + 999) / 1000);
    return wait_ms == 0;
}

/* The listener's rules are asked again for each request: the client behind a trusted hop is only known now, and rules change with the
 * configuration while connections stay. */
enum end_reason exchange_admit(struct exchange *x)
{
    const struct net_address *client = exchange_real_client(x);
    const struct conf_limits *limits = &x->snapshot->conf->limits;

    if (!access_admits(&x->client.inbound->listener->admission, client))
        return END_DENIED;
    if (!takes(x, QUOTA_REQUESTS, &limits->requests_per_client))
        return END_CLIENT_REQUESTS;
    if (x->location.n > 0)
        return END_REDIRECTED;
    if (x->route == NULL)
        return END_NO_ROUTE;
    if (!access_admits(&x->route->admission, client))
        return END_DENIED;
    if (!exchange_certificate_admitted(x))
        return END_CLIENT_CERTIFICATE;
    if (!exchange_tell_tls(x) || !exchange_tell_name(x) || !exchange_stick(x))
        return END_NO_MEMORY;
    if (x->websocket && !takes(x, QUOTA_HANDSHAKES, &limits->handshakes_per_client))
        return END_CLIENT_HANDSHAKES;
    return x->websocket ? admit_websocket(x) : END_NONE;
}
