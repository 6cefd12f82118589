#include "gateway/control_parts.h"
#include "gateway/launcher.h"
#include "gateway/log.h"
#include "gateway/metrics_text.h"
#include "gateway/privileges.h"
#include "gateway/quota.h"
#include "gateway/sandbox.h"
#include "gateway/tls_library.h"
#include "gateway/tls_tickets.h"
#include "protocol/mem.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const int heard[CONTROL_SIGNALS] = { SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGHUP, SIGUSR2 };
#define DESCRIPTORS_BESIDES 64           /* what a process needs that is not a connection */

/* ---- the end ---- */

void control_stop_all(struct control *c)
{
    for (unsigned i = 0; i < c->workers_n; i++)
        if (c->workers[i] != NULL)
            worker_stop(c->workers[i]);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct control *c = handle->data;

    if (number == SIGQUIT) {
        log_info("ending at once");
        control_stop_all(c);
    } else if (number == SIGUSR1) {
        log_writer_reopen(c->access_writer);
    } else if (number == SIGHUP) {
        control_reload(c);
    } else if (number == SIGUSR2) {
        control_upgrade(c);
    } else {
        control_drain(c, CONTROL_DRAIN_SIGNAL);
    }
}

static void close_handles(struct control *c)
{
    engine_close(&c->engine);
    for (size_t i = 0; i < CONTROL_SIGNALS; i++)
        uv_close((uv_handle_t *)&c->signals[i], NULL);
    uv_close((uv_handle_t *)&c->drain_over, NULL);
    uv_close((uv_handle_t *)&c->news, NULL);
    control_notify_end(c);
    control_handover_end(c);
}

static void on_news(uv_async_t *async)
{
    struct control *c = async->data;

    control_reload_news(c);
    control_admin_news(c);
    if (atomic_load(&c->workers_left) == 0)
        c->ending = true;
}

static void end_health(struct control *c)
{
    control_admin_close(c);
    health_free(c->health);
    names_free(c->names);
    c->health = NULL;
    c->names = NULL;
}

/* What is being done on connections of our own ends first. */
static void run_to_end(struct control *c)
{
    while (uv_loop_alive(&c->loop)) {
        if (c->ending)
            end_health(c);
        if (c->ending && !c->engine.closed && engine_is_quiet(&c->engine))
            close_handles(c);
        engine_turn(&c->engine);
    }
}

static void say_ended(void *ctx)         /* in the worker's thread */
{
    struct control *c = ctx;

    atomic_fetch_sub(&c->workers_left, 1);
    uv_async_send(&c->news);
}

static void say_changed(void *ctx)       /* in the worker's thread */
{
    struct control *c = ctx;

    atomic_fetch_sub(&c->reload.left, 1);
    uv_async_send(&c->news);
}

static void say_answered(void *ctx)      /* in the worker's thread */
{
    uv_async_send(&((struct control *)ctx)->news);
}

/* ---- the beginning ---- */

/* As many descriptors as the system grants. Where they are too few for limits.connections, fewer connections are accepted: the gateway
 * must never have a client and no descriptor for its server. */
uint64_t control_connections_allowed(const struct conf *conf)
{
    struct rlimit limit;
    uint64_t most;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return conf->limits.connections;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    most = limit.rlim_max > DESCRIPTORS_BESIDES + 2 ? (limit.rlim_max - DESCRIPTORS_BESIDES) / 2 : 1;
    if (most >= conf->limits.connections)
        return conf->limits.connections;
    log_info("at most %llu connections at once instead of %llu: this process may open %llu descriptors, and each takes two",
             (unsigned long long)most, (unsigned long long)conf->limits.connections, (unsigned long long)limit.rlim_max);
    return most;
}

static void init_handles(struct control *c)
{
    uv_timer_init(&c->loop, &c->drain_over);
    uv_async_init(&c->loop, &c->news, on_news);
    c->drain_over.data = c->news.data = c;
    for (size_t i = 0; i < CONTROL_SIGNALS; i++) {
        uv_signal_init(&c->loop, &c->signals[i]);
        c->signals[i].data = c;
        uv_signal_start(&c->signals[i], on_signal, heard[i]);
    }
}

void control_say_listening(const struct conf_listener *l, unsigned port)
{
    if (l->address.kind == CONF_ADDRESS_UNIX)
        log_info("listening on unix:%s", l->address.path);
    else if (strchr(l->address.host, ':') != NULL)
        log_info("listening on [%s]:%u", l->address.host, port);
    else
        log_info("listening on %s:%u", l->address.host, port);
}

/* Ports of the kernel's choice come last: of what was passed in, they take what nobody names. */
static bool bind_if(struct control *c, bool port_chosen)
{
    for (size_t i = 0; i < c->conf->listeners_n; i++) {
        const struct conf_address *address = &c->conf->listeners[i].address;
        bool chosen = address->kind == CONF_ADDRESS_IP && address->port == 0;
        if (chosen == port_chosen && sockets_bind(address, c->workers_n, false, &c->inherited, &c->sockets[i]) != 0)
            return false;
    }
    return true;
}

static bool bind_all(struct control *c)
{
    c->sockets = mem_zalloc(c->conf->listeners_n * sizeof(*c->sockets));
    c->workers = mem_zalloc(c->workers_n * sizeof(*c->workers));
    if (c->sockets == NULL || c->workers == NULL)
        return false;
    return bind_if(c, false) && bind_if(c, true);
}

/* Which sockets a worker gets: in turn, so that each has one of every listener. */
size_t control_deal(const struct control *c, const struct sockets *sockets, size_t n, unsigned worker, struct worker_socket *out)
{
    size_t dealt = 0;

    for (size_t l = 0; l < n; l++)
        for (size_t i = worker; !sockets[l].given && i < sockets[l].n; i += c->workers_n)
            out[dealt++] = (struct worker_socket){ .listener = l, .fd = sockets[l].fds[i] };
    return dealt;
}

static bool start_worker(struct control *c, unsigned i)
{
    struct worker_socket *dealt = mem_alloc(sockets_count(c->sockets, c->conf->listeners_n) * sizeof(*dealt));
    struct worker_start start = {
        .generation = c->generation,
        .gate = &c->gate,
        .access_writer = c->access_writer,
        .quota = c->quota,
        .password_helpers = c->password_helpers,
        .helpers = c->helpers,
        .handshakes = (c->conf->limits.tls_handshakes + c->workers_n - 1) / c->workers_n,
        .sockets = dealt,
        .number = i,
        .ended = say_ended,
        .changed = say_changed,
        .answered = say_answered,
        .ctx = c,
    };

    if (dealt == NULL)
        return false;
    start.sockets_n = control_deal(c, c->sockets, c->conf->listeners_n, i, dealt);
    atomic_fetch_add(&c->workers_left, 1);
    c->workers[i] = worker_new(&start);
    mem_free(dealt);
    if (c->workers[i] == NULL)
        atomic_fetch_sub(&c->workers_left, 1);
    return c->workers[i] != NULL;
}

static bool start_logs(struct control *c)
{
    int error = log_start();

    if (error == 0 && c->access_writer != NULL)
        error = log_writer_start(c->access_writer);
    if (error != 0)
        log_error("not started: no thread for the logs: %s", uv_strerror(error));
    return error == 0;
}

static bool start_all(struct control *c)
{
    bool started = start_logs(c);

    for (unsigned i = 0; started && i < c->workers_n; i++)
        started = start_worker(c, i);
    for (size_t i = 0; i < c->conf->listeners_n; i++)
        c->sockets[i].given = true;
    if (!started) {
        control_stop_all(c);
        return false;
    }
    for (size_t i = 0; i < c->conf->listeners_n; i++)
        control_say_listening(&c->conf->listeners[i], c->sockets[i].port);
    if (!control_admin_listen(c)) {
        control_stop_all(c);
        return false;
    }
    log_info("ready: %u worker%s", c->workers_n, c->workers_n == 1 ? "" : "s");
    return true;
}

static void print_metrics(const struct metrics *sum)
{
    struct text text;
    char *rest = NULL;

    if (!log_enabled(CONF_LOG_DEBUG))
        return;
    text_init(&text);
    metrics_text(&text, sum);
    text_put(&text, span_of("", 1));
    for (char *line = text.bad ? NULL : strtok_r(text.p, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        if (line[0] != '#' && strcmp(line + strlen(line) - 2, " 0") != 0 && strstr(line, "_bucket{") == NULL)
            log_debug("count %s", line);
    text_free(&text);
}

static size_t end_all(struct control *c)
{
    struct metrics *sum = mem_zalloc(sizeof(*sum));
    size_t left = 0;

    control_reload_abandon(c);
    if (c->admin.http != NULL)
        control_ask_abandon(c);
    control_notify_close(c);
    metrics_sum(sum, &c->metrics);
    for (unsigned i = 0; c->workers != NULL && i < c->workers_n; i++)
        if (c->workers[i] != NULL)
            left += worker_join(c->workers[i], sum);
    for (size_t i = 0; c->sockets != NULL && i < c->conf->listeners_n; i++)
        sockets_close(&c->sockets[i], &c->conf->listeners[i].address);
    control_admin_free(c);
    print_metrics(sum);
    mem_free(sum);
    mem_free(c->sockets);
    mem_free(c->workers);
    log_writer_close(c->access_writer);
    quota_free(c->quota);
    return left + (uv_loop_close(&c->loop) != 0);
}

static unsigned or_one_per_cpu(unsigned wanted)
{
    long cpus = wanted != 0 ? (long)wanted : sysconf(_SC_NPROCESSORS_ONLN);

    return cpus < 1 ? 1 : (unsigned)cpus;
}

/* ---- TLS: what all workers share of it ---- */

static bool begin_tls(struct control *c)
{
    c->tls_begun = tls_library_begin() == 0;
    c->helpers = tls_helpers_new(or_one_per_cpu(c->conf->tls_threads));
    c->password_helpers = tls_helpers_new((or_one_per_cpu(0) + 1) / 2);
    c->tickets = tls_tickets_new();
    if (!c->tls_begun || c->helpers == NULL || c->password_helpers == NULL || c->tickets == NULL) {
        log_error("not started: no memory");
        return false;
    }
    if (!generation_load(c->generation, c->tickets, stderr))
        return false;
    if (generation_has_secrets(c->generation))
        tls_library_hold_secrets();
    return true;
}

static void end_tls(struct control *c)
{
    engine_free(&c->engine);
    tls_helpers_free(c->helpers);
    tls_helpers_free(c->password_helpers);
    tls_tickets_free(c->tickets);
    if (c->tls_begun)
        tls_library_end();
}

static int ask_for_name(void *ctx, struct resolver_wait *w, const char *host, unsigned port)
{
    return resolver_ask(((struct control *)ctx)->engine.resolver, w, host, port);
}

static void on_names(void *ctx, const char *host, size_t servers)
{
    struct control *c = ctx;

    generation_enforce(c->generation, c->names, uv_now(&c->loop));
    health_follow(c->health, c->generation);
    log_info("the name %s stands for %zu server%s now", host, servers, servers == 1 ? "" : "s");
}

static void follow_servers(struct control *c)
{
    names_follow(c->names, c->conf);
    health_follow(c->health, c->generation);
}

/* Whatever failed before: the loop's turns are the engine's. */
static bool begin_health(struct control *c)
{
    struct names_start names = { .timers = &c->engine.timers, .ask = ask_for_name, .changed = on_names, .ctx = c };

    if (engine_open(&c->engine, &c->loop, &c->metrics, c->helpers) == 0) {
        c->health = health_new(&c->engine.services);
        c->names = names_new(&names);
    }
    if (c->health == NULL || c->names == NULL)
        log_error("not started: no memory");
    return c->health != NULL && c->names != NULL;
}

static bool open_access_log(struct control *c)
{
    const struct conf_access *access = &c->conf->log.access;
    int error = 0;

    if (access->format != CONF_ACCESS_OFF)
        c->access_writer = log_writer_open(access->to, c->workers_n, &error);
    if (error != 0)
        log_error("cannot open the access log %s: %s", access->to, uv_strerror(error));
    return error == 0;
}

static void warn_unreadable(void *ctx, const struct conf_file *file)
{
    const struct privileges *p = ctx;

    log_warn("%s cannot be read by the user %s: a reload will fail; let that user's group read it", file->path, p->user);
}

/* Nothing that needs root, or a file nobody named, comes after it; and no thread before. */
static bool lock_in(struct control *c)
{
    struct privileges p;

    if (!privileges_find(c->conf, &p))
        return false;
    if (p.change)
        privileges_each_unreadable(&p, c->conf, warn_unreadable, &p);
    return privileges_drop(&p) && open_access_log(c) && sandbox_enter(c->conf, c->file);
}

static bool run(struct control *c)
{
    bool started;

    signal(SIGPIPE, SIG_IGN);
    c->gate.limit = control_connections_allowed(c->conf);
    init_handles(c);
    control_notify_open(c);
    control_handover_open(c);
    started = begin_tls(c);
    started = begin_health(c) && started && control_admin_start(c) && bind_all(c) && lock_in(c) && start_all(c);
    inherited_close(&c->inherited);
    if (started) {
        follow_servers(c);
        control_announce(c);
    } else if (atomic_load(&c->workers_left) == 0) {
        c->ending = true;
    }
    run_to_end(c);
    return started;
}

/* Before libuv is there, which leaves something to be done in every process that is forked. */
static bool prepare_handover(struct control *c, char *const *argv)
{
    if (!inherited_open(&c->inherited))
        return false;
    c->launcher = launcher_start(argv);
    sandbox_prepare(c->generation->conf);
    return true;
}

int control_run(char *const *argv, struct conf *conf, const char *file, size_t *handles_left_out)
{
    struct control c = { .file = file, .generation = generation_new(conf, NULL, or_one_per_cpu(conf->workers)), .quota = quota_new() };
    bool started;

    *handles_left_out = 0;
    if (c.generation == NULL || c.quota == NULL || !prepare_handover(&c, argv) || uv_loop_init(&c.loop) != 0) {
        log_error("not started: no memory");
        quota_free(c.quota);
        generation_release(&c.generation);
        return 1;
    }
    c.conf = c.generation->conf;
    c.workers_n = c.generation->workers;
    started = run(&c);
    *handles_left_out = end_all(&c);
    generation_release(&c.generation);
    end_tls(&c);
    if (c.launcher >= 0)
        close(c.launcher);
    log_info("ended");
    log_end();
    return started && *handles_left_out == 0 ? 0 : 1;
}
