"""Another configuration while the gateway runs: HUP. Nothing that is under way is lost, whatever is taken out of the file."""
import os
import shutil
import signal
import socket
import threading
import time

import harness
import tls
from frames import CLOSE, TEXT, close_payload, frame, handshake, read_close, read_frame, switch
from harness import check, merged, same
from messages import read_head, read_request, read_response, request, response
from wire import connect, wait_until


def conf(t, *servers, listeners=("127.0.0.1:0",), path="/", **changes):
    """A configuration with one route from this path to these servers."""
    base = {"listeners": list(listeners), "upstreams": {"app": {"servers": list(servers)}},
            "routes": [{"match": {"path": path}, "upstream": "app"}]}
    return t.config(**merged(base, changes))


def start(t, config):
    path = t.write("upgate.yaml", harness.yaml(config))
    gateway = t.start(["-c", path], len(config["listeners"]))
    gateway.path = path
    return gateway


def echo_once(client, server, text=b"hello"):
    """A message each way through a tunnel whose ends the test plays."""
    client.send(frame(TEXT, text))
    same(read_frame(server).payload, text, "at the server")
    server.send(frame(TEXT, text[::-1], mask=False))
    same(read_frame(client).payload, text[::-1], "at the client")


def close_tunnel(client, server):
    client.send(frame(CLOSE, close_payload(1000)))
    read_close(server, 1000)
    server.send(frame(CLOSE, close_payload(1000), mask=False))
    read_close(client, 1000)


def status_of(t, gateway, index=0, target="/"):
    client = t.client(gateway, index)
    client.send(request(target=target, fields=[("Connection", "close")]))
    return read_response(client).status


def test_a_bad_file_changes_nothing_and_says_why(t):
    backend = t.app()
    good = conf(t, backend.address)
    gateway = start(t, good)
    client = t.client(gateway)
    for bad, said in [(dict(good, routes=[{"upstream": "nowhere"}]), "no upstream is named `nowhere`"),
                      ("listeners: [", "upgate.yaml:"), ("", "upgate.yaml"),
                      (dict(good, timeouts={"heder": "5s"}), "did you mean `header`?")]:
        gateway.reload(bad, good=False)
        check(gateway.said(said), "not said: %r in %r", said, gateway.stderr_lines[-6:])
        client.send(request())                           # the kept connection, and a new one
        same(read_response(client).status, 200, "status")
        same(status_of(t, gateway), 200, "status")
    os.unlink(gateway.path)
    gateway.signal(signal.SIGHUP)
    gateway.wait(lambda: gateway.said("cannot be opened"), what="a word about the file that is not there")
    gateway.reload(conf(t, backend.address, path="/other"))
    client.send(request())
    same(read_response(client).status, 404, "status by the good file")


def test_listeners_that_cannot_be_bound_change_nothing(t):
    backend, taken = t.app(), socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    gateway = start(t, conf(t, backend.address))
    gateway.reload(conf(t, backend.address, path="/other", listeners=["127.0.0.1:0", "127.0.0.1:%d" % taken.getsockname()[1]]), good=False)
    check(gateway.said("cannot listen on"), "no word about the port")
    same(status_of(t, gateway), 200, "status")
    taken.close()


def test_from_the_command_line_there_is_nothing_to_reload(t):
    backend = t.app()
    gateway = t.start(["--listen", "127.0.0.1:0", "--to", backend.address])
    gateway.signal(signal.SIGHUP)
    gateway.wait(lambda: gateway.said("there is no file to read again"), what="a word about that")


def test_a_route_is_taken_out_and_another_put_in(t):
    backend = t.backend()
    gateway = start(t, conf(t, backend.address))
    client, server = t.upgrade(gateway, backend)
    gateway.reload(conf(t, backend.address, path="/new"))
    same(status_of(t, gateway), 404, "status where no route is any more")
    echo_once(client, server)
    new = t.client(gateway)
    new.send(request(target="/new"))
    app = backend.accept()
    read_request(app)
    app.send(response())
    same(read_response(new).status, 200, "status by the new route")
    close_tunnel(client, server)


def test_a_server_is_taken_out_under_a_tunnel_and_an_exchange(t):
    old, new = t.backend(), t.app()
    gateway = start(t, conf(t, old.address))
    client, server = t.upgrade(gateway, old)
    waiting = t.client(gateway)
    waiting.send(request("POST", fields=[("Content-Length", "4")]) + b"ab")
    app = old.accept()
    wait_until(lambda: app.poll().endswith(b"ab"), what="the half request at the old server")
    gateway.reload(conf(t, new.address))
    waiting.send(b"cd")
    same(read_request(app).body, b"abcd", "body")
    app.send(response(200, b"from the old one"))
    same(read_response(waiting).body, b"from the old one", "body")
    app.wait_end()                                       # nothing is kept to a server that is not wanted any more
    waiting.send(request())
    same(read_response(waiting).status, 200, "status from the new server")
    echo_once(client, server)
    close_tunnel(client, server)


def test_a_kept_connection_to_a_server_lives_on(t):
    backend = t.backend()
    gateway = start(t, conf(t, backend.address, workers=1))          # each worker keeps its own
    for turn in range(3):
        client = t.client(gateway)
        client.send(request())
        if turn == 0:
            app = backend.accept()
        read_request(app)
        app.send(response())
        same(read_response(client).status, 200, "status")
        gateway.reload(conf(t, "127.0.0.1:9", backend.address, upstreams={"app": {"servers": [
            {"address": backend.address, "weight": 100 + turn}], "balance": "round_robin"}}, workers=1))


def test_a_listener_is_added(t):
    backend = t.app()
    gateway = start(t, conf(t, backend.address, sandbox_folders=[t.folder]))
    gateway.reload(conf(t, backend.address, listeners=["127.0.0.1:0", "unix:" + t.path("a.sock"), "127.0.0.1:0"]))
    gateway.wait_listening(3)
    check(gateway.address(0) != gateway.address(1), "two listeners at one port")
    for index in range(3):
        same(status_of(t, gateway, index), 200, "status by listener %d" % index)


def test_a_listener_is_taken_out(t):
    for kind in ["tcp", "unix"]:
        backend = t.backend()
        address = "unix:" + t.path("gone.sock") if kind == "unix" else "127.0.0.1:0"
        stays = "unix:" + t.path("stays-%s.sock" % kind)
        gateway = start(t, conf(t, backend.address, listeners=[address, stays]))
        client, server = t.upgrade(gateway, backend)
        idle, busy = t.client(gateway), t.client(gateway)
        busy.send(request())
        app = backend.accept()
        read_request(app)
        gateway.reload(conf(t, backend.address, listeners=[stays]))
        gateway.wait(lambda: gateway.said("no longer listening"), what="a word about it")
        idle.wait_end()
        app.send(response())
        reply = read_response(busy)
        same((reply.status, reply.get("Connection")), (200, "close"), "the answer that was due")
        busy.wait_end()
        busy.close()
        echo_once(client, server)

        def refused():
            try:
                connect(gateway.address(0), timeout=0.2).close()
            except (ConnectionRefusedError, FileNotFoundError):
                return True
            except (socket.timeout, TimeoutError):
                pass
            return False
        wait_until(refused, what="the listener's end")
        close_tunnel(client, server)
        gateway.end()


def hammer(address, ended, count):
    """Connection after connection with one request each, until told to end; what went wrong. A connection that cannot be made any more is
    no fault, one that was made and not answered is."""
    wrong = []
    while not ended.is_set():
        try:
            conn = connect(address, timeout=5)
        except OSError:
            break
        try:
            conn.send(request(fields=[("Connection", "close")]))
            if read_response(conn).status != 200:
                wrong.append("not 200")
            count.append(1)
        except Exception as error:
            wrong.append(repr(error))
        conn.close()
    return wrong


def test_who_came_before_a_listener_closed_is_served(t):
    backend = t.app()
    stays = "unix:" + t.path("stays.sock")
    for kind in ["127.0.0.1:0", "unix:" + t.path("gone.sock")]:
        gateway = start(t, conf(t, backend.address, listeners=[kind, stays]))
        ended, count = threading.Event(), []
        hammers = [harness.in_thread(hammer, gateway.address(0), ended, count) for _ in range(4)]
        wait_until(lambda: len(count) > 20, what="some answers")
        gateway.reload(conf(t, backend.address, listeners=[stays]))
        for h in hammers:
            h.finish()
            same(h.value, [], "what went wrong")
        gateway.end()


def test_a_listener_moves_to_another_address_of_its_port(t):
    backend = t.app()
    port = t.free_port()
    gateway = start(t, conf(t, backend.address, listeners=["0.0.0.0:%d" % port]))
    ended, count = threading.Event(), []
    hammers = [harness.in_thread(hammer, ("127.0.0.1", port), ended, count) for _ in range(4)]
    for turn in range(4):
        seen = len(count)
        wait_until(lambda: len(count) > seen + 20, what="some answers")
        gateway.reload(conf(t, backend.address, listeners=["127.0.0.1:%d" % port if turn % 2 == 0 else "0.0.0.0:%d" % port]))
    ended.set()
    for h in hammers:
        h.finish()
        same(h.value, [], "what went wrong")


def test_log_level_and_access_log_change_in_place(t):
    backend, tunnels = t.app(), t.backend()
    first, second = t.path("first.log"), t.path("second.log")

    def with_log(level, to, form="json"):
        return conf(t, backend.address, log={"level": level, "access": {"to": to, "format": form}},
                    upstreams={"tunnels": {"servers": [tunnels.address]}},
                    routes=[{"match": {"path": "/ws"}, "upstream": "tunnels"}, {"upstream": "app"}])

    def lines(path):
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as log:
            return log.read().splitlines()

    gateway = start(t, with_log("info", first))
    same(status_of(t, gateway, target="/1"), 200, "status")
    wait_until(lambda: len(lines(first)) == 1, what="a line in the first log")
    check(not any(line.startswith("debug") for line in gateway.stderr_lines), "a debug line")
    gateway.reload(with_log("debug", second))
    client, server = t.upgrade(gateway, tunnels)
    close_tunnel(client, server)
    gateway.wait(lambda: any(line.startswith("debug") for line in gateway.stderr_lines), what="a debug line")
    wait_until(lambda: len(lines(second)) == 2, what="two lines in the second log")
    gateway.reload(with_log("info", second, "combined"))
    same(status_of(t, gateway, target="/3"), 200, "status")
    wait_until(lambda: len(lines(second)) == 3, what="another line in the second log")
    check('"GET /3 HTTP/1.1" 200' in lines(second)[2] and lines(second)[2][0] != "{", "not combined: %r", lines(second)[2])
    same(len(lines(first)), 1, "lines in the first log")
    gateway.reload(with_log("info", t.path("no/such/folder")), good=False)
    check(gateway.said("cannot open the access log"), "no word about the log")
    gateway.reload(with_log("info", first, "off"))
    same(status_of(t, gateway, target="/4"), 200, "status")
    gateway.reload(with_log("info", first))
    same(status_of(t, gateway, target="/5"), 200, "status")
    wait_until(lambda: len(lines(first)) == 2, what="a line in the first log")
    check("/5" in lines(first)[1], "lines of no log: %r", lines(first))


# certificates

def shown(gateway, ca):
    """The common name of the certificate that a new connection is shown."""
    conn = tls.connect(gateway.address(), tls.client_context(ca.certificate))
    name = dict(pair for part in ssl_subject(conn) for pair in part)["commonName"]
    conn.close()
    return name


def ssl_subject(conn):
    return conn.tls.getpeercert()["subject"]


def test_a_certificate_is_exchanged_under_a_tunnel(t):
    """New connections are shown the new one; a file that does not fit keeps the old one in force; the open tunnel does not notice."""
    ca, backend = tls.Authority(t.path("pki")), t.backend()
    pair = ca.issue("first")
    config = conf(t, backend.address, listeners=[{"address": "127.0.0.1:0", "tls": {"certificates": [pair]}}])
    gateway = start(t, config)
    client = tls.connect(gateway.address(), tls.client_context(ca.certificate))
    t.conns.append(client)
    client.send(handshake())
    server = backend.accept()
    read_head(server)
    server.send(switch())
    same(read_response(client).status, 101, "status")
    same(shown(gateway, ca), "first")
    second = ca.issue("second")
    shutil.copyfile(second["certificate"], pair["certificate"])
    gateway.reload(config, good=False)                   # another certificate over the same key file: they do not fit
    check(any("does not belong to the certificate" in line for line in gateway.stderr_lines), "why: %r", gateway.stderr_lines[-6:])
    same(shown(gateway, ca), "first", "after a bad file")
    shutil.copyfile(second["key"], pair["key"])
    gateway.reload(config)
    same(shown(gateway, ca), "second", "after a good file")
    echo_once(client, server)
    close_tunnel(client, server)


def test_workers_stay_as_they_are(t):
    backend = t.app()
    gateway = start(t, conf(t, backend.address, workers=1))
    gateway.reload(conf(t, backend.address, workers=3))
    check(gateway.said("`workers` stays as it is"), "no word about it")
    same(status_of(t, gateway), 200, "status")


def test_a_reload_asked_for_while_one_is_under_way_follows(t):
    backend = t.app()
    gateway = start(t, conf(t, backend.address))
    for _ in range(20):
        gateway.signal(signal.SIGHUP)
    gateway.reload(conf(t, backend.address, path="/last"))
    wait_until(lambda: status_of(t, gateway) == 404, what="the last file in force")


def test_a_drain_in_the_middle_of_reloads_ends(t):
    backend = t.backend()
    gateway = start(t, conf(t, backend.address))
    client, server = t.upgrade(gateway, backend)
    for _ in range(5):
        gateway.signal(signal.SIGHUP)
    gateway.signal(signal.SIGTERM)
    gateway.signal(signal.SIGHUP)
    read_close(client, 1012)
    client.send(frame(CLOSE, close_payload(1012)))
    read_close(server, 1001)
    server.send(frame(CLOSE, close_payload(1001), mask=False))
    same(gateway.wait_exit(), 0, "exit code")


class Load:
    """Requests on kept connections, requests on connections of their own, and tunnels in which something is always under way."""

    def __init__(self, gateway, tunnels):
        self.address = gateway.address(0)
        self.ended = threading.Event()
        self.count, self.wrong, self.messages = [], [], []
        self.threads = [threading.Thread(target=self.run, args=(work,), daemon=True)
                        for work in [self.fresh, self.fresh, self.kept, self.kept] + [self.tunnel] * tunnels]
        for thread in self.threads:
            thread.start()

    def run(self, work):
        try:
            work()
        except Exception as error:
            self.wrong.append("%s: %r" % (work.__name__, error))

    def fresh(self):
        self.wrong += hammer(self.address, self.ended, self.count)

    def kept(self):
        conn = connect(self.address)
        while not self.ended.is_set():
            conn.send(request("POST", body=b"x" * 1000))
            same(read_response(conn).status, 200, "status")
            self.count.append(1)
        conn.close()

    def tunnel(self):
        conn = connect(self.address)
        conn.send(handshake())
        same(read_response(conn).status, 101, "status")
        turn = 0
        while not self.ended.is_set():
            text = b"message %d" % turn
            conn.send(frame(TEXT, text))
            same(read_frame(conn).payload, text, "the echo")
            turn += 1
            self.messages.append(1)
            time.sleep(0.002)                            # a quiet tunnel, not a benchmark
        conn.send(frame(CLOSE, close_payload(1000)))
        read_close(conn, 1000)
        conn.close()

    def end(self):
        self.ended.set()
        for thread in self.threads:
            thread.join(60)
            check(not thread.is_alive(), "a part of the load did not end")
        same(self.wrong, [], "what went wrong")


def app(conn):
    """An application: answers requests, echoes messages."""
    while True:
        seen = read_request(conn, 600)
        if seen is None:
            return
        if seen.get("Upgrade"):
            break
        conn.send(response())
    conn.send(switch())
    while True:
        got = read_frame(conn, 600)
        if got is None or got.opcode == CLOSE:
            conn.send(frame(CLOSE, close_payload(1000), mask=False))
            return
        conn.send(frame(got.opcode, got.payload, mask=False))


def test_a_thousand_reloads_lose_nothing(t):
    t.needs_speed()
    one, two = t.backend().serve(app, record=False), t.backend().serve(app, record=False)
    extra = "unix:" + t.path("extra.sock")
    configs = [conf(t, one.address, log={"level": "info", "access": {"format": "off"}}),
               conf(t, two.address, one.address, listeners=["127.0.0.1:0", extra], log={"level": "info", "access": {"format": "off"}},
                    upstreams={"other": {"servers": [two.address]}}, limits={"header_bytes": "32KiB"}),
               conf(t, two.address, log={"level": "info", "access": {"format": "off"}}, timeouts={"keepalive": "20s"})]
    gateway = start(t, dict(configs[0], sandbox_folders=[t.folder]))
    load = Load(gateway, 6)
    wait_until(lambda: len(load.count) > 50 and len(load.messages) > 50, what="the load")
    for turn in range(1000):
        gateway.reload(configs[(turn + 1) % 3])
        if load.wrong:
            break
        time.sleep(0.006)                # the log says only so many lines of a kind in a second: each of these is waited for
    load.end()
    same(gateway.said("reloaded: configuration"), 1000, "reloads")
