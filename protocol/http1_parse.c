#include "protocol/http1_parse.h"
#include "protocol/http1_chunk.h"
#include "protocol/http1_framing.h"
#include "protocol/http1_line.h"
#include "protocol/http1_reader.h"
#include "protocol/http1_section.h"
#include "protocol/mem.h"

#include <assert.h>

/* A message goes through these from top to bottom, as far as it has such parts. */
enum state {
    STATE_START,                         /* nothing of a message yet; a blank line may come before a request */
    STATE_START_LF,                      /* … its CR was seen */
    STATE_START_AGAIN,                   /* … all of it was seen */
    STATE_LINE,
    STATE_FIELDS,
    STATE_INTERIM,                       /* a 1xx head was given out; the next head is awaited */
    STATE_LENGTH,                        /* a body that Content-Length bounds */
    STATE_CLOSE,                         /* a body that lasts until the connection ends */
    STATE_CHUNK_LINE,                    /* also the CR LF that ends the data of the chunk before */
    STATE_CHUNK_DATA,
    STATE_TRAILERS,
    STATE_DONE,
    STATE_FAULT,
};

/* What one message needs; lies in the arena, so that an idle parser is small. */
struct message {
    struct http1_reader reader;
    struct http1_line line;
    struct http1_section section;        /* the fields, later the trailers */
    struct http1_raw raw;                /* their bytes */
    struct http1_head head;
    struct headers trailers;
    struct http1_chunk chunk;
    bool has_head;                       /* head is whole */
    uint64_t left;                       /* of the body or chunk */
    uint64_t shown;                      /* of a chunk: llhttp has read it, the caller has not taken it */
    uint64_t allowed;                    /* of body, in all */
    enum fault over;                     /* what more than that is */
};

struct http1_parse {
    struct arena arena;
    struct http1_limits limits;
    struct message *message;             /* NULL while nothing of one was seen */
    enum http1_kind kind;
    enum state state;
    enum fault fault;
    unsigned interims;
    bool head_request;
};

static void enter(struct http1_parse *h, enum state next)
{
    assert(h->state != STATE_FAULT || next == STATE_START);
    h->state = next;
}

static void fail(struct http1_parse *h, enum fault fault)
{
    h->fault = fault;
    enter(h, STATE_FAULT);
}

/* Room for a head and trailers at their limits, gathered in pieces that double. */
static size_t arena_bytes(const struct http1_limits *limits)
{
    size_t fields = limits->fields > 0 ? limits->fields : limits->head_bytes / 4;

    return 4096 + 6 * limits->head_bytes + 2 * fields * sizeof(struct field);
}

struct http1_parse *http1_parse_new(enum http1_kind kind, const struct http1_limits *limits)
{
    struct http1_parse *h = mem_zalloc(sizeof(*h));

    if (h == NULL)
        return NULL;
    h->kind = kind;
    h->limits = *limits;
    arena_init(&h->arena, arena_bytes(limits));
    return h;
}

void http1_parse_free(struct http1_parse *h)
{
    if (h == NULL)
        return;
    arena_free(&h->arena);
    mem_free(h);
}

static void forget_message(struct http1_parse *h)
{
    arena_reset(&h->arena);
    h->message = NULL;
    enter(h, STATE_START);
}

void http1_parse_reset(struct http1_parse *h)
{
    forget_message(h);
    h->fault = FAULT_NONE;
    h->interims = 0;
    h->head_request = false;
}

void http1_parse_expect(struct http1_parse *h, bool head_request)
{
    h->head_request = head_request;
}

void http1_parse_idle(struct http1_parse *h)
{
    http1_parse_reset(h);
    arena_free(&h->arena);
}

bool http1_parse_started(const struct http1_parse *h)
{
    return h->message != NULL;
}

/* The start of a message. */

static void start_message(struct http1_parse *h)
{
    struct message *m = arena_alloc(&h->arena, sizeof(*m));

    if (m == NULL) {
        fail(h, FAULT_NO_MEMORY);
        return;
    }
    *m = (struct message){ .line = h->kind == HTTP1_REQUEST ? http1_line_of_request() : http1_line_of_response() };
    headers_init(&m->head.fields, &h->arena, h->limits.fields);
    headers_init(&m->trailers, &h->arena, h->limits.fields);
    http1_reader_start_head(&m->reader, h->kind == HTTP1_RESPONSE);
    h->message = m;
    enter(h, STATE_LINE);
}

/* RFC 9112 section 2.2: at least one empty line (CR LF) in front of a request ought to be ignored: here one is, and no more; none in
 * front of a response. test_http1_parse.c: blank_* */
static size_t read_start(struct http1_parse *h, const uint8_t *p, size_t n)
{
    if (n == 0)
        return 0;
    if (h->kind == HTTP1_RESPONSE || (*p != '\r' && *p != '\n')) {
        start_message(h);
        return 0;
    }
    if (h->state == STATE_START_AGAIN) {
        fail(h, FAULT_BLANK_LINES);
        return 0;
    }
    if (*p == '\n') {
        fail(h, FAULT_LINE_ENDING);
        return 0;
    }
    enter(h, STATE_START_LF);
    return 1;
}

static size_t read_start_lf(struct http1_parse *h, const uint8_t *p, size_t n)
{
    if (n == 0)
        return 0;
    if (*p != '\n') {
        fail(h, FAULT_LINE_ENDING);
        return 0;
    }
    enter(h, STATE_START_AGAIN);
    return 1;
}

/* The head. */

static size_t room_for(const struct http1_parse *h, size_t n)
{
    size_t room = h->limits.head_bytes - h->message->raw.n;

    return n < room ? n : room;
}

/* Keeps the bytes that were read, and takes the verdict on them: a fault, or that they are too many by now.
 * RFC 9110 section 15.5.15, RFC 6585 section 5. test_http1_parse.c: limit_* */
static void keep(struct http1_parse *h, const uint8_t *p, size_t n, enum fault fault)
{
    struct message *m = h->message;

    if (!http1_raw_add(&m->raw, &h->arena, p, n))
        fail(h, FAULT_NO_MEMORY);
    else if (fault != FAULT_NONE)
        fail(h, fault);
    else if (m->raw.n >= h->limits.head_bytes && m->section.part != HTTP1_SECTION_ENDED)
        fail(h, m->line.state == HTTP1_LINE_TARGET ? FAULT_TARGET_TOO_LONG : FAULT_HEAD_TOO_LARGE);
}

static size_t read_line(struct http1_parse *h, const uint8_t *p, size_t n)
{
    struct message *m = h->message;
    enum fault fault;
    size_t used = http1_line_feed(&m->line, p, room_for(h, n), &fault);

    keep(h, p, used, fault);
    if (h->state == STATE_LINE && m->line.state == HTTP1_LINE_DONE)
        enter(h, STATE_FIELDS);
    return used;
}

/* Where the start line's parts lie; before the head has ended the bytes still move. */
static void name_line_parts(struct message *m)
{
    const struct http1_line *line = &m->line;

    if (m->has_head || m->raw.p == NULL)
        return;
    m->head.method = span_of(m->raw.p, line->method_n);
    m->head.target = span_of(m->raw.p + line->target_at, line->target_n);
    m->head.status = line->status;
    m->head.reason = span_of(m->raw.p + line->reason_at, line->reason_n);
    m->head.version_minor = line->minor;
}

/* What body follows, and the state to read it in. */
static void begin_body(struct http1_parse *h)
{
    static const enum state states[] = {
        [HTTP1_BODY_NONE] = STATE_DONE,
        [HTTP1_BODY_LENGTH] = STATE_LENGTH,
        [HTTP1_BODY_CHUNKED] = STATE_CHUNK_LINE,
        [HTTP1_BODY_CLOSE] = STATE_CLOSE,
    };
    struct message *m = h->message;
    bool empty = m->head.status == 205;  /* RFC 9110 section 15.3.6: no content. test_http1_parse.c: bodiless_205_* */

    m->allowed = empty ? 0 : h->limits.body_bytes > 0 ? h->limits.body_bytes : UINT64_MAX;
    m->over = empty ? FAULT_BODY_NOT_ALLOWED : FAULT_BODY_TOO_LARGE;
    m->left = m->head.body == HTTP1_BODY_LENGTH ? m->head.content_length : 0;
    if (m->head.body == HTTP1_BODY_CHUNKED)
        http1_reader_start_chunks(&m->reader, h->kind == HTTP1_RESPONSE);
    if (m->left > m->allowed)
        fail(h, m->over);
    else if (m->head.body == HTTP1_BODY_LENGTH && m->left == 0)
        enter(h, STATE_DONE);
    else
        enter(h, states[m->head.body]);
}

#define MOST_INTERIMS 32                 /* 1xx answers before one final one */

/* RFC 9110 section 15.2: any number of 1xx may come before the final answer; here it is bounded. A 101 is final for HTTP. */
static void begin_after_head(struct http1_parse *h)
{
    unsigned status = h->message->head.status;

    if (h->kind == HTTP1_REQUEST || status >= 200 || status == 101)
        begin_body(h);
    else if (++h->interims > MOST_INTERIMS)
        fail(h, FAULT_INTERIM_FLOOD);
    else
        enter(h, STATE_INTERIM);
}

static enum fault judge_head(struct http1_parse *h)
{
    struct message *m = h->message;
    enum fault fault = http1_section_split(&m->section, span_from(span_of(m->raw.p, m->raw.n), m->line.n), &m->head.fields);

    if (fault == FAULT_NONE && m->reader.refused)
        fault = FAULT_FIELD;             /* both readers have to agree */
    if (fault == FAULT_NONE)
        fault = h->kind == HTTP1_REQUEST ? http1_framing_request(&m->head) : http1_framing_response(&m->head, h->head_request);
    return fault;
}

static void end_head(struct http1_parse *h, struct http1_result *out)
{
    struct message *m = h->message;
    enum fault fault;

    name_line_parts(m);
    m->has_head = true;
    fault = judge_head(h);
    m->raw = (struct http1_raw){ .p = NULL };            /* those bytes stay where they are until the reset */
    m->section = (struct http1_section){ .part = HTTP1_SECTION_LINE };
    if (fault == FAULT_NONE)
        begin_after_head(h);
    else
        fail(h, fault);
    out->event = HTTP1_HEAD;
}

static size_t read_fields(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out)
{
    struct message *m = h->message;
    enum fault fault;
    size_t used = http1_section_scan(&m->section, p, room_for(h, n), h->limits.fields, &fault);

    http1_reader_head(&m->reader, p, used);
    keep(h, p, used, fault);
    if (h->state == STATE_FIELDS && m->section.part == HTTP1_SECTION_ENDED)
        end_head(h, out);
    return used;
}

/* The body. */

static void show(struct http1_result *out, const uint8_t *p, size_t n)
{
    out->event = HTTP1_BODY;
    out->data = span_of(p, n);
}

static size_t at_most(size_t n, uint64_t most)
{
    return n < most ? n : (size_t)most;
}

static void read_close(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out)
{
    struct message *m = h->message;

    if (n > 0 && m->allowed == 0)
        fail(h, m->over);
    else if (n > 0)
        show(out, p, at_most(n, m->allowed));
}

/* A chunk of this size begins. test_http1_parse.c: limit_body_* */
static void begin_chunk(struct http1_parse *h, uint64_t size)
{
    struct message *m = h->message;

    m->left = size;
    m->shown = 0;
    m->chunk = (struct http1_chunk){ .data_end_due = true };
    if (size > m->allowed) {
        fail(h, m->over);
        return;
    }
    m->allowed -= size;
    enter(h, size > 0 ? STATE_CHUNK_DATA : STATE_TRAILERS);
}

static size_t read_chunk_line(struct http1_parse *h, const uint8_t *p, size_t n)
{
    struct message *m = h->message;
    enum fault fault;
    size_t used = http1_chunk_feed(&m->chunk, p, n, h->limits.chunk_extension_bytes, &fault);

    http1_reader_chunks(&m->reader, p, used);
    if (fault == FAULT_NONE && m->chunk.ended && (m->reader.refused || !m->reader.at_chunk))
        fault = FAULT_CHUNK;
    if (fault != FAULT_NONE)
        fail(h, fault);
    else if (m->chunk.ended)
        begin_chunk(h, http1_reader_chunk_size(&m->reader));
    return used;
}

/* llhttp reads data once, when it is shown first: a part that was not taken is shown from what is noted here. */
static void read_chunk_data(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out)
{
    struct message *m = h->message;

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
static enum fault judge_trailers(struct message *m)
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

static size_t read_trailers(struct http1_parse *h, const uint8_t *p, size_t n)
{
    struct message *m = h->message;
    enum fault fault;
    size_t used = http1_section_scan(&m->section, p, room_for(h, n), h->limits.fields, &fault);

    if (fault == FAULT_FIELD || fault == FAULT_LINE_ENDING)
        fault = FAULT_TRAILERS;
    http1_reader_chunks(&m->reader, p, used);
    keep(h, p, used, fault);
    if (h->state != STATE_TRAILERS || m->section.part != HTTP1_SECTION_ENDED)
        return used;
    fault = judge_trailers(m);
    if (fault == FAULT_NONE)
        enter(h, STATE_DONE);
    else
        fail(h, fault);
    return used;
}

void http1_parse_took(struct http1_parse *h, size_t n)
{
    struct message *m = h->message;

    if (n == 0)
        return;
    if (h->state == STATE_CLOSE) {
        assert(n <= m->allowed);
        m->allowed -= n;
        return;
    }
    assert((h->state == STATE_LENGTH || (h->state == STATE_CHUNK_DATA && n <= m->shown)) && n <= m->left);
    m->left -= n;
    if (h->state == STATE_CHUNK_DATA)
        m->shown -= n;
    if (m->left == 0)
        enter(h, h->state == STATE_LENGTH ? STATE_DONE : STATE_CHUNK_LINE);
}

/* The machine. */

static size_t step(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out)
{
    switch (h->state) {
    case STATE_START:
    case STATE_START_AGAIN:
        return read_start(h, p, n);
    case STATE_START_LF:
        return read_start_lf(h, p, n);
    case STATE_LINE:
        return read_line(h, p, n);
    case STATE_FIELDS:
        return read_fields(h, p, n, out);
    case STATE_INTERIM:
        if (n > 0)
            forget_message(h);
        return 0;
    case STATE_LENGTH:
        if (n > 0)
            show(out, p, at_most(n, h->message->left));
        return 0;
    case STATE_CLOSE:
        read_close(h, p, n, out);
        return 0;
    case STATE_CHUNK_LINE:
        return read_chunk_line(h, p, n);
    case STATE_CHUNK_DATA:
        read_chunk_data(h, p, n, out);
        return 0;
    case STATE_TRAILERS:
        return read_trailers(h, p, n);
    case STATE_DONE:
        out->event = HTTP1_END;
        return 0;
    case STATE_FAULT:
        break;
    }
    return 0;
}

/* Fills in what belongs to the event. After a fault the head says how far it was read: fit for a log. */
static void finish_result(struct http1_parse *h, struct http1_result *out)
{
    if (h->state == STATE_FAULT) {
        *out = (struct http1_result){ .event = HTTP1_FAULT, .fault = h->fault };
        if (h->message != NULL)
            name_line_parts(h->message);
    }
    if (h->message != NULL && (h->message->has_head || out->event == HTTP1_FAULT))
        out->head = &h->message->head;
    if (out->event == HTTP1_END)
        out->trailers = &h->message->trailers;
}

size_t http1_parse_next(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out)
{
    size_t used = 0;
    enum state before;

    *out = (struct http1_result){ .event = HTTP1_MORE };
    if (n == 0)
        p = (const uint8_t *)"";
    do {
        before = h->state;
        used += step(h, p + used, n - used, out);
    } while (out->event == HTTP1_MORE && h->state != STATE_FAULT && (used < n || h->state != before));
    finish_result(h, out);
    return used;
}

void http1_parse_eof(struct http1_parse *h, struct http1_result *out)
{
    *out = (struct http1_result){ .event = HTTP1_MORE };
    switch (h->state) {
    case STATE_START:
    case STATE_START_LF:
    case STATE_START_AGAIN:
        /* RFC 9112 section 8: an answer that was announced by a 1xx and never came is incomplete */
        if (h->interims > 0)
            fail(h, FAULT_TRUNCATED);
        break;
    case STATE_CLOSE:
        enter(h, STATE_DONE);
        out->event = HTTP1_END;
        break;
    case STATE_DONE:
        out->event = HTTP1_END;
        break;
    case STATE_FAULT:
        break;
    default:
        /* RFC 9112 section 8: a message whose framing promised more than came is incomplete. test_http1_parse.c: eof_* */
        fail(h, FAULT_TRUNCATED);
        break;
    }
    finish_result(h, out);
}
