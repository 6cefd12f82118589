/* The life of a connection:
 *
 *   one call      its owner pulls: the reader advances when the call is peeked
 *   several       what comes is told apart as it comes, and held for each call until its owner pulls
 *   no call       requests that were given up are still open at the server: their records are skipped until they end, or time is up
 *
 * It is freed in one place, conn_free, and whoever has called something that may end it does not look at it again. */
#include "gateway/fcgi_conn.h"
#include "protocol/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SMALL_BYTES 4096                 /* a piece of STDIN up to this is put, not sent by itself … */
#define SMALL_TOGETHER_BYTES 16384       /* … as long as no more than this waits */
#define LONG_RECORD_BYTES 32768          /* content of so many bytes is spliced */
#define LITTLE_BYTES 16                  /* of it may have been read with the header */
#define HEADS_BYTES 65536                /* with so many bytes of heads waiting nobody joins */
#define CROWDED_BYTES 65536              /* with so many bytes held for one call nobody joins */
#define ABORTED_MS 1000                  /* an aborted request may take so long to end; then the server sees the connection end */

struct fcgi_conn {
    struct services *services;
    struct server *server;
    struct stream *stream;
    struct fcgi_reader reader;
    struct list calls;
    size_t calls_n;
    unsigned calls_max;
    struct spool_limits held;
    struct list shared;                  /* in server->fcgi.shared while somebody may join */
    struct lingerer lingerer;
    struct timer timer;
    struct ready ready;                  /* what was left unread by one call is to be told apart for several */
    size_t put_n;                        /* bytes that were put since nothing was left */
    bool used;
    bool keeps;
    bool spent;                          /* something was left undone on it: no further request */
    bool full;                           /* the kernel did not take all of a record */
};

static void conn_free(struct fcgi_conn *conn)
{
    assert(conn->calls_n == 0);
    timer_clear(conn->services->timers, &conn->timer);
    ready_cancel(&conn->ready);
    list_remove(&conn->shared);
    list_remove(&conn->lingerer.link);
    stream_close(&conn->stream);         /* and with it the server may go */
    mem_free(conn);
}

/* ---- who is on it ---- */

static struct fcgi_call *first_call(const struct fcgi_conn *conn)
{
    return LIST_OWNER(conn->calls.next, struct fcgi_call, link);
}

static struct fcgi_call *call_of(const struct fcgi_conn *conn, unsigned id)
{
    for (struct list *l = conn->calls.next; l != &conn->calls; l = l->next)
        if (LIST_OWNER(l, struct fcgi_call, link)->id == id)
            return LIST_OWNER(l, struct fcgi_call, link);
    return NULL;
}

static bool has_room(const struct fcgi_conn *conn)
{
    const uint8_t *p;

    return conn->calls_n > 0 && conn->calls_n < conn->calls_max && !conn->spent && conn->put_n < HEADS_BYTES &&
           conn->stream->input == STREAM_OPEN && conn->stream->output_error == 0 && stream_peek(conn->stream, &p) == 0;
}

/* Those that may have room stand in the server's list. */
static void offer(struct fcgi_conn *conn)
{
    list_remove(&conn->shared);
    if (conn->calls_n > 0 && conn->calls_n < conn->calls_max && !conn->spent)
        list_append(&conn->server->fcgi.shared, &conn->shared);
}

static void call_enter(struct fcgi_call *c, enum fcgi_call_state to)
{
    assert(c->state < to && c->state <= FCGI_CALL_OPEN);
    c->state = to;
}

/* Whoever is left alone reads in place from here on, and may not have been told of what is there. */
static void detach(struct fcgi_call *c)
{
    struct fcgi_conn *conn = c->conn;

    list_remove(&c->link);
    c->conn = NULL;
    conn->calls_n--;
    if (conn->calls_n == 1)
        ready_add(conn->services->ready, &first_call(conn)->ready);
    offer(conn);
    if (!list_empty(&conn->shared))
        server_is_joinable(conn->server);
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
    if (conn->reader.open > 0 && s->input == STREAM_OPEN && s->output_error == 0 && conn->server->home != NULL) {
        linger(conn);
        return;
    }
    if (fcgi_reader_is_idle(&conn->reader) && conn->keeps && !conn->spent && !conn->services->draining)
        server_keep(conn->server, &conn->stream);
    conn_free(conn);
}

static void fail_call(struct fcgi_call *c, enum end_reason why, enum fault fault, const char *detail)
{
    c->why = why;
    c->fault = fault;
    c->detail = detail;
    spool_free(&c->held);
    ready_add(c->conn->services->ready, &c->ready);
    detach(c);
    call_enter(c, FCGI_CALL_FAILED);
}

static void fail(struct fcgi_conn *conn, enum end_reason why, enum fault fault, const char *detail)
{
    if (fault != FAULT_NONE)
        metrics_fault(conn->services->metrics, METRICS_SERVER, fault);
    conn->spent = true;
    while (!list_empty(&conn->calls))
        fail_call(first_call(conn), why, fault, detail);
    conn_free(conn);
}

static void fail_closed(struct fcgi_conn *conn)
{
    fail(conn, END_SERVER_CLOSED, FAULT_NONE, stream_input_words(conn->stream) != NULL         ? stream_input_words(conn->stream)
                                                 : conn->stream->input == STREAM_FAILED ? "the connection was reset"
                                                                                         : NULL);
}

/* An answer before the request was all sent: whether the server will skip the rest of it is not known. */
static void end_call(struct fcgi_call *c, const struct fcgi_result *r)
{
    c->end = r->end;
    c->app_status = r->app_status;
    c->answered = true;
    c->conn->spent |= !c->input_over;
    detach(c);
    call_enter(c, FCGI_CALL_ENDED);
}

/* FastCGI section 5.4. The id stays taken until the application ends the request; what it may say until then is skipped. */
static void give_up(struct fcgi_call *c)
{
    struct fcgi_conn *conn = c->conn;
    uint8_t header[FCGI_HEADER_BYTES];

    if (!c->begun) {
        fcgi_reader_withdraw(&conn->reader, c->id);
        return;
    }
    metrics_add(&conn->services->metrics->fcgi_aborts, 1);
    fcgi_reader_discard(&conn->reader, c->id);
    conn->spent = true;
    fcgi_write_header(header, FCGI_ABORT_REQUEST, c->id, 0);
    stream_put(conn->stream, span_of(header, sizeof(header)));     /* an error stays with the stream, which is looked at next */
}

/* ---- in ---- */

/* The next event on the connection; returns where its data stands. */
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

static void take_errors(struct fcgi_call *c, struct span data)
{
    c->answered = true;
    fcgi_stderr_take(&c->errors, data);
    took(c->conn, data.n);
}

/* The only call's output, in place. The connection may be gone behind a 0. */
static size_t read_in_place(struct fcgi_call *c, const uint8_t **p)
{
    struct fcgi_conn *conn = c->conn;
    struct fcgi_result r;

    for (;;) {
        *p = next(conn, &r);
        if (r.event == FCGI_EVENT_STDOUT) {
            c->answered = true;
            return r.data.n;
        }
        if (r.event == FCGI_EVENT_FAULT) {
            fail(conn, END_SERVER_FAULT, r.fault, NULL);
            return 0;
        }
        if (r.event == FCGI_EVENT_STDERR) {
            take_errors(c, r.data);
        } else if (r.event == FCGI_EVENT_END && r.id == c->id) {
            end_call(c, &r);
            settle(conn);
            return 0;
        } else if (r.event == FCGI_EVENT_MORE) {
            if (conn->stream->input != STREAM_OPEN)
                fail_closed(conn);
            return 0;
        }                                /* else: the end of a request that was given up */
    }
}

/* Nobody can have what is in a file that cannot be read. */
static size_t read_held(struct fcgi_call *c, const uint8_t **p)
{
    struct span held;

    if (spool_peek(&c->held, &held) == 0) {
        *p = held.p;
        return held.n;
    }
    spool_free(&c->held);
    c->lost = true;
    return 0;
}

size_t fcgi_call_peek(struct fcgi_call *c, const uint8_t **p)
{
    *p = NULL;
    if (spool_bytes(&c->held) > 0)
        return read_held(c, p);
    if (c->lost || c->state != FCGI_CALL_OPEN || c->conn->calls_n > 1)
        return 0;
    return read_in_place(c, p);
}

void fcgi_call_consume(struct fcgi_call *c, size_t n)
{
    if (n == 0)
        return;
    if (spool_bytes(&c->held) > 0)
        spool_consume(&c->held, n);
    else
        took(c->conn, n);
}

/* ---- in, unseen ---- */

/* How much of a long record comes next, when its header has been read. Behind a long one that is looked at here. */
static size_t due_unseen(struct fcgi_call *c)
{
    struct fcgi_conn *conn = c->conn;
    const uint8_t *p;
    size_t due;

    if (c->state != FCGI_CALL_OPEN || conn->calls_max > 1)
        return 0;
    due = fcgi_reader_due(&conn->reader, c->id, LONG_RECORD_BYTES);
    if (due > 0 || conn->reader.content_n < LONG_RECORD_BYTES)
        return due;
    return fcgi_call_peek(c, &p) > 0 ? fcgi_reader_due(&conn->reader, c->id, LONG_RECORD_BYTES) : 0;
}

/* A few bytes of the content were taken with the header, since they could not be spliced then: they go before what is. */
static ssize_t put_first(struct fcgi_call *c, struct stream *to, size_t due)
{
    const uint8_t *p;
    size_t n = stream_peek(c->conn->stream, &p);
    int error;

    if (n == 0 || n > LITTLE_BYTES || n >= due || to->blocked)
        return STREAM_NO_SPLICE;
    error = stream_put(to, span_of(p, n));
    if (error != 0)
        return error;
    took(c->conn, n);
    return (ssize_t)n;
}

/* The content of a record is spliced to its end if it was long. What is behind it is glanced at first, so that the next one's content
 * is still in the socket when its header is known. What has been read is copied, and what ends too early is found there. */
ssize_t fcgi_call_splice(struct fcgi_call *c, struct stream *to, uint64_t n)
{
    size_t record = due_unseen(c), due = record < n ? record : (size_t)n;
    ssize_t taken = due > 0 ? stream_splice(to, c->conn->stream, due) : STREAM_NO_SPLICE;

    if (due == 0 || (taken == 0 && c->conn->stream->input != STREAM_OPEN))
        return STREAM_NO_SPLICE;
    if (taken == STREAM_NO_SPLICE)
        return put_first(c, to, due);
    if (taken <= 0)
        return taken;
    fcgi_reader_took(&c->conn->reader, (size_t)taken);
    if ((size_t)taken == due && n > due)
        stream_splice(to, c->conn->stream, 0);
    return taken;
}

/* ---- in, with several calls ---- */

static void cut(struct fcgi_call *c, int error)
{
    give_up(c);
    if (error == -EFBIG)
        fail_call(c, END_CLIENT_STALLED, FAULT_NONE, NULL);
    else
        fail_call(c, END_NO_MEMORY, FAULT_NONE, strerror(-error));
}

/* A call that does not keep up with the others on the connection. */
static void hold(struct fcgi_call *c, struct span data)
{
    struct fcgi_conn *conn = c->conn;
    int error = spool_add(&c->held, &conn->held, data);

    c->answered = true;
    if (error != 0)
        cut(c, error);
    else
        ready_add(conn->services->ready, &c->ready);
    conn->spent |= spool_bytes(&c->held) > CROWDED_BYTES;
    offer(conn);
    took(conn, data.n);
}

static void end_one(struct fcgi_conn *conn, const struct fcgi_result *r)
{
    struct fcgi_call *c = call_of(conn, r->id);

    if (c == NULL)
        return;                          /* it was given up */
    ready_add(conn->services->ready, &c->ready);
    end_call(c, r);
}

/* Until nothing is there, or one call is left, which reads for itself. */
static void tell_apart(struct fcgi_conn *conn)
{
    struct fcgi_result r = { .event = FCGI_EVENT_END };

    while (r.event != FCGI_EVENT_MORE && conn->calls_n != 1) {
        next(conn, &r);
        if (r.event == FCGI_EVENT_FAULT) {
            fail(conn, END_SERVER_FAULT, r.fault, NULL);
            return;
        }
        if (r.event == FCGI_EVENT_STDOUT)
            hold(call_of(conn, r.id), r.data);
        else if (r.event == FCGI_EVENT_STDERR)
            take_errors(call_of(conn, r.id), r.data);
        else if (r.event == FCGI_EVENT_END)
            end_one(conn, &r);
    }
    if (r.event == FCGI_EVENT_MORE && conn->stream->input != STREAM_OPEN)
        fail_closed(conn);
    else
        settle(conn);
}

/* ---- out ---- */

int fcgi_call_begin(struct fcgi_call *c, struct span records)
{
    struct fcgi_conn *conn = c->conn;
    ssize_t sent = 0;

    if (conn == NULL)
        return -EPIPE;
    c->begun = true;
    if (c->input_over && conn->calls_max == 1)
        sent = stream_send(conn->stream, records);
    if (sent < 0)
        return (int)sent;
    conn->put_n += records.n - (size_t)sent;
    return stream_put(conn->stream, span_from(records, (size_t)sent));
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

static void on_readable(void *ctx)
{
    struct fcgi_conn *conn = ctx;

    if (conn->calls_n == 1)
        first_call(conn)->progress(first_call(conn)->ctx);
    else
        tell_apart(conn);
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
    conn_free(LIST_OWNER(t, struct fcgi_conn, timer));
}

static void on_idle_ends(struct lingerer *l)
{
    conn_free(LIST_OWNER(l, struct fcgi_conn, lingerer));
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
    call_enter(c, FCGI_CALL_OPEN);
    offer(conn);
}

void fcgi_call_release(struct fcgi_call *c)
{
    struct fcgi_conn *conn = c->conn;

    ready_cancel(&c->ready);
    fcgi_stderr_end(&c->errors);
    spool_free(&c->held);
    if (conn == NULL)
        return;
    give_up(c);
    detach(c);
    settle(conn);
}
