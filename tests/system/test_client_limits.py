"""What one client may take: connections, handshakes, requests; counted by client, over all workers, tunnels included."""
import frames
from endpoints import closing
from harness import check, same, serve_requests, wait_until
from messages import read_response, request, response


def limited(t, backend, **limits):
    return t.gateway(workers=2, limits=limits, listeners=[{"address": "0.0.0.0:0"}],
                     upstreams={"app": {"servers": [{"address": backend.address}]}}, routes=[{"upstream": "app"}])


def is_refused(t, gateway, source=None):
    """Whether a further connection is closed without a byte."""
    client = t.client(gateway, source=source)
    client.send(request())
    ended = not client.wait_for(lambda data: b"\r\n\r\n" in data, ended_ok=True)
    if ended:
        same(client.count_received, 0, "bytes to a client that is over its limit")
    client.close()
    return ended


def test_connections_of_one_client(t):
    gateway = limited(t, t.app(), connections_per_client=3)
    kept = []
    for _ in range(3):
        client = t.client(gateway)
        client.send(request())
        same(read_response(client).status, 200, "status")
        kept.append(client)
    for _ in range(5):
        check(is_refused(t, gateway), "a fourth connection was served")
    check(not is_refused(t, gateway, source="127.0.0.2"), "another client was refused")
    kept.pop().close()
    wait_free(t, gateway)
    gateway.wait(lambda: [line for line in gateway.stderr_lines if "as many connections open as it may" in line], what="a line about it")


def wait_free(t, gateway):
    """A connection that the client closed is counted until the gateway has seen it: soon there is room again."""
    wait_until(lambda: not is_refused(t, gateway), what="room for a connection")


def test_a_tunnel_counts_until_it_ends(t):
    backend = t.backend()
    gateway = limited(t, backend, connections_per_client=1)
    client, server = t.upgrade(gateway, backend)
    check(is_refused(t, gateway), "a second connection was served beside the tunnel")
    backend.serve(lambda conn: answer_all(conn))
    closing(client, server)
    wait_free(t, gateway)


def answer_all(conn):
    serve_requests(conn, lambda seen: response())


def upgrade_status(t, gateway, source=None):
    client = t.client(gateway, source=source)
    client.send(frames.handshake())
    reply = read_response(client)
    client.close()
    return reply


def test_handshakes_of_one_client(t):
    backend = t.backend().serve(refuse_upgrades)
    gateway = limited(t, backend, handshakes_per_client="3/h")
    same([upgrade_status(t, gateway).status for _ in range(5)], [400, 400, 400, 429, 429], "statuses")
    reply = upgrade_status(t, gateway)
    check(600 < int(reply.get("Retry-After")) <= 1200, "Retry-After: %s", reply.get("Retry-After"))
    same(upgrade_status(t, gateway, "127.0.0.2").status, 400, "another client")
    same(t.exchange(gateway).status, 400, "a plain request of the same client")
    same(gateway.wait_record(status=429)["end"], "client_handshakes", "the log")


def refuse_upgrades(conn):
    serve_requests(conn, lambda seen: response(400, b"no"))


def test_requests_of_one_client(t):
    gateway = limited(t, t.app(), requests_per_client="4/h")
    client = t.client(gateway)
    statuses = []
    for i in range(6):
        client.send(request(fields=[("X-Forwarded-For", "192.0.2.%d" % i)]))
        statuses.append(read_response(client).status)
    same(statuses, [200] * 4 + [429] * 2, "statuses")
    check(client.is_open(), "the connection was not kept")
    same(t.exchange(gateway).status, 429, "on another connection")


def test_the_client_of_a_proxy_header_is_limited_not_the_hop(t):
    app = t.app()
    gateway = t.gateway(limits={"connections_per_client": 1, "requests_per_client": "1/h"},
                        listeners=[{"address": "127.0.0.1:0", "trusted": ["127.0.0.1"], "proxy_protocol": "require"}],
                        upstreams={"app": {"servers": [{"address": app.address}]}}, routes=[{"upstream": "app"}])
    clients = []
    for number in range(1, 5):
        clients.append(t.client(gateway).send(b"PROXY TCP4 192.0.2.%d 10.0.0.1 4000 80\r\n" % number + request()))
        same(read_response(clients[-1]).status, 200, "status of client %d" % number)
    again = t.client(gateway).send(b"PROXY TCP4 192.0.2.1 10.0.0.1 4001 80\r\n" + request())
    check(again.wait_end() in ("fin", "rst") and again.count_received == 0, "a second connection of one client")
