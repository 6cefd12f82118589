/* stream_tls: the stream contract over TLS, over any other stream; either side.
 *
 * Made by tls_handshake, and handed out when the handshake is over. What it adds to the contract:
 *   - a send takes what was encrypted, and encrypts only while the stream below has room: at most TLS_CIPHER_BYTES wait below;
 *   - what was put is encrypted together with what is sent behind it, or at the end of the turn;
 *   - decrypted bytes are invisible to the poller: after consume the stream goes on by itself, through the ready queue;
 *   - an end without close_notify (RFC 8446 section 6.1) is `cut`: it may be somebody else's doing;
 *   - finish sends close_notify; so does close, unless something that was put is lost by it;
 *   - TLS that goes wrong ends both directions: -EPROTO, with words (stream_input_words);
 *   - a goodbye or an alert goes out after close all the same, within PARTING_MS, and after reset an alert does.
 * At rest it has no buffers, and neither has mbedTLS (tls_rest.h). tests/gateway/test_stream_tls.c */
#ifndef UPGATE_GATEWAY_STREAM_TLS_H
#define UPGATE_GATEWAY_STREAM_TLS_H

#include "gateway/stream.h"
#include "gateway/tls_facts.h"
#include "gateway/tls_loop.h"

#define STREAM_TLS_INPUT_BYTES 16384     /* what is left unread from this on stops decrypting; at most TLS_PLAIN_BYTES more are held */

const struct tls_facts *stream_tls_facts(const struct stream *s);

#endif
