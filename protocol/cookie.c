#include "protocol/cookie.h"
#include "protocol/token.h"

#include <string.h>

static bool is_cookie_field(const struct field *f)
{
    return span_equal_nocase(f->name, SPAN_LITERAL("cookie"));
}

/* What stands in front of the next `;`, without the blanks around it. */
static struct span next_pair(struct span *rest)
{
    size_t end = span_find(*rest, ';');
    struct span pair = token_trim(span_first(*rest, end));

    *rest = span_from(*rest, end + 1);
    return pair;
}

static bool is_named(struct span pair, struct span name)
{
    size_t equals = span_find(pair, '=');

    return equals < pair.n && span_equal(token_trim(span_first(pair, equals)), name);
}

static struct span value_in(struct span field, struct span name)
{
    while (field.n > 0) {
        struct span pair = next_pair(&field);
        if (is_named(pair, name)) {
            struct span value = token_trim(span_from(pair, span_find(pair, '=') + 1));
            return value.n > 0 ? value : span_of(pair.p + pair.n, 0);    /* empty is not none */
        }
    }
    return SPAN_EMPTY;
}

struct span cookie_value(const struct headers *fields, struct span name)
{
    struct span value = SPAN_EMPTY;

    for (size_t i = 0; i < fields->n && value.p == NULL; i++)
        if (is_cookie_field(&fields->fields[i]))
            value = value_in(fields->fields[i].value, name);
    return value;
}

static bool has(struct span field, struct span name)
{
    return value_in(field, name).p != NULL;
}

/* The others, each as it was written, with `; ` between them. */
static struct span without(struct span field, struct span name, uint8_t *room)
{
    size_t n = 0;

    while (field.n > 0) {
        struct span pair = next_pair(&field);
        if (pair.n == 0 || is_named(pair, name))
            continue;
        if (n > 0) {
            memcpy(room + n, "; ", 2);
            n += 2;
        }
        memcpy(room + n, pair.p, pair.n);
        n += pair.n;
    }
    return span_of(room, n);
}

enum fault cookie_remove(struct arena *a, const struct headers *fields, struct span name, struct headers *out)
{
    enum fault fault;

    headers_init(out, a, fields->limit);
    fault = headers_reserve(out, fields->n);
    for (size_t i = 0; i < fields->n && fault == FAULT_NONE; i++) {
        struct field f = fields->fields[i];
        if (is_cookie_field(&f) && has(f.value, name)) {
            uint8_t *room = arena_alloc(a, 2 * f.value.n);       /* `a;b` grows to `a; b` */
            if (room == NULL)
                return FAULT_NO_MEMORY;
            f.value = without(f.value, name, room);
            if (f.value.n == 0)
                continue;
        }
        fault = headers_add(out, f.name, f.value);
    }
    return fault;
}
