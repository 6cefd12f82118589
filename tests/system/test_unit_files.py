"""What conf/ has for systemd, sysusers and logrotate, read by those programs themselves."""
import os
import re
import shutil
import subprocess

from harness import Skip, check

CONF = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "conf")
EXPOSURE_MOST = 1.6                                      # of 10; the README tells it


def program(name):
    path = shutil.which(name)
    if path is None:
        raise Skip("%s is not installed" % name)
    return path


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


def units(t):
    """The units, with the tested program in place of the installed one."""
    for name in ("upgate.service", "upgate.socket"):
        with open(os.path.join(CONF, name), encoding="utf-8") as unit:
            text = unit.read()
        # systemd-analyze looks the man pages up, too, and they may not be installed.
        t.write(name, re.sub(r"^Documentation=.*\n", "", text.replace("/usr/bin/upgate", os.path.abspath(t.binary)), flags=re.M))
    return t.path("upgate.service"), t.path("upgate.socket")


def test_systemd_understands_every_line_of_the_units(t):
    done = run(program("systemd-analyze"), "verify", *units(t))
    check(done.returncode == 0 and not done.stdout.strip(), "%s", done.stdout)


def test_the_service_is_exposed_as_little_as_the_readme_says(t):
    done = run(program("systemd-analyze"), "security", "--offline=true", units(t)[0])
    found = re.search(r"Overall exposure level for upgate.service: ([0-9.]+)", done.stdout)
    check(found, "no score: %s", done.stdout[-500:])
    check(float(found[1]) <= EXPOSURE_MOST, "%s", done.stdout)


def test_logrotate_takes_its_file(t):
    text = open(os.path.join(CONF, "upgate.logrotate"), encoding="utf-8").read()
    os.mkdir(t.path("log"))
    t.write("log/access.log", "{}\n")
    path = t.write("rotate.conf", text.replace("/var/log/upgate", t.path("log")).replace("create 0640 upgate upgate", "create 0640"))
    os.chmod(path, 0o644)
    done = run(program("logrotate"), "--debug", "--force", "--state", t.path("state"), path)
    check(done.returncode == 0 and "error:" not in done.stdout, "%s", done.stdout)
    check("rotating log %s" % t.path("log/access.log") in done.stdout, "%s", done.stdout)
