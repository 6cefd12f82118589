"""What the running gateway may still do, seen from outside: /proc says it of every thread. What it cannot do is tried from inside in
tests/gateway/test_sandbox.c. All other system tests run with the sandbox on, too."""
import os
import pwd
import signal
import subprocess

import harness
import tls
from harness import Skip, check, same
from test_handover import Successors, start, status_of


def threads(pid):
    """What /proc says of each thread, by name."""
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, thread), encoding="utf-8") as status:
            yield dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)


def needs_root():
    if os.geteuid() != 0:
        raise Skip("only root can become somebody else")


def open_to_all(t):
    os.chmod(t.folder, 0o755)


def said_on(gateway):
    if not gateway.said("sandbox: on"):
        raise Skip("this kernel has no Landlock, or no seccomp")


def test_every_thread_is_locked_in(t):
    gateway, _ = start(t, t.app(), workers=3)
    said_on(gateway)
    same(status_of(t, gateway), 200, "status")           # the threads that a name server's answer needs are there, too
    seen = list(threads(gateway.process.pid))
    check(len(seen) >= 4, "threads: %d", len(seen))
    for thread in seen:
        same([thread["Seccomp"], thread["NoNewPrivs"]], ["2", "1"], "of thread " + thread["Pid"])


def test_root_is_given_up_and_everything_still_works(t):
    needs_root()
    open_to_all(t)
    nobody = pwd.getpwnam("nobody")
    os.mkdir(t.path("log"))
    os.chown(t.path("log"), nobody.pw_uid, nobody.pw_gid)
    gateway, config = start(t, t.app(), user="nobody", workers=2, log={"access": {"to": t.path("log/access.log")}})
    successors = Successors(t, gateway)
    for turn in range(2):
        pid = successors.pids[-1]
        for thread in threads(pid):
            same(thread["Uid"].split(), [str(nobody.pw_uid)] * 4, "uids")
            same(thread["Gid"].split(), [str(nobody.pw_gid)] * 4, "gids")
            same({thread[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}, {"0" * 16}, "capabilities")
        same(status_of(t, gateway), 200, "status")
        reloaded = gateway.said("reloaded: configuration")
        os.kill(pid, signal.SIGHUP)
        gateway.wait(lambda: gateway.said("reloaded: configuration") > reloaded, what="a reload")
        os.rename(t.path("log/access.log"), t.path("log/access.log.%d" % turn))
        os.kill(pid, signal.SIGUSR1)
        harness.wait_until(lambda: os.path.exists(t.path("log/access.log")), what="another access log")
        same(os.stat(t.path("log/access.log")).st_uid, nobody.pw_uid, "whose the access log is")
        if turn == 0:
            successors.upgrade()                         # by root again, which the launcher still is
            same(successors.wait_exit(0), 0, "exit code")


def test_a_key_that_only_root_can_read_is_warned_of(t):
    needs_root()
    open_to_all(t)
    pair = tls.Authority(t.path("tls")).issue("site")
    key = pair["key"]
    os.chmod(key, 0o600)
    listener = {"address": "127.0.0.1:0", "tls": {"certificates": [pair]}}
    gateway, config = start(t, t.app(), user="nobody", listeners=[listener])
    check(gateway.said("%s cannot be read by the user nobody" % key), "no warning: %r", gateway.stderr_lines)
    gateway.reload(config, good=False)
    check(gateway.said("Permission denied"), "no word about why: %r", gateway.stderr_lines[-5:])
    done = subprocess.run([t.binary, "-t", "-c", gateway.path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          env=harness.sanitizer_environment())
    check(done.returncode == 0 and "cannot be read by the user nobody" in done.stdout, "%s", done.stdout)
    os.chmod(key, 0o644)
    gateway.reload(config)


def test_a_user_that_is_not_there_stops_the_start(t):
    needs_root()
    config = t.config(user="nobody-of-that-name", upstreams={"app": {"servers": ["127.0.0.1:1"]}}, routes=[{"upstream": "app"}])
    gateway = t.start(["-c", t.write("upgate.yaml", harness.yaml(config))], 0)
    same(gateway.wait_exit(), 1, "exit code")
    check(gateway.said("there is no such user"), "no word about it")


def test_what_a_reload_may_not_open_a_new_process_may(t):
    os.mkdir(t.path("elsewhere"))
    gateway, config = start(t, t.app(), listeners=["127.0.0.1:0"])
    said_on(gateway)
    more = dict(config, listeners=["127.0.0.1:0", "unix:" + t.path("elsewhere/front.sock")])
    gateway.reload(more, good=False)
    check(gateway.said("can be opened by a new process only"), "no hint: %r", gateway.stderr_lines[-4:])
    same(status_of(t, gateway), 200, "status")
    successors = Successors(t, gateway)
    successors.upgrade()
    same(successors.wait_exit(0), 0, "exit code")
    gateway.wait(lambda: len(gateway.addresses) >= 3, what="the listener")
    same(status_of(t, gateway, 2), 200, "status")


def test_off_is_said(t):
    gateway, _ = start(t, t.app(), sandbox=False)
    check(gateway.said("sandbox: off"), "not said")
    same({thread["Seccomp"] for thread in threads(gateway.process.pid)}, {"0"}, "Seccomp")
    same(status_of(t, gateway), 200, "status")
