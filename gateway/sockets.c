#include "gateway/sockets.h"
#include "gateway/log.h"
#include "protocol/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096

union any_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
};

/* ---- binding ---- */

static socklen_t address_of(const struct conf_address *conf, unsigned port, union any_address *a)
{
    *a = (union any_address){ 0 };
    if (conf->kind == CONF_ADDRESS_UNIX) {
        a->un.sun_family = AF_UNIX;
        snprintf(a->un.sun_path, sizeof(a->un.sun_path), "%s", conf->path);
        return sizeof(a->un);
    }
    if (inet_pton(AF_INET, conf->host, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons((uint16_t)port);
        return sizeof(a->v4);
    }
    a->v6.sin6_family = AF_INET6;
    a->v6.sin6_port = htons((uint16_t)port);
    inet_pton(AF_INET6, conf->host, &a->v6.sin6_addr);
    return sizeof(a->v6);
}

/* A socket file that nobody listens on is left over from a process that was killed. */
static void remove_dead_path(const union any_address *a)
{
    struct stat st;
    int fd = -1;

    if (lstat(a->un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, &a->any, sizeof(a->un)) != 0 && errno == ECONNREFUSED)
        unlink(a->un.sun_path);
    if (fd >= 0)
        close(fd);
}

static int socket_options(int fd, int family, bool shared)
{
    int one = 1;

    if (family == AF_UNIX)
        return 0;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
        (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0))
        return -errno;
    /* What is accepted inherits these two. */
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) != 0)
        return -errno;
    if (family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) != 0)
        return -errno;
    return 0;
}

static int bound_socket(const struct conf_address *conf, unsigned port, bool shared)
{
    union any_address a;
    socklen_t n = address_of(conf, port, &a);
    int fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error;

    if (fd < 0)
        return -errno;
    if (a.any.sa_family == AF_UNIX)
        remove_dead_path(&a);
    error = socket_options(fd, a.any.sa_family, shared);
    if (error == 0 && (bind(fd, &a.any, n) != 0 || listen(fd, BACKLOG) != 0))
        error = -errno;
    if (error == 0)
        return fd;
    close(fd);
    return error;
}

static unsigned real_port(int fd)
{
    union any_address a = { 0 };
    socklen_t n = sizeof(a);

    if (getsockname(fd, &a.any, &n) != 0)
        return 0;
    if (a.any.sa_family == AF_INET)
        return ntohs(a.v4.sin_port);
    return a.any.sa_family == AF_INET6 ? ntohs(a.v6.sin6_port) : 0;
}

/* With SO_REUSEPORT the kernel lets a second gateway of the same user have the port, too, and takes turns between them. That is never
 * what the operator means: the port is tried alone first. */
static int port_is_free(const struct conf_address *conf)
{
    int fd = bound_socket(conf, conf->port, false);

    if (fd >= 0)
        close(fd);
    return fd >= 0 ? 0 : fd;
}

/* Of a UNIX path there is one socket, and so of a port whose socket was passed in by somebody who does not share it: workers get copies of the
 * descriptor. */
static int bind_one(const struct conf_address *conf, struct sockets *out)
{
    bool unix_path = conf->kind == CONF_ADDRESS_UNIX;
    int fd = -EADDRINUSE;

    if (!unix_path || out->n == 0)
        fd = bound_socket(conf, out->n == 0 ? conf->port : out->port, true);
    if (fd < 0 && out->n > 0 && (unix_path || out->passed > 0)) {
        fd = fcntl(out->fds[0], F_DUPFD_CLOEXEC, 3);
        fd = fd < 0 ? -errno : fd;
    }
    if (fd < 0)
        return fd;
    out->fds[out->n++] = fd;
    if (out->n == 1)
        out->port = real_port(fd);
    return 0;
}

/* ---- those that were passed in ---- */

/* What a socket of ours has from the start, and no filter of a listener that was taken out while another process had the socket. */
static void set_up_passed(int fd)
{
    int one = 1;

    setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    listen(fd, BACKLOG);
}

static void take_passed(struct sockets *out, const struct conf_address *address, struct inherited *from)
{
    bool own = true;

    out->n = out->passed = inherited_take(from, address, out->fds, &own);
    out->foreign = !own;
    for (size_t i = 0; i < out->n; i++)
        set_up_passed(out->fds[i]);
    if (out->n > 0)
        out->port = real_port(out->fds[0]);
}

int sockets_bind(const struct conf_address *address, size_t n, bool port_is_ours, struct inherited *from, struct sockets *out)
{
    size_t most = from != NULL && from->n > n ? from->n : n;
    int error = 0;

    *out = (struct sockets){ .fds = mem_alloc(most * sizeof(int)) };
    if (out->fds == NULL)
        error = -ENOMEM;
    else if (from != NULL)
        take_passed(out, address, from);
    if (error == 0 && out->n == 0 && address->kind == CONF_ADDRESS_IP && address->port != 0 && !port_is_ours)
        error = port_is_free(address);
    while (error == 0 && out->n < n)
        error = bind_one(address, out);
    if (error == 0)
        return 0;
    log_error("cannot listen on %s: %s", address->text, strerror(-error));
    sockets_close(out, address);
    return error;
}

size_t sockets_count(const struct sockets *s, size_t n)
{
    size_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += s[i].n;
    return sum;
}

void sockets_close(struct sockets *s, const struct conf_address *address)
{
    if (address->kind == CONF_ADDRESS_UNIX && s->n > 0 && !s->foreign)
        unlink(address->path);
    for (size_t i = 0; i < s->n && !s->given; i++)
        close(s->fds[i]);
    mem_free(s->fds);
    *s = (struct sockets){ 0 };
}
