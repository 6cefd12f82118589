"""B3 and the request target: where a request goes and what the origin is told of it."""
from model import (backend_body, backend_count, backend_header, backend_line, both, case, closed, either, error, refused,
                   request, response, status, strictly)

HOST = "conduct.example"
FINE = response(200, b"ok")
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: conduct.example\r\n\r\n"


def raw(line, *hosts, fields=b""):
    return line + b"\r\n" + b"".join(b"Host: " + h + b"\r\n" for h in hosts) + fields + b"\r\n"


def target_at_backend(origin_form, absolute=None):
    """The origin is asked in origin-form (RFC 9112 section 3.2.1); a proxy's absolute-form to it is lawful too."""
    forms = [backend_line("GET %s HTTP/1.1" % origin_form)]
    if absolute:
        forms.append(backend_line("GET %s HTTP/1.1" % absolute))
    return both(either(*forms), strictly(forms[0]))


# Absolute-form wins over Host: RFC 9112 section 3.2.2.
for name, target, due_target, due_host in [
    ("plain", "http://other.example/x", "/x", "other.example"), ("port", "http://other.example:8081/x", "/x",
                                                                 "other.example:8081"),
    ("query", "http://other.example/x?a=b&c", "/x?a=b&c", "other.example"),
    ("no-path", "http://other.example", "/", "other.example"),
    ("no-path-query", "http://other.example?q", "/?q", "other.example"), ("scheme-case", "HTTP://other.example/x", "/x",
         "other.example"),
    ("address", "http://127.0.0.1/x", "/x", "127.0.0.1"), ("ipv6", "http://[::1]/x", "/x", "[::1]"),
    ("double-slash", "http://other.example//x", "//x", "other.example"),
]:
    case("absolute-form-" + name, "B3", "9112 3.2.2", raw(b"GET " + target.encode() + b" HTTP/1.1", b"conduct.example"), [FINE],
         status(200),
         backend_header("Host", due_host), target_at_backend(due_target, target))
case("absolute-form-http-1.0-no-host", "B3", "9112 3.2.2", raw(b"GET http://other.example/x HTTP/1.0"), [FINE], status(200),
     backend_header("Host", "other.example"))
case("absolute-form-agrees-with-host", "B3", "9112 3.2.2", raw(b"GET http://conduct.example/x HTTP/1.1", b"conduct.example"),
     [FINE], status(200),
     backend_header("Host", HOST))
case("absolute-form-post", "B3", "9112 3.2.2", request("POST", "http://other.example/x", host=HOST, body=b"abc"), [FINE],
     status(200),
     backend_header("Host", "other.example"), backend_body(b"abc"))
case("absolute-form-https", "B3", "9110 7.4", raw(b"GET https://other.example/x HTTP/1.1", b"conduct.example"), [FINE],
     either((status(200), backend_header("Host", "other.example")), (error(), backend_count(0))))
for name, target in [("other-scheme", "gopher://other.example/x"), ("ftp", "ftp://other.example/x"),
                     ("userinfo", "http://user:pw@other.example/x"),
                     ("empty-host", "http:///x"), ("bad-port", "http://other.example:x/"),
                     ("port-out-of-range", "http://other.example:70000/"),
                     ("ipv6-open", "http://[::1/x"), ("no-slashes", "http:other.example/x"),
                     ("one-slash", "http:/other.example/x"),
                     ("host-with-blank", "http://oth%20er/x"), ("fragment", "http://other.example/x#f"),
                     ("javascript", "javascript:alert(1)")]:
    case("absolute-form-bad-" + name, "B3", "9112 3.2.2, 9110 4.2", raw(b"GET " + target.encode() + b" HTTP/1.1",
         b"conduct.example") + SMUGGLED, [],
         refused(400), policy=name in ("userinfo", "fragment", "port-out-of-range", "host-with-blank", "other-scheme", "ftp"))

# Host: RFC 9112 section 3.2. Missing, repeated or invalid: 400.
case("host-missing", "B3", "9112 3.2", raw(b"GET / HTTP/1.1") + SMUGGLED, [], refused(400))
case("host-missing-http-1.0", "B3", "9112 3.2", raw(b"GET / HTTP/1.0"), [FINE], status(200), backend_count(1))
case("host-missing-with-absolute-form", "B3", "9112 3.2", raw(b"GET http://other.example/ HTTP/1.1") + SMUGGLED, [], refused(400))
case("host-twice", "B3", "9112 3.2", raw(b"GET / HTTP/1.1", b"conduct.example", b"other.example") + SMUGGLED, [], refused(400))
case("host-twice-same", "B3", "9112 3.2", raw(b"GET / HTTP/1.1", b"conduct.example", b"conduct.example") + SMUGGLED, [],
     refused(400))
case("host-twice-with-absolute-form", "B3", "9112 3.2", raw(b"GET http://a.example/ HTTP/1.1", b"conduct.example",
                                                            b"other.example") + SMUGGLED, [], refused(400))
case("host-twice-http-1.0", "B3", "9112 3.2", raw(b"GET / HTTP/1.0", b"conduct.example", b"other.example"), [], refused(400))
for name, value in [("blank-inside", b"conduct example"), ("list", b"conduct.example, other.example"),
                    ("scheme", b"http://conduct.example"),
                    ("path", b"conduct.example/x"), ("userinfo", b"user@conduct.example"),
                    ("port-letters", b"conduct.example:http"),
                    ("port-out-of-range", b"conduct.example:99999"), ("port-minus", b"conduct.example:-1"),
                    ("two-ports", b"conduct.example:80:80"),
                    ("ipv6-open", b"[::1"), ("ipv6-no-brackets", b"::1"), ("ipv6-garbage-behind", b"[::1]x"),
                    ("query", b"conduct.example?x"),
                    ("fragment", b"conduct.example#x"), ("backslash", b"conduct\\example"), ("quote", b'"conduct.example"'),
                    ("angle", b"<conduct>"),
                    ("high-byte", b"conduct\xff.example"), ("percent-nul", b"conduct%00.example"), ("tab", b"conduct\texample")]:
    case("host-bad-" + name, "B3", "9112 3.2, 9110 7.2", raw(b"GET / HTTP/1.1", value) + SMUGGLED, [], refused(400),
         policy=name in ("port-out-of-range", "percent-nul"))
for name, value in [("port", "conduct.example:8080"), ("upper-case", "CONDUCT.example"), ("address", "127.0.0.1:80"),
                    ("ipv6", "[::1]:80"),
                    ("underscore", "con_duct.example"), ("trailing-dot", "conduct.example."), ("single-label", "localhost"),
                    ("empty-port", "conduct.example:"),
                    ("long", ".".join(["a" * 60] * 4))]:
    same_host = value.lower().rstrip(":").rstrip(".")
    case("host-good-" + name, "B3", "9110 7.2", request(host=value), [FINE], status(200),
         either(backend_header("Host", value), backend_header("Host", same_host)), strictly(backend_header("Host", value)))
case("host-empty", "B3", "9112 3.2", raw(b"GET / HTTP/1.1", b""), [FINE], either(status(200), refused(400)))
case("host-obs-name", "B3", "9112 5.1", b"GET / HTTP/1.1\r\nHost : conduct.example\r\n\r\n" + SMUGGLED, [], refused(400))

# CONNECT, TRACE, OPTIONS: RFC 9110 sections 9.3.6 to 9.3.8, RFC 9112 sections 3.2.3 and 3.2.4.
case("connect", "B3", "9110 9.3.6", b"CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n" + SMUGGLED, [],
     both(status(400, 403, 405, 501), backend_count(0), closed()), strictly(status(405, 501)))
case("connect-with-path", "B3", "9112 3.2.3", b"CONNECT /x HTTP/1.1\r\nHost: conduct.example\r\n\r\n" + SMUGGLED, [],
     both(error(), backend_count(0), closed()))
case("authority-form-with-get", "B3", "9112 3.2.3", b"GET other.example:80 HTTP/1.1\r\nHost: conduct.example\r\n\r\n" + SMUGGLED,
     [],
     both(error(), backend_count(0), closed()))
case("trace", "B3", "9110 9.3.8", request("TRACE", host=HOST, fields=[("Cookie", "secret")]), [], status(405, 501, ours=405),
     backend_count(0), policy=True)
case("options-asterisk", "B3", "9112 3.2.4", raw(b"OPTIONS * HTTP/1.1", b"conduct.example"), [response(200, b"")],
     either((status(200, 204), backend_count(0)), (status(200), backend_line("OPTIONS * HTTP/1.1"))), policy=True)
case("options-absolute-no-path", "B3", "9112 3.2.4", raw(b"OPTIONS http://other.example HTTP/1.1", b"conduct.example"),
     [response(200, b"")],
     either((status(200, 204), backend_count(0)), (status(200), backend_line("OPTIONS * HTTP/1.1"))))
case("options-with-path", "B3", "9110 9.3.7", raw(b"OPTIONS /x HTTP/1.1", b"conduct.example"),
     [response(200, b"", [("Allow", "GET")])], status(200),
     backend_line("OPTIONS /x HTTP/1.1"))

# The target is not rewritten on the wire: RFC 9110 section 7.7, RFC 9112 section 3.2.
for name, target in [("escapes", "/a%7Eb%41%2d"), ("escape-case", "/%e2%82%AC"), ("dot-segments", "/a/./b"),
                     ("parameters", "/a;x=1/b;y"), ("double-slash", "/a//b"),
                     ("query", "/a?b=%20&c=d+e&&=?"), ("empty-query", "/a?"), ("query-with-dots", "/a?x=/../y"),
                     ("reserved", "/!$&'()*+,;=:@-._~"),
                     ("root", "/"), ("query-with-url", "/r?u=http://x.example/y"), ("encoded-query-mark", "/a%3Fb"),
                     ("query-with-brackets", "/a?x[]=1")]:
    case("target-kept-" + name, "B11", "9110 7.7", request(target=target, host=HOST), [FINE], status(200),
         backend_line("GET %s HTTP/1.1" % target),
         policy=name == "query-with-brackets")
