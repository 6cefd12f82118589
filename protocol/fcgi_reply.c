#include "protocol/fcgi_reply.h"

#include "protocol/http1_framing.h"
#include "protocol/rules_fields.h"
#include "protocol/token.h"

#include <assert.h>
#include <string.h>

#define LINE_BYTES 200                   /* of a line that is quoted */
#define LARGEST_LENGTH ((uint64_t)INT64_MAX)

static void enter(struct fcgi_reply *r, enum fcgi_reply_state to)
{
    assert(r->state != FCGI_REPLY_FAULT && to >= r->state);
    r->state = to;
}

static void fail(struct fcgi_reply *r, enum fault fault)
{
    r->fault = fault;
    enter(r, FCGI_REPLY_FAULT);
}

static bool fail_line(struct fcgi_reply *r, enum fault fault, struct span line)
{
    r->line = span_first(line, LINE_BYTES);
    fail(r, fault);
    return false;
}

void fcgi_reply_init(struct fcgi_reply *r, struct arena *a, const struct http1_limits *limits, bool head_request)
{
    *r = (struct fcgi_reply){ .arena = a, .head_bytes_max = limits->head_bytes, .head_request = head_request };
    headers_init(&r->head.fields, a, limits->fields);
    headers_init(&r->trailers, a, limits->fields);
}

void fcgi_reply_finish(struct fcgi_reply *r)
{
    r->finished = true;
}

struct span fcgi_reply_line(const struct fcgi_reply *r)
{
    return r->line;
}

/* ---- one line of the head ---- */

static struct span first_line(struct span s)
{
    struct span line = span_first(s, span_find(s, '\n'));

    return line.n > 0 && line.p[line.n - 1] == '\r' ? span_first(line, line.n - 1) : line;
}

static struct span head_line(const struct fcgi_reply *r)
{
    return first_line(span_of(r->raw.p, r->raw.n));
}

/* Section 6.3: each of these MUST NOT appear more than once; Content-Length may not, either. test_fcgi_reply.c: repeated_* */
static bool take_once(struct fcgi_reply *r, struct span *where, struct span value, struct span line, enum fault otherwise)
{
    if (where->p != NULL)
        return fail_line(r, otherwise, line);
    *where = value;
    return true;
}

/* Section 6.3.3: status-code SP reason-phrase; without a reason it is understood, too. */
static bool take_status(struct fcgi_reply *r, struct span value, struct span line)
{
    uint64_t status = 0;

    if (!take_once(r, &r->status, value, line, FAULT_FCGI_REPEATED))
        return false;
    if (value.n < 3 || !span_to_u64(span_first(value, 3), &status) || status < 200 || status > 599)
        return fail_line(r, FAULT_FCGI_STATUS, line);
    if (value.n > 3 && value.p[3] != ' ')
        return fail_line(r, FAULT_FCGI_STATUS, line);
    r->head.status = (unsigned)status;
    r->head.reason = token_trim(span_from(value, 4));
    return true;
}

static bool take_length(struct fcgi_reply *r, struct span value, struct span line)
{
    if (!take_once(r, &r->content_length, value, line, FAULT_CONTENT_LENGTH))
        return false;
    if (!span_to_u64(value, &r->head.content_length) || r->head.content_length > LARGEST_LENGTH)
        return fail_line(r, FAULT_CONTENT_LENGTH, line);
    r->head.has_content_length = true;
    return true;
}

static bool add_field(struct fcgi_reply *r, struct span name, struct span value, struct span line)
{
    enum fault fault = headers_add(&r->head.fields, name, value);

    return fault == FAULT_NONE || fail_line(r, fault, line);
}

static bool is(struct span name, const char *lower_case)
{
    return name.n == strlen(lower_case) && span_equal_nocase(name, span_of(lower_case, name.n));
}

/* Section 6.3.4: what could affect how the answer is sent is not the application's to say. test_fcgi_reply.c: dropped_* */
static bool take_field(struct fcgi_reply *r, struct span name, struct span value, struct span line)
{
    if (is(name, "status"))
        return take_status(r, value, line);
    if (is(name, "content-length"))
        return take_length(r, value, line);
    if (rules_is_hop_by_hop(name) || is(name, "trailer"))
        return true;
    if (is(name, "location") && !take_once(r, &r->location, value, line, FAULT_FCGI_REPEATED))
        return false;
    if (is(name, "content-type") && !take_once(r, &r->content_type, value, line, FAULT_FCGI_REPEATED))
        return false;
    return add_field(r, name, value, line);
}

/* Section 6.3: generic-field = field-name ":" [ field-value ] NL. test_fcgi_reply.c: line_* */
static bool take_line(struct fcgi_reply *r, struct span line)
{
    size_t colon = span_find(line, ':');
    struct span name = span_first(line, colon), value = token_trim(span_from(line, colon + 1));

    if (span_equal_nocase(span_first(line, 5), SPAN_LITERAL("HTTP/")))
        return fail_line(r, FAULT_FCGI_NPH, line);
    if (colon == line.n || !token_is_token(name) || !token_is_field_value(value))
        return fail_line(r, FAULT_FIELD, line);
    return value.n == 0 || take_field(r, name, value, line);
}

/* ---- the head as a whole ---- */

static void set_length(struct http1_head *head, uint64_t n)
{
    head->body = HTTP1_BODY_LENGTH;
    head->content_length = n;
    head->has_content_length = true;
}

/* Which body follows. RFC 9110 section 15.3.6: a 205 has no content, and says so; section 8.6: a 204 MUST NOT have
 * Content-Length. */
static void judge_body(struct fcgi_reply *r)
{
    struct http1_head *head = &r->head;

    if (head->status == 204)
        head->has_content_length = false;
    if (head->status == 205)
        set_length(head, 0);
    if (http1_framing_bodiless(head->status, r->head_request)) {
        r->body = FCGI_REPLY_DISCARD;
        head->body = HTTP1_BODY_NONE;
    } else if (head->status == 205) {
        r->body = FCGI_REPLY_DISCARD;
    } else if (head->has_content_length) {
        r->body = FCGI_REPLY_LENGTH;
        r->left = head->content_length;
        head->body = HTTP1_BODY_LENGTH;
    } else {
        r->body = FCGI_REPLY_OPEN;
        head->body = HTTP1_BODY_CLOSE;
    }
}

/* Sections 6.2.3 and 6.3.3: without Status, it is 302 with a Location and 200 otherwise. */
static void set_status(struct fcgi_reply *r)
{
    if (r->status.p == NULL)
        r->head.status = r->location.p != NULL ? 302 : 200;
}

static void end_head(struct fcgi_reply *r)
{
    set_status(r);
    r->head.version_minor = 1;
    r->head.keep_alive = true;
    judge_body(r);
    if (r->status.p == NULL && r->location.p == NULL && r->content_type.p == NULL)
        fail_line(r, FAULT_FCGI_NO_CGI_FIELD, head_line(r));
    else if (r->content_type.p != NULL || r->body == FCGI_REPLY_DISCARD)
        enter(r, FCGI_REPLY_TELL);
    else
        enter(r, FCGI_REPLY_HELD);
}

static void split_head(struct fcgi_reply *r)
{
    struct span rest = span_of(r->raw.p, r->raw.n);
    struct span line = first_line(rest);

    while (line.n > 0) {
        if (!take_line(r, line))
            return;
        rest = span_from(rest, span_find(rest, '\n') + 1);
        line = first_line(rest);
    }
    end_head(r);
}

/* Section 6.2.2: a local redirect has no other field. "//host" is no path to a client. */
struct span fcgi_reply_local(const struct fcgi_reply *r)
{
    bool path = r->location.n > 0 && r->location.p[0] == '/' && (r->location.n == 1 || r->location.p[1] != '/');

    return path && r->status.p == NULL && r->head.fields.n == 1 && r->content_length.p == NULL ? r->location : SPAN_EMPTY;
}

/* ---- the states ---- */

/* How many of the bytes belong to the head: up to and with its empty line. */
static size_t scan_head(struct fcgi_reply *r, const uint8_t *p, size_t n, bool *whole_out)
{
    size_t i = 0;

    *whole_out = false;
    while (i < n && !*whole_out) {
        const uint8_t *lf = memchr(p + i, '\n', n - i);
        size_t end = lf != NULL ? (size_t)(lf - p) : n;

        if (end > i)
            r->line_cr = r->line_n == 0 && end - i == 1 && p[i] == '\r';
        r->line_n += end - i;
        if (lf == NULL)
            return n;
        *whole_out = r->line_n == 0 || r->line_cr;
        r->line_n = 0;
        i = end + 1;
    }
    return i;
}

static size_t read_head(struct fcgi_reply *r, const uint8_t *p, size_t n)
{
    size_t room = r->head_bytes_max - r->raw.n, used;
    bool whole;

    if (n == 0) {
        if (r->finished)
            fail_line(r, FAULT_TRUNCATED, head_line(r));
        return 0;
    }
    used = scan_head(r, p, n < room ? n : room, &whole);
    if (!http1_raw_add(&r->raw, r->arena, p, used))
        fail(r, FAULT_NO_MEMORY);
    else if (whole)
        split_head(r);
    else if (r->raw.n >= r->head_bytes_max)
        fail_line(r, FAULT_HEAD_TOO_LARGE, head_line(r));
    return used;
}

/* Section 6.3.1: with a body, Content-Type MUST be there. test_fcgi_reply.c: type_* */
static void read_held(struct fcgi_reply *r, size_t n)
{
    if (r->body == FCGI_REPLY_LENGTH && r->left == 0) {
        enter(r, FCGI_REPLY_TELL);
    } else if (n > 0) {
        fail_line(r, FAULT_FCGI_CONTENT_TYPE, head_line(r));
    } else if (r->finished && r->body == FCGI_REPLY_LENGTH) {
        fail(r, FAULT_TRUNCATED);
    } else if (r->finished) {
        set_length(&r->head, 0);
        enter(r, FCGI_REPLY_TELL);
    }
}

static void tell_body(const uint8_t *p, size_t n, struct http1_result *out)
{
    out->event = HTTP1_BODY;
    out->data = span_of(p, n);
}

static void read_length(struct fcgi_reply *r, const uint8_t *p, size_t n, struct http1_result *out)
{
    if (n > 0 && r->left == 0)
        fail(r, FAULT_EXCESS);
    else if (n > 0)
        tell_body(p, n < r->left ? n : (size_t)r->left, out);
    else if (r->finished && r->left > 0)
        fail(r, FAULT_TRUNCATED);
    else if (r->finished)
        enter(r, FCGI_REPLY_DONE);
}

static void read_open(struct fcgi_reply *r, const uint8_t *p, size_t n, struct http1_result *out)
{
    if (n > 0)
        tell_body(p, n, out);
    else if (r->finished)
        enter(r, FCGI_REPLY_DONE);
}

uint64_t fcgi_reply_due(const struct fcgi_reply *r)
{
    return r->state == FCGI_REPLY_LENGTH ? r->left : 0;
}

void fcgi_reply_took(struct fcgi_reply *r, size_t n)
{
    assert(r->state == FCGI_REPLY_OPEN || (r->state == FCGI_REPLY_LENGTH && n <= r->left));
    if (r->state == FCGI_REPLY_LENGTH)
        r->left -= n;
}

static size_t discard(struct fcgi_reply *r, size_t n)
{
    if (n == 0 && r->finished)
        enter(r, FCGI_REPLY_DONE);
    return n;
}

static size_t step(struct fcgi_reply *r, const uint8_t *p, size_t n, struct http1_result *out)
{
    switch (r->state) {
    case FCGI_REPLY_HEAD:
        return read_head(r, p, n);
    case FCGI_REPLY_HELD:
        read_held(r, n);
        return 0;
    case FCGI_REPLY_TELL:
        out->event = HTTP1_HEAD;
        enter(r, r->body);
        return 0;
    case FCGI_REPLY_LENGTH:
        read_length(r, p, n, out);
        return 0;
    case FCGI_REPLY_OPEN:
        read_open(r, p, n, out);
        return 0;
    case FCGI_REPLY_DISCARD:
        return discard(r, n);
    case FCGI_REPLY_DONE:
        out->event = HTTP1_END;
        return 0;
    case FCGI_REPLY_FAULT:
        break;
    }
    return 0;
}

size_t fcgi_reply_next(struct fcgi_reply *r, const uint8_t *p, size_t n, struct http1_result *out)
{
    enum fcgi_reply_state before;
    size_t used = 0, part;

    *out = (struct http1_result){ .event = HTTP1_MORE };
    if (n == 0)
        p = (const uint8_t *)"";
    do {
        before = r->state;
        part = step(r, p + used, n - used, out);
        used += part;
    } while (out->event == HTTP1_MORE && r->state != FCGI_REPLY_FAULT && (part > 0 || r->state != before));
    if (r->state == FCGI_REPLY_FAULT)
        *out = (struct http1_result){ .event = HTTP1_FAULT, .fault = r->fault };
    if (r->state >= FCGI_REPLY_LENGTH && r->state != FCGI_REPLY_FAULT)
        out->head = &r->head;
    if (out->event == HTTP1_END)
        out->trailers = &r->trailers;
    return used;
}
