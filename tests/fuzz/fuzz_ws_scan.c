/* Fuzz: one direction of a tunnel. The first byte chooses the rules, the second how the stream is cut; the rest is the stream.
 *
 * Fed byte by byte and in pieces it gives the same verdict; wslay's event layer agrees (ws_oracle.h); no more than a window is
 * ever left over; and with verify utf8 the text that has passed begins a text that is valid. */
#include "tests/protocol/ws_oracle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct ws_scan_rules rules_of(uint8_t choice)
{
    return (struct ws_scan_rules){
        .from_client = choice & 1, .deflate = choice >> 1 & 1, .verify = choice & 4 ? WS_VERIFY_FRAMES : WS_VERIFY_UTF8,
        .max_message = choice & 8 ? 200 : 100000,
    };
}

/* Limits that wslay does not have; only that the scan is the same however it is cut. */
static void add_limits(struct ws_scan_rules *rules, uint8_t choice)
{
    if (choice & 16)
        rules->max_frame = 20;
    if (choice & 32)
        rules->max_fragments = 3;
}

static void check_cuts(struct span stream, const struct ws_scan_rules *rules, uint8_t seed, struct oracle_seen *bytewise,
                       size_t *there)
{
    static struct oracle_seen in_pieces;
    struct chance c = { seed };
    struct ws_scan a, b;

    *there = oracle_scan(&c, stream, rules, 1, bytewise, &a);
    oracle_scan(&c, stream, rules, 1 + seed * 3u, &in_pieces, &b);
    assert(bytewise->fault == in_pieces.fault && bytewise->closed == in_pieces.closed);
    if (a.fault == FAULT_NONE)
        assert(memcmp(&a.counts, &b.counts, sizeof(a.counts)) == 0 && ws_scan_at_boundary(&a) == ws_scan_at_boundary(&b));
}

/* The payload of the data frames that passed, read as simply as can be: every frame in `p` has a lawful header. */
static void check_passed_text(const uint8_t *p, size_t n, bool masked, bool deflate)
{
    struct utf8 u = { 0 };
    struct ws_head h;
    bool text = false;

    for (size_t at = 0; at < n;) {
        int size = ws_head_parse(p + at, n - at, &h);
        size_t take;
        assert(size > 0 && h.masked == masked);
        at += (size_t)size;
        take = h.length < n - at ? (size_t)h.length : n - at;
        if (h.opcode == WS_TEXT || h.opcode == WS_BINARY) {
            text = h.opcode == WS_TEXT && !(deflate && h.rsv == 4);
            u = (struct utf8){ 0 };
        }
        for (size_t i = 0; i < take && text && h.opcode < 8; i++) {
            uint8_t byte = p[at + i] ^ (masked ? h.mask[i % 4] : 0);
            assert(utf8_feed(&u, &byte, 1));
        }
        at += take;
        assert(!(text && h.opcode < 8 && h.fin && take == h.length) || utf8_complete(&u));
    }
}

/* As a pump does it: everything that passes, goes out, control frames too. */
static void check_passing(struct span stream, const struct ws_scan_rules *rules, uint8_t seed)
{
    struct chance c = { seed };
    struct ws_control control;
    enum ws_scan_verdict verdict = WS_SCAN_MORE;
    size_t done = 0, there = 0, passed;
    struct ws_scan s;

    ws_scan_init(&s, rules);
    while (there < stream.n && verdict != WS_SCAN_FAULT) {
        there += 1 + chance_below(&c, stream.n - there);
        while ((verdict = ws_scan_feed(&s, stream.p + done, there - done, &passed, &control)) == WS_SCAN_CONTROL) {
            done += passed + control.frame_bytes;
            ws_scan_control_done(&s);
        }
        done += passed;
        assert(done <= there && (verdict == WS_SCAN_FAULT || there - done < WS_SCAN_WINDOW_BYTES));
    }
    if (rules->verify == WS_VERIFY_UTF8)
        check_passed_text(stream.p, done, rules->from_client, rules->deflate);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct oracle_seen ours, theirs;
    struct ws_scan_rules rules;
    struct span stream;
    size_t there;

    if (n < 2 || n > ORACLE_STREAM_BYTES)
        return 0;
    rules = rules_of(data[0]);
    stream = span_of(data + 2, n - 2);
    check_cuts(stream, &rules, data[1], &ours, &there);
    oracle_ask(span_first(stream, there), &rules, ours.fault != FAULT_NONE ? ORACLE_ZEROS_BYTES : 0, &theirs);
    assert(oracle_agrees(&ours, &theirs, rules.verify));
    add_limits(&rules, data[0]);
    check_cuts(stream, &rules, data[1], &ours, &there);
    check_passing(stream, &rules, data[1]);
    return 0;
}
