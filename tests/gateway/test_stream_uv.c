/* The stream contract over real sockets: what comes, what goes, how it ends; and that nothing is left or held that need not be.
 *
 * The far end is a plain socket in the test's own hands. The loop is turned until something is so, with a deadline. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "gateway/stream_uv.h"
#include "gateway/weather.h"
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

static void on_readable(void *ctx)
{
    struct owner *o = ctx;

    o->readable++;
    if (o->on_readable != NULL)
        o->on_readable(o);
}

static void on_writable(void *ctx)
{
    struct owner *o = ctx;

    o->writable++;
    if (o->on_writable != NULL)
        o->on_writable(o);
}

static const struct stream_events events = { .readable = on_readable, .writable = on_writable };

static size_t there(struct rig *r)
{
    const uint8_t *p;

    return stream_peek(r->owner.stream, &p);
}

static void expect_there(struct rig *r, const char *text)
{
    const uint8_t *p;

    assert_int_equal(stream_peek(r->owner.stream, &p), strlen(text));
    assert_memory_equal(p, text, strlen(text));
}

/* ---- sockets ---- */

static void tcp_pair(int fds[2])
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

static void set_nonblocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

static void begin_with(struct rig *r, int fds[2])
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
static void begin(struct rig *r, void **state)
{
    int fds[2];

    if (*state != NULL)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    else
        tcp_pair(fds);
    begin_with(r, fds);
}

static void end(struct rig *r)
{
    int fd = r->owner.stream != NULL ? stream_uv_fd(r->owner.stream) : -1;

    stream_close(&r->owner.stream);
    stream_close(&r->owner.stream);
    if (r->far >= 0)
        close(r->far);
    loop_settle(&r->loop);
    assert_int_equal(r->streams.open, 0);
    assert_true(fd < 0 || fcntl(fd, F_GETFD) < 0);
    loop_end(&r->loop);
    stream_uv_loop_free(&r->streams);
    assert_int_equal(mem_live_blocks(), 0);
}

/* ---- the far end ---- */

static void far_says(struct rig *r, const char *text)
{
    assert_int_equal(send(r->far, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static size_t far_reads(struct rig *r, uint8_t *to, size_t room)
{
    ssize_t n = recv(r->far, to, room, 0);

    if (n < 0)
        assert_int_equal(errno, EAGAIN);
    return n > 0 ? (size_t)n : 0;
}

static void far_resets(struct rig *r)
{
    assert_int_equal(setsockopt(r->far, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger)), 0);
    close(r->far);
    r->far = -1;
}

static uint8_t pattern(size_t at)
{
    return (uint8_t)(at * 7 + at / 251);
}

static size_t far_fills(struct rig *r, size_t from, size_t most)     /* until nobody takes more; returns how many bytes */
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

/* ---- reading ---- */

static void what_comes_stays_until_it_is_consumed(void **state)
{
    struct rig r;

    begin(&r, state);
    assert_int_equal(r.owner.readable, 0);
    far_says(&r, "hello, ");
    TURN_UNTIL(&r.loop, r.owner.readable == 1);
    expect_there(&r, "hello, ");
    stream_consume(r.owner.stream, 2);
    expect_there(&r, "llo, ");
    far_says(&r, "world");
    TURN_UNTIL(&r.loop, r.owner.readable == 2);
    expect_there(&r, "llo, world");
    loop_settle(&r.loop);
    assert_int_equal(r.owner.readable, 2);
    stream_consume(r.owner.stream, there(&r));
    assert_int_equal(there(&r), 0);
    assert_int_equal(r.owner.stream->bytes_in, 12);
    assert_int_equal(mem_live_bytes(), r.bytes_before);
    end(&r);
}

static void consume_all(struct owner *o)
{
    const uint8_t *p;

    stream_consume(o->stream, stream_peek(o->stream, &p));
}

static void what_is_consumed_at_once_needs_no_memory(void **state)
{
    struct rig r;
    size_t calls;

    begin(&r, state);
    r.owner.on_readable = consume_all;
    calls = mem_calls();
    for (unsigned i = 1; i <= 10; i++) {
        far_says(&r, "a frame that nobody has to keep");
        TURN_UNTIL(&r.loop, r.owner.readable == i);
        assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("nor its answer")), 14);
    }
    assert_int_equal(mem_calls(), calls);
    end(&r);
}

static void an_end_is_seen_behind_what_was_sent(void **state)
{
    struct rig r;

    begin(&r, state);
    far_says(&r, "last");
    shutdown(r.far, SHUT_WR);
    TURN_UNTIL(&r.loop, r.owner.stream->input == STREAM_EOF);
    expect_there(&r, "last");
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("still there?")), 12);     /* half closed: the other way is open */
    assert_int_equal(r.owner.stream->output_error, 0);
    stream_consume(r.owner.stream, 4);
    loop_settle(&r.loop);
    expect_there(&r, "");
    assert_int_equal(r.owner.stream->input, STREAM_EOF);
    end(&r);
}

static void a_reset_is_seen_behind_what_was_sent(void **state)
{
    struct rig r;

    begin(&r, state);
    far_says(&r, "why I go");
    far_resets(&r);
    TURN_UNTIL(&r.loop, r.owner.stream->input == STREAM_FAILED);
    expect_there(&r, "why I go");
    assert_int_equal(r.owner.stream->input_error, -ECONNRESET);
    assert_true(r.owner.stream->output_error < 0);
    assert_true(stream_send(r.owner.stream, SPAN_LITERAL("x")) < 0);
    assert_true(stream_put(r.owner.stream, SPAN_LITERAL("x")) < 0);
    assert_true(stream_finish(r.owner.stream) < 0);
    assert_true(stream_flushed(r.owner.stream));
    assert_true(r.owner.writable > 0);
    stream_consume(r.owner.stream, 8);
    loop_settle(&r.loop);
    expect_there(&r, "");
    end(&r);
}

static void a_reset_is_seen_by_one_who_only_writes(void **state)
{
    struct rig r;

    begin(&r, state);
    far_resets(&r);
    TURN_UNTIL(&r.loop, r.owner.stream->output_error != 0 && r.owner.stream->input == STREAM_FAILED);
    assert_true(r.owner.writable > 0 && r.owner.readable > 0);
    end(&r);
}

static size_t drain_and_check(struct rig *r, size_t from)
{
    const uint8_t *p;
    size_t n = stream_peek(r->owner.stream, &p);

    for (size_t i = 0; i < n; i++)
        if (p[i] != pattern(from + i))
            fail_msg("byte %zu is not the one that was sent", from + i);
    stream_consume(r->owner.stream, n);
    return n;
}

static void a_full_input_stops_reading(void **state)
{
    struct rig r;
    size_t sent = 0, got = 0, more;

    begin(&r, state);
    do {
        more = far_fills(&r, sent, BIG);
        sent += more;
        loop_settle(&r.loop);
    } while (more > 0 && sent < 64 * (size_t)BIG);
    assert_true(sent < 64 * (size_t)BIG);                /* the sender was stopped */
    assert_true(there(&r) >= STREAM_UV_INPUT_BYTES);
    assert_true(there(&r) <= STREAM_UV_INPUT_BYTES + STREAM_UV_SCRATCH_BYTES);
    assert_true(mem_live_bytes() - r.bytes_before <= STREAM_UV_INPUT_BYTES + STREAM_UV_SCRATCH_BYTES + 4096);
    shutdown(r.far, SHUT_WR);
    while (got < sent) {
        unsigned before = r.owner.readable;
        got += drain_and_check(&r, got);
        if (got < sent)
            TURN_UNTIL(&r.loop, r.owner.readable > before);
    }
    TURN_UNTIL(&r.loop, r.owner.stream->input == STREAM_EOF);
    assert_int_equal(got, sent);
    assert_int_equal(mem_live_bytes(), r.bytes_before);
    end(&r);
}

/* A stream whose owner does not read notices all the same that its peer is gone, and still shows everything that came before. */
static void a_reset_while_the_input_is_full(void **state)
{
    struct rig r;
    size_t sent, got = 0;

    begin(&r, state);
    sent = far_fills(&r, 0, 100000);
    assert_int_equal(sent, 100000);
    TURN_UNTIL(&r.loop, there(&r) >= STREAM_UV_INPUT_BYTES);
    far_resets(&r);
    TURN_UNTIL(&r.loop, r.owner.stream->output_error != 0 || r.owner.writable > 0);
    while (r.owner.stream->input == STREAM_OPEN || there(&r) > 0) {
        size_t n = drain_and_check(&r, got);
        got += n;
        if (n == 0)
            TURN_UNTIL(&r.loop, there(&r) > 0 || r.owner.stream->input != STREAM_OPEN);
    }
    assert_int_equal(r.owner.stream->input, STREAM_FAILED);
    assert_int_equal(got, sent);
    end(&r);
}

static void an_end_while_the_input_is_full(void **state)
{
    struct rig r;
    size_t sent, got = 0;

    begin(&r, state);
    sent = far_fills(&r, 0, 100000);
    shutdown(r.far, SHUT_WR);
    TURN_UNTIL(&r.loop, there(&r) >= STREAM_UV_INPUT_BYTES);
    loop_settle(&r.loop);
    while (r.owner.stream->input == STREAM_OPEN) {
        got += drain_and_check(&r, got);
        TURN_UNTIL(&r.loop, there(&r) > 0 || r.owner.stream->input != STREAM_OPEN);
    }
    got += drain_and_check(&r, got);
    assert_int_equal(got, sent);
    assert_int_equal(r.owner.stream->input, STREAM_EOF);
    end(&r);
}

/* ---- owners ---- */

static void a_new_owner_hears_of_what_is_there_already(void **state)
{
    struct rig r;
    struct owner second = { .stream = NULL };

    begin(&r, state);
    far_says(&r, "early bytes");
    TURN_UNTIL(&r.loop, r.owner.readable == 1);
    second.stream = stream_take(&r.owner.stream);
    assert_null(r.owner.stream);
    far_says(&r, ", late bytes");
    loop_settle(&r.loop);                          /* nobody owns it: nobody hears */
    assert_int_equal(r.owner.readable, 1);
    stream_own(second.stream, &events, &second);
    assert_int_equal(second.readable, 0);        /* not from inside the call */
    TURN_UNTIL(&r.loop, second.readable > 0);
    assert_int_equal(r.owner.readable, 1);
    r.owner.stream = second.stream;
    expect_there(&r, "early bytes, late bytes");
    end(&r);
}

static void hand_over(struct owner *o)
{
    stream_consume(o->stream, o->want);
    o->next->stream = stream_take(&o->stream);
    stream_own(o->next->stream, &events, o->next);
}

/* As at the switch to a tunnel: the head is consumed, what follows it belongs to the next owner. */
static void handed_over_from_inside_readable(void **state)
{
    struct rig r;
    struct owner second = { .stream = NULL };

    begin(&r, state);
    r.owner.on_readable = hand_over;
    r.owner.want = 4;
    r.owner.next = &second;
    far_says(&r, "headframes");
    TURN_UNTIL(&r.loop, second.readable > 0);
    assert_int_equal(r.owner.readable, 1);
    r.owner.stream = second.stream;
    expect_there(&r, "frames");
    end(&r);
}

static void handed_over_with_nothing_there(void **state)
{
    struct rig r;
    struct owner second = { .stream = NULL };

    begin(&r, state);
    second.stream = stream_take(&r.owner.stream);
    stream_own(second.stream, &events, &second);
    loop_settle(&r.loop);
    assert_int_equal(second.readable, 0);
    far_says(&r, "x");
    TURN_UNTIL(&r.loop, second.readable == 1);
    r.owner.stream = second.stream;
    end(&r);
}

static void an_end_is_told_to_a_new_owner(void **state)
{
    struct rig r;
    struct owner second = { .stream = NULL };

    begin(&r, state);
    shutdown(r.far, SHUT_WR);
    TURN_UNTIL(&r.loop, r.owner.stream->input == STREAM_EOF);
    second.stream = stream_take(&r.owner.stream);
    stream_own(second.stream, &events, &second);
    TURN_UNTIL(&r.loop, second.readable > 0);
    r.owner.stream = second.stream;
    end(&r);
}

/* ---- writing ---- */

/* Each write is a packet of its own here, so that writes can be counted. */
static void begin_counting(struct rig *r)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    begin_with(r, fds);
}

static void what_is_put_in_one_turn_goes_out_as_one_write(void **state)
{
    struct rig r;
    uint8_t got[64];

    (void)state;
    begin_counting(&r);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("head, ")), 0);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("")), 0);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("chunk size, ")), 0);
    assert_false(stream_flushed(r.owner.stream));
    assert_int_equal(far_reads(&r, got, sizeof(got)), 0);
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("chunk")), 5);
    assert_true(stream_flushed(r.owner.stream));
    assert_int_equal(far_reads(&r, got, sizeof(got)), 23);
    assert_memory_equal(got, "head, chunk size, chunk", 23);
    loop_settle(&r.loop);
    assert_int_equal(far_reads(&r, got, sizeof(got)), 0);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("one ")), 0);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("two")), 0);
    TURN_UNTIL(&r.loop, stream_flushed(r.owner.stream));
    assert_true(r.owner.writable > 0);   /* everything put is out */
    assert_int_equal(far_reads(&r, got, sizeof(got)), 7);
    assert_memory_equal(got, "one two", 7);
    assert_int_equal(r.owner.stream->bytes_out, 30);
    assert_int_equal(mem_live_bytes(), r.bytes_before);
    end(&r);
}

static void finishing_sends_what_was_put_first(void **state)
{
    struct rig r;
    uint8_t got[64];

    begin(&r, state);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("Close")), 0);
    assert_int_equal(stream_finish(r.owner.stream), 0);
    assert_true(stream_flushed(r.owner.stream));
    loop_settle(&r.loop);
    assert_int_equal(far_reads(&r, got, sizeof(got)), 5);
    assert_int_equal(recv(r.far, got, sizeof(got), 0), 0);
    far_says(&r, "and the other way is open");
    TURN_UNTIL(&r.loop, there(&r) == 25);
    end(&r);
}

static size_t send_pattern(struct rig *r, size_t from, size_t most)
{
    static uint8_t piece[100000];
    size_t done = 0;

    while (done < most) {
        size_t n = most - done < sizeof(piece) ? most - done : sizeof(piece);
        ssize_t taken;
        for (size_t i = 0; i < n; i++)
            piece[i] = pattern(from + done + i);
        taken = stream_send(r->owner.stream, span_of(piece, n));
        assert_true(taken >= 0);
        if (taken == 0)
            break;
        done += (size_t)taken;
    }
    return done;
}

static size_t far_checks_most(struct rig *r, size_t from, size_t most)
{
    static uint8_t piece[65536];
    size_t n = far_reads(r, piece, most < sizeof(piece) ? most : sizeof(piece));

    for (size_t i = 0; i < n; i++)
        if (piece[i] != pattern(from + i))
            fail_msg("byte %zu is not the one that was sent", from + i);
    return n;
}

static size_t far_checks(struct rig *r, size_t from)
{
    return far_checks_most(r, from, SIZE_MAX);
}

static void a_peer_that_does_not_read_blocks_and_is_waited_for(void **state)
{
    struct rig r;
    size_t sent, got = 0, more;

    begin(&r, state);
    sent = send_pattern(&r, 0, 64 * (size_t)BIG);
    assert_true(sent < 64 * (size_t)BIG);
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("x")), 0);
    loop_settle(&r.loop);
    assert_int_equal(r.owner.writable, 0);
    assert_int_equal(mem_live_bytes(), r.bytes_before);          /* nothing is kept that was not said to be taken */
    more = 0;
    while (more < BIG) {
        unsigned before = r.owner.writable;
        DO_UNTIL(&r.loop, r.owner.writable > before, got += far_checks(&r, got));
        more += send_pattern(&r, sent + more, BIG - more);
    }
    sent += more;
    assert_int_equal(stream_finish(r.owner.stream), 0);
    DO_UNTIL(&r.loop, got == sent, got += far_checks(&r, got));
    DO_UNTIL(&r.loop, recv(r.far, (uint8_t[1]){ 0 }, 1, 0) == 0, (void)0);
    end(&r);
}

static void put_while_blocked_keeps_the_order_and_the_end_comes_last(void **state)
{
    struct rig r;
    size_t sent, got = 0;
    uint8_t text[8] = { 0 };

    begin(&r, state);
    sent = send_pattern(&r, 0, 64 * (size_t)BIG);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("Clo")), 0);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("se")), 0);
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("not before")), 0);
    loop_settle(&r.loop);
    assert_false(stream_flushed(r.owner.stream));
    assert_int_equal(stream_finish(r.owner.stream), 0);
    loop_settle(&r.loop);
    assert_false(stream_flushed(r.owner.stream));
    DO_UNTIL(&r.loop, got == sent, got += far_checks_most(&r, got, sent - got));     /* and not a byte of what was put */
    TURN_UNTIL(&r.loop, stream_flushed(r.owner.stream));
    DO_UNTIL(&r.loop, recv(r.far, text, 5, MSG_PEEK) == 5, (void)0);
    assert_int_equal(far_reads(&r, text, sizeof(text)), 5);
    assert_string_equal((char *)text, "Close");
    DO_UNTIL(&r.loop, recv(r.far, text, 1, 0) == 0, (void)0);
    assert_int_equal(mem_live_bytes(), r.bytes_before);
    end(&r);
}

static void a_peer_that_goes_while_it_blocks_is_told(void **state)
{
    struct rig r;

    begin(&r, state);
    send_pattern(&r, 0, 64 * (size_t)BIG);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("never read")), 0);
    assert_int_equal(stream_finish(r.owner.stream), 0);
    far_resets(&r);
    TURN_UNTIL(&r.loop, r.owner.stream->output_error != 0);
    assert_true(r.owner.writable > 0);
    assert_true(stream_flushed(r.owner.stream));
    assert_int_equal(mem_live_bytes(), r.bytes_before);
    end(&r);
}

/* ---- closing ---- */

static void a_reset_of_ours_is_seen_as_one(void **state)
{
    struct rig r;
    uint8_t got[8];

    (void)state;
    begin(&r, &(void *){ NULL });
    stream_reset(&r.owner.stream);
    assert_null(r.owner.stream);
    loop_settle(&r.loop);
    assert_true(recv(r.far, got, sizeof(got), 0) < 0);
    assert_int_equal(errno, ECONNRESET);
    end(&r);
}

static void close_it(struct owner *o)
{
    stream_close(&o->stream);
}

static void closed_from_inside_an_event_nothing_more_is_heard(void **state)
{
    struct rig r;

    begin(&r, state);
    r.owner.on_readable = close_it;
    far_says(&r, "x");
    TURN_UNTIL(&r.loop, r.owner.stream == NULL);
    loop_settle(&r.loop);
    assert_int_equal(r.owner.readable, 1);
    end(&r);

    begin(&r, state);
    r.owner.on_writable = close_it;
    far_says(&r, "x");                   /* both events are due in the same turn */
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("y")), 0);
    TURN_UNTIL(&r.loop, r.owner.stream == NULL);
    loop_settle(&r.loop);
    assert_int_equal(r.owner.writable, 1);
    end(&r);

    begin(&r, state);
    r.owner.on_readable = close_it;
    r.owner.on_writable = close_it;
    far_resets(&r);
    TURN_UNTIL(&r.loop, r.owner.stream == NULL);
    loop_settle(&r.loop);
    assert_int_equal(r.owner.readable + r.owner.writable, 1);
    end(&r);
}

static void closed_with_everything_pending(void **state)
{
    struct rig r;

    begin(&r, state);
    far_says(&r, "unread");
    TURN_UNTIL(&r.loop, r.owner.readable == 1);
    send_pattern(&r, 0, 64 * (size_t)BIG);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("unsent")), 0);
    stream_own(r.owner.stream, &events, &r.owner);
    end(&r);
}

/* ---- no memory ---- */

static void no_memory_for_what_the_owner_leaves(void **state)
{
    struct rig r;

    begin(&r, state);
    far_says(&r, "left there");
    mem_fail_nth(1);
    TURN_UNTIL(&r.loop, r.owner.stream->input != STREAM_OPEN);
    mem_fail_nth(0);
    assert_int_equal(r.owner.stream->input, STREAM_FAILED);
    assert_int_equal(r.owner.stream->input_error, -ENOMEM);
    TURN_UNTIL(&r.loop, r.owner.readable == 2);               /* the failure is told */
    end(&r);
}

static void no_memory_to_read_more_behind_what_is_there(void **state)
{
    struct rig r;

    begin(&r, state);
    far_says(&r, "kept");
    TURN_UNTIL(&r.loop, r.owner.readable == 1);
    far_says(&r, "more");
    mem_fail_nth(1);
    TURN_UNTIL(&r.loop, r.owner.stream->input == STREAM_FAILED);
    mem_fail_nth(0);
    assert_int_equal(r.owner.stream->input_error, -ENOMEM);
    TURN_UNTIL(&r.loop, r.owner.readable == 2);
    expect_there(&r, "kept");
    end(&r);
}

static void no_memory_for_what_is_put(void **state)
{
    struct rig r;

    begin(&r, state);
    mem_fail_nth(1);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("a head")), -ENOMEM);
    mem_fail_nth(0);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("a head")), -ENOMEM);
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("a body")), -ENOMEM);
    assert_true(stream_flushed(r.owner.stream));
    end(&r);
}

static void no_memory_for_a_stream(void **state)
{
    struct rig r;
    int fds[2], error = 0;

    begin(&r, state);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    mem_fail_nth(1);
    assert_null(stream_uv_new(&r.streams, fds[0], &error));
    mem_fail_nth(0);
    assert_int_equal(error, -ENOMEM);
    assert_true(fcntl(fds[0], F_GETFD) < 0);             /* it was closed */
    close(fds[1]);
    end(&r);
}

/* ---- bad weather ---- */

#ifdef UPGATE_WEATHER_ENABLED
static void echo_some(struct owner *o)
{
    const uint8_t *p;
    size_t n = stream_peek(o->stream, &p);
    ssize_t taken = n > 0 ? stream_send(o->stream, span_of(p, n)) : 0;

    assert_true(taken >= 0);
    stream_consume(o->stream, (size_t)taken);
    if (o->stream->input == STREAM_EOF && (size_t)taken == n && o->next == NULL) {
        o->next = o;                     /* once */
        assert_int_equal(stream_put(o->stream, SPAN_LITERAL("end")), 0);
        assert_int_equal(stream_finish(o->stream), 0);
    }
}

static void storms_lose_nothing(void **state)
{
    static const char *const storms[] = { "read<=1,send<=1,block=30%,seed=1", "read<=1", "send<=1", "block=90%,seed=3",
                                          "read<=7,send<=3,block=50%,seed=4" };
    struct rig r;

    for (size_t i = 0; i < sizeof(storms) / sizeof(storms[0]); i++) {
        size_t sent, got = 0;
        uint8_t last[4] = { 0 };
        begin(&r, state);
        assert_int_equal(weather_set(storms[i]), 0);
        r.owner.on_readable = echo_some;
        r.owner.on_writable = echo_some;
        sent = far_fills(&r, 0, 3000);
        shutdown(r.far, SHUT_WR);
        DO_UNTIL(&r.loop, got == sent, got += far_checks_most(&r, got, sent - got));
        DO_UNTIL(&r.loop, recv(r.far, last, 3, MSG_PEEK) == 3, (void)0);
        assert_int_equal(far_reads(&r, last, 3), 3);
        assert_string_equal((char *)last, "end");
        DO_UNTIL(&r.loop, recv(r.far, last, 1, 0) == 0, (void)0);
        assert_int_equal(weather_set(NULL), 0);
        assert_int_equal(mem_live_bytes(), r.bytes_before);
        end(&r);
    }
}

static void the_weather_is_understood_or_refused(void **state)
{
    static const char *const bad[] = { "rain", "read<=", "block=30", "block=100%", "read<=1;send<=1", "read<=1,snow" };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(weather_set(bad[i]), -1);
    assert_int_equal(weather_set(""), 0);
    assert_int_equal(weather_set("read<=5"), 0);
    for (int i = 0; i < 50; i++) {
        size_t n = weather_read(100);
        assert_true(n >= 1 && n <= 5);
        assert_int_equal(weather_send(100), 100);
    }
    assert_int_equal(weather_set(NULL), 0);
    assert_int_equal(weather_read(100), 100);
}
#endif

#define UNIX_PAIR ((void *)1)
#define BOTH(test) cmocka_unit_test(test), { #test " (unix)", test, NULL, NULL, UNIX_PAIR }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(what_comes_stays_until_it_is_consumed),
        BOTH(what_is_consumed_at_once_needs_no_memory),
        BOTH(an_end_is_seen_behind_what_was_sent),
        cmocka_unit_test(a_reset_is_seen_behind_what_was_sent),
        cmocka_unit_test(a_reset_is_seen_by_one_who_only_writes),
        BOTH(a_full_input_stops_reading),
        cmocka_unit_test(a_reset_while_the_input_is_full),
        BOTH(an_end_while_the_input_is_full),
        BOTH(a_new_owner_hears_of_what_is_there_already),
        BOTH(handed_over_from_inside_readable),
        BOTH(handed_over_with_nothing_there),
        BOTH(an_end_is_told_to_a_new_owner),
        cmocka_unit_test(what_is_put_in_one_turn_goes_out_as_one_write),
        BOTH(finishing_sends_what_was_put_first),
        BOTH(a_peer_that_does_not_read_blocks_and_is_waited_for),
        BOTH(put_while_blocked_keeps_the_order_and_the_end_comes_last),
        cmocka_unit_test(a_peer_that_goes_while_it_blocks_is_told),
        cmocka_unit_test(a_reset_of_ours_is_seen_as_one),
        cmocka_unit_test(closed_from_inside_an_event_nothing_more_is_heard),
        BOTH(closed_with_everything_pending),
        BOTH(no_memory_for_what_the_owner_leaves),
        BOTH(no_memory_to_read_more_behind_what_is_there),
        BOTH(no_memory_for_what_is_put),
        cmocka_unit_test(no_memory_for_a_stream),
#ifdef UPGATE_WEATHER_ENABLED
        BOTH(storms_lose_nothing),
        cmocka_unit_test(the_weather_is_understood_or_refused),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
