"""FastCGI as the tests play its server: a strict reader of what a web server sends, and records back, lawful or not.

It shares nothing with the gateway. What a FastCGI server must never be sent raises Unlawful: a record of another version, a type
that only a server sends, content of a request that was not begun, a stream that goes on behind its end.
"""
import struct

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES, VALUES, UNKNOWN = range(1, 12)
COMPLETE, CANT_MPX, OVERLOADED, UNKNOWN_ROLE = range(4)
OK = b"Content-Type: text/plain\r\n\r\n"


class Unlawful(AssertionError):
    """A FastCGI server was sent what it must not be sent."""


# Records out.

def record(kind, content=b"", request=1, padding=None, version=1, length=None):
    """One record; `length` is what its header says, where that is not the truth."""
    padding = -len(content) % 8 if padding is None else padding
    return struct.pack(">BBHHBB", version, kind, request, len(content) if length is None else length, padding, 0) + \
        content + b"\0" * padding


def stream(kind, data, request=1, size=65528):
    """Data as records of a stream, without its end."""
    return b"".join(record(kind, data[i:i + size], request) for i in range(0, len(data), size))


def end(request=1, status=0, protocol=COMPLETE):
    return record(END, struct.pack(">IB3x", status, protocol), request)


def answer(body=b"ok", head=OK, request=1, status=0):
    """A whole answer, as most applications send it."""
    return stream(STDOUT, head + body, request) + record(STDOUT, b"", request) + end(request, status)


def pair(name, value):
    out = b""
    for n in (len(name), len(value)):
        out += struct.pack(">B", n) if n < 128 else struct.pack(">I", n | 1 << 31)
    return out + name + value


def values(**told):
    return record(VALUES, b"".join(pair(name.encode(), str(value).encode()) for name, value in told.items()), 0)


# Records in.

def read_record(conn, deadline=None):
    """(type, id, content) of the next record; None at the end of the connection."""
    if not conn.wait_for(lambda data: len(data) >= 8, deadline, ended_ok=True):
        if conn.unread:
            raise Unlawful("the connection ended within a record: %r" % bytes(conn.unread))
        return None
    version, kind, request, length, padding, reserved = struct.unpack(">BBHHBB", conn.take(8))
    if version != 1 or reserved != 0:
        raise Unlawful("a record of version %d, reserved %d" % (version, reserved))
    if not conn.wait_for(lambda data: len(data) >= length + padding, deadline, ended_ok=True):
        return None
    content = conn.take(length)
    conn.take(padding)
    return kind, request, content


def read_pairs(data):
    """[(name, value)] of a whole stream of PARAMS."""
    found, at = [], 0

    def number():
        nonlocal at
        width = 4 if data[at] & 128 else 1
        at += width
        return int.from_bytes(data[at - width:at], "big") & 0x7fffffff
    while at < len(data):
        name_n, value_n = number(), number()
        if at + name_n + value_n > len(data):
            raise Unlawful("a pair that is longer than PARAMS: %r" % data[at:at + 100])
        found.append((data[at:at + name_n].decode("latin-1"), data[at + name_n:at + name_n + value_n].decode("latin-1")))
        at += name_n + value_n
    return found


class Request:
    """A request as a server saw it, as far as it has come."""

    def __init__(self, number, keep):
        self.id, self.keep = number, keep
        self.pairs, self.params, self.body = [], {}, b""
        self.raw_params, self.params_over, self.body_over, self.aborted = b"", False, False, False
        self.records = []                # (type, length) in order

    def take(self, kind, content):
        self.records.append((kind, len(content)))
        if kind == ABORT:
            self.aborted = True
        elif kind == PARAMS and not self.params_over:
            self.raw_params += content
            if not content:
                self.params_over = True
                self.pairs = read_pairs(self.raw_params)
                self.params = dict(self.pairs)
                if len(self.params) != len(self.pairs):
                    raise Unlawful("a parameter twice: %r" % self.pairs)
        elif kind == STDIN and self.params_over and not self.body_over:
            self.body += content
            self.body_over = not content
        else:
            raise Unlawful("type %d is out of place" % kind)


class Server:
    """One connection of a server: requests by id."""

    def __init__(self, conn):
        self.conn, self.open = conn, {}
        self.asked_values = 0

    def step(self, deadline=None):
        """The request that the next record belongs to; None at the connection's end. FCGI_GET_VALUES is counted and skipped."""
        while True:
            got = read_record(self.conn, deadline)
            if got is None:
                return None
            kind, number, content = got
            if kind == GET_VALUES and number == 0:
                self.asked_values += 1
                continue
            if kind == BEGIN:
                role, flags = struct.unpack(">HB5x", content)
                if role != 1 or number in self.open or number == 0:
                    raise Unlawful("begins request %d with role %d" % (number, role))
                self.open[number] = Request(number, bool(flags & 1))
            elif number not in self.open:
                raise Unlawful("type %d belongs to no request: %d" % (kind, number))
            else:
                self.open[number].take(kind, content)
            return self.open[number]

    def until(self, condition, deadline=None):
        """The first request for which the condition holds behind a record of its own; None at the connection's end."""
        while True:
            request = self.step(deadline)
            if request is None or condition(request):
                return request

    def request(self, deadline=None):
        """The next request that has come whole; its id is free again."""
        request = self.until(lambda r: r.body_over, deadline)
        if request is not None:
            del self.open[request.id]
        return request
