"""`upgate fcgi` with FastCGI servers that others wrote: the same questions to each application of interop/fcgi."""
import json
import os
import subprocess

import harness
from fcgi_peers import ROOT, large, peer, same_bytes
from harness import MIB, Skip, check, same
from test_programs import Program
from test_fcgi_tool import APPLICATION, GOOD, STATUS, TIMEOUT, run


def to(started, path):
    """The tool's arguments for this path."""
    script = [word for key, value in (started.script or {}).items() for word in ("--" + key, value)]
    return script + ["fcgi:%s%s%s" % (started.address, ":" if started.address.startswith("unix:") else "", path)]


def conversation(t, name, tcp):
    started = peer(t, name, tcp)
    seen = json.loads(run(t, "-H", "X-A: 1", "-H", "X-A: 2", *to(started, "/see/x%20y?q=%2F")).due(GOOD).out)
    same((seen["method"], seen["uri"], seen["fields"]["X_A"], seen["body"]["bytes"]), ("GET", "/see/x%20y?q=%2F", "1, 2", 0), "seen")
    data = os.urandom(MIB)
    seen = json.loads(run(t, "-X", "PUT", "-d", "@-", *to(started, "/see"), given=data).due(GOOD).out)
    same((seen["method"], seen["params"]["CONTENT_LENGTH"], seen["body"]["bytes"]), ("PUT", str(MIB), MIB), "seen")
    same_bytes(run(t, "-d", "@-", *to(started, "/echo"), given=data).due(GOOD).out, data, "echo")
    same_bytes(run(t, *to(started, "/large?n=%d" % (8 * MIB))).due(GOOD).out, large(8 * MIB), "download")
    head, _, body = run(t, "-i", "-f", *to(started, "/status?code=503")).due(STATUS).out.partition(b"\r\n\r\n")
    check(head.startswith(b"HTTP/1.1 503 ") and body == b"status 503\n", "an error: %r %r", head, body)
    run(t, "-I", *to(started, "/see")).due(GOOD)
    if started.has_stderr:
        run(t, *to(started, "/stderr?word=watch-out")).due(GOOD, b"told\n", "watch-out")
    pieces(t, started)
    return started


def pieces(t, started):
    """Each piece of a slow answer is shown as it comes: the application sends the next one when it is told that the last came."""
    tool = subprocess.Popen([t.binary, "fcgi", *to(started, "/gate?n=3&at=" + t.path("gate"))], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=harness.sanitizer_environment())
    t.on_exit(lambda: tool.poll() is None and tool.kill())
    for number in (1, 2, 3):
        same(tool.stdout.readline(), b"piece %d\n" % number, "piece")
        t.write("gate.%d" % number, "")
    same(tool.wait(30 * harness.wire.SLOWNESS), GOOD, "exit code (%s)" % tool.stderr.read())


def values(t, started, due):
    run(t, "--get-values", *to(started, "")).due(GOOD, due)


def test_php(t):
    values(t, conversation(t, "php", False), b"FCGI_MPXS_CONNS=0\n")


def test_php_over_tcp(t):
    conversation(t, "php", True)


def test_go(t):
    values(t, conversation(t, "go", False), b"FCGI_MPXS_CONNS=1\n")


def test_libfcgi(t):
    started = conversation(t, "libfcgi", True)
    run(t, "--get-values", "--timeout", "200ms", *to(started, "")).due(TIMEOUT, b"")     # libfcgi is silent
    run(t, *to(started, "/exit?code=7")).due(APPLICATION, b"", "7")


def test_perl(t):
    conversation(t, "perl", False)


def test_node(t):
    values(t, conversation(t, "node", True), b"FCGI_MAX_CONNS=2000\nFCGI_MAX_REQS=2000\nFCGI_MPXS_CONNS=1\n")


def test_php_scripts_of_a_folder(t):
    started = peer(t, "php_tree")
    same(run(t, *to(started, "/")).due(GOOD).out, b"index of the tree\n", "index")
    seen = json.loads(run(t, *to(started, "/info.php/a/b%20c?x=1")).due(GOOD).out)
    same((seen["file"], seen["name"], seen["path_info"], seen["get"]), ("info.php", "/info.php", "/a/b c", {"x": "1"}), "seen")
    with open(t.path("photo.bin"), "wb") as out:
        out.write(os.urandom(300000))
    seen = json.loads(run(t, "-F", "title=a b", "-F", "photo=@" + t.path("photo.bin"), *to(started, "/upload.php")).due(GOOD).out)
    same((seen["post"], seen["files"]["photo"]["name"], seen["files"]["photo"]["bytes"]), ({"title": "a b"}, "photo.bin", 300000), "form")
    run(t, "-f", *to(started, "/fatal.php")).due(STATUS, None, "there_is_no_such_function")
    run(t, "-f", *to(started, "/missing.php")).due(STATUS, b"File not found.\n", "404")


def test_the_demos_application(t):
    """On libfcgi, too: its own page, an upload, and an end on TERM that finishes what is under way."""
    program = os.path.join(os.path.dirname(t.binary), "demo_fcgi_app")
    if not os.access(program, os.X_OK):
        raise Skip("demo_fcgi_app was not built (Debian: libfcgi-dev)")
    app = Program(t, [program, "--root", os.path.join(ROOT, "interop", "app", "page")], env=harness.sanitizer_environment())
    address = "fcgi://" + app.line().split()[1]
    check(b"<title>Upgate demo</title>" in run(t, address + "/").due(GOOD).out, "no page")
    seen = json.loads(run(t, "-d", "@-", address + "/upload", given=b"x" * MIB).due(GOOD).out)
    same(seen["bytes"], MIB, "bytes of the upload")
    run(t, "-f", address + "/nowhere").due(STATUS)
    slow = subprocess.Popen([t.binary, "fcgi", address + "/stream?n=2&ms=300"], stdout=subprocess.PIPE,
                            env=harness.sanitizer_environment())
    same(slow.stdout.readline(), b"piece 1 of 2\n", "the first piece")
    app.process.terminate()
    same((slow.stdout.read(), slow.wait(30 * harness.wire.SLOWNESS)), (b"piece 2 of 2\n", GOOD), "the rest")
    same(app.process.wait(30 * harness.wire.SLOWNESS), 0, "exit code of the application")
