"""A service manager's side of sd_notify: a datagram socket, and what was told to it."""
import select
import socket
import time

from wire import DEADLINE, Late


class Manager:
    def __init__(self, path):
        """path: a name in the file system, or an abstract one that begins with @."""
        self.name = path
        self.told = []                                   # (sender's pid, {name: value}) in the order of arrival
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind("\0" + path[1:] if path.startswith("@") else path)

    def environment(self, watchdog_ms=0):
        return {"NOTIFY_SOCKET": self.name, **({"WATCHDOG_USEC": str(watchdog_ms * 1000)} if watchdog_ms else {})}

    def next(self, deadline=None):
        if not select.select([self.socket], [], [], deadline or DEADLINE)[0]:
            raise Late("the manager was told nothing more; before: %r" % self.told[-4:])
        data, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(12))
        sender = int.from_bytes(ancillary[0][2][:4], "little") if ancillary else 0
        self.told.append((sender, dict(line.split("=", 1) for line in data.decode().splitlines())))
        return self.told[-1]

    def wait(self, **due):
        """The next one that has these values (True: any); those before it are passed over."""
        limit = time.monotonic() + DEADLINE
        while True:
            sender, lines = self.next(max(0.01, limit - time.monotonic()))
            if all(lines.get(k) == v or (v is True and k in lines) for k, v in due.items()):
                return sender, lines

    def close(self):
        self.socket.close()
