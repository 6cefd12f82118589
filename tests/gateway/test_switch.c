/* The switch: what is asked of the server, how its 101 is judged, and that no byte crosses before. */
#include "tests/gateway/talk.h"

#include "tests/gateway/frames.h"

/* ---- the switch ---- */

static void a_good_101_makes_a_tunnel(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, WS_REQUEST), *server = world_server(&w, 0);
    size_t blocks;

    (void)state;
    expect_in(&server->got, "\r\nConnection: upgrade\r\n");
    expect_in(&server->got, "\r\nUpgrade: websocket\r\n");
    expect_in(&server->got, "\r\nSec-WebSocket-Key: " WS_KEY "\r\n");
    assert_int_equal(world_count(&w.services.tunnels), 0);
    says(&w, server, WS_101);
    expect_status(client, 101);
    expect_in(&client->got, "\r\nSec-WebSocket-Accept: " WS_ACCEPT "\r\n");
    assert_int_equal(world_count(&w.services.tunnels), 1);
    assert_int_equal(world_count(&w.services.clients), 0);
    expect_line(&w, 0, 101, "switched");
    blocks = mem_live_blocks();
    peer_frames(client, "text(hello)", true);
    world_run(&w);
    peer_frames(server, "text(world)", false);
    world_run(&w);
    expect_ends_with(&client->got, "\x81\x05world");
    assert_int_equal(mem_live_blocks(), blocks);
    peer_frames(client, "close(1000)", true);
    peer_frames(server, "close(1000)", false);
    peer_ends(client);
    peer_ends(server);
    world_run(&w);
    assert_int_equal(world_lines(&w, "tunnel"), 1);
    assert_string_equal(world_said(&w, "tunnel", 0, "end"), "closed");
    assert_int_equal(world_pooled(&w), 0);               /* a connection that saw an upgrade is never kept */
    world_end(&w);
}

static void what_stands_behind_the_101_is_the_tunnel_s(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, WS_REQUEST), *server = world_server(&w, 0);

    (void)state;
    peer_says(server, WS_101);
    peer_frames(server, "text(first)", false);           /* in the same segment */
    world_run(&w);
    expect_ends_with(&client->got, "\r\n\r\n\x81\x05" "first");
    world_kill_and_end(&w);
}

/* Mission A2. */
static void early_bytes_wait_for_a_good_101(void **state)
{
    static const char *const early[] = { "\x81\x85\x01\x02\x03\x04\x69\x67\x6f\x68\x6e",
                                         "GET /admin HTTP/1.1\r\nHost: a.test\r\n\r\n", "\x81", "x" };
    static const size_t pieces[] = { SIZE_MAX, 1, 64 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(early); i++) {
        for (size_t p = 0; p < COUNT_OF(pieces); p++) {
            struct world w;
            struct peer *client, *server;
            size_t head;

            world_begin(&w, conf);
            w.piece = pieces[p];
            client = world_client(&w);
            client->react = hang_up_when_finished;
            peer_says(client, WS_REQUEST);
            says(&w, client, early[i]);
            server = world_server(&w, 0);
            expect_ends_with(&server->got, "\r\n\r\n");
            head = server->got.n;
            world_sleep(&w, 3000);
            assert_int_equal(server->got.n, head);       /* not a byte */
            says(&w, server, WS_101);
            if (i == 0) {
                assert_int_equal(server->got.n, head + 11);
                assert_memory_equal(server->got.p + head, early[0], 11);
            }
            if (i == 1 || i == 3)                        /* is no frame: the server is told of a fault, and gets none of it */
                expect_not_in(&server->got, i == 1 ? "admin" : "\r\n\r\nx");
            world_kill_and_end(&w);
        }
    }
}

static void early_bytes_behind_a_refused_upgrade_go_nowhere(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, WS_REQUEST GET("/admin")), *server = world_server(&w, 0);

    (void)state;
    says(&w, server, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    expect_status(client, 403);
    expect_in(&client->got, "Connection: close\r\n");
    expect_ends_with(&client->got, "no");
    expect_not_in(&server->got, "admin");
    assert_int_equal(w.dials, 1);
    assert_true(client->fin);
    expect_line(&w, 0, 403, "switch_refused");
    world_end(&w);
    client = begin_with(&w, WS_REQUEST);                 /* without them the connection is as good as before */
    says(&w, world_server(&w, 0), "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    assert_false(client->fin);
    assert_int_equal(world_pooled(&w), 0);               /* … the server's is not used again */
    says(&w, client, GET("/next"));
    expect_in(&world_server(&w, 1)->got, "GET /next ");
    peer_ends(client);
    world_run(&w);
    world_kill_and_end(&w);
}

static void bytes_that_come_while_a_refusal_is_on_its_way(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, WS_REQUEST), *server = world_server(&w, 0);

    (void)state;
    says(&w, server, "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno");
    says(&w, client, GET("/admin"));
    says(&w, server, "pe");
    expect_ends_with(&client->got, "nope");
    assert_int_equal(w.dials, 1);
    assert_true(client->fin);
    world_end(&w);
}

#define WS_101_WITH(fields) "HTTP/1.1 101 Switching Protocols\r\n" fields "\r\n"
#define WS_UPGRADE "Upgrade: websocket\r\n"
#define WS_CONNECTION "Connection: Upgrade\r\n"
#define WS_ACCEPT_FIELD "Sec-WebSocket-Accept: " WS_ACCEPT "\r\n"

static void bad_101s_are_502_and_nothing_of_them_passes(void **state)
{
    static const struct {
        const char *answer, *fault;
    } rows[] = {
        { WS_101_WITH(WS_UPGRADE WS_CONNECTION), "ws_accept" },
        { WS_101_WITH(WS_UPGRADE WS_CONNECTION "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOO=\r\n"), "ws_accept" },
        { WS_101_WITH(WS_UPGRADE WS_CONNECTION "Sec-WebSocket-Accept: S3PPLMBITXAQ9KYGZZHZRBK+XOO=\r\n"), "ws_accept" },
        { WS_101_WITH(WS_UPGRADE WS_CONNECTION WS_ACCEPT_FIELD WS_ACCEPT_FIELD), "ws_accept" },
        { WS_101_WITH(WS_CONNECTION WS_ACCEPT_FIELD), "ws_upgrade_field" },
        { WS_101_WITH(WS_UPGRADE WS_UPGRADE WS_CONNECTION WS_ACCEPT_FIELD), "ws_upgrade_field" },
        { WS_101_WITH("Upgrade: h2c\r\n" WS_CONNECTION WS_ACCEPT_FIELD), "ws_upgrade_field" },
        { WS_101_WITH(WS_UPGRADE WS_ACCEPT_FIELD), "ws_connection_field" },
        { WS_101_WITH(WS_UPGRADE WS_CONNECTION WS_ACCEPT_FIELD "Sec-WebSocket-Protocol: chat\r\n"), "ws_protocol" },
        { WS_101_WITH(WS_UPGRADE WS_CONNECTION WS_ACCEPT_FIELD "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
          "ws_extension" },
        { WS_101_WITH(WS_UPGRADE WS_CONNECTION WS_ACCEPT_FIELD "Content-Length: 0\r\n"), "ws_framing" },
        { "HTTP/1.0 101 Switching Protocols\r\n" WS_UPGRADE WS_CONNECTION WS_ACCEPT_FIELD "\r\n", "ws_answer_version" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct peer *client = begin_with(&w, WS_REQUEST), *server = world_server(&w, 0);
        says(&w, server, rows[i].answer);
        expect_status(client, 502);
        expect_not_in(&client->got, "\r\nSec-WebSocket");
        expect_line(&w, 0, 502, "switch_bad");
        assert_string_equal(world_said(&w, "exchange", 0, "fault"), rows[i].fault);
        assert_true(server->closed);
        assert_int_equal(world_count(&w.services.tunnels), 0);
        peer_ends(client);
        world_run(&w);
        world_end(&w);
    }
}

static void other_answers_to_an_upgrade_are_http(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, WS_REQUEST), *server = world_server(&w, 0);

    (void)state;
    /* mission A4 */
    says(&w, server, "HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 2\r\n\r\nhi");
    expect_status(client, 200);
    expect_not_in(&client->got, "websocket");
    expect_ends_with(&client->got, "hi");
    assert_int_equal(world_count(&w.services.tunnels), 0);
    leave(&w, client);
    client = begin_with(&w, WS_REQUEST);                 /* 1xx before a 101 */
    server = world_server(&w, 0);
    says(&w, server, "HTTP/1.1 103 Early Hints\r\n\r\n" WS_101);
    expect_in(&client->got, "HTTP/1.1 101 ");
    world_kill_and_end(&w);
    client = begin_with(&w, WS_REQUEST);                 /* the server goes without a word */
    peer_ends(world_server(&w, 0));
    world_run(&w);
    expect_status(client, 502);
    peer_ends(client);
    world_run(&w);
    world_end(&w);
}

static void offers_that_are_refused_at_once(void **state)
{
    static const struct {
        const char *request;
        unsigned status;
        const char *end;
    } rows[] = {
        { "GET /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
          "Sec-WebSocket-Key: " WS_KEY "\r\n\r\n", 426, "refused" },
        { "GET /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key1: 1 8\r\n"
          "Sec-WebSocket-Key2: 1 2\r\n\r\n12345678", 426, "refused" },           /* hixie-76, its nonce behind it: mission A3 */
        { "GET /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Key: short\r\n\r\n", 400, "refused" },
        { "POST /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Key: " WS_KEY "\r\nContent-Length: 3\r\n\r\nabc", 400, "refused" },
        { "GET /pages HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Key: " WS_KEY "\r\nOrigin: https://evil.test\r\n\r\n", 403, "origin" },
        { WS_REQUEST_TO("/pages"), 403, "origin" },
        { "GET /pages HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
          "Sec-WebSocket-Key: " WS_KEY "\r\nOrigin: https://a.test\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", 403, "protocol" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct world w;
        struct peer *client = begin_with(&w, rows[i].request);
        expect_status(client, rows[i].status);
        expect_line(&w, 0, rows[i].status, rows[i].end);
        assert_int_equal(w.dials, 0);
        if (rows[i].status == 426)
            expect_in(&client->got, "\r\nSec-WebSocket-Version: 13\r\n");
        assert_true(client->fin && client->closed);
        world_end(&w);
    }
}

static void an_offer_is_narrowed_to_what_the_route_allows(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, "GET /pages HTTP/1.1\r\nHost: a.test\r\n" WS_OFFER_FIELDS "Origin: https://a.test\r\n"
                                         "Sec-WebSocket-Protocol: mqtt, news\r\nSec-WebSocket-Protocol: chat\r\n"
                                         "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
    struct peer *server = world_server(&w, 0);

    (void)state;
    expect_in(&server->got, "\r\nSec-WebSocket-Protocol: news, chat\r\n");
    expect_not_in(&server->got, "mqtt");
    expect_not_in(&server->got, "deflate");
    says(&w, server, WS_101_WITH(WS_UPGRADE WS_CONNECTION WS_ACCEPT_FIELD "Sec-WebSocket-Protocol: chat\r\n"));
    expect_status(client, 101);
    expect_in(&client->got, "\r\nSec-WebSocket-Protocol: chat\r\n");
    world_kill_and_end(&w);
}

static void where_websockets_are_off_upgrade_is_stripped(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, WS_REQUEST_TO("/nows"));

    (void)state;
    expect_not_in(&world_server(&w, 0)->got, "pgrade");
    says(&w, world_server(&w, 0), "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n");
    expect_status(client, 426);
    leave(&w, client);
}

static void the_upgrade_is_not_answered(void **state)
{
    struct world w;
    struct peer *client = begin_with(&w, WS_REQUEST_TO("/quick"));

    (void)state;
    world_sleep(&w, 3900);
    assert_int_equal(client->got.n, 0);
    world_sleep(&w, 200);
    expect_status(client, 504);
    expect_line(&w, 0, 504, "handshake_timeout");
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_101_makes_a_tunnel),
        cmocka_unit_test(what_stands_behind_the_101_is_the_tunnel_s),
        cmocka_unit_test(early_bytes_wait_for_a_good_101),
        cmocka_unit_test(early_bytes_behind_a_refused_upgrade_go_nowhere),
        cmocka_unit_test(bytes_that_come_while_a_refusal_is_on_its_way),
        cmocka_unit_test(bad_101s_are_502_and_nothing_of_them_passes),
        cmocka_unit_test(other_answers_to_an_upgrade_are_http),
        cmocka_unit_test(offers_that_are_refused_at_once),
        cmocka_unit_test(an_offer_is_narrowed_to_what_the_route_allows),
        cmocka_unit_test(where_websockets_are_off_upgrade_is_stripped),
        cmocka_unit_test(the_upgrade_is_not_answered),
    };

    return cmocka_run_group_tests(tests, talk_load, talk_unload);
}
