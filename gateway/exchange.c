/* The happy path of an exchange:
 *
 *   request  BEGIN → BODY → DONE        checked and routed, a server is chosen; the body passes once it is connected; its end has passed
 *   response AWAITED → BODY → DONE      1xx heads pass; the final head has passed; its end has passed
 *
 * Both halves advance in exchange_run(), which is called for every event of either stream and tries everything that could go on. The two are a
 * pair: "still uploading, already answered" is a normal state.
 *
 * What goes wrong, in the order in which it happens: the request is refused (4xx, 5xx from here), no server can be reached (502, 504;
 * others are tried first), the client stalls or goes away in its body (408, or nobody to answer), the server closes, stalls or breaks the
 * protocol (502, 504, or the client's connection is reset when the response had begun), the client does not read (given up).
 * A WebSocket offer goes the same way until its 101, which is judged and then hands both streams to a tunnel. */
#include "gateway/exchange_parts.h"
#include "gateway/log.h"
#include "gateway/route.h"
#include "protocol/mem.h"
#include "protocol/target_rewrite.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define ROUNDS_MAX 16                    /* pieces moved in one turn; the rest waits for the next */
#define BLOCK_BYTES 4080                 /* one piece of memory for an exchange and what an ordinary one needs beside */
#define ARENA_BYTES (640 * 1024)         /* beside what grows with the heads: room for as many fields of the operator as there can be */
#define CHECK_MS 10000                   /* for a password's turn, and its check */
#define CONNECT_SLACK_MS 1000            /* the dial has its own deadline; this one only catches a bug */

static const enum end_reason wait_ends[] = {
    [WAIT_BEGIN] = END_NO_MEMORY,
    [WAIT_PERMISSION] = END_AUTH_TIMEOUT,
    [WAIT_PLACE] = END_QUEUE_TIMEOUT,
    [WAIT_CONNECT] = END_CONNECT_TIMEOUT,
    [WAIT_SWITCH] = END_HANDSHAKE_TIMEOUT,
    [WAIT_CLIENT_SENDS] = END_BODY_TIMEOUT,
    [WAIT_SERVER_READS] = END_SERVER_STALLED,
    [WAIT_ANSWER] = END_RESPONSE_TIMEOUT,
    [WAIT_SERVER_SENDS] = END_SERVER_STALLED,
    [WAIT_CLIENT_READS] = END_CLIENT_STALLED,
};

void exchange_request_enter(struct exchange *x, enum request_state to)
{
    assert(to > x->request);
    x->request = to;
    if (to == REQUEST_DONE)
        x->asked_ms = timers_now_ms(x->services->timers);
}

void exchange_response_enter(struct exchange *x, enum response_state to)
{
    assert(to > x->response);
    x->response = to;
}

/* ---- waiting ---- */

static enum wait wait_of(const struct exchange *x)
{
    if (x->question != NULL || x->check != NULL)
        return WAIT_PERMISSION;
    if (x->backend == NULL)
        return seek_waits(&x->seek) ? WAIT_PLACE : x->gather != NULL ? WAIT_CLIENT_SENDS : WAIT_BEGIN;
    if (!x->backend->open)
        return WAIT_CONNECT;
    if (x->response == RESPONSE_BODY)
        return x->client_blocked ? WAIT_CLIENT_READS : WAIT_SERVER_SENDS;
    if (x->websocket)
        return WAIT_SWITCH;
    if (x->request == REQUEST_BODY && !x->server_deaf)
        return x->server_blocked ? WAIT_SERVER_READS : WAIT_CLIENT_SENDS;
    return x->server_blocked ? WAIT_SERVER_READS : WAIT_ANSWER;
}

static uint64_t patience_ms(const struct exchange *x)
{
    const struct conf_timeouts *timeouts = x->route != NULL ? &x->route->timeouts : &x->snapshot->conf->timeouts;

    switch (x->wait) {
    case WAIT_BEGIN:
    case WAIT_CONNECT:
        return timeouts->connect_ms + CONNECT_SLACK_MS;
    case WAIT_PERMISSION:
        return x->check != NULL ? CHECK_MS : x->route->auth.forward.timeout_ms;
    case WAIT_PLACE:
        return x->upstream->conf->queue_timeout_ms;
    case WAIT_SWITCH:
        return x->route->websocket.handshake_timeout_ms;
    case WAIT_ANSWER:
        return timeouts->response_ms;
    case WAIT_CLIENT_SENDS:
    case WAIT_SERVER_READS:
    case WAIT_SERVER_SENDS:
    case WAIT_CLIENT_READS:
        break;
    }
    return timeouts->body_ms;
}

/* Every wait has a deadline: it is set when the kind of wait changes, and moved lazily, when it strikes, by what progress there was. */
static void wait_for(struct exchange *x, bool moved)
{
    enum wait wait = wait_of(x);

    if (moved || wait != x->wait)
        x->progress_ms = timers_now_ms(x->services->timers);
    if (wait != x->wait || !timer_is_set(&x->timer)) {
        x->wait = wait;
        timer_start(x->services->timers, &x->timer, patience_ms(x));
    }
}

static void on_timer(struct timer *t, uint64_t now_ms)
{
    struct exchange *x = LIST_OWNER(t, struct exchange, timer);
    uint64_t due_ms = x->progress_ms + patience_ms(x);

    if (now_ms < due_ms) {
        timer_set(x->services->timers, &x->timer, due_ms);
        return;
    }
    if (x->question != NULL) {
        exchange_ask_late(x);
        return;
    }
    if (x->wait == WAIT_PLACE) {
        upstream_complain(x->upstream);
    } else if (x->server != NULL && x->wait != WAIT_CLIENT_SENDS && x->wait != WAIT_CLIENT_READS) {
        server_did_badly(x->server, x->upstream);
        log_warn("upstream %s server %s: %s", x->upstream->conf->name, x->server->state->name,
                 end_reason_sentence(wait_ends[x->wait]));
    }
    exchange_give_up(x, wait_ends[x->wait], FAULT_NONE, end_reason_status(wait_ends[x->wait]));
}

void exchange_await(struct exchange *x)
{
    wait_for(x, false);
}

void exchange_run(struct exchange *x)
{
    bool moved = false;

    if (exchange_client_stream(x)->input == STREAM_FAILED || exchange_client_stream(x)->output_error != 0) {
        exchange_finish(x, END_CLIENT_ABORTED, EXCHANGE_GONE);
        return;
    }
    if (x->check != NULL)
        return;
    if (x->question != NULL) {
        exchange_ask_more(x);
        return;
    }
    for (int round = 0; round < ROUNDS_MAX; round++) {
        enum step up, down;
        if (seek_waits(&x->seek)) {     /* it waits for a place at a server */
            wait_for(x, false);
            return;
        }
        up = exchange_request_step(x);
        if (up == STEP_OVER)
            return;
        down = exchange_response_step(x);
        if (down == STEP_OVER)
            return;
        if (up == STEP_IDLE && down == STEP_IDLE) {
            wait_for(x, moved);
            return;
        }
        moved = true;
    }
    wait_for(x, true);
    ready_add(x->services->ready, &x->ready);            /* the turn's share is spent */
}

void exchange_on_progress(void *ctx)
{
    struct exchange *x = ctx;

    if (x->request != REQUEST_BEGIN)
        exchange_run(x);
}

static const struct stream_events client_events = { .readable = exchange_on_progress, .writable = exchange_on_progress };

/* ---- the beginning ---- */

static enum fault change_path(struct exchange *x)
{
    const struct target_rewrite how = { span_of_text(x->route->path.strip), span_of_text(x->route->path.prepend) };

    return how.strip.n + how.prepend.n > 0 ? target_rewrite(&x->arena, &how, &x->rules.target) : FAULT_NONE;
}

static enum fault check(struct exchange *x)
{
    struct rules_policy policy = { .max_via = 8, .pseudonym = span_of_text(x->snapshot->conf->forwarded.via) };
    enum fault fault = rules_check_request(&x->arena, x->head, &policy, &x->rules);
    enum ws_offer_kind offer;

    if (fault != FAULT_NONE)
        return fault;
    if (x->client.inbound->listener->redirect == CONF_REDIRECT_HTTPS)
        return exchange_point_to_https(x);
    x->route = route_find(x->snapshot->conf, x->client.inbound->listener, x->head->method, &x->rules);
    if (route_is_ambiguous(x->snapshot->conf, x->client.inbound->listener, x->head->method, &x->rules))
        return FAULT_TARGET;
    x->asked_target = x->rules.target.path_and_query;
    if (x->route != NULL)
        fault = change_path(x);
    if (fault != FAULT_NONE)
        return fault;
    if (x->route == NULL || !x->route->upstream_on || x->route->websocket.mode == CONF_WEBSOCKET_OFF)
        return FAULT_NONE;
    offer = ws_offer_read(x->head, &x->offer, &fault);
    x->websocket = offer == WS_OFFER_GOOD && exchange_may_switch(x);
    x->offered = x->websocket || offer == WS_OFFER_BAD;
    return fault;
}

/* A request without a body is complete with its head. */
static enum step end_if_bodyless(struct exchange *x)
{
    struct http1_result r;

    exchange_request_enter(x, REQUEST_BODY);
    if (x->head->body != HTTP1_BODY_NONE)
        return STEP_MOVED;
    http1_parse_next(x->client.parse, NULL, 0, &r);
    assert(r.event == HTTP1_END);
    return exchange_request_end(x, NULL);
}

void exchange_go_on(struct exchange *x)
{
    if (!x->route->upstream_on) {
        exchange_act(x);
        return;
    }
    x->trace.changes.next = exchange_request_changes(x);
    if (exchange_reach(x, &x->snapshot->upstreams[x->route->upstream]) != STEP_OVER)
        exchange_run(x);
}

static void begin(struct exchange *x)
{
    enum fault fault = FAULT_NONE;
    enum end_reason why;

    if (x->end != END_NONE) {            /* the head was faulty, or did not come in time */
        exchange_give_up(x, x->end, x->fault, x->fault != FAULT_NONE ? fault_status(x->fault) : end_reason_status(x->end));
        return;
    }
    fault = check(x);
    if (fault != FAULT_NONE) {
        exchange_refuse(x, fault);
        return;
    }
    if (end_if_bodyless(x) == STEP_OVER)
        return;
    if (x->rules.final_recipient) {      /* RFC 9110 section 7.6.2 */
        exchange_give_up(x, END_COMPLETE, FAULT_NONE, 200);
        return;
    }
    why = exchange_admit(x);
    if (why != END_NONE)
        exchange_give_up(x, why, FAULT_NONE, end_reason_status(why));
    else
        exchange_authenticate(x);
}

static void on_ready(struct ready *r)
{
    struct exchange *x = LIST_OWNER(r, struct exchange, ready);

    if (x->request == REQUEST_BEGIN)
        begin(x);
    else
        exchange_run(x);
}

static void find_real_client(struct exchange *x, const struct http1_head *head)
{
    const struct inbound *in = x->client.inbound;

    x->real_client = head != NULL ? inbound_real_client(in, &head->fields) : in->client;
    if (net_address_equal(&x->real_client, &in->client)) {
        memcpy(x->real_address, in->address, sizeof(x->real_address));
        memcpy(x->real_name, in->name, sizeof(x->real_name));
    } else {
        net_address_print(&x->real_client, x->real_address);
        net_address_name(&x->real_client, x->real_address, x->real_name);
    }
}

static_assert(sizeof(struct exchange) + 1024 <= BLOCK_BYTES, "room for an arena");

static struct exchange *make(struct services *services, const struct exchange_client *client, const struct http1_head *head)
{
    struct exchange *x = mem_alloc(BLOCK_BYTES);

    if (x == NULL)
        return NULL;
    *x = (struct exchange){ .services = services, .client = *client, .snapshot = client->inbound->snapshot, .head = head };
    find_real_client(x, head);
    arena_init_in(&x->arena, 16 * x->snapshot->request_limits.head_bytes + ARENA_BYTES, x->room, BLOCK_BYTES - offsetof(struct exchange, room));
    timer_init(&x->timer, on_timer);
    ready_init(&x->ready, on_ready);
    x->begun_ms = x->progress_ms = timers_now_ms(services->timers);
    metrics_add(&services->metrics->exchanges_open, 1);
    exchange_name(x);
    if (!exchange_note_tls(x))
        x->end = END_NO_MEMORY;
    stream_own(exchange_client_stream(x), &client_events, x);
    ready_add(services->ready, &x->ready);
    return x;
}

struct exchange *exchange_new(struct services *services, const struct exchange_client *client, const struct http1_head *head)
{
    return make(services, client, head);
}

struct exchange *exchange_new_refused(struct services *services, const struct exchange_client *client, enum end_reason why, enum fault fault)
{
    struct exchange *x = make(services, client, NULL);

    if (x != NULL) {
        x->end = why;
        x->fault = fault;
    }
    return x;
}
