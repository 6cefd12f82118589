/* Who is on a connection, and ends: of a call, of all of them, of the connection. */
#include "gateway/fcgi_conn_parts.h"
#include "protocol/mem.h"

#include <assert.h>

#define ABORTED_MS 1000                  /* an aborted request may take so long to end; then the server sees the connection end */

void fcgi_conn_free(struct fcgi_conn *conn)
{
    assert(conn->calls_n == 0);
    timer_clear(conn->services->timers, &conn->timer);
    ready_cancel(&conn->ready);
    list_remove(&conn->shared);
    list_remove(&conn->lingerer.link);
    stream_close(&conn->stream);         /* and with it the server may go */
    mem_free(conn);
}

/* Those that may have room stand in the server's list. */
void fcgi_conn_offer(struct fcgi_conn *conn)
{
    list_remove(&conn->shared);
    if (conn->calls_n > 0 && conn->calls_n < conn->calls_max && !conn->spent)
        list_append(&conn->server->fcgi.shared, &conn->shared);
}

void fcgi_call_enter(struct fcgi_call *c, enum fcgi_call_state to)
{
    assert(c->state < to && c->state <= FCGI_CALL_OPEN);
    c->state = to;
}

/* Whoever is left alone reads in place from here on, and may not have been told of what is there. */
void fcgi_call_detach(struct fcgi_call *c)
{
    struct fcgi_conn *conn = c->conn;

    list_remove(&c->link);
    c->conn = NULL;
    conn->calls_n--;
    if (conn->calls_n == 1)
        ready_add(conn->services->ready, &fcgi_conn_first_call(conn)->ready);
    fcgi_conn_offer(conn);
    if (!list_empty(&conn->shared))
        server_is_joinable(conn->server);
}

static void linger(struct fcgi_conn *conn)
{
    if (timer_is_set(&conn->timer))
        return;
    list_append(&conn->server->lingerers, &conn->lingerer.link);
    timer_start(conn->services->timers, &conn->timer, ABORTED_MS);
}

/* A call has left. With the last one the connection is kept, or lingers, or goes. */
void fcgi_conn_settle(struct fcgi_conn *conn)
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
    fcgi_conn_free(conn);
}

void fcgi_call_fail(struct fcgi_call *c, enum end_reason why, enum fault fault, const char *detail)
{
    c->why = why;
    c->fault = fault;
    c->detail = detail;
    spool_free(&c->held);
    ready_add(c->conn->services->ready, &c->ready);
    fcgi_call_detach(c);
    fcgi_call_enter(c, FCGI_CALL_FAILED);
}

void fcgi_conn_fail(struct fcgi_conn *conn, enum end_reason why, enum fault fault, const char *detail)
{
    if (fault != FAULT_NONE)
        metrics_fault(conn->services->metrics, METRICS_SERVER, fault);
    conn->spent = true;
    while (!list_empty(&conn->calls))
        fcgi_call_fail(fcgi_conn_first_call(conn), why, fault, detail);
    fcgi_conn_free(conn);
}

void fcgi_conn_fail_closed(struct fcgi_conn *conn)
{
    const char *words = stream_input_words(conn->stream);

    if (words == NULL && conn->stream->input == STREAM_FAILED)
        words = "the connection was reset";
    fcgi_conn_fail(conn, END_SERVER_CLOSED, FAULT_NONE, words);
}

/* An answer before the request was all sent: whether the server will skip the rest of it is not known. */
void fcgi_call_end(struct fcgi_call *c, const struct fcgi_result *r)
{
    c->end = r->end;
    c->app_status = r->app_status;
    c->answered = true;
    c->conn->spent |= !c->input_over;
    fcgi_call_detach(c);
    fcgi_call_enter(c, FCGI_CALL_ENDED);
}

/* FastCGI section 5.4. The id stays taken until the application ends the request; what it may say until then is skipped. */
void fcgi_call_give_up(struct fcgi_call *c)
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
