"""Ordinary HTTP through the gateway: messages, connections and their fields."""
from harness import Log, check, described, describe, same
from messages import chunked, read_head, read_request, read_response, request, response


def one(t, sent, answer, method="GET", **options):
    """A client, the request as the backend saw it and the client's response, over fresh connections."""
    backend = t.backend()
    gateway = t.simple(backend, **options)
    client = t.client(gateway).send(sent)
    server = backend.accept()
    seen = read_request(server)
    server.send(answer)
    return client, seen, read_response(client, method), server


def test_get_with_content_length(t):
    client, seen, reply, _ = one(t, request(target="/a?b=c"), response(200, b"hello", [("X-A", "b")], "Fine"))
    same((seen.method, seen.target, seen.version), ("GET", "/a?b=c", (1, 1)), "request line")
    same(seen.all("Host"), ["test.example"], "Host")
    same((reply.status, reply.body, reply.get("X-A")), (200, b"hello", "b"), "response")
    same(reply.get("Content-Length"), "5", "Content-Length")
    check(client.is_open(), "the client's connection was not kept")


def test_post_with_content_length(t):
    _, seen, reply, _ = one(t, request("POST", body=b"x" * 5000), response(201, b""))
    same((seen.method, seen.body), ("POST", b"x" * 5000), "request")
    same((reply.status, reply.body), (201, b""), "response")


def test_post_chunked(t):
    sent = request("POST", fields=[("Transfer-Encoding", "chunked")]) + chunked(b"one", b"two" * 1000, b"3")
    _, seen, reply, _ = one(t, sent, response())
    same(seen.body, b"one" + b"two" * 1000 + b"3", "body")
    same(reply.status, 200, "status")


def test_response_chunked(t):
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"abc", b"d" * 20000)
    client, _, reply, _ = one(t, request(), answer)
    same(reply.body, b"abc" + b"d" * 20000, "body")
    check(reply.complete and reply.framing == "chunked", "framing %r", reply.framing)
    check(client.is_open(), "the connection was not kept")


def test_chunk_extensions_are_not_passed_on_as_data(t):
    sent = (request("POST", fields=[("Transfer-Encoding", "chunked")])
            + b"3;name=value\r\nabc\r\n2;q=\"x\"\r\nde\r\n0;last\r\n\r\n")
    _, seen, _, _ = one(t, sent, response())
    same(seen.body, b"abcde", "body")


def test_head_has_no_body_and_keeps_the_connection(t):
    backend = t.backend()
    gateway = t.simple(backend)
    client = t.client(gateway).send(request("HEAD"))
    server = backend.accept()
    read_request(server)
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    reply = read_response(client, "HEAD")
    same((reply.status, reply.get("Content-Length")), (200, "1000"), "response")
    client.send(request(target="/next"))
    same(read_request(server).target, "/next", "target")
    server.send(response(200, b"second"))
    same(read_response(client).body, b"second", "body")


def test_204_and_304_have_no_body(t):
    backend = t.backend()
    client, server = t.client(t.simple(backend)), None
    for n, answer in enumerate([b"HTTP/1.1 204 None\r\n\r\n", b'HTTP/1.1 304 Same\r\nETag: "x"\r\nContent-Length: 77\r\n\r\n']):
        client.send(request())
        server = server or backend.accept()
        read_request(server)
        server.send(answer)
        reply = read_response(client)
        same((reply.status, reply.body), ((204, 304)[n], b""), "response")
        check(not reply.has("Transfer-Encoding"), "a 204 or 304 with Transfer-Encoding")
    client.send(request())
    read_request(server)
    server.send(response(200, b"after"))
    same(read_response(client).body, b"after", "body")


def test_client_connection_is_reused(t):
    client = t.client(t.simple(t.app()))
    for i in range(20):
        client.send(request(target="/%d" % i))
        same(described(read_response(client))["target"], "/%d" % i, "target")


def test_backend_connection_is_reused_by_another_client(t):
    backend = t.backend()
    gateway, server = t.simple(backend, workers=1), None       # the pool is a worker's own
    for i in range(5):
        client = t.client(gateway).send(request(target="/%d" % i))
        server = server or backend.accept()
        same(read_request(server).target, "/%d" % i, "target")
        server.send(response())
        read_response(client)
        client.close()
    same(len(backend.waiting()), 0, "further connections at the backend")


def test_backend_connection_is_not_reused_after_close(t):
    backend = t.backend()
    gateway = t.simple(backend)
    for _ in range(3):
        client = t.client(gateway).send(request())
        server = backend.accept()
        read_request(server)
        server.send(response(fields=[("Connection", "close")]))
        same(read_response(client).status, 200, "status")
        server.wait_end()


def test_connection_close_of_the_client_ends_it(t):
    client, seen, reply, _ = one(t, request(fields=[("Connection", "close")]), response())
    check("close" in reply.tokens("Connection"), "the answer does not say close: %r", reply.head)
    same(client.wait_end(), "fin", "end")


def test_client_fin_after_its_request_still_gets_the_answer(t):
    backend = t.backend()
    client = t.client(t.simple(backend)).send(request(fields=[("Connection", "close")]))
    client.finish()
    server = backend.accept()
    read_request(server)
    server.send(response(200, b"late"))
    same(read_response(client).body, b"late", "body")


def test_pipelining_keeps_the_order(t):
    client = t.client(t.simple(t.app()))
    client.send(b"".join(request(target="/%d" % i) for i in range(50)))
    for i in range(50):
        same(described(read_response(client))["target"], "/%d" % i, "target")


def test_pipelining_mixed(t):
    """Bodies, HEAD, the gateway's own 404 and made-up methods in one segment."""
    routes = [{"match": {"path": "/app"}, "upstream": "app"}]
    gateway = t.gateway(upstreams={"app": {"servers": [{"address": t.app().address}]}}, routes=routes)
    client = t.client(gateway)
    steps = [("GET", "/app/1", None), ("POST", "/app/2", b"two"), ("HEAD", "/app/3", None), ("GET", "/none", None),
             ("PURGE", "/app/5", None), ("PUT", "/app/6", b"GET /smuggled HTTP/1.1\r\n\r\n"), ("DELETE", "/app/7", None)]
    client.send(b"".join(request(m, p, body=b) for m, p, b in steps))
    for method, path, body in steps:
        reply = read_response(client, method)
        same(reply.status, 404 if path == "/none" else 200, "status of %s" % path)
        if path != "/none" and method != "HEAD":
            seen = described(reply)
            same((seen["method"], seen["target"], seen["body"]), (method, path, (body or b"").decode()), "request")


def test_pipelining_stops_at_close(t):
    client = t.client(t.simple(t.app()))
    client.send(request(target="/1") + request(target="/2", fields=[("Connection", "close")]) + request(target="/3"))
    same(described(read_response(client))["target"], "/1", "target")
    same(described(read_response(client))["target"], "/2", "target")
    client.wait_end()
    same(bytes(client.unread), b"", "bytes after the last answer")


def test_slow_first_answer_holds_the_second_back(t):
    """The second of two pipelined requests may not overtake; its backend connection is the first one's or waits."""
    backend = t.backend()
    client = t.client(t.simple(backend)).send(request(target="/1") + request(target="/2"))
    first = backend.accept()
    same(read_request(first).target, "/1", "target")
    first.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
    client.wait_for(lambda data: data.endswith(b"12345"))
    first.send(b"67890")
    same(read_response(client).body, b"1234567890", "body")
    same(read_request(first).target, "/2", "target")
    first.send(response(200, b"2"))
    same(read_response(client).body, b"2", "body")


def test_interim_answers_pass(t):
    answer = (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + response(200, b"end"))
    _, _, reply, _ = one(t, request(), answer)
    same([(i.status, i.get("Link")) for i in reply.interim], [(103, "</a>"), (102, None)], "interim answers")
    same((reply.status, reply.body), (200, b"end"), "response")


def test_interim_answers_do_not_reach_http_1_0_clients(t):
    _, _, reply, _ = one(t, request(version="1.0"), b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(200, b"end"))
    same((reply.interim, reply.status), ([], 200), "response")


def test_interim_flood_is_a_502(t):
    backend = t.backend()
    client = t.client(t.simple(backend)).send(request())
    server = backend.accept()
    read_request(server)
    try:
        server.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 2000 + response())
    except OSError:
        pass
    same(read_response(client).status, 502, "status")


def test_request_trailers_pass(t):
    sent = (request("POST", fields=[("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")])
            + chunked(b"abc", trailers=[(b"X-Sum", b"900150983cd24fb0")]))
    _, seen, _, _ = one(t, sent, response())
    same((seen.body, seen.trailers), (b"abc", [("X-Sum", "900150983cd24fb0")]), "request")


def test_response_trailers_pass(t):
    answer = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
              + chunked(b"abc", trailers=[(b"X-Sum", b"1"), (b"Content-Length", b"9")][:1]))
    _, _, reply, _ = one(t, request(fields=[("TE", "trailers"), ("Connection", "TE")]), answer)
    same((reply.body, reply.trailers), (b"abc", [("X-Sum", "1")]), "response")


def test_made_up_methods_pass(t):
    client = t.client(t.simple(t.app()))
    for method in ["PROPFIND", "MADE-UP", "x", "get", "M!#$%&'*+-.^_`|~9", "A" * 200]:
        client.send(request(method))
        same(described(read_response(client))["method"], method, "method")


def test_absolute_form(t):
    _, seen, _, _ = one(t, request(target="http://other.example:81/p?q", host="test.example"), response())
    same((seen.target, seen.all("Host")), ("/p?q", ["other.example:81"]), "request")


def test_via_is_added_both_ways(t):
    sent = request(fields=[("Via", "1.0 before")])
    _, seen, reply, _ = one(t, sent, b"HTTP/1.0 200 OK\r\nVia: 1.1 origin\r\nContent-Length: 0\r\n\r\n")
    same(seen.tokens("Via"), ["1.0 before", "1.1 upgate"], "request's Via")
    same(reply.tokens("Via"), ["1.1 origin", "1.0 upgate"], "response's Via")
    same(reply.version, (1, 1), "response's version")


def test_via_pseudonym_is_configurable(t):
    _, seen, reply, _ = one(t, request(), response(), forwarded={"via": "edge-7"})
    same((seen.tokens("Via"), reply.tokens("Via")), (["1.1 edge-7"], ["1.1 edge-7"]), "Via")


def test_hop_by_hop_fields_are_removed(t):
    gone = [("Connection", "X-One, keep-alive"), ("X-One", "1"), ("Keep-Alive", "timeout=5"), ("TE", "gzip"),
            ("Proxy-Connection", "keep-alive"), ("Upgrade", "h2c")]
    answer = response(200, b"", [("Connection", "X-Two"), ("X-Two", "2"), ("Keep-Alive", "timeout=5"), ("X-Kept", "yes"),
                                 ("Proxy-Connection", "x"), ("Upgrade", "h2c")])
    _, seen, reply, _ = one(t, request(fields=gone + [("X-Kept", "yes")]), answer)
    for name in ["X-One", "Keep-Alive", "TE", "Proxy-Connection", "Upgrade"]:
        check(not seen.has(name), "%s reached the backend: %r", name, seen.head)
    for name in ["X-Two", "Keep-Alive", "Proxy-Connection", "Upgrade"]:
        check(not reply.has(name), "%s reached the client: %r", name, reply.head)
    same((seen.get("X-Kept"), reply.get("X-Kept")), ("yes", "yes"), "X-Kept")


def test_early_response_while_uploading(t):
    """A final answer before the body's end is delivered; the rest of the body cannot become a request."""
    backend = t.backend()
    client = t.client(t.simple(backend))
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000)
    server = backend.accept()
    read_head(server)
    server.send(response(413, b"too much", [("Connection", "close")]))
    same(read_response(client).status, 413, "status")
    server.finish()


def expectation(t):
    backend = t.backend()
    client = t.client(t.simple(backend))
    client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    server = backend.accept()
    head = read_head(server)
    same(head.get("Expect"), "100-continue", "Expect")
    return client, server


def test_expect_100_then_final(t):
    client, server = expectation(t)
    server.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    client.wait_for(lambda data: data.endswith(b"\r\n\r\n"))
    check(client.poll().startswith(b"HTTP/1.1 100"), "no 100 at the client: %s", client.shown())
    client.send(b"body")
    same(server.read_exact(4), b"body", "body")
    server.send(response(200, b"done"))
    same(read_response(client).body, b"done", "body")


def test_expect_417_or_other_final_answer(t):
    client, server = expectation(t)
    server.send(response(417, b"no"))
    same((read_response(client).status), 417, "status")


def test_expect_and_a_silent_backend(t):
    """Nobody answers the expectation: a client that then sends its body anyway is served."""
    client, server = expectation(t)
    client.send(b"body")
    same(server.read_exact(4), b"body", "body")
    server.send(response(200, b"done"))
    same(read_response(client).body, b"done", "body")


def test_expect_unknown_is_417(t):
    client = t.client(t.simple(t.app()))
    client.send(request("POST", fields=[("Expect", "200-ok")], body=b"x"))
    same(read_response(client).status, 417, "status")


def test_http_1_0_client(t):
    """No chunked coding to it; the connection ends behind the answer unless it asked to keep it."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"abc", b"def")
    client, seen, reply, _ = one(t, b"GET / HTTP/1.0\r\nHost: a\r\n\r\n", answer)
    same(seen.version, (1, 1), "version at the backend")
    check(not reply.has("Transfer-Encoding"), "chunked to an HTTP/1.0 client")
    same((reply.body, client.wait_end()), (b"abcdef", "fin"), "body and end")


def test_http_1_0_client_keeps_when_it_asks(t):
    client = t.client(t.simple(t.app()))
    for _ in range(3):
        client.send(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
        reply = read_response(client)
        same((reply.status, reply.tokens("Connection")), (200, ["keep-alive"]), "response")


def test_http_1_0_backend(t):
    """Close-delimited, and never taken for a connection that can be reused."""
    client, _, reply, server = one_closing(t, b"HTTP/1.0 200 OK\r\n\r\nuntil the end")
    same((reply.version, reply.body, reply.complete), ((1, 1), b"until the end", True), "response")


def one_closing(t, answer):
    backend = t.backend()
    client = t.client(t.simple(backend)).send(request())
    server = backend.accept()
    seen = read_request(server)
    server.send(answer).finish()
    return client, seen, read_response(client), server


def test_close_delimited_response_of_http_1_1(t):
    client, _, reply, _ = one_closing(t, b"HTTP/1.1 200 OK\r\n\r\n" + b"y" * 100000)
    same((reply.body, reply.complete), (b"y" * 100000, True), "response")
    if reply.framing == "chunked":
        check(client.is_open(), "chunked, yet not kept")


def test_date_is_added_only_where_missing(t):
    date = "Tue, 15 Nov 1994 08:12:31 GMT"
    _, _, reply, _ = one(t, request(), response(fields=[("Date", date)]))
    same(reply.all("Date"), [date], "Date")
    _, _, reply, _ = one(t, request(), response())
    same(len(reply.all("Date")), 1, "Date fields")


def test_every_exchange_has_one_record(t):
    gateway = t.simple(t.app())
    client = t.client(gateway)
    client.send(request("POST", "/logged?x=1", body=b"12345"))
    reply = read_response(client)
    record = gateway.wait_record(**{Log.KIND: "exchange", Log.TARGET: "/logged?x=1"})
    same((record[Log.METHOD], record[Log.STATUS], record[Log.END]), ("POST", 200, "complete"), "record")
    same((record[Log.BYTES_IN], record[Log.BYTES_OUT]), (5, len(reply.body)), "bytes")
    same(len([r for r in gateway.records if r.get(Log.TARGET) == "/logged?x=1"]), 1, "records")


def test_forwarded_for_is_rebuilt_for_untrusted_clients(t):
    lies = [("X-Forwarded-For", "6.6.6.6"), ("x-forwarded-FOR", "7.7.7.7"), ("X-Real-IP", "6.6.6.6"),
            ("X_Real_IP", "6.6.6.6"), ("Forwarded", "for=6.6.6.6"), ("True-Client-IP", "6.6.6.6")]
    _, seen, _, _ = one(t, request(fields=lies), response())
    check(b"6.6.6.6" not in seen.raw and b"7.7.7.7" not in seen.raw, "a lie reached the backend: %r", seen.head)
    same(seen.all("X-Forwarded-For"), ["127.0.0.1"], "X-Forwarded-For")
    same(seen.all("X-Forwarded-Proto"), [t.scheme], "X-Forwarded-Proto")


def test_forwarded_for_is_appended_for_trusted_clients(t):
    _, seen, _, _ = one(t, request(fields=[("X-Forwarded-For", "6.6.6.6")]), response(),
                        listeners=[{"address": "127.0.0.1:0", "trusted": ["127.0.0.0/8"]}])
    same(seen.tokens("X-Forwarded-For"), ["6.6.6.6", "127.0.0.1"], "X-Forwarded-For")


def test_target_is_not_rewritten_on_the_wire(t):
    client = t.client(t.simple(t.app()))
    for target in ["/a%7Eb", "/%41", "/a//b", "/a/./b;x=1", "/?", "/a?b=%20&c=/../d", "/" + "x" * 8000]:
        client.send(request(target=target))
        same(described(read_response(client))["target"], target, "target")


def test_two_workers_serve(t):
    gateway = t.simple(t.app(describe), workers=2)
    for i in range(40):
        same(t.exchange(gateway, request(target="/%d" % i, fields=[("Connection", "close")])).status, 200, "status")
