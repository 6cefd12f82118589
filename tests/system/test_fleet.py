"""A fleet in network namespaces: HAProxy and nginx in front, with PROXY headers and with fields; three gateways behind them, which share a key
file and nothing else; servers behind those that speak WebSocket, HTTP and FastCGI.

    client .10 … .19 ── haproxy .20 ─┬─ gateways .31 .32 .33 ── servers .41 .42 .43, later .44
                        nginx   .21 ─┘

Placements agree through all of it, before and after a server is added; no log, no rule and no server takes an address that a client made up for
the client's (to the left of the real one in X-Forwarded-For, nginx passes it on);
when a server, a gateway or a link dies, what is lost is what was inside the dead part, and the clients come back to where they were.
"""
import json
import os
import queue
import signal
import sys
import threading
import time

import frames
from harness import Gateway, check, in_thread, same, yaml
from messages import read_response, request
from namespaces import Hub
from test_programs import Program
from test_proxy_peers import PATHS, STREAM_MODULE
from tls_peers import need
from wire import DEADLINE, Late, connect, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
HAPROXY, NGINX = "10.77.0.20", "10.77.0.21"
DENIED = "10.77.0.19"
CLIENTS = ["10.77.0.%d" % n for n in range(10, 19)]
SPOOFED = [("X-Forwarded-For", "6.6.6.6, " + CLIENTS[1]), ("Forwarded", "for=6.6.6.6"), ("X-Real-IP", "6.6.6.6"), ("True-Client-IP", "6.6.6.6")]

HAPROXY_TEXT = """global
    nosplice
defaults
    timeout connect 1s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
    retries 2
    option redispatch 1
    default-server inter 300 fall 2 rise 1 on-marked-down shutdown-sessions
listen v2
    mode tcp
    bind %(own)s:8001
%(proxied2)s
listen v1
    mode tcp
    bind %(own)s:8002
%(proxied1)s
listen fields
    mode http
    bind %(own)s:8003
    http-request del-header X-Forwarded-For
    option forwardfor
%(fields)s
"""
NGINX_STREAM = """load_module %(module)s;
stream {
    upstream gateways { %(proxied)s }
    server { listen %(own)s:8004; proxy_pass gateways; proxy_protocol on; proxy_connect_timeout 1s; proxy_timeout 1h; }
}
"""
NGINX_HTTP = """daemon off; master_process off; pid %(folder)s/pid; error_log stderr crit;
events { worker_connections 1000; }
http {
    access_log off;
    client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy; fastcgi_temp_path %(folder)s/fcgi;
    uwsgi_temp_path %(folder)s/uwsgi; scgi_temp_path %(folder)s/scgi;
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    upstream gateways { %(fields)s }
    server {
        listen %(own)s:8005;
        location / {
            proxy_pass http://gateways; proxy_http_version 1.1; proxy_connect_timeout 1s; proxy_read_timeout 1h;
            proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
        }
    }
}
"""
HAS_STREAM = os.access(STREAM_MODULE, os.R_OK)
DOORS = [(HAPROXY, 8001), (HAPROXY, 8002), (HAPROXY, 8003), (NGINX, 8005)] + [(NGINX, 8004)] * HAS_STREAM


class Box:
    """A node with a program on it that can be killed and started again."""

    def __init__(self, t, hub, number, start):
        self.t, self.node, self.start = t, hub.node(number), start
        self.program = start(self)

    def kill(self):
        self.program.process.send_signal(signal.SIGKILL)
        self.program.process.wait(30)
        if self.program in self.t.gateways:
            self.t.gateways.remove(self.program)         # it could not do what is asked of one that ends
            for reader in self.program.readers:
                reader.join(10)

    def revive(self):
        self.program = self.start(self)


def start_server(box):
    number = box.node.address.rpartition(".")[2]
    program = Program(box.t, box.node.command([sys.executable, os.path.join(HERE, "fleet_server.py"), "s" + number, box.node.address, "9000",
                                               "9001"]))
    same(program.line().strip(), "listening", "what the server says")
    return program


def start_gateway(box):
    path = box.t.write("gateway-%s.yaml" % box.node.address, yaml(gateway_conf(box.t, box.node.address, box.servers)))
    program = Gateway("nsenter", box.node.command([box.t.binary, "-c", path])[1:], box.t.sanitizer)
    program.path = path
    box.t.gateways.append(program)
    return program.wait_listening(2)


class GatewayBox(Box):
    servers = 3


def gateway_conf(t, own, servers):
    def upstream(port, **keys):
        return dict({"servers": ["10.77.0.4%d:%d" % (i + 1, port) for i in range(servers)], "eject": {"failures": 2, "for": "1s"}}, **keys)

    def route(path, to):
        websocket = {} if to == "app" else {"websocket": {"ping_interval": "3s"}}
        return {"match": {"path": path}, "upstream": to, "deny": [DENIED + "/32"], **websocket,
                "headers": {"request": {"remove": ["X-Real-IP", "True-Client-IP", "Forwarded"]}, "response": {"set": {"X-Gateway": own}}}}
    key = t.path("sticky.key")
    return {
        "workers": 2,
        "timeouts": {"connect": "1s", "drain": "0s", "drain_spread": "0s"},
        "listeners": [{"address": own + ":8001", "proxy_protocol": "require", "trusted": [HAPROXY, NGINX]},
                      {"address": own + ":8002", "trusted": [HAPROXY, NGINX]}],
        "upstreams": {"hash": upstream(9000, balance="hash"), "sticky": upstream(9000, sticky={"key_file": key, "cookie": "s"}),
                      "app": upstream(9001, protocol="fastcgi", sticky={"key_file": key, "cookie": "f"})},
        "routes": [route("/hash", "hash"), route("/sticky", "sticky"), route("/app", "app")],
    }


def start_haproxy(t, node):
    def servers(port, options):
        return "\n".join("    server g%d 10.77.0.%d:%d check %s" % (n, n, port, options) for n in (31, 32, 33))
    text = HAPROXY_TEXT % {"own": node.address, "proxied2": servers(8001, "check-send-proxy send-proxy-v2"),
                           "proxied1": servers(8001, "check-send-proxy send-proxy"), "fields": servers(8002, "")}
    return Program(t, node.command(["haproxy", "-db", "-q", "-f", t.write("haproxy.cfg", text)]), env=PATHS)


def start_nginx(t, node):
    def servers(port):
        return " ".join("server 10.77.0.%d:%d max_fails=1 fail_timeout=1s;" % (n, port) for n in (31, 32, 33))
    folder = t.path("nginx")
    os.makedirs(folder, exist_ok=True)
    text = (NGINX_STREAM if HAS_STREAM else "") + NGINX_HTTP
    text %= {"own": node.address, "folder": folder, "module": STREAM_MODULE, "proxied": servers(8001), "fields": servers(8002)}
    return Program(t, node.command(["nginx", "-e", "stderr", "-p", folder, "-c", t.write("nginx.conf", text)]), env=PATHS)


class Tunnel:
    """A WebSocket through a door; told by which gateway and to which server. A thread answers Pings."""

    def __init__(self, fleet, door, source):
        self.fleet, self.door, self.source, self.cookie = fleet, door, source, None
        self.open()

    def open(self):
        conn = self.fleet.connect(self.door, self.source)
        conn.send(frames.handshake("/sticky", fields=[("Cookie", self.cookie)] if self.cookie else []))
        reply = read_response(conn)
        if reply is None or reply.status != 101:
            raise ConnectionError("the answer is %s" % (reply and reply.status))
        self.conn, self.gateway, self.server = conn, reply.get("X-Gateway"), reply.get("X-Server")
        if reply.get("Set-Cookie"):
            self.cookie = reply.get("Set-Cookie").split(";")[0]
        self.texts, self.ended = queue.Queue(), threading.Event()
        threading.Thread(target=self.read, args=(conn, self.texts, self.ended), daemon=True).start()

    @staticmethod
    def read(conn, texts, ended):
        try:
            while (got := frames.read_frame(conn, 3600)) is not None and got.opcode != frames.CLOSE:
                if got.opcode == frames.PING:
                    conn.send(frames.frame(frames.PONG, got.payload))
                else:
                    texts.put(got.payload)
        except (OSError, EOFError, ValueError, Late):
            pass                                         # it is cut
        ended.set()

    def echoes(self):
        text = os.urandom(8).hex().encode()
        try:
            self.conn.send(frames.frame(frames.TEXT, text))
            return not self.ended.is_set() and self.texts.get(timeout=DEADLINE) == text
        except (OSError, queue.Empty):
            return False

    def __str__(self):
        return "%s:%d of %s by %s to %s" % (self.door + (self.source, self.gateway, self.server))

    def reopen(self):
        """Until it is open again."""
        def again():
            try:
                self.open()
            except (OSError, EOFError, Late):
                return False
            return True
        self.conn.close()
        wait_until(again, 30, what="a tunnel again through %s:%d" % self.door)


class Fleet:
    def __init__(self, t):
        need("haproxy", "nginx")
        self.t, self.hub = t, Hub()
        self.clients = self.hub.node(*range(10, 20))
        with open(t.path("sticky.key"), "w", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
            out.write("%s\n" % os.urandom(32).hex())
        self.servers = {"s%d" % n: Box(t, self.hub, n, start_server) for n in (41, 42, 43)}
        self.gateways = {"10.77.0.%d" % n: GatewayBox(t, self.hub, n, start_gateway) for n in (31, 32, 33)}
        start_haproxy(t, self.hub.node(20))
        start_nginx(t, self.hub.node(21))
        for door in DOORS:
            wait_until(lambda d=door: self.answers(d), 30, what="an answer through %s:%d" % door)

    def connect(self, door, source):
        with self.clients.inside():
            conn = connect(door, source=source)
        self.t.conns.append(conn)
        return conn

    def answers(self, door):
        try:
            return self.ask(door, "/hash").status == 200
        except (OSError, AttributeError):
            return False

    def ask(self, door, target, source=CLIENTS[0], fields=()):
        conn = self.connect(door, source)
        conn.send(request(target=target, fields=list(fields) + [("Connection", "close")]))
        reply = read_response(conn)
        conn.close()
        return reply

    def gateway_behind(self, door):
        """The next one; None: no answer, as long as the load balancer finds its way."""
        try:
            return self.ask(door, "/hash").get("X-Gateway")
        except (OSError, AttributeError):
            return None

    def place(self, door, target, source=CLIENTS[0], fields=()):
        """The server, as JSON, and the cookie that came with its answer (None: none)."""
        reply = self.ask(door, target, source, fields)
        same(reply.status, 200, "status through %s:%d" % door)
        cookie = reply.get("Set-Cookie")
        return json.loads(reply.body), cookie and cookie.split(";")[0]


# The parts of the test, in order.

def nobody_is_somebody_else(fleet):
    for door in DOORS:
        for target in ("/hash", "/app"):
            told, _ = fleet.place(door, target, CLIENTS[0], SPOOFED)
            same(told["real"], None if target == "/hash" else CLIENTS[0], "X-Real-IP or REMOTE_ADDR through %s:%d" % door)
            if target == "/app":
                continue
            chain = told["forwarded"].split(", ")
            chain = chain[:-1] if door[1] in (8003, 8005) else chain     # the hop itself stands last
            same(chain[-1], CLIENTS[0], "who is in front of the hop, in X-Forwarded-For through %s:%d" % door)
            check(len(chain) == 1 or door[1] == 8005, "what a client wrote came through %s:%d: %r", *door, told)
        same(fleet.ask(door, "/hash", DENIED, SPOOFED).status, 403, "status of who is denied, under another's name")
        same(fleet.ask(door, "/hash", CLIENTS[0], [("X-Forwarded-For", DENIED)]).status, 200, "status under the name of who is denied")


def placements(fleet):
    """The server of each client by hash, the same through every door and gateway."""
    found = {}
    for source in CLIENTS:
        servers = {fleet.place(door, "/hash", source)[0]["server"] for door in DOORS}
        same(len(servers), 1, "servers of one client")
        found[source] = servers.pop()
    return found


def stays(fleet, target, cookies):
    """Each cookie leads to its server, through every door, over HTTP and FastCGI."""
    for cookie, server in cookies.items():
        for door in DOORS:
            told, given = fleet.place(door, target, fields=[("Cookie", "a=1; " + cookie)])
            same((told["server"], given, told["cookie"]), (server, None, "a=1"), "server, new cookie, what it saw through %s:%d" % door)


def cookies_of(fleet, target, count):
    found = {}
    for i in range(count):
        told, cookie = fleet.place(DOORS[i % len(DOORS)], target)
        found[cookie] = told["server"]
    return found


def grow(fleet):
    """A fourth server; the gateways hear of it one after the other."""
    fleet.servers["s44"] = Box(fleet.t, fleet.hub, 44, start_server)
    for box in fleet.gateways.values():
        box.servers = 4
        box.program.reload(gateway_conf(fleet.t, box.node.address, 4))


def strike(tunnels, what, hurt, act, seen=True):
    """act(), which may end those that hurt(tunnel) names and nobody else; then the lost ones come back. How many there were, and how long that
    took. seen: the clients are told, in time, that they are cut off."""
    inside = [x for x in tunnels if hurt(x)]
    check(inside and len(inside) < len(tunnels), "%s: %d of %d tunnels are inside", what, len(inside), len(tunnels))
    def come_back(tunnel):
        check(not seen or tunnel.ended.wait(DEADLINE), "%s: a tunnel hangs", what)
        tunnel.reopen()

    begun = time.monotonic()
    act()
    for thread in [in_thread(come_back, x) for x in inside]:
        thread.finish()
    took = time.monotonic() - begun
    outside = [x for x in tunnels if x not in inside]
    same([str(x) for x in outside if not x.echoes()], [], "%s: what was lost outside of it" % what)
    same([str(x) for x in inside if not x.echoes()], [], "%s: what came back and does not answer" % what)
    return "%s: %d of %d tunnels lost, back in %.1f s" % (what, len(inside), len(tunnels), took)


def test_what_dies_and_what_does_not(t):
    t.needs_speed()
    fleet = Fleet(t)
    nobody_is_somebody_else(fleet)

    before = placements(fleet)
    check(len(set(before.values())) > 1, "all clients at one server")
    kept = {target: cookies_of(fleet, target, 3) for target in ("/sticky", "/app")}
    for target, cookies in kept.items():
        stays(fleet, target, cookies)
    tunnels = [Tunnel(fleet, DOORS[i % len(DOORS)], CLIENTS[i % len(CLIENTS)]) for i in range(20)]
    grow(fleet)
    for source, server in placements(fleet).items():
        check(server in (before[source], "s44"), "%s went from %s to %s", source, before[source], server)
    for target, cookies in kept.items():
        stays(fleet, target, cookies)
    check(all(x.echoes() for x in tunnels), "a tunnel was lost by a reload")

    report = []
    victim = tunnels[0].server
    report.append(strike(tunnels, "a server is killed", lambda x: x.server == victim, fleet.servers[victim].kill))
    check(all(x.server != victim for x in tunnels), "a tunnel leads to a dead server")
    fleet.servers[victim].revive()
    wait_until(lambda: victim in {fleet.place(d, "/sticky")[0]["server"] for d in DOORS}, 30, what="the server in use again")

    victim = tunnels[0].server
    report.append(strike(tunnels, "a server's link is cut", lambda x: x.server == victim, fleet.servers[victim].node.cut))
    fleet.servers[victim].node.mend()
    wait_until(lambda: victim in {fleet.place(d, "/sticky")[0]["server"] for d in DOORS}, 30, what="the server in use again")

    places = {x: x.server for x in tunnels}
    victim = tunnels[0].gateway
    report.append(strike(tunnels, "a gateway is killed", lambda x: x.gateway == victim, fleet.gateways[victim].kill))
    same({x: x.server for x in tunnels}, places, "servers of the tunnels behind another gateway")
    fleet.gateways[victim].revive()
    for door in DOORS:
        wait_until(lambda d=door: fleet.gateway_behind(d) == victim, 30, what="the gateway behind %s:%d again" % door)

    victim = tunnels[1].gateway
    report.append(strike(tunnels, "a gateway's link is cut", lambda x: x.gateway == victim, fleet.gateways[victim].node.cut, False))
    same({x: x.server for x in tunnels}, places, "servers of the tunnels behind another gateway")
    fleet.gateways[victim].node.mend()

    for box in fleet.gateways.values():
        clients = {r["client"].partition(":")[0] for r in box.program.records if "client" in r}
        check(clients <= set(CLIENTS) | {DENIED, HAPROXY}, "in the log of %s: %r", box.node.address, clients)
        check("6.6.6.6" not in json.dumps(box.program.records) and not box.program.said("6.6.6.6"), "a made-up address is in a log")
    print("fleet: " + "; ".join(report), flush=True)
