/* By what name the request is known: to servers, in the logs, and to those who trace it (W3C Trace Context). What a trusted hop calls it
 * stands; of everybody else the field is removed, in any spelling, and the request gets a name of its own. A traceparent may come from
 * anybody, as the standard has it; one that can't be read goes, and its tracestate with it. */
#include "gateway/exchange_parts.h"
#include "protocol/rules_fields.h"

static const char *const trace_fields[] = { "traceparent", "tracestate" };

static struct span given_id(const struct exchange *x, struct span name)
{
    struct span id = SPAN_EMPTY;

    if (x->head == NULL || !x->client.inbound->trusted)
        return id;
    id = headers_value(&x->head->fields, name);
    return trace_request_id_good(id) && headers_count(&x->head->fields, name) == 1 ? id : SPAN_EMPTY;
}

static void name_it(struct exchange *x, const char *field)
{
    if (field == NULL)
        return;
    x->trace.id = given_id(x, span_of_text(field));
    if (x->trace.id.n > 0)
        return;
    trace_ids_next(&x->services->trace_ids, x->trace.made);
    x->trace.id = span_of(x->trace.made, TRACE_ID_BYTES);
}

void exchange_name(struct exchange *x)
{
    const struct span name = SPAN_LITERAL("traceparent");
    const struct field *parent = x->head != NULL ? headers_find(&x->head->fields, name) : NULL;

    name_it(x, x->snapshot->conf->forwarded.request_id);
    if (parent == NULL)
        return;
    if (headers_count(&x->head->fields, name) == 1)
        x->trace.trace_id = trace_parent_read(parent->value);
    x->trace.bad = x->trace.trace_id.n == 0;
}

/* The trace has the request's own id, where that is one of ours. */
static bool begin_trace(struct exchange *x)
{
    char *parent = arena_alloc(&x->arena, TRACE_PARENT_BYTES), other[TRACE_ID_BYTES];
    const char *id = x->trace.made;

    if (parent == NULL)
        return false;
    if (x->trace.id.p != (const uint8_t *)x->trace.made) {
        trace_ids_next(&x->services->trace_ids, other);
        id = other;
    }
    trace_parent_begin(&x->services->trace_ids, id, parent);
    x->trace.trace_id = span_of(parent + 3, TRACE_ID_BYTES);
    x->trace.set[x->trace.changes.set_n++] = (struct field){ span_of_text(trace_fields[0]), span_of(parent, TRACE_PARENT_BYTES) };
    return true;
}

static void remove_field(struct exchange *x, const char *name)
{
    x->trace.remove[x->trace.changes.remove_n++] = (char *)(uintptr_t)name;
}

/* What the operator sets or removes under these names stays as he wrote it. */
static bool is_ours(const struct exchange *x, const char *name)
{
    return !rules_is_changed(&x->route->headers.request, span_of_text(name));
}

bool exchange_tell_name(struct exchange *x)
{
    const struct conf_forwarded *conf = &x->snapshot->conf->forwarded;
    bool begins = conf->traceparent == CONF_TRACEPARENT_START && x->trace.trace_id.n == 0 && is_ours(x, trace_fields[0]);

    x->trace.changes = (struct rules_changes){ .set = x->trace.set, .remove = x->trace.remove };
    if (x->trace.id.n > 0 && is_ours(x, conf->request_id))
        x->trace.set[x->trace.changes.set_n++] = (struct field){ span_of_text(conf->request_id), x->trace.id };
    if (begins && !begin_trace(x))
        return false;
    if (x->trace.bad && !begins)
        remove_field(x, trace_fields[0]);
    if (x->trace.bad || begins)
        remove_field(x, trace_fields[1]);
    return true;
}
