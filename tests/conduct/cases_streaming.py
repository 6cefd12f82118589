"""B5 to B9, B11, B12: expectations, pipelining, chunks, streaming, limits, payloads, trailers, methods."""
from model import (AT_HEAD, BODY, CONTINUE_IF_EXPECTED, FIN, RESPONSE, at_backend, backend_body, backend_count, backend_header,
                   backend_line, backend_never, backend_tokens, backend_trailers, bad_gateway, body, body_when_asked, both,
                   bytes_at_backend, case, chunked, client_never, closed, either, expectation, go, header, header_tokens,
                   interim, interims, kept, no_header, nothing_served, received, request, response, status, statuses, strictly,
                   trailers, wait, whole_at_backend)

HOST = "conduct.example"
FINE = response(200, b"ok")
CHUNKED_ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def get(target="/", *fields):
    return request("GET", target, fields, host=HOST)


def post(content, *fields, target="/"):
    return request("POST", target, fields, host=HOST, body=content)


def post_chunked(content, *fields, target="/"):
    return request("POST", target, (("Transfer-Encoding", "chunked"),) + fields, host=HOST) + content


# B5: Expect. RFC 9110 section 10.1.1.
EXPECT = request("POST", "/", [("Expect", "100-continue"), ("Content-Length", "4")], host=HOST)
EXPECT_CHUNKED = request("POST", "/", [("Expect", "100-continue"), ("Transfer-Encoding", "chunked")], host=HOST)
case("expect-100-then-200", "B5", "9110 10.1.1", [EXPECT, interim(100), b"body"], [[AT_HEAD, CONTINUE_IF_EXPECTED, FINE]],
     status(200), interims(100), backend_count(1))
case("expect-body-arrives", "B5", "9110 10.1.1", [EXPECT, interim(100), b"body", whole_at_backend(1), go()],
     [[AT_HEAD, CONTINUE_IF_EXPECTED, BODY, wait(), FINE]],
     status(200), backend_body(b"body"))
case("expect-body-arrives-chunked", "B5", "9110 10.1.1", [EXPECT_CHUNKED, interim(100), chunked(b"body"), whole_at_backend(1),
                                                          go()],
     [[AT_HEAD, CONTINUE_IF_EXPECTED, BODY, wait(), FINE]], status(200), backend_body(b"body"))
case("expect-reaches-the-backend", "B5", "9110 10.1.1", [EXPECT, b"body"], [FINE], status(200),
     either(backend_tokens("Expect", "100-continue"), interims(100)))
case("expect-417", "B5", "9110 10.1.1", [EXPECT, body_when_asked(b"body")], [[AT_HEAD, response(417, b"no")]], status(417))
case("expect-403-before-the-body", "B5", "9110 10.1.1", [EXPECT, body_when_asked(b"body")], [[AT_HEAD, response(403, b"no")]],
     status(403), body(b"no"))
# Where the proxy itself asked for the body (a 100 of its own), what follows that body is a request like any other.
case("expect-403-and-the-body-is-no-request", "B5", "9110 10.1.1",
     [EXPECT, body_when_asked(b"body"), RESPONSE, b"GET /smuggled HTTP/1.1\r\nHost: conduct.example\r\n\r\n"],
     [[AT_HEAD, response(403, b"no")]], status(403),
     strictly(nothing_served("/smuggled")))
case("expect-silent-backend", "B5", "9110 10.1.1", [EXPECT, body_when_asked(b"body")], [FINE], status(200), backend_body(b"body"))
case("expect-body-sent-at-once", "B5", "9110 10.1.1", EXPECT + b"body", [[CONTINUE_IF_EXPECTED, FINE]], status(200),
     backend_body(b"body"), kept())
case("expect-case", "B5", "9110 10.1.1", [EXPECT.replace(b"100-continue", b"100-Continue"), b"body"], [FINE], status(200),
     backend_body(b"body"))
case("expect-http-1.0-client-gets-no-100", "B5", "9110 10.1.1, 15.2",
     b"POST / HTTP/1.0\r\nHost: conduct.example\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody",
     [[CONTINUE_IF_EXPECTED, FINE]], status(200), interims())
case("expect-unknown", "B5", "9110 10.1.1", request("POST", "/", [("Expect", "200-ok")], host=HOST, body=b"x"), [], status(417),
     backend_count(0), policy=True)
case("expect-without-body", "B5", "9110 10.1.1", get("/", ("Expect", "100-continue")), [FINE], status(200), body(b"ok"))

# B6: pipelining. RFC 9112 section 9.3.2.
NAMES = ["/%d" % i for i in range(20)]


def answers_in_order(count, content=lambda i: b"%d" % i):
    def check(seen, strict):
        got = [r.body for r in seen.responses]
        return None if got == [content(i) for i in range(count)] else "bodies %r" % got[:6]
    return expectation(check)


case("pipelined-two", "B6", "9112 9.3.2", get("/0") + get("/1"), [response(200, b"0"), response(200, b"1")], statuses(200, 200),
     answers_in_order(2), responses=2)
case("pipelined-twenty", "B6", "9112 9.3.2", b"".join(get(n) for n in NAMES), [response(200, b"%d" % i) for i in range(20)],
     answers_in_order(20), responses=20)
case("pipelined-with-bodies", "B6", "9112 9.3.2", post(b"a", target="/0") + post_chunked(chunked(b"b"),
     target="/1") + get("/2") + post(b"", target="/3"),
     [response(200, b"%d" % i) for i in range(4)], answers_in_order(4), backend_body(b"a"), backend_body(b"b", 1),
     backend_body(b"", 2), responses=4)
case("pipelined-with-head", "B6", "9112 9.3.2", request("HEAD", "/0", host=HOST) + get("/1"),
     [b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", response(200, b"1")],
     statuses(200, 200), body(b"", 0), body(b"1", 1), responses=2, methods=["HEAD", "GET"])
case("pipelined-with-204-and-304", "B6", "9112 9.3.2", get("/0") + get("/1") + get("/2"),
     [b"HTTP/1.1 204 None\r\n\r\n", b'HTTP/1.1 304 Same\r\nETag: "x"\r\n\r\n', response(200, b"2")], statuses(204, 304, 200),
     responses=3)
case("pipelined-with-errors", "B6", "9112 9.3.2", get("/0") + get("/1") + get("/2"),
     [response(500, b"0"), response(404, b"1"), response(200, b"2")],
     statuses(500, 404, 200), answers_in_order(3), responses=3)
case("pipelined-chunked-answers", "B6", "9112 9.3.2", get("/0") + get("/1"),
     [CHUNKED_ANSWER + chunked(b"0"), CHUNKED_ANSWER + chunked(b"1")], answers_in_order(2), responses=2)
case("pipelined-backend-closes-between", "B6", "9112 9.3.2", get("/0") + get("/1") + get("/2"),
     [[response(200, b"0", [("Connection", "close")]), FIN], [response(200, b"1", [("Connection", "close")]), FIN],
      response(200, b"2")],
     answers_in_order(3), responses=3)
case("pipelined-until-close-delimited", "B6", "9112 9.3.2", get("/0") + get("/1"),
     [[b"HTTP/1.1 200 OK\r\n\r\n0", FIN], response(200, b"1")],
     either((answers_in_order(2),), (body(b"0"), closed())), responses=2)
case("pipelined-behind-close", "B6", "9112 9.6", get("/0", ("Connection", "close")) + get("/never"), [response(200, b"0")],
     status(200), backend_count(1),
     backend_never(b"/never"), closed())
case("pipelined-bad-second", "B6", "9112 9.3.2", get("/0") + b"BAD REQUEST\r\n\r\n" + get("/never"), [response(200, b"0")],
     statuses(200, {400, 505}, ours=(200, 400)),
     backend_never(b"/never"), closed(), responses=2)
case("pipelined-blank-line-between", "B6", "9112 2.2", post(b"a", target="/0") + b"\r\n" + get("/1"),
     [response(200, b"0"), response(200, b"1")], answers_in_order(2), responses=2)
case("pipelined-interim-belongs-to-its-answer", "B6", "9110 15.2", get("/0") + get("/1"),
     [response(200, b"0"), b"HTTP/1.1 103 Early\r\n\r\n" + response(200, b"1")],
     expectation(lambda seen, strict: None if [len(r.interim) for r in seen.responses] == [0, 1] else "1xx in the wrong place"),
     responses=2)
case("pipelined-methods", "B6", "9112 9.3.2", b"".join(request(m, "/%d" % i, host=HOST) for i,
                                                       m in enumerate(["GET", "DELETE", "PROPFIND", "OPTIONS"])),
     [response(200, b"%d" % i) for i in range(4)], answers_in_order(4), responses=4)
case("keep-alive-a-hundred-requests", "B6", "9112 9.3", [x for i in range(100) for x in (get("/%d" % i), RESPONSE)],
     [response(200, b"%d" % i) for i in range(100)],
     answers_in_order(100), responses=100, whole_only=True)

# B7: chunks both ways, HTTP/1.0 on either side. RFC 9112 sections 7.1 and 9.3.
case("chunked-request", "B7", "9112 7.1", post_chunked(chunked(b"abc", b"defg" * 500)), [FINE], status(200),
     backend_body(b"abc" + b"defg" * 500), kept())
case("chunked-response", "B7", "9112 7.1", get(), [CHUNKED_ANSWER + chunked(b"abc", b"defg" * 500)], body(b"abc" + b"defg" * 500),
     kept())
case("chunked-both-ways", "B7", "9112 7.1", post_chunked(chunked(b"up" * 3000)), [CHUNKED_ANSWER + chunked(b"down" * 3000)],
     backend_body(b"up" * 3000),
     body(b"down" * 3000), kept())
case("chunked-empty-bodies", "B7", "9112 7.1", post_chunked(chunked()), [CHUNKED_ANSWER + chunked()], backend_body(b""),
     body(b""), kept())
case("chunked-one-byte-chunks", "B7", "9112 7.1", post_chunked(chunked(*[b"%c" % c for c in b"abcdefghij"])),
     [CHUNKED_ANSWER + chunked(*[b"%c" % c for c in b"klmnopqrst"])], backend_body(b"abcdefghij"), body(b"klmnopqrst"))
case("chunked-on-get", "B7", "9110 9.3.1", request("GET", "/", [("Transfer-Encoding", "chunked")], host=HOST) + chunked(b"abc"),
     [FINE], status(200), backend_body(b"abc"))
case("chunked-response-extensions", "B7", "9112 7.1.1", get(),
     [CHUNKED_ANSWER + b'3;a=b\r\nabc\r\n3;c="d;e"\r\ndef\r\n0;x\r\n\r\n'], body(b"abcdef"))
case("chunked-response-extension-blanks", "B7", "9112 7.1.1", get(), [CHUNKED_ANSWER + b"3 ; a = b\r\nabc\r\n0\r\n\r\n"],
     body(b"abc"))
case("chunked-response-to-http-1.0", "B7", "9112 6.1", b"GET / HTTP/1.0\r\nHost: conduct.example\r\n\r\n",
     [CHUNKED_ANSWER + chunked(b"abc", b"def")],
     no_header("Transfer-Encoding"), body(b"abcdef"), closed())
case("chunked-response-to-http-1.0-keep-alive", "B7", "9112 6.1, 9.3",
     b"GET / HTTP/1.0\r\nHost: conduct.example\r\nConnection: keep-alive\r\n\r\n",
     [CHUNKED_ANSWER + chunked(b"abc")], no_header("Transfer-Encoding"), body(b"abc"),
     expectation(lambda seen,
                 strict: "a body to the connection's end, yet keep-alive" if seen.response and seen.response.framing == "close"
                 and "keep-alive" in seen.response.tokens("Connection") else None))
case("http-1.0-client-closes", "B7", "9112 9.3", b"GET / HTTP/1.0\r\nHost: conduct.example\r\n\r\n", [FINE], status(200),
     body(b"ok"), closed())
case("http-1.0-client-keep-alive", "B7", "9112 9.3", b"GET / HTTP/1.0\r\nHost: conduct.example\r\nConnection: keep-alive\r\n\r\n",
     [FINE], status(200),
     header_tokens("Connection", "keep-alive"), kept())
case("http-1.0-client-post", "B7", "9112 6.3", b"POST / HTTP/1.0\r\nHost: conduct.example\r\nContent-Length: 3\r\n\r\nabc",
     [FINE], status(200), backend_body(b"abc"))
case("http-1.0-client-two-requests-no-keep-alive", "B7", "9112 9.3",
     b"GET / HTTP/1.0\r\nHost: conduct.example\r\n\r\nGET /never HTTP/1.0\r\nHost: conduct.example\r\n\r\n", [FINE], status(200),
     backend_never(b"/never"), closed())
case("http-1.0-backend-length", "B7", "9112 9.3", get(), [b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"], status(200),
     body(b"abc"), kept())
case("http-1.0-backend-until-close", "B7", "9112 6.3", get(), [[b"HTTP/1.0 200 OK\r\n\r\nabc", FIN]], status(200), body(b"abc"))
case("http-1.0-backend-keep-alive", "B7", "9112 9.3", [get("/0"), RESPONSE, get("/1")],
     [b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n0",
      b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n1"],
     statuses(200, 200), answers_in_order(2), responses=2)
case("http-1.0-backend-then-chunked-request", "B7", "9112 6.1", [get("/0"), RESPONSE, post_chunked(chunked(b"abc"), target="/1")],
     [[b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n0", FIN], response(200, b"1")],
     either((statuses(200, 411),), (statuses(200, 200), backend_header("Content-Length", "3", number=1),
                                    backend_header("Transfer-Encoding", number=1),
                                    backend_body(b"abc", 1))), responses=2, policy=True)
case("until-close-response-to-http-1.1", "B7", "9112 6.3", get(), [[b"HTTP/1.1 200 OK\r\n\r\n" + b"abc" * 5000, FIN]],
     status(200), body(b"abc" * 5000))
case("until-close-empty", "B7", "9112 6.3", get(), [[b"HTTP/1.1 200 OK\r\n\r\n", FIN]], status(200), body(b""))
case("until-close-connection-close", "B7", "9112 6.3", get(), [[b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", FIN]],
     status(200), body(b"abc"))

# B8: neither hop waits for what has already arrived.
case("streamed-request-length", "B8", "9110 7.6", [post(b"")[:-21] + b"Content-Length: 6\r\n\r\n" + b"ab~",
                                                   bytes_at_backend(b"~"), b"de$"], [FINE], status(200),
     backend_body(b"ab~de$"), policy=True)
case("streamed-request-chunked", "B8", "9110 7.6", [post_chunked(b"3\r\nab~\r\n"), bytes_at_backend(b"~"),
                                                    b"3\r\nde$\r\n0\r\n\r\n"], [FINE], status(200),
     backend_body(b"ab~de$"), policy=True)
case("streamed-request-half-a-chunk", "B8", "9110 7.6", [post_chunked(b"6\r\nab~"), bytes_at_backend(b"~"), b"de$\r\n0\r\n\r\n"],
     [FINE], status(200),
     backend_body(b"ab~de$"), policy=True)
case("streamed-request-head-before-body", "B8", "9110 7.6", [post(b"")[:-21] + b"Content-Length: 3\r\n\r\n", at_backend(1),
                                                             b"ab~"], [FINE], status(200),
     backend_body(b"ab~"), policy=True)
case("streamed-response-length", "B8", "9110 7.6", [get(), received(b"~"), go()],
     [[b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab~", wait(), b"de$"]], body(b"ab~de$"),
     policy=True)
case("streamed-response-chunked", "B8", "9110 7.6", [get(), received(b"~"), go()],
     [[CHUNKED_ANSWER + b"3\r\nab~\r\n", wait(), b"3\r\nde$\r\n0\r\n\r\n"]], body(b"ab~de$"),
     policy=True)
case("streamed-response-until-close", "B8", "9110 7.6", [get(), received(b"~"), go()],
     [[b"HTTP/1.1 200 OK\r\n\r\nab~", wait(), b"de$", FIN]], body(b"ab~de$"), policy=True)
case("streamed-response-head-before-body", "B8", "9110 7.6", [get(), received(b"\r\n\r\n"), go()],
     [[b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", wait(), b"ab~"]],
     body(b"ab~"), policy=True)
case("early-response-while-uploading", "B8", "9112 9.3", [post(b"")[:-21] + b"Content-Length: 100000\r\n\r\n" + b"x" * 1000,
                                                          received(b"enough")],
     [[AT_HEAD, response(413, b"enough", [("Connection", "close")]), FIN]], status(413), body(b"enough"))
case("early-response-and-the-rest-is-no-request", "B8", "9112 9.3",
     [post(b"")[:-21] + b"Content-Length: 1000\r\n\r\n" + b"x" * 10, received(b"enough"),
      b"GET /smuggled HTTP/1.1\r\nHost: conduct.example\r\n\r\n"],
     [[AT_HEAD, response(400, b"enough")]], status(400),
     nothing_served("/smuggled"))
case("both-directions-at-once", "B8", "9110 7.5",
     [post_chunked(b"3\r\nab~\r\n"), bytes_at_backend(b"~"), received(b"^"), b"3\r\nde$\r\n0\r\n\r\n", whole_at_backend(1), go()],
     [[AT_HEAD, CHUNKED_ANSWER + b"3\r\nAB^\r\n", BODY, wait(), b"3\r\nDE$\r\n0\r\n\r\n"]], backend_body(b"ab~de$"),
     body(b"AB^DE$"), policy=True)

# B9: generous limits. RFC 9110 sections 4.1 and 5.4, RFC 9112 section 3.
case("target-of-8000", "B9", "9112 3", get("/" + "t" * 7999), [FINE], status(200),
     backend_line("GET /%s HTTP/1.1" % ("t" * 7999)))
case("target-of-16000", "B9", "9112 3", get("/?" + "q" * 15998), [FINE], status(200),
     backend_line("GET /?%s HTTP/1.1" % ("q" * 15998)), policy=True)
case("target-of-100000", "B9", "9110 15.5.15", get("/" + "t" * 99999), [], both(status(414, 431, 400, ours=414), backend_count(0),
     closed()))
case("field-of-8000", "B9", "9110 5.4", get("/", ("X-Long", "v" * 8000)), [FINE], status(200),
     backend_header("X-Long", "v" * 8000))
case("field-of-30000", "B9", "9110 5.4", get("/", ("X-Long", "v" * 30000)), [FINE], status(200),
     backend_header("X-Long", "v" * 30000), policy=True)
case("fields-of-60000", "B9", "9110 5.4", get("/", *[("X-%d" % i, "v" * 600) for i in range(95)]), [FINE], status(200),
     policy=True)
case("fields-of-100000", "B9", "9110 5.4, 6585 5", get("/", *[("X-%d" % i, "v" * 1000) for i in range(100)]), [],
     both(status(431, 400, ours=431), backend_count(0), closed()))
case("fields-100", "B9", "9110 5.4", get("/", *[("X-%d" % i, "v") for i in range(99)]), [FINE], status(200),
     backend_header("X-98", "v"))
case("fields-5000", "B9", "9110 5.4, 6585 5", get("/", *[("X-%d" % i, "v") for i in range(5000)]), [],
     both(status(431, 400, ours=431), backend_count(0), closed()))
case("field-name-of-4000", "B9", "9110 5.4", get("/", ("X" * 4000, "v")), [FINE], status(200), backend_header("X" * 4000, "v"),
     policy=True)
case("method-of-200", "B9", "9112 3", request("M" * 200, "/", host=HOST), [FINE], status(200),
     backend_line("%s / HTTP/1.1" % ("M" * 200)), policy=True)
case("response-field-of-8000", "B9", "9110 5.4", get(), [response(200, b"ok", [("X-Long", "v" * 7000)])], status(200),
     header("X-Long", "v" * 7000), policy=True)
case("response-fields-of-30000", "B9", "9110 5.4", get(), [response(200, b"ok", [("X-%d" % i, "v" * 500) for i in range(60)])],
     status(200), policy=True)
case("response-fields-of-200000", "B9", "9110 5.4", get(),
     [[response(200, b"ok", [("X-%d" % i, "v" * 2000) for i in range(100)]), FIN]], bad_gateway(), whole_only=True)
case("head-that-stops", "B9", "9110 15.5.9", b"GET / HTTP/1.1\r\nHost: conduct.example\r\nX-Never", [],
     either((status(408), closed()), closed()), backend_count(0),
     strictly(status(408)), responses=1)
case("body-that-stops", "B9", "9110 15.5.9", post(b"")[:-21] + b"Content-Length: 10\r\n\r\n" + b"12345", [[AT_HEAD]],
     either((status(408, 504), closed()), closed()),
     strictly(status(408)), responses=1, listener="hasty")

# B11: payloads pass untransformed. RFC 9110 section 7.7.
BINARY = bytes(range(256)) * 8
for name, fields in [("gzip-look", [("Content-Encoding", "gzip")]), ("html", [("Content-Type", "text/html; charset=x")]),
                     ("none", []),
                     ("range", [("Content-Range", "bytes 0-2047/4096")]),
                     ("digest", [("Repr-Digest", "sha-256=:AAAA:"), ("Content-Language", "x, y")]),
                     ("location", [("Content-Location", "http://127.0.0.1/internal"), ("Content-Disposition", "attachment")])]:
    case("payload-response-" + name, "B11", "9110 7.7", get(), [response(200, BINARY, fields)], body(BINARY),
         *[header(n, v) for n, v in fields])
    case("payload-request-" + name, "B11", "9110 7.7", post(BINARY, *fields), [FINE], backend_body(BINARY),
         *[backend_header(n, v) for n, v in fields])
case("payload-206", "B11", "9110 15.3.7", get("/", ("Range", "bytes=0-2")),
     [response(206, b"abc", [("Content-Range", "bytes 0-2/10")])], status(206), body(b"abc"))
case("payload-multipart", "B11", "9110 7.7", post(b"--x\r\n\r\nGET / HTTP/1.1\r\n\r\n--x--\r\n",
                                                  ("Content-Type", "multipart/form-data; boundary=x")), [FINE],
     backend_body(b"--x\r\n\r\nGET / HTTP/1.1\r\n\r\n--x--\r\n"))
case("payload-location-is-not-rewritten", "B11", "9110 7.7", get(), [response(302, b"", [("Location", "http://127.0.0.1:1/x")])],
     header("Location", "http://127.0.0.1:1/x"),
     policy=True)
case("payload-reason-passes", "B11", "9112 4", get(), [response(404, b"", reason="Gone Fishing")],
     expectation(lambda seen,
                 strict: None if seen.response and seen.response.reason == "Gone Fishing" else "another reason phrase"),
                 policy=True)

# B12: trailers pass where they may, and any method. RFC 9110 sections 6.5 and 9.1. That no sender may make a trailer of certain
# fields (6.5.1) binds who made them; that a gateway does not pass them on is this project's decision.
TRAILED = [(b"X-Sum", b"123"), (b"X-More", b"y")]
case("trailers-request", "B12", "9110 6.5", post_chunked(chunked(b"abc", trailers=TRAILED), ("Trailer", "X-Sum, X-More")), [FINE],
     backend_body(b"abc"), backend_trailers(("X-Sum", "123"), ("X-More", "y")), policy=True)
case("trailers-response", "B12", "9110 6.5", get("/", ("TE", "trailers"), ("Connection", "TE")),
     [CHUNKED_ANSWER + chunked(b"abc", trailers=TRAILED)],
     body(b"abc"), trailers(("X-Sum", "123"), ("X-More", "y")), policy=True)
case("trailers-response-to-http-1.0", "B12", "9110 6.5", b"GET / HTTP/1.0\r\nHost: conduct.example\r\n\r\n",
     [CHUNKED_ANSWER + chunked(b"abc", trailers=TRAILED)],
     body(b"abc"), client_never(b"X-Sum"))
case("trailer-field-passes", "B12", "9110 6.6.2", post_chunked(chunked(b"abc", trailers=TRAILED), ("Trailer", "X-Sum")), [FINE],
     backend_header("Trailer", "X-Sum"), policy=True)
for name, value in [("Content-Length", b"100"), ("Transfer-Encoding", b"chunked"), ("Host", b"evil.example"),
                    ("Authorization", b"secret"), ("Connection", b"close"),
                    ("Set-Cookie", b"secret"), ("Content-Type", b"text/evil"), ("Content-Encoding", b"gzip"), ("Trailer", b"X"),
                    ("TE", b"x"), ("Cache-Control", b"no-store"),
                    ("Upgrade", b"websocket"), ("X-Forwarded-For", b"6.6.6.6")]:
    def absent(seen, strict, name=name):
        got = [n for r in seen.requests if r.complete for n, _ in r.trailers if n.lower() == name.lower()]
        merged = [r for r in seen.requests if r.complete and name not in ("Host", "X-Forwarded-For", "Content-Length",
        "Transfer-Encoding", "Connection") and r.has(name)]
        return "%s in a trailer reached the backend" % name if got or merged else None
    case("trailer-forbidden-" + name.lower(), "B12", "9110 6.5.1",
         post_chunked(chunked(b"abc", trailers=[(name.encode(), value), (b"X-Fine", b"y")])), [FINE],
         expectation(absent), backend_never(b"evil.example"), policy=True)

    def absent_below(seen, strict, name=name):
        got = [n for r in seen.responses for n, _ in r.trailers if n.lower() == name.lower()]
        return "%s in a trailer reached the client" % name if got else None
    case("trailer-forbidden-in-response-" + name.lower(), "B12", "9110 6.5.1", get("/", ("TE", "trailers"), ("Connection", "TE")),
         [CHUNKED_ANSWER + chunked(b"abc", trailers=[(name.encode(), value)])], expectation(absent_below), policy=True)
for method in ["PUT", "DELETE", "PATCH", "PROPFIND", "MKCOL", "REPORT", "PURGE", "QUERY", "MADE-UP", "m", "get", "Get",
               "!#$%&'*+-.^_`|~9"]:
    case("method-" + method, "B12", "9110 9.1", request(method, "/", host=HOST), [FINE], status(200),
         backend_line("%s / HTTP/1.1" % method),
         policy=not method.isupper())
case("method-made-up-with-body", "B12", "9110 9.1", request("MADE-UP", "/", host=HOST, body=b"abc"), [FINE], status(200),
     backend_body(b"abc"), kept())
case("method-delete-with-body", "B12", "9110 9.3.5", request("DELETE", "/", host=HOST, body=b"abc"), [FINE], status(200),
     backend_body(b"abc"), kept())
case("method-made-up-chunked", "B12", "9110 9.1", request("MADE-UP", "/", [("Transfer-Encoding", "chunked")],
                                                          host=HOST) + chunked(b"abc"), [FINE], status(200),
     backend_body(b"abc"), kept())
