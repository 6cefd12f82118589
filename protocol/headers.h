/* headers: an ordered, limited list of fields (RFC 9110 section 5).
 *
 * Names and values are borrowed spans (usually of the message's arena); order and spelling are kept as received. Names
 * are compared without case. The list itself lies in the arena it was given. Most questions are after fields that are not there: a word of
 * marks, one for each length and first letter that was added, answers those without a look at the names. */
#ifndef UPGATE_PROTOCOL_HEADERS_H
#define UPGATE_PROTOCOL_HEADERS_H

#include "protocol/arena.h"
#include "protocol/fault.h"
#include "protocol/span.h"

struct field {
    struct span name;
    struct span value;                   /* without surrounding whitespace */
};

struct headers {
    struct field *fields;
    size_t n;
    size_t capacity;
    size_t limit;                        /* more than this many: FAULT_TOO_MANY_FIELDS; 0 = the arena's cap alone */
    uint64_t marks;                      /* of the names that headers_add was given */
    struct arena *arena;
};

void headers_init(struct headers *h, struct arena *arena, size_t limit);
/* Room for n fields in all (never for more than the limit), so that as many headers_add need no more memory. FAULT_NONE or FAULT_NO_MEMORY. */
enum fault headers_reserve(struct headers *h, size_t n);
/* One bit of 64, the same for every spelling of a name: a letter's case is not in its lower five bits. */
static inline uint64_t headers_mark(struct span name)
{
    unsigned letter = name.n > 0 ? name.p[0] & 0x1fU : 0;

    return (uint64_t)1 << ((name.n * 5 + letter) & 63);
}
enum fault headers_add_more(struct headers *h, struct span name, struct span value);     /* … when there is no room */
/* Appends; the spans are borrowed, not copied. FAULT_NONE, FAULT_TOO_MANY_FIELDS or FAULT_NO_MEMORY. */
static inline enum fault headers_add(struct headers *h, struct span name, struct span value)
{
    if (h->n == h->capacity)
        return headers_add_more(h, name, value);
    h->fields[h->n++] = (struct field){ name, value };
    h->marks |= headers_mark(name);
    return FAULT_NONE;
}
static inline bool headers_may_have(const struct headers *h, struct span name)
{
    return (h->marks & headers_mark(name)) != 0;
}
/* The first of that name from the field with this index on, or NULL. */
const struct field *headers_search(const struct headers *h, size_t from, struct span name);
static inline const struct field *headers_find(const struct headers *h, struct span name)        /* the first, or NULL */
{
    return headers_may_have(h, name) ? headers_search(h, 0, name) : NULL;
}
/* The first one's value, empty (p NULL) when there is none. */
static inline struct span headers_value(const struct headers *h, struct span name)
{
    const struct field *f = headers_find(h, name);

    return f != NULL ? f->value : SPAN_EMPTY;
}
size_t headers_count(const struct headers *h, struct span name);
/* Both in one go. */
struct span headers_value_and_count(const struct headers *h, struct span name, size_t *count_out);
void headers_remove(struct headers *h, struct span name);                        /* every one */

/* Walks the members of a #list field (RFC 9110 section 5.6.1) over all its lines, in order; empty members are skipped;
 * commas inside quoted strings do not separate. Whitespace around members is trimmed.
 *     struct list_walk walk = list_walk_field(h, SPAN_LITERAL("connection"));
 *     struct span member;
 *     while (list_walk_next(&walk, &member)) …                                                                      */
struct list_walk {
    const struct headers *headers;       /* NULL: no further line can have members */
    struct span name;
    size_t next_field;
    struct span rest;                    /* of the current line */
};
static inline struct list_walk list_walk_field(const struct headers *h, struct span name)
{
    return (struct list_walk){ .headers = headers_may_have(h, name) ? h : NULL, .name = name, .rest = SPAN_EMPTY };
}
struct list_walk list_walk_value(struct span value);                             /* one value only */
bool list_walk_more(struct list_walk *walk, struct span *member_out);
static inline bool list_walk_next(struct list_walk *walk, struct span *member_out)
{
    return (walk->rest.n > 0 || walk->headers != NULL) && list_walk_more(walk, member_out);
}
/* True when one member equals the token, without case. */
bool headers_list_search(const struct headers *h, struct span name, struct span token);
static inline bool headers_list_has(const struct headers *h, struct span name, struct span token)
{
    return headers_may_have(h, name) && headers_list_search(h, name, token);
}

#endif
