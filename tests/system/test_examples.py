"""The files of conf/examples and the sample: each is good, with advice only where it is meant, and each does what its head says, with its
addresses and files in another place."""
import json
import os
import re
import ssl
import subprocess

import fcgi_peers
import frames
import harness
import proxy_header
import tls
from harness import check, described, same
from messages import read_head, read_response, request, response

CONF = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "conf")
BYE = [("Connection", "close")]


def files(t):
    """What the examples name: a certificate, its key, an authority for clients. Returns the authority."""
    ca = tls.Authority(t.path("pki"))
    site = ca.issue("site", dns=("chat.example.com", tls.NAME))
    for name, source in [("site.crt", site["certificate"]), ("site.key", site["key"]), ("clients.pem", ca.certificate)]:
        with open(source, encoding="ascii") as text:
            t.write(name, text.read())
    os.chmod(t.path("site.key"), 0o600)
    return ca


def placed(t, name, **places):
    """The example's text with other addresses: places['9000'] stands for 127.0.0.1:9000; all others are as they are written."""
    with open(os.path.join(CONF, name), encoding="utf-8") as example:
        text = example.read().replace("/etc/upgate/", t.folder + "/")
    text = re.sub(r"0\.0\.0\.0:\d+", "127.0.0.1:0", text)
    for port, address in places.items():
        before = text
        text = re.sub(r"127\.0\.0\.1:%s\b" % port.lstrip("p"), lambda _, to=address: to, text)
        check(text != before, "%s has no server at port %s", name, port)
    return t.write("example.yaml", text)


def start(t, name, listeners=1, changes=(), **places):
    path = placed(t, name, **places)
    with open(path, encoding="utf-8") as example:
        text = example.read()
    for old, new in changes:
        check(old in text, "%s has no %s", name, old)
        text = text.replace(old, new)
    return t.start(["-c", t.write("example.yaml", text)], listeners)


def through(client, server):
    """The server's side of an upgrade; the client's answer."""
    seen = read_head(server)
    server.send(frames.switch(frames.accept_for(seen.get("Sec-WebSocket-Key"))))
    same(read_response(client).status, 101, "status")
    client.send(frames.frame(frames.TEXT, b"through"))
    same(frames.read_frame(server).payload, b"through", "payload")


def ask(conn, target="/", host="test.example", fields=(), method="GET"):
    conn.send(request(method, target, list(fields) + BYE, host=host))
    return read_response(conn, method)


def test_each_is_good(t):
    files(t)
    names = [os.path.join("examples", name) for name in sorted(os.listdir(os.path.join(CONF, "examples")))] + ["upgate.yaml"]
    check(len(names) > 6, "%r", names)
    for name in names:
        done = subprocess.run([t.binary, "-t", "-c", placed(t, name)], capture_output=True, text=True, timeout=60,
                              env=harness.sanitizer_environment(), check=False)
        same(done.returncode, 0, "exit code for %s (%s)" % (name, done.stderr))
        check("warning:" not in done.stderr, "%s: %s", name, done.stderr)


def test_behind_haproxy(t):
    app = t.app()
    gateway = start(t, "examples/behind-haproxy.yaml", p9000=app.address)
    for _ in range(2):                                   # one of the two servers is not there: the next is tried
        client = t.client(gateway).send(proxy_header.v2("203.0.113.9"))
        seen = described(ask(client))
        same({k.lower(): v for k, v in seen["fields"]}["x-forwarded-for"], "203.0.113.9", "the client")
    client = t.client(gateway).send(request())
    check(client.wait_end() in ("fin", "rst"), "without a header: %r", client.end)


def test_php_fpm(t):
    chat, php = t.backend(), fcgi_peers.peer(t, "php")
    gateway = start(t, "examples/php-fpm.yaml", p9000=chat.address,
                    changes=[("unix:/run/php/php-fpm.sock", php.address), ("/srv/www/public", php.script["root"]), ("index.php", php.script["script"]),
                             ("connections: 8", "connections: 3")])
    reply = ask(t.client(gateway), "/see")
    same((reply.status, json.loads(reply.body)["params"]["SCRIPT_FILENAME"]), (200, os.path.join(php.script["root"], php.script["script"])))
    client = t.client(gateway).send(frames.handshake(target="/ws"))
    through(client, chat.accept())


def test_pass_through(t):
    ca = files(t)
    app, vault = t.app(), t.backend()
    gateway = start(t, "examples/pass-through.yaml", p9000=app.address, changes=[("10.0.0.5:8443", vault.address)])
    conn = tls.connect(gateway.address(), tls.client_context(ca.certificate))
    t.conns.append(conn)
    same(ask(conn).status, 200, "what ends here")
    source, hello = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = tls.client_context().wrap_bio(source, hello, server_hostname="vault.example.com")
    try:
        session.do_handshake()
    except ssl.SSLWantReadError:
        said = hello.read()
    client = t.client(gateway).send(said)
    server = vault.accept()
    same(proxy_header.Header(server).source, "127.0.0.1", "the client")
    same(proxy_header.taken(server, len(said)), said, "the hello as it came")
    client.close()


def test_mtls(t):
    ca = files(t)
    app = t.app()
    gateway = start(t, "examples/mtls.yaml", p9000=app.address)
    alice = ca.issue("alice", subject="/C=DE/O=Example/CN=alice", use="clientAuth")
    bob = ca.issue("bob", subject="/C=DE/O=Example/CN=bob", use="clientAuth")

    def asked(target, pair=None):
        conn = tls.connect(gateway.address(), tls.client_context(ca.certificate, certificate=pair))
        t.conns.append(conn)
        return ask(conn, target)

    same([asked("/").status, asked("/api").status, asked("/api", bob).status, asked("/admin", bob).status], [200, 403, 200, 403], "statuses")
    fields = {k.lower(): v for k, v in described(asked("/admin", alice))["fields"]}
    same((fields["x-client-verify"], fields["x-client-subject"]), ("SUCCESS", "CN=alice,O=Example,C=DE"), "what the server is told")


def test_tls_and_websockets(t):
    ca = files(t)
    chat, site = t.backend(), t.app()
    gateway = start(t, "examples/tls-websockets.yaml", 2, p9000=chat.address, p8000=site.address)
    reply = ask(t.client(gateway, 0), "/x?y", host="chat.example.com")
    same((reply.status, reply.get("Location")), (308, "https://chat.example.com/x?y"), "in clear text")

    def connect():
        conn = tls.connect(gateway.address(1), tls.client_context(ca.certificate))
        t.conns.append(conn)
        return conn

    reply = ask(connect(), "/old?x=1", host="chat.example.com")
    same((reply.status, reply.get("Location")), (302, "https://www.example.com/old?x=1"), "moved")
    same(ask(connect(), "/robots.txt").body, b"User-agent: *\nDisallow: /\n", "robots.txt")
    same(ask(connect(), "/page").status, 200, "status")
    conn = connect()
    conn.send(frames.handshake(target="/ws", host="chat.example.com", fields=[("Origin", "https://chat.example.com")]))
    through(conn, chat.accept())
    conn = connect()
    conn.send(frames.handshake(target="/ws", host="chat.example.com", fields=[("Origin", "https://evil.example")]))
    same(read_response(conn).status, 403, "another page")


def test_forward_auth(t):
    def decide(seen):
        if seen.get("Cookie") == "session=good":
            return response(204, b"", [("X-User", "ann")])
        return response(302, b"", [("Location", "/login")])

    login, app = t.app(decide), t.app()
    gateway = start(t, "examples/forward-auth.yaml", p7000=login.address, p9000=app.address)
    same(ask(t.client(gateway), "/x").get("Location"), "/login", "a stranger")
    seen = described(ask(t.client(gateway), "/x", fields=[("Cookie", "session=good"), ("X-User", "root")]))
    same([v for k, v in seen["fields"] if k.lower() == "x-user"], ["ann"], "X-User")
