"""The gateway's own Pings: each side by itself, only where a frame has ended, their Pongs swallowed; and what follows silence."""
import socket
import time

import admin
from endpoints import Reader, closing, expect_close, live
from frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame, read_frame
from harness import MIB, Log, check, in_thread, large, same
from wire import SLOWNESS

INTERVAL = 0.5 * SLOWNESS                # long enough for a peer on a busy machine to answer in
PINGS = {"ping_interval": "%dms" % (INTERVAL * 1000), "idle_timeout": "5m", "close_timeout": "5s"}
IDLE = 0.8 * SLOWNESS
SILENCE = {"ping_interval": "off", "idle_timeout": "%dms" % (IDLE * 1000), "close_timeout": "5s"}
SMALL_BUFFER = 65536


def tunnel(t, websocket, **options):
    backend = t.backend(**{k: options.pop(k) for k in ["receive_buffer"] if k in options})
    gateway = t.simple(backend, websocket=websocket, admin={"address": "127.0.0.1:0"})
    client, server = t.upgrade(gateway, backend, **options)
    return gateway, client, server


def wait_blocked(t, gateway, side):
    """Until everything on the way of what this side says is full: it is blocked, and nothing has moved since it was asked before."""
    asked = [None]

    def is_full():
        asked.append(admin.ask_json(t, gateway, "/tunnels")["tunnels"][0][side])
        return asked[-1]["blocked"] and asked[-2] and asked[-2]["bytes"] == asked[-1]["bytes"]
    admin.until(is_full, "everything full %s" % side)


def more_than_kernels_hold():
    """Bytes: what the buffers of two connections may grow to, and some more."""
    most = 0
    for name in ["rmem", "wmem"]:
        with open("/proc/sys/net/ipv4/tcp_" + name, encoding="ascii") as limits:
            most += int(limits.read().split()[2])
    return 2 * most + 8 * MIB


def ping_of_the_gateway(conn, masked):
    """The next frame has to be one; its payload."""
    got = read_frame(conn)
    check(got is not None and got.opcode == PING and got.fin and not got.rsv, "a Ping was due, there came %r", got)
    same((got.masked, len(got.payload)), (masked, 8), "mask and size of the Ping")
    return got.payload


def test_each_side_is_pinged_and_its_pong_swallowed(t):
    gateway, client, server = tunnel(t, PINGS)
    seen = []
    for _ in range(2):
        for conn, is_server in [(client, False), (server, True)]:
            seen.append(ping_of_the_gateway(conn, is_server))
            conn.send(frame(PONG, seen[-1], mask=not is_server))
    same(len(set(seen)), 4, "different payloads among %r" % seen)
    client.send(frame(TEXT, b"from the client"))
    server.send(frame(TEXT, b"from the server", mask=False))
    same(next_but_pings(server).payload, b"from the client", "behind the swallowed Pongs")
    same(next_but_pings(client).payload, b"from the server", "behind the swallowed Pongs")
    client.send(frame(CLOSE, close_payload(1000)))
    same(next_but_pings(server).code, 1000, "Close")
    server.send(frame(CLOSE, close_payload(1000), mask=False))
    same(next_but_pings(client).code, 1000, "Close")
    client.close()
    server.close()
    record = gateway.wait_record(**{Log.KIND: "tunnel"})
    for side in (Log.FROM_CLIENT, Log.FROM_SERVER):
        rtt = record[side]["rtt_ms"]
        same((rtt["n"], record[side]["pongs"], record[side]["pings"]),
             (2, 2, 0), "round trips, Pongs and Pings in %r" % record[side])
        check(0 <= rtt["min"] <= rtt["avg"] <= rtt["max"] < 1000 * INTERVAL, "round-trip times %r", rtt)


def passing(seconds, *conns):
    """Takes in what comes on these connections for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for conn in conns:
            conn.fill(min(0.02, seconds / 4))


def next_but_pings(conn):
    while True:
        got = read_frame(conn)
        if got is None or got.opcode != PING:
            return got


def test_only_the_silent_side_is_pinged(t):
    for chatty_client in [True, False]:
        gateway, client, server = tunnel(t, PINGS)
        chatty, silent = (client, server) if chatty_client else (server, client)
        seen, gap, last, n = Reader(silent, chatty_client), 0, time.monotonic(), 0
        while n < 2:
            chatty.send(frame(TEXT, b"busy", mask=chatty_client))
            gap, last = max(gap, time.monotonic() - last), time.monotonic()
            passing(INTERVAL / 10, silent)
            while silent.unread:
                event = seen.event()
                if event[0] == "ping":
                    silent.send(frame(PONG, event[1], mask=not chatty_client))
                    n += 1
        if gap < INTERVAL / 2:           # otherwise the test itself was silent, on a machine that is too busy
            same(chatty.poll(), b"", "what the side got that was not silent")


def test_the_peers_own_pings_and_pongs_pass(t):
    """Also such as look like an answer to the gateway's Ping and are not."""
    _, client, server = tunnel(t, PINGS)
    for sender, other, is_server in [(client, server, True), (server, client, False)]:
        mask = is_server
        asked = ping_of_the_gateway(sender, not is_server)
        wrong = bytes([asked[0] ^ 1]) + asked[1:]
        mine = [(PING, b"mine"), (PING, asked), (PONG, b""), (PONG, wrong), (PONG, asked[:7]), (PONG, asked + b"x")]
        sender.send(b"".join(frame(opcode, payload, mask=mask) for opcode, payload in mine))
        sender.send(frame(PONG, asked, mask=mask) + frame(PONG, asked, mask=mask) + frame(TEXT, b"end", mask=mask))
        came = []
        while not came or came[-1][0] != TEXT:
            got = read_frame(other)
            came.append((got.opcode, got.payload))
        own = [c for c in came if c[0] == PING and c not in mine]
        for one in own:
            other.send(frame(PONG, one[1], mask=not is_server))
        same([c for c in came if c not in own], mine + [(PONG, asked), (TEXT, b"end")], "what passed (the one Pong did not)")


def test_a_pong_in_pieces_and_between_others(t):
    _, client, server = tunnel(t, PINGS)
    asked = ping_of_the_gateway(client, False)
    client.send_each_byte(frame(TEXT, b"a") + frame(PONG, asked) + frame(TEXT, b"b"))
    same([next_but_pings(server).payload for _ in "ab"], [b"a", b"b"], "around the swallowed Pong")


def test_between_fragments(t):
    for side in ["client", "server"]:
        _, client, server = tunnel(t, PINGS)
        sender, silent = (server, client) if side == "client" else (client, server)
        mask = side == "server"
        sender.send(frame(TEXT, b"one", fin=False, mask=mask))
        same(read_frame(silent).payload, b"one", "fragment")
        silent.send(frame(PONG, ping_of_the_gateway(silent, mask), mask=not mask))
        sender.send(frame(CONTINUATION, b"two", mask=mask))
        same(next_but_pings(silent).payload, b"two", "fragment")


def test_never_inside_a_frame(t):
    """The frame stands open for two intervals; its end comes, and the Ping right behind it."""
    for side in ["client", "server"]:
        _, client, server = tunnel(t, PINGS)
        sender, silent = (server, client) if side == "client" else (client, server)
        mask = side == "server"
        whole = frame(BINARY, b"x" * 1000, mask=mask)
        sender.send(whole[:400])
        same(silent.read_exact(400), whole[:400], "the first half")
        time_to_pass(sender, 2.5 * INTERVAL, whole, silent)
        sender.send(whole[-1:])
        same(silent.read_exact(len(whole) - 400), whole[400:], "the rest")
        ping_of_the_gateway(silent, mask)


def time_to_pass(sender, seconds, whole, silent):
    """The open frame goes on in drops, so that its sender is alive, and nothing but its bytes comes out."""
    started, sent = time.monotonic(), 400
    while time.monotonic() - started < seconds:
        if sent < len(whole) - 1:
            sender.send(whole[sent:sent + 1])
            sent += 1
        passing(INTERVAL / 20, silent)
    sender.send(whole[sent:-1])
    silent.wait_for(lambda data: len(data) >= len(whole) - 401)
    check(whole[400:].startswith(bytes(silent.unread)), "something else inside the frame: %s", silent.shown())


def missing_pong(t, mute):
    gateway, client, server = tunnel(t, PINGS)
    silent, alive = (client, server) if mute == "client" else (server, client)
    other = in_thread(live, alive, mute == "client")
    started = time.monotonic()
    ping_of_the_gateway(silent, mute == "server")
    expect_close(Reader(silent, mute == "server"), 1011)
    check(time.monotonic() - started < 8 * INTERVAL, "the end took %.1f s", time.monotonic() - started)
    seen = other_close(alive, other, silent, mute)
    same(seen, 1001 if mute == "client" else 1014, "the code for the other")
    record = gateway.wait_record(**{Log.KIND: "tunnel"})
    same((record[Log.END], record[Log.CLOSED_BY]), (mute + "_silent", "gateway"), "record")
    check("rtt_ms" not in record["from_" + mute], "a round trip without a Pong: %r", record)


def other_close(alive, other, silent, mute):
    """Ends what is left; the code that the other side saw."""
    silent.send(frame(CLOSE, close_payload(1011), mask=mute == "client"))
    silent.finish()
    silent.wait_end()
    events = other.finish()
    alive.wait_end()
    check(all(e[0] == "ping" for e in events[:-1]), "the other side saw %r", events)
    same(events[-1][0], "close", "the other side's last event")
    return events[-1][1]


def test_a_missing_pong_of_the_client(t):
    missing_pong(t, "client")


def test_a_missing_pong_of_the_server(t):
    missing_pong(t, "server")


def test_data_instead_of_a_pong(t):
    """Whoever speaks lives; silent again, it is asked again, and only then given up."""
    for side in ["client", "server"]:
        gateway, client, server = tunnel(t, PINGS)
        speaker, other = (client, server) if side == "client" else (server, client)
        mask = side == "client"
        beside = in_thread(live, other, mask)
        for i in range(2):
            ping_of_the_gateway(speaker, not mask)
            speaker.send(frame(TEXT, b"%d" % i, mask=mask))
        ping_of_the_gateway(speaker, not mask)
        expect_close(Reader(speaker, not mask), 1011)
        speaker.send(frame(CLOSE, close_payload(1011), mask=mask))
        speaker.finish()
        said = [e[1] for e in beside.finish() if e[0] == "text"]
        same(said, [b"0", b"1"], "what passed")
        gateway.wait_record(**{Log.KIND: "tunnel", Log.END: side + "_silent"})


def test_bytes_of_an_unfinished_frame_are_a_sign_of_life(t):
    """A slow upload: one byte at a time, no frame ends, and its sender is never pinged to death."""
    _, client, server = tunnel(t, PINGS)
    beside = in_thread(drip, client, frame(BINARY, b"x" * 60, mask=b"\0\0\0\0"))
    passing(2.5 * INTERVAL, server)
    check(not server.end, "the tunnel ended: %s", server.end)
    beside.finish()
    same(next_but_pings(server).payload, b"x" * 60, "frame")


def drip(conn, data):
    for i in range(len(data)):
        conn.send(data[i:i + 1])
        passing(3 * INTERVAL / len(data), conn)


def test_a_side_that_is_not_read_is_not_silent(t):
    """The other side does not read, so the gateway does not either, and the sender's Pongs wait behind its data."""
    t.needs_speed()
    for up in [True, False]:
        gateway, client, server = tunnel(t, dict(PINGS, slow_timeout="60s", max_message="off"), receive_buffer=SMALL_BUFFER)
        sender, reader = (client, server) if up else (server, client)
        total = more_than_kernels_hold()
        sender.send(frame(BINARY, b"", announced=total, length_form=64, mask=b"\0\0\0\0" if up else False))
        reader.record = sender.record = False
        rest = in_thread(large, sender, total, b"\0" * 65536)
        wait_blocked(t, gateway, Log.FROM_CLIENT if up else Log.FROM_SERVER)
        passing(4 * INTERVAL, sender)
        check(rest.thread.is_alive(), "the sender was never blocked")
        check(not [r for r in gateway.records if r.get(Log.KIND) == "tunnel"], "the tunnel ended: %r", gateway.records[-1:])
        reader.discard((14 if up else 10) + total)
        rest.finish()
        reader.send(frame(TEXT, b"read it all", mask=not up))
        same(next_but_pings(sender).payload, b"read it all", "frame")


def test_pings_go_on_behind_a_blocked_reader(t):
    """A client that stopped reading and goes on: the Ping comes behind the frame, and its Pong counts."""
    t.needs_speed()
    gateway, client, server = tunnel(t, dict(PINGS, slow_timeout="60s"), receive_buffer=SMALL_BUFFER)
    total = 24 * MIB
    server.send(frame(BINARY, b"", announced=total, length_form=64, mask=False))
    client.record = False
    rest = in_thread(large, server, total, b"\0" * 65536)
    client.wait_for(lambda data: len(data) > 0)
    wait_blocked(t, gateway, Log.FROM_SERVER)
    passing(2 * INTERVAL, server)        # the client does not read, and nothing is to happen to it
    client.discard(10 + total)
    rest.finish()
    client.send(frame(PONG, ping_of_the_gateway(client, False)))
    client.send(frame(TEXT, b"here"))
    same(next_but_pings(server).payload, b"here", "frame")
    client.send(frame(CLOSE))
    same(next_but_pings(server).opcode, CLOSE, "Close")
    server.send(frame(CLOSE, mask=False))
    record = gateway.wait_record(**{Log.KIND: "tunnel"})
    check(record[Log.FROM_CLIENT]["rtt_ms"]["n"] >= 1 and record[Log.FROM_SERVER]["blocked_ms"] > 0, "record: %r", record)


def test_a_client_on_a_slow_line_is_not_silent(t):
    """The whole message is with the kernel, and the Ping behind it: as long as the client takes more of it, its Pong is not late."""
    t.needs_speed()
    gateway, client, server = tunnel(t, PINGS, segment=1400)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    total, client.record = 24 * SMALL_BUFFER, False
    server.send(frame(BINARY, b"", announced=total, length_form=64, mask=False))
    large(server, total, b"\0" * 65536)
    beside = in_thread(live, server, True)
    for _ in range(total // SMALL_BUFFER):
        client.discard(SMALL_BUFFER)
        time.sleep(INTERVAL / 5)
    client.discard(10)
    client.send(frame(PONG, ping_of_the_gateway(client, False)))
    client.send(frame(TEXT, b"all of it") + frame(CLOSE, close_payload(1000)))
    same([e[1] for e in beside.finish() if e[0] == "text"], [b"all of it"], "what came to the server")
    gateway.wait_record(**{Log.KIND: "tunnel", Log.END: "closed"})


def test_no_pings_when_off_and_idle_on_both_sides(t):
    gateway, client, server = tunnel(t, SILENCE)
    for conn, is_server in [(client, False), (server, True)]:
        expect_close(Reader(conn, is_server), 1001)
        conn.send(frame(CLOSE, close_payload(1001), mask=not is_server))
        conn.finish()
    client.wait_end()
    server.wait_end()
    record = gateway.wait_record(**{Log.KIND: "tunnel"})
    check(record[Log.END] in ("client_idle", "server_idle"), "end %r", record[Log.END])
    same((record[Log.FROM_CLIENT][Log.CLOSE_CODE], record[Log.FROM_SERVER][Log.CLOSE_CODE]), (1001, 1001), "close codes")


def test_idle_is_judged_for_each_side(t):
    for idle in ["client", "server"]:
        gateway, client, server = tunnel(t, SILENCE)
        chatty, silent = (server, client) if idle == "client" else (client, server)
        n = 0
        while not silent.unread or silent.unread[0] != 0x80 | CLOSE:
            n += 1
            check(n < 100, "no end though one side is silent")
            try:
                chatty.send(frame(TEXT, b"busy", mask=idle == "server"))
            except OSError:
                break
            passing(IDLE / 10, silent)
            while silent.unread and silent.unread[0] != 0x80 | CLOSE:
                read_frame(silent)
        expect_close(Reader(silent, idle == "server"), 1001)
        expect_close(Reader(chatty, idle == "client"), 1001)
        silent.close()
        chatty.close()
        gateway.wait_record(**{Log.KIND: "tunnel", Log.END: idle + "_idle"})
        check(n >= 3, "the end came before its time")


def test_pongs_are_signs_of_life(t):
    """idle_timeout counts Pongs: with pings on, a silent pair that answers lives on."""
    gateway, client, server = tunnel(t, dict(PINGS, idle_timeout="%dms" % (2.5 * 1000 * INTERVAL)))
    beside = in_thread(live, server, True)
    for _ in range(5):
        client.send(frame(PONG, ping_of_the_gateway(client, False)))
    client.send(frame(CLOSE, close_payload(1000)))
    same(next_but_pings(client).code, 1000, "Close")
    client.close()
    check(sum(e[0] == "ping" for e in beside.finish()) >= 3, "the server's pings")
    gateway.wait_record(**{Log.KIND: "tunnel", Log.END: "closed"})


def test_blind_tunnels_are_not_pinged(t):
    _, client, server = tunnel(t, dict(SILENCE, verify="blind", ping_interval="%dms" % (100 * SLOWNESS), close_timeout="500ms"))
    same((client.wait_end(), server.wait_end()), ("fin", "fin"), "ends")
    same((bytes(client.unread), bytes(server.unread)), (b"", b""), "bytes of the gateway's own")


def test_no_ping_in_the_closing_handshake(t):
    """Behind a Close nothing of the gateway's follows."""
    _, client, server = tunnel(t, PINGS)
    client.send(frame(CLOSE, close_payload(1000)))
    got = next_but_pings(server)
    same(got.code, 1000, "Close")
    passing(2 * INTERVAL, server)
    same(bytes(server.unread), b"", "behind the Close")
    same([b for b in bytes(client.poll())[:1] if b != 0x80 | PING], [], "to the client")
    server.send(frame(CLOSE, close_payload(1000), mask=False))
    same(next_but_pings(client).code, 1000, "Close")


def test_a_tunnel_with_pings_closes_as_any(t):
    _, client, server = tunnel(t, dict(PINGS, ping_interval="60s"))
    closing(client, server)
