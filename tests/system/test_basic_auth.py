"""Basic authentication from a password file: who gets in, what the application is told, and that nobody waits while passwords are checked."""
import base64
import shutil
import subprocess

import fcgi
import frames
from harness import Skip, check, same
from messages import read_head, read_response, request, response


def hashed(user, password, cost=4):
    if not shutil.which("htpasswd"):
        raise Skip("htpasswd (apache2-utils) is not installed")
    line = subprocess.run(["htpasswd", "-nbB", "-C", str(cost), user, password], check=True, capture_output=True, text=True).stdout
    return line.strip() + "\n"


def credentials(user, password):
    return "Authorization", "Basic " + base64.b64encode(("%s:%s" % (user, password)).encode()).decode()


def started(t, app, users, auth=None, upstream=None, **route):
    path = t.write("passwords", users)
    servers = dict({"servers": [{"address": app.address}]}, **(upstream or {}))
    return t.gateway(upstreams={"app": servers},
                     routes=[dict({"match": {"path": "/in"}, "upstream": "app", "auth": {"basic": dict({"file": path}, **(auth or {}))}}, **route),
                             {"upstream": "app"}])


def test_names_and_passwords(t):
    seen = []
    app = t.app(lambda r: seen.append(r) or response(200, b"welcome"))
    gateway = started(t, app, "# staff\n" + hashed("ann", "se:cret") + hashed("zo\u00eb", "p\u00e4ss"), {"realm": 'the "old" gate', "user_field": "X-User"})
    client = t.client(gateway)
    for fields in [[], [credentials("ann", "wrong")], [credentials("bob", "se:cret")], [("Authorization", "Bearer x")],
                   [("Authorization", "Basic")], [("Authorization", "Basic !!!")], [("Authorization", "Basic " + base64.b64encode(b"ann").decode())],
                   [credentials("ann", "se:cret"), credentials("ann", "se:cret")], [credentials("ann", "se:cret\0x")],
                   [credentials("", "")]]:
        client.send(request(target="/in", fields=fields + [("X-User", "ann")]))
        reply = read_response(client)
        same((reply.status, reply.get("WWW-Authenticate")), (401, 'Basic realm="the \\"old\\" gate", charset="UTF-8"'), repr(fields))
    same(seen, [], "requests at the application")
    for user, password in [("ann", "se:cret"), ("zo\u00eb", "p\u00e4ss"), ("ann", "se:cret")]:
        client.send(request("POST", "/in", [credentials(user, password), ("X-User", "root"), ("x_user", "root")], b"body"))
        same(read_response(client).status, 200, user)
        same((seen[-1].all("X-User"), seen[-1].get("x_user"), seen[-1].body), ([user.encode().decode("latin-1")], None, b"body"), "told")
    same(gateway.wait_record(status=200)["user"], "ann", "the log")
    same(gateway.wait_record(status=401).get("user"), None, "the log of a stranger")
    client.send(request(target="/out"))
    same(read_response(client).status, 200, "a route without")


def test_upgrades(t):
    backend = t.backend()
    gateway = started(t, backend, hashed("ann", "secret"))
    client = t.client(gateway).send(frames.handshake(target="/in/ws") + b"early")
    same(read_response(client).status, 401, "a stranger")
    same(client.wait_end(), "fin", "end")
    same(backend.waiting(), [], "connections at the backend")
    client = t.client(gateway).send(frames.handshake(target="/in/ws", fields=[credentials("ann", "secret")]))
    server = backend.accept()
    seen = read_head(server)
    server.send(frames.switch(frames.accept_for(seen.get("Sec-WebSocket-Key"))))
    same(read_response(client).status, 101, "status")
    client.close()
    server.close()
    same(gateway.wait_record(kind="tunnel")["user"], "ann", "the tunnel's record")


def test_fastcgi_is_told_the_user(t):
    seen = []

    def serve(conn):
        server = fcgi.Server(conn)
        while (asked := server.request()) is not None:
            seen.append(asked)
            conn.send(fcgi.answer())
    backend = t.backend().serve(serve)
    gateway = started(t, backend, hashed("ann", "secret"), upstream={"protocol": "fastcgi", "fastcgi": {}})
    forged = [("Remote-User", "root"), ("Auth-Type", "x"), ("Connection", "close")]
    same(t.exchange(gateway, request(target="/in", fields=[credentials("ann", "secret")] + forged)).status, 200, "status")
    same((seen[0].params["REMOTE_USER"], seen[0].params["AUTH_TYPE"]), ("ann", "Basic"), "told")
    same(t.exchange(gateway, request(target="/out", fields=[credentials("root", "x")] + forged)).status, 200, "status")
    check("REMOTE_USER" not in seen[1].params and "AUTH_TYPE" not in seen[1].params, "a forged user")


def test_nobody_waits_for_a_password(t):
    """While costly hashes are checked, one behind the other, others are served, and so is whoever was right once."""
    t.needs_speed()
    gateway = started(t, t.app(), hashed("ann", "secret") + hashed("bob", "secret", 9))
    known, other = t.client(gateway), t.client(gateway)
    known.send(request(target="/in", fields=[credentials("ann", "secret")]))
    same(read_response(known).status, 200, "the first time")
    waiting = [t.client(gateway).send(request(target="/in", fields=[credentials("bob", "guess %d" % i)])) for i in range(16)]
    for _ in range(10):
        known.send(request(target="/in", fields=[credentials("ann", "secret")]))
        same(read_response(known).status, 200, "known")
        other.send(request(target="/out"))
        same(read_response(other).status, 200, "a route without")
    check(waiting[-1].poll() == b"", "sixteen costly checks were over before 20 requests that need none")
    same(read_response(waiting[0]).status, 401, "the first guess")


def test_clients_that_go_while_they_are_checked(t):
    """One while its password is checked, the others while they wait for their turn; how many were checked before they went is left open."""
    app = t.app()
    gateway = started(t, app, hashed("ann", "secret", 9))
    clients = [t.client(gateway).send(request(target="/in", fields=[credentials("ann", "guess %d" % i)])) for i in range(16)]
    same(t.exchange(gateway, request(target="/out", fields=[("Connection", "close")])).status, 200, "status")    # they have been read
    for client in clients:
        client.reset()
    gateway.wait(lambda: sum(r["target"] == "/in" for r in gateway.records) == 16, what="sixteen records")
    aborted = sum(r["end"] == "client_aborted" for r in gateway.records)
    check(aborted >= 4, "%d of them went before they were answered", aborted)


def test_a_bad_file_stops_the_start(t):
    path = t.write("bad", "ann:secret\n")
    gateway = t.gateway(_wait=False, upstreams={"app": {"servers": ["127.0.0.1:1"]}},
                        routes=[{"upstream": "app", "auth": {"basic": {"file": path}}}])
    gateway.ending = True
    same(gateway.wait_exit(), 1, "exit code")
    check(any("weak, cut, or of an unknown kind" in line for line in gateway.stderr_lines), "said: %s", gateway.stderr_lines)


def test_the_user_is_told_beside_what_is_told_of_tls(t):
    """Fields about TLS stand in front of the user's: neither may push the other out, and no client can write either."""
    seen = []
    app = t.app(lambda r: seen.append(r) or response())
    path = t.write("passwords", hashed("ann", "secret"))
    gateway = t.gateway(upstreams={"app": {"servers": [{"address": app.address}]}}, forwarded={"tls_fields": {"X-TLS-Version": "version"}},
                        routes=[{"upstream": "app", "auth": {"basic": {"file": path, "user_field": "X-User"}},
                                 "headers": {"request": {"set": {"X-Env": "prod"}}}}])
    forged = [("X-User", "root"), ("X_User", "root"), ("X-TLS-Version", "TLSv1.3"), ("X-Env", "evil"), ("Connection", "close")]
    same(t.exchange(gateway, request(fields=[credentials("ann", "secret")] + forged)).status, 200, "status")
    same([seen[0].all(name) for name in ("X-User", "X_User", "X-TLS-Version", "X-Env")], [["ann"], [], [], ["prod"]], "told")
