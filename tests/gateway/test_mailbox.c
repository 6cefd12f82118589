/* Letters from other threads: each delivered once per posting, none after it was withdrawn, nobody woken after the end. */
#include "tests/gateway/scripted.h"

#include "gateway/mailbox.h"

struct desk {
    struct mailbox box;
    int woken;
    struct letter letters[3];
    int delivered[3];
    int again;                           /* postings of letter 0 from inside its delivery */
    struct letter *withdraws;            /* by letter 0 */
};

static void wake(void *ctx)
{
    ((struct desk *)ctx)->woken++;
}

static struct desk *desk;

static void on_letter(struct letter *l)
{
    size_t i = (size_t)(l - desk->letters);

    desk->delivered[i]++;
    if (i == 0 && desk->again-- > 0)
        mailbox_post(&desk->box, l);
    if (i == 0 && desk->withdraws != NULL)
        mailbox_withdraw(&desk->box, desk->withdraws);
}

static void begin(struct desk *d)
{
    *d = (struct desk){ .woken = 0 };
    desk = d;
    mailbox_init(&d->box, wake, d);
    for (size_t i = 0; i < COUNT_OF(d->letters); i++)
        letter_init(&d->letters[i], on_letter);
}

static void once_however_often_it_was_posted(void **state)
{
    struct desk d;

    (void)state;
    begin(&d);
    for (int i = 0; i < 3; i++)
        mailbox_post(&d.box, &d.letters[1]);
    mailbox_post(&d.box, &d.letters[0]);
    assert_true(d.woken >= 2);
    mailbox_deliver(&d.box);
    mailbox_deliver(&d.box);
    assert_int_equal(d.delivered[0], 1);
    assert_int_equal(d.delivered[1], 1);
    assert_int_equal(d.delivered[2], 0);
    mailbox_free(&d.box);
}

static void what_is_posted_meanwhile_comes_next_time(void **state)
{
    struct desk d;

    (void)state;
    begin(&d);
    d.again = 2;
    mailbox_post(&d.box, &d.letters[0]);
    for (int round = 1; round <= 3; round++) {
        int woken = d.woken;
        mailbox_deliver(&d.box);
        assert_int_equal(d.delivered[0], round);
        assert_int_equal(d.woken - woken, round < 3);
    }
    mailbox_deliver(&d.box);
    assert_int_equal(d.delivered[0], 3);
    mailbox_free(&d.box);
}

static void not_after_it_was_withdrawn(void **state)
{
    struct desk d;

    (void)state;
    begin(&d);
    d.withdraws = &d.letters[2];
    for (size_t i = 0; i < 3; i++)
        mailbox_post(&d.box, &d.letters[i]);
    mailbox_withdraw(&d.box, &d.letters[1]);
    mailbox_withdraw(&d.box, &d.letters[1]);
    mailbox_deliver(&d.box);             /* the first withdraws the last, which was to come in the same delivery */
    assert_int_equal(d.delivered[0], 1);
    assert_int_equal(d.delivered[1], 0);
    assert_int_equal(d.delivered[2], 0);
    mailbox_free(&d.box);
}

static void nobody_is_woken_after_the_end(void **state)
{
    struct desk d;

    (void)state;
    begin(&d);
    mailbox_close(&d.box);
    mailbox_post(&d.box, &d.letters[0]);
    assert_int_equal(d.woken, 0);
    mailbox_withdraw(&d.box, &d.letters[0]);
    mailbox_free(&d.box);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(once_however_often_it_was_posted),
        cmocka_unit_test(what_is_posted_meanwhile_comes_next_time),
        cmocka_unit_test(not_after_it_was_withdrawn),
        cmocka_unit_test(nobody_is_woken_after_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
