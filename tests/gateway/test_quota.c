/* What one client may take: buckets that fill again, connections that are counted and let go; many addresses at once. */
#include "gateway/quota.h"
#include "protocol/mem.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct net_address address(const char *text)
{
    struct net_address a = { .family = NET_UNIX };

    if (strcmp(text, "unix") != 0)
        assert_true(net_address_parse(span_of_text(text), &a));
    a.port = 4000;
    return a;
}

static struct net_address numbered(uint32_t number)
{
    const uint8_t bytes[4] = { (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number };

    return net_address_ip4(bytes, 1);
}

static uint64_t take(struct quota *q, const char *client, uint64_t count, uint64_t per_ms, uint64_t now_ms)
{
    struct net_address a = address(client);
    struct conf_rate rate = { count, per_ms };

    return quota_take(q, QUOTA_HANDSHAKES, &a, &rate, now_ms);
}

static void a_bucket(void **state)
{
    struct quota *q = quota_new();
    struct net_address a = address("192.0.2.1");
    struct conf_rate rate = { 5, 1000 };

    (void)state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(take(q, "192.0.2.1", 5, 1000, 10000), 0);
    assert_int_equal(take(q, "192.0.2.1", 5, 1000, 10000), 200);          /* and asking takes nothing */
    assert_int_equal(take(q, "192.0.2.1", 5, 1000, 10100), 100);
    assert_int_equal(take(q, "192.0.2.1", 5, 1000, 10200), 0);
    assert_int_equal(take(q, "192.0.2.1", 5, 1000, 10200), 200);
    assert_int_equal(take(q, "192.0.2.2", 5, 1000, 10200), 0);           /* somebody else */
    assert_int_equal(quota_take(q, QUOTA_REQUESTS, &a, &rate, 10200), 0);        /* another kind */
    for (int i = 0; i < 5; i++)
        assert_int_equal(take(q, "192.0.2.1", 5, 1000, 60000), 0);        /* full again, and not fuller than full */
    assert_int_equal(take(q, "192.0.2.1", 5, 1000, 60000), 200);
    quota_free(q);
}

/* Over any time it is the rate, whatever the pattern. */
static void the_rate_over_time(void **state)
{
    static const struct conf_rate rates[] = { { 1, 1000 }, { 7, 1000 }, { 50, 1000 }, { 90, 60000 }, { 1000, 3600000 } };

    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct quota *q = quota_new();
        struct net_address a = address("2001:db8::1");
        uint64_t taken = 0, end = 20 * rates[i].per_ms, step = rates[i].per_ms / rates[i].count / 3 + 1;
        for (uint64_t now = 0; now < end; now += step)
            taken += quota_take(q, QUOTA_REQUESTS, &a, &rates[i], 1000 + now) == 0;
        if (taken > 21 * rates[i].count || taken < 20 * rates[i].count - 1)
            fail_msg("%llu of %llu", (unsigned long long)taken, (unsigned long long)rates[i].count);
        quota_free(q);
    }
}

static void who_is_one_client(void **state)
{
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        { "192.0.2.1", "192.0.2.1", true },
        { "192.0.2.1", "::ffff:192.0.2.1", true },
        { "192.0.2.1", "192.0.2.2", false },
        { "2001:db8::1", "2001:db8::ffff:2", true },
        { "2001:db8::1", "2001:db8:0:1::1", false },
        { "::1", "0.0.0.0", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct quota *q = quota_new();
        struct quota_share *first = NULL, *second = NULL;
        struct net_address a = address(rows[i].a), b = address(rows[i].b);
        assert_int_equal(take(q, rows[i].a, 1, 1000, 5000), 0);
        assert_int_equal(take(q, rows[i].b, 1, 1000, 5000) > 0, rows[i].same);
        assert_true(quota_connect(q, &a, 1, &first));
        assert_int_equal(quota_connect(q, &b, 1, &second), !rows[i].same);
        quota_disconnect(q, &first);
        quota_disconnect(q, &second);
        quota_free(q);
    }
}

static void who_is_not_counted(void **state)
{
    struct quota *q = quota_new();
    struct quota_share *share;
    struct net_address local = address("unix"), nobody = { 0 }, a = address("192.0.2.1");

    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(take(q, "unix", 1, 1000, 1000), 0);
        assert_int_equal(take(q, "192.0.2.1", 0, 0, 1000), 0);
        assert_true(quota_connect(q, &local, 1, &share) && share == NULL);
        assert_true(quota_connect(q, &nobody, 1, &share) && share == NULL);
        assert_true(quota_connect(q, &a, 0, &share) && share == NULL);
        quota_disconnect(q, &share);
    }
    quota_free(q);
}

static void connections(void **state)
{
    struct quota *q = quota_new();
    size_t before = mem_live_blocks();
    struct net_address a = address("192.0.2.1"), b = address("192.0.2.2");
    struct quota_share *shares[3], *more;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(quota_connect(q, &a, 3, &shares[i]));
    assert_false(quota_connect(q, &a, 3, &more));
    assert_null(more);
    assert_true(quota_connect(q, &b, 3, &more));
    quota_disconnect(q, &more);
    quota_disconnect(q, &shares[1]);
    assert_null(shares[1]);
    assert_false(quota_connect(q, &a, 2, &more));        /* a lower limit holds for new ones */
    assert_true(quota_connect(q, &a, 3, &shares[1]));
    for (int i = 0; i < 3; i++)
        quota_disconnect(q, &shares[i]);
    assert_int_equal(mem_live_blocks(), before);         /* who has none open takes no memory */
    mem_fail_nth(1);
    assert_false(quota_connect(q, &a, 3, &more));
    mem_fail_nth(0);
    quota_free(q);
}

/* Far more clients than there is room for: the book stays as large as it is, each newcomer is served, and who keeps coming is still held
 * to his rate in a crowd that fits. */
static void many_addresses(void **state)
{
    struct quota *q = quota_new();
    struct conf_rate rate = { 2, 3600000 };
    size_t blocks = mem_live_blocks(), bytes = mem_live_bytes(), held = 0;

    (void)state;
    for (uint32_t i = 0; i < 4 * QUOTA_CLIENTS; i++) {
        struct net_address a = numbered(i * 2654435761U);
        assert_int_equal(quota_take(q, QUOTA_REQUESTS, &a, &rate, 1000), 0);
    }
    assert_int_equal(mem_live_blocks(), blocks);
    assert_int_equal(mem_live_bytes(), bytes);
    quota_free(q);
    q = quota_new();
    for (int round = 0; round < 3; round++)
        for (uint32_t i = 0; i < QUOTA_CLIENTS / 4; i++) {
            struct net_address a = numbered(i);
            held += quota_take(q, QUOTA_REQUESTS, &a, &rate, 1000) > 0;
        }
    assert_true(held > QUOTA_CLIENTS / 4 * 95 / 100 && held <= QUOTA_CLIENTS / 4);
    quota_free(q);
}

/* Whoever has used up most stays; whoever has a full bucket anyway goes first. */
static void the_busy_stay(void **state)
{
    struct quota *q = quota_new();
    struct conf_rate slow = { 3, 3600000 }, quick = { 3, 1000 };
    struct net_address busy = numbered(0xC0000201);

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(quota_take(q, QUOTA_REQUESTS, &busy, &slow, 1000), 0);
    for (uint32_t i = 0; i < 2 * QUOTA_CLIENTS; i++) {
        struct net_address a = numbered(i);
        assert_int_equal(quota_take(q, QUOTA_HANDSHAKES, &a, &quick, 1000 + i / 64), 0);
    }
    assert_true(quota_take(q, QUOTA_REQUESTS, &busy, &slow, 4000) > 0);
    quota_free(q);
}

#define THREADS 4
#define ROUNDS 20000

static struct quota *shared;

static void *hammer(void *arg)
{
    size_t *refused = arg;
    struct net_address a = address("192.0.2.1");
    struct quota_share *share;

    for (int i = 0; i < ROUNDS; i++) {
        if (!quota_connect(shared, &a, THREADS - 1, &share))
            ++*refused;
        quota_disconnect(shared, &share);
    }
    return NULL;
}

static void threads(void **state)
{
    pthread_t thread[THREADS];
    size_t refused[THREADS] = { 0 }, blocks;
    struct net_address a = address("192.0.2.1");
    struct quota_share *share;

    (void)state;
    shared = quota_new();
    blocks = mem_live_blocks();
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, hammer, &refused[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    assert_int_equal(mem_live_blocks(), blocks);
    assert_true(quota_connect(shared, &a, 1, &share));
    quota_disconnect(shared, &share);
    quota_free(shared);
}

static void no_memory(void **state)
{
    (void)state;
    mem_fail_nth(1);
    assert_null(quota_new());
    mem_fail_nth(0);
    quota_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket),       cmocka_unit_test(the_rate_over_time), cmocka_unit_test(who_is_one_client),
        cmocka_unit_test(who_is_not_counted), cmocka_unit_test(connections),    cmocka_unit_test(many_addresses),
        cmocka_unit_test(the_busy_stay),  cmocka_unit_test(threads),            cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
