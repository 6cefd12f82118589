"""Network namespaces for a test: a hub, and nodes around it, each with an address and a link of its own that can be cut.

Nothing of it has a name outside the test: it lives as long as the test's process and the programs in it. It takes the right to make
namespaces and links (root); without it the test is skipped and says so.
"""
import contextlib
import ctypes
import os
import shutil
import subprocess
import threading

from harness import Skip

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def enter(fd):
    """This thread, and what it starts from now on, is in that namespace."""
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def new_namespace():
    """A descriptor of a new one; this thread stays where it is."""
    made = []

    def make():
        if libc.unshare(CLONE_NEWNET) == 0:
            made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if not made:
        raise Skip("network namespaces are not allowed here")
    return made[0]


class Place:
    """A namespace."""

    def __init__(self):
        self.fd = new_namespace()

    def command(self, arguments):
        """A command line that runs there."""
        return ["nsenter", "--net=/proc/%d/fd/%d" % (os.getpid(), self.fd)] + list(arguments)

    def run(self, *arguments):
        done = subprocess.run(self.command(arguments), capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise Skip("links between namespaces can't be made here: %s" % done.stderr.strip())

    @contextlib.contextmanager
    def inside(self):
        """Sockets that this thread makes meanwhile are there."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        enter(self.fd)
        try:
            yield
        finally:
            enter(home)
            os.close(home)


class Node(Place):
    def __init__(self, hub, number, addresses):
        super().__init__()
        self.hub, self.link, self.address = hub, "n%d" % number, addresses[0]
        hub.run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", "/proc/%d/fd/%d" % (os.getpid(), self.fd))
        hub.run("ip", "link", "set", self.link, "master", "hub", "up")
        self.run("ip", "link", "set", "lo", "up")
        for address in addresses:
            self.run("ip", "address", "add", address + "/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")

    def cut(self):
        """Nothing arrives any more, and nobody is told."""
        self.hub.run("ip", "link", "set", self.link, "down")

    def mend(self):
        self.hub.run("ip", "link", "set", self.link, "up")


class Hub(Place):
    """One network, 10.77.0.0/24, with nodes."""

    def __init__(self):
        if not shutil.which("nsenter") or not shutil.which("ip"):
            raise Skip("nsenter or ip is not installed (util-linux, iproute2)")
        super().__init__()
        self.nodes = 0
        self.run("ip", "link", "add", "hub", "type", "bridge")
        self.run("ip", "link", "set", "hub", "up")

    def node(self, *last):
        self.nodes += 1
        return Node(self, self.nodes, ["10.77.0.%d" % number for number in last])
