"""TLS for the tests: certificates made with openssl when they are needed, and connections on which every byte is still the test's decision.

A TlsConn is a wire.Conn: what it sends goes into one record per send, what it receives is decrypted; `end` is "fin" after close_notify, and
"rst" for anything else, an end without close_notify included.
"""
import os
import select
import shutil
import socket
import ssl
import struct
import subprocess
import threading

import harness
import wire

NAME = "test.example"


def openssl(*arguments, **options):
    if not shutil.which("openssl"):
        raise harness.Skip("openssl is not installed")
    return subprocess.run(["openssl", *arguments], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60 * wire.SLOWNESS, **options)


class Authority:
    """Issues certificates into a folder."""

    def __init__(self, folder, name="ca", make=True):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.name = folder, name
        if not make:
            return
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj", "/CN=" + name,
                "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.path(name + ".key"), "-out", self.path(name + ".crt"))

    def path(self, name):
        return os.path.join(self.folder, name)

    @property
    def certificate(self):
        return self.path(self.name + ".crt")

    def issue(self, name, dns=(NAME,), ip=(), key="ec", subject=None, use=None, self_signed=False, expired=False):
        """NAME.crt and NAME.key; returns them as a configuration has them."""
        kind = {"ec": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"], "weak": ["rsa:1024"]}[key]
        names = ["DNS:" + n for n in dns] + ["IP:" + n for n in ip]
        with open(self.path(name + ".ext"), "w", encoding="ascii") as out:
            out.write("basicConstraints=CA:FALSE\n")
            if names:
                out.write("subjectAltName=%s\n" % ",".join(names))
            if use:
                out.write("extendedKeyUsage=%s\n" % use)
        openssl("req", "-newkey", *kind, "-nodes", "-subj", subject or "/CN=" + name, "-keyout", self.path(name + ".key"),
                "-out", self.path(name + ".csr"))
        common = ["-in", self.path(name + ".csr"), "-extfile", self.path(name + ".ext"), "-out", self.path(name + ".crt")]
        if expired:
            self._sign_for_the_past(common)
        elif self_signed:
            openssl("x509", "-req", *common, "-signkey", self.path(name + ".key"), "-days", "30")
        else:
            openssl("x509", "-req", *common, "-CA", self.certificate, "-CAkey", self.path(self.name + ".key"), "-CAcreateserial", "-days", "30")
        return self.pair(name)

    def _sign_for_the_past(self, common):
        """By `openssl ca`: `x509` takes no dates before OpenSSL 3.4, and no days below 1 since."""
        with open(self.path("index.txt"), "w", encoding="ascii"), open(self.path("ca.conf"), "w", encoding="ascii") as out:
            out.write("[ca]\ndefault_ca=past\n[past]\ndatabase=%s\nnew_certs_dir=%s\nrand_serial=yes\ndefault_md=sha256\npolicy=any\n"
                      "[any]\ncommonName=optional\n" % (self.path("index.txt"), self.folder))
        openssl("ca", "-batch", "-notext", "-config", self.path("ca.conf"), "-cert", self.certificate, "-keyfile", self.path(self.name + ".key"),
                "-startdate", "20200101000000Z", "-enddate", "20200201000000Z", *common)

    def pair(self, name):
        return {"certificate": self.path(name + ".crt"), "key": self.path(name + ".key")}


def client_context(ca=None, versions=None, alpn=None, certificate=None):
    """Of a client that verifies; without a CA one that does not."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        context.load_verify_locations(ca)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return prepared(context, versions, alpn, certificate)


def server_context(certificate, ca=None, versions=None, alpn=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if ca:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return prepared(context, versions, alpn, certificate)


def prepared(context, versions, alpn, certificate):
    if versions:
        context.minimum_version, context.maximum_version = versions
    if alpn:
        context.set_alpn_protocols(alpn)
    if certificate:
        context.load_cert_chain(certificate["certificate"], certificate["key"])
    return context


V12 = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
V13 = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3)


class TlsConn(wire.Conn):
    """TLS on a connected socket. The handshake is done when this returns, or raises ssl.SSLError, or OSError."""

    shape, shaped_bytes = "whole", 0     # the next so many bytes: "bytes" in records of their own, "cut" each a write of its own

    def __init__(self, sock, context, record=True, server=False, name=None, session=None, begin=True):
        super().__init__(sock, record)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server, server_hostname=name, session=session)
        self.lock = threading.Lock()     # a test may send in one thread and receive in another …
        self.sending = threading.Lock()  # … or send in two
        self.held = b""                  # encrypted, and not yet taken by the kernel
        self.said_goodbye = False
        if begin:
            self.handshake()

    def handshake(self):
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                self._receive()
            except ssl.SSLError:
                self._flush()
                raise
        self._flush()

    def _receive(self):
        data = self.sock.recv(65536)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()

    def _flush(self):
        with self.sending:               # records are numbered: they go in the order in which they were made
            with self.lock:
                data, self.held = self.held + self.outgoing.read(), b""
            self._send_out(data)

    def _send_out(self, data):
        cut = min(len(data), self.shaped_bytes) if self.shape == "cut" else 0
        self.shaped_bytes -= cut
        try:
            for i in range(cut):
                self.sock.sendall(data[i:i + 1])
            self.sock.sendall(data[cut:])
        except (BrokenPipeError, ConnectionResetError):
            if not cut:
                raise

    def send(self, *pieces):
        for piece in pieces:
            if not self.tls.version():
                break                    # the peer has ended it in the middle of the handshake: said to nobody, as it would be of TCP
            self._send_piece(memoryview(piece))
            self.count_sent += len(piece)
        return self

    def _send_piece(self, view):
        begun = False
        while len(view) > 0:
            alone = self.shape == "bytes" and self.shaped_bytes > 0
            self.shaped_bytes -= alone
            try:
                with self.lock:
                    view = view[self.tls.write(view[:1] if alone else view):]
                self._flush()
            except (BrokenPipeError, ConnectionResetError):
                if not begun:
                    raise
                return                   # of one that is sent at once, nobody would have seen that the rest was not wanted
            begun = alone

    def send_each_byte(self, data, pause=0.0):
        for i in range(len(data)):
            try:
                self.send(data[i:i + 1])
            except (OSError, ssl.SSLError):
                return i
        return len(data)

    def send_some(self, data, timeout=0.0):
        if not select.select([], [self.sock], [], timeout)[1]:
            return 0
        if not self.held:
            with self.lock:
                taken = self.tls.write(data[:16384])
                self.held = self.outgoing.read()
            self.count_sent += taken
        else:
            taken = 0
        try:
            self.held = self.held[self.sock.send(self.held, socket.MSG_DONTWAIT):]
        except BlockingIOError:
            pass
        return taken

    def finish(self):
        """close_notify, and a FIN behind it; to a peer that has gone already neither."""
        try:
            self._say_goodbye()
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return self

    def _say_goodbye(self):
        if self.said_goodbye:
            return
        self.said_goodbye = True
        self._decrypt()                  # unwrap looks for the peer's goodbye, and would drop what comes before it
        try:
            with self.lock:
                self.tls.unwrap()
        except (ssl.SSLError, OSError, ValueError):
            pass
        self._flush()

    def cut(self):
        """A FIN without close_notify."""
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        super().close()

    def close(self):
        if not self.closed:
            try:
                self.sock.setblocking(False)
                self._say_goodbye()
            except OSError:
                pass
        super().close()

    def fill(self, timeout):
        if self.end:
            return False
        if self._decrypt():
            return True
        if not select.select([self.sock], [], [], max(timeout, 0))[0]:
            return False
        try:
            data = self.sock.recv(262144, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except (ConnectionResetError, BrokenPipeError):
            self.end = "rst"
            return True
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()
        self._decrypt()
        return True

    def _decrypt(self):
        """Takes what is whole; True when there was something."""
        some = False
        while not self.end:
            try:
                with self.lock:
                    plain = self.tls.read(262144)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                plain = b""
            except (ssl.SSLEOFError, ssl.SSLError, OSError) as error:
                self.failure = error
                self.end = "rst"
                return True
            if not plain:
                self.end = "fin"
            some = True
            self.count_received += len(plain)
            if self.record:
                self.received += plain
            self.unread += plain
        return some


def connect(address, context, name=NAME, record=True, session=None, begin=True):
    """address: (host, port). A client's connection."""
    sock = socket.socket(socket.AF_INET)
    sock.settimeout(wire.DEADLINE)
    sock.connect(address)
    try:
        return TlsConn(sock, context, record, name=name, session=session, begin=begin)
    except BaseException:
        sock.close()
        raise
