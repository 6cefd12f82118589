#include "gateway/dial.h"
#include "gateway/resolver.h"
#include "gateway/stream_uv.h"
#include "gateway/timers.h"
#include "protocol/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define DIAL_ADDRESSES 8                 /* of one name, for one connection */

struct dialer_uv {
    struct dialer base;
    struct stream_uv_loop *loop;
    struct timers *timers;
    struct resolver *resolver;
};

struct dial {
    struct dialer_uv *dialer;
    dial_answered *answered;
    void *ctx;
    size_t addresses_n, next_address;
    struct sockaddr_storage addresses[DIAL_ADDRESSES];
    struct resolver_wait wait;
    struct timer timer;
    struct ready ready;                  /* connected at once, or no address left: answered from the loop */
    struct stream *attempt;              /* over the socket that is connecting, or NULL */
    int last_error;
};

/* ---- the end: one answer, one place that frees ---- */

static void dial_free(struct dial *d)
{
    timer_clear(d->dialer->timers, &d->timer);
    resolver_cancel(&d->wait);
    ready_cancel(&d->ready);
    stream_close(&d->attempt);
    mem_free(d);
}

static void answer(struct dial *d, struct dial_answer a)
{
    dial_answered *answered = d->answered;
    void *ctx = d->ctx;

    dial_free(d);
    answered(ctx, &a);
}

static void fail(struct dial *d, enum end_reason why, int error)
{
    answer(d, (struct dial_answer){ .why = why, .detail = error != 0 ? uv_strerror(error) : end_reason_sentence(why) });
}

static void connected(struct dial *d)
{
    answer(d, (struct dial_answer){ .why = END_NONE, .stream = stream_take(&d->attempt) });
}

/* ---- one address after another ---- */

static void try_next(struct dial *d);

static void hear_nothing(void *ctx)
{
    (void)ctx;
}

static void on_decided(void *ctx)
{
    struct dial *d = ctx;

    ready_cancel(&d->ready);
    if (d->attempt->output_error == 0) {
        connected(d);
        return;
    }
    d->last_error = d->attempt->output_error;
    stream_close(&d->attempt);
    try_next(d);
}

static const struct stream_events attempt_events = { .readable = hear_nothing, .writable = on_decided };

static socklen_t address_size(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET)
        return sizeof(struct sockaddr_in);
    if (a->ss_family == AF_INET6)
        return sizeof(struct sockaddr_in6);
    return sizeof(struct sockaddr_un);
}

static void socket_options(int fd, int family)
{
    int one = 1;

    if (family == AF_UNIX)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
}

/* 1 = connected at once, 0 = under way, <0 = failed. */
static int try_one(struct dial *d, const struct sockaddr_storage *to)
{
    int fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = 0;
    bool at_once;

    if (fd < 0)
        return -errno;
    at_once = connect(fd, (const struct sockaddr *)to, address_size(to)) == 0;
    if (!at_once && errno != EINPROGRESS) {
        error = -errno;
        close(fd);
        return error;
    }
    socket_options(fd, to->ss_family);
    d->attempt = at_once ? stream_uv_new(d->dialer->loop, fd, &error) : stream_uv_new_connecting(d->dialer->loop, fd, &error);
    if (d->attempt == NULL)
        return error;
    stream_own(d->attempt, &attempt_events, d);
    return at_once;
}

static void try_next(struct dial *d)
{
    while (d->next_address < d->addresses_n) {
        int rv = try_one(d, &d->addresses[d->next_address++]);
        if (rv == 0)
            return;
        if (rv > 0)
            break;
        d->last_error = rv;
    }
    ready_add(d->dialer->loop->ready, &d->ready);
}

static void on_ready(struct ready *r)
{
    struct dial *d = LIST_OWNER(r, struct dial, ready);

    if (d->attempt != NULL)
        connected(d);
    else
        fail(d, d->last_error == -ENOMEM ? END_NO_MEMORY : END_CONNECT_FAILED, d->last_error);
}

/* ---- the addresses ---- */

static void on_addresses(struct resolver_wait *w, const struct resolver_answer *a)
{
    struct dial *d = LIST_OWNER(w, struct dial, wait);

    if (a->error != 0) {
        fail(d, END_RESOLVE_FAILED, a->error);
        return;
    }
    for (size_t i = 0; i < a->n && i < DIAL_ADDRESSES; i++)
        d->addresses[d->addresses_n++] = a->addresses[i];
    try_next(d);
}

static int numeric_address(const struct conf_address *from, struct sockaddr_storage *to)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)to;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;

    *to = (struct sockaddr_storage){ 0 };
    if (inet_pton(AF_INET, from->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)from->port);
        return 0;
    }
    if (inet_pton(AF_INET6, from->host, &v6->sin6_addr) != 1)
        return -EINVAL;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)from->port);
    return 0;
}

static int unix_address(const struct conf_address *from, struct sockaddr_storage *to)
{
    struct sockaddr_un *un = (struct sockaddr_un *)to;
    size_t n = strlen(from->path);

    *to = (struct sockaddr_storage){ 0 };
    if (n >= sizeof(un->sun_path))
        return -ENAMETOOLONG;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, from->path, n + 1);
    return 0;
}

static void on_timeout(struct timer *t, uint64_t now_ms)
{
    struct dial *d = LIST_OWNER(t, struct dial, timer);

    (void)now_ms;
    fail(d, END_CONNECT_TIMEOUT, 0);
}

static int begin(struct dial *d, const struct conf_address *to)
{
    d->wait.answered = on_addresses;
    if (to->kind == CONF_ADDRESS_NAME)
        return resolver_ask(d->dialer->resolver, &d->wait, to->host, to->port);
    d->last_error = to->kind == CONF_ADDRESS_UNIX ? unix_address(to, &d->addresses[0])
                                                  : numeric_address(to, &d->addresses[0]);
    d->addresses_n = d->last_error == 0;
    try_next(d);
    return 0;
}

static struct dial *start(struct dialer *base, const struct conf_address *to, uint64_t timeout_ms, dial_answered *answered, void *ctx)
{
    struct dialer_uv *dialer = (struct dialer_uv *)(void *)base;
    struct dial *d = mem_zalloc(sizeof(*d));

    if (d == NULL)
        return NULL;
    d->dialer = dialer;
    d->answered = answered;
    d->ctx = ctx;
    list_init(&d->wait.link);
    ready_init(&d->ready, on_ready);
    timer_init(&d->timer, on_timeout);
    if (begin(d, to) != 0) {
        dial_free(d);
        return NULL;
    }
    timer_start(dialer->timers, &d->timer, timeout_ms);
    return d;
}

static void cancel(struct dialer *base, struct dial *d)
{
    (void)base;
    dial_free(d);
}

struct dialer *dialer_uv_new(struct stream_uv_loop *loop, struct timers *timers, struct resolver *resolver)
{
    struct dialer_uv *d = mem_zalloc(sizeof(*d));

    if (d == NULL)
        return NULL;
    d->base = (struct dialer){ .start = start, .cancel = cancel };
    d->loop = loop;
    d->timers = timers;
    d->resolver = resolver;
    return &d->base;
}

void dialer_uv_free(struct dialer *d)
{
    mem_free(d);
}
