"""FastCGI with somebody hostile at one end: a server whose records are unlawful, late, endless or cut; a client that forges.

Whatever one connection brings, its requests end with a clear status or visibly cut, and the next request is served.
"""
import struct

import fcgi
import messages
from fcgi import OK, STDERR, STDOUT, end, record, stream
from harness import MIB, Log, check, in_thread, same, wait_until

HEAD = stream(STDOUT, b"Content-Type: text/plain\r\nContent-Length: 100\r\n\r\nhello")

# What no FastCGI server may send to a web server that has one request open, and whose fault it is said to be.
BAD = [
    (record(STDOUT, b"x", version=0), "version"), (record(STDOUT, b"x", version=255), "version"), (b"HTTP/1.1 200 OK\r\n\r\n", "version"),
    (record(0), "type"), (record(fcgi.BEGIN, bytes(8)), "type"), (record(fcgi.PARAMS, b"x"), "type"), (record(fcgi.STDIN, b"x"), "type"),
    (record(12, b"x"), "type"), (record(255, b"x"), "type"), (fcgi.values(FCGI_MPXS_CONNS=1), "type"),
    (record(fcgi.UNKNOWN, bytes(8), 0), "type"),
    (record(STDOUT, b"x", 0), "no request"), (record(STDOUT, b"x", 2), "no request"), (record(STDERR, b"x", 65535), "no request"),
    (end(2), "no request"),
    (record(fcgi.END, bytes(7)), "length"), (record(fcgi.END, bytes(9)), "length"), (record(fcgi.END), "length"),
    (record(fcgi.END, length=65535), "length"),
    (record(STDOUT) + record(STDOUT, b"x"), "end of a FastCGI stream"), (end(protocol=4), "protocol status"),
]


def gateway(t, backend, **fastcgi):
    return t.simple(backend, upstream={"protocol": "fastcgi", "fastcgi": fastcgi or {"stderr_bytes": "1KiB"}},
                    route_timeouts={"response": "2s"})


def asked(t, gateway, backend, target="/", fields=()):
    """A client with a request on its way, and the server's end of it."""
    client = t.client(gateway)
    client.send(messages.request("GET", target, fields=[("Connection", "close"), *fields]))
    server = fcgi.Server(backend.accept())
    check(server.request() is not None, "no request came")
    return client, server


def is_served(t, gateway, backend):
    client, server = asked(t, gateway, backend, "/again")
    server.conn.send(fcgi.answer(b"fine"))
    reply = messages.read_response(client)
    same((reply.status, reply.body), (200, b"fine"), "the next request")
    server.conn.close()
    client.close()


def test_records_that_no_server_may_send(t):
    backend = t.backend()
    g = gateway(t, backend)
    for bytes_, word in BAD:
        client, server = asked(t, g, backend)
        server.conn.send(bytes_)
        same(messages.read_response(client).status, 502, "the status of %r" % bytes_[:20])
        server.conn.wait_end()
        client.close()
        client, server = asked(t, g, backend)
        server.conn.send(HEAD)
        client.wait_for(lambda data: b"hello" in data)
        server.conn.send(bytes_)
        client.wait_end()
        same(client.end, "rst", "the end of an answer behind %r" % bytes_[:20])
        server.conn.close()
        g.wait(lambda: any(word in line for line in g.stderr_lines), what="`%s` in the log" % word)
    is_served(t, g, backend)


def test_answers_in_single_bytes(t):
    backend = t.backend()
    client, server = asked(t, gateway(t, backend), backend)
    server.conn.send_each_byte(record(STDERR, b"a line\n") + record(STDOUT, OK + b"hel", padding=255) + record(STDOUT, b"lo") + end())
    reply = messages.read_response(client)
    same((reply.status, reply.body), (200, b"hello"), "the answer")


def test_a_reset_at_each_record(t):
    backend = t.backend()
    g = gateway(t, backend)
    pieces = [record(STDERR, b"oops\n"), record(STDOUT, b"Content-Type: a/b\r\nContent-Length: 99\r\n"), record(STDOUT, b"\r\nhello"), record(STDOUT, b" world"),
              record(STDOUT)]
    for n in range(len(pieces) + 1):
        for cut in (0, 5):               # between records, and within the next
            client, server = asked(t, g, backend)
            server.conn.send(b"".join(pieces[:n]) + (pieces[n][:cut] if n < len(pieces) else end()[:cut]))
            if n >= 3:
                client.wait_for(lambda data: b"hello" in data)
            server.conn.reset()
            if n < 3:
                same(messages.read_response(client).status, 502, "the status behind %d records" % n)
            else:
                client.wait_end()
                same(client.end, "rst", "the end behind %d records" % n)
            client.close()
    is_served(t, g, backend)


def test_endless_errors(t):
    """They are no answer, and the log does not drown."""
    backend = t.backend()
    g = gateway(t, backend, stderr_bytes="1KiB")
    client, server = asked(t, g, backend)
    beside = in_thread(flood, server.conn, stream(STDERR, b"x" * 99 + b"\n") * 50)
    same(messages.read_response(client).status, 504, "the status")
    beside.finish()
    check(sum("stderr of GET" in line for line in g.stderr_lines) < 20, "the log has all of it")
    wait_until(lambda: any("bytes more were dropped" in line for line in g.stderr_lines), what="the line that says how much was dropped")
    is_served(t, g, backend)


def flood(conn, block):
    try:
        while True:
            conn.send(block)
    except OSError:
        pass                             # the gateway had enough


def test_an_end_before_the_promised_one(t):
    backend = t.backend()
    g = gateway(t, backend)
    for promised, due in ((b"", "fin"), (b"Content-Length: 6\r\n", "rst"), (b"Content-Length: 4\r\n", "rst")):
        client, server = asked(t, g, backend)
        server.conn.send(stream(STDOUT, b"Content-Type: a/b\r\n" + promised + b"\r\nhello") + end())
        client.wait_end()
        same(client.end, due, "the end of an answer that promised %r" % promised)
        server.conn.close()
        client.close()


def test_replies_that_are_none_are_quoted(t):
    backend = t.backend()
    g = gateway(t, backend)
    for reply, words in ((b"PHP Fatal\x1b[1m error\n\n", "PHP Fatal\\x1b[1m error"), (b"X: y\r\n\r\nbody", "none of Content-Type"),
                         (b"Status: 99\r\n\r\n", "Status: 99"), (b"Content-Type: a/b\r\n", "Content-Type: a/b"), (b"", "before it was complete")):
        client, server = asked(t, g, backend)
        server.conn.send(stream(STDOUT, reply) + end())
        same(messages.read_response(client).status, 502, "the status of %r" % reply)
        wait_until(lambda words=words: any(words in line for line in g.stderr_lines), what="%r in the log" % words)
        server.conn.close()
        client.close()


def test_a_server_that_never_reads(t):
    """The client's upload stops, and nothing piles up here."""
    t.needs_speed()
    backend = t.backend(receive_buffer=65536)
    g = t.simple(backend, upstream={"protocol": "fastcgi"}, route_timeouts={"body": "1s"})
    client = t.client(g)
    client.send(messages.request("POST", "/", fields=[("Content-Length", str(256 * MIB))]))
    server = backend.accept()
    sent = 0
    while True:
        n = client.send_some(b"\0" * 262144, 0.3)
        sent += n
        if n == 0:
            break
        check(sent < 64 * MIB, "%d bytes were taken for a server that reads nothing", sent)
    same(messages.read_response(client).status, 504, "the status")
    server.close()


def test_a_client_that_does_not_read(t):
    """The application's download stops, and goes on when the client reads: all of it arrives."""
    t.needs_speed()
    backend = t.backend()
    g = t.simple(backend, upstream={"protocol": "fastcgi"})
    client = t.client(g, receive_buffer=65536)
    client.send(messages.request("GET", "/", fields=[("Connection", "close")]))
    server = fcgi.Server(backend.accept())
    server.request()
    data = record(STDOUT, OK) + stream(STDOUT, bytes(32 * MIB)) + end()
    at, taken = 0, 1
    while taken:
        taken = server.conn.send_some(data[at:at + 262144], 0.3)
        at += taken
        check(at < 16 * MIB, "%d bytes were taken for a client that reads nothing", at)
    beside = in_thread(server.conn.send, data[at:])
    reply = messages.read_response(client)
    beside.finish()
    same((reply.status, len(reply.body)), (200, 32 * MIB), "what arrived")


def test_a_client_that_forges(t):
    backend = t.backend()
    g = gateway(t, backend)
    forged = [("Remote_User", "root"), ("HTTPS", "on"), ("Proxy", "http://evil"), ("X-Forwarded-For", "1.2.3.4"), ("X-Real-IP", "1.2.3.4"),
              ("X_Real_IP", "1.2.3.4"), ("Remote-Addr", "1.2.3.4"), ("Script.Filename", "/etc/passwd"), ("PHP-VALUE", "a=b"), ("SSL-CLIENT-VERIFY", "SUCCESS")]
    body = record(fcgi.PARAMS, fcgi.pair(b"REMOTE_USER", b"root")) + record(fcgi.BEGIN, struct.pack(">HB5x", 1, 0), 2)
    client = t.client(g)
    client.send(messages.request("POST", "/a?REMOTE_USER=root", fields=[("Connection", "close"), ("Content-Length", str(len(body))), *forged]) + body)
    server = fcgi.Server(backend.accept())
    request = server.request()
    same(request.body, body, "the body")
    same(request.params["REMOTE_ADDR"], "127.0.0.1", "REMOTE_ADDR")
    same(request.params.get("HTTPS"), "on" if t.scheme == "https" else None, "HTTPS")
    same(request.params.get("SSL_CLIENT_VERIFY"), "NONE" if t.scheme == "https" else None, "SSL_CLIENT_VERIFY")
    for name in ("REMOTE_USER", "SCRIPT_FILENAME", "PHP_VALUE", "HTTP_PROXY", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP"):
        check(name not in request.params, "%s is there: %r", name, request.params.get(name))
    own = {"CONTENT_LENGTH", "QUERY_STRING", "REQUEST_METHOD", "REQUEST_URI", "PATH_INFO", "SCRIPT_NAME", "DOCUMENT_URI", "REMOTE_ADDR",
           "REMOTE_PORT", "GATEWAY_INTERFACE", "SERVER_SOFTWARE", "SERVER_PROTOCOL", "SERVER_NAME", "SERVER_PORT", "SERVER_ADDR",
           "REQUEST_SCHEME", "REDIRECT_STATUS"}
    if t.scheme == "https":
        own |= {"HTTPS", "SSL_PROTOCOL", "SSL_CIPHER", "SSL_TLS_SNI", "SSL_CLIENT_VERIFY"}
    strange = [name for name in request.params if not name.startswith("HTTP_") and name not in own]
    same(strange, [], "parameters that come from nowhere")
    server.conn.send(fcgi.answer())
    same(messages.read_response(client).status, 200, "the status")


def test_an_abort_reaches_the_application(t):
    backend = t.unix_backend()
    g = gateway(t, backend)
    client, server = asked_until_params(t, g, backend)
    client.close()
    check(server.until(lambda request: request.aborted) is not None, "nobody was told that the client went")
    server.conn.wait_end()
    g.wait_record(**{Log.END: "client_aborted"})
    is_served(t, g, backend)


def asked_until_params(t, gateway, backend):
    client = t.client(gateway)
    client.send(messages.request("POST", "/", fields=[("Content-Length", "10")]) + b"abc")
    server = fcgi.Server(backend.accept())
    server.until(lambda request: request.body == b"abc")
    return client, server


def test_who_is_inside_when_a_server_dies(t):
    """Requests that it had are answered with an error each; those that come then go to the other."""
    first, second = t.backend(), t.backend()
    g = t.simple(first, second, upstream={"protocol": "fastcgi", "retries": 1})
    second.serve(lambda conn: serve(fcgi.Server(conn)))
    inside, servers = [], []
    for _ in range(8):
        client = t.client(g)
        client.send(messages.request("GET", "/", fields=[("Connection", "close")]))
        inside.append(client)
    servers = [fcgi.Server(first.accept()) for _ in range(4)]
    for server in servers:
        server.request()
    for server in servers:
        server.conn.reset()
    first.close()
    statuses = sorted(messages.read_response(client).status for client in inside)
    same(statuses, [200] * 4 + [502] * 4, "the statuses")
    for _ in range(4):
        same(t.exchange(g).status, 200, "the status of a request that came later")


def serve(server):
    while server.request() is not None:
        server.conn.send(fcgi.answer())
