"""What the benchmarks share: the programs they build, the load program, and rounds of measurements that take turns."""
import os
import subprocess
import sys

import proxies

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

PROGRAMS = {"load": ["load.c", "clients.c", "origin.c", "echo.c", "net.c"], "relay": ["relay.c", "net.c"],
            "echo_server": ["echo_server.c", "echo.c", "net.c"]}
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wstrict-prototypes", "-Wmissing-prototypes"]


def build(arguments):
    """The programs to run: {"upgate": path, "load": path, "relay": path}."""
    folder = os.path.abspath(arguments.build)
    if not arguments.upgate:
        subprocess.run(["cmake", "--preset", "release", "-B", folder], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["cmake", "--build", folder, "--target", "upgate"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    programs = {"upgate": os.path.abspath(arguments.upgate or os.path.join(folder, "upgate"))}
    os.makedirs(os.path.join(folder, "bench"), exist_ok=True)
    for name, sources in PROGRAMS.items():
        programs[name] = os.path.join(folder, "bench", name)
        subprocess.run([os.environ.get("CC", "cc")] + FLAGS + ["-I", ROOT] + [os.path.join(HERE, s) for s in sources] +
                       ["-o", programs[name]], check=True)
    return programs


class Failed(Exception):
    """The proxy did not do its part."""


class Load:
    """The load program: commands in, answers out."""

    def __init__(self, program, core):
        pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, preexec_fn=pin)
        words = self.process.stdout.readline().split()
        self.ports = dict(zip(words[0::2], map(int, words[1::2])))

    def ask(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        answer = self.process.stdout.readline()
        if not answer.startswith("ok "):
            raise Failed("%s: %s" % (" ".join(str(word) for word in words), answer.strip() or "the load program ended"))
        return [float(word) for word in answer.split()[1:]]

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Bench:
    def __init__(self, arguments, programs):
        self.arguments, self.programs = arguments, programs
        cores = sorted(os.sched_getaffinity(0))
        self.proxy_core, load_core = (cores[0], cores[1]) if len(cores) > 1 else (None, None)
        self.load = Load(programs["load"], load_core)
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

    def measure(self, kind, connections, size, total, wanted=None):
        """{variant: {"cpu_us": [...], "rate": [...], "failed": n}}, one value per round; the rounds are interleaved."""
        rows = {name: {"cpu_us": [], "rate": [], "failed": 0} for name, _, _ in self.variants(wanted)}
        each = max(1, round(total * self.arguments.scale / connections))
        for number in range(self.arguments.rounds):
            order = self.variants(wanted)
            for name, proxy, port in order[number % len(order):] + order[:number % len(order)]:
                try:
                    count, seconds, cpu = self.load.ask("measure", kind, proxy.pid, port, connections, size, each)
                except Failed as error:
                    print("%s: %s" % (name, error), file=sys.stderr)
                    rows[name]["failed"] += 1
                    continue
                rows[name]["cpu_us"].append(cpu * 1e6 / count)
                rows[name]["rate"].append(count / seconds)
        return rows
