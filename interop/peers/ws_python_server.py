#!/usr/bin/python3
"""An echo server on python-websockets that says what it saw.

First line: {"event":"ready","address":"127.0.0.1:PORT"}. Then one JSON line for every connection opened, message
received and connection closed. SIGTERM ends it.
"""
import argparse
import asyncio
import signal

import websockets

from peer_common import close_argument, closing_of, describe, extensions_of, fragments, say, text_of


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="ADDRESS:PORT", help="port 0: the kernel chooses")
    parser.add_argument("--deflate", action="store_true", help="agree to permessage-deflate")
    parser.add_argument("--subprotocol", action="append", metavar="NAME", help="one that may be chosen; repeatable")
    parser.add_argument("--fragment", type=int, default=0, metavar="CHARS", help="echo in fragments of this size")
    parser.add_argument("--push", type=int, default=0, metavar="BYTES", help="send a text of this size right after the 101")
    parser.add_argument("--close-after", type=int, default=0, metavar="N", help="close after N messages …")
    parser.add_argument("--close", type=close_argument, default=(1000, ""), metavar="CODE[:REASON]", help="… with this")
    parser.add_argument("--max-message", type=int, default=64 << 20, metavar="BYTES")
    parser.add_argument("--ping-interval", type=float, default=0, metavar="SECONDS", help="0: the server does not ping")
    return parser.parse_args()


def path_of(ws):
    return ws.request.path if hasattr(ws, "request") else ws.path


def fields_of(ws):
    fields = ws.request.headers if hasattr(ws, "request") else ws.request_headers
    return [[name, value] for name, value in fields.raw_items()]


def chooser(names):
    """Picks a subprotocol, or none: by itself version 15 refuses a client that offers none of ours."""
    def choose(first, second):           # 10: what was offered, what is ours; 15: the connection, what was offered
        offered = first if isinstance(first, (list, tuple)) else second
        return next((name for name in names if name in offered), None)
    return choose


async def converse(ws, options):
    if options.push:
        await ws.send(text_of(options.push))
    count = 0
    async for message in ws:
        count += 1
        say("message", **describe(message))
        await ws.send(fragments(message, options.fragment))
        if count == options.close_after:
            await ws.close(*options.close)


async def serve(options):
    async def handler(ws):
        say("open", path=path_of(ws), subprotocol=ws.subprotocol, extensions=extensions_of(ws), fields=fields_of(ws))
        try:
            await converse(ws, options)
        except websockets.ConnectionClosed:
            pass
        await ws.wait_closed()
        say("closed", **closing_of(ws))

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    host, _, port = options.listen.rpartition(":")
    async with websockets.serve(handler, host.strip("[]"), int(port), max_size=options.max_message,
                                compression="deflate" if options.deflate else None, subprotocols=options.subprotocol,
                                select_subprotocol=chooser(options.subprotocol or []),
                                ping_interval=options.ping_interval or None, close_timeout=5) as server:
        say("ready", address="%s:%d" % (host, server.sockets[0].getsockname()[1]), version=websockets.__version__)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(arguments()))
