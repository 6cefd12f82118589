/* Arenas: pieces keep their bytes, the cap holds, everything is given back. */
#include "protocol/arena.h"
#include "protocol/mem.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int setup(void **state)
{
    *state = (void *)(uintptr_t)mem_live_blocks();
    return 0;
}

static int nothing_left(void **state)
{
    return mem_live_blocks() == (size_t)(uintptr_t)*state ? 0 : -1;
}

static void pieces_keep_their_bytes(void **state)
{
    uint8_t *pieces[200];
    struct arena a;

    (void)state;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < 200; i++) {
        pieces[i] = arena_alloc(&a, i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        memset(pieces[i], (int)i, i);
    }
    for (size_t i = 0; i < 200; i++)
        for (size_t k = 0; k < i; k++)
            assert_int_equal(pieces[i][k], i);
    arena_free(&a);
}

static void the_cap_holds(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, 100);
    assert_null(arena_alloc(&a, 101));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_non_null(arena_alloc(&a, 60));
    assert_null(arena_alloc(&a, 60));
    assert_non_null(arena_alloc(&a, 16));
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 100));
    arena_free(&a);
    assert_non_null(arena_alloc(&a, 100));
    arena_free(&a);
}

/* In place or moved: the bytes are there. */
static void pieces_grow(void **state)
{
    struct arena a;
    uint8_t *p = NULL, *other;
    size_t n = 0;

    (void)state;
    arena_init(&a, 1 << 20);
    for (size_t round = 0; round < 14; round++) {
        size_t wanted = n * 2 + 1;
        p = arena_extend(&a, p, n, wanted);
        assert_non_null(p);
        memset(p + n, (int)round, wanted - n);
        n = wanted;
        if (round % 3 == 2) {
            other = arena_alloc(&a, 5);
            memset(other, 0xee, 5);
        }
    }
    for (size_t round = 0, at = 0; round < 14; at = at * 2 + 1, round++)
        for (size_t k = at; k < at * 2 + 1; k++)
            assert_int_equal(p[k], round);
    assert_null(arena_extend(&a, p, n, 1 << 21));
    arena_free(&a);
}

static void copies(void **state)
{
    struct arena a;
    struct span copy;

    (void)state;
    arena_init(&a, 64);
    copy = arena_copy(&a, SPAN_LITERAL("abc"));
    assert_memory_equal(copy.p, "abc", 3);
    assert_non_null(arena_copy(&a, SPAN_EMPTY).p);
    assert_null(arena_copy(&a, span_of(a.newest, 65)).p);
    arena_free(&a);
}

static void a_reset_keeps_one_small_block(void **state)
{
    size_t blocks = mem_live_blocks();
    struct arena a;

    (void)state;
    arena_init(&a, 1 << 20);
    assert_int_equal(mem_live_blocks(), blocks);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&a, 500));
    assert_true(mem_live_blocks() > blocks + 1);
    arena_reset(&a);
    assert_int_equal(mem_live_blocks(), blocks + 1);
    assert_non_null(arena_alloc(&a, 100000));
    arena_reset(&a);
    assert_int_equal(mem_live_blocks(), blocks);
    arena_free(&a);
}

static bool lies_in(const void *piece, const uint8_t *room, size_t n)
{
    return (const uint8_t *)piece >= room && (const uint8_t *)piece < room + n;
}

/* What is lent is used first, never freed, and used again after a reset or the end. */
static void begins_in_room_that_is_lent(void **state)
{
    static alignas(max_align_t) uint8_t room[1024];
    size_t blocks = mem_live_blocks();
    struct arena a;

    (void)state;
    arena_init_in(&a, 1 << 20, room, sizeof(room));
    for (int round = 0; round < 3; round++) {
        assert_true(lies_in(arena_alloc(&a, 900), room, sizeof(room)));
        assert_int_equal(mem_live_blocks(), blocks);
        assert_false(lies_in(arena_alloc(&a, 900), room, sizeof(room)));
        assert_int_equal(mem_live_blocks(), blocks + 1);
        if (round == 0)
            arena_reset(&a);
        else
            arena_free(&a);
        assert_int_equal(mem_live_blocks(), blocks);
    }
    assert_true(lies_in(arena_alloc(&a, 900), room, sizeof(room)));
    arena_reset(&a);
    assert_true(lies_in(arena_alloc(&a, 900), room, sizeof(room)));
    assert_null(arena_alloc(&a, 1 << 20));
    arena_free(&a);
}

static void no_memory(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, 1 << 20);
    mem_fail_nth(1);
    assert_null(arena_alloc(&a, 1));
    mem_fail_nth(0);
    assert_non_null(arena_alloc(&a, 1));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pieces_keep_their_bytes, setup, nothing_left),
        cmocka_unit_test_setup_teardown(the_cap_holds, setup, nothing_left),
        cmocka_unit_test_setup_teardown(pieces_grow, setup, nothing_left),
        cmocka_unit_test_setup_teardown(copies, setup, nothing_left),
        cmocka_unit_test_setup_teardown(a_reset_keeps_one_small_block, setup, nothing_left),
        cmocka_unit_test_setup_teardown(begins_in_room_that_is_lent, setup, nothing_left),
        cmocka_unit_test_setup_teardown(no_memory, setup, nothing_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
