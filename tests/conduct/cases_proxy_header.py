"""D1: the client's real address survives a load balancer that speaks the PROXY protocol, and nobody's invention passes for it.

The sections are those of HAProxy's "The PROXY protocol". The front demands a header (`listener="behind"`), which is a matter of configuration.
"""
import socket
import struct

from model import backend_never, backend_tokens, case, client_never, closed, expectation, kept, request, response, status, statuses

HOST = "conduct.example"
FINE = response(200, b"ok")
LIE = "6.6.6.6"
REAL = "203.0.113.9"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V4 = socket.inet_pton(socket.AF_INET, REAL) + socket.inet_pton(socket.AF_INET, "198.51.100.1") + struct.pack(">HH", 56324, 443)
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::9") + socket.inet_pton(socket.AF_INET6, "2001:db8::1") + struct.pack(">HH", 56324, 443)


def block(command, family, data):
    return SIGNATURE + struct.pack(">BBH", command, family, len(data)) + data


def sent(*fields):
    return request("GET", "/", fields, host=HOST)


def told(name, section, header, client, *fields, chain=()):
    """Behind this header the backend is told of this client, and of nobody that the client made up."""
    case("proxy-" + name, "D1", section, header + sent(*fields), [FINE], status(200), backend_tokens("X-Forwarded-For", *chain, client),
         kept(), listener="behind", only="upgate")


def refused(name, section, *pieces):
    """Closed, without a byte to the client or a request to the backend."""
    silent = expectation(lambda seen, strict: "bytes came before a good header: %r" % seen.client_raw[:40] if seen.client_raw else None)
    case("proxy-" + name, "D1", section, b"".join(pieces) + sent(), [FINE], silent, closed(), statuses(), backend_never(b"GET / "),
         listener="behind", only="upgate", responses=0)


told("v1-tcp4", "PROXY 2.1", b"PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n", REAL)
told("v1-tcp6", "PROXY 2.1", b"PROXY TCP6 2001:db8::9 2001:db8::1 56324 443\r\n", "2001:db8::9")
told("v1-unknown", "PROXY 2.1", b"PROXY UNKNOWN ffff:: ffff:: 1 2\r\n", "127.0.0.1")
told("v2-inet", "PROXY 2.2", block(0x21, 0x11, V4), REAL)
told("v2-inet6", "PROXY 2.2", block(0x21, 0x21, V6), "2001:db8::9")
told("v2-tlvs", "PROXY 2.2.7", block(0x21, 0x11, V4 + b"\x02\0\x06a.test\x04\0\x02..\xee\0\0"), REAL)
told("v2-local", "PROXY 2.2", block(0x20, 0x11, V4), "127.0.0.1")
told("v2-unspec", "PROXY 2.2", block(0x21, 0, b"anything"), "127.0.0.1")
told("v1-spoofed-field", "PROXY 4", b"PROXY TCP4 203.0.113.9 198.51.100.1 56324 443\r\n", REAL, ("X-Forwarded-For", LIE), ("X-Real-IP", LIE))
told("v2-unspec-spoofed-field", "PROXY 4", block(0x21, 0, b""), "127.0.0.1", ("X-Forwarded-For", LIE))
told("v2-local-field", "PROXY 4", block(0x20, 0, b""), "127.0.0.1", ("X-Forwarded-For", REAL), chain=(REAL,))
case("proxy-pipelined", "D1", "PROXY 2", b"PROXY TCP4 203.0.113.9 198.51.100.1 1 2\r\n" + sent() + sent(), [FINE, FINE], statuses(200, 200),
     backend_tokens("X-Forwarded-For", REAL), backend_tokens("X-Forwarded-For", REAL, number=1), responses=2, listener="behind", only="upgate")
case("proxy-second-header", "D1", "PROXY 2", b"PROXY TCP4 203.0.113.9 198.51.100.1 1 2\r\nPROXY TCP4 6.6.6.6 198.51.100.1 1 2\r\n" + sent(), [FINE],
     status(400), closed(), backend_never(LIE.encode(), b"GET / "), listener="behind", only="upgate")
case("proxy-header-where-none-is-due", "D1", "PROXY 2", b"PROXY TCP4 6.6.6.6 198.51.100.1 1 2\r\n" + sent(), [FINE],
     status(400), closed(), backend_never(LIE.encode(), b"GET / "), client_never(b"ok"), listener="trusted", only="upgate")

refused("none", "PROXY 2", b"")
refused("v1-bare-lf", "PROXY 2.1", b"PROXY TCP4 203.0.113.9 198.51.100.1 1 2\n")
refused("v1-two-blanks", "PROXY 2.1", b"PROXY TCP4  203.0.113.9 198.51.100.1 1 2\r\n")
refused("v1-leading-zero", "PROXY 2.1", b"PROXY TCP4 203.0.113.9 198.51.100.1 01 2\r\n")
refused("v1-other-family", "PROXY 2.1", b"PROXY TCP4 2001:db8::9 2001:db8::1 1 2\r\n")
refused("v1-too-long", "PROXY 2.1", b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n")
refused("v2-version-3", "PROXY 2.2", block(0x31, 0x11, V4))
refused("v2-command-2", "PROXY 2.2", block(0x22, 0x11, V4))
refused("v2-family-4", "PROXY 2.2", block(0x21, 0x41, V4))
refused("v2-short", "PROXY 2.2", block(0x21, 0x11, V4[:-1]))
refused("v2-cut-tlv", "PROXY 2.2.7", block(0x21, 0x11, V4 + b"\x02\0\x09abc"))
refused("v2-wrong-checksum", "PROXY 2.2.4", block(0x21, 0x11, V4 + b"\x03\0\x04abcd"))
