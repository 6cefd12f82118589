/* Fuzz: FastCGI records from a server, and a stream to one.
 *
 * Input: how many requests are open, a byte of choices, a byte that says how the rest is cut; the rest is what the server
 * sends. Cut in any way and taken in sips it gives the same events and the same fault at the same byte. A second reader of
 * records, which knows neither types nor states, says where each record's content lies: every byte told is one of them, in
 * order, and of the right request. Then the same bytes go out as a stream, in windows and sips, and are read back. */
#include "protocol/fcgi_record.h"
#include "tests/protocol/chance.h"
#include "tests/protocol/fcgi_peer.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ASKED = 1, DISCARDED = 2 };

/* What was told: content as (event, id, byte), one after the other, and the rest as numbers. */
struct seen {
    uint64_t mix;
    size_t content_n, at;
    enum fault fault;
    bool idle;
};

static void note(struct seen *s, uint64_t what)
{
    s->mix = (s->mix ^ what) * UINT64_C(0x100000001b3);
    s->mix ^= s->mix >> 29;
}

static void note_content(struct seen *s, const struct fcgi_result *e, size_t taken)
{
    for (size_t i = 0; i < taken; i++)
        note(s, (uint64_t)e->event << 32 | (uint64_t)e->id << 8 | e->data.p[i]);
    s->content_n += taken;
}

static void note_event(struct seen *s, const struct fcgi_result *e)
{
    if (e->event == FCGI_EVENT_END) {
        note(s, (uint64_t)e->end << 56 | (uint64_t)e->id << 32 | e->app_status);
    } else if (e->event == FCGI_EVENT_VALUES) {
        note(s, (uint64_t)e->values.max_connections << 32 | e->values.max_requests);
        note(s, e->values.told + 2u * e->values.has_multiplexes + 4u * e->values.multiplexes);
    }
}

static void set_up(struct fcgi_reader *r, unsigned open, unsigned choices)
{
    fcgi_reader_init(r);
    for (unsigned i = 0; i < open % (FCGI_REQUESTS_MAX + 1); i++)
        assert(fcgi_reader_open(r) == i + 1);
    if ((choices & ASKED) != 0)
        fcgi_reader_ask_values(r);
    if ((choices & DISCARDED) != 0 && open % (FCGI_REQUESTS_MAX + 1) > 0)
        fcgi_reader_discard(r, 1);
}

/* step 0: all at once, taken whole. */
static struct seen run(const uint8_t *data, size_t n, unsigned open, unsigned choices, size_t step, struct chance *c)
{
    struct seen s = { .mix = 1 };
    struct fcgi_result e = { .event = FCGI_EVENT_MORE };
    size_t there = step > 0 && step < n ? step : n;
    struct fcgi_reader r;

    set_up(&r, open, choices);
    while (e.event != FCGI_EVENT_FAULT) {
        size_t used = fcgi_reader_next(&r, data + s.at, there - s.at, &e), taken;

        assert(used <= there - s.at);
        s.at += used;
        assert(e.data.n == 0 || e.data.p == data + s.at);
        taken = step > 0 ? chance_below(c, e.data.n + 1) : e.data.n;
        note_content(&s, &e, taken);
        note_event(&s, &e);
        if (e.data.n > 0)
            fcgi_reader_took(&r, taken);
        s.at += taken;
        if (e.event == FCGI_EVENT_MORE && there == n)
            break;
        if (e.event == FCGI_EVENT_MORE)
            there = n - there > step ? there + step : n;
    }
    s.fault = e.event == FCGI_EVENT_FAULT ? e.fault : FAULT_NONE;
    s.idle = fcgi_reader_is_idle(&r);
    return s;
}

/* How many bytes of content of the two streams lie in what was consumed, those of the discarded request left out. */
static size_t content_in(const uint8_t *data, size_t n, size_t consumed, bool discarded)
{
    size_t at = 0, content_n = 0;

    while (at + 8 <= consumed) {
        size_t type = data[at + 1], id = (size_t)data[at + 2] << 8 | data[at + 3];
        size_t length = (size_t)data[at + 4] << 8 | data[at + 5], left = consumed - at - 8;

        if ((type == 6 || type == 7) && !(discarded && id == 1))
            content_n += length < left ? length : left;
        at += 8 + length + data[at + 6];
    }
    assert(at <= n + 8 + 65535 + 255);
    return content_n;
}

static void check_out(const uint8_t *data, size_t n, struct chance *c)
{
    struct fcgi_peer_bytes sink = { 0 };
    struct fcgi_peer_record record;
    struct fcgi_out out;
    size_t sent = 0, at = 0;

    fcgi_out_init(&out, FCGI_STDIN, 9);
    while (sent < n || !fcgi_out_at_border(&out)) {
        struct span piece = fcgi_out_piece(&out, span_of(data + sent, n - sent));
        size_t taken = 1 + chance_below(c, piece.n);

        assert(piece.n > 0);
        fcgi_peer_put(&sink, piece.p, taken);
        sent += fcgi_out_sent(&out, taken);
    }
    for (sent = 0; at < sink.n; sent += record.content_n) {
        size_t whole = fcgi_peer_record(sink.p + at, sink.n - at, &record);
        assert(whole > 0 && whole % 8 == 0 && record.type == 5 && record.id == 9 && record.content_n > 0);
        assert(record.content_n <= n - sent && memcmp(record.content, data + sent, record.content_n) == 0);
        at += whole;
    }
    assert(sent == n);
    fcgi_peer_free(&sink);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chance c = { size > 2 ? data[2] : 0 };
    struct seen whole, bytewise, pieces;

    if (size < 3)
        return 0;
    whole = run(data + 3, size - 3, data[0], data[1], 0, &c);
    bytewise = run(data + 3, size - 3, data[0], data[1], 1, &c);
    pieces = run(data + 3, size - 3, data[0], data[1], 1 + data[2] * 7u, &c);
    assert(whole.mix == bytewise.mix && whole.at == bytewise.at && whole.fault == bytewise.fault && whole.idle == bytewise.idle);
    assert(whole.mix == pieces.mix && whole.at == pieces.at && whole.fault == pieces.fault && whole.idle == pieces.idle);
    assert(whole.content_n == content_in(data + 3, size - 3, whole.at, (data[1] & DISCARDED) != 0));
    check_out(data, size, &c);
    return 0;
}
