"""Load balancers of others before and behind the gateway: HAProxy and nginx, with PROXY headers and with fields. The client's real address
comes through all of them, and no address that a client made up does.
"""
import os

import frames
from harness import Skip, check, described, same
from messages import read_response, request
from test_passthrough_peers import Server
from tls_peers import Certificate, need

BYE = [("Connection", "close")]
SPOOFED = [("X-Forwarded-For", "6.6.6.6"), ("Forwarded", "for=6.6.6.6"), ("X-Real-IP", "6.6.6.6")]
PATHS = dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin")
STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"
HAPROXY = """global
    nosplice
defaults
    mode %(mode)s
    timeout client 30s
    timeout server 30s
    timeout connect 5s
    timeout tunnel 30s
frontend f
    bind 127.0.0.1:%(port)d %(bind)s
    %(rules)s
    default_backend b
backend b
    %(back)s
    server s 127.0.0.1:%(to)d %(server)s
"""
NGINX = """daemon off; master_process off; pid %(folder)s/pid; error_log stderr error;
%(before)s
events { }
%(block)s
"""
NGINX_HTTP = """http {
    access_log off;
    client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy; fastcgi_temp_path %(folder)s/fcgi;
    uwsgi_temp_path %(folder)s/uwsgi; scgi_temp_path %(folder)s/scgi;
    server {
        listen 127.0.0.1:%(port)d%(listen)s;
        location / { %(location)s }
    }
}"""


def haproxy(t, to=1, mode="http", bind="", rules="", back="", server=""):
    need("haproxy")
    port = t.free_port()
    text = HAPROXY % {"mode": mode, "port": port, "bind": bind, "rules": rules, "back": back, "to": to, "server": server}
    return Server(t, ["haproxy", "-db", "-q", "-f", t.write("haproxy-%d.cfg" % port, text)], port, env=PATHS)


def nginx(t, block, before="", **words):
    need("nginx")
    port = t.free_port()
    folder = t.path("nginx-%d" % port)
    os.makedirs(folder, exist_ok=True)
    text = NGINX % {"folder": folder, "before": before, "block": block % dict(words, folder=folder, port=port)}
    return Server(t, ["nginx", "-e", "stderr", "-p", folder, "-c", t.write("nginx-%d.conf" % port, text)], port, env=PATHS)


class Front:
    """Where a client connects, in the place of a gateway."""

    def __init__(self, server):
        self.server = server

    def address(self, index=0):
        check(index == 0)
        return ("127.0.0.1", self.server.port)


def seen_through(t, front, source="127.0.0.9", fields=()):
    """A request from this address through what stands in front; the fields that the backend saw."""
    client = t.client(Front(front), source=source)
    client.send(request(fields=list(fields) + BYE))
    reply = read_response(client)
    client.close()
    same(reply.status, 200, "status")
    return dict(described(reply)["fields"])


def tunnel_through(t, front, gateway, backend, source):
    client, server = t.upgrade(Front(front), backend, source=source)
    client.send(frames.frame(1, b"hello"))
    same(frames.read_frame(server).payload, b"hello", "payload")
    client.send(frames.frame(8, frames.close_payload(1000)))
    server.wait_for(lambda unread: len(unread) >= 8)
    server.send(frames.frame(8, frames.close_payload(1000), mask=False))
    server.close()
    client.close()
    return gateway.wait_record(kind="tunnel")


REQUIRE = {"address": "127.0.0.1:0", "trusted": ["127.0.0.1"], "proxy_protocol": "require"}


def expect_headers_of(t, front_of):
    """front_of(port): a load balancer that sends PROXY headers to that port, and knows nothing of HTTP or adds nothing."""
    t.needs_speed()
    gateway = t.simple(t.app(), listeners=[REQUIRE])
    front = front_of(gateway.port)
    for source in ("127.0.0.9", "127.0.0.10"):
        seen = seen_through(t, front, source, SPOOFED)
        same(seen["X-Forwarded-For"], source, "X-Forwarded-For")
        check("Forwarded" not in seen and "X-Real-IP" not in seen, "spoofed fields came through: %r", seen)
        check(gateway.wait_record(kind="exchange")["client"].startswith("127.0.0."), "the log's client")
    backend = t.backend()
    gateway = t.simple(backend, listeners=[REQUIRE])
    record = tunnel_through(t, front_of(gateway.port), gateway, backend, "127.0.0.11")
    check(record["client"].startswith("127.0.0.11:"), "the tunnel's client: %r", record["client"])


def test_haproxy_sends_version_1(t):
    expect_headers_of(t, lambda port: haproxy(t, port, "tcp", server="send-proxy"))


def test_haproxy_sends_version_2_with_checksum(t):
    expect_headers_of(t, lambda port: haproxy(t, port, "tcp", server="send-proxy-v2 proxy-v2-options crc32c,unique-id",
                                              rules="unique-id-format %ci:%cp-%Ts"))


def test_haproxy_in_http_mode_with_checks(t):
    """Its own checks, LOCAL connections, are answered as from itself."""
    t.needs_speed()
    gateway = t.simple(t.app(), listeners=[REQUIRE])
    front = haproxy(t, gateway.port, server="send-proxy-v2 check inter 100 check-send-proxy", back="option httpchk GET /alive")
    gateway.wait(lambda: [r for r in gateway.records if r.get("target") == "/alive" and r["client"].startswith("127.0.0.1:")],
                 what="a check in the log")
    same(seen_through(t, front, fields=SPOOFED)["X-Forwarded-For"], "127.0.0.9", "X-Forwarded-For")


def test_haproxy_tells_of_tls(t):
    t.needs_speed()
    need("curl", "haproxy")
    from test_programs import run  # pylint: disable=import-outside-toplevel
    certificate = Certificate(t, "one.test")
    gateway = t.simple(t.app(), listeners=[REQUIRE])
    front = haproxy(t, gateway.port, bind="ssl crt " + certificate.both, server="send-proxy-v2-ssl-cn")
    code, out, err = run(["curl", "-sS", "--max-time", "30", "--noproxy", "*", "--cacert", certificate.certificate, "--interface", "127.0.0.9",
                          "--resolve", "one.test:%d:127.0.0.1" % front.port, "https://one.test:%d/" % front.port])
    same(code, 0, "curl's exit code (%s)" % err)
    check(b'["X-Forwarded-For", "127.0.0.9"]' in out and b'["X-Forwarded-Proto", "https"]' in out, "the backend saw %r", out)


def test_nginx_sends_version_1(t):
    if not os.access(STREAM_MODULE, os.R_OK):
        raise Skip("nginx's stream module (libnginx-mod-stream) is not installed")
    block = "stream { server { listen 127.0.0.1:%%(port)d; proxy_pass 127.0.0.1:%d; proxy_protocol on; } }"
    expect_headers_of(t, lambda port: nginx(t, block % port, "load_module %s;" % STREAM_MODULE))


def test_fields_of_haproxy_and_nginx(t):
    """Both append to X-Forwarded-For, and let through whatever else a client made up."""
    gateway = t.simple(t.app(), listeners=[{"address": "127.0.0.1:0", "trusted": ["127.0.0.1"]}])
    forward = "proxy_pass http://127.0.0.1:%d; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;" % gateway.port
    fronts = [haproxy(t, gateway.port, rules="option forwardfor"), nginx(t, NGINX_HTTP, listen="", location=forward)]
    for number, front in enumerate(fronts):
        source = "127.0.0.%d" % (20 + number)
        seen = seen_through(t, front, source, SPOOFED)
        check(seen["X-Forwarded-For"].endswith("127.0.0.1"), "the chain: %r", seen["X-Forwarded-For"])
        gateway.wait_record(kind="exchange", client=source)
    same([r for r in gateway.records if "6.6.6.6" in r["client"]], [], "made-up clients in the log")


# ---- behind ----

def test_haproxy_and_nginx_behind(t):
    """What the gateway sends is what they take it for, and a tunnel goes through them."""
    t.needs_speed()
    app = t.app()
    behind = [haproxy(t, app.port, bind="accept-proxy", rules="option forwardfor"),
              nginx(t, NGINX_HTTP, listen=" proxy_protocol",
                    location="proxy_pass http://127.0.0.1:%d; proxy_set_header X-Forwarded-For $proxy_protocol_addr;" % app.port)]
    for version in ("v1", "v2"):
        for server in behind:
            gateway = t.simple(server, upstream={"send_proxy": version})
            for source in ("127.0.0.9", "127.0.0.10"):
                client = t.client(gateway, source=source)
                client.send(request())
                told = [value for name, value in described(read_response(client))["fields"] if name.lower() == "x-forwarded-for"]
                same(told[-1], source, "the client that the server behind knows")
        backend = t.backend()
        server = haproxy(t, backend.port, bind="accept-proxy", rules="option forwardfor")
        gateway = t.simple(server, upstream={"send_proxy": version})
        client, origin = t.upgrade(gateway, backend, source="127.0.0.12")
        client.send(frames.frame(1, b"hello"))
        same(frames.read_frame(origin).payload, b"hello", "payload")
        client.reset()
        origin.close()


def test_between_two(t):
    """HAProxy, the gateway, nginx: the header goes in, and out again."""
    t.needs_speed()
    last = nginx(t, NGINX_HTTP, listen=" proxy_protocol", location='return 200 "$proxy_protocol_addr $http_x_forwarded_for";')
    gateway = t.simple(last, listeners=[REQUIRE], upstream={"send_proxy": "v2"})
    front = haproxy(t, gateway.port, "tcp", server="send-proxy-v2")
    client = t.client(Front(front), source="127.0.0.13")
    client.send(request(fields=SPOOFED + BYE))
    same(read_response(client).body, b"127.0.0.13 127.0.0.13", "what nginx knows")
