"""Host names that stand for several servers, looked up again while running: a hosts file of the test's own, in a mount namespace."""
import os
import shutil
import subprocess

import frames
from harness import Skip, check, same
from messages import read_head, read_request, read_response, request, response
from wire import Listener

LOOPBACK = ["127.0.0.%d" % i for i in range(1, 5)]


class Numbered:
    """The same port at several addresses of this machine, each with a server that tells its own."""

    def __init__(self, t, addresses):
        first = Listener(host=addresses[0])
        self.port = first.port
        self.listeners = [first] + [Listener(host=a, port=self.port) for a in addresses[1:]]
        for address, listener in zip(addresses, self.listeners):
            t.listeners.append(listener)
            listener.serve(lambda conn, address=address: self.run(conn, address))

    def run(self, conn, address):
        while True:
            head = read_head(conn, 600)
            if head is None:
                return
            key = head.get("Sec-WebSocket-Key")
            if key is None:
                conn.send(response(200, address.encode()))
                continue
            conn.send(frames.switch(frames.accept_for(key), [("X-Server", address)]))
            got = frames.read_frame(conn, 600)           # it says where it is, once
            if got is not None:
                conn.send(frames.frame(1, address.encode(), mask=False))


class Names:
    """A gateway that sees this hosts file as /etc/hosts."""

    def __init__(self, t, hosts, upstream):
        if os.geteuid() != 0 or shutil.which("unshare") is None:
            raise Skip("a mount namespace of our own needs root and unshare")
        self.path = t.write("hosts", "")
        self.write(hosts)
        probe = ["unshare", "-m", "sh", "-c", "mount --bind '%s' /etc/hosts" % self.path]
        if subprocess.run(probe, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60).returncode != 0:
            raise Skip("no mount namespace can be had here")
        wrapper = t.write("upgate.sh", "#!/bin/sh\nexec unshare -m sh -c 'mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"' sh '%s' '%s' \"$@\"\n"
                          % (self.path, os.path.abspath(t.binary)))
        os.chmod(wrapper, 0o755)
        t.binary = wrapper
        self.gateway = t.gateway(workers=2, upstreams={"app": upstream}, routes=[{"upstream": "app"}])

    def write(self, addresses):
        """In place: what is mounted is the file."""
        with open(self.path, "w", encoding="ascii") as out:
            out.write("".join("%s app.test\n" % a for a in addresses))

    def wait_servers(self, n):
        text = "the name app.test stands for %d server%s now" % (n, "s" if n > 1 else "")
        self.gateway.wait(lambda: self.gateway.said(text), what=lambda: "%r; there is %r" % (text, self.gateway.stderr_lines[-5:]))


def who_answers(t, gateway, times=12):
    return {t.exchange(gateway).body.decode() for _ in range(times)}


def test_each_address_is_a_server(t):
    """Two addresses, then three, then others; a tunnel to one that is not told any more goes on; a name that is lost keeps what it had."""
    app = Numbered(t, LOOPBACK)
    names = Names(t, LOOPBACK[:2], {"servers": ["app.test:%d" % app.port], "resolve": "200ms",
                                    "health": {"http": "/", "interval": "200ms", "timeout": "5s"}})
    gateway = names.gateway
    names.wait_servers(2)
    same(who_answers(t, gateway), set(LOOPBACK[:2]), "who answers")
    tunnels = {}
    for _ in range(8):
        client = t.client(gateway).send(frames.handshake())
        reply = read_response(client)
        same(reply.status, 101, "status")
        tunnels[reply.get("X-Server")] = client
    same(set(tunnels), set(LOOPBACK[:2]), "servers of tunnels")
    names.write(LOOPBACK[1:])
    names.wait_servers(3)
    same(who_answers(t, gateway), set(LOOPBACK[1:]), "who answers")
    names.write([])                                      # it cannot be looked up any more
    gateway.wait(lambda: gateway.said("the name app.test cannot be resolved now"), what="the name's being lost")
    same(who_answers(t, gateway), set(LOOPBACK[1:]), "who answers")
    for address, client in tunnels.items():
        client.send(frames.frame(1, b"where?"))
        same(frames.read_frame(client).payload, address.encode(), "what came through the tunnel")
    check(gateway.said("server %s:%d: up, by its first check" % (LOOPBACK[3], app.port)) == 1, "a server of a name is not checked")
