"""A path's prefix taken off, and another put in front: what the server is asked for; no way around."""
import frames
from harness import same
from messages import read_head, read_response, request, response


def started(t, backend, path, match="/app"):
    return t.gateway(upstreams={"app": {"servers": [{"address": backend.address}]}},
                     routes=[{"match": {"path": match}, "path": path, "upstream": "app"}])


def targets(t, path, rows, match="/app"):
    app = t.app(lambda seen: response(200, seen.target.encode("latin-1")))
    gateway = started(t, app, path, match)
    for target, due in rows:
        client = t.client(gateway).send(request(target=target, fields=[("Connection", "close")]))
        reply = read_response(client)
        same(reply.body.decode("latin-1") if reply.status == 200 else reply.status, due, target)
        client.close()
    same(gateway.wait_record(target=rows[0][0])["target"], rows[0][0], "the log has the target as it came")


def test_strip(t):
    targets(t, {"strip": "/app"}, [
        ("/app/x?y=/app", "/x?y=/app"), ("/app", "/"), ("/app?q", "/?q"), ("/app/%41%2e;p/./y", "/%41%2e;p/./y"),
        ("http://test.example/app/z", "/z"), ("/%61pp/x", "/x"), ("/app/x/../y", "/x/../y"), ("/apple", 404)])


def test_strip_is_no_way_around(t):
    targets(t, {"strip": "/app"}, [
        ("/app/../app/secret", 400), ("/app/x/../../app/y", 400), ("/app//evil.example/", 400), ("//app/x", 400), ("/./app/x", 400),
        ("/app;x/y", 400), ("/app/..", 404), ("/app%2f..", 400), ("/app/%2e%2e/x", 404)])


def test_replace(t):
    targets(t, {"strip": "/app", "prepend": "/v1"}, [("/app/x", "/v1/x"), ("/app", "/v1"), ("/app/?q", "/v1/?q")])
    targets(t, {"prepend": "/v1"}, [("/x", "/v1/x"), ("/", "/v1/")], match="/")


def test_upgrades(t):
    backend = t.backend()
    client = t.client(started(t, backend, {"strip": "/app"}))
    client.send(frames.handshake(target="/app/ws?a=b"))
    server = backend.accept()
    seen = read_head(server)
    same(seen.target, "/ws?a=b", "target")
    server.send(frames.switch(frames.accept_for(seen.get("Sec-WebSocket-Key"))))
    same(read_response(client).status, 101, "status")
