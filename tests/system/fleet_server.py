#!/usr/bin/python3
"""A server behind the fleet: fleet_server.py NAME ADDRESS HTTP_PORT FCGI_PORT. It says by HTTP, over WebSockets and by FastCGI who it is, and
what it was told of the client. It prints a line when it listens, and runs until it is killed."""
import json
import socket
import sys
import threading

import fcgi
import frames
from messages import read_request, response
from wire import Conn

FOREVER = 3600


def told(name, forwarded, real, cookie):
    return json.dumps({"server": name, "forwarded": forwarded, "real": real, "cookie": cookie}).encode()


def talk(conn):
    """Echoes text until the Close."""
    while (frame := frames.read_frame(conn, FOREVER)) is not None and frame.opcode != frames.CLOSE:
        if frame.opcode in (frames.TEXT, frames.PING):
            conn.send(frames.frame(frames.TEXT if frame.opcode == frames.TEXT else frames.PONG, frame.payload, mask=False))
    conn.send(frames.frame(frames.CLOSE, frames.close_payload(1000), mask=False))


def http(conn, name):
    while (seen := read_request(conn, FOREVER)) is not None:
        if seen.get("Upgrade"):
            conn.send(frames.switch(frames.accept_for(seen.get("Sec-WebSocket-Key")), [("X-Server", name)]))
            talk(conn)
            return
        conn.send(response(200, told(name, seen.get("X-Forwarded-For"), seen.get("X-Real-IP"), seen.get("Cookie"))))


def fastcgi(conn, name):
    server = fcgi.Server(conn)
    while (request := server.step(FOREVER)) is not None:
        if not request.body_over:
            continue
        params = request.params
        conn.send(fcgi.answer(told(name, params.get("HTTP_X_FORWARDED_FOR"), params["REMOTE_ADDR"], params.get("HTTP_COOKIE")), request=request.id))
        del server.open[request.id]
        if not request.keep:
            return


def quietly(handler, sock, name):
    conn = Conn(sock, False)
    try:
        handler(conn, name)
    except (OSError, ValueError, EOFError):
        pass                             # the other side is gone
    finally:
        conn.close()


def serve(listener, handler, name):
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=quietly, args=(handler, sock, name), daemon=True).start()


def main():
    name, address = sys.argv[1:3]
    listeners = [socket.create_server((address, int(port))) for port in sys.argv[3:5]]
    threading.Thread(target=serve, args=(listeners[1], fastcgi, name), daemon=True).start()
    print("listening", flush=True)
    serve(listeners[0], http, name)


if __name__ == "__main__":
    main()
