"""The tables of the TLS benchmark, on the terminal and in TLS.md, where each part keeps its section until it is measured again."""
import os
import re
import statistics

from report import facts_text, kib, kilo, measured_section, median, number, table, variants_of

TITLES = {
    "handshakes": "Handshakes: CPU for a connection, its handshake, one short answer, and its end",
    "messages": "Tunnels: CPU per message that passes",
    "memory": "Memory per idle TLS tunnel",
    "latency": "Latency of messages while others shake hands",
}
HEAD = """# TLS benchmark

Written by `tests/bench/tls`; [README.md](README.md) says how it is measured. One worker each, on a core of its own, all on loopback;
clients and servers are OpenSSL's. AES-128-GCM and X25519 everywhere; certificates are self-signed. upgate's TLS is mbedTLS, that of nginx and
HAProxy is OpenSSL. Median of several interleaved rounds, the least in parentheses. Compare columns of one row, not rows of different runs.
"""
PERCENTILES = ["p50", "p99", "p99.9", "most"]
LATENCIES = {"at rest": "messages, at rest", "storm": "messages, during the storm", "handshake": "the storm's visits"}


def print_memory(name, row):
    print("    %-18s start %s; per tunnel %s, after a long message %s; kept when all are gone %s (Pss)" % (
        name, kib(row["base"]), kib(row["idle"]), kib(row["stirred"]), kib(row["after"])), flush=True)


def print_latency(rows):
    for name, row in rows.items():
        print(LATENCIES[name])
        for variant, rounds in row.items():
            print("    %-18s %s%s" % (variant, "  ".join("%s %s us" % (p, latency_cell(rounds, i)) for i, p in enumerate(PERCENTILES)),
                                      "  %d FAILED" % failed(rounds) if failed(rounds) else ""), flush=True)


def failed(rounds):
    return sum(one[len(PERCENTILES)] for one in rounds)


def latency_cell(rounds, which):
    values = [one[which] for one in rounds]
    return "%s (%s)" % (number(statistics.median(values)), number(min(values))) if values else "-"


def latency_section(rows):
    lines = []
    for name, row in rows.items():
        for variant, rounds in row.items():
            lines.append([LATENCIES[name], variant] + [latency_cell(rounds, i) for i in range(len(PERCENTILES))] + ["%d" % failed(rounds)])
    return ("Microseconds. 1,000 messages of 64 bytes a second on 200 tunnels, there and back, each timed from when it was due; first at rest, then\n"
            "while 500 new clients a second (an open loop: they come whether the proxy keeps up or not) make a full TLS 1.3 handshake, get one short\n"
            "answer and go. `upgate` has one helper thread for handshakes, on the same core; `no helper` makes them in its loop, step by step.\n"
            "An upgate that cannot keep up with 500 a second on its one core lets visitors wait.\n\n" +
            table(["", ""] + PERCENTILES + ["failed"], lines))


def memory_section(rows):
    lines = [["process at its start"] + [kib(row["base"]) for row in rows.values()],
             ["per tunnel, one short message each way before"] + [kib(row["idle"]) for row in rows.values()],
             ["per tunnel, after 64 KiB each way"] + [kib(row["stirred"]) for row in rows.values()],
             ["kept when all are gone"] + [kib(row["after"]) for row in rows.values()]]
    return ("User memory (Pss of smaps_rollup) over the process's start, divided by 2,000 tunnels: TLS 1.3 to the client, clear text to the\n"
            "server. The kernel's own memory for the sockets is the same for all and not counted.\n\n" + table([""] + list(rows), lines))


def ratios_of(rows):
    return [("upgate", other) for other in variants_of(rows) if other != "upgate"]


def per_second(rows):
    """What one core would do if it did nothing else, by the CPU that one takes."""
    variants = variants_of(rows)
    lines = [[name] + [kilo(1e6 / median(row.get(v))) if median(row.get(v)) else "-" for v in variants] for name, row in rows.items()]
    return "\nPer second of a core's time:\n\n" + table([""] + variants, lines)


def body_of(what, rows):
    if what == "memory":
        return memory_section(rows)
    if what == "latency":
        return latency_section(rows)
    measured = measured_section(rows, ratios_of(rows)).split("\nPer second (the load", 1)[0]
    return measured + (per_second(rows) if what == "handshakes" else "")


def sections_of(path):
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as old:
        parts = re.split(r"^## ", old.read(), flags=re.M)[1:]
    by_title = {title: what for what, title in TITLES.items()}
    return {by_title[part.split("\n", 1)[0]]: part.split("\n", 1)[1].strip("\n") for part in parts if part.split("\n", 1)[0] in by_title}


def write(path, what, rows, facts, versions):
    sections = sections_of(path)
    sections[what] = ", ".join("%s %s" % item for item in versions.items()) + "; " + facts_text(facts, "tests/bench/tls " + what) + "\n" + body_of(what, rows).strip("\n")
    with open(path, "w", encoding="utf-8") as out:
        out.write(HEAD)
        for name, title in TITLES.items():
            if name in sections:
                out.write("\n## %s\n\n%s\n" % (title, sections[name].strip("\n")))
