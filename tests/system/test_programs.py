"""Programs that others wrote, as processes: npm's ws, python3-websockets, curl, headless Chromium, and the demo's applications."""
import fcntl
import importlib.util
import json
import os
import queue
import shutil
import subprocess
import threading

import harness
from harness import MIB, Skip, check, same
from messages import chunked, read_request, response

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
PEERS = os.path.join(ROOT, "interop", "peers")
BROWSER = os.path.join(ROOT, "interop", "browser", "drive.py")
ALL_SIZES = ["--text", "0", "--text", "5", "--text", "125", "--text", "126", "--binary", "65535", "--binary", "65536", "--binary",
             "0"]


class Program:
    """A process whose standard output is read line by line; ended behind the test."""

    def __init__(self, t, arguments, **options):
        self.lines = queue.Queue()
        self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, **options)
        threading.Thread(target=self._read, daemon=True).start()
        t.on_exit(self.end)

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def line(self, seconds=30):
        try:
            line = self.lines.get(timeout=seconds * harness.wire.SLOWNESS)
        except queue.Empty:
            raise harness.Late("a program said nothing: %r" % self.process.args) from None
        check(line is not None, "a program ended: %r, %s", self.process.args,
              self.process.stderr.read()[-1000:] if line is None else "")
        return line

    def event(self, kind):
        """The next JSON line of this kind."""
        while True:
            said = json.loads(self.line())
            if said.get("event") == kind:
                return said

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)


def run(arguments, seconds=120, **options):
    """(exit code, standard output, standard error)"""
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds * harness.wire.SLOWNESS,
                          check=False, **options)
    return done.returncode, done.stdout, done.stderr.decode("utf-8", "replace")


def peer(name):
    """The command of a peer, once what it needs is there."""
    path = os.path.join(PEERS, name)
    if not os.path.exists(path):
        raise Skip("no %s" % path)
    if name.endswith(".py"):
        if not importlib.util.find_spec("websockets"):
            raise Skip("python3-websockets is not installed")
        return ["/usr/bin/python3", path]
    need_node()
    return ["node", path]


def need_node():
    """npm's ws under the build tree; one process at a time asks for it."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise Skip("node or npm is not installed")
    if os.environ.get("UPGATE_WITHOUT_NPM"):
        raise Skip("npm's ws could not be installed")
    lock = os.path.join(ROOT, "build", "peers.lock")
    os.makedirs(os.path.dirname(lock), exist_ok=True)
    with open(lock, "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = subprocess.run(["bash", "-c", ". interop/peers/packages.sh && need_node_peers"], cwd=ROOT, capture_output=True,
                              text=True,
                              timeout=300, check=False)
    if done.returncode:
        raise Skip("npm's ws cannot be installed: %s" % done.stderr.strip()[-300:])


def through(t, server, options=(), websocket=None):
    """(server's process, gateway, address of the tunnel's front)"""
    program = Program(t, peer(server) + list(options))
    address = program.event("ready")["address"]
    gateway = t.simple(address, websocket=websocket)
    return program, gateway, "ws://127.0.0.1:%d/echo" % gateway.port


def talk(client, url, *options):
    code, out, err = run(peer(client) + [url] + list(options))
    check(code == 0, "%s: exit %d\n%s\n%s", client, code, out.decode()[-1500:], err[-1500:])
    return json.loads(out.decode().strip().splitlines()[-1])


def echoes(t, server, client, deflate):
    t.needs_speed()
    extra = ["--deflate"] if deflate else []
    _, _, url = through(t, server, extra)
    talk(client, url, *ALL_SIZES, *extra, "--ping", "--close", "4000:bye")
    talk(client, url, "--text", str(MIB), "--binary", str(MIB), "--fragment", "50000", *extra)
    talk(client, url, "--binary", str(16 * MIB), *extra)
    talk(client, url, *ALL_SIZES, "--repeat", "20", "--together", *extra)


def test_node_client_and_server(t):
    echoes(t, "ws_node_server.js", "ws_node_client.js", False)


def test_node_client_and_server_deflate(t):
    echoes(t, "ws_node_server.js", "ws_node_client.js", True)


def test_node_client_python_server(t):
    echoes(t, "ws_python_server.py", "ws_node_client.js", False)


def test_node_client_python_server_deflate(t):
    echoes(t, "ws_python_server.py", "ws_node_client.js", True)


def test_python_client_node_server(t):
    echoes(t, "ws_node_server.js", "ws_python_client.py", False)


def test_python_client_node_server_deflate(t):
    echoes(t, "ws_node_server.js", "ws_python_client.py", True)


def test_python_client_and_server_deflate(t):
    echoes(t, "ws_python_server.py", "ws_python_client.py", True)


def test_what_the_server_saw(t):
    server, _, url = through(t, "ws_node_server.js", ["--subprotocol", "echo"])
    talk("ws_python_client.py", url, "--text", "5", "--subprotocol", "echo", "--expect-subprotocol", "echo", "--close",
         "3001:done")
    seen = server.event("open")
    same((seen["path"], seen["subprotocol"]), ("/echo", "echo"), "path and subprotocol")
    names = [name.lower() for name, _ in seen["fields"]]
    check("via" in names and "x-forwarded-for" in names, "fields at the server: %r", names)
    ended = server.event("closed")
    same((ended["code"], ended["reason"]), (3001, "done"), "close")


def test_server_speaks_first(t):
    for server in ["ws_node_server.js", "ws_python_server.py"]:
        _, _, url = through(t, server, ["--push", "70000"])
        talk("ws_node_client.js", url, "--expect-push", "70000", "--text", "3")


def test_server_that_closes(t):
    _, _, url = through(t, "ws_node_server.js", ["--close-after", "2", "--close", "4002:enough"])
    talk("ws_python_client.py", url, "--text", "1", "--text", "1", "--wait-close", "--expect-close", "4002")


def test_server_that_refuses(t):
    _, _, url = through(t, "ws_node_server.js", ["--refuse", "403"])
    code, out, _ = run(peer("ws_node_client.js") + [url, "--text", "1"])
    check(code != 0 and b"403" in out, "exit %d: %r", code, out[-500:])


# curl

def curl(*arguments):
    if not shutil.which("curl"):
        raise Skip("curl is not installed")
    return run(["curl", "-sS", "--max-time", "60", "--noproxy", "*", *arguments])


def test_curl_get_head_and_put(t):
    gateway = t.simple(t.app())
    url = "http://127.0.0.1:%d/x?y=1" % gateway.port
    code, out, err = curl(url)
    same(code, 0, "exit code (%s)" % err)
    same(json.loads(out)["target"], "/x?y=1", "target")
    code, out, _ = curl("-I", url)
    check(code == 0 and out.startswith(b"HTTP/1.1 200"), "HEAD: %r", out[:200])
    code, out, _ = curl("-X", "PUT", "-d", "body", url)
    same((json.loads(out)["method"], json.loads(out)["body"]), ("PUT", "body"), "request")


def test_curl_reuses_its_connection(t):
    gateway = t.simple(t.app())
    url = "http://127.0.0.1:%d/" % gateway.port
    code, out, _ = curl("-w", "%{num_connects} ", "-o", os.devnull, "-o", os.devnull, "-o", os.devnull, url, url, url)
    same((code, out.split()), (0, [b"1", b"0", b"0"]), "connections made")


def test_curl_large_upload_with_expect(t):
    t.needs_speed()
    path = t.path("upload")
    with open(path, "wb") as out:
        out.write(os.urandom(1 << 16) * 160)
    sizes = []

    def handler(conn):
        seen = read_request(conn, 60)
        sizes.append(len(seen.body))
        conn.send(response(200, b"got it"))
    gateway = t.simple(t.backend().serve(handler))
    url = "http://127.0.0.1:%d/" % gateway.port
    for extra in [["-H", "Expect: 100-continue"], ["-H", "Expect:"], ["-H", "Transfer-Encoding: chunked"]]:
        code, out, err = curl("-T", path, *extra, url)
        same((code, out), (0, b"got it"), "answer (%s)" % err)
    same(sizes, [160 << 16] * 3, "sizes")


def test_curl_chunked_download_with_trailers(t):
    t.needs_speed()
    data = os.urandom(1 << 20)

    def handler(conn):
        read_request(conn)
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n")
        conn.send(chunked(*[data[i:i + 50000] for i in range(0, len(data), 50000)], trailers=[(b"X-Sum", b"1")]))
    gateway = t.simple(t.backend().serve(handler))
    code, out, err = curl("http://127.0.0.1:%d/" % gateway.port)
    check(code == 0 and out == data, "exit %d (%s), %d bytes", code, err, len(out))


def test_curl_sees_a_truncated_body(t):
    def handler(conn):
        read_request(conn)
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n")
    gateway = t.simple(t.backend().serve(handler))
    code, _, _ = curl("http://127.0.0.1:%d/" % gateway.port)
    check(code in (18, 56), "curl took a cut body for a whole one: exit %d", code)


def test_curl_http_1_0_and_absolute_form(t):
    gateway = t.simple(t.app())
    code, out, _ = curl("-0", "http://127.0.0.1:%d/old" % gateway.port)
    same((code, json.loads(out)["version"]), (0, [1, 1]), "version at the backend")
    code, out, _ = run(["curl", "-sS", "--max-time", "60", "--proxy", "http://127.0.0.1:%d" % gateway.port,
                        "http://other.example/there"])[:3]
    same(code, 0, "exit code")
    seen = json.loads(out)
    same((seen["target"], dict(map(tuple, seen["fields"]))["Host"]), ("/there", "other.example"), "request")


def test_curl_over_a_unix_socket(t):
    gateway = t.simple(t.app(), listeners=[{"address": "unix:" + t.path("front.sock")}])
    code, out, err = curl("--unix-socket", gateway.address(), "http://a.example/u")
    same(code, 0, "exit code (%s)" % err)
    same(json.loads(out)["target"], "/u", "target")


# Chromium

def drive(*arguments):
    harness.Test.needs_speed()
    if not os.path.exists(BROWSER):
        raise Skip("no %s" % BROWSER)
    if not (shutil.which("chromium") or shutil.which("chromium-browser")):
        raise Skip("chromium is not installed")
    code, out, err = run(["/usr/bin/python3", BROWSER, *arguments], 200)
    check(code == 0, "exit %d\n%s\n%s", code, out.decode()[-3000:], err[-1500:])
    return json.loads(out)


def test_chromium_echo(t):
    _, _, url = through(t, "ws_node_server.js")
    drive("--echo", url, "--sockets", "10")


def test_chromium_echo_with_deflate(t):
    _, _, url = through(t, "ws_node_server.js", ["--deflate"])
    drive("--echo", url, "--deflate", "--sockets", "10")


# The demo's own applications, where they were built beside the gateway.

def demo(t, pages="demo_http_app"):
    folder = os.path.dirname(t.binary)
    programs = [os.path.join(folder, name) for name in ["demo_ws_app", pages]]
    if not all(os.access(p, os.X_OK) for p in programs):
        raise Skip("the demo's applications are not beside the gateway (demo_fcgi_app needs Debian's libfcgi-dev)")
    env = harness.sanitizer_environment()
    started = [Program(t, [programs[0]], env=env),
               Program(t, [programs[1], "--root", os.path.join(ROOT, "interop", "app", "page")], env=env)]
    addresses = [p.line().split()[1] for p in started]
    protocol = "fastcgi" if pages == "demo_fcgi_app" else "http"
    upstreams = {"sockets": {"servers": [addresses[0]]}, "pages": {"protocol": protocol, "servers": [addresses[1]]}}
    routes = [{"match": {"path": "/echo"}, "upstream": "sockets"}, {"match": {"path": "/chat"}, "upstream": "sockets"},
              {"match": {"path": "/"}, "upstream": "pages", "websocket": "off"}]
    return t.gateway(upstreams=upstreams, routes=routes)


def check_demo(t, pages, *options):
    t.needs_speed()
    gateway = demo(t, pages)
    code, out, err = run(["/usr/bin/python3", os.path.join(PEERS, "demo_check.py"), *options, "127.0.0.1:%d" % gateway.port])
    check(code == 0, "exit %d\n%s\n%s", code, out.decode()[-3000:], err[-1500:])


def test_demo_check(t):
    check_demo(t, "demo_http_app")


def test_demo_check_fastcgi(t):
    check_demo(t, "demo_fcgi_app", "--fastcgi")


def test_chromium_on_the_demo_page(t):
    gateway = demo(t, "demo_fcgi_app")
    drive("--page", "http://127.0.0.1:%d/" % gateway.port, "--sockets", "20")
