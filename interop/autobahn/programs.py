"""The programs of a run: started, waited for until they listen, ended by process id.

Each runs in a process group of its own, so that Ctrl-C reaches the runner alone, which ends them in order. What they print
goes to a log file. What can go wrong: a program that is missing, ends at once, or does not listen in time: Failed.
"""
import os
import re
import signal
import socket
import subprocess
import threading
import time

READY_SECONDS = 30
END_SECONDS = 15
POLL_SECONDS = 0.05
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# What programs print when they listen: our echo servers, and the gateway.
LISTENS = re.compile(r'"event": ?"ready", ?"address": ?"([^"]+)"|^ready (\S+)|listening on (\S+)', re.M)
VERSION = re.compile(r'"version": ?"([^"]+)"')


class Failed(Exception):
    """This run cannot go on; the message says why."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Program:
    """A process whose output is copied to a log, and read for the address on which it listens."""

    def __init__(self, name, command, log, environment=None):
        self.name, self.log = name, log
        self.address = self.version = None
        self.told = threading.Event()
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                            env=environment, start_new_session=True)
        except OSError as error:
            raise Failed("%s cannot be started: %s" % (name, error)) from None
        self.reader = threading.Thread(target=self._copy, daemon=True)
        self.reader.start()

    def _copy(self):
        with open(self.log, "wb") as log:
            for line in self.process.stdout:
                log.write(line)
                if self.address is None:
                    self._listen(line.decode("utf-8", "replace"))
                    log.flush()
        self.told.set()

    def _listen(self, line):
        found, version = LISTENS.search(line), VERSION.search(line)
        if found:
            self.version = version[1] if version else None
            self.address = next(filter(None, found.groups()))
            self.told.set()

    def wait_listening(self):
        """Its own word for it."""
        if not self.told.wait(READY_SECONDS) or self.address is None:
            self.end()
            raise Failed("%s did not come to listen; its output: %s" % (self.name, self.log))
        return self.address

    def wait_port(self, port):
        """For a program that does not say when it listens: until it can be connected to."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                self.address = "127.0.0.1:%d" % port
                return self.address
            except OSError:
                time.sleep(POLL_SECONDS)
        self.end()
        raise Failed("%s does not listen on port %d; its output: %s" % (self.name, port, self.log))

    def wait_end(self, seconds):
        """True when it has ended by itself."""
        try:
            self.process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def end(self):
        """TERM, and KILL for its whole group when that was not enough (a command may be a wrapper). Its exit status."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            if self.wait_end(END_SECONDS):
                break
        self.reader.join(END_SECONDS)
        return self.process.returncode


CONFIGURATION = """\
# Written by interop/autobahn/run. The suite's messages are larger, and in more fragments, than the defaults allow.
workers: 1
log: {{ level: info, access: {{ to: {log}, format: json }} }}
timeouts: {{ drain: 1s }}
listeners: [ "127.0.0.1:0" ]
upstreams:
  behind: {{ servers: [ "{server}" ] }}
routes:
  - match: {{ path: / }}
    upstream: behind
    websocket: {{ verify: {verify}, max_message: off, max_fragments: off }}
"""


def start_gateway(binary, verify, server, stem):
    """The gateway in front of `server`; its configuration and logs begin with `stem`."""
    with open(stem + ".yaml", "w") as f:
        f.write(CONFIGURATION.format(log=stem + ".access.log", server=server, verify=verify))
    gateway = Program("the gateway", [binary, "-c", stem + ".yaml"], stem + ".log")
    gateway.wait_listening()
    return gateway


def _peers_command(program, *arguments):
    return [os.path.join(ROOT, "interop", "peers", program), *arguments]


def _need_node_peers():
    script = ". %s && need_node_peers" % os.path.join(ROOT, "interop", "peers", "packages.sh")
    if subprocess.run(["bash", "-c", script], stdout=subprocess.DEVNULL).returncode != 0:
        raise Failed("npm's ws cannot be had")


def _command_of(kind, build):
    if kind == "careless":
        return [os.path.join(HERE, "echo_careless.py")]
    if kind == "ws":
        _need_node_peers()
        return ["node", os.path.join(HERE, "echo_ws.js")]
    if kind == "websockets":
        return _peers_command("ws_python_server.py", "--deflate")
    return [os.path.join(build, "demo_ws_app"), "--listen", "127.0.0.1:0"]


def start_server(kind, build, suite, log):
    """One of SERVERS. (program, address, path of its echo)"""
    if kind == "testee":
        port = free_port()
        program = suite.start("testee", ["-m", "testeeserver", "-w", "ws://127.0.0.1:%d" % port], log)
        return program, program.wait_port(port), "/"
    program = Program(kind, _command_of(kind, build), log)
    return program, program.wait_listening(), "/echo" if kind == "demo" else "/"


SERVERS = {
    "testee": "the suite's own server",
    "ws": "npm's ws",
    "websockets": "python3-websockets",
    "demo": "interop/app/ws_app.c, on wslay",
    "careless": "echo_careless.py, which checks nothing",
}
