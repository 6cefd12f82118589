"""What the benchmarks share: the programs they build, the load program, and rounds of measurements that take turns."""
import os
import re
import subprocess
import sys

import proxies

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

PROGRAMS = {"upgate-bench": ["upgate_bench.c", "load.c", "clients.c", "messages.c", "latency.c", "origin.c", "echo.c", "secure.c", "net.c"],
            "relay": ["relay.c", "net.c"],
            "echo_server": ["echo_server.c", "echo.c", "net.c"], "few_threads": ["few_threads.c"]}
FURTHER = {"upgate-bench": ["-lssl", "-lcrypto"], "few_threads": ["-shared", "-fPIC", "-ldl"]}
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wstrict-prototypes", "-Wmissing-prototypes"]


def install(packages):
    """Debian packages, where they are missing and can be had; who needs one that is missing says so."""
    script = '. "$0" && for package; do need_packages "$package"; done'
    subprocess.run(["sh", "-c", script, os.path.join(ROOT, "interop", "install.sh"), *packages], check=False)


def memory_of(pids):
    """(Rss, Pss) in bytes, of all of them."""
    sums = {"Rss": 0, "Pss": 0}
    for pid in pids:
        with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as rollup:
            for name, kib in re.findall(r"^(Rss|Pss): +(\d+) kB", rollup.read(), re.M):
                sums[name] += int(kib) * 1024
    return sums["Rss"], sums["Pss"]


def compile_program(name, folder):
    """One of PROGRAMS; its path."""
    path = os.path.join(folder, name)
    subprocess.run([os.environ.get("CC", "cc")] + FLAGS + ["-I", ROOT] + [os.path.join(HERE, source) for source in PROGRAMS[name]] +
                   ["-o", path] + FURTHER.get(name, []), check=True)
    return path


def build(arguments, packages=()):
    """The programs to run: {"upgate": path, "upgate-bench": path, "relay": path, ...}. Peers that are to be measured come as packages."""
    install(["libssl-dev", *packages])
    folder = os.path.abspath(arguments.build)
    if not arguments.upgate:
        subprocess.run(["cmake", "--preset", "release", "-B", folder], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cmake", "--build", folder, "--target", "upgate"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    programs = {"upgate": os.path.abspath(arguments.upgate or os.path.join(folder, "upgate"))}
    os.makedirs(os.path.join(folder, "bench"), exist_ok=True)
    for name in PROGRAMS:
        programs[name] = compile_program(name, os.path.join(folder, "bench"))
    return programs


class Failed(Exception):
    """The proxy did not do its part."""


class Load:
    """upgate-bench: commands in, answers out."""

    def __init__(self, program, core, arguments=()):
        pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
        self.process = subprocess.Popen([program, "control", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
                                        preexec_fn=pin)
        words = self.process.stdout.readline().split()
        self.ports = dict(zip(words[0::2], map(int, words[1::2])))

    def ask(self, *words):
        self.say(*words)
        return self.hear()

    def say(self, *words):
        self.asked = " ".join(str(word) for word in words)
        self.process.stdin.write(self.asked + "\n")

    def hear(self):
        answer = self.process.stdout.readline()
        if not answer.startswith("ok "):
            raise Failed("%s: %s" % (self.asked, answer.strip() or "the load program ended"))
        return [float(word) for word in answer.split()[1:]]

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Bench:
    def __init__(self, arguments, programs, load_arguments=()):
        self.arguments, self.programs = arguments, programs
        cores = sorted(os.sched_getaffinity(0))
        self.proxy_core, self.load_core = (cores[0], cores[1]) if len(cores) > 1 else (None, None)
        self.load = Load(programs["upgate-bench"], self.load_core, load_arguments)
        self.running = []

    def start(self, kinds):
        for kind in kinds:
            try:
                self.running.append(kind(self.proxy_core, self.load.ports, self.programs))
            except proxies.CannotStart as error:
                print("left out: %s: %s" % (kind.__name__.lower(), error), file=sys.stderr)

    def stop(self):
        for proxy in self.running:
            proxy.stop()
        self.running = []

    def variants(self, wanted=None):
        return [(name, proxy, port) for proxy in self.running for name, port in proxy.ports.items() if wanted is None or name in wanted]

    def rounds(self, wanted):
        """Each round's variants, beginning with another one each time."""
        for number in range(self.arguments.rounds):
            order = self.variants(wanted)
            first = number % max(1, len(order))
            yield from order[first:] + order[:first]

    def measure(self, kind, connections, size, total, wanted=None, prepare=None, depth=1, binary=False):
        """prepare(proxy, port) comes before each measurement. {variant: {"cpu_us": [...], "rate": [...], "failed": n}}, one value per round;
        the rounds are interleaved."""
        rows = {name: {"cpu_us": [], "rate": [], "failed": 0} for name, _, _ in self.variants(wanted)}
        each = max(1, round(total * self.arguments.scale / connections))
        words = [depth] + (["binary"] if binary else [])
        for name, proxy, port in self.rounds(wanted):
            try:
                if prepare:
                    prepare(proxy, port)
                count, seconds, cpu = self.load.ask("measure", kind, proxy.pid, port, connections, size, each, *words)
            except Failed as error:
                print("%s: %s" % (name, error), file=sys.stderr)
                rows[name]["failed"] += 1
                continue
            rows[name]["cpu_us"].append(cpu * 1e6 / count)
            rows[name]["rate"].append(count / seconds)
        return rows

    def measure_latency(self, connections, size, rate, seconds, wanted=None):
        """{variant: {"p50": [...], "p99": [...], "p999": [...], "failed": n}} in microseconds."""
        rows = {name: {"p50": [], "p99": [], "p999": [], "failed": 0} for name, _, _ in self.variants(wanted)}
        for name, _, port in self.rounds(wanted):
            try:
                self.load.ask("ready", port, connections, size)
                found = self.load.ask("pace", max(1, round(rate)), max(0.2, seconds * self.arguments.scale))
                self.load.ask("drop")
            except Failed as error:
                print("%s: %s" % (name, error), file=sys.stderr)
                rows[name]["failed"] += 1
                continue
            for key, value in zip(["p50", "p99", "p999"], found[1:4]):
                rows[name][key].append(value)
        return rows
