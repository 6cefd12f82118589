/* Everybody is asked to leave:
 *
 *   ANNOUNCED  for timeouts.drain_delay: /readyz says 503, all goes on as before, so that load balancers see it before anything is refused
 *   DRAINING   nobody new is accepted, exchanges finish, tunnels get their Close, spread over timeouts.drain_spread
 *   OVER       after timeouts.drain: what is left is cut */
#include "gateway/control_parts.h"
#include "gateway/log.h"

static void on_drain_over(uv_timer_t *timer)
{
    log_warn("the drain time is over: closing what is left");
    control_stop_all(timer->data);
}

static void begin(struct control *c)
{
    c->drain_begun = true;
    log_info("draining: no more connections are accepted");
    notify_tell(&c->notify, "STOPPING=1\nSTATUS=draining");
    for (unsigned i = 0; i < c->workers_n; i++)
        worker_drain(c->workers[i]);
    uv_timer_start(&c->drain_over, on_drain_over, c->conf->timeouts.drain_ms, 0);
}

static void on_delay_over(uv_timer_t *timer)
{
    begin(timer->data);
}

void control_drain(struct control *c, enum control_drain_why why)
{
    uint64_t delay_ms = why == CONTROL_DRAIN_TAKEN_OVER ? 0 : c->conf->timeouts.drain_delay_ms;

    if (c->draining && why == CONTROL_DRAIN_SIGNAL) {
        log_info("ending at once");
        control_stop_all(c);
    }
    if (c->draining)
        return;
    c->draining = true;
    control_handover_abandon(c);
    if (delay_ms == 0) {
        begin(c);
        return;
    }
    notify_tell(&c->notify, "STOPPING=1\nSTATUS=about to drain");
    log_info("about to drain: in %llu ms no more connections are accepted", (unsigned long long)delay_ms);
    uv_timer_start(&c->drain_over, on_delay_over, delay_ms, 0);
}
