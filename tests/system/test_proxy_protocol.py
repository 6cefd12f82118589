"""The PROXY protocol in and out, byte by byte: who is believed, what becomes of a bad header, what servers are told."""
import frames
import proxy_header
import tls
import wire
from harness import Log, check, described, same, serve_requests
from messages import read_head, read_response, request, response
from proxy_header import Header, v1, v2

TRUSTED = {"address": "127.0.0.1:0", "name": "behind", "trusted": ["127.0.0.0/8"], "proxy_protocol": "require"}
BYE = [("Connection", "close")]


def behind(t, backend, listener=None, **more):
    return t.simple(backend, listeners=[dict(TRUSTED, **(listener or {}))], **more)


def asked(t, gateway, header, fields=(), **options):
    """One request behind this header; what the backend saw."""
    client = t.client(gateway, **options)
    client.send(header + request(fields=list(fields) + BYE))
    reply = read_response(client)
    same(reply.status, 200, "status")
    client.close()
    return dict(described(reply)["fields"])


def test_the_client_of_the_header(t):
    app = t.app()
    gateway = behind(t, app)
    spoofed = [("X-Forwarded-For", "6.6.6.6"), ("X-Real-IP", "6.6.6.6"), ("Forwarded", "for=6.6.6.6")]
    for header, client in [(v1("203.0.113.9"), "203.0.113.9:56324"), (v2("203.0.113.10"), "203.0.113.10:56324"),
                           (v1("2001:db8::9", destination="2001:db8::1"), "[2001:db8::9]:56324"),
                           (v2("2001:db8::a", destination="2001:db8::1", tlvs=proxy_header.tlv(4, b"") + proxy_header.tlv(5, b"id")),
                            "[2001:db8::a]:56324")]:
        seen = asked(t, gateway, header, spoofed)
        same(seen["X-Forwarded-For"], client.rpartition(":")[0].strip("[]"), "X-Forwarded-For")
        check("X-Real-IP" not in seen and "Forwarded" not in seen, "spoofed fields came through: %r", seen)
        gateway.wait_record(kind="exchange", client=client)


def test_the_hop_itself(t):
    """A health check of the load balancer's, and a connection for somebody it does not name."""
    gateway = behind(t, t.app())
    for header in (v2(local=True), v2(), b"PROXY UNKNOWN\r\n"):
        same(asked(t, gateway, header, source="127.0.0.9")["X-Forwarded-For"], "127.0.0.9", "X-Forwarded-For")
    same(asked(t, gateway, v2(local=True), [("X-Forwarded-For", "203.0.113.9")])["X-Forwarded-For"], "203.0.113.9, 127.0.0.1", "the chain")
    same(asked(t, gateway, v2(), [("X-Forwarded-For", "6.6.6.6")])["X-Forwarded-For"], "127.0.0.1", "the chain")


def test_a_header_may_come_byte_by_byte(t):
    gateway = behind(t, t.app())
    for header in (v1("203.0.113.9"), v2("203.0.113.9")):
        client = t.client(gateway)
        client.send_each_byte(header + request(fields=BYE))
        same(dict(described(read_response(client))["fields"])["X-Forwarded-For"], "203.0.113.9", "X-Forwarded-For")


def test_bad_headers_are_closed_without_a_word(t):
    backend = t.backend()
    gateway = behind(t, backend)
    for bad, words in [(request(), "does not begin with a PROXY header"), (b"\x16\x03\x01\x02\x00", "does not begin with a PROXY header"),
                       (b"PROXY TCP4 203.0.113.9 198.51.100.1 1\r\n", "line of the PROXY header"), (b"PROXY " + b"x" * 110, "line of the PROXY header"),
                       (proxy_header.SIGNATURE + b"\x31", "version or the command"), (proxy_header.SIGNATURE + b"\x21\x11\xff\xff", "longer than"),
                       (v2("203.0.113.9", tlvs=b"\x02\x00\x09x"), "TLV"), (v2("203.0.113.9", tlvs=b"\x03\x00\x04abcd"), "checksum")]:
        client = t.client(gateway, source="127.0.0.8")
        client.send(bad)
        check(client.wait_end() in ("fin", "rst"), "not closed")
        same(client.count_received, 0, "bytes sent before a good header")
        gateway.wait(lambda w=words: [line for line in gateway.stderr_lines if "listener behind: 127.0.0.8:" in line and w in line],
                     what="a line with " + words)
    same(backend.waiting(), [], "connections to the server")


def test_a_late_header(t):
    gateway = behind(t, t.backend(), timeouts={"header": "200ms"})
    for begun in (b"", b"PROXY TCP4 203.0."):
        client = t.client(gateway)
        client.send(begun)
        check(client.wait_end() in ("fin", "rst"), "not closed")
        same(client.count_received, 0, "bytes sent before a header")
    gateway.wait(lambda: sum("did not arrive in time" in line for line in gateway.stderr_lines) == 2, what="two lines in the log")


def test_only_trusted_hops_connect(t):
    gateway = behind(t, t.app(), {"trusted": ["127.0.0.7"]})
    client = t.client(gateway, source="127.0.0.6")
    check(client.wait_end() in ("fin", "rst"), "not closed")
    same(client.count_received, 0, "bytes sent to somebody who is not trusted")
    gateway.wait(lambda: [line for line in gateway.stderr_lines if "127.0.0.6:" in line and "not in `trusted`" in line], what="a line in the log")
    same(asked(t, gateway, v1("203.0.113.9"), source="127.0.0.7")["X-Forwarded-For"], "203.0.113.9", "X-Forwarded-For")


def test_rules_about_addresses_are_about_the_client(t):
    gateway = behind(t, t.app(), {"deny": ["203.0.113.9"]})
    client = t.client(gateway)
    client.send(v2("203.0.113.9") + request())
    check(client.wait_end() in ("fin", "rst"), "not closed")
    same(client.count_received, 0, "bytes sent to somebody who is not let in")
    same(asked(t, gateway, v2("203.0.113.8"))["X-Forwarded-For"], "203.0.113.8", "X-Forwarded-For")


def test_a_unix_socket_behind_a_load_balancer(t):
    gateway = behind(t, t.app(), {"address": "unix:" + t.path("in.sock"), "trusted": ["unix"]})
    same(asked(t, gateway, v2("203.0.113.9"))["X-Forwarded-For"], "203.0.113.9", "X-Forwarded-For")
    gateway.wait_record(kind="exchange", client="203.0.113.9:56324")


def test_a_tunnel_is_logged_as_the_clients(t):
    backend = t.backend()
    gateway = behind(t, backend)
    client = t.client(gateway)
    client.send(v2("203.0.113.9") + frames.handshake())
    server = backend.accept()
    server.send(frames.switch(frames.accept_for(read_head(server).get("Sec-WebSocket-Key"))))
    same(read_response(client).status, 101, "status")
    client.send(frames.frame(1, b"hello"))
    same(frames.read_frame(server).payload, b"hello", "payload")
    client.reset()
    server.close()
    check(gateway.wait_record(kind="tunnel")["client"] == "203.0.113.9:56324", "the tunnel's record names another client")


# ---- out ----

def told(t, version, **more):
    """A gateway that sends headers, and the backend that waits for them."""
    backend = t.backend()
    return backend, t.simple(backend, upstream={"send_proxy": version}, **more)


def test_each_request_has_its_own_header(t):
    for version, number in (("v1", 1), ("v2", 2)):
        headers = []

        def serve(conn, headers=headers):
            headers.append(Header(conn))
            serve_requests(conn, lambda _: response())
        backend, gateway = told(t, version)
        backend.serve(serve)
        clients = [t.client(gateway, source=source) for source in ("127.0.0.3", "127.0.0.4")]
        for _ in range(2):
            for client in clients:       # each kept, and taking turns
                client.send(request())
                same(read_response(client).status, 200, "status")
        same([h.source for h in headers], ["127.0.0.3", "127.0.0.4"] * 2, "sources")
        for header, client in zip(headers, clients * 2):
            same((header.version, header.port, header.destination, header.destination_port),
                 (number, client.sock.getsockname()[1], "127.0.0.1", gateway.port), "header")


def test_a_tunnel_begins_with_a_header(t):
    for version in ("v1", "v2"):
        backend, gateway = told(t, version)
        client = t.client(gateway, source="127.0.0.5")
        client.send(frames.handshake())
        server = backend.accept()
        same(Header(server).source, "127.0.0.5", "source")
        server.send(frames.switch(frames.accept_for(read_head(server).get("Sec-WebSocket-Key"))))
        same(read_response(client).status, 101, "status")
        client.send(frames.frame(2, b"x" * 70000))
        same(len(frames.read_frame(server).payload), 70000, "payload")
        client.reset()
        server.close()


def test_the_address_that_was_connected_to(t):
    """A socket that listens at all addresses has not one for all who come."""
    backend, gateway = told(t, "v1", listeners=[{"address": a} for a in ("0.0.0.0:0", "127.0.0.1:0")])
    for index, address in enumerate(gateway.addresses):
        port = int(address.rpartition(":")[2])
        for to in ("127.0.0.1", "127.0.0.9") if address.startswith("0.0.0.0") else ("127.0.0.1",):
            client = wire.connect((to, port))
            client.send(request(fields=BYE))
            server = backend.accept()
            header = Header(server)
            same((header.destination, header.destination_port), (to, port), "destination of listener %d, %s" % (index, address))
            server.send(response(fields=BYE))
            same(read_response(client).status, 200, "status")
            client.close()


def test_the_real_client_is_told(t):
    """Behind a trusted hop it is the one that the hop names in X-Forwarded-For, and behind a header the one that stands there."""
    backend, gateway = told(t, "v2", listeners=[{"address": "127.0.0.1:0", "trusted": ["127.0.0.0/8"]}, TRUSTED])
    for index, before, field, due in [(0, b"", "6.6.6.6, 203.0.113.9, 127.0.0.2", ("203.0.113.9", 0)),
                                      (0, b"", "6.6.6.6, unknown", ("127.0.0.1", None)),
                                      (1, v1("203.0.113.7"), "6.6.6.6", ("203.0.113.7", 56324)),
                                      (1, v2("2001:db8::9", destination="2001:db8::1"), "6.6.6.6", ("2001:db8::9", 56324))]:
        client = t.client(gateway, index)
        client.send(before + request(fields=[("X-Forwarded-For", field)] + BYE))
        server = backend.accept()
        header = Header(server)
        same(header.source, due[0], "source")
        check(due[1] is None or header.port == due[1], "port: %r", header.port)
        server.send(response(fields=BYE))
        same(read_response(client).status, 200, "status")
    gateway.wait_record(client="203.0.113.9")


# ---- with TLS ----

def test_tls_behind_a_header_and_facts_in_the_next(t):
    """The header comes in clear text before the handshake; what the handshake proved goes out in the TLV."""
    ca = tls.Authority(t.path("ca"))
    server_pair, alice = ca.issue("server"), ca.issue("alice", subject="/O=Example/CN=alice", use="clientAuth")
    listener = dict(TRUSTED, tls={"certificates": [server_pair], "client_auth": "optional", "client_ca": ca.certificate})
    backend, gateway = told(t, "v2", listeners=[listener])
    for certificate in (None, alice):
        plain = t.client(gateway)
        plain.send(v2("203.0.113.9"))
        client = tls.TlsConn(plain.sock, tls.client_context(ca.certificate, certificate=certificate), name=tls.NAME)
        client.send(request(fields=BYE))
        server = backend.accept()
        header = Header(server)
        same((header.source, header.tlvs.get(2)), ("203.0.113.9", tls.NAME.encode()), "source and authority")
        check(header.tls["client"] & 1 and header.tls["tlvs"][0x21].startswith(b"TLSv1."), "TLS facts: %r", header.tls)
        same((header.tls["client"] & 6, header.tls["verify"] == 0, header.tls["tlvs"].get(0x22)),
             (6, True, b"alice") if certificate else (0, False, None), "the certificate's facts")
        same(read_head(server).get("X-Forwarded-Proto"), "https", "X-Forwarded-Proto")
        server.send(response(fields=BYE))
        same(read_response(client).status, 200, "status")
        client.close()


def test_the_header_goes_before_tls_to_a_server(t):
    ca = tls.Authority(t.path("ca"))
    pair = ca.issue("server", ip=("127.0.0.1",))
    backend = t.backend()
    gateway = t.simple(backend, upstream={"send_proxy": "v1", "tls": {"ca": ca.certificate}})
    client = t.client(gateway, source="127.0.0.5")
    client.send(request(fields=BYE))
    plain = backend.accept()
    same(Header(plain).source, "127.0.0.5", "source")
    server = tls.TlsConn(plain.sock, tls.server_context(pair), server=True, begin=False)
    server.incoming.write(bytes(plain.unread))
    server.handshake()
    check(read_head(server) is not None, "no request came")
    server.send(response(fields=BYE))
    same(read_response(client).status, 200, "status")
    server.close()
    gateway.wait_record(**{Log.STATUS: 200})
