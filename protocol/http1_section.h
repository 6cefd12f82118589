/* http1_section: a run of field lines that ends with an empty line: a header section or a trailer section (RFC 9112 section 5).
 *
 * Two steps: scanning finds where the section ends while its bytes arrive, in whatever pieces; splitting turns the whole of it
 * into fields, judging every byte. llhttp reads the same bytes in between: what either refuses is refused. */
#ifndef UPGATE_PROTOCOL_HTTP1_SECTION_H
#define UPGATE_PROTOCOL_HTTP1_SECTION_H

#include "protocol/headers.h"

struct http1_section {
    size_t line_n;                       /* bytes of the open line so far */
    size_t lines;                        /* field lines that are whole */
    uint8_t last;                        /* the byte before the next one */
    bool ended;
};

/* How many of the bytes belong to the section; at a bare LF it stops in front of it. line_limit 0: none. */
size_t http1_section_scan(struct http1_section *s, const uint8_t *p, size_t n, size_t line_limit, enum fault *fault_out);
/* The fields of a whole section, its last (empty) line included. FAULT_FIELD, FAULT_LINE_ENDING, FAULT_TOO_MANY_FIELDS, … */
enum fault http1_section_split(struct span section, struct headers *out);

/* The bytes of a section (and of the start line before it) as they are gathered in an arena. */
struct http1_raw {
    uint8_t *p;
    size_t n;
    size_t capacity;
};
bool http1_raw_add(struct http1_raw *raw, struct arena *arena, const uint8_t *p, size_t n);      /* false: no memory */

#endif
