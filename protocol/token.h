/* token: RFC 9110 section 5.6 and RFC 3986 character classes, as one table, and readers built on it. */
#ifndef UPGATE_PROTOCOL_TOKEN_H
#define UPGATE_PROTOCOL_TOKEN_H

#include "protocol/span.h"

bool token_is_tchar(uint8_t c);                  /* RFC 9110 section 5.6.2 */
bool token_is_plain(uint8_t c);                  /* a letter, a digit or "-" */
bool token_is_token(struct span s);              /* 1*tchar */
bool token_is_field_value(struct span s);        /* RFC 9110 section 5.5: no CTL but HTAB; obs-text allowed; may be empty */
size_t token_tchars(struct span s);              /* how many bytes at its head are tchars */
size_t token_plain(struct span s);               /* … are plain */
size_t token_value_bytes(struct span s);         /* … may stand in a field value */
struct span token_trim(struct span s);           /* OWS off both ends */
/* Unquotes a quoted-string (RFC 9110 section 5.6.4) or passes a token; false if it is neither. `out` has room for s.n bytes. */
bool token_unquote(struct span s, uint8_t *out, size_t *n_out);

#endif
