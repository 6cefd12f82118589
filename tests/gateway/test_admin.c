/* The admin endpoint's connections, over real sockets: answers at once and later, askers that go, too many of them, and no memory. */
#include "tests/gateway/loop.h"

#include "gateway/admin.h"
#include "gateway/stream_uv.h"
#include "protocol/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASK "GET /now HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
#define ASK_LATER "GET /later HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

struct desk {
    struct loop loop;
    struct stream_uv_loop streams;
    struct admin *admin;
    struct conf_admin conf;
    struct sockaddr_in address;
    struct admin_client *waiting;
    size_t asked, gone;
    size_t blocks;
};

static void answer(struct desk *d, struct admin_client *c, unsigned status, size_t bytes)
{
    struct text body;
    struct admin_answer a = { .status = status, .body = &body };

    (void)d;
    text_init(&body);
    for (size_t i = 0; i < bytes; i++)
        text_put(&body, SPAN_LITERAL("x"));
    admin_answer(c, &a);
}

static void on_asked(void *ctx, struct admin_client *c, const struct admin_request *r)
{
    struct desk *d = ctx;

    d->asked++;
    if (span_equal(r->path, SPAN_LITERAL("/later")))
        d->waiting = c;
    else
        answer(d, c, 200, span_equal(r->path, SPAN_LITERAL("/large")) ? 4000000 : 5);
}

static void on_gone(void *ctx, struct admin_client *c)
{
    struct desk *d = ctx;

    assert_ptr_equal(c, d->waiting);
    d->waiting = NULL;
    d->gone++;
}

static void open_desk(struct desk *d)
{
    struct admin_owner owner = { .asked = on_asked, .gone = on_gone, .ctx = d };
    socklen_t n = sizeof(d->address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    *d = (struct desk){ .blocks = mem_live_blocks(), .address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } } };
    loop_begin(&d->loop);
    assert_int_equal(stream_uv_loop_init(&d->streams, &d->loop.uv, &d->loop.ready), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&d->address, sizeof(d->address)), 0);
    assert_int_equal(listen(fd, 100), 0);
    getsockname(fd, (struct sockaddr *)&d->address, &n);
    d->admin = admin_new(&d->loop.uv, &d->streams, &owner);
    assert_non_null(d->admin);
    admin_configure(d->admin, &d->conf, "upgate");
    assert_int_equal(admin_listen(d->admin, fd), 0);
}

static void close_desk(struct desk *d)
{
    admin_close(d->admin);
    loop_settle(&d->loop);
    assert_int_equal(d->streams.open, 0);
    stream_uv_loop_close(&d->streams);
    loop_end(&d->loop);
    admin_free(d->admin);
    assert_int_equal(mem_live_blocks(), d->blocks);
}

static int asker(struct desk *d, const char *text)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&d->address, sizeof(d->address)), 0);
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* What has come; -1: the end. */
static ssize_t take(int fd, char *into, size_t size)
{
    ssize_t n = recv(fd, into, size, 0);

    if (n == 0 || (n < 0 && errno != EAGAIN))
        return -1;
    return n < 0 ? 0 : n;
}

static size_t gather(struct desk *d, int fd, const char *until, char *text, size_t size)
{
    size_t n = 0;

    text[0] = '\0';
    DO_UNTIL(&d->loop, strstr(text, until) != NULL || n + 1 >= size, {
        ssize_t got = take(fd, text + n, size - 1 - n);
        assert_true(got >= 0);
        n += (size_t)got;
        text[n] = '\0';
    });
    return n;
}

static void at_once_and_later(void **state)
{
    struct desk d;
    char text[4096];
    int fd;

    (void)state;
    open_desk(&d);
    fd = asker(&d, ASK ASK_LATER ASK);
    gather(&d, fd, "\r\n\r\nxxxxx", text, sizeof(text));
    TURN_UNTIL(&d.loop, d.waiting != NULL);
    assert_int_equal(d.asked, 2);        /* the third waits its turn */
    answer(&d, d.waiting, 404, 3);
    d.waiting = NULL;
    gather(&d, fd, "\r\n\r\nxxxxx", text, sizeof(text));
    assert_int_equal(strncmp(text, "HTTP/1.1 404 Not Found\r\n", 24), 0);
    assert_int_equal(d.asked, 3);
    assert_int_equal(d.gone, 0);
    close(fd);
    close_desk(&d);
}

static void who_goes_is_not_answered(void **state)
{
    struct desk d;
    int fd;

    (void)state;
    open_desk(&d);
    fd = asker(&d, ASK_LATER);
    TURN_UNTIL(&d.loop, d.waiting != NULL);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger));
    close(fd);
    TURN_UNTIL(&d.loop, d.gone == 1);
    fd = asker(&d, ASK_LATER);
    TURN_UNTIL(&d.loop, d.waiting != NULL);
    close_desk(&d);                      /* so is who waits at the end */
    assert_int_equal(d.gone, 2);
    close(fd);
}

static void one_that_does_not_read_holds_nobody_up(void **state)
{
    struct desk d;
    char text[4096], *all = mem_alloc(5000000);
    int slow, fd;

    (void)state;
    open_desk(&d);
    slow = asker(&d, "GET /large HTTP/1.0\r\n\r\n");
    TURN_UNTIL(&d.loop, d.asked == 1);
    for (int i = 0; i < 100; i++) {
        fd = asker(&d, ASK);
        gather(&d, fd, "\r\n\r\nxxxxx", text, sizeof(text));
        close(fd);
    }
    size_t n = 0;
    DO_UNTIL(&d.loop, n >= 4000000, {
        ssize_t got = take(slow, all + n, 5000000 - n);
        assert_true(got >= 0);
        n += (size_t)got;
    });
    DO_UNTIL(&d.loop, take(slow, text, sizeof(text)) < 0, (void)0);      /* HTTP/1.0: the connection ends */
    close(slow);
    close_desk(&d);
    mem_free(all);
}

static void idle_ones_make_room(void **state)
{
    struct desk d;
    char text[4096];
    int idle[3 * ADMIN_CLIENTS_MAX], fd;

    (void)state;
    open_desk(&d);
    for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
        idle[i] = asker(&d, "");
    fd = asker(&d, ASK);
    gather(&d, fd, "\r\n\r\nxxxxx", text, sizeof(text));
    close(fd);
    for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
        close(idle[i]);
    close_desk(&d);
}

/* Those that are answered later fill the house: who comes then waits, and is served when one has gone. */
static void a_full_house(void **state)
{
    struct desk d;
    char text[4096];
    int busy[ADMIN_CLIENTS_MAX], fd;

    (void)state;
    open_desk(&d);
    for (size_t i = 0; i < ADMIN_CLIENTS_MAX; i++) {
        busy[i] = asker(&d, "GET /now HTTP/1.1\r\nHost:");   /* a request that is being read */
        loop_settle(&d.loop);
    }
    fd = asker(&d, ASK);
    loop_settle(&d.loop);
    assert_int_equal(d.asked, 0);
    close(busy[0]);
    gather(&d, fd, "\r\n\r\nxxxxx", text, sizeof(text));
    close(fd);
    for (size_t i = 1; i < ADMIN_CLIENTS_MAX; i++)
        close(busy[i]);
    close_desk(&d);
}

static void without_memory_a_connection_ends_and_the_endpoint_lives(void **state)
{
    struct desk d;
    char text[4096];
    bool served = false;

    (void)state;
    open_desk(&d);
    for (size_t nth = 1; !served && nth < 200; nth++) {
        bool over = false;
        size_t n = 0, calls = mem_calls();
        int fd = asker(&d, "GET /now HTTP/1.0\r\n\r\n");
        mem_fail_nth(nth);
        DO_UNTIL(&d.loop, over, {
            ssize_t got = take(fd, text + n, sizeof(text) - 1 - n);
            over = got < 0;
            n += got > 0 ? (size_t)got : 0;
        });
        text[n] = '\0';
        close(fd);
        served = strstr(text, "\r\n\r\nxxxxx") != NULL && mem_calls() - calls < nth;
        mem_fail_nth(0);
    }
    assert_true(served);
    close_desk(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(at_once_and_later),
        cmocka_unit_test(who_goes_is_not_answered),
        cmocka_unit_test(one_that_does_not_read_holds_nobody_up),
        cmocka_unit_test(idle_ones_make_room),
        cmocka_unit_test(a_full_house),
        cmocka_unit_test(without_memory_a_connection_ends_and_the_endpoint_lives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
