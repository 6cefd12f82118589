/* credentials: whether a name and a password belong together, found out without anybody waiting for it.
 *
 * Hashing takes as long as it takes, so helpers do it, one check of each worker at a time and the others in turn; those who are turned away
 * get a 503. What was right is remembered for a while, as a keyed hash of name, password and the hash in the file: a file that changes
 * forgets by itself. What was wrong is not: each guess costs the same.
 *
 * What can go wrong, in order: too many wait already (CREDENTIALS_BUSY), no memory. tests/gateway/test_credentials.c */
#ifndef UPGATE_GATEWAY_CREDENTIALS_H
#define UPGATE_GATEWAY_CREDENTIALS_H

#include "gateway/passwords.h"
#include "gateway/timers.h"
#include "gateway/tls_helpers.h"

#define CREDENTIALS_WAITING_MAX 64       /* checks of one worker that wait or run */
#define CREDENTIALS_KNOWN_MAX 1024       /* remembered by one worker */
#define CREDENTIALS_KNOWN_MS 300000

struct credentials;                      /* one worker's */
struct credentials_check;

/* NULL: no memory. helpers may be NULL: then the loop itself does the work. */
struct credentials *credentials_new(struct tls_helpers *helpers, struct tls_home *home, struct timers *timers);
/* Nobody waits for an answer, and nothing is away; NULL is legal. */
void credentials_free(struct credentials *c);

enum credentials_verdict { CREDENTIALS_GOOD, CREDENTIALS_WRONG, CREDENTIALS_ASKED, CREDENTIALS_BUSY, CREDENTIALS_NO_MEMORY };
/* GOOD is known at once, mostly; with ASKED the answer comes later, from the loop, and *check_out may be given up until then. */
enum credentials_verdict credentials_ask(struct credentials *c, const struct passwords *among, struct span user, struct span password,
                                         void (*answered)(void *ctx, bool good), void *ctx, struct credentials_check **check_out);
void credentials_cancel(struct credentials_check **check);       /* NULL-safe through *check: nothing is heard of it any more */

#endif
