/* tls_tickets: the keys that seal session tickets (RFC 8446 section 4.6.1, RFC 5077), shared by all threads.
 *
 * Random keys are replaced every TLS_TICKETS_ROTATE_S; the one before still opens what it sealed. Keys of a file do not rotate by
 * themselves: the first seals, all of them open, and a fleet that shares the file shares its sessions. A ticket that cannot be opened, or
 * is too old, is no error: the handshake is then a full one. */
#ifndef UPGATE_GATEWAY_TLS_TICKETS_H
#define UPGATE_GATEWAY_TLS_TICKETS_H

#include <stddef.h>
#include <stdint.h>

#define TLS_TICKETS_ROTATE_S (12 * 3600)
#define TLS_TICKETS_LIFETIME_S (12 * 3600)       /* of one ticket */
#define TLS_TICKETS_KEY_BYTES 32                 /* one key in a file */
#define TLS_TICKETS_KEYS_MAX 4

struct tls_tickets;

struct tls_tickets *tls_tickets_new(void);                       /* random keys. NULL: no memory */
/* The keys of a file: `n` of them, n 1 … TLS_TICKETS_KEYS_MAX. NULL: no memory. */
struct tls_tickets *tls_tickets_of_keys(const uint8_t *keys, size_t n);
void tls_tickets_free(struct tls_tickets *t);                    /* NULL is legal; wipes the keys */

/* What time it is, for tests: seconds since 1970; NULL: the clock. */
void tls_tickets_set_clock(struct tls_tickets *t, uint64_t (*now_s)(void));

#endif
