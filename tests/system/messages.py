"""HTTP/1.1 messages as the tests read them: a small, strict parser that shares nothing with the gateway.

What a peer of the gateway receives is judged here byte by byte: line ends are CR LF, names are tokens, a length is digits, a body
is framed in exactly one way. Anything else raises Malformed, because a peer must never be sent such a thing.
"""
import re

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
STATUS_LINE = re.compile(rb"HTTP/(\d)\.(\d) (\d{3})(?: ([\t \x21-\x7e\x80-\xff]*))?\Z")
REQUEST_LINE = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) ([\x21-\x7e\x80-\xff]+) HTTP/(\d)\.(\d)\Z")
VALUE = re.compile(rb"[\t \x21-\x7e\x80-\xff]*\Z")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})((?:[\t ]*;[\t \x21-\x7e\x80-\xff]*)?)\Z")


class Malformed(Exception):
    """The peer of a test was sent something that is not one HTTP message."""


class Cut(Malformed, ConnectionError):
    """The connection ended inside a head; for a backend that is no fault where the client went away."""


class Head:
    """A start line and its fields, in order and spelling as received."""

    def __init__(self, raw):
        if not raw.endswith(b"\r\n\r\n"):
            raise Malformed("head without its end: %r" % raw[-80:])
        lines = raw[:-4].split(b"\r\n")
        self.raw = raw
        self.line = lines[0]
        self.fields = [parse_field(line) for line in lines[1:]]
        if self.line.startswith(b"HTTP/"):
            self._read_status_line()
        else:
            self._read_request_line()

    def _read_status_line(self):
        match = STATUS_LINE.match(self.line)
        if not match:
            raise Malformed("status line %r" % self.line)
        self.is_response = True
        self.version = (int(match[1]), int(match[2]))
        self.status = int(match[3])
        self.reason = (match[4] or b"").decode("latin-1")

    def _read_request_line(self):
        match = REQUEST_LINE.match(self.line)
        if not match:
            raise Malformed("request line %r" % self.line)
        self.is_response = False
        self.method = match[1].decode("ascii")
        self.target = match[2].decode("latin-1")
        self.version = (int(match[3]), int(match[4]))

    def all(self, name):
        """Every value of the field, in order."""
        return [value for field, value in self.fields if field.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def has(self, name):
        return bool(self.all(name))

    def tokens(self, name):
        """The members of a list field over all its lines, lower case."""
        return [m.strip().lower() for value in self.all(name) for m in value.split(",") if m.strip()]

    def __repr__(self):
        return repr(self.raw)


def parse_field(line):
    name, colon, value = line.partition(b":")
    if not colon or not TOKEN.match(name):
        raise Malformed("field %r" % line)
    value = value.strip(b" \t")
    if not VALUE.match(value):
        raise Malformed("field value %r" % line)
    return name.decode("ascii"), value.decode("latin-1")


def framing(head, head_request=False):
    """How the body of this head is framed: none, ("length", n), chunked or close (RFC 9112 section 6.3)."""
    codings = head.tokens("Transfer-Encoding")
    lengths = head.all("Content-Length")
    if codings and lengths:
        raise Malformed("Content-Length beside Transfer-Encoding: %r" % head.raw)
    if len(lengths) > 1 or (lengths and not re.fullmatch(r"\d{1,19}", lengths[0])):
        raise Malformed("Content-Length: %r" % lengths)
    if codings and codings != ["chunked"]:
        raise Malformed("Transfer-Encoding: %r" % codings)
    if head.is_response:
        if head_request or head.status < 200 or head.status in (204, 304):
            return "none"
        if not codings and not lengths:
            return "close"
    if codings:
        return "chunked"
    return ("length", int(lengths[0])) if lengths else "none"


class Message:
    """A whole message, or as much of one as came: `complete` tells which."""

    def __init__(self, head, how):
        self.head = head
        self.framing = how
        self.body = b""
        self.chunks = []
        self.trailers = []
        self.complete = False
        self.interim = []

    def __getattr__(self, name):
        return getattr(self.__dict__["head"], name)

    def __repr__(self):
        return "<%r framing=%r body=%r%s complete=%r>" % (
            self.head.line, self.framing, self.body[:200], "…" if len(self.body) > 200 else "", self.complete)


def read_head(conn, deadline=None):
    """The next head on the connection; None when it ended with nothing of one."""
    if not conn.wait_for(lambda data: b"\r\n\r\n" in data, deadline, ended_ok=True):
        if conn.unread:
            raise Cut("the connection ended (%s) inside a head: %r" % (conn.end, bytes(conn.unread[:300])))
        return None
    return Head(conn.take(conn.unread.index(b"\r\n\r\n") + 4))


def read_request(conn, deadline=None):
    """The next request with its whole body."""
    head = read_head(conn, deadline)
    if head is None:
        return None
    if head.is_response:
        raise Malformed("a response where a request belongs: %r" % head.raw)
    return read_body(conn, Message(head, framing(head)), deadline)


def read_response(conn, method="GET", deadline=None, body=True):
    """The next final response; the 1xx ones before it are in `interim`. body=False stops behind the head."""
    interim = []
    while True:
        head = read_head(conn, deadline)
        if head is None:
            return None
        if not head.is_response:
            raise Malformed("a request where a response belongs: %r" % head.raw)
        if head.status >= 200 or head.status == 101:
            break
        interim.append(head)
    message = Message(head, framing(head, method == "HEAD"))
    message.interim = interim
    return read_body(conn, message, deadline) if body else message


def read_body(conn, message, deadline=None):
    """Reads the rest of a message whose head was read; an early end leaves `complete` False."""
    how = message.framing
    if how == "none":
        message.complete = True
    elif how == "chunked":
        read_chunks(conn, message, deadline)
    elif how == "close":
        conn.wait_end(deadline)
        message.body = conn.take(len(conn.unread))
        message.complete = conn.end == "fin"
    else:
        message.complete = conn.wait_for(lambda data: len(data) >= how[1], deadline, ended_ok=True)
        message.body = conn.take(min(how[1], len(conn.unread)))
    return message


def take_line(conn, deadline):
    if not conn.wait_for(lambda data: b"\r\n" in data, deadline, ended_ok=True):
        return None
    line = conn.take(conn.unread.index(b"\r\n") + 2)[:-2]
    if b"\n" in line or b"\r" in line:
        raise Malformed("a bare CR or LF in %r" % line)
    return line


def read_chunks(conn, message, deadline):
    parts = []
    while True:
        line = take_line(conn, deadline)
        if line is None:
            break
        match = CHUNK_LINE.match(line)
        if not match:
            raise Malformed("chunk size %r" % line)
        size = int(match[1], 16)
        if size == 0:
            read_trailers(conn, message, deadline)
            break
        if not conn.wait_for(lambda data: len(data) >= size + 2, deadline, ended_ok=True):
            parts.append(conn.take(min(size, len(conn.unread))))
            break
        parts.append(conn.take(size))
        message.chunks.append(size)
        if conn.take(2) != b"\r\n":
            raise Malformed("a chunk of %d bytes does not end in CR LF" % size)
    message.body = b"".join(parts)


def read_trailers(conn, message, deadline):
    while True:
        line = take_line(conn, deadline)
        if line is None:
            return
        if line == b"":
            message.complete = True
            return
        message.trailers.append(parse_field(line))


def response(status=200, body=b"ok", fields=(), reason="Fine", version="1.1"):
    """A response with a Content-Length."""
    lines = ["HTTP/%s %d %s" % (version, status, reason), "Content-Length: %d" % len(body)]
    lines += ["%s: %s" % field for field in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def request(method="GET", target="/", fields=(), body=None, host="test.example", version="1.1"):
    """A request; with a body also its Content-Length."""
    lines = ["%s %s HTTP/%s" % (method, target, version)]
    if host is not None:
        lines.append("Host: %s" % host)
    lines += ["%s: %s" % field for field in fields]
    if body is not None:
        lines.append("Content-Length: %d" % len(body))
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def chunked(*pieces, trailers=()):
    """A chunked body."""
    out = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces if p)
    return out + b"0\r\n" + b"".join(b"%s: %s\r\n" % t for t in trailers) + b"\r\n"
