"""Fields that the operator sets, adds and removes: what the server and the client see, on requests, upgrades and trailers."""
import frames
from harness import check, described, same
from messages import chunked, read_head, read_request, read_response, request, response

ROUTE = {"match": {"path": "/"}, "upstream": "app",
         "headers": {"request": {"set": {"X-Env": "prod", "X-Forwarded-Proto": "https"}, "add": {"X-List": "b"},
                                 "remove": ["Cookie", "X-Secret"]},
                     "response": {"set": {"X-Served-By": "gate", "Cache-Control": "no-store"}, "add": {"Link": "</b>"},
                                  "remove": ["Server"]}}}
EVIL = [("X-Env", "evil"), ("x_env", "evil"), ("X.ENV", "evil"), ("X-List", "a"), ("Cookie", "a=1"), ("X_Secret", "1"),
        ("Connection", "X-Env, X-Served-By")]


def started(t, backend):
    return t.gateway(upstreams={"app": {"servers": [{"address": backend.address}]}}, routes=[ROUTE])


def due(head):
    same(head.all("X-Env"), ["prod"], "X-Env")
    same(head.all("X-Forwarded-Proto"), ["https"], "X-Forwarded-Proto")
    same(head.all("X-List"), ["a", "b"], "X-List")
    for name in ("Cookie", "X-Secret", "x_env", "X.ENV", "X_Secret"):
        check(not head.has(name), "%s reached the server", name)


def due_reply(reply):
    same(reply.all("X-Served-By"), ["gate"], "X-Served-By")
    same(reply.all("Cache-Control"), ["no-store"], "Cache-Control")
    check(not reply.has("Server"), "Server reached the client")


def test_requests_and_responses(t):
    seen = []
    app = t.app(lambda r: seen.append(r) or response(200, b"x", [("Server", "s"), ("x-served-by", "s"), ("Link", "</a>"),
                                                              ("Cache-Control", "public")]))
    gateway = started(t, app)
    reply = t.exchange(gateway, request(fields=EVIL))
    due(seen[0].head)
    due_reply(reply)
    same(reply.all("Link"), ["</a>", "</b>"], "Link")


def test_upgrades(t):
    backend = t.backend()
    client, server = t.client(started(t, backend)), None
    client.send(frames.handshake(fields=[f for f in EVIL if f[0] != "Connection"]))
    server = backend.accept()
    seen = read_head(server)
    due(seen)
    server.send(frames.switch(frames.accept_for(seen.get("Sec-WebSocket-Key")), [("Server", "s"), ("X-Served-By", "s")]))
    reply = read_response(client)
    same(reply.status, 101, "status")
    due_reply(reply)
    client.send(frames.frame(frames.TEXT, b"through"))
    same(frames.read_frame(server).payload, b"through", "payload")


def test_trailers_are_no_way_round(t):
    backend = t.backend()
    client = t.client(started(t, backend))
    client.send(request("POST", fields=[("Transfer-Encoding", "chunked"), ("TE", "trailers")]) +
                chunked(b"abc", trailers=[(b"X-Env", b"evil"), (b"X_Secret", b"1"), (b"X-Sum", b"7")]))
    seen = read_request(backend.accept())
    same(seen.trailers, [("X-Sum", "7")], "trailers")


def test_own_answers_stay_as_they_are(t):
    app = t.app()
    gateway = t.gateway(upstreams={"app": {"servers": [{"address": app.address}]}}, routes=[dict(ROUTE, match={"path": "/x"})])
    reply = t.exchange(gateway, request(target="/y", fields=[("Connection", "close")]))
    same(reply.status, 404, "status")
    check(not reply.has("X-Served-By"), "a field of a route that was not taken")
    same(described(t.exchange(gateway, request(target="/x", fields=[("Connection", "close")])))["target"], "/x", "target")
