#include "gateway/poller.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define BLOCK_SLOTS 1024                 /* 16 KiB: they are never given back, and should not stand between what is */
#define BLOCKS_LEAST 16
#define GUEST UINT64_MAX                 /* stands for libuv's epoll where a socket has generation and descriptor */

struct poller_slot {
    void *who;                           /* NULL: nobody; of a listening socket: its watch */
    uint32_t generation;
    bool listening;
};

/* Of a descriptor that was added once. */
static struct poller_slot *slot_of(const struct poller *p, size_t fd)
{
    return &p->blocks[fd / BLOCK_SLOTS][fd % BLOCK_SLOTS];
}

static unsigned news_of(uint32_t events)
{
    unsigned news = 0;

    news |= (events & EPOLLIN) != 0 ? POLLER_IN : 0;
    news |= (events & EPOLLOUT) != 0 ? POLLER_OUT : 0;
    news |= (events & (EPOLLRDHUP | EPOLLHUP)) != 0 ? POLLER_END : 0;
    news |= (events & EPOLLERR) != 0 ? POLLER_ERROR : 0;
    news |= (events & EPOLLPRI) != 0 ? POLLER_URGENT : 0;
    return news;
}

static void tell(struct poller *p, const struct epoll_event *e)
{
    size_t fd = (size_t)(e->data.u64 & UINT32_MAX);
    const struct poller_slot *slot = slot_of(p, fd);

    if (slot->who == NULL || slot->generation != e->data.u64 >> 32)
        return;
    if (slot->listening)
        ((struct watch *)slot->who)->news(slot->who, news_of(e->events));
    else
        p->news(slot->who, news_of(e->events));
}

/* True when the guest has news, too. */
static bool wait_and_tell(struct poller *p, int timeout_ms)
{
    int n = epoll_wait(p->fd, p->found, POLLER_EVENTS_MAX, timeout_ms);
    bool guest = false;

    p->turns++;
    uv_update_time(p->uv);
    for (int i = 0; i < n; i++) {
        if (p->found[i].data.u64 == GUEST)
            guest = true;
        else
            tell(p, &p->found[i]);
    }
    return guest;
}

static void on_news(uv_poll_t *handle, int status, int events)
{
    (void)status;
    (void)events;
    wait_and_tell(handle->data, 0);
}

/* uv_backend_timeout is 0 when libuv has something to do without any descriptor's news: to close, to begin to watch, a timer. */
void poller_turn(struct poller *p, int timeout_ms)
{
    int guest_ms = uv_backend_timeout(p->uv);

    if (guest_ms >= 0 && (timeout_ms < 0 || guest_ms < timeout_ms))
        timeout_ms = guest_ms;
    if (wait_and_tell(p, timeout_ms) || uv_backend_timeout(p->uv) == 0)
        uv_run(p->uv, UV_RUN_NOWAIT);
}

int poller_lead(struct poller *p)
{
    struct epoll_event e = { .events = EPOLLIN, .data.u64 = GUEST };

    uv_poll_stop(&p->handle);
    return epoll_ctl(p->fd, EPOLL_CTL_ADD, uv_backend_fd(p->uv), &e) == 0 ? 0 : -errno;
}

int poller_init(struct poller *p, uv_loop_t *uv, void (*news)(void *who, unsigned news))
{
    int error = -ENOMEM;

    *p = (struct poller){ .uv = uv, .news = news, .found = mem_alloc(POLLER_EVENTS_MAX * sizeof(*p->found)) };
    if (p->found == NULL)
        return error;
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    error = -errno;
    if (p->fd < 0)
        goto fail_found;
    error = uv_poll_init(uv, &p->handle, p->fd);
    if (error != 0)
        goto fail_fd;
    p->handle.data = p;
    return uv_poll_start(&p->handle, UV_READABLE, on_news);
fail_fd:
    close(p->fd);
fail_found:
    mem_free(p->found);
    return error;
}

static void free_block(struct poller_slot *block)
{
    for (size_t i = 0; block != NULL && i < BLOCK_SLOTS; i++)
        assert(block[i].who == NULL);
    mem_free(block);
}

void poller_close(struct poller *p)
{
    for (size_t i = 0; i < p->blocks_n; i++)
        free_block(p->blocks[i]);
    uv_close((uv_handle_t *)&p->handle, NULL);
    close(p->fd);
    mem_free(p->blocks);
    mem_free(p->found);
    p->blocks = NULL;
    p->blocks_n = 0;
}

static int make_room_for_blocks(struct poller *p, size_t block)
{
    size_t n = p->blocks_n > 0 ? p->blocks_n : BLOCKS_LEAST;
    struct poller_slot **grown;

    if (block < p->blocks_n)
        return 0;
    while (n <= block)
        n *= 2;
    grown = mem_realloc(p->blocks, n * sizeof(*grown));
    if (grown == NULL)
        return -ENOMEM;
    for (size_t i = p->blocks_n; i < n; i++)
        grown[i] = NULL;
    p->blocks = grown;
    p->blocks_n = n;
    return 0;
}

static int make_room(struct poller *p, size_t fd)
{
    size_t block = fd / BLOCK_SLOTS;
    int error = make_room_for_blocks(p, block);

    if (error == 0 && p->blocks[block] == NULL)
        p->blocks[block] = mem_zalloc(BLOCK_SLOTS * sizeof(struct poller_slot));
    return error == 0 && p->blocks[block] == NULL ? -ENOMEM : error;
}

static uint64_t identity(const struct poller *p, int fd)
{
    return (uint64_t)slot_of(p, (size_t)fd)->generation << 32 | (uint32_t)fd;
}

static int enter(struct poller *p, void *who, bool listening, int fd, uint32_t events)
{
    struct epoll_event e = { .events = events };
    struct poller_slot *slot;
    int error = make_room(p, (size_t)fd);

    if (error != 0)
        return error;
    slot = slot_of(p, (size_t)fd);
    assert(slot->who == NULL);
    slot->generation++;
    e.data.u64 = identity(p, fd);
    if (epoll_ctl(p->fd, EPOLL_CTL_ADD, fd, &e) != 0)
        return -errno;
    slot->who = who;
    slot->listening = listening;
    return 0;
}

int poller_add(struct poller *p, void *who, int fd)
{
    return enter(p, who, false, fd, EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}

/* Closing the descriptor takes it out of the epoll. Where a copy of it lives on for a moment (a process is being started), its news
 * finds an empty slot, or another generation. */
void poller_forget(struct poller *p, int fd)
{
    slot_of(p, (size_t)fd)->who = NULL;
}

int poller_add_listening(struct poller *p, struct watch *w, int fd)
{
    return enter(p, w, true, fd, EPOLLIN);
}

void poller_rest_listening(struct poller *p, int fd, bool rest)
{
    struct epoll_event e = { .events = rest ? 0 : EPOLLIN, .data.u64 = identity(p, fd) };

    epoll_ctl(p->fd, EPOLL_CTL_MOD, fd, &e);
}

/* Workers that share a listening socket have copies of its descriptor: one that was closed would be told of for ever. */
void poller_forget_listening(struct poller *p, int fd)
{
    struct epoll_event unused = { 0 };

    epoll_ctl(p->fd, EPOLL_CTL_DEL, fd, &unused);
    poller_forget(p, fd);
}
