"""B2, requests: what can be read in two ways is refused, and nothing behind it is ever served."""
from model import (AT_HEAD, FIN, backend_body, backend_count, backend_header, backend_line, backend_never, case, chunked,
                   closed, either, error, kept, no_complete_request, refused, refused_inside, response, status, statuses,
                   strictly)

HOST = b"Host: conduct.example\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: conduct.example\r\n\r\n"
PROMISE = "B2"
OK = response(200, b"ok")


def get(line=b"GET / HTTP/1.1", fields=b"", end=b"\r\n"):
    return line + b"\r\n" + HOST + fields + end


def post(fields, content=b""):
    return b"POST / HTTP/1.1\r\n" + HOST + fields + b"\r\n" + content


# The request line: RFC 9112 section 3. Invalid ones SHOULD get a 400; others may take any blank for the one that separates.
BLANKS = ["two-spaces-before-target", "two-spaces-before-version", "space-behind-version", "tab-before-target",
          "tab-before-version",
          "space-in-front"]
for name, line in [
    ("two-spaces-before-target", b"GET  / HTTP/1.1"),
    ("two-spaces-before-version", b"GET /  HTTP/1.1"),
    ("space-behind-version", b"GET / HTTP/1.1 "),
    ("tab-before-target", b"GET\t/ HTTP/1.1"),
    ("tab-before-version", b"GET /\tHTTP/1.1"),
    ("space-in-front", b" GET / HTTP/1.1"),
    ("no-target", b"GET HTTP/1.1"),
    ("empty-target", b"GET  HTTP/1.1"),
    ("space-in-target", b"GET /a b HTTP/1.1"),
    ("no-method", b"/ HTTP/1.1"),
    ("method-not-a-token", b"GE(T / HTTP/1.1"),
    ("method-with-colon", b"GET: / HTTP/1.1"),
    ("method-nul", b"GE\x00T / HTTP/1.1"),
    ("method-high-byte", b"GE\xffT / HTTP/1.1"),
    ("words", b"hello"),
    ("version-garbage-behind", b"GET / HTTP/1.1x"),
    ("version-word-behind", b"GET / HTTP/1.1 x"),
    ("version-no-dot", b"GET / HTTP/11"),
    ("version-no-minor", b"GET / HTTP/1."),
    ("version-only-major", b"GET / HTTP/1"),
    ("version-letter", b"GET / HTTP/1.a"),
    ("version-no-slash", b"GET / HTTP1.1"),
    ("version-other-protocol", b"GET / ICY/1.1"),
    ("cr-in-line", b"GET /\rx HTTP/1.1"),
    ("nul-in-target", b"GET /\x00 HTTP/1.1"),
    ("control-in-target", b"GET /\x01 HTTP/1.1"),
    ("tab-in-target", b"GET /a\tb HTTP/1.1"),
    ("delete-in-target", b"GET /\x7f HTTP/1.1"),
    ("target-without-slash", b"GET foo HTTP/1.1"),
    ("asterisk-with-get", b"GET * HTTP/1.1"),
]:
    case("request-line-" + name, PROMISE, "9112 3", get(line) + SMUGGLED, [], refused(400), policy=name in BLANKS)

for name, line in [("version-lower-case", b"GET / http/1.1"), ("version-two-digit-minor", b"GET / HTTP/1.10"),
                   ("version-two-digit-major", b"GET / HTTP/01.1"), ("simple-request", b"GET /")]:
    case("request-line-" + name, PROMISE, "9112 2.3", get(line) + SMUGGLED, [], refused(None), policy=name == "simple-request")

for version in ["0.9", "2.0", "3.0"]:
    case("request-version-" + version, PROMISE, "9110 15.6.6", get(b"GET / HTTP/" + version.encode()) + SMUGGLED, [],
         refused(505))
case("request-version-1.2", PROMISE, "9110 2.5, 15.6.6", get(b"GET / HTTP/1.2") + SMUGGLED, [], refused(505), policy=True)
case("request-http-0.9-simple", PROMISE, "9112 2.3", b"GET /\r\n", [], refused(None), policy=True)
case("request-http2-preface", PROMISE, "9113 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [], refused(None))
case("request-tls-client-hello", PROMISE, "9112 2.2",
     b"\x16\x03\x01\x00\x2e\x01\x00\x00\x2a\x03\x03" + b"\x11" * 35 + b"\r\n\r\n", [],
     either(refused(400), (closed(), backend_count(0))))

# RFC 3986 allows neither raw; RFC 9112 section 3.2 leaves fragments out of every form.
case("request-target-fragment", PROMISE, "9112 3.2", get(b"GET /a#b HTTP/1.1") + SMUGGLED, [], refused(400), policy=True)
case("request-target-high-byte", PROMISE, "9112 3.2, 3986 2", get(b"GET /\xff HTTP/1.1") + SMUGGLED, [], refused(400),
     policy=True)

# Line ends: RFC 9112 section 2.2. A bare LF may be recognised by others; a bare CR never.
case("request-blank-line-before", PROMISE, "9112 2.2", b"\r\n" + get(), [OK], status(200), backend_count(1), kept())
case("request-blank-lines-before", PROMISE, "9112 2.2", b"\r\n\r\n\r\n" + get() + SMUGGLED, [], refused(400), policy=True)
case("request-bare-lf-before", PROMISE, "9112 2.2", b"\n" + get() + SMUGGLED, [], refused(400), policy=True)
case("request-bare-lf-line", PROMISE, "9112 2.2", b"GET / HTTP/1.1\n" + HOST + b"\r\n" + SMUGGLED, [], refused(400), policy=True)
case("request-bare-lf-field", PROMISE, "9112 2.2", b"GET / HTTP/1.1\r\nHost: conduct.example\nX: y\r\n\r\n" + SMUGGLED, [],
     refused(400), policy=True)
case("request-bare-lf-end", PROMISE, "9112 2.2", get(end=b"\n") + SMUGGLED, [], refused(400), policy=True)
case("request-bare-lf-everywhere", PROMISE, "9112 2.2", get().replace(b"\r\n", b"\n") + SMUGGLED, [], refused(400), policy=True)
case("request-bare-cr-end", PROMISE, "9112 2.2", get(end=b"\r") + b"X" + SMUGGLED, [], refused(400))
case("request-bare-cr-in-value", PROMISE, "9112 2.2, 9110 5.5", get(fields=b"X: a\rb\r\n") + SMUGGLED, [],
     either(refused(400), (status(200), backend_never(b"a\rb"))))
case("request-bare-cr-before-field", PROMISE, "9112 2.2", get(fields=b"X: a\rContent-Length: 5\r\n") + b"12345" + SMUGGLED, [],
     either(refused(400), backend_never(b"\rContent-Length", b"\rcontent-length")))
case("request-cr-cr-lf", PROMISE, "9112 2.2", get(fields=b"X: a\r\r\n") + SMUGGLED, [],
     either(refused(400), backend_never(b"\r\r")))

# Fields: RFC 9112 section 5, RFC 9110 section 5.
for name, rfc, fields in [
    ("space-before-colon", "9112 5.1", b"X : y\r\n"),
    ("tab-before-colon", "9112 5.1", b"X\t: y\r\n"),
    ("content-length-space-before-colon", "9112 5.1", b"Content-Length : 5\r\n"),
    ("transfer-encoding-space-before-colon", "9112 5.1", b"Transfer-Encoding : chunked\r\n"),
    ("no-colon", "9112 5", b"NoColonHere\r\n"),
    ("empty-name", "9110 5.1", b": value\r\n"),
    ("name-with-space", "9110 5.1", b"Bad Name: x\r\n"),
    ("name-with-parentheses", "9110 5.1", b"X(y): z\r\n"),
    ("name-nul", "9110 5.1", b"X\x00Y: z\r\n"),
    ("name-high-byte", "9110 5.1", b"X\xff: z\r\n"),
    ("name-slash", "9110 5.1", b"X/Y: z\r\n"),
]:
    # Where it is no question of framing, another proxy may drop the line.
    lenient = either(refused(400),
                     (status(200), backend_never(fields[:-2]))) if "colon" not in name or name == "no-colon" else refused(400)
    case("request-field-" + name, PROMISE, rfc, get(fields=fields) + SMUGGLED, [], lenient, strictly(refused(400)))
case("request-field-space-before-first", PROMISE, "9112 2.2", b"GET / HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n" + SMUGGLED, [],
     either(refused(400), (status(200), backend_never(b"X: y"))))
case("request-field-value-control", PROMISE, "9110 5.5", get(fields=b"X: a\x01b\r\n") + SMUGGLED, [], refused(400), policy=True)
case("request-field-value-delete", PROMISE, "9110 5.5", get(fields=b"X: a\x7fb\r\n") + SMUGGLED, [], refused(400), policy=True)
case("request-field-obs-fold", PROMISE, "9112 5.2", get(fields=b"X: a\r\n b\r\n") + SMUGGLED, [],
     either(refused(400), (status(200), backend_never(b"a\r\n b"))))
case("request-field-obs-fold-tab", PROMISE, "9112 5.2", get(fields=b"X: a\r\n\tb\r\n") + SMUGGLED, [],
     either(refused(400), (status(200), backend_never(b"a\r\n\tb"))))
case("request-field-obs-fold-in-length", PROMISE, "9112 5.2", post(b"Content-Length:\r\n 5\r\n", b"12345" + SMUGGLED), [],
     either(refused(400), (backend_body(b"12345"),)))
case("request-field-obs-fold-in-coding", PROMISE, "9112 5.2", post(b"Transfer-Encoding:\r\n chunked\r\n", chunked(b"x")), [],
     either(refused(400), (backend_body(b"x"),)))
case("request-field-value-nul", PROMISE, "9110 5.5", get(fields=b"X: a\x00b\r\n") + SMUGGLED, [],
     either(refused(400), (status(200), backend_never(b"a\x00b"))))
case("request-field-obs-text", PROMISE, "9110 5.5", get(fields=b"X: a\xe9\xffb\r\n"), [OK], status(200),
     backend_header("X", "a\xe9\xffb"))
case("request-field-empty-value", PROMISE, "9110 5.5", get(fields=b"X:\r\n"), [OK], status(200), backend_header("X", ""))
case("request-field-blanks-around-value", PROMISE, "9112 5.1", get(fields=b"X: \t a b \t\r\n"), [OK], status(200),
     backend_header("X", "a b"))
case("request-field-tab-inside-value", PROMISE, "9110 5.5", get(fields=b"X: a\tb\r\n"), [OK], status(200),
     backend_header("X", "a\tb"))
case("request-field-no-space-behind-colon", PROMISE, "9112 5.1", get(fields=b"X:y\r\n"), [OK], status(200),
     backend_header("X", "y"))

# Content-Length: RFC 9110 section 8.6, RFC 9112 section 6.3.
for name, value in [
    ("plus-sign", b"+5"), ("minus-sign", b"-5"), ("minus-zero", b"-0"), ("hexadecimal", b"0x5"), ("letter", b"5a"),
    ("decimal-point", b"5.0"),
    ("exponent", b"1e1"), ("blank-inside", b"1 5"), ("tab-inside", b"1\t5"), ("empty", b""),
    ("overflow-64", b"18446744073709551621"),
    ("overflow-huge", b"9" * 100), ("underscore", b"1_0"), ("quoted", b'"5"'), ("parameter", b"5;x=1"),
    ("vertical-tab", b"\x0b5"),
    ("list-different", b"5, 6"), ("list-empty-member", b"5,"), ("superscript", b"\xb2"), ("fullwidth", "５".encode()),
]:
    case("request-length-" + name, PROMISE, "9112 6.3", post(b"Content-Length: " + value + b"\r\n", b"12345" + SMUGGLED), [],
         refused(400))
case("request-length-list-same", PROMISE, "9112 6.3", post(b"Content-Length: 5, 5\r\n", b"12345"), [OK],
     either(refused(400), (backend_header("Content-Length", "5"), backend_body(b"12345"))))
case("request-length-twice-same", PROMISE, "9112 6.3", post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"12345"), [OK],
     either(refused(400), (backend_header("Content-Length", "5"), backend_body(b"12345"))))
for name, first, second in [("twice-different", b"5", b"6"), ("twice-zero-first", b"0", b"48"), ("twice-zero-last", b"48", b"0"),
                            ("twice-one-bad", b"5", b"x")]:
    case("request-length-" + name, PROMISE, "9112 6.3",
         post(b"Content-Length: " + first + b"\r\ncontent-length: " + second + b"\r\n", b"12345" + SMUGGLED), [], refused(400))
case("request-length-far-apart", PROMISE, "9112 6.3",
     post(b"Content-Length: 5\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(50)) + b"Content-Length: 0\r\n",
          b"12345" + SMUGGLED), [],
     refused(400))
case("request-length-leading-zeros", PROMISE, "9110 8.6", post(b"Content-Length: 0005\r\n", b"12345"), [OK], status(200),
     backend_body(b"12345"))
case("request-length-blanks-around", PROMISE, "9112 5.1", post(b"Content-Length: \t5 \r\n", b"12345"), [OK], status(200),
     backend_body(b"12345"))
case("request-length-on-get", PROMISE, "9110 9.3.1", get(fields=b"Content-Length: 5\r\n") + b"12345", [OK], status(200),
     backend_body(b"12345"), kept())
case("request-length-on-get-is-not-a-request", PROMISE, "9112 6.3",
     get(fields=b"Content-Length: %d\r\n" % len(SMUGGLED)) + SMUGGLED, [OK], status(200), backend_count(1),
     backend_body(SMUGGLED), kept())
case("request-length-zero", PROMISE, "9112 6.3", post(b"Content-Length: 0\r\n"), [OK], status(200), backend_body(b""), kept())

# Transfer-Encoding: RFC 9112 sections 6.1 and 7. A coding that is not understood: 501.
for name, value, ours in [
    ("gzip", b"gzip", 501), ("gzip-then-chunked", b"gzip, chunked", 501), ("chunked-then-gzip", b"chunked, gzip", None),
    ("identity", b"identity", 501), ("chunked-then-identity", b"chunked, identity", None),
    ("identity-then-chunked", b"identity, chunked", 501),
    ("chunked-twice-in-list", b"chunked, chunked", None), ("xchunked", b"xchunked", 501), ("chunkedx", b"chunkedx", 501),
    ("chunked-parameter", b"chunked;q=1", None), ("quoted", b'"chunked"', None), ("single-quoted", b"'chunked'", None),
    ("vertical-tab", b"\x0bchunked", None), ("form-feed", b"\x0cchunked", None), ("nul", b"chunked\x00", None),
    ("high-byte", b"chunked\xff", None),
    ("blank-inside", b"chun ked", None), ("empty", b"", None), ("comma-only", b",", None), ("x-then-chunked", b"x, chunked", 501),
    ("colon", b": chunked", None), ("cow", b"cow", 501), ("trailing-word", b"chunked gzip", None),
]:
    case("request-coding-" + name, PROMISE, "9112 6.1, 6.3", post(b"Transfer-Encoding: " + value + b"\r\n",
                                                                  b"0\r\n\r\n" + SMUGGLED), [],
         refused(ours))
case("request-coding-case", PROMISE, "9112 7", post(b"TRANSFER-encoding: cHuNkEd\r\n", chunked(b"abc")), [OK], status(200),
     backend_body(b"abc"))
case("request-coding-empty-list-members", PROMISE, "9110 5.6.1.2", post(b"Transfer-Encoding: , chunked ,\r\n", chunked(b"abc")),
     [OK],
     either(refused(None), (status(200), backend_body(b"abc"))))
case("request-coding-twice", PROMISE, "9112 6.1", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                                                       b"0\r\n\r\n" + SMUGGLED), [],
     refused(None))
case("request-coding-identity-line-then-chunked", PROMISE, "9112 6.1",
     post(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED), [], refused(None))
case("request-coding-chunked-line-then-identity", PROMISE, "9112 6.1",
     post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n" + SMUGGLED), [], refused(None))
case("request-coding-http-1.0", PROMISE, "9112 6.1",
     b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, [],
     refused(400), policy=True)

# Both: RFC 9112 sections 6.1 and 6.3. Refused here; elsewhere the length may be removed, and the connection closed behind it.
for name, fields in [("length-first", b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n"),
                     ("coding-first", b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n"),
                     ("zero-length", b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
                     ("case", b"content-LENGTH: 6\r\ntransfer-ENCODING: Chunked\r\n")]:
    case("request-length-and-coding-" + name, PROMISE, "9112 6.3", post(fields, b"0\r\n\r\nX" + SMUGGLED), [OK],
         either(refused(400), (backend_header("Content-Length"), backend_body(b""), backend_never(b"/smuggled"), closed())))
case("request-length-and-coding-gzip", PROMISE, "9112 6.3",
     post(b"Content-Length: 5\r\nTransfer-Encoding: gzip\r\n", b"12345" + SMUGGLED), [], refused(None))

# Look-alikes of framing fields pass as what they are, or not at all; they never frame.
for name, field in [("transfer_encoding", b"Transfer_Encoding: chunked"), ("content_length", b"Content_Length: 100"),
                    ("x-transfer-encoding", b"X-Transfer-Encoding: chunked")]:
    case("request-look-alike-" + name, PROMISE, "9112 6", post(field + b"\r\nContent-Length: 5\r\n", b"0\r\n\r\n"), [OK],
         either(refused(400), (status(200), backend_body(b"0\r\n\r\n"), kept())))

# Chunks: RFC 9112 section 7.1.
CHUNKED = b"Transfer-Encoding: chunked\r\n"
for name, content in [
    ("size-hex-prefix", b"0x3\r\nabc\r\n0\r\n\r\n"), ("size-plus", b"+3\r\nabc\r\n0\r\n\r\n"),
    ("size-minus", b"-3\r\nabc\r\n0\r\n\r\n"),
    ("size-letter", b"3g\r\nabc\r\n0\r\n\r\n"), ("size-empty", b"\r\nabc\r\n0\r\n\r\n"),
    ("size-only-extension", b";x\r\nabc\r\n0\r\n\r\n"),
    ("size-overflow", b"10000000000000003\r\nabc\r\n0\r\n\r\n"), ("size-overflow-huge", b"f" * 40 + b"\r\nabc\r\n0\r\n\r\n"),
    ("size-underscore", b"0_3\r\nabc\r\n0\r\n\r\n"), ("size-leading-space", b" 3\r\nabc\r\n0\r\n\r\n"),
    ("size-words", b"hello\r\nabc\r\n0\r\n\r\n"), ("data-longer", b"3\r\nabcd\r\n0\r\n\r\n"),
    ("data-no-line-end", b"3\r\nabc0\r\n\r\n"), ("data-line-end-is-words", b"3\r\nabcXX0\r\n\r\n"),
    ("data-cr-only", b"3\r\nabc\r0\r\n\r\n"),
    ("size-cr-only", b"3\rabc\r\n0\r\n\r\n"), ("size-nul", b"3\x00\r\nabc\r\n0\r\n\r\n"),
    ("trailer-no-colon", b"3\r\nabc\r\n0\r\nwords\r\n\r\n"), ("trailer-space-before-colon", b"3\r\nabc\r\n0\r\nX : y\r\n\r\n"),
    ("trailer-nul", b"3\r\nabc\r\n0\r\nX: a\x00b\r\n\r\n"),
]:
    case("request-chunk-" + name, PROMISE, "9112 7.1", post(CHUNKED, content + SMUGGLED), [[AT_HEAD]], refused_inside(400),
         policy=name.startswith("trailer"))
for name, rfc, content in [
    ("size-trailing-space", "9112 7.1", b"3 \r\nabc\r\n0\r\n\r\n"), ("size-trailing-tab", "9112 7.1", b"3\t\r\nabc\r\n0\r\n\r\n"),
    ("size-bare-lf", "9112 2.2", b"3\nabc\r\n0\r\n\r\n"), ("data-bare-lf", "9112 2.2", b"3\r\nabc\n0\r\n\r\n"),
    ("last-bare-lf", "9112 2.2", b"3\r\nabc\r\n0\n\r\n"), ("end-bare-lf", "9112 2.2", b"3\r\nabc\r\n0\r\n\n"),
    ("extension-bare-lf", "9112 7.1.1", b"3;x\nabc\r\n0\r\n\r\n"),
    ("extension-bare-cr", "9112 2.2", b"3;a\rb\r\nabc\r\n0\r\n\r\n"),
    ("extension-nul", "9112 7.1.1", b"3;a\x00\r\nabc\r\n0\r\n\r\n"),
    ("trailer-obs-fold", "9112 5.2", b"3\r\nabc\r\n0\r\nX: a\r\n b\r\n\r\n"),
    ("trailer-bare-lf", "9112 2.2", b"3\r\nabc\r\n0\r\nX: a\n\r\n"),
]:
    case("request-chunk-" + name, PROMISE, rfc, post(CHUNKED, content + SMUGGLED), [[AT_HEAD]], refused_inside(400), policy=True)
case("request-chunk-extension-endless", PROMISE, "9112 7.1.1", post(CHUNKED, b"3" + b";a=b" * 20000 + b"\r\nabc\r\n0\r\n\r\n"),
     [[AT_HEAD]],
     refused_inside(400), whole_only=True, policy=True)
case("request-chunk-trailers-endless", PROMISE, "9110 6.5.1", post(CHUNKED, b"3\r\nabc\r\n0\r\n" + b"X: y\r\n" * 40000 + b"\r\n"),
     [[AT_HEAD]],
     refused_inside(None), whole_only=True, policy=True)
for name, content, due in [
    ("extension", b"3;name=value\r\nabc\r\n0\r\n\r\n", b"abc"), ("extension-quoted", b'3;n="a;b, \\"c"\r\nabc\r\n0;x\r\n\r\n',
                                                                 b"abc"),
    ("extension-blanks", b"3 ; n = v\r\nabc\r\n0\r\n\r\n", b"abc"), ("size-leading-zeros", b"0003\r\nabc\r\n000\r\n\r\n", b"abc"),
    ("size-upper-and-lower-hex", b"A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n", b"0123456789" + b"0123456789a"),
    ("data-like-a-chunk-end", b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n"), ("empty", b"0\r\n\r\n", b""),
]:
    case("request-chunk-" + name, PROMISE, "9112 7.1", post(CHUNKED, content), [OK], status(200), backend_body(due), kept())

# What the body holds is never a request, and what stands behind it is the next one.
case("request-behind-a-length", PROMISE, "9112 9.3.2", post(b"Content-Length: 3\r\n", b"abc") + get(b"GET /two HTTP/1.1"),
     [OK, OK],
     statuses(200, 200), backend_body(b"abc"), backend_line("GET /two HTTP/1.1", 1), responses=2)
case("request-behind-chunks", PROMISE, "9112 9.3.2", post(CHUNKED, chunked(b"abc")) + get(b"GET /two HTTP/1.1"), [OK, OK],
     statuses(200, 200), backend_body(b"abc"), backend_line("GET /two HTTP/1.1", 1), responses=2)
case("request-body-cut-short", PROMISE, "9112 8", [post(b"Content-Length: 100\r\n", b"12345"), FIN], [[AT_HEAD]],
     no_complete_request(), either(error(400), closed()), responses=0)
case("request-chunks-cut-short", PROMISE, "9112 8", [post(CHUNKED, b"5\r\n12345\r\n"), FIN], [[AT_HEAD]],
     no_complete_request(), either(error(400), closed()), responses=0)
case("request-body-without-framing", PROMISE, "9112 6.3", b"POST / HTTP/1.1\r\n" + HOST + b"\r\n" + b"not a body", [OK],
     backend_count(1), backend_body(b""), backend_never(b"not a body"), closed(), responses=2, methods=["POST", "GET"])
