"""Random requests and answers on kept connections: bodies in every framing, in pieces of any size, cut anywhere by an end or a reset; what comes
out is what went in, and nothing that was cut passes for whole. The seed is told when something is wrong."""
import os
import random

import messages
from harness import check, in_thread, same

SIZES = [1, 2, 15, 100, 1000, 4095, 4096, 4097, 16384, 20000, 65535, 65536, 131072, 300000]
PIECES = [1, 2, 3, 16, 100, 1000, 5000, 65536, 300000]
SEEDS = [int(os.environ["UPGATE_TEST_SEED"])] if "UPGATE_TEST_SEED" in os.environ else range(1, 6)
EXCHANGES = 25


def pieces_of(chance, most):
    return [chance.randbytes(chance.choice(SIZES if chance.random() < 0.4 else SIZES[:6])) for _ in range(chance.randrange(most))]


def framed(pieces, kind, trailers=()):
    """(fields, bytes) of a body."""
    if kind == "chunked":
        return [("Transfer-Encoding", "chunked")], messages.chunked(*pieces, trailers=trailers)
    return [("Content-Length", str(sum(map(len, pieces))))] if kind == "length" else [], b"".join(pieces)


class Plan:
    """One exchange: what is asked and answered, and how the answer ends."""

    def __init__(self, chance, number):
        self.chance, self.target = random.Random(chance.random()), "/%d" % number
        self.method = chance.choice(["GET", "GET", "HEAD", "POST", "PUT"])
        self.asked = pieces_of(chance, 5) if self.method in ("POST", "PUT") else []
        how, said = framed(self.asked, chance.choice(["length", "chunked"]) if self.method in ("POST", "PUT") else "none")
        self.request = messages.request(self.method, self.target, fields=how) + said
        self.kind = chance.choice(["length", "length", "chunked", "chunked", "close"])
        self.trailers = [(b"X-Behind", b"it")] if self.kind == "chunked" and chance.random() < 0.3 else []
        self.pieces = pieces_of(chance, 12)
        how, said = framed(self.pieces, self.kind, self.trailers)
        fields = "".join("%s: %s\r\n" % field for field in how + [("X-Field", "v" * chance.randrange(300))])
        head = ("HTTP/1.1 200 Fine\r\n%s\r\n" % fields).encode()
        self.head_n = len(head)
        self.answer = head + (b"" if self.method == "HEAD" else said)
        self.early = bool(self.asked) and chance.random() < 0.3
        self.end = chance.choice(["whole"] * 6 + ["fin", "rst"])
        self.cut = chance.randrange(len(self.answer)) if self.end != "whole" else len(self.answer)

    @property
    def keeps(self):
        return self.end == "whole" and (self.kind != "close" or self.method == "HEAD")


def send_cut(conn, data, chance):
    at = 0
    while at < len(data):
        n = chance.choice(PIECES)
        conn.send(data[at:at + n])
        at += n


def ask(client, plan):
    try:
        send_cut(client, plan.request, plan.chance)
    except OSError:
        pass                             # an early answer that ends the connection, or a cut one


class Server:
    """Answers by the plan of each target."""

    def __init__(self):
        self.plans = {}

    def serve(self, conn):
        while True:
            head = messages.read_head(conn, 600)
            if head is None:
                return
            plan = self.plans[head.target]
            if not plan.early:
                self._read(conn, head, plan)
            send_cut(conn, plan.answer[:plan.cut], random.Random(plan.cut))
            if plan.early and plan.end == "whole":
                self._read(conn, head, plan)
            if plan.end == "rst":
                conn.reset()
            if not plan.keeps:
                return

    @staticmethod
    def _read(conn, head, plan):
        request = messages.read_body(conn, messages.Message(head, messages.framing(head)))
        if request.complete:
            same(request.body == b"".join(plan.asked), True, "the request's body, of %d bytes" % len(request.body))


def judge(plan, reply):
    """A server that closes with some of the request unread resets the connection, perhaps."""
    body = b"" if plan.method == "HEAD" else b"".join(plan.pieces)
    due = body if plan.end == "whole" else body[:max(plan.cut - plan.head_n, 0)]
    ends = plan.kind == "close" and plan.end == "fin" and plan.cut >= plan.head_n
    if plan.end == "whole" and (plan.keeps or not plan.early) or ends and not plan.early:
        check(reply is not None and reply.complete, "it is not whole: %r", reply)
        same((reply.status, reply.body == due), (200, True), "the answer, of %d bytes of %d" % (len(reply.body), len(due)))
        same(reply.trailers, [(n.decode(), v.decode()) for n, v in plan.trailers] if plan.method != "HEAD" else [], "trailers")
    elif reply is not None and reply.status != 502:
        check(plan.cut >= plan.head_n, "it was cut in its head, and came: %r", reply)
        check(body.startswith(reply.body), "it begins in another way: %d bytes", len(reply.body))
        check(not reply.complete or ((ends or plan.end == "whole") and reply.body == due), "it was cut at %d, and looks whole: %r", plan.cut, reply)


def one_exchange(t, gateway, client, plan):
    """The connection that may be used again, or None."""
    client = client or t.client(gateway)
    asking = in_thread(ask, client, plan)
    try:
        reply = messages.read_response(client, plan.method)
    except messages.Cut:
        reply = None
    asking.finish()
    judge(plan, reply)
    if plan.keeps and not plan.early and reply.get("Connection") != "close":
        return client
    client.close()
    return None


def test_what_comes_out_is_what_went_in(t):
    t.needs_speed()
    server = Server()
    gateway = t.simple(t.backend().serve(server.serve))
    for seed in SEEDS:
        chance, client = random.Random(seed), None
        for number in range(EXCHANGES):
            plan = Plan(chance, number)
            server.plans[plan.target] = plan
            try:
                client = one_exchange(t, gateway, client, plan)
            except Exception as error:
                raise AssertionError("seed %d, exchange %d: %s, answered %s, early: %s, end: %s at %d of %d: %s" % (
                    seed, number, plan.method, plan.kind, plan.early, plan.end, plan.cut, len(plan.answer), error)) from error
