"""How tunnels end: every row of the gateway's table of end reasons that is about tunnels, as both peers and the record saw it."""
import re
import signal
import threading
import time

from endpoints import Reader, closing, expect_close, live
from frames import BINARY, CLOSE, PING, TEXT, close_payload, frame
from harness import MIB, Log, check, in_thread, same
from wire import SLOWNESS, wait_until

MILLISECONDS = SLOWNESS
CLIENT, SERVER = "client", "server"


def ms(n):
    return "%dms" % (n * MILLISECONDS)


WEBSOCKET = {"verify": "utf8", "close_timeout": "5s", "ping_interval": "off", "max_message": "1MiB"}
PATIENT = dict(WEBSOCKET, close_timeout="30s")
HASTY = dict(WEBSOCKET, close_timeout=ms(300))


class Pair:
    """A tunnel with a reader on each end; `one` is the side that does something, `two` the other."""

    def __init__(self, t, one, websocket=None, share=None, **options):
        if share:
            self.backend, self.gateway = share.backend, share.gateway
        else:
            self.backend = t.backend(**options)
            self.gateway = t.simple(self.backend, websocket=websocket or WEBSOCKET)
        self.client, self.server = t.upgrade(self.gateway, self.backend)
        self.name, self.mask = one, one == CLIENT
        self.one, self.two = (self.client, self.server) if self.mask else (self.server, self.client)
        self.reads_one, self.reads_two = Reader(self.one, not self.mask), Reader(self.two, self.mask)

    def frame(self, *arguments, **options):
        """A frame of `one`'s."""
        return frame(*arguments, mask=self.mask, **options)

    def answer(self, *arguments, **options):
        """A frame of `two`'s."""
        return frame(*arguments, mask=not self.mask, **options)

    def record(self, end, closed_by, codes=None, fault=None):
        """The tunnel's record: how it ended, who began, the codes of the Closes that came (from `one`, from `two`), the fault."""
        client = "%s:%d" % self.client_name if hasattr(self, "client_name") else None
        found = self.gateway.wait_record(**{Log.KIND: "tunnel", **({"client": client} if client else {})})
        same((found[Log.END], found[Log.CLOSED_BY], found.get("fault")), (end, closed_by, fault), "end, closed_by and fault")
        one, two = (found[Log.FROM_CLIENT], found[Log.FROM_SERVER]) if self.mask else (
            found[Log.FROM_SERVER], found[Log.FROM_CLIENT])
        if codes:
            same((one[Log.CLOSE_CODE], two[Log.CLOSE_CODE]), codes, "close codes that were received")
        self.gateway.records.remove(found)
        return one, two

    def close(self):
        self.one.close()
        self.two.close()


def both(t, websocket=None, **options):
    """The same scene with either side in the first part, on one gateway."""
    first = Pair(t, CLIENT, websocket, **options)
    yield first
    first.close()
    second = Pair(t, SERVER, share=first)
    yield second
    second.close()


def quiet_end(conn, first=True):
    """The connection ends, with nothing more on it. The peer does its part first (after the closing handshake a server's is
    awaited for up to a second), or waits for the gateway's."""
    if first:
        try:
            conn.finish()
        except OSError:
            pass
    same((conn.wait_end(), bytes(conn.unread)), ("fin", b""), "the end")


# closed

def test_close_passes_with_its_code_and_reason(t):
    for pair in both(t):
        pair.one.send(pair.frame(TEXT, b"1") + pair.frame(PING, b"2") + pair.frame(CLOSE, close_payload(3456, "Grüße".encode())))
        same(pair.reads_two.events(), [("text", b"1"), ("ping", b"2"), ("close", 3456, "Grüße".encode())], "what came")
        pair.two.send(pair.answer(CLOSE, close_payload(3456, b"and back")))
        same(pair.reads_one.events(), [("close", 3456, b"and back")], "what came back")
        quiet_end(pair.one)
        quiet_end(pair.two)
        one, two = pair.record("closed", pair.name, (3456, 3456))
        same((one[Log.FRAMES], one[Log.MESSAGES], two[Log.FRAMES]), (3, 1, 1), "frames and messages")
        same((one[Log.BYTES], two[Log.BYTES]), (pair.one.count_sent - \
             head_bytes(pair), len(pair.answer(CLOSE, b"xx" + b"and back"))), "bytes")


def head_bytes(pair):
    """What the first side sent before its frames: its half of the handshake."""
    return pair.one.count_sent - len(pair.frame(TEXT, b"1") + pair.frame(PING, b"2") + \
                                     pair.frame(CLOSE, b"xx" + "Grüße".encode()))


def test_close_without_a_code_is_1005_in_the_record(t):
    for pair in both(t):
        pair.one.send(pair.frame(CLOSE))
        same(pair.reads_two.events(), [("close", 1005, b"")], "what came")
        pair.two.send(pair.answer(CLOSE, close_payload(1000)))
        same(pair.reads_one.events(), [("close", 1000, b"")], "what came back")
        pair.close()
        pair.record("closed", pair.name, (1005, 1000))


def test_closes_that_cross(t):
    """Each side gets the other's own Close, and no other."""
    pair = Pair(t, CLIENT)
    for _ in range(20):
        pair.client.send(frame(CLOSE, close_payload(4001, b"from the client")))
        pair.server.send(frame(CLOSE, close_payload(4002, b"from the server"), mask=False))
        same(pair.reads_two.events(), [("close", 4001, b"from the client")], "at the server")
        same(pair.reads_one.events(), [("close", 4002, b"from the server")], "at the client")
        quiet_end(pair.client)
        quiet_end(pair.server)
        pair.close()
        found = pair.gateway.wait_record(**{Log.KIND: "tunnel"})
        same((found[Log.END], found[Log.FROM_CLIENT][Log.CLOSE_CODE],
             found[Log.FROM_SERVER][Log.CLOSE_CODE]), ("closed", 4001, 4002), "record")
        pair.gateway.records.remove(found)
        pair = Pair(t, CLIENT, share=pair)


def test_the_other_may_finish_what_it_was_saying(t):
    for pair in both(t):
        pair.one.send(pair.frame(CLOSE, close_payload(1000)))
        same(pair.reads_two.events()[-1][1], 1000, "code")
        pair.two.send(*[pair.answer(TEXT, b"%d" % i) for i in range(50)], pair.answer(CLOSE, close_payload(1000)))
        same(pair.reads_one.events(), [("text", b"%d" % i) for i in range(50)] + [("close", 1000, b"")], "what came back")
        pair.close()
        pair.record("closed", pair.name)


def test_a_close_is_delivered_before_the_fin_behind_it(t):
    """Frames, the Close and the FIN in one go, whoever sends them; then the answer goes through a half-closed connection."""
    for pair in both(t):
        pair.one.send(pair.frame(TEXT, b"last") + pair.frame(CLOSE, close_payload(4000, b"gone"))).finish()
        same(pair.reads_two.events(), [("text", b"last"), ("close", 4000, b"gone")], "what came")
        pair.two.send(pair.answer(CLOSE, close_payload(4000)))
        same(pair.reads_one.events(), [("close", 4000, b"")], "what came back")
        quiet_end(pair.two)
        pair.record("closed", pair.name, (4000, 4000))


def test_a_close_before_the_connection_is_gone(t):
    """… or with the socket closed at once: the Close still comes out."""
    for pair in both(t):
        pair.one.send(pair.frame(CLOSE, close_payload(4000, b"gone"))).close()
        same(pair.reads_two.events(), [("close", 4000, b"gone")], "what came")
        pair.two.send(pair.answer(CLOSE, close_payload(4000)))
        quiet_end(pair.two)
        pair.gateway.wait_record(**{Log.KIND: "tunnel"})
        pair.gateway.records.clear()


def test_nothing_behind_a_close_is_passed_on(t):
    for behind in [frame(TEXT, b"zombie", mask=b"\0\0\0\0"), frame(CLOSE, close_payload(4999)), b"\xff" * 50, b"zombie" * 20000]:
        for pair in both(t):
            pair.one.send(pair.frame(CLOSE, close_payload(1000)))
            pair.two.send(pair.answer(TEXT, b"answer"))
            same(pair.reads_one.event(), ("text", b"answer"), "the other way")
            sending = in_thread(send_quietly, pair.one, behind)
            same(pair.reads_two.events(), [("close", 1000, b"")], "what came")
            pair.two.send(pair.answer(CLOSE, close_payload(1000)))
            same(pair.reads_one.events(), [("close", 1000, b"")], "what came back")
            quiet_end(pair.two)
            pair.one.close()
            sending.finish()
            check(b"zombie" not in pair.two.received, "something behind the Close came out")
            pair.record("closed", pair.name)


def send_quietly(conn, data):
    try:
        conn.send(data)
    except OSError:
        pass


def test_connections_end_within_a_second_of_the_closing_handshake(t):
    """Also where neither peer ends its own: the gateway says FIN at once, and lets go after a second."""
    gateway = None
    for ended_by in ["nobody", CLIENT, SERVER]:
        pair = Pair(t, CLIENT, PATIENT, share=gateway)
        gateway = pair
        pair.client.send(frame(CLOSE, close_payload(1000)))
        expect_close(pair.reads_two, 1000)
        pair.server.send(frame(CLOSE, close_payload(1000), mask=False))
        expect_close(pair.reads_one, 1000)
        started = time.monotonic()
        quiet_end(pair.client, False)
        quiet_end(pair.server, False)
        if ended_by != "nobody":
            getattr(pair, ended_by).close()
        pair.record("closed", CLIENT)
        check(time.monotonic() - started < 2.5 * SLOWNESS, "%.1f s with %s ending", time.monotonic() - started, ended_by)
        pair.close()


# close_timeout

def test_a_close_that_is_never_answered(t):
    for pair in both(t, HASTY):
        pair.one.send(pair.frame(CLOSE, close_payload(1000)))
        same(pair.reads_two.events(), [("close", 1000, b"")], "what came")
        quiet_end(pair.one, False)
        quiet_end(pair.two, False)
        pair.record("close_timeout", pair.name, (1000, 0))


# vanished, cut, reset: by a FIN between frames, a FIN inside one, a reset

CODES = {CLIENT: 1001, SERVER: 1014}


def test_vanished_between_frames(t):
    """The other is told with a Close, and what it still says goes to whoever still reads."""
    for pair in both(t):
        pair.one.send(pair.frame(TEXT, b"whole")).finish()
        same(pair.reads_two.event(), ("text", b"whole"), "what came")
        reason = expect_close(pair.reads_two, CODES[pair.name])
        same(reason, b"the %s is gone" % pair.name.encode(), "reason")
        pair.two.send(pair.answer(TEXT, b"still here") + pair.answer(CLOSE, close_payload(CODES[pair.name])))
        same(pair.reads_one.events(), [("text", b"still here"), ("close", CODES[pair.name], b"")], "what came back")
        quiet_end(pair.two)
        quiet_end(pair.one)
        pair.record(pair.name + "_vanished", pair.name, (0, CODES[pair.name]))


def test_vanished_inside_a_message(t):
    """Between two fragments a Close is lawful."""
    for pair in both(t):
        pair.one.send(pair.frame(TEXT, b"open", fin=False)).close()
        same(pair.reads_two.event()[:2], ("close", CODES[pair.name]), "what came")
        pair.two.send(pair.answer(CLOSE, close_payload(CODES[pair.name])))
        quiet_end(pair.two)
        pair.record(pair.name + "_vanished", pair.name, (0, CODES[pair.name]))


def test_vanished_inside_a_head(t):
    """A head of which nothing passed: the other still stands between frames, and is told."""
    for pair in both(t):
        pair.one.send(pair.frame(TEXT, b"whole") + pair.frame(BINARY, b"x" * 300)[:3]).close()
        same(pair.reads_two.event(), ("text", b"whole"), "what came")
        expect_close(pair.reads_two, CODES[pair.name])
        pair.two.send(pair.answer(CLOSE, close_payload(CODES[pair.name])))
        quiet_end(pair.two)
        pair.record(pair.name + "_cut", pair.name)


def test_vanished_inside_a_frame(t):
    """The frame is open on the other side too: nothing can be said there, the connection just ends, and at once."""
    for pair in both(t, PATIENT):
        part = pair.frame(BINARY, b"x" * 300)[:200]
        started = time.monotonic()
        pair.one.send(part).close()
        same((pair.two.wait_end(), bytes(pair.two.unread)), ("fin", part), "the other's end and what it has")
        check(time.monotonic() - started < 5 * SLOWNESS, "the end took %.1f s", time.monotonic() - started)
        pair.two.close()
        pair.record(pair.name + "_cut", pair.name)


def test_reset_between_frames(t):
    for pair in both(t):
        pair.one.send(pair.frame(TEXT, b"whole"))
        same(pair.reads_two.event(), ("text", b"whole"), "what came")
        pair.one.reset()
        expect_close(pair.reads_two, CODES[pair.name])
        pair.two.send(pair.answer(CLOSE, close_payload(CODES[pair.name])))
        quiet_end(pair.two)
        pair.record(pair.name + "_reset", pair.name, (0, CODES[pair.name]))


def test_reset_inside_a_frame(t):
    for pair in both(t, PATIENT):
        part = pair.frame(BINARY, b"x" * 300)[:200]
        pair.one.send(part)
        same(pair.two.read_exact(200), part, "what came")
        pair.one.reset()
        quiet_end(pair.two, False)
        pair.two.close()
        pair.record(pair.name + "_reset", pair.name)


def test_the_other_never_answers_a_vanished_ones_close(t):
    for pair in both(t, HASTY):
        pair.one.close()
        expect_close(pair.reads_two, CODES[pair.name])
        quiet_end(pair.two, False)
        pair.record(pair.name + "_vanished", pair.name, (0, 0))


def test_vanished_behind_the_others_close(t):
    """One side closes, the other ends its connection instead of answering: the gateway makes no answer up."""
    for pair in both(t):
        pair.one.send(pair.frame(CLOSE, close_payload(1000)))
        expect_close(pair.reads_two, 1000)
        pair.two.close()
        gone = SERVER if pair.name == CLIENT else CLIENT
        quiet_end(pair.one, False)
        pair.record(gone + "_vanished", pair.name, (1000, 0))


# faults

FAULTS = [
    ("ws_opcode", 1002, lambda pair: pair.frame(3, b"bad")),
    ("ws_rsv", 1002, lambda pair: pair.frame(TEXT, b"bad", rsv=2)),
    ("ws_continuation", 1002, lambda pair: pair.frame(0, b"bad")),
    ("ws_text", 1007, lambda pair: pair.frame(TEXT, b"bad\xff")),
    ("ws_close_text", 1007, lambda pair: pair.frame(CLOSE, close_payload(1000, b"bad\xff"))),
    ("ws_close_code", 1002, lambda pair: pair.frame(CLOSE, close_payload(1006))),
    ("ws_message_too_large", 1009, lambda pair: pair.frame(BINARY, b"bad", announced=1 << 21, length_form=64)),
]


def test_faults(t):
    """The innocent is told first, and what it still says is delivered; then the offender."""
    t.needs_whole_writes()               # of a frame in drops the beginning passes
    first = None
    for word, code, bad in FAULTS:
        for one in [CLIENT, SERVER]:
            pair = Pair(t, one, share=first)
            first = first or pair
            head_bytes = len(pair.two.received)                  # keys and ids in it are by chance
            pair.one.send(pair.frame(TEXT, b"good") + bad(pair))
            same(pair.reads_two.event(), ("text", b"good"), "%s: what came" % word)
            expect_close(pair.reads_two, 1011)
            same(bytes(pair.one.poll()), b"", "%s: told before the other has answered" % word)
            pair.two.send(pair.answer(TEXT, b"echo of good") + pair.answer(CLOSE, close_payload(1011)))
            same(pair.reads_one.event(), ("text", b"echo of good"), "%s: what was on its way" % word)
            expect_close(pair.reads_one, code)
            pair.one.send(pair.frame(CLOSE, close_payload(code)))
            quiet_end(pair.one)
            quiet_end(pair.two)
            check(b"bad" not in pair.two.received[head_bytes:], "%s: something of the bad frame came out", word)
            pair.close()
            pair.record(one + "_frame_fault", "gateway", (0, 1011), word)


def test_a_fault_before_an_innocent_that_ends_or_is_silent(t):
    """It may answer the Close with a FIN, with a reset, or not at all: the offender gets its Close."""
    first = None
    for how in ["finish", "reset", "close", None]:
        for one in [CLIENT, SERVER]:
            pair = Pair(t, one, HASTY, share=first)
            first = first or pair
            pair.one.send(pair.frame(3))
            expect_close(pair.reads_two, 1011)
            if how:
                getattr(pair.two, how)()
            expect_close(pair.reads_one, 1002)
            quiet_end(pair.one, False)
            pair.close()
            pair.record(one + "_frame_fault", "gateway", None, "ws_opcode")


def test_a_fault_inside_a_frame_that_has_begun_to_pass(t):
    """The innocent can't be told anything in the middle of a frame: its connection ends."""
    for pair in both(t, PATIENT):
        whole = pair.frame(TEXT, b"x" * 500 + b"\xff" + b"y" * 500)
        pair.one.send(whole[:400])
        same(pair.two.read_exact(400), whole[:400], "what came")
        pair.one.send(whole[400:])
        pair.two.wait_end()
        check(whole[400:].startswith(bytes(pair.two.unread)) and len(
            pair.two.unread) < 200, "what came besides: %s", pair.two.shown())
        pair.two.close()
        expect_close(pair.reads_one, 1007)
        pair.close()
        pair.record(pair.name + "_frame_fault", "gateway", None, "ws_text")


def test_a_fault_of_both(t):
    """Two faults at once: each gets a Close, and the tunnel ends."""
    pair = Pair(t, CLIENT, HASTY)
    pair.client.send(frame(3))
    pair.server.send(frame(3, mask=False))
    for reader in (pair.reads_one, pair.reads_two):
        expect_close(reader, (1002, 1011))
    quiet_end(pair.client)
    quiet_end(pair.server)


def test_a_fault_behind_the_others_close(t):
    """Instead of answering a Close one side breaks the protocol."""
    for pair in both(t):
        pair.one.send(pair.frame(CLOSE, close_payload(1000)))
        expect_close(pair.reads_two, 1000)
        pair.two.send(pair.answer(3))
        expect_close(pair.reads_one, 1011)
        quiet_end(pair.one)
        quiet_end(pair.two)
        offender = SERVER if pair.name == CLIENT else CLIENT
        pair.record(offender + "_frame_fault", pair.name, (1000, 0), "ws_opcode")


# drained, lifetime

def drained(t, code, websocket):
    pair = Pair(t, CLIENT, dict(PATIENT, **websocket))
    pair.client.send(frame(TEXT, b"before"))
    same(pair.reads_two.event(), ("text", b"before"), "what came")
    pair.gateway.signal(signal.SIGTERM)
    same(expect_close(pair.reads_one, code), b"the gateway is shutting down", "reason")
    expect_close(pair.reads_two, 1001)
    pair.client.send(frame(CLOSE, close_payload(code)))
    pair.server.send(frame(CLOSE, close_payload(1001), mask=False))
    quiet_end(pair.client)
    quiet_end(pair.server)
    same(pair.gateway.wait_exit(), 0, "exit code")
    pair.record("drained", "gateway", (code, 1001))


def test_drained_with_1012(t):
    drained(t, 1012, {})


def test_drained_with_1001(t):
    drained(t, 1001, {"drain_code": 1001})


def test_max_lifetime(t):
    """A polite end, at a frame boundary, however busy the tunnel is."""
    pair = Pair(t, CLIENT, dict(WEBSOCKET, max_lifetime=ms(400)))
    beside = in_thread(live, pair.server, True)
    over = threading.Event()
    chatter = in_thread(talk, pair.client, over)
    seen = pair.reads_one.events()
    over.set()
    same(seen, [("close", 1001, b"the tunnel reached its maximum lifetime")], "at the client")
    pair.client.send(frame(CLOSE, close_payload(1001)))
    chatter.finish()
    same(beside.finish()[-1][:2], ("close", 1001), "at the server")
    one, _ = pair.record("lifetime", "gateway", (1001, 1001))
    check(one[Log.MESSAGES] > 3, "messages before the end: %r", one)


def talk(conn, over):
    """A message now and then."""
    while not over.wait(0.01):
        send_quietly(conn, frame(TEXT, b"busy"))


# slow readers: what is held, and what happens

HELD_BYTES = 160 * 1024                  # by the gateway itself; what the kernel's sockets hold is not its own


def queues(*ports):
    """Bytes in the kernel's queues of loopback connections between any two of the ports."""
    held = 0
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            ends = [int(address.rpartition(":")[2], 16) for address in fields[1:3]]
            if any(port in ends for port in ports) and fields[3] == "01":
                held += sum(int(queue, 16) for queue in fields[4].split(":"))
    return held


def push(conn):
    """Sends until nothing more is taken for a while; how much was taken."""
    taken, stuck = 0, 0
    while stuck < 4:
        n = conn.send_some(b"\0" * 262144, 0.1 * SLOWNESS)
        taken, stuck = taken + n, 0 if n else stuck + 1
    return taken


def slow(t, slow_side):
    """The reader reads nothing. What was sent and is in no socket's queue is with the gateway: bounded. Then the tunnel ends."""
    t.needs_speed()
    websocket = dict(WEBSOCKET, slow_timeout=ms(3000), close_timeout=ms(500), max_message="off")
    pair = Pair(t, CLIENT if slow_side == SERVER else SERVER, websocket)
    before = pair.gateway.rss_bytes()
    pair.one.send(pair.frame(BINARY, b"", announced=1 << 30, length_form=64)[:14 if pair.mask else 10])
    taken = push(pair.one)
    ports = [pair.gateway.port, pair.backend.port]
    held = taken - queues(*ports)
    grown = pair.gateway.rss_bytes() - before
    check(held < HELD_BYTES, "the gateway holds %d bytes of %d sent", held, taken)
    check(grown < (2 if t.sanitizer == "none" else 8) * MIB, "memory grew by %d KiB", grown >> 10)
    expect_close(pair.reads_one, 1001 if slow_side == CLIENT else 1014)
    pair.one.close()
    pair.two.record = False
    wait_until(lambda: pair.two.end or not pair.two.unread.clear()
               and pair.two.fill(1) and pair.two.end, what="the slow side's end")
    found = pair.gateway.wait_record(**{Log.KIND: "tunnel"})
    same((found[Log.END], found[Log.CLOSED_BY]), (slow_side + "_slow", "gateway"), "record")
    check(found["from_" + pair.name]["blocked_ms"] >= 0, "record %r", found)


def test_a_slow_server(t):
    slow(t, SERVER)


def test_a_slow_client(t):
    slow(t, CLIENT)


def test_a_slow_reader_that_reads_a_little_lives(t):
    """slow_timeout is about reading nothing at all; and whoever reads on gets everything."""
    t.needs_speed()
    pair = Pair(t, CLIENT, dict(WEBSOCKET, slow_timeout=ms(2000), max_message="off"), receive_buffer=65536)
    total = 12 * MIB
    pair.client.send(frame(BINARY, b"", announced=total, length_form=64, mask=b"\0\0\0\0"))
    sending = in_thread(pair.client.send, b"\0" * total)
    pair.server.record = False
    left, pieces = total + 14, 10
    for i in range(pieces):
        pair.server.discard(left // (pieces - i))
        left -= left // (pieces - i)
        if i < 5:
            time.sleep(0.5 * SLOWNESS)   # a slow reader; on a busy machine the next sleeps longer, which must not be too long
    sending.finish()
    closing(pair.client, pair.server)
    pair.record("closed", CLIENT)


def test_a_close_at_the_slow_reader_when_it_reads_again(t):
    """Told 1008 once the frame that blocks has gone out."""
    t.needs_speed()
    pair = Pair(t, CLIENT, dict(PATIENT, slow_timeout=ms(500), max_message="off"), receive_buffer=65536)
    sent = 0
    block = frame(BINARY, b"\0" * 65000, mask=b"\0\0\0\0")
    while True:
        n = pair.client.send_some(block[sent % len(block):], 0.2 * SLOWNESS)
        sent += n
        if not n:
            break
    expect_close(pair.reads_one, 1014)
    events = in_thread(pair.reads_two.events)
    rest = (len(block) - sent % len(block)) % len(block)
    pair.client.send(block[len(block) - rest:] + frame(CLOSE, close_payload(1014)))
    seen = events.finish()
    same(seen[-1][:2], ("close", 1008), "at the slow server")
    check(all(e[0] == "binary" for e in seen[:-1]), "before it: %r", [e[:1] for e in seen[-5:]])
    pair.server.send(frame(CLOSE, close_payload(1008), mask=False))
    quiet_end(pair.client)
    quiet_end(pair.server)
    pair.record("server_slow", "gateway", (1014, 1008))


def test_every_row_of_the_table_has_its_test(t):
    """A new way for a tunnel to end has to be looked at here or in a neighbour."""
    import os
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "..", "..", "gateway", "end_reason.h"), encoding="utf-8") as file:
        table = file.read()
    rows = re.findall(r'E\(\w+, "(\w+)"', table[table.index("/* a tunnel */")
                      :table.index("/* an idle connection to a server */")])
    texts = ""
    for name in ["test_endings.py", "test_keepalive.py", "test_policies.py", "test_admin.py"]:
        with open(os.path.join(here, name), encoding="utf-8") as file:
            texts += file.read()
    words = ["_vanished", "_cut", "_reset", "_frame_fault", "_slow", "_silent", "_idle"]
    made = {side + word for side in (CLIENT, SERVER) for word in words
            if '"%s"' % word in texts}
    same([row for row in rows if row not in made and '"%s"' % row not in texts], [], "ends without a test")
