/* clients: what one run does to a proxy, connection by connection. A few connect at a time, so that no listen queue overflows. */
#include "tests/bench/load.h"
#include "tests/bench/secure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define OPENING_MAX 64
#define HEAD_MAX_BYTES 16384             /* a response's head, or a short response */

enum client_state { CONNECTING, HEAD, BODY, QUIET, REPLY, STREAMING, ENDING };

struct client {
    struct peer peer;
    struct client *next, *prev;
    enum client_state state;
    const uint8_t *out;
    size_t out_n;
    size_t owed;                         /* messages to be sent when `out` is out */
    size_t away;                         /* … and those whose echo is awaited */
    size_t at;                           /* one way: in the stream */
    uint64_t due_ns;                     /* of what is paced: when it should have begun */
    uint64_t left;                       /* messages or requests still to be sent; one way: bytes */
    size_t got;
    uint8_t *head;
};

struct run_counts run_counts;

static struct run run;
static size_t opening, to_open;
static uint64_t opening_due_ns;
static uint64_t cycles_left;             /* beyond those that are under way */
static struct client *all, *paced;       /* paced: the last that was */
static struct client *waiting;           /* held ones that are used again, from here on not yet */

static const char visit[] = "GET /visit HTTP/1.1\r\nHost: bench.example\r\n\r\n";
static uint8_t close_frame[] = { 0x88, 0x82, 0x3a, 0xc5, 0x91, 0x5e, 0x03 ^ 0x3a, 0xe8 ^ 0xc5 };      /* 1000 */
static const uint8_t close_reply[] = { 0x88, 0x02, 0x03, 0xe8 };

static bool asks(void)
{
    return run.kind == LOAD_REQUESTS || run.kind == LOAD_POSTS || run.kind == LOAD_DOWNLOADS;
}

/* ---- beginning and end of one ---- */

static void on_event(struct peer *p, uint32_t events);

static void open_one(void)
{
    struct client *c = net_alloc(sizeof(*c));

    c->head = net_alloc(HEAD_MAX_BYTES);
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
    if (c == waiting)
        waiting = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        all = c->next;
    free(c->head);
    c->head = NULL;
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

static void fill(struct client *c)
{
    size_t room = messages.stream_bytes / messages.frame_bytes, n = c->owed < room ? c->owed : room;

    c->owed -= n;
    c->out = messages.stream;
    c->out_n = n * messages.frame_bytes;
}

static void push(struct client *c)
{
    do {
        ssize_t sent;
        if (c->out_n == 0 && c->owed > 0)
            fill(c);
        sent = net_send(&c->peer, c->out, c->out_n);
        if (sent < 0) {
            fail(c);
            return;
        }
        c->out += sent;
        c->out_n -= (size_t)sent;
    } while (c->out_n == 0 && c->owed > 0);
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

static void send_messages(struct client *c, size_t n)
{
    c->owed += n;
    c->away += n;
    c->state = REPLY;
    if (c->out_n == 0)
        push(c);
}

static void push_stream(struct client *c)
{
    size_t n = c->left < messages.stream_bytes - c->at ? (size_t)c->left : messages.stream_bytes - c->at;
    ssize_t sent = net_send(&c->peer, messages.stream + c->at, n);

    if (sent < 0) {
        fail(c);
        return;
    }
    c->at = (c->at + (size_t)sent) % messages.stream_bytes;
    c->left -= (uint64_t)sent;
    if (c->left == 0) {
        c->state = QUIET;
        net_watch(&c->peer, EPOLLIN);
    }
}

/* The next request, or as many messages as were answered, or quiet. */
static void go_on(struct client *c, size_t room)
{
    size_t n = c->left < room ? (size_t)c->left : room;

    c->left -= n;
    if (n == 0 && c->away == 0)
        c->state = QUIET;
    else if (n > 0 && asks())
        say(c, messages.stream, messages.stream_bytes, HEAD);
    else if (n > 0)
        send_messages(c, n);
}

static void opened(struct client *c)
{
    opening--;
    run_counts.open++;
    c->state = QUIET;
    c->got = 0;
    if (run.kind == LOAD_CYCLE || run.kind == LOAD_IDLE)
        send_messages(c, 1);
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
    else
        say(c, messages.offer, messages.offer_bytes, HEAD);
}

/* ---- what comes ---- */

/* By what it ends with: the body that is due, and a last chunk where it came in chunks. */
static bool response_is_whole(const struct client *c)
{
    static const char last[] = "\r\n0\r\n\r\n";
    size_t n = c->got, body = messages.reply_bytes;

    if (n > sizeof(last) - 1 && memcmp(c->head + n - (sizeof(last) - 1), last, sizeof(last) - 1) == 0)
        n -= sizeof(last) - 1;
    return n > body + 12 && memcmp(c->head, "HTTP/1.1 200", 12) == 0 && memcmp(c->head + n - body, messages.reply, body) == 0;
}

/* False: it is not what has to come. */
static bool take_body(struct client *c, const uint8_t *p, size_t n)
{
    if (c->got + n > messages.reply_bytes || memcmp(p, messages.reply + c->got, n) != 0) {
        fail(c);
        return false;
    }
    c->got += n;
    if (c->got == messages.reply_bytes) {
        run_counts.done++;
        go_on(c, 1);
    }
    return true;
}

/* A large response: its body is compared as it comes. */
static void look_for_body(struct client *c)
{
    const uint8_t *stop = memmem(c->head, c->got, "\r\n\r\n", 4);
    size_t head_bytes, rest;

    if (stop == NULL)
        return;
    head_bytes = (size_t)(stop - c->head) + 4;
    rest = c->got - head_bytes;
    if (memcmp(c->head, "HTTP/1.1 200", 12) != 0) {
        fail(c);
        return;
    }
    c->state = BODY;
    c->got = 0;
    take_body(c, c->head + head_bytes, rest);
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
    } else if (run.kind == LOAD_DOWNLOADS) {
        look_for_body(c);
    } else if (asks() && response_is_whole(c)) {
        run_counts.done++;
        go_on(c, 1);
    } else if (!asks() && c->got > 16 && memcmp(c->head + c->got - 4, "\r\n\r\n", 4) == 0) {
        if (memcmp(c->head, "HTTP/1.1 101", 12) == 0)
            opened(c);
        else
            fail(c);
    }
}

static void read_body(struct client *c)
{
    ssize_t n = net_read(&c->peer, net_scratch, NET_SCRATCH_BYTES);

    if (n == 0)
        fail(c);
    else if (n > 0)
        take_body(c, net_scratch, (size_t)n);
}

/* How many echoes became whole; SIZE_MAX: something else came. */
static size_t take_replies(struct client *c, const uint8_t *p, size_t n)
{
    size_t whole = 0;

    while (n > 0) {
        size_t part = messages.reply_bytes - c->got < n ? messages.reply_bytes - c->got : n;
        if (c->away == 0 || memcmp(p, messages.reply + c->got, part) != 0)
            return SIZE_MAX;
        p += part;
        n -= part;
        c->got += part;
        if (c->got < messages.reply_bytes)
            break;
        c->got = 0;
        c->away--;
        whole++;
        if (run.kind == LOAD_PACED)
            latency_note(net_now_ns() - c->due_ns);
    }
    return whole;
}

static void wake_next(void)
{
    struct client *c = waiting;

    if (c == NULL)
        return;
    waiting = c->next;
    go_on(c, 1);
}

static void read_reply(struct client *c)
{
    ssize_t n = net_read(&c->peer, net_scratch, NET_SCRATCH_BYTES);
    size_t whole = n > 0 ? take_replies(c, net_scratch, (size_t)n) : n == 0 ? SIZE_MAX : 0;

    if (whole == SIZE_MAX) {
        fail(c);
        return;
    }
    if (whole == 0)
        return;
    if (run.kind == LOAD_CYCLE) {
        say(c, close_frame, sizeof(close_frame), ENDING);
        return;
    }
    run_counts.done += whole;
    go_on(c, whole);
    if (c->state == QUIET)
        wake_next();
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
    else if (c->state == BODY)
        read_body(c);
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
    messages_make(&run);
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
            c->left = run.each * messages.frame_bytes;
            c->state = STREAMING;
            net_watch(&c->peer, EPOLLOUT);
        } else {
            c->left = run.each;
            go_on(c, asks() || run.depth == 0 ? 1 : run.depth);
        }
    }
}

void clients_again(size_t message_bytes, size_t at_once)
{
    run.message_bytes = message_bytes;
    messages_make(&run);
    for (struct client *c = all; c != NULL; c = c->next)
        c->left = 1;
    waiting = all;
    for (size_t i = 0; i < at_once; i++)
        wake_next();
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
    go_on(c, 1);
    return true;
}

void clients_forget(size_t n)
{
    for (; n > 0 && all != NULL; n--)
        forget(all);
}

void clients_stop(void)
{
    to_open = 0;
    cycles_left = 0;
    waiting = NULL;
    while (all != NULL)
        forget(all);
    run_counts = (struct run_counts){ 0 };
    opening = 0;
}
