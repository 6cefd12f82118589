/* log: four verbs and one sink. Lines go to standard error, or to whatever a test hands in.
 *
 *   error  the operator must act         warn  the operator should know
 *   info   what a quiet day looks like   debug everything; never needed to run
 *
 * Bytes that came from a peer may stand in a line: control bytes are written as `?`, so that a line is a line. Thread-safe.
 *
 * Nobody waits for a reader or a disk: a line that standard error does not take at once is dropped and counted, and the next one that it takes
 * says how many are missing. Where standard error is a file, a log_writer takes the lines once log_start was called. Nor does one fault fill a disk: of one line (error, warn) not more than LOG_REPEATS are written in LOG_REPEATS_S seconds, of
 * one kind of line (info) not more than LOG_OF_A_KIND in a second; what is left out is counted, and said with the next that is written.
 * tests/gateway/test_log.c */
#ifndef UPGATE_GATEWAY_LOG_H
#define UPGATE_GATEWAY_LOG_H

#include "conf/conf.h"
#include "gateway/text.h"

#define LOG_LINE_BYTES 1024              /* a longer line is cut */
#define LOG_REPEATS 20
#define LOG_REPEATS_S 10
#define LOG_OF_A_KIND 200
#define LOG_RECENT 32                    /* errors and warnings that are kept in mind */

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* While there are threads that must not wait for a disk. 0 or negative errno; log_end may be called without it. */
int log_start(void);
void log_end(void);

void log_set_level(enum conf_log_level level);
bool log_enabled(enum conf_log_level level);

/* Bytes of a peer as text for a line: control bytes and backslashes become \xNN, and so does what is not UTF-8. What does not fit is
 * left out, and `…` says so. Returns out. */
const char *log_quote(struct span bytes, char *out, size_t size);

/* Where whole lines go, newline included. NULL: standard error. */
typedef void log_sink_fn(void *ctx, const char *line, size_t n);
void log_set_sink(log_sink_fn *sink, void *ctx);

/* The last errors and warnings, newest first, as the items of a JSON array: when (seconds since 1970), what kind, how often, in words. */
void log_recent(struct text *out);
/* Lines that were not written: nobody read standard error; or there were too many like them. */
void log_lost(uint64_t *dropped_out, uint64_t *repeats_out);
/* This thread's errors and warnings are written to *into, too, a line each; NULL: no longer. */
void log_overhear(struct text *into);

#endif
