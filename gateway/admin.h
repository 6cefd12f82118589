/* admin: the HTTP endpoint of those who run the gateway, in the control loop: accepts, reads requests, hands them over, sends what is answered.
 *
 * Bounded: ADMIN_CLIENTS_MAX connections (a further one takes the place of the one that idles longest, or waits), 16 KiB of head, no body at all:
 * everything that is asked stands in target and query. Every state of a connection has a deadline. What is answered is decided by whoever is
 * asked (control_admin.c), at once or later. tests/gateway/test_admin.c */
#ifndef UPGATE_GATEWAY_ADMIN_H
#define UPGATE_GATEWAY_ADMIN_H

#include "gateway/admin_request.h"
#include "gateway/text.h"

#define ADMIN_CLIENTS_MAX 32

struct uv_loop_s;
struct stream_uv_loop;
struct admin;
struct admin_client;

struct admin_owner {
    /* Answers with admin_answer, at once or later. The request is borrowed for the call. */
    void (*asked)(void *ctx, struct admin_client *c, const struct admin_request *r);
    /* One that has not been answered is gone, or was waited for too long: it must not be answered any more. */
    void (*gone)(void *ctx, struct admin_client *c);
    void *ctx;
};

/* streams: of that loop; their ready queue is run by whoever turns it. NULL: said in the log. */
struct admin *admin_new(struct uv_loop_s *loop, struct stream_uv_loop *streams, const struct admin_owner *owner);
/* Before it listens, and whenever another configuration comes into force: both are borrowed until the next call. */
void admin_configure(struct admin *a, const struct conf_admin *conf, const char *via);
/* Listens on this socket from now on, which is taken, and no longer on the one before. -1: on none. 0 or a negative errno. */
int admin_listen(struct admin *a, int fd);
/* Idempotent: cuts everything; the loop has to run once more before admin_free. NULL-safe, like admin_free. */
void admin_close(struct admin *a);
void admin_free(struct admin *a);

struct admin_answer {
    unsigned status;
    const char *type;                    /* NULL: plain text */
    struct text *body;                   /* taken: *body is empty afterwards. NULL: the sentence */
    const char *sentence;                /* without a full stop; borrowed for the call */
    const char *allow;                   /* of a 405 */
};
void admin_answer(struct admin_client *c, const struct admin_answer *answer);

#endif
