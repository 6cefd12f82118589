#include "protocol/headers.h"
#include "protocol/token.h"

#include <string.h>

#define FIRST_FIELDS 16

void headers_init(struct headers *h, struct arena *arena, size_t limit)
{
    *h = (struct headers){ .arena = arena, .limit = limit };
}

enum fault headers_reserve(struct headers *h, size_t n)
{
    struct field *grown;

    if (h->limit > 0 && n > h->limit)
        n = h->limit;
    if (n <= h->capacity)
        return FAULT_NONE;
    grown = arena_extend(h->arena, h->fields, h->capacity * sizeof(*grown), n * sizeof(*grown));
    if (grown == NULL)
        return FAULT_NO_MEMORY;
    h->fields = grown;
    h->capacity = n;
    return FAULT_NONE;
}

/* Apart, so that the usual case is a few instructions. */
__attribute__((noinline)) enum fault headers_add_more(struct headers *h, struct span name, struct span value)
{
    enum fault fault;

    if (h->limit > 0 && h->n >= h->limit)
        return FAULT_TOO_MANY_FIELDS;
    fault = headers_reserve(h, h->capacity == 0 ? FIRST_FIELDS : h->capacity * 2);
    return fault == FAULT_NONE ? headers_add(h, name, value) : fault;
}

const struct field *headers_search(const struct headers *h, size_t from, struct span name)
{
    for (size_t i = from; i < h->n; i++)
        if (span_equal_nocase(h->fields[i].name, name))
            return &h->fields[i];
    return NULL;
}

struct span headers_value_and_count(const struct headers *h, struct span name, size_t *count_out)
{
    const struct field *first = headers_find(h, name);

    *count_out = 0;
    for (const struct field *f = first; f != NULL; f = headers_search(h, (size_t)(f - h->fields) + 1, name))
        ++*count_out;
    return first != NULL ? first->value : SPAN_EMPTY;
}

size_t headers_count(const struct headers *h, struct span name)
{
    size_t count;

    headers_value_and_count(h, name, &count);
    return count;
}

void headers_remove(struct headers *h, struct span name)
{
    size_t kept = 0;

    for (size_t i = 0; i < h->n; i++)
        if (!span_equal_nocase(h->fields[i].name, name))
            h->fields[kept++] = h->fields[i];
    h->n = kept;
}

struct list_walk list_walk_value(struct span value)
{
    return (struct list_walk){ .headers = NULL, .rest = value };
}

/* Offset of the comma that ends the first member, or s.n. A quoted string that never closes swallows the rest. */
static size_t member_end(struct span s)
{
    bool quoted = false;

    for (size_t i = token_plain(s); i < s.n; i++) {      /* mostly that is a word, or the first of some */
        if (s.p[i] == '"')
            quoted = !quoted;
        else if (s.p[i] == '\\' && quoted)
            i++;
        else if (s.p[i] == ',' && !quoted)
            return i;
    }
    return s.n;
}

static bool next_line(struct list_walk *walk)
{
    const struct field *f = walk->headers != NULL ? headers_search(walk->headers, walk->next_field, walk->name) : NULL;

    if (f == NULL)
        return false;
    walk->next_field = (size_t)(f - walk->headers->fields) + 1;
    walk->rest = f->value;
    return true;
}

/* RFC 9110 section 5.6.1.2: empty members are parsed and ignored. */
bool list_walk_more(struct list_walk *walk, struct span *member_out)
{
    do {
        while (walk->rest.n > 0) {
            size_t end = member_end(walk->rest);
            struct span member = token_trim(span_first(walk->rest, end));

            walk->rest = span_from(walk->rest, end + 1);
            if (member.n > 0) {
                *member_out = member;
                return true;
            }
        }
    } while (next_line(walk));
    return false;
}

bool headers_list_search(const struct headers *h, struct span name, struct span token)
{
    struct list_walk walk = list_walk_field(h, name);
    struct span member;

    while (list_walk_next(&walk, &member))
        if (span_equal_nocase(member, token))
            return true;
    return false;
}
