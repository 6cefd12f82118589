/* query: the value of NAME in "a=1&NAME=value"; empty when it is not there. No percent-decoding: the demo's own values
 * are numbers and plain names. */
#ifndef UPGATE_INTEROP_APP_QUERY_H
#define UPGATE_INTEROP_APP_QUERY_H

#include "protocol/span.h"

struct span query_value(struct span query, const char *name);
/* The value as a number of at most `most`; `otherwise` where it is missing or not a number. */
uint64_t query_number(struct span query, const char *name, uint64_t otherwise, uint64_t most);

#endif
