/* clients: what one run does to a proxy, connection by connection. A few connect at a time, so that no listen queue overflows. */
#include "tests/bench/load.h"
#include "tests/bench/secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define OPENING_MAX 64
#define STREAM_MIN_BYTES 65536           /* one way: as many whole messages as make this are sent in one call */
#define REQUEST_HEAD_BYTES 256
#define HEAD_MAX_BYTES 16384             /* a response, with its body */

enum client_state { CONNECTING, HEAD, QUIET, REPLY, STREAMING, ENDING };

struct client {
    struct peer peer;
    struct client *next, *prev;
    enum client_state state;
    const uint8_t *out;
    size_t out_n;
    size_t at;                           /* one way: in `stream` */
    uint64_t left;                       /* messages or requests still to be sent; one way: bytes */
    uint64_t due_ns;                     /* of what is paced: when it should have begun */
    size_t got;
    uint8_t head[HEAD_MAX_BYTES];
};

struct run_counts run_counts;
size_t run_frame_bytes;

static struct run run;
static size_t opening, to_open;
static uint64_t opening_due_ns;
static uint64_t cycles_left;             /* beyond those that are under way */
static struct client *all, *paced;       /* paced: the last that was */
static uint8_t *stream, *reply;          /* messages, or a request, as they are sent; a message as it comes back */
static size_t stream_bytes, reply_bytes;

static const uint8_t mask[4] = { 0x3a, 0xc5, 0x91, 0x5e };
static const char visit[] = "GET /visit HTTP/1.1\r\nHost: bench.example\r\n\r\n";
static const char get[] = "GET /hello HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";
#define POST "POST /echo HTTP/1.1\r\nHost: bench.example\r\nUser-Agent: bench\r\nAccept: */*\r\n" \
             "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n"
static const char words[] = "The quick brown fox jumps over the lazy dog, na\xc3\xafve caf\xc3\xa9, 5 \xe2\x82\xac; and on we go. ";
static uint8_t close_frame[] = { 0x88, 0x82, 0x3a, 0xc5, 0x91, 0x5e, 0x03 ^ 0x3a, 0xe8 ^ 0xc5 };      /* 1000 */
static const uint8_t close_reply[] = { 0x88, 0x02, 0x03, 0xe8 };

#define OFFER(path) "GET " path " HTTP/1.1\r\nHost: bench.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" \
                    "Sec-WebSocket-Key: " LOAD_KEY "\r\nSec-WebSocket-Version: 13\r\nUser-Agent: bench\r\n\r\n"
static const char offer_echo[] = OFFER("/echo");
static const char offer_sink[] = OFFER("/sink");

/* ---- messages ---- */

static size_t put_head(uint8_t *out, size_t length, bool masked)
{
    size_t form = length < 126 ? 0 : length < 65536 ? 2 : 8, n = 2;

    out[0] = 0x81;
    out[1] = (uint8_t)((masked ? 128u : 0u) | (form == 0 ? length : form == 2 ? 126u : 127u));
    for (size_t i = 0; i < form; i++)
        out[n++] = (uint8_t)(length >> (8 * (form - 1 - i)));
    if (masked) {
        memcpy(out + n, mask, sizeof(mask));
        n += sizeof(mask);
    }
    return n;
}

static void put_words(uint8_t *out, size_t n)
{
    const size_t step = sizeof(words) - 1;
    size_t at = 0;

    for (; at + step <= n; at += step)
        memcpy(out + at, words, step);
    memset(out + at, 'x', n - at);
}

static bool asks(void)
{
    return run.kind == LOAD_REQUESTS || run.kind == LOAD_POSTS;
}

/* A whole request, and the body that its answer has. */
static void make_request(void)
{
    bool posts = run.kind == LOAD_POSTS;
    const size_t body_bytes = posts ? run.message_bytes : 0;
    int head;

    stream = net_alloc(REQUEST_HEAD_BYTES + body_bytes);
    head = posts ? snprintf((char *)stream, REQUEST_HEAD_BYTES, POST, body_bytes)
                 : snprintf((char *)stream, REQUEST_HEAD_BYTES, "%s", get);
    put_words(stream + head, body_bytes);
    stream_bytes = (size_t)head + body_bytes;
    reply_bytes = posts ? body_bytes : sizeof(LOAD_BODY) - 1;
    reply = net_alloc(reply_bytes);
    memcpy(reply, posts ? (const char *)stream + head : LOAD_BODY, reply_bytes);
}

static void make_messages(void)
{
    size_t head, copies = 1;

    free(stream);
    free(reply);
    if (asks()) {
        make_request();
        return;
    }
    reply = net_alloc(run.message_bytes + 14);
    head = put_head(reply, run.message_bytes, false);
    put_words(reply + head, run.message_bytes);
    reply_bytes = head + run.message_bytes;
    run_frame_bytes = reply_bytes + sizeof(mask);
    if (run.kind == LOAD_ONEWAY)
        copies += STREAM_MIN_BYTES / run_frame_bytes;
    stream_bytes = copies * run_frame_bytes;
    stream = net_alloc(stream_bytes);
    for (size_t i = 0; i < stream_bytes; i += run_frame_bytes) {
        uint8_t *payload = stream + i + put_head(stream + i, run.message_bytes, true);
        for (size_t k = 0; k < run.message_bytes; k++)
            payload[k] = reply[head + k] ^ mask[k % 4];
    }
}

/* ---- beginning and end of one ---- */

static void on_event(struct peer *p, uint32_t events);

static void open_one(void)
{
    struct client *c = net_alloc(sizeof(*c));

    c->due_ns = opening_due_ns;
    c->state = CONNECTING;
    c->next = all;
    if (all != NULL)
        all->prev = c;
    all = c;
    opening++;
    net_watch_fd(&c->peer, net_connect(run.port), EPOLLOUT, on_event);
    if (run.secure)
        secure_connect(&c->peer);
}

static void open_more(void)
{
    while (to_open > 0 && opening < OPENING_MAX) {
        to_open--;
        open_one();
    }
}

static void forget(struct client *c)
{
    if (c == paced)
        paced = NULL;
    if (c->next != NULL)
        c->next->prev = c->prev;
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        all = c->next;
    if (c->state == CONNECTING || (c->state == HEAD && !asks()))
        opening--;
    else
        run_counts.open--;
    if (c->state == STREAMING)
        net_reset(&c->peer);
    else
        net_close(&c->peer);
}

static void fail(struct client *c)
{
    run_counts.failed++;
    forget(c);
}

/* ---- doing ---- */

static void push(struct client *c)
{
    ssize_t sent = net_send(&c->peer, c->out, c->out_n);

    if (sent < 0) {
        fail(c);
        return;
    }
    c->out += sent;
    c->out_n -= (size_t)sent;
    net_watch(&c->peer, c->out_n > 0 ? EPOLLOUT | EPOLLIN : EPOLLIN);
}

static void say(struct client *c, const void *bytes, size_t n, enum client_state then)
{
    c->out = bytes;
    c->out_n = n;
    c->got = 0;
    c->state = then;
    push(c);
}

static void push_stream(struct client *c)
{
    size_t n = c->left < stream_bytes - c->at ? (size_t)c->left : stream_bytes - c->at;
    ssize_t sent = net_send(&c->peer, stream + c->at, n);

    if (sent < 0) {
        fail(c);
        return;
    }
    c->at = (c->at + (size_t)sent) % stream_bytes;
    c->left -= (uint64_t)sent;
    if (c->left == 0) {
        c->state = QUIET;
        net_watch(&c->peer, EPOLLIN);
    }
}

/* The next message or request, or quiet. */
static void go_on(struct client *c)
{
    if (c->left == 0) {
        c->state = QUIET;
        return;
    }
    c->left--;
    if (asks())
        say(c, stream, stream_bytes, HEAD);
    else
        say(c, stream, run_frame_bytes, REPLY);
}

static void opened(struct client *c)
{
    opening--;
    run_counts.open++;
    c->state = QUIET;
    if (run.kind == LOAD_CYCLE)
        say(c, close_frame, sizeof(close_frame), ENDING);
    else if (run.kind == LOAD_IDLE)
        say(c, stream, run_frame_bytes, REPLY);
    else
        net_watch(&c->peer, EPOLLIN);
    open_more();
}

static void connected(struct client *c)
{
    if (run.kind == LOAD_VISITS)
        say(c, visit, sizeof(visit) - 1, HEAD);
    else if (asks())
        opened(c);
    else if (run.kind == LOAD_ONEWAY)
        say(c, offer_sink, sizeof(offer_sink) - 1, HEAD);
    else
        say(c, offer_echo, sizeof(offer_echo) - 1, HEAD);
}

/* ---- what comes ---- */

/* By what it ends with: the body that is due, and a last chunk where it came in chunks. */
static bool response_is_whole(const struct client *c)
{
    static const char last[] = "\r\n0\r\n\r\n";
    size_t n = c->got;

    if (n > sizeof(last) - 1 && memcmp(c->head + n - (sizeof(last) - 1), last, sizeof(last) - 1) == 0)
        n -= sizeof(last) - 1;
    return n > reply_bytes + 12 && memcmp(c->head, "HTTP/1.1 200", 12) == 0 && memcmp(c->head + n - reply_bytes, reply, reply_bytes) == 0;
}

/* One that comes to an end is followed by another, while there are some left. */
static void ended(struct client *c)
{
    run_counts.done++;
    latency_note(net_now_ns() - c->due_ns);
    forget(c);
    if (cycles_left == 0)
        return;
    cycles_left--;
    to_open++;
    open_more();
}

/* The answer to a visit is whatever the proxy says by itself; its head says where it ends. */
static bool answer_is_whole(struct client *c)
{
    const char *body, *length;

    c->head[c->got < HEAD_MAX_BYTES ? c->got : HEAD_MAX_BYTES - 1] = '\0';
    body = strstr((char *)c->head, "\r\n\r\n");
    length = strcasestr((char *)c->head, "\r\ncontent-length:");
    return body != NULL && length != NULL && length < body &&
           c->got == (size_t)(body + 4 - (char *)c->head) + strtoul(length + sizeof("\r\ncontent-length:") - 1, NULL, 10);
}

static void read_head(struct client *c)
{
    ssize_t n = net_read(&c->peer, c->head + c->got, HEAD_MAX_BYTES - c->got);

    if (n == 0) {
        fail(c);
        return;
    }
    c->got += n > 0 ? (size_t)n : 0;
    if (run.kind == LOAD_VISITS) {
        if (answer_is_whole(c))
            ended(c);
    } else if (asks() && response_is_whole(c)) {
        run_counts.done++;
        go_on(c);
    } else if (!asks() && c->got > 16 && memcmp(c->head + c->got - 4, "\r\n\r\n", 4) == 0) {
        if (memcmp(c->head, "HTTP/1.1 101", 12) == 0)
            opened(c);
        else
            fail(c);
    }
}

static void read_reply(struct client *c)
{
    ssize_t n = net_read(&c->peer, net_scratch, NET_SCRATCH_BYTES);

    if (n < 0)
        return;
    if (n == 0 || c->got + (size_t)n > reply_bytes || memcmp(net_scratch, reply + c->got, (size_t)n) != 0) {
        fail(c);
        return;
    }
    c->got += (size_t)n;
    if (c->got < reply_bytes)
        return;
    run_counts.done++;
    if (run.kind == LOAD_PACED)
        latency_note(net_now_ns() - c->due_ns);
    go_on(c);
}

static void read_end(struct client *c)
{
    ssize_t n = net_read(&c->peer, c->head + c->got, HEAD_MAX_BYTES - c->got);

    if (n < 0)
        return;
    if (n > 0) {
        c->got += (size_t)n;
        return;
    }
    if (c->got != sizeof(close_reply) || memcmp(c->head, close_reply, sizeof(close_reply)) != 0) {
        fail(c);
        return;
    }
    ended(c);
}

static void on_event(struct peer *p, uint32_t events)
{
    struct client *c = (struct client *)(void *)p;

    if (c->state == CONNECTING) {
        if ((events & EPOLLERR) != 0)
            fail(c);
        else
            connected(c);
        return;
    }
    if (c->state == STREAMING) {
        push_stream(c);
        return;
    }
    if (c->out_n > 0 && (events & EPOLLOUT) != 0)
        push(c);
    if (p->fd < 0 || (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
        return;
    if (c->state == HEAD)
        read_head(c);
    else if (c->state == REPLY)
        read_reply(c);
    else if (c->state == ENDING)
        read_end(c);
    else
        fail(c);                         /* quiet: nothing should come, and it should not end */
}

/* ---- a run ---- */

static bool comes_and_goes(void)
{
    return run.kind == LOAD_CYCLE || run.kind == LOAD_VISITS;
}

void clients_start(const struct run *r)
{
    run = *r;
    make_messages();
    if (comes_and_goes())
        return;
    to_open = run.connections;
    open_more();
}

/* All begin at once: a proxy that is kept busy by the first ones might never come to the others. */
void clients_begin(void)
{
    struct client *next;

    if (comes_and_goes()) {
        to_open = run.connections;
        cycles_left = run.connections * (run.each - 1);
        open_more();
        return;
    }
    for (struct client *c = all; c != NULL; c = next) {
        next = c->next;
        if (run.kind == LOAD_ONEWAY) {
            c->left = run.each * run_frame_bytes;
            c->state = STREAMING;
            net_watch(&c->peer, EPOLLOUT);
        } else {
            c->left = run.each;
            go_on(c);
        }
    }
}

void clients_again(size_t message_bytes)
{
    run.message_bytes = message_bytes;
    run.each = 1;
    make_messages();
    clients_begin();
}

/* In turn, without those that are not. */
static struct client *next_quiet(void)
{
    struct client *c = paced != NULL && paced->next != NULL ? paced->next : all, *begin = c;

    while (c != NULL && c->state != QUIET) {
        c = c->next != NULL ? c->next : all;
        if (c == begin)
            return NULL;
    }
    return paced = c;
}

bool clients_pace(uint64_t due_ns)
{
    struct client *c;

    if (run.kind == LOAD_VISITS) {
        opening_due_ns = due_ns;
        open_one();
        return true;
    }
    c = next_quiet();
    if (c == NULL)
        return false;
    c->due_ns = due_ns;
    c->left = 1;
    go_on(c);
    return true;
}

void clients_stop(void)
{
    to_open = 0;
    cycles_left = 0;
    while (all != NULL)
        forget(all);
    run_counts = (struct run_counts){ 0 };
    opening = 0;
}
