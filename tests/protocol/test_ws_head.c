/* Frame headers: every first two bytes, every length at the borders in each of its three forms, at every cut. */
#include "protocol/fault.h"
#include "protocol/ws_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t mask[4] = { 0x11, 0x22, 0x33, 0x44 };

/* A header with its length in the given form: 0, 2 or 8 bytes. */
static size_t put_head(uint8_t *out, uint8_t first, bool masked, uint64_t length, size_t form)
{
    size_t n = 2;

    out[0] = first;
    out[1] = (uint8_t)((masked ? 0x80 : 0) | (form == 0 ? (uint8_t)length : form == 2 ? 126 : 127));
    for (size_t i = 0; i < form; i++)
        out[n++] = (uint8_t)(length >> (8 * (form - 1 - i)));
    if (masked)
        memcpy(out + n, mask, 4);
    return n + (masked ? 4u : 0u);
}

static void all_first_bytes(void **state)
{
    struct ws_head h;
    uint8_t p[2];

    (void)state;
    for (unsigned value = 0; value < 65536; value++) {
        p[0] = (uint8_t)(value >> 8);
        p[1] = (uint8_t)value;
        assert_int_equal(ws_head_parse(p, 2, &h), (p[1] & 127) < 126 && p[1] < 128 ? 2 : 0);
        assert_int_equal(h.fin, p[0] >= 128);
        assert_int_equal(h.rsv, p[0] / 16 % 8);
        assert_int_equal(h.opcode, p[0] % 16);
        assert_int_equal(h.masked, p[1] >= 128);
    }
}

static void check_whole(const uint8_t *p, size_t size, bool masked, uint64_t length)
{
    struct ws_head h;

    for (size_t n = 0; n < size; n++) {
        assert_int_equal(ws_head_parse(p, n, &h), 0);
        assert_int_equal(ws_head_length_known(&h, n), masked && n + 4 >= size);
        if (n >= 2)
            assert_int_equal(h.size, size);
    }
    for (size_t n = size; n < size + 3; n++) {
        assert_int_equal(ws_head_parse(p, n, &h), (int)size);
        assert_true(ws_head_length_known(&h, n));
        assert_true(h.length == length);
        assert_int_equal(h.size, size);
        assert_memory_equal(h.mask, masked ? mask : h.mask, 4);
    }
}

/* The fault shows at the byte that makes it, and not before. */
static void check_refused(const uint8_t *p, size_t size, size_t at)
{
    struct ws_head h;

    for (size_t n = 0; n <= size; n++)
        assert_int_equal(ws_head_parse(p, n, &h), n <= at ? 0 : -(int)FAULT_WS_LENGTH);
}

static void lengths(void **state)
{
    static const struct { uint64_t length; size_t form; bool lawful; size_t fault_at; } cases[] = {
        { 0, 0, true, 0 }, { 1, 0, true, 0 }, { 125, 0, true, 0 },
        { 126, 2, true, 0 }, { 127, 2, true, 0 }, { 255, 2, true, 0 }, { 256, 2, true, 0 }, { 65535, 2, true, 0 },
        { 65536, 8, true, 0 }, { 65537, 8, true, 0 }, { UINT64_C(1) << 32, 8, true, 0 }, { INT64_MAX, 8, true, 0 },
        { 0, 2, false, 3 }, { 125, 2, false, 3 }, { 0, 8, false, 9 }, { 125, 8, false, 9 }, { 126, 8, false, 9 },
        { 65535, 8, false, 9 }, { UINT64_C(1) << 63, 8, false, 2 }, { UINT64_MAX, 8, false, 2 },
    };
    uint8_t p[WS_HEAD_MAX_BYTES + 3] = { 0 };

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        bool masked = i % 2;
        size_t size = put_head(p, 0x82, masked, cases[i / 2].length, cases[i / 2].form);
        if (cases[i / 2].lawful)
            check_whole(p, size, masked, cases[i / 2].length);
        else
            check_refused(p, size, cases[i / 2].fault_at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_first_bytes),
        cmocka_unit_test(lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
