/* The ready queue: in order, one round at a time, and nobody twice. */
#include "gateway/ready.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define NODES 5

struct node {
    struct ready ready;
    void (*then)(struct node *n);
};

static struct ready_queue queue;
static struct node nodes[NODES];
static size_t order[64], order_n;

static void on_ready(struct ready *r)
{
    struct node *n = LIST_OWNER(r, struct node, ready);

    order[order_n++] = (size_t)(n - nodes);
    if (n->then != NULL)
        n->then(n);
}

static void begin(void)
{
    ready_queue_init(&queue);
    order_n = 0;
    for (size_t i = 0; i < NODES; i++) {
        ready_init(&nodes[i].ready, on_ready);
        nodes[i].then = NULL;
    }
}

static void add(size_t i)
{
    ready_add(&queue, &nodes[i].ready);
}

static void expect_order(size_t n, const size_t *due)
{
    assert_int_equal(order_n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(order[i], due[i]);
    order_n = 0;
}

static void in_the_order_of_adding_and_once(void **state)
{
    (void)state;
    begin();
    ready_queue_run(&queue);
    expect_order(0, NULL);
    assert_true(ready_queue_empty(&queue));
    add(2);
    add(0);
    add(2);
    add(1);
    assert_false(ready_queue_empty(&queue));
    ready_queue_run(&queue);
    expect_order(3, (size_t[]){ 2, 0, 1 });
    assert_true(ready_queue_empty(&queue));
    ready_queue_run(&queue);
    expect_order(0, NULL);
}

static void add_me_and_the_fourth(struct node *n)
{
    ready_add(&queue, &n->ready);
    add(4);
}

static void what_is_added_while_it_runs_waits_for_the_next_round(void **state)
{
    (void)state;
    begin();
    nodes[0].then = add_me_and_the_fourth;
    add(0);
    add(1);
    ready_queue_run(&queue);
    expect_order(2, (size_t[]){ 0, 1 });
    ready_queue_run(&queue);
    expect_order(2, (size_t[]){ 0, 4 });
    nodes[0].then = NULL;
    ready_queue_run(&queue);
    expect_order(1, (size_t[]){ 0 });    /* the fourth was still waiting when it was added again */
    assert_true(ready_queue_empty(&queue));
}

static void add_the_next_that_waits_already(struct node *n)
{
    (void)n;
    add(1);
}

static void one_that_still_waits_in_this_round_is_not_called_twice(void **state)
{
    (void)state;
    begin();
    nodes[0].then = add_the_next_that_waits_already;
    add(0);
    add(1);
    ready_queue_run(&queue);
    expect_order(2, (size_t[]){ 0, 1 });
    assert_true(ready_queue_empty(&queue));
}

static void cancel_the_next(struct node *n)
{
    (void)n;
    ready_cancel(&nodes[1].ready);
    ready_cancel(&nodes[1].ready);
    ready_cancel(&nodes[3].ready);
}

static void cancelled_before_and_while_it_runs(void **state)
{
    (void)state;
    begin();
    ready_cancel(&nodes[0].ready);
    add(0);
    ready_cancel(&nodes[0].ready);
    assert_true(ready_queue_empty(&queue));
    nodes[0].then = cancel_the_next;
    add(0);
    add(1);
    add(2);
    add(3);
    ready_queue_run(&queue);
    expect_order(2, (size_t[]){ 0, 2 });
    add(1);                              /* and may come again */
    ready_queue_run(&queue);
    expect_order(1, (size_t[]){ 1 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_the_order_of_adding_and_once),
        cmocka_unit_test(what_is_added_while_it_runs_waits_for_the_next_round),
        cmocka_unit_test(one_that_still_waits_in_this_round_is_not_called_twice),
        cmocka_unit_test(cancelled_before_and_while_it_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
