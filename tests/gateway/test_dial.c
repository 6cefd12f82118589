/* The real dialer over loopback: connected, refused, too late, given up; over TCP, UNIX sockets and names; and without memory. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "gateway/dial.h"
#include "gateway/resolver.h"
#include "gateway/stream_uv.h"
#include "gateway/timers.h"
#include "protocol/mem.h"
#include "tests/gateway/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG_MAX 64

struct phone {
    struct loop loop;
    struct stream_uv_loop streams;
    struct timers timers;
    uint64_t now_ms;
    struct resolver *resolver;
    struct dialer *dialer;
    unsigned answers;
    struct dial_answer answer;
    struct stream *stream;
    int listener;
    struct conf_address to;
    char host[64], path[64];
    size_t blocks_before;
};

static uint64_t clock_of(void *ctx)
{
    return ((struct phone *)ctx)->now_ms;
}

static void begin(struct phone *p)
{
    *p = (struct phone){ .now_ms = 1000, .listener = -1, .blocks_before = mem_live_blocks() };
    loop_begin(&p->loop);
    assert_int_equal(stream_uv_loop_init(&p->streams, &p->loop.uv, &p->loop.ready), 0);
    timers_init(&p->timers, clock_of, p);
    p->resolver = resolver_new(&p->loop.uv, &p->loop.ready, RESOLVER_FRESH_MS);
    p->dialer = dialer_uv_new(&p->streams, &p->timers, p->resolver);
    assert_true(p->resolver != NULL && p->dialer != NULL);
}

static void end(struct phone *p)
{
    stream_close(&p->stream);
    if (p->listener >= 0)
        close(p->listener);
    if (p->path[0] != '\0')
        unlink(p->path);
    loop_settle(&p->loop);
    assert_int_equal(p->streams.open, 0);
    stream_uv_loop_close(&p->streams);
    uv_run(&p->loop.uv, UV_RUN_DEFAULT);         /* a name that is still asked for comes to its end */
    loop_settle(&p->loop);
    assert_int_equal(p->timers.n, 0);
    dialer_uv_free(p->dialer);
    resolver_free(p->resolver);
    loop_end(&p->loop);
    assert_int_equal(mem_live_blocks(), p->blocks_before);
}

static void on_answer(void *ctx, const struct dial_answer *a)
{
    struct phone *p = ctx;

    p->answers++;
    p->answer = *a;
    p->stream = a->stream;
}

static struct dial *dial(struct phone *p)
{
    return p->dialer->start(p->dialer, &p->to, 5000, on_answer, p);
}

/* A listener on loopback; `to` is its address, by number or by name. */
static void listen_tcp(struct phone *p, const char *host, enum conf_address_kind kind, int backlog)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(at);

    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&at, &n), 0);
    if (backlog >= 0)
        assert_int_equal(listen(p->listener, backlog), 0);
    snprintf(p->host, sizeof(p->host), "%s", host);
    p->to = (struct conf_address){ .kind = kind, .host = p->host, .port = ntohs(at.sin_port) };
}

static void expect_connected(struct phone *p)
{
    int fd;
    char got[6] = "";

    TURN_UNTIL(&p->loop, p->answers > 0);
    if (p->stream == NULL)
        fail_msg("not connected: %s", p->answer.detail);
    fd = accept(p->listener, NULL, NULL);
    assert_true(fd >= 0);
    assert_int_equal(stream_send(p->stream, SPAN_LITERAL("hello")), 5);
    assert_int_equal(recv(fd, got, 5, MSG_WAITALL), 5);
    assert_string_equal(got, "hello");
    close(fd);
}

static void expect_failed(struct phone *p, enum end_reason why)
{
    TURN_UNTIL(&p->loop, p->answers > 0);
    assert_null(p->stream);
    assert_int_equal(p->answer.why, why);
    assert_non_null(p->answer.detail);
}

static void connected_by_number(void **state)
{
    struct phone p;

    (void)state;
    begin(&p);
    listen_tcp(&p, "127.0.0.1", CONF_ADDRESS_IP, 4);
    assert_non_null(dial(&p));
    assert_int_equal(p.answers, 0);              /* never from inside the call */
    expect_connected(&p);
    loop_settle(&p.loop);
    assert_int_equal(p.answers, 1);
    end(&p);
}

/* ::1 may come first, where nobody listens: the next address is tried. */
static void connected_by_name(void **state)
{
    struct phone p;

    (void)state;
    begin(&p);
    listen_tcp(&p, "localhost", CONF_ADDRESS_NAME, 4);
    for (int i = 0; i < 3; i++) {                /* the second time the name is known */
        p.answers = 0;
        assert_non_null(dial(&p));
        assert_int_equal(p.answers, 0);
        expect_connected(&p);
        stream_close(&p.stream);
    }
    end(&p);
}

static void many_ask_for_one_name_at_once(void **state)
{
    struct phone p;

    (void)state;
    begin(&p);
    listen_tcp(&p, "localhost", CONF_ADDRESS_NAME, -1);
    for (int i = 0; i < 10; i++)
        assert_non_null(dial(&p));
    TURN_UNTIL(&p.loop, p.answers == 10);
    assert_int_equal(p.answer.why, END_CONNECT_FAILED);
    end(&p);
}

static void over_a_unix_socket(void **state)
{
    struct phone p;
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    char folder[] = "/tmp/test_dial.XXXXXX";

    (void)state;
    begin(&p);
    assert_non_null(mkdtemp(folder));
    snprintf(p.path, sizeof(p.path), "%s/socket", folder);
    p.to = (struct conf_address){ .kind = CONF_ADDRESS_UNIX, .path = p.path };
    assert_non_null(dial(&p));
    expect_failed(&p, END_CONNECT_FAILED);       /* there is none yet */
    p.answers = 0;
    memcpy(at.sun_path, p.path, strlen(p.path) + 1);
    p.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p.listener, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(p.listener, 4), 0);
    assert_non_null(dial(&p));
    assert_int_equal(p.answers, 0);
    expect_connected(&p);
    end(&p);
    rmdir(folder);
}

static void a_unix_path_that_is_too_long(void **state)
{
    struct phone p;
    char path[200];

    (void)state;
    begin(&p);
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    p.to = (struct conf_address){ .kind = CONF_ADDRESS_UNIX, .path = path };
    assert_non_null(dial(&p));
    assert_int_equal(p.answers, 0);
    expect_failed(&p, END_CONNECT_FAILED);
    end(&p);
}

static void refused(void **state)
{
    struct phone p;

    (void)state;
    begin(&p);
    listen_tcp(&p, "127.0.0.1", CONF_ADDRESS_IP, -1);    /* bound, and nobody listens */
    assert_non_null(dial(&p));
    expect_failed(&p, END_CONNECT_FAILED);
    assert_non_null(strstr(p.answer.detail, "refused"));
    end(&p);
}

/* Fills the listener's backlog, so that the next connection hangs. */
static size_t fill_backlog(struct phone *p, int fds[BACKLOG_MAX])
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                              .sin_port = htons((uint16_t)p->to.port) };
    size_t n = 0;

    while (n < 4) {
        fds[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(fds[n++], (struct sockaddr *)&at, sizeof(at));
    }
    return n;
}

static void begin_hanging(struct phone *p, int fds[BACKLOG_MAX], size_t *n_out, struct dial **d_out)
{
    begin(p);
    listen_tcp(p, "127.0.0.1", CONF_ADDRESS_IP, 0);
    *n_out = fill_backlog(p, fds);
    *d_out = dial(p);
    assert_non_null(*d_out);
    loop_settle(&p->loop);
    assert_int_equal(p->answers, 0);
}

static void end_hanging(struct phone *p, const int fds[BACKLOG_MAX], size_t n)
{
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    end(p);
}

static void one_that_does_not_answer(void **state)
{
    struct phone p;
    struct dial *d;
    int fds[BACKLOG_MAX];
    size_t n;

    (void)state;
    begin_hanging(&p, fds, &n, &d);
    p.now_ms += 4990;
    timers_run(&p.timers, p.now_ms);
    loop_settle(&p.loop);
    assert_int_equal(p.answers, 0);
    p.now_ms += 20;
    timers_run(&p.timers, p.now_ms);
    expect_failed(&p, END_CONNECT_TIMEOUT);
    end_hanging(&p, fds, n);
}

static void given_up_at_each_moment(void **state)
{
    struct phone p;
    struct dial *d;
    int fds[BACKLOG_MAX];
    size_t n;

    (void)state;
    begin_hanging(&p, fds, &n, &d);              /* while it is connecting */
    p.dialer->cancel(p.dialer, d);
    loop_settle(&p.loop);
    assert_int_equal(p.answers, 0);
    end_hanging(&p, fds, n);
    for (int kind = 0; kind < 2; kind++) {       /* before anything has happened; while a name is asked for */
        begin(&p);
        listen_tcp(&p, kind == 0 ? "127.0.0.1" : "localhost", kind == 0 ? CONF_ADDRESS_IP : CONF_ADDRESS_NAME, 4);
        p.dialer->cancel(p.dialer, dial(&p));
        loop_settle(&p.loop);
        assert_int_equal(p.answers, 0);
        end(&p);
    }
    begin(&p);                                   /* when it has failed at once, and is about to say so */
    p.to = (struct conf_address){ .kind = CONF_ADDRESS_UNIX, .path = p.host };
    p.dialer->cancel(p.dialer, dial(&p));
    loop_settle(&p.loop);
    assert_int_equal(p.answers, 0);
    end(&p);
}

static void without_memory(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        bool well = false;
        for (size_t nth = 1; !well; nth++) {
            struct phone p;
            struct dial *d;
            begin(&p);
            listen_tcp(&p, kind == 0 ? "127.0.0.1" : "localhost", kind == 0 ? CONF_ADDRESS_IP : CONF_ADDRESS_NAME, 4);
            mem_fail_nth(nth);
            d = dial(&p);
            if (d != NULL)
                TURN_UNTIL(&p.loop, p.answers > 0);
            mem_fail_nth(0);
            well = d != NULL && p.stream != NULL && nth > 2;
            assert_true(nth < 20);
            end(&p);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connected_by_number),
        cmocka_unit_test(connected_by_name),
        cmocka_unit_test(many_ask_for_one_name_at_once),
        cmocka_unit_test(over_a_unix_socket),
        cmocka_unit_test(a_unix_path_that_is_too_long),
        cmocka_unit_test(refused),
        cmocka_unit_test(one_that_does_not_answer),
        cmocka_unit_test(given_up_at_each_moment),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
