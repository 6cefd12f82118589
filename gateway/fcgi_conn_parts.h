/* fcgi_conn_parts: what the files of a FastCGI connection share among themselves; nobody else includes it.
 *
 *   fcgi_conn_end.c      who is on it, how a call ends, and what becomes of the connection: the one place that frees
 *   fcgi_conn_in.c       what the application says: in place, unseen, or told apart for several
 *   fcgi_conn_out.c      records of a call on their way to the application
 *   fcgi_conn.c          the beginning, and the loop's calls: knows all three */
#ifndef UPGATE_GATEWAY_FCGI_CONN_PARTS_H
#define UPGATE_GATEWAY_FCGI_CONN_PARTS_H

#include "gateway/fcgi_conn.h"

struct fcgi_conn {
    struct services *services;
    struct server *server;
    struct stream *stream;
    struct fcgi_reader reader;
    struct list calls;
    size_t calls_n;
    unsigned calls_max;                  /* more than 1: others may join */
    struct spool_limits held;            /* of one call */
    struct list shared;                  /* in server->fcgi.shared while somebody may join */
    struct lingerer lingerer;
    struct timer timer;
    struct ready ready;                  /* what was left unread by one call is to be told apart for several */
    size_t put_n;                        /* bytes that were put since nothing was left */
    bool used;                           /* when it began, already: it came from the pool */
    bool keeps;                          /* it may go there when it is done with */
    bool spent;                          /* something was left undone on it: no further request */
    bool full;                           /* the kernel did not take all of a record */
};

static inline struct fcgi_call *fcgi_conn_first_call(const struct fcgi_conn *conn)
{
    return LIST_OWNER(conn->calls.next, struct fcgi_call, link);
}

/* fcgi_conn_end.c */
void fcgi_conn_free(struct fcgi_conn *conn);
void fcgi_conn_offer(struct fcgi_conn *conn);    /* to others who may join, or not any more */
void fcgi_call_enter(struct fcgi_call *c, enum fcgi_call_state to);
void fcgi_call_detach(struct fcgi_call *c);
void fcgi_call_give_up(struct fcgi_call *c);     /* the application is told, if it knows of the call; the call stays where it is */
void fcgi_call_end(struct fcgi_call *c, const struct fcgi_result *r);    /* as the application said */
void fcgi_call_fail(struct fcgi_call *c, enum end_reason why, enum fault fault, const char *detail);
/* The connection may be gone after each of these, which look at all calls. */
void fcgi_conn_settle(struct fcgi_conn *conn);
void fcgi_conn_fail(struct fcgi_conn *conn, enum end_reason why, enum fault fault, const char *detail);
void fcgi_conn_fail_closed(struct fcgi_conn *conn);

/* fcgi_conn_in.c; more of it in fcgi_conn.h */
void fcgi_conn_tell_apart(struct fcgi_conn *conn);       /* with any number of calls but one; the connection may be gone */

#endif
