#include "gateway/race.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

static void run_next(struct race *r);

void race_order(struct sockaddr_storage *addresses, size_t n)
{
    struct sockaddr_storage moved;

    for (size_t i = 1; i < n; i++) {
        size_t other = i;
        while (other < n && addresses[other].ss_family == addresses[i - 1].ss_family)
            other++;
        if (other == n)
            return;
        moved = addresses[other];
        memmove(&addresses[i + 1], &addresses[i], (other - i) * sizeof(moved));
        addresses[i] = moved;
    }
}

/* ---- the end ---- */

void race_end(struct race *r)
{
    timer_clear(r->timers, &r->pace);
    ready_cancel(&r->ready);
    for (size_t i = 0; i < r->next; i++)
        stream_close(&r->runners[i].stream);
    stream_close(&r->winner);
    r->n = r->next = r->running = 0;
}

static void won(struct race *r, struct stream *s)
{
    race_end(r);
    r->over(r, s, 0);
}

static void on_ready(struct ready *ready)
{
    struct race *r = LIST_OWNER(ready, struct race, ready);
    int error = r->last_error;

    if (r->winner != NULL) {
        won(r, stream_take(&r->winner));
        return;
    }
    race_end(r);
    r->over(r, NULL, error);
}

/* ---- one runner ---- */

static void hear_nothing(void *ctx)
{
    (void)ctx;
}

static void on_decided(void *ctx)
{
    struct race_runner *runner = ctx;
    struct race *r = runner->race;

    if (runner->stream == NULL)
        return;                          /* the winner, about to be told */
    if (runner->stream->output_error == 0) {
        won(r, stream_take(&runner->stream));
        return;
    }
    r->last_error = runner->stream->output_error;
    stream_close(&runner->stream);
    r->running--;
    run_next(r);
}

static const struct stream_events runner_events = { .readable = hear_nothing, .writable = on_decided };

static socklen_t address_size(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET)
        return sizeof(struct sockaddr_in);
    if (a->ss_family == AF_INET6)
        return sizeof(struct sockaddr_in6);
    return sizeof(struct sockaddr_un);
}

/* We speak first, and at once: so the handshake's last packet may wait for the first bytes and go out as one with them (or by itself, after the
 * kernel's 200 ms at most). The stream ends that mode with its first write. */
static void socket_options(int fd, int family)
{
    int zero = 0, one = 1;

    if (family == AF_UNIX)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &zero, sizeof(zero));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

/* 1 = connected at once, 0 = under way, <0 = failed. */
static int start(struct race *r, const struct sockaddr_storage *to, struct race_runner *runner)
{
    int fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = 0;
    bool at_once;

    if (fd < 0)
        return -errno;
    socket_options(fd, to->ss_family);
    at_once = connect(fd, (const struct sockaddr *)to, address_size(to)) == 0;
    if (!at_once && errno != EINPROGRESS) {
        error = -errno;
        close(fd);
        return error;
    }
    runner->stream = at_once ? stream_uv_new(r->loop, fd, &error) : stream_uv_new_connecting(r->loop, fd, &error);
    if (runner->stream == NULL)
        return error;
    runner->race = r;
    stream_own(runner->stream, &runner_events, runner);
    return at_once;
}

/* ---- one after another ---- */

static void run_next(struct race *r)
{
    timer_clear(r->timers, &r->pace);
    while (r->next < r->n && r->winner == NULL) {
        struct race_runner *runner = &r->runners[r->next];
        int rv = start(r, &r->addresses[r->next++], runner);
        if (rv == 0) {
            r->running++;
            if (r->next < r->n)
                timer_start(r->timers, &r->pace, RACE_PACE_MS);
            return;
        }
        if (rv > 0)
            r->winner = stream_take(&runner->stream);
        else
            r->last_error = rv;
    }
    if (r->winner != NULL || r->running == 0)
        ready_add(r->loop->ready, &r->ready);
}

static void on_pace(struct timer *t, uint64_t now_ms)
{
    (void)now_ms;
    run_next(LIST_OWNER(t, struct race, pace));
}

void race_init(struct race *r, struct stream_uv_loop *loop, struct timers *timers,
               void (*over)(struct race *r, struct stream *stream, int error))
{
    memset(r, 0, offsetof(struct race, addresses));
    r->loop = loop;
    r->timers = timers;
    r->over = over;
    timer_init(&r->pace, on_pace);
    ready_init(&r->ready, on_ready);
}

void race_run(struct race *r, const struct sockaddr_storage *addresses, size_t n, int error)
{
    r->n = n < RACE_ADDRESSES ? n : RACE_ADDRESSES;
    r->last_error = error;
    memcpy(r->addresses, addresses, r->n * sizeof(*addresses));
    race_order(r->addresses, r->n);
    run_next(r);
}
