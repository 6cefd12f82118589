#include "protocol/fcgi_script.h"

#include <string.h>

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte at s.p[*i], an escape resolved; *i goes to its last byte. -1: a bad escape, or a byte that is refused. */
static int next_byte(struct span s, size_t *i, bool slash_may_be_encoded)
{
    int c = s.p[*i];

    if (c == '%') {
        int high = *i + 2 < s.n ? hex_value(s.p[*i + 1]) : -1;
        int low = *i + 2 < s.n ? hex_value(s.p[*i + 2]) : -1;

        if (high < 0 || low < 0)
            return -1;
        c = high * 16 + low;
        *i += 2;
        if (c == '/' && !slash_may_be_encoded)
            return -1;
    }
    return c < 0x20 || c == 0x7f || c == '\\' ? -1 : c;
}

/* The segment at *rest, which begins with a slash, is taken off, its slash included; what is returned has none. */
static struct span take_segment(struct span *rest)
{
    struct span segment = span_from(*rest, 1);
    size_t n = span_find(segment, '/');

    segment = span_first(segment, n);
    *rest = span_from(*rest, n + 1);
    return segment;
}

/* Looked at when everything is decoded, so that no spelling gets past. test_fcgi_script.c: dots_* */
static bool has_dot_segment(struct span path)
{
    while (path.n > 0) {
        struct span segment = take_segment(&path);
        if (span_equal(segment, SPAN_LITERAL(".")) || span_equal(segment, SPAN_LITERAL("..")))
            return true;
    }
    return false;
}

static enum fault decode(struct arena *a, struct span path, bool slash_may_be_encoded, struct span *out)
{
    uint8_t *p = arena_alloc(a, path.n);
    size_t n = 0;

    if (p == NULL)
        return FAULT_NO_MEMORY;
    if (path.n == 0 || path.p[0] != '/')
        return FAULT_FCGI_SCRIPT;
    for (size_t i = 0; i < path.n; i++) {
        int c = next_byte(path, &i, slash_may_be_encoded);
        if (c < 0)
            return FAULT_TARGET;
        p[n++] = (uint8_t)c;
    }
    *out = span_of(p, n);
    return has_dot_segment(*out) ? FAULT_TARGET : FAULT_NONE;
}

static struct span join(struct arena *a, struct span left, struct span right)
{
    uint8_t *p = arena_alloc(a, left.n + right.n);

    if (p == NULL)
        return SPAN_EMPTY;
    if (left.n > 0)
        memcpy(p, left.p, left.n);
    if (right.n > 0)
        memcpy(p + left.n, right.p, right.n);
    return span_of(p, left.n + right.n);
}

static struct span without_slashes(struct span s)
{
    while (s.n > 0 && s.p[0] == '/')
        s = span_from(s, 1);
    return s;
}

/* `script`: the path only says what is behind the script, if it goes through it. A path that is refused above may be meant for
 * the application all the same: it sees the target as it was sent, in REQUEST_URI. */
static enum fault find_fixed(struct arena *a, const struct fcgi_script_rules *rules, struct span path, struct fcgi_script *out)
{
    struct span decoded = SPAN_EMPTY;
    enum fault fault = decode(a, path, false, &decoded);

    if (fault == FAULT_NO_MEMORY)
        return fault;
    out->name = join(a, SPAN_LITERAL("/"), without_slashes(rules->script));
    if (out->name.p == NULL)
        return FAULT_NO_MEMORY;
    if (fault == FAULT_NONE && span_starts_with(decoded, out->name))
        out->path_info = span_from(decoded, out->name.n);
    if (out->path_info.n > 0 && out->path_info.p[0] != '/')
        out->path_info = SPAN_EMPTY;
    return FAULT_NONE;
}

static bool is_script(struct span segment, struct span split)
{
    return segment.n > split.n && span_ends_with(segment, split);
}

/* `split`: segments are written one after the other, and the first script among them ends the search. */
static enum fault find_split(struct arena *a, const struct fcgi_script_rules *rules, struct span path, struct fcgi_script *out)
{
    struct span rest, segment = SPAN_EMPTY;
    enum fault fault = decode(a, path, false, &rest);
    uint8_t *name = fault == FAULT_NONE ? arena_alloc(a, rest.n + rules->index.n + 1) : NULL;
    size_t n = 0;

    if (fault == FAULT_NONE && name == NULL)
        return FAULT_NO_MEMORY;
    while (fault == FAULT_NONE && rest.n > 0 && !is_script(segment, rules->split)) {
        segment = take_segment(&rest);
        if (segment.n == 0)
            continue;
        name[n++] = '/';
        memcpy(name + n, segment.p, segment.n);
        n += segment.n;
    }
    if (fault != FAULT_NONE)
        return fault;
    if (!is_script(segment, rules->split)) {
        if (segment.n > 0 || rules->index.n == 0)
            return FAULT_FCGI_SCRIPT;
        name[n++] = '/';                 /* the path ended in a slash */
        memcpy(name + n, rules->index.p, rules->index.n);
        n += rules->index.n;
    }
    out->name = span_of(name, n);
    out->path_info = rest;
    return FAULT_NONE;
}

/* Neither: an encoded slash is decoded, too, as the paths that routes are matched against have it (target.h). */
static enum fault find_whole(struct arena *a, struct span path, struct fcgi_script *out)
{
    return span_equal(path, SPAN_LITERAL("*")) ? FAULT_NONE : decode(a, path, true, &out->path_info);
}

/* RFC 3875 section 4.1.6: PATH_TRANSLATED is PATH_INFO as a path of its own below the root. */
static enum fault add_root(struct arena *a, struct span root, struct fcgi_script *out)
{
    bool translates = root.n > 0 && out->path_info.n > 0;

    while (root.n > 0 && root.p[root.n - 1] == '/')
        root.n--;
    if (out->name.n > 0)
        out->filename = join(a, root, out->name);
    if (translates)
        out->path_translated = join(a, root, out->path_info);
    if ((out->name.n > 0 && out->filename.p == NULL) || (translates && out->path_translated.p == NULL))
        return FAULT_NO_MEMORY;
    return FAULT_NONE;
}

enum fault fcgi_script_find(struct arena *a, const struct fcgi_script_rules *rules, struct span path, struct fcgi_script *out)
{
    enum fault fault;

    *out = (struct fcgi_script){ .name = SPAN_EMPTY };
    if (rules->script.n > 0)
        fault = find_fixed(a, rules, path, out);
    else if (rules->split.n > 0)
        fault = find_split(a, rules, path, out);
    else
        fault = find_whole(a, path, out);
    return fault == FAULT_NONE ? add_root(a, rules->root, out) : fault;
}
