/* The head of a message: blank line, start line, fields, and the verdict on its framing. */
#include "protocol/http1_framing.h"
#include "protocol/http1_machine.h"

static void start_message(struct http1_parse *h)
{
    struct http1_message *m = arena_alloc(&h->arena, sizeof(*m));

    if (m == NULL) {
        http1_fail(h, FAULT_NO_MEMORY);
        return;
    }
    *m = (struct http1_message){ .line = h->kind == HTTP1_REQUEST ? http1_line_of_request() : http1_line_of_response() };
    headers_init(&m->head.fields, &h->arena, h->limits.fields);
    headers_init(&m->trailers, &h->arena, h->limits.fields);
    http1_reader_start_head(&m->reader, h->kind == HTTP1_RESPONSE);
    h->message = m;
    http1_enter(h, HTTP1_STATE_LINE);
}

/* RFC 9112 section 2.2: at least one empty line (CR LF) in front of a request ought to be ignored: here one is, and no more;
 * none in front of a response. test_http1_parse.c: blank_* */
size_t http1_read_start(struct http1_parse *h, const uint8_t *p, size_t n)
{
    if (n == 0)
        return 0;
    if (h->kind == HTTP1_RESPONSE || (*p != '\r' && *p != '\n')) {
        start_message(h);
        return 0;
    }
    if (h->state == HTTP1_STATE_START_AGAIN) {
        http1_fail(h, FAULT_BLANK_LINES);
        return 0;
    }
    if (*p == '\n') {
        http1_fail(h, FAULT_LINE_ENDING);
        return 0;
    }
    http1_enter(h, HTTP1_STATE_START_LF);
    return 1;
}

size_t http1_read_start_lf(struct http1_parse *h, const uint8_t *p, size_t n)
{
    if (n == 0)
        return 0;
    if (*p != '\n') {
        http1_fail(h, FAULT_LINE_ENDING);
        return 0;
    }
    http1_enter(h, HTTP1_STATE_START_AGAIN);
    return 1;
}

size_t http1_read_line(struct http1_parse *h, const uint8_t *p, size_t n)
{
    struct http1_message *m = h->message;
    enum fault fault;
    size_t used = http1_line_feed(&m->line, p, http1_room(h, n), &fault);

    http1_keep(h, p, used, fault);
    if (h->state == HTTP1_STATE_LINE && m->line.state == HTTP1_LINE_DONE)
        http1_enter(h, HTTP1_STATE_FIELDS);
    return used;
}

void http1_name_line_parts(struct http1_message *m)
{
    const struct http1_line *line = &m->line;

    if (m->has_head || m->raw.p == NULL || m->line.n > m->raw.n)         /* the last: there was no memory to keep it */
        return;
    m->head.method = span_of(m->raw.p, line->method_n);
    m->head.target = span_of(m->raw.p + line->target_at, line->target_n);
    m->head.status = line->status;
    m->head.reason = span_of(m->raw.p + line->reason_at, line->reason_n);
    m->head.version_minor = line->minor;
}

#define MOST_INTERIMS 32                 /* 1xx answers before one final one */

/* RFC 9110 section 15.2: any number of 1xx may come before the final answer; here it is bounded. A 101 is final for HTTP. */
static void begin_after_head(struct http1_parse *h)
{
    unsigned status = h->message->head.status;

    if (h->kind == HTTP1_REQUEST || status >= 200 || status == 101)
        http1_begin_body(h);
    else if (++h->interims > MOST_INTERIMS)
        http1_fail(h, FAULT_INTERIM_FLOOD);
    else
        http1_enter(h, HTTP1_STATE_INTERIM);
}

static enum fault judge_head(struct http1_parse *h)
{
    struct http1_message *m = h->message;
    enum fault fault = http1_section_split(&m->section, span_from(span_of(m->raw.p, m->raw.n), m->line.n), &m->head.fields);

    if (fault == FAULT_NONE && m->reader.refused)
        fault = FAULT_FIELD;             /* both readers have to agree */
    if (fault == FAULT_NONE)
        fault = h->kind == HTTP1_REQUEST ? http1_framing_request(&m->head) : http1_framing_response(&m->head, h->head_request);
    return fault;
}

static void end_head(struct http1_parse *h, struct http1_result *out)
{
    struct http1_message *m = h->message;
    enum fault fault;

    http1_name_line_parts(m);
    m->has_head = true;
    fault = judge_head(h);
    m->raw = (struct http1_raw){ .p = NULL };            /* those bytes stay where they are until the reset */
    m->section = (struct http1_section){ .part = HTTP1_SECTION_LINE };
    if (fault == FAULT_NONE)
        begin_after_head(h);
    else
        http1_fail(h, fault);
    out->event = HTTP1_HEAD;
}

size_t http1_read_fields(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out)
{
    struct http1_message *m = h->message;
    enum fault fault;
    size_t used = http1_section_scan(&m->section, p, http1_room(h, n), h->limits.fields, &fault);

    http1_reader_head(&m->reader, p, used);
    http1_keep(h, p, used, fault);
    if (h->state == HTTP1_STATE_FIELDS && m->section.part == HTTP1_SECTION_ENDED)
        end_head(h, out);
    return used;
}
