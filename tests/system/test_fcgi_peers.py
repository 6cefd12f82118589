"""FastCGI servers that others wrote, behind the gateway: one table of cases, asked of each application of interop/fcgi.

Each case says what the *application* saw, and what came of it to the client. All cases of a peer run through one gateway, one after
the other, so that what one of them leaves behind on a kept connection is met by the next.
UPGATE_FCGI_FRONT=nginx runs them through nginx instead: where a case fails there too, it may be the case that is wrong.
"""
import hashlib
import json
import os
import traceback

import harness
from fcgi_peers import launch, large, peer, same_bytes
from harness import MIB, Log, Wrong, check, same
from messages import chunked, read_head, read_response, request
from wire import connect

CLOSE = ("Connection", "close")


class Front:
    """What stands in front of a peer: the gateway, or nginx."""

    def __init__(self, t, started, **upstream):
        self.t, self.peer, self.gateway = t, started, None
        if os.environ.get("UPGATE_FCGI_FRONT") == "nginx":
            nginx = launch.Nginx(t.folder, started)
            t.on_exit(nginx.stop)
            self.address = nginx.address
            return
        options = dict({"protocol": "fastcgi"}, **upstream)
        if not started.keeps:
            options["keepalive"] = "off"
        if started.script:
            options["fastcgi"] = started.script
        self.gateway = t.simple(started.address, upstream=options)
        self.address = self.gateway.address()

    def client(self, **options):
        conn = connect(self.address, **options)
        self.t.conns.append(conn)
        return conn

    def ask(self, target, method="GET", fields=(), body=None, raw=None):
        """One request on a connection of its own; its response, which has to be whole."""
        client = self.client()
        client.send(raw or request(method, target, list(fields) + [CLOSE], body))
        reply = read_response(client, method)
        check(reply is not None and reply.complete, "no whole answer to %s: %r", target, reply)
        client.close()
        return reply

    def see(self, target="/see", *arguments, **options):
        """What the application saw of a request."""
        return seen_in(self.ask(target, *arguments, **options))


def seen_in(reply):
    same(reply.status, 200, "status of %r" % reply)
    return json.loads(reply.body)


def digest(data):
    return {"bytes": len(data), "sha1": hashlib.sha1(data).hexdigest()}


# The cases: functions of the front, in the order in which they are asked.

def case_get(front):
    seen = front.see("/see?x=1")
    same((seen["method"], seen["uri"], seen["body"]), ("GET", "/see?x=1", digest(b"")), "request")
    params = seen["params"]
    same((params["REQUEST_METHOD"], params["QUERY_STRING"], params["SERVER_PROTOCOL"]), ("GET", "x=1", "HTTP/1.1"), "parameters")
    same(params["GATEWAY_INTERFACE"], "CGI/1.1", "interface")
    check(not params.get("CONTENT_LENGTH") and not params.get("CONTENT_TYPE"), "of a body: %r", params)
    same(seen["fields"]["HOST"], "test.example", "Host")
    same(params["REMOTE_ADDR"], "127.0.0.1", "the client's address")


def case_head(front):
    client = front.client()
    for method in ["HEAD", "GET", "HEAD"]:
        client.send(request(method, "/see"))
        reply = read_response(client, method)
        same((reply.status, reply.get("Content-Type")), (200, "application/json"), "answer to %s" % method)
        if method == "GET":
            same(json.loads(reply.body)["method"], "GET", "method at the application")


def case_post(front):
    seen = front.see("/see", "POST", [("Content-Type", "text/x-odd; a=b")], b"a=1&b=2")
    same((seen["method"], seen["body"]), ("POST", digest(b"a=1&b=2")), "request")
    same((seen["params"]["CONTENT_TYPE"], seen["params"]["CONTENT_LENGTH"]), ("text/x-odd; a=b", "7"), "parameters")


def case_empty_post(front):
    seen = front.see("/see", "POST", body=b"")
    same((seen["method"], seen["body"]), ("POST", digest(b"")), "request")


def case_methods(front):
    for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND", "M-SEARCH", "FROBNICATE"]:
        seen = front.see("/see", method, body=b"x" if method == "PUT" else None)
        same((seen["method"], seen["params"]["REQUEST_METHOD"]), (method, method), "method")


def case_query(front):
    for query in ["a=b&c=%20+%2F&&=", "%00%ff", "a[]=1;b?c=/../d", "-d+allow_url_include%3d1", ""]:
        seen = front.see("/see?" + query)
        same(seen["params"]["QUERY_STRING"], query, "query")


def case_path_info(front):
    seen = front.see("/see/a/b.php/c")
    same(seen["uri"], "/see/a/b.php/c", "uri")
    if front.peer.name == "go":
        return                           # the library keeps it to itself
    fixed = front.peer.script is not None
    same(seen["params"].get("PATH_INFO") or "", "" if fixed else "/see/a/b.php/c", "PATH_INFO")
    same(seen["params"].get("SCRIPT_NAME", ""), "/front.php" if fixed else "", "SCRIPT_NAME")
    if fixed:
        same(front.see("/front.php/see")["params"]["PATH_INFO"], "/see", "PATH_INFO behind the script's own name")


def case_percent(front):
    seen = front.see("/see/a%20b%C3%A9%2B%25")
    same(seen["uri"], "/see/a%20b%C3%A9%2B%25", "uri")
    if front.peer.script is None and front.peer.name != "go":
        info = seen["params"]["PATH_INFO"]
        check(info in ("/see/a b\u00e9+%", "/see/a b\u00c3\u00a9+%"), "PATH_INFO, decoded once: %r", info)


def case_long_field(front):
    for n in [127, 128, 7000, 30000]:
        same(front.see("/see", fields=[("X-Long", "y" * n)])["fields"]["X_LONG"], "y" * n, "a value of %d bytes" % n)


def case_many_fields(front):
    seen = front.see("/see", fields=[("X-F-%d" % i, str(i)) for i in range(100)])
    same([seen["fields"].get("X_F_%d" % i) for i in range(100)], [str(i) for i in range(100)], "fields")


def case_cookies_are_joined(front):
    seen = front.see("/see", fields=[("Cookie", "a=1; b=2"), ("Cookie", "c=3")])
    same(seen["fields"]["COOKIE"], "a=1; b=2; c=3", "cookies")


def case_repeated_fields_are_joined(front):
    seen = front.see("/see", fields=[("X-D", "1"), ("x-d", "2, 3"), ("X-D", "4")])
    same(seen["fields"]["X_D"], "1, 2, 3, 4", "fields")


def case_proxy_is_dropped(front):
    for name in ["Proxy", "pRoXY"]:
        seen = front.see("/see", fields=[(name, "http://evil.example:80")])
        check("PROXY" not in seen["fields"] and "HTTP_PROXY" not in seen["params"], "HTTP_PROXY came through: %r", seen)


def case_names_that_fold_are_dropped(front):
    seen = front.see("/see", fields=[("X_Some_Name", "evil"), ("X.Some.Name", "evil"), ("X-Some-Name", "good"), ("Content_Length", "5")])
    same(seen["fields"].get("X_SOME_NAME"), "good", "the field")
    check("CONTENT_LENGTH" not in seen["fields"] and not seen["params"].get("CONTENT_LENGTH"), "Content_Length came through: %r", seen)


def case_facts_cannot_be_forged(front):
    forged = [("X-Forwarded-For", "1.2.3.4"), ("X-Real-IP", "1.2.3.4"), ("Forwarded", "for=1.2.3.4"), ("X-Forwarded-Proto", "https"),
              ("Https", "on"), ("Script-Filename", "/etc/passwd"), ("Remote-User", "root"), ("PHP-VALUE", "auto_prepend_file=/x")]
    seen = front.see("/see", fields=forged)
    same(seen["params"]["REMOTE_ADDR"], "127.0.0.1", "the client's address")
    check(not set(seen["params"]) & {"HTTPS", "REMOTE_USER", "PHP_VALUE"}, "forged: %r", seen["params"])
    check(not set(seen["fields"]) & {"X_FORWARDED_FOR", "X_REAL_IP", "FORWARDED", "X_FORWARDED_PROTO"}, "forged: %r", seen["fields"])


def case_chunked_upload(front):
    pieces = [b"one", b"two" * 10000, b"3"]
    seen = front.see(raw=request("POST", "/see", [("Transfer-Encoding", "chunked"), CLOSE]) + chunked(*pieces))
    same(seen["body"], digest(b"".join(pieces)), "body")
    check("TRANSFER_ENCODING" not in seen["fields"], "the coding is not the application's: %r", seen["fields"])


def case_upload_that_is_echoed(front):
    """1 MiB, while the application answers: neither side may wait for the other."""
    data = os.urandom(MIB)
    client = front.client()
    sender = harness.in_thread(client.send, request("POST", "/echo", [("Content-Length", str(MIB)), CLOSE]) + data)
    reply = read_response(client, deadline=3 * harness.DEADLINE)
    sender.finish()
    same_bytes(reply.body, data, "echo")
    check(reply.complete, "the echo is not whole")


def case_download(front):
    reply = front.ask("/large?n=%d" % (8 * MIB))
    same_bytes(reply.body, large(8 * MIB), "download")


def case_empty_answer(front):
    client = front.client()
    for _ in range(2):
        client.send(request("GET", "/empty"))
        reply = read_response(client)
        same((reply.status, reply.body, reply.complete), (200, b"", True), "answer")


def case_statuses(front):
    client = front.client()
    for code in [200, 201, 404, 204, 418, 304, 500, 503]:
        client.send(request("GET", "/status?code=%d" % code))
        reply = read_response(client)
        same((reply.status, reply.body), (code, b"" if code in (204, 304) else b"status %d\n" % code), "answer")


def case_redirects(front):
    for to in ["http://elsewhere.example/x?y=z", "/there"]:
        reply = front.ask("/redirect?to=" + to.replace("?", "%3F"))
        location = reply.get("Location") or ""
        check(reply.status == 302 and location.endswith(to), "answer: %r", reply)


def case_fields_of_the_answer(front):
    reply = front.ask("/fields?n=9000")
    same((reply.get("X-Long"), reply.all("Set-Cookie")), ("x" * 9000, ["a=1", "b=2"]), "fields")
    check(reply.get("Date") and not reply.has("Status"), "fields: %r", reply.fields)


def case_stderr(front):
    if not front.peer.has_stderr:
        return
    reply = front.ask("/stderr?word=watch-out-%s" % front.peer.name)
    same((reply.status, reply.body), (200, b"told\n"), "answer")
    if front.gateway:
        front.gateway.wait(lambda: any("watch-out-" + front.peer.name in line for line in front.gateway.stderr_lines),
                           what="the application's words in the log")


def case_slow_answer_is_streamed(front):
    """The application sends a piece when it is told that the last one has arrived at the client."""
    client, gate = front.client(), front.t.path("gate-slow")
    client.send(request("GET", "/gate?n=3&at=" + gate))
    reply = read_response(client, body=False)
    same((reply.status, reply.framing), (200, "chunked"), "head")
    for number in (1, 2, 3):
        client.wait_for(lambda data: b"piece %d\n" % number in data, what_has_come(client))
        front.t.write("gate-slow.%d" % number, "")
    client.wait_for(lambda data: data.endswith(b"0\r\n\r\n"))


def what_has_come(_):
    return 2 * harness.DEADLINE


def case_client_goes_away(front):
    """In the middle of an endless download, once for each request that the application can work on at once: it goes on."""
    for _ in range(front.peer.concurrent if front.peer.concurrent <= 16 else 3):
        client = front.client(receive_buffer=4096)
        client.send(request("GET", "/large?n=%d" % (1 << 40)))
        client.wait_for(lambda data: len(data) > 100000)
        client.reset()
    for _ in range(3):
        same(front.see("/see/after")["uri"], "/see/after", "uri")


def case_client_goes_away_while_it_uploads(front):
    for _ in range(front.peer.concurrent if front.peer.concurrent <= 16 else 3):
        client = front.client()
        client.send(request("POST", "/see", [("Content-Length", "1000000")]) + b"x" * 100000)
        client.reset()
    for _ in range(3):
        same(front.see("/see/after")["uri"], "/see/after", "uri")


def case_expect_continue(front):
    for fields, body in [([("Content-Length", "5")], b"hello"), ([("Transfer-Encoding", "chunked")], chunked(b"hello"))]:
        client = front.client()
        client.send(request("POST", "/see", fields + [("Expect", "100-continue"), CLOSE]))
        interim = read_head(client)
        same(interim.status, 100, "interim status")
        client.send(body)
        seen = seen_in(read_response(client))
        same(seen["body"], digest(b"hello"), "body")
        check("EXPECT" not in seen["fields"], "Expect is not the application's: %r", seen["fields"])


def case_kept_connection(front):
    client = front.client()
    for number in range(20):
        client.send(request("POST", "/see?%d" % number, body=b"%d" % number))
        seen = seen_in(read_response(client))
        same((seen["uri"], seen["body"]), ("/see?%d" % number, digest(b"%d" % number)), "request")


def case_pipelined(front):
    client = front.client()
    client.send(b"".join(request("GET", "/see?%d" % number) for number in range(5)))
    for number in range(5):
        same(seen_in(read_response(client))["uri"], "/see?%d" % number, "request")


def case_at_once(front):
    """As many requests as the application can work on: each has begun its answer before any may go on."""
    n, gate = min(front.peer.concurrent, 16), front.t.path("gate-many")
    clients = [front.client() for _ in range(n)]
    for number, client in enumerate(clients):
        client.send(request("GET", "/gate?n=2&at=%s&%d" % (gate, number)))
    for client in clients:
        client.wait_for(lambda data: b"piece 1\n" in data, 2 * harness.DEADLINE)
    front.t.write("gate-many.1", "")
    for client in clients:
        reply = read_response(client)
        same((reply.status, reply.body), (200, b"piece 1\npiece 2\n"), "answer")


def case_old_client(front):
    """HTTP/1.0: no chunks come to it."""
    client = front.client()
    client.send(request("GET", "/see", version="1.0"))
    reply = read_response(client)
    check(reply.framing != "chunked" and reply.complete, "framing: %r", reply)
    same(seen_in(reply)["params"]["SERVER_PROTOCOL"], "HTTP/1.0", "protocol")


CASES = [value for name, value in list(globals().items()) if name.startswith("case_")]


def run_cases(t, name, tcp=False, **upstream):
    """Every case; what fails is told of all of them."""
    t.needs_speed()
    front = Front(t, peer(t, name, tcp), **upstream)
    failed = []
    for case in CASES:
        try:
            case(front)
        except Exception as error:
            failed.append("%s: %s: %s\n%s" % (case.__name__, type(error).__name__, error, traceback.format_exc(limit=-3)))
            check(front.peer.is_running(), "%s ended in %s: %s", name, case.__name__, front.peer.logged()[-1000:])
    if failed:
        raise Wrong("%d of %d cases failed\n%s" % (len(failed), len(CASES), "\n".join(failed)))
    return front


def test_php(t):
    run_cases(t, "php")


def test_php_over_tcp(t):
    run_cases(t, "php", tcp=True)


def test_go(t):
    run_cases(t, "go")


def test_libfcgi(t):
    run_cases(t, "libfcgi", tcp=True)


def test_perl(t):
    run_cases(t, "perl")


def test_node(t):
    run_cases(t, "node", tcp=True)


# PHP's own ways: a folder of scripts.

def tree(t, **upstream):
    front = Front(t, peer(t, "php_tree"), **upstream)
    return front, front.ask


def test_php_scripts_and_their_paths(t):
    front, ask = tree(t)
    same(ask("/").body, b"index of the tree\n", "index")
    for target, name, info in [("/info.php", "/info.php", None), ("/info.php/", "/info.php", "/"), ("//info.php/a//b%20c", "/info.php", "/a//b c"),
                               ("/info.php/x.php/y", "/info.php", "/x.php/y"), ("/info.php/%c3%a9", "/info.php", "/\u00e9")]:
        seen = json.loads(ask(target + "?q=1").body)
        same((seen["file"], seen["name"], seen["path_info"], seen["get"]), ("info.php", name, info, {"q": "1"}), target)
    for target in ["/missing.php", "/info.PHP", "/info.php.txt", "/info", "/info.php%00.txt", "/../php/front.php", "/%2e%2e/front.php",
                   "/info.php%2fx", "/x/../../front.php", "/info.php/../../front.php", "/info.ph%70%0a", "/.php", "/tree%5cinfo.php"]:
        status = ask(target).status
        check(status in (400, 404), "%s was answered with %d", target, status)
    same(json.loads(ask("/info.ph%70").body)["file"], "info.php", "an escaped letter")


def test_php_upload_form(t):
    _, ask = tree(t)
    data = os.urandom(700000)
    parts = [b'Content-Disposition: form-data; name="title"\r\n\r\na b',
             b'Content-Disposition: form-data; name="photo"; filename="p.bin"\r\nContent-Type: x/y\r\n\r\n' + data]
    body = b"".join(b"--edge\r\n" + part + b"\r\n" for part in parts) + b"--edge--\r\n"
    reply = ask("/upload.php", "POST", [("Content-Type", "multipart/form-data; boundary=edge")], body)
    seen = json.loads(reply.body)
    same((seen["post"], seen["files"]["photo"]),
         ({"title": "a b"}, {"name": "p.bin", "bytes": 700000, "error": 0, "sha1": hashlib.sha1(data).hexdigest()}), "form")


def test_php_session(t):
    _, ask = tree(t)
    reply = ask("/session.php")
    cookie = reply.get("Set-Cookie").split(";")[0]
    for count in (2, 3):
        reply = ask("/session.php", fields=[("Cookie", "x=y"), ("Cookie", cookie)])
        same(reply.body, b"%d\n" % count, "the session's count")


def test_php_fatal_errors(t):
    front, ask = tree(t)
    reply = ask("/fatal.php")
    same((reply.status, reply.body), (500, b""), "an error before the body")
    reply = ask("/fatal.php?after=1")
    same((reply.status, len(reply.body)), (200, 17000), "an error within it: php-fpm ends the request as if it were good")
    if front.gateway:
        front.gateway.wait(lambda: sum("there_is_no_such_function" in line for line in front.gateway.stderr_lines) == 2,
                           what="both errors in the log")


def test_php_is_killed_and_comes_back(t):
    """Requests that were inside are answered with an error, at once; others wait for nothing; a new php-fpm is found."""
    front, ask = tree(t, retries=0)
    inside = [front.client() for _ in range(3)]
    for number, client in enumerate(inside):
        client.send(request("GET", "/slow.php?at=" + t.path("slow%d" % number)))
        harness.wait_until(lambda: os.path.exists(t.path("slow%d.runs" % number)), what="a script that runs")
    same(ask("/info.php").status, 200, "beside them")
    front.peer.kill()
    for client in inside:
        same(read_response(client).status, 502, "of a request that was inside")
    same(ask("/info.php").status, 502, "with no php-fpm")
    again = launch.PhpTree(front.peer.folder)
    t.on_exit(again.stop)
    same(again.address, front.peer.address, "its address")
    same(json.loads(ask("/info.php").body)["file"], "info.php", "with a new one")
    front.peer.process = again.process   # which is what has to be alive at the end
    records = [r for r in front.gateway.records if r.get(Log.STATUS) == 502]
    check(len(records) >= 4 and all(r[Log.END] != "complete" for r in records), "records: %r", records)


def test_go_with_many_on_one_connection(t):
    """What it says of itself is true: the same cases, where requests share connections and bodies come without a length."""
    front = run_cases(t, "go", fastcgi={"multiplex": "on", "length": "optional"})
    if front.gateway is not None:
        said = [line for line in front.gateway.stderr_lines if "requests at a time on a connection" in line]
        check(len(said) == 1 and "takes 64 requests" in said[0], "the log about what the server takes: %r", said)
