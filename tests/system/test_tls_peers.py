"""TLS with programs of others on either side of the gateway, each of which verifies the other's certificate: Node, python3-websockets, curl,
Chromium; nginx, HAProxy and OpenSSL's own server.
"""
import os
import shutil
import subprocess

import endpoints
import frames
import tls
from harness import Log, Skip, check, described, same
from messages import read_response, request
from test_passthrough_peers import Server
from test_programs import Program, peer, run
from test_proxy_peers import NGINX_HTTP, Front, haproxy, nginx
from tls_peers import need

BYE = [("Connection", "close")]
NAMES = ["localhost", tls.NAME]


class Pki:
    def __init__(self, t):
        self.ca = tls.Authority(t.path("pki"))
        self.site = self.ca.issue("site", NAMES, ip=["127.0.0.1"])
        self.server = self.ca.issue("server", NAMES, ip=["127.0.0.1"])
        self.stranger = tls.Authority(t.path("strangers"), "stranger")
        self.foreign = self.stranger.issue("foreign", NAMES)

    def listener(self, **more):
        return {"address": "127.0.0.1:0", "tls": dict({"certificates": [self.site]}, **more)}

    def upstream(self, **more):
        return {"tls": dict({"ca": self.ca.certificate, "server_name": tls.NAME}, **more)}

    def both(self, pair):
        """Certificate and key in one file, as HAProxy reads them."""
        path = pair["certificate"][:-4] + ".pem"
        with open(path, "w", encoding="ascii") as out:
            for part in ("certificate", "key"):
                with open(pair[part], encoding="ascii") as file:
                    out.write(file.read())
        return path


def echoed(t, program, extra_environment):
    """What that client sent through the gateway, by wss, came back."""
    pki = Pki(t)
    server = Program(t, peer("ws_node_server.js"))
    gateway = t.simple(server.event("ready")["address"], listeners=[pki.listener()])
    command = peer(program) + ["wss://localhost:%d/echo" % gateway.port, "--text", "5", "--binary", "65536", "--text", "126"]
    env = {name: value for name, value in os.environ.items() if name not in ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")}
    code, out, err = run(command, env=dict(env, **{extra_environment: pki.ca.certificate}))
    check(code == 0, "%s: exit %d\n%s\n%s", program, code, out.decode()[-1500:], err[-1500:])
    gateway.wait_record(**{Log.KIND: "tunnel", Log.END: "closed"})
    code, out, err = run(command, env=dict(env, **{extra_environment: pki.stranger.certificate}))
    check(code != 0, "a client that trusts somebody else went on: %s", out)


def test_node_by_wss(t):
    echoed(t, "ws_node_client.js", "NODE_EXTRA_CA_CERTS")


def test_python_websockets_by_wss(t):
    echoed(t, "ws_python_client.py", "SSL_CERT_FILE")


def test_curl(t):
    need("curl")
    pki = Pki(t)
    gateway = t.simple(t.app(), listeners=[pki.listener()])
    url = "https://localhost:%d/" % gateway.port
    for options, due in [(["--tlsv1.2", "--tls-max", "1.2"], 0), (["--tlsv1.3"], 0), ([], 0)]:
        code, out, err = run(["curl", "-sS", "--noproxy", "*", "--max-time", "60", "--cacert", pki.ca.certificate, *options, url, url])
        same(code, due, "curl's exit code (%s)" % err)
        check(b'"X-Forwarded-Proto", "https"' in out, "%r", out)
    code, _, err = run(["curl", "-sS", "--noproxy", "*", "--max-time", "60", "--cacert", pki.stranger.certificate, url])
    same(code, 60, "curl's exit code (%s)" % err)
    gateway.wait(lambda: gateway.said("alert received: unknown_ca"), what="its alert in the log")


def test_chromium(t):
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        raise Skip("chromium is not installed")
    pki = Pki(t)
    gateway = t.simple(t.app(), listeners=[pki.listener()])
    key = subprocess.run("openssl x509 -in %s -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | openssl base64"
                         % pki.ca.certificate, shell=True, check=True, capture_output=True, timeout=60).stdout.decode().strip()
    with open(pki.site["certificate"], "a", encoding="ascii") as out, open(pki.ca.certificate, encoding="ascii") as root:
        out.write(root.read())           # so that the authority's key is among those that are shown
    gateway.signal(1)
    gateway.wait(lambda: gateway.said("reloaded: configuration"), what="the reload")
    for trusted in (True, False):
        trust = ["--ignore-certificate-errors-spki-list=" + key] if trusted else []
        code, out, err = run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=" + t.path("profile"),
                              "--no-proxy-server", *trust, "--dump-dom", "https://localhost:%d/page" % gateway.port])
        same(code, 0, "chromium's exit code (%s)" % err[-500:])
        same(b"X-Forwarded-Proto" in out, trusted, "whether Chromium shows the page")


# ---- behind ----

def nginx_with_tls(t, pki, pair, to):
    return nginx(t, NGINX_HTTP, listen=" ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate %s; ssl_certificate_key %s" % (pair["certificate"], pair["key"]),
                 location="proxy_pass http://127.0.0.1:%d; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
                          "proxy_set_header Connection $http_connection; proxy_set_header Host $host; "
                          "proxy_set_header X-Seen $ssl_protocol-$ssl_session_reused;" % to)


def haproxy_with_tls(t, pki, pair, to):
    return haproxy(t, to, bind="ssl crt " + pki.both(pair), rules="http-request set-header X-Seen %[ssl_fc_protocol]")


def test_nginx_and_haproxy_behind(t):
    """They are verified, sessions are resumed with them, and a tunnel goes through."""
    t.needs_speed()
    pki = Pki(t)
    app, backend = t.app(), t.backend()
    for made in (nginx_with_tls, haproxy_with_tls):
        gateway = t.simple(made(t, pki, pki.server, app.port), upstream=dict(pki.upstream(), keepalive="off"), listeners=[pki.listener()],
                           workers=1)    # each worker keeps its own sessions
        for _ in range(3):
            client = tls.connect(gateway.address(), tls.client_context(pki.ca.certificate))
            t.conns.append(client)
            client.send(request(fields=BYE))
            seen = {k.lower(): v for k, v in described(read_response(client))["fields"]}
            check(seen["x-seen"].startswith("TLSv1.3"), "%r", seen)
        if made is nginx_with_tls:
            check(seen["x-seen"].endswith("-r"), "no session was resumed: %r", seen)
        tunnels = t.simple(made(t, pki, pki.server, backend.port), upstream=pki.upstream())
        client, origin = t.upgrade(tunnels, backend)
        client.send(frames.frame(frames.TEXT, b"hello"))
        same(endpoints.Reader(origin, True).event(), ("text", b"hello"))
        endpoints.closing(client, origin)
        refusing = t.simple(made(t, pki, pki.foreign, app.port), upstream=pki.upstream())
        same(t.exchange(refusing).status, 502, "status behind one whose issuer nobody knows")
        refusing.wait(lambda: refusing.said("the certificate's issuer is not trusted"), what="the reason in the log")


def test_openssl_server_behind(t):
    pki = Pki(t)
    need("openssl")
    client_pair = pki.ca.issue("gate", dns=(), subject="/CN=gate")
    for options, status, words in [
            (["-tls1_3"], 200, None), (["-tls1_2"], 200, None),
            (["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], 200, None),
            (["-Verify", "1", "-verify_return_error", "-CAfile", pki.ca.certificate], 200, None),
            (["-Verify", "1", "-verify_return_error", "-CAfile", pki.stranger.certificate, "-tls1_2"], 502, "alert received: unknown_ca"),
            (["-tls1_2", "-cipher", "AES128-SHA256:ECDHE-ECDSA-AES128-SHA"], 502, "alert received: handshake_failure"),
            (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], 502, "alert received: protocol_version"),
            (["-no_dhe", "-groups", "X448", "-tls1_3"], 502, "alert received: handshake_failure")]:
        port = t.free_port()
        server = Server(t, ["openssl", "s_server", "-accept", "127.0.0.1:%d" % port, "-cert", pki.server["certificate"],
                            "-key", pki.server["key"], "-www", *options], port, cwd=t.folder)
        gateway = t.simple(server, upstream=pki.upstream(**client_pair))
        same(t.exchange(gateway).status, status, "status (%s)" % options)
        if words:
            gateway.wait(lambda g=gateway, w=words: g.said(w), what=lambda g=gateway, w=words: "%r; there is %s" % (w, g.stderr_lines[-5:]))


# ---- in front ----

def test_nginx_and_haproxy_in_front(t):
    """They verify the gateway's certificate; with a stranger's authority they do not go on."""
    t.needs_speed()
    pki = Pki(t)
    backend = t.backend()
    gateway = t.simple(backend, listeners=[pki.listener()])

    def nginx_front(ca):
        return nginx(t, NGINX_HTTP, listen="", location="proxy_pass https://127.0.0.1:%d; proxy_ssl_verify on; proxy_ssl_name %s; "
                     "proxy_ssl_server_name on; proxy_ssl_trusted_certificate %s; proxy_http_version 1.1; proxy_set_header Host %s; "
                     "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;" % (
                         gateway.port, tls.NAME, ca, tls.NAME))

    def haproxy_front(ca):
        return haproxy(t, gateway.port, server="ssl verify required ca-file %s sni str(%s) verifyhost %s" % (ca, tls.NAME, tls.NAME))
    for made, status in ((nginx_front, 502), (haproxy_front, 503)):
        client, origin = t.upgrade(Front(made(pki.ca.certificate)), backend)
        client.send(frames.frame(frames.TEXT, b"hello"))
        same(endpoints.Reader(origin, True).event(), ("text", b"hello"))
        endpoints.closing(client, origin)
        client = t.client(Front(made(pki.stranger.certificate)))
        client.send(request(fields=BYE))
        same(read_response(client).status, status, "status of one that does not trust the gateway")
