#include "protocol/http1_section.h"
#include "protocol/token.h"

#include <assert.h>
#include <string.h>

#define CRLF_BYTES 2

static void enter(struct http1_section *s, enum http1_section_part next)
{
    s->part = next;
}

/* RFC 9112 section 2.2: lines end in CR LF. A bare LF might be taken for one and a bare CR for a space: here neither is, since
 * others do otherwise. test_http1_parse.c: bare_* */
static enum fault misplaced(uint8_t c)
{
    return c == '\n' ? FAULT_LINE_ENDING : FAULT_FIELD;
}

/* RFC 9112 section 5.2: a line that begins with a space would be folded to the one before. test_http1_parse.c: fold_*, field_* */
static enum fault line_byte(struct http1_section *s, uint8_t c)
{
    if (c != '\r' && !token_is_tchar(c))
        return misplaced(c);
    enter(s, c == '\r' ? HTTP1_SECTION_LAST_LF : HTTP1_SECTION_NAME);
    return FAULT_NONE;
}

/* RFC 9112 section 5.1: no whitespace between the name and the colon. */
static enum fault name_end(struct http1_section *s, uint8_t c)
{
    if (c != ':')
        return misplaced(c);
    enter(s, HTTP1_SECTION_VALUE);
    return FAULT_NONE;
}

static enum fault value_end(struct http1_section *s, uint8_t c)
{
    if (c != '\r')
        return misplaced(c);
    enter(s, HTTP1_SECTION_LF);
    return FAULT_NONE;
}

static enum fault lf_byte(struct http1_section *s, uint8_t c, size_t line_limit)
{
    bool last = s->part == HTTP1_SECTION_LAST_LF;

    if (c != '\n')
        return FAULT_LINE_ENDING;
    enter(s, last ? HTTP1_SECTION_ENDED : HTTP1_SECTION_LINE);
    s->lines += !last;
    return line_limit > 0 && s->lines > line_limit ? FAULT_TOO_MANY_FIELDS : FAULT_NONE;
}

static enum fault byte(struct http1_section *s, uint8_t c, size_t line_limit)
{
    switch (s->part) {
    case HTTP1_SECTION_LINE:
        return line_byte(s, c);
    case HTTP1_SECTION_NAME:
        return name_end(s, c);
    case HTTP1_SECTION_VALUE:
        return value_end(s, c);
    case HTTP1_SECTION_LF:
    case HTTP1_SECTION_LAST_LF:
    case HTTP1_SECTION_ENDED:
        break;
    }
    return lf_byte(s, c, line_limit);
}

/* Noted while all lines before it were, so that nobody has to look for its parts again. */
static void mark_line(struct http1_section *s, size_t name_n, size_t value_n)
{
    if (s->marked != s->lines || s->marked == HTTP1_SECTION_MARKS || (name_n | value_n) > UINT16_MAX)
        return;
    s->marks[s->marked].name_n = (uint16_t)name_n;
    s->marks[s->marked].value_n = (uint16_t)value_n;
    s->marked++;
}

/* A field line that is there whole and has no fault: its bytes. 0: it is looked at piece by piece. */
static size_t whole_line(struct http1_section *s, struct span bytes, size_t line_limit)
{
    size_t name_n = token_tchars(bytes), value_n, n;

    if (name_n == 0 || name_n == bytes.n || bytes.p[name_n] != ':' || (line_limit > 0 && s->lines >= line_limit))
        return 0;
    value_n = token_value_bytes(span_from(bytes, name_n + 1));
    n = name_n + 1 + value_n;
    if (bytes.n - n < CRLF_BYTES || bytes.p[n] != '\r' || bytes.p[n + 1] != '\n')
        return 0;
    mark_line(s, name_n, value_n);
    s->lines++;
    return n + CRLF_BYTES;
}

static size_t whole_lines(struct http1_section *s, struct span bytes, size_t line_limit)
{
    size_t n = 0, line_n;

    while ((line_n = whole_line(s, span_of(bytes.p + n, bytes.n - n), line_limit)) > 0)
        n += line_n;
    return n;
}

/* What is nothing but more of the part that is being read: its bytes. */
static size_t run(struct http1_section *s, struct span bytes, size_t line_limit)
{
    if (s->part == HTTP1_SECTION_LINE)
        return whole_lines(s, bytes, line_limit);
    if (s->part == HTTP1_SECTION_NAME)
        return token_tchars(bytes);
    return s->part == HTTP1_SECTION_VALUE ? token_value_bytes(bytes) : 0;
}

/* RFC 9112 section 5: field-line = field-name ":" OWS field-value OWS. What leaves a name or a value is looked at singly. */
size_t http1_section_scan(struct http1_section *s, const uint8_t *p, size_t n, size_t line_limit, enum fault *fault_out)
{
    size_t i = 0;

    *fault_out = FAULT_NONE;
    while (i < n && s->part != HTTP1_SECTION_ENDED && *fault_out == FAULT_NONE) {
        i += run(s, span_of(p + i, n - i), line_limit);
        if (i == n)
            break;
        *fault_out = byte(s, p[i], line_limit);
        i += *fault_out == FAULT_NONE || *fault_out == FAULT_TOO_MANY_FIELDS;
    }
    return i;
}

enum fault http1_section_split(const struct http1_section *s, struct span bytes, struct headers *out)
{
    enum fault fault = headers_reserve(out, s->lines);

    for (size_t i = 0; fault == FAULT_NONE && i < s->lines; i++) {
        size_t name_n = i < s->marked ? s->marks[i].name_n : token_tchars(bytes), value_at = name_n + 1;
        size_t value_n = i < s->marked ? s->marks[i].value_n : token_value_bytes(span_from(bytes, value_at));

        assert(value_at + value_n + CRLF_BYTES <= bytes.n);
        fault = headers_add(out, span_of(bytes.p, name_n), token_trim(span_of(bytes.p + value_at, value_n)));
        bytes = span_from(bytes, value_at + value_n + CRLF_BYTES);
    }
    return fault;
}

#define RAW_LEAST_BYTES 256              /* a start line, and the few fields that mostly follow */

static size_t more(size_t a, size_t b)
{
    return a > b ? a : b;
}

bool http1_raw_add(struct http1_raw *raw, struct arena *arena, const uint8_t *p, size_t n)
{
    if (raw->n + n > raw->capacity) {
        size_t wanted = more(raw->capacity > 0 ? 2 * raw->capacity : RAW_LEAST_BYTES, raw->n + n);
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
