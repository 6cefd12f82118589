/* trace: by what name one request is known to all who handle it: request ids, and traceparent (W3C Trace Context, section 3.2).
 *
 * Ids are 128 random bits as 32 small hexadecimal digits: a keyed function of a counter, so that one costs no system call and nobody
 * without the key can foresee the next. tests/protocol/test_trace.c */
#ifndef UPGATE_PROTOCOL_TRACE_H
#define UPGATE_PROTOCOL_TRACE_H

#include "protocol/siphash.h"

#define TRACE_ID_BYTES 32
#define TRACE_REQUEST_ID_MAX 128         /* of one that somebody else made */
#define TRACE_PARENT_BYTES 55            /* of one that is made here: 00-TRACE_ID-PARENT_ID-01 */

struct trace_ids {
    struct siphash_key key;              /* of nobody but the thread that has it */
    uint64_t n;
};
void trace_ids_next(struct trace_ids *ids, char out[TRACE_ID_BYTES]);    /* not terminated */

/* May a trusted hop's id be taken over? 1 to TRACE_REQUEST_ID_MAX visible characters of ASCII. */
bool trace_request_id_good(struct span id);

/* Version 00 exactly; of later ones what is known of them today. The trace id within it, or p NULL: it counts as none. */
struct span trace_parent_read(struct span value);
/* Begins a trace: of this id, with a parent id of its own, sampled. */
void trace_parent_begin(struct trace_ids *ids, const char trace_id[TRACE_ID_BYTES], char out[TRACE_PARENT_BYTES]);

#endif
