"""TLS by others, at both ends: certificates of the test's own, clients and servers of Python's ssl and of programs.

A client here verifies the certificate of the server that answers, so that a good handshake says which server that was.
"""
import os
import shutil
import socket
import ssl
import subprocess

from harness import Skip, check
from wire import DEADLINE


def need(*programs):
    for program in programs:
        if not (shutil.which(program) or os.access("/usr/sbin/" + program, os.X_OK)):
            raise Skip("%s is not installed" % program)


class Certificate:
    """A self-signed one for these names: `certificate` and `key` are files, `both` is one with the two."""

    def __init__(self, t, *names):
        need("openssl")
        base = t.path(names[0].replace("*", "_"))
        self.names, self.certificate, self.key, self.both = names, base + ".crt", base + ".key", base + ".pem"
        done = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
             "-keyout", self.key, "-out", self.certificate, "-subj", "/CN=" + names[0],
             "-addext", "subjectAltName=" + ",".join("DNS:" + name for name in names)],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        check(done.returncode == 0, "openssl req: %s", done.stderr)
        with open(self.both, "w", encoding="ascii") as both:
            for path in (self.certificate, self.key):
                with open(path, encoding="ascii") as part:
                    both.write(part.read())

    def server_context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client_context(self, alpn=()):
        """Trusts this certificate and no other."""
        context = ssl.create_default_context(cafile=self.certificate)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


def echo_server(t, certificate):
    """A TLS server that sends back what it gets, and its end; its backend listener."""
    context = certificate.server_context()

    def serve(conn):
        with context.wrap_socket(conn.sock, server_side=True) as tls:
            while data := tls.recv(65536):
                tls.sendall(data)
            tls.unwrap()
    return t.backend().serve(serve, record=False)


def connect(address, name, context):
    """A TLS client's socket, its handshake done and the server's certificate verified for the name."""
    plain = socket.create_connection(address, DEADLINE)
    if name is None:
        context.check_hostname = False
    return context.wrap_socket(plain, server_hostname=name)


def ask(tls, data):
    """Sends a little, and reads as many bytes back."""
    got = b""
    tls.sendall(data)
    while len(got) < len(data):
        piece = tls.recv(65536)
        check(piece, "ended after %d of %d bytes", len(got), len(data))
        got += piece
    return got


class Handshake:
    """A client without a socket: what it would send, byte for byte."""

    def __init__(self, name, context):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def step(self, data=b""):
        """Takes what came; gives what is to be sent, and whether the handshake is done."""
        self.incoming.write(data)
        try:
            self.tls.do_handshake()
            done = True
        except ssl.SSLWantReadError:
            done = False
        return self.outgoing.read(), done


def hello(name):
    """The first bytes of a real client that wants this server; None: without a name."""
    context = ssl.create_default_context()
    if name is None:
        context.check_hostname = False
    return Handshake(name, context).step()[0]
