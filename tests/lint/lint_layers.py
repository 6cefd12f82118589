#!/usr/bin/env python3
"""Layers: every #include line of protocol/, conf/ and gateway/ points down, never up.

protocol/ knows C and two parsers; conf/ knows protocol/ and the YAML reader; gateway/ knows both. Within gateway/ a file
includes only rows above its own in ROWS, or its own row. A gateway file that has no row is a fault too: it says where it
belongs before it is written. Tests may include what they like.
"""
import re

from sources import finish, project_files, read, root_from_arguments

# gateway/, in include order. One row: names without .c and .h.
ROWS = """
    end_reason list text
    log log_writer metrics metrics_text notify
    timers ready weather mailbox poller hold
    stream
    pipes stream_uv stream_uv_parts stream_uv_input stream_uv_output stream_uv_splice parting
    tls_library tls_curve tls_facts tls_tickets tls_seal tls_ctx tls_parts tls_files tls_session
    tls_sessions tls_helpers tls_loop tls_rest
    stream_tls stream_tls_parts stream_tls_input stream_tls_output
    tls_handshake
    resolver race dial
    server_state server_set places names tally
    balance upstream pool seek
    passwords sticky generation snapshot
    services quota credentials
    access_log reply route access script_file unnamed tls_tell
    inbound
    outbound
    pump flow tunnel tunnel_parts tunnel_end tunnel_watch tunnel_walk body_out
    gather spool
    fcgi_stderr fcgi_conn fcgi_conn_parts fcgi_conn_end fcgi_conn_in fcgi_conn_out fcgi_ask fcgi_facts
    health_check health_check_parts health_http health_fcgi health
    backend backend_h1 backend_fcgi
    exchange exchange_parts exchange_act exchange_admit exchange_auth exchange_ask exchange_sticky exchange_tls exchange_trace exchange_request exchange_gather exchange_response exchange_end client passthrough entry inherited sockets
    listener
    admin_request admin admin_page
    privileges sandbox sandbox_files sandbox_calls launcher worker worker_parts worker_change worker_ask engine control control_parts control_reload control_drain control_admin control_ask control_status control_metrics control_notify control_handover
    fcgi_tool fcgi_tool_parts fcgi_tool_options fcgi_tool_body fcgi_tool_request fcgi_tool_trace fcgi_tool_connect fcgi_tool_run
    version advice main
"""

# Libraries: who may include their headers. version.c prints the numbers of all of them, and does nothing else.
LIBRARIES = [
    (r"llhttp\.h", ["protocol/", "gateway/version."]),
    (r"wslay/.*", ["protocol/", "gateway/version."]),
    (r"yaml\.h", ["conf/"]),
    (r"seccomp\.h", ["gateway/sandbox_calls."]),
    (r"uv\.h", [f"gateway/{name}." for name in
               "ready poller stream_uv resolver race dial listener worker engine admin control version main".split()]),
    (r"mbedtls/version\.h", ["gateway/version."]),
    (r"(mbedtls|psa)/.*", ["gateway/tls_", "gateway/stream_tls"]),
]

C_STANDARD = set("""assert ctype errno float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdatomic
    stdbool stddef stdint stdio stdlib stdnoreturn string time uchar wchar wctype""".split())
# What some files of protocol/ are there to hide.
PROTOCOL_SYSTEM = {("protocol/mem.c", "malloc.h"), ("protocol/utf8_simd.c", "immintrin.h"), ("protocol/token_runs.h", "emmintrin.h")}
# What conf/ may use of the system beside C: files, addresses and names.
CONF_SYSTEM = set("""arpa/inet.h fcntl.h grp.h netinet/in.h pwd.h strings.h sys/socket.h sys/stat.h sys/types.h sys/un.h
    unistd.h""".split())

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)

rank = {name: number for number, row in enumerate(ROWS.strip().splitlines()) for name in row.split()}


def module_of(path):
    return path.rsplit("/", 1)[1].rsplit(".", 1)[0]


def fault_of(path, quote, header):
    """Why this file may not include this header, or None."""
    for pattern, allowed in LIBRARIES:
        if re.fullmatch(pattern, header):
            if not any(path.startswith(prefix) for prefix in allowed):
                return f"{header} may only be included by {' '.join(allowed)}"
            return None
    if quote == "<":
        return fault_of_system(path, header)
    layers = {"protocol": ["protocol/"], "conf": ["protocol/", "conf/"], "gateway": ["protocol/", "conf/", "gateway/"]}
    if not any(header.startswith(layer) for layer in layers[path.split("/")[0]]):
        return f"{header} is not below {path.split('/')[0]}/ (or is not written from the project root)"
    if path.startswith("gateway/") and header.startswith("gateway/"):
        if module_of(header) not in rank:
            return f"{header} has no row in the table of tests/lint/lint_layers.py"
        if rank[module_of(header)] > rank[module_of(path)]:
            return f"{header} stands in a row below {module_of(path)}"
    return None


def fault_of_system(path, header):
    standard = header[:-2] in C_STANDARD
    if path.startswith("protocol/") and not standard and (path, header) not in PROTOCOL_SYSTEM:
        return f"<{header}> is not a header of the C standard; protocol/ knows no system"
    if path.startswith("conf/") and not standard and header not in CONF_SYSTEM:
        return f"<{header}> is not among the system headers that conf/ may use"
    return None


def main():
    root = root_from_arguments()
    faults = []
    for path in project_files(root):
        if not re.fullmatch(r"(protocol|conf|gateway)/[^/]+\.[ch]", path):
            continue
        if path.startswith("gateway/") and module_of(path) not in rank:
            faults.append(f"{path}:1: has no row in the table of tests/lint/lint_layers.py")
            continue
        text = read(root, path)
        for match in INCLUDE.finditer(text):
            why = fault_of(path, match.group(1), match.group(2))
            if why:
                faults.append(f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {why}")
    finish(faults, "layers")


if __name__ == "__main__":
    main()
