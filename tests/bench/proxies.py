"""The proxies that are measured, each a process on loopback with one worker, pinned to one core.

Each gets what its own documentation shows for a proxy in front of WebSockets and HTTP, no access log, kept connections to the origin,
and limits that 15,000 tunnels fit into. `relay` is no proxy but the least that relaying can cost (relay.c).
"""
import os
import pwd
import re
import resource
import shutil
import socket
import subprocess
import tempfile
import time

LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")
START_SECONDS = 20.0
DESCRIPTORS = 65536                      # two for a tunnel, and some more
MODES = ["blind", "frames", "utf8"]


class CannotStart(Exception):
    pass


def free_port():
    """One that the kernel chose a moment ago; who is to use it tries again should it be taken meanwhile."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def await_that(condition, what):
    limit = time.monotonic() + START_SECONDS
    while time.monotonic() < limit:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise CannotStart(what)


def answers_at(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def children_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as children:
        return [int(child) for child in children.read().split()]


def limit_descriptors():
    """As many as there may be; how many that is."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, DESCRIPTORS), max(most, DESCRIPTORS)))
    except (ValueError, OSError):        # more needs a privilege
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Proxy:
    """A running one: `ports` by variant, `pid` of the process that does the work."""
    command = package = None
    workers = 1

    def __init__(self, core, origin_ports, settings=None):
        self.core, self.origin_ports, self.settings = core, origin_ports, settings or {}
        self.origin_port = origin_ports["origin"]
        self.folder = tempfile.mkdtemp(prefix="upgate-bench-")
        os.chmod(self.folder, 0o755)
        self.process, self.ports = None, {}
        self.stderr_path = os.path.join(self.folder, "stderr")
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def prepare_child(self):
        if self.core is not None:
            os.sched_setaffinity(0, {self.core} if self.workers == 1 else {self.core, self.core + 1})
        limit_descriptors()
        if os.getuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)

    def environment(self):
        return None

    def spawn(self, arguments):
        with open(self.stderr_path, "w", encoding="utf-8") as errors:
            os.chmod(self.stderr_path, 0o666)
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
                                            preexec_fn=self.prepare_child, cwd=self.folder, env=self.environment())

    def stderr(self):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as errors:
            return errors.read()

    def file(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def announced_ports(self, count):
        def look():
            if self.process.poll() is not None:
                raise CannotStart(self.stderr())
            ports = LISTENING.findall(self.stderr())
            return [int(port) for port in ports] if len(ports) >= count else None
        return await_that(look, "does not say where it listens")

    @property
    def pid(self):
        return self.process.pid

    def processes(self):
        return [self.process.pid] + children_of(self.process.pid)

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


class Relay(Proxy):
    def start(self):
        self.spawn([self.settings["relay"], str(self.origin_port)])
        self.ports = {"relay": self.announced_ports(1)[0]}


class Direct(Proxy):
    """No proxy: the origin itself, for what a latency is without one."""

    def start(self):
        self.ports = {"direct": self.origin_port}

    @property
    def pid(self):
        return os.getpid()


class Upgate(Proxy):
    """One process, a listener per way of verifying."""

    def start(self):
        lines = ["workers: %d" % self.workers, "log: { level: info, access: { format: off } }", "listeners:"]
        lines += ["  - { address: 127.0.0.1:0, name: %s }" % mode for mode in MODES]
        lines += ["timeouts: { drain: 1s, drain_spread: 10ms }", "upstreams:",
                  "  origin: { servers: [127.0.0.1:%d], keepalive: 600 }" % self.origin_port, "routes:"]
        lines += ["  - { match: { listener: %s }, upstream: origin, websocket: { verify: %s } }" % (mode, mode) for mode in MODES]
        path = self.file("upgate.yaml", "\n".join(lines) + "\n")
        self.spawn([self.settings["upgate"], "-c", path])
        names = ["upgate " + mode for mode in MODES] if self.workers == 1 else ["upgate %s, %d workers" % (mode, self.workers) for mode in MODES]
        self.ports = dict(zip(names, self.announced_ports(len(MODES))))

    def shares(self):
        """What each worker thread has used of the CPU, in clock ticks."""
        ticks = []
        for task in os.listdir("/proc/%d/task" % self.pid):
            with open("/proc/%d/task/%s/stat" % (self.pid, task), encoding="ascii") as stat:
                words = stat.read().rsplit(")", 1)[1].split()
            ticks.append(int(words[11]) + int(words[12]))
        return sorted(ticks)[-self.workers:]


class UpgateTwo(Upgate):
    workers = 2


class Packaged(Proxy):
    """A program of the distribution, that cannot say which port the kernel gave it."""

    def start(self):
        program = shutil.which(self.command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if program is None:
            raise CannotStart("%s is not installed (Debian: %s)" % (self.command, self.package))
        for _ in range(5):
            port = free_port()
            path = self.file(self.command + ".conf", self.configuration(port))
            os.chmod(self.folder, 0o777)
            self.spawn(self.arguments(program, path))
            if await_that(lambda: self.process.poll() is not None or answers_at(port), self.command + " does not answer") \
                    and self.process.poll() is None:
                self.ports = {self.command: port}
                return
        raise CannotStart("%s: %s" % (self.command, self.stderr()[-2000:]))


class Nginx(Packaged):
    command, package = "nginx", "nginx-light"

    def arguments(self, program, path):
        return [program, "-p", self.folder, "-e", "stderr", "-c", path]

    @property
    def pid(self):
        return await_that(lambda: children_of(self.process.pid), "nginx has no worker")[0]

    def configuration(self, port):
        return """
daemon off;
worker_processes 1;
worker_rlimit_nofile 65536;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 65536; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream origin {{
        server 127.0.0.1:{origin};
        keepalive 600;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 5m;
        }}
    }}
}}
""".format(folder=self.folder, origin=self.origin_port, port=port)


class Haproxy(Packaged):
    command, package = "haproxy", "haproxy"

    def arguments(self, program, path):
        return [program, "-db", "-f", path]

    def configuration(self, port):
        return """
global
    nbthread 1
    maxconn {most}
defaults
    mode http
    option http-keep-alive
    option forwardfor
    http-reuse always
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 5m
    timeout http-keep-alive 75s
frontend public
    bind 127.0.0.1:{port} backlog 4096
    default_backend origin
backend origin
    server origin 127.0.0.1:{origin} pool-max-conn 600
""".format(origin=self.origin_port, port=port, most=min(20000, limit_descriptors() // 2 - 100))


def versions(settings):
    found = {}
    for name, arguments in [("upgate", [settings["upgate"], "-V"]), ("nginx", ["nginx", "-v"]), ("haproxy", ["haproxy", "-v"])]:
        environment = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=30, env=environment)
        except OSError:
            continue
        match = re.search(r"\d+\.\d+[\w.+~-]*", done.stdout + done.stderr)
        found[name] = match.group(0) if match else "?"
    return found
