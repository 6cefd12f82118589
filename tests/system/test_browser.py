"""Headless Chromium through the gateway: the demo's page, many sockets, and what a page is told when a tunnel ends."""
import json
import os
import signal
import sys

import admin
import messages
from endpoints import Reader, echo, live
from frames import CLOSE, TEXT, accept_for, close_payload, frame, handshake, switch
from harness import Log, Skip, check, same
from messages import read_head, request
from test_programs import BROWSER, demo, drive
from wire import SLOWNESS

sys.path.insert(0, os.path.dirname(BROWSER))
import devtools  # noqa: E402

SOCKETS = 50

# Opens `n` sockets, sends one text on each (if `send`), and waits for every one's end. With `hold`, resolves when all are open.
OPEN = r"""
((plan) => {
    window.seen = [];
    const one = (number) => new Promise((resolve) => {
        const ws = new WebSocket(plan.url + number);
        const seen = { number, opened: false, messages: [] };
        window.seen[number] = { seen, ended: new Promise((end) => {
            ws.onclose = ({ code, reason, wasClean }) => {
                resolve();
                end(Object.assign(seen, { code, reason, wasClean }));
            };
        }) };
        ws.onopen = () => { seen.opened = true; if (plan.send) ws.send("from the page " + number); else resolve(); };
        ws.onmessage = (event) => {
            seen.messages.push(event.data);
            resolve();
            if (plan.close) ws.close(plan.close, "seen enough");
        };
    });
    return Promise.all([...Array(plan.n).keys()].map(one)).then(() => window.seen.map((s) => s.seen));
})
"""
ENDED = "Promise.all(window.seen.map((s) => s.ended))"


class Page:
    """An empty page of a new browser."""

    def __init__(self, t):
        try:
            self.browser = devtools.Browser(timeout=60 * SLOWNESS)
        except devtools.DevtoolsError as error:
            raise Skip(str(error).splitlines()[0]) from None
        t.on_exit(self.browser.close)
        self.page = self.browser.open_page()

    def open(self, gateway, path, n=1, **plan):
        url = "ws://127.0.0.1:%d%s?" % (gateway.port, path)
        return self.page.run("%s(%s)" % (OPEN, json.dumps(dict(plan, url=url, n=n))))

    def ended(self):
        return self.page.run(ENDED)


# What the backend does on each path, right behind the 101 and one text of the page's.

def said(conn):
    return Reader(conn, True).event()


def close_1000(conn):
    said(conn)
    conn.send(frame(CLOSE, close_payload(1000, b"bye"), mask=False))
    conn.wait_end()


def close_4000(conn):
    said(conn)
    conn.send(frame(CLOSE, close_payload(4000, "grüße".encode()), mask=False))
    conn.wait_end()


def close_empty(conn):
    said(conn)
    conn.send(frame(CLOSE, mask=False))
    conn.wait_end()


def vanish(conn):
    said(conn)
    conn.send(frame(TEXT, b"last words", mask=False))


def cut(conn):
    said(conn)
    conn.send(frame(TEXT, b"x" * 1000, mask=False)[:500])


def reset(conn):
    said(conn)
    conn.reset()


def fault(conn):
    said(conn)
    conn.send(frame(TEXT, b"good", mask=False) + frame(7, b"bad", mask=False))
    Reader(conn, True).events()


def bad_text(conn):
    said(conn)
    conn.send(frame(TEXT, b"bad\xff", mask=False))
    Reader(conn, True).events()


def mute(conn):
    """Silent, and deaf to Pings: nothing is answered but the Close."""
    reader = Reader(conn, True)
    while reader.event()[0] not in ("close", "fin", "rst", "cut"):
        continue


def alive(conn):
    live(conn, True)


def echoing(conn):
    echo(conn, True)


# path, the backend's part, the route's keys, code, wasClean, messages that came first, the record's end
ENDINGS = [
    ("/close-1000", close_1000, {}, 1000, True, [], "closed"),
    ("/close-4000", close_4000, {}, 4000, True, [], "closed"),
    ("/close-empty", close_empty, {}, 1005, True, [], "closed"),
    ("/vanish", vanish, {}, 1014, True, ["last words"], "server_vanished"),
    ("/cut", cut, {}, 1006, False, [], "server_cut"),
    ("/reset", reset, {}, 1014, True, [], "server_reset"),
    ("/fault", fault, {}, 1011, True, ["good"], "server_frame_fault"),
    ("/bad-text", bad_text, {"verify": "utf8"}, 1011, True, [], "server_frame_fault"),
    ("/large", echoing, {"max_message": "10B"}, 1009, True, [], "client_frame_fault"),
    ("/lifetime", alive, {"max_lifetime": "%dms" % (700 * SLOWNESS)}, 1001, True, [], "lifetime"),
    ("/silent", mute, {"ping_interval": "%dms" % (1500 * SLOWNESS)}, 1014, True, [], "server_silent"),
    ("/idle", alive, {"ping_interval": "off", "idle_timeout": "%dms" % (700 * SLOWNESS)}, 1001, True, [], None),
]
REASONS = {"/close-1000": "bye", "/close-4000": "grüße", "/vanish": "the server is gone",
           "/lifetime": "the tunnel reached its maximum lifetime",
           "/large": "a message is larger than max_message", "/silent": "the server did not answer a ping"}


def serving(t, acts):
    """A backend that does what the path says."""
    def handler(conn):
        head = read_head(conn)
        conn.send(switch(accept_for(head.get("Sec-WebSocket-Key"))))
        acts[head.target.partition("?")[0]](conn)
    return t.backend().serve(handler)


def one_gateway(t, rows):
    """A route for each path, with its own websocket keys."""
    backend = serving(t, {row[0]: row[1] for row in rows})
    routes = [{"match": {"path": row[0]}, "upstream": "app",
        "websocket": dict({"close_timeout": "5s"}, **row[2])} for row in rows]
    return t.gateway(upstreams={"app": {"servers": [backend.address]}}, routes=routes)


def test_chromium_sees_how_a_tunnel_ended(t):
    page = Page(t)
    gateway = one_gateway(t, ENDINGS)
    for path, _, _, code, clean, messages, end in ENDINGS:
        page.open(gateway, path, send=True)
        seen = page.ended()[0]
        same((seen["opened"], seen["messages"]), (True, messages), "%s: opened, and what came first" % path)
        same((seen["code"], seen["wasClean"]), (code, clean), "%s: CloseEvent %r" % (path, seen))
        if path in REASONS:
            same(seen["reason"], REASONS[path], "%s: reason" % path)
        record = gateway.wait_record(**{Log.KIND: "tunnel"})
        gateway.records.remove(record)
        check(record[Log.END] == end or (end is None and record[Log.END].endswith("_idle")), "%s: end %r", path, record[Log.END])


def test_chromium_holds_fifty_sockets_until_the_drain(t):
    """Each says its word, is echoed, and is told 1012 when the gateway drains."""
    page = Page(t)
    gateway = one_gateway(t, [("/echo", echoing, {})])
    for seen in page.open(gateway, "/echo", SOCKETS, send=True):
        same((seen["opened"], seen["messages"]), (True, ["from the page %d" % seen["number"]]), "a socket")
    gateway.signal(signal.SIGTERM)
    for seen in page.ended():
        same((seen["code"], seen["wasClean"], seen["reason"]), (1012, True, "the gateway is shutting down"), "CloseEvent")
    same(gateway.wait_exit(), 0, "exit code")
    ends = [record[Log.END] for record in gateway.records if record.get(Log.KIND) == "tunnel"]
    same(ends, ["drained"] * SOCKETS, "ends")


def test_chromium_closes_by_itself(t):
    """The page's own code and reason reach the backend, and come back."""
    page = Page(t)
    gateway = one_gateway(t, [("/echo", echoing, {})])
    page.open(gateway, "/echo", send=True, close=4321)
    seen = page.ended()[0]
    same((seen["code"], seen["reason"], seen["wasClean"]), (4321, "seen enough", True), "CloseEvent")
    record = gateway.wait_record(**{Log.KIND: "tunnel"})
    same((record[Log.END], record[Log.CLOSED_BY], record[Log.FROM_SERVER][Log.CLOSE_CODE]), ("closed", "client", 4321), "record")


def test_chromium_is_refused(t):
    """No socket opens where the origin is not listed; nothing is at the backend. An empty page's origin is null."""
    page = Page(t)
    backend = t.backend()
    gateway = t.simple(backend, websocket={"origins": ["https://app.example"]})
    page.open(gateway, "/")
    seen = page.ended()[0]
    same((seen["opened"], seen["code"], seen["wasClean"]), (False, 1006, False), "CloseEvent")
    same(len(backend.waiting()), 0, "connections at the backend")
    allowed = t.simple(serving(t, {"/": echoing}), websocket={"origins": ["null"]})
    same(page.open(allowed, "/", send=True)[0]["messages"], ["from the page 0"], "with null listed")


def test_the_demo_page(t):
    """A person's way over the page: connect, type, ping, close with a code."""
    gateway = demo(t)
    drive("--page", "http://127.0.0.1:%d/" % gateway.port, "--only", "load,connect,text,pings,close")


def test_a_person_reads_the_status_page(t):
    """Live, whole, without a complaint of the browser's; hostile words stand as words."""
    backend, gone = t.backend(), t.backend()
    gateway = t.gateway(admin={"address": "127.0.0.1:0"}, workers=2,
                        upstreams={"app": {"servers": [backend.address]}, "gone": {"servers": [gone.address],}},
                        routes=[{"match": {"path": "/gone"}, "upstream": "gone"}, {"upstream": "app"}])
    gone.close()
    same(t.exchange(gateway, request(target="/gone", fields=[("Connection", "close")])).status, 502, "status")
    client = t.client(gateway)
    client.send(handshake("/%3Cimg%20src=x%20onerror=alert(1)%3E'"))
    server = backend.accept()
    server.read_until(b"\r\n\r\n")
    server.send(switch())
    client.read_until(b"\r\n\r\n")
    page = Page(t).page
    host, port = admin.address(gateway)
    page.open("http://%s:%d/status" % (host, port))
    page.wait_until("document.getElementById('longest').rows.length === 2")
    check(page.text("state") == "running", "state %r", page.text("state"))
    for table, word in [("servers", backend.address), ("servers", gone.address), ("servers", "in use"), ("routes", "/gone"), ("longest", "0-"),
                        ("listeners", "clear text"), ("errors", "could not be reached")]:
        check(word in page.text(table) or table == "longest", "%r not in %s: %r", word, table, page.text(table))
    client.send(frame(TEXT, b"hello", mask=True))
    page.wait_until("document.getElementById('busiest').rows.length === 2")
    client.close()
    server.close()
    page.wait_until("document.getElementById('longest').textContent.includes('no tunnel is open')")
    same(page.complaints(), [], "complaints")
    same(page.run("document.querySelectorAll('img, table script').length"), 0, "markup from outside")
    page.run("fetch('/drain', { method: 'POST', headers: {} }).then(r => r.status)")       # the page's own origin may
    gateway.wait(lambda: gateway.said("draining"), what="the drain")
    gateway.ending = True


def test_another_site_s_page_reaches_nothing(t):
    """A page of another origin, in the same browser: neither its requests nor its frames get through."""
    app = t.app(lambda r: messages.response(200, b"<!doctype html><title>other</title>", [("Content-Type", "text/html")]))
    gateway = t.simple(app, admin={"address": "127.0.0.1:0"})
    page = Page(t).page
    page.open("http://127.0.0.1:%d/" % gateway.port)
    target = "http://%s:%d" % admin.address(gateway)
    same(page.run("fetch('%s/status.json').then(() => 'read', () => 'not read')" % target), "not read", "status.json")
    page.run("fetch('%s/drain', { method: 'POST', mode: 'no-cors' }).catch(() => 0)" % target)
    same(page.run("fetch('%s/tunnels/0-1', { method: 'DELETE' }).then(() => 'done', () => 'not done')" % target), "not done", "DELETE")
    check(not gateway.said("draining"), "another site has drained the gateway")
