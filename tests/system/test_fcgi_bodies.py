"""Long bodies from a FastCGI server: records of every size and padding, cut anywhere, with other things between them. Long ones go from
socket to socket, and nobody may see a difference."""
import os
import random
import signal

import fcgi
import messages
from fcgi import STDERR, STDOUT, end, record
from harness import MIB, check, in_thread, same

LARGEST = 65535
SEEDS = [int(os.environ["UPGATE_TEST_SEED"])] if "UPGATE_TEST_SEED" in os.environ else range(1, 5)
SIZES = [                                # of the records of one body
    [LARGEST] * 6, [65528, 32768, 32767, 65528], [1, LARGEST, 1, 40000, 2, LARGEST], [32768] * 8, [100, 50000, LARGEST, 3000, 60000],
    [LARGEST], [40000],
]


def gateway(t, backend):
    return t.simple(backend, upstream={"protocol": "fastcgi", "fastcgi": {"stderr_bytes": "1KiB"}})


def asked(t, gateway, backend, **options):
    client = t.client(gateway, **options).send(messages.request())
    server = fcgi.Server(backend.accept())
    check(server.request() is not None, "no request came")
    return client, server


def head(length):
    return b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % length


def content(n, seed):
    return (bytes((i * 7 + seed) % 256 for i in range(997)) * (n // 997 + 1))[:n]


def body_and_records(sizes, seed, noise):
    """What the client is to get, and the records with it; with noise between them."""
    chance = random.Random(seed)
    pieces = [content(size, seed + n) for n, size in enumerate(sizes)]
    records = []
    for piece in pieces:
        records.append(record(STDOUT, piece, padding=chance.choice([0, 1, 7, 8, 255])))
        if noise:
            records.append(record(STDERR, b"a line\n" * chance.choice([1, 2])))
    return b"".join(pieces), b"".join(records)


def send_cut(conn, data, seed):
    """In pieces of any size, some of which end within a header."""
    chance, at = random.Random(seed), 0
    while at < len(data):
        n = chance.choice([1, 3, 8, 15, 16, 17, 1000, 32768, 65535, 65543, 200000])
        conn.send(data[at:at + n])
        at += n


def test_every_size_at_odd_cuts_on_kept_connections(t):
    backend = t.backend()
    g = gateway(t, backend)
    client, server = t.client(g), None
    for number, sizes in enumerate(SIZES):
        for cut in (False, True):
            body, records = body_and_records(sizes, number, noise=cut)
            client.send(messages.request())
            server = server or fcgi.Server(backend.accept())
            check(server.request() is not None, "no request came on the connection that was kept")
            data = record(STDOUT, head(len(body))) + records + record(STDOUT) + end()
            answering = in_thread(send_cut, server.conn, data, number) if cut else in_thread(server.conn.send, data)
            reply = messages.read_response(client)
            answering.finish()
            check(reply.body == body, "body %d, cut: %s, is another one, of %d bytes", number, cut, len(reply.body))
            g.wait_record(bytes_out=len(body))


def random_answer(chance):
    """A body, whether its length is said, and the records; what is said of the length goes before them or into their first."""
    sizes = [chance.choice([0, 1, 15, 16, 17, 1000, 16384, 32767, 32768, 40000, 65528, LARGEST]) or chance.randrange(1, LARGEST) for _ in
             range(chance.randrange(1, 14))]
    pieces = [content(size, chance.randrange(256)) for size in sizes]
    body, said = b"".join(pieces), chance.random() < 0.7
    before = head(len(body)) if said else b"Content-Type: text/plain\r\n\r\n"
    if chance.random() < 0.5 and len(before) + len(pieces[0]) <= LARGEST:
        pieces[0] = before + pieces[0]
    else:
        pieces.insert(0, before)
    out = b""
    for piece in pieces:
        out += record(STDOUT, piece, padding=chance.choice([0, 0, 1, 7, 8, 16, 255]))
        if chance.random() < 0.2:
            out += record(STDERR, b"a line\n", padding=chance.choice([0, 1]))
    return body, said, out + (record(STDOUT) if chance.random() < 0.5 else b"") + end()


def test_random_answers_on_kept_connections(t):
    """With a length, in chunks, to HEAD; to a client that reads little at a time."""
    backend = t.backend()
    g = gateway(t, backend)
    for seed in SEEDS:
        chance, server = random.Random(seed), None
        client = t.client(g, receive_buffer=chance.choice([4096, 65536, MIB]))
        for _ in range(8):
            body, said, records = random_answer(chance)
            method = "HEAD" if chance.random() < 0.2 else "GET"
            client.send(messages.request(method))
            server = server or fcgi.Server(backend.accept())
            check(server.request() is not None, "seed %d: no request came", seed)
            answering = in_thread(send_cut, server.conn, records, seed) if chance.random() < 0.7 else in_thread(server.conn.send, records)
            reply = messages.read_response(client, method)
            answering.finish()
            same((reply.complete, reply.body == (b"" if method == "HEAD" else body)), (True, True), "seed %d, %s, length: %s, %d bytes" % (
                seed, method, said, len(body)))
            same(reply.get("Content-Length"), str(len(body)) if said else None, "seed %d: Content-Length" % seed)
        client.close()
        server.conn.close()              # another worker may serve the next client


def test_what_ends_within_a_long_record(t):
    """Each is seen as cut by the client, and everything that came before has reached it."""
    backend = t.backend()
    g = gateway(t, backend)
    first, rest = record(STDOUT, head(10 * MIB)), record(STDOUT, b"x" * LARGEST, padding=1) * 8
    cut = record(STDOUT, b"x" * 40000, padding=0, length=LARGEST)
    for why, last, close in [("fin", b"", "close"), ("rst", cut, "reset"), ("fin within", cut, "close"),
                             ("an end", record(STDOUT) + end(), None), ("a bad record", record(99, b"x"), None)]:
        client, server = asked(t, g, backend)
        server.conn.send(first + rest)
        reply = messages.read_response(client, body=False)
        client.wait_for(lambda data: len(data) >= 8 * LARGEST)
        server.conn.send(last)
        if close:
            getattr(server.conn, close)()
        reply = messages.read_body(client, reply)
        check(not reply.complete, "%s: the body looks whole", why)
        check(reply.body == b"x" * len(reply.body) and len(reply.body) >= 8 * LARGEST, "%s: %d bytes came", why, len(reply.body))
        client.close()
        server.conn.close()


def test_more_than_was_promised(t):
    backend = t.backend()
    g = gateway(t, backend)
    length = 4 * LARGEST + 10
    client, server = asked(t, g, backend)
    records = record(STDOUT, head(length)) + record(STDOUT, b"x" * LARGEST) * 5
    promised = len(records) - (LARGEST - 10) - 1         # up to there; behind the last record stands a byte of padding
    server.conn.send(records[:promised])
    reply = messages.read_response(client)
    check(reply.body == b"x" * length, "%d bytes came", len(reply.body))
    server.conn.send(records[promised:])
    client.wait_end()
    same((client.end, client.unread), ("rst", b""), "what is behind them")
    g.wait_record(end="server_fault")


def test_a_client_that_stops_and_reads_on(t):
    """What it does not read stays with the server; what it reads then is what was sent."""
    backend = t.backend()
    g = gateway(t, backend)
    sizes = [LARGEST] * 100
    body, records = body_and_records(sizes, 1, noise=False)
    client, server = asked(t, g, backend, receive_buffer=65536)
    sending = in_thread(server.conn.send, record(STDOUT, head(len(body))) + records + record(STDOUT) + end())
    reply = messages.read_response(client, body=False)
    client.wait_for(lambda data: len(data) >= MIB)
    reply = messages.read_body(client, reply)
    sending.finish()
    check(reply.complete and reply.body == body, "the body is another one, of %d bytes", len(reply.body))


def test_a_client_that_goes_within_a_long_record(t):
    backend = t.backend()
    g = gateway(t, backend)
    client, server = asked(t, g, backend)
    server.conn.send(record(STDOUT, head(MIB)) + record(STDOUT, b"x" * LARGEST) * 3)
    client.wait_for(lambda data: len(data) >= 3 * LARGEST)
    server.open[1] = fcgi.Request(1, True)
    server.open[1].params_over = server.open[1].body_over = True
    client.reset()
    check(server.until(lambda request: request.aborted) is not None, "the application is told")
    g.wait_record(end="client_aborted")


def cut_at(chance, records, how):
    return len(records) if how in ("whole", "client") else chance.randrange(len(records))


def test_random_ends(t):
    """The server ends or resets its connection anywhere, or the client goes: nothing that was cut passes for whole, and of nobody who did no
    wrong a fault is counted."""
    backend = t.backend()
    g = t.simple(backend, upstream={"protocol": "fastcgi"}, log={"level": "debug"})
    for seed in SEEDS:
        chance = random.Random(seed)
        for _ in range(10):
            body, said, records = random_answer(chance)
            how = chance.choice(["whole", "fin", "rst", "client", "client"])
            what = "seed %d, %s, length: %s, %d bytes" % (seed, how, said, len(body))
            client, server = asked(t, g, backend)
            cut = cut_at(chance, records, how)

            def answer(conn=server.conn, data=records[:cut], how=how):
                try:
                    send_cut(conn, data, len(data))
                except OSError:
                    check(how == "client", "the gateway ended the connection")
                if how != "whole":
                    getattr(conn, "reset" if how == "rst" else "close")()
            answering = in_thread(answer)
            if how == "client":
                n = chance.randrange(1, len(body) + 2)
                client.wait_for(lambda data, n=n: len(data) >= n)
                client.reset()
            else:
                reply = messages.read_response(client)
                looks_whole = reply.complete and reply.status == 200
                check(looks_whole or how != "whole", "%s: it is not whole: %r", what, reply)
                check(not looks_whole or reply.body == body, "%s: %d bytes pass for all", what, len(reply.body))
                check(not looks_whole or said or how == "whole" or cut >= len(records) - 24, "%s: cut at %d of %d, and looks whole", what, cut,
                      len(records))
                check(reply.status != 200 or body.startswith(reply.body), "%s: other bytes", what)
            answering.finish()
            client.close()
            server.conn.close()
    g.signal(signal.SIGTERM)
    same(g.wait_exit(), 0, "exit code")
    same([line for line in g.stderr_lines if "count upgate_faults" in line], [], "faults that were counted")
