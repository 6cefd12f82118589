#include "gateway/tunnel_walk.h"
#include "gateway/tunnel_parts.h"

#include <inttypes.h>
#include <string.h>

#define LOOKED_LATELY_MS 60000           /* a rate is that since the last look; after this, that of the tunnel's whole life */

/* ---- which ---- */

static bool says(const char *wanted, const char *word)
{
    return wanted[0] == '\0' || (word != NULL && strcmp(wanted, word) == 0);
}

/* "10.0.0.1:1234" and "[::1]:1234" are of 10.0.0.1 and of ::1; an address that came in a field has no port, perhaps. */
static bool is_of(const char *wanted, struct span client)
{
    struct span address = span_of_text(wanted), rest;

    if (address.n == 0)
        return true;
    if (client.n > 0 && client.p[0] == '[') {
        client = span_from(client, 1);
        return span_equal(span_first(client, span_find(client, ']')), address);
    }
    rest = span_from(client, address.n);
    return span_starts_with(client, address) && (rest.n == 0 || rest.p[0] == ':') && (rest.n == 0 || span_find(span_from(rest, 1), ':') == rest.n - 1);
}

static const char *route_name(const struct tunnel *t)
{
    return t->snapshot->generation->routes[tunnel_route(t) - t->snapshot->conf->routes]->name;
}

static bool is_meant(const struct tunnel *t, const struct tunnel_query *q, uint64_t now_ms)
{
    if (q->one && (q->worker != t->services->number || q->number != t->number))
        return false;
    return now_ms - t->begun_ms >= q->older_ms && says(q->upstream, tunnel_upstream(t)) &&
           (says(q->server, tunnel_server(t)) || says(q->server, t->server_record->address->text)) && says(q->route, route_name(t)) &&
           is_of(q->client, tunnel_name(t));
}

/* ---- in words ---- */

static void put_word(struct text *out, const char *name, struct span word)
{
    text_print(out, ",\"%s\":", name);
    text_json(out, word);
}

static void put_side(struct text *out, const char *name, const struct side *s, uint64_t now_ms)
{
    const struct ws_scan_counts *c = &s->pump.scan.counts;

    text_print(out, ",\"%s\":{\"bytes\":%" PRIu64 ",\"frames\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"silent_ms\":%" PRIu64 ",\"blocked\":%s", name,
               s->pump.moved, c->frames, c->messages, now_ms - s->heard_ms, s->blocked ? "true" : "false");
    if (s->rtt_n > 0)
        text_print(out, ",\"rtt_ms\":%" PRIu64, s->rtt_sum_ms / s->rtt_n);
    text_put(out, SPAN_LITERAL("}"));
}

static void show(struct text *out, const struct tunnel *t, uint64_t rate, uint64_t now_ms)
{
    static const char *const names[TUNNEL_WORDS] = { [TUNNEL_CLIENT] = "client", [TUNNEL_USER] = "user", [TUNNEL_ID] = "request_id",
                                                     [TUNNEL_TRACE_ID] = "trace_id", [TUNNEL_TARGET] = "target", [TUNNEL_HOST] = "host",
                                                     [TUNNEL_PROTOCOL] = "protocol" };
    struct span words[TUNNEL_WORDS];

    tunnel_words(t, words);
    text_print(out, "{\"id\":\"%u-%u\",\"state\":\"%s\",\"age_ms\":%" PRIu64 ",\"bytes_per_second\":%" PRIu64, t->services->number, t->number,
               tunnel_state_word(t), now_ms - t->begun_ms, rate);
    for (size_t i = 0; i < TUNNEL_WORDS; i++)
        put_word(out, names[i], words[i]);
    put_word(out, "route", span_of_text(route_name(t)));
    put_word(out, "upstream", span_of_text(tunnel_upstream(t)));
    put_word(out, "server", span_of_text(tunnel_server(t)));
    put_side(out, "from_client", &t->sides[CLIENT], now_ms);
    put_side(out, "from_server", &t->sides[SERVER], now_ms);
    text_put(out, SPAN_LITERAL("}"));
}

/* ---- how busy ---- */

static uint64_t moved(const struct tunnel *t)
{
    return t->sides[CLIENT].pump.moved + t->sides[SERVER].pump.moved;
}

/* In a minute more than 2^32 bytes may move, but not 2^42. */
static uint64_t moved_since_look(const struct tunnel *t)
{
    return (moved(t) - ((uint64_t)t->looked_high << 32 | t->looked_bytes)) & ((UINT64_C(1) << 42) - 1);
}

static void note_look(struct tunnel *t)
{
    t->looked_bytes = (uint32_t)moved(t);
    t->looked_high = (unsigned)(moved(t) >> 32) & 1023;
}

static uint64_t rate_of(const struct tunnel *t, const struct services *s, uint64_t now_ms)
{
    bool lately = s->tunnels_looked_ms > 0 && now_ms - s->tunnels_looked_ms < LOOKED_LATELY_MS && s->tunnels_looked_ms > t->begun_ms;
    uint64_t bytes = lately ? moved_since_look(t) : moved(t);
    uint64_t since_ms = now_ms - (lately ? s->tunnels_looked_ms : t->begun_ms);

    return bytes * 1000 / (since_ms > 0 ? since_ms : 1);
}

static void rank(struct tunnel_walk *w, struct tunnel *t, const struct services *s)
{
    uint64_t rate = rate_of(t, s, w->now_ms);
    struct tunnel_rank *last = &w->busiest[TUNNEL_WALK_BUSIEST - 1], mine = *last;
    size_t at = TUNNEL_WALK_BUSIEST - 1;

    note_look(t);
    if (rate <= last->rate)
        return;
    for (; at > 0 && w->busiest[at - 1].rate < rate; at--)
        w->busiest[at] = w->busiest[at - 1];
    mine.rate = rate;
    mine.text.n = 0;
    show(&mine.text, t, rate, w->now_ms);
    w->busiest[at] = mine;
}

/* ---- what ---- */

static bool may_show(struct tunnel_query *q)
{
    size_t left = atomic_load(&q->left);

    while (left > 0 && !atomic_compare_exchange_weak(&q->left, &left, left - 1))
        continue;
    return left > 0;
}

static bool has_its_share(struct tunnel_walk *w)
{
    w->share += w->query->fraction;
    if (w->share < TUNNEL_WALK_PARTS)
        return false;
    w->share -= TUNNEL_WALK_PARTS;
    return true;
}

static void show_next(struct tunnel_walk *w, const struct tunnel *t, const struct services *s)
{
    if (!may_show(w->query))
        return;
    if (w->done > 0)
        text_put(&w->text, SPAN_LITERAL(","));
    show(&w->text, t, rate_of(t, s, w->now_ms), w->now_ms);
    w->done++;
}

static void act(struct tunnel_walk *w, struct tunnel *t, const struct services *s)
{
    struct tunnel_query *q = w->query;

    w->matched++;
    switch (q->deed) {
    case TUNNEL_SHOW:
        show_next(w, t, s);
        break;
    case TUNNEL_RANK:
        show_next(w, t, s);              /* they stand in the order in which they began */
        rank(w, t, s);
        break;
    case TUNNEL_CLOSE:
        w->done += tunnel_close(t, q->code, q->reason);
        break;
    case TUNNEL_DRAIN:
        if (has_its_share(w)) {
            tunnel_drain(t, tunnel_spread_ms(&w->phase, q->spread_ms));
            w->done++;
        }
        break;
    }
}

void tunnel_walk_begin(struct tunnel_walk *w, struct services *services, struct tunnel_query *query)
{
    uint32_t dice;

    *w = (struct tunnel_walk){ .query = query, .at = services->tunnels.next, .now_ms = timers_now_ms(services->timers) };
    services_random(&w->phase, sizeof(w->phase));
    services_random(&dice, sizeof(dice));
    w->share = query->fraction < TUNNEL_WALK_PARTS ? dice % TUNNEL_WALK_PARTS : 0;
    services->tunnel_walk = w;
}

bool tunnel_walk_on(struct tunnel_walk *w, struct services *services, size_t most)
{
    for (size_t i = 0; i < most && w->at != &services->tunnels; i++) {
        struct tunnel *t = LIST_OWNER(w->at, struct tunnel, link);
        w->at = t->link.next;
        if (is_meant(t, w->query, w->now_ms))
            act(w, t, services);
    }
    if (w->at != &services->tunnels)
        return false;
    if (w->query->deed == TUNNEL_RANK)
        services->tunnels_looked_ms = w->now_ms;
    services->tunnel_walk = NULL;
    return true;
}

void tunnel_walk_left(struct tunnel_walk *w, const struct list *tunnel)
{
    if (w->at == tunnel)
        w->at = tunnel->next;
}

void tunnel_walk_free(struct tunnel_walk *w)
{
    text_free(&w->text);
    for (size_t i = 0; i < TUNNEL_WALK_BUSIEST; i++)
        text_free(&w->busiest[i].text);
}
