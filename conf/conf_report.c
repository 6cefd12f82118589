/* conf_report: see the header. Places are byte offsets until they are printed; columns count characters, not bytes, and the
 * caret's line repeats the tabs before it, so that it stands right whatever a tab is worth. tests/conf/test_conf_messages.c */
#include "conf/conf_report.h"
#include "protocol/utf8.h"

#include <stdarg.h>
#include <string.h>

#define MESSAGES_KEPT 50
#define MESSAGE_BYTES 700
#define REPORT_BYTES ((size_t)256 * 1024)
#define LINE_BEFORE 90                   /* characters of a long line that are shown before the caret, and after it */
#define LINE_AFTER 50
#define NEAREST_WORD_BYTES 40

struct conf_message {
    struct conf_message *next;
    const struct conf_source *source;
    size_t offset;
    bool warning;
    const char *text;
};

void conf_report_init(struct conf_report *report)
{
    *report = (struct conf_report){ .first = NULL };
    arena_init(&report->arena, REPORT_BYTES);
}

void conf_report_free(struct conf_report *report)
{
    arena_free(&report->arena);
    report->first = NULL;
}

bool conf_report_full(const struct conf_report *report)
{
    return report->kept >= MESSAGES_KEPT || report->no_memory;
}

static bool stands_before(const struct conf_message *a, const struct conf_message *b)
{
    return a->source == b->source && a->offset < b->offset;
}

static void insert_sorted(struct conf_report *report, struct conf_message *message)
{
    struct conf_message **link = &report->first;

    while (*link != NULL && !stands_before(message, *link))
        link = &(*link)->next;
    message->next = *link;
    *link = message;
    report->kept++;
}

__attribute__((format(printf, 3, 0)))
static void keep(struct conf_report *report, const struct conf_message *like, const char *format, va_list arguments)
{
    struct conf_message *message;
    char text[MESSAGE_BYTES];
    struct span copy;

    if (conf_report_full(report)) {
        report->dropped++;
        return;
    }
    vsnprintf(text, sizeof(text), format, arguments);
    message = arena_alloc(&report->arena, sizeof(*message));
    copy = arena_copy(&report->arena, span_of(text, strlen(text) + 1));
    if (message == NULL || copy.p == NULL) {
        report->no_memory = true;
        return;
    }
    *message = *like;
    message->text = (const char *)copy.p;
    insert_sorted(report, message);
}

void conf_error(struct conf_report *report, const struct conf_source *source, size_t offset, const char *format, ...)
{
    struct conf_message like = { .source = source, .offset = offset };
    va_list arguments;

    report->errors++;
    va_start(arguments, format);
    keep(report, &like, format, arguments);
    va_end(arguments);
}

void conf_error_unseen(struct conf_report *report)
{
    report->errors++;
    report->dropped++;
}

void conf_warn(struct conf_report *report, const struct conf_source *source, size_t offset, const char *format, ...)
{
    struct conf_message like = { .source = source, .offset = offset, .warning = true };
    va_list arguments;

    va_start(arguments, format);
    keep(report, &like, format, arguments);
    va_end(arguments);
}

/* The bytes of the character at the front; 0 when it is not UTF-8 or a control, which must not reach a terminal. */
static size_t character_bytes(struct span s)
{
    size_t n = s.p[0] < 0x80 ? 1 : s.p[0] < 0xE0 ? 2 : s.p[0] < 0xF0 ? 3 : 4;

    if (n > s.n || s.p[0] < 0x20 || s.p[0] == 0x7F || !utf8_valid(s.p, n))
        return 0;
    if (s.p[0] == 0xC2 && s.p[1] < 0xA0)
        return 0;                        /* U+0080 to U+009F: controls too */
    return n;
}

static size_t step_bytes(struct span s)
{
    size_t n = character_bytes(s);

    return n > 0 ? n : 1;
}

const char *conf_show(struct span value, char shown[CONF_SHOWN_BYTES])
{
    size_t used = 0;

    for (size_t i = 0, n; i < value.n; i += n > 0 ? n : 1) {
        n = character_bytes(span_from(value, i));
        if (used + (n > 0 ? n : 1) + sizeof("…") > CONF_SHOWN_BYTES) {
            memcpy(shown + used, "…", sizeof("…"));
            return shown;
        }
        memcpy(shown + used, n > 0 ? (const char *)value.p + i : "?", n > 0 ? n : 1);
        used += n > 0 ? n : 1;
    }
    shown[used] = '\0';
    return shown;
}

static bool continues(struct span text, size_t offset)
{
    return offset < text.n && (text.p[offset] & 0xC0) == 0x80;
}

size_t conf_cursor_seek(struct conf_cursor *cursor, const struct conf_source *source, size_t character)
{
    struct span text = source->text;

    while (cursor->character < character && cursor->offset < text.n) {
        cursor->offset++;
        while (continues(text, cursor->offset))
            cursor->offset++;
        cursor->character++;
    }
    while (cursor->character > character) {
        cursor->offset--;
        while (cursor->offset > 0 && continues(text, cursor->offset))
            cursor->offset--;
        cursor->character--;
    }
    return cursor->offset;
}

/* Line breaks are LF, CR and CR LF, as editors count them. */
static bool breaks_after(struct span text, size_t i)
{
    return text.p[i] == '\n' || (text.p[i] == '\r' && (i + 1 >= text.n || text.p[i + 1] != '\n'));
}

static size_t line_start(struct span text, size_t offset)
{
    size_t start = offset < text.n ? offset : text.n;

    while (start > 0 && !breaks_after(text, start - 1))
        start--;
    return start;
}

static struct span line_from(struct span text, size_t start)
{
    size_t end = start;

    while (end < text.n && text.p[end] != '\n' && text.p[end] != '\r')
        end++;
    return span_first(span_from(text, start), end - start);
}

size_t conf_source_line(const struct conf_source *source, size_t offset)
{
    size_t line = 1;

    for (size_t i = 0; i < offset && i < source->text.n; i++)
        line += breaks_after(source->text, i);
    return line;
}

static size_t count_characters(struct span s)
{
    size_t count = 0;

    for (; s.n > 0; s = span_from(s, step_bytes(s)))
        count++;
    return count;
}

static void print_line(struct span line, size_t from, size_t to, FILE *out)
{
    size_t at = 0;

    for (; line.n > 0; line = span_from(line, step_bytes(line)), at++) {
        if (at < from || at >= to)
            continue;
        if (line.p[0] == '\t')
            putc('\t', out);
        else if (character_bytes(line) == 0)
            putc('?', out);
        else
            fwrite(line.p, 1, character_bytes(line), out);
    }
}

static void print_caret(struct span before, size_t from, FILE *out)
{
    size_t at = 0;

    for (; before.n > 0; before = span_from(before, step_bytes(before)), at++)
        if (at >= from)
            putc(before.p[0] == '\t' ? '\t' : ' ', out);
    fputs("^\n", out);
}

static void print_place(struct span line, struct span before, FILE *out)
{
    size_t column = count_characters(before);
    size_t from = column > LINE_BEFORE ? column - LINE_BEFORE : 0;
    size_t to = column + LINE_AFTER;

    fputs(from > 0 ? "   …" : "    ", out);
    print_line(line, from, to, out);
    fputs(count_characters(line) > to ? "…\n    " : "\n    ", out);
    print_caret(before, from, out);
}

static void print_message(const struct conf_message *message, FILE *out)
{
    const struct conf_source *source = message->source;
    size_t start = line_start(source->text, message->offset);
    struct span line = line_from(source->text, start);
    struct span before = span_first(line, message->offset - start);
    const char *severity = message->warning ? "warning: " : "";
    bool whole = message->offset == CONF_NOWHERE;

    if (whole || source->is_option)
        fprintf(out, "%s: %s%s\n", source->name, severity, message->text);
    else
        fprintf(out, "%s:%zu:%zu: %s%s\n", source->name, conf_source_line(source, message->offset), count_characters(before) + 1,
                severity, message->text);
    if (!whole)
        print_place(line, before, out);
}

void conf_report_print(const struct conf_report *report, FILE *out)
{
    for (const struct conf_message *message = report->first; message != NULL; message = message->next)
        print_message(message, out);
    if (report->dropped > 0)
        fprintf(out, "… and %u more %s\n", report->dropped, report->dropped == 1 ? "message" : "messages");
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* Damerau and Levenshtein's distance (insertions, deletions, replacements, neighbours swapped), letters without case. */
static size_t word_distance(struct span a, struct span b)
{
    size_t rows[3][NEAREST_WORD_BYTES + 1];

    for (size_t j = 0; j <= b.n; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t *now = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            bool same = ascii_lower(a.p[i - 1]) == ascii_lower(b.p[j - 1]);
            now[j] = smallest(above[j] + 1, now[j - 1] + 1, above[j - 1] + !same);
            if (i > 1 && j > 1 && ascii_lower(a.p[i - 1]) == ascii_lower(b.p[j - 2]) &&
                ascii_lower(a.p[i - 2]) == ascii_lower(b.p[j - 1]) && two_above[j - 2] + 1 < now[j])
                now[j] = two_above[j - 2] + 1;
        }
    }
    return rows[a.n % 3][b.n];
}

void conf_nearest_try(struct conf_nearest *nearest, const char *candidate)
{
    struct span word = span_of_text(candidate);
    size_t longer = word.n > nearest->word.n ? word.n : nearest->word.n;
    size_t distance;

    if (longer > NEAREST_WORD_BYTES || word.n == 0)
        return;
    distance = word_distance(nearest->word, word);
    if (distance > (longer + 1) / 3 || distance >= word.n || (nearest->best != NULL && distance >= nearest->distance))
        return;
    nearest->best = candidate;
    nearest->distance = distance;
}

const char *conf_nearest_hint(const struct conf_nearest *nearest, char hint[CONF_SHOWN_BYTES])
{
    hint[0] = '\0';
    if (nearest->best != NULL)
        snprintf(hint, CONF_SHOWN_BYTES, ", did you mean `%s`?", nearest->best);
    return hint;
}
