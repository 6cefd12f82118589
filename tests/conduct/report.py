"""Writes the conformance report: a page that says, for each promise and each case, what each proxy did."""
import datetime

import model

PROMISES = {
    "A1": "The handshake is plain HTTP; a tunnel only on a validated 101",
    "A2": "Nothing behind an upgrade request reaches a backend before the 101",
    "A3": "Handshakes from before RFC 6455, and versions not spoken, get a clear answer at once",
    "A4": "A 101 is judged against the offer; other answers stay ordinary HTTP",
    "A5": "Other Upgrade tokens are hop-by-hop",
    "B0": "HTTP/1.1 in every message made",
    "B1": "Hop-by-hop and nominated fields are removed",
    "B2": "Bad framing is detected",
    "B3": "The absolute-form target decides over Host",
    "B4": "Via is added",
    "B5": "Expect: 100-continue works end to end",
    "B6": "Pipelining works",
    "B7": "Chunks both ways; HTTP/1.0 on either side",
    "B8": "Bodies stream",
    "B9": "Generous limits",
    "B10": "Nothing of caching is touched",
    "B11": "Payloads and targets are not transformed",
    "B12": "Trailers and any method pass",
    "C3": "Look-alikes of trusted facts are removed",
    "D1": "A trusted hop's facts are kept",
}

INTRODUCTION = """# What proxies do with these cases

Written by `tests/conduct/run --report`; the cases are in `cases_*.py`, each with the section of the RFC (9110, 9112, 6455, 7692, …)
that it rests on. **pass**: everything that had to be seen was seen, on both sides. **fail**: something was not. **differs**: the case
is a decision of this project within what the RFCs allow, and the other proxy decided otherwise; that is no fault. Of Upgate the exact
status is demanded and both ways of sending are played: in pieces as written, and byte by byte. The others run with the configuration
that their documentation shows for a proxy in front of WebSockets (`proxies.py`), with no further switches, and in whole pieces; much
of what they fail here can be configured.
"""

MARKS = {"pass": "pass", "fail": "**fail**", "differs": "differs", "n/a": "–"}


def merge(by_mode):
    """One verdict per case out of the modes: the worst."""
    order = ["fail", "differs", "pass"]
    merged = {}
    for mode, results in by_mode.items():
        for name, (verdict, words) in results.items():
            old = merged.get(name)
            if old is None or order.index(verdict) < order.index(old[0]):
                merged[name] = (verdict, words if verdict == "pass" or len(by_mode) == 1 else "%s: %s" % (mode, words))
    return merged


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def cell(verdict):
    return MARKS[verdict]


def summary_rows(cases, columns):
    rows = []
    for promise in model.promises_in_order():
        names = [c.name for c in cases if c.promise == promise]
        if names:
            rows.append([promise, PROMISES.get(promise, ""), str(len(names))] + [counts(names, results) for _,
            results in columns])
    rows.append(["", "all", str(len(cases))] + [counts([c.name for c in cases], results) for _, results in columns])
    return rows


def counts(names, results):
    """passed of those played, and how many differ."""
    got = [results[n][0] for n in names if n in results]
    text = "%d of %d" % (got.count("pass"), len(got))
    return text + (" (%d differ)" % got.count("differs") if "differs" in got else "")


def escape(words):
    text = words.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
    return text if len(text) <= 160 else text[:157] + "…"


def write(path, cases, played):
    columns = [(proxy.version(), merge(by_mode)) for proxy, by_mode in played]
    names = [name for name, _ in columns]
    out = [INTRODUCTION, "Played on %s.\n" % datetime.date.today().isoformat(), "## By promise\n",
           table(["promise", "", "cases"] + names, summary_rows(cases, columns)), "## By case\n"]
    rows = []
    for case in cases:
        rows.append([case.name, case.promise, case.rfc] + [cell(results.get(case.name, ("n/a", ""))[0]) for _,
                                                           results in columns])
    out.append(table(["case", "promise", "RFC"] + names, rows))
    out.append("## What was seen where a case did not pass\n")
    for name, results in columns:
        wrong = [(c.name, results[c.name]) for c in cases if results.get(c.name, ("pass",))[0] != "pass"]
        out.append("### %s\n" % name)
        out.append(table(["case", "", "seen"],
                         [[n, MARKS[v], escape(w)] for n, (v, w) in wrong]) if wrong else "Every case passed.\n")
    with open(path, "w", encoding="utf-8") as page:
        page.write("\n".join(out))
