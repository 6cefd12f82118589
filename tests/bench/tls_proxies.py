"""The proxies of the TLS benchmark: each with a listener per kind of certificate, and one in clear text whose servers speak TLS.

Each speaks TLS 1.2 and 1.3 with AES-128-GCM and X25519, hands out tickets, and does not verify the servers' certificate. GET /visit is answered
by the proxy itself, so that a visit costs a connection, a handshake and the least that HTTP can be.
"""
import os
import shutil
import subprocess

import proxies
from proxies import CannotStart, Packaged, Proxy, answers_at, await_that, free_port

WAYS = ["ecdsa", "rsa", "server"]        # certificates towards clients; TLS towards servers


def make_certificates(folder):
    """Self-signed: {kind: (certificate, key, both in one file)}."""
    made = {}
    for kind, key in [("ecdsa", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]), ("rsa", ["rsa:2048"])]:
        paths = [os.path.join(folder, kind + end) for end in [".crt", ".key", ".pem"]]
        subprocess.run(["openssl", "req", "-x509", "-newkey", *key, "-nodes", "-days", "30", "-subj", "/CN=bench.example", "-addext",
                        "subjectAltName=DNS:bench.example", "-keyout", paths[1], "-out", paths[0]], check=True, capture_output=True)
        with open(paths[2], "w", encoding="ascii") as both:
            for path in paths[:2]:
                with open(path, encoding="ascii") as one:
                    both.write(one.read())
        for path in paths:
            os.chmod(path, 0o644)
        made[kind] = tuple(paths)
    return made


class Upgate(Proxy):
    """Handshakes by a helper thread."""
    name = "upgate"

    def start(self):
        certificates = self.settings["certificates"]
        lines = ["workers: 1", "tls_threads: 1", "log: { level: info, access: { format: off } }", "listeners:"]
        lines += ["  - { address: 127.0.0.1:0, name: %s, tls: { certificates: [{ certificate: %s, key: %s }] } }" % (
            way, certificates[way][0], certificates[way][1]) for way in WAYS[:2]]
        lines += ["  - { address: 127.0.0.1:0, name: server }",
                  "timeouts: { drain: 1s, drain_spread: 10ms }", "upstreams:",
                  "  clear: { servers: [127.0.0.1:%d] }" % self.origin_ports["origin"],
                  "  secure: { servers: [127.0.0.1:%d], tls: { verify: off } }" % self.origin_ports["secure"], "routes:",
                  "  - { match: { listener: server, path: /echo }, upstream: secure }", "  - { match: { path: /echo }, upstream: clear }"]
        self.spawn([self.settings["upgate"], "-c", self.file("upgate.yaml", "\n".join(lines) + "\n")])
        self.ports = {"%s %s" % (self.name, way): port for way, port in zip(WAYS, self.announced_ports(len(WAYS)))}


class UpgateAlone(Upgate):
    """Without helper threads: none can be had, so the loop does handshakes itself, one step each turn."""
    name = "upgate, no helper"

    def environment(self):
        return dict(os.environ, LD_PRELOAD=self.settings["few_threads"])


class PackagedTls(Packaged):
    def start(self):
        program = shutil.which(self.command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if program is None:
            raise CannotStart("%s is not installed (Debian: %s)" % (self.command, self.package))
        for _ in range(5):
            ports = [free_port() for _ in WAYS]
            path = self.file(self.command + ".conf", self.configuration(*ports))
            os.chmod(self.folder, 0o777)
            self.spawn(self.arguments(program, path))
            if await_that(lambda: self.process.poll() is not None or all(map(answers_at, ports)), self.command + " does not answer") \
                    and self.process.poll() is None:
                self.ports = {"%s %s" % (self.name, way): port for way, port in zip(WAYS, ports)}
                return
        raise CannotStart("%s: %s" % (self.command, self.stderr()[-2000:]))


class Nginx(PackagedTls):
    name = command = "nginx"
    package = "nginx-light"
    arguments, pid = proxies.Nginx.arguments, proxies.Nginx.pid

    def configuration(self, ecdsa, rsa, server):
        paths = "".join("%s_temp_path %s/%s; " % (kind, self.folder, kind) for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        common = """proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade; proxy_read_timeout 5m;"""
        secure = "".join("""
    server {{
        listen 127.0.0.1:{port} ssl backlog=4096; ssl_certificate {crt}; ssl_certificate_key {key};
        location / {{ proxy_pass http://127.0.0.1:{origin}; {common} }}
        location /visit {{ return 404; }}
    }}""".format(port=port, crt=self.settings["certificates"][way][0], key=self.settings["certificates"][way][1],
                 origin=self.origin_ports["origin"], common=common) for way, port in [("ecdsa", ecdsa), ("rsa", rsa)])
        return f"""
daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid {self.folder}/pid; error_log stderr crit;
events {{ worker_connections 20000; }}
http {{
    access_log off; {paths}
    ssl_protocols TLSv1.2 TLSv1.3; ssl_ecdh_curve X25519:prime256v1;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}{secure}
    server {{
        listen 127.0.0.1:{server} backlog=4096;
        location / {{ proxy_pass https://127.0.0.1:{self.origin_ports["secure"]}; {common} }}
    }}
}}
"""


class Haproxy(PackagedTls):
    name = command = package = "haproxy"
    arguments = proxies.Haproxy.arguments

    def configuration(self, ecdsa, rsa, server):
        return f"""
global
    nbthread 1
    maxconn 9000
    ssl-default-bind-options ssl-min-ver TLSv1.2
    ssl-default-bind-curves X25519:P-256
defaults
    mode http
    option http-keep-alive
    option forwardfor
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 5m
    timeout http-keep-alive 75s
frontend public
    bind 127.0.0.1:{ecdsa} backlog 4096 ssl crt {self.settings["certificates"]["ecdsa"][2]}
    bind 127.0.0.1:{rsa} backlog 4096 ssl crt {self.settings["certificates"]["rsa"][2]}
    http-request return status 404 if {{ path /visit }}
    default_backend clear
frontend clear_text
    bind 127.0.0.1:{server} backlog 4096
    default_backend secure
backend clear
    server origin 127.0.0.1:{self.origin_ports["origin"]}
backend secure
    server origin 127.0.0.1:{self.origin_ports["secure"]} ssl verify none
"""


ALL = [Upgate, Nginx, Haproxy]
