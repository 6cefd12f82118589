/* Counted allocation: what threads count adds up, whoever frees; the nth call fails, once, in whatever thread it is made. */
#include "protocol/mem.h"
#include "tests/protocol/chance.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define THREADS 8
#define BLOCKS 500

static void counts(void **state)
{
    size_t calls = mem_calls();
    void *a, *b;

    (void)state;
    assert_int_equal(mem_live_blocks(), 0);
    assert_int_equal(mem_live_bytes(), 0);
    a = mem_alloc(100);
    b = mem_zalloc(1000);
    assert_int_equal(mem_live_blocks(), 2);
    assert_true(mem_live_bytes() >= 1100 && mem_live_bytes() < 1300);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(((uint8_t *)b)[i], 0);
    a = mem_realloc(a, 5000);
    assert_int_equal(mem_live_blocks(), 2);
    assert_true(mem_live_bytes() >= 6000);
    assert_int_equal(mem_calls() - calls, 3);
    mem_free(a);
    mem_free(b);
    mem_free(NULL);
    assert_int_equal(mem_live_blocks(), 0);
    assert_int_equal(mem_live_bytes(), 0);
}

static void the_nth_fails_once(void **state)
{
    void *blocks[5];
    char *text;

    (void)state;
    for (size_t nth = 1; nth <= 5; nth++) {
        mem_fail_nth(nth);
        for (size_t i = 0; i < 5; i++) {
            blocks[i] = mem_alloc(10);
            assert_int_equal(blocks[i] == NULL, i + 1 == nth);
        }
        for (size_t i = 0; i < 5; i++)
            mem_free(blocks[i]);
    }
    mem_fail_nth(2);
    mem_fail_nth(0);
    text = mem_strdup("a");
    blocks[0] = mem_zalloc(1);
    assert_non_null(text);
    assert_non_null(blocks[0]);
    mem_fail_nth(1);
    assert_null(mem_realloc(text, 100));
    assert_string_equal(text, "a");      /* the old block still stands */
    mem_free(text);
    mem_free(blocks[0]);
    assert_int_equal(mem_live_blocks(), 0);
}

/* Sizes around those that are kept, taken and given back in all orders: each block is the taker's alone, zeroed where that was asked for,
 * and as large as he said. */
static void blocks_come_again(void **state)
{
    static const size_t bytes[] = { 1, 1000, 1032, 1033, 1128, 1144, 1145, 2032, 2040, 2041, 4000, 4088, 4089, 8132, 8184, 8185, 20000 };
    enum { HELD = 64 };
    struct chance c = chance_seeded("test_mem");
    uint8_t *held[HELD] = { NULL };
    size_t n[HELD] = { 0 };

    (void)state;
    for (int round = 0; round < 40000; round++) {
        size_t i = chance_below(&c, HELD), more;
        for (size_t j = 0; held[i] != NULL && j < n[i]; j += 97)
            assert_int_equal(held[i][j], i + 1);
        if (held[i] != NULL && chance_one_in(&c, 4)) {
            more = bytes[chance_below(&c, sizeof(bytes) / sizeof(bytes[0]))];
            held[i] = mem_realloc(held[i], more);
            for (size_t j = 0; j < n[i] && j < more; j += 97)
                assert_int_equal(held[i][j], i + 1);
            n[i] = more;
        } else if (held[i] != NULL) {
            mem_free(held[i]);
            held[i] = NULL;
            continue;
        } else {
            bool zeroed = chance_one_in(&c, 2);
            n[i] = bytes[chance_below(&c, sizeof(bytes) / sizeof(bytes[0]))];
            held[i] = zeroed ? mem_zalloc(n[i]) : mem_alloc(n[i]);
            assert_int_equal((uintptr_t)held[i] % _Alignof(max_align_t), 0);
            for (size_t j = 0; zeroed && j < n[i]; j++)
                assert_int_equal(held[i][j], 0);
        }
        memset(held[i], (int)i + 1, n[i]);
    }
    for (size_t i = 0; i < HELD; i++)
        mem_free(held[i]);
    assert_int_equal(mem_live_blocks(), 0);
    assert_int_equal(mem_live_bytes(), 0);
}

/* ---- threads ---- */

static void *given[THREADS][BLOCKS];

static void *give(void *row)
{
    for (size_t i = 0; i < BLOCKS; i++)
        ((void **)row)[i] = mem_alloc(1 + i);
    return NULL;
}

static void *take(void *row)
{
    for (size_t i = 0; i < BLOCKS; i++)
        mem_free(((void **)row)[i]);
    return NULL;
}

static void in_threads(void *(*work)(void *row))
{
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, given[i]), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* Allocated by threads that are gone, freed by others: nothing is left, and nothing is forgotten in between. */
static void blocks_change_threads(void **state)
{
    size_t calls = mem_calls();

    (void)state;
    in_threads(give);
    assert_int_equal(mem_live_blocks(), THREADS * BLOCKS);
    assert_int_equal(mem_calls() - calls, THREADS * BLOCKS);
    in_threads(take);
    assert_int_equal(mem_live_blocks(), 0);
    assert_int_equal(mem_live_bytes(), 0);
}

static void one_of_all_threads_fails(void **state)
{
    size_t failed = 0;

    (void)state;
    mem_fail_nth(THREADS * BLOCKS / 2);
    in_threads(give);
    for (size_t i = 0; i < THREADS; i++)
        for (size_t j = 0; j < BLOCKS; j++)
            failed += given[i][j] == NULL;
    assert_int_equal(failed, 1);
    in_threads(take);
    assert_int_equal(mem_live_blocks(), 0);
}

/* Only behind a peak that was one, and then by halves. */
static void memory_goes_back_by_halves(void **state)
{
    struct mem_peak p = { 0 };
    unsigned times = 0;

    (void)state;
    for (size_t now = MEM_PEAK_LEAST - 2; now > 0; now--)
        assert_false(mem_give_back(&p, now - 1));
    p = (struct mem_peak){ 0 };
    for (size_t now = 4 * MEM_PEAK_LEAST; now > 0; now--) {
        bool trimmed = mem_give_back(&p, now - 1);
        assert_int_equal(trimmed, now - 1 == 2 * MEM_PEAK_LEAST || now - 1 == MEM_PEAK_LEAST || now - 1 == MEM_PEAK_LEAST / 2);
        times += trimmed;
    }
    assert_int_equal(times, 3);
    assert_false(mem_give_back(&p, 10));         /* and up again */
    assert_false(mem_give_back(&p, MEM_PEAK_LEAST));
    assert_false(mem_give_back(&p, MEM_PEAK_LEAST / 2 + 1));
    assert_true(mem_give_back(&p, MEM_PEAK_LEAST / 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts),
        cmocka_unit_test(memory_goes_back_by_halves),
        cmocka_unit_test(the_nth_fails_once),
        cmocka_unit_test(blocks_come_again),
        cmocka_unit_test(blocks_change_threads),
        cmocka_unit_test(one_of_all_threads_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
