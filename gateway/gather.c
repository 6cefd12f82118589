#include "gateway/gather.h"
#include "gateway/unnamed.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FIRST_BYTES 4096

struct gather {
    struct gather_limits limits;
    int error;                           /* of adding, sticky */
    uint64_t bytes;                      /* that were added */
    uint8_t *memory;                     /* the first bytes */
    size_t memory_n, memory_size;
    bool has_file;
    int fd;                              /* the rest */
    uint64_t file_n;                     /* bytes written to it */
    uint8_t *window;                     /* of the file: what is to be written, then what was read */
    size_t window_n;
    uint64_t window_at;                  /* while reading: where in the file the window begins */
    uint64_t read;                       /* so many bytes were consumed */
};

struct gather *gather_new(const struct gather_limits *limits)
{
    struct gather *g = mem_zalloc(sizeof(*g));

    if (g != NULL)
        g->limits = *limits;
    return g;
}

void gather_free(struct gather **g)
{
    struct gather *taken = *g;

    *g = NULL;
    if (taken == NULL)
        return;
    if (taken->has_file)
        close(taken->fd);
    mem_free(taken->memory);
    mem_free(taken->window);
    mem_free(taken);
}

uint64_t gather_bytes(const struct gather *g)
{
    return g->bytes;
}

bool gather_has_file(const struct gather *g)
{
    return g->has_file;
}

/* ---- adding ---- */

static int write_window(struct gather *g)
{
    int error;

    if (!g->has_file) {
        g->fd = unnamed_open(g->limits.folder);
        if (g->fd < 0)
            return g->fd;
        g->has_file = true;
    }
    error = unnamed_write(g->fd, span_of(g->window, g->window_n), g->file_n);
    if (error != 0)
        return error;
    g->file_n += g->window_n;
    g->window_n = 0;
    return 0;
}

static bool grow_memory(struct gather *g, size_t wanted)
{
    size_t size = g->memory_size == 0 ? FIRST_BYTES : 2 * g->memory_size;
    uint8_t *grown;

    if (wanted <= g->memory_size)
        return true;
    if (size < wanted)
        size = wanted;
    if (size > g->limits.memory_bytes)
        size = (size_t)g->limits.memory_bytes;
    grown = mem_realloc(g->memory, size);
    if (grown == NULL)
        return false;
    g->memory = grown;
    g->memory_size = size;
    return true;
}

/* Bytes of data that went to memory, or negative errno. */
static ssize_t add_to_memory(struct gather *g, struct span data)
{
    data = span_first(data, (size_t)g->limits.memory_bytes - g->memory_n);
    if (data.n == 0)
        return 0;
    if (!grow_memory(g, g->memory_n + data.n))
        return -ENOMEM;
    memcpy(g->memory + g->memory_n, data.p, data.n);
    g->memory_n += data.n;
    return (ssize_t)data.n;
}

static int add_to_file(struct gather *g, struct span data)
{
    if (data.n > 0 && g->window == NULL)
        g->window = mem_alloc(GATHER_WINDOW_BYTES);
    if (data.n > 0 && g->window == NULL)
        return -ENOMEM;
    while (data.n > 0) {
        struct span part = span_first(data, GATHER_WINDOW_BYTES - g->window_n);
        int error;
        memcpy(g->window + g->window_n, part.p, part.n);
        g->window_n += part.n;
        data = span_from(data, part.n);
        error = g->window_n == GATHER_WINDOW_BYTES ? write_window(g) : 0;
        if (error != 0)
            return error;
    }
    return 0;
}

int gather_add(struct gather *g, struct span data)
{
    ssize_t n;

    if (g->error == 0 && data.n > g->limits.bytes - g->bytes)
        g->error = -EFBIG;
    if (g->error != 0)
        return g->error;
    n = add_to_memory(g, data);
    g->error = n < 0 ? (int)n : add_to_file(g, span_from(data, (size_t)n));
    g->bytes += data.n;
    return g->error;
}

int gather_end(struct gather *g)
{
    if (g->error == 0 && g->window_n > 0)
        g->error = write_window(g);
    return g->error;
}

/* ---- reading ---- */

void gather_rewind(struct gather *g)
{
    g->read = 0;
}

static int read_window(struct gather *g, uint64_t at)
{
    int n = unnamed_read(g->fd, g->window, GATHER_WINDOW_BYTES, at);

    if (n < 0)
        return n;
    g->window_at = at;
    g->window_n = (size_t)n;
    return 0;
}

int gather_peek(struct gather *g, struct span *out)
{
    uint64_t at = g->read - g->memory_n;
    int error = 0;

    *out = SPAN_EMPTY;
    if (g->read < g->memory_n) {
        *out = span_of(g->memory + g->read, g->memory_n - (size_t)g->read);
        return 0;
    }
    if (at >= g->file_n)
        return 0;
    if (at < g->window_at || at - g->window_at >= g->window_n)
        error = read_window(g, at);
    if (error == 0)
        *out = span_from(span_of(g->window, g->window_n), (size_t)(at - g->window_at));
    return error;
}

void gather_consume(struct gather *g, size_t n)
{
    assert(n <= g->memory_n + g->file_n - g->read);
    g->read += n;
}
