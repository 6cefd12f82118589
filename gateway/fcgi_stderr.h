/* fcgi_stderr: what a FastCGI application writes to its error stream, as lines of the log that name the request.
 *
 * Whatever comes is counted; what one request may have in the log is bounded, and how much was dropped is said once, at its end. */
#ifndef UPGATE_GATEWAY_FCGI_STDERR_H
#define UPGATE_GATEWAY_FCGI_STDERR_H

#include "gateway/metrics.h"
#include "protocol/arena.h"
#include "protocol/span.h"

struct fcgi_stderr {
    const char *upstream, *server;       /* how each line begins; all four are borrowed */
    struct span method, target;
    uint64_t limit_bytes;                /* 0: nothing is logged */
    struct arena *arena;                 /* for the open line */
    struct metrics *metrics;
    uint64_t bytes;                      /* that came */
    uint8_t *line;
    size_t line_n;
};

void fcgi_stderr_take(struct fcgi_stderr *e, struct span data);
void fcgi_stderr_end(struct fcgi_stderr *e);     /* the line that was not ended, and how much was dropped */

#endif
