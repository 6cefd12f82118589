/* log_writer: lines on their way into one file, pipe or terminal, which a thread of its own writes: a disk that stalls, or a reader that does not
 * read, stops that thread and nobody else.
 *
 * Each thread that has lines has a ring of its own, of LOG_WRITER_BYTES, and puts whole lines into it: no lock, and a system call only where
 * the writer sleeps. The writer writes at once what woke it, then lingers for LOG_WRITER_LINGER_MS: what comes meanwhile goes out with one
 * call. Lines of one ring keep their order; a line is never cut by another of this process.
 *
 * What can go wrong: the ring is full (the line is lost, counted, and said in the log, with the number when writing works again); the disk is
 * full or the reader is gone (said, and tried again every LOG_WRITER_RETRY_MS); the file cannot be reopened (the old one is kept). What
 * was taken is written when the writer is closed, and when the process aborts, as far as that is done in time. tests/gateway/test_log_writer.c */
#ifndef UPGATE_GATEWAY_LOG_WRITER_H
#define UPGATE_GATEWAY_LOG_WRITER_H

#include <stdbool.h>
#include <stddef.h>

#define LOG_WRITER_BYTES 262144
#define LOG_WRITER_LINGER_MS 10
#define LOG_WRITER_RETRY_MS 50
#define LOG_WRITER_CLOSE_MS 2000         /* then whoever closes goes on without it */

struct log_writer;

/* A path, "stdout", or "stderr" (of which the writer says nothing: whoever puts into it is the log); so many rings. NULL: *error_out is negative errno. */
struct log_writer *log_writer_open(const char *to, unsigned rings, int *error_out);
/* Begins to write, in a thread that the sandbox of this one holds, too. 0 or negative errno. */
int log_writer_start(struct log_writer *w);
/* A whole line, newline included; one thread at a time for each ring. false: there is no room, it is lost and counted. */
bool log_writer_put(struct log_writer *w, unsigned ring, const char *line, size_t n);
/* After rotation: what is not written yet goes into the file that has the name now. NULL-safe. */
void log_writer_reopen(struct log_writer *w);
/* Waits until what was taken is written, at most so long; before it is started, whoever calls writes. false: it is not. Safe in a signal handler. */
bool log_writer_flush(struct log_writer *w, unsigned limit_ms);
/* Writes what it holds; nobody puts any more. NULL-safe. */
void log_writer_close(struct log_writer *w);

#endif
