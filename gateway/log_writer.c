#include "gateway/log_writer.h"
#include "gateway/log.h"
#include "protocol/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PIECE_BYTES 4096                 /* what a pipe that has room surely takes at once */
#define LAST_TRIES 10                    /* at the end, one every LOG_WRITER_RETRY_MS */
#define SAY_S 10
#define ABORT_MS 200
#define RUNNING_MOST 8
#define BESIDES 64                       /* no two threads write to one cache line */

enum doing { AWAKE, LINGERS, ASLEEP };

struct ring {
    _Atomic uint64_t head;               /* bytes that ever came; written by whoever puts */
    _Atomic uint64_t lost;               /* lines */
    char besides[BESIDES];
    _Atomic uint64_t tail;               /* bytes that ever went; written by the writer */
    char besides_too[BESIDES];
    char *text;
};

struct log_writer {
    char *path;                          /* NULL: standard output, or standard error */
    int fd;
    bool silent;                         /* of its own troubles */
    bool may_block;                      /* a pipe, a terminal, a socket: asked before each write */
    bool started;
    pthread_t thread;
    _Atomic uint32_t doing;              /* enum doing; a futex */
    _Atomic bool reopens, ends, loses;
    atomic_bool parted;                  /* whoever is second, the thread or who closes, frees */
    /* the thread's own */
    int error;                           /* of the last write; 0: it was good, or there was no room */
    unsigned at;                         /* the ring whose turn it is: that of a line that was cut by a full disk, until the rest is written */
    bool cut;                            /* … which is under way */
    uint64_t lost_said;
    time_t said_s;
    unsigned rings_n;
    struct ring rings[];
};

static _Atomic(struct log_writer *) running[RUNNING_MOST];       /* flushed when the process aborts */

static const char *name_of(const struct log_writer *w)
{
    return w->path != NULL ? w->path : "stdout";
}

/* ---- the file ---- */

static int open_path(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);

    return fd < 0 ? -errno : fd;
}

static bool fd_may_block(int fd)
{
    struct stat st;

    return fstat(fd, &st) != 0 || !S_ISREG(st.st_mode);
}

static void free_writer(struct log_writer *w)
{
    if (w->path != NULL && w->fd >= 0)
        close(w->fd);
    if (w->rings_n > 0)
        mem_free(w->rings[0].text);
    mem_free(w->path);
    mem_free(w);
}

struct log_writer *log_writer_open(const char *to, unsigned rings, int *error_out)
{
    struct log_writer *w = mem_zalloc(sizeof(*w) + rings * sizeof(w->rings[0]));
    char *text = mem_alloc((size_t)rings * LOG_WRITER_BYTES);
    bool standard = strcmp(to, "stdout") == 0 || strcmp(to, "stderr") == 0;

    *error_out = -ENOMEM;
    if (w == NULL || text == NULL)
        goto fail;
    w->rings_n = rings;
    for (unsigned i = 0; i < rings; i++)
        w->rings[i].text = text + (size_t)i * LOG_WRITER_BYTES;
    w->path = standard ? NULL : mem_strdup(to);
    w->silent = strcmp(to, "stderr") == 0;
    w->fd = w->silent ? STDERR_FILENO : standard ? STDOUT_FILENO : -1;
    if (w->path != NULL)
        *error_out = w->fd = open_path(w->path);
    if (w->fd < 0) {
        free_writer(w);
        return NULL;
    }
    *error_out = 0;
    w->may_block = fd_may_block(w->fd);
    return w;
fail:
    mem_free(text);
    mem_free(w);
    return NULL;
}

/* ---- sleeping and waking ---- */

/* At once if it sleeps; if it lingers, only where that is asked for. */
static void wake(struct log_writer *w, bool lingers_too)
{
    uint32_t doing = atomic_load(&w->doing);

    if (doing == AWAKE || (doing == LINGERS && !lingers_too))
        return;
    if (atomic_exchange(&w->doing, AWAKE) != AWAKE)
        syscall(SYS_futex, &w->doing, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static bool is_empty(struct log_writer *w)
{
    for (unsigned i = 0; i < w->rings_n; i++)
        if (atomic_load(&w->rings[i].tail) != atomic_load(&w->rings[i].head))
            return false;
    return true;
}

/* Whoever puts looks at `doing` behind that, and the writer at the rings behind saying that it sleeps: one of the two sees the other. */
static void rest(struct log_writer *w, enum doing how, unsigned ms)
{
    struct timespec limit = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

    atomic_store(&w->doing, how);
    if (how == LINGERS || (is_empty(w) && !atomic_load(&w->ends) && !atomic_load(&w->reopens)))
        syscall(SYS_futex, &w->doing, FUTEX_WAIT_PRIVATE, how, how == LINGERS ? &limit : NULL, NULL, 0);
    atomic_store(&w->doing, AWAKE);
}

/* ---- putting ---- */

static void lose(struct log_writer *w, struct ring *r)
{
    atomic_fetch_add(&r->lost, 1);
    if (!w->silent && !atomic_exchange(&w->loses, true))
        log_warn("lines of the access log %s are lost: it is not written as fast as they come", name_of(w));
}

bool log_writer_put(struct log_writer *w, unsigned ring, const char *line, size_t n)
{
    struct ring *r = &w->rings[ring];
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    size_t used = (size_t)(head - atomic_load_explicit(&r->tail, memory_order_acquire)), at = head % LOG_WRITER_BYTES;
    size_t first = n < LOG_WRITER_BYTES - at ? n : LOG_WRITER_BYTES - at;

    if (n > LOG_WRITER_BYTES - used) {
        lose(w, r);
        return false;
    }
    memcpy(r->text + at, line, first);
    memcpy(r->text, line + first, n - first);
    atomic_store(&r->head, head + n);
    wake(w, used + n > LOG_WRITER_BYTES / 2);
    return true;
}

/* ---- writing ---- */

/* What is in a ring up to `head`; two parts where it goes round its end. */
static void show(const struct ring *r, uint64_t tail, uint64_t head, struct iovec out[2])
{
    size_t at = tail % LOG_WRITER_BYTES, n = (size_t)(head - tail), first = n < LOG_WRITER_BYTES - at ? n : LOG_WRITER_BYTES - at;

    out[0] = (struct iovec){ .iov_base = r->text + at, .iov_len = first };
    out[1] = (struct iovec){ .iov_base = r->text, .iov_len = n - first };
}

/* As many whole lines as a pipe takes at once; of a longer one its beginning. */
static void cut_to_piece(struct iovec parts[2])
{
    const char *end;

    if (parts[0].iov_len > PIECE_BYTES)
        parts[0].iov_len = PIECE_BYTES;
    if (parts[1].iov_len > PIECE_BYTES - parts[0].iov_len)
        parts[1].iov_len = PIECE_BYTES - parts[0].iov_len;
    for (int i = 1; i >= 0; i--) {
        end = parts[i].iov_len > 0 ? memrchr(parts[i].iov_base, '\n', parts[i].iov_len) : NULL;
        if (end != NULL) {
            parts[i].iov_len = (size_t)(end - (const char *)parts[i].iov_base) + 1;
            parts[1].iov_len = i == 1 ? parts[1].iov_len : 0;
            return;
        }
    }
}

/* A reader that is gone has room, too: writing tells that it is gone. */
static bool has_room(struct log_writer *w)
{
    struct pollfd room = { .fd = w->fd, .events = POLLOUT };

    return !w->may_block || poll(&room, 1, LOG_WRITER_RETRY_MS) == 1;
}

/* What is there now. false: not all of it is taken. */
static bool write_ring(struct log_writer *w, struct ring *r)
{
    uint64_t tail = atomic_load(&r->tail), head = atomic_load(&r->head);

    while (tail != head) {
        struct iovec parts[2];
        ssize_t wrote;

        w->error = 0;
        if (!has_room(w))
            return false;
        show(r, tail, head, parts);
        if (w->may_block)
            cut_to_piece(parts);
        wrote = writev(w->fd, parts, 2);
        if (wrote <= 0) {
            w->error = wrote < 0 ? errno : EIO;
            return false;
        }
        tail += (uint64_t)wrote;
        w->cut = r->text[(tail - 1) % LOG_WRITER_BYTES] != '\n';        /* before somebody puts there */
        atomic_store(&r->tail, tail);
    }
    return true;
}

static bool write_all(struct log_writer *w)
{
    for (unsigned i = 0; i < w->rings_n; i++, w->at = (w->at + 1) % w->rings_n)
        if (!write_ring(w, &w->rings[w->at]))
            return false;
    return true;
}

static uint64_t lines_lost(struct log_writer *w)
{
    uint64_t lost = 0;

    for (unsigned i = 0; i < w->rings_n; i++)
        lost += atomic_load(&w->rings[i].lost);
    return lost;
}

static void say_lost(struct log_writer *w, bool now)
{
    uint64_t lost;

    if (!atomic_load(&w->loses) || (!now && time(NULL) - w->said_s < SAY_S))
        return;
    atomic_store(&w->loses, false);
    lost = lines_lost(w);
    log_warn("%" PRIu64 " lines of the access log %s were lost; it is written again", lost - w->lost_said, name_of(w));
    w->lost_said = lost;
    w->said_s = time(NULL);
}

static void say_error(struct log_writer *w, int before)
{
    if (!w->silent && w->error != 0 && w->error != before)
        log_warn("the access log %s cannot be written, and is tried again: %s", name_of(w), strerror(w->error));
}

/* The rest of a line that was cut, or everything. Returns the lines. */
static uint64_t forget(struct ring *r, bool everything)
{
    uint64_t tail = atomic_load(&r->tail), head = atomic_load(&r->head), lines = 0;

    for (; tail != head && (everything || lines == 0); tail++)
        lines += r->text[tail % LOG_WRITER_BYTES] == '\n';
    atomic_store(&r->tail, tail);
    return lines;
}

static void reopen(struct log_writer *w)
{
    int fd = open_path(w->path);

    if (fd < 0) {
        log_error("cannot reopen the access log, the old file is kept: %s", strerror(-fd));
        return;
    }
    if (w->cut)
        atomic_fetch_add(&w->rings[w->at].lost, forget(&w->rings[w->at], false));
    w->cut = false;
    close(w->fd);
    w->fd = fd;
    w->may_block = fd_may_block(fd);
}

static void give_up(struct log_writer *w)
{
    uint64_t lines = lines_lost(w) - w->lost_said;

    for (unsigned i = 0; i < w->rings_n; i++)
        lines += forget(&w->rings[i], true);
    if (!w->silent)
        log_warn("the last %" PRIu64 " lines of the access log %s are lost: they could not be written", lines, name_of(w));
}

/* Everything that came before it was told to end is written, or given up. */
static void work(struct log_writer *w)
{
    unsigned tries = 0;

    for (;;) {
        bool ends = atomic_load(&w->ends), empty;
        int error = w->error;

        if (atomic_exchange(&w->reopens, false))
            reopen(w);
        empty = is_empty(w);
        if (write_all(w)) {
            say_lost(w, ends);
            if (ends)
                return;
            rest(w, empty ? ASLEEP : LINGERS, LOG_WRITER_LINGER_MS);
            continue;
        }
        say_error(w, error);
        if (ends && ++tries == LAST_TRIES) {
            give_up(w);
            return;
        }
        if (w->error != 0)
            rest(w, LINGERS, LOG_WRITER_RETRY_MS);
    }
}

static void *run(void *arg)
{
    struct log_writer *w = arg;

    work(w);
    if (atomic_exchange(&w->parted, true))
        free_writer(w);
    return NULL;
}

/* ---- the process aborts ---- */

/* The writers go on while this thread waits. */
static void on_abort(int number)
{
    for (size_t i = 0; i < RUNNING_MOST; i++) {
        struct log_writer *w = atomic_load(&running[i]);
        if (w != NULL)
            log_writer_flush(w, ABORT_MS);
    }
    raise(number);                       /* what is due without a handler, when this one returns */
}

static void exchange_running(struct log_writer *from, struct log_writer *to)
{
    for (size_t i = 0; i < RUNNING_MOST; i++) {
        struct log_writer *expected = from;
        if (atomic_compare_exchange_strong(&running[i], &expected, to))
            return;
    }
}

/* ---- beginning and end ---- */

/* Signals are the control loop's, but for what the sandbox answers in the thread itself. */
int log_writer_start(struct log_writer *w)
{
    struct sigaction abort_action = { .sa_handler = on_abort, .sa_flags = (int)SA_RESETHAND };
    sigset_t all, before;
    int error;

    sigaction(SIGABRT, &abort_action, NULL);
    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    error = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    w->started = error == 0;
    if (w->started)
        exchange_running(NULL, w);
    return -error;
}

void log_writer_reopen(struct log_writer *w)
{
    if (w == NULL || w->path == NULL)
        return;
    atomic_store(&w->reopens, true);
    wake(w, true);
}

bool log_writer_flush(struct log_writer *w, unsigned limit_ms)
{
    const struct timespec moment = { .tv_nsec = 100000 };

    if (!w->started)
        return write_all(w);
    for (unsigned i = 0; !is_empty(w) && i < limit_ms * 10; i++) {
        wake(w, true);
        nanosleep(&moment, NULL);
    }
    return is_empty(w);
}

/* Whether the thread has ended. Otherwise it is on its own, and frees: what is to be said of the writer is said before. */
static bool wait_for_end(struct log_writer *w)
{
    pthread_t thread = w->thread;
    struct timespec limit;

    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += LOG_WRITER_CLOSE_MS / 1000;
    if (pthread_timedjoin_np(thread, NULL, &limit) == 0)
        return true;
    if (!w->silent)
        log_warn("the access log %s hangs: what is not written of it may be lost", name_of(w));
    if (atomic_exchange(&w->parted, true))
        return pthread_join(thread, NULL) == 0;          /* just now */
    pthread_detach(thread);
    return false;
}

void log_writer_close(struct log_writer *w)
{
    if (w == NULL)
        return;
    if (w->started) {
        exchange_running(w, NULL);
        atomic_store(&w->ends, true);
        wake(w, true);
        if (!wait_for_end(w))
            return;
    } else {
        write_all(w);
    }
    free_writer(w);
}
