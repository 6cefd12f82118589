"""The same tests over TLS: in front of the gateway (its clients speak it), behind it (its servers do), or both: run --tls.

`begin` is called once, before the tests are forked: it makes the certificates. In each test's process `wear` then sees to it that
whatever the test connects or accepts speaks TLS, and `dress` that the configuration says so; the test itself knows nothing of it.
Versions and record shapes are drawn by the test's name, so that a test does the same each time:

    whole    what the test sends at once is one record (up to 16 KiB)
    bytes    each byte is a record of its own
    cut      the records are whole, and reach the gateway byte by byte
"""
import atexit
import fnmatch
import os
import shutil
import ssl
import tempfile
import zlib

import tls
import wire

SIDES = {"client": ("client",), "server": ("server",), "both": ("client", "server")}
VERSIONS = (tls.V12, tls.V13)
SHAPES = ("whole", "bytes", "cut")
SHAPED_BYTES = 8000                      # of a connection; what is behind them comes as it is

# What means nothing, or something else, over TLS: (names, side, why).
LEFT_OUT = [
    ("tls*.*", "client server", "is about TLS itself"),
    ("passthrough*.*", "client server", "is about TLS that is not decrypted"),
    ("proxy_*.*", "client server", "what is said before the handshake is said in clear text, by tests of its own"),
    ("*.the_client_of_a_proxy_header_*", "client", "what is said before the handshake is said in clear text, by tests of its own"),
    ("answers.503_past_the_connection_limit_*", "client", "its client would wait in the middle of its handshake"),
    ("abuse.endless_chunk_extensions_*", "server", "its server accepts nobody"),
    ("abuse.10000_garbage_connections", "client", "ten thousand handshakes take too long"),
    ("abuse.2000_tunnels_*", "client server", "ten thousand handshakes take too long"),
    ("basic_auth.*_told_of_tls", "client", "is about clear text beside TLS"),
    ("reload.a_kept_connection_to_a_server_lives_on", "server", "files of a reload may trust others: what is kept over TLS is not kept on"),
    ("admin.no_route_leads_to_it", "server", "the server of its route speaks clear text"),
    ("admin.status_tells_*", "client", "says that its listener speaks clear text"),
    ("sandbox.*", "client server", "has configurations of its own"),
    ("docs.*", "client server", "is about the guide"),
    ("drain.thousands_of_*", "client server", "thousands of handshakes take too long"),
    ("examples.*", "client server", "has configurations of its own"),
    ("fleet.*", "client server", "has configurations of its own"),
    ("handover.*", "client server", "has configurations of its own"),
    ("health.*", "client server", "its servers are processes of their own"),
    ("cli.*", "client server", "is about the command line"),
    ("fcgi_tool*.*", "client server", "is about the command line's own client"),
    ("syscalls.*", "client server", "counts the system calls of clear text"),
    ("browser.*", "client server", "has programs at its ends"),
    ("python_websockets.*", "client server", "has programs at its ends"),
    ("*peers.*", "client server", "has programs at its ends"),
    ("programs.*", "client server", "has programs at its ends"),
]


class Veil:
    """What one process speaks."""

    def __init__(self, folder, sides, shape, name):
        self.authority = tls.Authority(folder, make=False)
        self.sides, self.shape = sides, shape
        self.draw = zlib.crc32(name.encode())
        self.server_version = VERSIONS[self.draw // 2 % 2]
        self.contexts = {version: (tls.client_context(self.authority.certificate, version),
                                   tls.server_context(self.authority.pair("server"), versions=version)) for version in VERSIONS}

    def connected(self, sock, record):
        if "client" not in self.sides:
            return wire.Conn(sock, record)
        self.draw += 1                   # clients of both versions; a server stays what it is
        return self.shake(self._made(sock, VERSIONS[self.draw % 2], 0, record, name=tls.NAME))

    def accepted(self, sock, record, begin=True):
        if "server" not in self.sides:
            return wire.Conn(sock, record)
        conn = self._made(sock, self.server_version, 1, record, server=True)
        return self.shake(conn) if begin else conn

    def _made(self, sock, version, end, record, **options):
        conn = tls.TlsConn(sock, self.contexts[version][end], record, begin=False, **options)
        conn.shape, conn.shaped_bytes = self.shape, SHAPED_BYTES
        return conn

    @staticmethod
    def shake(conn):
        """The handshake is done, or the connection has ended in the middle of it."""
        try:
            if isinstance(conn, tls.TlsConn):
                conn.handshake()
        except (ConnectionResetError, BrokenPipeError):
            conn.end = "rst"
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            conn.end = "fin"
        return conn

    def dress(self, config):
        """The configuration, with TLS where it says nothing of it."""
        out = dict(config)
        if "client" in self.sides and out.get("listeners"):
            out["listeners"] = [self._listener(l) for l in out["listeners"]]
        if "server" in self.sides and out.get("upstreams"):
            out["upstreams"] = {name: self._upstream(u) for name, u in out["upstreams"].items()}
        return out

    def _listener(self, listener):
        listener = {"address": listener} if isinstance(listener, str) else listener
        return merged_under({"tls": {"certificates": [self.authority.pair("site")]}}, listener)

    def _upstream(self, upstream):
        return merged_under({"tls": {"ca": self.authority.certificate, "server_name": tls.NAME}}, upstream)


def merged_under(base, over):
    return dict(base, **over)


def begin(side, shape):
    """For all tests of a run: certificates, and what the tests' processes are to know."""
    folder = tempfile.mkdtemp(prefix="upgate-over-tls-")
    atexit.register(shutil.rmtree, folder, True)
    ca = tls.Authority(folder)
    ca.issue("site")
    ca.issue("server")
    os.environ["UPGATE_TEST_TLS"] = "%s %s %s" % (side, shape, folder)


def from_environment(name):
    """The veil that `begin` asked for, or None."""
    text = os.environ.get("UPGATE_TEST_TLS")
    if not text:
        return None
    side, shape, folder = text.split(" ", 2)
    return Veil(folder, SIDES[side], shape, name)


def why_left_out(name, sides):
    for pattern, where, why in LEFT_OUT:
        if fnmatch.fnmatch(name, pattern) and set(sides) & set(where.split()):
            return why
    return None


def wear(name):
    """In a test's process: returns the veil, or None. A test that is left out raises Skip."""
    import harness
    veil = from_environment(name)
    why = why_left_out(name, veil.sides) if veil else None
    if why:
        raise harness.Skip("over TLS: " + why)
    wire.veil = veil
    return veil
