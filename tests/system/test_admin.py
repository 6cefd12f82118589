"""The admin endpoint: what it tells, what it does, and whom it refuses."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess

import admin
import frames
import messages
import wire
from harness import Skip, check, same, yaml

ADMIN = {"address": "127.0.0.1:0"}


def simple(t, *backends, **changes):
    return t.simple(*backends, **dict({"admin": ADMIN}, **changes))


def test_what_passes_is_counted_by_route_upstream_and_class(t):
    backend = t.backend()
    gateway = simple(t, backend, websocket={"verify": "utf8"})
    client, server = t.upgrade(gateway, backend)
    client.send(b"\x81\x82abcd" + bytes(a ^ b for a, b in zip(b"hi", b"abcd")))
    same(server.read_exact(8)[:1], b"\x81", "a frame")
    now = admin.until(lambda: (m := admin.metrics(t, gateway)) and m["upgate_messages_total{from=client}"] == 1 and m, "a message")
    for key, value in [("upgate_tunnels_open{}", 1), ("upgate_route_tunnels_open{route=/}", 1), ("upgate_upstream_tunnels_total{upstream=app}", 1),
                       ("upgate_server_tunnels_open{server=%s,upstream=app}" % backend.address, 1),
                       ("upgate_server_state{server=%s,state=in_use,upstream=app}" % backend.address, 1),
                       ("upgate_handshake_seconds_count{}", 1), ("upgate_frames_total{from=client,opcode=text}", 1),
                       ("upgate_upstream_exchanges_total{class=1xx,upstream=app}", 1), ("upgate_build_info{version=0.1.0}", 1)]:
        same(now[key], value, key)
    check(now["process_resident_memory_bytes{}"] > 1e6 and now["process_open_fds{}"] > 5 and now["process_start_time_seconds{}"] > 1e9, "process: %r", now)
    client.close()
    server.close()
    gateway.wait_record(kind="tunnel")
    now = admin.metrics(t, gateway)
    same(now["upgate_tunnels_open{}"], 0, "tunnels open")
    same(now["upgate_ended_total{reason=client_vanished,what=tunnel}"], 1, "tunnels ended")


def test_promtool_has_nothing_to_say(t):
    tool = shutil.which("promtool")
    if not tool:
        raise Skip("no promtool (Debian: prometheus)")
    gateway = simple(t, t.app())
    t.exchange(gateway)
    reply = admin.ask(t, gateway, "/metrics")
    check(reply.get("Content-Type").startswith("text/plain; version=0.0.4"), "type %r", reply.get("Content-Type"))
    done = subprocess.run([tool, "check", "metrics"], input=reply.body, capture_output=True, timeout=60)
    same((done.returncode, done.stdout + done.stderr), (0, b""), "promtool")


def test_health_and_readiness(t):
    backend = t.backend()
    gateway = simple(t, backend, timeouts={"drain": "20s", "drain_spread": "0s", "drain_delay": "10m"})
    admin.ask(t, gateway, "/healthz")
    same(admin.ask(t, gateway, "/readyz", method="HEAD").body, b"", "a HEAD's body")
    gateway.signal(signal.SIGTERM)
    gateway.wait(lambda: gateway.said("about to drain"), what="the announcement")
    admin.ask(t, gateway, "/readyz", status=503)
    admin.ask(t, gateway, "/healthz")
    client, server = t.upgrade(gateway, backend)             # nothing is refused yet
    client.send(b"\x89\x80abcd")
    same(server.read_exact(6)[:1], b"\x89", "a Ping")
    gateway.signal(signal.SIGTERM)
    gateway.wait(lambda: gateway.said("ending at once"), what="the end")
    client.wait_end()


def test_a_drain_begins_when_it_was_announced_for_long_enough(t):
    backend = t.backend()
    gateway = simple(t, backend, timeouts={"drain": "20s", "drain_spread": "0s", "drain_delay": "200ms"})
    client, server = t.upgrade(gateway, backend)
    gateway.signal(signal.SIGTERM)
    same(client.read_exact(4)[2:], (1012).to_bytes(2, "big"), "the code")
    gateway.wait(lambda: gateway.said("draining: no more connections"), what="the drain's line")
    lines = [line for line in gateway.stderr_lines if "drain" in line]
    check("about to drain" in lines[0] and "no more connections" in lines[1], "%r", lines)
    client.close()
    server.close()


def test_a_drain_by_request(t):
    backend = t.backend()
    gateway = simple(t, backend, timeouts={"drain": "20s", "drain_spread": "0s"})
    client, server = t.upgrade(gateway, backend)
    for target, fields in [("/drain?fracton=0.1", ()), ("/drain", [("Content-Length", "3")]), ("/drain?upstream", ())]:
        admin.ask(t, gateway, target, "POST", fields, status=400)
    admin.ask(t, gateway, "/drain", status=405)
    admin.ask(t, gateway, "/drain", "POST", [("Origin", "http://evil.example")], status=403)
    admin.ask(t, gateway, "/drain", "POST", host="evil.example", status=403)
    admin.ask(t, gateway, "/readyz")
    admin.ask(t, gateway, "/drain", "POST", status=202)
    same(client.read_exact(4)[2:], (1012).to_bytes(2, "big"), "the code")
    admin.ask(t, gateway, "/readyz", status=503)
    admin.ask(t, gateway, "/drain", "POST", status=202)      # which does not end it at once
    check(not gateway.said("ending at once"), "asked twice, it ends at once")
    gateway.ending = True
    client.close()
    server.close()
    same(gateway.wait_exit(), 0, "exit code")


def test_a_reload_tells_what_came_of_it(t):
    backend = t.app()
    gateway = simple(t, backend)
    good = open(gateway.path).read()
    reply = admin.ask(t, gateway, "/reload", "POST")
    same(reply.body, b"configuration 2 is in force\n", "answer")
    with open(gateway.path, "w") as out:
        out.write(good.replace("drain:", "drian:"))
    reply = admin.ask(t, gateway, "/reload", "POST", status=422)
    check(b"did you mean `drain`?" in reply.body and b"stays as it is" in reply.body, "the error in the answer: %r", reply.body)
    with open(gateway.path, "w") as out:
        out.write(good)
    conns = [wire.connect(admin.address(gateway), clear=True) for _ in range(8)]
    for conn in conns:
        conn.send(messages.request("POST", "/reload", host="localhost"))
    for conn in conns:                                       # each is told of one that began when it had been asked for
        check(messages.read_response(conn).body.endswith(b" is in force\n"), "answer")
        conn.close()
    now = admin.metrics(t, gateway)
    same(now["upgate_reloads_failed_total{}"], 1, "failed ones")
    check(3 <= now["upgate_configuration{}"] <= 10 and now["upgate_configuration{}"] == now["upgate_reloads_total{}"] + 1, "reloads %r", now["upgate_reloads_total{}"])


def test_it_moves_and_goes_with_a_reload(t):
    backend = t.app()
    gateway = simple(t, backend, sandbox_folders=[t.folder])
    first = admin.address(gateway)
    path = t.path("admin.sock")
    config = t.config(upstreams={"app": {"servers": [backend.address]}}, routes=[{"upstream": "app"}])
    gateway.reload(dict(config, admin={"address": "unix:" + path}))
    same(admin.address(gateway), path, "where it is")
    same(os.stat(path).st_mode & 0o777, 0o660, "who may")
    admin.ask(t, gateway, "/healthz", host="whatever")
    refused(first)
    gateway.reload(dict(config, admin={"address": "127.0.0.1:%d" % backend.sock.getsockname()[1]}), good=False)
    admin.ask(t, gateway, "/healthz")                        # where it was
    gateway.reload(config)
    refused(path)
    check(not os.path.exists(path), "its path is left")
    gateway.reload(dict(config, admin=ADMIN))
    admin.ask(t, gateway, "/healthz")


def refused(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as sock:
        try:
            sock.connect(address)
        except OSError:
            return
    check(False, "%r still listens", address)


def test_no_route_leads_to_it(t):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    config = t.config(admin={"address": "127.0.0.1:%d" % port}, upstreams={"app": {"servers": ["127.0.0.1:%d" % port]}}, routes=[{"upstream": "app"}])
    path = t.write("own.yaml", yaml(config))
    done = subprocess.run([t.binary, "-t", "-c", path], capture_output=True, timeout=60)
    check(done.returncode == 1 and b"own `admin` endpoint" in done.stderr, "%r", done)
    # by a spelling that the file's check does not know
    config["upstreams"]["app"]["servers"] = ["[::ffff:127.0.0.1]:%d" % port]
    path = t.write("by-name.yaml", yaml(config))
    gateway = t.start(["-c", path])
    reply = t.exchange(gateway, messages.request("POST", "/drain", host="127.0.0.1", fields=[("Connection", "close")]), method="POST")
    same((reply.status, b"not served through the gateway" in reply.body), (403, True), "the answer")
    check(not gateway.said("draining"), "a client has drained the gateway")


def test_malformed_requests_are_refused_and_the_next_is_served(t):
    gateway = simple(t, t.app())
    for data, status in [(b"GET /metrics\r\n\r\n", 400), (b"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
                         (b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: " + b"x" * 20000 + b"\r\n\r\n", 431),
                         (b"POST /reload HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
                         (b"BREW /drain HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 405), (b"\x16\x03\x01\x02\x00\x01", 400)]:
        conn = wire.connect(admin.address(gateway), clear=True)
        conn.send(data)
        same(messages.read_response(conn).status, status, repr(data[:40]))
        conn.close()
    conn = wire.connect(admin.address(gateway), clear=True)
    conn.send(messages.request(target="/healthz", host="127.0.0.1") + messages.request(target="/nothing", host="127.0.0.1"))
    same([messages.read_response(conn).status for _ in range(2)], [200, 404], "two in one piece")
    conn.send_each_byte(messages.request(target="/readyz", host="127.0.0.1"))
    same(messages.read_response(conn).status, 200, "byte by byte")
    conn.close()


def test_many_idle_ones_keep_nobody_out(t):
    gateway = simple(t, t.app())
    idle = [wire.connect(admin.address(gateway), clear=True) for _ in range(100)]
    for _ in range(5):
        admin.ask(t, gateway, "/healthz")
    for conn in idle:
        conn.close()


def test_a_large_answer_waits_for_its_reader(t):
    routes = [{"match": {"path": "/%d" % i}, "upstream": "app"} for i in range(1500)]
    backend = t.app()
    gateway = t.gateway(admin=ADMIN, upstreams={"app": {"servers": [backend.address]}}, routes=routes)
    conn = wire.connect(admin.address(gateway), clear=True, receive_buffer=4096)
    conn.send(messages.request(target="/metrics", host="127.0.0.1"))
    admin.ask(t, gateway, "/healthz")                        # others are served meanwhile
    reply = messages.read_response(conn)
    check(len(reply.body) > 500000, "only %d bytes", len(reply.body))
    conn.close()


def tunnels(t, gateway, query=""):
    return admin.ask_json(t, gateway, "/tunnels" + query)


def test_tunnels_are_listed_and_found(t):
    backend = t.backend()
    gateway = simple(t, backend, workers=2)
    pairs = [t.upgrade(gateway, backend, request_fields=[("X", "y")]) for _ in range(5)]
    pairs[0][0].send(frames.frame(frames.TEXT, b"hello"))
    same(frames.read_frame(pairs[0][1]).payload, b"hello", "a message")
    everything = tunnels(t, gateway)
    same((everything["matched"], everything["shown"], len({one["id"] for one in everything["tunnels"]})), (5, 5, 5), "tunnels")
    one = next(one for one in everything["tunnels"] if one["from_client"]["messages"] == 1)
    same((one["host"], one["target"], one["route"], one["upstream"], one["server"], one["state"]),
         ("test.example", "/ws", "/", "app", backend.address, "open"), "of the request")
    for query, due in [("?upstream=app", 5), ("?upstream=other", 0), ("?server=" + backend.address, 5), ("?route=/", 5), ("?route=%2Fws", 0),
                       ("?client=127.0.0.1", 5), ("?client=127.0.0.2", 0), ("?older=1h", 0), ("?older=0s", 5), ("?upstream=app&older=1d", 0)]:
        same(tunnels(t, gateway, query)["matched"], due, query)
    same(len(tunnels(t, gateway, "?limit=2")["tunnels"]), 2, "limit")
    for query in ["?limit=x", "?limit=99999", "?older=5", "?older=", "?upstream=", "?id=1", "?x"]:
        admin.ask(t, gateway, "/tunnels" + query, status=400)


def test_a_tunnel_is_closed_by_its_id(t):
    backend = t.backend()
    gateway = simple(t, backend)
    for query, code, reason in [("", 1001, b"closed by the operator"), ("?code=4001&reason=gr%C3%BC%C3%9Fe", 4001, "grüße".encode()),
                                ("?code=1000&reason=", 1000, b"")]:
        client, server = t.upgrade(gateway, backend)
        one = tunnels(t, gateway)["tunnels"][-1]["id"]
        admin.ask(t, gateway, "/tunnels/%s%s" % (one, query), "DELETE", status=202)
        close = frames.read_close(client, code)
        same(close.payload[2:], reason, "reason")
        frames.read_close(server, 1001)
        admin.ask(t, gateway, "/tunnels/" + one, "DELETE", status=409)
        client.send(frames.frame(frames.CLOSE, close.payload))
        server.send(frames.frame(frames.CLOSE, frames.close_payload(1001), mask=False))
        client.close()
        server.close()
        admin.until(lambda: not tunnels(t, gateway)["tunnels"], "its end")
        admin.ask(t, gateway, "/tunnels/" + one, "DELETE", status=404)
        gateway.wait(lambda: sum(r["kind"] == "tunnel" and r["end"] == "operator" for r in gateway.records) > 0, what="its record")
    same(admin.metrics(t, gateway)["upgate_ended_total{reason=operator,what=tunnel}"], 3, "counted")
    for target in ["0-1?code=1005", "0-1?code=999", "0-1?code=5000", "0-1?code=x", "0-1?reason=" + "x" * 124, "0-1?reason=%FF", "1", "0-", "-1", "0-x",
                   "99999999999-1"]:
        admin.ask(t, gateway, "/tunnels/" + target, "DELETE", status=400)
    admin.ask(t, gateway, "/tunnels/0-1", status=405)
    admin.ask(t, gateway, "/tunnels/7-1", "DELETE", status=404)


def test_status_tells_what_a_person_asks_for(t):
    backend = t.backend()
    gateway = simple(t, backend, workers=2)
    client, server = t.upgrade(gateway, backend)
    client.send(frames.frame(frames.TEXT, b"<b>hello</b>"))
    frames.read_frame(server)
    now = admin.ask_json(t, gateway, "/status.json")
    same((now["state"], now["configuration"], now["workers"], now["tunnels"]["open"]), ("running", 1, 2, 1), "totals")
    same([(one["port"], one["tls"]) for one in now["listeners"]], [(gateway.port, False)], "listeners")
    same([(r["name"], r["upstream"], r["tunnels"]["open"]) for r in now["routes"]], [("/", "app", 1)], "routes")
    same([(s["address"], s["state"], s["tunnels"]) for u in now["upstreams"] for s in u["servers"]], [(backend.address, "in_use", 1)], "servers")
    same([one["target"] for one in now["longest"]], ["/ws"], "longest")
    same([one["from_client"]["messages"] for one in now["busiest"]], [1], "busiest")
    refusing = wire.Listener()
    address = refusing.address
    refusing.close()
    gateway.reload(t.config(admin={"address": "127.0.0.1:0"}, upstreams={"app": {"servers": [address]}}, routes=[{"upstream": "app"}], workers=2))
    same(t.exchange(gateway).status, 502, "status")
    now = admin.ask_json(t, gateway, "/status.json")
    check(any(address in one["words"] and one["level"] == "warn" for one in now["errors"]), "errors %r", now["errors"])
    same((now["configuration"], now["tunnels"]["open"]), (2, 1), "after a reload")


def test_many_questions_at_once_are_all_answered(t):
    backend = t.backend()
    gateway = simple(t, backend, workers=2)
    pairs = [t.upgrade(gateway, backend) for _ in range(3)]
    conns = [wire.connect(admin.address(gateway), clear=True) for _ in range(20)]
    for i, conn in enumerate(conns):
        conn.send(messages.request(target=["/tunnels", "/status.json"][i % 2], host="127.0.0.1"))
        if i % 3 == 0:
            conn.close()                                     # and some do not wait for it
    for i, conn in enumerate(conns):
        if i % 3 != 0:
            same(messages.read_response(conn).status, 200, "status")
    for client, server in pairs:
        client.send(frames.frame(frames.TEXT, b"x"))
        frames.read_frame(server)


def test_a_question_while_everything_ends(t):
    backend = t.backend()
    gateway = simple(t, backend, workers=2, timeouts={"drain": "60s", "drain_spread": "0s"})
    t.upgrade(gateway, backend)
    gateway.signal(signal.SIGTERM)
    gateway.wait(lambda: gateway.said("draining"), what="the drain")
    same(tunnels(t, gateway)["matched"], 1, "tunnels")       # one worker has ended perhaps, and is not waited for
    same(admin.ask_json(t, gateway, "/status.json")["state"], "draining", "state")


CONF = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "conf")


def expressions(file):
    """The expressions of a dashboard, or of alert rules (a folded one goes on in lines that stand deeper)."""
    with open(os.path.join(CONF, file)) as text:
        if file.endswith(".json"):
            board = json.load(text)
            same([p["id"] for p in board["panels"]], list(range(1, len(board["panels"]) + 1)), "ids")
            return [target["expr"] for panel in board["panels"] for target in panel["targets"]] + \
                   [v["query"] for v in board["templating"]["list"] if v["type"] == "query"]
        return re.findall(r"^ *expr: (?:>-\n)?((?:.*\n)(?: {10}.*\n)*)", text.read(), re.M)


def test_what_dashboard_and_alerts_ask_for_exists(t):
    gateway = simple(t, t.app(), listeners=["127.0.0.1:0"])
    text = admin.ask(t, gateway, "/metrics", fields=[("Accept", "application/openmetrics-text")]).body.decode()
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    names = {family + suffix for family, kind in kinds.items() for suffix in admin.SUFFIXES[kind]}
    for file, least in [("grafana-dashboard.json", 15), ("prometheus-alerts.yaml", 10)]:
        found = expressions(file)
        check(len(found) >= least, "only %d expressions in %s", len(found), file)
        for one in found:
            used = set(re.findall(r"\b(?:upgate|process)_\w+", one))
            check(used or "up{" in one, "%s asks for nothing: %r", file, one)
            check(used <= names, "%s asks for %r, which there is not", file, used - names)


def test_promtool_reads_the_alerts(t):
    tool = shutil.which("promtool")
    if not tool:
        raise Skip("no promtool (Debian: prometheus)")
    done = subprocess.run([tool, "check", "rules", os.path.join(CONF, "prometheus-alerts.yaml")], capture_output=True, timeout=60)
    check(done.returncode == 0, "promtool: %r", done.stdout + done.stderr)
