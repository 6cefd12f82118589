"""The switch: from HTTP to a tunnel on a validated 101, and on nothing else."""
import frames
from frames import ACCEPT, TEXT, frame, handshake, read_close, read_frame, switch
from harness import Log, check, same
from messages import read_head, read_request, read_response, request, response

ADMIN = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"


def asked(t, sent=None, **options):
    """A handshake that has reached the backend: (gateway, backend, client, backend's connection, its head)."""
    backend = t.backend()
    gateway = t.simple(backend, **options)
    client = t.client(gateway).send(sent or handshake())
    server = backend.accept()
    return gateway, backend, client, server, read_head(server)


def test_good_101(t):
    _, _, client, server, seen = asked(t, handshake(fields=[("Sec-WebSocket-Protocol", "chat, superchat"), ("Cookie", "a=b"),
                                                            ("Origin", "http://a.example")]))
    same((seen.method, seen.target, seen.version), ("GET", "/ws", (1, 1)), "request line")
    same((seen.tokens("Connection"), seen.tokens("Upgrade")), (["upgrade"], ["websocket"]), "Connection and Upgrade")
    same((seen.all("Sec-WebSocket-Key"), seen.all("Sec-WebSocket-Version")), ([frames.KEY], ["13"]), "key and version")
    same((seen.get("Cookie"), seen.get("Origin")), ("a=b", "http://a.example"), "Cookie and Origin")
    check(seen.tokens("Via") == ["1.1 upgate"], "Via: %r", seen.all("Via"))
    server.send(switch(fields=[("Sec-WebSocket-Protocol", "superchat"), ("Set-Cookie", "c=d")]))
    reply = read_response(client)
    same((reply.status, reply.all("Sec-WebSocket-Accept")), (101, [ACCEPT]), "answer")
    same((reply.tokens("Connection"), reply.tokens("Upgrade")), (["upgrade"], ["websocket"]), "Connection and Upgrade")
    same((reply.get("Sec-WebSocket-Protocol"), reply.get("Set-Cookie")), ("superchat", "c=d"), "fields")
    check(not reply.has("Content-Length") and not reply.has("Transfer-Encoding"), "framing fields in a 101")
    client.send(frame(TEXT, b"there"))
    same(read_frame(server).payload, b"there", "frame")
    server.send(frame(TEXT, b"back", mask=False))
    same(read_frame(client).payload, b"back", "frame")


def test_case_and_spelling_do_not_matter(t):
    sent = (b"GET /ws HTTP/1.1\r\nhost: a\r\nCONNECTION: keep-alive, UPGRADE\r\nupgrade: WebSocket\r\n"
            b"sec-websocket-KEY: " + frames.KEY.encode() + b"\r\nSEC-websocket-version: 13\r\n\r\n")
    _, _, client, server, seen = asked(t, sent)
    same((seen.tokens("Connection"), seen.tokens("Upgrade")), (["upgrade"], ["websocket"]), "Connection and Upgrade")
    server.send(switch(upgrade=("WEBSOCKET",), connection="keep-alive, Upgrade"))
    same(read_response(client).status, 101, "status")


def bad_switch(t, answer, sent=None, poison=b"poisonous"):
    """The answer is a 502, nothing of it reaches the client, and both connections end."""
    gateway, _, client, server, _ = asked(t, sent)
    server.send(answer + frame(TEXT, poison, mask=False))
    reply = read_response(client)
    same(reply.status, 502, "status for %r" % answer)
    client.wait_end()
    check(poison not in client.received and b"X-Poison" not in client.received, "the bad answer reached the client")
    server.wait_end()
    record = gateway.wait_record(**{Log.STATUS: 502})
    check(record[Log.END] in ("switch_bad", "server_fault"), "end reason %r", record)


def test_accept_wrong(t):
    bad_switch(t, switch(frames.accept_for("AAAAAAAAAAAAAAAAAAAAAA==")))


def test_accept_missing(t):
    bad_switch(t, switch(None, [("X-Poison", "1")]))


def test_accept_case_changed(t):
    bad_switch(t, switch(ACCEPT.lower()))
    bad_switch(t, switch(ACCEPT.swapcase()))


def test_accept_twice(t):
    bad_switch(t, switch(ACCEPT, [("Sec-WebSocket-Accept", ACCEPT)]))
    bad_switch(t, switch(ACCEPT, [("Sec-WebSocket-Accept", "x")]))


def test_accept_cut_or_longer(t):
    for accept in [ACCEPT[:-1], ACCEPT + "=", ACCEPT + " x", '"%s"' % ACCEPT, ""]:
        bad_switch(t, switch(accept))


def test_subprotocol_not_offered(t):
    bad_switch(t, switch(fields=[("Sec-WebSocket-Protocol", "chat")]))
    offer = handshake(fields=[("Sec-WebSocket-Protocol", "chat, v2")])
    bad_switch(t, switch(fields=[("Sec-WebSocket-Protocol", "Chat")]), offer)
    bad_switch(t, switch(fields=[("Sec-WebSocket-Protocol", "chat, v2")]), offer)
    bad_switch(t, switch(fields=[("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Protocol", "v2")]), offer)


def test_subprotocol_offered_and_not_chosen_is_fine(t):
    _, _, client, server, _ = asked(t, handshake(fields=[("Sec-WebSocket-Protocol", "chat")]))
    server.send(switch())
    same(read_response(client).status, 101, "status")


def test_extension_not_offered(t):
    bad_switch(t, switch(fields=[("Sec-WebSocket-Extensions", "permessage-deflate")]))
    offer = handshake(fields=[("Sec-WebSocket-Extensions", "permessage-deflate")])
    bad_switch(t, switch(fields=[("Sec-WebSocket-Extensions", "x-webkit-deflate-frame")]), offer)
    bad_switch(t, switch(fields=[("Sec-WebSocket-Extensions", "permessage-deflate, x-more")]), offer)
    bad_switch(t, switch(fields=[("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=10")]), offer)
    bad_switch(t, switch(fields=[("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=99")]), offer)


def test_upgrade_field_missing_wrong_or_twice(t):
    bad_switch(t, switch(upgrade=()))
    bad_switch(t, switch(upgrade=("h2c",)))
    bad_switch(t, switch(upgrade=("websocket", "websocket")))
    bad_switch(t, switch(upgrade=("websocket", "h2c")))
    bad_switch(t, switch(upgrade=("websocket, h2c",)))


def test_connection_field_missing_or_wrong(t):
    bad_switch(t, switch(connection=None))
    bad_switch(t, switch(connection="keep-alive"))
    bad_switch(t, switch(connection="upgraded"))


def test_framing_fields_in_the_101(t):
    bad_switch(t, switch(fields=[("Content-Length", "0")]))
    bad_switch(t, switch(fields=[("Content-Length", "9")]))
    bad_switch(t, switch(fields=[("Transfer-Encoding", "chunked")]))


def test_101_of_http_1_0(t):
    bad_switch(t, switch(version="1.0"))


def test_101_with_a_malformed_field(t):
    bad_switch(t, switch(fields=[("Bad Name", "x")]))


def test_101_unasked(t):
    """To a plain GET, also when the answer would be valid for somebody: never taken for a 100 either."""
    for sent in [request(), request("POST", body=b"x"), request(fields=[("Upgrade", "websocket")])]:
        backend = t.backend()
        gateway = t.simple(backend)
        client = t.client(gateway).send(sent)
        server = backend.accept()
        read_request(server)
        server.send(switch() + response(200, b"poisonous"))
        same(read_response(client).status, 502, "status")
        check(b"poison" not in client.poll(), "the bad answer reached the client")
        server.wait_end()


def test_1xx_before_the_101_passes(t):
    _, _, client, server, _ = asked(t)
    server.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + switch())
    reply = read_response(client)
    same(([i.status for i in reply.interim], reply.status), ([103], 101), "answers")


def test_200_with_upgrade_is_an_ordinary_answer(t):
    _, _, client, server, _ = asked(t)
    server.send(response(200, b"not switched", [("Upgrade", "websocket"), ("Connection", "Upgrade"),
                                                ("Sec-WebSocket-Accept", ACCEPT)]))
    reply = read_response(client)
    same((reply.status, reply.body), (200, b"not switched"), "answer")
    check(not reply.has("Upgrade"), "Upgrade in a 200")
    server.wait_end()


def test_403_and_redirect_pass(t):
    for status, body in [(403, b"no"), (302, b""), (401, b"who"), (500, b"x" * 100000)]:
        gateway, _, client, server, _ = asked(t)
        server.send(response(status, body, [("X-Why", "because")]))
        reply = read_response(client)
        same((reply.status, reply.body, reply.get("X-Why")), (status, body, "because"), "answer")
        server.wait_end()
        gateway.wait_record(**{Log.STATUS: status})


def test_the_next_request_is_served_after_a_403(t):
    """Nothing waited behind the handshake: the client's connection is ordinary HTTP again, on another backend connection."""
    _, backend, client, server, _ = asked(t)
    server.send(response(403, b"no"))
    reply = read_response(client)
    same(reply.status, 403, "status")
    if "close" in reply.tokens("Connection"):
        client.wait_end()
        return
    client.send(request(target="/after"))
    fresh = backend.accept()
    same(read_request(fresh).target, "/after", "target")
    fresh.send(response())
    same(read_response(client).status, 200, "status")


def early(t, behind, answer, status):
    """Bytes in one segment with the handshake: none is at the backend before the answer. Returns both ends behind the answer."""
    gateway, backend, client, server, seen = asked(t, handshake() + behind)
    t.barrier(gateway, backend)
    same(server.poll(), b"", "early bytes at the backend")
    server.send(answer)
    same(read_response(client).status, status, "status")
    return gateway, backend, client, server


def test_early_frames_wait_for_the_101(t):
    sent = frame(TEXT, b"early") + frame(TEXT, b"birds")
    _, _, client, server = early(t, sent, switch(), 101)
    same((read_frame(server).payload, read_frame(server).payload), (b"early", b"birds"), "frames")


def test_early_half_frame_waits_for_the_101(t):
    whole = frame(TEXT, b"early")
    _, _, client, server = early(t, whole[:3], switch(), 101)
    client.send(whole[3:])
    same(read_frame(server).payload, b"early", "frame")


def test_early_request_never_reaches_the_backend_before_or_after_a_403(t):
    gateway, backend, client, server = early(t, ADMIN, response(403, b"no"), 403)
    client.wait_end()
    same(bytes(client.unread), b"", "bytes behind the 403")
    server.wait_end()
    same(bytes(server.unread), b"", "bytes at the backend")
    t.barrier(gateway, backend)
    check(all(b"/admin" not in conn.received for conn in backend.conns), "the smuggled request is at the backend")


def test_early_frames_never_reach_the_backend_after_a_200(t):
    _, backend, client, server = early(t, frame(TEXT, b"early", mask=b"\0\0\0\0"), response(200, b"page"), 200)
    client.wait_end()
    server.wait_end()
    check(all(b"early" not in conn.received for conn in backend.conns), "frames at the backend")


def test_early_request_dies_with_a_bad_101(t):
    _, backend, client, server = early(t, ADMIN, switch("x"), 502)
    client.wait_end()
    server.wait_end()
    check(all(b"/admin" not in conn.received for conn in backend.conns), "the smuggled request is at the backend")


def test_early_request_in_a_tunnel_is_a_frame_fault(t):
    """After a valid 101 the bytes are frames, and `GET /…` is no lawful one: 1002, and none of it passes."""
    _, _, client, server = early(t, ADMIN, switch(), 101)
    got = read_frame(server)
    check(got is None or got.opcode == frames.CLOSE, "at the backend: %r", got)
    check(b"/admin" not in server.received, "the smuggled request passed as frames")
    server.close()
    read_close(client, 1002)


def test_frames_behind_the_101_reach_the_client(t):
    _, _, client, server, _ = asked(t)
    server.send(switch() + frame(TEXT, b"first", mask=False) + frame(TEXT, b"second", mask=False))
    same(read_response(client).status, 101, "status")
    same((read_frame(client).payload, read_frame(client).payload), (b"first", b"second"), "frames")


def test_every_upgrade_has_a_fresh_connection_and_no_pool(t):
    backend = t.backend()
    gateway = t.simple(backend)
    client = t.client(gateway).send(request())
    kept = backend.accept()
    read_request(kept)
    kept.send(response())
    same(read_response(client).status, 200, "status")
    client.send(handshake())
    fresh = backend.accept()
    read_head(fresh)
    fresh.send(response(403, b"no"))
    same(read_response(client).status, 403, "status")
    fresh.wait_end()
    same(kept.poll(), b"", "bytes on the pooled connection")


def refused_offer(t, sent, status):
    """The gateway answers by itself, at once, and ends the connection; not a byte is at the backend."""
    backend = t.backend()
    gateway = t.simple(backend)
    client = t.client(gateway).send(sent)
    reply = read_response(client)
    same(reply.status, status, "status for %r" % sent[:400])
    client.wait_end()
    same(bytes(client.unread), b"", "bytes behind the answer")
    same(len(backend.waiting()), 0, "connections at the backend")
    return reply


def test_hixie_75(t):
    reply = refused_offer(t, b"GET /demo HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: a\r\n"
                             b"Origin: http://a\r\nWebSocket-Protocol: sample\r\n\r\n", 426)
    check(b"6455" in reply.body, "no helpful sentence: %r", reply.body)


def test_hixie_76(t):
    """Its eight nonce bytes are framed by nothing: no hang while waiting for them, and none at the backend."""
    head = (b"GET /demo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n"
            b"Sec-WebSocket-Protocol: sample\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\n"
            b"Origin: http://a\r\n\r\n")
    for nonce in [b"^n:ds[4U", b"GET /x\r\n", b""]:
        reply = refused_offer(t, head + nonce, 426)
        check(b"6455" in reply.body, "no helpful sentence: %r", reply.body)


def test_hybi_00_to_12_and_unknown_versions(t):
    for version in ["0", "4", "6", "7", "8", "12", "14", "255", "x", "13, 8", "013", "+13", ""]:
        reply = refused_offer(t, handshake(version=version), 426)
        same((reply.all("Sec-WebSocket-Version"), reply.tokens("Upgrade")), (["13"], ["websocket"]), "fields of the 426")


def test_version_missing_or_twice(t):
    refused_offer(t, handshake(version=None), 426)
    refused_offer(t, handshake(fields=[("Sec-WebSocket-Version", "8")]), 426)


def test_request_behind_a_426_is_not_read(t):
    refused_offer(t, handshake(version="8") + ADMIN, 426)


def test_key_missing_twice_or_malformed(t):
    for sent in [handshake(key=""), handshake(key="short"), handshake(key=frames.KEY[:-2]), handshake(key="!" * 24),
                 handshake(key="AAAAAAAAAAAAAAAAAAAAAB=="), handshake(key="AAAAAAAAAAAAAAAAAAAAAAAA"),
                 handshake(fields=[("Sec-WebSocket-Key", frames.KEY)])]:
        refused_offer(t, sent, 400)


def test_other_method_or_version(t):
    refused_offer(t, handshake().replace(b"GET", b"POST"), 400)
    refused_offer(t, handshake().replace(b"HTTP/1.1", b"HTTP/1.0"), 400)


def test_upgrade_with_a_body(t):
    refused_offer(t, handshake(fields=[("Content-Length", "5")]) + b"hello", 400)
    refused_offer(t, handshake(fields=[("Transfer-Encoding", "chunked")]) + b"5\r\nhello\r\n0\r\n\r\n", 400)


def test_malformed_offers(t):
    for name, value in [("Sec-WebSocket-Protocol", "a b"), ("Sec-WebSocket-Protocol", "a,a"), ("Sec-WebSocket-Extensions", "=x"),
                        ("Sec-WebSocket-Extensions", 'permessage-deflate; "x"')]:
        refused_offer(t, handshake(fields=[(name, value)]), 400)


def plain(t, sent):
    """Served as ordinary HTTP, and the backend saw no Upgrade."""
    _, _, client, server, seen = asked(t, sent)
    for name in ["Upgrade", "HTTP2-Settings"]:
        check(not seen.has(name), "%s at the backend: %r", name, seen)
    check("upgrade" not in seen.tokens("Connection"), "Connection at the backend: %r", seen)
    server.send(response(200, b"plain"))
    same(read_response(client).body, b"plain", "body")


def test_other_upgrade_tokens_are_stripped(t):
    plain(t, request(fields=[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
                             ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")]))
    plain(t, request(fields=[("Connection", "Upgrade"), ("Upgrade", "TLS/1.0")]))
    plain(t, request(fields=[("Connection", "Upgrade"), ("Upgrade", "websockets")]))
    plain(t, request(fields=[("Connection", "Upgrade"), ("Upgrade", "IRC/6.9")]))


def test_upgrade_without_connection_is_stripped(t):
    plain(t, request(fields=[("Upgrade", "websocket")]))


def test_websocket_off_strips_the_upgrade(t):
    backend = t.backend()
    client = t.client(t.simple(backend, websocket="off")).send(handshake())
    server = backend.accept()
    seen = read_request(server)
    check(not seen.has("Upgrade") and "upgrade" not in seen.tokens("Connection"), "an upgrade at the backend: %r", seen)
    server.send(switch())
    same(read_response(client).status, 502, "status")


def test_nominated_fields_are_removed_from_handshakes_too(t):
    sent = handshake(fields=[("Connection", "X-Secret, Sec-WebSocket-Key, Host, Via"), ("X-Secret", "1")])
    backend = t.backend()
    gateway = t.simple(backend)
    client = t.client(gateway).send(sent)
    server = backend.accept()
    seen = read_head(server)
    check(not seen.has("X-Secret"), "a nominated field at the backend")
    same((seen.all("Host"), seen.all("Sec-WebSocket-Key"), seen.tokens("Via")), (["test.example"], [frames.KEY], ["1.1 upgate"]),
         "what a client cannot nominate away")
    server.send(switch())
    same(read_response(client).status, 101, "status")


def test_handshake_timeout(t):
    gateway, _, client, server, _ = asked(t, websocket={"handshake_timeout": "300ms"})
    same(read_response(client).status, 504, "status")
    server.wait_end()
    gateway.wait_record(**{Log.STATUS: 504, Log.END: "handshake_timeout"})


def test_client_that_leaves_during_the_handshake(t):
    for end in ["close", "reset"]:
        _, _, client, server, _ = asked(t)
        getattr(client, end)()
        server.wait_end()


def test_pipelined_handshake_waits_for_the_answer_before(t):
    backend = t.backend()
    client = t.client(t.simple(backend)).send(request(target="/1") + handshake())
    first = backend.accept()
    read_request(first)
    same(len(backend.waiting()), 0, "connections before the first answer")
    first.send(response())
    same(read_response(client).status, 200, "status")
    second = backend.accept()
    read_head(second)
    second.send(switch())
    same(read_response(client).status, 101, "status")
