/* origin: an HTTP server with WebSockets, as simple as it can be while its peers are well-behaved proxies.
 *
 *   GET without an offer   200 and a short body, connection kept
 *   GET /bytes/N           200 and a body of N bytes (the same N for all that are under way at a time)
 *   GET /sink              101; what comes is counted in bytes and thrown away
 *   GET (any other path)   101; each message is sent back, several in one piece when they came so; a Close is answered and ends the
 *                          connection */
#include "tests/bench/load.h"
#include "tests/bench/secure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define INPUT_MIN_BYTES 65536
#define OPCODE_CLOSE 8

struct origin_peer {
    struct peer peer;
    enum { HEAD, SINK, ECHO } doing;
    uint8_t *in;
    size_t n, size;
    const uint8_t *out;                  /* in `in`, or constant */
    size_t out_n, frame_bytes;           /* frame_bytes: of the message that is being sent back, its place in `in` */
    bool last;                           /* the connection ends when `out` is out */
};

struct origin_counts origin_counts;
static struct peer listener, secure_listener;

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
                             "Content-Length: 58\r\n\r\n" LOAD_BODY;
_Static_assert(sizeof(LOAD_BODY) - 1 == 58, "Content-Length above");
static const char switching[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Accept: " LOAD_ACCEPT "\r\n\r\n";

static void end(struct origin_peer *o)
{
    free(o->in);
    o->in = NULL;
    origin_counts.open--;
    net_close(&o->peer);
}

static void room_for(struct origin_peer *o, size_t size)
{
    if (size <= o->size)
        return;
    o->in = realloc(o->in, size);
    if (o->in == NULL)
        net_fail("memory");
    o->size = size;
}

static void drop(struct origin_peer *o, size_t n)
{
    memmove(o->in, o->in + n, o->n - n);
    o->n -= n;
}

/* ---- sending ---- */

static void send_out(struct origin_peer *o)
{
    ssize_t sent = net_send(&o->peer, o->out, o->out_n);

    if (sent < 0) {
        end(o);
        return;
    }
    o->out += sent;
    o->out_n -= (size_t)sent;
    net_watch(&o->peer, o->out_n > 0 ? EPOLLOUT : EPOLLIN);
    if (o->out_n > 0)
        return;
    drop(o, o->frame_bytes);
    o->frame_bytes = 0;
    if (o->last)
        end(o);
}

/* ---- what came ---- */

/* Made anew when another size is asked for. */
static void answer_bytes(struct origin_peer *o, size_t n)
{
    static uint8_t *whole;
    static size_t whole_n, body_n;

    if (whole == NULL || n != body_n) {
        free(whole);
        body_n = n;
        whole = net_alloc(n + 256);
        whole_n = (size_t)snprintf((char *)whole, 256, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", n);
        messages_put_words(whole + whole_n, n);
        whole_n += n;
    }
    o->out = whole;
    o->out_n = whole_n;
}

static bool take_head(struct origin_peer *o)
{
    static const char get_bytes[] = "GET " LOAD_BYTES_PATH;
    const uint8_t *stop = memmem(o->in, o->n, "\r\n\r\n", 4);
    size_t head_bytes;

    if (stop == NULL)
        return false;
    head_bytes = (size_t)(stop - o->in) + 4;
    o->in[head_bytes - 1] = '\0';
    if (strcasestr((char *)o->in, "\r\nsec-websocket-key: " LOAD_KEY) != NULL) {
        o->doing = strncmp((char *)o->in, "GET /sink", 9) == 0 ? SINK : ECHO;
        o->out = (const uint8_t *)switching;
        o->out_n = sizeof(switching) - 1;
    } else if (strncmp((char *)o->in, get_bytes, sizeof(get_bytes) - 1) == 0) {
        answer_bytes(o, strtoull((char *)o->in + sizeof(get_bytes) - 1, NULL, 10));
    } else {
        o->out = (const uint8_t *)answer;
        o->out_n = sizeof(answer) - 1;
    }
    drop(o, head_bytes);
    return true;
}

/* The size of a masked frame's header, 0 = not all there. */
static size_t head_of(const uint8_t *p, size_t n, size_t *length_out)
{
    size_t length = n > 1 ? p[1] & 127u : 0, form = length == 126 ? 2 : length == 127 ? 8 : 0;

    if (n < 6 + form)
        return 0;
    if (form > 0)
        length = 0;
    for (size_t i = 0; i < form; i++)
        length = length << 8 | p[2 + i];
    if ((p[1] & 128) == 0 || length > LOAD_FRAME_MAX_BYTES) {
        errno = EPROTO;
        net_fail("a frame from the proxy");
    }
    *length_out = length;
    return 6 + form;
}

static void unmask(uint8_t *payload, size_t n, const uint8_t mask[4])
{
    uint64_t wide, word;

    memcpy(&wide, mask, 4);
    memcpy((uint8_t *)&wide + 4, mask, 4);
    for (; n >= 8; payload += 8, n -= 8) {
        memcpy(&word, payload, 8);
        word ^= wide;
        memcpy(payload, &word, 8);
    }
    for (size_t i = 0; i < n; i++)
        payload[i] ^= mask[i % 4];
}

/* One frame at `at` becomes its answer, without the four bytes of the mask, at `to`; its end there. */
static size_t answer_frame(struct origin_peer *o, size_t at, size_t head, size_t length, size_t to)
{
    uint8_t mask[4];

    memcpy(mask, o->in + at + head - 4, 4);
    unmask(o->in + at + head, length, mask);
    o->last = (o->in[at] & 15) == OPCODE_CLOSE;
    memmove(o->in + to, o->in + at, head - 4);
    o->in[to + 1] &= 127;
    to += head - 4;
    if (to != at + head)
        memmove(o->in + to, o->in + at + head, length);
    return to + length;
}

/* All the frames that are there. The answers are made in place, the first without moving its payload. */
static bool take_frames(struct origin_peer *o)
{
    size_t at = 0, end = 4, length, head;

    while (!o->last && (head = head_of(o->in + at, o->n - at, &length)) > 0) {
        if (o->n - at < head + length) {
            room_for(o, at + head + length);
            break;
        }
        end = answer_frame(o, at, head, length, end);
        at += head + length;
    }
    o->out = o->in + 4;
    o->out_n = end - 4;
    o->frame_bytes = at;
    return at > 0;
}

static void sink(struct origin_peer *o)
{
    ssize_t n = net_read(&o->peer, net_scratch, NET_SCRATCH_BYTES);

    if (n == 0)
        end(o);
    else if (n > 0)
        origin_counts.sunk_bytes += (uint64_t)n;
}

static void read_some(struct origin_peer *o)
{
    ssize_t n;

    room_for(o, o->n < INPUT_MIN_BYTES ? INPUT_MIN_BYTES : o->n + 1);
    n = net_read(&o->peer, o->in + o->n, o->size - o->n);
    if (n == 0)
        end(o);
    else if (n > 0)
        o->n += (size_t)n;
}

static void on_event(struct peer *p, uint32_t events)
{
    struct origin_peer *o = (struct origin_peer *)(void *)p;

    if (o->doing == SINK && o->out_n == 0) {
        sink(o);
        return;
    }
    if (o->out_n > 0)
        send_out(o);
    else if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        read_some(o);
    while (p->fd >= 0 && o->out_n == 0 && o->doing != SINK && (o->doing == HEAD ? take_head(o) : take_frames(o)))
        send_out(o);
}

static void on_accept(struct peer *p, uint32_t events)
{
    int fd;

    (void)events;
    while ((fd = net_accept(p->fd)) >= 0) {
        struct origin_peer *o = net_alloc(sizeof(*o));
        origin_counts.open++;
        net_watch_fd(&o->peer, fd, EPOLLIN, on_event);
        if (p == &secure_listener)
            secure_accept(&o->peer);
    }
}

unsigned origin_start(void)
{
    unsigned port;

    net_watch_fd(&listener, net_listen(&port), EPOLLIN, on_accept);
    return port;
}

unsigned origin_start_secure(void)
{
    unsigned port;

    net_watch_fd(&secure_listener, net_listen(&port), EPOLLIN, on_accept);
    return port;
}
