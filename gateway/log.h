/* log: four verbs and one sink. Lines go to standard error, or to whatever a test hands in.
 *
 *   error  the operator must act         warn  the operator should know
 *   info   what a quiet day looks like   debug everything; never needed to run
 *
 * Bytes that came from a peer may stand in a line: control bytes are written as `?`, so that a line is a line. Thread-safe. */
#ifndef UPGATE_GATEWAY_LOG_H
#define UPGATE_GATEWAY_LOG_H

#include "conf/conf.h"

#define LOG_LINE_BYTES 1024              /* a longer line is cut */

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

void log_set_level(enum conf_log_level level);
bool log_enabled(enum conf_log_level level);

/* Bytes of a peer as text for a line: control bytes and backslashes become \xNN, and so does what is not UTF-8. What does not fit is
 * left out, and `…` says so. Returns out. */
const char *log_quote(struct span bytes, char *out, size_t size);

/* Where whole lines go, newline included. NULL: standard error. */
typedef void log_sink_fn(void *ctx, const char *line, size_t n);
void log_set_sink(log_sink_fn *sink, void *ctx);

#endif
