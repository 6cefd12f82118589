"""TLS with clients: what is spoken, what is shown, what is refused; and that everything behind it is as it is without."""
import os
import signal
import socket
import ssl
import subprocess
import threading

import admin
import endpoints
import frames
import messages
import tls
import wire
from harness import Log, check, described, in_thread, same
from messages import read_response, request

BYE = [("Connection", "close")]


def authority(t):
    return tls.Authority(t.path("pki"))


def listener(*pairs, **more):
    return {"address": "127.0.0.1:0", "tls": dict({"certificates": list(pairs)}, **more)}


def secure(t, ca=None, backend=None, **more):
    """A gateway with one TLS listener in front of an app; the authority beside it."""
    ca = ca or authority(t)
    app = backend or t.app()
    gateway = t.simple(app, listeners=[listener(ca.issue("site"), **more)], log={"level": "debug"})
    return gateway, ca


def open_to(t, gateway, context, **options):
    conn = tls.connect(gateway.address(), context, **options)
    t.conns.append(conn)
    return conn


def ask(conn, target="/", fields=BYE):
    conn.send(request(target=target, fields=fields))
    return read_response(conn)


def refused(t, gateway, context, **options):
    """The alert with which a handshake ends, in words."""
    try:
        conn = open_to(t, gateway, context, **options)
        conn.wait_end()                  # of TLS 1.3 the server's refusal comes behind the client's part
        return str(getattr(conn, "failure", "no failure"))
    except (ssl.SSLError, OSError) as error:
        return str(error)


def test_versions_and_handshakes_are_counted(t):
    ca = authority(t)
    gateway = t.simple(t.app(), listeners=[listener(ca.issue("site"))], admin={"address": "127.0.0.1:0"})
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3):
        same(ask(open_to(t, gateway, tls.client_context(ca.certificate, (version, version)))).status, 200, "status")
    now = admin.metrics(t, gateway)
    same([now["upgate_tls_versions_total{version=%s}" % v] for v in ("TLSv1.2", "TLSv1.3")], [1, 2], "by version")
    same(now["upgate_tls_handshake_seconds_count{}"], 3, "times")


def said(gateway, words):
    gateway.wait(lambda: any(words in line for line in gateway.stderr_lines), what="%r in the log" % words)


# what is spoken

def test_requests_over_both_versions(t):
    gateway, ca = secure(t)
    for versions, name in [(tls.V12, "TLSv1.2"), (tls.V13, "TLSv1.3")]:
        conn = open_to(t, gateway, tls.client_context(ca.certificate, versions, ["http/1.1"]))
        same(conn.tls.version(), name)
        same(conn.tls.selected_alpn_protocol(), "http/1.1")
        reply = ask(conn)
        same(reply.status, 200)
        fields = {k.lower(): v for k, v in described(reply)["fields"]}
        same(fields["x-forwarded-proto"], "https")
        same(conn.wait_end(), "fin")     # close_notify came


def test_only_versions_that_are_configured(t):
    gateway, ca = secure(t, versions=["1.3"])
    same(ask(open_to(t, gateway, tls.client_context(ca.certificate))).status, 200)
    check("protocol version" in refused(t, gateway, tls.client_context(ca.certificate, tls.V12)))
    said(gateway, "no TLS version in common")
    other, ca = secure(t, ca, versions=["1.2"])
    same(open_to(t, other, tls.client_context(ca.certificate)).tls.version(), "TLSv1.2")
    seen = refused(t, other, tls.client_context(ca.certificate, tls.V13))
    check("protocol version" in seen or "handshake failure" in seen, "%s", seen)


def s_client(gateway, *arguments):
    """openssl's own client: its output, and its exit code."""
    host, port = gateway.address()
    done = subprocess.run(["openssl", "s_client", "-connect", "%s:%d" % (host, port), *arguments], input=b"", stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60 * wire.SLOWNESS, check=False)
    return done.stdout.decode("utf-8", "replace"), done.returncode


def test_old_versions_and_weak_suites_are_refused(t):
    gateway, ca = secure(t)
    tls.openssl("version")
    for arguments, alert in [
            (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], "protocol version"),
            (["-tls1", "-cipher", "ALL:@SECLEVEL=0"], "protocol version"),
            (["-tls1_2", "-cipher", "AES128-GCM-SHA256"], "handshake failure"),            # no forward secrecy
            (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], "handshake failure"),       # no authenticated encryption
            (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-CCM8:@SECLEVEL=0"], "handshake failure"),
            (["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"], "handshake failure"),
            (["-tls1_3", "-curves", "X448"], "handshake failure"),
            (["-alpn", "h2"], "no application protocol")]:
        output, code = s_client(gateway, *arguments)
        check(code != 0 and "alert " + alert in output, "%s: %s", arguments, output)
    for arguments, agreed in [
            (["-tls1_2"], "ECDHE-ECDSA-AES"),
            (["-tls1_3"], "TLS_AES_"),
            (["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"], "CHACHA20"),
            (["-tls1_3", "-curves", "X25519:P-256"], "X25519"),
            (["-tls1_3", "-curves", "P-256"], "prime256v1")]:
        output, code = s_client(gateway, *arguments, "-CAfile", ca.certificate, "-verify_return_error")
        check(code == 0 and agreed in output, "%s: %s", arguments, output)


# what is shown

def common_name(conn):
    certificate = conn.tls.getpeercert()
    return dict(part[0] for part in certificate["subject"])["commonName"]


def test_certificates_by_name(t):
    ca = authority(t)
    pairs = [ca.issue("first", ["first.example"]), ca.issue("second", ["second.example", "also.example"]),
             ca.issue("wild", ["*.wild.example"]), ca.issue("deep", ["deep.wild.example"])]
    gateway = t.simple(t.app(), listeners=[listener(*pairs)])
    context = tls.client_context(ca.certificate)
    context.check_hostname = False
    for name, due in [("first.example", "first"), ("second.example", "second"), ("ALSO.example", "second"), ("x.wild.example", "wild"),
                      ("deep.wild.example", "deep"), ("x.y.wild.example", "first"), ("wild.example", "first"), ("unknown.example", "first"),
                      (None, "first")]:
        conn = open_to(t, gateway, context, name=name)
        same(common_name(conn), due, name)
        conn.close()


def test_certificates_by_kind_of_key(t):
    ca = authority(t)
    gateway = t.simple(t.app(), listeners=[listener(ca.issue("ec"), ca.issue("rsa", key="rsa"))])
    for suite, due in [("ECDHE-ECDSA-AES128-GCM-SHA256", "ec"), ("ECDHE-RSA-AES128-GCM-SHA256", "rsa")]:
        for name in [tls.NAME, "unknown.example"]:
            context = tls.client_context(ca.certificate, tls.V12)
            context.check_hostname = False
            context.set_ciphers(suite)
            same(common_name(open_to(t, gateway, context, name=name)), due, suite)


def test_a_chain_is_shown_whole(t):
    root = authority(t)
    between = root.issue("between", dns=())
    with open(root.path("between.ext"), "w", encoding="ascii") as out:
        out.write("basicConstraints=critical,CA:TRUE\n")
    tls.openssl("x509", "-req", "-in", root.path("between.csr"), "-CA", root.certificate, "-CAkey", root.path("ca.key"), "-days", "30",
                "-extfile", root.path("between.ext"), "-out", between["certificate"])
    root.name = "between"
    leaf = root.issue("leaf")
    with open(between["certificate"], encoding="ascii") as more:
        further = more.read()
    for count in (1, 20):                # as long as large keys make it: over 8 KiB
        with open(leaf["certificate"], "a", encoding="ascii") as out:
            out.write(further * count)
        gateway = t.simple(t.app(), listeners=[listener(leaf)])
        for versions in (tls.V12, tls.V13):
            same(ask(open_to(t, gateway, tls.client_context(root.path("ca.crt"), versions))).status, 200)


# resumption

def resumes(t, gateway, context):
    first = open_to(t, gateway, context)
    same(ask(first).status, 200)         # the ticket of TLS 1.3 has come by then
    second = open_to(t, gateway, context, session=first.tls.session)
    same(ask(second).status, 200)
    return second.tls.session_reused


def test_sessions_are_resumed_by_tickets(t):
    gateway, ca = secure(t)
    for versions in (tls.V12, tls.V13):
        check(resumes(t, gateway, tls.client_context(ca.certificate, versions)), "%r is not resumed", versions)


def test_without_tickets_nothing_is_resumed(t):
    gateway, ca = secure(t, tickets=False)
    for versions in (tls.V12, tls.V13):
        check(not resumes(t, gateway, tls.client_context(ca.certificate, versions)), "%r is resumed", versions)


def test_a_fleet_that_shares_a_key_file_shares_sessions(t):
    ca = authority(t)
    keys = [os.urandom(32) for _ in range(2)]
    with open(t.path("old.keys"), "wb") as out:
        out.write(keys[0])
    with open(t.path("new.keys"), "wb") as out:
        out.write(keys[1] + keys[0])     # rotated: a new one seals, both open
    with open(t.path("other.keys"), "wb") as out:
        out.write(os.urandom(32))
    for name in ("old", "new", "other"):
        os.chmod(t.path(name + ".keys"), 0o600)
    pair = ca.issue("site")
    fleet = {name: t.simple(t.app(), listeners=[listener(pair, ticket_keys=t.path(name + ".keys"))]) for name in ("old", "new", "other")}
    for versions in (tls.V12, tls.V13):
        for made, used, due in [("old", "new", True), ("new", "old", False), ("old", "other", False), ("old", "old", True)]:
            context = tls.client_context(ca.certificate, versions)
            first = open_to(t, fleet[made], context)
            same(ask(first).status, 200)
            second = open_to(t, fleet[used], context, session=first.tls.session)
            same(ask(second).status, 200)
            same(second.tls.session_reused, due, "%s at %s over %s" % (made, used, versions[0].name))


# what goes wrong

def raw(t, gateway, data, finish=False):
    conn = t.client(gateway)
    conn.send(data)
    if finish:
        conn.finish()
    conn.wait_end()
    return bytes(conn.received)


def test_plain_http_gets_a_plain_answer(t):
    gateway, _ = secure(t)
    conn = t.client(gateway)
    conn.send(request())
    reply = read_response(conn)
    same(reply.status, 400)
    check(b"TLS" in reply.body, "%r", reply.body)
    gateway.wait_record(**{Log.END: "hello_fault"})


ALERT = {"protocol_version": 70, "decode_error": 50, "unexpected_message": 10, "handshake_failure": 40, "illegal_parameter": 47,
         "record_overflow": 22}


def hello(t):
    """A good ClientHello."""
    conn = wire.Listener()
    t.listeners.append(conn)
    ours = socket.create_connection(("127.0.0.1", conn.port))
    client = tls.TlsConn(ours, tls.client_context(), name=tls.NAME, begin=False)
    try:
        client.tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    ours.close()
    return client.outgoing.read()


def test_hostile_hellos_get_an_alert_and_a_line_in_the_log(t):
    gateway, ca = secure(t)
    good = hello(t)
    bad_length = bytearray(good)
    bad_length[7] ^= 1                   # the message is longer than it says
    too_long = b"\x16\x03\x01\xff\xff" + bytes(65535)
    for data, alert in [
            (b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10" + bytes(37), "protocol_version"),       # an SSLv2 hello
            (bytes(64), "protocol_version"),
            (b"\x16\x03\x01\x00\x04\x02\x00\x00\x00", "unexpected_message"),               # a ServerHello
            (b"\x17\x03\x03\x00\x10" + bytes(16), "protocol_version"),
            (b"\x16\x03\x01\x00\x00", None),
            (too_long, None),
            (good[:5] + bytes(len(good) - 5), "unexpected_message"),
            (good[:43] + b"\xff" + good[44:], "decode_error"),                             # a session id that is longer than all there is
            ]:
        seen = raw(t, gateway, data)
        check(seen[:1] == b"\x15" and len(seen) == 7 and seen[5] == 2, "%r… gets %r", data[:12], seen)
        check(alert is None or seen[6] == ALERT[alert], "%r… gets alert %d, not %s", data[:12], seen[6], alert)
    said(gateway, "closed: the TLS handshake failed: ")
    raw(t, gateway, good[:100], finish=True)
    said(gateway, "ended in the middle of the TLS handshake")
    same(ask(open_to(t, gateway, tls.client_context(ca.certificate))).status, 200)


def test_a_hello_may_come_byte_by_byte(t):
    gateway, ca = secure(t)
    conn = open_to(t, gateway, tls.client_context(ca.certificate), begin=False)
    try:
        conn.tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    for byte in conn.outgoing.read():
        conn.sock.sendall(bytes([byte]))
    conn.handshake()
    same(ask(conn).status, 200)


def test_a_silent_client_is_given_up(t):
    ca = authority(t)
    gateway = t.simple(t.app(), listeners=[listener(ca.issue("site"))], timeouts={"tls_handshake": "200ms"})
    for data in (b"", b"\x16\x03\x01", hello(t)):
        conn = t.client(gateway)
        conn.send(data)
        conn.wait_end()
    said(gateway, "the TLS handshake was not completed in time")


def server_random(t, gateway, context):
    conn = open_to(t, gateway, context, begin=False)
    try:
        conn.tls.do_handshake()
    except ssl.SSLWantReadError:
        conn.sock.sendall(conn.outgoing.read())
    flight = b""
    while len(flight) < 43:
        part = conn.sock.recv(65536)
        check(part, "ended in the middle of its ServerHello")
        flight += part
    same((flight[0], flight[5]), (22, 2), "a handshake's record, a ServerHello")
    return flight[11:43]


def test_a_downgrade_can_be_seen(t):
    """RFC 8446 section 4.1.3: whoever is answered in TLS 1.2 by a server that knows 1.3 is told so, under the handshake's signature."""
    both, ca = secure(t)
    old, ca = secure(t, ca, versions=["1.2"])
    context = tls.client_context(ca.certificate, tls.V12)
    same(server_random(t, both, context)[-8:], b"DOWNGRD\x01")
    check(not server_random(t, old, context).endswith(b"DOWNGRD\x01"))


def test_renegotiation_is_refused(t):
    gateway, ca = secure(t)
    host, port = gateway.address()
    client = subprocess.Popen(["openssl", "s_client", "-connect", "%s:%d" % (host, port), "-tls1_2", "-CAfile", ca.certificate],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    t.on_exit(client.kill)
    client.stdin.write(b"R\n")
    client.stdin.flush()
    output, _ = client.communicate(timeout=60 * wire.SLOWNESS)
    check(b"no renegotiation" in output, "%s", output.decode("utf-8", "replace"))


def test_garbage_behind_the_handshake_ends_the_connection(t):
    gateway, ca = secure(t)
    conn = open_to(t, gateway, tls.client_context(ca.certificate))
    conn.sock.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
    same(conn.wait_end(), "rst")
    check("bad record mac" in str(conn.failure), "%s", conn.failure)


def test_a_cut_response_is_seen_to_be_cut(t):
    """Without a length the body ends with the connection: with close_notify where the server ended it, without where it was cut."""
    backend = t.backend()
    gateway, ca = secure(t, backend=backend)
    for cut in (False, True):
        conn = open_to(t, gateway, tls.client_context(ca.certificate))
        conn.send(request(fields=BYE).replace(b"HTTP/1.1", b"HTTP/1.0"))
        server = backend.accept()
        messages.read_request(server)
        server.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf")
        conn.read_until(b"half")
        if cut:
            server.reset()
        else:
            server.close()
        same(conn.wait_end(), "rst" if cut else "fin")


# redirect

def test_redirect_to_https(t):
    ca = authority(t)
    gateway = t.simple(t.app(), listeners=[{"address": "127.0.0.1:0", "redirect": "https"}, listener(ca.issue("site"))])
    for method, host, target, location in [
            ("GET", "test.example", "/a?b=c", "https://test.example/a?b=c"),
            ("POST", "Test.Example:8080", "/", "https://test.example/"),
            ("GET", "[::1]:80", "/x", "https://[::1]/x"),
            ("OPTIONS", "test.example", "*", "https://test.example"),
            ("GET", "test.example", "http://other.example:1/y", "https://other.example/y")]:
        client = t.client(gateway)
        client.send(request(method, target, host=host, fields=BYE))
        reply = read_response(client, method)
        same((reply.status, reply.get("Location")), (308, location))
    client = t.client(gateway)
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    same(read_response(client).status, 400)
    gateway.wait_record(**{Log.END: "redirected"})


# the configuration

def checked(t, text):
    path = t.write("check.yaml", text)
    done = subprocess.run([t.binary, "-t", "-c", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60 * wire.SLOWNESS, check=False)
    return done.returncode, done.stderr.decode()


CHECK = """listeners:
  - address: 8443
    tls:
      certificates: [ { certificate: %s, key: %s } ]
%s
upstreams: { app: { servers: [ 9000 ] } }
routes: [ { upstream: app } ]
"""


def test_files_are_checked(t):
    ca = authority(t)
    site, other = ca.issue("site"), ca.issue("other")
    ca.issue("weak", key="weak")
    ca.issue("old", expired=True)
    tls.openssl("ec", "-aes128", "-passout", "pass:x", "-in", site["key"], "-out", ca.path("locked.key"))
    t.write("empty.pem", "")
    t.write("junk.pem", "nothing of use\n")
    for certificate, key, more, code, words in [
            (site["certificate"], site["key"], "", 0, ""),
            (site["certificate"], other["key"], "", 1, "check.yaml:4:%d: %s: the key does not belong to the certificate: " % (
                45 + len(site["certificate"]), other["key"])),
            ("/none.crt", site["key"], "", 1, "check.yaml:4:38: /none.crt: cannot be opened: No such file"),
            (site["key"], site["key"], "", 1, "holds no certificate"),
            (site["certificate"], site["certificate"], "", 1, "holds no private key"),
            (site["certificate"], ca.path("locked.key"), "", 1, "has a passphrase"),
            (t.path("empty.pem"), site["key"], "", 1, "is empty"),
            (t.path("junk.pem"), site["key"], "", 1, "holds no certificate"),
            (ca.path("old.crt"), ca.path("old.key"), "", 0, "warning: %s: the certificate has expired" % ca.path("old.crt")),
            (ca.path("weak.crt"), ca.path("weak.key"), "", 0, "weak"),
            (site["certificate"], site["key"], "      client_auth: require", 1, "`client_auth` needs `client_ca`"),
            (site["certificate"], site["key"], "      client_auth: require\n      client_ca: /none.pem", 1, "/none.pem: cannot be opened"),
            (site["certificate"], site["key"], "      ticket_keys: " + t.path("junk.pem"), 1, "not one to four keys"),
            (site["certificate"], site["key"], "    redirect: https", 1, "its requests are https already")]:
        seen, output = checked(t, CHECK % (certificate, key, more))
        check(seen == code and words in output, "%s, %s, %s: %d, %s", certificate, key, more, seen, output)


def test_keys_are_not_shown(t):
    ca = authority(t)
    site = ca.issue("site")
    path = t.write("show.yaml", CHECK % (site["certificate"], site["key"], ""))
    shown = subprocess.run([t.binary, "-T", "-c", path], stdout=subprocess.PIPE, timeout=60 * wire.SLOWNESS, check=True).stdout
    check(site["key"].encode() in shown and b"PRIVATE" not in shown)
    again = t.write("again.yaml", shown.decode())
    same(subprocess.run([t.binary, "-t", "-c", again], stdout=subprocess.PIPE, timeout=60 * wire.SLOWNESS, check=False).returncode, 0)


def test_a_process_with_keys_leaves_no_core(t):
    gateway, _ = secure(t)
    with open("/proc/%d/limits" % gateway.process.pid, encoding="ascii") as limits:
        line = next(line for line in limits if line.startswith("Max core file size"))
    same(line.split()[4:6], ["0", "0"])
    same(os.stat("/proc/%d/maps" % gateway.process.pid).st_uid, 0)       # not dumpable: root's, whoever runs it


# reload

def serial(conn):
    return conn.tls.getpeercert()["serialNumber"]


def reloaded(gateway, words):
    before = len(gateway.stderr_lines)
    gateway.signal(signal.SIGHUP)
    gateway.wait(lambda: any(words in line for line in gateway.stderr_lines[before:]), what="%r in the log; there is %s" % (
        words, "\n".join(gateway.stderr_lines[before:])))


def test_certificates_change_under_load(t):
    """Clients come without a pause while the certificate is renewed again and again: each is served, and who comes behind a reload is shown
    the new one."""
    ca = authority(t)
    backend = t.backend()
    gateway = t.simple(t.app(), listeners=[listener(ca.issue("site")), listener(ca.issue("tunnels"))])
    tunnels = t.gateway(upstreams={"app": {"servers": [backend.address]}}, routes=[{"upstream": "app"}], listeners=[listener(ca.pair("site"))])
    context, stop, seen = tls.client_context(ca.certificate), threading.Event(), set()
    kept = open_to(t, tunnels, context)
    kept.send(frames.handshake())
    server = backend.accept()
    server.send(frames.switch(frames.accept_for(messages.read_head(server).get("Sec-WebSocket-Key"))))
    same(read_response(kept).status, 101)

    def come(number):
        served, last = 0, None
        while not stop.is_set():
            conn = tls.connect(gateway.address(number % 2), context, session=last)
            same(ask(conn).status, 200)
            last = conn.tls.session if number == 3 and served % 5 else None      # some resume
            seen.add(serial(conn) if not conn.tls.session_reused else None)
            conn.close()
            served += 1
        return served
    coming = [in_thread(come, number) for number in range(4)]
    for _ in range(6):
        ca.issue("site")
        for one in (gateway, tunnels):
            reloaded(one, "reloaded")
        shown = serial(open_to(t, gateway, context))
        with open(ca.path("site.crt"), encoding="ascii") as pem:
            same(int(shown, 16), int(tls.openssl("x509", "-noout", "-serial", "-in", pem.name).stdout.split(b"=")[1], 16), "the serial shown")
        kept.send(frames.frame(frames.TEXT, shown.encode()))
        same(endpoints.Reader(server, True).event(), ("text", shown.encode()))
    stop.set()
    served = [one.finish() for one in coming]
    check(min(served) > 0 and len(seen) >= 6, "%r served, %d certificates seen", served, len(seen))
    endpoints.closing(kept, server)


def test_a_new_certificate_is_shown_after_a_reload(t):
    """New connections get it, what is open is not touched, and a bad file keeps what was."""
    ca = authority(t)
    pair = ca.issue("site")
    gateway = t.simple(t.app(), listeners=[listener(pair)])
    context = tls.client_context(ca.certificate)
    kept = open_to(t, gateway, context)
    same(ask(kept, fields=()).status, 200)
    first = serial(kept)
    ca.issue("site")                     # renewed, in the same files
    reloaded(gateway, "reloaded")
    check(serial(open_to(t, gateway, context)) != first, "the old certificate is still shown")
    second = serial(open_to(t, gateway, context))
    same(ask(kept, fields=()).status, 200)
    with open(pair["key"], "w", encoding="ascii") as out:
        out.write("nothing of use\n")
    reloaded(gateway, "holds no private key")
    same(serial(open_to(t, gateway, context)), second)
    same(ask(kept).status, 200)
