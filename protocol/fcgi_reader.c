/* Records that come in. What is written goes out by fcgi_record.c. */
#include "protocol/fcgi_record.h"

#include <assert.h>
#include <string.h>

/* The bits of a request. */
enum { OPEN = 1, STDOUT_OVER = 2, STDERR_OVER = 4, DISCARDED = 8, GONE = 16 };

enum ids { IDS_NONE, IDS_OPEN, IDS_NULL };

/* Which records a server may send: for which ids, with how much content, and how that is read. Types without a row, those a
 * server receives and those nobody knows, have IDS_NONE. Sections 3.3, 4 and 5; test_fcgi_reader.c: type_*, id_*, length_* */
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

/* An application that was told of the abort may end the request at once and still let its handler write, and end it again. */
static bool is_gone(const struct fcgi_reader *r, unsigned id)
{
    return id <= FCGI_REQUESTS_MAX && r->requests[id] == GONE;
}

void fcgi_reader_withdraw(struct fcgi_reader *r, unsigned id)
{
    assert(is_open(r, id));
    r->requests[id] = 0;
    r->open--;
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
    if (row->ids == IDS_NULL ? r->id != 0 : !is_open(r, r->id) && !is_gone(r, r->id))
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
    r->content_n = r->content_left = (size_t)p[4] << 8 | p[5];
    r->padding_left = p[6];
    r->gathered_n = 0;
    fault = judge_header(r, r->content_left);
    if (fault != FAULT_NONE) {
        fail(r, fault);
        return 0;
    }
    if (r->content_left == 0 && !is_gone(r, r->id))      /* section 3.3: an empty record ends its stream */
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
    if ((r->requests[r->id] & (DISCARDED | GONE)) != 0) {
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

size_t fcgi_reader_due(const struct fcgi_reader *r, unsigned id, size_t least)
{
    bool passes = r->state == FCGI_READER_STREAM && r->type == FCGI_STDOUT && r->id == id && (r->requests[id] & DISCARDED) == 0;

    return passes && r->content_n >= least ? r->content_left : 0;
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

    while (i < FCGI_VALUES_N && !span_equal(name, span_of_text(fcgi_value_names[i])))
        i++;
    if (i == FCGI_VALUES_N)
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

    if (p[4] > FCGI_UNKNOWN_ROLE) {
        fail(r, FAULT_FCGI_END_STATUS);
        return;
    }
    if (is_gone(r, r->id))
        return;
    r->requests[r->id] = (r->requests[r->id] & DISCARDED) != 0 ? GONE : 0;
    r->open--;
    out->event = FCGI_EVENT_END;
    out->id = r->id;
    out->app_status = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    out->end = p[4];
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
        p = (const uint8_t *)"";
    do {
        before = r->state;
        part = step(r, p + used, n - used, out);
        used += part;
    } while (out->event == FCGI_EVENT_MORE && r->state != FCGI_READER_FAULT && (part > 0 || r->state != before));
    if (r->state == FCGI_READER_FAULT)
        *out = (struct fcgi_result){ .event = FCGI_EVENT_FAULT, .fault = r->fault };
    return used;
}
