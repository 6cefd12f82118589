/* /metrics: what all workers have counted, added up; then what is known of routes, upstreams, servers and the process itself. Every set of labels
 * is bounded by the configuration: routes, upstreams and servers that it names, and words of our own. */
#include "gateway/control_parts.h"
#include "gateway/log.h"
#include "gateway/metrics_text.h"
#include "protocol/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* ---- routes and upstreams ---- */

/* What is counted of each route, or of each upstream: one table for both. */
static const struct counted {
    const char *name, *kind, *help;
    size_t offset;                       /* in struct tally_counts */
    const char *label;                   /* and its value, or "" */
} counted[] = {
#define EXCHANGES(class, word) \
    { "exchanges", "counter", "Exchanges, by the class of the status that was sent.", offsetof(struct tally_counts, exchanges[class]), ",class=\"" word "\"" }
    EXCHANGES(0, "none"),
    EXCHANGES(1, "1xx"),
    EXCHANGES(2, "2xx"),
    EXCHANGES(3, "3xx"),
    EXCHANGES(4, "4xx"),
    EXCHANGES(5, "5xx"),
#undef EXCHANGES
    { "tunnels", "counter", "Connections that became tunnels.", offsetof(struct tally_counts, tunnels), "" },
    { "tunnels_open", "gauge", "Tunnels open now.", offsetof(struct tally_counts, tunnels_open), "" },
    { "bytes", "counter", "Bytes of bodies, and of tunnels when they have ended.", offsetof(struct tally_counts, bytes_from_clients), ",from=\"client\"" },
    { "bytes", "counter", "", offsetof(struct tally_counts, bytes_to_clients), ",from=\"server\"" },
};
#define COUNTED (sizeof(counted) / sizeof(counted[0]))

/* Routes that are called the same share one tally, which is told once. */
static bool told_before(struct tally *const *tallies, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (tallies[j] == tallies[i])
            return true;
    return false;
}

static void put_label(struct text *out, const char *name, const char *value)
{
    text_put(out, span_of_text(name));
    text_put(out, SPAN_LITERAL("=\""));
    text_label(out, span_of_text(value));
    text_put(out, SPAN_LITERAL("\""));
}

static void put_counted(struct text *out, const char *what, const struct counted *row, const struct tally *t)
{
    struct tally_counts sum = tally_sum(t);
    const _Atomic uint64_t *value = (const void *)((const char *)&sum + row->offset);

    text_print(out, "upgate_%s_%s%s{", what, row->name, row->kind[0] == 'c' ? "_total" : "");
    put_label(out, what, t->name);
    text_print(out, "%s} %" PRIu64 "\n", row->label, metrics_value(value));
}

static void put_family(struct text *out, const char *what, const struct counted *rows, size_t rows_n, struct tally *const *tallies, size_t n)
{
    char name[64];

    snprintf(name, sizeof(name), "%s_%s", what, rows[0].name);
    metrics_text_family(out, name, rows[0].kind, rows[0].help);
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; !told_before(tallies, i) && r < rows_n; r++)
            put_counted(out, what, &rows[r], tallies[i]);
}

/* Rows of one family stand together. */
static void put_tallies(struct text *out, const char *what, struct tally *const *tallies, size_t n)
{
    size_t end;

    for (size_t r = 0; r < COUNTED; r = end) {
        for (end = r + 1; end < COUNTED && strcmp(counted[end].name, counted[r].name) == 0;)
            end++;
        put_family(out, what, &counted[r], end - r, tallies, n);
    }
}

static void put_response_times(struct text *out, const struct generation *g)
{
    metrics_text_family(out, "upstream_response_seconds", "histogram", "From the end of a request to the head of its final response.");
    for (size_t i = 0; i < g->conf->upstreams_n; i++) {
        struct tally_counts sum = tally_sum(g->upstreams[i]);
        struct text label;
        text_init(&label);
        put_label(&label, "upstream", g->upstreams[i]->name);
        text_put(&label, span_of("", 1));
        if (!label.bad)
            metrics_text_histogram(out, "upstream_response_seconds", label.p, &sum.response);
        text_free(&label);
    }
}

/* ---- servers ---- */

static uint64_t value_of_state(const struct server_state *s, uint64_t now_ms)
{
    (void)s;
    (void)now_ms;
    return 1;
}

static uint64_t value_of_connections(const struct server_state *s, uint64_t now_ms)
{
    (void)now_ms;
    return atomic_load_explicit(&s->connections, memory_order_relaxed);
}

static uint64_t value_of_exchanges(const struct server_state *s, uint64_t now_ms)
{
    (void)now_ms;
    return atomic_load_explicit(&s->exchanges, memory_order_relaxed);
}

static uint64_t value_of_tunnels(const struct server_state *s, uint64_t now_ms)
{
    (void)now_ms;
    return atomic_load_explicit(&s->tunnels, memory_order_relaxed);
}

static const struct server_gauge {
    const char *name, *help;
    bool state;                          /* has the label */
    uint64_t (*value)(const struct server_state *s, uint64_t now_ms);
} server_gauges[] = {
    { "server_state", "1 for the state that a server is in: in_use, reserve (a backup), ejected (it failed), draining, down (its checks fail).", true, value_of_state },
    { "server_connections_open", "Connections to the server, idle ones too.", false, value_of_connections },
    { "server_exchanges_open", "Requests that are with the server now.", false, value_of_exchanges },
    { "server_tunnels_open", "Tunnels to the server now.", false, value_of_tunnels },
};

static void put_server(struct text *out, const struct server_gauge *g, const char *upstream, const struct server_state *s, uint64_t now_ms)
{
    text_print(out, "upgate_%s{", g->name);
    put_label(out, "upstream", upstream);
    text_put(out, SPAN_LITERAL(","));
    put_label(out, "server", s->name);
    if (g->state)
        text_print(out, ",state=\"%s\"", server_state_word(s, now_ms));
    text_print(out, "} %" PRIu64 "\n", g->value(s, now_ms));
}

static void put_set(struct text *out, const struct server_gauge *g, struct server_set *set, uint64_t now_ms)
{
    unsigned version;
    size_t n;
    struct server_state **members = server_set_copy(set, &n, &version);

    for (size_t i = 0; members != NULL && i < n; i++) {
        put_server(out, g, set->name, members[i], now_ms);
        server_state_release(&members[i]);
    }
    mem_free(members);
}

static void put_servers(struct text *out, const struct generation *g, uint64_t now_ms)
{
    for (size_t k = 0; k < sizeof(server_gauges) / sizeof(server_gauges[0]); k++) {
        metrics_text_family(out, server_gauges[k].name, "gauge", server_gauges[k].help);
        for (size_t i = 0; i < g->conf->upstreams_n; i++)
            put_set(out, &server_gauges[k], g->sets[i], now_ms);
    }
}

/* ---- the gateway, and the process ---- */

static void put_one(struct text *out, const char *name, const char *kind, const char *help, uint64_t value)
{
    metrics_text_family(out, name, kind, help);
    if (kind[0] == 'c')
        metrics_text_counter(out, name, "", value);
    else
        metrics_text_gauge(out, name, "", value);
}

static void put_gateway(struct control *c, struct text *out)
{
    uint64_t dropped, repeats;

    log_lost(&dropped, &repeats);
    metrics_text_family(out, "build", "info", "What is running.");
    text_print(out, "upgate_build_info{version=\"%s\"} 1\n", UPGATE_VERSION);
    put_one(out, "workers", "gauge", "Worker threads.", c->workers_n);
    put_one(out, "draining", "gauge", "1 while the gateway drains, or is about to.", c->draining);
    put_one(out, "configuration", "gauge", "The number of the configuration in force; 1 is the one that the gateway started with.", c->generation->number);
    put_one(out, "connections_limit", "gauge", "Client connections that may be open at once.", atomic_load_explicit(&c->gate.limit, memory_order_relaxed));
    put_one(out, "memory_bytes", "gauge", "Memory of the gateway's own that is in use: buffers, connections, tunnels, configuration.", mem_live_bytes());
    put_one(out, "memory_blocks", "gauge", "… and in how many pieces.", mem_live_blocks());
    put_one(out, "log_lines_dropped", "counter", "Lines of the log that were dropped: what takes them did not keep up.", dropped);
    put_one(out, "log_lines_repeated", "counter", "Lines of the log that were left out because there were too many like them.", repeats);
}

static uint64_t open_descriptors(int folder)
{
    int fd = folder >= 0 ? dup(folder) : -1;
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    uint64_t n = 0;

    if (d == NULL) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    rewinddir(d);
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n > 3 ? n - 3 : 0;            /* `.`, `..`, and the copy of the folder's own */
}

static uint64_t resident_bytes(int statm)
{
    char words[128];
    ssize_t n = statm >= 0 ? pread(statm, words, sizeof(words) - 1, 0) : -1;
    uint64_t pages;

    if (n <= 0)
        return 0;
    words[n] = '\0';
    return sscanf(words, "%*u %" SCNu64, &pages) == 1 ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* The names that all programs use for these. */
static void put_process(struct control *c, struct text *out)
{
    uint64_t fds = open_descriptors(c->admin.fds_fd), rss = resident_bytes(c->admin.statm_fd);
    struct rusage used;
    struct rlimit limit;

    if (getrusage(RUSAGE_SELF, &used) == 0) {
        uint64_t us = (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000 + (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
        text_print(out, "# TYPE process_cpu_seconds counter\n# UNIT process_cpu_seconds seconds\n# HELP process_cpu_seconds CPU time of all threads.\n"
                        "process_cpu_seconds_total %" PRIu64 ".%06" PRIu64 "\n", us / 1000000, us % 1000000);
    }
    if (rss > 0)
        text_print(out, "# TYPE process_resident_memory_bytes gauge\n# UNIT process_resident_memory_bytes bytes\n"
                        "# HELP process_resident_memory_bytes Memory of the process.\nprocess_resident_memory_bytes %" PRIu64 "\n", rss);
    if (fds > 0)
        text_print(out, "# TYPE process_open_fds gauge\n# HELP process_open_fds Open descriptors.\nprocess_open_fds %" PRIu64 "\n", fds);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        text_print(out, "# TYPE process_max_fds gauge\n# HELP process_max_fds Descriptors that may be open.\nprocess_max_fds %" PRIu64 "\n",
                   (uint64_t)limit.rlim_cur);
    text_print(out, "# TYPE process_start_time_seconds gauge\n# UNIT process_start_time_seconds seconds\n"
                    "# HELP process_start_time_seconds When it started, in seconds since 1970.\nprocess_start_time_seconds %" PRId64 "\n",
               c->admin.started_s);
}

/* ---- all of it ---- */

void control_metrics_open(struct control *c)
{
    c->admin.started_s = time(NULL);
    c->admin.statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    c->admin.fds_fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void control_metrics_close(struct control *c)
{
    if (c->admin.statm_fd > 0)
        close(c->admin.statm_fd);
    if (c->admin.fds_fd > 0)
        close(c->admin.fds_fd);
}

void control_metrics(struct control *c, struct text *out)
{
    struct metrics *sum = mem_zalloc(sizeof(*sum));
    const struct generation *g = c->generation;

    out->bad |= sum == NULL;
    if (sum == NULL)
        return;
    metrics_sum(sum, &c->metrics);
    for (unsigned i = 0; i < c->workers_n; i++)
        metrics_sum(sum, worker_metrics(c->workers[i]));
    metrics_text(out, sum);
    mem_free(sum);
    put_tallies(out, "route", g->routes, c->conf->routes_n);
    put_tallies(out, "upstream", g->upstreams, c->conf->upstreams_n);
    put_response_times(out, g);
    put_servers(out, g, uv_now(&c->loop));
    put_gateway(c, out);
    put_process(c, out);
    text_put(out, SPAN_LITERAL("# EOF\n"));
}
