/* Several addresses, one connection: the order of the families, the pace, the first who is connected; all of it over loopback, in invented
 * time. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "gateway/race.h"
#include "protocol/mem.h"
#include "tests/gateway/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define PORTS_MAX 4
#define FILL 4

enum port { LISTENS, REFUSES, HANGS };

struct track {
    struct loop loop;
    struct stream_uv_loop streams;
    struct timers timers;
    uint64_t now_ms;
    struct race race;
    struct sockaddr_storage addresses[PORTS_MAX];
    int fds[PORTS_MAX], fill[PORTS_MAX * FILL];
    size_t n, fill_n;
    unsigned over;
    struct stream *stream;
    int error;
    size_t blocks_before;
};

static uint64_t clock_of(void *ctx)
{
    return ((struct track *)ctx)->now_ms;
}

static void on_over(struct race *r, struct stream *stream, int error)
{
    struct track *t = (struct track *)(void *)((char *)r - offsetof(struct track, race));

    t->over++;
    t->stream = stream;
    t->error = error;
}

static void begin(struct track *t)
{
    *t = (struct track){ .now_ms = 1000, .blocks_before = mem_live_blocks() };
    loop_begin(&t->loop);
    assert_int_equal(stream_uv_loop_init(&t->streams, &t->loop.uv, &t->loop.ready), 0);
    timers_init(&t->timers, clock_of, t);
    race_init(&t->race, &t->streams, &t->timers, on_over);
}

/* A port of loopback where somebody listens, nobody does, or so many wait already that one more hangs. */
static void add_port(struct track *t, enum port what)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t n = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    if (what != REFUSES)
        assert_int_equal(listen(fd, what == HANGS ? 0 : 8), 0);
    for (int i = 0; what == HANGS && i < FILL; i++) {
        int filler = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        connect(filler, (struct sockaddr *)&at, sizeof(at));
        t->fill[t->fill_n++] = filler;
    }
    memcpy(&t->addresses[t->n], &at, sizeof(at));
    t->fds[t->n++] = fd;
}

static void end(struct track *t)
{
    race_end(&t->race);
    race_end(&t->race);
    stream_close(&t->stream);
    for (size_t i = 0; i < t->n; i++)
        close(t->fds[i]);
    for (size_t i = 0; i < t->fill_n; i++)
        close(t->fill[i]);
    loop_settle(&t->loop);
    assert_int_equal(t->streams.open, 0);
    assert_int_equal(t->timers.n, 0);
    stream_uv_loop_close(&t->streams);
    loop_settle(&t->loop);
    loop_end(&t->loop);
    assert_int_equal(mem_live_blocks(), t->blocks_before);
}

static void later(struct track *t, uint64_t ms)
{
    t->now_ms += ms;
    timers_run(&t->timers, t->now_ms);
    loop_settle(&t->loop);
}

static void run(struct track *t)
{
    race_run(&t->race, t->addresses, t->n, 0);
    assert_int_equal(t->over, 0);        /* never from inside */
    loop_settle(&t->loop);
}

static bool acknowledges_at_once(const struct stream *s)
{
    int on = 0;
    socklen_t n = sizeof(on);

    return getsockopt(stream_uv_fd(s), IPPROTO_TCP, TCP_QUICKACK, &on, &n) == 0 && on != 0;
}

static bool won_at(struct track *t, size_t port)
{
    int fd;

    TURN_UNTIL(&t->loop, t->over > 0);
    if (t->stream == NULL)
        return false;
    assert_int_equal(stream_send(t->stream, SPAN_LITERAL("x")), 1);      /* completes the handshake */
    assert_true(acknowledges_at_once(t->stream));
    fd = accept4(t->fds[port], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static void one_that_hangs_costs_a_quarter_of_a_second(void **state)
{
    struct track t;

    (void)state;
    begin(&t);
    add_port(&t, HANGS);
    add_port(&t, LISTENS);
    run(&t);
    later(&t, RACE_PACE_MS - 10);
    assert_int_equal(t.over, 0);
    later(&t, 20);
    assert_true(won_at(&t, 1));
    loop_settle(&t.loop);
    assert_int_equal(t.over, 1);
    end(&t);
}

static void one_that_refuses_costs_nothing(void **state)
{
    struct track t;

    (void)state;
    begin(&t);
    add_port(&t, REFUSES);
    add_port(&t, REFUSES);
    add_port(&t, LISTENS);
    run(&t);
    assert_true(won_at(&t, 2));
    end(&t);
}

/* It may still come first: the last of them all is waited for as long as the owner likes. */
static void a_slow_one_is_not_given_up_when_the_next_is_begun(void **state)
{
    struct track t;

    (void)state;
    begin(&t);
    add_port(&t, HANGS);
    add_port(&t, HANGS);
    add_port(&t, REFUSES);
    run(&t);
    later(&t, RACE_PACE_MS + 10);
    assert_int_equal(t.race.running, 2);
    later(&t, RACE_PACE_MS + 10);
    later(&t, 60000);
    assert_int_equal(t.over, 0);
    assert_int_equal(t.race.running, 2);
    end(&t);
}

static void when_all_fail_the_last_says_why(void **state)
{
    struct track t;

    (void)state;
    begin(&t);
    add_port(&t, REFUSES);
    add_port(&t, REFUSES);
    run(&t);
    TURN_UNTIL(&t.loop, t.over > 0);
    assert_null(t.stream);
    assert_int_equal(t.error, -ECONNREFUSED);
    end(&t);
    begin(&t);
    race_run(&t.race, t.addresses, 0, -ENAMETOOLONG);
    TURN_UNTIL(&t.loop, t.over > 0);
    assert_int_equal(t.error, -ENAMETOOLONG);
    end(&t);
}

static void ended_at_each_moment(void **state)
{
    struct track t;

    (void)state;
    for (int moment = 0; moment < 3; moment++) {
        begin(&t);
        add_port(&t, HANGS);
        add_port(&t, moment == 2 ? LISTENS : HANGS);
        race_run(&t.race, t.addresses, t.n, 0);
        if (moment > 0)
            later(&t, RACE_PACE_MS - 10);
        if (moment == 2) {
            t.now_ms += 20;
            timers_run(&t.timers, t.now_ms);     /* the second is begun, and may be connected already */
        }
        race_end(&t.race);
        loop_settle(&t.loop);
        assert_int_equal(t.over, 0);
        end(&t);
    }
}

static void families_take_turns(void **state)
{
    static const char *const rows[][2] = {
        { "", "" }, { "4", "4" }, { "44", "44" }, { "46", "46" }, { "6644", "6464" }, { "446", "464" }, { "66664", "64666" },
        { "4466", "4646" }, { "64644", "64644" }, { "66644444", "64646444" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sockaddr_storage a[RACE_ADDRESSES];
        size_t n = strlen(rows[i][0]), seen[2] = { 0, 0 };
        char order[RACE_ADDRESSES + 1] = "";
        memset(a, 0, sizeof(a));
        for (size_t k = 0; k < n; k++) {
            a[k].ss_family = rows[i][0][k] == '4' ? AF_INET : AF_INET6;
            ((struct sockaddr_in *)(void *)&a[k])->sin_port = (in_port_t)k;
        }
        race_order(a, n);
        for (size_t k = 0; k < n; k++) {
            size_t family = a[k].ss_family == AF_INET6, port = ((struct sockaddr_in *)(void *)&a[k])->sin_port;
            order[k] = family ? '6' : '4';
            assert_true(port + 1 > seen[family]);        /* within a family the order stays */
            seen[family] = port + 1;
        }
        assert_string_equal(order, rows[i][1]);
    }
}

static void without_memory(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 4; nth++) {
        struct track t;
        begin(&t);
        add_port(&t, LISTENS);
        mem_fail_nth(nth);
        race_run(&t.race, t.addresses, t.n, 0);
        TURN_UNTIL(&t.loop, t.over > 0);
        mem_fail_nth(0);
        assert_true(t.stream != NULL || t.error == -ENOMEM);
        end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_hangs_costs_a_quarter_of_a_second),
        cmocka_unit_test(one_that_refuses_costs_nothing),
        cmocka_unit_test(a_slow_one_is_not_given_up_when_the_next_is_begun),
        cmocka_unit_test(when_all_fail_the_last_says_why),
        cmocka_unit_test(ended_at_each_moment),
        cmocka_unit_test(families_take_turns),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
