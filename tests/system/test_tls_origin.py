"""TLS with servers: who is trusted, what is asked for and shown, what is kept; and what clients and the log get to know when it fails."""
import ssl
import subprocess

import endpoints
import frames
import messages
import tls
import wire
from harness import Log, check, in_thread, same
from messages import read_response, request, response

BYE = [("Connection", "close")]


def upstream(ca, **more):
    return {"tls": dict({"ca": ca.certificate, "server_name": tls.NAME}, **more)}


def secured(listener, context):
    """The listener's connections speak TLS from here on; those whose handshake fails are left out, and noted."""
    listener.failures = []
    accept = listener.accept

    def accept_tls(deadline=None, record=True):
        conn = accept(deadline, record)
        try:
            secure = tls.TlsConn(conn.sock, context, record, server=True)
        except (ssl.SSLError, OSError) as error:
            listener.failures.append(str(error))
            raise
        listener.conns.append(secure)
        return secure

    listener.accept = accept_tls
    return listener


def refuser(t, context):
    """A server with whom no handshake succeeds."""
    def handle(conn):
        try:
            tls.TlsConn(conn.sock, context, server=True).wait_end()
        except (ssl.SSLError, OSError):
            pass
    return t.backend().serve(handle)


def answer_of(t, gateway):
    client = t.client(gateway)
    client.send(request(fields=BYE))
    return read_response(client)


def said(gateway, words):
    gateway.wait(lambda: any(words in line for line in gateway.stderr_lines), what="%r in the log; there is %s" % (
        words, "\n".join(gateway.stderr_lines[-8:])))


def test_requests_and_sessions(t):
    """The first connection is verified; the next ones resume its session."""
    ca = tls.Authority(t.path("pki"))
    for versions in (tls.V12, tls.V13):
        context = tls.server_context(ca.issue("server"), versions=versions, alpn=["h2", "http/1.1"])
        backend = secured(t.backend(), context)
        gateway = t.simple(backend, upstream=upstream(ca), log={"level": "debug"}, workers=1)     # each worker keeps its own
        reused = []
        for _ in range(3):
            client = t.client(gateway)
            client.send(request(fields=BYE))
            server = backend.accept()
            seen = messages.read_request(server)
            same(seen.get("Host"), "test.example")
            same(server.tls.selected_alpn_protocol(), "http/1.1")
            server.send(response(200, b"hello", BYE))
            same(read_response(client).body, b"hello")
            same(server.wait_end(), "fin")
            server.close()
            reused.append(server.tls.session_reused)
        same(reused, [False, True, True], "sessions reused over %s" % versions[0].name)


def test_a_server_that_has_changed(t):
    """A session of TLS 1.3 is kept, and the server speaks TLS 1.2 now: it refuses the session's version once, and not for ever."""
    ca = tls.Authority(t.path("pki"))
    pair = ca.issue("server")
    old, new = tls.server_context(pair, versions=tls.V12), tls.server_context(pair, versions=tls.V13)
    speaks = [new]
    refused = []

    def handle(conn):
        try:
            server = tls.TlsConn(conn.sock, speaks[0], server=True)
        except ssl.SSLError as error:
            refused.append(str(error))
            return
        messages.read_request(server)
        server.send(response(200, server.tls.version().encode(), BYE))
        server.close()
    gateway = t.simple(t.backend().serve(handle), upstream=upstream(ca))
    for context, due in [(new, b"TLSv1.3"), (new, b"TLSv1.3"), (old, b"TLSv1.2"), (old, b"TLSv1.2")]:
        speaks[0] = context
        same(answer_of(t, gateway).body, due)
    check(len(refused) == 1 and "unsupported protocol" in refused[0], "%r", refused)


def test_kept_connections(t):
    ca = tls.Authority(t.path("pki"))
    backend = secured(t.backend(), tls.server_context(ca.issue("server")))
    gateway = t.simple(backend, upstream=upstream(ca))
    client = t.client(gateway)
    server = None
    for _ in range(3):
        client.send(request())
        server = server or backend.accept()
        messages.read_request(server)
        server.send(response(200, b"again"))
        same(read_response(client).body, b"again")
    server.close()


def test_the_name_that_is_asked_for(t):
    ca = tls.Authority(t.path("pki"))
    names = []

    def note(_, name, __):
        names.append(name)

    context = tls.server_context(ca.issue("server", dns=["localhost", "internal.example"], ip=["127.0.0.1"]))
    context.sni_callback = note
    for address, more, due in [("localhost:%d", {}, "localhost"), ("127.0.0.1:%d", {}, None),
                               ("127.0.0.1:%d", {"server_name": "internal.example"}, "internal.example")]:
        backend = secured(t.backend(), context)
        gateway = t.simple(address % backend.port, upstream={"tls": dict({"ca": ca.certificate}, **more)})
        client = t.client(gateway)
        client.send(request(fields=BYE))
        server = backend.accept()
        messages.read_request(server)
        server.send(response(200, b"", BYE))
        same(read_response(client).status, 200)
        same(names.pop(), due)


def test_over_a_unix_socket(t):
    ca = tls.Authority(t.path("pki"))
    backend = secured(t.unix_backend(), tls.server_context(ca.issue("server")))
    gateway = t.simple(backend, upstream=upstream(ca))
    client = t.client(gateway)
    client.send(request(fields=BYE))
    server = backend.accept()
    messages.read_request(server)
    server.send(response(200, b"", BYE))
    same(read_response(client).status, 200)


def test_servers_that_cannot_be_trusted(t):
    ca, stranger = tls.Authority(t.path("pki")), tls.Authority(t.path("stranger"), "stranger")
    for pair, words in [
            (ca.issue("expired", expired=True), "the certificate has expired"),
            (ca.issue("elsewhere", dns=["other.example"]), "the certificate is for another name"),
            (ca.issue("own", self_signed=True), "the certificate's issuer is not trusted"),
            (stranger.issue("foreign"), "the certificate's issuer is not trusted"),
            (ca.issue("weak", key="weak"), "the certificate's key is too weak"),
            (ca.issue("client", use="clientAuth"), "the certificate is not for this use")]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.load_cert_chain(pair["certificate"], pair["key"])
        gateway = t.simple(refuser(t, context), upstream=upstream(ca))
        reply = answer_of(t, gateway)
        same(reply.status, 502, words)
        check(b"TLS" in reply.body, "%r", reply.body)
        said(gateway, "the TLS handshake failed: " + words)
        gateway.wait_record(**{Log.END: "tls_failed"})


def test_a_wrong_address(t):
    ca = tls.Authority(t.path("pki"))
    backend = refuser(t, tls.server_context(ca.issue("server", dns=["127.0.0.1"], ip=["127.0.0.2"])))
    gateway = t.simple(backend, upstream={"tls": {"ca": ca.certificate}})
    same(answer_of(t, gateway).status, 502)
    said(gateway, "the certificate is for another name")


def test_verify_off_is_shouted_about(t):
    ca = tls.Authority(t.path("pki"))
    backend = secured(t.backend(), tls.server_context(ca.issue("own", dns=["other.example"], self_signed=True)))
    gateway = t.simple(backend, upstream={"tls": {"verify": False}})
    said(gateway, "`verify` is off: whoever is on the way to the servers of `app` can pass for them")
    client = t.client(gateway)
    client.send(request(fields=BYE))
    server = backend.accept()
    messages.read_request(server)
    server.send(response(200, b"", BYE))
    same(read_response(client).status, 200)


def test_what_does_not_agree(t):
    ca = tls.Authority(t.path("pki"))
    pair = ca.issue("server")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.load_cert_chain(pair["certificate"], pair["key"])
    weak = tls.server_context(pair, versions=tls.V12)
    weak.set_ciphers("ECDHE-ECDSA-AES128-SHA")
    wants = tls.server_context(pair, ca=ca.certificate, versions=tls.V12)
    for context, words in [(old, "alert received: protocol_version"), (weak, "alert received: handshake_failure"),
                           (wants, "alert received: handshake_failure")]:
        gateway = t.simple(refuser(t, context), upstream=upstream(ca))
        same(answer_of(t, gateway).status, 502)
        said(gateway, words)


def test_servers_that_do_not_speak_tls(t):
    ca = tls.Authority(t.path("pki"))
    for says, ends, words in [(b"HTTP/1.1 400 Bad Request\r\n\r\n", True, "not a TLS record"),
                              (b"", True, "the connection ended in the middle of the TLS handshake"),
                              (b"\x16\x03\x03\x00\x04\x0e\x00\x00\x00", True, "a message out of order")]:
        def handle(conn, says=says, ends=ends):
            conn.send(says)
            if ends:
                conn.finish()
            conn.wait_end()
        gateway = t.simple(t.backend().serve(handle), upstream=upstream(ca))
        same(answer_of(t, gateway).status, 502)
        said(gateway, words)


def test_bytes_before_the_handshake_are_no_answer(t):
    """What somebody on the way says in clear text must never pass for the server's response."""
    ca = tls.Authority(t.path("pki"))
    context = tls.server_context(ca.issue("server"))

    def handle(conn):
        conn.send(response(200, b"forged"))
        try:
            tls.TlsConn(conn.sock, context, server=True).wait_end()
        except (ssl.SSLError, OSError):
            pass
    gateway = t.simple(t.backend().serve(handle), upstream=upstream(ca))
    reply = answer_of(t, gateway)
    same(reply.status, 502)
    check(b"forged" not in reply.raw + reply.body)


def test_a_handshake_that_stalls(t):
    ca = tls.Authority(t.path("pki"))
    gateway = t.simple(t.backend().serve(lambda conn: conn.wait_end()), upstream=upstream(ca), timeouts={"connect": "200ms"})
    same(answer_of(t, gateway).status, 504)
    said(gateway, "the TLS handshake was not completed in time")


def test_another_server_is_tried(t):
    ca = tls.Authority(t.path("pki"))
    good = tls.server_context(ca.issue("server"))
    bad = refuser(t, tls.server_context(ca.issue("own", self_signed=True)))

    def handle(conn):
        server = tls.TlsConn(conn.sock, good, server=True)
        messages.read_request(server)
        server.send(response(200, b"good", BYE))
        server.close()
    gateway = t.simple(bad, t.backend().serve(handle), upstream=upstream(ca))
    for _ in range(2):
        same(answer_of(t, gateway).body, b"good")


def test_a_client_certificate(t):
    ca = tls.Authority(t.path("pki"))
    gate = ca.issue("gate", dns=(), subject="/O=Gate/CN=gate one")
    for versions in (tls.V12, tls.V13):
        backend = secured(t.backend(), tls.server_context(ca.issue("server"), ca=ca.certificate, versions=versions))
        gateway = t.simple(backend, upstream=upstream(ca, **gate))
        client = t.client(gateway)
        client.send(request(fields=BYE))
        server = backend.accept()
        messages.read_request(server)
        subject = dict(part[0] for part in server.tls.getpeercert()["subject"])
        same(subject["commonName"], "gate one")
        server.send(response(200, b"", BYE))
        same(read_response(client).status, 200)


def test_a_cut_body_is_no_whole_one(t):
    """RFC 9112 section 8: a body that ends with the connection is complete only with close_notify."""
    ca = tls.Authority(t.path("pki"))
    backend = secured(t.backend(), tls.server_context(ca.issue("server")))
    gateway = t.simple(backend, upstream=upstream(ca))
    for cut, due in [(False, "complete"), (True, "server_truncated")]:
        client = t.client(gateway)
        client.send(request(fields=BYE).replace(b"HTTP/1.1", b"HTTP/1.0"))
        server = backend.accept()
        messages.read_request(server)
        server.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf")
        client.read_until(b"half")
        if cut:
            server.cut()
        else:
            server.finish()
        same(client.wait_end(), "rst" if cut else "fin")
        gateway.wait_record(**{Log.END: due})
        server.close()


def both_sides(t):
    ca = tls.Authority(t.path("pki"))
    backend = secured(t.backend(), tls.server_context(ca.issue("server")))
    gateway = t.simple(backend, upstream=upstream(ca), listeners=[{"address": "127.0.0.1:0", "tls": {"certificates": [ca.issue("site")]}}])
    client = tls.connect(gateway.address(), tls.client_context(ca.certificate))
    t.conns.append(client)
    return gateway, backend, client


def test_a_tunnel_over_tls_on_both_sides(t):
    gateway, backend, client = both_sides(t)
    client.send(frames.handshake() + frames.frame(frames.TEXT, b"early", mask=True))
    server = backend.accept()
    seen = messages.read_head(server)
    same(server.poll(), b"")             # A2: what came behind the handshake waits
    server.send(frames.switch(frames.accept_for(seen.get("Sec-WebSocket-Key"))) + frames.frame(frames.TEXT, b"behind", mask=False))
    same(read_response(client).status, 101)
    same(endpoints.Reader(server, True).event(), ("text", b"early"))
    same(endpoints.Reader(client, False).event(), ("text", b"behind"))
    large = bytes(range(256)) * (512 if t.comes_in_drops() else 4096)
    for conn, reader, mask in [(client, server, True), (server, client, False)]:
        sender = in_thread(conn.send, frames.frame(frames.BINARY, large, mask=mask))
        same(endpoints.Reader(reader, mask).event(), ("binary", large))
        sender.finish()
    endpoints.closing(client, server)
    gateway.wait_record(**{Log.KIND: "tunnel", Log.END: "closed"})


def test_key_update_ends_a_tunnel_with_its_own_reason(t):
    """mbedTLS 3.6 cannot change keys (RFC 8446 section 4.6.3) and ends the connection: the log says so."""
    ca = tls.Authority(t.path("pki"))
    backend = t.backend()
    gateway = t.simple(backend, listeners=[{"address": "127.0.0.1:0", "tls": {"certificates": [ca.issue("site")]}}])
    host, port = gateway.address()
    client = subprocess.Popen(["openssl", "s_client", "-connect", "%s:%d" % (host, port), "-tls1_3", "-quiet", "-no_ign_eof"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    t.on_exit(client.kill)
    client.stdin.write(frames.handshake())
    client.stdin.flush()
    server = backend.accept()
    seen = messages.read_head(server)
    server.send(frames.switch(frames.accept_for(seen.get("Sec-WebSocket-Key"))))
    gateway.wait(lambda: True)
    wire.wait_until(lambda: client.stdout.readline() == b"\r\n", what="the 101 at the client")
    client.stdin.write(b"K\n")
    client.stdin.flush()
    same(endpoints.Reader(server, True).event()[:2], ("close", 1011))
    server.send(frames.frame(frames.CLOSE, frames.close_payload(1011), mask=False)).close()
    same(gateway.wait_record(**{Log.KIND: "tunnel"})[Log.END], "tls_key_update")
