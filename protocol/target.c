/* What is decided here, and why.
 *
 * On the wire the target stays as the client wrote it. Path rules are matched against `route_path`, which is what the *most
 * eager* backend would make of the path, so that no rule can be walked around behind the gateway's back:
 *
 *   in the path                 route_path                       because
 *   %41, %c3%a9, %20            decoded; case is kept            RFC 3986 section 6.2.2.2, and every backend decodes once
 *   %25                         kept as %25                      decoding is done once, here as there
 *   %2f                         a slash; besides,                some backends decode it, some do not: a router has to find the
 *                               route_path_kept has it as %2F    same route for both spellings, or refuse
 *   .  ..  %2e  .%2e            resolved                         RFC 3986 section 5.2.4
 *   //                          one slash                        most backends merge them
 *   ;params (of any segment)    removed with the semicolon       servlet containers do so before they match
 *
 * Refused (FAULT_TARGET), since two recipients read it in two ways and no honest client sends it:
 *   bad escapes; %00 to %1f, %7f; a backslash, plain or %5c; `"`, `<`, `>` anywhere; `..` above the root; `..` behind an empty
 *   segment (merge first or climb first?); dot segments with parameters (`..;x`); an encoded slash beside nothing, `.` or `..`
 *   (`/a%2f..%2fb`, `/%2fa`, `/a%2f`) or in parameters; overlong UTF-8 (%c0%af).
 * Allowed though RFC 3986 does not: `^ ` { | } [ ]` anywhere, and a backslash or a lone % in the query, where browsers send
 * them and nothing is matched. tests/protocol/test_target.c */
#include "protocol/target.h"

#include <string.h>

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that %XX at s.p[i] stands for, or -1. */
static int escape_value(struct span s, size_t i)
{
    int high, low;

    if (i + 2 >= s.n)
        return -1;
    high = hex_value(s.p[i + 1]);
    low = hex_value(s.p[i + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* A segment as matched: escapes resolved, parameters cut off. Both spellings are written side by side. */
struct paths {
    uint8_t *plain;                      /* %2f as a slash */
    uint8_t *kept;                       /* %2f as %2F */
    size_t plain_n, kept_n;
    bool differ;
    bool had_empty;                      /* an empty segment was merged away */
};

struct segment {
    size_t piece_at;                     /* where what follows its last encoded slash begins in paths.plain */
    bool has_params;
    bool has_slash;
};

static void put(struct paths *out, uint8_t c)
{
    out->plain[out->plain_n++] = c;
    out->kept[out->kept_n++] = c;
}

static bool is_dots(const uint8_t *p, size_t n)
{
    return (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.');
}

/* Between encoded slashes, or one and the segment's border, there has to be a name. test_target.c: encoded_slash_* */
static bool end_piece(const struct paths *out, const struct segment *s)
{
    size_t n = out->plain_n - s->piece_at;

    return n > 0 && !is_dots(out->plain + s->piece_at, n);
}

static bool put_encoded_slash(struct paths *out, struct segment *s)
{
    if (!end_piece(out, s))
        return false;
    out->plain[out->plain_n++] = '/';
    memcpy(out->kept + out->kept_n, "%2F", 3);
    out->kept_n += 3;
    out->differ = true;
    s->has_slash = true;
    s->piece_at = out->plain_n;
    return true;
}

/* RFC 3629 section 3: C0 and C1 never occur, nor do E0 80…9F and F0 80…8F: they would spell a shorter character at length.
 * Only what looks like such a sequence is refused; other bytes may be of another character set. */
static bool ends_overlong(const uint8_t *p, size_t n)
{
    if (n < 2 || (p[n - 1] & 0xc0) != 0x80)
        return false;
    return p[n - 2] == 0xc0 || p[n - 2] == 0xc1 || (p[n - 2] == 0xe0 && p[n - 1] < 0xa0) || (p[n - 2] == 0xf0 && p[n - 1] < 0x90);
}

static bool put_escape(struct paths *out, struct segment *s, int value)
{
    if (value < 0x20 || value == 0x7f || value == '\\')
        return false;
    if (value == '/')
        return put_encoded_slash(out, s);
    if (value != '%') {
        put(out, (uint8_t)value);
        return !ends_overlong(out->plain, out->plain_n);
    }
    put(out, '%');
    put(out, '2');
    put(out, '5');
    return true;
}

/* One segment's bytes, up to a slash. Parameters are checked as the rest is, and not written. */
static bool put_segment(struct paths *out, struct segment *s, struct span text)
{
    size_t plain = 0;

    while (plain < text.n && text.p[plain] != '%' && text.p[plain] != ';')       /* nearly always that is all */
        put(out, text.p[plain++]);
    for (size_t i = plain; i < text.n; i++) {
        const struct paths before = *out;
        int value = text.p[i] == '%' ? escape_value(text, i) : text.p[i];

        s->has_params = s->has_params || text.p[i] == ';';
        if (s->has_params && text.p[i] == '%' && value == '/')
            return false;
        if (text.p[i] != '%')
            put(out, text.p[i]);
        else if (!put_escape(out, s, value))
            return false;
        else
            i += 2;
        if (s->has_params)
            *out = before;
    }
    return !s->has_slash || end_piece(out, s);
}

/* Takes the last segment off: "/a/b/" to "/a/". False at the root. */
static bool climb(struct paths *out)
{
    if (out->plain_n <= 1 || out->kept_n <= 1)
        return false;
    do
        out->plain_n--;
    while (out->plain[out->plain_n - 1] != '/');
    do
        out->kept_n--;
    while (out->kept[out->kept_n - 1] != '/');
    return true;
}

/* A whole segment is in. Dot segments and empty ones go again. test_target.c: dots_*, slashes_*, params_* */
static bool end_segment(struct paths *out, const struct paths *before, const struct segment *s, bool last)
{
    const uint8_t *p = out->plain + before->plain_n;
    size_t n = out->plain_n - before->plain_n;

    if (n == 0) {
        out->had_empty = out->had_empty || !last;
    } else if (is_dots(p, n)) {
        bool up = n == 2;
        *out = *before;
        return !s->has_params && (!up || (!out->had_empty && climb(out)));
    } else if (!last) {
        put(out, '/');
    }
    return true;
}

static bool put_path(struct paths *out, struct span path)
{
    put(out, '/');
    path = span_from(path, 1);
    for (bool last = false; !last;) {
        size_t slash = span_find(path, '/');
        const struct paths before = *out;
        struct segment s = { .piece_at = out->plain_n };

        last = slash == path.n;
        if (!put_segment(out, &s, span_first(path, slash)) || !end_segment(out, &before, &s, last))
            return false;
        path = span_from(path, slash + 1);
    }
    return true;
}

static enum fault normalise(struct arena *a, struct target *out)
{
    struct paths paths = { .plain = arena_alloc(a, out->path.n), .kept = arena_alloc(a, out->path.n) };

    if (paths.plain == NULL || paths.kept == NULL)
        return FAULT_NO_MEMORY;
    if (!put_path(&paths, out->path))
        return FAULT_TARGET;
    out->route_path = span_of(paths.plain, paths.plain_n);
    out->route_path_kept = paths.differ ? span_of(paths.kept, paths.kept_n) : SPAN_EMPTY;
    return FAULT_NONE;
}

/* RFC 3986 section 2: VCHAR without what browsers encode everywhere; the path besides without a backslash, which some take for a
 * slash. test_target.c: bytes_* */
static bool has_lawful_bytes(const struct target *t)
{
    for (size_t i = 0; i < t->path_and_query.n; i++) {
        uint8_t c = t->path_and_query.p[i];
        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '#' || c == '<' || c == '>')
            return false;
    }
    return span_find(t->path, '\\') == t->path.n;
}

/* path_and_query is set: its parts, and the text for matching. */
static enum fault split_path(struct arena *a, struct target *out)
{
    size_t mark = span_find(out->path_and_query, '?');

    out->path = span_first(out->path_and_query, mark);
    out->has_query = mark < out->path_and_query.n;
    out->query = span_from(out->path_and_query, mark + 1);
    return has_lawful_bytes(out) ? normalise(a, out) : FAULT_TARGET;
}

static enum fault set_asterisk(struct target *out)
{
    out->path_and_query = out->path = out->route_path = SPAN_LITERAL("*");
    return FAULT_NONE;
}

/* RFC 9112 section 3.2.1: an empty path is sent as "/", here in front of a query. */
static enum fault add_slash(struct arena *a, struct span rest, struct target *out)
{
    uint8_t *p = arena_alloc(a, rest.n + 1);

    if (p == NULL)
        return FAULT_NO_MEMORY;
    p[0] = '/';
    if (rest.n > 0)
        memcpy(p + 1, rest.p, rest.n);
    out->path_and_query = span_of(p, rest.n + 1);
    return split_path(a, out);
}

static size_t authority_end(struct span rest)
{
    size_t i = 0;

    while (i < rest.n && rest.p[i] != '/' && rest.p[i] != '?')
        i++;
    return i;
}

/* RFC 9110 section 4.2: http and https URIs have a host that is not empty (4.2.1), and userinfo in one is an attempt to deceive
 * (4.2.4). RFC 9112 section 3.2.4: OPTIONS for a whole server comes here with neither path nor query, and goes on as "*". */
static enum fault parse_absolute(struct arena *a, bool options, struct span rest, struct target *out)
{
    size_t end = authority_end(rest);
    struct host_port checked;
    enum fault fault;

    out->form = TARGET_ABSOLUTE;
    out->authority = span_first(rest, end);
    fault = host_parse(a, out->authority, &checked);
    if (fault != FAULT_NONE)
        return fault;
    rest = span_from(rest, end);
    if (rest.n == 0 && options)
        return set_asterisk(out);
    if (rest.n == 0 || rest.p[0] == '?')
        return add_slash(a, rest, out);
    out->path_and_query = rest;
    return split_path(a, out);
}

/* RFC 3986 section 3.1: scheme = ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ) */
static bool is_scheme(struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = ascii_lower(s.p[i]);
        bool alpha = c >= 'a' && c <= 'z', digit = c >= '0' && c <= '9';
        if (!alpha && (i == 0 || (!digit && c != '+' && c != '-' && c != '.')))
            return false;
    }
    return s.n > 0;
}

/* Neither origin-form nor "*": "http://…" is served; another scheme is named as the fault; all else is no target. */
static enum fault parse_other(struct arena *a, bool options, struct span text, struct target *out)
{
    size_t colon = span_find(text, ':');
    struct span scheme = span_first(text, colon);

    if (!is_scheme(scheme) || !span_starts_with(span_from(text, colon), SPAN_LITERAL("://")))
        return FAULT_TARGET;             /* RFC 9112 section 3.2.3: authority-form is for CONNECT alone */
    if (span_equal_nocase(scheme, SPAN_LITERAL("http")))
        out->scheme = SPAN_LITERAL("http");
    else if (span_equal_nocase(scheme, SPAN_LITERAL("https")))
        out->scheme = SPAN_LITERAL("https");
    else
        return FAULT_SCHEME;
    return parse_absolute(a, options, span_from(text, colon + 3), out);
}

/* RFC 9112 section 3.2; methods are case-sensitive (RFC 9110 section 9.1). */
enum fault target_parse(struct arena *a, struct span method, struct span text, struct target *out)
{
    bool options = span_equal(method, SPAN_LITERAL("OPTIONS"));

    *out = (struct target){ .form = TARGET_ORIGIN };
    if (span_equal(method, SPAN_LITERAL("CONNECT")))
        return FAULT_CONNECT;
    if (text.n > 0 && text.p[0] == '/') {
        out->path_and_query = text;
        return split_path(a, out);
    }
    if (!span_equal(text, SPAN_LITERAL("*")))
        return parse_other(a, options, text, out);
    out->form = TARGET_ASTERISK;
    return options ? set_asterisk(out) : FAULT_TARGET;   /* section 3.2.4: asterisk-form is for OPTIONS alone */
}
