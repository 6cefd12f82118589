#include "protocol/http1_machine.h"
#include "protocol/mem.h"

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>

void http1_enter(struct http1_parse *h, enum http1_state next)
{
    assert(h->state != HTTP1_STATE_FAULT || next == HTTP1_STATE_START);
    h->state = next;
}

void http1_fail(struct http1_parse *h, enum fault fault)
{
    h->fault = fault;
    http1_enter(h, HTTP1_STATE_FAULT);
}

size_t http1_room(const struct http1_parse *h, size_t n)
{
    size_t room = h->limits.head_bytes - h->message->raw.n;

    return n < room ? n : room;
}

/* RFC 9110 section 15.5.15, RFC 6585 section 5. test_http1_parse.c: limit_* */
void http1_keep(struct http1_parse *h, const uint8_t *p, size_t n, enum fault fault)
{
    struct http1_message *m = h->message;

    if (!http1_raw_add(&m->raw, &h->arena, p, n))
        http1_fail(h, FAULT_NO_MEMORY);
    else if (fault != FAULT_NONE)
        http1_fail(h, fault);
    else if (m->raw.n >= h->limits.head_bytes && m->section.part != HTTP1_SECTION_ENDED)
        http1_fail(h, m->line.state == HTTP1_LINE_TARGET ? FAULT_TARGET_TOO_LONG : FAULT_HEAD_TOO_LARGE);
}

/* Room for a head and trailers at their limits, gathered in pieces that double. */
static size_t arena_bytes(const struct http1_limits *limits)
{
    size_t fields = limits->fields > 0 ? limits->fields : limits->head_bytes / 4;

    return 4096 + 6 * limits->head_bytes + 2 * fields * sizeof(struct field);
}

struct http1_parse *http1_parse_new(enum http1_kind kind, const struct http1_limits *limits)
{
    struct http1_parse *h = mem_alloc(sizeof(*h));

    if (h == NULL)
        return NULL;
    *h = (struct http1_parse){ .kind = kind, .limits = *limits };
    arena_init(&h->arena, arena_bytes(limits));
    return h;
}

struct http1_parse *http1_parse_new_in(void *room, size_t room_bytes, enum http1_kind kind, const struct http1_limits *limits)
{
    struct http1_parse *h = room;
    size_t own = (sizeof(*h) + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);

    assert(room_bytes >= HTTP1_PARSE_ROOM_LEAST);
    *h = (struct http1_parse){ .kind = kind, .limits = *limits, .lent = true };
    arena_init_in(&h->arena, arena_bytes(limits), (uint8_t *)room + own, room_bytes - own);
    return h;
}

void http1_parse_free(struct http1_parse *h)
{
    if (h == NULL)
        return;
    arena_free(&h->arena);
    if (!h->lent)
        mem_free(h);
}

static void forget_message(struct http1_parse *h)
{
    arena_reset(&h->arena);
    h->message = NULL;
    http1_enter(h, HTTP1_STATE_START);
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

static size_t step(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out)
{
    switch (h->state) {
    case HTTP1_STATE_START:
    case HTTP1_STATE_START_AGAIN:
        return http1_read_start(h, p, n);
    case HTTP1_STATE_START_LF:
        return http1_read_start_lf(h, p, n);
    case HTTP1_STATE_LINE:
        return http1_read_line(h, p, n);
    case HTTP1_STATE_FIELDS:
        return http1_read_fields(h, p, n, out);
    case HTTP1_STATE_INTERIM:
        if (n > 0)
            forget_message(h);
        return 0;
    case HTTP1_STATE_LENGTH:
        http1_read_length(h, p, n, out);
        return 0;
    case HTTP1_STATE_CLOSE:
        http1_read_close(h, p, n, out);
        return 0;
    case HTTP1_STATE_CHUNK_LINE:
        return http1_read_chunk_line(h, p, n);
    case HTTP1_STATE_CHUNK_DATA:
        http1_read_chunk_data(h, p, n, out);
        return 0;
    case HTTP1_STATE_TRAILERS:
        return http1_read_trailers(h, p, n);
    case HTTP1_STATE_DONE:
        out->event = HTTP1_END;
        return 0;
    case HTTP1_STATE_FAULT:
        break;
    }
    return 0;
}

/* Fills in what belongs to the event. After a fault the head says how far it was read: fit for a log. */
static void finish_result(struct http1_parse *h, struct http1_result *out)
{
    if (h->state == HTTP1_STATE_FAULT) {
        *out = (struct http1_result){ .event = HTTP1_FAULT, .fault = h->fault };
        if (h->message != NULL)
            http1_name_line_parts(h->message);
    }
    if (h->message != NULL && (h->message->has_head || out->event == HTTP1_FAULT))
        out->head = &h->message->head;
    if (out->event == HTTP1_END)
        out->trailers = &h->message->trailers;
}

size_t http1_parse_next(struct http1_parse *h, const uint8_t *p, size_t n, struct http1_result *out)
{
    size_t used = 0;
    enum http1_state before;

    *out = (struct http1_result){ .event = HTTP1_MORE };
    if (n == 0)
        p = (const uint8_t *)"";
    do {
        before = h->state;
        used += step(h, p + used, n - used, out);
    } while (out->event == HTTP1_MORE && h->state != HTTP1_STATE_FAULT && (used < n || h->state != before));
    finish_result(h, out);
    return used;
}

void http1_parse_eof(struct http1_parse *h, struct http1_result *out)
{
    *out = (struct http1_result){ .event = HTTP1_MORE };
    switch (h->state) {
    case HTTP1_STATE_START:
    case HTTP1_STATE_START_LF:
    case HTTP1_STATE_START_AGAIN:
        break;
    case HTTP1_STATE_CLOSE:
        http1_enter(h, HTTP1_STATE_DONE);
        out->event = HTTP1_END;
        break;
    case HTTP1_STATE_DONE:
        out->event = HTTP1_END;
        break;
    case HTTP1_STATE_FAULT:
        break;
    default:
        /* RFC 9112 section 8: a message whose framing promised more than came is incomplete, and so is an answer of which only a
         * 1xx came. test_http1_parse.c: eof_* */
        http1_fail(h, FAULT_TRUNCATED);
        break;
    }
    finish_result(h, out);
}
