/* FastCGI records in: each row is what an application sends, at every cut; then interleaved streams of many requests against
 * what was generated, and the lengths that overflow 16 bits. */
#include "protocol/fcgi_record.h"
#include "protocol/mem.h"
#include "tests/protocol/chance.h"
#include "tests/protocol/fcgi_peer.h"
#include "tests/protocol/split.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct record {
    unsigned type, id;
    const char *content;
    size_t n;
    unsigned padding_n;
    unsigned version;                    /* of the header, when not 0 */
    unsigned announced;                  /* content length of the header, when not 0 */
};
#define REC(type, id, content) { (type), (id), (content), sizeof(content) - 1, 0, 0, 0 }
#define PADDED(type, id, content, padding) { (type), (id), (content), sizeof(content) - 1, (padding), 0, 0 }
#define END(id) REC(3, id, "\0\0\0\0\0\0\0\0")
#define CUT 0xffff                       /* type: the bytes end here */

enum { ASKED = 1 };

/* O1'…' and E1'…': content of STDOUT and STDERR; .1=app/protocol: an end; V[conns,reqs,mpxs]: values, V?: the question is
 * unknown; ! and the fault's word, in front of or behind the record `fault_at`; i: idle at the end. */
struct row {
    const char *name;
    struct record records[8];
    const char *due;
    unsigned fault_at;                   /* so many records are consumed */
    unsigned open;
    unsigned discard;                    /* this id */
    unsigned flags;
};

static const struct row rows[] = {
    { "nothing", { { CUT, 0, 0, 0, 0, 0, 0 } }, "i", 0, 0, 0, 0 },
    { "one", { REC(6, 1, "hello"), REC(6, 1, ""), END(1) }, "O1'hello'.1=0/0i", 0, 1, 0, 0 },
    { "padding", { PADDED(6, 1, "abc", 5), PADDED(6, 1, "", 8), PADDED(3, 1, "\0\0\0\0\0\0\0\0", 255) }, "O1'abc'.1=0/0i", 0, 1,
      0, 0 },
    { "empty", { REC(6, 1, ""), END(1) }, ".1=0/0i", 0, 1, 0, 0 },
    { "stream_not_ended", { REC(6, 1, "x"), END(1) }, "O1'x'.1=0/0i", 0, 1, 0, 0 },
    { "both", { REC(7, 1, "oh"), REC(6, 1, "a"), REC(7, 1, "no"), REC(6, 1, "b"), REC(6, 1, ""), REC(7, 1, ""), END(1) },
      "E1'oh'O1'a'E1'no'O1'b'.1=0/0i", 0, 1, 0, 0 },
    { "stderr_after_stdout_ended", { REC(6, 1, ""), REC(7, 1, "late"), END(1) }, "E1'late'.1=0/0i", 0, 1, 0, 0 },
    { "ended_twice", { REC(6, 1, ""), REC(6, 1, ""), END(1) }, ".1=0/0i", 0, 1, 0, 0 },
    { "app_status", { REC(3, 1, "\xff\x01\x02\x03\0\0\0\0") }, ".1=4278256131/0i", 0, 1, 0, 0 },
    { "cant_multiplex", { REC(3, 2, "\0\0\0\0\1\0\0\0"), END(1) }, ".2=0/1.1=0/0i", 0, 2, 0, 0 },
    { "overloaded", { REC(3, 1, "\0\0\0\0\2\0\0\0") }, ".1=0/2i", 0, 1, 0, 0 },
    { "unknown_role", { REC(3, 1, "\0\0\0\0\3\0\0\0") }, ".1=0/3i", 0, 1, 0, 0 },
    { "multiplexed", { REC(6, 2, "two"), REC(6, 1, "one"), REC(6, 2, "TWO"), END(2), REC(7, 1, "e"), END(1) },
      "O2'two'O1'one'O2'TWO'.2=0/0E1'e'.1=0/0i", 0, 2, 0, 0 },
    { "last_id", { REC(6, 64, "z"), END(64) }, "O64'z'.64=0/0", 0, 64, 0, 0 },
    { "discarded", { REC(6, 1, "gone"), REC(6, 2, "kept"), REC(7, 1, "gone"), REC(6, 1, ""), END(1), END(2) },
      "O2'kept'.1=0/0.2=0/0i", 0, 2, 1, 0 },
    { "discarded_goes_on", { REC(6, 1, ""), END(1), REC(6, 1, "late"), REC(6, 1, ""), REC(6, 1, "x"), REC(3, 1, "\0\0\0\7\2\0\0\0"),
                             REC(6, 2, "kept"), END(2) },
      ".1=0/0O2'kept'.2=0/0i", 0, 2, 1, 0 },
    { "cut_header", { REC(6, 1, "x"), { CUT, 0, "\1\6\0\1\0\1\0", 7, 0, 0, 0 } }, "O1'x'", 0, 1, 0, 0 },

    { "values", { REC(10, 0, "\x0e\2FCGI_MAX_CONNS32\x0d\2FCGI_MAX_REQS50\x0f\1FCGI_MPXS_CONNS1") }, "V[32,50,1]i", 0, 0, 0,
      ASKED },
    { "values_padded", { PADDED(10, 0, "\x0f\1FCGI_MPXS_CONNS0", 6) }, "V[0,0,0]i", 0, 0, 0, ASKED },
    { "values_none", { REC(10, 0, "") }, "V[0,0,-]i", 0, 0, 0, ASKED },
    { "values_others", { REC(10, 0, "\4\3NAMEabc\0\0\x0d\1FCGI_MAX_REQS7") }, "V[0,7,-]i", 0, 0, 0, ASKED },
    { "values_huge", { REC(10, 0, "\x0e\x14" "FCGI_MAX_CONNS18446744073709551615") }, "V[4294967295,0,-]i", 0, 0, 0, ASKED },
    { "values_four_bytes", { REC(10, 0, "\x80\0\0\x0d\x80\0\0\1FCGI_MAX_REQS9") }, "V[0,9,-]i", 0, 0, 0, ASKED },
    { "values_unknown", { REC(11, 0, "\x9\0\0\0\0\0\0\0") }, "V?i", 0, 0, 0, ASKED },
    { "values_beside_a_request", { REC(6, 1, "a"), REC(10, 0, ""), END(1) }, "O1'a'V[0,0,-].1=0/0i", 0, 1, 0, ASKED },
    { "values_asked_and_awaited", { REC(6, 1, "a"), END(1) }, "O1'a'.1=0/0", 0, 1, 0, ASKED },
    { "values_unasked", { REC(10, 0, "") }, "!fcgi_type", 0, 0, 0, 0 },
    { "values_twice", { REC(10, 0, ""), REC(10, 0, "") }, "V[0,0,-]!fcgi_type", 1, 0, 0, ASKED },
    { "values_with_id", { REC(10, 1, "") }, "!fcgi_id", 0, 1, 0, ASKED },
    { "values_cut_pair", { REC(10, 0, "\x0e\3FCGI_MAX_CONNS32") }, "!fcgi_values", 1, 0, 0, ASKED },
    { "values_cut_length", { REC(10, 0, "\x80\0\0") }, "!fcgi_values", 1, 0, 0, ASKED },
    { "values_no_number", { REC(10, 0, "\x0e\2FCGI_MAX_CONNS3x") }, "!fcgi_values", 1, 0, 0, ASKED },
    { "values_negative", { REC(10, 0, "\x0d\2FCGI_MAX_REQS-1") }, "!fcgi_values", 1, 0, 0, ASKED },
    { "values_mpxs_2", { REC(10, 0, "\x0f\1FCGI_MPXS_CONNS2") }, "!fcgi_values", 1, 0, 0, ASKED },
    { "values_empty_number", { REC(10, 0, "\x0f\0FCGI_MPXS_CONNS") }, "!fcgi_values", 1, 0, 0, ASKED },
    { "values_other_question", { REC(11, 0, "\x5\0\0\0\0\0\0\0") }, "!fcgi_values", 1, 0, 0, ASKED },

    { "version_0", { REC(6, 1, "a"), { 6, 1, "b", 1, 0, 256, 0 } }, "O1'a'!fcgi_version", 1, 1, 0, 0 },
    { "version_2", { { 6, 1, "b", 1, 0, 2, 0 } }, "!fcgi_version", 0, 1, 0, 0 },
    { "version_http", { { CUT, 0, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, 0, 0, 0 } }, "!fcgi_version", 0, 1, 0, 0 },
    { "version_first_byte", { { CUT, 0, "H", 1, 0, 0, 0 } }, "!fcgi_version", 0, 1, 0, 0 },
    { "type_0", { REC(0, 1, "") }, "!fcgi_type", 0, 1, 0, ASKED },
    { "type_begin", { REC(1, 1, "\0\1\0\0\0\0\0\0") }, "!fcgi_type", 0, 1, 0, ASKED },
    { "type_abort", { REC(2, 1, "") }, "!fcgi_type", 0, 1, 0, ASKED },
    { "type_params", { REC(4, 1, "\1\1ab") }, "!fcgi_type", 0, 1, 0, ASKED },
    { "type_stdin", { REC(5, 1, "x") }, "!fcgi_type", 0, 1, 0, ASKED },
    { "type_data", { REC(8, 1, "x") }, "!fcgi_type", 0, 1, 0, ASKED },
    { "type_get_values", { REC(9, 0, "") }, "!fcgi_type", 0, 1, 0, ASKED },
    { "type_12", { REC(12, 1, "") }, "!fcgi_type", 0, 1, 0, ASKED },
    { "type_255", { REC(255, 0, "") }, "!fcgi_type", 0, 1, 0, ASKED },
    { "type_unknown_unasked", { REC(11, 0, "\x9\0\0\0\0\0\0\0") }, "!fcgi_type", 0, 1, 0, 0 },
    { "id_0", { REC(6, 0, "x") }, "!fcgi_id", 0, 1, 0, 0 },
    { "id_0_stderr", { REC(7, 0, "x") }, "!fcgi_id", 0, 1, 0, ASKED },
    { "id_0_end", { END(0) }, "!fcgi_id", 0, 1, 0, 0 },
    { "id_not_open", { REC(6, 2, "x") }, "!fcgi_id", 0, 1, 0, 0 },
    { "id_none_open", { REC(7, 1, "x") }, "!fcgi_id", 0, 0, 0, 0 },
    { "id_after_end", { END(1), REC(6, 1, "x") }, ".1=0/0!fcgi_id", 1, 1, 0, 0 },
    { "id_stderr_after_end", { END(1), REC(7, 1, "") }, ".1=0/0!fcgi_id", 1, 1, 0, 0 },
    { "id_end_twice", { END(1), END(1) }, ".1=0/0!fcgi_id", 1, 2, 0, 0 },
    { "id_past_the_table", { REC(6, 65, "x") }, "!fcgi_id", 0, 64, 0, 0 },
    { "id_256", { REC(6, 256, "x") }, "!fcgi_id", 0, 64, 0, 0 },
    { "id_257", { REC(6, 257, "x") }, "!fcgi_id", 0, 64, 0, 0 },
    { "id_65535", { END(65535) }, "!fcgi_id", 0, 64, 0, 0 },
    { "length_end_7", { REC(3, 1, "\0\0\0\0\0\0\0") }, "!fcgi_length", 0, 1, 0, 0 },
    { "length_end_9", { REC(3, 1, "\0\0\0\0\0\0\0\0\0") }, "!fcgi_length", 0, 1, 0, 0 },
    { "length_end_0", { REC(3, 1, "") }, "!fcgi_length", 0, 1, 0, 0 },
    { "length_end_65535", { { 3, 1, "", 0, 0, 0, 65535 } }, "!fcgi_length", 0, 1, 0, 0 },
    { "length_values_257", { { 10, 0, "", 0, 0, 0, 257 } }, "!fcgi_length", 0, 1, 0, ASKED },
    { "length_unknown_1", { REC(11, 0, "\x9") }, "!fcgi_length", 0, 1, 0, ASKED },
    { "after_end_stdout", { REC(6, 1, "a"), REC(6, 1, ""), REC(6, 1, "b") }, "O1'a'!fcgi_after_end", 2, 1, 0, 0 },
    { "after_end_stderr", { REC(7, 1, ""), REC(7, 1, "b") }, "!fcgi_after_end", 1, 1, 0, 0 },
    { "after_end_discarded", { REC(6, 1, ""), REC(6, 1, "b") }, "!fcgi_after_end", 1, 1, 1, 0 },
    { "end_status_4", { REC(3, 1, "\0\0\0\0\4\0\0\0") }, "!fcgi_end_status", 1, 1, 0, 0 },
    { "end_status_4_discarded", { END(1), REC(3, 1, "\0\0\0\0\4\0\0\0") }, ".1=0/0!fcgi_end_status", 2, 1, 1, 0 },
    { "end_status_255", { REC(6, 1, "a"), REC(3, 1, "\0\0\0\0\xff\0\0\0") }, "O1'a'!fcgi_end_status", 2, 1, 0, 0 },
};

struct in_run {
    const struct row *row;
    size_t most_taken;                   /* of one event; 0: all */
    size_t fault_at;
    unsigned quoted;                     /* type and id whose quote is open */
};

static void quote(struct in_run *in, struct split_log *log, unsigned what)
{
    if (in->quoted == what)
        return;
    if (in->quoted != 0)
        split_write(log, "'");
    if (what != 0)
        split_write(log, "%c%u'", what / 1000 == FCGI_EVENT_STDOUT ? 'O' : 'E', what % 1000);
    in->quoted = what;
}

static void log_values(struct split_log *log, const struct fcgi_values *v)
{
    const char *multiplexes = !v->has_multiplexes ? "-" : v->multiplexes ? "1" : "0";

    if (!v->told)
        split_write(log, "V?");
    else
        split_write(log, "V[%u,%u,%s]", v->max_connections, v->max_requests, multiplexes);
}

/* One event; how many bytes of content were taken. */
static size_t log_event(struct in_run *in, struct split_log *log, struct fcgi_reader *r, const struct fcgi_result *e)
{
    size_t taken = e->data.n;
    bool content = e->event == FCGI_EVENT_STDOUT || e->event == FCGI_EVENT_STDERR;

    if (e->event != FCGI_EVENT_MORE)
        quote(in, log, content ? (unsigned)e->event * 1000 + e->id : 0);
    if (content) {
        assert_true(taken > 0);
        if (in->most_taken > 0 && taken > in->most_taken)
            taken = in->most_taken;
        split_write(log, "%.*s", (int)taken, (const char *)e->data.p);
        fcgi_reader_took(r, taken);
    } else if (e->event == FCGI_EVENT_END) {
        split_write(log, ".%u=%u/%u", e->id, e->app_status, (unsigned)e->end);
    } else if (e->event == FCGI_EVENT_VALUES) {
        log_values(log, &e->values);
    } else if (e->event == FCGI_EVENT_FAULT) {
        split_write(log, "!%s", fault_word(e->fault));
    }
    return taken;
}

static void set_up(struct fcgi_reader *r, const struct row *row)
{
    fcgi_reader_init(r);
    for (unsigned i = 1; i <= row->open; i++)
        assert_int_equal(fcgi_reader_open(r), i);
    if (row->discard > 0)
        fcgi_reader_discard(r, row->discard);
    if ((row->flags & ASKED) != 0)
        fcgi_reader_ask_values(r);
}

static void run_in(void *ctx, struct span bytes, const struct split_arrival *arrival, struct split_log *log)
{
    struct in_run *in = ctx;
    struct fcgi_reader r;
    struct fcgi_result e = { .event = FCGI_EVENT_MORE };
    size_t seen = split_next(arrival, 0, bytes.n), at = 0;

    set_up(&r, in->row);
    in->quoted = 0;
    while (e.event != FCGI_EVENT_FAULT) {
        at += fcgi_reader_next(&r, bytes.p + at, seen - at, &e);
        at += log_event(in, log, &r, &e);
        if (e.event == FCGI_EVENT_MORE && seen == bytes.n)
            break;
        if (e.event == FCGI_EVENT_MORE)
            seen = split_next(arrival, seen, bytes.n);
    }
    quote(in, log, 0);
    if (e.event == FCGI_EVENT_FAULT)
        assert_int_equal(at, in->fault_at);
    else if (fcgi_reader_is_idle(&r))
        split_write(log, "i");
}

static void lay(const struct row *row, struct fcgi_peer_bytes *bytes, size_t *fault_at)
{
    *fault_at = 0;
    for (unsigned i = 0; i < 8 && row->records[i].content != NULL; i++) {
        const struct record *rec = &row->records[i];
        size_t start = bytes->n;

        if (rec->type == CUT)
            fcgi_peer_put(bytes, rec->content, rec->n);
        else
            fcgi_peer_send(bytes, rec->type, rec->id, rec->content, rec->n, rec->padding_n);
        if (rec->version != 0)
            bytes->p[start] = (uint8_t)rec->version;
        if (rec->announced != 0) {
            bytes->p[start + 4] = (uint8_t)(rec->announced >> 8);
            bytes->p[start + 5] = (uint8_t)rec->announced;
        }
        if (i < row->fault_at)
            *fault_at = bytes->n;
    }
}

static void in_rows(void **state)
{
    static struct split_log whole;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fcgi_peer_bytes bytes = { 0 };
        struct in_run in = { .row = &rows[i] };

        lay(&rows[i], &bytes, &in.fault_at);
        for (in.most_taken = 0; in.most_taken < 3; in.most_taken++) {
            split_all(rows[i].name, run_in, &in, bytes.n > 0 ? span_of(bytes.p, bytes.n) : SPAN_LITERAL(""), &whole);
            if (strcmp(whole.text, rows[i].due) != 0)
                print_error("%s\n", rows[i].name);
            assert_string_equal(whole.text, rows[i].due);
        }
        fcgi_peer_free(&bytes);
    }
}

/* Faults stay. */
static void in_sticky(void **state)
{
    struct fcgi_reader r;
    struct fcgi_result e;

    (void)state;
    fcgi_reader_init(&r);
    assert_int_equal(fcgi_reader_open(&r), 1);
    for (int i = 0; i < 3; i++) {
        const char *bytes = i == 0 ? "\2\6\0\1\0\1\0\0x" : "\1\6\0\1\0\1\0\0x";
        assert_int_equal(fcgi_reader_next(&r, (const uint8_t *)bytes, 9, &e), 0);
        assert_int_equal(e.event, FCGI_EVENT_FAULT);
        assert_int_equal(e.fault, FAULT_FCGI_VERSION);
    }
    assert_false(fcgi_reader_is_idle(&r));
    fcgi_reader_init(&r);
    assert_true(fcgi_reader_is_idle(&r));
    fcgi_reader_next(&r, (const uint8_t *)"\2", 1, &e);
    assert_false(fcgi_reader_is_idle(&r));
}

/* The smallest free id is given, and all can be in use. */
static void in_ids(void **state)
{
    struct fcgi_peer_bytes bytes = { 0 };
    struct fcgi_reader r;
    struct fcgi_result e;

    (void)state;
    fcgi_reader_init(&r);
    for (unsigned i = 1; i <= FCGI_REQUESTS_MAX; i++)
        assert_int_equal(fcgi_reader_open(&r), i);
    assert_int_equal(fcgi_reader_open(&r), 0);
    fcgi_peer_send(&bytes, 6, 5, "x", 1, 0);
    fcgi_peer_send(&bytes, 6, 5, "", 0, 0);
    fcgi_peer_end(&bytes, 5, 0, 0, 3);
    assert_int_equal(fcgi_reader_next(&r, bytes.p, bytes.n, &e), 8);
    assert_int_equal(e.event, FCGI_EVENT_STDOUT);
    fcgi_reader_took(&r, 1);
    assert_int_equal(fcgi_reader_next(&r, bytes.p + 9, bytes.n - 9, &e), 27);
    assert_int_equal(e.event, FCGI_EVENT_END);
    assert_int_equal(fcgi_reader_open(&r), 5);
    assert_int_equal(fcgi_reader_open(&r), 0);
    fcgi_reader_withdraw(&r, 5);
    assert_int_equal(fcgi_reader_open(&r), 5);
    bytes.n = 0;                         /* what the earlier request did to its streams is forgotten */
    fcgi_peer_send(&bytes, 6, 5, "y", 1, 0);
    assert_int_equal(fcgi_reader_next(&r, bytes.p, bytes.n, &e), 8);
    assert_int_equal(e.event, FCGI_EVENT_STDOUT);
    fcgi_peer_free(&bytes);
}

/* 65535 bytes of content and each length of padding: together more than 16 bits hold. What follows is found where it is. */
static void in_longest(void **state)
{
    static uint8_t content[65535];
    struct fcgi_peer_bytes bytes = { 0 };
    struct fcgi_reader r;
    struct fcgi_result e;

    (void)state;
    memset(content, 'c', sizeof(content));
    for (size_t padding_n = 0; padding_n < 256; padding_n++) {
        size_t at, piece = 1 + padding_n * 300;

        bytes.n = 0;
        fcgi_peer_send(&bytes, 6, 1, content, sizeof(content), padding_n);
        fcgi_peer_end(&bytes, 1, 0, 0, padding_n);
        fcgi_reader_init(&r);
        assert_int_equal(fcgi_reader_open(&r), 1);
        at = fcgi_reader_next(&r, bytes.p, bytes.n, &e);
        for (size_t left = sizeof(content); left > 0; left -= piece) {
            assert_int_equal(e.event, FCGI_EVENT_STDOUT);
            assert_int_equal(e.data.n, left);
            assert_ptr_equal(e.data.p, bytes.p + at);
            piece = piece < left ? piece : left;
            fcgi_reader_took(&r, piece);
            at += piece;
            at += fcgi_reader_next(&r, bytes.p + at, bytes.n - at, &e);
        }
        assert_int_equal(e.event, FCGI_EVENT_END);
        assert_int_equal(at, bytes.n);
        assert_true(fcgi_reader_is_idle(&r));
    }
    fcgi_peer_free(&bytes);
}

/* An application that does nothing but complain: every byte is told, none is kept. */
static void in_endless_stderr(void **state)
{
    static uint8_t content[65535];
    struct fcgi_peer_bytes bytes = { 0 };
    struct fcgi_reader r;
    struct fcgi_result e;
    uint64_t told = 0;

    (void)state;
    fcgi_peer_send(&bytes, 7, 1, content, sizeof(content), 255);
    fcgi_reader_init(&r);
    assert_int_equal(fcgi_reader_open(&r), 1);
    for (int i = 0; i < 10000; i++) {
        for (size_t at = 0; at < bytes.n; at += e.data.n) {
            at += fcgi_reader_next(&r, bytes.p + at, bytes.n - at, &e);
            if (e.event == FCGI_EVENT_STDERR)
                fcgi_reader_took(&r, e.data.n);
            told += e.data.n;
        }
    }
    assert_int_equal(told, (uint64_t)65535 * 10000);
    assert_int_equal(mem_live_blocks(), 0);
    fcgi_peer_free(&bytes);
}

/* ---- many requests at once, against what was generated ---- */

#define STREAMS 5
#define STREAM_BYTES 4000

struct generated {
    uint8_t text[2][STREAM_BYTES];       /* stdout, stderr */
    size_t n[2], seen[2];
    bool over[2], ended, end_seen, discarded;
    uint32_t app_status;
};

static void generate_record(struct chance *c, struct generated *g, unsigned id, struct fcgi_peer_bytes *bytes)
{
    size_t which = chance_below(c, 2), room = STREAM_BYTES - g->n[which];
    size_t n = room == 0 || chance_one_in(c, 6) ? 0 : 1 + chance_below(c, room < 300 ? room : 300);
    size_t padding_n = chance_one_in(c, 2) ? 0 : chance_below(c, 256);

    if (chance_one_in(c, 12)) {
        g->ended = true;
        g->app_status = (uint32_t)chance_next(c);
        fcgi_peer_end(bytes, id, g->app_status, (unsigned)chance_below(c, 4), padding_n);
        return;
    }
    if (g->over[which])
        return;
    for (size_t i = 0; i < n; i++)
        g->text[which][g->n[which] + i] = (uint8_t)chance_next(c);
    fcgi_peer_send(bytes, which == 0 ? 6 : 7, id, g->text[which] + g->n[which], n, padding_n);
    g->n[which] += n;
    g->over[which] = n == 0;
}

static void check_event(struct chance *c, struct generated *all, struct fcgi_reader *r, const struct fcgi_result *e, size_t *at)
{
    struct generated *g = &all[e->id];
    size_t which = e->event == FCGI_EVENT_STDOUT ? 0 : 1, taken = chance_below(c, e->data.n + 1);

    assert_int_not_equal(e->event, FCGI_EVENT_FAULT);
    if (e->event == FCGI_EVENT_MORE)
        return;
    assert_true(e->id >= 1 && e->id <= STREAMS && !g->end_seen);
    if (e->event == FCGI_EVENT_END) {
        g->end_seen = true;
        assert_int_equal(e->app_status, g->app_status);
        return;
    }
    assert_false(g->discarded);
    assert_true(taken <= g->n[which] - g->seen[which]);
    assert_memory_equal(e->data.p, g->text[which] + g->seen[which], e->data.n);
    fcgi_reader_took(r, taken);
    g->seen[which] += taken;
    *at += taken;
}

static void interleaved(struct chance *c, struct generated *all, struct fcgi_peer_bytes *bytes)
{
    struct fcgi_reader r;
    struct fcgi_result e = { .event = FCGI_EVENT_MORE };
    size_t at = 0, seen = 0;

    fcgi_reader_init(&r);
    for (unsigned id = 1; id <= STREAMS; id++) {
        assert_int_equal(fcgi_reader_open(&r), id);
        all[id].discarded = chance_one_in(c, 5);
        if (all[id].discarded)
            fcgi_reader_discard(&r, id);
    }
    while (at < bytes->n || e.event != FCGI_EVENT_MORE) {
        if (e.event == FCGI_EVENT_MORE)
            seen += chance_below(c, bytes->n - seen + 1);
        at += fcgi_reader_next(&r, bytes->p + at, seen - at, &e);
        check_event(c, all, &r, &e, &at);
    }
    assert_true(fcgi_reader_is_idle(&r));
    for (unsigned id = 1; id <= STREAMS; id++)
        for (int which = 0; which < 2; which++)
            assert_int_equal(all[id].seen[which], all[id].discarded ? 0 : all[id].n[which]);
}

static void in_interleaved(void **state)
{
    static struct generated all[STREAMS + 1];
    struct chance c = chance_seeded("fcgi_reader");
    struct fcgi_peer_bytes bytes = { 0 };

    (void)state;
    for (int round = 0; round < 400; round++) {
        memset(all, 0, sizeof(all));
        bytes.n = 0;
        for (unsigned open = STREAMS; open > 0;) {
            unsigned id = 1 + (unsigned)chance_below(&c, STREAMS);
            if (all[id].ended)
                continue;
            generate_record(&c, &all[id], id, &bytes);
            open -= all[id].ended;
        }
        interleaved(&c, all, &bytes);
    }
    fcgi_peer_free(&bytes);
}

/* What may pass without being shown: the content of a record that is long enough, of that request, and nothing else. */
static void in_due(void **state)
{
    static const uint8_t stdout_long[] = { 1, 6, 0, 1, 0x80, 0, 8, 0, 'a', 'b' };        /* 32768 bytes, and 8 of padding */
    static const uint8_t stderr_long[] = { 1, 7, 0, 1, 0x80, 0, 0, 0, 'a' };
    static uint8_t padding[8];
    struct fcgi_result e;
    struct fcgi_reader r;

    (void)state;
    fcgi_reader_init(&r);
    assert_int_equal(fcgi_reader_open(&r), 1);
    assert_int_equal(fcgi_reader_open(&r), 2);
    assert_int_equal(fcgi_reader_due(&r, 1, 1), 0);
    assert_int_equal(fcgi_reader_next(&r, stdout_long, sizeof(stdout_long), &e), 8);
    assert_int_equal(e.event, FCGI_EVENT_STDOUT);
    assert_int_equal(fcgi_reader_due(&r, 1, 32768), 32768);
    assert_int_equal(fcgi_reader_due(&r, 1, 32769), 0);
    assert_int_equal(fcgi_reader_due(&r, 2, 1), 0);
    fcgi_reader_took(&r, 32760);
    assert_int_equal(fcgi_reader_due(&r, 1, 32768), 8);  /* it was that long when it began */
    fcgi_reader_took(&r, 8);
    assert_int_equal(fcgi_reader_due(&r, 1, 32768), 0);
    assert_int_equal(fcgi_reader_next(&r, padding, 8, &e), 8);
    assert_int_equal(fcgi_reader_due(&r, 1, 0), 0);
    assert_int_equal(fcgi_reader_next(&r, stderr_long, sizeof(stderr_long), &e), 8);
    assert_int_equal(e.event, FCGI_EVENT_STDERR);
    assert_int_equal(fcgi_reader_due(&r, 1, 1), 0);
    fcgi_reader_took(&r, 32768);
    assert_int_equal(fcgi_reader_next(&r, stdout_long, 8, &e), 8);
    assert_int_equal(fcgi_reader_due(&r, 1, 1), 32768);
    fcgi_reader_discard(&r, 1);
    assert_int_equal(fcgi_reader_due(&r, 1, 1), 0);      /* it is skipped */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_rows),
        cmocka_unit_test(in_sticky),
        cmocka_unit_test(in_ids),
        cmocka_unit_test(in_longest),
        cmocka_unit_test(in_endless_stderr),
        cmocka_unit_test(in_interleaved),
        cmocka_unit_test(in_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
