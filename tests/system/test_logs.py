"""Logs that are files, on a disk that stalls: clients are served all the same, and the log says what it lost.

The disk is strace's: whoever writes into the file, in whatever thread, waits until strace is ended.
"""
import json
import os
import re
import shutil
import signal
import subprocess

from harness import Skip, check, same
from messages import read_response, request
from wire import DEADLINE, wait_until

DISK = ("write", "writev", "pwrite64", "pwritev", "pwritev2")
TARGET = "/" + "x" * 1900                                # a line of some 2 KiB


class Stall:
    def __init__(self, t, gateway, path):
        if not shutil.which("strace"):
            raise Skip("strace is not installed")
        calls = ",".join(DISK)
        self.path = t.path("strace")
        self.process = subprocess.Popen(
            ["strace", "-f", "-o", self.path, "-p", str(gateway.process.pid), "-P", path, "-e", "trace=" + calls,
             "-e", "inject=%s:delay_enter=600s" % calls], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        t.on_exit(self.process.kill)
        line = self.process.stderr.readline()
        if b"attached" not in line:
            raise Skip("strace may not look at the gateway: %r" % line)

    def wait_stuck(self):
        wait_until(lambda: any(call + "(" in open(self.path, encoding="ascii", errors="replace").read() for call in DISK), what="a write that hangs")

    def end(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(DEADLINE)


def get(client, n, target="/"):
    for _ in range(n):
        client.send(request(target=target))
        same(read_response(client).status, 200, "status")


def lines_of(path):
    with open(path, encoding="utf-8") as lines:
        return lines.read().splitlines()


def test_a_disk_that_stalls_delays_no_answer(t):
    path = t.path("access.log")
    gateway = t.simple(t.app(), log={"access": {"to": path}})
    client = t.client(gateway)
    get(client, 1)
    wait_until(lambda: os.path.getsize(path), what="the first line")
    disk = Stall(t, gateway, path)
    get(client, 1)
    disk.wait_stuck()
    get(client, 300, TARGET)
    check(gateway.said("lines of the access log"), "the loss is not told")
    same(len(lines_of(path)), 1, "lines while the disk stalls")
    disk.end()
    gateway.wait(lambda: gateway.said("is written again"), what="a word about the lines that were lost")
    get(client, 1)
    client.close()
    gateway.end()
    written = lines_of(path)
    lost = sum(int(found[1]) for line in gateway.stderr_lines if (found := re.search(r"(\d+) lines of the access log", line)))
    check(0 < lost < 300, "%d lines are lost", lost)
    same(len(written) + lost, 303, "lines that are written, and those that are told to be lost")
    check(all(json.loads(line)["status"] == 200 for line in written), "not JSON")
