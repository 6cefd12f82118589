/* The scanner, frame by frame: each row is a stream and the byte that is its fault, if it has one. Every row runs masked and
 * unmasked, whole, at every cut, at every pair of cuts and byte by byte, against the model in ws_stream.h: where passing may
 * stop, boundaries and counts have to be exact at each step, and the fault has to show at its byte and not before. */
#include "tests/protocol/chance.h"
#include "tests/protocol/ws_stream.h"

#define FIN 0x80
#define RSV1 0x40
#define RSV2 0x20
#define RSV3 0x10

struct row_frame {
    uint8_t first;
    const char *payload;
    size_t n;
    uint64_t announced;                  /* when not 0: more than there is */
};
#define FRAME(first, payload) { (first), (payload), sizeof(payload) - 1, 0 }
#define PART(first, payload, announced) { (first), (payload), sizeof(payload) - 1, (announced) }

struct row {
    const char *name;
    struct row_frame frames[8];
    const char *log;                     /* control frames (without their offsets: rows with one direction only), and the end */
    enum fault fault;
    unsigned frame;                      /* the fault: in this frame, */
    int byte;                            /* at this byte of its payload, or, below 0, HEAD(its header's byte) */
    struct ws_scan_rules rules;
};
#define HEAD(byte) (-1 - (byte))

enum { BOTH_LEVELS = -1 };

static void lay(struct ws_stream *st, const struct row *row, bool from_client, enum ws_verify verify)
{
    struct ws_scan_rules rules = row->rules;

    rules.from_client = from_client;
    rules.verify = verify;
    ws_stream_begin(st, &rules);
    for (unsigned i = 0; i < 8 && row->frames[i].payload != NULL; i++) {
        const struct row_frame *f = &row->frames[i];
        size_t start = st->n;
        if (f->announced > 0)
            ws_stream_data(st, f->first, span_of(f->payload, f->n), f->announced);
        else
            ws_stream_frame(st, f->first, span_of(f->payload, f->n));
        if (row->fault != FAULT_NONE && row->frame == i)
            st->fault_at = row->byte < 0 ? start + (size_t)(-1 - row->byte) : st->payload_at + (size_t)row->byte;
    }
}

static void run_row(const struct row *row, enum ws_verify verify)
{
    static struct ws_stream st;

    for (int from_client = 0; from_client <= 1; from_client++) {
        lay(&st, row, from_client, verify);
        ws_stream_expect(&st, row->name, row->log != NULL ? row->log : fault_word(row->fault));
    }
}

static void run_rows(const struct row *rows, size_t n, int verify)
{
    for (size_t i = 0; i < n; i++) {
        if (verify == BOTH_LEVELS || verify == WS_VERIFY_FRAMES)
            run_row(&rows[i], WS_VERIFY_FRAMES);
        if (verify == BOTH_LEVELS || verify == WS_VERIFY_UTF8)
            run_row(&rows[i], WS_VERIFY_UTF8);
    }
}
#define RUN(rows, verify) run_rows(rows, sizeof(rows) / sizeof((rows)[0]), verify)

static void lawful_streams(void **state)
{
    static const struct row rows[] = {
        { .name = "nothing" },
        { .name = "text", .frames = { FRAME(FIN | WS_TEXT, "hello") } },
        { .name = "empty text", .frames = { FRAME(FIN | WS_TEXT, "") } },
        { .name = "two", .frames = { FRAME(FIN | WS_BINARY, "\x00\xff"), FRAME(FIN | WS_TEXT, "x") } },
        { .name = "fragments",
          .frames = { FRAME(WS_TEXT, "he"), FRAME(WS_CONTINUATION, "ll"), FRAME(FIN | WS_CONTINUATION, "o") } },
        { .name = "empty fragments",
          .frames = { FRAME(WS_BINARY, ""), FRAME(WS_CONTINUATION, ""), FRAME(FIN | WS_CONTINUATION, ""),
                      FRAME(FIN | WS_TEXT, "a") } },
        { .name = "126 bytes",
          .frames = { FRAME(FIN | WS_BINARY, "0123456789012345678901234567890123456789012345678901234567890123"
                                             "45678901234567890123456789012345678901234567890123456789012345") } },
        { .name = "a frame that goes on", .frames = { PART(FIN | WS_BINARY, "abc", 70000) } },
        { .name = "the longest frame", .frames = { PART(FIN | WS_BINARY, "abc", INT64_MAX) } },
        { .name = "whole code points", .frames = { FRAME(FIN | WS_TEXT, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z") } },
        { .name = "a frame of open text", .frames = { PART(FIN | WS_TEXT, "ab\xf0\x9f\x98", 6) } },
    };

    (void)state;
    RUN(rows, BOTH_LEVELS);
}

static void first_bytes(void **state)
{
    static const struct row rows[] = {
        { .name = "opcode 3", .frames = { FRAME(FIN | 3, "") }, .fault = FAULT_WS_OPCODE, .byte = HEAD(0) },
        { .name = "opcode 7", .frames = { FRAME(FIN | 7, "") }, .fault = FAULT_WS_OPCODE, .byte = HEAD(0) },
        { .name = "opcode 11", .frames = { FRAME(FIN | 11, "") }, .fault = FAULT_WS_OPCODE, .byte = HEAD(0) },
        { .name = "opcode 15 behind a text", .frames = { FRAME(FIN | WS_TEXT, "a"), FRAME(FIN | 15, "") },
          .fault = FAULT_WS_OPCODE, .frame = 1, .byte = HEAD(0) },
        { .name = "rsv1", .frames = { FRAME(FIN | RSV1 | WS_TEXT, "a") }, .fault = FAULT_WS_RSV, .byte = HEAD(0) },
        { .name = "rsv2", .frames = { FRAME(FIN | RSV2 | WS_TEXT, "a") }, .fault = FAULT_WS_RSV, .byte = HEAD(0) },
        { .name = "rsv3", .frames = { FRAME(FIN | RSV3 | WS_PING, "a") }, .fault = FAULT_WS_RSV, .byte = HEAD(0) },
        { .name = "a ping in pieces", .frames = { FRAME(WS_PING, "a") }, .fault = FAULT_WS_CONTROL_FRAGMENT, .byte = HEAD(0) },
        { .name = "a close in pieces", .frames = { FRAME(WS_CLOSE, "") }, .fault = FAULT_WS_CONTROL_FRAGMENT, .byte = HEAD(0) },
        { .name = "an orphan", .frames = { FRAME(FIN | WS_CONTINUATION, "a") }, .fault = FAULT_WS_CONTINUATION, .byte = HEAD(0) },
        { .name = "an orphan behind a message", .frames = { FRAME(FIN | WS_TEXT, "a"), FRAME(WS_CONTINUATION, "a") },
          .fault = FAULT_WS_CONTINUATION, .frame = 1, .byte = HEAD(0) },
        { .name = "text inside binary", .frames = { FRAME(WS_BINARY, "a"), FRAME(FIN | WS_TEXT, "a") },
          .fault = FAULT_WS_INTERLEAVED, .frame = 1, .byte = HEAD(0) },
        { .name = "binary inside an empty text", .frames = { FRAME(WS_TEXT, ""), FRAME(FIN | WS_BINARY, "a") },
          .fault = FAULT_WS_INTERLEAVED, .frame = 1, .byte = HEAD(0) },
    };

    (void)state;
    RUN(rows, BOTH_LEVELS);
}

static void control_lengths(void **state)
{
    static const struct row rows[] = {
        { .name = "a long ping", .frames = { PART(FIN | WS_PING, "a", 126) }, .fault = FAULT_WS_CONTROL_LENGTH, .byte = HEAD(1) },
        { .name = "a longer pong",
          .frames = { PART(FIN | WS_PONG, "a", 65536) },
          .fault = FAULT_WS_CONTROL_LENGTH,
          .byte = HEAD(1) },
        { .name = "a close of one byte",
          .frames = { FRAME(FIN | WS_CLOSE, "\x03") },
          .fault = FAULT_WS_CLOSE_PAYLOAD,
          .byte = HEAD(1) },
    };

    (void)state;
    RUN(rows, BOTH_LEVELS);
}

/* Masked where it must not be, and the other way round: seen at the second byte. */
static void mask_direction(void **state)
{
    static struct ws_stream st;

    (void)state;
    for (int from_client = 0; from_client <= 1; from_client++) {
        struct ws_scan_rules rules = { .from_client = !from_client };
        ws_stream_begin(&st, &rules);
        ws_stream_frame(&st, FIN | WS_TEXT, SPAN_LITERAL("hello"));
        st.rules.from_client = from_client;
        st.fault_at = 1;
        ws_stream_expect(&st, "the wrong side", from_client ? "ws_unmasked" : "ws_masked");
    }
}

/* Lengths in a longer form than needed, and the top bit: at the byte that shows it. */
static void lengths(void **state)
{
    static const struct { uint64_t length; unsigned form; size_t fault_at; } cases[] = {
        { 125, 2, 3 }, { 0, 2, 3 }, { 125, 8, 9 }, { 65535, 8, 9 }, { UINT64_C(1) << 63, 8, 2 }, { UINT64_MAX, 8, 2 },
    };
    static struct ws_stream st;
    uint8_t mask[4];

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        struct ws_scan_rules rules = { .from_client = i % 2 };
        ws_stream_begin(&st, &rules);
        ws_stream_frame(&st, FIN | WS_TEXT, SPAN_LITERAL("a"));
        st.fault_at = st.n + cases[i / 2].fault_at;
        ws_stream_head(&st, FIN | WS_BINARY, cases[i / 2].length, cases[i / 2].form, mask);
        ws_stream_expect(&st, "a length", "ws_length");
    }
}

static void control_frames(void **state)
{
    static const struct row rows[] = {
        { .name = "between messages",
          .frames = { FRAME(FIN | WS_PING, "p"), FRAME(FIN | WS_TEXT, "a"), FRAME(FIN | WS_PONG, "") } },
        { .name = "between fragments",
          .frames = { FRAME(WS_TEXT, "he"), FRAME(FIN | WS_PING, "123"), FRAME(FIN | WS_PONG, "x"),
                      FRAME(FIN | WS_CONTINUATION, "llo") } },
        { .name = "inside an open code point",
          .frames = { FRAME(WS_TEXT, "a\xe2"), FRAME(FIN | WS_PING, "1"), FRAME(WS_CONTINUATION, "\x82"),
                      FRAME(FIN | WS_PING, "2"), FRAME(FIN | WS_CONTINUATION, "\xac") } },
        { .name = "the longest",
          .frames = { FRAME(FIN | WS_PING, "0123456789012345678901234567890123456789012345678901234567890"
                                           "1234567890123456789012345678901234567890123456789012345678901234") } },
    };
    static struct ws_stream st;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (int k = 0; k < 4; k++) {
            lay(&st, &rows[i], k % 2, k / 2 ? WS_VERIFY_UTF8 : WS_VERIFY_FRAMES);
            ws_stream_expect(&st, rows[i].name, NULL);
        }
    /* and what is delivered of them */
    lay(&st, &rows[1], true, WS_VERIFY_UTF8);
    ws_stream_expect(&st, rows[1].name, "ping@8(123) pong@17(x) none");
    lay(&st, &rows[2], false, WS_VERIFY_UTF8);
    ws_stream_expect(&st, rows[2].name, "ping@4(1) ping@10(2) none");
}

static void close_frames(void **state)
{
    static const struct row rows[] = {
        { .name = "empty", .frames = { FRAME(FIN | WS_CLOSE, "") }, .log = "close@0=0() none" },
        { .name = "1000", .frames = { FRAME(FIN | WS_CLOSE, "\x03\xe8") }, .log = "close@0=1000() none" },
        { .name = "1012 bye",
          .frames = { FRAME(FIN | WS_CLOSE, "\x03\xf4"
                                            "bye") },
          .log = "close@0=1012(bye) none" },
        { .name = "4999 in Greek",
          .frames = { FRAME(FIN | WS_CLOSE, "\x13\x87\xce\xba") },
          .log = "close@0=4999(\\ce\\ba) none" },
        { .name = "999", .frames = { FRAME(FIN | WS_CLOSE, "\x03\xe7") }, .fault = FAULT_WS_CLOSE_CODE, .byte = 1 },
        { .name = "1005 because",
          .frames = { FRAME(FIN | WS_CLOSE, "\x03\xed because") },
          .fault = FAULT_WS_CLOSE_CODE,
          .byte = 1 },
        { .name = "65535", .frames = { FRAME(FIN | WS_CLOSE, "\xff\xff") }, .fault = FAULT_WS_CLOSE_CODE, .byte = 1 },
    };

    (void)state;
    RUN(rows, BOTH_LEVELS);
}

static void close_reasons(void **state)
{
    static const struct row unchecked[] = {
        { .name = "not UTF-8", .frames = { FRAME(FIN | WS_CLOSE, "\x03\xe8\xff") }, .log = "close@0=1000(\\ff) none" },
    };
    static const struct row rows[] = {
        { .name = "not UTF-8",
          .frames = { FRAME(FIN | WS_CLOSE, "\x03\xe8"
                                            "ab\xff"
                                            "cd") },
          .fault = FAULT_WS_CLOSE_TEXT,
          .byte = 4 },
        { .name = "surrogate",
          .frames = { FRAME(FIN | WS_CLOSE, "\x03\xe8\xed\xa0\x80") },
          .fault = FAULT_WS_CLOSE_TEXT,
          .byte = 3 },
        { .name = "unfinished",
          .frames = { FRAME(FIN | WS_CLOSE, "\x03\xe8"
                                            "a\xe2\x82") },
          .fault = FAULT_WS_CLOSE_TEXT,
          .byte = 4 },
    };

    (void)state;
    RUN(unchecked, WS_VERIFY_FRAMES);
    RUN(rows, WS_VERIFY_UTF8);
}

static void close_codes(void **state)
{
    (void)state;
    for (unsigned code = 0; code < 70000; code++)
        assert_int_equal(ws_close_code_lawful(code), code == 1000 || code == 1001 || code == 1002 || code == 1003 ||
                                                         code == 1007 || code == 1008 || code == 1009 || code == 1010 ||
                                                         code == 1011 || code == 1012 || code == 1013 || code == 1014 ||
                                                         (code > 2999 && code < 5000));
}

static void after_close(void **state)
{
    static const struct row rows[] = {
        { .name = "a text", .frames = { FRAME(FIN | WS_CLOSE, "\x03\xe8"), FRAME(FIN | WS_TEXT, "a") },
          .log = "close@0=1000() ws_after_close", .fault = FAULT_WS_AFTER_CLOSE, .frame = 1, .byte = HEAD(0) },
        { .name = "a second close", .frames = { FRAME(FIN | WS_CLOSE, ""), FRAME(FIN | WS_CLOSE, "") },
          .log = "close@0=0() ws_after_close", .fault = FAULT_WS_AFTER_CLOSE, .frame = 1, .byte = HEAD(0) },
    };

    (void)state;
    RUN(rows, BOTH_LEVELS);
}

static void bad_text(void **state)
{
    static const struct row rows[] = {
        { .name = "at once", .frames = { FRAME(FIN | WS_TEXT, "\xff") }, .fault = FAULT_WS_TEXT, .byte = 0 },
        { .name = "behind letters",
          .frames = { FRAME(FIN | WS_TEXT, "hello \xc0\xaf and more") },
          .fault = FAULT_WS_TEXT,
          .byte = 6 },
        { .name = "not a continuation", .frames = { FRAME(FIN | WS_TEXT, "a\xe2\x28\xa1") }, .fault = FAULT_WS_TEXT, .byte = 2 },
        { .name = "surrogate", .frames = { FRAME(FIN | WS_TEXT, "\xed\xa0\x80") }, .fault = FAULT_WS_TEXT, .byte = 1 },
        { .name = "past the last plane",
          .frames = { FRAME(FIN | WS_TEXT, "a\xf4\x90\x80\x80") },
          .fault = FAULT_WS_TEXT,
          .byte = 2 },
        { .name = "ends open", .frames = { FRAME(FIN | WS_TEXT, "a\xe2\x82") }, .fault = FAULT_WS_TEXT, .byte = 2 },
        { .name = "far into a long frame",
          .frames = { PART(FIN | WS_TEXT, "0123456789012345678901234567890123456789\xe2\x82\x20", 70000) },
          .fault = FAULT_WS_TEXT,
          .byte = 42 },
        { .name = "in the second message",
          .frames = { FRAME(FIN | WS_TEXT, "\xc3\xa9"), FRAME(FIN | WS_TEXT, "\xc3") },
          .fault = FAULT_WS_TEXT,
          .frame = 1,
          .byte = 0 },
        { .name = "in the second fragment",
          .frames = { FRAME(WS_TEXT, "\xc3\xa9"), FRAME(FIN | WS_CONTINUATION, "b\x80") },
          .fault = FAULT_WS_TEXT,
          .frame = 1,
          .byte = 1 },
        { .name = "open over the border",
          .frames = { FRAME(WS_TEXT, "a\xe2\x82"), FRAME(FIN | WS_CONTINUATION, "\x28") },
          .fault = FAULT_WS_TEXT,
          .frame = 1,
          .byte = 0 },
        { .name = "open over two borders",
          .frames = { FRAME(WS_TEXT, "\xf0"), FRAME(WS_CONTINUATION, "\x9f"), FRAME(WS_CONTINUATION, "\x98"),
                      FRAME(WS_CONTINUATION, "\xc0") },
          .fault = FAULT_WS_TEXT,
          .frame = 3,
          .byte = 0 },
        { .name = "the second byte over the border",
          .frames = { FRAME(WS_TEXT, "\xe0"), FRAME(WS_CONTINUATION, "\x9f\xbf") },
          .fault = FAULT_WS_TEXT,
          .frame = 1,
          .byte = 0 },
        { .name = "ends open in a fragment",
          .frames = { FRAME(WS_TEXT, "a"), FRAME(FIN | WS_CONTINUATION, "b\xe2") },
          .fault = FAULT_WS_TEXT,
          .frame = 1,
          .byte = 1 },
        { .name = "an empty end to an open one",
          .frames = { FRAME(WS_TEXT, "a\xe2"), FRAME(FIN | WS_CONTINUATION, "") },
          .fault = FAULT_WS_TEXT,
          .frame = 1,
          .byte = HEAD(1) },
        { .name = "a bad header behind an open one",
          .frames = { FRAME(WS_TEXT, "a\xe2"), FRAME(FIN | WS_TEXT, "") },
          .fault = FAULT_WS_INTERLEAVED,
          .frame = 1,
          .byte = HEAD(0) },
    };

    (void)state;
    RUN(rows, WS_VERIFY_UTF8);
}

/* Autobahn's 6.4: a ping in between shows that the scanner has said "bad" by then, and not earlier. */
static void fail_fast(void **state)
{
    static const struct row rows[] = {
        { .name = "after a ping", .frames = { FRAME(WS_TEXT, "\xce\xba\xe1\xbd"), FRAME(FIN | WS_PING, "1"),
                                              FRAME(WS_CONTINUATION, "\xb9\xcf"), FRAME(FIN | WS_PING, "2"),
                                              FRAME(WS_CONTINUATION, "\x80\xf4\x90"), FRAME(FIN | WS_CONTINUATION, "\x80\x80") },
          .fault = FAULT_WS_TEXT, .frame = 4, .byte = 2, .log = "" },
    };
    static struct ws_stream st;

    (void)state;
    lay(&st, &rows[0], false, WS_VERIFY_UTF8);
    ws_stream_expect(&st, rows[0].name, "ping@6(1) ping@13(2) ws_text");
    lay(&st, &rows[0], true, WS_VERIFY_UTF8);
    ws_stream_expect(&st, rows[0].name, "ping@10(1) ping@25(2) ws_text");
}

/* Code points over fragments, with what may stand in between. */
static void open_text(void **state)
{
    static const struct row rows[] = {
        { .name = "a byte each",
          .frames = { FRAME(WS_TEXT, "\xf0"), FRAME(WS_CONTINUATION, "\x9f"), FRAME(WS_CONTINUATION, "\x98"),
                      FRAME(FIN | WS_CONTINUATION, "\x80") } },
        { .name = "an empty fragment inside",
          .frames = { FRAME(WS_TEXT, "\xf0\x9f"), FRAME(WS_CONTINUATION, ""), FRAME(WS_CONTINUATION, ""),
                      FRAME(WS_CONTINUATION, "\x98"), FRAME(FIN | WS_CONTINUATION, "\x80z") } },
        { .name = "one ends, one begins",
          .frames = { FRAME(WS_TEXT, "\xe2\x82"), FRAME(WS_CONTINUATION, "\xac\xe2"), FRAME(WS_CONTINUATION, "\x82"),
                      FRAME(FIN | WS_CONTINUATION, "\xac") } },
        { .name = "open at the end", .frames = { FRAME(WS_TEXT, "ab\xe2\x82") } },
        { .name = "open over a border at the end", .frames = { FRAME(WS_TEXT, "ab\xf0"), FRAME(WS_CONTINUATION, "\x9f") } },
        { .name = "an open one, then a long fragment",
          .frames = { FRAME(WS_TEXT, "\xf0"), FRAME(WS_CONTINUATION, "\x9f"), FRAME(WS_CONTINUATION, "\x98"),
                      PART(FIN | WS_CONTINUATION, "\x80zz", 65536) } },
        { .name = "a long code point that never ends", .frames = { PART(FIN | WS_TEXT, "\xf0\x9f\x98", 65536) } },
        { .name = "bytes that are no text", .frames = { FRAME(WS_BINARY, "\xe2"), FRAME(FIN | WS_CONTINUATION, "\x28") } },
    };

    (void)state;
    RUN(rows, BOTH_LEVELS);
}

static void unchecked_text(void **state)
{
    static const struct row rows[] = {
        { .name = "bad", .frames = { FRAME(WS_TEXT, "\xff\xfe"), FRAME(FIN | WS_CONTINUATION, "\xe2") } },
    };

    (void)state;
    RUN(rows, WS_VERIFY_FRAMES);
}

static void compressed(void **state)
{
#define DEFLATE .rules = { .deflate = true }
    static const struct row rows[] = {
        { .name = "a message", .frames = { FRAME(FIN | RSV1 | WS_TEXT, "\xff\x01\xe2") }, DEFLATE },
        { .name = "in fragments",
          .frames = { FRAME(RSV1 | WS_TEXT, "\xff"), FRAME(FIN | WS_PING, ""), FRAME(FIN | WS_CONTINUATION, "\xe2") },
          DEFLATE,
          .log = "" },
        { .name = "then a plain one",
          .frames = { FRAME(FIN | RSV1 | WS_BINARY, "\xff"), FRAME(FIN | WS_TEXT, "a\xc3\xa9") },
          DEFLATE },
        { .name = "rsv1 on a continuation",
          .frames = { FRAME(RSV1 | WS_TEXT, "\xff"), FRAME(FIN | RSV1 | WS_CONTINUATION, "") },
          DEFLATE,
          .fault = FAULT_WS_RSV,
          .frame = 1,
          .byte = HEAD(0) },
        { .name = "rsv1 on a ping",
          .frames = { FRAME(FIN | RSV1 | WS_PING, "") },
          DEFLATE,
          .fault = FAULT_WS_RSV,
          .byte = HEAD(0) },
        { .name = "rsv1 on a close",
          .frames = { FRAME(FIN | RSV1 | WS_CLOSE, "") },
          DEFLATE,
          .fault = FAULT_WS_RSV,
          .byte = HEAD(0) },
        { .name = "rsv1 and rsv2",
          .frames = { FRAME(FIN | RSV1 | RSV2 | WS_TEXT, "") },
          DEFLATE,
          .fault = FAULT_WS_RSV,
          .byte = HEAD(0) },
        { .name = "rsv3", .frames = { FRAME(FIN | RSV3 | WS_TEXT, "") }, DEFLATE, .fault = FAULT_WS_RSV, .byte = HEAD(0) },
    };
    static const struct row checked[] = {
        { .name = "a bad plain one behind",
          .frames = { FRAME(FIN | RSV1 | WS_TEXT, "\xff"), FRAME(FIN | WS_TEXT, "\xff") },
          DEFLATE,
          .fault = FAULT_WS_TEXT,
          .frame = 1,
          .byte = 0 },
    };
    static struct ws_stream st;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (int k = 0; k < 4; k++) {
            lay(&st, &rows[i], k % 2, k / 2 ? WS_VERIFY_UTF8 : WS_VERIFY_FRAMES);
            ws_stream_expect(&st, rows[i].name, rows[i].log == NULL ? fault_word(rows[i].fault) : NULL);
        }
    RUN(checked, WS_VERIFY_UTF8);
#undef DEFLATE
}

static void limits(void **state)
{
#define FRAME_LIMIT .rules = { .max_frame = 5 }
#define MESSAGE_LIMIT .rules = { .max_message = 5 }
#define FRAGMENT_LIMIT .rules = { .max_fragments = 2 }
    static const struct row rows[] = {
        { .name = "a frame at the limit",
          .frames = { FRAME(FIN | WS_BINARY, "12345"), FRAME(WS_BINARY, "12345"), FRAME(WS_CONTINUATION, "12345") },
          FRAME_LIMIT },
        { .name = "a frame past the limit",
          .frames = { FRAME(FIN | WS_TEXT, "123456") },
          FRAME_LIMIT,
          .fault = FAULT_WS_FRAME_TOO_LARGE,
          .byte = HEAD(1) },
        { .name = "a frame of 300",
          .frames = { PART(FIN | WS_TEXT, "", 300) },
          FRAME_LIMIT,
          .fault = FAULT_WS_FRAME_TOO_LARGE,
          .byte = HEAD(3) },
        { .name = "a huge frame",
          .frames = { PART(FIN | WS_TEXT, "", INT64_MAX) },
          FRAME_LIMIT,
          .fault = FAULT_WS_FRAME_TOO_LARGE,
          .byte = HEAD(9) },
        { .name = "a message at the limit",
          .frames = { FRAME(WS_BINARY, "12"), FRAME(FIN | WS_CONTINUATION, "345"), FRAME(FIN | WS_TEXT, "12345") },
          MESSAGE_LIMIT },
        { .name = "a message past the limit",
          .frames = { FRAME(WS_BINARY, "12"), FRAME(FIN | WS_CONTINUATION, "3456") },
          MESSAGE_LIMIT,
          .fault = FAULT_WS_MESSAGE_TOO_LARGE,
          .frame = 1,
          .byte = HEAD(1) },
        { .name = "lengths that overflow together",
          .frames = { FRAME(WS_BINARY, "12345"), PART(WS_CONTINUATION, "", INT64_MAX) },
          MESSAGE_LIMIT,
          .fault = FAULT_WS_MESSAGE_TOO_LARGE,
          .frame = 1,
          .byte = HEAD(9) },
        { .name = "fragments at the limit",
          .frames = { FRAME(WS_BINARY, ""), FRAME(FIN | WS_CONTINUATION, "3"), FRAME(FIN | WS_TEXT, "1") },
          FRAGMENT_LIMIT },
        { .name = "fragments past the limit",
          .frames = { FRAME(WS_BINARY, ""), FRAME(WS_CONTINUATION, ""), FRAME(FIN | WS_CONTINUATION, "") },
          FRAGMENT_LIMIT,
          .fault = FAULT_WS_TOO_MANY_FRAGMENTS,
          .frame = 2,
          .byte = HEAD(0) },
    };
    static struct ws_stream st;
    const struct row pings = { .name = "pings are not counted",
                               .frames = { FRAME(WS_BINARY, "123"), FRAME(FIN | WS_PING, "1234567"),
                                           FRAME(FIN | WS_PING, "1234567"), FRAME(FIN | WS_CONTINUATION, "45") },
                               .rules = { .max_frame = 5, .max_message = 5, .max_fragments = 2 } };

    (void)state;
    RUN(rows, BOTH_LEVELS);
    lay(&st, &pings, false, WS_VERIFY_UTF8);
    ws_stream_expect(&st, pings.name, "ping@5(1234567) ping@14(1234567) none");
#undef FRAME_LIMIT
#undef MESSAGE_LIMIT
#undef FRAGMENT_LIMIT
}

/* Messages of one frame that are all there are passed without a walk; what stands behind and between them is seen as ever. */
static void whole_messages(void **state)
{
#define LONG "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
    static const struct row text[] = {
        { .name = "whole ones and bad text", .frames = { FRAME(FIN | WS_TEXT, "a\xc3\xa9"), FRAME(FIN | WS_BINARY, "\xff"),
                                                         FRAME(FIN | WS_TEXT, "b\xff" "c") },
          .fault = FAULT_WS_TEXT, .frame = 2, .byte = 1 },
        { .name = "whole ones and text that ends too soon", .frames = { FRAME(FIN | WS_TEXT, LONG), FRAME(FIN | WS_TEXT, "caf\xc3") },
          .fault = FAULT_WS_TEXT, .frame = 1, .byte = 3 },
    };
    static const struct row both[] = {
        { .name = "in a row", .frames = { FRAME(FIN | WS_TEXT, "abcd"), FRAME(FIN | WS_BINARY, "\xff\xfe"), FRAME(FIN | WS_TEXT, ""),
                                          FRAME(FIN | WS_TEXT, LONG), FRAME(FIN | WS_BINARY, LONG) } },
        { .name = "with others between", .frames = { FRAME(FIN | WS_TEXT, "a"), FRAME(WS_TEXT, "\xc3"), FRAME(FIN | WS_CONTINUATION, "\xa9"),
                                                     FRAME(FIN | WS_BINARY, "b"), FRAME(WS_BINARY, ""), FRAME(FIN | WS_CONTINUATION, LONG),
                                                     FRAME(FIN | WS_TEXT, "c") } },
        { .name = "whole ones and RSV1", .frames = { FRAME(FIN | WS_TEXT, "abc"), FRAME(FIN | RSV1 | WS_TEXT, "abc") },
          .fault = FAULT_WS_RSV, .frame = 1, .byte = HEAD(0) },
        { .name = "whole ones and RSV2", .frames = { FRAME(FIN | WS_TEXT, "abc"), FRAME(FIN | RSV2 | WS_TEXT, "abc") },
          .fault = FAULT_WS_RSV, .frame = 1, .byte = HEAD(0), .rules = { .deflate = true } },
        { .name = "whole ones and compressed ones", .frames = { FRAME(FIN | WS_TEXT, "abc"), FRAME(FIN | RSV1 | WS_TEXT, "\xff\xff"),
                                                                FRAME(FIN | RSV1 | WS_BINARY, "x"), FRAME(FIN | WS_TEXT, "d") }, .rules = { .deflate = true } },
        { .name = "whole ones and one that is too long", .frames = { FRAME(FIN | WS_TEXT, "abc"), FRAME(FIN | WS_TEXT, "abcd") },
          .fault = FAULT_WS_FRAME_TOO_LARGE, .frame = 1, .byte = HEAD(1), .rules = { .max_frame = 3 } },
        { .name = "whole ones and a message that is too long", .frames = { FRAME(FIN | WS_BINARY, "abc"), FRAME(FIN | WS_BINARY, "abcd") },
          .fault = FAULT_WS_MESSAGE_TOO_LARGE, .frame = 1, .byte = HEAD(1), .rules = { .max_message = 3 } },
        { .name = "whole ones and a continuation of nothing", .frames = { FRAME(FIN | WS_BINARY, "abc"), FRAME(FIN | WS_CONTINUATION, "abcd") },
          .fault = FAULT_WS_CONTINUATION, .frame = 1, .byte = HEAD(0) },
    };
#undef LONG

    (void)state;
    RUN(text, WS_VERIFY_UTF8);
    RUN(both, BOTH_LEVELS);
}

/* Of a frame that is found faulty in the window in which it began, nothing passes. */
static void nothing_of_the_faulty_frame(void **state)
{
    static const uint8_t stream[] = "\x81\x01" "a" "\x81\x08" "good\xff" "bad";
    const struct ws_scan_rules rules = { .verify = WS_VERIFY_UTF8 };
    struct ws_control control;
    struct ws_scan s;
    size_t passed;

    (void)state;
    ws_scan_init(&s, &rules);
    assert_int_equal(ws_scan_feed(&s, stream, sizeof(stream) - 1, &passed, &control), WS_SCAN_FAULT);
    assert_int_equal(passed, 3);
    assert_true(ws_scan_at_boundary(&s));
    assert_int_equal(s.counts.frames, 1);
    assert_int_equal(ws_scan_feed(&s, stream, 3, &passed, &control), WS_SCAN_FAULT);
    assert_int_equal(passed, 0);
}

/* The first byte of one message too many is a fault, at every cut; fragments and control frames are no messages; the caller may allow more. */
static void messages_allowed(void **state)
{
    static const uint8_t stream[] = "\x81\x01" "a" "\x02\x01" "b" "\x89\x00" "\x80\x01" "c" "\x82\x01" "d" "\x81\x01" "e";
    const struct ws_scan_rules rules = { .verify = WS_VERIFY_UTF8, .rated = true };
    const size_t n = sizeof(stream) - 1;
    struct ws_control control;

    (void)state;
    for (size_t cut = 0; cut <= n; cut++) {
        struct ws_scan s;
        size_t at = 0, passed = 0;
        enum ws_scan_verdict verdict = WS_SCAN_MORE;
        ws_scan_init(&s, &rules);
        s.messages_allowed = 2;
        for (int piece = 0; piece < 2 && verdict != WS_SCAN_FAULT; piece++) {
            const size_t end = piece == 0 ? cut : n;
            do {
                verdict = ws_scan_feed(&s, stream + at, end - at, &passed, &control);
                at += passed;
                if (verdict == WS_SCAN_CONTROL) {
                    ws_scan_control_done(&s);
                    at += control.frame_bytes;
                }
            } while (verdict == WS_SCAN_CONTROL);
        }
        assert_int_equal(s.fault, FAULT_WS_RATE);
        assert_int_equal(at, 11);
        assert_true(ws_scan_at_boundary(&s));
        ws_scan_init(&s, &rules);
        s.messages_allowed = 2;
        assert_int_equal(ws_scan_feed(&s, stream, 8, &passed, &control), WS_SCAN_CONTROL);
        s.messages_allowed = 3;
        ws_scan_control_done(&s);
        assert_int_equal(ws_scan_feed(&s, stream + 8, n - 8, &passed, &control), WS_SCAN_FAULT);
        assert_int_equal(passed, 6);
        ws_scan_init(&s, &rules);
        s.counts.messages = UINT32_MAX;          /* what is allowed is counted modulo 2^32 */
        s.messages_allowed = 1;
        assert_int_equal(ws_scan_feed(&s, stream + 11, n - 11, &passed, &control), WS_SCAN_MORE);
        assert_int_equal(passed, 6);
        assert_int_equal(ws_scan_feed(&s, stream, 3, &passed, &control), WS_SCAN_FAULT);
    }
}

/* A control frame that was not done with comes again; a swallowed one counts. */
static void control_again(void **state)
{
    static const uint8_t stream[] = "\x89\x02" "hi" "\x8a\x00";
    const struct ws_scan_rules rules = { .verify = WS_VERIFY_FRAMES };
    struct ws_control control;
    struct ws_scan s;
    size_t passed;

    (void)state;
    ws_scan_init(&s, &rules);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ws_scan_feed(&s, stream, 6, &passed, &control), WS_SCAN_CONTROL);
        assert_int_equal(passed, 0);
        assert_int_equal(control.frame_bytes, 4);
        assert_int_equal(s.counts.frames, 0);
    }
    ws_scan_control_done(&s);
    assert_int_equal(ws_scan_feed(&s, stream + 4, 2, &passed, &control), WS_SCAN_CONTROL);
    assert_int_equal(control.opcode, WS_PONG);
    ws_scan_control_done(&s);
    assert_int_equal(s.counts.frames, 2);
    assert_int_equal(s.counts.pings, 1);
    assert_int_equal(s.counts.pongs, 1);
    assert_int_equal(ws_scan_feed(&s, stream + 6, 0, &passed, &control), WS_SCAN_MORE);
}

static void blind(void **state)
{
    const struct ws_scan_rules rules = { .verify = WS_VERIFY_BLIND, .max_frame = 1 };
    struct ws_control control;
    struct ws_scan s;
    size_t passed;

    (void)state;
    ws_scan_init(&s, &rules);
    assert_int_equal(ws_scan_feed(&s, (const uint8_t *)"\xff\xff\xff garbage", 11, &passed, &control), WS_SCAN_MORE);
    assert_int_equal(passed, 11);
    assert_false(ws_scan_at_boundary(&s));
    assert_int_equal(s.counts.frames, 0);
}

/* ---- random lawful streams, held to the model ---- */

static size_t random_payload(struct chance *c, bool text, uint8_t *out, size_t limit)
{
    static const char *const points[] = {
        "a", "b", "\xc3\xa9", "\xe2\x82\xac", "\xed\x9f\xbf", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"
    };
    size_t n = 0, want = chance_below(c, limit - 3);

    if (chance_one_in(c, 3))
        want = chance_below(c, 6);
    while (n < want) {
        const char *point = points[chance_below(c, chance_one_in(c, 2) ? 2 : 7)];
        for (const char *p = point; text && *p != '\0'; p++)
            out[n++] = (uint8_t)*p;
        if (!text)
            out[n++] = (uint8_t)chance_next(c);
    }
    return n;
}

static void random_controls(struct chance *c, struct ws_stream *st)
{
    uint8_t payload[WS_CONTROL_MAX_BYTES];
    size_t n;

    while (chance_one_in(c, 3)) {
        n = random_payload(c, false, payload, chance_one_in(c, 10) ? sizeof(payload) : 8);
        ws_stream_frame(st, (uint8_t)(FIN | (chance_one_in(c, 2) ? WS_PING : WS_PONG)), span_of(payload, n));
    }
}

/* One message, cut into fragments anywhere, control frames between them. */
static void random_message(struct chance *c, struct ws_stream *st)
{
    uint8_t payload[400];
    bool text = !chance_one_in(c, 4), squeezed = st->rules.deflate && chance_one_in(c, 2), last;
    size_t n = random_payload(c, text && !squeezed, payload, chance_one_in(c, 4) ? sizeof(payload) : 30), from = 0;
    uint8_t first = (uint8_t)((text ? WS_TEXT : WS_BINARY) | (squeezed ? RSV1 : 0));

    do {
        size_t to = chance_one_in(c, 3) ? n : from + chance_below(c, n - from + 1);
        last = to == n && !chance_one_in(c, 4);
        ws_stream_frame(st, last ? FIN | first : first, span_of(payload + from, to - from));
        if (!last)
            random_controls(c, st);
        from = to;
        first = WS_CONTINUATION;
    } while (!last);
}

/* As many arrivals as it takes, in pieces of random sizes. */
static void run_randomly(struct chance *c, struct ws_stream *st)
{
    static struct split_log log;
    struct split_arrival arrival = { .n = 2 };

    log.n = 0;
    arrival.stops[0] = chance_below(c, st->n + 1);
    arrival.stops[1] = arrival.stops[0] + chance_below(c, st->n - arrival.stops[0] + 1);
    if (chance_one_in(c, 2))
        arrival.step = 1 + chance_below(c, chance_one_in(c, 2) ? 5 : 200);
    ws_stream_run(st, span_of(st->p, st->n), &arrival, &log);
}

static void random_lawful(void **state)
{
    static struct ws_stream st;
    struct chance c = chance_seeded("ws_scan lawful");
    unsigned long long rounds = chance_rounds(20000);

    (void)state;
    for (unsigned long long i = 0; i < rounds; i++) {
        struct ws_scan_rules rules = { .from_client = chance_one_in(&c, 2), .deflate = chance_one_in(&c, 4),
                                       .verify = chance_one_in(&c, 4) ? WS_VERIFY_FRAMES : WS_VERIFY_UTF8 };
        ws_stream_begin(&st, &rules);
        for (size_t messages = 1 + chance_below(&c, 4); messages > 0 && st.n < WS_STREAM_BYTES - 1500; messages--) {
            random_controls(&c, &st);
            random_message(&c, &st);
        }
        st.n = chance_one_in(&c, 2) ? st.n : chance_below(&c, st.n + 1);
        run_randomly(&c, &st);
    }
}

/* What needs no look may pass without one, exactly as long as it was announced; and then the next header is looked at. */
static void unseen_payload(void **state)
{
    static const uint8_t frames[] = { 0x82, 0x85, 0, 0, 0, 0, 'a', 0x83, 0x80 }, text[] = { 0x81, 0x85, 0, 0, 0, 0, 'a' };
    struct ws_scan_rules rules = { .from_client = true, .verify = WS_VERIFY_UTF8 };
    struct ws_control control;
    struct ws_scan s;
    size_t passed;

    (void)state;
    ws_scan_init(&s, &rules);
    assert_int_equal(ws_scan_unseen(&s), 0);
    assert_int_equal(ws_scan_feed(&s, frames, 7, &passed, &control), WS_SCAN_MORE);
    assert_int_equal(passed, 7);
    assert_int_equal(ws_scan_unseen(&s), 4);
    ws_scan_passed_unseen(&s, 3);
    assert_false(ws_scan_at_boundary(&s));
    assert_int_equal(s.counts.messages, 0);
    ws_scan_passed_unseen(&s, 1);
    assert_true(ws_scan_at_boundary(&s));
    assert_int_equal(ws_scan_unseen(&s), 0);
    assert_int_equal(s.counts.messages, 1);
    assert_int_equal(s.counts.payload_bytes, 5);
    assert_int_equal(ws_scan_feed(&s, frames + 7, 2, &passed, &control), WS_SCAN_FAULT);
    assert_int_equal(ws_scan_unseen(&s), 0);
    ws_scan_init(&s, &rules);
    ws_scan_feed(&s, text, sizeof(text), &passed, &control);
    assert_int_equal(ws_scan_unseen(&s), 0);             /* text is looked at … */
    rules.verify = WS_VERIFY_FRAMES;
    ws_scan_init(&s, &rules);
    ws_scan_feed(&s, text, sizeof(text), &passed, &control);
    assert_int_equal(ws_scan_unseen(&s), 4);             /* … if that was asked for */
    rules.verify = WS_VERIFY_BLIND;
    ws_scan_init(&s, &rules);
    ws_scan_feed(&s, text, sizeof(text), &passed, &control);
    assert_int_equal(ws_scan_unseen(&s), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lawful_streams),
        cmocka_unit_test(first_bytes),
        cmocka_unit_test(control_lengths),
        cmocka_unit_test(mask_direction),
        cmocka_unit_test(lengths),
        cmocka_unit_test(control_frames),
        cmocka_unit_test(close_frames),
        cmocka_unit_test(close_reasons),
        cmocka_unit_test(close_codes),
        cmocka_unit_test(after_close),
        cmocka_unit_test(bad_text),
        cmocka_unit_test(fail_fast),
        cmocka_unit_test(open_text),
        cmocka_unit_test(unchecked_text),
        cmocka_unit_test(compressed),
        cmocka_unit_test(limits),
        cmocka_unit_test(whole_messages),
        cmocka_unit_test(nothing_of_the_faulty_frame),
        cmocka_unit_test(messages_allowed),
        cmocka_unit_test(control_again),
        cmocka_unit_test(blind),
        cmocka_unit_test(random_lawful),
        cmocka_unit_test(unseen_payload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
