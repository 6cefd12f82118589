/* Records on their way to the application: each is written whole. */
#include "gateway/fcgi_conn_parts.h"

#include <errno.h>

#define SMALL_BYTES 4096                 /* a piece of STDIN up to this is put, not sent by itself … */
#define SMALL_TOGETHER_BYTES 16384       /* … as long as no more than this waits */

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
