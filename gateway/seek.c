#include "gateway/seek.h"

static uint64_t now_ms(const struct seek *s)
{
    return timers_now_ms(s->upstream->worker.timers);
}

static void on_granted(struct place_wait *w, struct server_state *state, bool warm)
{
    struct seek *s = LIST_OWNER(w, struct seek, wait);
    enum end_reason why = END_NONE;
    struct server *server;

    upstream_refresh(s->upstream);
    server = upstream_server(s->upstream, state);
    if (server != NULL) {
        s->wish.tried |= server_bit(server);
        if (!warm)
            server_granted(server);
    } else {                             /* it has just left the set */
        if (!warm)
            places_give(state, now_ms(s));
        server = seek_server(s, &why);
    }
    if (server != NULL || why != END_NONE)
        s->found(s, server, why);
}

void seek_init(struct seek *s, struct upstream *upstream, bool fresh, void (*found)(struct seek *s, struct server *server, enum end_reason why))
{
    *s = (struct seek){ .upstream = upstream, .wish = { .fresh = fresh }, .found = found, .wait = { .granted = on_granted, .fresh = fresh } };
}

/* Who waited before and had no luck with what was granted stands in front again. */
static enum end_reason wait_for_place(struct seek *s, uint64_t tried, struct server_state *wanted)
{
    bool again = s->waited;

    s->waited = true;
    s->wait.tried = tried;
    s->wait.wanted = wanted;
    if (places_wait(&s->upstream->port, &s->wait, s->upstream->conf->queue, again, now_ms(s)) != 0) {
        upstream_complain(s->upstream);
        return END_QUEUE_FULL;
    }
    if (!again)
        metrics_add(&s->upstream->worker.metrics->queued, 1);
    return END_NONE;
}

struct server *seek_server(struct seek *s, enum end_reason *why_out)
{
    struct balance_wish wish = s->wish;
    struct server *server;

    *why_out = s->missed ? wait_for_place(s, s->wish.tried, s->wish.wanted) : END_NONE;
    if (s->missed) {
        s->missed = false;
        s->wish.wanted = NULL;
        return NULL;
    }
    switch (balance_choose(s->upstream, &wish, &server)) {
    case BALANCE_FOUND:
        s->wish.tried |= server_bit(server);
        break;
    case BALANCE_FULL:
        *why_out = wait_for_place(s, wish.tried, wish.wanted);
        break;
    case BALANCE_NONE:
        *why_out = END_NO_SERVER;
        break;
    }
    return server;
}

void seek_missed(struct seek *s, const struct server *server)
{
    s->wish.tried &= ~server_bit(server);
    s->wish.wanted = s->wish.bound && server->state->id == s->wish.bound_to ? server->state : NULL;
    s->missed = true;
}

bool seek_waits(const struct seek *s)
{
    return s->wait.port != NULL;
}

void seek_end(struct seek *s)
{
    if (seek_waits(s))
        places_wait_end(&s->wait, now_ms(s));
}
