/* A connection to the admin endpoint:
 *
 *   IDLE      nothing of a request has come
 *   READING   a request is coming
 *   ASKING    its answer is being found
 *   WRITING   its answer is on its way; then IDLE again, or
 *   ENDING    everything is said: the peer's end is awaited, what it still sends is thrown away
 *   OVER      closed
 *
 * What can go wrong, in this order: the head is malformed (the fault's status, and the end), a body is sent (400, and the end), the request is
 * refused (admin_request.h), the asker goes, or the answer takes too long (504, and the end). */
#include "gateway/admin.h"
#include "gateway/log.h"
#include "gateway/reply.h"
#include "gateway/stream_uv.h"
#include "protocol/http1_write.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK_MS 250
#define ARENA_BYTES (64 * 1024)

enum admin_state { ADMIN_IDLE, ADMIN_READING, ADMIN_ASKING, ADMIN_WRITING, ADMIN_ENDING, ADMIN_OVER };

#define CAN(state) (1u << ADMIN_##state)
static const struct {
    unsigned next;
    uint64_t patience_ms;
} states[] = {
    [ADMIN_IDLE] = { CAN(READING) | CAN(ENDING) | CAN(OVER), 60000 },
    [ADMIN_READING] = { CAN(ASKING) | CAN(WRITING) | CAN(OVER), 10000 },
    [ADMIN_ASKING] = { CAN(WRITING) | CAN(OVER), 60000 },
    [ADMIN_WRITING] = { CAN(IDLE) | CAN(ENDING) | CAN(OVER), 30000 },
    [ADMIN_ENDING] = { CAN(OVER), 2000 },
    [ADMIN_OVER] = { 0, 0 },
};

struct admin_client {
    struct list link;
    struct admin *admin;
    enum admin_state state;
    uint64_t due_ms;
    struct stream *stream;
    struct http1_parse *parse;
    struct arena arena;
    bool head_request, keep_alive, has_head;
    struct text out;
    size_t sent;
};

struct admin {
    uv_loop_t *loop;
    struct admin_owner owner;
    const struct conf_admin *conf;
    const char *via;
    struct stream_uv_loop *streams;
    uv_timer_t tick;
    struct watch watch;
    int fd;                              /* -1: none */
    bool resting;
    struct list clients;
    size_t clients_n;
    bool closing;
};

static void enter(struct admin_client *c, enum admin_state to)
{
    assert((states[c->state].next & (1u << to)) != 0);
    c->state = to;
    c->due_ms = uv_now(c->admin->loop) + states[to].patience_ms;
}

/* ---- the end of a connection ---- */

static void rest(struct admin *a, bool resting)
{
    if (a->fd >= 0 && a->resting != resting)
        poller_rest_listening(&a->streams->poller, a->fd, resting);
    a->resting = resting;
}

static void client_free(struct admin_client *c)
{
    struct admin *a = c->admin;

    stream_close(&c->stream);
    http1_parse_free(c->parse);
    arena_free(&c->arena);
    text_free(&c->out);
    list_remove(&c->link);
    a->clients_n--;
    mem_free(c);
    rest(a, false);
}

static void end(struct admin_client *c)
{
    bool waits = c->state == ADMIN_ASKING;

    enter(c, ADMIN_OVER);
    if (waits)
        c->admin->owner.gone(c->admin->owner.ctx, c);
    client_free(c);
}

/* ---- the answer ---- */

/* Nothing that this endpoint says is kept, shown inside another page, or run as anything but what it is. */
static enum fault put_fields(struct headers *h, const struct admin_answer *answer, struct span length, bool keep_alive)
{
    static const struct field fixed[] = {
        { SPAN_LITERAL("Cache-Control"), SPAN_LITERAL("no-store") },
        { SPAN_LITERAL("X-Content-Type-Options"), SPAN_LITERAL("nosniff") },
        { SPAN_LITERAL("X-Frame-Options"), SPAN_LITERAL("DENY") },
        { SPAN_LITERAL("Referrer-Policy"), SPAN_LITERAL("no-referrer") },
        { SPAN_LITERAL("Content-Security-Policy"),
          SPAN_LITERAL("default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; "
                       "base-uri 'none'; form-action 'none'") },
    };
    const char *type = answer->type != NULL ? answer->type : "text/plain; charset=utf-8";
    enum fault f = headers_add(h, SPAN_LITERAL("Date"), reply_date());

    for (size_t i = 0; f == FAULT_NONE && i < sizeof(fixed) / sizeof(fixed[0]); i++)
        f = headers_add(h, fixed[i].name, fixed[i].value);
    if (f == FAULT_NONE)
        f = headers_add(h, SPAN_LITERAL("Content-Type"), span_of_text(type));
    if (f == FAULT_NONE)
        f = headers_add(h, SPAN_LITERAL("Content-Length"), length);
    if (f == FAULT_NONE && answer->allow != NULL)
        f = headers_add(h, SPAN_LITERAL("Allow"), span_of_text(answer->allow));
    if (f == FAULT_NONE && !keep_alive)
        f = headers_add(h, SPAN_LITERAL("Connection"), SPAN_LITERAL("close"));
    return f;
}

static void put_answer(struct admin_client *c, const struct admin_answer *answer, struct text *body)
{
    struct arena arena;
    struct headers h;
    struct span head = SPAN_EMPTY;
    uint8_t digits[SPAN_U64_BYTES];

    arena_init(&arena, ARENA_BYTES);
    headers_init(&h, &arena, 0);
    if (put_fields(&h, answer, span_of_u64(body->n, digits), c->keep_alive) == FAULT_NONE)
        head = http1_write_response_head(&arena, answer->status, SPAN_EMPTY, &h);
    text_put(&c->out, head);
    if (!c->head_request)
        text_put(&c->out, span_of(body->p, body->n));
    c->out.bad = c->out.bad || head.p == NULL;
    arena_free(&arena);
}

static void begin_ending(struct admin_client *c)
{
    enter(c, ADMIN_ENDING);
    if (stream_finish(c->stream) != 0)
        end(c);
}

static void next_request(struct admin_client *c)
{
    http1_parse_idle(c->parse);
    arena_reset(&c->arena);
    c->has_head = false;
    enter(c, ADMIN_IDLE);
}

/* Sends what it can; then the next request, or the end. May be the end of c: false. */
static bool write_more(struct admin_client *c)
{
    while (c->sent < c->out.n) {
        ssize_t n = stream_send(c->stream, span_of(c->out.p + c->sent, c->out.n - c->sent));
        if (n < 0) {
            end(c);
            return false;
        }
        if (n == 0)
            return true;
        c->sent += (size_t)n;
        c->due_ms = uv_now(c->admin->loop) + states[ADMIN_WRITING].patience_ms;
    }
    text_free(&c->out);
    c->sent = 0;
    if (c->keep_alive && !c->admin->closing) {
        next_request(c);
        return true;
    }
    begin_ending(c);
    return false;
}

void admin_answer(struct admin_client *c, const struct admin_answer *answer)
{
    struct text sentence, *body = answer->body;

    text_init(&sentence);
    if (body == NULL || body->bad) {
        struct admin_answer none = { .status = 503, .sentence = "there is not enough memory" };
        const struct admin_answer *said = body == NULL ? answer : &none;
        text_print(&sentence, "%u %s", said->status, http1_reason(said->status));
        if (said->sentence != NULL) {
            text_put(&sentence, SPAN_LITERAL(": "));
            text_put(&sentence, span_of_text(said->sentence));
            text_put(&sentence, SPAN_LITERAL("."));
        }
        text_put(&sentence, SPAN_LITERAL("\n"));
        put_answer(c, said, &sentence);
    } else {
        put_answer(c, answer, body);
    }
    text_free(&sentence);
    if (body != NULL)
        text_free(body);
    enter(c, ADMIN_WRITING);
    if (c->out.bad) {
        end(c);
        return;
    }
    if (write_more(c) && c->state == ADMIN_IDLE)
        stream_own(c->stream, c->stream->events, c);     /* what is there already is announced from the loop */
}

static void refuse(struct admin_client *c, unsigned status, const char *sentence)
{
    struct admin_answer answer = { .status = status, .sentence = sentence };

    if (c->state == ADMIN_IDLE)
        enter(c, ADMIN_READING);
    c->keep_alive = false;
    admin_answer(c, &answer);
}

/* ---- the request ---- */

static void ask(struct admin_client *c, const struct http1_head *head)
{
    struct admin_request request;
    struct admin_verdict verdict = admin_request_read(&c->arena, head, c->admin->conf, c->admin->via, &request);
    struct admin_answer refused = { .status = verdict.status, .sentence = verdict.sentence };

    c->head_request = request.head;
    c->keep_alive = head->keep_alive && head->version_minor > 0;
    if (verdict.status != 0) {
        admin_answer(c, &refused);
        return;
    }
    enter(c, ADMIN_ASKING);
    c->admin->owner.asked(c->admin->owner.ctx, c, &request);
}

/* One event of the parser; false: nothing more can be read now, or c has ended. */
static bool read_event(struct admin_client *c)
{
    struct http1_result result;
    const uint8_t *p = NULL;
    size_t n = stream_peek(c->stream, &p);

    n = http1_parse_next(c->parse, p, n, &result);
    stream_consume(c->stream, n);
    if (c->state == ADMIN_IDLE && http1_parse_started(c->parse))
        enter(c, ADMIN_READING);
    switch (result.event) {
    case HTTP1_HEAD:
        if (result.head->body == HTTP1_BODY_CHUNKED || result.head->content_length > 0) {
            refuse(c, 400, "no body is taken here: what is asked stands in the query");
            return false;
        }
        return true;
    case HTTP1_END:
        ask(c, result.head);
        return false;
    case HTTP1_FAULT:
        refuse(c, fault_status(result.fault) != 0 ? fault_status(result.fault) : 400, fault_sentence(result.fault));
        return false;
    case HTTP1_BODY:
    case HTTP1_MORE:
        break;
    }
    if (c->stream->input == STREAM_OPEN)
        return false;
    end(c);
    return false;
}

static void run(struct admin_client *c)
{
    const uint8_t *p;

    if (c->stream->output_error != 0 || c->stream->input == STREAM_FAILED) {
        end(c);
        return;
    }
    switch (c->state) {
    case ADMIN_IDLE:
    case ADMIN_READING:
        while (read_event(c))
            continue;
        break;
    case ADMIN_ASKING:
        break;
    case ADMIN_WRITING:
        if (write_more(c) && c->state == ADMIN_IDLE)
            run(c);
        break;
    case ADMIN_ENDING:
        stream_consume(c->stream, stream_peek(c->stream, &p));
        if (c->stream->input != STREAM_OPEN)
            end(c);
        break;
    case ADMIN_OVER:
        break;
    }
}

static void on_event(void *ctx)
{
    run(ctx);
}

static const struct stream_events events = { .readable = on_event, .writable = on_event };

/* ---- deadlines ---- */

static void on_due(struct admin_client *c)
{
    struct admin *a = c->admin;

    if (c->state == ADMIN_ASKING) {
        a->owner.gone(a->owner.ctx, c);
        refuse(c, 504, "that takes too long; it goes on all the same");
    } else if (c->state == ADMIN_READING) {
        refuse(c, 408, "the request did not come in time");
    } else {
        end(c);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct admin *a = timer->data;
    struct list *next;

    for (struct list *l = a->clients.next; l != &a->clients; l = next) {
        struct admin_client *c = LIST_OWNER(l, struct admin_client, link);
        next = l->next;
        if (uv_now(a->loop) >= c->due_ms)
            on_due(c);
    }
    if (list_empty(&a->clients))
        uv_timer_stop(timer);
}

/* ---- accepting ---- */

/* The list is in the order of accepting; of those that idle the first deadline is the one that idles longest. */
static struct admin_client *idlest(struct admin *a)
{
    struct admin_client *found = NULL;

    for (struct list *l = a->clients.next; l != &a->clients; l = l->next) {
        struct admin_client *c = LIST_OWNER(l, struct admin_client, link);
        if (c->state == ADMIN_IDLE && (found == NULL || c->due_ms < found->due_ms))
            found = c;
    }
    return found;
}

static bool make_room(struct admin *a)
{
    struct admin_client *idle;

    if (a->clients_n < ADMIN_CLIENTS_MAX)
        return true;
    idle = idlest(a);
    if (idle != NULL)
        end(idle);
    else
        rest(a, true);
    return idle != NULL;
}

static void take(struct admin *a, int fd)
{
    const struct http1_limits limits = { .head_bytes = 16 * 1024, .fields = 100, .chunk_extension_bytes = 256 };
    struct admin_client *c = mem_zalloc(sizeof(*c));
    int error;

    if (c != NULL)
        c->parse = http1_parse_new(HTTP1_REQUEST, &limits);
    if (c == NULL || c->parse == NULL) {
        mem_free(c);
        close(fd);
        return;
    }
    c->stream = stream_uv_new(a->streams, fd, &error);
    if (c->stream == NULL) {
        http1_parse_free(c->parse);
        mem_free(c);
        return;
    }
    c->admin = a;
    arena_init(&c->arena, ARENA_BYTES);
    text_init(&c->out);
    c->due_ms = uv_now(a->loop) + states[ADMIN_READING].patience_ms;
    list_append(&a->clients, &c->link);
    a->clients_n++;
    uv_timer_start(&a->tick, on_tick, TICK_MS, TICK_MS);
    stream_own(c->stream, &events, c);
}

static void on_acceptable(struct watch *w, unsigned news)
{
    struct admin *a = LIST_OWNER(w, struct admin, watch);
    int fd;

    (void)news;
    if (!make_room(a))
        return;
    fd = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        take(a, fd);
}

/* ---- the beginning and the end ---- */

struct admin *admin_new(uv_loop_t *loop, struct stream_uv_loop *streams, const struct admin_owner *owner)
{
    struct admin *a = mem_zalloc(sizeof(*a));

    if (a == NULL) {
        log_error("no admin endpoint: no memory");
        return NULL;
    }
    a->loop = loop;
    a->streams = streams;
    a->owner = *owner;
    a->fd = -1;
    a->watch.news = on_acceptable;
    list_init(&a->clients);
    uv_timer_init(loop, &a->tick);
    a->tick.data = a;
    return a;
}

static void stop_listening(struct admin *a)
{
    if (a->fd < 0)
        return;
    poller_forget_listening(&a->streams->poller, a->fd);
    close(a->fd);
    a->fd = -1;
}

void admin_configure(struct admin *a, const struct conf_admin *conf, const char *via)
{
    a->conf = conf;
    a->via = via;
}

int admin_listen(struct admin *a, int fd)
{
    int error = fd >= 0 ? poller_add_listening(&a->streams->poller, &a->watch, fd) : 0;

    if (error != 0) {
        close(fd);
        return error;
    }
    stop_listening(a);
    a->fd = fd;
    a->resting = false;
    return 0;
}

void admin_close(struct admin *a)
{
    if (a == NULL || a->closing)
        return;
    a->closing = true;
    stop_listening(a);
    while (!list_empty(&a->clients))
        end(LIST_OWNER(a->clients.next, struct admin_client, link));
    uv_close((uv_handle_t *)&a->tick, NULL);
}

void admin_free(struct admin *a)
{
    mem_free(a);
}
