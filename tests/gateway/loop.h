/* loop: a real libuv loop for tests, turned until something is so, with a deadline. Include it before cmocka's users. */
#ifndef UPGATE_TESTS_GATEWAY_LOOP_H
#define UPGATE_TESTS_GATEWAY_LOOP_H

#include "gateway/ready.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <uv.h>

#include <cmocka.h>

#define LOOP_PATIENCE_MS 30000           /* long: only a failure takes it, or a machine that is very busy */

struct loop {
    uv_loop_t uv;
    uv_timer_t guard;
    bool late;
    struct ready_queue ready;
};

static inline void loop_on_guard(uv_timer_t *t)
{
    ((struct loop *)t->data)->late = true;
}

static inline void loop_begin(struct loop *l)
{
    assert_int_equal(uv_loop_init(&l->uv), 0);
    uv_timer_init(&l->uv, &l->guard);
    l->guard.data = l;
    l->late = false;
    ready_queue_init(&l->ready);
}

/* Nothing may be left in it. */
static inline void loop_end(struct loop *l)
{
    assert_true(ready_queue_empty(&l->ready));
    uv_close((uv_handle_t *)&l->guard, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&l->uv), 0);
}

static inline void loop_turn(struct loop *l)
{
    uv_run(&l->uv, ready_queue_empty(&l->ready) ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    ready_queue_run(&l->ready);
}

static inline void loop_turn_at_once(struct loop *l)
{
    uv_run(&l->uv, UV_RUN_NOWAIT);
    ready_queue_run(&l->ready);
}

/* Everything that is there already has happened after these. */
static inline void loop_settle(struct loop *l)
{
    for (int i = 0; i < 20; i++) {
        ready_queue_run(&l->ready);
        uv_run(&l->uv, UV_RUN_NOWAIT);
    }
}

/* TURN_UNTIL sleeps until the loop has something; DO_UNTIL does something itself before each turn. */
#define TURN_UNTIL(loop, what) DO_UNTIL_BY(loop, what, (void)0, loop_turn)
#define DO_UNTIL(loop, what, action) DO_UNTIL_BY(loop, what, action, loop_turn_at_once)
#define DO_UNTIL_BY(loop, what, action, turning)                              \
    do {                                                                      \
        bool came;                                                            \
        (loop)->late = false;                                                 \
        uv_update_time(&(loop)->uv);                                          \
        uv_timer_start(&(loop)->guard, loop_on_guard, LOOP_PATIENCE_MS, 0);   \
        while (!(came = (what)) && !(loop)->late) {                           \
            action;                                                           \
            turning(loop);                                                    \
        }                                                                     \
        uv_timer_stop(&(loop)->guard);                                        \
        if (!came)                       /* what comes late has come */       \
            fail_msg("did not come: %s", #what);                              \
    } while (0)

#endif
