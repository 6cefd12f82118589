#include "gateway/pipes.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static struct pipe *open_pipe(struct pipes *pool)
{
    struct pipe *p;
    int fds[2];

    if (pool->refused || pool->open >= PIPES_MAX || pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0)
        return NULL;
    p = mem_zalloc(sizeof(*p));
    /* Past what a user may have in pipes the kernel refuses, and a pipe of one page is no help. */
    if (p == NULL || fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES) < 0) {
        close(fds[0]);
        close(fds[1]);
        mem_free(p);
        return NULL;
    }
    p->out = fds[0];
    p->in = fds[1];
    pool->open++;
    return p;
}

static void close_pipe(struct pipes *pool, struct pipe *p)
{
    close(p->in);
    close(p->out);
    mem_free(p);
    pool->open--;
}

struct pipe *pipes_get(struct pipes *pool)
{
    struct pipe *p = pool->kept;

    if (p == NULL)
        return open_pipe(pool);
    pool->kept = p->next;
    pool->kept_n--;
    return p;
}

void pipes_put(struct pipes *pool, struct pipe **pipe)
{
    struct pipe *p = *pipe;

    *pipe = NULL;
    if (p == NULL)
        return;
    if (p->n > 0 || pool->kept_n >= PIPES_KEPT) {
        close_pipe(pool, p);
        return;
    }
    p->before = 0;
    p->next = pool->kept;
    pool->kept = p;
    pool->kept_n++;
}

void pipes_close(struct pipes *pool)
{
    while (pool->kept != NULL) {
        struct pipe *p = pool->kept;
        pool->kept = p->next;
        close_pipe(pool, p);
    }
    assert(pool->open == 0);
}

static ssize_t move(int from, int to, size_t n)
{
    ssize_t moved;

    do
        moved = splice(from, NULL, to, NULL, n, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    while (moved < 0 && errno == EINTR);
    return moved < 0 ? -errno : moved;
}

ssize_t pipe_fill(struct pipe *p, int from, size_t n)
{
    ssize_t moved = move(from, p->in, n);

    if (moved > 0)
        p->n += (size_t)moved;
    return moved;
}

ssize_t pipe_empty(struct pipe *p, int to, size_t n)
{
    ssize_t moved = move(p->out, to, n < p->n ? n : p->n);

    if (moved > 0)
        p->n -= (size_t)moved;
    return moved;
}
