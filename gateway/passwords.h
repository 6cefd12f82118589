/* passwords: users and their hashed passwords, from files of `name:hash` lines as htpasswd and mkpasswd write them.
 *
 * Hashes are those of crypt(3) that are slow on purpose: bcrypt (htpasswd -B), yescrypt, scrypt, SHA-512 and SHA-256. Files are read
 * once for a configuration, before anybody is served; read again when the configuration is. Blank lines and lines that begin with # are
 * passed over.
 *
 * What can go wrong, in order: the file cannot be read, a line is not name:hash, a hash is weak, cut or of an unknown kind, a name is
 * there twice, nobody is left. tests/gateway/test_passwords.c */
#ifndef UPGATE_GATEWAY_PASSWORDS_H
#define UPGATE_GATEWAY_PASSWORDS_H

#include "conf/conf.h"

#define PASSWORD_BYTES_MAX 511           /* what crypt(3) takes */
#define PASSWORDS_HASH_BYTES 384         /* a hash as text, its NUL included */

struct passwords;                        /* one file; immutable */

/* The hash of a user, NULL when there is none. */
const char *passwords_find(const struct passwords *p, struct span user);
/* Some hash of the file: what a wrong name is checked against, so that it takes as long as a wrong password. */
const char *passwords_any(const struct passwords *p);
/* Slow: milliseconds to seconds, as the hash wants it. Any thread. */
bool password_is(const char *hash, const char *password);

/* The files of a whole configuration, each read once. NULL: something is wrong with one; `messages` have it, as conf_complain writes. */
struct passwords_set;
struct passwords_set *passwords_set_new(const struct conf *conf, FILE *messages);
void passwords_set_free(struct passwords_set *s);        /* NULL is legal */
/* Of a route with auth.basic. */
const struct passwords *passwords_of(const struct passwords_set *s, const struct conf *conf, const struct conf_route *route);

#endif
