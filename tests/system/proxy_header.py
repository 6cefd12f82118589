"""The PROXY protocol as the tests speak it: written and read by code that shares nothing with the gateway's."""
import ipaddress
import struct

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v1(source, port=56324, destination="198.51.100.1", destination_port=443):
    family = "TCP6" if ":" in source else "TCP4"
    return ("PROXY %s %s %s %d %d\r\n" % (family, source, destination, port, destination_port)).encode()


def tlv(kind, value):
    return struct.pack(">BH", kind, len(value)) + value


def v2(source=None, port=56324, destination="198.51.100.1", destination_port=443, tlvs=b"", local=False):
    """source None: for nobody that is named."""
    block, family = b"", 0
    if source:
        packed = [ipaddress.ip_address(text).packed for text in (source, destination)]
        family = 0x21 if len(packed[0]) == 16 else 0x11
        block = b"".join(packed) + struct.pack(">HH", port, destination_port) + tlvs
    return SIGNATURE + struct.pack(">BBH", 0x20 if local else 0x21, family, len(block)) + block


def read_tlvs(data):
    found = {}
    while data:
        kind, size = struct.unpack(">BH", data[:3])
        if len(data) < 3 + size:
            raise ValueError("a TLV is cut: %r" % data)
        found[kind], data = data[3:3 + size], data[3 + size:]
    return found


def taken(conn, n):
    conn.wait_for(lambda unread: len(unread) >= n)
    return bytes(conn.take(n))


class Header:
    """A header that came: version, local, source and port, destination, destination_port, and the TLVs by their type."""

    def __init__(self, conn):
        self.version, self.local, self.source, self.port, self.tlvs, self.tls = 0, False, None, None, {}, None
        if taken(conn, 1) == b"P":
            self._read_line(conn)
        else:
            self._read_block(conn)

    def _read_line(self, conn):
        line = b"P"
        while not line.endswith(b"\r\n"):
            line += taken(conn, 1)
        words = line[:-2].decode().split(" ")
        self.version = 1
        if words[1] != "UNKNOWN":
            self.source, self.destination, self.port, self.destination_port = words[2], words[3], int(words[4]), int(words[5])

    def _read_block(self, conn):
        start = b"\r" + taken(conn, 15)
        command, family, size = struct.unpack(">BBH", start[12:])
        block = taken(conn, size)
        if start[:12] != SIGNATURE or command >> 4 != 2:
            raise ValueError("no header: %r" % start)
        self.version, self.local = 2, command == 0x20
        width = {0x11: 4, 0x21: 16}.get(family)
        if width is None:
            return
        self.source = str(ipaddress.ip_address(block[:width]))
        self.destination = str(ipaddress.ip_address(block[width:2 * width]))
        self.port, self.destination_port = struct.unpack(">HH", block[2 * width:2 * width + 4])
        self.tlvs = read_tlvs(block[2 * width + 4:])
        if 0x20 in self.tlvs:
            client, verify = struct.unpack(">BI", self.tlvs[0x20][:5])
            self.tls = {"client": client, "verify": verify, "tlvs": read_tlvs(self.tlvs[0x20][5:])}
