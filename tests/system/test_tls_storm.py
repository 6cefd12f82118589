"""A storm of new clients, each with a full TLS handshake, over open tunnels: none is lost, none waits long, nothing is left behind.

The clients are those of the benchmark (tests/bench/load.c), in two processes: one keeps tunnels and sends messages on them at a steady rate, the
other makes the storm. UPGATE_STORM says how many handshakes (1000); tests/bench/tls measures what is only bounded here.
"""
import os
import shutil
import statistics
import subprocess
import sys
import threading

import tls
from harness import Skip, check, same
from wire import SLOWNESS, wait_until

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench"))

HANDSHAKES = int(os.environ.get("UPGATE_STORM", "1000"))
TUNNELS, MESSAGE_BYTES, RATE = 100, 64, 200      # half of the tunnels in clear text
AT_ONCE = 32
# What messages may wait at the median of a second's, in most seconds of the storm. A loop that makes the handshakes itself is over it.
FACTOR, ALLOWANCE_US = 10, 3000 * SLOWNESS
GROWTH_BYTES = 24 << 20                          # of memory, from the first quarter of the storm to its end


def load(t, *arguments):
    import bench
    process = bench.Load(t.load_program, None, arguments)
    t.on_exit(process.stop)
    return process


def build_load(t):
    import bench
    if not shutil.which("cc") or not os.path.exists("/usr/include/openssl/ssl.h"):
        raise Skip("the load program needs cc and libssl-dev")
    try:
        t.load_program = bench.compile_program("upgate-bench", t.folder)
    except subprocess.CalledProcessError as error:
        raise Skip("the load program cannot be built: %s" % error) from error


class Storm:
    """So many visits, some at once; the thread waits for the answer."""

    def __init__(self, process, gateway, port, version, count):
        self.process, self.answer = process, None
        process.ask("clients", version)
        process.say("measure", "visits", gateway.process.pid, port, AT_ONCE, 1, count // AT_ONCE)
        self.thread = threading.Thread(target=self.wait)
        self.thread.start()

    def wait(self):
        try:
            self.answer = self.process.hear()
        except Exception as error:
            self.answer = error

    @property
    def over(self):
        return not self.thread.is_alive()

    def end(self, count):
        self.thread.join()
        check(isinstance(self.answer, list), "the storm: %s", self.answer)
        same(int(self.answer[0]), count // AT_ONCE * AT_ONCE, "handshakes")


def paced(tunnels, seconds=1):
    """The median of what messages took, in microseconds; all have to come back."""
    answer = tunnels.ask("pace", RATE, seconds)
    same((int(answer[0]), int(answer[-1])), (int(RATE * seconds), 0), "(echoes, lost tunnels)")
    return answer[1]


def test_tunnels_outlast_a_storm_of_handshakes(t):
    t.needs_speed()
    build_load(t)
    tunnels, stormer = load(t), load(t)
    certificate = tls.Authority(t.path("ca")).issue("site")
    gateway = t.gateway(workers=1, listeners=[{"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0", "tls": {"certificates": [certificate]}}],
                        log={"access": {"format": "off"}}, upstreams={"app": {"servers": ["127.0.0.1:%d" % tunnels.ports["origin"]]}},
                        routes=[{"match": {"path": "/echo"}, "upstream": "app"}])
    clear, secure = [gateway.address(i)[1] for i in range(2)]
    tunnels.ask("clients", "1.3")
    tunnels.ask("ready", secure, TUNNELS // 2, MESSAGE_BYTES)
    tunnels.ask("clients", "clear")
    same(int(tunnels.ask("ready", clear, TUNNELS // 2, MESSAGE_BYTES)[0]), TUNNELS, "tunnels")
    at_rest = paced(tunnels, 2)
    descriptors, sizes, medians = gateway.descriptors(), [], []

    for version, count in [("1.3", HANDSHAKES // 4), ("1.2", HANDSHAKES // 4), ("1.3", HANDSHAKES // 2)]:
        storm = Storm(stormer, gateway, secure, version, count)
        while not storm.over:
            medians.append(paced(tunnels))
        storm.end(count)
        sizes.append(gateway.rss_bytes())
    check(statistics.median(medians) <= FACTOR * at_rest + ALLOWANCE_US, "messages took %.0f us at rest, and in the storm %r", at_rest, medians)
    check(sizes[-1] - sizes[0] <= GROWTH_BYTES, "memory grew with the storm: %r", sizes)
    wait_until(lambda: gateway.descriptors() <= descriptors, what="all descriptors of the storm closed")
    paced(tunnels)
    tunnels.ask("drop")
