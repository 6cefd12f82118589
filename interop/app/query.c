#include "interop/app/query.h"

struct span query_value(struct span query, const char *name)
{
    struct span wanted = span_of_text(name);

    while (query.n > 0) {
        struct span pair = span_first(query, span_find(query, '&'));
        if (pair.n > wanted.n && pair.p[wanted.n] == '=' && span_starts_with(pair, wanted))
            return span_from(pair, wanted.n + 1);
        query = span_from(query, pair.n + 1);
    }
    return SPAN_EMPTY;
}

uint64_t query_number(struct span query, const char *name, uint64_t otherwise, uint64_t most)
{
    uint64_t value = otherwise;

    span_to_u64(query_value(query, name), &value);
    return value < most ? value : most;
}
