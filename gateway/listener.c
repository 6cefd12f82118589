#include "gateway/listener.h"
#include "gateway/entry.h"
#include "gateway/log.h"
#include "protocol/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096
#define ACCEPTS_PER_TURN 64
#define PAUSE_MS 50                      /* at the connection limit, or out of descriptors: tried again after this */

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
    int fd = conf->kind == CONF_ADDRESS_UNIX || conf->port == 0 ? -1 : bound_socket(conf, conf->port, false);

    if (fd >= 0)
        close(fd);
    return conf->kind == CONF_ADDRESS_UNIX || conf->port == 0 || fd >= 0 ? 0 : fd;
}

static int bind_one(const struct conf_listener *conf, struct listener_sockets *out, unsigned i)
{
    int fd;

    if (conf->address.kind == CONF_ADDRESS_UNIX && i > 0)
        fd = fcntl(out->fds[0], F_DUPFD_CLOEXEC, 3);
    else
        fd = bound_socket(&conf->address, i == 0 ? conf->address.port : out->port, true);
    if (fd == -1)
        fd = -errno;
    if (fd < 0)
        return fd;
    out->fds[i] = fd;
    out->bound = true;
    if (i == 0)
        out->port = real_port(fd);
    return 0;
}

int listener_bind(const struct conf_listener *conf, unsigned workers, struct listener_sockets *out)
{
    *out = (struct listener_sockets){ .fds = mem_alloc(workers * sizeof(int)) };
    if (out->fds == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < workers; i++)
        out->fds[i] = -1;
    for (unsigned i = 0; i < workers; i++) {
        int error = i == 0 ? port_is_free(&conf->address) : 0;
        if (error == 0)
            error = bind_one(conf, out, i);
        if (error != 0) {
            log_error("cannot listen on %s: %s", conf->address.text, uv_strerror(error));
            listener_unbind(conf, workers, out);
            return error;
        }
    }
    return 0;
}

void listener_unbind(const struct conf_listener *conf, unsigned workers, struct listener_sockets *sockets)
{
    if (sockets->fds == NULL)
        return;
    if (conf->address.kind == CONF_ADDRESS_UNIX && sockets->bound)
        unlink(conf->address.path);
    for (unsigned i = 0; i < workers; i++)
        if (sockets->fds[i] >= 0)
            close(sockets->fds[i]);
    mem_free(sockets->fds);
    sockets->fds = NULL;
}

/* ---- accepting ---- */

struct listener {
    struct services *services;
    struct stream_uv_loop *loop;
    struct listener_gate *gate;
    const struct conf_listener *conf;
    uv_poll_t poll;
    struct timer pause;
    int fd;
    bool paused;
};

static void on_acceptable(uv_poll_t *poll, int status, int events);

static void pause_accepting(struct listener *l)
{
    l->paused = true;
    uv_poll_stop(&l->poll);
    timer_start(l->services->timers, &l->pause, PAUSE_MS);
}

void listener_resume(struct listener *l)
{
    if (l == NULL || !l->paused)
        return;
    l->paused = false;
    timer_clear(l->services->timers, &l->pause);
    uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
}

static void on_pause_over(struct timer *t, uint64_t now_ms)
{
    (void)now_ms;
    listener_resume(LIST_OWNER(t, struct listener, pause));
}

static void enter(struct listener *l, struct stream *s, int fd, const struct sockaddr_storage *peer)
{
    union any_address local = { 0 };
    socklen_t n = sizeof(local);
    struct inbound inbound;

    getsockname(fd, &local.any, &n);
    inbound_init(&inbound, l->services->snapshot, l->conf, (const struct sockaddr *)peer, &local.any);
    entry_new(l->services, s, &inbound);
}

/* One connection in; false: none is there, or none may come now. */
static bool accept_one(struct listener *l)
{
    struct sockaddr_storage peer = { 0 };
    socklen_t n = sizeof(peer);
    struct stream *s;
    int fd, error;

    if (atomic_fetch_add_explicit(&l->gate->open, 1, memory_order_relaxed) >= l->gate->limit) {
        atomic_fetch_sub_explicit(&l->gate->open, 1, memory_order_relaxed);
        pause_accepting(l);
        return false;
    }
    fd = accept4(l->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        error = errno;
        atomic_fetch_sub_explicit(&l->gate->open, 1, memory_order_relaxed);
        if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
            log_error("cannot accept on %s: %s", l->conf->address.text, uv_strerror(-error));
            pause_accepting(l);
        }
        return error == ECONNABORTED || error == EINTR;
    }
    if (l->conf->address.kind == CONF_ADDRESS_UNIX)
        peer.ss_family = AF_UNIX;
    s = stream_uv_new(l->loop, fd, &error);
    if (s == NULL)
        atomic_fetch_sub_explicit(&l->gate->open, 1, memory_order_relaxed);
    else
        enter(l, s, fd, &peer);
    return true;
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct listener *l = poll->data;

    (void)status;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++)
        if (!accept_one(l))
            return;
}

struct listener *listener_new(struct services *services, struct stream_uv_loop *loop, struct listener_gate *gate,
                              const struct conf_listener *conf, int fd)
{
    struct listener *l = mem_zalloc(sizeof(*l));

    if (l == NULL || uv_poll_init(loop->uv, &l->poll, fd) != 0) {
        mem_free(l);
        close(fd);
        return NULL;
    }
    l->services = services;
    l->loop = loop;
    l->gate = gate;
    l->conf = conf;
    l->fd = fd;
    l->poll.data = l;
    timer_init(&l->pause, on_pause_over);
    loop->open++;
    uv_poll_start(&l->poll, UV_READABLE, on_acceptable);
    return l;
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *l = handle->data;

    l->loop->open--;
    mem_free(l);
}

void listener_close(struct listener **l)
{
    struct listener *taken = *l;

    *l = NULL;
    if (taken == NULL)
        return;
    timer_clear(taken->services->timers, &taken->pause);
    uv_close((uv_handle_t *)&taken->poll, on_closed);
    close(taken->fd);
}
