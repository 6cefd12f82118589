/* fcgi_conn: a FastCGI connection to a server, and the requests (calls) on it.
 *
 * A connection exists while there are calls on it. It begins with a stream, new or from the pool; the last call's end gives the stream
 * back to the pool, or closes it. A call sends its records and then peeks and consumes the application's output like a stream; its
 * error stream goes to the log by itself. News come by `progress`, from the loop.
 *
 * Out: every record is written whole, so that the next may be of any call. What the kernel does not take of one is kept by the stream (64
 * KiB at most), and no call sends until that is out. Small pieces are put, and go out together with their neighbours; only a request without a
 * body on a connection that nobody may join has no neighbours, and is sent at once.
 *
 * In, with one call on a connection: its output is read in place, and what it does not consume stops the reading: that is all the
 * backpressure there is.
 *
 * In, with several: FastCGI has no flow control for one of them, and none may stall the others. So what one does not consume is held for
 * it, in memory and then in a file, up to a bound past which it is cut. That is seldom met: a connection on which much is held, or
 * unread, takes no further call, and when the others have ended the slow one is alone on it, and stops the reading as above. Towards
 * the server there is no such way out: an application that leaves a request's body unread would stall all of them, so a call with a body is
 * never on a connection with others.
 *
 * What can go wrong, in order: the connection ends or breaks (END_SERVER_CLOSED), what comes is no lawful FastCGI (END_SERVER_FAULT):
 * the connection ends with all its calls. A call's client does not read (END_CLIENT_STALLED): that call is cut. A call that is released
 * before its end is aborted: FCGI_ABORT_REQUEST is sent, its end is waited for a moment, then the connection is closed; with
 * others on it, it goes on for them, and takes no further call. tests/gateway/test_fcgi.c, test_fcgi_multiplex.c */
#ifndef UPGATE_GATEWAY_FCGI_CONN_H
#define UPGATE_GATEWAY_FCGI_CONN_H

#include "gateway/fcgi_stderr.h"
#include "gateway/services.h"
#include "gateway/spool.h"
#include "protocol/fcgi_record.h"

struct fcgi_conn;

enum fcgi_call_state { FCGI_CALL_NEW, FCGI_CALL_OPEN, FCGI_CALL_ENDED, FCGI_CALL_FAILED };

struct fcgi_call {
    enum fcgi_call_state state;
    struct fcgi_conn *conn;              /* while OPEN */
    struct list link;
    unsigned id;
    struct fcgi_stderr errors;
    struct spool held;                   /* output that was read for others' sake */
    bool used;                           /* OPEN and after: the connection had been used before */
    bool begun;                          /* something of it was put */
    bool answered;                       /* some record of its own has come */
    bool lost;                           /* what was held for it cannot be read any more */
    bool input_over;                     /* the end of STDIN is sent */
    enum fcgi_end end;                   /* ENDED: what the application said … */
    uint32_t app_status;
    enum end_reason why;                 /* FAILED */
    enum fault fault;
    const char *detail;                  /* words, or NULL */
    struct ready ready;
    void (*progress)(void *ctx);
    void *ctx;
};

struct fcgi_conn_start {
    struct services *services;
    struct server *server;
    bool used;                           /* the stream comes from the pool */
    bool may_keep;                       /* … and may go there */
    unsigned calls_max;                  /* more than 1: others may join */
    struct spool_limits held;            /* of one call */
};

/* Takes the stream. NULL: no memory; then it is closed. A call has to follow. */
struct fcgi_conn *fcgi_conn_new(const struct fcgi_conn_start *start, struct stream **s);
/* One that another call without a body may join. NULL: there is none. */
struct fcgi_conn *fcgi_conn_find(const struct server *server);
/* Will the connection be used again? FCGI_KEEP_CONN is to say so. */
bool fcgi_conn_keeps(const struct fcgi_conn *conn);

/* Before fcgi_call_open; `errors` is filled in by the caller. */
void fcgi_call_init(struct fcgi_call *c, void (*progress)(void *ctx), void *ctx);
void fcgi_call_open(struct fcgi_call *c, struct fcgi_conn *conn);
/* The records that begin the request: 0 or the stream's error. */
int fcgi_call_begin(struct fcgi_call *c, struct span records);
/* A piece of STDIN: bytes taken; 0 = blocked; <0 = nobody reads any more, an answer may still come. */
ssize_t fcgi_call_send(struct fcgi_call *c, struct span data);
int fcgi_call_end_input(struct fcgi_call *c);
/* The application's output that is there; p is good until the next call. 0: look at the state. */
size_t fcgi_call_peek(struct fcgi_call *c, const uint8_t **p);
void fcgi_call_consume(struct fcgi_call *c, size_t n);
/* Output that comes next goes to that stream unseen, up to n > 0 bytes of it, as stream_splice says; STREAM_NO_SPLICE: look at what there is. Only
 * the content of long records, on a connection that nobody may join. */
ssize_t fcgi_call_splice(struct fcgi_call *c, struct stream *to, uint64_t n);
/* The end of it, in any state; nothing is heard of it afterwards. */
void fcgi_call_release(struct fcgi_call *c);

#endif
