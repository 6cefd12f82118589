#include "protocol/cookie.h"
#include "protocol/token.h"

/* What stands in front of the next `;`, without the blanks around it. */
static struct span next_pair(struct span *rest)
{
    size_t end = span_find(*rest, ';');
    struct span pair = token_trim(span_first(*rest, end));

    *rest = span_from(*rest, end + 1);
    return pair;
}

static struct span value_in(struct span field, struct span name)
{
    while (field.n > 0) {
        struct span pair = next_pair(&field);
        size_t equals = span_find(pair, '=');
        if (equals < pair.n && span_equal(token_trim(span_first(pair, equals)), name)) {
            struct span value = token_trim(span_from(pair, equals + 1));
            return value.n > 0 ? value : span_of(pair.p + pair.n, 0);    /* empty is not none */
        }
    }
    return SPAN_EMPTY;
}

struct span cookie_value(const struct headers *fields, struct span name)
{
    struct span value = SPAN_EMPTY;

    for (size_t i = 0; i < fields->n && value.p == NULL; i++)
        if (span_equal_nocase(fields->fields[i].name, SPAN_LITERAL("cookie")))
            value = value_in(fields->fields[i].value, name);
    return value;
}
