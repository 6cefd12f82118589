"""`upgate fcgi`: what a FastCGI server sees of it, what it makes of the answers, and how it ends with servers that misbehave."""
import hashlib
import os
import subprocess
import threading

import fcgi
import harness
from fcgi import OK, STDERR, STDOUT, end, record, stream
from harness import MIB, check, in_thread, same

GOOD, USAGE, RESOLVE, CONNECT, FAULT, TRUNCATED, STATUS, OUTPUT, BODY = 0, 2, 6, 7, 8, 18, 22, 23, 26
TIMEOUT, APPLICATION, REFUSED = 28, 100, 101


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err.decode("utf-8", "replace")
        check(not harness.SANITIZER_REPORT.search(self.err), "a sanitizer's report: %s", self.err[-2000:])

    def due(self, code, out=None, words=""):
        check(self.code == code and (out is None or self.out == out) and words in self.err,
              "exit %r, %r, %r; due: %r, %r, %r", self.code, self.out[-300:], self.err[-1500:], code, out, words)
        return self


def run(t, *arguments, given=b"", seconds=60, **options):
    done = subprocess.run([t.binary, "fcgi", *arguments], input=given, capture_output=True, check=False,
                          timeout=seconds * harness.wire.SLOWNESS, env=harness.sanitizer_environment(), **options)
    return Result(done.returncode, done.stdout, done.stderr)


def ask(t, serve, *arguments, path="/", **options):
    """Runs the tool against a server that does serve(server) with the one connection: (result, what serve gave)."""
    backend = t.backend()

    def play():
        conn = backend.accept()
        try:
            return serve(fcgi.Server(conn))
        finally:
            conn.close()
    beside = in_thread(play)
    result = run(t, *arguments, "fcgi://%s%s" % (backend.address, path), **options)
    return result, beside.finish()


def answering(*pieces):
    """A server that reads the request, sends these, and closes. It gives the request."""
    def serve(server):
        request = server.request()
        server.conn.send(*pieces)
        return request
    return serve


def simple(t, *arguments, pieces=(fcgi.answer(),), **options):
    result, request = ask(t, answering(*pieces), *arguments, **options)
    result.due(GOOD)
    return request


# What the server sees.

def test_what_a_get_is(t):
    request = simple(t, path="/a%20b/c?x=1&y=%2F")
    same(request.keep, False, "KEEP_CONN")
    due = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/a b/c", "QUERY_STRING": "x=1&y=%2F",
           "REQUEST_URI": "/a%20b/c?x=1&y=%2F", "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1",
           "HTTP_HOST": "localhost", "HTTP_ACCEPT": "*/*", "REMOTE_ADDR": "127.0.0.1"}
    same({name: request.params.get(name) for name in due}, due, "parameters")
    check("CONTENT_LENGTH" not in request.params and "CONTENT_TYPE" not in request.params, "of a body: %r", request.params)
    same(request.body, b"", "body")


def test_fields_and_parameters(t):
    request = simple(t, "-X", "PROPFIND", "-H", "Host: a.example", "-H", "X-Two: 1", "-H", "X-Two: 2", "-H", "Accept:",
                     "-H", "X-Empty;", "-H", "Proxy: evil", "--param", "REMOTE_ADDR=192.0.2.1", "--param", "APP=x=y",
                     "--param", "HTTP_X_OWN=o", "-H", "X-Own: client")
    due = {"REQUEST_METHOD": "PROPFIND", "HTTP_HOST": "a.example", "SERVER_NAME": "a.example", "HTTP_X_TWO": "1, 2",
           "HTTP_X_EMPTY": "", "REMOTE_ADDR": "192.0.2.1", "APP": "x=y", "HTTP_X_OWN": "o"}
    same({name: request.params.get(name) for name in due}, due, "parameters")
    check("HTTP_ACCEPT" not in request.params and "HTTP_PROXY" not in request.params, "parameters: %r", request.params)


def test_a_name_that_folds_is_left_out_and_said(t):
    result, request = ask(t, answering(fcgi.answer()), "-H", "X_Y: 1")
    result.due(GOOD, b"ok", "not passed on")
    check("HTTP_X_Y" not in request.params, "parameters: %r", request.params)


def test_scripts(t):
    for arguments, path, due in [
            (["--root", "/www", "--script", "front.php"], "/any/where", ("/front.php", "/www/front.php", None)),
            (["--root", "/www"], "/d/a.php/p/q", ("/d/a.php", "/www/d/a.php", "/p/q")),
            (["--root", "/www"], "/d/", ("/d/index.php", "/www/d/index.php", None)),
            (["--root", "/www", "--split", ".cgi", "--index", "home.cgi"], "/", ("/home.cgi", "/www/home.cgi", None))]:
        p = simple(t, *arguments, path=path).params
        same((p["SCRIPT_NAME"], p["SCRIPT_FILENAME"], p.get("PATH_INFO")), due, "%r %s" % (arguments, path))
        same(p["DOCUMENT_ROOT"], "/www", "root")


def test_data_from_the_command_line_a_file_and_standard_input(t):
    request = simple(t, "-d", "a=1&b=2")
    same((request.params["REQUEST_METHOD"], request.params["CONTENT_LENGTH"], request.params["CONTENT_TYPE"], request.body),
         ("POST", "7", "application/x-www-form-urlencoded", b"a=1&b=2"), "request")
    data = os.urandom(200000)
    with open(t.path("data"), "wb") as out:
        out.write(data)
    request = simple(t, "-X", "PUT", "-H", "Content-Type: x/y", "-d", "@" + t.path("data"))
    same((request.params["REQUEST_METHOD"], request.params["CONTENT_LENGTH"], request.params["CONTENT_TYPE"]),
         ("PUT", "200000", "x/y"), "request")
    check(request.body == data, "another body: %d bytes", len(request.body))
    same([n for kind, n in request.records if kind == fcgi.STDIN], [65528, 65528, 65528, 3416, 0], "records")
    request = simple(t, "-d", "@-", given=data)
    same(request.params["CONTENT_LENGTH"], "200000", "length of what came from a pipe")
    check(request.body == data, "another body: %d bytes", len(request.body))
    request = simple(t, "-d", "")
    same((request.params["CONTENT_LENGTH"], request.body), ("0", b""), "an empty body")


def test_a_form_with_a_file(t):
    with open(t.path('a "b".bin'), "wb") as out:
        out.write(b"\0\r\n--x" * 1000)
    request = simple(t, "-F", "name=va=lue", "-F", "file=@" + t.path('a "b".bin'))
    kind, _, boundary = request.params["CONTENT_TYPE"].partition("; boundary=")
    same((kind, request.params["CONTENT_LENGTH"]), ("multipart/form-data", str(len(request.body))), "request")
    parts = request.body.split(b"--" + boundary.encode())
    same((parts[0], parts[-1], len(parts)), (b"", b"--\r\n", 4), "parts")
    same(parts[1], b'\r\nContent-Disposition: form-data; name="name"\r\n\r\nva=lue\r\n', "a field")
    head, _, rest = parts[2].partition(b"\r\n\r\n")
    check(b'name="file"; filename="a %22b%22.bin"' in head and rest == b"\0\r\n--x" * 1000 + b"\r\n", "a file: %r", head)


def test_unix_sockets(t):
    backend = t.unix_backend()
    for address, target in [("unix:" + backend.path + ":/x?y", "/x?y"), ("fcgi:unix:" + backend.path, "/"),
                            ("unix:" + backend.path + ":/a:b", "/a:b"), ("unix:" + backend.path + ":?q", "/?q")]:
        beside = in_thread(lambda: answering(fcgi.answer())(fcgi.Server(backend.accept())))
        run(t, address).due(GOOD, b"ok")
        same(beside.finish().params["REQUEST_URI"], target, address)


# What it makes of the answer.

def test_the_head_as_http_would_show_it(t):
    head = b"Status: 404 Gone fishing\nX-A: 1\nContent-Length: 4\nContent-Type: text/x\n\n"
    pieces = [stream(STDOUT, head + b"body"), record(STDOUT), end()]
    ask(t, answering(*pieces), "-i")[0].due(
        GOOD, b"HTTP/1.1 404 Gone fishing\r\nX-A: 1\r\nContent-Type: text/x\r\nContent-Length: 4\r\n\r\nbody")
    ask(t, answering(*pieces))[0].due(GOOD, b"body")
    ask(t, answering(*pieces), "--fail")[0].due(STATUS, b"body", "404")
    result, request = ask(t, answering(*pieces), "-I")
    result.due(GOOD, b"HTTP/1.1 404 Gone fishing\r\nX-A: 1\r\nContent-Type: text/x\r\nContent-Length: 4\r\n\r\n")
    same(request.params["REQUEST_METHOD"], "HEAD", "method")
    ask(t, answering(fcgi.answer(b"", b"Location: /there\n\n")), "-i")[0].due(
        GOOD, b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n")


def test_the_applications_errors_go_to_standard_error(t):
    pieces = [record(STDERR, b"warned"), stream(STDOUT, OK + b"a"), record(STDERR, b" twice"), stream(STDOUT, b"b"), end()]
    ask(t, answering(*pieces))[0].due(GOOD, b"ab", "warned twice\n")


def test_exit_status_of_the_application(t):
    ask(t, answering(fcgi.answer(status=7)))[0].due(APPLICATION, b"ok", "exit status is 7")


def test_refusals(t):
    for protocol, word in [(fcgi.OVERLOADED, "OVERLOADED"), (fcgi.CANT_MPX, "CANT_MPX_CONN"), (fcgi.UNKNOWN_ROLE, "UNKNOWN_ROLE")]:
        ask(t, answering(end(protocol=protocol)))[0].due(REFUSED, b"", word)


def test_verbose_shows_the_records(t):
    pieces = [record(STDERR, b"e\n"), record(STDOUT, OK + b"abc", padding=255), record(STDOUT), end(status=3)]
    result, _ = ask(t, answering(*pieces), "-v", "-d", "12345", "--param", "ODD=\x01")
    lines = result.due(APPLICATION, b"abc").err.split("\n")
    for line in ["> BEGIN_REQUEST id 1, 8 bytes, padding 0: role 1, the server closes", ">     REQUEST_METHOD=POST",
                 ">     ODD=\\x01", "> PARAMS id 1, 0 bytes, padding 0", "> STDIN id 1, 5 bytes, padding 3",
                 "> STDIN id 1, 0 bytes, padding 0", "< STDERR id 1, 2 bytes, padding 6", "e",
                 "< STDOUT id 1, %d bytes, padding 255" % (len(OK) + 3), "< STDOUT id 1, 0 bytes, padding 0",
                 "< END_REQUEST id 1, 8 bytes, padding 0: REQUEST_COMPLETE, exit status 3"]:
        check(line in lines, "%r is not among %r", line, lines)


def test_get_values(t):
    def asked(*pieces):
        def serve(server):
            same(fcgi.read_record(server.conn)[:2], (fcgi.GET_VALUES, 0), "record")
            server.conn.send(*pieces)
        return serve
    told = fcgi.values(FCGI_MAX_CONNS=10, FCGI_MAX_REQS=50, FCGI_MPXS_CONNS=1, OTHER="x")
    ask(t, asked(told), "--get-values")[0].due(GOOD, b"FCGI_MAX_CONNS=10\nFCGI_MAX_REQS=50\nFCGI_MPXS_CONNS=1\n")
    unknown = record(fcgi.UNKNOWN, bytes([fcgi.GET_VALUES]) + b"\0" * 7, 0)
    ask(t, asked(unknown), "--get-values")[0].due(GOOD, b"", "does not know")
    ask(t, asked(fcgi.values(FCGI_MPXS_CONNS=7)), "--get-values")[0].due(FAULT, b"", "FCGI_GET_VALUES")
    ask(t, asked(), "--get-values")[0].due(TRUNCATED, b"", "closed")


def test_output_to_a_file(t):
    path = t.path("out")
    ask(t, answering(fcgi.answer(b"x" * 100000)), "-o", path)[0].due(GOOD, b"")
    same(os.path.getsize(path), 100000, "bytes in the file")
    ask(t, answering(fcgi.answer()), "-o", t.path("no/such/folder"))[0].due(OUTPUT, b"", "No such file")
    if os.path.exists("/dev/full"):
        ask(t, answering(fcgi.answer()), "-o", "/dev/full")[0].due(OUTPUT, b"", "No space")


# Streams.

def memory_peak(pid):
    with open("/proc/%d/status" % pid, encoding="ascii") as status:
        return int(status.read().split("VmHWM:")[1].split()[0]) * 1024


def test_large_bodies_take_no_memory(t):
    """64 MiB up from a pipe and the same number down, while the peak of memory is asked for at the end of each."""
    total, block = 64 * MIB, os.urandom(MIB)
    backend = t.backend()

    def play():
        server = fcgi.Server(backend.accept(record=False))
        digest, count = hashlib.sha256(), 0
        while True:
            kind, _, content = fcgi.read_record(server.conn)
            if kind == fcgi.STDIN and not content:
                break
            if kind == fcgi.STDIN:
                digest.update(content)
                count += len(content)
        peak = memory_peak(tool.pid)
        server.conn.send(record(STDOUT, OK))
        for _ in range(total // MIB):
            server.conn.send(stream(STDOUT, block))
        server.conn.send(end())
        return count, digest.hexdigest(), peak

    tool = subprocess.Popen([t.binary, "fcgi", "-d", "@-", "--no-length", "fcgi://%s/" % backend.address], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=harness.sanitizer_environment())
    t.on_exit(lambda: tool.poll() is None and tool.kill())
    beside = in_thread(play)
    due = hashlib.sha256()
    for _ in range(total // MIB):
        tool.stdin.write(block)
        due.update(block)
    tool.stdin.close()
    got = 0
    while part := tool.stdout.read(MIB):
        got += len(part)
        peak = memory_peak(tool.pid) if got < total - 10 * MIB else peak
    same((tool.wait(60 * harness.wire.SLOWNESS), got), (GOOD, total), "exit code and bytes (%s)" % tool.stderr.read())
    count, digest, peak_up = beside.finish()
    same((count, digest), (total, due.hexdigest()), "what came to the server")
    limit = (160 if t.sanitizer == "address" else 24) * MIB
    check(max(peak, peak_up) < limit, "%d bytes of memory", max(peak, peak_up))


def test_what_comes_is_shown_at_once_both_ways(t):
    """A conversation: each line of standard input goes out as it comes, each piece of the answer is there before the next."""
    backend = t.backend()
    tool = subprocess.Popen([t.binary, "fcgi", "-d", "@-", "--no-length", "fcgi://%s/" % backend.address], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=harness.sanitizer_environment())
    t.on_exit(lambda: tool.poll() is None and tool.kill())
    server = fcgi.Server(backend.accept())
    server.until(lambda r: r.params_over)
    server.conn.send(record(STDOUT, OK))
    for word in [b"one\n", b"two\n", b"three\n"]:
        tool.stdin.write(word)
        tool.stdin.flush()
        same(server.step().records[-1], (fcgi.STDIN, len(word)), "record")
        server.conn.send(record(STDOUT, word))
        same(tool.stdout.readline(), word, "echo")
    tool.stdin.close()
    same(server.request().body, b"one\ntwo\nthree\n", "body")
    server.conn.send(end())
    same(tool.wait(30 * harness.wire.SLOWNESS), GOOD, "exit code (%s)" % tool.stderr.read())


def test_an_answer_before_the_body_is_over(t):
    """The server answers, ends the request and closes while most of the body is unsent: the answer counts."""
    def serve(server):
        server.until(lambda r: len(r.body) > 0)
        server.conn.send(stream(STDOUT, b"Status: 413\n\n"), end())
        server.conn.finish()
        server.conn.wait_end()
    ask(t, serve, "-i", "-d", "@-", given=b"x" * (8 * MIB))[0].due(GOOD, b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")


def test_who_reads_the_output_goes_away(t):
    backend = t.backend()
    tool = subprocess.Popen([t.binary, "fcgi", "fcgi://%s/" % backend.address], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=harness.sanitizer_environment())
    t.on_exit(lambda: tool.poll() is None and tool.kill())
    conn = backend.accept()
    fcgi.Server(conn).request()
    tool.stdout.close()
    conn.send(fcgi.stream(STDOUT, OK + b"x"))
    same(tool.wait(30 * harness.wire.SLOWNESS), OUTPUT, "exit code (%s)" % tool.stderr.read())


# Servers that misbehave: what is said, and the exit code.

HOSTILE = [
    ("another version", record(STDOUT, OK, version=2), FAULT, "version"),
    ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n", FAULT, "version"),
    ("a type of the other side", record(fcgi.STDIN, b"x"), FAULT, "type"),
    ("an unknown type", record(99, b"x"), FAULT, "type"),
    ("a management record unasked", fcgi.values(FCGI_MAX_CONNS=1), FAULT, "type"),
    ("another request's id", record(STDOUT, OK, request=2), FAULT, "no request"),
    ("id 0", record(STDOUT, OK, request=0), FAULT, "no request"),
    ("END_REQUEST too short", record(fcgi.END, b"\0" * 7), FAULT, "length"),
    ("END_REQUEST too long", record(fcgi.END, b"\0" * 9), FAULT, "length"),
    ("an unknown protocol status", end(protocol=9), FAULT, "protocol status"),
    ("content behind the end of STDOUT", record(STDOUT, OK) + record(STDOUT) + record(STDOUT, b"x"), FAULT, "followed the end"),
    ("no CGI field", fcgi.answer(head=b"X-A: 1\n\n"), FAULT, "none of Content-Type"),
    ("a status line", fcgi.answer(head=b"HTTP/1.1 200 OK\r\n\r\n"), FAULT, "    HTTP/1.1 200 OK"),
    ("a malformed field", fcgi.answer(head=b"Content Type: \x1bx\n\n"), FAULT, "    Content Type: \\x1bx"),
    ("a bad status", fcgi.answer(head=b"Status: 99\n\n"), FAULT, "    Status: 99"),
    ("more than was promised", fcgi.answer(b"xyz", b"Content-Type: x/y\nContent-Length: 2\n\n"), FAULT, "followed the end"),
    ("less than was promised", fcgi.answer(b"x", b"Content-Type: x/y\nContent-Length: 2\n\n"), TRUNCATED, "complete"),
    ("an end within the head", fcgi.answer(b"", b"Content-Type: x/y\n"), TRUNCATED, "complete"),
    ("nothing", b"", TRUNCATED, "closed"),
    ("half a header", record(STDOUT, OK)[:5], TRUNCATED, "closed"),
    ("half a record", record(STDOUT, OK + b"abc", padding=5)[:-7], TRUNCATED, "closed"),
    ("a header that promises more", record(STDOUT, OK, length=65535), TRUNCATED, "closed"),
    ("no END_REQUEST", record(STDOUT, OK + b"body") + record(STDOUT), TRUNCATED, "closed"),
]


def test_hostile_servers(t):
    for name, pieces, code, words in HOSTILE:
        result, _ = ask(t, answering(pieces))
        check(result.code == code and words in result.err, "%s: exit %d, %r", name, result.code, result.err)


def test_one_byte_at_a_time(t):
    def serve(server):
        server.request()
        server.conn.send_each_byte(record(STDERR, b"e\n", padding=3) + fcgi.answer(b"slowly", status=0))
    ask(t, serve, "-v")[0].due(GOOD, b"slowly", "< END_REQUEST")


def test_a_reset(t):
    def serve(server):
        server.request()
        server.conn.send(record(STDOUT, OK))
        server.conn.reset()
    result, _ = ask(t, serve)
    check(result.code == TRUNCATED and "before the end of the request" in result.err, "exit %d: %r", result.code, result.err)


def test_silence_and_a_trickle(t):
    def silent(server):
        server.request()
        server.conn.wait_end()
    ask(t, silent, "--timeout", "300ms")[0].due(TIMEOUT, b"", "--timeout")

    def trickle(server):
        server.request()
        while server.conn.is_open():
            try:
                server.conn.send(record(STDERR, b"."))
            except OSError:
                return
            server.conn.fill(0.02)
    ask(t, trickle, "--timeout", "20s", "--max-time", "500ms")[0].due(TIMEOUT, b"", "--max-time")


def test_nobody_reads_what_is_sent(t):
    tool_gone = threading.Event()
    backend = t.backend(receive_buffer=4096)
    beside = in_thread(lambda: backend.accept() and tool_gone.wait(60 * harness.wire.SLOWNESS))
    result = run(t, "--timeout", "500ms", "-d", "@-", "fcgi://%s/" % backend.address, given=b"x" * (16 * MIB))
    tool_gone.set()
    beside.finish()
    result.due(TIMEOUT, b"", "--timeout")


# Places that can't be reached, and words that can't be understood.

def test_no_server(t):
    gone = t.backend()
    gone.close()
    run(t, "fcgi://%s/" % gone.address).due(CONNECT, b"", gone.address)
    run(t, "unix:%s:/" % t.path("no.sock")).due(CONNECT, b"", "No such file")
    run(t, "fcgi://no-such-host.invalid:9000/").due(RESOLVE, b"", "no-such-host.invalid")


def test_usage(t):
    address = "fcgi://127.0.0.1:9/"
    for arguments, words in [
            ([], "where to"), ([address, address], "more than one"), (["fcgi://127.0.0.1/"], "port"), (["fcgi://h:0/"], "0"),
            (["-Q", address], "invalid option"), (["-H", "no colon", address], "-H"), (["-H", "a b: c", address], "-H"),
            (["-H", "a: b\nc: d", address], "-H"), (["--param", "=x", address], "--param"), (["-X", "A B", address], "-X"),
            (["--timeout", "5", address], "unit"), (["--timeout", "0s", address], "bounds"),
            (["-d", "a", "-F", "b=c", address], "exclude"), (["--script", "x", address], "--root"),
            (["--root", "relative", address], "absolute"), (["--no-length", "-d", "x", address], "--no-length"),
            (["-H", "Host: a b", address], "Host"), (["fcgi://127.0.0.1:9/a b"], "target"), (["fcgi://127.0.0.1:9/%zz"], "target"),
            (["-H", "Expect: magic", address], "expectation"), (["--root", "/www", "fcgi://127.0.0.1:9/x.html"], "no script"),
            (["unix:relative.sock:/x"], "absolute")]:
        result = run(t, *arguments)
        check(result.code == USAGE and words in result.err and not result.out, "%r: exit %d, %r", arguments, result.code, result.err)


def test_what_cannot_be_sent(t):
    run(t, "-d", "@" + t.path("missing"), "fcgi://127.0.0.1:9/").due(BODY, b"", "missing")
    run(t, "-F", "a=@" + t.folder, "fcgi://127.0.0.1:9/").due(BODY, b"", "directory")


def test_help_tells_the_exit_codes(t):
    out = run(t, "--help").due(GOOD).out.decode()
    for word in ["--get-values", "--no-length", "--max-time", "  8  the server", "101  the server refused"]:
        check(word in out, "%r is not in the help", word)
