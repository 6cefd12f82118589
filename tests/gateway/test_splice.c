/* Long frames from socket to socket: what arrives is what was sent, whoever stalls, ends or breaks the protocol, and wherever; nothing is
 * left in a pipe that is used again; and what cannot be spliced is copied. */
#include "tests/gateway/sockets.h"

#include "gateway/pump.h"
#include "gateway/weather.h"

#include <signal.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define LONG_BYTES ((size_t)400000)
#define LONG_FRAMES 16                  /* more than sockets and a pipe hold */

/* A client's side and a server's, with a pump between; both far ends are plain sockets. */
struct pair {
    struct rig rig;                      /* the sender: owner and far */
    struct owner to;
    int sink;
    struct ws_scan_rules rules;
    struct pump pump;
    enum pump_result result;
    uint8_t *sent, *got;
    size_t sent_n, given, got_n, room;
    bool hungry;                         /* what arrives is read */
};

static struct pair *current;

static void run_pump(struct owner *o)
{
    (void)o;
    do
        current->result = pump_run(&current->pump, current->rig.owner.stream, current->to.stream);
    while (current->result == PUMP_SPENT);
}

static void begin_pair(struct pair *p, enum ws_verify verify, void **state)
{
    int fds[2], error, small = 100000;

    *p = (struct pair){ .hungry = true, .room = 24 * LONG_BYTES, .rules = { .from_client = true, .verify = verify } };
    current = p;
    begin(&p->rig, state);
    if (*state != NULL)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    else
        tcp_pair(fds);
    set_nonblocking(fds[0]);
    set_nonblocking(fds[1]);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    setsockopt(fds[1], SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    p->sink = fds[1];
    p->to.stream = stream_uv_new(&p->rig.streams, fds[0], &error);
    assert_non_null(p->to.stream);
    stream_own(p->to.stream, &events, &p->to);
    p->sent = malloc(p->room);
    p->got = malloc(p->room);
    pump_init(&p->pump, &p->rules);
    p->rig.owner.on_readable = p->rig.owner.on_writable = p->to.on_readable = p->to.on_writable = run_pump;
    loop_settle(&p->rig.loop);
}

static void end_pair(struct pair *p)
{
    assert_true(p->rig.streams.pipes.open <= p->rig.streams.pipes.kept_n + 1);       /* one may be with a stream that is closed below */
    p->rig.owner.on_readable = p->rig.owner.on_writable = p->to.on_readable = p->to.on_writable = NULL;
    stream_close(&p->to.stream);
    loop_settle(&p->rig.loop);
    assert_int_equal(p->rig.streams.pipes.open, p->rig.streams.pipes.kept_n);
    for (struct pipe *kept = p->rig.streams.pipes.kept; kept != NULL; kept = kept->next)
        assert_int_equal(kept->n, 0);
    if (p->sink >= 0)
        close(p->sink);
    free(p->sent);
    free(p->got);
    end(&p->rig);
}

/* A masked frame of the client's; `first` is its first byte. */
static void add_frame(struct pair *p, uint8_t first, size_t n)
{
    uint8_t *out = p->sent + p->sent_n;
    size_t form = n < 126 ? 0 : 8, head = 2;

    assert_true(p->sent_n + n + 14 <= p->room);
    out[0] = first;
    out[1] = (uint8_t)(0x80 | (form == 0 ? n : n < 65536 ? 126 : 127));
    if (form > 0 && n < 65536)
        form = 2;
    for (size_t i = 0; i < form; i++)
        out[head++] = (uint8_t)(n >> (8 * (form - 1 - i)));
    memset(out + head, 0, 4);
    head += 4;
    for (size_t i = 0; i < n; i++)
        out[head + i] = (uint8_t)('a' + (p->sent_n + i * 7 + i / 251) % 26);
    p->sent_n += head + n;
}

/* Both far ends do what they can. */
static void far_ends(struct pair *p)
{
    ssize_t n = 0;

    if (p->rig.far >= 0 && p->given < p->sent_n)
        n = send(p->rig.far, p->sent + p->given, p->sent_n - p->given, MSG_NOSIGNAL | MSG_DONTWAIT);
    p->given += n > 0 ? (size_t)n : 0;
    if (!p->hungry || p->sink < 0)
        return;
    n = recv(p->sink, p->got + p->got_n, p->room - p->got_n, MSG_DONTWAIT);
    p->got_n += n > 0 ? (size_t)n : 0;
}

static void expect_all(struct pair *p)
{
    DO_UNTIL(&p->rig.loop, p->got_n == p->sent_n, far_ends(p));
    assert_memory_equal(p->got, p->sent, p->sent_n);
    loop_settle(&p->rig.loop);
    assert_int_equal(p->result, PUMP_STARVED);
    assert_int_equal(p->pump.moved, p->sent_n);
    assert_int_equal(pump_at_boundary(&p->pump), p->rules.verify != WS_VERIFY_BLIND);
    assert_false(pump_blocked(&p->pump, p->to.stream));
    assert_int_equal(p->rig.owner.stream->bytes_in, p->sent_n);
    assert_int_equal(p->to.stream->bytes_out, p->sent_n);
}

static void add_mixture(struct pair *p)
{
    static const size_t sizes[] = { 5, LONG_BYTES, 65536, 65535, 100, 40000, PUMP_SPLICE_BYTES, PUMP_SPLICE_BYTES - 1, 0, LONG_BYTES, 65536, 3 };

    for (size_t i = 0; i < COUNT(sizes); i++)
        add_frame(p, 0x82, sizes[i]);
    add_frame(p, 0x02, LONG_BYTES);      /* in two fragments, a Ping between them */
    add_frame(p, 0x89, 4);
    add_frame(p, 0x80, LONG_BYTES);
}

/* ---- what passes ---- */

static void what_arrives_is_what_was_sent(void **state)
{
    struct pair p;

    begin_pair(&p, WS_VERIFY_FRAMES, state);
    add_mixture(&p);
    expect_all(&p);
    assert_int_equal(p.pump.scan.counts.frames, 15);
    assert_int_equal(p.pump.scan.counts.messages, 13);
    assert_true(p.rig.streams.pipes.kept_n > 0);         /* it was spliced */
    assert_false(p.rig.streams.pipes.refused);
    end_pair(&p);
}

/* One at a time, so that each is looked at when it is all that there is. */
static void one_by_one(struct pair *p, uint8_t first, size_t n)
{
    add_frame(p, first, n);
    expect_all(p);
}

/* Behind a long frame little is looked at, which stays with the kernel: it is passed on once, be it long or short, whole or not. */
static void what_comes_behind_a_long_frame(void **state)
{
    static const size_t sizes[] = { 0, 1, 2, 9, 10, 11, 100, 125, 126, 1000, PUMP_SPLICE_BYTES - 1, PUMP_SPLICE_BYTES, 65535, 65536 };
    struct pair p;

    begin_pair(&p, WS_VERIFY_UTF8, state);
    for (size_t i = 0; i < COUNT(sizes); i++) {
        one_by_one(&p, 0x82, PUMP_SPLICE_BYTES);
        one_by_one(&p, 0x82, sizes[i]);
        one_by_one(&p, 0x82, PUMP_SPLICE_BYTES);
        one_by_one(&p, 0x81, sizes[i]);
        one_by_one(&p, 0x82, PUMP_SPLICE_BYTES);
        add_frame(&p, 0x82, 1);          /* two headers at a glance */
        one_by_one(&p, 0x82, sizes[i]);
    }
    end_pair(&p);
}

/* A header comes in two pieces, and its payload later. */
static void a_header_in_two_pieces(void **state)
{
    struct pair p;
    size_t whole;

    begin_pair(&p, WS_VERIFY_FRAMES, state);
    for (size_t cut = 1; cut <= 20; cut++) {
        one_by_one(&p, 0x82, 65536);
        add_frame(&p, 0x82, 65536);
        whole = p.sent_n;
        p.sent_n = p.given + cut;
        DO_UNTIL(&p.rig.loop, p.given == p.sent_n, far_ends(&p));
        loop_settle(&p.rig.loop);
        p.sent_n = whole;
        expect_all(&p);
    }
    end_pair(&p);
}

static void close_at_once(struct owner *o)
{
    stream_close(&o->stream);
}

/* A socket that is closed with something unread in it ends by a reset: what was glanced at is not unread. */
static void what_was_glanced_at_is_not_left_behind(void **state)
{
    struct pair p;
    uint8_t byte;

    begin_pair(&p, WS_VERIFY_FRAMES, state);
    one_by_one(&p, 0x82, LONG_BYTES);
    add_frame(&p, 0x82, 3);
    p.rig.owner.on_readable = close_at_once;
    DO_UNTIL(&p.rig.loop, p.rig.owner.stream == NULL, far_ends(&p));
    assert_int_equal(recv(p.rig.far, &byte, 1, MSG_DONTWAIT), 0);
    end_pair(&p);
}

/* A splice ends in front of it, and would never go on: all that follows is read. */
static void an_urgent_byte_stops_nothing(void **state)
{
    struct pair p;
    size_t whole;

    begin_pair(&p, WS_VERIFY_FRAMES, state);
    one_by_one(&p, 0x82, LONG_BYTES);
    for (int i = 0; i < 3; i++) {
        add_frame(&p, 0x82, LONG_BYTES);
        whole = p.sent_n;
        p.sent_n -= LONG_BYTES / 2;
        DO_UNTIL(&p.rig.loop, p.got_n == p.sent_n, far_ends(&p));
        assert_int_equal(send(p.rig.far, "!", 1, MSG_NOSIGNAL | MSG_OOB), 1);
        p.sent_n = whole;
        expect_all(&p);
    }
    end_pair(&p);
}

static void binary_messages_beside_checked_text(void **state)
{
    struct pair p;

    begin_pair(&p, WS_VERIFY_UTF8, state);
    add_frame(&p, 0x81, LONG_BYTES);
    expect_all(&p);
    assert_int_equal(p.rig.streams.pipes.kept_n, 0);     /* text is looked at */
    add_mixture(&p);
    add_frame(&p, 0x81, LONG_BYTES);
    add_frame(&p, 0x82, LONG_BYTES);
    expect_all(&p);
    assert_true(p.rig.streams.pipes.kept_n > 0);
    end_pair(&p);
}

static void blindly(void **state)
{
    struct pair p;

    begin_pair(&p, WS_VERIFY_BLIND, state);
    one_by_one(&p, 0x82, 1000);
    assert_int_equal(p.rig.streams.pipes.kept_n, 0);     /* little is read */
    add_mixture(&p);
    p.sent[p.sent_n++] = 0xff;           /* no frame at all */
    expect_all(&p);
    assert_true(p.rig.streams.pipes.kept_n > 0);
    for (int i = 0; i < 3; i++)
        one_by_one(&p, 0x82, 1000);
    assert_false(p.pump.spliced);        /* and is so again */
    add_frame(&p, 0x82, LONG_BYTES);
    expect_all(&p);
    shutdown(p.rig.far, SHUT_WR);
    TURN_UNTIL(&p.rig.loop, p.result == PUMP_EOF);
    end_pair(&p);
}

static void without_pipes_it_is_copied(void **state)
{
    struct pair p;

    begin_pair(&p, WS_VERIFY_FRAMES, state);
    p.rig.streams.pipes.refused = true;
    add_mixture(&p);
    expect_all(&p);
    p.rig.streams.pipes = (struct pipes){ .open = PIPES_MAX };       /* others have them all */
    add_mixture(&p);
    expect_all(&p);
    p.rig.streams.pipes.open = 0;
    end_pair(&p);
}

static void without_memory_it_is_copied(void **state)
{
    struct pair p;

    begin_pair(&p, WS_VERIFY_FRAMES, state);
    add_frame(&p, 0x82, LONG_BYTES);
    mem_fail_nth(1);
    expect_all(&p);
    mem_fail_nth(0);
    end_pair(&p);
}

/* ---- stalls ---- */

static void nobody_reads(struct pair *p)
{
    for (int i = 0; i < LONG_FRAMES; i++)
        add_frame(p, 0x82, LONG_BYTES);
    p->hungry = false;
    DO_UNTIL(&p->rig.loop, p->result == PUMP_BLOCKED && p->to.stream->blocked, far_ends(p));
}

/* What is put while a pipe waits goes behind what is in it. */
static void order_is_kept_behind_a_pipe(void **state)
{
    struct pair p;
    size_t n;

    begin_pair(&p, WS_VERIFY_FRAMES, state);
    nobody_reads(&p);
    assert_true(pump_blocked(&p.pump, p.to.stream));
    assert_false(stream_flushed(p.to.stream));
    n = p.pump.moved;
    assert_int_equal(stream_send(p.to.stream, SPAN_LITERAL("never")), 0);
    assert_int_equal(stream_put(p.to.stream, SPAN_LITERAL("in the middle")), 0);
    p.hungry = true;
    DO_UNTIL(&p.rig.loop, p.got_n == p.sent_n + 13, far_ends(&p));
    assert_memory_equal(p.got, p.sent, n);
    assert_memory_equal(p.got + n, "in the middle", 13);
    assert_memory_equal(p.got + n + 13, p.sent + n, p.sent_n - n);
    assert_false(pump_blocked(&p.pump, p.to.stream));
    end_pair(&p);
}

static void finished_behind_a_pipe(void **state)
{
    struct pair p;
    size_t moved;

    begin_pair(&p, WS_VERIFY_FRAMES, state);
    nobody_reads(&p);
    moved = p.pump.moved;
    p.rig.owner.on_readable = p.to.on_writable = NULL;
    assert_int_equal(stream_finish(p.to.stream), 0);
    p.hungry = true;
    DO_UNTIL(&p.rig.loop, p.got_n == moved && stream_flushed(p.to.stream), far_ends(&p));
    assert_memory_equal(p.got, p.sent, moved);
    loop_settle(&p.rig.loop);
    assert_int_equal(recv(p.sink, p.got, 1, MSG_DONTWAIT), 0);
    end_pair(&p);
}

/* The rest of a frame is thrown away when nobody is to get it any more: it is read again. */
static void thrown_away_in_the_middle(void **state)
{
    struct pair p;

    begin_pair(&p, WS_VERIFY_FRAMES, state);
    nobody_reads(&p);
    p.pump.discard = p.pump.hold_close = true;
    add_frame(&p, 0x88, 0);
    run_pump(NULL);
    DO_UNTIL(&p.rig.loop, p.result == PUMP_CLOSED, far_ends(&p));
    assert_int_equal(p.pump.scan.counts.frames, LONG_FRAMES + 1);
    end_pair(&p);
}

/* ---- ends ---- */

static void the_sender_goes_in_the_middle(void **state)
{
    for (unsigned reset = 0; reset < 2; reset++) {
        struct pair p;
        begin_pair(&p, WS_VERIFY_FRAMES, state);
        add_frame(&p, 0x82, 2 * LONG_BYTES);
        p.sent_n -= LONG_BYTES;
        DO_UNTIL(&p.rig.loop, p.got_n == p.sent_n, far_ends(&p));
        if (reset)
            far_resets(&p.rig);
        else
            shutdown(p.rig.far, SHUT_WR);
        TURN_UNTIL(&p.rig.loop, p.result == PUMP_CUT || p.result == PUMP_RESET);
        if (!reset)
            assert_int_equal(p.result, PUMP_CUT);
        assert_memory_equal(p.got, p.sent, p.sent_n);
        end_pair(&p);
    }
}

static void break_sink(struct pair *p)
{
    assert_int_equal(setsockopt(p->sink, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 }, sizeof(struct linger)), 0);
    close(p->sink);
    p->sink = -1;
}

static void the_receiver_goes_with_a_pipe_full(void **state)
{
    struct pair p;

    begin_pair(&p, WS_VERIFY_FRAMES, state);
    nobody_reads(&p);
    break_sink(&p);
    DO_UNTIL(&p.rig.loop, p.result == PUMP_DEAF, far_ends(&p));
    assert_true(stream_flushed(p.to.stream));            /* or never will be */
    end_pair(&p);
}

/* Splicing finds out that the receiver is gone: what went into the pipe is lost, and the scanner knows it. What the sender says on is
 * understood, to its Close. */
static void a_splice_finds_the_receiver_gone(void **state)
{
    static const size_t sizes[] = { PUMP_SPLICE_BYTES, 2 * LONG_BYTES };

    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct pair p;
        begin_pair(&p, WS_VERIFY_FRAMES, state);
        one_by_one(&p, 0x82, LONG_BYTES);
        add_frame(&p, 0x82, sizes[i]);
        p.to.on_writable = NULL;
        far_ends(&p);                    /* it is heard before the other's end is */
        break_sink(&p);
        TURN_UNTIL(&p.rig.loop, p.result == PUMP_DEAF);
        p.pump.discard = p.pump.hold_close = true;
        add_frame(&p, 0x82, 5);
        add_frame(&p, 0x88, 0);
        DO_UNTIL(&p.rig.loop, p.result == PUMP_CLOSED || p.result == PUMP_FAULT || p.result == PUMP_RESET, (run_pump(NULL), far_ends(&p)));
        assert_int_equal(p.result, PUMP_CLOSED);
        assert_int_equal(p.pump.scan.counts.frames, 4);
        end_pair(&p);
    }
}

static void a_stream_is_closed_with_a_pipe_full(void **state)
{
    struct pair p;

    begin_pair(&p, WS_VERIFY_FRAMES, state);
    nobody_reads(&p);
    end_pair(&p);
}

static void a_fault_behind_a_long_frame(void **state)
{
    struct pair p;
    size_t lawful;

    begin_pair(&p, WS_VERIFY_FRAMES, state);
    add_frame(&p, 0x82, LONG_BYTES);
    add_frame(&p, 0x82, 65536);
    lawful = p.sent_n;
    add_frame(&p, 0x83, LONG_BYTES);     /* no such opcode */
    DO_UNTIL(&p.rig.loop, p.result == PUMP_FAULT && p.got_n == lawful, far_ends(&p));
    assert_int_equal(p.pump.scan.fault, FAULT_WS_OPCODE);
    assert_memory_equal(p.got, p.sent, lawful);
    loop_settle(&p.rig.loop);
    far_ends(&p);
    assert_int_equal(p.got_n, lawful);
    assert_true(pump_at_boundary(&p.pump));
    end_pair(&p);
}

/* ---- weather ---- */

#ifdef UPGATE_WEATHER_ENABLED
static void in_weathers(enum ws_verify verify, void **state)
{
    static const char *const storms[] = { "read<=5000,seed=1", "send<=3000,seed=2", "block=50%,seed=3", "read<=40000,send<=20000,block=30%,seed=4" };

    for (size_t i = 0; i < COUNT(storms); i++) {
        struct pair p;
        begin_pair(&p, verify, state);
        assert_int_equal(weather_set(storms[i]), 0);
        add_mixture(&p);
        expect_all(&p);
        assert_int_equal(weather_set(NULL), 0);
        end_pair(&p);
    }
}

static void in_all_weathers(void **state)
{
    in_weathers(WS_VERIFY_FRAMES, state);
    in_weathers(WS_VERIFY_BLIND, state);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(what_arrives_is_what_was_sent),
        BOTH(what_comes_behind_a_long_frame),
        BOTH(a_header_in_two_pieces),
        BOTH(what_was_glanced_at_is_not_left_behind),
        cmocka_unit_test(an_urgent_byte_stops_nothing),
        BOTH(binary_messages_beside_checked_text),
        BOTH(blindly),
        BOTH(without_pipes_it_is_copied),
        BOTH(without_memory_it_is_copied),
        BOTH(order_is_kept_behind_a_pipe),
        BOTH(finished_behind_a_pipe),
        BOTH(thrown_away_in_the_middle),
        BOTH(the_sender_goes_in_the_middle),
        BOTH(the_receiver_goes_with_a_pipe_full),
        BOTH(a_splice_finds_the_receiver_gone),
        BOTH(a_stream_is_closed_with_a_pipe_full),
        BOTH(a_fault_behind_a_long_frame),
#ifdef UPGATE_WEATHER_ENABLED
        BOTH(in_all_weathers),
#endif
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
