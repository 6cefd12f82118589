/* The log's lines: nobody waits for their reader or their disk, no fault fills a disk, the last of them are kept in mind. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE                      /* F_SETPIPE_SZ, memfd_create */
#endif
#include "gateway/log.h"
#include "protocol/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

struct reader {                          /* standard error is a pipe */
    int real, in;
    char text[1 << 20];
};
static struct reader reader;

static void begin(void)
{
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(fcntl(fds[1], F_SETPIPE_SZ, 8192), 8192);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    reader.real = dup(STDERR_FILENO);
    dup2(fds[1], STDERR_FILENO);
    close(fds[1]);
    reader.in = fds[0];
}

static const char *read_it(void)
{
    size_t n = 0;
    ssize_t got;

    while ((got = read(reader.in, reader.text + n, sizeof(reader.text) - 1 - n)) > 0)
        n += (size_t)got;
    reader.text[n] = '\0';
    return reader.text;
}

static void end(void)
{
    dup2(reader.real, STDERR_FILENO);
    close(reader.real);
    close(reader.in);
}

static size_t count_of(const char *text, const char *word)
{
    size_t n = 0;

    for (; (text = strstr(text, word)) != NULL; text++)
        n++;
    return n;
}

static void nobody_waits_for_a_reader(void **state)
{
    uint64_t dropped, repeats, before;
    const char *text;

    (void)state;
    log_lost(&before, &repeats);
    begin();
    for (int i = 0; i < 150; i++)
        log_warn("number %d of a long series of lines that are all different from each other", i);
    log_lost(&dropped, &repeats);
    text = read_it();
    assert_non_null(strstr(text, "warn  number 0 "));
    assert_int_equal(count_of(text, "\n") + dropped - before, 150);
    assert_true(dropped > before);
    log_warn("there is room again");
    text = read_it();
    assert_non_null(strstr(text, "lines are missing here: nobody read the log\nwarn  there is room again\n"));
    log_warn("as before");
    assert_string_equal(read_it(), "warn  as before\n");
    end();
}

static void the_same_again_and_again_is_left_out(void **state)
{
    uint64_t dropped, before, repeats;
    size_t seen = 0, kinds = 0;

    (void)state;
    log_lost(&dropped, &before);
    begin();
    for (int i = 0; i < 10 * LOG_REPEATS; i++) {
        log_error("the disk is full");
        seen += count_of(read_it(), "the disk is full\n");
    }
    assert_true(seen >= LOG_REPEATS && seen <= 2 * LOG_REPEATS);         /* where the test took more than LOG_REPEATS_S */
    for (int i = 0; i < 10 * LOG_OF_A_KIND; i++) {
        log_info("a client at port %d broke the protocol", i);
        kinds += count_of(read_it(), "broke the protocol");
    }
    assert_true(kinds >= LOG_OF_A_KIND && kinds < 10 * LOG_OF_A_KIND);
    log_lost(&dropped, &repeats);
    assert_int_equal(repeats - before, 10 * LOG_REPEATS - seen + 10 * LOG_OF_A_KIND - kinds);
    log_error("something else");
    assert_string_equal(read_it(), "error something else\n");
    end();
}

static void the_last_ones_are_kept_in_mind(void **state)
{
    struct text out;

    (void)state;
    begin();
    for (int i = 0; i < LOG_RECENT; i++)
        log_warn("filling up, %d", i);
    log_error("the <first>");
    log_error("the <first>");
    log_info("nothing to keep");
    log_warn("the \"second\"\x01");
    end();
    text_init(&out);
    log_recent(&out);
    text_put(&out, span_of("", 1));
    assert_false(out.bad);
    assert_int_equal(strncmp(out.p, "{\"at\":", 6), 0);
    assert_non_null(strstr(out.p, "\"level\":\"warn\",\"times\":1,\"words\":\"the \\u0022second\\u0022?\"},{\"at\":"));
    assert_non_null(strstr(out.p, "\"level\":\"error\",\"times\":2,\"words\":\"the \\u003cfirst>\"}"));
    assert_null(strstr(out.p, "nothing to keep"));
    assert_int_equal(count_of(out.p, "\"words\""), LOG_RECENT);
    text_free(&out);
}

static void a_thread_overhears_itself(void **state)
{
    struct text out;

    (void)state;
    begin();
    text_init(&out);
    log_overhear(&out);
    log_error("wrong: %d", 1);
    log_info("all is well");
    log_warn("odd: %d", 2);
    log_overhear(NULL);
    log_error("wrong: 3");
    end();
    assert_int_equal(out.n, strlen("wrong: 1\nodd: 2\n"));
    assert_memory_equal(out.p, "wrong: 1\nodd: 2\n", out.n);
    text_free(&out);
}

/* ---- standard error is a file ---- */

static atomic_bool stalls;

/* The disk, in the place of the C library's call. */
ssize_t writev(int fd, const struct iovec *parts, int n)
{
    while (stalls)
        usleep(200);
    return (ssize_t)syscall(SYS_writev, fd, parts, n);
}

static void begin_with_file(void)
{
    int fd = memfd_create("log", MFD_CLOEXEC);

    assert_true(fd >= 0);
    reader.real = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    reader.in = fd;
    assert_int_equal(log_start(), 0);
}

static const char *read_file(void)
{
    lseek(reader.in, 0, SEEK_SET);
    return read_it();
}

static void say_long(int from, int n)
{
    char words[LOG_LINE_BYTES - 64];

    memset(words, 'x', sizeof(words));
    for (int i = from; i < from + n; i++)
        log_warn("%d %.*s", i, (int)sizeof(words), words);
}

static void nobody_waits_for_a_disk(void **state)
{
    uint64_t dropped, repeats, before;
    const char *text;

    (void)state;
    log_lost(&before, &repeats);
    begin_with_file();
    stalls = true;
    say_long(0, 400);
    log_lost(&dropped, &repeats);
    assert_true(dropped > before);
    stalls = false;
    for (int i = 0; i < 20000 && count_of(read_file(), "x\n") + dropped - before < 400; i++)
        usleep(1000);
    log_warn("there is room again");
    log_end();
    text = read_file();
    assert_int_equal(count_of(text, "x\n") + dropped - before, 400);
    assert_non_null(strstr(text, " lines are missing here: the disk did not keep up\nwarn  there is room again\n"));
    log_warn("as before");               /* by whoever says it */
    assert_non_null(strstr(read_file(), "room again\nwarn  as before\n"));
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_waits_for_a_reader),
        cmocka_unit_test(nobody_waits_for_a_disk),
        cmocka_unit_test(the_same_again_and_again_is_left_out),
        cmocka_unit_test(the_last_ones_are_kept_in_mind),
        cmocka_unit_test(a_thread_overhears_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
