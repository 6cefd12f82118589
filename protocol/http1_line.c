#include "protocol/http1_line.h"
#include "protocol/token.h"

#include <string.h>

struct http1_line http1_line_of_request(void)
{
    return (struct http1_line){ .state = HTTP1_LINE_METHOD };
}

struct http1_line http1_line_of_response(void)
{
    return (struct http1_line){ .state = HTTP1_LINE_ANSWER_VERSION };
}

static void enter(struct http1_line *l, enum http1_line_state next)
{
    l->state = next;
    l->at_in_part = 0;
}

/* RFC 9112 section 3.1: method = token. test_http1_parse.c: method_*, garbage_* */
static enum fault method_byte(struct http1_line *l, uint8_t c)
{
    if (c == ' ' && l->method_n > 0) {
        enter(l, HTTP1_LINE_TARGET);
        l->target_at = l->n + 1;
        return FAULT_NONE;
    }
    if (c == ' ' || c == '\r' || c == '\n')
        return FAULT_START_LINE;
    if (!token_is_tchar(c) || l->method_n == HTTP1_METHOD_BYTES)
        return FAULT_METHOD;
    l->method_n++;
    return FAULT_NONE;
}

/* RFC 9112 section 3.2: no whitespace in the target, and one space on either side (section 3); a line that ends here is
 * HTTP/0.9's. RFC 3986 section 2 has no byte outside VCHAR, and a fragment is never sent (RFC 9110 section 7.1).
 * test_http1_parse.c: target_* */
static enum fault target_byte(struct http1_line *l, uint8_t c)
{
    if (c == ' ' && l->target_n > 0) {
        enter(l, HTTP1_LINE_VERSION);
        return FAULT_NONE;
    }
    if (c == ' ' || c == '\r' || c == '\n')
        return FAULT_START_LINE;
    if (c <= 0x20 || c >= 0x7f || c == '#')
        return FAULT_TARGET;
    l->target_n++;
    return FAULT_NONE;
}

/* RFC 9112 section 2.3: HTTP-version = "HTTP/" DIGIT "." DIGIT, in capitals. test_http1_parse.c: version_* */
static enum fault version_byte(struct http1_line *l, uint8_t c)
{
    static const char form[] = "HTTP/0.0";
    uint8_t wanted = (uint8_t)form[l->at_in_part];
    bool digit = c >= '0' && c <= '9';

    if (wanted == '0' ? !digit : c != wanted)
        return FAULT_START_LINE;
    if (l->at_in_part == 5)
        l->major = (unsigned)(c - '0');
    if (l->at_in_part == 7)
        l->minor = (unsigned)(c - '0');
    l->at_in_part++;
    return FAULT_NONE;
}

#define VERSION_BYTES 8

/* RFC 9110 section 2.5 and RFC 9112 section 2.3: only these two are spoken here; section 15.6.6: the others get a 505. */
static enum fault check_version(const struct http1_line *l)
{
    return l->major == 1 && l->minor <= 1 ? FAULT_NONE : FAULT_VERSION;
}

static enum fault request_version_byte(struct http1_line *l, uint8_t c)
{
    if (l->at_in_part < VERSION_BYTES)
        return version_byte(l, c);
    if (c == '\n')
        return FAULT_LINE_ENDING;
    if (c != '\r')
        return FAULT_START_LINE;
    enter(l, HTTP1_LINE_LF);
    return check_version(l);
}

static enum fault answer_version_byte(struct http1_line *l, uint8_t c)
{
    if (l->at_in_part < VERSION_BYTES)
        return version_byte(l, c);
    if (c != ' ')
        return FAULT_START_LINE;
    enter(l, HTTP1_LINE_STATUS);
    return check_version(l);
}

/* RFC 9112 section 4: status-code = 3DIGIT; RFC 9110 section 15: 100 to 599. The space before an empty reason is due but its
 * absence is harmless, and common. test_http1_parse.c: status_* */
static enum fault status_byte(struct http1_line *l, uint8_t c)
{
    if (l->at_in_part < 3) {
        if (c < '0' || c > '9')
            return FAULT_STATUS;
        l->status = l->status * 10 + (unsigned)(c - '0');
        l->at_in_part++;
        return FAULT_NONE;
    }
    if ((c != ' ' && c != '\r') || l->status < 100 || l->status > 599)
        return FAULT_STATUS;
    enter(l, c == ' ' ? HTTP1_LINE_REASON : HTTP1_LINE_LF);
    l->reason_at = l->n + 1;
    return FAULT_NONE;
}

/* RFC 9112 section 4: reason-phrase = 1*( HTAB / SP / VCHAR / obs-text ). test_http1_parse.c: reason_* */
static enum fault reason_byte(struct http1_line *l, uint8_t c)
{
    if (c == '\r') {
        enter(l, HTTP1_LINE_LF);
        return FAULT_NONE;
    }
    if (c == '\n')
        return FAULT_LINE_ENDING;
    if (!token_is_field_value(span_of(&c, 1)))
        return FAULT_START_LINE;
    l->reason_n++;
    return FAULT_NONE;
}

/* RFC 9112 section 2.2: a bare CR is an error here, not a space. */
static enum fault lf_byte(struct http1_line *l, uint8_t c)
{
    if (c != '\n')
        return FAULT_LINE_ENDING;
    enter(l, HTTP1_LINE_DONE);
    return FAULT_NONE;
}

static enum fault byte(struct http1_line *l, uint8_t c)
{
    switch (l->state) {
    case HTTP1_LINE_METHOD:
        return method_byte(l, c);
    case HTTP1_LINE_TARGET:
        return target_byte(l, c);
    case HTTP1_LINE_VERSION:
        return request_version_byte(l, c);
    case HTTP1_LINE_ANSWER_VERSION:
        return answer_version_byte(l, c);
    case HTTP1_LINE_STATUS:
        return status_byte(l, c);
    case HTTP1_LINE_REASON:
        return reason_byte(l, c);
    case HTTP1_LINE_LF:
    case HTTP1_LINE_DONE:
        break;
    }
    return lf_byte(l, c);
}

/* As much of the method as is there, up to the longest that may be. */
static size_t method_run(struct http1_line *l, const uint8_t *p, size_t n)
{
    size_t room = HTTP1_METHOD_BYTES - l->method_n, run = token_tchars(span_of(p, n < room ? n : room));

    l->method_n += run;
    return run;
}

/* As much of the target as is there, up to what ends it or is none of it. */
static size_t target_run(struct http1_line *l, const uint8_t *p, size_t n)
{
    size_t i = 0;

    while (i < n && p[i] > 0x20 && p[i] < 0x7f && p[i] != '#')
        i++;
    l->target_n += i;
    return i;
}

/* The version in one piece, as it nearly always comes. */
static size_t version_run(struct http1_line *l, const uint8_t *p, size_t n)
{
    if (l->at_in_part != 0 || n < VERSION_BYTES || memcmp(p, "HTTP/1.1", VERSION_BYTES) != 0)
        return 0;
    l->at_in_part = VERSION_BYTES;
    l->major = l->minor = 1;
    return VERSION_BYTES;
}

static size_t reason_run(struct http1_line *l, const uint8_t *p, size_t n)
{
    size_t run = token_value_bytes(span_of(p, n));

    l->reason_n += run;
    return run;
}

static size_t run(struct http1_line *l, const uint8_t *p, size_t n)
{
    size_t passed = 0;

    if (l->state == HTTP1_LINE_METHOD)
        passed = method_run(l, p, n);
    else if (l->state == HTTP1_LINE_TARGET)
        passed = target_run(l, p, n);
    else if (l->state == HTTP1_LINE_VERSION || l->state == HTTP1_LINE_ANSWER_VERSION)
        passed = version_run(l, p, n);
    else if (l->state == HTTP1_LINE_REASON)
        passed = reason_run(l, p, n);
    l->n += passed;
    return passed;
}

size_t http1_line_feed(struct http1_line *line, const uint8_t *p, size_t n, enum fault *fault_out)
{
    size_t i = 0;

    *fault_out = FAULT_NONE;
    while (i < n && line->state != HTTP1_LINE_DONE) {
        i += run(line, p + i, n - i);
        if (i == n)
            break;
        *fault_out = byte(line, p[i]);
        if (*fault_out != FAULT_NONE)
            break;
        line->n++;
        i++;
    }
    return i;
}
