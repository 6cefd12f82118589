/* ws_scan against wslay's event layer: random, mutated and garbage streams; both have to see the same messages and control frames
 * and to find the same kind of fault (1002, 1007, 1009), or none.
 *
 * 100,000 streams by default; UPGATE_DIFFERENTIAL=N for more, UPGATE_SEED=N to repeat. What the two are known to see differently:
 *   - ws_scan finds a fault at its first byte, wslay when it has the header and a byte of payload, or a whole control frame. So a
 *     stream that ends too early for wslay is continued with zeros before its verdict is asked for.
 *   - A Close with a payload of one byte: wslay takes it for one without a code.
 *   - Close codes 1012 to 1014 (registered after wslay's list was made): wslay refuses them.
 *   - A Close that has both an unlawful code and a bad reason: wslay looks at the reason first (1007, not 1002).
 *   - What follows a Close: wslay stops reading there, ws_scan calls it a fault.
 *   - With WS_VERIFY_FRAMES nothing is 1007: what both saw until then is compared. */
#include "protocol/ws_scan.h"
#include "tests/protocol/chance.h"
#include "tests/protocol/split.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <wslay/wslay.h>

#define STREAM_BYTES 2000
#define ZEROS_BYTES (WS_HEAD_MAX_BYTES + WS_CONTROL_MAX_BYTES + 1)

struct stream {
    uint8_t p[STREAM_BYTES + ZEROS_BYTES];
    size_t n;
    size_t heads[64];                    /* where frames begin */
    size_t n_heads;
};

/* ---- making streams ---- */

static void put(struct stream *st, const uint8_t *p, size_t n)
{
    if (n > STREAM_BYTES - st->n)
        n = STREAM_BYTES - st->n;
    memcpy(st->p + st->n, p, n);
    st->n += n;
}

static void put_frame(struct chance *c, struct stream *st, uint8_t first, const uint8_t *payload, size_t n, bool masked)
{
    uint8_t head[WS_HEAD_MAX_BYTES] = { first }, byte;
    size_t form = n < 126 ? 0 : 2, size = 2 + form;

    head[1] = (uint8_t)((masked ? 0x80 : 0) | (form == 0 ? n : 126));
    if (form == 2) {
        head[2] = (uint8_t)(n >> 8);
        head[3] = (uint8_t)n;
    }
    for (unsigned i = 0; masked && i < 4; i++)
        head[size++] = (uint8_t)chance_next(c);
    if (st->n_heads < sizeof(st->heads) / sizeof(st->heads[0]))
        st->heads[st->n_heads++] = st->n;
    put(st, head, size);
    for (size_t i = 0; i < n; i++) {
        byte = masked ? payload[i] ^ head[size - 4 + i % 4] : payload[i];
        put(st, &byte, 1);
    }
}

static size_t make_text(struct chance *c, uint8_t *out, size_t limit)
{
    static const char *const good[] = { "a", "\xc3\xa9", "\xe2\x82\xac", "\xed\x9f\xbf", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "xyz" };
    static const char *const bad[] = { "\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80", "\xf0\x9f", "\xe0\x80" };
    size_t n = 0;

    while (n + 4 < limit && !chance_one_in(c, limit < 20 ? 6 : 40)) {
        const char *piece = chance_one_in(c, 60) ? bad[chance_below(c, 8)] : good[chance_below(c, 7)];
        memcpy(out + n, piece, strlen(piece));
        n += strlen(piece);
    }
    return n;
}

static void make_control(struct chance *c, struct stream *st, bool masked)
{
    static const uint16_t codes[] = { 1000, 1001, 1003, 1004, 1005, 1006, 1007, 1011, 1012, 1014, 1015, 1016, 2999, 3000, 4999, 5000, 0 };
    uint8_t payload[130], opcode = (uint8_t)(8 + (chance_one_in(c, 8) ? 0 : 1 + chance_below(c, 2)));
    size_t n = make_text(c, payload + 2, chance_one_in(c, 10) ? 122 : 20) + 2;

    if (opcode == WS_CLOSE) {
        uint16_t code = codes[chance_one_in(c, 2) ? 0 : chance_below(c, 17)];
        payload[0] = (uint8_t)(code >> 8);
        payload[1] = (uint8_t)code;
        n = chance_one_in(c, 4) ? chance_below(c, 3) : n;
    } else {
        payload[0] = 'p';
        payload[1] = (uint8_t)chance_next(c);
    }
    put_frame(c, st, 0x80 | opcode, payload, n, masked);
}

static void make_message(struct chance *c, struct stream *st, bool masked, bool deflate)
{
    uint8_t payload[700], first = (uint8_t)(chance_one_in(c, 4) ? WS_BINARY : WS_TEXT);
    size_t n = make_text(c, payload, chance_one_in(c, 6) ? sizeof(payload) : 30), from = 0;
    bool last;

    if (deflate && chance_one_in(c, 2))
        first |= 0x40;
    do {
        size_t to = chance_one_in(c, 2) ? n : from + chance_below(c, n - from + 1);
        last = to == n && !chance_one_in(c, 5);
        put_frame(c, st, last ? 0x80 | first : first, payload + from, to - from, masked);
        if (!last && chance_one_in(c, 3))
            make_control(c, st, masked);
        from = to;
        first = WS_CONTINUATION;
    } while (!last);
}

static void mutate_head(struct chance *c, struct stream *st)
{
    size_t head = st->heads[chance_below(c, st->n_heads)];
    uint8_t *p = st->p + head;

    switch (chance_below(c, 6)) {
    case 0:
        p[0] ^= (uint8_t)(1 << chance_below(c, 8));
        break;
    case 1:
        p[0] = (uint8_t)((p[0] & 0xf0) | chance_below(c, 16));
        break;
    case 2:
        p[1] ^= (uint8_t)(1 << chance_below(c, 8));
        break;
    case 3:
        p[1] = (uint8_t)((p[1] & 0x80) | (126 + chance_below(c, 2)));
        break;
    case 4:
        p[1] = (uint8_t)((p[1] & 0x80) | 127);
        memset(p + 2, 0, 7);
        break;
    default:
        p[chance_below(c, 10)] = (uint8_t)chance_next(c);
        break;
    }
}

static void mutate_anywhere(struct chance *c, struct stream *st)
{
    size_t at = chance_below(c, st->n);

    switch (chance_below(c, 4)) {
    case 0:
        st->p[at] = (uint8_t)chance_next(c);
        break;
    case 1:
        st->p[at] ^= (uint8_t)(1 << chance_below(c, 8));
        break;
    case 2:                              /* a byte less: everything behind it is misread */
        memmove(st->p + at, st->p + at + 1, st->n - at - 1);
        st->n--;
        break;
    default:
        st->n = at;
        break;
    }
}

static void make_stream(struct chance *c, struct stream *st, const struct ws_scan_rules *rules)
{
    memset(st, 0, sizeof(*st));
    if (chance_one_in(c, 50)) {
        for (st->n = chance_below(c, 60); st->n > 0 && st->n_heads < st->n; st->n_heads++)
            st->p[st->n_heads] = (uint8_t)chance_next(c);
        return;
    }
    for (size_t parts = 1 + chance_below(c, 4); parts > 0; parts--) {
        if (chance_one_in(c, 3))
            make_control(c, st, rules->from_client);
        else
            make_message(c, st, rules->from_client, rules->deflate);
    }
    while (chance_one_in(c, 2) && st->n > 0) {
        if (chance_one_in(c, 3))
            mutate_anywhere(c, st);
        else
            mutate_head(c, st);
    }
}

/* ---- what ws_scan sees ---- */

struct seen {
    struct split_log log;                /* each message with its opcode and length, each control frame with its payload */
    unsigned code;                       /* the Close that the fault asks for; 0: none */
    enum fault fault;                    /* ours only */
    bool closed;                         /* a lawful Close came */
    unsigned close_code;
};

static void log_control(struct seen *seen, uint8_t opcode, const uint8_t *payload, size_t n)
{
    split_write(&seen->log, " %u:", opcode);
    for (size_t i = 0; i < n; i++)
        split_write(&seen->log, "%02x", payload[i]);
}

/* What was open before and is not now, is a message that has passed. */
static void log_message(struct seen *seen, const struct ws_scan *s, uint64_t *messages, uint64_t *bytes)
{
    if (s->counts.messages == *messages)
        return;
    assert_true(s->counts.messages == *messages + 1);
    split_write(&seen->log, " m%llu", (unsigned long long)(s->counts.payload_bytes - *bytes));
    *messages = s->counts.messages;
    *bytes = s->counts.payload_bytes;
}

static void note_control(struct seen *seen, struct ws_scan *s, const struct ws_control *control, bool log)
{
    if (log)
        log_control(seen, control->opcode, control->payload, control->payload_bytes);
    if (control->opcode == WS_CLOSE) {
        seen->closed = true;
        seen->close_code = control->close_code;
    }
    ws_scan_control_done(s);
}

/* In pieces of 1 to `most` bytes; with pieces of one byte every message is seen alone and goes into the log. Answers how many bytes
 * were there when the fault showed. */
static size_t scan(struct chance *c, const struct stream *st, const struct ws_scan_rules *rules, size_t most, struct seen *seen,
                   struct ws_scan *s)
{
    size_t done = 0, there = 0, passed;
    uint64_t messages = 0, bytes = 0;
    enum ws_scan_verdict verdict = WS_SCAN_MORE;
    struct ws_control control;

    seen->log.n = 0;
    seen->log.text[0] = '\0';
    seen->closed = false;
    ws_scan_init(s, rules);
    while (there < st->n && verdict != WS_SCAN_FAULT) {
        size_t piece = most == 1 ? 1 : 1 + chance_below(c, most);
        there = piece < st->n - there ? there + piece : st->n;
        do {
            verdict = ws_scan_feed(s, st->p + done, there - done, &passed, &control);
            done += passed;
            if (most == 1)
                log_message(seen, s, &messages, &bytes);
            if (verdict == WS_SCAN_CONTROL) {
                done += control.frame_bytes;
                note_control(seen, s, &control, most == 1);
            }
        } while (verdict == WS_SCAN_CONTROL);
    }
    seen->fault = s->fault;
    seen->code = s->fault == FAULT_WS_AFTER_CLOSE ? 0 : fault_close_code(s->fault);
    return there;
}

/* ---- what wslay sees ---- */

struct oracle {
    const uint8_t *p;
    size_t n, at;
    struct seen *seen;
    uint8_t sent[256];
    size_t sent_n;
};

static ssize_t oracle_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t n, int flags, void *user_data)
{
    struct oracle *o = user_data;

    (void)flags;
    if (o->at == o->n) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    n = n < o->n - o->at ? n : o->n - o->at;
    memcpy(buf, o->p + o->at, n);
    o->at += n;
    return (ssize_t)n;
}

static ssize_t oracle_send(wslay_event_context_ptr ctx, const uint8_t *p, size_t n, int flags, void *user_data)
{
    struct oracle *o = user_data;

    (void)ctx, (void)flags;
    n = n < sizeof(o->sent) - o->sent_n ? n : sizeof(o->sent) - o->sent_n;
    memcpy(o->sent + o->sent_n, p, n);
    o->sent_n += n;
    return (ssize_t)n;
}

static int oracle_mask(wslay_event_context_ptr ctx, uint8_t *buf, size_t n, void *user_data)
{
    (void)ctx, (void)user_data;
    memset(buf, 0, n);
    return 0;
}

static void oracle_message(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg, void *user_data)
{
    struct oracle *o = user_data;

    (void)ctx;
    if (wslay_is_ctrl_frame(arg->opcode))
        log_control(o->seen, arg->opcode, arg->msg, arg->msg_length);
    else
        split_write(&o->seen->log, " m%zu", arg->msg_length);
}

/* The code of the Close that wslay wants to send; a frame that its lower layer refuses gives an empty one. */
static unsigned oracle_code(wslay_event_context_ptr ctx, struct oracle *o, bool masks)
{
    size_t head = masks ? 6 : 2;

    o->sent_n = 0;
    wslay_event_send(ctx);
    assert_true(o->sent_n >= head && o->sent[0] == (0x80 | WS_CLOSE));
    return o->sent_n >= head + 2 ? (unsigned)o->sent[head] << 8 | o->sent[head + 1] : 1002;
}

static void ask_wslay(const struct stream *st, size_t n, const struct ws_scan_rules *rules, size_t zeros, struct seen *seen)
{
    const struct wslay_event_callbacks callbacks = { .recv_callback = oracle_recv, .send_callback = oracle_send,
                                                     .genmask_callback = oracle_mask, .on_msg_recv_callback = oracle_message };
    struct oracle o = { .p = st->p, .n = n, .seen = seen };
    wslay_event_context_ptr ctx;
    int failed;

    seen->log.n = 0;
    seen->log.text[0] = '\0';
    failed = rules->from_client ? wslay_event_context_server_init(&ctx, &callbacks, &o)
                                : wslay_event_context_client_init(&ctx, &callbacks, &o);
    assert_int_equal(failed, 0);
    if (rules->deflate)
        wslay_event_config_set_allowed_rsv_bits(ctx, WSLAY_RSV1_BIT);
    wslay_event_config_set_max_recv_msg_length(ctx, rules->max_message);
    wslay_event_recv(ctx);
    if (wslay_event_get_read_enabled(ctx) && zeros > 0) {
        o.n = n + zeros;
        wslay_event_recv(ctx);
    }
    seen->closed = wslay_event_get_close_received(ctx);
    seen->code = seen->closed || wslay_event_get_read_enabled(ctx) ? 0 : oracle_code(ctx, &o, !rules->from_client);
    wslay_event_context_free(ctx);
}

/* ---- comparing ---- */

static bool is_late_close_code(unsigned code)
{
    return code >= 1012 && code <= 1014;
}

static bool agree(const struct seen *ours, const struct seen *theirs, enum ws_verify verify)
{
    bool same_log = strcmp(ours->log.text, theirs->log.text) == 0;

    if (theirs->code == 1007 && verify == WS_VERIFY_FRAMES)
        return strncmp(ours->log.text, theirs->log.text, theirs->log.n) == 0;
    if (ours->closed && is_late_close_code(ours->close_code))
        return theirs->code == 1002 && strncmp(ours->log.text, theirs->log.text, theirs->log.n) == 0;
    if (ours->fault == FAULT_WS_CLOSE_PAYLOAD)
        return theirs->closed && strncmp(ours->log.text, theirs->log.text, ours->log.n) == 0;
    if (ours->fault == FAULT_WS_CLOSE_CODE)
        return (theirs->code == 1002 || theirs->code == 1007) && same_log;
    return ours->code == theirs->code && ours->closed == theirs->closed && same_log;
}

static void print_stream(const struct stream *st, const struct ws_scan_rules *rules)
{
    printf("from %s, %s, deflate %d, max %llu:", rules->from_client ? "client" : "server",
           rules->verify == WS_VERIFY_UTF8 ? "utf8" : "frames", rules->deflate, (unsigned long long)rules->max_message);
    for (size_t i = 0; i < st->n; i++)
        printf(" %02x", st->p[i]);
    printf("\n");
}

static void compare(struct chance *c, struct stream *st, const struct ws_scan_rules *rules)
{
    static struct seen ours, again, theirs;
    struct ws_scan bytewise, in_pieces;
    size_t there = scan(c, st, rules, 1, &ours, &bytewise), zeros;
    bool same;

    scan(c, st, rules, 1 + chance_below(c, chance_one_in(c, 2) ? 10 : 300), &again, &in_pieces);
    same = ours.fault == again.fault && ours.closed == again.closed
        && (ours.fault != FAULT_NONE || memcmp(&bytewise.counts, &in_pieces.counts, sizeof(bytewise.counts)) == 0);
    /* not before ws_scan does, wslay finds a fault */
    if (ours.fault != FAULT_NONE && ours.fault != FAULT_WS_AFTER_CLOSE && chance_one_in(c, 4)) {
        ask_wslay(st, there - 1, rules, 0, &theirs);
        same = same && (theirs.code == 0 || (theirs.code == 1007 && rules->verify == WS_VERIFY_FRAMES));
    }
    zeros = ours.fault != FAULT_NONE ? ZEROS_BYTES : 0;
    memset(st->p + there, 0, zeros);
    ask_wslay(st, there, rules, zeros, &theirs);
    if (same && agree(&ours, &theirs, rules->verify))
        return;
    print_stream(st, rules);
    fail_msg("ws_scan: %s, in pieces %s,%s; wslay: %u%s,%s", fault_word(ours.fault), fault_word(again.fault), ours.log.text,
             theirs.code, theirs.closed ? " closed" : "", theirs.log.text);
}

static void streams(void **state)
{
    static struct stream st;
    struct chance c = chance_seeded("ws_scan against wslay");
    unsigned long long rounds = chance_setting("UPGATE_DIFFERENTIAL", 100000), faults[FAULT_COUNT] = { 0 };
    struct seen *ours = calloc(1, sizeof(*ours));
    struct ws_scan s;

    (void)state;
    for (unsigned long long i = 0; i < rounds; i++) {
        struct ws_scan_rules rules = { .from_client = chance_one_in(&c, 2), .deflate = chance_one_in(&c, 3),
                                       .verify = chance_one_in(&c, 5) ? WS_VERIFY_FRAMES : WS_VERIFY_UTF8,
                                       .max_message = chance_one_in(&c, 4) ? 125 + chance_below(&c, 300) : 100000 };
        make_stream(&c, &st, &rules);
        compare(&c, &st, &rules);
        if (i % 16 == 0) {
            scan(&c, &st, &rules, 1000, ours, &s);
            faults[s.fault]++;
        }
    }
    printf("%llu streams agree; of every sixteenth:", rounds);
    for (unsigned f = 0; f < FAULT_COUNT; f++)
        if (faults[f] > 0)
            printf(" %s %llu", fault_word((enum fault)f), faults[f]);
    printf("\n");
    free(ours);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
