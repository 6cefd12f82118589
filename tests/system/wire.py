"""Raw connections for the tests: every byte sent and received is the test's own decision.

A Conn keeps all bytes that arrived (`received`) and those not yet taken (`unread`), and knows how the peer ended it: `end` is None,
"fin" or "rst". Every wait has a deadline in seconds; missing it raises Late with what was there instead.
"""
import os
import select
import socket
import struct
import threading
import time

SLOWNESS = float(os.environ.get("UPGATE_TEST_SLOWNESS", "1"))
DEADLINE = 20.0 * SLOWNESS


# Where the tests run over TLS: makes what they connect and accept speak it (over_tls.py).
veil = None


class Late(Exception):
    """Something that should have happened did not, within its deadline."""


def wait_until(condition, deadline=None, what="a condition"):
    """Polls a condition that has no event of its own (a process's memory, a file). Returns its value."""
    limit = time.monotonic() + (deadline or DEADLINE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > limit:
            raise Late("waited in vain for %s" % what)
        time.sleep(0.005)


class Conn:
    """One connection, of a client to the gateway or of the gateway to a backend."""

    def __init__(self, sock, record=True):
        self.sock = sock
        self.received = bytearray()
        self.unread = bytearray()
        self.count_received = 0
        self.count_sent = 0
        self.end = None
        self.closed = False
        self.record = record
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(DEADLINE)

    # sending

    def send(self, *pieces):
        """Each piece is a write of its own."""
        for piece in pieces:
            self.sock.sendall(piece)
            self.count_sent += len(piece)
        return self

    def send_each_byte(self, data, pause=0.0):
        """One write per byte; stops when the peer has ended the connection or, with an answer there already, refuses more."""
        for i in range(len(data)):
            try:
                self.sock.sendall(data[i:i + 1])
            except OSError:
                return i
            self.count_sent += 1
            if pause:
                time.sleep(pause)
        return len(data)

    def send_some(self, data, timeout=0.0):
        """What fits now (or within the timeout); 0 when blocked."""
        if not select.select([], [self.sock], [], timeout)[1]:
            return 0
        try:
            taken = self.sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        self.count_sent += taken
        return taken

    def finish(self):
        """Half-close: a FIN after what was sent."""
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        """RST at once."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self):
        if not self.closed:
            self.closed = True
            self.sock.close()

    # receiving

    def fill(self, timeout):
        """One receive of what there is, waiting up to the timeout. False when nothing came."""
        if self.end or not select.select([self.sock], [], [], max(timeout, 0))[0]:
            return False
        try:
            data = self.sock.recv(262144, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except (ConnectionResetError, BrokenPipeError):
            self.end = "rst"
            return True
        if not data:
            self.end = "fin"
        self.count_received += len(data)
        if self.record:
            self.received += data
        self.unread += data
        return True

    def wait_for(self, condition, deadline=None, ended_ok=False):
        """Receives until condition(unread). When the peer ends first: False with ended_ok, otherwise Late."""
        limit = time.monotonic() + (deadline or DEADLINE)
        while not condition(self.unread):
            if self.end:
                if ended_ok:
                    return False
                raise Late("the peer ended (%s) with %s" % (self.end, self.shown()))
            left = limit - time.monotonic()
            if left <= 0:
                raise Late("nothing more came; unread: %s" % self.shown())
            self.fill(left)
        return True

    def wait_end(self, deadline=None):
        """Receives until the peer ends the connection: "fin" or "rst"."""
        limit = time.monotonic() + (deadline or DEADLINE)
        while not self.end:
            left = limit - time.monotonic()
            if left <= 0:
                raise Late("the connection did not end; unread: %s" % self.shown())
            self.fill(left)
        return self.end

    def take(self, n):
        data = bytes(self.unread[:n])
        del self.unread[:n]
        return data

    def read_exact(self, n, deadline=None):
        self.wait_for(lambda data: len(data) >= n, deadline)
        return self.take(n)

    def read_until(self, marker, deadline=None):
        """Up to and with the marker."""
        self.wait_for(lambda data: marker in data, deadline)
        return self.take(self.unread.index(marker) + len(marker))

    def discard(self, n, deadline=None):
        """Receives and forgets exactly n bytes, keeping none (large bodies)."""
        left = n
        while left > 0:
            if not self.unread:
                self.wait_for(lambda data: len(data) > 0, deadline)
            step = min(left, len(self.unread))
            del self.unread[:step]
            left -= step

    def poll(self):
        """Takes in what is there now, without waiting; returns the unread bytes."""
        while self.fill(0):
            pass
        return bytes(self.unread)

    def is_open(self):
        self.poll()
        return self.end is None

    def shown(self):
        data = bytes(self.unread[:400])
        return "%r%s (%d bytes)" % (data, "…" if len(self.unread) > 400 else "", len(self.unread))


def connect(address, record=True, timeout=None, receive_buffer=None, segment=None, source=None, clear=False):
    """address: (host, port) or the path of a UNIX socket. segment: of TCP, in bytes, as on a line outside. clear: in clear text, whatever the tests run over.
    source: the address to come from."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    if segment:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
    sock.settimeout(timeout or DEADLINE)
    if source:
        sock.bind((source, 0))
    sock.connect(address)
    return veil.connected(sock, record) if veil and not clear else Conn(sock, record)


class Listener:
    """A listening socket whose connections the test accepts when it likes."""

    def __init__(self, path=None, receive_buffer=None, backlog=512, port=0, revived=False, host="127.0.0.1"):
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if port or revived:                              # somebody will listen here again while old connections are still about
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(path or (host, port))
        self.sock.listen(backlog)
        self.port = None if path else self.sock.getsockname()[1]
        self.conns = []
        self.threads = []
        self.errors = []
        self.stopping = False

    @property
    def address(self):
        """As a configuration writes it."""
        return "unix:" + self.path if self.path else "127.0.0.1:%d" % self.port

    def accept(self, deadline=None, record=True):
        """The next connection, as a Conn."""
        return self._made(self._accept(deadline), record)

    def _accept(self, deadline=None):
        self.sock.settimeout(deadline or DEADLINE)
        try:
            sock, _ = self.sock.accept()
        except (TimeoutError, BlockingIOError):
            raise Late("no connection came to the backend") from None
        sock.setblocking(True)
        return sock

    def _made(self, sock, record):
        conn = veil.accepted(sock, record) if veil else Conn(sock, record)
        self.conns.append(conn)
        return conn

    def waiting(self):
        """Accepts what is waiting now, without waiting for it; returns the list."""
        found = []
        while select.select([self.sock], [], [], 0)[0]:
            found.append(self.accept(1))
        return found

    def serve(self, handler, record=True):
        """From now on a thread runs handler(conn) for every connection; its connection is closed behind it."""
        thread = threading.Thread(target=self._accept_loop, args=(handler, record), daemon=True)
        thread.start()
        self.threads.append(thread)
        return self

    def _accept_loop(self, handler, record):
        while not self.stopping:
            if not select.select([self.sock], [], [], 0.1)[0]:
                continue
            try:
                sock = self._accept(1)
            except (Late, OSError):
                return
            threading.Thread(target=self._run, args=(handler, sock, record), daemon=True).start()

    def _run(self, handler, sock, record):
        conn = sock
        try:
            conn = self._made(sock, record)
            handler(conn)
        except (OSError, ValueError):
            pass                         # the gateway ended the connection
        except Exception as error:       # a broken expectation of the handler: shown with the test's failure
            if not self.stopping:
                self.errors.append(error)
        finally:
            conn.close()

    def close(self):
        self.stopping = True
        for thread in self.threads:
            thread.join(5)
        self.sock.close()
        for conn in self.conns:
            conn.close()
        if self.path and os.path.exists(self.path):
            os.unlink(self.path)
