"""Who is let in by his address: at a listener before a byte is read, at a route with 403; a forged field changes no decision."""
import frames
from harness import check, same
from messages import read_response, request, response

FORGED = [("X-Forwarded-For", "127.0.0.5"), ("X-Real-IP", "127.0.0.5"), ("Forwarded", "for=127.0.0.5"), ("True-Client-IP", "127.0.0.5"),
          ("X_Forwarded_For", "127.0.0.5")]


def started(t, backend, listener=None, route=None):
    return t.gateway(listeners=[dict({"address": "0.0.0.0:0"}, **(listener or {}))],
                     upstreams={"app": {"servers": [{"address": backend.address}]}},
                     routes=[dict({"match": {"path": "/in"}, "upstream": "app"}, **(route or {})), {"upstream": "app"}])


def status(t, gateway, source, target="/in", fields=()):
    client = t.client(gateway, source=source)
    client.send(request(target=target, fields=list(fields) + [("Connection", "close")]))
    reply = read_response(client)
    client.close()
    return reply.status


def test_a_listener_closes_before_http(t):
    app = t.app()
    gateway = started(t, app, {"allow": ["127.0.0.0/29"], "deny": ["127.0.0.2"]})
    for source, good in [("127.0.0.1", True), ("127.0.0.2", False), ("127.0.0.7", True), ("127.0.0.8", False)]:
        if good:
            same(status(t, gateway, source), 200, source)
            continue
        client = t.client(gateway, source=source)
        check(client.wait_end() in ("fin", "rst"), "not closed")
        same(client.count_received, 0, "bytes sent to a client that is not let in")
    gateway.wait(lambda: [line for line in gateway.stderr_lines if "127.0.0.8" in line and "not let in" in line],
                 what="a line about the client that is not let in")


def test_a_route_answers_403(t):
    app = t.app()
    gateway = started(t, app, route={"allow": ["127.0.0.1", "127.0.0.3"], "deny": ["127.0.0.3"]})
    for source, due in [("127.0.0.1", 200), ("127.0.0.2", 403), ("127.0.0.3", 403)]:
        same(status(t, gateway, source), due, source)
        same(status(t, gateway, source, "/out"), 200, "another route for " + source)
    record = gateway.wait_record(status=403)
    same((record["end"], record["target"]), ("denied", "/in"), "the log")


def test_forged_fields_change_nothing(t):
    seen = []
    app = t.app(lambda r: seen.append(r) or response())
    gateway = started(t, app, route={"allow": ["127.0.0.5"]})
    same(status(t, gateway, "127.0.0.1", fields=FORGED), 403, "status of a forger")
    same(seen, [], "requests at the server")
    gateway = started(t, app, route={"deny": ["127.0.0.1"]})
    same(status(t, gateway, "127.0.0.1", fields=FORGED), 403, "status of a forger")


def test_an_upgrade_is_denied_before_the_backend_hears_of_it(t):
    backend = t.backend()
    gateway = started(t, backend, route={"deny": ["127.0.0.0/8"]})
    client = t.client(gateway)
    client.send(frames.handshake(target="/in") + b"early bytes")
    reply = read_response(client)
    same((reply.status, reply.get("Connection")), (403, "close"), "answer")
    same(backend.waiting(), [], "connections at the backend")


def test_the_client_of_a_proxy_header_is_judged_not_the_hop(t):
    app = t.app()
    gateway = started(t, app, {"trusted": ["127.0.0.1"], "proxy_protocol": "require", "allow": ["192.0.2.0/24"]},
                      {"deny": ["192.0.2.9"]})
    for client_address, due in [("192.0.2.1", 200), ("192.0.2.9", 403), ("198.51.100.1", None)]:
        client = t.client(gateway)
        client.send(b"PROXY TCP4 %s 10.0.0.1 4000 80\r\n" % client_address.encode() +
                    request(target="/in", fields=FORGED + [("Connection", "close")]))
        if due:
            same(read_response(client).status, due, client_address)
        else:
            check(client.wait_end() in ("fin", "rst"), "not closed")
            same(client.count_received, 0, "bytes sent to a client that is not let in")
