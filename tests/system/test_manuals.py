"""Manual pages and completions: whole, known to their programs, and of every option that there is. What is installed, and where."""
import os
import re
import shutil
import subprocess

import harness
from harness import Skip, check, same

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONF = os.path.join(ROOT, "conf")


def need(name):
    path = shutil.which(name)
    if path is None:
        raise Skip("%s is not installed" % name)
    return path


def run(t, *command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
                          env=dict(harness.sanitizer_environment(), **options))
    check(done.returncode == 0, "%r: %s %s", command, done.returncode, done.stderr[-2000:])
    return done.stdout


def text_of(*names):
    with open(os.path.join(CONF, *names), encoding="utf-8") as file:
        return file.read()


def options_of(source):
    """Every option that a C file gives to getopt_long."""
    with open(os.path.join(ROOT, "gateway", source), encoding="utf-8") as file:
        text = file.read()
    long = re.findall(r'^    \{ "([a-z-]+)", (?:no|required)_argument', text, re.M)
    short = re.search(r'getopt_long\([^"]*"([^"]+)"', text)[1]
    return ["--" + name for name in long] + ["-" + c for c in re.sub("[^A-Za-z]", "", short)]


PROGRAMS = [("main.c", "upgate.8", "upgate"), ("fcgi_tool_options.c", "upgate-fcgi.1", "upgate fcgi")]


def test_pages_are_whole(t):
    pages = [os.path.join(CONF, "man", name) for _, name, _ in PROGRAMS] + [t.write("upgate.yaml.5", run(t, t.binary, "--man"))]
    for page in pages:
        done = subprocess.run([need("groff"), "-man", "-ww", "-b", "-z", "-K", "utf8", page], capture_output=True, text=True, timeout=60, check=False)
        check(done.returncode == 0 and not done.stderr, "%s: %s", page, done.stderr[-1000:])


def test_the_configurations_page_has_every_key(t):
    page = run(t, t.binary, "--man")
    keys = set(re.findall(r"^  ([a-z_0-9]+): ", run(t, t.binary, "--reference"), re.M))
    check(len(keys) > 80, "%d keys", len(keys))
    same(sorted(keys - set(re.findall(r"^\.B ([a-z_0-9]+)$", page, re.M))), [], "keys without an entry")


def test_every_option_is_known_to_the_pages_and_the_shells(t):
    for source, page, name in PROGRAMS:
        options = options_of(source)
        check(len(options) > 8, "%r", options)
        manual = text_of("man", page).replace("\\-", "-")
        for option in options:
            for place, text in [(page, manual), ("bash", text_of("completion", "upgate.bash")), ("zsh", text_of("completion", "_upgate"))]:
                check(re.search(r"(?<![\w-])%s(?![\w-])" % option, text), "%s %s is not in %s", name, option, place)


def completed(*words):
    script = ". '%s'; COMP_WORDS=(%s); COMP_CWORD=%d; _upgate; printf '%%s\\n' \"${COMPREPLY[@]}\"" % (
        os.path.join(CONF, "completion", "upgate.bash"), " ".join("'%s'" % word for word in words), len(words) - 1)
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20, check=False)
    check(not done.stderr, "%s", done.stderr)
    return done.stdout.split()


def test_bash_completes(t):
    same(completed("upgate", "--re"), ["--reference"], "an option")
    check("fcgi" in completed("upgate", ""), "the command")
    same(completed("upgate", "fcgi", "--get"), ["--get-values"], "an option of the command")
    check("POST" in completed("upgate", "fcgi", "-X", ""), "methods")
    t.write("a.yaml", "")
    same(completed("upgate", "-c", t.path("a")), [t.path("a.yaml")], "a file")


def test_zsh_reads_its_file(t):
    run(t, need("zsh"), "-f", "-n", os.path.join(CONF, "completion", "_upgate"))


PLACES = ["bin/upgate", "share/man/man8/upgate.8", "share/man/man1/upgate-fcgi.1", "share/bash-completion/completions/upgate",
          "share/zsh/vendor-completions/_upgate", "share/doc/upgate/copyright", "share/doc/upgate/examples/mtls.yaml",
          "lib/systemd/system/upgate.service", "lib/sysusers.d/upgate.conf"]


def install(t, prefix):
    build = os.path.dirname(os.path.abspath(t.binary))
    if not os.path.exists(os.path.join(build, "cmake_install.cmake")):
        raise Skip("%s is no build folder" % build)
    return run(t, need("cmake"), "--install", build, "--prefix", prefix, DESTDIR=t.path("root"))


def test_installed_under_usr(t):
    install(t, "/usr")
    for place in PLACES:
        check(os.path.exists(t.path("root/usr/" + place)), "no %s", place)
    same(open(t.path("root/usr/lib/systemd/system/upgate.service"), encoding="utf-8").read(), text_of("upgate.service"), "the unit")
    t.write("root/etc/upgate/upgate.yaml", "# mine\n")
    check("Kept:" in install(t, "/usr"), "it says that the configuration was kept")
    same(open(t.path("root/etc/upgate/upgate.yaml"), encoding="utf-8").read(), "# mine\n", "the configuration")


def test_installed_elsewhere(t):
    install(t, "/usr/local")
    unit = open(t.path("root/usr/local/lib/systemd/system/upgate.service"), encoding="utf-8").read()
    check("ExecStart=/usr/local/bin/upgate -c /usr/local/etc/upgate/upgate.yaml" in unit, "the unit: %s", unit)
    run(t, t.binary, "-t", "-c", t.path("root/usr/local/etc/upgate/upgate.yaml"))
