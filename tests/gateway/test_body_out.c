/* A body on its way out: every framing, however little the peer takes at a time; what arrives parses back to the same body. */
#include "tests/gateway/scripted.h"

#include "gateway/body_out.h"

struct way {
    struct ready_queue ready;
    struct peer peer;
    struct stream *stream;
    struct body_out out;
    struct arena arena;
};

static void begin_as(struct way *w, enum http1_body framing, size_t grain, bool gathers)
{
    ready_queue_init(&w->ready);
    peer_init(&w->peer);
    w->peer.grain = grain;
    w->stream = scripted_new(&w->ready, &w->peer);
    body_out_init(&w->out, framing, gathers);
    arena_init(&w->arena, 65536);
}

static void begin(struct way *w, enum http1_body framing, size_t grain)
{
    begin_as(w, framing, grain, false);
}

static void end(struct way *w)
{
    stream_close(&w->stream);
    while (!ready_queue_empty(&w->ready))
        ready_queue_run(&w->ready);
    peer_free(&w->peer);
    arena_free(&w->arena);
}

static void hear_nothing(void *ctx)
{
    (void)ctx;
}

static const struct stream_events nobody = { .readable = hear_nothing, .writable = hear_nothing };

/* A body with small chunks and large ones, which are sent in different ways. */
static const char *long_text(void)
{
    static char text[12001];

    for (size_t i = 0; i + 1 < sizeof(text); i++)
        text[i] = (char)('a' + i * 7 % 26);
    return text;
}

/* The text in pieces of n, each piece until all of it is taken. */
static void send_in_pieces(struct way *w, const char *text, size_t n)
{
    size_t at = 0, total = strlen(text);
    int rounds = 0;

    stream_own(w->stream, &nobody, NULL);
    while (at < total) {
        size_t part = total - at < n ? total - at : n;
        ssize_t taken = body_out_send(&w->out, w->stream, span_of(text + at, part));
        assert_true(taken >= 0 && (size_t)taken <= part);
        at += (size_t)taken;
        ready_queue_run(&w->ready);
        assert_true(++rounds < 10000);
    }
    assert_int_equal(w->out.bytes, total);
}

static void flush(struct way *w)
{
    for (int i = 0; i < 10000 && !stream_flushed(w->stream); i++)
        ready_queue_run(&w->ready);
    assert_true(stream_flushed(w->stream));
}

static void unchunked_it_is_the_bytes(void **state)
{
    struct way w;

    (void)state;
    for (size_t grain = 1; grain < 8; grain++) {
        begin(&w, grain % 2 == 0 ? HTTP1_BODY_LENGTH : HTTP1_BODY_CLOSE, grain);
        send_in_pieces(&w, "hello, world", 5);
        assert_int_equal(body_out_end(&w.out, w.stream, &w.arena, NULL), 0);
        flush(&w);
        assert_string_equal(bytes_text(&w.peer.got), "hello, world");
        end(&w);
    }
}

static void no_body_has_no_end(void **state)
{
    struct way w;

    (void)state;
    begin(&w, HTTP1_BODY_NONE, SIZE_MAX);
    assert_int_equal(body_out_end(&w.out, w.stream, &w.arena, NULL), 0);
    flush(&w);
    assert_int_equal(w.peer.got.n, 0);
    end(&w);
}

static void read_chunks(const struct way *w, struct bytes *body, const char *trailer)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    struct http1_limits limits = { .head_bytes = 4096, .fields = 20, .chunk_extension_bytes = 0 };
    struct http1_parse *parse = http1_parse_new(HTTP1_RESPONSE, &limits);
    struct http1_result r;
    size_t at = 0;

    http1_parse_next(parse, (const uint8_t *)head, sizeof(head) - 1, &r);
    assert_int_equal(r.event, HTTP1_HEAD);
    for (;;) {
        at += http1_parse_next(parse, w->peer.got.p + at, w->peer.got.n - at, &r);
        if (r.event != HTTP1_BODY)
            break;
        bytes_add(body, r.data.p, r.data.n);
        http1_parse_took(parse, r.data.n);
        at += r.data.n;
    }
    assert_int_equal(r.event, HTTP1_END);
    assert_int_equal(at, w->peer.got.n);
    assert_int_equal(r.trailers->n, trailer != NULL ? 1 : 0);
    if (trailer != NULL)
        assert_true(span_equal(r.trailers->fields[0].value, span_of_text(trailer)));
    http1_parse_free(parse);
}

static void chunked_for_every_piece_and_every_grain(void **state)
{
    static const char text[] = "a body of some length, sent in pieces of which a slow peer takes a part, and then another part";
    struct way w;

    (void)state;
    for (size_t piece = 1; piece < sizeof(text); piece += piece < 10 ? 1 : 17) {
        for (size_t grain = 1; grain < 30; grain += grain < 8 ? 1 : 6) {
            struct bytes body = { NULL, 0, 0 };
            struct headers trailers;
            begin_as(&w, HTTP1_BODY_CHUNKED, grain, piece % 3 == 0);
            send_in_pieces(&w, text, piece);
            headers_init(&trailers, &w.arena, 4);
            assert_int_equal(headers_add(&trailers, SPAN_LITERAL("Checksum"), SPAN_LITERAL("abc")), FAULT_NONE);
            assert_int_equal(body_out_end(&w.out, w.stream, &w.arena, piece % 2 == 0 ? &trailers : NULL), 0);
            flush(&w);
            read_chunks(&w, &body, piece % 2 == 0 ? "abc" : NULL);
            assert_string_equal(bytes_text(&body), text);
            bytes_free(&body);
            end(&w);
        }
    }
}

static void large_chunks_for_every_grain(void **state)
{
    static const size_t pieces[] = { 4095, 4096, 4097, 5000, 12000 };
    struct way w;

    (void)state;
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        for (size_t grain = 7; grain < 20000; grain = 3 * grain + 1) {
            struct bytes body = { NULL, 0, 0 };
            begin_as(&w, HTTP1_BODY_CHUNKED, grain, true);
            send_in_pieces(&w, long_text(), pieces[i]);
            assert_int_equal(body_out_end(&w.out, w.stream, &w.arena, NULL), 0);
            flush(&w);
            read_chunks(&w, &body, NULL);
            assert_string_equal(bytes_text(&body), long_text());
            bytes_free(&body);
            end(&w);
        }
    }
}

/* What was announced is a promise: it is filled from what comes next, also when that is more or less than before. */
static void an_announced_chunk_is_filled_by_what_follows(void **state)
{
    struct way w;

    (void)state;
    begin(&w, HTTP1_BODY_CHUNKED, SIZE_MAX);
    w.peer.room = 4;                     /* "6 CR LF a" */
    stream_own(w.stream, &nobody, NULL);
    assert_int_equal(body_out_send(&w.out, w.stream, SPAN_LITERAL("abcdef")), 1);
    assert_int_equal(w.out.chunk_left, 5);
    assert_int_equal(body_out_send(&w.out, w.stream, SPAN_LITERAL("bcdefghij")), 0);
    peer_reads_on(&w.peer);
    ready_queue_run(&w.ready);
    assert_int_equal(body_out_send(&w.out, w.stream, SPAN_LITERAL("bc")), 2);
    assert_int_equal(body_out_send(&w.out, w.stream, SPAN_LITERAL("defghij")), 3);       /* not a byte beyond the chunk */
    assert_int_equal(body_out_send(&w.out, w.stream, SPAN_LITERAL("ghij")), 4);
    assert_int_equal(body_out_end(&w.out, w.stream, &w.arena, NULL), 0);
    flush(&w);
    assert_string_equal(bytes_text(&w.peer.got), "6\r\nabcdef\r\n4\r\nghij\r\n0\r\n\r\n");
    end(&w);
}

/* A head, a small body of unknown length and its end. */
static void what_is_there_at_once_goes_out_at_once(void **state)
{
    struct way w;

    (void)state;
    begin_as(&w, HTTP1_BODY_CHUNKED, SIZE_MAX, true);
    stream_own(w.stream, &nobody, NULL);
    assert_int_equal(stream_put(w.stream, SPAN_LITERAL("head;")), 0);
    assert_int_equal(body_out_send(&w.out, w.stream, SPAN_LITERAL("hello")), 5);
    assert_int_equal(body_out_end(&w.out, w.stream, &w.arena, NULL), 0);
    assert_int_equal(w.peer.writes, 0);
    flush(&w);
    assert_int_equal(w.peer.writes, 1);
    assert_string_equal(bytes_text(&w.peer.got), "head;5\r\nhello\r\n0\r\n\r\n");
    end(&w);
}

/* Small chunks towards a peer that does not read: no more than 16 KiB of them. */
static void what_is_put_is_bounded(void **state)
{
    static const char text[4096];
    struct way w;
    ssize_t taken;
    size_t all = 0;

    (void)state;
    begin_as(&w, HTTP1_BODY_CHUNKED, SIZE_MAX, true);
    w.peer.room = 0;
    stream_own(w.stream, &nobody, NULL);
    while ((taken = body_out_send(&w.out, w.stream, span_of(text, 1000))) > 0) {
        all += (size_t)taken;
        assert_true(all <= 16384);
        ready_queue_run(&w.ready);
    }
    assert_int_equal(taken, 0);
    assert_true(all >= 15000);
    peer_reads_on(&w.peer);
    ready_queue_run(&w.ready);
    assert_int_equal(body_out_send(&w.out, w.stream, span_of(text, 1000)), 1000);        /* the chunk that was announced */
    assert_int_equal(w.out.put_n, 0);
    assert_int_equal(body_out_send(&w.out, w.stream, span_of(text, 1000)), 1000);
    assert_int_equal(w.out.put_n, 1000);
    end(&w);
}

static void errors_are_told(void **state)
{
    struct way w;

    (void)state;
    begin(&w, HTTP1_BODY_CHUNKED, SIZE_MAX);
    w.peer.fails_at = 2;
    stream_own(w.stream, &nobody, NULL);
    while (body_out_send(&w.out, w.stream, SPAN_LITERAL("x")) >= 0)
        ready_queue_run(&w.ready);
    assert_true(body_out_send(&w.out, w.stream, SPAN_LITERAL("x")) < 0);
    end(&w);
    begin(&w, HTTP1_BODY_CHUNKED, SIZE_MAX);
    mem_fail_nth(1);
    assert_int_equal(body_out_end(&w.out, w.stream, &w.arena, NULL), -ENOMEM);
    mem_fail_nth(0);
    end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unchunked_it_is_the_bytes),
        cmocka_unit_test(no_body_has_no_end),
        cmocka_unit_test(chunked_for_every_piece_and_every_grain),
        cmocka_unit_test(large_chunks_for_every_grain),
        cmocka_unit_test(an_announced_chunk_is_filled_by_what_follows),
        cmocka_unit_test(what_is_there_at_once_goes_out_at_once),
        cmocka_unit_test(what_is_put_is_bounded),
        cmocka_unit_test(errors_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
