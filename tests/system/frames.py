"""WebSocket handshakes and frames as the tests write and read them (RFC 6455), lawful or not."""
import base64
import hashlib
import os
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def accept_for(key):
    return base64.b64encode(hashlib.sha1(key.encode("ascii") + GUID).digest()).decode("ascii")


def handshake(target="/ws", host="test.example", key=KEY, fields=(), version="13"):
    """A client's opening handshake; a None leaves its field out."""
    lines = ["GET %s HTTP/1.1" % target, "Host: %s" % host, "Connection: Upgrade", "Upgrade: websocket"]
    if key is not None:
        lines.append("Sec-WebSocket-Key: %s" % key)
    if version is not None:
        lines.append("Sec-WebSocket-Version: %s" % version)
    lines += ["%s: %s" % field for field in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def switch(accept=ACCEPT, fields=(), upgrade=("websocket",), connection="Upgrade", version="1.1"):
    """A backend's 101; a None leaves its field out."""
    lines = ["HTTP/%s 101 Switching Protocols" % version]
    lines += ["Upgrade: %s" % u for u in upgrade]
    if connection is not None:
        lines.append("Connection: %s" % connection)
    if accept is not None:
        lines.append("Sec-WebSocket-Accept: %s" % accept)
    lines += ["%s: %s" % field for field in fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def apply_mask(data, mask):
    pad = mask * (len(data) // 4 + 1)
    return (int.from_bytes(data, "big") ^ int.from_bytes(pad[:len(data)], "big")).to_bytes(len(data), "big") if data else b""


def frame(opcode, payload=b"", fin=True, rsv=0, mask=True, announced=None, length_form=None):
    """One frame. mask: True (random key), False, or four bytes. announced: a length that may lie. length_form: 7, 16 or 64."""
    size = len(payload) if announced is None else announced
    form = length_form or (7 if size < 126 else 16 if size < 65536 else 64)
    first = (0x80 if fin else 0) | (rsv << 4) | opcode
    second = 0x80 if mask else 0
    if form == 7:
        head = struct.pack("!BB", first, second | size)
    elif form == 16:
        head = struct.pack("!BBH", first, second | 126, size)
    else:
        head = struct.pack("!BBQ", first, second | 127, size)
    if not mask:
        return head + payload
    key = os.urandom(4) if mask is True else mask
    return head + key + apply_mask(payload, key)


def close_payload(code, reason=b""):
    return struct.pack("!H", code) + reason


class Frame:
    def __init__(self, first, masked, payload):
        self.fin = bool(first & 0x80)
        self.rsv = (first >> 4) & 7
        self.opcode = first & 15
        self.masked = masked
        self.payload = payload
        self.code = struct.unpack("!H", payload[:2])[0] if self.opcode == CLOSE and len(payload) >= 2 else None

    def __repr__(self):
        return "<frame fin=%d rsv=%d opcode=%d masked=%d code=%r %r (%d bytes)>" % (
            self.fin, self.rsv, self.opcode, self.masked, self.code, self.payload[:60], len(self.payload))


def read_frame(conn, deadline=None):
    """The next frame; None when the connection ended at a frame boundary. Ending inside a frame raises EOFError."""
    if not conn.wait_for(lambda data: len(data) >= 2, deadline, ended_ok=True):
        if conn.unread:
            raise EOFError("the connection ended inside a frame head")
        return None
    first, second = conn.unread[0], conn.unread[1]
    size, offset = second & 127, 2
    extra = {126: 2, 127: 8}.get(size, 0)
    offset += extra + (4 if second & 128 else 0)
    if not conn.wait_for(lambda data: len(data) >= offset, deadline, ended_ok=True):
        raise EOFError("the connection ended inside a frame head")
    if extra:
        size = int.from_bytes(conn.unread[2:2 + extra], "big")
    if not conn.wait_for(lambda data: len(data) >= offset + size, deadline, ended_ok=True):
        raise EOFError("the connection ended inside a frame")
    head = conn.take(offset)
    payload = conn.take(size)
    if second & 128:
        payload = apply_mask(payload, head[-4:])
    return Frame(first, bool(second & 128), payload)


def read_close(conn, code=None, deadline=None):
    """The next frame has to be a Close, with this code unless None; returns it."""
    got = read_frame(conn, deadline)
    if got is None or got.opcode != CLOSE or (code is not None and got.code != code):
        raise AssertionError("a Close with %s was due, there came %r" % (code or "any code", got))
    return got
