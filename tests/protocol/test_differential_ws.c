/* ws_scan against wslay's event layer: random, mutated and garbage streams, on which both have to agree (ws_oracle.h says in
 * what, and where they are known not to).
 *
 * 200,000 streams by default; UPGATE_DIFFERENTIAL=N for more, UPGATE_SEED=N to repeat. */
#include "tests/protocol/ws_oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define STREAM_BYTES 2000

struct stream {
    uint8_t p[STREAM_BYTES];
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
    static const char *const good[] = { "a",  "\xc3\xa9", "\xe2\x82\xac", "\xed\x9f\xbf", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf",
                                        "xyz" };
    static const char *const bad[] = { "\xff",     "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                       "\xe2\x82", "\x80",     "\xf0\x9f",     "\xe0\x80" };
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
    static const uint16_t codes[] = { 1000, 1001, 1003, 1004, 1005, 1006, 1007, 1011, 1012,
                                      1014, 1015, 1016, 2999, 3000, 4999, 5000, 0 };
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

    if (head > STREAM_BYTES - 16)
        return;
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

static void make_garbage(struct chance *c, struct stream *st)
{
    st->n = chance_below(c, 60);
    for (size_t i = 0; i < st->n; i++)
        st->p[i] = (uint8_t)chance_next(c);
}

static void make_stream(struct chance *c, struct stream *st, const struct ws_scan_rules *rules)
{
    memset(st, 0, sizeof(*st));
    if (chance_one_in(c, 50)) {
        make_garbage(c, st);
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

static void print_stream(const struct stream *st, const struct ws_scan_rules *rules)
{
    printf("from %s, %s, deflate %d, max %llu:", rules->from_client ? "client" : "server",
           rules->verify == WS_VERIFY_UTF8 ? "utf8" : "frames", rules->deflate, (unsigned long long)rules->max_message);
    for (size_t i = 0; i < st->n; i++)
        printf(" %02x", st->p[i]);
    printf("\n");
}

static void compare(struct chance *c, const struct stream *st, const struct ws_scan_rules *rules)
{
    static struct oracle_seen ours, again, theirs;
    struct ws_scan bytewise, in_pieces;
    size_t there = oracle_scan(c, span_of(st->p, st->n), rules, 1, &ours, &bytewise);
    bool same;

    oracle_scan(c, span_of(st->p, st->n), rules, 1 + chance_below(c, chance_one_in(c, 2) ? 10 : 300), &again, &in_pieces);
    same = ours.fault == again.fault && ours.closed == again.closed
        && (ours.fault != FAULT_NONE || memcmp(&bytewise.counts, &in_pieces.counts, sizeof(bytewise.counts)) == 0);
    /* not before ws_scan does, wslay finds a fault */
    if (ours.fault != FAULT_NONE && ours.fault != FAULT_WS_AFTER_CLOSE && chance_one_in(c, 4)) {
        oracle_ask(span_of(st->p, there - 1), rules, 0, &theirs);
        same = same && (theirs.code == 0 || (theirs.code == 1007 && rules->verify == WS_VERIFY_FRAMES));
    }
    oracle_ask(span_of(st->p, there), rules, ours.fault != FAULT_NONE ? ORACLE_ZEROS_BYTES : 0, &theirs);
    if (same && oracle_agrees(&ours, &theirs, rules->verify))
        return;
    print_stream(st, rules);
    fail_msg("ws_scan: %s, in pieces %s,%s; wslay: %u%s,%s", fault_word(ours.fault), fault_word(again.fault), ours.log.text,
             theirs.code, theirs.closed ? " closed" : "", theirs.log.text);
}

static void streams(void **state)
{
    static struct stream st;
    struct chance c = chance_seeded("ws_scan against wslay");
    unsigned long long rounds = chance_rounds(200000), faults[FAULT_COUNT] = { 0 };
    struct oracle_seen *ours = calloc(1, sizeof(*ours));
    struct ws_scan s;

    (void)state;
    for (unsigned long long i = 0; i < rounds; i++) {
        struct ws_scan_rules rules = { .from_client = chance_one_in(&c, 2), .deflate = chance_one_in(&c, 3),
                                       .verify = chance_one_in(&c, 5) ? WS_VERIFY_FRAMES : WS_VERIFY_UTF8,
                                       .max_message = chance_one_in(&c, 4) ? 125 + chance_below(&c, 300) : 100000 };
        make_stream(&c, &st, &rules);
        compare(&c, &st, &rules);
        if (i % 16 == 0) {
            oracle_scan(&c, span_of(st.p, st.n), &rules, 1000, ours, &s);
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
