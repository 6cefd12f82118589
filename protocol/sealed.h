/* sealed: cookie values that can be neither read nor forged: which server a client belongs to.
 *
 * Sans-I/O: the bytes of a value, nothing else. Keys, randomness, the clock and the authenticated encryption are handed in by the caller.
 *
 *     base64url( version 1 | key's name 4 | nonce 24 | sealed( server 8 | issued 8 | expires 8 ) | tag 16 )
 *
 * Numbers are big-endian, times seconds since 1970. Version, key's name and what the value is bound to are authenticated with it, so that it
 * is good for one use only. tests/protocol/test_sealed.c */
#ifndef UPGATE_PROTOCOL_SEALED_H
#define UPGATE_PROTOCOL_SEALED_H

#include "protocol/base64.h"

#define SEALED_KEY_NAME_BYTES 4          /* by which a key is found: no secret, and no proof of anything */
#define SEALED_NONCE_BYTES 24            /* long enough to be drawn at random for ever */
#define SEALED_TAG_BYTES 16
#define SEALED_BOUND_BYTES 32            /* what it is bound to, as a digest */
#define SEALED_PLAIN_BYTES 24
#define SEALED_HEAD_BYTES (1 + SEALED_KEY_NAME_BYTES + SEALED_NONCE_BYTES)
#define SEALED_BYTES (SEALED_HEAD_BYTES + SEALED_PLAIN_BYTES + SEALED_TAG_BYTES)
#define SEALED_TEXT_BYTES BASE64URL_BYTES(SEALED_BYTES)

struct sealed {
    uint64_t server;                     /* its id, the same in every gateway */
    uint64_t issued_s, expires_s;
};

struct sealed_keys {                     /* of the caller's making; the first one seals, all of them open */
    size_t n;
    const uint8_t *(*name)(const struct sealed_keys *k, size_t key);
    /* Authenticated encryption, from `in` to `out`, which do not overlap: seal writes n bytes and the tag behind them, open reads both and writes
     * n bytes. 0; -EBADMSG: open finds that it was not sealed so; -ENOMEM. */
    int (*seal)(const struct sealed_keys *k, size_t key, const uint8_t *nonce, struct span with, const uint8_t *in, size_t n, uint8_t *out);
    int (*open)(const struct sealed_keys *k, size_t key, const uint8_t *nonce, struct span with, const uint8_t *in, size_t n, uint8_t *out);
};

enum sealed_verdict {
    SEALED_GOOD,
    SEALED_MALFORMED,                    /* no such value, or of another version */
    SEALED_FOREIGN,                      /* by a key that is not there: another fleet's, or one that was taken away */
    SEALED_FORGED,                       /* changed on its way, or bound to something else */
    SEALED_EXPIRED,
    SEALED_NO_MEMORY,
};

/* False: no memory. */
bool sealed_write(const struct sealed_keys *k, const uint8_t nonce[SEALED_NONCE_BYTES], const uint8_t bound[SEALED_BOUND_BYTES],
                  const struct sealed *what, uint8_t text_out[SEALED_TEXT_BYTES]);
/* *out is written when it is good, and when it has expired. */
enum sealed_verdict sealed_read(const struct sealed_keys *k, const uint8_t bound[SEALED_BOUND_BYTES], struct span text, uint64_t now_s,
                                struct sealed *out);

#endif
