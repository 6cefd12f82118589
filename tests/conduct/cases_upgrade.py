"""A1 to A5: the switch. Nothing but a validated 101 makes a tunnel, and before it nothing that is not HTTP reaches a backend."""
from frames import ACCEPT, KEY, TEXT, accept_for, frame, handshake, switch
from model import (AT_HEAD, BARRIER, FIN, RESPONSE, RST, at_backend, backend_count, backend_header, backend_line, backend_never,
                   backend_tail, backend_tokens, bad_gateway, body, both, bytes_at_backend, case, chunked, client_never,
                   client_tail, closed, connections, either, expectation, go, header, header_tokens, interims, kept, no_header,
                   received, refused, request, response, status, statuses, strictly, version_1_1, wait)

HOST = "conduct.example"
ZERO = b"\0\0\0\0"
ADMIN = b"GET /admin HTTP/1.1\r\nHost: conduct.example\r\n\r\n"
UP, DOWN = frame(TEXT, b"client's", mask=b"abcd"), frame(TEXT, b"backend's", mask=False)
POISON = b"poison"
DEFLATE = ("Sec-WebSocket-Extensions", "permessage-deflate")


def hello(*fields, **options):
    return handshake(host=HOST, fields=fields, **options)


def plain_answer(seen, strict):
    """The exchange went on as ordinary HTTP: no tunnel, no Upgrade left in the answer."""
    if not seen.response:
        return "no response"
    return "a 101 reached the client" if seen.response.status == 101 else None


PLAIN = expectation(plain_answer)


def tunnel(name, rfc, sent, answer, *expect, **options):
    """A switch that has to succeed: a frame each way, byte-exact."""
    case(name, options.pop("promise", "A1"), rfc, [sent, RESPONSE, UP, bytes_at_backend(UP), received(DOWN)], [[answer, DOWN]],
         status(101), header_tokens("Upgrade", "websocket"), header_tokens("Connection", "upgrade"),
         header("Sec-WebSocket-Accept", ACCEPT), no_header("Content-Length", "Transfer-Encoding"),
         client_tail(DOWN), backend_tail(UP), *expect, **options)


# A1: the handshake is plain HTTP.
tunnel("upgrade-good", "6455 4", hello(), switch(), backend_line("GET /ws HTTP/1.1"), backend_header("Host", HOST),
       backend_tokens("Upgrade", "websocket"), backend_tokens("Connection", "upgrade"), backend_header("Sec-WebSocket-Key", KEY),
       backend_header("Sec-WebSocket-Version", "13"), backend_header("Content-Length"), backend_header("Transfer-Encoding"))
tunnel("upgrade-names-in-any-case", "6455 4.2.1", hello().replace(b"Sec-WebSocket", b"SEC-websocket").replace(b"Upgrade: w",
     b"UPGRADE: W"),
       switch(upgrade=("WebSocket",), connection="UPGRADE").replace(b"Sec-WebSocket-Accept", b"sec-websocket-accept"))
tunnel("upgrade-connection-list", "9110 7.6.1", hello().replace(b"Connection: Upgrade", b"Connection: keep-alive, Upgrade"),
       switch(connection="keep-alive, Upgrade"), backend_tokens("Connection", "upgrade"))
tunnel("upgrade-connection-lines", "9110 7.6.1", hello(("Connection", "keep-alive")), switch())
tunnel("upgrade-with-cookie-and-origin", "6455 4.2.1", hello(("Cookie", "a=b"), ("Origin", "http://a.example")),
       switch(fields=[("Set-Cookie", "c=d"), ("X-Extra", "kept")]), backend_header("Cookie", "a=b"),
       backend_header("Origin", "http://a.example"),
       header("Set-Cookie", "c=d"), header("X-Extra", "kept"))
tunnel("upgrade-subprotocol", "6455 4.2.2", hello(("Sec-WebSocket-Protocol", "chat, v2")),
       switch(fields=[("Sec-WebSocket-Protocol", "v2")]),
       backend_tokens("Sec-WebSocket-Protocol", "chat", "v2"), header("Sec-WebSocket-Protocol", "v2"))
tunnel("upgrade-subprotocol-lines", "6455 11.3.4", hello(("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Protocol", "v2")),
       switch(fields=[("Sec-WebSocket-Protocol", "v2")]), header("Sec-WebSocket-Protocol", "v2"))
tunnel("upgrade-subprotocol-not-chosen", "6455 4.2.2", hello(("Sec-WebSocket-Protocol", "chat")), switch(),
       header("Sec-WebSocket-Protocol"))
tunnel("upgrade-extension", "7692 5", hello(DEFLATE), switch(fields=[DEFLATE]),
       header("Sec-WebSocket-Extensions", "permessage-deflate"))
tunnel("upgrade-extension-parameters", "7692 7.1",
       hello(("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits, x-other")),
       switch(fields=[("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=12; server_no_context_takeover")]))
tunnel("upgrade-extension-not-chosen", "7692 5", hello(DEFLATE), switch())
tunnel("upgrade-target-with-query", "6455 3", handshake(target="/ws?a=%20&b=/../c", host=HOST), switch(),
       backend_line("GET /ws?a=%20&b=/../c HTTP/1.1"))
tunnel("upgrade-after-103", "9110 15.2", hello(), b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + switch(), interims(103),
       promise="A4")
tunnel("upgrade-103-is-no-101", "9110 15.2", hello(), b"HTTP/1.1 102 Processing\r\n\r\n" * 3 + switch(), interims(102, 102, 102),
       promise="A4")
tunnel("upgrade-101-reason-empty", "9112 4", hello(), switch().replace(b"101 Switching Protocols", b"101 "))
tunnel("upgrade-via-both-ways", "9110 7.6.3", hello(), switch(), backend_tokens("Via", "1.1 upgate"),
       header_tokens("Via", "1.1 upgate"),
       only="upgate", promise="B4")
tunnel("upgrade-absolute-form", "9112 3.2.2", hello().replace(b"GET /ws", b"GET http://other.example/ws"), switch(),
       backend_header("Host", "other.example"), promise="B3")
tunnel("upgrade-nominated-fields-removed", "9110 7.6.1", hello(("Connection", "X-Secret, x-other"), ("X-Secret", "1"),
                                                               ("X-Other", "2")), switch(),
       backend_header("X-Secret"), backend_header("X-Other"), promise="B1")
tunnel("upgrade-nominated-key-stays", "9110 7.6.1", hello(("Connection", "Sec-WebSocket-Key, Sec-WebSocket-Version, Host")),
       switch(),
       backend_header("Host", HOST), backend_header("Sec-WebSocket-Key", KEY), backend_header("Sec-WebSocket-Version", "13"),
       promise="B1")
tunnel("upgrade-hop-by-hop-removed", "9110 7.6.1", hello(("Keep-Alive", "timeout=5"), ("Proxy-Connection", "keep-alive"),
                                                         ("TE", "gzip")),
       switch(fields=[("Keep-Alive", "timeout=9"), ("Proxy-Connection", "x")]), backend_header("Keep-Alive"),
       backend_header("Proxy-Connection"),
       backend_header("TE"), no_header("Keep-Alive", "Proxy-Connection"), promise="B1")
tunnel("upgrade-look-alikes-removed", "7239 8.1", hello(("X-Forwarded-For", "6.6.6.6"), ("X-Real-IP", "6.6.6.6"),
                                                        ("Forwarded", "for=6.6.6.6")),
       switch(), backend_never(b"6.6.6.6"), promise="C3")
tunnel("upgrade-other-tokens-beside-websocket", "9110 7.8", hello().replace(b"Upgrade: websocket", b"Upgrade: h2c, websocket"),
       switch(),
       backend_tokens("Upgrade", "websocket"), promise="A5")

# A2: early bytes wait unread; without a valid 101 they die with the connection.
EARLY = [
    ("frame", frame(TEXT, b"early", mask=ZERO)),
    ("half-a-frame", frame(TEXT, b"early", mask=ZERO)[:4]),
    ("request", ADMIN),
    ("eight-bytes", b"GET /x\r\n"),
    ("simple-request", b"GET /x\n"),
    ("handshake", handshake("/admin", HOST)),
    ("32-kib", frame(TEXT, b"early" * 6400, mask=ZERO)),
    ("one-byte", b"G"),
    ("blank-line", b"\r\n"),
]


def quiet(seen, strict):
    """Behind the handshake's head not a byte came to the backend."""
    if not seen.requests:
        return "no request at the backend"
    head = seen.requests[0].head.raw
    for raw in seen.backend_raw:
        if head in raw and raw[raw.index(head) + len(head):]:
            return "early bytes at the backend: %r" % raw[raw.index(head) + len(head):][:60]
    return None


QUIET = expectation(quiet)
QUIET_IF_ANY = expectation(lambda seen, strict: quiet(seen, strict) if seen.requests else None)
# Elsewhere a pipelined request may be served behind a refused upgrade; this gateway ends the connection, since nobody can say what
# the bytes were meant to be.
ENDS = strictly(both(backend_count(1), backend_never(b"/admin"), closed()))
ENDS_BEHIND_TWO = strictly(both(backend_count(2), backend_never(b"/admin"), closed()))


def early(name, rfc, behind, answer, *expect, promise="A2", **options):
    """The backend answers only after another exchange has gone through the proxy, so that early bytes would have come by then."""
    case(name, promise, rfc, [hello() + behind, at_backend(1), BARRIER, go()], [[wait(), answer]], *expect, **options)


for name, data in EARLY:
    early("early-%s-then-403" % name, "9110 7.8", data, response(403, b"no"), status(403), QUIET, ENDS, backend_never(b"early"),
          whole_only=name == "32-kib")
for name, data in EARLY[:4]:
    early("early-%s-then-200" % name, "9110 7.8", data, response(200, b"page"), status(200), PLAIN, QUIET, ENDS,
          backend_never(b"early"))
    early("early-%s-then-wrong-accept" % name, "6455 4.1", data, switch("AAAA"), status(502), QUIET,
          backend_never(b"/admin", b"early"), closed(),
          promise="A4", policy=True)
for code in [400, 401, 302, 404, 426, 500, 503]:
    early("early-request-then-%d" % code, "9110 7.8", ADMIN, response(code, b"x"), status(code), QUIET, ENDS)
early("early-request-then-chunked-403", "9110 7.8", ADMIN,
      b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"no"),
      status(403), body(b"no"), QUIET, ENDS)
case("early-request-then-close", "A2", "9110 7.8", [hello() + ADMIN, at_backend(1), BARRIER, go()], [[wait(), FIN]], status(502),
     QUIET, ENDS)
case("early-request-then-reset", "A2", "9110 7.8", [hello() + ADMIN, at_backend(1), BARRIER, go()], [[wait(), RST]], status(502),
     ENDS)
case("early-request-then-silence", "A2", "9110 7.8", hello() + ADMIN, [[AT_HEAD]], status(504), QUIET, ENDS, listener="hasty")
case("early-request-in-its-own-segment", "A2", "9110 7.8", [hello(), at_backend(1), ADMIN, BARRIER, go()],
     [[wait(), response(403, b"no")]],
     status(403), QUIET, ENDS)
case("early-frames-pass-after-the-101", "A2", "6455 4.1", [hello() + UP + UP, at_backend(1), BARRIER, go(), RESPONSE,
                                                           bytes_at_backend(UP + UP)],
     [[wait(), switch()]], status(101), backend_tail(UP + UP))
case("early-half-frame-passes-after-the-101", "A2", "6455 4.1",
     [hello() + UP[:5], at_backend(1), BARRIER, go(), RESPONSE, UP[5:], bytes_at_backend(UP)], [[wait(), switch()]], status(101),
     backend_tail(UP))
case("early-request-is-no-frame", "A2", "6455 5.2", [hello() + ADMIN, at_backend(1), BARRIER, go(), RESPONSE],
     [[wait(), switch()]],
     status(101), backend_never(b"/admin"), closed(), policy=True)
case("late-request-is-no-frame", "A2", "6455 5.2", [hello(), RESPONSE, ADMIN], [switch()], status(101), backend_never(b"/admin"),
     closed(),
     policy=True)
case("early-bytes-behind-a-pipelined-upgrade", "A2", "9112 9.3.2",
     [request(host=HOST) + hello() + ADMIN, at_backend(2), BARRIER, go()],
     [response(200, b"one"), [wait(), response(403, b"no")]],
     statuses(200, 403), ENDS_BEHIND_TWO, responses=2)
case("next-request-after-a-refused-upgrade", "A2", "9110 7.8", [hello(), RESPONSE], [response(403, b"no")], status(403),
     either(kept(), closed()))
case("behind-the-101-passes", "A1", "6455 4.1", [hello(), received(DOWN + DOWN)], [switch() + DOWN + DOWN], status(101),
     client_tail(DOWN + DOWN))
case("upgrade-uses-a-fresh-connection", "A2", "6455 4.1", [request(host=HOST), RESPONSE, hello()],
     [response(), response(403, b"no")],
     statuses(200, 403), connections(2), responses=2, policy=True)
case("upgrade-connection-is-not-pooled", "A2", "9110 7.8", [hello(), RESPONSE, BARRIER], [response(403, b"no")],
     status(403), expectation(lambda seen, strict: "the upgrade's connection was used again" if any(
         seen.requests[0].head.raw in raw and b"conduct-barrier" in raw for raw in seen.backend_raw) else None), policy=True)

# A3: handshakes from before the RFC, and versions that are not spoken.
HIXIE_75 = (b"GET /demo HTTP/1.1\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\nHost: conduct.example\r\n"
            b"Origin: http://conduct.example\r\nWebSocket-Protocol: sample\r\n\r\n")
HIXIE_76 = (b"GET /demo HTTP/1.1\r\nHost: conduct.example\r\nConnection: Upgrade\r\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\r\n"
            b"Sec-WebSocket-Protocol: sample\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\r\n"
            b"Origin: http://conduct.example\r\n\r\n")


def refused_offer(ours):
    """Refused by the proxy; elsewhere it may be served by the backend, without a tunnel, and what is behind it as the next request."""
    return both(either(refused(ours), PLAIN), strictly(refused(ours)))


case("hixie-75", "A3", "6455 4.2.1", HIXIE_75, [[response(400, b"old"), FIN]], refused_offer(426))
for name, nonce in [("", b"^n:ds[4U"), ("-no-nonce", b""), ("-nonce-is-a-request", b"GET /x\r\n"),
                    ("-request-behind", b"^n:ds[4U" + ADMIN)]:
    case("hixie-76" + name, "A3", "6455 4.2.1", HIXIE_76 + nonce, [[response(400, b"old"), FIN]], QUIET_IF_ANY,
         refused_offer(426))
for version in ["0", "4", "5", "6", "7", "8", "9", "12", "14", "255", "x", "013", ""]:
    case("version-%s" % (version or "empty"), "A3", "6455 4.4", hello(version=version) + ADMIN,
         [[response(426, b"", [("Sec-WebSocket-Version", "13")]), FIN]],
         status(426), header("Sec-WebSocket-Version", "13"), PLAIN, strictly(refused(426)))
case("version-426-names-the-upgrade", "A3", "9110 15.5.22", hello(version="8"),
     [[response(426, b"", [("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket")])]],
     status(426), header_tokens("Upgrade", "websocket"))
case("version-missing", "A3", "6455 4.2.1", hello(version=None) + ADMIN, [[response(400, b"old"), FIN]], refused_offer(426))
case("version-twice", "A3", "6455 4.2.1", hello(("Sec-WebSocket-Version", "8")) + ADMIN, [[response(400, b"old"), FIN]],
     refused_offer(426))
case("426-by-the-backend-then-a-request", "A3", "6455 4.4", [hello() + ADMIN, at_backend(1), BARRIER, go()],
     [[wait(), response(426, b"", [("Sec-WebSocket-Version", "13")])]], status(426), QUIET, ENDS)
for name, sent in [("missing", hello(key=None)), ("empty", hello(key="")), ("short", hello(key="c2hvcnQ=")),
                   ("long", hello(key="A" * 44)),
                   ("no-padding", hello(key=KEY[:-2])), ("not-base64", hello(key="!" * 22 + "==")),
                   ("bits-behind", hello(key="A" * 21 + "B==")),
                   ("17-bytes", hello(key="A" * 23 + "=")), ("twice", hello(("Sec-WebSocket-Key", KEY))),
                   ("list", hello(key=KEY + ", " + KEY))]:
    case("key-" + name, "A3", "6455 4.2.1", sent + ADMIN, [[response(400, b"bad key"), FIN]], refused_offer(400))

# What cannot be an upgrade: RFC 6455 section 4.2.1 wants a GET of HTTP/1.1; a body would leave two readings of what follows.
case("upgrade-with-length", "A2", "6455 4.2.1", hello(("Content-Length", "5")) + b"hello" + ADMIN, [[response(400, b"x"), FIN]],
     either(refused(400), PLAIN), strictly(refused(400)))
case("upgrade-with-chunks", "A2", "6455 4.2.1", hello(("Transfer-Encoding", "chunked")) + chunked(b"hello") + ADMIN,
     [[response(400, b"x"), FIN]],
     either(refused(400), PLAIN), strictly(refused(400)))
case("upgrade-with-length-answered-101", "A2", "6455 4.2.1", hello(("Content-Length", "5")) + b"hello", [switch()],
     refused(400), policy=True)
case("upgrade-with-length-0", "A2", "6455 4.2.1", hello(("Content-Length", "0")), [switch()],
     either(status(101), refused(400), PLAIN))
case("upgrade-with-bad-length", "B2", "9112 6.3", hello(("Content-Length", "x")) + ADMIN, [], refused(400))
case("upgrade-with-length-and-coding", "B2", "9112 6.3",
     hello(("Content-Length", "5"), ("Transfer-Encoding", "chunked")) + b"0\r\n\r\n" + ADMIN,
     [[response(400, b"x"), FIN]], either(refused(400), (PLAIN, closed())), strictly(refused(400)))
case("upgrade-post", "A1", "6455 4.2.1", hello().replace(b"GET", b"POST") + ADMIN, [[response(400, b"x"), FIN]],
     either(refused(400), PLAIN), strictly(refused(400)))
case("upgrade-post-answered-101", "A4", "6455 4.2.1", hello().replace(b"GET", b"POST"), [switch() + POISON],
     either(refused(400), bad_gateway()),
     client_never(POISON), policy=True)
case("upgrade-head", "A1", "6455 4.2.1", hello().replace(b"GET", b"HEAD"), [[response(400, b""), FIN]],
     either(status(400), PLAIN), methods=["HEAD"])
case("upgrade-http-1.0", "A1", "9110 7.8, 6455 4.2.1", hello().replace(b"HTTP/1.1", b"HTTP/1.0"), [switch() + POISON],
     either(refused(400), bad_gateway()), client_never(POISON), PLAIN, strictly(status(400)))
for name, fields in [("protocol-blank-inside", ("Sec-WebSocket-Protocol", "a b")),
                     ("protocol-twice", ("Sec-WebSocket-Protocol", "a, a")),
                     ("extension-no-name", ("Sec-WebSocket-Extensions", "=x")),
                     ("extension-bad-quote", ("Sec-WebSocket-Extensions", 'a; b="'))]:
    case("offer-" + name, "A4", "6455 4.1, 9.1", hello(fields), [[response(400, b"x"), FIN]], either(refused(400), PLAIN),
         policy=True)

# A4: answers that are no valid 101. RFC 6455 section 4.1 has the client judge it; that a gateway does so first is this project's
# decision, but for what RFC 9110 forbids in any 1xx.
DEFLATE_OFFER = hello(DEFLATE)
PROTOCOL_OFFER = hello(("Sec-WebSocket-Protocol", "chat, v2"))
BAD_SWITCHES = [
    ("accept-wrong", "6455 4.1", hello(), switch(accept_for("AAAAAAAAAAAAAAAAAAAAAA=="))),
    ("accept-missing", "6455 4.1", hello(), switch(None)),
    ("accept-empty", "6455 4.1", hello(), switch("")),
    ("accept-lower-case", "6455 4.1", hello(), switch(ACCEPT.lower())),
    ("accept-upper-case", "6455 4.1", hello(), switch(ACCEPT.upper())),
    ("accept-is-the-key", "6455 4.1", hello(), switch(KEY)),
    ("accept-cut", "6455 4.1", hello(), switch(ACCEPT[:-1])),
    ("accept-longer", "6455 4.1", hello(), switch(ACCEPT + "=")),
    ("accept-quoted", "6455 4.1", hello(), switch('"%s"' % ACCEPT)),
    ("accept-twice", "6455 4.1", hello(), switch(ACCEPT, [("Sec-WebSocket-Accept", ACCEPT)])),
    ("accept-twice-different", "6455 4.1", hello(), switch(ACCEPT, [("Sec-WebSocket-Accept", "x")])),
    ("accept-list", "6455 4.1", hello(), switch("%s, %s" % (ACCEPT, ACCEPT))),
    ("protocol-unoffered", "6455 4.1", hello(), switch(fields=[("Sec-WebSocket-Protocol", "chat")])),
    ("protocol-other", "6455 4.1", PROTOCOL_OFFER, switch(fields=[("Sec-WebSocket-Protocol", "v3")])),
    ("protocol-case", "6455 4.1", PROTOCOL_OFFER, switch(fields=[("Sec-WebSocket-Protocol", "CHAT")])),
    ("protocol-two", "6455 4.2.2", PROTOCOL_OFFER, switch(fields=[("Sec-WebSocket-Protocol", "chat, v2")])),
    ("protocol-lines", "6455 11.3.4", PROTOCOL_OFFER,
     switch(fields=[("Sec-WebSocket-Protocol", "chat"), ("Sec-WebSocket-Protocol", "v2")])),
    ("protocol-empty", "6455 4.1", PROTOCOL_OFFER, switch(fields=[("Sec-WebSocket-Protocol", "")])),
    ("extension-unoffered", "6455 4.1", hello(), switch(fields=[DEFLATE])),
    ("extension-other", "6455 4.1", DEFLATE_OFFER, switch(fields=[("Sec-WebSocket-Extensions", "x-webkit-deflate-frame")])),
    ("extension-one-more", "6455 4.1", DEFLATE_OFFER,
     switch(fields=[("Sec-WebSocket-Extensions", "permessage-deflate, x-more")])),
    ("extension-bits-unoffered", "7692 7.1.2.2", DEFLATE_OFFER,
     switch(fields=[("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=10")])),
    ("extension-bits-out-of-range", "7692 7.1.2.1", DEFLATE_OFFER,
     switch(fields=[("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=16")])),
    ("extension-parameter-unknown", "7692 7.1", DEFLATE_OFFER,
     switch(fields=[("Sec-WebSocket-Extensions", "permessage-deflate; x=1")])),
    ("extension-parameter-twice", "7692 7.1", DEFLATE_OFFER,
     switch(fields=[("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover; server_no_context_takeover")])),
    ("extension-malformed", "6455 9.1", DEFLATE_OFFER, switch(fields=[("Sec-WebSocket-Extensions", "permessage-deflate; =")])),
    ("upgrade-missing", "6455 4.1", hello(), switch(upgrade=())),
    ("upgrade-other", "6455 4.1", hello(), switch(upgrade=("h2c",))),
    ("upgrade-twice", "6455 4.1", hello(), switch(upgrade=("websocket", "websocket"))),
    ("upgrade-list", "6455 4.1", hello(), switch(upgrade=("websocket, h2c",))),
    ("upgrade-version", "6455 4.1", hello(), switch(upgrade=("websocket/13",))),
    ("connection-missing", "6455 4.1", hello(), switch(connection=None)),
    ("connection-other", "6455 4.1", hello(), switch(connection="keep-alive")),
    ("connection-longer", "6455 4.1", hello(), switch(connection="upgraded")),
    ("length", "9112 6.3", hello(), switch(fields=[("Content-Length", "6")])),
    ("length-0", "9110 8.6", hello(), switch(fields=[("Content-Length", "0")])),
    ("coding", "9112 6.1", hello(), switch(fields=[("Transfer-Encoding", "chunked")])),
    ("http-1.0", "9110 15.2", hello(), switch(version="1.0")),
    ("bad-field", "9110 5.1", hello(), switch(fields=[("Bad Name", "x")])),
    ("nul", "9110 5.5", hello(), switch(fields=[("X", "a\0b")])),
]
for name, rfc, sent, answer in BAD_SWITCHES:
    case("bad-101-" + name, "A4", rfc, sent, [[answer + POISON]], bad_gateway(), client_never(POISON), strictly(closed()),
         policy=name.split("-")[0] in ("accept", "protocol", "extension", "upgrade", "connection", "http"))

for name, sent, method in [("get", request(host=HOST), "GET"), ("post", request("POST", host=HOST, body=b"x"), "POST"),
                           ("head", request("HEAD", host=HOST), "HEAD"),
                           ("get-upgrade-without-connection",
                            request(host=HOST, fields=[("Upgrade", "websocket"), ("Sec-WebSocket-Key", KEY)]), "GET"),
                           ("get-expecting-100", request("POST", host=HOST, fields=[("Expect", "100-continue")], body=b"x"),
                            "POST"),
                           ("h2c", request(host=HOST, fields=[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"),
                                                              ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")]), "GET")]:
    case("unasked-101-" + name, "A4", "9110 15.2.2, 7.8", sent, [[switch() + POISON + response(200, POISON)]], bad_gateway(),
         client_never(POISON),
         methods=[method])
case("unasked-101-then-200-is-not-taken-for-100", "A4", "9110 15.2", request(host=HOST),
     [[b"HTTP/1.1 101 Odd\r\n\r\n" + response(200, POISON)]],
     bad_gateway(), client_never(POISON))

# Ordinary answers to an upgrade stay ordinary answers.
UPGRADE_FIELDS = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", ACCEPT)]
case("200-with-upgrade-fields", "A4", "9110 7.8", hello(), [response(200, b"page", UPGRADE_FIELDS)], status(200), body(b"page"),
     no_header("Upgrade"))
case("200-with-upgrade-fields-is-no-tunnel", "A4", "9110 7.8", [hello(), RESPONSE, ADMIN],
     [response(200, b"page", UPGRADE_FIELDS), response(200, b"admin's")], status(200), expectation(
         lambda seen, strict: "the next request went into a tunnel" if len(seen.requests) < 2 and b"/admin" in seen.all_backend_bytes() else None))
for code in [200, 400, 401, 403, 404, 500, 503]:
    case("refused-by-the-backend-%d" % code, "A4", "6455 4.1", hello(), [response(code, b"reason", [("X-Why", "because")])],
         status(code), body(b"reason"), header("X-Why", "because"))
case("refused-by-the-backend-redirect", "A4", "6455 4.1", hello(), [response(302, b"", [("Location", "/there")])], status(302),
     header("Location", "/there"))
case("refused-by-the-backend-chunked", "A4", "9112 7.1", hello(),
     [b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"re", b"ason")],
     status(403), body(b"reason"))
case("refused-by-the-backend-until-close", "A4", "9112 6.3", hello(), [[b"HTTP/1.1 403 No\r\n\r\nreason", FIN]], status(403),
     body(b"reason"))
case("refused-by-the-backend-http-1.0", "A4", "9112 2.3", hello(), [[b"HTTP/1.0 200 OK\r\n\r\nreason", FIN]], status(200),
     body(b"reason"), version_1_1())
case("refused-by-the-backend-204", "A4", "9112 6.3", hello(), [b"HTTP/1.1 204 None\r\n\r\n"], status(204))
case("upgrade-answered-by-garbage", "A4", "9112 4", hello(), [[b"poison\r\n\r\n", FIN]], bad_gateway(), client_never(POISON))
case("upgrade-answered-by-close", "A4", "9112 8", hello(), [[FIN]], bad_gateway())
case("upgrade-answered-by-silence", "A4", "9110 15.6.5", hello(), [[AT_HEAD]], status(504), listener="hasty")
case("upgrade-answered-by-half-a-101", "A4", "9112 8", hello(), [[switch()[:-3], FIN]], bad_gateway())

# A5: other tokens are hop-by-hop.
H2C = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")]
for name, fields in [("h2c", H2C), ("h2c-no-settings", [("Connection", "Upgrade"), ("Upgrade", "h2c")]),
                     ("h2c-upper-case", [("Connection", "upgrade"), ("Upgrade", "H2C")]),
                     ("h2c-settings-not-nominated", [("Connection", "Upgrade"), ("Upgrade", "h2c"),
                                                     ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")]),
                     ("tls", [("Connection", "Upgrade"), ("Upgrade", "TLS/1.0")]),
                     ("irc", [("Connection", "Upgrade"), ("Upgrade", "IRC/6.9, RTA/x11")]),
                     ("websockets", [("Connection", "Upgrade"), ("Upgrade", "websockets")]),
                     ("websocket-without-connection", [("Upgrade", "websocket")]),
                     ("connection-without-upgrade", [("Connection", "Upgrade")]),
                     ("empty", [("Connection", "Upgrade"), ("Upgrade", "")])]:
    case("stripped-" + name, "A5", "9110 7.8, 7.6.1", request(host=HOST, fields=fields), [response(200, b"plain")], status(200),
         body(b"plain"),
         backend_header("Upgrade"), backend_header("HTTP2-Settings"),
         expectation(lambda seen, strict: "Connection: upgrade at the backend" if seen.requests and
                     {"upgrade", "http2-settings"} & set(seen.requests[0].tokens("Connection")) else None))
case("stripped-h2c-with-body", "A5", "9110 7.8", request("POST", host=HOST, fields=H2C, body=b"body"), [response(200, b"plain")],
     status(200),
     backend_header("Upgrade"), backend_header("HTTP2-Settings"), kept())
case("stripped-h2c-then-a-request", "A5", "9110 7.8", request(host=HOST, fields=H2C) + request(target="/two", host=HOST),
     [response(200, b"one"), response(200, b"two")], statuses(200, 200), backend_header("Upgrade"),
     backend_line("GET /two HTTP/1.1", 1), responses=2)
case("stripped-from-responses", "A5", "9110 7.8", request(host=HOST),
     [response(200, b"x", [("Upgrade", "h2c"), ("Connection", "upgrade")])],
     status(200), no_header("Upgrade"))
case("h2c-in-two-lines", "A5", "9110 7.8",
     request(host=HOST, fields=[("Connection", "Upgrade"), ("Upgrade", "h2c"), ("Upgrade", "TLS/1.0")]),
     [response(200, b"plain")], status(200), backend_header("Upgrade"))
