/* What the service manager is told about the gateway as a whole, and the watchdog: WATCHDOG=1 is sent at half of the time that the manager
 * waits, and only when each worker has answered a letter since the last one. A worker that hangs, or the control loop itself, is silence. */
#include "gateway/control_parts.h"
#include "gateway/log.h"
#include "protocol/mem.h"

struct control_call {                    /* a letter to a worker: are you there? */
    struct letter letter;
    _Atomic bool answered;
};

static void on_called(struct letter *letter)     /* in the worker's thread */
{
    atomic_store(&LIST_OWNER(letter, struct control_call, letter)->answered, true);
}

static void call_workers(struct control *c)
{
    for (unsigned i = 0; i < c->workers_n; i++) {
        atomic_store(&c->calls[i].answered, false);
        if (!worker_post(c->workers[i], &c->calls[i].letter))    /* it has ended, as it was told to */
            atomic_store(&c->calls[i].answered, true);
    }
}

static bool all_answered(const struct control *c)
{
    for (unsigned i = 0; i < c->workers_n; i++)
        if (!atomic_load(&c->calls[i].answered))
            return false;
    return true;
}

static const char *state_words(const struct control *c)
{
    return c->draining ? "draining" : "running";
}

static void on_watchdog(uv_timer_t *timer)
{
    struct control *c = timer->data;

    if (!all_answered(c)) {
        log_warn("a worker has not answered for %llu ms", (unsigned long long)c->notify.watchdog_ms / 2);
        return;
    }
    notify_tell(&c->notify, "WATCHDOG=1\nSTATUS=%s; connections: %llu", state_words(c),
                (unsigned long long)atomic_load_explicit(&c->gate.open, memory_order_relaxed));
    call_workers(c);
}

static void watch(struct control *c)
{
    uint64_t half_ms = c->notify.watchdog_ms / 2;

    c->calls = mem_zalloc(c->workers_n * sizeof(*c->calls));
    if (c->calls == NULL || half_ms == 0)
        return;
    for (unsigned i = 0; i < c->workers_n; i++)
        letter_init(&c->calls[i].letter, on_called);
    call_workers(c);
    uv_timer_start(&c->watchdog, on_watchdog, half_ms, half_ms);
}

void control_notify_open(struct control *c)
{
    notify_open(&c->notify);
    uv_timer_init(&c->loop, &c->watchdog);
    c->watchdog.data = c;
}

void control_notify_ready(struct control *c)
{
    if (c->draining)
        return;
    notify_tell(&c->notify, "READY=1\nSTATUS=%s", state_words(c));
    if (c->calls == NULL)
        watch(c);
}

void control_notify_end(struct control *c)
{
    uv_close((uv_handle_t *)&c->watchdog, NULL);
}

void control_notify_close(struct control *c)
{
    for (unsigned i = 0; c->calls != NULL && c->workers != NULL && i < c->workers_n; i++)
        if (c->workers[i] != NULL && c->calls[i].letter.deliver != NULL)
            worker_withdraw(c->workers[i], &c->calls[i].letter);
    mem_free(c->calls);
    notify_close(&c->notify);
}
