/* server_set: the servers of one upstream as they are now, shared by all threads; and who waits for a place at one of them.
 *
 * The control loop makes it, and says anew who its members are when the configuration or the answer to a name changes. A worker that
 * sees another version copies the list; it asks before each choice, which costs one read. What waits for places is in places.h. */
#ifndef UPGATE_GATEWAY_SERVER_SET_H
#define UPGATE_GATEWAY_SERVER_SET_H

#include "gateway/list.h"
#include "gateway/server_state.h"

#include <pthread.h>

struct server_set {
    _Atomic size_t holders;
    char *name;                          /* of the upstream */
    _Atomic unsigned version;            /* moves when the members change; never 0 */
    _Atomic uint64_t places;             /* connections to each server, of all workers together; 0: any number */
    pthread_mutex_t lock;                /* of all that follows */
    struct server_state **members;
    size_t members_n;
    struct list waiting;                 /* of place_wait.link, first come first */
    _Atomic size_t waiting_n;            /* written under the lock, read by everybody */
    _Atomic size_t waiting_any;          /* … of which want whichever server there is */
    struct list ports;                   /* of place_port.link, one per worker and snapshot */
};

/* What the control loop wants a member to be. */
struct server_wish {
    const struct conf_server *conf;
    const struct conf_address *address;
    const char *name;                    /* NULL: the conf's id, or the address */
    const char *host;                    /* whom TLS asks for; NULL: the address's host */
};

struct server_set *server_set_new(const char *name);     /* NULL: no memory. Without members; the caller holds it */
struct server_set *server_set_hold(struct server_set *s);
void server_set_release(struct server_set **s);          /* NULL-safe, *s becomes NULL; in any thread. Nobody waits any more */

/* The members from now on: those that are still wanted stay what they are, with what is known of them. 0, or -ENOMEM: nothing has changed. */
int server_set_update(struct server_set *s, const struct server_wish *wishes, size_t n);
/* Holds each of the members for the caller and returns their number and version; NULL: no memory. mem_free the array. */
struct server_state **server_set_copy(struct server_set *s, size_t *n_out, unsigned *version_out);
/* Of these states: the best tier that there is. */
enum server_tier server_set_tier(struct server_state *const *states, size_t n, uint64_t now_ms);

#endif
