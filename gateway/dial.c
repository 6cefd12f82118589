#include "gateway/dial.h"
#include "gateway/race.h"
#include "gateway/resolver.h"
#include "protocol/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>

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
    struct resolver_wait wait;
    struct timer timer;
    struct race race;                    /* the last: race_init makes what is needed of it */
};

/* ---- the end: one answer, one place that frees ---- */

static void dial_free(struct dial *d)
{
    timer_clear(d->dialer->timers, &d->timer);
    resolver_cancel(&d->wait);
    race_end(&d->race);
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

static void on_race_over(struct race *race, struct stream *stream, int error)
{
    struct dial *d = LIST_OWNER(race, struct dial, race);

    if (stream != NULL)
        answer(d, (struct dial_answer){ .why = END_NONE, .stream = stream });
    else
        fail(d, error == -ENOMEM ? END_NO_MEMORY : END_CONNECT_FAILED, error);
}

/* ---- the addresses ---- */

static void on_addresses(struct resolver_wait *w, const struct resolver_answer *a)
{
    struct dial *d = LIST_OWNER(w, struct dial, wait);

    if (a->error != 0) {
        fail(d, END_RESOLVE_FAILED, a->error);
        return;
    }
    race_run(&d->race, a->addresses, a->n, 0);
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
    struct sockaddr_storage one;
    int error;

    d->wait.answered = on_addresses;
    if (to->kind == CONF_ADDRESS_NAME)
        return resolver_ask(d->dialer->resolver, &d->wait, to->host, to->port);
    error = to->kind == CONF_ADDRESS_UNIX ? unix_address(to, &one) : numeric_address(to, &one);
    race_run(&d->race, &one, error == 0, error);
    return 0;
}

static struct dial *start(struct dialer *base, const struct conf_address *to, uint64_t timeout_ms, dial_answered *answered, void *ctx)
{
    struct dialer_uv *dialer = (struct dialer_uv *)(void *)base;
    struct dial *d = mem_alloc(sizeof(*d));

    if (d == NULL)
        return NULL;
    memset(d, 0, offsetof(struct dial, race));
    d->dialer = dialer;
    d->answered = answered;
    d->ctx = ctx;
    list_init(&d->wait.link);
    race_init(&d->race, dialer->loop, dialer->timers, on_race_over);
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
