#include "tests/bench/echo.h"

#include "tests/bench/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define INPUT_MIN_BYTES 16384
#define BODY_MAX_BYTES (1 << 20)
#define RECORD_BYTES 8
#define RECORD_CONTENT_MAX 65535

enum { BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, GET_VALUES = 9, VALUES = 10 };

struct bytes {
    uint8_t *p;
    size_t n, size;
};

struct echo_peer {
    struct peer peer;
    enum echo_protocol protocol;
    struct bytes in, body, out;          /* out: from out_at on still to be sent */
    size_t out_at;
    unsigned id;                         /* of the FastCGI request that is being read */
    bool last;                           /* the connection ends when `out` is out */
};

static struct echo_listener {
    struct peer peer;
    enum echo_protocol protocol;
} listeners[ECHO_PROTOCOLS];

static void room_for(struct bytes *b, size_t more)
{
    size_t size = b->size > 0 ? b->size : INPUT_MIN_BYTES;

    if (b->n + more <= b->size)
        return;
    while (size < b->n + more)
        size *= 2;
    b->p = realloc(b->p, size);
    if (b->p == NULL)
        net_fail("memory");
    b->size = size;
}

static void append(struct bytes *b, const void *p, size_t n)
{
    room_for(b, n);
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void drop(struct bytes *b, size_t n)
{
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

static void end(struct echo_peer *e)
{
    free(e->in.p);
    free(e->body.p);
    free(e->out.p);
    net_close(&e->peer);
}

static void refuse(const char *what)
{
    errno = EPROTO;
    net_fail(what);
}

/* ---- HTTP/1.1 ---- */

static size_t content_length(const char *head)
{
    const char *field = strcasestr(head, "\r\ncontent-length:");

    return field != NULL ? strtoul(field + 17, NULL, 10) : 0;
}

static void answer_http(struct echo_peer *e, const uint8_t *body, size_t n)
{
    char head[160];
    int head_n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
                          "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: %zu\r\n\r\n", n);

    append(&e->out, head, (size_t)head_n);
    append(&e->out, body, n);
}

/* A whole request is taken off the input; false: there is none. */
static bool take_http(struct echo_peer *e)
{
    const uint8_t *stop = e->in.n > 0 ? memmem(e->in.p, e->in.n, "\r\n\r\n", 4) : NULL;
    size_t head_n, body_n;

    if (stop == NULL)
        return false;
    head_n = (size_t)(stop - e->in.p) + 4;
    e->in.p[head_n - 1] = '\0';
    body_n = content_length((char *)e->in.p);
    e->in.p[head_n - 1] = '\n';
    if (body_n > BODY_MAX_BYTES)
        refuse("a length from the proxy");
    if (e->in.n < head_n + body_n)
        return false;
    if (body_n > 0)
        answer_http(e, e->in.p + head_n, body_n);
    else
        answer_http(e, (const uint8_t *)LOAD_BODY, sizeof(LOAD_BODY) - 1);
    drop(&e->in, head_n + body_n);
    return true;
}

/* ---- FastCGI ---- */

static void put_record(struct echo_peer *e, unsigned type, const void *content, size_t n)
{
    const uint8_t header[RECORD_BYTES] = {
        1, (uint8_t)type, (uint8_t)(e->id >> 8), (uint8_t)e->id, (uint8_t)(n >> 8), (uint8_t)n, 0, 0
    };

    append(&e->out, header, sizeof(header));
    append(&e->out, content, n);
}

static void answer_fcgi(struct echo_peer *e, const uint8_t *body, size_t n)
{
    static const uint8_t complete[8];
    char head[80];
    int head_n = snprintf(head, sizeof(head), "Content-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", n);
    size_t record_at = e->out.n, first = n < RECORD_CONTENT_MAX - sizeof(head) ? n : RECORD_CONTENT_MAX - sizeof(head);

    put_record(e, STDOUT, head, (size_t)head_n);
    append(&e->out, body, first);        /* the head's record goes on with the body */
    e->out.p[record_at + 4] = (uint8_t)(((size_t)head_n + first) >> 8);
    e->out.p[record_at + 5] = (uint8_t)((size_t)head_n + first);
    for (size_t at = first, step; at < n; at += step) {
        step = n - at < RECORD_CONTENT_MAX ? n - at : RECORD_CONTENT_MAX;
        put_record(e, STDOUT, body + at, step);
    }
    put_record(e, STDOUT, NULL, 0);
    put_record(e, END, complete, sizeof(complete));
}

/* What it can do: one request at a time on a connection. */
static void answer_values(struct echo_peer *e)
{
    static const char values[] = "\017\001FCGI_MPXS_CONNS0";

    e->id = 0;
    put_record(e, VALUES, values, sizeof(values) - 1);
}

static void take_record(struct echo_peer *e, unsigned type, const uint8_t *content, size_t n)
{
    if (type == BEGIN) {
        e->last = (content[2] & 1) == 0;
        e->body.n = 0;
    } else if (type == GET_VALUES) {
        answer_values(e);
    } else if (type == STDIN && n > 0) {
        if (e->body.n + n > BODY_MAX_BYTES)
            refuse("a body from the proxy");
        append(&e->body, content, n);
    } else if (type == STDIN) {
        if (e->body.n > 0)
            answer_fcgi(e, e->body.p, e->body.n);
        else
            answer_fcgi(e, (const uint8_t *)LOAD_BODY, sizeof(LOAD_BODY) - 1);
    } else if (type != PARAMS) {
        refuse("a record from the proxy");
    }
}

/* Every whole record is taken off the input. */
static void take_records(struct echo_peer *e)
{
    size_t at = 0;

    while (e->in.n - at >= RECORD_BYTES) {
        const uint8_t *p = e->in.p + at;
        size_t n = (size_t)p[4] << 8 | p[5], whole = RECORD_BYTES + n + p[6];

        if (e->in.n - at < whole)
            break;
        e->id = (unsigned)p[2] << 8 | p[3];
        take_record(e, p[1], p + RECORD_BYTES, n);
        at += whole;
    }
    drop(&e->in, at);
}

/* ---- both ---- */

static void send_out(struct echo_peer *e)
{
    ssize_t sent = net_send(&e->peer, e->out.p + e->out_at, e->out.n - e->out_at);

    if (sent < 0) {
        end(e);
        return;
    }
    e->out_at += (size_t)sent;
    if (e->out_at < e->out.n) {
        net_watch(&e->peer, EPOLLOUT);
        return;
    }
    e->out.n = e->out_at = 0;
    if (e->last)
        end(e);
    else
        net_watch(&e->peer, EPOLLIN);
}

static void read_some(struct echo_peer *e)
{
    ssize_t n;

    room_for(&e->in, INPUT_MIN_BYTES);
    n = net_read(&e->peer, e->in.p + e->in.n, e->in.size - e->in.n);
    if (n == 0) {
        end(e);
        return;
    }
    e->in.n += n > 0 ? (size_t)n : 0;
    if (e->protocol == ECHO_FCGI)
        take_records(e);
    else
        while (take_http(e))
            continue;
    if (e->out.n > 0)
        send_out(e);
}

static void on_event(struct peer *p, uint32_t events)
{
    struct echo_peer *e = (struct echo_peer *)(void *)p;

    if (e->out.n > 0)
        send_out(e);
    else if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        read_some(e);
}

static void on_accept(struct peer *p, uint32_t events)
{
    int fd;

    (void)events;
    while ((fd = net_accept(p->fd)) >= 0) {
        struct echo_peer *e = net_alloc(sizeof(*e));
        e->protocol = ((struct echo_listener *)(void *)p)->protocol;
        net_watch_fd(&e->peer, fd, EPOLLIN, on_event);
    }
}

unsigned echo_start(enum echo_protocol protocol)
{
    unsigned port;

    listeners[protocol].protocol = protocol;
    net_watch_fd(&listeners[protocol].peer, net_listen(&port), EPOLLIN, on_accept);
    return port;
}
