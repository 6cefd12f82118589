"""The Autobahn|Testsuite: how its `wstest` is run here, and what it says.

A command is one that the user gives, `wstest` from PATH, or the suite's public container image under podman or docker.
What can go wrong: none of them is there; it ends without a report (connection refused ends a run); it never ends: Failed.
"""
import base64
import json
import os
import re
import shlex
import shutil
import socket
import time

from programs import HERE, Failed, Program, free_port

IMAGE = "crossbario/autobahn-testsuite"
AGENT = "it"            # what is tested, in the reports
REPORT_SECONDS = 10
WILL_RUN = re.compile(r"will run (\d+)")
SITE = os.path.join(HERE, "suite_site")
FIELDS = {"behavior": "behavior", "behaviorClose": "close", "remoteCloseCode": "code", "duration": "ms"}


def _container_command(engine, folder):
    return [engine, "run", "--rm", "--init", "--network", "host", "-v", "%s:%s" % (folder, folder),
            "-v", "%s:%s:ro" % (SITE, SITE), "-e", "PYTHONPATH=" + SITE, "-w", folder, IMAGE, "wstest"]


def find_command(given, folder):
    """`wstest` as a list of words; `folder` is where specifications and reports lie."""
    if given:
        return shlex.split(given)
    if shutil.which("wstest"):
        return ["wstest"]
    for engine in ("podman", "docker"):
        if shutil.which(engine):
            return _container_command(engine, folder)
    raise Failed("no wstest: name a command with WSTEST='…' or --wstest, or install wstest, podman or docker")


class Suite:
    def __init__(self, command, nice):
        self.command = (["nice", "-n", str(nice)] if nice else []) + command
        path = [SITE] + list(filter(None, [os.environ.get("PYTHONPATH")]))
        self.environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path), PYTHONUNBUFFERED="1")

    def start(self, name, arguments, log):
        return Program(name, self.command + arguments + ["-u", "0"], log, self.environment)

    def write_specification(self, kind, folder, changes):
        """Our fuzzingclient.json or fuzzingserver.json, for this run."""
        with open(os.path.join(HERE, kind + ".json")) as f:
            specification = json.load(f)
        specification.update(changes, outdir=os.path.join(folder, "report"))
        name = os.path.join(folder, "specification.json")
        with open(name, "w") as f:
            json.dump(specification, f, indent=4)
        return name

    def fuzz_server(self, url, cases, folder, limit_seconds):
        """The fuzzing client at `url`; {case: result}."""
        name = self.write_specification("fuzzingclient", folder, {"servers": [{"agent": AGENT, "url": url}], "cases": cases})
        program = self.start("the fuzzing client", ["-m", "fuzzingclient", "-s", name], os.path.join(folder, "wstest.log"))
        return self.report_of(program, folder, limit_seconds)

    def start_fuzzing_server(self, cases, folder):
        """(program, address); its report comes into `folder` when a client has gone through all cases."""
        port = free_port()
        name = self.write_specification("fuzzingserver", folder, {"url": "ws://127.0.0.1:%d" % port, "cases": cases})
        program = self.start("the fuzzing server", ["-m", "fuzzingserver", "-s", name], os.path.join(folder, "wstest.log"))
        return program, program.wait_port(port)

    def be_client(self, url, fuzzer, folder, limit_seconds):
        """The suite's own client at `url`, through all cases of the fuzzing server at `fuzzer`; {case: result}."""
        program = self.start("the suite's client", ["-m", "testeeclient", "-w", url, "-i", AGENT],
                             os.path.join(folder, "client.log"))
        return self.report_of(program, folder, limit_seconds, lambda: ask_for_report(fuzzer))

    def report_of(self, program, folder, limit_seconds, renew=None):
        """When the program that goes through all cases has ended by itself."""
        try:
            if not program.wait_end(limit_seconds):
                raise Failed("%s was not done in %d s: %s" % (program.name, limit_seconds, folder))
        finally:
            program.end()
        cases = read_report(folder)
        deadline = time.monotonic() + REPORT_SECONDS
        while renew and len(cases) < announced(program) and time.monotonic() < deadline:
            renew()                      # the client was done before the fuzzing server had seen its last connection end
            cases = read_report(folder)
        if len(cases) < announced(program):
            raise Failed("only %d of %d cases have run: %s" % (len(cases), announced(program), folder))
        return cases


REQUEST = ("GET /updateReports?agent=%s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n")


def ask_for_report(address):
    """Has the fuzzing server write its report once more: a WebSocket at its own path, which it closes when that is done."""
    host, _, port = address.rpartition(":")
    key = base64.b64encode(os.urandom(16)).decode()
    with socket.create_connection((host, int(port)), timeout=REPORT_SECONDS) as s:
        s.sendall((REQUEST % (AGENT, address, key)).encode())
        seen = b""
        while b"\r\n\r\n\x88" not in seen:
            piece = s.recv(4096)
            if not piece:
                raise Failed("the fuzzing server does not write a report: %r" % seen[:80])
            seen += piece
        s.sendall(b"\x88\x80\0\0\0\0")


def announced(program):
    """How many cases the suite said that it would run."""
    with open(program.log) as f:
        found = WILL_RUN.search(f.read())
    return int(found[1]) if found else 0


def read_report(folder):
    """What the report says of each case; the wire logs stay beside it."""
    name = os.path.join(folder, "report", "index.json")
    try:
        with open(name) as f:
            agents = json.load(f)
    except (OSError, ValueError):
        raise Failed("the suite wrote no report; what it printed is in %s" % folder) from None
    cases = agents.get(AGENT) or {}
    if not cases:
        raise Failed("no case has run: %s" % name)
    return {case: {ours: seen.get(theirs) for theirs, ours in FIELDS.items()} for case, seen in cases.items()}
