/* sockets: a stream over a real socket, whose far end is a plain socket in the test's own hands. Include it first. */
#ifndef UPGATE_TESTS_GATEWAY_SOCKETS_H
#define UPGATE_TESTS_GATEWAY_SOCKETS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "gateway/stream_uv.h"
#include "protocol/mem.h"
#include "tests/gateway/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIG (2 * 1024 * 1024)

struct owner {
    struct stream *stream;
    unsigned readable, writable;
    void (*on_readable)(struct owner *o);
    void (*on_writable)(struct owner *o);
    struct owner *next;
    size_t want;                         /* for callbacks */
};

struct rig {
    struct loop loop;
    struct stream_uv_loop streams;
    struct owner owner;
    int far;                             /* the peer's socket */
    size_t bytes_before;
};

/* ---- owners ---- */

static inline void on_readable(void *ctx)
{
    struct owner *o = ctx;

    o->readable++;
    if (o->on_readable != NULL)
        o->on_readable(o);
}

static inline void on_writable(void *ctx)
{
    struct owner *o = ctx;

    o->writable++;
    if (o->on_writable != NULL)
        o->on_writable(o);
}

static const struct stream_events events = { .readable = on_readable, .writable = on_writable };

static inline size_t there(struct rig *r)
{
    const uint8_t *p;

    return stream_peek(r->owner.stream, &p);
}

static inline void expect_there(struct rig *r, const char *text)
{
    const uint8_t *p;

    assert_int_equal(stream_peek(r->owner.stream, &p), strlen(text));
    assert_memory_equal(p, text, strlen(text));
}

/* ---- sockets ---- */

static inline void tcp_pair(int fds[2])
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &n), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&at, sizeof(at)), 0);
    fds[1] = accept(listener, NULL, NULL);
    assert_true(fds[1] >= 0);
    close(listener);
}

static inline void set_nonblocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

static inline void begin_with(struct rig *r, int fds[2])
{
    int error;

    *r = (struct rig){ .far = fds[1] };
    loop_begin(&r->loop);
    assert_int_equal(stream_uv_loop_init(&r->streams, &r->loop.uv, &r->loop.ready), 0);
    set_nonblocking(fds[0]);
    set_nonblocking(fds[1]);
    r->owner.stream = stream_uv_new(&r->streams, fds[0], &error);
    assert_non_null(r->owner.stream);
    assert_int_equal(stream_uv_fd(r->owner.stream), fds[0]);
    stream_own(r->owner.stream, &events, &r->owner);
    loop_settle(&r->loop);
    r->bytes_before = mem_live_bytes();
}

/* By the test's parameter: a TCP connection, or a pair of UNIX sockets. */
static inline void begin(struct rig *r, void **state)
{
    int fds[2];

    if (*state != NULL)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    else
        tcp_pair(fds);
    begin_with(r, fds);
}

static inline void end(struct rig *r)
{
    int fd = r->owner.stream != NULL ? stream_uv_fd(r->owner.stream) : -1;

    stream_close(&r->owner.stream);
    stream_close(&r->owner.stream);
    if (r->far >= 0)
        close(r->far);
    loop_settle(&r->loop);
    assert_int_equal(r->streams.open, 0);
    assert_true(fd < 0 || fcntl(fd, F_GETFD) < 0);
    stream_uv_loop_close(&r->streams);
    loop_end(&r->loop);
    assert_int_equal(mem_live_blocks(), 0);
}

/* ---- the far end ---- */

static inline void far_says(struct rig *r, const char *text)
{
    assert_int_equal(send(r->far, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static inline size_t far_reads(struct rig *r, uint8_t *to, size_t room)
{
    ssize_t n = recv(r->far, to, room, 0);

    if (n < 0)
        assert_int_equal(errno, EAGAIN);
    return n > 0 ? (size_t)n : 0;
}

static inline void far_resets(struct rig *r)
{
    assert_int_equal(setsockopt(r->far, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger)), 0);
    close(r->far);
    r->far = -1;
}

static inline uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 7 + at / 251);
}

static inline size_t far_fills(struct rig *r, size_t from, size_t most)     /* until nobody takes more; returns how many bytes */
{
    uint8_t piece[8192];
    size_t done = 0;

    while (done < most) {
        size_t n = most - done < sizeof(piece) ? most - done : sizeof(piece);
        ssize_t sent;
        for (size_t i = 0; i < n; i++)
            piece[i] = pattern(from + done + i);
        sent = send(r->far, piece, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0)
            break;
        done += (size_t)sent;
    }
    return done;
}

/* A test that is run over TCP and over a pair of UNIX sockets. */
#define UNIX_PAIR ((void *)1)
#define BOTH(test) cmocka_unit_test(test), { #test " (unix)", test, NULL, NULL, UNIX_PAIR }

#endif
