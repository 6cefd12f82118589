/* The Nth failure: a good run is counted, and then repeated with each of its allocations failing in turn; and the same for
 * dials and for writes. Nobody crashes, nobody is left behind, nobody waits in vain: the client gets its answers, or sees its
 * connection end. */
#include "tests/gateway/origin.h"

#include "tests/gateway/play.h"

static const char *const conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main } ]\n"
    "timeouts: { drain_spread: 0ms }\n"
    "upstreams: { app: { servers: [ 127.0.0.1:9001, 127.0.0.1:9002 ], retries: 1 } }\n"
    "routes: [ { upstream: app, match: { host: a.test }, websocket: { verify: utf8, protocols: [ chat ], "
    "origins: [ \"https://a.test\" ] } } ]\n";

static struct conf *conf;

static int load(void **state)
{
    (void)state;
    conf = world_conf(conf_text);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    conf_free(conf);
    return 0;
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a.test\r\nUser-Agent: test\r\n\r\n"
#define OFFER_TO(target)                                                                   \
    "GET " target " HTTP/1.1\r\nHost: a.test\r\nOrigin: https://a.test\r\n" WS_OFFER_FIELDS \
    "Sec-WebSocket-Protocol: mqtt, chat\r\n\r\n"
#define OFFER OFFER_TO("/ws")

/* ---- peers that perform by themselves ---- */

static struct span behind_head(const struct peer *p)
{
    const uint8_t *end = p->got.n > 0 ? memmem(p->got.p, p->got.n, "\r\n\r\n", 4) : NULL;

    return end != NULL ? span_of(end + 4, p->got.n - (size_t)(end + 4 - p->got.p)) : SPAN_EMPTY;
}

static bool has_frame(const struct peer *p, uint8_t first)
{
    struct span s = behind_head(p);

    for (size_t at = 0; at < s.n;) {
        struct ws_head h;
        int size = ws_head_parse(s.p + at, s.n - at, &h);
        if (size <= 0)
            return false;
        if (s.p[at] == first && s.n - at - (size_t)size >= h.length)
            return true;
        at += (size_t)size + (size_t)h.length;
    }
    return false;
}

static void give_once(struct peer *p, size_t step, const char *frames, bool masked)
{
    if (p->step >= step || p->ends != STREAM_OPEN)
        return;
    p->step = step;
    peer_frames(p, frames, masked);
}

/* Says something when the tunnel stands, then closes, and goes when the Close came back. */
static void chatting_client(struct peer *p)
{
    if (strncmp(bytes_text(&p->got), "HTTP/1.1 101", 12) == 0 && memmem(p->got.p, p->got.n, "\r\n\r\n", 4) != NULL)
        give_once(p, 1, "text(κόσμε) frag(a) ping(x) end(b)", true);
    if (has_frame(p, 0x8a))
        give_once(p, 2, "close(1000,bye)", true);
    if (has_frame(p, 0x88) || p->fin)
        peer_ends(p);
}

static void faulty_client(struct peer *p)
{
    if (strncmp(bytes_text(&p->got), "HTTP/1.1 101", 12) == 0)
        give_once(p, 1, "text(a) text(\xff)", true);
    if (has_frame(p, 0x88) || p->fin)
        peer_ends(p);
}

static void chatting_server(struct peer *p)
{
    if (p->step == 0 && strstr(bytes_text(&p->got), "\r\n\r\n") != NULL && p->ends == STREAM_OPEN) {
        p->step = 1;
        peer_says(p, WS_101_HEAD "Sec-WebSocket-Accept: " WS_ACCEPT "\r\nSec-WebSocket-Protocol: chat\r\n\r\n");
        peer_frames(p, "text(welcome)", false);
    }
    if (has_frame(p, 0x89))
        give_once(p, 2, "pong(x) bin(y)", false);
    if (has_frame(p, 0x88)) {
        give_once(p, 3, "close(1000)", false);
        peer_ends(p);
    }
    if (p->fin)
        peer_ends(p);
}

static void chatting_server_new(struct world *w, struct peer *p)
{
    (void)w;
    p->react = chatting_server;
}

/* ---- runs ---- */

static const struct run {
    const char *name;
    const char *says;
    unsigned answers;                    /* final ones, when all is well */
    void (*client)(struct peer *p);
    void (*server)(struct world *w, struct peer *p);
    enum dial_plan first_dial;
    const char *end;                     /* of the tunnel, when all is well */
    bool drain;
} runs[] = {
    { "a request", GET("/plain"), 1, hang_up_when_finished, origin_new, DIAL_GIVES, NULL, false },
    { "a body and trailers, both ways",
      "PUT /chunked HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
      1, hang_up_when_finished, origin_new, DIAL_GIVES, NULL, false },
    { "requests one behind the other",
      GET("/plain") GET("/chunked") GET("/100") "HEAD /plain HTTP/1.1\r\nHost: a.test\r\n\r\n" GET("/last"), 5,
      hang_up_when_finished, origin_new, DIAL_GIVES, NULL, false },
    { "an answer until the end", GET("/close"), 1, hang_up_when_finished, origin_new, DIAL_GIVES, NULL, false },
    { "the first server refuses", GET("/plain"), 1, hang_up_when_finished, origin_new, DIAL_REFUSED, NULL, false },
    { "refused by us", "GET / HTTP/1.1\r\n\r\n", 1, hang_up_when_finished, origin_new, DIAL_GIVES, NULL, false },
    { "an old WebSocket",
      "GET / HTTP/1.1\r\nHost: a.test\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key1: 1 8\r\n\r\n", 1,
      hang_up_when_finished, origin_new, DIAL_GIVES, NULL, false },
    { "no route", "GET / HTTP/1.1\r\nHost: b.test\r\n\r\n", 1, hang_up_when_finished, origin_new, DIAL_GIVES, NULL, false },
    { "a bad 101", OFFER_TO("/bad"), 1, hang_up_when_finished, origin_new, DIAL_GIVES, NULL, false },
    { "a tunnel", OFFER, 1, chatting_client, chatting_server_new, DIAL_GIVES, "closed", false },
    { "a tunnel with a fault", OFFER, 1, faulty_client, chatting_server_new, DIAL_GIVES, "client_frame_fault", false },
    { "a tunnel, drained", OFFER, 1, hang_up_when_finished, chatting_server_new, DIAL_GIVES, "drained", true },
};

static unsigned final_answers(const struct peer *client)
{
    const char *text = bytes_text(&client->got);

    return (unsigned)(count_text(text, "HTTP/1.1 ") - count_text(text, "HTTP/1.1 100 "));
}

/* Everything until it is over; what may fail is chosen by the caller before. */
static struct peer *perform(struct world *w, const struct run *r)
{
    struct peer *client = world_client(w);

    client->react = r->client;
    if (!client->closed)
        peer_says(client, r->says);
    world_run(w);
    if (r->drain)
        world_drain(w);
    world_run(w);
    if (r->drain)
        world_sleep(w, 8);
    if (r->drain && client->ends == STREAM_OPEN && world_count(&w->services.tunnels) > 0)
        peer_frames(client, "close(1012)", true);
    world_run(w);
    return client;
}

static void begin_run(struct world *w, const struct run *r, size_t piece)
{
    world_begin(w, conf);
    w->piece = w->grain = piece;
    w->on_server = r->server;
    w->plan[0] = r->first_dial;
}

static void finish_run(struct world *w, struct peer *client, const struct run *r, const char *what, size_t nth)
{
    if (!client->closed && !client->fin && final_answers(client) < r->answers)
        fail_msg("%s: %s %zu fails, and the client waits in vain; it got `%s`\n%s", r->name, what, nth, bytes_text(&client->got),
                 bytes_text(&w->log));
    peer_ends(client);
    world_sleep(w, 400000);
    if (world_living(w) != 0)
        fail_msg("%s: %s %zu fails, and %zu are still there", r->name, what, nth, world_living(w));
    assert_int_equal(w->metrics.exchanges, world_lines(w, "exchange") + w->metrics.access_lines_dropped);
    world_end(w);
}

static size_t good_run(const struct run *r, size_t piece, size_t *writes_out)
{
    struct world w;
    struct peer *client;
    size_t calls;

    begin_run(&w, r, piece);
    calls = mem_calls();
    client = perform(&w, r);
    calls = mem_calls() - calls;
    assert_int_equal(final_answers(client), r->answers);
    *writes_out = client->got.n;
    peer_ends(client);
    world_run(&w);
    if (r->end != NULL && strcmp(world_said(&w, "tunnel", 0, "end"), r->end) != 0)
        fail_msg("%s: ended as %s", r->name, world_said(&w, "tunnel", 0, "end"));
    finish_run(&w, client, r, "nothing", 0);
    return calls;
}

static void each_allocation_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        for (size_t piece = 1; piece <= 2; piece++) {
            size_t writes, calls = good_run(&runs[i], piece == 1 ? SIZE_MAX : 1, &writes);
            assert_true(calls > 5);
            for (size_t nth = 1; nth <= calls; nth++) {
                struct world w;
                struct peer *client;
                begin_run(&w, &runs[i], piece == 1 ? SIZE_MAX : 1);
                mem_fail_nth(nth);
                client = perform(&w, &runs[i]);
                mem_fail_nth(0);
                finish_run(&w, client, &runs[i], "allocation", nth);
            }
        }
    }
}

/* Memory is gone for a while, not for one call: this one and the next three fail. */
static void several_allocations_fail(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        size_t writes, calls = good_run(&runs[i], SIZE_MAX, &writes);
        for (size_t nth = 1; nth <= calls; nth++) {
            struct world w;
            struct peer *client;
            begin_run(&w, &runs[i], SIZE_MAX);
            mem_fail_nth(nth);
            client = world_client(&w);
            client->react = runs[i].client;
            if (!client->closed)
                peer_says(client, runs[i].says);
            for (int turn = 0; turn < 4; turn++) {       /* each turn of the loop its own failure */
                ready_queue_run(&w.ready);
                world_react(&w);
                mem_fail_nth(1);
            }
            mem_fail_nth(0);
            world_run(&w);
            finish_run(&w, client, &runs[i], "allocations from", nth);
        }
    }
}

static void each_dial_fails(void **state)
{
    static const enum dial_plan plans[] = { DIAL_REFUSED, DIAL_UNRESOLVED };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        for (size_t nth = 0; nth < 4; nth++) {
            for (size_t p = 0; p < COUNT_OF(plans); p++) {
                struct world w;
                struct peer *client;
                begin_run(&w, &runs[i], SIZE_MAX);
                w.plan[nth] = plans[p];
                client = perform(&w, &runs[i]);
                finish_run(&w, client, &runs[i], "dial", nth);
            }
        }
    }
}

/* The client's connection, and then each server's, fails after so many bytes. */
static size_t servers_fail_at;
static void (*server_reacts)(struct peer *p);

static void frail_server(struct peer *p)
{
    if (p->stream != NULL && p->stream->base.output_error != 0)
        peer_resets(p);
    else
        server_reacts(p);
}

static void frail_server_new(struct world *w, struct peer *p)
{
    ((const struct run *)w->ctx)->server(w, p);
    server_reacts = p->react;
    p->react = frail_server;
    p->fails_at = servers_fail_at;
}

static void each_write_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(runs); i++) {
        size_t writes;
        good_run(&runs[i], SIZE_MAX, &writes);
        for (size_t at = 0; at < 900; at += at < 20 ? 1 : 13) {
            struct world w;
            struct peer *client;
            begin_run(&w, &runs[i], SIZE_MAX);
            w.grain = 1 + at % 40;
            w.ctx = (void *)(uintptr_t)&runs[i];
            w.on_server = frail_server_new;
            servers_fail_at = at;
            client = perform(&w, &runs[i]);
            finish_run(&w, client, &runs[i], "a server's byte", at);
            if (at > writes)
                continue;
            begin_run(&w, &runs[i], SIZE_MAX);
            client = world_client(&w);
            client->fails_at = at;
            client->react = runs[i].client;
            peer_says(client, runs[i].says);
            world_run(&w);
            peer_resets(client);
            world_run(&w);
            finish_run(&w, client, &runs[i], "the client's byte", at);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(several_allocations_fail),
        cmocka_unit_test(each_dial_fails),
        cmocka_unit_test(each_write_fails),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
