"""A headless Chromium, driven over the pipe of its DevTools protocol. Standard library only.

Chromium reads commands on descriptor 3 and writes answers and events on descriptor 4, JSON with a zero byte after each.
Nothing listens on a port and nothing but the browser is needed. Every wait has a deadline.
What can go wrong: no browser, a browser that ends or falls silent (DevtoolsError with the end of its standard error),
an exception in the page's script (DevtoolsError with its text).
"""
import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-default-browser-check",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps",
    "--disable-extensions", "--disable-dev-shm-usage", "--disable-domain-reliability", "--no-proxy-server", "--mute-audio",
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
    "--disable-features=OptimizationHints,MediaRouter,Translate", "--metrics-recording-only", "--remote-debugging-pipe",
]
NAMES = ["chromium", "chromium-browser", "google-chrome", "chrome"]


class DevtoolsError(Exception):
    pass


def find_browser():
    for name in NAMES:
        path = shutil.which(name)
        if path:
            return path
    raise DevtoolsError("no Chromium here (Debian: chromium)")


class Browser:
    """One browser process with a profile of its own, gone at the end: use it in a with statement."""

    def __init__(self, path=None, timeout=30):
        self.timeout = timeout
        self.last_id = 0
        self.answers = {}
        self.events = []
        self.input = []
        self.profile = tempfile.mkdtemp(prefix="upgate-chromium-")
        self.errors = open(os.path.join(self.profile, "stderr"), "w+b")
        self._start(path or find_browser())

    def _start(self, path):
        command_read, self.command_write = os.pipe()
        self.event_read, event_write = os.pipe()
        # out of the way of 3 and 4, which the child gets
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (command_read, event_write)]

        def take_descriptors():
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        try:
            self.process = subprocess.Popen(
                [path, *FLAGS, "--window-size=1400,1000", "--user-data-dir=" + self.profile, "about:blank"],
                stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors, pass_fds=(3, 4),
                preexec_fn=take_descriptors, start_new_session=True)
        finally:
            for fd in (command_read, event_write, *high):
                os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def _fail(self, sentence):
        self.errors.seek(0)
        tail = self.errors.read()[-2000:].decode(errors="replace")
        raise DevtoolsError(sentence + "\n" + tail)

    def _read(self, deadline, awaited):
        """At least one message more, into answers or events."""
        left = deadline - time.monotonic()
        ready, _, _ = select.select([self.event_read], [], [], max(0, left))
        if not ready:
            self._fail("%s: the browser did not answer in time" % awaited)
        piece = os.read(self.event_read, 1 << 20)
        if not piece:
            self._fail("the browser has ended")
        self.input.append(piece)
        if b"\0" not in piece:
            return
        *messages, rest = b"".join(self.input).split(b"\0")
        self.input = [rest]
        for message in map(json.loads, messages):
            if "id" in message:
                self.answers[message["id"]] = message
            else:
                self.events.append(message)

    def call(self, method, session=None, timeout=None, **params):
        """One command and its result."""
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        try:
            os.write(self.command_write, json.dumps(message).encode() + b"\0")
        except BrokenPipeError:
            self._fail("the browser has ended")
        deadline = time.monotonic() + (timeout or self.timeout)
        while self.last_id not in self.answers:
            self._read(deadline, method)
        answer = self.answers.pop(self.last_id)
        if "error" in answer:
            raise DevtoolsError("%s: %s" % (method, answer["error"]["message"]))
        return answer["result"]

    def wait_event(self, method, session, timeout=None):
        """The next event of this name; those before it stay in the list."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while True:
            for event in self.events:
                if event["method"] == method and event.get("sessionId") == session:
                    self.events.remove(event)
                    return event["params"]
            self._read(deadline, method)

    def open_page(self):
        return Page(self)

    def version(self):
        return self.call("Browser.getVersion")["product"]

    def close(self):
        """Asks the browser to end; whatever is left of its own process group after that is killed."""
        try:
            self.call("Browser.close", timeout=5)
            self.process.wait(10)
        except (DevtoolsError, subprocess.TimeoutExpired):
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        os.close(self.command_write)
        os.close(self.event_read)
        self.errors.close()
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    """One tab."""

    def __init__(self, browser):
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):      # not Network: it would hand over every message
            self.call(domain + ".enable")

    def call(self, method, **params):
        return self.browser.call(method, session=self.session, **params)

    def bring_to_front(self):
        """Only the tab in front is drawn, and so only there do clicks and pictures take no longer than they should."""
        self.call("Page.bringToFront")

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)

    def open(self, url):
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise DevtoolsError("%s: %s" % (url, answer["errorText"]))
        self.browser.wait_event("Page.loadEventFired", self.session)

    def run(self, expression):
        """The value of a JavaScript expression; a promise is awaited."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise DevtoolsError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    def wait_until(self, condition):
        """Waits until a JavaScript expression about the document becomes true; looks at every change of the document."""
        try:
            self.run("""new Promise((resolve) => {
                const observer = new MutationObserver(() => look());
                const look = () => { if (%s) { observer.disconnect(); resolve(true); } };
                observer.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
                look();
            })""" % condition)
        except DevtoolsError as error:
            raise DevtoolsError("waited for %s: %s" % (condition, str(error).splitlines()[0])) from None

    def click(self, element_id):
        """A real click with the mouse, in the middle of the element."""
        box = self.run("""(() => {
            const element = document.getElementById(%s);
            element.scrollIntoView({ block: "center" });
            const r = element.getBoundingClientRect();
            return { x: r.x + r.width / 2, y: r.y + r.height / 2, disabled: element.disabled === true };
        })()""" % json.dumps(element_id))
        if box["disabled"]:
            raise DevtoolsError("#%s is disabled" % element_id)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box["x"], y=box["y"], button="left", clickCount=1)

    def type(self, element_id, text, enter=False):
        """Replaces what a field holds by typing, and presses Enter where asked to."""
        self.run("(() => { const e = document.getElementById(%s); e.focus(); e.select(); })()" % json.dumps(element_id))
        self.call("Input.insertText", text=text)
        if enter:
            key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
            self.call("Input.dispatchKeyEvent", type="keyDown", text="\r", **key)
            self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def text(self, element_id):
        return self.run("document.getElementById(%s).textContent" % json.dumps(element_id))

    def complaints(self):
        """What the page's console and the network had to complain about so far."""
        found = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            params = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"].get("exception", {}).get("description", "an exception"))
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(params["entry"]["text"])
        return found

    def screenshot(self, path):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        image = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        with open(path, "wb") as out:
            out.write(base64.b64decode(image["data"]))
