/* /status.json, all of it but the tunnels: what the status page shows. */
#include "gateway/control_parts.h"
#include "gateway/log.h"
#include "protocol/mem.h"

#include <inttypes.h>
#include <time.h>

static void put_word(struct text *out, const char *name, const char *word)
{
    text_print(out, "\"%s\":", name);
    text_json(out, span_of_text(word));
}

/* ---- totals ---- */

static void put_totals(struct control *c, struct text *out)
{
    struct metrics *sum = mem_zalloc(sizeof(*sum));

    out->bad |= sum == NULL;
    if (sum == NULL)
        return;
    for (unsigned i = 0; i < c->workers_n; i++)
        metrics_sum(sum, worker_metrics(c->workers[i]));
#define PAIR(name) text_print(out, ",\"" #name "\":{\"open\":%" PRIu64 ",\"total\":%" PRIu64 "}", metrics_value(&sum->name##_open), metrics_value(&sum->name))
    PAIR(connections);
    PAIR(exchanges);
    PAIR(tunnels);
    PAIR(passthroughs);
#undef PAIR
    text_print(out, ",\"connections_limit\":%" PRIu64, (uint64_t)atomic_load_explicit(&c->gate.limit, memory_order_relaxed));
    text_print(out, ",\"bytes\":{\"from_clients\":%" PRIu64 ",\"to_clients\":%" PRIu64 "}", metrics_value(&sum->bytes_from_clients),
               metrics_value(&sum->bytes_to_clients));
    text_print(out, ",\"messages\":{\"from_clients\":%" PRIu64 ",\"from_servers\":%" PRIu64 "}",
               metrics_value(&sum->flow[METRICS_CLIENT].messages), metrics_value(&sum->flow[METRICS_SERVER].messages));
    mem_free(sum);
}

/* ---- listeners, routes, upstreams ---- */

static void put_listeners(struct control *c, struct text *out)
{
    text_put(out, SPAN_LITERAL(",\"listeners\":["));
    for (size_t i = 0; i < c->conf->listeners_n; i++) {
        const struct conf_listener *l = &c->conf->listeners[i];
        text_print(out, "%s{", i > 0 ? "," : "");
        put_word(out, "name", l->name);
        text_put(out, SPAN_LITERAL(","));
        put_word(out, "address", l->address.text);
        text_print(out, ",\"port\":%u,\"tls\":%s,\"passthrough\":%s}", c->sockets[i].port, l->tls_on ? "true" : "false",
                   l->passthrough_n > 0 ? "true" : "false");
    }
    text_put(out, SPAN_LITERAL("]"));
}

static void put_counts(struct text *out, const struct tally *t)
{
    struct tally_counts sum = tally_sum(t);
    uint64_t answers = 0, ms = metrics_value(&sum.response.sum_ms);

    text_put(out, SPAN_LITERAL(",\"exchanges\":["));
    for (int i = 0; i < TALLY_CLASSES; i++)
        text_print(out, "%s%" PRIu64, i > 0 ? "," : "", metrics_value(&sum.exchanges[i]));
    for (int i = 0; i < METRICS_BUCKETS; i++)
        answers += metrics_value(&sum.response.buckets[i]);
    text_print(out, "],\"tunnels\":{\"open\":%" PRIu64 ",\"total\":%" PRIu64 "}", metrics_value(&sum.tunnels_open), metrics_value(&sum.tunnels));
    if (answers > 0)
        text_print(out, ",\"response_ms\":%" PRIu64, ms / answers);
}

static void put_routes(const struct generation *g, struct text *out)
{
    text_put(out, SPAN_LITERAL(",\"routes\":["));
    for (size_t i = 0; i < g->conf->routes_n; i++) {
        text_print(out, "%s{", i > 0 ? "," : "");
        put_word(out, "name", g->routes[i]->name);
        text_put(out, SPAN_LITERAL(","));
        put_word(out, "upstream", g->conf->upstreams[g->conf->routes[i].upstream].name);
        put_counts(out, g->routes[i]);
        text_put(out, SPAN_LITERAL("}"));
    }
    text_put(out, SPAN_LITERAL("]"));
}

static void put_server(struct text *out, const struct server_state *s, uint64_t now_ms)
{
    text_put(out, SPAN_LITERAL("{"));
    put_word(out, "name", s->name);
    text_put(out, SPAN_LITERAL(","));
    put_word(out, "address", s->address.text);
    text_put(out, SPAN_LITERAL(","));
    put_word(out, "state", server_state_word(s, now_ms));
    text_print(out, ",\"weight\":%u,\"connections\":%" PRIu64 ",\"exchanges\":%" PRIu64 ",\"tunnels\":%" PRIu64 ",\"failures\":%u}",
               atomic_load_explicit(&s->weight, memory_order_relaxed), atomic_load_explicit(&s->connections, memory_order_relaxed),
               atomic_load_explicit(&s->exchanges, memory_order_relaxed), atomic_load_explicit(&s->tunnels, memory_order_relaxed),
               atomic_load_explicit(&s->failures, memory_order_relaxed));
}

static void put_servers(struct text *out, struct server_set *set, uint64_t now_ms)
{
    unsigned version;
    size_t n;
    struct server_state **members = server_set_copy(set, &n, &version);

    text_print(out, ",\"waiting\":%zu,\"servers\":[", atomic_load(&set->waiting_n));
    for (size_t i = 0; members != NULL && i < n; i++) {
        if (i > 0)
            text_put(out, SPAN_LITERAL(","));
        put_server(out, members[i], now_ms);
        server_state_release(&members[i]);
    }
    mem_free(members);
    text_put(out, SPAN_LITERAL("]"));
}

static void put_upstreams(const struct generation *g, uint64_t now_ms, struct text *out)
{
    text_put(out, SPAN_LITERAL(",\"upstreams\":["));
    for (size_t i = 0; i < g->conf->upstreams_n; i++) {
        text_print(out, "%s{", i > 0 ? "," : "");
        put_word(out, "name", g->conf->upstreams[i].name);
        text_print(out, ",\"protocol\":\"%s\"", g->conf->upstreams[i].protocol == CONF_PROTOCOL_FASTCGI ? "fastcgi" : "http");
        put_counts(out, g->upstreams[i]);
        put_servers(out, g->sets[i], now_ms);
        text_put(out, SPAN_LITERAL("}"));
    }
    text_put(out, SPAN_LITERAL("]"));
}

void control_status(struct control *c, struct text *out)
{
    text_print(out, "{\"version\":\"%s\",\"state\":\"%s\",\"now\":%" PRId64 ",\"started\":%" PRId64 ",\"configuration\":%u,\"workers\":%u", UPGATE_VERSION,
               !c->draining ? "running" : c->drain_begun ? "draining" : "about to drain", (int64_t)time(NULL), c->admin.started_s,
               c->generation->number, c->workers_n);
    put_totals(c, out);
    put_listeners(c, out);
    put_routes(c->generation, out);
    put_upstreams(c->generation, uv_now(&c->loop), out);
    text_put(out, SPAN_LITERAL(",\"errors\":["));
    log_recent(out);
    text_put(out, SPAN_LITERAL("]"));
}
