/* json_line: a JSON object written piece by piece into a fixed buffer. What does not fit is left out and the line is
 * marked too long; strings are taken as valid UTF-8 and escaped (RFC 8259 section 7). */
#ifndef UPGATE_INTEROP_APP_JSON_LINE_H
#define UPGATE_INTEROP_APP_JSON_LINE_H

#include "protocol/span.h"

struct json_line {
    char *text;
    size_t n, size;
    bool too_long;
};

struct json_line json_line_over(char *buffer, size_t size);
void json_line_raw(struct json_line *j, const char *text);
void json_line_bytes(struct json_line *j, struct span s);      /* as they are */
void json_line_string(struct json_line *j, struct span s);     /* with its quotes */
void json_line_number(struct json_line *j, uint64_t value);
struct span json_line_span(const struct json_line *j);

#endif
