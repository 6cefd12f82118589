/* The FastCGI tool's way to the server, and its clock: each wait ends when nothing moved for too long, or at the end of it all.
 * (A name is looked up as the C library does it, with the library's own limits.) */
#include "gateway/fcgi_tool_parts.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define AGAIN_MS 10                      /* a UNIX socket's backlog is full: it cannot be waited for */

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

void fcgi_tool_clock_start(struct fcgi_tool_clock *c, const struct fcgi_tool_options *o)
{
    uint64_t now = now_ms();

    *c = (struct fcgi_tool_clock){ now, o->timeout_ms, o->total_ms > 0 ? now + o->total_ms : UINT64_MAX };
}

void fcgi_tool_clock_moved(struct fcgi_tool_clock *c)
{
    c->moved_ms = now_ms();
}

int fcgi_tool_clock_left(const struct fcgi_tool_clock *c)
{
    uint64_t end = c->moved_ms + c->timeout_ms, now = now_ms();

    if (c->end_ms < end)
        end = c->end_ms;
    if (end <= now)
        return 0;
    return end - now < INT_MAX ? (int)(end - now) : INT_MAX;
}

/* 0, or an errno. */
static int await_connection(int fd, const struct fcgi_tool_clock *c)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    int error = 0, ready, left;
    socklen_t n = sizeof(error);

    do
        ready = (left = fcgi_tool_clock_left(c)) > 0 ? poll(&p, 1, left) : 0;
    while (ready < 0 && errno == EINTR);
    if (ready == 0)
        return ETIMEDOUT;
    if (ready < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        return errno;
    return error;
}

static int connect_to(int fd, const struct sockaddr *to, socklen_t n, const struct fcgi_tool_clock *c)
{
    while (connect(fd, to, n) != 0) {
        if (errno == EINPROGRESS)
            return await_connection(fd, c);
        if (errno != EAGAIN && errno != EINTR)
            return errno;
        if (fcgi_tool_clock_left(c) == 0)
            return ETIMEDOUT;
        poll(NULL, 0, AGAIN_MS);
    }
    return 0;
}

/* A descriptor, or a negative errno. */
static int open_to(const struct sockaddr *to, socklen_t n, const struct fcgi_tool_clock *c)
{
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = fd < 0 ? errno : connect_to(fd, to, n, c), one = 1;

    if (error == 0 && to->sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (error == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -error;
}

static int connect_unix(const char *path, const struct fcgi_tool_clock *c)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof(to.sun_path))     /* the configuration's reader has looked */
        return -ENAMETOOLONG;
    memcpy(to.sun_path, path, strlen(path) + 1);
    return open_to((const struct sockaddr *)&to, sizeof(to), c);
}

/* One address of the name after the other. */
static int connect_any(const struct addrinfo *list, const struct fcgi_tool_clock *c)
{
    int fd = -EADDRNOTAVAIL;

    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        fd = open_to(a->ai_addr, a->ai_addrlen, c);
    return fd;
}

enum fcgi_tool_exit fcgi_tool_connect(const struct conf_address *to, struct fcgi_tool_clock *c, int *fd_out)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    struct addrinfo *list = NULL;
    char port[16];
    int error;

    if (to->kind == CONF_ADDRESS_UNIX) {
        *fd_out = connect_unix(to->path, c);
    } else {
        snprintf(port, sizeof(port), "%u", to->port);
        error = getaddrinfo(to->host, port, &hints, &list);
        if (error != 0)
            return fcgi_tool_say(FCGI_TOOL_RESOLVE, "%s: %s", to->host, gai_strerror(error));
        *fd_out = connect_any(list, c);
        freeaddrinfo(list);
    }
    if (*fd_out == -ETIMEDOUT)
        return fcgi_tool_say(FCGI_TOOL_TIMEOUT, "no connection to %s in time", to->text);
    if (*fd_out < 0)
        return fcgi_tool_say(FCGI_TOOL_CONNECT, "no connection to %s: %s", to->text, strerror(-*fd_out));
    fcgi_tool_clock_moved(c);
    return FCGI_TOOL_GOOD;
}
