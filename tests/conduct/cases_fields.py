"""B0, B1, B4, B10, C3, D1: which fields pass, which go, which the gateway adds."""
from model import (SCHEME, backend_body, backend_count, backend_header, backend_never, backend_tokens, backend_version, body, case,
                   client_never, closed, either, error, expectation, header, kept, request, response, status, statuses,
                   strictly, version_1_1)

HOST = "conduct.example"
FINE = response(200, b"ok")
LIE = "6.6.6.6"


def sent(*fields, **options):
    return request(options.pop("method", "GET"), options.pop("target", "/"), fields, host=options.pop("host", HOST), **options)


def answered(*fields, **options):
    return response(options.pop("status", 200), options.pop("body", b"ok"), fields, **options)


# B0: HTTP/1.1 in every message that the gateway makes. RFC 9110 section 2.5, RFC 9112 section 2.3.
case("version-http-1.0-client-to-backend", "B0", "9110 2.5", b"GET / HTTP/1.0\r\nHost: conduct.example\r\n\r\n", [FINE],
     status(200), backend_version())
case("version-http-1.0-client-gets-1.1", "B0", "9110 2.5", b"GET / HTTP/1.0\r\nHost: conduct.example\r\n\r\n", [FINE],
     status(200), version_1_1())
case("version-http-1.0-backend-to-client", "B0", "9110 2.5", sent(), [b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"],
     status(200), version_1_1(),
     body(b"ok"))
case("version-http-1.0-both", "B0", "9110 2.5", b"GET / HTTP/1.0\r\nHost: conduct.example\r\n\r\n",
     [b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"],
     backend_version(), version_1_1(), body(b"ok"))
case("version-own-error", "B0", "9110 2.5", b"GET / HTTP/1.0\r\nHost: a\r\nBad Name: x\r\n\r\n", [], error(400), version_1_1())
case("version-own-error-for-bad-version", "B0", "9110 2.5", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", [], error(505), version_1_1())
case("version-http-1.0-keep-alive", "B0", "9112 9.3",
     [b"GET / HTTP/1.0\r\nHost: conduct.example\r\nConnection: keep-alive\r\n\r\n"], [FINE],
     backend_version(), version_1_1(), status(200))
case("version-interim", "B0", "9110 2.5", sent(), [b"HTTP/1.1 103 Early Hints\r\n\r\n" + FINE],
     status(200), expectation(lambda seen, strict: "a 1xx of another version" if seen.response and
                              any(i.version != (1, 1) for i in seen.response.interim) else None))

# B1: hop-by-hop. RFC 9110 section 7.6.1.
for name, field in [("keep-alive", ("Keep-Alive", "timeout=5, max=9")), ("proxy-connection", ("Proxy-Connection", "keep-alive")),
                    ("te-gzip", ("TE", "gzip")), ("upgrade", ("Upgrade", "h2c")),
                    ("proxy-connection-case", ("PROXY-connection", "close"))]:
    case("hop-request-" + name, "B1", "9110 7.6.1", sent(field, ("X-Kept", "y")), [FINE], status(200), backend_header(field[0]),
         backend_header("X-Kept", "y"))
for name, field in [("keep-alive", ("Keep-Alive", "timeout=5")), ("proxy-connection", ("Proxy-Connection", "keep-alive")),
                    ("upgrade", ("Upgrade", "h2c"))]:
    case("hop-response-" + name, "B1", "9110 7.6.1", sent(), [answered(field, ("X-Kept", "y"))], status(200),
         expectation(lambda seen, strict,
                     n=field: "%s: %s passed" % n if seen.response and n[1] in seen.response.all(n[0]) else None),
         header("X-Kept", "y"))
case("hop-request-te-trailers", "B1", "9110 10.1.4", sent(("TE", "trailers"), ("Connection", "TE")), [FINE], status(200),
     either((backend_tokens("TE"),), (backend_tokens("TE", "trailers"), expectation(
         lambda seen, strict: None if "te" in seen.requests[0].tokens("Connection") else "TE without Connection: TE"))))
for name, fields in [
    ("one", [("Connection", "X-One"), ("X-One", "secret")]),
    ("case", [("Connection", "x-ONE"), ("X-One", "secret")]),
    ("list", [("Connection", "close, X-One, keep-alive"), ("X-One", "secret")]),
    ("lines", [("Connection", "keep-alive"), ("Connection", "X-One"), ("X-One", "secret")]),
    ("before", [("X-One", "secret"), ("Connection", "X-One")]),
    ("twice", [("Connection", "X-One"), ("X-One", "secret"), ("X-Kept", "y"), ("x-one", "secret")]),
    ("blanks", [("Connection", " ,\t X-One , "), ("X-One", "secret")]),
    ("many", [("Connection", ", ".join("X-%d" % i for i in range(60)) + ", X-One"), ("X-One", "secret")]),
    ("cookie", [("Connection", "Cookie"), ("Cookie", "secret")]),
    ("authorization", [("Connection", "Authorization"), ("Authorization", "secret")]),
]:
    case("nominated-request-" + name, "B1", "9110 7.6.1", sent(*fields), [FINE], status(200), backend_never(b"secret"))
for name, fields in [
    ("one", [("Connection", "X-One"), ("X-One", "secret")]), ("case", [("connection", "X-ONE"), ("x-one", "secret")]),
    ("list", [("Connection", "close, X-One"), ("X-One", "secret")]),
    ("lines", [("Connection", "X-Two"), ("Connection", "X-One"), ("X-One", "secret")]),
    ("set-cookie", [("Connection", "Set-Cookie"), ("Set-Cookie", "secret")]),
]:
    case("nominated-response-" + name, "B1", "9110 7.6.1", sent(), [answered(*fields)], status(200), client_never(b"secret"))
for name in ["Host", "Content-Length", "Content-Type", "Via", "X-Forwarded-For", "Cache-Control"]:
    due = {"Host": HOST, "Content-Length": "3", "Content-Type": "text/x"}.get(name)
    expect = [backend_header(name, due)] if due and name != "Content-Type" else []
    if name == "Via":
        expect = [strictly(backend_tokens("Via", "1.1 upgate"))]
    if name == "X-Forwarded-For":
        expect = [backend_header(name, "127.0.0.1")]
    case("nominated-away-" + name.lower(), "B1", "9110 7.6.1", sent(("Connection", name), ("Content-Type", "text/x"),
                                                                    method="POST", body=b"abc"),
         [FINE], status(200), backend_body(b"abc"), *expect)
case("nominated-away-transfer-encoding", "B1", "9110 7.6.1",
     sent(("Connection", "Transfer-Encoding"), ("Transfer-Encoding", "chunked"), method="POST") + b"3\r\nabc\r\n0\r\n\r\n",
     [FINE],
     either((status(200), backend_body(b"abc")), (error(), backend_count(0))))
case("nominated-away-length-of-a-response", "B1", "9110 7.6.1", sent() + sent(target="/two"),
     [answered(("Connection", "Content-Length")), response(200, b"two")], statuses(200, 200), body(b"ok"), body(b"two", 1),
     responses=2)
case("connection-close-and-keep-alive", "B1", "9112 9.3", sent(("Connection", "keep-alive, close")), [FINE], status(200),
     closed())
case("connection-close-case", "B1", "9112 9.6", sent(("Connection", "CLOSE")), [FINE], status(200), closed())
case("connection-close-of-the-backend-stays-there", "B1", "9110 7.6.1", sent(), [answered(("Connection", "close"))], status(200),
     kept())
case("end-to-end-order-is-kept", "B1", "9110 5.3", sent(("X-A", "1"), ("X-B", "2"), ("X-A", "3")),
     [answered(("X-C", "1"), ("X-D", "2"), ("X-C", "3"))],
     backend_header("X-A", "1", "3"), header("X-C", "1", "3"))
case("set-cookie-lines-stay-apart", "B1", "9110 5.3", sent(), [answered(("Set-Cookie", "a=1, b"), ("Set-Cookie", "c=2"))],
     header("Set-Cookie", "a=1, b", "c=2"))
case("field-named-with-underscore-passes", "B1", "9110 5.1", sent(("X_Under", "y")), [answered(("Y_Under", "z"))],
     backend_header("X_Under", "y"),
     header("Y_Under", "z"), policy=True)
case("unknown-fields-pass", "B1", "9110 5.1", sent(("!#$%&'*+-.^_`|~9A", "y")), [answered(("!#$%&'*+-.^_`|~9A", "z"))],
     backend_header("!#$%&'*+-.^_`|~9A", "y"), header("!#$%&'*+-.^_`|~9A", "z"), policy=True)

# B4: Via. RFC 9110 section 7.6.3.


def via(side, *members):
    def check(seen, strict):
        message = seen.response if side == "response" else seen.requests[0] if seen.requests else None
        got = message.tokens("Via") if message else []
        own = got[-1].split() if got else []
        if got[:-1] != list(members[:-1]) or len(own) < 2 or own[0].split("/")[-1] != members[-1]:
            return "%s's Via %r, due %r and a name" % (side, got, list(members))
        return "Via names %r" % own[1] if strict and own[1] != "upgate" else None
    return expectation(check)


case("via-request", "B4", "9110 7.6.3", sent(), [FINE], via("request", "1.1"))
case("via-request-http-1.0", "B4", "9110 7.6.3", b"GET / HTTP/1.0\r\nHost: conduct.example\r\n\r\n", [FINE],
     via("request", "1.0"))
case("via-request-appended", "B4", "9110 7.6.3", sent(("Via", "1.0 fred, 1.1 p.example")), [FINE],
     via("request", "1.0 fred", "1.1 p.example", "1.1"))
case("via-request-lines", "B4", "9110 7.6.3", sent(("Via", "1.0 fred"), ("Via", "1.1 p.example")), [FINE],
     via("request", "1.0 fred", "1.1 p.example", "1.1"))
case("via-response", "B4", "9110 7.6.3", sent(), [FINE], via("response", "1.1"))
case("via-response-http-1.0", "B4", "9110 7.6.3", sent(), [b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
     via("response", "1.0"))
case("via-response-appended", "B4", "9110 7.6.3", sent(), [answered(("Via", "1.1 origin"))], via("response", "1.1 origin", "1.1"))
case("via-response-404", "B4", "9110 7.6.3", sent(), [answered(status=404)], via("response", "1.1"))
case("via-loop-is-detected", "B4", "9110 7.6.3", sent(("Via", ", ".join(["1.1 upgate"] * 50))), [], status(508), backend_count(0),
     only="upgate")

# B10: no cache; nothing about freshness is touched. RFC 9111 sections 5.1, 5.2; RFC 9110 sections 6.6.1, 8.
DATE = "Tue, 15 Nov 1994 08:12:31 GMT"
for name, field in [("date", ("Date", DATE)), ("age", ("Age", "12345")),
                    ("cache-control", ("Cache-Control", "private, max-age=0, x-own=\"a,b\"")),
                    ("expires", ("Expires", "0")), ("etag", ("ETag", 'W/"x"')), ("last-modified", ("Last-Modified", DATE)),
                    ("vary", ("Vary", "*")),
                    ("pragma", ("Pragma", "no-cache")), ("server", ("Server", "origin/1.0")),
                    ("warning", ("Warning", '110 - "stale"'))]:
    case("untouched-response-" + name, "B10", "9111 5", sent(), [answered(field)], header(field[0], field[1]))
for field in [("Cache-Control", "no-cache"), ("Pragma", "no-cache"), ("If-None-Match", '"x"'), ("If-Modified-Since", DATE),
              ("Range", "bytes=0-4"),
              ("Accept-Encoding", "gzip;q=1.0, br"), ("User-Agent", "conduct/1"), ("Referer", "http://a/"),
              ("Authorization", "Basic eDp5"),
              ("Cookie", "a=b; c=d"), ("Accept", "*/*"), ("From", "a@b.example"), ("Date", DATE)]:
    case("untouched-request-" + field[0].lower(), "B10", "9110 7.7", sent(field), [FINE], backend_header(*field))
case("date-added-where-missing", "B10", "9110 6.6.1", sent(), [FINE],
     expectation(lambda seen, strict: None if seen.response and len(seen.response.all("Date")) == 1 else "no Date"))
case("date-not-added-to-a-1xx", "B10", "9110 6.6.1", sent(), [b"HTTP/1.1 103 Early Hints\r\n\r\n" + FINE],
     expectation(lambda seen,
                 strict: "a Date in a 1xx" if seen.response and any(i.has("Date") for i in seen.response.interim) else None))
case("response-304-fields-pass", "B10", "9110 15.4.5", sent(("If-None-Match", '"x"')),
     [answered(("ETag", '"x"'), ("Cache-Control", "max-age=5"), status=304, body=b"")],
     status(304), header("ETag", '"x"'), header("Cache-Control", "max-age=5"))

# C3: what could pass for a trusted fact goes, from anybody who is not a trusted hop. RFC 7239 section 8.1 says why.
LOOK_ALIKES = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-By",
               "X-Forwarded-Server",
               "X-Forwarded-Prefix", "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-Client-Cert", "X-Real-IP",
               "True-Client-IP",
               "CF-Connecting-IP", "X-Client-IP", "X-Original-URL", "X-Original-Host", "X-Original-Forwarded-For",
               "X-Rewrite-URL",
               "X-Cluster-Client-IP", "Fastly-Client-IP", "X-Originating-IP", "X-Remote-IP", "X-Remote-Addr", "Forwarded"]
for name in LOOK_ALIKES:
    value = "for=%s" % LIE if name == "Forwarded" else LIE
    case("look-alike-" + name.lower(), "C3", "7239 8.1", sent((name, value)), [FINE], status(200), backend_never(LIE.encode()),
         policy=True)
for name, field in [("lower-case", "x-forwarded-for"), ("mixed-case", "x-FoRwArDeD-fOr"), ("underscore", "X_Forwarded_For"),
                    ("underscore-and-dash", "X-Forwarded_For"), ("real-ip-underscore", "X_REAL_IP"),
                    ("true-client-underscore", "True_Client_IP"),
                    ("cf-underscore", "cf_connecting_ip"), ("original-underscore", "X_Original_URL")]:
    case("look-alike-spelled-" + name, "C3", "7239 8.1", sent((field, LIE)), [FINE], status(200), backend_never(LIE.encode()),
         policy=True)
case("look-alike-many-times", "C3", "7239 8.1", sent(*[("X-Real-IP", LIE)] * 20), [FINE], status(200),
     backend_never(LIE.encode()), policy=True)
case("look-alike-empty-and-real", "C3", "7239 8.1", sent(("X-Forwarded-For", ""), ("X-Forwarded-For", LIE)), [FINE], status(200),
     backend_never(LIE.encode()), policy=True)
case("look-alike-in-trailers", "C3", "9110 6.5.1",
     sent(("Transfer-Encoding", "chunked"), method="POST") + b"1\r\nx\r\n0\r\nX-Real-IP: 6.6.6.6\r\n\r\n", [FINE],
     backend_never(LIE.encode()), policy=True)
case("look-alike-on-absolute-form", "C3", "7239 8.1",
     sent(("X-Forwarded-Host", "evil.example"), target="http://conduct.example/"), [FINE],
     backend_never(b"evil.example"), policy=True)
case("fact-forwarded-for", "C3", "7239 4", sent(("X-Forwarded-For", LIE)), [FINE], backend_header("X-Forwarded-For", "127.0.0.1"),
     policy=True)
case("fact-forwarded-proto", "C3", "7239 5.4", sent(("X-Forwarded-Proto", "https")), [FINE],
     backend_header("X-Forwarded-Proto", SCHEME), policy=True)
case("fact-forwarded-host", "C3", "7239 5.3", sent(("X-Forwarded-Host", "evil.example")), [FINE],
     backend_header("X-Forwarded-Host", HOST), policy=True)
case("fact-forwarded", "C3", "7239 4", sent(("Forwarded", "for=" + LIE)), [FINE],
     expectation(lambda seen, strict: None if seen.requests and len(seen.requests[0].all("Forwarded")) == 1 and
                 "for=127.0.0.1" in seen.requests[0].get("Forwarded").lower().replace('"',
                 "") and "proto=http" in seen.requests[0].get("Forwarded").lower()
                 else "Forwarded: %r" % (seen.requests and seen.requests[0].all("Forwarded"))), only="upgate")
case("fact-cannot-be-nominated-away", "C3", "9110 7.6.1", sent(("Connection", "X-Forwarded-For, X-Forwarded-Proto")), [FINE],
     backend_header("X-Forwarded-For", "127.0.0.1"), backend_header("X-Forwarded-Proto", SCHEME), policy=True)

# D1: a trusted hop's facts are kept and extended.
case("trusted-forwarded-for-appended", "D1", "7239 5.2", sent(("X-Forwarded-For", "9.9.9.9")), [FINE],
     backend_tokens("X-Forwarded-For", "9.9.9.9", "127.0.0.1"),
     listener="trusted")
case("trusted-forwarded-for-lines-appended", "D1", "7239 5.2",
     sent(("X-Forwarded-For", "9.9.9.9"), ("X-Forwarded-For", "8.8.8.8")), [FINE],
     backend_tokens("X-Forwarded-For", "9.9.9.9", "8.8.8.8", "127.0.0.1"), listener="trusted")
case("trusted-proto-kept", "D1", "7239 5.4", sent(("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "outer.example")), [FINE],
     backend_tokens("X-Forwarded-Proto", "https"), backend_tokens("X-Forwarded-Host", "outer.example"), listener="trusted",
     only="upgate")
case("trusted-forwarded-appended", "D1", "7239 4", sent(("Forwarded", "for=9.9.9.9;proto=https")), [FINE],
     expectation(lambda seen,
                 strict: None if seen.requests and ", ".join(seen.requests[0].all("Forwarded")).startswith("for=9.9.9.9;proto=https")
                 and len(seen.requests[0].tokens("Forwarded")) == 2 else "Forwarded: %r" % (seen.requests and seen.requests[0].all("Forwarded"))),
     listener="trusted", only="upgate")
