/* places: how many connections to a server there may be over all workers, and who waits until there may be another one.
 *
 * A connection takes a place before it is begun and gives it back when it is closed; an idle one that is kept has a place, too. Who finds no
 * place waits in its set's queue, one for all workers, first come first. A place that is given back goes straight to the first who can use
 * it: the place is handed over, not announced, so nobody is woken in vain and nobody overtakes. Where an idle connection of another worker
 * holds the place, that worker is asked to close one. Who waits for one server alone keeps nobody from the others.
 *
 * No wake-up is lost: a waiter shows itself (waiting_n) before it looks for a place once more, and who gives a place back does so before it
 * looks for waiters; both in sequential order, so that at least one of the two sees the other. The same holds for idle connections.
 * tests/gateway/test_places.c */
#ifndef UPGATE_GATEWAY_PLACES_H
#define UPGATE_GATEWAY_PLACES_H

#include "gateway/mailbox.h"
#include "gateway/server_set.h"

/* One worker's end of a set's queue. Everything private but `idle`. */
struct place_port {
    struct server_set *set;
    struct mailbox *mailbox;
    struct list link;                    /* set->ports */
    struct letter letter;
    struct list granted;                 /* of place_wait.link */
    unsigned asked;                      /* idle connections that others ask for */
    _Atomic size_t idle;                 /* connections that this worker keeps idle */
    /* Closes an idle connection, if places_wanted says so of its server. From the loop, or from inside a call of the port's own. */
    void (*close_idle)(struct place_port *p);
};

#define PLACES_TRIED_MAX 64              /* servers with slots beyond are never counted as tried */

enum place_standing { PLACE_WAITED_FOR, PLACE_GRANTED };
struct place_wait {                      /* the waiter embeds it, zeroed */
    struct server_state *wanted;         /* only this one, as long as it is up; NULL: any that was not tried. NULL again when it waits no more */
    uint64_t tried;                      /* bit per slot */
    bool fresh;                          /* an idle connection is of no use: never warm */
    /* From the loop. With `warm` no place comes with it, but an idle connection of this worker's has just been kept. The server is held
     * until the call returns. */
    void (*granted)(struct place_wait *w, struct server_state *server, bool warm);
    struct place_port *port;             /* where it waits, or NULL */
    /* private, under the set's lock */
    struct list link;
    enum place_standing standing;
    struct server_state *server;
    bool warm;
};

/* A place, if there is one. Who takes it gives it back. */
bool places_take(struct server_state *s);
void places_give(struct server_state *s, uint64_t now_ms);
bool places_left(const struct server_state *s);          /* as things stand: taking one may still fail */
/* Whether an idle connection to this server had better be closed, because somebody waits who can use the place. */
bool places_wanted(struct server_state *s, uint64_t now_ms);
/* Other places than before, or other standings: whoever can be served now is. */
void places_review(struct server_set *set, uint64_t now_ms);

void places_open(struct place_port *p, struct server_set *set, struct mailbox *mailbox, void (*close_idle)(struct place_port *p));
void places_close(struct place_port *p);                 /* nobody of this port waits any more; idempotent */

/* Begins to wait; `first`: in front of all others, for one who was granted a warm connection that was none. 0, or -EAGAIN: `most` wait
 * already. */
int places_wait(struct place_port *p, struct place_wait *w, size_t most, bool first, uint64_t now_ms);
void places_wait_end(struct place_wait *w, uint64_t now_ms);     /* idempotent; a grant that was not told yet goes on to the next */
/* A connection to s becomes idle in this worker, and has been kept: if the first who can use it is of this worker, it is granted. */
bool places_offer_warm(struct place_port *p, struct server_state *s, uint64_t now_ms);

#endif
