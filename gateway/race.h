/* race: several addresses of one server to one connected stream, as RFC 8305 has it: the families take turns, the next address is tried
 * when one has failed or RACE_PACE_MS have gone by without a decision, and the first who is connected has won: the others are closed.
 *
 * So a server whose one family leads nowhere costs a quarter of a second, and not the time until a connection is given up. It has no deadline:
 * its owner ends it. tests/gateway/test_race.c */
#ifndef UPGATE_GATEWAY_RACE_H
#define UPGATE_GATEWAY_RACE_H

#include "gateway/stream_uv.h"
#include "gateway/timers.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define RACE_ADDRESSES 8                 /* more are not tried */
#define RACE_PACE_MS 250                 /* RFC 8305 section 5 */

struct race;
struct race_runner {
    struct race *race;
    struct stream *stream;               /* over the socket that is connecting, or NULL */
};

struct race {                            /* the owner embeds it, and touches nothing in it */
    struct stream_uv_loop *loop;
    struct timers *timers;
    size_t n, next;                      /* addresses; the one to be tried next */
    size_t running;
    struct race_runner runners[RACE_ADDRESSES];
    struct stream *winner;               /* connected at once: told from the loop */
    struct timer pace;
    struct ready ready;                  /* somebody has won, or nobody is left: told from the loop */
    int last_error;
    void (*over)(struct race *r, struct stream *stream, int error);
    struct sockaddr_storage addresses[RACE_ADDRESSES];           /* the first n; the others are nothing yet */
};

/* over: from the loop, once: a stream, which is the owner's; or NULL, and the last address's error (negative errno). The race has ended then. */
void race_init(struct race *r, struct stream_uv_loop *loop, struct timers *timers,
               void (*over)(struct race *r, struct stream *stream, int error));
/* Never calls `over` itself. Without addresses the race is lost: with `error`. */
void race_run(struct race *r, const struct sockaddr_storage *addresses, size_t n, int error);
void race_end(struct race *r);           /* idempotent: nothing more is heard of it */

/* RFC 8305 section 4: the first stays the first, and behind each comes one of another family, as long as there is one. */
void race_order(struct sockaddr_storage *addresses, size_t n);

#endif
