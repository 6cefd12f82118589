/* The access log: each line is JSON whatever bytes a client sent; a reader that does not read costs lines, never a wait, and
 * is counted. */
#include "tests/gateway/scripted.h"

#include "gateway/access_log.h"
#include "tests/gateway/json.h"
#include "tests/protocol/chance.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct desk {
    struct metrics metrics;
    int fd;                              /* what is read from here is the log */
    struct log_writer *writer;
    struct access_log *log;
    struct bytes text;
    size_t blocks_before;
};

static void open_log(struct desk *d, const char *to, enum conf_access_format format)
{
    int error;

    *d = (struct desk){ .fd = d->fd, .blocks_before = mem_live_blocks() };
    d->writer = log_writer_open(to, 1, &error);
    assert_non_null(d->writer);
    assert_int_equal(log_writer_start(d->writer), 0);
    d->log = access_log_new(d->writer, 0, format, &d->metrics);
    assert_non_null(d->log);
}

static void open_by_number(struct desk *d, int fd, enum conf_access_format format)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    open_log(d, path, format);
}

static void begin(struct desk *d, enum conf_access_format format)
{
    d->fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(d->fd >= 0);
    open_by_number(d, d->fd, format);
}

static const char *read_all(struct desk *d)
{
    char part[8192];
    bool written = false;
    ssize_t n;

    for (int i = 0; i < 10000 && !written; i++) {        /* a pipe takes more when it is read */
        written = log_writer_flush(d->writer, 1);
        while ((n = read(d->fd, part, sizeof(part))) > 0)
            bytes_add(&d->text, part, (size_t)n);
    }
    assert_true(written);
    return bytes_text(&d->text);
}

static void end(struct desk *d)
{
    access_log_free(d->log);
    log_writer_close(d->writer);
    close(d->fd);
    bytes_free(&d->text);
    assert_int_equal(mem_live_blocks(), d->blocks_before);
}

/* ---- lines ---- */

static struct access_exchange usual(void)
{
    return (struct access_exchange){
        .request = { .client = SPAN_LITERAL("192.0.2.1:4711"), .listener = SPAN_LITERAL("public"), .method = SPAN_LITERAL("GET"),
                     .target = SPAN_LITERAL("/a?b"), .host = SPAN_LITERAL("example.com"), .version_minor = 1,
                     .upstream = SPAN_LITERAL("app"), .server = SPAN_LITERAL("127.0.0.1:9000") },
        .route = 4, .status = 200, .bytes_in = 1, .bytes_out = UINT64_MAX, .duration_ms = 3, .answered = true, .response_ms = 2, .attempts = 1, .end = END_COMPLETE,
    };
}

static void expect_in(const char *text, const char *what)
{
    if (strstr(text, what) == NULL)
        fail_msg("`%s` is not in %s", what, text);
}

static void an_exchange(void **state)
{
    struct desk d;
    struct access_exchange x = usual();
    const char *text;

    (void)state;
    begin(&d, CONF_ACCESS_JSON);
    access_log_exchange(d.log, &x);
    x.attempts = 2;
    x.route = 0;
    x.answered = false;
    x.end = END_CONNECT_FAILED;
    x.fault = FAULT_TRUNCATED;
    x.detail = "connection \"refused\"";
    x.request.upstream = x.request.server = SPAN_EMPTY;
    access_log_exchange(d.log, &x);
    text = read_all(&d);
    assert_int_equal(expect_json(text), 2);
    expect_in(text, "\"kind\":\"exchange\",\"client\":\"192.0.2.1:4711\",\"listener\":\"public\",\"method\":\"GET\","
                    "\"target\":\"/a?b\",\"host\":\"example.com\",\"upstream\":\"app\",\"server\":\"127.0.0.1:9000\","
                    "\"route\":4,\"status\":200,\"bytes_in\":1,\"bytes_out\":18446744073709551615,\"duration_ms\":3,\"response_ms\":2,"
                    "\"end\":\"complete\"}\n");
    expect_in(text, "\"host\":\"example.com\",\"status\":200,");         /* no server was chosen: none is named */
    expect_in(text, "\"attempts\":2,\"end\":\"connect_failed\",\"fault\":\"truncated\","
                    "\"detail\":\"connection \\\"refused\\\"\"}\n");
    end(&d);
}

static void a_tunnel(void **state)
{
    struct desk d;
    struct access_tunnel t = {
        .request = usual().request, .protocol = SPAN_LITERAL("chat"), .deflate = true, .duration_ms = 77,
        .from_client = { .frames = 3, .messages = 2, .bytes = 40, .pings = 1, .close_code = 1000 },
        .from_server = { .pongs = 1, .close_code = 1005, .blocked_ms = 9,
                         .rtt = { .n = 2, .least_ms = 1, .most_ms = 5, .sum_ms = 6 } },
        .closed_by = "client", .end = END_CLOSED,
    };
    const char *text;

    (void)state;
    begin(&d, CONF_ACCESS_JSON);
    access_log_tunnel(d.log, &t);
    t.protocol = SPAN_EMPTY;
    t.deflate = false;
    access_log_tunnel(d.log, &t);
    text = read_all(&d);
    assert_int_equal(expect_json(text), 2);
    expect_in(text, "\"kind\":\"tunnel\"");
    expect_in(text, "\"protocol\":\"chat\",\"compression\":\"permessage-deflate\",\"duration_ms\":77,");
    expect_in(text, "\"from_client\":{\"frames\":3,\"messages\":2,\"bytes\":40,\"pings\":1,\"pongs\":0,\"close_code\":1000,"
                    "\"blocked_ms\":0}");
    expect_in(text, "\"close_code\":1005,\"blocked_ms\":9,\"rtt_ms\":{\"n\":2,\"min\":1,\"avg\":3,\"max\":5}},"
                    "\"closed_by\":\"client\",\"end\":\"closed\"}\n");
    expect_in(text, "\"server\":\"127.0.0.1:9000\",\"compression\":\"none\"");
    end(&d);
}

static void the_combined_format(void **state)
{
    struct desk d;
    struct access_exchange x = usual();
    struct access_tunnel t = { .request = x.request, .closed_by = "client", .end = END_CLOSED };
    const char *text;

    (void)state;
    begin(&d, CONF_ACCESS_COMBINED);
    x.request.referer = SPAN_LITERAL("http://a/\"b\\");
    x.request.user_agent = SPAN_LITERAL("curl\x7f\xff");
    x.request.client = SPAN_LITERAL("[2001:db8::1]:80");
    x.bytes_out = 5;
    access_log_exchange(d.log, &x);
    x.request.client = SPAN_LITERAL("[2001:db8::2]");    /* a field told it, without a port */
    access_log_exchange(d.log, &x);
    x.request.client = SPAN_LITERAL("192.0.2.9");
    access_log_exchange(d.log, &x);
    x.request.client = SPAN_LITERAL("unix:");
    access_log_exchange(d.log, &x);
    x = usual();
    x.request.target = SPAN_LITERAL("/\r\nforged");
    x.request.user = SPAN_LITERAL("an n\"\n");
    access_log_exchange(d.log, &x);
    access_log_tunnel(d.log, &t);        /* has had its line */
    text = read_all(&d);
    expect_in(text, "[2001:db8::1] - - [");
    expect_in(text, " +0000] \"GET /a?b HTTP/1.1\" 200 5 \"http://a/\\x22b\\x5c\" \"curl\\x7f\\xff\"\n");
    expect_in(text, "\n[2001:db8::2] - - [");
    expect_in(text, "\n192.0.2.9 - - [");
    expect_in(text, "\nunix - - [");
    expect_in(text, "192.0.2.1 - an\\x20n\\x22\\x0a [");
    expect_in(text, "\"GET /\\x0d\\x0aforged HTTP/1.1\" 200 18446744073709551615 \"-\" \"-\"\n");
    assert_int_equal(d.text.n > 0 && d.text.p[d.text.n - 1] == '\n', 1);
    for (const char *at = text; (at = strstr(at, "\n")) != NULL; at++)
        assert_true(at[1] == '\0' || at[1] == '1' || at[1] == '[' || at[1] == 'u');
    end(&d);
}

static void off_is_off(void **state)
{
    struct desk d;
    struct access_exchange x = usual();
    struct access_log *none;

    (void)state;
    begin(&d, CONF_ACCESS_OFF);
    access_log_exchange(d.log, &x);
    none = access_log_new(NULL, 0, CONF_ACCESS_JSON, &d.metrics);
    access_log_exchange(none, &x);
    access_log_free(none);
    access_log_free(NULL);
    assert_string_equal(read_all(&d), "");
    end(&d);
}

/* ---- hostile bytes ---- */

static void random_text(struct chance *c, uint8_t *to, size_t n)
{
    static const char *const pieces[] = { "\"", "\\", "\\u", "\n", "\r", "\x00", "\x7f", "\xc3\xa9", "\xe2\x82\xac",
                                          "\xf0\x9f\x98\x80", "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                          "</script>", "," };

    for (size_t i = 0; i < n;) {
        const char *piece = pieces[chance_below(c, COUNT_OF(pieces))];
        size_t size = *piece == '\0' ? 1 : strlen(piece);
        if (chance_one_in(c, 3)) {
            to[i++] = (uint8_t)chance_next(c);
            continue;
        }
        for (size_t at = 0; at < size && i < n; at++)
            to[i++] = (uint8_t)piece[at];
    }
}

static void any_bytes_give_json(void **state)
{
    struct chance c = chance_seeded("test_access_log");
    static uint8_t text[6][5000];
    struct desk d;

    (void)state;
    begin(&d, CONF_ACCESS_JSON);
    for (int round = 0; round < 400; round++) {
        struct access_exchange x = usual();
        struct access_tunnel t = { .closed_by = "server", .end = END_CLOSED };
        struct span *fields[] = { &x.request.client, &x.request.listener, &x.request.method, &x.request.target,
                                  &x.request.host, &t.protocol };
        for (size_t i = 0; i < COUNT_OF(fields); i++) {
            size_t n = chance_below(&c, chance_one_in(&c, 8) ? sizeof(text[i]) : 40);
            random_text(&c, text[i], n);
            *fields[i] = span_of(text[i], n);
        }
        t.request = x.request;
        access_log_exchange(d.log, &x);
        access_log_tunnel(d.log, &t);
        assert_true(log_writer_flush(d.writer, 10000));
    }
    assert_int_equal(expect_json(read_all(&d)), 800);
    assert_int_equal(d.metrics.access_lines_dropped, 0);
    end(&d);
}

static void each_single_byte_in_a_field(void **state)
{
    struct desk d;

    (void)state;
    begin(&d, CONF_ACCESS_JSON);
    for (unsigned byte = 0; byte < 256; byte++) {
        struct access_exchange x = usual();
        uint8_t text[3] = { 'a', (uint8_t)byte, 'z' };
        char due[16];
        x.request.target = span_of(text, 3);
        access_log_exchange(d.log, &x);
        read_all(&d);
        if (byte == '"' || byte == '\\')
            snprintf(due, sizeof(due), "\"a\\%cz\"", (int)byte);
        else if (byte < 0x20 || byte >= 0x7f)
            snprintf(due, sizeof(due), "\"a\\u%04xz\"", byte);
        else
            snprintf(due, sizeof(due), "\"a%cz\"", (int)byte);
        expect_in(bytes_text(&d.text), due);
        assert_int_equal(expect_json(bytes_text(&d.text)), 1);
        d.text.n = 0;
    }
    end(&d);
}

static void a_long_field_is_cut_and_says_so(void **state)
{
    struct desk d;
    struct access_exchange x = usual();
    static char target[3 * ACCESS_LOG_TEXT_BYTES];

    (void)state;
    begin(&d, CONF_ACCESS_JSON);
    memset(target, 'x', sizeof(target));
    x.request.target = span_of(target, ACCESS_LOG_TEXT_BYTES);
    access_log_exchange(d.log, &x);
    assert_null(strstr(read_all(&d), "…"));
    x.request.target = span_of(target, sizeof(target));
    access_log_exchange(d.log, &x);
    expect_in(read_all(&d), "xxx…\",");
    memcpy(target + ACCESS_LOG_TEXT_BYTES - 1, "\xc3\xa9", 2);           /* the cut goes through a character */
    access_log_exchange(d.log, &x);
    assert_int_equal(expect_json(read_all(&d)), 3);
    end(&d);
}

/* ---- a reader that does not read ---- */

static void begin_with_pipe(struct desk *d, int fds[2])
{
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    d->fd = fds[0];
    open_by_number(d, fds[1], CONF_ACCESS_JSON);
}

static void a_full_pipe_drops_and_counts_and_never_waits(void **state)
{
    struct desk d;
    struct access_exchange x = usual();
    int fds[2];
    size_t written = 20000, lines, before;

    (void)state;
    begin_with_pipe(&d, fds);
    for (size_t i = 0; i < written; i++) {
        x.bytes_in = i;
        access_log_exchange(d.log, &x);
    }
    assert_true(d.metrics.access_lines_dropped > 0);
    assert_true(mem_live_bytes() < 2 * LOG_WRITER_BYTES);
    lines = expect_json(read_all(&d));   /* the reader wakes up: whole lines, none torn */
    assert_int_equal(lines + d.metrics.access_lines_dropped, written);
    before = lines;
    access_log_exchange(d.log, &x);
    assert_int_equal(expect_json(read_all(&d)), before + 1);     /* and it goes on */
    close(fds[1]);
    end(&d);
}

static void a_slow_reader_gets_every_line_whole(void **state)
{
    struct chance c = chance_seeded("test_access_log");
    struct desk d;
    int fds[2];
    size_t written = 0;

    (void)state;
    begin_with_pipe(&d, fds);
    for (int round = 0; round < 300; round++) {
        struct access_exchange x = usual();
        static char target[4000];
        char part[700];
        ssize_t n;
        for (size_t lines = chance_below(&c, 4); lines > 0; lines--) {
            memset(target, 'a' + (int)(written % 26), sizeof(target));
            x.request.target = span_of(target, chance_below(&c, sizeof(target)));
            access_log_exchange(d.log, &x);
            written++;
        }
        n = read(d.fd, part, 1 + chance_below(&c, sizeof(part)));
        if (n > 0)
            bytes_add(&d.text, part, (size_t)n);
    }
    assert_int_equal(expect_json(read_all(&d)) + d.metrics.access_lines_dropped, written);
    close(fds[1]);
    end(&d);
}

static void a_reader_that_is_gone(void **state)
{
    struct desk d;
    struct access_exchange x = usual();
    int fds[2];

    (void)state;
    signal(SIGPIPE, SIG_IGN);            /* as main does */
    begin_with_pipe(&d, fds);
    close(fds[0]);
    d.fd = fds[1];
    for (int i = 0; i < 3000; i++)
        access_log_exchange(d.log, &x);
    assert_true(d.metrics.access_lines_dropped > 0);
    end(&d);
}

static void no_memory_drops_a_line_and_counts_it(void **state)
{
    struct desk d;
    struct access_exchange x = usual();

    (void)state;
    begin(&d, CONF_ACCESS_JSON);
    mem_fail_nth(1);
    access_log_exchange(d.log, &x);
    mem_fail_nth(0);
    assert_string_equal(read_all(&d), "");
    assert_int_equal(d.metrics.access_lines_dropped, 1);
    access_log_exchange(d.log, &x);
    assert_int_equal(expect_json(read_all(&d)), 1);
    end(&d);
}

/* ---- files ---- */

static void reopened_after_rotation(void **state)
{
    struct desk d = { .fd = -1 };
    struct access_exchange x = usual();
    char folder[] = "/tmp/test_access_log.XXXXXX", path[64], old[64];
    struct stat st;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/access.log", folder);
    snprintf(old, sizeof(old), "%s/access.log.1", folder);
    open_log(&d, path, CONF_ACCESS_JSON);
    access_log_exchange(d.log, &x);
    assert_true(log_writer_flush(d.writer, 10000));
    assert_int_equal(rename(path, old), 0);
    access_log_exchange(d.log, &x);
    assert_true(log_writer_flush(d.writer, 10000));
    log_writer_reopen(d.writer);
    access_log_exchange(d.log, &x);
    assert_true(log_writer_flush(d.writer, 10000));
    assert_int_equal(chmod(folder, 0755), 0);
    d.fd = open(old, O_RDONLY);
    assert_int_equal(expect_json(read_all(&d)), 2);
    close(d.fd);
    d.text.n = 0;
    d.fd = open(path, O_RDONLY);
    assert_int_equal(expect_json(read_all(&d)), 1);
    assert_int_equal(fstat(d.fd, &st), 0);
    assert_int_equal(st.st_mode & 0007, 0);              /* not everybody's to read */
    unlink(path);
    unlink(old);
    rmdir(folder);
    log_writer_reopen(d.writer);         /* the folder is gone: the old file is kept */
    access_log_exchange(d.log, &x);
    assert_int_equal(expect_json(read_all(&d)), 2);
    log_writer_reopen(NULL);
    end(&d);
}

static void a_file_that_cannot_be_opened(void **state)
{
    int error = 0;

    (void)state;
    assert_null(log_writer_open("/nonexistent/access.log", 2, &error));
    assert_int_equal(error, -ENOENT);
    for (size_t nth = 1; nth <= 3; nth++) {
        mem_fail_nth(nth);
        assert_null(log_writer_open("/nonexistent/access.log", 2, &error));
        mem_fail_nth(0);
        assert_int_equal(error, -ENOMEM);
    }
    assert_int_equal(mem_live_blocks(), 0);
    log_writer_close(NULL);
}

static void what_is_left_is_written_at_the_end(void **state)
{
    struct desk d;
    struct access_exchange x = usual();
    int fd;

    (void)state;
    begin(&d, CONF_ACCESS_JSON);
    fd = dup(d.fd);
    access_log_exchange(d.log, &x);
    end(&d);
    assert_true(lseek(fd, 0, SEEK_END) > 100);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_exchange),
        cmocka_unit_test(a_tunnel),
        cmocka_unit_test(the_combined_format),
        cmocka_unit_test(off_is_off),
        cmocka_unit_test(any_bytes_give_json),
        cmocka_unit_test(each_single_byte_in_a_field),
        cmocka_unit_test(a_long_field_is_cut_and_says_so),
        cmocka_unit_test(a_full_pipe_drops_and_counts_and_never_waits),
        cmocka_unit_test(a_slow_reader_gets_every_line_whole),
        cmocka_unit_test(a_reader_that_is_gone),
        cmocka_unit_test(no_memory_drops_a_line_and_counts_it),
        cmocka_unit_test(reopened_after_rotation),
        cmocka_unit_test(a_file_that_cannot_be_opened),
        cmocka_unit_test(what_is_left_is_written_at_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
