"""Layer 4: TLS connections that go on undecrypted, to the server of the name they ask for. The ends are the test's own, or Python's TLS;
other programs' are in test_passthrough_peers.py.
"""
import signal
import ssl

import harness
import tls_peers
import wire
from harness import MIB, check, same
from messages import read_response, request, response
from tls_peers import Certificate, Handshake, ask, echo_server, hello


def passing(t, names, listener=None, **changes):
    """A gateway whose first listener passes these names (name: backend) on, and nothing else unless the changes say so."""
    upstreams = {}
    for backend in names.values():
        upstreams["u%d" % backend.port] = {"servers": [backend.address]}
    listeners = [dict({"address": "127.0.0.1:0", "name": "pass",
                       "passthrough": {name: "u%d" % backend.port for name, backend in names.items()}}, **(listener or {}))]
    listeners += changes.pop("more_listeners", [])
    return t.gateway(listeners=listeners, upstreams=harness.merged(upstreams, changes.pop("upstreams", {})), **changes)


def opened(t, gateway, backend, name="a.test", behind=b""):
    """(client, server) behind a hello that has passed."""
    first = hello(name)
    client = t.client(gateway).send(first + behind)
    server = backend.accept()
    same(server.read_exact(len(first + behind)), first + behind, "what came to the server")
    return client, server


def record_of(gateway, **due):
    return gateway.wait_record(kind="passthrough", **due)


# names

def test_each_name_has_its_server(t):
    one, two, wild = Certificate(t, "one.test"), Certificate(t, "two.test"), Certificate(t, "*.wild.test")
    other = Certificate(t, "other.test")
    gateway = passing(t, {"one.test": echo_server(t, one), "two.test": echo_server(t, two), "*.wild.test": echo_server(t, wild),
                          "*": echo_server(t, other)})
    for name, certificate in (("one.test", one), ("two.test", two), ("x.wild.test", wild), ("other.test", other), ("ONE.test", one)):
        with tls_peers.connect(gateway.address(), name, certificate.client_context()) as client:
            same(ask(client, name.encode()), name.encode(), "echo of " + name)
            client.unwrap()
        record = record_of(gateway, server_name=name.lower(), end="complete")
        gateway.records.remove(record)
        check(record["bytes_in"] > 300 and record["bytes_out"] > 300, "record: %r", record)


def test_without_a_name(t):
    other = Certificate(t, "other.test")
    gateway = passing(t, {"a.test": t.backend(), "*": echo_server(t, other)})
    with tls_peers.connect(gateway.address(), None, other.client_context(["h2", "http/1.1"])) as client:
        same(ask(client, b"hi"), b"hi", "echo")
        client.unwrap()
    record = record_of(gateway, end="complete")
    same((record["server_name"], record["alpn"]), ("", "h2,http/1.1"), "name and protocols in the record")


def test_a_name_that_nobody_has(t):
    known = t.backend()
    gateway = passing(t, {"a.test": known})
    for name in ("b.test", "x.a.test", None):
        try:
            context = ssl.create_default_context()
            tls_peers.connect(gateway.address(), name, context)
            check(False, "%s got a server", name)
        except ssl.SSLError as error:
            check("UNRECOGNIZED_NAME" in str(error), "%s: %s", name, error)
        record = record_of(gateway, server_name=name or "", end="name_unknown")
        check("server" not in record and "upstream" not in record, "record: %r", record)
    same(known.waiting(), [], "connections of a.test")
    gateway.wait(lambda: any("nobody is configured for the server name: b.test" in line for line in gateway.stderr_lines))


# the hello

def test_a_hello_byte_by_byte(t):
    certificate = Certificate(t, "slow.test")
    gateway = passing(t, {"slow.test": echo_server(t, certificate)})
    client, handshake = t.client(gateway), Handshake("slow.test", certificate.client_context())
    first, done = handshake.step()
    same(client.send_each_byte(first), len(first), "bytes of the hello that were taken")
    while not done:
        client.wait_for(len)
        flight, done = handshake.step(client.take(len(client.unread)))
        client.send_each_byte(flight)
    handshake.tls.write(b"hi")
    client.send(handshake.outgoing.read())
    same(handshake.tls.cipher()[1], "TLSv1.3", "version")
    client.wait_for(len)
    check(record_count(gateway) == 0, "it ended")


def record_count(gateway):
    return sum(record["kind"] == "passthrough" for record in gateway.records)


def test_what_is_no_hello(t):
    gateway = passing(t, {"*": t.backend()})
    rows = [
        (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", 10, "tls_message"),
        (b"\x00" * 40, 10, "tls_record"),
        (b"\x80\x2e\x01\x00\x02\x00\x15", 70, "tls_ssl2"),
        (b"\x16\x03\x01\x00\x04\x01\x00\x00\x00", 50, "tls_hello"),
        (b"\x16\x03\x01\x40\x00\x01\x00\xff\xff" + b"x" * 70000, 22, "tls_hello_too_large"),
    ]
    for data, alert, fault in rows:
        client = t.client(gateway).send(data)
        same(client.read_exact(7), bytes((21, 3, 3, 0, 2, 2, alert)), "alert")
        same(client.wait_end(), "fin", "end")
        client.close()
        same(record_of(gateway, fault=fault)["end"], "hello_fault", "end")


def test_plain_http_is_told_so(t):
    gateway = passing(t, {"*": t.backend()})
    client = t.client(gateway).send(request())
    reply = read_response(client)
    same(reply.status, 400, "status")
    check(b"where TLS was due" in reply.body, "body: %r", reply.body)
    same(client.wait_end(), "fin", "end")


def test_a_hello_that_does_not_come(t):
    gateway = passing(t, {"*": t.backend()}, timeouts={"header": "200ms"})
    silent, half = t.client(gateway), t.client(gateway).send(hello("a.test")[:100])
    for client in (silent, half):
        same(client.wait_end(), "fin", "end")
        same(client.shown()[:3], "b''", "what it got")
    gateway.wait(lambda: sum("the TLS hello did not arrive in time" in line for line in gateway.stderr_lines) == 2)


# bytes and ends

def test_half_close_by_the_client(t):
    backend = t.backend()
    gateway = passing(t, {"*": backend})
    client, server = opened(t, gateway, backend, behind=b"abc")
    client.finish()
    same(server.wait_end(), "fin", "the server's view")
    server.send(b"more", b" and more")
    same(client.read_exact(13), b"more and more", "what came behind the client's end")
    server.close()
    same(client.wait_end(), "fin", "the client's view")
    same((record_of(gateway)["closed_by"], record_of(gateway)["end"]), ("client", "complete"), "record")


def test_half_close_by_the_server(t):
    backend = t.backend()
    gateway = passing(t, {"*": backend})
    client, server = opened(t, gateway, backend)
    server.send(b"bye").finish()
    same(client.read_exact(3), b"bye", "what came")
    same(client.wait_end(), "fin", "the client's view")
    client.send(b"still ", b"here")
    same(server.read_exact(10), b"still here", "what came behind the server's end")
    client.close()
    same(server.wait_end(), "fin", "the server's view")
    same((record_of(gateway)["closed_by"], record_of(gateway)["end"]), ("server", "complete"), "record")


def test_resets(t):
    backend = t.backend()
    gateway = passing(t, {"*": backend})
    client, server = opened(t, gateway, backend)
    client.reset()
    same(server.wait_end(), "fin", "the server's view")
    server.close()
    record_of(gateway, end="client_reset", closed_by="client")
    client, server = opened(t, gateway, backend)
    server.send(b"last words")
    same(client.read_exact(10), b"last words", "what came")
    server.reset()
    same(client.wait_end(), "fin", "the client's view")
    client.close()
    record_of(gateway, end="server_reset", closed_by="server")


def test_no_server(t):
    closed = t.backend()
    closed.close()
    gateway = passing(t, {"a.test": closed})
    client = t.client(gateway).send(hello("a.test"))
    same(client.read_exact(7), bytes((21, 3, 3, 0, 2, 2, 80)), "alert")
    same(client.wait_end(), "fin", "end")
    client.close()
    record = record_of(gateway, end="connect_failed")
    same((record["detail"], record["server"]), ("connection refused", closed.address), "record")


def test_the_next_server_is_tried(t):
    closed, backend = t.backend(), t.backend()
    closed.close()
    gateway = t.gateway(listeners=[{"address": "127.0.0.1:0", "passthrough": {"*": "two"}}],
                        upstreams={"two": {"servers": [closed.address, backend.address], "retries": 1}})
    for _ in range(2):
        client, server = opened(t, gateway, backend)
        client.close()
        server.close()
    gateway.wait(lambda: record_count(gateway) == 2)
    check(any(record.get("attempts") == 2 for record in gateway.records), "records: %r", gateway.records)


def test_idle(t):
    backend = t.backend()
    gateway = t.gateway(listeners=[{"address": "127.0.0.1:0", "passthrough": {"*": {"upstream": "u", "idle_timeout": "300ms"}}}],
                        upstreams={"u": {"servers": [backend.address]}})
    client, server = opened(t, gateway, backend)
    same((client.wait_end(), server.wait_end()), ("fin", "fin"), "ends")
    record_of(gateway, end="pass_idle", closed_by="gateway")


# much

def pour(conn, total):
    harness.large(conn, total)
    conn.finish()


def test_much_both_ways(t):
    t.needs_speed()
    total, backend = 64 * MIB, t.backend()
    gateway = passing(t, {"*": backend})
    client, server = opened(t, gateway, backend)
    for conn in (client, server):
        conn.record = False
    parts = [harness.in_thread(pour, client, total), harness.in_thread(pour, server, total)]
    parts += [harness.in_thread(conn.discard, total) for conn in (client, server)]
    for part in parts:
        part.finish()
    same((client.wait_end(), server.wait_end()), ("fin", "fin"), "ends")
    record = record_of(gateway, end="complete")
    same((record["bytes_in"] - len(hello("a.test")), record["bytes_out"]), (total, total), "bytes in the record")


def test_a_slow_reader_holds_the_sender(t):
    """What a client does not read stays with the server, but for what the sockets hold; the other direction goes on."""
    t.needs_speed()
    backend = t.backend()
    gateway = passing(t, {"*": backend})
    first = hello("a.test")
    client = t.client(gateway, receive_buffer=65536).send(first)
    server = backend.accept()
    server.read_exact(len(first))
    before, sent = gateway.rss_bytes(), 0
    while taken := server.send_some(b"z" * 262144, 0.5 * wire.SLOWNESS):
        sent += taken
        check(sent < 64 * MIB, "nobody held the server")
    client.send(b"can you hear me")
    same(server.read_exact(15), b"can you hear me", "the other direction")
    check(gateway.rss_bytes() - before < 8 * MIB, "the gateway holds %d more bytes", gateway.rss_bytes() - before)
    client.record = False
    rest = harness.in_thread(client.discard, sent)
    rest.finish()
    server.close()
    same(client.wait_end(), "fin", "end")


# beside HTTP

def test_beside_http(t):
    tls, web = t.backend(), t.app()
    gateway = passing(t, {"*": tls}, more_listeners=[{"address": "127.0.0.1:0", "name": "web"}],
                      upstreams={"web": {"servers": [web.address]}}, routes=[{"upstream": "web"}])
    client, server = opened(t, gateway, tls)
    plain = t.client(gateway, 1).send(request(fields=[("Connection", "close")]))
    same(read_response(plain).status, 200, "status beside it")
    server.send(b"hi")
    same(client.read_exact(2), b"hi", "what passed")
    client.close()
    server.close()


def test_on_the_port_of_terminated_names(t):
    """Listed names go on undecrypted; for all others, and for clients that name none, the gateway is the server."""
    inside, own = Certificate(t, "inside.test", "*.inside.test"), Certificate(t, "own.test")
    web = t.app()
    gateway = passing(t, {"inside.test": echo_server(t, inside), "*.inside.test": echo_server(t, inside)},
                      {"tls": {"certificates": [{"certificate": own.certificate, "key": own.key}]}},
                      upstreams={"web": {"servers": [web.address]}}, routes=[{"upstream": "web"}])
    for _ in range(2):
        for name in ("inside.test", "x.inside.test"):
            with tls_peers.connect(gateway.address(), name, inside.client_context()) as client:
                same(ask(client, b"hi"), b"hi", "echo of " + name)
        for name in ("own.test", None):
            with tls_peers.connect(gateway.address(), name, own.client_context()) as client:
                client.sendall(request())
                check((got := client.recv(65536)).startswith(b"HTTP/1.1 200 "), "the answer: %r", got)
    gateway.wait(lambda: record_count(gateway) == 4)
    gateway.wait(lambda: sum(record["kind"] == "exchange" for record in gateway.records) == 4)
    plain = t.client(gateway).send(request())
    same(read_response(plain).status, 400, "status of plain HTTP")


def test_many_at_once(t):
    backend = t.backend()
    gateway = passing(t, {"*.test": backend})
    pairs = [opened(t, gateway, backend, "n%d.test" % i, b"%d" % i) for i in range(40)]
    for i, (client, server) in enumerate(pairs):
        server.send(b"answer %d" % i)
        same(client.read_exact(len(b"answer %d" % i)), b"answer %d" % i, "answer")
    for client, server in pairs:
        client.close()
        server.close()
    gateway.wait(lambda: record_count(gateway) == 40)


# the gateway's end

def test_left_alone_while_draining(t):
    backend = t.backend()
    gateway = passing(t, {"*": backend}, timeouts={"drain": "1h"})
    client, server = opened(t, gateway, backend)
    waiting = t.client(gateway)
    gateway.signal(signal.SIGTERM)
    same(waiting.wait_end(), "fin", "one that had said nothing")
    server.send(b"hi")
    same(client.read_exact(2), b"hi", "what passed meanwhile")
    client.close()
    server.close()
    same(gateway.wait_exit(), 0, "exit code")
    record_of(gateway, end="complete")


def test_cut_when_the_drain_is_over(t):
    backend = t.backend()
    gateway = passing(t, {"*": backend}, timeouts={"drain": "200ms"})
    client, server = opened(t, gateway, backend)
    gateway.signal(signal.SIGTERM)
    same(gateway.wait_exit(), 0, "exit code")
    client.wait_end()
    server.wait_end()
    record_of(gateway, end="drained", closed_by="gateway")


# who is told of the client

def test_proxy_headers_go_through(t):
    backend = t.backend()
    for version, start in (("v1", b"PROXY TCP4 192.0.2.9 198.51.100.1 5000 443\r\n"),
                           ("v2", b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x15" + bytes((192, 0, 2, 9, 198, 51, 100, 1, 0x13, 0x88, 1, 0xbb))
                            + b"\x02\x00\x06a.test")):        # the name that the client asked for
        gateway = passing(t, {"a.test": backend}, {"proxy_protocol": "require", "trusted": ["127.0.0.0/8"]},
                          upstreams={"u%d" % backend.port: {"send_proxy": version}})
        first = hello("a.test")
        client = t.client(gateway).send(b"PROXY TCP4 192.0.2.9 198.51.100.1 5000 443\r\n" + first)
        server = backend.accept()
        head = server.read_exact(len(start))
        same(head, start, "the header")
        same(server.read_exact(len(first)), first, "the hello")
        client.close()
        server.close()
        record_of(gateway, client="192.0.2.9:5000")


def test_a_page_over_tls(t):
    """The whole of HTTP inside, by the gateway's own reader of messages on the server's side."""
    certificate = Certificate(t, "page.test")
    context = certificate.server_context()

    def serve(conn):
        with context.wrap_socket(conn.sock, server_side=True) as tls:
            while tls.recv(65536):
                tls.sendall(response(200, b"inside", [("Content-Type", "text/plain")]))
    gateway = passing(t, {"page.test": t.backend().serve(serve, record=False)})
    with tls_peers.connect(gateway.address(), "page.test", certificate.client_context()) as client:
        client.sendall(request(fields=[("Host", "page.test")]))
        got = client.recv(65536)
        check(got.startswith(b"HTTP/1.1 200") and got.endswith(b"inside"), "got %r", got)
