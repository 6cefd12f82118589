/* ws_handshake: reads the client's offer; judges an answer against that offer (RFC 6455 section 4); knows the handshakes
 * that came before the RFC (hixie-75, hixie-76, hybi-00 to -12). Pure: fields in, verdict out.
 *
 * Host and Origin are judged elsewhere. The only extension whose frames the scanner can verify is permessage-deflate: an answer
 * that agrees on another one is a fault even when the client offered it (nobody here knows what its reserved bits mean).
 * tests/protocol/test_ws_handshake.c */
#ifndef UPGATE_PROTOCOL_WS_HANDSHAKE_H
#define UPGATE_PROTOCOL_WS_HANDSHAKE_H

#include "protocol/http1_parse.h"

#define WS_ACCEPT_BYTES 28               /* base64 of a SHA-1 */
#define WS_OFFER_MAX_PROTOCOLS 100       /* and as many extensions: more is FAULT_WS_OFFER */

struct ws_offer {                        /* spans borrow the request's head */
    struct span key;
    uint8_t accept[WS_ACCEPT_BYTES];     /* the Sec-WebSocket-Accept that is due */
    const struct headers *fields;        /* Sec-WebSocket-Protocol and -Extensions are read from here */
    bool extensions_stripped;            /* nothing was offered onward: any extension in the answer is a fault */
};

enum ws_offer_kind {
    WS_OFFER_NONE,                       /* not a WebSocket handshake: ordinary HTTP (other Upgrade tokens are stripped) */
    WS_OFFER_GOOD,
    WS_OFFER_BAD,                        /* *fault_out: FAULT_WS_…; the gateway answers at once (400 or 426) and closes */
};

/* A request is a WebSocket handshake when Connection lists `upgrade` and Upgrade lists `websocket` (without case): anything half
 * like one (hixie's `Upgrade: WebSocket` with Key1/Key2, or with no key at all) is BAD with a fault whose sentence helps.
 * Without `upgrade` in Connection it is NONE whatever else it has: Upgrade then says nothing (RFC 9110 section 7.8).
 * With HTTP/1.0 it is BAD: the client asks for what cannot be, and is told so. `Content-Length: 0` is no body. */
enum ws_offer_kind ws_offer_read(const struct http1_head *request, struct ws_offer *out, enum fault *fault_out);

struct ws_agreement {
    struct span protocol;                /* chosen subprotocol, empty when none; borrows the response's head */
    bool deflate;                        /* permessage-deflate agreed */
    bool client_no_context_takeover, server_no_context_takeover;
    unsigned client_max_window_bits, server_max_window_bits;     /* 15 where not given */
};
/* The verdict on a 101 (RFC 6455 section 4.1, client's list; RFC 7692 sections 5 to 7 for permessage-deflate).
 * FAULT_NONE, or the first thing that does not fit. Only for head->status == 101. */
enum fault ws_answer_judge(const struct ws_offer *offer, const struct http1_head *answer, struct ws_agreement *out);

#endif
