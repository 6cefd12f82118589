"""What a conformance case is, and what can be expected of it.

A case: bytes that a client sends, a backend that answers from a script, and what each side must see. `send` is bytes or a list of
steps for the client; `answers` holds, for the first, second … request that the backend sees (over all its connections), bytes or a
list of steps. An expectation is a function (seen, strict) that returns None or what is wrong. `strict` is true for this project's
own gateway: then the exact status is due where RFC 9110 leaves a choice. A case marked policy is this project's decision within
what the RFCs allow: another proxy that differs is reported as different, not as wrong.
"""
import sys
import os

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

import messages  # noqa: E402

CASES = []


class Step:
    """Something other than bytes in a script."""

    def __init__(self, kind, value=None):
        self.kind, self.value = kind, value

    def __repr__(self):
        return "<%s%s>" % (self.kind, "" if self.value is None else " %r" % (self.value,))


RESPONSE = Step("response")              # client: until the next final response has come
FIN = Step("fin")                        # both: half-close
RST = Step("rst")                        # both: reset the connection
BARRIER = Step("barrier")                # client: an exchange of its own through the proxy; what it read before has been acted on
AT_HEAD = Step("at head")                # backend, first step: answer when the head has come, not the body
BODY = Step("body")                      # backend, behind AT_HEAD: read the request's body now


def interim(status):
    """client: until that 1xx has come"""
    return Step("interim", status)


def received(data):
    """client: until these bytes have come, in what was not read yet"""
    return Step("received", data)


def at_backend(count):
    """client: until the backend has seen that many request heads"""
    return Step("at backend", count)


def whole_at_backend(count):
    """client: until the backend has seen that many whole requests"""
    return Step("whole at backend", count)


def bytes_at_backend(data):
    """client: until the backend has received these bytes"""
    return Step("bytes at backend", data)


def received_soon(data):
    """client: as received(), but after a second it goes on all the same (a proxy that holds a body back fails elsewhere)"""
    return Step("received soon", data)


def body_when_asked(data):
    """client: sends the body on a 100, or when nothing has come for a second, as clients do; not when a final answer came first"""
    return Step("body when asked", data)


CONTINUE_IF_EXPECTED = Step("continue")  # backend: a 100, if the request said that one is expected (RFC 9110 section 10.1.1)


def go(name="go"):
    """both: lets the other side's wait() go on"""
    return Step("go", name)


def wait(name="go"):
    """both: until the other side's go()"""
    return Step("wait", name)


class Case:
    def __init__(self, name, promise, rfc, send, answers, expect, **options):
        self.name, self.promise, self.rfc = name, promise, rfc
        self.send = send if isinstance(send, list) else [send]
        self.answers = [a if isinstance(a, list) else [a] for a in answers]
        self.expect = expect
        self.policy = options.pop("policy", False)
        self.listener = options.pop("listener", "public")
        self.responses = options.pop("responses", 1)
        self.methods = options.pop("methods", None)
        self.only = options.pop("only", None)
        self.whole_only = options.pop("whole_only", False)
        assert not options, options

    def method(self, number):
        """Of the request that the client's response number `number` answers: HEAD responses have no body."""
        if self.methods:
            return self.methods[number]
        first = next((s for s in self.send if isinstance(s, bytes)), b"")
        return "HEAD" if number == 0 and first.startswith(b"HEAD ") else "GET"


def case(name, promise, rfc, send, answers, *expect, **options):
    CASES.append(Case(name, promise, rfc, send, answers, expect, **options))


class Seen:
    """What both sides saw of one run of a case."""

    def __init__(self):
        self.responses = []              # messages.Message
        self.client_raw = b""
        self.client_tail = b""           # behind the last response that was read
        self.client_end = None           # None (open), "fin", "rst"
        self.kept = None                 # whether a further request was served, where that was asked
        self.requests = []               # messages.Message, with .connection
        self.backend_raw = []            # all bytes, by connection
        self.backend_before = []         # the same, before the client's connection was closed
        self.problems = []               # malformed messages, deadlines: words

    @property
    def response(self):
        return self.responses[0] if self.responses else None

    def all_backend_bytes(self):
        return b"\n|\n".join(self.backend_raw)

    def summary(self):
        answers = ", ".join(str(r.status) + ("" if r.complete else " (cut)") for r in self.responses) or "no response"
        return "%s; connection %s; %d request(s) at the backend%s" % (
            answers, {None: "open"}.get(self.client_end, self.client_end), len(self.requests),
            "; " + "; ".join(self.problems) if self.problems else "")


# Expectations. `needs` tells the player what to find out: "closed", "kept".

def expectation(check, *needs):
    check.needs = set(needs)
    return check


def needs_of(parts):
    return set().union(*(p.needs for p in parts))


def statuses(*due, ours=None):
    """The final responses' statuses in order; each a number or a set of numbers that are all right."""
    def check(seen, strict):
        got = [r.status for r in seen.responses]
        wanted = list(ours) if strict and ours else list(due)
        fits = len(got) == len(wanted) and all(g in w if isinstance(w, (set, frozenset)) else g == w for g, w in zip(got, wanted))
        return None if fits else "status %s, due %s" % (got or "none", wanted)
    return expectation(check)


def status(*due, ours=None):
    """The first response's status: any of these; for this gateway `ours`."""
    def check(seen, strict):
        got = seen.response.status if seen.response else None
        wanted = (ours,) if strict and ours else due
        return None if got in wanted else "status %s, due %s" % (got, " or ".join(map(str, wanted)))
    return expectation(check)


def error(ours=None):
    """Some 4xx or 5xx; for this gateway that one."""
    def check(seen, strict):
        got = seen.response.status if seen.response else 0
        if strict and ours:
            return None if got == ours else "status %s, due %d" % (got, ours)
        return None if 400 <= got <= 599 else "status %s, due an error" % got
    return expectation(check)


def header(name, *values, number=0):
    """The response has exactly these values of the field, in order (none: it is absent)."""
    def check(seen, strict):
        if len(seen.responses) <= number:
            return "no response"
        got = seen.responses[number].all(name)
        return None if got == list(values) else "response %s: %r, due %r" % (name, got, list(values))
    return expectation(check)


def no_header(*names):
    def check(seen, strict):
        got = [n for n in names if seen.response and seen.response.has(n)]
        return "response has %s" % ", ".join(got) if got else None
    return expectation(check)


def header_tokens(name, *tokens, number=0):
    """The members of a list field of the response, lower case."""
    def check(seen, strict):
        if len(seen.responses) <= number:
            return "no response"
        got = seen.responses[number].tokens(name)
        return None if got == list(tokens) else "response %s: %r, due %r" % (name, got, list(tokens))
    return expectation(check)


def body(data, number=0):
    def check(seen, strict):
        if len(seen.responses) <= number:
            return "no response"
        got = seen.responses[number]
        if not got.complete:
            return "the response is not complete"
        return None if got.body == data else "body %r, due %r" % (got.body[:80], data[:80])
    return expectation(check)


def trailers(*due):
    def check(seen, strict):
        got = [(n.lower(), v) for n, v in seen.response.trailers] if seen.response else None
        return None if got == [(n.lower(), v) for n, v in due] else "trailers %r, due %r" % (got, due)
    return expectation(check)


def interims(*due):
    """The 1xx statuses before the first final response."""
    def check(seen, strict):
        got = [i.status for i in seen.response.interim] if seen.response else None
        return None if got == list(due) else "interim answers %r, due %r" % (got, list(due))
    return expectation(check)


def version_1_1():
    def check(seen, strict):
        bad = [r.head.line for r in seen.responses if r.version != (1, 1)]
        return "status line %r" % bad[0] if bad else None
    return expectation(check)


def truncated():
    """The response cannot be taken for a whole one (an error in its place will do too)."""
    def check(seen, strict):
        got = seen.response
        if got is None or got.status >= 500:
            return None
        return "the response looks complete (%s, %d bytes)" % (got.framing, len(got.body)) if got.complete else None
    return expectation(check)


def closed():
    """The proxy ends the client's connection behind the last response."""
    def check(seen, strict):
        return None if seen.client_end else "the client's connection stays open"
    return expectation(check, "closed")


def kept():
    """The client's connection serves another request."""
    def check(seen, strict):
        return None if seen.kept else "the client's connection serves no further request"
    return expectation(check, "kept")


def client_never(data):
    def check(seen, strict):
        return "%r reached the client" % data if data in seen.client_raw else None
    return expectation(check)


def client_tail(data):
    """Exactly these bytes came to the client behind the last response (a tunnel's)."""
    def check(seen, strict):
        return None if seen.client_tail == data else "behind the response: %r, due %r" % (seen.client_tail[:80], data[:80])
    return expectation(check)


def backend_count(*due):
    """How many requests the backend saw."""
    def check(seen, strict):
        return None if len(seen.requests) in due else "%d request(s) at the backend, due %s" % (len(seen.requests),
        " or ".join(map(str, due)))
    return expectation(check)


def backend_line(line, number=0):
    def check(seen, strict):
        if len(seen.requests) <= number:
            return "no request at the backend"
        got = seen.requests[number].head.line.decode("latin-1")
        return None if got == line else "request line %r, due %r" % (got[:100], line[:100])
    return expectation(check)


SCHEME = "the client's"                  # stands for what `client_scheme` says when the case is judged
client_scheme = ["http"]                 # "https" where the cases are played over TLS


def backend_header(name, *values, number=0):
    """The request at the backend has exactly these values of the field (none: it is absent)."""
    def check(seen, strict):
        due = [client_scheme[0] if value is SCHEME else value for value in values]
        if len(seen.requests) <= number:
            return "no request at the backend"
        got = seen.requests[number].all(name)
        return None if got == due else "backend saw %s: %r, due %r" % (name, got[:4], due[:4])
    return expectation(check)


def backend_tokens(name, *tokens, number=0):
    def check(seen, strict):
        if len(seen.requests) <= number:
            return "no request at the backend"
        got = seen.requests[number].tokens(name)
        return None if got == list(tokens) else "backend saw %s: %r, due %r" % (name, got, list(tokens))
    return expectation(check)


def backend_body(data, number=0):
    def check(seen, strict):
        if len(seen.requests) <= number:
            return "no request at the backend"
        got = seen.requests[number]
        if not got.complete:
            return "the request at the backend is not complete"
        return None if got.body == data else "backend's body %r, due %r" % (got.body[:80], data[:80])
    return expectation(check)


def backend_trailers(*due):
    def check(seen, strict):
        got = [(n.lower(), v) for n, v in seen.requests[0].trailers] if seen.requests else None
        return None if got == [(n.lower(), v) for n, v in due] else "backend's trailers %r, due %r" % (got, due)
    return expectation(check)


def backend_version():
    """Every request at the backend says HTTP/1.1."""
    def check(seen, strict):
        bad = [r.head.line for r in seen.requests if r.version != (1, 1)]
        return "request line %r" % bad[0] if bad else None
    return expectation(check)


def backend_never(*data):
    """None of these bytes arrived at the backend, on any connection (letter case counts)."""
    def check(seen, strict):
        got = [d for d in data if d in seen.all_backend_bytes()]
        return "%r reached the backend" % got[0] if got else None
    return expectation(check)


def backend_tail(data, number=0):
    """Exactly these bytes came behind the head of that request (a tunnel's), unframed."""
    def check(seen, strict):
        if len(seen.requests) <= number:
            return "no request at the backend"
        head = seen.requests[number].head.raw
        raw = next((r for r in seen.backend_before if head in r), head)
        got = raw[raw.index(head) + len(head):]
        return None if got == data else "behind the head at the backend: %r, due %r" % (got[:80], data[:80])
    return expectation(check)


def no_complete_request():
    """The backend saw no request that it could take for a whole one."""
    def check(seen, strict):
        whole = [r.head.line for r in seen.requests if r.complete]
        return "a complete request %r at the backend" % whole[0] if whole else None
    return expectation(check)


def connections(*due):
    """How many connections with a request of this case the backend saw."""
    def check(seen, strict):
        got = len({r.connection for r in seen.requests})
        return None if got in due else "%d backend connection(s), due %s" % (got, " or ".join(map(str, due)))
    return expectation(check)


def either(*groups):
    """One of these groups (an expectation or a tuple of them) holds in full."""
    groups = [g if isinstance(g, tuple) else (g,) for g in groups]

    def check(seen, strict):
        wrong = []
        for group in groups:
            found = next((w for w in (e(seen, strict) for e in group) if w), None)
            if not found:
                return None
            wrong.append(found)
        return " / ".join(wrong)
    return expectation(check, *needs_of([e for g in groups for e in g]))


def both(*parts):
    def check(seen, strict):
        return next((w for w in (e(seen, strict) for e in parts) if w), None)
    return expectation(check, *needs_of(parts))


def strictly(part):
    """Due of this gateway only."""
    return expectation(lambda seen, strict: part(seen, strict) if strict else None, *part.needs)


def nothing_served(target):
    """No request with this target came to the backend (its bytes may have, as part of a body)."""
    def check(seen, strict):
        return "%s was served as a request" % target if any(r.target == target for r in seen.requests) else None
    return expectation(check)


def refused(ours=400):
    """An error from the proxy, nothing of the request at the backend, and the connection ends: RFC 9112 section 9.6."""
    return both(error(ours), backend_count(0), backend_never(b"/smuggled"), closed())


def refused_inside(ours=400):
    """A fault inside a body: the head may have gone out already, but no whole request; nothing behind it is served."""
    def answer(seen, strict):
        if seen.response is None:
            return None
        got = seen.response.status
        if strict and ours:
            return None if got == ours else "status %s, due %d" % (got, ours)
        return None if 400 <= got <= 599 else "status %s, due an error" % got
    return both(expectation(answer), no_complete_request(), nothing_served("/smuggled"), closed())


def bad_gateway():
    """The response is not passed on; what the proxy says instead is a 502."""
    return status(502)


def promises_in_order():
    def key(promise):
        return promise[0], int(promise[1:])
    return sorted({c.promise for c in CASES}, key=key)


request, response, chunked = messages.request, messages.response, messages.chunked
