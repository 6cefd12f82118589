"""The ends of a tunnel as the tests play them: what a peer saw as events, an echo that checks what it gets, one that does not.

Whatever an end receives through the gateway is judged by a reader that shares nothing with it: a frame that RFC 6455 forbids
raises Unlawful, because no peer may ever be sent one.
"""
from frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame, read_frame

NAMES = {TEXT: "text", BINARY: "binary", PING: "ping", PONG: "pong"}


class Unlawful(AssertionError):
    """A peer was sent a frame that it must not be sent."""


def lawful_close(payload, utf8):
    if not payload:
        return True
    code = int.from_bytes(payload[:2], "big")
    known = 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999
    return len(payload) >= 2 and known and (not utf8 or is_utf8(payload[2:]))


def is_utf8(data):
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


class Reader:
    """Frames of one connection, checked, as events: ("text", payload) …, ("close", code, reason), and at last ("fin",),
    ("rst",), or ("cut",) where the connection ended inside a frame."""

    def __init__(self, conn, masked, utf8=True, deflate=False):
        self.conn, self.masked, self.utf8, self.deflate = conn, masked, utf8, deflate
        self.opcode, self.rsv, self.pieces = 0, 0, []
        self.closed = False

    def frame(self, deadline=None):
        """The next frame, checked by itself and by those before it; None at the end."""
        try:
            got = read_frame(self.conn, deadline)
        except EOFError:
            return None
        if got is not None:
            self._check(got)
        return got

    def _check(self, got):
        def due(condition, words):
            if not condition:
                raise Unlawful("%s: %r" % (words, got))
        due(not self.closed, "a frame behind the Close")
        due(got.masked == self.masked, "masked the wrong way")
        due(got.opcode in (0, 1, 2, 8, 9, 10), "a reserved opcode")
        due(got.rsv == 0 or (got.rsv == 4 and self.deflate and got.opcode in (TEXT, BINARY)), "a reserved bit")
        if got.opcode >= CLOSE:
            due(got.fin and len(got.payload) <= 125, "a control frame that is long or fragmented")
            due(got.opcode != CLOSE or lawful_close(got.payload, self.utf8), "a bad Close")
            self.closed = got.opcode == CLOSE
            return
        due((got.opcode == CONTINUATION) == (self.opcode != 0), "a fragment out of place")
        if got.opcode != CONTINUATION:
            self.opcode, self.rsv, self.pieces = got.opcode, got.rsv, []
        self.pieces.append(got.payload)
        if got.fin:
            whole = b"".join(self.pieces)
            due(not self.utf8 or self.rsv or self.opcode != TEXT or is_utf8(whole), "text that is not UTF-8")

    def event(self, deadline=None):
        """The next event; frames inside a message are none."""
        while True:
            got = self.frame(deadline)
            if got is None:
                return ("cut",) if self.conn.unread else (self.conn.end,)
            if got.opcode == CLOSE:
                return "close", 1005 if got.code is None else got.code, got.payload[2:]
            if got.opcode in (PING, PONG):
                return NAMES[got.opcode], got.payload
            if got.fin:
                event = NAMES[self.opcode], b"".join(self.pieces)
                self.opcode = 0
                return event

    def events(self, deadline=None):
        """Everything up to the Close, or to the end without one."""
        seen = []
        while True:
            seen.append(self.event(deadline))
            if seen[-1][0] in ("close", "fin", "rst", "cut"):
                return seen


def echo(conn, server, careless=False, utf8=True, deflate=False):
    """Sends back what comes, until the Close (answered with the same) or the end. A careless one returns it frame by frame, the
    other message by message. Every frame that comes is checked all the same. How it ended: "close", "fin", "rst", "cut"."""
    reader = Reader(conn, server, utf8, deflate)
    while True:
        got = reader.frame()
        if got is None:
            end = "cut" if conn.unread or reader.opcode else conn.end
            conn.close()
            return end
        try:
            answer(conn, reader, got, server, careless)
        except OSError:
            pass                         # nobody listens any more: what still comes is checked
        if got.opcode == CLOSE:
            conn.finish()
            conn.wait_end()
            return "close"


def answer(conn, reader, got, server, careless):
    mask = not server
    if got.opcode == PING:
        conn.send(frame(PONG, got.payload, mask=mask))
    elif got.opcode == CLOSE:
        conn.send(frame(CLOSE, got.payload, mask=mask))
    elif got.opcode != PONG and careless:
        conn.send(frame(got.opcode, got.payload, fin=got.fin, rsv=got.rsv, mask=mask))
        reader.opcode = 0 if got.fin else reader.opcode
    elif got.opcode != PONG and got.fin:
        conn.send(frame(reader.opcode, b"".join(reader.pieces), rsv=reader.rsv, mask=mask))
        reader.opcode = 0


def closing(client, server, code=1000):
    """A whole closing handshake, begun by the client; both connections end."""
    client.send(frame(CLOSE, close_payload(code)))
    expect_close(Reader(server, True), code)
    server.send(frame(CLOSE, close_payload(code), mask=False))
    expect_close(Reader(client, False), code)
    for conn in (server, client):
        conn.finish()
        conn.wait_end()


def expect_close(reader, code, deadline=None):
    """The next event has to be a Close with this code (or one of them). Returns its reason."""
    event = reader.event(deadline)
    codes = code if isinstance(code, tuple) else (code,)
    if event[0] != "close" or event[1] not in codes:
        raise AssertionError("a Close with %r was due, there came %r" % (code, event))
    return event[2]


def live(conn, server, until=("close", "fin", "rst", "cut")):
    """A peer that answers Pings and the Close, and is silent otherwise. Returns the events it saw, Pings among them."""
    reader, seen = Reader(conn, server), []
    while True:
        event = reader.event()
        seen.append(event)
        try:
            if event[0] == "ping":
                conn.send(frame(PONG, event[1], mask=not server))
            elif event[0] == "close":
                conn.send(frame(CLOSE, close_payload(event[1]), mask=not server))
                conn.finish()
        except OSError:
            pass                         # it has ended: the next event says so
        if event[0] in until:
            return seen
