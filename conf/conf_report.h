/* conf_report: what is wrong with a configuration, gathered and then printed in the order of the file.
 *
 * A message is a place in a source and a sentence. Printed it names file, line and column, shows the line and a caret under
 * the column. Only so many messages are kept; further ones are counted. */
#ifndef UPGATE_CONF_CONF_REPORT_H
#define UPGATE_CONF_CONF_REPORT_H

#include "protocol/arena.h"

#include <stdio.h>

#define CONF_NOWHERE SIZE_MAX            /* an offset for what concerns the whole source */
#define CONF_SHOWN_BYTES 120

struct conf_source {
    const char *name;                    /* a file's, or an option's */
    struct span text;
    bool is_option;                      /* one value of the command line: line and column would say nothing */
};

struct conf_message;

struct conf_report {
    struct arena arena;
    struct conf_message *first;
    unsigned kept, dropped, errors;
    bool no_memory;                      /* sticky: the run failed for want of memory, whatever else was found */
};

void conf_report_init(struct conf_report *report);
void conf_error(struct conf_report *report, const struct conf_source *source, size_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void conf_warn(struct conf_report *report, const struct conf_source *source, size_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* True when further messages would only be counted: costly suggestions are then not worth making. */
bool conf_report_full(const struct conf_report *report);
/* As conf_error, without a message that anybody would see. */
void conf_error_unseen(struct conf_report *report);
void conf_report_print(const struct conf_report *report, FILE *out);
void conf_report_free(struct conf_report *report);

/* The 1-based line that offset lies in. */
size_t conf_source_line(const struct conf_source *source, size_t offset);
/* Byte offsets of characters, found from the one that was asked for before: near ones cost little. Begins as zeros. */
struct conf_cursor {
    size_t character;
    size_t offset;
};
size_t conf_cursor_seek(struct conf_cursor *cursor, const struct conf_source *source, size_t character);
/* A value made fit for a message: control and invalid bytes as `?`, cut at a length. Returns `shown`. */
const char *conf_show(struct span value, char shown[CONF_SHOWN_BYTES]);

/* The word most like one that is unknown: set `word`, try every candidate, read `best`, which stays NULL when none is near. */
struct conf_nearest {
    struct span word;
    const char *best;
    size_t distance;                     /* of best */
};
void conf_nearest_try(struct conf_nearest *nearest, const char *candidate);
/* `, did you mean `best`?`, or nothing. */
const char *conf_nearest_hint(const struct conf_nearest *nearest, char hint[CONF_SHOWN_BYTES]);

#endif
