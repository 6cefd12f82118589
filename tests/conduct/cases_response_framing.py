"""B2, responses: repaired or refused, never guessed; what is cut looks cut; what nobody asked for is given to nobody."""
from model import (AT_HEAD, go, received_soon, wait, FIN, RESPONSE, RST, bad_gateway, body, case, chunked, client_never, closed,
                   either, expectation, header, no_header, request, response, status, statuses, strictly, trailers, truncated)

PROMISE = "B2"
GET = request(target="/", host="conduct.example")
POST = request("POST", "/", host="conduct.example", body=b"x")
TWO = [GET, RESPONSE, request(target="/two", host="conduct.example")]
POISON = b"poison"
OK = response(200, b"ok")


def answer(fields=b"", content=b"", line=b"HTTP/1.1 200 OK"):
    return line + b"\r\n" + fields + b"\r\n" + content


def no_poison():
    return client_never(POISON)


# Heads that are no HTTP: a POST, so that nothing is retried.
for name, rfc, data in [
    ("garbage", "9112 4", b"poison poison\r\n\r\n"),
    ("icy", "9112 4", answer(line=b"ICY 200 OK", fields=b"X: poison\r\n")),
    ("http-2", "9112 2.3", answer(line=b"HTTP/2.0 200 OK", fields=b"X: poison\r\n")),
    ("http-0.9", "9112 2.3", answer(line=b"HTTP/0.9 200 OK", fields=b"X: poison\r\n")),
    ("status-two-digits", "9112 4", answer(line=b"HTTP/1.1 20 OK", fields=b"X: poison\r\n")),
    ("status-four-digits", "9112 4", answer(line=b"HTTP/1.1 2000 OK", fields=b"X: poison\r\n")),
    ("status-letters", "9112 4", answer(line=b"HTTP/1.1 abc OK", fields=b"X: poison\r\n")),
    ("status-missing", "9112 4", answer(line=b"HTTP/1.1", fields=b"X: poison\r\n")),
    ("status-099", "9110 15", answer(line=b"HTTP/1.1 099 OK", fields=b"X: poison\r\n")),
    ("field-no-colon", "9112 5", answer(b"poison\r\n")),
    ("field-bad-name", "9110 5.1", answer(b"Bad Name: poison\r\n")),
    ("field-empty-name", "9110 5.1", answer(b": poison\r\n")),
    ("field-nul", "9110 5.5", answer(b"X: poi\x00son\r\nY: poison\r\n")),
    ("length-letter", "9112 6.3", answer(b"Content-Length: 6x\r\n", POISON)),
    ("length-plus", "9112 6.3", answer(b"Content-Length: +6\r\n", POISON)),
    ("length-minus", "9112 6.3", answer(b"Content-Length: -6\r\n", POISON)),
    ("length-empty", "9112 6.3", answer(b"Content-Length: \r\n", POISON)),
    ("length-overflow", "9112 6.3", answer(b"Content-Length: 18446744073709551622\r\n", POISON)),
    ("length-twice-different", "9112 6.3", answer(b"Content-Length: 6\r\nContent-Length: 7\r\n", POISON + b"x")),
    ("length-list-different", "9112 6.3", answer(b"Content-Length: 6, 7\r\n", POISON + b"x")),
]:
    case("response-" + name, PROMISE, rfc, POST, [[data, FIN]], bad_gateway(), no_poison())

for name, rfc, data in [
    ("status-999", "9110 15", answer(line=b"HTTP/1.1 999 OK", fields=b"X: poison\r\nContent-Length: 0\r\n")),
    ("status-600", "9110 15", answer(line=b"HTTP/1.1 600 OK", fields=b"X: poison\r\nContent-Length: 0\r\n")),
    ("field-control", "9110 5.5", answer(b"X: poi\x01son\r\nY: poison\r\nContent-Length: 0\r\n")),
    ("bare-lf", "9112 2.2", b"HTTP/1.1 200 OK\nX: poison\nContent-Length: 0\n\n"),
    ("coding-gzip", "9112 6.3", answer(b"Transfer-Encoding: gzip\r\n", POISON)),
    ("coding-gzip-then-chunked", "9112 6.3", answer(b"Transfer-Encoding: gzip, chunked\r\n", chunked(POISON))),
    ("coding-identity", "9112 6.3", answer(b"Transfer-Encoding: identity\r\n", POISON)),
    ("coding-http-1.0", "9112 6.1", answer(b"Transfer-Encoding: chunked\r\nX: poison\r\n", chunked(POISON), b"HTTP/1.0 200 OK")),
    ("http-1.2", "9110 2.5", answer(line=b"HTTP/1.2 200 OK", fields=b"X: poison\r\nContent-Length: 0\r\n")),
]:
    case("response-" + name, PROMISE, rfc, POST, [[data, FIN]], bad_gateway(), no_poison(), policy=True)
for name, rfc, fields in [("coding-xchunked", "9112 6.3", b"Transfer-Encoding: xchunked\r\n"),
                          ("coding-empty", "9112 6.1", b"Transfer-Encoding: \r\n"),
                          ("coding-chunked-then-gzip", "9112 6.1", b"Transfer-Encoding: chunked, gzip\r\n"),
                          ("coding-chunked-twice", "9112 6.1", b"Transfer-Encoding: chunked, chunked\r\n"),
                          ("coding-quoted", "9112 6.1", b'Transfer-Encoding: "chunked"\r\n')]:
    case("response-" + name, PROMISE, rfc, POST, [[answer(fields, b"6\r\npoison\r\n0\r\n\r\n"), FIN]], bad_gateway(), no_poison())

# May be repaired by replacing the lines with one: RFC 9110 section 8.6. Refused here.
for name, fields in [("length-twice-same", b"Content-Length: 2\r\nContent-Length: 2\r\n"),
                     ("length-list-same", b"Content-Length: 2, 2\r\n")]:
    case("response-" + name, PROMISE, "9110 8.6", POST, [answer(fields, b"ok")],
         either(bad_gateway(), (header("Content-Length", "2"), body(b"ok"))), strictly(bad_gateway()))
case("response-obs-fold", PROMISE, "9112 5.2", POST, [[answer(b"X: a\r\n b\r\nContent-Length: 2\r\n", b"ok"), FIN]],
     either(bad_gateway(), (status(200), client_never(b"a\r\n b"))), strictly(bad_gateway()))
case("response-bare-cr", PROMISE, "9112 2.2", POST, [[answer(b"X: a\rb\r\nContent-Length: 2\r\n", b"ok"), FIN]],
     either(bad_gateway(), (status(200), client_never(b"a\rb"))), strictly(bad_gateway()))
case("response-space-before-colon", PROMISE, "9112 5.1", POST, [[answer(b"X : y\r\nContent-Length: 2\r\n", b"ok"), FIN]],
     either(bad_gateway(), (status(200), client_never(b"X :"))))
case("response-length-and-coding", PROMISE, "9112 6.3", POST,
     [answer(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", chunked(b"ok"))],
     either(bad_gateway(), (no_header("Content-Length"), body(b"ok"))), strictly(bad_gateway()))
case("response-coding-and-length", PROMISE, "9112 6.3", POST,
     [answer(b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", chunked(b"ok"))],
     either(bad_gateway(), (no_header("Content-Length"), body(b"ok"))), strictly(bad_gateway()))
case("response-reason-empty", PROMISE, "9112 4", GET, [answer(b"Content-Length: 2\r\n", b"ok", b"HTTP/1.1 200 ")], status(200),
     body(b"ok"))
case("response-reason-missing", PROMISE, "9112 4", GET, [answer(b"Content-Length: 2\r\n", b"ok", b"HTTP/1.1 200")],
     either((status(200), body(b"ok")), bad_gateway()))
case("response-reason-high-bytes", PROMISE, "9112 4", GET, [answer(b"Content-Length: 2\r\n", b"ok", b"HTTP/1.1 200 Tr\xe8s")],
     status(200), body(b"ok"))
case("response-length-leading-zeros", PROMISE, "9110 8.6", GET, [answer(b"Content-Length: 0002\r\n", b"ok")], status(200),
     body(b"ok"))
case("response-unknown-status-in-range", PROMISE, "9110 15", GET, [answer(b"Content-Length: 2\r\n", b"ok", b"HTTP/1.1 299 Odd")],
     status(299), body(b"ok"))
case("response-status-599", PROMISE, "9110 15", GET, [answer(b"Content-Length: 2\r\n", b"ok", b"HTTP/1.1 599 Odd")], status(599),
     body(b"ok"))
case("response-nothing-and-close", PROMISE, "9110 15.6.3", POST, [[FIN]], bad_gateway())
case("response-reset", PROMISE, "9110 15.6.3", POST, [[RST]], bad_gateway())
case("response-half-a-head", PROMISE, "9112 8", POST, [[b"HTTP/1.1 200 OK\r\nX: poi", FIN]], bad_gateway())
case("response-never", PROMISE, "9110 15.6.5", POST, [[AT_HEAD]], status(504), listener="hasty")
case("response-half-a-head-and-silence", PROMISE, "9110 15.6.5", POST, [[AT_HEAD, b"HTTP/1.1 200 OK\r\nX: y"]], status(504),
     listener="hasty")

# Cut bodies: RFC 9112 section 8. Nothing may make them look whole.
for name, data in [
    ("length-by-fin", [answer(b"Content-Length: 100\r\n", b"x" * 50), FIN]),
    ("length-one-missing", [answer(b"Content-Length: 100\r\n", b"x" * 99), FIN]),
    ("length-nothing-came", [answer(b"Content-Length: 100\r\n"), FIN]),
    ("length-by-silence", [answer(b"Content-Length: 100\r\n", b"x" * 50)]),
    ("chunks-no-last", [answer(b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n"), FIN]),
    ("chunks-inside-one", [answer(b"Transfer-Encoding: chunked\r\n", b"5\r\nabc"), FIN]),
    ("chunks-inside-a-size", [answer(b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n1"), FIN]),
    ("chunks-behind-last-size", [answer(b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n0\r\n"), FIN]),
    ("chunks-inside-trailers", [answer(b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n0\r\nX: y\r\n"), FIN]),
    ("chunks-nothing-came", [answer(b"Transfer-Encoding: chunked\r\n"), FIN]),
    ("chunks-by-silence", [answer(b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n")]),
    ("chunks-bad-size", [answer(b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\nxyz\r\n"), FIN]),
    ("chunks-negative-size", [answer(b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n-1\r\n"), FIN]),
    ("chunks-overflow", [answer(b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n" + b"f" * 17 + b"\r\n"), FIN]),
    ("chunks-data-longer", [answer(b"Transfer-Encoding: chunked\r\n", b"5\r\nabcdefg\r\n0\r\n\r\n"), FIN]),
]:
    case("response-cut-" + name, PROMISE, "9112 8", GET, [data], truncated(), closed(),
         listener="hasty" if name.endswith("silence") else "public")
case("response-cut-chunks-bad-trailer", PROMISE, "9112 7.1.2", GET,
     [[answer(b"Transfer-Encoding: chunked\r\n", b"5\r\nabcde\r\n0\r\nbad trailer\r\n\r\n"), FIN]],
     either((truncated(), closed()), (body(b"abcde"), trailers())))
case("response-cut-close-delimited-by-reset", PROMISE, "9112 8", [GET, received_soon(b"part"), go()],
     [[answer(content=b"part"), wait(), RST]], truncated(), closed())
case("response-cut-http-1.0-client-chunked", PROMISE, "9112 8",
     b"GET / HTTP/1.0\r\nHost: conduct.example\r\n\r\n", [[answer(b"Content-Length: 100\r\n", b"x" * 50), FIN]], truncated(),
     closed())

# Bytes behind a response, and responses nobody asked for: never another exchange's answer. RFC 9112 section 6.3, end; section 9.2.
for name, data in [
    ("second-response", OK + response(200, POISON)),
    ("bytes", OK + POISON),
    ("behind-204", answer(line=b"HTTP/1.1 204 None") + response(200, POISON)),
    ("behind-304", answer(b'ETag: "x"\r\n', line=b"HTTP/1.1 304 Same") + response(200, POISON)),
    ("behind-chunks", answer(b"Transfer-Encoding: chunked\r\n", chunked(b"ok")) + response(200, POISON)),
    ("behind-length-0", answer(b"Content-Length: 0\r\n") + response(200, POISON)),
    ("blank-line-and-response", OK + b"\r\n" + response(200, POISON)),
]:
    case("response-excess-" + name, PROMISE, "9112 6.3, 9.2", TWO, [data, response(200, b"clean")], no_poison(),
         expectation(lambda seen, strict: None if len(seen.responses) == 2 and seen.responses[1].body == b"clean" else
                     "the second exchange got %r" % (seen.responses[1:],)), responses=2)
case("response-excess-body-of-head", PROMISE, "9112 6.3", [request("HEAD", "/", host="conduct.example"), RESPONSE, TWO[2]],
     [response(200, response(200, POISON)), response(200, b"clean")], no_poison(), statuses(200, 200), responses=2,
     methods=["HEAD", "GET"])
case("response-unasked-on-idle-connection", PROMISE, "9112 9.2", [GET, RESPONSE, go(), wait("sent"), TWO[2]],
     [[OK, wait(), response(200, POISON), go("sent")], response(200, b"clean")], no_poison(), statuses(200, 200), responses=2)

# Bodies that a response cannot have: RFC 9112 section 6.3, RFC 9110 sections 8.6 and 15.3.5.
case("response-204", PROMISE, "9112 6.3", TWO, [answer(line=b"HTTP/1.1 204 None"), response(200, b"two")], statuses(204, 200),
     body(b"two", 1),
     no_header("Content-Length", "Transfer-Encoding"), responses=2)
case("response-204-with-length", PROMISE, "9110 8.6", GET,
     [[answer(b"Content-Length: 6\r\n", POISON, b"HTTP/1.1 204 None"), FIN]],
     status(204, 502), no_header("Transfer-Encoding"), no_poison(),
     expectation(lambda seen, strict: "Content-Length in a 204" if seen.response and seen.response.status == 204
                 and seen.response.has("Content-Length") else None))
case("response-204-with-coding", PROMISE, "9112 6.1", GET,
     [[answer(b"Transfer-Encoding: chunked\r\n", chunked(POISON), b"HTTP/1.1 204 None"), FIN]],
     status(204, 502), no_header("Transfer-Encoding"), no_poison())
case("response-304-keeps-its-length", PROMISE, "9110 8.6", TWO,
     [answer(b'ETag: "x"\r\nContent-Length: 77\r\n', line=b"HTTP/1.1 304 Same"),
                                                              response(200, b"two")],
     statuses(304, 200), body(b"two", 1), header("Content-Length", "77"), responses=2)
case("response-304-without-length", PROMISE, "9110 15.4.5", TWO, [answer(b'ETag: "x"\r\n', line=b"HTTP/1.1 304 Same"),
                                                                  response(200, b"two")],
     statuses(304, 200), body(b"two", 1), no_header("Transfer-Encoding"), responses=2)
case("response-to-head-with-length", PROMISE, "9110 9.3.2", [request("HEAD", "/", host="conduct.example"), RESPONSE, TWO[2]],
     [answer(b"Content-Length: 1000\r\n"), response(200, b"two")], statuses(200, 200), header("Content-Length", "1000"),
     body(b"two", 1),
     responses=2, methods=["HEAD", "GET"])
case("response-to-head-chunked", PROMISE, "9110 9.3.2", [request("HEAD", "/", host="conduct.example"), RESPONSE, TWO[2]],
     [answer(b"Transfer-Encoding: chunked\r\n"), response(200, b"two")], statuses(200, 200), body(b"two", 1), responses=2,
     methods=["HEAD", "GET"])
case("response-to-head-without-framing", PROMISE, "9110 9.3.2", [request("HEAD", "/", host="conduct.example"), RESPONSE, TWO[2]],
     [answer(b"X: y\r\n"), response(200, b"two")], statuses(200, 200), body(b"two", 1), no_header("Content-Length"), responses=2,
     methods=["HEAD", "GET"])

# 1xx: RFC 9110 section 15.2.
case("response-1xx-flood", PROMISE, "9110 15.2", GET, [b"HTTP/1.1 102 Processing\r\n\r\n" * 500 + OK], bad_gateway(), policy=True,
     whole_only=True)
case("response-1xx-then-close", PROMISE, "9110 15.2", POST, [[b"HTTP/1.1 102 Processing\r\n\r\n", FIN]], bad_gateway())
case("response-1xx-with-length", PROMISE, "9110 8.6", GET, [b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + OK],
     either((status(200), body(b"ok")), bad_gateway()))
