/* sticky: cookies that lead a client back to the server that it was served by: the keys of a configuration, and what is written and read with
 * them. Any gateway that has the key file reads what any other wrote; nothing is remembered.
 *
 * A key file has a key of 32 bytes on each line, in base64 or hexadecimal digits; blank lines and lines that begin with # are passed over. The
 * first key seals, all of them open. Files are read with the configuration.
 *
 * What can go wrong with a file, in order: it cannot be read, a line is no key, a key is there twice, there are none or too many. What can
 * be wrong with a cookie is an enum sealed_verdict. tests/gateway/test_sticky.c */
#ifndef UPGATE_GATEWAY_STICKY_H
#define UPGATE_GATEWAY_STICKY_H

#include "conf/conf.h"
#include "protocol/sealed.h"

#define STICKY_SESSION_S (30 * 24 * 3600)        /* how long a cookie is good that a client keeps for its session */

struct sticky;                           /* of one upstream; immutable, for all threads */

struct sticky_set *sticky_set_new(const struct conf *conf, FILE *messages);      /* NULL: something is wrong; `messages` have it */
void sticky_set_free(struct sticky_set *s);      /* NULL is legal; wipes the keys */
bool sticky_set_any(const struct sticky_set *s); /* there are keys in memory */
/* What time it is, for tests: seconds since 1970; NULL: the clock. */
void sticky_set_clock(struct sticky_set *s, uint64_t (*now_s)(void));
/* NULL: this upstream has no sticky cookie. The set may be NULL. */
const struct sticky *sticky_of(const struct sticky_set *s, size_t upstream);

const struct conf_sticky *sticky_conf(const struct sticky *s);
struct sticky_cookie {
    uint64_t server;                     /* its id */
    bool ages;                           /* more than half of its time is over: a new one is due */
};
enum sealed_verdict sticky_read(const struct sticky *s, struct span value, struct sticky_cookie *out);
/* The value of a Set-Cookie field, in the arena. False: no memory. */
bool sticky_write(const struct sticky *s, uint64_t server, bool https, struct arena *a, struct span *out);

/* `upgate sticky-key`: a line for a key file. The exit code. */
int sticky_key_main(FILE *out);

#endif
