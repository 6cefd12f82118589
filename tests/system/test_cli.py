"""The command line and the configuration's messages; signals."""
import json
import os
import signal
import subprocess

import harness
from frames import TEXT, frame, read_frame
from harness import check, same, yaml
from messages import read_head, read_request, read_response, request, response
from wire import wait_until

GOOD = {"listeners": [{"address": "127.0.0.1:0"}], "upstreams": {"app": {"servers": ["127.0.0.1:9"]}},
        "routes": [{"upstream": "app"}]}


def run(t, *arguments):
    """(exit code, standard output, standard error)"""
    done = subprocess.run([t.binary, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
                          env=harness.sanitizer_environment(), check=False)
    check(not harness.SANITIZER_REPORT.search(done.stderr), "a sanitizer's report: %s", done.stderr[-2000:])
    return done.returncode, done.stdout, done.stderr


def test_check_good(t):
    code, _, err = run(t, "-t", "-c", t.write("good.yaml", yaml(GOOD)))
    same(code, 0, "exit code (%s)" % err)


def test_check_bad_names_file_line_and_column(t):
    text = yaml(GOOD) + "timeouts:\n  heder: 5s\n"
    path = t.write("bad.yaml", text)
    code, out, err = run(t, "-t", "-c", path)
    line = text.count("\n")
    same(code, 1, "exit code")
    check("%s:%d:3" % (path, line) in out + err, "no file:line:column in %r", out + err)
    check("header" in out + err and "^" in out + err and "heder" in out + err, "no suggestion or caret in %r", out + err)


def test_check_reports_all_errors_at_once(t):
    text = yaml(GOOD) + "workers: many\ntimeouts:\n  header: 5\n  body: -1s\nnonsense: 1\nlimits: { header_bytes: 64 }\n"
    path = t.write("bad.yaml", text)
    code, out, err = run(t, "-t", "-c", path)
    same(code, 1, "exit code")
    first = text[:text.index("workers")].count("\n") + 1
    for offset in [0, 2, 3, 4, 5]:
        check("%s:%d:" % (path, first + offset) in out + err, "line %d is not in %r", first + offset, out + err)


def test_check_cross_references(t):
    for change in [{"routes": [{"upstream": "nowhere"}]}, {"routes": [{"match": {"listener": "x"}, "upstream": "app"}]},
                   {"upstreams": {"app": {"servers": []}}}, {"listeners": []}]:
        code, out, err = run(t, "-t", "-c", t.write("bad.yaml", yaml(dict(GOOD, **change))))
        same(code, 1, "exit code for %r" % change)
        check(out + err, "no message for %r", change)


def test_check_not_yaml_and_no_file(t):
    for path in [t.write("bad.yaml", "a: [b\n\t: }"), t.write("empty.yaml", ""), t.path("missing.yaml")]:
        code, out, err = run(t, "-t", "-c", path)
        same(code, 1, "exit code for %s" % path)
        check(path in out + err, "the file is not named: %r", out + err)


def test_running_with_a_bad_file_fails(t):
    code, _, err = run(t, "-c", t.write("bad.yaml", "nonsense: 1\n"))
    check(code not in (0, None) and "nonsense" in err, "exit %r, %r", code, err)


def test_dump_loads_to_the_same(t):
    code, first, err = run(t, "-T", "-c", t.write("good.yaml", yaml(GOOD)))
    same(code, 0, "exit code (%s)" % err)
    for key in ["header_bytes", "idle_timeout", "keepalive"]:
        check(key in first, "%s is not in the dump", key)
    code, second, err = run(t, "-T", "-c", t.write("dumped.yaml", first))
    same((code, second), (0, first), "the dump of the dump")


def test_version(t):
    code, out, _ = run(t, "-V")
    same(code, 0, "exit code")
    for name in ["upgate", "libuv", "llhttp", "mbed", "wslay", "libyaml"]:
        check(name in out.lower(), "%s is not in %r", name, out)


def test_schema_is_json(t):
    code, out, _ = run(t, "--schema")
    same(code, 0, "exit code")
    schema = json.loads(out)
    check("$schema" in schema and "listeners" in json.dumps(schema), "not a JSON Schema of the configuration")


def test_reference(t):
    code, out, _ = run(t, "--reference")
    same(code, 0, "exit code")
    check(len(out) > 2000 and "idle_timeout" in out, "%d bytes of reference", len(out))


def test_unknown_options(t):
    for arguments in [["--nonsense"], ["-c"], ["-t", "extra", "words"]]:
        code, _, err = run(t, *arguments)
        check(code not in (0, None) and err, "%r: exit %r, %r", arguments, code, err)


def test_one_line_form(t):
    backend = t.backend()
    gateway = t.start(["--listen", "127.0.0.1:0", "--to", backend.address])
    client = t.client(gateway).send(request())
    server = backend.accept()
    read_request(server)
    server.send(response(200, b"one line"))
    same(read_response(client).body, b"one line", "body")
    client, server = t.upgrade(gateway, backend)
    client.send(frame(TEXT, b"x"))
    same(read_frame(server).payload, b"x", "frame")


def test_one_line_form_with_two_servers_and_unix(t):
    first, second = t.app(lambda seen: response(200, b"1")), t.unix_backend().serve(lambda c: harness.serve_requests(c,
         lambda seen: response(200, b"2")))
    gateway = t.start(["--listen", "127.0.0.1:0", "--to", first.address, "--to", second.address])
    same({t.exchange(gateway).body for _ in range(6)}, {b"1", b"2"}, "servers that answered")


def test_port_in_use(t):
    backend = t.backend()
    code, _, err = run(t, "--listen", backend.address, "--to", "127.0.0.1:9")
    check(code not in (0, None), "exit code %r", code)
    check(str(backend.port) in err, "the address is not named: %r", err)


def test_access_log_to_a_file(t):
    path = t.path("access.log")
    gateway = t.simple(t.app(), log={"access": {"to": path}})
    same(t.exchange(gateway).status, 200, "status")
    wait_until(lambda: os.path.exists(path) and os.path.getsize(path), what="the access log")
    with open(path, encoding="utf-8") as lines:
        same(json.loads(lines.readline())["status"], 200, "status in the log")


def test_term_with_nothing_to_do_ends_at_once(t):
    for number in [signal.SIGTERM, signal.SIGINT]:
        gateway = t.simple(t.app())
        t.exchange(gateway)
        gateway.signal(number)
        same(gateway.wait_exit(), 0, "exit code")


def test_term_finishes_exchanges(t):
    backend = t.backend()
    gateway = t.simple(backend)
    client = t.client(gateway).send(request())
    server = backend.accept()
    read_request(server)
    idle = t.client(gateway)
    gateway.signal(signal.SIGTERM)
    idle.wait_end()
    server.send(response(200, b"finished"))
    reply = read_response(client)
    same(reply.body, b"finished", "body")
    check("close" in reply.tokens("Connection"), "no Connection: close while draining: %r", reply.head)
    client.wait_end()
    same(gateway.wait_exit(), 0, "exit code")


def test_term_stops_accepting(t):
    backend = t.backend()
    gateway = t.simple(backend)
    client = t.client(gateway).send(request())
    server = backend.accept()
    read_request(server)
    idle = t.client(gateway)
    gateway.signal(signal.SIGTERM)
    idle.wait_end()
    try:
        late = t.client(gateway)
        late.wait_end()
        same(bytes(late.received), b"", "bytes to a client that came too late")
    except OSError:
        pass
    server.send(response())
    same(read_response(client).status, 200, "status")


def test_term_gives_up_after_drain(t):
    backend = t.backend()
    gateway = t.simple(backend, timeouts={"drain": "300ms"})
    client = t.client(gateway).send(request())
    server = backend.accept()
    read_head(server)
    gateway.signal(signal.SIGTERM)
    same(gateway.wait_exit(), 0, "exit code")
    client.wait_end()


def test_quit_ends_at_once(t):
    backend = t.backend()
    gateway = t.simple(backend)
    client, server = t.upgrade(gateway, backend)
    waiting = t.client(gateway).send(request())
    read_request(backend.accept())
    gateway.signal(signal.SIGQUIT)
    same(gateway.wait_exit(), 0, "exit code")
    for conn in [client, server, waiting]:
        conn.wait_end()


