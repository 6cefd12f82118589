/* The configuration is changed while the gateway runs:
 *
 *   READ      the file is read and checked whole; what is wrong with it is said, and nothing has changed
 *   PREPARE   everything that can fail is done: new sockets are bound, the new access log is opened, each worker's change is made ready.
 *             What cannot be had undoes the rest, and nothing has changed
 *   COMMIT    cannot fail: the workers get their changes; a listener that was taken out closes when it has accepted who had come before
 *   SETTLED   every worker has said that the new configuration is in force; what only the old one needed is closed */
#include "gateway/control_parts.h"
#include "gateway/log.h"
#include "gateway/tls_library.h"
#include "protocol/mem.h"

#include <stdlib.h>
#include <string.h>

/* What is prepared, in this order. */
struct next {
    struct generation *generation;
    struct sockets *sockets;             /* those that are kept are copies of the control loop's */
    struct sockets admin;
    struct log_writer *writer;
    struct worker_change **changes;
};

/* ---- READ ---- */

static void log_messages(char *text, bool error)
{
    char *rest = NULL;

    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        if (error)
            log_error("%s", line);
        else
            log_warn("%s", line);
}

static struct conf *read_file(const char *path)
{
    char *text = NULL;
    size_t n = 0;
    FILE *messages = open_memstream(&text, &n);
    struct conf *conf;

    if (messages == NULL)
        return NULL;
    conf = conf_load_file(path, messages);
    fclose(messages);
    log_messages(text, conf == NULL);
    free(text);                          /* open_memstream's, not ours */
    return conf;
}

static bool read_files(struct control *c, struct generation *g)
{
    char *text = NULL;
    size_t n = 0;
    FILE *messages = open_memstream(&text, &n);
    bool good;

    if (messages == NULL)
        return false;
    good = generation_load(g, c->tickets, messages);
    if (good && generation_has_secrets(g))
        tls_library_hold_secrets();
    fclose(messages);
    log_messages(text, !good);
    free(text);                          /* open_memstream's, not ours */
    return good;
}

static bool read_generation(struct control *c, struct next *next)
{
    struct conf *conf = read_file(c->file);

    next->generation = conf != NULL ? generation_new(conf, c->generation, c->workers_n) : NULL;
    return next->generation != NULL && read_files(c, next->generation);
}

/* ---- PREPARE ---- */

static bool port_is_ours(const struct control *c, const struct conf_address *address)
{
    for (size_t i = 0; i < c->conf->listeners_n; i++)
        if (c->conf->listeners[i].address.kind == CONF_ADDRESS_IP && c->sockets[i].port == address->port)
            return true;
    return false;
}

static bool bind_sockets(struct control *c, struct next *next)
{
    const struct conf *conf = next->generation->conf;

    next->sockets = mem_zalloc(conf->listeners_n * sizeof(*next->sockets));
    if (next->sockets == NULL)
        return false;
    for (size_t i = 0; i < conf->listeners_n; i++) {
        const struct conf_address *address = &conf->listeners[i].address;
        const struct conf_listener *same = generation_same_listener(c->conf, conf, &conf->listeners[i]);
        if (same != NULL)
            next->sockets[i] = c->sockets[same - c->conf->listeners];
        else if (sockets_bind(address, c->workers_n, port_is_ours(c, address), NULL, &next->sockets[i]) != 0)
            return false;
    }
    return true;
}

static bool bind_admin(struct control *c, struct next *next)
{
    return control_admin_prepare(c, next->generation->conf, &next->admin) == 0;
}

static bool same_log(const struct conf_access *a, const struct conf_access *b)
{
    return (a->format == CONF_ACCESS_OFF) == (b->format == CONF_ACCESS_OFF) && strcmp(a->to, b->to) == 0;
}

static bool open_log(struct control *c, struct next *next)
{
    const struct conf_access *access = &next->generation->conf->log.access;
    int error = 0;

    if (same_log(access, &c->conf->log.access))
        next->writer = c->access_writer;
    else if (access->format != CONF_ACCESS_OFF)
        next->writer = log_writer_open(access->to, c->workers_n, &error);
    if (next->writer != NULL && next->writer != c->access_writer)
        error = log_writer_start(next->writer);
    if (error != 0)
        log_error("cannot open the access log %s: %s", access->to, uv_strerror(error));
    return error == 0;
}

static bool make_changes(struct control *c, struct next *next)
{
    struct worker_socket *dealt = mem_alloc(sockets_count(next->sockets, next->generation->conf->listeners_n) * sizeof(*dealt));
    bool good = dealt != NULL;

    next->changes = mem_zalloc(c->workers_n * sizeof(struct worker_change *));
    for (unsigned i = 0; good && next->changes != NULL && i < c->workers_n; i++) {
        size_t n = control_deal(c, next->sockets, next->generation->conf->listeners_n, i, dealt);
        next->changes[i] = worker_change_new(c->workers[i], next->generation, next->writer, dealt, n);
        good = next->changes[i] != NULL;
    }
    mem_free(dealt);
    if (!good || next->changes == NULL)
        log_error("reload: no memory");
    return good && next->changes != NULL;
}

static void free_changes(struct control *c, struct worker_change **changes)
{
    for (unsigned i = 0; changes != NULL && i < c->workers_n; i++)
        worker_change_free(changes[i]);
    mem_free(changes);
}

/* Nothing has changed. */
static void undo(struct control *c, struct next *next)
{
    free_changes(c, next->changes);
    if (next->writer != c->access_writer)
        log_writer_close(next->writer);
    for (size_t i = 0; next->sockets != NULL && i < next->generation->conf->listeners_n; i++)
        if (next->sockets[i].fds != NULL && !next->sockets[i].given)
            sockets_close(&next->sockets[i], &next->generation->conf->listeners[i].address);
    mem_free(next->sockets);
    if (next->generation != NULL)
        control_admin_undo(next->generation->conf, &next->admin);
    generation_release(&next->generation);
}

/* ---- COMMIT ---- */

static void put_sockets_in_force(struct control *c, struct next *next)
{
    const struct conf *now = next->generation->conf;

    for (size_t i = 0; i < now->listeners_n; i++)
        if (!next->sockets[i].given) {
            next->sockets[i].given = true;
            control_say_listening(&now->listeners[i], next->sockets[i].port);
        }
    for (size_t i = 0; i < c->conf->listeners_n; i++)
        if (generation_same_listener(now, c->conf, &c->conf->listeners[i]) == NULL) {
            log_info("no longer listening on %s", c->conf->listeners[i].address.text);
            sockets_close(&c->sockets[i], &c->conf->listeners[i].address);
        }
    mem_free(c->sockets);
    c->sockets = next->sockets;
}

static void say_what_stays(const struct conf *before, const struct conf *now)
{
    if (before->workers != now->workers)
        log_warn("reload: `workers` stays as it is until the next start");
}

static void commit(struct control *c, struct next *next)
{
    struct generation *before = c->generation;
    uint64_t limit_before = c->conf->limits.connections;

    say_what_stays(c->conf, next->generation->conf);
    put_sockets_in_force(c, next);
    c->reload.old_writer = next->writer != c->access_writer ? c->access_writer : NULL;
    c->access_writer = next->writer;
    c->generation = next->generation;
    c->conf = c->generation->conf;
    control_admin_commit(c, before->conf, &next->admin);
    log_set_level(c->conf->log.level);
    if (c->conf->limits.connections != limit_before)
        atomic_store_explicit(&c->gate.limit, control_connections_allowed(c->conf), memory_order_relaxed);
    generation_enforce(c->generation, c->names, uv_now(&c->loop));
    names_follow(c->names, c->conf);
    health_follow(c->health, c->generation);
    c->reload.changes = next->changes;
    atomic_store(&c->reload.left, c->workers_n);
    for (unsigned i = 0; i < c->workers_n; i++)
        worker_change_post(c->reload.changes[i]);
    generation_release(&before);
}

/* ---- SETTLED ---- */

static void settle(struct control *c)
{
    free_changes(c, c->reload.changes);
    log_writer_close(c->reload.old_writer);
    c->reload.changes = NULL;
    c->reload.old_writer = NULL;
}

void control_reload_news(struct control *c)
{
    if (c->reload.changes == NULL || atomic_load(&c->reload.left) > 0)
        return;
    settle(c);
    metrics_add(&c->metrics.reloads, 1);
    log_info("reloaded: configuration %u is in force", c->generation->number);
    control_notify_ready(c);
    if (c->reload.again) {
        c->reload.again = false;
        control_reload(c);
    }
}

void control_reload_abandon(struct control *c)
{
    if (c->reload.changes != NULL)
        settle(c);
}

void control_reload(struct control *c)
{
    struct next next = { 0 };

    if (!c->draining)
        notify_reloading(&c->notify);
    if (c->file == NULL) {
        log_warn("reload: there is no file to read again: the gateway was configured from its command line");
    } else if (c->draining) {
        log_warn("reload: the gateway is draining, its configuration stays as it is");
    } else if (c->reload.changes != NULL) {
        c->reload.again = true;
    } else if (control_is_handing_over(c)) {
        log_warn("reload: a new process is starting, which reads the file itself: the configuration of this one stays as it is");
    } else if (read_generation(c, &next) && bind_sockets(c, &next) && bind_admin(c, &next) && open_log(c, &next) && make_changes(c, &next)) {
        commit(c, &next);
        return;                          /* … and SETTLED says the rest */
    } else {
        if (c->conf->sandbox && next.generation != NULL)         /* the file is good: what it names is not to be had */
            log_info("reload: a folder that the sandbox does not know can be opened by a new process only (USR2)");
        undo(c, &next);
        metrics_add(&c->metrics.reloads_failed, 1);
        log_error("reload: %s is not put in force; the configuration stays as it is", c->file);
    }
    if (c->reload.changes == NULL)
        control_notify_ready(c);
}
