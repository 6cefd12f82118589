"""The parts of the page: what each measures, of whom. A part is a function of a Bench and returns {row: {variant: values}}."""
import threading
import time

import fastcgi_proxies
import proxies
import report
from bench import memory_of

# How much is done in one measurement: some tenths of a second of CPU.
ALL_MODES = ["relay", "upgate blind", "upgate frames", "upgate utf8", "nginx", "haproxy"]
PEERS = ["relay", "upgate utf8", "nginx", "haproxy"]
# name: kind, connections, bytes, how many in all, on their way at a time, binary
TUNNELS = {
    "echo 64 B": ("echo", 64, 64, 48000, 1, False),
    "echo 64 B, 16 in flight": ("echo", 64, 64, 512000, 16, False),
    "echo 1 KiB, 16 in flight": ("echo", 64, 1024, 192000, 16, False),
    "echo 64 KiB, binary": ("echo", 64, 65536, 7680, 1, True),
    "echo 64 KiB, text": ("echo", 64, 65536, 5120, 1, False),
    "echo 1 MiB, binary": ("echo", 16, 1 << 20, 320, 1, True),
    "echo 125 B, 512 connections": ("echo", 512, 125, 48000, 1, False),
    "one way 125 B": ("oneway", 64, 125, 3000000, 1, False),
    "one way 4 KiB": ("oneway", 64, 4096, 98304, 1, False),
    "one way 64 KiB": ("oneway", 64, 65536, 6144, 1, False),
}
REQUESTS, CYCLES, DOWNLOADS = 24576, 4096, 1024
POST_BYTES = 4096
IDLE = [2000, 8000, 15000]               # or what the descriptors are enough for: load and proxy need two for each


def run_tunnels(bench):
    bench.start([proxies.Relay, proxies.Upgate, proxies.Nginx, proxies.Haproxy])
    rows = {}
    for name, (kind, connections, size, total, depth, binary) in TUNNELS.items():
        if bench.arguments.only in name:
            rows[name] = bench.measure(kind, connections, size, total, ALL_MODES, None, depth, binary)
            report.print_row(name, rows[name])
    return rows


def run_requests(bench):
    bench.start([proxies.Relay, proxies.Upgate, proxies.Nginx, proxies.Haproxy])
    rows = {}
    for connections in [64, 512]:
        name = "GET, 58 B back, %d connections" % connections
        rows[name] = bench.measure("requests", connections, 1, REQUESTS, PEERS)
        report.print_row(name, rows[name])
    name = "GET, 1 MiB back, 16 connections"
    rows[name] = bench.measure("downloads", 16, 1 << 20, DOWNLOADS, PEERS)
    report.print_row(name, rows[name])
    return rows


def run_fastcgi(bench):
    bench.start([fastcgi_proxies.Upgate, fastcgi_proxies.Nginx, fastcgi_proxies.Haproxy])
    rows = {}
    for name, kind, size in [("GET, 58 B back", "requests", 1), ("POST, 4 KiB there and back", "posts", POST_BYTES)]:
        rows[name] = bench.measure(kind, 64, size, REQUESTS // 2)
        report.print_row(name, rows[name])
    return rows


def run_upgrades(bench):
    bench.start([proxies.Relay, proxies.Upgate, proxies.Nginx, proxies.Haproxy])
    rows = {"64 at once": bench.measure("cycle", 64, 125, CYCLES, PEERS)}
    for name, row in rows.items():
        report.print_row(name, row)
    return rows


def run_latency(bench):
    """30 % and 70 % of what the slowest of them passes in a closed loop; the same for all."""
    bench.start([proxies.Direct, proxies.Relay, proxies.Upgate, proxies.Nginx, proxies.Haproxy])
    variants = ["direct"] + PEERS
    most = bench.measure("echo", 64, 125, 12000, PEERS)
    full = min(max(values["rate"]) for values in most.values() if values["rate"]) / 2        # a round trip passes twice
    rows = {}
    for name, connections, rate, seconds in [("500 a second, 8 connections", 8, 500, 2.0), ("30 %% load: %.0f k a second" % (0.3e-3 * full), 64, 0.3 * full, 1.0),
                                             ("70 %% load: %.0f k a second" % (0.7e-3 * full), 64, 0.7 * full, 1.0)]:
        rows[name] = bench.measure_latency(connections, 125, rate, seconds, variants)
        report.print_latency(name, rows[name])
    return rows


def run_scaling(bench):
    """CPU for the same work with one worker and with two, which share both cores with the load; and how evenly two share it."""
    bench.start([proxies.Upgate, proxies.UpgateTwo])
    one, two = bench.running if len(bench.running) == 2 else (None, None)
    wanted = ["upgate utf8", "upgate utf8, 2 workers"]
    rows = {}
    for name, kind, connections, size, total in [("echo 125 B, 64 connections", "echo", 64, 125, 24000),
                                                 ("GET, 58 B back, 64 connections", "requests", 64, 1, REQUESTS),
                                                 ("upgrade, echo, close", "cycle", 64, 125, CYCLES)]:
        rows[name] = bench.measure(kind, connections, size, total, wanted)
        report.print_row(name, rows[name])
    if two is not None and one is not None:
        ticks = two.shares()
        rows["shares"] = {"workers": [round(100 * t / max(1, sum(ticks)), 1) for t in ticks]}
        print("two workers share the work as %s %%" % " : ".join(map(str, rows["shares"]["workers"])))
    return rows


# ---- memory ----

def pss_of(pids):
    return memory_of(pids)[1]


class Peak:
    """The most that a process used while something went on."""

    def __init__(self, pids):
        self.pids, self.most, self.over = pids, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.over.wait(0.1):
            self.most = max(self.most, pss_of(self.pids))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def measure_memory(bench, kind, variant):
    """One fresh process, over its life: [(what, tunnels, bytes)], bytes over those at its start."""
    bench.start([kind])
    if not bench.running:
        return None
    proxy = bench.running[0]
    port, held = proxy.ports[variant], 0
    pids = proxy.processes()
    base = pss_of(pids)
    steps = [("start", 0, base)]

    def note(what):
        steps.append((what, held, pss_of(pids) - base))

    most = (proxies.limit_descriptors() - 200) // 2
    for count in [count for count in IDLE if count < most] + ([most] if most < IDLE[-1] else []):
        bench.load.ask("hold", port, count - held)
        held = count
        note("idle")
    bench.load.ask("stir", 65536, 256)
    note("idle after 64 KiB each way")
    with Peak(pids) as peak:
        for _ in range(4):
            bench.load.ask("stir", 4096)
    steps.append(("all busy with 4 KiB at the same time, most", held, max(peak.most, pss_of(pids)) - base))
    time.sleep(1)
    note("idle after that")
    bench.load.ask("drop", held - held // 3)
    held //= 3
    note("two thirds have ended")
    bench.load.ask("drop")
    held = 0
    time.sleep(1)
    note("all have ended")
    bench.stop()
    return steps


def run_memory(bench):
    kinds = [(proxies.Relay, "relay"), (proxies.Upgate, "upgate utf8"), (proxies.Nginx, "nginx"), (proxies.Haproxy, "haproxy")]
    rows = {}
    for kind, variant in kinds:
        row = measure_memory(bench, kind, variant)
        if row:
            rows[variant] = row
    report.print_memory(rows)
    return rows


PARTS = {"tunnels": run_tunnels, "requests": run_requests, "fastcgi": run_fastcgi, "upgrades": run_upgrades, "latency": run_latency,
         "scaling": run_scaling, "memory": run_memory}
