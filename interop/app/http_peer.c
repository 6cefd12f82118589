#include "interop/app/http_peer.h"

#include "protocol/mem.h"

#include <assert.h>
#include <string.h>

#define ARENA_BYTES (256 * 1024)

static const struct http1_limits limits = {
    .head_bytes = 128 * 1024, .fields = 1000, .chunk_extension_bytes = 4096, .body_bytes = 0
};

/* S(name, deadline in ms, what it is) */
#define PEER_STATES(S)                                                                                                         \
    S(READING, 60000, "a request is awaited or half read; the deadline starts again with every read")                          \
    S(WRITING, 60000, "a piece of the reply is on its way")                                                                    \
    S(PAUSING, 0, "the reply's next piece is due later; the timer is the reply's own")                                         \
    S(LINGER, 2000, "the last reply is sent and our side shut down; the peer's end is awaited")                                \
    S(GONE, 0, "the socket is being closed")

enum peer_state {
#define STATE_ENUM(name, ms, words) PEER_##name,
    PEER_STATES(STATE_ENUM)
#undef STATE_ENUM
};

struct http_peer {
    union server_socket socket;
    uv_timer_t timer;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct list all;
    struct http_peers *peers;
    enum peer_state state;
    struct http1_parse *parser;
    struct arena arena;                  /* the reply's */
    struct http_request request;
    struct http_reply reply;
    uint8_t *left;                       /* read and not used yet */
    size_t left_n;
    uint8_t *out;                        /* the piece on its way; there while a reply is */
    uint64_t wait_ms;                    /* before the reply's next piece */
    bool bodiless;                       /* the reply ends with its head */
    bool close_after;
    unsigned handles_open;
};

static void resume(struct http_peer *p);
static void on_timer(uv_timer_t *timer);

/* --- states, the end --- */

static void maybe_free(uv_handle_t *handle)
{
    struct http_peer *p = handle->data;
    struct server *server = p->peers->server;

    if (--p->handles_open > 0)
        return;
    http1_parse_free(p->parser);
    arena_free(&p->arena);
    mem_free(p->left);
    mem_free(p->out);
    mem_free(p);
    server_released(server);
}

static void enter(struct http_peer *p, enum peer_state state)
{
    static const uint64_t deadlines[] = {
#define STATE_DEADLINE(name, ms, words) ms,
        PEER_STATES(STATE_DEADLINE)
#undef STATE_DEADLINE
    };

    assert(p->state < PEER_LINGER || state == PEER_GONE);
    p->state = state;
    if (state != PEER_GONE)
        uv_timer_start(&p->timer, on_timer, state == PEER_PAUSING ? p->wait_ms : deadlines[state], 0);
}

static void drop(struct http_peer *p)
{
    if (p->state == PEER_GONE)
        return;
    enter(p, PEER_GONE);
    list_remove(&p->all);
    uv_close(&p->socket.handle, maybe_free);
    uv_close((uv_handle_t *)&p->timer, maybe_free);
}

static void on_shutdown(uv_shutdown_t *request, int status)
{
    (void)request;
    (void)status;                        /* LINGER's deadline covers every outcome */
}

static void on_forget(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    (void)buf;
    if (n < 0)
        drop(stream->data);
}

/* What the peer still sends is read and forgotten until it closes, so that no reset can overtake the reply. */
static void linger(struct http_peer *p)
{
    enter(p, PEER_LINGER);
    if (uv_shutdown(&p->shutdown, &p->socket.stream, on_shutdown) != 0 ||
        uv_read_start(&p->socket.stream, server_lend_scratch, on_forget) != 0)
        drop(p);
}

/* --- the reply --- */

static void finish_reply(struct http_peer *p)
{
    mem_free(p->out);
    p->out = NULL;
    arena_reset(&p->arena);
    http1_parse_reset(p->parser);
    if (p->close_after || p->peers->server->stopping) {
        linger(p);
        return;
    }
    p->request = (struct http_request){ .arena = &p->arena };
    enter(p, PEER_READING);
    resume(p);
}

static void on_written(uv_write_t *request, int status);

static void write_out(struct http_peer *p, struct span bytes)
{
    uv_buf_t buf = uv_buf_init((char *)bytes.p, (unsigned)bytes.n);

    p->write.data = p;
    enter(p, PEER_WRITING);
    if (uv_write(&p->write, &p->socket.stream, &buf, 1, on_written) != 0)
        drop(p);
}

static void write_next(struct http_peer *p)
{
    struct span piece = SPAN_EMPTY;

    p->wait_ms = 0;
    if (!p->bodiless)
        piece = http_reply_piece(&p->reply, p->out, &p->wait_ms);
    if (piece.n == 0)
        finish_reply(p);
    else
        write_out(p, piece);
}

static void on_written(uv_write_t *request, int status)
{
    struct http_peer *p = request->data;

    if (status != 0)
        drop(p);
    else if (p->state == PEER_WRITING && p->wait_ms > 0)
        enter(p, PEER_PAUSING);
    else if (p->state == PEER_WRITING)
        write_next(p);
}

static void on_timer(uv_timer_t *timer)
{
    struct http_peer *p = timer->data;

    if (p->state == PEER_PAUSING)
        write_next(p);
    else
        drop(p);
}

static const char *connection_field(const struct http_peer *p, unsigned version_minor)
{
    if (p->close_after)
        return "close";
    return version_minor == 0 ? "keep-alive" : NULL;
}

/* Sends p->reply; nothing more is read meanwhile. */
static void start_reply(struct http_peer *p)
{
    unsigned version_minor = p->request.head != NULL ? p->request.head->version_minor : 1;
    struct span head;

    uv_read_stop(&p->socket.stream);
    p->bodiless = p->request.head != NULL && span_equal(p->request.head->method, SPAN_LITERAL("HEAD"));
    if (!http_reply_settle(&p->reply, version_minor))
        p->close_after = true;
    p->out = mem_alloc(HTTP_REPLY_ROOM_BYTES);
    head = http_reply_head(&p->reply, connection_field(p, version_minor), &p->arena);
    if (p->out == NULL || head.n == 0)
        drop(p);
    else
        write_out(p, head);
}

/* --- the request --- */

static void answer(struct http_peer *p, const struct headers *trailers)
{
    p->request.trailers = trailers;
    p->close_after = !p->request.head->keep_alive;
    p->reply = (struct http_reply){ .status = 200, .type = "text/plain; charset=utf-8" };
    p->peers->answer(&p->request, &p->reply);
    start_reply(p);
}

/* After a fault nobody can say where the next message begins: the connection ends. */
static void refuse(struct http_peer *p, enum fault fault)
{
    unsigned status = fault_status(fault) != 0 ? fault_status(fault) : 400;

    p->request.head = NULL;
    p->close_after = true;
    p->reply = (struct http_reply){ .status = status, .type = "text/plain; charset=utf-8" };
    p->reply.body = span_of_text(fault_sentence(fault));
    start_reply(p);
}

static void take_head(struct http_peer *p, const struct http1_head *head)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t buf = uv_buf_init((char *)interim, sizeof(interim) - 1);

    http_request_begin(&p->request, head);
    if (head->body == HTTP1_BODY_NONE || head->version_minor == 0)
        return;
    if (headers_list_has(&head->fields, SPAN_LITERAL("expect"), SPAN_LITERAL("100-continue")) &&
        uv_try_write(&p->socket.stream, &buf, 1) != (int)sizeof(interim) - 1)
        drop(p);                         /* 25 bytes into an empty socket */
}

static void take_body(struct http_peer *p, struct span data)
{
    http_request_count(&p->request, data);
    http1_parse_took(p->parser, data.n);
}

/* Uses bytes until a reply begins or more are needed; how many were used. */
static size_t consume(struct http_peer *p, const uint8_t *bytes, size_t n)
{
    struct http1_result result = { .event = HTTP1_HEAD };
    size_t used = 0;

    while (p->state == PEER_READING && result.event != HTTP1_MORE) {
        used += http1_parse_next(p->parser, bytes + used, n - used, &result);
        if (result.event == HTTP1_HEAD) {
            take_head(p, result.head);
        } else if (result.event == HTTP1_BODY) {
            take_body(p, result.data);
            used += result.data.n;
        } else if (result.event == HTTP1_END) {
            answer(p, result.trailers);
        } else if (result.event == HTTP1_FAULT) {
            refuse(p, result.fault);
        }
    }
    return used;
}

static void keep(struct http_peer *p, const uint8_t *bytes, size_t n)
{
    uint8_t *kept = n > 0 ? mem_alloc(n) : NULL;

    if (n > 0 && kept == NULL) {
        drop(p);
        return;
    }
    if (n > 0)
        memcpy(kept, bytes, n);
    mem_free(p->left);
    p->left = kept;
    p->left_n = n;
}

static void take_bytes(struct http_peer *p, const uint8_t *bytes, size_t n)
{
    size_t used = consume(p, bytes, n);

    if (p->state != PEER_GONE)
        keep(p, bytes + used, n - used);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct http_peer *p = stream->data;
    uint8_t *both;

    if (n < 0) {
        drop(p);
        return;
    }
    enter(p, PEER_READING);
    if (p->left_n == 0) {
        take_bytes(p, (const uint8_t *)buf->base, (size_t)n);
        return;
    }
    both = mem_realloc(p->left, p->left_n + (size_t)n);
    if (both == NULL) {
        drop(p);
        return;
    }
    p->left = both;
    memcpy(both + p->left_n, buf->base, (size_t)n);
    p->left_n += (size_t)n;
    take_bytes(p, p->left, p->left_n);
}

/* After a reply: first what was left of the last read, then the socket. */
static void resume(struct http_peer *p)
{
    if (p->left_n > 0)
        take_bytes(p, p->left, p->left_n);
    if (p->state == PEER_READING && p->left_n == 0 && !http1_parse_started(p->parser))
        http1_parse_idle(p->parser);
    if (p->state == PEER_READING && uv_read_start(&p->socket.stream, server_lend_scratch, on_read) != 0)
        drop(p);
}

/* --- all of them --- */

void http_peers_init(struct http_peers *peers, struct server *server)
{
    peers->server = server;
    list_init(&peers->all);
}

static struct http_peer *peer_new(struct http_peers *peers)
{
    struct http_peer *p = mem_zalloc(sizeof(*p));

    if (p == NULL)
        return NULL;
    p->parser = http1_parse_new(HTTP1_REQUEST, &limits);
    if (p->parser == NULL) {
        mem_free(p);
        return NULL;
    }
    p->peers = peers;
    p->handles_open = 2;
    arena_init(&p->arena, ARENA_BYTES);
    p->request.arena = &p->arena;
    list_append(&peers->all, &p->all);
    return p;
}

void http_peers_connection(struct http_peers *peers)
{
    struct http_peer *p = server_is_full(peers->server) ? NULL : peer_new(peers);

    if (p == NULL) {
        server_turn_away(peers->server);
        return;
    }
    server_accept(peers->server, &p->socket);
    uv_timer_init(&peers->server->loop, &p->timer);
    p->socket.handle.data = p;
    p->timer.data = p;
    enter(p, PEER_READING);
    resume(p);
}

void http_peers_stop(struct http_peers *peers)
{
    for (struct list *l = peers->all.next, *next; l != &peers->all; l = next) {
        struct http_peer *p = LIST_OWNER(l, struct http_peer, all);
        next = l->next;
        if (p->state == PEER_READING)
            drop(p);
    }
}
