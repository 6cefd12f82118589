/* cookie: the cookies that a client sends, in one Cookie field or several (RFC 6265 sections 4.2 and 5.4, RFC 9113 section 8.2.3). */
#ifndef UPGATE_PROTOCOL_COOKIE_H
#define UPGATE_PROTOCOL_COOKIE_H

#include "protocol/headers.h"

/* The value of the first one with this name (names are compared byte for byte), as it is sent, quotes included; p NULL: there is none.
 * tests/protocol/test_cookie.c */
struct span cookie_value(const struct headers *fields, struct span name);

/* The fields without any cookie of this name; what else is in them stays byte for byte, and a field of which nothing is left goes. `out` is
 * initialised here, over the same limit; it borrows what it can. FAULT_NONE or FAULT_NO_MEMORY. */
enum fault cookie_remove(struct arena *a, const struct headers *fields, struct span name, struct headers *out);

#endif
