#!/usr/bin/python3
"""A client on python-websockets that sends what it is told to an echo server and checks what comes back.

Messages go out in the order of the options, each when the one before has come back (--together: all at once). One JSON
line per event; the last one is {"event":"result","ok":…}. Exit 0 when everything came back byte for byte and the
connection ended as asked.
"""
import argparse
import asyncio
import inspect
import sys
import time

import websockets

from peer_common import (Failed, bytes_of, close_argument, closing_of, describe, extensions_of, fail, fragments, say,
                         text_of)


class Message(argparse.Action):
    """Collects --text and --binary in the order in which they stand."""

    def __call__(self, parser, namespace, value, option=None):
        messages = getattr(namespace, self.dest) or []
        setattr(namespace, self.dest, messages + [(option, value)])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="ws://127.0.0.1:8080/echo")
    parser.add_argument("--text", dest="messages", action=Message, type=int, metavar="BYTES", help="repeatable")
    parser.add_argument("--binary", dest="messages", action=Message, type=int, metavar="BYTES", help="repeatable")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="send the whole list N times")
    parser.add_argument("--together", action="store_true", help="send everything before waiting for the echoes")
    parser.add_argument("--fragment", type=int, default=0, metavar="CHARS", help="send in fragments of this size")
    parser.add_argument("--ping", action="store_true", help="ping before closing, and wait for the pong")
    parser.add_argument("--deflate", action="store_true", help="offer permessage-deflate, and require it")
    parser.add_argument("--subprotocol", action="append", metavar="NAME", help="offer; repeatable")
    parser.add_argument("--expect-subprotocol", metavar="NAME", help="require that this one was chosen")
    parser.add_argument("--expect-push", type=int, default=0, metavar="BYTES", help="require a text of this size first, as --push sends it")
    parser.add_argument("--origin")
    parser.add_argument("--close", type=close_argument, default=(1000, ""), metavar="CODE[:REASON]")
    parser.add_argument("--wait-close", action="store_true", help="do not close: wait until the other side does")
    parser.add_argument("--expect-close", type=int, metavar="CODE", help="require this code in the Close received")
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="for everything together")
    return parser.parse_args()


def connect(options):
    more = {"origin": options.origin} if options.origin else {}
    if "proxy" in inspect.signature(websockets.connect.__init__).parameters:
        more["proxy"] = None             # loopback is reached directly, whatever the environment says
    return websockets.connect(options.url, compression="deflate" if options.deflate else None, max_size=64 << 20,
                              subprotocols=options.subprotocol, ping_interval=None, close_timeout=5, **more)


def payload(option, size):
    return text_of(size) if option == "--text" else bytes_of(size)


async def receive(ws, expected):
    """One message, which has to be `expected`."""
    started = time.monotonic()
    message = await ws.recv()
    say("message", **describe(message), ms=round((time.monotonic() - started) * 1000, 3))
    if message != expected:
        fail("the echo differs: sent %s, received %s" % (describe(expected), describe(message)))


async def exchange(ws, options, messages):
    sending = []
    for message in messages:
        if options.together:
            sending.append(message)
            continue
        await ws.send(fragments(message, options.fragment))
        await receive(ws, message)
    if sending:
        async def send_all():
            for message in sending:
                await ws.send(fragments(message, options.fragment))
        task = asyncio.ensure_future(send_all())
        for message in sending:
            await receive(ws, message)
        await task


async def ping(ws):
    started = time.monotonic()
    await (await ws.ping(b"peer"))
    say("pong", ms=round((time.monotonic() - started) * 1000, 3))


def check_opening(ws, options):
    agreed = extensions_of(ws)
    say("open", subprotocol=ws.subprotocol, extensions=agreed)
    if options.deflate and "permessage-deflate" not in agreed:
        fail("permessage-deflate was not agreed on")
    if not options.deflate and agreed:
        fail("an extension came that was not offered")
    if options.expect_subprotocol and ws.subprotocol != options.expect_subprotocol:
        fail("the subprotocol is %s" % ws.subprotocol)


async def converse(ws, options):
    messages = [payload(*message) for message in (options.messages or [])] * options.repeat
    check_opening(ws, options)
    if options.expect_push:
        await receive(ws, text_of(options.expect_push))
    await exchange(ws, options, messages)
    if options.ping:
        await ping(ws)
    if not options.wait_close:
        await ws.close(*options.close)
    await ws.wait_closed()
    return len(messages)


async def run(options):
    async with connect(options) as ws:
        count = await converse(ws, options)
    closing = closing_of(ws)
    say("closed", **closing)
    if options.expect_close and closing["code"] != options.expect_close:
        fail("the close code is %d" % closing["code"])
    if not closing["wasClean"]:
        fail("the connection did not end with Close frames both ways")
    say("result", ok=True, messages=count, **closing)


def status_of(error):
    """The HTTP status of a refused handshake, in either version's exception."""
    response = getattr(error, "response", None)
    return response.status_code if response is not None else getattr(error, "status_code", 0)


def attempt(options):
    """What went wrong, in words; None when all went well."""
    try:
        asyncio.run(asyncio.wait_for(run(options), options.timeout))
    except Failed as error:
        return str(error)
    except websockets.InvalidHandshake as error:
        say("refused", status=status_of(error), why=str(error))
        return "the handshake was refused"
    except websockets.ConnectionClosed as error:
        say("closed", code=error.rcvd.code if error.rcvd else 1006, reason=error.rcvd.reason if error.rcvd else "",
            wasClean=error.rcvd is not None and error.sent is not None)
        return "the connection ended too early"
    except (OSError, EOFError, asyncio.TimeoutError, websockets.WebSocketException) as error:
        return "%s: %s" % (type(error).__name__, error)
    return None


def main():
    why = attempt(arguments())
    if why:
        say("result", ok=False, why=why)
        sys.exit(1)


if __name__ == "__main__":
    main()
