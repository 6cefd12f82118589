#include "interop/app/json_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct json_line json_line_over(char *buffer, size_t size)
{
    return (struct json_line){ .text = buffer, .size = size };
}

static void append(struct json_line *j, const void *bytes, size_t n)
{
    j->too_long = j->too_long || n > j->size - j->n;
    if (j->too_long || n == 0)
        return;
    memcpy(j->text + j->n, bytes, n);
    j->n += n;
}

void json_line_raw(struct json_line *j, const char *text)
{
    append(j, text, strlen(text));
}

void json_line_bytes(struct json_line *j, struct span s)
{
    append(j, s.p, s.n);
}

static void append_char(struct json_line *j, uint8_t c)
{
    char escaped[8];

    if (c == '"' || c == '\\')
        snprintf(escaped, sizeof(escaped), "\\%c", c);
    else if (c < 0x20 || c == 0x7f)
        snprintf(escaped, sizeof(escaped), "\\u%04x", c);
    else
        snprintf(escaped, sizeof(escaped), "%c", c);
    append(j, escaped, strlen(escaped));
}

void json_line_string(struct json_line *j, struct span s)
{
    append(j, "\"", 1);
    for (size_t i = 0; i < s.n; i++)
        append_char(j, s.p[i]);
    append(j, "\"", 1);
}

void json_line_number(struct json_line *j, uint64_t value)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%" PRIu64, value);
    json_line_raw(j, digits);
}

struct span json_line_span(const struct json_line *j)
{
    return span_of(j->text, j->n);
}
