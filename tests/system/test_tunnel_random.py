"""Random frames both ways at once, cut anywhere, around the sizes from which payload is spliced, with stalls and pings of the gateway's own in
between: what comes out is what went in, byte for byte, and the record counts it. The seed is told when something is wrong."""
import os
import random
import select
import signal
import time

from frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, apply_mask, close_payload, frame, read_close
from harness import Log, check, same
from wire import DEADLINE, SLOWNESS

SIZES = [0, 1, 2, 9, 16, 125, 126, 127, 1000, 4096, 16384, 20000, 32767, 32768, 32769, 40000, 65535, 65536, 65537, 90000, 150000]
PIECES = [1, 2, 3, 7, 16, 17, 100, 1400, 4096, 32768, 65536, 100000, 400000]
LETTERS = "abc äßÿ €漢字 😀𐍈"
FEW = "<=" in os.environ.get("UPGATE_WEATHER", "")         # reads and writes of a few bytes each take long
SEEDS = [int(os.environ["UPGATE_TEST_SEED"])] if "UPGATE_TEST_SEED" in os.environ else range(1, 2 if FEW else 5)
BYTES = 300000 if FEW else 1500000


class Script:
    """Frames of one side: their bytes, where each ends, and what a record says of them."""

    def __init__(self, chance, masks, bytes_least):
        self.chance, self.masks = chance, masks
        self.frames, self.messages = [], 0
        size = 0
        while size < bytes_least:
            self._message()
            size = sum(len(f) for f in self.frames)

    def _add(self, opcode, payload, fin=True):
        self.frames.append(frame(opcode, payload, fin=fin, mask=self.chance.randbytes(4) if self.masks else False))

    def _payload(self, opcode):
        size = self.chance.choice(SIZES)
        if opcode == BINARY:
            return self.chance.randbytes(size)
        text = "".join(self.chance.choice(LETTERS) for _ in range(self.chance.choice([1, 40]))) if self.chance.random() < 0.7 else "x" * 50
        data = text.encode() * (size // len(text.encode()) + 1)
        return data[:size].decode("utf-8", "ignore").encode()

    def _control(self):
        if self.chance.random() < 0.3:
            self._add(self.chance.choice([PING, PONG]), self.chance.randbytes(self.chance.choice([0, 1, 7, 9, 125])))

    def _message(self):
        opcode = self.chance.choice([TEXT, BINARY, BINARY])
        rest = self._payload(opcode)
        while self.chance.random() < 0.4:                # in fragments, wherever they are cut
            at = self.chance.randrange(len(rest) + 1) if self.chance.random() < 0.7 else min(len(rest), self.chance.choice([0, 1, 3]))
            self._add(opcode, rest[:at], fin=False)
            opcode, rest = CONTINUATION, rest[at:]
            self._control()
        self._add(opcode, rest)
        self.messages += 1
        self._control()

    def count(self, *opcodes):
        return sum(f[0] & 15 in opcodes for f in self.frames)


class Side:
    """Sends its script as it likes, answers the gateway's own pings between two frames, and takes what comes for the other's script."""

    def __init__(self, conn, chance, script, other):
        self.conn, self.chance, self.script = conn, chance, script
        self.out, self.left = bytearray(), list(script.frames)
        self.got, self.due = bytearray(), bytearray(b"".join(other.frames))
        self.borders = self._borders(other.frames)
        self.taken = 0
        self.answers = 0
        self.stalled_until = 0.0

    @staticmethod
    def _borders(frames):
        at, found = 0, {0}
        for f in frames:
            at += len(f)
            found.add(at)
        return found

    def _send(self):
        if not self.out and self.left:
            self.out += self.left.pop(0)
            while self.left and self.chance.random() < 0.7 and len(self.out) < 300000:
                self.out += self.left.pop(0)
        if self.out:
            piece = self.out[:self.chance.choice(PIECES)]
            del self.out[:self.conn.send_some(piece)]

    def _gateways_ping(self):
        """The payload of a whole Ping that is none of the script's, at the front of what came; its bytes; None: more is needed."""
        masked = bool(self.got[1] & 0x80)
        size = 2 + (4 if masked else 0) + 8
        if len(self.got) < size:
            return None
        payload = bytes(self.got[size - 8:size])
        return (apply_mask(payload, bytes(self.got[2:6])) if masked else payload), size

    def _take(self):
        while self.got:
            if self.taken in self.borders and self.got[:2] != self.due[self.taken:self.taken + 2]:
                if len(self.got) < 2:
                    return
                check(self.got[0] == 0x80 | PING and self.got[1] & 0x7f == 8, "at byte %d there came %r, due is %r", self.taken,
                      bytes(self.got[:20]), bytes(self.due[self.taken:self.taken + 20]))
                found = self._gateways_ping()
                if found is None:
                    return
                del self.got[:found[1]]
                self.left.insert(0, frame(PONG, found[0], mask=self.script.masks))
                self.answers += 1
                continue
            border = min(b for b in self.borders if b > self.taken) if self.taken < len(self.due) else self.taken
            n = min(len(self.got), border - self.taken)
            check(n > 0 and self.got[:n] == self.due[self.taken:self.taken + n], "what came from byte %d on is something else", self.taken)
            self.taken += n
            del self.got[:n]

    def step(self):
        """Something that this side does now, or nothing."""
        if time.monotonic() < self.stalled_until:
            return
        dice = self.chance.random()
        if dice < 0.5:
            self._send()
        elif dice < 0.997:
            if self.conn.fill(0):
                self.got += self.conn.take(len(self.conn.unread))
                self._take()
        else:
            self.stalled_until = time.monotonic() + 0.001 * self.chance.randrange(60)

    def is_done(self):
        return not self.left and not self.out and self.taken == len(self.due) and not self.got


def play(sides):
    limit = time.monotonic() + 4 * DEADLINE
    while not all(s.is_done() for s in sides):
        check(time.monotonic() < limit, "not done: %r", [(len(s.left), len(s.out), s.taken, len(s.due), len(s.got)) for s in sides])
        select.select([s.conn.sock for s in sides], [s.conn.sock for s in sides if s.out or s.left], [], 0.001)
        for _ in range(5):
            for s in sides:
                check(s.conn.end is None, "the connection ended")
                s.step()


def one_tunnel(t, seed, verify):
    chance = random.Random(seed)
    options = {"receive_buffer": 4096} if chance.random() < 0.5 else {}
    backend = t.unix_backend("b%s%d.sock" % (verify, seed)) if chance.random() < 0.3 else t.backend(**options)
    up, down = Script(chance, True, BYTES), Script(chance, False, BYTES)
    gateway = t.simple(backend, websocket={"verify": verify, "ping_interval": "%ds" % (5 * SLOWNESS) if verify != "blind" else "off"})
    client, server = t.upgrade(gateway, backend, **options)
    sides = [Side(client, chance, up, down), Side(server, chance, down, up)]
    play(sides)
    client.send(frame(CLOSE, close_payload(1000)))
    server.wait_for(lambda unread: len(unread) >= 8)
    server.send(frame(CLOSE, close_payload(1000), mask=False))
    read_close(client, 1000)
    server.close()
    client.close()
    record = gateway.wait_record(kind="tunnel")
    for key, script, side in ((Log.FROM_CLIENT, up, sides[0]), (Log.FROM_SERVER, down, sides[1])):
        bytes_due = sum(len(f) for f in script.frames) + (8 if script is up else 4)
        if verify == "blind":
            same(record[key][Log.BYTES], bytes_due, "bytes in the record, seed %d" % seed)
            continue
        due = {Log.FRAMES: len(script.frames) + 1 + side.answers, Log.MESSAGES: script.messages, Log.BYTES: bytes_due, "pings": script.count(PING),
               "pongs": script.count(PONG) + side.answers}
        same({k: record[key][k] for k in due}, due, "%s in the record, seed %d" % (key, seed))


def test_what_comes_out_is_what_went_in(t):
    for seed in SEEDS:
        for verify in ("frames", "utf8", "blind"):
            try:
                one_tunnel(t, seed, verify)
            except Exception as error:
                raise AssertionError("seed %d, verify %s: %s" % (seed, verify, error)) from error


# ---- ends ----

class Ender(Side):
    """A side that at some frame does one of ENDS, or nothing of its own accord; reads to the end, and answers a Close."""

    def __init__(self, conn, chance, script, other, kind):
        super().__init__(conn, chance, script, other)
        self.kind = kind
        self.at = chance.randrange(len(script.frames)) if kind else len(script.frames)
        self.cut = chance.randrange(1, len(script.frames[self.at])) if kind in ("cut", "reset") else 0
        self.lawful = b"".join(script.frames[:self.at])
        self.out, self.left = bytearray(self.lawful + self._last_words()), []
        self.close = None                # what came with a Close
        self.mask = script.masks
        self.over = self.answered = False
        self.reads = True

    def _last_words(self):
        junk = self.chance.randbytes(self.chance.choice([0, 1, 50, 100000]))
        if self.kind == "close":
            return frame(CLOSE, close_payload(1000), mask=self.script.masks) + junk
        if self.kind == "fault":
            return frame(3, self.chance.randbytes(self.chance.choice([0, 100, 70000])), mask=self.script.masks) + junk
        return self.script.frames[self.at][:self.cut] if self.cut else b""

    def _send(self):
        if self.out and not self.over:
            try:
                del self.out[:self.conn.send_some(self.out[:self.chance.choice(PIECES)])]
            except OSError:
                self.over = True
        if self.out or self.over:
            return
        if self.kind == "reset":
            self.over, self.reads = True, False
            self.conn.reset()
        elif self.kind in ("cut", "fin") or (self.close is not None and (self.answered or self.kind)) or self.conn.end:
            self.over = True
            try:
                self.conn.finish()
            except OSError:
                pass

    def _take(self):
        """Frames of the script as they come, then perhaps a Close."""
        while self.got and self.close is None:
            rest = self.due[self.taken:]
            if self.taken in self.borders and self.got[0] == 0x80 | CLOSE:
                at = 6 if self.got[1:2] and self.got[1] & 0x80 else 2
                if len(self.got) < at or len(self.got) < at + (self.got[1] & 0x7f):
                    return
                payload = bytes(self.got[at:])
                self.close = int.from_bytes((apply_mask(payload, bytes(self.got[2:6])) if at == 6 else payload)[:2], "big")
                check(len(self.got) == at + (self.got[1] & 0x7f), "something came behind the Close: %r", bytes(self.got[:50]))
                self.got.clear()
                if not self.kind:
                    self.answered = True
                    self.out += frame(CLOSE, close_payload(1000), mask=self.mask)
                return
            border = min((b for b in self.borders if b > self.taken), default=self.taken)
            n = min(len(self.got), border - self.taken)
            check(n > 0 and self.got[:n] == rest[:n], "what came from byte %d on is something else: %r", self.taken, bytes(self.got[:20]))
            self.taken += n
            del self.got[:n]

    def step(self):
        if self.reads and self.conn.end and self.got and self.close is None:
            check(False, "the connection ended behind %r", bytes(self.got[:20]))
        if self.reads and self.conn.end is None and self.chance.random() < 0.5:
            if self.conn.fill(0):
                self.got += self.conn.take(len(self.conn.unread))
                check(self.close is None or not self.got, "something came behind the Close: %r", bytes(self.got[:20]))
                self._take()
        else:
            self._send()

    def is_done(self):
        return self.over and (not self.reads or self.conn.end is not None)


ENDS = ["close", "fault", "cut", "fin", "reset"]
REASONS = {"close": "closed", "fault": "%s_frame_fault", "cut": "%s_cut", "fin": "%s_vanished", "reset": "%s_reset"}


def what_has_to_come(sender, receiver, what, utf8):
    """Of a side that alone ended the tunnel all that is lawful has come, and nothing else. A header, a control frame and (where it is looked
    at) a code point pass when they are whole."""
    whole, open_text = len(sender.lawful), 40 if utf8 else 0
    if sender.kind == "reset":
        check(receiver.taken <= whole + sender.cut, "%s: more than was sent", what)
        return
    check(whole - open_text <= receiver.taken <= whole + sender.cut, "%s: %d bytes came of %d and %d", what, receiver.taken, whole, sender.cut)
    if receiver.taken != whole:
        same(receiver.close, None, what + ": in the middle of a frame")
    elif sender.kind == "cut":
        check(sender.cut < 14 + open_text or sender.script.frames[sender.at][0] & 8, "%s: of %d bytes of a frame none came", what, sender.cut)
    elif sender.kind == "fin":
        same(receiver.close, 1001 if sender.mask else 1014, what + ": Close")
    else:
        same(receiver.close, 1000 if sender.kind == "close" else 1011, what + ": Close")


def one_end(t, gateway, backend, chance, verify, seed):
    kinds = [chance.choice(ENDS), None] if chance.random() < 0.6 else [chance.choice(ENDS), chance.choice(ENDS)]
    chance.shuffle(kinds)
    up, down = Script(chance, True, 250000), Script(chance, False, 250000)
    client, server = t.upgrade(gateway, backend)
    sides = [Ender(client, chance, up, down, kinds[0]), Ender(server, chance, down, up, kinds[1])]
    what = "seed %d, verify %s, %r" % (seed, verify, kinds)
    limit = time.monotonic() + DEADLINE
    try:
        while not all(s.is_done() for s in sides):
            check(time.monotonic() < limit, "not done: %r", [(s.over, s.conn.end, s.close, len(s.out), s.taken, len(s.due)) for s in sides])
            for _ in range(5):
                for s in sides:
                    if not s.is_done():
                        s.step()
            time.sleep(0.0005)
    except Exception as error:
        raise AssertionError("%s: %s" % (what, error)) from error
    client.close()
    server.close()
    record = gateway.wait_record(kind="tunnel")
    gateway.records.clear()
    due = {REASONS[k] % name if "%" in REASONS[k] else REASONS[k] for k, name in zip(kinds, ("client", "server")) if k}
    if None in kinds:
        sender, receiver = sides if kinds[0] else sides[::-1]
        what_has_to_come(sender, receiver, what, verify == "utf8")
        if receiver.taken < len(sender.lawful):          # the end of a frame waited for the rest of a code point
            due.add("client_cut" if sender.mask else "server_cut")
        check(record[Log.END] in due, "%s: the record says %r", what, record)


def test_ends_in_the_middle(t):
    """Either side, or both at once, closes, breaks the protocol, ends or resets its connection, anywhere; both peers see what they have to see."""
    for verify in ("frames", "utf8"):
        backend = t.backend()
        gateway = t.simple(backend, websocket={"verify": verify, "close_timeout": "20s", "ping_interval": "off"})
        for seed in SEEDS:
            chance = random.Random(seed)
            for _ in range(3 if FEW else 10):
                one_end(t, gateway, backend, chance, verify, seed)


def drained(t, verify, seed):
    chance = random.Random(seed)
    backend = t.backend()
    gateway = t.simple(backend, websocket={"verify": verify, "close_timeout": "20s", "ping_interval": "off"}, timeouts={"drain": "30s"})
    sides = []
    for _ in range(6):
        up, down = Script(chance, True, 250000), Script(chance, False, 250000)
        client, server = t.upgrade(gateway, backend)
        sides += [Ender(client, chance, up, down, None), Ender(server, chance, down, up, None)]
    limit, rounds = time.monotonic() + DEADLINE, chance.randrange(300)
    while not all(s.is_done() for s in sides):
        check(time.monotonic() < limit, "not done: %r", [(s.over, s.conn.end, s.close, len(s.out), s.taken, len(s.due)) for s in sides])
        for s in sides:
            if not s.is_done():
                s.step()
        rounds -= 1
        if rounds == 0:
            gateway.signal(signal.SIGTERM)
        if rounds < 0:
            time.sleep(0.0005)
    for s in sides:
        s.conn.close()
        same(s.close, 1012 if s.mask else 1001, "Close of the drain's")
    same(gateway.wait_exit(), 0, "exit code")
    same([r[Log.END] for r in gateway.records if r["kind"] == "tunnel"], ["drained"] * 6, "ends")


def test_a_drain_in_the_middle(t):
    """Each peer gets whole frames, and behind one of them the gateway's Close."""
    t.needs_speed()
    for verify in ("frames", "utf8"):
        for seed in SEEDS:
            try:
                drained(t, verify, seed)
            except Exception as error:
                raise AssertionError("seed %d, verify %s: %s" % (seed, verify, error)) from error
