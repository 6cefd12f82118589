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

/* As much of the target as is there, up to what ends it or is none of it. */
static size_t target_run(const uint8_t *p, size_t n)
{
    size_t i = 0;

    while (i < n && p[i] > 0x20 && p[i] < 0x7f && p[i] != '#')
        i++;
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

static size_t run(struct http1_line *l, const uint8_t *p, size_t n)
{
    size_t passed = 0;

    if (l->state == HTTP1_LINE_TARGET) {
        passed = target_run(p, n);
        l->target_n += passed;
    } else if (l->state == HTTP1_LINE_VERSION || l->state == HTTP1_LINE_ANSWER_VERSION) {
        passed = version_run(l, p, n);
    }
    l->n += passed;
    return passed;
}

/* ---- a line that is there whole, has no fault and is of HTTP/1.1: its bytes; 0: it is looked at piece by piece ---- */

static size_t end_whole(struct http1_line *l, size_t n)
{
    l->major = l->minor = 1;
    l->n = n;
    enter(l, HTTP1_LINE_DONE);
    return n;
}

static size_t whole_request(struct http1_line *l, const uint8_t *p, size_t n)
{
    static const char end[] = " HTTP/1.1\r\n";
    size_t end_n = sizeof(end) - 1, target_n;
    size_t method_n = token_tchars(span_of(p, n < HTTP1_METHOD_BYTES ? n : HTTP1_METHOD_BYTES)), target_at = method_n + 1;

    if (method_n == 0 || n <= target_at || p[method_n] != ' ')
        return 0;
    target_n = target_run(p + target_at, n - target_at);
    if (target_n == 0 || n - target_at - target_n < end_n || memcmp(p + target_at + target_n, end, end_n) != 0)
        return 0;
    l->method_n = method_n;
    l->target_at = target_at;
    l->target_n = target_n;
    return end_whole(l, target_at + target_n + end_n);
}

static size_t whole_answer(struct http1_line *l, const uint8_t *p, size_t n)
{
    static const char begin[] = "HTTP/1.1 ";
    size_t status_at = sizeof(begin) - 1, reason_at = status_at + 4, reason_n;
    uint64_t status;

    if (n < reason_at || memcmp(p, begin, status_at) != 0 || p[reason_at - 1] != ' ')
        return 0;
    if (!span_to_u64(span_of(p + status_at, 3), &status) || status < 100 || status > 599)
        return 0;
    reason_n = token_value_bytes(span_of(p + reason_at, n - reason_at));
    if (n - reason_at - reason_n < 2 || p[reason_at + reason_n] != '\r' || p[reason_at + reason_n + 1] != '\n')
        return 0;
    l->status = (unsigned)status;
    l->reason_at = reason_at;
    l->reason_n = reason_n;
    return end_whole(l, reason_at + reason_n + 2);
}

static size_t whole(struct http1_line *l, const uint8_t *p, size_t n)
{
    if (l->n > 0)
        return 0;
    return l->state == HTTP1_LINE_METHOD ? whole_request(l, p, n) : whole_answer(l, p, n);
}

size_t http1_line_feed(struct http1_line *line, const uint8_t *p, size_t n, enum fault *fault_out)
{
    size_t i = whole(line, p, n);

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
