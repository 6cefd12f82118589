/* The life of a connection:
 *
 *   one call      its owner pulls: the reader advances when the call is peeked
 *   several       what comes is told apart as it comes, and held for each call until its owner pulls
 *   no call       requests that were given up are still open at the server: their records are skipped until they end, or time is up
 *
 * It is freed in one place, fcgi_conn_free, and whoever has called something that may end it does not look at it again. */
#include "gateway/fcgi_conn_parts.h"
#include "protocol/mem.h"

#include <assert.h>

#define HEADS_BYTES 65536                /* with so many bytes of heads waiting nobody joins */

/* ---- events ---- */

static void on_readable(void *ctx)
{
    struct fcgi_conn *conn = ctx;

    if (conn->calls_n == 1)
        fcgi_conn_first_call(conn)->progress(fcgi_conn_first_call(conn)->ctx);
    else
        fcgi_conn_tell_apart(conn);
}

static void on_writable(void *ctx)
{
    struct fcgi_conn *conn = ctx;
    bool waited_for = conn->full || conn->stream->output_error != 0;

    conn->full = false;
    conn->put_n = 0;
    if (waited_for)
        on_readable(conn);
}

static const struct stream_events conn_events = { .readable = on_readable, .writable = on_writable };

static void on_more_calls(struct ready *r)
{
    on_readable(LIST_OWNER(r, struct fcgi_conn, ready));
}

static void on_timer(struct timer *t, uint64_t now_ms)
{
    (void)now_ms;
    fcgi_conn_free(LIST_OWNER(t, struct fcgi_conn, timer));
}

static void on_idle_ends(struct lingerer *l)
{
    fcgi_conn_free(LIST_OWNER(l, struct fcgi_conn, lingerer));
}

/* ---- the beginning ---- */

struct fcgi_conn *fcgi_conn_new(const struct fcgi_conn_start *start, struct stream **s)
{
    struct fcgi_conn *conn = mem_zalloc(sizeof(*conn));

    if (conn == NULL) {
        stream_close(s);
        return NULL;
    }
    conn->services = start->services;
    conn->server = start->server;
    conn->used = start->used;
    conn->calls_max = start->calls_max;
    conn->held = start->held;
    conn->keeps = start->may_keep && start->server->pool.limit > 0 && !start->services->draining;
    conn->lingerer.close = on_idle_ends;
    list_init(&conn->lingerer.link);
    list_init(&conn->shared);
    list_init(&conn->calls);
    timer_init(&conn->timer, on_timer);
    ready_init(&conn->ready, on_more_calls);
    fcgi_reader_init(&conn->reader);
    conn->stream = stream_take(s);
    stream_own(conn->stream, &conn_events, conn);
    return conn;
}

static bool has_room(const struct fcgi_conn *conn)
{
    const uint8_t *p;

    return conn->calls_n > 0 && conn->calls_n < conn->calls_max && !conn->spent && conn->put_n < HEADS_BYTES &&
           conn->stream->input == STREAM_OPEN && conn->stream->output_error == 0 && stream_peek(conn->stream, &p) == 0;
}

struct fcgi_conn *fcgi_conn_find(const struct server *server)
{
    const struct list *shared = &server->fcgi.shared;

    for (struct list *l = shared->next; l != shared; l = l->next)
        if (has_room(LIST_OWNER(l, struct fcgi_conn, shared)))
            return LIST_OWNER(l, struct fcgi_conn, shared);
    return NULL;
}

bool fcgi_conn_keeps(const struct fcgi_conn *conn)
{
    return conn->keeps;
}

static void on_ready(struct ready *r)
{
    struct fcgi_call *c = LIST_OWNER(r, struct fcgi_call, ready);

    c->progress(c->ctx);
}

void fcgi_call_init(struct fcgi_call *c, void (*progress)(void *ctx), void *ctx)
{
    c->progress = progress;
    c->ctx = ctx;
    list_init(&c->link);
    ready_init(&c->ready, on_ready);
}

void fcgi_call_open(struct fcgi_call *c, struct fcgi_conn *conn)
{
    c->id = fcgi_reader_open(&conn->reader);
    assert(c->id != 0);
    c->conn = conn;
    c->used = conn->used || conn->calls_n > 0;
    list_append(&conn->calls, &c->link);
    conn->calls_n++;
    if (conn->calls_n == 2)
        ready_add(conn->services->ready, &conn->ready);
    fcgi_call_enter(c, FCGI_CALL_OPEN);
    fcgi_conn_offer(conn);
}

void fcgi_call_release(struct fcgi_call *c)
{
    struct fcgi_conn *conn = c->conn;

    ready_cancel(&c->ready);
    fcgi_stderr_end(&c->errors);
    spool_free(&c->held);
    if (conn == NULL)
        return;
    fcgi_call_give_up(c);
    fcgi_call_detach(c);
    fcgi_conn_settle(conn);
}
