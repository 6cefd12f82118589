"""What the python-websockets client and server share: options, payloads, JSON lines, close codes.

Written for python3-websockets from 10.4 (Debian 12) to 15 (Debian 13): the two differ in where a connection keeps its
request, its extensions and the Close frames it saw.
"""
import hashlib
import json
import random


def say(event, **facts):
    """One JSON line on standard output."""
    print(json.dumps({"event": event, **facts}), flush=True)


def describe(data):
    """A message as facts: type, size, SHA-256 of its bytes."""
    raw = data.encode() if isinstance(data, str) else bytes(data)
    return {"type": "text" if isinstance(data, str) else "binary", "bytes": len(raw),
            "sha256": hashlib.sha256(raw).hexdigest()}


PATTERN = "Upgate carries text: äöü, żółć, 漢字, 🚪 – 0123456789. "


def text_of(size):
    """Text of exactly `size` bytes of UTF-8, with characters of one to four bytes."""
    raw = PATTERN.encode()
    cut = (raw * (size // len(raw) + 1))[:size]
    text = cut.decode(errors="ignore")
    return text + "x" * (size - len(text.encode()))


def bytes_of(size):
    """`size` bytes that do not compress."""
    return random.Random(size).randbytes(size)


def fragments(data, size):
    """The pieces of a message; text is cut between characters. size 0: in one piece."""
    if size <= 0 or len(data) <= size:
        return data
    return [data[at:at + size] for at in range(0, len(data), size)]


def close_argument(text):
    """CODE or CODE:REASON"""
    code, _, reason = text.partition(":")
    return int(code), reason


def extensions_of(ws):
    """The names of the extensions that were agreed on."""
    owner = ws if hasattr(ws, "extensions") else ws.protocol
    return [extension.name for extension in owner.extensions]


def closing_of(ws):
    """How a connection ended, in the words of the browser's CloseEvent."""
    owner = ws if hasattr(ws, "close_rcvd") else ws.protocol
    received, sent = owner.close_rcvd, owner.close_sent
    return {"code": received.code if received else 1006, "reason": received.reason if received else "",
            "wasClean": received is not None and sent is not None}


class Failed(Exception):
    """Something is not as the options ask; the message says what."""


def fail(sentence):
    raise Failed(sentence)
