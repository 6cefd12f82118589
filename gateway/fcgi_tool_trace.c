/* -v of the FastCGI tool. It watches the bytes that pass and takes nothing from those who work with them: so a record is shown
 * as it came even where the reader refuses it. */
#include "gateway/fcgi_tool_parts.h"

#include <stdarg.h>
#include <string.h>

static const char *const type_names[] = {
    [FCGI_BEGIN_REQUEST] = "BEGIN_REQUEST",
    [FCGI_ABORT_REQUEST] = "ABORT_REQUEST",
    [FCGI_END_REQUEST] = "END_REQUEST",
    [FCGI_PARAMS] = "PARAMS",
    [FCGI_STDIN] = "STDIN",
    [FCGI_STDOUT] = "STDOUT",
    [FCGI_STDERR] = "STDERR",
    [FCGI_DATA] = "DATA",
    [FCGI_GET_VALUES] = "GET_VALUES",
    [FCGI_GET_VALUES_RESULT] = "GET_VALUES_RESULT",
    [FCGI_UNKNOWN_TYPE] = "UNKNOWN_TYPE",
};
static const char *const end_names[] = {
    [FCGI_REQUEST_COMPLETE] = "REQUEST_COMPLETE",
    [FCGI_CANT_MPX_CONN] = "CANT_MPX_CONN",
    [FCGI_OVERLOADED] = "OVERLOADED",
    [FCGI_UNKNOWN_ROLE] = "UNKNOWN_ROLE",
};
const char *fcgi_tool_end_name(enum fcgi_end end)
{
    return end_names[end];
}

static const char arrows[FCGI_TOOL_WAYS] = { [FCGI_TOOL_SENT] = '>', [FCGI_TOOL_RECEIVED] = '<' };

void fcgi_tool_print_shown(FILE *out, struct span bytes)
{
    for (size_t i = 0; i < bytes.n; i++)
        if (bytes.p[i] >= 0x20 && bytes.p[i] < 0x7f && bytes.p[i] != '\\')
            fputc(bytes.p[i], out);
        else
            fprintf(out, "\\x%02x", bytes.p[i]);
}

void fcgi_tool_note(const struct fcgi_tool_trace *t, const char *form, ...)
{
    va_list args;

    if (!t->on)
        return;
    fputs("* ", stderr);
    va_start(args, form);
    vfprintf(stderr, form, args);
    va_end(args);
    fputc('\n', stderr);
}

static void show_pairs(const struct fcgi_tool_trace *t)
{
    struct span rest = t->pairs, name, value;

    while (fcgi_read_pair(&rest, &name, &value)) {
        fputs(">     ", stderr);
        fcgi_tool_print_shown(stderr, name);
        fputc('=', stderr);
        fcgi_tool_print_shown(stderr, value);
        fputc('\n', stderr);
    }
}

static size_t content_bytes(const struct fcgi_tool_watch *w)
{
    return (size_t)w->header[4] << 8 | w->header[5];
}

static void show_header(const struct fcgi_tool_watch *w, char arrow)
{
    unsigned type = w->header[1];

    fprintf(stderr, "%c ", arrow);
    if (type >= FCGI_BEGIN_REQUEST && type <= FCGI_UNKNOWN_TYPE)
        fputs(type_names[type], stderr);
    else
        fprintf(stderr, "type %u", type);
    fprintf(stderr, " id %u, %zu bytes, padding %u", (unsigned)w->header[2] << 8 | w->header[3], content_bytes(w), w->header[6]);
}

/* These are shown when their content is there: it stands on the same line. */
static bool has_shown_content(const struct fcgi_tool_watch *w)
{
    return (w->header[1] == FCGI_END_REQUEST || w->header[1] == FCGI_BEGIN_REQUEST) && content_bytes(w) == sizeof(w->content);
}

static void begin_record(struct fcgi_tool_trace *t, enum fcgi_tool_way way)
{
    struct fcgi_tool_watch *w = &t->ways[way];

    w->content_left = content_bytes(w);
    w->padding_left = w->header[6];
    w->content_n = 0;
    w->lost = w->header[0] != 1;
    if (w->lost)
        fprintf(stderr, "%c not a record: its version is %u\n", arrows[way], w->header[0]);
    if (w->lost || has_shown_content(w))
        return;
    show_header(w, arrows[way]);
    fputc('\n', stderr);
    if (w->header[1] == FCGI_PARAMS && way == FCGI_TOOL_SENT && w->content_left > 0) {
        show_pairs(t);
        t->pairs = SPAN_EMPTY;
    }
}

/* Sections 5.1 and 5.5. */
static void show_content(const struct fcgi_tool_watch *w, char arrow)
{
    const uint8_t *p = w->content;

    show_header(w, arrow);
    if (w->header[1] == FCGI_BEGIN_REQUEST)
        fprintf(stderr, ": role %u, %s\n", (unsigned)p[0] << 8 | p[1], (p[2] & 1) != 0 ? "KEEP_CONN" : "the server closes");
    else if (p[4] <= FCGI_UNKNOWN_ROLE)
        fprintf(stderr, ": %s, exit status %u\n", fcgi_tool_end_name(p[4]),
                (unsigned)p[0] << 24 | (unsigned)p[1] << 16 | (unsigned)p[2] << 8 | p[3]);
    else
        fprintf(stderr, ": protocol status %u\n", p[4]);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t watch_header(struct fcgi_tool_trace *t, enum fcgi_tool_way way, struct span bytes)
{
    struct fcgi_tool_watch *w = &t->ways[way];
    size_t n = smaller(bytes.n, FCGI_HEADER_BYTES - w->header_n);

    memcpy(w->header + w->header_n, bytes.p, n);
    w->header_n += n;
    if (w->header_n == FCGI_HEADER_BYTES)
        begin_record(t, way);
    return n;
}

static size_t watch_content(struct fcgi_tool_watch *w, struct span bytes, char arrow)
{
    size_t n = smaller(bytes.n, w->content_left), kept = smaller(n, sizeof(w->content) - w->content_n);

    memcpy(w->content + w->content_n, bytes.p, kept);
    w->content_n += kept;
    w->content_left -= n;
    if (w->content_left == 0 && has_shown_content(w))
        show_content(w, arrow);
    return n;
}

void fcgi_tool_watch(struct fcgi_tool_trace *t, enum fcgi_tool_way way, struct span bytes)
{
    struct fcgi_tool_watch *w = &t->ways[way];

    while (t->on && !w->lost && bytes.n > 0) {
        size_t n;

        if (w->header_n < FCGI_HEADER_BYTES) {
            n = watch_header(t, way, bytes);
        } else if (w->content_left > 0) {
            n = watch_content(w, bytes, arrows[way]);
        } else {
            n = smaller(bytes.n, w->padding_left);
            w->padding_left -= n;
        }
        bytes = span_from(bytes, n);
        if (w->header_n == FCGI_HEADER_BYTES && w->content_left == 0 && w->padding_left == 0)
            w->header_n = 0;
    }
}
