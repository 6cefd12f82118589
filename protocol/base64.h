/* base64: RFC 4648 section 4, strict: padding required, unused bits zero, no whitespace. And base64url, section 5, as strict, never padded. */
#ifndef UPGATE_PROTOCOL_BASE64_H
#define UPGATE_PROTOCOL_BASE64_H

#include "protocol/span.h"

#define BASE64_BYTES(n) (((n) + 2) / 3 * 4)
void base64_encode(struct span in, uint8_t *out);                             /* BASE64_BYTES(in.n) bytes, no terminator */
/* Bytes written to out (room for in.n / 4 * 3), or -1. */
int base64_decode(struct span in, uint8_t *out);

#define BASE64URL_BYTES(n) (((n) * 4 + 2) / 3)
void base64url_encode(struct span in, uint8_t *out);                          /* BASE64URL_BYTES(in.n) bytes */
int base64url_decode(struct span in, uint8_t *out);                           /* room for in.n * 3 / 4; bytes written, or -1 */

#endif
