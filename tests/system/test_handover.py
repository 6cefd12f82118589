"""A new binary takes over the listening sockets (USR2); sockets that systemd holds. Nobody is refused, nothing that is under way ends."""
import ctypes
import os
import re
import shutil
import signal
import socket
import stat
import sys
import threading

import admin
import harness
from frames import CLOSE, TEXT, close_payload, frame, read_close, read_frame
from harness import check, merged, same
from messages import read_response, request
from notifying import Manager
from wire import wait_until

PR_SET_CHILD_SUBREAPER = 36
UPGRADES = int(os.environ.get("UPGATE_UPGRADES", "4"))
READY = re.compile(r"the new process (\d+) is ready")
ONCE = request(fields=[("Connection", "close")])


class Successors:
    """The processes that came after the gateway's first one. They are orphans, and so come to the test."""

    def __init__(self, t, gateway):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self.gateway = gateway
        self.pids = [gateway.process.pid]
        self.ended = False
        self.codes = {}
        t.on_exit(lambda: self.ended or self.end())

    def upgrade(self):
        done = len(self.found())
        os.kill(self.pids[-1], signal.SIGUSR2)
        self.gateway.wait(lambda: len(self.found()) > done, what="a new process that is ready")
        self.pids.append(self.found()[-1])
        return self.pids[-1]

    def found(self):
        return [int(m[1]) for m in map(READY.search, self.gateway.stderr_lines) if m]

    def wait_exit(self, index):
        """The exit code of one that was told to end."""
        if index == 0:
            return self.gateway.process.wait(harness.EXIT_DEADLINE)
        if index not in self.codes:
            self.codes[index] = wait_until(lambda: self._reap(self.pids[index]), harness.EXIT_DEADLINE, what="the end of a process")[0]
        return self.codes[index]

    @staticmethod
    def _reap(pid):
        try:
            done, status = os.waitpid(pid, os.WNOHANG)
            return (os.waitstatus_to_exitcode(status),) if done else None
        except ChildProcessError:                        # the launcher that it is a child of has not ended yet, and may have reaped it
            return None if os.path.exists("/proc/%d" % pid) else (0,)

    def end(self):
        self.ended = True
        os.kill(self.pids[-1], signal.SIGTERM)
        self.gateway.ending = True
        for index in range(len(self.pids)):
            same(self.wait_exit(index), 0, "the exit code of process %d" % index)
        for reader in self.gateway.readers:
            reader.join(harness.EXIT_DEADLINE)
            check(not reader.is_alive(), "some process still has the gateway's output")
        check(self.gateway.said("info  ended") >= len(self.pids), "not every process ended in order")
        leaks = harness.LEAK_CHECK.findall("\n".join(self.gateway.stderr_lines))
        if self.gateway.sanitizer == "address":
            check(len(leaks) >= len(self.pids) and set(leaks) == {("0", "0")}, "the leak checks: %r", leaks)


class Hammer:
    """Connections with one request each, as many as there can be, until it is stopped."""

    def __init__(self, t, gateway, index, threads=2):
        self.address, self.done, self.failures, self.stopped = gateway.address(index), 0, [], False
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()
        t.on_exit(self.stop)

    def _run(self):
        while not self.stopped:
            try:
                with socket.socket(socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET) as s:
                    s.settimeout(harness.DEADLINE)
                    s.connect(self.address)
                    s.sendall(ONCE)
                    text = b""
                    while True:
                        part = s.recv(65536)
                        if not part:
                            break
                        text += part
                good = text.startswith(b"HTTP/1.1 200 ")
                problem = None if good else text[:200]
            except OSError as error:
                problem = error
            with self.lock:
                self.done += 1
                if problem is not None:
                    self.failures.append(problem)

    def more(self, n=20):
        """Until so many more are done."""
        due = self.done + n
        wait_until(lambda: self.done >= due or self.failures, what="requests to be answered")

    def stop(self):
        self.stopped = True
        for thread in self.threads:
            thread.join(harness.DEADLINE)
        check(not self.failures, "%d of %d failed: %r", len(self.failures), self.done, self.failures[:3])


def start(t, *backends, binary=None, environment=None, **changes):
    config = t.config(**merged({"upstreams": {"app": {"servers": [b.address for b in backends]}}, "routes": [{"upstream": "app"}]}, changes))
    path = t.write("upgate.yaml", harness.yaml(config))
    before, t.binary = t.binary, binary or t.binary
    gateway = t.start(["-c", path], len(config["listeners"]), environment=environment)
    t.binary, gateway.path = before, path
    return gateway, config


def rewrite(gateway, config):
    with open(gateway.path, "w", encoding="utf-8") as out:
        out.write(config if isinstance(config, str) else harness.yaml(config))


def status_of(t, gateway, index=0):
    client = t.client(gateway, index)
    client.send(ONCE)
    status = read_response(client).status
    client.close()
    return status


def test_nobody_is_refused_while_one_process_follows_another(t):
    gateway, config = start(t, t.app(), listeners=["127.0.0.1:0", "unix:" + t.path("front.sock")], workers=2)
    successors = Successors(t, gateway)
    hammers = [Hammer(t, gateway, index) for index in (0, 1)]
    for number in range(UPGRADES):
        for hammer in hammers:
            hammer.more()
        rewrite(gateway, dict(config, workers=(3, 1, 4, 2)[number % 4]))         # more sockets than before, and fewer workers than sockets
        successors.upgrade()
    for hammer in hammers:
        hammer.more()
        hammer.stop()
    check(stat.S_ISSOCK(os.stat(t.path("front.sock")).st_mode), "the socket's path is gone")
    for index in range(UPGRADES):
        same(successors.wait_exit(index), 0, "exit code")
    same([status_of(t, gateway, 0), status_of(t, gateway, 1)], [200, 200], "statuses when only the last one is left")


def test_a_tunnel_goes_on_in_the_process_that_drains(t):
    backend = t.backend()
    gateway, _ = start(t, backend, timeouts={"drain": "1h", "drain_spread": "10m"})
    successors = Successors(t, gateway)
    client, server = t.upgrade(gateway, backend)
    successors.upgrade()
    gateway.wait(lambda: gateway.said("draining"), what="the first one to drain")
    for text in (b"one", b"two"):
        client.send(frame(TEXT, text))
        same(read_frame(server).payload, text, "at the server")
        server.send(frame(TEXT, text, mask=False))
        same(read_frame(client).payload, text, "at the client")
    check(gateway.process.poll() is None, "the process ended under its tunnel")
    client.send(frame(CLOSE, close_payload(1000)))
    read_close(server, 1000)
    server.send(frame(CLOSE, close_payload(1000), mask=False))
    read_close(client, 1000)
    same(successors.wait_exit(0), 0, "exit code")
    other, other_server = t.upgrade(gateway, backend)
    other.send(frame(TEXT, b"new"))
    same(read_frame(other_server).payload, b"new", "at the server, of the new process")
    other.close()
    other_server.close()


def test_a_new_process_that_cannot_start_changes_nothing(t):
    gateway, config = start(t, t.app())
    successors = Successors(t, gateway)
    for number, bad in enumerate(["listeners: [", merged(config, {"listeners": [{"address": "192.0.2.1:80"}]})]):
        rewrite(gateway, bad)
        gateway.signal(signal.SIGUSR2)
        gateway.wait(lambda: gateway.said("this one goes on as before") > number, what="a word about the failure")
        same(status_of(t, gateway), 200, "status")
    check(gateway.said("cannot listen on 192.0.2.1:80"), "no word about why: %r", gateway.stderr_lines[-8:])
    rewrite(gateway, config)
    successors.upgrade()
    same(successors.wait_exit(0), 0, "exit code")
    same(status_of(t, gateway), 200, "status")


def test_a_binary_that_does_not_run_changes_nothing(t):
    binary = t.path("upgate")
    shutil.copy2(t.binary, binary)
    gateway, _ = start(t, t.app(), binary=binary)
    for number, text in enumerate(["no program at all", "#!/bin/sh\nexit 3\n"]):
        with open(binary + ".new", "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(binary + ".new", 0o755)
        os.rename(binary + ".new", binary)
        gateway.signal(signal.SIGUSR2)
        gateway.wait(lambda: gateway.said("this one goes on as before") > number, what="a word about the failure")
        same(status_of(t, gateway), 200, "status")
    check(gateway.said("Exec format error"), "no word about why")


def test_a_process_that_drains_or_starts_one_already_starts_no_other(t):
    backend = t.backend()
    gateway, _ = start(t, backend, timeouts={"drain": "1h", "drain_spread": "10m"})
    successors = Successors(t, gateway)
    client, server = t.upgrade(gateway, backend)
    gateway.signal(signal.SIGUSR2)
    gateway.signal(signal.SIGUSR2)                       # two that arrive as one are one
    gateway.wait(successors.found, what="the new process")
    successors.pids.append(successors.found()[-1])
    gateway.wait(lambda: gateway.said("draining"), what="the drain")
    gateway.signal(signal.SIGUSR2)
    gateway.wait(lambda: gateway.said("no new process is started: the gateway is draining"), what="a word")
    same(len(successors.found()), 1, "new processes")
    client.close()
    server.close()


def test_the_service_manager_follows_to_the_new_process(t):
    manager = Manager(t.path("notify"))
    t.on_exit(manager.close)
    gateway, _ = start(t, t.app(), environment=dict(manager.environment(400), WATCHDOG_PID="0"))
    successors = Successors(t, gateway)
    first = gateway.process.pid
    same(manager.next(), (first, {"READY": "1", "STATUS": "running"}), "what the first one told")
    second = successors.upgrade()
    same(manager.next(), (first, {"MAINPID": str(second)}), "what it told last")
    same(manager.next(), (second, {"READY": "1", "STATUS": "running"}), "what the second one told")
    same(manager.wait(WATCHDOG="1")[0], second, "who feeds the watchdog")
    same(successors.wait_exit(0), 0, "exit code")
    check(all(sender == second for sender, _ in manager.told[3:]), "the first one went on telling: %r", manager.told)


# Sockets from outside, as systemd passes them.

SHIM = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",")]
moved = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(moved):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=":".join(["upgate.socket"] * len(fds)))
os.execv(sys.argv[2], sys.argv[2:])
"""


def activated(t, sockets, count, **changes):
    """A gateway that is passed these sockets. (gateway, configuration)"""
    config = t.config(**merged({"upstreams": {"app": {"servers": [t.app().address]}}, "routes": [{"upstream": "app"}]}, changes))
    path = t.write("upgate.yaml", harness.yaml(config))
    fds = [s.fileno() for s in sockets]
    gateway = harness.Gateway(sys.executable, ["-c", SHIM, ",".join(map(str, fds)), t.binary, "-c", path], t.sanitizer, pass_fds=fds)
    t.gateways.append(gateway)
    gateway.path = path
    return gateway.wait_listening(count), config


def listening(address, reuse=False):
    s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    if reuse:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if s.family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(address)
    s.listen(64)
    return s


def test_sockets_that_are_passed_in_are_used(t):
    for reuse in (False, True):
        path = t.path("front-%d.sock" % reuse)
        sockets = [listening(("127.0.0.1", 0), reuse), listening(("::1", 0), reuse), listening(path)]
        ports = [s.getsockname()[1] for s in sockets[:2]]
        gateway, config = activated(t, sockets, 3, workers=3, listeners=["127.0.0.1:%d" % ports[0], "[::1]:%d" % ports[1], "unix:" + path])
        for _ in range(8):
            for index in range(3):
                same(status_of(t, gateway, index), 200, "status")
        gateway.reload(config)
        same(status_of(t, gateway), 200, "status")
        gateway.end()
        early = socket.create_connection(("127.0.0.1", ports[0]), timeout=harness.DEADLINE)      # systemd still holds them
        check(os.path.exists(path), "the path of a socket that is somebody else's was removed")
        gateway, _ = activated(t, sockets, 3, workers=1, listeners=config["listeners"])
        early.sendall(ONCE)
        check(early.recv(100).startswith(b"HTTP/1.1 200 "), "who came while nobody was there")
        early.close()
        gateway.end()
        for s in sockets:
            s.close()
        os.unlink(path)


def test_a_socket_that_was_passed_in_goes_on_to_the_next_process(t):
    path = t.path("front.sock")
    sockets = [listening(("127.0.0.1", 0)), listening(path)]
    address = "127.0.0.1:%d" % sockets[0].getsockname()[1]
    gateway, _ = activated(t, sockets, 2, workers=2, listeners=[address, "unix:" + path])
    successors = Successors(t, gateway)
    for s in sockets:
        s.close()
    successors.upgrade()
    same(successors.wait_exit(0), 0, "exit code")
    same([status_of(t, gateway, 0), status_of(t, gateway, 1)], [200, 200], "statuses")
    successors.end()
    check(os.path.exists(path), "the path was removed by a process whose socket it is not")


def test_what_belongs_to_no_listener_is_said_and_closed(t):
    stray, mine = listening(("127.0.0.1", 0)), listening(("127.0.0.1", 0))
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    address = "127.0.0.1:%d" % mine.getsockname()[1]
    gateway, _ = activated(t, [stray, datagram, mine], 1, listeners=[address])
    gateway.wait(lambda: gateway.said("127.0.0.1:%d was passed in, but no listener has that address" % stray.getsockname()[1]), what="a word")
    check(gateway.said("descriptor 4, which was passed in, is not a listening stream socket"), "no word about it")
    same(status_of(t, gateway), 200, "status")


def test_variables_that_are_meant_for_another_process_count_for_nothing(t):
    gateway, _ = start(t, t.app(), environment={"LISTEN_FDS": "2", "LISTEN_PID": "1"})
    same(status_of(t, gateway), 200, "status")


def test_the_admin_endpoint_goes_to_the_new_process(t):
    backend = t.backend()
    for address in ["unix:" + t.path("admin.sock"), "127.0.0.1:%d" % t.free_port()]:
        gateway = t.simple(backend, admin={"address": address}, timeouts={"drain": "60s", "drain_spread": "60s", "drain_delay": "500ms"})
        successors = Successors(t, gateway)
        client, server = t.upgrade(gateway, backend)
        same(admin.ask_json(t, gateway, "/tunnels")["matched"], 1, "tunnels")
        answers, stopped = [], threading.Event()

        def keep_asking():
            while not stopped.is_set():
                answers.append(admin.ask_json(t, gateway, "/status.json")["state"])

        asking = harness.in_thread(keep_asking)
        successors.upgrade()
        gateway.wait(lambda: gateway.said("draining"), what="the old one's drain")
        same(admin.ask_json(t, gateway, "/tunnels")["matched"], 0, "tunnels of the new one")
        admin.ask(t, gateway, "/readyz")
        stopped.set()
        asking.finish()                                      # nobody was refused
        check(set(answers) <= {"running", "draining"}, "%r", set(answers))
        same(admin.ask_json(t, gateway, "/status.json")["state"], "running", "the new one's state")
        client.close()
        server.close()
        successors.wait_exit(0)
        admin.ask(t, gateway, "/healthz")                    # its path is the new one's
        successors.end()
