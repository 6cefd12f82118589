/* The life of a connection:
 *
 *   one call      its owner pulls: the reader advances when the call is peeked
 *   no call       requests that were given up are still open at the server: their records are skipped until they end, or time is up
 *
 * It is freed in one place, conn_free, and whoever has called something that may end it does not look at it again. */
#include "gateway/fcgi_conn.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>

#define SMALL_BYTES 4096                 /* a piece of STDIN up to this is put, not sent by itself … */
#define SMALL_TOGETHER_BYTES 16384       /* … as long as no more than this waits */
#define ABORTED_MS 1000                  /* an aborted request may take so long to end; then the server sees the connection end */

struct fcgi_conn {
    struct services *services;
    struct server *server;
    struct stream *stream;
    struct fcgi_reader reader;
    struct list calls;
    size_t calls_n;
    struct lingerer lingerer;
    struct timer timer;
    size_t put_n;                        /* small pieces that were put since nothing was left */
    bool kept;
    bool keeps;
    bool spent;                          /* something was left undone on it: no further request */
    bool full;                           /* the kernel did not take all of a record */
};

static void conn_free(struct fcgi_conn *conn)
{
    assert(conn->calls_n == 0);
    stream_close(&conn->stream);
    timer_clear(conn->services->timers, &conn->timer);
    list_remove(&conn->lingerer.link);
    mem_free(conn);
}

static void call_enter(struct fcgi_call *c, enum fcgi_call_state to)
{
    assert(c->state < to && c->state <= FCGI_CALL_OPEN);
    c->state = to;
}

static void detach(struct fcgi_call *c)
{
    list_remove(&c->link);
    c->conn->calls_n--;
    c->conn = NULL;
}

/* ---- ends ---- */

static void linger(struct fcgi_conn *conn)
{
    if (timer_is_set(&conn->timer))
        return;
    list_append(&conn->server->lingerers, &conn->lingerer.link);
    timer_start(conn->services->timers, &conn->timer, ABORTED_MS);
}

/* A call has left. With the last one the connection is kept, or lingers, or goes. */
static void settle(struct fcgi_conn *conn)
{
    struct stream *s = conn->stream;

    if (conn->calls_n > 0)
        return;
    if (conn->reader.open > 0 && s->input == STREAM_OPEN && s->output_error == 0) {
        linger(conn);
        return;
    }
    if (fcgi_reader_is_idle(&conn->reader) && conn->keeps && !conn->spent && !conn->services->draining)
        pool_put(&conn->server->pool, &conn->stream);
    conn_free(conn);
}

static void fail_call(struct fcgi_call *c, enum end_reason why, enum fault fault, const char *detail)
{
    c->why = why;
    c->fault = fault;
    c->detail = detail;
    ready_add(c->conn->services->ready, &c->ready);
    detach(c);
    call_enter(c, FCGI_CALL_FAILED);
}

static void fail(struct fcgi_conn *conn, enum end_reason why, enum fault fault, const char *detail)
{
    if (fault != FAULT_NONE)
        metrics_fault(conn->services->metrics, METRICS_SERVER, fault);
    while (!list_empty(&conn->calls))
        fail_call(LIST_OWNER(conn->calls.next, struct fcgi_call, link), why, fault, detail);
    conn_free(conn);
}

static void fail_closed(struct fcgi_conn *conn)
{
    fail(conn, END_SERVER_CLOSED, FAULT_NONE, conn->stream->input_words != NULL         ? conn->stream->input_words
                                                 : conn->stream->input == STREAM_FAILED ? "the connection was reset"
                                                                                         : NULL);
}

/* An answer before the request was all sent: whether the server will skip the rest of it is not known. */
static void end_call(struct fcgi_call *c, const struct fcgi_result *r)
{
    struct fcgi_conn *conn = c->conn;

    c->end = r->end;
    c->app_status = r->app_status;
    c->answered = true;
    conn->spent |= !c->input_over;
    detach(c);
    call_enter(c, FCGI_CALL_ENDED);
    settle(conn);
}

/* ---- in ---- */

/* The next event on the connection. */
static const uint8_t *next(struct fcgi_conn *conn, struct fcgi_result *r)
{
    const uint8_t *p;
    size_t n = stream_peek(conn->stream, &p);

    stream_consume(conn->stream, fcgi_reader_next(&conn->reader, p, n, r));
    return r->data.p;
}

static void took(struct fcgi_conn *conn, size_t n)
{
    fcgi_reader_took(&conn->reader, n);
    stream_consume(conn->stream, n);
}

/* The only call's output, in place. The connection may be gone behind a 0. */
static size_t read_in_place(struct fcgi_call *c, const uint8_t **p)
{
    struct fcgi_conn *conn = c->conn;
    struct fcgi_result r;

    for (;;) {
        *p = next(conn, &r);
        switch (r.event) {
        case FCGI_EVENT_STDOUT:
            c->answered = true;
            return r.data.n;
        case FCGI_EVENT_STDERR:
            c->answered = true;
            fcgi_stderr_take(&c->errors, r.data);
            took(conn, r.data.n);
            break;
        case FCGI_EVENT_END:
            end_call(c, &r);
            return 0;
        case FCGI_EVENT_FAULT:
            fail(conn, END_SERVER_FAULT, r.fault, NULL);
            return 0;
        case FCGI_EVENT_VALUES:
        case FCGI_EVENT_MORE:
            if (conn->stream->input != STREAM_OPEN)
                fail_closed(conn);
            return 0;
        }
    }
}

size_t fcgi_call_peek(struct fcgi_call *c, const uint8_t **p)
{
    *p = NULL;
    return c->state == FCGI_CALL_OPEN ? read_in_place(c, p) : 0;
}

void fcgi_call_consume(struct fcgi_call *c, size_t n)
{
    if (n > 0)
        took(c->conn, n);
}

/* Nobody is on the connection: whatever belongs to a request that was given up is skipped by the reader. */
static void skip(struct fcgi_conn *conn)
{
    struct fcgi_result r;

    do
        next(conn, &r);
    while (r.event == FCGI_EVENT_END);
    if (r.event == FCGI_EVENT_FAULT)
        fail(conn, END_SERVER_FAULT, r.fault, NULL);
    else if (conn->stream->input != STREAM_OPEN)
        fail_closed(conn);
    else
        settle(conn);
}

/* ---- out ---- */

int fcgi_call_put(struct fcgi_call *c, struct span records)
{
    return c->conn != NULL ? stream_put(c->conn->stream, records) : -EPIPE;
}

/* A record whose content the kernel may take straight from the data. */
static int send_record(struct fcgi_conn *conn, struct span header, struct span data, size_t padding_n)
{
    int error = stream_put(conn->stream, header);
    ssize_t taken = error != 0 ? error : stream_send(conn->stream, data);

    if (taken < 0)
        return (int)taken;
    conn->put_n = 0;
    if ((size_t)taken < data.n) {
        conn->full = true;
        error = stream_put(conn->stream, span_from(data, (size_t)taken));
    }
    return error != 0 ? error : stream_put(conn->stream, fcgi_padding(padding_n));
}

static int put_record(struct fcgi_conn *conn, struct span header, struct span data, size_t padding_n)
{
    int error = stream_put(conn->stream, header);

    if (error == 0)
        error = stream_put(conn->stream, data);
    conn->put_n += data.n;
    return error != 0 ? error : stream_put(conn->stream, fcgi_padding(padding_n));
}

ssize_t fcgi_call_send(struct fcgi_call *c, struct span data)
{
    struct fcgi_conn *conn = c->conn;
    uint8_t header[FCGI_HEADER_BYTES];
    struct span head;
    size_t padding_n;
    int error;

    if (conn == NULL)
        return -EPIPE;
    if (conn->full)
        return 0;
    data = span_first(data, FCGI_CONTENT_OURS);
    padding_n = fcgi_write_header(header, FCGI_STDIN, c->id, data.n);
    head = span_of(header, sizeof(header));
    if (data.n <= SMALL_BYTES && conn->put_n + data.n <= SMALL_TOGETHER_BYTES)
        error = put_record(conn, head, data, padding_n);
    else
        error = send_record(conn, head, data, padding_n);
    return error != 0 ? error : (ssize_t)data.n;
}

int fcgi_call_end_input(struct fcgi_call *c)
{
    uint8_t header[FCGI_HEADER_BYTES];

    if (c->conn == NULL)
        return -EPIPE;
    c->input_over = true;
    fcgi_write_header(header, FCGI_STDIN, c->id, 0);
    return stream_put(c->conn->stream, span_of(header, sizeof(header)));
}

/* ---- events ---- */

static struct fcgi_call *only_call(const struct fcgi_conn *conn)
{
    return LIST_OWNER(conn->calls.next, struct fcgi_call, link);
}

static void on_readable(void *ctx)
{
    struct fcgi_conn *conn = ctx;

    if (conn->calls_n == 0)
        skip(conn);
    else
        only_call(conn)->progress(only_call(conn)->ctx);
}

static void on_writable(void *ctx)
{
    struct fcgi_conn *conn = ctx;

    conn->full = false;
    conn->put_n = 0;
    on_readable(conn);
}

static const struct stream_events conn_events = { .readable = on_readable, .writable = on_writable };

static void on_timer(struct timer *t, uint64_t now_ms)
{
    (void)now_ms;
    conn_free(LIST_OWNER(t, struct fcgi_conn, timer));
}

static void on_idle_ends(struct lingerer *l)
{
    conn_free(LIST_OWNER(l, struct fcgi_conn, lingerer));
}

/* ---- the beginning ---- */

struct fcgi_conn *fcgi_conn_new(struct services *services, struct server *server, struct stream **s, bool kept, bool may_keep)
{
    struct fcgi_conn *conn = mem_zalloc(sizeof(*conn));

    if (conn == NULL) {
        stream_close(s);
        return NULL;
    }
    conn->services = services;
    conn->server = server;
    conn->kept = kept;
    conn->keeps = may_keep && server->pool.limit > 0 && !services->draining;
    conn->lingerer.close = on_idle_ends;
    list_init(&conn->lingerer.link);
    list_init(&conn->calls);
    timer_init(&conn->timer, on_timer);
    fcgi_reader_init(&conn->reader);
    conn->stream = stream_take(s);
    stream_own(conn->stream, &conn_events, conn);
    return conn;
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
    c->kept = conn->kept;
    list_append(&conn->calls, &c->link);
    conn->calls_n++;
    call_enter(c, FCGI_CALL_OPEN);
}

/* A request that is still open is aborted (FastCGI section 5.4); its id stays taken until the application ends it. */
static void abort_call(struct fcgi_call *c)
{
    struct fcgi_conn *conn = c->conn;
    uint8_t header[FCGI_HEADER_BYTES];

    metrics_add(&conn->services->metrics->fcgi_aborts, 1);
    fcgi_reader_discard(&conn->reader, c->id);
    conn->spent = true;
    fcgi_write_header(header, FCGI_ABORT_REQUEST, c->id, 0);
    stream_put(conn->stream, span_of(header, sizeof(header)));     /* an error stays with the stream, which is looked at next */
    detach(c);
    settle(conn);
}

void fcgi_call_release(struct fcgi_call *c)
{
    ready_cancel(&c->ready);
    fcgi_stderr_end(&c->errors);
    if (c->conn != NULL)
        abort_call(c);
}
