/* What those who run the gateway ask over HTTP, and what becomes of it. A row of `endpoints` is a method, a path and who answers. */
#include "gateway/admin_page.h"
#include "gateway/control_parts.h"
#include "gateway/log.h"
#include "gateway/metrics_text.h"
#include "protocol/mem.h"

#include <assert.h>
#include <string.h>
#include <sys/stat.h>

/* ---- short answers ---- */

static void say(struct admin_client *client, unsigned status, const char *sentence)
{
    struct admin_answer answer = { .status = status, .sentence = sentence };

    admin_answer(client, &answer);
}

static void say_text(struct admin_client *client, unsigned status, const char *type, struct text *text)
{
    struct admin_answer answer = { .status = status, .type = type, .body = text };

    admin_answer(client, &answer);
}

static void on_health(struct control *c, struct admin_client *client, const struct admin_request *r)
{
    (void)c;
    (void)r;
    say(client, 200, "the gateway is running");
}

static void on_ready(struct control *c, struct admin_client *client, const struct admin_request *r)
{
    (void)r;
    say(client, c->draining ? 503 : 200, c->draining ? "the gateway is draining" : "the gateway accepts connections");
}

static void on_metrics(struct control *c, struct admin_client *client, const struct admin_request *r)
{
    struct text text, classic;

    text_init(&text);
    control_metrics(c, &text);
    if (r->open_metrics) {
        say_text(client, 200, "application/openmetrics-text; version=1.0.0; charset=utf-8", &text);
        return;
    }
    text_init(&classic);
    metrics_text_classic(&classic, &text);
    text_free(&text);
    say_text(client, 200, "text/plain; version=0.0.4; charset=utf-8", &classic);
}

static void on_page(struct control *c, struct admin_client *client, const struct admin_request *r)
{
    struct text text;

    (void)c;
    (void)r;
    text_init(&text);
    text_put(&text, span_of(admin_page, admin_page_bytes));
    say_text(client, 200, "text/html; charset=utf-8", &text);
}

/* ---- reload ---- */

static void answer_waiter(struct control_admin *a, size_t i, unsigned status, const char *words)
{
    struct control_waiter waiter = a->waiters[i];
    struct text text;

    a->waiters[i] = a->waiters[--a->waiters_n];
    text_init(&text);
    text_put(&text, span_of_text(words));
    text_put(&text, span_of(waiter.words.p, waiter.words.n));
    text_free(&waiter.words);
    say_text(waiter.client, status, NULL, &text);
}

/* All who wait for it get one reload. */
static void reload_for_waiters(struct control *c)
{
    struct control_admin *a = &c->admin;
    struct text heard;
    unsigned before = c->generation->number, refused = c->draining || c->file == NULL ? 409 : 422;

    text_init(&heard);
    log_overhear(&heard);
    control_reload(c);
    log_overhear(NULL);
    for (size_t i = a->waiters_n; i-- > 0;) {
        if (a->waiters[i].generation != 0)
            continue;
        text_put(&a->waiters[i].words, span_of(heard.p, heard.n));
        if (c->generation->number != before)
            a->waiters[i].generation = c->generation->number;
        else
            answer_waiter(a, i, refused, "");
    }
    text_free(&heard);
}

static void on_reload(struct control *c, struct admin_client *client, const struct admin_request *r)
{
    struct control_waiter *waiter = &c->admin.waiters[c->admin.waiters_n++];

    (void)r;
    assert(c->admin.waiters_n <= ADMIN_CLIENTS_MAX);
    *waiter = (struct control_waiter){ .client = client };
    text_init(&waiter->words);
    if (c->reload.changes == NULL)
        reload_for_waiters(c);
}

void control_admin_news(struct control *c)
{
    struct control_admin *a = &c->admin;
    bool busy = c->reload.changes != NULL, more = false;
    char words[64];

    control_ask_news(c);
    for (size_t i = a->waiters_n; i-- > 0;) {
        unsigned number = a->waiters[i].generation;
        more |= number == 0;
        if (number == 0 || (busy && c->generation->number == number))
            continue;
        snprintf(words, sizeof(words), "configuration %u is in force\n", number);
        answer_waiter(a, i, 200, words);
    }
    if (more && !busy)
        reload_for_waiters(c);
}

/* ---- drain ---- */

static void on_drain(struct control *c, struct admin_client *client, const struct admin_request *r)
{
    if (r->parameters_n > 0) {
        control_ask_drain(c, client, r);
        return;
    }
    say(client, 202, c->draining ? "the gateway is draining already" : "the gateway drains, and ends when everybody has left");
    control_drain(c, CONTROL_DRAIN_REQUEST);
}

/* ---- who answers what ---- */

#define FILTERS "upstream", "server", "route", "client", "older"
static const struct endpoint {
    enum admin_method method;
    const char *path;
    const char *parameters[7];           /* that may be given */
    void (*answer)(struct control *c, struct admin_client *client, const struct admin_request *r);
} endpoints[] = {
    { ADMIN_GET, "/metrics", { NULL }, on_metrics },
    { ADMIN_GET, "/healthz", { NULL }, on_health },
    { ADMIN_GET, "/readyz", { NULL }, on_ready },
    { ADMIN_GET, "/status", { NULL }, on_page },
    { ADMIN_GET, "/status.json", { NULL }, control_ask_status },
    { ADMIN_GET, "/tunnels", { FILTERS, "limit" }, control_ask_tunnels },
    { ADMIN_DELETE, "/tunnels/", { "code", "reason" }, control_ask_close },      /* and a tunnel's id */
    { ADMIN_POST, "/reload", { NULL }, on_reload },
    { ADMIN_POST, "/drain", { FILTERS, "fraction", "spread" }, on_drain },
};
#define ENDPOINTS (sizeof(endpoints) / sizeof(endpoints[0]))

/* A parameter that is not understood may have been meant to spare somebody: nothing is done. */
static bool parameters_known(const struct endpoint *e, const struct admin_request *r)
{
    for (size_t i = 0; i < r->parameters_n; i++) {
        size_t k = 0;
        while (k < sizeof(e->parameters) / sizeof(e->parameters[0]) && e->parameters[k] != NULL &&
               !span_equal(r->parameters[i].name, span_of_text(e->parameters[k])))
            k++;
        if (k == sizeof(e->parameters) / sizeof(e->parameters[0]) || e->parameters[k] == NULL)
            return false;
    }
    return true;
}

/* A path that ends in a slash is of all that are below. */
static bool is_at(const struct endpoint *e, struct span path)
{
    struct span own = span_of_text(e->path);

    return own.p[own.n - 1] == '/' && own.n > 1 ? span_starts_with(path, own) && path.n > own.n : span_equal(path, own);
}

static void on_asked(void *ctx, struct admin_client *client, const struct admin_request *r)
{
    struct control *c = ctx;
    const char *allow = NULL;
    struct admin_answer wrong_method = { .status = 405, .sentence = "that is not done here" };

    for (size_t i = 0; i < ENDPOINTS; i++) {
        const struct endpoint *e = &endpoints[i];
        if (!is_at(e, r->path))
            continue;
        allow = e->method == ADMIN_GET ? "GET, HEAD" : e->method == ADMIN_POST ? "POST" : "DELETE";
        if (e->method != r->method)
            continue;
        if (parameters_known(e, r))
            e->answer(c, client, r);
        else
            say(client, 400, "a parameter is not known here");
        return;
    }
    wrong_method.allow = allow;
    if (allow != NULL)
        admin_answer(client, &wrong_method);
    else
        say(client, 404, "there is /status, /status.json, /tunnels, /metrics, /healthz, /readyz, DELETE /tunnels/ID, POST /reload and /drain");
}

static void on_gone(void *ctx, struct admin_client *client)
{
    struct control_admin *a = &((struct control *)ctx)->admin;

    control_ask_gone(ctx, client);
    for (size_t i = a->waiters_n; i-- > 0;)
        if (a->waiters[i].client == client) {
            text_free(&a->waiters[i].words);
            a->waiters[i] = a->waiters[--a->waiters_n];
        }
}

/* ---- where it listens ---- */

static void say_listening(const struct conf_address *address, unsigned port)
{
    if (address->kind == CONF_ADDRESS_UNIX)
        log_info("admin endpoint at unix:%s", address->path);
    else
        log_info(strchr(address->host, ':') != NULL ? "admin endpoint at http://[%s]:%u/" : "admin endpoint at http://%s:%u/", address->host, port);
}

static bool same_place(const struct conf *a, const struct conf *b)
{
    return a->admin_on == b->admin_on && (!a->admin_on || strcmp(a->admin.address.text, b->admin.address.text) == 0);
}

static bool port_is_chosen(const struct conf_address *address)
{
    return address->kind == CONF_ADDRESS_IP && address->port == 0;
}

/* It is not for everybody on this machine: a UNIX path has mode 660, from its first moment. */
static int bind_guarded(const struct conf_address *address, struct inherited *from, struct sockets *out)
{
    mode_t before = umask(0117);
    int error = sockets_bind(address, 1, false, port_is_chosen(address) ? NULL : from, out);

    umask(before);
    return error;
}

int control_admin_prepare(struct control *c, const struct conf *next, struct sockets *out)
{
    return next->admin_on && !same_place(c->conf, next) ? bind_guarded(&next->admin.address, NULL, out) : 0;
}

void control_admin_undo(const struct conf *next, struct sockets *out)
{
    if (out->fds != NULL)
        sockets_close(out, &next->admin.address);
}

static bool listen_on(struct control *c, struct sockets *next)
{
    int error = next->fds != NULL ? admin_listen(c->admin.http, next->fds[0]) : admin_listen(c->admin.http, -1);

    if (next->fds != NULL)
        next->given = true;
    if (error != 0)
        log_error("the admin endpoint cannot listen: %s", uv_strerror(error));
    else if (next->fds != NULL)
        say_listening(&c->conf->admin.address, next->port);
    c->admin.socket = *next;
    return error == 0;
}

void control_admin_commit(struct control *c, const struct conf *before, struct sockets *next)
{
    admin_configure(c->admin.http, &c->conf->admin, c->conf->forwarded.via);
    if (same_place(before, c->conf))
        return;
    if (c->admin.socket.fds != NULL)
        sockets_close(&c->admin.socket, &before->admin.address);
    listen_on(c, next);
}

/* ---- the beginning and the end ---- */

bool control_admin_start(struct control *c)
{
    struct admin_owner owner = { .asked = on_asked, .gone = on_gone, .ctx = c };

    list_init(&c->admin.questions);
    control_metrics_open(c);
    c->admin.http = admin_new(&c->loop, &c->engine.streams, &owner);
    if (c->admin.http == NULL)
        return false;
    admin_configure(c->admin.http, &c->conf->admin, c->conf->forwarded.via);
    return !c->conf->admin_on || bind_guarded(&c->conf->admin.address, &c->inherited, &c->admin.socket) == 0;
}

bool control_admin_listen(struct control *c)
{
    struct sockets bound = c->admin.socket;

    return listen_on(c, &bound);
}

bool control_admin_may_hand_over(const struct control *c)
{
    return c->admin.socket.fds != NULL && !port_is_chosen(&c->conf->admin.address);
}

/* Who asks from here on asks the new process. */
void control_admin_hand_over(struct control *c)
{
    c->admin.socket.foreign = true;
    admin_listen(c->admin.http, -1);
}

void control_admin_close(struct control *c)
{
    admin_close(c->admin.http);
    if (c->admin.socket.fds != NULL)
        sockets_close(&c->admin.socket, &c->conf->admin.address);
}

void control_admin_free(struct control *c)
{
    admin_free(c->admin.http);
    control_metrics_close(c);
}
