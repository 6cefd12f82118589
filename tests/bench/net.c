#include "tests/bench/net.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN 256
#define BACKLOG 4096

uint8_t net_scratch[NET_SCRATCH_BYTES];
static int epoll_fd = -1;
static struct peer *closed, *again;
static struct in_addr target;            /* 0: 127.0.0.1 */

void net_fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

void net_init(void)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        net_fail("epoll");
}

void *net_alloc(size_t n)
{
    void *p = calloc(1, n);

    if (p == NULL)
        net_fail("memory");
    return p;
}

uint64_t net_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void free_closed(void)
{
    while (closed != NULL) {
        struct peer *p = closed;
        closed = p->next_closed;
        free(p);
    }
}

void net_again(struct peer *p)
{
    if (p->again)
        return;
    p->again = true;
    p->next_again = again;
    again = p;
}

static void forget_again(struct peer *p)
{
    struct peer **at = &again;

    if (!p->again)
        return;
    while (*at != p)
        at = &(*at)->next_again;
    *at = p->next_again;
    p->again = false;
}

/* The first of them that waits for input; each is called once a turn, since what is called again goes to the front. */
static struct peer *next_again(struct peer *from)
{
    while (from != NULL && (from->watched & EPOLLIN) == 0)
        from = from->next_again;
    return from;
}

static bool call_again(void)
{
    struct peer *p, *next;
    bool some = false;

    for (p = next_again(again); p != NULL && p->again; p = next) {
        next = next_again(p->next_again);
        forget_again(p);
        p->event(p, EPOLLIN);
        some = true;
    }
    return some;
}

void net_turn(int timeout_ms)
{
    net_turn_ns((uint64_t)timeout_ms * 1000000);
}

void net_turn_ns(uint64_t timeout_ns)
{
    struct epoll_event events[EVENTS_PER_TURN];
    uint64_t wait_ns = call_again() ? 0 : timeout_ns;
    const struct timespec wait = { .tv_sec = (time_t)(wait_ns / 1000000000), .tv_nsec = (long)(wait_ns % 1000000000) };
    int n = epoll_pwait2(epoll_fd, events, EVENTS_PER_TURN, &wait, NULL);

    if (n < 0 && errno != EINTR)
        net_fail("epoll_wait");
    for (int i = 0; i < n; i++) {
        struct peer *p = events[i].data.ptr;
        if (p->fd >= 0)
            p->event(p, events[i].events);
    }
    free_closed();
}

void net_watch_fd(struct peer *p, int fd, uint32_t events, void (*event)(struct peer *p, uint32_t events))
{
    struct epoll_event e = { .events = events, .data.ptr = p };

    p->fd = fd;
    p->watched = events;
    p->event = event;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) != 0)
        net_fail("epoll_ctl");
}

void net_watch(struct peer *p, uint32_t events)
{
    struct epoll_event e = { .events = events, .data.ptr = p };

    if (events == p->watched)
        return;
    p->watched = events;
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, p->fd, &e) != 0)
        net_fail("epoll_ctl");
}

void net_close(struct peer *p)
{
    if (p->fd < 0)
        return;
    forget_again(p);
    if (p->layer != NULL)
        p->layer->close(p);
    close(p->fd);
    p->fd = -1;
    p->next_closed = closed;
    closed = p;
}

void net_reset(struct peer *p)
{
    if (p->fd >= 0)
        setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1, .l_linger = 0 }, sizeof(struct linger));
    net_close(p);
}

static struct sockaddr_in loopback(unsigned port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)
    };
}

static int new_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        net_fail("socket");
    return fd;
}

static void no_delay(int fd)
{
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

int net_listen(unsigned *port_out)
{
    struct sockaddr_in a = loopback(0);
    socklen_t n = sizeof(a);
    int fd = new_socket();

    if (bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, BACKLOG) != 0 || getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        net_fail("listen");
    *port_out = ntohs(a.sin_port);
    return fd;
}

int net_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0)
        no_delay(fd);
    else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
        net_fail("accept");
    return fd;
}

void net_set_address(struct in_addr address)
{
    target = address;
}

int net_connect(unsigned port)
{
    struct sockaddr_in a = loopback(port);
    int fd = new_socket();

    if (target.s_addr != 0)
        a.sin_addr = target;
    no_delay(fd);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0 && errno != EINPROGRESS)
        net_fail("connect");
    return fd;
}

ssize_t net_read(struct peer *p, void *to, size_t room)
{
    ssize_t n;

    if (p->layer != NULL)
        return p->layer->read(p, to, room);
    n = read(p->fd, to, room);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? -1 : 0;
    return n;
}

ssize_t net_send(struct peer *p, const void *from, size_t n)
{
    ssize_t sent;

    if (p->layer != NULL)
        return p->layer->send(p, from, n);
    sent = send(p->fd, from, n, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    return sent;
}
