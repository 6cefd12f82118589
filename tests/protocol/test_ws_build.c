/* Built frames, read back by the scanner and byte for byte. */
#include "protocol/utf8.h"
#include "protocol/ws_build.h"
#include "protocol/ws_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

static void expect_bytes(const uint8_t *out, size_t n, const char *due, size_t due_n)
{
    assert_int_equal(n, due_n);
    assert_memory_equal(out, due, due_n);
}
#define EXPECT(out, n, due) expect_bytes(out, n, due, sizeof(due) - 1)

static void known_bytes(void **state)
{
    uint8_t out[WS_BUILT_MAX_BYTES];

    (void)state;
    EXPECT(out, ws_build_close(out, 0, SPAN_EMPTY, NULL), "\x88\x00");
    EXPECT(out, ws_build_close(out, 0, SPAN_LITERAL("never sent"), mask), "\x88\x80\x37\xfa\x21\x3d");
    EXPECT(out, ws_build_close(out, 1000, SPAN_EMPTY, NULL), "\x88\x02\x03\xe8");
    EXPECT(out, ws_build_close(out, 1001, SPAN_LITERAL("bye"), NULL), "\x88\x05\x03\xe9" "bye");
    EXPECT(out, ws_build_close(out, 1002, SPAN_EMPTY, mask), "\x88\x82\x37\xfa\x21\x3d\x34\x10");
    EXPECT(out, ws_build_ping(out, SPAN_LITERAL("Hello"), NULL), "\x89\x05Hello");
    EXPECT(out, ws_build_ping(out, SPAN_LITERAL("Hello"), mask), "\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    EXPECT(out, ws_build_ping(out, SPAN_EMPTY, NULL), "\x89\x00");
}

/* What was built is one lawful control frame, and says what it should. */
static void read_back(const uint8_t *out, size_t n, bool masked, struct ws_control *control)
{
    const struct ws_scan_rules rules = { .from_client = masked, .verify = WS_VERIFY_UTF8 };
    struct ws_scan s;
    size_t passed;

    ws_scan_init(&s, &rules);
    assert_int_equal(ws_scan_feed(&s, out, n, &passed, control), WS_SCAN_CONTROL);
    assert_int_equal(control->frame_bytes, n);
}

static void every_length(void **state)
{
    uint8_t out[WS_BUILT_MAX_BYTES], payload[300];
    struct ws_control control;

    (void)state;
    memset(payload, 'x', sizeof(payload));
    for (size_t n = 0; n <= sizeof(payload); n++)
        for (int masked = 0; masked <= 1; masked++) {
            read_back(out, ws_build_ping(out, span_of(payload, n), masked ? mask : NULL), masked, &control);
            assert_int_equal(control.opcode, WS_PING);
            assert_int_equal(control.payload_bytes, n < 125 ? n : 125);
            assert_memory_equal(control.payload, payload, control.payload_bytes);
            read_back(out, ws_build_close(out, 1011, span_of(payload, n), masked ? mask : NULL), masked, &control);
            assert_int_equal(control.close_code, 1011);
            assert_int_equal(control.payload_bytes, 2 + (n < 123 ? n : 123));
            assert_memory_equal(control.payload + 2, payload, control.payload_bytes - 2);
        }
}

/* A reason of any code points at any offset stays UTF-8 where it is cut, and is cut as late as can be. */
static void cut_at_code_points(void **state)
{
    static const char *const points[] = { "a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80" };
    uint8_t out[WS_BUILT_MAX_BYTES], reason[200];
    struct ws_control control;

    (void)state;
    for (size_t p = 0; p < 4; p++)
        for (size_t letters = 0; letters < 8; letters++) {
            size_t n = letters, step = strlen(points[p]);
            memset(reason, 'x', letters);
            for (; n + step <= sizeof(reason); n += step)
                memcpy(reason + n, points[p], step);
            read_back(out, ws_build_close(out, 1000, span_of(reason, n), NULL), false, &control);
            assert_true(utf8_valid(control.payload + 2, control.payload_bytes - 2));
            assert_true(control.payload_bytes - 2 + step > 123);
        }
}

/* A reason that is not UTF-8 at all is cut too, and no byte beyond it is read. */
static void cut_of_garbage(void **state)
{
    uint8_t out[WS_BUILT_MAX_BYTES], reason[124];

    (void)state;
    memset(reason, 0x80, sizeof(reason));
    assert_int_equal(ws_build_close(out, 1000, span_of(reason, sizeof(reason)), NULL), 2 + 2 + 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_bytes),
        cmocka_unit_test(every_length),
        cmocka_unit_test(cut_at_code_points),
        cmocka_unit_test(cut_of_garbage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
