"""Health checks: servers that are killed and revived under traffic, and what of it clients and other servers notice; every kind of check
against a server of its kind."""
import os
import subprocess
import sys
import time

import frames
from harness import check, merged, same                  # before tls, which it needs
import tls
from endpoints import Reader, echo, expect_close
from fcgi_peers import peer
from messages import read_head, read_request, read_response, request, response
from wire import Listener, wait_until

HEALTH = {"interval": "100ms", "timeout": "2s", "rise": 1, "fall": 2}


def serve(port, name):
    """In a process of its own: WebSockets that echo, and GETs that are answered with a name."""
    def run(conn):
        while True:
            head = read_head(conn, 600)
            if head is None:
                return
            key = head.get("Sec-WebSocket-Key")
            if key is None:
                conn.send(response(200, name.encode()))
                continue
            conn.send(frames.switch(frames.accept_for(key), [("X-Server", name)]))
            echo(conn, True)
            return

    listener = Listener(port=port, revived=True).serve(run)
    print("listening at", listener.address, flush=True)
    sys.stdin.read()                                     # until the test has gone


class Process:
    """A server that can be killed, and revived at the same port."""

    def __init__(self, t, name):
        self.name, self.port = name, t.free_port()
        t.on_exit(self.kill)
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), str(self.port), self.name],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=os.path.dirname(os.path.abspath(__file__)))
        self.process.stdout.readline()

    def kill(self):
        self.process.kill()
        self.process.wait(20)
        self.process.stdin.close()
        self.process.stdout.close()

    @property
    def server(self):
        return {"address": "127.0.0.1:%d" % self.port, "id": self.name}


def fleet(t, names, health, **upstream):
    servers = [Process(t, name) for name in names]
    app = merged({"servers": [s.server for s in servers], "health": merged(HEALTH, health)}, upstream)
    gateway = t.gateway(workers=2, upstreams={"app": app}, routes=[{"upstream": "app"}])
    for s in servers:
        wait_said(gateway, "server %s: up, by its first check" % s.name)
    return gateway, servers


def wait_said(gateway, text, times=1):
    gateway.wait(lambda: gateway.said(text) >= times, what=lambda: "%r; there is %r" % (text, gateway.stderr_lines[-8:]))


def opened(t, gateway):
    """A tunnel: (client, its server's name)."""
    client = t.client(gateway).send(frames.handshake())
    reply = read_response(client)
    same(reply.status, 101, "status")
    return client, reply.get("X-Server")


def echoed(client, text=b"still here"):
    client.send(frames.frame(1, text))
    same(Reader(client, False).event()[:2], ("text", text), "what came back")


def test_servers_are_killed_and_revived_under_traffic(t):
    """Of three servers one is killed: its tunnels end, and nothing else does. Whoever comes is served by the others, by all workers, and by
    the third again when it is back. Nobody is refused meanwhile."""
    gateway, servers = fleet(t, ["one", "two", "three"], {"websocket": "/check"}, balance="least_busy")
    tunnels = [opened(t, gateway) for _ in range(12)]
    same(sorted(name for _, name in tunnels), sorted(["one", "two", "three"] * 4), "servers of tunnels")
    servers[0].kill()
    for client, name in tunnels:
        if name == "one":
            expect_close(Reader(client, False), (1011, 1014))
            client.close()
    gateway.wait(lambda: sum(r.get("server") == "one" and "closed_by" in r for r in gateway.records) == 4, what="the records of four tunnels")
    wait_said(gateway, "server one: down, by its check: ")
    lost = [t.exchange(gateway).status for _ in range(12)]
    same(set(lost), {200}, "statuses while one is down")
    dials_before = gateway.said("server one: the server could not be reached")
    more = [opened(t, gateway) for _ in range(8)]
    same({name for _, name in more}, {"two", "three"}, "servers of new tunnels")
    same(gateway.said("server one: the server could not be reached"), dials_before, "attempts at a server that is known to be down")
    servers[0].start()
    wait_said(gateway, "server one: up again, by its check")
    back = [opened(t, gateway)[1] for _ in range(6)]
    same(set(back), {"one"}, "servers of tunnels when the least busy one is back")
    for client, name in tunnels + more:
        if name != "one":
            echoed(client)


def test_all_are_down(t):
    """Then it is 503, at once, and not the time of a connection that nobody takes; the first who is back serves."""
    gateway, servers = fleet(t, ["one", "two"], {"http": "/"})
    for s in servers:
        s.kill()
    wait_said(gateway, "upstream app: no server is left: requests are answered 503")
    begun = time.monotonic()
    replies = [t.exchange(gateway) for _ in range(4)]
    same({r.status for r in replies}, {503}, "statuses")
    check(time.monotonic() - begun < 20, "refused slowly")
    gateway.wait_record(status=503, end="no_server")
    servers[1].start()
    wait_said(gateway, "server two: up again, by its check")
    same(t.exchange(gateway).body, b"two", "who answered")


def test_a_reload_keeps_what_is_known_and_changes_how_it_is_asked(t):
    gateway, servers = fleet(t, ["one", "two"], {"http": "/"})
    servers[0].kill()
    wait_said(gateway, "server one: down, by its check: ")
    app = {"servers": [s.server for s in servers], "health": merged(HEALTH, {"http": "/"})}
    config = t.config(workers=2, upstreams={"app": app}, routes=[{"upstream": "app"}])
    gateway.reload(config)
    same(gateway.said("server one: down, by its check: "), 1, "times that it went down")
    same({t.exchange(gateway).body for _ in range(4)}, {b"two"}, "who answered")
    app["health"]["status"] = 204                        # which no server gives
    gateway.reload(t.config(workers=2, upstreams={"app": app}, routes=[{"upstream": "app"}]))
    wait_said(gateway, "server two: down, by its check: it answered 200")
    del app["health"]
    gateway.reload(t.config(workers=2, upstreams={"app": app}, routes=[{"upstream": "app"}]))
    same(t.exchange(gateway).body, b"two", "who answered")


def test_one_check_per_server_however_many_workers(t):
    """… and the gateway asks as a client would: over a connection that begins with a PROXY header, which speaks for nobody. The server takes
    longer than three intervals to answer each: as long as it has not answered the one, there is to be no other."""
    interval, seen, open_now, most = 0.1, [], set(), []
    backend = t.backend()

    def run(conn):
        if not conn.read_until(b"\r\n", 600).startswith(b"PROXY UNKNOWN"):
            return
        asked = read_request(conn, 600)
        if asked is None:
            return
        open_now.add(conn)
        most.append(len(open_now))
        time.sleep(3.5 * interval)
        open_now.remove(conn)
        seen.append(asked.target)
        conn.send(response(200, b"well"))

    backend.serve(run)
    health = {"http": "/up", "interval": "%dms" % (1000 * interval), "timeout": "5m"}
    gateway = t.simple(backend, workers=4, upstream={"health": health, "send_proxy": "v1"})
    wait_said(gateway, "up, by its first check")
    wait_until(lambda: len(seen) >= 4, 60, "four checks")
    same(set(seen), {"/up"}, "targets")
    same(max(most), 1, "checks at once")


def test_over_tls_it_is_verified(t):
    """As requests are: a server that serves, but cannot prove who it is, is down."""
    good, other = tls.Authority(t.path("pki")), tls.Authority(t.path("other"))

    def serving(authority):
        context = tls.server_context(authority.issue("server"))

        def run(conn):
            try:
                secure = tls.TlsConn(conn.sock, context, server=True)
            except OSError:                              # the gateway goes away: it does not trust this one
                return
            while read_request(secure, 600) is not None:
                secure.send(response(200, b"well"))

        return t.backend().serve(run)

    one, two = serving(good), serving(other)
    servers = [{"address": one.address, "id": "one"}, {"address": two.address, "id": "two"}]
    app = {"servers": servers, "tls": {"ca": good.certificate, "server_name": tls.NAME}, "health": merged(HEALTH, {"http": "/"})}
    gateway = t.gateway(workers=2, upstreams={"app": app}, routes=[{"upstream": "app"}])
    wait_said(gateway, "server one: up, by its first check")
    wait_said(gateway, "server two: down, by its check: the TLS handshake failed: ")
    same({t.exchange(gateway).body for _ in range(4)}, {b"well"}, "who answered")


def fastcgi(t, name, check_as):
    """What the first check of an application of interop/fcgi finds."""
    started = peer(t, name)
    app = {"protocol": "fastcgi", "servers": [{"address": started.address, "id": "one"}], "health": merged(HEALTH, {"fastcgi": check_as})}
    if started.script:
        app["fastcgi"] = started.script
    gateway = t.gateway(upstreams={"app": app}, routes=[{"upstream": "app"}])
    gateway.wait(lambda: gateway.said("by its first check") or gateway.said("down, by its check"), what="the first result")
    return [line for line in gateway.stderr_lines if "by its" in line][0]


def test_fastcgi_php(t):
    """PHP-FPM answers FCGI_GET_VALUES; a script that is not there is a 404 of its own."""
    check("up, by its first check" in fastcgi(t, "php", "values"), "not up")
    line = fastcgi(t, "php", "/none.php")
    check("down, by its check: it answered 404" in line, "%s", line)


def test_fastcgi_libfcgi(t):
    """It keeps the answer to FCGI_GET_VALUES to itself: a path has to be asked for."""
    check("up, by its first check" in fastcgi(t, "libfcgi", "/see"), "not up")


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
