"""Sticky cookies: one key file and several gateways, over requests and upgrades, FastCGI and a change of keys."""
import base64
import os
import subprocess

import frames
from harness import check, same
from messages import read_head, read_response, request, response


def key(t, *keys):
    path = t.write("sticky.key", "".join(k + "\n" for k in keys))
    os.chmod(path, 0o600)
    return path


def new_key(seed):
    return base64.b64encode(bytes((seed + 7 * i) % 256 for i in range(32))).decode()


def named(t, name):
    """A server that says who it is, and what Cookie field it saw; upgrades, too."""
    def answer(seen):
        return response(200, name.encode(), [("X-Saw", seen.get("Cookie") or "none")])
    return t.app(answer)


def fleet(t, gateways, servers, path, **sticky):
    upstream = {"sticky": dict({"key_file": path, "cookie": "s"}, **sticky)}
    return [t.simple(*servers, upstream=upstream, workers=2) for _ in range(gateways)]


def ask(t, gateway, cookie=None):
    """Who answered, the cookie that came with it (None: none), what the server saw."""
    fields = [("Connection", "close")] + ([("Cookie", "a=1; s=%s; b=2" % cookie)] if cookie is not None else [])
    reply = t.exchange(gateway, request(fields=fields))
    same(reply.status, 200, "status")
    given = reply.get("Set-Cookie")
    return reply.body.decode(), given and given.split(";")[0].split("=", 1)[1], reply.get("X-Saw")


def test_a_fleet_shares_nothing_but_the_keys(t):
    servers = [named(t, "server%d" % i) for i in range(3)]
    path = key(t, new_key(1))
    gateways = fleet(t, 3, servers, path)
    clients = [ask(t, gateways[i % 3]) for i in range(12)]      # four each: however its workers share them, all servers have a turn
    same(len({who for who, _, _ in clients}), 3, "servers that are used")
    for who, cookie, saw in clients:
        same(saw, "none", "cookies that came to the server")
        for gateway in gateways:
            same(ask(t, gateway, cookie), (who, None, "a=1; b=2"), "who answered, a new cookie, what came to the server")


def open_tunnel(t, gateway, backend, fields=()):
    """The head that came to the server, and the answer that the client got."""
    client = t.client(gateway).send(frames.handshake(fields=fields))
    server = backend.accept()
    seen = read_head(server)
    server.send(frames.switch(frames.accept_for(seen.get("Sec-WebSocket-Key"))))
    reply = read_response(client)
    same(reply.status, 101, "status")
    return seen, reply


def test_the_101_has_it_too(t):
    backend = t.backend()
    one, two = fleet(t, 2, [backend], key(t, new_key(1)), max_age="1h")
    _, reply = open_tunnel(t, one, backend)
    cookie, attributes = reply.get("Set-Cookie").split(";", 1)
    secure = " Secure;" if t.scheme == "https" else ""
    same(attributes, " Path=/; HttpOnly; SameSite=Lax;%s Max-Age=3600" % secure, "attributes")
    seen, reply = open_tunnel(t, two, backend, [("Cookie", cookie)])
    same((seen.get("Cookie"), reply.get("Set-Cookie")), (None, None), "the cookie that the server sees, and a new one")


def test_keys_are_changed_without_losing_a_client(t):
    servers = [named(t, "server%d" % i) for i in range(3)]
    old, new = new_key(1), new_key(2)
    path = key(t, old)
    gateway, = fleet(t, 1, servers, path)
    with open(gateway.path, encoding="utf-8") as file:
        config = file.read()
    who, cookie, _ = ask(t, gateway)
    for keys in ([old, new], [new, old]):
        key(t, *keys)
        gateway.reload(config)
        for _ in range(3):
            same(ask(t, gateway, cookie)[:2], (who, None), "who answered, with a new cookie")
    fresh = ask(t, gateway)
    key(t, new)
    gateway.reload(config)
    same(ask(t, gateway, fresh[1])[:2], (fresh[0], None), "who answered the cookie of the new key")
    check(ask(t, gateway, cookie)[1] is not None, "the old key's cookie is still good")
    key(t, "no key")
    gateway.reload(config, good=False)
    check(gateway.said("line 1 is no key"), "the log does not say what is wrong")
    same(ask(t, gateway, fresh[1])[:2], (fresh[0], None), "who answered after a reload that failed")


def test_a_dead_servers_clients_move(t):
    servers = [named(t, "server%d" % i) for i in range(2)]
    path = key(t, new_key(1))
    gateway, = fleet(t, 1, servers, path)
    who, cookie, _ = ask(t, gateway)
    servers[int(who[-1])].close()
    other, moved, _ = ask(t, gateway, cookie)
    check(other != who and moved is not None, "served by %s with cookie %s", other, moved)
    same(ask(t, gateway, moved)[:2], (other, None), "who answered then")


def test_a_server_that_drains_keeps_its_clients(t):
    """A reload begins to drain it: who has a cookie stays, nobody else comes; another reload takes it out, and they move."""
    servers = [named(t, "server%d" % i) for i in range(2)]
    sticky = {"key_file": key(t, new_key(1)), "cookie": "s"}

    def config(*entries):
        return t.config(workers=2, upstreams={"app": {"servers": list(entries), "sticky": sticky}}, routes=[{"upstream": "app"}])
    stays, drains = ({"address": s.address} for s in servers)
    gateway = t.gateway(workers=2, upstreams={"app": {"servers": [stays, drains], "sticky": sticky}}, routes=[{"upstream": "app"}])
    cookie = next(given for who, given, _ in (ask(t, gateway) for _ in range(20)) if who == "server1")
    gateway.reload(config(stays, dict(drains, drain=True)))
    for _ in range(4):
        same(ask(t, gateway, cookie)[:2], ("server1", None), "who answered, with a new cookie")
        same(ask(t, gateway)[0], "server0", "who answered a new client")
    gateway.reload(config(stays))
    other, moved, _ = ask(t, gateway, cookie)
    same((other, moved is not None), ("server0", True), "who answered when it was gone, with a new cookie")


def test_forged_ones_are_nothing_special(t):
    server = named(t, "server0")
    gateway, = fleet(t, 1, [server], key(t, new_key(1)))
    _, cookie, _ = ask(t, gateway)
    for bad in ("", "x", "A" * 92, cookie[:-1], cookie + "A", cookie[:50] + ("B" if cookie[50] == "A" else "A") + cookie[51:], "%00", "A" * 4000):
        _, given, saw = ask(t, gateway, bad)
        check(given is not None, "no new cookie for `%s`", bad)
        same(saw, "a=1; b=2", "what the server saw")
    check(not gateway.said("warning") and not gateway.said("error"), "a forged cookie is more than information")


def test_keys_are_not_left_in_a_core_file(t):
    """Also where a reload brings the first key."""
    server, path = named(t, "server0"), key(t, new_key(1))

    def core_limit(gateway):
        with open("/proc/%d/limits" % gateway.process.pid, encoding="ascii") as limits:
            return next(line.split()[4:6] for line in limits if line.startswith("Max core file size"))
    gateway, = fleet(t, 1, [server], path)
    same(core_limit(gateway), ["0", "0"], "the limit of core files")
    plain = t.simple(server, workers=2)
    upstream = {"servers": [{"address": server.address}], "sticky": {"key_file": path}}
    plain.reload(t.config(workers=2, upstreams={"app": upstream}, routes=[{"upstream": "app"}]))
    same(core_limit(plain), ["0", "0"], "the limit of core files after a reload")


def test_a_key_from_the_command_line(t):
    lines = [subprocess.run([t.binary, "sticky-key"], capture_output=True, text=True, check=True, timeout=60).stdout for _ in range(2)]
    check(lines[0] != lines[1], "the same key twice")
    gateway, = fleet(t, 1, [named(t, "server0")], key(t, *[line.strip() for line in lines]))
    check(ask(t, gateway)[1] is not None, "no cookie")
