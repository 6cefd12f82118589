#include "gateway/dial.h"
#include "gateway/resolver.h"
#include "gateway/stream_uv.h"
#include "gateway/timers.h"
#include "protocol/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct dialer_uv {
    struct dialer base;
    struct stream_uv_loop *loop;
    struct timers *timers;
    struct resolver *resolver;
};

/* The watch over one connecting socket. Its memory goes with the handle, some time after the dial moved on. */
struct attempt {
    uv_poll_t poll;
    struct stream_uv_loop *loop;
    struct dial *dial;                   /* NULL: abandoned */
};

struct dial {
    struct dialer_uv *dialer;
    dial_answered *answered;
    void *ctx;
    struct resolver_answer addresses;
    size_t next_address;
    struct resolver_wait wait;
    struct timer timer;
    struct ready ready;                  /* connected at once, or no address left: answered from the loop */
    struct attempt *attempt;
    int fd;                              /* the attempt's socket, or -1 */
    int last_error;
};

/* ---- the end: one answer, one place that frees ---- */

static void on_attempt_closed(uv_handle_t *handle)
{
    struct attempt *a = handle->data;

    a->loop->open--;
    mem_free(a);
}

static void attempt_abandon(struct dial *d)
{
    if (d->attempt == NULL)
        return;
    d->attempt->dial = NULL;
    uv_close((uv_handle_t *)&d->attempt->poll, on_attempt_closed);
    d->attempt = NULL;
}

static void close_socket(struct dial *d)
{
    attempt_abandon(d);
    if (d->fd >= 0)
        close(d->fd);
    d->fd = -1;
}

static void dial_free(struct dial *d)
{
    timer_clear(d->dialer->timers, &d->timer);
    resolver_cancel(&d->wait);
    ready_cancel(&d->ready);
    close_socket(d);
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
    struct dial_answer a = { .why = END_NONE };
    int fd = d->fd, error;

    attempt_abandon(d);
    d->fd = -1;
    a.stream = stream_uv_new(d->dialer->loop, fd, &error);
    if (a.stream == NULL) {
        a.why = END_NO_MEMORY;
        a.detail = uv_strerror(error);
    }
    answer(d, a);
}

/* ---- one address after another ---- */

static void try_next(struct dial *d);

static void on_connect(uv_poll_t *poll, int status, int events)
{
    struct attempt *a = poll->data;
    struct dial *d = a->dial;
    int error = 0;
    socklen_t n = sizeof(error);

    (void)status;
    (void)events;
    if (d == NULL)
        return;
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
        error = errno;
    if (error == 0) {
        connected(d);
        return;
    }
    d->last_error = -error;
    close_socket(d);
    try_next(d);
}

static int watch(struct dial *d)
{
    struct attempt *a = mem_zalloc(sizeof(*a));
    int error;

    if (a == NULL)
        return -ENOMEM;
    error = uv_poll_init(d->dialer->loop->uv, &a->poll, d->fd);
    if (error != 0) {
        mem_free(a);
        return error;
    }
    a->loop = d->dialer->loop;
    a->loop->open++;
    a->dial = d;
    a->poll.data = a;
    d->attempt = a;
    return uv_poll_start(&a->poll, UV_WRITABLE, on_connect);
}

static socklen_t address_size(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET)
        return sizeof(struct sockaddr_in);
    if (a->ss_family == AF_INET6)
        return sizeof(struct sockaddr_in6);
    return sizeof(struct sockaddr_un);
}

/* 1 = connected at once, 0 = under way, <0 = failed. */
static int try_one(struct dial *d, const struct sockaddr_storage *to)
{
    d->fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0)
        return -errno;
    if (connect(d->fd, (const struct sockaddr *)to, address_size(to)) == 0)
        return 1;
    return errno == EINPROGRESS ? watch(d) : -errno;
}

static void try_next(struct dial *d)
{
    while (d->next_address < d->addresses.n) {
        int rv = try_one(d, &d->addresses.addresses[d->next_address++]);
        if (rv == 0)
            return;
        if (rv > 0) {
            ready_add(d->dialer->loop->ready, &d->ready);
            return;
        }
        d->last_error = rv;
        close_socket(d);
    }
    ready_add(d->dialer->loop->ready, &d->ready);
}

static void on_ready(struct ready *r)
{
    struct dial *d = LIST_OWNER(r, struct dial, ready);

    if (d->fd >= 0)
        connected(d);
    else
        fail(d, END_CONNECT_FAILED, d->last_error);
}

/* ---- the addresses ---- */

static void on_addresses(struct resolver_wait *w, const struct resolver_answer *a)
{
    struct dial *d = LIST_OWNER(w, struct dial, wait);

    if (a->error != 0) {
        fail(d, END_RESOLVE_FAILED, a->error);
        return;
    }
    d->addresses = *a;
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
    d->last_error = to->kind == CONF_ADDRESS_UNIX ? unix_address(to, &d->addresses.addresses[0])
                                                  : numeric_address(to, &d->addresses.addresses[0]);
    d->addresses.n = d->last_error == 0;
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
    d->fd = -1;
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
