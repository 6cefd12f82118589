#!/usr/bin/python3
"""A person at the demo's page, played by headless Chromium: prints what was seen as one JSON object, exits 0 or 1.

    interop/browser/drive.py --page http://127.0.0.1:8080/                  the page, its sockets, its chat, its requests
    interop/browser/drive.py --echo ws://127.0.0.1:8080/echo [--deflate]    any echo server: no page is needed
"""
import argparse
import json
import os
import sys
import time

from devtools import Browser, DevtoolsError

# One socket that sends what it is given, checks the echoes and closes. `plan`: url, protocols, sizes, code, reason.
ECHO = r"""
async (plan) => {
    const bytes = (size) => {
        const data = new Uint8Array(size);
        for (let at = 0; at < size; at += 65536) crypto.getRandomValues(data.subarray(at, Math.min(at + 65536, size)));
        return data;
    };
    const equal = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
    const text = (size) => "Grüße, 漢字, 🚪. ".repeat(size / 10 + 1).slice(0, size).replace(/[\ud800-\udbff]$/, "x");
    const ws = new WebSocket(plan.url, plan.protocols ?? []);
    ws.binaryType = "arraybuffer";
    const closed = new Promise((resolve) => { ws.onclose = resolve; });
    const opened = new Promise((resolve) => { ws.onopen = () => resolve(true); });
    const seen = { opened: await Promise.race([opened, closed.then(() => false)]), echoes: 0, differing: 0 };
    const next = () => Promise.race([
        new Promise((resolve) => { ws.onmessage = (event) => resolve(event.data); }), closed.then(() => null)]);
    seen.protocol = ws.protocol;
    seen.extensions = ws.extensions;
    for (const size of seen.opened ? plan.sizes : []) {
        const sentText = text(size);
        ws.send(sentText);
        const gotText = await next();
        const sentBytes = bytes(size);
        ws.send(sentBytes);
        const gotBytes = await next();
        if (gotText === null || gotBytes === null) break;
        seen.echoes += 2;
        if (gotText !== sentText || typeof gotBytes === "string" || !equal(sentBytes, new Uint8Array(gotBytes))) seen.differing++;
    }
    if (seen.opened) ws.close(plan.code ?? 1000, plan.reason ?? "");
    const event = await closed;
    return { ...seen, code: event.code, reason: event.reason, wasClean: event.wasClean };
}
"""


class Failed(Exception):
    pass


def require(good, sentence):
    if not good:
        raise Failed(sentence)


def echo(page, **plan):
    return page.run("(%s)(%s)" % (ECHO, json.dumps(plan)))


def check_echo(seen, echoes, code=1000, reason=""):
    require(seen["opened"], "the socket did not open: %s" % seen)
    require(seen["echoes"] == echoes and seen["differing"] == 0, "the echoes differ: %s" % seen)
    require(seen["code"] == code and seen["reason"] == reason and seen["wasClean"], "the end differs: %s" % seen)


class Visit:
    """The steps at the page, in the order in which a person takes them."""

    def __init__(self, browser, options):
        self.browser, self.options = browser, options
        self.page = browser.open_page()
        self.echo_url = options.page.replace("http", "ws", 1).rstrip("/") + "/echo"

    def load(self):
        self.page.open(self.options.page)
        require(self.page.run("document.title") == "Upgate demo", "this is another page")
        require(self.page.run("document.getElementById('url').value") == self.echo_url, "the address is not filled in")
        require(not self.page.complaints(), "the page complains: %s" % self.page.complaints())

    def connect(self):
        self.page.click("connect")
        self.page.wait_until("document.getElementById('state').textContent === 'open'")
        return {"agreed": self.page.text("agreed")}

    def _wait_received(self, count):
        self.page.wait_until("document.getElementById('received-count').textContent === '%d'" % count)

    def _last_row(self):
        return self.page.run("[...document.querySelectorAll('#log-rows tr:last-child td')].map((cell) => cell.textContent)")

    def text(self):
        self.page.type("message", "Grüße through the gateway 🚪", enter=True)
        self._wait_received(1)
        row = self._last_row()
        require(row[1] == "↓ text" and row[4] == "Grüße through the gateway 🚪" and row[3].endswith("ms"), "the row is %s" % row)
        return {"roundTrip": row[3]}

    def pings(self):
        for number in range(2, 7):
            self.page.click("ping")
            self._wait_received(number)
        return {name: self.page.text("rtt-" + name) for name in ("last", "median", "min", "max")}

    def binary(self):
        self.page.click("send-binary")
        self._wait_received(7)
        row = self._last_row()
        require(row[1] == "↓ binary" and row[2] == "1.00 MiB" and row[4].endswith("byte for byte"), "the row is %s" % row)
        return {"roundTrip": row[3]}

    def close(self):
        self.page.type("close-code", "4001")
        self.page.type("close-reason", "seen enough")
        self.page.click("disconnect")
        self.page.wait_until("document.getElementById('state').textContent === 'closed'")
        seen = {name: self.page.text("closed-" + name) for name in ("code", "clean", "reason")}
        require(seen == {"code": "4001", "clean": "clean", "reason": "seen enough"}, "the close is %s" % seen)
        return seen

    def close_codes(self):
        codes = [1000, 3000, 4000, 4999]
        for code in codes:
            check_echo(echo(self.page, url=self.echo_url, sizes=[1], code=code, reason="code %d" % code), 2, code, "code %d" % code)
        return {"codes": codes}

    def subprotocol(self):
        seen = echo(self.page, url=self.echo_url, protocols=["other", "echo"], sizes=[10])
        check_echo(seen, 2)
        require(seen["protocol"] == "echo", "the subprotocol is %s" % seen["protocol"])

    def not_a_socket(self):
        seen = echo(self.page, url=self.echo_url.replace("/echo", "/hello"), sizes=[1])
        require(not seen["opened"] and seen["code"] == 1006 and not seen["wasClean"], "an HTTP path opened: %s" % seen)

    def many(self):
        n = self.options.sockets
        plans = [{"url": self.echo_url, "sizes": [0, 1, i * 997 % 70000]} for i in range(n)]
        seen = self.page.run("Promise.all(%s.map(%s))" % (json.dumps(plans), ECHO))
        for one in seen:
            check_echo(one, 6)
        return {"sockets": n, "echoes": sum(one["echoes"] for one in seen)}

    def large(self):
        started = time.monotonic()
        check_echo(echo(self.page, url=self.echo_url, sizes=[16 << 20]), 2)
        return {"bytes": 16 << 20, "seconds": round(time.monotonic() - started, 2)}

    def chat(self):
        other = self.browser.open_page()
        other.open(self.options.page)
        for page, nick in ((self.page, "ann"), (other, "bob")):
            page.bring_to_front()
            page.type("chat-nick", nick)
            page.click("chat-join")
            page.wait_until("document.getElementById('chat-members').textContent.includes('%s')" % nick)
        other.type("chat-text", "Hello ann, <b>here</b> is bob", enter=True)
        self.page.wait_until("document.getElementById('chat-log').textContent.includes('Hello ann, <b>here</b> is bob')")
        self.page.bring_to_front()
        self.page.type("chat-text", "Hello bob", enter=True)
        other.wait_until("document.getElementById('chat-log').textContent.includes('Hello bob')")
        other.close()                    # the browser closes the socket with the tab
        self.page.wait_until("document.getElementById('chat-log').textContent.includes('bob left')")
        return {"members": self.page.text("chat-members")}

    def http(self):
        seen = {}
        for button, expected in (("http-stream", "piece 10 of 10"), ("http-upload", '"bytes":5242880'),
                                 ("http-large", "20971520 bytes"), ("http-headers", "GET /headers HTTP/1.1")):
            self.page.click(button)
            self.page.wait_until("document.getElementById('http-output').textContent.includes('%s')" % expected)
            self.page.wait_until("document.getElementById('http-state').textContent === 'done'")
            seen[button] = self.page.text("http-output").split("\n")[1:3]
        return seen

    def picture(self):
        """The page as it looks in use."""
        self.page.click("clear")
        self.page.run("document.getElementById('subprotocol').value = 'echo'")
        self.connect()
        for count, text in enumerate(["Hello through the gateway", "{\"json\": true, \"n\": 42}", "Grüße, 漢字, 🚪"], 1):
            self.page.type("message", text, enter=True)
            self._wait_received(count)
        for count in range(4, 34):
            self.page.click("ping")
            self._wait_received(count)
        self.page.click("send-binary")
        self._wait_received(34)
        if self.options.screenshot:
            os.makedirs(os.path.dirname(os.path.abspath(self.options.screenshot)), exist_ok=True)
            self.page.screenshot(self.options.screenshot)

    def steps(self):
        return [self.load, self.connect, self.text, self.pings, self.binary, self.close, self.close_codes, self.subprotocol,
                self.not_a_socket, self.many, self.large, self.chat, self.http, self.picture]


class Echoes:
    """Sockets to any echo server, from an empty page."""

    def __init__(self, browser, options):
        self.options = options
        self.page = browser.open_page()

    def sizes(self):
        seen = echo(self.page, url=self.options.echo, sizes=[0, 1, 125, 126, 65535, 65536, 1 << 20])
        check_echo(seen, 14)
        wanted = "permessage-deflate" if self.options.deflate else ""
        require(seen["extensions"].split(";")[0] == wanted, "the extensions are “%s”" % seen["extensions"])
        return {"extensions": seen["extensions"]}

    def large(self):
        check_echo(echo(self.page, url=self.options.echo, sizes=[16 << 20]), 2)

    def codes(self):
        check_echo(echo(self.page, url=self.options.echo, sizes=[1], code=4321, reason="grüße"), 2, 4321, "grüße")

    def many(self):
        plans = [{"url": self.options.echo, "sizes": [1, i * 997 % 70000]} for i in range(self.options.sockets)]
        for one in self.page.run("Promise.all(%s.map(%s))" % (json.dumps(plans), ECHO)):
            check_echo(one, 4)
        return {"sockets": self.options.sockets}

    def steps(self):
        return [self.sizes, self.large, self.codes, self.many]


def take_steps(steps):
    seen = []
    for step in steps:
        started = time.monotonic()
        entry = {"step": step.__name__, "ok": True}
        seen.append(entry)
        try:
            entry.update(step() or {})
        except (Failed, DevtoolsError) as error:
            entry.update(ok=False, why=str(error))
            break
        finally:
            entry["ms"] = round((time.monotonic() - started) * 1000)
    return seen


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--page", metavar="URL")
    what.add_argument("--echo", metavar="URL")
    parser.add_argument("--deflate", action="store_true", help="with --echo: require permessage-deflate; else require none")
    parser.add_argument("--sockets", type=int, default=50, metavar="N", help="open at the same time")
    parser.add_argument("--only", metavar="STEP,…", type=lambda text: text.split(","), help="these steps, in their order")
    parser.add_argument("--screenshot", metavar="FILE", help="with --page: a picture of the page in use")
    parser.add_argument("--browser", metavar="PATH")
    parser.add_argument("--timeout", type=float, default=60, metavar="SECONDS", help="for one step")
    return parser.parse_args()


def main():
    options = arguments()
    result = {"ok": False}
    try:
        with Browser(options.browser, options.timeout) as browser:
            result["browser"] = browser.version()
            visit = Visit(browser, options) if options.page else Echoes(browser, options)
            result["steps"] = take_steps([step for step in visit.steps() if not options.only or step.__name__ in options.only])
            result["ok"] = all(step["ok"] for step in result["steps"])
    except DevtoolsError as error:
        result["why"] = str(error)
    print(json.dumps(result, indent=2, ensure_ascii=False))
    sys.exit(0 if result["ok"] else 1)


if __name__ == "__main__":
    main()
