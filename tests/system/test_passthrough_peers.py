"""Layer 4 between programs that others wrote: openssl, curl and Chromium as clients; openssl, nginx and HAProxy as servers, which also
hear by the PROXY protocol who the client is. Each client verifies whose certificate it gets.
"""
import os
import shutil
import subprocess

import harness
from harness import check, same
from test_passthrough import passing, record_of
from test_programs import Program, run
from tls_peers import Certificate, echo_server, need
from wire import connect, wait_until


class Server:
    """A program that listens, as a backend of the gateway's configuration."""

    def __init__(self, t, arguments, port, **options):
        self.port, self.address = port, "127.0.0.1:%d" % port
        self.program = Program(t, arguments, **options)
        wait_until(self._answers, what="%s on its port" % arguments[0])

    def _answers(self):
        check(self.program.process.poll() is None, "a server ended: %s", self.program.process.args)
        try:
            connect(("127.0.0.1", self.port)).close()
        except OSError:
            return False
        return True


def openssl_server(t, certificate, *options):
    port = t.free_port()
    return Server(t, ["openssl", "s_server", "-accept", "127.0.0.1:%d" % port, "-cert", certificate.certificate, "-key", certificate.key,
                      "-quiet", *options], port, cwd=t.folder)


def nginx(t, certificate, proxy_protocol):
    need("nginx")
    port, folder = t.free_port(), t.path("nginx")
    os.makedirs(folder, exist_ok=True)
    text = """daemon off; master_process off; pid %(folder)s/pid; error_log stderr error;
events { }
http {
    access_log off;
    client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy; fastcgi_temp_path %(folder)s/fcgi;
    uwsgi_temp_path %(folder)s/uwsgi; scgi_temp_path %(folder)s/scgi;
    server {
        listen 127.0.0.1:%(port)d ssl%(proxy)s;
        ssl_certificate %(certificate)s; ssl_certificate_key %(key)s;
        location / { return 200 "nginx for $proxy_protocol_addr by $ssl_server_name\\n"; }
    }
}
""" % {"folder": folder, "port": port, "proxy": " proxy_protocol" if proxy_protocol else "", "certificate": certificate.certificate,
       "key": certificate.key}
    return Server(t, ["nginx", "-e", "stderr", "-p", folder, "-c", t.write("nginx.conf", text)], port,
                  env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin"))


def haproxy(t, certificate):
    need("haproxy")
    port = t.free_port()
    text = """defaults
    mode http
    timeout client 30s
    timeout server 30s
    timeout connect 5s
frontend f
    bind 127.0.0.1:%d ssl crt %s accept-proxy
    http-request return status 200 content-type text/plain lf-string "haproxy for %%[src] by %%[ssl_fc_sni]"
""" % (port, certificate.both)
    return Server(t, ["haproxy", "-db", "-f", t.write("haproxy.cfg", text)], port, env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin"))


def curl(gateway, name, certificate, *options, path="/"):
    need("curl")
    port = gateway.port
    return run(["curl", "-sS", "--max-time", "30", "--noproxy", "*", "--cacert", certificate.certificate, "--resolve",
                "%s:%d:127.0.0.1" % (name, port), *options, "https://%s:%d%s" % (name, port, path)])


def fetched(gateway, name, certificate, *options):
    code, out, err = curl(gateway, name, certificate, *options)
    same(code, 0, "curl's exit code (%s)" % err.strip())
    return out.decode()


def test_curl_and_two_web_servers(t):
    one, two = Certificate(t, "one.test"), Certificate(t, "two.test")
    gateway = passing(t, {"one.test": nginx(t, one, False), "two.test": openssl_server(t, two, "-www")})
    same(fetched(gateway, "one.test", one), "nginx for  by one.test\n", "body")
    check("s_server" in fetched(gateway, "two.test", two, "--tls-max", "1.2"), "no page of s_server's")
    same(record_of(gateway, server_name="one.test")["alpn"], "h2,http/1.1", "protocols")
    code, _, err = curl(gateway, "three.test", one)
    same(code, 35, "curl's exit code for a name that nobody has")
    check("unrecognized name" in err, "curl says %r", err)


def test_curl_by_plain_http(t):
    need("curl")
    gateway = passing(t, {"*": t.backend()})
    code, out, _ = run(["curl", "-sS", "--noproxy", "*", "-w", "%{http_code}", "http://127.0.0.1:%d/" % gateway.port])
    same(code, 0, "curl's exit code")
    check(out.endswith(b"400") and b"TLS was due" in out, "curl got %r", out)


def test_proxy_header_to_nginx_and_haproxy(t):
    t.needs_speed()                      # nginx wants the header in one piece
    one, two = Certificate(t, "one.test"), Certificate(t, "two.test")
    servers = {"one.test": nginx(t, one, True), "two.test": haproxy(t, two)}
    for version in ("v2", "v1"):
        gateway = passing(t, servers, {"address": "127.0.0.1:0"},
                          upstreams={"u%d" % server.port: {"send_proxy": version} for server in servers.values()})
        same(fetched(gateway, "one.test", one, "--interface", "127.0.0.3"), "nginx for 127.0.0.3 by one.test\n", "body")
        same(fetched(gateway, "two.test", two, "--interface", "127.0.0.4"), "haproxy for 127.0.0.4 by two.test", "body")


def s_client(t, gateway, name, certificate, data, *options):
    """The line that openssl's client prints for a line of data, and its complaints; it ends when its input does."""
    given = ["-servername", name] if name else ["-noservername"]
    client = subprocess.Popen(["openssl", "s_client", "-connect", "127.0.0.1:%d" % gateway.port, "-CAfile", certificate.certificate,
                               "-verify_return_error", "-quiet", "-no_ign_eof", *given, *options],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=t.folder)
    t.on_exit(client.kill)
    client.stdin.write(data)
    client.stdin.flush()
    line = client.stdout.readline()      # or nothing, when it ended
    _, complaints = client.communicate(timeout=60 * harness.wire.SLOWNESS)
    return line, complaints.decode("utf-8", "replace")


def test_openssl_client(t):
    """A hello of old and new versions, in records of 512 bytes, without a name; the echo says that the bytes are the same."""
    one, other = Certificate(t, "one.test"), Certificate(t, "other.test")
    gateway = passing(t, {"one.test": openssl_server(t, one, "-rev"), "*": openssl_server(t, other, "-rev")})
    long_list = ",".join("protocol-%d" % i for i in range(60))
    for name, certificate, options in (("one.test", one, ()), ("one.test", one, ("-tls1_2",)), (None, other, ()),
                                       ("one.test", one, ("-max_send_frag", "512", "-alpn", long_list)), ("ONE.TEST", one, ())):
        out, err = s_client(t, gateway, name, certificate, b"abcdef\n", *options)
        same(out, b"fedcba\n", "what came back (%s)" % err)
    _, err = s_client(t, passing(t, {"one.test": t.backend()}), "two.test", one, b"")
    check("unrecognized name" in err, "openssl says %r", err)


def test_chromium(t):
    """Its hello has made-up values, Encrypted Client Hello and a post-quantum key, and does not fit into one packet."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if not browser:
        raise harness.Skip("chromium is not installed")
    one = Certificate(t, "one.test")
    gateway = passing(t, {"one.test": nginx(t, one, False), "*": echo_server(t, one)})
    code, out, err = run([browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir=" + t.path("profile"),
                          "--no-proxy-server", "--ignore-certificate-errors", "--host-resolver-rules=MAP one.test 127.0.0.1",
                          "--dump-dom", "https://one.test:%d/" % gateway.port])
    same(code, 0, "chromium's exit code (%s)" % err[-500:])
    check(b"nginx for  by one.test" in out, "chromium shows %r", out)
    record = record_of(gateway, server_name="one.test")
    check(record["alpn"].startswith("h2,"), "record: %r", record)
