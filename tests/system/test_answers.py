"""The gateway's own answers: the right status, short, and `Connection: close` where the stream cannot be trusted any more."""
from harness import Log, check, same
from messages import read_head, read_response, request
from wire import Late


def refused(t, sent, status, closes=True, method="GET", **options):
    """The bytes get this status and never a backend connection."""
    backend = t.backend()
    gateway = t.simple(backend, **options)
    client = t.client(gateway)
    try:
        client.send(sent)
    except OSError:
        pass
    own_answer(client, status, closes, method)
    same(len(backend.waiting()), 0, "connections at the backend")
    return gateway


def own_answer(client, status, closes=True, method="GET"):
    reply = read_response(client, method)
    check(reply is not None, "no answer (%s)", client.end)
    same(reply.status, status, "status")
    check(reply.complete and len(reply.body) < 2000, "the answer's body: %d bytes", len(reply.body))
    check(reply.has("Date"), "no Date in the gateway's own answer")
    if closes:
        check("close" in reply.tokens("Connection"), "no Connection: close in %r", reply.head)
        client.wait_end()
        same(bytes(client.unread), b"", "bytes behind the answer")
    return reply


def test_400_malformed(t):
    for sent in [b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
                 b"\x16\x03\x01\x02\x00\x01\x00",
                 b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET / HTTP/1.1\nHost: a\n\n",
                 b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]:
        refused(t, sent, 400)


def test_400_is_counted_as_a_record(t):
    gateway = refused(t, b"GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", 400)
    record = gateway.wait_record(**{Log.STATUS: 400})
    check(record[Log.END] not in ("complete", "none", ""), "end reason %r", record)


def test_404_keeps_the_connection(t):
    gateway = t.gateway(upstreams={"app": {"servers": [{"address": t.app().address}]}},
                        routes=[{"match": {"path": "/app"}, "upstream": "app"}])
    client = t.client(gateway)
    for target, status in [("/none", 404), ("/app", 200), ("/none", 404), ("/app", 200)]:
        client.send(request(target=target))
        reply = read_response(client)
        same(reply.status, status, target)
        check("close" not in reply.tokens("Connection"), "a plain 404 ends the connection")


def test_408_slow_head(t):
    refused(t, b"GET / HTTP/1.1\r\nHost: a\r\n", 408, timeouts={"header": "200ms"})


def test_408_head_that_drips(t):
    """The deadline is for the whole head: a byte now and then does not extend it."""
    gateway = t.simple(t.backend(), timeouts={"header": "500ms"})
    client = t.client(gateway)
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX-Long: " + b"x" * 5000
    for i in range(len(head)):
        try:
            client.send(head[i:i + 1])
        except OSError:
            break
        if client.fill(0.02):
            break
    own_answer(client, 408)


def test_408_slow_body(t):
    backend = t.backend()
    client = t.client(t.simple(backend, timeouts={"body": "300ms"}))
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345")
    server = backend.accept()
    read_head(server)
    own_answer(client, 408)
    server.wait_end()


def test_an_idle_connection_ends_without_an_answer(t):
    gateway = t.simple(t.app(), timeouts={"keepalive": "200ms"})
    client = t.client(gateway).send(request())
    read_response(client)
    same(client.wait_end(), "fin", "end")
    same(bytes(client.unread), b"", "bytes")


def test_413_announced_and_reached(t):
    limits = {"body_bytes": "1KiB"}
    refused(t, request("POST", body=b"")[:-21] + b"Content-Length: 2000\r\n\r\n", 413, limits=limits)
    backend = t.backend()
    client = t.client(t.simple(backend, limits=limits))
    client.send(request("POST", fields=[("Transfer-Encoding", "chunked")]) + b"200\r\n" + b"x" * 512 + b"\r\n")
    read_head(backend.accept())
    try:
        client.send(b"300\r\n" + b"x" * 768 + b"\r\n0\r\n\r\n")
    except OSError:
        pass
    own_answer(client, 413)


def test_414_and_431(t):
    refused(t, request(target="/" + "x" * 70000), 414)
    refused(t, request(fields=[("X-Long", "y" * 70000)]), 431)
    refused(t, request(fields=[("X-%d" % i, "z") for i in range(300)]), 431)


def test_431_before_the_head_ends(t):
    """A head that passes the limit is answered at once, not when it is over."""
    refused(t, b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-Long: " + b"y" * 80000, 431)


def test_limits_are_configurable(t):
    limits = {"header_bytes": "2KiB", "header_fields": 20}
    refused(t, request(fields=[("X-Long", "y" * 3000)]), 431, limits=limits)
    refused(t, request(fields=[("X-%d" % i, "z") for i in range(25)]), 431, limits=limits)
    gateway = t.simple(t.app(), limits=limits)
    same(t.exchange(gateway, request(fields=[("X", "y" * 1500), ("Connection", "close")])).status, 200, "status")


def test_generous_defaults(t):
    """8000 octets of target and far more than 4000 of fields pass without any configuration."""
    gateway = t.simple(t.app())
    sent = request(target="/" + "t" * 8000, fields=[("X-%d" % i, "v" * 300) for i in range(100)] + [("Connection", "close")])
    same(t.exchange(gateway, sent).status, 200, "status")


def test_501_unknown_transfer_coding(t):
    refused(t, request("POST", fields=[("Transfer-Encoding", "gzip, chunked")]) + b"0\r\n\r\n", 501)


def test_501_or_405_connect_and_trace(t):
    refused(t, b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501)
    refused(t, request("TRACE"), 405, closes=False)


def test_505_versions(t):
    for version in ["0.9", "1.2", "2.0", "3.0"]:
        refused(t, request(version=version), 505)


def test_502_backend_down(t):
    backend = t.backend()
    gateway = t.simple(backend)
    backend.sock.close()
    client = t.client(gateway).send(request())
    own_answer(client, 502, closes=False)
    gateway.wait_record(**{Log.STATUS: 502, Log.END: "connect_failed"})


def test_503_past_the_connection_limit_nobody_is_accepted(t):
    """Past `connections` a client waits in the listener's queue and is served once another leaves."""
    gateway = t.simple(t.app(), limits={"connections": 2})
    first, second = (t.client(gateway).send(request()) for _ in range(2))
    for client in (first, second):
        same(read_response(client).status, 200, "status")
    third = t.client(gateway).send(request())
    first.send(request())
    same(read_response(first).status, 200, "status")
    same(third.poll(), b"", "bytes to a client past the limit")
    first.close()
    same(read_response(third).status, 200, "status")


def test_answers_to_head_have_no_body(t):
    gateway = t.gateway(upstreams={"app": {"servers": [{"address": t.app().address}]}},
                        routes=[{"match": {"path": "/app"}, "upstream": "app"}])
    client = t.client(gateway).send(request("HEAD", "/none") + request(target="/app"))
    same(read_response(client, "HEAD").status, 404, "status")
    same(read_response(client).status, 200, "status")


def test_an_answer_survives_bytes_still_coming(t):
    """A client that goes on sending behind a refused head still gets to read the refusal (no RST over it)."""
    gateway = t.simple(t.backend())
    client = t.client(gateway).send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
    for _ in range(50):
        try:
            client.send(b"x" * 10000)
        except OSError:
            break
    try:
        own_answer(client, 400)
    except (Late, ConnectionResetError) as error:
        raise AssertionError("the refusal was lost: %s" % error) from None
