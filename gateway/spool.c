#include "gateway/spool.h"
#include "gateway/unnamed.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define FIRST_BYTES 4096

uint64_t spool_bytes(const struct spool *s)
{
    return s->n + s->file_n;
}

void spool_free(struct spool *s)
{
    mem_free(s->memory);
    if (s->has_file)
        close(s->fd);
    *s = (struct spool){ .at = 0 };
}

/* Room for n bytes behind those in memory. */
static bool make_room(struct spool *s, size_t n, size_t most)
{
    size_t size = s->size == 0 ? FIRST_BYTES : s->size;
    uint8_t *grown;

    if (s->at > 0 && s->n > 0)
        memmove(s->memory, s->memory + s->at, s->n);
    s->at = 0;
    while (size < s->n + n)
        size *= 2;
    if (size > most)
        size = most;
    if (size <= s->size)
        return true;
    grown = mem_realloc(s->memory, size);
    if (grown == NULL)
        return false;
    s->memory = grown;
    s->size = size;
    return true;
}

static int add_to_file(struct spool *s, const struct spool_limits *limits, struct span data)
{
    int error;

    if (data.n > limits->file_bytes - (s->file_n < limits->file_bytes ? s->file_n : limits->file_bytes))
        return -EFBIG;
    if (!s->has_file) {
        s->fd = unnamed_open(limits->folder);
        if (s->fd < 0)
            return s->fd;
        s->has_file = true;
    }
    error = unnamed_write(s->fd, data, s->file_at + s->file_n);
    if (error == 0)
        s->file_n += data.n;
    return error;
}

int spool_add(struct spool *s, const struct spool_limits *limits, struct span data)
{
    assert(limits->memory_bytes >= SPOOL_WINDOW_BYTES);
    if (s->file_n > 0 || data.n > limits->memory_bytes - s->n)
        return add_to_file(s, limits, data);
    if (!make_room(s, data.n, limits->memory_bytes))
        return -ENOMEM;
    memcpy(s->memory + s->n, data.p, data.n);
    s->n += data.n;
    return 0;
}

/* The next piece of the file goes to memory; an empty one begins again. */
static int fill_from_file(struct spool *s)
{
    size_t n = s->file_n < SPOOL_WINDOW_BYTES ? (size_t)s->file_n : SPOOL_WINDOW_BYTES;
    int got;

    if (!make_room(s, n, SPOOL_WINDOW_BYTES))
        return -ENOMEM;
    got = unnamed_read(s->fd, s->memory, n, s->file_at);
    if (got < 0)
        return got;
    s->n = (size_t)got;
    s->file_at += (uint64_t)got;
    s->file_n -= (uint64_t)got;
    if (s->file_n > 0)
        return 0;
    close(s->fd);
    s->has_file = false;
    s->file_at = 0;
    return 0;
}

int spool_peek(struct spool *s, struct span *out)
{
    int error = s->n == 0 && s->file_n > 0 ? fill_from_file(s) : 0;

    *out = error == 0 && s->n > 0 ? span_of(s->memory + s->at, s->n) : SPAN_EMPTY;
    return error;
}

void spool_consume(struct spool *s, size_t n)
{
    assert(n <= s->n);
    s->at += n;
    s->n -= n;
    if (s->n == 0 && s->file_n == 0)
        spool_free(s);
}
