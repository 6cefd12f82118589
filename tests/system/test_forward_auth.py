"""Forward authentication with servers of their own: HTTP or FastCGI decides; nothing but a yes reaches the application."""
import fcgi
import frames
from harness import check, same, wait_until
from messages import read_head, read_request, read_response, request, response


def started(t, app, login, **auth):
    return t.gateway(upstreams={"app": {"servers": [{"address": app.address}]}, "login": {"servers": [{"address": login.address}]}},
                     routes=[{"match": {"path": "/in"}, "upstream": "app",
                              "auth": {"forward": dict({"upstream": "login", "path": "/check", "pass": ["X-User"], "timeout": "5s"}, **auth)}},
                             {"match": {"path": "/login"}, "upstream": "login"}])


def decide(seen):
    """An application's login: a cookie is good, a page to log in at otherwise, and the API gets no page."""
    if seen.get("Cookie") == "session=good":
        return response(200, b"", [("X-User", "ann")])
    if seen.get("X-Forwarded-Uri").startswith("/in/api"):
        return response(401, b"who are you", [("WWW-Authenticate", "Bearer")])
    return response(302, b"", [("Location", "/login?to=" + seen.get("X-Forwarded-Uri"))])


def test_requests(t):
    asked, seen = [], []
    login = t.app(lambda r: asked.append(r) or decide(r))
    app = t.app(lambda r: seen.append(r) or response(200, b"welcome"))
    gateway = started(t, app, login)
    client = t.client(gateway)
    client.send(request("POST", "/in/x?y", body=b"secret"))
    reply = read_response(client)
    same((reply.status, reply.get("Location"), reply.get("Connection")), (302, "/login?to=/in/x?y", "close"), "a stranger's page")
    client = t.client(gateway).send(request(target="/in/api/x", fields=[("X-User", "root")]))
    reply = read_response(client)
    same((reply.status, reply.get("WWW-Authenticate"), reply.body), (401, "Bearer", b"who are you"), "a stranger's call")
    same(seen, [], "requests at the application")
    client.send(request("POST", "/in/x", [("Cookie", "session=good"), ("X-User", "root"), ("x_user", "root")], b"secret"))
    same(read_response(client).body, b"welcome", "a friend's page")
    same((seen[0].all("X-User"), seen[0].get("x_user"), seen[0].body), (["ann"], None, b"secret"), "what the application saw")
    same([(r.method, r.target, r.get("X-Forwarded-Method"), r.body) for r in asked],
         [("GET", "/check", "POST", b""), ("GET", "/check", "GET", b""), ("GET", "/check", "POST", b"")], "what was asked")
    check(gateway.wait_record(status=302)["end"] == "auth_refused", "the log")


def test_upgrades(t):
    backend = t.backend()
    gateway = started(t, backend, t.app(decide))
    client = t.client(gateway).send(frames.handshake(target="/in/api/ws") + b"early")
    same(read_response(client).status, 401, "a stranger's upgrade")
    same(client.wait_end(), "fin", "end")
    same(backend.waiting(), [], "connections at the application")
    client = t.client(gateway).send(frames.handshake(target="/in/api/ws", fields=[("Cookie", "session=good"), ("X-User", "root")]))
    server = backend.accept()
    seen = read_head(server)
    same(seen.all("X-User"), ["ann"], "X-User")
    server.send(frames.switch(frames.accept_for(seen.get("Sec-WebSocket-Key"))))
    same(read_response(client).status, 101, "status")
    client.send(frames.frame(frames.TEXT, b"through"))
    same(frames.read_frame(server).payload, b"through", "payload")


def test_the_body_waits(t):
    login, app = t.backend(), t.backend()
    gateway = started(t, app, login)
    client = t.client(gateway).send(request("POST", "/in", [("Content-Length", "300000")]) + b"x" * 1000)
    asked = login.accept()
    read_request(asked)
    same(app.waiting(), [], "connections at the application")
    asked.send(response(200, b""))
    seen = app.accept()
    client.send(b"x" * 299000)
    same(len(read_request(seen).body), 300000, "body")
    seen.send(response())
    same(read_response(client).status, 200, "status")


def test_fails_closed(t):
    app, login = t.backend(), t.backend()
    gateway = started(t, app, login, timeout="300ms")
    client = t.client(gateway).send(request(target="/in"))
    login.accept()
    same(read_response(client).status, 504, "nobody answered")
    client = t.client(started(t, app, login)).send(request(target="/in"))
    asked = login.accept()
    read_request(asked)
    asked.send(response(500, b"x"))
    same(read_response(client).status, 502, "neither yes nor no")
    login.close()
    client.send(request(target="/in"))
    same(read_response(client).status, 502, "nobody is there")
    same(app.waiting(), [], "connections at the application")


def test_an_asker_that_goes_away(t):
    app, login = t.backend(), t.backend()
    gateway = started(t, app, login)
    client = t.client(gateway).send(request(target="/in"))
    asked = login.accept()
    read_request(asked)
    client.reset()
    same(asked.wait_end(), "fin", "the question's connection")
    wait_until(lambda: any(r["end"] == "client_aborted" for r in gateway.records), what="the record")
    same(app.waiting(), [], "connections at the application")


def serve_fastcgi(conn, handle):
    server = fcgi.Server(conn)
    while (asked := server.request()) is not None:
        conn.send(handle(asked))
        if not asked.keep:
            return


def test_fastcgi_decides_and_fastcgi_is_told(t):
    asked, seen = [], []

    def login(r):
        asked.append(r)
        good = r.params.get("HTTP_COOKIE") == "session=good"
        return fcgi.answer(b"no", b"Status: 200\r\nContent-Type: text/plain\r\nX-User: ann\r\n\r\n" if good else b"Status: 401\r\nWWW-Authenticate: Bearer\r\nContent-Type: text/plain\r\n\r\n")

    def app(r):
        seen.append(r)
        return fcgi.answer(b"welcome")
    backends = [t.backend().serve(lambda conn, handle=handle: serve_fastcgi(conn, handle)) for handle in (login, app)]
    gateway = t.gateway(upstreams={name: {"protocol": "fastcgi", "servers": [{"address": b.address}], "fastcgi": {}}
                                   for name, b in zip(("login", "app"), backends)},
                        routes=[{"upstream": "app", "auth": {"forward": {"upstream": "login", "path": "/check", "pass": ["X-User"]}},
                                 "headers": {"request": {"set": {"X-Env": "prod"}}}}])
    reply = t.exchange(gateway, request(target="/a?b", fields=[("X-User", "root"), ("Connection", "close")]))
    same((reply.status, reply.get("WWW-Authenticate"), reply.body), (401, "Bearer", b"no"), "a stranger's answer")
    same(seen, [], "requests at the application")
    same([asked[0].params.get(name) for name in ("REQUEST_METHOD", "REQUEST_URI", "HTTP_X_FORWARDED_METHOD", "HTTP_X_FORWARDED_URI")],
         ["GET", "/check", "GET", "/a?b"], "what was asked")
    reply = t.exchange(gateway, request("POST", "/a", [("Cookie", "session=good"), ("X-User", "root"), ("Connection", "close")], b"body"))
    same(reply.body, b"welcome", "a friend's answer")
    same((seen[0].params.get("HTTP_X_USER"), seen[0].params.get("HTTP_X_ENV"), seen[0].body), ("ann", "prod", b"body"), "what it saw")
