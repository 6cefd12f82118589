#!/usr/bin/env python3
"""An echo server that checks nothing: every frame goes back as it came, lawful or not.

Flags and opcode are kept, masking is undone, a Ping comes back as a Pong, a Pong is dropped, a Close is echoed and ends
the connection. No extensions, no limits but memory. What a client behind a gateway is spared here, it was spared by the
gateway. Prints {"event":"ready","address":"127.0.0.1:PORT"} once it listens; SIGTERM ends it.
"""
import argparse
import asyncio
import base64
import hashlib
import json
import signal

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE, PING, PONG = 8, 9, 10


def accept_for(head):
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"sec-websocket-key":
            return base64.b64encode(hashlib.sha1(value.strip() + GUID).digest())
    return None


def unmasked(mask, data):
    size = len(data)
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")


async def read_frame(reader):
    """The first byte as it is, and the payload without its mask."""
    first, second = await reader.readexactly(2)
    size = second & 127
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    mask = await reader.readexactly(4) if second & 128 else None
    data = await reader.readexactly(size)
    return first, unmasked(mask, data) if mask and size else data


def frame(first, data):
    size = len(data)
    if size < 126:
        return bytes([first, size]) + data
    if size < 65536:
        return bytes([first, 126]) + size.to_bytes(2, "big") + data
    return bytes([first, 127]) + size.to_bytes(8, "big") + data


async def converse(reader, writer):
    accept = accept_for(await reader.readuntil(b"\r\n\r\n"))
    if accept is None:
        return
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Accept: %s\r\n\r\n" % accept)
    opcode = None
    while opcode != CLOSE:
        first, data = await read_frame(reader)
        opcode = first & 15
        if opcode == PONG:
            continue
        writer.write(frame(first + (PONG - PING) if opcode == PING else first, data))
        await writer.drain()


async def serve_one(reader, writer):
    try:
        await converse(reader, writer)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        pass
    finally:
        writer.close()


async def serve(address):
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host, _, port = address.rpartition(":")
    server = await asyncio.start_server(serve_one, host, int(port), limit=1 << 20)
    print(json.dumps({"event": "ready", "address": "%s:%d" % server.sockets[0].getsockname()[:2]}), flush=True)
    await stop.wait()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="ADDRESS:PORT", help="port 0: the kernel chooses")
    asyncio.run(serve(parser.parse_args().listen))
