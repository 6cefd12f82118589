"""What the data path asks of the kernel, counted by strace: per small message one wait, one read and one write, and nothing else; of a long one
whose payload needs no look, a few bytes are read.

The numbers are those of one message at a time, where nothing can be gathered: the most that there can be. They are exact, but for the
turns of the timer wheel; what an allocator asks for is left out.
"""
import collections
import os
import re
import shutil
import signal
import subprocess

import fcgi
import frames
from harness import Skip, check, in_thread, same
from messages import read_request, read_response, request, response
from wire import DEADLINE, wait_until

ROUNDS = 60
WAITS = ("epoll_wait", "epoll_pwait", "epoll_pwait2")
READS = ("recvfrom", "recvmsg", "read")
WRITES = ("sendto", "sendmsg")
MEMORY = ("mmap", "munmap", "mprotect", "madvise", "mremap", "brk")      # the allocator's, a sanitizer's
CALL = re.compile(r"^\d+ +(\w+)\(")
BYTES = re.compile(r"^\d+ +(?:%s)\(.* = (\d+)$" % "|".join(READS + WRITES))


class Tracer:
    """strace on the gateway; stop() gives how often each system call was begun."""

    def __init__(self, t, gateway):
        if not shutil.which("strace"):
            raise Skip("strace is not installed")
        if os.environ.get("UPGATE_WEATHER"):
            raise Skip("counts mean nothing in bad weather")
        self.path = t.path("strace")
        self.process = subprocess.Popen(["strace", "-f", "-o", self.path, "-p", str(gateway.process.pid)], stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        t.on_exit(self.process.kill)
        line = self.process.stderr.readline()
        if b"attached" not in line:
            raise Skip("strace may not look at the gateway: %r" % line)
        threads = len(os.listdir("/proc/%d/task" % gateway.process.pid))
        wait_until(lambda: self._resumed() >= threads, what="%d threads in strace's hands" % threads)

    def _resumed(self):
        """Every thread waits in some call, and strace writes the first line of each as soon as it has it."""
        with open(self.path, encoding="ascii", errors="replace") as lines:
            return len({line.split(" ", 1)[0] for line in lines})

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(DEADLINE)
        counts = collections.Counter()
        self.most = 0                    # bytes of one call, in user space
        with open(self.path, encoding="ascii", errors="replace") as lines:
            for line in lines:
                if found := CALL.match(line):
                    counts[found[1]] += 1
                if found := BYTES.match(line):
                    self.most = max(self.most, int(found[1]))
        return counts


def split(counts):
    """(waits, reads, writes, all others)"""
    groups = [sum(counts.pop(name, 0) for name in names) for names in (WAITS, READS, WRITES, MEMORY)]
    return groups[:3] + [counts]


def expect(counts, rounds, waits, reads, writes, others, slack=8):
    """Per round at most so many; others by name."""
    got_waits, got_reads, got_writes, got_others = split(collections.Counter(counts))
    check(got_reads <= rounds * reads, "%d reads in %d rounds: %r", got_reads, rounds, counts)
    check(got_writes <= rounds * writes, "%d writes in %d rounds: %r", got_writes, rounds, counts)
    check(got_waits <= rounds * waits + slack, "%d waits in %d rounds: %r", got_waits, rounds, counts)
    for name, count in got_others.items():
        check(count <= rounds * others.get(name, 0) + slack, "%d calls of %s in %d rounds: %r", count, name, rounds, counts)


def test_a_small_message(t):
    """An echo is two messages."""
    backend = t.backend()
    gateway = t.simple(backend)
    client, server = t.upgrade(gateway, backend)
    there, back = frames.frame(frames.TEXT, b"x" * 64), frames.frame(frames.TEXT, b"y" * 64, mask=False)
    tracer = Tracer(t, gateway)
    for _ in range(ROUNDS):
        client.send(there)
        server.read_exact(len(there))
        server.send(back)
        client.read_exact(len(back))
    counts = tracer.stop()
    expect(counts, ROUNDS, waits=2, reads=2, writes=2, others={})
    client.close()
    server.close()


def test_a_long_binary_message(t):
    """An echo, too. Behind a long message the next one is only glanced at, and goes from socket to socket, its header with it: a look, a pipe's
    two ends, and a look whether more is there. It is small enough to come whole."""
    backend = t.backend()
    gateway = t.simple(backend)
    client, server = t.upgrade(gateway, backend)
    there, back = frames.frame(frames.BINARY, b"x" * 40000), frames.frame(frames.BINARY, b"y" * 40000, mask=False)

    def echo():
        client.send(there)
        same(server.read_exact(len(there)), there, "the message")
        server.send(back)
        same(client.read_exact(len(back)), back, "its answer")

    for _ in range(3):                   # the first one could not be foreseen
        echo()
    tracer = Tracer(t, gateway)
    for _ in range(ROUNDS):
        echo()
    counts = tracer.stop()
    check(tracer.most <= 64, "%d bytes of payload in one call: %r", tracer.most, counts)
    # A message may come in two pieces, or a socket take one in two.
    expect(counts, ROUNDS, waits=4, reads=4, writes=0, others={"splice": 6})
    check(counts["splice"] >= 4 * ROUNDS, "%d splices: %r", counts["splice"], counts)
    client.close()
    server.close()


def test_a_passed_through_message(t):
    from tls_peers import hello
    backend = t.backend()
    gateway = t.gateway(listeners=[{"address": "127.0.0.1:0", "passthrough": {"*": "u"}}],
                        upstreams={"u": {"servers": [backend.address]}})
    first = hello("a.test")
    client = t.client(gateway).send(first)
    server = backend.accept()
    server.read_exact(len(first))
    tracer = Tracer(t, gateway)
    for _ in range(ROUNDS):
        client.send(b"there")
        server.read_exact(5)
        server.send(b"back")
        client.read_exact(4)
    expect(tracer.stop(), ROUNDS, waits=2, reads=2, writes=2, others={})
    client.close()
    server.close()


def test_a_request_on_kept_connections(t):
    """Beside the bytes: the access log's line. The worker wakes the log's writer at most; that one asks the pipe, writes, lingers and sleeps."""
    backend = t.backend()
    gateway = t.simple(backend)
    client, server = t.client(gateway), None
    tracer = None
    for i in range(ROUNDS + 1):
        client.send(request())
        server = server or backend.accept()
        read_request(server)
        server.send(response(200, b"hi"))
        same(read_response(client).status, 200, "status")
        if i == 0:
            gateway.wait_record(kind="exchange")
            tracer = Tracer(t, gateway)
    gateway.wait(lambda: len(gateway.records) == ROUNDS + 1)
    expect(tracer.stop(), ROUNDS, waits=2, reads=2, writes=2, others={"writev": 1, "poll": 1, "futex": 3})
    client.close()
    server.close()


def count_fastcgi_requests(t, answer):
    """The system calls of ROUNDS requests on kept connections."""
    backend = t.backend()
    gateway = t.simple(backend, upstream={"protocol": "fastcgi"}, log={"level": "info", "access": {"format": "off"}})
    client, server = t.client(gateway), None
    tracer = None
    for i in range(ROUNDS + 1):
        client.send(request())
        server = server or fcgi.Server(backend.accept())
        check(server.request().keep, "the connection is kept")
        server.conn.send(answer)
        same(read_response(client).body, b"hi", "body")
        tracer = tracer or Tracer(t, gateway)
    counts = tracer.stop()
    client.close()
    server.conn.close()
    return counts


def test_a_fastcgi_request_on_kept_connections(t):
    """The parameters in one write; the head and what is there of the body in another, whether its length was announced or not."""
    for head in (b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n", fcgi.OK):
        expect(count_fastcgi_requests(t, fcgi.answer(b"hi", head)), ROUNDS, waits=2, reads=2, writes=2, others={})


def test_a_long_fastcgi_body(t):
    """The content of long records is not read: what is read are the first of them, headers, and the end."""
    backend = t.backend()
    gateway = t.simple(backend, upstream={"protocol": "fastcgi"})
    client = t.client(gateway).send(request())
    server = fcgi.Server(backend.accept())
    check(server.request() is not None, "no request came")
    tracer, records = Tracer(t, gateway), 30
    body = b"x" * (records * 65528)
    head = b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
    answering = in_thread(server.conn.send, fcgi.record(fcgi.STDOUT, head) + fcgi.stream(fcgi.STDOUT, body) + fcgi.record(fcgi.STDOUT) + fcgi.end())
    check(read_response(client).body == body, "the body is another one")
    answering.finish()
    counts = tracer.stop()
    check(counts["splice"] >= 2 * records - 10, "%d records, %r", records, counts)
    client.close()
    server.conn.close()


def test_an_upgrade(t):
    """From the accept to both ends: the connections, the handshake, a Close each way; the lines of exchange and tunnel."""
    backend = t.backend()
    gateway = t.simple(backend)
    tracer, rounds = None, 20
    for i in range(rounds + 1):
        client, server = t.upgrade(gateway, backend)
        client.send(frames.frame(frames.CLOSE, frames.close_payload(1000)))
        server.read_exact(8)
        server.send(frames.frame(frames.CLOSE, frames.close_payload(1000), mask=False))
        same(client.wait_end(), "fin", "end")
        client.close()
        server.close()
        gateway.wait(lambda: sum(record["kind"] == "tunnel" for record in gateway.records) == i + 1)
        tracer = tracer or Tracer(t, gateway)
    counts = tracer.stop()
    expect(counts, rounds, waits=10, reads=6, writes=4,
           others={"accept4": 1, "epoll_ctl": 2, "socket": 1, "connect": 1, "setsockopt": 4, "shutdown": 1, "close": 2, "writev": 2, "poll": 2,
                   "futex": 6})
