"""The tables: on the terminal, in report.json (where each part keeps what was measured last), and in REPORT.md, which is made of that."""
import json
import os
import platform
import re
import statistics
import subprocess

TITLES = {
    "tunnels": "Tunnels: CPU per message that passes",
    "requests": "HTTP requests",
    "fastcgi": "FastCGI",
    "upgrades": "Upgrades: connect, 101, a message and its echo, Close both ways, end",
    "latency": "Latency in an open loop",
    "scaling": "Two workers",
    "memory": "Memory",
}
HEAD = """# Benchmark report

Written by `tests/bench/run`; [README.md](README.md) says what is measured and how to read it. All on loopback, one worker each where
nothing else is said. Median of interleaved rounds, the least in parentheses. Compare columns of one row, not rows of different runs.
"""
# What was aimed at: (part, row, column of ours, of theirs, the ratio of medians that is to be reached). "nginx" where nothing else is said.
AIMS = [
    ("tunnels", "echo 64 B", "upgate utf8", "nginx", 1.00),
    ("tunnels", "echo 64 B, 16 in flight", "upgate utf8", "nginx", 0.85),
    ("tunnels", "echo 1 KiB, 16 in flight", "upgate utf8", "nginx", 0.38),
    ("tunnels", "echo 64 KiB, binary", "upgate utf8", "nginx", 0.18),
    ("tunnels", "echo 1 MiB, binary", "upgate utf8", "nginx", 0.29),
    ("upgrades", "64 at once", "upgate utf8", "nginx", 0.95),
    ("requests", "GET, 58 B back, 64 connections", "upgate utf8", "nginx", 0.90),
    ("requests", "GET, 1 MiB back, 16 connections", "upgate utf8", "nginx", 0.64),
    ("fastcgi", "GET, 58 B back", "upgate", "nginx", 0.85),
    ("fastcgi", "POST, 4 KiB there and back", "upgate", "nginx", 0.85),
    ("latency", "500 a second, 8 connections", "upgate utf8", "nginx", 1.00),
]
AIM_TUNNEL_BYTES = 1024
STRUCTURES = {"tunnel": 1, "stream_uv": 2, "poller_slot": 2}        # how many of each an idle tunnel has


def number(value):
    return "%.0f" % value if value >= 100 else "%.1f" % value if value >= 10 else "%.2f" % value if value >= 1 else "%.3f" % value


def kilo(value):
    return "%.0f k" % (value / 1e3) if value >= 1e4 else "%.1f k" % (value / 1e3)


def kib(value):
    return "%.2f KiB" % (value / 1024) if abs(value) < 100 * 1024 else "%.0f KiB" % (value / 1024)


def median(values, key="cpu_us"):
    return statistics.median(values[key]) if values and values.get(key) else None


def key_of(part):
    return "p50" if part == "latency" else "cpu_us"


# ---- the terminal ----

def print_row(name, row):
    print(name)
    for variant, values in row.items():
        if not values["cpu_us"]:
            print("    %-24s nothing passed; %d failed" % (variant, values["failed"]))
            continue
        print("    %-24s %8s us CPU (least %s)   %8s/s (most %s)%s" % (
            variant, number(median(values)), number(min(values["cpu_us"])), kilo(median(values, "rate")), kilo(max(values["rate"])),
            "   %d FAILED" % values["failed"] if values["failed"] else ""), flush=True)


def print_latency(name, row):
    print(name)
    for variant, values in row.items():
        if not values["p50"]:
            print("    %-24s could not keep up; %d failed" % (variant, values["failed"]))
            continue
        print("    %-24s p50 %s us, p99 %s us, p99.9 %s us%s" % ((variant,) + tuple(number(median(values, key)) for key in ["p50", "p99", "p999"]) + (
            "   %d FAILED" % values["failed"] if values["failed"] else "",)), flush=True)


def print_memory(rows):
    for variant, steps in rows.items():
        print("    %-14s %s" % (variant, "; ".join("%s %s: %s" % (held, what, each(what, held, used)) for what, held, used in steps)), flush=True)


def print_aims(found):
    for row in aims(found):
        print("%-48s %s   aim %s   %s" % (row["what"], row["shown"], row["aim"], "reached" if row["reached"] else "NOT reached"))


# ---- what is kept ----

def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        found = re.search(r"^model name\s*:\s*(.*)$", info.read(), re.M)
    return found.group(1) if found else platform.machine()


def facts(load_before, load_after, seconds, arguments):
    return {"cores": os.cpu_count(), "cpu": cpu_model(), "kernel": re.match(r"\d+\.\d+", platform.release()).group(0),
            "load": [round(load_before, 1), round(load_after, 1)], "seconds": round(seconds), "rounds": arguments.rounds}


def sizes_of(program):
    """{structure: bytes}, as the program's debug information has them."""
    try:
        info = subprocess.run(["readelf", "--debug-dump=info", program], capture_output=True, text=True, errors="replace", check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    found = re.findall(r"DW_AT_name\s*:[^\n]*?(\w+)\n[^\n]*DW_AT_byte_size\s*: (\d+)", info)
    return {name: int(size) for name, size in found if name in STRUCTURES}


def kept(path):
    if not os.path.exists(path):
        return {"versions": {}, "sizes": {}, "parts": {}, "ratios": []}
    with open(path, encoding="utf-8") as old:
        return json.load(old)


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(inner) for inner in value]
    return float("%.4g" % value) if isinstance(value, float) else value


def keep(path, what, measured, versions, sizes):
    found = kept(path)
    found["versions"], found["sizes"] = versions, sizes
    found["parts"][what] = measured
    found["ratios"] = aims(found)
    with open(path, "w", encoding="utf-8") as out:
        json.dump(rounded(found), out, indent=1)
        out.write("\n")


# ---- what was aimed at ----

def aims(found):
    """[{"what", "ratio" or "bytes", "shown", "aim", "reached"}], of what was measured."""
    rows = []
    for part, name, ours, theirs, aim in AIMS:
        row = found["parts"].get(part, {}).get("rows", {}).get(name, {})
        a, b = median(row.get(ours), key_of(part)), median(row.get(theirs), key_of(part))
        if a and b:
            rows.append({"what": "%s: %s" % (part, name), "ratio": a / b, "shown": "%.2f of %s" % (a / b, theirs), "aim": "%.2f" % aim,
                         "reached": a / b <= aim + 0.005})
    steps = found["parts"].get("memory", {}).get("rows", {}).get("upgate utf8", [])
    for what, held, used in steps:
        if what.startswith("idle") and held:
            rows.append({"what": "memory: %d %s" % (held, what), "bytes": used / held, "shown": "%.0f bytes a tunnel" % (used / held),
                         "aim": "%d" % AIM_TUNNEL_BYTES, "reached": used / held <= AIM_TUNNEL_BYTES})
    return rows


# ---- the page ----

def table(head, lines):
    rows = [head, ["---"] * len(head)] + lines
    return "".join("| %s |\n" % " | ".join(row) for row in rows)


def cell(values, key, best, show):
    if not values or not values[key]:
        return "-"
    return "%s (%s)%s" % (show(median(values, key)), show(best(values[key])), ", %d failed" % values["failed"] if values["failed"] else "")


def ratio(row, ours, theirs):
    a, b = median(row.get(ours)), median(row.get(theirs))
    return "%.2f" % (a / b) if a and b else "-"


def variants_of(rows):
    return list(dict.fromkeys(variant for row in rows.values() for variant in row))


def measured_section(rows, ratios):
    variants = variants_of(rows)
    cpu = [[name] + [cell(row.get(v), "cpu_us", min, number) for v in variants] for name, row in rows.items()]
    rate = [[name] + [cell(row.get(v), "rate", max, kilo) for v in variants] for name, row in rows.items()]
    compared = [[name] + [ratio(row, a, b) for a, b in ratios] for name, row in rows.items()]
    return ("CPU microseconds of the proxy, for each:\n\n" + table([""] + variants, cpu) +
            "\nThe same as ratios of the medians (below 1: the first costs less):\n\n" +
            table([""] + ["%s : %s" % pair for pair in ratios], compared) +
            "\nPer second (the load has one core, so this is bounded by it as well):\n\n" + table([""] + variants, rate))


def latency_section(rows):
    text = ("Microseconds from when a message was due until its echo was there: median, 99th percentile, 99.9th; of each the median over the\n"
            "rounds. `direct` is the origin without a proxy. The rate is the same for all; the percentages are of what the slowest of them\n"
            "passes in a closed loop.\n\n")
    variants = variants_of(rows)
    lines = []
    for name, row in rows.items():
        lines.append([name] + [" / ".join(number(median(row[v], key)) for key in ["p50", "p99", "p999"]) if row.get(v) and row[v]["p50"] else "-"
                               for v in variants])
    return text + table([""] + variants, lines)


def scaling_section(rows):
    rows = dict(rows)
    shares = rows.pop("shares", {}).get("workers", [])
    text = ("The load needs a core, so that two workers cannot show twice the rate on two cores. What they would cost each other shows in the CPU\n"
            "that the same work takes: a ratio of 1.1 would leave a factor of 1.8. Of all that was done in this section, the two workers did\n"
            "%s %%.\n\n" % " and ".join(map(str, shares)))
    return text + measured_section(rows, [("upgate utf8, 2 workers", "upgate utf8")])


def each(what, held, used):
    return "%s" % kib(used) if not held or "most" in what else "%s each" % kib(used / held)


def memory_section(rows, sizes):
    steps = [(what, held) for what, held, _ in next(iter(rows.values()))]
    lines = [["%s%s" % ("%d tunnels, " % held if held else "", what)] + [each(what, held, rows[v][i][2]) for v in rows]
             for i, (what, held) in enumerate(steps)]
    text = ("A fresh process over its life: user memory (Pss of smaps_rollup) over that at its start, in all or for each open tunnel. Through each\n"
            "tunnel one message of 125 bytes was echoed at its beginning. The kernel's own memory for the sockets is the same for all and not\n"
            "counted.\n\n" + table([""] + list(rows), lines))
    if sizes:
        whole = sum(STRUCTURES[name] * size for name, size in sizes.items())
        text += "\nOf upgate's, a tunnel's own structures are %s: %d bytes, and the words of its request for the log.\n" % (
            ", ".join("%d %s of %d" % (STRUCTURES[name], name, size) for name, size in sizes.items()), whole)
    return text


RATIOS = {
    "tunnels": [("upgate blind", "relay"), ("upgate frames", "upgate blind"), ("upgate utf8", "upgate frames"), ("upgate utf8", "relay"),
                ("upgate utf8", "nginx"), ("upgate utf8", "haproxy")],
    "requests": [("upgate utf8", "relay"), ("upgate utf8", "nginx"), ("upgate utf8", "haproxy")],
    "upgrades": [("upgate utf8", "relay"), ("upgate utf8", "nginx"), ("upgate utf8", "haproxy")],
    "fastcgi": [("upgate", "nginx"), ("upgate", "haproxy"), ("upgate", "upgate, HTTP"), ("nginx", "nginx, HTTP")],
}


def section(what, part, sizes):
    if what == "memory":
        return memory_section(part["rows"], sizes)
    if what == "latency":
        return latency_section(part["rows"])
    if what == "scaling":
        return scaling_section(part["rows"])
    return measured_section(part["rows"], RATIOS[what])


def facts_text(f, again):
    return ("%d cores (%s), Linux %s; load average %.1f before and %.1f after, %d s; %d rounds. Again: `%s`.\n" % (
        f["cores"], f["cpu"], f["kernel"], f["load"][0], f["load"][1], f["seconds"], f["rounds"], again))


def write(path, json_path):
    found = kept(json_path)
    lines = [[row["what"], row["shown"], row["aim"], "yes" if row["reached"] else "**no**"] for row in aims(found)]
    with open(path, "w", encoding="utf-8") as out:
        out.write(HEAD + "\nMeasured: %s.\n" % ", ".join("%s %s" % item for item in found["versions"].items()))
        out.write("\n## What was aimed at\n\nRatios of medians; all frames verified, text as UTF-8.\n\n" + table(["", "found", "aim", "reached"], lines))
        for what, title in TITLES.items():
            if what in found["parts"]:
                part = found["parts"][what]
                out.write("\n## %s\n\n%s\n%s\n" % (title, facts_text(part["facts"], "tests/bench/run " + what),
                                                  section(what, part, found["sizes"]).strip("\n")))


# ---- the page about FastCGI ----

FASTCGI_HEAD = """# FastCGI benchmark

Written by `tests/bench/fastcgi`; [README.md](README.md) says how it is measured. The application is `echo.c`, one program that answers the
same over HTTP/1.1 and over FastCGI; the columns without "HTTP" are ways to it over FastCGI. lighttpd and caddy make a connection for each
request, the others keep theirs. One worker each, all on loopback. Median of many short interleaved rounds, the least in parentheses: where they
are far apart, the machine was busy with other work (see the load average), and a tenth more or less says nothing.
"""


def fastcgi_ratios(rows):
    others = [v for v in variants_of(rows) if v != "upgate"]
    return [("upgate", other) for other in others] + [("nginx", "nginx, HTTP"), ("haproxy", "haproxy, HTTP")]


def write_fastcgi(path, rows, run_facts, versions):
    with open(path, "w", encoding="utf-8") as out:
        out.write(FASTCGI_HEAD + "\nMeasured: %s.\n" % ", ".join("%s %s" % item for item in versions.items()) +
                  facts_text(run_facts, "tests/bench/fastcgi") + "\n" +
                  measured_section(rows, fastcgi_ratios(rows)).strip("\n") + "\n")
