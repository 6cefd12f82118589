/* Bytes that wait: in whatever order they come and go, they come out as they went in; what has no place says so. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "gateway/spool.h"
#include "protocol/mem.h"
#include "tests/protocol/chance.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int make(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/upgate-spool-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int unmake(void **state)
{
    (void)state;
    return rmdir(folder);
}

static uint8_t byte_at(uint64_t n)
{
    return (uint8_t)(n * 31 + n / 253);
}

static void first_in_first_out(void **state)
{
    struct chance c = chance_seeded("spool");
    static uint8_t data[80000];

    (void)state;
    for (int round = 0; round < 60; round++) {
        struct spool_limits limits = { .memory_bytes = 65536 + chance_below(&c, 100000), .file_bytes = 400000, .folder = folder };
        struct spool s = { .at = 0 };
        uint64_t in = 0, out = 0;
        size_t blocks = mem_live_blocks(), bold = 1 + chance_below(&c, 80000);
        for (int step = 0; step < 200; step++) {
            size_t n = chance_below(&c, bold);
            struct span next;
            if (chance_one_in(&c, 2)) {
                int error;
                for (size_t i = 0; i < n; i++)
                    data[i] = byte_at(in + i);
                error = spool_add(&s, &limits, span_of(data, n));
                assert_true(error == 0 || error == -EFBIG);
                in += error == 0 ? n : 0;
            }
            assert_int_equal(spool_bytes(&s), in - out);
            assert_int_equal(spool_peek(&s, &next), 0);
            assert_int_equal(next.n == 0, in == out);
            n = chance_below(&c, next.n + 1);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(next.p[i], byte_at(out + i));
            spool_consume(&s, n);
            out += n;
            if (in == out)
                assert_int_equal(mem_live_blocks(), blocks);             /* at rest it holds nothing */
        }
        spool_free(&s);
        assert_int_equal(mem_live_blocks(), blocks);
    }
}

static void what_has_no_place(void **state)
{
    static uint8_t data[70000];
    struct spool_limits limits = { .memory_bytes = 65536, .file_bytes = 0, .folder = folder };
    struct spool s = { .at = 0 };

    (void)state;
    assert_int_equal(spool_add(&s, &limits, span_of(data, 65537)), -EFBIG);
    assert_int_equal(spool_add(&s, &limits, span_of(data, 65536)), 0);
    assert_int_equal(spool_add(&s, &limits, span_of(data, 1)), -EFBIG);
    assert_int_equal(spool_bytes(&s), 65536);
    limits.file_bytes = 10;
    assert_int_equal(spool_add(&s, &limits, span_of(data, 11)), -EFBIG);
    assert_int_equal(spool_add(&s, &limits, span_of(data, 10)), 0);
    assert_int_equal(spool_add(&s, &limits, span_of(data, 1)), -EFBIG);
    spool_free(&s);
    limits.folder = "/nonexistent";
    assert_int_equal(spool_add(&s, &limits, span_of(data, 65536)), 0);
    assert_int_equal(spool_add(&s, &limits, span_of(data, 1)), -ENOENT);
    spool_free(&s);
    mem_fail_nth(1);
    assert_int_equal(spool_add(&s, &limits, span_of(data, 1)), -ENOMEM);
    mem_fail_nth(0);
    spool_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(first_in_first_out), cmocka_unit_test(what_has_no_place) };

    return cmocka_run_group_tests(tests, make, unmake);
}
