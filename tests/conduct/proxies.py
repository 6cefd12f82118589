"""The proxies that the cases are played against, each started unprivileged on loopback with one front address per slot.

nginx and HAProxy get what their own documentation shows for a proxy in front of WebSockets; nothing is tuned for or against a case.
Timeouts are two seconds for all of them, so that the cases about silence are short.
"""
import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system"))

import harness  # noqa: E402


# A slot's listeners; behind: a load balancer that sends PROXY headers. Behind the hasty one nobody waits long, for the cases in which somebody
# falls silent: what one says late, on a machine that is busy, is no silence.
KINDS = ["public", "trusted", "behind", "hasty"]


class CannotStart(Exception):
    pass


def free_ports(count):
    """Ports that the kernel chose a moment ago; the caller tries again should one be taken meanwhile."""
    socks = [socket.socket() for _ in range(count)]
    for sock in socks:
        sock.bind(("127.0.0.1", 0))
    ports = [sock.getsockname()[1] for sock in socks]
    for sock in socks:
        sock.close()
    return ports


def unprivileged():
    """To be run in the child: away from root, where this is root."""
    if os.getuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)


def answers_at(port, deadline=10.0):
    limit = time.monotonic() + deadline
    while time.monotonic() < limit:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            time.sleep(0.02)
    return False


def waits(seconds):
    """Of a route of the gateway."""
    text = "%dms" % (1000 * seconds * harness.wire.SLOWNESS)
    return {"timeouts": {"body": text, "response": text}, "websocket": {"handshake_timeout": text, "close_timeout": "1s"}}


class Upgate:
    strict = True

    def __init__(self, binary, sanitizer="none"):
        self.binary, self.sanitizer = os.path.abspath(binary), sanitizer
        self.folder = tempfile.mkdtemp(prefix="upgate-conduct-")
        self.gateway = None

    def name(self):
        return "upgate"

    def version(self):
        done = subprocess.run([self.binary, "-V"], capture_output=True, text=True, check=False, timeout=30)
        return done.stdout.splitlines()[0].strip() if done.stdout else "upgate"

    def start(self, slots):
        listeners, upstreams, routes = [], {}, []
        for i, slot in enumerate(slots):
            for kind in KINDS:
                listener = {"address": "127.0.0.1:0", "name": "%s%d" % (kind, i)}
                if kind in ("trusted", "behind"):
                    listener["trusted"] = ["127.0.0.0/8"]
                if kind == "behind":
                    listener["proxy_protocol"] = "require"
                listeners.append(listener)
                routes.append(dict({"match": {"listener": listener["name"]}, "upstream": "slot%d" % i}, **waits(2 if kind == "hasty" else 30)))
            upstreams["slot%d" % i] = {"servers": [{"address": "127.0.0.1:%d" % slot.port}]}
        wait = {"header": "%dms" % (5000 * harness.wire.SLOWNESS), "connect": "30s", "keepalive": "30s", "drain": "2s", "drain_spread": "100ms"}
        config = {"workers": 1, "log": {"access": {"format": "off"}}, "timeouts": wait, "listeners": listeners,
                  "upstreams": upstreams, "routes": routes, "forwarded": {"via": "upgate", "x_forwarded": True, "rfc7239": True}}
        if harness.wire.veil:
            config = harness.wire.veil.dress(config)
        path = os.path.join(self.folder, "upgate.yaml")
        with open(path, "w", encoding="utf-8") as out:
            out.write(harness.yaml(config))
        self.gateway = harness.Gateway(self.binary, ["-c", path], self.sanitizer)
        try:
            self.gateway.wait_listening(len(listeners))
        except (harness.Wrong, harness.Late):
            raise CannotStart("upgate does not start: %s" % "\n".join(self.gateway.stderr_lines)) from None
        for i, slot in enumerate(slots):
            slot.fronts = {kind: self.gateway.address(len(KINDS) * i + n) for n, kind in enumerate(KINDS)}

    def stop(self):
        try:
            if self.gateway:
                self.gateway.end()
        finally:
            if self.gateway:
                self.gateway.kill()
            shutil.rmtree(self.folder, ignore_errors=True)


class Program:
    """A proxy of the distribution: a configuration file, a process, ports found beforehand."""
    strict = False

    def __init__(self):
        self.program = shutil.which(self.command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if not self.program:
            raise CannotStart("%s is not installed (Debian: %s)" % (self.command, self.package))
        self.folder = tempfile.mkdtemp(prefix="upgate-conduct-")
        os.chmod(self.folder, 0o777)

    def name(self):
        return self.command

    def start(self, slots):
        for _ in range(5):
            ports = free_ports(len(slots))
            path = os.path.join(self.folder, self.command + ".conf")
            with open(path, "w", encoding="utf-8") as out:
                out.write(self.configuration(list(zip(ports, slots))))
            self.errors = open(os.path.join(self.folder, "stderr"), "w+", encoding="utf-8")
            self.process = subprocess.Popen(self.arguments(path), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                            stderr=self.errors, preexec_fn=unprivileged, cwd=self.folder)
            if all(answers_at(port) for port in ports) and self.process.poll() is None:
                for port, slot in zip(ports, slots):
                    slot.fronts = {"public": ("127.0.0.1", port)}
                return
            self.kill()
        self.errors.seek(0)
        raise CannotStart("%s does not start: %s" % (self.command, self.errors.read()[-2000:]))

    def kill(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)

    def stop(self):
        self.kill()
        self.errors.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class Nginx(Program):
    command, package = "nginx", "nginx-light"

    def version(self):
        done = subprocess.run([self.program, "-v"], capture_output=True, text=True, check=False)
        return re.sub(r"^nginx version: ", "", done.stderr.strip())

    def arguments(self, path):
        return [self.program, "-p", self.folder, "-e", "stderr", "-c", path]

    def configuration(self, pairs):
        text = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_header_timeout 2s;
    client_body_timeout 2s;
    keepalive_timeout 30s;
    proxy_read_timeout 2s;
    proxy_send_timeout 2s;
    map $http_upgrade $connection_upgrade {{
        default upgrade;
        ''      close;
    }}
""".format(folder=self.folder)
        for port, slot in pairs:
            text += """
    server {
        listen 127.0.0.1:%d;
        location / {
            proxy_pass http://127.0.0.1:%d;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }
    }
""" % (port, slot.port)
        return text + "}\n"


class Haproxy(Program):
    command, package = "haproxy", "haproxy"

    def version(self):
        done = subprocess.run([self.program, "-v"], capture_output=True, text=True, check=False)
        return "haproxy/" + re.search(r"version (\S+)", done.stdout)[1]

    def arguments(self, path):
        return [self.program, "-db", "-q", "-f", path]

    def configuration(self, pairs):
        text = """
global
    maxconn 4096
    nbthread 1
defaults
    mode http
    option forwardfor
    timeout connect 2s
    timeout client 2s
    timeout server 2s
    timeout http-request 2s
    timeout http-keep-alive 30s
    timeout tunnel 1h
"""
        for i, (port, slot) in enumerate(pairs):
            text += """
frontend front%d
    bind 127.0.0.1:%d
    default_backend back%d
backend back%d
    server app 127.0.0.1:%d
""" % (i, port, i, i, slot.port)
        return text


class Running:
    """A proxy that somebody else started: HOST:PORT,BACKENDPORT, which forwards to 127.0.0.1:BACKENDPORT."""
    strict = False

    def __init__(self, text):
        match = re.fullmatch(r"(.+):(\d+),(\d+)", text)
        if not match:
            raise CannotStart("%r is not HOST:PORT,BACKENDPORT" % text)
        self.front, self.backend_port = (match[1].strip("[]"), int(match[2])), int(match[3])

    def name(self):
        return "%s:%d" % self.front

    def version(self):
        return self.name()

    def start(self, slots):
        slots[0].fronts = {"public": self.front}

    def stop(self):
        pass


def proxy_from(text, sanitizer):
    if text == "nginx":
        return Nginx()
    if text == "haproxy":
        return Haproxy()
    if text.startswith("upgate:"):
        return Upgate(text[len("upgate:"):], sanitizer)
    return Running(text)
