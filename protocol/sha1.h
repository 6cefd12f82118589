/* sha1: FIPS 180-4 SHA-1, only for Sec-WebSocket-Accept (RFC 6455 section 1.3): protocol/ may not use mbedTLS.
 * Not for security. */
#ifndef UPGATE_PROTOCOL_SHA1_H
#define UPGATE_PROTOCOL_SHA1_H

#include "protocol/span.h"

#define SHA1_BYTES 20
void sha1_of_two(struct span a, struct span b, uint8_t out[SHA1_BYTES]);      /* the digest of a followed by b */

#endif
