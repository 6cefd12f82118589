/* ws_extensions: the grammar of Sec-WebSocket-Extensions (RFC 6455 section 9.1), and permessage-deflate's parameters as an offer
 * and as an answer (RFC 7692 section 7.1). Text in, verdict out; what is borrowed lives as long as the text. Names are compared
 * byte for byte, as clients and servers do. */
#ifndef UPGATE_PROTOCOL_WS_EXTENSIONS_H
#define UPGATE_PROTOCOL_WS_EXTENSIONS_H

#include "protocol/span.h"

struct ws_extension {
    struct span name;
    struct span parameters;              /* what follows the name, from its first `;` on; may be empty */
};

struct ws_parameter {
    struct span name;
    struct span value;                   /* as written: a token or a quoted-string */
    bool has_value;
};

/* One member of the list, its whole grammar: token *( ";" token [ "=" ( token | quoted-string ) ] ), the text in quotes being a
 * token as well. Whitespace may stand around `;` and `=` (the implied LWS of RFC 2616, in whose grammar the RFC is written). */
bool ws_extension_read(struct span member, struct ws_extension *out);
/* The next parameter off the front of *rest; false when there is none, or when it is malformed (*rest is then not empty). */
bool ws_parameter_next(struct span *rest, struct ws_parameter *out);

struct ws_deflate {
    bool server_no_context_takeover, client_no_context_takeover;
    unsigned server_max_window_bits;     /* 0 where absent */
    unsigned client_max_window_bits;     /* 0 where absent, or (in an offer) without a value */
    bool client_max_window_bits_given;
};

bool ws_extension_is_deflate(const struct ws_extension *e);
/* Of an extension that ws_extension_read has read. False when a parameter is unknown, repeated, or has a value that it may not
 * have there: such an offer has to be declined, such an answer fails the handshake. */
bool ws_deflate_read_offer(const struct ws_extension *e, struct ws_deflate *out);
bool ws_deflate_read_answer(const struct ws_extension *e, struct ws_deflate *out);
/* May a server that was offered the one answer with the other? */
bool ws_deflate_fits(const struct ws_deflate *offer, const struct ws_deflate *answer);

#endif
