"""The harness of the system tests: the built gateway as a process between clients and backends that the test plays itself.

A test is a function test_…(t) in a file test_….py. `t` starts listeners (t.backend), the gateway (t.gateway, t.simple) and clients
(t.client, t.tunnel); everything it made is ended behind it, and then the gateway has to end by itself: TERM, exit code 0 within a
deadline, no report of a sanitizer, no live block or handle.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import frames
import messages
import over_tls
import wire
from wire import DEADLINE, Late, wait_until  # noqa: F401  (tests take them from here)

LISTENING = re.compile(r"listening on (unix:\S+|\S+:\d+)")
LEAK_CHECK = re.compile(r"leak check: (\d+) blocks, (\d+) handles")
SANITIZER_REPORT = re.compile(
    r"ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|SUMMARY: \w+Sanitizer|runtime error:|Assertion .* failed|assertion failed")
EXIT_DEADLINE = 20.0 * wire.SLOWNESS
MIB = 1 << 20


class Skip(Exception):
    """This test cannot run here; the message says why."""


class Wrong(AssertionError):
    """The gateway did something other than it should."""


def check(condition, message="", *args):
    if not condition:
        raise Wrong(message % args if args else message or "a check failed")


def same(seen, due, what="value"):
    if seen != due:
        raise Wrong("%s: %r, should be %r" % (what, seen, due))


# The names of the access log's keys, in one place.
class Log:
    KIND, STATUS, METHOD, TARGET, END = "kind", "status", "method", "target", "end"
    BYTES_IN, BYTES_OUT = "bytes_in", "bytes_out"
    FROM_CLIENT, FROM_SERVER, CLOSED_BY = "from_client", "from_server", "closed_by"
    FRAMES, MESSAGES, BYTES, CLOSE_CODE = "frames", "messages", "bytes", "close_code"


# Configurations as YAML text.

PLAIN = re.compile(r"[A-Za-z0-9_./+-][A-Za-z0-9_./:+ -]*\Z")


def scalar(value):
    if value is True or value is False:
        return "on" if value else "off"
    text = str(value)
    return text if PLAIN.match(text) and not text.endswith((":", " ")) and ": " not in text else json.dumps(text)


def yaml(value, indent=0):
    """A dict, list or scalar as block YAML."""
    pad = "  " * indent
    if isinstance(value, dict):
        out = ""
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                out += "%s%s:\n%s" % (pad, scalar(key), yaml(item, indent + 1))
            else:
                out += "%s%s: %s\n" % (pad, scalar(key), "{}" if item == {} else "[]" if item == [] else scalar(item))
        return out
    out = ""
    for item in value:
        if isinstance(item, (dict, list)):
            out += pad + "- " + yaml(item, indent + 1)[len(pad) + 2:]
        else:
            out += pad + "- " + scalar(item) + "\n"
    return out


BASE = {
    "workers": 1,
    "log": {"level": "info", "access": {"to": "stdout", "format": "json"}},
    "timeouts": {"drain": "3s", "drain_spread": "100ms"},
    "listeners": [{"address": "127.0.0.1:0"}],
}


def merged(base, changes):
    out = dict(base)
    for key, value in changes.items():
        out[key] = merged(out[key], value) if isinstance(value, dict) and isinstance(out.get(key), dict) else value
    return out


class Gateway:
    """A running upgate."""

    def __init__(self, binary, arguments, sanitizer="none", environment=None, **options):
        self.sanitizer = sanitizer
        self.stderr_lines = []
        self.records = []
        self.bad_records = []
        self.addresses = []
        self.ending = False
        self.changed = threading.Condition()
        self.path = None                                 # of its configuration
        self.process = subprocess.Popen([binary] + arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=dict(sanitizer_environment(), **(environment or {})), **options)
        self.readers = [threading.Thread(target=self._read_stderr, daemon=True),
                        threading.Thread(target=self._read_stdout, daemon=True)]
        for reader in self.readers:
            reader.start()

    def _read_stderr(self):
        for raw in self.process.stderr:
            line = raw.decode("utf-8", "replace").rstrip("\n")
            with self.changed:
                self.stderr_lines.append(line)
                found = LISTENING.search(line)
                if found:
                    self.addresses.append(found[1])
                self.changed.notify_all()

    def _read_stdout(self):
        for raw in self.process.stdout:
            with self.changed:
                try:
                    self.records.append(json.loads(raw))
                except ValueError:
                    self.bad_records.append(raw)
                self.changed.notify_all()

    def wait(self, condition, deadline=None, what="an event of the gateway"):
        """Waits until condition() of what was read from the gateway's outputs holds; returns its value."""
        limit = time.monotonic() + (deadline or DEADLINE)
        with self.changed:
            while True:
                value = condition()
                if value:
                    return value
                if self.process.poll() is not None and not any(reader.is_alive() for reader in self.readers):
                    raise Wrong("the gateway ended (%s) while a test waited for %s" % (
                        self.process.returncode, what() if callable(what) else what))
                left = limit - time.monotonic()
                if left <= 0:
                    raise Late("waited in vain for %s" % (what() if callable(what) else what))
                self.changed.wait(min(left, 0.2))

    def wait_listening(self, count=1):
        self.wait(lambda: len(self.addresses) >= count, what="%d line(s) 'listening on'" % count)
        return self

    def address(self, index=0):
        """Where to connect: (host, port), or a path."""
        text = self.addresses[index]
        if text.startswith("unix:"):
            return text[5:]
        host, _, port = text.rpartition(":")
        host = host.strip("[]")
        return ("127.0.0.1" if host == "0.0.0.0" else host, int(port))

    @property
    def port(self):
        return self.address()[1]

    def wait_record(self, deadline=None, **due):
        """The first access record whose keys have these values."""
        def find():
            return next((r for r in self.records if all(r.get(k) == v for k, v in due.items())), None)
        return self.wait(find, deadline, lambda: "an access record with %r; there are %r" % (due, self.records[-5:]))

    def said(self, text):
        """How many lines on standard error contain it."""
        return sum(text in line for line in self.stderr_lines)

    def reload(self, config, good=True):
        """Another configuration (a dict or a text) takes the place of the one in its file; HUP; waits until it is in force, or refused."""
        with open(self.path, "w", encoding="utf-8") as out:
            out.write(config if isinstance(config, str) else yaml(config))
        due = "reloaded: configuration" if good else "the configuration stays as it is"
        before = self.said(due)
        self.signal(signal.SIGHUP)
        self.wait(lambda: self.said(due) > before, what=lambda: "the reload; its last lines: %r" % self.stderr_lines[-5:])

    def rss_bytes(self):
        with open("/proc/%d/status" % self.process.pid) as status:
            return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.process.pid))

    def signal(self, number):
        self.ending = number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
        self.process.send_signal(number)

    def wait_exit(self, deadline=None):
        try:
            code = self.process.wait(deadline or EXIT_DEADLINE)
        except subprocess.TimeoutExpired:
            raise Late("the gateway did not end in time") from None
        for reader in self.readers:
            reader.join(5)
        return code

    def end(self):
        """TERM, and what has to hold of every run."""
        if self.process.poll() is None and not self.ending:
            self.signal(signal.SIGTERM)
        code = self.wait_exit()
        self.check_clean()
        same(code, 0, "the gateway's exit code")

    def check_clean(self):
        text = "\n".join(self.stderr_lines)
        found = SANITIZER_REPORT.search(text)
        check(not found, "a report on standard error: %s", text[found.start():found.start() + 3000] if found else "")
        refused = [line for line in self.stderr_lines if "sandbox: the system call" in line]
        check(not refused, "the gateway's own sandbox refused it something: %s", refused)
        check(not self.bad_records, "not JSON in the access log: %r", self.bad_records[:3])
        leaks = LEAK_CHECK.findall(text)
        if self.sanitizer == "address":
            check(leaks, "no leak check on standard error")
        for blocks, handles in leaks[-1:]:
            same((int(blocks), int(handles)), (0, 0), "(blocks, handles) left at the end")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


def sanitizer_environment():
    env = dict(os.environ)
    common = "halt_on_error=1:print_stacktrace=1"
    env.setdefault("ASAN_OPTIONS", "detect_leaks=1:quarantine_size_mb=4:detect_stack_use_after_return=0:" + common)
    env.setdefault("UBSAN_OPTIONS", common)
    env.setdefault("TSAN_OPTIONS", "halt_on_error=1:second_deadlock_stack=1")
    return env


class Test:
    """What a test function gets."""

    def __init__(self, binary, sanitizer="none", name=""):
        self.binary = binary
        self.sanitizer = sanitizer
        self.name = name
        self.veil = None                 # over TLS: see over_tls.py
        self.folder = tempfile.mkdtemp(prefix="upgate-test-")
        self.gateways = []
        self.listeners = []
        self.conns = []
        self.cleanups = []

    def begin(self):
        self.veil = over_tls.wear(self.name)

    @property
    def scheme(self):
        """Of what clients ask for."""
        return "https" if self.veil and "client" in self.veil.sides else "http"

    # making things

    def backend(self, **options):
        """A backend whose connections the test accepts itself."""
        listener = wire.Listener(**options)
        self.listeners.append(listener)
        return listener

    def unix_backend(self, name="backend.sock", **options):
        return self.backend(path=self.path(name), **options)

    def app(self, answer=None, **options):
        """A backend that answers every request: answer(request) gives the bytes; without one, what it saw as JSON."""
        return self.backend(**options).serve(lambda conn: serve_requests(conn, answer or describe))

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)
        return self.path(name)

    def config(self, **changes):
        base = merged(BASE, {"workers": 2} if self.sanitizer == "thread" else {})
        config = merged(base, changes)
        return self.veil.dress(config) if self.veil else config

    def gateway(self, _wait=True, **changes):
        """A gateway with this configuration over the usual one (listeners, upstreams, routes, timeouts, limits …)."""
        config = self.config(**changes)
        path = self.write("upgate-%d.yaml" % len(self.gateways), yaml(config))
        gateway = self.start(["-c", path], len(config["listeners"]) if _wait else 0)
        gateway.path = path
        return gateway

    def start(self, arguments, listeners=1, environment=None):
        gateway = Gateway(self.binary, arguments, self.sanitizer, environment)
        self.gateways.append(gateway)
        return gateway.wait_listening(listeners) if listeners else gateway

    def simple(self, *backends, websocket=None, route_timeouts=None, upstream=None, **changes):
        """A gateway with one route for everything."""
        route = {"match": {"path": "/"}, "upstream": "app"}
        if websocket is not None:
            route["websocket"] = websocket
        if route_timeouts:
            route["timeouts"] = route_timeouts
        servers = {"servers": [{"address": b if isinstance(b, str) else b.address} for b in backends]}
        return self.gateway(upstreams={"app": merged(servers, upstream or {})}, routes=[route], **changes)

    def client(self, gateway, index=0, **options):
        conn = wire.connect(gateway.address(index), **options)
        self.conns.append(conn)
        return conn

    def exchange(self, gateway, data=None, method="GET"):
        """One request on a connection of its own; its response."""
        client = self.client(gateway)
        client.send(data if data is not None else messages.request(method, fields=[("Connection", "close")]))
        reply = messages.read_response(client, method)
        client.close()
        return reply

    def upgrade(self, gateway, backend, request_fields=(), answer_fields=(), early=b"", behind=b"", **options):
        """A tunnel through the gateway: (client, backend's connection), both behind their heads."""
        client = self.client(gateway, **options)
        client.send(frames.handshake(fields=request_fields) + early)
        server = backend.accept()
        seen = messages.read_head(server)
        check(seen is not None, "no handshake came to the backend")
        server.send(frames.switch(frames.accept_for(seen.get("Sec-WebSocket-Key")), answer_fields) + behind)
        reply = messages.read_response(client)
        same(reply.status, 101, "status")
        return client, server

    def barrier(self, gateway, backend):
        """An exchange of its own through the gateway: whatever it had read before has been acted on when this returns.
        The backend must be one whose connections the test accepts; its pooled connections are looked at first."""
        client = self.client(gateway)
        client.send(messages.request(target="/barrier", fields=[("Connection", "close")]))
        known = [c for c in backend.conns if not c.closed and not c.end]
        server = find_request(backend, known, b"GET /barrier ")
        messages.read_request(server)
        server.send(messages.response(fields=[("Connection", "close")]))
        reply = messages.read_response(client)
        same(reply.status, 200, "the barrier's status")
        client.close()
        server.close()

    @staticmethod
    def comes_in_drops():
        """Reads and writes of the gateway's are of a few bytes each, in this weather."""
        return "<=" in os.environ.get("UPGATE_WEATHER", "")

    @staticmethod
    def needs_speed():
        """For tests with so many bytes, or so short a wait, that reads and writes of a few bytes each take too long."""
        if Test.comes_in_drops():
            raise Skip("takes too long in this weather")

    def needs_whole_writes(self):
        """For tests that are about what stands in one read of the gateway's."""
        self.needs_speed()
        if self.veil and self.veil.shape != "whole":
            raise Skip("what it sends comes in pieces over this TLS")

    def on_exit(self, action):
        self.cleanups.append(action)

    def free_port(self):
        """Nobody else is given it until the test ends: it is bound here, and whoever sets SO_REUSEADDR may listen at it all the same."""
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        self.on_exit(holder.close)
        return holder.getsockname()[1]

    # ending things

    def finish(self):
        """Ends everything and makes the checks of every run; what fails is raised after all was tried."""
        problems = []
        for conn in self.conns:
            conn.close()
        for action in self.cleanups:
            self._try(action, problems)
        for listener in self.listeners:
            listener.close()
            problems += listener.errors
        for gateway in self.gateways:
            if gateway.process.poll() is None:
                self._try(gateway.end, problems)
            else:
                gateway.wait_exit()
                self._try(gateway.check_clean, problems)
            gateway.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
        if problems:
            raise problems[0]

    @staticmethod
    def _try(action, problems):
        try:
            action()
        except Exception as error:
            problems.append(error)

    def stderr_tail(self, lines=25):
        return "\n".join(line for gateway in self.gateways for line in gateway.stderr_lines[-lines:])


def find_request(backend, known, start):
    """The connection on which a request with this start arrives: a known idle one or a new one."""
    def look():
        for conn in known + [c for c in backend.waiting() if known.append(c) or True]:
            if conn.poll().startswith(start):
                return conn
        return None
    return wait_until(look, what="%r at the backend" % start)


# Backends that answer by themselves.

def serve_requests(conn, answer):
    """Answers requests on one connection until it ends. answer(request) gives bytes, or None to end the connection."""
    while True:
        request = messages.read_request(conn, 600)
        if request is None:
            return
        reply = answer(request)
        if reply is None:
            return
        conn.send(reply)


def describe(request):
    """What the backend saw, as JSON."""
    body = json.dumps({"method": request.method, "target": request.target, "fields": request.fields,
                       "body": request.body.decode("latin-1"), "version": list(request.version),
                       "trailers": request.trailers}).encode()
    reply = messages.response(200, body, [("Content-Type", "application/json")])
    return reply[:-len(body)] if request.method == "HEAD" else reply


def described(reply):
    return json.loads(reply.body)


def large(conn, total, block=b"\x5a" * 65536):
    """Sends `total` bytes, as fast as they are taken."""
    left = total
    while left > 0:
        conn.send(block[:min(left, len(block))])
        left -= min(left, len(block))


def in_thread(function, *arguments):
    """Runs it beside the test; .finish() waits for it and raises what it raised."""
    return Beside(function, arguments)


class Beside:
    def __init__(self, function, arguments):
        self.error = None
        self.value = None
        self.thread = threading.Thread(target=self._run, args=(function, arguments), daemon=True)
        self.thread.start()

    def _run(self, function, arguments):
        try:
            self.value = function(*arguments)
        except BaseException as error:
            self.error = error

    def finish(self, deadline=None):
        self.thread.join(deadline or 6 * DEADLINE)
        if self.thread.is_alive():
            raise Late("a part of the test did not end in time")
        if self.error:
            raise self.error
        return self.value


