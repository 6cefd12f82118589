/* The keys of session tickets: what was sealed is opened for its time, whichever of the keys did it, and by nobody else. */
#include "tests/gateway/tls_rig.h"

#define HOUR_S ((uint64_t)3600)

static struct certs certs;
static uint64_t clock_s;

static uint64_t now_s(void)
{
    return clock_s;
}

/* A connection of TLS 1.2, whose end alone looks at the clock: with this session, or none. True: it was resumed. */
static bool connects(struct tls_rig *r, struct tls_tickets *tickets, const mbedtls_ssl_session *with, mbedtls_ssl_session *kept)
{
    bool resumed;

    tls_set_free(r->set);
    r->set = tls_set_new(r->conf, tickets, stderr);
    assert_non_null(r->set);
    assert_int_equal(tls_session_init(&r->far, r->set->upstreams[0], "site.example", with), 0);
    r->far_made = true;
    rig_meet_client(r);
    far_hello(r);
    rig_run(r);
    assert_true(r->far_open);
    assert_non_null(r->owner.stream);
    resumed = stream_tls_facts(r->owner.stream)->resumed;
    assert_int_equal(r->far.facts.resumed, resumed);
    if (kept != NULL) {
        mbedtls_ssl_session_init(kept);
        assert_int_equal(tls_session_save(&r->far, kept), 0);
    }
    rig_end_connection(r);
    return resumed;
}

static void begin(struct tls_rig *r)
{
    clock_s = 1000000;
    rig_begin(r, rig_usual(&certs, ", versions: [ 1.2 ]", ""));
    tls_tickets_set_clock(r->tickets, now_s);
}

static bool resumes(struct tls_rig *r, const mbedtls_ssl_session *with)
{
    return connects(r, r->tickets, with, NULL);
}

static void a_ticket_is_good_for_its_time(void **state)
{
    mbedtls_ssl_session kept;
    struct tls_rig r;

    (void)state;
    begin(&r);
    assert_false(connects(&r, r.tickets, NULL, &kept));
    assert_true(resumes(&r, &kept));
    clock_s += TLS_TICKETS_LIFETIME_S - 1;
    assert_true(resumes(&r, &kept));
    clock_s += 2;
    assert_false(resumes(&r, &kept));
    clock_s = 1000000 - 60;              /* sealed by one whose clock is a minute ahead */
    assert_true(resumes(&r, &kept));
    mbedtls_ssl_session_free(&kept);
    rig_end(&r);
}

static void the_key_before_opens_what_it_sealed(void **state)
{
    mbedtls_ssl_session old, new;
    struct tls_rig r;

    (void)state;
    begin(&r);
    clock_s += 11 * HOUR_S;
    assert_false(connects(&r, r.tickets, NULL, &old));
    clock_s += 2 * HOUR_S;               /* another key seals by now */
    assert_true(resumes(&r, &old));
    assert_false(connects(&r, r.tickets, NULL, &new));
    clock_s += 9 * HOUR_S + 1800;        /* 22:30 */
    assert_true(resumes(&r, &old));
    clock_s += 2 * HOUR_S;               /* 24:30: the ticket is too old, whatever its key */
    assert_false(resumes(&r, &old));
    assert_true(resumes(&r, &new));
    clock_s += 24 * HOUR_S;
    assert_false(resumes(&r, &new));
    mbedtls_ssl_session_free(&old);
    mbedtls_ssl_session_free(&new);
    rig_end(&r);
}

/* Nobody came for long: the key before is gone as well. */
static void a_key_is_not_kept_beyond_its_time(void **state)
{
    mbedtls_ssl_session kept;
    struct tls_rig r;

    (void)state;
    begin(&r);
    clock_s += 11 * HOUR_S;
    assert_false(connects(&r, r.tickets, NULL, &kept));
    clock_s += 13 * HOUR_S + 1;
    assert_false(connects(&r, r.tickets, NULL, NULL));
    clock_s -= 3 * HOUR_S;               /* even if it were young enough */
    assert_false(resumes(&r, &kept));
    mbedtls_ssl_session_free(&kept);
    rig_end(&r);
}

static struct tls_tickets *of_keys(const char *letters)
{
    uint8_t keys[TLS_TICKETS_KEYS_MAX * TLS_TICKETS_KEY_BYTES];
    struct tls_tickets *t;

    for (size_t i = 0; letters[i] != '\0'; i++)
        memset(keys + i * TLS_TICKETS_KEY_BYTES, letters[i], TLS_TICKETS_KEY_BYTES);
    t = tls_tickets_of_keys(keys, strlen(letters));
    assert_non_null(t);
    tls_tickets_set_clock(t, now_s);
    return t;
}

/* What is made with one file and used with another. */
static void a_fleet_shares_a_file(void **state)
{
    static const struct { const char *made, *used; bool due; } rows[] = {
        { "a", "a", true }, { "a", "ba", true }, { "a", "dcba", true }, { "ba", "a", false }, { "ab", "b", false }, { "ab", "a", true },
        { "a", "b", false },
    };
    struct tls_rig r;

    (void)state;
    begin(&r);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tls_tickets *made = of_keys(rows[i].made), *used = of_keys(rows[i].used);
        mbedtls_ssl_session kept;
        assert_false(connects(&r, made, NULL, &kept));
        clock_s += 6 * HOUR_S;           /* they do not rotate by themselves */
        assert_int_equal(connects(&r, used, &kept, NULL), rows[i].due);
        mbedtls_ssl_session_free(&kept);
        tls_set_free(r.set);
        r.set = tls_set_new(r.conf, r.tickets, stderr);
        tls_tickets_free(made);
        tls_tickets_free(used);
    }
    rig_end(&r);
}

/* Each byte of a ticket counts. */
static void a_ticket_that_was_touched_is_none(void **state)
{
    mbedtls_ssl_session kept, opened;
    uint8_t ticket[2048], copy[2048];
    uint32_t lifetime_s;
    struct tls_rig r;
    size_t n;

    (void)state;
    begin(&r);
    connects(&r, r.tickets, NULL, &kept);
    assert_int_equal(tls_tickets_write(r.tickets, &kept, ticket, ticket + sizeof(ticket), &n, &lifetime_s), 0);
    assert_int_equal(lifetime_s, TLS_TICKETS_LIFETIME_S);
    for (size_t i = 0; i <= n; i++) {
        memcpy(copy, ticket, n);
        if (i < n)
            copy[i] ^= 1;
        mbedtls_ssl_session_init(&opened);
        assert_int_equal(tls_tickets_parse(r.tickets, &opened, copy, n) == 0, i == n);
        mbedtls_ssl_session_free(&opened);
    }
    for (size_t cut = 0; cut < n; cut++) {
        memcpy(copy, ticket, n);
        mbedtls_ssl_session_init(&opened);
        assert_int_not_equal(tls_tickets_parse(r.tickets, &opened, copy, cut), 0);
        mbedtls_ssl_session_free(&opened);
    }
    assert_int_not_equal(tls_tickets_write(r.tickets, &kept, ticket, ticket + n - 1, &n, &lifetime_s), 0);
    mbedtls_ssl_session_free(&kept);
    rig_end(&r);
}

static int begin_all(void **state)
{
    (void)state;
    rig_begin_all(&certs);
    return 0;
}

static int end_all(void **state)
{
    (void)state;
    rig_end_all(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_is_good_for_its_time),
        cmocka_unit_test(the_key_before_opens_what_it_sealed),
        cmocka_unit_test(a_key_is_not_kept_beyond_its_time),
        cmocka_unit_test(a_fleet_shares_a_file),
        cmocka_unit_test(a_ticket_that_was_touched_is_none),
    };

    return cmocka_run_group_tests(tests, begin_all, end_all);
}
