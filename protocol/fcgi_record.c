#include "protocol/fcgi_record.h"

#include <assert.h>
#include <string.h>

/* ---- out ---- */

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

size_t fcgi_write_pair_head(uint8_t out[FCGI_PAIR_HEAD_BYTES], size_t name_n, size_t value_n)
{
    size_t n = write_length(out, name_n);

    return n + write_length(out + n, value_n);
}

static const char *const value_names[] = { "FCGI_MAX_CONNS", "FCGI_MAX_REQS", "FCGI_MPXS_CONNS" };

/* Section 4.1: the names, with empty values. */
void fcgi_write_get_values(uint8_t out[FCGI_GET_VALUES_BYTES])
{
    size_t n = FCGI_HEADER_BYTES;

    for (size_t i = 0; i < sizeof(value_names) / sizeof(value_names[0]); i++) {
        struct span name = span_of_text(value_names[i]);
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

/* ---- in ---- */

/* The bits of a request. */
enum { OPEN = 1, STDOUT_OVER = 2, STDERR_OVER = 4, DISCARDED = 8 };

enum ids { IDS_NONE, IDS_OPEN, IDS_NULL };

/* Which records a server may send: for which ids, with how much content, and how that is read. Types without a row, those a
 * server receives and those nobody knows, have IDS_NONE. Sections 3.3, 4 and 5; test_fcgi_record.c: type_*, id_*, length_* */
static const struct row {
    enum ids ids;                        /* those of open requests; or 0, when the question was asked */
    uint16_t least, most;
    enum fcgi_reader_state content;
    uint8_t over;                        /* the request's bit that says the stream has ended */
} rows[] = {
    [FCGI_STDOUT] = { IDS_OPEN, 0, FCGI_CONTENT_MAX, FCGI_READER_STREAM, STDOUT_OVER },
    [FCGI_STDERR] = { IDS_OPEN, 0, FCGI_CONTENT_MAX, FCGI_READER_STREAM, STDERR_OVER },
    [FCGI_END_REQUEST] = { IDS_OPEN, 8, 8, FCGI_READER_GATHER, 0 },
    [FCGI_GET_VALUES_RESULT] = { IDS_NULL, 0, FCGI_VALUES_BYTES, FCGI_READER_GATHER, 0 },
    [FCGI_UNKNOWN_TYPE] = { IDS_NULL, 8, 8, FCGI_READER_GATHER, 0 },
};

static const struct row *row_of(unsigned type)
{
    return &rows[type < sizeof(rows) / sizeof(rows[0]) ? type : 0];
}

static void enter(struct fcgi_reader *r, enum fcgi_reader_state to)
{
    assert(r->state != FCGI_READER_FAULT);
    r->state = to;
}

static void fail(struct fcgi_reader *r, enum fault fault)
{
    r->fault = fault;
    enter(r, FCGI_READER_FAULT);
}

void fcgi_reader_init(struct fcgi_reader *r)
{
    *r = (struct fcgi_reader){ .state = FCGI_READER_HEADER };
}

/* Section 3.3: ids are kept small, and are used again. */
unsigned fcgi_reader_open(struct fcgi_reader *r)
{
    for (unsigned id = 1; id <= FCGI_REQUESTS_MAX; id++) {
        if (r->requests[id] == 0) {
            r->requests[id] = OPEN;
            r->open++;
            return id;
        }
    }
    return 0;
}

static bool is_open(const struct fcgi_reader *r, unsigned id)
{
    return id <= FCGI_REQUESTS_MAX && (r->requests[id] & OPEN) != 0;
}

void fcgi_reader_discard(struct fcgi_reader *r, unsigned id)
{
    assert(is_open(r, id));
    r->requests[id] |= DISCARDED;
}

void fcgi_reader_ask_values(struct fcgi_reader *r)
{
    r->values_asked = true;
}

bool fcgi_reader_is_idle(const struct fcgi_reader *r)
{
    return r->state == FCGI_READER_HEADER && r->open == 0 && !r->values_asked;
}

static enum fault judge_header(const struct fcgi_reader *r, size_t content_n)
{
    const struct row *row = row_of(r->type);

    if (row->ids == IDS_NONE || (row->ids == IDS_NULL && !r->values_asked))
        return FAULT_FCGI_TYPE;
    if (row->ids == IDS_NULL ? r->id != 0 : !is_open(r, r->id))
        return FAULT_FCGI_ID;
    if (content_n < row->least || content_n > row->most)
        return FAULT_FCGI_LENGTH;
    if (content_n > 0 && (r->requests[r->id] & row->over) != 0)
        return FAULT_FCGI_AFTER_END;
    return FAULT_NONE;
}

/* Section 3.3. Content and padding are counted apart, each in 32 bits or more: their sum does not fit in 16. */
static size_t read_header(struct fcgi_reader *r, const uint8_t *p, size_t n)
{
    enum fault fault;

    if (n > 0 && p[0] != 1) {
        fail(r, FAULT_FCGI_VERSION);
        return 0;
    }
    if (n < FCGI_HEADER_BYTES)
        return 0;
    r->type = p[1];
    r->id = (unsigned)p[2] << 8 | p[3];
    r->content_left = (size_t)p[4] << 8 | p[5];
    r->padding_left = p[6];
    r->gathered_n = 0;
    fault = judge_header(r, r->content_left);
    if (fault != FAULT_NONE) {
        fail(r, fault);
        return 0;
    }
    if (r->content_left == 0)            /* section 3.3: an empty record ends its stream */
        r->requests[r->id] |= row_of(r->type)->over;
    enter(r, row_of(r->type)->content);
    return FCGI_HEADER_BYTES;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t read_stream(struct fcgi_reader *r, const uint8_t *p, size_t n, struct fcgi_result *out)
{
    size_t part = smaller(n, r->content_left);

    if (r->content_left == 0) {
        enter(r, FCGI_READER_PADDING);
        return 0;
    }
    if ((r->requests[r->id] & DISCARDED) != 0) {
        r->content_left -= part;
        return part;
    }
    if (part > 0) {
        out->event = r->type == FCGI_STDOUT ? FCGI_EVENT_STDOUT : FCGI_EVENT_STDERR;
        out->id = r->id;
        out->data = span_of(p, part);
    }
    return 0;
}

void fcgi_reader_took(struct fcgi_reader *r, size_t n)
{
    assert(r->state == FCGI_READER_STREAM && n <= r->content_left);
    r->content_left -= n;
}

static size_t read_gather(struct fcgi_reader *r, const uint8_t *p, size_t n)
{
    size_t part = smaller(n, r->content_left);

    if (part > 0)
        memcpy(r->gathered + r->gathered_n, p, part);
    r->gathered_n += part;
    r->content_left -= part;
    if (r->content_left == 0)
        enter(r, FCGI_READER_PADDING);
    return part;
}

static bool take_length(struct span *rest, size_t *n_out)
{
    size_t bytes = rest->n > 0 && rest->p[0] >= 128 ? 4 : 1;
    uint32_t n = 0;

    if (rest->n < bytes)
        return false;
    for (size_t i = 0; i < bytes; i++)
        n = n << 8 | rest->p[i];
    *n_out = n & INT32_MAX;
    *rest = span_from(*rest, bytes);
    return true;
}

/* Each length is compared with what is left, one after the other: they are never added. */
bool fcgi_read_pair(struct span *rest, struct span *name_out, struct span *value_out)
{
    struct span left = *rest;
    size_t name_n, value_n;

    if (!take_length(&left, &name_n) || !take_length(&left, &value_n))
        return false;
    if (name_n > left.n || value_n > left.n - name_n)
        return false;
    *name_out = span_first(left, name_n);
    left = span_from(left, name_n);
    *value_out = span_first(left, value_n);
    *rest = span_from(left, value_n);
    return true;
}

/* Section 4.1: decimal numbers; names that were not asked for are none of ours. */
static bool take_value(struct fcgi_values *v, struct span name, struct span text)
{
    uint64_t number = 0;
    size_t i = 0;

    while (i < 3 && !span_equal(name, span_of_text(value_names[i])))
        i++;
    if (i == 3)
        return true;
    if (!span_to_u64(text, &number) || (i == 2 && number > 1))
        return false;
    if (i == 2) {
        v->has_multiplexes = true;
        v->multiplexes = number == 1;
    } else {
        *(i == 0 ? &v->max_connections : &v->max_requests) = number < UINT32_MAX ? (unsigned)number : UINT32_MAX;
    }
    return true;
}

static void tell_values(struct fcgi_reader *r, struct fcgi_result *out)
{
    struct span rest = span_of(r->gathered, r->gathered_n), name, value;
    bool good = true;

    out->values.told = r->type == FCGI_GET_VALUES_RESULT;
    if (!out->values.told)               /* section 4.2: the type that was not understood is the one that was sent */
        good = r->gathered[0] == FCGI_GET_VALUES;
    while (good && out->values.told && rest.n > 0)
        good = fcgi_read_pair(&rest, &name, &value) && take_value(&out->values, name, value);
    r->values_asked = false;
    out->event = FCGI_EVENT_VALUES;
    if (!good)
        fail(r, FAULT_FCGI_VALUES);
}

/* Section 5.5: the application's status, the protocol's, three reserved bytes. */
static void tell_end(struct fcgi_reader *r, struct fcgi_result *out)
{
    const uint8_t *p = r->gathered;

    r->requests[r->id] = 0;
    r->open--;
    out->event = FCGI_EVENT_END;
    out->id = r->id;
    out->app_status = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    out->end = p[4];
    if (p[4] > FCGI_UNKNOWN_ROLE)
        fail(r, FAULT_FCGI_END_STATUS);
}

/* A discrete record is told when its padding is over, too: behind an END stands either nothing or the next record. */
static size_t read_padding(struct fcgi_reader *r, size_t n, struct fcgi_result *out)
{
    size_t part = smaller(n, r->padding_left);

    r->padding_left -= part;
    if (r->padding_left > 0)
        return part;
    enter(r, FCGI_READER_HEADER);
    if (r->type == FCGI_END_REQUEST)
        tell_end(r, out);
    else if (row_of(r->type)->ids == IDS_NULL)
        tell_values(r, out);
    return part;
}

static size_t step(struct fcgi_reader *r, const uint8_t *p, size_t n, struct fcgi_result *out)
{
    switch (r->state) {
    case FCGI_READER_HEADER:
        return read_header(r, p, n);
    case FCGI_READER_STREAM:
        return read_stream(r, p, n, out);
    case FCGI_READER_GATHER:
        return read_gather(r, p, n);
    case FCGI_READER_PADDING:
        return read_padding(r, n, out);
    case FCGI_READER_FAULT:
        break;
    }
    return 0;
}

size_t fcgi_reader_next(struct fcgi_reader *r, const uint8_t *p, size_t n, struct fcgi_result *out)
{
    enum fcgi_reader_state before;
    size_t used = 0, part;

    *out = (struct fcgi_result){ .event = FCGI_EVENT_MORE };
    if (n == 0)
        p = zeros;
    do {
        before = r->state;
        part = step(r, p + used, n - used, out);
        used += part;
    } while (out->event == FCGI_EVENT_MORE && r->state != FCGI_READER_FAULT && (part > 0 || r->state != before));
    if (r->state == FCGI_READER_FAULT)
        *out = (struct fcgi_result){ .event = FCGI_EVENT_FAULT, .fault = r->fault };
    return used;
}
