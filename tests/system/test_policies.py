"""What a route allows: origins, subprotocols, compression, rates, sizes; and the handshakes from before RFC 6455."""
import time

import frames
from endpoints import Reader, expect_close
from frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, close_payload, frame, handshake, read_frame, switch
from harness import Log, check, same, yaml
from messages import read_head, read_request, read_response, request, response
from wire import SLOWNESS


class Door:
    """A gateway with these websocket keys, before a backend whose connections the test accepts."""

    def __init__(self, t, **websocket):
        self.t, self.backend = t, t.backend()
        self.gateway = t.simple(self.backend, websocket=dict({"close_timeout": "5s", "ping_interval": "off"}, **websocket))

    def knock(self, fields=(), sent=None):
        return self.t.client(self.gateway).send(sent or handshake(fields=fields))

    def opens(self, fields=(), answer=(), sent=None):
        """The handshake goes through; (the backend's view of it, client, server)."""
        client = self.knock(fields, sent)
        server = self.backend.accept()
        seen = read_head(server)
        server.send(switch(frames.accept_for(seen.get("Sec-WebSocket-Key")), answer))
        same(read_response(client).status, 101, "status for %r" % (fields,))
        return seen, client, server

    def refuses(self, status, end, fields=(), sent=None):
        """The gateway answers by itself, the connection ends, and not a byte is at the backend."""
        client = self.knock(fields, sent)
        reply = read_response(client)
        same(reply.status, status, "status for %r" % (fields or sent,))
        client.wait_end()
        same(bytes(client.unread), b"", "bytes behind the answer")
        same(len(self.backend.waiting()), 0, "connections at the backend")
        record = self.gateway.wait_record(**{Log.STATUS: status})
        same(record[Log.END], end, "end reason for %r" % (fields,))
        self.gateway.records.remove(record)
        return reply

    def bad_answer(self, offer, answer):
        """The backend's 101 is a 502 to the client, and nothing of it gets there."""
        client = self.knock(offer)
        server = self.backend.accept()
        seen = read_head(server)
        server.send(switch(fields=list(answer) + [("X-Poison", "1")]) + frame(TEXT, b"poison", mask=False))
        same(read_response(client).status, 502, "status for %r" % (answer,))
        client.wait_end()
        check(b"oison" not in client.received, "the bad answer reached the client")
        server.wait_end()
        return seen


# origins

def origin(*values):
    return [("Origin", value) for value in values]


ORIGINS = ["https://app.example", "http://app.example:8080", "http://127.0.0.1:3000", "null"]


def test_origins_that_are_listed(t):
    door = Door(t, origins=ORIGINS)
    for value in ORIGINS:
        seen, _, _ = door.opens(origin(value))
        same(seen.all("Origin"), [value], "Origin at the backend")


def test_origins_that_are_not(t):
    """Scheme, host and port, exactly; a browser writes them in one way only. Nothing of a refused one is at the backend."""
    door = Door(t, origins=ORIGINS)
    for value in ["http://app.example", "https://app.example:443", "https://app.example:8443", "http://app.example:80801",
                  "http://app.example:808", "https://app.example.evil.test", "https://evil.test", "https://xapp.example",
                  "https://app.exampl", "https://app.example/", "https://app.example/path", "HTTPS://app.example",
                  "https://APP.example",
                  "Null", "NULL", "",
                  "https://user@app.example", "https://app.example https://evil.test", "https://app.example, https://app.example",
                  "null, https://app.example", "https:app.example", "app.example", "*", "\"null\""]:
        reply = door.refuses(403, "origin", origin(value))
        check(b"origin" in reply.body, "no sentence: %r", reply.body)


def test_origin_missing_or_twice(t):
    door = Door(t, origins=ORIGINS)
    door.refuses(403, "origin")
    door.refuses(403, "origin", origin(ORIGINS[0], ORIGINS[0]))
    door.refuses(403, "origin", origin(ORIGINS[0], "https://evil.test"))
    door.refuses(403, "origin", origin("https://evil.test", ORIGINS[0]))


def test_origin_null_only_if_listed(t):
    Door(t, origins=ORIGINS[:2]).refuses(403, "origin", origin("null"))


def test_origins_absent_is_any(t):
    door = Door(t)
    for fields in [[], origin("https://anybody.test"), origin("null")]:
        door.opens(fields)


def test_origins_are_for_websockets_only(t):
    """An ordinary request of another page goes through: its own rules are the application's."""
    door = Door(t, origins=ORIGINS)
    client = door.knock(sent=request(fields=origin("https://evil.test")))
    server = door.backend.accept()
    read_request(server)
    server.send(response(200, b"page"))
    same(read_response(client).status, 200, "status")


def test_early_bytes_behind_a_refused_origin(t):
    door = Door(t, origins=ORIGINS)
    sent = handshake(fields=origin("https://evil.test"))
    door.refuses(403, "origin", sent=sent + request(target="/admin"))
    door.refuses(403, "origin", sent=sent + frame(TEXT, b"early"))


# subprotocols

def protocol(*values):
    return [("Sec-WebSocket-Protocol", value) for value in values]


def test_protocols_are_filtered(t):
    door = Door(t, protocols=["chat.v2", "chat.v1"])
    for offer, onward in [(["chat.v1, chat.v2"], ["chat.v1", "chat.v2"]), (["evil, chat.v1"], ["chat.v1"]),
                          (["evil", "chat.v2", "other, chat.v1"], ["chat.v2", "chat.v1"]),
                          (["chat.v2,chat.v22,CHAT.v1"], ["chat.v2"])]:
        seen, _, _ = door.opens(protocol(*offer), protocol(onward[0]))
        same(",".join(seen.all("Sec-WebSocket-Protocol")).replace(" ", "").split(","), onward, "the offer at the backend")


def test_protocols_chosen_is_passed_and_recorded(t):
    door = Door(t, protocols=["chat.v2", "chat.v1"])
    client = door.knock(protocol("evil, chat.v1, chat.v2"))
    server = door.backend.accept()
    read_head(server)
    server.send(switch(fields=protocol("chat.v2")))
    same(read_response(client).all("Sec-WebSocket-Protocol"), ["chat.v2"], "the choice at the client")
    client.close()
    server.close()
    same(door.gateway.wait_record(**{Log.KIND: "tunnel"})["protocol"], "chat.v2", "the choice in the record")


def test_protocols_none_of_which_is_allowed(t):
    door = Door(t, protocols=["chat.v2"])
    for offer in [["evil"], ["chat.v1, chat.v3"], ["Chat.v2"], ["a", "b", "c"]]:
        door.refuses(403, "protocol", protocol(*offer))


def test_protocols_not_offered_at_all(t):
    """The list narrows an offer; it does not ask for one."""
    seen, _, _ = Door(t, protocols=["chat.v2"]).opens()
    check(not seen.has("Sec-WebSocket-Protocol"), "an offer at the backend: %r", seen)


def test_protocols_answer_that_was_not_offered_onward(t):
    """The client offered it, the gateway did not: the answer is no answer to the gateway's request."""
    door = Door(t, protocols=["chat.v2"])
    for answer in [protocol("evil"), protocol("chat.v2, evil"), protocol(
        "CHAT.V2"), protocol("chat.v2", "chat.v2"), protocol("")]:
        door.bad_answer(protocol("evil, chat.v2"), answer)


# compression

def extensions(*values):
    return [("Sec-WebSocket-Extensions", value) for value in values]


DEFLATE = extensions("permessage-deflate")


def test_compression_strip(t):
    """The offer is not forwarded; no extension can be agreed on, and so no reserved bit is lawful."""
    door = Door(t, compression="strip")
    for offer in [DEFLATE, DEFLATE + DEFLATE, extensions("permessage-deflate; client_max_window_bits, x-other; a=b")]:
        seen, client, server = door.opens(offer)
        check(not seen.has("Sec-WebSocket-Extensions"), "an offer at the backend: %r", seen)
        client.send(frame(TEXT, b"x", rsv=4))
        expect_close(Reader(server, True), 1011)
        server.close()
        expect_close(Reader(client, False), 1002)
        client.close()
        record = door.gateway.wait_record(**{Log.KIND: "tunnel"})
        same((record["compression"], record["fault"]), ("none", "ws_rsv"), "record")
        door.gateway.records.clear()


def test_compression_strip_and_an_answer_with_an_extension(t):
    door = Door(t, compression="strip")
    for answer in [DEFLATE, extensions("permessage-deflate; server_no_context_takeover"), extensions("x-other"), extensions("")]:
        seen = door.bad_answer(DEFLATE, answer)
        check(not seen.has("Sec-WebSocket-Extensions"), "an offer at the backend: %r", seen)


# pmd is permessage-deflate: offer, answers that fit it, answers that do not (RFC 7692 section 7.1)
PARAMETERS = [
    ("pmd",
     ["pmd", "pmd; server_no_context_takeover", "pmd; client_no_context_takeover",
      "pmd; server_max_window_bits=8", "pmd;server_max_window_bits=\"15\"",
      "pmd; client_no_context_takeover; server_no_context_takeover; server_max_window_bits=10"],
     ["pmd; client_max_window_bits=15", "pmd; server_max_window_bits", "pmd; server_max_window_bits=7",
      "pmd; server_max_window_bits=16",
      "pmd; server_max_window_bits=08", "pmd; server_max_window_bits=1e1", "pmd; server_no_context_takeover=1",
      "pmd; server_no_context_takeover; server_no_context_takeover", "pmd; server_max_window_bits=9; server_max_window_bits=9",
      "pmd; unknown", "pmd; =1", "pmd, pmd", "pmd; ", "Permessage-Deflate", "permessage_deflate", "deflate-frame", "", ","]),
    ("pmd; server_no_context_takeover",
     ["pmd; server_no_context_takeover"], ["pmd", "pmd; client_no_context_takeover"]),
    ("pmd; client_max_window_bits",
     ["pmd", "pmd; client_max_window_bits=8", "pmd; client_max_window_bits=15"],
     ["pmd; client_max_window_bits", "pmd; client_max_window_bits=16", "pmd; client_max_window_bits=0"]),
    ("pmd; client_max_window_bits=10; server_max_window_bits=12",
     ["pmd; server_max_window_bits=12", "pmd; server_max_window_bits=9; client_max_window_bits=10"],
     ["pmd", "pmd; server_max_window_bits=13", "pmd; server_max_window_bits=12; client_max_window_bits=11"]),
    ("pmd; server_max_window_bits=10, pmd",
     ["pmd; server_max_window_bits=15", "pmd"], []),
    ("x-other, pmd", ["pmd"], ["x-other", "x-other, pmd"]),
    ("pmd; unknown", [], ["pmd", "pmd; unknown"]),
]


def whole(text):
    return text.replace("pmd", "permessage-deflate")


def test_deflate_parameters_of_the_answer(t):
    door = Door(t)
    for offer, good, bad in PARAMETERS:
        for answer in good:
            seen, client, _ = door.opens(extensions(whole(offer)), extensions(whole(answer)))
            onward = [member for member in whole(offer).split(", ") if member.startswith("permessage-deflate")]
            same(seen.all("Sec-WebSocket-Extensions"), [", ".join(onward)], "the offer at the backend")
            client.close()
        for answer in bad:
            door.bad_answer(extensions(whole(offer)), extensions(whole(answer)))
    door.bad_answer(DEFLATE, DEFLATE + DEFLATE)
    seen = door.bad_answer(extensions("x-other; a=1"), extensions("x-other; a=1"))
    check(not seen.has("Sec-WebSocket-Extensions"), "an extension whose frames nobody here knows: %r", seen)
    record = door.gateway.wait_record(**{Log.STATUS: 502})
    same((record[Log.END], record["fault"]), ("switch_bad", "ws_extension"), "record")


def test_rsv1_only_when_agreed(t):
    """Offered and not answered is not agreed."""
    door = Door(t)
    for offer, answer in [((), ()), (DEFLATE, ())]:
        for up in [True, False]:
            _, client, server = door.opens(offer, answer)
            offender, innocent = (client, server) if up else (server, client)
            offender.send(frame(TEXT, b"x", rsv=4, mask=up))
            expect_close(Reader(innocent, up), 1011)
            innocent.close()
            expect_close(Reader(offender, not up), 1002)


def test_rsv1_only_on_a_first_frame(t):
    """Agreed: on a message's first frame, and on no other, and neither of the other bits anywhere."""
    door = Door(t, verify="utf8")
    good = [[(TEXT, b"\xff", True, 4)], [(TEXT, b"x", True, 0)],
            [(BINARY, b"", False, 4), (PING, b"", True, 0), (CONTINUATION, b"\xff", True, 0)],
            [(TEXT, b"\xff", False, 4), (CONTINUATION, b"\xff", True, 0), (TEXT, b"plain", True, 0)]]
    bad = [[(TEXT, b"x", True, 2)], [(TEXT, b"x", True, 5)], [(PING, b"", True, 4)], [(CLOSE, b"", True, 4)],
           [(TEXT, b"x", False, 0), (CONTINUATION, b"x", True, 4)], [(TEXT, b"x", False, 4), (CONTINUATION, b"x", False, 4)]]
    for up in [True, False]:
        for case in good + bad:
            _, client, server = door.opens(DEFLATE, DEFLATE)
            sender, other = (client, server) if up else (server, client)
            sender.send(b"".join(frame(opcode, payload, fin=fin, rsv=rsv, mask=up) for opcode, payload, fin, rsv in case))
            for opcode, payload, fin, rsv in case if case in good else case[:-1]:
                got = read_frame(other)
                same((got.opcode, got.payload, got.fin, got.rsv), (opcode, payload, fin, rsv), "a frame of %r" % (case,))
            if case in bad:
                same(read_frame(other).code, 1011, "to the innocent of %r" % (case,))
                other.close()
                expect_close(Reader(sender, not up), 1002)
            client.close()
            server.close()


def test_plain_text_is_checked_though_compression_is_agreed(t):
    _, client, server = Door(t, verify="utf8").opens(DEFLATE, DEFLATE)
    client.send(frame(TEXT, b"\xff", rsv=4) + frame(TEXT, b"\xff"))
    same(read_frame(server).payload, b"\xff", "compressed")
    same(read_frame(server).code, 1011, "to the innocent")
    server.close()
    expect_close(Reader(client, False), 1007)
    client.close()


# rate

def test_rate_of_a_burst(t):
    """A second's worth at once; what comes over it in a later piece goes nowhere, and both are told."""
    door = Door(t, rate=5)
    _, client, server = door.opens()
    at_server = Reader(server, True)
    for i in range(5):
        client.send(frame(TEXT, b"%d" % i, fin=False) + frame(PING) + frame(CONTINUATION))
        same([at_server.event() for _ in range(2)], [("ping", b""), ("text", b"%d" % i)], "within the rate")
    started = time.monotonic()
    n = 0
    while not client.poll():
        client.send(frame(BINARY, b"too much"))
        n += 1
        check(n < 100000 and time.monotonic() - started < 20 * SLOWNESS, "it may go on for ever")
    same(expect_close(Reader(client, False), 1008), b"the client sent more messages per second than it may", "reason")
    client.send(frame(CLOSE, close_payload(1008)))
    seen = at_server.events()
    same(seen[-1][:2], ("close", 1001), "at the server")
    server.send(frame(CLOSE, close_payload(1001), mask=False))
    client.close()
    server.close()
    same(door.gateway.wait_record(**{Log.KIND: "tunnel"})[Log.END], "rate", "end")


def test_rate_of_one_read(t):
    """Six messages and half a frame in one piece: exactly a second's worth passes, however much was read with it."""
    t.needs_speed()
    _, client, server = Door(t, rate=2, close_timeout="20s").opens()
    last = frame(BINARY, b"y" * 200)
    client.send(b"".join(frame(TEXT, b"%d" % i) for i in range(6)) + last[:100])
    expect_close(Reader(client, False), 1008)
    client.send(last[100:] + frame(TEXT, b"more") + frame(CLOSE, close_payload(1008)))
    seen = Reader(server, True).events()
    same((seen[:-1], seen[-1][:2]), ([("text", b"0"), ("text", b"1")], ("close", 1001)), "at the server")
    server.send(frame(CLOSE, close_payload(1001), mask=False))
    server.close()
    client.wait_end()


def test_rate_that_is_kept(t):
    """As many as allowed, for more than a second; and what the server says is not counted."""
    door = Door(t, rate=20)
    _, client, server = door.opens()
    started, sent = time.monotonic(), 0
    while time.monotonic() - started < 1.5 * SLOWNESS:
        if sent < (time.monotonic() - started) * 15:
            client.send(frame(TEXT, b"%d" % sent))
            server.send(frame(TEXT, b"x", mask=False) * 10)
            sent += 1
        client.fill(0.01)
    for i in range(sent):
        same(read_frame(server).payload, b"%d" % i, "message")
    for _ in range(10 * sent):
        same(read_frame(client).payload, b"x", "message")
    check(client.is_open(), "the tunnel ended")


# sizes

def too_large(door, up, passing, last):
    """The frames before pass; the last is refused as soon as its head says how long it is."""
    _, client, server = door.opens()
    sender, other = (client, server) if up else (server, client)
    sent = b"".join(frame(*f[:2], fin=f[2], mask=up) for f in passing)
    sender.send(sent + last(up))
    same(other.read_exact(len(sent)), sent, "what passed")
    expect_close_of_gateway(other, up, 1011)
    other.close()
    same(read_frame(sender).code, 1009, "to the offender")
    sender.close()
    record = door.gateway.wait_record(**{Log.KIND: "tunnel"})
    door.gateway.records.clear()
    return record["fault"]


def expect_close_of_gateway(conn, masked, code):
    got = read_frame(conn)
    check(got is not None, "an end, where a Close was due")
    same((got.opcode, got.code, got.masked), (CLOSE, code, masked), "the gateway's Close")


def announcing(opcode, size, fin=True, payload=b""):
    return lambda mask: frame(opcode, payload, fin=fin, mask=mask, announced=size)


def test_max_message(t):
    door = Door(t, max_message="1000B", max_fragments="off")
    for up in [True, False]:
        for passing, last in [
                ([], announcing(BINARY, 1001)),
                ([], announcing(TEXT, 1001, False)),
                ([], announcing(BINARY, 1 << 62)),
                ([(BINARY, b"x" * 999, False)], announcing(CONTINUATION, 2)),
                ([(BINARY, b"x" * 500, False), (CONTINUATION, b"x" * 500, False),
                 (CONTINUATION, b"", False)], announcing(CONTINUATION, 1)),
                ([(BINARY, b"x" * 1000, True), (TEXT, b"x" * 1000, True)], announcing(TEXT, 1001)),
                ([(BINARY, b"x", False)] * 1 + [(CONTINUATION, b"x", False)] * 999, announcing(CONTINUATION, (1 << 63) - 1))]:
            same(too_large(door, up, passing, last), "ws_message_too_large", "fault")


def test_max_message_itself_passes(t):
    _, client, server = Door(t, max_message="1000B").opens()
    sent = frame(BINARY, b"x" * 600, fin=False) + frame(PING, b"y" * 125) + \
                 frame(CONTINUATION, b"z" * 400) + frame(TEXT, b"x" * 1000)
    client.send(sent * 3)
    same(server.read_exact(3 * len(sent)), sent * 3, "bytes")


def test_max_frame(t):
    door = Door(t, max_frame="200B", max_message="off")
    for up in [True, False]:
        for passing, last in [([], announcing(BINARY, 201)),
                              ([(TEXT, b"x" * 200, False)] + [(CONTINUATION, b"x" * 200, False)] * 10,
                                                             announcing(CONTINUATION, 201))]:
            same(too_large(door, up, passing, last), "ws_frame_too_large", "fault")


def test_max_fragments(t):
    door = Door(t, max_fragments=4)
    for up in [True, False]:
        open_four = [(TEXT, b"a", False)] + [(CONTINUATION, b"", False)] * 3
        same(too_large(door, up, open_four, announcing(CONTINUATION, 0)), "ws_too_many_fragments", "fault")
        same(too_large(door, up, open_four[:3] + [(CONTINUATION, b"z", True)] + open_four, announcing(CONTINUATION, 0, False)),
             "ws_too_many_fragments", "fault")


# websocket: off

def test_websocket_off(t):
    """Plain HTTP, and nothing of an offer onward that a server could take up."""
    backend = t.backend()
    gateway = t.simple(backend, websocket="off")
    client = t.client(gateway).send(
    handshake(
        fields=DEFLATE +
        protocol("chat") +
        origin("https://a.test")) +
        request(
            target="/next"))
    server = backend.accept()
    seen = read_request(server)
    check(not seen.has("Upgrade") and not seen.tokens("Connection"), "an upgrade at the backend: %r", seen)
    server.send(response(200, b"page"))
    same(read_response(client).body, b"page", "body")
    same(read_request(server).target, "/next", "the next request, on the kept connection")
    server.send(response())
    same(read_response(client).status, 200, "status")
    client.send(handshake())
    read_request(server)
    server.send(switch())
    same(read_response(client).status, 502, "status of a 101 nobody asked for")


# what a configuration may say

def refused_configuration(t, websocket, *words):
    config = t.config(upstreams={"app": {"servers": ["127.0.0.1:1"]}},
                      routes=[{"match": {"path": "/"}, "upstream": "app", "websocket": websocket}])
    gateway = t.start(["-t", "-c", t.write("bad.yaml", yaml(config))], 0)
    code = gateway.wait_exit()
    said = "\n".join(gateway.stderr_lines)
    t.gateways.remove(gateway)
    same(code, 1, "exit code for %r (%s)" % (websocket, said))
    for word in words:
        check(word in said, "%r is not in: %s", word, said)


def test_ping_interval_must_be_below_idle_timeout(t):
    for ping, idle in [("10s", "10s"), ("11s", "10s"), ("5m", "30s"), ("300s", "5m")]:
        refused_configuration(t, {"ping_interval": ping, "idle_timeout": idle}, "ping_interval", "idle_timeout", "bad.yaml:")
    refused_configuration(t, {"ping_interval": "10m"}, "ping_interval")


def test_configurations_that_are_refused(t):
    for key, value in [("origins", ["https://a.test/"]), ("origins", ["HTTPS://a.test"]), ("origins", ["https://a.test:443"]),
                       ("origins", []),
                       ("protocols", ["a b"]), ("compression", "gzip"), ("drain_code",
                        "1000"), ("rate", "0"), ("max_message", "10"),
                       ("ping_interval", "1ms"), ("max_lifetime", "0s"), ("slow_timeout", "off")]:
        refused_configuration(t, {key: value}, key)


def test_ping_interval_follows_a_short_idle_timeout(t):
    """Only idle_timeout was written: the default interval gives way."""
    door = Door(t, idle_timeout="%dms" % (1000 * SLOWNESS), ping_interval="%dms" % (500 * SLOWNESS))
    config = t.config(upstreams={"app": {"servers": [door.backend.address]}}, routes=[
        {"match": {"path": "/"}, "upstream": "app", "websocket": {"idle_timeout": "%dms" % (1000 * SLOWNESS)}}])
    gateway = t.start(["-c", t.write("short.yaml", yaml(config))])
    client, _ = t.upgrade(gateway, door.backend)
    same(read_frame(client).opcode, PING, "the first frame")


# before RFC 6455: byte transcripts

HIXIE_75 = (b"GET /demo HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: example.com\r\n"
            b"Origin: http://example.com\r\nWebSocket-Protocol: sample\r\n\r\n")
HIXIE_76 = (b"GET /demo HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n"
            b"Sec-WebSocket-Protocol: sample\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\n"
            b"Origin: http://example.com\r\n\r\n")
NONCES = [b"^n:ds[4U", b"GET /x\r\n", b"\r\n\r\n\r\n\r\n", bytes(8), b"\xff" * 8]


def explained(door, client):
    """426, the versions that are spoken, a sentence, and the end; nothing at the backend."""
    reply = read_response(client)
    same((reply.status, reply.all("Sec-WebSocket-Version"), reply.tokens("Upgrade")), (426, ["13"], ["websocket"]), "answer")
    check("close" in reply.tokens("Connection") and b"RFC 6455" in reply.body, "answer %r %r", reply.head, reply.body)
    client.wait_end()
    same(bytes(client.unread), b"", "bytes behind the answer")
    same(len(door.backend.waiting()), 0, "connections at the backend")


def test_hixie_nonce_with_the_head(t):
    door = Door(t)
    for nonce in NONCES:
        explained(door, door.knock(sent=HIXIE_76 + nonce))


def test_hixie_nonce_after_the_answer(t):
    """The answer comes without it; when it does arrive, it goes nowhere."""
    door = Door(t)
    for nonce in NONCES:
        client = door.knock(sent=HIXIE_76)
        client.wait_for(lambda data: b"\r\n\r\n" in data)
        try:
            client.send(nonce)
        except OSError:
            pass
        explained(door, client)


def test_hixie_nonce_in_pieces_or_never(t):
    door = Door(t)
    explained(door, door.knock(sent=HIXIE_76))
    client = door.knock(sent=HIXIE_76[:40])
    client.send_each_byte(HIXIE_76[40:] + NONCES[0])
    explained(door, client)


def test_hixie_75_transcripts(t):
    door = Door(t)
    for sent in [HIXIE_75, HIXIE_75 + b"\x00hello\xff", HIXIE_75.replace(b"WebSocket-Protocol: sample\r\n", b"")]:
        explained(door, door.knock(sent=sent))


def test_hybi_drafts(t):
    """hybi-00 to -03 are hixie-76 with a draft number, -04 to -12 ask for versions 4 to 8 with Sec-WebSocket-Origin."""
    door = Door(t)
    for draft in range(4):
        client = door.knock(sent=HIXIE_76.replace(b"Origin:", b"Sec-WebSocket-Draft: %d\r\nOrigin:" % draft) + NONCES[0])
        explained(door, client)
    for version in [4, 5, 6, 7, 8]:
        fields = [("Sec-WebSocket-Origin", "http://example.com"), ("Sec-WebSocket-Extensions", "deflate-stream")]
        client = door.knock(sent=handshake(version=str(version), fields=fields) + frame(TEXT, b"early"))
        reply = read_response(client)
        same((reply.status, reply.all("Sec-WebSocket-Version")), (426, ["13"]), "answer to version %d" % version)
        client.wait_end()
        same(len(door.backend.waiting()), 0, "connections at the backend")
