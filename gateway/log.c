#include "gateway/log.h"

#include "protocol/utf8.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static atomic_int level_now = CONF_LOG_INFO;
static log_sink_fn *sink_now;
static void *sink_ctx;

static void to_stderr(void *ctx, const char *line, size_t n)
{
    ssize_t written = write(STDERR_FILENO, line, n);     /* one call a line: lines of two threads do not mix */

    (void)ctx;
    (void)written;                                       /* nobody is left to tell */
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
    size_t head, n;
    int made;

    head = (size_t)snprintf(line, sizeof(line), "%-5s ", words[level]);
    made = vsnprintf(line + head, sizeof(line) - head - 1, format, args);
    n = head + (made < 0 ? 0 : (size_t)made);
    if (n > sizeof(line) - 2)
        n = sizeof(line) - 2;
    for (size_t i = head; i < n; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
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
