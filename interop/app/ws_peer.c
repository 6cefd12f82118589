#include "interop/app/ws_peer.h"

#include "interop/app/query.h"
#include "interop/app/ws_upgrade.h"
#include "protocol/mem.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <wslay/wslay.h>

#define OUT_BYTES 65536                  /* one write at a time */
#define QUEUE_PAUSE_BYTES (1024 * 1024)  /* more than this waits to be sent: reading stops until a quarter of it is left */

/* S(name, deadline in ms, whether it repeats, what it is) */
#define PEER_STATES(S)                                                                                                         \
    S(HANDSHAKE, 10000, 0, "the request's head is not whole yet")                                                              \
    S(OPEN, 60000, 1, "frames both ways; a tick without a byte brings a ping, the next one the end")                           \
    S(CLOSING, 5000, 0, "a Close went one way; the other one, or room to send ours, is awaited")                               \
    S(LINGER, 2000, 0, "our last byte is sent and our side shut down; the peer's end is awaited")                              \
    S(GONE, 0, 0, "the socket is being closed")

enum peer_state {
#define STATE_ENUM(name, ms, repeats, words) PEER_##name,
    PEER_STATES(STATE_ENUM)
#undef STATE_ENUM
};

struct ws_peer {
    union server_socket socket;
    uv_timer_t deadline;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct list all, unsent;
    struct ws_peers *peers;
    enum peer_state state;
    const struct ws_endpoint *endpoint;  /* NULL until the handshake was good */
    void *attached;
    wslay_event_context_ptr frames;      /* reads; what it sends is pongs and the Close */
    wslay_event_context_ptr messages;    /* sends messages: all that were queued before the Close go out before it */
    struct span input;                   /* what wslay may still take of the bytes just read */
    uint8_t *head;                       /* the request's bytes so far; NULL after the handshake */
    size_t head_n;
    char *out;                           /* the bytes in flight; NULL while nothing is */
    bool paused, heard, pinged, refused;
    bool in_message;                     /* the last bytes written may have ended inside a message */
    unsigned handles_open;
    uint64_t messages_read, bytes_read;
};

static void send_more(struct ws_peer *p);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

/* --- states, deadlines, the end --- */

static void maybe_free(uv_handle_t *handle)
{
    struct ws_peer *p = handle->data;
    struct server *server = p->peers->server;

    if (--p->handles_open > 0)
        return;
    if (p->frames != NULL)
        wslay_event_context_free(p->frames);
    if (p->messages != NULL)
        wslay_event_context_free(p->messages);
    mem_free(p->head);
    mem_free(p->out);
    mem_free(p);
    server_released(server);
}

static void log_end(const struct ws_peer *p)
{
    unsigned code = wslay_event_get_status_code_received(p->frames);
    bool clean = wslay_event_get_close_received(p->frames) && wslay_event_get_close_sent(p->frames);

    printf("{\"event\":\"closed\",\"path\":\"%s\",\"messages\":%llu,\"bytes\":%llu,\"code\":%u,\"wasClean\":%s}\n",
           p->endpoint->path, (unsigned long long)p->messages_read, (unsigned long long)p->bytes_read, code,
           clean ? "true" : "false");
    fflush(stdout);
}

static void on_deadline(uv_timer_t *timer);

static void enter(struct ws_peer *p, enum peer_state state)
{
    static const struct { uint64_t ms; bool repeats; } deadlines[] = {
#define STATE_DEADLINE(name, ms, repeats, words) { ms, repeats },
        PEER_STATES(STATE_DEADLINE)
#undef STATE_DEADLINE
    };

    assert(state >= p->state);
    p->state = state;
    if (state != PEER_GONE)
        uv_timer_start(&p->deadline, on_deadline, deadlines[state].ms, deadlines[state].repeats ? deadlines[state].ms : 0);
}

/* Idempotent. The endpoint hears of the end here: last, and only from a callback of the loop. */
static void drop(struct ws_peer *p)
{
    if (p->state == PEER_GONE)
        return;
    enter(p, PEER_GONE);
    list_remove(&p->all);
    list_remove(&p->unsent);
    uv_close(&p->socket.handle, maybe_free);
    uv_close((uv_handle_t *)&p->deadline, maybe_free);
    if (p->endpoint == NULL)
        return;
    if (p->peers->log)
        log_end(p);
    p->endpoint->ended(p);
}

static void mark_unsent(struct ws_peer *p)
{
    if (p->state != PEER_GONE && list_empty(&p->unsent))
        list_append(&p->peers->unsent, &p->unsent);
}

/* OPEN repeats: one silent tick brings a ping, two bring the end. */
static void on_deadline(uv_timer_t *timer)
{
    struct ws_peer *p = timer->data;
    struct wslay_event_msg ping = { .opcode = WSLAY_PING };

    if (p->state != PEER_OPEN || (p->pinged && !p->heard)) {
        drop(p);
        return;
    }
    p->pinged = !p->heard;
    p->heard = false;
    if (p->pinged && wslay_event_queue_msg(p->frames, &ping) == 0)
        mark_unsent(p);
}

/* --- sending --- */

static void on_shutdown(uv_shutdown_t *request, int status)
{
    (void)request;
    (void)status;                        /* LINGER's deadline covers every outcome */
}

/* Everything was said: what the peer still sends is read and forgotten until it closes, so that no reset can overtake
 * our last bytes. */
static void linger(struct ws_peer *p)
{
    enter(p, PEER_LINGER);
    if (uv_shutdown(&p->shutdown, &p->socket.stream, on_shutdown) != 0)
        drop(p);
}

static void on_written(uv_write_t *request, int status)
{
    struct ws_peer *p = request->data;

    mem_free(p->out);
    p->out = NULL;
    if (status != 0)
        drop(p);
    else if (p->state != PEER_GONE)
        send_more(p);
}

/* Sends what the kernel takes now and keeps the rest in flight: true when all is gone, false when it waits or failed. */
static bool write_out(struct ws_peer *p, const char *bytes, size_t n)
{
    uv_buf_t buf = uv_buf_init((char *)bytes, (unsigned)n);
    int sent = uv_try_write(&p->socket.stream, &buf, 1);
    size_t rest = n - (sent > 0 ? (size_t)sent : 0);

    if (rest == 0)
        return true;
    p->out = sent < 0 && sent != UV_EAGAIN ? NULL : mem_alloc(rest);
    if (p->out == NULL) {
        drop(p);
        return false;
    }
    memcpy(p->out, bytes + (n - rest), rest);
    buf = uv_buf_init(p->out, (unsigned)rest);
    p->write.data = p;
    if (uv_write(&p->write, &p->socket.stream, &buf, 1, on_written) != 0)
        drop(p);
    return false;
}

static void set_reading(struct ws_peer *p)
{
    size_t queued = ws_peer_queued_bytes(p);
    bool pause = queued > (p->paused ? QUEUE_PAUSE_BYTES / 4 : QUEUE_PAUSE_BYTES);

    if (pause == p->paused || p->state == PEER_GONE)
        return;
    p->paused = pause;
    if (pause)
        uv_read_stop(&p->socket.stream);
    else
        uv_read_start(&p->socket.stream, server_lend_scratch, on_read);
}

/* Pongs first, as their Pings came before the messages that are answered; but never inside a message, and a Close goes last. */
static ssize_t next_bytes(struct ws_peer *p, uint8_t *out, size_t room)
{
    ssize_t n = p->state == PEER_OPEN && !p->in_message ? wslay_event_write(p->frames, out, room) : 0;

    if (n != 0)
        return n;
    n = wslay_event_write(p->messages, out, room);
    p->in_message = n == (ssize_t)room;                  /* it may go on */
    return n != 0 ? n : wslay_event_write(p->frames, out, room);
}

static void write_frames(struct ws_peer *p)
{
    static uint8_t bytes[OUT_BYTES];

    while (p->out == NULL) {
        ssize_t n = next_bytes(p, bytes, sizeof(bytes));
        if (n < 0)
            drop(p);
        if (n <= 0 || !write_out(p, (const char *)bytes, (size_t)n))
            return;
    }
}

static void send_more(struct ws_peer *p)
{
    if (p->refused && p->state == PEER_HANDSHAKE)
        linger(p);
    if (p->state != PEER_OPEN && p->state != PEER_CLOSING)
        return;
    write_frames(p);
    if (p->state == PEER_GONE)
        return;
    set_reading(p);
    if (p->out == NULL && !wslay_event_want_read(p->frames) && !wslay_event_want_write(p->frames))
        linger(p);
}

void ws_peer_send(struct ws_peer *p, bool text, struct span data)
{
    struct wslay_event_msg message = {
        .opcode = text ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME, .msg = data.p, .msg_length = data.n
    };

    if (p->state != PEER_OPEN)
        return;
    if (wslay_event_queue_msg(p->messages, &message) != 0)
        ws_peer_close(p, 1011, "out of memory");
    mark_unsent(p);
}

void ws_peer_close(struct ws_peer *p, unsigned code, const char *reason)
{
    if (p->state != PEER_OPEN)
        return;
    wslay_event_queue_close(p->frames, (uint16_t)code, (const uint8_t *)reason, strlen(reason));
    enter(p, PEER_CLOSING);
    mark_unsent(p);
}

/* --- wslay's callbacks --- */

static ssize_t take_input(wslay_event_context_ptr frames, uint8_t *out, size_t n, int flags, void *user)
{
    struct ws_peer *p = user;

    (void)flags;
    if (p->input.n == 0) {
        wslay_event_set_error(frames, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    if (n > p->input.n)
        n = p->input.n;
    memcpy(out, p->input.p, n);
    p->input = span_from(p->input, n);
    return (ssize_t)n;
}

static void on_message(wslay_event_context_ptr frames, const struct wslay_event_on_msg_recv_arg *arg, void *user)
{
    struct ws_peer *p = user;

    (void)frames;
    if (wslay_is_ctrl_frame(arg->opcode) || p->state != PEER_OPEN)
        return;
    p->messages_read++;
    p->bytes_read += arg->msg_length;
    p->endpoint->message(p, arg->opcode == WSLAY_TEXT_FRAME, span_of(arg->msg, arg->msg_length));
}

static int frames_new(struct ws_peer *p)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = take_input, .on_msg_recv_callback = on_message
    };
    int error = wslay_event_context_server_init(&p->frames, &callbacks, p);

    if (error == 0)
        error = wslay_event_context_server_init(&p->messages, &callbacks, p);
    if (error == 0)
        wslay_event_config_set_max_recv_msg_length(p->frames, p->endpoint->message_max_bytes);
    return error;
}

/* --- reading --- */

/* wslay answers a Close, and whatever is wrong with a frame, with a Close of its own: with its code, or with an empty one
 * where it also reports failure (a frame header that cannot be). */
static void take_frames(struct ws_peer *p, struct span bytes)
{
    p->heard = true;
    p->input = bytes;
    if (wslay_event_recv(p->frames) != 0)
        wslay_event_shutdown_read(p->frames);
    p->input = SPAN_EMPTY;
    if (p->state == PEER_OPEN && !wslay_event_want_read(p->frames))
        enter(p, PEER_CLOSING);
    mark_unsent(p);
}

static void refuse(struct ws_peer *p, int status)
{
    char answer[WS_UPGRADE_ANSWER_MAX_BYTES];
    size_t n = ws_upgrade_refuse(status, answer);

    p->refused = true;
    if (write_out(p, answer, n))
        linger(p);
}

static const struct ws_endpoint *endpoint_at(const struct ws_peers *peers, struct span path)
{
    const struct ws_endpoint *e = peers->endpoints;

    while (e->path != NULL && !span_equal(path, span_of_text(e->path)))
        e++;
    return e->path != NULL ? e : NULL;
}

/* The 101, then the bytes that came behind the head: they are frames. */
static void open_frames(struct ws_peer *p, const struct ws_upgrade *u, struct span early)
{
    bool chosen = ws_upgrade_offers(u, p->endpoint->subprotocol);
    char answer[WS_UPGRADE_ANSWER_MAX_BYTES];
    size_t n = ws_upgrade_accept(u, chosen ? p->endpoint->subprotocol : NULL, answer);

    enter(p, PEER_OPEN);
    p->endpoint->opened(p, query_value(u->query, "nick"));   /* what it sends is only queued yet */
    write_out(p, answer, n);
    if (p->state == PEER_OPEN && early.n > 0)
        take_frames(p, early);
}

static void handshake(struct ws_peer *p)
{
    struct ws_upgrade upgrade;
    int size = ws_upgrade_read(p->head, p->head_n, &upgrade);

    if (size < 0)
        refuse(p, -size);
    if (size <= 0)
        return;
    p->endpoint = endpoint_at(p->peers, upgrade.path);
    if (p->endpoint == NULL) {
        refuse(p, 404);
        return;
    }
    if (frames_new(p) != 0) {
        p->endpoint = NULL;
        drop(p);
        return;
    }
    open_frames(p, &upgrade, span_of(p->head + size, p->head_n - (size_t)size));
    mem_free(p->head);
    p->head = NULL;
}

static void take_head(struct ws_peer *p, struct span bytes)
{
    uint8_t *head;

    if (p->refused)
        return;
    head = mem_realloc(p->head, p->head_n + bytes.n);
    if (head == NULL) {
        drop(p);
        return;
    }
    p->head = head;
    memcpy(head + p->head_n, bytes.p, bytes.n);
    p->head_n += bytes.n;
    handshake(p);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct ws_peer *p = stream->data;

    if (n < 0)
        drop(p);
    else if (p->state == PEER_HANDSHAKE)
        take_head(p, span_of(buf->base, (size_t)n));
    else if (p->state == PEER_OPEN || p->state == PEER_CLOSING)
        take_frames(p, span_of(buf->base, (size_t)n));
}

/* --- all of them --- */

void ws_peers_init(struct ws_peers *peers, struct server *server, const struct ws_endpoint *endpoints)
{
    peers->server = server;
    peers->endpoints = endpoints;
    list_init(&peers->all);
    list_init(&peers->unsent);
}

void ws_peers_connection(struct ws_peers *peers)
{
    struct ws_peer *p = server_is_full(peers->server) ? NULL : mem_zalloc(sizeof(*p));

    if (p == NULL) {
        server_turn_away(peers->server);
        return;
    }
    p->peers = peers;
    p->handles_open = 2;
    list_init(&p->unsent);
    list_append(&peers->all, &p->all);
    server_accept(peers->server, &p->socket);
    uv_timer_init(&peers->server->loop, &p->deadline);
    p->socket.handle.data = p;
    p->deadline.data = p;
    enter(p, PEER_HANDSHAKE);
    if (uv_read_start(&p->socket.stream, server_lend_scratch, on_read) != 0)
        drop(p);
}

void ws_peers_flush(struct ws_peers *peers)
{
    while (!list_empty(&peers->unsent)) {
        struct ws_peer *p = LIST_OWNER(peers->unsent.next, struct ws_peer, unsent);
        list_remove(&p->unsent);
        send_more(p);
    }
}

void ws_peers_stop(struct ws_peers *peers)
{
    for (struct list *l = peers->all.next, *next; l != &peers->all; l = next) {
        struct ws_peer *p = LIST_OWNER(l, struct ws_peer, all);
        next = l->next;
        ws_peer_close(p, 1001, "the server ends");
        if (p->state == PEER_HANDSHAKE)
            drop(p);
    }
}

size_t ws_peer_queued_bytes(const struct ws_peer *p)
{
    return wslay_event_get_queued_msg_length(p->messages) + wslay_event_get_queued_msg_length(p->frames);
}

const struct ws_endpoint *ws_peer_endpoint(const struct ws_peer *p)
{
    return p->endpoint;
}

void ws_peer_attach(struct ws_peer *p, void *what)
{
    p->attached = what;
}

void *ws_peer_attached(const struct ws_peer *p)
{
    return p->attached;
}
