/* The sticky cookie of an exchange: it leads the request to the server that it names, servers don't get to see it, and the answer has a new
 * one where the client has none that will do.
 *
 * What goes wrong, in the order in which it happens: the cookie is not of this fleet, forged or old (it counts, and the request goes the way of
 * one without); its server is gone, ejected or fails (it goes to another one, and the client gets a cookie for that). */
#include "gateway/exchange_parts.h"
#include "gateway/sticky.h"
#include "protocol/cookie.h"

/* One that will not do. */
static void note_bad(struct exchange *x, enum sealed_verdict verdict)
{
    struct metrics *m = x->services->metrics;
    const struct {
        _Atomic uint64_t *counter;
        const char *word;
    } rows[] = {
        [SEALED_MALFORMED] = { &m->sticky_malformed, "malformed" },
        [SEALED_FOREIGN] = { &m->sticky_foreign, "foreign" },
        [SEALED_FORGED] = { &m->sticky_forged, "forged" },
        [SEALED_EXPIRED] = { &m->sticky_expired, "expired" },
    };

    if (verdict == SEALED_NO_MEMORY)
        return;
    metrics_add(rows[verdict].counter, 1);
    x->sticky_word = rows[verdict].word;
}

/* The exchange gets a head of its own, without the cookie. */
static bool hide(struct exchange *x, struct span name)
{
    struct http1_head narrowed = *x->head;

    if (cookie_remove(&x->arena, &x->head->fields, name, &narrowed.fields) != FAULT_NONE)
        return false;
    x->narrowed = narrowed;
    x->head = &x->narrowed;
    x->offer.fields = &x->narrowed.fields;
    return true;
}

bool exchange_stick(struct exchange *x)
{
    struct span name, value;
    struct sticky_cookie cookie;
    enum sealed_verdict verdict;

    x->sticky = x->route->upstream_on ? sticky_of(x->snapshot->generation->sticky, x->route->upstream) : NULL;
    if (x->sticky == NULL)
        return true;
    name = span_of_text(sticky_conf(x->sticky)->cookie);
    value = cookie_value(&x->head->fields, name);
    if (value.p == NULL)
        return true;
    verdict = sticky_read(x->sticky, value, &cookie);
    if (verdict == SEALED_GOOD) {
        x->bound = true;
        x->bound_ages = cookie.ages;
        x->bound_to = cookie.server;
    } else {
        note_bad(x, verdict);
    }
    return verdict != SEALED_NO_MEMORY && hide(x, name);
}

/* RFC 6265 section 5.4: a browser sends a Secure cookie only where it sees https itself. */
static bool sees_https(const struct exchange *x)
{
    return inbound_https(x->client.inbound) || (x->client.inbound->trusted && span_equal_nocase(
               headers_value(&x->head->fields, SPAN_LITERAL("x-forwarded-proto")), SPAN_LITERAL("https")));
}

/* Who is bound to a server that drains stays as long as the cookie is good, and no longer. */
static bool needs_none(struct exchange *x)
{
    const struct server_state *server = x->server->state;
    bool led = x->bound && x->bound_to == server->id;

    if (x->bound)
        metrics_add(led ? &x->services->metrics->sticky_followed : &x->services->metrics->sticky_moved, 1);
    if (x->bound)
        x->sticky_word = led ? "kept" : "moved";
    else if (x->sticky_word == NULL)
        x->sticky_word = "new";
    return (led && !x->bound_ages) || atomic_load_explicit(&server->draining, memory_order_relaxed);
}

bool exchange_stick_on(struct exchange *x, struct rules_reply_facts *facts)
{
    struct span value;

    if (x->sticky == NULL || needs_none(x))
        return true;
    if (!sticky_write(x->sticky, x->server->state->id, sees_https(x), &x->arena, &value))
        return false;
    metrics_add(&x->services->metrics->sticky_issued, 1);
    x->set_cookie = (struct field){ SPAN_LITERAL("Set-Cookie"), value };
    x->stuck = (struct rules_changes){ .add = &x->set_cookie, .add_n = 1, .next = facts->changes };
    facts->changes = &x->stuck;
    return true;
}
