"""Real peers and what the gateway does by itself: text checked on its way, Pings, and the ends it announces.

The plain echoes of these programs are in test_programs.py; here the tunnel verifies UTF-8, pings often, and ends in its own ways.
"""
import os

import harness
from endpoints import Reader
from frames import BINARY, TEXT, accept_for, frame, switch
from harness import MIB, Log, Skip, check, same
from messages import read_head
from test_programs import PEERS, Program, curl, peer, talk
from wire import SLOWNESS

CLIENTS = ["ws_python_client.py", "ws_node_client.js"]
SERVERS = ["ws_python_server.py", "ws_node_server.js", "demo_ws_app"]
SIZES = [
    "--text",
    "0",
    "--text",
    "1",
    "--text",
    "125",
    "--text",
    "126",
    "--text",
    "65535",
    "--text",
    "65536",
    "--binary",
    "0",
    "--binary",
     "70000"]
INTERVAL = 300 * SLOWNESS                # for silent peers; one that masks or deflates 16 MiB answers no Ping meanwhile
WATCHED = {"verify": "utf8", "ping_interval": "10s", "idle_timeout": "30s", "close_timeout": "10s"}


def server_program(t, name, *options):
    """(process, its address)"""
    if name != "demo_ws_app":
        program = Program(t, peer(name) + list(options))
        return program, program.event("ready")["address"]
    path = os.path.join(os.path.dirname(t.binary), name)
    if not os.access(path, os.X_OK):
        raise Skip("demo_ws_app is not beside the gateway")
    program = Program(t, [path], env=harness.sanitizer_environment())
    return program, program.line().split()[1]


def through(t, server, *options, websocket=None):
    """(gateway, address of the echo behind it)"""
    _, address = server_program(t, server, *options)
    gateway = t.simple(address, websocket=websocket or WATCHED)
    return gateway, "ws://127.0.0.1:%d/echo" % gateway.port


def ended(gateway, client, **due):
    """The tunnel's record, and that the gateway's Pings were answered wherever it sent one."""
    record = gateway.wait_record(**dict({Log.KIND: "tunnel"}, **due))
    gateway.records.remove(record)
    return record


def conversation(t, server, client, deflate=False, largest=MIB):
    extra = ["--deflate"] if deflate else []
    gateway, url = through(t, server, *extra)
    talk(client, url, *SIZES, *extra, "--ping", "--close", "4000:done")
    record = ended(gateway, client, end="closed")
    same((record[Log.FROM_CLIENT][Log.CLOSE_CODE], record[Log.CLOSED_BY]), (4000, "client"), "record")
    same(record["compression"], "permessage-deflate" if deflate else "none", "compression in the record")
    talk(client, url, "--text", "1000", "--text", str(MIB), "--fragment", "777", *extra)
    messages = ended(gateway, client, end="closed")
    same((messages[Log.FROM_CLIENT][Log.MESSAGES], messages[Log.FROM_SERVER][Log.MESSAGES]), (2, 2), "messages")
    check(messages[Log.FROM_CLIENT][Log.FRAMES] > 1000, "the client sent no fragments: %r", messages)
    talk(client, url, "--text", str(largest), *extra)
    same(ended(gateway, client)[Log.END], "closed", "end")


def test_python_client_wslay_server(t):
    conversation(t, "demo_ws_app", "ws_python_client.py")


def test_node_client_wslay_server(t):
    conversation(t, "demo_ws_app", "ws_node_client.js", largest=16 * MIB)


def test_python_client_node_server(t):
    conversation(t, "ws_node_server.js", "ws_python_client.py")


def test_node_client_python_server_deflate(t):
    conversation(t, "ws_python_server.py", "ws_node_client.js", True)


def test_pings_are_answered_and_the_end_is_understood(t):
    """Silent peers that answer the gateway's Pings live until max_lifetime; the client sees 1001, cleanly."""
    for server, client in [("ws_node_server.js", "ws_python_client.py"), ("demo_ws_app", "ws_node_client.js")]:
        gateway, url = through(t, server, websocket=dict(
            WATCHED, ping_interval="%dms" % INTERVAL, max_lifetime="%dms" % (4 * INTERVAL)))
        talk(client, url, "--text", "5", "--wait-close", "--expect-close", "1001")
        record = ended(gateway, client)
        codes = record[Log.FROM_CLIENT][Log.CLOSE_CODE], record[Log.FROM_SERVER][Log.CLOSE_CODE]
        same((record[Log.END], *codes), ("lifetime", 1001, 1001),
             "record with %s and %s" % (server, client))
        for side in (Log.FROM_CLIENT, Log.FROM_SERVER):
            rtt = record[side].get("rtt_ms")
            check(rtt and rtt["n"] >= 2, "%s of %s and %s: %r", side, server, client, record[side])


def scripted(t, act):
    """A gateway before a backend of ours: act(connection) right behind the 101, then the connection is closed."""
    def handler(conn):
        head = read_head(conn)
        conn.send(switch(accept_for(head.get("Sec-WebSocket-Key"))))
        act(conn)
    gateway = t.simple(t.backend().serve(handler), websocket=WATCHED)
    return gateway, "ws://127.0.0.1:%d/" % gateway.port


def vanish_behind_a_message(conn):
    event = Reader(conn, True).event()
    same(event[0], "text", "at the backend")
    conn.send(frame(TEXT, event[1], mask=False))


def fault(conn):
    vanish_behind_a_message(conn)
    conn.send(frame(5, b"", mask=False))
    Reader(conn, True).events()


def too_large(conn):
    vanish_behind_a_message(conn)
    conn.send(frame(BINARY, b"", announced=1 << 40, mask=False))
    Reader(conn, True).events()


def test_clients_understand_how_a_server_ended(t):
    for act, code, end in [(vanish_behind_a_message, 1014, "server_vanished"), (fault, 1011, "server_frame_fault"),
                           (too_large, 1011, "server_frame_fault")]:
        for client in CLIENTS:
            gateway, url = scripted(t, act)
            talk(client, url, "--text", "5", "--wait-close", "--expect-close", str(code))
            same(ended(gateway, client)[Log.END], end, "end")


def test_servers_understand_how_a_client_ended(t):
    """A client that is gone without a Close: the server sees 1001, cleanly."""
    for server in SERVERS[:2]:
        program, address = server_program(t, server)
        gateway = t.simple(address, websocket=WATCHED)
        conn = t.client(gateway)
        conn.send(b"GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        same(read_head(conn).status, 101, "status")
        conn.send(frame(TEXT, b"hi"))
        same(Reader(conn, False).event(), ("text", b"hi"), "echo")
        conn.close()
        seen = program.event("closed")
        same((seen["code"], seen["reason"], seen["wasClean"]), (1001, "the client is gone", True), "what %s saw" % server)
        same(ended(gateway, server)[Log.END], "client_vanished", "end")


def test_curl_through_the_demo_applications(t):
    """What the demo's pages do over HTTP, by curl: a page, an upload, an answer that is an error."""
    folder = os.path.dirname(t.binary)
    path = os.path.join(folder, "demo_http_app")
    if not os.access(path, os.X_OK):
        raise Skip("demo_http_app is not beside the gateway")
    pages = Program(t, [path, "--root", os.path.join(PEERS, "..", "app", "page")], env=harness.sanitizer_environment())
    gateway = t.simple(pages.line().split()[1])
    url = "http://127.0.0.1:%d" % gateway.port
    code, out, err = curl(url + "/")
    check(code == 0 and b"<title>Upgate demo</title>" in out, "exit %d (%s): %r", code, err, out[:200])
    upload = t.path("upload")
    with open(upload, "wb") as file:
        file.write(os.urandom(3 * MIB))
    code, out, err = curl("-T", upload, "-X", "POST", url + "/upload")
    check(code == 0 and b"3145728" in out, "exit %d (%s): %r", code, err, out[:200])
    code, out, err = curl("-w", "%{http_code}", "-o", os.devnull, url + "/no/such/page")
    same((code, out), (0, b"404"), "answer (%s)" % err)
