"""The tables, on the terminal and in REPORT.md, where each part keeps its section until it is measured again."""
import os
import platform
import re
import statistics

TITLES = {
    "tunnels": "Tunnels: CPU per message that passes",
    "memory": "Memory per idle tunnel",
    "requests": "HTTP requests",
    "upgrades": "Upgrades: connect, 101, Close both ways, end",
}
HEAD = """# Benchmark report

Written by `tests/bench/run`; [README.md](README.md) says what is measured and how to read it. One worker each, all on loopback.
Least of several interleaved rounds, the median in parentheses. Compare columns of one row, not rows of different runs.
"""


def number(value):
    return "%.0f" % value if value >= 100 else "%.1f" % value if value >= 10 else "%.2f" % value if value >= 1 else "%.3f" % value


def kilo(value):
    return "%.0f k" % (value / 1e3) if value >= 1e4 else "%.1f k" % (value / 1e3)


def kib(value):
    return "%.1f KiB" % (value / 1024) if abs(value) < 100 * 1024 else "%.0f KiB" % (value / 1024)


def least(row, name):
    return min(row[name]["cpu_us"]) if name in row and row[name]["cpu_us"] else None


def ratio(row, upper, lower):
    a, b = least(row, upper), least(row, lower)
    return "%.2f" % (a / b) if a and b else "-"


def print_row(name, row):
    print(name)
    for variant, values in row.items():
        if not values["cpu_us"]:
            print("    %-14s nothing passed; %d failed" % (variant, values["failed"]))
            continue
        print("    %-14s %8s us CPU (median %s)   %8s/s (median %s)%s" % (
            variant, number(min(values["cpu_us"])), number(statistics.median(values["cpu_us"])), kilo(max(values["rate"])),
            kilo(statistics.median(values["rate"])), "   %d FAILED" % values["failed"] if values["failed"] else ""), flush=True)


def print_memory(rows, counts):
    for variant, row in rows.items():
        print("    %-14s start %s; per tunnel %s; kept when all are gone %s (Pss)" % (
            variant, kib(row["base"][1]), ", ".join("%s at %d" % (kib(row[str(count)][1]), count) for count in counts), kib(row["after"][1])))


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        found = re.search(r"^model name\s*:\s*(.*)$", info.read(), re.M)
    return found.group(1) if found else platform.machine()


def facts(versions, load_before, load_after, seconds, arguments):
    return {"cores": os.cpu_count(), "cpu": cpu_model(), "kernel": re.match(r"\d+\.\d+", platform.release()).group(0),
            "versions": versions, "load": [round(load_before, 1), round(load_after, 1)], "seconds": round(seconds),
            "rounds": arguments.rounds}


def facts_text(what, f):
    return ("%d cores (%s), Linux %s; %s; load average %.1f before and %.1f after, %d s; %d rounds.\nAgain: `tests/bench/run %s`.\n" % (
        f["cores"], f["cpu"], f["kernel"], ", ".join("%s %s" % item for item in f["versions"].items()), f["load"][0], f["load"][1],
        f["seconds"], f["rounds"], what))


def table(head, lines):
    rows = [head, ["---"] * len(head)] + lines
    return "".join("| %s |\n" % " | ".join(row) for row in rows)


def cell(values, key, best, show):
    if not values or not values[key]:
        return "-"
    return "%s (%s)%s" % (show(best(values[key])), show(statistics.median(values[key])),
                          ", %d failed" % values["failed"] if values["failed"] else "")


def variants_of(rows):
    return list(dict.fromkeys(variant for row in rows.values() for variant in row))


def measured_section(rows, ratios):
    variants = variants_of(rows)
    cpu = [[name] + [cell(row.get(v), "cpu_us", min, number) for v in variants] for name, row in rows.items()]
    rate = [[name] + [cell(row.get(v), "rate", max, kilo) for v in variants] for name, row in rows.items()]
    compared = [[name] + [ratio(row, a, b) for a, b in ratios] for name, row in rows.items()]
    return ("CPU microseconds of the proxy, for each:\n\n" + table([""] + variants, cpu) +
            "\nThe same as ratios of the least values (below 1: the first costs less):\n\n" +
            table([""] + ["%s : %s" % pair for pair in ratios], compared) +
            "\nPer second (the load has one core, so this is bounded by it as well):\n\n" + table([""] + variants, rate))


def memory_section(rows, counts):
    head = [""] + list(rows)
    lines = [["process at its start"] + [kib(row["base"][1]) for row in rows.values()]]
    for count in counts:
        lines.append(["per tunnel, %d open (Pss)" % count] + [kib(row[str(count)][1]) for row in rows.values()])
        lines.append(["per tunnel, %d open (Rss)" % count] + [kib(row[str(count)][0]) for row in rows.values()])
    lines.append(["kept when all are gone"] + [kib(row["after"][1]) for row in rows.values()])
    return ("User memory (smaps_rollup) over the process's start, divided by the tunnels; two sockets each, one message was echoed through\n"
            "each before. The kernel's own memory for the sockets is the same for all and not counted.\n\n" + table(head, lines))


RATIOS = {
    "tunnels": [("upgate blind", "relay"), ("upgate frames", "relay"), ("upgate frames", "upgate blind"), ("upgate utf8", "upgate frames"),
                ("upgate frames", "nginx"), ("upgate frames", "haproxy")],
    "requests": [("upgate frames", "nginx"), ("upgate frames", "haproxy")],
    "upgrades": [("upgate frames", "relay"), ("upgate frames", "nginx"), ("upgate frames", "haproxy")],
}


FASTCGI_HEAD = """# FastCGI benchmark

Written by `tests/bench/fastcgi`; [README.md](README.md) says how it is measured. The application is `echo.c`, one program that answers the
same over HTTP/1.1 and over FastCGI; the columns without "HTTP" are ways to it over FastCGI. lighttpd and caddy make a connection for each
request, the others keep theirs. One worker each, all on loopback. Least of many short interleaved rounds, the median in parentheses: where they
are far apart, the machine was busy with other work (see the load average), and a tenth more or less says nothing.
"""


def fastcgi_ratios(rows):
    others = [v for v in variants_of(rows) if v != "upgate"]
    return [("upgate", other) for other in others] + [("nginx", "nginx, HTTP"), ("haproxy", "haproxy, HTTP")]


def write_fastcgi(path, rows, run_facts):
    with open(path, "w", encoding="utf-8") as out:
        out.write(FASTCGI_HEAD + "\n" + facts_text("", run_facts).replace("tests/bench/run ", "tests/bench/fastcgi") + "\n" +
                  measured_section(rows, fastcgi_ratios(rows)).strip("\n") + "\n")


def sections_of(path):
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as old:
        parts = re.split(r"^## ", old.read(), flags=re.M)[1:]
    by_title = {title: what for what, title in TITLES.items()}
    return {by_title[part.split("\n", 1)[0]]: part.split("\n", 1)[1].strip("\n") for part in parts if part.split("\n", 1)[0] in by_title}


def write(path, what, rows, run_facts, counts):
    sections = sections_of(path)
    body = memory_section(rows, counts) if what == "memory" else measured_section(rows, RATIOS[what])
    sections[what] = facts_text(what, run_facts) + "\n" + body.strip("\n")
    with open(path, "w", encoding="utf-8") as out:
        out.write(HEAD)
        for name, title in TITLES.items():
            if name in sections:
                out.write("\n## %s\n\n%s\n" % (title, sections[name].strip("\n")))
