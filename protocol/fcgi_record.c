/* Records on their way out. Those that come in are read in fcgi_reader.c. */
#include "protocol/fcgi_record.h"

#include <assert.h>
#include <string.h>

static const uint8_t zeros[8];

static void put_u16(uint8_t *p, size_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

/* Section 3.3: records are best placed on boundaries of eight bytes. An id of 0 is for management records alone.
 * test_fcgi_record.c: header_* */
size_t fcgi_write_header(uint8_t out[FCGI_HEADER_BYTES], enum fcgi_type type, unsigned id, size_t content_n)
{
    size_t padding_n = (8 - content_n % 8) % 8;

    assert(content_n <= FCGI_CONTENT_MAX);
    assert(id <= UINT16_MAX && (id == 0) == (type == FCGI_GET_VALUES));
    out[0] = 1;
    out[1] = (uint8_t)type;
    put_u16(out + 2, id);
    put_u16(out + 4, content_n);
    out[6] = (uint8_t)padding_n;
    out[7] = 0;
    return padding_n;
}

struct span fcgi_padding(size_t n)
{
    assert(n <= sizeof(zeros));
    return span_of(zeros, n);
}

static size_t write_length(uint8_t *out, size_t n)
{
    assert(n <= INT32_MAX);
    if (n < 128) {
        out[0] = (uint8_t)n;
        return 1;
    }
    put_u16(out, n >> 16 | 0x8000);
    put_u16(out + 2, n);
    return 4;
}

static size_t length_bytes(size_t n)
{
    return n < 128 ? 1 : 4;
}

size_t fcgi_pair_head_bytes(size_t name_n, size_t value_n)
{
    return length_bytes(name_n) + length_bytes(value_n);
}

size_t fcgi_write_pair_head(uint8_t *out, size_t name_n, size_t value_n)
{
    size_t n = write_length(out, name_n);

    return n + write_length(out + n, value_n);
}

const char *const fcgi_value_names[FCGI_VALUES_N] = { "FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS" };

/* Section 4.1: the names, with empty values. */
void fcgi_write_get_values(uint8_t out[FCGI_GET_VALUES_BYTES])
{
    size_t n = FCGI_HEADER_BYTES;

    for (size_t i = 0; i < FCGI_VALUES_N; i++) {
        struct span name = span_of_text(fcgi_value_names[i]);
        n += fcgi_write_pair_head(out + n, name.n, 0);
        memcpy(out + n, name.p, name.n);
        n += name.n;
    }
    assert(n == FCGI_GET_VALUES_BYTES);
    fcgi_write_header(out, FCGI_GET_VALUES, 0, n - FCGI_HEADER_BYTES);
}

void fcgi_out_init(struct fcgi_out *o, enum fcgi_type type, unsigned id)
{
    *o = (struct fcgi_out){ .type = type, .id = id };
}

bool fcgi_out_at_border(const struct fcgi_out *o)
{
    return o->header_left == 0 && o->content_left == 0 && o->padding_left == 0;
}

/* Section 3.3: an empty record would end the stream, so none is begun without data. */
static void begin_record(struct fcgi_out *o, size_t data_n)
{
    o->content_left = data_n < FCGI_CONTENT_OURS ? data_n : FCGI_CONTENT_OURS;
    o->padding_left = fcgi_write_header(o->header, o->type, o->id, o->content_left);
    o->header_left = FCGI_HEADER_BYTES;
}

struct span fcgi_out_piece(struct fcgi_out *o, struct span data)
{
    if (fcgi_out_at_border(o) && data.n > 0)
        begin_record(o, data.n);
    if (o->header_left > 0)
        return span_of(o->header + FCGI_HEADER_BYTES - o->header_left, o->header_left);
    if (o->content_left > 0)
        return span_first(data, o->content_left);
    return fcgi_padding(o->padding_left);
}

size_t fcgi_out_sent(struct fcgi_out *o, size_t n)
{
    size_t *left = o->header_left > 0 ? &o->header_left : o->content_left > 0 ? &o->content_left : &o->padding_left;

    assert(n <= *left);
    *left -= n;
    return left == &o->content_left ? n : 0;
}

/* Bytes going into a piece of memory that was measured before. */
struct pen {
    uint8_t *p;
    size_t n;
};

static void pen_put(struct pen *pen, struct span s)
{
    if (s.n > 0)
        memcpy(pen->p + pen->n, s.p, s.n);
    pen->n += s.n;
}

/* A record whose content follows by pen_put; returns the padding that is due after it. */
static size_t pen_header(struct pen *pen, enum fcgi_type type, unsigned id, size_t content_n)
{
    size_t padding_n = fcgi_write_header(pen->p + pen->n, type, id, content_n);

    pen->n += FCGI_HEADER_BYTES;
    return padding_n;
}

/* Section 5.1: the role (1 is the responder), the flags (1 is FCGI_KEEP_CONN), five reserved bytes. */
static void pen_begin(struct pen *pen, unsigned id, bool keep_connection)
{
    uint8_t body[8] = { 0, 1, keep_connection ? 1 : 0 };

    pen_header(pen, FCGI_BEGIN_REQUEST, id, sizeof(body));
    pen_put(pen, span_of(body, sizeof(body)));
}

static void pen_stream(struct pen *pen, enum fcgi_type type, unsigned id, struct span data)
{
    struct fcgi_out out;
    struct span piece;

    fcgi_out_init(&out, type, id);
    while ((piece = fcgi_out_piece(&out, data)).n > 0) {
        pen_put(pen, piece);
        data = span_from(data, fcgi_out_sent(&out, piece.n));
    }
    pen_header(pen, type, id, 0);
}

struct span fcgi_write_begin(struct arena *a, unsigned id, bool keep_connection, struct span pairs, bool has_body)
{
    size_t records = pairs.n / FCGI_CONTENT_OURS + 1;
    size_t most = 4 * FCGI_HEADER_BYTES + pairs.n + records * (FCGI_HEADER_BYTES + sizeof(zeros));
    struct pen pen = { .p = arena_alloc(a, most) };

    if (pen.p == NULL)
        return SPAN_EMPTY;
    pen_begin(&pen, id, keep_connection);
    pen_stream(&pen, FCGI_PARAMS, id, pairs);
    if (!has_body)
        pen_header(&pen, FCGI_STDIN, id, 0);
    assert(pen.n <= most);
    return span_of(pen.p, pen.n);
}

struct span fcgi_frame_begin(uint8_t *pairs, size_t n, unsigned id, bool keep_connection, bool has_body)
{
    struct pen pen = { .p = pairs - FCGI_BEFORE_BYTES };
    size_t padding_n;

    assert(n > 0 && n <= FCGI_CONTENT_OURS);
    pen_begin(&pen, id, keep_connection);
    padding_n = pen_header(&pen, FCGI_PARAMS, id, n);
    pen.n += n;
    pen_put(&pen, fcgi_padding(padding_n));
    pen_header(&pen, FCGI_PARAMS, id, 0);
    if (!has_body)
        pen_header(&pen, FCGI_STDIN, id, 0);
    return span_of(pen.p, pen.n);
}
