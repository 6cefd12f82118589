"""A WebSocket client of the standard library alone: a socket, a handshake, frames. One message at a time, no extensions.

For programs that must run where nothing is installed (the demo's check). It reads strictly: an answer that is not a valid
101, a masked or reserved frame, or an answer that comes too late is an error with a sentence.
"""
import base64
import hashlib
import os
import socket
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
HEAD_MAX_BYTES = 65536


class WebSocketError(Exception):
    pass


def xor(data, mask):
    """The masking of RFC 6455 section 5.3, as one long number."""
    n = len(data)
    return (int.from_bytes(data, "big") ^ int.from_bytes((mask * (n // 4 + 1))[:n], "big")).to_bytes(n, "big")


class RawWebSocket:
    def __init__(self, host, port, path="/", subprotocols=(), timeout=10):
        self.socket = socket.create_connection((host, port), timeout)
        self.input = b""
        self.close_code = None
        self._shake_hands("%s:%d" % (host, port), path, subprotocols)

    # --- the handshake ---

    def _shake_hands(self, host, path, subprotocols):
        key = base64.b64encode(os.urandom(16))
        lines = ["GET %s HTTP/1.1" % path, "Host: " + host, "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Key: " + key.decode(), "Sec-WebSocket-Version: 13"]
        if subprotocols:
            lines.append("Sec-WebSocket-Protocol: " + ", ".join(subprotocols))
        self.socket.sendall("\r\n".join(lines + ["", ""]).encode())
        status, fields = self._read_head()
        if status != "HTTP/1.1 101 Switching Protocols":
            raise WebSocketError("the handshake was answered with: " + status)
        due = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        if fields.get("sec-websocket-accept") != due or fields.get("upgrade", "").lower() != "websocket":
            raise WebSocketError("the 101 does not fit the request")
        self.subprotocol = fields.get("sec-websocket-protocol")
        self.fields = fields

    def _read_head(self):
        while b"\r\n\r\n" not in self.input:
            if len(self.input) > HEAD_MAX_BYTES:
                raise WebSocketError("the answer's head is too large")
            self._read_more()
        head, self.input = self.input.split(b"\r\n\r\n", 1)
        status, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return status, {name.lower(): value.strip() for name, _, value in pairs}

    def _read_more(self):
        piece = self.socket.recv(1 << 20)
        if not piece:
            raise WebSocketError("the connection ended")
        self.input += piece

    # --- frames ---

    def _take(self, n):
        pieces, have = [self.input], len(self.input)
        while have < n:
            piece = self.socket.recv(min(n - have, 1 << 20))
            if not piece:
                raise WebSocketError("the connection ended inside a frame")
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        self.input = data[n:]
        return data[:n]

    def _read_frame(self):
        first, second = self._take(2)
        if first & 0x70 or second & 0x80:
            raise WebSocketError("a frame is masked or has a reserved bit")
        length = second & 0x7f
        if length >= 126:
            length = int.from_bytes(self._take(2 if length == 126 else 8), "big")
        return first & 0x80, first & 0x0f, self._take(length)

    def _send_frame(self, opcode, data, final=True):
        n = len(data)
        head = struct.pack("!BB", opcode | (0x80 if final else 0), 0x80 | (n if n < 126 else 126 if n < 65536 else 127))
        head += struct.pack("!H", n) if 126 <= n < 65536 else struct.pack("!Q", n) if n >= 65536 else b""
        mask = os.urandom(4)
        self.socket.sendall(head + mask + xor(data, mask))

    # --- messages ---

    def send(self, data):
        text = isinstance(data, str)
        self._send_frame(TEXT if text else BINARY, data.encode() if text else data)

    def receive(self):
        """The next message: str or bytes; None when the other side closed."""
        pieces, kind = [], None
        while True:
            final, opcode, data = self._read_frame()
            if opcode == PING:
                self._send_frame(PONG, data)
            elif opcode == CLOSE:
                self._take_close(data)
                return None
            elif opcode <= BINARY:
                pieces.append(data)
                kind = opcode or kind
                if final:
                    whole = b"".join(pieces)
                    return whole.decode() if kind == TEXT else whole
            elif opcode != PONG:
                raise WebSocketError("the opcode %d is reserved" % opcode)

    def ping(self, data):
        """Sends a ping and waits for its pong; nothing else is expected meanwhile."""
        self._send_frame(PING, data)
        _, opcode, answer = self._read_frame()
        if opcode != PONG or answer != data:
            raise WebSocketError("the ping was not answered with its pong")

    def _take_close(self, data):
        self.close_code = int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005
        try:
            self._send_frame(CLOSE, data[:2])
        except OSError:
            pass                         # the other side has gone already

    def close(self, code=1000, reason=""):
        """The closing handshake: sends a Close, waits for the answer, then for the end. The code that came back."""
        self._send_frame(CLOSE, struct.pack("!H", code) + reason.encode())
        while self.close_code is None:
            _, opcode, data = self._read_frame()
            if opcode == CLOSE:
                self.close_code = int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005
        if self.socket.recv(1):
            raise WebSocketError("something followed the Close frame")
        self.socket.close()
        return self.close_code
