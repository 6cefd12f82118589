"""Frame by frame over the ground of a conformance suite: what a client and a backend may say, what not, and what follows.

Each case is sent by one side (the sender) to an echo on the other, through the gateway: whole, byte by byte, cut at a few places.
The echo either checks everything or nothing; what it is sent is checked in both cases, so nothing unlawful ever comes through.
Every message before a fault comes back, then the Close with the fault's code, then the connection's end.
"""
import random

from endpoints import Reader, echo
from frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame
from harness import Beside, check, same

WORDS = "Grüße, κόσμε, 世界 🚪".encode()
WEBSOCKET = {"verify": "utf8", "max_message": "80000B", "max_frame": "70000B", "max_fragments": 40, "close_timeout": "10s"}


class Case:
    """Frames to send, the events due, and how it ends: "close" (the sender closes with 1000), the payload of a Close that is
    among the frames, or the code of a fault."""

    def __init__(self, name, sent, due=(), ends="close", only=None):
        self.name, self.sent, self.due, self.ends, self.only = name, sent, list(due), ends, only

    def bytes(self, mask):
        return b"".join(one if isinstance(one, bytes) else one(mask) for one in self.sent)


def of(opcode, payload=b"", **options):
    """A frame whose mask the side decides."""
    return lambda mask: frame(opcode, payload, mask=options.get("mask_as", mask), **
                              {k: v for k, v in options.items() if k != "mask_as"})


def text(payload=b"", **options):
    return of(TEXT, payload, **options)


def more(payload=b"", **options):
    return of(CONTINUATION, payload, **options)


def part(payload=b"", **options):
    return of(TEXT, payload, fin=False, **options)


OK = text(b"before")
SAID = ("text", b"before")


def messages():
    for size in [0, 1, 125, 126, 127, 128, 300, 65535, 65536]:
        yield Case("text of %d" % size, [text(b"*" * size)], [("text", b"*" * size)])
        yield Case("binary of %d" % size, [of(BINARY, b"\xfe" * size)], [("binary", b"\xfe" * size)])
    yield Case("many at once", [text(b"%d" % i) for i in range(50)], [("text", b"%d" % i) for i in range(50)])


def pings():
    for payload in [b"", b"hello", bytes([0, 255, 254, 253, 0]), b"p" * 125]:
        yield Case("ping of %d" % len(payload), [of(PING, payload)], [("pong", payload)])
    for opcode, name in [(PING, "ping"), (PONG, "pong"), (CLOSE, "close")]:
        yield Case("%s of 126" % name, [OK, of(opcode, close_payload(1000) + b"x" * 124)], [SAID], 1002)
        yield Case("%s announced with 64 bits" % name, [OK, of(opcode, b"", announced=1 << 16, length_form=64)], [SAID], 1002)
    yield Case("unasked pongs", [of(PONG), of(PONG, b"unasked"), of(PING, b"asked")], [("pong", b"asked")])
    yield Case("ten pings", [of(PING, b"%d" % i) for i in range(10)], [("pong", b"%d" % i) for i in range(10)])


def reserved():
    for rsv in range(1, 8):
        yield Case("text with rsv %d" % rsv, [OK, text(b"x", rsv=rsv)], [SAID], 1002)
    for opcode, name in [(BINARY, "binary"), (PING, "ping"), (PONG, "pong"), (CLOSE, "close")]:
        yield Case("%s with rsv" % name, [OK, of(opcode, rsv=4)], [SAID], 1002)
    yield Case("a fragment with rsv", [part(b"x"), more(b"y", rsv=4)], [], 1002)
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]:
        yield Case("opcode %d" % opcode, [of(opcode)], [], 1002)
        yield Case("opcode %d behind a message" % opcode, [OK, of(opcode, b"payload"), of(PING, b"late")], [SAID], 1002)
    yield Case("opcode 3 inside a message", [part(b"x"), of(3, b"y"), more(b"z")], [], 1002)
    yield Case("the wrong mask", [OK, lambda mask: frame(TEXT, b"x", mask=not mask)], [SAID], 1002)
    yield Case("the wrong mask on a ping", [OK, lambda mask: frame(PING, b"x", mask=not mask)], [SAID], 1002)


def lengths():
    for size, form in [(0, 16), (125, 16), (0, 64), (125, 64), (126, 64), (65535, 64)]:
        long = of(BINARY, b"x" * min(size, 200), announced=size, length_form=form)
        yield Case("%d in %d bits" % (size, form), [OK, long], [SAID], 1002)
    yield Case("the top bit", [OK, of(BINARY, b"x", announced=1 << 63, length_form=64)], [SAID], 1002)
    yield Case("a frame too large", [OK, of(BINARY, b"x", announced=70001, length_form=64)], [SAID], 1009)
    yield Case("announced far too large", [OK, of(BINARY, b"", announced=(1 << 63) - 1, length_form=64)], [SAID], 1009)
    yield Case("a message too large", [OK, of(BINARY, b"x" * 60000, fin=False), of(CONTINUATION, announced=20001)], [SAID], 1009)
    yield Case("a message just not", [of(BINARY, b"x" * 40000, fin=False), more(b"x" * 30000)], [("binary", b"x" * 70000)])
    yield Case("forty fragments", [part(b"a")] + [more(b"b", fin=False)] * 38 + [more(b"c")], [("text", b"a" + b"b" * 38 + b"c")])
    yield Case("forty-one", [part(b"a")] + [more(b"b", fin=False)] * 39 + [more(b"c")], [], 1009)


def fragments():
    yield Case("two", [part(b"one"), more(b"two")], [("text", b"onetwo")])
    yield Case("two and a ping", [part(b"one"), of(PING, b"?"), more(b"two")], [("pong", b"?"), ("text", b"onetwo")])
    yield Case("empty ones", [part(), more(b"", fin=False), more()], [("text", b"")])
    yield Case("an empty one between", [part(b"a"), more(b"", fin=False), more(b"b")], [("text", b"ab")])
    yield Case("pings everywhere",
               [part(b"a"), of(PING, b"1"), more(b"b", fin=False), of(PING, b"2"), more(b"c"), of(PING, b"3")],
               [("pong", b"1"), ("pong", b"2"), ("text", b"abc"), ("pong", b"3")])
    yield Case("a pong between", [part(b"a"), of(PONG, b"1"), more(b"b")], [("text", b"ab")])
    yield Case("a cut ping", [OK, of(PING, b"x", fin=False), more(b"y")], [SAID], 1002)
    yield Case("a cut pong", [OK, of(PONG, b"x", fin=False), more(b"y")], [SAID], 1002)
    for fin in [False, True]:
        yield Case("continues nothing, fin %d" % fin, [more(b"x", fin=fin), OK], [], 1002)
        yield Case("continues what is over, fin %d" % fin, [part(b"be"), more(b"fore"), more(b"x", fin=fin)], [SAID], 1002)
        yield Case("a text inside a message, fin %d" % fin, [part(b"x"), text(b"y", fin=fin)], [], 1002)
    yield Case("binary inside a message", [OK, part(b"x"), of(BINARY, b"y")], [SAID], 1002)
    yield Case("one after the other", [part(b"a"), more(b"b"), of(BINARY, b"c", fin=False), more(b"d"), text(b"e")],
               [("text", b"ab"), ("binary", b"cd"), ("text", b"e")])


GOOD_TEXT = [b"", WORDS, b"\x00", b"\x7f", b"\xc2\x80", b"\xdf\xbf", b"\xe0\xa0\x80", b"\xed\x9f\xbf", b"\xee\x80\x80",
             b"\xef\xbf\xbf", b"\xef\xbf\xbd", b"\xef\xbb\xbf", b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf", b"\xf0\x9f\xbf\xbe"]
BAD_TEXT = [b"\x80", b"\xbf", b"\xc0\x80", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xed\xa0\x80",
            b"\xed\xbf\xbf", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80",
            b"\xf8\x88\x80\x80\x80",
            b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff", b"\xc3", b"\xc3(", b"\xe2\x82", b"\xe2(\xa1", b"\xf0\x9f\x9a",
            b"\xf0(\x8c\xbc", b"\xf0\x90(\xbc", b"\xed\xa0\xbd\xed\xb2\xa9"]


def utf8():
    for payload in GOOD_TEXT:
        yield Case("good %r" % payload, [text(payload)], [("text", payload)])
    single = [more(WORDS[i:i + 1], fin=False) for i in range(len(WORDS))]
    yield Case("byte for byte", [part()] + single + [more()], [("text", WORDS)])
    yield Case("a ping inside a character", [part(b"\xf0\x9f"), of(PING, b"!"), more(b"\x9a\xaa")],
               [("pong", b"!"), ("text", b"\xf0\x9f\x9a\xaa")])
    for payload in BAD_TEXT:
        yield Case("bad %r" % payload, [OK, text(WORDS + payload)], [SAID], 1007)
        yield Case("bad in a fragment %r" % payload, [OK, part(WORDS), more(payload + b".", fin=False)], [SAID], 1007)
    yield Case("cut at the message's end", [OK, part(WORDS), more(b"\xe4\xb8", fin=False), more()], [SAID], 1007)
    yield Case("binary is no text", [of(BINARY, b"\xff\xfe")], [("binary", b"\xff\xfe")])


def closes():
    for payload in [b"", close_payload(1000), close_payload(1000, b"r" * 123), close_payload(3000, WORDS)]:
        yield Case("close with %d" % len(payload), [OK, of(CLOSE, payload)], [SAID], payload)
    for code in [1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3999, 4000, 4999]:
        yield Case("close %d" % code, [of(CLOSE, close_payload(code, b"why"))], [], close_payload(code, b"why"))
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]:
        yield Case("close %d" % code, [OK, of(CLOSE, close_payload(code))], [SAID], 1002)
    yield Case("close of one byte", [OK, of(CLOSE, b"\x03")], [SAID], 1002)
    yield Case("a cut close", [OK, of(CLOSE, close_payload(1000), fin=False)], [SAID], 1002)
    for reason in [b"\xff", WORDS + b"\xed\xa0\x80", b"\xe2\x82"]:
        yield Case("close for %r" % reason, [OK, of(CLOSE, close_payload(1000, reason))], [SAID], 1007)
    ended = close_payload(1000, b"end")
    for behind in [OK, of(PING, b"late"), of(CLOSE, ended), of(3, b"bad"), b"\xff\xff\xff"]:
        yield Case("something behind the close", [OK, of(CLOSE, ended), behind], [SAID], ended)
    yield Case("close inside a message", [part(b"open"), of(CLOSE, ended)], [], ended)


GROUPS = [messages, pings, reserved, lengths, fragments, utf8, closes]
CASES = [case for group in GROUPS for case in group()]


def shown(events):
    """Short enough for a message."""
    return [(event[0], len(event[1]), event[1][:40]) for event in events]


def cuts(data, name):
    """The pieces of a whole: at a few places that the name decides."""
    chance = random.Random(name)
    at = sorted(chance.randrange(1, len(data)) for _ in range(3))
    return [piece for piece in (data[a:b] for a, b in zip([0] + at, at + [len(data)])) if piece]


def pieces_of(data, how, name):
    if how == "whole" or len(data) < 2:
        return [data]
    return [data[i:i + 1] for i in range(len(data))] if how == "bytes" else cuts(data, name)


class Play:
    """One side sends, the other echoes."""

    def __init__(self, t, sender, careless, websocket=None):
        self.t, self.from_client, self.careless = t, sender == "client", careless
        self.utf8 = (websocket or WEBSOCKET)["verify"] == "utf8"
        self.backend = t.backend()
        self.gateway = t.simple(self.backend, websocket=websocket or WEBSOCKET)

    def open(self):
        """(the sender's connection, the echo)"""
        client, server = self.t.upgrade(self.gateway, self.backend)
        sender, other = (client, server) if self.from_client else (server, client)
        return sender, Beside(echo, (other, self.from_client, self.careless, self.utf8))

    def send(self, sender, pieces):
        """As far as the gateway takes it: behind a fault it may have ended the connection."""
        try:
            sender.send(*pieces)
        except OSError:
            pass

    def case(self, case, how):
        sender, echoing = self.open()
        data = case.bytes(self.from_client)
        clean = case.ends == "close"
        if clean:
            data += frame(CLOSE, close_payload(1000), mask=self.from_client)
        sending = Beside(self.send, (sender, pieces_of(data, how, case.name)))
        seen = Reader(sender, not self.from_client, self.utf8).events()
        sending.finish()
        same(shown(seen[:-1]), shown(case.due), "%s, %s: events" % (case.name, how))
        check(seen[:-1] == case.due, "%s, %s: the payload differs", case.name, how)
        self.end(case, how, sender, seen[-1])
        echoing.finish()

    def end(self, case, how, sender, last):
        what = "%s, %s: the end" % (case.name, how)
        if isinstance(case.ends, int):
            same(last[:2], ("close", case.ends), what)
            self.send(sender, [frame(CLOSE, close_payload(case.ends), mask=self.from_client)])
        else:
            payload = close_payload(1000) if case.ends == "close" else case.ends
            code = int.from_bytes(payload[:2], "big") if payload else 1005
            same(last, ("close", code, payload[2:]), what)
        try:
            sender.finish()
        except OSError:
            pass
        sender.wait_end()
        sender.close()

    def all(self, how, share=1):
        """Every case; of byte-by-byte and cut ones only the shorter (what is long differs from them in nothing but length)."""
        for number, case in enumerate(CASES):
            if number % share == 0 and (how == "whole" or len(case.bytes(self.from_client)) < 700):
                self.case(case, how)


def test_client_before_a_strict_backend(t):
    play = Play(t, "client", careless=False)
    for how in ["whole", "cuts"]:
        play.all(how)


def test_client_before_a_careless_backend(t):
    play = Play(t, "client", careless=True)
    for how in ["whole", "cuts"]:
        play.all(how)


def test_backend_before_a_strict_client(t):
    play = Play(t, "server", careless=False)
    for how in ["whole", "cuts"]:
        play.all(how)


def test_backend_before_a_careless_client(t):
    play = Play(t, "server", careless=True)
    for how in ["whole", "cuts"]:
        play.all(how)


def test_client_byte_by_byte(t):
    Play(t, "client", careless=False).all("bytes")


def test_client_byte_by_byte_before_a_careless_backend(t):
    Play(t, "client", careless=True).all("bytes")


def test_backend_byte_by_byte(t):
    Play(t, "server", careless=True).all("bytes")


# Faults have to be seen at the first byte that makes them: the rest of the message is never sent here.

EARLY = [
    ("an impossible byte", [part(WORDS + b"\xf4\x90")], 1007),
    ("a byte that begins nothing", [part(b"\xff")], 1007),
    ("in a fragment", [part(WORDS), more(b"x\xc0", fin=False)], 1007),
    ("in the middle of a frame", [lambda mask: text(WORDS + b"\xed\xa0" + b"x" * 100)(mask)[:-100]], 1007),
    ("a character over two fragments", [part(WORDS + b"\xf4"), more(b"\x90", fin=False)], 1007),
    ("a character over three fragments", [part(b"\xf4"), more(b"", fin=False), more(b"\x91", fin=False)], 1007),
    ("over a ping", [part(WORDS + b"\xf0"), of(PING, b"between"), more(b"\x80", fin=False)], 1007),
    ("a reserved opcode's first byte", [lambda mask: of(5, b"x")(mask)[:1]], 1002),
    ("a reserved bit's first byte", [lambda mask: text(b"x", rsv=1)(mask)[:1]], 1002),
    ("the mask bit", [lambda mask: text(b"x" * 50)(not mask)[:2]], 1002),
    ("a length in too many bytes", [lambda mask: of(BINARY, b"x", announced=125, length_form=16)(mask)[:4]], 1002),
    ("a size", [lambda mask: of(BINARY, b"", announced=1 << 40)(mask)[:10]], 1009),
    ("a Close's code", [lambda mask: of(CLOSE, close_payload(1006) + b"x" * 50)(mask)[:-50]], 1002),
    ("a Close's reason", [lambda mask: of(CLOSE, close_payload(1000) + b"\xfe" + b"x" * 50)(mask)[:-50]], 1007),
]


def early(t, sender, careless, how):
    play = Play(t, sender, careless)
    for name, sent, code in EARLY:
        case = Case(name, [OK] + sent, [SAID], code)
        over_a_ping = [("pong", b"between")] if "ping" in name else []
        case.due += over_a_ping
        play.case(case, how)


def test_client_faults_are_seen_at_once(t):
    for careless in [False, True]:
        for how in ["whole", "bytes"]:
            early(t, "client", careless, how)


def test_backend_faults_are_seen_at_once(t):
    for careless in [False, True]:
        for how in ["whole", "bytes"]:
            early(t, "server", careless, how)


def test_frames_without_a_look_at_text(t):
    """verify: frames. What is wrong with frames still is; text passes whatever it is."""
    for sender in ["client", "server"]:
        play = Play(t, sender, careless=False, websocket=dict(WEBSOCKET, verify="frames"))
        for payload in BAD_TEXT:
            play.case(Case("text", [text(payload)], [("text", payload)]), "whole")
        reason = close_payload(1000, b"\xff")
        play.case(Case("reason", [of(CLOSE, reason)], [], reason), "whole")
        for case in list(reserved()) + list(fragments()) + list(lengths()):
            play.case(case, "whole")


def test_echoes_that_are_on_their_way_come_before_the_close(t):
    """A hundred messages and a fault in one piece: every echo, then the Close."""
    for sender in ["client", "server"]:
        for careless in [False, True]:
            play = Play(t, sender, careless)
            sent = [text(b"%d." % i + b"x" * 500) for i in range(100)] + [of(3)]
            play.case(Case("many, then a fault", sent, [("text", b"%d." % i + b"x" * 500) for i in range(100)], 1002), "whole")
