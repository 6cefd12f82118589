"""The admin endpoint as tests see it, and a strict reader of OpenMetrics text (version 1.0.0) that shares nothing with the gateway."""
import json
import re
import time

import messages
import wire
from harness import check, same

AT = re.compile(r"admin endpoint at (?:http://(\S+):(\d+)/|unix:(\S+))")


def address(gateway, index=-1):
    """(host, port) or a path, from the log."""
    found = gateway.wait(lambda: [m for m in map(AT.search, gateway.stderr_lines) if m], what="the admin endpoint")[index]
    return found[3] if found[3] else (found[1].strip("[]"), int(found[2]))


def ask(t, gateway, target, method="GET", fields=(), host="127.0.0.1", status=200):
    conn = wire.connect(address(gateway), clear=True)
    try:
        conn.send(messages.request(method, target, list(fields) + [("Connection", "close")], host=host))
        reply = messages.read_response(conn, method)
    finally:
        conn.close()
    if status is not None:
        check(reply.status == status, "%s %s: %d %r", method, target, reply.status, reply.body[:300])
    return reply


def ask_json(t, gateway, target, **options):
    return json.loads(ask(t, gateway, target, **options).body)


def metrics(t, gateway):
    """{name{labels}: value} of every sample."""
    reply = ask(t, gateway, "/metrics", fields=[("Accept", "application/openmetrics-text")])
    check(reply.get("Content-Type").startswith("application/openmetrics-text; version=1.0.0"), "type %r", reply.get("Content-Type"))
    return read_openmetrics(reply.body.decode())


def until(condition, what):
    """Asks again and again, not too often."""
    limit = time.monotonic() + wire.DEADLINE
    while True:
        value = condition()
        if value:
            return value
        check(time.monotonic() < limit, "in vain: %s", what)
        time.sleep(0.05)


# ---- OpenMetrics ----

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*\Z")
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (-?[0-9.]+(?:e[-+]?[0-9]+)?|\+Inf)\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|\Z)')
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "info": ("_info",), "histogram": ("_bucket", "_count", "_sum")}
META = ("TYPE", "UNIT", "HELP")


def labels_of(text):
    found, at = [], 0
    while text and at < len(text):
        match = LABEL.match(text, at)
        check(match, "labels %r", text)
        found.append((match[1], match[2]))
        at = match.end()
    same(len({name for name, _ in found}), len(found), "label names of %r" % text)
    return found


class Family:
    def __init__(self, name):
        check(NAME.match(name), "the name %r", name)
        self.name, self.kind, self.seen, self.samples = name, None, set(), {}

    def meta(self, word, rest):
        check(not self.samples, "# %s of %s behind its samples", word, self.name)
        check(word not in self.seen, "# %s of %s twice", word, self.name)
        self.seen.add(word)
        if word == "TYPE":
            check(rest in SUFFIXES, "the kind %r of %s", rest, self.name)
            self.kind = rest
        elif word == "UNIT":
            check(self.name.endswith("_" + rest), "the unit %r of %s", rest, self.name)
        else:
            check(rest, "no help for %s", self.name)

    def sample(self, name, labels, value):
        check(name in [self.name + suffix for suffix in SUFFIXES[self.kind]], "the sample %s in the family %s", name, self.name)
        key = name + "{" + ",".join("%s=%s" % pair for pair in sorted(labels)) + "}"
        check(key not in self.samples, "%s twice", key)
        check(self.kind not in ("counter", "histogram") or value >= 0, "%s is %s", key, value)
        self.samples[key] = (name, labels, value)

    def finish(self):
        check("HELP" in self.seen, "no help for %s", self.name)
        if self.kind == "histogram":
            self.check_buckets()

    def check_buckets(self):
        series = {}
        for name, labels, value in self.samples.values():
            own = tuple(sorted(pair for pair in labels if pair[0] != "le"))
            one = series.setdefault(own, {"buckets": []})
            if name.endswith("_bucket"):
                one["buckets"].append((dict(labels)["le"], value))
            else:
                one[name.rsplit("_", 1)[1]] = value
        for own, one in series.items():
            bounds = [float(bound.replace("+Inf", "inf")) for bound, _ in one["buckets"]]
            counts = [count for _, count in one["buckets"]]
            check(bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), "bounds of %s%r: %r", self.name, own, bounds)
            check(counts == sorted(counts), "buckets of %s%r: %r", self.name, own, counts)
            same(counts[-1], one["count"], "the last bucket of %s%r" % (self.name, own))
            check("sum" in one, "no sum of %s%r", self.name, own)


def read_openmetrics(text):
    check(text.endswith("# EOF\n"), "no end: %r", text[-100:])
    families, family, values = {}, None, {}
    for line in text.split("\n")[:-2]:
        if line.startswith("#"):
            mark, word, name, rest = (line.split(" ", 3) + [""])[:4]
            check(mark == "#" and word in META, "the line %r", line)
            if family is None or name != family.name:
                check(name not in families, "the family %s stands in two places", name)
                family = families[name] = Family(name)
            family.meta(word, rest)
            continue
        match = SAMPLE.match(line)
        check(match and family is not None and family.kind, "the line %r", line)
        family.sample(match[1], labels_of(match[2]), float(match[3].replace("+Inf", "inf")))
    names = set()
    for family in families.values():
        family.finish()
        for suffix in SUFFIXES[family.kind]:
            check(family.name + suffix not in names, "%s belongs to two families", family.name + suffix)
            names.add(family.name + suffix)
        values.update({key: value for key, (_, _, value) in family.samples.items()})
    return values
