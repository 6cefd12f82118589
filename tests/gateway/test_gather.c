/* A body put aside: whatever fits where, it reads back as it was, as often as it is asked for; what cannot be stored says why. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "gateway/gather.h"
#include "protocol/mem.h"
#include "tests/protocol/chance.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MOST 300000

static char folder[64];
static uint8_t text[MOST];

static int make(void **state)
{
    (void)state;
    for (size_t i = 0; i < MOST; i++)
        text[i] = (uint8_t)(i * 31 + i / 253);
    snprintf(folder, sizeof(folder), "/tmp/upgate-gather-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int unmake(void **state)
{
    (void)state;
    return rmdir(folder);                /* no file has been left behind */
}

static struct gather *begin(uint64_t memory_bytes, uint64_t bytes, const char *where)
{
    struct gather *g = gather_new(&(struct gather_limits){ .memory_bytes = memory_bytes, .bytes = bytes, .folder = where });

    assert_non_null(g);
    return g;
}

static void fill(struct gather *g, struct chance *c, size_t n, size_t piece)
{
    for (size_t at = 0; at < n;) {
        size_t part = 1 + chance_below(c, piece);
        if (part > n - at)
            part = n - at;
        assert_int_equal(gather_add(g, span_of(text + at, part)), 0);
        at += part;
    }
    assert_int_equal(gather_end(g), 0);
    assert_int_equal(gather_bytes(g), n);
}

static void read_back(struct gather *g, struct chance *c, size_t n, size_t piece)
{
    struct span data;
    size_t at = 0;

    for (;;) {
        size_t taken;
        assert_int_equal(gather_peek(g, &data), 0);
        if (data.n == 0)
            break;
        assert_true(data.n <= n - at);
        assert_memory_equal(data.p, text + at, data.n);
        taken = chance_below(c, (data.n < piece ? data.n : piece) + 1);
        gather_consume(g, taken);
        at += taken;
    }
    assert_int_equal(at, n);
}

static void whatever_fits_where(void **state)
{
    static const size_t sizes[] = { 0, 1, 4095, 4096, 4097, 65535, 65536, 65537, 131072, 200001, MOST };
    static const size_t memories[] = { 1, 4096, 5000, 65536, MOST };
    struct chance c = chance_seeded("gather");

    (void)state;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        for (size_t m = 0; m < sizeof(memories) / sizeof(memories[0]); m++) {
            struct gather *g = begin(memories[m], MOST, folder);
            fill(g, &c, sizes[s], m % 2 == 0 ? 100000 : 999);
            assert_int_equal(gather_has_file(g), sizes[s] > memories[m]);
            read_back(g, &c, sizes[s], 70000);
            gather_rewind(g);
            read_back(g, &c, sizes[s] < 5000 ? sizes[s] : sizes[s], 4000);
            gather_rewind(g);
            read_back(g, &c, sizes[s], MOST);
            gather_free(&g);
            assert_null(g);
        }
    }
    gather_free(&(struct gather *){ NULL });
}

static void no_more_than_it_may(void **state)
{
    struct gather *g = begin(10, 20, folder);

    (void)state;
    assert_int_equal(gather_add(g, span_of(text, 20)), 0);
    assert_int_equal(gather_add(g, span_of(text, 1)), -EFBIG);
    assert_int_equal(gather_add(g, span_of(text, 0)), -EFBIG);
    assert_int_equal(gather_end(g), -EFBIG);
    gather_free(&g);
    g = begin(10, 20, folder);
    assert_int_equal(gather_add(g, span_of(text, 21)), -EFBIG);
    gather_free(&g);
}

static void a_file_that_cannot_be(void **state)
{
    struct gather *g = begin(10, MOST, "/nonexistent/folder");

    (void)state;
    assert_int_equal(gather_add(g, span_of(text, 11)), 0);
    assert_int_equal(gather_end(g), -ENOENT);            /* it is made when it has to be */
    gather_free(&g);
    g = begin(10, MOST, "/proc/self");
    assert_true(gather_add(g, span_of(text, 100000)) < 0);
    gather_free(&g);
}

static void memory_that_is_not_there(void **state)
{
    (void)state;
    for (size_t nth = 1; nth <= 4; nth++) {
        struct gather *g;
        int error = 0;
        mem_fail_nth(nth);
        g = gather_new(&(struct gather_limits){ .memory_bytes = 8192, .bytes = MOST, .folder = folder });
        for (size_t i = 0; g != NULL && i < 10 && error == 0; i++)
            error = gather_add(g, span_of(text, 3000));
        mem_fail_nth(0);
        assert_true(g == NULL || error == -ENOMEM);
        gather_free(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_fits_where),
        cmocka_unit_test(no_more_than_it_may),
        cmocka_unit_test(a_file_that_cannot_be),
        cmocka_unit_test(memory_that_is_not_there),
    };

    return cmocka_run_group_tests(tests, make, unmake);
}
