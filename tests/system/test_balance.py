"""Many servers, and how much each may have: caps and queues over two workers, placement that every gateway agrees on, servers in reserve."""
import threading
import time

import frames
from harness import check, in_thread, same
from messages import read_head, read_request, read_response, request, response
from test_upstream import closed_port


class Counted:
    """A backend that counts the requests that it has at once."""

    def __init__(self, t, answer=b"ok"):
        self.lock = threading.Lock()
        self.now = self.most = self.served = 0
        self.answer = answer
        self.backend = t.backend().serve(self.run)

    def run(self, conn):
        while read_request(conn, 600) is not None:
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(0.005)                            # so that they meet
            with self.lock:
                self.now -= 1
                self.served += 1
            conn.send(response(200, self.answer))


def test_a_cap_holds_over_all_workers(t):
    """Twenty clients at once, on two workers, with two places: nobody is refused, and the server never has three."""
    app = Counted(t)
    gateway = t.simple(app.backend, workers=2, upstream={"connections": 2, "queue_timeout": "60s"})

    def ask():
        client = t.client(gateway)
        for _ in range(5):
            client.send(request())
            same(read_response(client).status, 200, "status")
        client.close()

    for thread in [in_thread(ask) for _ in range(20)]:
        thread.finish()
    same(app.served, 100, "requests served")
    check(app.most <= 2, "the server had %d requests at once", app.most)


def test_tunnels_and_idle_connections_share_the_places(t):
    """A kept connection gives way to an upgrade, which keeps the place; when the tunnel ends, who waits is next."""
    backend = t.backend()
    gateway = t.simple(backend, workers=2, upstream={"connections": 1, "queue_timeout": "60s"})
    client = t.client(gateway).send(request())
    kept = backend.accept()
    read_request(kept)
    kept.send(response(200, b"kept"))
    same(read_response(client).status, 200, "status")
    tunnel = t.client(gateway).send(frames.handshake())
    server = backend.accept()
    kept.wait_end()
    server.send(frames.switch(frames.accept_for(read_head(server).get("Sec-WebSocket-Key"))))
    same(read_response(tunnel).status, 101, "status")
    client.send(request(target="/next"))
    server.close()
    tunnel.close()
    last = backend.accept()
    same(read_request(last).target, "/next", "target")
    last.send(response(200, b"next"))
    same(read_response(client).status, 200, "status")


def test_a_queue_that_is_full_and_one_that_is_slow(t):
    backend = t.backend()
    gateway = t.simple(backend, workers=2, upstream={"connections": 1, "queue": 1, "queue_timeout": "1s"})
    first = t.client(gateway).send(request())
    server = backend.accept()
    read_request(server)
    second = t.client(gateway).send(request())
    third = t.client(gateway).send(request())
    replies = [read_response(c) for c in (second, third)]        # one is refused at once, the other when its time is over
    same([r.status for r in replies], [503, 503], "statuses")
    check(all(r.get("Retry-After") for r in replies), "no Retry-After")
    gateway.wait_record(status=503, end="queue_full")
    gateway.wait_record(status=503, end="queue_timeout")
    server.send(response(200, b"ok"))
    same(read_response(first).status, 200, "status")


def test_gateways_of_a_fleet_agree(t):
    """Two gateways that know nothing of each other, whose servers are written in another order, place every key alike."""
    apps = [Counted(t, b"app%d" % i) for i in range(3)]
    options = {"upstream": {"balance": "hash", "hash": "header:X-User"}}
    fleet = [t.simple(*[a.backend for a in apps], **options), t.simple(*[a.backend for a in reversed(apps)], **options)]
    used = set()
    for user in range(12):
        ask = request(fields=[("X-User", "user%d" % user), ("Connection", "close")])
        bodies = {t.exchange(gateway, ask).body for gateway in fleet for _ in range(2)}
        same(len(bodies), 1, "servers of one user")
        used |= bodies
    check(len(used) > 1, "all users at one server")


def test_reserve_and_drain(t):
    backup, drained = Counted(t, b"backup"), Counted(t, b"drained")
    holder, refusing = closed_port()
    servers = [{"address": refusing}, {"address": backup.backend.address, "backup": True}, {"address": drained.backend.address, "drain": True}]
    gateway = t.gateway(upstreams={"app": {"servers": servers}}, routes=[{"upstream": "app"}])
    for _ in range(3):
        same(t.exchange(gateway).body, b"backup", "who answered")
    same(drained.served, 0, "requests to the server that drains")
    holder.close()
