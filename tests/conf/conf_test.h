/* What every test of conf needs: a text loaded, its messages caught. Include it first. */
#ifndef UPGATE_TESTS_CONF_TEST_H
#define UPGATE_TESTS_CONF_TEST_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L          /* open_memstream */
#endif

#include "conf/conf.h"
#include "protocol/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MINIMAL "listeners: [ 8080 ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { upstream: app } ]\n"
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

struct caught {                          /* what was written to a stream */
    FILE *stream;
    char *text;
    size_t n;
};

static inline void catch_open(struct caught *caught)
{
    caught->text = NULL;
    caught->stream = open_memstream(&caught->text, &caught->n);
    assert_non_null(caught->stream);
}

static inline char *catch_close(struct caught *caught)
{
    assert_int_equal(fclose(caught->stream), 0);
    return caught->text;
}

/* The caller frees *messages. */
static inline struct conf *load_span(struct span text, char **messages)
{
    struct caught caught;
    struct conf *c;

    catch_open(&caught);
    c = conf_load_text("f.yaml", text, caught.stream);
    *messages = catch_close(&caught);
    return c;
}

static inline struct conf *load(const char *text, char **messages)
{
    return load_span(span_of_text(text), messages);
}

/* Loads without a message, or the test ends and shows them. */
static inline struct conf *load_good(const char *text)
{
    char *messages;
    struct conf *c = load(text, &messages);

    if (c == NULL || messages[0] != '\0')
        fail_msg("%s\n%s", messages, text);
    free(messages);
    return c;
}

static inline char *dump_of(const struct conf *c)
{
    struct caught caught;

    catch_open(&caught);
    conf_dump(c, caught.stream);
    return catch_close(&caught);
}

/* Prints at an offset of a text and returns where it ends. */
__attribute__((format(printf, 4, 5)))
static inline size_t put(char *text, size_t size, size_t at, const char *format, ...)
{
    va_list arguments;
    int n;

    va_start(arguments, format);
    n = vsnprintf(text + at, size - at, format, arguments);
    va_end(arguments);
    assert_true(n >= 0 && (size_t)n < size - at);
    return at + (size_t)n;
}

/* `%s` of the template replaced. Static memory. */
static inline const char *fill_in(const char *template, const char *value)
{
    static char text[16384];
    const char *hole = strstr(template, "%s");

    assert_non_null(hole);
    assert_true(strlen(template) + strlen(value) < sizeof(text));
    snprintf(text, sizeof(text), "%.*s%s%s", (int)(hole - template), template, value, hole + 2);
    return text;
}

/* The value in the template is refused, and the first message's sentence is this one. */
static inline void expect_refused(const char *template, const char *value, const char *sentence)
{
    char *messages, *text;
    struct conf *c = load(fill_in(template, value), &messages);

    if (c != NULL)
        fail_msg("accepted: %s", value);
    text = strchr(messages, '\n');
    assert_non_null(text);
    *text = '\0';
    text = strchr(messages, ' ');
    assert_non_null(text);
    if (strcmp(text + 1, sentence) != 0)
        fail_msg("%s:\n  is:     %s\n  wanted: %s", value, text + 1, sentence);
    free(messages);
}

#endif
