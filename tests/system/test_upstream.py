"""Backends that are down, slow, rude or gone: what the client sees, and what is tried again."""
import socket

import wire
from harness import Log, check, same
from messages import read_head, read_request, read_response, request, response
from wire import Late, wait_until


def closed_port():
    """An address nobody listens on."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock, "127.0.0.1:%d" % sock.getsockname()[1]


def answered(t, answer, end="keep", sent=None, method="GET", **options):
    """The client's view of a scripted answer; end: keep, fin or rst behind it."""
    backend = t.backend()
    gateway = t.simple(backend, **options)
    client = t.client(gateway).send(sent or request(method))
    server = backend.accept()
    read_request(server)
    server.send(answer)
    if end == "fin":
        server.finish()
    elif end == "rst":
        if answer:
            client.wait_for(lambda data: len(data) > 0)
        server.reset()
    return gateway, client, server


def test_refused(t):
    holder, address = closed_port()
    gateway = t.simple(address)
    for _ in range(3):
        same(t.exchange(gateway).status, 502, "status")
    holder.close()


def test_unix_socket_that_is_not_there(t):
    same(t.exchange(t.simple("unix:" + t.path("nothing.sock"))).status, 502, "status")


def test_name_that_does_not_resolve(t):
    same(t.exchange(t.simple("no-such-host.invalid:80")).status, 502, "status")


def test_connect_timeout(t):
    """A listener whose queue is full lets no connection be made."""
    backend = t.backend(backlog=0)
    fillers = []
    for _ in range(8):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", backend.port))
        fillers.append(sock)
    gateway = t.simple(backend, timeouts={"connect": "300ms"})
    same(t.exchange(gateway).status, 504, "status")
    for sock in fillers:
        sock.close()


def test_response_timeout(t):
    gateway, client, server = answered(t, b"", timeouts={"response": "300ms"})
    same(read_response(client).status, 504, "status")
    server.wait_end()
    gateway.wait_record(**{Log.STATUS: 504, Log.END: "response_timeout"})


def test_half_a_response_head_times_out(t):
    _, client, server = answered(t, b"HTTP/1.1 200 OK\r\nX-Half: ", timeouts={"response": "300ms"})
    same(read_response(client).status, 504, "status")
    server.wait_end()


def test_close_and_reset_before_the_head(t):
    for end in ["fin", "rst"]:
        _, client, _ = answered(t, b"", end, sent=request("POST", body=b"x"))
        same(read_response(client).status, 502, "status")


def test_close_inside_the_head(t):
    _, client, _ = answered(t, b"HTTP/1.1 200 OK\r\nContent-Len", "fin", sent=request("POST", body=b"x"))
    same(read_response(client).status, 502, "status")


def test_malformed_heads_are_502(t):
    for answer in [b"garbage\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n",
                   b"HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n",
                   b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", b"ICY 200 OK\r\n\r\n",
                   b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
                   b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 400 + b"\r\n",
                   b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n"]:
        _, client, server = answered(t, b"", sent=request("POST", body=b"x"))
        try:
            server.send(answer)
        except OSError:
            pass
        reply = read_response(client)
        same(reply.status, 502, "status for %r" % answer[:60])
        check(b"garbage" not in reply.raw + reply.body, "the backend's bytes in the answer")


def truncated(t, answer, end):
    _, client, _ = answered(t, answer, end)
    reply = read_response(client)
    same(reply.status, 200, "status")
    check(not reply.complete, "a truncated body looks complete: %r", reply)
    check(client.wait_end() in ("fin", "rst"), "the connection stayed")


def test_truncated_length_looks_truncated(t):
    for end in ["fin", "rst"]:
        truncated(t, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 50, end)


def test_truncated_chunks_look_truncated(t):
    for end in ["fin", "rst"]:
        for part in [b"5\r\nabcde\r\n", b"5\r\nabcde\r\n8\r\nab", b"5\r\nabcde\r\n0\r\n", b"5\r\nabcde\r\n0\r\nX: y\r\n"]:
            truncated(t, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + part, end)


def test_reset_of_a_close_delimited_body_looks_truncated(t):
    truncated(t, b"HTTP/1.1 200 OK\r\n\r\npart", "rst")


def test_bad_chunk_inside_a_body_aborts(t):
    for bad in [b"xyz\r\n", b"5\r\nabcdefg\r\n", b"-1\r\n", b"fffffffffffffffff\r\n", b"5\nabcde\r\n"]:
        _, client, server = answered(t, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n" + bad)
        reply = read_response(client)
        check(not reply.complete and reply.body.startswith(b"abcde"), "after %r: %r", bad, reply)
        server.wait_end()


def test_a_stalled_response_body_ends(t):
    gateway, client, server = answered(t, b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", timeouts={"body": "300ms"})
    check(not read_response(client).complete, "a stalled body looks complete")
    server.wait_end()
    gateway.wait_record(**{Log.END: "server_stalled"})


def pooled(t, **options):
    """A gateway with one idle connection in its pool."""
    backend = t.backend()
    gateway = t.simple(backend, **options)
    client = t.client(gateway).send(request(target="/first"))
    server = backend.accept()
    read_request(server)
    server.send(response())
    same(read_response(client).status, 200, "status")
    return gateway, backend, client, server


def test_stale_pooled_connection_is_retried(t):
    """The backend ends the kept connection as the next request arrives: a GET is tried on a fresh one, once."""
    for end in ["close", "reset"]:
        gateway, backend, client, server = pooled(t)
        client.send(request(target="/second"))
        same(read_head(server).target, "/second", "target on the kept connection")
        getattr(server, end)()
        fresh = backend.accept()
        same(read_request(fresh).target, "/second", "target on the fresh connection")
        fresh.send(response(200, b"again"))
        same(read_response(client).body, b"again", "body")


def test_post_is_not_retried(t):
    """Bytes of it may have been acted on: 502, and the backend saw it once."""
    gateway, backend, client, server = pooled(t)
    client.send(request("POST", "/once", body=b"pay"))
    same(read_request(server).target, "/once", "target")
    server.close()
    same(read_response(client).status, 502, "status")
    same(len(backend.waiting()), 0, "further connections")


def test_a_retry_is_not_repeated_for_ever(t):
    gateway, backend, client, server = pooled(t)
    client.send(request(target="/again"))
    attempts = 0
    while True:
        read_head(server)
        server.close()
        attempts += 1
        check(attempts <= 4, "too many attempts")
        try:
            server = backend.accept(1 if attempts > 1 else None)
        except Late:
            break
    same(read_response(client).status, 502, "status")


def test_idle_connection_closed_by_the_backend_is_forgotten(t):
    gateway, backend, client, server = pooled(t)
    server.finish()
    server.wait_end()
    client.send(request(target="/next"))
    fresh = backend.accept()
    same(read_request(fresh).target, "/next", "target")
    fresh.send(response(200, b"fresh"))
    same(read_response(client).body, b"fresh", "body")


def test_unasked_response_on_an_idle_connection(t):
    """Bytes nobody asked for: the connection is closed and they are given to no one."""
    gateway, backend, client, server = pooled(t)
    server.send(response(200, b"poison"))
    server.wait_end()
    client.send(request(target="/next"))
    fresh = backend.accept()
    read_request(fresh)
    fresh.send(response(200, b"clean"))
    same(read_response(client).body, b"clean", "body")


def test_bytes_behind_a_response(t):
    """In one segment with a response: the response is delivered, the rest is poison and the connection not reused."""
    for answer in [response(200, b"one") + response(200, b"poison"), b"HTTP/1.1 204 No\r\n\r\npoison",
                   response(200, b"one") + b"p"]:
        backend = t.backend()
        client = t.client(t.simple(backend)).send(request())
        server = backend.accept()
        read_request(server)
        server.send(answer)
        check(read_response(client).status in (200, 204), "the response was lost")
        client.send(request(target="/next"))
        fresh = backend.accept()
        same(read_request(fresh).target, "/next", "target")
        fresh.send(response(200, b"clean"))
        same(read_response(client).body, b"clean", "body")


def test_body_behind_a_head_response_is_poison(t):
    backend = t.backend()
    client = t.client(t.simple(backend)).send(request("HEAD"))
    server = backend.accept()
    read_request(server)
    server.send(response(200, b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"))
    same(read_response(client, "HEAD").status, 200, "status")
    client.send(request(target="/next"))
    fresh = backend.accept()
    read_request(fresh)
    fresh.send(response(200, b"clean"))
    same(read_response(client).body, b"clean", "body")


def test_a_dead_server_of_two_is_passed_over(t):
    holder, dead = closed_port()
    alive = t.app(lambda seen: response(200, b"alive"))
    gateway = t.simple(dead, alive)
    for _ in range(10):
        same(t.exchange(gateway).body, b"alive", "body")
    holder.close()


def test_client_that_leaves_ends_the_backend_exchange(t):
    for end in ["close", "reset"]:
        backend = t.backend()
        gateway = t.simple(backend)
        client = t.client(gateway).send(request())
        server = backend.accept()
        read_request(server)
        server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nstart")
        client.wait_for(lambda data: b"start" in data)
        getattr(client, end)()
        block = b"x" * 10000

        def ended():
            try:
                server.send_some(block)
            except OSError:
                return True
            return not server.is_open()
        wait_until(ended, what="the backend's connection to end")
        gateway.wait_record(**{Log.END: "client_aborted"})


def test_no_descriptor_is_left_behind(t):
    gateway, backend, client, server = pooled(t)
    client.close()
    server.close()
    before = wait_until(lambda: gateway.descriptors(), what="descriptors")
    for _ in range(20):
        client = t.client(gateway).send(request("POST", body=b"x"))
        server = backend.accept()
        read_head(server)
        server.reset()
        same(read_response(client).status, 502, "status")
        client.close()
    wait_until(lambda: gateway.descriptors() <= before, what="the descriptors to fall back")


def test_unix_sockets_on_both_sides(t):
    backend = t.unix_backend()
    gateway = t.simple(backend, listeners=[{"address": "unix:" + t.path("front.sock")}])
    client = wire.connect(gateway.address())
    client.send(request("POST", "/u", body=b"over unix"))
    server = backend.accept()
    same(read_request(server).body, b"over unix", "body")
    server.send(response(200, b"and back"))
    same(read_response(client).body, b"and back", "body")
    client.close()


def test_unix_listener_replaces_a_stale_socket_file(t):
    path = t.path("front.sock")
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(path)
    stale.close()
    gateway = t.simple(t.app(), listeners=[{"address": "unix:" + path}])
    client = wire.connect(gateway.address())
    client.send(request())
    same(read_response(client).status, 200, "status")
    client.close()
