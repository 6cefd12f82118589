/* Who belongs to a set: who stays stays the same, slots are nobody else's, tiers follow what is said of a server, nothing is left over. */
#include "tests/gateway/scripted.h"
#include "tests/gateway/fleet.h"

static struct server_set *made(struct fleet_conf *f, size_t n, const unsigned *weights)
{
    struct server_set *s = server_set_new("app");

    fleet_conf(f, n, weights);
    assert_non_null(s);
    assert_int_equal(server_set_update(s, f->wishes, n), 0);
    assert_int_equal(s->members_n, n);
    return s;
}

static void who_is_still_wanted_stays_the_same(void **state)
{
    struct fleet_conf f;
    struct server_set *s = made(&f, 4, (unsigned[]){ 1, 2, 3, 4 });
    struct server_state *second = s->members[1], *third = s->members[2];
    struct server_wish wishes[3] = { f.wishes[2], f.wishes[1], f.wishes[1] };
    unsigned version = s->version;

    (void)state;
    second->failures = 3;
    second->ejected_until_ms = 77;
    f.servers[1].weight = 9;
    assert_int_equal(server_set_update(s, wishes, 3), 0);
    assert_true(s->version != version);
    assert_int_equal(s->members_n, 2);           /* an address that is there twice is one server */
    assert_ptr_equal(s->members[0], third);
    assert_ptr_equal(s->members[1], second);
    assert_int_equal(second->failures, 3);
    assert_int_equal(second->ejected_until_ms, 77);
    assert_int_equal(second->weight, 9);
    assert_int_equal(server_set_update(s, NULL, 0), 0);
    assert_int_equal(s->members_n, 0);
    server_set_release(&s);
}

static void one_that_left_lives_as_long_as_it_is_held(void **state)
{
    struct fleet_conf f;
    struct server_set *s = made(&f, 2, NULL);
    struct server_state *first = server_state_hold(s->members[0]);

    (void)state;
    assert_int_equal(server_set_update(s, &f.wishes[1], 1), 0);
    assert_string_equal(first->address.text, "10.0.0.1:80");
    assert_string_equal(first->address.host, "10.0.0.1");
    server_state_release(&first);
    assert_null(first);
    server_set_release(&s);
    server_set_release(&s);
}

static void a_name_is_the_operators_or_the_address(void **state)
{
    static char names[2][8] = { "blue", "green" };
    struct fleet_conf f;
    struct server_set *s = made(&f, 2, NULL);
    struct server_state *plain = s->members[0], *second = s->members[1];
    uint64_t id;

    (void)state;
    assert_string_equal(plain->name, "10.0.0.1:80");
    f.servers[1].id = names[0];
    assert_int_equal(server_set_update(s, f.wishes, 2), 0);
    assert_ptr_equal(s->members[0], plain);
    assert_ptr_not_equal(s->members[1], second); /* to clients it is another one now */
    second = s->members[1];
    assert_string_equal(second->name, "blue");
    id = second->id;
    assert_true(id != plain->id);
    assert_int_equal(server_set_update(s, f.wishes, 2), 0);
    assert_ptr_equal(s->members[1], second);
    f.servers[0].id = names[0];          /* at another address it has the same share of the keys */
    f.servers[1].id = names[1];
    assert_int_equal(server_set_update(s, f.wishes, 2), 0);
    assert_true(s->members[0]->id == id);
    assert_true(s->members[1]->id != id);
    server_set_release(&s);
}

static void a_slot_is_nobody_elses(void **state)
{
    struct fleet_conf f;
    struct server_set *s = made(&f, 6, NULL);
    struct server_wish wishes[4] = { f.wishes[1], f.wishes[3], f.wishes[4], f.wishes[5] };
    unsigned seen = 0;

    (void)state;
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(s->members[i]->slot, i);
    assert_int_equal(server_set_update(s, wishes, 2), 0);        /* 1 and 3 are left */
    assert_int_equal(server_set_update(s, wishes, 4), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(seen >> s->members[i]->slot & 1, 0);
        seen |= 1u << s->members[i]->slot;
    }
    server_set_release(&s);
}

static void a_copy_holds_what_it_shows(void **state)
{
    struct fleet_conf f;
    struct server_set *s = made(&f, 3, NULL);
    struct server_state **copy;
    size_t n;
    unsigned version;

    (void)state;
    copy = server_set_copy(s, &n, &version);
    assert_non_null(copy);
    assert_int_equal(n, 3);
    assert_int_equal(version, s->version);
    assert_int_equal(server_set_update(s, &f.wishes[2], 1), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(copy[i]->address.text, f.texts[i]);
        server_state_release(&copy[i]);
    }
    mem_free(copy);
    server_set_release(&s);
}

static void tiers(void **state)
{
    struct fleet_conf f;
    struct server_set *s = made(&f, 3, NULL);
    struct server_state *a = s->members[0], *b = s->members[1], *c = s->members[2];

    (void)state;
    assert_int_equal(server_state_tier(a, 100), SERVER_IN_USE);
    b->backup = true;
    assert_int_equal(server_state_tier(b, 100), SERVER_IN_RESERVE);
    a->ejected_until_ms = 101;
    assert_int_equal(server_state_tier(a, 100), SERVER_EJECTED);
    assert_int_equal(server_state_tier(a, 101), SERVER_IN_USE);
    c->draining = true;
    assert_int_equal(server_state_tier(c, 100), SERVER_OUT);
    assert_int_equal(server_set_tier(s->members, 3, 101), SERVER_IN_USE);
    assert_int_equal(server_set_tier(s->members, 3, 100), SERVER_IN_RESERVE);
    b->draining = true;
    assert_int_equal(server_set_tier(s->members, 3, 100), SERVER_EJECTED);
    a->draining = true;
    assert_int_equal(server_set_tier(s->members, 3, 200), SERVER_OUT);
    assert_int_equal(server_set_tier(NULL, 0, 200), SERVER_OUT);
    server_set_release(&s);
}

static void without_memory_nothing_changes(void **state)
{
    struct fleet_conf f;
    struct server_set *s = made(&f, 2, NULL);
    size_t blocks = mem_live_blocks();
    struct server_wish wishes[2];

    (void)state;
    wishes[0] = f.wishes[1];
    fleet_conf(&f, 4, NULL);
    wishes[0] = f.wishes[1];
    wishes[1] = f.wishes[3];
    for (size_t nth = 1;; nth++) {
        int error;
        mem_fail_nth(nth);
        error = server_set_update(s, wishes, 2);
        mem_fail_nth(0);
        if (error == 0)
            break;
        assert_int_equal(mem_live_blocks(), blocks);
        assert_int_equal(s->members_n, 2);
        assert_string_equal(s->members[0]->address.text, "10.0.0.1:80");
        assert_true(nth < 10);
    }
    assert_string_equal(s->members[1]->address.text, "10.0.0.4:80");
    server_set_release(&s);
    for (size_t nth = 1; nth <= 2; nth++) {
        mem_fail_nth(nth);
        assert_null(server_set_new("app"));
        mem_fail_nth(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_still_wanted_stays_the_same),
        cmocka_unit_test(one_that_left_lives_as_long_as_it_is_held),
        cmocka_unit_test(a_name_is_the_operators_or_the_address),
        cmocka_unit_test(a_slot_is_nobody_elses),
        cmocka_unit_test(a_copy_holds_what_it_shows),
        cmocka_unit_test(tiers),
        cmocka_unit_test(without_memory_nothing_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
