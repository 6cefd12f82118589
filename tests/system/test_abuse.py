"""Clients that mean harm or know no better: the gateway answers, counts, and lives."""
import random

import wire
from frames import BINARY, CLOSE, TEXT, close_payload, frame, handshake, read_close, read_frame, switch
from harness import Log, check, same
from messages import read_head, read_response, request
from wire import wait_until

BATCH = 250


def still_serves(t, gateway):
    same(t.exchange(gateway).status, 200, "status of a good request behind it all")


def garbage(dice):
    kind = dice.randrange(8)
    noise = dice.randbytes(dice.randrange(1, 300))
    return [noise, b"GET / HTTP/1.1\r\n" + noise, b"\r\n" * dice.randrange(1, 50), b"\x16\x03\x01" + noise, b"",
            handshake()[:dice.randrange(1, 150)], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"POST / HTTP/1.1\r\nHost: a\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"][kind]


def test_10000_garbage_connections(t):
    """In batches; each ends by FIN, RST or simply staying until the gateway has enough of it."""
    gateway = t.simple(t.app(), timeouts={"header": "500ms", "body": "500ms", "keepalive": "500ms"})
    dice = random.Random(20100713)
    before = gateway.descriptors()
    for _ in range(10000 // BATCH):
        conns = [wire.connect(gateway.address(), record=False) for _ in range(BATCH)]
        for conn in conns:
            try:
                conn.send(garbage(dice))
                ending = dice.randrange(3)
                if ending == 0:
                    conn.finish()
                elif ending == 1:
                    conn.reset()
            except OSError:
                pass
        for conn in conns[::10]:
            if not conn.closed:
                conn.wait_end()
        for conn in conns:
            conn.close()
    still_serves(t, gateway)
    wait_until(lambda: gateway.descriptors() <= before + 10, what="the descriptors to fall back")


def test_many_slow_heads_at_once(t):
    gateway = t.simple(t.app(), timeouts={"header": "1s"})
    clients = [t.client(gateway).send(b"GET / HTTP/1.1\r\nHost: a\r\n") for _ in range(200)]
    still_serves(t, gateway)
    for client in clients:
        same(read_response(client).status, 408, "status")
        client.wait_end()
    still_serves(t, gateway)


def test_silent_connections_end(t):
    gateway = t.simple(t.app(), timeouts={"header": "500ms", "keepalive": "500ms"})
    clients = [t.client(gateway) for _ in range(100)]
    for client in clients:
        client.wait_end()
    still_serves(t, gateway)


def test_slow_body_that_drips_is_bounded_by_the_gap_only(t):
    """Pieces inside the body's deadline keep it alive; it is the gap that ends it."""
    gateway = t.simple(t.backend(), timeouts={"body": "2s"})
    client = t.client(gateway).send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
    server = t.listeners[0].accept()
    read_head(server)
    for _ in range(10):
        client.send(b"x")
        server.read_exact(1)
        client.fill(0.3)
        check(not client.unread and not client.end, "an answer although the body still came: %s", client.shown())
    same(read_response(client).status, 408, "status")


def test_huge_heads(t):
    t.needs_speed()
    gateway = t.simple(t.app())
    before = gateway.rss_bytes()
    for _ in range(20):
        client = t.client(gateway)
        try:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n")
            for i in range(400):
                client.send(b"X-%d: " % i + b"y" * 10000 + b"\r\n")
        except OSError:
            pass
        same(read_response(client).status, 431, "status")
        client.close()
    check(gateway.rss_bytes() - before < (16 << 20) * (1 if t.sanitizer == "none" else 4), "memory grew")
    still_serves(t, gateway)


def test_many_pipelined_requests_without_reading(t):
    """Answers that nobody reads stop the reading of requests: memory stays bounded."""
    t.needs_speed()
    gateway = t.simple(t.app())
    client = t.client(gateway)
    before = gateway.rss_bytes()
    block = request(target="/" + "p" * 1000) * 60
    sent, stuck = 0, 0
    while stuck < 3 and sent < 64 << 20:
        taken = client.send_some(block[sent % len(block):], 0.3)
        sent += taken
        stuck = 0 if taken else stuck + 1
    check(stuck == 3, "%d bytes of requests were taken without an answer being read", sent)
    check(gateway.rss_bytes() - before < (16 << 20) * (1 if t.sanitizer == "none" else 4), "memory grew")
    client.close()
    still_serves(t, gateway)


def test_endless_chunk_extensions_and_trailers(t):
    t.needs_speed()
    for endless in [b"1" + b";a=b" * 100000, b"0\r\n" + b"X-T: y\r\n" * 100000, b"0" * 100000]:
        gateway = t.simple(t.backend())
        client = t.client(gateway).send(request("POST", fields=[("Transfer-Encoding", "chunked")]))
        try:
            client.send(endless)
        except OSError:
            pass
        check(read_response(client).status in (400, 413, 431), "no refusal")
        client.wait_end()


def test_2000_tunnels_opened_used_idled_closed(t):
    """Ten rounds of 200; afterwards no descriptor is left, and at the exit no block and no handle."""
    t.needs_speed()
    backend = t.backend()
    gateway = t.simple(backend)
    before = gateway.descriptors()
    for round_number in range(10):
        pairs = []
        for _ in range(200):
            client = wire.connect(gateway.address())
            client.send(handshake())
            server = backend.accept()
            read_head(server)
            server.send(switch())
            check(read_response(client).status == 101, "no tunnel")
            pairs.append((client, server))
        for client, server in pairs:
            client.send(frame(TEXT, b"up"), frame(BINARY, b"x" * 2000))
        for client, server in pairs:
            same(read_frame(server).payload, b"up", "frame")
            same(len(read_frame(server).payload), 2000, "frame")
            server.send(frame(TEXT, b"down", mask=False))
        for client, server in pairs:
            same(read_frame(client).payload, b"down", "frame")
        for i, (client, server) in enumerate(pairs):
            end_tunnel(client, server, (i + round_number) % 5)
        backend.conns.clear()
    wait_until(lambda: gateway.descriptors() <= before + 4, what="the descriptors to fall back")
    wait_until(lambda: len([r for r in gateway.records if r.get(Log.KIND) == "tunnel"]) == 2000, what="2000 records")


def end_tunnel(client, server, way):
    if way == 0:
        client.reset()
    elif way == 1:
        server.reset()
    elif way == 2:
        client.close()
    elif way == 3:
        server.send(frame(CLOSE, close_payload(1000), mask=False))
        read_close(client, 1000)
        client.send(frame(CLOSE, close_payload(1000)))
        read_close(server, 1000)
    else:
        client.send(frame(CLOSE, close_payload(1000)))
        read_close(server, 1000)
        server.send(frame(CLOSE, close_payload(1000), mask=False))
        read_close(client, 1000)
    for conn in (client, server):
        if not conn.closed:
            if way < 3:
                read_close(conn)
            conn.close()


def test_handshake_storm_with_a_silent_backend(t):
    """Hundreds of upgrades nobody answers: each gets its 504, the gateway serves on."""
    backend = t.backend()
    gateway = t.gateway(upstreams={"ws": {"servers": [{"address": backend.address}]},
                                   "app": {"servers": [{"address": t.app().address}]}},
                        routes=[{"match": {"path": "/ws"}, "upstream": "ws", "websocket": {"handshake_timeout": "1s"}},
                                {"upstream": "app"}])
    clients = [t.client(gateway).send(handshake()) for _ in range(200)]
    still_serves(t, gateway)
    for client in clients:
        same(read_response(client).status, 504, "status")
    still_serves(t, gateway)


def test_a_flood_of_pings_into_a_stopped_peer(t):
    """Control frames are no way past backpressure."""
    t.needs_speed()
    backend = t.backend(receive_buffer=65536)
    gateway = t.simple(backend)
    client, server = t.upgrade(gateway, backend)
    before = gateway.rss_bytes()
    block = frame(9, b"p" * 125, mask=b"\0\0\0\0") * 500
    sent, stuck = 0, 0
    while stuck < 3 and sent < 128 << 20:
        taken = client.send_some(block[sent % len(block):], 0.3)
        sent += taken
        stuck = 0 if taken else stuck + 1
    check(stuck == 3, "pings were taken without end")
    check(gateway.rss_bytes() - before < (8 << 20) * (1 if t.sanitizer == "none" else 4), "memory grew")
