"""Debian's python3-websockets on both sides of the gateway: real clients, a real server, what each of them saw.

Written for its versions from 10.4 (Debian 12) to 15 (Debian 13), which differ in where a connection keeps its extensions, in how a
server rejects, and in the name of the exception for that. That of Debian 13 asks the environment for a proxy unless it is told not to.
"""
import asyncio
import http
import inspect
import threading

from harness import MIB, Skip, check, same, wait_until

try:
    import websockets
except ImportError:
    websockets = None


class Server:
    """A websockets server with a loop and a thread of its own."""

    def __init__(self, handler, **options):
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.seen = []
        self.thread = threading.Thread(target=self._run, args=(handler, options), daemon=True)
        self.thread.start()
        self.ready.wait(20)

    def _run(self, handler, options):
        async def begin():
            return await websockets.serve(handler, "127.0.0.1", 0, **options)
        asyncio.set_event_loop(self.loop)
        self.server = self.loop.run_until_complete(begin())
        self.port = self.server.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()

    def stop(self):
        async def end():
            self.server.close()
            await asyncio.wait_for(self.server.wait_closed(), 10)
        asyncio.run_coroutine_threadsafe(end(), self.loop).result(15)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


async def echo(socket):
    async for message in socket:
        await socket.send(message)


def serving(t, handler=echo, websocket=None, **options):
    """(server, url through the gateway)"""
    if websockets is None:
        raise Skip("python3-websockets is not installed")
    options.setdefault("max_size", 32 * MIB)
    server = Server(handler, **options)
    t.on_exit(server.stop)
    gateway = t.simple("127.0.0.1:%d" % server.port, websocket=websocket)
    return gateway, "ws://127.0.0.1:%d/chat" % gateway.port


def connect(url, **options):
    if "proxy" in inspect.signature(websockets.connect.__init__).parameters:
        options["proxy"] = None
    return websockets.connect(url, **options)


def extensions_of(socket):
    return [e.name for e in (socket.protocol.extensions if hasattr(socket, "protocol") else socket.extensions)]


def talk(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 120))


def round_trips(t, compression, messages):
    _, url = serving(t, compression=compression)

    async def client():
        async with connect(url, compression=compression, max_size=32 * MIB) as socket:
            same(extensions_of(socket), ["permessage-deflate"] if compression else [], "extensions")
            for message in messages:
                await socket.send(message)
                got = await socket.recv()
                check(got == (message if isinstance(message, (str, bytes)) else "".join(message)), "a message changed")
        same(socket.close_code, 1000, "close code")
    talk(client())


MESSAGES = ["", "grüße, 世界, 🌍", b"", bytes(range(256)), "x" * 125, "x" * 126, b"y" * 65535, b"y" * 65536, ["frag", "men", "ted"]]
LARGE = ["a" * MIB, bytes(range(256)) * (16 * MIB // 256)]


def test_echo_without_compression(t):
    round_trips(t, None, MESSAGES)


def test_echo_with_deflate(t):
    round_trips(t, "deflate", MESSAGES)


def test_1_and_16_mib_without_compression(t):
    t.needs_speed()
    round_trips(t, None, LARGE)


def test_1_and_16_mib_with_deflate(t):
    t.needs_speed()
    round_trips(t, "deflate", LARGE)


def test_text_is_checked_and_passes(t):
    _, url = serving(t, websocket={"verify": "utf8"})

    async def client():
        async with connect(url) as socket:
            for text in MESSAGES[:2] + ["🌍" * 50000]:
                await socket.send(text)
                same(await socket.recv(), text, "text")
    talk(client())


def test_subprotocol(t):
    _, url = serving(t, subprotocols=["v2", "v1"])

    async def client():
        async with connect(url, subprotocols=["v1", "v2"]) as socket:
            check(socket.subprotocol in ("v1", "v2"), "subprotocol %r", socket.subprotocol)
    talk(client())


def test_ping_and_pong(t):
    _, url = serving(t)

    async def client():
        async with connect(url) as socket:
            for _ in range(5):
                await asyncio.wait_for(await socket.ping(), 20)
    talk(client())


def test_close_codes_travel(t):
    codes = []

    async def handler(socket):
        try:
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            codes.append((closed.rcvd.code, closed.rcvd.reason))

    _, url = serving(t, handler)

    async def client():
        socket = await connect(url)
        await socket.close(4001, "gone fishing")
        same(socket.close_code, 4001, "close code")
    talk(client())
    wait_until(lambda: codes, what="the close at the server")
    same(codes, [(4001, "gone fishing")], "what the server saw")


def test_rejection_passes(t):
    async def reject(first, _):
        if hasattr(first, "respond"):
            return first.respond(http.HTTPStatus.FORBIDDEN, "forbidden")
        return http.HTTPStatus.FORBIDDEN, [("X-Reason", "no")], b"forbidden"

    _, url = serving(t, process_request=reject)

    async def client():
        try:
            await connect(url)
        except websockets.InvalidHandshake as error:
            same(error.response.status_code if hasattr(error, "response") else error.status_code, 403, "status")
            return
        raise AssertionError("the rejection was lost")
    talk(client())


def test_many_clients_at_once(t):
    _, url = serving(t)

    async def one(number):
        async with connect(url) as socket:
            for i in range(10):
                await socket.send("%d-%d" % (number, i))
                same(await socket.recv(), "%d-%d" % (number, i), "message")

    async def all_of_them():
        await asyncio.gather(*(one(n) for n in range(100)))
    talk(all_of_them())


def test_server_that_goes_away(t):
    async def handler(socket):
        await socket.recv()
        socket.transport.abort()

    _, url = serving(t, handler)

    async def client():
        socket = await connect(url)
        await socket.send("x")
        try:
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            check(closed.rcvd is not None and closed.rcvd.code in (1001, 1011, 1014), "the client saw %r", closed)
            return
        raise AssertionError("the loss of the server went unnoticed")
    talk(client())
