/* ws_upgrade: the server's half of the opening handshake (RFC 6455 section 4.2), on the bytes of a request's head.
 *
 * A reader of its own, smaller than the gateway's and sharing nothing with it but SHA-1 and base64: where the two
 * disagree about a handshake, the tests see it. The head is one span; fields are looked up in it, never stored.
 * What can go wrong is the answer's status: 400, 404 (the caller's), 405, 426, 431. tests/system drives it. */
#ifndef UPGATE_INTEROP_APP_WS_UPGRADE_H
#define UPGATE_INTEROP_APP_WS_UPGRADE_H

#include "protocol/span.h"

#define WS_UPGRADE_HEAD_MAX_BYTES 16384
#define WS_UPGRADE_ANSWER_MAX_BYTES 512

struct ws_upgrade {                      /* spans borrow the head */
    struct span fields;                  /* every line after the first, CR LF after each */
    struct span path;
    struct span query;
    struct span key;
};

/* The head's size in bytes once it is whole, 0 while it is not, or minus the HTTP status that refuses it. */
int ws_upgrade_read(const uint8_t *p, size_t n, struct ws_upgrade *out);
bool ws_upgrade_offers(const struct ws_upgrade *u, const char *subprotocol);
/* The 101, or a short answer with Connection: close; the bytes written to out. subprotocol may be NULL. */
size_t ws_upgrade_accept(const struct ws_upgrade *u, const char *subprotocol, char out[WS_UPGRADE_ANSWER_MAX_BYTES]);
size_t ws_upgrade_refuse(int status, char out[WS_UPGRADE_ANSWER_MAX_BYTES]);

#endif
