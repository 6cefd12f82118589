/* What is asked about tunnels, of all workers: one question at a time, the others wait. Each worker gets a letter; when all have answered, or have
 * ended, the answer is put together and goes to who asked, if he is still there. */
#include "gateway/control_parts.h"
#include "protocol/mem.h"
#include "protocol/utf8.h"
#include "protocol/ws_scan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 100                        /* unless `limit` says otherwise … */
#define SHOWN_MAX 10000                  /* … which may be so many */
#define LONGEST 10

struct control_question {
    struct list link;
    struct admin_client *client;         /* NULL: he is gone */
    struct tunnel_query query;
    void (*answer)(struct control *c, struct control_question *q);
    struct worker_ask *asks[];           /* one per worker, when it is its turn */
};

/* ---- asking ---- */

static void question_free(struct control *c, struct control_question *q)
{
    for (unsigned i = 0; i < c->workers_n; i++)
        worker_ask_free(q->asks[i]);
    list_remove(&q->link);
    mem_free(q);
}

static struct control_question *first_question(struct control *c)
{
    struct list *all = &c->admin.questions;

    return list_empty(all) ? NULL : LIST_OWNER(all->next, struct control_question, link);
}

static void say(struct admin_client *client, unsigned status, const char *sentence)
{
    struct admin_answer answer = { .status = status, .sentence = sentence };

    admin_answer(client, &answer);
}

static bool post(struct control *c, struct control_question *q)
{
    bool good = true;

    for (unsigned i = 0; i < c->workers_n && good; i++) {
        q->asks[i] = worker_ask_new(c->workers[i], &q->query);
        good = q->asks[i] != NULL;
    }
    for (unsigned i = 0; i < c->workers_n && good; i++)
        worker_ask_post(q->asks[i]);
    return good;
}

static void no_memory(struct control *c, struct control_question *q)
{
    struct admin_client *client = q->client;

    question_free(c, q);
    if (client != NULL)
        say(client, 503, "there is not enough memory");
}

/* The first of those that wait is asked. */
static void ask_next(struct control *c)
{
    struct control_question *q = first_question(c);

    for (; q != NULL && !post(c, q); q = first_question(c))
        no_memory(c, q);
}

static bool is_over(const struct control *c, const struct control_question *q)
{
    for (unsigned i = 0; i < c->workers_n; i++)
        if (!worker_ask_is_over(q->asks[i]))
            return false;
    return true;
}

void control_ask_news(struct control *c)
{
    struct control_question *q = first_question(c);

    if (q == NULL || !is_over(c, q))
        return;
    if (q->client != NULL)
        q->answer(c, q);
    question_free(c, q);
    ask_next(c);
}

void control_ask_gone(struct control *c, struct admin_client *client)
{
    for (struct list *l = c->admin.questions.next; l != &c->admin.questions; l = l->next) {
        struct control_question *q = LIST_OWNER(l, struct control_question, link);
        if (q->client == client)
            q->client = NULL;
    }
}

void control_ask_abandon(struct control *c)
{
    struct control_question *q;

    while ((q = first_question(c)) != NULL)
        question_free(c, q);
}

static struct control_question *question_new(struct control *c, struct admin_client *client,
                                             void (*answer)(struct control *c, struct control_question *q))
{
    struct control_question *q = mem_zalloc(sizeof(*q) + c->workers_n * sizeof(struct worker_ask *));

    if (q == NULL) {
        say(client, 503, "there is not enough memory");
        return NULL;
    }
    list_init(&q->link);
    q->client = client;
    q->answer = answer;
    q->query.fraction = TUNNEL_WALK_PARTS;
    return q;
}

static void pose(struct control *c, struct control_question *q)
{
    bool first = list_empty(&c->admin.questions);

    list_append(&c->admin.questions, &q->link);
    if (first)
        ask_next(c);
}

/* ---- the sums of what all workers say ---- */

static void sum_up(const struct control *c, const struct control_question *q, size_t *matched_out, size_t *done_out)
{
    *matched_out = *done_out = 0;
    for (unsigned i = 0; i < c->workers_n; i++) {
        *matched_out += q->asks[i]->walk.matched;
        *done_out += q->asks[i]->walk.done;
    }
}

static void put_items(const struct control *c, const struct control_question *q, struct text *out)
{
    bool any = false;

    for (unsigned i = 0; i < c->workers_n; i++) {
        const struct text *items = &q->asks[i]->walk.text;
        if (items->n == 0)
            continue;
        if (any)
            text_put(out, SPAN_LITERAL(","));
        text_put(out, span_of(items->p, items->n));
        out->bad |= items->bad;
        any = true;
    }
}

/* The busiest of all workers, from those of each. */
static void put_busiest(const struct control *c, const struct control_question *q, struct text *out)
{
    size_t *at = mem_zalloc(c->workers_n * sizeof(*at));

    for (int shown = 0; at != NULL && shown < TUNNEL_WALK_BUSIEST; shown++) {
        const struct tunnel_rank *best = NULL;
        unsigned whose = 0;
        for (unsigned i = 0; i < c->workers_n; i++) {
            const struct tunnel_rank *r = at[i] < TUNNEL_WALK_BUSIEST ? &q->asks[i]->walk.busiest[at[i]] : NULL;
            if (r != NULL && r->rate > 0 && (best == NULL || r->rate > best->rate)) {
                best = r;
                whose = i;
            }
        }
        if (best == NULL)
            break;
        at[whose]++;
        if (shown > 0)
            text_put(out, SPAN_LITERAL(","));
        text_put(out, span_of(best->text.p, best->text.n));
    }
    mem_free(at);
}

/* ---- parameters ---- */

static bool copy_word(struct span value, char *out, size_t size)
{
    if (value.p == NULL)
        return true;
    if (value.n == 0 || value.n >= size)
        return false;
    memcpy(out, value.p, value.n);
    out[value.n] = '\0';
    return true;
}

/* 90s, 5m, 12h, 7d: as durations are in the configuration. */
static bool read_duration(struct span value, uint64_t *ms_out)
{
    static const struct {
        const char *unit;
        uint64_t ms;
    } units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };
    size_t digits = 0;

    if (value.p == NULL)
        return true;
    while (digits < value.n && value.p[digits] >= '0' && value.p[digits] <= '9')
        digits++;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (span_equal(span_from(value, digits), span_of_text(units[i].unit)) && span_to_u64(span_first(value, digits), ms_out) &&
            *ms_out <= UINT64_MAX / 86400000) {
            *ms_out *= units[i].ms;
            return true;
        }
    return false;
}

/* 0.25 or 1: more than none, at most all of them. */
static bool read_fraction(struct span value, uint32_t *parts_out)
{
    uint64_t whole = 0, scale = TUNNEL_WALK_PARTS, parts = 0;
    size_t point = span_find(value, '.');
    struct span digits = span_from(value, point + 1);

    if (value.p == NULL)
        return true;
    if (!span_to_u64(span_first(value, point), &whole) || whole > 1 || (point < value.n && digits.n == 0) || digits.n > 6)
        return false;
    for (size_t i = 0; i < digits.n; i++) {
        if (digits.p[i] < '0' || digits.p[i] > '9')
            return false;
        scale /= 10;
        parts += scale * (uint64_t)(digits.p[i] - '0');
    }
    parts += whole * TUNNEL_WALK_PARTS;
    *parts_out = (uint32_t)parts;
    return parts > 0 && parts <= TUNNEL_WALK_PARTS;
}

static const char *read_filters(const struct admin_request *r, struct tunnel_query *q)
{
    if (!copy_word(admin_request_value(r, "upstream"), q->upstream, sizeof(q->upstream)) ||
        !copy_word(admin_request_value(r, "server"), q->server, sizeof(q->server)) ||
        !copy_word(admin_request_value(r, "route"), q->route, sizeof(q->route)) ||
        !copy_word(admin_request_value(r, "client"), q->client, sizeof(q->client)))
        return "a filter is empty or too long";
    if (!read_duration(admin_request_value(r, "older"), &q->older_ms))
        return "`older` is a duration, as in older=10m";
    return NULL;
}

/* "3-1024": a worker and its tunnel's number. */
static bool read_id(struct span id, struct tunnel_query *q)
{
    size_t dash = span_find(id, '-');
    uint64_t worker, number;

    if (dash == id.n || !span_to_u64(span_first(id, dash), &worker) || worker > UINT32_MAX || !span_to_u64(span_from(id, dash + 1), &number) ||
        number > UINT32_MAX)
        return false;
    q->one = true;
    q->worker = (unsigned)worker;
    q->number = (uint32_t)number;
    return true;
}

/* ---- GET /tunnels ---- */

static void answer_tunnels(struct control *c, struct control_question *q)
{
    struct admin_answer answer = { .status = 200, .type = "application/json" };
    struct text out;
    size_t matched, shown;

    sum_up(c, q, &matched, &shown);
    text_init(&out);
    text_print(&out, "{\"matched\":%zu,\"shown\":%zu,\"tunnels\":[", matched, shown);
    put_items(c, q, &out);
    text_put(&out, SPAN_LITERAL("]}\n"));
    answer.body = &out;
    admin_answer(q->client, &answer);
}

void control_ask_tunnels(struct control *c, struct admin_client *client, const struct admin_request *r)
{
    struct control_question *q = question_new(c, client, answer_tunnels);
    struct span limit = admin_request_value(r, "limit");
    uint64_t most = SHOWN;
    const char *wrong = q != NULL ? read_filters(r, &q->query) : NULL;

    if (q == NULL)
        return;
    if (wrong == NULL && limit.p != NULL && (!span_to_u64(limit, &most) || most > SHOWN_MAX))
        wrong = "`limit` is a number, at most 10000";
    if (wrong != NULL) {
        question_free(c, q);
        say(client, 400, wrong);
        return;
    }
    q->query.deed = TUNNEL_SHOW;
    atomic_store(&q->query.left, (size_t)most);
    pose(c, q);
}

/* ---- DELETE /tunnels/ID ---- */

static void answer_close(struct control *c, struct control_question *q)
{
    size_t matched, closed;

    sum_up(c, q, &matched, &closed);
    if (matched == 0)
        say(q->client, 404, "there is no such tunnel");
    else
        say(q->client, closed > 0 ? 202 : 409, closed > 0 ? "the tunnel is being closed" : "the tunnel is ending already");
}

static const char *read_close(const struct admin_request *r, struct tunnel_query *q)
{
    struct span code = admin_request_value(r, "code"), reason = admin_request_value(r, "reason");
    uint64_t number = 1001;

    if (code.p != NULL && (!span_to_u64(code, &number) || number > UINT32_MAX || !ws_close_code_lawful((unsigned)number)))
        return "`code` is a close code that may be sent: 1000 to 1003, 1007 to 1014, 3000 to 4999";
    if (reason.p != NULL && (reason.n > TUNNEL_QUERY_REASON_BYTES || !utf8_valid(reason.p, reason.n)))
        return "`reason` is UTF-8, at most 123 bytes of it";
    q->code = (unsigned)number;
    snprintf(q->reason, sizeof(q->reason), "%.*s", SPAN_FORMAT(reason.p != NULL ? reason : SPAN_LITERAL("closed by the operator")));
    return NULL;
}

void control_ask_close(struct control *c, struct admin_client *client, const struct admin_request *r)
{
    struct control_question *q = question_new(c, client, answer_close);
    const char *wrong = NULL;

    if (q == NULL)
        return;
    if (!read_id(span_from(r->path, strlen("/tunnels/")), &q->query))
        wrong = "a tunnel is called as /tunnels tells it, 0-17 for example";
    else
        wrong = read_close(r, &q->query);
    if (wrong != NULL) {
        question_free(c, q);
        say(client, 400, wrong);
        return;
    }
    q->query.deed = TUNNEL_CLOSE;
    pose(c, q);
}

/* ---- POST /drain with filters ---- */

static void answer_drain(struct control *c, struct control_question *q)
{
    struct admin_answer answer = { .status = 202, .type = "application/json" };
    struct text out;
    size_t matched, drained;

    sum_up(c, q, &matched, &drained);
    text_init(&out);
    text_print(&out, "{\"matched\":%zu,\"drained\":%zu,\"spread_ms\":%" PRIu64 "}\n", matched, drained, q->query.spread_ms);
    answer.body = &out;
    admin_answer(q->client, &answer);
}

void control_ask_drain(struct control *c, struct admin_client *client, const struct admin_request *r)
{
    struct control_question *q = question_new(c, client, answer_drain);
    const char *wrong = q != NULL ? read_filters(r, &q->query) : NULL;

    if (q == NULL)
        return;
    q->query.spread_ms = c->conf->timeouts.drain_spread_ms;
    if (wrong == NULL && !read_fraction(admin_request_value(r, "fraction"), &q->query.fraction))
        wrong = "`fraction` is more than 0 and at most 1, as in fraction=0.25";
    if (wrong == NULL && !read_duration(admin_request_value(r, "spread"), &q->query.spread_ms))
        wrong = "`spread` is a duration, as in spread=30s";
    if (wrong != NULL) {
        question_free(c, q);
        say(client, 400, wrong);
        return;
    }
    q->query.deed = TUNNEL_DRAIN;
    pose(c, q);
}

/* ---- GET /status.json ---- */

static void answer_status(struct control *c, struct control_question *q)
{
    struct admin_answer answer = { .status = 200, .type = "application/json" };
    struct text out;

    text_init(&out);
    control_status(c, &out);
    text_put(&out, SPAN_LITERAL(",\"longest\":["));
    put_items(c, q, &out);
    text_put(&out, SPAN_LITERAL("],\"busiest\":["));
    put_busiest(c, q, &out);
    text_put(&out, SPAN_LITERAL("]}\n"));
    answer.body = &out;
    admin_answer(q->client, &answer);
}

void control_ask_status(struct control *c, struct admin_client *client, const struct admin_request *r)
{
    struct control_question *q = question_new(c, client, answer_status);

    (void)r;
    if (q == NULL)
        return;
    q->query.deed = TUNNEL_RANK;
    atomic_store(&q->query.left, LONGEST);
    pose(c, q);
}
