"""The FastCGI applications of interop/fcgi as peers of a test: started in its folder, ended behind it, and skipped where they can't run."""
import hashlib
import os
import sys

from harness import Skip, check, same

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "interop", "fcgi"))

import launch  # noqa: E402

BLOCK = bytes(i % 251 for i in range(65536))


def peer(t, name, tcp=False):
    folder = t.path("peer-%d" % len(t.cleanups))
    os.mkdir(folder)
    try:
        started = launch.start(name, folder, tcp=tcp, programs=os.path.dirname(t.binary))
    except launch.Missing as reason:
        raise Skip(str(reason)) from None
    t.on_exit(lambda: end(started))
    return started


def end(started):
    """It has to be alive still, whatever was done to it."""
    alive = started.is_running()
    started.stop()
    check(alive, "%s had ended by itself: %s", started.name, started.logged()[-1000:])


def large(n):
    """What /large?n= gives."""
    return (BLOCK * (n // len(BLOCK) + 1))[:n]


def same_bytes(seen, due, what):
    same((len(seen), hashlib.sha1(seen).hexdigest()), (len(due), hashlib.sha1(due).hexdigest()), what)
