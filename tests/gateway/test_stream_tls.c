/* The stream contract over TLS: what comes, how it ends, what is blocked, and that nothing is held that need not be. */
#include "tests/gateway/tls_rig.h"

#include "gateway/stream_tls_parts.h"

static struct certs certs;

static void begin(struct tls_rig *r)
{
    rig_begin(r, rig_usual(&certs, "", ""));
    rig_open(r);
}

static void it_speaks_both_ways(void **state)
{
    struct tls_rig r;

    (void)state;
    begin(&r);
    far_says(&r, SPAN_LITERAL("hello"));
    rig_run(&r);
    expect_bytes(&r.owner.got, "hello");
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("there")), 5);
    assert_int_equal(stream_put(r.owner.stream, SPAN_LITERAL("!")), 0);
    rig_run(&r);
    expect_bytes(&r.far_got, "there!");
    assert_int_equal(r.owner.stream->bytes_in, 5);
    assert_int_equal(r.owner.stream->bytes_out, 6);
    assert_string_equal(stream_tls_facts(r.owner.stream)->version, "TLSv1.3");
    assert_string_equal(stream_tls_facts(r.owner.stream)->cipher, "TLS_AES_128_GCM_SHA256");
    assert_string_equal(stream_tls_facts(r.owner.stream)->alpn, "http/1.1");
    assert_string_equal(stream_tls_facts(r.owner.stream)->sni, "site.example");
    assert_null(stream_tls_facts(r.owner.stream)->peer);
    rig_end(&r);
}

/* ---- reading ---- */

static void every_cut_of_the_ciphertext_reads_the_same(void **state)
{
    struct tls_rig r;

    (void)state;
    begin(&r);
    r.peer.piece = 1;
    far_says(&r, SPAN_LITERAL("one"));
    far_says(&r, SPAN_LITERAL("two"));
    rig_run(&r);
    expect_bytes(&r.owner.got, "onetwo");
    assert_true(r.owner.readable >= 2);
    assert_true(r.owner.readable <= 4);                  /* part of a record is no news */
    rig_end(&r);
}

static void several_records_are_one_piece(void **state)
{
    struct tls_rig r;
    unsigned before;

    (void)state;
    begin(&r);
    before = r.owner.readable;
    for (int i = 0; i < 20; i++)
        far_says(&r, SPAN_LITERAL("0123456789"));
    rig_run(&r);
    assert_int_equal(r.owner.readable, before + 1);
    assert_int_equal(r.owner.got.n, 200);
    rig_end(&r);
}

static void what_comes_stays_until_it_is_consumed(void **state)
{
    struct tls_rig r;
    const uint8_t *p;

    (void)state;
    begin(&r);
    r.owner.keeps = true;
    far_says(&r, SPAN_LITERAL("hello, "));
    rig_run(&r);
    assert_int_equal(stream_peek(r.owner.stream, &p), 7);
    stream_consume(r.owner.stream, 2);
    far_says(&r, SPAN_LITERAL("world"));
    rig_run(&r);
    assert_int_equal(stream_peek(r.owner.stream, &p), 10);
    assert_memory_equal(p, "llo, world", 10);
    stream_consume(r.owner.stream, 10);
    assert_int_equal(stream_peek(r.owner.stream, &p), 0);
    rig_end(&r);
}

static void far_says_many(struct tls_rig *r, size_t n)
{
    uint8_t bytes[1000];

    for (size_t at = 0; at < n; at += sizeof(bytes)) {
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)((at + i) * 7 >> 3);
        far_says(r, span_of(bytes, sizeof(bytes)));
    }
}

static void expect_many(const struct bytes *b, size_t n)
{
    assert_int_equal(b->n, n);
    for (size_t i = 0; i < n; i++)
        if (b->p[i] != (uint8_t)(i * 7 >> 3))
            fail_msg("byte %zu is not the one that was sent", i);
}

/* The poller knows nothing of decrypted bytes: the stream has to go on by itself once there is room. */
static void a_full_input_stops_and_goes_on_by_itself(void **state)
{
    struct tls_rig r;
    const uint8_t *p;
    size_t n, held;

    (void)state;
    begin(&r);
    r.owner.keeps = true;
    far_says_many(&r, 300000);
    rig_run(&r);
    held = stream_peek(r.owner.stream, &p);
    assert_true(held >= STREAM_TLS_INPUT_BYTES);
    assert_true(held <= STREAM_TLS_INPUT_BYTES + TLS_PLAIN_BYTES);
    assert_true(r.peer.arrived - r.peer.consumed <= 2 * SCRIPTED_WINDOW + 300000);
    while ((n = stream_peek(r.owner.stream, &p)) > 0) {
        size_t step = n < 777 ? n : 777;
        bytes_add(&r.owner.got, p, step);
        stream_consume(r.owner.stream, step);
        rig_run(&r);
    }
    expect_many(&r.owner.got, 300000);
    rig_end(&r);
}

static void a_new_owner_is_told(void **state)
{
    struct tls_rig r;
    struct stream *s;
    unsigned before;

    (void)state;
    begin(&r);
    r.owner.keeps = true;
    far_says(&r, SPAN_LITERAL("early"));
    rig_run(&r);
    s = stream_take(&r.owner.stream);
    before = r.owner.readable;
    rig_run(&r);
    r.owner.stream = s;
    stream_own(s, &owner_events, &r.owner);
    assert_int_equal(r.owner.readable, before);          /* not from inside the call */
    rig_run(&r);
    assert_int_equal(r.owner.readable, before + 1);
    rig_end(&r);
}

static void it_holds_nothing_at_rest(void **state)
{
    struct tls_rig r;
    size_t calls;

    (void)state;
    begin(&r);
    far_says(&r, SPAN_LITERAL("warm"));
    rig_run(&r);
    for (int i = 0; i < 3; i++) {
        far_says(&r, SPAN_LITERAL("a frame that nobody has to keep"));
        calls = mem_calls();
        rig_run(&r);
        assert_true(mem_calls() - calls <= 2);           /* the scripted stream's own */
    }
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("nor its answer")), 14);
    rig_end(&r);
}

/* As another connection of the loop would: it uses them up. */
static void use_shared_buffers(struct tls_rig *r)
{
    assert_non_null(r->loop.buffers.in);
    assert_non_null(r->loop.buffers.out);
    memset(r->loop.buffers.in, 0xee, MBEDTLS_SSL_IN_CONTENT_LEN);
    memset(r->loop.buffers.out, 0xee, MBEDTLS_SSL_OUT_CONTENT_LEN);
}

static void the_library_holds_no_more_than_a_record_has(void **state)
{
    const struct tls_session *session;
    struct bytes rest = { 0 };
    struct tls_rig r;
    size_t cut;

    (void)state;
    begin(&r);
    session = &((const struct stream_tls *)(const void *)r.owner.stream)->session;
    assert_null(session->ssl.MBEDTLS_PRIVATE(in_buf));
    assert_null(session->ssl.MBEDTLS_PRIVATE(out_buf));
    assert_null(session->ssl.MBEDTLS_PRIVATE(handshake));        /* the ticket went out with the first read */
    use_shared_buffers(&r);
    far_says(&r, SPAN_LITERAL("in two halves"));
    cut = r.peer.gives.n - 7;
    bytes_add(&rest, r.peer.gives.p + cut, 7);
    r.peer.gives.n = cut;
    rig_run(&r);
    expect_bytes(&r.owner.got, "");
    assert_in_range(session->rest.part_n, 8 + 5, 64);
    use_shared_buffers(&r);
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("meanwhile")), 9);
    assert_in_range(session->rest.part_n, 8 + 5, 64);            /* to write, it is not needed */
    use_shared_buffers(&r);
    peer_give(&r.peer, span_of(rest.p, rest.n));
    rig_run(&r);
    expect_bytes(&r.owner.got, "in two halves");
    expect_bytes(&r.far_got, "meanwhile");
    assert_null(session->rest.part);
    bytes_free(&rest);
    rig_end(&r);
}

/* ---- endings ---- */

static void close_notify_is_the_end(void **state)
{
    struct tls_rig r;

    (void)state;
    begin(&r);
    far_says(&r, SPAN_LITERAL("last"));
    far_goodbye(&r);
    peer_ends(&r.peer);
    rig_run(&r);
    expect_bytes(&r.owner.got, "last");
    assert_int_equal(r.owner.stream->input, STREAM_EOF);
    assert_false(r.owner.stream->cut);
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("still there?")), 12);     /* the other way is open */
    rig_run(&r);
    expect_bytes(&r.far_got, "still there?");
    rig_end(&r);
}

static void an_end_without_it_is_a_cut(void **state)
{
    struct tls_rig r;

    (void)state;
    begin(&r);
    far_says(&r, SPAN_LITERAL("last"));
    peer_ends(&r.peer);
    rig_run(&r);
    expect_bytes(&r.owner.got, "last");
    assert_int_equal(r.owner.stream->input, STREAM_EOF);
    assert_true(r.owner.stream->cut);
    assert_non_null(strstr(stream_input_words(r.owner.stream), "close_notify"));
    assert_int_equal(r.owner.stream->output_error, 0);
    rig_end(&r);
}

static void an_end_in_the_middle_of_a_record_is_a_cut(void **state)
{
    struct tls_rig r;

    (void)state;
    begin(&r);
    far_says(&r, SPAN_LITERAL("never seen"));
    r.peer.gives.n -= 3;
    peer_ends(&r.peer);
    rig_run(&r);
    expect_bytes(&r.owner.got, "");
    assert_int_equal(r.owner.stream->input, STREAM_EOF);
    assert_true(r.owner.stream->cut);
    rig_end(&r);
}

static void a_reset_is_a_failure_of_both(void **state)
{
    struct tls_rig r;

    (void)state;
    begin(&r);
    peer_resets(&r.peer);
    rig_run(&r);
    assert_int_equal(r.owner.stream->input, STREAM_FAILED);
    assert_int_equal(r.owner.stream->input_error, -ECONNRESET);
    assert_true(r.owner.stream->output_error < 0);
    assert_true(r.owner.writable > 0);
    assert_true(stream_send(r.owner.stream, SPAN_LITERAL("x")) < 0);
    rig_end(&r);
}

static void what_cannot_be_decrypted_ends_both_and_is_said(void **state)
{
    struct tls_rig r;

    (void)state;
    begin(&r);
    far_says(&r, SPAN_LITERAL("good"));
    rig_run(&r);
    far_says(&r, SPAN_LITERAL("bad"));
    r.peer.gives.p[r.peer.gives.n - 1] ^= 1;
    rig_run(&r);
    expect_bytes(&r.owner.got, "good");
    assert_int_equal(r.owner.stream->input, STREAM_FAILED);
    assert_int_equal(r.owner.stream->input_error, -EPROTO);
    assert_int_equal(r.owner.stream->input_why, END_TLS_BROKEN);
    assert_non_null(strstr(stream_input_words(r.owner.stream), "decrypted"));
    assert_true(stream_send(r.owner.stream, SPAN_LITERAL("x")) < 0);
    assert_true(r.far_failed);                           /* it got the alert */
    assert_string_equal(r.far.words, "alert received: bad_record_mac");
    rig_end(&r);
}

/* The far end's bytes are kept back until it may take some. */
static void garbage_comes(struct tls_rig *r)
{
    far_says(r, SPAN_LITERAL("bad"));
    r->peer.gives.p[r->peer.gives.n - 1] ^= 1;
    rig_run(r);
    assert_int_equal(r->owner.stream->input, STREAM_FAILED);
}

static void an_alert_outlives_its_owner(void **state)
{
    for (int reset = 0; reset < 2; reset++) {
        struct tls_rig r;
        begin(&r);
        peer_stops_reading(&r.peer);
        garbage_comes(&r);
        if (reset)
            stream_reset(&r.owner.stream);
        else
            stream_close(&r.owner.stream);
        rig_run(&r);
        assert_false(r.peer.closed);
        peer_takes(&r.peer, 10);
        rig_run(&r);
        assert_false(r.far_failed);
        peer_reads_on(&r.peer);
        rig_run(&r);
        assert_true(r.far_failed);
        assert_string_equal(r.far.words, "alert received: bad_record_mac");
        assert_true(r.peer.fin);
        assert_false(r.peer.closed);                     /* what it may still say is read */
        peer_ends(&r.peer);
        rig_run(&r);
        assert_true(r.peer.closed);
        assert_false(r.peer.reset);
        rig_end(&r);
    }
    (void)state;
}

static void a_peer_that_takes_no_alert_is_left(void **state)
{
    struct tls_rig r;

    (void)state;
    begin(&r);
    peer_stops_reading(&r.peer);
    garbage_comes(&r);
    stream_close(&r.owner.stream);
    rig_sleep(&r, PARTING_MS - 20);
    assert_false(r.peer.closed);
    rig_sleep(&r, 40);
    assert_true(r.peer.closed);
    rig_end(&r);
}

/* Two bytes of data have the length of an alert. */
static void an_alert_is_sent_behind_a_short_record(void **state)
{
    struct tls_rig r;

    (void)state;
    begin(&r);
    stream_send(r.owner.stream, SPAN_LITERAL("ab"));
    rig_run(&r);
    garbage_comes(&r);
    assert_true(r.far_failed);
    rig_end(&r);
}

static void a_goodbye_outlives_its_owner(void **state)
{
    struct tls_rig r;

    (void)state;
    begin(&r);
    peer_stops_reading(&r.peer);
    stream_close(&r.owner.stream);
    rig_run(&r);
    assert_false(r.far_ended);
    peer_reads_on(&r.peer);
    rig_run(&r);
    assert_true(r.far_ended);
    rig_end(&r);
}

static void finish_says_goodbye(void **state)
{
    struct tls_rig r;

    (void)state;
    begin(&r);
    stream_put(r.owner.stream, SPAN_LITERAL("bye"));
    assert_int_equal(stream_finish(r.owner.stream), 0);
    assert_int_equal(stream_finish(r.owner.stream), 0);
    rig_run(&r);
    expect_bytes(&r.far_got, "bye");
    assert_true(r.far_ended);
    assert_true(r.peer.fin);
    far_says(&r, SPAN_LITERAL("and you"));               /* half-closed: it still hears */
    rig_run(&r);
    expect_bytes(&r.owner.got, "and you");
    rig_end(&r);
}

static void close_says_goodbye_unless_something_is_lost(void **state)
{
    for (int lost = 0; lost < 2; lost++) {
        struct tls_rig r;
        begin(&r);
        if (lost)
            stream_put(r.owner.stream, SPAN_LITERAL("never sent"));
        stream_close(&r.owner.stream);
        rig_run(&r);
        assert_true(r.peer.closed);
        assert_false(r.peer.reset);
        assert_int_equal(r.far_ended, !lost);
        rig_end(&r);
    }
    (void)state;
}

static void reset_says_nothing(void **state)
{
    struct tls_rig r;

    (void)state;
    begin(&r);
    stream_reset(&r.owner.stream);
    rig_run(&r);
    assert_true(r.peer.reset);
    assert_false(r.far_ended);
    rig_end(&r);
}

/* ---- writing ---- */

static void fill(uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(i * 7 >> 3);
}

/* Whatever the peer takes, and when: each byte goes once, in order, and what waits is bounded. */
static void nothing_is_half_written(void **state)
{
    static const size_t grains[] = { 1, 3, 100, 4096, SIZE_MAX };
    static uint8_t bytes[100000];

    (void)state;
    fill(bytes, sizeof(bytes));
    for (size_t g = 0; g < COUNT_OF(grains); g++) {
        struct tls_rig r;
        size_t sent = 0, turns = 0;
        begin(&r);
        r.peer.grain = grains[g];
        while (sent < sizeof(bytes)) {
            ssize_t n = stream_send(r.owner.stream, span_of(bytes + sent, sizeof(bytes) - sent));
            assert_true(n >= 0);
            sent += (size_t)n;
            assert_true(r.peer.stream->held_n <= TLS_CIPHER_BYTES);
            if (sent < sizeof(bytes)) {
                unsigned before = r.owner.writable;
                rig_run(&r);
                assert_true(r.owner.writable > before);  /* "blocked" was said: room is said, too */
            }
            assert_true(turns++ < 1000);
        }
        rig_run(&r);
        assert_true(stream_flushed(r.owner.stream));
        expect_many(&r.far_got, sizeof(bytes));
        rig_end(&r);
    }
}

static void blocked_takes_nothing_more(void **state)
{
    static uint8_t bytes[100000];
    struct tls_rig r;
    ssize_t first;

    (void)state;
    fill(bytes, sizeof(bytes));
    begin(&r);
    peer_stops_reading(&r.peer);
    first = stream_send(r.owner.stream, span_of(bytes, sizeof(bytes)));
    assert_true(first > 0 && first <= TLS_RECORD_BYTES);
    assert_int_equal(stream_send(r.owner.stream, span_of(bytes + first, 10)), 0);
    assert_false(stream_flushed(r.owner.stream));
    assert_int_equal(stream_put(r.owner.stream, span_of(bytes + first, 10)), 0);
    rig_run(&r);
    assert_int_equal(r.owner.writable, 0);
    peer_reads_on(&r.peer);
    rig_run(&r);
    assert_true(r.owner.writable > 0);
    assert_true(stream_flushed(r.owner.stream));
    expect_many(&r.far_got, (size_t)first + 10);
    rig_end(&r);
}

#define RECORD (5 + 16 + 16)             /* of up to 15 bytes: header, content padded to 16, tag */

static void what_is_put_goes_with_what_is_sent(void **state)
{
    struct tls_rig r;
    size_t before;

    (void)state;
    begin(&r);
    before = r.peer.got.n;
    stream_put(r.owner.stream, SPAN_LITERAL("5\r\n"));
    assert_int_equal(stream_send(r.owner.stream, SPAN_LITERAL("hello")), 5);
    assert_int_equal(r.peer.got.n - before, RECORD);     /* one record */
    stream_put(r.owner.stream, SPAN_LITERAL("\r\n"));
    stream_put(r.owner.stream, SPAN_LITERAL("0\r\n\r\n"));
    assert_int_equal(r.peer.got.n - before, RECORD);     /* not before the turn's end */
    rig_run(&r);
    assert_int_equal(r.peer.got.n - before, 2 * RECORD);
    expect_bytes(&r.far_got, "5\r\nhello\r\n0\r\n\r\n");
    rig_end(&r);
}

static void much_that_is_put_goes_whole(void **state)
{
    static uint8_t bytes[70000];
    struct tls_rig r;

    (void)state;
    fill(bytes, sizeof(bytes));
    begin(&r);
    assert_int_equal(stream_put(r.owner.stream, span_of(bytes, 60000)), 0);
    assert_int_equal(stream_put(r.owner.stream, span_of(bytes + 60000, 10000)), 0);
    r.peer.grain = 1000;
    rig_run(&r);
    expect_many(&r.far_got, sizeof(bytes));
    rig_end(&r);
}

static void an_output_that_fails_is_told(void **state)
{
    static uint8_t bytes[50000];
    struct tls_rig r;

    (void)state;
    begin(&r);
    r.peer.fails_at = r.peer.got.n + 10;
    stream_send(r.owner.stream, span_of(bytes, sizeof(bytes)));
    rig_run(&r);
    assert_int_equal(r.owner.stream->output_error, -EPIPE);
    assert_true(stream_flushed(r.owner.stream));
    assert_int_equal(r.owner.stream->input, STREAM_OPEN);
    rig_end(&r);
}

/* ---- an owner that closes while it is told something ---- */

static void close_it(struct owner *o)
{
    stream_close(&o->stream);
}

static void it_may_be_closed_from_its_own_event(void **state)
{
    static const char *const moments[] = { "data", "end", "failure", "garbage" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(moments); i++) {
        struct tls_rig r;
        begin(&r);
        r.owner.on_readable = close_it;
        far_says(&r, SPAN_LITERAL("data"));
        if (i == 1)
            far_goodbye(&r);
        if (i == 2)
            peer_resets(&r.peer);
        if (i == 3)
            r.peer.gives.p[r.peer.gives.n - 1] ^= 1;
        rig_run(&r);
        assert_null(r.owner.stream);
        peer_ends(&r.peer);              /* it has heard the alert */
        rig_run(&r);
        assert_true(r.peer.closed);
        rig_end(&r);
    }
}

/* ---- no memory ---- */

static void talk(struct tls_rig *r)
{
    static uint8_t bytes[30000];

    if (r->owner.stream == NULL)
        return;
    r->owner.keeps = true;
    r->peer.grain = 5000;
    stream_put(r->owner.stream, SPAN_LITERAL("head"));
    stream_send(r->owner.stream, span_of(bytes, sizeof(bytes)));
    rig_run(r);
}

/* Each allocation of the stream's own fails once: the connection fails, or does not mind; nothing leaks and nobody crashes. */
static void every_allocation_may_fail(void **state)
{
    size_t calls = 0;

    (void)state;
    for (size_t nth = 0; nth <= calls; nth++) {          /* the first time none does */
        struct tls_rig r;
        size_t before;
        begin(&r);
        far_says_many(&r, 40000);
        before = mem_calls();
        mem_fail_nth(nth);
        talk(&r);
        mem_fail_nth(0);
        calls = nth == 0 ? mem_calls() - before : calls;
        rig_end(&r);
    }
    assert_true(calls >= 3 && calls < 200);
}

static int begin_all(void **state)
{
    (void)state;
    rig_begin_all(&certs);
    return 0;
}

static int end_all(void **state)
{
    (void)state;
    rig_end_all(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_speaks_both_ways),
        cmocka_unit_test(every_cut_of_the_ciphertext_reads_the_same),
        cmocka_unit_test(several_records_are_one_piece),
        cmocka_unit_test(what_comes_stays_until_it_is_consumed),
        cmocka_unit_test(a_full_input_stops_and_goes_on_by_itself),
        cmocka_unit_test(a_new_owner_is_told),
        cmocka_unit_test(it_holds_nothing_at_rest),
        cmocka_unit_test(the_library_holds_no_more_than_a_record_has),
        cmocka_unit_test(close_notify_is_the_end),
        cmocka_unit_test(an_end_without_it_is_a_cut),
        cmocka_unit_test(an_end_in_the_middle_of_a_record_is_a_cut),
        cmocka_unit_test(a_reset_is_a_failure_of_both),
        cmocka_unit_test(what_cannot_be_decrypted_ends_both_and_is_said),
        cmocka_unit_test(an_alert_outlives_its_owner),
        cmocka_unit_test(a_peer_that_takes_no_alert_is_left),
        cmocka_unit_test(an_alert_is_sent_behind_a_short_record),
        cmocka_unit_test(a_goodbye_outlives_its_owner),
        cmocka_unit_test(finish_says_goodbye),
        cmocka_unit_test(close_says_goodbye_unless_something_is_lost),
        cmocka_unit_test(reset_says_nothing),
        cmocka_unit_test(nothing_is_half_written),
        cmocka_unit_test(blocked_takes_nothing_more),
        cmocka_unit_test(what_is_put_goes_with_what_is_sent),
        cmocka_unit_test(much_that_is_put_goes_whole),
        cmocka_unit_test(an_output_that_fails_is_told),
        cmocka_unit_test(it_may_be_closed_from_its_own_event),
        cmocka_unit_test(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, begin_all, end_all);
}
