/* A check that speaks HTTP: a GET, or the handshake of a WebSocket (RFC 6455 section 4), which is judged as a client's is: then a Ping, and a
 * Close when its Pong has come.
 *
 * What can go wrong, in order: no memory, the answer is malformed or cut, its status or its 101 is not as it should be, a frame is unlawful,
 * the server closes before the Pong. */
#include "gateway/health_check_parts.h"
#include "protocol/base64.h"
#include "protocol/http1_write.h"
#include "protocol/ws_build.h"

#include <string.h>

#define KEY_BYTES 16                     /* RFC 6455 section 4.1 */
#define USER_AGENT "upgate/" UPGATE_VERSION " (health check)"
#define LARGEST_FRAME (16 * 1024 * 1024) /* whatever it has to say to a new client */

/* ---- the question ---- */

static const char *path_of(const struct conf_health *h)
{
    return h->websocket != NULL ? h->websocket : h->http;
}

static enum fault add_upgrade(struct health_check *c, struct headers *fields)
{
    uint8_t random[KEY_BYTES], *key = arena_alloc(&c->arena, BASE64_BYTES(KEY_BYTES));
    enum fault fault = key != NULL ? FAULT_NONE : FAULT_NO_MEMORY;

    if (key == NULL)
        return fault;
    services_random(random, sizeof(random));
    base64_encode(span_of(random, sizeof(random)), key);
    fault = headers_add(fields, SPAN_LITERAL("Connection"), SPAN_LITERAL("Upgrade"));
    if (fault == FAULT_NONE)
        fault = headers_add(fields, SPAN_LITERAL("Upgrade"), SPAN_LITERAL("websocket"));
    if (fault == FAULT_NONE)
        fault = headers_add(fields, SPAN_LITERAL("Sec-WebSocket-Version"), SPAN_LITERAL("13"));
    if (fault == FAULT_NONE)
        fault = headers_add(fields, SPAN_LITERAL("Sec-WebSocket-Key"), span_of(key, BASE64_BYTES(KEY_BYTES)));
    return fault;
}

static enum fault make_head(struct health_check *c, struct http1_head *head)
{
    enum fault fault;

    *head = (struct http1_head){ .method = SPAN_LITERAL("GET"), .target = span_of_text(path_of(c->conf)), .version_minor = 1, .keep_alive = true };
    headers_init(&head->fields, &c->arena, 0);
    fault = headers_add(&head->fields, SPAN_LITERAL("Host"), health_check_host(c));
    if (fault == FAULT_NONE)
        fault = headers_add(&head->fields, SPAN_LITERAL("User-Agent"), SPAN_LITERAL(USER_AGENT));
    if (fault != FAULT_NONE)
        return fault;
    return c->conf->websocket != NULL ? add_upgrade(c, &head->fields)
                                      : headers_add(&head->fields, SPAN_LITERAL("Connection"), SPAN_LITERAL("close"));
}

/* The offer is read as if a client had made it: what is judged is what was sent. Its fields stay in the arena. */
static bool note_offer(struct health_check *c, const struct http1_head *head)
{
    struct http1_head *kept = arena_alloc(&c->arena, sizeof(*kept));
    enum fault fault;

    if (kept == NULL)
        return false;
    *kept = *head;
    return ws_offer_read(kept, &c->offer, &fault) == WS_OFFER_GOOD;
}

void health_http_begin(struct health_check *c)
{
    static const struct http1_limits limits = { .head_bytes = HEALTH_ARENA_BYTES, .fields = 1000, .chunk_extension_bytes = 1024 };
    struct http1_head head;
    struct span bytes = SPAN_EMPTY;

    c->parse = http1_parse_new(HTTP1_RESPONSE, &limits);
    if (c->parse != NULL && make_head(c, &head) == FAULT_NONE && (c->conf->websocket == NULL || note_offer(c, &head)))
        bytes = http1_write_request_head(&c->arena, head.method, head.target, &head.fields);
    if (bytes.p == NULL)
        health_check_fail(c, "there is no memory to ask");
    else if (stream_put(c->stream, bytes) != 0)
        health_check_fail(c, "it took no question");
}

/* ---- a WebSocket ---- */

static bool say(struct health_check *c, const uint8_t *frame, size_t n)
{
    return n > 0 && stream_put(c->stream, span_of(frame, n)) == 0;
}

/* Returns true when it was the end. */
static bool begin_websocket(struct health_check *c, const struct http1_head *answer)
{
    static const struct ws_scan_rules rules = { .verify = WS_VERIFY_FRAMES, .max_frame = LARGEST_FRAME };
    struct ws_agreement agreement;
    enum fault fault;
    uint8_t frame[WS_BUILT_MAX_BYTES], mask[4];

    if (answer->status != 101) {
        health_check_fail(c, "it answered %u instead of opening a WebSocket", answer->status);
        return true;
    }
    fault = ws_answer_judge(&c->offer, answer, &agreement);
    if (fault != FAULT_NONE) {
        health_check_fail(c, "its 101 is not good: %s", fault_sentence(fault));
        return true;
    }
    health_check_enter(c, HEALTH_PINGED);
    ws_scan_init(&c->scan, &rules);
    services_random(c->ping, sizeof(c->ping));
    services_random(mask, sizeof(mask));
    if (say(c, frame, ws_build_ping(frame, span_of(c->ping, sizeof(c->ping)), mask)))
        return false;
    health_check_fail(c, "it took no Ping");
    return true;
}

/* Returns true when it was the end. */
static bool close_websocket(struct health_check *c)
{
    uint8_t frame[WS_BUILT_MAX_BYTES], mask[4];

    health_check_enter(c, HEALTH_CLOSING);
    services_random(mask, sizeof(mask));
    if (say(c, frame, ws_build_close(frame, 1000, SPAN_EMPTY, mask)))
        return false;
    health_check_pass(c);
    return true;
}

static bool is_our_pong(const struct health_check *c, const struct ws_control *control)
{
    return control->opcode == WS_PONG && control->payload_bytes == sizeof(c->ping) &&
           memcmp(control->payload, c->ping, sizeof(c->ping)) == 0;
}

/* Returns true when it was the end. */
static bool take_control(struct health_check *c, const struct ws_control *control)
{
    if (control->opcode == WS_CLOSE && c->state == HEALTH_CLOSING) {
        health_check_pass(c);
        return true;
    }
    if (control->opcode == WS_CLOSE) {
        health_check_fail(c, "it closed the WebSocket with code %u before it answered a Ping", control->close_code);
        return true;
    }
    if (c->state != HEALTH_PINGED || !is_our_pong(c, control))
        return false;
    return close_websocket(c);
}

static void lost(struct health_check *c)
{
    if (c->state == HEALTH_CLOSING)
        health_check_pass(c);
    else
        health_check_fail(c, "it ended the connection before it answered a Ping");
}

static void read_frames(struct health_check *c)
{
    struct ws_control control;
    enum ws_scan_verdict verdict;
    const uint8_t *p;
    size_t n, passed;

    do {
        n = stream_peek(c->stream, &p);
        verdict = ws_scan_feed(&c->scan, p, n, &passed, &control);
        if (verdict == WS_SCAN_FAULT) {
            if (c->state == HEALTH_CLOSING)
                health_check_pass(c);
            else
                health_check_fail(c, "it sent an unlawful frame: %s", fault_sentence(c->scan.fault));
            return;
        }
        stream_consume(c->stream, passed + (verdict == WS_SCAN_CONTROL ? control.frame_bytes : 0));
        if (verdict == WS_SCAN_CONTROL) {
            ws_scan_control_done(&c->scan);
            if (take_control(c, &control))
                return;
        }
    } while (verdict == WS_SCAN_CONTROL);
    if (c->stream->input != STREAM_OPEN)
        lost(c);
}

/* ---- the answer ---- */

/* Returns true when it was the end. */
static bool take_event(struct health_check *c, const struct http1_result *r)
{
    switch (r->event) {
    case HTTP1_HEAD:
        if (r->head->status < 200 && r->head->status != 101)
            return false;
        return c->conf->websocket != NULL ? begin_websocket(c, r->head) : health_check_judge_head(c, r->head);
    case HTTP1_BODY:
        return health_check_judge_body(c, r->data);
    case HTTP1_END:
        health_check_judge_end(c);
        return true;
    case HTTP1_FAULT:
        health_check_fail(c, "its answer is malformed: %s", fault_sentence(r->fault));
        return true;
    case HTTP1_MORE:
        break;
    }
    return false;
}

static void answer_ended(struct health_check *c)
{
    struct http1_result r;

    http1_parse_eof(c->parse, &r);
    if (r.event == HTTP1_END)
        health_check_judge_end(c);
    else
        health_check_fail(c, "it ended the connection before its answer was complete");
}

static void read_answer(struct health_check *c)
{
    struct http1_result r;
    const uint8_t *p;
    size_t n, used;

    do {
        n = stream_peek(c->stream, &p);
        used = http1_parse_next(c->parse, p, n, &r);
        if (r.event == HTTP1_BODY) {
            http1_parse_took(c->parse, r.data.n);
            if (take_event(c, &r))
                return;
            used += r.data.n;
        }
        stream_consume(c->stream, used);
        if (r.event != HTTP1_BODY && take_event(c, &r))
            return;
    } while (r.event != HTTP1_MORE && c->state == HEALTH_ASKED);
    if (c->state == HEALTH_PINGED)
        read_frames(c);                  /* some may stand right behind the 101 */
    else if (c->stream->input != STREAM_OPEN)
        answer_ended(c);
}

void health_http_read(struct health_check *c)
{
    if (c->state == HEALTH_ASKED)
        read_answer(c);
    else
        read_frames(c);
}
