/* FastCGI records out: every length at the borders of one record, through sinks that take what they like, read back by the other
 * side's reader. */
#include "protocol/fcgi_record.h"
#include "protocol/mem.h"
#include "tests/protocol/chance.h"
#include "tests/protocol/fcgi_peer.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void header_bytes(void **state)
{
    static const struct {
        enum fcgi_type type;
        unsigned id;
        size_t content_n;
        const char *due;
    } rows[] = {
        { FCGI_STDIN, 1, 0, "\1\5\0\1\0\0\0\0" },          { FCGI_STDIN, 1, 1, "\1\5\0\1\0\1\7\0" },
        { FCGI_STDIN, 1, 8, "\1\5\0\1\0\x8\0\0" },         { FCGI_PARAMS, 258, 513, "\1\4\1\2\2\1\7\0" },
        { FCGI_STDIN, 65535, 65535, "\1\5\xff\xff\xff\xff\1\0" }, { FCGI_STDIN, 1, 65528, "\1\5\0\1\xff\xf8\0\0" },
        { FCGI_ABORT_REQUEST, 2, 0, "\1\2\0\2\0\0\0\0" },   { FCGI_GET_VALUES, 0, 6, "\1\x9\0\0\0\6\2\0" },
    };
    uint8_t out[FCGI_HEADER_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t padding_n = fcgi_write_header(out, rows[i].type, rows[i].id, rows[i].content_n);
        assert_memory_equal(out, rows[i].due, sizeof(out));
        assert_int_equal(padding_n, out[6]);
        assert_int_equal((rows[i].content_n + padding_n) % 8, 0);
    }
}

static bool aborts(enum fcgi_type type, unsigned id, size_t content_n)
{
    uint8_t out[FCGI_HEADER_BYTES];
    int status;
    pid_t child = fork();

    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(2);
        fcgi_write_header(out, type, id, content_n);
        _exit(0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* A length that does not fit is a bug of ours, and never 16 bits of it. */
static void header_asserts(void **state)
{
    (void)state;
    assert_true(aborts(FCGI_STDIN, 1, 65536));
    assert_true(aborts(FCGI_STDIN, 1, (size_t)1 << 32));
    assert_true(aborts(FCGI_STDIN, 1, SIZE_MAX));
    assert_true(aborts(FCGI_STDIN, 65536, 1));
    assert_true(aborts(FCGI_STDIN, 0, 1));
    assert_true(aborts(FCGI_GET_VALUES, 1, 1));
    assert_false(aborts(FCGI_STDIN, 1, 65535));
}

static void get_values(void **state)
{
    static const char *const names[] = { "FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS" };
    uint8_t out[FCGI_GET_VALUES_BYTES];
    struct fcgi_peer_record record;
    struct fcgi_peer_pair pair;
    size_t at = 0;

    (void)state;
    fcgi_write_get_values(out);
    assert_int_equal(fcgi_peer_record(out, sizeof(out), &record), sizeof(out));
    assert_int_equal(record.type, 9);
    assert_int_equal(record.id, 0);
    for (size_t i = 0; i < 3; i++) {
        at += fcgi_peer_pair(record.content + at, record.content_n - at, &pair);
        assert_int_equal(pair.name_n, strlen(names[i]));
        assert_memory_equal(pair.name, names[i], pair.name_n);
        assert_int_equal(pair.value_n, 0);
    }
    assert_int_equal(at, record.content_n);
}

/* The records of one stream, up to and with the empty one that ends it: the content has to be that of `due`. Its bytes' count. */
static size_t read_stream(const uint8_t *p, size_t n, unsigned type, unsigned id, const uint8_t *due, size_t due_n)
{
    struct fcgi_peer_record record;
    size_t at = 0, got = 0;

    do {
        size_t whole = fcgi_peer_record(p + at, n - at, &record);
        assert_true(whole > 0);
        assert_int_equal(record.version, 1);
        assert_int_equal(record.type, type);
        assert_int_equal(record.id, id);
        assert_int_equal(record.reserved, 0);
        assert_int_equal(whole % 8, 0);
        assert_true(record.content_n <= due_n - got);
        if (record.content_n > 0)
            assert_memory_equal(record.content, due + got, record.content_n);
        for (size_t i = 0; i < record.padding_n; i++)
            assert_int_equal(record.content[record.content_n + i], 0);
        got += record.content_n;
        at += whole;
    } while (record.content_n > 0);
    assert_int_equal(got, due_n);
    return at;
}

/* Around the pairs in their place come the same bytes. */
static void frame_with(const uint8_t *data, size_t n, bool keep, bool has_body, struct span due)
{
    uint8_t *place = malloc(n + FCGI_AROUND_BYTES);
    struct span bytes;

    assert_non_null(place);
    memcpy(place + FCGI_BEFORE_BYTES, data, n);
    bytes = fcgi_frame_begin(place + FCGI_BEFORE_BYTES, n, 7, keep, has_body);
    assert_ptr_equal(bytes.p, place);
    assert_int_equal(bytes.n, due.n);
    assert_memory_equal(bytes.p, due.p, due.n);
    free(place);
}

static void begin_with(struct arena *a, const uint8_t *data, size_t n, bool keep, bool has_body)
{
    struct span bytes = fcgi_write_begin(a, 7, keep, span_of(data, n), has_body);
    struct fcgi_peer_record record;
    size_t at;

    assert_non_null(bytes.p);
    at = fcgi_peer_record(bytes.p, bytes.n, &record);
    assert_int_equal(at, 16);
    assert_int_equal(record.type, 1);
    assert_int_equal(record.id, 7);
    assert_memory_equal(record.content, keep ? "\0\1\1\0\0\0\0\0" : "\0\1\0\0\0\0\0\0", 8);
    at += read_stream(bytes.p + at, bytes.n - at, 4, 7, data, n);
    if (!has_body)
        at += read_stream(bytes.p + at, bytes.n - at, 5, 7, NULL, 0);
    assert_int_equal(at, bytes.n);
    if (n > 0 && n <= FCGI_CONTENT_OURS)
        frame_with(data, n, keep, has_body, bytes);
}

static void begin_sizes(void **state)
{
    static const size_t sizes[] = { 0,     1,     7,     8,     9,     127,    65520,  65527,  65528,
                                    65529, 65535, 65536, 65537, 131055, 131056, 131057, 300000 };
    static uint8_t data[300000];
    struct arena a;

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        arena_init(&a, 1 << 20);
        begin_with(&a, data, sizes[i], true, true);
        begin_with(&a, data, sizes[i], false, false);
        arena_free(&a);
    }
    arena_init(&a, 1000);
    assert_null(fcgi_write_begin(&a, 1, true, span_of(data, 5000), true).p);
    assert_int_equal(mem_live_blocks(), 0);
}

/* A stream that is there in windows of any size, through a sink that takes what it likes. */
static void send_stream(struct chance *c, const uint8_t *data, size_t n, struct fcgi_peer_bytes *sink)
{
    struct fcgi_out out;
    size_t sent = 0, idle = 0;
    uint8_t end[FCGI_HEADER_BYTES];

    fcgi_out_init(&out, FCGI_STDIN, 3);
    assert_true(fcgi_out_at_border(&out));
    while ((sent < n || !fcgi_out_at_border(&out)) && idle < 1000) {
        size_t window = chance_one_in(c, 3) ? n - sent : chance_below(c, n - sent + 1);
        struct span piece = fcgi_out_piece(&out, span_of(data + sent, window));
        size_t taken = chance_one_in(c, 3) ? piece.n : chance_below(c, piece.n + 1);

        fcgi_peer_put(sink, piece.p, taken);
        sent += fcgi_out_sent(&out, taken);
        idle = taken > 0 ? 0 : idle + 1;
    }
    assert_int_equal(sent, n);
    fcgi_write_header(end, FCGI_STDIN, 3, 0);
    fcgi_peer_put(sink, end, sizeof(end));
}

static void out_randomly(void **state)
{
    static uint8_t data[400000];
    struct chance c = chance_seeded("fcgi_out");
    struct fcgi_peer_bytes sink = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)chance_next(&c);
    for (int round = 0; round < 300; round++) {
        size_t n = chance_below(&c, round % 10 == 0 ? sizeof(data) : 2000);
        sink.n = 0;
        send_stream(&c, data, n, &sink);
        assert_int_equal(read_stream(sink.p, sink.n, 5, 3, data, n), sink.n);
    }
    fcgi_peer_free(&sink);
}

static void out_of_nothing(void **state)
{
    struct fcgi_out out;

    (void)state;
    fcgi_out_init(&out, FCGI_STDIN, 3);
    assert_int_equal(fcgi_out_piece(&out, SPAN_EMPTY).n, 0);
    assert_true(fcgi_out_at_border(&out));
}

/* ---- pairs ---- */

static void pair_lengths(void **state)
{
    static const size_t lengths[] = { 0, 1, 126, 127, 128, 129, 255, 256, 65535, 65536, 70000 };
    static uint8_t bytes[8 + 140000];
    const size_t count = sizeof(lengths) / sizeof(lengths[0]);

    (void)state;
    for (size_t i = 0; i < count * count; i++) {
        size_t name_n = lengths[i / count], value_n = lengths[i % count];
        size_t n = fcgi_write_pair_head(bytes, name_n, value_n) + name_n + value_n;
        struct fcgi_peer_pair pair;
        struct span rest = span_of(bytes, n), name, value;

        assert_int_equal(fcgi_peer_pair(bytes, n, &pair), n);
        assert_int_equal(pair.name_n, name_n);
        assert_int_equal(pair.value_n, value_n);
        assert_true(fcgi_read_pair(&rest, &name, &value));
        assert_int_equal(rest.n, 0);
        assert_int_equal(name.n, name_n);
        assert_int_equal(value.n, value_n);
        for (size_t cut = 0; cut < n; cut += cut < 300 ? 1 : 997) {
            rest = span_of(bytes, cut);
            assert_false(fcgi_read_pair(&rest, &name, &value));
            assert_int_equal(rest.n, cut);
        }
    }
}

/* Lengths whose sum is too large for 32 bits. */
static void pair_overflow(void **state)
{
    static const uint8_t bytes[] = "\xff\xff\xff\xff\xff\xff\xff\xff" "namevalue";
    struct span rest = span_of(bytes, sizeof(bytes) - 1), name, value;

    (void)state;
    assert_false(fcgi_read_pair(&rest, &name, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_bytes),
        cmocka_unit_test(header_asserts),
        cmocka_unit_test(get_values),
        cmocka_unit_test(begin_sizes),
        cmocka_unit_test(out_randomly),
        cmocka_unit_test(out_of_nothing),
        cmocka_unit_test(pair_lengths),
        cmocka_unit_test(pair_overflow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
