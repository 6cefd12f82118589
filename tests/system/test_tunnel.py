"""The tunnel: verified frames both ways, faults answered with the right code, every ending within its deadline."""
import signal

from frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close_payload, frame, read_close, read_frame
from harness import MIB, Log, check, in_thread, large, same
from wire import wait_until

DEFLATE = [("Sec-WebSocket-Extensions", "permessage-deflate")]
SMALL_BUFFER = 65536


def tunnel(t, websocket=None, **options):
    backend = t.backend(**{k: options.pop(k) for k in ["receive_buffer"] if k in options})
    gateway = t.simple(backend, websocket=websocket or {})
    client, server = t.upgrade(gateway, backend, **options)
    return gateway, client, server


def closing(client, server, code=1000, reason=b"bye"):
    """A whole closing handshake, begun by the client."""
    client.send(frame(CLOSE, close_payload(code, reason)))
    same(read_frame(server).payload, close_payload(code, reason), "Close at the backend")
    server.send(frame(CLOSE, close_payload(code), mask=False))
    read_close(client, code)
    server.finish()
    client.wait_end()
    client.close()
    server.wait_end()


def test_bytes_pass_unchanged(t):
    """Masks, lengths, fragments, control frames in between: what comes out is what went in, byte for byte."""
    _, client, server = tunnel(t)
    up = b"".join([frame(TEXT, b""), frame(TEXT, "grüße".encode()), frame(BINARY, bytes(range(256)) * 300),
                   frame(TEXT, b"a", fin=False), frame(PING, b"p" * 125), frame(CONTINUATION, b"", fin=False),
                   frame(PONG), frame(CONTINUATION, b"b"), frame(BINARY, b"x" * 125), frame(BINARY, b"x" * 126),
                   frame(BINARY, b"x" * 65535), frame(BINARY, b"x" * 65536)])
    sending = in_thread(client.send, up)
    check(server.read_exact(len(up)) == up, "the client's bytes changed")
    sending.finish()
    down = b"".join([frame(TEXT, b"hi", mask=False), frame(BINARY, b"y" * 100000, mask=False), frame(PING, mask=False)])
    sending = in_thread(server.send, down)
    check(client.read_exact(len(down)) == down, "the backend's bytes changed")
    sending.finish()
    closing(client, server)


def test_byte_by_byte(t):
    _, client, server = tunnel(t)
    up = frame(TEXT, "größer".encode()) + frame(PING, b"x") + frame(BINARY, b"y" * 200, fin=False) + frame(CONTINUATION, b"z")
    client.send_each_byte(up)
    same(server.read_exact(len(up)), up, "the client's bytes")
    closing(client, server)


def test_a_frame_head_waits_until_it_is_whole(t):
    """An incomplete head is nothing that may pass; payload passes as it comes."""
    gateway, client, server = tunnel(t)
    whole = frame(BINARY, b"x" * 70000)
    client.send(whole[:9])
    other, other_server = another(t, gateway)
    same(server.poll(), b"", "half a head at the backend")
    client.send(whole[9:20])
    same(server.read_exact(20), whole[:20], "head and first payload")
    client.send(whole[20:])
    same(server.read_exact(len(whole) - 20), whole[20:], "the rest")


def another(t, gateway):
    """A second tunnel with an echo through it: a barrier."""
    backend = t.listeners[0]
    client, server = t.upgrade(gateway, backend)
    client.send(frame(TEXT, b"?"))
    same(read_frame(server).payload, b"?", "frame")
    return client, server


CLIENT_FAULTS = [
    ("unmasked", frame(TEXT, b"x", mask=False), 1002),
    ("rsv1", frame(TEXT, b"x", rsv=4), 1002),
    ("rsv2", frame(TEXT, b"x", rsv=2), 1002),
    ("rsv3", frame(TEXT, b"x", rsv=1), 1002),
    ("rsv on ping", frame(PING, b"x", rsv=4), 1002),
    ("opcode 3", frame(3, b"x"), 1002),
    ("opcode 7", frame(7, b"x"), 1002),
    ("opcode 11", frame(11, b"x"), 1002),
    ("opcode 15", frame(15, b"x"), 1002),
    ("length 16 for 125", frame(BINARY, b"x" * 125, length_form=16), 1002),
    ("length 64 for 65535", frame(BINARY, b"x" * 65535, length_form=64), 1002),
    ("length top bit", frame(BINARY, b"x", announced=1 << 63, length_form=64), 1002),
    ("ping of 126", frame(PING, b"x" * 126), 1002),
    ("close of 126", frame(CLOSE, close_payload(1000, b"x" * 124)), 1002),
    ("fragmented ping", frame(PING, b"x", fin=False), 1002),
    ("fragmented close", frame(CLOSE, fin=False), 1002),
    ("orphan continuation", frame(CONTINUATION, b"x"), 1002),
    ("text inside a message", frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
    ("close of one byte", frame(CLOSE, b"x"), 1002),
    ("close code 0", frame(CLOSE, close_payload(0)), 1002),
    ("close code 999", frame(CLOSE, close_payload(999)), 1002),
    ("close code 1004", frame(CLOSE, close_payload(1004)), 1002),
    ("close code 1005", frame(CLOSE, close_payload(1005)), 1002),
    ("close code 1006", frame(CLOSE, close_payload(1006)), 1002),
    ("close code 1015", frame(CLOSE, close_payload(1015)), 1002),
    ("close code 2999", frame(CLOSE, close_payload(2999)), 1002),
    ("close code 5000", frame(CLOSE, close_payload(5000)), 1002),
    ("close reason not utf-8", frame(CLOSE, close_payload(1000, b"\xff")), 1007),
    ("text not utf-8", frame(TEXT, b"ok \xc3\x28"), 1007),
    ("text surrogate", frame(TEXT, b"\xed\xa0\x80"), 1007),
    ("text overlong", frame(TEXT, b"\xc0\xaf"), 1007),
    ("text cut code point", frame(TEXT, b"\xe2\x82"), 1007),
    ("text bad in the second frame", frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"\x80"), 1007),
    ("frame over the limit", frame(BINARY, b"x" * 5000), 1009),
    ("message over the limit", frame(BINARY, b"x" * 3000, fin=False) + frame(CONTINUATION, b"x" * 3000), 1009),
    ("announced over the limit", frame(BINARY, b"x", announced=1 << 40), 1009),
]
LIMITED = {"verify": "utf8", "max_message": "4KiB"}


def last_frame(conn):
    """The Close that ends it; None when the stream just ends, inside a frame or not."""
    try:
        got = read_frame(conn)
        while got is not None and got.opcode != CLOSE:
            got = read_frame(conn)
        return got
    except EOFError:
        return None


def fault(t, offender, innocent, sent, code, from_client):
    """The innocent side gets Close 1011; its answer ends the matter; the offender gets the fault's code and the end.
    Where an innocent side stands inside a message's frame no Close can be written and the stream just ends."""
    try:
        offender.send(sent)
    except OSError:
        pass
    got = last_frame(innocent)
    if got is not None:
        same(got.code, 1011, "code for the innocent side")
        same(got.masked, from_client, "mask of the gateway's Close")
        innocent.send(frame(CLOSE, close_payload(1011), mask=not from_client))
    last = read_frame(offender)
    same((last.opcode, last.code, last.masked), (CLOSE, code, not from_client), "the offender's last frame")
    offender.send(frame(CLOSE, close_payload(code), mask=from_client))
    offender.wait_end()
    innocent.wait_end()


def test_client_faults(t):
    backend = t.backend()
    gateway = t.simple(backend, websocket=LIMITED)
    for name, sent, code in CLIENT_FAULTS:
        client, server = t.upgrade(gateway, backend)
        try:
            fault(t, client, server, sent, code, True)
        except Exception as error:
            raise AssertionError("%s: %s" % (name, error)) from error
        check(b"x" * 4097 not in server.received, "%s: passed", name)
    gateway.wait_record(**{Log.KIND: "tunnel", Log.END: "client_frame_fault"})


def server_version(sent):
    """The same frames, unmasked: parsed by hand because each is one frame or two with their own heads."""
    out, rest = b"", sent
    while rest:
        first, second = rest[0], rest[1]
        size, at = second & 127, 2
        extra = {126: 2, 127: 8}.get(size, 0)
        if extra:
            size = int.from_bytes(rest[2:2 + extra], "big")
            at += extra
        if not second & 128:
            return frame(TEXT, b"x", mask=b"abcd")
        key = rest[at:at + 4]
        payload = rest[at + 4:at + 4 + size]
        plain = bytes(c ^ key[i % 4] for i, c in enumerate(payload))
        out += bytes([first, second & 127]) + rest[2:2 + extra] + plain
        rest = rest[at + 4 + size:]
    return out


def test_backend_faults(t):
    backend = t.backend()
    gateway = t.simple(backend, websocket=LIMITED)
    for name, sent, code in CLIENT_FAULTS:
        client, server = t.upgrade(gateway, backend)
        try:
            fault(t, server, client, server_version(sent), code, False)
        except Exception as error:
            raise AssertionError("%s: %s" % (name, error)) from error
    gateway.wait_record(**{Log.KIND: "tunnel", Log.END: "server_frame_fault"})


def test_nothing_of_a_bad_frame_passes(t):
    """What came before it does, its own bytes do not."""
    _, client, server = tunnel(t)
    good = frame(TEXT, b"good")
    client.send(good + frame(3, b"evil", mask=b"\0\0\0\0") + frame(TEXT, b"later", mask=b"\0\0\0\0"))
    same(read_frame(server).payload, b"good", "the frame before")
    read_close(server, 1011)
    check(b"evil" not in server.received and b"later" not in server.received, "bytes of or behind the bad frame passed")
    server.close()
    read_close(client, 1002)


def test_an_innocent_side_that_never_answers(t):
    """After close_timeout the offender gets its Close all the same."""
    _, client, server = tunnel(t, {"close_timeout": "300ms"})
    client.send(frame(3))
    read_close(server, 1011)
    read_close(client, 1002)
    client.wait_end()
    server.wait_end()


def test_what_an_innocent_side_still_says_is_relayed(t):
    _, client, server = tunnel(t)
    client.send(frame(3))
    read_close(server, 1011)
    server.send(frame(TEXT, b"last words", mask=False) + frame(CLOSE, close_payload(1011), mask=False))
    same(read_frame(client).payload, b"last words", "frame")
    read_close(client, 1002)


def test_verify_frames_leaves_text_alone(t):
    _, client, server = tunnel(t, {"verify": "frames"})
    client.send(frame(TEXT, b"\xff\xfe"))
    same(read_frame(server).payload, b"\xff\xfe", "payload")
    client.send(frame(3))
    read_close(server, 1011)


def test_verify_blind_is_a_pipe(t):
    _, client, server = tunnel(t, {"verify": "blind"})
    client.send(b"no frame at all")
    same(server.read_exact(15), b"no frame at all", "bytes")
    client.finish()
    server.wait_end()


def test_rsv1_with_deflate(t):
    """Negotiated: lawful on a message's first frame only."""
    backend = t.backend()
    gateway = t.simple(backend)
    client, server = t.upgrade(gateway, backend, DEFLATE, DEFLATE)
    client.send(frame(TEXT, b"\xff\x00", rsv=4, fin=False) + frame(CONTINUATION, b"\xff"))
    same((read_frame(server).rsv, read_frame(server).payload), (4, b"\xff"), "frames")
    client.send(frame(TEXT, b"\xff\x00", rsv=4, fin=False) + frame(CONTINUATION, b"\xff", rsv=4))
    same(read_frame(server).rsv, 4, "frame")
    got = read_frame(server)
    check(got is None or got.code == 1011, "at the backend: %r", got)
    server.close()
    read_close(client, 1002)


def test_max_frame(t):
    _, client, server = tunnel(t, {"max_frame": "1KiB", "max_message": "off"})
    client.send(frame(BINARY, b"x" * 1024, fin=False) + frame(CONTINUATION, b"x" * 1024, fin=False))
    server.read_exact(2 * 1032)
    client.send(frame(CONTINUATION, b"x" * 1025))
    read_close(client, 1009)


def test_closing_handshake_from_the_client(t):
    gateway, client, server = tunnel(t)
    client.send(frame(TEXT, b"12345"))
    read_frame(server)
    closing(client, server, 3000)
    record = gateway.wait_record(**{Log.KIND: "tunnel"})
    same((record[Log.CLOSED_BY], record[Log.END]), ("client", "closed"), "record")
    same(record[Log.FROM_CLIENT][Log.CLOSE_CODE], 3000, "close code")
    same((record[Log.FROM_CLIENT][Log.FRAMES], record[Log.FROM_CLIENT][Log.MESSAGES]), (2, 1), "frames and messages")
    same(record[Log.FROM_SERVER][Log.MESSAGES], 0, "messages of the backend")


def test_closing_handshake_from_the_backend(t):
    gateway, client, server = tunnel(t)
    server.send(frame(CLOSE, close_payload(4321, b"x"), mask=False))
    read_close(client, 4321)
    client.send(frame(CLOSE, close_payload(4321)))
    read_close(server, 4321)
    server.close()
    client.wait_end()
    record = gateway.wait_record(**{Log.KIND: "tunnel"})
    same((record[Log.CLOSED_BY], record[Log.FROM_SERVER][Log.CLOSE_CODE]), ("server", 4321), "record")


def test_close_without_a_code(t):
    _, client, server = tunnel(t)
    client.send(frame(CLOSE))
    same(read_frame(server).payload, b"", "payload")
    server.send(frame(CLOSE, mask=False))
    same(read_frame(client).payload, b"", "payload")


def test_messages_after_the_other_sides_close_still_pass(t):
    """The side that has not closed yet may finish what it was saying."""
    _, client, server = tunnel(t)
    client.send(frame(CLOSE, close_payload(1000)))
    read_frame(server)
    server.send(frame(TEXT, b"one more", mask=False) + frame(CLOSE, close_payload(1000), mask=False))
    same(read_frame(client).payload, b"one more", "frame")
    read_close(client, 1000)


def test_data_after_close_is_not_passed(t):
    _, client, server = tunnel(t)
    client.send(frame(CLOSE, close_payload(1000)) + frame(TEXT, b"zombie", mask=b"\0\0\0\0"))
    read_close(server, 1000)
    server.send(frame(CLOSE, close_payload(1000), mask=False))
    server.finish()
    server.wait_end()
    check(b"zombie" not in server.received, "a frame behind the Close passed")


def test_close_timeout(t):
    """One side closes, the other never answers: both end."""
    for offender in [0, 1]:
        gateway, *ends = tunnel(t, {"close_timeout": "300ms"})
        ends[offender].send(frame(CLOSE, close_payload(1000), mask=offender == 0))
        read_close(ends[1 - offender], 1000)
        ends[0].wait_end()
        ends[1].wait_end()
        gateway.wait_record(**{Log.KIND: "tunnel", Log.END: "close_timeout"})


def test_half_close_without_close_frame(t):
    """A FIN at a frame boundary: the other side is told and ends within the deadline; what it still says is delivered."""
    _, client, server = tunnel(t, {"close_timeout": "2s"})
    client.send(frame(TEXT, b"last"))
    client.finish()
    same(read_frame(server).payload, b"last", "frame")
    server.send(frame(TEXT, b"answer", mask=False))
    same(read_frame(client).payload, b"answer", "frame")
    server.close()
    client.wait_end()


def test_killing_either_peer_ends_the_other(t):
    backend = t.backend()
    gateway = t.simple(backend, websocket={"close_timeout": "500ms"})
    zero = b"\0\0\0\0"
    moments = [b"", frame(TEXT, b"whole", mask=zero), frame(TEXT, b"cut", mask=zero)[:4],
               frame(BINARY, b"x" * 1000, mask=zero)[:500],
               frame(TEXT, b"open", fin=False, mask=zero), frame(CLOSE, close_payload(1000), mask=zero)]
    for said in moments:
        for victim in ["client", "server"]:
            for end in ["close", "reset"]:
                client, server = t.upgrade(gateway, backend)
                dying, other = (client, server) if victim == "client" else (server, client)
                dying.send(said if victim == "client" or not said else server_version_or_cut(said))
                getattr(dying, end)()
                other.wait_end()
                other.close()


def server_version_or_cut(said):
    return bytes([said[0], said[1] & 127]) + (said[2:4] if len(said) > 125 else b"") + said[8 if len(said) > 125 else 6:]


def test_a_reset_is_told_with_a_close_frame(t):
    for victim in ["client", "server"]:
        _, client, server = tunnel(t)
        dying, other = (client, server) if victim == "client" else (server, client)
        dying.reset()
        got = read_frame(other)
        check(got is not None and got.code in (1001, 1011, 1014), "the survivor got %r", got)
        other.close()


def test_idle_timeout(t):
    gateway, client, server = tunnel(t, {"idle_timeout": "500ms", "ping_interval": "off"})
    got = [read_frame(client), read_frame(server)]
    same([g.code for g in got], [1001, 1001], "close codes")
    client.send(frame(CLOSE, close_payload(1001)))
    server.send(frame(CLOSE, close_payload(1001), mask=False))
    client.wait_end()
    server.wait_end()
    record = gateway.wait_record(**{Log.KIND: "tunnel"})
    check(record[Log.END] in ("client_idle", "server_idle"), "end reason %r", record)


def test_half_a_frame_for_ever(t):
    """Inside a frame no Close can follow towards the backend: that stream just ends. The client gets its Close."""
    opened = []
    for part in [frame(BINARY, b"x" * 100)[:1], frame(BINARY, b"x" * 100)[:5], frame(BINARY, b"x" * 100)[:50]]:
        _, client, server = tunnel(t, {"idle_timeout": "2s", "ping_interval": "off", "close_timeout": "500ms"})
        opened.append((part, client.send(part), server))
    for part, client, server in opened:
        got = read_frame(client)
        check(got is not None and got.opcode == CLOSE, "the client got %r", got)
        client.wait_end()
        server.wait_end()
        if len(part) == 50:
            same(bytes(server.received[-50:]), part, "the cut frame's bytes, and nothing behind them")



def test_drain_closes_tunnels_with_1001_or_1012(t):
    gateway, client, server = tunnel(t)
    gateway.signal(signal.SIGTERM)
    got = [read_frame(client), read_frame(server)]
    check(all(g is not None and g.code in (1001, 1012) for g in got), "close frames: %r", got)
    client.send(frame(CLOSE, close_payload(got[0].code)))
    server.send(frame(CLOSE, close_payload(got[1].code), mask=False))
    client.wait_end()
    server.wait_end()
    same(gateway.wait_exit(), 0, "exit code")
    gateway.check_clean()


def test_drain_waits_for_a_frame_boundary(t):
    gateway, client, server = tunnel(t)
    whole = frame(BINARY, b"x" * 1000)
    client.send(whole[:500])
    server.read_exact(500)
    gateway.signal(signal.SIGTERM)
    read_close(client)
    client.send(whole[500:] + frame(CLOSE, close_payload(1001)))
    same(server.read_exact(len(whole) - 500), whole[500:], "the rest of the frame")
    read_close(server)
    server.send(frame(CLOSE, close_payload(1001), mask=False))
    same(gateway.wait_exit(), 0, "exit code")


def test_drain_ends_peers_that_do_not_answer(t):
    gateway, client, server = tunnel(t, {"close_timeout": "500ms"})
    gateway.signal(signal.SIGTERM)
    client.wait_end()
    server.wait_end()
    same(gateway.wait_exit(), 0, "exit code")


def stuck_tunnel(t, up):
    """A reader that stopped: the sender on the other side is stopped, and memory stays bounded."""
    t.needs_speed()
    gateway, client, server = tunnel(t, {"idle_timeout": "5m"}, receive_buffer=SMALL_BUFFER)
    before = gateway.rss_bytes()
    sender, reader = (client, server) if up else (server, client)
    total = 64 * MIB - 1
    head = frame(BINARY, b"", announced=total, length_form=64, mask=b"\0\0\0\0" if up else False)
    sender.send(head)
    reader.record = False
    taken, stuck = 0, 0
    while stuck < 3:
        n = sender.send_some(b"\0" * min(262144, total - taken), 0.3)
        taken += n
        stuck = 0 if n else stuck + 1
        check(taken < total, "the sender was never stopped")
    grown = gateway.rss_bytes() - before
    check(grown < (8 if t.sanitizer == "none" else 24) * MIB, "memory grew by %d MiB", grown // MIB)
    rest = in_thread(large, sender, total - taken, b"\0" * 65536)
    reader.discard(len(head) + total)
    rest.finish()
    sender.send(frame(TEXT, b"after", mask=up))
    same(read_frame(reader).payload, b"after", "frame")


def test_a_stopped_backend_stops_the_client(t):
    stuck_tunnel(t, True)


def test_a_stopped_client_stops_the_backend(t):
    stuck_tunnel(t, False)


def test_one_stopped_direction_does_not_stop_the_other(t):
    t.needs_speed()
    _, client, server = tunnel(t, receive_buffer=SMALL_BUFFER)
    client.send(frame(BINARY, b"", announced=40 * MIB, length_form=64, mask=b"\0\0\0\0"))
    sent, stuck = 0, 0
    while stuck < 2:
        n = client.send_some(b"\0" * min(262144, 40 * MIB - sent), 0.2)
        sent += n
        stuck = 0 if n else stuck + 1
    for i in range(20):
        server.send(frame(TEXT, b"%d" % i, mask=False))
        same(read_frame(client).payload, b"%d" % i, "frame")


def test_idle_tunnels_cost_little(t):
    """No buffer at rest: 200 tunnels that carried 64 KiB each way."""
    t.needs_speed()
    backend = t.backend()
    gateway = t.simple(backend)
    pairs = []
    for i in range(200):
        pairs.append(t.upgrade(gateway, backend))
        if i == 20:
            before = gateway.rss_bytes()
        client, server = pairs[-1]
        up, down = frame(BINARY, b"x" * 65000), frame(BINARY, b"y" * 65000, mask=False)
        client.send(up)
        server.read_exact(len(up))
        server.send(down)
        client.read_exact(len(down))
    each = (gateway.rss_bytes() - before) / 179
    check(each < (24 if t.sanitizer == "none" else 96) * 1024, "%d bytes for each idle tunnel", each)


def test_unix_sockets_on_both_sides(t):
    backend = t.unix_backend()
    gateway = t.simple(backend, listeners=[{"address": "unix:" + t.path("front.sock")}])
    client, server = t.upgrade(gateway, backend)
    client.send(frame(TEXT, b"there"))
    same(read_frame(server).payload, b"there", "frame")
    closing(client, server)


def test_a_client_record_waits_until_the_tunnel_ends(t):
    gateway, client, server = tunnel(t)
    check(not [r for r in gateway.records if r.get(Log.KIND) == "tunnel"], "a record before the end")
    client.reset()
    server.wait_end()
    wait_until(lambda: [r for r in gateway.records if r.get(Log.KIND) == "tunnel"], what="the tunnel's record")
