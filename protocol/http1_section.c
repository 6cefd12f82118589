#include "protocol/http1_section.h"
#include "protocol/token.h"

#include <string.h>

/* A line has ended at p[at], an LF; line_n is its length without it. */
static enum fault end_line(struct http1_section *s, size_t line_n, uint8_t before, size_t line_limit)
{
    /* RFC 9112 section 2.2: lines end in CR LF; a bare LF may be taken for one, and is not here: others would not.
     * test_http1_parse.c: bare_lf_* */
    if (line_n == 0 || before != '\r')
        return FAULT_LINE_ENDING;
    s->line_n = 0;
    if (line_n == 1) {
        s->ended = true;
        return FAULT_NONE;
    }
    s->lines++;
    return line_limit > 0 && s->lines > line_limit ? FAULT_TOO_MANY_FIELDS : FAULT_NONE;
}

size_t http1_section_scan(struct http1_section *s, const uint8_t *p, size_t n, size_t line_limit, enum fault *fault_out)
{
    size_t i = 0;

    *fault_out = FAULT_NONE;
    while (i < n && !s->ended && *fault_out == FAULT_NONE) {
        const uint8_t *lf = memchr(p + i, '\n', n - i);
        size_t end = lf != NULL ? (size_t)(lf - p) : n;
        uint8_t before = end > 0 ? p[end - 1] : s->last;

        s->line_n += end - i;
        if (lf == NULL) {
            s->last = before;
            return n;
        }
        *fault_out = end_line(s, s->line_n, before, line_limit);
        if (*fault_out == FAULT_LINE_ENDING)
            return end;
        s->last = '\n';
        i = end + 1;
    }
    return i;
}

/* RFC 9112 section 5: field-line = field-name ":" OWS field-value OWS; no space before the colon (5.1), no folding (5.2).
 * test_http1_parse.c: field_*, fold_* */
static enum fault split_line(struct span line, struct headers *out)
{
    size_t colon = span_find(line, ':');
    struct span name = span_first(line, colon);
    struct span value = span_from(line, colon + 1);

    if (span_find(line, '\r') < line.n)
        return FAULT_LINE_ENDING;
    if (colon == line.n || !token_is_token(name))
        return FAULT_FIELD;
    if (!token_is_field_value(value))
        return FAULT_FIELD;
    return headers_add(out, name, token_trim(value));
}

enum fault http1_section_split(struct span section, struct headers *out)
{
    enum fault fault = FAULT_NONE;

    while (fault == FAULT_NONE && section.n > 2) {
        size_t lf = span_find(section, '\n');

        if (lf == section.n || lf == 0 || section.p[lf - 1] != '\r')
            return FAULT_LINE_ENDING;
        fault = split_line(span_first(section, lf - 1), out);
        section = span_from(section, lf + 1);
    }
    return fault;
}

bool http1_raw_add(struct http1_raw *raw, struct arena *arena, const uint8_t *p, size_t n)
{
    if (raw->n + n > raw->capacity) {
        size_t wanted = raw->n + n > 2 * raw->capacity ? raw->n + n : 2 * raw->capacity;
        uint8_t *grown = arena_extend(arena, raw->p, raw->capacity, wanted);

        if (grown == NULL)
            return false;
        raw->p = grown;
        raw->capacity = wanted;
    }
    if (n > 0)
        memcpy(raw->p + raw->n, p, n);
    raw->n += n;
    return true;
}
