#include "interop/app/server.h"

#include "protocol/mem.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX 20000
#define BACKLOG 1024
#define KEEPALIVE_SECONDS 60

static struct server *server_of(uv_handle_t *handle)
{
    return handle->loop->data;
}

/* --- the options --- */

static int usage(const struct server_calls *calls)
{
    fprintf(stderr, "usage: %s [--listen ADDRESS:PORT | --listen unix:/path]", calls->program);
    for (const struct server_option *o = calls->options; o != NULL && o->name != NULL; o++)
        fprintf(stderr, " [%s %s]", o->name, o->meaning);
    fprintf(stderr, "\n  port 0 (the default) lets the kernel choose; the first line on standard output says where\n");
    return 2;
}

static bool take_option(struct server *s, const char *name, const char *value)
{
    if (strcmp(name, "--listen") == 0) {
        s->address = value;
        return true;
    }
    for (const struct server_option *o = s->calls->options; o != NULL && o->name != NULL; o++)
        if (strcmp(name, o->name) == 0)
            return o->parse(s, value);
    return false;
}

static bool take_options(struct server *s, int argc, char **argv)
{
    s->address = "127.0.0.1:0";
    if (argc % 2 == 0)
        return false;
    for (int i = 1; i + 1 < argc; i += 2)
        if (!take_option(s, argv[i], argv[i + 1]))
            return false;
    return true;
}

/* --- the listening socket --- */

/* "127.0.0.1:80" or "[::1]:80"; numbers only. */
static int parse_ip(const char *text, struct sockaddr_storage *out)
{
    const char *colon = strrchr(text, ':');
    bool brackets = text[0] == '[';
    char host[64];
    char *end;
    long port;
    size_t n;

    if (colon == NULL || colon[1] < '0' || colon[1] > '9')
        return UV_EINVAL;
    port = strtol(colon + 1, &end, 10);
    n = (size_t)(colon - text);
    if (*end != '\0' || port > 65535 || n >= sizeof(host) || (brackets && (n < 2 || text[n - 1] != ']')))
        return UV_EINVAL;
    if (brackets)
        n -= 2;
    memcpy(host, text + (brackets ? 1 : 0), n);
    host[n] = '\0';
    if (brackets)
        return uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)out);
    return uv_ip4_addr(host, (int)port, (struct sockaddr_in *)out);
}

static int bind_listener(struct server *s)
{
    struct sockaddr_storage address;
    int error;

    s->is_unix = strncmp(s->address, "unix:", 5) == 0;
    if (s->is_unix) {
        uv_pipe_init(&s->loop, &s->listener.pipe, 0);
        return uv_pipe_bind(&s->listener.pipe, s->address + 5);
    }
    uv_tcp_init(&s->loop, &s->listener.tcp);
    error = parse_ip(s->address, &address);
    return error != 0 ? error : uv_tcp_bind(&s->listener.tcp, (const struct sockaddr *)&address, 0);
}

static void say_ready(struct server *s)
{
    struct sockaddr_storage address;
    int size = sizeof(address);
    char host[64] = "?";
    int port = 0;

    if (s->is_unix) {
        printf("ready %s\n", s->address);
    } else if (uv_tcp_getsockname(&s->listener.tcp, (struct sockaddr *)&address, &size) == 0) {
        bool v6 = address.ss_family == AF_INET6;
        uv_ip_name((const struct sockaddr *)&address, host, sizeof(host));
        port = v6 ? ((const struct sockaddr_in6 *)&address)->sin6_port : ((const struct sockaddr_in *)&address)->sin_port;
        printf(v6 ? "ready [%s]:%d\n" : "ready %s:%d\n", host, ntohs((uint16_t)port));
    }
    fflush(stdout);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct server *s = server_of((uv_handle_t *)listener);

    if (status == 0)
        s->calls->connection(s);
}

void server_accept(struct server *s, union server_socket *out)
{
    int error = s->is_unix ? uv_pipe_init(&s->loop, &out->pipe, 0) : uv_tcp_init(&s->loop, &out->tcp);

    assert(error == 0);
    error = uv_accept(&s->listener.stream, &out->stream);
    assert(error == 0);                  /* called for a connection that waits */
    if (!s->is_unix) {
        uv_tcp_nodelay(&out->tcp, 1);
        uv_tcp_keepalive(&out->tcp, 1, KEEPALIVE_SECONDS);
    }
    s->connections++;
}

static void on_turned_away(uv_handle_t *handle)
{
    server_released(server_of(handle));
    mem_free(handle);
}

void server_turn_away(struct server *s)
{
    union server_socket *socket = mem_alloc(sizeof(*socket));

    if (socket == NULL)                  /* libuv would wait for this connection to be taken, for ever */
        abort();
    server_accept(s, socket);
    uv_close(&socket->handle, on_turned_away);
}

bool server_is_full(const struct server *s)
{
    return s->connections >= s->connections_max;
}

void server_released(struct server *s)
{
    assert(s->connections > 0);
    s->connections--;
}

void server_lend_scratch(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct server *s = server_of(handle);

    (void)suggested;
    *out = uv_buf_init(s->scratch, sizeof(s->scratch));
}

/* --- the life of the process --- */

static void on_prepare(uv_prepare_t *prepare)
{
    struct server *s = server_of((uv_handle_t *)prepare);

    if (s->calls->before_sleep != NULL)
        s->calls->before_sleep(s);
}

static void close_entrance(struct server *s)
{
    uv_close(&s->listener.handle, NULL);
    uv_close((uv_handle_t *)&s->signals[0], NULL);
    uv_close((uv_handle_t *)&s->signals[1], NULL);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct server *s = server_of((uv_handle_t *)signal);

    (void)number;
    if (s->stopping)
        return;
    s->stopping = true;
    close_entrance(s);
    s->calls->stop(s);
}

static void init_loop(struct server *s)
{
    uv_loop_init(&s->loop);
    s->loop.data = s;
    uv_signal_init(&s->loop, &s->signals[0]);
    uv_signal_init(&s->loop, &s->signals[1]);
    uv_prepare_init(&s->loop, &s->prepare);
    uv_prepare_start(&s->prepare, on_prepare);
    uv_unref((uv_handle_t *)&s->prepare);
}

static int start(struct server *s)
{
    int error = bind_listener(s);

    if (error == 0)
        error = uv_listen(&s->listener.stream, BACKLOG, on_connection);
    if (error == 0)
        error = uv_signal_start(&s->signals[0], on_signal, SIGTERM);
    if (error == 0)
        error = uv_signal_start(&s->signals[1], on_signal, SIGINT);
    return error;
}

/* Whatever ended the loop: no handle and no byte may be left. */
static int finish(struct server *s, int exit_code)
{
    int error;

    uv_close((uv_handle_t *)&s->prepare, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    if (s->calls->ended != NULL)
        s->calls->ended(s);
    error = uv_loop_close(&s->loop);
    if (error != 0)
        fprintf(stderr, "%s: the loop still has handles: %s\n", s->calls->program, uv_strerror(error));
    if (mem_live_blocks() != 0)
        fprintf(stderr, "%s: %zu blocks of memory are left over\n", s->calls->program, mem_live_blocks());
    return error != 0 || mem_live_blocks() != 0 ? 1 : exit_code;
}

int server_run(struct server *s, int argc, char **argv, const struct server_calls *calls)
{
    int error;

    s->calls = calls;
    s->connections_max = CONNECTIONS_MAX;
    if (!take_options(s, argc, argv))
        return usage(calls);
    signal(SIGPIPE, SIG_IGN);
    init_loop(s);
    calls->start(s);
    error = start(s);
    if (error != 0) {
        fprintf(stderr, "%s: cannot listen on %s: %s\n", calls->program, s->address, uv_strerror(error));
        close_entrance(s);
        return finish(s, 2);
    }
    say_ready(s);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    return finish(s, 0);
}
