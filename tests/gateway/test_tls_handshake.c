/* Handshakes of many clients at once: so many are in progress, the others wait unread, and nobody holds a place by being silent. And what
 * becomes of one, on either side, when any allocation fails, or when it is given up at any moment. */
#include "tests/gateway/tls_rig.h"

#define GUESTS 6                         /* the rig has four places */
#define STALLED_MS 500

static struct certs certs;

struct guest {
    struct tls_rig *r;
    struct peer peer;
    struct tls_handshake *handshake;
    struct tls_answer answer;
    unsigned answers;
    struct tls_session far;
    size_t far_at;
    bool far_done;
};

struct party {
    struct tls_rig r;
    struct guest guests[GUESTS];
};

static void on_answer(void *ctx, const struct tls_answer *a)
{
    struct guest *g = ctx;

    g->handshake = NULL;
    g->answer = *a;
    g->answers++;
}

static void arrives(struct guest *g)
{
    struct stream *below = scripted_new(&g->r->ready, &g->peer);

    g->handshake = tls_handshake_with_client(&g->r->loop, &below, g->r->set->listeners[0], on_answer, g);
    assert_non_null(g->handshake);
    rig_run(g->r);
}

/* One word of the guest's part of the handshake, if it has one to say. */
static void speaks(struct guest *g)
{
    struct tls_bio *bio = &g->far.bio;
    enum tls_step step;

    bio->in = g->peer.got.p + g->far_at;
    bio->in_n = g->peer.got.n - g->far_at;
    bio->in_at = 0;
    do
        step = tls_session_handshake(&g->far, false);
    while (step == TLS_AGAIN);
    g->far_done = step == TLS_DONE;
    g->far_at += bio->in_at;
    if (bio->out_n > 0)
        peer_give(&g->peer, span_of(bio->out, bio->out_n));
    bio->out_n = bio->in_n = bio->in_at = 0;
    rig_run(g->r);
}

static void begin(struct party *p)
{
    rig_begin(&p->r, rig_usual(&certs, "", ""));
    for (size_t i = 0; i < GUESTS; i++) {
        p->guests[i] = (struct guest){ .r = &p->r };
        peer_init(&p->guests[i].peer);
        assert_int_equal(tls_session_init(&p->guests[i].far, p->r.set->upstreams[0], "site.example", NULL), 0);
    }
}

static void end(struct party *p)
{
    for (size_t i = 0; i < GUESTS; i++) {
        struct guest *g = &p->guests[i];
        tls_handshake_cancel(&g->handshake);
        stream_close(&g->answer.stream);
        stream_close(&g->answer.below);
        rig_run(&p->r);
    }
    partings_end(&p->r.loop.partings);
    rig_run(&p->r);
    assert_int_equal(p->r.loop.places, 0);
    for (size_t i = 0; i < GUESTS; i++) {
        tls_session_free(&p->guests[i].far);
        peer_free(&p->guests[i].peer);
    }
    rig_end(&p->r);
}

/* The first four have sent their hellos and got their answers; the others' hellos wait. */
static void full_house(struct party *p)
{
    begin(p);
    for (size_t i = 0; i < GUESTS; i++) {
        arrives(&p->guests[i]);
        speaks(&p->guests[i]);
    }
    assert_int_equal(p->r.loop.places, 4);
    for (size_t i = 0; i < GUESTS; i++) {
        assert_int_equal(p->guests[i].answers, 0);
        assert_int_equal(p->guests[i].peer.got.n > 0, i < 4);
        assert_int_equal(p->guests[i].peer.consumed > 0, i < 4);
    }
}

static void who_finds_no_place_waits_unread(void **state)
{
    struct party p;

    (void)state;
    full_house(&p);
    speaks(&p.guests[0]);
    assert_non_null(p.guests[0].answer.stream);
    assert_true(p.guests[0].far_done);
    assert_true(p.guests[4].peer.got.n > 0);             /* in the order of their coming */
    assert_int_equal(p.guests[5].peer.got.n, 0);
    tls_handshake_cancel(&p.guests[1].handshake);
    rig_run(&p.r);
    assert_true(p.guests[5].peer.got.n > 0);
    end(&p);
}

static void who_says_nothing_takes_no_place(void **state)
{
    struct party p;

    (void)state;
    begin(&p);
    for (size_t i = 0; i < GUESTS; i++) {
        arrives(&p.guests[i]);
        assert_true(tls_handshake_is_silent(p.guests[i].handshake));
    }
    assert_int_equal(p.r.loop.places, 0);
    speaks(&p.guests[5]);
    assert_false(tls_handshake_is_silent(p.guests[5].handshake));
    speaks(&p.guests[5]);
    assert_non_null(p.guests[5].answer.stream);
    end(&p);
}

static void who_is_silent_loses_its_place_to_one_that_waits(void **state)
{
    struct party p;

    (void)state;
    full_house(&p);
    rig_sleep(&p.r, STALLED_MS - 50);
    assert_int_equal(p.guests[0].answers, 0);
    rig_sleep(&p.r, 100);
    for (size_t i = 0; i < 2; i++) {     /* two wait: the two that were silent the longest go */
        assert_int_equal(p.guests[i].answers, 1);
        assert_null(p.guests[i].answer.stream);
        assert_non_null(p.guests[i].answer.below);
        assert_int_equal(p.guests[i].answer.why, END_TLS_TIMEOUT);
        assert_non_null(p.guests[i].answer.words);
        assert_true(p.guests[4 + i].peer.got.n > 0);
    }
    assert_int_equal(p.guests[2].answers + p.guests[3].answers, 0);
    rig_sleep(&p.r, 10 * STALLED_MS);    /* nobody waits any more */
    assert_int_equal(p.guests[2].answers + p.guests[3].answers, 0);
    for (size_t i = 2; i < GUESTS; i++) {
        speaks(&p.guests[i]);
        assert_non_null(p.guests[i].answer.stream);
    }
    end(&p);
}

/* A word in time keeps the place, and it is somebody else's turn to go. */
static void who_speaks_keeps_its_place(void **state)
{
    struct party p;

    (void)state;
    full_house(&p);
    rig_sleep(&p.r, STALLED_MS - 100);
    peer_give(&p.guests[0].peer, SPAN_LITERAL("\x14\x03\x03"));  /* the beginning of a record */
    rig_run(&p.r);
    rig_sleep(&p.r, 200);
    assert_int_equal(p.guests[0].answers, 0);
    assert_int_equal(p.guests[1].answers, 1);
    assert_int_equal(p.guests[2].answers, 1);
    assert_int_equal(p.guests[3].answers, 0);
    end(&p);
}

static void who_waits_may_go(void **state)
{
    struct party p;

    (void)state;
    full_house(&p);
    peer_resets(&p.guests[4].peer);
    rig_run(&p.r);
    assert_int_equal(p.guests[4].answer.why, END_TLS_CUT);
    tls_handshake_cancel(&p.guests[5].handshake);
    rig_run(&p.r);
    rig_sleep(&p.r, 10 * STALLED_MS);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(p.guests[i].answers, 0);
    end(&p);
}

static void who_goes_leaves_its_place(void **state)
{
    for (int how = 0; how < 3; how++) {
        struct party p;
        full_house(&p);
        if (how == 0)
            peer_ends(&p.guests[2].peer);
        else if (how == 1)
            peer_resets(&p.guests[2].peer);
        else
            peer_says(&p.guests[2].peer, "garbage, and more than a record's head of it");
        rig_run(&p.r);
        assert_int_equal(p.guests[2].answers, 1);
        assert_null(p.guests[2].answer.stream);
        assert_int_equal(p.guests[2].answer.why, how < 2 ? END_TLS_CUT : END_TLS_FAILED);
        assert_true(p.guests[4].peer.got.n > 0);
        end(&p);
    }
    (void)state;
}

/* ---- what a server said before it stopped listening ---- */

static void an_alert_is_heard_although_nothing_can_be_sent(void **state)
{
    static const uint8_t alert[] = { 21, 3, 3, 0, 2, 2, 40 };    /* fatal, handshake_failure */
    struct tls_rig r;

    (void)state;
    rig_begin(&r, rig_usual(&certs, "", ""));
    r.peer.fails_at = 0;
    rig_meet_server(&r, "site.example");
    rig_run(&r);
    assert_int_equal(r.answers, 0);
    peer_give(&r.peer, span_of(alert, sizeof(alert)));
    peer_ends(&r.peer);
    rig_run(&r);
    assert_int_equal(r.answers, 1);
    assert_int_equal(r.answer.why, END_TLS_FAILED);
    assert_non_null(strstr(r.answer.words, "alert received: handshake_failure"));
    rig_end(&r);
}

/* ---- no memory ---- */

/* mbedTLS 3.6 leaves what is in a transform behind where making it fails (mbedtls_ssl_tls13_compute_application_transform, and its sister
 * of the handshake's keys): three blocks at most. It is the only such place. */
#define LEFT_BY_THE_LIBRARY 3

const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
    return "leak:gcm_ctx_alloc\nleak:aes_ctx_alloc\nleak:chachapoly_ctx_alloc\n";
}

static void shake(struct tls_rig *r, bool server)
{
    if (server) {
        rig_meet_client(r);
        far_hello(r);
    } else {
        rig_meet_server(r, "site.example");
    }
    rig_run(r);
}

/* Each allocation fails once, of either end, since the far one is the same code: whoever fails says so, and nothing is left behind. Far
 * into the arithmetic one is like another, and some have to do. */
static void fail_each(const char *more, bool server)
{
    size_t calls = 0, good = 0;

    for (size_t nth = 0; nth <= calls; nth += nth < 400 ? 1 : 1 + calls / 150) {         /* the first time none does */
        struct tls_rig r;
        size_t before;
        rig_begin(&r, rig_usual(&certs, more, ""));
        far_begin(&r, server ? r.set->upstreams[0] : r.set->listeners[0], server ? "site.example" : NULL);
        before = mem_calls();
        mem_fail_nth(nth);
        shake(&r, server);
        mem_fail_nth(0);
        calls = nth == 0 ? mem_calls() - before : calls;
        good += r.owner.stream != NULL;
        assert_true(r.answers <= 1);
        if (r.answers == 1 && r.owner.stream == NULL)
            assert_int_not_equal(r.answer.why, END_NONE);
        rig_free(&r);
        assert_in_range(mem_live_blocks(), r.blocks_before, r.blocks_before + LEFT_BY_THE_LIBRARY);
    }
    assert_true(calls > 100);
    assert_true(good >= 1);
}

static void every_allocation_of_a_servers_end_may_fail(void **state)
{
    (void)state;
    fail_each(", versions: [ 1.2 ]", true);
    fail_each(", versions: [ 1.3 ]", true);
}

static void every_allocation_of_a_clients_end_may_fail(void **state)
{
    (void)state;
    fail_each(", versions: [ 1.2 ]", false);
    fail_each(", versions: [ 1.3 ]", false);
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
        cmocka_unit_test(who_finds_no_place_waits_unread),
        cmocka_unit_test(who_says_nothing_takes_no_place),
        cmocka_unit_test(who_is_silent_loses_its_place_to_one_that_waits),
        cmocka_unit_test(who_speaks_keeps_its_place),
        cmocka_unit_test(who_waits_may_go),
        cmocka_unit_test(who_goes_leaves_its_place),
        cmocka_unit_test(an_alert_is_heard_although_nothing_can_be_sent),
        cmocka_unit_test(every_allocation_of_a_servers_end_may_fail),
        cmocka_unit_test(every_allocation_of_a_clients_end_may_fail),
    };

    return cmocka_run_group_tests(tests, begin_all, end_all);
}
