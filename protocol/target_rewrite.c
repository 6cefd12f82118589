#include "protocol/target_rewrite.h"

#include <string.h>

static const struct span any_method = { (const uint8_t *)"GET", 3 };

/* One segment, its slash in front, has to mean just the segment due: it normalises to it, and nothing of it was dropped on the way. */
static enum fault check_segment(struct arena *a, struct span segment, struct span due)
{
    struct target alone;
    enum fault fault;

    if (segment.n == 0 || span_find(segment, ';') < segment.n)
        return FAULT_TARGET;
    fault = target_parse(a, any_method, segment, &alone);
    if (fault != FAULT_NONE)
        return fault;
    return alone.route_path_kept.n == 0 && span_equal(alone.route_path, due) ? FAULT_NONE : FAULT_TARGET;
}

/* The first segment of a path with the slash in front. */
static struct span first_segment(struct span path)
{
    return span_first(path, 1 + span_find(span_from(path, 1), '/'));
}

/* How much of the path as received is the prefix. */
static enum fault measure(struct arena *a, struct span path, struct span prefix, size_t *bytes_out)
{
    enum fault fault = FAULT_NONE;

    *bytes_out = 0;
    while (prefix.n > 0 && fault == FAULT_NONE) {
        struct span due = first_segment(prefix), segment = first_segment(span_from(path, *bytes_out));
        fault = check_segment(a, segment, due);
        *bytes_out += segment.n;
        prefix = span_from(prefix, due.n);
    }
    return fault;
}

/* prepend and rest as one, with a slash where both are empty or only a query is left; p NULL: no memory. */
static struct span join(struct arena *a, struct span prepend, struct span rest)
{
    bool slash = prepend.n == 0 && (rest.n == 0 || rest.p[0] != '/');
    uint8_t *p = arena_alloc(a, prepend.n + slash + rest.n);

    if (p == NULL)
        return SPAN_EMPTY;
    if (prepend.n > 0)
        memcpy(p, prepend.p, prepend.n);
    if (slash)
        p[0] = '/';
    if (rest.n > 0)
        memcpy(p + prepend.n + slash, rest.p, rest.n);
    return span_of(p, prepend.n + slash + rest.n);
}

/* Whether `now` is `before` less so many bytes in front, which may leave nothing, or a slash. */
static bool is_rest(struct span now, struct span before, size_t less)
{
    struct span due = span_from(before, less);

    return span_equal(now, due.n > 0 ? due : SPAN_LITERAL("/"));
}

static enum fault strip(struct arena *a, struct span prefix, struct target *t)
{
    struct span rest, whole;
    struct target now;
    size_t n;
    enum fault fault = measure(a, t->path, prefix, &n);

    if (fault != FAULT_NONE)
        return fault;
    rest = span_from(t->path_and_query, n);
    whole = join(a, SPAN_EMPTY, rest);
    if (whole.p == NULL)
        return FAULT_NO_MEMORY;
    fault = span_starts_with(rest, SPAN_LITERAL("//")) ? FAULT_TARGET : target_parse(a, any_method, whole, &now);
    if (fault != FAULT_NONE)
        return fault;
    if (!is_rest(now.route_path, t->route_path, prefix.n) ||
        (t->route_path_kept.n > 0 && !is_rest(now.route_path_kept, t->route_path_kept, prefix.n)))
        return FAULT_TARGET;
    t->path_and_query = rest;
    return FAULT_NONE;
}

enum fault target_rewrite(struct arena *a, const struct target_rewrite *how, struct target *t)
{
    struct target now, before = *t;
    enum fault fault = FAULT_NONE;

    if (span_equal(t->path_and_query, SPAN_LITERAL("*")))
        return FAULT_NONE;
    if (how->strip.n > 0)
        fault = strip(a, how->strip, t);
    if (fault != FAULT_NONE)
        return fault;
    t->path_and_query = join(a, how->prepend, t->path_and_query);
    if (t->path_and_query.p == NULL)
        return FAULT_NO_MEMORY;
    fault = target_parse(a, any_method, t->path_and_query, &now);
    if (fault != FAULT_NONE)
        return fault;
    now.form = before.form;
    now.scheme = before.scheme;
    now.authority = before.authority;
    *t = now;
    return FAULT_NONE;
}
