"""Plays one case against one slot of a proxy: a front address whose requests all go to one scripted backend.

A slot plays one case at a time, so that whatever arrives at its backend belongs to that case. Behind a case every connection is
closed and the proxy's own closing is awaited: nothing of one case, not even a pooled connection, is met by the next.
"""
import socket
import threading
import time

import messages
import model
import wire

DEADLINE = wire.DEADLINE                 # for anything that has to come; above the proxies' own timeouts of two to five seconds
SETTLE = 1.0 * wire.SLOWNESS
BARRIER_TARGET = "/conduct-barrier"
PROBE_TARGET = "/conduct-probe"
FINE = messages.response(200, b"ok")
MOST_PIECES = 1500                       # of one script entry, when it goes byte by byte


class Over(Exception):
    """The case has ended while its backend still waited for something."""


def in_pieces(data, bytewise):
    if not bytewise:
        return [data]
    step = max(1, len(data) // MOST_PIECES)
    return [data[i:i + step] for i in range(0, len(data), step)]


def send_pieces(conn, data, bytewise, watch=False):
    """False when the peer takes no more. With watch, also when an answer has come already that ends the connection."""
    try:
        for number, piece in enumerate(in_pieces(data, bytewise)):
            conn.send(piece)
            if bytewise:
                time.sleep(0.00004)      # the pace, not a wait: mostly each byte is read by itself
                if watch and number % 16 == 0:
                    conn.poll()
                    if conn.end:
                        return False
    except OSError:
        return False
    return True


def shut(conn, how):
    try:
        conn.sock.shutdown(how)
    except OSError:
        pass


class Stage:
    """One run of a case, shared by the client and the backend's connections."""

    def __init__(self, case, bytewise):
        self.case, self.bytewise = case, bytewise
        self.changed = threading.Condition()
        self.requests = []
        self.went = set()
        self.problems = []
        self.over = False

    def note(self, words):
        with self.changed:
            self.problems.append(words)
            self.changed.notify_all()

    def wait_for(self, condition, what, deadline=DEADLINE):
        limit = time.monotonic() + deadline
        with self.changed:
            while not condition():
                if self.over:
                    raise Over()
                left = limit - time.monotonic()
                if left <= 0:
                    raise wire.Late(what)
                self.changed.wait(left)

    def tell(self, change=lambda: None):
        with self.changed:
            change()
            self.changed.notify_all()


class Slot:
    def __init__(self, port=0):
        self.listener = wire.Listener(port=port)
        self.stage = None
        self.lock = threading.Lock()
        self.conns = []                  # since the last case's end
        self.fronts = {}                 # listener's name → address
        self.accepting = threading.Thread(target=self._accept, daemon=True)
        self.accepting.start()

    @property
    def port(self):
        return self.listener.port

    def close(self):
        self.listener.stopping = True
        try:
            self.listener.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.accepting.join(5)
        self.listener.sock.close()

    # the backend

    def _accept(self):
        while not self.listener.stopping:
            try:
                sock, _ = self.listener.sock.accept()
            except OSError:
                if self.listener.stopping:
                    return
                continue
            sock.setblocking(True)
            conn = wire.veil.accepted(sock, True, begin=False) if wire.veil else wire.Conn(sock)
            conn.handler = threading.Thread(target=self._handle, args=(conn,), daemon=True)
            conn.handler.start()
            with self.lock:
                self.conns.append(conn)

    def _handle(self, conn):
        try:
            if wire.veil:
                wire.veil.shake(conn)
            while self._one_request(conn):
                pass
        except (Over, OSError, ValueError):
            pass
        except wire.Late as late:
            self._note("the backend waited in vain: %s" % late)
        except messages.Malformed as malformed:
            if not conn.end:
                self._note("malformed at the backend: %s" % malformed)

    def _note(self, words):
        stage = self.stage
        if stage and not stage.over:
            stage.note(words)

    def _one_request(self, conn):
        head = messages.read_head(conn, 60)
        if head is None:
            return False
        stage = self.stage
        request = messages.Message(head, "none")
        request.connection = id(conn)
        script = None
        if stage and head.target not in (BARRIER_TARGET, PROBE_TARGET):
            script = self._register(stage, request)
        request.framing = messages.framing(head)
        if not (script and script[0] is model.AT_HEAD):
            messages.read_body(conn, request, 60)
            if stage:
                stage.tell()
        if script is None:
            conn.send(FINE)
            return True
        return self._play(conn, stage, request, script)

    @staticmethod
    def _register(stage, request):
        with stage.changed:
            stage.requests.append(request)
            stage.changed.notify_all()
            number = len(stage.requests) - 1
        return stage.case.answers[number] if number < len(stage.case.answers) else [FINE]

    def _play(self, conn, stage, request, script):
        switched, alive = False, True
        for step in script:
            if isinstance(step, bytes):
                switched = switched or b"HTTP/1.1 101" in step[:400]
                alive = alive and send_pieces(conn, step, stage.bytewise)
            elif step.kind == "wait":
                stage.wait_for(lambda name=step.value: name in stage.went, "for %s" % step.value)
            elif step.kind == "go":
                stage.tell(lambda name=step.value: stage.went.add(name))
            elif step is model.CONTINUE_IF_EXPECTED:
                if "100-continue" in request.tokens("Expect"):
                    send_pieces(conn, messages.CONTINUE, stage.bytewise)
            elif step is model.BODY:
                messages.read_body(conn, request, 60)
                stage.tell()
            elif step is model.FIN:
                conn.finish()
            elif step is model.RST:
                conn.reset()
                return False
            elif step is not model.AT_HEAD:
                raise ValueError(step)
        if not alive:
            return False
        if script[0] is model.AT_HEAD and not request.complete:
            messages.read_body(conn, request, 60)
        if switched:
            conn.wait_end(60)
        return not conn.end

    # a case

    def play(self, case, bytewise=False):
        """Runs the case; returns model.Seen."""
        stage = self.stage = Stage(case, bytewise)
        seen = model.Seen()
        client = None
        try:
            client = wire.connect(self.fronts.get(case.listener, self.fronts["public"]))
            Client(self, stage, client, seen).run()
        except wire.Late as late:
            seen.problems.append("the client waited in vain: %s" % late)
        except messages.Malformed as malformed:
            seen.problems.append("malformed at the client: %s" % malformed)
        except (OSError, Over) as error:
            seen.problems.append("the client's connection: %s" % error)
        self._collect(stage, client, seen)
        return seen

    def _collect(self, stage, client, seen):
        """Ends the case. The exchange in between lets come what the proxy still had to say to the backend, and shows it HTTP/1.1."""
        seen.backend_before = [bytes(conn.received) for conn in list(self.conns)]
        if client:
            client.close()
            seen.client_raw = bytes(client.received)
        try:
            self.exchange(BARRIER_TARGET, SETTLE)
        except (wire.Late, OSError, messages.Malformed):
            pass
        stage.tell(lambda: setattr(stage, "over", True))
        conns = self._settle()
        self.stage = None
        seen.requests = stage.requests
        seen.backend_raw = [bytes(conn.received) for conn in conns]
        seen.problems += stage.problems

    def _settle(self):
        """Ends every connection to the proxy, and waits until the proxy has ended them too; returns them."""
        with self.lock:
            conns, self.conns = self.conns, []
        for conn in conns:
            shut(conn, socket.SHUT_WR)
        limit = time.monotonic() + SETTLE
        for conn in conns:
            conn.handler.join(max(0.0, limit - time.monotonic()))
            if conn.handler.is_alive():
                shut(conn, socket.SHUT_RDWR)
                conn.handler.join(SETTLE)
            elif not conn.closed:
                try:
                    conn.wait_end(max(0.001, limit - time.monotonic()))
                except (wire.Late, OSError, ValueError):
                    pass
            conn.close()
        return conns

    def exchange(self, target, deadline=DEADLINE):
        client = wire.connect(self.fronts["public"])
        try:
            client.send(messages.request(target=target, host="conduct.example", fields=[("Connection", "close")]))
            reply = messages.read_response(client, deadline=deadline)
            if reply is None or reply.status != 200:
                raise wire.Late("the barrier's exchange: %r" % reply)
        finally:
            client.close()


class Client:
    """The client's half of a case."""

    def __init__(self, slot, stage, conn, seen):
        self.slot, self.stage, self.case = slot, stage, stage.case
        self.conn, self.seen = conn, seen
        self.at = 0                      # where in the received bytes the last response ended

    def run(self):
        for step in self.case.send:
            if isinstance(step, bytes):
                if not send_pieces(self.conn, step, self.stage.bytewise, watch=True):
                    break
            elif not self.take(step):
                break
        self.finish()

    def take(self, step):
        kind, value, stage, conn = step.kind, step.value, self.stage, self.conn
        if kind == "response":
            return self.read_one()
        if kind == "interim":
            conn.wait_for(lambda data: b"HTTP/1.1 %d" % value in data and b"\r\n\r\n" in data, DEADLINE)
        elif kind == "received":
            conn.wait_for(lambda data: value in data, DEADLINE)
        elif kind == "received soon":
            try:
                conn.wait_for(lambda data: value in data, SETTLE, ended_ok=True)
            except wire.Late:
                pass
        elif kind == "body when asked":
            return self.body_when_asked(value)
        elif kind == "wait":
            stage.wait_for(lambda: value in stage.went, "for %s" % value)
        elif kind == "at backend":
            stage.wait_for(lambda: len(stage.requests) >= value, "for %d request(s) at the backend" % value)
        elif kind == "whole at backend":
            stage.wait_for(lambda: sum(r.complete for r in stage.requests) >= value, "for a whole request at the backend")
        elif kind == "bytes at backend":
            wire.wait_until(lambda: any(value in c.received for c in list(self.slot.conns)), DEADLINE,
                            "%r at the backend" % value)
        elif kind == "barrier":
            self.slot.exchange(BARRIER_TARGET)
        elif kind == "go":
            stage.tell(lambda: stage.went.add(value))
        elif kind == "fin":
            conn.finish()
        elif kind == "rst":
            conn.reset()
            return False
        return True

    def body_when_asked(self, data):
        try:
            self.conn.wait_for(lambda unread: b"\r\n\r\n" in unread, SETTLE, ended_ok=True)
        except wire.Late:
            pass
        if self.conn.unread and not self.conn.unread.startswith(b"HTTP/1.1 100"):
            return True
        return send_pieces(self.conn, data, self.stage.bytewise, watch=True)

    def read_one(self):
        try:
            reply = messages.read_response(self.conn, self.case.method(len(self.seen.responses)), DEADLINE)
        except messages.Cut:             # as good as no response
            reply = None
        if reply is None:
            return False
        self.seen.responses.append(reply)
        return reply.complete

    def finish(self):
        needs = model.needs_of(self.case.expect)
        alive = True
        while alive and not self.conn.closed and len(self.seen.responses) < self.case.responses:
            alive = self.read_one()
        if self.conn.closed:
            return
        if "kept" in needs and alive:
            self.probe()
        elif "closed" in needs or not alive:
            self.await_end()
        self.seen.client_tail = self.conn.poll()
        self.seen.client_end = self.conn.end

    def probe(self):
        """Whether the connection serves one more request."""
        try:
            if not self.conn.end:
                self.conn.send(messages.request(target=PROBE_TARGET, host="conduct.example"))
            reply = messages.read_response(self.conn, deadline=DEADLINE)
        except (OSError, wire.Late, messages.Malformed):
            reply = None
        self.seen.kept = reply is not None and reply.status == 200
        self.conn.poll()

    def await_end(self):
        try:
            self.conn.wait_end(DEADLINE)
        except wire.Late:
            pass
