/* Names and passwords beside the loop: with helpers and without, one at a time, remembered when right, given up at any moment. */
#include "tests/gateway/hashes.h"

#include "gateway/credentials.h"
#include "protocol/mem.h"

#include <poll.h>
#include <sys/eventfd.h>

struct place {                           /* a worker, as far as credentials know one */
    uint64_t now_ms;
    struct timers timers;
    struct tls_home home;
    struct tls_helpers *helpers;
    struct credentials *credentials;
    struct conf *conf;
    struct passwords_set *set;
    const struct passwords *among;
    char *path;
    int woken;                           /* an eventfd */
    size_t blocks;
};

static uint64_t clock_of(void *ctx)
{
    return ((struct place *)ctx)->now_ms;
}

static void wake(void *ctx)
{
    uint64_t one = 1;

    assert_int_equal(write(((struct place *)ctx)->woken, &one, sizeof(one)), sizeof(one));
}

static void load_users(struct place *p, const char *ann)
{
    char text[1000];

    snprintf(text, sizeof(text), "ann:%s\nbob:%s\n", cheap_hash(ann), cheap_hash("b"));
    write_file(p->path, text);
    p->set = passwords_set_new(p->conf, stderr);
    assert_non_null(p->set);
    p->among = passwords_of(p->set, p->conf, &p->conf->routes[0]);
}

static void place_begin(struct place *p, unsigned threads)
{
    char text[400];

    *p = (struct place){ .now_ms = 1000000, .path = temporary_file(), .woken = eventfd(0, EFD_CLOEXEC), .blocks = mem_live_blocks() };
    timers_init(&p->timers, clock_of, p);
    assert_int_equal(tls_home_init(&p->home, wake, p), 0);
    p->helpers = threads > 0 ? tls_helpers_new(threads) : NULL;
    p->credentials = credentials_new(p->helpers, &p->home, &p->timers);
    snprintf(text, sizeof(text),
             "listeners: [ 80 ]\nupstreams: { a: { servers: [ 9000 ] } }\nroutes: [ { upstream: a, auth: { basic: { file: %s } } } ]\n",
             p->path);
    p->conf = conf_load_text("f.yaml", span_of_text(text), stderr);
    assert_non_null(p->conf);
    load_users(p, "a");
}

/* Until nothing is away. */
static void settle(struct place *p)
{
    while (p->home.away > 0) {
        struct pollfd wait = { .fd = p->woken, .events = POLLIN };
        uint64_t n;
        assert_int_equal(poll(&wait, 1, 60000), 1);
        assert_int_equal(read(p->woken, &n, sizeof(n)), sizeof(n));
        tls_home_collect(&p->home);
    }
}

static void place_end(struct place *p)
{
    settle(p);
    credentials_free(p->credentials);
    tls_home_free(&p->home);
    tls_helpers_free(p->helpers);
    passwords_set_free(p->set);
    conf_free(p->conf);
    remove_file(p->path);
    close(p->woken);
    assert_int_equal(mem_live_blocks(), p->blocks);
}

struct asked {
    struct credentials_check *check;
    int answers;
    bool good;
};

static void answered(void *ctx, bool good)
{
    struct asked *a = ctx;

    a->check = NULL;
    a->answers++;
    a->good = good;
}

static enum credentials_verdict ask(struct place *p, struct asked *a, const char *user, const char *password)
{
    *a = (struct asked){ 0 };
    return credentials_ask(p->credentials, p->among, span_of_text(user), span_of_text(password), answered, a, &a->check);
}

static bool is_good(struct place *p, const char *user, const char *password)
{
    struct asked a;
    enum credentials_verdict verdict = ask(p, &a, user, password);

    if (verdict != CREDENTIALS_ASKED)
        return verdict == CREDENTIALS_GOOD;
    assert_int_equal(a.answers, 0);      /* never from inside the call */
    settle(p);
    assert_int_equal(a.answers, 1);
    return a.good;
}

static void right_and_wrong(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < 3; threads++) {
        struct place p;
        place_begin(&p, threads);
        assert_true(is_good(&p, "ann", "a"));
        assert_true(is_good(&p, "bob", "b"));
        assert_false(is_good(&p, "ann", "b"));
        assert_false(is_good(&p, "bob", "a"));
        assert_false(is_good(&p, "nobody", "a"));
        assert_false(is_good(&p, "", "a"));
        assert_false(is_good(&p, "ann", ""));
        place_end(&p);
    }
}

static void what_was_right_is_remembered(void **state)
{
    struct place p;
    struct asked a;

    (void)state;
    place_begin(&p, 1);
    assert_true(is_good(&p, "ann", "a"));
    assert_int_equal(ask(&p, &a, "ann", "a"), CREDENTIALS_GOOD);
    assert_int_equal(ask(&p, &a, "bob", "a"), CREDENTIALS_ASKED);        /* somebody else with her password */
    settle(&p);
    assert_false(a.good);
    assert_int_equal(ask(&p, &a, "bob", "a"), CREDENTIALS_ASKED);        /* what was wrong costs again */
    settle(&p);
    p.now_ms += CREDENTIALS_KNOWN_MS;
    assert_int_equal(ask(&p, &a, "ann", "a"), CREDENTIALS_ASKED);
    settle(&p);
    assert_true(a.good);
    passwords_set_free(p.set);                           /* she has another password now */
    load_users(&p, "new");
    assert_int_equal(ask(&p, &a, "ann", "a"), CREDENTIALS_ASKED);
    settle(&p);
    assert_false(a.good);
    assert_true(is_good(&p, "ann", "new"));
    place_end(&p);
}

static void impossible_ones(void **state)
{
    static char long_text[PASSWORD_BYTES_MAX + 2];
    struct place p;
    struct asked a = { 0 };

    (void)state;
    place_begin(&p, 1);
    memset(long_text, 'x', sizeof(long_text) - 1);
    assert_int_equal(ask(&p, &a, "ann", long_text), CREDENTIALS_WRONG);
    assert_int_equal(ask(&p, &a, long_text, "a"), CREDENTIALS_WRONG);
    assert_int_equal(credentials_ask(p.credentials, p.among, SPAN_LITERAL("ann"), span_of("a\0b", 3), answered, &a, &a.check),
                     CREDENTIALS_WRONG);
    assert_false(is_good(&p, "ann", long_text + 1));     /* just short enough: checked like any other */
    place_end(&p);
}

static void so_many_and_no_more(void **state)
{
    struct place p;
    struct asked a[CREDENTIALS_WAITING_MAX + 1];

    (void)state;
    place_begin(&p, 1);
    for (size_t i = 0; i < CREDENTIALS_WAITING_MAX; i++)
        assert_int_equal(ask(&p, &a[i], i % 2 == 0 ? "ann" : "nobody", "a"), CREDENTIALS_ASKED);
    assert_int_equal(p.home.away, 1);                    /* one at a time */
    assert_int_equal(ask(&p, &a[CREDENTIALS_WAITING_MAX], "bob", "b"), CREDENTIALS_BUSY);
    settle(&p);
    for (size_t i = 0; i < CREDENTIALS_WAITING_MAX; i++)
        assert_true(a[i].answers == 1 && a[i].good == (i % 2 == 0));
    assert_int_equal(ask(&p, &a[0], "ann", "a"), CREDENTIALS_GOOD);      /* who is known passes, whoever waits */
    place_end(&p);
}

static void given_up_at_every_moment(void **state)
{
    (void)state;
    for (size_t which = 0; which < 3; which++) {
        struct place p;
        struct asked a[3];
        place_begin(&p, 1);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(ask(&p, &a[i], "ann", "a"), CREDENTIALS_ASKED);
        credentials_cancel(&a[which].check);             /* the first runs, the others wait */
        assert_null(a[which].check);
        credentials_cancel(&a[which].check);
        settle(&p);
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(a[i].answers, i != which);
        place_end(&p);
    }
}

/* What is checked may be read anew meanwhile. */
static void the_file_goes_while_it_is_checked(void **state)
{
    struct place p;
    struct asked a;

    (void)state;
    place_begin(&p, 1);
    assert_int_equal(ask(&p, &a, "ann", "a"), CREDENTIALS_ASKED);
    passwords_set_free(p.set);
    load_users(&p, "a");
    settle(&p);
    assert_true(a.good);
    place_end(&p);
}

static void more_than_are_remembered(void **state)
{
    struct place p;

    (void)state;
    place_begin(&p, 0);
    for (int i = 0; i < 30; i++) {       /* of one set only the latest stay; nobody is refused for it */
        assert_true(is_good(&p, "ann", "a"));
        passwords_set_free(p.set);
        load_users(&p, "a");
    }
    place_end(&p);
}

static void no_memory(void **state)
{
    struct place p;
    struct asked a;

    (void)state;
    place_begin(&p, 1);
    mem_fail_nth(1);
    assert_int_equal(ask(&p, &a, "ann", "a"), CREDENTIALS_NO_MEMORY);
    mem_fail_nth(1);
    assert_null(credentials_new(NULL, &p.home, &p.timers));
    mem_fail_nth(0);
    place_end(&p);
    credentials_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_and_wrong),          cmocka_unit_test(what_was_right_is_remembered),
        cmocka_unit_test(impossible_ones),          cmocka_unit_test(so_many_and_no_more),
        cmocka_unit_test(given_up_at_every_moment), cmocka_unit_test(the_file_goes_while_it_is_checked),
        cmocka_unit_test(more_than_are_remembered), cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
