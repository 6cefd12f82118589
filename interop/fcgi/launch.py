#!/usr/bin/python3
"""Starts the FastCGI applications of this folder, each as a process with a listening socket of its own; see README.md.

    peer = start("php", folder)          # the folder is the caller's: a socket, a configuration, logs
    peer.address                         # as a configuration writes it: unix:/path or 127.0.0.1:PORT
    peer.stop()                          # ends what was started, by its process id

Missing says which package is not there. The socket is made here and handed over as descriptor 0, as FastCGI has it (but php-fpm
has a way of its own), so it can be connected to at once, and TCP ports are the kernel's choice.
By hand: `launch.py go` runs one until Ctrl-C and prints its address and a command to try.
"""
import argparse
import fcntl
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
START_SECONDS = 60.0
PHP_CHILDREN = 4
# Where Debian puts modules: a node that comes from elsewhere does not look there.
NODE_ENVIRONMENT = dict(os.environ, NODE_PATH=os.pathsep.join(filter(None, [os.environ.get("NODE_PATH"), "/usr/share/nodejs"])))


class Missing(Exception):
    """A peer cannot run here; the message says what is not installed."""


class Peer:
    """A running application."""
    name = None
    script = None                        # the `fastcgi` keys that it wants of a gateway
    concurrent = 64                      # how many requests it works on at once, at the least
    multiplexes = False                  # … also on one connection
    has_stderr = True                    # the application can write to FCGI_STDERR
    keeps = True                         # a connection that it was asked to keep

    def __init__(self, folder, tcp=False, programs=None):
        self.folder, self.programs = folder, programs
        self.log = os.path.join(folder, self.name + ".log")
        self.socket = listening_socket(None if tcp else os.path.join(folder, self.name + ".sock"))
        self.address = address_of(self.socket)
        self.process = None
        try:
            self.start()
        finally:
            self.socket.close()

    def start(self):
        self.spawn(self.command())

    def spawn(self, arguments, **options):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(arguments, stdin=self.socket, stdout=log, stderr=log, **options)

    def logged(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def is_running(self):
        return self.process.poll() is None

    def stop(self):
        if self.is_running():
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        """At once, with the processes that it has started: they would live on."""
        pids = [self.process.pid] + children_of(self.process.pid)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(10)


def children_of(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as children:
            return [int(child) for child in children.read().split()]
    except OSError:
        return []


def listening_socket(path):
    """An old one's path may be there still."""
    if path and os.path.exists(path):
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    sock.bind(path or ("127.0.0.1", 0))
    sock.listen(512)
    return sock


def address_of(sock):
    name = sock.getsockname()
    return "unix:" + name if isinstance(name, str) else "%s:%d" % name


def program(name, package):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise Missing("%s is not installed (Debian: %s)" % (name, package))
    return path


def require(arguments, package, environment=None):
    """The command has to succeed: it loads what the package brings."""
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=START_SECONDS, env=environment)
    if done.returncode:
        raise Missing("%s is not installed" % package)


# The applications.

class Php(Peer):
    """php-fpm with a configuration of its own: `front.php` for every path, or (in PhpTree) the scripts of a folder."""
    name, concurrent = "php", PHP_CHILDREN
    script = {"root": os.path.join(HERE, "php"), "script": "front.php"}

    def start(self):
        found = sorted(glob.glob("/usr/sbin/php-fpm[0-9]*")) or [program("php-fpm", "php-fpm")]
        sessions = os.path.join(self.folder, "sessions")
        os.makedirs(sessions, exist_ok=True)
        listen = self.address.removeprefix("unix:")
        path = os.path.join(self.folder, "php-fpm.conf")
        with open(path, "w", encoding="utf-8") as out:
            out.write(self.configuration(listen, sessions))
        # php-fpm takes over a listening socket that its environment tells of; it may run as whoever runs this, root included
        self.spawn([found[-1], "-n", "-R", "-F", "-y", path], pass_fds=[self.socket.fileno()],
                   env=dict(os.environ, FPM_SOCKETS="%s=%d" % (listen, self.socket.fileno())))
        self.wait_ready(os.path.join(self.folder, "php-fpm.log"))

    def wait_ready(self, log):
        """Before that, a TERM may not be heard."""
        limit = time.monotonic() + START_SECONDS
        while not os.path.exists(log) or "ready to handle connections" not in open(log, encoding="utf-8", errors="replace").read():
            if not self.is_running() or time.monotonic() > limit:
                self.stop()
                raise Missing("php-fpm does not start: %s" % self.logged()[-1000:])
            time.sleep(0.01)

    def configuration(self, listen, sessions):
        user = "user = root\n" if os.getuid() == 0 else ""
        return f"""[global]
error_log = {self.folder}/php-fpm.log
daemonize = no
log_limit = 8192
[www]
{user}listen = {listen}
pm = static
pm.max_children = {PHP_CHILDREN}
clear_env = yes
catch_workers_output = no
php_admin_value[output_buffering] = 0
php_admin_value[display_errors] = 0
php_admin_value[log_errors] = 1
php_admin_value[post_max_size] = 64M
php_admin_value[upload_max_filesize] = 64M
php_admin_value[session.save_path] = {sessions}
php_admin_value[upload_tmp_dir] = {self.folder}
php_admin_value[sys_temp_dir] = {self.folder}
"""


class PhpTree(Php):
    name = "php_tree"
    script = {"root": os.path.join(HERE, "php", "tree"), "split": ".php", "index": "index.php"}


class Go(Peer):
    name, multiplexes, has_stderr = "go", True, False

    def command(self):
        return [build_go()]


class Libfcgi(Peer):
    """Built by CMake beside the gateway, where libfcgi-dev is installed."""
    name, concurrent = "libfcgi", 16

    def command(self):
        folders = [self.programs] if self.programs else [os.path.join(ROOT, "build", preset) for preset in ("release", "debug")]
        for folder in folders:
            if os.access(os.path.join(folder, "fcgi_libfcgi_app"), os.X_OK):
                return [os.path.join(folder, "fcgi_libfcgi_app")]
        raise Missing("fcgi_libfcgi_app was not built (Debian: libfcgi-dev)")


class Perl(Peer):
    name, concurrent = "perl", 4

    def command(self):
        perl = program("perl", "perl")
        require([perl, "-MFCGI", "-MJSON::PP", "-MDigest::SHA", "-e", "1"], "libfcgi-perl")
        return [perl, os.path.join(HERE, "perl_app.pl")]


class Node(Peer):
    """It closes each connection behind its request, asked to keep it or not (node-fastcgi 1.1.0 looks for the flag by a wrong name):
    where a gateway keeps it, the next request meets the end of it."""
    name, keeps = "node", False

    def command(self):
        node = program("node", "nodejs")
        require([node, "-e", "require('node-fastcgi')"], "node-fastcgi", NODE_ENVIRONMENT)
        return [node, os.path.join(HERE, "node_app.js")]

    def start(self):
        self.spawn(self.command(), env=NODE_ENVIRONMENT)


PEERS = {peer.name: peer for peer in (Php, Go, Libfcgi, Perl, Node)}
ALL = dict(PEERS, php_tree=PhpTree)


def build_go():
    """The Go application, built once per change; one process at a time does so."""
    source, built = os.path.join(HERE, "go_app.go"), os.path.join(ROOT, "build", "fcgi", "go_app")
    go = program("go", "golang-go")
    os.makedirs(os.path.dirname(built), exist_ok=True)
    with open(built + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.path.exists(built) and os.path.getmtime(built) > os.path.getmtime(source):
            return built
        environment = dict(os.environ, GO111MODULE="off", GOFLAGS="", GOPROXY="off", CGO_ENABLED="0",
                           GOCACHE=os.path.join(ROOT, "build", "fcgi", "go-cache"), GOPATH=os.path.join(ROOT, "build", "fcgi", "go"))
        done = subprocess.run([go, "build", "-o", built, source], cwd=HERE, env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=600)
    if done.returncode:
        raise Missing("Go cannot build go_app.go: %s" % done.stderr.strip()[-500:])
    return built


def start(name, folder, **options):
    return ALL[name](folder, **options)


# Another web server in front, to see whether it is the gateway, the application or the test that is wrong.

class Nginx:
    """nginx in front of a peer, on a UNIX socket."""

    def __init__(self, folder, peer):
        self.address = os.path.join(folder, "nginx.sock")
        nginx = program("nginx", "nginx-light")
        os.chmod(folder, 0o755)
        path = os.path.join(folder, "nginx.conf")
        with open(path, "w", encoding="utf-8") as out:
            out.write(self.configuration(folder, peer))
        self.process = subprocess.Popen([nginx, "-p", folder, "-e", "stderr", "-c", path], stdin=subprocess.DEVNULL)
        limit = time.monotonic() + START_SECONDS
        while not os.path.exists(self.address):
            if self.process.poll() is not None or time.monotonic() > limit:
                raise Missing("nginx does not start")
            time.sleep(0.01)

    def configuration(self, folder, peer):
        script = peer.script or {}
        root, fixed = script.get("root", ""), script.get("script")
        names = f"fastcgi_param SCRIPT_FILENAME {root}/{fixed}; fastcgi_param SCRIPT_NAME /{fixed};" if fixed else \
            f"fastcgi_split_path_info ^(.+?\\.php)(/.*)?$; fastcgi_param SCRIPT_FILENAME {root}$fastcgi_script_name;" \
            "fastcgi_param SCRIPT_NAME $fastcgi_script_name; fastcgi_param PATH_INFO $fastcgi_path_info;" if root else \
            "fastcgi_param SCRIPT_NAME ''; fastcgi_param PATH_INFO $uri;"
        temporary = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        user = "user root;" if os.getuid() == 0 else ""
        return f"""
{user} daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1000; }}
http {{
    access_log off; {temporary} client_max_body_size 0; large_client_header_buffers 8 64k;
    upstream app {{ server {self.pass_to(peer)}; {"keepalive 4;" if peer.keeps else ""} }}
    server {{
        listen unix:{self.address};
        location / {{
            fastcgi_pass app; fastcgi_keep_conn on; fastcgi_buffering off;
            fastcgi_buffer_size 64k; fastcgi_buffers 8 64k; fastcgi_index index.php;
            fastcgi_param QUERY_STRING $query_string; fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type if_not_empty; fastcgi_param CONTENT_LENGTH $content_length if_not_empty;
            fastcgi_param REQUEST_URI $request_uri; fastcgi_param SERVER_PROTOCOL $server_protocol;
            fastcgi_param REMOTE_ADDR 127.0.0.1; fastcgi_param SERVER_NAME $host; fastcgi_param SERVER_PORT 80;
            fastcgi_param GATEWAY_INTERFACE CGI/1.1; fastcgi_param REQUEST_SCHEME $scheme; fastcgi_param SERVER_SOFTWARE nginx;
            {names}
        }}
    }}
}}
"""

    @staticmethod
    def pass_to(peer):
        return peer.address

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("name", choices=sorted(ALL))
    parser.add_argument("--tcp", action="store_true", help="on 127.0.0.1 instead of a UNIX socket")
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="upgate-fcgi-")
    peer = None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        peer = start(arguments.name, folder, tcp=arguments.tcp)
        options = "".join(" --%s %s" % item for item in (peer.script or {}).items())
        print("ready %s\n  upgate fcgi -i%s fcgi:%s%s/see" % (
            peer.address, options, peer.address, ":" if peer.address.startswith("unix:") else ""), flush=True)
        peer.process.wait()
        print(peer.logged(), file=sys.stderr)
    except Missing as reason:
        sys.exit(str(reason))
    except KeyboardInterrupt:
        pass
    finally:
        if peer:
            peer.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
