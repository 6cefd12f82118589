/* http1_section: a run of field lines that ends with an empty line: a header section or a trailer section (RFC 9112 section 5).
 *
 * Two steps: scanning judges every byte as it arrives, in whatever pieces, and finds where the section ends; splitting turns the
 * whole of it into fields. llhttp reads the same bytes beside it (http1_reader): what either refuses is refused. */
#ifndef UPGATE_PROTOCOL_HTTP1_SECTION_H
#define UPGATE_PROTOCOL_HTTP1_SECTION_H

#include "protocol/headers.h"

enum http1_section_part {
    HTTP1_SECTION_LINE,                  /* at the beginning of a line */
    HTTP1_SECTION_NAME, HTTP1_SECTION_VALUE,
    HTTP1_SECTION_LF,                    /* a field line's LF is due */
    HTTP1_SECTION_LAST_LF,               /* the empty line's */
    HTTP1_SECTION_ENDED,
};

#define HTTP1_SECTION_MARKS 16

struct http1_section {
    enum http1_section_part part;
    size_t lines;                        /* field lines that are whole */
    size_t marked;                       /* the first ones of them, each of which came in one piece: */
    struct {
        uint16_t name_n, value_n;        /* with what whitespace is around it */
    } marks[HTTP1_SECTION_MARKS];
};

/* How many of the bytes belong to the section; the byte at FAULT_FIELD or FAULT_LINE_ENDING does not. line_limit 0: none. */
size_t http1_section_scan(struct http1_section *s, const uint8_t *p, size_t n, size_t line_limit, enum fault *fault_out);
/* The fields of a whole section that was scanned without fault, its last (empty) line included. FAULT_NONE or FAULT_NO_MEMORY. */
enum fault http1_section_split(const struct http1_section *s, struct span bytes, struct headers *out);

/* The bytes of a section (and of the start line before it) as they are gathered in an arena. */
struct http1_raw {
    uint8_t *p;
    size_t n;
    size_t capacity;
};
bool http1_raw_add(struct http1_raw *raw, struct arena *arena, const uint8_t *p, size_t n);      /* false: no memory */

#endif
