/* second_parser: one HTTP/1.1 message, read once more by somebody else.
 *
 * Written from RFC 9112 alone and sharing no code with the project, so that a mistake there is not made again here. It takes
 * whole messages only, is as strict as the grammar, has no other purpose than to be compared with, and answers false rather
 * than guess. */
#ifndef UPGATE_TESTS_FUZZ_SECOND_PARSER_H
#define UPGATE_TESTS_FUZZ_SECOND_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define SECOND_FIELDS 300
#define SECOND_BODY 65536

struct second_text {
    const char *at;
    size_t n;
};

struct second_field {
    struct second_text name, value;
};

struct second_message {
    struct second_text method, target;   /* of a request */
    unsigned status;                     /* of a response */
    struct second_field fields[SECOND_FIELDS];
    size_t fields_n;
    struct second_field trailers[SECOND_FIELDS];
    size_t trailers_n;
    enum { SECOND_NOTHING, SECOND_COUNTED, SECOND_CHUNKS, SECOND_TO_THE_END } framing;
    char body[SECOND_BODY];
    size_t body_n;
    size_t size;                         /* of the whole message */
};

struct second_reader {
    const char *at, *end;
};

static inline char second_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static inline bool second_same(struct second_text a, const char *lower_case)
{
    size_t i = 0;

    while (i < a.n && lower_case[i] != '\0' && second_lower(a.at[i]) == lower_case[i])
        i++;
    return i == a.n && lower_case[i] == '\0';
}

/* Up to the next CR LF; false if there is none, or another CR or LF before it. */
static inline bool second_line(struct second_reader *r, struct second_text *line)
{
    const char *start = r->at;

    while (r->at < r->end && *r->at != '\r' && *r->at != '\n')
        r->at++;
    if (r->end - r->at < 2 || r->at[0] != '\r' || r->at[1] != '\n')
        return false;
    *line = (struct second_text){ start, (size_t)(r->at - start) };
    r->at += 2;
    return true;
}

static inline bool second_name_byte(char c)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c != '\0' && strchr(others, c) != NULL;
}

static inline bool second_split_field(struct second_text line, struct second_field *f)
{
    size_t i = 0, end = line.n;

    while (i < line.n && second_name_byte(line.at[i]))
        i++;
    if (i == 0 || i == line.n || line.at[i] != ':')
        return false;
    f->name = (struct second_text){ line.at, i };
    for (i++; i < end && (line.at[i] == ' ' || line.at[i] == '\t'); i++)
        ;
    while (end > i && (line.at[end - 1] == ' ' || line.at[end - 1] == '\t'))
        end--;
    f->value = (struct second_text){ line.at + i, end - i };
    for (; i < end; i++) {
        unsigned char c = (unsigned char)line.at[i];
        if ((c < 32 && c != 9) || c == 127)
            return false;
    }
    return true;
}

static inline bool second_section(struct second_reader *r, struct second_field *fields, size_t *n)
{
    struct second_text line;

    for (*n = 0; second_line(r, &line); ++*n) {
        if (line.n == 0)
            return true;
        if (*n == SECOND_FIELDS || !second_split_field(line, &fields[*n]))
            return false;
    }
    return false;
}

static inline const struct second_field *second_find(const struct second_message *m, const char *lower_case, size_t *count)
{
    const struct second_field *found = NULL;

    *count = 0;
    for (size_t i = 0; i < m->fields_n; i++)
        if (second_same(m->fields[i].name, lower_case)) {
            found = &m->fields[i];
            ++*count;
        }
    return found;
}

static inline bool second_number(struct second_text t, unsigned base, unsigned long long *value)
{
    *value = 0;
    for (size_t i = 0; i < t.n; i++) {
        char c = second_lower(t.at[i]);
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : 99;
        if (digit >= base || *value > (~0ULL - digit) / base)
            return false;
        *value = *value * base + digit;
    }
    return t.n > 0;
}

static inline bool second_take(struct second_reader *r, struct second_message *m, unsigned long long n)
{
    if ((unsigned long long)(r->end - r->at) < n || n > SECOND_BODY - m->body_n)
        return false;
    memcpy(m->body + m->body_n, r->at, (size_t)n);
    m->body_n += (size_t)n;
    r->at += n;
    return true;
}

static inline bool second_chunks(struct second_reader *r, struct second_message *m)
{
    struct second_text line;
    unsigned long long size;

    for (;;) {
        if (!second_line(r, &line) || !second_number(line, 16, &size))
            return false;
        if (size == 0)
            return second_section(r, m->trailers, &m->trailers_n);
        if (!second_take(r, m, size) || !second_line(r, &line) || line.n > 0)
            return false;
    }
}

/* RFC 9112 section 6.3, in its order. */
static inline bool second_body(struct second_reader *r, struct second_message *m, bool request, bool head_request)
{
    size_t codings, lengths;
    const struct second_field *coding = second_find(m, "transfer-encoding", &codings);
    const struct second_field *length = second_find(m, "content-length", &lengths);
    unsigned long long size;

    m->framing = SECOND_NOTHING;
    if (codings > 1 || lengths > 1 || (codings > 0 && lengths > 0))
        return false;
    if (length != NULL && !second_number(length->value, 10, &size))
        return false;
    if (!request && (head_request || m->status < 200 || m->status == 204 || m->status == 304))
        return true;
    if (coding != NULL) {
        m->framing = SECOND_CHUNKS;
        return second_same(coding->value, "chunked") && second_chunks(r, m);
    }
    if (length != NULL) {
        m->framing = SECOND_COUNTED;
        return second_take(r, m, size);
    }
    if (request)
        return true;
    m->framing = SECOND_TO_THE_END;
    return second_take(r, m, (unsigned long long)(r->end - r->at));
}

static inline bool second_request_line(struct second_text line, struct second_message *m)
{
    const char *first = memchr(line.at, ' ', line.n), *last;
    size_t rest;

    if (first == NULL)
        return false;
    m->method = (struct second_text){ line.at, (size_t)(first - line.at) };
    rest = line.n - m->method.n - 1;
    last = memchr(first + 1, ' ', rest);
    if (last == NULL)
        return false;
    m->target = (struct second_text){ first + 1, (size_t)(last - first - 1) };
    for (size_t i = 0; i < m->target.n; i++)
        if (m->target.at[i] <= 32 || m->target.at[i] == 127)
            return false;
    for (size_t i = 0; i < m->method.n; i++)
        if (!second_name_byte(m->method.at[i]))
            return false;
    return m->method.n > 0 && m->target.n > 0 && rest - m->target.n == 9 && memcmp(last, " HTTP/1.1", 9) == 0;
}

static inline bool second_status_line(struct second_text line, struct second_message *m)
{
    unsigned long long status;

    if (line.n < 13 || memcmp(line.at, "HTTP/1.1 ", 9) != 0 || line.at[12] != ' ')
        return false;
    if (!second_number((struct second_text){ line.at + 9, 3 }, 10, &status) || status < 100)
        return false;
    m->status = (unsigned)status;
    return true;
}

/* One message from the first byte on; m->size says how many bytes it had. */
static inline bool second_parse(const char *p, size_t n, bool request, bool head_request, struct second_message *m)
{
    struct second_reader r = { p, p + n };
    struct second_text line;

    m->fields_n = m->trailers_n = m->body_n = m->size = 0;
    if (!second_line(&r, &line) || !(request ? second_request_line(line, m) : second_status_line(line, m)))
        return false;
    if (!second_section(&r, m->fields, &m->fields_n) || !second_body(&r, m, request, head_request))
        return false;
    m->size = (size_t)(r.at - p);
    return true;
}

#endif
