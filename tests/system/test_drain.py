"""A drain of very many tunnels at once: the curve of their Close frames, as their clients see it."""
import http.client
import resource
import select
import socket
import time

import admin
import frames
import wire
from harness import check, same

SPREAD_S = 6.0


class Crowd:
    """Very many tunnels, both ends of each, in one epoll: a client that answers Closes, a server that upgrades and answers Closes."""

    HANDSHAKE = frames.handshake()
    SWITCH = frames.switch()
    CLIENT_CLOSE = frames.frame(frames.CLOSE, frames.close_payload(1000))
    SERVER_CLOSE = frames.frame(frames.CLOSE, frames.close_payload(1000), mask=False)

    def __init__(self):
        self.poll = select.epoll()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1024)
        self.listener.setblocking(False)
        self.poll.register(self.listener, select.EPOLLIN)
        self.clients, self.servers, self.got = {}, {}, {}
        self.open, self.closes, self.over = 0, [], 0

    def address(self):
        return "127.0.0.1:%d" % self.listener.getsockname()[1]

    def close(self):
        for sock in list(self.clients.values()) + list(self.servers.values()) + [self.listener]:
            sock.close()
        self.poll.close()

    def add(self, sock, to):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        to[sock.fileno()] = sock
        self.got[sock.fileno()] = b""
        self.poll.register(sock, select.EPOLLIN)

    def begin(self, address):
        sock = socket.create_connection(address)
        sock.sendall(self.HANDSHAKE)
        self.add(sock, self.clients)

    def turn(self, seconds):
        for fd, _ in self.poll.poll(seconds):
            if fd == self.listener.fileno():
                self.accept()
            elif fd in self.clients:
                self.read(fd, self.clients, self.client_said)
            else:
                self.read(fd, self.servers, self.server_said)

    def accept(self):
        try:
            for _ in range(100):
                self.add(self.listener.accept()[0], self.servers)
        except BlockingIOError:
            pass

    def read(self, fd, among, said):
        sock = among[fd]
        try:
            data = sock.recv(4096)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self.poll.unregister(fd)
            self.over += among is self.clients
            del among[fd]
            sock.close()
            return
        self.got[fd] += data
        said(fd, sock)

    def server_said(self, fd, sock):
        if self.got[fd].endswith(b"\r\n\r\n"):
            sock.sendall(self.SWITCH)
            self.got[fd] = b""
        elif self.got[fd][:1] == b"\x88":
            self.answer(sock, self.SERVER_CLOSE)

    def client_said(self, fd, sock):
        got = self.got[fd]
        if got.startswith(b"HTTP/1.1 101") and got.endswith(b"\r\n\r\n"):
            self.open += 1
            self.got[fd] = b""
        elif got[:1] == b"\x88" and len(got) >= 4:
            self.closes.append((time.monotonic(), int.from_bytes(got[2:4], "big")))
            self.answer(sock, self.CLIENT_CLOSE)

    @staticmethod
    def answer(sock, data):
        try:
            sock.sendall(data)
        except ConnectionError:
            pass

    def gather(self, address, count):
        limit = time.monotonic() + 6 * wire.DEADLINE
        begun = 0
        while self.open < count:
            check(time.monotonic() < limit, "only %d of %d tunnels are open", self.open, count)
            while begun < count and begun - self.open < 200:
                self.begin(address)
                begun += 1
            self.turn(0.1)


def most_in_a_second(times):
    most, first = 0, 0
    for i, at in enumerate(times):
        while at - times[first] > 1.0:
            first += 1
        most = max(most, i - first + 1)
    return most


def plain(gateway, method, target):
    """Without select(), which knows no descriptor beyond 1023."""
    conn = http.client.HTTPConnection(*admin.address(gateway), timeout=4 * wire.DEADLINE)
    conn.request(method, target)
    reply = conn.getresponse()
    check(reply.status in (200, 202), "%s: %d", target, reply.status)
    text = reply.read().decode()
    conn.close()
    return text


def test_thousands_of_tunnels_are_told_evenly(t):
    t.needs_speed()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(5000 if t.sanitizer == "none" else 1500, (hard - 500) // 2)
    crowd = Crowd()
    t.on_exit(crowd.close)
    gateway = t.simple(crowd.address(), admin={"address": "127.0.0.1:0"}, workers=2, upstream={"keepalive": "off"},
                       timeouts={"drain": "%ds" % (SPREAD_S * 10 * wire.SLOWNESS), "drain_spread": "%dms" % (SPREAD_S * 1000)})
    crowd.gather(gateway.address(), count)
    same(plain(gateway, "GET", "/metrics").split("\nupgate_tunnels_open ")[1].split("\n")[0], str(count), "tunnels open")
    plain(gateway, "POST", "/drain")
    gateway.ending = True
    begun = time.monotonic()
    while crowd.over < count:
        check(time.monotonic() < begun + SPREAD_S + 4 * wire.DEADLINE, "only %d of %d have ended", crowd.over, count)
        crowd.turn(0.1)
    times = [at - begun for at, _ in crowd.closes]
    same({code for _, code in crowd.closes}, {1012}, "codes")
    same(len(times), count, "Close frames")
    check(times[-1] < SPREAD_S + wire.DEADLINE / 2, "the last one after %.1f s", times[-1])
    most, even = most_in_a_second(times), count / SPREAD_S
    check(most <= 2 * even, "%d Close frames in one second; even would be %.0f", most, even)
    check(times[count // 2] > SPREAD_S / 3, "half of them by %.1f s", times[count // 2])
    same(gateway.wait_exit(), 0, "exit code")
    same([r["end"] for r in gateway.records if r["kind"] == "tunnel"], ["drained"] * count, "ends")


def test_a_part_is_drained(t):
    one, other = t.backend(), t.backend()
    gateway = t.gateway(admin={"address": "127.0.0.1:0"}, upstreams={"one": {"servers": [one.address]}, "other": {"servers": [other.address]}},
                        routes=[{"match": {"path": "/one"}, "upstream": "one"}, {"match": {"path": "/"}, "upstream": "other"}], workers=2,
                        timeouts={"drain_spread": "1s"})
    conns = {}
    for backend, target in [(one, "/one"), (other, "/other")]:
        conns[target] = []
        for _ in range(12):
            client = t.client(gateway)
            client.send(frames.handshake(target))
            server = backend.accept()
            server.read_until(b"\r\n\r\n")
            server.send(frames.switch())
            client.read_until(b"\r\n\r\n")
            conns[target].append((client, server))
    part = admin.ask_json(t, gateway, "/drain?upstream=one&fraction=0.5&spread=100ms", method="POST", status=202)
    check(part["matched"] == 12 and 4 <= part["drained"] <= 8, "%r", part)
    told = admin.until(lambda: [c for c, _ in conns["/one"] if c.poll()[:1] == b"\x88"][part["drained"] - 1:], "their Closes")
    same(len(told), 1, "more than the part")
    rest = admin.ask_json(t, gateway, "/drain?server=%s&spread=0s" % one.address, method="POST", status=202)
    same(rest["matched"], 12, "of that server")              # those that are told already are still there
    admin.until(lambda: all(c.poll()[:1] == b"\x88" for c, _ in conns["/one"]), "all Closes of one")
    for client, server in conns["/other"]:                   # and of the other none
        client.send(frames.frame(frames.TEXT, b"still here"))
        same(frames.read_frame(server).payload, b"still here", "a message")
        check(not client.poll(), "the client got something")
    for wrong in ["fraction=0", "fraction=1.1", "fraction=x", "fraction=.", "fraction=0.", "spread=5", "older=", "upstream=", "fraction=0.0000001"]:
        admin.ask(t, gateway, "/drain?" + wrong, "POST", status=400)
    admin.ask(t, gateway, "/readyz")
    t.upgrade(gateway, other)                                # the gateway itself does not drain
