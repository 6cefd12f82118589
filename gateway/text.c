#include "gateway/text.h"
#include "protocol/mem.h"
#include "protocol/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void text_init(struct text *t)
{
    *t = (struct text){ 0 };
}

void text_free(struct text *t)
{
    mem_free(t->p);
    *t = (struct text){ 0 };
}

static bool room_for(struct text *t, size_t n)
{
    size_t size = t->size > 0 ? t->size : 1024;
    char *grown;

    while (size < t->n + n && size < TEXT_BYTES_MAX)
        size *= 2;
    if (t->bad || size < t->n + n) {
        t->bad = true;
        return false;
    }
    if (size == t->size)
        return true;
    grown = mem_realloc(t->p, size);
    t->bad = grown == NULL;
    if (t->bad)
        return false;
    t->p = grown;
    t->size = size;
    return true;
}

void text_put(struct text *t, struct span s)
{
    if (s.n == 0 || !room_for(t, s.n))
        return;
    memcpy(t->p + t->n, s.p, s.n);
    t->n += s.n;
}

void text_print(struct text *t, const char *format, ...)
{
    char line[512];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(line))
        t->bad = true;                   /* callers print numbers and short words this way */
    else
        text_put(t, span_of(line, (size_t)n));
}

void text_json(struct text *t, struct span s)
{
    bool utf8 = utf8_valid(s.p, s.n);

    text_put(t, SPAN_LITERAL("\""));
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\' || c == '<' || (c >= 0x80 && !utf8))
            text_print(t, "\\u%04x", c);
        else
            text_put(t, span_of(&s.p[i], 1));
    }
    text_put(t, SPAN_LITERAL("\""));
}

void text_label(struct text *t, struct span s)
{
    bool utf8 = utf8_valid(s.p, s.n);

    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = s.p[i];
        if (c == '\\' || c == '"')
            text_print(t, "\\%c", c);
        else if (c == '\n')
            text_put(t, SPAN_LITERAL("\\n"));
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8))
            text_put(t, SPAN_LITERAL("?"));
        else
            text_put(t, span_of(&s.p[i], 1));
    }
}
