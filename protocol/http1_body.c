/* The body of a message in each of its framings, and the trailers behind a chunked one. */
#include "protocol/http1_machine.h"

#include <assert.h>

/* What body follows, and the state to read it in. */
void http1_begin_body(struct http1_parse *h)
{
    static const enum http1_state states[] = {
        [HTTP1_BODY_NONE] = HTTP1_STATE_DONE,
        [HTTP1_BODY_LENGTH] = HTTP1_STATE_LENGTH,
        [HTTP1_BODY_CHUNKED] = HTTP1_STATE_CHUNK_LINE,
        [HTTP1_BODY_CLOSE] = HTTP1_STATE_CLOSE,
    };
    struct http1_message *m = h->message;
    bool empty = m->head.status == 205;  /* RFC 9110 section 15.3.6: no content. test_http1_parse.c: bodiless_205_* */

    m->allowed = empty ? 0 : h->limits.body_bytes > 0 ? h->limits.body_bytes : UINT64_MAX;
    m->over = empty ? FAULT_BODY_NOT_ALLOWED : FAULT_BODY_TOO_LARGE;
    m->left = m->head.body == HTTP1_BODY_LENGTH ? m->head.content_length : 0;
    if (m->head.body == HTTP1_BODY_CHUNKED) {
        m->chunk = http1_chunk_first();
        http1_reader_start_chunks(&m->reader, h->kind == HTTP1_RESPONSE);
    }
    if (m->left > m->allowed)
        http1_fail(h, m->over);
    else if (m->head.body == HTTP1_BODY_LENGTH && m->left == 0)
        http1_enter(h, HTTP1_STATE_DONE);
    else
        http1_enter(h, states[m->head.body]);
}

static void show(struct http1_result *out, const uint8_t *p, size_t n)
{
    out->event = HTTP1_BODY;
    out->data = span_of(p, n);
}

static size_t at_most(size_t n, uint64_t most)
{
    return n < most ? n : (size_t)most;
}

void http1_read_length(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out)
{
    if (n > 0)
        show(out, p, at_most(n, h->message->left));
}

void http1_read_close(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out)
{
    struct http1_message *m = h->message;

    if (n > 0 && m->allowed == 0)
        http1_fail(h, m->over);
    else if (n > 0)
        show(out, p, at_most(n, m->allowed));
}

/* A chunk of this size begins. test_http1_parse.c: limit_body_* */
static void begin_chunk(struct http1_parse *h, uint64_t size)
{
    struct http1_message *m = h->message;

    m->left = size;
    m->shown = 0;
    m->chunk = http1_chunk_behind_data();
    if (size > m->allowed) {
        http1_fail(h, m->over);
        return;
    }
    m->allowed -= size;
    http1_enter(h, size > 0 ? HTTP1_STATE_CHUNK_DATA : HTTP1_STATE_TRAILERS);
}

/* A whole chunk line: what llhttp makes of it. */
static enum fault end_chunk_line(struct http1_parse *h)
{
    struct http1_message *m = h->message;
    uint8_t plain[HTTP1_CHUNK_PLAIN_BYTES];

    http1_reader_chunks(&m->reader, plain, http1_chunk_plain(&m->chunk, plain));
    if (m->reader.refused || !m->reader.at_chunk)
        return FAULT_CHUNK;
    begin_chunk(h, http1_reader_chunk_size(&m->reader));
    return FAULT_NONE;
}

size_t http1_read_chunk_line(struct http1_parse *h, const uint8_t *p, size_t n)
{
    struct http1_message *m = h->message;
    enum fault fault;
    size_t used = http1_chunk_feed(&m->chunk, p, n, h->limits.chunk_extension_bytes, &fault);

    if (fault == FAULT_NONE && m->chunk.part == HTTP1_CHUNK_ENDED)
        fault = end_chunk_line(h);
    if (fault != FAULT_NONE)
        http1_fail(h, fault);
    return used;
}

/* llhttp reads data once, when it is shown first: a part that was not taken is shown from what is noted here. */
void http1_read_chunk_data(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out)
{
    struct http1_message *m = h->message;

    if (n == 0)
        return;
    if (m->shown == 0) {
        m->shown = at_most(n, m->left);
        http1_reader_chunks(&m->reader, p, (size_t)m->shown);
    }
    show(out, p, at_most(n, m->shown));
}

/* RFC 9110 section 6.5.1: no framing in a trailer section. What else may not pass there is a matter of rules_trailers.
 * test_http1_parse.c: trailer_* */
static enum fault judge_trailers(struct http1_message *m)
{
    if (http1_section_split(&m->section, span_of(m->raw.p, m->raw.n), &m->trailers) != FAULT_NONE)
        return FAULT_NO_MEMORY;
    if (m->reader.refused || !m->reader.done)
        return FAULT_TRAILERS;
    if (headers_find(&m->trailers, SPAN_LITERAL("content-length")) != NULL ||
        headers_find(&m->trailers, SPAN_LITERAL("transfer-encoding")) != NULL)
        return FAULT_TRAILERS;
    return FAULT_NONE;
}

size_t http1_read_trailers(struct http1_parse *h, const uint8_t *p, size_t n)
{
    struct http1_message *m = h->message;
    enum fault fault;
    size_t used = http1_section_scan(&m->section, p, http1_room(h, n), h->limits.fields, &fault);

    if (fault == FAULT_FIELD || fault == FAULT_LINE_ENDING)
        fault = FAULT_TRAILERS;
    http1_reader_chunks(&m->reader, p, used);
    http1_keep(h, p, used, fault);
    if (h->state != HTTP1_STATE_TRAILERS || m->section.part != HTTP1_SECTION_ENDED)
        return used;
    fault = judge_trailers(m);
    if (fault == FAULT_NONE)
        http1_enter(h, HTTP1_STATE_DONE);
    else
        http1_fail(h, fault);
    return used;
}

uint64_t http1_parse_due(const struct http1_parse *h)
{
    return h->state == HTTP1_STATE_LENGTH ? h->message->left : 0;
}

void http1_parse_took(struct http1_parse *h, size_t n)
{
    struct http1_message *m = h->message;

    if (n == 0)
        return;
    if (h->state == HTTP1_STATE_CLOSE) {
        assert(n <= m->allowed);
        m->allowed -= n;
        return;
    }
    assert((h->state == HTTP1_STATE_LENGTH || (h->state == HTTP1_STATE_CHUNK_DATA && n <= m->shown)) && n <= m->left);
    m->left -= n;
    if (h->state == HTTP1_STATE_CHUNK_DATA)
        m->shown -= n;
    if (m->left == 0)
        http1_enter(h, h->state == HTTP1_STATE_LENGTH ? HTTP1_STATE_DONE : HTTP1_STATE_CHUNK_LINE);
}
