#!/usr/bin/python3
"""Tries the running demo from outside: one request and one conversation through the gateway. Standard library only.

Prints what was seen, one line each; exits 0 when all of it is as it should be, 1 with a sentence at the first thing
that is not.
"""
import argparse
import http.client
import json
import os
import sys
import time

from raw_websocket import RawWebSocket, WebSocketError

TIMEOUT = 10


class Wrong(Exception):
    pass


def require(good, sentence, *facts):
    if not good:
        raise Wrong(sentence % facts)


def say(what, seen):
    print("  %-26s %s" % (what, seen), flush=True)


def request(host, port, path, method="GET", body=None):
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def check_page(host, port):
    response, body = request(host, port, "/")
    require(response.status == 200 and b"<title>Upgate demo</title>" in body, "GET / was answered with %d", response.status)
    require(response.getheader("Via"), "the answer has no Via: it did not come through the gateway")
    say("GET /", "%d, %d bytes, Via: %s" % (response.status, len(body), response.getheader("Via")))


def check_headers(host, port, fastcgi):
    response, body = request(host, port, "/headers")
    lines = body.decode().splitlines()
    require(response.status == 200 and lines[0] == "GET /headers HTTP/1.1", "GET /headers: %d", response.status)
    seen = ("gateway_interface:", "server_software:", "remote_addr:") if fastcgi else ("via:", "x-forwarded-")
    facts = [line for line in lines[1:] if line.lower().startswith(seen)]
    require(not fastcgi or "GATEWAY_INTERFACE: CGI/1.1" in facts, "the application was not asked over FastCGI: %s", lines)
    say("the app saw", "; ".join(facts) or "nothing of the gateway")


def check_upload(host, port):
    body = os.urandom(1 << 20)
    response, answer = request(host, port, "/upload", "POST", body)
    require(response.status == 200 and json.loads(answer)["bytes"] == len(body), "POST /upload: %d %r", response.status, answer)
    say("POST /upload", "%d, %d bytes arrived" % (response.status, json.loads(answer)["bytes"]))


def echo(socket, data):
    started = time.monotonic()
    socket.send(data)
    answer = socket.receive()
    require(answer == data, "the echo of a message differs")
    return (time.monotonic() - started) * 1000


def check_echo(host, port):
    socket = RawWebSocket(host, port, "/echo", ["echo"], TIMEOUT)
    require(socket.subprotocol == "echo", "the subprotocol is %s", socket.subprotocol)
    say("WebSocket /echo", "101, subprotocol %s" % socket.subprotocol)
    say("text, echoed", "%.2f ms" % echo(socket, "Grüße through the gateway 🚪"))
    say("1 MiB binary, echoed", "%.2f ms" % echo(socket, os.urandom(1 << 20)))
    started = time.monotonic()
    socket.ping(b"still there?")
    say("ping, answered", "%.2f ms" % ((time.monotonic() - started) * 1000))
    code = socket.close(4000, "checked")
    require(code == 4000, "the Close came back with %d", code)
    say("Close 4000, answered", code)


def expect(socket, **wanted):
    """Reads messages until one holds what is wanted; a bounded number."""
    for _ in range(20):
        message = json.loads(socket.receive() or "{}")
        if all(message.get(name) == value for name, value in wanted.items()):
            return message
    raise Wrong("the room did not say %s" % wanted)


def check_chat(host, port):
    ann = RawWebSocket(host, port, "/chat?nick=ann", ["chat"], TIMEOUT)
    bob = RawWebSocket(host, port, "/chat?nick=bob", ["chat"], TIMEOUT)
    expect(ann, type="joined", nick="bob")
    bob.send("hello ann")
    heard = expect(ann, type="said", nick="bob")
    require(heard["text"] == "hello ann", "ann heard %s", heard)
    bob.close()
    expect(ann, type="left", nick="bob")
    ann.close()
    say("WebSocket /chat", "ann heard bob join, say “%s”, and leave" % heard["text"])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gateway", metavar="ADDRESS:PORT")
    parser.add_argument("--fastcgi", action="store_true", help="the pages have to come from a FastCGI application")
    arguments = parser.parse_args()
    host, _, port = arguments.gateway.rpartition(":")
    host, port = host.strip("[]"), int(port)
    try:
        check_page(host, port)
        check_headers(host, port, arguments.fastcgi)
        for check in (check_upload, check_echo, check_chat):
            check(host, port)
    except (Wrong, WebSocketError, OSError, http.client.HTTPException, ValueError) as error:
        print("  WRONG: %s: %s" % (type(error).__name__, error), flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
