"""The proxies of the FastCGI benchmark: each with one way to the echo over FastCGI, and upgate, nginx and HAProxy with one over HTTP, too.

Each keeps its connections to the echo where it can, has one worker, no access log, and the parameters that its documentation shows.
"""
import os
import re
import shutil
import subprocess

from proxies import Packaged, Proxy, await_that, children_of, free_port, answers_at, CannotStart

KEPT = 256                               # connections to the echo


class Upgate(Proxy):
    """One process with a listener for each way."""

    def start(self):
        ways = ["http", "fastcgi"]
        lines = ["workers: 1", "log: { level: info, access: { format: off } }", "listeners:"]
        lines += ["  - { address: 127.0.0.1:0, name: %s }" % way for way in ways]
        lines += ["timeouts: { drain: 1s, drain_spread: 10ms }", "upstreams:"]
        lines += ["  %s: { protocol: %s, servers: [127.0.0.1:%d], keepalive: %d }" % (
            way, way, self.origin_ports["fcgi" if way == "fastcgi" else "http"], KEPT) for way in ways]
        lines += ["routes:"] + ["  - { match: { listener: %s }, upstream: %s }" % (way, way) for way in ways]
        self.spawn([self.settings["upgate"], "-c", self.file("upgate.yaml", "\n".join(lines) + "\n")])
        ports = self.announced_ports(len(ways))
        self.ports = {"upgate, HTTP": ports[0], "upgate": ports[1]}


class PackagedWays(Packaged):
    """A program of the distribution with a port for each way."""
    ways = ["fastcgi"]

    def start(self):
        program = shutil.which(self.command, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if program is None:
            raise CannotStart("%s is not installed (Debian: %s)" % (self.command, self.package))
        for _ in range(5):
            ports = [free_port() for _ in self.ways]
            path = self.file(self.command + ".conf", self.configuration(*ports))
            os.chmod(self.folder, 0o777)
            self.spawn(self.arguments(program, path))
            if await_that(lambda: self.process.poll() is not None or all(map(answers_at, ports)), self.command + " does not answer") \
                    and self.process.poll() is None:
                self.ports = {self.name + (", HTTP" if way == "http" else ""): port for way, port in zip(self.ways, ports)}
                return
        raise CannotStart("%s: %s" % (self.command, self.stderr()[-2000:]))

    @property
    def name(self):
        return self.command


class Nginx(PackagedWays):
    command, package, ways = "nginx", "nginx-light", ["http", "fastcgi"]

    def arguments(self, program, path):
        return [program, "-p", self.folder, "-e", "stderr", "-c", path]

    @property
    def pid(self):
        return await_that(lambda: children_of(self.process.pid), "nginx has no worker")[0]

    def configuration(self, http, fastcgi):
        paths = "".join("%s_temp_path %s/%s; " % (kind, self.folder, kind) for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        names = ["QUERY_STRING $query_string", "REQUEST_METHOD $request_method", "CONTENT_TYPE $content_type", "CONTENT_LENGTH $content_length",
                 "SCRIPT_NAME $fastcgi_script_name", "REQUEST_URI $request_uri", "DOCUMENT_URI $document_uri", "DOCUMENT_ROOT $document_root",
                 "SERVER_PROTOCOL $server_protocol", "REQUEST_SCHEME $scheme", "GATEWAY_INTERFACE CGI/1.1", "SERVER_SOFTWARE nginx",
                 "REMOTE_ADDR $remote_addr", "REMOTE_PORT $remote_port", "SERVER_ADDR $server_addr", "SERVER_PORT $server_port",
                 "SERVER_NAME $server_name", "REDIRECT_STATUS 200"]          # as Debian's fastcgi_params has them
        return f"""
daemon off; worker_processes 1; worker_rlimit_nofile 20000; pid {self.folder}/pid; error_log stderr crit;
events {{ worker_connections 20000; }}
http {{
    access_log off; {paths} keepalive_requests 1000000000; client_body_buffer_size 64k;
    upstream http_echo {{ server 127.0.0.1:{self.origin_ports["http"]}; keepalive {KEPT}; keepalive_requests 1000000000; }}
    upstream fcgi_echo {{ server 127.0.0.1:{self.origin_ports["fcgi"]}; keepalive {KEPT}; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{http} backlog=4096;
        location / {{
            proxy_pass http://http_echo; proxy_http_version 1.1; proxy_set_header Connection "";
            proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
    server {{
        listen 127.0.0.1:{fastcgi} backlog=4096;
        location / {{
            fastcgi_pass fcgi_echo; fastcgi_keep_conn on;
            {" ".join("fastcgi_param %s;" % name for name in names)}
        }}
    }}
}}
"""


class Haproxy(PackagedWays):
    command, package, ways = "haproxy", "haproxy", ["http", "fastcgi"]

    def arguments(self, program, path):
        return [program, "-db", "-f", path]

    def configuration(self, http, fastcgi):
        return f"""
global
    nbthread 1
    maxconn 9000
defaults
    mode http
    option http-keep-alive
    option forwardfor
    http-reuse always
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend http
    bind 127.0.0.1:{http} backlog 4096
    default_backend http_echo
frontend fastcgi
    bind 127.0.0.1:{fastcgi} backlog 4096
    default_backend fcgi_echo
backend http_echo
    server echo 127.0.0.1:{self.origin_ports["http"]} pool-max-conn {KEPT}
backend fcgi_echo
    use-fcgi-app echo
    server echo 127.0.0.1:{self.origin_ports["fcgi"]} proto fcgi pool-max-conn {KEPT}
fcgi-app echo
    docroot /
    option keep-conn
"""


class Apache(PackagedWays):
    """mod_proxy_fcgi, one process with threads."""
    command, package = "apache2", "apache2"

    @property
    def name(self):
        return "Apache"

    @property
    def pid(self):
        return await_that(lambda: children_of(self.process.pid), "Apache has no worker")[-1]

    def arguments(self, program, path):
        return [program, "-DFOREGROUND", "-d", self.folder, "-f", path]

    def configuration(self, port):
        modules = "".join("LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n" % (name, name)
                          for name in ["mpm_event", "authz_core", "proxy", "proxy_fcgi"])
        return f"""
{modules}
ServerName bench.example
PidFile {self.folder}/pid
ErrorLog {self.folder}/error.log
Mutex default:{self.folder}
DefaultRuntimeDir {self.folder}
Listen 127.0.0.1:{port}
ListenBacklog 4096
StartServers 1
ServerLimit 1
ThreadLimit 256
ThreadsPerChild 256
MaxRequestWorkers 256
MaxSpareThreads 256
KeepAlive On
MaxKeepAliveRequests 0
ProxyPass "/" "fcgi://127.0.0.1:{self.origin_ports["fcgi"]}/" enablereuse=on max={KEPT} flushpackets=off
"""


class Lighttpd(PackagedWays):
    """It makes a connection for each request: it knows no other way."""
    command, package = "lighttpd", "lighttpd"

    def arguments(self, program, path):
        return [program, "-D", "-f", path]

    def configuration(self, port):
        return f"""
server.document-root = "{self.folder}"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ( "mod_fastcgi" )
server.max-connections = 4096
server.max-fds = 10000
server.max-keep-alive-requests = 1000000000
server.listen-backlog = 4096
fastcgi.server = ( "/" => ( ( "host" => "127.0.0.1", "port" => {self.origin_ports["fcgi"]}, "check-local" => "disable" ) ) )
"""


class Caddy(PackagedWays):
    """With one processor; it makes a connection for each request."""
    command, package = "caddy", "caddy"

    def prepare_child(self):
        super().prepare_child()
        os.environ.update(GOMAXPROCS="1", HOME=self.folder, XDG_CONFIG_HOME=self.folder, XDG_DATA_HOME=self.folder)

    def arguments(self, program, path):
        return [program, "run", "--adapter", "caddyfile", "--config", path]

    def configuration(self, port):
        return f"""
{{
    admin off
    auto_https off
    log {{
        output discard
    }}
}}
http://:{port} {{
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{self.origin_ports["fcgi"]} {{
        transport fastcgi {{
            root /srv
        }}
    }}
}}
"""


ALL = [Upgate, Nginx, Haproxy, Apache, Lighttpd, Caddy]


def versions(settings):
    found = {}
    for name, arguments in [("upgate", [settings["upgate"], "-V"]), ("nginx", ["nginx", "-v"]), ("haproxy", ["haproxy", "-v"]),
                            ("Apache", ["apache2", "-v"]), ("lighttpd", ["lighttpd", "-v"]), ("caddy", ["caddy", "version"])]:
        environment = dict(os.environ, PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        try:
            done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=30, env=environment)
        except OSError:
            continue
        match = re.search(r"\d+\.\d+[\w.+~-]*", done.stdout + done.stderr)
        found[name] = match.group(0) if match else "?"
    return found
