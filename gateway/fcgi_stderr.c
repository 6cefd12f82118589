#include "gateway/fcgi_stderr.h"
#include "gateway/log.h"

#include <inttypes.h>
#include <string.h>

#define LINE_BYTES 600                   /* a longer line becomes two: each has to fit into a line of the log */
#define TARGET_BYTES 120
#define QUOTED_BYTES (4 * LINE_BYTES + 1)

static void put_line(const struct fcgi_stderr *e, const char *text)
{
    struct span target = span_first(e->target, TARGET_BYTES);

    log_warn("upstream %s server %s: stderr of %.*s %.*s: %s", e->upstream, e->server, (int)e->method.n, (const char *)e->method.p,
             (int)target.n, (const char *)target.p, text);
}

static void end_line(struct fcgi_stderr *e)
{
    char text[QUOTED_BYTES];
    size_t n = e->line_n;

    e->line_n = 0;
    if (n > 0 && e->line[n - 1] == '\r')
        n--;
    if (n > 0)
        put_line(e, log_quote(span_of(e->line, n), text, sizeof(text)));
}

static void take_part(struct fcgi_stderr *e, struct span part)
{
    while (part.n > 0) {
        struct span piece = span_first(part, LINE_BYTES - e->line_n);
        memcpy(e->line + e->line_n, piece.p, piece.n);
        e->line_n += piece.n;
        part = span_from(part, piece.n);
        if (e->line_n == LINE_BYTES)
            end_line(e);
    }
}

void fcgi_stderr_take(struct fcgi_stderr *e, struct span data)
{
    uint64_t room = e->bytes < e->limit_bytes ? e->limit_bytes - e->bytes : 0;

    metrics_add(&e->metrics->fcgi_stderr_bytes, data.n);
    e->bytes += data.n;
    if (data.n > room)
        data = span_first(data, (size_t)room);
    if (data.n > 0 && e->line == NULL)
        e->line = arena_alloc(e->arena, LINE_BYTES);
    while (data.n > 0 && e->line != NULL) {
        size_t n = span_find(data, '\n');
        take_part(e, span_first(data, n));
        if (n < data.n)
            end_line(e);
        data = span_from(data, n + 1);
    }
}

void fcgi_stderr_end(struct fcgi_stderr *e)
{
    char text[64];

    if (e->line_n > 0)
        end_line(e);
    if (e->bytes <= e->limit_bytes || e->limit_bytes == 0)
        return;
    snprintf(text, sizeof(text), "[%" PRIu64 " bytes more were dropped]", e->bytes - e->limit_bytes);
    put_line(e, text);
}
