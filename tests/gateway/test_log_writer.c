/* The writer of log lines, over disks that stall, fill up or take a line in pieces: nobody waits, what was taken comes out whole and in order,
 * what was not is counted and said. The disk is writev() below, which the writer calls in the place of the C library's. */
#include "gateway/log_writer.h"
#include "gateway/log.h"
#include "tests/gateway/scripted.h"
#include "tests/protocol/chance.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the disk ---- */

static struct {
    atomic_bool stalls, stuck;           /* stuck: a call is in it */
    atomic_int error;                    /* of every call; 0: it writes */
    atomic_size_t most;                  /* bytes of one call; 0: all */
    atomic_size_t room;                  /* bytes, then ENOSPC, where `full` is set */
    atomic_bool full;
    atomic_uint calls;
} disk;

static size_t taken_of(const struct iovec *parts, size_t n)
{
    size_t all = 0;

    for (size_t i = 0; i < n; i++)
        all += parts[i].iov_len;
    if (disk.most > 0 && all > disk.most)
        all = disk.most;
    if (disk.full && all > disk.room)
        all = disk.room;
    return all;
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    size_t all = taken_of(parts, (size_t)n);
    struct iovec cut[2] = { parts[0], parts[1] };

    disk.calls++;
    while (disk.stalls) {
        disk.stuck = true;
        usleep(200);
    }
    disk.stuck = false;
    if (disk.error != 0 || (disk.full && disk.room == 0)) {
        errno = disk.error != 0 ? disk.error : ENOSPC;
        return -1;
    }
    if (cut[0].iov_len > all)
        cut[0].iov_len = all;
    if (cut[1].iov_len > all - cut[0].iov_len)
        cut[1].iov_len = all - cut[0].iov_len;
    disk.room -= disk.full ? all : 0;
    return (ssize_t)syscall(SYS_writev, fd, cut, 2);
}

/* ---- a desk ---- */

struct desk {
    char folder[64], path[128];
    struct log_writer *writer;
    pthread_mutex_t lock;
    struct bytes said;                   /* by the writer, in the log */
    struct bytes text;
    size_t blocks_before;
};

static void hear(void *ctx, const char *line, size_t n)
{
    struct desk *d = ctx;

    pthread_mutex_lock(&d->lock);
    bytes_add(&d->said, line, n);
    pthread_mutex_unlock(&d->lock);
}

static void begin(struct desk *d, unsigned rings)
{
    int error;

    *d = (struct desk){ .folder = "/tmp/test_log_writer.XXXXXX", .lock = PTHREAD_MUTEX_INITIALIZER, .blocks_before = mem_live_blocks() };
    memset(&disk, 0, sizeof(disk));
    log_set_sink(hear, d);
    assert_non_null(mkdtemp(d->folder));
    snprintf(d->path, sizeof(d->path), "%s/log", d->folder);
    d->writer = log_writer_open(d->path, rings, &error);
    assert_non_null(d->writer);
    assert_int_equal(log_writer_start(d->writer), 0);
}

static void put(struct desk *d, const char *line)
{
    assert_true(log_writer_put(d->writer, 0, line, strlen(line)));
}

static const char *read_path(struct desk *d, const char *path)
{
    char part[8192];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    assert_true(fd >= 0);
    d->text.n = 0;
    while ((n = read(fd, part, sizeof(part))) > 0)
        bytes_add(&d->text, part, (size_t)n);
    close(fd);
    return bytes_text(&d->text);
}

static const char *read_all(struct desk *d)
{
    assert_true(log_writer_flush(d->writer, 20000));
    return read_path(d, d->path);
}

static bool has_said(struct desk *d, const char *what)
{
    bool said;

    pthread_mutex_lock(&d->lock);
    said = d->said.n > 0 && strstr(bytes_text(&d->said), what) != NULL;
    pthread_mutex_unlock(&d->lock);
    return said;
}

static size_t lines_in(const struct bytes *b)
{
    size_t n = 0;

    for (size_t i = 0; i < b->n; i++)
        n += b->p[i] == '\n';
    return n;
}

static void wait_said(struct desk *d, const char *what)
{
    for (int i = 0; i < 20000 && !has_said(d, what); i++)
        usleep(1000);
    if (!has_said(d, what))
        fail_msg("`%s` was not said, but: %s", what, bytes_text(&d->said));
}

static void wait_stuck(void)
{
    for (int i = 0; i < 20000 && !disk.stuck; i++)
        usleep(1000);
    assert_true(disk.stuck);
}

static void end(struct desk *d)
{
    log_writer_close(d->writer);
    unlink(d->path);
    rmdir(d->folder);
    log_set_sink(NULL, NULL);
    bytes_free(&d->said);
    bytes_free(&d->text);
    assert_int_equal(mem_live_blocks(), d->blocks_before);
}

/* ---- lines with numbers ---- */

static size_t numbered(char *out, unsigned ring, unsigned number, size_t bytes)
{
    size_t n = (size_t)snprintf(out, 24, "%u %u ", ring, number);

    memset(out + n, 'x', bytes);
    out[n + bytes] = '\n';
    return n + bytes + 1;
}

/* How many there are; those of one ring are in order, and each is whole. Each is looked at alone: in a text of megabytes sscanf() would look for
 * its end again at every line. */
static unsigned count_numbered(const char *text, unsigned rings)
{
    const char *end = text + strlen(text), *stop;
    unsigned last[8] = { 0 }, lines = 0;

    for (const char *at = text; at < end; at = stop + 1, lines++) {
        char line[1200];
        unsigned ring, number;
        int n = 0;
        stop = memchr(at, '\n', (size_t)(end - at));
        assert_true(stop != NULL && (size_t)(stop - at) < sizeof(line));
        memcpy(line, at, (size_t)(stop - at));
        line[stop - at] = '\0';
        assert_int_equal(sscanf(line, "%u %u %n", &ring, &number, &n), 2);
        assert_true(ring < rings && number > last[ring]);
        assert_true(strspn(line + n, "x") == (size_t)(stop - at) - (size_t)n);
        last[ring] = number;
    }
    return lines;
}

static unsigned put_many(struct desk *d, unsigned ring, unsigned first, unsigned n, struct chance *c)
{
    char line[1200];
    unsigned taken = 0;

    for (unsigned i = 0; i < n; i++)
        taken += log_writer_put(d->writer, ring, line, numbered(line, ring, first + i, c != NULL ? 1 + chance_below(c, 999) : 100));
    return taken;
}

/* ---- disks ---- */

static void a_disk_that_stalls_stops_nobody(void **state)
{
    struct desk d;
    unsigned taken;
    char due[64];

    (void)state;
    begin(&d, 1);
    disk.stalls = true;
    taken = put_many(&d, 0, 1, 1, NULL);
    wait_stuck();
    taken += put_many(&d, 0, 2, 5000, NULL);
    assert_true(taken > 2000 && taken < 5000);
    assert_true(has_said(&d, "lines of the access log"));
    assert_false(log_writer_flush(d.writer, 1));
    disk.stalls = false;
    assert_int_equal(count_numbered(read_all(&d), 1), taken);
    snprintf(due, sizeof(due), "warn  %u lines of the access log", 5001 - taken);
    wait_said(&d, due);
    assert_int_equal(put_many(&d, 0, 6000, 10, NULL), 10);
    assert_int_equal(count_numbered(read_all(&d), 1), taken + 10);
    end(&d);
}

static void losses_are_not_told_more_often_than_every_ten_seconds(void **state)
{
    struct desk d;
    time_t begun = time(NULL);
    size_t said;
    unsigned taken = 0;

    (void)state;
    begin(&d, 1);
    for (unsigned round = 0; round < 3; round++) {
        disk.stalls = true;
        taken += put_many(&d, 0, round * 10000 + 1, 5000, NULL);
        disk.stalls = false;
        assert_int_equal(count_numbered(read_all(&d), 1), taken);
        if (round == 0)
            wait_said(&d, "were lost");
    }
    pthread_mutex_lock(&d.lock);
    said = lines_in(&d.said);
    pthread_mutex_unlock(&d.lock);
    assert_true(said == 3 || time(NULL) - begun >= 10);  /* lost, so many, lost */
    end(&d);
}

static void a_disk_that_is_full(void **state)
{
    struct desk d;

    (void)state;
    begin(&d, 2);
    disk.full = true;
    disk.room = 7;
    put(&d, "the first line\n");
    wait_said(&d, "No space left on device");
    assert_true(log_writer_put(d.writer, 1, "another's line\n", 15));
    usleep(3 * LOG_WRITER_RETRY_MS * 1000);              /* is tried again, and not told again */
    assert_string_equal(read_path(&d, d.path), "the fir");
    assert_int_equal(lines_in(&d.said), 1);
    disk.full = false;
    assert_string_equal(read_all(&d), "the first line\nanother's line\n");   /* a line is not cut by another */
    end(&d);
}

static void turn_over_in_the_middle_of_a_line(const char *more, size_t n)
{
    struct desk d;
    char old[160];

    begin(&d, 1);
    snprintf(old, sizeof(old), "%s.1", d.path);
    disk.full = true;
    disk.room = 7;
    put(&d, "the first line\n");
    put(&d, "the second line\n");
    wait_said(&d, "No space left on device");
    assert_true(n == 0 || log_writer_put(d.writer, 0, more, n));
    assert_int_equal(rename(d.path, old), 0);
    log_writer_reopen(d.writer);
    for (int i = 0; i < 20000 && access(d.path, F_OK) != 0; i++)
        usleep(1000);
    disk.full = false;
    assert_memory_equal(read_all(&d), "the second line\n", 16);
    assert_int_equal(d.text.n, 16 + n);
    assert_string_equal(read_path(&d, old), "the fir");
    unlink(old);
    end(&d);
}

static void a_file_that_is_turned_over_in_the_middle_of_a_line(void **state)
{
    size_t n = LOG_WRITER_BYTES - strlen("st line\nthe second line\n");
    char *more = malloc(n);

    (void)state;
    turn_over_in_the_middle_of_a_line(NULL, 0);
    memset(more, 'x', n);
    more[n - 1] = '\n';
    turn_over_in_the_middle_of_a_line(more, n);          /* with a ring that is full to the last byte */
    free(more);
}

static void a_disk_that_takes_little(void **state)
{
    struct chance c = chance_seeded("test_log_writer");
    struct desk d;
    unsigned taken;

    (void)state;
    begin(&d, 2);
    disk.most = 13;
    taken = put_many(&d, 0, 1, 20, &c) + put_many(&d, 1, 1, 20, &c);
    assert_int_equal(count_numbered(read_all(&d), 2), taken);
    end(&d);
}

/* ---- many threads ---- */

struct putter {
    struct desk *desk;
    unsigned ring, taken;
    struct chance chance;
};

static void *put_lines(void *arg)
{
    struct putter *p = arg;

    p->taken = put_many(p->desk, p->ring, 1, 4000, &p->chance);
    return NULL;
}

static void lines_of_many_threads(void **state)
{
    struct desk d;
    struct putter putters[4];
    pthread_t threads[4];
    unsigned taken = 0;

    (void)state;
    begin(&d, 4);
    for (unsigned i = 0; i < 4; i++) {
        putters[i] = (struct putter){ .desk = &d, .ring = i, .chance = chance_seeded("test_log_writer") };
        assert_int_equal(pthread_create(&threads[i], NULL, put_lines, &putters[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        taken += putters[i].taken;
    }
    assert_int_equal(count_numbered(read_all(&d), 4), taken);
    end(&d);
}

static void what_comes_together_is_written_together(void **state)
{
    struct desk d;

    (void)state;
    begin(&d, 1);
    assert_int_equal(put_many(&d, 0, 1, 1000, NULL), 1000);
    assert_int_equal(count_numbered(read_all(&d), 1), 1000);
    assert_true(disk.calls < 500);       /* two, unless this machine is very slow */
    end(&d);
}

/* ---- the end ---- */

static void close_while_the_disk_hangs(struct desk *d)
{
    disk.stalls = true;
    put(d, "a line\n");
    wait_stuck();
    log_writer_close(d->writer);
    d->writer = NULL;
    assert_true(has_said(d, "hangs"));
}

static void whoever_closes_does_not_wait_for_a_disk_that_hangs(void **state)
{
    struct desk d;

    (void)state;
    begin(&d, 1);
    close_while_the_disk_hangs(&d);
    disk.stalls = false;                 /* it comes back: the line is written, and everything is freed */
    for (int i = 0; i < 20000 && mem_live_blocks() > d.blocks_before; i++)
        usleep(1000);
    assert_string_equal(read_path(&d, d.path), "a line\n");
    end(&d);
}

/* The disk is back as soon as somebody says that it hangs, and the writer may be gone behind that word. */
static void hear_and_help(void *ctx, const char *line, size_t n)
{
    size_t blocks;

    hear(ctx, line, n);
    blocks = mem_live_blocks();
    disk.stalls = false;
    for (int i = 0; i < 100 && mem_live_blocks() >= blocks; i++)
        usleep(1000);
}

static void a_disk_that_comes_back_while_its_writer_is_given_up(void **state)
{
    struct desk d;

    (void)state;
    begin(&d, 1);
    log_set_sink(hear_and_help, &d);
    close_while_the_disk_hangs(&d);
    assert_string_equal(read_path(&d, d.path), "a line\n");
    end(&d);
}

static void a_full_disk_at_the_end(void **state)
{
    struct desk d;

    (void)state;
    begin(&d, 1);
    disk.error = ENOSPC;
    put(&d, "one\n");
    put(&d, "two\n");
    log_writer_close(d.writer);
    d.writer = NULL;
    assert_true(has_said(&d, "the last 2 lines of the access log"));
    end(&d);
}

static void before_it_is_started(void **state)
{
    struct desk d;
    struct log_writer *w;
    int error;

    (void)state;
    begin(&d, 1);
    w = log_writer_open(d.path, 1, &error);
    assert_non_null(w);
    assert_true(log_writer_put(w, 0, "one\n", 4));
    assert_true(log_writer_flush(w, 0));
    assert_string_equal(read_path(&d, d.path), "one\n");
    assert_true(log_writer_put(w, 0, "two\n", 4));
    log_writer_close(w);
    assert_string_equal(read_path(&d, d.path), "one\ntwo\n");
    end(&d);
}

/* The second line comes while the writer lingers. */
static void abort_with_lines(const char *path)
{
    int error;
    struct log_writer *w = log_writer_open(path, 1, &error);

    if (w == NULL || log_writer_start(w) != 0)
        _exit(1);
    log_writer_put(w, 0, "one\n", 4);
    while (!log_writer_flush(w, 1000))
        continue;
    log_writer_put(w, 0, "two\n", 4);
    abort();
}

static void a_process_that_aborts_writes_what_it_took(void **state)
{
    struct desk d;
    char path[160];
    int status = 0;
    pid_t child;

    (void)state;
    child = fork();
    snprintf(path, sizeof(path), "/tmp/test_log_writer.%d", (int)(child == 0 ? getpid() : child));
    if (child == 0)
        abort_with_lines(path);
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    begin(&d, 1);
    assert_string_equal(read_path(&d, path), "one\ntwo\n");
    unlink(path);
    end(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_that_aborts_writes_what_it_took),
        cmocka_unit_test(a_disk_that_stalls_stops_nobody),
        cmocka_unit_test(losses_are_not_told_more_often_than_every_ten_seconds),
        cmocka_unit_test(a_disk_that_is_full),
        cmocka_unit_test(a_file_that_is_turned_over_in_the_middle_of_a_line),
        cmocka_unit_test(a_disk_that_takes_little),
        cmocka_unit_test(lines_of_many_threads),
        cmocka_unit_test(what_comes_together_is_written_together),
        cmocka_unit_test(whoever_closes_does_not_wait_for_a_disk_that_hangs),
        cmocka_unit_test(a_disk_that_comes_back_while_its_writer_is_given_up),
        cmocka_unit_test(a_full_disk_at_the_end),
        cmocka_unit_test(before_it_is_started),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
