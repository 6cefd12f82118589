/* What the application says. */
#include "gateway/fcgi_conn_parts.h"

#include <errno.h>
#include <string.h>

#define LONG_RECORD_BYTES 32768          /* content of so many bytes is spliced */
#define LITTLE_BYTES 16                  /* of it may have been read with the header */
#define CROWDED_BYTES 65536              /* with so many bytes held for one call nobody joins */

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
            fcgi_conn_fail(conn, END_SERVER_FAULT, r.fault, NULL);
            return 0;
        }
        if (r.event == FCGI_EVENT_STDERR) {
            take_errors(c, r.data);
        } else if (r.event == FCGI_EVENT_END && r.id == c->id) {
            fcgi_call_end(c, &r);
            fcgi_conn_settle(conn);
            return 0;
        } else if (r.event == FCGI_EVENT_MORE) {
            if (conn->stream->input != STREAM_OPEN)
                fcgi_conn_fail_closed(conn);
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
        stream_glance(to, c->conn->stream);
    return taken;
}

/* ---- in, with several calls ---- */

static struct fcgi_call *call_of(const struct fcgi_conn *conn, unsigned id)
{
    for (struct list *l = conn->calls.next; l != &conn->calls; l = l->next)
        if (LIST_OWNER(l, struct fcgi_call, link)->id == id)
            return LIST_OWNER(l, struct fcgi_call, link);
    return NULL;
}

static void cut(struct fcgi_call *c, int error)
{
    fcgi_call_give_up(c);
    if (error == -EFBIG)
        fcgi_call_fail(c, END_CLIENT_STALLED, FAULT_NONE, NULL);
    else
        fcgi_call_fail(c, END_NO_MEMORY, FAULT_NONE, strerror(-error));
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
    fcgi_conn_offer(conn);
    took(conn, data.n);
}

static void end_one(struct fcgi_conn *conn, const struct fcgi_result *r)
{
    struct fcgi_call *c = call_of(conn, r->id);

    if (c == NULL)
        return;                          /* it was given up */
    ready_add(conn->services->ready, &c->ready);
    fcgi_call_end(c, r);
}

/* Until nothing is there, or one call is left, which reads for itself. */
void fcgi_conn_tell_apart(struct fcgi_conn *conn)
{
    struct fcgi_result r = { .event = FCGI_EVENT_END };

    while (r.event != FCGI_EVENT_MORE && conn->calls_n != 1) {
        next(conn, &r);
        if (r.event == FCGI_EVENT_FAULT) {
            fcgi_conn_fail(conn, END_SERVER_FAULT, r.fault, NULL);
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
        fcgi_conn_fail_closed(conn);
    else
        fcgi_conn_settle(conn);
}
