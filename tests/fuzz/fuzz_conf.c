/* Any text as a configuration: a refusal has a message, and what loads dumps to a text that loads and dumps to itself. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L          /* open_memstream */
#endif

#include "conf/conf.h"
#include "protocol/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool held)
{
    if (!held)
        abort();
}

static struct conf *load(struct span text, size_t *said)
{
    char *messages = NULL;
    FILE *stream = open_memstream(&messages, said);
    struct conf *c;

    demand(stream != NULL);
    c = conf_load_text("fuzz", text, stream);
    demand(fclose(stream) == 0);
    demand(c != NULL || *said > 0);
    free(messages);
    return c;
}

static char *dump_of(const struct conf *c)
{
    char *text = NULL;
    size_t n;
    FILE *stream = open_memstream(&text, &n);

    demand(stream != NULL);
    conf_dump(c, stream);
    demand(fclose(stream) == 0);
    return text;
}

static void dump_and_reload(const struct conf *c)
{
    char *first = dump_of(c), *second;
    size_t said = 0;
    struct conf *again;

    if (strlen(first) > (size_t)1024 * 1024) {
        free(first);                     /* every default filled in, it is larger than a file can be */
        return;
    }
    again = load(span_of_text(first), &said);
    demand(again != NULL);
    second = dump_of(again);
    demand(strcmp(first, second) == 0);
    conf_free(again);
    free(first);
    free(second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t said = 0;
    struct conf *c = load(span_of(data, size), &said);

    if (c != NULL)
        dump_and_reload(c);
    conf_free(c);
    demand(mem_live_blocks() == 0);
    return 0;
}
