"""Large and slow bodies: streamed, bounded, and stopped where the reader stops."""
from harness import MIB, check, in_thread, large, same
from messages import read_body, read_head, read_request, read_response, request, response
from wire import wait_until

BIG = 256 * MIB
BOUND = 24 * MIB                         # how far the gateway's memory may grow over one exchange
SMALL_BUFFER = 65536


def bound(t):
    return BOUND if t.sanitizer == "none" else 3 * BOUND


def highest_rss(gateway, beside):
    """The gateway's largest memory while something else runs."""
    highest = gateway.rss_bytes()
    while beside.thread.is_alive():
        highest = max(highest, gateway.rss_bytes())
        beside.thread.join(0.02)
    return highest


def upload_head(total):
    return b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % total


def test_first_byte_of_an_upload_passes_before_its_last_exists(t):
    backend = t.backend()
    client = t.client(t.simple(backend)).send(upload_head(3), b"a")
    server = backend.accept()
    read_head(server)
    same(server.read_exact(1), b"a", "first byte")
    client.send(b"bc")
    same(server.read_exact(2), b"bc", "the rest")
    server.send(response())
    same(read_response(client).status, 200, "status")


def test_first_byte_of_a_response_passes_before_its_last_exists(t):
    backend = t.backend()
    client = t.client(t.simple(backend)).send(request() + request())
    server = backend.accept()
    for answer, first, rest in [(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", b"a", b"bc"),
                                (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n",
                                 b"2\r\nbc\r\n0\r\n\r\n")]:
        read_request(server)
        server.send(answer)
        reply = read_response(client, body=False)
        server.send(first)
        client.wait_for(lambda data: b"a" in data)
        server.send(rest)
        same(read_body(client, reply).body, b"abc", "body")


def pattern(n, seed):
    return bytes((i * 7 + i // 251 + seed) % 256 for i in range(997)) * (n // 997 + 1)


def test_long_bodies_on_kept_connections(t):
    """Each is its own, the next head begins behind it, and short ones between them are no different."""
    backend = t.backend()
    gateway = t.simple(backend)
    client, server = t.client(gateway), None
    for number, size in enumerate([300000, 65536, 65537, 5, 1000000, 0, 2000000, 70000]):
        body = pattern(size, number)[:size]
        client.send(request())
        server = server or backend.accept()
        read_request(server)
        answering = in_thread(server.send, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body)
        reply = read_response(client)
        answering.finish()
        check(reply.body == body, "answer %d of %d bytes is another one, of %d", number, size, len(reply.body))
        gateway.wait_record(bytes_out=size)


def test_a_long_body_that_ends_early_is_no_whole_one(t):
    backend = t.backend()
    gateway = t.simple(backend)
    for end in ["fin", "rst"]:
        client = t.client(gateway).send(request())
        server = backend.accept()
        read_request(server)
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n", pattern(1000000, 1)[:1000000])
        reply = read_response(client, body=False)
        client.wait_for(lambda data: len(data) >= 1000000)
        if end == "rst":
            server.reset()
        else:
            server.close()
        reply = read_body(client, reply)
        check(not reply.complete and reply.body == pattern(1000000, 1)[:1000000], "of the body came %d bytes", len(reply.body))
        gateway.wait_record(end="server_truncated")


def test_256_mib_up(t):
    t.needs_speed()
    backend = t.backend()
    gateway = t.simple(backend)
    before = gateway.rss_bytes()
    client = t.client(gateway).send(upload_head(BIG))
    sending = in_thread(large, client, BIG)
    server = backend.accept(record=False)
    read_head(server)
    receiving = in_thread(server.discard, BIG)
    highest = highest_rss(gateway, receiving)
    receiving.finish()
    sending.finish()
    server.send(response())
    same(read_response(client).status, 200, "status")
    check(highest - before < bound(t), "memory grew by %d MiB", (highest - before) // MIB)


def test_256_mib_down(t):
    t.needs_speed()
    backend = t.backend()
    gateway = t.simple(backend)
    before = gateway.rss_bytes()
    client = t.client(gateway, record=False).send(request())
    server = backend.accept()
    read_request(server)
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)
    sending = in_thread(large, server, BIG)
    read_response(client, body=False)
    receiving = in_thread(client.discard, BIG)
    highest = highest_rss(gateway, receiving)
    receiving.finish()
    sending.finish()
    check(highest - before < bound(t), "memory grew by %d MiB", (highest - before) // MIB)


def test_chunked_32_mib_both_ways_is_exact(t):
    t.needs_speed()
    data = bytes(range(256)) * 4096 * 32

    def echo(conn):
        seen = read_request(conn)
        conn.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(0, len(seen.body), 100000):
            piece = seen.body[i:i + 100000]
            conn.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        conn.send(b"0\r\n\r\n")

    gateway = t.simple(t.backend().serve(echo))
    client = t.client(gateway)

    def send():
        client.send(request("POST", fields=[("Transfer-Encoding", "chunked")]))
        for i in range(0, len(data), 77777):
            piece = data[i:i + 77777]
            client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        client.send(b"0\r\n\r\n")

    sending = in_thread(send)
    reply = read_response(client)
    sending.finish()
    check(reply.complete and reply.body == data, "the body changed (%d bytes)", len(reply.body))


def fill_until_stuck(conn, barrier, most=BIG):
    """Sends until nothing more is taken, also after other traffic passed through the gateway; how much was taken."""
    block = b"\x00" * 262144
    total, stuck = 0, 0
    while stuck < 3:
        taken = conn.send_some(block, 0.3)
        total += taken
        stuck = 0 if taken else stuck + 1
        check(total < most, "the sender was never stopped: %d MiB", total // MIB)
        if not taken:
            barrier()
    return total


def test_a_stopped_backend_stops_the_uploader(t):
    t.needs_speed()
    backend = t.backend(receive_buffer=SMALL_BUFFER)
    gateway = t.simple(backend)
    before = gateway.rss_bytes()
    client = t.client(gateway).send(upload_head(BIG))
    server = backend.accept(record=False)
    read_head(server)
    taken = fill_until_stuck(client, lambda: None)
    check(gateway.rss_bytes() - before < bound(t), "memory grew by %d MiB", (gateway.rss_bytes() - before) // MIB)
    rest = in_thread(large, client, BIG - taken)
    server.discard(BIG)
    rest.finish()
    server.send(response())
    same(read_response(client).status, 200, "status")


def test_a_stopped_client_stops_the_sender(t):
    t.needs_speed()
    backend = t.backend()
    gateway = t.simple(backend)
    before = gateway.rss_bytes()
    client = t.client(gateway, receive_buffer=SMALL_BUFFER, record=False).send(request())
    server = backend.accept()
    read_request(server)
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)

    def another_exchange():
        other = t.client(gateway).send(request(target="/other"))
        conn = backend.accept()
        read_request(conn)
        conn.send(response())
        same(read_response(other).status, 200, "status")
        other.close()
        conn.close()

    taken = fill_until_stuck(server, another_exchange)
    check(gateway.rss_bytes() - before < bound(t), "memory grew by %d MiB", (gateway.rss_bytes() - before) // MIB)
    rest = in_thread(large, server, BIG - taken)
    read_response(client, body=False)
    client.discard(BIG)
    rest.finish()


def test_a_client_that_never_reads_on_is_ended(t):
    t.needs_speed()
    backend = t.backend()
    gateway = t.simple(backend, timeouts={"body": "500ms"})
    client = t.client(gateway, receive_buffer=SMALL_BUFFER).send(request())
    server = backend.accept()
    read_request(server)
    server.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG)

    def ended():
        try:
            server.send_some(b"x" * 65536, 0.05)
        except OSError:
            return True
        return not server.is_open()
    wait_until(ended, what="the stalled exchange to end")
    gateway.wait_record(end="client_stalled")
    client.close()


def test_early_answer_ends_a_large_upload(t):
    """The backend answers and stops reading: the client gets the answer, and the upload does not go on for ever."""
    t.needs_speed()
    backend = t.backend(receive_buffer=SMALL_BUFFER)
    gateway = t.simple(backend, timeouts={"body": "1s"})
    client = t.client(gateway).send(upload_head(BIG))
    server = backend.accept(record=False)
    read_head(server)
    server.send(response(403, b"no"))
    block = b"x" * 65536

    def answered_or_ended():
        try:
            client.send_some(block, 0.01)
        except OSError:
            client.poll()
            return True
        client.poll()
        return b"no" in client.unread
    wait_until(answered_or_ended, what="the early answer")
    same(read_response(client).status, 403, "status")

    def over():
        try:
            client.send_some(block, 0.01)
        except OSError:
            return True
        return not client.is_open()
    wait_until(over, what="the connection to end")
