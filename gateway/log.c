#include "gateway/log.h"
#include "gateway/log_writer.h"

#include "protocol/utf8.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KINDS 64                         /* of lines that are counted at once; two that meet in one place count as one, or not at all */
#define RECENT_BYTES 400

struct kind {
    uint64_t key;
    int64_t since_s;
    unsigned written, left_out;
};

struct recent {
    enum conf_log_level level;
    int64_t at_s;
    unsigned times;
    char words[RECENT_BYTES];
};

static atomic_int level_now = CONF_LOG_INFO;
static log_sink_fn *sink_now;
static void *sink_ctx;
static _Thread_local struct text *overhearing;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;         /* of all that follows */
static struct kind kinds[KINDS];
static struct recent recent[LOG_RECENT];
static size_t recent_n;                  /* that there ever were */
static uint64_t dropped, repeats, dropped_unsaid;
static struct log_writer *writer;        /* NULL: a line is written by whoever says it */

/* A pipe that can be written to takes a line of this length whole. */
static bool offer(const char *line, size_t n)
{
    struct pollfd room = { .fd = STDERR_FILENO, .events = POLLOUT };

    if (writer != NULL)
        return log_writer_put(writer, 0, line, n);
    if (poll(&room, 1, 0) != 1 || (room.revents & POLLOUT) == 0)
        return false;
    return write(STDERR_FILENO, line, n) == (ssize_t)n;  /* one call a line: lines of two processes do not mix */
}

static void to_stderr(void *ctx, const char *line, size_t n)
{
    char words[128];
    int said;

    (void)ctx;
    pthread_mutex_lock(&lock);
    if (dropped_unsaid > 0) {
        said = snprintf(words, sizeof(words), "warn  %" PRIu64 " lines are missing here: %s\n", dropped_unsaid,
                        writer != NULL ? "the disk did not keep up" : "nobody read the log");
        if (offer(words, (size_t)said))
            dropped_unsaid = 0;
    }
    if (dropped_unsaid > 0 || !offer(line, n)) {
        dropped_unsaid++;
        dropped++;
    }
    pthread_mutex_unlock(&lock);
}

int log_start(void)
{
    struct stat st;
    struct log_writer *w;
    int error = 0;

    if (fstat(STDERR_FILENO, &st) != 0 || !S_ISREG(st.st_mode))
        return 0;
    w = log_writer_open("stderr", 1, &error);
    if (w != NULL)
        error = log_writer_start(w);
    if (error != 0) {
        log_writer_close(w);
        return error;
    }
    pthread_mutex_lock(&lock);
    writer = w;
    pthread_mutex_unlock(&lock);
    return 0;
}

void log_end(void)
{
    struct log_writer *w;

    pthread_mutex_lock(&lock);
    w = writer;
    writer = NULL;
    pthread_mutex_unlock(&lock);
    log_writer_close(w);
}

/* ---- what is said too often ---- */

/* FNV-1a */
static uint64_t key_of(enum conf_log_level level, const char *format, const char *words)
{
    uint64_t key = 0xcbf29ce484222325u;

    if (level >= CONF_LOG_INFO)
        return (uint64_t)(uintptr_t)format;
    for (; *words != '\0'; words++)
        key = (key ^ (uint8_t)*words) * 0x100000001b3u;
    return key;
}

/* Whether it is written. *left_out: how many like it were not, the last time that there were too many. */
static bool may_be_said(enum conf_log_level level, uint64_t key, int64_t now_s, unsigned *left_out)
{
    struct kind *k = &kinds[(key >> 4) % KINDS];
    bool info = level >= CONF_LOG_INFO, good;

    if (k->key != key || now_s - k->since_s >= (info ? 1 : LOG_REPEATS_S)) {
        *left_out = k->key == key ? k->left_out : 0;
        *k = (struct kind){ .key = key, .since_s = now_s };
    }
    good = k->written < (info ? LOG_OF_A_KIND : LOG_REPEATS);
    k->written += good;
    k->left_out += !good;
    repeats += !good;
    return good;
}

/* ---- what is kept in mind ---- */

static void keep_in_mind(enum conf_log_level level, const char *words, int64_t now_s)
{
    struct recent *last = &recent[(recent_n + LOG_RECENT - 1) % LOG_RECENT];

    if (recent_n == 0 || last->level != level || strncmp(last->words, words, RECENT_BYTES - 1) != 0) {
        last = &recent[recent_n++ % LOG_RECENT];
        *last = (struct recent){ .level = level };
        snprintf(last->words, sizeof(last->words), "%s", words);
    }
    last->at_s = now_s;
    last->times++;
}

/* Whether it is written. A sink that was handed in gets everything. */
static bool note(enum conf_log_level level, const char *format, const char *words, unsigned *left_out)
{
    int64_t now_s = time(NULL);
    bool good = true;

    pthread_mutex_lock(&lock);
    if (sink_now == NULL)
        good = may_be_said(level, key_of(level, format, words), now_s, left_out);
    if (level <= CONF_LOG_WARN)
        keep_in_mind(level, words, now_s);
    pthread_mutex_unlock(&lock);
    return good;
}

void log_recent(struct text *out)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < LOG_RECENT && i < recent_n; i++) {
        const struct recent *r = &recent[(recent_n - 1 - i) % LOG_RECENT];
        text_print(out, "%s{\"at\":%" PRId64 ",\"level\":\"%s\",\"times\":%u,\"words\":", i > 0 ? "," : "", r->at_s,
                   r->level == CONF_LOG_ERROR ? "error" : "warn", r->times);
        text_json(out, span_of_text(r->words));
        text_put(out, SPAN_LITERAL("}"));
    }
    pthread_mutex_unlock(&lock);
}

void log_lost(uint64_t *dropped_out, uint64_t *repeats_out)
{
    pthread_mutex_lock(&lock);
    *dropped_out = dropped;
    *repeats_out = repeats;
    pthread_mutex_unlock(&lock);
}

void log_overhear(struct text *into)
{
    overhearing = into;
}

void log_set_level(enum conf_log_level level)
{
    atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
}

bool log_enabled(enum conf_log_level level)
{
    return (int)level <= atomic_load_explicit(&level_now, memory_order_relaxed);
}

void log_set_sink(log_sink_fn *sink, void *ctx)
{
    sink_now = sink;
    sink_ctx = ctx;
}

/* U+0080 to U+009F are control characters, too, which a terminal may obey. */
static bool is_plain(struct span s, size_t i, bool text)
{
    uint8_t c = s.p[i], before = i > 0 ? s.p[i - 1] : 0, after = i + 1 < s.n ? s.p[i + 1] : 0;

    if (c < 0x80)
        return c >= 0x20 && c != 0x7f && c != '\\';
    return text && !(c == 0xc2 && after < 0xa0) && !(before == 0xc2 && c < 0xa0);
}

const char *log_quote(struct span bytes, char *out, size_t size)
{
    bool text = utf8_valid(bytes.p, bytes.n);
    size_t n = 0;

    for (size_t i = 0; i < bytes.n; i++) {
        if (n + 4 + sizeof("…") > size) {
            n += (size_t)snprintf(out + n, size - n, "…");
            break;
        }
        if (is_plain(bytes, i, text))
            out[n++] = (char)bytes.p[i];
        else
            n += (size_t)snprintf(out + n, size - n, "\\x%02x", bytes.p[i]);
    }
    out[n] = '\0';
    return out;
}

static void one_line(enum conf_log_level level, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void one_line(enum conf_log_level level, const char *format, va_list args)
{
    static const char *const words[] = { "error", "warn", "info", "debug" };
    char line[LOG_LINE_BYTES];
    unsigned left_out = 0;
    size_t head, n;
    int made;
    bool good;

    head = (size_t)snprintf(line, sizeof(line), "%-5s ", words[level]);
    made = vsnprintf(line + head, sizeof(line) - head - 1, format, args);
    n = head + (made < 0 ? 0 : (size_t)made);
    if (n > sizeof(line) - 2)
        n = sizeof(line) - 2;
    for (size_t i = head; i < n; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[n] = '\0';
    if (level <= CONF_LOG_WARN && overhearing != NULL) {
        text_put(overhearing, span_of(line + head, n - head));
        text_put(overhearing, SPAN_LITERAL("\n"));
    }
    good = level == CONF_LOG_DEBUG || note(level, format, line + head, &left_out);
    if (!good)
        return;
    if (left_out > 0 && n + 48 < sizeof(line))
        n += (size_t)snprintf(line + n, sizeof(line) - n, " (and %u more like this, left out)", left_out);
    line[n] = '\n';
    (sink_now != NULL ? sink_now : to_stderr)(sink_ctx, line, n + 1);
}

#define LOG_VERB(verb, level)                  \
    void verb(const char *format, ...)         \
    {                                          \
        va_list args;                          \
        if (!log_enabled(level))               \
            return;                            \
        va_start(args, format);                \
        one_line(level, format, args);         \
        va_end(args);                          \
    }

LOG_VERB(log_error, CONF_LOG_ERROR)
LOG_VERB(log_warn, CONF_LOG_WARN)
LOG_VERB(log_info, CONF_LOG_INFO)
LOG_VERB(log_debug, CONF_LOG_DEBUG)
