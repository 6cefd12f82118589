/* The life of a check:
 *
 *   CONNECTING   an outbound is at work: connection, PROXY header, TLS. With `tcp` that is all
 *   ASKED        the question is sent, its answer awaited
 *   PINGED       the WebSocket is open, its Pong awaited
 *   CLOSING      it did well; Close is sent, and the other side's awaited, so that it sees an orderly end. Whatever comes, it did well */
#include "gateway/health_check_parts.h"
#include "gateway/log.h"
#include "gateway/outbound.h"
#include "protocol/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const too_late[] = {
#define HEALTH_STATE_WORDS(name, words) words,
    HEALTH_STATES(HEALTH_STATE_WORDS)
#undef HEALTH_STATE_WORDS
};

/* ---- the end ---- */

static void check_free(struct health_check *c)
{
    timer_clear(c->services->timers, &c->timer);
    outbound_cancel(&c->outbound);
    stream_close(&c->stream);
    http1_parse_free(c->parse);
    mem_free(c->body);
    arena_free(&c->arena);
    mem_free(c);
}

static void judge(struct health_check *c, const char *words)
{
    health_judged *judged = c->judged;
    void *ctx = c->ctx;

    check_free(c);
    judged(ctx, words);
}

void health_check_pass(struct health_check *c)
{
    if (c->stream != NULL)
        stream_finish(c->stream);
    judge(c, NULL);
}

void health_check_fail(struct health_check *c, const char *format, ...)
{
    char words[HEALTH_WORDS_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(words, sizeof(words), format, arguments);
    va_end(arguments);
    judge(c, words);
}

void health_check_enter(struct health_check *c, enum health_check_state to)
{
    assert(to > c->state);
    c->state = to;
}

static void on_late(struct timer *t, uint64_t now_ms)
{
    struct health_check *c = LIST_OWNER(t, struct health_check, timer);

    (void)now_ms;
    if (c->state == HEALTH_CLOSING)
        health_check_pass(c);
    else
        health_check_fail(c, "%s", too_late[c->state]);
}

/* ---- an answer ---- */

static bool status_is_good(const struct conf_health *h, unsigned status)
{
    return h->status != 0 ? status == h->status : status >= 200 && status <= 399;
}

bool health_check_judge_head(struct health_check *c, const struct http1_head *head)
{
    if (!status_is_good(c->conf, head->status)) {
        health_check_fail(c, "it answered %u", head->status);
        return true;
    }
    if (c->conf->body != NULL)
        return false;
    health_check_pass(c);
    return true;
}

/* What is over the bound is not looked at. */
bool health_check_judge_body(struct health_check *c, struct span data)
{
    struct span text = span_of_text(c->conf->body);

    if (c->body == NULL)
        c->body = mem_alloc(HEALTH_BODY_BYTES);
    if (c->body == NULL) {
        health_check_fail(c, "there is no memory for its answer");
        return true;
    }
    data = span_first(data, HEALTH_BODY_BYTES - c->body_n);
    memcpy(c->body + c->body_n, data.p, data.n);
    c->body_n += data.n;
    for (size_t i = 0; i + text.n <= c->body_n; i++)
        if (memcmp(c->body + i, text.p, text.n) == 0) {
            health_check_pass(c);
            return true;
        }
    if (c->body_n < HEALTH_BODY_BYTES)
        return false;
    health_check_judge_end(c);
    return true;
}

void health_check_judge_end(struct health_check *c)
{
    health_check_fail(c, "its answer does not have the text `%s`%s", c->conf->body,
                      c->body_n == HEALTH_BODY_BYTES ? " in its first 16KiB" : "");
}

/* ---- the connection ---- */

struct span health_check_host(struct health_check *c)
{
    const struct server_state *s = c->wanted.server;
    char host[HEALTH_WORDS_BYTES + 64];

    if (c->conf->host != NULL)
        return span_of_text(c->conf->host);
    if (s->address.kind == CONF_ADDRESS_UNIX)
        return SPAN_LITERAL("localhost");
    if (strcmp(s->host, s->address.host) == 0)
        return span_of_text(s->address.text);
    snprintf(host, sizeof(host), "%s:%u", s->host, s->address.port);     /* the name that stands for it */
    return arena_copy(&c->arena, span_of_text(host));
}

static void on_event(void *ctx)
{
    struct health_check *c = ctx;

    if (c->conf->fastcgi != NULL)
        health_fcgi_read(c);
    else
        health_http_read(c);
}

static const struct stream_events check_events = { .readable = on_event, .writable = on_event };

static void on_connected(void *ctx, const struct dial_answer *a)
{
    struct health_check *c = ctx;

    c->outbound = NULL;
    if (a->stream == NULL) {
        health_check_fail(c, "%s%s%s", end_reason_sentence(a->why), a->detail != NULL ? ": " : "", a->detail != NULL ? a->detail : "");
        return;
    }
    c->stream = a->stream;
    stream_own(c->stream, &check_events, c);
    if (c->conf->tcp) {
        health_check_pass(c);
        return;
    }
    health_check_enter(c, HEALTH_ASKED);
    if (c->conf->fastcgi != NULL)
        health_fcgi_begin(c);
    else
        health_http_begin(c);
}

struct health_check *health_check_start(struct services *services, const struct health_wanted *wanted, health_judged *judged, void *ctx)
{
    struct health_check *c = mem_zalloc(sizeof(*c));
    struct outbound_request request = {
        .upstream = wanted->upstream, .checked = wanted->server, .tls = wanted->tls, .timeout_ms = wanted->upstream->health.timeout_ms
    };

    if (c == NULL)
        return NULL;
    c->services = services;
    c->wanted = *wanted;
    c->conf = &wanted->upstream->health;
    c->judged = judged;
    c->ctx = ctx;
    arena_init(&c->arena, HEALTH_ARENA_BYTES);
    timer_init(&c->timer, on_late);
    timer_start(services->timers, &c->timer, c->conf->timeout_ms);
    c->outbound = outbound_start(services, &request, on_connected, c);
    if (c->outbound != NULL)
        return c;
    check_free(c);
    return NULL;
}

void health_check_cancel(struct health_check **c)
{
    if (*c != NULL)
        check_free(*c);
    *c = NULL;
}
