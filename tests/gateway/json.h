/* json: JSON read strictly (RFC 8259), as far as the access log writes it. */
#ifndef UPGATE_TESTS_GATEWAY_JSON_H
#define UPGATE_TESTS_GATEWAY_JSON_H

#include "protocol/utf8.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static inline const char *json_value(const char *p);

static inline const char *json_must(bool good, const char *p)
{
    if (!good)
        fail_msg("not JSON from here: %.60s", p);
    return p;
}

static inline const char *json_string(const char *p)
{
    json_must(*p == '"', p);
    for (p++; *p != '"'; p++) {
        json_must((unsigned char)*p >= 0x20, p);
        if (*p != '\\')
            continue;
        p++;
        json_must(*p != '\0' && strchr("\"\\/bfnrtu", *p) != NULL, p);
        for (int i = 0; *p == 'u' && i < 4; i++)
            json_must(isxdigit((unsigned char)p[i + 1]) != 0, p);
    }
    return p + 1;
}

static inline const char *json_object(const char *p)
{
    json_must(*p == '{', p);
    if (p[1] == '}')
        return p + 2;
    do {
        p = json_string(p + 1);
        json_must(*p == ':', p);
        p = json_value(p + 1);
    } while (*p == ',');
    return json_must(*p == '}', p) + 1;
}

static inline const char *json_value(const char *p)
{
    const char *start = p;

    if (*p == '"')
        return json_string(p);
    if (*p == '{')
        return json_object(p);
    while (isdigit((unsigned char)*p))
        p++;
    return json_must(p > start && (*start != '0' || p == start + 1), p);
}

/* Every line is one object and UTF-8; returns how many lines there are. */
static inline size_t expect_json(const char *text)
{
    size_t lines = 0;

    assert_true(utf8_valid((const uint8_t *)text, strlen(text)));
    while (*text != '\0') {
        text = json_object(text);
        json_must(*text == '\n', text);
        text++;
        lines++;
    }
    return lines;
}

#endif
