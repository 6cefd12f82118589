"""Client certificates: who is let in, whom routes admit, and what servers get to know of it, which nobody else can tell them."""
import base64
import hashlib
import ssl
import subprocess

import endpoints
import fcgi
import frames
import messages
import tls
from harness import Log, check, described, same
from messages import read_response, request

BYE = [("Connection", "close")]


class Pki:
    """An authority for servers and one for clients."""

    def __init__(self, t):
        self.ca, self.clients = tls.Authority(t.path("pki")), tls.Authority(t.path("clients"), "clients")
        self.alice = self.clients.issue("alice", dns=(), subject="/C=DE/O=Exam, ple/CN=alice", use="clientAuth")
        self.bob = self.clients.issue("bob", dns=(), subject="/C=DE/O=Example/CN=bob")

    def listener(self, mode, **more):
        return {"address": "127.0.0.1:0", "tls": dict({"certificates": [self.ca.issue("site")], "client_auth": mode,
                                                       "client_ca": self.clients.certificate}, **more)}

    def context(self, certificate=None, versions=None):
        return tls.client_context(self.ca.certificate, versions, certificate=certificate)


def ask(t, gateway, context, fields=(), target="/", index=0):
    conn = tls.connect(gateway.address(index), context)
    t.conns.append(conn)
    conn.send(request(target=target, fields=list(fields) + BYE))
    return read_response(conn)


def refused(t, gateway, context):
    """What a client hears that is not let in."""
    try:
        conn = tls.connect(gateway.address(), context)
        t.conns.append(conn)
        conn.send(request(fields=BYE))
        conn.wait_end()
        check(not conn.received, "%r", bytes(conn.received))
        return str(conn.failure)
    except (ssl.SSLError, OSError) as error:
        return str(error)


def said(gateway, words):
    gateway.wait(lambda: any(words in line for line in gateway.stderr_lines), what="%r in the log; there is %s" % (
        words, "\n".join(gateway.stderr_lines[-8:])))


def fingerprint(pair):
    with open(pair["certificate"], encoding="ascii") as pem:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.read())).hexdigest()


def test_required(t):
    pki = Pki(t)
    gateway = t.simple(t.app(), listeners=[pki.listener("require")])
    for versions in (tls.V12, tls.V13):
        same(ask(t, gateway, pki.context(pki.alice, versions)).status, 200)
        seen = refused(t, gateway, pki.context(None, versions))
        check(("handshake failure" if versions == tls.V12 else "certificate required") in seen, "%s", seen)
    said(gateway, "no certificate was shown, and one is required")


def test_bad_ones_are_refused_even_where_none_is_needed(t):
    pki = Pki(t)
    stranger = tls.Authority(t.path("stranger"), "stranger")
    for mode in ("optional", "require"):
        gateway = t.simple(t.app(), listeners=[pki.listener(mode)])
        for pair, words in [
                (pki.clients.issue("late", dns=(), expired=True), "the certificate has expired"),
                (stranger.issue("foreign", dns=()), "the certificate's issuer is not trusted"),
                (pki.clients.issue("own", dns=(), self_signed=True), "the certificate's issuer is not trusted"),
                (pki.clients.issue("server", dns=(), use="serverAuth"), "the certificate is not for this use"),
                (pki.clients.issue("weak", dns=(), key="weak"), "the certificate's key is too weak")]:
            for versions in (tls.V12, tls.V13):
                context = tls.client_context(pki.ca.certificate, versions)
                context.set_ciphers("DEFAULT:@SECLEVEL=0")
                context.load_cert_chain(pair["certificate"], pair["key"])
                check("alert" in refused(t, gateway, context), words)
            said(gateway, "the TLS handshake failed: " + words)


def test_nothing_is_resumed(t):
    """A resumed session would come without the certificate."""
    pki = Pki(t)
    gateway = t.simple(t.app(), listeners=[pki.listener("optional")])
    for versions in (tls.V12, tls.V13):
        context = pki.context(pki.alice, versions)
        first = tls.connect(gateway.address(), context)
        first.send(request())
        same(read_response(first).status, 200)
        second = tls.connect(gateway.address(), context, session=first.tls.session)
        check(not second.tls.session_reused, "resumed")
        t.conns += [first, second]


def test_routes_admit_by_certificate(t):
    pki = Pki(t)
    routes = [{"match": {"path": "/any"}, "upstream": "app", "client_certificate": {}},
              {"match": {"path": "/alice"}, "upstream": "app", "client_certificate": {"subjects": ["CN=alice,O=Exam\\, ple,C=DE"]}},
              {"match": {"path": "/print"}, "upstream": "app", "client_certificate": {"fingerprints": [fingerprint(pki.bob)]}},
              {"upstream": "app"}]
    gateway = t.gateway(upstreams={"app": {"servers": [t.app().address]}}, routes=routes,
                        listeners=[pki.listener("optional"), {"address": "127.0.0.1:0"}])
    for who, due in [(pki.alice, {"/any": 200, "/alice": 200, "/print": 403, "/": 200}),
                     (pki.bob, {"/any": 200, "/alice": 403, "/print": 200, "/": 200}),
                     (None, {"/any": 403, "/alice": 403, "/print": 403, "/": 200})]:
        for target, status in due.items():
            same(ask(t, gateway, pki.context(who), target=target).status, status, "%s of %s" % (target, who))
    plain = t.client(gateway, 1)
    plain.send(request(target="/any", fields=BYE))
    same(read_response(plain).status, 403)
    gateway.wait_record(**{Log.END: "client_certificate"})


def test_upgrades_are_admitted_by_certificate(t):
    pki = Pki(t)
    backend = t.backend()
    gateway = t.gateway(upstreams={"app": {"servers": [backend.address]}}, listeners=[pki.listener("optional")],
                        routes=[{"upstream": "app", "client_certificate": {}}])
    stranger = tls.connect(gateway.address(), pki.context())
    t.conns.append(stranger)
    stranger.send(frames.handshake())
    same(read_response(stranger).status, 403)
    client = tls.connect(gateway.address(), pki.context(pki.alice))
    t.conns.append(client)
    client.send(frames.handshake())
    server = backend.accept()
    seen = messages.read_head(server)
    server.send(frames.switch(frames.accept_for(seen.get("Sec-WebSocket-Key"))))
    same(read_response(client).status, 101)
    endpoints.closing(client, server)
    record = gateway.wait_record(**{Log.KIND: "exchange", Log.STATUS: 101})
    same((record["tls"], record["client_subject"]), ("TLSv1.3", "CN=alice,O=Exam\\, ple,C=DE"))


FIELDS = {"X-Tls": "version", "X-Cipher": "cipher", "X-Name": "server_name", "X-Verify": "client_verify", "X-Subject": "client_subject",
          "X-Issuer": "client_issuer", "X-Serial": "client_serial", "X-Fingerprint": "client_fingerprint", "Client-Cert": "client_certificate"}
FORGED = [(spelled, "forged") for name in FIELDS for spelled in (name, name.lower(), name.upper(), name.replace("-", "_"))]


def told(reply):
    fields = described(reply)["fields"]
    check(not any(value == "forged" for _, value in fields), "%r", fields)
    return {name: value for name, value in fields if name in FIELDS}


def test_http_servers_are_told_in_fields_that_nobody_can_forge(t):
    pki = Pki(t)
    gateway = t.simple(t.app(), listeners=[pki.listener("optional"), {"address": "127.0.0.1:0", "trusted": ["127.0.0.1/32"]}],
                       forwarded={"tls_fields": FIELDS})
    seen = told(ask(t, gateway, pki.context(pki.alice), FORGED))
    same({k: seen[k] for k in ("X-Tls", "X-Name", "X-Verify", "X-Subject", "X-Issuer", "X-Fingerprint")},
         {"X-Tls": "TLSv1.3", "X-Name": tls.NAME, "X-Verify": "SUCCESS", "X-Subject": "CN=alice,O=Exam\\, ple,C=DE", "X-Issuer": "CN=clients",
          "X-Fingerprint": fingerprint(pki.alice)})
    check(seen["X-Cipher"].startswith("TLS_") and int(seen["X-Serial"], 16) > 0, "%r", seen)
    with open(pki.alice["certificate"], encoding="ascii") as pem:
        same(ssl.DER_cert_to_PEM_cert(base64.b64decode(seen["Client-Cert"].strip(":"))).split(),
             pem.read().split(), "the certificate of RFC 9440")
    seen = told(ask(t, gateway, pki.context(), FORGED))
    same((seen["X-Verify"], set(seen) & {"X-Subject", "X-Issuer", "X-Serial", "X-Fingerprint", "Client-Cert"}), ("NONE", set()))
    plain = t.client(gateway, 1)         # not even who is trusted, and no TLS
    plain.send(request(fields=FORGED + BYE))
    same(told(read_response(plain)), {})


def test_fastcgi_servers_are_told_by_parameters(t):
    pki = Pki(t)
    backend = t.backend()
    gateway = t.simple(backend, listeners=[pki.listener("optional"), {"address": "127.0.0.1:0"}],
                       upstream={"protocol": "fastcgi", "keepalive": "off"})
    forged = [("SSL-Client-Verify", "SUCCESS"), ("SSL_CLIENT_VERIFY", "SUCCESS"), ("HTTPS", "on"), ("SSL-Protocol", "TLSv1.3")]

    def params(conn):
        conn.send(request(fields=forged + BYE))
        server = fcgi.Server(backend.accept())
        seen = server.request()
        server.conn.send(fcgi.answer())
        same(read_response(conn).status, 200)
        return {k: v for k, v in seen.params.items() if k.startswith("SSL_") or k == "HTTPS"}
    for who in (pki.alice, None):
        conn = tls.connect(gateway.address(), pki.context(who))
        t.conns.append(conn)
        seen = params(conn)
        check(seen.pop("SSL_CIPHER").startswith("TLS_"))
        serial, start, end = (seen.pop(k, "") for k in ("SSL_CLIENT_M_SERIAL", "SSL_CLIENT_V_START", "SSL_CLIENT_V_END"))
        due = {"HTTPS": "on", "SSL_PROTOCOL": "TLSv1.3", "SSL_TLS_SNI": tls.NAME, "SSL_CLIENT_VERIFY": "NONE"}
        if who:
            due.update({"SSL_CLIENT_VERIFY": "SUCCESS", "SSL_CLIENT_S_DN": "CN=alice,O=Exam\\, ple,C=DE", "SSL_CLIENT_I_DN": "CN=clients",
                        "SSL_CLIENT_FINGERPRINT": fingerprint(pki.alice)})
            check(int(serial, 16) > 0 and start < end and end.endswith("Z"), "%s %s %s", serial, start, end)
        same(seen, due)
    same(params(t.client(gateway, 1)), {})


def test_the_configuration_asks_for_what_can_be(t):
    text = """listeners: [ { address: 8080 } ]
upstreams: { app: { servers: [ 9000 ] } }
routes: [ { upstream: app, client_certificate: {} } ]
"""
    done = subprocess.run([t.binary, "-t", "-c", t.write("check.yaml", text)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, check=False)
    check(done.returncode == 1 and b"no listener of this route asks clients for one" in done.stderr, "%r", done.stderr)
