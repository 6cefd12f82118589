#include "gateway/inherited.h"
#include "gateway/log.h"
#include "protocol/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_FD 3
#define SOCKETS_MOST 4096

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
};

/* ---- the environment ---- */

/* -1: not there, or not a number from 0 to most. */
static long read_number(const char *variable, long most)
{
    const char *text = getenv(variable);
    char *end = NULL;
    long value;

    if (text == NULL || *text == 0)
        return -1;
    value = strtol(text, &end, 10);
    if (*end == 0 && value >= 0 && value <= most)
        return value;
    log_warn("%s=%s is not understood", variable, text);
    return -1;
}

static void forget_variables(void)
{
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    unsetenv(HANDOVER_VARIABLE);
}

/* The names are separated by colons; a next one begins at *at. */
static bool next_is_own(const char **at)
{
    size_t n = *at != NULL ? strcspn(*at, ":") : 0;
    bool own = n == strlen(HANDOVER_OWN) && strncmp(*at, HANDOVER_OWN, n) == 0;

    *at = *at != NULL && (*at)[n] == ':' ? *at + n + 1 : NULL;
    return own;
}

static bool is_listening_stream(int fd)
{
    int type = 0, listening = 0;
    socklen_t n = sizeof(int);

    return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM &&
           getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) == 0 && listening != 0;
}

static void keep(struct inherited *i, int fd, bool own)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || !is_listening_stream(fd)) {
        log_warn("descriptor %d, which was passed in, is not a listening stream socket", fd);
        return;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    i->sockets[i->n++] = (struct inherited_socket){ .fd = fd, .own = own };
}

bool inherited_open(struct inherited *i)
{
    long n = read_number("LISTEN_FDS", SOCKETS_MOST);
    bool ours = n > 0 && read_number("LISTEN_PID", INT32_MAX) == (long)getpid();
    bool handed = getenv(HANDOVER_VARIABLE) != NULL;
    const char *names = getenv("LISTEN_FDNAMES");

    *i = (struct inherited){ .handover = handed ? (int)read_number(HANDOVER_VARIABLE, INT32_MAX) : -1 };
    if (i->handover >= 0)
        fcntl(i->handover, F_SETFD, FD_CLOEXEC);
    if (ours)
        i->sockets = mem_zalloc((size_t)n * sizeof(*i->sockets));
    for (long k = 0; i->sockets != NULL && k < n; k++)
        keep(i, FIRST_FD + (int)k, next_is_own(&names));
    forget_variables();
    return !ours || i->sockets != NULL;
}

/* ---- whose is it? ---- */

/* The port may be 0 in the conf: any, then. */
static bool host_is(const union address *a, const struct conf_address *conf, unsigned *port_out)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (a->any.sa_family == AF_INET && inet_pton(AF_INET, conf->host, &v4) == 1) {
        *port_out = ntohs(a->v4.sin_port);
        return memcmp(&v4, &a->v4.sin_addr, sizeof(v4)) == 0;
    }
    if (a->any.sa_family == AF_INET6 && inet_pton(AF_INET6, conf->host, &v6) == 1) {
        *port_out = ntohs(a->v6.sin6_port);
        return memcmp(&v6, &a->v6.sin6_addr, sizeof(v6)) == 0;
    }
    return false;
}

static bool address_is(int fd, const struct conf_address *conf, unsigned *port)
{
    union address a = { 0 };
    socklen_t n = sizeof(a);
    unsigned has = 0;

    if (getsockname(fd, &a.any, &n) != 0)
        return false;
    if (conf->kind == CONF_ADDRESS_UNIX)
        return a.any.sa_family == AF_UNIX && n > offsetof(struct sockaddr_un, sun_path) && strcmp(a.un.sun_path, conf->path) == 0;
    if (!host_is(&a, conf, &has) || (*port != 0 && *port != has))
        return false;
    *port = has;                         /* the first decides for those that follow */
    return true;
}

size_t inherited_take(struct inherited *i, const struct conf_address *address, int *fds, bool *own_out)
{
    unsigned port = address->port;
    size_t taken = 0;

    *own_out = true;
    for (size_t k = 0; k < i->n; k++) {
        struct inherited_socket *s = &i->sockets[k];
        if (s->fd < 0 || !address_is(s->fd, address, &port))
            continue;
        *own_out = *own_out && s->own;
        fds[taken++] = s->fd;
        s->fd = -1;
    }
    return taken;
}

static void warn_left(int fd)
{
    union address a = { 0 };
    socklen_t n = sizeof(a);
    char host[INET6_ADDRSTRLEN] = "?";

    if (getsockname(fd, &a.any, &n) != 0)
        return;
    if (a.any.sa_family == AF_UNIX)
        log_warn("unix:%s was passed in, but no listener has that address", a.un.sun_path);
    else if (a.any.sa_family == AF_INET6)
        log_warn("[%s]:%u was passed in, but no listener has that address", inet_ntop(AF_INET6, &a.v6.sin6_addr, host, sizeof(host)),
                 ntohs(a.v6.sin6_port));
    else
        log_warn("%s:%u was passed in, but no listener has that address", inet_ntop(AF_INET, &a.v4.sin_addr, host, sizeof(host)),
                 ntohs(a.v4.sin_port));
}

void inherited_close(struct inherited *i)
{
    for (size_t k = 0; k < i->n; k++)
        if (i->sockets[k].fd >= 0) {
            warn_left(i->sockets[k].fd);
            close(i->sockets[k].fd);
        }
    mem_free(i->sockets);
    *i = (struct inherited){ .handover = i->handover };
}
