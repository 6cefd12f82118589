"""What the service manager is told (sd_notify), by a socket that the test holds itself."""
import contextlib
import ctypes
import os
import select
import signal
import time

import harness
from harness import Skip, check, same
from messages import read_response, request
from notifying import Manager


PTRACE_ATTACH, PTRACE_DETACH, WALL = 16, 17, 0x40000000


@contextlib.contextmanager
def stopped_threads(pid):
    """All threads of the process but the first stand still, as if they hung."""
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_long] * 4
    threads = [int(thread) for thread in os.listdir("/proc/%d/task" % pid) if int(thread) != pid]
    for thread in threads:
        if ptrace(PTRACE_ATTACH, thread, 0, 0) != 0:
            raise Skip("this system does not allow to trace a process: %s" % os.strerror(ctypes.get_errno()))
        os.waitpid(thread, WALL)
    try:
        yield
    finally:
        for thread in threads:
            ptrace(PTRACE_DETACH, thread, 0, 0)


def start(t, name=None, watchdog_ms=0, **changes):
    manager = Manager(name or t.path("notify"))
    t.on_exit(manager.close)
    backend = t.app()
    config = t.config(upstreams={"app": {"servers": [backend.address]}}, routes=[{"upstream": "app"}], **changes)
    path = t.write("upgate.yaml", harness.yaml(config))
    gateway = t.start(["-c", path], len(config["listeners"]), environment=manager.environment(watchdog_ms))
    gateway.path = path
    return gateway, manager, config


def test_ready_is_told_when_connections_are_accepted(t):
    for name in (t.path("notify"), "@upgate-test-%d" % os.getpid()):
        gateway, manager, _ = start(t, name)
        sender, lines = manager.next()
        same(sender, gateway.process.pid, "who told")
        same(lines, {"READY": "1", "STATUS": "running"}, "the first thing told")
        client = t.client(gateway)
        client.send(request())
        same(read_response(client).status, 200, "status")
        gateway.signal(signal.SIGTERM)
        same(manager.next()[1], {"STOPPING": "1", "STATUS": "draining"}, "the second")
        same(gateway.wait_exit(), 0, "exit code")


def test_each_reload_is_told_and_ends_with_ready(t):
    gateway, manager, config = start(t)
    manager.wait(READY="1")
    for good in (True, False, True):
        before = time.clock_gettime(time.CLOCK_MONOTONIC)
        gateway.reload(config if good else "listeners: [", good=good)
        _, lines = manager.next()
        same(lines["RELOADING"], "1", "what is told first")
        check(before <= int(lines["MONOTONIC_USEC"]) / 1e6 <= time.clock_gettime(time.CLOCK_MONOTONIC), "%r", lines)
        same(manager.next()[1]["READY"], "1", "what is told behind it")


def test_a_start_that_fails_is_never_ready(t):
    manager = Manager(t.path("notify"))
    t.on_exit(manager.close)
    config = t.config(listeners=["192.0.2.1:80"], upstreams={"app": {"servers": ["127.0.0.1:1"]}}, routes=[{"upstream": "app"}])
    gateway = t.start(["-c", t.write("upgate.yaml", harness.yaml(config))], 0, environment=manager.environment())
    same(gateway.wait_exit(), 1, "exit code")
    manager.socket.setblocking(False)
    try:
        check(False, "told %r", manager.socket.recv(4096))
    except BlockingIOError:
        pass


def test_the_watchdog_is_fed_while_all_workers_answer(t):
    gateway, manager, _ = start(t, watchdog_ms=400, workers=3)
    manager.wait(READY="1")
    for _ in range(3):
        _, lines = manager.wait(WATCHDOG="1")
        check(lines["STATUS"].startswith("running; connections: 0"), "%r", lines)
    with stopped_threads(gateway.process.pid):
        gateway.wait(lambda: gateway.said("a worker has not answered") >= 2, what="a warning about the worker")
        while select.select([manager.socket], [], [], 0)[0]:
            manager.next()                               # what was told before they stopped
        warnings = gateway.said("a worker has not answered")
        gateway.wait(lambda: gateway.said("a worker has not answered") > warnings, what="another warning")
        check(not select.select([manager.socket], [], [], 0)[0], "the watchdog was fed although the workers hang")
    manager.wait(WATCHDOG="1")
    gateway.signal(signal.SIGTERM)
    manager.wait(STOPPING="1")
    same(gateway.wait_exit(), 0, "exit code")


def test_the_watchdog_is_another_process_s(t):
    manager = Manager(t.path("notify"))
    t.on_exit(manager.close)
    config = t.config(upstreams={"app": {"servers": ["127.0.0.1:1"]}}, routes=[{"upstream": "app"}])
    environment = dict(manager.environment(20), WATCHDOG_PID="1")
    gateway = t.start(["-c", t.write("upgate.yaml", harness.yaml(config))], environment=environment)
    manager.wait(READY="1")
    gateway.signal(signal.SIGTERM)
    same(manager.next()[1]["STOPPING"], "1", "what is told behind READY")
