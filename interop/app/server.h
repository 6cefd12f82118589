/* server: what both demo applications share: the options, one listening socket, the line that says where, the signals.
 *
 * In order: server_run parses the options, binds, listens, prints "ready ADDRESS" on standard output (the port is the
 * kernel's choice where 0 was asked for), and runs the loop. SIGTERM or SIGINT closes the listening socket and calls
 * `stop`; a second signal kills. The loop ends when the application has closed everything that is its own.
 * What can go wrong: an address that cannot be read or bound (a sentence on standard error, exit 2); memory or handles
 * left over at the end (exit 1: a bug). */
#ifndef UPGATE_INTEROP_APP_SERVER_H
#define UPGATE_INTEROP_APP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define SERVER_SCRATCH_BYTES 65536

union server_socket {                    /* a listening or a connected one */
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
};

struct server;

struct server_option {                   /* "--name VALUE"; parse says whether the value is good */
    const char *name;
    const char *meaning;
    bool (*parse)(struct server *s, const char *value);
};

struct server_calls {
    const char *program;
    const struct server_option *options; /* beside --listen; ends with a NULL name; may be NULL */
    void (*start)(struct server *s);     /* after the options, before the socket listens */
    void (*connection)(struct server *s);            /* one waits: call server_accept once */
    void (*before_sleep)(struct server *s);          /* once per turn of the loop, before it waits; may be NULL */
    void (*stop)(struct server *s);      /* end every connection, in an orderly way */
    void (*ended)(struct server *s);     /* the loop is over: free what was not a connection's; may be NULL */
};

struct server {
    uv_loop_t loop;
    union server_socket listener;
    uv_signal_t signals[2];
    uv_prepare_t prepare;
    const struct server_calls *calls;
    const char *address;
    bool is_unix, stopping;
    size_t connections;                  /* open now; the application counts down with server_released */
    size_t connections_max;
    char scratch[SERVER_SCRATCH_BYTES];  /* where every read lands: used up before its callback returns */
};

int server_run(struct server *s, int argc, char **argv, const struct server_calls *calls);    /* the exit code */
/* Takes the connection that waits: the socket is the caller's to close, and then to report with server_released. */
void server_accept(struct server *s, union server_socket *out);
/* The connection that waits is more than this server holds: takes it and closes it. */
void server_turn_away(struct server *s);
bool server_is_full(const struct server *s);
void server_released(struct server *s);                        /* one connection is closed */
/* uv_alloc_cb over the scratch buffer; the handle's loop is the server's. */
void server_lend_scratch(uv_handle_t *handle, size_t suggested, uv_buf_t *out);

#endif
