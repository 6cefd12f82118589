#include "gateway/tls_rest.h"
#include "gateway/tls_sessions.h"

#include <assert.h>
#include <errno.h>

int tls_loop_init(struct tls_loop *l, const struct tls_loop_start *start)
{
    *l = (struct tls_loop){
        .ready = start->ready,
        .timers = start->timers,
        .metrics = start->metrics,
        .helpers = start->helpers,
        .places_max = start->places,
        .sessions = tls_sessions_new(),
        .plain = mem_alloc(TLS_PLAIN_BYTES),
        .join = mem_alloc(TLS_RECORD_BYTES),
        .cipher = mem_alloc(TLS_CIPHER_BYTES),
    };
    partings_init(&l->partings, start->timers);
    list_init(&l->queue);
    list_init(&l->stalled);
    timer_init(&l->give_way, NULL);      /* tls_handshake.c says what happens then */
    if (tls_home_init(&l->home, start->wake, start->ctx) == 0 && l->sessions != NULL && l->plain != NULL && l->join != NULL &&
        l->cipher != NULL)
        return 0;
    tls_loop_free(l);
    return -ENOMEM;
}

static void wipe(uint8_t *scratch, size_t n)
{
    if (scratch != NULL)
        mbedtls_platform_zeroize(scratch, n);
    mem_free(scratch);
}

void tls_loop_free(struct tls_loop *l)
{
    assert(l->open == 0 && l->partings.n == 0 && list_empty(&l->queue) && list_empty(&l->stalled) && l->places == 0);
    timer_clear(l->timers, &l->give_way);
    tls_home_free(&l->home);
    tls_sessions_free(l->sessions);
    tls_buffers_free(&l->buffers);
    wipe(l->plain, TLS_PLAIN_BYTES);
    wipe(l->join, TLS_RECORD_BYTES);
    mem_free(l->cipher);
}
